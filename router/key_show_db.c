/* GET /v1/key: what a key may spend, has spent, and when its windows begin anew. */
#include "router/identity_db.h"

#include <string.h>

#include "router/budget_db.h"
#include "router/window.h"

struct owner {
    const char *scope; /* "key" | "team" */
    int64_t id;
    const struct zone *zone; /* of the team: a key's windows are those of its team */
    int64_t now_ms;
};

struct balance {
    int64_t spent_nusd, held_nusd;
};

/* 1 = found, 0 = this window has no account yet, -1 = reterr. */
static int read_account(struct db *db, const struct owner *o, const char *window,
                        struct window span, struct balance *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT posted_nusd, pending_nusd FROM account"
                    " WHERE scope = ?1 AND owner_id = ?2 AND window = ?3 AND start_ms = ?4");
    db_bind_text(s, 1, o->scope);
    db_bind_int(s, 2, o->id);
    db_bind_text(s, 3, window);
    db_bind_int(s, 4, span.start_ms);
    int rc, found = 0;
    while ((rc = db_step(db, s, reterr)) == 1) {
        *ret = (struct balance){db_col_int(s, 0), db_col_int(s, 1)};
        found = 1;
    }
    return rc < 0 ? -1 : found;
}

/* By keys, so that the index on (key_id, admitted_ms) serves. */
#define SUMS(keys)                                                                                 \
    "SELECT coalesce(sum(charge_nusd), 0) + (SELECT coalesce(sum(charge_nusd), 0) FROM correction" \
    " WHERE key_id " keys " AND admitted_ms >= ?1 AND admitted_ms < ?2),"                          \
    " coalesce(sum(CASE WHEN state IN ('SETTLED', 'VOID') THEN 0 ELSE hold_nusd END), 0)"          \
    " FROM attempt WHERE key_id " keys " AND admitted_ms >= ?1 AND admitted_ms < ?2"

/* An account is made with the first hold that needs it; until then the attempts tell. */
static int sum_attempts(struct db *db, const struct owner *o, struct window span,
                        struct balance *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        strcmp(o->scope, "team") == 0
            ? db_stmt(db, SUMS("IN (SELECT id FROM api_key WHERE team_id = ?3)"))
            : db_stmt(db, SUMS("= ?3"));
    db_bind_int(s, 1, span.start_ms);
    db_bind_int(s, 2, span.end_ms);
    db_bind_int(s, 3, o->id);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1)
        *ret = (struct balance){db_col_int(s, 0), db_col_int(s, 1)};
    return rc;
}

static int add_limit(struct db *db, const struct owner *o, const char *window, int64_t cap_nusd,
                     struct json_object *limits, struct fail *reterr)
{
    enum window_kind kind;
    struct balance b = {0};
    if (!window_parse(window, &kind))
        return fail_set(reterr, ERR_ledger_down, NULL, "a budget's window is damaged");
    struct window span = window_at(o->zone, kind, o->now_ms);
    int found = read_account(db, o, window, span, &b, reterr);
    if (found < 0 || (found == 0 && sum_attempts(db, o, span, &b, reterr) != 0))
        return -1;
    int64_t left = cap_nusd - b.spent_nusd - b.held_nusd;
    struct json_object *row = json_object_new_object();
    json_object_object_add(row, "scope", json_object_new_string(o->scope));
    json_object_object_add(row, "window", json_object_new_string(window));
    json_object_object_add(row, "cap_usd", shape_usd(cap_nusd));
    json_object_object_add(row, "spent_usd", shape_usd(b.spent_nusd));
    json_object_object_add(row, "held_usd", shape_usd(b.held_nusd));
    json_object_object_add(row, "remaining_usd", shape_usd(left > 0 ? left : 0));
    json_object_object_add(row, "resets_at", kind != WINDOW_TOTAL ? shape_time(span.end_ms) : NULL);
    json_object_array_add(limits, row);
    return 0;
}

static int add_limits(struct db *db, const struct owner *o, struct json_object *limits,
                      struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT window, cap_nusd FROM budget WHERE scope = ?1 AND owner_id = ?2"
                    " ORDER BY CASE window WHEN 'day' THEN 1 WHEN 'week' THEN 2 WHEN 'month' THEN 3"
                    " ELSE 4 END");
    db_bind_text(s, 1, o->scope);
    db_bind_int(s, 2, o->id);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        if (add_limit(db, o, db_col_text(s, 0), db_col_int(s, 1), limits, reterr) != 0)
            return -1;
    }
    return rc;
}

/* ret_rate: {"rpm", "tpm", "concurrency"}, null = unlimited. */
static void add_rate(struct json_object *key, struct sqlite3_stmt *s, int first_col)
{
    static const char *const names[] = {"rpm", "tpm", "concurrency"};
    struct json_object *rate = json_object_new_object();
    for (int i = 0; i < 3; i++) {
        int64_t n = db_col_int(s, first_col + i);
        json_object_object_add(rate, names[i], n > 0 ? json_object_new_int64(n) : NULL);
    }
    json_object_object_add(key, "rate", rate);
}

static int show(struct db *db, struct sqlite3_stmt *s, int64_t now_ms, struct json_object *key,
                struct fail *reterr)
{
    struct zone *zone = zone_load(db_col_text(s, 4), reterr);
    if (zone == NULL)
        return -1;
    struct json_object *limits = json_object_new_array();
    json_object_object_add(key, "id", json_object_new_string(db_col_text(s, 0)));
    json_object_object_add(key, "name", json_object_new_string(db_col_text(s, 1)));
    json_object_object_add(key, "team", json_object_new_string(db_col_text(s, 2)));
    json_object_object_add(key, "expires_at", shape_time(db_col_int(s, 8)));
    json_object_object_add(key, "limits", limits);
    add_rate(key, s, 5);
    const struct owner owners[] = {{"key", db_col_int(s, 9), zone, now_ms},
                                   {"team", db_col_int(s, 3), zone, now_ms}};
    int rc = add_limits(db, &owners[0], limits, reterr);
    if (rc == 0)
        rc = add_limits(db, &owners[1], limits, reterr);
    zone_free(zone);
    return rc;
}

int key_db_show(struct db *db, int64_t key_id, int64_t now_ms, struct json_object **ret,
                struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT k.public_id, k.name, t.name, k.team_id, t.timezone, k.rpm, k.tpm,"
                    " k.concurrency, k.expires_ms, k.id"
                    " FROM api_key k JOIN team t ON t.id = k.team_id WHERE k.id = ?1");
    db_bind_int(s, 1, key_id);
    struct json_object *key = NULL;
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        key = json_object_new_object();
        if (show(db, s, now_ms, key, reterr) != 0) {
            rc = -1;
            break;
        }
    }
    if (rc == 0 && key == NULL)
        rc = fail_set(reterr, ERR_not_found, "id", "there is no such key");
    if (rc == 0)
        *ret = key;
    else
        json_object_put(key);
    return rc;
}
