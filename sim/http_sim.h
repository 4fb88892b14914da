/* A small HTTP/1.1 server connection that can misbehave byte by byte.
 *
 * Reads requests (keep-alive, pipelining, chunked bodies, Expect), hands each whole
 * one to door_answer, and lets a player send what came back.  A struct conn owns
 * its sockets and buffers and frees itself when both handles are closed. */
#ifndef SIM_HTTP_SIM_H
#define SIM_HTTP_SIM_H

#include "sim/answer.h"
#include "sim/http_parse.h"
#include "sim/play.h"
#include "sim/sim.h"

enum {
    HTTP_HEAD_MAX = 64 * 1024,
    HTTP_BODY_MAX = 40 * 1024 * 1024,
    HTTP_AHEAD_MAX = 64 * 1024 /* pipelined bytes read while an answer is running */
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_ANSWER, CONN_CLOSED };

/* What the end line of the witness log repeats. */
struct exchange {
    uint64_t seq;
    int64_t begin_ms;
    char method[8];
    char protocol[24];
    char path[768];
    char site[ROSTER_NAME_MAX];
    char model[ROSTER_NAME_MAX];
    char request_id[80]; /* x-request-id */
    size_t body_len;
    struct roster_model *in_flight; /* counted there until the end */
};

struct conn {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    struct sim *sim;
    struct listener *listener;
    struct conn *next, *prev;
    int handles_open;
    enum conn_state state;
    bool writing; /* `out` is being written */
    bool reading;
    bool keep_alive;
    bool chunked_body;
    int http_minor;

    struct buf in;
    size_t body_begin; /* = length of the head */
    size_t body_end;
    size_t body_want; /* content-length */
    struct chunk_reader chunks;
    struct buf out;

    struct answer answer;
    struct buf heard; /* digest of the request, for the witness log (sim/heard.h) */
    struct play play;
    struct exchange exchange;
    uint64_t bytes_sent; /* of this answer, framing included */
};

/* A new connection waits on the listener. */
void conn_accept(struct listener *listener);
/* Sends n pieces; what the socket does not take is copied and sent later
 * (conn->writing until then).  false: the connection is gone. */
bool conn_write(struct conn *c, const uv_buf_t *pieces, unsigned n);
void conn_arm(struct conn *c, uint64_t ms);
/* The player is through: `how` ends the witness line. */
void conn_answered(struct conn *c, const char *how, bool close);
/* how NULL: no exchange is running. */
void conn_close(struct conn *c, const char *how, bool reset);

#endif
