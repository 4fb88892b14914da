/* Questions to the ledger's tables, answered in the JSON shapes of docs/api.md. Read only. */
#ifndef ROUTER_USAGE_DB_H
#define ROUTER_USAGE_DB_H

#include <json-c/json.h>

#include "router/args.h"
#include "router/db.h"
#include "router/window.h"
#include "schema/id.h"

/* args: by (team|key|model|provider|day|experiment), since, until; ret: the `usage` shape.
 * Counted are attempts that were sent in [since, until) and are not void, by the instant of
 * their admission, which is also what picks a cap's window.  Tokens and cost are those of
 * settled ones, with their corrections: the cost equals what the ledger posted, to the
 * nano-dollar.
 * "requests" are requests, counted where the first of their attempts that counts was admitted
 * (in rows by model or provider: the first one there), so that the figures of neighbouring times
 * add up; "errors" are those of them that ended with status error (a client that left is none).
 * A request that two providers worked on is in both rows and once in "total".  Rows come dearest
 * first, days ascending.  Days are UTC's.  Where only the sums of days are left (retention),
 * since and until are moved outwards to whole days, and the report says so. */
int usage_db_report(struct db *db, struct json_object *args, int64_t now_ms,
                    struct json_object **ret, struct fail *reterr);
/* [since, until) of a report: the start of the month, UTC, and now, where they are not given. */
int usage_db_time(const struct arg_count *since, const struct arg_count *until, int64_t now_ms,
                  struct window *ret, struct fail *reterr);
/* One generation; team_id 0 = any team.  ERR_not_found when there is none of that team.
 * Its model and provider are those of the last attempt that is not void; its usage and cost
 * are the sums over its settled attempts.  An attempt that was corrected (router/correction.h)
 * is shown so, and its usage_source as reconciled. */
int generation_db_get(struct db *db, const struct id *id, int64_t team_id, struct json_object **ret,
                      struct fail *reterr);
/* args: key, team, since, limit (default 20, at most 1000); newest first: {"data": [...]}. */
int generation_db_list(struct db *db, struct json_object *args, int64_t team_id,
                       struct json_object **ret, struct fail *reterr);
/* Every accounting invariant as SQL: {"ok": bool, "violations": [{"invariant", "detail"}],
 * "checked": {...}}. */
int audit_db_verify(struct db *db, struct json_object **ret, struct fail *reterr);

/* Told of each violation. */
typedef void (*audit_fn)(void *ctx, const char *invariant, const char *detail);
/* Both balances of one account, exactly, for router/audit_step_db.c. */
int audit_db_account(struct db *db, int64_t row, audit_fn fn, void *ctx, struct fail *reterr);

#endif
