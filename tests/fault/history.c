#define _GNU_SOURCE
/* Batches as in router/ledger.c, without its thread. */
#include "tests/fault/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/unit/ledger_world.h"

#define RECOVERY_MS (WORLD_NOW_MS + 60000)

char history_path[WORLD_PATH_MAX];
int history_log_lines, history_poisoned;

static void note(const char *line)
{
    (void)line;
    history_log_lines++;
}

void history_fresh(struct fault_disk *ret)
{
    static const struct fault_disk empty;
    fault_load(&empty);
    struct db *db = world_open(history_path);
    for (int i = 0; i < SCRIPT_CAPS; i++)
        world_cap(db, script_caps[i].scope, script_caps[i].owner_id, script_caps[i].window,
                  script_caps[i].cap_nusd);
    db_close(db);
    fault_save(ret);
}

/* ---- a run ---- */

enum run_result run_open(struct run *r, const struct witness *before)
{
    struct fail why = {0};
    memset(r, 0, sizeof(*r));
    r->seen = *before;
    r->attempted = *before;
    witness_recover(&r->attempted);
    r->db = db_open(history_path, DB_OWN, &why);
    if (r->db != NULL)
        r->book = ledger_book_open(r->db, RECOVERY_MS, note, &why);
    if (r->book == NULL)
        return RUN_DIED;
    r->seen = r->attempted;
    return RUN_OK;
}

void run_close(struct run *r, bool dies)
{
    if (dies)
        fault_die();
    ledger_book_close(r->book);
    db_close(r->db);
    r->book = NULL;
    r->db = NULL;
}

static enum ledger_write write_events(struct run *r, const struct script *s, const int *events,
                                      int n)
{
    enum ledger_write w = db_begin(r->db, NULL) == 0 ? LEDGER_WROTE : ledger_db_trouble(r->db);
    struct ledger_op ops[SCRIPT_EVENTS]; /* the book's until the flush */
    r->attempted = r->seen;
    for (int i = 0; i < n && w == LEDGER_WROTE; i++) {
        const struct script_event *e = &s->events[events[i]];
        struct ledger_answer answer;
        script_op(s, e, &ops[i]);
        memset(&answer, 0, sizeof(answer));
        w = ledger_book_op(r->book, &ops[i], &answer);
        if (w == LEDGER_WROTE)
            witness_take(&r->attempted, e, &answer);
    }
    if (w == LEDGER_WROTE)
        w = ledger_book_flush(r->book);
    if (w == LEDGER_WROTE && db_commit(r->db, NULL) != 0)
        w = ledger_db_trouble(r->db) == LEDGER_NO_ROOM ? LEDGER_NO_ROOM : LEDGER_BROKEN;
    if (w == LEDGER_WROTE)
        r->seen = r->attempted;
    return w;
}

/* As ledger.c's write_twice: with savepoints only when a row was refused. */
static enum ledger_write write_twice(struct run *r, const struct script *s, const int *events,
                                     int n)
{
    struct ledger_book_counts before = ledger_book_counts(r->book);
    ledger_book_careful(r->book, false);
    enum ledger_write w = write_events(r, s, events, n);
    ledger_book_careful(r->book, true);
    if (w != LEDGER_POISON)
        return w;
    history_poisoned++;
    db_rollback(r->db);
    if (ledger_book_reload(r->book, NULL) != 0)
        return LEDGER_BROKEN;
    ledger_book_recount(r->book, &before);
    return write_events(r, s, events, n);
}

/* As ledger.c's lose_batch and put_aside. */
static enum run_result lose(struct run *r, const struct script *s, const int *events, int n)
{
    r->no_room = true;
    for (int i = 0; i < n; i++) {
        enum ledger_op_kind kind = s->events[events[i]].kind;
        if (kind == LEDGER_HOLD || kind == LEDGER_EXTEND)
            r->n_refused++;
        else
            r->kept[r->n_kept++] = events[i];
    }
    return RUN_OK;
}

static enum run_result try_events(struct run *r, const struct script *s, const int *events, int n,
                                  bool *ret_lost)
{
    enum ledger_write w = write_twice(r, s, events, n);
    assert(w != LEDGER_POISON);
    *ret_lost = w == LEDGER_NO_ROOM;
    if (w == LEDGER_WROTE)
        return RUN_OK;
    if (w != LEDGER_NO_ROOM)
        return RUN_DIED;
    db_rollback(r->db);
    return ledger_book_reload(r->book, NULL) == 0 ? RUN_OK : RUN_DIED;
}

enum run_result run_kept(struct run *r, const struct script *s)
{
    bool lost = false;
    if (r->n_kept > 0 && try_events(r, s, r->kept, r->n_kept, &lost) != RUN_OK)
        return RUN_DIED;
    r->no_room = lost;
    r->n_kept = lost ? r->n_kept : 0;
    return RUN_OK;
}

enum run_result run_batch(struct run *r, const struct script *s, int batch)
{
    int events[SCRIPT_EVENTS], n = 0;
    for (int i = s->begin[batch]; i < s->begin[batch + 1]; i++)
        events[n++] = i;
    if (r->no_room && run_kept(r, s) != RUN_OK)
        return RUN_DIED;
    bool lost = r->no_room;
    if (!lost && try_events(r, s, events, n, &lost) != RUN_OK)
        return RUN_DIED;
    return lost ? lose(r, s, events, n) : RUN_OK;
}

enum run_result run_step(struct run *r, const struct script *s, int batch)
{
    static const int modes[] = {0, SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART,
                                SQLITE_CHECKPOINT_TRUNCATE};
    if (run_batch(r, s, batch) != RUN_OK)
        return RUN_DIED;
    r->attempted = r->seen;
    if (s->checkpoint[batch] == SCRIPT_NO_CHECKPOINT || r->no_room)
        return RUN_OK;
    /* As db_checkpoint does when the WAL is long. */
    int rc = sqlite3_wal_checkpoint_v2(db_handle(r->db), "main", modes[s->checkpoint[batch]], NULL,
                                       NULL);
    return rc == SQLITE_OK || (rc & 0xff) == SQLITE_FULL ? RUN_OK : RUN_DIED;
}

/* ---- recorded ---- */

bool history_record(struct history *ret, const struct fault_disk *disk, const struct witness *begin,
                    const struct script *s, int first_batch, int last_batch)
{
    struct run *r = malloc(sizeof(*r));
    memset(ret, 0, sizeof(*ret));
    ret->first_batch = first_batch;
    ret->seen = malloc((size_t)(last_batch - first_batch + 2) * sizeof(*ret->seen));
    assert(r != NULL && ret->seen != NULL);
    ret->seen[0] = *begin;
    fault_load(disk);
    bool ok = run_open(r, begin) == RUN_OK;
    for (int batch = first_batch; ok; batch++) {
        ret->n++;
        ret->done_at[ret->n] = fault_count();
        ret->seen[ret->n] = r->seen;
        if (batch == last_batch)
            break;
        ok = run_step(r, s, batch) == RUN_OK && !r->no_room;
    }
    ok = ok && !r->seen.disagrees;
    run_close(r, false);
    ret->log = fault_log_take();
    free(r);
    return ok;
}

void history_free(struct history *h)
{
    fault_log_free(h->log);
    free(h->seen);
    memset(h, 0, sizeof(*h));
}

int history_step_at(const struct history *h, int k)
{
    int step = 0;
    while (step < h->n && h->done_at[step + 1] <= k)
        step++;
    return step;
}

/* ---- after a crash ---- */

static uint64_t mix(uint64_t hash, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_rows(uint64_t hash, struct db *db, struct sqlite3_stmt *s)
{
    while (db_step(db, s, NULL) == 1) {
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const void *v = sqlite3_column_blob(s, i);
            int type = sqlite3_column_type(s, i);
            hash = mix(hash, &type, sizeof(type));
            if (v != NULL)
                hash = mix(hash, v, (size_t)sqlite3_column_bytes(s, i));
        }
    }
    sqlite3_reset(s);
    return hash;
}

/* Of everything that the ledger writes. */
static uint64_t hash_tables(struct db *db)
{
    uint64_t h = 0xcbf29ce484222325u;
    h = hash_rows(h, db, db_stmt(db, "SELECT * FROM request ORDER BY id"));
    h = hash_rows(h, db, db_stmt(db, "SELECT * FROM attempt ORDER BY id"));
    h = hash_rows(h, db, db_stmt(db, "SELECT * FROM entry ORDER BY attempt_id, kind, n"));
    return hash_rows(h, db, db_stmt(db, "SELECT * FROM account ORDER BY id"));
}

static bool is_whole(struct db *db)
{
    struct sqlite3_stmt *s = db_stmt(db, "PRAGMA integrity_check");
    bool ok = db_step(db, s, NULL) == 1 && strcmp(db_col_text(s, 0), "ok") == 0;
    if (!ok)
        fprintf(stderr, "integrity_check: %s\n", db_col_text(s, 0));
    sqlite3_reset(s);
    return ok;
}

static bool is_one_of(struct run *r, const struct witness *seen, const struct witness *attempted,
                      struct witness *ret)
{
    const struct witness *found[] = {seen, attempted};
    for (int i = 0; i < 2; i++) {
        r->seen = *found[i];
        witness_recover(&r->seen);
        if (!witness_agrees(&r->seen, r->db, false))
            continue;
        if (ret != NULL)
            *ret = *found[i];
        return true;
    }
    r->seen = *seen;
    witness_recover(&r->seen);
    witness_agrees(&r->seen, r->db, true);
    return false;
}

/* I18. */
static bool recovers_once(struct run *r)
{
    struct fail why = {0};
    uint64_t before = hash_tables(r->db);
    ledger_book_close(r->book);
    r->book = ledger_book_open(r->db, RECOVERY_MS + 1000, note, &why);
    if (r->book == NULL)
        fprintf(stderr, "it does not open again: %s\n", why.text);
    else if (hash_tables(r->db) == before)
        return true;
    else
        fprintf(stderr, "opening again changes something\n");
    return false;
}

static bool goes_on(struct run *r, int first_batch, int last_batch)
{
    const struct script *s = r->seen.script;
    for (int batch = first_batch; batch < last_batch && batch < s->n_batches; batch++) {
        if (run_batch(r, s, batch) != RUN_OK || r->no_room) {
            fprintf(stderr, "it does not go on with batch %d\n", batch);
            return false;
        }
    }
    struct ledger_stats stats = {0};
    ledger_book_stats(r->book, &stats);
    bool held = stats.held_nusd == witness_held_nusd(&r->seen);
    if (!held)
        fprintf(stderr, "held: %lld by the ledger, %lld by the witness\n",
                (long long)stats.held_nusd, (long long)witness_held_nusd(&r->seen));
    return held && !r->seen.disagrees && witness_agrees(&r->seen, r->db, true);
}

bool disk_is_right(const struct fault_disk *disk, const struct witness *seen,
                   const struct witness *attempted, int first_batch, int last_batch,
                   struct witness *ret)
{
    struct run *r = malloc(sizeof(*r));
    struct fail why = {0};
    assert(r != NULL);
    memset(r, 0, sizeof(*r));
    fault_load(disk);
    r->db = db_open(history_path, DB_OWN, &why);
    if (r->db != NULL)
        r->book = ledger_book_open(r->db, RECOVERY_MS, note, &why);
    if (r->book == NULL)
        fprintf(stderr, "it does not open: %s\n", why.text);
    bool ok = r->book != NULL && is_one_of(r, seen, attempted, ret) && recovers_once(r) &&
              goes_on(r, first_batch, last_batch) && world_is_sound(r->db) && is_whole(r->db);
    run_close(r, false);
    free(r);
    return ok;
}
