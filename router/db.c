#define _GNU_SOURCE
/* The one place where SQLite is opened, locked, migrated and backed up. */
#include "router/db.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "migrations/migrations.h"
#include "router/ballast.h"
#include "router/owner.h"
#include "router/wal_db.h"

enum {
    DB_STMT_MAX = 1024, /* slots of the statement cache, a power of two */
    DB_APPLICATION_ID = 0x57415946,
    DB_CHECKPOINT_PAGES = 1024, /* 4 MiB of WAL: worth a passive checkpoint */
    DB_RESTART_PAGES = 16384,   /* 64 MiB: readers have kept the WAL from being reused */
    DB_LOG_WAIT_MS = 10000,
    DB_LOG_LOOK_MS = 20,
    DB_BACKUP_STEP_PAGES = 256,
    DB_PROGRESS_OPS = 10000 /* about a millisecond */
};

static const char ROLLBACK[] = "ROLLBACK";
/* What stands for a statement that could not be compiled: it takes any arguments, and fails as that
 * did. */
static const char STARVED[] = "SELECT no_memory(), ?64";

struct db {
    sqlite3 *handle;
    enum db_mode mode;
    int lock_fd;  /* -1: none (reader, ":memory:") */
    bool unclean; /* __atomic */
    int wal_pages;
    bool log_is_long; /* __atomic */
    int n_stmts;
    sqlite3_stmt *starved;
    bool interrupted;          /* __atomic */
    pthread_mutex_t step_lock; /* of in_long_step, and of interrupting it */
    bool in_long_step;
    char path[PATH_MAX];
    struct {
        const char *sql; /* the literal's address is the key */
        sqlite3_stmt *stmt;
    } cache[DB_STMT_MAX];
};

/* ---- the lock of the file ---- */

/* One database, one lock, whatever name it is called by. */
static int lock_path(const char *path, char ret[PATH_MAX + 8])
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) {
        char dir[PATH_MAX], base[PATH_MAX], real_dir[PATH_MAX];
        snprintf(dir, sizeof(dir), "%s", path);
        snprintf(base, sizeof(base), "%s", path);
        if (realpath(dirname(dir), real_dir) == NULL)
            return -1;
        int n = snprintf(real, sizeof(real), "%s/%s", real_dir, basename(base));
        if (n < 0 || (size_t)n >= sizeof(real)) {
            errno = ENAMETOOLONG;
            return -1;
        }
    }
    snprintf(ret, PATH_MAX + 8, "%s.lock", real);
    return 0;
}

#define OWNED "is in use by another wayfare process"

/* There is one code for all that goes wrong at the start. */
bool db_fail_is_owned(const struct fail *f)
{
    return f->code == ERR_ledger_down && strstr(f->text, OWNED) != NULL;
}

static long lock_holder(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return strtol(text, NULL, 10);
}

/* The lock file stays when we leave: removing it would let two processes lock two files.  A clean
 * leave empties it: a pid that is found in a free one is that of a process that died. */
static int lock_take(struct db *db, struct fail *reterr)
{
    char path[PATH_MAX + 8];
    if (lock_path(db->path, path) != 0)
        return fail_set(reterr, ERR_ledger_down, NULL, "database %s cannot be opened: %s", db->path,
                        strerror(errno));
    db->lock_fd = owner_open(path, db->path);
    if (db->lock_fd < 0) {
        char what[PATH_MAX + 64];
        snprintf(what, sizeof(what), "%s cannot be opened", path);
        return owner_fail(what, path, errno, reterr);
    }
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            fail_set(reterr, ERR_ledger_down, NULL, "%s cannot be locked: %s", path,
                     strerror(errno));
        else
            fail_set(reterr, ERR_ledger_down, NULL, "database %s " OWNED " (pid %ld)", db->path,
                     lock_holder(db->lock_fd));
        close(db->lock_fd); /* what stands in it is another's: db_close would empty it */
        db->lock_fd = -1;
        return -1;
    }
    char text[32];
    db->unclean = lock_holder(db->lock_fd) != 0;
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    /* On a full disk nobody learns our pid; the lock holds all the same. */
    bool written = pwrite(db->lock_fd, text, (size_t)n, 0) == n && ftruncate(db->lock_fd, n) == 0;
    if (!written && errno != ENOSPC)
        return fail_set(reterr, ERR_ledger_down, NULL, "%s cannot be written: %s", path,
                        strerror(errno));
    return 0;
}

/* Created by us with mode 0600 before SQLite sees it (it gives its side files the same
 * mode), which needs no change of the process-wide umask. */
static int file_create(const char *path, struct fail *reterr)
{
    int fd = owner_open(path, NULL);
    if (fd < 0) {
        char what[PATH_MAX + 64];
        snprintf(what, sizeof(what), "database %s cannot be written", path);
        return owner_fail(what, path, errno, reterr);
    }
    close(fd);
    return 0;
}

/* ---- opening ---- */

static int sqlite_fail(struct db *db, const char *doing, struct fail *reterr)
{
    int code = sqlite3_extended_errcode(db->handle);
    return fail_set(reterr, ERR_ledger_down, NULL, "database %s: %s: %s (%d)", db->path, doing,
                    sqlite3_errmsg(db->handle), code);
}

static int run(struct db *db, const char *sql, struct fail *reterr)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return sqlite_fail(db, sql, reterr);
}

/* One integer of a fixed question; `missing` when there is no row. */
static int ask(struct db *db, const char *sql, int64_t *ret, struct fail *reterr)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
        return sqlite_fail(db, sql, reterr);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    if (rc == SQLITE_ROW)
        return 0;
    return sqlite_fail(db, sql, reterr);
}

static int on_wal(void *ctx, sqlite3 *handle, const char *schema, int pages)
{
    (void)handle;
    (void)schema;
    ((struct db *)ctx)->wal_pages = pages;
    return SQLITE_OK;
}

static int on_progress(void *ctx)
{
    return __atomic_load_n(&((struct db *)ctx)->interrupted, __ATOMIC_RELAXED);
}

/* Settings of both modes; each reason is in docs/architecture.md "Database". */
static int configure(struct db *db, struct fail *reterr)
{
    static const int switches[][2] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                      {SQLITE_DBCONFIG_DQS_DDL, 0},
                                      {SQLITE_DBCONFIG_DQS_DML, 0},
                                      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}};
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        int rc = sqlite3_db_config(db->handle, switches[i][0], switches[i][1], (int *)NULL);
        assert(rc == SQLITE_OK);
    }
    if (db->mode == DB_READ) {
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
        sqlite3_busy_timeout(db->handle, 2000);
        sqlite3_progress_handler(db->handle, DB_PROGRESS_OPS, on_progress, db);
        return run(db,
                   "PRAGMA query_only=1; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
                   "PRAGMA cell_size_check=1;",
                   reterr);
    }
    sqlite3_busy_timeout(db->handle, 0);
    if (run(db,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=1;"
            "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cell_size_check=1;"
            "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;"
            "PRAGMA cache_size=-8192;",
            reterr) != 0)
        return -1;
    sqlite3_wal_hook(db->handle, on_wal, db);
    return 0;
}

/* Before anything is written to it: is this file ours? */
static int check_identity(struct db *db, struct fail *reterr)
{
    int64_t id = 0, tables = 0, version = 0;
    if (ask(db, "PRAGMA application_id", &id, reterr) != 0 ||
        ask(db, "SELECT count(*) FROM sqlite_schema", &tables, reterr) != 0 ||
        ask(db, "PRAGMA user_version", &version, reterr) != 0)
        return -1;
    if (id != DB_APPLICATION_ID && (id != 0 || tables != 0 || version != 0))
        return fail_set(reterr, ERR_ledger_down, NULL,
                        "%s is an SQLite database, but not one of wayfare", db->path);
    if (version > migrations_count)
        return fail_set(reterr, ERR_ledger_down, NULL,
                        "database %s belongs to a newer wayfare (schema version %lld, this program "
                        "knows %d): run that, or restore the backup made before the upgrade",
                        db->path, (long long)version, migrations_count);
    return 0;
}

static int migrate_one(struct db *db, const struct migration *m, struct fail *reterr)
{
    if (run(db, "BEGIN IMMEDIATE", reterr) != 0)
        return -1;
    if (sqlite3_exec(db->handle, m->sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_set(reterr, ERR_ledger_down, NULL, "database %s: migration %04d_%s: %s", db->path,
                 m->version, m->name, sqlite3_errmsg(db->handle));
        db_rollback(db);
        return -1;
    }
    if (run(db, "PRAGMA application_id=0x57415946; COMMIT", reterr) == 0)
        return 0;
    db_rollback(db);
    return -1;
}

static int migrate(struct db *db, struct fail *reterr)
{
    int64_t version = 0;
    if (ask(db, "PRAGMA user_version", &version, reterr) != 0)
        return -1;
    for (int i = (int)version; i < migrations_count; i++) {
        if (migrate_one(db, &migrations[i], reterr) != 0)
            return -1;
    }
    return 0;
}

static int open_handle(struct db *db, struct fail *reterr)
{
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
        (db->mode == DB_OWN ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    const char *vfs = db->mode == DB_OWN ? wal_db_vfs() : NULL;
    if (sqlite3_open_v2(db->path, &db->handle, flags, vfs) != SQLITE_OK)
        return sqlite_fail(db, "cannot be opened", reterr);
    return 0;
}

static int open_owned(struct db *db, struct fail *reterr)
{
    bool memory = strcmp(db->path, ":memory:") == 0;
    if (!memory && (lock_take(db, reterr) != 0 || file_create(db->path, reterr) != 0))
        return -1;
    if (!memory)
        ballast_make_way(db->path);
    if (open_handle(db, reterr) != 0 || check_identity(db, reterr) != 0)
        return -1;
    if (configure(db, reterr) != 0 || migrate(db, reterr) != 0)
        return -1;
    if (sqlite3_db_readonly(db->handle, "main") != 0)
        return fail_set(reterr, ERR_ledger_down, NULL, "database %s cannot be written", db->path);
    return 0;
}

static int open_read(struct db *db, struct fail *reterr)
{
    if (open_handle(db, reterr) != 0 || configure(db, reterr) != 0)
        return -1;
    return check_identity(db, reterr);
}

/* Counting every allocation takes a process-wide mutex each time, a tenth of the ledger's CPU. */
static void configure_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static void no_memory(sqlite3_context *c, int n, sqlite3_value **values)
{
    (void)n;
    (void)values;
    sqlite3_result_error_nomem(c);
}

/* Compiled while there is memory, for when there is none: see db_rollback and db_stmt. */
static int keep_at_hand(struct db *db, struct fail *reterr)
{
    if (sqlite3_create_function(db->handle, "no_memory", 0, SQLITE_UTF8, NULL, no_memory, NULL,
                                NULL) != SQLITE_OK)
        return sqlite_fail(db, "cannot be used", reterr);
    db->starved = db_stmt(db, STARVED);
    if (db->starved == NULL || db_stmt(db, ROLLBACK) == db->starved)
        return fail_set(reterr, ERR_ledger_down, NULL, "%s: out of memory", db->path);
    return 0;
}

struct db *db_open(const char *path, enum db_mode mode, struct fail *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_sqlite);
    if (strlen(path) >= PATH_MAX) {
        fail_set(reterr, ERR_ledger_down, NULL, "the database's path is too long");
        return NULL;
    }
    struct db *db = calloc(1, sizeof(*db));
    if (db == NULL) {
        fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
        return NULL;
    }
    db->mode = mode;
    db->lock_fd = -1;
    pthread_mutex_init(&db->step_lock, NULL);
    snprintf(db->path, sizeof(db->path), "%s", path);
    if ((mode == DB_OWN ? open_owned(db, reterr) : open_read(db, reterr)) == 0 &&
        keep_at_hand(db, reterr) == 0)
        return db;
    db_close(db);
    return NULL;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    for (int i = 0; i < DB_STMT_MAX; i++)
        sqlite3_finalize(db->cache[i].stmt);
    int rc = sqlite3_close(db->handle);
    assert(rc == SQLITE_OK); /* else a statement outside the cache was left open */
    if (db->lock_fd >= 0) {
        if (!db_was_unclean(db) && ftruncate(db->lock_fd, 0) != 0)
            db->unclean = true; /* the next start takes a look for nothing */
        close(db->lock_fd);
    }
    pthread_mutex_destroy(&db->step_lock);
    free(db);
}

struct sqlite3 *db_handle(struct db *db)
{
    return db->handle;
}

bool db_was_unclean(const struct db *db)
{
    return __atomic_load_n(&db->unclean, __ATOMIC_RELAXED);
}

void db_set_checked(struct db *db)
{
    __atomic_store_n(&db->unclean, false, __ATOMIC_RELAXED);
}

/* Elsewhere not sqlite3_interrupt: that makes also the next prepare fail, and is forgotten after
 * it. */
void db_interrupt(struct db *db)
{
    __atomic_store_n(&db->interrupted, true, __ATOMIC_RELAXED);
    pthread_mutex_lock(&db->step_lock);
    if (db->in_long_step)
        sqlite3_interrupt(db->handle);
    pthread_mutex_unlock(&db->step_lock);
}

void db_long_step(struct db *db, bool on)
{
    pthread_mutex_lock(&db->step_lock);
    db->in_long_step = on;
    pthread_mutex_unlock(&db->step_lock);
}

const char *db_path(const struct db *db)
{
    return db->path;
}

int db_schema_known(void)
{
    return migrations_count;
}

int db_schema_version(struct db *db)
{
    int64_t version = 0;
    return ask(db, "PRAGMA user_version", &version, NULL) == 0 ? (int)version : -1;
}

/* ---- statements and transactions ---- */

struct sqlite3_stmt *db_stmt(struct db *db, const char *sql)
{
    size_t slot = ((uintptr_t)sql * 0x9e3779b97f4a7c15u >> 40) % DB_STMT_MAX;
    while (db->cache[slot].sql != NULL && db->cache[slot].sql != sql)
        slot = (slot + 1) % DB_STMT_MAX;
    sqlite3_stmt **stmt = &db->cache[slot].stmt;
    if (db->cache[slot].sql == sql) {
        sqlite3_reset(*stmt);
        sqlite3_clear_bindings(*stmt);
        return *stmt;
    }
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    if ((rc & 0xff) == SQLITE_NOMEM) {
        if (db->starved != NULL) {
            sqlite3_reset(db->starved);
            sqlite3_clear_bindings(db->starved);
        }
        return db->starved;
    }
    if (rc != SQLITE_OK) {
        fprintf(stderr, "wayfare: %s: %s\n", sqlite3_errmsg(db->handle), sql);
        abort();
    }
    db->n_stmts++;
    assert(db->n_stmts <= DB_STMT_MAX / 2); /* else sql is not a literal */
    db->cache[slot].sql = sql;
    return *stmt;
}

int db_begin(struct db *db, struct fail *reterr)
{
    return run(db, db->mode == DB_OWN ? "BEGIN IMMEDIATE" : "BEGIN", reterr);
}

int db_commit(struct db *db, struct fail *reterr)
{
    return run(db, "COMMIT", reterr);
}

/* Some errors (disk full, I/O) have rolled back by themselves already.  The statement is at hand: a
 * rollback that had to be compiled would fail where it is needed most, without memory, and leave a
 * transaction in which no other can begin. */
void db_rollback(struct db *db)
{
    if (sqlite3_get_autocommit(db->handle) != 0)
        return;
    sqlite3_stmt *s = db_stmt(db, ROLLBACK);
    sqlite3_step(s);
    sqlite3_reset(s);
}

int db_snapshot(struct db *db, bool *ret_own, struct fail *reterr)
{
    *ret_own = sqlite3_get_autocommit(db->handle) != 0;
    return *ret_own ? run(db, "BEGIN", reterr) : 0;
}

void db_snapshot_end(struct db *db, bool own)
{
    if (own)
        db_rollback(db);
}

int db_checkpoint(struct db *db)
{
    assert(db->mode == DB_OWN);
    bool restart = db->log_is_long || db->wal_pages >= DB_RESTART_PAGES;
    if (!restart && db->wal_pages < DB_CHECKPOINT_PAGES)
        return 0;
    int mode = restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
    int rc = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, NULL, NULL);
    db->wal_pages = 0; /* the next commit says how long it is */
    __atomic_store_n(&db->log_is_long, restart && rc != SQLITE_OK, __ATOMIC_RELAXED);
    int primary = rc & 0xff;
    bool later = primary == SQLITE_BUSY || primary == SQLITE_LOCKED || primary == SQLITE_FULL ||
                 primary == SQLITE_NOMEM;
    return rc == SQLITE_OK || later ? 0 : -1;
}

bool db_log_is_long(const struct db *writer)
{
    return __atomic_load_n(&writer->log_is_long, __ATOMIC_RELAXED);
}

void db_wait_for_log(const struct db *writer, const bool *stop)
{
    const struct timespec look = {.tv_nsec = DB_LOG_LOOK_MS * 1000000L};
    for (int ms = 0; ms < DB_LOG_WAIT_MS && db_log_is_long(writer); ms += DB_LOG_LOOK_MS) {
        if (__atomic_load_n(stop, __ATOMIC_RELAXED))
            return;
        nanosleep(&look, NULL);
    }
}

/* ---- backup ---- */

static bool is_interrupted(const struct db *db)
{
    return __atomic_load_n(&db->interrupted, __ATOMIC_RELAXED);
}

static int backup_pages(struct db *db, sqlite3 *to, struct fail *reterr)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", db->handle, "main");
    if (backup == NULL)
        return fail_set(reterr, ERR_ledger_down, NULL, "backup: %s", sqlite3_errmsg(to));
    int rc;
    do {
        rc = sqlite3_backup_step(backup, DB_BACKUP_STEP_PAGES);
    } while (rc == SQLITE_OK && !is_interrupted(db));
    int finish = sqlite3_backup_finish(backup);
    if (rc == SQLITE_DONE && finish == SQLITE_OK)
        return 0;
    return fail_set(reterr, ERR_ledger_down, NULL, "backup: %s", sqlite3_errstr(rc));
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    close(fd);
    return rc;
}

static int sync_backup(const char *dest, struct fail *reterr)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", dest);
    if (sync_path(dest, O_RDONLY) == 0 && sync_path(dirname(dir), O_RDONLY | O_DIRECTORY) == 0)
        return 0;
    return fail_set(reterr, ERR_ledger_down, NULL, "backup %s: %s", dest, strerror(errno));
}

/* All steps read the snapshot of one read transaction, so writers neither disturb nor wait. */
static int backup_snapshot(struct db *db, const char *dest, struct fail *reterr)
{
    sqlite3 *to = NULL;
    int64_t ignored = 0;
    int rc = -1;
    if (run(db, "BEGIN", reterr) != 0)
        return -1;
    if (sqlite3_open_v2(dest, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        fail_set(reterr, ERR_ledger_down, NULL, "backup %s: %s", dest, sqlite3_errmsg(to));
    else if (ask(db, "SELECT count(*) FROM sqlite_schema", &ignored, reterr) == 0)
        rc = backup_pages(db, to, reterr);
    sqlite3_close(to);
    db_rollback(db);
    return rc;
}

int db_backup(struct db *db, const char *dest, struct fail *reterr)
{
    assert(sqlite3_get_autocommit(db->handle) != 0);
    if (strlen(dest) >= PATH_MAX)
        return fail_set(reterr, ERR_bad_request, "dest", "the destination's path is too long");
    int fd = open(dest, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_set(
            reterr, ERR_bad_request, "dest", "%s cannot be created: %s%s", dest, strerror(errno),
            errno == EACCES ? " (a server in its sandbox writes only beside the database; "
                              "the command `wayfare backup` writes where you may)"
                            : "");
    close(fd);
    if (backup_snapshot(db, dest, reterr) == 0 && sync_backup(dest, reterr) == 0)
        return 0;
    unlink(dest);
    return -1;
}

/* ---- binding and reading ---- */

static void bound(int rc)
{
    assert(rc == SQLITE_OK || rc == SQLITE_NOMEM || rc == SQLITE_TOOBIG);
}

void db_bind_int(struct sqlite3_stmt *s, int i, int64_t v)
{
    bound(sqlite3_bind_int64(s, i, v));
}

void db_bind_text(struct sqlite3_stmt *s, int i, const char *v)
{
    bound(v == NULL ? sqlite3_bind_null(s, i)
                    : sqlite3_bind_text64(s, i, v, strlen(v), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void db_bind_span(struct sqlite3_stmt *s, int i, struct span v)
{
    bound(sqlite3_bind_text64(s, i, v.ptr != NULL ? v.ptr : "", v.len, SQLITE_TRANSIENT,
                              SQLITE_UTF8));
}

void db_bind_blob(struct sqlite3_stmt *s, int i, const void *v, size_t n)
{
    bound(v == NULL ? sqlite3_bind_null(s, i) : sqlite3_bind_blob64(s, i, v, n, SQLITE_TRANSIENT));
}

int db_step(struct db *db, struct sqlite3_stmt *s, struct fail *reterr)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    sqlite_fail(db, "cannot run a statement", reterr);
    sqlite3_reset(s);
    return -1;
}

int64_t db_col_int(struct sqlite3_stmt *s, int col)
{
    return sqlite3_column_int64(s, col);
}

bool db_col_null(struct sqlite3_stmt *s, int col)
{
    return sqlite3_column_type(s, col) == SQLITE_NULL;
}

const char *db_col_text(struct sqlite3_stmt *s, int col)
{
    const unsigned char *text = sqlite3_column_text(s, col);
    return text != NULL ? (const char *)text : "";
}

void db_col_copy(struct sqlite3_stmt *s, int col, char *out, size_t cap)
{
    struct span text = span_of(db_col_text(s, col));
    size_t n = text.len < cap ? text.len : cap - 1;
    memcpy(out, text.ptr, n);
    out[n] = '\0';
}

const void *db_col_blob(struct sqlite3_stmt *s, int col, size_t *ret_len)
{
    const void *blob = sqlite3_column_blob(s, col);
    *ret_len = (size_t)sqlite3_column_bytes(s, col);
    return blob;
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int db_changes(struct db *db)
{
    return sqlite3_changes(db->handle);
}

void db_rest(struct db *db)
{
    sqlite3 *handle = db_handle(db);
    for (sqlite3_stmt *s = sqlite3_next_stmt(handle, NULL); s != NULL;
         s = sqlite3_next_stmt(handle, s)) {
        sqlite3_reset(s);
    }
}
