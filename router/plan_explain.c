/* The plan in words: one sentence for each endpoint that fell out, and the message of
 * the 404 when none is left. */
#include <assert.h>

#include "router/plan.h"
#include "router/plan_filter.h"
#include "schema/money.h"

enum { EXPLAIN_MODELS_MAX = 4 }; /* named in one message; the rest is counted */

/* What a sentence may speak of. */
struct topic {
    const struct plan_inputs *in;
    const struct exclusion *x;
    const struct endpoint *e;
    struct buf *out;
};

/* The same figures the filters saw. */
static struct estimate estimate_of(const struct plan_inputs *in, const struct endpoint *e)
{
    struct estimate est;
    struct estimate_learned learned = {.completion_tok = 0};
    struct estimate_expected expected = {.ratio = 0};
    if (in->learned != NULL)
        in->learned(in->ctx, e->model, &learned, &expected);
    look_at_sizes(in, e, &learned, &expected, &est);
    return est;
}

static const char *usd(int64_t amount, int scale, char text[MONEY_TEXT_MAX])
{
    return amount == INT64_MAX ? "more than can be counted in" : money_print(amount, scale, text);
}

/* ---- one sentence per reason ---- */

static void say_key_policy(const struct topic *t)
{
    if (t->x->detail == CAUSE_KEY_MODEL)
        buf_addf(t->out, "this key may not use the model %s", t->e->model->slug);
    else if (t->x->detail == CAUSE_KEY_ONLY)
        buf_addf(t->out, "%s is not among the providers of this key", t->e->slug);
    else
        buf_addf(t->out, "this key is barred from %s", t->e->slug);
}

static void say_tier(const struct topic *t)
{
    const char *variant = t->e->variant != NULL ? t->e->variant : "";
    buf_addf(t->out, "%s is a service tier: it is used only when provider_order or provider_only ",
             t->e->slug);
    buf_adds(t->out, "names it");
    if (strcmp(variant, "flex") == 0)
        buf_adds(t->out, ", or the model is asked for with the suffix :floor");
    else if (strcmp(variant, "priority") == 0)
        buf_adds(t->out, ", or the model is asked for with the suffix :nitro");
}

static void say_terms(const char *speed, const char *geo, struct buf *out)
{
    if (speed[0] != '\0')
        buf_addf(out, "speed \"%s\"", speed);
    if (geo[0] != '\0')
        buf_addf(out, "%sinference_geo \"%s\"", speed[0] != '\0' ? " and " : "", geo);
}

static void say_allowed_providers(const struct topic *t)
{
    switch ((enum plan_cause)t->x->detail) {
    case CAUSE_TIER:
        say_tier(t);
        return;
    case CAUSE_TERMS_UNASKED:
        buf_addf(t->out, "%s is for requests that ask for ", t->e->slug);
        say_terms(t->e->speed, t->e->geo, t->out);
        return;
    case CAUSE_ONLY:
        buf_addf(t->out, "%s is not named in provider_only", t->e->slug);
        return;
    case CAUSE_IGNORE:
        buf_addf(t->out, "%s is named in provider_ignore", t->e->slug);
        return;
    case CAUSE_ORDER:
        buf_addf(t->out, "%s is not named in provider_order and provider_allow_fallbacks is false",
                 t->e->slug);
        return;
    default:
        buf_addf(t->out, "%s is not the first choice and provider_allow_fallbacks is false",
                 t->e->slug);
    }
}

static void say_no_credential(const struct topic *t)
{
    const struct provider_row *p = t->e->provider;
    if (t->x->detail == CAUSE_ADAPTER)
        buf_addf(t->out, "this server does not speak the protocol \"%s\" of %s", p->protocol,
                 p->slug);
    else if (t->x->detail == CAUSE_ADDRESS)
        buf_addf(t->out, "this server's catalog has no base_url for %s", p->slug);
    else
        buf_addf(t->out, "the operator of this server has no usable credential for %s", p->slug);
    for (int i = 0; t->x->detail == CAUSE_CREDENTIAL && i < p->n_credentials; i++) {
        if (p->credentials[i].why != NULL)
            buf_addf(t->out, ": %s", p->credentials[i].why);
    }
}

static void say_quantization(const struct topic *t)
{
    const char *before = "";
    buf_addf(t->out, "its quantization %s is not one of provider_quantizations (",
             quantization_name(t->e->quantization));
    for (int q = 0; q < QUANT_COUNT; q++) {
        if (t->in->chat->prefs.quantizations & (1u << q)) {
            buf_addf(t->out, "%s%s", before, quantization_name((enum quantization)q));
            before = ", ";
        }
    }
    buf_addc(t->out, ')');
}

static void say_training(const struct topic *t)
{
    buf_addf(t->out, "%s may collect prompts and provider_data_collection is deny",
             t->e->provider->slug);
}

static void say_zdr(const struct topic *t)
{
    buf_addf(t->out, "%s does not promise zero data retention, which %s asks for",
             t->e->provider->slug,
             t->in->chat->prefs.zdr ? "provider_zdr" : "the policy of this key");
}

static void say_distillable(const struct topic *t)
{
    buf_addf(t->out,
             "the author of %s does not allow distillation, which "
             "provider_enforce_distillable_text asks for",
             t->e->model->slug);
}

static void say_unpriced(const struct topic *t)
{
    const struct chat *chat = t->in->chat;
    if (t->x->detail == CAUSE_TERMS) {
        buf_adds(t->out, "the request asks for ");
        say_terms(chat->speed, chat->geo, t->out);
        buf_addf(
            t->out,
            ", which has prices of its own, and those of %s are not for that: leave it out, or "
            "have an endpoint in the catalog that says so",
            t->e->slug);
        return;
    }
    bool spoken = t->x->detail == CAUSE_SPEECH;
    if (spoken || t->x->detail == CAUSE_SOUND) {
        buf_addf(t->out,
                 "the request has sound in its %s and the catalog states no price for that "
                 "(\"%s\") of %s",
                 spoken ? "answer" : "prompt",
                 price_item_name(spoken ? PRICE_audio_completion : PRICE_audio), t->e->slug);
        return;
    }
    bool prompt = t->e->price.base.pusd[PRICE_prompt] < 0;
    bool completion = t->e->price.base.pusd[PRICE_completion] < 0;
    buf_addf(t->out, "the catalog states no %s price of %s",
             prompt && completion ? "prompt and completion"
             : prompt             ? "prompt"
                                  : "completion",
             t->e->slug);
}

/* The caps by the item they cap. */
static const struct {
    const char *name, *unit, *field;
} CAPPED[PRICE_ITEM_COUNT] = {
    [PRICE_prompt] = {"prompt", "million tokens", "provider_max_prompt_price"},
    [PRICE_completion] = {"completion", "million tokens", "provider_max_completion_price"},
    [PRICE_request] = {"request", "request", "provider_max_request_price"},
    [PRICE_image] = {"image", "image", "provider_max_image_price"},
    [PRICE_audio] = {"audio", "million tokens", "max_price.audio"},
};

static int64_t cap_of(const struct prefs *p, enum price_item item)
{
    const struct cap *const caps[PRICE_ITEM_COUNT] = {
        [PRICE_prompt] = &p->max_prompt,   [PRICE_completion] = &p->max_completion,
        [PRICE_request] = &p->max_request, [PRICE_image] = &p->max_image,
        [PRICE_audio] = &p->max_audio,
    };
    assert(caps[item] != NULL);
    return caps[item]->value;
}

static void say_max_price(const struct topic *t)
{
    enum price_item item = (enum price_item)t->x->detail;
    int scale = price_item_scale(item);
    int64_t prompt_tok = estimate_of(t->in, t->e).prompt_tok;
    struct rates r = price_at(&t->e->price, prompt_tok);
    char price[MONEY_TEXT_MAX], cap[MONEY_TEXT_MAX];
    buf_addf(t->out, "its %s price of %s USD per %s", CAPPED[item].name,
             money_print(r.pusd[item], scale, price), CAPPED[item].unit);
    int64_t above = price_tier(&t->e->price, prompt_tok);
    if (above > 0)
        buf_addf(t->out, " (for prompts above %lld tokens)", (long long)above);
    buf_addf(t->out, " is above %s %s", CAPPED[item].field,
             money_print(cap_of(&t->in->chat->prefs, item), scale, cap));
}

static void say_capability(const struct topic *t)
{
    static const char *const INPUTS[] = {
        [CAUSE_TOOLS] = "tools",
        [CAUSE_IMAGES] = "images",
        [CAUSE_DOCUMENTS] = "documents",
        [CAUSE_AUDIO] = "audio",
        [CAUSE_PREFILL] = "an answer that it begins itself",
        [CAUSE_FORCED_TOOL] = "a tool_choice that forces a tool",
    };
    if (t->x->detail == CAUSE_UNTOLD_TOOL)
        buf_addf(
            t->out,
            "the request has the tool %s, which cannot be told to %s: its protocol has no words "
            "for it",
            look_untold_tool(t->in->chat, t->e), t->e->slug);
    else if (t->x->detail < CAUSE_SERVER_TOOL)
        buf_addf(t->out, "the request has %s, which %s does not take", INPUTS[t->x->detail],
                 t->e->slug);
    else
        buf_addf(t->out, "the request has the server tool %s, which %s does not offer",
                 t->in->chat->server_tools[t->x->detail - CAUSE_SERVER_TOOL], t->e->slug);
}

static void say_require_parameters(const struct topic *t)
{
    buf_addf(t->out,
             "the request uses the parameter %s, which %s does not support, and "
             "provider_require_parameters is true",
             param_name((enum param)t->x->detail), t->e->slug);
}

static void say_context_length(const struct topic *t)
{
    struct estimate est = estimate_of(t->in, t->e);
    int64_t prompt = estimate_least_prompt_tok(&est);
    buf_addf(t->out, "the prompt of about %lld tokens", (long long)prompt);
    if (t->in->chat->max_tokens > 0)
        buf_addf(t->out, " plus max_tokens %lld is", (long long)t->in->chat->max_tokens);
    else
        buf_adds(t->out, " is");
    buf_addf(t->out, " above its context length of %lld tokens", (long long)t->e->context_length);
}

static void say_max_completion_tokens(const struct topic *t)
{
    buf_addf(t->out, "max_tokens %lld is above the %lld tokens that %s can answer with",
             (long long)t->in->chat->max_tokens, (long long)t->e->max_completion_tokens,
             t->e->slug);
}

static int64_t worst_of(const struct plan_inputs *in, const struct endpoint *e)
{
    struct estimate est = estimate_of(in, e);
    return estimate_worst_nusd(in->chat, e, &est);
}

static void say_max_total_cost(const struct topic *t)
{
    char worst[MONEY_TEXT_MAX], cap[MONEY_TEXT_MAX];
    struct estimate est = estimate_of(t->in, t->e);
    buf_addf(t->out,
             "the request may cost %s USD there (%lld prompt and %lld completion tokens at most), "
             "which is above provider_max_total_cost %s",
             usd(worst_of(t->in, t->e), MONEY_SCALE_NUSD, worst), (long long)est.prompt_bound_tok,
             (long long)est.completion_bound_tok,
             money_print(t->in->chat->prefs.max_total.value, MONEY_SCALE_NUSD, cap));
}

static void say_budget(const struct topic *t)
{
    char worst[MONEY_TEXT_MAX];
    buf_addf(t->out, "the request may cost %s USD there, which the spend cap does not allow",
             usd(worst_of(t->in, t->e), MONEY_SCALE_NUSD, worst));
}

static void (*const SAY[REASON_COUNT])(const struct topic *t) = {
    [REASON_key_policy] = say_key_policy,
    [REASON_allowed_providers] = say_allowed_providers,
    [REASON_no_credential] = say_no_credential,
    [REASON_quantization] = say_quantization,
    [REASON_data_training] = say_training,
    [REASON_data_zdr] = say_zdr,
    [REASON_distillable] = say_distillable,
    [REASON_unpriced] = say_unpriced,
    [REASON_max_price] = say_max_price,
    [REASON_capability] = say_capability,
    [REASON_require_parameters] = say_require_parameters,
    [REASON_context_length] = say_context_length,
    [REASON_max_completion_tokens] = say_max_completion_tokens,
    [REASON_max_total_cost] = say_max_total_cost,
    [REASON_budget] = say_budget,
};

void plan_detail(const struct plan_inputs *in, const struct exclusion *x, struct buf *out)
{
    assert(x->reason > REASON_NONE && x->reason < REASON_COUNT);
    struct topic t = {.in = in, .x = x, .e = x->endpoint, .out = out};
    SAY[x->reason](&t);
}

/* ---- the message of the 404 ---- */

static void name_models(const struct chat *chat, struct buf *out)
{
    char name[CHAT_MODEL_TEXT_MAX];
    int named = chat->n_models < EXPLAIN_MODELS_MAX ? chat->n_models : EXPLAIN_MODELS_MAX;
    for (int i = 0; i < named; i++) {
        if (i > 0)
            buf_adds(out, i + 1 == chat->n_models ? " or " : ", ");
        buf_adds(out, chat_model_text(&chat->models[i], name));
    }
    if (named < chat->n_models)
        buf_addf(out, " or %d more", chat->n_models - named);
}

/* How far an endpoint misses: what its reason compares, or 0. */
static int64_t distance(const struct plan_inputs *in, const struct exclusion *x)
{
    switch (x->reason) {
    case REASON_max_price:
        return price_at(&x->endpoint->price, estimate_of(in, x->endpoint).prompt_tok)
            .pusd[x->detail];
    case REASON_context_length:
        return -x->endpoint->context_length;
    case REASON_max_completion_tokens:
        return -x->endpoint->max_completion_tokens;
    case REASON_max_total_cost:
    case REASON_budget:
        return worst_of(in, x->endpoint);
    default:
        return 0;
    }
}

/* The one that passed most filters; of those the one that misses by least. */
static const struct exclusion *nearest(const struct plan_inputs *in, const struct plan *p)
{
    const struct exclusion *best = &p->excluded[0];
    for (int i = 1; i < p->n_excluded; i++) {
        const struct exclusion *x = &p->excluded[i];
        if (x->reason > best->reason || (x->reason == best->reason && x->detail == best->detail &&
                                         distance(in, x) < distance(in, best)))
            best = x;
    }
    return best;
}

static void count_reasons(const struct plan *p, struct buf *out)
{
    int count[REASON_COUNT] = {0};
    const char *before = "";
    for (int i = 0; i < p->n_excluded; i++)
        count[p->excluded[i].reason]++;
    for (int r = 0; r < REASON_COUNT; r++) {
        if (count[r] > 0) {
            buf_addf(out, "%s%d by %s", before, count[r], reason_word((enum reason)r));
            before = ", ";
        }
    }
}

void plan_explain_empty(const struct plan_inputs *in, const struct plan *p, struct buf *out)
{
    if (p->unknown_model) {
        buf_adds(out, in->chat->n_models == 1 ? "the catalog has no model "
                                              : "the catalog has none of the models ");
        name_models(in->chat, out);
        return;
    }
    buf_adds(out, "no endpoint of ");
    name_models(in->chat, out);
    if (p->n_excluded == 0) {
        buf_adds(out, " is in the catalog");
        return;
    }
    const struct exclusion *x = nearest(in, p);
    buf_adds(out, " fits this request: excluded ");
    count_reasons(p, out);
    buf_addf(out, "; nearest is %s: ", x->endpoint->slug);
    plan_detail(in, x, out);
}
