/* One line of code for each member; values are shown shortened. */
#include "router/catalog_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "router/catalog_words.h"
#include "schema/money.h"
#include "schema/when.h"

enum { VALUE_MAX = 256 };

/* ---- one member ---- */

/* Not in the middle of a character. */
static void add_value(struct buf *out, const char *value)
{
    struct span s = span_of(value != NULL && value[0] != '\0' ? value : "none");
    if (s.len <= VALUE_MAX) {
        buf_add_span(out, s);
        return;
    }
    for (s.len = VALUE_MAX; s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80;)
        s.len--;
    buf_add_span(out, s);
    buf_adds(out, "...");
}

static void begin(struct buf *out, const char *name)
{
    buf_addf(out, "%s%s ", out->len > 0 ? ", " : "", name);
}

static void texts(struct buf *out, const char *name, const char *was, const char *is)
{
    if (strcmp(was != NULL ? was : "", is != NULL ? is : "") == 0)
        return;
    begin(out, name);
    add_value(out, was);
    buf_adds(out, " -> ");
    add_value(out, is);
}

static void truths(struct buf *out, const char *name, bool was, bool is)
{
    texts(out, name, was ? "true" : "false", is ? "true" : "false");
}

/* 0 = not stated. */
static void counts(struct buf *out, const char *name, int64_t was, int64_t is)
{
    char before[32] = "", after[32] = "";
    if (was != 0)
        snprintf(before, sizeof before, "%" PRId64, was);
    if (is != 0)
        snprintf(after, sizeof after, "%" PRId64, is);
    texts(out, name, before, after);
}

static void times(struct buf *out, const struct timeouts *was, const struct timeouts *is)
{
    counts(out, "connect_ms", was->connect_ms, is->connect_ms);
    counts(out, "first_byte_ms", was->first_byte_ms, is->first_byte_ms);
    counts(out, "idle_ms", was->idle_ms, is->idle_ms);
    counts(out, "total_ms", was->total_ms, is->total_ms);
}

/* Lists of words: what goes and what comes. */
static void words(struct buf *out, const char *name, uint32_t was, uint32_t is,
                  void (*write)(uint32_t words, struct buf *out))
{
    if ((was & ~is) != 0) {
        begin(out, name);
        buf_adds(out, "without");
        write(was & ~is, out);
    }
    if ((is & ~was) != 0) {
        begin(out, name);
        buf_adds(out, "with");
        write(is & ~was, out);
    }
}

/* Two texts that are put together by the caller: ends both buffers. */
static void bufs(struct buf *out, const char *name, struct buf *was, struct buf *is)
{
    texts(out, name, was->ptr, is->ptr);
    buf_done(was);
    buf_done(is);
}

/* ---- providers ---- */

static void credential_words(const struct provider_row *p, struct buf *out)
{
    buf_init(out, DIFF_TEXT_MAX);
    for (int i = 0; i < p->n_credentials; i++)
        buf_addf(out, "%s%s%s%s", i > 0 ? " + " : "", credential_kind_word(p->credentials[i].kind),
                 p->credentials[i].ref[0] != '\0' ? " " : "", p->credentials[i].ref);
}

static const char *auth_words(const struct provider_row *p)
{
    return p->auth_type == AUTH_CUSTOM    ? p->auth_header_name
           : p->auth_type == AUTH_API_KEY ? "x-api-key"
                                          : auth_type_word(p->auth_type);
}

static const char *header_value(const struct provider_row *p, const char *name)
{
    for (int i = 0; p->headers[i] != NULL; i += 2) {
        if (strcmp(p->headers[i], name) == 0)
            return p->headers[i + 1];
    }
    return NULL;
}

static void header_changes(struct buf *out, const struct provider_row *was,
                           const struct provider_row *is)
{
    for (int i = 0; was->headers[i] != NULL; i += 2) {
        const char *now = header_value(is, was->headers[i]);
        if (now != NULL && strcmp(now, was->headers[i + 1]) == 0)
            continue;
        begin(out, "header");
        add_value(out, was->headers[i]);
        buf_adds(out, now == NULL ? " -> none" : " changed");
    }
    for (int i = 0; is->headers[i] != NULL; i += 2) {
        if (header_value(was, is->headers[i]) == NULL) {
            begin(out, "header");
            add_value(out, is->headers[i]);
            buf_adds(out, " added");
        }
    }
}

void diff_provider(const struct provider_row *was, const struct provider_row *is, struct buf *out)
{
    struct buf before, after;
    texts(out, "name", was->name, is->name);
    texts(out, "protocol", was->protocol, is->protocol);
    texts(out, "base_url", was->base_url, is->base_url);
    texts(out, "region", was->region, is->region);
    credential_words(was, &before);
    credential_words(is, &after);
    bufs(out, "credential", &before, &after);
    texts(out, "auth", auth_words(was), auth_words(is));
    texts(out, "data_collection", was->collects ? "allow" : "deny",
          is->collects ? "allow" : "deny");
    truths(out, "zdr", was->zdr, is->zdr);
    truths(out, "cancel_stops_billing", was->cancel_stops_billing, is->cancel_stops_billing);
    times(out, &was->timeouts, &is->timeouts);
    header_changes(out, was, is);
}

/* ---- models ---- */

bool diff_has_name(const struct model *m, const char *alias)
{
    for (int i = 0; i < m->n_aliases; i++) {
        if (strcmp(m->aliases[i], alias) == 0)
            return true;
    }
    return false;
}

static void created(struct buf *out, int64_t was_ms, int64_t is_ms)
{
    char was[WHEN_TEXT_MAX] = "", is[WHEN_TEXT_MAX] = "";
    if (was_ms != 0)
        when_print(was_ms, was);
    if (is_ms != 0)
        when_print(is_ms, is);
    texts(out, "created", was, is);
}

void diff_model(const struct model *was, const struct model *is, struct buf *out)
{
    texts(out, "name", was->name, is->name);
    truths(out, "distillable", was->distillable, is->distillable);
    created(out, was->created_ms, is->created_ms);
    times(out, &was->timeouts, &is->timeouts);
    for (int i = 0; i < is->n_aliases; i++) {
        if (!diff_has_name(was, is->aliases[i])) {
            begin(out, "also called");
            add_value(out, is->aliases[i]);
        }
    }
}

/* ---- endpoints ---- */

void diff_price_words(const struct price *p, char out[DIFF_PRICE_MAX])
{
    char prompt[MONEY_TEXT_MAX], completion[MONEY_TEXT_MAX];
    if (!price_is_routable(p)) {
        snprintf(out, DIFF_PRICE_MAX, "unpriced");
        return;
    }
    money_print(p->base.pusd[PRICE_prompt], MONEY_SCALE_MTOK, prompt);
    money_print(p->base.pusd[PRICE_completion], MONEY_SCALE_MTOK, completion);
    snprintf(out, DIFF_PRICE_MAX, "$%s / $%s per million", prompt, completion);
}

static void rate_words(const struct price *p, enum price_item item, char out[MONEY_TEXT_MAX + 1])
{
    char text[MONEY_TEXT_MAX];
    out[0] = '\0';
    if (p->base.pusd[item] >= 0)
        snprintf(out, MONEY_TEXT_MAX + 1, "$%s",
                 money_print(p->base.pusd[item], price_item_scale(item), text));
}

static bool same_tiers(const struct price *a, const struct price *b)
{
    bool same = a->n_tiers == b->n_tiers;
    for (int i = 0; same && i < a->n_tiers; i++)
        same = memcmp(&a->tiers[i], &b->tiers[i], sizeof a->tiers[i]) == 0;
    return same;
}

static void price_changes(struct buf *out, const struct price *was, const struct price *is)
{
    char before[DIFF_PRICE_MAX], after[DIFF_PRICE_MAX];
    diff_price_words(was, before);
    diff_price_words(is, after);
    if (strcmp(before, after) != 0)
        buf_addf(out, "%s%s -> %s", out->len > 0 ? ", " : "", before, after);
    bool told = price_is_routable(was) && price_is_routable(is); /* prompt and completion */
    for (int i = told ? PRICE_completion + 1 : 0; i < PRICE_ITEM_COUNT; i++) {
        char rate[2][MONEY_TEXT_MAX + 1];
        rate_words(was, (enum price_item)i, rate[0]);
        rate_words(is, (enum price_item)i, rate[1]);
        texts(out, price_item_name((enum price_item)i), rate[0], rate[1]);
    }
    if (was->n_tiers != is->n_tiers)
        buf_addf(out, "%stiers %d -> %d", out->len > 0 ? ", " : "", was->n_tiers, is->n_tiers);
    else if (!same_tiers(was, is))
        buf_addf(out, "%stiers changed", out->len > 0 ? ", " : "");
}

static void tool_words(const struct endpoint *e, struct buf *out)
{
    buf_init(out, DIFF_TEXT_MAX);
    for (int i = 0; i < e->n_server_tools; i++)
        buf_addf(out, "%s%s", i > 0 ? " " : "", e->server_tools[i]);
}

void diff_endpoint(const struct endpoint *was, const struct endpoint *is, struct buf *out)
{
    struct buf before, after;
    price_changes(out, &was->price, &is->price);
    texts(out, "upstream_model", was->upstream_model, is->upstream_model);
    counts(out, "context_length", was->context_length, is->context_length);
    counts(out, "max_completion_tokens", was->max_completion_tokens, is->max_completion_tokens);
    texts(out, "quantization", quantization_name(was->quantization),
          quantization_name(is->quantization));
    words(out, "input_modalities", was->modalities, is->modalities, words_write_modalities);
    words(out, "supported_parameters", was->params, is->params, words_write_params);
    words(out, "rules", was->rules, is->rules, words_write_rules);
    texts(out, "speed", was->speed, is->speed);
    texts(out, "inference_geo", was->geo, is->geo);
    tool_words(was, &before);
    tool_words(is, &after);
    bufs(out, "server_tools", &before, &after);
    times(out, &was->stated_timeouts, &is->stated_timeouts);
}
