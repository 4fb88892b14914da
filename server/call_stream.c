/* A provider's stream on its way to the client: read in passing, held back until its first
 * content, then relayed as it comes. */
#define _GNU_SOURCE
#include "server/call.h"

static void on_event(void *ctx, const struct event *ev)
{
    struct call *c = ctx;
    if ((ev->kind == EVENT_CONTENT || ev->call) && c->content_tick_ms < 0) {
        c->content_tick_ms = worker_tick_ms(c->worker);
        call_health_answered(c);
    }
    if (ev->kind == EVENT_START || ev->kind == EVENT_USAGE) {
        call_origin_note(c, ev->data);
    }
    if (ev->kind == EVENT_ERROR) {
        call_read_error(c, ev->data, c->error_text);
        if (c->content_tick_ms < 0) { /* it stands for the whole answer */
            buf_reset(&c->answer);
            buf_add_span(&c->answer, ev->data);
        }
    }
    /* Servers say an error in many ways: whatever is no part of the answer may be one. */
    c->suspect |= ev->kind == EVENT_OTHER || ev->kind == EVENT_ERROR;
    c->started |= ev->kind == EVENT_START || ev->kind == EVENT_USAGE || ev->kind == EVENT_CONTENT;
    c->stopped |= ev->kind == EVENT_STOP;
    c->failed |= ev->kind == EVENT_ERROR;
}

/* ---- the head ---- */

bool call_is_event_stream(const struct call *c)
{
    const char *stream_type = c->adapter->stream_type;
    struct span type = header_find(transfer_headers(c->transfer), "content-type");
    size_t n = strlen(stream_type);
    return type.len >= n && strncasecmp(type.ptr, stream_type, n) == 0;
}

bool call_is_compressed(const struct call *c)
{
    struct span coding = header_find(transfer_headers(c->transfer), "content-encoding");
    return coding.len > 0 && (coding.len != 8 || strncasecmp(coding.ptr, "identity", 8) != 0);
}

/* ---- the hold-back: until the first content another attempt can take its place ---- */

bool call_wants_stream(const struct call *c)
{
    return c->kind == CALL_MESSAGES && c->chat.stream;
}

/* Something is there that this client may see. */
static bool has_something(const struct call *c)
{
    return c->translated ? c->chat.stream && c->shown.len > 0 : c->held.len > 0;
}

/* A stream that is no stream, or that ends with an error before it said anything, can still be
 * tried elsewhere. */
static bool may_begin(struct call *c)
{
    if (c->translated && (!c->chat.stream || c->shown.len == 0)) {
        return false; /* a whole body comes at the end; nothing to show yet */
    }
    switch (c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes)) {
    case VERDICT_FOREIGN:
        call_cut(c, END_foreign);
        return false;
    case VERDICT_ERROR:
        if (c->content_tick_ms < 0) {
            call_cut(c, END_stream_error);
        }
        return c->content_tick_ms >= 0;
    case VERDICT_COMPLETE:
        return true;
    case VERDICT_TRUNCATED:
        break;
    }
    return c->content_tick_ms >= 0;
}

static void begin(struct call *c, struct span upstream_headers)
{
    c->committed = c->route.committed = true;
    call_answer_stream_begin(c, upstream_headers);
    c->out_tick_ms = worker_tick_ms(c->worker);
    c->held_tick_ms = -1;
    call_answer_stream(c, buf_span(&c->held));
    buf_reset(&c->held);
}

void call_stream_release(struct call *c, struct span upstream_headers)
{
    if (c->req != NULL && !c->committed && has_something(c)) {
        begin(c, upstream_headers);
    }
}

/* What was translated waits in c->shown. */
static void hold_back(struct call *c, struct span bytes)
{
    if (c->held_tick_ms < 0) {
        c->held_tick_ms = worker_tick_ms(c->worker);
        call_arm(c);
    }
    if (!c->translated) {
        buf_add_span(&c->held, bytes);
    }
}

static bool is_full(const struct call *c, struct span bytes)
{
    return !c->translated && bytes.len > CALL_HELD_MAX - c->held.len;
}

/* Half an event would spoil the error event that follows it: what is missing of it is fed and
 * given back, the rest is dropped with the connection. */
static struct span feed_event(struct call *c, struct span bytes)
{
    struct span fed = {bytes.ptr, 0};
    while (fed.len < bytes.len && !c->adapter->stream_at_boundary(c->stream)) {
        struct span rest = {bytes.ptr + fed.len, bytes.len - fed.len};
        const char *line = memchr(rest.ptr, '\n', rest.len);
        rest.len = line != NULL ? (size_t)(line - rest.ptr) + 1 : rest.len;
        if (!c->adapter->stream_feed(c->stream, rest, on_event, c)) {
            break;
        }
        fed.len += rest.len;
    }
    return fed;
}

static bool on_last_event(struct call *c, struct span bytes)
{
    if (c->translated) {
        return true; /* it has been cut */
    }
    struct span fed = feed_event(c, bytes);
    if (c->req != NULL && fed.len > 0) {
        call_answer_stream(c, fed);
    }
    if (fed.len < bytes.len || c->adapter->stream_at_boundary(c->stream)) {
        call_cut(c, END_over_cap);
    }
    return true;
}

/* ---- the stream ---- */

bool call_stream_body(struct call *c, struct span bytes)
{
    bool held_up = c->extend_waiting && !c->cut_soon && !call_grow(c);
    if (held_up && c->held_up_tick_ms == 0) {
        c->held_up_tick_ms = worker_tick_ms(c->worker);
    }
    if (held_up || (c->req != NULL && c->committed && request_stream_full(c->req))) {
        c->paused = true;
        call_arm(c);
        return false;
    }
    if (c->cut_soon) {
        return on_last_event(c, bytes);
    }
    if (!c->adapter->stream_feed(c->stream, bytes, on_event, c)) {
        call_cut(c, END_foreign);
        return true;
    }
    call_checkpoint_bytes(c, bytes.len);
    if (c->stopped || c->failed) {
        call_arm(c);
    }
    if (c->reply_broken) {
        call_cut(c, END_foreign);
        return true;
    }
    if (c->req == NULL) {
        return true;
    }
    if (!c->committed && !may_begin(c)) {
        if (c->cut != END_none) {
            return true;
        }
        if (!is_full(c, bytes)) {
            hold_back(c, bytes);
            return true;
        }
    }
    if (!c->committed) {
        begin(c, transfer_headers(c->transfer));
        call_arm(c);
    }
    call_answer_stream(c, bytes);
    c->suspect &= c->raw.len > 0; /* some of it may not be whole yet */
    if (!c->extend_waiting) {
        call_grow(c);
    }
    return true;
}
