#define _GNU_SOURCE
/* A few small transactions on the ledger thread every PERIOD_S seconds: what a report reads one
 * by one is then what was admitted since. */
#include "server/upkeep.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "server/log.h"
#include "server/op_ledger.h"

enum { PERIOD_S = 15, RETAIN_EVERY = 240 /* periods: hourly */ };

struct upkeep {
    struct ops_env env;
    int retain_days;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool stop; /* written under the mutex; read atomically between transactions */
};

static void tend(struct upkeep *u, int round)
{
    struct fail f;
    struct op_ledger_pruned pruned = {0};
    if (op_ledger_sum_up(&u->env, &u->stop, &f) != 0) {
        log_line(LOG_WARN, "msg=\"usage was not summed up\" error=\"%s\"", f.text);
        return;
    }
    if (u->retain_days == 0 || round % RETAIN_EVERY != 0)
        return;
    if (op_ledger_retain(&u->env, u->retain_days, &u->stop, &pruned, &f) != 0)
        log_line(LOG_WARN, "msg=\"old detail was not deleted\" error=\"%s\"", f.text);
    else if (pruned.attempts > 0)
        log_line(LOG_INFO, "msg=\"old detail deleted\" attempts=%lld retain_days=%d",
                 (long long)pruned.attempts, u->retain_days);
}

static void *upkeep_main(void *arg)
{
    struct upkeep *u = arg;
    struct timespec until;
    pthread_mutex_lock(&u->mutex);
    for (int round = 0; !u->stop; round = (round + 1) % RETAIN_EVERY) {
        pthread_mutex_unlock(&u->mutex);
        tend(u, round);
        pthread_mutex_lock(&u->mutex);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += PERIOD_S;
        while (!u->stop && pthread_cond_timedwait(&u->ended, &u->mutex, &until) == 0)
            continue;
    }
    pthread_mutex_unlock(&u->mutex);
    return NULL;
}

struct upkeep *upkeep_start(struct ledger *ledger, int retain_days)
{
    pthread_condattr_t attr;
    struct upkeep *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return NULL;
    u->env.ledger = ledger;
    u->retain_days = retain_days;
    pthread_mutex_init(&u->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&u->ended, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&u->thread, NULL, upkeep_main, u) == 0)
        return u;
    pthread_mutex_destroy(&u->mutex);
    pthread_cond_destroy(&u->ended);
    free(u);
    return NULL;
}

void upkeep_stop(struct upkeep *u)
{
    if (u == NULL)
        return;
    pthread_mutex_lock(&u->mutex);
    __atomic_store_n(&u->stop, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&u->ended);
    pthread_mutex_unlock(&u->mutex);
    pthread_join(u->thread, NULL);
    pthread_mutex_destroy(&u->mutex);
    pthread_cond_destroy(&u->ended);
    free(u);
}
