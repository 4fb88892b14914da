#define _GNU_SOURCE
/* Arrays and loops. */
#include "tests/ledger/model.h"

#include <assert.h>
#include <string.h>

#include "tests/ledger/calendar.h"

static bool counts(const struct model_account *a, int64_t at_ms)
{
    return a->now.exists && at_ms >= a->window.start_ms && at_ms < a->window.end_ms;
}

static int64_t at_most(int64_t n, int64_t max)
{
    return n < max ? n : max;
}

static int owner_of(const struct model_facts *f, enum ledger_scope scope)
{
    return scope == LEDGER_SCOPE_KEY ? f->key : f->team;
}

static bool running(const struct model_facts *f)
{
    return f->state == MODEL_SENT || f->state == MODEL_STREAMED;
}

bool model_runs(const struct model *m, int attempt)
{
    return running(&m->attempts[attempt].now);
}

void model_start(struct model *m, const struct script *s)
{
    m->script = s;
    m->last_ms = s->start_ms;
    m->typical_ms = 5000;
    m->held_nusd = m->kept_held_nusd = 0;
    m->n_running = m->kept_n_running = 0;
    m->n_touched_attempts = m->n_touched_accounts = 0;
    memset(m->attempts, 0, sizeof(m->attempts[0]) * (size_t)s->n_attempts);
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        for (int i = 0; i < SCRIPT_KEYS_MAX; i++) {
            struct model_owner *o = &m->owners[scope][i];
            o->zone = s->zone_of[scope == LEDGER_SCOPE_KEY ? s->team_of[i] : i % s->n_teams];
            o->loaded = false;
            o->n_accounts = 0;
            for (int k = 0; k < WINDOW_KINDS; k++)
                o->cap_nusd[k] = LEDGER_CAP_NONE;
        }
    }
}

static void touch_account(struct model *m, struct model_account *a)
{
    if (a->touched)
        return;
    a->touched = true;
    assert(m->n_touched_accounts < MODEL_TOUCHED_MAX);
    m->touched_accounts[m->n_touched_accounts++] = a;
}

static struct model_facts *touch_attempt(struct model *m, int attempt)
{
    struct model_attempt *t = &m->attempts[attempt];
    if (!t->touched) {
        t->touched = true;
        m->touched_attempts[m->n_touched_attempts++] = attempt;
    }
    return &t->now;
}

void model_commit(struct model *m)
{
    for (int i = 0; i < m->n_touched_attempts; i++) {
        struct model_attempt *t = &m->attempts[m->touched_attempts[i]];
        t->kept = t->now;
        t->touched = false;
    }
    for (int i = 0; i < m->n_touched_accounts; i++) {
        m->touched_accounts[i]->kept = m->touched_accounts[i]->now;
        m->touched_accounts[i]->touched = false;
    }
    m->n_touched_attempts = m->n_touched_accounts = 0;
    m->kept_held_nusd = m->held_nusd;
    m->kept_n_running = m->n_running;
}

void model_lose(struct model *m)
{
    for (int i = 0; i < m->n_touched_attempts; i++) {
        struct model_attempt *t = &m->attempts[m->touched_attempts[i]];
        t->now = t->kept;
        t->touched = false;
    }
    for (int i = 0; i < m->n_touched_accounts; i++) {
        m->touched_accounts[i]->now = m->touched_accounts[i]->kept;
        m->touched_accounts[i]->touched = false;
    }
    m->n_touched_attempts = m->n_touched_accounts = 0;
    m->held_nusd = m->kept_held_nusd;
    m->n_running = m->kept_n_running;
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        for (int i = 0; i < SCRIPT_KEYS_MAX; i++)
            m->owners[scope][i].loaded = false;
    }
}

/* ---- accounts ---- */

/* The youngest first: scripts mostly go forward. */
struct model_account *model_account(struct model *m, enum ledger_scope scope, int owner,
                                    enum window_kind kind, int64_t start_ms)
{
    struct model_owner *o = &m->owners[scope][owner];
    for (int i = o->n_accounts - 1; i >= 0; i--) {
        struct model_account *a = &o->accounts[i];
        if (a->now.exists && a->kind == kind && a->window.start_ms == start_ms)
            return a;
    }
    return NULL;
}

static void raise_overrun(struct model_sums *n)
{
    int64_t above = n->posted_nusd + n->pending_nusd - n->cap_nusd;
    if (n->cap_nusd != LEDGER_CAP_NONE && above > n->overrun_nusd)
        n->overrun_nusd = above;
}

static struct model_sums sum_up(const struct model *m, enum ledger_scope scope, int owner,
                                struct window w)
{
    struct model_sums n = {.exists = true, .cap_nusd = LEDGER_CAP_NONE};
    for (int i = 0; i < m->script->n_attempts; i++) {
        const struct model_facts *f = &m->attempts[i].now;
        if (f->state == MODEL_NONE || owner_of(f, (enum ledger_scope)scope) != owner ||
            f->admitted_ms < w.start_ms || f->admitted_ms >= w.end_ms)
            continue;
        n.n_running += running(f);
        n.pending_nusd += running(f) ? f->hold_nusd : 0;
        n.posted_nusd += at_most(f->charge_nusd, LEDGER_SUM_MAX_NUSD - n.posted_nusd);
    }
    return n;
}

void model_open(struct model *m, enum ledger_scope scope, int owner, int64_t at_ms, int64_t now_ms)
{
    struct model_owner *o = &m->owners[scope][owner];
    for (int k = 0; k < WINDOW_KINDS; k++) {
        if (k != WINDOW_TOTAL && o->cap_nusd[k] == LEDGER_CAP_NONE)
            continue;
        struct window w = calendar_window(o->zone, (enum window_kind)k, at_ms);
        if (w.end_ms <= now_ms ||
            model_account(m, scope, owner, (enum window_kind)k, w.start_ms) != NULL)
            continue;
        assert(o->n_accounts < MODEL_ACCOUNTS_MAX);
        struct model_account *a = &o->accounts[o->n_accounts++];
        *a = (struct model_account){.kind = (enum window_kind)k, .window = w};
        touch_account(m, a);
        a->now = sum_up(m, scope, owner, w);
        a->now.cap_nusd = o->cap_nusd[k];
        raise_overrun(&a->now);
    }
}

static void follow_caps(struct model *m, struct model_owner *o)
{
    for (int i = 0; i < o->n_accounts; i++) {
        struct model_account *a = &o->accounts[i];
        if (!a->now.exists || a->window.end_ms <= m->last_ms ||
            a->now.cap_nusd == o->cap_nusd[a->kind])
            continue;
        touch_account(m, a);
        a->now.cap_nusd = o->cap_nusd[a->kind];
        raise_overrun(&a->now);
    }
}

void model_load(struct model *m, enum ledger_scope scope, int owner)
{
    struct model_owner *o = &m->owners[scope][owner];
    if (o->loaded)
        return;
    o->loaded = true;
    follow_caps(m, o);
}

void model_cap(struct model *m, const struct script_event *e)
{
    struct model_owner *o = &m->owners[e->scope][e->owner];
    o->cap_nusd[e->window] = e->amount_nusd;
    if (o->loaded)
        follow_caps(m, o);
}

/* ---- events ---- */

int64_t model_time(const struct model *m, int64_t now_ms)
{
    return now_ms < m->last_ms ? m->last_ms : now_ms;
}

/* Adds to what is held and posted in each account of this attempt. */
static void add(struct model *m, const struct model_facts *f, int64_t held_nusd, int n_running,
                int64_t charge_nusd)
{
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        struct model_owner *o = &m->owners[scope][owner_of(f, (enum ledger_scope)scope)];
        for (int i = 0; i < o->n_accounts; i++) {
            struct model_account *a = &o->accounts[i];
            if (!counts(a, f->admitted_ms))
                continue;
            touch_account(m, a);
            a->now.pending_nusd += held_nusd;
            a->now.n_running += n_running;
            if (charge_nusd < 0)
                continue;
            a->now.posted_nusd += at_most(charge_nusd, LEDGER_SUM_MAX_NUSD - a->now.posted_nusd);
            raise_overrun(&a->now);
        }
    }
    m->held_nusd += held_nusd;
    m->n_running += n_running;
}

static struct model_answer judge(const struct model *m, const struct model_facts *f, int64_t own,
                                 int64_t more)
{
    struct model_answer answer = {.verdict = LEDGER_OVER_BUDGET};
    bool absurd = more < 0 || more > LEDGER_AMOUNT_MAX_NUSD - own ||
                  more > LEDGER_SUM_MAX_NUSD - m->held_nusd;
    if (absurd)
        more = LEDGER_AMOUNT_MAX_NUSD - own;
    answer.judged_nusd = more;
    bool over[LEDGER_SCOPES] = {false}, busy[LEDGER_SCOPES] = {false};
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        const struct model_owner *o = &m->owners[scope][owner_of(f, (enum ledger_scope)scope)];
        for (int i = 0; i < o->n_accounts; i++) {
            const struct model_sums *n = &o->accounts[i].now;
            if (!counts(&o->accounts[i], f->admitted_ms) || n->cap_nusd == LEDGER_CAP_NONE)
                continue;
            over[scope] |= n->posted_nusd + own + more > n->cap_nusd;
            busy[scope] |= n->posted_nusd + n->pending_nusd + more > n->cap_nusd;
        }
    }
    bool is_over = over[0] || over[1], is_busy = busy[0] || busy[1];
    answer.nobody_refuses = absurd && !is_over;
    if (absurd)
        is_over = true;
    answer.key_refuses = is_over ? over[LEDGER_SCOPE_KEY] : busy[LEDGER_SCOPE_KEY];
    answer.verdict = is_over ? LEDGER_OVER_BUDGET : is_busy ? LEDGER_BUSY : LEDGER_DONE;
    if (answer.verdict == LEDGER_BUSY)
        answer.retry_after_ms = m->typical_ms < 1000 ? 1000 : at_most(m->typical_ms, 30000);
    return answer;
}

struct model_answer model_hold(struct model *m, const struct script_event *e)
{
    const struct model_facts *was = &m->attempts[e->attempt].now;
    m->last_ms = model_time(m, e->now_ms);
    if (running(was)) {
        bool same = was->hold_nusd == e->amount_nusd && was->key == e->owner;
        return (struct model_answer){.verdict = same ? LEDGER_SAME : LEDGER_CONFLICT};
    }
    struct model_facts f = {.state = MODEL_SENT,
                            .key = e->owner,
                            .team = m->script->team_of[e->owner],
                            .admitted_ms = m->last_ms,
                            .hold_nusd = e->amount_nusd};
    struct model_answer answer = judge(m, &f, 0, e->amount_nusd);
    /* What has ended never runs again, and what is not written never ran. */
    if (answer.verdict != LEDGER_DONE || e->refused || was->state != MODEL_NONE)
        return answer;
    *touch_attempt(m, e->attempt) = f;
    add(m, &f, f.hold_nusd, 1, -1);
    return answer;
}

struct model_answer model_extend(struct model *m, const struct script_event *e)
{
    m->last_ms = model_time(m, e->now_ms);
    if (!model_runs(m, e->attempt))
        return (struct model_answer){.verdict = LEDGER_UNKNOWN};
    const struct model_facts *f = &m->attempts[e->attempt].now;
    struct model_answer answer = judge(m, f, f->hold_nusd, e->amount_nusd);
    if (answer.verdict != LEDGER_DONE || e->refused)
        return answer;
    touch_attempt(m, e->attempt)->hold_nusd += e->amount_nusd;
    add(m, f, e->amount_nusd, 0, -1);
    return answer;
}

enum ledger_verdict model_stream(struct model *m, const struct script_event *e)
{
    m->last_ms = model_time(m, e->now_ms);
    if (!model_runs(m, e->attempt))
        return LEDGER_UNKNOWN;
    touch_attempt(m, e->attempt)->state = MODEL_STREAMED;
    return LEDGER_DONE;
}

enum ledger_verdict model_end(struct model *m, const struct script_event *e)
{
    m->last_ms = model_time(m, e->now_ms);
    if (!model_runs(m, e->attempt))
        return LEDGER_UNKNOWN;
    struct model_facts *f = touch_attempt(m, e->attempt);
    bool settles = e->kind == SCRIPT_SETTLE;
    f->charge_nusd = settles ? e->amount_nusd : 0;
    f->state = settles ? MODEL_SETTLED : MODEL_VOID;
    add(m, f, -f->hold_nusd, -1, settles ? f->charge_nusd : -1);
    if (!settles)
        return LEDGER_DONE;
    int64_t step = m->typical_ms / 16 + 1, took_ms = m->last_ms - f->admitted_ms;
    m->typical_ms = took_ms > m->typical_ms ? m->typical_ms + step : m->typical_ms - step;
    m->typical_ms = m->typical_ms < 1 ? 1 : m->typical_ms;
    return LEDGER_DONE;
}

/* ---- the model's own books ---- */

bool model_is_sound(const struct model *m)
{
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        for (int i = 0; i < SCRIPT_KEYS_MAX; i++) {
            const struct model_owner *o = &m->owners[scope][i];
            for (int k = 0; k < o->n_accounts; k++) {
                const struct model_sums *n = &o->accounts[k].now;
                struct model_sums s = sum_up(m, (enum ledger_scope)scope, i, o->accounts[k].window);
                if (n->exists && (n->pending_nusd != s.pending_nusd ||
                                  n->posted_nusd != s.posted_nusd || n->n_running != s.n_running))
                    return false;
            }
        }
    }
    return true;
}
