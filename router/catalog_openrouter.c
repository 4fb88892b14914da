/* OpenRouter's listings, decimal strings in USD per token or unit:
 *
 *   {"data": [models]}                    each becomes an endpoint at provider `openrouter`
 *   {"data": {"id", "endpoints": [...]}}  the providers behind one model, by their tag
 *   {"endpoints": [...]}                  a flat list of such rows with model_slug
 *
 * Rows of the second kind name providers of their own (deepinfra, groq, ...), not routes through
 * OpenRouter: a request that OpenRouter is to send to one of them needs its `provider` object,
 * which Wayfare does not write into other people's requests.  They are listed at that provider,
 * routable where its base_url is known. */
#define _GNU_SOURCE
#include <stdio.h>

#include "router/catalog_foreign.h"
#include "schema/chat.h"
#include "schema/money.h"

enum { VARIANTS_TRIED = 64 };
#define YEAR_10000_S INT64_C(253402300800) /* beyond what a date in a file can say */

static const struct {
    const char *field;
    enum price_item item;
} fields[] = {
    {"prompt", PRICE_prompt},
    {"completion", PRICE_completion},
    {"input_cache_read", PRICE_cache_read},
    {"input_cache_write", PRICE_cache_write_5m},
    {"input_cache_write_1h", PRICE_cache_write_1h},
    {"request", PRICE_request},
    {"image", PRICE_image},
    {"web_search", PRICE_web_search},
    {"audio", PRICE_audio},
    {"input_audio_cache", PRICE_audio_cache_read},
    {"audio_output", PRICE_audio_completion},
};

static void read_rates(struct catalog_reader *r, struct foreign *f, json_ref pricing,
                       struct rates *rates)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        foreign_rate(r, f, json_get(r->doc, pricing, fields[i].field), MONEY_SCALE_UNIT,
                     fields[i].item, rates);
    }
}

static void read_overrides(struct catalog_reader *r, struct foreign *f, json_ref pricing)
{
    const struct json_doc *d = r->doc;
    json_ref list = json_get(d, pricing, "overrides");
    for (json_ref o = list != JSON_NONE ? json_first(d, list) : JSON_NONE; o != JSON_NONE;
         o = json_next(d, o)) {
        struct rates rates = rates_none();
        int64_t least =
            json_kind(d, o) == JSON_OBJECT ? foreign_count(r, o, "min_prompt_tokens") : 0;
        if (least < 2 || json_get(d, o, "utc_start") != JSON_NONE) {
            reader_note(r, f->path, false, "a price by time of day is left out");
            continue;
        }
        read_rates(r, f, o, &rates);
        foreign_tier(r, f, least - 1, &rates);
    }
}

static void read_pricing(struct catalog_reader *r, struct foreign *f, json_ref row)
{
    json_ref pricing = json_get(r->doc, row, "pricing");
    f->endpoint.price.base = rates_none();
    if (pricing != JSON_NONE && json_kind(r->doc, pricing) == JSON_OBJECT) {
        read_rates(r, f, pricing, &f->endpoint.price.base);
        read_overrides(r, f, pricing);
    }
}

static uint32_t read_params(struct catalog_reader *r, json_ref row)
{
    const struct json_doc *d = r->doc;
    uint32_t bits = 0;
    json_ref list = json_get(d, row, "supported_parameters");
    if (list == JSON_NONE) {
        bits = PARAM_BIT(PARAM_max_tokens) | PARAM_BIT(PARAM_temperature) | PARAM_BIT(PARAM_top_p) |
               PARAM_BIT(PARAM_stop);
        bits |= foreign_true(r, row, "supports_tool_parameters")
                    ? PARAM_BIT(PARAM_tools) | PARAM_BIT(PARAM_tool_choice)
                    : 0;
        bits |= foreign_true(r, row, "supports_reasoning") ? PARAM_BIT(PARAM_reasoning) : 0;
        return bits;
    }
    for (json_ref m = json_first(d, list); m != JSON_NONE; m = json_next(d, m)) {
        enum param p;
        bits |=
            json_kind(d, m) == JSON_STRING && param_parse(json_inner(d, m), &p) ? PARAM_BIT(p) : 0;
    }
    return bits;
}

static uint32_t read_modalities(struct catalog_reader *r, json_ref model)
{
    const struct json_doc *d = r->doc;
    uint32_t bits = MODALITY_BIT(MODALITY_text);
    json_ref arch = model != JSON_NONE ? json_get(d, model, "architecture") : JSON_NONE;
    json_ref list = arch != JSON_NONE && json_kind(d, arch) == JSON_OBJECT
                        ? json_get(d, arch, "input_modalities")
                        : JSON_NONE;
    for (json_ref m = list != JSON_NONE ? json_first(d, list) : JSON_NONE; m != JSON_NONE;
         m = json_next(d, m)) {
        enum modality word;
        if (json_kind(d, m) == JSON_STRING && modality_parse(json_inner(d, m), &word)) {
            bits |= word == MODALITY_file ? MODALITY_BIT(MODALITY_file) | MODALITY_BIT(MODALITY_pdf)
                                          : MODALITY_BIT(word);
        }
    }
    return bits;
}

/* ---- models ---- */

/* In seconds; not a token count, whose ceiling is lower. */
static int64_t created_ms(struct catalog_reader *r, json_ref model)
{
    int64_t s = 0;
    json_ref v = json_get(r->doc, model, "created");
    return v != JSON_NONE && json_int64(r->doc, v, &s) && s > 0 && s < YEAR_10000_S ? s * 1000 : 0;
}

static int read_model(struct catalog_reader *r, json_ref model)
{
    const struct json_doc *d = r->doc;
    struct foreign f = {.provider = "openrouter"};
    f.model_id =
        json_kind(d, model) == JSON_OBJECT ? reader_text(r, json_get(d, model, "id")) : NULL;
    f.path = f.model_id != NULL ? f.model_id : "data[]";
    if (f.model_id != NULL) {
        f.name = reader_text(r, json_get(d, model, "name"));
        f.alias = reader_text(r, json_get(d, model, "canonical_slug"));
        f.free = foreign_says_free(f.model_id);
        f.created_ms = created_ms(r, model);
        f.endpoint.upstream_model = f.model_id;
        f.endpoint.context_length = foreign_count(r, model, "context_length");
        json_ref top = json_get(d, model, "top_provider");
        f.endpoint.max_completion_tokens = top != JSON_NONE && json_kind(d, top) == JSON_OBJECT
                                               ? foreign_count(r, top, "max_completion_tokens")
                                               : 0;
        f.endpoint.params = read_params(r, model);
        f.endpoint.modalities = read_modalities(r, model);
        read_pricing(r, &f, model);
        /* Any model can be searched for there (plugins, openrouter:web_search); where no price is
         * stated, the fee depends on what is found. */
        if (f.endpoint.price.base.pusd[PRICE_web_search] >= 0)
            f.endpoint.server_tools[f.endpoint.n_server_tools++] = "web_search";
    }
    return foreign_add(r, &f);
}

/* ---- rows of endpoints ---- */

static void split_tag(struct catalog_reader *r, const char *tag, struct foreign *f)
{
    const char *slash = strchr(tag, '/');
    f->provider = slash == NULL ? tag : reader_span(r, (struct span){tag, (size_t)(slash - tag)});
    f->endpoint.variant = slash == NULL || slash[1] == '\0' ? NULL : slash + 1;
}

/* Several rows of one provider differ in quantization or only in an id: each needs a variant. */
static int add_row(struct catalog_reader *r, struct foreign *f)
{
    struct fail why;
    char variant[CATALOG_SLUG_MAX];
    if (foreign_add_provider(r, f) != 0)
        return -1;
    f->endpoint.provider = f->provider;
    const char *quantization = quantization_name(f->endpoint.quantization);
    for (int i = 0; i < VARIANTS_TRIED; i++) {
        if (catalog_add_endpoint(r->builder, &f->endpoint, &why) == 0) {
            return 0;
        }
        snprintf(variant, sizeof variant, i == 0 ? "%s" : "%s-%d", quantization, i + 1);
        f->endpoint.variant = variant;
    }
    reader_note(r, f->path, true, "%s", why.text);
    return why.code == ERR_internal ? fail_set(r->reterr, why.code, NULL, "%s", why.text) : 0;
}

static bool usable_row(struct catalog_reader *r, struct foreign *f, json_ref row)
{
    if (f->negative) {
        reader_note(r, f->path, true,
                    "a price is negative: it depends on the model that is chosen later");
    } else if (f->bad) {
        reader_note(r, f->path, true, "a price is not a decimal number");
    } else if (foreign_true(r, row, "is_hidden") || foreign_true(r, row, "is_disabled")) {
        reader_note(r, f->path, true, "hidden or disabled at OpenRouter");
    } else {
        return true;
    }
    return false;
}

static int read_row(struct catalog_reader *r, json_ref row, const char *model_id,
                    uint32_t modalities)
{
    const struct json_doc *d = r->doc;
    struct foreign f = {.model_id = model_id};
    char path[2 * CATALOG_NAME_MAX];
    json_ref tag = json_get(d, row, "tag");
    const char *text = reader_text(r, tag != JSON_NONE ? tag : json_get(d, row, "provider_slug"));
    snprintf(path, sizeof path, "%s at %s", model_id, text != NULL ? text : "?");
    f.path = path;
    if (!foreign_name_ok(text, CATALOG_SLUG_MAX) || *text == '/') {
        reader_note(r, f.path, true, "the row names no provider");
        return 0;
    }
    split_tag(r, text, &f);
    f.provider_name = reader_text(r, json_get(d, row, "provider_name"));
    f.endpoint.upstream_model = model_id;
    f.endpoint.context_length = foreign_count(r, row, "context_length");
    f.endpoint.max_completion_tokens = foreign_count(r, row, "max_completion_tokens");
    f.endpoint.params = read_params(r, row);
    f.endpoint.modalities = modalities;
    json_ref q = json_get(d, row, "quantization");
    if (q != JSON_NONE && json_kind(d, q) == JSON_STRING) {
        quantization_parse(json_inner(d, q), &f.endpoint.quantization);
    }
    read_pricing(r, &f, row);
    if (!usable_row(r, &f, row)) {
        return 0;
    }
    f.free = foreign_true(r, row, "is_free") || foreign_says_free(model_id);
    foreign_judge_price(r, &f);
    return add_row(r, &f);
}

static int read_one(struct catalog_reader *r, json_ref data)
{
    const struct json_doc *d = r->doc;
    char id[CATALOG_NAME_MAX], name[CATALOG_NAME_MAX];
    json_ref rows = json_get(d, data, "endpoints");
    if (!json_text_fixed(d, json_get(d, data, "id"), id, sizeof id) || rows == JSON_NONE) {
        return reader_refuse(r, data, "must have \"id\" and \"endpoints\"");
    }
    bool named = json_text_fixed(d, json_get(d, data, "name"), name, sizeof name);
    if (!foreign_name_ok(id, sizeof id))
        return reader_refuse(r, data, "has an \"id\" that is no model name");
    if (chat_name_suffix(span_of(id)) != SUFFIX_NONE)
        return reader_refuse(r, data, CATALOG_SUFFIXED);
    struct model_spec m = {.slug = id,
                           .name = named && name[0] != '\0' ? name : NULL,
                           .created_ms = created_ms(r, data)};
    int ok = foreign_add_model(r, id, &m);
    uint32_t modalities = read_modalities(r, data);
    for (json_ref row = json_first(d, rows); ok == 0 && row != JSON_NONE; row = json_next(d, row)) {
        reader_next_entry(r);
        ok = json_kind(d, row) == JSON_OBJECT ? read_row(r, row, id, modalities) : 0;
    }
    return ok < 0 ? -1 : 0;
}

/* The model's name in a flat row: slug and variant (":free"). */
static bool row_model(struct catalog_reader *r, json_ref row, char id[CATALOG_NAME_MAX])
{
    const struct json_doc *d = r->doc;
    char slug[CATALOG_NAME_MAX], variant[64] = "";
    if (json_kind(d, row) != JSON_OBJECT ||
        !json_text_fixed(d, json_get(d, row, "model_slug"), slug, sizeof slug)) {
        return false;
    }
    json_text_fixed(d, json_get(d, row, "variant"), variant, sizeof variant);
    bool standard = variant[0] == '\0' || strcmp(variant, "standard") == 0;
    return snprintf(id, CATALOG_NAME_MAX, standard ? "%s" : "%s:%s", slug, variant) <
               CATALOG_NAME_MAX &&
           foreign_name_ok(id, CATALOG_NAME_MAX) && chat_name_suffix(span_of(id)) == SUFFIX_NONE;
}

/* Rows of one model may stand apart: the first one met takes all of its kind. */
static int read_flat(struct catalog_reader *r, json_ref rows)
{
    const struct json_doc *d = r->doc;
    char id[CATALOG_NAME_MAX], other[CATALOG_NAME_MAX];
    for (json_ref first = json_first(d, rows); first != JSON_NONE; first = json_next(d, first)) {
        if (!row_model(r, first, id)) {
            reader_note(r, "endpoints[]", true, "the row names no model");
            continue;
        }
        if (catalog_builder_owner(r->builder, id) != NULL) {
            continue;
        }
        struct model_spec m = {.slug = id};
        int ok = foreign_add_model(r, id, &m);
        for (json_ref row = first; ok == 0 && row != JSON_NONE; row = json_next(d, row)) {
            reader_next_entry(r);
            if (row_model(r, row, other) && strcmp(id, other) == 0) {
                ok = read_row(r, row, id, MODALITY_BIT(MODALITY_text));
            }
        }
        if (ok < 0) {
            return -1;
        }
    }
    return 0;
}

int catalog_read_openrouter(struct catalog_reader *r)
{
    const struct json_doc *d = r->doc;
    json_ref data = json_get(d, 0, "data"), rows = json_get(d, 0, "endpoints");
    if (data != JSON_NONE && json_kind(d, data) == JSON_OBJECT) {
        return read_one(r, data);
    }
    if (data == JSON_NONE && rows != JSON_NONE && json_kind(d, rows) == JSON_ARRAY) {
        return read_flat(r, rows);
    }
    if (data == JSON_NONE || json_kind(d, data) != JSON_ARRAY) {
        return reader_refuse(r, 0,
                             "is no OpenRouter listing: \"data\" or \"endpoints\" is expected");
    }
    for (json_ref m = json_first(d, data); m != JSON_NONE; m = json_next(d, m)) {
        reader_next_entry(r);
        if (read_model(r, m) != 0) {
            return -1;
        }
    }
    return 0;
}
