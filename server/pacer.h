/* The sleep of a thread that works now and then: it ends when its time has passed, when somebody
 * wakes it, or when the thread shall stop.  For the alert, audit, experiment and upkeep threads.
 * Any thread may wake and stop; one sleeps. */
#ifndef SERVER_PACER_H
#define SERVER_PACER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct pacer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken; /* under lock */
    bool stop;  /* written under lock with __atomic: work that takes long may look at it */
};

void pacer_init(struct pacer *p);
void pacer_done(struct pacer *p);
/* At most ms; returns at once when it was woken since the last sleep. */
void pacer_sleep(struct pacer *p, int64_t ms);
void pacer_wake(struct pacer *p);
/* For good. */
void pacer_stop(struct pacer *p);
bool pacer_stopping(const struct pacer *p);

#endif
