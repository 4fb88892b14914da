/* Writing the catalog in our own format: what is read back is equal. */
#define _GNU_SOURCE
#include <inttypes.h>

#include "router/catalog_file.h"
#include "router/catalog_reader.h"
#include "schema/json.h"
#include "schema/money.h"
#include "schema/when.h"

static void text_member(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "\"%s\": ", name);
    if (value == NULL) {
        buf_adds(out, "null");
    } else {
        json_write_string(out, span_of(value));
    }
}

/* 0 = unknown. */
static void count_member(struct buf *out, const char *name, int64_t n)
{
    if (n > 0) {
        buf_addf(out, ", \"%s\": %" PRId64, name, n);
    } else {
        buf_addf(out, ", \"%s\": null", name);
    }
}

static const char *truth(bool b)
{
    return b ? "true" : "false";
}

static void write_credential(const struct credential *c, struct buf *out)
{
    if (c->kind == CREDENTIAL_NONE) {
        buf_adds(out, "{\"none\": true}");
        return;
    }
    buf_addc(out, '{');
    text_member(out, c->kind == CREDENTIAL_ENV ? "env" : "file", c->ref);
    buf_addc(out, '}');
}

static void write_auth(const struct provider_row *p, struct buf *out)
{
    if (p->auth_type == AUTH_CUSTOM) {
        buf_adds(out, "\"auth\": {");
        text_member(out, "header", p->auth_header_name);
        buf_adds(out, "}, ");
    } else if (p->auth_type != AUTH_NONE) {
        text_member(out, "auth",
                    p->auth_type == AUTH_BEARER  ? "bearer"
                    : p->auth_type == AUTH_BASIC ? "basic"
                                                 : "x-api-key");
        buf_adds(out, ", ");
    }
}

/* What is stated, after what stands before it; nothing for an object that states nothing. */
static void write_timeouts(const struct timeouts *t, const char *before, const char *after,
                           struct buf *out)
{
    const struct {
        const char *name;
        int64_t ms;
    } members[] = {{"connect_ms", t->connect_ms},
                   {"first_byte_ms", t->first_byte_ms},
                   {"idle_ms", t->idle_ms},
                   {"total_ms", t->total_ms}};
    const char *comma = "";
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (members[i].ms == 0)
            continue;
        buf_addf(out, "%s\"%s\": %" PRId64, *comma == '\0' ? before : comma, members[i].name,
                 members[i].ms);
        comma = ", ";
    }
    buf_adds(out, *comma != '\0' ? after : "");
}

static void write_provider(const struct provider_row *p, struct buf *out)
{
    buf_adds(out, "    {");
    text_member(out, "slug", p->slug);
    buf_adds(out, ", ");
    text_member(out, "name", p->name);
    buf_adds(out, ", ");
    text_member(out, "protocol", p->protocol);
    buf_adds(out, ",\n     ");
    text_member(out, "base_url", p->base_url);
    buf_adds(out, ", ");
    if (p->region != NULL) {
        text_member(out, "region", p->region);
        buf_adds(out, ", ");
    }
    write_auth(p, out);
    buf_adds(out, "\"credential\": [");
    for (int i = 0; i < p->n_credentials; i++) {
        buf_adds(out, i > 0 ? ", " : "");
        write_credential(&p->credentials[i], out);
    }
    buf_addf(out,
             "],\n     \"data_collection\": \"%s\", \"zdr\": %s, \"cancel_stops_billing\": %s, "
             "\"headers\": {",
             p->collects ? "allow" : "deny", truth(p->zdr), truth(p->cancel_stops_billing));
    for (int i = 0; p->headers[i] != NULL; i += 2) {
        buf_adds(out, i > 0 ? ", " : "");
        json_write_string(out, span_of(p->headers[i]));
        buf_adds(out, ": ");
        json_write_string(out, span_of(p->headers[i + 1]));
    }
    buf_addc(out, '}');
    write_timeouts(&p->timeouts, ",\n     \"timeouts\": {", "}", out);
    buf_addc(out, '}');
}

static void write_rates(const struct rates *r, struct buf *out, const char *comma)
{
    char text[MONEY_TEXT_MAX];
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (r->pusd[i] >= 0) {
            buf_addf(out, "%s\"%s\": \"%s\"", comma, price_item_name((enum price_item)i),
                     money_print(r->pusd[i], price_item_scale((enum price_item)i), text));
            comma = ", ";
        }
    }
}

static void write_price(const struct price *p, struct buf *out)
{
    buf_adds(out, "\"pricing\": {");
    write_rates(&p->base, out, "");
    bool any = false;
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        any |= p->base.pusd[i] >= 0;
    }
    for (int i = 0; i < p->n_tiers; i++) {
        buf_adds(out, i > 0 ? ", " : any ? ", \"tiers\": [" : "\"tiers\": [");
        buf_addf(out, "{\"above_prompt_tokens\": %" PRId64, p->tiers[i].above_prompt_tok);
        write_rates(&p->tiers[i].rates, out, ", ");
        buf_addc(out, '}');
    }
    buf_adds(out, p->n_tiers > 0 ? "]}" : "}");
}

static void write_list(struct buf *out, const char *name, uint32_t bits, int count,
                       const char *(*word)(int))
{
    const char *comma = "";
    buf_addf(out, "\"%s\": [", name);
    for (int i = 0; i < count; i++) {
        if ((bits >> i) & 1u) {
            buf_addf(out, "%s\"%s\"", comma, word(i));
            comma = ", ";
        }
    }
    buf_adds(out, "], ");
}

static const char *modality_word(int i)
{
    return modality_name((enum modality)i);
}

static const char *param_word(int i)
{
    return param_name((enum param)i);
}

static const char *rule_word(int i)
{
    return model_rule_name((enum model_rule)i);
}

static void write_endpoint(const struct endpoint *e, struct buf *out)
{
    buf_adds(out, "       {");
    text_member(out, "provider", e->provider->slug);
    buf_adds(out, ", ");
    text_member(out, "variant", e->variant);
    buf_adds(out, ", ");
    text_member(out, "upstream_model", e->upstream_model);
    count_member(out, "context_length", e->context_length);
    count_member(out, "max_completion_tokens", e->max_completion_tokens);
    buf_addf(out, ", \"quantization\": \"%s\",\n        ", quantization_name(e->quantization));
    write_list(out, "input_modalities", e->modalities, MODALITY_COUNT, modality_word);
    write_list(out, "supported_parameters", e->params, PARAM_COUNT, param_word);
    if (e->rules != 0)
        write_list(out, "rules", e->rules, RULE_COUNT, rule_word);
    if (e->speed[0] != '\0') {
        text_member(out, "speed", e->speed);
        buf_adds(out, ", ");
    }
    if (e->geo[0] != '\0') {
        text_member(out, "inference_geo", e->geo);
        buf_adds(out, ", ");
    }
    buf_adds(out, "\"server_tools\": [");
    for (int i = 0; i < e->n_server_tools; i++) {
        buf_adds(out, i > 0 ? ", " : "");
        json_write_string(out, span_of(e->server_tools[i]));
    }
    buf_adds(out, "],\n        ");
    write_timeouts(&e->stated_timeouts, "\"timeouts\": {", "}, ", out);
    write_price(&e->price, out);
    buf_addc(out, '}');
}

static void write_model(const struct model *m, struct buf *out)
{
    char when[WHEN_TEXT_MAX];
    buf_adds(out, "    {");
    text_member(out, "id", m->slug);
    buf_adds(out, ", ");
    text_member(out, "name", m->name);
    buf_adds(out, ", \"aliases\": [");
    for (int i = 0; i < m->n_aliases; i++) {
        buf_adds(out, i > 0 ? ", " : "");
        json_write_string(out, span_of(m->aliases[i]));
    }
    buf_addf(out, "], \"distillable\": %s, ", truth(m->distillable));
    if (m->created_ms != 0) {
        buf_addf(out, "\"created\": \"%s\", ", when_print(m->created_ms, when));
    }
    write_timeouts(&m->timeouts, "\"timeouts\": {", "}, ", out);
    buf_adds(out, "\"endpoints\": [");
    for (int i = 0; i < m->n_endpoints; i++) {
        buf_adds(out, i > 0 ? ",\n" : "\n");
        write_endpoint(m->endpoints[i], out);
    }
    buf_adds(out, "]}");
}

int catalog_file_write(const struct catalog *c, struct buf *out)
{
    buf_adds(out, "{\n  \"providers\": [");
    const char *comma = "\n";
    for (int i = 0; i < c->n_providers; i++) {
        if (c->providers[i].elsewhere != NULL)
            continue;
        buf_adds(out, comma);
        write_provider(&c->providers[i], out);
        comma = ",\n";
    }
    buf_adds(out, "\n  ],\n  \"models\": [");
    for (int i = 0; i < c->n_models; i++) {
        buf_adds(out, i > 0 ? ",\n" : "\n");
        write_model(&c->models[i], out);
    }
    buf_adds(out, "\n  ]\n}\n");
    return out->failed ? -1 : 0;
}
