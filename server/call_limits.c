/* A call against its key's rate limits, and against an earlier one with the same
 * Idempotency-Key.  What is taken is taken after the plan and before the first hold, so that
 * nothing refused before that takes anything; call_done gives back what was not used. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>

#include "schema/money.h"
#include "server/call.h"

#define HEADER "idempotency-key"

enum { UPLOADS_WAIT_MS = 1000 };

/* ---- rate ---- */

/* Not the loop's cached time: a turn may be long. */
static int64_t now_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

static struct rate_numbers limits_of(const struct key_row *k)
{
    return (struct rate_numbers){{k->rpm, k->tpm, k->concurrency}};
}

static void explain(const struct key_row *k, const struct rate_refusal *why, struct fail *ret)
{
    static const char *const texts[RATE_LIMITS] = {"requests a minute", "tokens a minute",
                                                   "requests at a time"};
    const char *limit = rate_limit_name(why->limit), *what = texts[why->limit];
    if (why->wait_ms < 0) {
        fail_set(ret, ERR_rate_never_fits, NULL,
                 "key \"%s\": this request needs about %" PRId64 " tokens (prompt and expected "
                 "completion) and %s allows %" PRId64 " %s: it can never fit",
                 k->name, why->needs, limit, why->max, what);
    } else {
        fail_set(ret, ERR_rate_limited, NULL,
                 "key \"%s\": %s allows %" PRId64 " %s; %" PRId64
                 " are used and this request needs "
                 "%" PRId64,
                 k->name, limit, why->max, what, why->used, why->needs);
    }
}

static void refuse(struct request *r, const struct rate_refusal *why)
{
    struct fail f;
    struct buf members;
    explain(r->key, why, &f);
    buf_init(&members, FAIL_TEXT_MAX * 2);
    buf_adds(&members, "\"rate_limit\":{\"key\":");
    json_write_string(&members, span_of(r->key->name));
    buf_addf(&members,
             ",\"limit\":\"%s\",\"max\":%" PRId64 ",\"used\":%" PRId64 ",\"needs\":%" PRId64 "}",
             rate_limit_name(why->limit), why->max, why->used, why->needs);
    metrics_add(&r->worker->metrics,
                (enum metric)(METRIC_requests_over_rpm_total + (int)why->limit), 1);
    request_reply_fail_more(r, &f, why->wait_ms, buf_span(&members));
    buf_done(&members);
}

static void refuse_call(struct call *c, enum rate_verdict verdict, const struct rate_refusal *why)
{
    if (verdict == RATE_NO_MEMORY) {
        call_answer_fail(c, ERR_internal, -1);
    } else {
        refuse(c->req, why);
    }
}

bool call_limits_upload(struct request *r)
{
    struct rate_numbers used;
    struct rate_refusal why = {.limit = RATE_CONCURRENCY,
                               .max = r->key->concurrency,
                               .needs = 1,
                               .wait_ms = UPLOADS_WAIT_MS};
    if (why.max == 0 || !r->route->bills) {
        return true;
    }
    call_limits_used(r, &used);
    why.used = used.n[RATE_CONCURRENCY] + shed_uploading(r->worker->site->shed, r->key->id);
    if (why.used >= why.max) {
        r->drain_max = REQUEST_SHED_DRAIN_MAX;
        refuse(r, &why);
    }
    return why.used < why.max;
}

bool call_limits_allow(struct call *c)
{
    struct rate_numbers limits = limits_of(c->key);
    struct rate_refusal why;
    if (c->kind != CALL_MESSAGES || c->shadow) {
        return true;
    }
    enum rate_verdict v = rate_check(c->worker->site->rate, c->key->id, &limits, 1, now_ms(), &why);
    if (v != RATE_OK) {
        refuse_call(c, v, &why);
    }
    return v == RATE_OK;
}

bool call_limits_take(struct call *c)
{
    struct rate_numbers limits = limits_of(c->key);
    const struct estimate *e = &c->plan.candidates[0].estimate;
    struct rate_refusal why;
    if (c->kind != CALL_MESSAGES || c->shadow) {
        return true;
    }
    enum rate_verdict v = rate_take(c->worker->site->rate, c->key->id, &limits,
                                    e->prompt_tok + e->completion_tok, now_ms(), &c->ticket, &why);
    if (v != RATE_OK) {
        refuse_call(c, v, &why);
    }
    return v == RATE_OK;
}

void call_limits_end(struct call *c)
{
    struct rate *rate = c->worker->site->rate;
    if (c->tried) {
        rate_end(rate, &c->ticket, c->used_tok, now_ms());
    } else {
        rate_give_back(rate, &c->ticket, now_ms());
    }
}

void call_limits_used(const struct request *r, struct rate_numbers *ret)
{
    rate_look(r->worker->site->rate, r->key->id, now_ms(), ret);
}

/* ---- Idempotency-Key ---- */

int call_repeat_read(struct call *c, struct fail *f)
{
    if (c->kind != CALL_MESSAGES || !request_has_header(c->req, HEADER)) {
        return 0;
    }
    const char *door = c->req->door == DOOR_OPENAI ? "chat\n" : "messages\n";
    return idempotency_read(request_header(c->req, HEADER), door, buf_span(&c->body), &c->repeat,
                            f);
}

void call_repeat_refused(struct call *c, const struct ledger_answer *a, struct fail *ret,
                         struct buf *members)
{
    const struct idempotency_earlier *e = &a->earlier;
    char id[ID_TEXT_MAX], cost[MONEY_TEXT_MAX];
    id_print(&e->request_id, ID_PREFIX_GENERATION, id);
    money_print(e->cost_nusd, MONEY_SCALE_NUSD, cost);
    metrics_add(&c->worker->metrics, METRIC_requests_repeated_total, 1);
    request_add_header(c->req, "x-wayfare-generation-id", span_of(id));
    const char *status = e->status[0] != '\0' ? e->status : "unknown";
    if (a->code == ERR_idempotency_mismatch) {
        fail_set(ret, a->code, "Idempotency-Key",
                 "Idempotency-Key was used for another request: %s had a different body", id);
    } else if (a->code == ERR_idempotency_running) {
        fail_set(ret, a->code, "Idempotency-Key",
                 "a request with this Idempotency-Key is running: %s", id);
    } else {
        fail_set(ret, a->code, "Idempotency-Key",
                 "a request with this Idempotency-Key was sent before and is not sent again: %s, "
                 "status %s, cost $%s; its record: GET /v1/generations/%s",
                 id, status, cost, id);
    }
    buf_addf(members,
             "\"idempotency\":{\"generation_id\":\"%s\",\"status\":\"%s\",\"cost_usd\":\"%s\"}", id,
             status, cost);
}
