/* One way to make a plan, for requests and for dry runs: what a plan cannot know by itself
 * (health, warm caches) comes from here. */
#ifndef SERVER_PLANNING_H
#define SERVER_PLANNING_H

#include "router/identity.h"
#include "router/plan.h"
#include "server/state.h"
#include "server/warm.h"

struct plan_source {
    const struct catalog *catalog;
    struct state *state; /* NULL: no server, no health known, nothing warm */
    int64_t now_ms;
    /* Of this chat and key; filled by plan_inputs_fill. */
    struct warm_ask ask;
    struct warm_hits warm;
};

/* WAYFARE_SEED, which makes draws repeatable.  false: there is none. */
bool planning_seed(uint64_t *ret);

/* Health of an endpoint, and whether the operator's credentials for it are held back. */
void planning_health(struct state *s, const struct endpoint *e, int64_t now_ms,
                     struct health_view *ret);

/* Does native_format of c (may be NULL) name another protocol than the endpoint's own? */
bool planning_is_other_format(const struct provider_config *c, const struct endpoint *e);
/* Who speaks to the endpoint for this request: its provider's adapter, unless the request says
 * (provider_configs.native_format) that the other protocol is spoken there. */
const struct provider *planning_adapter(const struct chat *chat, const struct endpoint *e);
/* Is that in the client's own protocol?  (The request may have to be mended all the same.) */
bool planning_is_native(const struct chat *chat, const struct endpoint *e);

/* A thread or a container (chat->native_state) is told to endpoints that speak the client's own
 * protocol alone: who is asked to go on with a thread otherwise sees its last message and nothing
 * else.  The other candidates leave the plan; their number. */
int planning_keep_native(const struct chat *chat, struct plan *plan);

/* source must outlive the use of ret_in. key may be NULL (no key policy). */
void plan_inputs_fill(struct plan_inputs *ret_in, struct plan_source *source,
                      const struct chat *chat, const struct key_row *key, uint64_t seed);

#endif
