/* The order of the plan: provider_order, sort, or the default draw; outage, ejection and missed
 * preferences move an endpoint back; a probe and an exploration put one first.  Used by plan.c
 * only.  Pure. */
#ifndef ROUTER_PLAN_ORDER_H
#define ROUTER_PLAN_ORDER_H

#include "router/plan.h"

/* Where a candidate stands: smaller first, by block, then metric, cost, cache. */
struct order_key {
    uint32_t block;
    uint32_t index; /* of the candidate before ordering; decides the last tie */
    uint32_t cache; /* 0: warm; 1: will be warm for the next turn; 2: neither */
    uint64_t metric, cost;
    int order_at;                 /* filled by plan.c: entry of provider_order, or -1 */
    uint64_t throughput, latency; /* filled by plan.c: p50, 0 / UINT64_MAX = not measured */
    bool explorable;              /* likewise: struct health_view */
};

/* Draws that learn how an endpoint is, and what they may cost: the bill of all requests
 * together rises by EXPLORE_PERCENT * (EXPLORE_COST_MULTIPLE - 1) = 2 per cent at the most. */
enum { EXPLORE_PERCENT = 1, EXPLORE_COST_MULTIPLE = 3 };

/* Marks the candidate's health: outage, held_back, slow, out, half_open; and the figures sorts
 * need. */
void order_note_health(const struct prefs *prefs, const struct health_view *view,
                       struct candidate *c, struct order_key *key);
/* Orders `keys` (one per candidate, index = its position) and sets each candidate's `why`. */
void order_sort(const struct plan_inputs *in, struct candidate *candidates, struct order_key *keys,
                int n);

#endif
