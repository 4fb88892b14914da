/* Why an endpoint may not serve a request: a table of reasons, each with the function
 * that finds it. */
#include "router/plan_filter.h"

#include <assert.h>

#include "providers/provider.h"
#include "router/catalog_names.h"

static const struct prefs *prefs_of(const struct look *k)
{
    return &k->in->chat->prefs;
}

/* ---- slugs ---- */

/* A suffix of the model opens the tier it stands for, for that model alone. */
static bool opened_by_suffix(const struct look *k)
{
    const struct endpoint *e = k->endpoint;
    if (!e->tier || e->variant == NULL)
        return false;
    switch (k->in->chat->models[k->model_rank].suffix) {
    case SUFFIX_FLOOR:
        return strcmp(e->variant, "flex") == 0;
    case SUFFIX_NITRO:
        return strcmp(e->variant, "priority") == 0;
    case SUFFIX_NONE:
        break;
    }
    return false;
}

typedef bool (*slug_match)(const struct endpoint *e, const char *entry);

/* Index of the first entry that matches, or -1. */
static int find_in_prefs(const struct look *k, const struct slug_list *list, slug_match match)
{
    for (int i = 0; i < list->n; i++) {
        if (match(k->endpoint, prefs_str(prefs_of(k), list->at[i])))
            return i;
    }
    return -1;
}

static bool in_policy(const struct look *k, const char *const *list, slug_match match)
{
    for (; *list != NULL; list++) {
        if (match(k->endpoint, *list))
            return true;
    }
    return false;
}

/* A tier that a suffix opened also stands under its provider's bare name, but behind the
 * entry that names it. */
static int order_position(const struct look *k)
{
    const struct slug_list *order = &prefs_of(k)->order;
    int at = find_in_prefs(k, order, endpoint_named);
    if (at < 0 && opened_by_suffix(k))
        at = find_in_prefs(k, order, endpoint_covered);
    return at;
}

void look_begin(struct look *k)
{
    k->estimated = false;
    k->order_at = order_position(k);
}

static bool tier_is_open(const struct look *k)
{
    const struct policy *policy = k->in->policy;
    return !k->endpoint->tier || k->order_at >= 0 || opened_by_suffix(k) ||
           find_in_prefs(k, &prefs_of(k)->only, endpoint_named) >= 0 ||
           (policy != NULL && policy->only != NULL && in_policy(k, policy->only, endpoint_named));
}

/* ---- estimate, made when the first filter needs it ---- */

void look_at_sizes(const struct plan_inputs *in, const struct endpoint *e,
                   const struct estimate_learned *learned, const struct estimate_expected *expected,
                   struct estimate *ret)
{
    struct estimate_cache cache = {.tok = 0};
    if (in->cached != NULL)
        in->cached(in->ctx, e, &cache);
    estimate_make(in->chat, e, expected, &cache, ret);
    if (in->learned != NULL && !in->bound_strict)
        estimate_apply(in->chat, e, learned, ret);
}

static void look_estimate(struct look *k)
{
    if (k->estimated)
        return;
    const struct plan_inputs *in = k->in;
    look_at_sizes(in, k->endpoint, &k->learned, &k->expected, &k->estimate);
    k->worst_nusd = estimate_worst_nusd(in->chat, k->endpoint, &k->estimate);
    struct estimate first = k->estimate;
    first.completion_bound_tok = k->estimate.completion_hold_tok;
    k->hold_nusd = estimate_worst_nusd(in->chat, k->endpoint, &first);
    k->estimated = true;
}

/* ---- the filters: true = falls out ---- */

bool policy_allows_model(const struct policy *policy, const struct catalog *catalog,
                         const struct model *m)
{
    if (policy == NULL || policy->models == NULL)
        return true;
    for (const char *const *name = policy->models; *name != NULL; name++) {
        if (names_model(catalog, span_of(*name)) == m)
            return true;
    }
    return false;
}

static bool by_key(struct look *k, int32_t *detail)
{
    const struct policy *policy = k->in->policy;
    if (!k->model_allowed)
        *detail = CAUSE_KEY_MODEL;
    else if (policy != NULL && policy->only != NULL &&
             !in_policy(k, policy->only, endpoint_covered))
        *detail = CAUSE_KEY_ONLY;
    else if (policy != NULL && policy->ignore != NULL &&
             in_policy(k, policy->ignore, endpoint_covered))
        *detail = CAUSE_KEY_IGNORE;
    return *detail != CAUSE_NONE;
}

/* An endpoint on special terms serves who asks for them: the body says so, and nothing else does.
 */
static bool is_unasked(const char *term, const char *asked)
{
    return term[0] != '\0' && strcmp(term, asked) != 0;
}

static bool by_providers(struct look *k, int32_t *detail)
{
    const struct prefs *prefs = prefs_of(k);
    if (!tier_is_open(k))
        *detail = CAUSE_TIER;
    else if (is_unasked(k->endpoint->speed, k->in->chat->speed) ||
             is_unasked(k->endpoint->geo, k->in->chat->geo))
        *detail = CAUSE_TERMS_UNASKED;
    else if (prefs->only.n > 0 && find_in_prefs(k, &prefs->only, endpoint_covered) < 0)
        *detail = CAUSE_ONLY;
    else if (find_in_prefs(k, &prefs->ignore, endpoint_covered) >= 0)
        *detail = CAUSE_IGNORE;
    else if (!prefs->allow_fallbacks && prefs->order.n > 0 && k->order_at < 0)
        *detail = CAUSE_ORDER;
    return *detail != CAUSE_NONE;
}

/* A request may bring the credential along (provider_configs), say that none is needed, or name
 * an address, to which none of the operator's goes. */
static bool by_credential(struct look *k, int32_t *detail)
{
    const struct endpoint *e = k->endpoint;
    const struct provider_row *provider = e->provider;
    const struct provider_config *c = prefs_config(prefs_of(k), e->slug, provider->slug);
    if (provider->adapter == NULL)
        *detail = CAUSE_ADAPTER;
    else if (provider_credential(provider, 0) != NULL)
        *detail = CAUSE_NONE;
    else if (c == NULL || !prefs_config_is_elsewhere(c))
        *detail = CAUSE_CREDENTIAL;
    else if (provider->base_url[0] == '\0' && c->base_url == 0)
        *detail = CAUSE_ADDRESS; /* one that an imported catalog names, and no more */
    return *detail != CAUSE_NONE;
}

static bool by_quantization(struct look *k, int32_t *detail)
{
    (void)detail;
    uint32_t wanted = prefs_of(k)->quantizations;
    return wanted != 0 && !(wanted & (1u << k->endpoint->quantization));
}

static bool by_training(struct look *k, int32_t *detail)
{
    (void)detail;
    return prefs_of(k)->data_collection_deny && k->endpoint->provider->collects;
}

static bool by_zdr(struct look *k, int32_t *detail)
{
    (void)detail;
    const struct policy *policy = k->in->policy;
    bool wanted = prefs_of(k)->zdr || (policy != NULL && policy->zdr);
    return wanted && !k->endpoint->provider->zdr;
}

static bool by_distillable(struct look *k, int32_t *detail)
{
    (void)detail;
    return prefs_of(k)->distillable && !k->endpoint->model->distillable;
}

/* Special terms cost up to six times what is usual, sound thirty times what text does: without a
 * word of the catalog nobody knows. */
static bool by_missing_price(struct look *k, int32_t *detail)
{
    const struct endpoint *e = k->endpoint;
    const struct chat *chat = k->in->chat;
    if (!price_is_routable(&e->price))
        return true;
    bool hears = (e->modalities & MODALITY_BIT(MODALITY_audio)) != 0;
    if (strcmp(chat->speed, e->speed) != 0 || strcmp(chat->geo, e->geo) != 0)
        *detail = CAUSE_TERMS;
    else if (chat->sounds && hears && !price_covers_sound(&e->price, false))
        *detail = CAUSE_SOUND;
    else if (estimate_speaks(chat, e) && !price_covers_sound(&e->price, true))
        *detail = CAUSE_SPEECH;
    return *detail != CAUSE_NONE;
}

static bool by_price(struct look *k, int32_t *detail)
{
    const struct prefs *p = prefs_of(k);
    const struct {
        const struct cap *cap;
        enum price_item item;
    } caps[] = {
        {&p->max_prompt, PRICE_prompt},   {&p->max_completion, PRICE_completion},
        {&p->max_request, PRICE_request}, {&p->max_image, PRICE_image},
        {&p->max_audio, PRICE_audio},
    };
    look_estimate(k);
    struct rates r = price_at(&k->endpoint->price, k->estimate.prompt_tok);
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        if (caps[i].item == PRICE_audio && !price_covers_sound(&k->endpoint->price, false))
            continue; /* not known, so that no sound is sent there */
        if (caps[i].cap->set && r.pusd[caps[i].item] > caps[i].cap->value) {
            *detail = (int32_t)caps[i].item;
            return true;
        }
    }
    return false;
}

/* The catalog names a family ("web_search"), the request a dated type of it. */
static bool has_server_tool(const struct endpoint *e, const char *type)
{
    for (int i = 0; i < e->n_server_tools; i++) {
        size_t len = strlen(e->server_tools[i]);
        if (strncmp(type, e->server_tools[i], len) == 0 && (type[len] == '\0' || type[len] == '_'))
            return true;
    }
    return false;
}

/* native_format of provider_configs may say that another protocol is spoken there than the
 * catalog's. */
static const struct provider *adapter_of(const struct endpoint *e, const struct provider_config *c,
                                         const struct provider_target *target)
{
    static const struct {
        enum chat_door door;
        const char *protocol;
    } formats[] = {{DOOR_OPENAI, "openai"}, {DOOR_ANTHROPIC, "anthropic"}}; /* native_format - 1 */
    const struct provider *own = e->provider->adapter;
    int format = c != NULL ? c->native_format - 1 : -1;
    bool is_own = format < 0 || own->native_door(target) == formats[format].door;
    return is_own ? own : provider_find(formats[format].protocol);
}

const char *look_untold_tool(const struct chat *chat, const struct endpoint *e)
{
    if (chat->own_tool[0] == '\0')
        return NULL;
    const struct provider_config *c = prefs_config(&chat->prefs, e->slug, e->provider->slug);
    const char *brought = c != NULL ? prefs_str(&chat->prefs, c->base_url) : NULL;
    const struct provider_target target = {
        .slug = e->slug,
        .base_url = brought != NULL ? brought : e->provider->base_url,
        .upstream_model = e->upstream_model,
    };
    return provider_untold_tool(adapter_of(e, c, &target), chat, &target);
}

static bool by_capability(struct look *k, int32_t *detail)
{
    const struct chat *chat = k->in->chat;
    const struct endpoint *e = k->endpoint;
    if ((chat->needs & NEED_TOOLS) && !(e->params & PARAM_BIT(PARAM_tools)))
        *detail = CAUSE_TOOLS;
    else if ((chat->needs & NEED_IMAGES) && !(e->modalities & MODALITY_BIT(MODALITY_image)))
        *detail = CAUSE_IMAGES;
    else if ((chat->needs & NEED_DOCUMENTS) &&
             !(e->modalities & (MODALITY_BIT(MODALITY_pdf) | MODALITY_BIT(MODALITY_file))))
        *detail = CAUSE_DOCUMENTS;
    else if ((chat->needs & NEED_AUDIO) && !(e->modalities & MODALITY_BIT(MODALITY_audio)))
        *detail = CAUSE_AUDIO;
    else if (chat->breaks & e->rules & RULE_BIT(RULE_no_prefill))
        *detail = CAUSE_PREFILL;
    else if (chat->breaks & e->rules & RULE_BIT(RULE_no_forced_tool))
        *detail = CAUSE_FORCED_TOOL;
    for (int i = 0; *detail == CAUSE_NONE && i < chat->n_server_tools; i++) {
        if (!has_server_tool(e, chat->server_tools[i]))
            *detail = CAUSE_SERVER_TOOL + i;
    }
    if (*detail == CAUSE_NONE && look_untold_tool(chat, e) != NULL)
        *detail = CAUSE_UNTOLD_TOOL;
    return *detail != CAUSE_NONE;
}

/* Catalogs list one of the two names for the same thing. */
static uint32_t with_max_tokens_alias(uint32_t params)
{
    const uint32_t both = PARAM_BIT(PARAM_max_tokens) | PARAM_BIT(PARAM_max_completion_tokens);
    return params & both ? params | both : params;
}

static bool by_parameters(struct look *k, int32_t *detail)
{
    if (!prefs_of(k)->require_parameters)
        return false;
    uint32_t missing = k->in->chat->params & ~with_max_tokens_alias(k->endpoint->params);
    for (int i = 0; i < PARAM_COUNT; i++) {
        if (missing & PARAM_BIT(i)) {
            *detail = i;
            return true;
        }
    }
    return false;
}

static bool by_context(struct look *k, int32_t *detail)
{
    (void)detail;
    int64_t max_tokens = k->in->chat->max_tokens > 0 ? k->in->chat->max_tokens : 0;
    int64_t context = k->endpoint->context_length;
    look_estimate(k);
    return context > 0 &&
           (max_tokens > context || estimate_least_prompt_tok(&k->estimate) > context - max_tokens);
}

static bool by_completion(struct look *k, int32_t *detail)
{
    (void)detail;
    int64_t most = k->endpoint->max_completion_tokens;
    return most > 0 && k->in->chat->max_tokens > most;
}

static bool by_total(struct look *k, int32_t *detail)
{
    (void)detail;
    const struct cap *cap = &prefs_of(k)->max_total;
    look_estimate(k);
    return cap->set && k->worst_nusd > cap->value;
}

/* In the contract's order.  `budget` has no row: only the ledger can say it, when the
 * hold is asked for. */
static const struct {
    enum reason reason;
    bool (*falls_out)(struct look *k, int32_t *detail);
} FILTERS[] = {
    {REASON_key_policy, by_key},
    {REASON_allowed_providers, by_providers},
    {REASON_no_credential, by_credential},
    {REASON_quantization, by_quantization},
    {REASON_data_training, by_training},
    {REASON_data_zdr, by_zdr},
    {REASON_distillable, by_distillable},
    {REASON_unpriced, by_missing_price},
    {REASON_max_price, by_price},
    {REASON_capability, by_capability},
    {REASON_require_parameters, by_parameters},
    {REASON_context_length, by_context},
    {REASON_max_completion_tokens, by_completion},
    {REASON_max_total_cost, by_total},
};

enum reason look_filter(struct look *k, int32_t *ret_detail)
{
    int32_t detail = CAUSE_NONE;
    for (size_t i = 0; i < sizeof(FILTERS) / sizeof(FILTERS[0]); i++) {
        if (FILTERS[i].falls_out(k, &detail)) {
            *ret_detail = detail;
            return FILTERS[i].reason;
        }
    }
    assert(k->estimated);
    return REASON_NONE;
}
