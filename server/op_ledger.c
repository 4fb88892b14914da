#define _GNU_SOURCE
/* Operations that work through the ledger in small transactions: summing up, letting old detail
 * go, corrections. */
#include "server/op_ledger.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/correction.h"
#include "server/ops.h"

enum {
    DIRECT_STEP_ATTEMPTS = 20000,
    CORRECT_STEP_ATTEMPTS = 100, /* each is two rows and its accounts */
    /* Between transactions on the ledger thread, so that of a long backlog no hold ever waits
     * for more than one. */
    PAUSE_MS = 20
};

/* ---- one transaction, on the ledger thread or here ---- */

struct step {
    enum { STEP_LOST, STEP_SUM, STEP_ALLOW, STEP_PRUNE, STEP_CORRECT } kind;
    int max_attempts;
    int64_t days, before_day;             /* ALLOW: to keep; reached */
    int n;                                /* PRUNE, LOST */
    int64_t horizon_ms;                   /* SUM: of the round */
    bool more;                            /* SUM */
    const struct correction *corrections; /* CORRECT: n of them */
    int rc;
    struct fail fail;
};

static int correct(struct db *db, struct step *s)
{
    int rc = 0;
    for (int i = 0; i < s->n && rc == 0; i++)
        rc = correction_db_write(db, &s->corrections[i], identity_now_ms(), &s->fail);
    return rc;
}

static int run_step(struct db *db, void *arg)
{
    struct step *s = arg;
    switch (s->kind) {
    case STEP_LOST:
        s->rc = rollup_db_end_lost(db, identity_now_ms(), &s->n, &s->fail);
        break;
    case STEP_SUM:
        s->rc = rollup_db_step(db, s->max_attempts, &s->horizon_ms, &s->more, &s->fail);
        break;
    case STEP_ALLOW:
        s->rc = rollup_db_allow(db, identity_now_ms(), s->days, &s->before_day, &s->fail);
        break;
    case STEP_PRUNE:
        s->rc = rollup_db_prune(db, s->max_attempts, &s->n, &s->fail);
        break;
    case STEP_CORRECT:
        s->rc = correct(db, s);
        break;
    }
    return s->rc;
}

static int run_direct(struct db *db, struct step *s, struct fail *reterr)
{
    if (db_begin(db, reterr) != 0)
        return -1;
    if (run_step(db, s) == 0 && db_commit(db, reterr) == 0)
        return 0;
    db_rollback(db);
    if (s->rc != 0 && reterr != NULL)
        *reterr = s->fail;
    return -1;
}

static int transact(const struct ops_env *env, struct step *s, struct fail *reterr)
{
    if (env->ledger == NULL)
        return run_direct(env->db, s, reterr);
    int rc = s->kind == STEP_CORRECT ? ledger_job_reload(env->ledger, run_step, s)
                                     : ledger_job(env->ledger, run_step, s);
    if (rc == 0)
        return 0;
    if (s->rc == 0)
        return fail_set(reterr, ERR_ledger_down, NULL,
                        "the change could not be committed; is the disk full?");
    if (reterr != NULL)
        *reterr = s->fail;
    return -1;
}

/* false: stop. */
static bool pause_before_next(const struct ops_env *env, const bool *stop)
{
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    if (env->ledger != NULL)
        nanosleep(&pause, NULL);
    return stop == NULL || !__atomic_load_n(stop, __ATOMIC_RELAXED);
}

/* Half of it is done; the other half is for the next run. */
static int check_stop(const struct ops_env *env, struct fail *reterr)
{
    if (env->stop == NULL || !__atomic_load_n(env->stop, __ATOMIC_RELAXED))
        return 0;
    return fail_set(reterr, ERR_draining, NULL, "broken off");
}

/* ---- for server/upkeep.c too ---- */

int op_ledger_sum_up(const struct ops_env *env, const bool *stop, int *ret_lost,
                     struct fail *reterr)
{
    struct step lost = {.kind = STEP_LOST}, s = {.kind = STEP_SUM};
    if (transact(env, &lost, reterr) != 0)
        return -1;
    *ret_lost = lost.n;
    s.max_attempts = env->ledger != NULL ? ROLLUP_STEP_ATTEMPTS : DIRECT_STEP_ATTEMPTS;
    do {
        if (transact(env, &s, reterr) != 0)
            return -1;
    } while (s.more && pause_before_next(env, stop));
    return 0;
}

int op_ledger_retain(const struct ops_env *env, int64_t days, const bool *stop,
                     struct op_ledger_pruned *ret, struct fail *reterr)
{
    struct step allow = {.kind = STEP_ALLOW, .days = days};
    struct step prune = {.kind = STEP_PRUNE, .max_attempts = ROLLUP_PRUNE_ATTEMPTS};
    if (transact(env, &allow, reterr) != 0)
        return -1;
    *ret = (struct op_ledger_pruned){allow.before_day, 0};
    do {
        if (transact(env, &prune, reterr) != 0)
            return -1;
        ret->attempts += prune.n;
    } while (prune.n == ROLLUP_PRUNE_ATTEMPTS && pause_before_next(env, stop));
    return 0;
}

/* ---- ledger prune ---- */

struct prune_args {
    struct arg_text older_than;
};

/* "90d" or "90": days. */
static int read_days(const char *text, int64_t *ret, struct fail *reterr)
{
    int64_t days = 0;
    size_t n = strspn(text, "0123456789");
    for (size_t i = 0; i < n && i < 6; i++)
        days = days * 10 + (text[i] - '0');
    bool ends = text[n] == '\0' || (text[n] == 'd' && text[n + 1] == '\0');
    if (n == 0 || n > 6 || !ends)
        return fail_set(reterr, ERR_bad_request, "older_than",
                        "older_than must be a number of days such as 90d");
    if (days < ROLLUP_RETAIN_DAYS_MIN)
        return fail_set(reterr, ERR_bad_request, "older_than",
                        "older_than must be at least %dd: accounts of this month count the detail",
                        ROLLUP_RETAIN_DAYS_MIN);
    *ret = days;
    return 0;
}

int op_ledger_prune(struct ops_env *env, struct json_object *args, struct json_object **ret,
                    struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"older_than", ARG_TEXT, offsetof(struct prune_args, older_than), true}, {0}};
    struct prune_args a = {0};
    struct op_ledger_pruned pruned;
    int64_t days = 0;
    int lost;
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    if (a.older_than.value == NULL)
        return fail_set(reterr, ERR_bad_request, "older_than", "older_than must be given");
    if (read_days(a.older_than.value, &days, reterr) != 0 ||
        op_ledger_sum_up(env, env->stop, &lost, reterr) != 0 || check_stop(env, reterr) != 0 ||
        op_ledger_retain(env, days, env->stop, &pruned, reterr) != 0 ||
        check_stop(env, reterr) != 0)
        return -1;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "before", shape_time(pruned.before_day * ROLLUP_DAY_MS));
    json_object_object_add(*ret, "attempts", json_object_new_int64(pruned.attempts));
    return 0;
}

/* ---- ledger reconcile ---- */

struct reconcile_args {
    struct arg_text text, format, provider;
    struct arg_flag apply;
};

static int read_reconcile_args(struct json_object *args, struct reconcile_args *a,
                               struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"text", ARG_TEXT, offsetof(struct reconcile_args, text), true},
        {"format", ARG_TEXT, offsetof(struct reconcile_args, format), false},
        {"provider", ARG_TEXT, offsetof(struct reconcile_args, provider), false},
        {"apply", ARG_FLAG, offsetof(struct reconcile_args, apply), false},
        {0}};
    if (args_read(args, specs, a, reterr) != 0)
        return -1;
    const char *f = a->format.value;
    if (f != NULL && strcmp(f, "anthropic") != 0 && strcmp(f, "openai") != 0 &&
        strcmp(f, "openrouter") != 0)
        return fail_set(reterr, ERR_bad_request, "format",
                        "format must be anthropic, openai or openrouter");
    if (a->text.value == NULL)
        return fail_set(reterr, ERR_bad_request, "text", "text must be given");
    return 0;
}

/* Broken off, the next run writes the rest: it finds what is left of the differences. */
static int apply_corrections(const struct ops_env *env, const struct correction_list *l,
                             struct fail *reterr)
{
    for (size_t i = 0; i < l->n; i += CORRECT_STEP_ATTEMPTS) {
        struct step s = {.kind = STEP_CORRECT, .corrections = &l->rows[i]};
        size_t left = l->n - i;
        s.n = left < CORRECT_STEP_ATTEMPTS ? (int)left : CORRECT_STEP_ATTEMPTS;
        if (i > 0 && !pause_before_next(env, env->stop))
            return check_stop(env, reterr);
        if (transact(env, &s, reterr) != 0)
            return -1;
    }
    return 0;
}

/* What has been corrected is equal now. */
static void note_applied(struct json_object *report, bool applied)
{
    struct json_object *left = NULL;
    json_object_object_get_ex(report, "unattributed", &left);
    if (applied && json_object_get_int64(left) == 0)
        json_object_object_add(report, "ok", json_object_new_boolean(true));
    json_object_object_add(report, "applied", json_object_new_boolean(applied));
}

static int compare(const struct ops_env *env, const struct reconcile_args *a,
                   const struct reconcile_export *e, struct json_object **ret, struct fail *reterr)
{
    /* Of two that apply, the second works its differences out when the first has ended: half way
     * it would add what the first is about to. */
    static pthread_mutex_t applying = PTHREAD_MUTEX_INITIALIZER;
    struct correction_list corrections = {0};
    if (a->apply.value)
        pthread_mutex_lock(&applying);
    int rc =
        reconcile_db_compare(env->db, e, a->provider.value != NULL ? a->provider.value : e->format,
                             identity_now_ms(), &corrections, ret, reterr);
    if (rc == 0 && a->apply.value)
        rc = apply_corrections(env, &corrections, reterr);
    if (a->apply.value)
        pthread_mutex_unlock(&applying);
    correction_list_done(&corrections);
    return rc;
}

int op_ledger_reconcile(struct ops_env *env, struct json_object *args, struct json_object **ret,
                        struct fail *reterr)
{
    struct reconcile_args a = {0};
    struct reconcile_export e;
    struct json_object *report = NULL;
    if (read_reconcile_args(args, &a, reterr) != 0)
        return -1;
    int rc = reconcile_read(span_of(a.text.value), a.format.value, &e, reterr);
    if (rc == 0)
        rc = compare(env, &a, &e, &report, reterr);
    if (rc == 0) {
        note_applied(report, a.apply.value);
        *ret = report;
    } else {
        json_object_put(report);
    }
    reconcile_done(&e);
    return rc;
}
