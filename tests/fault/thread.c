#define _GNU_SOURCE
/* The whole ledger, with its thread, when its disk fails, is full, or cannot be written. */
#include "tests/fault/crash.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fault/history.h"
#include "tests/unit/ledger_world.h"

enum { TEXT_MAX = 8192, WAIT_S = 20, REQUESTS = 4, NOBODY = 65534 };

static char log_text[TEXT_MAX]; /* of this process */
static int log_fd = -1;         /* or to the parent */

static void note(const char *line)
{
    size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
    if (log_fd >= 0)
        dprintf(log_fd, "%s\n", line);
}

/* ---- a port that is waited on ---- */

struct asker {
    struct ledger *ledger;
    struct ledger_port *port;
    sem_t woken;
    bool answered;
    enum err code;
};

static void on_wake(void *ctx)
{
    sem_post(&((struct asker *)ctx)->woken);
}

static void on_answer(void *ctx, const struct ledger_answer *a)
{
    struct asker *q = ctx;
    q->answered = true;
    q->code = a->code;
}

static void asker_open(struct asker *q, struct ledger *l)
{
    memset(q, 0, sizeof(*q));
    q->ledger = l;
    sem_init(&q->woken, 0, 0);
    q->port = ledger_port_open(l, on_wake, q);
    assert(q->port != NULL);
}

static void asker_close(struct asker *q)
{
    ledger_port_close(q->port);
    sem_destroy(&q->woken);
}

/* -1: no answer came. */
static int ask(struct asker *q, int request, int64_t *ret_us)
{
    struct timespec a, b, until;
    struct ledger_op *op = ledger_op_new(q->ledger);
    assert(op != NULL);
    world_hold(op, request, 1, 1, CENTS(10));
    op->port = q->port;
    q->answered = false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    clock_gettime(CLOCK_MONOTONIC, &a);
    ledger_send(q->ledger, op);
    while (!q->answered && sem_timedwait(&q->woken, &until) == 0)
        ledger_port_drain(q->port, on_answer, q);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (ret_us != NULL)
        *ret_us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
    return q->answered ? (int)q->code : -1;
}

static void send_end(struct ledger *l, int request)
{
    struct ledger_op *op = ledger_op_new(l);
    assert(op != NULL);
    world_settle(op, LEDGER_SETTLE, request, 1, 5000 * (int64_t)(request + 1));
    ledger_send(l, op);
    op = ledger_op_new(l);
    assert(op != NULL);
    world_end(op, request, "ok");
    ledger_send(l, op);
}

static bool expect(bool yes, const char *what)
{
    if (!yes)
        fprintf(stderr, "not so: %s\n", what);
    return yes;
}

/* ---- a process that ends ---- */

/* One hold that is answered, then one at which the disk fails. */
static _Noreturn void fail_in_child(enum fault_kind kind)
{
    struct asker q;
    struct fail why = {0};
    struct db *db = db_open(history_path, DB_OWN, &why);
    struct ledger *l = db != NULL ? ledger_start(db, note, &why) : NULL;
    if (l == NULL) {
        note(why.text);
        _exit(1);
    }
    asker_open(&q, l);
    dprintf(log_fd, "first: %d\n", ask(&q, 1, NULL));
    fault_set(kind, 0, INT_MAX);
    dprintf(log_fd, "second: %d\n", ask(&q, 2, NULL));
    _exit(2);
}

/* What a child wrote until it ended; its exit status, or -1. */
static int read_child(pid_t pid, int fd, char out[TEXT_MAX])
{
    size_t n = 0;
    ssize_t got;
    int status;
    while (n < TEXT_MAX - 1 && (got = read(fd, out + n, TEXT_MAX - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    close(fd);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static bool ends_the_process(enum fault_kind kind)
{
    char text[TEXT_MAX];
    struct fault_disk fresh = {0};
    int fds[2];
    history_fresh(&fresh);
    fault_load(&fresh);
    fault_disk_free(&fresh);
    fflush(NULL);
    if (pipe(fds) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        log_fd = fds[1];
        alarm(2 * WAIT_S);
        fail_in_child(kind);
    }
    close(fds[1]);
    int status = read_child(pid, fds[0], text);
    bool ok = expect(status == 70, "the process ends with status 70") &&
              expect(strstr(text, "first: 0\n") != NULL, "the first hold was admitted") &&
              expect(strstr(text, "second: ") == NULL, "the second hold is not answered") &&
              expect(strstr(text, "the process ends, a restart recovers") != NULL, "it says why");
    printf("# exit %d: %s", status,
           strstr(text, "ledger: ") != NULL ? strstr(text, "ledger: ") : "nothing said\n");
    if (!ok)
        fprintf(stderr, "%s", text);
    return ok;
}

bool thread_fsync_fails(uint64_t seed)
{
    (void)seed;
    return ends_the_process(FAULT_FSYNC);
}

bool thread_write_fails(uint64_t seed)
{
    (void)seed;
    return ends_the_process(FAULT_IO);
}

/* ---- a disk that is full for a while ---- */

static struct ledger *start(struct db **ret_db)
{
    struct fail why = {0};
    log_text[0] = '\0';
    *ret_db = db_open(history_path, DB_OWN, &why);
    struct ledger *l = *ret_db != NULL ? ledger_start(*ret_db, note, &why) : NULL;
    if (l == NULL)
        note(why.text);
    return l;
}

static bool refuses_while_full(struct asker *q)
{
    int64_t us = 0, worst_us = 0;
    bool ok = true;
    for (int i = 0; i < 20 && ok; i++) {
        ok = expect(ask(q, 100 + i, &us) == ERR_ledger_down, "a hold is answered while full");
        worst_us = us > worst_us ? us : worst_us;
        usleep(20000); /* longer than the pause between its tries, in all */
    }
    printf("# refused at the latest %lld us after it was sent\n", (long long)worst_us);
    return ok;
}

static bool resumes(struct ledger *l)
{
    struct ledger_stats stats = {.running = -1};
    for (int i = 0; i < WAIT_S * 100 && stats.running != 0; i++) {
        usleep(10000);
        ledger_stats(l, &stats);
    }
    return expect(stats.running == 0 && stats.held_nusd == 0, "what was kept is written");
}

/* Streams that run on tell again and again how far they are: that is not kept, or there would be no
 * room in the queue for their ends. */
static bool takes_checkpoints(struct ledger *l)
{
    for (int i = 0; i < 2 * LEDGER_QUEUE_MAX + 1000; i++) {
        struct ledger_op *op = ledger_op_new(l);
        if (!expect(op != NULL, "there is room in the queue"))
            return false;
        world_settle(op, LEDGER_STREAMING, i % REQUESTS, 1, i);
        ledger_send(l, op);
        if (i % 1000 == 0)
            ledger_barrier(l);
    }
    return true;
}

static bool full_for_a_while(struct ledger *l, struct asker *q)
{
    struct ledger_stats stats;
    for (int i = 0; i < REQUESTS; i++) {
        if (!expect(ask(q, i, NULL) == ERR_OK, "a hold is admitted"))
            return false;
    }
    fault_set(FAULT_FULL, 0, INT_MAX);
    bool ok = expect(ask(q, 50, NULL) == ERR_ledger_down, "the first hold is answered while full");
    ok = ok && takes_checkpoints(l);
    for (int i = 0; i < REQUESTS && ok; i++)
        send_end(l, i);
    ledger_barrier(l);
    ok = ok && refuses_while_full(q);
    ledger_stats(l, &stats);
    ok = ok && expect(stats.running == REQUESTS, "nothing has ended while it is full");
    fault_set(FAULT_NONE, 0, 0);
    return ok && resumes(l) && expect(ask(q, 60, NULL) == ERR_OK, "a hold is admitted again");
}

static bool wrote_once(struct db *db)
{
    return expect(world_int(db, "SELECT count(*) FROM attempt") == REQUESTS + 1, "attempts") &&
           expect(world_int(db, "SELECT sum(charge_nusd) FROM attempt") ==
                      5 * REQUESTS * (REQUESTS + 1) / 2,
                  "charges") &&
           expect(world_int(db, "SELECT count(*) FROM request WHERE status = 'ok'") == REQUESTS,
                  "requests that ended") &&
           world_is_sound(db);
}

bool thread_disk_full(uint64_t seed)
{
    (void)seed;
    struct fault_disk fresh = {0};
    struct asker q;
    struct db *db;
    history_fresh(&fresh);
    fault_load(&fresh);
    fault_disk_free(&fresh);
    struct ledger *l = start(&db);
    bool ok = expect(l != NULL, "it starts");
    if (ok) {
        asker_open(&q, l);
        ok = full_for_a_while(l, &q);
        asker_close(&q);
        ledger_stop(l);
        ok =
            ok && wrote_once(db) &&
            expect(strstr(log_text, "holds are refused until there is room") != NULL, "it says so");
    }
    if (!ok)
        fprintf(stderr, "%s", log_text);
    db_close(db);
    return ok;
}

/* ---- at the start ---- */

/* A ledger with something to recover, and no room for it. */
bool thread_disk_full_at_start(uint64_t seed)
{
    (void)seed;
    struct fault_disk disk = {0};
    struct asker q;
    struct db *db;
    history_fresh(&disk);
    fault_load(&disk);
    struct ledger *l = start(&db);
    assert(l != NULL);
    asker_open(&q, l);
    bool ok = ask(&q, 1, NULL) == ERR_OK;
    asker_close(&q);
    fault_save(&disk); /* of a process that is killed now */
    ledger_stop(l);
    db_close(db);
    fault_load(&disk);
    fault_set(FAULT_FULL, 0, INT_MAX);
    l = start(&db);
    ok = ok && expect(l == NULL, "it does not start without room");
    printf("# %s", log_text);
    db_close(db);
    fault_set(FAULT_NONE, 0, 0);
    l = start(&db);
    ok = ok && expect(l != NULL, "it starts when there is room") &&
         expect(strstr(log_text, "recovered 1 requests") != NULL, "it recovers");
    ledger_stop(l);
    ok = ok && world_is_sound(db);
    db_close(db);
    fault_disk_free(&disk);
    return ok;
}

/* ---- read-only ---- */

/* A real file with mode 0400 (root may write everything: then as nobody). */
static _Noreturn void open_in_child(const char *path)
{
    struct fail why = {0};
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        _exit(3);
    struct db *db = db_open(path, DB_OWN, &why);
    dprintf(log_fd, "%s\n", db != NULL ? "opened" : why.text);
    _exit(db != NULL ? 2 : 0);
}

/* The text of the failure, or "" . */
static bool says_cannot(const char *path, const char *word)
{
    char text[TEXT_MAX];
    int fds[2];
    fflush(NULL);
    if (pipe(fds) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        log_fd = fds[1];
        open_in_child(path);
    }
    close(fds[1]);
    int status = read_child(pid, fds[0], text);
    printf("# %s", text);
    return expect(status == 0, "it does not open") &&
           expect(strstr(text, word) != NULL, "it says why");
}

static bool real_file_says(void)
{
    char path[WORLD_PATH_MAX], dir[WORLD_PATH_MAX], lock[WORLD_PATH_MAX + 8];
    world_path(path);
    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    snprintf(lock, sizeof(lock), "%s.lock", path);
    FILE *f = fopen(path, "w");
    FILE *g = fopen(lock, "w");
    bool ok = f != NULL && g != NULL && fclose(f) == 0 && fclose(g) == 0;
    ok = ok && chmod(path, 0444) == 0 && chmod(lock, 0666) == 0 && chmod(dir, 0777) == 0 &&
         says_cannot(path, "cannot be written: Permission denied");
    unlink(lock);
    ok = ok && chmod(dir, 0555) == 0 && says_cannot(path, "must be writable");
    chmod(dir, 0700);
    world_remove(path);
    return ok;
}

bool thread_read_only(uint64_t seed)
{
    (void)seed;
    struct fault_disk fresh = {0};
    struct db *db;
    history_fresh(&fresh);
    fault_load(&fresh);
    fault_disk_free(&fresh);
    fault_read_only(true);
    struct ledger *l = start(&db);
    printf("# %s", log_text);
    bool ok = expect(l == NULL && db == NULL, "it does not open") &&
              expect(strstr(log_text, "unable to open") != NULL, "it says why");
    fault_read_only(false);
    return real_file_says() && ok;
}
