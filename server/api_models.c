/* GET /v1/models, /v1/models/{id} and /v1/models/{id}/endpoints.  Prices here are decimal
 * strings in USD per token or unit, as in OpenRouter's listing. */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdlib.h>

#include "schema/money.h"
#include "schema/when.h"
#include "server/api.h"
#include "server/http.h"
#include "server/planning.h"

enum { MODELS_LIMIT_DEFAULT = 20, MODELS_LIMIT_MAX = 1000 };

static struct json_object *text(const char *s)
{
    return s != NULL ? json_object_new_string(s) : NULL;
}

static struct json_object *count_or_null(int64_t n)
{
    return n > 0 ? json_object_new_int64(n) : NULL;
}

/* The model as this key may see it: NULL when it may not use it, or nobody serves it. */
static const struct model *visible(const struct request *r, struct span name)
{
    const struct catalog *c = r->worker->catalog;
    const struct model *m = catalog_model(c, name);
    const char *const *allowed = r->key->policy.models;
    if (m == NULL || m->n_endpoints == 0) {
        return NULL;
    }
    if (allowed == NULL) {
        return m;
    }
    for (; *allowed != NULL; allowed++) {
        if (catalog_model(c, span_of(*allowed)) == m) {
            return m;
        }
    }
    return NULL;
}

static struct json_object *rates_json(const struct rates *rates)
{
    /* OpenRouter's names of the price items. */
    static const char *const names[PRICE_ITEM_COUNT] = {
        [PRICE_prompt] = "prompt",
        [PRICE_completion] = "completion",
        [PRICE_cache_read] = "input_cache_read",
        [PRICE_cache_write_5m] = "input_cache_write",
        [PRICE_cache_write_1h] = "input_cache_write_1h",
        [PRICE_request] = "request",
        [PRICE_image] = "image",
        [PRICE_web_search] = "web_search",
        [PRICE_audio] = "audio",
        [PRICE_audio_cache_read] = "input_audio_cache",
        [PRICE_audio_completion] = "audio_output",
    };
    struct json_object *o = json_object_new_object();
    char out[MONEY_TEXT_MAX];
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (rates->pusd[i] >= 0) {
            json_object_object_add(o, names[i],
                                   text(money_print(rates->pusd[i], MONEY_SCALE_UNIT, out)));
        }
    }
    return o;
}

static struct json_object *price_json(const struct price *p)
{
    struct json_object *o = rates_json(&p->base);
    if (p->n_tiers == 0) {
        return o;
    }
    struct json_object *overrides = json_object_new_array();
    for (int i = 0; i < p->n_tiers; i++) {
        struct json_object *tier = rates_json(&p->tiers[i].rates);
        json_object_object_add(tier, "min_prompt_tokens",
                               json_object_new_int64(p->tiers[i].above_prompt_tok + 1));
        json_object_array_add(overrides, tier);
    }
    json_object_object_add(o, "overrides", overrides);
    return o;
}

/* The endpoint a model is listed with: the cheapest that can be used, else the first. */
static const struct endpoint *headline(const struct model *m)
{
    const struct endpoint *best = NULL;
    for (int i = 0; i < m->n_endpoints; i++) {
        const struct endpoint *e = m->endpoints[i];
        bool usable = price_is_routable(&e->price) && endpoint_is_usual(e) &&
                      e->provider->adapter != NULL && provider_credential(e->provider, 0) != NULL;
        if (usable &&
            (best == NULL ||
             e->price.base.pusd[PRICE_prompt] + e->price.base.pusd[PRICE_completion] <
                 best->price.base.pusd[PRICE_prompt] + best->price.base.pusd[PRICE_completion])) {
            best = e;
        }
    }
    return best != NULL ? best : m->n_endpoints > 0 ? m->endpoints[0] : NULL;
}

static struct json_object *model_json(const struct request *r, const struct model *m)
{
    bool anthropic = r->door == DOOR_ANTHROPIC;
    const struct endpoint *e = headline(m);
    struct json_object *o = json_object_new_object();
    char when[WHEN_TEXT_MAX];
    json_object_object_add(o, "id", text(m->slug));
    if (anthropic) {
        json_object_object_add(o, "type", text("model"));
        json_object_object_add(o, "display_name", text(m->name));
        json_object_object_add(o, "created_at", text(when_print(m->created_ms, when)));
        json_object_object_add(o, "max_input_tokens",
                               count_or_null(e != NULL ? e->context_length : 0));
        json_object_object_add(o, "max_tokens",
                               count_or_null(e != NULL ? e->max_completion_tokens : 0));
    } else {
        json_object_object_add(o, "object", text("model"));
        json_object_object_add(o, "created", json_object_new_int64(m->created_ms / 1000));
        json_object_object_add(o, "owned_by", text(e != NULL ? e->provider->slug : "wayfare"));
        json_object_object_add(o, "name", text(m->name));
        json_object_object_add(o, "context_length",
                               count_or_null(e != NULL ? e->context_length : 0));
    }
    json_object_object_add(o, "pricing",
                           e != NULL ? price_json(&e->price) : json_object_new_object());
    return o;
}

/* ---- the list ---- */

struct page {
    int64_t limit;
    const char *after, *before;
};

static int read_page(const struct request *r, struct page *p, struct fail *f)
{
    bool anthropic = r->door == DOOR_ANTHROPIC;
    const char *limit = request_query(r, "limit");
    char *end = NULL;
    *p = (struct page){.limit = anthropic ? MODELS_LIMIT_DEFAULT : INT32_MAX,
                       .after = request_query(r, "after_id"),
                       .before = request_query(r, "before_id")};
    if (limit != NULL) {
        p->limit = strtoll(limit, &end, 10);
        if (*limit == '\0' || *end != '\0' || p->limit < 1 || p->limit > MODELS_LIMIT_MAX) {
            return fail_set(f, ERR_bad_request, "limit", "limit must be an integer from 1 to %d",
                            MODELS_LIMIT_MAX);
        }
    }
    return 0;
}

/* Models are ascending by slug; a page is the run after `after`, or the one before `before`. */
static struct json_object *page_of(const struct request *r, const struct page *p, bool *ret_more)
{
    const struct catalog *c = r->worker->catalog;
    struct json_object *data = json_object_new_array();
    int64_t first = 0, end = c->n_models, count = 0;
    while (p->after != NULL && first < end && strcmp(c->models[first].slug, p->after) <= 0) {
        first++;
    }
    while (p->before != NULL && end > first && strcmp(c->models[end - 1].slug, p->before) >= 0) {
        end--;
    }
    if (p->before != NULL) {
        int64_t start = end;
        while (start > first && count < p->limit) {
            count += visible(r, span_of(c->models[--start].slug)) != NULL ? 1 : 0;
        }
        *ret_more = start > first;
        first = start;
        count = 0;
    }
    int64_t i = first;
    for (; i < end && count < p->limit; i++) {
        if (visible(r, span_of(c->models[i].slug)) != NULL) {
            json_object_array_add(data, model_json(r, &c->models[i]));
            count++;
        }
    }
    while (p->before == NULL && i < end && visible(r, span_of(c->models[i].slug)) == NULL) {
        i++;
    }
    if (p->before == NULL) {
        *ret_more = i < end;
    }
    return data;
}

static struct json_object *id_at(struct json_object *data, size_t i)
{
    struct json_object *id = NULL;
    if (i < json_object_array_length(data)) {
        json_object_object_get_ex(json_object_array_get_idx(data, i), "id", &id);
    }
    return json_object_get(id);
}

void api_models(struct request *r)
{
    struct page p;
    struct fail f;
    bool more = false;
    if (read_page(r, &p, &f) != 0) {
        request_reply_fail(r, &f);
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *data = page_of(r, &p, &more);
    size_t n = json_object_array_length(data);
    if (r->door == DOOR_ANTHROPIC) {
        json_object_object_add(o, "data", data);
        json_object_object_add(o, "first_id", id_at(data, 0));
        json_object_object_add(o, "last_id", n > 0 ? id_at(data, n - 1) : NULL);
        json_object_object_add(o, "has_more", json_object_new_boolean(more));
    } else {
        json_object_object_add(o, "object", text("list"));
        json_object_object_add(o, "data", data);
    }
    request_reply_json(r, o);
}

static const struct model *model_or_404(struct request *r)
{
    const struct model *m = visible(r, span_of(r->parameter));
    if (m == NULL) {
        struct fail f;
        fail_set(&f, ERR_not_found, NULL, "model: %s", r->parameter);
        request_reply_fail(r, &f);
    }
    return m;
}

void api_model(struct request *r)
{
    const struct model *m = model_or_404(r);
    if (m != NULL) {
        request_reply_json(r, model_json(r, m));
    }
}

/* ---- endpoints of a model ---- */

static struct json_object *percentiles(bool has, const int64_t v[PERCENTILE_COUNT], int64_t divisor)
{
    static const char *const names[PERCENTILE_COUNT] = {"p50", "p75", "p90", "p99"};
    if (!has) {
        return NULL;
    }
    struct json_object *o = json_object_new_object();
    for (int i = 0; i < PERCENTILE_COUNT; i++) {
        json_object_object_add(o, names[i], json_object_new_int64(v[i] / divisor));
    }
    return o;
}

static struct json_object *words(uint32_t bits, int count, const char *(*name)(int))
{
    struct json_object *a = json_object_new_array();
    for (int i = 0; i < count; i++) {
        if ((bits >> i) & 1u) {
            json_object_array_add(a, text(name(i)));
        }
    }
    return a;
}

static const char *param_word(int i)
{
    return param_name((enum param)i);
}

static const char *modality_word(int i)
{
    return modality_name((enum modality)i);
}

static struct json_object *time_or_null(int64_t unix_ms)
{
    char when[WHEN_TEXT_MAX];
    return unix_ms > 0 ? text(when_print(unix_ms, when)) : NULL;
}

static const char *health_word(const struct health_view *v)
{
    switch (v->breaker.state) {
    case BREAKER_EJECTED:
        return "ejected";
    case BREAKER_HALF_OPEN:
        return "half_open";
    case BREAKER_CLOSED:
        break;
    }
    return v->outage ? "outage" : "ok";
}

static struct json_object *health_json(const struct health_view *v)
{
    struct json_object *o = json_object_new_object();
    bool ejected = v->breaker.state == BREAKER_EJECTED;
    json_object_object_add(o, "state", text(health_word(v)));
    json_object_object_add(o, "ejected_until", time_or_null(ejected ? v->breaker.until_ms : 0));
    json_object_object_add(o, "ejections_in_a_row", json_object_new_int(v->breaker.ejections));
    json_object_object_add(o, "held_back_until", time_or_null(v->held_back_until_ms));
    json_object_object_add(o, "attempts_last_30s", json_object_new_int64(v->attempts_30s));
    json_object_object_add(o, "failures_last_30s", json_object_new_int64(v->failures_30s));
    return o;
}

/* OpenRouter's: 0 is well. */
static int status_number(const struct health_view *v)
{
    bool out = v->breaker.state != BREAKER_CLOSED;
    return out ? -3 : v->outage ? -1 : v->held_back ? -2 : 0;
}

static void add_health(struct request *r, const struct endpoint *e, struct json_object *o)
{
    struct health_view v;
    planning_health(r->worker->site->state, e, r->begun_ms, &v);
    json_object_object_add(o, "status", json_object_new_int(status_number(&v)));
    json_object_object_add(o, "health", health_json(&v));
    json_object_object_add(
        o, "uptime_last_30s",
        v.attempts_30s > 0
            ? json_object_new_int64(100 - 100 * (int64_t)v.failures_30s / v.attempts_30s)
            : NULL);
    json_object_object_add(o, "latency_last_30m", percentiles(v.has_latency, v.latency_ms, 1));
    json_object_object_add(o, "throughput_last_30m",
                           percentiles(v.has_throughput, v.milli_tps, 1000));
}

static struct json_object *endpoint_json(struct request *r, const struct endpoint *e)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "name", text(e->slug));
    json_object_object_add(o, "model_id", text(e->model->slug));
    json_object_object_add(o, "model_name", text(e->model->name));
    json_object_object_add(o, "provider_name", text(e->provider->name));
    json_object_object_add(o, "tag", text(e->slug));
    json_object_object_add(o, "quantization", text(quantization_name(e->quantization)));
    json_object_object_add(o, "context_length", count_or_null(e->context_length));
    json_object_object_add(o, "max_completion_tokens", count_or_null(e->max_completion_tokens));
    json_object_object_add(o, "max_prompt_tokens", NULL);
    json_object_object_add(o, "input_modalities",
                           words(e->modalities, MODALITY_COUNT, modality_word));
    json_object_object_add(o, "supported_parameters", words(e->params, PARAM_COUNT, param_word));
    json_object_object_add(o, "speed", e->speed[0] != '\0' ? text(e->speed) : NULL);
    json_object_object_add(o, "inference_geo", e->geo[0] != '\0' ? text(e->geo) : NULL);
    json_object_object_add(o, "is_zdr", json_object_new_boolean(e->provider->zdr));
    json_object_object_add(o, "data_collection", text(e->provider->collects ? "allow" : "deny"));
    json_object_object_add(o, "usable",
                           json_object_new_boolean(price_is_routable(&e->price) &&
                                                   e->provider->adapter != NULL &&
                                                   provider_credential(e->provider, 0) != NULL));
    json_object_object_add(o, "pricing", price_json(&e->price));
    add_health(r, e, o);
    return o;
}

void api_model_endpoints(struct request *r)
{
    const struct model *m = model_or_404(r);
    if (m == NULL) {
        return;
    }
    struct json_object *o = json_object_new_object(), *data = json_object_new_object();
    struct json_object *endpoints = json_object_new_array();
    for (int i = 0; i < m->n_endpoints; i++) {
        json_object_array_add(endpoints, endpoint_json(r, m->endpoints[i]));
    }
    json_object_object_add(data, "id", text(m->slug));
    json_object_object_add(data, "name", text(m->name));
    json_object_object_add(data, "created", json_object_new_int64(m->created_ms / 1000));
    json_object_object_add(data, "endpoints", endpoints);
    json_object_object_add(o, "data", data);
    request_reply_json(r, o);
}
