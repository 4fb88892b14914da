/* The plan: which endpoints may serve this request, in which order, at what cost, and
 * why each other one may not.  A pure function of (request, catalog, policy, health,
 * seed): the same inputs give the same plan, byte for byte.
 *
 * Contract: docs/api.md "Filters" and "Order". */
#ifndef ROUTER_PLAN_H
#define ROUTER_PLAN_H

#include "router/estimate.h"
#include "router/health.h"

/* REASON(enum, wire word), in filter order: an endpoint keeps the first. */
#define PLAN_REASONS(R)                                                                            \
    R(key_policy, "key_policy")                                                                    \
    R(allowed_providers, "allowed_providers")                                                      \
    R(no_credential, "no_credential")                                                              \
    R(quantization, "quantization")                                                                \
    R(data_training, "data_policy:training")                                                       \
    R(data_zdr, "data_policy:zdr")                                                                 \
    R(distillable, "distillable")                                                                  \
    R(unpriced, "unpriced")                                                                        \
    R(max_price, "max_price")                                                                      \
    R(capability, "capability")                                                                    \
    R(require_parameters, "require_parameters")                                                    \
    R(context_length, "context_length")                                                            \
    R(max_completion_tokens, "max_completion_tokens")                                              \
    R(max_total_cost, "max_total_cost")                                                            \
    R(budget, "budget")

enum reason {
    REASON_NONE,
#define R(name, word) REASON_##name,
    PLAN_REASONS(R)
#undef R
        REASON_COUNT
};
const char *reason_word(enum reason r);

/* What the key allows: its own lists, intersected / united with the request's. */
struct policy {
    const char *const *models; /* NULL = all; catalog ids or aliases, NULL-terminated */
    const char *const *only;   /* NULL = all; a tier named here is open */
    const char *const *ignore; /* NULL = none */
    bool zdr;
};

struct candidate {
    const struct endpoint *endpoint;
    int model_rank;        /* index into chat->models */
    int64_t expected_pusd; /* of this request */
    int64_t ahead_pusd;    /* of the turns that are expected to follow it there: by ahead */
    int64_t order_pusd;    /* both: what endpoints are compared by */
    int64_t worst_nusd;
    int64_t hold_nusd; /* held at first: less than the worst case where the hold can grow */
    struct estimate estimate;
    struct estimate_ahead ahead;
    bool outage, held_back, warm, slow; /* slow: misses a preferred_* threshold */
    bool out;                           /* ejected, or half-open while its probe runs */
    bool half_open;                     /* after an ejection, and nobody probes it */
    bool explored;                      /* put first to learn how it is */
    bool listed;                        /* named in provider_order */
    bool put_last;                      /* plan_put_last was called for it */
    const char *held_why;               /* static sentence: why it is held back, or NULL */
    const char *why;                    /* static sentence: why it stands at this rank */
};

/* What struct exclusion.detail tells apart, for the reasons with several causes.  max_price:
 * the enum price_item; require_parameters: the enum param that is missing. */
enum plan_cause {
    CAUSE_NONE,
    CAUSE_KEY_MODEL,
    CAUSE_KEY_ONLY,
    CAUSE_KEY_IGNORE, /* key_policy */
    CAUSE_ONLY,
    CAUSE_IGNORE,
    CAUSE_TIER,
    CAUSE_TERMS_UNASKED,
    CAUSE_ORDER,
    CAUSE_NOT_FIRST, /* allowed_providers */
    CAUSE_CREDENTIAL,
    CAUSE_ADDRESS,
    CAUSE_ADAPTER, /* no_credential */
    CAUSE_TERMS,
    CAUSE_SOUND,
    CAUSE_SPEECH, /* unpriced */
    CAUSE_TOOLS,
    CAUSE_IMAGES,
    CAUSE_DOCUMENTS,
    CAUSE_AUDIO,
    CAUSE_PREFILL,
    CAUSE_FORCED_TOOL,
    CAUSE_UNTOLD_TOOL,
    CAUSE_SERVER_TOOL /* capability; the last
                       * plus i: the i-th server tool of the request */
};

struct exclusion {
    const struct endpoint *endpoint;
    int model_rank;
    enum reason reason;
    int32_t detail; /* an enum plan_cause, or as said there */
};

/* How the server answers what the plan cannot know. All may be NULL. */
struct plan_inputs {
    const struct catalog *catalog;
    const struct chat *chat;
    const struct policy *policy;
    int64_t now_ms;
    uint64_t seed;
    /* Health of endpoint->index. */
    void (*health)(void *ctx, uint32_t endpoint_index, struct health_view *ret);
    /* What of this chat's prompt is believed to be in the endpoint's cache now. */
    void (*cached)(void *ctx, const struct endpoint *e, struct estimate_cache *ret);
    /* How this conversation is expected to go on there. */
    void (*ahead)(void *ctx, const struct endpoint *e, struct estimate_ahead *ret);
    /* What was learned of this model: bounds of sizes, and what to expect of this request. */
    void (*learned)(void *ctx, const struct model *m, struct estimate_learned *ret_bounds,
                    struct estimate_expected *ret);
    bool bound_strict; /* bounds are what is provable, whatever was learned */
    void *ctx;
};

enum { PLAN_ENDPOINTS_MAX = 1 << 20 }; /* of all models of one request */

struct plan {
    int n_candidates, n_excluded;
    struct candidate *candidates; /* in the order to be tried */
    struct exclusion *excluded;
    bool no_fallbacks;    /* stop after the first (or after the order list: already cut) */
    bool unknown_model;   /* no model of the request is in the catalog */
    bool model_forbidden; /* chat->models[0] is known and the key may not use it at all */
    bool tiny_cap_warning;
    /* memory, kept between plans */
    int cap_candidates, cap_excluded;
    void *scratch;
    size_t scratch_cap;
};

void plan_init(struct plan *p);
void plan_done(struct plan *p);
/* Bytes that are kept between plans. */
size_t plan_memory(const struct plan *p);
/* 0, or -1 on no memory (or more than PLAN_ENDPOINTS_MAX endpoints).  An empty plan is not an error
 * of this function. */
int plan_make(struct plan *p, const struct plan_inputs *in);
/* The candidate moves behind all others, those between move up by one: its probe has begun
 * elsewhere, or it was ejected since the plan was made. */
void plan_put_last(struct plan *p, int index);

/* A sentence for one exclusion: "its prompt price of 3 USD per million tokens is above
 * provider_max_prompt_price 1". The inputs must be those of the plan. */
void plan_detail(const struct plan_inputs *in, const struct exclusion *x, struct buf *out);
/* The message of the 404: which models, which filters, the nearest miss. */
void plan_explain_empty(const struct plan_inputs *in, const struct plan *p, struct buf *out);

#endif
