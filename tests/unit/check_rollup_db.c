#define _GNU_SOURCE
/* Sums by day and retention: no report may notice them, and nothing else may be deleted. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <sqlite3.h>

#include "router/audit_step_db.h"
#include "router/experiment_db.h"
#include "router/ledger_book.h"
#include "router/rollup_db.h"
#include "router/usage_db.h"
#include "tests/unit/ledger_world.h"

enum { AXES = 6, REQUESTS = 400, DAYS = 40 };
#define DAY_MS INT64_C(86400000)
#define START_MS (WORLD_NOW_MS - DAYS * DAY_MS)

static const char *const axes[AXES] = {"team", "key", "model", "provider", "day", "experiment"};
static struct db *db;
static struct ledger_book *book;
static unsigned seed;
static int64_t now_ms; /* of the hold made last: time never goes back in the ledger */

static int draw(int n)
{
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 16) % (unsigned)n);
}

static void apply(struct ledger_op *op)
{
    struct ledger_answer answer = {0};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    if (op->kind == LEDGER_HOLD)
        ck_assert_int_eq(answer.code, ERR_OK);
}

static void hold(int request, int k, int64_t key, int64_t at_ms)
{
    struct ledger_op op = {0};
    int where = draw(3);
    world_hold(&op, request, k, key, USD(1));
    now_ms = at_ms;
    op.u.hold.now_ms = op.u.hold.request.created_ms = now_ms;
    snprintf(op.u.hold.provider, sizeof(op.u.hold.provider), "host-%d", where);
    snprintf(op.u.hold.model, sizeof(op.u.hold.model), "vendor/m%d", draw(3));
    if (request % 5 == 0)
        snprintf(op.u.hold.request.experiment, sizeof(op.u.hold.request.experiment), "exp%d",
                 request % 2);
    apply(&op);
}

static void finish(int request, int k)
{
    struct ledger_op op = {0};
    enum ledger_op_kind kind = draw(6) == 0 ? LEDGER_VOID : LEDGER_SETTLE;
    world_settle(&op, kind, request, k, 1000 + draw(1000000000));
    op.u.settle.now_ms = now_ms + 1;
    op.u.settle.source = draw(4) == 0 ? USAGE_PARTIAL : USAGE_ESTIMATED;
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        usage_set(&op.u.settle.usage, (enum usage_bucket)b, draw(100000));
    apply(&op);
}

static void close_request(int request)
{
    static const char *const ends[] = {"ok", "error", "canceled"};
    struct ledger_op op = {0};
    world_end(&op, request, ends[draw(3)]);
    op.u.end.now_ms = now_ms + 1;
    apply(&op);
}

/* Requests over DAYS days, up to 3 attempts each, some across midnight. */
static void fill(void)
{
    for (int i = 1; i <= REQUESTS; i++) {
        int64_t at_ms = START_MS + i * (DAYS * DAY_MS / REQUESTS), key = 1 + draw(3);
        int n = 1 + draw(3);
        for (int k = 1; k <= n; k++) {
            hold(i, k, key, at_ms + (k - 1) * (DAY_MS / REQUESTS));
            finish(i, k);
        }
        close_request(i);
    }
}

static void setup(void)
{
    seed = 7;
    db = world_open(NULL);
    book = ledger_book_open(db, START_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
}

static void teardown(void)
{
    ledger_book_close(book);
    db_close(db);
}

static char *report(const char *by, const char *since, const char *until)
{
    struct json_object *a = json_object_new_object(), *r = NULL;
    struct fail why = {0};
    json_object_object_add(a, "by", json_object_new_string(by));
    json_object_object_add(a, "since", json_object_new_string(since));
    json_object_object_add(a, "until", json_object_new_string(until));
    ck_assert_msg(usage_db_report(db, a, WORLD_NOW_MS + DAY_MS, &r, &why) == 0, "%s", why.text);
    char *text = strdup(json_object_to_json_string_ext(r, JSON_C_TO_STRING_PRETTY));
    json_object_put(a);
    json_object_put(r);
    return text;
}

static const char *const spans[][2] = {
    {"2026-01-01", "2027-01-01"},           /* everything */
    {"2026-10-20", "2026-11-10"},           /* whole days */
    {"2026-11-20T07:00:00Z", "2027-01-01"}, /* from within a day that keeps its detail */
    {"2026-11-21T03:00:00Z", "2026-11-24T21:30:00Z"},
    {"2026-11-23T03:00:00Z", "2026-11-23T09:00:00Z"},
};
enum { SPANS = sizeof(spans) / sizeof(spans[0]) };

struct reports {
    char *text[AXES][SPANS];
};

static void take_reports(struct reports *r)
{
    for (int i = 0; i < AXES; i++)
        for (int k = 0; k < SPANS; k++)
            r->text[i][k] = report(axes[i], spans[k][0], spans[k][1]);
}

static void ck_same_reports(const struct reports *before)
{
    for (int i = 0; i < AXES; i++) {
        for (int k = 0; k < SPANS; k++) {
            char *now = report(axes[i], spans[k][0], spans[k][1]);
            ck_assert_msg(strcmp(now, before->text[i][k]) == 0, "%s, span %d\nbefore %s\nafter %s",
                          axes[i], k, before->text[i][k], now);
            free(now);
        }
    }
}

static void drop_reports(struct reports *r)
{
    for (int i = 0; i < AXES; i++)
        for (int k = 0; k < SPANS; k++)
            free(r->text[i][k]);
}

/* false: there was nothing more to sum up. */
static bool step_to(int max_attempts, int64_t *horizon_ms)
{
    bool more;
    struct fail why = {0};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_msg(rollup_db_step(db, max_attempts, horizon_ms, &more, &why) == 0, "%s", why.text);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return more;
}

static bool step(int max_attempts)
{
    int64_t horizon_ms = 0;
    return step_to(max_attempts, &horizon_ms);
}

static int64_t allow(int64_t at_ms, int64_t days)
{
    int64_t reached;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(rollup_db_allow(db, at_ms, days, &reached, NULL), 0);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return reached;
}

static int prune(int max_attempts)
{
    int n;
    struct fail why = {0};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_msg(rollup_db_prune(db, max_attempts, &n, &why) == 0, "%s", why.text);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return n;
}

START_TEST(no_report_notices)
{
    struct reports before;
    seed = (unsigned)_i + 100u;
    fill();
    take_reports(&before);
    int64_t attempts = world_int(db, "SELECT count(*) FROM attempt");
    for (int i = 0; step(1 + draw(40)); i++) {
        if (i % 7 == 0)
            ck_same_reports(&before);
    }
    ck_assert_int_gt(world_int(db, "SELECT count(*) FROM usage_day"), 100);
    ck_same_reports(&before);
    ck_assert(world_is_sound(db));

    int64_t day = WORLD_NOW_MS / DAY_MS - 6;
    ck_assert_int_eq(allow(WORLD_NOW_MS, 6), day);
    ck_same_reports(&before); /* nothing is deleted yet, and need not be any more */
    int n, gone = 0;
    for (int i = 0; (n = prune(17)) > 0; i++) {
        gone += n;
        if (i % 9 == 0) {
            ck_same_reports(&before);
            ck_assert(world_is_sound(db));
        }
    }
    ck_assert_int_gt(gone, 400);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt") + gone, attempts);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM request r WHERE NOT EXISTS"
                                   " (SELECT 1 FROM attempt WHERE request_id = r.id)"),
                     0);
    ck_same_reports(&before);
    ck_assert(world_is_sound(db));
    drop_reports(&before);
}
END_TEST

/* Requests of neighbouring times add up, also where one request has attempts in both. */
START_TEST(days_add_up)
{
    fill();
    char *by_day = report("day", "2026-01-01", "2027-01-01");
    struct json_object *r = json_tokener_parse(by_day), *rows, *total, *v;
    int64_t sum = 0;
    json_object_object_get_ex(r, "rows", &rows);
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object_object_get_ex(json_object_array_get_idx(rows, i), "requests", &v);
        sum += json_object_get_int64(v);
    }
    json_object_object_get_ex(r, "total", &total);
    json_object_object_get_ex(total, "requests", &v);
    ck_assert_int_eq(json_object_get_int64(v), sum);
    ck_assert_int_eq(sum, world_int(db, "SELECT count(DISTINCT request_id) FROM attempt"
                                        " WHERE state <> 'VOID'"));
    json_object_put(r);
    free(by_day);
}
END_TEST

START_TEST(what_runs_is_waited_for)
{
    int64_t at_ms = START_MS + DAY_MS;
    hold(1, 1, 1, at_ms);
    hold(2, 1, 2, at_ms + 1000);
    hold(3, 1, 3, at_ms + 2000);
    finish(2, 1);
    finish(3, 1);
    close_request(3);
    while (step(100))
        continue;
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms);
    finish(1, 1); /* settled, but its request may send again */
    step(100);
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms);
    close_request(1);
    while (step(100))
        continue;
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms + 1000);
    close_request(2);
    while (step(100))
        continue;
    /* the next may come in the millisecond of the last */
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms + 2000);
    ck_assert(world_is_sound(db));
}
END_TEST

static int end_lost(int64_t at_ms)
{
    int n;
    struct fail why = {0};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_msg(rollup_db_end_lost(db, at_ms, &n, &why) == 0, "%s", why.text);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return n;
}

/* Its own end never came: it must not keep everything later out of the sums. */
START_TEST(a_lost_end_blocks_nothing)
{
    int64_t at_ms = START_MS + DAY_MS, late_ms;
    hold(1, 1, 1, at_ms);
    finish(1, 1);                /* ended at at_ms + 1, but its request did not */
    hold(2, 1, 2, at_ms + 1000); /* runs */
    hold(3, 1, 3, at_ms + 2000);
    finish(3, 1);
    close_request(3);
    ck_assert_int_eq(end_lost(at_ms + ROLLUP_LOST_MS), 0); /* it may yet send again */
    late_ms = at_ms + 1 + ROLLUP_LOST_MS;
    ck_assert_int_eq(end_lost(late_ms), 1);
    ck_assert_int_eq(end_lost(late_ms), 0);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM request WHERE status = 'running'"), 1);
    ck_assert_int_eq(world_int(db, "SELECT ended_ms FROM request WHERE status = 'error'"), late_ms);
    while (step(100))
        continue;
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms + 1000);
    close_request(1); /* comes after all: too late */
    ck_assert_int_eq(world_int(db, "SELECT ended_ms FROM request WHERE status = 'error'"), late_ms);
    ck_assert(world_is_sound(db));
}
END_TEST

/* One look at all keys for a round, not for each step. */
START_TEST(a_round_ends_where_it_saw)
{
    int64_t at_ms = START_MS + DAY_MS, horizon_ms = 0;
    for (int i = 1; i <= 6; i++) {
        hold(i, 1, 1, at_ms + i);
        finish(i, 1);
        close_request(i);
    }
    ck_assert(step_to(1, &horizon_ms));
    ck_assert_int_eq(horizon_ms, at_ms + 6);
    hold(7, 1, 1, at_ms + 7);
    finish(7, 1);
    close_request(7);
    while (step_to(1, &horizon_ms))
        continue;
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms + 6);
    ck_assert(!step_to(1, &horizon_ms));
    ck_assert(world_is_sound(db));
    while (step(1)) /* the next round */
        continue;
    ck_assert_int_eq(world_int(db, "SELECT summed_ms FROM rollup"), at_ms + 7);
    ck_assert(world_is_sound(db));
}
END_TEST

/* A clock that was set back before a restart. */
START_TEST(nothing_is_admitted_into_the_past)
{
    fill();
    while (step(1000))
        continue;
    int64_t summed_ms = world_int(db, "SELECT summed_ms FROM rollup");
    ledger_book_close(book);
    book = ledger_book_open(db, START_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    hold(REQUESTS + 1, 1, 1, START_MS);
    ck_assert_int_eq(world_int(db, "SELECT min(admitted_ms) FROM attempt WHERE state = 'SENT'"),
                     summed_ms);
    ck_assert(world_is_sound(db));
}
END_TEST

/* Nor between what is summed up and what is next: the sums would pass it by. */
START_TEST(nothing_is_admitted_before_the_latest)
{
    hold(1, 1, 1, START_MS + DAY_MS);
    finish(1, 1);
    close_request(1);
    hold(2, 1, 2, START_MS + 2 * DAY_MS);
    finish(2, 1);
    close_request(2);
    ledger_book_close(book);
    book = ledger_book_open(db, START_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    ck_assert_int_lt(world_int(db, "SELECT summed_ms FROM rollup"), START_MS);
    while (step(1000))
        continue;
    char *plan = world_plan(db, "SELECT max(last)"); /* at each start: a seek per key */
    ck_assert_msg(strstr(plan, "INDEX attempt_key") != NULL, "%s", plan);
    ck_assert_msg(strstr(plan, "SCAN a ") == NULL, "%s", plan);
    free(plan);
    hold(3, 1, 1, START_MS + 1);
    ck_assert_int_eq(world_int(db, "SELECT min(admitted_ms) FROM attempt WHERE state = 'SENT'"),
                     START_MS + 2 * DAY_MS);
    ck_assert(world_is_sound(db));
    while (step(1000))
        continue;
    ck_assert(world_is_sound(db));
}
END_TEST

/* A clock that runs ahead: by a year, nothing of which is in the ledger. */
START_TEST(a_clock_makes_nothing_old)
{
    fill();
    while (step(1000))
        continue;
    int64_t summed_day = world_int(db, "SELECT summed_ms / 86400000 FROM rollup");
    ck_assert_int_eq(allow(WORLD_NOW_MS + 365 * DAY_MS, 33), summed_day - 33);
    ck_assert_int_eq(world_int(db, "SELECT pruned_day FROM rollup"), summed_day - 33);
    ck_assert_int_eq(allow(0, 33), summed_day - 33); /* never back */
    ck_assert_int_gt(prune(20), 0);
}
END_TEST

START_TEST(nothing_else_may_be_deleted)
{
    static const char *const forbidden[] = {
        "DELETE FROM attempt WHERE admitted_ms >= (SELECT pruned_day * 86400000 FROM rollup)",
        "DELETE FROM entry WHERE attempt_id IN (SELECT id FROM attempt WHERE admitted_ms >="
        " (SELECT pruned_day * 86400000 FROM rollup))",
        "UPDATE rollup SET pruned_day = pruned_day - 1",
        "UPDATE rollup SET pruned_day = summed_ms / 86400000 + 1",
        "UPDATE rollup SET summed_ms = summed_ms - 1",
        "DELETE FROM rollup",
        "DELETE FROM usage_day",
        "UPDATE usage_day SET charge_nusd = charge_nusd + 1 WHERE day < (SELECT pruned_day FROM"
        " rollup)",
        "UPDATE usage_day SET charge_nusd = charge_nusd - 1 WHERE charge_nusd > 0",
        "INSERT INTO usage_day SELECT 0, key_id, model, provider, upstream_model, usage_source,"
        " experiment, arm, team_id, attempts, requests, requests_of_model, requests_of_provider,"
        " errors, errors_of_model, errors_of_provider, input_tok, output_tok, cache_read_tok,"
        " cache_write_5m_tok, cache_write_1h_tok, web_searches, charge_nusd, 0, 0, 0 FROM usage_day"
        " LIMIT 1",
    };
    fill();
    while (step(1000))
        continue;
    allow(WORLD_NOW_MS, 10);
    ck_assert_int_gt(prune(20), 0);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        int rc = sqlite3_exec(db_handle(db), forbidden[i], NULL, NULL, NULL) & 0xff;
        ck_assert_msg(rc == SQLITE_CONSTRAINT, "%s: %d", forbidden[i], rc);
    }
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(the_audit_sees_wrong_sums)
{
    fill();
    while (step(1000))
        continue;
    ck_assert(world_is_sound(db));
    world_sql(db, "UPDATE usage_day SET charge_nusd = charge_nusd + 1 WHERE"
                  " day = (SELECT max(day) FROM usage_day)");
    ck_assert(!world_is_sound(db));
}
END_TEST

static void on_violation(void *ctx, const char *invariant, const char *detail)
{
    (void)ctx;
    ck_abort_msg("%s %s", invariant, detail);
}

/* The audit of a running server asks account by account: windows whose detail is gone too. */
START_TEST(pruned_windows_are_no_alarm)
{
    int64_t row = 0;
    world_cap(db, "key", 1, "day", USD(500000));
    world_cap(db, "team", 2, "month", USD(500000));
    ledger_book_close(book);
    book = ledger_book_open(db, START_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    fill();
    while (step(1000))
        continue;
    allow(WORLD_NOW_MS, 6);
    while (prune(100) > 0)
        continue;
    ck_assert_int_gt(world_int(db, "SELECT count(*) FROM account WHERE window <> 'total' AND"
                                   " posted_nusd > 0 AND end_ms <"
                                   " (SELECT pruned_day * 86400000 FROM rollup)"),
                     10);
    do
        ck_assert_int_eq(audit_db_next_account(db, row, &row, on_violation, NULL, NULL), 0);
    while (row != 0);
}
END_TEST

/* Of a whole day that is gone, since and until cannot ask for a part. */
START_TEST(a_pruned_day_counts_whole)
{
    fill();
    char *whole = report("team", "2026-10-25", "2026-10-27");
    while (step(1000))
        continue;
    allow(WORLD_NOW_MS, 6);
    char *part = report("team", "2026-10-25T11:00:00Z", "2026-10-26T00:00:00.001Z");
    ck_assert_str_eq(part, whole);
    free(part);
    free(whole);
}
END_TEST

static void leave_unserved(int64_t at_ms)
{
    static const uint8_t rand[10] = {1};
    struct fail why = {0};
    struct experiment_unserved u = {.request_id = id_make(at_ms, rand),
                                    .team_id = 1,
                                    .key_id = 1,
                                    .ended_ms = at_ms + 1,
                                    .http_status = 404,
                                    .request = {.created_ms = at_ms,
                                                .requested_model = "m",
                                                .door = "messages",
                                                .experiment = "unserved",
                                                .arm = "a",
                                                .unit = 7}};
    for (int twice = 0; twice < 2; twice++) {
        ck_assert_int_eq(db_begin(db, NULL), 0);
        ck_assert_msg(experiment_db_unserved(db, &u, &why) == 0, "%s", why.text);
        ck_assert_int_eq(db_commit(db, NULL), 0);
    }
}

static int64_t n_unserved(void)
{
    return world_int(db, "SELECT count(*) FROM request WHERE experiment = 'unserved' AND"
                         " status = 'error'");
}

/* They have no attempt that goes before them. */
START_TEST(requests_that_nobody_served_go_too)
{
    fill();
    while (step(1000))
        continue;
    int64_t first_kept_ms = allow(WORLD_NOW_MS, 6) * ROLLUP_DAY_MS;
    for (int i = 1; i <= 3; i++)
        leave_unserved(first_kept_ms - i);
    for (int i = 0; i < 2; i++)
        leave_unserved(first_kept_ms + i);
    ck_assert_int_eq(n_unserved(), 5);
    while (prune(100) == 100)
        ck_assert_int_eq(n_unserved(), 5); /* what has attempts goes first */
    ck_assert_int_eq(n_unserved(), 2);
    ck_assert_int_eq(prune(100), 0);
    ck_assert(world_is_sound(db));
}
END_TEST

Suite *rollup_db_suite(void);
Suite *rollup_db_suite(void)
{
    Suite *s = suite_create("rollup_db");
    TCase *t = tcase_create("rollup_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, no_report_notices, 0, 4);
    tcase_add_test(t, days_add_up);
    tcase_add_test(t, what_runs_is_waited_for);
    tcase_add_test(t, a_lost_end_blocks_nothing);
    tcase_add_test(t, a_round_ends_where_it_saw);
    tcase_add_test(t, nothing_is_admitted_into_the_past);
    tcase_add_test(t, nothing_is_admitted_before_the_latest);
    tcase_add_test(t, a_clock_makes_nothing_old);
    tcase_add_test(t, nothing_else_may_be_deleted);
    tcase_add_test(t, the_audit_sees_wrong_sums);
    tcase_add_test(t, pruned_windows_are_no_alarm);
    tcase_add_test(t, a_pruned_day_counts_whole);
    tcase_add_test(t, requests_that_nobody_served_go_too);
    suite_add_tcase(s, t);
    return s;
}
