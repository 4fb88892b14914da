/* The pure state machine, alone: cases, and a naive model that must agree. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "router/ledger_core.h"
#include "tests/unit/ledger_world.h"

static struct ledger_state state;
static struct zone *utc;
static struct ledger_owner *key, *team;

static struct ledger_account *add_account(struct ledger_owner *o, enum window_kind kind, int64_t at,
                                          int64_t cap)
{
    struct ledger_account a = {
        .scope = o->scope, .kind = kind, .window = window_at(utc, kind, at), .cap_nusd = cap};
    o->cap_nusd[kind] = cap;
    struct ledger_account *added = ledger_core_add_account(&state, o, &a);
    ck_assert_ptr_nonnull(added);
    return added;
}

static void setup(void)
{
    ledger_core_init(&state);
    utc = zone_load("UTC", NULL);
    key = ledger_core_add_owner(&state, LEDGER_SCOPE_KEY, 1, utc);
    team = ledger_core_add_owner(&state, LEDGER_SCOPE_TEAM, 1, utc);
}

static void teardown(void)
{
    ledger_core_done(&state);
    zone_free(utc);
}

static struct ledger_outcome apply(enum ledger_event_kind kind, int n, int64_t amount, int64_t at)
{
    struct ledger_event e = {.kind = kind,
                             .attempt_id = world_attempt(n, 1),
                             .now_ms = at,
                             .owners = {key, team},
                             .amount_nusd = amount};
    return ledger_apply(&state, &e);
}

static enum ledger_verdict hold(int n, int64_t amount)
{
    return apply(LEDGER_EV_HOLD, n, amount, WORLD_NOW_MS).verdict;
}

static enum ledger_verdict settle(int n, int64_t charge)
{
    return apply(LEDGER_EV_SETTLE, n, charge, WORLD_NOW_MS).verdict;
}

static void totals(int64_t key_cap, int64_t team_cap, struct ledger_account *ret[2])
{
    ret[0] = add_account(key, WINDOW_TOTAL, WORLD_NOW_MS, key_cap);
    ret[1] = add_account(team, WINDOW_TOTAL, WORLD_NOW_MS, team_cap);
}

static void ck_sums(const struct ledger_account *a, int64_t pending, int64_t posted,
                    int64_t overrun)
{
    ck_assert_int_eq(a->pending_nusd, pending);
    ck_assert_int_eq(a->posted_nusd, posted);
    ck_assert_int_eq(a->overrun_nusd, overrun);
}

START_TEST(a_hold_and_its_settlement)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, USD(5), a);
    ck_assert_int_eq(hold(1, USD(2)), LEDGER_DONE);
    ck_sums(a[0], USD(2), 0, 0);
    ck_sums(a[1], USD(2), 0, 0);
    ck_assert_int_eq(state.held_nusd, USD(2));
    ck_assert_int_eq(settle(1, USD(1)), LEDGER_DONE);
    ck_sums(a[0], 0, USD(1), 0);
    ck_sums(a[1], 0, USD(1), 0);
    ck_assert_uint_eq(state.n_attempts, 0);
    ck_assert_int_eq(state.held_nusd, 0);
}
END_TEST

START_TEST(a_void_releases_all)
{
    struct ledger_account *a[2];
    totals(USD(1), USD(5), a);
    ck_assert_int_eq(hold(1, USD(1)), LEDGER_DONE);
    ck_assert_int_eq(apply(LEDGER_EV_VOID, 1, 0, WORLD_NOW_MS).verdict, LEDGER_DONE);
    ck_sums(a[0], 0, 0, 0);
    ck_sums(a[1], 0, 0, 0);
    ck_assert_int_eq(hold(2, USD(1)), LEDGER_DONE);
}
END_TEST

START_TEST(fifty_of_a_thousand)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, USD(5), a);
    int admitted = 0, busy = 0;
    for (int i = 0; i < 1000; i++) {
        enum ledger_verdict v = hold(i, CENTS(10));
        admitted += v == LEDGER_DONE;
        busy += v == LEDGER_BUSY;
    }
    ck_assert_int_eq(admitted, 50);
    ck_assert_int_eq(busy, 950);
    ck_sums(a[0], USD(5), 0, 0);
}
END_TEST

START_TEST(to_the_last_nano_dollar)
{
    struct ledger_account *a[2];
    totals(100, LEDGER_CAP_NONE, a);
    ck_assert_int_eq(hold(1, 100), LEDGER_DONE);
    ck_assert_int_eq(hold(2, 1), LEDGER_BUSY);
    ck_assert_int_eq(hold(3, 0), LEDGER_DONE); /* nothing always fits */
    ck_assert_int_eq(settle(1, 99), LEDGER_DONE);
    ck_assert_int_eq(hold(4, 2), LEDGER_OVER_BUDGET);
    ck_assert_int_eq(hold(5, 1), LEDGER_DONE);
    ck_sums(a[0], 1, 99, 0);
}
END_TEST

START_TEST(all_scopes_or_none)
{
    struct ledger_account *a[2];
    totals(USD(10), USD(1), a);
    ck_assert_int_eq(hold(1, USD(2)), LEDGER_OVER_BUDGET);
    ck_sums(a[0], 0, 0, 0);
    ck_sums(a[1], 0, 0, 0);
    ck_assert_uint_eq(state.n_attempts, 0);
}
END_TEST

/* A refusal that waiting does not mend outweighs one it does, wherever it stands. */
START_TEST(which_cap_refuses)
{
    struct ledger_account *a[2];
    totals(USD(2), USD(3), a);
    add_account(team, WINDOW_DAY, WORLD_NOW_MS, USD(4));
    ck_assert_int_eq(hold(1, USD(1)), LEDGER_DONE);
    struct ledger_outcome o = apply(LEDGER_EV_HOLD, 2, USD(2), WORLD_NOW_MS);
    ck_assert_int_eq(o.verdict, LEDGER_BUSY);
    ck_assert_ptr_eq(o.refused_by, a[0]);
    ck_assert_ptr_eq(o.refused_owner, key);
    ck_assert_int_ge(o.retry_after_ms, 1000);
    ck_assert_int_le(o.retry_after_ms, 30000);
    a[1]->posted_nusd = USD(2); /* the team has spent; the key is only busy */
    o = apply(LEDGER_EV_HOLD, 2, USD(2), WORLD_NOW_MS);
    ck_assert_int_eq(o.verdict, LEDGER_OVER_BUDGET);
    ck_assert_ptr_eq(o.refused_by, a[1]);
    ck_assert_ptr_eq(o.refused_owner, team);
}
END_TEST

START_TEST(truth_above_the_hold_is_recorded)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, 100, a);
    ck_assert_int_eq(hold(1, 60), LEDGER_DONE);
    ck_assert_int_eq(hold(2, 40), LEDGER_DONE);
    ck_assert_int_eq(settle(1, 90), LEDGER_DONE);
    ck_sums(a[1], 40, 90, 30);
    ck_sums(a[0], 40, 90, 0);
    ck_assert_int_eq(hold(3, 1), LEDGER_BUSY);
    ck_assert_int_eq(settle(2, 0), LEDGER_DONE);
    ck_sums(a[1], 0, 90, 30);                          /* what was over stays known */
    ck_assert_int_eq(hold(3, 11), LEDGER_OVER_BUDGET); /* and is no room */
    ck_assert_int_eq(hold(3, 10), LEDGER_DONE);
}
END_TEST

START_TEST(a_lowered_cap)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, 100, a);
    ck_assert_int_eq(hold(1, 80), LEDGER_DONE);
    ledger_core_written(&state);
    team->cap_nusd[WINDOW_TOTAL] = 50;
    ledger_core_recap(&state, team);
    ck_sums(a[1], 80, 0, 30);
    ck_assert_uint_eq(state.n_dirty, 1);
    ck_assert_int_eq(hold(2, 1), LEDGER_BUSY);
    ck_assert_int_eq(settle(1, 45), LEDGER_DONE);
    ck_assert_int_eq(hold(2, 5), LEDGER_DONE);
    team->cap_nusd[WINDOW_TOTAL] = LEDGER_CAP_NONE;
    ledger_core_recap(&state, team);
    ck_assert_int_eq(hold(3, USD(1000)), LEDGER_DONE);
}
END_TEST

START_TEST(a_hold_that_comes_twice)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, 100, a);
    ck_assert_int_eq(hold(1, 60), LEDGER_DONE);
    ck_assert_int_eq(hold(1, 60), LEDGER_SAME);
    ck_assert_int_eq(hold(1, 61), LEDGER_CONFLICT);
    ck_sums(a[1], 60, 0, 0);
    ck_assert_int_eq(settle(1, 10), LEDGER_DONE);
    ck_assert_int_eq(settle(1, 10), LEDGER_UNKNOWN);
    ck_assert_int_eq(apply(LEDGER_EV_VOID, 1, 0, WORLD_NOW_MS).verdict, LEDGER_UNKNOWN);
    ck_sums(a[1], 0, 10, 0);
}
END_TEST

START_TEST(a_hold_taken_back)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, 100, a);
    ck_assert_int_eq(hold(1, 60), LEDGER_DONE);
    struct id id = world_attempt(1, 1);
    ledger_core_unhold(&state, &id);
    ck_sums(a[1], 0, 0, 0);
    ck_assert_ptr_null(ledger_core_attempt(&state, &id));
    ck_assert_int_eq(hold(1, 61), LEDGER_DONE);
}
END_TEST

static enum ledger_verdict extend(int n, int64_t more)
{
    return apply(LEDGER_EV_EXTEND, n, more, WORLD_NOW_MS).verdict;
}

START_TEST(a_hold_that_grows)
{
    struct ledger_account *a[2];
    struct id one = world_attempt(1, 1);
    totals(USD(10), USD(5), a);
    ck_assert_int_eq(extend(1, 1), LEDGER_UNKNOWN);
    ck_assert_int_eq(hold(1, USD(1)), LEDGER_DONE);
    ck_assert_int_eq(hold(2, USD(2)), LEDGER_DONE);
    ck_assert_int_eq(extend(1, USD(2)), LEDGER_DONE); /* to the team's last dollar */
    ck_sums(a[0], USD(5), 0, 0);
    ck_sums(a[1], USD(5), 0, 0);
    struct ledger_outcome out = apply(LEDGER_EV_EXTEND, 1, 1, WORLD_NOW_MS);
    ck_assert_int_eq(out.verdict, LEDGER_BUSY); /* the other one may settle for less */
    ck_assert_ptr_eq(out.refused_by, a[1]);
    ck_assert_int_ge(out.retry_after_ms, 1000);
    ck_assert_int_eq(extend(1, USD(2) + 1), LEDGER_OVER_BUDGET); /* with its own 3: above 5 */
    ck_sums(a[1], USD(5), 0, 0);
    ck_assert_int_eq(settle(2, USD(1)), LEDGER_DONE);
    ck_assert_int_eq(extend(1, USD(1)), LEDGER_DONE);
    ck_assert_int_eq(extend(1, 1), LEDGER_OVER_BUDGET);
    ledger_core_unextend(&state, &one, USD(1));
    ck_sums(a[1], USD(3), USD(1), 0);
    ck_assert_int_eq(settle(1, USD(3)), LEDGER_DONE);
    ck_sums(a[0], 0, USD(4), 0);
    ck_sums(a[1], 0, USD(4), 0);
    ck_assert_int_eq(state.held_nusd, 0);
    ck_assert_int_eq(extend(1, 1), LEDGER_UNKNOWN);
}
END_TEST

START_TEST(a_hold_grows_in_the_window_it_was_admitted_in)
{
    struct ledger_account *today = add_account(team, WINDOW_DAY, WORLD_NOW_MS, 100);
    struct ledger_account *tomorrow = add_account(team, WINDOW_DAY, today->window.end_ms, 1000);
    ck_assert_int_eq(hold(1, 60), LEDGER_DONE);
    int64_t late = today->window.end_ms + 1;
    ck_assert_int_eq(apply(LEDGER_EV_EXTEND, 1, 41, late).verdict, LEDGER_OVER_BUDGET);
    ck_assert_int_eq(apply(LEDGER_EV_EXTEND, 1, 40, late).verdict, LEDGER_DONE);
    ck_sums(today, 100, 0, 0);
    ck_sums(tomorrow, 0, 0, 0);
}
END_TEST

START_TEST(absurd_amounts)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, LEDGER_CAP_NONE, a);
    ck_assert_int_eq(hold(1, INT64_MAX), LEDGER_OVER_BUDGET);
    ck_assert_int_eq(hold(1, LEDGER_AMOUNT_MAX_NUSD + 1), LEDGER_OVER_BUDGET);
    ck_assert_int_eq(hold(1, -1), LEDGER_OVER_BUDGET);
    int admitted = 0; /* the sum of all holds does not overflow either */
    for (int i = 0; i < 1100; i++)
        admitted += hold(i, LEDGER_AMOUNT_MAX_NUSD) == LEDGER_DONE;
    ck_assert_int_eq(admitted, 250);
    ck_assert_int_gt(a[0]->pending_nusd, 0);
}
END_TEST

/* A provider that makes its counts up: the sums stop growing, nothing wraps. */
START_TEST(absurd_charges)
{
    struct ledger_account *a[2];
    totals(USD(1), LEDGER_CAP_NONE, a);
    for (int i = 0; i < 1100; i++) {
        a[0]->cap_nusd = INT64_MAX;
        ck_assert_int_eq(hold(i, 1), LEDGER_DONE);
        a[0]->cap_nusd = USD(1);
        ck_assert_int_eq(settle(i, LEDGER_AMOUNT_MAX_NUSD), LEDGER_DONE);
    }
    ck_sums(a[0], 0, LEDGER_SUM_MAX_NUSD, LEDGER_SUM_MAX_NUSD - USD(1));
    ck_assert_int_eq(hold(2000, 1), LEDGER_OVER_BUDGET);
}
END_TEST

/* The window is that of the admission, whenever the attempt ends. */
START_TEST(windows_are_chosen_once)
{
    struct ledger_account *a[2];
    int64_t midnight = window_at(utc, WINDOW_DAY, WORLD_NOW_MS).end_ms;
    totals(LEDGER_CAP_NONE, LEDGER_CAP_NONE, a);
    struct ledger_account *today = add_account(key, WINDOW_DAY, WORLD_NOW_MS, 100), *tomorrow;
    struct window w;
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, 1, 100, midnight - 1).verdict, LEDGER_DONE);
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, 2, 1, midnight - 1).verdict, LEDGER_BUSY);
    ck_assert(!ledger_core_lacks(key, WINDOW_DAY, midnight - 1, &w));
    ck_assert(ledger_core_lacks(key, WINDOW_DAY, midnight, &w));
    ck_assert_int_eq(w.start_ms, midnight);
    ck_assert(!ledger_core_lacks(key, WINDOW_MONTH, midnight, &w)); /* no cap, no account */
    tomorrow = add_account(key, WINDOW_DAY, midnight, 100);
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, 2, 100, midnight).verdict, LEDGER_DONE);
    ledger_core_written(&state);
    ledger_core_prune(&state, key); /* the first day still has a running attempt */
    ck_assert_int_eq(apply(LEDGER_EV_SETTLE, 1, 70, midnight + 5000).verdict, LEDGER_DONE);
    ck_sums(today, 0, 70, 0);
    ck_sums(tomorrow, 100, 0, 0);
    ck_sums(a[0], 100, 70, 0);
    ledger_core_prune(&state, key); /* not yet written */
    ck_assert_int_eq(key->n_accounts, 3);
    ledger_core_written(&state);
    ledger_core_prune(&state, key);
    ck_assert_int_eq(key->n_accounts, 2);
}
END_TEST

START_TEST(a_free_attempt_keeps_its_window)
{
    struct ledger_account *a[2];
    int64_t midnight = window_at(utc, WINDOW_DAY, WORLD_NOW_MS).end_ms;
    totals(LEDGER_CAP_NONE, LEDGER_CAP_NONE, a);
    struct ledger_account *today = add_account(key, WINDOW_DAY, WORLD_NOW_MS, 100);
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, 1, 0, midnight - 1).verdict, LEDGER_DONE);
    ledger_core_written(&state);
    state.last_ms = midnight + 1;
    ledger_core_prune(&state, key);
    ck_assert_int_eq(key->n_accounts, 2);
    ck_assert_int_eq(apply(LEDGER_EV_SETTLE, 1, 7, midnight + 2).verdict, LEDGER_DONE);
    ck_sums(today, 0, 7, 0);
}
END_TEST

START_TEST(time_does_not_go_back)
{
    struct ledger_account *a[2];
    int64_t midnight = window_at(utc, WINDOW_DAY, WORLD_NOW_MS).end_ms;
    totals(LEDGER_CAP_NONE, LEDGER_CAP_NONE, a);
    add_account(key, WINDOW_DAY, midnight, 100);
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, 1, 100, midnight).verdict, LEDGER_DONE);
    struct ledger_outcome o = apply(LEDGER_EV_HOLD, 2, 1, WORLD_NOW_MS);
    ck_assert_int_eq(o.verdict, LEDGER_BUSY); /* not yesterday's room */
    ck_assert_int_eq(o.at_ms, midnight);
}
END_TEST

/* Retry-after follows what attempts take. */
START_TEST(how_long_to_wait)
{
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, USD(1), a);
    int64_t at = WORLD_NOW_MS;
    for (int i = 0; i < 400; i++) {
        ck_assert_int_eq(apply(LEDGER_EV_HOLD, i, 100, at).verdict, LEDGER_DONE);
        at += i % 2 == 0 ? 11000 : 13000;
        ck_assert_int_eq(apply(LEDGER_EV_SETTLE, i, 0, at).verdict, LEDGER_DONE);
    }
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, 900, USD(1), at).verdict, LEDGER_DONE);
    struct ledger_outcome o = apply(LEDGER_EV_HOLD, 901, 1, at);
    ck_assert_int_eq(o.verdict, LEDGER_BUSY);
    ck_assert_int_gt(o.retry_after_ms, 9000);
    ck_assert_int_lt(o.retry_after_ms, 15000);
}
END_TEST

/* ---- against a model made of arrays and loops ---- */

enum { MODEL_ATTEMPTS = 300, MODEL_KEYS = 3, MODEL_EVENTS = 20000, DAY_MS = 86400000 };

struct model {
    struct {
        bool held, ended;
        int key;
        int64_t admitted_ms, hold, charge;
    } attempts[MODEL_ATTEMPTS];
    int64_t cap_day[MODEL_KEYS], cap_total, now;
};

static uint64_t seed;
static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* What key's day of `at` (key < 0: the team's total) holds and has spent. */
static void model_sums(const struct model *m, int k, int64_t at, int64_t *held, int64_t *spent)
{
    *held = *spent = 0;
    for (int i = 0; i < MODEL_ATTEMPTS; i++) {
        bool counts = k < 0 || (m->attempts[i].key == k &&
                                m->attempts[i].admitted_ms / DAY_MS == at / DAY_MS);
        if (counts && m->attempts[i].held)
            *held += m->attempts[i].hold;
        if (counts && m->attempts[i].ended)
            *spent += m->attempts[i].charge;
    }
}

static enum ledger_verdict model_judge(const struct model *m, int k, int64_t amount)
{
    int64_t held, spent, team_held, team_spent;
    model_sums(m, k, m->now, &held, &spent);
    model_sums(m, -1, m->now, &team_held, &team_spent);
    if (spent + amount > m->cap_day[k] || team_spent + amount > m->cap_total)
        return LEDGER_OVER_BUDGET;
    if (spent + held + amount > m->cap_day[k] || team_spent + team_held + amount > m->cap_total)
        return LEDGER_BUSY;
    return LEDGER_DONE;
}

static void model_hold(struct model *m, struct ledger_owner *owners[MODEL_KEYS], int i)
{
    int k = (int)draw(MODEL_KEYS);
    int64_t amount = (int64_t)draw(30);
    enum ledger_verdict expected =
        m->attempts[i].held ? LEDGER_CONFLICT : model_judge(m, k, amount);
    struct window w;
    key = owners[k];
    if (ledger_core_lacks(key, WINDOW_DAY, m->now, &w))
        add_account(key, WINDOW_DAY, m->now, m->cap_day[k]);
    if (m->attempts[i].held) {
        if (m->attempts[i].key == k && m->attempts[i].hold == amount)
            expected = LEDGER_SAME;
    } else if (m->attempts[i].ended) {
        return; /* ids are not used twice */
    }
    ck_assert_int_eq(apply(LEDGER_EV_HOLD, i, amount, m->now).verdict, expected);
    if (expected != LEDGER_DONE)
        return;
    m->attempts[i].held = true;
    m->attempts[i].key = k;
    m->attempts[i].admitted_ms = m->now;
    m->attempts[i].hold = amount;
}

static void model_end(struct model *m, int i)
{
    bool is_void = draw(4) == 0;
    int64_t charge = is_void ? 0 : (int64_t)draw(35);
    enum ledger_verdict expected = m->attempts[i].held ? LEDGER_DONE : LEDGER_UNKNOWN;
    enum ledger_event_kind kind = is_void ? LEDGER_EV_VOID : LEDGER_EV_SETTLE;
    ck_assert_int_eq(apply(kind, i, charge, m->now).verdict, expected);
    if (!m->attempts[i].held)
        return;
    m->attempts[i].held = false;
    m->attempts[i].ended = true;
    m->attempts[i].charge = charge;
}

static void model_compare(const struct model *m, struct ledger_owner *owners[MODEL_KEYS])
{
    for (int k = -1; k < MODEL_KEYS; k++) {
        const struct ledger_owner *o = k < 0 ? team : owners[k];
        for (int i = 0; i < o->n_accounts; i++) {
            const struct ledger_account *a = o->accounts[i];
            int64_t held, spent;
            if ((k < 0) != (a->kind == WINDOW_TOTAL))
                continue;
            model_sums(m, k, a->window.start_ms, &held, &spent);
            ck_assert_int_eq(a->pending_nusd, held);
            ck_assert_int_eq(a->posted_nusd, spent);
            ck_assert_int_le(a->posted_nusd + a->pending_nusd, a->cap_nusd + a->overrun_nusd);
        }
    }
}

START_TEST(agrees_with_the_model)
{
    static struct model m;
    struct ledger_owner *owners[MODEL_KEYS] = {key};
    seed = 0x9e3779b97f4a7c15u + (uint64_t)_i;
    m = (struct model){.cap_day = {100, 200, 50}, .cap_total = 2000, .now = WORLD_NOW_MS};
    add_account(team, WINDOW_TOTAL, m.now, m.cap_total);
    for (int k = 1; k < MODEL_KEYS; k++)
        owners[k] = ledger_core_add_owner(&state, LEDGER_SCOPE_KEY, 1 + k, utc);
    for (int k = 0; k < MODEL_KEYS; k++) {
        add_account(owners[k], WINDOW_TOTAL, m.now, LEDGER_CAP_NONE);
        add_account(owners[k], WINDOW_DAY, m.now, m.cap_day[k]);
    }
    for (int n = 0; n < MODEL_EVENTS; n++) {
        int i = (int)draw(MODEL_ATTEMPTS);
        if (draw(200) == 0)
            m.now += (int64_t)draw(DAY_MS);
        if (draw(3) == 0)
            model_end(&m, i);
        else
            model_hold(&m, owners, i);
        if (draw(50) == 0)
            model_compare(&m, owners);
        if (draw(10) == 0) {
            ledger_core_written(&state);
            ledger_core_prune(&state, key);
        }
    }
    model_compare(&m, owners);
}
END_TEST

/* Many ids at once, ended in another order: the table finds each one and no other. */
START_TEST(the_table_of_attempts)
{
    enum { N = 20000 };
    struct ledger_account *a[2];
    totals(LEDGER_CAP_NONE, LEDGER_CAP_NONE, a);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(hold(i, i), LEDGER_DONE);
    for (int i = 0; i < N; i++) {
        int j = (int)(((int64_t)i * 7919) % N);
        ck_assert_int_eq(settle(j, j), LEDGER_DONE);
        ck_assert_int_eq(settle(j, j), LEDGER_UNKNOWN);
    }
    ck_sums(a[0], 0, (int64_t)N * (N - 1) / 2, 0);
    ck_assert_uint_eq(state.n_attempts, 0);
}
END_TEST

Suite *ledger_core_suite(void);
Suite *ledger_core_suite(void)
{
    Suite *s = suite_create("ledger_core");
    TCase *t = tcase_create("ledger_core");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_hold_and_its_settlement);
    tcase_add_test(t, a_void_releases_all);
    tcase_add_test(t, fifty_of_a_thousand);
    tcase_add_test(t, to_the_last_nano_dollar);
    tcase_add_test(t, all_scopes_or_none);
    tcase_add_test(t, which_cap_refuses);
    tcase_add_test(t, truth_above_the_hold_is_recorded);
    tcase_add_test(t, a_lowered_cap);
    tcase_add_test(t, a_hold_that_comes_twice);
    tcase_add_test(t, a_hold_taken_back);
    tcase_add_test(t, a_hold_that_grows);
    tcase_add_test(t, a_hold_grows_in_the_window_it_was_admitted_in);
    tcase_add_test(t, absurd_amounts);
    tcase_add_test(t, absurd_charges);
    tcase_add_test(t, windows_are_chosen_once);
    tcase_add_test(t, a_free_attempt_keeps_its_window);
    tcase_add_test(t, time_does_not_go_back);
    tcase_add_test(t, how_long_to_wait);
    tcase_add_loop_test(t, agrees_with_the_model, 0, 20);
    tcase_add_test(t, the_table_of_attempts);
    suite_add_tcase(s, t);
    return s;
}
