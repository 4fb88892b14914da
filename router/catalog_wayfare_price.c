/* Our own catalog format: what an endpoint costs. */
#include "router/catalog_reader.h"
#include "schema/json_path.h"
#include "schema/money.h"

static int refuse_price(struct catalog_reader *r, json_ref v, enum money_parse how, int scale)
{
    switch (how) {
    case MONEY_NEGATIVE:
        return reader_refuse(r, v, "a price is not negative");
    case MONEY_INEXACT:
        return reader_refuse(r, v, "has more than %d decimals", scale);
    case MONEY_RANGE:
        return reader_refuse(r, v, "is too large for a price");
    case MONEY_SYNTAX:
    case MONEY_OK:
        break;
    }
    return reader_refuse(r, v, "must be a decimal number, best written as a string: \"0.25\"");
}

static int read_rate(struct catalog_reader *r, json_ref v, enum price_item item,
                     struct rates *rates)
{
    enum json_kind kind = json_kind(r->doc, v);
    int scale = price_item_scale(item);
    if (kind == JSON_NULL) {
        return 0;
    }
    struct span s = kind == JSON_STRING ? json_inner(r->doc, v) : json_raw(r->doc, v);
    enum money_parse how = kind == JSON_STRING   ? money_parse_plain(s, scale, &rates->pusd[item])
                           : kind == JSON_NUMBER ? money_parse(s, scale, &rates->pusd[item])
                                                 : MONEY_SYNTAX;
    return how == MONEY_OK ? 0 : refuse_price(r, v, how, scale);
}

static int price_item_named(const struct json_doc *d, json_ref m)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (json_key_is(d, m, price_item_name((enum price_item)i))) {
            return i;
        }
    }
    return -1;
}

/* Of two prices in one object a reader must not pick one. */
static int refuse_twin(struct catalog_reader *r, json_ref object, json_ref member, int item,
                       const char *other)
{
    const char *name = item >= 0 ? price_item_name((enum price_item)item) : other;
    return json_count_key(r->doc, object, name) > 1 ? reader_refuse(r, member, "is given twice")
                                                    : 0;
}

static int read_tier(struct catalog_reader *r, json_ref tier, struct price *p)
{
    struct rates rates = rates_none();
    int64_t above = 0;
    if (json_kind(r->doc, tier) != JSON_OBJECT)
        return reader_refuse(r, tier, "must be an object");
    for (json_ref m = json_first(r->doc, tier); m != JSON_NONE; m = json_next(r->doc, m)) {
        int item = price_item_named(r->doc, m);
        int ok = refuse_twin(r, tier, m, item, "above_prompt_tokens");
        if (ok == 0)
            ok = item >= 0 ? read_rate(r, m, (enum price_item)item, &rates)
                 : json_key_is(r->doc, m, "above_prompt_tokens")
                     ? reader_count(r, m, 1, CATALOG_TOK_MAX, &above)
                     : reader_refuse(r, m, "this member is not known here");
        if (ok != 0)
            return -1;
    }
    for (int i = 0; i < p->n_tiers; i++) {
        if (p->tiers[i].above_prompt_tok == above)
            return reader_refuse(r, tier, "two tiers have the same threshold");
    }
    if (above == 0)
        return reader_refuse(r, tier, "\"above_prompt_tokens\" is missing");
    return price_add_tier(p, above, &rates)
               ? 0
               : reader_refuse(r, tier, "at most %d tiers", PRICE_TIERS_MAX);
}

static int read_tiers(struct catalog_reader *r, json_ref tiers, struct price *p)
{
    if (json_kind(r->doc, tiers) != JSON_ARRAY)
        return reader_refuse(r, tiers, "must be an array");
    for (json_ref t = json_first(r->doc, tiers); t != JSON_NONE; t = json_next(r->doc, t)) {
        if (read_tier(r, t, p) != 0)
            return -1;
    }
    return 0;
}

int reader_pricing(struct catalog_reader *r, json_ref v, struct price *p)
{
    if (json_kind(r->doc, v) == JSON_NULL)
        return 0;
    if (json_kind(r->doc, v) != JSON_OBJECT)
        return reader_refuse(r, v, "must be an object");
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        int item = price_item_named(r->doc, m);
        int ok = refuse_twin(r, v, m, item, "tiers");
        if (ok == 0)
            ok = item >= 0 ? read_rate(r, m, (enum price_item)item, &p->base)
                 : json_key_is(r->doc, m, "tiers")
                     ? read_tiers(r, m, p)
                     : reader_refuse(r, m, "this member is not known here");
        if (ok != 0)
            return -1;
    }
    return 0;
}

/* The price stands as it is written; but no provider is known that writes a token to its cache for
 * less than it reads one, and where this one does not either, such prompts look cheap. */
static void note_cheap_writes(struct catalog_reader *r, json_ref endpoint, const struct price *p)
{
    static const enum price_item writes[] = {PRICE_cache_write_5m, PRICE_cache_write_1h};
    char path[FAIL_FIELD_MAX];
    for (int i = -1; i < p->n_tiers; i++) {
        struct rates at = price_at(p, i < 0 ? 0 : p->tiers[i].above_prompt_tok + 1);
        for (size_t k = 0; k < sizeof writes / sizeof writes[0]; k++) {
            if (at.pusd[writes[k]] >= at.pusd[PRICE_prompt])
                continue;
            json_path(r->doc, json_get(r->doc, endpoint, "pricing"), path);
            reader_note(r, path, false,
                        "%s is below the prompt price%s: state what a token that is written to the "
                        "cache costs in all (where nothing is stated, it costs the prompt price)",
                        price_item_name(writes[k]), i < 0 ? "" : " of a tier");
            return;
        }
    }
}

/* Below a thousandth of a dollar per million nobody sells tokens: whoever wrote that meant one. */
static bool looks_like_one_token(int64_t pusd)
{
    return pusd > 0 && pusd < 1000;
}

static void note_token_prices(struct catalog_reader *r, json_ref endpoint, const struct price *p)
{
    static const enum price_item items[] = {PRICE_prompt, PRICE_completion};
    char path[FAIL_FIELD_MAX], text[MONEY_TEXT_MAX];
    for (int i = -1; i < p->n_tiers; i++) {
        const struct rates *rates = i < 0 ? &p->base : &p->tiers[i].rates;
        for (size_t k = 0; k < sizeof items / sizeof items[0]; k++) {
            if (!looks_like_one_token(rates->pusd[items[k]]))
                continue;
            json_path(r->doc, json_get(r->doc, endpoint, "pricing"), path);
            reader_note(r, path, false,
                        "%s %s%s looks like a price per token; prices here are per million tokens",
                        price_item_name(items[k]),
                        money_print(rates->pusd[items[k]], MONEY_SCALE_MTOK, text),
                        i < 0 ? "" : " of a tier");
            return;
        }
    }
}

void reader_note_prices(struct catalog_reader *r, json_ref endpoint, const struct price *p)
{
    note_token_prices(r, endpoint, p);
    note_cheap_writes(r, endpoint, p);
}
