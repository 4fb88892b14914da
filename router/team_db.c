/* Admin side of teams. */
#include <stdio.h>

#include "router/budget_db.h"
#include "router/find_db.h"
#include "router/identity_db.h"
#include "router/limits_db.h"
#include "router/window.h"

struct team_args {
    struct arg_text name, timezone, bound;
    struct arg_json budget, window;
};

static const struct arg_spec team_specs[] = {
    {"name", ARG_TEXT, offsetof(struct team_args, name), true},
    {"budget", ARG_JSON, offsetof(struct team_args, budget), false},
    {"window", ARG_JSON, offsetof(struct team_args, window), false},
    {"timezone", ARG_TEXT, offsetof(struct team_args, timezone), false},
    {"bound", ARG_TEXT, offsetof(struct team_args, bound), false},
    {0}};

/* The C library would read an unknown TZ as UTC without a word, and the caps' windows would
 * begin at the wrong hour. */
static int check_timezone(const char *zone, struct fail *reterr)
{
    struct zone *z = zone_load(zone, reterr);
    zone_free(z);
    return z != NULL ? 0 : -1;
}

static int read_args(struct json_object *json, struct team_args *args, struct budget_list *budgets,
                     struct fail *reterr)
{
    memset(args, 0, sizeof(*args));
    if (args_read(json, team_specs, args, reterr) != 0 ||
        args_check_name("name", args->name.value, reterr) != 0 ||
        budget_read(&args->budget, &args->window, budgets, reterr) != 0)
        return -1;
    if (args->timezone.given && args->timezone.value == NULL)
        args->timezone.value = "UTC";
    if (args->bound.value == NULL)
        args->bound.value = "calibrated";
    if (strcmp(args->bound.value, "strict") != 0 && strcmp(args->bound.value, "calibrated") != 0)
        return fail_set(reterr, ERR_bad_request, "bound",
                        "bound must be \"strict\" or \"calibrated\"");
    return args->timezone.given ? check_timezone(args->timezone.value, reterr) : 0;
}

/* ---- the shape ---- */

static int add_team(struct db *db, struct sqlite3_stmt *s, struct limits *l,
                    struct json_object *list, struct fail *reterr)
{
    struct json_object *budgets = NULL, *limits = NULL;
    if (budget_db_list(db, "team", db_col_int(s, 0), &budgets, reterr) != 0)
        return -1;
    if (l != NULL &&
        limits_db_list(db, l, 0, db_col_int(s, 0), db_col_text(s, 2), &limits, reterr) != 0) {
        json_object_put(budgets);
        return -1;
    }
    struct json_object *team = json_object_new_object();
    json_object_object_add(team, "name", json_object_new_string(db_col_text(s, 1)));
    json_object_object_add(team, "timezone", json_object_new_string(db_col_text(s, 2)));
    json_object_object_add(team, "created_at", shape_time(db_col_int(s, 3)));
    json_object_object_add(team, "bound", json_object_new_string(db_col_text(s, 5)));
    json_object_object_add(team, "keys", json_object_new_int64(db_col_int(s, 4)));
    json_object_object_add(team, "budgets", budgets);
    if (l != NULL)
        json_object_object_add(team, "limits", limits);
    json_object_array_add(list, team);
    return 0;
}

/* name NULL: all teams.  l NULL: without `limits`, which are much to read. */
static int list_teams(struct db *db, const char *name, struct limits *l, struct json_object **ret,
                      struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT t.id, t.name, t.timezone, t.created_ms,"
            " (SELECT count(*) FROM api_key k WHERE k.team_id = t.id AND k.revoked_ms IS NULL),"
            " t.bound FROM team t WHERE ?1 IS NULL OR t.name = ?1 ORDER BY t.name");
    db_bind_text(s, 1, name);
    struct json_object *list = json_object_new_array();
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        if (add_team(db, s, l, list, reterr) != 0) {
            rc = -1;
            break;
        }
    }
    if (rc == 0)
        *ret = list;
    else
        json_object_put(list);
    return rc;
}

static int show_team(struct db *db, const char *name, struct json_object **ret, struct fail *reterr)
{
    struct json_object *list = NULL;
    if (list_teams(db, name, NULL, &list, reterr) != 0)
        return -1;
    *ret = json_object_get(json_object_array_get_idx(list, 0));
    json_object_put(list);
    return 0;
}

/* ---- operations ---- */

static int insert_team(struct db *db, const struct team_args *args, struct fail *reterr)
{
    int64_t id;
    if (find_db_team(db, "name", args->name.value, 0, &id, NULL) == 0)
        return fail_set(reterr, ERR_bad_request, "name", "team %.64s exists already",
                        args->name.value);
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO team(name, timezone, created_ms, bound) VALUES (?1, ?2, ?3, ?4)");
    db_bind_text(s, 1, args->name.value);
    db_bind_text(s, 2, args->timezone.given ? args->timezone.value : "UTC");
    db_bind_int(s, 3, identity_now_ms());
    db_bind_text(s, 4, args->bound.value);
    return identity_db_run(db, s, reterr);
}

int team_db_create(struct db *db, struct json_object *args, int64_t ledger_ms,
                   struct json_object **ret, struct fail *reterr)
{
    (void)ledger_ms;
    struct team_args a;
    struct budget_list budgets;
    if (read_args(args, &a, &budgets, reterr) != 0 || insert_team(db, &a, reterr) != 0 ||
        budget_db_put(db, "team", db_last_id(db), &budgets, reterr) != 0 ||
        identity_db_touch(db, reterr) != 0)
        return -1;
    return show_team(db, a.name.value, ret, reterr);
}

static int update_timezone(struct db *db, int64_t id, const char *zone, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE team SET timezone = ?2 WHERE id = ?1");
    db_bind_int(s, 1, id);
    db_bind_text(s, 2, zone);
    return identity_db_run(db, s, reterr);
}

static int update_bound(struct db *db, int64_t id, const char *bound, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE team SET bound = ?2 WHERE id = ?1");
    db_bind_int(s, 1, id);
    db_bind_text(s, 2, bound);
    return identity_db_run(db, s, reterr);
}

int team_db_set(struct db *db, struct json_object *args, int64_t ledger_ms,
                struct json_object **ret, struct fail *reterr)
{
    (void)ledger_ms;
    struct team_args a;
    struct budget_list budgets;
    int64_t id = 0;
    if (read_args(args, &a, &budgets, reterr) != 0 ||
        find_db_team(db, "name", a.name.value, 0, &id, reterr) != 0 ||
        budget_db_put(db, "team", id, &budgets, reterr) != 0)
        return -1;
    if (a.timezone.given && update_timezone(db, id, a.timezone.value, reterr) != 0)
        return -1;
    if (a.bound.given && update_bound(db, id, a.bound.value, reterr) != 0)
        return -1;
    if (identity_db_touch(db, reterr) != 0)
        return -1;
    return show_team(db, a.name.value, ret, reterr);
}

int team_db_list(struct db *db, struct json_object *args, int64_t ledger_ms,
                 struct json_object **ret, struct fail *reterr)
{
    static const struct arg_spec none[] = {{0}};
    struct limits limits = {.at_ms = ledger_ms};
    struct json_object *list = NULL;
    if (args_read(args, none, NULL, reterr) != 0 ||
        list_teams(db, NULL, &limits, &list, reterr) != 0) {
        limits_done(&limits);
        return -1;
    }
    limits_done(&limits);
    *ret = json_object_new_object();
    json_object_object_add(*ret, "data", list);
    return 0;
}
