/* The dry run: one plan, made as for a request, told instead of carried out. */
#include "server/dry_run.h"

#include <stdio.h>

#include "router/budget_db.h"
#include "router/preset.h"
#include "router/route.h"
#include "schema/chat.h"
#include "schema/money.h"
#include "server/no_endpoint.h"
#include "server/planning.h"
#include "server/provider_configs.h"

enum { DETAIL_MAX = 4096 };

/* ---- telling ---- */

static struct json_object *usd(int64_t amount, int scale)
{
    char text[MONEY_TEXT_MAX];
    if (amount == INT64_MAX)
        return NULL; /* more than can be counted */
    return json_object_new_string(money_print(amount, scale, text));
}

static struct json_object *thousandths(int64_t milli)
{
    char text[MONEY_TEXT_MAX];
    return json_tokener_parse(money_print(milli, 3, text));
}

static struct json_object *source_object(const char *by, int64_t samples)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "by", json_object_new_string(by));
    json_object_object_add(o, "samples", json_object_new_int64(samples));
    return o;
}

static struct json_object *sources_object(const struct estimate *e)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(
        o, "prompt_tokens",
        source_object(estimate_known_word(e->prompt_from.by), e->prompt_from.samples));
    json_object_object_add(
        o, "completion_tokens",
        source_object(estimate_known_word(e->completion_from.by), e->completion_from.samples));
    json_object_object_add(
        o, "cached_tokens",
        e->cache.tok == 0
            ? NULL
            : source_object(e->cache.samples > 0 ? "endpoint" : "default", e->cache.samples));
    return o;
}

static struct json_object *cost_object(const struct estimate_cost *c)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "prompt_usd", usd(c->prompt_pusd, MONEY_SCALE_UNIT));
    json_object_object_add(o, "cache_read_usd", usd(c->cache_read_pusd, MONEY_SCALE_UNIT));
    json_object_object_add(o, "cache_write_usd", usd(c->cache_write_pusd, MONEY_SCALE_UNIT));
    json_object_object_add(o, "completion_usd", usd(c->completion_pusd, MONEY_SCALE_UNIT));
    json_object_object_add(o, "fees_usd", usd(c->fee_pusd, MONEY_SCALE_UNIT));
    return o;
}

static struct json_object *estimate_object(const struct chat *chat, const struct candidate *c)
{
    const struct estimate *e = &c->estimate;
    struct estimate_cost cost;
    bool fits = estimate_cost(chat, c->endpoint, e, &cost);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "prompt_tokens", json_object_new_int64(e->prompt_tok));
    json_object_object_add(o, "cached_tokens", json_object_new_int64(e->cache.tok));
    json_object_object_add(o, "cache_hit_probability",
                           shape_share(e->cache.hit_ppm, ESTIMATE_SURE));
    json_object_object_add(o, "cache_read_tokens", json_object_new_int64(e->read_tok));
    json_object_object_add(o, "cache_write_tokens",
                           json_object_new_int64(e->write_5m_tok + e->write_1h_tok));
    json_object_object_add(o, "completion_tokens", json_object_new_int64(e->completion_tok));
    json_object_object_add(o, "following_turns", thousandths(c->ahead.turns_milli));
    json_object_object_add(o, "tier_above_prompt_tokens",
                           json_object_new_int64(fits ? cost.above_prompt_tok : 0));
    json_object_object_add(o, "cost", fits ? cost_object(&cost) : NULL);
    json_object_object_add(o, "from", sources_object(e));
    return o;
}

static struct json_object *endpoint_row(const struct endpoint *e)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "model", json_object_new_string(e->model->slug));
    json_object_object_add(o, "provider", json_object_new_string(e->slug));
    return o;
}

static struct json_object *plan_rows(const struct chat *chat, const struct plan *plan)
{
    struct json_object *rows = json_object_new_array();
    for (int i = 0; i < plan->n_candidates; i++) {
        const struct candidate *c = &plan->candidates[i];
        struct json_object *o = endpoint_row(c->endpoint);
        json_object_object_add(o, "rank", json_object_new_int(i + 1));
        json_object_object_add(o, "expected_cost_usd", usd(c->expected_pusd, MONEY_SCALE_UNIT));
        json_object_object_add(o, "following_cost_usd", usd(c->ahead_pusd, MONEY_SCALE_UNIT));
        json_object_object_add(o, "worst_cost_usd", usd(c->worst_nusd, MONEY_SCALE_NUSD));
        json_object_object_add(o, "estimate", estimate_object(chat, c));
        json_object_object_add(o, "why", json_object_new_string(c->why != NULL ? c->why : ""));
        json_object_array_add(rows, o);
    }
    return rows;
}

static struct json_object *excluded_rows(const struct plan_inputs *in, const struct plan *plan)
{
    struct json_object *rows = json_object_new_array();
    struct buf detail;
    buf_init(&detail, DETAIL_MAX);
    for (int i = 0; i < plan->n_excluded; i++) {
        const struct exclusion *x = &plan->excluded[i];
        struct json_object *o = endpoint_row(x->endpoint);
        buf_reset(&detail);
        plan_detail(in, x, &detail);
        json_object_object_add(o, "reason", json_object_new_string(reason_word(x->reason)));
        json_object_object_add(
            o, "detail",
            json_object_new_string_len(detail.len > 0 ? detail.ptr : "", (int)detail.len));
        json_object_array_add(rows, o);
    }
    buf_done(&detail);
    return rows;
}

static struct json_object *warning_rows(const struct chat *chat, const struct plan *plan,
                                        int not_native)
{
    struct json_object *rows = json_object_new_array();
    char text[FAIL_TEXT_MAX];
    if (not_native > 0) {
        snprintf(
            text, sizeof text,
            "%s is told to endpoints of its own protocol alone: %d that fit otherwise are left "
            "aside",
            chat->native_state, not_native);
        json_object_array_add(rows, json_object_new_string(text));
    }
    if (plan->tiny_cap_warning)
        json_object_array_add(
            rows, json_object_new_string("a price cap below 0.001 USD per million tokens looks "
                                         "like a price per token"));
    return rows;
}

/* What the first candidate would not be told: its call is built and thrown away. */
static struct json_object *dropped_rows(struct chat *chat, const struct plan *plan)
{
    struct json_object *rows = json_object_new_array();
    const struct endpoint *e = plan->n_candidates > 0 ? plan->candidates[0].endpoint : NULL;
    if (e == NULL)
        return rows;
    const struct provider_target target = {.slug = e->slug,
                                           .base_url = e->provider->base_url,
                                           .region = e->provider->region,
                                           .upstream_model = e->upstream_model,
                                           .max_completion_tokens = e->max_completion_tokens,
                                           .params = e->params,
                                           .rules = e->rules};
    const struct provider *adapter = planning_adapter(chat, e);
    if (!provider_must_rewrite(adapter, chat, &target))
        return rows;
    const struct client_headers headers = {.n_other = 0};
    struct drops drops = {.n = 0};
    struct dialog dialog;
    struct upreq call;
    dialog_init(&dialog);
    upreq_init(&call);
    const struct provider_ask ask = {.target = &target,
                                     .headers = &headers,
                                     .chat = chat,
                                     .dialog = &dialog,
                                     .max_tokens = chat->max_tokens,
                                     .drops = &drops};
    if (door_find(chat->door)->read(chat, &dialog, NULL) == 0) {
        drops = dialog.unread;
        adapter->build(&ask, &call, NULL);
    }
    for (int i = 0; i < drops.n; i++)
        json_object_array_add(rows, json_object_new_string(drops.names[i]));
    upreq_done(&call);
    dialog_done(&dialog);
    return rows;
}

static struct json_object *route_object(const struct plan_inputs *in, struct chat *chat,
                                        struct plan *plan)
{
    int not_native = planning_keep_native(chat, plan);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "plan", plan_rows(chat, plan));
    json_object_object_add(o, "excluded", excluded_rows(in, plan));
    json_object_object_add(o, "warnings", warning_rows(chat, plan, not_native));
    json_object_object_add(o, "dropped", dropped_rows(chat, plan));
    return o;
}

/* ---- planning ---- */

/* An empty plan is an answer, unless no such model exists or the key may not use it. */
static int check_model(const struct plan_inputs *in, const struct plan *plan, struct buf *members,
                       struct fail *reterr)
{
    if (plan->n_candidates > 0 || (!plan->model_forbidden && !plan->unknown_model))
        return 0;
    no_endpoint_tell(in, plan, reterr, members);
    return -1;
}

static int plan_and_tell(const struct plan_inputs *in, struct chat *chat, struct json_object **ret,
                         struct buf *members, struct fail *reterr)
{
    struct plan plan;
    int rc;
    plan_init(&plan);
    if (plan_make(&plan, in) != 0)
        rc = fail_set(reterr, ERR_internal, NULL, "out of memory for the plan");
    else
        rc = check_model(in, &plan, members, reterr);
    if (rc == 0)
        *ret = route_object(in, chat, &plan);
    plan_done(&plan);
    return rc;
}

/* What the arm changes is in the plan. NULL: it is in no experiment. */
static struct json_object *join(const struct dry_run *ask, struct chat *chat)
{
    struct experiment_who who = {0};
    struct experiment_place at;
    if (ask->experiments == NULL)
        return NULL;
    experiment_who_read(chat, ask->session, &who);
    who.names[UNIT_KEY].part[0] = span_of(ask->key != NULL ? ask->key->public_id : "");
    who.names[UNIT_REQUEST].part[0] = (struct span){(const char *)&ask->seed, sizeof ask->seed};
    experiments_assign(ask->experiments, ask->catalog, ask->key != NULL ? &ask->key->policy : NULL,
                       chat, &who, &at);
    if (at.experiment == NULL)
        return NULL;
    experiment_apply(at.arm, chat);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "name", json_object_new_string(at.experiment->name));
    json_object_object_add(o, "arm", json_object_new_string(at.arm->name));
    json_object_object_add(o, "unit", json_object_new_string(experiment_unit_name(at.unit)));
    return o;
}

/* A request that was read: into an experiment, under the key's preset, planned. */
static int run(const struct dry_run *ask, struct chat *chat, struct json_object **ret,
               struct buf *members, struct fail *reterr)
{
    struct plan_source source = {
        .catalog = ask->catalog, .state = ask->state, .now_ms = ask->now_ms};
    struct plan_inputs in;
    struct json_object *experiment = join(ask, chat);
    int rc = preset_apply(ask->key, &chat->prefs, reterr);
    if (rc == 0)
        rc = provider_configs_check(&chat->prefs, ask->catalog, ask->key, ask->allowed, reterr);
    if (rc == 0) {
        plan_inputs_fill(&in, &source, chat, ask->key, ask->seed);
        rc = plan_and_tell(&in, chat, ret, members, reterr);
    }
    if (rc == 0)
        json_object_object_add(*ret, "experiment", experiment);
    else
        json_object_put(experiment);
    return rc;
}

int dry_run(const struct dry_run *ask, struct json_object **ret, struct buf *members,
            struct fail *reterr)
{
    struct json_doc doc;
    struct chat chat;
    json_init(&doc);
    chat_init(&chat);
    int rc = json_parse(&doc, ask->body, reterr);
    if (rc == 0)
        rc = chat_read_anthropic(&chat, &doc, false, reterr);
    if (rc == 0)
        rc = run(ask, &chat, ret, members, reterr);
    chat_done(&chat);
    json_done(&doc);
    return rc;
}
