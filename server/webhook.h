/* Tells spend alerts: a thread of its own reads the rows that the ledger wrote (router/alert.h),
 * puts each in the log and, where an address is given, posts it there until it is taken.
 * Rows say what is still to be told, so that a restart goes on where this process ended; a
 * crash between telling and marking tells again, with the same id. */
#ifndef SERVER_WEBHOOK_H
#define SERVER_WEBHOOK_H

#include "router/ledger.h"

enum {
    WEBHOOK_TIMEOUT_MS = 5000, /* of one try, connecting included */
    WEBHOOK_URL_MAX = 2048
};

struct webhook;

/* Is this an address that can be posted to?  ERR_bad_request; never repeats the address, which
 * may hold a secret. */
int webhook_check(const char *url, struct fail *reterr);

/* url NULL: only the log.  Copies nothing: url and db_path outlive it.  NULL with reterr. */
struct webhook *webhook_start(const char *url, const char *db_path, struct ledger *ledger,
                              struct fail *reterr);
/* There are new rows. Any thread, never blocks on I/O. */
void webhook_wake(void *webhook);
/* Puts what is new in the log and ends the thread; a running try is given up within a second.
 * Before ledger_stop, which may still wake it: webhook_free comes after.  NULL is fine. */
void webhook_stop(struct webhook *w);
void webhook_free(struct webhook *w);

struct webhook_stats {
    int64_t delivered, failed, given_up;
};
void webhook_stats(struct webhook *w, struct webhook_stats *ret);

#endif
