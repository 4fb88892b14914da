/* Accounts and running attempts; see the header for the rules. */
#include "router/ledger_core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_CAP_MIN = 256, TYPICAL_START_MS = 5000, RETRY_MIN_MS = 1000, RETRY_MAX_MS = 30000 };

/* ---- owners ---- */

static size_t owner_chain(enum ledger_scope scope, int64_t id)
{
    return ((uint64_t)id * 2 + (uint64_t)scope) % LEDGER_OWNER_CHAINS;
}

struct ledger_owner *ledger_core_owner(const struct ledger_state *s, enum ledger_scope scope,
                                       int64_t id)
{
    struct ledger_owner *o = s->owners[owner_chain(scope, id)];
    while (o != NULL && (o->scope != scope || o->id != id))
        o = o->next;
    return o;
}

struct ledger_owner *ledger_core_add_owner(struct ledger_state *s, enum ledger_scope scope,
                                           int64_t id, const struct zone *zone)
{
    assert(ledger_core_owner(s, scope, id) == NULL);
    struct ledger_owner *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return NULL;
    o->scope = scope;
    o->id = id;
    o->zone = zone;
    for (int k = 0; k < WINDOW_KINDS; k++)
        o->cap_nusd[k] = LEDGER_CAP_NONE;
    struct ledger_owner **chain = &s->owners[owner_chain(scope, id)];
    o->next = *chain;
    *chain = o;
    return o;
}

static void owner_free(struct ledger_owner *o)
{
    for (int i = 0; i < o->n_accounts; i++)
        free(o->accounts[i]);
    free(o->accounts);
    free(o);
}

/* ---- accounts ---- */

static bool holds_instant(const struct ledger_account *a, int64_t at_ms)
{
    return a->window.start_ms <= at_ms && at_ms < a->window.end_ms;
}

/* Room for every account to be dirty at once: an event then needs no memory. */
static bool reserve_dirty(struct ledger_state *s)
{
    if (s->n_accounts < s->cap_dirty)
        return true;
    size_t cap = s->n_accounts * 2 + 64;
    struct ledger_account **p = realloc(s->dirty, cap * sizeof(struct ledger_account *));
    if (p == NULL)
        return false;
    s->dirty = p;
    s->cap_dirty = cap;
    return true;
}

static void mark_dirty(struct ledger_state *s, struct ledger_account *a)
{
    if (a->dirty)
        return;
    a->dirty = true;
    assert(s->n_dirty < s->cap_dirty); /* reserved when the account was added */
    s->dirty[s->n_dirty++] = a;
}

void ledger_core_written(struct ledger_state *s)
{
    for (size_t i = 0; i < s->n_dirty; i++)
        s->dirty[i]->dirty = false;
    s->n_dirty = 0;
}

/* No attempt will be admitted in it any more, and none that was still runs. */
static bool is_over(const struct ledger_state *s, const struct ledger_account *a)
{
    return a->window.end_ms <= s->last_ms && a->n_running == 0 && !a->dirty;
}

void ledger_core_prune(struct ledger_state *s, struct ledger_owner *o)
{
    int kept = 0;
    for (int i = 0; i < o->n_accounts; i++) {
        if (is_over(s, o->accounts[i]))
            free(o->accounts[i]);
        else
            o->accounts[kept++] = o->accounts[i];
    }
    s->n_accounts -= (size_t)(o->n_accounts - kept);
    o->n_accounts = kept;
}

static bool reserve_accounts(struct ledger_owner *o)
{
    if (o->n_accounts < o->cap_accounts)
        return true;
    int cap = o->cap_accounts * 2 + 4;
    struct ledger_account **p = realloc(o->accounts, (size_t)cap * sizeof(struct ledger_account *));
    if (p == NULL)
        return false;
    o->accounts = p;
    o->cap_accounts = cap;
    return true;
}

static void note_overrun(struct ledger_account *a)
{
    if (a->cap_nusd == LEDGER_CAP_NONE)
        return;
    int64_t above = a->posted_nusd - a->cap_nusd + a->pending_nusd;
    if (above > a->overrun_nusd)
        a->overrun_nusd = above;
}

/* An account can be younger than attempts that count in it (a cap that came later). An owner
 * without accounts has no attempts. */
static int64_t running_in(const struct ledger_state *s, const struct ledger_owner *o,
                          const struct ledger_account *a)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->cap_attempts && o->n_accounts > 0; i++) {
        const struct ledger_attempt *t = &s->attempts[i];
        if (t->used && t->owners[o->scope] == o && holds_instant(a, t->admitted_ms))
            n++;
    }
    return n;
}

struct ledger_account *ledger_core_add_account(struct ledger_state *s, struct ledger_owner *o,
                                               const struct ledger_account *a)
{
    if (!reserve_accounts(o) || !reserve_dirty(s))
        return NULL;
    struct ledger_account *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *a;
    copy->dirty = false;
    copy->n_running = running_in(s, o, a);
    o->accounts[o->n_accounts++] = copy;
    s->n_accounts++;
    return copy;
}

void ledger_core_touch(struct ledger_state *s, struct ledger_account *a)
{
    mark_dirty(s, a);
}

bool ledger_core_widen(struct ledger_state *s, struct ledger_owner *o,
                       const struct ledger_account *a)
{
    for (int i = 0; i < o->n_accounts; i++) {
        struct ledger_account *old = o->accounts[i];
        if (old->kind != a->kind || old->window.start_ms != a->window.start_ms)
            continue;
        old->window = a->window;
        old->cap_nusd = a->cap_nusd;
        old->pending_nusd = a->pending_nusd;
        old->posted_nusd = a->posted_nusd;
        old->n_running = running_in(s, o, old);
        note_overrun(old);
        mark_dirty(s, old);
        return true;
    }
    return false;
}

void ledger_core_recap(struct ledger_state *s, struct ledger_owner *o)
{
    for (int i = 0; i < o->n_accounts; i++) {
        struct ledger_account *a = o->accounts[i];
        if (a->window.end_ms <= s->last_ms || a->cap_nusd == o->cap_nusd[a->kind])
            continue;
        a->cap_nusd = o->cap_nusd[a->kind];
        note_overrun(a);
        mark_dirty(s, a);
    }
}

bool ledger_core_lacks(const struct ledger_owner *o, enum window_kind kind, int64_t at_ms,
                       struct window *ret_window)
{
    if (kind != WINDOW_TOTAL && o->cap_nusd[kind] == LEDGER_CAP_NONE)
        return false;
    struct window w = window_at(o->zone, kind, at_ms);
    for (int i = 0; i < o->n_accounts; i++) {
        const struct ledger_account *a = o->accounts[i];
        if (a->kind == kind && a->window.start_ms == w.start_ms && holds_instant(a, at_ms))
            return false;
    }
    *ret_window = w;
    return true;
}

/* ---- running attempts: a hash table that keeps no tombstones ---- */

static size_t attempt_slot(const struct ledger_state *s, const struct id *id)
{
    uint64_t a, b;
    memcpy(&a, id->b, 8);
    memcpy(&b, id->b + 8, 8);
    return (size_t)(((a ^ b) * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (s->cap_attempts - 1);
}

static struct ledger_attempt *find_attempt(const struct ledger_state *s, const struct id *id)
{
    if (s->cap_attempts == 0)
        return NULL;
    size_t i = attempt_slot(s, id);
    while (s->attempts[i].used) {
        if (id_eq(&s->attempts[i].id, id))
            return &s->attempts[i];
        i = (i + 1) & (s->cap_attempts - 1);
    }
    return NULL;
}

const struct ledger_attempt *ledger_core_attempt(const struct ledger_state *s,
                                                 const struct id *attempt_id)
{
    return find_attempt(s, attempt_id);
}

static void place_attempt(struct ledger_state *s, const struct ledger_attempt *a)
{
    size_t i = attempt_slot(s, &a->id);
    while (s->attempts[i].used)
        i = (i + 1) & (s->cap_attempts - 1);
    s->attempts[i] = *a;
    s->attempts[i].used = true;
}

static bool reserve_attempt(struct ledger_state *s)
{
    if ((s->n_attempts + 1) * 2 <= s->cap_attempts)
        return true;
    struct ledger_attempt *old = s->attempts;
    size_t old_cap = s->cap_attempts;
    size_t cap = old_cap == 0 ? ATTEMPTS_CAP_MIN : old_cap * 2;
    struct ledger_attempt *fresh = calloc(cap, sizeof(*fresh));
    if (fresh == NULL)
        return false;
    s->attempts = fresh;
    s->cap_attempts = cap;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].used)
            place_attempt(s, &old[i]);
    }
    free(old);
    return true;
}

static void count_running(const struct ledger_attempt *t, int64_t delta)
{
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        const struct ledger_owner *o = t->owners[scope];
        for (int i = 0; i < o->n_accounts; i++) {
            if (holds_instant(o->accounts[i], t->admitted_ms))
                o->accounts[i]->n_running += delta;
        }
    }
}

bool ledger_core_add_attempt(struct ledger_state *s, const struct ledger_attempt *a)
{
    assert(find_attempt(s, &a->id) == NULL);
    if (!reserve_attempt(s))
        return false;
    place_attempt(s, a);
    s->n_attempts++;
    s->held_nusd += a->hold_nusd;
    count_running(a, 1);
    return true;
}

/* Closes the gap, so that every other attempt is still found from its own slot. */
static void remove_attempt(struct ledger_state *s, struct ledger_attempt *a)
{
    s->n_attempts--;
    s->held_nusd -= a->hold_nusd;
    count_running(a, -1);
    size_t mask = s->cap_attempts - 1;
    size_t gap = (size_t)(a - s->attempts);
    s->attempts[gap].used = false;
    for (size_t i = (gap + 1) & mask; s->attempts[i].used; i = (i + 1) & mask) {
        size_t home = attempt_slot(s, &s->attempts[i].id);
        if (((i - home) & mask) < ((i - gap) & mask))
            continue;
        s->attempts[gap] = s->attempts[i];
        s->attempts[i].used = false;
        gap = i;
    }
}

/* ---- life ---- */

void ledger_core_init(struct ledger_state *s)
{
    memset(s, 0, sizeof(*s));
    s->typical_ms = TYPICAL_START_MS;
}

void ledger_core_done(struct ledger_state *s)
{
    for (size_t i = 0; i < LEDGER_OWNER_CHAINS; i++) {
        while (s->owners[i] != NULL) {
            struct ledger_owner *o = s->owners[i];
            s->owners[i] = o->next;
            owner_free(o);
        }
    }
    free(s->attempts);
    free(s->dirty);
    ledger_core_init(s);
}

int64_t ledger_core_time(const struct ledger_state *s, int64_t now_ms)
{
    return now_ms > s->last_ms ? now_ms : s->last_ms;
}

/* ---- hold ---- */

/* own_nusd: what the attempt holds already. */
static enum ledger_verdict judge_account(const struct ledger_account *a, int64_t own_nusd,
                                         int64_t more_nusd)
{
    if (a->cap_nusd == LEDGER_CAP_NONE)
        return LEDGER_DONE;
    int64_t room = a->cap_nusd - a->posted_nusd; /* negative after an overrun */
    if (own_nusd + more_nusd > room)
        return LEDGER_OVER_BUDGET;
    return a->pending_nusd + more_nusd <= room ? LEDGER_DONE : LEDGER_BUSY;
}

/* All scopes are looked at: a refusal that waiting does not mend outweighs one it does. */
static void judge(const struct ledger_state *s, const struct ledger_attempt *t, int64_t own_nusd,
                  int64_t more_nusd, struct ledger_outcome *out)
{
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        const struct ledger_owner *o = t->owners[scope];
        for (int i = 0; i < o->n_accounts; i++) {
            const struct ledger_account *a = o->accounts[i];
            if (!holds_instant(a, t->admitted_ms))
                continue;
            enum ledger_verdict v = judge_account(a, own_nusd, more_nusd);
            if (v == LEDGER_DONE || out->verdict == LEDGER_OVER_BUDGET || v == out->verdict)
                continue;
            out->verdict = v;
            out->refused_by = a;
            out->refused_owner = o;
        }
    }
    if (out->verdict == LEDGER_BUSY)
        out->retry_after_ms = s->typical_ms < RETRY_MIN_MS   ? RETRY_MIN_MS
                              : s->typical_ms > RETRY_MAX_MS ? RETRY_MAX_MS
                                                             : s->typical_ms;
}

/* The sum of all holds has a limit, so every account's has. */
static bool is_absurd(const struct ledger_state *s, int64_t own_nusd, int64_t more_nusd)
{
    return more_nusd < 0 || more_nusd > LEDGER_AMOUNT_MAX_NUSD - own_nusd ||
           s->held_nusd > LEDGER_SUM_MAX_NUSD - more_nusd;
}

/* A cap that is in the way of as much as can be held names itself; else the amount alone is. */
static void refuse_absurd(const struct ledger_state *s, const struct ledger_attempt *t,
                          int64_t own_nusd, struct ledger_outcome *out)
{
    judge(s, t, own_nusd, LEDGER_AMOUNT_MAX_NUSD - own_nusd, out);
    if (out->verdict != LEDGER_OVER_BUDGET) {
        out->verdict = LEDGER_OVER_BUDGET;
        out->refused_by = NULL;
        out->refused_owner = NULL;
        out->retry_after_ms = 0;
    }
}

/* What is held grows (or shrinks) by this in every account the attempt counts in. */
static void move_hold(struct ledger_state *s, const struct ledger_attempt *t, int64_t delta_nusd)
{
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        const struct ledger_owner *o = t->owners[scope];
        for (int i = 0; i < o->n_accounts; i++) {
            struct ledger_account *a = o->accounts[i];
            if (!holds_instant(a, t->admitted_ms))
                continue;
            a->pending_nusd += delta_nusd;
            assert(a->pending_nusd >= 0);
            mark_dirty(s, a);
        }
    }
}

static bool same_facts(const struct ledger_attempt *t, const struct ledger_event *e)
{
    return t->hold_nusd == e->amount_nusd &&
           t->owners[LEDGER_SCOPE_KEY] == e->owners[LEDGER_SCOPE_KEY] &&
           t->owners[LEDGER_SCOPE_TEAM] == e->owners[LEDGER_SCOPE_TEAM];
}

static void apply_hold(struct ledger_state *s, const struct ledger_event *e,
                       struct ledger_outcome *out)
{
    const struct ledger_attempt *running = find_attempt(s, &e->attempt_id);
    if (running != NULL) {
        out->verdict = same_facts(running, e) ? LEDGER_SAME : LEDGER_CONFLICT;
        return;
    }
    struct ledger_attempt t = {.id = e->attempt_id,
                               .state = LEDGER_SENT,
                               .owners = {e->owners[0], e->owners[1]},
                               .admitted_ms = out->at_ms,
                               .hold_nusd = e->amount_nusd};
    if (is_absurd(s, 0, t.hold_nusd)) {
        refuse_absurd(s, &t, 0, out);
        return;
    }
    judge(s, &t, 0, t.hold_nusd, out);
    if (out->verdict != LEDGER_DONE)
        return;
    if (!ledger_core_add_attempt(s, &t)) {
        out->verdict = LEDGER_NO_MEMORY;
        return;
    }
    move_hold(s, &t, t.hold_nusd);
}

void ledger_core_unhold(struct ledger_state *s, const struct id *attempt_id)
{
    struct ledger_attempt *t = find_attempt(s, attempt_id);
    assert(t != NULL);
    move_hold(s, t, -t->hold_nusd);
    remove_attempt(s, t);
}

/* ---- extend ---- */

static void grow(struct ledger_state *s, struct ledger_attempt *t, int64_t delta_nusd)
{
    t->hold_nusd += delta_nusd;
    s->held_nusd += delta_nusd;
    move_hold(s, t, delta_nusd);
}

static void apply_extend(struct ledger_state *s, const struct ledger_event *e,
                         struct ledger_outcome *out)
{
    struct ledger_attempt *t = find_attempt(s, &e->attempt_id);
    if (t == NULL) {
        out->verdict = LEDGER_UNKNOWN;
        return;
    }
    if (is_absurd(s, t->hold_nusd, e->amount_nusd)) {
        refuse_absurd(s, t, t->hold_nusd, out);
        return;
    }
    judge(s, t, t->hold_nusd, e->amount_nusd, out);
    if (out->verdict == LEDGER_DONE)
        grow(s, t, e->amount_nusd);
}

void ledger_core_unextend(struct ledger_state *s, const struct id *attempt_id, int64_t amount_nusd)
{
    struct ledger_attempt *t = find_attempt(s, attempt_id);
    assert(t != NULL && t->hold_nusd >= amount_nusd);
    grow(s, t, -amount_nusd);
}

/* ---- settle ---- */

static void post(struct ledger_state *s, const struct ledger_attempt *t, int64_t charge_nusd)
{
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        const struct ledger_owner *o = t->owners[scope];
        for (int i = 0; i < o->n_accounts; i++) {
            struct ledger_account *a = o->accounts[i];
            if (!holds_instant(a, t->admitted_ms))
                continue;
            a->posted_nusd += charge_nusd < LEDGER_SUM_MAX_NUSD - a->posted_nusd
                                  ? charge_nusd
                                  : LEDGER_SUM_MAX_NUSD - a->posted_nusd;
            note_overrun(a);
            mark_dirty(s, a);
        }
    }
}

/* A median that walks: up a sixteenth when the attempt took longer, down when it did not. */
static void note_duration(struct ledger_state *s, int64_t ms)
{
    int64_t step = s->typical_ms / 16 + 1;
    s->typical_ms += ms > s->typical_ms ? step : -step;
    if (s->typical_ms < 1)
        s->typical_ms = 1;
}

static void apply_end(struct ledger_state *s, const struct ledger_event *e,
                      struct ledger_outcome *out)
{
    struct ledger_attempt *t = find_attempt(s, &e->attempt_id);
    if (t == NULL) {
        out->verdict = LEDGER_UNKNOWN;
        return;
    }
    if (e->kind == LEDGER_EV_STREAM) {
        t->state = LEDGER_STREAMED;
        return;
    }
    move_hold(s, t, -t->hold_nusd);
    if (e->kind == LEDGER_EV_SETTLE) {
        assert(e->amount_nusd >= 0);
        post(s, t, e->amount_nusd);
        note_duration(s, out->at_ms - t->admitted_ms);
    }
    remove_attempt(s, t);
}

struct ledger_outcome ledger_apply(struct ledger_state *s, const struct ledger_event *e)
{
    struct ledger_outcome out = {.verdict = LEDGER_DONE, .at_ms = ledger_core_time(s, e->now_ms)};
    s->last_ms = out.at_ms;
    if (e->kind == LEDGER_EV_HOLD)
        apply_hold(s, e, &out);
    else if (e->kind == LEDGER_EV_EXTEND)
        apply_extend(s, e, &out);
    else
        apply_end(s, e, &out);
    return out;
}
