/* Failover as a table: what happened to an attempt -> what to do next.  Sans-I/O; no
 * socket, clock or callback.  Contract: docs/api.md "Failover" and "Errors". */
#ifndef ROUTER_ROUTE_H
#define ROUTER_ROUTE_H

#include "providers/door.h"
#include "providers/provider.h"
#include "router/plan.h"

enum { ROUTE_ATTEMPTS_MAX = 3 };

/* ROUTE_EVENT(name, text) : how an attempt ended or what its head said. */
#define ROUTE_ENDS(E)                                                                              \
    E(none, "running")                                                                             \
    E(complete, "complete")                                                                        \
    E(connect_failed, "could not connect")                                                         \
    E(tls_failed, "TLS handshake failed")                                                          \
    E(timed_out, "timed out")                                                                      \
    E(reset, "connection lost")                                                                    \
    E(stale, "the kept connection had been closed")                                                \
    E(status, "answered with an error status")                                                     \
    E(foreign, "answered outside its protocol")                                                    \
    E(truncated, "stream ended early")                                                             \
    E(stream_error, "an error in place of an answer")                                              \
    E(client_gone, "client left")                                                                  \
    E(drained, "server shut down")                                                                 \
    E(late_hold, "its hold came too late")                                                         \
    E(over_cap, "cut: its hold could not grow")

enum route_end {
#define E(name, text) END_##name,
    ROUTE_ENDS(E)
#undef E
        END_COUNT
};
const char *route_end_name(enum route_end e);
const char *route_end_text(enum route_end e);

struct route_attempt {
    const struct candidate *candidate;
    enum route_end end;
    int http_status;        /* 0 = none */
    int64_t retry_after_ms; /* -1 = not stated */
    bool sent;              /* request bytes may have left */
};

struct route {
    struct plan *plan; /* its order changes by route_put_off only */
    int next;          /* index of the next candidate to try */
    int first_refused; /* candidate whose hold was refused first since the last attempt; -1 */
    int n_attempts;
    struct route_attempt attempts[ROUTE_ATTEMPTS_MAX];
    bool committed;          /* a byte has gone to the client: no failover any more */
    bool another_credential; /* the caller: the running attempt's endpoint has one left to try */
    int n_models;
    uint32_t refused_models; /* bit per model_rank: a provider called the request bad for it */
};

enum route_step {
    ROUTE_TRY,  /* try route_current() */
    ROUTE_PASS, /* hand the last attempt's own answer to the client, status and body unmodified */
    ROUTE_FAIL, /* answer with ret_code (see errors.def) */
    ROUTE_ERROR_EVENT, /* committed: end the stream with an error event */
    ROUTE_DONE
};

struct route_action {
    enum route_step step;
    enum err code;          /* for ROUTE_FAIL */
    int64_t retry_after_ms; /* -1 = none */
};

void route_begin(struct route *r, struct plan *plan, int n_models);
/* The first action: ROUTE_TRY, or ROUTE_FAIL ERR_no_endpoint for an empty plan. */
struct route_action route_first(struct route *r);
const struct candidate *route_current(const struct route *r);
/* The attempt that is running; valid after ROUTE_TRY. */
struct route_attempt *route_attempt(struct route *r);
/* The hold for the current candidate was refused by a cap (not an attempt): go on with a
 * cheaper candidate if there is one; ROUTE_FAIL with `code` otherwise. */
struct route_action route_hold_refused(struct route *r, enum err code, int64_t retry_after_ms);
/* The request cannot be put into the current candidate's protocol (not an attempt): go on with the
 * next; ROUTE_FAIL with `code` when there is none. */
struct route_action route_build_refused(struct route *r, enum err code);
/* After that ROUTE_FAIL: back to the candidate whose hold was refused first, to be tried with less
 * (server/call_size.c, clamp), and the cheaper ones after it. */
void route_hold_again(struct route *r);
/* The current candidate is out (plan.h): it moves behind all others, and the one that stands there
 * now is tried.  Only while route_has_more(). */
struct route_action route_put_off(struct route *r);
bool route_has_more(const struct route *r);
/* The retry budget does not pay for the current candidate (not an attempt): ROUTE_TRY another, or
 * the answer for the attempts made. */
struct route_action route_pass_over(struct route *r);
/* Nothing else can be tried (a hold was refused, or a build): the answer for the attempts made. */
struct route_action route_stop(const struct route *r);
/* No retry begins any more: the answer for the attempts made. */
struct route_action route_give_up(struct route *r);
/* The response head is known: ROUTE_TRY = give this one up and try the next, which is the same
 * endpoint where another_credential was set; ROUTE_DONE = relay it
 * (2xx); ROUTE_PASS / ROUTE_FAIL = stop with this answer. */
struct route_action route_on_head(struct route *r, int http_status, int64_t retry_after_ms);
/* The attempt ended without a usable answer (connect, timeout, reset, foreign, truncated ...).
 * stale, and none is left: the same candidate once more, on a connection of its own. */
struct route_action route_on_end(struct route *r, enum route_end end);
/* The current attempt repeats the one before, which met a dead connection. */
bool route_is_repeat(const struct route *r);

#endif
