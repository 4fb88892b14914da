/* Exports as JSON, read from the text itself: amounts keep their decimals. */
#include "router/reconcile.h"

#include <stdio.h>
#include <string.h>

#include "schema/json.h"
#include "schema/money.h"
#include "schema/when.h"

enum { DAY_MS = 86400000, SECOND_MAX = 1 << 30, PLACE_MAX = 96, CENTS_TO_NUSD_SCALE = 7 };

struct reader {
    struct json_doc doc;
    struct reconcile_export *e;
    struct fail *reterr;
    const char *format;
    char place[PLACE_MAX]; /* "data[3].results[0]" */
};

/* ---- errors name the place ---- */

static unsigned line_of(const struct reader *r, json_ref at)
{
    unsigned line = 1;
    uint32_t end = at == JSON_NONE ? 0 : json_at(&r->doc, at)->begin;
    for (uint32_t i = 0; i < end; i++)
        line += r->doc.text.ptr[i] == '\n';
    return line;
}

static int bad(struct reader *r, json_ref at, const char *member, const char *what)
{
    return fail_set(r->reterr, ERR_bad_request, "text", "%s%s%s: %s (line %u)", r->place,
                    member[0] != '\0' && r->place[0] != '\0' ? "." : "", member, what,
                    line_of(r, at));
}

/* ---- members ---- */

static json_ref member(const struct reader *r, json_ref object, const char *name)
{
    json_ref m = object != JSON_NONE && json_kind(&r->doc, object) == JSON_OBJECT
                     ? json_get(&r->doc, object, name)
                     : JSON_NONE;
    return m != JSON_NONE && json_kind(&r->doc, m) != JSON_NULL ? m : JSON_NONE;
}

static bool is(const struct reader *r, json_ref v, enum json_kind kind)
{
    return v != JSON_NONE && json_kind(&r->doc, v) == kind;
}

/* Absent and null: *ret stays -1. */
static int read_count(struct reader *r, json_ref object, const char *name, int64_t *ret)
{
    json_ref m = member(r, object, name);
    *ret = -1;
    if (m == JSON_NONE)
        return 0;
    if (!json_int64(&r->doc, m, ret) || *ret < 0) {
        *ret = -1;
        return bad(r, m, name, "must be an integer >= 0");
    }
    return 0;
}

static int read_model(struct reader *r, json_ref object, const char *name,
                      struct reconcile_row *row)
{
    json_ref m = member(r, object, name);
    if (m != JSON_NONE && !json_text_fixed(&r->doc, m, row->model, sizeof(row->model)))
        return bad(r, m, name, "must be a string, the name of a model");
    return 0;
}

static int read_when(struct reader *r, json_ref object, const char *name, int64_t *ret_ms)
{
    char text[WHEN_TEXT_MAX * 2];
    json_ref m = member(r, object, name);
    if (m == JSON_NONE || !json_text_fixed(&r->doc, m, text, sizeof(text)) ||
        !when_parse(span_of(text), ret_ms))
        return bad(r, m == JSON_NONE ? object : m, name, "must be an RFC 3339 time");
    return 0;
}

/* A number or a string of decimal digits, in units of 10^-scale; finer decimals are cut. */
static int read_amount(struct reader *r, json_ref object, const char *name, int scale, int64_t *ret)
{
    json_ref m = member(r, object, name);
    struct span text = {"", 0};
    if (is(r, m, JSON_NUMBER))
        text = json_raw(&r->doc, m);
    else if (is(r, m, JSON_STRING))
        text = json_inner(&r->doc, m);
    bool minus = text.len > 0 && text.ptr[0] == '-'; /* a refund */
    if (minus)
        text = (struct span){text.ptr + 1, text.len - 1};
    enum money_parse p = money_parse(text, scale, ret);
    if (p != MONEY_OK && p != MONEY_INEXACT)
        return bad(r, m == JSON_NONE ? object : m, name, "must be an amount of money");
    if (minus)
        *ret = -*ret;
    return 0;
}

/* ---- one result ---- */

static const struct count {
    const char *outer, *name; /* outer: an object around it, or NULL */
    int figure;
} anthropic_counts[] = {
    {NULL, "uncached_input_tokens", USAGE_input_tok},
    {NULL, "output_tokens", USAGE_output_tok},
    {NULL, "cache_read_input_tokens", USAGE_cache_read_tok},
    {"cache_creation", "ephemeral_5m_input_tokens", USAGE_cache_write_5m_tok},
    {"cache_creation", "ephemeral_1h_input_tokens", USAGE_cache_write_1h_tok},
    {"server_tool_use", "web_search_requests", USAGE_web_searches},
};

static int anthropic_usage(struct reader *r, json_ref result, struct reconcile_row *row)
{
    for (size_t i = 0; i < sizeof(anthropic_counts) / sizeof(anthropic_counts[0]); i++) {
        const struct count *c = &anthropic_counts[i];
        int64_t n;
        json_ref from = c->outer == NULL ? result : member(r, result, c->outer);
        if (read_count(r, from, c->name, &n) != 0)
            return -1;
        if (n >= 0)
            reconcile_tell(row, c->figure, n);
    }
    return row->told != 0 ? 0 : bad(r, result, "", "has none of the counts of a usage report");
}

/* Amounts are decimal cents. */
static int anthropic_cost(struct reader *r, json_ref result, struct reconcile_row *row)
{
    int64_t nusd;
    json_ref currency = member(r, result, "currency");
    if (currency != JSON_NONE && !json_text_is(&r->doc, currency, "USD"))
        return bad(r, currency, "currency", "must be USD");
    if (read_amount(r, result, "amount", CENTS_TO_NUSD_SCALE, &nusd) != 0)
        return -1;
    reconcile_tell(row, RECONCILE_COST, nusd);
    return 0;
}

static int anthropic_result(struct reader *r, json_ref result, struct reconcile_row *row)
{
    if (read_model(r, result, "model", row) != 0)
        return -1;
    return member(r, result, "amount") != JSON_NONE ? anthropic_cost(r, result, row)
                                                    : anthropic_usage(r, result, row);
}

static void tell_with_audio(struct reconcile_row *row, enum usage_bucket bucket, int64_t text,
                            enum usage_bucket audio_bucket, int64_t audio)
{
    reconcile_tell(row, (int)bucket, audio > 0 ? text + audio : text);
    if (audio >= 0)
        reconcile_tell(row, (int)audio_bucket, audio);
}

/* input_tokens includes what was read from a cache; sound is told apart
 * (platform.openai.com/docs/api-reference/usage/completions_object). */
static int openai_result(struct reader *r, json_ref result, struct reconcile_row *row)
{
    int64_t input, cached, output, heard, said;
    if (read_model(r, result, "model", row) != 0 ||
        read_count(r, result, "input_tokens", &input) != 0 ||
        read_count(r, result, "input_cached_tokens", &cached) != 0 ||
        read_count(r, result, "output_tokens", &output) != 0 ||
        read_count(r, result, "input_audio_tokens", &heard) != 0 ||
        read_count(r, result, "output_audio_tokens", &said) != 0)
        return -1;
    if (input < 0 || output < 0)
        return bad(r, result, "input_tokens", "is missing, or output_tokens is");
    if (cached > input)
        return bad(r, result, "input_cached_tokens", "is more than input_tokens");
    tell_with_audio(row, USAGE_input_tok, cached > 0 ? input - cached : input,
                    USAGE_audio_input_tok, heard);
    tell_with_audio(row, USAGE_output_tok, output, USAGE_audio_output_tok, said);
    if (cached >= 0)
        reconcile_tell(row, USAGE_cache_read_tok, cached);
    return 0;
}

/* ---- buckets of time ---- */

static int bucket_span(struct reader *r, json_ref bucket, struct window *ret)
{
    if (strcmp(r->format, "anthropic") == 0)
        return read_when(r, bucket, "starting_at", &ret->start_ms) != 0 ||
                       read_when(r, bucket, "ending_at", &ret->end_ms) != 0
                   ? -1
                   : 0;
    if (read_count(r, bucket, "start_time", &ret->start_ms) != 0 ||
        read_count(r, bucket, "end_time", &ret->end_ms) != 0)
        return -1;
    if (ret->start_ms < 0 || ret->end_ms < 0 || ret->end_ms / SECOND_MAX > 32)
        return bad(r, bucket, "start_time", "and end_time must be Unix seconds");
    ret->start_ms *= 1000;
    ret->end_ms *= 1000;
    return 0;
}

static int read_bucket(struct reader *r, json_ref bucket, const char *at)
{
    struct window span;
    snprintf(r->place, sizeof(r->place), "%s", at);
    json_ref results = member(r, bucket, "results");
    if (bucket_span(r, bucket, &span) != 0)
        return -1;
    if (span.start_ms < 0 || span.end_ms <= span.start_ms ||
        (span.end_ms - 1) / DAY_MS != span.start_ms / DAY_MS)
        return bad(r, bucket, "", "must be a stretch of time within one UTC day");
    if (!is(r, results, JSON_ARRAY))
        return bad(r, bucket, "results", "must be an array");
    if (reconcile_cover(r->e, span, r->reterr) != 0)
        return -1;
    int i = 0;
    for (json_ref v = json_first(&r->doc, results); v != JSON_NONE; v = json_next(&r->doc, v)) {
        snprintf(r->place, sizeof(r->place), "%s.results[%d]", at, i++);
        struct reconcile_row *row = reconcile_add(r->e, span.start_ms / DAY_MS, r->reterr);
        if (row == NULL)
            return -1;
        if (!is(r, v, JSON_OBJECT))
            return bad(r, v, "", "must be an object");
        if ((strcmp(r->format, "anthropic") == 0 ? anthropic_result(r, v, row)
                                                 : openai_result(r, v, row)) != 0)
            return -1;
    }
    return 0;
}

/* ---- OpenRouter: a row is a day, a model and an endpoint ---- */

static int read_activity(struct reader *r, json_ref item, const char *at)
{
    char date[32];
    int64_t ms, prompt, completion, nusd;
    snprintf(r->place, sizeof(r->place), "%s", at);
    json_ref d = member(r, item, "date");
    bool dated = d != JSON_NONE && json_text_fixed(&r->doc, d, date, sizeof(date));
    if (!dated || strlen(date) < 10 || !when_parse((struct span){date, 10}, &ms) || ms < 0)
        return bad(r, d == JSON_NONE ? item : d, "date", "must be a date, YYYY-MM-DD");
    struct reconcile_row *row = reconcile_add(r->e, ms / DAY_MS, r->reterr);
    if (row == NULL || read_model(r, item, "model", row) != 0 ||
        read_count(r, item, "prompt_tokens", &prompt) != 0 ||
        read_count(r, item, "completion_tokens", &completion) != 0 ||
        read_amount(r, item, "usage", MONEY_SCALE_NUSD, &nusd) != 0 ||
        reconcile_cover(r->e, (struct window){ms, ms + DAY_MS}, r->reterr) != 0)
        return -1;
    reconcile_tell(row, RECONCILE_COST, nusd);
    if (prompt >= 0)
        reconcile_tell(row, RECONCILE_PROMPT, prompt);
    if (completion >= 0)
        reconcile_tell(row, USAGE_output_tok, completion);
    return 0;
}

/* ---- pages ---- */

static const char *recognise(const struct reader *r, json_ref item)
{
    if (member(r, item, "starting_at") != JSON_NONE)
        return "anthropic";
    if (member(r, item, "start_time") != JSON_NONE)
        return "openai";
    return member(r, item, "date") != JSON_NONE ? "openrouter" : NULL;
}

static int read_items(struct reader *r, json_ref list, const char *at)
{
    int i = 0;
    for (json_ref v = json_first(&r->doc, list); v != JSON_NONE; v = json_next(&r->doc, v)) {
        char place[PLACE_MAX / 2];
        snprintf(place, sizeof(place), "%s[%d]", at, i++);
        snprintf(r->place, sizeof(r->place), "%s", place);
        if (r->format == NULL)
            r->format = recognise(r, v);
        if (r->format == NULL)
            return bad(r, v, "", "is of no known usage export; --format names one");
        if ((strcmp(r->format, "openrouter") == 0 ? read_activity(r, v, place)
                                                  : read_bucket(r, v, place)) != 0)
            return -1;
    }
    return 0;
}

static int read_page(struct reader *r, json_ref page, const char *at)
{
    char place[PLACE_MAX / 2];
    json_ref data = member(r, page, "data");
    snprintf(r->place, sizeof(r->place), "%s", at);
    if (!is(r, data, JSON_ARRAY))
        return bad(r, page, "data", "must be an array");
    snprintf(place, sizeof(place), "%s%sdata", at, at[0] != '\0' ? "." : "");
    return read_items(r, data, place);
}

/* An array is one of pages, or of the items of one. */
static int read_root(struct reader *r)
{
    if (is(r, 0, JSON_OBJECT))
        return read_page(r, 0, "");
    json_ref first = json_first(&r->doc, 0);
    if (first == JSON_NONE || member(r, first, "data") == JSON_NONE)
        return read_items(r, 0, "");
    int i = 0;
    for (json_ref v = first; v != JSON_NONE; v = json_next(&r->doc, v)) {
        char place[32];
        snprintf(place, sizeof(place), "[%d]", i++);
        if (read_page(r, v, place) != 0)
            return -1;
    }
    return 0;
}

int reconcile_json(struct span text, const char *format, struct reconcile_export *e,
                   struct fail *reterr)
{
    struct reader r = {.e = e, .reterr = reterr, .format = format};
    json_init(&r.doc);
    int rc = json_parse(&r.doc, text, reterr);
    if (rc == 0)
        rc = read_root(&r);
    json_done(&r.doc);
    e->format = r.format;
    if (rc == 0 && e->format == NULL)
        rc = fail_set(reterr, ERR_bad_request, "text", "the export is empty");
    return rc;
}
