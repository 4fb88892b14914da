/* Rate limits of API keys: requests and tokens in any 60 s, requests at a time.  One table for
 * all threads, in memory: a restart begins with an empty minute.  Pure but for its locks: time
 * is an argument, of a clock that is the same for all threads (monotonic; what steps back counts
 * as the latest time seen).
 *
 * A window of slots of one second: what was taken counts for 60 to 61 s, so that no 60 s
 * whatsoever hold more than the limit.  A request takes all three or none.  Tokens are taken by
 * an estimate and corrected to what was used when the request ends: what was too much is given
 * back where it was taken, what is above the estimate counts from then on.
 *
 * Contract: docs/api.md "Rate limits". */
#ifndef ROUTER_RATE_H
#define ROUTER_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum rate_limit { RATE_RPM, RATE_TPM, RATE_CONCURRENCY, RATE_LIMITS };

/* By enum rate_limit.  Limits: 0 = none. */
struct rate_numbers {
    int64_t n[RATE_LIMITS];
};

enum rate_verdict { RATE_OK, RATE_REFUSED, RATE_NO_MEMORY };

/* Of the limits that are in the way the one that is longest so. */
struct rate_refusal {
    enum rate_limit limit;
    int64_t max, used;
    int64_t needs; /* 1, or tokens */
    int64_t
        wait_ms; /* until it fits if nothing else comes; -1 = for ever: it needs more than max */
};

/* What one request has taken.  Zeroed: nothing. */
struct rate_ticket {
    int64_t key_id;
    int64_t second; /* the slot */
    int64_t tokens;
    bool taken;
};

struct rate;

/* NULL when memory is short. */
struct rate *rate_new(void);
void rate_free(struct rate *r);

/* Would rate_take refuse now?  Takes nothing. */
enum rate_verdict rate_check(struct rate *r, int64_t key_id, const struct rate_numbers *limits,
                             int64_t tokens, int64_t now_ms, struct rate_refusal *ret);
/* *ret_ticket is filled with RATE_OK, *ret with RATE_REFUSED. */
enum rate_verdict rate_take(struct rate *r, int64_t key_id, const struct rate_numbers *limits,
                            int64_t tokens, int64_t now_ms, struct rate_ticket *ret_ticket,
                            struct rate_refusal *ret);
/* The request has ended: it is no longer running, and used so many tokens.  Without effect when
 * the ticket has nothing; it has nothing afterwards. */
void rate_end(struct rate *r, struct rate_ticket *t, int64_t used_tok, int64_t now_ms);
/* The request was refused after all: as if it had not come. */
void rate_give_back(struct rate *r, struct rate_ticket *t, int64_t now_ms);

/* What counts against the limits now. */
void rate_look(struct rate *r, int64_t key_id, int64_t now_ms, struct rate_numbers *ret);
/* How many keys are remembered: those that run something or did within the last minute, and
 * some that have not been swept yet. */
int64_t rate_keys(struct rate *r);

const char *rate_limit_name(enum rate_limit limit); /* "rpm" ... */

#endif
