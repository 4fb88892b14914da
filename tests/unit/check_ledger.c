#define _GNU_SOURCE
/* The ledger with its thread and its tables: requests, caps, rows that are refused. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "router/correction.h"
#include "router/window.h"
#include "tests/unit/ledger_live.h"

/* ---- one request ---- */

START_TEST(the_life_of_a_request)
{
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt WHERE state = 'SENT'"), 1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"),
                     USD(1));
    live_end(LEDGER_STREAMING, 1, 5000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt WHERE state = 'STREAMING'"
                                          " AND input_tok = 100 AND cache_read_tok IS NULL"
                                          " AND cost_pusd = 5000 AND charge_nusd IS NULL"),
                     1);
    live_end(LEDGER_SETTLE, 1, 123456789001);
    live_close(1, "ok");
    ledger_barrier(live.ledger);
    ck_assert_int_eq(world_int(live.eyes,
                               "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"
                               " AND usage_source = 'final' AND charge_nusd = 123456790"
                               " AND output_tok = 10 AND provider_request_id = 'req_1'"
                               " AND end_reason = 'end_turn' AND http_status = 200"
                               " AND first_byte_ms = 300 AND duration_ms = 1500"
                               " AND iterations IS NULL AND model = 'acme/large'"
                               " AND provider = 'acme' AND upstream_model = 'large-2026'"),
                     1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request WHERE status = 'ok'"
                                          " AND http_status = 200 AND door = 'messages'"
                                          " AND experiment IS NULL AND stream = 1"),
                     1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(posted_nusd) FROM account"), 2 * 123456790);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(pending_nusd) FROM account"), 0);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM account"), 2);
    ck_assert(world_is_sound(live.eyes));
    ck_assert_str_eq(live.log, "");
}
END_TEST

/* Nobody waits for an end: it is written a little later all the same. */
START_TEST(an_end_that_nobody_waits_for)
{
    const struct timespec moment = {0, 1000000};
    int ended = 0;
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_OK);
    live_end(LEDGER_SETTLE, 1, 5000);
    for (int i = 0; i < 30000 && ended == 0; i++) {
        nanosleep(&moment, NULL);
        ended = (int)world_int(live.eyes, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'");
    }
    ck_assert_int_eq(ended, 1);
}
END_TEST

/* And if it can, with the next hold.  A busy machine may be late for some of them. */
START_TEST(an_end_goes_with_the_next_hold)
{
    enum { N = 50 };
    const struct timespec moment = {0, 1000000};
    struct ledger_stats before, after;
    live_start();
    ledger_stats(live.ledger, &before);
    for (int n = 1; n <= N; n++) {
        ck_assert_int_eq(live_hold(n, 1, USD(1) / 100, NULL), ERR_OK);
        live_end(LEDGER_VOID, n, 0);
        nanosleep(&moment, NULL);
    }
    ledger_barrier(live.ledger);
    ledger_stats(live.ledger, &after);
    ck_assert_int_eq((int)after.running, 0);
    ck_assert_int_lt((int)(after.commits - before.commits), 2 * N - N / 10);
}
END_TEST

START_TEST(a_void_costs_nothing)
{
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_OK);
    live_end(LEDGER_VOID, 1, 999000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt WHERE state = 'VOID'"
                                          " AND charge_nusd = 0 AND usage_source = 'none'"
                                          " AND input_tok IS NULL"),
                     1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(pending_nusd + posted_nusd) FROM account"),
                     0);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

START_TEST(two_attempts_of_one_request)
{
    struct box b;
    live_start();
    box_open(&b);
    box_hold(&b, 1, 1, 1, 100);
    box_hold(&b, 1, 2, 1, 200);
    box_wait(&b, 2);
    ck_assert_int_eq(b.n_ok, 2);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request"), 1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(n) FROM attempt"), 3);
    box_close(&b);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* ---- caps ---- */

/* The ledger's time never goes back behind the clock's. */
static int64_t next_midnight_in_new_york(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct zone *z = zone_load("America/New_York", NULL);
    ck_assert_ptr_nonnull(z);
    int64_t end_ms = window_at(z, WINDOW_DAY, (int64_t)now.tv_sec * 1000).end_ms;
    zone_free(z);
    return end_ms;
}

START_TEST(a_refusal_says_why)
{
    struct ledger_answer a;
    world_cap(live.db, "team", 2, "day", USD(5));
    live_start();
    ck_assert_int_eq(live_hold(1, 3, USD(4), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(2, 3, USD(2), &a), ERR_budget_busy);
    ck_assert_str_eq(a.refusal.scope, "team");
    ck_assert_str_eq(a.refusal.name, "ads");
    ck_assert_str_eq(a.refusal.window, "day");
    ck_assert_int_eq(a.refusal.cap_nusd, USD(5));
    ck_assert_int_eq(a.refusal.spent_nusd, 0);
    ck_assert_int_eq(a.refusal.held_nusd, USD(4));
    ck_assert_int_eq(a.refusal.needs_nusd, USD(2));
    ck_assert_int_eq(a.refusal.resets_ms, next_midnight_in_new_york());
    ck_assert_int_ge(a.retry_after_ms, 1000);
    live_end(LEDGER_SETTLE, 1, USD(4) * 1000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(live_hold(3, 3, USD(2), &a), ERR_over_budget);
    ck_assert_int_eq(a.refusal.spent_nusd, USD(4));
    ck_assert_int_eq(a.refusal.held_nusd, 0);
    ck_assert_int_eq(live_hold(4, 3, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(5, 1, USD(100), NULL), ERR_OK); /* the other team has no cap */
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request"), 3);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

START_TEST(a_total_never_resets)
{
    struct ledger_answer a;
    world_cap(live.db, "key", 1, "total", USD(1));
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(2), &a), ERR_over_budget);
    ck_assert_str_eq(a.refusal.scope, "key");
    ck_assert_str_eq(a.refusal.name, "one");
    ck_assert_str_eq(a.refusal.window, "total");
    ck_assert_int_eq(a.refusal.resets_ms, 0);
}
END_TEST

static enum err extend(int request, int64_t amount, struct ledger_answer *ret)
{
    struct box b;
    struct ledger_op *op = ledger_op_new(live.ledger);
    box_open(&b);
    op->kind = LEDGER_EXTEND;
    op->attempt_id = world_attempt(request, 1);
    op->u.extend.now_ms = WORLD_NOW_MS;
    op->u.extend.amount_nusd = amount;
    op->port = b.port;
    op->cookie = &b;
    ledger_send(live.ledger, op);
    box_wait(&b, 1);
    ck_assert_int_eq(b.last.kind, LEDGER_EXTEND);
    *ret = b.last;
    box_close(&b);
    return ret->code;
}

START_TEST(a_hold_that_grows)
{
    struct ledger_answer a;
    world_cap(live.db, "key", 1, "day", 1000);
    live_start();
    ck_assert_int_eq(extend(1, 1, &a), ERR_ledger_down); /* nothing to extend */
    ck_assert_int_eq(live_hold(1, 1, 400, NULL), ERR_OK);
    ck_assert_int_eq(extend(1, 300, &a), ERR_OK);
    ck_assert_int_eq(extend(1, 300, &a), ERR_OK);
    ck_assert_int_eq(extend(1, 1, &a), ERR_over_budget);
    ck_assert_int_eq(a.refusal.needs_nusd, 1);
    ck_assert_int_eq(a.refusal.held_nusd, 1000);
    ck_assert_int_eq(world_int(live.eyes, "SELECT hold_nusd FROM attempt"), 1000);
    ck_assert_int_eq(
        world_int(live.eyes, "SELECT sum(amount_nusd) FROM entry WHERE kind = 'extend'"), 600);
    ck_assert(world_is_sound(live.eyes));
    live_restart();
    ck_assert_int_eq(world_int(live.eyes, "SELECT charge_nusd FROM attempt"), 40); /* the prompt */
    ck_assert_int_eq(extend(1, 1, &a), ERR_ledger_down); /* it has ended */
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

enum { THREADS = 4, PER_THREAD = 250 };

static void *storm(void *arg)
{
    int t = *(int *)arg;
    struct box *b = calloc(1, sizeof(*b));
    box_open(b);
    for (int i = 0; i < PER_THREAD; i++)
        box_hold(b, t * PER_THREAD + i, 1, t % 2 + 1, CENTS(10));
    box_wait(b, PER_THREAD);
    box_close(b);
    return b;
}

/* The promise: 1,000 at once of $0.10 against $5.00 are exactly 50. */
START_TEST(fifty_of_a_thousand_from_four_threads)
{
    pthread_t threads[THREADS];
    int numbers[THREADS], ok = 0, busy = 0;
    world_cap(live.db, "team", 1, "month", USD(5));
    live_start();
    for (int t = 0; t < THREADS; t++) {
        numbers[t] = t;
        pthread_create(&threads[t], NULL, storm, &numbers[t]);
    }
    for (int t = 0; t < THREADS; t++) {
        void *result;
        pthread_join(threads[t], &result);
        struct box *b = result;
        ok += b->n_ok;
        busy += b->n_busy;
        ck_assert_int_le(b->wakes, PER_THREAD);
        free(b);
    }
    ck_assert_int_eq(ok, 50);
    ck_assert_int_eq(busy, 950);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt"), 50);
    ck_assert_int_eq(world_int(live.eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"
                                          " AND window = 'month'"),
                     USD(5));
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

static int lower_cap(struct db *on, void *arg)
{
    world_cap(on, "team", 1, "total", *(int64_t *)arg);
    return 0;
}

START_TEST(a_job_changes_caps_at_once)
{
    int64_t cap = USD(1);
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(3), NULL), ERR_OK);
    ck_assert_int_eq(ledger_job(live.ledger, lower_cap, &cap), 0);
    ck_assert_int_eq(live_hold(2, 1, 1, NULL), ERR_budget_busy);
    ck_assert_int_eq(world_int(live.eyes, "SELECT overrun_nusd FROM account WHERE scope = 'team'"),
                     USD(2));
    ck_assert(world_is_sound(live.eyes));
    cap = USD(10);
    ck_assert_int_eq(ledger_job(live.ledger, lower_cap, &cap), 0);
    ck_assert_int_eq(live_hold(3, 1, USD(7), NULL), ERR_OK);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

static int give_three_back(struct db *on, void *arg)
{
    struct correction c = {.attempt_id = world_attempt(1, 1), .n = 1, .add_nusd = -USD(3)};
    return correction_db_write(on, &c, *(int64_t *)arg, NULL);
}

/* Balances that a job has changed are those that the next hold is judged by. */
START_TEST(a_job_corrects_what_was_spent)
{
    int64_t at_ms = WORLD_NOW_MS;
    world_cap(live.db, "key", 1, "total", USD(6));
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(4), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(2, 1, USD(1), NULL), ERR_OK); /* goes on running */
    live_end(LEDGER_SETTLE, 1, USD(4) * 1000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(live_hold(3, 1, USD(3), NULL), ERR_over_budget);
    ck_assert_int_eq(ledger_job_reload(live.ledger, give_three_back, &at_ms), 0);
    ck_assert_int_eq(ledger_job_reload(live.ledger, give_three_back, &at_ms), -1); /* not twice */
    ck_assert_int_eq(live_hold(4, 1, USD(5), NULL), ERR_budget_busy);
    ck_assert_int_eq(live_hold(5, 1, USD(4), NULL), ERR_OK);
    live_end(LEDGER_SETTLE, 2, 2000);
    live_end(LEDGER_SETTLE, 5, 3000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(world_int(live.eyes, "SELECT posted_nusd FROM account WHERE scope = 'team'"
                                          " AND pending_nusd = 0"),
                     USD(1) + 5);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

static int fail_after_writing(struct db *on, void *arg)
{
    (void)arg;
    world_cap(on, "team", 1, "total", 0);
    return -7;
}

START_TEST(a_failed_job_changes_nothing)
{
    live_start();
    ck_assert_int_eq(ledger_job(live.ledger, fail_after_writing, NULL), -7);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM budget"), 0);
    ck_assert_int_eq(live_hold(1, 1, USD(3), NULL), ERR_OK);
}
END_TEST

static int cap_the_day(struct db *on, void *arg)
{
    (void)arg;
    world_cap(on, "key", 1, "day", USD(5));
    return 0;
}

/* What was spent and held before there was a cap counts against it. */
START_TEST(a_cap_that_comes_later)
{
    struct ledger_answer a;
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(2), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(2, 1, USD(2), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(3, 2, USD(9), NULL), ERR_OK); /* another key */
    live_end(LEDGER_SETTLE, 1, USD(1) * 1000);
    ck_assert_int_eq(ledger_job(live.ledger, cap_the_day, NULL), 0);
    ck_assert_int_eq(live_hold(4, 1, USD(3), &a), ERR_budget_busy);
    ck_assert_int_eq(a.refusal.spent_nusd, USD(1));
    ck_assert_int_eq(a.refusal.held_nusd, USD(2));
    live_end(LEDGER_SETTLE, 2, USD(2) * 1000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(live_hold(5, 1, USD(3), &a), ERR_over_budget);
    ck_assert_int_eq(a.refusal.spent_nusd, USD(3));
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

static int move_to_tokyo(struct db *on, void *arg)
{
    (void)arg;
    world_sql(on, "UPDATE team SET timezone = 'Asia/Tokyo' WHERE id = 1");
    return 0;
}

/* Another zone begins other windows; what was spent in the hours they share stays spent. */
START_TEST(a_changed_zone_is_no_refill)
{
    world_cap(live.db, "team", 1, "day", USD(5));
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(4), NULL), ERR_OK);
    ck_assert_int_eq(ledger_job(live.ledger, move_to_tokyo, NULL), 0);
    ck_assert_int_eq(live_hold(2, 1, USD(2), NULL), ERR_budget_busy);
    live_end(LEDGER_SETTLE, 1, USD(4) * 1000);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(live_hold(3, 1, USD(2), NULL), ERR_over_budget);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM account WHERE window = 'day'"
                                          " AND posted_nusd = 4000000000"),
                     2);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* ---- the same again ---- */

START_TEST(every_operation_several_times)
{
    struct box b;
    live_start();
    box_open(&b);
    for (int again = 0; again < 3; again++)
        box_hold(&b, 1, 1, 1, USD(1));
    box_wait(&b, 3);
    ck_assert_int_eq(b.n_ok, 3);
    for (int again = 0; again < 5; again++) {
        live_end(LEDGER_SETTLE, 1, 5000000);
        live_end(LEDGER_STREAMING, 1, 1);
        live_end(LEDGER_VOID, 1, 0);
        live_close(1, again == 0 ? "ok" : "error");
    }
    ledger_barrier(live.ledger);
    box_close(&b);
    live_restart();
    live_end(LEDGER_SETTLE, 1, 7000000);
    live_close(1, "error");
    ledger_barrier(live.ledger);
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_ledger_down); /* its id has been used up */
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(posted_nusd) FROM account"), 2 * 5000);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(pending_nusd) FROM account"), 0);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request WHERE status = 'ok'"), 1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM entry"), 2);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

START_TEST(the_same_id_with_other_facts)
{
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(1, 1, USD(2), NULL), ERR_ledger_down);
    ck_assert_int_eq(live_hold(1, 2, USD(1), NULL), ERR_ledger_down);
    ck_assert_int_eq(
        world_int(live.eyes, "SELECT sum(pending_nusd) FROM account WHERE scope = 'team'"), USD(1));
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* ---- rows that cannot be written ---- */

/* In one batch with good ones: they are written, it is not, and says so. */
START_TEST(a_poison_row_spoils_nobody)
{
    struct live_gate gate;
    struct box b;
    live_start();
    box_open(&b);
    live_gate_shut(&gate);
    box_hold(&b, 1, 1, 1, 100);
    struct ledger_op *op = ledger_op_new(live.ledger);
    world_hold(op, 2, 1, 1, 100);
    op->u.hold.key_id = 77; /* there is none */
    op->port = b.port;
    ledger_send(live.ledger, op);
    op = ledger_op_new(live.ledger);
    world_hold(op, 3, 1, 1, 100);
    op->u.hold.n = 0; /* the table refuses it */
    op->port = b.port;
    ledger_send(live.ledger, op);
    box_hold(&b, 4, 1, 1, 100);
    live_gate_open(&gate);
    box_wait(&b, 4);
    ck_assert_int_eq(b.n_ok, 2);
    ck_assert_int_eq(b.n_down, 2);
    ck_assert_msg(strstr(live.log, "there is no key 77") != NULL, "%s", live.log);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request"), 2);
    ck_assert_int_eq(world_int(live.eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"),
                     200);
    ck_assert(world_is_sound(live.eyes));
    box_close(&b);
}
END_TEST

START_TEST(a_settlement_that_the_table_refuses)
{
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(live_hold(2, 1, USD(1), NULL), ERR_OK);
    struct ledger_op *op = ledger_op_new(live.ledger);
    world_settle(op, LEDGER_SETTLE, 1, 1, 5000);
    op->u.settle.usage.n[USAGE_output_tok] = -3;
    ledger_send(live.ledger, op);
    op = ledger_op_new(live.ledger); /* a cost that overflowed: the hold is what is known */
    world_settle(op, LEDGER_SETTLE, 2, 1, -1);
    ledger_send(live.ledger, op);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"
                                          " AND charge_nusd = 5 AND output_tok = 0"),
                     1);
    ck_assert_int_eq(world_int(live.eyes,
                               "SELECT count(*) FROM attempt WHERE charge_nusd = 1000000000"
                               " AND usage_source = 'estimated'"),
                     1);
    ck_assert(strstr(live.log, "again without its texts") != NULL);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* A price times a bound that saturated: refused, with or without a cap. */
START_TEST(a_hold_beyond_all_sums)
{
    struct box b;
    live_start();
    box_open(&b);
    struct ledger_op *op = ledger_op_new(live.ledger);
    world_hold(op, 1, 1, 1, INT64_MAX);
    op->u.hold.prompt_estimate_nusd = INT64_MAX;
    op->port = b.port;
    ledger_send(live.ledger, op);
    box_wait(&b, 1);
    ck_assert_int_eq(b.n_over, 1);
    ck_assert_str_eq(b.last.refusal.scope, ""); /* no cap's fault */
    box_close(&b);
    op = ledger_op_new(live.ledger); /* an estimate above its hold counts as the hold */
    box_open(&b);
    world_hold(op, 2, 1, 1, 100);
    op->u.hold.prompt_estimate_nusd = INT64_MAX;
    op->port = b.port;
    ledger_send(live.ledger, op);
    box_wait(&b, 1);
    ck_assert_int_eq(b.n_ok, 1);
    box_close(&b);
    ck_assert_int_eq(world_int(live.eyes, "SELECT prompt_estimate_nusd FROM attempt"), 100);
}
END_TEST

START_TEST(an_end_of_nothing)
{
    live_start();
    live_end(LEDGER_SETTLE, 1, 5000);
    live_close(1, "ok");
    ledger_barrier(live.ledger);
    ck_assert_msg(strstr(live.log, "was never held") != NULL, "%s", live.log);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM entry"), 0);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

Suite *ledger_suite(void);
Suite *ledger_suite(void)
{
    Suite *s = suite_create("ledger");
    TCase *t = tcase_create("ledger");
    tcase_add_checked_fixture(t, live_setup, live_teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, the_life_of_a_request);
    tcase_add_test(t, an_end_that_nobody_waits_for);
    tcase_add_test(t, an_end_goes_with_the_next_hold);
    tcase_add_test(t, a_void_costs_nothing);
    tcase_add_test(t, two_attempts_of_one_request);
    tcase_add_test(t, a_refusal_says_why);
    tcase_add_test(t, a_total_never_resets);
    tcase_add_test(t, a_hold_that_grows);
    tcase_add_test(t, fifty_of_a_thousand_from_four_threads);
    tcase_add_test(t, a_job_changes_caps_at_once);
    tcase_add_test(t, a_job_corrects_what_was_spent);
    tcase_add_test(t, a_failed_job_changes_nothing);
    tcase_add_test(t, a_cap_that_comes_later);
    tcase_add_test(t, a_changed_zone_is_no_refill);
    tcase_add_test(t, every_operation_several_times);
    tcase_add_test(t, the_same_id_with_other_facts);
    tcase_add_test(t, a_poison_row_spoils_nobody);
    tcase_add_test(t, a_settlement_that_the_table_refuses);
    tcase_add_test(t, a_hold_beyond_all_sums);
    tcase_add_test(t, an_end_of_nothing);
    suite_add_tcase(s, t);
    return s;
}
