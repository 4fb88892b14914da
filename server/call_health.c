/* What a call asks of the health table, and what it tells it.  Every attempt that begins there
 * ends there, or is given back: in call_health_begin before another begins, and in call_done. */
#define _GNU_SOURCE
#include "schema/when.h"
#include "server/call.h"
#include "server/log.h"

enum { PATIENCE_DIGITS = 6 }; /* of its whole seconds: eleven days and more say nothing */

/* The SDKs say how long they wait: seconds, as "600" or "0.5" (x-stainless-timeout). 0 = unknown.
 */
static int64_t patience_ms(const struct call *c)
{
    struct span v = c->req != NULL ? request_header(c->req, "x-stainless-timeout") : SPAN("");
    int64_t ms = 0, unit = 100;
    size_t i = 0;
    for (; i < v.len && v.ptr[i] >= '0' && v.ptr[i] <= '9'; i++) {
        ms = ms * 10 + (v.ptr[i] - '0') * 1000;
        if (i >= PATIENCE_DIGITS) {
            return 0;
        }
    }
    if (i < v.len && v.ptr[i] == '.') {
        for (i++; i < v.len && v.ptr[i] >= '0' && v.ptr[i] <= '9'; i++, unit /= 10) {
            ms += (v.ptr[i] - '0') * unit;
        }
    }
    return i == v.len ? ms : 0;
}

/* ---- the beginning ---- */

void call_health_give_back(struct call *c)
{
    if (c->turn.open) {
        state_attempt_give_back(c->worker->site->state, c->turn.endpoint_id, &c->turn.ticket);
        c->turn.open = false;
    }
}

static enum retry_verdict ask_for_turn(struct call *c)
{
    const struct candidate *candidate = route_current(&c->route);
    int64_t now_ms = worker_now_ms();
    const struct retry_ask ask = {
        .first = c->n_attempts == 0,
        .count = !c->turn.counted,
        .listed = candidate->listed,
        .last = candidate->out || candidate->put_last || !route_has_more(&c->route),
        .elapsed_ms = now_ms - c->begun_ms,
        .patience_ms = c->n_attempts > 0 ? patience_ms(c) : 0,
    };
    if (!c->turn.counted) {
        c->turn.model_id = candidate->endpoint->model->id;
    }
    c->turn.endpoint_id = candidate->endpoint->id;
    enum retry_verdict verdict =
        state_attempt_begin(c->worker->site->state, c->turn.endpoint_id, c->turn.model_id, now_ms,
                            &ask, &c->turn.ticket);
    c->turn.open = verdict == RETRY_GO;
    c->turn.counted |= c->turn.open;
    return verdict;
}

bool call_health_begin(struct call *c, struct route_action *ret)
{
    *ret = (struct route_action){ROUTE_TRY, ERR_OK, -1};
    call_health_give_back(c);
    if (c->kind != CALL_MESSAGES) {
        return true; /* counting tokens says little about generating them */
    }
    while (ret->step == ROUTE_TRY) {
        switch (ask_for_turn(c)) {
        case RETRY_GO:
            metrics_add(&c->worker->metrics, METRIC_probes_total, c->turn.ticket.probe != 0);
            metrics_add(&c->worker->metrics, METRIC_explorations_total,
                        c->n_attempts == 0 && route_current(&c->route)->explored);
            return true;
        case RETRY_PUT_OFF:
            *ret = route_put_off(&c->route);
            break;
        case RETRY_NO_BUDGET:
            *ret = route_pass_over(&c->route);
            metrics_add(&c->worker->metrics, METRIC_retries_refused_total, ret->step != ROUTE_TRY);
            break;
        case RETRY_NO_TIME:
            metrics_add(&c->worker->metrics, METRIC_retries_late_total, 1);
            *ret = route_give_up(&c->route);
            break;
        }
    }
    return false;
}

/* ---- the end ---- */

static void log_ejection(const struct call *c, enum route_end end, const struct state_change *s)
{
    char until[WHEN_TEXT_MAX];
    log_line(LOG_WARN,
             "msg=\"endpoint ejected: it is tried when nothing else is left\" endpoint=%s "
             "model=%s until=%s ejections_in_a_row=%d failures_30s=%u attempts_30s=%u last=\"%s\" "
             "status=%d",
             c->endpoint->slug, c->endpoint->model->slug, when_print(s->breaker.until_ms, until),
             s->breaker.ejections, s->failures_30s, s->attempts_30s, route_end_text(end),
             c->http_status);
}

static void tell_change(struct call *c, enum route_end end, const struct state_change *s)
{
    switch (s->change) {
    case BREAKER_SAME:
        return;
    case BREAKER_NOW_EJECTED:
        metrics_add(&c->worker->metrics, METRIC_ejections_total, 1);
        log_ejection(c, end, s);
        return;
    case BREAKER_NOW_CLOSED:
        metrics_add(&c->worker->metrics, METRIC_ejections_ended_total, 1);
        log_line(LOG_INFO, "msg=\"endpoint is back\" endpoint=%s model=%s out_s=%lld",
                 c->endpoint->slug, c->endpoint->model->slug,
                 (long long)(s->breaker.closed_ms - s->breaker.ejected_ms) / 1000);
        return;
    }
}

static enum health_outcome outcome_of(const struct call *c, enum route_end end)
{
    switch (end) {
    case END_complete:
        return HEALTH_OK;
    case END_status:
        break;
    case END_stale:
        return HEALTH_UNHEARD; /* an old connection says nothing of the endpoint */
    case END_connect_failed:
    case END_tls_failed:
        return c->starved ? HEALTH_UNHEARD : HEALTH_FAILED; /* the lack is ours */
    case END_client_gone:
    case END_drained:
    case END_over_cap:
    case END_late_hold:
        return c->http_status / 100 == 2 ? HEALTH_NEUTRAL : HEALTH_UNHEARD;
    default:
        return HEALTH_FAILED;
    }
    switch (provider_classify(c->http_status)) {
    case UP_RATE_LIMITED:
        return HEALTH_LIMITED;
    case UP_DOWN:
        return HEALTH_FAILED;
    default:
        return HEALTH_NEUTRAL;
    }
}

static void sample_speed(struct call *c, int64_t now_ms)
{
    int64_t first = c->content_tick_ms >= 0 ? c->content_tick_ms : c->head_tick_ms;
    int64_t span_ms = worker_tick_ms(c->worker) - c->sent_tick_ms;
    int64_t out = c->usage.total.n[USAGE_output_tok];
    int64_t milli_tps = span_ms > 0 && out < INT64_MAX / 1000000 ? out * 1000000 / span_ms : 0;
    state_health_sample(c->worker->site->state, c->endpoint->id, now_ms, first - c->sent_tick_ms,
                        milli_tps);
}

void call_health_answered(struct call *c)
{
    struct state_change s;
    if (!c->turn.open || !c->turn.ticket.half_open || c->own_terms) {
        return; /* its end is early enough */
    }
    state_attempt_answered(c->worker->site->state, c->turn.endpoint_id, worker_now_ms(),
                           &c->turn.ticket, &s);
    tell_change(c, END_none, &s);
}

void call_health_end(struct call *c, enum route_end end)
{
    struct state_change s;
    if (c->kind != CALL_MESSAGES || c->own_terms) {
        call_health_give_back(c); /* another's address or key says little about this endpoint */
        return;
    }
    int64_t now_ms = worker_now_ms();
    struct health_end e = {.outcome = outcome_of(c, end)};
    if (e.outcome == HEALTH_FAILED) {
        e.draw = worker_draw(c->worker);
        metrics_add(&c->worker->metrics, METRIC_attempts_failed_total, 1);
    }
    state_attempt_end(c->worker->site->state, c->endpoint->id, now_ms, &c->turn.ticket, &e, &s);
    c->turn.open = false;
    tell_change(c, end, &s);
    if (end == END_complete && c->head_tick_ms >= 0) {
        sample_speed(c, now_ms);
    }
}
