/* Spend alerts: at which per cent of a cap, and when a receiver is tried again.  Pure. */
#ifndef ROUTER_ALERT_H
#define ROUTER_ALERT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ALERT_RULES_MAX = 8,
    ALERT_KEEP_TRYING_S = 24 * 3600 /* then a receiver that takes nothing is given up */
};

/* Thresholds in per cent of a cap, 1 to 100, ascending, each once. n = 0: no alerts. */
struct alert_rules {
    int n;
    int percent[ALERT_RULES_MAX];
};

#define ALERT_RULES_DEFAULT ((struct alert_rules){.n = 2, .percent = {80, 95}})

/* false: not 1 to 100, or too many. One that is there already is fine. */
bool alert_rules_add(struct alert_rules *r, int percent);
/* Has spending reached this share of the cap?  A cap of 0 has no shares. */
bool alert_reached(int64_t spent_nusd, int64_t cap_nusd, int percent);
/* Seconds from a failed try to the next one; tries: so many have failed, 1 or more. */
int alert_backoff_s(int64_t tries);

#endif
