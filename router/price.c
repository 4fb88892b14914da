/* Which rates are in force, and what a usage costs at them.  Integers only; every
 * sum that could leave int64 is reported to the caller. */
#include "router/price.h"

#include <assert.h>

#include "schema/money.h"

static const struct {
    const char *name;
    int scale;
} ITEMS[PRICE_ITEM_COUNT] = {
#define I(name, scale) {#name, MONEY_SCALE_##scale},
    PRICE_ITEMS(I)
#undef I
};

enum { NO_AUDIO = -1 };

/* The usage buckets that are tokens and the rate that bills each; and of which a part is sound,
 * at another rate. */
static const struct {
    enum usage_bucket bucket;
    enum price_item item;
    int audio; /* enum usage_bucket */
    enum price_item audio_item;
} TOKENS[] = {
    {USAGE_input_tok, PRICE_prompt, USAGE_audio_input_tok, PRICE_audio},
    {USAGE_output_tok, PRICE_completion, USAGE_audio_output_tok, PRICE_audio_completion},
    {USAGE_cache_read_tok, PRICE_cache_read, USAGE_audio_cache_read_tok, PRICE_audio_cache_read},
    {USAGE_cache_write_5m_tok, PRICE_cache_write_5m, NO_AUDIO, PRICE_audio},
    {USAGE_cache_write_1h_tok, PRICE_cache_write_1h, NO_AUDIO, PRICE_audio},
};

const char *price_item_name(enum price_item i)
{
    assert(i >= 0 && i < PRICE_ITEM_COUNT);
    return ITEMS[i].name;
}

int price_item_scale(enum price_item i)
{
    assert(i >= 0 && i < PRICE_ITEM_COUNT);
    return ITEMS[i].scale;
}

bool price_is_routable(const struct price *p)
{
    return p->base.pusd[PRICE_prompt] >= 0 && p->base.pusd[PRICE_completion] >= 0;
}

bool price_covers_sound(const struct price *p, bool spoken)
{
    const int64_t *base = p->base.pusd;
    bool stated = base[spoken ? PRICE_audio_completion : PRICE_audio] >= 0;
    return stated || (base[PRICE_prompt] == 0 && base[PRICE_completion] == 0);
}

static void name_over(struct rates *r, const struct rates *tier)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (tier->pusd[i] >= 0)
            r->pusd[i] = tier->pusd[i];
    }
}

/* Fallbacks come last: a missing cache price follows the prompt price of the tier, not
 * the one of the base. */
static struct rates resolved(struct rates r)
{
    static const struct {
        enum price_item item, instead;
    } FALLBACKS[] = {
        {PRICE_cache_read, PRICE_prompt},      {PRICE_cache_write_5m, PRICE_prompt},
        {PRICE_cache_write_1h, PRICE_prompt},  {PRICE_audio, PRICE_prompt},
        {PRICE_audio_cache_read, PRICE_audio}, {PRICE_audio_completion, PRICE_completion},
    };
    for (size_t i = 0; i < sizeof(FALLBACKS) / sizeof(FALLBACKS[0]); i++) {
        if (r.pusd[FALLBACKS[i].item] < 0)
            r.pusd[FALLBACKS[i].item] = r.pusd[FALLBACKS[i].instead];
    }
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (r.pusd[i] < 0)
            r.pusd[i] = 0;
    }
    return r;
}

/* A prompt above several thresholds is in every one of those tiers: what the highest does
 * not name comes from the next lower one, at last from the base. */
struct rates price_at(const struct price *p, int64_t prompt_tok)
{
    struct rates r = p->base;
    for (int i = 0; i < p->n_tiers; i++) {
        if (prompt_tok > p->tiers[i].above_prompt_tok)
            name_over(&r, &p->tiers[i].rates);
    }
    return resolved(r);
}

int64_t price_tier(const struct price *p, int64_t prompt_tok)
{
    int64_t above = 0;
    for (int i = 0; i < p->n_tiers && prompt_tok > p->tiers[i].above_prompt_tok; i++)
        above = p->tiers[i].above_prompt_tok;
    return above;
}

struct rates price_dearest(const struct price *p, int64_t prompt_tok)
{
    struct rates tier = p->base;
    struct rates dearest = resolved(tier);
    for (int i = 0; i < p->n_tiers && prompt_tok > p->tiers[i].above_prompt_tok; i++) {
        name_over(&tier, &p->tiers[i].rates);
        struct rates at = resolved(tier);
        for (int k = 0; k < PRICE_ITEM_COUNT; k++) {
            if (at.pusd[k] > dearest.pusd[k])
                dearest.pusd[k] = at.pusd[k];
        }
    }
    return dearest;
}

/* The counts come from a provider: one that is negative or does not fit is no usage.
 * (usage_prompt_tok has no way to say so.) */
static bool prompt_size(const struct usage *u, int64_t *ret_tok)
{
    int64_t tok = 0;
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (u->n[i] < 0)
            return false;
    }
    if (!money_add(&tok, u->n[USAGE_input_tok]) || !money_add(&tok, u->n[USAGE_cache_read_tok]) ||
        !money_add(&tok, u->n[USAGE_cache_write_5m_tok]) ||
        !money_add(&tok, u->n[USAGE_cache_write_1h_tok]))
        return false;
    *ret_tok = tok;
    return true;
}

static bool add_tokens(const struct price *p, const struct usage *u, int64_t *acc)
{
    int64_t prompt_tok;
    if (!prompt_size(u, &prompt_tok))
        return false;
    struct rates r = price_at(p, prompt_tok);
    for (size_t i = 0; i < sizeof(TOKENS) / sizeof(TOKENS[0]); i++) {
        int64_t all = u->n[TOKENS[i].bucket];
        int64_t audio = TOKENS[i].audio != NO_AUDIO ? u->n[TOKENS[i].audio] : 0;
        audio = audio < all ? audio : all;
        if (!money_add_product(acc, r.pusd[TOKENS[i].item], all - audio) ||
            !money_add_product(acc, r.pusd[TOKENS[i].audio_item], audio))
            return false;
    }
    return true;
}

/* What is charged once per attempt, whatever the number of iterations. */
static bool add_fees(const struct price *p, const struct usage *u, int n_images,
                     bool with_request_fee, int64_t *acc)
{
    assert(n_images >= 0);
    int64_t prompt_tok;
    if (!prompt_size(u, &prompt_tok))
        return false;
    struct rates r = price_at(p, prompt_tok);
    return money_add_product(acc, r.pusd[PRICE_web_search], u->n[USAGE_web_searches]) &&
           money_add_product(acc, r.pusd[PRICE_image], n_images) &&
           money_add_product(acc, r.pusd[PRICE_request], with_request_fee ? 1 : 0);
}

bool price_usage(const struct price *p, const struct usage *u, int n_images, bool with_request_fee,
                 int64_t *ret_pusd)
{
    int64_t pusd = 0;
    if (!add_tokens(p, u, &pusd) || !add_fees(p, u, n_images, with_request_fee, &pusd))
        return false;
    *ret_pusd = pusd;
    return true;
}

/* The price of one iteration; the endpoint's own where the model is not known here or
 * has no price here. */
static const struct price *inner_price(const struct price *own, const char *model,
                                       price_lookup lookup, void *ctx, bool *unknown)
{
    if (model[0] == '\0')
        return own;
    const struct price *p = lookup != NULL ? lookup(ctx, model) : NULL;
    if (p != NULL && price_is_routable(p))
        return p;
    *unknown = true;
    return own;
}

bool price_report(const struct price *p, const struct usage_report *r, int n_images,
                  price_lookup lookup, void *ctx, int64_t *ret_pusd, bool *ret_unknown_model)
{
    assert(r->n_iterations >= 0 && r->n_iterations <= USAGE_ITERATIONS_MAX);
    int64_t pusd = 0;
    bool unknown = false;
    if (r->n_iterations == 0 && !add_tokens(p, &r->total, &pusd))
        return false;
    for (int i = 0; i < r->n_iterations; i++) {
        const struct usage_iteration *it = &r->iterations[i];
        if (!add_tokens(inner_price(p, it->model, lookup, ctx, &unknown), &it->usage, &pusd))
            return false;
    }
    if (!add_fees(p, &r->total, n_images, true, &pusd))
        return false;
    *ret_pusd = pusd;
    *ret_unknown_model = unknown;
    return true;
}
