#define _GNU_SOURCE
/* Spend alerts: the arithmetic, and rows written exactly once whatever happens. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "router/alert_db.h"
#include "router/ledger_book.h"
#include "schema/money.h"
#include "tests/unit/ledger_world.h"

START_TEST(thresholds_are_exact)
{
    int wrong = 0;
    for (int64_t cap = 0; cap <= 250; cap++) {
        for (int percent = 1; percent <= 100; percent++) {
            for (int64_t spent = 0; spent <= 260; spent++)
                wrong +=
                    alert_reached(spent, cap, percent) != (cap > 0 && spent * 100 >= cap * percent);
        }
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert(alert_reached(INT64_MAX, INT64_MAX, 100));
    ck_assert(!alert_reached(INT64_MAX - 1, INT64_MAX, 100));
    ck_assert(!alert_reached(INT64_MAX / 100 * 95, INT64_MAX, 95)); /* rounded up */
    ck_assert(alert_reached(INT64_MAX / 100 * 95 + 95, INT64_MAX, 95));
    ck_assert(!alert_reached(5, LEDGER_CAP_NONE, 1));
}
END_TEST

START_TEST(rules_are_ordered_and_bounded)
{
    struct alert_rules r = {.n = 0};
    static const int given[] = {95, 80, 95, 100, 1};
    for (int i = 0; i < 5; i++)
        ck_assert(alert_rules_add(&r, given[i]));
    static const int want[] = {1, 80, 95, 100};
    ck_assert_int_eq(r.n, 4);
    ck_assert_int_eq(memcmp(r.percent, want, sizeof(want)), 0);
    ck_assert(!alert_rules_add(&r, 0));
    ck_assert(!alert_rules_add(&r, 101));
    for (int p = 2; r.n < ALERT_RULES_MAX; p++)
        ck_assert(alert_rules_add(&r, p));
    ck_assert(!alert_rules_add(&r, 50));
    ck_assert(alert_rules_add(&r, 80)); /* is there */
}
END_TEST

START_TEST(patience_grows)
{
    int last = 0;
    ck_assert_int_eq(alert_backoff_s(1), 1);
    for (int64_t tries = 1; tries < 100; tries++) {
        ck_assert_int_ge(alert_backoff_s(tries), last);
        last = alert_backoff_s(tries);
    }
    ck_assert_int_eq(last, 3600);
    ck_assert_int_eq(alert_backoff_s(INT64_MAX), 3600);
}
END_TEST

/* ---- rows ---- */

static struct db *db;
static struct ledger_book *book;
static int next_request;

static void open_book(void)
{
    struct alert_rules rules = ALERT_RULES_DEFAULT;
    book = ledger_book_open(db, WORLD_NOW_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    ledger_book_alert_at(book, &rules);
}

static void setup(void)
{
    db = world_open(NULL);
    next_request = 1;
    world_cap(db, "team", 1, "total", USD(10));
    open_book();
}

static void teardown(void)
{
    ledger_book_close(book);
    db_close(db);
}

/* A request that costs this much; within the caller's transaction. */
static void spend(int64_t key, int64_t nusd)
{
    struct ledger_op op = {0};
    struct ledger_answer answer;
    world_hold(&op, ++next_request, 1, key, nusd);
    ck_assert_int_eq(ledger_book_op(book, &op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(answer.code, ERR_OK);
    memset(&op, 0, sizeof(op));
    world_settle(&op, LEDGER_SETTLE, next_request, 1, nusd * 1000);
    ck_assert_int_eq(ledger_book_op(book, &op, NULL), LEDGER_WROTE);
}

static void spend_and_commit(int64_t key, int64_t nusd)
{
    ck_assert_int_eq(db_begin(db, NULL), 0);
    spend(key, nusd);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE); /* twice is once */
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

static int64_t n_alerts(void)
{
    return world_int(db, "SELECT count(*) FROM alert");
}

static int64_t n_counted(void)
{
    struct ledger_stats s;
    ledger_book_stats(book, &s);
    return (int64_t)s.alerts;
}

START_TEST(once_each_at_the_nano_dollar)
{
    spend_and_commit(1, USD(8) - 1);
    ck_assert_int_eq(n_alerts(), 0);
    spend_and_commit(2, 1);
    ck_assert_int_eq(n_alerts(), 1);
    ck_assert_int_eq(world_int(db, "SELECT threshold FROM alert"), 80);
    ck_assert_int_eq(world_int(db, "SELECT spent_nusd FROM alert"), USD(8));
    ck_assert_int_eq(world_int(db, "SELECT cap_nusd FROM alert"), USD(10));
    spend_and_commit(1, USD(1));
    ck_assert_int_eq(n_alerts(), 1);
    spend_and_commit(1, USD(1));
    ck_assert_int_eq(n_alerts(), 2);
    ck_assert_int_eq(world_int(db, "SELECT sum(threshold) FROM alert"), 175);
    ck_assert_int_eq(n_counted(), 2);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(one_settlement_may_pass_both)
{
    spend_and_commit(1, USD(10));
    ck_assert_int_eq(n_alerts(), 2);
    ck_assert_int_eq(world_int(db, "SELECT count(DISTINCT public_id) FROM alert"), 2);
}
END_TEST

START_TEST(key_and_team_and_each_window)
{
    world_cap(db, "key", 1, "day", USD(5));
    world_cap(db, "team", 1, "month", USD(5));
    ledger_book_close(book);
    open_book();
    spend_and_commit(1, USD(4)); /* 80 per cent of two caps, 40 of the third */
    ck_assert_int_eq(n_alerts(), 2);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM alert a JOIN account c ON c.id ="
                                   " a.account_id WHERE c.window IN ('day', 'month')"),
                     2);
}
END_TEST

/* The alert is lost with the settlement, and comes with it again. */
START_TEST(a_lost_transaction)
{
    ck_assert_int_eq(db_begin(db, NULL), 0);
    spend(1, USD(9));
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(n_alerts(), 1);
    db_rollback(db);
    ck_assert_int_eq(ledger_book_reload(book, NULL), 0);
    ck_assert_int_eq(n_alerts(), 0);
    spend_and_commit(1, USD(9));
    ck_assert_int_eq(n_alerts(), 1);
    ck_assert_int_eq(ledger_book_reload(book, NULL), 0); /* what it knew is forgotten */
    spend_and_commit(1, CENTS(1));
    ck_assert_int_eq(n_alerts(), 1);
}
END_TEST

START_TEST(a_restart_repeats_nothing)
{
    spend_and_commit(1, USD(9));
    for (int i = 0; i < 3; i++) {
        ledger_book_close(book);
        open_book();
        spend_and_commit(1, CENTS(1));
        ck_assert_int_eq(n_alerts(), 1);
        ck_assert_int_eq(n_counted(), 0);
    }
}
END_TEST

static void recap(int64_t cap_nusd)
{
    ck_assert_int_eq(db_begin(db, NULL), 0);
    world_cap(db, "team", 1, "total", cap_nusd);
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

/* Another cap is another promise; one that was told is not told again. */
START_TEST(caps_that_change)
{
    spend_and_commit(1, USD(9));
    recap(USD(20));
    ck_assert_int_eq(n_alerts(), 1);
    spend_and_commit(1, USD(7));
    ck_assert_int_eq(n_alerts(), 2); /* 80 per cent of 20 */
    recap(USD(17));                  /* 94 per cent at once */
    ck_assert_int_eq(n_alerts(), 3);
    recap(USD(20));
    spend_and_commit(1, CENTS(1));
    ck_assert_int_eq(n_alerts(), 3);
    recap(USD(1000));
    recap(USD(10)); /* 80 was told, 95 of it was not */
    ck_assert_int_eq(n_alerts(), 4);
}
END_TEST

static void add_day_cap(int64_t cap_nusd)
{
    ck_assert_int_eq(db_begin(db, NULL), 0);
    world_cap(db, "team", 1, "day", cap_nusd);
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

/* A cap where there was none, below what is spent: nothing is settled from then on, and the first
 * refusal tells. */
START_TEST(a_cap_that_is_reached_when_it_comes)
{
    struct ledger_op op = {0};
    struct ledger_answer answer;
    spend_and_commit(1, USD(5));
    add_day_cap(USD(4));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(db_begin(db, NULL), 0);
        world_hold(&op, ++next_request, 1, 1, CENTS(1));
        ck_assert_int_eq(ledger_book_op(book, &op, &answer), LEDGER_WROTE);
        ck_assert_int_eq(answer.code, ERR_over_budget);
        ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
        ck_assert_int_eq(db_commit(db, NULL), 0);
        ck_assert_int_eq(n_alerts(), 2);
    }
}
END_TEST

/* What nobody told while no thresholds were set. */
START_TEST(a_sweep_tells_once)
{
    struct alert_rules rules = {.n = 0};
    ledger_book_alert_at(book, &rules);
    spend_and_commit(1, USD(9));
    ck_assert_int_eq(n_alerts(), 0);
    uint64_t n = 0;
    alert_rules_add(&rules, 50);
    alert_rules_add(&rules, 90);
    alert_rules_add(&rules, 91);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(alert_db_sweep(db, &rules, WORLD_NOW_MS, &n, NULL), LEDGER_WROTE);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(n_alerts(), 2);
}
END_TEST

/* ---- telling ---- */

START_TEST(the_life_of_a_row)
{
    struct alert a, b;
    ck_assert_int_eq(alert_db_unlogged(db, &a, NULL), 0);
    ck_assert_int_eq(alert_db_next(db, &a, NULL), 0);
    spend_and_commit(1, USD(10));
    ck_assert_int_eq(alert_db_unlogged(db, &a, NULL), 1);
    ck_assert_int_eq(a.threshold, 80);
    ck_assert_str_eq(a.scope, "team");
    ck_assert_str_eq(a.name, "search");
    ck_assert_str_eq(a.team, "search");
    ck_assert_str_eq(a.window, "total");
    ck_assert_int_eq(a.resets_ms, 0);
    ck_assert_uint_eq(strlen(a.id), 6 + 32);
    ck_assert_int_eq(alert_db_mark_logged(db, a.row, WORLD_NOW_MS), 0);
    ck_assert_int_eq(alert_db_unlogged(db, &b, NULL), 1);
    ck_assert_int_eq(b.threshold, 95);
    ck_assert_int_eq(alert_db_mark_logged(db, b.row, WORLD_NOW_MS), 0);
    ck_assert_int_eq(alert_db_unlogged(db, &b, NULL), 0);

    ck_assert_int_eq(alert_db_next(db, &b, NULL), 1);
    ck_assert_int_eq(b.row, a.row);
    ck_assert_int_eq(alert_db_mark_failed(db, a.row, WORLD_NOW_MS + 1000), 0);
    ck_assert_int_eq(alert_db_next(db, &b, NULL), 1);
    ck_assert_int_eq(b.threshold, 95);
    ck_assert_int_eq(alert_db_mark_delivered(db, b.row, WORLD_NOW_MS), 0);
    ck_assert_int_eq(alert_db_next(db, &b, NULL), 1);
    ck_assert_int_eq(b.row, a.row);
    ck_assert_int_eq(b.tries, 1);
    ck_assert_int_eq(b.next_try_ms, WORLD_NOW_MS + 1000);
    ck_assert_int_eq(alert_db_mark_failed(db, a.row, 0), 0); /* given up */
    ck_assert_int_eq(alert_db_next(db, &b, NULL), 0);
}
END_TEST

Suite *alert_suite(void);
Suite *alert_suite(void)
{
    Suite *s = suite_create("alert");
    TCase *t = tcase_create("alert");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, thresholds_are_exact);
    tcase_add_test(t, rules_are_ordered_and_bounded);
    tcase_add_test(t, patience_grows);
    tcase_add_test(t, once_each_at_the_nano_dollar);
    tcase_add_test(t, one_settlement_may_pass_both);
    tcase_add_test(t, key_and_team_and_each_window);
    tcase_add_test(t, a_lost_transaction);
    tcase_add_test(t, a_restart_repeats_nothing);
    tcase_add_test(t, caps_that_change);
    tcase_add_test(t, a_cap_that_is_reached_when_it_comes);
    tcase_add_test(t, a_sweep_tells_once);
    tcase_add_test(t, the_life_of_a_row);
    suite_add_tcase(s, t);
    return s;
}
