/* A condition variable on the monotonic clock, and the two reasons to end a sleep early. */
#define _GNU_SOURCE
#include "server/pacer.h"

#include <time.h>

void pacer_init(struct pacer *p)
{
    pthread_condattr_t attr;
    *p = (struct pacer){.stop = false};
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void pacer_done(struct pacer *p)
{
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

void pacer_sleep(struct pacer *p, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&p->lock);
    int rc = 0;
    while (!p->woken && !p->stop && rc == 0) {
        rc = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    p->woken = false;
    pthread_mutex_unlock(&p->lock);
}

void pacer_wake(struct pacer *p)
{
    pthread_mutex_lock(&p->lock);
    p->woken = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void pacer_stop(struct pacer *p)
{
    pthread_mutex_lock(&p->lock);
    __atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

bool pacer_stopping(const struct pacer *p)
{
    return __atomic_load_n(&p->stop, __ATOMIC_RELAXED);
}
