/* Memory of calls: they are pooled with their buffers, a pool for each worker. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "server/call.h"

static size_t memory_of(const struct call *c)
{
    return sizeof *c + c->body.cap + c->answer.cap + c->shown.cap + c->raw.cap + c->held.cap +
           c->upreq.headers.cap + c->upreq.own.cap + c->doc.cap * sizeof *c->doc.nodes +
           plan_memory(&c->plan);
}

struct call *call_new(struct worker *w)
{
    struct call *c = w->free_calls;
    if (c != NULL) {
        w->free_calls = c->next;
        worker_unkeep(w, memory_of(c));
    } else {
        c = calloc(1, sizeof *c);
        if (c == NULL) {
            return NULL;
        }
        c->worker = w;
        buf_init(&c->body, REQUEST_BODY_MAX);
        buf_init(&c->answer, CALL_ANSWER_MAX);
        buf_init(&c->shown, CALL_ANSWER_MAX);
        buf_init(&c->raw, PROVIDER_EVENT_MAX + SSE_LINE_EXTRA);
        buf_init(&c->held, CALL_HELD_MAX);
        dialog_init(&c->dialog);
        json_init(&c->doc);
        chat_init(&c->chat);
        plan_init(&c->plan);
        upreq_init(&c->upreq);
        sse_init(&c->stream_split, PROVIDER_EVENT_MAX);
        uv_timer_init(&w->uv, &c->timer);
        c->timer.data = c;
    }
    c->next = w->calls;
    c->prev = &w->calls;
    if (w->calls != NULL) {
        w->calls->prev = &c->next;
    }
    w->calls = c;
    w->n_calls++;
    return c;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct call *c = h->data;
    buf_done(&c->body);
    buf_done(&c->answer);
    buf_done(&c->shown);
    buf_done(&c->raw);
    buf_done(&c->held);
    dialog_done(&c->dialog);
    json_done(&c->doc);
    plan_done(&c->plan);
    chat_done(&c->chat);
    upreq_done(&c->upreq);
    sse_done(&c->stream_split);
    free(c);
}

void call_recycle(struct call *c)
{
    struct worker *w = c->worker;
    *c->prev = c->next;
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    w->n_calls--;
    shed_give(w->site->shed, &c->slot);
    catalog_unref(c->catalog);
    identity_unref(c->identity);
    call_experiment_leave(c);
    call_failure_forget(c);
    chat_done(&c->chat);
    upreq_reset(&c->upreq, CALL_KEEP_BODY);
    sse_done(&c->stream_split);
    if (c->doc.cap > CALL_KEEP_VALUES) {
        json_done(&c->doc);
        json_init(&c->doc);
    }
    if (c->plan.cap_candidates + c->plan.cap_excluded > CALL_KEEP_PLAN) {
        plan_done(&c->plan);
        plan_init(&c->plan);
    }
    buf_keep(&c->body, CALL_KEEP_BODY);
    buf_keep(&c->answer, CALL_KEEP_BODY);
    buf_keep(&c->shown, CALL_KEEP_BODY);
    buf_keep(&c->raw, CALL_KEEP_BODY);
    buf_keep(&c->held, CALL_KEEP_BODY);
    dialog_done(&c->dialog);
    if (!worker_keep(w, memory_of(c))) {
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
        return;
    }
    memset((char *)c + offsetof(struct call, req), 0, sizeof *c - offsetof(struct call, req));
    c->next = w->free_calls;
    w->free_calls = c;
}

void call_free_pool(struct worker *w)
{
    struct call *c = NULL;
    while ((c = w->free_calls) != NULL) {
        w->free_calls = c->next;
        worker_unkeep(w, memory_of(c));
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
    }
}

int64_t call_bytes(const struct call *c)
{
    return (int64_t)(c->body.len + c->answer.len + c->shown.len + c->raw.len + c->held.len +
                     c->doc.count * sizeof *c->doc.nodes) +
           call_failure_bytes(c);
}
