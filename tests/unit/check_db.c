#define _GNU_SOURCE
/* Opening, locking, migrating, backing up. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "migrations/migrations.h"
#include "tests/unit/ledger_world.h"

static char path[WORLD_PATH_MAX];

static void setup(void)
{
    world_path(path);
}

static void teardown(void)
{
    world_remove(path);
}

/* Writes to the file behind db.c's back. */
static void raw_sql(const char *sql)
{
    sqlite3 *h = NULL;
    ck_assert_int_eq(sqlite3_open(path, &h), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static void refused(enum db_mode mode, const char *part)
{
    struct fail why = {0};
    ck_assert_ptr_null(db_open(path, mode, &why));
    ck_assert_int_eq(why.code, ERR_ledger_down);
    ck_assert_msg(strstr(why.text, part) != NULL, "%s", why.text);
}

START_TEST(a_new_file_is_private_and_migrated)
{
    struct db *db = world_open(path);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    char wal[WORLD_PATH_MAX + 8];
    snprintf(wal, sizeof(wal), "%s-wal", path);
    ck_assert_int_eq(stat(wal, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(db_schema_version(db), db_schema_known());
    ck_assert_int_eq(db_schema_known(), migrations_count);
    ck_assert_int_eq(world_int(db, "PRAGMA application_id"), 0x57415946);
    db_close(db);
}
END_TEST

START_TEST(settings)
{
    struct db *db = world_open(path);
    ck_assert_int_eq(world_int(db, "PRAGMA synchronous"), 2);
    ck_assert_int_eq(world_int(db, "PRAGMA foreign_keys"), 1);
    ck_assert_int_eq(world_int(db, "PRAGMA wal_autocheckpoint"), 0);
    ck_assert_int_eq(world_int(db, "PRAGMA busy_timeout"), 0);
    ck_assert_int_eq(world_int(db, "PRAGMA trusted_schema"), 0);
    ck_assert_int_eq(world_int(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    int on = 0;
    sqlite3_db_config(db_handle(db), SQLITE_DBCONFIG_DEFENSIVE, -1, &on);
    ck_assert_int_eq(on, 1);
    sqlite3_db_config(db_handle(db), SQLITE_DBCONFIG_DQS_DML, -1, &on);
    ck_assert_int_eq(on, 0);
    db_close(db);
}
END_TEST

START_TEST(reopening_keeps_what_was_written)
{
    struct db *db = world_open(path);
    world_cap(db, "team", 1, "day", USD(5));
    db_close(db);
    db = world_open(path);
    ck_assert_int_eq(world_int(db, "SELECT cap_nusd FROM budget"), USD(5));
    db_close(db);
}
END_TEST

START_TEST(one_owner_at_a_time)
{
    struct db *db = world_open(path);
    char part[96];
    snprintf(part, sizeof(part), "is in use by another wayfare process (pid %ld)", (long)getpid());
    refused(DB_OWN, part);
    refused(DB_OWN, part); /* who was refused has left the owner's pid where it was */
    struct fail why;
    char other[WORLD_PATH_MAX + 8]; /* the same file by another name */
    snprintf(other, sizeof(other), "%s", path);
    char *slash = strrchr(other, '/');
    snprintf(slash, 16, "/./w.db");
    ck_assert_ptr_null(db_open(other, DB_OWN, &why));
    db_close(db);
    db_close(world_open(path));
}
END_TEST

/* The lock dies with its process, however that ends. */
START_TEST(a_dead_owner_leaves_no_lock)
{
    db_close(world_open(path));
    pid_t child = fork();
    if (child == 0) {
        struct db *db = db_open(path, DB_OWN, NULL);
        _exit(db != NULL ? 0 : 1); /* without closing */
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    db_close(world_open(path));
}
END_TEST

/* That its pages are to be looked at is known whoever was refused meanwhile: `wayfare backup` is,
 * each time. */
START_TEST(a_dead_owner_is_known_by_its_lock)
{
    db_close(world_open(path));
    pid_t child = fork();
    if (child == 0) {
        struct db *db = db_open(path, DB_OWN, NULL);
        struct db *refused = db_open(path, DB_OWN, NULL);
        _exit(db != NULL && refused == NULL ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    struct db *db = world_open(path);
    ck_assert(db_was_unclean(db));
    db_close(db);
}
END_TEST

START_TEST(a_newer_schema_is_refused_and_left_alone)
{
    db_close(world_open(path));
    raw_sql("PRAGMA user_version = 9999");
    char part[192];
    snprintf(part, sizeof(part),
             "belongs to a newer wayfare (schema version 9999, this program knows %d): run that, "
             "or restore the backup",
             migrations_count);
    refused(DB_OWN, part);
    refused(DB_READ, part);
}
END_TEST

START_TEST(another_programs_database_is_refused)
{
    raw_sql("CREATE TABLE cookies(a); PRAGMA user_version = 1");
    refused(DB_OWN, "not one of wayfare");
    raw_sql("PRAGMA application_id = 7");
    refused(DB_OWN, "not one of wayfare");
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused)
{
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("not a database, not at all\n", f);
    fclose(f);
    refused(DB_OWN, "not a database");
}
END_TEST

START_TEST(a_missing_directory_is_told)
{
    struct fail why;
    ck_assert_ptr_null(db_open("/nonexistent/dir/w.db", DB_OWN, &why));
    ck_assert_msg(strstr(why.text, "No such file") != NULL, "%s", why.text);
}
END_TEST

/* As another user, since root may write everywhere. */
static int open_as_nobody(const char *expected)
{
    pid_t child = fork();
    if (child == 0) {
        struct fail why = {0};
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(9);
        struct db *db = db_open(path, DB_OWN, &why);
        _exit(db != NULL ? 1 : strstr(why.text, expected) != NULL ? 0 : 2);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

START_TEST(read_only_directory_and_file)
{
    char dir[WORLD_PATH_MAX], lock[WORLD_PATH_MAX + 8];
    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    snprintf(lock, sizeof(lock), "%s.lock", path);
    chmod(dir, 0555);
    ck_assert_int_eq(open_as_nobody("must be writable"), 0);
    chmod(dir, 0777);
    db_close(world_open(path));
    chmod(path, 0444);
    chmod(lock, 0666);
    ck_assert_int_eq(open_as_nobody("cannot be written"), 0);
}
END_TEST

static void expect_owner(const char *suffix, uid_t owner)
{
    char name[WORLD_PATH_MAX + 16];
    struct stat st;
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    ck_assert_int_eq(stat(name, &st), 0);
    ck_assert_msg(st.st_uid == owner && st.st_gid == owner, "%s belongs to %u:%u", name, st.st_uid,
                  st.st_gid);
}

/* Whoever owns the directory could have it lead to any file, and the lock is written to. */
START_TEST(a_lock_that_is_a_link)
{
    char lock[WORLD_PATH_MAX + 8], victim[WORLD_PATH_MAX + 8];
    struct fail why;
    snprintf(lock, sizeof(lock), "%s.lock", path);
    snprintf(victim, sizeof(victim), "%s.else", path);
    FILE *f = fopen(victim, "w");
    ck_assert_ptr_nonnull(f);
    fputs("precious", f);
    fclose(f);
    ck_assert_int_eq(symlink(victim, lock), 0);
    ck_assert_ptr_null(db_open(path, DB_OWN, &why));
    ck_assert_msg(strstr(why.text, ".lock cannot be opened") != NULL, "%s", why.text);
    struct stat st;
    ck_assert_int_eq(stat(victim, &st), 0);
    ck_assert_int_eq(st.st_size, 8);
    unlink(lock);
    unlink(victim);
}
END_TEST

/* What root leaves beside another user's database, that user's service must be able to open. */
START_TEST(root_gives_new_files_to_the_owner)
{
    enum { OTHER = 65534 };
    char dir[WORLD_PATH_MAX], lock[WORLD_PATH_MAX + 8];
    if (geteuid() != 0)
        return;
    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    snprintf(lock, sizeof(lock), "%s.lock", path);
    ck_assert_int_eq(chown(dir, OTHER, OTHER), 0);
    struct db *db = world_open(path);
    static const char *const suffixes[] = {"", ".lock", "-wal", "-shm"};
    for (int i = 0; i < 4; i++)
        expect_owner(suffixes[i], OTHER);
    db_close(db);
    ck_assert_int_eq(open_as_nobody(""), 256); /* it can */
    /* The file's owner counts, where there is a file; what is there already stays whose it is. */
    ck_assert_int_eq(chown(dir, 0, 0), 0);
    unlink(lock);
    db_close(world_open(path));
    expect_owner(".lock", OTHER);
    ck_assert_int_eq(chown(lock, 0, 0), 0);
    db_close(world_open(path));
    expect_owner(".lock", 0);
    /* ... and who cannot open it is told whose it is. */
    chmod(dir, 0777);
    ck_assert_int_eq(open_as_nobody("Permission denied: it belongs to root: run this as root"), 0);
    ck_assert_int_eq(chown(dir, OTHER, OTHER), 0);
    ck_assert_int_eq(open_as_nobody("it belongs to root: chown it to "), 0);
}
END_TEST

START_TEST(a_failing_migration_changes_nothing)
{
    db_close(world_open(path));
    raw_sql("PRAGMA user_version = 2"); /* 0003 will find its tables there already */
    refused(DB_OWN, "migration 0003_ledger");
    sqlite3 *h = NULL;
    sqlite3_stmt *s = NULL;
    ck_assert_int_eq(sqlite3_open(path, &h), SQLITE_OK);
    sqlite3_prepare_v2(h, "PRAGMA user_version", -1, &s, NULL);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    ck_assert_int_eq(sqlite3_column_int(s, 0), 2);
    sqlite3_finalize(s);
    sqlite3_close(h);
}
END_TEST

/* Killed in the middle of creating and migrating: the next open finds all or nothing. */
START_TEST(kill_while_migrating)
{
    for (int i = 0; i < 20; i++) {
        char copy[WORLD_PATH_MAX];
        memcpy(copy, path, sizeof(copy));
        world_path(path);
        pid_t child = fork();
        if (child == 0) {
            db_open(path, DB_OWN, NULL);
            pause();
        }
        usleep((useconds_t)(i * 400));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct db *db = world_open(path);
        ck_assert_int_eq(db_schema_version(db), migrations_count);
        ck_assert_int_eq(world_int(db, "SELECT count(*) FROM pragma_integrity_check"
                                       " WHERE integrity_check <> 'ok'"),
                         0);
        db_close(db);
        world_remove(path);
        memcpy(path, copy, sizeof(copy));
    }
}
END_TEST

START_TEST(readers_do_not_write)
{
    struct db *db = world_open(path);
    struct fail why = {0};
    struct db *reader = db_open(path, DB_READ, &why);
    ck_assert_msg(reader != NULL, "%s", why.text);
    ck_assert_int_eq(world_int(reader, "SELECT count(*) FROM team"), 2);
    ck_assert_int_eq(db_step(reader, db_stmt(reader, "DELETE FROM budget"), &why), -1);
    world_cap(db, "team", 1, "day", 1);
    ck_assert_int_eq(world_int(reader, "SELECT count(*) FROM budget"), 1);
    db_close(reader);
    db_close(db);
}
END_TEST

START_TEST(statements_are_kept_and_cleared)
{
    static const char sql[] = "SELECT ?1";
    struct db *db = world_open(NULL);
    struct sqlite3_stmt *s = db_stmt(db, sql);
    db_bind_int(s, 1, 42);
    ck_assert_int_eq(db_step(db, s, NULL), 1);
    ck_assert_int_eq(db_col_int(s, 0), 42);
    ck_assert_ptr_eq(db_stmt(db, sql), s);
    ck_assert_int_eq(db_step(db, s, NULL), 1);
    ck_assert(db_col_null(s, 0));
    ck_assert_str_eq(db_col_text(s, 0), "");
    db_close(db);
}
END_TEST

START_TEST(values_come_back_as_they_were)
{
    struct db *db = world_open(NULL);
    struct sqlite3_stmt *s = db_stmt(db, "SELECT ?1, ?2, ?3, ?4, ?5");
    db_bind_int(s, 1, INT64_MIN);
    db_bind_text(s, 2, "gr\xc3\xbc\xc3\x9f");
    db_bind_span(s, 3, (struct span){"abcdef", 3});
    db_bind_blob(s, 4, "\0\1\2", 3);
    db_bind_text(s, 5, NULL);
    ck_assert_int_eq(db_step(db, s, NULL), 1);
    ck_assert_int_eq(db_col_int(s, 0), INT64_MIN);
    ck_assert_str_eq(db_col_text(s, 1), "gr\xc3\xbc\xc3\x9f");
    ck_assert_str_eq(db_col_text(s, 2), "abc");
    size_t n;
    ck_assert_mem_eq(db_col_blob(s, 3, &n), "\0\1\2", 3);
    ck_assert_uint_eq(n, 3);
    ck_assert(db_col_null(s, 4));
    ck_assert_int_eq(db_step(db, s, NULL), 0);
    db_close(db);
}
END_TEST

START_TEST(transactions)
{
    struct db *db = world_open(NULL);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    world_cap(db, "team", 1, "day", 1);
    db_rollback(db);
    db_rollback(db); /* harmless */
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM budget"), 0);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    world_cap(db, "team", 1, "day", 1);
    ck_assert_int_eq(db_changes(db), 1);
    ck_assert_int_gt(db_last_id(db), 0);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM budget"), 1);
    struct fail why = {0};
    ck_assert_int_eq(db_commit(db, &why), -1);
    ck_assert_int_eq(why.code, ERR_ledger_down);
    db_close(db);
}
END_TEST

static void add_teams(struct db *db, int thousands)
{
    for (int i = 0; i < thousands; i++) {
        ck_assert_int_eq(db_begin(db, NULL), 0);
        struct sqlite3_stmt *s =
            db_stmt(db, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                        " INSERT INTO team(name, created_ms) SELECT hex(randomblob(30)), ?1"
                        " FROM n");
        db_bind_int(s, 1, i);
        ck_assert_int_eq(db_step(db, s, NULL), 0);
        ck_assert_int_eq(db_commit(db, NULL), 0);
    }
}

/* Enough to make the WAL long; afterwards its pages are in the file. */
START_TEST(checkpoints)
{
    struct db *db = world_open(path);
    struct stat before, after;
    db_checkpoint(db);
    stat(path, &before);
    add_teams(db, 6);
    stat(path, &after);
    ck_assert_int_eq(before.st_size, after.st_size); /* nothing is copied unasked */
    for (int i = 0; i < 20; i++) {
        world_sql(db, "UPDATE team SET created_ms = created_ms + 1");
        ck_assert_int_eq(db_checkpoint(db), 0);
    }
    stat(path, &after);
    ck_assert_int_gt(after.st_size, before.st_size + 100 * 4096);
    db_close(db);
}
END_TEST

static void check_copy(const char *dest, int64_t n_teams)
{
    struct fail why = {0};
    struct stat st;
    ck_assert_int_eq(stat(dest, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    struct db *copy = db_open(dest, DB_OWN, &why);
    ck_assert_msg(copy != NULL, "%s", why.text);
    ck_assert_int_eq(world_int(copy, "SELECT count(*) FROM team"), n_teams);
    ck_assert_int_eq(
        world_int(copy,
                  "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0);
    db_close(copy);
}

/* By the reader, while the writer is inside a transaction: the copy is the last commit. */
START_TEST(backup)
{
    struct db *db = world_open(path);
    struct db *reader = db_open(path, DB_READ, NULL);
    char dest[WORLD_PATH_MAX + 16], dest_lock[WORLD_PATH_MAX + 24];
    snprintf(dest, sizeof(dest), "%s.copy", path);
    snprintf(dest_lock, sizeof(dest_lock), "%s.lock", dest);
    struct fail why = {0};
    ck_assert_int_eq(db_begin(db, NULL), 0);
    world_sql(db, "INSERT INTO team(id, name, created_ms) VALUES (99, 'late', 0)");
    ck_assert_msg(db_backup(reader, dest, &why) == 0, "%s", why.text);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    check_copy(dest, 2);
    ck_assert_int_eq(db_backup(db, dest, &why), -1); /* exists */
    ck_assert_msg(strstr(why.text, "File exists") != NULL, "%s", why.text);
    check_copy(dest, 2);
    unlink(dest);
    ck_assert_msg(db_backup(db, dest, &why) == 0, "%s", why.text);
    check_copy(dest, 3);
    unlink(dest_lock);
    ck_assert_int_eq(db_backup(db, "/nonexistent/copy", &why), -1);
    db_close(reader);
    db_close(db);
}
END_TEST

static sqlite3_mem_methods memory;
static bool no_memory;

static void *scarce_malloc(int n)
{
    return no_memory ? NULL : memory.xMalloc(n);
}

static void *scarce_realloc(void *p, int n)
{
    return no_memory ? NULL : memory.xRealloc(p, n);
}

static void make_memory_scarce(void)
{
    sqlite3_mem_methods scarce;
    sqlite3_shutdown();
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), SQLITE_OK);
    scarce = memory;
    scarce.xMalloc = scarce_malloc;
    scarce.xRealloc = scarce_realloc;
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &scarce), SQLITE_OK);
}

static void make_memory_plenty(void)
{
    sqlite3_shutdown();
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
}

/* A transaction that could not be rolled back would be in the way of every other. */
START_TEST(a_rollback_needs_no_memory)
{
    make_memory_scarce();
    struct db *db = world_open(path);
    struct db *reader = db_open(path, DB_READ, NULL);
    ck_assert_ptr_nonnull(reader);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    world_sql(db, "INSERT INTO team(id, name, created_ms) VALUES (77, 'gone', 0)");
    ck_assert_int_eq(db_begin(reader, NULL), 0);
    no_memory = true;
    ck_assert_int_eq(db_begin(db, NULL), -1); /* there is none indeed */
    db_rollback(db);
    db_rollback(reader);
    no_memory = false;
    ck_assert_int_eq(sqlite3_get_autocommit(db_handle(db)), 1);
    ck_assert_int_eq(sqlite3_get_autocommit(db_handle(reader)), 1);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(db_begin(reader, NULL), 0);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM team WHERE id = 77"), 0);
    db_rollback(reader);
    db_rollback(db);
    db_close(reader);
    db_close(db);
    make_memory_plenty();
}
END_TEST

static int step_once(struct db *db, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT count(*) FROM team WHERE name = ?1 AND id > ?2");
    db_bind_text(s, 1, "x");
    db_bind_int(s, 2, 0);
    return db_step(db, s, reterr);
}

START_TEST(a_statement_without_memory)
{
    make_memory_scarce();
    struct db *db = world_open(path);
    struct fail f = {.text = ""};
    no_memory = true;
    ck_assert_int_eq(step_once(db, &f), -1);
    ck_assert_int_eq(step_once(db, &f), -1);
    no_memory = false;
    ck_assert_msg(strstr(f.text, "memory") != NULL, "%s", f.text);
    ck_assert_int_eq(step_once(db, &f), 1);
    db_close(db);
    make_memory_plenty();
}
END_TEST

/* A transaction that stays would show the reader the same view for good. */
START_TEST(a_snapshot_without_memory)
{
    bool own, inner;
    make_memory_scarce();
    struct db *db = world_open(path);
    ck_assert_int_eq(db_snapshot(db, &own, NULL), 0);
    ck_assert_int_eq(db_snapshot(db, &inner, NULL), 0);
    ck_assert(own && !inner);
    ck_assert_int_eq(db_step(db, db_stmt(db, "SELECT count(*) FROM team"), NULL), 1);
    no_memory = true;
    db_snapshot_end(db, inner);
    db_snapshot_end(db, own);
    no_memory = false;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    db_rollback(db);
    db_close(db);
    make_memory_plenty();
}
END_TEST

/* Readers keep the WAL from beginning anew; those that read for long wait for that first. */
START_TEST(the_log_of_long_readers)
{
    const bool stop = true, go_on = false;
    struct db *db = world_open(path), *reader = db_open(path, DB_READ, NULL);
    struct stat longer, after;
    char wal[PATH_MAX];
    snprintf(wal, sizeof(wal), "%s-wal", path);
    world_sql(reader, "BEGIN");
    ck_assert_int_eq(db_step(reader, db_stmt(reader, "SELECT count(*) FROM team"), NULL), 1);
    world_sql(db, "CREATE TABLE large(x)");
    for (int mib = 0; mib < 70; mib++)
        world_sql(db, "INSERT INTO large VALUES(randomblob(1048576))");
    ck_assert(!db_log_is_long(db));
    ck_assert_int_eq(db_checkpoint(db), 0);
    ck_assert(db_log_is_long(db));
    db_wait_for_log(db, &stop);
    ck_assert_int_eq(db_checkpoint(db), 0); /* also when nothing was written since */
    ck_assert(db_log_is_long(db));
    stat(wal, &longer);
    db_rest(reader);
    world_sql(reader, "ROLLBACK");
    ck_assert_int_eq(db_checkpoint(db), 0);
    ck_assert(!db_log_is_long(db));
    db_wait_for_log(db, &go_on);
    world_sql(db, "INSERT INTO large VALUES(randomblob(1048576))");
    stat(wal, &after);
    ck_assert_int_gt(longer.st_size, 70 << 20);
    ck_assert_int_le(after.st_size, 65 << 20); /* journal_size_limit cuts it when it begins anew */
    db_close(reader);
    db_close(db);
}
END_TEST

/* One that finds none is made later: nothing is lost by that, and a failure would end the process.
 */
START_TEST(a_checkpoint_without_memory)
{
    make_memory_scarce();
    struct db *db = world_open(path);
    struct stat before, after;
    add_teams(db, 30);
    stat(path, &before);
    no_memory = true;
    ck_assert_int_eq(db_checkpoint(db), 0);
    no_memory = false;
    stat(path, &after);
    ck_assert_int_eq(before.st_size, after.st_size);
    add_teams(db, 1);
    ck_assert_int_eq(db_checkpoint(db), 0);
    stat(path, &after);
    ck_assert_int_gt(after.st_size, before.st_size + 100 * 4096);
    db_close(db);
    make_memory_plenty();
}
END_TEST

START_TEST(migrations_are_numbered)
{
    for (int i = 0; i < migrations_count; i++) {
        ck_assert_int_eq(migrations[i].version, i + 1);
        char last[64];
        snprintf(last, sizeof(last), "PRAGMA user_version = %d;\n", i + 1);
        size_t n = strlen(migrations[i].sql);
        ck_assert_str_eq(migrations[i].sql + n - strlen(last), last);
    }
    ck_assert_str_eq(migrations[2].name, "ledger");
}
END_TEST

Suite *db_suite(void);
Suite *db_suite(void)
{
    Suite *s = suite_create("db");
    TCase *t = tcase_create("db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_new_file_is_private_and_migrated);
    tcase_add_test(t, settings);
    tcase_add_test(t, reopening_keeps_what_was_written);
    tcase_add_test(t, one_owner_at_a_time);
    tcase_add_test(t, a_dead_owner_leaves_no_lock);
    tcase_add_test(t, a_dead_owner_is_known_by_its_lock);
    tcase_add_test(t, a_newer_schema_is_refused_and_left_alone);
    tcase_add_test(t, another_programs_database_is_refused);
    tcase_add_test(t, a_file_that_is_no_database_is_refused);
    tcase_add_test(t, a_missing_directory_is_told);
    tcase_add_test(t, read_only_directory_and_file);
    tcase_add_test(t, a_lock_that_is_a_link);
    tcase_add_test(t, root_gives_new_files_to_the_owner);
    tcase_add_test(t, a_failing_migration_changes_nothing);
    tcase_add_test(t, kill_while_migrating);
    tcase_add_test(t, readers_do_not_write);
    tcase_add_test(t, statements_are_kept_and_cleared);
    tcase_add_test(t, values_come_back_as_they_were);
    tcase_add_test(t, transactions);
    tcase_add_test(t, a_rollback_needs_no_memory);
    tcase_add_test(t, a_checkpoint_without_memory);
    tcase_add_test(t, checkpoints);
    tcase_add_test(t, a_statement_without_memory);
    tcase_add_test(t, a_snapshot_without_memory);
    tcase_add_test(t, the_log_of_long_readers);
    tcase_add_test(t, backup);
    tcase_add_test(t, migrations_are_numbered);
    suite_add_tcase(s, t);
    return s;
}
