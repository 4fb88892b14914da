/* One thread: a look at the guardrails of all that runs, again and again. */
#define _GNU_SOURCE
#include "server/experimenter.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "router/experiment_report_db.h"
#include "server/log.h"
#include "server/pacer.h"

enum { NICE = 10 };

struct experimenter {
    struct db *db;
    struct ops_env *env;
    struct unserved *unserved;
    pthread_t thread;
    struct pacer pacer;
    struct experimenter_stats stats; /* __atomic */
};

/* What this thread has worked: on a busy machine a look lasts longer and takes no more. */
static int64_t worked_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- stopping one ---- */

static void log_stopped(const char *name, const char *reason)
{
    struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    log_value(&line, "reason", span_of(reason));
    buf_addc(&line, '\0');
    log_line(LOG_WARN, "msg=\"a guardrail stopped an experiment\" experiment=%s%s", name,
             line.failed ? "" : line.ptr);
    buf_done(&line);
}

static void end_experiment(struct experimenter *x, const char *name, const char *reason)
{
    struct json_object *args = json_object_new_object(), *result = NULL;
    struct fail f = {.code = ERR_OK};
    json_object_object_add(args, "name", json_object_new_string(name));
    json_object_object_add(args, "reason", json_object_new_string(reason));
    int rc = ops_run(x->env, "experiment stop", args, &result, &f);
    json_object_put(args);
    json_object_put(result);
    if (rc == 0) {
        __atomic_add_fetch(&x->stats.stops, 1, __ATOMIC_RELAXED);
        log_stopped(name, reason);
    } else if (f.code != ERR_bad_request) { /* else somebody has stopped it meanwhile */
        log_fault(LOG_ERROR, "a guardrail is broken and its experiment could not be stopped",
                  f.text, " experiment=%s", name);
    }
}

/* ---- looking ---- */

static void look_at(struct experimenter *x, const char *name)
{
    char reason[REPORT_REASON_MAX];
    struct fail f = {.code = ERR_OK};
    ledger_wait_for_log(x->env->ledger, &x->pacer.stop);
    int broken = experiment_report_guard(x->db, name, reason, &f);
    db_rest(x->db);
    if (pacer_stopping(&x->pacer)) {
        return;
    }
    if (broken < 0) {
        log_fault(LOG_ERROR, "guardrails could not be looked at", f.text, " experiment=%s", name);
    } else if (broken > 0) {
        end_experiment(x, name, reason);
    }
}

static void look(struct experimenter *x)
{
    struct experiments *running = state_experiments(x->env->state);
    for (int i = 0; running != NULL && i < running->n && !pacer_stopping(&x->pacer); i++) {
        if (running->rows[i]->unreadable[0] == '\0') {
            look_at(x, running->rows[i]->name);
        }
    }
    experiments_unref(running);
    __atomic_add_fetch(&x->stats.looks, 1, __ATOMIC_RELAXED);
}

/* ---- who got no answer ---- */

static void write_unserved(struct experimenter *x)
{
    struct fail f;
    int n;
    if (unserved_write(x->unserved, x->env->ledger, &n, &f) != 0) {
        log_fault(LOG_ERROR, "requests that an experiment's arm could not serve are not counted",
                  f.text, "%s", "");
    }
}

static void rest(struct experimenter *x, int64_t ms)
{
    for (; ms > 0 && !pacer_stopping(&x->pacer); ms -= UNSERVED_EVERY_MS) {
        write_unserved(x);
        pacer_sleep(&x->pacer, UNSERVED_EVERY_MS);
    }
    write_unserved(x);
}

static void *experimenter_main(void *arg)
{
    struct experimenter *x = arg;
    pthread_setname_np(pthread_self(), "wf-experiment");
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread alone, on Linux */
    while (!pacer_stopping(&x->pacer)) {
        int64_t begin_ms = worked_ms();
        look(x);
        int64_t rest_ms = (worked_ms() - begin_ms) * EXPERIMENTER_REST;
        int64_t least_ms = (int64_t)EXPERIMENTER_EVERY_S * 1000;
        rest(x, rest_ms > least_ms ? rest_ms : least_ms);
    }
    return NULL;
}

/* ---- life ---- */

static void experimenter_free(struct experimenter *x)
{
    db_close(x->db);
    pacer_done(&x->pacer);
    free(x);
}

struct experimenter *experimenter_start(const char *db_path, struct ops_env *env,
                                        struct unserved *unserved, struct fail *reterr)
{
    struct experimenter *x = calloc(1, sizeof *x);
    if (x == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    x->env = env;
    x->unserved = unserved;
    pacer_init(&x->pacer);
    x->db = db_open(db_path, DB_READ, reterr);
    if (x->db != NULL && pthread_create(&x->thread, NULL, experimenter_main, x) == 0) {
        return x;
    }
    if (x->db != NULL) {
        fail_set(reterr, ERR_internal, NULL, "the thread for guardrails cannot be started");
    }
    experimenter_free(x);
    return NULL;
}

void experimenter_stop(struct experimenter *x)
{
    if (x == NULL) {
        return;
    }
    pacer_stop(&x->pacer);
    db_interrupt(x->db);
    pthread_join(x->thread, NULL);
    experimenter_free(x);
}

void experimenter_stats(struct experimenter *x, struct experimenter_stats *ret)
{
    ret->looks = __atomic_load_n(&x->stats.looks, __ATOMIC_RELAXED);
    ret->stops = __atomic_load_n(&x->stats.stops, __ATOMIC_RELAXED);
}
