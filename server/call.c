/* The steps of a call.  Every way out of an attempt passes attempt_over(), every way out of
 * a call passes call_done(): that is where "exactly one ending" is kept. */
#define _GNU_SOURCE
#include "server/call.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "schema/field.h"
#include "server/http.h"
#include "server/log.h"

static void act(struct call *c, struct route_action a, struct span headers);
static void try_next(struct call *c);

/* ---- the end of a call ---- */

static void detach(struct call *c)
{
    struct request *r = c->req;
    if (r != NULL) {
        r->call = NULL;
        c->req = NULL;
        if (c->shadow) {
            request_free(r); /* no connection's end will do it */
        }
    }
}

/* The call goes on without its request, and counts in the load as it did. */
static void leave(struct call *c)
{
    shed_move(&c->slot, &c->req->slot);
    shed_resize(c->worker->site->shed, &c->slot, call_bytes(c), true);
    detach(c);
}

void call_done(struct call *c)
{
    assert(c->transfer == NULL && !c->hold_open && !c->hold_waiting && c->stream == NULL);
    assert(c->writer == NULL);
    uv_timer_stop(&c->timer);
    call_limits_end(c);
    call_health_give_back(c);
    if (c->draining) {
        __atomic_sub_fetch(&c->worker->site->drains, 1, __ATOMIC_RELAXED);
    }
    detach(c);
    if (c->shadow) {
        call_shadow_end(c);
    }
    c->done = true;
    if (!c->extend_waiting) {
        call_recycle(c);
    }
}

void call_after_extend(struct call *c)
{
    if (c->done) {
        call_recycle(c);
    }
}

/* ---- one attempt ---- */

static void attempt_reset(struct call *c)
{
    upreq_reset(&c->upreq, CALL_KEEP_BODY);
    buf_reset(&c->answer);
    buf_reset(&c->shown);
    buf_reset(&c->held);
    c->held_tick_ms = -1;
    c->reply_ended = c->reply_broken = false;
    c->http_status = c->said_status = 0;
    c->denied = NULL;
    c->starved = false;
    c->cut = END_none;
    c->sent = c->paused = c->hold_open = c->hold_waiting = false;
    c->started = c->stopped = c->failed = c->suspect = false;
    c->checkpoint_tick_ms = -1;
    c->uncounted_bytes = 0;
    c->head_tick_ms = c->content_tick_ms = -1;
    usage_report_clear(&c->usage);
    c->earlier_nusd += money_charge_nusd(c->cost_pusd);
    c->content_bytes = c->cost_pusd = 0;
    c->provider_request_id[0] = c->error_text[0] = '\0';
}

static void close_stream(struct call *c)
{
    if (c->stream != NULL) {
        c->adapter->stream_close(c->stream);
        c->stream = NULL;
    }
    call_translate_close(c);
}

/* c->answer is an error: what it means, beside its status, and for the credential. */
static void weigh_error(struct call *c, int64_t *retry_after_ms)
{
    int said = c->http_status;
    if (c->adapter->weigh_error != NULL) {
        c->adapter->weigh_error(buf_span(&c->answer), &c->http_status, retry_after_ms);
    }
    call_credential_hide(c, buf_span(&c->answer));
    call_credential_refused(c, *retry_after_ms);
    c->said_status = c->http_status != said ? said : 0;
}

/* Closes the attempt's books.  verdict counts for END_complete, truncated and the like.  Returns
 * how it ended: an error in place of an answer counts as if it had come with its status (and may
 * say when to come back, as *retry_after_ms; NULL where there is no answer). */
static enum route_end attempt_over(struct call *c, enum route_end end, enum verdict verdict,
                                   int64_t *retry_after_ms)
{
    assert(c->transfer == NULL);
    uv_timer_stop(&c->timer);
    if (c->kind == CALL_MESSAGES) {
        call_settle(c, end, verdict);
    }
    bool instead = end == END_stream_error && !c->committed && c->content_tick_ms < 0;
    int status = instead ? call_failure_status(c) : 0;
    if (status > 0) {
        end = END_status;
        c->http_status = status;
        weigh_error(c, retry_after_ms);
    }
    call_note_attempt(c, end);
    call_health_end(c, end);
    call_credential_used(c, end);
    close_stream(c);
    return end;
}

static void on_head(void *ctx, int http_status)
{
    struct call *c = ctx;
    c->http_status = http_status;
    c->head_tick_ms = c->byte_tick_ms = worker_tick_ms(c->worker);
    if (http_status / 100 == 2 && call_is_compressed(c)) {
        call_cut(c, END_foreign);
        return;
    }
    if (http_status / 100 == 2) {
        call_translate_begin(c);
    }
    if (c->kind == CALL_MESSAGES && http_status / 100 == 2 && call_is_event_stream(c)) {
        c->stream = c->adapter->stream_open(&c->reading);
        if (c->stream == NULL) {
            call_cut(c, END_reset);
        }
    }
    call_arm(c);
}

static bool on_body(void *ctx, struct span bytes)
{
    struct call *c = ctx;
    c->byte_tick_ms = worker_tick_ms(c->worker);
    if (c->stream != NULL) {
        return call_stream_body(c, bytes);
    }
    if (!buf_add_span(&c->answer, bytes)) {
        call_cut(c, END_foreign);
    }
    if (c->req != NULL) {
        request_weigh(c->req);
    }
    return true;
}

static enum route_end end_of(enum transfer_result result)
{
    switch (result) {
    case TRANSFER_OK:
        return END_complete;
    case TRANSFER_CONNECT_FAILED:
        return END_connect_failed;
    case TRANSFER_TLS_FAILED:
        return END_tls_failed;
    case TRANSFER_CONNECT_TIMEOUT:
        return END_timed_out;
    case TRANSFER_TOO_LARGE:
        return END_foreign;
    case TRANSFER_STALE:
        return END_stale;
    case TRANSFER_RESET:
    case TRANSFER_CANCELED:
        return END_reset;
    }
    return END_reset;
}

/* The drain deadline cut it. */
static void answer_drained(struct call *c)
{
    if (c->committed) {
        call_answer_stream_error(c, ERR_draining, NULL);
    } else {
        call_answer_fail(c, ERR_draining, -1);
    }
    call_record_end(c, "error", err_info(ERR_draining)->status);
    call_done(c);
}

/* The stream has no end of its own: only the error event says why. */
static void answer_over_cap(struct call *c)
{
    call_answer_stream_error(c, c->cut_code, c->cut_text);
    call_record_end(c, "error", c->http_status);
    call_done(c);
}

/* The answer's end, for a client of another protocol: written before the attempt is closed. */
static void end_translation(struct call *c)
{
    if (c->translated && c->reply_ended) {
        call_cost_so_far(c);
        call_translate_end(c);
    }
}

static void after_stream(struct call *c, enum route_end end, struct span headers)
{
    enum verdict verdict = c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
    /* Also where the connection broke behind the protocol's last word. */
    if (c->adapter->stream_finish != NULL && (end == END_complete || verdict == VERDICT_COMPLETE)) {
        c->adapter->stream_finish(c->stream);
        verdict = c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
    }
    if (verdict == VERDICT_COMPLETE && end != END_foreign) {
        end = END_complete; /* the last event came; how the connection ended does not matter */
    } else if (verdict == VERDICT_ERROR && end != END_foreign) {
        end = END_stream_error; /* it has said so itself, before we cut it or the client left */
    } else if (end == END_complete) {
        end = verdict == VERDICT_FOREIGN ? END_foreign : END_truncated;
    }
    end_translation(c);
    if (c->translated && end == END_complete && (c->reply_broken || c->shown.failed)) {
        end = END_foreign;
    }
    int64_t retry_after_ms = header_retry_after_ms(headers, worker_now_ms());
    end = attempt_over(c, end, verdict, &retry_after_ms);
    if (end == END_complete) {
        call_stream_release(c, headers); /* an answer without content is one */
    }
    if (c->req == NULL) {
        act(c, (struct route_action){.step = ROUTE_DONE}, headers);
    } else if (end == END_drained ||
               (c->cut == END_drained && !c->committed && end != END_complete)) {
        answer_drained(c);
    } else if (end == END_over_cap) {
        answer_over_cap(c);
    } else if (c->committed && (end == END_complete || end == END_stream_error)) {
        call_answer_stream_finish(c);
        request_stream_end(c->req, false); /* the provider's own error event has been relayed */
        act(c, (struct route_action){.step = ROUTE_DONE}, headers);
    } else if (end == END_status) {
        act(c, route_on_head(&c->route, c->http_status, retry_after_ms), headers);
    } else {
        act(c, route_on_end(&c->route, end), headers);
    }
}

static void after_body(struct call *c, struct span headers)
{
    bool good = c->http_status / 100 == 2;
    enum verdict verdict =
        VERDICT_FOREIGN; /* also of an error body that was cut: its status counts */
    if (good) {
        verdict = c->adapter->read_body(&c->reading, buf_span(&c->answer), &c->usage);
        end_translation(c);
        if (c->translated && verdict == VERDICT_COMPLETE && (c->reply_broken || c->shown.failed)) {
            verdict = VERDICT_FOREIGN;
        }
    }
    int64_t retry_after_ms = header_retry_after_ms(headers, worker_now_ms());
    if (!good) {
        weigh_error(c, &retry_after_ms);
    } else if (verdict == VERDICT_ERROR) {
        call_credential_hide(c, buf_span(&c->answer));
    }
    enum route_end end = !good                        ? END_status
                         : verdict == VERDICT_FOREIGN ? END_foreign
                         : verdict == VERDICT_ERROR   ? END_stream_error
                                                      : END_complete;
    if (end == END_complete) {
        call_origin_note(c, buf_span(&c->answer));
    }
    end = attempt_over(c, end, verdict, &retry_after_ms);
    if (c->req == NULL) {
        act(c, (struct route_action){.step = ROUTE_DONE}, headers);
    } else if (c->cut == END_drained) {
        answer_drained(c); /* within an error's body: nobody else is asked any more */
    } else if (end != END_complete && end != END_status) {
        act(c, route_on_end(&c->route, end), headers);
    } else {
        act(c, route_on_head(&c->route, c->http_status, retry_after_ms), headers);
    }
}

/* No answer came, or not a whole one. */
static void after_nothing(struct call *c, enum route_end end, struct span headers)
{
    if (c->req == NULL) {
        act(c, (struct route_action){.step = ROUTE_DONE}, headers);
    } else if (end == END_drained) {
        answer_drained(c);
    } else {
        act(c, route_on_end(&c->route, end), headers);
    }
}

static void on_done(void *ctx, enum transfer_result result)
{
    struct call *c = ctx;
    struct span headers = transfer_headers(c->transfer); /* alive until we return */
    if (result == TRANSFER_TOO_LARGE && c->stopped) {
        result = TRANSFER_RESET; /* behind the last event */
    } else if (result == TRANSFER_TOO_LARGE && c->cut == END_none) {
        c->cut = END_foreign; /* we hung up */
    }
    enum route_end end = c->cut != END_none ? c->cut : end_of(result);
    call_credential_hide_headers(c, headers); /* before anything is cut out of them */
    struct span id = header_request_id(headers);
    if (!field_is_ascii(id)) {
        id.len = 0; /* records are JSON: other bytes would make all of a listing unreadable */
    }
    snprintf(c->provider_request_id, sizeof c->provider_request_id, "%.*s",
             (int)(id.len < 100 ? id.len : 100), id.ptr);
    c->sent = transfer_sent(c->transfer);
    c->denied = transfer_denied(c->transfer);
    c->starved = transfer_starved(c->transfer);
    if (c->denied != NULL) {
        log_line(LOG_WARN,
                 "msg=\"a base_url of provider_configs is not public\" "
                 "key=%s endpoint=%s range=%s",
                 c->key->public_id, c->endpoint->slug, c->denied);
    }
    c->transfer = NULL;
    bool error_status = c->http_status != 0 && c->http_status / 100 != 2;
    if (c->stream != NULL) {
        after_stream(c, end, headers);
    } else if (end == END_complete || error_status) {
        after_body(c, headers);
    } else {
        attempt_over(c, end, VERDICT_TRUNCATED, NULL);
        after_nothing(c, end, headers);
    }
}

static void send_attempt(struct call *c)
{
    static const struct transfer_ops ops = {on_head, on_body, on_done};
    struct worker *w = c->worker;
    call_failure_forget(c);
    c->sent_ms = worker_now_ms();
    c->sent_tick_ms = worker_tick_ms(w);
    c->tried = true;
    metrics_add(&w->metrics, METRIC_attempts_total, 1);
    if (c->n_attempts > 0) {
        metrics_add(&w->metrics, METRIC_failovers_total, 1);
    }
    const struct uplink_how how = {c->limits.connect_ms, c->reach, route_is_repeat(&c->route)};
    c->transfer = transfer_start(w->upstream, &c->upreq, &how, &ops, c);
    if (c->transfer == NULL) {
        c->starved = uplink_can_read(c->upreq.url);
        attempt_over(c, END_connect_failed, VERDICT_TRUNCATED, NULL);
        act(c, route_on_end(&c->route, END_connect_failed), (struct span){"", 0});
        return;
    }
    call_arm(c);
}

/* ---- the next candidate ---- */

/* No other attempt can be made: the answer for those that were.  false: there were none. */
static bool answer_for_attempts(struct call *c)
{
    struct span headers;
    if (c->route.n_attempts == 0 || !call_failure_take_back(c, &headers)) {
        return false;
    }
    act(c, route_stop(&c->route), headers);
    return true;
}

/* In the name of the attempt that was made last, not of the one that was not; whose the hold is,
 * which may still come. */
static void answer_not_held(struct call *c, enum err code)
{
    const struct endpoint *not_asked = c->endpoint;
    struct span unused;
    if (!call_failure_take_back(c, &unused)) {
        c->endpoint = c->n_attempts > 0 ? c->attempts[c->n_attempts - 1].endpoint : NULL;
        c->clamp_tok = 0;
    }
    call_answer_fail(c, code, -1);
    c->endpoint = not_asked;
    c->http_status = 0;
}

/* The ledger did not answer, or could not be asked. */
static void record_not_held(struct call *c)
{
    call_record_end(c, c->n_attempts > 0 ? "error" : "refused", err_info(ERR_ledger_down)->status);
}

/* The request cannot be told to this provider; another may take it. */
static void on_build_refused(struct call *c, const struct fail *f)
{
    struct route_action next = route_build_refused(&c->route, f->code);
    if (next.step == ROUTE_TRY && call_health_begin(c, &next)) {
        try_next(c);
        return;
    }
    if (answer_for_attempts(c)) {
        return;
    }
    call_answer_error(c, f, -1, (struct span){NULL, 0});
    call_record_end(c, "error", err_info(f->code)->status);
    call_done(c);
}

static void try_hold(struct call *c)
{
    struct fail f = {.code = ERR_OK};
    attempt_reset(c);
    c->attempt_id = worker_new_id(c->worker);
    chat_send_max_tokens(&c->chat, c->clamp_tok > 0 ? c->clamp_tok : -1);
    if (call_build(c, &f) != 0 && f.code != ERR_bad_request) {
        /* The operator's settings for this provider cannot be sent: the next may do. */
        log_fault(LOG_ERROR, "cannot call a provider", f.text, "endpoint=%s", c->endpoint->slug);
        call_note_attempt(c, END_connect_failed);
        act(c, route_on_end(&c->route, END_connect_failed), (struct span){"", 0});
    } else if (f.code == ERR_bad_request) {
        on_build_refused(c, &f);
    } else if (c->kind == CALL_COUNT_TOKENS) {
        send_attempt(c);
    } else if (call_hold(c) != 0) {
        route_hold_refused(&c->route, ERR_ledger_down, -1); /* it is not made */
        if (answer_for_attempts(c)) {
            return;
        }
        record_not_held(c);
        answer_not_held(c, ERR_ledger_down);
        call_done(c);
    }
}

static void try_next(struct call *c)
{
    c->endpoint = route_current(&c->route)->endpoint;
    c->adapter = planning_adapter(&c->chat, c->endpoint);
    call_credential_take(c);
    call_size_begin(c);
    try_hold(c);
}

/* ---- what comes next ---- */

static enum route_end last_end(const struct call *c)
{
    return c->n_attempts > 0 ? c->attempts[c->n_attempts - 1].end : END_none;
}

/* 401 and 402 speak of the operator's account. */
static bool count_refused(const struct call *c)
{
    return last_end(c) == END_status && c->http_status / 100 == 4 && c->http_status != 401 &&
           c->http_status != 402 && c->adapter->is_error_body(buf_span(&c->answer));
}

static void act_count(struct call *c, struct route_action a, struct span headers)
{
    if (c->req == NULL) {
        /* nobody to answer */
    } else if (a.step == ROUTE_DONE) {
        call_answer_body(c, headers);
    } else if (count_refused(c)) {
        call_answer_pass(c, headers);
    } else {
        call_answer_estimate(c);
    }
    call_done(c);
}

/* An answer has been relayed, or its client left. */
static void finished(struct call *c, struct span headers)
{
    if (c->req == NULL) {
        call_record_end(c, "canceled", call_said_status(c));
        return;
    }
    call_record_end(c, last_end(c) == END_complete ? "ok" : "error", c->http_status);
    if (!c->committed) {
        call_answer_body(c, headers);
    }
    request_log(c->req, c->http_status, NULL);
}

static void act(struct call *c, struct route_action a, struct span headers)
{
    if (a.step == ROUTE_TRY && call_health_begin(c, &a)) {
        if (c->n_attempts > 0) {
            call_failure_keep(c, headers);
        }
        try_next(c);
        return;
    }
    if (c->kind == CALL_COUNT_TOKENS) {
        act_count(c, a, headers);
        return;
    }
    switch (a.step) {
    case ROUTE_TRY:
        break; /* not here */
    case ROUTE_DONE:
        finished(c, headers);
        break;
    case ROUTE_PASS:
        call_record_end(c, "error", c->http_status);
        call_answer_pass(c, headers);
        break;
    case ROUTE_FAIL:
        call_record_end(c, "error", err_info(a.code)->status);
        call_answer_fail(c, a.code, a.retry_after_ms);
        break;
    case ROUTE_ERROR_EVENT:
        call_record_end(c, "error", c->http_status);
        call_answer_stream_error(c, last_end(c) == END_timed_out ? ERR_timed_out : ERR_bad_upstream,
                                 route_end_text(last_end(c)));
        break;
    }
    call_done(c);
}

/* A cap refused the hold.  First every candidate as it is, then, where the key says so, the
 * same ones with fewer tokens (docs/money.md "Does not fit").  false: there is none. */
static bool hold_another(struct call *c, const struct ledger_answer *a)
{
    for (;;) {
        if (c->clamping && call_clamp(c, a)) {
            try_hold(c);
            return true;
        }
        struct route_action next = route_hold_refused(&c->route, a->code, a->retry_after_ms);
        if (next.step == ROUTE_TRY && call_health_begin(c, &next)) {
            try_next(c);
            return true;
        }
        if (c->clamping || !call_may_clamp(c, a)) {
            return false;
        }
        c->clamping = true;
        route_hold_again(&c->route);
        if (route_current(&c->route)->endpoint == c->endpoint && c->turn.open) {
            continue;
        }
        if (!call_health_begin(c, &next)) {
            return false;
        }
        try_next(c);
        return true;
    }
}

enum { HUNG_LEDGER_EVERY_MS = 10 * 1000 };

/* Where attempts were made, what came of them says more than why there is no other. */
static bool tells_of_attempts(enum err code)
{
    return err_is_cap(code) || code == ERR_ledger_down;
}

void call_on_hold_late(struct call *c)
{
    int64_t n;
    if (c->req == NULL) {
        return;
    }
    if (log_is_due(&c->worker->paces[WORKER_HUNG_LEDGER], worker_tick_ms(c->worker),
                   HUNG_LEDGER_EVERY_MS, &n)) {
        log_line(LOG_ERROR,
                 "msg=\"the ledger does not answer: does its disk hang?\" waited_s=%d n=%" PRId64,
                 CALL_HOLD_WAIT_S, n);
    }
    c->hold_late = true;
    answer_not_held(c, ERR_ledger_down);
    leave(c);
}

void call_on_hold_answer(struct call *c, const struct ledger_answer *a)
{
    if (a->kind == LEDGER_EXTEND) {
        call_on_extend_answer(c, a);
        return;
    }
    uv_timer_stop(&c->timer);
    c->hold_waiting = false;
    c->hold_open = a->code == ERR_OK;
    bool admitted = c->hold_open && !c->recorded;
    c->recorded |= c->hold_open;
    if (c->req == NULL) {
        if (c->hold_open) {
            call_void(c, c->hold_late ? END_late_hold : END_client_gone);
        }
        /* An earlier attempt may have made it known. */
        if (c->hold_late) {
            record_not_held(c);
        } else {
            call_record_end(c, "canceled", 0);
        }
        call_done(c);
    } else if (c->hold_open && worker_ends_calls(c->worker)) {
        call_void(c, END_drained); /* it would be cut at once, and paid for */
        answer_not_held(c, ERR_draining);
        call_record_end(c, "error", err_info(ERR_draining)->status);
        call_done(c);
    } else if (c->hold_open) {
        c->clamping = false;
        if (admitted && c->place.experiment != NULL) {
            call_shadow_copy(c);
        }
        send_attempt(c);
    } else if (!hold_another(c, a) && !(tells_of_attempts(a->code) && answer_for_attempts(c))) {
        call_record_end(c, "refused", call_answer_refused(c, a));
        call_done(c);
    }
}

/* ---- the client's side ---- */

static bool may_drain(struct call *c)
{
    if (c->endpoint->provider->cancel_stops_billing || c->kind == CALL_COUNT_TOKENS) {
        return false;
    }
    int *drains = &c->worker->site->drains;
    if (__atomic_add_fetch(drains, 1, __ATOMIC_RELAXED) <= WORKER_DRAINS_MAX) {
        return true;
    }
    __atomic_sub_fetch(drains, 1, __ATOMIC_RELAXED);
    return false;
}

void call_client_gone(struct call *c)
{
    leave(c);
    metrics_add(&c->worker->metrics, METRIC_clients_gone_total, 1);
    if (c->transfer == NULL) {
        return; /* the hold's answer comes and ends it */
    }
    if (c->cut == END_none && may_drain(c)) {
        c->draining = true;
        call_client_ready(c);
    } else {
        call_cut(c, END_client_gone);
    }
}

void call_client_ready(struct call *c)
{
    if (c->paused && c->transfer != NULL) {
        c->paused = false;
        c->byte_tick_ms = worker_tick_ms(c->worker);
        transfer_unpause(c->transfer);
        call_arm(c);
    }
}

void call_end_all(struct worker *w)
{
    for (struct call *c = w->calls; c != NULL; c = c->next) {
        if (c->transfer != NULL) {
            call_cut(c, END_drained);
        }
    }
}

void call_run(struct call *c)
{
    route_begin(&c->route, &c->plan, c->chat.n_models);
    c->out_tick_ms = worker_tick_ms(c->worker);
    act(c, route_first(&c->route), (struct span){"", 0});
}
