/* The book alone, with a clock of the test's own: what the ledger's thread cannot be made to
 * live through. */
#include <check.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "router/ledger_book.h"
#include "tests/unit/ledger_world.h"

#define DAY_MS INT64_C(86400000)

static struct db *db;
static struct ledger_book *book;

static void setup(void)
{
    db = world_open(NULL);
    world_cap(db, "key", 1, "day", USD(5));
}

static void open_at(int64_t now_ms)
{
    struct fail why;
    book = ledger_book_open(db, now_ms, NULL, &why);
    ck_assert_ptr_nonnull(book);
}

static void teardown(void)
{
    ledger_book_close(book);
    db_close(db);
}

static enum err apply(struct ledger_op *op)
{
    struct ledger_answer answer = {.code = ERR_OK};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    return answer.code;
}

static enum err hold_at(int n, int64_t now_ms, int64_t amount_nusd)
{
    struct ledger_op op;
    world_hold(&op, n, 1, 1, amount_nusd);
    op.u.hold.now_ms = now_ms;
    return apply(&op);
}

static enum err extend_at(int n, int64_t now_ms, int64_t amount_nusd)
{
    struct ledger_op op = {.kind = LEDGER_EXTEND, .attempt_id = world_attempt(n, 1)};
    op.u.extend.now_ms = now_ms;
    op.u.extend.amount_nusd = amount_nusd;
    return apply(&op);
}

/* Yesterday's account is in the table; what was left running was admitted today. */
START_TEST(a_clock_set_back_before_a_restart)
{
    open_at(WORLD_NOW_MS);
    ck_assert_int_eq(hold_at(1, WORLD_NOW_MS, USD(3)), ERR_OK);
    ck_assert_int_eq(hold_at(2, WORLD_NOW_MS + DAY_MS, USD(1)), ERR_OK);
    ledger_book_close(book);
    open_at(WORLD_NOW_MS); /* the first attempt's day; both are resolved there */
    ck_assert_int_eq(hold_at(3, WORLD_NOW_MS, USD(1)), ERR_OK);
    ledger_book_close(book);
    open_at(WORLD_NOW_MS + DAY_MS);
    ck_assert_int_eq(hold_at(4, WORLD_NOW_MS + DAY_MS, USD(1)), ERR_OK);
    ledger_book_close(book);
    open_at(WORLD_NOW_MS);
    ck_assert_int_eq(hold_at(5, WORLD_NOW_MS, USD(1)), ERR_OK);
    ck_assert(world_is_sound(db));
}
END_TEST

/* No account of the new cap's window is there yet. */
START_TEST(growth_must_fit_a_cap_that_came_later)
{
    open_at(WORLD_NOW_MS);
    ck_assert_int_eq(hold_at(1, WORLD_NOW_MS, USD(3)), ERR_OK);
    world_cap(db, "team", 1, "day", USD(4));
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_eq(extend_at(1, WORLD_NOW_MS, USD(2)), ERR_over_budget);
    ck_assert_int_eq(extend_at(1, WORLD_NOW_MS, USD(1)), ERR_OK);
    world_cap(db, "team", 1, "week", USD(1));
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_eq(extend_at(1, WORLD_NOW_MS + 8 * DAY_MS, 0), ERR_OK); /* weeks are over */
    ck_assert(world_is_sound(db));
}
END_TEST

/* London's March ends an hour before that of UTC, and both begin together. */
#define MARCH_30_MS INT64_C(1806408000000)  /* 2027-03-30T12:00:00Z */
#define MARCH_END_MS INT64_C(1806535800000) /* 2027-03-31T23:30:00Z */

static void from_london_to_utc(bool settled)
{
    struct ledger_op op = {.kind = LEDGER_SETTLE};
    world_sql(db, "UPDATE team SET timezone = 'Europe/London' WHERE id = 1");
    world_cap(db, "team", 1, "month", USD(5));
    world_sql(db, "DELETE FROM budget WHERE scope = 'key'");
    open_at(MARCH_30_MS);
    ck_assert_int_eq(hold_at(1, MARCH_30_MS, USD(3)), ERR_OK);
    if (settled) {
        world_settle(&op, LEDGER_SETTLE, 1, 1, USD(3) * 1000);
        ck_assert_int_eq(apply(&op), ERR_OK);
    }
    world_sql(db, "UPDATE team SET timezone = 'UTC' WHERE id = 1");
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_ne(hold_at(2, MARCH_END_MS, USD(4)), ERR_OK);
    ck_assert_int_eq(hold_at(3, MARCH_END_MS, USD(1)), ERR_OK);
    ck_assert_int_eq(hold_at(4, MARCH_END_MS, USD(1)), ERR_OK);
    ck_assert_int_ne(hold_at(5, MARCH_END_MS, 1), ERR_OK);
    ck_assert_int_eq(hold_at(6, MARCH_END_MS + DAY_MS, USD(5)), ERR_OK); /* April */
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM account WHERE window = 'month'"), 2);
    ck_assert(world_is_sound(db));
}

START_TEST(a_month_that_a_new_zone_makes_longer)
{
    from_london_to_utc(_i == 1);
}
END_TEST

/* ---- batches ---- */

/* As the ledger's thread writes them: rows together. */
static void begin_batch(void)
{
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ledger_book_careful(book, false);
}

static void end_batch(void)
{
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ledger_book_careful(book, true);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

static struct ledger_op *put(struct ledger_op *op, enum err expected)
{
    struct ledger_answer answer = {.code = ERR_OK};
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(answer.code, expected);
    return op + 1;
}

static struct ledger_op *put_hold(struct ledger_op *op, int n, int k, enum err expected)
{
    world_hold(op, n, k, 1, USD(1));
    return put(op, expected);
}

static struct ledger_op *put_end(struct ledger_op *op, enum ledger_op_kind kind, int n, int k,
                                 int64_t cost_pusd)
{
    world_settle(op, kind, n, k, cost_pusd);
    return put(op, ERR_OK);
}

/* Rows of an attempt are written in the order of its life, and of two checkpoints the last. */
START_TEST(lives_in_one_batch)
{
    struct ledger_op ops[16], *op = ops;
    open_at(WORLD_NOW_MS);
    begin_batch();
    op = put_hold(op, 1, 1, ERR_OK);
    op = put_end(op, LEDGER_STREAMING, 1, 1, 1000);
    *op = (struct ledger_op){.kind = LEDGER_EXTEND, .attempt_id = world_attempt(1, 1)};
    op->u.extend.now_ms = WORLD_NOW_MS;
    op->u.extend.amount_nusd = USD(1);
    op = put(op, ERR_OK);
    op = put_end(op, LEDGER_STREAMING, 1, 1, 2000);
    op = put_hold(op, 2, 1, ERR_OK);
    op = put_end(op, LEDGER_VOID, 2, 1, 0);
    op = put_hold(op, 2, 2, ERR_OK);
    op = put_end(op, LEDGER_STREAMING, 2, 2, 4000);
    op = put_end(op, LEDGER_SETTLE, 2, 2, 5000);
    op = put_end(op, LEDGER_SETTLE, 2, 2, 7000); /* the first one counts */
    world_end(op, 2, "ok");
    put(op, ERR_OK);
    end_batch();
    ck_assert_int_eq(world_int(db, "SELECT sum(cost_pusd) FROM attempt WHERE state = 'STREAMING'"),
                     2000);
    ck_assert_int_eq(world_int(db, "SELECT sum(cost_pusd) FROM attempt WHERE state = 'SETTLED'"),
                     5000);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt WHERE state = 'VOID'"), 1);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM entry"), 6);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM request WHERE status = 'running'"), 1);
    ck_assert(world_is_sound(db));
}
END_TEST

/* What an account is opened with is read from rows that still waited. */
/* Found by power cuts (seed 20261150): the end of a request that a crash had taken, and the request
 * once more, in one batch; rows are written by kind, and the end came last. */
START_TEST(ended_and_begun_again_in_one_batch)
{
    struct ledger_op ops[4], *op = ops;
    open_at(WORLD_NOW_MS);
    begin_batch();
    world_end(op, 1, "ok");
    op = put(op, ERR_OK);
    op = put_hold(op, 1, 1, ERR_OK);
    end_batch();
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM request WHERE status = 'running'"), 1);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt"), 1);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(an_account_opened_within_a_batch)
{
    struct ledger_op ops[4], *op = ops;
    open_at(WORLD_NOW_MS);
    begin_batch();
    op = put_hold(op, 1, 1, ERR_OK);
    op = put_hold(op, 2, 1, ERR_OK);
    op = put_end(op, LEDGER_SETTLE, 2, 1, USD(1) * 1000);
    world_cap(db, "team", 1, "week", USD(3));
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    put_hold(op, 3, 1, ERR_OK);
    end_batch();
    ck_assert_int_eq(world_int(db, "SELECT pending_nusd FROM account WHERE window = 'week'"),
                     USD(2));
    ck_assert(world_is_sound(db));
}
END_TEST

/* The earlier request of an Idempotency-Key is a row when it is asked for. */
START_TEST(one_key_twice_in_a_batch)
{
    struct ledger_op ops[8], *op = ops;
    struct idempotency key;
    ck_assert_int_eq(idempotency_read(span_of("k"), "messages", span_of("b"), &key, NULL), 0);
    open_at(WORLD_NOW_MS);
    begin_batch();
    for (int n = 1; n <= 2; n++) {
        world_hold(op, n, 1, 1, USD(1));
        op->u.hold.request.idempotency = key;
        op = put(op, n == 1 ? ERR_OK : ERR_idempotency_running);
    }
    op = put_end(op, LEDGER_VOID, 1, 1, 0);
    world_end(op, 1, "error");
    op = put(op, ERR_OK);
    world_hold(op, 3, 1, 1, USD(1));
    op->u.hold.request.idempotency = key;
    put(op, ERR_OK); /* nothing was sent for the first */
    end_batch();
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM request"), 2);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(more_than_a_batch)
{
    enum { N = LEDGER_BATCH_MAX * 2 + 3 };
    struct ledger_op *ops = calloc(2 * N, sizeof(*ops)), *op = ops;
    world_sql(db, "DELETE FROM budget");
    open_at(WORLD_NOW_MS);
    begin_batch();
    for (int n = 1; n <= N; n++)
        op = put_hold(op, n, 1, ERR_OK);
    for (int n = 1; n <= N; n++)
        op = put_end(op, LEDGER_SETTLE, n, 1, 1000 * n);
    end_batch();
    free(ops);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"), N);
    ck_assert(world_is_sound(db));
}
END_TEST

/* A lost batch leaves nothing that a later one would write. */
START_TEST(poison_loses_the_batch)
{
    struct ledger_op ops[4], *op = ops;
    open_at(WORLD_NOW_MS);
    begin_batch();
    op = put_hold(op, 1, 1, ERR_OK);
    if (_i == 0) {
        world_hold(op, 2, 0, 1, USD(1)); /* there is no attempt number 0 */
        op = put(op, ERR_OK);
        ck_assert_int_eq(ledger_book_flush(book), LEDGER_POISON);
    } else {
        struct ledger_answer answer;
        world_hold(op, 1, 1, 1, USD(2)); /* other facts */
        ck_assert_int_eq(ledger_book_op(book, op++, &answer), LEDGER_POISON);
    }
    db_rollback(db);
    ck_assert_int_eq(ledger_book_reload(book, NULL), 0);
    begin_batch();
    put_hold(op, 3, 1, ERR_OK);
    end_batch();
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt"), 1);
    ck_assert(world_is_sound(db));
}
END_TEST

/* What a dead process left is recovered in batches; one row that is refused spoils no other. */
START_TEST(recovery_beside_a_row_that_is_refused)
{
    enum { N = LEDGER_BATCH_MAX + 10 };
    struct ledger_op *ops = calloc(N, sizeof(*ops)), *op = ops;
    world_sql(db, "DELETE FROM budget");
    open_at(WORLD_NOW_MS);
    begin_batch();
    for (int n = 1; n <= N; n++)
        op = put_hold(op, n, n == 7 ? 2 : 1, ERR_OK);
    end_batch();
    free(ops);
    ledger_book_close(book);
    world_sql(db, "CREATE TRIGGER no BEFORE UPDATE ON attempt WHEN OLD.n = 2"
                  " BEGIN SELECT RAISE(ABORT, 'no'); END");
    open_at(WORLD_NOW_MS);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt WHERE state = 'SENT'"), 1);
    ledger_book_close(book);
    world_sql(db, "DROP TRIGGER no");
    open_at(WORLD_NOW_MS);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"), N);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM request WHERE status = 'running'"), 0);
    ck_assert(world_is_sound(db));
}
END_TEST

/* A trigger, whatever the statement says of conflicts. */
START_TEST(what_has_ended_stays)
{
    static const char *const sql[] = {
        "UPDATE attempt SET state = 'SENT'", "UPDATE attempt SET end_reason = 'other'",
        "UPDATE OR IGNORE attempt SET charge_nusd = 1, cost_pusd = 1000",
        "UPDATE OR REPLACE attempt SET n = 2", "UPDATE OR FAIL attempt SET input_tok = 0"};
    static const char facts[] =
        "SELECT count(*) FROM attempt WHERE state = 'SETTLED' AND n = 1 AND charge_nusd = 5"
        " AND input_tok = 100 AND end_reason <> 'other'";
    struct ledger_op ops[2], *op = ops;
    open_at(WORLD_NOW_MS);
    begin_batch();
    op = put_hold(op, 1, 1, ERR_OK);
    put_end(op, LEDGER_SETTLE, 1, 1, 5000);
    end_batch();
    ck_assert_int_eq(world_int(db, facts), 1);
    for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]); i++) {
        ck_assert_int_eq(sqlite3_exec(db_handle(db), sql[i], NULL, NULL, NULL) & 0xff,
                         SQLITE_CONSTRAINT);
        ck_assert_int_eq(world_int(db, facts), 1);
    }
    ck_assert(world_is_sound(db));
}
END_TEST

Suite *ledger_book_suite(void);
Suite *ledger_book_suite(void)
{
    Suite *s = suite_create("ledger_book");
    TCase *t = tcase_create("book");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_clock_set_back_before_a_restart);
    tcase_add_test(t, growth_must_fit_a_cap_that_came_later);
    tcase_add_loop_test(t, a_month_that_a_new_zone_makes_longer, 0, 2);
    suite_add_tcase(s, t);
    t = tcase_create("batches");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, lives_in_one_batch);
    tcase_add_test(t, ended_and_begun_again_in_one_batch);
    tcase_add_test(t, an_account_opened_within_a_batch);
    tcase_add_test(t, one_key_twice_in_a_batch);
    tcase_add_test(t, more_than_a_batch);
    tcase_add_test(t, what_has_ended_stays);
    tcase_add_test(t, recovery_beside_a_row_that_is_refused);
    tcase_add_loop_test(t, poison_loses_the_batch, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
