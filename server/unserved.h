/* Requests of experiments that no endpoint could serve.  Nothing is held for them, so that the
 * ledger does not know them; their arm's error rate must.  Workers leave them here, the experiment
 * thread writes them, all that wait in one transaction (router/experiment_db.h).
 *
 * A crash loses those of the last seconds: they are figures, not money.
 * Thread: unserved_add any (a short lock; only where a request has failed this way), unserved_write
 * one that may wait. */
#ifndef SERVER_UNSERVED_H
#define SERVER_UNSERVED_H

#include "router/experiment_db.h"
#include "router/ledger.h"

enum {
    UNSERVED_MAX = 4096, /* wait at a time; what comes beyond is counted and dropped */
    UNSERVED_EVERY_MS = 1000
};

struct unserved;

/* NULL when memory is short. */
struct unserved *unserved_new(void);
void unserved_free(struct unserved *u);
/* Takes a copy.  false: dropped, there is no room or no memory. */
bool unserved_add(struct unserved *u, const struct experiment_unserved *row);
/* Writes what waits; what cannot be written is dropped and counted.  *ret_n: rows written. */
int unserved_write(struct unserved *u, struct ledger *l, int *ret_n, struct fail *reterr);
int64_t unserved_dropped(const struct unserved *u);

#endif
