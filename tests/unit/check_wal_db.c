#define _GNU_SOURCE
/* The log in few writes: how many reach the file, and that nobody sees another content. */
#include <check.h>
#include <string.h>

#include <sqlite3.h>

#include "router/wal_db.h"
#include "tests/unit/ledger_world.h"

enum { ROWS = 400, ROW_BYTES = 1000, SPILLED_ROWS = 20000 };

static char path[WORLD_PATH_MAX];

/* ---- the file below, which counts what is written to it ---- */

static sqlite3_io_methods counted;
static const sqlite3_io_methods *real_methods;
static int n_writes, n_longest;

static int count_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    n_writes++;
    n_longest = n > n_longest ? n : n_longest;
    return real_methods->xWrite(f, bytes, n, at);
}

/* The real file stands in the memory behind ours. */
static void count_writes(struct db *db)
{
    sqlite3_file *log = NULL;
    int rc =
        sqlite3_file_control(db_handle(db), "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log);
    ck_assert_int_eq(rc, SQLITE_OK);
    int behind = sqlite3_vfs_find(wal_db_vfs())->szOsFile - sqlite3_vfs_find(NULL)->szOsFile;
    sqlite3_file *real = (sqlite3_file *)(void *)((char *)log + behind);
    real_methods = real->pMethods;
    counted = *real_methods;
    counted.xWrite = count_write;
    real->pMethods = &counted;
    n_writes = n_longest = 0;
}

static void setup(void)
{
    world_path(path);
}

static void teardown(void)
{
    world_remove(path);
}

static void write_rows(struct db *db, int n)
{
    struct sqlite3_stmt *s = db_stmt(db, "INSERT INTO t(v) VALUES (zeroblob(?1))");
    for (int i = 0; i < n; i++) {
        db_bind_int(s, 1, ROW_BYTES);
        ck_assert_int_eq(db_step(db, s, NULL), 0);
        sqlite3_reset(s);
    }
}

static struct db *open_table(void)
{
    struct db *db = world_open(path);
    world_sql(db, "CREATE TABLE t(v BLOB)");
    return db;
}

/* A hundred pages: 200 pieces for SQLite. */
START_TEST(a_commit_is_few_writes)
{
    struct db *db = open_table();
    struct db *reader = db_open(path, DB_READ, NULL);
    ck_assert_ptr_nonnull(reader);
    count_writes(db);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    write_rows(db, ROWS);
    ck_assert_int_eq(world_int(reader, "SELECT count(*) FROM t"), 0);
    db_rest(reader);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    ck_assert_int_ge(n_writes, 1);
    ck_assert_int_le(n_writes, 1 + ROWS * ROW_BYTES * 3 / 2 / WAL_GATHER_MAX + 1);
    ck_assert_int_le(n_longest, WAL_GATHER_MAX);
    ck_assert_int_gt(n_longest, WAL_GATHER_MAX / 2);
    ck_assert_int_eq(world_int(reader, "SELECT count(*) FROM t"), ROWS);
    ck_assert_int_eq(world_int(reader, "SELECT sum(length(v)) FROM t"), ROWS * ROW_BYTES);
    db_close(reader);
    db_close(db);
}
END_TEST

/* More than the page cache holds: frames are read back, and written over after a rollback. */
START_TEST(a_transaction_larger_than_the_cache_reads_its_own_frames)
{
    struct db *db = open_table();
    ck_assert_int_eq(db_begin(db, NULL), 0);
    write_rows(db, SPILLED_ROWS);
    ck_assert_int_eq(world_int(db, "SELECT sum(length(v)) FROM t"), SPILLED_ROWS * ROW_BYTES);
    world_sql(db, "UPDATE t SET v = zeroblob(10)");
    ck_assert_int_eq(world_int(db, "SELECT sum(length(v)) FROM t"), SPILLED_ROWS * 10);
    db_rollback(db);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM t"), 0);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    write_rows(db, ROWS);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    db_close(db);
    db = world_open(path);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM t"), ROWS);
    ck_assert_int_eq(world_int(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    db_close(db);
}
END_TEST

Suite *wal_db_suite(void);
Suite *wal_db_suite(void)
{
    Suite *s = suite_create("wal_db");
    TCase *t = tcase_create("wal_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_commit_is_few_writes);
    tcase_add_test(t, a_transaction_larger_than_the_cache_reads_its_own_frames);
    suite_add_tcase(s, t);
    return s;
}
