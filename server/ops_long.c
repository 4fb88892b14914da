#define _GNU_SOURCE
/* Threads that are there from the start and wait for a call; a connection for each call, known to
 * all so that it can be interrupted.
 *
 * Threads of its own, and the first idle one of a fixed order, for the sake of memory: a report
 * leaves up to 10 MiB in the allocator's arena of the thread that made it.  On the admin side's
 * threads, one for each connection, that came to 16 arenas; here it is as many as reports run at
 * a time, as a rule one. */
#include "server/ops_long.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { AGAIN_MS = 20 };

struct long_call {
    const struct ops_env *env;
    const struct op *op;
    struct json_object *args, **ret;
    struct fail *reterr;
    int result;
    bool ended;
};

struct runner {
    struct ops_long *longs;
    pthread_t thread;
    pthread_cond_t wake;
    struct long_call *call; /* NULL: idle */
    struct db *db;          /* of its call, while it is open */
};

struct ops_long {
    pthread_mutex_t lock; /* of everything here */
    pthread_cond_t ended; /* one of the calls */
    struct runner runners[OPS_LONG_MAX];
    int n;     /* threads that could be started */
    bool stop; /* __atomic: read by the operations between their transactions */
};

static bool is_stopping(const struct ops_long *l)
{
    return __atomic_load_n(&l->stop, __ATOMIC_RELAXED);
}

static void set_db(struct runner *r, struct db *db)
{
    pthread_mutex_lock(&r->longs->lock);
    r->db = db;
    pthread_mutex_unlock(&r->longs->lock);
}

static int run(struct runner *r, const struct long_call *c)
{
    struct ops_env own = *c->env;
    ledger_wait_for_log(own.ledger, &r->longs->stop);
    own.db = db_open(db_path(c->env->db), DB_READ, c->reterr);
    own.stop = &r->longs->stop;
    if (own.db == NULL)
        return -1;
    set_db(r, own.db);
    int rc = c->op->run(&own, c->args, c->ret, c->reterr);
    set_db(r, NULL);
    db_close(own.db);
    return rc;
}

static void *runner_main(void *arg)
{
    struct runner *r = arg;
    struct ops_long *l = r->longs;
    pthread_setname_np(pthread_self(), "wf-report");
    pthread_mutex_lock(&l->lock);
    while (r->call != NULL || !is_stopping(l)) {
        struct long_call *c = r->call;
        if (c == NULL) {
            pthread_cond_wait(&r->wake, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        int rc = run(r, c);
        pthread_mutex_lock(&l->lock);
        c->result = rc;
        c->ended = true;
        r->call = NULL;
        pthread_cond_broadcast(&l->ended);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* With l->lock. NULL: all are busy, or it ends. */
static struct runner *idle_runner(struct ops_long *l)
{
    for (int i = 0; i < l->n && !is_stopping(l); i++) {
        if (l->runners[i].call == NULL)
            return &l->runners[i];
    }
    return NULL;
}

static bool run_elsewhere(struct ops_long *l, struct long_call *c)
{
    pthread_mutex_lock(&l->lock);
    struct runner *r = idle_runner(l);
    if (r != NULL) {
        r->call = c;
        pthread_cond_signal(&r->wake);
        while (!c->ended)
            pthread_cond_wait(&l->ended, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return r != NULL;
}

int ops_long_run(struct ops_long *l, const struct ops_env *env, const struct op *op,
                 struct json_object *args, struct json_object **ret, struct fail *reterr)
{
    struct long_call c = {.env = env, .op = op, .args = args, .ret = ret, .reterr = reterr};
    bool ran = run_elsewhere(l, &c);
    if (is_stopping(l) && (!ran || c.result != 0))
        return fail_set(reterr, ERR_draining, NULL, "the server is shutting down%s",
                        ran ? ", which broke this off" : "");
    if (!ran)
        return fail_set(reterr, ERR_bad_request, "op",
                        "%d operations of this kind run already; try again when one has ended",
                        l->n);
    return c.result;
}

/* ---- life ---- */

static bool start_runner(struct ops_long *l, struct runner *r)
{
    r->longs = l;
    pthread_cond_init(&r->wake, NULL);
    if (pthread_create(&r->thread, NULL, runner_main, r) == 0)
        return true;
    pthread_cond_destroy(&r->wake);
    return false;
}

struct ops_long *ops_long_new(void)
{
    struct ops_long *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->ended, NULL);
    while (l->n < OPS_LONG_MAX && start_runner(l, &l->runners[l->n]))
        l->n++;
    if (l->n == OPS_LONG_MAX)
        return l;
    ops_long_free(l);
    return NULL;
}

/* With l->lock. True: one still runs, and was told to end. */
static bool interrupt_all(struct ops_long *l)
{
    bool busy = false;
    for (int i = 0; i < l->n; i++) {
        busy = busy || l->runners[i].call != NULL;
        if (l->runners[i].db != NULL)
            db_interrupt(l->runners[i].db);
    }
    return busy;
}

void ops_long_stop(struct ops_long *l)
{
    const struct timespec again = {.tv_nsec = AGAIN_MS * 1000000L};
    bool busy = true;
    __atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
    while (busy) { /* again and again: one may just have begun */
        pthread_mutex_lock(&l->lock);
        busy = interrupt_all(l);
        pthread_mutex_unlock(&l->lock);
        if (busy)
            nanosleep(&again, NULL);
    }
}

void ops_long_free(struct ops_long *l)
{
    if (l == NULL)
        return;
    ops_long_stop(l);
    for (int i = 0; i < l->n; i++) {
        pthread_mutex_lock(&l->lock);
        pthread_cond_signal(&l->runners[i].wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->runners[i].thread, NULL);
        pthread_cond_destroy(&l->runners[i].wake);
    }
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
