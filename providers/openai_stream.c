/* Reads a stream of chat completion chunks in passing.
 * platform.openai.com/docs/api-reference/chat/streaming.
 *
 * A chunk is parsed once and looked at (openai_glance.c); what it means is only worked out where
 * somebody wants to know. */
#include <stdlib.h>

#include "providers/openai.h"
#include "schema/sse.h"

struct openai_stream {
    const struct openai_dialect *dialect;
    struct sse sse;
    struct json_doc doc;
    struct openai_figures figures;
    char tier[USAGE_TERM_MAX];
    struct openai_reply *reply; /* NULL: nobody reads the meaning */
    int64_t content_bytes;
    int64_t n_events;
    bool looked;   /* the first byte was looked at */
    bool foreign;  /* it begins no event stream, or some event is none of this protocol */
    bool typed;    /* some event was a chunk */
    bool started;  /* and had a choice */
    bool finished; /* a choice said why it ended */
    bool said;     /* there was text or a tool call */
    bool pictures; /* there were some */
    bool done;     /* [DONE] */
    bool error;
    bool closed; /* the body ended properly */
    bool broken;
    /* For the time of one feed. */
    void (*on_event)(void *ctx, const struct event *ev);
    void *ctx;
};

void openai_stream_close(void *stream)
{
    struct openai_stream *s = stream;
    if (s == NULL)
        return;
    sse_done(&s->sse);
    json_done(&s->doc);
    openai_reply_close(s->reply);
    free(s);
}

void *openai_stream_open(const struct provider_reading *reading, const struct openai_dialect *d)
{
    struct openai_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->dialect = d;
    s->figures = openai_no_figures(reading, d);
    sse_init(&s->sse, PROVIDER_EVENT_MAX);
    json_init(&s->doc);
    if (reading->sink == NULL)
        return s;
    s->reply = openai_reply_open(s->dialect, reading);
    if (s->reply != NULL)
        return s;
    openai_stream_close(s);
    return NULL;
}

static bool is_done(struct span data)
{
    while (data.len > 0 && json_is_blank(data.ptr[data.len - 1]))
        data.len--;
    while (data.len > 0 && json_is_blank(data.ptr[0]))
        data = (struct span){data.ptr + 1, data.len - 1};
    return span_is(data, "[DONE]");
}

static bool add_usage(struct openai_stream *s, json_ref usage)
{
    if (usage != JSON_NONE)
        openai_read_figures(&s->figures, &s->doc, usage);
    return usage != JSON_NONE;
}

static enum event_kind on_done(struct openai_stream *s)
{
    s->done = true;
    if (s->reply != NULL && s->typed && !s->foreign && !s->error)
        s->broken |= !openai_reply_end(s->reply);
    return EVENT_STOP;
}

/* One event says one thing: an error, else new text, else usage, else that the answer has begun. */
static enum event_kind kind_of(struct openai_stream *s, const struct openai_glance *g, bool usage)
{
    bool first = g->has_choice && !s->started;
    s->started |= g->has_choice;
    if (g->failed)
        return EVENT_ERROR;
    if (g->text_bytes > 0)
        return EVENT_CONTENT;
    if (usage)
        return EVENT_USAGE;
    return first ? EVENT_START : EVENT_OTHER;
}

static bool parse(struct json_doc *doc, struct span text)
{
    return json_parse(doc, text, NULL) == 0 && json_kind(doc, 0) == JSON_OBJECT;
}

/* An event that says its failure without an `error`, as some servers' bodies do. */
static enum event_kind on_flat_error(struct openai_stream *s, struct span data)
{
    if (!s->error && s->reply != NULL) {
        struct reply_error error;
        struct buf store;
        buf_init(&store, PROVIDER_EVENT_MAX);
        bool read = openai_read_error(data, &store, &error);
        openai_reply_fail(s->reply, read ? error.message : data);
        buf_done(&store);
    }
    s->error = true;
    return EVENT_ERROR;
}

static enum event_kind on_chunk(struct openai_stream *s, struct event *ev)
{
    if (!parse(&s->doc, ev->data)) {
        s->foreign = true;
        return EVENT_OTHER;
    }
    struct openai_glance g = openai_glance(&s->doc);
    if (!g.chunk && !s->done && openai_is_flat_error(&s->doc))
        return on_flat_error(s, ev->data);
    if (!g.chunk || s->done)
        return EVENT_OTHER;
    s->typed = true;
    bool usage = add_usage(s, g.usage);
    usage |= add_usage(s, g.groq);
    if (usage)
        openai_read_tier(s->tier, &s->doc);
    if (s->reply != NULL && !s->foreign)
        s->broken |= !openai_reply_chunk(s->reply, &s->doc, false, usage ? &s->figures : NULL);
    s->finished |= g.finished;
    s->error |= g.failed;
    s->content_bytes += g.text_bytes;
    s->said |= g.text_bytes > 0 || g.calls;
    s->pictures |= g.pictures;
    ev->call = g.calls;
    enum event_kind kind = kind_of(s, &g, usage);
    if (kind == EVENT_CONTENT)
        ev->text = g.delta;
    return kind;
}

/* Groq names an error's event; its data holds the error, on other servers perhaps a line of text.
 */
static enum event_kind on_error(struct openai_stream *s, struct event *ev)
{
    enum event_kind kind = on_chunk(s, ev);
    if (kind == EVENT_ERROR || s->done)
        return kind;
    if (!s->error && s->reply != NULL)
        openai_reply_fail(s->reply, ev->data);
    s->error = true;
    return EVENT_ERROR;
}

static bool on_sse_event(void *ctx, const struct sse_event *sse_event)
{
    struct openai_stream *s = ctx;
    struct event ev = {.kind = EVENT_OTHER, .name = sse_event->name, .data = sse_event->data};
    s->n_events++;
    if (is_done(ev.data))
        ev.kind = on_done(s);
    else
        ev.kind = span_is(ev.name, "error") ? on_error(s, &ev) : on_chunk(s, &ev);
    if (s->on_event != NULL)
        s->on_event(s->ctx, &ev);
    return !s->broken;
}

/* An HTML page or a plain JSON body under the content type of a stream. */
static void look_at_first_byte(struct openai_stream *s, struct span bytes)
{
    size_t at = 0;
    while (at < bytes.len && json_is_blank(bytes.ptr[at]))
        at++;
    if (at == bytes.len)
        return;
    s->looked = true;
    s->foreign = memchr("<{[", bytes.ptr[at], 3) != NULL;
}

bool openai_stream_feed(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx)
{
    struct openai_stream *s = stream;
    if (s->broken)
        return false;
    if (!s->looked)
        look_at_first_byte(s, bytes);
    s->on_event = on_event;
    s->ctx = ctx;
    s->broken |= !sse_feed(&s->sse, bytes, on_sse_event, s);
    return !s->broken;
}

bool openai_stream_at_boundary(const void *stream)
{
    const struct openai_stream *s = stream;
    return sse_at_boundary(&s->sse);
}

/* The data of an event that lacks only the blank line behind it, or its line end as well. */
static struct span pending_data(const struct openai_stream *s)
{
    static const char field[] = "data:";
    const size_t n = sizeof(field) - 1;
    struct span line = buf_span(&s->sse.line);
    if (s->sse.have_data && line.len == 0)
        return buf_span(&s->sse.data);
    if (!s->sse.have_data && line.len > n && memcmp(line.ptr, field, n) == 0)
        return (struct span){line.ptr + n, line.len - n};
    return (struct span){"", 0};
}

/* [DONE] has arrived but for the blank line: some servers close the connection there. */
static bool is_stopping(const struct openai_stream *s)
{
    return !s->broken && is_done(pending_data(s));
}

/* The answer is whole although [DONE] did not come: always where it never does; elsewhere only
 * when nothing else was left to come either. */
static bool ended_by_closing(const struct openai_stream *s)
{
    bool usage = s->figures.seen != 0;
    return s->closed && s->finished && (!openai_has(s->dialect, TRAIT_SENDS_DONE) || usage);
}

void openai_stream_finish(void *stream)
{
    struct openai_stream *s = stream;
    if (s->broken || s->done)
        return;
    bool whole = parse(&s->doc, pending_data(s));
    s->on_event = NULL;
    if (whole || is_stopping(s))
        s->broken |= !sse_feed(&s->sse, SPAN("\n\n"), on_sse_event, s);
    s->closed = true;
    if (s->reply != NULL && !s->done && !s->error && !s->foreign && !s->broken &&
        ended_by_closing(s))
        s->broken |= !openai_reply_end(s->reply);
}

enum verdict openai_stream_state(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes)
{
    const struct openai_stream *s = stream;
    usage_report_clear(ret_usage);
    openai_figures_to_usage(&s->figures, s->dialect, s->said || s->pictures, &ret_usage->total);
    memcpy(ret_usage->terms.tier, s->tier, sizeof(s->tier));
    *ret_content_bytes = s->content_bytes;
    if (s->error)
        return VERDICT_ERROR;
    if (s->foreign || (s->n_events > 0 && !s->typed))
        return VERDICT_FOREIGN;
    /* [DONE] behind neither content nor a reason to end: the frame of an answer, and none in it. */
    if ((s->done || is_stopping(s)) && (s->said || s->finished))
        return VERDICT_COMPLETE;
    if (!s->broken && ended_by_closing(s))
        return VERDICT_COMPLETE;
    return VERDICT_TRUNCATED;
}
