/* Reads Bedrock's binary streams: events of Converse, and Anthropic's own events in the base64 of
 * InvokeModel's chunks.
 * docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html,
 * .../API_runtime_InvokeModelWithResponseStream.html.
 *
 * Padding ("p") is not looked at.  A failure after the 200 is a message of type "exception" (or
 * "error", where the service itself is at fault).  Converse ends with messageStop and, behind it,
 * metadata with the usage; a body that ends between the two was complete as well. */
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/bedrock.h"
#include "providers/bedrock_reply.h"
#include "providers/bedrock_usage.h"
#include "schema/eventstream.h"

struct bedrock_stream {
    struct eventstream split;
    struct json_doc doc;
    struct bedrock_replies replies;
    struct usage usage;
    int64_t content_bytes;
    bool any;      /* a message came: this is the protocol */
    bool stopped;  /* messageStop */
    bool complete; /* and metadata, or the end of the body */
    bool error;
    bool broken;
    /* InvokeModel: the stream inside, whose reader is Anthropic's. */
    void *inner;
    struct provider_reading inner_reading;
    struct reply_sink inner_sink;
    struct buf unwrapped;
    /* For the time of one feed. */
    void (*on_event)(void *ctx, const struct event *ev);
    void *ctx;
};

/* The inner reader's events go on to the sink; what ends them is noted, so that an exception of the
 * outer stream is not added behind it. */
static void on_inner_reply(void *ctx, const struct reply *r)
{
    struct bedrock_stream *s = ctx;
    if (s->replies.over)
        return;
    s->replies.over = r->kind == REPLY_END || r->kind == REPLY_ERROR;
    s->replies.reading->sink->on_reply(s->replies.reading->sink->ctx, r);
}

static void on_inner_event(void *ctx, const struct event *ev)
{
    struct bedrock_stream *s = ctx;
    s->complete = s->complete || ev->kind == EVENT_STOP;
    s->on_event(s->ctx, ev);
}

static bool open_inner(struct bedrock_stream *s, const struct provider_reading *reading)
{
    s->inner_sink = (struct reply_sink){on_inner_reply, s};
    s->inner_reading = *reading;
    s->inner_reading.sink = reading->sink != NULL ? &s->inner_sink : NULL;
    s->inner = provider_anthropic.stream_open(&s->inner_reading);
    return s->inner != NULL;
}

void *bedrock_stream_open(const struct provider_reading *reading)
{
    struct bedrock_stream *s = calloc(1, sizeof(*s));
    bool invoke;
    if (s == NULL)
        return NULL;
    eventstream_init(&s->split, PROVIDER_EVENT_MAX);
    json_init(&s->doc);
    bedrock_replies_init(&s->replies, reading);
    buf_init(&s->unwrapped, 2 * PROVIDER_EVENT_MAX);
    bedrock_model(reading->target, &invoke);
    if (invoke && !open_inner(s, reading)) {
        bedrock_stream_close(s);
        return NULL;
    }
    return s;
}

void bedrock_stream_close(void *stream)
{
    struct bedrock_stream *s = stream;
    if (s == NULL)
        return;
    if (s->inner != NULL)
        provider_anthropic.stream_close(s->inner);
    eventstream_done(&s->split);
    json_done(&s->doc);
    bedrock_replies_done(&s->replies);
    buf_done(&s->unwrapped);
    free(s);
}

/* ---- Converse ---- */

/* Bytes of a string once its escapes are resolved: what was generated. */
static int64_t text_bytes(const struct json_doc *doc, json_ref v)
{
    if (v == JSON_NONE || json_kind(doc, v) != JSON_STRING)
        return 0;
    struct span written = json_inner(doc, v);
    if (!json_at(doc, v)->escaped)
        return (int64_t)written.len;
    int64_t n = 0;
    while (written.len > 0) {
        char store[4];
        struct span part;
        n += json_stretch(&written, store, &part) ? (int64_t)part.len : 3;
    }
    return n;
}

static json_ref member(const struct json_doc *doc, json_ref object, const char *name)
{
    bool is_object = object != JSON_NONE && json_kind(doc, object) == JSON_OBJECT;
    return is_object ? json_get(doc, object, name) : JSON_NONE;
}

static enum event_kind on_message_start(struct bedrock_stream *s, struct event *ev)
{
    (void)ev;
    bedrock_replies_start(&s->replies);
    return EVENT_START;
}

static enum event_kind on_block_start(struct bedrock_stream *s, struct event *ev)
{
    (void)ev;
    bedrock_replies_block_start(&s->replies, &s->doc, 0);
    return EVENT_OTHER;
}

static enum event_kind on_block_delta(struct bedrock_stream *s, struct event *ev)
{
    json_ref delta = member(&s->doc, 0, "delta");
    json_ref reasoning = member(&s->doc, delta, "reasoningContent");
    if (delta != JSON_NONE)
        ev->text = json_raw(&s->doc, delta);
    s->content_bytes +=
        text_bytes(&s->doc, member(&s->doc, delta, "text")) +
        text_bytes(&s->doc, member(&s->doc, reasoning, "text")) +
        text_bytes(&s->doc, member(&s->doc, member(&s->doc, delta, "toolUse"), "input"));
    bedrock_replies_block_delta(&s->replies, &s->doc, 0);
    return EVENT_CONTENT;
}

static enum event_kind on_block_stop(struct bedrock_stream *s, struct event *ev)
{
    (void)ev;
    bedrock_replies_block_stop(&s->replies, &s->doc, 0);
    return EVENT_OTHER;
}

/* With what the model made of it, the answer is there or not (bedrock_reply.c): in both cases it
 * has ended, and what it used is billed. */
static enum event_kind on_message_stop(struct bedrock_stream *s, struct event *ev)
{
    (void)ev;
    bedrock_replies_stop(&s->replies, &s->doc, 0);
    s->stopped = true;
    return EVENT_OTHER;
}

static void end(struct bedrock_stream *s)
{
    s->complete = !s->replies.malformed;
    s->error = s->replies.malformed;
    bedrock_replies_end(&s->replies);
}

static enum event_kind on_metadata(struct bedrock_stream *s, struct event *ev)
{
    (void)ev;
    bedrock_read_usage(&s->usage, bedrock_asks_hour(s->replies.reading), &s->doc,
                       member(&s->doc, 0, "usage"));
    bedrock_replies_usage(&s->replies, &s->usage);
    if (!s->stopped)
        return EVENT_USAGE;
    end(s);
    return EVENT_STOP;
}

static const struct {
    const char *name;
    enum event_kind (*handle)(struct bedrock_stream *s, struct event *ev);
} handlers[] = {
    {"contentBlockDelta", on_block_delta}, {"messageStart", on_message_start},
    {"contentBlockStart", on_block_start}, {"contentBlockStop", on_block_stop},
    {"messageStop", on_message_stop},      {"metadata", on_metadata},
};

/* false: what the payload should be, a JSON object, it is not. */
static bool parse(struct bedrock_stream *s, struct span payload)
{
    return json_parse(&s->doc, payload, NULL) == 0 && json_kind(&s->doc, 0) == JSON_OBJECT;
}

static bool take_converse(struct bedrock_stream *s, struct event *ev)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (!span_is(ev->name, handlers[i].name))
            continue;
        if (!parse(s, ev->data))
            return false;
        ev->kind = handlers[i].handle(s, ev);
        break;
    }
    s->on_event(s->ctx, ev);
    return !s->replies.failed;
}

/* ---- InvokeModel ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends what the base64 stands for; line ends become blanks, which is the same in JSON. */
static bool unwrap(struct span base64, struct buf *out)
{
    uint32_t bits = 0;
    int n = 0;
    while (base64.len > 0 && base64.ptr[base64.len - 1] == '=')
        base64.len--;
    for (size_t i = 0; i < base64.len; i++) {
        int value = base64_value(base64.ptr[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n += 6;
        if (n < 8)
            continue;
        n -= 8;
        char c = (char)(bits >> n & 0xff);
        buf_addc(out, c == '\n' || c == '\r' ? ' ' : c);
    }
    return !out->failed;
}

/* The event inside goes to Anthropic's reader as that provider would have sent it. */
static bool take_chunk(struct bedrock_stream *s, struct event *ev)
{
    json_ref bytes = parse(s, ev->data) ? json_get(&s->doc, 0, "bytes") : JSON_NONE;
    if (bytes == JSON_NONE || json_kind(&s->doc, bytes) != JSON_STRING)
        return false;
    buf_reset(&s->unwrapped);
    buf_adds(&s->unwrapped, "data: ");
    if (!unwrap(json_inner(&s->doc, bytes), &s->unwrapped))
        return false;
    buf_adds(&s->unwrapped, "\n\n");
    return !s->unwrapped.failed &&
           provider_anthropic.stream_feed(s->inner, buf_span(&s->unwrapped), on_inner_event, s);
}

/* ---- messages ---- */

static bool is_over(const struct bedrock_stream *s)
{
    return s->complete || s->error;
}

static void take_exception(struct bedrock_stream *s, const struct eventstream_message *m,
                           struct event *ev)
{
    struct buf text;
    struct span type = eventstream_header(m, ":exception-type");
    struct span message = eventstream_header(m, ":error-message");
    if (type.len == 0)
        type = eventstream_header(m, ":error-code");
    buf_init(&text, PROVIDER_EVENT_MAX);
    if (parse(s, m->payload) && json_text(&s->doc, json_get(&s->doc, 0, "message"), &text))
        message = buf_span(&text);
    ev->kind = EVENT_ERROR;
    ev->name = type;
    s->error = true;
    s->on_event(s->ctx, ev);
    bedrock_replies_error(&s->replies, type, message);
    buf_done(&text);
}

static bool on_message(void *ctx, const struct eventstream_message *m)
{
    struct bedrock_stream *s = ctx;
    struct span type = eventstream_header(m, ":message-type");
    struct event ev = {.kind = EVENT_OTHER, .data = m->payload};
    ev.name = eventstream_header(m, ":event-type");
    s->any = true;
    if (is_over(s)) {
        s->on_event(s->ctx, &ev);
        return true;
    }
    if (span_is(type, "exception") || span_is(type, "error")) {
        take_exception(s, m, &ev);
        return true;
    }
    if (s->inner == NULL)
        return take_converse(s, &ev);
    if (span_is(ev.name, "chunk"))
        return take_chunk(s, &ev);
    s->on_event(s->ctx, &ev);
    return true;
}

bool bedrock_stream_feed(void *stream, struct span bytes,
                         void (*on_event)(void *ctx, const struct event *ev), void *ctx)
{
    struct bedrock_stream *s = stream;
    s->on_event = on_event;
    s->ctx = ctx;
    s->broken = s->broken || !eventstream_feed(&s->split, bytes, on_message, s);
    return !s->broken;
}

bool bedrock_stream_at_boundary(const void *stream)
{
    const struct bedrock_stream *s = stream;
    return eventstream_at_boundary(&s->split);
}

void bedrock_stream_finish(void *stream)
{
    struct bedrock_stream *s = stream;
    if (s->stopped && !is_over(s) && !s->broken && eventstream_at_boundary(&s->split))
        end(s);
}

enum verdict bedrock_stream_state(const void *stream, struct usage_report *ret_usage,
                                  int64_t *ret_content_bytes)
{
    const struct bedrock_stream *s = stream;
    enum verdict verdict = VERDICT_TRUNCATED;
    if (s->inner != NULL) {
        verdict = provider_anthropic.stream_state(s->inner, ret_usage, ret_content_bytes);
    } else {
        usage_report_clear(ret_usage);
        ret_usage->total = s->usage;
        *ret_content_bytes = s->content_bytes;
    }
    if (s->complete || verdict == VERDICT_COMPLETE)
        return VERDICT_COMPLETE;
    if (s->error)
        return VERDICT_ERROR;
    return s->broken && !s->any ? VERDICT_FOREIGN : verdict;
}
