/* Splices members into an answer: nothing is rebuilt, bytes are inserted or replaced. */
#define _GNU_SOURCE
#include "server/report.h"

#include "schema/json.h"

enum { INSERT_MAX = 512, TYPE_WITHIN = 64 };

/* What a member is to be, whether the provider wrote one of that name or not. */
struct member {
    const char *name;     /* NULL ends a list */
    struct span value;    /* empty: where it is an object, its own members are set */
    struct member *inner; /* these */
    bool there;
};

struct splice {
    const struct json_doc *d;
    struct buf *out;
    size_t done; /* so much of the text is dealt with */
};

static void copy_to(struct splice *s, size_t at)
{
    buf_add(s->out, s->d->text.ptr + s->done, at - s->done);
    s->done = at;
}

static struct member *named(const struct splice *s, json_ref r, struct member *members)
{
    struct member *m = members;
    while (m->name != NULL && !json_key_is(s->d, r, m->name)) {
        m++;
    }
    return m->name != NULL ? m : NULL;
}

static void replace(struct splice *s, json_ref r, struct member *m)
{
    copy_to(s, json_at(s->d, r)->begin);
    buf_add_span(s->out, m->value);
    s->done = json_at(s->d, r)->end;
    m->there = true;
}

/* What the object has is replaced in its place, the rest becomes its end. */
static void set_members(struct splice *s, json_ref object, struct member *members)
{
    bool empty = json_first(s->d, object) == JSON_NONE;
    for (json_ref r = json_first(s->d, object); r != JSON_NONE; r = json_next(s->d, r)) {
        struct member *m = named(s, r, members);
        if (m != NULL && m->value.len > 0) {
            replace(s, r, m);
        } else if (m != NULL && json_is_object(s->d, r)) {
            set_members(s, r, m->inner);
        }
    }
    copy_to(s, json_at(s->d, object)->end - 1);
    for (struct member *m = members; m->name != NULL; m++) {
        if (m->value.len > 0 && !m->there) {
            buf_addf(s->out, empty ? "\"%s\":" : ",\"%s\":", m->name);
            buf_add_span(s->out, m->value);
            empty = false;
        }
        m->there = false;
    }
}

/* What of an answer the document is. */
enum part { PART_WHOLE, PART_START, PART_DELTA };

static void report(const struct json_doc *d, enum part part, const char *provider,
                   const char *cost_usd, struct buf *out)
{
    struct buf name, details;
    buf_init(&name, INSERT_MAX);
    buf_init(&details, INSERT_MAX);
    json_write_string(&name, span_of(provider));
    buf_addf(&details, "{\"upstream_inference_cost\":%s}", cost_usd);
    struct member usage[] = {{.name = "cost", .value = span_of(cost_usd)},
                             {.name = "cost_details", .value = buf_span(&details)},
                             {.name = NULL}};
    struct member message[] = {{.name = "provider", .value = buf_span(&name)}, {.name = NULL}};
    struct member whole[] = {message[0], {.name = "usage", .inner = usage}, {.name = NULL}};
    struct member start[] = {{.name = "message", .inner = message}, {.name = NULL}};
    struct member *const parts[] = {
        [PART_WHOLE] = whole, [PART_START] = start, [PART_DELTA] = whole + 1};
    struct splice s = {d, out, 0};
    set_members(&s, 0, parts[part]);
    copy_to(&s, d->text.len);
    out->failed |= name.failed || details.failed;
    buf_done(&name);
    buf_done(&details);
}

void report_body(struct span body, const char *provider, const char *cost_usd, struct buf *out)
{
    struct json_doc d;
    json_init(&d);
    if (json_parse(&d, body, NULL) == 0 && json_is_object(&d, 0)) {
        report(&d, PART_WHOLE, provider, cost_usd, out);
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
        report(&d, start ? PART_START : PART_DELTA, provider, cost_usd, out);
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
        report(&d, PART_WHOLE, provider, cost_usd, &edited);
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
