/* Spend caps of teams and keys (table budget), and what team_db.c and key_db.c share.
 * Inside the caller's transaction; one thread. */
#ifndef ROUTER_BUDGET_DB_H
#define ROUTER_BUDGET_DB_H

#include <json-c/json.h>

#include "router/args.h"
#include "router/db.h"

enum { BUDGETS_MAX = 4 }; /* one per window */

struct budget {
    const char *window; /* static string */
    bool removed;       /* budget null: the cap of this window goes away */
    int64_t cap_nusd;
};

struct budget_list {
    int n;
    struct budget rows[BUDGETS_MAX];
};

/* "budget" and "window": one value each, or two arrays of the same length.  Amounts are
 * decimal strings of USD, exact to the nano-dollar.  Each window at most once. */
int budget_read(const struct arg_json *amounts, const struct arg_json *windows,
                struct budget_list *ret, struct fail *reterr);
/* scope: "team" | "key". */
int budget_db_put(struct db *db, const char *scope, int64_t owner_id,
                  const struct budget_list *list, struct fail *reterr);
/* [{"window", "cap_usd"}], day first. */
int budget_db_list(struct db *db, const char *scope, int64_t owner_id, struct json_object **ret,
                   struct fail *reterr);

/* Marks every snapshot as stale: part of each change of team, api_key, key_hash, budget. */
int identity_db_touch(struct db *db, struct fail *reterr);
/* Runs a statement that returns no rows. */
int identity_db_run(struct db *db, struct sqlite3_stmt *s, struct fail *reterr);
/* The one integer of the first row; ERR_not_found with `missing` when there is none. */
int identity_db_id(struct db *db, struct sqlite3_stmt *s, const char *field, const char *missing,
                   int64_t *ret, struct fail *reterr);
int64_t identity_now_ms(void);

/* For the shapes: money as a decimal string, a time (0 = null) in RFC 3339. */
struct json_object *shape_usd(int64_t nusd);
struct json_object *shape_time(int64_t unix_ms);
struct json_object *shape_instant(int64_t unix_ms); /* the same, and 0 is a time too */
/* A column's text; NULL where it is NULL. */
struct json_object *shape_column(struct sqlite3_stmt *s, int col);
/* A share of something as a number between 0 and 1, four digits; NULL: of nothing. */
struct json_object *shape_share(int64_t part, int64_t whole);

#endif
