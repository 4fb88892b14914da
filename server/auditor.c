/* One thread: the audit of the start, then a look at what changed, again and again. */
#define _GNU_SOURCE
#include "server/auditor.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "router/audit_step_db.h"
#include "server/log.h"
#include "server/pacer.h"

enum { NICE = 10, LOGGED_MAX = 100 /* violations of one check; the rest is counted */ };

struct auditor {
    struct db *db, *writer;
    int every_s;
    pthread_t thread;
    struct pacer pacer;
    struct auditor_stats stats; /* __atomic */
    int n_found;                /* in the running check */
};

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void on_violation(void *ctx, const char *invariant, const char *detail)
{
    struct auditor *a = ctx;
    struct buf line;
    __atomic_add_fetch(&a->stats.violations, 1, __ATOMIC_RELAXED);
    if (++a->n_found > LOGGED_MAX) {
        return;
    }
    buf_init(&line, LOG_LINE_MAX);
    log_value(&line, "detail", span_of(detail));
    buf_addc(&line, '\0');
    log_line(LOG_ERROR, "msg=\"the books are wrong\" invariant=%s%s", invariant,
             line.failed ? "" : line.ptr);
    buf_done(&line);
}

/* ---- the checks ---- */

static int check_all(struct auditor *a, struct fail *f)
{
    struct json_object *report = NULL, *list = NULL, *invariant = NULL, *detail = NULL;
    int rc = audit_db_verify(a->db, &report, f);
    db_rest(a->db);
    if (rc != 0) {
        return -1;
    }
    json_object_object_get_ex(report, "violations", &list);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        json_object_object_get_ex(v, "invariant", &invariant);
        json_object_object_get_ex(v, "detail", &detail);
        on_violation(a, json_object_get_string(invariant), json_object_get_string(detail));
    }
    json_object_put(report);
    return 0;
}

static int check_accounts(struct auditor *a, struct fail *f)
{
    int64_t row = 0;
    do {
        if (audit_db_next_account(a->db, row, &row, on_violation, a, f) != 0) {
            return -1;
        }
    } while (row != 0 && !pacer_stopping(&a->pacer));
    return 0;
}

static int check_start(struct auditor *a, struct fail *f)
{
    int small = audit_db_is_small(a->db, AUDITOR_WHOLE_MAX, f);
    if (small < 0) {
        return -1;
    }
    bool unclean = db_was_unclean(a->writer);
    if (unclean && !small && audit_db_pages(a->db, on_violation, a, f) != 0) {
        return -1;
    }
    if ((small ? check_all(a, f) : check_accounts(a, f)) != 0) {
        return -1;
    }
    if (unclean && !pacer_stopping(&a->pacer) && a->n_found == 0) {
        db_set_checked(a->writer);
    }
    log_line(LOG_INFO, "msg=\"the books were checked\" scope=%s unclean_end=%s violations=%d",
             small ? "all" : "accounts", unclean ? "yes" : "no", a->n_found);
    return 0;
}

static void timed(struct auditor *a, int rc, int64_t begin_us, const struct fail *f)
{
    if (rc == 0) {
        __atomic_add_fetch(&a->stats.checks, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&a->stats.last_us, monotonic_us() - begin_us, __ATOMIC_RELAXED);
    } else if (!pacer_stopping(&a->pacer)) {
        log_fault(LOG_ERROR, "the books could not be checked", f->text, "%s", "");
    }
    a->n_found = 0;
}

static void *auditor_main(void *arg)
{
    struct auditor *a = arg;
    pthread_setname_np(pthread_self(), "wf-audit");
    struct fail f = {.code = ERR_OK};
    struct audit_cursor *cursor = audit_cursor_new();
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread alone, on Linux */
    int64_t begin_us = monotonic_us();
    timed(a, check_start(a, &f), begin_us, &f);
    while (cursor != NULL && !pacer_stopping(&a->pacer)) {
        db_wait_for_log(a->writer, &a->pacer.stop);
        begin_us = monotonic_us();
        timed(a, audit_db_step(a->db, cursor, on_violation, a, &f), begin_us, &f);
        pacer_sleep(&a->pacer, (int64_t)a->every_s * 1000);
    }
    audit_cursor_free(cursor);
    return NULL;
}

/* ---- life ---- */

static void auditor_free(struct auditor *a)
{
    db_close(a->db);
    pacer_done(&a->pacer);
    free(a);
}

struct auditor *auditor_start(const char *db_path, struct db *writer, int every_s,
                              struct fail *reterr)
{
    struct auditor *a = calloc(1, sizeof *a);
    if (a == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    a->writer = writer;
    a->every_s = every_s;
    pacer_init(&a->pacer);
    a->db = db_open(db_path, DB_READ, reterr);
    if (a->db != NULL && pthread_create(&a->thread, NULL, auditor_main, a) == 0) {
        return a;
    }
    if (a->db != NULL) {
        fail_set(reterr, ERR_internal, NULL, "the auditor's thread cannot be started");
    }
    auditor_free(a);
    return NULL;
}

void auditor_stop(struct auditor *a)
{
    if (a == NULL) {
        return;
    }
    pacer_stop(&a->pacer);
    db_interrupt(a->db);
    pthread_join(a->thread, NULL);
    auditor_free(a);
}

void auditor_stats(struct auditor *a, struct auditor_stats *ret)
{
    ret->checks = __atomic_load_n(&a->stats.checks, __ATOMIC_RELAXED);
    ret->violations = __atomic_load_n(&a->stats.violations, __ATOMIC_RELAXED);
    ret->last_us = __atomic_load_n(&a->stats.last_us, __ATOMIC_RELAXED);
}
