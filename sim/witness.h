/* The simulator's own log: what arrived and what was charged for it, one JSON object
 * per line, for comparison with the router's ledger.  Two lines per request ("begin",
 * "end") with the same seq; the second repeats the first and adds what came of it.  Numbers are
 * integers, times unix ms.  Credentials are shown as their last four characters, AWS
 * signatures whole.  "heard" is what the provider understood (sim/heard.h). */
#ifndef SIM_WITNESS_H
#define SIM_WITNESS_H

#include "schema/buf.h"

enum { WITNESS_LINE_MAX = 128 * 1024 * 1024 };

struct conn;
struct http_request;

struct witness {
    int fd; /* -1 = off */
    bool log_bodies;
    struct buf line;
};

/* path NULL = off.  false with errno. */
bool witness_open(struct witness *w, const char *path, bool log_bodies);
void witness_close(struct witness *w);
void witness_begin(struct witness *w, const struct conn *c, const struct http_request *r);
void witness_end(struct witness *w, const struct conn *c, const char *how);

#endif
