/* Sums over the requests of an experiment, arm by arm: what experiment_report_db.h makes figures
 * of.  One pass over the requests, and one over the feedback; memory does not grow with them. */
#ifndef ROUTER_EXPERIMENT_SUMS_DB_H
#define ROUTER_EXPERIMENT_SUMS_DB_H

#include "router/db.h"
#include "router/verdict.h"
#include "schema/usage.h"

enum {
    /* Units are gathered in so many clusters per arm, by their hash: what several independent units
     * add up to is one independent cluster, and variances stay right. */
    SUMS_CLUSTERS = 4096,
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
    struct sums_spread latency, first_token; /* of requests that went well */
    int64_t n_feedback[EXPERIMENT_METRICS_MAX];
};

struct sums {
    struct sums_arm arms[EXPERIMENT_ARMS_MAX];
    struct verdict_data data; /* its names are the caller's */
};

/* Fills arms and data.arms[].units and .means of an experiment whose arms and metrics stand in
 * ret->data.  Cost in USD per request, latency in ms.  0, or -1 with reterr. */
int sums_db_read(struct db *db, const char *experiment, struct sums *ret, struct fail *reterr);

#endif
