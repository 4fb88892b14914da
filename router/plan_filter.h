/* The filters of the plan: one endpoint at a time, in the contract's order, the first
 * reason is kept.  Used by plan.c only.  Pure. */
#ifndef ROUTER_PLAN_FILTER_H
#define ROUTER_PLAN_FILTER_H

#include "router/plan.h"

/* One endpoint under the eyes of the filters. Borrowed pointers, lives on plan.c's stack. */
struct look {
    const struct plan_inputs *in;
    const struct endpoint *endpoint;
    int model_rank;
    bool model_allowed;                /* by the key */
    struct estimate_learned learned;   /* of the model; used when in->learned is set */
    struct estimate_expected expected; /* likewise; nothing when it is not */
    int order_at;                      /* entry of provider_order that names it, or -1 */
    bool estimated;                    /* the members below are filled */
    struct estimate estimate;
    int64_t worst_nusd, hold_nusd;
};

/* Sets order_at; to be called before the others. */
void look_begin(struct look *k);
/* REASON_NONE: it stays, and the estimate is filled.  *ret_detail is set for any reason. */
enum reason look_filter(struct look *k, int32_t *ret_detail);

/* A tool of the request that cannot be told in the protocol that is spoken there; NULL: none. */
const char *look_untold_tool(const struct chat *chat, const struct endpoint *e);

/* The estimate of in->chat on this endpoint. */
void look_at_sizes(const struct plan_inputs *in, const struct endpoint *e,
                   const struct estimate_learned *learned, const struct estimate_expected *expected,
                   struct estimate *ret);

/* Whether the key allows the model at all; policy may be NULL. */
bool policy_allows_model(const struct policy *policy, const struct catalog *catalog,
                         const struct model *m);

#endif
