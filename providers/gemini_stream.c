/* A stream of GenerateContentResponse objects: gemini.h.
 *
 * With alt=sse (which is asked for) events of data, CRLF; an error after the first may stand
 * between them as bare JSON.  Without it, from gateways, one JSON array that grows.  Nothing says
 * that the stream is whole but a reason to stop and, behind it, the proper end of the body; an
 * array ends by itself. */
#include <stdlib.h>

#include "providers/gemini.h"
#include "schema/sse.h"

enum shape { SHAPE_UNKNOWN, SHAPE_EVENTS, SHAPE_ARRAY, SHAPE_BARE, SHAPE_FOREIGN };

struct gemini_stream {
    struct gemini_reader reader;
    struct json_doc doc;
    struct sse sse;
    enum shape shape;
    int64_t n_events, n_objects;
    bool garbled; /* data that is no JSON: what it would have said is lost */
    bool broken;
    bool last_was_line_end; /* of the bytes so far */
    /* SHAPE_ARRAY, SHAPE_BARE: an object that is not yet whole. */
    struct buf object;
    int depth;
    bool in_string, escaped;
    /* For the time of one feed; NULL after the end of the body. */
    void (*on_event)(void *ctx, const struct event *ev);
    void *ctx;
};

void *gemini_stream_open(const char *protocol, const struct provider_reading *reading)
{
    struct gemini_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    gemini_reader_init(&s->reader, protocol, reading);
    sse_init(&s->sse, PROVIDER_EVENT_MAX);
    json_init(&s->doc);
    buf_init(&s->object, PROVIDER_EVENT_MAX);
    s->last_was_line_end = true;
    return s;
}

void gemini_stream_close(void *stream)
{
    struct gemini_stream *s = stream;
    if (s == NULL)
        return;
    gemini_reader_done(&s->reader);
    sse_done(&s->sse);
    json_done(&s->doc);
    buf_done(&s->object);
    free(s);
}

static void tell(const struct gemini_stream *s, enum event_kind kind, struct span data,
                 struct span text)
{
    struct event ev = {.kind = kind, .name = {"", 0}, .data = data, .text = text};
    if (s->on_event != NULL)
        s->on_event(s->ctx, &ev);
}

static void on_object(struct gemini_stream *s, struct span data)
{
    struct span content = {NULL, 0}, none = {NULL, 0};
    enum event_kind kind = EVENT_OTHER;
    bool started = s->reader.teller.started;
    s->n_events++;
    if (json_parse(&s->doc, data, NULL) == 0) {
        s->n_objects++;
        kind = gemini_read(&s->reader, &s->doc, 0, &content);
    } else if (!span_is(data, "[DONE]")) { /* gateways add it */
        s->garbled = true;
    }
    if (!started && s->reader.teller.started)
        tell(s, EVENT_START, data, none);
    tell(s, kind, data, content);
}

static bool on_sse_event(void *ctx, const struct sse_event *ev)
{
    on_object(ctx, ev->data);
    return true;
}

/* ---- JSON without events ---- */

/* Moves through the object up to c; true when it ends there. */
static bool ends_object(struct gemini_stream *s, char c)
{
    if (s->in_string) {
        bool escaped = s->escaped;
        s->escaped = c == '\\' && !escaped;
        s->in_string = c != '"' || escaped;
        return false;
    }
    s->in_string = c == '"';
    s->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    return s->depth == 0;
}

/* Between two objects.  What stands there beside the array's own signs is nothing of ours. */
static void between_objects(struct gemini_stream *s, char c)
{
    if (c == ']' && s->shape == SHAPE_ARRAY && !s->garbled)
        gemini_conclude(&s->reader);
}

static bool feed_objects(struct gemini_stream *s, struct span bytes)
{
    size_t from = 0; /* of the object in this piece */
    for (size_t i = 0; i < bytes.len; i++) {
        if (s->depth == 0 && bytes.ptr[i] != '{') {
            between_objects(s, bytes.ptr[i]);
            continue;
        }
        if (s->depth == 0)
            from = i;
        if (!ends_object(s, bytes.ptr[i]))
            continue;
        if (!buf_add(&s->object, bytes.ptr + from, i + 1 - from))
            return false;
        on_object(s, buf_span(&s->object));
        buf_reset(&s->object);
        from = i + 1;
    }
    return s->depth == 0 || buf_add(&s->object, bytes.ptr + from, bytes.len - from);
}

/* ---- events ---- */

/* Where bare JSON begins: a brace at the beginning of a line between two events; bytes.len:
 * nowhere. Everything before it has been fed then. */
static bool feed_events(struct gemini_stream *s, struct span bytes)
{
    size_t fed = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        const char *brace = memchr(bytes.ptr + i, '{', bytes.len - i);
        if (brace == NULL)
            break;
        i = (size_t)(brace - bytes.ptr);
        bool at_line = i == 0 ? s->last_was_line_end : brace[-1] == '\n' || brace[-1] == '\r';
        if (!at_line)
            continue;
        if (!sse_feed(&s->sse, (struct span){bytes.ptr + fed, i - fed}, on_sse_event, s))
            return false;
        fed = i;
        if (sse_at_boundary(&s->sse)) {
            s->shape = SHAPE_BARE;
            return feed_objects(s, (struct span){bytes.ptr + i, bytes.len - i});
        }
    }
    s->last_was_line_end = bytes.ptr[bytes.len - 1] == '\n' || bytes.ptr[bytes.len - 1] == '\r';
    return sse_feed(&s->sse, (struct span){bytes.ptr + fed, bytes.len - fed}, on_sse_event, s);
}

static void find_shape(struct gemini_stream *s, struct span bytes)
{
    for (size_t i = 0; i < bytes.len && s->shape == SHAPE_UNKNOWN; i++) {
        if (!json_is_blank(bytes.ptr[i]))
            s->shape = bytes.ptr[i] == '['   ? SHAPE_ARRAY
                       : bytes.ptr[i] == '{' ? SHAPE_BARE
                       : bytes.ptr[i] == '<' ? SHAPE_FOREIGN
                                             : SHAPE_EVENTS;
    }
}

static bool feed(struct gemini_stream *s, struct span bytes)
{
    switch (s->shape) {
    case SHAPE_FOREIGN:
        return true;
    case SHAPE_UNKNOWN: /* blanks only, which may begin a line */
    case SHAPE_EVENTS:
        return feed_events(s, bytes);
    case SHAPE_ARRAY:
    case SHAPE_BARE:
        return feed_objects(s, bytes);
    }
    return false;
}

bool gemini_stream_feed(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx)
{
    struct gemini_stream *s = stream;
    if (s->broken)
        return false;
    s->on_event = on_event;
    s->ctx = ctx;
    find_shape(s, bytes);
    s->broken = bytes.len > 0 && !feed(s, bytes);
    s->on_event = NULL;
    return !s->broken;
}

bool gemini_stream_at_boundary(const void *stream)
{
    const struct gemini_stream *s = stream;
    return s->shape <= SHAPE_EVENTS && sse_at_boundary(&s->sse);
}

void gemini_stream_finish(void *stream)
{
    struct gemini_stream *s = stream;
    if (s->broken || s->shape != SHAPE_EVENTS)
        return;
    /* The last event may lack its blank line; what was cut off is no JSON. */
    int64_t before = s->n_objects;
    bool whole = sse_at_boundary(&s->sse);
    if (!whole)
        whole = sse_feed(&s->sse, SPAN("\n\n"), on_sse_event, s) && s->n_objects > before;
    if (whole && !s->garbled)
        gemini_conclude(&s->reader);
}

enum verdict gemini_stream_state(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes)
{
    const struct gemini_stream *s = stream;
    usage_report_clear(ret_usage);
    gemini_figures_to_usage(&s->reader.figures, s->reader.content_bytes > 0, &ret_usage->total);
    *ret_content_bytes = s->reader.content_bytes;
    bool foreign = s->shape == SHAPE_FOREIGN || (s->n_events > 0 && !s->reader.known);
    return foreign ? VERDICT_FOREIGN : gemini_verdict(&s->reader);
}
