#define _GNU_SOURCE
/* The audit of a running server: silent over whatever rightly happens, loud over damage. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/audit_step_db.h"
#include "router/ledger_book.h"
#include "tests/unit/ledger_world.h"

static struct db *db;
static struct ledger_book *book;
static struct audit_cursor *cursor;
static char found[1024]; /* invariants, a space before each */

static void on_violation(void *ctx, const char *invariant, const char *detail)
{
    (void)ctx;
    (void)detail;
    ck_assert_uint_lt(strlen(found), sizeof(found) - 20);
    strncat(found, " ", 2);
    strncat(found, invariant, 16);
}

static const char *step(void)
{
    struct fail why = {0};
    found[0] = '\0';
    int rc = audit_db_step(db, cursor, on_violation, NULL, &why);
    ck_assert_msg(rc == 0, "%s", why.text);
    return found;
}

static void write_op(struct ledger_op *op)
{
    struct ledger_answer answer;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

static void hold(int n, int64_t key)
{
    struct ledger_op op = {0};
    world_hold(&op, n, 1, key, CENTS(10));
    write_op(&op);
}

static void finish(int n, enum ledger_op_kind kind)
{
    struct ledger_op op = {0};
    world_settle(&op, kind, n, 1, 7000500 + n);
    write_op(&op);
}

static void setup(void)
{
    db = world_open(NULL);
    world_cap(db, "team", 1, "month", USD(500));
    world_cap(db, "key", 3, "day", USD(500));
    book = ledger_book_open(db, WORLD_NOW_MS, NULL, NULL);
    cursor = audit_cursor_new();
    for (int i = 1; i <= 6; i++)
        hold(i, 1 + i % 3);
    finish(1, LEDGER_SETTLE);
    finish(2, LEDGER_VOID);
    ck_assert_str_eq(step(), "");
}

static void teardown(void)
{
    audit_cursor_free(cursor);
    ledger_book_close(book);
    db_close(db);
}

START_TEST(a_long_run_is_silent)
{
    unsigned seed = 7;
    int next = 7, oldest = 3;
    for (int i = 0; i < 2000; i++) {
        int what = rand_r(&seed) % 10;
        if (what < 5)
            hold(next++, 1 + rand_r(&seed) % 3);
        else if (oldest < next)
            finish(oldest++, what == 9 ? LEDGER_VOID : LEDGER_SETTLE);
        if (rand_r(&seed) % 3 == 0 && next - oldest > 4) /* not in the order of admission */
            finish(next - 2, LEDGER_SETTLE);
        if (rand_r(&seed) % 20 == 0)
            ck_assert_str_eq(step(), "");
        if (i == 1000) { /* a crash: what runs is resolved */
            ledger_book_close(book);
            book = ledger_book_open(db, WORLD_NOW_MS + 100000, NULL, NULL);
            next += 200000;
            oldest = next;
        }
    }
    ck_assert_str_eq(step(), "");
    ck_assert(world_is_sound(db));
}
END_TEST

/* An account that is new, a cap that came later. */
START_TEST(new_windows_are_silent)
{
    world_cap(db, "key", 1, "week", USD(500));
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_recap(book), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    hold(10, 1);
    finish(10, LEDGER_SETTLE);
    ck_assert_str_eq(step(), "");
    finish(3, LEDGER_SETTLE);
    ck_assert_str_eq(step(), "");
}
END_TEST

/* Sums that change rightly by another way than an ending: the exact sums are asked for. */
START_TEST(a_correction_is_silent)
{
    hold(10, 1);
    finish(10, LEDGER_SETTLE);
    ck_assert_str_eq(step(), "");
    world_sql(db, "INSERT INTO entry SELECT attempt_id, 'correction', 2, 50, 0 FROM entry e"
                  " WHERE kind = 'post' AND attempt_id = (SELECT max(id) FROM attempt)");
    world_sql(db, "UPDATE account SET posted_nusd = posted_nusd + 50 WHERE (scope, owner_id) IN"
                  " (VALUES ('key', 1), ('team', 1))");
    ck_assert_str_eq(step(), "");
    ck_assert_str_eq(step(), "");
}
END_TEST

#define UNLOCK                                                                                     \
    "DROP TRIGGER attempt_ends_once; DROP TRIGGER attempt_facts; DROP TRIGGER attempt_stays;"      \
    "DROP TRIGGER attempt_hold_grows; DROP TRIGGER entry_keeps; DROP TRIGGER entry_stays;"         \
    "DROP TRIGGER account_grows;"
#define OLD "(SELECT max(id) FROM attempt WHERE state = 'SETTLED' AND admitted_ms < 1795588475130)"
#define NEW "(SELECT max(id) FROM attempt WHERE state = 'SETTLED')"

static const struct {
    const char *want, *damage;
} damages[] = {
    {" I2", "UPDATE account SET posted_nusd = posted_nusd + 1 WHERE scope = 'key' AND owner_id = 2"
            " AND window = 'total'"},
    {" I2", "UPDATE account SET pending_nusd = pending_nusd - 1 WHERE scope = 'team'"
            " AND owner_id = 1 AND window = 'month'"},
    {" I2", "UPDATE account SET pending_nusd = pending_nusd + 1 WHERE scope = 'key'"
            " AND owner_id = 3 AND window = 'day'"},
    {" I2", "UPDATE entry SET amount_nusd = 1 WHERE kind = 'hold' AND attempt_id = " NEW},
    {" I2", "UPDATE entry SET amount_nusd = 1 WHERE kind = 'hold' AND attempt_id = " OLD},
    {" I9", "UPDATE attempt SET sent_ms = NULL WHERE id = " NEW},
    {" I5", "INSERT INTO entry SELECT id, 'post', 1, 5, 0 FROM attempt WHERE state = 'SENT'"
            " LIMIT 1"},
    {" I6", "DELETE FROM entry WHERE kind = 'post' AND attempt_id = " OLD},
    {" I6", "DELETE FROM entry WHERE kind = 'release' AND attempt_id ="
            " (SELECT max(id) FROM attempt WHERE state = 'VOID')"},
    {" I6", "UPDATE entry SET amount_nusd = amount_nusd + 1 WHERE kind = 'post' AND attempt_id"
            " = " NEW},
    {" I11", "UPDATE attempt SET cost_pusd = cost_pusd + 1000 WHERE id = " NEW},
};

/* Attempts 3 and 4 ran at the last look, 20 and 21 came since. */
START_TEST(damage_is_found)
{
    char *text = NULL;
    finish(3, LEDGER_SETTLE);
    hold(20, 2);
    hold(21, 3);
    finish(20, LEDGER_SETTLE);
    finish(21, LEDGER_VOID);
    ck_assert_int_eq(sqlite3_exec(db_handle(db), UNLOCK, NULL, NULL, NULL), SQLITE_OK);
    int rc = sqlite3_exec(db_handle(db), damages[_i].damage, NULL, NULL, &text);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", damages[_i].damage, text);
    ck_assert_int_ge(db_changes(db), 1);
    step();
    ck_assert_msg(strstr(found, damages[_i].want) != NULL, "%s:%s", damages[_i].damage, found);
}
END_TEST

START_TEST(each_account_exactly)
{
    int64_t row = 0;
    int n = 0;
    found[0] = '\0';
    ck_assert_int_eq(sqlite3_exec(db_handle(db),
                                  UNLOCK "UPDATE account SET posted_nusd = posted_nusd + 1 WHERE"
                                         " scope = 'key' AND owner_id = 2",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    for (;;) {
        ck_assert_int_eq(audit_db_next_account(db, row, &row, on_violation, NULL, NULL), 0);
        if (row == 0)
            break;
        n++;
    }
    ck_assert_int_eq(n, (int)world_int(db, "SELECT count(*) FROM account"));
    ck_assert_str_eq(found, " I2");
    ck_assert_int_eq(audit_db_is_small(db, 6, NULL), 1);
    ck_assert_int_eq(audit_db_is_small(db, 5, NULL), 0);
    ck_assert_int_eq(audit_db_pages(db, on_violation, NULL, NULL), 0);
    ck_assert_str_eq(found, " I2");
}
END_TEST

/* Asked for each running attempt: not by reading every account that there ever was. */
START_TEST(accounts_of_an_attempt_by_index)
{
    char *plan = world_plan(db, "AND start_ms <= ?3 AND end_ms > ?3");
    ck_assert_msg(strstr(plan, "SCAN") == NULL, "%s", plan);
    ck_assert_ptr_nonnull(strstr(plan, "SEARCH account USING INDEX"));
    free(plan);
}
END_TEST

Suite *audit_step_db_suite(void);
Suite *audit_step_db_suite(void)
{
    Suite *s = suite_create("audit_step_db");
    TCase *t = tcase_create("audit_step_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, a_long_run_is_silent);
    tcase_add_test(t, new_windows_are_silent);
    tcase_add_test(t, a_correction_is_silent);
    tcase_add_loop_test(t, damage_is_found, 0, sizeof(damages) / sizeof(damages[0]));
    tcase_add_test(t, each_account_exactly);
    tcase_add_test(t, accounts_of_an_attempt_by_index);
    suite_add_tcase(s, t);
    return s;
}
