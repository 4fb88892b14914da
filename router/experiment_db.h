/* Experiments in the database, and the feedback that comes for them.  Each function runs inside
 * the caller's transaction; objects are the JSON shapes of docs/api.md, owned by the caller. */
#ifndef ROUTER_EXPERIMENT_DB_H
#define ROUTER_EXPERIMENT_DB_H

#include "router/db.h"
#include "router/experiment.h"
#include "router/ledger.h"
#include "schema/id.h"

/* *ret: what runs, one reference; NULL where nothing does.  One that this program cannot read (an
 * older one was installed) is among them and says so: `unreadable`.  0, or -1 with reterr. */
int experiments_db_load(struct db *db, struct experiments **ret, struct fail *reterr);

/* Stores a definition and begins it: the model must be in the catalog (its id is the layer where
 * none was chosen), the name unused, the layer must have share_slots free in a row and no other
 * unit, and the model nothing that runs in another layer.  Fills id, salt, layer and slots. */
int experiment_db_create(struct db *db, const struct catalog *catalog, struct experiment *e,
                         int share_slots, int64_t now_ms, struct fail *reterr);
int experiment_db_stop(struct db *db, const char *name, const char *reason, int64_t now_ms,
                       struct fail *reterr);
/* Of a running one. */
int experiment_db_set_ramp(struct db *db, const char *name, int ramp, struct fail *reterr);
int experiment_db_get(struct db *db, const char *name, struct json_object **ret,
                      struct fail *reterr);
/* {"data": [...]}, the newest first. */
int experiment_db_list(struct db *db, struct json_object **ret, struct fail *reterr);

/* A request that no endpoint could serve, so that nothing was held and the ledger does not know
 * it: an error of its arm, in a row of its own without attempts.  (It goes with the detail of its
 * day, router/rollup_db.h.) */
struct experiment_unserved {
    struct id request_id;
    int64_t team_id, key_id; /* database rows */
    int64_t ended_ms;
    int http_status;
    struct ledger_request request; /* its idempotency is not used */
};
int experiment_db_unserved(struct db *db, const struct experiment_unserved *u, struct fail *reterr);

/* What came of a generation of this team; overwrites what was said before.  ERR_not_found for a
 * generation that is not there or not this team's, ERR_bad_request with the field otherwise. */
int feedback_db_put(struct db *db, const struct id *generation, int64_t team_id, const char *metric,
                    double value, int64_t now_ms, struct fail *reterr);

#endif
