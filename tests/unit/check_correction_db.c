#define _GNU_SOURCE
/* Corrections in the tables: balances, caps, reports, audit and retention all follow. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>
#include <sqlite3.h>

#include "router/audit_step_db.h"
#include "router/correction.h"
#include "router/identity_db.h"
#include "router/ledger_book.h"
#include "router/rollup_db.h"
#include "tests/unit/ledger_world.h"

Suite *correction_db_suite(void);

#define DAY INT64_C(20782) /* 2026-11-25: WORLD_NOW_MS */
#define OVER_MS ((DAY + 1) * ROLLUP_DAY_MS)

static struct db *db;
static struct ledger_book *book;

/* $3 and $15 a million. */
static void fill_catalog(void)
{
    world_sql(db, "PRAGMA foreign_keys = OFF");
    world_sql(db, "INSERT INTO price(id, endpoint_id, valid_from_ms, prompt, completion)"
                  " VALUES (5, 1, 0, 3000000, 15000000)");
    world_sql(db,
              "INSERT INTO provider VALUES (1, 'acme', 'A', 'anthropic', '', NULL, 'none', NULL,"
              " 0, 0, 0, 1, 1, 1, 1)");
    world_sql(db, "INSERT INTO model VALUES (1, 'acme/large', 'L', 0, 0, 0, 0, 0, 0)");
    world_sql(db, "INSERT INTO endpoint VALUES (1, 1, 1, '', 'large', 0, 0, 'unknown', 'text', '',"
                  " '', 5, '', 0, 0, 0, 0, '', '')");
    world_sql(db, "PRAGMA foreign_keys = ON");
}

static enum err run_op(struct ledger_op *op)
{
    struct ledger_answer answer = {0};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return answer.code;
}

static enum err hold(int n, int64_t key, int64_t at_ms, int64_t amount)
{
    struct ledger_op op = {0};
    world_hold(&op, n, 1, key, amount);
    op.u.hold.price_version = 5;
    op.u.hold.now_ms = op.u.hold.request.created_ms = at_ms;
    snprintf(op.u.hold.request.experiment, sizeof(op.u.hold.request.experiment), "x");
    return run_op(&op);
}

static void attempt(int n, int64_t key, enum usage_source source, int64_t in, int64_t out,
                    int64_t cost_pusd)
{
    struct ledger_op op = {0};
    ck_assert_int_eq(hold(n, key, WORLD_NOW_MS + n, CENTS(10)), ERR_OK);
    world_settle(&op, LEDGER_SETTLE, n, 1, cost_pusd);
    op.u.settle.source = source;
    op.u.settle.usage = (struct usage){.seen = 0};
    if (in > 0)
        usage_set(&op.u.settle.usage, USAGE_input_tok, in);
    if (out > 0)
        usage_set(&op.u.settle.usage, USAGE_output_tok, out);
    run_op(&op);
    memset(&op, 0, sizeof(op));
    world_end(&op, n, "ok");
    run_op(&op);
}

/* Charged: 450,000 final; 100,000,000 the whole hold; 450,000 partial; 300,000 the prompt. */
static void setup(void)
{
    db = world_open(NULL);
    fill_catalog();
    world_cap(db, "key", 1, "total", CENTS(15));
    world_cap(db, "team", 2, "day", CENTS(20));
    book = ledger_book_open(db, WORLD_NOW_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    attempt(1, 1, USAGE_FINAL, 100, 10, 450000000);
    attempt(2, 1, USAGE_ESTIMATED, 0, 0, CENTS(10) * 1000);
    attempt(3, 3, USAGE_PARTIAL, 100, 10, 450000000);
    attempt(4, 2, USAGE_ESTIMATED, 100, 0, 300000000);
}

static void teardown(void)
{
    ledger_book_close(book);
    db_close(db);
}

/* What they counted of that day up to then. */
static struct json_object *compare_until(const char *until, int64_t in, int64_t out, int64_t now_ms,
                                         struct correction_list *corrections)
{
    static struct reconcile_export e;
    char text[512];
    struct fail why = {0};
    struct json_object *r = NULL;
    snprintf(text, sizeof(text),
             "{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
             " \"%s\", \"results\": [{\"model\": \"large-2026\","
             " \"uncached_input_tokens\": %lld, \"output_tokens\": %lld}]}]}",
             until, (long long)in, (long long)out);
    ck_assert_msg(reconcile_read(span_of(text), NULL, &e, &why) == 0, "%s", why.text);
    ck_assert_msg(reconcile_db_compare(db, &e, "acme", now_ms, corrections, &r, &why) == 0, "%s",
                  why.text);
    reconcile_done(&e);
    return r;
}

static struct json_object *compare(int64_t in, int64_t out, int64_t now_ms,
                                   struct correction_list *corrections)
{
    return compare_until("2026-11-26T00:00:00Z", in, out, now_ms, corrections);
}

static int64_t member(struct json_object *r, const char *name)
{
    struct json_object *v = NULL;
    ck_assert_msg(json_object_object_get_ex(r, name, &v), "%s", name);
    return json_object_is_type(v, json_type_array) ? (int64_t)json_object_array_length(v)
                                                   : json_object_get_int64(v);
}

/* 0 or -1, as one transaction, with the balances read again as ledger_job_reload does. */
static int write_all(const struct correction_list *l)
{
    struct fail why = {0};
    int rc = 0;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    for (size_t i = 0; i < l->n && rc == 0; i++)
        rc = correction_db_write(db, &l->rows[i], OVER_MS, &why);
    if (rc != 0) {
        db_rollback(db);
        return -1;
    }
    ck_assert_int_eq(ledger_book_reload(book, NULL), 0);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return 0;
}

/* How many attempts were corrected; the same export must find nothing after it. */
static int64_t apply(int64_t in, int64_t out)
{
    struct correction_list l;
    json_object_put(compare(in, out, OVER_MS, &l));
    int64_t n = (int64_t)l.n;
    ck_assert_int_eq(write_all(&l), 0);
    correction_list_done(&l);
    json_object_put(compare(in, out, OVER_MS, &l));
    ck_assert_uint_eq(l.n, 0);
    correction_list_done(&l);
    ck_assert(world_is_sound(db));
    return n;
}

static struct json_object *usage(const char *by)
{
    struct json_object *args = json_object_new_object(), *r = NULL;
    json_object_object_add(args, "by", json_object_new_string(by));
    json_object_object_add(args, "since", json_object_new_string("2026-11-01"));
    ck_assert_int_eq(usage_db_report(db, args, OVER_MS, &r, NULL), 0);
    json_object_put(args);
    return r;
}

/* The total's cost and output, and that every row's cost is what the ledger posted. */
static void ck_usage(const char *cost_usd, int64_t out)
{
    static const char *const axes[] = {"team", "key", "model", "provider", "day", "experiment"};
    for (size_t i = 0; i < sizeof(axes) / sizeof(axes[0]); i++) {
        struct json_object *r = usage(axes[i]), *total, *cost;
        json_object_object_get_ex(r, "total", &total);
        json_object_object_get_ex(total, "cost_usd", &cost);
        ck_assert_str_eq(json_object_get_string(cost), cost_usd);
        ck_assert_int_eq(member(total, "output_tokens"), out);
        ck_assert_int_eq(member(total, "attempts"), 4);
        ck_assert_int_eq(member(total, "requests"), 4);
        json_object_put(r);
    }
}

static void sum_up(void)
{
    int64_t horizon_ms = 0;
    bool more = true;
    while (more) {
        ck_assert_int_eq(db_begin(db, NULL), 0);
        ck_assert_int_eq(rollup_db_step(db, 1, &horizon_ms, &more, NULL), 0);
        ck_assert_int_eq(db_commit(db, NULL), 0);
    }
}

/* 700 more input and 90 more output than ours: attempt 2 was charged its hold for them, and takes
 * nearly all, since nearly all its hold is room; the others take their share. */
START_TEST(everything_follows)
{
    ck_usage("0.1012", 20);
    int64_t rows = world_int(db, "SELECT sum(charge_nusd) FROM attempt");
    ck_assert_int_eq(apply(1000, 110), 3);
    /* 1,000 and 110 tokens at their price */
    ck_usage("0.00465", 110);
    ck_assert_int_eq(world_int(db, "SELECT sum(posted_nusd) FROM account WHERE scope = 'team'"
                                   " AND window = 'total'"),
                     4650000);
    ck_assert_int_eq(world_int(db, "SELECT sum(amount_nusd) FROM entry WHERE kind IN ('post',"
                                   " 'correction')"),
                     4650000);
    /* the rows stay */
    ck_assert_int_eq(world_int(db, "SELECT sum(charge_nusd) FROM attempt"), rows);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt WHERE usage_source ="
                                   " 'reconciled'"),
                     0);
    /* corrected again, by a later export */
    ck_assert_int_eq(apply(1000, 120), 3);
    ck_usage("0.0048", 120);
    ck_assert_int_eq(world_int(db, "SELECT max(n) FROM entry WHERE kind = 'correction'"), 2);
}
END_TEST

START_TEST(summed_up_before_or_after)
{
    sum_up();
    ck_assert_int_eq(apply(1000, 110), 3);
    ck_usage("0.00465", 110);
    attempt(5, 1, USAGE_FINAL, 1, 0, 3000000);
    sum_up();
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(detail_may_go)
{
    ck_assert_int_eq(apply(1000, 110), 3);
    ck_assert_int_eq(hold(5, 1, OVER_MS + 5, 1000), ERR_OK);
    sum_up();
    int64_t day;
    int n;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(rollup_db_allow(db, OVER_MS + 5, 0, &day, NULL), 0);
    ck_assert_int_eq(day, DAY + 1);
    ck_assert_int_eq(rollup_db_prune(db, 100, &n, NULL), 0);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    ck_assert_int_eq(n, 4);
    struct json_object *r = usage("day"), *total, *cost;
    json_object_object_get_ex(r, "total", &total);
    json_object_object_get_ex(total, "cost_usd", &cost);
    ck_assert_str_eq(json_object_get_string(cost), "0.00465");
    json_object_put(r);
    ck_assert(world_is_sound(db));
    struct correction_list l; /* what is gone cannot be corrected any more */
    r = compare(5000, 110, OVER_MS, &l);
    ck_assert_uint_eq(l.n, 0);
    ck_assert_int_eq(member(r, "data"), 1);
    ck_assert_int_eq(member(r, "unattributed"), 1);
    json_object_put(r);
    correction_list_done(&l);
}
END_TEST

/* Key 1 has spent more than 10 of its 15 cents; most of it was never used. */
START_TEST(caps_follow_down)
{
    ck_assert_int_eq(hold(5, 1, WORLD_NOW_MS + 5, CENTS(10)), ERR_over_budget);
    apply(1000, 110);
    ck_assert_int_eq(hold(6, 1, WORLD_NOW_MS + 6, CENTS(10)), ERR_OK);
    ck_assert(world_is_sound(db));
}
END_TEST

/* Team 2 has room for 19.9 cents; what its attempt used after all takes some of it away. */
START_TEST(caps_follow_up)
{
    /* a day of New York is two of UTC */
    ck_assert_int_eq(hold(5, 3, OVER_MS + 5, CENTS(19)), ERR_OK);
    apply(20000, 10000);
    ck_assert_int_gt(world_int(db, "SELECT overrun_nusd FROM account WHERE scope = 'team'"
                                   " AND owner_id = 2 AND window = 'day'"),
                     0);
    ck_assert_int_eq(hold(6, 3, OVER_MS + 6, CENTS(1)), ERR_budget_busy);
}
END_TEST

/* What GET /v1/key says was spent under the cap of key 2's team. */
static void show_spent(char ret[32])
{
    struct json_object *key = NULL, *v;
    ck_assert_int_eq(key_db_show(db, 2, WORLD_NOW_MS, &key, NULL), 0);
    json_object_object_get_ex(key, "limits", &v);
    ck_assert(json_object_object_get_ex(json_object_array_get_idx(v, 0), "spent_usd", &v));
    snprintf(ret, 32, "%s", json_object_get_string(v));
    json_object_put(key);
}

/* The account of a window whose cap came later counts what was corrected before, and is told so
 * before it is made. */
START_TEST(a_cap_that_comes_later)
{
    char before[32], after[32];
    apply(1000, 110);
    world_cap(db, "team", 1, "day", CENTS(11));
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    show_spent(before);
    ck_assert_int_eq(hold(5, 2, WORLD_NOW_MS + 5, CENTS(10)), ERR_OK);
    show_spent(after);
    ck_assert_str_eq(before, after);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(only_days_that_are_over)
{
    struct correction_list l;
    json_object_put(compare(1000, 110, OVER_MS - 1, &l));
    ck_assert_uint_eq(l.n, 0);
    correction_list_done(&l);
    ck_assert_int_eq(hold(5, 1, WORLD_NOW_MS + 5, 1000), ERR_OK); /* runs */
    struct json_object *r = compare(1000, 110, OVER_MS, &l), *data, *v;
    ck_assert_uint_eq(l.n, 0);
    json_object_object_get_ex(r, "data", &data);
    ck_assert(json_object_object_get_ex(json_object_array_get_idx(data, 0), "attributed", &v));
    ck_assert_ptr_null(v);
    json_object_put(r);
    correction_list_done(&l);
}
END_TEST

/* The other attempts of such a day are not spoken of. */
START_TEST(only_days_that_are_covered)
{
    struct correction_list l;
    struct json_object *r = compare_until("2026-11-25T23:00:00Z", 1000, 110, OVER_MS, &l);
    ck_assert_uint_eq(l.n, 0);
    ck_assert_int_eq(member(r, "data"), 2);
    ck_assert_int_eq(member(r, "unattributed"), 2);
    json_object_put(r);
    correction_list_done(&l);
}
END_TEST

/* Two that were worked out from the same figures: the second is refused whole. */
START_TEST(never_twice)
{
    struct correction_list l;
    json_object_put(compare(1000, 110, OVER_MS, &l));
    ck_assert_int_eq(write_all(&l), 0);
    ck_assert_int_eq(write_all(&l), -1);
    correction_list_done(&l);
    ck_usage("0.00465", 110);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(a_generation_says_so)
{
    struct id id = world_request(2);
    struct json_object *g = NULL, *attempts, *v;
    apply(1000, 110);
    ck_assert_int_eq(generation_db_get(db, &id, 0, &g, NULL), 0);
    json_object_object_get_ex(g, "attempts", &attempts);
    struct json_object *a = json_object_array_get_idx(attempts, 0);
    json_object_object_get_ex(a, "usage_source", &v);
    ck_assert_str_eq(json_object_get_string(v), "reconciled");
    json_object_object_get_ex(a, "usage", &v);
    int64_t in = member(v, "input_tokens"), out = member(v, "output_tokens");
    ck_assert_int_gt(in, 0);
    json_object_object_get_ex(v, "cache_read_tokens", &v);
    ck_assert_ptr_null(v); /* still nobody stated it */
    char cost[32];
    json_object_object_get_ex(g, "cost_usd", &v);
    snprintf(cost, sizeof(cost), "0.%09lld", (long long)(in * 3000 + out * 15000));
    ck_assert(strncmp(cost, json_object_get_string(v), strlen(json_object_get_string(v))) == 0);
    json_object_put(g);
}
END_TEST

static void on_violation(void *ctx, const char *invariant, const char *detail)
{
    (void)ctx;
    ck_abort_msg("%s: %s", invariant, detail);
}

START_TEST(the_auditor_raises_no_alarm)
{
    struct audit_cursor *c = audit_cursor_new();
    ck_assert_int_eq(audit_db_step(db, c, on_violation, NULL, NULL), 0);
    apply(1000, 110);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(audit_db_step(db, c, on_violation, NULL, NULL), 0);
    audit_cursor_free(c);
}
END_TEST

#define UNLOCK                                                                                     \
    "DROP TRIGGER correction_keeps; DROP TRIGGER correction_stays; DROP TRIGGER entry_keeps;"      \
    " DROP TRIGGER entry_stays;"

static const struct {
    const char *invariant, *damage;
} damages[] = {
    {"I6", UNLOCK "DELETE FROM correction"},
    {"I6", UNLOCK "DELETE FROM entry WHERE kind = 'correction'"},
    {"I6", UNLOCK "UPDATE correction SET charge_nusd = charge_nusd - 1"},
    {"I6", UNLOCK "UPDATE correction SET output_tok = -100"},
    {"I7", UNLOCK},
    {"I2", "DROP TRIGGER account_grows; UPDATE account SET posted_nusd = posted_nusd - 1"
           " WHERE scope = 'key'"},
};

START_TEST(damage_is_found)
{
    struct json_object *r = NULL, *list, *v;
    bool found = false;
    apply(1000, 110);
    ck_assert_int_eq(sqlite3_exec(db_handle(db), damages[_i].damage, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(audit_db_verify(db, &r, NULL), 0);
    json_object_object_get_ex(r, "violations", &list);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object_object_get_ex(json_object_array_get_idx(list, i), "invariant", &v);
        found = found || strcmp(json_object_get_string(v), damages[_i].invariant) == 0;
    }
    json_object_put(r);
    ck_assert_msg(found, "%s", damages[_i].damage);
}
END_TEST

START_TEST(the_tables_defend_themselves)
{
    static const char *const forbidden[] = {
        "UPDATE correction SET charge_nusd = 0",
        "DELETE FROM correction",
        "UPDATE account SET posted_nusd = posted_nusd - 1 WHERE posted_nusd > 0",
        "UPDATE account SET posted_nusd = -1, corrected_nusd = corrected_nusd - posted_nusd - 1",
        "INSERT INTO correction SELECT * FROM correction",
    };
    apply(1000, 110);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        ck_assert_msg((sqlite3_exec(db_handle(db), forbidden[i], NULL, NULL, NULL) & 0xff) ==
                          SQLITE_CONSTRAINT,
                      "%s", forbidden[i]);
}
END_TEST

Suite *correction_db_suite(void)
{
    Suite *s = suite_create("correction_db");
    TCase *t = tcase_create("correction_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, everything_follows);
    tcase_add_test(t, summed_up_before_or_after);
    tcase_add_test(t, detail_may_go);
    tcase_add_test(t, caps_follow_down);
    tcase_add_test(t, caps_follow_up);
    tcase_add_test(t, a_cap_that_comes_later);
    tcase_add_test(t, only_days_that_are_over);
    tcase_add_test(t, only_days_that_are_covered);
    tcase_add_test(t, never_twice);
    tcase_add_test(t, a_generation_says_so);
    tcase_add_test(t, the_auditor_raises_no_alarm);
    tcase_add_loop_test(t, damage_is_found, 0, sizeof(damages) / sizeof(damages[0]));
    tcase_add_test(t, the_tables_defend_themselves);
    suite_add_tcase(s, t);
    return s;
}
