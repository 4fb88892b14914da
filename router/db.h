/* SQLite, wrapped once: opening with the pragmas that the ledger needs, cached prepared
 * statements, transactions, migrations, the exclusive lock of the database file.
 *
 * Exactly one connection of the one owning process writes or checkpoints (Debian 12's
 * 3.40.1 can corrupt a WAL that two connections write or checkpoint; docs/architecture.md
 * "Database").  sqlite3.h is included only by db.c and *_db.c.
 * Thread: a struct db belongs to one thread at a time. */
#ifndef ROUTER_DB_H
#define ROUTER_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/err.h"
#include "schema/span.h"

struct db;
struct sqlite3_stmt;
struct sqlite3;

enum db_mode {
    DB_OWN, /* the writer: takes PATH.lock (flock), creates and migrates the file */
    DB_READ /* a reader in the owning process: query_only, never checkpoints */
};

/* NULL with reterr.  DB_OWN fails with ERR_ledger_down when another process owns it, and
 * when the file is newer than this program ("... schema version 9, this program knows 3"). */
struct db *db_open(const char *path, enum db_mode mode, struct fail *reterr);
/* Does f say that another process owns the file? */
bool db_fail_is_owned(const struct fail *f);
void db_close(struct db *db);
struct sqlite3 *db_handle(struct db *db);
const char *db_path(const struct db *db);

/* The last owner of the file was killed, or ended itself in trouble: the pages deserve a look
 * (PRAGMA quick_check).  Stays true over restarts until db_set_checked. Any thread. */
bool db_was_unclean(const struct db *db);
void db_set_checked(struct db *db);
/* Any thread, for a reader: what it runs now fails, and so does all that it runs later. */
void db_interrupt(struct db *db);
/* On the reader's thread: between the two calls db_interrupt also ends what SQLite does in a single
 * step (PRAGMA quick_check); nothing may be prepared there. */
void db_long_step(struct db *db, bool on);

/* A prepared statement, kept for the life of the connection and reset here.  sql must be a
 * string literal (the cache is keyed by its address). Asserts that it compiles; without memory for
 * that it is a statement whose step says so. */
struct sqlite3_stmt *db_stmt(struct db *db, const char *sql);

/* Resets every statement: the connection's view of the file ends and the next statement sees
 * what was committed since.  By a reader, after each question. */
void db_rest(struct db *db);

/* 0 or -1 (reterr: ERR_ledger_down with SQLite's message). */
int db_begin(struct db *db, struct fail *reterr);
int db_commit(struct db *db, struct fail *reterr);
void db_rollback(struct db *db);

/* One view of the file for several questions: the caller's transaction where there is one, else one
 * of our own, in which nothing is written.  The end needs no memory. */
int db_snapshot(struct db *db, bool *ret_own, struct fail *reterr);
void db_snapshot_end(struct db *db, bool own);

/* A consistent copy of the database into dest (must not exist), fsynced.  Outside any
 * transaction, from either kind of connection: a reader copies its snapshot while the writer
 * goes on. */
int db_backup(struct db *db, const char *dest, struct fail *reterr);
/* Copies the WAL back, by the writer and when it is long; cheap otherwise.  -1: an I/O error,
 * after which only a restart tells what is in the file. */
int db_checkpoint(struct db *db);
/* The WAL is as long as it should become, and begins anew once nobody reads what is in it.
 * Any thread. */
bool db_log_is_long(const struct db *writer);
/* Before a read that takes long: waits until that is over, so that reads which overlap do not make
 * it longer without end; DB_LOG_WAIT_MS at most, and no longer than until *stop (__atomic).
 * Any thread that may block. */
void db_wait_for_log(const struct db *writer, const bool *stop);
int db_schema_version(struct db *db);
int db_schema_known(void);

/* ---- binding and reading, so that *_db.c stays short ---- */
void db_bind_int(struct sqlite3_stmt *s, int i, int64_t v);
void db_bind_text(struct sqlite3_stmt *s, int i, const char *v); /* NULL binds NULL; copied */
void db_bind_span(struct sqlite3_stmt *s, int i, struct span v);
void db_bind_blob(struct sqlite3_stmt *s, int i, const void *v, size_t n);
/* 1 = row, 0 = done, -1 = error (reterr). */
int db_step(struct db *db, struct sqlite3_stmt *s, struct fail *reterr);
int64_t db_col_int(struct sqlite3_stmt *s, int col);
bool db_col_null(struct sqlite3_stmt *s, int col);
const char *db_col_text(struct sqlite3_stmt *s,
                        int col); /* "" for NULL; valid until the next step */
/* Cut to fit; "" for NULL. */
void db_col_copy(struct sqlite3_stmt *s, int col, char *out, size_t cap);
const void *db_col_blob(struct sqlite3_stmt *s, int col, size_t *ret_len);
int64_t db_last_id(struct db *db);
int db_changes(struct db *db);

#endif
