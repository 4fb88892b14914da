#define _GNU_SOURCE
#include "server/unserved.h"

#include <pthread.h>
#include <stdlib.h>

struct waiting {
    struct waiting *next;
    struct experiment_unserved row;
};

struct unserved {
    pthread_mutex_t lock;
    struct waiting *first, **last; /* the oldest first */
    int n;
    int64_t dropped; /* __atomic */
};

struct unserved *unserved_new(void)
{
    struct unserved *u = calloc(1, sizeof *u);
    if (u != NULL) {
        pthread_mutex_init(&u->lock, NULL);
        u->last = &u->first;
    }
    return u;
}

static void free_all(struct waiting *w)
{
    while (w != NULL) {
        struct waiting *next = w->next;
        free(w);
        w = next;
    }
}

void unserved_free(struct unserved *u)
{
    if (u == NULL) {
        return;
    }
    free_all(u->first);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

static void drop(struct unserved *u, int n)
{
    __atomic_add_fetch(&u->dropped, n, __ATOMIC_RELAXED);
}

static bool link_last(struct unserved *u, struct waiting *w)
{
    pthread_mutex_lock(&u->lock);
    bool room = u->n < UNSERVED_MAX;
    if (room) {
        *u->last = w;
        u->last = &w->next;
        u->n++;
    }
    pthread_mutex_unlock(&u->lock);
    return room;
}

bool unserved_add(struct unserved *u, const struct experiment_unserved *row)
{
    struct waiting *w = malloc(sizeof *w);
    if (w != NULL) {
        w->next = NULL;
        w->row = *row;
    }
    if (w != NULL && link_last(u, w)) {
        return true;
    }
    free(w);
    drop(u, 1);
    return false;
}

/* ---- writing ---- */

struct job {
    struct waiting *first;
    struct fail fail;
};

/* On the ledger thread. */
static int write_rows(struct db *db, void *arg)
{
    struct job *job = arg;
    for (struct waiting *w = job->first; w != NULL; w = w->next) {
        if (experiment_db_unserved(db, &w->row, &job->fail) != 0) {
            return -1;
        }
    }
    return 0;
}

static struct waiting *take_all(struct unserved *u, int *ret_n)
{
    pthread_mutex_lock(&u->lock);
    struct waiting *first = u->first;
    *ret_n = u->n;
    u->first = NULL;
    u->last = &u->first;
    u->n = 0;
    pthread_mutex_unlock(&u->lock);
    return first;
}

int unserved_write(struct unserved *u, struct ledger *l, int *ret_n, struct fail *reterr)
{
    struct job job = {.fail = {.code = ERR_OK}};
    job.first = take_all(u, ret_n);
    int rc = job.first != NULL ? ledger_job(l, write_rows, &job) : 0;
    free_all(job.first);
    if (rc == 0) {
        return 0;
    }
    drop(u, *ret_n);
    *ret_n = 0;
    if (job.fail.code == ERR_OK) {
        return fail_set(reterr, ERR_ledger_down, NULL, "%s", err_info(ERR_ledger_down)->text);
    }
    *reterr = job.fail;
    return -1;
}

int64_t unserved_dropped(const struct unserved *u)
{
    return __atomic_load_n(&u->dropped, __ATOMIC_RELAXED);
}
