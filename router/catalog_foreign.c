/* Adding one entry of a foreign list. */
#define _GNU_SOURCE
#include "router/catalog_foreign.h"

#include <strings.h>

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

static bool refused(struct catalog_reader *r, const struct foreign *f)
{
    if (f->negative) {
        reader_note(r, f->path, true, "a price is negative: it depends on what is chosen later, so it cannot be held");
    } else if (f->bad) {
        reader_note(r, f->path, true, "a price is not a decimal number");
    } else if (f->provider == NULL || f->model_id == NULL || strlen(f->model_id) >= CATALOG_NAME_MAX ||
               strlen(f->provider) >= CATALOG_SLUG_MAX || strpbrk(f->model_id, " \t\r\n") != NULL) {
        reader_note(r, f->path, true, "the name of the model or provider is too long or has spaces");
    } else {
        return false;
    }
    return true;
}

static void judge_price(struct catalog_reader *r, struct foreign *f)
{
    struct rates *base = &f->endpoint.price.base;
    bool zero = base->pusd[PRICE_prompt] == 0 && base->pusd[PRICE_completion] == 0;
    if (zero && !f->free) {
        base->pusd[PRICE_prompt] = base->pusd[PRICE_completion] = -1;
        reader_note(r, f->path, false,
                    "zero is taken as unknown: listed without a price (write \"0\" in a wayfare file if it is free)");
    } else if (base->pusd[PRICE_prompt] < 0 || base->pusd[PRICE_completion] < 0) {
        reader_note(r, f->path, false, "no %s price: listed without a price, not routable",
                    base->pusd[PRICE_prompt] < 0 ? "prompt" : "completion");
    } else if (f->rounded) {
        reader_note(r, f->path, false, "a price has more digits than a price: rounded to the pico-dollar");
    }
}

/* The provider may be there already: that is no error here. */
static int add_provider(struct catalog_reader *r, const struct foreign *f)
{
    struct fail why;
    struct provider_spec p = catalog_provider_spec(f->provider, f->provider_name);
    if (catalog_add_provider(r->builder, &p, &why) != 0) {
        return why.code == ERR_internal ? -1 : 0;
    }
    if (p.base_url[0] == '\0') {
        reader_note(r, f->provider, false, "no base_url is known for this provider: listed, not routable");
    }
    return 0;
}

int foreign_add(struct catalog_reader *r, struct foreign *f)
{
    struct fail why;
    if (refused(r, f)) {
        return 0;
    }
    judge_price(r, f);
    const char *aliases[] = {f->alias};
    bool alias_free = f->alias != NULL && !catalog_builder_has_name(r->builder, f->alias);
    struct model_spec m = {.slug = f->model_id, .name = f->name, .created_ms = f->created_ms,
                           .n_aliases = alias_free ? 1 : 0, .aliases = aliases};
    if (m.name != NULL && strlen(m.name) >= CATALOG_NAME_MAX) {
        m.name = NULL;
    }
    if (add_provider(r, f) != 0) {
        return fail_set(r->reterr, ERR_internal, NULL, "out of memory");
    }
    f->endpoint.provider = f->provider;
    if (catalog_add_model(r->builder, &m, &why) != 0) {
        reader_note(r, f->path, true, "%s", why.text);
        return why.code == ERR_internal ? -1 : 0;
    }
    if (catalog_add_endpoint(r->builder, &f->endpoint, &why) != 0) {
        reader_note(r, f->path, true, "%s", why.text);
        return why.code == ERR_internal ? -1 : 0;
    }
    return 0;
}
