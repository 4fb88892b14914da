/* Guardrails of running experiments: a thread of its own, of low priority, over a reading
 * connection of its own, looks at each of them again and again.  Where an arm is above a limit
 * beyond doubt (router/verdict.h: evidence that holds at every look; a bad minute is none) the
 * experiment is stopped as an operator would stop it, through the ledger's thread, with the reason
 * in its row and in the log: from then on its requests are served as if there were none.
 *
 * The same thread writes, every second, which requests no endpoint could serve (unserved.h). */
#ifndef SERVER_EXPERIMENTER_H
#define SERVER_EXPERIMENTER_H

#include "server/ops.h"
#include "server/unserved.h"

enum {
    EXPERIMENTER_EVERY_S = 10,
    /* Looking takes a twentieth of a core at most, however many requests the experiments have had
     * (half a million: two seconds): the rest is so many times as long as the work of the look. */
    EXPERIMENTER_REST = 20
};

struct experimenter;

/* env and unserved: the server's; they outlive the thread, as its state does.  NULL with reterr. */
struct experimenter *experimenter_start(const char *db_path, struct ops_env *env,
                                        struct unserved *unserved, struct fail *reterr);
/* Breaks off a look; waits for a stop that has begun.  Before ledger_stop.  NULL is fine. */
void experimenter_stop(struct experimenter *x);

struct experimenter_stats {
    int64_t looks; /* at all that run */
    int64_t stops;
};
/* Any thread. */
void experimenter_stats(struct experimenter *x, struct experimenter_stats *ret);

#endif
