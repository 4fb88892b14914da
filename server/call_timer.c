/* The limits of the running attempt: one timer for all of them, and the two ways to end it early.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "server/call.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The provider is not to blame for a client that does not read. */
static int64_t silent_deadline(const struct call *c)
{
    if (c->paused) {
        return INT64_MAX;
    }
    if (c->stopped || c->failed) {
        return c->byte_tick_ms + CALL_LINGER_MS; /* all is said: no need to wait for the close */
    }
    return c->head_tick_ms < 0 ? c->sent_tick_ms + c->limits.first_byte_ms
                               : c->byte_tick_ms + c->limits.idle_ms;
}

/* Also while no provider has answered yet: a client that asked for a stream can be told so. */
static int64_t ping_deadline(const struct call *c)
{
    bool waits = c->req != NULL && (c->committed || call_wants_stream(c));
    return waits ? c->out_tick_ms + CALL_PING_MS : INT64_MAX;
}

static int64_t release_deadline(const struct call *c)
{
    return c->held_tick_ms >= 0 ? c->held_tick_ms + CALL_HOLDBACK_MS : INT64_MAX;
}

static int64_t checkpoint_deadline(const struct call *c)
{
    return c->checkpoint_tick_ms >= 0 && !c->stopped ? c->checkpoint_tick_ms + CALL_CHECKPOINT_MS
                                                     : INT64_MAX;
}

static int64_t held_up_deadline(const struct call *c)
{
    bool waits = c->extend_waiting && c->held_up_tick_ms > 0 && !c->cut_soon;
    return waits ? c->held_up_tick_ms + CALL_HOLD_STEP_MS : INT64_MAX;
}

static void on_timer(uv_timer_t *t);

void call_arm(struct call *c)
{
    int64_t at = least(silent_deadline(c), c->sent_tick_ms + c->limits.total_ms);
    at = least(least(at, ping_deadline(c)), checkpoint_deadline(c));
    at = least(at, least(release_deadline(c), held_up_deadline(c)));
    int64_t in = at - worker_tick_ms(c->worker);
    uv_timer_start(&c->timer, on_timer, in > 1 ? (uint64_t)in : 1, 0);
}

/* In steps: when the process itself stood still, the answer may lie there. */
void call_await_hold(struct call *c)
{
    c->hold_waited_s = 0;
    uv_timer_start(&c->timer, on_timer, CALL_HOLD_STEP_MS, CALL_HOLD_STEP_MS);
}

void call_cut(struct call *c, enum route_end why)
{
    if (c->transfer != NULL && c->cut == END_none) {
        c->cut = why;
        transfer_cancel(c->transfer);
    }
}

/* The provider's bytes end here with a whole event. */
bool call_at_boundary(const struct call *c)
{
    return c->translated || c->adapter->stream_at_boundary(c->stream);
}

void call_cut_at_cap(struct call *c, enum err code, const char *text)
{
    c->cut_code = code;
    snprintf(c->cut_text, sizeof c->cut_text, "%s", text);
    c->cut_soon = true;
    if (c->stream == NULL || call_at_boundary(c)) {
        call_cut(c, END_over_cap);
    }
}

static void keep_alive(struct call *c)
{
    if (!c->committed) {
        call_answer_open(c);
        call_answer_keep_alive(c);
    } else if (c->stream != NULL && !c->half_shown && !request_stream_full(c->req)) {
        call_answer_keep_alive(c);
    }
}

static void keep_client(struct call *c, int64_t now)
{
    if (now >= ping_deadline(c)) {
        keep_alive(c);
        c->out_tick_ms = now;
    }
}

static void on_timer(uv_timer_t *t)
{
    struct call *c = t->data;
    int64_t now = worker_tick_ms(c->worker);
    if (c->transfer == NULL && c->hold_waiting) {
        keep_client(c, now);
        if (++c->hold_waited_s == CALL_HOLD_WAIT_S) {
            call_on_hold_late(c);
        }
    }
    if (c->transfer == NULL) {
        return;
    }
    if (now >= held_up_deadline(c)) {
        c->held_up_tick_ms = now;
        if (++c->held_up_s == CALL_HOLD_WAIT_S) {
            call_on_extend_late(c);
        }
    }
    if (now >= silent_deadline(c) || now >= c->sent_tick_ms + c->limits.total_ms) {
        call_cut(c, END_timed_out);
        return;
    }
    if (now >= checkpoint_deadline(c)) {
        call_checkpoint(c);
    }
    if (now >= release_deadline(c)) {
        c->held_tick_ms = -1;
        bool begun = c->started || c->translated; /* comments are no beginning */
        if (c->cut == END_none && !c->stopped && begun) {
            call_stream_release(c, transfer_headers(c->transfer));
        }
    }
    keep_client(c, now);
    call_arm(c);
}
