/* Questions to the ledger's tables, answered in the JSON shapes of docs/api.md. Read only. */
#ifndef ROUTER_USAGE_DB_H
#define ROUTER_USAGE_DB_H

#include <json-c/json.h>

#include "router/db.h"
#include "schema/id.h"

/* args: by (team|key|model|provider|day|experiment), since, until; ret: the `usage` shape. */
int usage_db_report(struct db *db, struct json_object *args, int64_t now_ms, struct json_object **ret,
                    struct fail *reterr);
/* One generation; team_id 0 = any team.  ERR_not_found when there is none of that team. */
int generation_db_get(struct db *db, const struct id *id, int64_t team_id, struct json_object **ret,
                      struct fail *reterr);
/* args: key, team, since, limit (default 20, at most 1000); newest first: {"data": [...]}. */
int generation_db_list(struct db *db, struct json_object *args, int64_t team_id, struct json_object **ret,
                       struct fail *reterr);
/* Every accounting invariant as SQL: {"ok": bool, "violations": [{"invariant", "detail"}], "checked": {...}}. */
int audit_db_verify(struct db *db, struct json_object **ret, struct fail *reterr);

#endif
