/* The inputs of a plan. */
#include "server/planning.h"

#include <stdlib.h>

#include "router/route.h"

bool planning_seed(uint64_t *ret)
{
    const char *text = getenv("WAYFARE_SEED");
    if (text == NULL || *text == '\0') {
        return false;
    }
    *ret = strtoull(text, NULL, 10);
    return true;
}

/* Why an endpoint waits that has no credential at hand; NULL: its retry-after. */
static const char *const WHY_HELD[] = {
    [REFUSAL_NONE] = NULL,
    [REFUSAL_LIMITED] = NULL,
    [REFUSAL_BARRED] = "held back: it refuses the operator's credentials for this model",
    [REFUSAL_INVALID] = "held back: it refuses the operator's credentials",
    [REFUSAL_SPENT] = "held back: the spend limit of the operator's credentials is used up",
};

void planning_health(struct state *s, const struct endpoint *e, int64_t now_ms,
                     struct health_view *ret)
{
    struct keyring_view keys;
    state_health_look(s, e->id, now_ms, ret);
    state_credential_look(s, e, now_ms, &keys);
    if (keys.why != REFUSAL_NONE) {
        ret->held_back = true;
        ret->held_back_until_ms = keys.until_ms;
        ret->held_why = WHY_HELD[keys.why];
        ret->explorable = false; /* its time says when, as for any retry-after */
    }
}

static const struct {
    enum chat_door door;
    const char *protocol;
} FORMATS[] = {{DOOR_OPENAI, "openai"}, {DOOR_ANTHROPIC, "anthropic"}}; /* native_format - 1 */

static struct provider_target target_of(const struct endpoint *e)
{
    return (struct provider_target){
        .slug = e->slug, .base_url = e->provider->base_url, .upstream_model = e->upstream_model};
}

bool planning_is_other_format(const struct provider_config *c, const struct endpoint *e)
{
    const struct provider_target target = target_of(e);
    const struct provider *own = e->provider->adapter;
    return c != NULL && c->native_format != 0 && own != NULL &&
           own->native_door(&target) != FORMATS[c->native_format - 1].door;
}

const struct provider *planning_adapter(const struct chat *chat, const struct endpoint *e)
{
    const struct provider_config *c = prefs_config(&chat->prefs, e->slug, e->provider->slug);
    return planning_is_other_format(c, e) ? provider_find(FORMATS[c->native_format - 1].protocol)
                                          : e->provider->adapter;
}

bool planning_is_native(const struct chat *chat, const struct endpoint *e)
{
    const struct provider_target target = {
        .slug = e->slug, .base_url = e->provider->base_url, .upstream_model = e->upstream_model};
    return planning_adapter(chat, e)->native_door(&target) == chat->door;
}

int planning_keep_native(const struct chat *chat, struct plan *plan)
{
    int n = 0, all = plan->n_candidates;
    for (int i = 0; i < all && chat->native_state != NULL; i++) {
        if (planning_is_native(chat, plan->candidates[i].endpoint)) {
            plan->candidates[n++] = plan->candidates[i];
        }
    }
    plan->n_candidates = chat->native_state != NULL ? n : all;
    return all - plan->n_candidates;
}

/* The request brings an account or an address of its own: what the operator's calls have left in
 * caches is not there, and what his credentials are refused is no matter. */
static bool is_elsewhere(const struct plan_source *s, const struct endpoint *e)
{
    const struct provider_config *c = prefs_config(&s->ask.chat->prefs, e->slug, e->provider->slug);
    return c != NULL && prefs_config_is_elsewhere(c);
}

static void look_health(void *ctx, uint32_t endpoint_index, struct health_view *ret)
{
    const struct plan_source *s = ctx;
    const struct endpoint *e = &s->catalog->endpoints[endpoint_index];
    if (is_elsewhere(s, e)) {
        state_health_look(s->state, e->id, s->now_ms, ret);
    } else {
        planning_health(s->state, e, s->now_ms, ret);
    }
}

static void look_warm(void *ctx, const struct endpoint *e, struct estimate_cache *ret)
{
    const struct plan_source *s = ctx;
    if (!is_elsewhere(s, e)) {
        warm_of(&s->warm, e->id, ret);
    }
}

static void look_ahead(void *ctx, const struct endpoint *e, struct estimate_ahead *ret)
{
    const struct plan_source *s = ctx;
    warm_ahead(state_warm(s->state), &s->ask, e, s->now_ms, ret);
    if (is_elsewhere(s, e)) {
        ret->keep_ppm = 0;
    }
}

static void look_learned(void *ctx, const struct model *m, struct estimate_learned *ret_bounds,
                         struct estimate_expected *ret)
{
    const struct plan_source *s = ctx;
    const struct forecast_ask ask = {m->slug, s->ask.key_id, s->ask.shape};
    state_learned(s->state, &ask, ret_bounds, ret);
}

void plan_inputs_fill(struct plan_inputs *ret_in, struct plan_source *source,
                      const struct chat *chat, const struct key_row *key, uint64_t seed)
{
    source->warm.n = 0;
    source->ask = (struct warm_ask){
        .chat = chat, .key_id = key != NULL ? key->id : 0, .shape = forecast_shape(chat)};
    if (source->state != NULL) {
        warm_look(state_warm(source->state), chat, source->now_ms, &source->warm);
    }
    *ret_in = (struct plan_inputs){
        .catalog = source->catalog,
        .chat = chat,
        .policy = key != NULL ? &key->policy : NULL,
        .now_ms = source->now_ms,
        .seed = seed,
        .health = source->state != NULL ? look_health : NULL,
        .cached = source->warm.n > 0 ? look_warm : NULL,
        .ahead = source->state != NULL && warm_is_worth(chat) ? look_ahead : NULL,
        .learned = source->state != NULL ? look_learned : NULL,
        .bound_strict = key == NULL || key->bound_strict,
        .ctx = source,
    };
}
