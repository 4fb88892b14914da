/* What is left of the caps of a key and its team. */
#include "router/limits_db.h"

#include <string.h>

#include "router/budget_db.h"
#include "router/window.h"

/* No calendar month is longer, in any zone. */
#define WINDOW_MAX_MS (INT64_C(32) * 86400000)

struct owner {
    const char *scope; /* "key" | "team" */
    int64_t id;
    const struct zone *zone; /* of the team: a key's windows are those of its team */
    int64_t at_ms;
};

struct balance {
    int64_t spent_nusd, held_nusd, end_ms;
};

static bool is_fuller(const struct balance *a, const struct balance *b)
{
    int64_t more = a->spent_nusd - b->spent_nusd + (a->held_nusd - b->held_nusd);
    return more > 0 || (more == 0 && a->end_ms > b->end_ms);
}

/* The fullest account that a hold would count in now: those of windows in an earlier zone of the
 * team count to their end.  1 = *ret is it, 0 = the zone's own window has no account yet, and
 * *ret is what others come to, -1 = reterr. */
static int read_accounts(struct db *db, const struct owner *o, const char *window,
                         struct window span, struct balance *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT posted_nusd, pending_nusd, end_ms, start_ms FROM account"
                    " WHERE scope = ?1 AND owner_id = ?2 AND window = ?3"
                    " AND start_ms BETWEEN ?4 AND ?5 AND end_ms > ?5");
    db_bind_text(s, 1, o->scope);
    db_bind_int(s, 2, o->id);
    db_bind_text(s, 3, window);
    db_bind_int(s, 4, span.start_ms > 0 ? o->at_ms - WINDOW_MAX_MS : 0);
    db_bind_int(s, 5, o->at_ms);
    int rc, found = 0;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct balance b = {db_col_int(s, 0), db_col_int(s, 1), db_col_int(s, 2)};
        if (is_fuller(&b, ret))
            *ret = b;
        if (db_col_int(s, 3) == span.start_ms)
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
        *ret = (struct balance){db_col_int(s, 0), db_col_int(s, 1), span.end_ms};
    return rc;
}

static int read_balance(struct db *db, const struct owner *o, const char *window,
                        enum window_kind kind, struct balance *ret, struct fail *reterr)
{
    struct window span = window_at(o->zone, kind, o->at_ms);
    struct balance fullest = {0}, own = {.end_ms = span.end_ms};
    int found = read_accounts(db, o, window, span, &fullest, reterr);
    if (found < 0 || (found == 0 && sum_attempts(db, o, span, &own, reterr) != 0))
        return -1;
    *ret = found == 1 || is_fuller(&fullest, &own) ? fullest : own;
    return 0;
}

static int add_limit(struct db *db, const struct owner *o, const char *window, int64_t cap_nusd,
                     struct json_object *limits, struct fail *reterr)
{
    enum window_kind kind;
    struct balance b;
    if (!window_parse(window, &kind))
        return fail_set(reterr, ERR_ledger_down, NULL, "a budget's window is damaged");
    if (read_balance(db, o, window, kind, &b, reterr) != 0)
        return -1;
    int64_t left = cap_nusd - b.spent_nusd - b.held_nusd;
    struct json_object *row = json_object_new_object();
    json_object_object_add(row, "scope", json_object_new_string(o->scope));
    json_object_object_add(row, "window", json_object_new_string(window));
    json_object_object_add(row, "cap_usd", shape_usd(cap_nusd));
    json_object_object_add(row, "spent_usd", shape_usd(b.spent_nusd));
    json_object_object_add(row, "held_usd", shape_usd(b.held_nusd));
    json_object_object_add(row, "remaining_usd", shape_usd(left > 0 ? left : 0));
    json_object_object_add(row, "resets_at", kind != WINDOW_TOTAL ? shape_time(b.end_ms) : NULL);
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

/* As in the ledger, windows of a zone that cannot be read are those of UTC. */
static struct zone *zone_or_utc(const char *name, struct fail *reterr)
{
    struct zone *z = zone_load(name, NULL);
    return z != NULL ? z : zone_load("UTC", reterr);
}

static int enter_team(struct db *db, struct limits *l, int64_t team_id, const char *timezone,
                      struct fail *reterr)
{
    if (l->zone != NULL && l->team_id == team_id)
        return 0;
    limits_done(l);
    l->team_id = team_id;
    l->zone = zone_or_utc(timezone, reterr);
    l->of_team = json_object_new_array();
    struct owner team = {"team", team_id, l->zone, l->at_ms};
    return l->zone != NULL ? add_limits(db, &team, l->of_team, reterr) : -1;
}

int limits_db_list(struct db *db, struct limits *l, int64_t key_id, int64_t team_id,
                   const char *timezone, struct json_object **ret, struct fail *reterr)
{
    if (enter_team(db, l, team_id, timezone, reterr) != 0)
        return -1;
    struct owner key = {"key", key_id, l->zone, l->at_ms};
    struct json_object *list = json_object_new_array();
    if (key_id != 0 && add_limits(db, &key, list, reterr) != 0) {
        json_object_put(list);
        return -1;
    }
    for (size_t i = 0; i < json_object_array_length(l->of_team); i++)
        json_object_array_add(list, json_object_get(json_object_array_get_idx(l->of_team, i)));
    *ret = list;
    return 0;
}

/* The columns of s: the key's id or 0, the team's, its zone.  At most one row. */
static int add_to(struct db *db, struct sqlite3_stmt *s, struct json_object *o, int64_t at_ms,
                  struct fail *reterr)
{
    struct limits l = {.at_ms = at_ms};
    struct json_object *list = NULL;
    int rc = db_step(db, s, reterr);
    if (rc == 1)
        rc = limits_db_list(db, &l, db_col_int(s, 0), db_col_int(s, 1), db_col_text(s, 2), &list,
                            reterr);
    if (rc == 0 && list != NULL)
        json_object_object_add(o, "limits", list);
    limits_done(&l);
    return rc;
}

static const char *text_of(struct json_object *o, const char *name)
{
    return json_object_get_string(json_object_object_get(o, name));
}

int limits_db_add_key(struct db *db, struct json_object *key, int64_t at_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT k.id, t.id, t.timezone FROM api_key k JOIN team t ON t.id = k.team_id"
                    " WHERE k.public_id = ?1");
    db_bind_text(s, 1, text_of(key, "id"));
    return add_to(db, s, key, at_ms, reterr);
}

int limits_db_add_team(struct db *db, struct json_object *team, int64_t at_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT 0, id, timezone FROM team WHERE name = ?1");
    db_bind_text(s, 1, text_of(team, "name"));
    return add_to(db, s, team, at_ms, reterr);
}

void limits_done(struct limits *l)
{
    zone_free(l->zone);
    json_object_put(l->of_team);
    *l = (struct limits){.at_ms = l->at_ms};
}
