/* Hosts and addresses that a request may point a call at. */
#define _GNU_SOURCE
#include "server/reach.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "schema/span.h"

/* ---- addresses ---- */

struct range {
    uint8_t prefix[16];
    int bits;
    const char *name;
};

static const struct range ranges_v4[] = {
    {{0}, 8, "unspecified"},       {{10}, 8, "private"},           {{100, 64}, 10, "shared"},
    {{127}, 8, "loopback"},        {{169, 254}, 16, "link-local"}, {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved"}, {{192, 168}, 16, "private"},    {{198, 18}, 15, "benchmark"},
    {{224}, 4, "multicast"},       {{240}, 4, "reserved"},
};

static const struct range ranges_v6[] = {
    {{[15] = 1}, 128, "loopback"},
    {{0}, 96, "unspecified"}, /* :: and the former IPv4-compatible ones */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, "private"}, /* local NAT64, RFC 8215 */
    {{0x01}, 64, "reserved"},                              /* discard only, RFC 6666 */
    {{0x20, 0x01, 0x00, 0x00}, 32, "tunnel"},              /* Teredo */
    {{0xfc}, 7, "private"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "private"}, /* the former site-local ones */
    {{0xff}, 8, "multicast"},
};

/* IPv6 ranges that contain an IPv4 address, and where. */
static const struct {
    struct range range;
    int at;
} carriers[] = {
    {{{[10] = 0xff, [11] = 0xff}, 96, NULL}, 12}, /* mapped */
    {{{0x00, 0x64, 0xff, 0x9b}, 96, NULL}, 12},   /* NAT64 */
    {{{[8] = 0xff, [9] = 0xff}, 96, NULL}, 12},   /* translated, RFC 2765 */
    {{{0x20, 0x02}, 16, NULL}, 2},                /* 6to4 */
};

static bool within(const uint8_t *address, const struct range *r)
{
    int whole = r->bits / 8, rest = r->bits % 8;
    unsigned mask = 0xffu << (8 - rest) & 0xffu;
    return memcmp(address, r->prefix, (size_t)whole) == 0 &&
           (rest == 0 || ((address[whole] ^ r->prefix[whole]) & mask) == 0);
}

static const char *range_name(const uint8_t *address, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (within(address, &ranges[i])) {
            return ranges[i].name;
        }
    }
    return NULL;
}

static const char *range_of_v4(const uint8_t *address)
{
    return range_name(address, ranges_v4, sizeof ranges_v4 / sizeof ranges_v4[0]);
}

static const char *range_of_v6(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof carriers / sizeof carriers[0]; i++) {
        if (within(address, &carriers[i].range)) {
            return range_of_v4(address + carriers[i].at);
        }
    }
    return range_name(address, ranges_v6, sizeof ranges_v6 / sizeof ranges_v6[0]);
}

const char *reach_range(const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (addr->sa_family == AF_INET && len >= sizeof v4) {
        memcpy(&v4, addr, sizeof v4);
        return range_of_v4((const uint8_t *)&v4.sin_addr);
    }
    if (addr->sa_family == AF_INET6 && len >= sizeof v6) {
        memcpy(&v6, addr, sizeof v6);
        return range_of_v6(v6.sin6_addr.s6_addr);
    }
    return "unknown";
}

/* ---- entries ---- */

static const char private_mark[] = "private:";

static bool is_marked(const char *entry)
{
    return strncmp(entry, private_mark, sizeof private_mark - 1) == 0;
}

/* The entry's host, without the mark and the brackets of an IPv6 address. */
static struct span host_of_entry(const char *entry)
{
    struct span host = span_of(is_marked(entry) ? entry + sizeof private_mark - 1 : entry);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = (struct span){host.ptr + 1, host.len - 2};
    }
    return host;
}

/* An address as people write it: "127.1" is a name here, and what it leads to is checked. */
static bool read_address(struct span host, struct sockaddr_storage *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (host.len >= sizeof text) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof v6);
        return true;
    }
    return false;
}

bool reach_entry_ok(const char *entry)
{
    struct span host = host_of_entry(entry);
    struct sockaddr_storage address;
    if (host.len == 0 || host.len > REACH_HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && c != '.' && c != '-' && c != '_' && c != ':') {
            return false;
        }
    }
    return memchr(host.ptr, ':', host.len) == NULL || read_address(host, &address);
}

static bool says_private(const char *entry)
{
    struct span host = host_of_entry(entry);
    struct sockaddr_storage address;
    return is_marked(entry) || (host.len == 9 && strncasecmp(host.ptr, "localhost", 9) == 0) ||
           (read_address(host, &address) &&
            reach_range((const struct sockaddr *)&address, sizeof address) != NULL);
}

/* ---- URLs ---- */

static struct span host_of_url(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    size_t n = strcspn(host, ":/?#");
    if (host[0] == '[') {
        host++;
        n = strcspn(host, "]/?#");
        if (host[n] != ']' || (host[n + 1] != '\0' && strchr(":/", host[n + 1]) == NULL)) {
            n = 0;
        }
    }
    return (struct span){host, n};
}

enum reach reach_of_url(const char *url, const struct reach_list *allowed)
{
    struct span host = host_of_url(url);
    enum reach best = REACH_NOWHERE;
    if (strchr(url, '@') != NULL) {
        return REACH_NOWHERE; /* what stands before it only looks like the host */
    }
    for (int i = 0; i < allowed->n && host.len > 0; i++) {
        struct span entry = host_of_entry(allowed->entries[i]);
        if (entry.len == host.len && strncasecmp(entry.ptr, host.ptr, host.len) == 0) {
            enum reach says = says_private(allowed->entries[i]) ? REACH_ANY : REACH_PUBLIC;
            best = says > best ? says : best;
        }
    }
    return best;
}
