/* What changed since the last look. */
#include "router/audit_step_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

/* An account as it should be at the next look, ordered by row. */
struct expected {
    int64_t row;
    int64_t posted_nusd;  /* without what is admitted from since_ms on */
    int64_t pending_nusd; /* this look's running attempts */
};

struct audit_cursor {
    bool primed;
    int64_t since_ms; /* attempts admitted from here on are looked at */
    size_t n_accounts, cap_accounts;
    struct expected *accounts;
    size_t n_open, cap_open;
    struct id *open; /* ran at the last look and were admitted before since_ms */
};

/* One look. */
struct look {
    struct db *db;
    struct audit_cursor *c;
    audit_fn fn;
    void *ctx;
    struct fail *reterr;
};

struct audit_cursor *audit_cursor_new(void)
{
    return calloc(1, sizeof(struct audit_cursor));
}

void audit_cursor_free(struct audit_cursor *c)
{
    if (c == NULL)
        return;
    free(c->accounts);
    free(c->open);
    free(c);
}

static int out_of_memory(const struct look *l)
{
    return fail_set(l->reterr, ERR_internal, NULL, "out of memory");
}

/* ---- attempts ---- */

#define ENTRY(kind)                                                                                \
    "(SELECT e.amount_nusd FROM entry e WHERE e.attempt_id = a.id AND e.kind = '" kind "')"
#define HELD                                                                                       \
    "(SELECT sum(e.amount_nusd) FROM entry e WHERE e.attempt_id = a.id"                            \
    " AND e.kind IN ('hold', 'extend'))"
/* Invariant and text of what is wrong with attempt a, or NULL. */
#define WRONG                                                                                      \
    "CASE WHEN " HELD " IS NOT a.hold_nusd THEN 'I2 its hold entries are not its hold'"            \
    " WHEN a.state <> 'VOID' AND a.sent_ms IS NULL THEN 'I9 it was sent at no time'"               \
    " WHEN a.state NOT IN ('SETTLED', 'VOID') AND (" ENTRY("post") " IS NOT NULL OR " ENTRY(       \
        "release") " IS NOT NULL) THEN 'I5 it runs and has an end entry'"                          \
                   " WHEN a.state = 'SETTLED' AND (" ENTRY(                                        \
                       "post") " IS NOT a.charge_nusd "                                            \
                               "OR " ENTRY("release") " IS NOT NULL) "                             \
                                                      "THEN 'I6 its "                              \
                                                      "post is not "                               \
                                                      "its charge'"                                \
                                                      " WHEN a.state "                             \
                                                      "= 'VOID' AND "                              \
                                                      "(" ENTRY("rele"                             \
                                                                "ase") " IS NOT a.hold_nusd "      \
                                                                       "OR " ENTRY("post") " I"    \
                                                                                           "S "    \
                                                                                           "NO"    \
                                                                                           "T "    \
                                                                                           "NU"    \
                                                                                           "LL"    \
                                                                                           ") "    \
                                                                                           "TH"    \
                                                                                           "EN"    \
                                                                                           " '"    \
                                                                                           "I6"    \
                                                                                           " i"    \
                                                                                           "ts"    \
                                                                                           " r"    \
                                                                                           "el"    \
                                                                                           "ea"    \
                                                                                           "se"    \
                                                                                           " i"    \
                                                                                           "s "    \
                                                                                           "no"    \
                                                                                           "t "    \
                                                                                           "it"    \
                                                                                           "s "    \
                                                                                           "ho"    \
                                                                                           "ld"    \
                                                                                           "'"     \
                                                                                           " W"    \
                                                                                           "HE"    \
                                                                                           "N "    \
                                                                                           "a."    \
                                                                                           "st"    \
                                                                                           "at"    \
                                                                                           "e "    \
                                                                                           "= "    \
                                                                                           "'S"    \
                                                                                           "ET"    \
                                                                                           "TL"    \
                                                                                           "ED"    \
                                                                                           "' "    \
                                                                                           "AN"    \
                                                                                           "D "    \
                                                                                           "a."    \
                                                                                           "ch"    \
                                                                                           "ar"    \
                                                                                           "ge"    \
                                                                                           "_n"    \
                                                                                           "us"    \
                                                                                           "d "    \
                                                                                           "<>"    \
                                                                                           " a"    \
                                                                                           ".c"    \
                                                                                           "os"    \
                                                                                           "t_"    \
                                                                                           "pu"    \
                                                                                           "sd"    \
                                                                                           " /"    \
                                                                                           " 1"    \
                                                                                           "00"    \
                                                                                           "0 "    \
                                                                                           "+ "    \
                                                                                           "(a"    \
                                                                                           ".c"    \
                                                                                           "os"    \
                                                                                           "t_"    \
                                                                                           "pu"    \
                                                                                           "sd"    \
                                                                                           " %"    \
                                                                                           " 1"    \
                                                                                           "00"    \
                                                                                           "0 "    \
                                                                                           "> "    \
                                                                                           "0)"    \
                                                                                           " T"    \
                                                                                           "HE"    \
                                                                                           "N "    \
                                                                                           "'I"    \
                                                                                           "11"    \
                                                                                           " i"    \
                                                                                           "ts"    \
                                                                                           " c"    \
                                                                                           "ha"    \
                                                                                           "rg"    \
                                                                                           "e "    \
                                                                                           "is"    \
                                                                                           " n"    \
                                                                                           "ot"    \
                                                                                           " i"    \
                                                                                           "ts"    \
                                                                                           " c"    \
                                                                                           "os"    \
                                                                                           "t'"    \
                                                                                           " E"    \
                                                                                           "ND"

/* text: "I2 what is wrong", of attempt `id`. */
static void tell(const struct look *l, const char *id, const char *text)
{
    char invariant[16], detail[160];
    const char *space = strchr(text, ' ');
    snprintf(invariant, sizeof(invariant), "%.*s", (int)(space - text), text);
    snprintf(detail, sizeof(detail), "att_%s: %s", id, space + 1);
    l->fn(l->ctx, invariant, detail);
}

static int look_at_new_attempts(const struct look *l)
{
    struct sqlite3_stmt *s =
        db_stmt(l->db, "SELECT * FROM (SELECT lower(hex(a.id)), " WRONG " AS wrong FROM api_key k"
                       " CROSS JOIN attempt a ON a.key_id = k.id AND a.admitted_ms >= ?1)"
                       " WHERE wrong IS NOT NULL");
    db_bind_int(s, 1, l->c->since_ms);
    int rc;
    while ((rc = db_step(l->db, s, l->reterr)) == 1)
        tell(l, db_col_text(s, 0), db_col_text(s, 1));
    return rc;
}

static struct expected *find_account(const struct audit_cursor *c, int64_t row)
{
    size_t low = 0, high = c->n_accounts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->accounts[mid].row < row)
            low = mid + 1;
        else
            high = mid;
    }
    return low < c->n_accounts && c->accounts[low].row == row ? &c->accounts[low] : NULL;
}

/* Equalities, so that the unique index serves: this runs for each running attempt. */
#define COVERS(scope, owner)                                                                       \
    "scope = '" scope "' AND owner_id = " owner " AND start_ms <= ?3 AND end_ms > ?3"

/* Adds amounts to what is expected of each account that the attempt counts in. */
static int expect(const struct look *l, int64_t key_id, int64_t team_id, int64_t admitted_ms,
                  int64_t posted_nusd, int64_t pending_nusd)
{
    struct sqlite3_stmt *s = db_stmt(
        l->db, "SELECT id FROM account WHERE " COVERS(
                   "key", "?1") " UNION ALL SELECT id FROM account WHERE " COVERS("team", "?2"));
    db_bind_int(s, 1, key_id);
    db_bind_int(s, 2, team_id);
    db_bind_int(s, 3, admitted_ms);
    int rc;
    while ((rc = db_step(l->db, s, l->reterr)) == 1) {
        struct expected *e = find_account(l->c, db_col_int(s, 0));
        if (e != NULL) {
            e->posted_nusd += posted_nusd;
            e->pending_nusd += pending_nusd;
        }
    }
    return rc;
}

static int look_at_old_attempt(const struct look *l, const struct id *id)
{
    struct sqlite3_stmt *s = db_stmt(
        l->db, "SELECT key_id, team_id, admitted_ms, coalesce(charge_nusd, 0),"
               " state = 'SETTLED', lower(hex(a.id)), " WRONG " FROM attempt a WHERE a.id = ?1");
    db_bind_blob(s, 1, id->b, sizeof(id->b));
    int rc = db_step(l->db, s, l->reterr);
    if (rc != 1)
        return rc; /* 0: rolled up since */
    if (!db_col_null(s, 6))
        tell(l, db_col_text(s, 5), db_col_text(s, 6));
    if (db_col_int(s, 4) == 0)
        return 0;
    return expect(l, db_col_int(s, 0), db_col_int(s, 1), db_col_int(s, 2), db_col_int(s, 3), 0);
}

static int look_at_old_attempts(const struct look *l)
{
    for (size_t i = 0; i < l->c->n_open; i++) {
        if (look_at_old_attempt(l, &l->c->open[i]) != 0)
            return -1;
    }
    l->c->n_open = 0;
    return 0;
}

static bool remember_open(struct audit_cursor *c, const void *id)
{
    if (c->n_open == c->cap_open) {
        size_t cap = c->cap_open * 2 + 64;
        struct id *p = realloc(c->open, cap * sizeof(*p));
        if (p == NULL)
            return false;
        c->open = p;
        c->cap_open = cap;
    }
    memcpy(c->open[c->n_open++].b, id, sizeof(c->open[0].b));
    return true;
}

/* What runs now is what the accounts must have pending. */
static int look_at_running(const struct look *l, int64_t until_ms)
{
    struct sqlite3_stmt *s =
        db_stmt(l->db, "SELECT key_id, team_id, admitted_ms, hold_nusd, id FROM attempt"
                       " WHERE state NOT IN ('SETTLED', 'VOID')");
    int rc;
    while ((rc = db_step(l->db, s, l->reterr)) == 1) {
        size_t n;
        const void *id = db_col_blob(s, 4, &n);
        if (db_col_int(s, 2) < until_ms && !remember_open(l->c, id))
            return out_of_memory(l);
        if (expect(l, db_col_int(s, 0), db_col_int(s, 1), db_col_int(s, 2), 0, db_col_int(s, 3)))
            return -1;
    }
    return rc;
}

/* ---- accounts ---- */

/* Charges of the account's attempts from an instant on: ?1 (the last look's) or ?2 (this one's). */
#define TAIL(keys, from)                                                                           \
    "(SELECT coalesce(sum(a.charge_nusd), 0) FROM attempt a WHERE a.key_id " keys                  \
    " AND a.admitted_ms >= max(" from ", c.start_ms) AND a.admitted_ms < c.end_ms"                 \
    " AND a.state = 'SETTLED')"
#define TAILS(scope, keys)                                                                         \
    "SELECT c.id, c.posted_nusd, c.pending_nusd, " TAIL(keys, "?1") ", " TAIL(                     \
        keys, "?2") " FROM account c WHERE c.scope = '" scope                                      \
                    "' AND (c.end_ms > ?1 OR c.pending_nusd > 0)"

/* The accounts as they are: posted (less what is admitted from until_ms on, for the next look),
 * after comparing with what the last look makes of them.  New ones are taken for granted. */
struct account_look {
    struct expected next;
    int64_t posted_nusd, pending_nusd, tail_nusd;
};

static struct sqlite3_stmt *account_stmt(const struct look *l, int64_t until_ms)
{
    struct sqlite3_stmt *s = db_stmt(
        l->db,
        TAILS("key", "= c.owner_id") " UNION ALL " TAILS(
            "team", "IN (SELECT k.id FROM api_key k WHERE k.team_id = c.owner_id)") " ORDER BY 1");
    db_bind_int(s, 1, l->c->primed ? l->c->since_ms : until_ms);
    db_bind_int(s, 2, until_ms);
    return s;
}

static int read_accounts(const struct look *l, int64_t until_ms, struct account_look **ret,
                         size_t *ret_n)
{
    struct sqlite3_stmt *s = account_stmt(l, until_ms);
    size_t n = 0, cap = 0;
    int rc;
    *ret = NULL;
    while ((rc = db_step(l->db, s, l->reterr)) == 1) {
        if (n == cap) {
            cap = cap * 2 + 64;
            struct account_look *p = realloc(*ret, cap * sizeof(*p));
            if (p == NULL)
                return out_of_memory(l);
            *ret = p;
        }
        int64_t posted = db_col_int(s, 1);
        (*ret)[n++] = (struct account_look){
            .next = {.row = db_col_int(s, 0), .posted_nusd = posted - db_col_int(s, 4)},
            .posted_nusd = posted,
            .pending_nusd = db_col_int(s, 2),
            .tail_nusd = db_col_int(s, 3)};
    }
    *ret_n = n;
    return rc;
}

static int compare_posted(const struct look *l, const struct account_look *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct expected *e = find_account(l->c, rows[i].next.row);
        if (e != NULL && e->posted_nusd + rows[i].tail_nusd != rows[i].posted_nusd &&
            audit_db_account(l->db, rows[i].next.row, l->fn, l->ctx, l->reterr) != 0)
            return -1;
    }
    return 0;
}

static int compare_pending(const struct look *l, const struct account_look *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct expected *e = find_account(l->c, rows[i].next.row);
        if (e->pending_nusd != rows[i].pending_nusd &&
            audit_db_account(l->db, rows[i].next.row, l->fn, l->ctx, l->reterr) != 0)
            return -1;
    }
    return 0;
}

static int renew_accounts(const struct look *l, const struct account_look *rows, size_t n)
{
    struct audit_cursor *c = l->c;
    if (n > c->cap_accounts) {
        struct expected *p = realloc(c->accounts, n * sizeof(*p));
        if (p == NULL)
            return out_of_memory(l);
        c->accounts = p;
        c->cap_accounts = n;
    }
    for (size_t i = 0; i < n; i++)
        c->accounts[i] = rows[i].next;
    c->n_accounts = n;
    return 0;
}

/* ---- a look ---- */

/* The newest admission; an index seek per key. */
static int newest(const struct look *l, int64_t *ret_ms)
{
    struct sqlite3_stmt *s =
        db_stmt(l->db, "SELECT coalesce(max((SELECT max(a.admitted_ms) FROM attempt a"
                       " WHERE a.key_id = k.id)), 0) FROM api_key k");
    int rc = db_step(l->db, s, l->reterr);
    *ret_ms = rc == 1 ? db_col_int(s, 0) : 0;
    sqlite3_reset(s);
    return rc == 1 ? 0 : -1;
}

static int look(const struct look *l)
{
    struct audit_cursor *c = l->c;
    struct account_look *rows = NULL;
    size_t n = 0;
    int64_t until_ms;
    if (newest(l, &until_ms) != 0)
        return -1;
    if (!c->primed)
        c->since_ms = until_ms;
    int rc = look_at_new_attempts(l) != 0 || look_at_old_attempts(l) != 0 ||
                     read_accounts(l, until_ms, &rows, &n) != 0 ||
                     compare_posted(l, rows, n) != 0 || renew_accounts(l, rows, n) != 0 ||
                     look_at_running(l, until_ms) != 0 || compare_pending(l, rows, n) != 0
                 ? -1
                 : 0;
    free(rows);
    c->since_ms = until_ms;
    c->primed = rc == 0;
    if (rc != 0)
        c->n_accounts = c->n_open = 0;
    return rc;
}

int audit_db_step(struct db *db, struct audit_cursor *c, audit_fn fn, void *ctx,
                  struct fail *reterr)
{
    struct look l = {db, c, fn, ctx, reterr};
    if (db_begin(db, reterr) != 0)
        return -1;
    int rc = look(&l);
    db_rest(db);
    db_rollback(db);
    return rc;
}

/* ---- at the start ---- */

int audit_db_is_small(struct db *db, int64_t attempts, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT count(*) <= ?1 FROM (SELECT 1 FROM attempt LIMIT ?1 + 1)");
    db_bind_int(s, 1, attempts);
    int rc = db_step(db, s, reterr);
    int small = rc == 1 ? (int)db_col_int(s, 0) : -1;
    db_rest(db);
    return small;
}

int audit_db_next_account(struct db *db, int64_t row, int64_t *ret_row, audit_fn fn, void *ctx,
                          struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT min(id) FROM account WHERE id > ?1");
    db_bind_int(s, 1, row);
    if (db_step(db, s, reterr) != 1)
        return -1;
    *ret_row = db_col_null(s, 0) ? 0 : db_col_int(s, 0);
    int rc = *ret_row != 0 ? audit_db_account(db, *ret_row, fn, ctx, reterr) : 0;
    db_rest(db);
    return rc;
}

int audit_db_pages(struct db *db, audit_fn fn, void *ctx, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT * FROM pragma_quick_check WHERE quick_check <> 'ok'");
    int rc;
    db_long_step(db, true);
    while ((rc = db_step(db, s, reterr)) == 1)
        fn(ctx, "database", db_col_text(s, 0));
    db_long_step(db, false);
    db_rest(db);
    return rc;
}
