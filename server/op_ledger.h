/* Summing up and retention, in transactions so small that traffic goes on between them; for the
 * command line and for server/upkeep.c.  env->ledger NULL: directly on env->db. */
#ifndef SERVER_OP_LEDGER_H
#define SERVER_OP_LEDGER_H

#include "router/rollup_db.h"
#include "server/ops.h"

struct op_ledger_pruned {
    int64_t before_day; /* UTC days since 1970; earlier days have no detail any more */
    int64_t attempts;   /* deleted by this call */
};

/* All that has ended at the start of the call, with a pause between transactions.  stop (may be
 * NULL) is looked at between transactions, atomically: any thread may set it.  *ret_lost: requests
 * that had lost their end (rollup_db_end_lost).  Not on a loop thread. */
int op_ledger_sum_up(const struct ops_env *env, const bool *stop, int *ret_lost,
                     struct fail *reterr);
/* Deletes detail older than `days` days (>= ROLLUP_RETAIN_DAYS_MIN) that is summed up. */
int op_ledger_retain(const struct ops_env *env, int64_t days, const bool *stop,
                     struct op_ledger_pruned *ret, struct fail *reterr);

#endif
