/* The admin side of a running server: an HTTP listener of its own on TCP (token), and the same
 * routes on the UNIX socket beside the database (mode 0600, no token).  docs/api.md "Admin
 * listener".
 *
 * Threads of its own: one per listener and one per connection, which may block. */
#ifndef SERVER_ADMIN_H
#define SERVER_ADMIN_H

#include "schema/buf.h"
#include "schema/err.h"
#include "server/ops.h"

enum {
    ADMIN_BODY_MAX = 1024 * 1024,
    ADMIN_IMPORT_MAX = 160 * 1024 * 1024, /* a catalog of 64 MiB, quoted in JSON */
    ADMIN_METRICS_MAX = 4 * 1024 * 1024,
    ADMIN_CONNECTIONS_MAX = 64,
    ADMIN_IDLE_S = 60
};

struct admin_options {
    const char *host; /* TCP; NULL = no TCP listener */
    int port;         /* 0 = any free one */
    int passed_fd;    /* a listening socket for TCP that was passed to us; < 1: none */
    const char *db_path;
    struct ops_env *env;                         /* of the server; outlives the admin */
    void (*metrics)(void *ctx, struct buf *out); /* any thread; NULL = none */
    void *metrics_ctx;
};

struct admin;

/* Call it after the database is owned: a socket file that is found there belongs to a dead
 * process.  NULL with reterr. */
struct admin *admin_start(const struct admin_options *o, struct fail *reterr);
int admin_port(const struct admin *a); /* as bound; 0 without TCP */
/* Lets running operations end and sends their answers, refuses new ones, removes the socket. */
void admin_stop(struct admin *a);

#endif
