/* What a call tells the ledger: the hold before anything is sent, one settlement or void per
 * attempt, the end of the request.  The rules for unclear endings are contract section 7
 * ("Hard cases"): docs/architecture.md "Money". */
#define _GNU_SOURCE
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/calibrate_db.h"
#include "router/catalog.h"
#include "schema/money.h"
#include "schema/when.h"
#include "server/call.h"
#include "server/log.h"
#include "server/unserved.h"

enum { BYTES_PER_TOKEN = 4 }; /* of generated text, when the provider never counted it */

static void copy_text(char *out, size_t cap, const char *s)
{
    size_t n = s != NULL ? strnlen(s, cap - 1) : 0;
    memcpy(out, s != NULL ? s : "", n);
    out[n] = '\0';
}

/* ---- hold ---- */

static void fill_request(const struct call *c, struct ledger_request *r)
{
    char model[CHAT_MODEL_TEXT_MAX];
    r->created_ms = c->begun_ms;
    r->stream = c->chat.stream;
    copy_text(r->requested_model, sizeof r->requested_model,
              c->asked_model[0] != '\0' ? c->asked_model
                                        : chat_model_text(&c->chat.models[0], model));
    copy_text(r->door, sizeof r->door, c->chat.door == DOOR_OPENAI ? "chat" : "messages");
    r->idempotency = c->repeat;
    if (c->place.experiment != NULL) {
        copy_text(r->experiment, sizeof r->experiment, c->place.experiment->name);
        copy_text(r->arm, sizeof r->arm, c->place.arm->name);
        r->unit = c->place.hash;
    }
}

/* Tokens by our own guess; where there is sound, all of it may be. */
static void guess_prompt(const struct call *c, int64_t tok, struct usage *u)
{
    usage_set(u, USAGE_input_tok, tok);
    if (c->chat.sounds) {
        usage_set(u, USAGE_audio_input_tok, tok);
    }
}

static void guess_output(const struct call *c, int64_t tok, struct usage *u)
{
    usage_set(u, USAGE_output_tok, tok);
    if (estimate_speaks(&c->chat, c->endpoint)) {
        usage_set(u, USAGE_audio_output_tok, tok);
    }
}

static int64_t prompt_cost_nusd(const struct call *c, const struct candidate *cand)
{
    struct usage u = {0};
    int64_t pusd = 0;
    guess_prompt(c, cand->estimate.prompt_raw_tok, &u);
    if (!price_usage(&cand->endpoint->price, &u, c->chat.n_images, true, &pusd)) {
        return c->hold_nusd;
    }
    int64_t nusd = money_charge_nusd(pusd);
    return nusd < c->hold_nusd ? nusd : c->hold_nusd;
}

static void fill_hold(const struct call *c, const struct candidate *cand, struct ledger_hold *h)
{
    const struct endpoint *e = cand->endpoint;
    h->n = c->n_attempts + 1;
    h->team_id = c->key->team_id;
    h->key_id = c->key->id;
    h->now_ms = worker_now_ms();
    h->amount_nusd = c->hold_nusd;
    h->endpoint_id = e->id;
    h->price_version = e->price_version;
    h->cancel_stops_billing = e->provider->cancel_stops_billing;
    h->prompt_estimate_tok = cand->estimate.prompt_raw_tok; /* ratios are learned from it */
    h->prompt_estimate_nusd = prompt_cost_nusd(c, cand);
    /* What teaches nothing now (call_settle) is not read after a restart either. */
    h->prompt_class =
        c->own_terms
            ? 0
            : calibrate_db_class(estimate_class_at(&c->chat, e), forecast_shape(&c->chat)) + 1;
    h->n_images = c->chat.n_images;
    copy_text(h->model, sizeof h->model, e->model->slug);
    copy_text(h->provider, sizeof h->provider, e->slug);
    copy_text(h->upstream_model, sizeof h->upstream_model, e->upstream_model);
    fill_request(c, &h->request);
}

static struct ledger_op *new_op(struct call *c, enum ledger_op_kind kind)
{
    struct ledger_op *op = ledger_op_new(c->worker->site->ledger);
    if (op != NULL) {
        op->kind = kind;
        op->request_id = c->request_id;
        op->attempt_id = c->attempt_id;
    }
    return op;
}

int call_hold(struct call *c)
{
    struct ledger_op *op = new_op(c, LEDGER_HOLD);
    if (op == NULL) {
        return -1;
    }
    const struct candidate *cand = route_current(&c->route);
    op->port = c->worker->port;
    op->cookie = c;
    fill_hold(c, cand, &op->u.hold);
    c->hold_waiting = true;
    ledger_send(c->worker->site->ledger, op);
    call_await_hold(c);
    return 0;
}

/* ---- settle ---- */

static int64_t hold_pusd(const struct call *c)
{
    return c->hold_nusd < INT64_MAX / 1000 ? c->hold_nusd * 1000 : INT64_MAX;
}

static const struct price *inner_price(void *ctx, const char *upstream_model)
{
    const struct call *c = ctx;
    const struct endpoint *e =
        catalog_by_upstream(c->catalog, c->endpoint->provider, span_of(upstream_model));
    if (e == NULL) {
        const struct model *m = catalog_model(c->catalog, span_of(upstream_model));
        for (int i = 0; m != NULL && i < m->n_endpoints && e == NULL; i++) {
            e = m->endpoints[i]->provider == c->endpoint->provider ? m->endpoints[i] : NULL;
        }
    }
    return e != NULL ? &e->price : NULL;
}

static bool is_plain_tier(const char *word)
{
    return strcmp(word, "default") == 0 || strcmp(word, "standard") == 0;
}

/* Words that name prices of their own; others ("auto", "scale") name none. */
static bool is_priced_tier(const char *word)
{
    return strcmp(word, "flex") == 0 || strcmp(word, "priority") == 0;
}

/* The provider may have served on other terms than the endpoint's: slower than it was asked for, or
 * as the operator's account says.  NULL: the catalog has no price for that. */
static const struct endpoint *served_as(const struct call *c)
{
    const struct endpoint *e = c->endpoint;
    const struct usage_terms *t = &c->usage.terms;
    const char *speed = e->speed, *geo = e->geo, *tier = endpoint_tier(e);
    if (t->speed[0] != '\0') {
        speed = strcmp(t->speed, VOCAB_SPEED_USUAL) == 0 ? "" : t->speed;
    }
    if (t->geo[0] != '\0' && strcmp(t->geo, "not_available") != 0) {
        geo = strcmp(t->geo, VOCAB_GEO_USUAL) == 0 ? "" : t->geo;
    }
    if (is_plain_tier(t->tier) || is_priced_tier(t->tier)) {
        tier = is_plain_tier(t->tier) ? "" : t->tier;
    }
    bool as_asked = strcmp(speed, e->speed) == 0 && strcmp(geo, e->geo) == 0 &&
                    strcmp(tier, endpoint_tier(e)) == 0;
    const struct endpoint *other = as_asked ? e : endpoint_on_terms(e, speed, geo, tier);
    return other != NULL && price_is_routable(&other->price) ? other : NULL;
}

/* Where no price is stated for how it was served, the endpoint's own stands. */
static const struct endpoint *billed_endpoint(const struct call *c)
{
    const struct endpoint *e = served_as(c);
    return e != NULL ? e : c->endpoint;
}

/* Who searches for every answer and states no number has searched once: that is a fee as well. */
static void count_unstated_search(struct call *c)
{
    struct usage *u = &c->usage.total;
    bool searched = c->endpoint->search != SEARCH_ASKED || c->chat.web_plugin;
    if (searched && u->seen != 0 && !usage_has(u, USAGE_web_searches)) {
        usage_set(u, USAGE_web_searches, 1);
    }
}

/* false: more than can be counted; what was held stands for it. */
static bool cost_now(struct call *c, int64_t *ret_pusd)
{
    bool unknown = false;
    count_unstated_search(c);
    if (!price_report(&billed_endpoint(c)->price, &c->usage, c->chat.n_images, inner_price, c,
                      ret_pusd, &unknown)) {
        *ret_pusd = hold_pusd(c);
        return false;
    }
    if (unknown) {
        log_line(LOG_WARN,
                 "msg=\"usage names a model that is not in the catalog; billed at the "
                 "endpoint's price\" endpoint=%s",
                 c->endpoint->slug);
    }
    return true;
}

static int64_t usage_cost(struct call *c)
{
    int64_t pusd;
    cost_now(c, &pusd);
    return pusd;
}

const char *call_cost_text(const struct call *c, char out[MONEY_TEXT_MAX])
{
    return money_print(c->earlier_nusd + money_charge_nusd(c->cost_pusd), MONEY_SCALE_NUSD, out);
}

/* Nothing of the provider's own counting is known. */
static void estimate_unknown(struct call *c)
{
    const struct candidate *cand = route_current(&c->route);
    usage_report_clear(&c->usage);
    if (!c->endpoint->provider->cancel_stops_billing) {
        c->cost_pusd = hold_pusd(c);
        return;
    }
    guess_prompt(c, cand->estimate.prompt_tok, &c->usage.total);
    c->cost_pusd = usage_cost(c);
}

/* Tokens in this much generated text, by our own guess: never more than is held for. */
static int64_t guess_output_tok(const struct call *c, int64_t bytes)
{
    int64_t tok = bytes / BYTES_PER_TOKEN;
    return tok > c->hold_tok ? c->hold_tok : tok;
}

/* What the provider counted is billed whatever it is; what we add by guessing stays within the
 * hold, so that a guess cannot pass a cap.  false: the cost is not that of the tokens. */
static bool bill_guess(struct call *c, int64_t stated_pusd)
{
    int64_t guess_pusd;
    bool counted = cost_now(c, &guess_pusd);
    c->cost_pusd = guess_pusd;
    if (c->cost_pusd > hold_pusd(c)) {
        c->cost_pusd = stated_pusd > hold_pusd(c) ? stated_pusd : hold_pusd(c);
    }
    return counted && c->cost_pusd == guess_pusd;
}

static int64_t answer_bytes(const struct call *c)
{
    return c->stream != NULL ? c->content_bytes : (int64_t)c->answer.len;
}

/* Some of it is not stated, or not in full: then it is at least what we know by ourselves.  Of a
 * provider's inner calls the last is the answer's. */
static enum usage_source complete_partial(struct call *c, bool whole)
{
    struct usage_report *r = &c->usage;
    struct usage sum,
        *u = r->n_iterations > 0 ? &r->iterations[r->n_iterations - 1].usage : &r->total;
    int64_t stated_pusd = usage_cost(c), lacks;
    usage_report_sum(r, &sum);
    lacks = route_current(&c->route)->estimate.prompt_tok - usage_prompt_tok(&sum);
    if (!usage_report_states_prompt(r) && lacks > 0) {
        guess_prompt(c, u->n[USAGE_input_tok] + lacks, u);
    }
    bool counted = whole ? usage_report_states_output(r) : c->stream == NULL;
    lacks = guess_output_tok(c, answer_bytes(c)) - sum.n[USAGE_output_tok];
    if (!counted && lacks > 0) {
        guess_output(c, u->n[USAGE_output_tok] + lacks, u);
    }
    return bill_guess(c, stated_pusd) ? USAGE_PARTIAL : USAGE_ESTIMATED;
}

/* An answer, or what came of it, without figures: the prompt by our estimate, the rest by its size.
 */
static void estimate_whole(struct call *c)
{
    int64_t bytes = answer_bytes(c);
    usage_report_clear(&c->usage);
    guess_prompt(c, route_current(&c->route)->estimate.prompt_tok, &c->usage.total);
    guess_output(c, guess_output_tok(c, bytes), &c->usage.total);
    bill_guess(c, 0);
}

/* What is not stated, or not yet, is completed by what we know. */
static enum usage_source complete(struct call *c, bool whole)
{
    if (c->usage.total.seen != 0) {
        return complete_partial(c, whole);
    }
    estimate_whole(c);
    return USAGE_ESTIMATED;
}

/* The connection ended before the answer did, and the provider may generate and bill the rest. */
static bool bills_on(const struct call *c, enum route_end end)
{
    bool broken = end == END_timed_out || end == END_reset || end == END_truncated ||
                  end == END_client_gone || end == END_drained || end == END_over_cap ||
                  c->cut == END_foreign;
    return broken && !c->endpoint->provider->cancel_stops_billing;
}

/* All that a bill needs is stated by the provider. */
static bool is_stated(const struct usage_report *r)
{
    return usage_report_states_prompt(r) && usage_report_states_output(r) &&
           (r->total.unclear >> USAGE_web_searches & 1u) == 0;
}

void call_cost_so_far(struct call *c)
{
    if (is_stated(&c->usage)) {
        c->cost_pusd = usage_cost(c);
        return;
    }
    const struct usage_report stated = c->usage;
    complete(c, true);
    c->usage = stated;
}

enum { UNCLEAR_EVERY_MS = 60 * 1000 };

/* What says nothing of usage, or not yet, is no surprise: some servers never do.  Others always say
 * half of it. */
static void warn_unclear(const struct call *c)
{
    const struct usage *u = &c->usage.total;
    struct log_pace *pace = &c->worker->paces[WORKER_UNCLEAR_USAGE];
    int64_t n;
    bool unclear = u->unclear != 0 || (u->seen != 0 && !c->usage.unfinished);
    if (unclear && log_is_due(pace, worker_tick_ms(c->worker), UNCLEAR_EVERY_MS, &n)) {
        log_line(LOG_WARN,
                 "msg=\"usage is not stated in full; completed by an estimate\" endpoint=%s "
                 "n=%" PRId64,
                 c->endpoint->slug, n);
    }
}

/* Which evidence there is, by how the attempt ended. */
static enum usage_source judge(struct call *c, enum route_end end, enum verdict verdict)
{
    bool counted = c->usage.total.seen != 0;
    bool failed_at_once = end == END_stream_error && !counted && c->content_bytes == 0;
    if (end == END_status || failed_at_once) {
        usage_report_clear(&c->usage);
        c->cost_pusd = 0;
        return USAGE_NONE;
    }
    bool whole = end == END_complete && verdict == VERDICT_COMPLETE;
    if (whole && is_stated(&c->usage)) {
        return cost_now(c, &c->cost_pusd) ? USAGE_FINAL : USAGE_ESTIMATED;
    }
    if (whole) {
        warn_unclear(c);
    }
    if (counted) {
        enum usage_source source = complete_partial(c, whole);
        if (bills_on(c, end) && c->cost_pusd < hold_pusd(c)) {
            c->cost_pusd = hold_pusd(c);
            source = USAGE_ESTIMATED;
        }
        return source;
    }
    bool seen = c->content_bytes > 0 && !bills_on(c, end);
    if (end == END_complete || seen) {
        estimate_whole(c);
    } else {
        estimate_unknown(c);
    }
    return USAGE_ESTIMATED;
}

/* The inner calls, for the row: [{"model", "input_tokens", ...}]. */
static void write_iterations(const struct call *c, char *out, size_t cap)
{
    struct buf b;
    buf_init(&b, cap - 1);
    bool worth_keeping = c->usage.n_iterations > 1; /* each falls in a price tier of its own */
    for (int i = 0; i < c->usage.n_iterations; i++) {
        const struct usage_iteration *it = &c->usage.iterations[i];
        worth_keeping |= it->model[0] != '\0';
        buf_adds(&b, i == 0 ? "[{\"model\":" : ",{\"model\":");
        json_write_string(&b, span_of(it->model));
        for (int k = 0; k < USAGE_BUCKET_COUNT; k++) {
            buf_addf(&b, ",\"%s\":%" PRId64, usage_bucket_name((enum usage_bucket)k),
                     it->usage.n[k]);
        }
        buf_addc(&b, '}');
    }
    buf_addc(&b, ']');
    snprintf(out, cap, "%s", worth_keeping ? (b.failed ? "[]" : b.ptr) : "");
    buf_done(&b);
}

static void fill_settle(const struct call *c, enum route_end end, enum usage_source source,
                        struct ledger_settle *s)
{
    s->now_ms = worker_now_ms();
    s->source = source;
    usage_report_sum(&c->usage, &s->usage);
    s->cost_pusd = c->cost_pusd;
    const struct endpoint *billed = billed_endpoint(c);
    s->billed_price = billed != c->endpoint ? billed->price_version : 0;
    s->http_status = call_said_status(c);
    s->first_byte_ms = c->head_tick_ms >= 0 ? c->head_tick_ms - c->sent_tick_ms : -1;
    s->duration_ms = worker_tick_ms(c->worker) - c->sent_tick_ms;
    copy_text(s->end_reason, sizeof s->end_reason, route_end_name(end));
    copy_text(s->provider_request_id, sizeof s->provider_request_id, c->provider_request_id);
    write_iterations(c, s->iterations, sizeof s->iterations);
}

/* ledger_op_new may refuse holds when the queue is full, never what gives money back. */
static void send_closing(struct call *c, enum ledger_op_kind kind, enum route_end end,
                         enum usage_source source)
{
    struct ledger_op *op = new_op(c, kind);
    if (op == NULL) {
        log_line(LOG_ERROR, "msg=\"out of memory: an attempt stays open until the next start\"");
    } else {
        fill_settle(c, end, source, &op->u.settle);
        ledger_send(c->worker->site->ledger, op);
    }
    c->hold_open = false;
}

void call_checkpoint(struct call *c)
{
    bool first = c->checkpoint_tick_ms < 0;
    c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
    c->checkpoint_tick_ms = worker_tick_ms(c->worker);
    c->uncounted_bytes = 0;
    enum usage_source source = complete(c, false);
    struct ledger_op *op =
        first || c->cost_pusd > c->checkpoint_pusd ? new_op(c, LEDGER_STREAMING) : NULL;
    if (op != NULL) {
        c->checkpoint_pusd = c->cost_pusd;
        c->checkpoint_tok = c->usage.total.n[USAGE_output_tok];
        fill_settle(c, END_none, source, &op->u.settle);
        ledger_send(c->worker->site->ledger, op);
    }
}

/* The state of a stream costs a copy: it is asked for when its raw bytes may hold as many tokens.
 */
void call_checkpoint_bytes(struct call *c, size_t n)
{
    c->uncounted_bytes += (int64_t)n;
    if (!c->started || c->stopped) {
        return; /* the end is about to be settled */
    }
    if (c->checkpoint_tick_ms < 0) {
        call_checkpoint(c);
        return;
    }
    if (c->uncounted_bytes < (int64_t)CALL_CHECKPOINT_TOK * BYTES_PER_TOKEN) {
        return;
    }
    c->uncounted_bytes = 0;
    c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
    int64_t stated = c->usage.total.n[USAGE_output_tok];
    int64_t seen = c->content_bytes / BYTES_PER_TOKEN;
    if ((stated > seen ? stated : seen) >= c->checkpoint_tok + CALL_CHECKPOINT_TOK) {
        call_checkpoint(c);
    }
}

void call_void(struct call *c, enum route_end end)
{
    c->sent_tick_ms = c->sent_tick_ms != 0 ? c->sent_tick_ms : worker_tick_ms(c->worker);
    send_closing(c, LEDGER_VOID, end, USAGE_NONE);
}

static void count_billed(struct call *c)
{
    struct usage sum;
    usage_report_sum(&c->usage, &sum);
    c->used_tok += usage_prompt_tok(&sum) + sum.n[USAGE_output_tok];
    struct metrics *m = &c->worker->metrics;
    metrics_add(m, METRIC_input_tokens_total, usage_prompt_tok(&sum));
    metrics_add(m, METRIC_output_tokens_total, sum.n[USAGE_output_tok]);
    metrics_add(m, METRIC_cost_nusd_total, money_charge_nusd(c->cost_pusd));
    metrics_add(m, METRIC_cache_read_tokens_total, sum.n[USAGE_cache_read_tok]);
    metrics_add(m, METRIC_cache_write_tokens_total,
                sum.n[USAGE_cache_write_5m_tok] + sum.n[USAGE_cache_write_1h_tok]);
}

/* How good the plan's figures were. */
static void count_estimate(struct call *c)
{
    const struct candidate *cand = route_current(&c->route);
    struct metrics *m = &c->worker->metrics;
    int64_t off = llabs(cand->expected_pusd - c->cost_pusd);
    metrics_add(m, METRIC_estimates_total, 1);
    metrics_add(m, METRIC_estimates_close_total, off <= c->cost_pusd / 10);
    metrics_add(m, METRIC_holds_exceeded_total, money_charge_nusd(c->cost_pusd) > c->hold_nusd);
    if (cand->estimate.cache.believed_tok > 0) {
        bool hit = c->usage.total.n[USAGE_cache_read_tok] > 0;
        metrics_add(m, hit ? METRIC_cache_hits_total : METRIC_cache_misses_total, 1);
    }
}

/* The provider's own figures of a whole answer say how good the estimate was.  Inner calls at
 * other models say nothing of this one's prompts. */
static void learn(struct call *c)
{
    struct usage sum;
    usage_report_sum(&c->usage, &sum);
    bool plain = c->usage.n_iterations <= 1;
    const struct forecast_ask ask = {c->endpoint->model->slug, c->key->id,
                                     forecast_shape(&c->chat)};
    enum estimate_class class = estimate_class_at(&c->chat, c->endpoint);
    bool teaches = plain && forecast_teaches_prompt(class, ask.shape);
    state_learn(c->worker->site->state, &ask, plain ? class : ESTIMATE_CLASS_NONE,
                teaches ? route_current(&c->route)->estimate.prompt_raw_tok : 0,
                usage_prompt_tok(&sum), sum.n[USAGE_output_tok]);
    bool all_seen = plain && c->stream != NULL && !(c->chat.needs & NEED_SERVER_TOOLS) &&
                    !c->chat.speaks && !(c->chat.params & PARAM_BIT(PARAM_reasoning));
    if (all_seen) {
        state_learn_text(c->worker->site->state, c->endpoint->model->slug, c->content_bytes,
                         sum.n[USAGE_output_tok]);
    }
}

void call_settle(struct call *c, enum route_end end, enum verdict verdict)
{
    assert(c->hold_open);
    if (!c->sent && end != END_status && end != END_complete) {
        call_void(c, end);
        return;
    }
    enum usage_source source = judge(c, end, verdict);
    if (served_as(c) == NULL) {
        log_line(LOG_WARN,
                 "msg=\"served on terms that the catalog has no price for; billed at the "
                 "endpoint's\" endpoint=%s",
                 c->endpoint->slug);
    }
    send_closing(c, LEDGER_SETTLE, end, source);
    count_billed(c);
    if (c->own_terms) {
        return; /* figures of an address or account that the request chose teach nothing to others
                 */
    }
    if (source == USAGE_FINAL) {
        count_estimate(c);
        learn(c);
    }
    const struct warm_ask ask = {&c->chat, c->key->id, forecast_shape(&c->chat), c->shadow};
    warm_learn(state_warm(c->worker->site->state), &ask, c->endpoint,
               &route_current(&c->route)->estimate.cache, &c->usage.total, worker_now_ms());
}

/* An arm that can serve nobody has an error rate (server/unserved.h). */
static void note_unserved(const struct call *c, int http_status)
{
    if (c->place.experiment == NULL || c->kind != CALL_MESSAGES) {
        return;
    }
    struct experiment_unserved u = {.request_id = c->request_id,
                                    .team_id = c->key->team_id,
                                    .key_id = c->key->id,
                                    .ended_ms = worker_now_ms(),
                                    .http_status = http_status};
    fill_request(c, &u.request);
    unserved_add(c->worker->site->unserved, &u);
}

void call_record_end(struct call *c, const char *status, int http_status)
{
    if (!c->recorded) {
        /* No hold was ever made: the ledger does not know the request. */
        if (strcmp(status, "error") == 0) {
            note_unserved(c, http_status);
        }
        return;
    }
    struct ledger_op *op = new_op(c, LEDGER_END);
    if (op != NULL) {
        op->u.end.now_ms = worker_now_ms();
        op->u.end.http_status = http_status;
        copy_text(op->u.end.status, sizeof op->u.end.status, status);
        ledger_send(c->worker->site->ledger, op);
    }
}

/* ---- refusals ---- */

/* An extension is refused for want of room beside what its own attempt holds. */
static void say_refused(const struct ledger_refusal *r, enum err code, int64_t own_nusd,
                        struct fail *ret)
{
    char needs[MONEY_TEXT_MAX], own[MONEY_TEXT_MAX + 32] = "", cap[MONEY_TEXT_MAX];
    char spent[MONEY_TEXT_MAX], held[MONEY_TEXT_MAX], has[MONEY_TEXT_MAX], amount[MONEY_TEXT_MAX];
    char resets[WHEN_TEXT_MAX] = "never";
    int64_t left = r->cap_nusd - r->spent_nusd - r->held_nusd;
    if (r->resets_ms > 0) {
        when_print(r->resets_ms, resets);
    }
    if (own_nusd > 0) {
        snprintf(own, sizeof own, " more than the $%s it holds",
                 money_print(own_nusd, MONEY_SCALE_NUSD, amount));
    }
    fail_set(ret, code, NULL,
             "%s \"%s\": this request needs up to $%s%s and the %s cap of $%s has $%s left ($%s "
             "spent, $%s held by %s requests); resets: %s",
             r->scope, r->name, money_print(r->needs_nusd, MONEY_SCALE_NUSD, needs), own, r->window,
             money_print(r->cap_nusd, MONEY_SCALE_NUSD, cap),
             money_print(left > 0 ? left : 0, MONEY_SCALE_NUSD, has),
             money_print(r->spent_nusd, MONEY_SCALE_NUSD, spent),
             money_print(r->held_nusd - own_nusd, MONEY_SCALE_NUSD, held),
             own_nusd > 0 ? "other" : "running", resets);
}

static void write_budget(const struct ledger_refusal *r, struct buf *members)
{
    const int64_t left = r->cap_nusd - r->spent_nusd - r->held_nusd;
    const struct {
        const char *name;
        int64_t nusd;
    } amounts[] = {{"needs", r->needs_nusd},
                   {"cap", r->cap_nusd},
                   {"spent", r->spent_nusd},
                   {"held", r->held_nusd},
                   {"remaining", left > 0 ? left : 0}};
    char text[MONEY_TEXT_MAX], resets[WHEN_TEXT_MAX];
    buf_addf(members, "\"budget\":{\"scope\":\"%s\",\"window\":\"%s\"", r->scope, r->window);
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
        buf_addf(members, ",\"%s_usd\":\"%s\"", amounts[i].name,
                 money_print(amounts[i].nusd, MONEY_SCALE_NUSD, text));
    }
    if (r->resets_ms > 0) {
        when_print(r->resets_ms, resets);
        buf_addf(members, ",\"resets_at\":\"%s\"}", resets);
    } else {
        buf_adds(members, ",\"resets_at\":null}");
    }
}

void call_refused(struct call *c, const struct ledger_answer *a, int64_t own_nusd, struct fail *ret,
                  struct buf *members)
{
    if (a->code == ERR_idempotency_mismatch || a->code == ERR_idempotency_running ||
        a->code == ERR_idempotency_done) {
        call_repeat_refused(c, a, ret, members);
    } else if (!err_is_cap(a->code)) {
        fail_set(ret, a->code, NULL, "%s", err_info(a->code)->text);
    } else if (a->refusal.scope[0] == '\0') {
        fail_set(
            ret, ERR_bad_request, "max_tokens", /* no cap is in the way */
            "max_tokens: this request could cost more than can be held for one: lower max_tokens");
    } else {
        say_refused(&a->refusal, a->code, own_nusd, ret);
        write_budget(&a->refusal, members);
    }
}
