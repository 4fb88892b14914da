/* Admin side of teams and keys: each function runs inside the caller's transaction and
 * answers in the JSON shapes of docs/api.md (json-c objects, owned by the caller). */
#ifndef ROUTER_IDENTITY_DB_H
#define ROUTER_IDENTITY_DB_H

#include <json-c/json.h>

#include "router/db.h"

/* args: the command's options as a JSON object with the option names without dashes, e.g.
 * {"name": "search", "budget": "100", "window": "month", "timezone": "Europe/Berlin"}.
 * Unknown members are refused.  ledger_ms: ledger_time, for what is left of the caps.  *ret is set
 * on success only. */
int team_db_create(struct db *db, struct json_object *args, int64_t ledger_ms,
                   struct json_object **ret, struct fail *reterr);
int team_db_set(struct db *db, struct json_object *args, int64_t ledger_ms,
                struct json_object **ret, struct fail *reterr);
int team_db_list(struct db *db, struct json_object *args, int64_t ledger_ms,
                 struct json_object **ret, struct fail *reterr);
/* ret: {"id": "key_...", "key": "wf_...", ...}: the only time the key is shown. */
int key_db_create(struct db *db, struct json_object *args, int64_t ledger_ms,
                  struct json_object **ret, struct fail *reterr);
int key_db_set(struct db *db, struct json_object *args, int64_t ledger_ms, struct json_object **ret,
               struct fail *reterr);
int key_db_list(struct db *db, struct json_object *args, int64_t ledger_ms,
                struct json_object **ret, struct fail *reterr);
int key_db_revoke(struct db *db, struct json_object *args, int64_t ledger_ms,
                  struct json_object **ret, struct fail *reterr);
int key_db_rotate(struct db *db, struct json_object *args, int64_t ledger_ms,
                  struct json_object **ret, struct fail *reterr);
/* The `key` shape: limits with spent and held per window. */
int key_db_show(struct db *db, int64_t key_id, int64_t ledger_ms, struct json_object **ret,
                struct fail *reterr);

#endif
