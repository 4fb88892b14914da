/* Connections that owe us a request's headers.  libmicrohttpd's timeout is for silence only: a
 * client that sends a byte now and then stays for ever.  Here a deadline stands from the moment
 * a connection is accepted (or its last request ended) until the headers are complete, a nearer
 * one once the next request's line is there; past it the socket is shut down and the library
 * cleans up.
 *
 * Thread: the worker's loop thread. */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CONN_HEADERS_MS = 10000, /* from accept, or a later request's line, to complete headers */
    CONN_NEXT_MS = 10000,    /* after the time of silence: to the headers of the next request */
    CONN_SWEEP_MS = 250
};

struct worker;

struct conn {
    struct conn *next, *prev;
    struct conn_list *list; /* NULL: its headers are complete, nothing is owed */
    int fd;
    int64_t deadline_ms;
};

/* In order of deadline, since every member waits equally long. */
struct conn_list {
    struct conn *head, *tail;
};

struct conns {
    int64_t silence_ms; /* how long an idle connection is kept */
    struct conn_list fresh, kept;
};

/* NULL when memory is short: the connection then has no deadline. */
struct conn *conn_open(struct conns *all, int fd, int64_t now_ms);
void conn_close(struct conn *c);
/* The line of a request has come. */
void conn_begins(struct conns *all, struct conn *c, int64_t now_ms);
/* Its headers are complete. */
void conn_served(struct conn *c);
/* Its request is over and the connection is kept. */
void conn_waits(struct conns *all, struct conn *c, int64_t now_ms);
/* None owes us headers. */
bool conns_none(const struct conns *all);
/* Shuts down what is past its deadline: how many. */
int conns_sweep(struct conns *all, int64_t now_ms);

#endif
