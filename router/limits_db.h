/* What is left of the caps of a key and of its team, as the next hold would find it: the `limits`
 * of the JSON shapes.  Inside the caller's transaction; one thread. */
#ifndef ROUTER_LIMITS_DB_H
#define ROUTER_LIMITS_DB_H

#include <json-c/json.h>

#include "router/db.h"
#include "router/window.h"

/* Remembers the team last asked about: a list of keys goes by teams. */
struct limits {
    int64_t at_ms; /* set by the caller: the ledger's time */
    int64_t team_id;
    struct zone *zone; /* NULL: none yet */
    struct json_object *of_team;
};

/* *ret: [{"scope", "window", "cap_usd", "spent_usd", "held_usd", "remaining_usd", "resets_at"}],
 * the key's before its team's, day first; owned by the caller.  key_id 0: only the team's. */
int limits_db_list(struct db *db, struct limits *l, int64_t key_id, int64_t team_id,
                   const char *timezone, struct json_object **ret, struct fail *reterr);
void limits_done(struct limits *l);

/* Adds `limits` to the object of a key ({"id", ...}) or of a team ({"name", ...}).  It may sum up a
 * whole window, which is nothing for the thread of the ledger. */
int limits_db_add_key(struct db *db, struct json_object *key, int64_t at_ms, struct fail *reterr);
int limits_db_add_team(struct db *db, struct json_object *team, int64_t at_ms, struct fail *reterr);

#endif
