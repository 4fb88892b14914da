/* Splices members into an answer: nothing is rebuilt, bytes are inserted. */
#define _GNU_SOURCE
#include "server/report.h"

#include "schema/json.h"

enum { INSERT_MAX = 512, TYPE_WITHIN = 64 };

/* Where to insert in an object so that the text becomes its last member. */
static size_t end_of_object(const struct json_doc *d, json_ref object)
{
    return json_at(d, object)->end - 1;
}

static void insert(struct buf *out, const struct json_doc *d, json_ref object, size_t *done,
                   struct span members)
{
    size_t at = end_of_object(d, object);
    buf_add(out, d->text.ptr + *done, at - *done);
    if (json_first(d, object) != JSON_NONE) {
        buf_addc(out, ',');
    }
    buf_add_span(out, members);
    *done = at;
}

static void write_provider(struct buf *b, const char *provider)
{
    buf_adds(b, "\"provider\":");
    json_write_string(b, span_of(provider));
}

static void write_cost(struct buf *b, const char *cost_usd)
{
    buf_addf(b, "\"cost\":%s,\"cost_details\":{\"upstream_inference_cost\":%s}", cost_usd,
             cost_usd);
}

/* usage is inside the root: its end comes first. */
static void splice(const struct json_doc *d, json_ref holder, const char *provider,
                   const char *cost_usd, struct buf *out)
{
    struct buf members;
    buf_init(&members, INSERT_MAX);
    size_t done = 0;
    json_ref usage = cost_usd != NULL ? json_get(d, 0, "usage") : JSON_NONE;
    if (json_is_object(d, usage)) {
        write_cost(&members, cost_usd);
        insert(out, d, usage, &done, buf_span(&members));
    }
    if (provider != NULL && json_is_object(d, holder)) {
        buf_reset(&members);
        write_provider(&members, provider);
        insert(out, d, holder, &done, buf_span(&members));
    }
    buf_add(out, d->text.ptr + done, d->text.len - done);
    buf_done(&members);
}

void report_body(struct span body, const char *provider, const char *cost_usd, struct buf *out)
{
    struct json_doc d;
    json_init(&d);
    if (json_parse(&d, body, NULL) == 0 && json_is_object(&d, 0)) {
        splice(&d, 0, provider, cost_usd, out);
    } else {
        buf_add_span(out, body);
    }
    json_done(&d);
}

/* The event's name, or its type where a relay leaves the name out. */
static bool is_event(struct span name, struct span data, const char *type)
{
    if (name.len > 0) {
        return span_is(name, type);
    }
    size_t n = data.len < TYPE_WITHIN ? data.len : TYPE_WITHIN;
    return n > 0 && memmem(data.ptr, n, type, strlen(type)) != NULL;
}

static void edit(struct span name, struct span data, const char *provider, const char *cost_usd,
                 struct buf *out)
{
    struct json_doc d;
    bool start = is_event(name, data, "message_start");
    json_init(&d);
    if ((start || is_event(name, data, "message_delta")) && json_parse(&d, data, NULL) == 0 &&
        json_is_object(&d, 0)) {
        splice(&d, start ? json_get(&d, 0, "message") : JSON_NONE, start ? provider : NULL,
               start ? NULL : cost_usd, out);
    } else {
        buf_add_span(out, data);
    }
    json_done(&d);
}

/* Every line of the data is a data: line of its own. */
static void write_lines(struct span data, struct buf *out)
{
    for (;;) {
        const char *end = data.len > 0 ? memchr(data.ptr, '\n', data.len) : NULL;
        size_t n = end != NULL ? (size_t)(end - data.ptr) : data.len;
        buf_adds(out, "data: ");
        buf_add(out, data.ptr, n);
        buf_addc(out, '\n');
        if (end == NULL) {
            return;
        }
        data.ptr += n + 1;
        data.len -= n + 1;
    }
}

static void write_event(struct span name, struct span data, struct buf *out)
{
    if (name.len > 0) {
        buf_adds(out, "event: ");
        buf_add_span(out, name);
        buf_addc(out, '\n');
    }
    write_lines(data, out);
    buf_addc(out, '\n');
}

/* The chunk of OpenAI's that holds nothing but usage. */
static bool is_usage_chunk(const struct json_doc *d)
{
    json_ref choices = json_get(d, 0, "choices");
    return choices != JSON_NONE && json_kind(d, choices) == JSON_ARRAY &&
           json_first(d, choices) == JSON_NONE && json_is_object(d, json_get(d, 0, "usage"));
}

bool report_is_usage(struct span data)
{
    struct json_doc d;
    json_init(&d);
    bool yes = json_parse(&d, data, NULL) == 0 && json_is_object(&d, 0) && is_usage_chunk(&d);
    json_done(&d);
    return yes;
}

void report_chunk(struct span name, struct span data, const char *provider, const char *cost_usd,
                  bool keep_usage, struct buf *out)
{
    struct json_doc d;
    struct buf edited;
    json_init(&d);
    buf_init(&edited, data.len + INSERT_MAX);
    bool chunk = json_parse(&d, data, NULL) == 0 && json_is_object(&d, 0);
    if (chunk) {
        splice(&d, 0, provider, cost_usd, &edited);
    }
    if (!chunk || keep_usage || !is_usage_chunk(&d)) {
        write_event(name, edited.len == 0 || edited.failed ? data : buf_span(&edited), out);
    }
    buf_done(&edited);
    json_done(&d);
}

void report_event(struct span name, struct span data, const char *provider, const char *cost_usd,
                  struct buf *out)
{
    struct buf edited;
    buf_init(&edited, data.len + INSERT_MAX);
    edit(name, data, provider, cost_usd, &edited);
    write_event(name, edited.failed ? data : buf_span(&edited), out);
    buf_done(&edited);
}
