/* libmicrohttpd: daemons inside a worker's loop, the handler's three kinds of call, and the
 * request functions that need the library.  With stream.c and admin.c the only files that
 * include microhttpd.h. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "server/request.h"

enum {
    HTTP_POOL_BYTES = 48 * 1024, /* per connection: 32 KiB of headers and room for the reply's */
    HTTP_HEADER_COST = 64,       /* of the pool, for each header that the library has read */
    HTTP_OWN_HEADERS = 3 * 1024, /* of a reply: ours and the library's */
    HTTP_SILENCE_MORE_S = 2, /* the library's timeout: so much later than the client timeout, that
                                a slow body gets its answer first */
    HTTP_ROUNDS_MAX = 8      /* MHD_run per turn and daemon */
};

/* 0, or -1 with reterr. */
int front_open(struct front *f, struct worker *w, struct fail *reterr);
/* Hands an accepted, non-blocking socket to the daemon; closes it on failure. */
void front_add(struct front *f, int fd, const struct sockaddr *addr, unsigned addr_len);
/* Runs the daemon until it is clean or HTTP_ROUNDS_MAX. */
void front_pump(struct front *f);
/* Milliseconds until the daemon must run again; -1 = when something happens. */
int64_t front_timeout_ms(const struct front *f);
/* Nothing may be suspended. */
void front_close(struct front *f);

/* Wakes a parked connection (idempotent). */
void request_wake(struct request *r);
/* Watches connections parked for long; called by the worker's park timer. */
void request_watch_parked(struct worker *w);

/* Bytes of the pool that the client's headers have left for a provider's in the reply: one that is
 * too small for the reply closes the connection without a word. */
size_t request_header_room(const struct request *r);

/* The connection's socket, -1 when there is none. */
int request_fd(const struct request *r);

/* The descriptor that becomes readable when the daemon has work. */
int front_epoll_fd(const struct front *f);

/* stream.c: the response object of a streaming request. */
struct MHD_Response *stream_response(struct request *r);

extern const struct route_row routes[];
/* NULL and *ret_allow NULL: unknown path; NULL and *ret_allow set: wrong method. */
const struct route_row *route_find(const char *method, const char *path, char *parameter,
                                   size_t cap, const char **ret_allow);

#endif
