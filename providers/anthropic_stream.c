/* Reads an Anthropic event stream in passing.
 * platform.claude.com/docs/en/build-with-claude/streaming.
 *
 * A stream is thousands of content_block_delta events and two that carry usage.  Only
 * those two are parsed as JSON; a delta is scanned once, without memory of its own.  Where
 * somebody wants the meaning too (anthropic_reply.c), every event is parsed for him. */
#define _GNU_SOURCE /* memmem */
#include "providers/anthropic.h"

#include <stdlib.h>

#include "schema/sse.h"

struct anthropic_stream {
    struct sse sse;
    struct json_doc doc;
    struct anthropic_figures start;
    struct anthropic_figures delta; /* of the last message_delta that stated them */
    struct usage_report *report;    /* made when there are iterations; else NULL */
    int64_t content_bytes;
    int64_t n_events;
    bool started;  /* the first byte was looked at */
    bool foreign;  /* and it begins no event stream */
    bool typed;    /* some event said what it is: this is Anthropic's protocol */
    bool reason;   /* it was said why the answer ends */
    bool counted;  /* the whole output: what message_start says of it is a placeholder */
    bool complete; /* wins over an error that comes after it */
    bool error;
    bool broken;
    struct anthropic_replies replies;
    /* For the time of one feed. */
    void (*on_event)(void *ctx, const struct event *ev);
    void *ctx;
};

void *anthropic_stream_open(const struct provider_reading *reading)
{
    struct anthropic_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    sse_init(&s->sse, PROVIDER_EVENT_MAX);
    json_init(&s->doc);
    anthropic_replies_init(&s->replies, reading);
    s->start.hour_writes = reading->hour_writes;
    return s;
}

void anthropic_stream_close(void *stream)
{
    struct anthropic_stream *s = stream;
    if (s == NULL)
        return;
    sse_done(&s->sse);
    json_done(&s->doc);
    anthropic_replies_done(&s->replies);
    free(s->report);
    free(s);
}

/* A scanner for the inside of one JSON value; it does not validate. */

static size_t skip_blanks(struct span s, size_t at)
{
    while (at < s.len && json_is_blank(s.ptr[at]))
        at++;
    return at;
}

/* A quote is escaped when an odd number of backslashes stands before it. */
static bool is_escaped(struct span s, size_t first, size_t quote)
{
    size_t at = quote;
    while (at > first && s.ptr[at - 1] == '\\')
        at--;
    return (quote - at) % 2 == 1;
}

/* at: the opening quote.  Returns the offset after the closing one (or the end). */
static size_t skip_string(struct span s, size_t at)
{
    const size_t first = ++at;
    while (at < s.len) {
        const char *quote = memchr(s.ptr + at, '"', s.len - at);
        if (quote == NULL)
            break;
        at = (size_t)(quote - s.ptr);
        if (!is_escaped(s, first, at))
            return at + 1;
        at++;
    }
    return s.len;
}

/* Any value; returns the offset after it. */
static size_t skip_value(struct span s, size_t at)
{
    int depth = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        if (c == '"') {
            at = skip_string(s, at);
            if (depth == 0)
                return at;
            continue;
        }
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ','))
            return at;
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if (closes && --depth == 0)
            return at;
    }
    return at;
}

/* One escape sequence at the beginning of s: how long it is, and how many bytes of
 * UTF-8 it stands for (a surrogate is half of four). */
static size_t escape_len(struct span s, int64_t *ret_bytes)
{
    *ret_bytes = 1;
    if (s.len < 6 || s.ptr[1] != 'u')
        return s.len < 2 ? s.len : 2;
    bool low = s.ptr[2] == '0' && s.ptr[3] == '0';
    bool surrogate = s.ptr[2] == 'd' || s.ptr[2] == 'D';
    *ret_bytes = low ? 1 + (s.ptr[4] >= '8') : surrogate ? 2 : 3;
    return 6;
}

/* Bytes of a string once its escapes are resolved; s without the quotes. */
static int64_t unescaped_len(struct span s)
{
    int64_t n = 0;
    while (s.len > 0) {
        const char *backslash = memchr(s.ptr, '\\', s.len);
        size_t plain = backslash != NULL ? (size_t)(backslash - s.ptr) : s.len;
        n += (int64_t)plain;
        s.ptr += plain;
        s.len -= plain;
        if (s.len == 0)
            break;
        int64_t bytes;
        size_t used = escape_len(s, &bytes);
        n += bytes;
        s.ptr += used;
        s.len -= used;
    }
    return n;
}

/* The object behind the key "delta".  Unescaped, the key can stand nowhere else:
 * inside a string its quotes would be escaped. */
static struct span find_delta(struct span data)
{
    static const char key[] = "\"delta\"";
    const size_t key_len = sizeof(key) - 1;
    struct span rest = data;
    for (;;) {
        const char *at = memmem(rest.ptr, rest.len, key, key_len);
        if (at == NULL)
            return (struct span){NULL, 0};
        rest.len -= (size_t)(at - rest.ptr) + key_len;
        rest.ptr = at + key_len;
        size_t i = skip_blanks(rest, 0);
        if (i == rest.len || rest.ptr[i] != ':')
            continue;
        i = skip_blanks(rest, i + 1);
        if (i < rest.len && rest.ptr[i] == '{') {
            struct span object = {rest.ptr + i, rest.len - i};
            object.len = skip_value(object, 0);
            return object;
        }
    }
}

/* Generated bytes in a delta: its strings, but for the type and for signatures, which
 * are no tokens.  Delta types are an open list. */
static int64_t delta_text_bytes(struct span delta)
{
    int64_t n = 0;
    size_t at = 1;
    while ((at = skip_blanks(delta, at)) < delta.len && delta.ptr[at] == '"') {
        size_t key_end = skip_string(delta, at);
        struct span key = {delta.ptr + at, key_end - at};
        at = skip_blanks(delta, key_end);
        if (at == delta.len || delta.ptr[at] != ':')
            break;
        at = skip_blanks(delta, at + 1);
        size_t end = skip_value(delta, at);
        bool counts = !span_is(key, "\"type\"") && !span_is(key, "\"signature\"");
        if (counts && end - at >= 2 && delta.ptr[at] == '"') {
            size_t close = skip_string(delta, at);
            n += unescaped_len((struct span){delta.ptr + at + 1, close - at - 2});
        }
        at = skip_blanks(delta, end);
        if (at < delta.len && delta.ptr[at] == ',')
            at++;
    }
    return n;
}

/* Events */

/* last: of an answer that has come to its end. */
static void take_usage(struct anthropic_stream *s, struct anthropic_figures *figures,
                       json_ref usage, bool last)
{
    anthropic_read_figures(figures, &s->doc, usage);
    bool iterations = anthropic_has_iterations(&s->doc, usage);
    s->counted |= last && (iterations || (figures->seen >> FIGURE_output & 1u));
    if (!iterations)
        return;
    if (s->report == NULL)
        s->report = calloc(1, sizeof(*s->report));
    if (s->report != NULL)
        anthropic_read_iterations(s->report, s->start.hour_writes, &s->doc, usage);
}

static bool parse(struct anthropic_stream *s, struct span data)
{
    return json_parse(&s->doc, data, NULL) == 0 && json_kind(&s->doc, 0) == JSON_OBJECT;
}

static void take_reason(struct anthropic_stream *s, json_ref object)
{
    json_ref reason =
        json_is_object(&s->doc, object) ? json_get(&s->doc, object, "stop_reason") : JSON_NONE;
    s->reason |= reason != JSON_NONE && json_kind(&s->doc, reason) == JSON_STRING;
}

static enum event_kind on_message_start(struct anthropic_stream *s, struct event *ev)
{
    if (parse(s, ev->data)) {
        json_ref message = json_get(&s->doc, 0, "message");
        if (message != JSON_NONE && json_kind(&s->doc, message) == JSON_OBJECT) {
            struct anthropic_figures first = {.seen = 0};
            take_reason(s, message); /* some servers send it whole */
            take_usage(s, &first, json_get(&s->doc, message, "usage"), s->reason);
            anthropic_merge_max(&s->start, &first);
        }
    }
    return EVENT_START;
}

enum { BLOCK_TYPE_WITHIN = 256 }; /* a block's type stands at the front of its event */

static enum event_kind on_content_block_start(struct anthropic_stream *s, struct event *ev)
{
    (void)s;
    size_t n = ev->data.len < BLOCK_TYPE_WITHIN ? ev->data.len : BLOCK_TYPE_WITHIN;
    ev->call = n > 0 && memmem(ev->data.ptr, n, "tool_use\"", 9) != NULL;
    return EVENT_OTHER;
}

static enum event_kind on_content_block_delta(struct anthropic_stream *s, struct event *ev)
{
    ev->text = find_delta(ev->data);
    if (ev->text.ptr != NULL)
        s->content_bytes += delta_text_bytes(ev->text);
    return EVENT_CONTENT;
}

/* Cumulative: the last one counts, field by field, since fields may be left out. */
static enum event_kind on_message_delta(struct anthropic_stream *s, struct event *ev)
{
    if (parse(s, ev->data)) {
        take_reason(s, json_get(&s->doc, 0, "delta"));
        take_usage(s, &s->delta, json_get(&s->doc, 0, "usage"), true);
    }
    return EVENT_USAGE;
}

/* Neither content nor a reason to end: the frame of an answer, and none in it. */
static bool has_answer(const struct anthropic_stream *s)
{
    return s->reason || s->content_bytes > 0;
}

static enum event_kind on_message_stop(struct anthropic_stream *s, struct event *ev)
{
    (void)ev;
    if (!s->error && has_answer(s))
        s->complete = true;
    return EVENT_STOP;
}

static enum event_kind on_error(struct anthropic_stream *s, struct event *ev)
{
    (void)ev;
    s->error = true;
    return EVENT_ERROR;
}

static const struct {
    const char *name;
    enum event_kind (*handle)(struct anthropic_stream *s, struct event *ev);
} handlers[] = {
    {"content_block_delta", on_content_block_delta},
    {"content_block_start", on_content_block_start},
    {"message_start", on_message_start},
    {"message_delta", on_message_delta},
    {"message_stop", on_message_stop},
    {"error", on_error},
};

/* The value of a leading "type" member, for relays that leave the event: line out. */
static struct span leading_type(struct span data)
{
    static const char key[] = "\"type\"";
    const struct span none = {"", 0};
    size_t at = skip_blanks(data, 0);
    if (at == data.len || data.ptr[at] != '{')
        return none;
    at = skip_blanks(data, at + 1);
    if (data.len - at < sizeof(key) - 1 || memcmp(data.ptr + at, key, sizeof(key) - 1) != 0)
        return none;
    at = skip_blanks(data, at + sizeof(key) - 1);
    if (at == data.len || data.ptr[at] != ':')
        return none;
    at = skip_blanks(data, at + 1);
    if (at == data.len || data.ptr[at] != '"')
        return none;
    size_t end = skip_string(data, at);
    return (struct span){data.ptr + at + 1, end - at < 2 ? 0 : end - at - 2};
}

static bool on_sse_event(void *ctx, const struct sse_event *sse_event)
{
    struct anthropic_stream *s = ctx;
    struct event ev = {.kind = EVENT_OTHER, .name = sse_event->name, .data = sse_event->data};
    s->n_events++;
    if (ev.name.len == 0)
        ev.name = leading_type(ev.data);
    s->typed = s->typed || ev.name.len > 0;
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (span_is(ev.name, handlers[i].name)) {
            ev.kind = handlers[i].handle(s, &ev);
            break;
        }
    }
    s->on_event(s->ctx, &ev);
    if (s->replies.sink != NULL)
        anthropic_replies_event(&s->replies, ev.name, ev.data);
    return true;
}

/* An HTML page or a plain JSON body under the content type of a stream. */
static void look_at_first_byte(struct anthropic_stream *s, struct span bytes)
{
    size_t at = skip_blanks(bytes, 0);
    if (at == bytes.len)
        return;
    s->started = true;
    s->foreign = memchr("<{[", bytes.ptr[at], 3) != NULL;
}

bool anthropic_stream_feed(void *stream, struct span bytes,
                           void (*on_event)(void *ctx, const struct event *ev), void *ctx)
{
    struct anthropic_stream *s = stream;
    if (s->broken)
        return false;
    if (!s->started)
        look_at_first_byte(s, bytes);
    s->on_event = on_event;
    s->ctx = ctx;
    s->broken = !sse_feed(&s->sse, bytes, on_sse_event, s);
    return !s->broken;
}

bool anthropic_stream_at_boundary(const void *stream)
{
    const struct anthropic_stream *s = stream;
    return sse_at_boundary(&s->sse);
}

static bool is_whole_object(struct span text)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = json_parse(&doc, text, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT;
    json_done(&doc);
    return yes;
}

/* message_stop has arrived but for the blank line behind it: some servers close the
 * connection there.  Whether that was a clean close is the transport's to say. */
static bool is_stopping(const struct anthropic_stream *s)
{
    if (!span_is(buf_span(&s->sse.name), "message_stop"))
        return false;
    if (s->sse.have_data)
        return is_whole_object(buf_span(&s->sse.data));
    struct span line = buf_span(&s->sse.line);
    static const char field[] = "data:";
    const size_t len = sizeof(field) - 1;
    return line.len > len && memcmp(line.ptr, field, len) == 0 &&
           is_whole_object((struct span){line.ptr + len, line.len - len});
}

void anthropic_stream_finish(void *stream)
{
    struct anthropic_stream *s = stream;
    if (s->replies.sink != NULL && is_stopping(s))
        anthropic_replies_event(&s->replies, SPAN("message_stop"), SPAN("{}"));
}

enum verdict anthropic_stream_state(const void *stream, struct usage_report *ret_usage,
                                    int64_t *ret_content_bytes)
{
    const struct anthropic_stream *s = stream;
    struct anthropic_figures figures = s->start;
    anthropic_merge_max(&figures, &s->delta);
    usage_report_clear(ret_usage);
    if (s->report != NULL)
        *ret_usage = *s->report;
    anthropic_figures_to_usage(&figures, &ret_usage->total);
    ret_usage->terms = figures.terms;
    ret_usage->unfinished = !s->counted;
    *ret_content_bytes = s->content_bytes;
    if (s->complete || (!s->error && has_answer(s) && is_stopping(s)))
        return VERDICT_COMPLETE;
    if (s->error)
        return VERDICT_ERROR;
    bool foreign = s->foreign || (s->n_events > 0 && !s->typed);
    return foreign ? VERDICT_FOREIGN : VERDICT_TRUNCATED;
}
