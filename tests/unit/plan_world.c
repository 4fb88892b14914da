/* The little language of the plan tables. */
#include "tests/unit/plan_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/money.h"

/* ---- words ---- */

bool next_word(const char **line, char *word, size_t cap)
{
    const char *p = *line + strspn(*line, " ");
    size_t len = strcspn(p, " ");
    if (len >= cap)
        ck_abort_msg("word too long: %s", p);
    memcpy(word, p, len);
    word[len] = '\0';
    *line = p + len;
    return len > 0;
}

static bool starts(const char *line, const char *word, const char **rest)
{
    size_t len = strlen(word);
    if (strncmp(line, word, len) != 0 || (line[len] != ' ' && line[len] != '\0'))
        return false;
    *rest = line + len;
    return true;
}

/* "name=value" -> value, or NULL. */
static const char *value_of(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static int64_t number(const char *text)
{
    char *end;
    long long n = strtoll(text, &end, 10);
    ck_assert_msg(end != text && *end == '\0', "not a number: %s", text);
    return n;
}

/* The next item of "a,b,c"; false at the end. */
static bool next_item(const char **list, char *item, size_t cap)
{
    size_t len = strcspn(*list, ",");
    ck_assert_uint_lt(len, cap);
    memcpy(item, *list, len);
    item[len] = '\0';
    *list += len + ((*list)[len] == ',' ? 1 : 0);
    return len > 0;
}

static uint32_t params_of(const char *list)
{
    char item[64];
    uint32_t bits = 0;
    enum param p;
    while (next_item(&list, item, sizeof(item))) {
        ck_assert_msg(param_parse(span_of(item), &p), "parameter %s", item);
        bits |= PARAM_BIT(p);
    }
    return bits;
}

static uint32_t modalities_of(const char *list)
{
    char item[64];
    uint32_t bits = 0;
    enum modality m;
    while (next_item(&list, item, sizeof(item))) {
        ck_assert_msg(modality_parse(span_of(item), &m), "modality %s", item);
        bits |= MODALITY_BIT(m);
    }
    return bits;
}

/* ---- the catalog ---- */

void world_begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->builder = catalog_builder_new();
    ck_assert_ptr_nonnull(w->builder);
    w->next_id = 1;
}

static void flush_endpoint(struct world *w)
{
    struct fail fail;
    if (!w->has_pending)
        return;
    w->pending.provider = w->provider;
    w->pending.variant = w->variant[0] != '\0' ? w->variant : NULL;
    for (int i = 0; i < w->pending.n_server_tools; i++)
        w->pending.server_tools[i] = w->server_tools[i];
    ck_assert_msg(catalog_add_endpoint(w->builder, &w->pending, &fail) == 0, "%s", fail.text);
    w->has_pending = false;
}

/* provider SLUG [collects] [zdr] [nocred] [protocol=P] */
static void provider_line(struct world *w, const char *rest)
{
    char slug[64], word[64], protocol[32] = "anthropic";
    struct fail fail;
    struct provider_spec s = {
        .id = w->next_id++,
        .base_url = "http://127.0.0.1:1",
        .region = "",
        .auth_type = AUTH_API_KEY,
        .timeouts = TIMEOUTS_DEFAULT,
        .n_credentials = 1,
    };
    s.credentials[0] = (struct credential){.kind = CREDENTIAL_NONE, .ref = ""};
    ck_assert(next_word(&rest, slug, sizeof(slug)));
    while (next_word(&rest, word, sizeof(word))) {
        if (strcmp(word, "collects") == 0)
            s.collects = true;
        else if (strcmp(word, "zdr") == 0)
            s.zdr = true;
        else if (strcmp(word, "nocred") == 0)
            s.credentials[0] = (struct credential){.kind = CREDENTIAL_ENV, .ref = "NOT_SET"};
        else if (value_of(word, "protocol") != NULL)
            memcpy(protocol, value_of(word, "protocol"), strlen(value_of(word, "protocol")) + 1);
        else
            ck_abort_msg("provider word %s", word);
    }
    s.slug = s.name = slug;
    s.protocol = protocol;
    ck_assert_msg(catalog_add_provider(w->builder, &s, &fail) == 0, "%s", fail.text);
}

/* model SLUG [distillable] [alias=A] */
static void model_line(struct world *w, const char *rest)
{
    char slug[64], word[64], alias[64];
    const char *aliases[1] = {alias};
    struct fail fail;
    struct model_spec s = {.id = w->next_id++, .aliases = aliases};
    flush_endpoint(w);
    ck_assert(next_word(&rest, slug, sizeof(slug)));
    while (next_word(&rest, word, sizeof(word))) {
        if (strcmp(word, "distillable") == 0) {
            s.distillable = true;
        } else {
            ck_assert_msg(value_of(word, "alias") != NULL, "model word %s", word);
            memcpy(alias, value_of(word, "alias"), strlen(value_of(word, "alias")) + 1);
            s.n_aliases = 1;
        }
    }
    s.slug = s.name = slug;
    ck_assert_msg(catalog_add_model(w->builder, &s, &fail) == 0, "%s", fail.text);
}

/* One "item=price"; false when the word is no price. */
static bool read_rate(struct rates *r, const char *word)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        const char *value = value_of(word, price_item_name((enum price_item)i));
        if (value == NULL)
            continue;
        int scale = price_item_scale((enum price_item)i);
        if (strcmp(value, "-") == 0)
            r->pusd[i] = -1;
        else
            ck_assert_int_eq(money_parse(span_of(value), scale, &r->pusd[i]), MONEY_OK);
        return true;
    }
    return false;
}

static uint32_t rules_of(const char *list)
{
    char item[64];
    uint32_t bits = 0;
    while (next_item(&list, item, sizeof(item))) {
        enum model_rule r = RULE_COUNT;
        ck_assert_msg(model_rule_parse(span_of(item), &r), "%s", item);
        bits |= RULE_BIT(r);
    }
    return bits;
}

static void no_rates(struct rates *r)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        r->pusd[i] = -1;
}

static void endpoint_word(struct world *w, const char *word)
{
    struct endpoint_spec *s = &w->pending;
    const char *v;
    if (read_rate(&s->price.base, word))
        return;
    if ((v = value_of(word, "context")) != NULL) {
        s->context_length = number(v);
    } else if ((v = value_of(word, "max")) != NULL) {
        s->max_completion_tokens = number(v);
    } else if ((v = value_of(word, "quant")) != NULL) {
        ck_assert_msg(quantization_parse(span_of(v), &s->quantization), "%s", v);
    } else if ((v = value_of(word, "in")) != NULL) {
        s->modalities = modalities_of(v);
    } else if ((v = value_of(word, "params")) != NULL) {
        s->params = params_of(v);
    } else if ((v = value_of(word, "rules")) != NULL) {
        s->rules = rules_of(v);
    } else if ((v = value_of(word, "speed")) != NULL) {
        s->speed = memcpy(w->speed, v, strlen(v) + 1);
    } else if ((v = value_of(word, "geo")) != NULL) {
        s->geo = memcpy(w->geo, v, strlen(v) + 1);
    } else {
        v = value_of(word, "server_tools");
        ck_assert_msg(v != NULL, "endpoint word %s", word);
        while (next_item(&v, w->server_tools[s->n_server_tools], sizeof(w->server_tools[0])))
            s->n_server_tools++;
    }
}

/* endpoint PROVIDER[/VARIANT] WORD...; defaults: text, tools and max_tokens, 1 USD in, 2 USD out */
static void endpoint_line(struct world *w, const char *rest)
{
    char slug[128], word[128];
    flush_endpoint(w);
    memset(&w->pending, 0, sizeof(w->pending));
    w->has_pending = true;
    ck_assert(next_word(&rest, slug, sizeof(slug)));
    char *slash = strchr(slug, '/');
    w->variant[0] = '\0';
    if (slash != NULL) {
        *slash = '\0';
        memcpy(w->variant, slash + 1, strlen(slash + 1) + 1);
    }
    memcpy(w->provider, slug, strlen(slug) + 1);
    w->pending.id = w->pending.price_version = w->next_id++;
    w->pending.upstream_model = "upstream";
    w->pending.modalities = MODALITY_BIT(MODALITY_text);
    w->pending.params = PARAM_BIT(PARAM_max_tokens) | PARAM_BIT(PARAM_tools);
    no_rates(&w->pending.price.base);
    w->pending.price.base.pusd[PRICE_prompt] = 1000000;
    w->pending.price.base.pusd[PRICE_completion] = 2000000;
    while (next_word(&rest, word, sizeof(word)))
        endpoint_word(w, word);
}

/* tier ABOVE item=price... */
static void tier_line(struct world *w, const char *rest)
{
    char word[128];
    struct price *p = &w->pending.price;
    ck_assert(w->has_pending && p->n_tiers < PRICE_TIERS_MAX);
    ck_assert(next_word(&rest, word, sizeof(word)));
    p->tiers[p->n_tiers].above_prompt_tok = number(word);
    no_rates(&p->tiers[p->n_tiers].rates);
    while (next_word(&rest, word, sizeof(word)))
        ck_assert_msg(read_rate(&p->tiers[p->n_tiers].rates, word), "%s", word);
    p->n_tiers++;
}

void world_line(struct world *w, const char *line)
{
    const char *rest;
    if (starts(line, "provider", &rest))
        provider_line(w, rest);
    else if (starts(line, "model", &rest))
        model_line(w, rest);
    else if (starts(line, "endpoint", &rest))
        endpoint_line(w, rest);
    else if (starts(line, "tier", &rest))
        tier_line(w, rest);
    else
        ck_abort_msg("catalog line '%s'", line);
}

static struct secret no_secret(void *ctx, enum credential_kind kind, const char *ref)
{
    (void)ctx;
    (void)kind;
    (void)ref;
    return (struct secret){.text = NULL};
}

void world_freeze(struct world *w)
{
    flush_endpoint(w);
    w->catalog = catalog_freeze(w->builder, 1, no_secret, NULL);
    ck_assert_ptr_nonnull(w->catalog);
}

void plan_world_end(struct world *w)
{
    if (w->catalog != NULL)
        catalog_unref(w->catalog);
    catalog_builder_free(w->builder);
    memset(w, 0, sizeof(*w));
}

struct world world_from_text(const char *text)
{
    struct world w;
    char line[512];
    world_begin(&w);
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        ck_assert_uint_lt(len, sizeof(line));
        memcpy(line, text, len);
        line[len] = '\0';
        if (len > 0)
            world_line(&w, line);
        text += len + (text[len] == '\n' ? 1 : 0);
    }
    world_freeze(&w);
    return w;
}

/* ---- the request ---- */

static void health_cb(void *ctx, uint32_t endpoint_index, struct health_view *ret)
{
    *ret = ((const struct ask *)ctx)->health[endpoint_index];
}

static void cached_cb(void *ctx, const struct endpoint *e, struct estimate_cache *ret)
{
    *ret = ((const struct ask *)ctx)->cached[e->index];
}

static void learned_cb(void *ctx, const struct model *m, struct estimate_learned *ret_bounds,
                       struct estimate_expected *ret)
{
    *ret_bounds = (struct estimate_learned){.completion_tok = 0};
    *ret = ((const struct ask *)ctx)->learned[m->index];
}

static void *zeroed(int n, size_t size)
{
    void *p = calloc((size_t)n + 1, size);
    ck_assert_ptr_nonnull(p);
    return p;
}

void ask_begin(struct ask *a, const struct catalog *catalog)
{
    memset(a, 0, sizeof(*a));
    a->catalog = catalog;
    a->chat.n_models = 1;
    a->chat.models[0].name[0] = 'm';
    a->chat.max_tokens = 1000;
    a->chat.params = PARAM_BIT(PARAM_max_tokens);
    a->chat.prompt_bytes = a->chat.prompt_chars = 4000;
    a->chat.parts.n_messages = 1;
    prefs_init(&a->chat.prefs);
    a->health = zeroed(catalog->n_endpoints, sizeof(a->health[0]));
    a->cached = zeroed(catalog->n_endpoints, sizeof(a->cached[0]));
    a->learned = zeroed(catalog->n_models, sizeof(a->learned[0]));
    a->in = (struct plan_inputs){
        .catalog = catalog,
        .chat = &a->chat,
        .policy = &a->policy,
        .seed = 1,
        .health = health_cb,
        .cached = cached_cb,
        .learned = learned_cb,
        .bound_strict = true,
        .ctx = a,
    };
}

void ask_end(struct ask *a)
{
    prefs_done(&a->chat.prefs);
    free(a->health);
    free(a->cached);
    free(a->learned);
}

bool names_endpoint(const char *word, const struct endpoint *e)
{
    const char *at = strchr(word, '@');
    if (at == NULL)
        return strcmp(word, e->slug) == 0;
    size_t len = (size_t)(at - word);
    return strncmp(word, e->model->slug, len) == 0 && e->model->slug[len] == '\0' &&
           strcmp(at + 1, e->slug) == 0;
}

/* ask MODEL[:floor|:nitro]... */
static void models_line(struct chat *c, const char *rest)
{
    char word[CHAT_MODEL_NAME_MAX];
    c->n_models = 0;
    while (next_word(&rest, word, sizeof(word))) {
        struct chat_model *m = &c->models[c->n_models++];
        char *colon = strchr(word, ':');
        m->suffix = SUFFIX_NONE;
        if (colon != NULL) {
            m->suffix = strcmp(colon, ":floor") == 0 ? SUFFIX_FLOOR : SUFFIX_NITRO;
            *colon = '\0';
        }
        memcpy(m->name, word, sizeof(word));
    }
}

static uint32_t needs_of(const char *list)
{
    char item[32];
    uint32_t needs = 0;
    while (next_item(&list, item, sizeof(item)))
        needs |= strcmp(item, "tools") == 0       ? (uint32_t)NEED_TOOLS
                 : strcmp(item, "images") == 0    ? (uint32_t)NEED_IMAGES
                 : strcmp(item, "documents") == 0 ? (uint32_t)NEED_DOCUMENTS
                 : strcmp(item, "audio") == 0     ? (uint32_t)NEED_AUDIO
                 : strcmp(item, "speech") == 0    ? 0
                                                  : (uint32_t)NEED_SERVER_TOOLS;
    return needs;
}

/* chat max_tokens=N bytes=N images=N documents=N searches=N cache=5m|1h needs=LIST params=LIST
 * server_tools=LIST own_tool=TYPE breaks=LIST speed=WORD geo=WORD */
static void chat_word(struct chat *c, const char *word)
{
    const char *v;
    if ((v = value_of(word, "max_tokens")) != NULL) {
        c->max_tokens = number(v);
    } else if ((v = value_of(word, "bytes")) != NULL) {
        c->prompt_bytes = c->prompt_chars = number(v);
    } else if ((v = value_of(word, "images")) != NULL) {
        c->n_images = (int)number(v);
    } else if ((v = value_of(word, "documents")) != NULL) {
        c->n_documents = (int)number(v);
    } else if ((v = value_of(word, "searches")) != NULL) {
        c->web_search_uses = number(v);
    } else if ((v = value_of(word, "cache")) != NULL) {
        c->cache_write_1h = strcmp(v, "1h") == 0;
        c->cache_write_5m = !c->cache_write_1h;
    } else if ((v = value_of(word, "needs")) != NULL) {
        c->needs = needs_of(v);
        c->sounds = (c->needs & NEED_AUDIO) != 0;
        c->speaks = strstr(v, "speech") != NULL;
    } else if ((v = value_of(word, "params")) != NULL) {
        c->params = params_of(v);
    } else if ((v = value_of(word, "breaks")) != NULL) {
        c->breaks = rules_of(v);
    } else if ((v = value_of(word, "speed")) != NULL) {
        snprintf(c->speed, sizeof(c->speed), "%s", v);
    } else if ((v = value_of(word, "geo")) != NULL) {
        snprintf(c->geo, sizeof(c->geo), "%s", v);
    } else if ((v = value_of(word, "own_tool")) != NULL) {
        snprintf(c->own_tool, sizeof(c->own_tool), "%s", v);
    } else {
        v = value_of(word, "server_tools");
        ck_assert_msg(v != NULL, "chat word %s", word);
        while (next_item(&v, c->server_tools[c->n_server_tools], CHAT_TOOL_TYPE_MAX))
            c->n_server_tools++;
    }
}

/* Each of these lines may speak of several endpoints: every one that the slug names. */
static void for_endpoint(struct ask *a, const char *rest,
                         void (*fn)(struct ask *a, uint32_t index, const char *word))
{
    char slug[128], word[128];
    int n = 0;
    ck_assert(next_word(&rest, slug, sizeof(slug)));
    for (int i = 0; i < a->catalog->n_endpoints; i++) {
        const char *words = rest;
        if (!names_endpoint(slug, &a->catalog->endpoints[i]))
            continue;
        n++;
        while (next_word(&words, word, sizeof(word)))
            fn(a, (uint32_t)i, word);
    }
    ck_assert_msg(n > 0, "no endpoint %s", slug);
}

/* "500" is every percentile; "p90:500" one. */
static void percentile_of(int64_t values[PERCENTILE_COUNT], const char *v)
{
    static const char *const NAMES[PERCENTILE_COUNT] = {"p50:", "p75:", "p90:", "p99:"};
    for (int p = 0; p < PERCENTILE_COUNT; p++) {
        if (strncmp(v, NAMES[p], 4) == 0)
            values[p] = number(v + 4);
        else if (v[0] != 'p')
            values[p] = number(v);
    }
}

/* health SLUG [outage] [held] [ejected] [half_open] [probed] [explorable] [latency=MS] [tps=MILLI]
 */
static void health_word(struct ask *a, uint32_t index, const char *word)
{
    struct health_view *h = &a->health[index];
    if (strcmp(word, "outage") == 0) {
        h->outage = true;
    } else if (strcmp(word, "held") == 0) {
        h->held_back = true;
    } else if (strcmp(word, "ejected") == 0) {
        h->breaker.state = BREAKER_EJECTED;
    } else if (strcmp(word, "half_open") == 0) {
        h->breaker.state = BREAKER_HALF_OPEN;
    } else if (strcmp(word, "probed") == 0) {
        h->breaker.state = BREAKER_HALF_OPEN;
        h->breaker.probe_running = true;
    } else if (strcmp(word, "explorable") == 0) {
        h->explorable = true;
    } else if (value_of(word, "latency") != NULL) {
        h->has_latency = true;
        percentile_of(h->latency_ms, value_of(word, "latency"));
    } else {
        ck_assert_msg(value_of(word, "tps") != NULL, "health word %s", word);
        h->has_throughput = true;
        percentile_of(h->milli_tps, value_of(word, "tps"));
    }
}

static void cached_word(struct ask *a, uint32_t index, const char *word)
{
    const char *hit = value_of(word, "hit");
    if (hit != NULL)
        a->cached[index].hit_ppm = number(hit) * (ESTIMATE_SURE / 100);
    else
        a->cached[index] = (struct estimate_cache){.tok = number(word), .hit_ppm = ESTIMATE_SURE};
}

static void learned_line(struct ask *a, const char *rest)
{
    char model[64], word[32];
    ck_assert(next_word(&rest, model, sizeof(model)) && next_word(&rest, word, sizeof(word)));
    const struct model *m = catalog_model(a->catalog, span_of(model));
    ck_assert_ptr_nonnull(m);
    a->learned[m->index].completion_tok = number(word);
    if (next_word(&rest, word, sizeof(word)))
        a->learned[m->index].ratio = number(word) * ESTIMATE_RATIO_ONE / 100;
}

static const char *const *key_list(struct ask *a, int which, const char *list)
{
    char *text = a->list_text[which];
    int n = 0;
    while (*list != '\0') {
        ck_assert_int_lt(n, ASK_NAMES_MAX);
        ck_assert(next_item(&list, text, 64));
        a->lists[which][n++] = text;
        text += strlen(text) + 1;
    }
    a->lists[which][n] = NULL;
    return a->lists[which];
}

/* key [models=LIST] [only=LIST] [ignore=LIST] [zdr] */
static void key_line(struct ask *a, const char *rest)
{
    char word[128];
    while (next_word(&rest, word, sizeof(word))) {
        if (strcmp(word, "zdr") == 0)
            a->policy.zdr = true;
        else if (value_of(word, "models") != NULL)
            a->policy.models = key_list(a, 0, value_of(word, "models"));
        else if (value_of(word, "only") != NULL)
            a->policy.only = key_list(a, 1, value_of(word, "only"));
        else
            a->policy.ignore = key_list(a, 2, value_of(word, "ignore"));
    }
}

bool ask_line(struct ask *a, const char *line)
{
    const char *rest;
    char word[256];
    if (starts(line, "ask", &rest)) {
        models_line(&a->chat, rest);
    } else if (starts(line, "prefs", &rest)) {
        ck_assert_uint_lt(strlen(rest), sizeof(a->prefs_text));
        memcpy(a->prefs_text, rest, strlen(rest) + 1);
    } else if (starts(line, "chat", &rest)) {
        while (next_word(&rest, word, sizeof(word)))
            chat_word(&a->chat, word);
    } else if (starts(line, "health", &rest)) {
        for_endpoint(a, rest, health_word);
    } else if (starts(line, "cached", &rest)) {
        for_endpoint(a, rest, cached_word);
    } else if (starts(line, "learned", &rest)) {
        learned_line(a, rest);
    } else if (starts(line, "key", &rest)) {
        key_line(a, rest);
    } else {
        return false;
    }
    return true;
}

/* ---- both spellings ---- */

static const struct {
    const char *flat, *group, *nested;
} SPELLINGS[] = {
    {"provider_order", NULL, "order"},
    {"provider_only", NULL, "only"},
    {"provider_ignore", NULL, "ignore"},
    {"provider_sort", NULL, "sort"},
    {"provider_quantizations", NULL, "quantizations"},
    {"provider_require_parameters", NULL, "require_parameters"},
    {"provider_data_collection", NULL, "data_collection"},
    {"provider_zdr", NULL, "zdr"},
    {"provider_enforce_distillable_text", NULL, "enforce_distillable_text"},
    {"provider_allow_fallbacks", NULL, "allow_fallbacks"},
    {"provider_preferred_max_latency", NULL, "preferred_max_latency"},
    {"provider_preferred_min_throughput", NULL, "preferred_min_throughput"},
    {"provider_max_prompt_price", "max_price", "prompt"},
    {"provider_max_completion_price", "max_price", "completion"},
    {"provider_max_request_price", "max_price", "request"},
    {"provider_max_image_price", "max_price", "image"},
};

/* Moves what has a nested counterpart into out's group; the others stay flat. */
static void nest_group(const struct json_doc *d, const char *group, struct buf *out)
{
    const char *before = "";
    for (size_t i = 0; i < sizeof(SPELLINGS) / sizeof(SPELLINGS[0]); i++) {
        const char *of = SPELLINGS[i].group;
        json_ref r = json_get(d, 0, SPELLINGS[i].flat);
        if (r == JSON_NONE || (of == NULL) != (group == NULL))
            continue;
        struct span raw = json_raw(d, r);
        buf_addf(out, "%s\"%s\":%.*s", before, SPELLINGS[i].nested, (int)raw.len, raw.ptr);
        before = ",";
    }
}

static bool is_flat_only(const struct json_doc *d, json_ref member)
{
    for (size_t i = 0; i < sizeof(SPELLINGS) / sizeof(SPELLINGS[0]); i++) {
        if (json_key_is(d, member, SPELLINGS[i].flat))
            return false;
    }
    return !json_key_is(d, member, "provider");
}

static void nest(const struct json_doc *d, struct buf *out)
{
    struct buf caps;
    buf_init(&caps, ASK_TEXT_MAX);
    nest_group(d, "max_price", &caps);
    buf_adds(out, "{\"provider\":{");
    nest_group(d, NULL, out);
    if (caps.len > 0)
        buf_addf(out, "%s\"max_price\":{%s}", out->ptr[out->len - 1] == '{' ? "" : ",", caps.ptr);
    buf_addc(out, '}');
    for (json_ref r = json_first(d, 0); r != JSON_NONE; r = json_next(d, r)) {
        if (!is_flat_only(d, r))
            continue;
        struct span raw = json_raw(d, r);
        buf_adds(out, ",\"");
        buf_add(out, d->text.ptr + json_at(d, r)->key_begin + 1, json_at(d, r)->key_len);
        buf_addf(out, "\":%.*s", (int)raw.len, raw.ptr);
    }
    buf_addc(out, '}');
    buf_done(&caps);
}

void ask_read_prefs(struct ask *a, bool nested)
{
    struct json_doc doc;
    struct buf text;
    struct fail fail = {.code = ERR_OK};
    const char *flat = a->prefs_text[0] != '\0' ? a->prefs_text : "{}";
    buf_init(&text, 2 * ASK_TEXT_MAX);
    json_init(&doc);
    ck_assert_msg(json_parse(&doc, span_of(flat), &fail) == 0, "%s: %s", flat, fail.text);
    /* A case that is written in the nested form already stays as it is. */
    if (nested && json_get(&doc, 0, "provider") == JSON_NONE)
        nest(&doc, &text);
    else
        buf_adds(&text, flat);
    ck_assert(!text.failed);
    ck_assert_msg(json_parse(&doc, buf_span(&text), &fail) == 0, "%s: %s", text.ptr, fail.text);
    prefs_done(&a->chat.prefs);
    prefs_init(&a->chat.prefs);
    ck_assert_msg(prefs_read(&a->chat.prefs, &doc, 0, &fail) == 0, "%s: %s", text.ptr, fail.text);
    json_done(&doc);
    buf_done(&text);
}
