/* Rows of table alert. */
#include "router/alert_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "router/budget_db.h"

/* ---- written by the ledger ---- */

/* *ret_new: it was not there. */
static enum ledger_write insert(struct db *db, const struct ledger_account *a, int percent,
                                int64_t now_ms, bool *ret_new, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "INSERT INTO alert(public_id, account_id, threshold, cap_nusd, spent_nusd, at_ms)"
            " VALUES (randomblob(16), ?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT(account_id, threshold, cap_nusd) DO NOTHING");
    db_bind_int(s, 1, a->row);
    db_bind_int(s, 2, percent);
    db_bind_int(s, 3, a->cap_nusd);
    db_bind_int(s, 4, a->posted_nusd);
    db_bind_int(s, 5, now_ms);
    if (db_step(db, s, reterr) != 0)
        return ledger_db_trouble(db);
    *ret_new = db_changes(db) == 1;
    return LEDGER_WROTE;
}

/* alerted_percent only saves asking: the table decides what is new, so that a lost transaction
 * or a restart neither repeats nor forgets one. */
enum ledger_write alert_db_note(struct db *db, const struct alert_rules *rules,
                                struct ledger_account *a, int64_t now_ms, uint64_t *n,
                                struct fail *reterr)
{
    if (a->alerted_cap_nusd != a->cap_nusd) {
        a->alerted_cap_nusd = a->cap_nusd;
        a->alerted_percent = 0;
    }
    for (int i = 0; i < rules->n; i++) {
        if (rules->percent[i] <= a->alerted_percent)
            continue;
        if (!alert_reached(a->posted_nusd, a->cap_nusd, rules->percent[i]))
            return LEDGER_WROTE;
        bool is_new = false;
        enum ledger_write w = insert(db, a, rules->percent[i], now_ms, &is_new, reterr);
        if (w != LEDGER_WROTE)
            return w;
        a->alerted_percent = rules->percent[i];
        *n += is_new;
    }
    return LEDGER_WROTE;
}

enum ledger_write alert_db_sweep(struct db *db, const struct alert_rules *rules, int64_t now_ms,
                                 uint64_t *n, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id, cap_nusd, posted_nusd FROM account WHERE cap_nusd IS NOT NULL"
                    " AND posted_nusd > 0 AND end_ms > ?1");
    db_bind_int(s, 1, now_ms);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct ledger_account a = {.row = db_col_int(s, 0),
                                   .cap_nusd = db_col_int(s, 1),
                                   .posted_nusd = db_col_int(s, 2),
                                   .alerted_cap_nusd = LEDGER_CAP_NONE};
        enum ledger_write w = alert_db_note(db, rules, &a, now_ms, n, reterr);
        if (w != LEDGER_WROTE)
            return w;
    }
    return rc == 0 ? LEDGER_WROTE : ledger_db_trouble(db);
}

/* ---- read by whoever tells them ---- */

#define COLUMNS                                                                                    \
    "SELECT a.id, lower(hex(a.public_id)), c.scope, c.window, coalesce(k.name, t.name), t.name,"   \
    " coalesce(k.public_id, ''), a.threshold, a.cap_nusd, a.spent_nusd, a.at_ms,"                  \
    " CASE c.window WHEN 'total' THEN 0 ELSE c.end_ms END, a.tries, coalesce(a.next_try_ms, 0)"    \
    " FROM alert a JOIN account c ON c.id = a.account_id"                                          \
    " LEFT JOIN api_key k ON c.scope = 'key' AND k.id = c.owner_id"                                \
    " JOIN team t ON t.id = CASE c.scope WHEN 'key' THEN k.team_id ELSE c.owner_id END"

static void copy(struct sqlite3_stmt *s, int col, char *out, size_t cap)
{
    snprintf(out, cap, "%s", db_col_text(s, col));
}

static int read_row(struct db *db, struct sqlite3_stmt *s, struct alert *ret, struct fail *reterr)
{
    int rc = db_step(db, s, reterr);
    if (rc != 1)
        return rc;
    *ret = (struct alert){.row = db_col_int(s, 0)};
    snprintf(ret->id, sizeof(ret->id), "alert_%s", db_col_text(s, 1));
    copy(s, 2, ret->scope, sizeof(ret->scope));
    copy(s, 3, ret->window, sizeof(ret->window));
    copy(s, 4, ret->name, sizeof(ret->name));
    copy(s, 5, ret->team, sizeof(ret->team));
    copy(s, 6, ret->key_id, sizeof(ret->key_id));
    ret->threshold = (int)db_col_int(s, 7);
    ret->cap_nusd = db_col_int(s, 8);
    ret->spent_nusd = db_col_int(s, 9);
    ret->at_ms = db_col_int(s, 10);
    ret->resets_ms = db_col_int(s, 11);
    ret->tries = db_col_int(s, 12);
    ret->next_try_ms = db_col_int(s, 13);
    return 1;
}

int alert_db_unlogged(struct db *db, struct alert *ret, struct fail *reterr)
{
    return read_row(db,
                    db_stmt(db, COLUMNS " WHERE a.next_try_ms IS NOT NULL AND a.logged_ms IS NULL"
                                        " ORDER BY a.id LIMIT 1"),
                    ret, reterr);
}

int alert_db_next(struct db *db, struct alert *ret, struct fail *reterr)
{
    return read_row(db,
                    db_stmt(db, COLUMNS " WHERE a.next_try_ms IS NOT NULL"
                                        " ORDER BY a.next_try_ms, a.id LIMIT 1"),
                    ret, reterr);
}

static int mark(struct db *db, struct sqlite3_stmt *s, int64_t row, int64_t ms)
{
    db_bind_int(s, 1, row);
    if (ms != 0)
        db_bind_int(s, 2, ms);
    return db_step(db, s, NULL);
}

int alert_db_mark_logged(struct db *db, int64_t row, int64_t now_ms)
{
    return mark(db, db_stmt(db, "UPDATE alert SET logged_ms = ?2 WHERE id = ?1"), row, now_ms);
}

int alert_db_mark_delivered(struct db *db, int64_t row, int64_t now_ms)
{
    return mark(db,
                db_stmt(db, "UPDATE alert SET delivered_ms = ?2, next_try_ms = NULL,"
                            " tries = tries + 1 WHERE id = ?1"),
                row, now_ms);
}

int alert_db_mark_failed(struct db *db, int64_t row, int64_t next_try_ms)
{
    return mark(db,
                db_stmt(db, "UPDATE alert SET next_try_ms = ?2, tries = tries + 1 WHERE id = ?1"),
                row, next_try_ms);
}

struct json_object *alert_json(const struct alert *a)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "id", json_object_new_string(a->id));
    json_object_object_add(o, "scope", json_object_new_string(a->scope));
    json_object_object_add(o, "name", json_object_new_string(a->name));
    json_object_object_add(o, "team", json_object_new_string(a->team));
    json_object_object_add(o, "key_id",
                           a->key_id[0] != '\0' ? json_object_new_string(a->key_id) : NULL);
    json_object_object_add(o, "window", json_object_new_string(a->window));
    json_object_object_add(o, "threshold_percent", json_object_new_int(a->threshold));
    json_object_object_add(o, "cap_usd", shape_usd(a->cap_nusd));
    json_object_object_add(o, "spent_usd", shape_usd(a->spent_nusd));
    json_object_object_add(o, "resets_at", shape_time(a->resets_ms));
    json_object_object_add(o, "at", shape_time(a->at_ms));
    return o;
}
