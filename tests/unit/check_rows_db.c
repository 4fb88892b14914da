/* Structures as rows. */
#include <check.h>

#include <sqlite3.h>

#include "router/rows_db.h"
#include "tests/unit/ledger_world.h"

struct pair {
    int a;
    const char *b;
};

static void pair_cell(struct sqlite3_context *ret, const void *all, int i, int column)
{
    const struct pair *p = (const struct pair *)all + i;
    if (column == 0)
        sqlite3_result_int(ret, p->a);
    else if (p->b != NULL)
        sqlite3_result_text(ret, p->b, -1, SQLITE_STATIC);
}

static const struct rows_kind pairs = {"pairs", "CREATE TABLE x(rows HIDDEN, a, b)", pair_cell};

static struct db *db;

static void setup(void)
{
    db = world_open(NULL);
    ck_assert_int_eq(rows_db_declare(db, &pairs, NULL), 0);
}

static void teardown(void)
{
    db_close(db);
}

static int64_t ask(struct sqlite3_stmt *s, const struct pair *all, int n)
{
    const struct rows rows = {all, n};
    rows_db_bind(s, 1, &rows);
    ck_assert_int_eq(db_step(db, s, NULL), 1);
    int64_t v = db_col_int(s, 0);
    sqlite3_reset(s);
    return v;
}

START_TEST(rows_are_read)
{
    static const struct pair all[] = {{1, "x"}, {2, NULL}, {40, "y"}};
    static const char sum[] = "SELECT sum(a) FROM pairs(?1)";
    ck_assert_int_eq(ask(db_stmt(db, sum), all, 3), 43);
    ck_assert_int_eq(ask(db_stmt(db, sum), all, 1), 1);
    ck_assert_int_eq(ask(db_stmt(db, "SELECT count(*) FROM pairs(?1)"), all, 0), 0);
    ck_assert_int_eq(ask(db_stmt(db, "SELECT a FROM pairs(?1) WHERE b IS NULL"), all, 3), 2);
    ck_assert_int_eq(
        ask(db_stmt(db, "SELECT p.a FROM pairs(?1) o JOIN pairs(?1) p ON p.a = o.a * 2"), all, 3),
        2);
}
END_TEST

START_TEST(rows_are_written)
{
    static const struct pair all[] = {{1, "x"}, {2, "y"}};
    const struct rows rows = {all, 2};
    world_sql(db, "CREATE TABLE t(a, b)");
    struct sqlite3_stmt *s = db_stmt(db, "INSERT INTO t SELECT a, b FROM pairs(?1)");
    rows_db_bind(s, 1, &rows);
    ck_assert_int_eq(db_step(db, s, NULL), 0);
    ck_assert_int_eq(db_changes(db), 2);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM t WHERE a = 2 AND b = 'y'"), 1);
}
END_TEST

START_TEST(without_rows_it_is_an_error)
{
    struct fail why = {0};
    struct sqlite3_stmt *s = db_stmt(db, "SELECT a FROM pairs(?1)");
    ck_assert_int_eq(db_step(db, s, &why), -1); /* not bound */
    s = NULL;
    ck_assert_int_ne(sqlite3_prepare_v2(db_handle(db), "SELECT a FROM pairs", -1, &s, NULL),
                     SQLITE_OK);
}
END_TEST

/* A second ledger on the same connection declares again; statements go on. */
START_TEST(twice_is_once)
{
    static const struct pair all[] = {{7, NULL}};
    static const char sum[] = "SELECT sum(a) FROM pairs(?1)";
    ck_assert_int_eq(ask(db_stmt(db, sum), all, 1), 7);
    ck_assert_int_eq(rows_db_declare(db, &pairs, NULL), 0);
    ck_assert_int_eq(ask(db_stmt(db, sum), all, 1), 7);
}
END_TEST

Suite *rows_db_suite(void);
Suite *rows_db_suite(void)
{
    Suite *s = suite_create("rows_db");
    TCase *t = tcase_create("rows");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, rows_are_read);
    tcase_add_test(t, rows_are_written);
    tcase_add_test(t, without_rows_it_is_an_error);
    tcase_add_test(t, twice_is_once);
    suite_add_tcase(s, t);
    return s;
}
