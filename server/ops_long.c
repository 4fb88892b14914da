#define _GNU_SOURCE
/* A connection for each; all are known, so that they can be interrupted. */
#include "server/ops_long.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { AGAIN_MS = 20 };

struct ops_long {
    pthread_mutex_t lock; /* of everything here */
    struct db *running[OPS_LONG_MAX];
    int n;     /* running, also before and after their connection */
    bool stop; /* __atomic: read by the operations between their transactions */
};

struct ops_long *ops_long_new(void)
{
    struct ops_long *l = calloc(1, sizeof(*l));
    if (l != NULL)
        pthread_mutex_init(&l->lock, NULL);
    return l;
}

void ops_long_free(struct ops_long *l)
{
    if (l == NULL)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool is_stopping(const struct ops_long *l)
{
    return __atomic_load_n(&l->stop, __ATOMIC_RELAXED);
}

static int enter(struct ops_long *l, struct fail *reterr)
{
    pthread_mutex_lock(&l->lock);
    bool room = l->n < OPS_LONG_MAX && !is_stopping(l);
    l->n += room;
    pthread_mutex_unlock(&l->lock);
    if (room)
        return 0;
    if (is_stopping(l))
        return fail_set(reterr, ERR_draining, NULL, "the server is shutting down");
    return fail_set(reterr, ERR_bad_request, "op",
                    "%d operations of this kind run already; try again when one has ended",
                    OPS_LONG_MAX);
}

/* Puts `to` into the place of `from`; one of them is NULL. */
static void swap(struct ops_long *l, struct db *from, struct db *to)
{
    int i = 0;
    pthread_mutex_lock(&l->lock);
    while (l->running[i] != from)
        i++;
    l->running[i] = to;
    pthread_mutex_unlock(&l->lock);
}

static void leave(struct ops_long *l)
{
    pthread_mutex_lock(&l->lock);
    l->n--;
    pthread_mutex_unlock(&l->lock);
}

static int run(struct ops_long *l, const struct ops_env *env, const struct op *op,
               struct json_object *args, struct json_object **ret, struct fail *reterr)
{
    struct ops_env own = *env;
    own.db = db_open(db_path(env->db), DB_READ, reterr);
    own.stop = &l->stop;
    if (own.db == NULL)
        return -1;
    swap(l, NULL, own.db);
    int rc = op->run(&own, args, ret, reterr);
    swap(l, own.db, NULL);
    db_close(own.db);
    return rc;
}

int ops_long_run(struct ops_long *l, const struct ops_env *env, const struct op *op,
                 struct json_object *args, struct json_object **ret, struct fail *reterr)
{
    if (enter(l, reterr) != 0)
        return -1;
    int rc = run(l, env, op, args, ret, reterr);
    leave(l);
    if (rc != 0 && is_stopping(l))
        return fail_set(reterr, ERR_draining, NULL,
                        "the server is shutting down, which broke this off");
    return rc;
}

void ops_long_stop(struct ops_long *l)
{
    const struct timespec again = {.tv_nsec = AGAIN_MS * 1000000L};
    bool busy = true;
    __atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
    while (busy) {
        pthread_mutex_lock(&l->lock);
        busy = l->n > 0;
        for (int i = 0; i < OPS_LONG_MAX; i++) { /* again and again: one may just have begun */
            if (l->running[i] != NULL)
                db_interrupt(l->running[i]);
        }
        pthread_mutex_unlock(&l->lock);
        if (busy)
            nanosleep(&again, NULL);
    }
}
