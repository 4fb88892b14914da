/* The thread that sums usage up by day while the server runs, and lets old detail go. */
#ifndef SERVER_UPKEEP_H
#define SERVER_UPKEEP_H

#include "router/ledger.h"

struct upkeep;

/* retain_days 0: detail is kept for ever; else >= ROLLUP_RETAIN_DAYS_MIN.  NULL: no thread. */
struct upkeep *upkeep_start(struct ledger *ledger, int retain_days);
/* Waits for the transaction at hand.  Before ledger_stop.  NULL is allowed. */
void upkeep_stop(struct upkeep *u);

#endif
