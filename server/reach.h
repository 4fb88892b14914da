/* Where a call to a provider may connect to.  The operator's catalog may name any address.  A
 * base_url that a request brings (provider_configs) must name a host of `serve
 * --allow-base-url`, and reaches public addresses only: what counts is the address at which a
 * socket is opened, not how the URL spells it or what the name meant a moment before (DNS
 * rebinding).  An entry is the operator's word for private addresses when it says so itself:
 * it is `localhost`, a private address, or a name behind "private:".
 * Pure; any thread. */
#ifndef SERVER_REACH_H
#define SERVER_REACH_H

#include <stdbool.h>
#include <sys/socket.h>

enum { REACH_HOST_MAX = 253 };

enum reach { REACH_NOWHERE, REACH_PUBLIC, REACH_ANY };

/* The entries of --allow-base-url; borrowed. */
struct reach_list {
    const char *const *entries;
    int n;
};

/* Is this a host (a name or an address, without scheme, port or path), perhaps behind
 * "private:"? */
bool reach_entry_ok(const char *entry);
/* For a URL of the form that prefs_config.c lets through. */
enum reach reach_of_url(const char *url, const struct reach_list *allowed);
/* The name of the range that keeps an address from being public ("loopback", "private", ...);
 * NULL: it is public.  Addresses within addresses (::ffff:10.0.0.1, 6to4, NAT64) count as what
 * they contain.  Ranges: IANA's registries of special-purpose addresses (RFC 6890). */
const char *reach_range(const struct sockaddr *addr, socklen_t len);
#endif
