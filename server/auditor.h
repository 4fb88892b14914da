/* The books are checked while the server runs: a thread of its own, of low priority, over a
 * reading connection of its own.  At the start the whole audit when the ledger is small, else
 * account by account; after an unclean end the database's pages as well; then, every so often,
 * what changed (router/audit_step_db.h).  A violation is an error in the log and is counted;
 * the server goes on. */
#ifndef SERVER_AUDITOR_H
#define SERVER_AUDITOR_H

#include "router/db.h"

enum {
    AUDITOR_EVERY_S = 60,
    AUDITOR_EVERY_MAX_S = 86400,
    AUDITOR_WHOLE_MAX = 100000 /* attempts: about two seconds */
};

struct auditor;

/* writer is only asked whether its last owner ended well, and told when that was looked into.
 * every_s > 0. NULL with reterr. */
struct auditor *auditor_start(const char *db_path, struct db *writer, int every_s,
                              struct fail *reterr);
/* Breaks off what it does. NULL is fine. */
void auditor_stop(struct auditor *a);

struct auditor_stats {
    int64_t checks, violations;
    int64_t last_us; /* duration of the last check */
};
void auditor_stats(struct auditor *a, struct auditor_stats *ret);

#endif
