#define _GNU_SOURCE
/* A few small transactions on the ledger thread every PERIOD_S seconds: what a report reads one
 * by one is then what was admitted since. */
#include "server/upkeep.h"

#include <pthread.h>
#include <stdlib.h>

#include "server/log.h"
#include "server/op_ledger.h"
#include "server/pacer.h"

enum { PERIOD_S = 15, RETAIN_EVERY = 240 /* periods: hourly */ };

struct upkeep {
    struct ops_env env;
    int retain_days;
    pthread_t thread;
    struct pacer pacer;
};

static void tend(struct upkeep *u, int round)
{
    struct fail f;
    struct op_ledger_pruned pruned = {0};
    int lost = 0;
    if (op_ledger_sum_up(&u->env, &u->pacer.stop, &lost, &f) != 0) {
        log_fault(LOG_WARN, "usage was not summed up", f.text, "%s", "");
        return;
    }
    if (lost > 0)
        log_line(LOG_WARN, "msg=\"requests that had lost their end were ended\" requests=%d", lost);
    if (u->retain_days == 0 || round % RETAIN_EVERY != 0)
        return;
    if (op_ledger_retain(&u->env, u->retain_days, &u->pacer.stop, &pruned, &f) != 0)
        log_fault(LOG_WARN, "old detail was not deleted", f.text, "%s", "");
    else if (pruned.attempts > 0)
        log_line(LOG_INFO, "msg=\"old detail deleted\" attempts=%lld retain_days=%d",
                 (long long)pruned.attempts, u->retain_days);
}

static void *upkeep_main(void *arg)
{
    struct upkeep *u = arg;
    pthread_setname_np(pthread_self(), "wf-upkeep");
    for (int round = 0; !pacer_stopping(&u->pacer); round = (round + 1) % RETAIN_EVERY) {
        tend(u, round);
        pacer_sleep(&u->pacer, PERIOD_S * 1000);
    }
    return NULL;
}

struct upkeep *upkeep_start(struct ledger *ledger, int retain_days)
{
    struct upkeep *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return NULL;
    u->env.ledger = ledger;
    u->retain_days = retain_days;
    pacer_init(&u->pacer);
    if (pthread_create(&u->thread, NULL, upkeep_main, u) == 0)
        return u;
    pacer_done(&u->pacer);
    free(u);
    return NULL;
}

void upkeep_stop(struct upkeep *u)
{
    if (u == NULL)
        return;
    pacer_stop(&u->pacer);
    pthread_join(u->thread, NULL);
    pacer_done(&u->pacer);
    free(u);
}
