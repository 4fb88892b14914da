/* A chat made of what was recorded, planned and priced. */
#include "router/replay.h"

#include <stdio.h>

#include "router/preset.h"
#include "schema/money.h"

enum { DISCOUNT_DECIMALS = 4 /* of a percentage: REPLAY_PPM */ };
#define TEXT_TOK_MAX                                                                               \
    INT64_C(1000000000000) /* more than any context; what is larger is not counted */

/* ---- discounts ---- */

int replay_discount_add(struct replay_discounts *d, const char *text, struct fail *reterr)
{
    const char *sign = strchr(text, '=');
    size_t len = sign != NULL ? (size_t)(sign - text) : 0;
    int64_t ppm;
    if (len == 0 || len >= sizeof(d->row[0].provider))
        return fail_set(reterr, ERR_bad_request, "discount",
                        "discount must be PROVIDER=PERCENT, such as deepinfra=10");
    if (money_parse_plain(span_of(sign + 1), DISCOUNT_DECIMALS, &ppm) != MONEY_OK ||
        ppm > REPLAY_PPM)
        return fail_set(reterr, ERR_bad_request, "discount",
                        "discount: %.32s is no percentage from 0 to 100 of at most %d decimals",
                        sign + 1, DISCOUNT_DECIMALS);
    if (d->n == REPLAY_DISCOUNTS_MAX)
        return fail_set(reterr, ERR_bad_request, "discount", "discount: at most %d of them",
                        REPLAY_DISCOUNTS_MAX);
    memcpy(d->row[d->n].provider, text, len);
    d->row[d->n].provider[len] = '\0';
    d->row[d->n].ppm = ppm;
    d->row[d->n++].used = false;
    return 0;
}

static int64_t reduced(int64_t pusd, int64_t ppm)
{
    int64_t keep = REPLAY_PPM - ppm;
    /* Whole millions and the rest apart: no price is too large for it. */
    return pusd < 0 ? pusd
                    : pusd / REPLAY_PPM * keep +
                          (pusd % REPLAY_PPM * keep + REPLAY_PPM - 1) / REPLAY_PPM;
}

static void reduce_rates(struct rates *r, int64_t ppm)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        r->pusd[i] = reduced(r->pusd[i], ppm);
}

static void reduce(struct price *p, int64_t ppm)
{
    reduce_rates(&p->base, ppm);
    for (int i = 0; i < p->n_tiers; i++)
        reduce_rates(&p->tiers[i].rates, ppm);
}

/* ---- the catalog ---- */

/* Neither a credential nor an adapter is needed where nothing is sent. */
static int copy_provider(struct catalog_builder *b, const struct provider_row *p,
                         struct fail *reterr)
{
    struct provider_spec s = {.slug = p->slug,
                              .name = p->name,
                              .protocol = p->adapter != NULL ? p->protocol : "openai",
                              .auth_type = AUTH_NONE,
                              .collects = p->collects,
                              .zdr = p->zdr,
                              .cancel_stops_billing = p->cancel_stops_billing,
                              .timeouts = p->timeouts,
                              .n_credentials = 1};
    s.credentials[0] = (struct credential){.kind = CREDENTIAL_NONE, .ref = ""};
    return catalog_add_provider(b, &s, reterr);
}

static int copy_endpoint(struct catalog_builder *b, const struct endpoint *e,
                         struct replay_discounts *discounts, struct fail *reterr)
{
    /* A file's endpoints have no ids yet. */
    struct endpoint_spec s = {.id = e->id != 0 ? e->id : (int64_t)e->index + 1,
                              .price_version = e->price_version,
                              .provider = e->provider->slug,
                              .variant = e->variant,
                              .upstream_model = e->upstream_model,
                              .context_length = e->context_length,
                              .max_completion_tokens = e->max_completion_tokens,
                              .quantization = e->quantization,
                              .modalities = e->modalities,
                              .params = e->params,
                              .rules = e->rules,
                              .speed = e->speed,
                              .geo = e->geo,
                              .n_server_tools = e->n_server_tools,
                              .price = e->price};
    memcpy(s.server_tools, e->server_tools, sizeof(s.server_tools));
    for (int i = 0; i < discounts->n; i++) {
        if (!endpoint_covered(e, discounts->row[i].provider))
            continue;
        reduce(&s.price, discounts->row[i].ppm);
        discounts->row[i].used = true;
    }
    return catalog_add_endpoint(b, &s, reterr);
}

static int copy_model(struct catalog_builder *b, const struct model *m,
                      struct replay_discounts *discounts, struct fail *reterr)
{
    const struct model_spec s = {.id = m->id,
                                 .slug = m->slug,
                                 .name = m->name,
                                 .distillable = m->distillable,
                                 .created_ms = m->created_ms,
                                 .n_aliases = m->n_aliases,
                                 .aliases = m->aliases};
    int rc = catalog_add_model(b, &s, reterr);
    for (int i = 0; i < m->n_endpoints && rc == 0; i++)
        rc = copy_endpoint(b, m->endpoints[i], discounts, reterr);
    return rc;
}

static int check_used(const struct replay_discounts *d, struct fail *reterr)
{
    for (int i = 0; i < d->n; i++) {
        if (!d->row[i].used)
            return fail_set(reterr, ERR_conflict, "discount",
                            "discount: the catalog has no endpoint of %s", d->row[i].provider);
    }
    return 0;
}

struct catalog *replay_catalog(const struct catalog *from, struct replay_discounts *discounts,
                               struct fail *reterr)
{
    struct catalog *copy = NULL;
    struct catalog_builder *b = catalog_builder_new();
    int rc = b != NULL ? 0 : -1;
    for (int i = 0; i < from->n_providers && rc == 0; i++)
        rc = copy_provider(b, &from->providers[i], reterr);
    for (int i = 0; i < from->n_models && rc == 0; i++)
        rc = copy_model(b, &from->models[i], discounts, reterr);
    if (rc == 0)
        rc = check_used(discounts, reterr);
    if (rc == 0)
        copy = catalog_freeze(b, from->version, NULL, NULL);
    if (copy == NULL && (b == NULL || rc == 0))
        fail_set(reterr, ERR_internal, NULL, "out of memory for the catalog");
    catalog_builder_free(b);
    return copy;
}

/* ---- the chat ---- */

void replay_init(struct replay *r, const struct catalog *catalog)
{
    *r = (struct replay){.catalog = catalog};
    chat_init(&r->chat);
    plan_init(&r->plan);
}

void replay_done(struct replay *r)
{
    chat_done(&r->chat);
    plan_done(&r->plan);
}

int replay_prefs(struct replay *r, struct span text, struct fail *reterr)
{
    struct prefs *p = &r->chat.prefs;
    r->plans = true;
    if (preset_read(p, "prefs", text, reterr) != 0)
        return -1;
    /* What a request could have cost at worst is not known: its max_tokens is not recorded. */
    r->capped = p->max_total.set;
    r->cap_nusd = p->max_total.value;
    p->max_total.set = false;
    /* Whoever is within the cap may come first. */
    p->allow_fallbacks = p->allow_fallbacks || p->order.n == 0;
    return 0;
}

static bool lists_search(const struct endpoint *e)
{
    for (int i = 0; e != NULL && i < e->n_server_tools; i++) {
        if (strncmp(e->server_tools[i], "web_search", strlen("web_search")) == 0)
            return true;
    }
    return false;
}

/* Some providers search without being asked: only where the tool is listed it was asked for. */
static void ask_for_search(struct chat *c, const struct endpoint *served, int64_t searches)
{
    c->web_search_uses = searches;
    c->n_server_tools = searches > 0 && lists_search(served) ? 1 : 0;
    memcpy(c->server_tools[0], "web_search", sizeof("web_search"));
    if (c->n_server_tools > 0)
        c->needs |= NEED_SERVER_TOOLS;
}

/* The marks of a request that has read and written so much; what is kept an hour stands first. */
static void fill_marks(struct chat *c, const struct usage *u, int64_t prompt_tok)
{
    int64_t read = u->n[USAGE_cache_read_tok], hour = u->n[USAGE_cache_write_1h_tok];
    int64_t rest = u->n[USAGE_cache_write_5m_tok];
    c->cache_write_5m = rest > 0;
    c->cache_write_1h = hour > 0;
    c->n_prefixes = 0;
    if (prompt_tok <= 0 || prompt_tok > TEXT_TOK_MAX)
        return;
    int64_t byte = c->prompt_bytes / prompt_tok;
    if (hour > 0)
        c->prefixes[c->n_prefixes++] =
            (struct chat_prefix){.bytes = (read + hour) * byte, .one_hour = true};
    if (rest > 0)
        c->prefixes[c->n_prefixes++] = (struct chat_prefix){.bytes = (read + hour + rest) * byte};
}

/* A text that is estimated at just the tokens that were counted. */
static void fill_chat(struct replay *r, const struct usage *u)
{
    struct chat *c = &r->chat;
    int64_t text_tok =
        usage_prompt_tok(u) - ESTIMATE_FRAME_TOK - (int64_t)r->fact->n_images * ESTIMATE_IMAGE_TOK;
    c->n_models = 1;
    snprintf(c->models[0].name, sizeof(c->models[0].name), "%s", r->fact->model);
    c->max_tokens = -1;
    text_tok = text_tok < 0 ? 0 : text_tok > TEXT_TOK_MAX ? TEXT_TOK_MAX : text_tok;
    c->prompt_bytes = text_tok * ESTIMATE_NARROW_CHARS_PER_TOK;
    c->prompt_chars = c->prompt_bytes;
    c->n_images = r->fact->n_images;
    c->needs = c->n_images > 0 ? NEED_IMAGES : 0;
    c->sounds = u->n[USAGE_audio_input_tok] + u->n[USAGE_audio_cache_read_tok] > 0;
    c->speaks = u->n[USAGE_audio_output_tok] > 0;
    c->needs |= c->sounds ? (uint32_t)NEED_AUDIO : 0;
    fill_marks(c, u, usage_prompt_tok(u));
    ask_for_search(c, r->served, u->n[USAGE_web_searches]);
    snprintf(c->speed, sizeof(c->speed), "%s", r->served != NULL ? r->served->speed : "");
    snprintf(c->geo, sizeof(c->geo), "%s", r->served != NULL ? r->served->geo : "");
}

/* ---- the cost ---- */

struct inner {
    const struct catalog *catalog;
    const struct provider_row *provider;
};

/* As a settlement finds it: by the provider's own name, or by the catalog's. */
static const struct price *inner_price(void *ctx, const char *name)
{
    const struct inner *in = ctx;
    const struct endpoint *e = catalog_by_upstream(in->catalog, in->provider, span_of(name));
    const struct model *m = e == NULL ? catalog_model(in->catalog, span_of(name)) : NULL;
    for (int i = 0; m != NULL && i < m->n_endpoints && e == NULL; i++)
        e = m->endpoints[i]->provider == in->provider ? m->endpoints[i] : NULL;
    return e != NULL ? &e->price : NULL;
}

bool replay_cost(const struct catalog *c, const struct endpoint *e, const struct price *price,
                 const struct replay_fact *fact, int64_t *ret_nusd)
{
    struct inner in = {c, e != NULL ? e->provider : NULL};
    int64_t pusd;
    bool unknown;
    if (!price_report(price, &fact->usage, fact->n_images, e != NULL ? inner_price : NULL, &in,
                      &pusd, &unknown))
        return false;
    *ret_nusd = money_charge_nusd(pusd);
    return true;
}

/* ---- the plan ---- */

static void fact_usage(const struct replay *r, struct usage *ret)
{
    usage_report_sum(&r->fact->usage, ret);
}

/* An endpoint without a price for it is not known to cache. */
static void fact_cached(void *ctx, const struct endpoint *e, struct estimate_cache *ret)
{
    const struct replay *r = ctx;
    struct usage u;
    fact_usage(r, &u);
    if (e == r->served || e->price.base.pusd[PRICE_cache_read] >= 0)
        *ret = (struct estimate_cache){.tok = u.n[USAGE_cache_read_tok], .hit_ppm = ESTIMATE_SURE};
}

static void fact_sizes(void *ctx, const struct model *m, struct estimate_learned *ret_bounds,
                       struct estimate_expected *ret)
{
    struct usage u;
    (void)m;
    fact_usage(ctx, &u);
    *ret_bounds = (struct estimate_learned){.completion_tok = 0};
    ret->completion_tok = u.n[USAGE_output_tok] > 0 ? u.n[USAGE_output_tok] : 1;
    ret->searches = u.n[USAGE_web_searches];
}

/* The filter that the best endpoint got to: what would have to give way. */
static const char *nearest_miss(const struct plan *p)
{
    enum reason best = REASON_NONE;
    for (int i = 0; i < p->n_excluded; i++)
        best = p->excluded[i].reason > best ? p->excluded[i].reason : best;
    return best == REASON_NONE ? REPLAY_NOT_LISTED : reason_word(best);
}

/* NULL: none. */
static const struct endpoint *first_within_cap(const struct replay *r)
{
    for (int i = 0; i < r->plan.n_candidates; i++) {
        const struct endpoint *e = r->plan.candidates[i].endpoint;
        int64_t nusd;
        if (!r->capped ||
            (replay_cost(r->catalog, e, &e->price, r->fact, &nusd) && nusd <= r->cap_nusd))
            return e;
    }
    return NULL;
}

static int plan_attempt(struct replay *r, const struct usage *u, struct replay_choice *ret,
                        struct fail *reterr)
{
    const struct plan_inputs in = {.catalog = r->catalog,
                                   .chat = &r->chat,
                                   .policy = r->fact->policy,
                                   .seed = r->fact->seed,
                                   .cached = fact_cached,
                                   .learned = fact_sizes,
                                   .bound_strict = true,
                                   .ctx = r};
    fill_chat(r, u);
    if (plan_make(&r->plan, &in) != 0)
        return fail_set(reterr, ERR_internal, NULL, "out of memory for a plan");
    ret->endpoint = first_within_cap(r);
    if (ret->endpoint == NULL)
        ret->reason =
            r->plan.n_candidates > 0 ? reason_word(REASON_max_total_cost) : nearest_miss(&r->plan);
    return 0;
}

/* ---- one attempt ---- */

const struct endpoint *replay_served(const struct catalog *c, const struct replay_fact *fact)
{
    const struct model *m = catalog_model(c, span_of(fact->model));
    for (int i = 0; m != NULL && i < m->n_endpoints; i++) {
        if (strcmp(m->endpoints[i]->slug, fact->provider) == 0)
            return m->endpoints[i];
    }
    return NULL;
}

int replay_attempt(struct replay *r, const struct replay_fact *fact, struct replay_choice *ret,
                   struct fail *reterr)
{
    struct usage u;
    *ret = (struct replay_choice){.endpoint = NULL};
    r->fact = fact;
    r->served = replay_served(r->catalog, fact);
    fact_usage(r, &u);
    if (catalog_model(r->catalog, span_of(fact->model)) == NULL) {
        ret->reason = REPLAY_UNKNOWN_MODEL;
    } else if (!r->plans) {
        ret->endpoint = r->served;
        ret->reason = REPLAY_NOT_LISTED;
    } else if (plan_attempt(r, &u, ret, reterr) != 0) {
        return -1;
    }
    if (ret->endpoint != NULL && !price_is_routable(&ret->endpoint->price)) {
        ret->endpoint = NULL;
        ret->reason = reason_word(REASON_unpriced);
    }
    if (ret->endpoint == NULL)
        return 0;
    ret->reason = NULL;
    return replay_cost(r->catalog, ret->endpoint, &ret->endpoint->price, fact, &ret->cost_nusd)
               ? 0
               : fail_set(reterr, ERR_internal, NULL, "a cost is too large a number");
}
