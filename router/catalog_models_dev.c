/* models.dev's api.json: {provider: {id, name, api, env, npm, models: {id: {...}}}}, USD per
 * million tokens. */
#define _GNU_SOURCE
#include <stdio.h>

#include "router/catalog_foreign.h"
#include "schema/money.h"
#include "schema/when.h"

/* Names of the cost members; the misspelt ones are in the list itself. */
static const struct {
    const char *field;
    enum price_item item;
} fields[] = {
    {"input", PRICE_prompt},
    {"output", PRICE_completion},
    {"cache_read", PRICE_cache_read},
    {"cached_input", PRICE_cache_read},
    {"cache_input", PRICE_cache_read},
    {"cache_write", PRICE_cache_write_5m},
    {"cached_write", PRICE_cache_write_5m},
    {"input_audio", PRICE_audio},
    {"output_audio", PRICE_audio_completion},
};

static void read_rates(struct catalog_reader *r, struct foreign *f, json_ref cost,
                       struct rates *rates)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (rates->pusd[fields[i].item] < 0) {
            foreign_rate(r, f, json_get(r->doc, cost, fields[i].field), MONEY_SCALE_MTOK,
                         fields[i].item, rates);
        }
    }
}

static void read_cost(struct catalog_reader *r, struct foreign *f, json_ref model)
{
    const struct json_doc *d = r->doc;
    json_ref cost = json_get(d, model, "cost");
    f->endpoint.price.base = rates_none();
    if (cost == JSON_NONE || json_kind(d, cost) != JSON_OBJECT) {
        return;
    }
    read_rates(r, f, cost, &f->endpoint.price.base);
    json_ref tiers = json_get(d, cost, "tiers");
    for (json_ref t = tiers != JSON_NONE ? json_first(d, tiers) : JSON_NONE; t != JSON_NONE;
         t = json_next(d, t)) {
        json_ref tier = json_kind(d, t) == JSON_OBJECT ? json_get(d, t, "tier") : JSON_NONE;
        int64_t above = tier != JSON_NONE && json_kind(d, tier) == JSON_OBJECT
                            ? foreign_count(r, tier, "size")
                            : 0;
        struct rates rates = rates_none();
        if (above > 0) {
            read_rates(r, f, t, &rates);
            foreign_tier(r, f, above, &rates);
        }
    }
}

static void read_abilities(struct catalog_reader *r, struct foreign *f, json_ref model)
{
    const struct json_doc *d = r->doc;
    struct endpoint_spec *e = &f->endpoint;
    static const struct {
        const char *flag;
        uint32_t params;
    } rows[] = {
        {"tool_call", PARAM_BIT(PARAM_tools) | PARAM_BIT(PARAM_tool_choice)},
        {"reasoning", PARAM_BIT(PARAM_reasoning) | PARAM_BIT(PARAM_reasoning_effort)},
        {"structured_output",
         PARAM_BIT(PARAM_structured_outputs) | PARAM_BIT(PARAM_response_format)},
        {"temperature", PARAM_BIT(PARAM_temperature) | PARAM_BIT(PARAM_top_p)},
    };
    e->params = PARAM_BIT(PARAM_max_tokens) | PARAM_BIT(PARAM_stop);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        e->params |= foreign_true(r, model, rows[i].flag) ? rows[i].params : 0;
    }
    e->modalities = MODALITY_BIT(MODALITY_text);
    json_ref modalities = json_get(d, model, "modalities");
    json_ref input = modalities != JSON_NONE && json_kind(d, modalities) == JSON_OBJECT
                         ? json_get(d, modalities, "input")
                         : JSON_NONE;
    for (json_ref m = input != JSON_NONE ? json_first(d, input) : JSON_NONE; m != JSON_NONE;
         m = json_next(d, m)) {
        enum modality word;
        if (json_kind(d, m) == JSON_STRING && modality_parse(json_inner(d, m), &word)) {
            e->modalities |= MODALITY_BIT(word);
        }
    }
    json_ref limit = json_get(d, model, "limit");
    if (limit != JSON_NONE && json_kind(d, limit) == JSON_OBJECT) {
        e->context_length = foreign_count(r, limit, "context");
        e->max_completion_tokens = foreign_count(r, limit, "output");
    }
}

static int read_model(struct catalog_reader *r, const char *provider, const char *provider_name,
                      json_ref model)
{
    const struct json_doc *d = r->doc;
    char id[CATALOG_NAME_MAX * 2];
    struct foreign f = {.provider = provider, .provider_name = provider_name};
    size_t at = r->text.len;
    if (!json_key_text(d, model, &r->text) || !buf_addc(&r->text, '\0') ||
        json_kind(d, model) != JSON_OBJECT) {
        return 0;
    }
    f.endpoint.upstream_model = r->text.ptr + at;
    snprintf(id, sizeof id, "%s/%s", provider, f.endpoint.upstream_model);
    f.path = f.model_id = reader_span(r, span_of(id));
    f.name = reader_text(r, json_get(d, model, "name"));
    f.alias = f.endpoint.upstream_model;
    f.free = foreign_says_free(id);
    json_ref released = json_get(d, model, "release_date");
    if (released != JSON_NONE && json_kind(d, released) == JSON_STRING) {
        when_parse(json_inner(d, released), &f.created_ms);
    }
    json_ref output = json_get(d, model, "modalities");
    output = output != JSON_NONE && json_kind(d, output) == JSON_OBJECT
                 ? json_get(d, output, "output")
                 : JSON_NONE;
    json_ref first = output != JSON_NONE ? json_first(d, output) : JSON_NONE;
    if (first != JSON_NONE && json_next(d, first) == JSON_NONE && !json_text_is(d, first, "text")) {
        reader_note(r, f.path, true, "does not answer with text");
        return 0;
    }
    read_cost(r, &f, model);
    read_abilities(r, &f, model);
    return foreign_add(r, &f);
}

static int read_provider(struct catalog_reader *r, json_ref provider)
{
    const struct json_doc *d = r->doc;
    char slug[CATALOG_SLUG_MAX], name[CATALOG_NAME_MAX] = "";
    json_ref models =
        json_kind(d, provider) == JSON_OBJECT ? json_get(d, provider, "models") : JSON_NONE;
    if (models == JSON_NONE || json_kind(d, models) != JSON_OBJECT ||
        !json_text_fixed(d, json_get(d, provider, "id"), slug, sizeof slug)) {
        return 0;
    }
    json_text_fixed(d, json_get(d, provider, "name"), name, sizeof name);
    for (json_ref m = json_first(d, models); m != JSON_NONE; m = json_next(d, m)) {
        reader_next_entry(r);
        if (read_model(r, slug, name[0] != '\0' ? name : NULL, m) != 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_models_dev(const struct json_doc *d)
{
    for (json_ref p = json_first(d, 0); p != JSON_NONE; p = json_next(d, p)) {
        json_ref models = json_kind(d, p) == JSON_OBJECT ? json_get(d, p, "models") : JSON_NONE;
        if (models != JSON_NONE && json_kind(d, models) == JSON_OBJECT &&
            json_get(d, p, "id") != JSON_NONE)
            return true;
    }
    return false;
}

int catalog_read_models_dev(struct catalog_reader *r)
{
    if (!is_models_dev(r->doc))
        return reader_refuse(r, 0, "is no models.dev list: no provider has \"id\" and \"models\"");
    for (json_ref p = json_first(r->doc, 0); p != JSON_NONE; p = json_next(r->doc, p)) {
        if (read_provider(r, p) != 0) {
            return -1;
        }
    }
    return 0;
}
