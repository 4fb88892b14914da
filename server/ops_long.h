/* Operations that read for long while the server runs (ledger verify, prune and reconcile,
 * backup, replay, reports of experiments): each on a thread and over a connection of its own, so
 * that neither clients nor other operations wait for it, and broken off when the server ends. Any
 * thread that may block. */
#ifndef SERVER_OPS_LONG_H
#define SERVER_OPS_LONG_H

#include "server/ops.h"

enum { OPS_LONG_MAX = 4 /* at a time */ };

/* Starts the threads. NULL: memory is short, or threads are. */
struct ops_long *ops_long_new(void);
/* Runs it; refused when OPS_LONG_MAX others run. As ops_run otherwise. */
int ops_long_run(struct ops_long *l, const struct ops_env *env, const struct op *op,
                 struct json_object *args, struct json_object **ret, struct fail *reterr);
/* Breaks off what runs, refuses what comes, and waits until nothing runs. */
void ops_long_stop(struct ops_long *l);
/* Stops too, and waits for the threads.  No call may come any more. NULL is fine. */
void ops_long_free(struct ops_long *l);

#endif
