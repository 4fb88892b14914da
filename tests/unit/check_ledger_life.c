#define _GNU_SOURCE
/* The life of the ledger: a full disk, ports that come and go, restarts, kill -9. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tests/unit/ledger_live.h"

/* ---- no room ---- */

static int limit_pages(struct db *on, void *arg)
{
    world_sql(on, *(int *)arg != 0 ? "PRAGMA max_page_count = 1" : "PRAGMA max_page_count = 90000");
    return 0;
}

/* n holds that arrive while the ledger is busy, so that they are one batch. */
static int hold_batch(int first, int n)
{
    struct live_gate gate;
    struct box b;
    box_open(&b);
    live_gate_shut(&gate);
    for (int i = 0; i < n; i++)
        box_hold(&b, first + i, 1, 1, 1000);
    live_gate_open(&gate);
    box_wait(&b, n);
    ck_assert_int_eq(b.n_ok + b.n_down, n);
    box_close(&b);
    return b.n_ok;
}

/* Each attempt is told twice how it ended; the first time counts, so order matters. */
static void end_all(int n)
{
    for (int i = 0; i < n; i++)
        live_end(LEDGER_STREAMING, i, 100);
    for (int i = 0; i < n; i++)
        live_end(LEDGER_SETTLE, i, 2000);
    for (int i = 0; i < n; i++)
        live_end(LEDGER_VOID, i, 0);
    for (int i = 0; i < n; i++)
        live_close(i, "ok");
    ledger_barrier(live.ledger);
}

static void wait_until_nothing_runs(void)
{
    struct ledger_stats stats;
    for (int i = 0; i < 500; i++) { /* by itself, without further operations */
        ledger_stats(live.ledger, &stats);
        if (stats.running == 0)
            return;
        usleep(20000);
    }
    ck_abort_msg("%d attempts still run", (int)stats.running);
}

/* SQLITE_FULL as a full disk gives it: holds are refused, ends are kept (but for those that need
 * no new page), and it goes on. */
START_TEST(a_full_disk)
{
    enum { BATCH = 200 };
    int full = 1, empty = 0;
    live_start();
    ck_assert_int_eq(hold_batch(0, BATCH), BATCH);
    ck_assert_int_eq(ledger_job(live.ledger, limit_pages, &full), 0);
    ck_assert_int_eq(hold_batch(BATCH, BATCH), 0); /* some of them would have fitted */
    ck_assert(strstr(live.log, "holds are refused until there is room") != NULL);
    ck_assert_int_eq(world_int(live.eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"),
                     BATCH * 1000);
    end_all(BATCH);
    ck_assert_int_eq(live_hold(9000, 1, 1000, NULL), ERR_ledger_down);
    usleep(450000); /* it tries again, in vain */
    struct ledger_stats stats;
    ledger_stats(live.ledger, &stats);
    ck_assert(stats.running > BATCH / 2 && stats.running <= BATCH);
    ck_assert(world_is_sound(live.eyes));
    ck_assert_int_eq(ledger_job(live.ledger, limit_pages, &empty), 0);
    wait_until_nothing_runs();
    ck_assert_int_eq(live_hold(9001, 1, 1000, NULL), ERR_OK);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(charge_nusd) FROM attempt"), BATCH * 2);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request WHERE status = 'ok'"),
                     BATCH);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* ---- ports and queue ---- */

START_TEST(a_port_that_leaves_early)
{
    struct live_gate gate;
    struct box b;
    live_start();
    box_open(&b);
    live_gate_shut(&gate);
    for (int i = 0; i < 10; i++)
        box_hold(&b, i, 1, 1, 100);
    box_close(&b);
    live_gate_open(&gate);
    ledger_barrier(live.ledger);
    ck_assert_int_eq(b.wakes, 0);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt"), 10);
}
END_TEST

START_TEST(one_wake_for_a_batch)
{
    struct live_gate gate;
    struct box b;
    struct ledger_stats stats;
    live_start();
    box_open(&b);
    live_gate_shut(&gate);
    for (int i = 0; i < 100; i++)
        box_hold(&b, i, 1, 1, 100);
    ledger_stats(live.ledger, &stats);
    ck_assert_uint_ge(stats.queue_len, 100);
    uint64_t commits = stats.commits;
    live_gate_open(&gate);
    box_wait(&b, 100);
    ck_assert_int_eq(b.wakes, 1);
    ledger_stats(live.ledger, &stats);
    ck_assert_uint_eq(stats.commits - commits, 2); /* the gate's and the batch's */
    ck_assert_uint_eq(stats.holds, 100);
    ck_assert_int_eq(stats.running, 100);
    ck_assert_int_eq(stats.held_nusd, 10000);
    ck_assert_int_gt(stats.last_commit_us, 0);
    box_close(&b);
}
END_TEST

START_TEST(a_queue_that_is_full)
{
    struct live_gate gate;
    struct box b;
    live_start();
    ck_assert_int_eq(live_hold(0, 1, 100, NULL), ERR_OK);
    ledger_stop(live.ledger);
    world_sql(live.db, "PRAGMA synchronous = OFF");
    world_cap(live.db, "key", 1, "total", 1);
    live_start();
    ck_assert_int_eq(live_hold(1000000, 1, 1, NULL), ERR_over_budget);
    box_open(&b);
    live_gate_shut(&gate);
    for (int i = 1; i <= LEDGER_QUEUE_MAX + 5; i++)
        box_hold(&b, i, 1, 1, 1000);
    live_end(LEDGER_SETTLE, 0, 1); /* is still taken */
    box_drain(&b);
    ck_assert_int_ge(b.n_down, 5);
    live_gate_open(&gate);
    box_wait(&b, LEDGER_QUEUE_MAX + 5);
    ck_assert_int_le(b.n_down, 6);
    ck_assert_int_eq(b.n_over, LEDGER_QUEUE_MAX + 5 - b.n_down);
    box_close(&b);
}
END_TEST

/* ---- recovery ---- */

static void die_with(const char *literal)
{
    ledger_stop(live.ledger); /* leaves running attempts running, as a kill would */
    live.ledger = NULL;
    if (literal != NULL)
        world_sql(live.db, literal);
    live_start();
}

START_TEST(recovery)
{
    struct box b;
    world_cap(live.db, "team", 1, "total", USD(100));
    live_start();
    box_open(&b);
    for (int i = 1; i <= 4; i++) {
        struct ledger_op *op = ledger_op_new(live.ledger);
        world_hold(op, i, 1, 1, USD(i));
        op->u.hold.cancel_stops_billing = i <= 2 || i == 4;
        op->port = b.port;
        ledger_send(live.ledger, op);
    }
    box_wait(&b, 4);
    box_close(&b);
    live_end(LEDGER_STREAMING, 2, 7001); /* 1: nothing came; 2: something did */
    live_end(LEDGER_STREAMING, 3, 7001); /* 3: the provider goes on without us */
    ledger_barrier(live.ledger);
    die_with("UPDATE attempt SET state = 'HELD' WHERE hold_nusd = 4000000000"); /* 4: not sent */
    ck_assert_str_eq(live.log, "recovered 4 requests: 1 attempts settled from a checkpoint, 1 by"
                               " the prompt's estimate, 1 at the whole hold, 1 void;"
                               " $3.100000008 charged of $10 held\n");
    ck_assert_int_eq(world_int(live.eyes,
                               "SELECT count(*) FROM attempt WHERE hold_nusd = 1000000000"
                               " AND state = 'SETTLED' AND usage_source = 'estimated'"
                               " AND charge_nusd = 100000000 AND input_tok = 100"
                               " AND output_tok IS NULL AND end_reason = 'crash'"
                               " AND duration_ms IS NULL"),
                     1);
    ck_assert_int_eq(world_int(live.eyes,
                               "SELECT count(*) FROM attempt WHERE hold_nusd = 2000000000"
                               " AND state = 'SETTLED' AND usage_source = 'partial'"
                               " AND charge_nusd = 8 AND cost_pusd = 7001 AND input_tok = 100"
                               " AND output_tok = 10 AND provider_request_id = 'req_1'"),
                     1);
    ck_assert_int_eq(world_int(live.eyes,
                               "SELECT count(*) FROM attempt WHERE hold_nusd = 3000000000"
                               " AND state = 'SETTLED' AND usage_source = 'estimated'"
                               " AND charge_nusd = 3000000000 AND output_tok = 10"),
                     1);
    ck_assert_int_eq(world_int(live.eyes,
                               "SELECT count(*) FROM attempt WHERE hold_nusd = 4000000000"
                               " AND state = 'VOID' AND charge_nusd = 0"),
                     1);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request WHERE status = 'error'"),
                     4);
    ck_assert_int_eq(world_int(live.eyes, "SELECT sum(pending_nusd) FROM account"), 0);
    ck_assert_int_eq(world_int(live.eyes, "SELECT posted_nusd FROM account WHERE scope = 'team'"),
                     100000000 + 8 + 3000000000);
    ck_assert(world_is_sound(live.eyes));
    int64_t changes = sqlite3_total_changes64(db_handle(live.db));
    die_with(NULL); /* once more: nothing to do */
    ck_assert_str_eq(live.log, "");
    ck_assert_int_eq(sqlite3_total_changes64(db_handle(live.db)), changes);
    live_end(LEDGER_SETTLE, 1, USD(1) * 1000); /* the end comes too late */
    ledger_barrier(live.ledger);
    ck_assert_int_eq(world_int(live.eyes, "SELECT posted_nusd FROM account WHERE scope = 'team'"),
                     100000000 + 8 + 3000000000);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* A request whose attempts have ended, but not itself. */
START_TEST(recovery_of_a_request_alone)
{
    live_start();
    ck_assert_int_eq(live_hold(1, 1, USD(1), NULL), ERR_OK);
    live_end(LEDGER_SETTLE, 1, 5000);
    ledger_barrier(live.ledger);
    die_with(NULL);
    ck_assert(strncmp(live.log, "recovered 1 requests: 0 attempts", 32) == 0);
    ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM request WHERE status = 'error'"),
                     1);
    ck_assert(world_is_sound(live.eyes));
}
END_TEST

/* ---- kill -9 ---- */

enum { CHILD_KEYS = 3, CHILD_WINDOW = 24 };

/* Sends without end; tells each admitted request through the pipe once the answer is here. */
struct busy {
    struct box box;
    int fd, first, n_open, open[4096];
};

static void on_busy_answer(void *ctx, const struct ledger_answer *a)
{
    struct busy *c = ctx;
    c->box.n++;
    int request = (int)(intptr_t)a->cookie;
    if (a->code != ERR_OK)
        return;
    if (write(c->fd, &request, sizeof(request)) != (ssize_t)sizeof(request))
        _exit(1);
    c->open[c->n_open++ % 4096] = request;
}

static void child(int fd, int first)
{
    struct busy c = {.fd = fd, .first = first};
    live.db = world_open(live.path);
    live_start();
    box_open(&c.box);
    for (int i = 0;; i++) {
        struct ledger_op *op = ledger_op_new(live.ledger);
        world_hold(op, first + i, 1, i % CHILD_KEYS + 1, 1000 + i);
        op->u.hold.cancel_stops_billing = i % 5 != 0;
        op->port = c.box.port;
        op->cookie = (void *)(intptr_t)(first + i);
        ledger_send(live.ledger, op);
        ledger_port_drain(c.box.port, on_busy_answer, &c);
        while (i - c.box.n > CHILD_WINDOW) {
            sem_wait(&c.box.woken);
            ledger_port_drain(c.box.port, on_busy_answer, &c);
        }
        while (c.n_open > 5) {
            int request = c.open[--c.n_open];
            enum ledger_op_kind kind = request % 3 == 0   ? LEDGER_VOID
                                       : request % 7 == 0 ? LEDGER_STREAMING
                                                          : LEDGER_SETTLE;
            live_end(kind, request, request % 11 * 100000);
            if (kind != LEDGER_STREAMING)
                live_close(request, "ok");
        }
    }
}

static int check_acknowledged(int fd)
{
    int request, n = 0;
    struct sqlite3_stmt *s = db_stmt(live.eyes, "SELECT count(*) FROM attempt WHERE id = ?1");
    while (read(fd, &request, sizeof(request)) == (ssize_t)sizeof(request)) {
        struct id id = world_attempt(request, 1);
        s = db_stmt(live.eyes, "SELECT count(*) FROM attempt WHERE id = ?1");
        db_bind_blob(s, 1, id.b, sizeof(id.b));
        ck_assert_int_eq(db_step(live.eyes, s, NULL), 1);
        ck_assert_msg(db_col_int(s, 0) == 1, "request %d was admitted and is lost", request);
        n++;
    }
    sqlite3_reset(s);
    return n;
}

START_TEST(killed_at_any_moment)
{
    int acknowledged = 0;
    world_cap(live.db, "team", 1, "day", USD(1000));
    world_cap(live.db, "key", 3, "month", 400000); /* refuses after a while */
    db_close(live.eyes);
    db_close(live.db);
    for (int round = 0; round < 30; round++) {
        int pipe_fds[2];
        ck_assert_int_eq(pipe(pipe_fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(pipe_fds[0]);
            child(pipe_fds[1], round * 100000);
        }
        close(pipe_fds[1]);
        struct pollfd working = {.fd = pipe_fds[0], .events = POLLIN};
        if (round % 3 != 0) /* else perhaps while it opens, migrates or recovers */
            ck_assert_int_eq(poll(&working, 1, 20000), 1);
        usleep((useconds_t)((round * 7919) % 40000));
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        live.db = world_open(live.path);
        live_start();
        live.eyes = db_open(live.path, DB_READ, NULL);
        acknowledged += check_acknowledged(pipe_fds[0]);
        close(pipe_fds[0]);
        ck_assert_int_eq(world_int(live.eyes, "SELECT count(*) FROM attempt"
                                              " WHERE state NOT IN ('SETTLED', 'VOID')"),
                         0);
        ck_assert_int_eq(world_int(live.eyes, "SELECT sum(pending_nusd) FROM account"), 0);
        ck_assert(world_is_sound(live.eyes));
        ledger_stop(live.ledger);
        db_close(live.eyes);
        db_close(live.db);
    }
    ck_assert_int_gt(acknowledged, 100);
    live.db = world_open(live.path);
    live.eyes = db_open(live.path, DB_READ, NULL);
    live_start();
}
END_TEST

Suite *ledger_life_suite(void);
Suite *ledger_life_suite(void)
{
    Suite *s = suite_create("ledger_life");
    TCase *t = tcase_create("ledger_life");
    tcase_add_checked_fixture(t, live_setup, live_teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_full_disk);
    tcase_add_test(t, a_port_that_leaves_early);
    tcase_add_test(t, one_wake_for_a_batch);
    tcase_add_test(t, a_queue_that_is_full);
    tcase_add_test(t, recovery);
    tcase_add_test(t, recovery_of_a_request_alone);
    tcase_add_test(t, killed_at_any_moment);
    suite_add_tcase(s, t);
    return s;
}
