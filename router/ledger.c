#define _GNU_SOURCE
/* The ledger thread: queue, group commit, ports.  The work itself is ledger_book.c's. */
#include "router/ledger.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "router/alert_db.h"
#include "router/ballast.h"
#include "router/cell.h"
#include "router/ledger_book.h"

enum {
    FREE_CELLS_MAX = 1024, /* kept for the next operations; more are given back */
    RETRY_MS = 200,        /* between tries to write when there is no room */
    ROOM_CHECK_MS = 1000,  /* between looks whether the ballast fits again, */
    LATE_CHECK_MS = 60000, /* and when it never fitted: holds are admitted without it */
    GATHER_MIN = 4,        /* holds in the last batch: see gather() */
    GATHER_US = 150,
    GATHER_ROUNDS = 2,
    DOZE_MS = 5, /* see doze() */
    DOZE_OPS = LEDGER_BATCH_MAX / 2,
    CHECKPOINT_BATCHES = 64 /* under load: look at the WAL this often */
};

/* A job of ledger_job or ledger_barrier: lives on the waiting thread's stack. */
struct waiter {
    int (*fn)(struct db *db, void *arg); /* NULL: a barrier */
    void *arg;
    const struct ledger_settings *settings; /* of ledger_set, else NULL */
    bool reload;                            /* the job changes balances */
    int rc;
    bool done;
};

struct ledger_port {
    pthread_mutex_t mutex;
    struct ledger *ledger;
    void (*wake)(void *ctx);
    void *ctx;
    struct cells answers;
    size_t outstanding; /* holds sent and not answered */
    bool closed;
    /* of the ledger thread, during one delivery */
    struct cells batch;
    struct ledger_port *next_in_batch;
};

struct ledger {
    struct db *db;
    struct ledger_book *book;
    void (*log)(const char *line);
    pthread_t thread;

    pthread_mutex_t mutex; /* of everything down to the blank line */
    pthread_cond_t work, finished;
    struct cells queue, spare;
    size_t n_cells;
    size_t n_asked, n_waiters; /* in the queue: somebody waits for their answers */
    bool idle, dozing, stop;
    struct ledger_stats stats;

    /* of the ledger thread */
    struct cells kept; /* operations that wait for room, oldest first */
    bool no_room;      /* the last transaction found none */
    bool low;          /* the ballast is given up: holds are refused until it is back */
    int64_t retry_at_ms, room_check_ms;
    struct ballast ballast;
    void (*alert_wake)(void *ctx);
    void *alert_ctx;
    int batches_since_checkpoint;
    size_t last_asked; /* holds and extensions in the last batch */
};

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- cells ---- */

static void give_back(struct ledger *l, struct cells *cells)
{
    struct cells surplus = {0};
    pthread_mutex_lock(&l->mutex);
    l->n_cells -= cells->n;
    while (cells->n > 0)
        cell_push(l->spare.n < FREE_CELLS_MAX ? &l->spare : &surplus, cell_pop(cells));
    pthread_mutex_unlock(&l->mutex);
    while (surplus.n > 0)
        free(cell_pop(&surplus));
}

struct ledger_op *ledger_op_new(struct ledger *l)
{
    pthread_mutex_lock(&l->mutex);
    bool full = l->n_cells >= 2 * (size_t)LEDGER_QUEUE_MAX;
    struct cell *c = full ? NULL : cell_pop(&l->spare);
    l->n_cells += full ? 0 : 1;
    pthread_mutex_unlock(&l->mutex);
    if (full)
        return NULL;
    if (c == NULL)
        c = malloc(sizeof(*c));
    if (c != NULL) {
        memset(c, 0, sizeof(*c));
        return &c->op;
    }
    pthread_mutex_lock(&l->mutex);
    l->n_cells--;
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- ports ---- */

struct ledger_port *ledger_port_open(struct ledger *l, void (*wake)(void *ctx), void *ctx)
{
    struct ledger_port *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->mutex, NULL);
    p->ledger = l;
    p->wake = wake;
    p->ctx = ctx;
    return p;
}

static void port_free(struct ledger_port *p)
{
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

/* Answers for one port; wakes it under its lock, so that it cannot be closed meanwhile. */
static void port_put(struct ledger_port *p, struct cells *answers)
{
    struct ledger *l = p->ledger;
    pthread_mutex_lock(&p->mutex);
    p->outstanding -= answers->n;
    bool gone = p->closed && p->outstanding == 0;
    if (!p->closed) {
        cell_splice(&p->answers, answers);
        p->wake(p->ctx);
    }
    pthread_mutex_unlock(&p->mutex);
    give_back(l, answers);
    if (gone)
        port_free(p);
}

void ledger_port_drain(struct ledger_port *p, void (*fn)(void *ctx, const struct ledger_answer *a),
                       void *ctx)
{
    struct cells answers = {0};
    pthread_mutex_lock(&p->mutex);
    cell_splice(&answers, &p->answers);
    pthread_mutex_unlock(&p->mutex);
    for (struct cell *c = answers.head; c != NULL; c = cell_next(c))
        fn(ctx, &c->answer);
    if (answers.n > 0)
        give_back(p->ledger, &answers);
}

void ledger_port_close(struct ledger_port *p)
{
    if (p == NULL)
        return;
    struct cells answers = {0};
    pthread_mutex_lock(&p->mutex);
    p->closed = true;
    cell_splice(&answers, &p->answers);
    bool gone = p->outstanding == 0;
    struct ledger *l = p->ledger;
    pthread_mutex_unlock(&p->mutex);
    give_back(l, &answers);
    if (gone)
        port_free(p);
}

/* ---- sending ---- */

static bool is_asked(const struct cell *c)
{
    return c->op.kind == LEDGER_HOLD || c->op.kind == LEDGER_EXTEND;
}

/* The queue's counts change by this cell. */
static void count(struct ledger *l, const struct cell *c, int by)
{
    if (c->waiter != NULL)
        l->n_waiters += (size_t)by;
    else if (is_asked(c))
        l->n_asked += (size_t)by;
}

static bool may_doze(const struct ledger *l)
{
    return l->n_asked == 0 && l->n_waiters == 0 && !l->stop && l->queue.n < DOZE_OPS;
}

/* True: the queue is so long that a hold must not join it. */
static bool enqueue(struct ledger *l, struct cell *c)
{
    pthread_mutex_lock(&l->mutex);
    bool full = c->waiter == NULL && is_asked(c) && l->queue.n >= LEDGER_QUEUE_MAX;
    bool wake = false;
    if (!full) {
        cell_push(&l->queue, c);
        count(l, c, 1);
        wake = l->idle || (l->dozing && !may_doze(l));
    }
    if (wake)
        l->idle = l->dozing = false; /* once is enough */
    pthread_mutex_unlock(&l->mutex);
    if (wake)
        pthread_cond_signal(&l->work);
    return full;
}

static void answer_down(struct cell *c)
{
    memset(&c->answer, 0, sizeof(c->answer));
    c->answer.cookie = c->op.cookie;
    c->answer.kind = c->op.kind;
    c->answer.code = ERR_ledger_down;
}

void ledger_send(struct ledger *l, struct ledger_op *op)
{
    struct cell *c = (struct cell *)(void *)op;
    if (is_asked(c)) {
        assert(op->port != NULL);
        pthread_mutex_lock(&op->port->mutex);
        op->port->outstanding++;
        pthread_mutex_unlock(&op->port->mutex);
    }
    if (!enqueue(l, c))
        return;
    struct cells refused = {0};
    answer_down(c);
    cell_push(&refused, c);
    port_put(op->port, &refused);
}

static int wait_for(struct ledger *l, struct waiter *w)
{
    struct cell c = {.waiter = w};
    enqueue(l, &c);
    pthread_mutex_lock(&l->mutex);
    while (!w->done)
        pthread_cond_wait(&l->finished, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
    return w->rc;
}

int ledger_job(struct ledger *l, int (*fn)(struct db *db, void *arg), void *arg)
{
    struct waiter w = {.fn = fn, .arg = arg};
    return wait_for(l, &w);
}

int ledger_job_reload(struct ledger *l, int (*fn)(struct db *db, void *arg), void *arg)
{
    struct waiter w = {.fn = fn, .arg = arg, .reload = true};
    return wait_for(l, &w);
}

static int sweep_alerts(struct db *db, void *arg)
{
    struct timespec now;
    uint64_t n = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    return alert_db_sweep(db, arg, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, &n, NULL) ==
                   LEDGER_WROTE
               ? 0
               : -1;
}

int ledger_set(struct ledger *l, const struct ledger_settings *s)
{
    struct alert_rules rules = s->alert_at;
    struct waiter w = {.fn = sweep_alerts, .arg = &rules, .settings = s};
    return wait_for(l, &w);
}

void ledger_barrier(struct ledger *l)
{
    struct waiter w = {0};
    wait_for(l, &w);
}

void ledger_wait_for_log(const struct ledger *l, const bool *stop)
{
    db_wait_for_log(l->db, stop);
}

/* ---- the ledger thread: writing ---- */

static void say(const struct ledger *l, const char *line)
{
    if (l->log != NULL)
        l->log(line);
}

/* Nobody knows what is in the file: only reading it again does (design: crash-only). */
static _Noreturn void die(const struct ledger *l, const struct fail *why)
{
    char line[FAIL_TEXT_MAX + 64];
    snprintf(line, sizeof(line), "ledger: %s; the process ends, a restart recovers", why->text);
    say(l, line);
    quick_exit(70); /* no clean-up but what was registered for it: the line is written */
}

static enum ledger_write commit(struct ledger *l, struct fail *reterr)
{
    int64_t begin_us = monotonic_us();
    if (db_commit(l->db, reterr) != 0)
        return ledger_db_trouble(l->db) == LEDGER_NO_ROOM ? LEDGER_NO_ROOM : LEDGER_BROKEN;
    pthread_mutex_lock(&l->mutex);
    uint64_t alerts = l->stats.alerts;
    l->stats.commits++;
    l->stats.last_commit_us = monotonic_us() - begin_us;
    ledger_book_stats(l->book, &l->stats);
    bool alerted = l->stats.alerts != alerts;
    pthread_mutex_unlock(&l->mutex);
    if (alerted && l->alert_wake != NULL)
        l->alert_wake(l->alert_ctx);
    return LEDGER_WROTE;
}

static enum ledger_write write_batch(struct ledger *l, const struct cells *batch,
                                     struct fail *reterr)
{
    if (db_begin(l->db, reterr) != 0)
        return ledger_db_trouble(l->db);
    enum ledger_write w = LEDGER_WROTE;
    for (struct cell *c = batch->head; c != NULL && w == LEDGER_WROTE; c = cell_next(c))
        w = ledger_book_op(l->book, &c->op, &c->answer);
    if (w == LEDGER_WROTE)
        w = ledger_book_flush(l->book);
    if (w == LEDGER_WROTE)
        return commit(l, reterr);
    fail_set(reterr, ERR_ledger_down, NULL, "writing failed (class %d)", (int)w);
    return w;
}

static void note_refusing(struct ledger *l)
{
    pthread_mutex_lock(&l->mutex);
    l->stats.holds_refused = l->no_room || l->low;
    pthread_mutex_unlock(&l->mutex);
}

/* As if the transaction had not been tried, and the book agrees with the tables. */
static void take_back(struct ledger *l, const struct ledger_book_counts *before)
{
    struct fail why;
    db_rollback(l->db);
    if (ledger_book_reload(l->book, &why) != 0)
        die(l, &why);
    ledger_book_recount(l->book, before);
}

/* The transaction is gone for want of room. */
static void lose_batch(struct ledger *l, const struct ledger_book_counts *before,
                       const struct fail *why)
{
    bool released = ledger_db_disk_full(l->db) && ballast_release(&l->ballast);
    take_back(l, before);
    if (!l->no_room) {
        char line[FAIL_TEXT_MAX + 128];
        snprintf(line, sizeof(line), "ledger: %s; holds are refused until there is room%s",
                 why->text, released ? ", the ballast makes room for what has been spent" : "");
        say(l, line);
    }
    l->no_room = true;
    l->low |= released;
    l->retry_at_ms = monotonic_us() / 1000 + (released ? 0 : RETRY_MS);
    l->room_check_ms = monotonic_us() / 1000 + ROOM_CHECK_MS;
    note_refusing(l);
}

/* Without savepoints first: poison is rare, and then the batch is written again with them. */
static enum ledger_write write_twice(struct ledger *l, const struct cells *batch,
                                     const struct ledger_book_counts *before, struct fail *reterr)
{
    ledger_book_careful(l->book, false);
    enum ledger_write w = write_batch(l, batch, reterr);
    ledger_book_careful(l->book, true);
    if (w != LEDGER_POISON)
        return w;
    take_back(l, before);
    return write_batch(l, batch, reterr);
}

static bool try_batch(struct ledger *l, const struct cells *batch)
{
    struct fail why = {0};
    struct ledger_book_counts before = ledger_book_counts(l->book);
    enum ledger_write w = write_twice(l, batch, &before, &why);
    if (w == LEDGER_WROTE)
        return true;
    if (w != LEDGER_NO_ROOM)
        die(l, &why);
    lose_batch(l, &before, &why);
    return false;
}

/* ---- the ledger thread: answering ---- */

/* What was asked goes to its port with its answer, the rest is given back. */
static void deliver(struct ledger *l, struct cells *batch)
{
    struct ledger_port *ports = NULL;
    struct cells done = {0};
    struct cell *c;
    while ((c = cell_pop(batch)) != NULL) {
        if (!is_asked(c)) {
            cell_push(&done, c);
            continue;
        }
        struct ledger_port *p = c->op.port;
        if (p->batch.n == 0) {
            p->next_in_batch = ports;
            ports = p;
        }
        cell_push(&p->batch, c);
    }
    while (ports != NULL) {
        struct ledger_port *p = ports;
        struct cells answers = p->batch;
        ports = p->next_in_batch;
        p->batch = (struct cells){0};
        port_put(p, &answers);
    }
    give_back(l, &done);
}

/* No room: what asks for more is refused, everything else waits in order.  How far a stream has
 * come does not: it says so again and again, as long as it runs, and there must be room for its
 * end. */
static void put_aside(struct ledger *l, struct cells *batch)
{
    struct cells done = {0};
    struct cell *c;
    while ((c = cell_pop(batch)) != NULL) {
        if (is_asked(c))
            answer_down(c);
        bool waits = !is_asked(c) && c->op.kind != LEDGER_STREAMING;
        cell_push(waits ? &l->kept : &done, c);
    }
    deliver(l, &done);
}

/* What was kept, in batches, as long as it can be written. */
static void write_kept(struct ledger *l)
{
    if (monotonic_us() / 1000 < l->retry_at_ms)
        return;
    while (l->kept.n > 0) {
        struct cells batch = {0};
        while (l->kept.n > 0 && batch.n < LEDGER_BATCH_MAX)
            cell_push(&batch, cell_pop(&l->kept));
        if (!try_batch(l, &batch)) {
            cell_splice(&batch, &l->kept);
            l->kept = batch;
            return;
        }
        give_back(l, &batch);
    }
    l->no_room = false; /* unless the ballast is gone, the next hold tells whether that is true */
    note_refusing(l);
}

/* The ballast again, as soon as it fits: there is room for holds then. */
static void rebuild_ballast(struct ledger *l)
{
    struct fail why;
    int64_t now_ms = monotonic_us() / 1000;
    if (now_ms < l->room_check_ms)
        return;
    l->room_check_ms = now_ms + (l->low ? ROOM_CHECK_MS : LATE_CHECK_MS);
    if (ballast_make(&l->ballast, &why) != 0)
        return;
    l->low = false;
    note_refusing(l);
    say(l, "ledger: there is room again, and the ballast is back; holds are admitted");
}

/* Takes what asks for more out of the batch and refuses it. */
static void refuse_holds(struct ledger *l, struct cells *batch)
{
    struct cells all = *batch, holds = {0};
    struct cell *c;
    *batch = (struct cells){0};
    while ((c = cell_pop(&all)) != NULL) {
        if (is_asked(c))
            answer_down(c);
        cell_push(is_asked(c) ? &holds : batch, c);
    }
    deliver(l, &holds);
}

/* ---- the ledger thread: jobs ---- */

static enum ledger_write finish_job(struct ledger *l, bool reload, struct fail *reterr)
{
    if (reload && ledger_book_reload(l->book, reterr) != 0)
        return LEDGER_BROKEN;
    enum ledger_write w = ledger_book_recap(l->book);
    if (w == LEDGER_WROTE)
        w = ledger_book_flush(l->book);
    if (w == LEDGER_WROTE)
        return commit(l, reterr);
    fail_set(reterr, ERR_ledger_down, NULL, "the accounts could not be written (class %d)", (int)w);
    return w;
}

static int run_job(struct ledger *l, const struct waiter *w)
{
    struct fail why = {0};
    struct ledger_book_counts before = ledger_book_counts(l->book);
    if (w->reload && l->low)
        return -1; /* the ballast's room is for what ends attempts: corrections can wait */
    if (db_begin(l->db, &why) != 0) {
        if (ledger_db_trouble(l->db) != LEDGER_NO_ROOM)
            die(l, &why);
        return -1;
    }
    int rc = w->fn(l->db, w->arg);
    if (rc != 0) {
        db_rollback(l->db);
        return rc;
    }
    enum ledger_write wrote = finish_job(l, w->reload, &why);
    if (wrote == LEDGER_WROTE)
        return 0;
    if (wrote != LEDGER_NO_ROOM)
        die(l, &why);
    lose_batch(l, &before, &why);
    return -1;
}

static void apply_settings(struct ledger *l, const struct ledger_settings *s)
{
    struct fail why;
    ledger_book_alert_at(l->book, &s->alert_at);
    l->alert_wake = s->alert_wake;
    l->alert_ctx = s->alert_ctx;
    ballast_init(&l->ballast, db_path(l->db), s->ballast_bytes, s->free_bytes);
    if (s->ballast_bytes > 0 && ballast_make(&l->ballast, &why) != 0) {
        char line[FAIL_TEXT_MAX + 128];
        snprintf(line, sizeof(line), "ledger: there is no ballast for a full disk: %s", why.text);
        say(l, line);
    }
}

static void serve_waiter(struct ledger *l, struct waiter *w)
{
    if (w->settings != NULL)
        apply_settings(l, w->settings);
    int rc = w->fn != NULL ? run_job(l, w) : 0;
    pthread_mutex_lock(&l->mutex);
    w->rc = rc;
    w->done = true;
    pthread_cond_broadcast(&l->finished);
    pthread_mutex_unlock(&l->mutex);
}

/* ---- the ledger thread: its loop ---- */

static struct timespec in_ms(long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    return until;
}

static void wait_for_work(struct ledger *l)
{
    bool log_is_long = db_log_is_long(l->db); /* readers wait for its end */
    if (!l->no_room && !l->low && !log_is_long) {
        l->idle = true;
        pthread_cond_wait(&l->work, &l->mutex);
        l->idle = false;
        return;
    }
    struct timespec until = in_ms(log_is_long || l->no_room ? RETRY_MS : ROOM_CHECK_MS / 2);
    l->idle = true;
    pthread_cond_timedwait(&l->work, &l->mutex, &until);
    l->idle = false;
}

/* Nobody waits for what ends attempts: it goes with the next hold, or a little later.  (Should the
 * process die meanwhile, recovery charges what it would have charged a moment before.) */
static void doze(struct ledger *l)
{
    const struct timespec until = in_ms(DOZE_MS);
    int rc = 0;
    while (may_doze(l) && rc == 0) {
        l->dozing = true;
        rc = pthread_cond_timedwait(&l->work, &l->mutex, &until);
    }
    l->dozing = false;
}

/* A commit costs by itself what ten requests do, and who was answered together asks again
 * together: as long as they come, the first of them wait for the others. */
static void gather(struct ledger *l)
{
    const struct timespec round = {0, GATHER_US * 1000L};
    size_t had = 0;
    for (int i = 0; i < GATHER_ROUNDS && l->last_asked >= GATHER_MIN; i++) {
        if (l->queue.n >= LEDGER_BATCH_MAX || l->queue.n == had || l->n_waiters > 0 || l->stop)
            break;
        had = l->queue.n;
        pthread_mutex_unlock(&l->mutex);
        nanosleep(&round, NULL);
        pthread_mutex_lock(&l->mutex);
    }
}

/* Everything that waits, up to a batch; a job ends it and comes alone. */
static void fill_batch(struct ledger *l, struct cells *batch)
{
    l->last_asked = 0;
    while (l->queue.n > 0 && batch->n < LEDGER_BATCH_MAX) {
        if (l->queue.head->waiter != NULL && batch->n > 0)
            break;
        cell_push(batch, cell_pop(&l->queue));
        count(l, batch->tail, -1);
        if (batch->tail->waiter != NULL)
            break;
        l->last_asked += is_asked(batch->tail);
    }
}

/* false: stop. */
static bool take_batch(struct ledger *l, struct cells *batch)
{
    pthread_mutex_lock(&l->mutex);
    if (l->queue.n == 0 && !l->stop)
        wait_for_work(l);
    if (l->queue.n > 0 && !l->no_room)
        doze(l);
    gather(l);
    fill_batch(l, batch);
    bool go_on = batch->n > 0 || !l->stop;
    pthread_mutex_unlock(&l->mutex);
    return go_on;
}

static void tend_wal(struct ledger *l, bool idle)
{
    if (!idle && ++l->batches_since_checkpoint < CHECKPOINT_BATCHES)
        return;
    l->batches_since_checkpoint = 0;
    if (db_checkpoint(l->db) != 0) {
        struct fail why;
        fail_set(&why, ERR_ledger_down, NULL, "%s: a checkpoint failed", db_path(l->db));
        die(l, &why);
    }
}

static void do_batch(struct ledger *l, struct cells *batch)
{
    if (l->ballast.bytes > 0 && !l->ballast.there)
        rebuild_ballast(l);
    if (l->low)
        refuse_holds(l, batch);
    if (!l->no_room && batch->n > 0 && try_batch(l, batch))
        deliver(l, batch);
    put_aside(l, batch);
    if (l->no_room && l->low)
        write_kept(l); /* at once, if the ballast has just made room */
}

static void *ledger_main(void *arg)
{
    struct ledger *l = arg;
    struct cells batch = {0};
    pthread_setname_np(pthread_self(), "wf-ledger");
    prctl(PR_SET_TIMERSLACK, 1UL); /* nanoseconds: gather() means what it says */
    while (take_batch(l, &batch)) {
        bool idle = batch.n < LEDGER_BATCH_MAX / 4;
        if (l->no_room)
            write_kept(l); /* first: jobs may come faster than it is due */
        if (batch.n > 0 && batch.head->waiter != NULL)
            serve_waiter(l, cell_pop(&batch)->waiter);
        else
            do_batch(l, &batch);
        if (!l->no_room)
            tend_wal(l, idle);
    }
    return NULL;
}

/* ---- life ---- */

static bool start_thread(struct ledger *l)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->finished, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->work, &attr);
    pthread_condattr_destroy(&attr);
    return pthread_create(&l->thread, NULL, ledger_main, l) == 0;
}

static void ledger_free(struct ledger *l)
{
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->finished);
    while (l->spare.n > 0)
        free(cell_pop(&l->spare));
    while (l->kept.n > 0)
        free(cell_pop(&l->kept));
    ledger_book_close(l->book);
    free(l);
}

struct ledger *ledger_start(struct db *writer, void (*log)(const char *line), struct fail *reterr)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct ledger *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
        return NULL;
    }
    l->db = writer;
    l->log = log;
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    l->book = ledger_book_open(writer, now_ms, log, reterr);
    /* Whatever it was, a rollback has hidden it: if it was the disk, there is room now. */
    if (l->book == NULL && ballast_drop(db_path(writer)))
        l->book = ledger_book_open(writer, now_ms, log, reterr);
    if (l->book == NULL) {
        free(l);
        return NULL;
    }
    if (start_thread(l))
        return l;
    fail_set(reterr, ERR_ledger_down, NULL, "the ledger's thread cannot be started");
    ledger_free(l);
    return NULL;
}

void ledger_stop(struct ledger *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_mutex_unlock(&l->mutex);
    pthread_cond_signal(&l->work);
    pthread_join(l->thread, NULL);
    l->retry_at_ms = 0;
    write_kept(l);
    if (l->kept.n > 0)
        say(l, "ledger: there is no room for the last operations: the next start recovers");
    ledger_free(l);
}

void ledger_stats(struct ledger *l, struct ledger_stats *ret)
{
    pthread_mutex_lock(&l->mutex);
    *ret = l->stats;
    ret->queue_len = l->queue.n;
    pthread_mutex_unlock(&l->mutex);
}

int64_t ledger_time(struct ledger *l, int64_t now_ms)
{
    struct ledger_stats stats = {0};
    if (l != NULL)
        ledger_stats(l, &stats);
    return stats.last_ms > now_ms ? stats.last_ms : now_ms;
}
