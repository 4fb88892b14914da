/* Sums over the requests of an experiment, arm by arm: what experiment_report_db.h makes figures
 * of.  One pass over the requests, and one over the feedback.  Memory grows with the units (a few
 * dozen bytes for each: router/units.h), not with what they send. */
#ifndef ROUTER_EXPERIMENT_SUMS_DB_H
#define ROUTER_EXPERIMENT_SUMS_DB_H

#include "router/db.h"
#include "router/verdict.h"
#include "schema/usage.h"

enum {
    /* Of each arm, in which its units are added up in turn: those of a cell are independent of
     * those of the others, and variances stay right.  Up to so many units have one each. */
    SUMS_CELLS = 4096,
    SUMS_SPREAD_BUCKETS = 2048,
    SUMS_SPREAD_EXACT_MS =
        100, /* below, a bucket is a millisecond; above, each is 1 per cent wider */
    SUMS_SPREAD_GROWTH_PERCENT = 1
};

/* How times are distributed. */
struct sums_spread {
    int64_t n;
    uint32_t count[SUMS_SPREAD_BUCKETS];
};
/* The time (ms) that `percent` of them do not exceed, within half a per cent; -1: there is none. */
int64_t sums_spread_at(const struct sums_spread *s, int percent);
void sums_spread_add(struct sums_spread *s, int64_t ms);

struct sums_arm {
    int64_t requests, ok, errors, canceled, attempts; /* requests: all that have ended */
    int64_t cost_nusd;                                /* of all attempts, failed ones too */
    int64_t tok[USAGE_BUCKET_COUNT];
    /* Of requests that went well; and of those that the client gave up on, as far as they came: it
     * would have taken longer. */
    struct sums_spread latency, first_token;
    int64_t n[VERDICT_METRICS_MAX]; /* values that a mean is of */
};

struct sums {
    struct sums_arm arms[EXPERIMENT_ARMS_MAX];
    struct verdict_data data; /* its names are the caller's */
};

/* Fills arms and data.arms[].units, .unnamed, .largest and .means of an experiment whose arms and
 * metrics stand in ret->data.  Cost in USD per request, latency in ms.  Requests that do not name
 * the experiment's unit are in the sums and in no mean: they would be one large unit, their key.
 * 0, or -1 with reterr. */
int sums_db_read(struct db *db, const char *experiment, struct sums *ret, struct fail *reterr);

#endif
