/* What an experiment has come to so far: `experiment show`, its guardrails, and what it can find.
 */
#ifndef ROUTER_EXPERIMENT_REPORT_DB_H
#define ROUTER_EXPERIMENT_REPORT_DB_H

#include "router/db.h"

struct json_object;

enum {
    REPORT_REASON_MAX = 256,
    /* The newest requests that a forecast looks at: it is made on the ledger's thread. */
    REPORT_FORECAST_REQUESTS = 5000
};

/* The definition (router/experiment_db.h) with figures of its arms, comparisons and the verdict:
 * docs/api.md "Experiments".  Of what is in the database now (detail that was pruned is not);
 * requests that run are left out.  0, or -1 with reterr. */
int experiment_report(struct db *db, const char *name, struct json_object **ret,
                      struct fail *reterr);

/* Is a guardrail broken, beyond doubt?  1 with the reason to stop, 0, or -1 with reterr. */
int experiment_report_guard(struct db *db, const char *name, char ret_reason[REPORT_REASON_MAX],
                            struct fail *reterr);

/* What an experiment like this could find in traffic like that of late: adds member `forecast` to
 * its definition.  0, or -1 with reterr. */
int experiment_report_forecast(struct db *db, struct json_object *definition, int64_t now_ms,
                               struct fail *reterr);

#endif
