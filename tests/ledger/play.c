#define _GNU_SOURCE
/* The caller of the core, and what is compared.  Of the invariants in the ledger's design:
 *
 *   one row, one end (I1, I5)     a repeated or late event is SAME, CONFLICT, UNKNOWN or refused
 *                                 by the table, and moves no sum
 *   conservation (I2, I19)        every account equals the model's, which equals what its
 *                                 attempts sum up to; a row that is not dirty equals the account
 *   the cap (I3)                  verdicts are the model's; after an admission no capped account
 *                                 is above its cap, overrun being no room
 *   all scopes or none (I4)       both owners' accounts are compared after every event
 *   posted never shrinks (I6), ended attempts stay (I7): the model's only grow and never reopen
 *   no orphans (I8)               after recovery nothing is held or running
 *   the window (I13)              the model chose it at admission, with a calendar of its own
 *   recovery twice (I18)          changes nothing */
#include "tests/ledger/play.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger/calendar.h"
#include "tests/ledger/model.h"
#include "tests/ledger/table.h"

enum { FULL_CHECK_EVERY = 1000 };

struct play {
    const struct script *script;
    struct ledger_state core;
    struct table table;
    struct model model;
    char *why;
};

static struct zone *zones[CALENDAR_ZONES];

bool play_init(void)
{
    for (int i = 0; i < CALENDAR_ZONES; i++) {
        struct fail why;
        zones[i] = zone_load(calendar_zone_names[i], &why);
        if (zones[i] == NULL)
            return false;
    }
    return calendar_init();
}

static bool differ(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool differ(struct play *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->why, PLAY_WHY_MAX, fmt, ap);
    va_end(ap);
    return false;
}

static bool same(struct play *p, const char *what, int64_t core, int64_t model)
{
    if (core == model)
        return true;
    return differ(p, "%s: the core says %lld, the model %lld", what, (long long)core,
                  (long long)model);
}

static const char *scope_name(enum ledger_scope scope)
{
    return scope == LEDGER_SCOPE_KEY ? "key" : "team";
}

/* All in one hash chain of the core's. */
static int64_t id_of(int owner)
{
    return 7 + (int64_t)owner * LEDGER_OWNER_CHAINS;
}

/* ---- comparison ---- */

static bool same_sums(const struct ledger_account *a, const struct model_sums *n)
{
    return a->cap_nusd == n->cap_nusd && a->pending_nusd == n->pending_nusd &&
           a->posted_nusd == n->posted_nusd && a->overrun_nusd == n->overrun_nusd &&
           a->n_running == n->n_running;
}

static bool differ_in_account(struct play *p, enum ledger_scope scope, int owner,
                              const struct ledger_account *a, const struct model_sums *n)
{
    return differ(p,
                  "%s %d, %s from %lld: cap, pending, posted, overrun, running are %lld %lld %lld"
                  " %lld %lld in the core, %lld %lld %lld %lld %d in the model",
                  scope_name(scope), owner, window_name(a->kind), (long long)a->window.start_ms,
                  (long long)a->cap_nusd, (long long)a->pending_nusd, (long long)a->posted_nusd,
                  (long long)a->overrun_nusd, (long long)a->n_running, (long long)n->cap_nusd,
                  (long long)n->pending_nusd, (long long)n->posted_nusd, (long long)n->overrun_nusd,
                  n->n_running);
}

static bool is_written(const struct play *p, enum ledger_scope scope, int owner,
                       const struct ledger_account *a)
{
    if (a->row < 0 || a->row >= p->table.n_accounts)
        return false;
    const struct table_account *row = &p->table.accounts[a->row];
    const struct ledger_account *w = &row->account;
    return row->exists && row->scope == scope && row->owner == owner && w->kind == a->kind &&
           w->window.start_ms == a->window.start_ms && w->cap_nusd == a->cap_nusd &&
           w->pending_nusd == a->pending_nusd && w->posted_nusd == a->posted_nusd &&
           w->overrun_nusd == a->overrun_nusd;
}

static bool check_account(struct play *p, enum ledger_scope scope, int owner,
                          const struct ledger_account *a, bool *ret_needed)
{
    if ((unsigned)a->kind >= WINDOW_KINDS)
        return differ(p, "%s %d has a broken account", scope_name(scope), owner);
    const struct model_account *m =
        model_account(&p->model, scope, owner, a->kind, a->window.start_ms);
    if (m == NULL || m->window.end_ms != a->window.end_ms)
        return differ(p, "%s %d: no %s begins at %lld and ends at %lld in the model",
                      scope_name(scope), owner, window_name(a->kind), (long long)a->window.start_ms,
                      (long long)a->window.end_ms);
    if (!same_sums(a, &m->now))
        return differ_in_account(p, scope, owner, a, &m->now);
    if (!a->dirty && !is_written(p, scope, owner, a))
        return differ(p, "%s %d, %s: its row is not what the account says, which is not dirty",
                      scope_name(scope), owner, window_name(a->kind));
    *ret_needed = m->window.end_ms > p->model.last_ms || m->now.n_running > 0;
    return true;
}

/* How many accounts the core must have in memory. */
static int count_needed(const struct model *m, const struct model_owner *o)
{
    int n = 0;
    for (int i = 0; i < o->n_accounts; i++) {
        const struct model_account *a = &o->accounts[i];
        n += a->now.exists && (a->window.end_ms > m->last_ms || a->now.n_running > 0);
    }
    return n;
}

static bool check_owner(struct play *p, enum ledger_scope scope, int owner)
{
    const struct model_owner *m = &p->model.owners[scope][owner];
    const struct ledger_owner *o = ledger_core_owner(&p->core, scope, id_of(owner));
    if ((o != NULL) != m->loaded)
        return differ(p, "%s %d is known to one of core and model", scope_name(scope), owner);
    if (o == NULL)
        return true;
    if (memcmp(o->cap_nusd, m->cap_nusd, sizeof(m->cap_nusd)) != 0)
        return differ(p, "%s %d has other caps", scope_name(scope), owner);
    int n_needed = 0;
    for (int i = 0; i < o->n_accounts; i++) {
        bool needed = false;
        if (!check_account(p, scope, owner, o->accounts[i], &needed))
            return false;
        n_needed += needed;
    }
    if (n_needed == count_needed(&p->model, m))
        return true;
    return differ(p, "%s %d: %d accounts of %d that still count are in the core", scope_name(scope),
                  owner, n_needed, count_needed(&p->model, m));
}

static bool check_attempt(struct play *p, int attempt)
{
    const struct ledger_attempt *t = ledger_core_attempt(&p->core, &p->script->ids[attempt]);
    const struct model_facts *f = &p->model.attempts[attempt].now;
    if ((t != NULL) != model_runs(&p->model, attempt))
        return differ(p, "attempt %d runs in one of core and model", attempt);
    if (t == NULL)
        return true;
    if (t->hold_nusd != f->hold_nusd || t->admitted_ms != f->admitted_ms ||
        (t->state == LEDGER_STREAMED) != (f->state == MODEL_STREAMED) ||
        t->owners[LEDGER_SCOPE_KEY]->id != id_of(f->key) ||
        t->owners[LEDGER_SCOPE_TEAM]->id != id_of(f->team))
        return differ(p, "attempt %d has other facts", attempt);
    return true;
}

static bool check_totals(struct play *p)
{
    return same(p, "all holds", p->core.held_nusd, p->model.held_nusd) &&
           same(p, "running attempts", (int64_t)p->core.n_attempts, p->model.n_running) &&
           same(p, "the time", p->core.last_ms, p->model.last_ms) &&
           same(p, "the usual duration", p->core.typical_ms, p->model.typical_ms);
}

/* All that an event of this attempt can have changed. */
static bool check_touched(struct play *p, int attempt, int key)
{
    return check_totals(p) && check_attempt(p, attempt) && check_owner(p, LEDGER_SCOPE_KEY, key) &&
           check_owner(p, LEDGER_SCOPE_TEAM, p->script->team_of[key]);
}

static bool check_owners(struct play *p)
{
    for (int i = 0; i < p->script->n_keys; i++) {
        if (!check_owner(p, LEDGER_SCOPE_KEY, i))
            return false;
    }
    for (int i = 0; i < p->script->n_teams; i++) {
        if (!check_owner(p, LEDGER_SCOPE_TEAM, i))
            return false;
    }
    return check_totals(p);
}

static bool check_all(struct play *p)
{
    for (int i = 0; i < p->script->n_attempts; i++) {
        if (!check_attempt(p, i))
            return false;
    }
    return check_owners(p) &&
           (model_is_sound(&p->model) || differ(p, "the model contradicts itself"));
}

/* ---- owners and accounts, as ledger_book brings them in ---- */

static struct ledger_owner *load_owner(struct play *p, enum ledger_scope scope, int owner,
                                       int64_t since_ms)
{
    struct ledger_owner *o = ledger_core_owner(&p->core, scope, id_of(owner));
    model_load(&p->model, scope, owner);
    if (o != NULL)
        return o;
    const struct script *s = p->script;
    int team = scope == LEDGER_SCOPE_KEY ? s->team_of[owner] : owner;
    o = ledger_core_add_owner(&p->core, scope, id_of(owner), zones[s->zone_of[team]]);
    memcpy(o->cap_nusd, p->table.cap_nusd[scope][owner], sizeof(o->cap_nusd));
    if (since_ms > p->core.last_ms)
        since_ms = p->core.last_ms;
    for (int i = 0; i < p->table.n_accounts; i++) {
        const struct table_account *row = &p->table.accounts[i];
        if (row->exists && row->scope == scope && row->owner == owner &&
            row->account.window.end_ms > since_ms)
            ledger_core_add_account(&p->core, o, &row->account);
    }
    ledger_core_recap(&p->core, o);
    return o;
}

static bool open_accounts(struct play *p, struct ledger_owner *o, int owner, int64_t at_ms,
                          int64_t now_ms)
{
    bool summed = o->n_accounts > 0;
    ledger_core_prune(&p->core, o);
    for (int k = 0; k < WINDOW_KINDS; k++) {
        struct ledger_account a = {
            .scope = o->scope, .kind = (enum window_kind)k, .cap_nusd = o->cap_nusd[k]};
        if (!ledger_core_lacks(o, a.kind, at_ms, &a.window) || a.window.end_ms <= now_ms)
            continue;
        if (!table_insert(&p->table, owner, summed, &a))
            return differ(p, "%s %d: the core lacks a %s that the table has", scope_name(o->scope),
                          owner, window_name(a.kind));
        ledger_core_add_account(&p->core, o, &a);
    }
    model_open(&p->model, o->scope, owner, at_ms, now_ms);
    return true;
}

/* ---- events ---- */

static struct ledger_outcome apply(struct play *p, enum ledger_event_kind kind,
                                   const struct script_event *e,
                                   struct ledger_owner *const owners[LEDGER_SCOPES])
{
    struct ledger_event event = {.kind = kind,
                                 .attempt_id = p->script->ids[e->attempt],
                                 .now_ms = e->now_ms,
                                 .amount_nusd = e->amount_nusd};
    if (owners != NULL)
        memcpy(event.owners, owners, sizeof(event.owners));
    return ledger_apply(&p->core, &event);
}

/* Whoever is said to refuse really does, for the reason given. */
static bool check_refusal(struct play *p, const struct ledger_outcome *out, int64_t own_nusd,
                          const struct model_answer *want)
{
    const struct ledger_account *a = out->refused_by;
    if (!same(p, "retry after", out->retry_after_ms, want->retry_after_ms))
        return false;
    if ((a == NULL) != want->nobody_refuses)
        return differ(p, "nobody refuses");
    if (a == NULL) /* an absurd amount under no cap */
        return true;
    int64_t used = a->posted_nusd + (out->verdict == LEDGER_BUSY ? a->pending_nusd : own_nusd) +
                   want->judged_nusd;
    if (a->cap_nusd == LEDGER_CAP_NONE || used <= a->cap_nusd ||
        (a->scope == LEDGER_SCOPE_KEY) != want->key_refuses || out->refused_owner == NULL ||
        out->refused_owner->scope != a->scope)
        return differ(p, "the wrong account refuses");
    return true;
}

static bool check_answer(struct play *p, const struct ledger_outcome *out, int64_t own_nusd,
                         const struct model_answer *want)
{
    if (!same(p, "verdict", (int64_t)out->verdict, (int64_t)want->verdict) ||
        !same(p, "instant", out->at_ms, p->model.last_ms))
        return false;
    if (out->verdict == LEDGER_OVER_BUDGET || out->verdict == LEDGER_BUSY)
        return check_refusal(p, out, own_nusd, want);
    return same(p, "refused by", out->refused_by != NULL, 0);
}

/* What was admitted is below every cap it counts under. */
static bool check_caps(struct play *p, int attempt)
{
    const struct ledger_attempt *t = ledger_core_attempt(&p->core, &p->script->ids[attempt]);
    for (int scope = 0; t != NULL && scope < LEDGER_SCOPES; scope++) {
        const struct ledger_owner *o = t->owners[scope];
        for (int i = 0; i < o->n_accounts; i++) {
            const struct ledger_account *a = o->accounts[i];
            if (a->cap_nusd != LEDGER_CAP_NONE && a->window.start_ms <= t->admitted_ms &&
                t->admitted_ms < a->window.end_ms && a->posted_nusd + a->pending_nusd > a->cap_nusd)
                return differ(p, "admitted above a cap");
        }
    }
    return true;
}

static bool play_hold(struct play *p, const struct script_event *e)
{
    const int ids[LEDGER_SCOPES] = {e->owner, p->script->team_of[e->owner]};
    struct ledger_owner *owners[LEDGER_SCOPES];
    int64_t at_ms = model_time(&p->model, e->now_ms);
    if (!same(p, "instant", ledger_core_time(&p->core, e->now_ms), at_ms))
        return false;
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        owners[scope] = load_owner(p, (enum ledger_scope)scope, ids[scope], at_ms);
        if (!open_accounts(p, owners[scope], ids[scope], at_ms, at_ms))
            return false;
    }
    struct ledger_outcome out = apply(p, LEDGER_EV_HOLD, e, owners);
    struct model_answer want = model_hold(&p->model, e);
    if (!check_answer(p, &out, 0, &want))
        return false;
    if (out.verdict != LEDGER_DONE)
        return check_touched(p, e->attempt, e->owner);
    if (!check_caps(p, e->attempt))
        return false;
    if (e->refused || p->table.attempts[e->attempt].state != TABLE_NONE)
        ledger_core_unhold(&p->core, &p->script->ids[e->attempt]);
    else
        *table_attempt(&p->table, e->attempt) =
            (struct table_attempt){.state = TABLE_RUNNING,
                                   .key = ids[LEDGER_SCOPE_KEY],
                                   .team = ids[LEDGER_SCOPE_TEAM],
                                   .admitted_ms = out.at_ms,
                                   .hold_nusd = e->amount_nusd};
    return check_touched(p, e->attempt, e->owner);
}

static bool play_extend(struct play *p, const struct script_event *e)
{
    const struct model_facts *f = &p->model.attempts[e->attempt].now;
    const struct ledger_attempt *t = ledger_core_attempt(&p->core, &p->script->ids[e->attempt]);
    int64_t own_nusd = f->hold_nusd, now_ms = model_time(&p->model, e->now_ms);
    if (t != NULL &&
        (!open_accounts(p, t->owners[LEDGER_SCOPE_KEY], f->key, t->admitted_ms, now_ms) ||
         !open_accounts(p, t->owners[LEDGER_SCOPE_TEAM], f->team, t->admitted_ms, now_ms)))
        return false;
    struct ledger_outcome out = apply(p, LEDGER_EV_EXTEND, e, NULL);
    struct model_answer want = model_extend(&p->model, e);
    if (!check_answer(p, &out, own_nusd, &want))
        return false;
    if (out.verdict == LEDGER_DONE) {
        if (!check_caps(p, e->attempt))
            return false;
        if (e->refused)
            ledger_core_unextend(&p->core, &p->script->ids[e->attempt], e->amount_nusd);
        else
            table_attempt(&p->table, e->attempt)->hold_nusd += e->amount_nusd;
    }
    return check_touched(p, e->attempt, p->model.attempts[e->attempt].now.key);
}

/* STREAM, SETTLE, VOID: written first, then told to the core. */
static bool play_progress(struct play *p, const struct script_event *e, enum ledger_event_kind kind)
{
    bool runs = p->table.attempts[e->attempt].state == TABLE_RUNNING ||
                p->table.attempts[e->attempt].state == TABLE_STREAMING;
    if (runs && e->refused)
        return check_attempt(p, e->attempt); /* held until a restart */
    if (runs) {
        struct table_attempt *row = table_attempt(&p->table, e->attempt);
        row->state = kind == LEDGER_EV_STREAM ? TABLE_STREAMING : TABLE_ENDED;
        row->charge_nusd = kind == LEDGER_EV_SETTLE ? e->amount_nusd : 0;
    }
    enum ledger_verdict got = apply(p, kind, e, NULL).verdict;
    enum ledger_verdict want =
        kind == LEDGER_EV_STREAM ? model_stream(&p->model, e) : model_end(&p->model, e);
    return same(p, "verdict", (int64_t)got, (int64_t)want) &&
           check_touched(p, e->attempt, p->model.attempts[e->attempt].now.key);
}

static bool play_cap(struct play *p, const struct script_event *e)
{
    p->table.cap_nusd[e->scope][e->owner][e->window] = e->amount_nusd;
    model_cap(&p->model, e);
    struct ledger_owner *o = ledger_core_owner(&p->core, e->scope, id_of(e->owner));
    if (o != NULL) {
        o->cap_nusd[e->window] = e->amount_nusd;
        ledger_core_recap(&p->core, o);
    }
    return check_owner(p, e->scope, e->owner);
}

/* ---- commit, rollback, restart ---- */

static bool commit(struct play *p)
{
    for (size_t i = 0; i < p->core.n_dirty; i++) {
        if (!table_put(&p->table, p->core.dirty[i]))
            return differ(p, "a dirty account has no row");
    }
    struct ledger_account *one = p->core.n_dirty > 0 ? p->core.dirty[0] : NULL;
    ledger_core_written(&p->core);
    table_commit(&p->table);
    model_commit(&p->model);
    return same(p, "dirty accounts after COMMIT", (int64_t)p->core.n_dirty, 0) &&
           same(p, "dirty after COMMIT", one != NULL && one->dirty, 0);
}

/* Running attempts of the table, admitted first first; their number. */
static int list_running(const struct play *p, int ret[SCRIPT_ATTEMPTS_MAX])
{
    int n = 0;
    for (int i = 0; i < p->script->n_attempts; i++) {
        const struct table_attempt *row = &p->table.attempts[i];
        if (row->state != TABLE_RUNNING && row->state != TABLE_STREAMING)
            continue;
        int k = n++;
        while (k > 0 && p->table.attempts[ret[k - 1]].admitted_ms > row->admitted_ms) {
            ret[k] = ret[k - 1];
            k--;
        }
        ret[k] = i;
    }
    return n;
}

static bool load_running(struct play *p)
{
    static int rows[SCRIPT_ATTEMPTS_MAX];
    int n = list_running(p, rows);
    for (int i = 0; i < n; i++) {
        const struct table_attempt *row = &p->table.attempts[rows[i]];
        struct ledger_attempt a = {.id = p->script->ids[rows[i]],
                                   .state = row->state == TABLE_STREAMING ? LEDGER_STREAMED
                                                                          : LEDGER_SENT,
                                   .admitted_ms = row->admitted_ms,
                                   .hold_nusd = row->hold_nusd};
        a.owners[LEDGER_SCOPE_KEY] = load_owner(p, LEDGER_SCOPE_KEY, row->key, row->admitted_ms);
        a.owners[LEDGER_SCOPE_TEAM] = load_owner(p, LEDGER_SCOPE_TEAM, row->team, row->admitted_ms);
        if (ledger_core_attempt(&p->core, &a.id) != NULL)
            return differ(p, "attempt %d runs before it was loaded", rows[i]);
        ledger_core_add_attempt(&p->core, &a);
    }
    return check_owners(p);
}

static bool play_lose(struct play *p)
{
    int64_t last_ms = p->core.last_ms, typical_ms = p->core.typical_ms;
    table_rollback(&p->table);
    model_lose(&p->model);
    ledger_core_done(&p->core);
    p->core.last_ms = last_ms;
    p->core.typical_ms = typical_ms;
    return load_running(p);
}

/* A process begins; what the last one left is settled whole, settled in part, or void. */
static bool open_book(struct play *p, int64_t now_ms)
{
    static int rows[SCRIPT_ATTEMPTS_MAX];
    table_rollback(&p->table);
    model_lose(&p->model);
    ledger_core_done(&p->core);
    p->core.last_ms = p->model.last_ms = now_ms;
    p->model.typical_ms = 5000;
    if (!load_running(p))
        return false;
    int n = list_running(p, rows);
    for (int i = 0; i < n; i++) {
        struct script_event e = {.kind = rows[i] % 3 == 0 ? SCRIPT_VOID : SCRIPT_SETTLE,
                                 .attempt = rows[i],
                                 .now_ms = now_ms,
                                 .amount_nusd = p->table.attempts[rows[i]].hold_nusd};
        e.amount_nusd /= rows[i] % 3 == 1 ? 2 : 1;
        if (!play_progress(p, &e, e.kind == SCRIPT_VOID ? LEDGER_EV_VOID : LEDGER_EV_SETTLE))
            return false;
    }
    return commit(p) && check_owners(p) && same(p, "held after recovery", p->core.held_nusd, 0) &&
           same(p, "running after recovery", (int64_t)p->core.n_attempts, 0);
}

static bool play_crash(struct play *p, int64_t now_ms)
{
    return open_book(p, now_ms) && open_book(p, now_ms);
}

static bool play_event(struct play *p, const struct script_event *e)
{
    switch (e->kind) {
    case SCRIPT_HOLD:
        return play_hold(p, e);
    case SCRIPT_EXTEND:
        return play_extend(p, e);
    case SCRIPT_STREAM:
        return play_progress(p, e, LEDGER_EV_STREAM);
    case SCRIPT_SETTLE:
        return play_progress(p, e, LEDGER_EV_SETTLE);
    case SCRIPT_VOID:
        return play_progress(p, e, LEDGER_EV_VOID);
    case SCRIPT_CAP:
        return play_cap(p, e);
    case SCRIPT_COMMIT:
        return commit(p);
    case SCRIPT_LOSE:
        return play_lose(p);
    case SCRIPT_CRASH:
        return play_crash(p, e->now_ms);
    case SCRIPT_KINDS:
        break;
    }
    return differ(p, "an event of no kind");
}

bool play(const struct script *s, volatile int *at, char ret_why[PLAY_WHY_MAX])
{
    static struct play whole; /* large */
    struct play *p = &whole;
    p->script = s;
    p->why = ret_why;
    ledger_core_init(&p->core);
    p->core.last_ms = s->start_ms;
    table_start(&p->table, s);
    model_start(&p->model, s);
    bool ok = true;
    for (int i = 0; i < s->n_events && ok; i++) {
        *at = i;
        ok = play_event(p, &s->events[i]) && ((i + 1) % FULL_CHECK_EVERY != 0 || check_all(p));
    }
    /* All goes home in the end: nothing stays held. */
    ok = ok && check_all(p) && commit(p) && play_crash(p, p->model.last_ms) && check_all(p);
    ledger_core_done(&p->core);
    return ok;
}
