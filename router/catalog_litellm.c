/* LiteLLM's model_prices_and_context_window.json: USD per one token, a flat object of
 * models whose price tiers are in the field names. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "router/catalog_foreign.h"
#include "schema/money.h"

/* Field name without a tier suffix -> price item.  The first that is present wins. */
static const struct {
    const char *field;
    enum price_item item;
} fields[] = {
    {"input_cost_per_token", PRICE_prompt},
    {"output_cost_per_token", PRICE_completion},
    {"cache_read_input_token_cost", PRICE_cache_read},
    {"input_cost_per_token_cache_hit", PRICE_cache_read},
    {"cache_creation_input_token_cost", PRICE_cache_write_5m},
    {"cache_creation_input_token_cost_above_1hr", PRICE_cache_write_1h},
    {"input_cost_per_audio_token", PRICE_audio},
    {"cache_read_input_audio_token_cost", PRICE_audio_cache_read},
    {"output_cost_per_audio_token", PRICE_audio_completion},
    {"input_cost_per_request", PRICE_request},
    {"input_cost_per_query", PRICE_request},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

/* "..._above_200k_tokens" -> 200000 and the length of what precedes it; 0 = no such suffix. */
static int64_t tier_suffix(struct span key, size_t *ret_stem)
{
    static const char above[] = "_above_", tokens[] = "k_tokens";
    size_t tail = sizeof tokens - 1;
    if (key.len <= tail || memcmp(key.ptr + key.len - tail, tokens, tail) != 0) {
        return 0;
    }
    size_t at = key.len - tail;
    int64_t n = 0, unit = 1;
    while (at > 0 && key.ptr[at - 1] >= '0' && key.ptr[at - 1] <= '9' && unit < 1000000) {
        n += (key.ptr[--at] - '0') * unit;
        unit *= 10;
    }
    size_t head = sizeof above - 1;
    if (n == 0 || at < head || memcmp(key.ptr + at - head, above, head) != 0) {
        return 0;
    }
    *ret_stem = at - head;
    return n * 1000;
}

static int field_index(struct span name)
{
    for (int i = 0; i < N_FIELDS; i++) {
        if (span_is(name, fields[i].field)) {
            return i;
        }
    }
    return -1;
}

static void read_prices(struct catalog_reader *r, json_ref model, struct foreign *f)
{
    const struct json_doc *d = r->doc;
    struct price *p = &f->endpoint.price;
    for (json_ref m = json_first(d, model); m != JSON_NONE; m = json_next(d, m)) {
        const struct json_node *node = json_at(d, m);
        struct span key = {d->text.ptr + node->key_begin + 1, node->key_len};
        size_t stem = key.len;
        int64_t above = tier_suffix(key, &stem);
        int i = field_index((struct span){key.ptr, stem});
        if (i < 0) {
            continue;
        }
        struct rates tier = rates_none();
        struct rates *into = above > 0 ? &tier : &p->base;
        if (above == 0 && p->base.pusd[fields[i].item] >= 0) {
            continue;
        }
        foreign_rate(r, f, m, MONEY_SCALE_UNIT, fields[i].item, into);
        if (above > 0 && tier.pusd[fields[i].item] >= 0) {
            foreign_tier(r, f, above, &tier);
        }
    }
}

/* tiered_pricing: [{"range": [from, to], "input_cost_per_token": ...}, ...]. */
static void read_ranges(struct catalog_reader *r, json_ref model, struct foreign *f)
{
    const struct json_doc *d = r->doc;
    json_ref list = json_get(d, model, "tiered_pricing");
    for (json_ref t = list != JSON_NONE ? json_first(d, list) : JSON_NONE; t != JSON_NONE;
         t = json_next(d, t)) {
        json_ref range = json_kind(d, t) == JSON_OBJECT ? json_get(d, t, "range") : JSON_NONE;
        json_ref from = range != JSON_NONE ? json_first(d, range) : JSON_NONE;
        struct rates rates = rates_none();
        int64_t above = 0;
        if (from == JSON_NONE ||
            (!json_int64(d, from, &above) && json_kind(d, from) != JSON_NUMBER)) {
            continue;
        }
        /* Written as 32000.0. */
        if (above == 0 && money_parse(json_raw(d, from), 0, &above) == MONEY_NEGATIVE) {
            above = -1; /* no threshold: foreign_tier says so */
        }
        for (int i = 0; i < N_FIELDS; i++) {
            foreign_rate(r, f, json_get(d, t, fields[i].field), MONEY_SCALE_UNIT, fields[i].item,
                         &rates);
        }
        if (above == 0) {
            f->endpoint.price.base = rates;
        } else {
            foreign_tier(r, f, above, &rates);
        }
    }
}

static void read_search(struct catalog_reader *r, json_ref model, struct foreign *f)
{
    json_ref s = json_get(r->doc, model, "search_context_cost_per_query");
    if (s != JSON_NONE && json_kind(r->doc, s) == JSON_OBJECT) {
        foreign_rate(r, f, json_get(r->doc, s, "search_context_size_medium"), MONEY_SCALE_UNIT,
                     PRICE_web_search, &f->endpoint.price.base);
    }
}

static void read_abilities(struct catalog_reader *r, json_ref model, struct foreign *f)
{
    static const struct {
        const char *flag;
        uint32_t params, modalities;
    } rows[] = {
        {"supports_function_calling", PARAM_BIT(PARAM_tools), 0},
        {"supports_tool_choice", PARAM_BIT(PARAM_tool_choice), 0},
        {"supports_parallel_function_calling", PARAM_BIT(PARAM_parallel_tool_calls), 0},
        {"supports_reasoning", PARAM_BIT(PARAM_reasoning) | PARAM_BIT(PARAM_reasoning_effort), 0},
        {"supports_response_schema",
         PARAM_BIT(PARAM_structured_outputs) | PARAM_BIT(PARAM_response_format), 0},
        {"supports_vision", 0, MODALITY_BIT(MODALITY_image)},
        {"supports_pdf_input", 0, MODALITY_BIT(MODALITY_pdf)},
        {"supports_audio_input", 0, MODALITY_BIT(MODALITY_audio)},
    };
    struct endpoint_spec *e = &f->endpoint;
    e->modalities = MODALITY_BIT(MODALITY_text);
    e->params = PARAM_BIT(PARAM_max_tokens) | PARAM_BIT(PARAM_temperature) |
                PARAM_BIT(PARAM_top_p) | PARAM_BIT(PARAM_stop);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (foreign_true(r, model, rows[i].flag)) {
            e->params |= rows[i].params;
            e->modalities |= rows[i].modalities;
        }
    }
    if (foreign_true(r, model, "supports_web_search")) {
        e->server_tools[e->n_server_tools++] = "web_search";
    }
    e->context_length = foreign_count(r, model, "max_input_tokens");
    e->max_completion_tokens = foreign_count(r, model, "max_output_tokens");
}

/* Why an entry is no chat model priced in dollars per token; NULL = it is. */
static const char *why_not(struct catalog_reader *r, json_ref model, const char *key)
{
    static const char *const other_units[] = {"input_dbu_cost_per_token", "input_cost_per_second",
                                              "input_cost_per_character", "input_cost_per_pixel"};
    const struct json_doc *d = r->doc;
    json_ref mode = json_get(d, model, "mode");
    if (strcmp(key, "sample_spec") == 0) {
        return "the list's own example";
    }
    if (mode == JSON_NONE ||
        (!json_text_is(d, mode, "chat") && !json_text_is(d, mode, "responses"))) {
        return "not a chat model";
    }
    for (size_t i = 0; i < sizeof other_units / sizeof other_units[0]; i++) {
        if (json_get(d, model, other_units[i]) != JSON_NONE &&
            json_get(d, model, "input_cost_per_token") == JSON_NONE) {
            return "not priced in dollars per token";
        }
    }
    return NULL;
}

/* The provider's own name for the model: LiteLLM prefixes most keys with the provider. */
static const char *without_prefix(const char *key, const char *provider)
{
    size_t n = strlen(provider);
    return strncmp(key, provider, n) == 0 && key[n] == '/' ? key + n + 1 : key;
}

static int read_model(struct catalog_reader *r, json_ref model)
{
    const struct json_doc *d = r->doc;
    struct foreign f = {.path = NULL};
    char id[CATALOG_NAME_MAX * 2];
    size_t at = r->text.len;
    if (!json_key_text(d, model, &r->text) || !buf_addc(&r->text, '\0')) {
        return 0;
    }
    const char *key = r->text.ptr + at;
    if (json_kind(d, model) != JSON_OBJECT) {
        reader_note(r, key, true, "not an object");
        return 0;
    }
    const char *why = why_not(r, model, key);
    f.provider = reader_text(r, json_get(d, model, "litellm_provider"));
    if (why != NULL || f.provider == NULL) {
        reader_note(r, key, true, "%s", why != NULL ? why : "no litellm_provider");
        return 0;
    }
    const char *bare = without_prefix(key, f.provider);
    snprintf(id, sizeof id, "%s/%s", f.provider, bare);
    f.path = key;
    f.model_id = reader_span(r, span_of(id));
    f.name = bare;
    f.alias = bare;
    f.endpoint.upstream_model = bare;
    f.endpoint.price.base = rates_none();
    f.free = foreign_says_free(key) || strcmp(f.provider, "ollama") == 0;
    read_ranges(r, model, &f);
    read_prices(r, model, &f);
    read_search(r, model, &f);
    read_abilities(r, model, &f);
    return foreign_add(r, &f);
}

static bool is_litellm(const struct json_doc *d)
{
    for (json_ref m = json_first(d, 0); m != JSON_NONE; m = json_next(d, m)) {
        if (json_kind(d, m) == JSON_OBJECT && json_get(d, m, "litellm_provider") != JSON_NONE)
            return true;
    }
    return false;
}

int catalog_read_litellm(struct catalog_reader *r)
{
    if (!is_litellm(r->doc))
        return reader_refuse(r, 0, "is no LiteLLM price list: no member has \"litellm_provider\"");
    for (json_ref m = json_first(r->doc, 0); m != JSON_NONE; m = json_next(r->doc, m)) {
        reader_next_entry(r);
        if (read_model(r, m) != 0) {
            return -1;
        }
    }
    return 0;
}
