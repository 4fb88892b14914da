/* What recorded attempts would have cost elsewhere: each is put where a plan under other
 * preferences would have sent it, and its tokens are priced there.  Pure; integers only.
 *
 * Exact are the tokens; assumed is the rest (docs/replay.md):
 *  - without preferences an attempt stays on the endpoint that served it;
 *  - with them the first candidate of the plan serves it, all endpoints being healthy and every
 *    provider usable; a draw is made once for each attempt, by the seed it comes with;
 *  - provider_max_total_cost is compared with what the attempt costs there, since its worst case is
 *    not recorded: a server would leave out as many or more;
 *  - the order is that of this attempt's own cost, without the turns that followed it;
 *  - what was read from a cache and written to one would have been so elsewhere, at that
 *    endpoint's prices; where it states none, at the price of the prompt.
 * One thread. */
#ifndef ROUTER_REPLAY_H
#define ROUTER_REPLAY_H

#include "router/plan.h"

/* What was recorded of one attempt. Borrowed. */
struct replay_fact {
    const char *model, *provider; /* ids of the catalog of then: the model's, the endpoint's slug */
    const struct policy *policy;  /* of its key; NULL = none */
    struct usage_report usage;
    int n_images;
    uint64_t seed;
};

/* Why no endpoint is left, besides the filters of a plan. */
#define REPLAY_UNKNOWN_MODEL "unknown_model"
#define REPLAY_NOT_LISTED "not_listed"

struct replay_choice {
    const struct endpoint *endpoint; /* NULL: none; of the replay's catalog */
    const char *reason;              /* then: REPLAY_..., or reason_word of the nearest miss */
    int64_t cost_nusd;               /* else: rounded up once, as a settlement is */
};

/* A discount: in millionths of the price, of every endpoint that `provider` covers. */
enum { REPLAY_DISCOUNTS_MAX = 64, REPLAY_PPM = 1000000 };
struct replay_discounts {
    int n;
    struct {
        char provider[PREFS_SLUG_MAX]; /* slug, with or without a variant */
        int64_t ppm;
        bool used; /* it covered something */
    } row[REPLAY_DISCOUNTS_MAX];
};

/* "PROVIDER=PERCENT", such as "deepinfra=12.5": up to four decimals, 0 to 100. */
int replay_discount_add(struct replay_discounts *d, const char *text, struct fail *reterr);

/* A copy in which every provider can be used and the discounts are taken off (of several that
 * cover an endpoint, one after the other), each price rounded up to a whole pico-dollar per unit.
 * A discount that covers nothing is an error.  The caller unrefs it; NULL with reterr. */
struct catalog *replay_catalog(const struct catalog *from, struct replay_discounts *discounts,
                               struct fail *reterr);

struct replay {
    const struct catalog *catalog; /* borrowed */
    bool plans;                    /* replay_prefs was called */
    bool capped;                   /* it had a provider_max_total_cost */
    int64_t cap_nusd;
    struct chat chat;
    struct plan plan;
    const struct replay_fact *fact; /* in replay_attempt */
    const struct endpoint *served;  /* its endpoint in this catalog; NULL: it is not there */
};

void replay_init(struct replay *r, const struct catalog *catalog);
void replay_done(struct replay *r);
/* Attempts are planned anew, under these preferences (flat or nested form). */
int replay_prefs(struct replay *r, struct span text, struct fail *reterr);
/* -1: memory is short, or its cost cannot be counted. */
int replay_attempt(struct replay *r, const struct replay_fact *fact, struct replay_choice *ret,
                   struct fail *reterr);
/* The endpoint that served it, as this catalog has it; NULL: it is not there (any more). */
const struct endpoint *replay_served(const struct catalog *c, const struct replay_fact *fact);
/* What an attempt costs at this price; inner calls at those of the endpoint's provider (e NULL: at
 * the same).  false: more than can be counted. */
bool replay_cost(const struct catalog *c, const struct endpoint *e, const struct price *price,
                 const struct replay_fact *fact, int64_t *ret_nusd);

#endif
