/* How much a call holds: the first hold, the one lowered to what a cap has left (clamp), and
 * the one that grows while a stream runs.  Rules and figures: docs/money.md. */
#define _GNU_SOURCE
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "server/call.h"

enum {
    CLAMP_TRIES_MAX = 4, /* several caps refuse one after the other, and other requests move */
    CLAMP_MIN_TOK = 16,  /* a shorter answer is of no use */
    GROW_MIN_TOK = 1024,
    GROW_LAST_TOK = 128, /* a last piece smaller than this is not asked for */
    GROW_TRIES_MAX = 3
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What is held when the completion has at most tok tokens. */
static int64_t worst_with(const struct call *c, int64_t tok)
{
    const struct candidate *cand = route_current(&c->route);
    struct estimate est = cand->estimate;
    est.completion_bound_tok = tok;
    return estimate_worst_nusd(&c->chat, cand->endpoint, &est);
}

static int64_t fit_tok(const struct call *c, int64_t room_nusd)
{
    const struct candidate *cand = route_current(&c->route);
    return estimate_fit_tok(&c->chat, cand->endpoint, &cand->estimate, room_nusd);
}

void call_size_begin(struct call *c)
{
    c->clamp_tok = 0;
    c->clamp_tries = c->grow_tries = 0;
    c->grow_refused = false;
    c->cut_text[0] = '\0';
    c->hold_tok = route_current(&c->route)->estimate.completion_hold_tok;
    c->hold_nusd = route_current(&c->route)->hold_nusd;
}

/* ---- clamp ---- */

static int64_t room_of(const struct ledger_refusal *r)
{
    return r->cap_nusd - r->spent_nusd - r->held_nusd;
}

/* Anthropic refuses a max_tokens that is not above the thinking budget
 * (platform.claude.com/docs/en/build-with-claude/extended-thinking). */
static bool is_too_short(const struct chat *chat, int64_t tok)
{
    return tok < CLAMP_MIN_TOK || tok <= chat->thinking_budget_tok;
}

bool call_may_clamp(const struct call *c, const struct ledger_answer *a)
{
    bool wants_some = c->chat.max_tokens != 0; /* else a lower limit would be a higher one */
    return err_is_cap(a->code) && wants_some && c->key->on_limit == ON_LIMIT_CLAMP;
}

bool call_clamp(struct call *c, const struct ledger_answer *a)
{
    if (!call_may_clamp(c, a) || c->clamp_tries == CLAMP_TRIES_MAX)
        return false;
    int64_t bound = route_current(&c->route)->estimate.completion_bound_tok;
    int64_t tok = min64(fit_tok(c, room_of(&a->refusal)), bound);
    if (tok < bound && is_too_short(&c->chat, tok))
        return false;
    c->clamp_tries++;
    c->clamp_tok = tok < bound ? tok : 0; /* what was refused may have room by now */
    c->hold_tok = tok;
    c->hold_nusd = worst_with(c, tok);
    return true;
}

void call_add_clamp_headers(struct call *c)
{
    char text[192];
    if (c->clamp_tok == 0)
        return;
    snprintf(text, sizeof(text), "%" PRId64, c->clamp_tok);
    request_add_header(c->req, "x-wayfare-max-tokens", span_of(text));
    int n = c->chat.max_tokens >= 0
                ? snprintf(text, sizeof(text), "max_tokens was lowered from %" PRId64 " to",
                           c->chat.max_tokens)
                : snprintf(text, sizeof(text), "max_tokens was set to");
    snprintf(text + n, sizeof(text) - (size_t)n,
             " %" PRId64 ": no more fits under the spend cap of this key", c->clamp_tok);
    request_add_header(c->req, "x-wayfare-warning", span_of(text));
}

/* ---- growing ---- */

/* Tokens that the provider may have generated: by the text seen, and what the provider has
 * counted counts. */
static int64_t produced_tok(struct call *c)
{
    c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
    int64_t seen = estimate_text_tok(&route_current(&c->route)->estimate, c->content_bytes);
    return max64(seen, c->usage.total.n[USAGE_output_tok]);
}

static bool may_grow(const struct call *c)
{
    return c->clamp_tok == 0 && c->hold_open && !c->stopped && c->cut == END_none &&
           c->hold_tok < route_current(&c->route)->estimate.completion_bound_tok;
}

static void ask(struct call *c, int64_t amount_nusd)
{
    struct ledger_op *op = ledger_op_new(c->worker->site->ledger);
    if (op == NULL) {
        call_cut_at_cap(c, ERR_ledger_down, err_info(ERR_ledger_down)->text);
        return;
    }
    op->kind = LEDGER_EXTEND;
    op->request_id = c->request_id;
    op->attempt_id = c->attempt_id;
    op->port = c->worker->port;
    op->cookie = c;
    op->u.extend.now_ms = worker_now_ms();
    op->u.extend.amount_nusd = c->grow_nusd = amount_nusd;
    c->extend_waiting = true;
    c->held_up_tick_ms = c->held_up_s = 0;
    ledger_send(c->worker->site->ledger, op);
}

/* Half as much again each time: a long answer asks a few times, not once per piece. */
static void ask_for_next(struct call *c, int64_t produced)
{
    int64_t bound = route_current(&c->route)->estimate.completion_bound_tok;
    int64_t next = max64(c->hold_tok, produced) + max64(c->hold_tok / 2, GROW_MIN_TOK);
    int64_t worst = worst_with(c, min64(next, bound));
    if (worst > c->hold_nusd) {
        c->grow_tries = 0;
        ask(c, worst - c->hold_nusd);
    } else {
        c->hold_tok = min64(next, bound); /* the completion costs nothing here */
    }
}

bool call_grow(struct call *c)
{
    if (!may_grow(c))
        return true;
    int64_t produced = produced_tok(c);
    if (c->extend_waiting)
        return produced < c->hold_tok;
    if (produced >= (c->grow_refused ? c->hold_tok : c->hold_tok - c->hold_tok / 4))
        ask_for_next(c, produced);
    return true;
}

static void refused(struct call *c, const struct ledger_answer *a)
{
    struct fail f;
    struct buf members;
    int64_t room = a->code == ERR_ledger_down ? -1 : room_of(&a->refusal);
    bool worth = room > 0 && fit_tok(c, c->hold_nusd + room) >= c->hold_tok + GROW_LAST_TOK;
    if (worth && ++c->grow_tries < GROW_TRIES_MAX) {
        ask(c, min64(room, c->grow_nusd)); /* what is left, at least */
        return;
    }
    if (a->code != ERR_ledger_down && produced_tok(c) < c->hold_tok) {
        c->grow_refused = true; /* asked once more when all that is held is used */
        return;
    }
    buf_init(&members, CALL_REFUSAL_MAX);
    call_refused(c, a, c->hold_nusd, &f, &members);
    buf_done(&members);
    call_cut_at_cap(c, f.code == ERR_budget_busy ? ERR_over_budget : f.code, f.text);
}

void call_on_extend_late(struct call *c)
{
    call_cut_at_cap(c, ERR_ledger_down, err_info(ERR_ledger_down)->text);
    call_client_ready(c); /* what is left of the event */
}

void call_on_extend_answer(struct call *c, const struct ledger_answer *a)
{
    assert(c->extend_waiting);
    c->extend_waiting = false;
    if (c->transfer == NULL || !c->hold_open) {
        call_after_extend(c); /* it ended meanwhile; what was granted went back with the rest */
        return;
    }
    if (a->code == ERR_OK) {
        int64_t bound = route_current(&c->route)->estimate.completion_bound_tok;
        c->grow_refused = false;
        c->hold_nusd += c->grow_nusd;
        c->hold_tok = min64(fit_tok(c, c->hold_nusd), bound);
    } else if (c->cut == END_none && !c->stopped) {
        refused(c, a);
    }
    call_client_ready(c);
}
