/* Adding one entry of a foreign list. */
#define _GNU_SOURCE
#include "router/catalog_foreign.h"

#include <strings.h>

#include "schema/chat.h"

void foreign_rate(struct catalog_reader *r, struct foreign *f, json_ref v, int scale,
                  enum price_item item, struct rates *rates)
{
    int64_t pusd = 0;
    switch (reader_price(r, v, scale, &pusd, &f->rounded)) {
    case CATALOG_PRICE_OK:
        rates->pusd[item] = pusd;
        break;
    case CATALOG_PRICE_NEGATIVE:
        f->negative = true;
        break;
    case CATALOG_PRICE_BAD:
        f->bad = true;
        break;
    case CATALOG_PRICE_NONE:
        break;
    }
}

void foreign_tier(struct catalog_reader *r, struct foreign *f, int64_t above_prompt_tok,
                  const struct rates *rates)
{
    if (!price_add_tier(&f->endpoint.price, above_prompt_tok, rates))
        reader_note(r, f->path, false,
                    "a price tier is left out: at most %d, with thresholds from 1 to %d tokens",
                    PRICE_TIERS_MAX, CATALOG_TOK_MAX);
}

bool foreign_says_free(const char *id)
{
    size_t n = strlen(id);
    return n > 5 && (strcmp(id + n - 5, ":free") == 0 || strcmp(id + n - 5, "-free") == 0);
}

int64_t foreign_count(struct catalog_reader *r, json_ref object, const char *name)
{
    int64_t n = 0;
    json_ref v = object != JSON_NONE ? json_get(r->doc, object, name) : JSON_NONE;
    return v != JSON_NONE && json_int64(r->doc, v, &n) && n > 0 && n <= 1000000000 ? n : 0;
}

bool foreign_true(struct catalog_reader *r, json_ref object, const char *name)
{
    bool yes = false;
    json_ref v = json_get(r->doc, object, name);
    return v != JSON_NONE && json_truth(r->doc, v, &yes) && yes;
}

bool foreign_name_ok(const char *name, size_t size)
{
    size_t n = name != NULL ? strlen(name) : 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    }
    return n > 0 && n < size;
}

static bool refused(struct catalog_reader *r, const struct foreign *f)
{
    if (f->negative) {
        reader_note(
            r, f->path, true,
            "a price is negative: it depends on what is chosen later, so it cannot be held");
    } else if (f->bad) {
        reader_note(r, f->path, true, "a price is not a decimal number");
    } else if (!foreign_name_ok(f->provider, CATALOG_SLUG_MAX) ||
               strchr(f->provider, '/') != NULL ||
               !foreign_name_ok(f->model_id, CATALOG_NAME_MAX) ||
               !foreign_name_ok(f->endpoint.upstream_model, CATALOG_NAME_MAX)) {
        reader_note(
            r, f->path, true,
            "the name of the model or provider is too long or has other than printable ASCII");
    } else if (chat_name_suffix(span_of(f->model_id)) != SUFFIX_NONE) {
        reader_note(r, f->path, true, CATALOG_SUFFIXED);
    } else {
        return false;
    }
    return true;
}

/* USD 1,000 per million tokens: more is a slip of the list by orders of magnitude (the dearest
 * model of 2026 costs 600). */
#define PLAUSIBLE_MAX_PUSD INT64_C(1000000000)

static void unprice(struct rates *base)
{
    base->pusd[PRICE_prompt] = base->pusd[PRICE_completion] = -1;
}

static int64_t in_proportion(int64_t pusd, int64_t from, int64_t to)
{
    if (from <= 0 || to > PLAUSIBLE_MAX_PUSD || pusd > PLAUSIBLE_MAX_PUSD)
        return to;
    return (pusd * to + from - 1) / from;
}

/* No provider writes a token to its cache for less than it reads one.  What a list says below that
 * is what keeping it costs, on top (Gemini's: openrouter.ai/docs prompt-caching, "input token price
 * plus 5 minutes of cache storage").  A whole price that a dearer tier would inherit rises with the
 * tier's prompt price.  false: there was nothing to mend. */
static bool mend_write(struct price *p, enum price_item item)
{
    int64_t prompt = 0, write = -1;
    bool mended = false;
    for (int i = -1; i < p->n_tiers; i++) {
        struct rates *r = i < 0 ? &p->base : &p->tiers[i].rates;
        int64_t before = prompt, stated = r->pusd[item];
        prompt = r->pusd[PRICE_prompt] >= 0 ? r->pusd[PRICE_prompt] : prompt;
        write = stated >= 0 ? stated : write;
        if (write < 0 || write >= prompt)
            continue;
        bool surcharge = stated >= 0 && stated < INT64_MAX - prompt;
        write = surcharge ? prompt + stated : in_proportion(write, before, prompt);
        r->pusd[item] = write;
        mended = true;
    }
    return mended;
}

static void mend_writes(struct catalog_reader *r, struct foreign *f)
{
    bool five_minutes = mend_write(&f->endpoint.price, PRICE_cache_write_5m);
    bool hour = mend_write(&f->endpoint.price, PRICE_cache_write_1h);
    if (five_minutes || hour)
        reader_note(r, f->path, false,
                    "a cache write price below the prompt price is taken as what is paid on top of "
                    "it (write it whole in a wayfare file if it is not)");
}

void foreign_judge_price(struct catalog_reader *r, struct foreign *f)
{
    struct rates *base = &f->endpoint.price.base;
    int64_t prompt = base->pusd[PRICE_prompt], completion = base->pusd[PRICE_completion];
    if (prompt == 0 && completion == 0 && !f->free) {
        unprice(base);
        reader_note(r, f->path, false,
                    "zero is taken as unknown: listed without a price (write \"0\" in a wayfare "
                    "file if it is free)");
    } else if (prompt < 0 || completion < 0) {
        reader_note(r, f->path, false, "no %s price: listed without a price, not routable",
                    prompt < 0 ? "prompt" : "completion");
    } else if (prompt > PLAUSIBLE_MAX_PUSD || completion > PLAUSIBLE_MAX_PUSD) {
        unprice(base);
        reader_note(r, f->path, false,
                    "over $1000 per million tokens is taken as a mistake: listed without a price");
    } else if (f->rounded) {
        reader_note(r, f->path, false, "a price has more digits than a price: rounded");
    }
    /* In these lists a price of zero for cached tokens or for sound says that there is no such
     * price, not that they are free: the prompt price is what is billed then. */
    static const enum price_item unlikely[] = {PRICE_cache_read,       PRICE_cache_write_5m,
                                               PRICE_cache_write_1h,   PRICE_audio,
                                               PRICE_audio_cache_read, PRICE_audio_completion};
    for (size_t i = 0; prompt > 0 && i < sizeof unlikely / sizeof unlikely[0]; i++) {
        int64_t *rate = &base->pusd[unlikely[i]];
        *rate = *rate == 0 ? -1 : *rate;
    }
    mend_writes(r, f);
}

int foreign_add_provider(struct catalog_reader *r, const struct foreign *f)
{
    struct fail why;
    bool named = f->provider_name != NULL && *f->provider_name != '\0' &&
                 strlen(f->provider_name) < CATALOG_NAME_MAX;
    struct provider_spec p = catalog_provider_spec(f->provider, named ? f->provider_name : NULL);
    if (catalog_add_provider(r->builder, &p, &why) != 0) {
        return why.code == ERR_internal ? fail_set(r->reterr, why.code, NULL, "%s", why.text) : 0;
    }
    if (p.base_url[0] == '\0') {
        reader_note(r, f->provider, false,
                    "no base_url is known for this provider: listed, not routable");
    }
    return 0;
}

/* A bare name ("claude-sonnet-4-5") is claimed by everyone who sells the model.  It means the
 * author's own endpoint, else the first provider in the list whose address is known. */
static bool take_alias(struct catalog_reader *r, const struct foreign *f)
{
    const struct known_provider *k = catalog_known_provider(span_of(f->provider));
    if (f->alias == NULL || k == NULL || !foreign_name_ok(f->alias, CATALOG_NAME_MAX) ||
        chat_name_suffix(span_of(f->alias)) != SUFFIX_NONE)
        return false;
    const char *owner = catalog_builder_owner(r->builder, f->alias);
    if (owner == NULL)
        return true;
    struct span seller = {owner, strcspn(owner, "/")};
    const struct known_provider *other = catalog_known_provider(seller);
    if (!k->author || strcmp(owner, f->alias) == 0 || (other != NULL && other->author))
        return false;
    catalog_builder_drop_alias(r->builder, f->alias);
    return true;
}

int foreign_add_model(struct catalog_reader *r, const char *path, const struct model_spec *m)
{
    struct fail why;
    const char *owner = catalog_builder_owner(r->builder, m->slug);
    if (owner != NULL && strcmp(owner, m->slug) != 0)
        catalog_builder_drop_alias(r->builder, m->slug);
    if (catalog_add_model(r->builder, m, &why) == 0)
        return 0;
    reader_note(r, path, true, "%s", why.text);
    return why.code == ERR_internal ? fail_set(r->reterr, why.code, NULL, "%s", why.text) : 1;
}

int foreign_add(struct catalog_reader *r, struct foreign *f)
{
    struct fail why;
    if (refused(r, f))
        return 0;
    foreign_judge_price(r, f);
    const char *aliases[] = {f->alias};
    struct model_spec m = {.slug = f->model_id,
                           .name = f->name,
                           .created_ms = f->created_ms,
                           .n_aliases = take_alias(r, f) ? 1 : 0,
                           .aliases = aliases};
    if (m.name != NULL && (*m.name == '\0' || strlen(m.name) >= CATALOG_NAME_MAX))
        m.name = NULL;
    if (foreign_add_provider(r, f) != 0)
        return -1;
    f->endpoint.provider = f->provider;
    int rc = foreign_add_model(r, f->path, &m);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (catalog_add_endpoint(r->builder, &f->endpoint, &why) == 0)
        return 0;
    reader_note(r, f->path, true, "%s", why.text);
    return why.code == ERR_internal ? fail_set(r->reterr, why.code, NULL, "%s", why.text) : 0;
}
