/* Which attempts may begin.  Retries that go to an endpoint in trouble have a budget, so that a
 * model whose endpoints are all down is not asked several times as often as its clients ask;
 * a request with the client's patience nearly used up begins no other; an endpoint that was
 * ejected, or whose probe is running, waits until nothing else is left.  Pure: time is an
 * argument.  Contract: docs/api.md "Health" and "Failover".
 *
 * The server keeps one budget per model behind the mutex of its health table. */
#ifndef ROUTER_RETRY_H
#define ROUTER_RETRY_H

#include "router/health.h"

enum {
    RETRY_PERCENT = 20, /* of the requests of RETRY_SLOT_MS * RECENT_SLOTS = 10 s */
    RETRY_SLOT_MS = 1000,
    RETRY_BURST_PERCENT = 130,  /* of a second's part of that, in one second */
    RETRY_MIN_PER_S = 3,        /* a model with few requests has its retries */
    RETRY_MIN_AT_ONCE = 10,     /* and a third of those of 10 s in one second */
    RETRY_PATIENCE_PERCENT = 80 /* of the client's time: after that no retry begins */
};

struct retry_budget {
    struct recent counts; /* all: requests, bad: retries, also those that nothing could refuse */
    struct recent paid;   /* bad: those that it has paid for */
};

enum retry_verdict {
    RETRY_GO,
    RETRY_PUT_OFF, /* try the others first */
    RETRY_NO_BUDGET,
    RETRY_NO_TIME
};

struct retry_ask {
    bool first;  /* the request's first attempt: never refused */
    bool count;  /* the request has not been counted yet */
    bool listed; /* named in provider_order: the caller's word, neither put off nor paid for */
    bool last;   /* nothing else is left to try, or it was put off before */
    int64_t elapsed_ms;
    int64_t patience_ms; /* how long the client waits; 0 = it does not say */
};

/* For RETRY_GO the attempt has begun: *ticket is filled, a request or a retry counted. */
enum retry_verdict retry_begin(struct retry_budget *budget, struct health *h, int64_t now_ms,
                               const struct retry_ask *ask, struct breaker_ticket *ticket);

#endif
