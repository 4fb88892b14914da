/* Client addresses, in one table for all threads: how many connections each has open (where that
 * is limited), and how often each has failed to authenticate.  An IPv6 client counts by its /64,
 * since whoever has one address of it has them all.  What has no address (a UNIX socket) is not
 * counted.
 *
 * Bounded: a row for each address with an open connection, and a fixed number of rows for the
 * addresses that failed last.  Any thread; short lock, taken at accept and close only when
 * connections are limited, and when an authentication failed. */
#ifndef SERVER_ADDRESS_H
#define SERVER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ADDRESS_FAILURES_BURST_S = 60, /* so many seconds' worth of failures may come at once */
    ADDRESS_FAILED_MAX = 4096      /* addresses remembered for their failures */
};

struct sockaddr;
struct addresses;

/* connections: at a time and address, failures: a second and address; 0 = unlimited. NULL when
 * memory is short. */
struct addresses *address_table_new(int connections, int failures);
void address_table_free(struct addresses *t);

/* A connection was accepted.  false: its address has as many as it may (or memory is short), and
 * this one was not counted. */
bool address_enter(struct addresses *t, const struct sockaddr *from);
/* A counted connection is closed. */
void address_leave(struct addresses *t, const struct sockaddr *from);

/* An authentication failed.  false: there were too many. now_ms: a monotonic clock's. */
bool address_may_fail(struct addresses *t, const struct sockaddr *from, int64_t now_ms);

#endif
