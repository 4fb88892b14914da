#define _GNU_SOURCE
/* The ledger with its thread and its tables. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "router/window.h"
#include "tests/unit/ledger_world.h"

static char path[WORLD_PATH_MAX];
static struct db *db;   /* of the ledger while it runs */
static struct db *eyes; /* reads meanwhile */
static struct ledger *ledger;
static char log_text[4096];

static void note(const char *line)
{
    size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void start(void)
{
    struct fail why = {0};
    log_text[0] = '\0';
    ledger = ledger_start(db, note, &why);
    ck_assert_msg(ledger != NULL, "%s", why.text);
}

static void setup(void)
{
    world_path(path);
    db = world_open(path);
    eyes = db_open(path, DB_READ, NULL);
}

static void teardown(void)
{
    ledger_stop(ledger);
    ledger = NULL;
    db_close(eyes);
    db_close(db);
    world_remove(path);
}

static void restart(void)
{
    ledger_stop(ledger);
    start();
}

/* ---- a port that is waited on ---- */

struct box {
    struct ledger_port *port;
    sem_t woken;
    int wakes;
    int n, n_ok, n_busy, n_over, n_down;
    struct ledger_answer last;
};

static void on_wake(void *ctx)
{
    struct box *b = ctx;
    b->wakes++;
    sem_post(&b->woken);
}

static void on_answer(void *ctx, const struct ledger_answer *a)
{
    struct box *b = ctx;
    b->n++;
    b->n_ok += a->code == ERR_OK;
    b->n_busy += a->code == ERR_budget_busy;
    b->n_over += a->code == ERR_over_budget;
    b->n_down += a->code == ERR_ledger_down;
    b->last = *a;
}

static void box_open(struct box *b)
{
    memset(b, 0, sizeof(*b));
    sem_init(&b->woken, 0, 0);
    b->port = ledger_port_open(ledger, on_wake, b);
}

static void box_wait(struct box *b, int n)
{
    while (b->n < n) {
        sem_wait(&b->woken);
        ledger_port_drain(b->port, on_answer, b);
    }
}

static void box_close(struct box *b)
{
    ledger_port_close(b->port);
    sem_destroy(&b->woken);
}

static void send_hold(struct box *b, int request, int k, int64_t key, int64_t amount)
{
    struct ledger_op *op = ledger_op_new(ledger);
    ck_assert_ptr_nonnull(op);
    world_hold(op, request, k, key, amount);
    op->port = b->port;
    op->cookie = b;
    ledger_send(ledger, op);
}

static enum err hold(int request, int64_t key, int64_t amount, struct ledger_answer *ret)
{
    struct box b;
    box_open(&b);
    send_hold(&b, request, 1, key, amount);
    box_wait(&b, 1);
    ck_assert_ptr_eq(b.last.cookie, &b);
    if (ret != NULL)
        *ret = b.last;
    enum err code = b.last.code;
    box_close(&b);
    return code;
}

static void send_end(enum ledger_op_kind kind, int request, int64_t cost_pusd)
{
    struct ledger_op *op = ledger_op_new(ledger);
    ck_assert_ptr_nonnull(op);
    world_settle(op, kind, request, 1, cost_pusd);
    ledger_send(ledger, op);
}

static void send_close(int request, const char *status)
{
    struct ledger_op *op = ledger_op_new(ledger);
    world_end(op, request, status);
    ledger_send(ledger, op);
}

/* ---- one request ---- */

START_TEST(the_life_of_a_request)
{
    start();
    ck_assert_int_eq(hold(1, 1, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE state = 'SENT'"), 1);
    ck_assert_int_eq(world_int(eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"),
                     USD(1));
    send_end(LEDGER_STREAMING, 1, 5000);
    ledger_barrier(ledger);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE state = 'STREAMING'"
                                     " AND input_tok = 100 AND cache_read_tok IS NULL"
                                     " AND cost_pusd = 5000 AND charge_nusd IS NULL"),
                     1);
    send_end(LEDGER_SETTLE, 1, 123456789001);
    send_close(1, "ok");
    ledger_barrier(ledger);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"
                                     " AND usage_source = 'final' AND charge_nusd = 123456790"
                                     " AND output_tok = 10 AND provider_request_id = 'req_1'"
                                     " AND end_reason = 'end_turn' AND http_status = 200"
                                     " AND first_byte_ms = 300 AND duration_ms = 1500"
                                     " AND iterations IS NULL AND model = 'acme/large'"
                                     " AND provider = 'acme' AND upstream_model = 'large-2026'"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request WHERE status = 'ok'"
                                     " AND http_status = 200 AND door = 'messages'"
                                     " AND experiment IS NULL AND stream = 1"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(posted_nusd) FROM account"), 2 * 123456790);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(pending_nusd) FROM account"), 0);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM account"), 2);
    ck_assert(world_is_sound(eyes));
    ck_assert_str_eq(log_text, "");
}
END_TEST

START_TEST(a_void_costs_nothing)
{
    start();
    ck_assert_int_eq(hold(1, 1, USD(1), NULL), ERR_OK);
    send_end(LEDGER_VOID, 1, 999000);
    ledger_barrier(ledger);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE state = 'VOID'"
                                     " AND charge_nusd = 0 AND usage_source = 'none'"
                                     " AND input_tok IS NULL"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(pending_nusd + posted_nusd) FROM account"), 0);
    ck_assert(world_is_sound(eyes));
}
END_TEST

START_TEST(two_attempts_of_one_request)
{
    struct box b;
    start();
    box_open(&b);
    send_hold(&b, 1, 1, 1, 100);
    send_hold(&b, 1, 2, 1, 200);
    box_wait(&b, 2);
    ck_assert_int_eq(b.n_ok, 2);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request"), 1);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(n) FROM attempt"), 3);
    box_close(&b);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* ---- caps ---- */

/* The ledger's time never goes back behind the clock's. */
static int64_t next_midnight_in_new_york(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct zone *z = zone_load("America/New_York", NULL);
    ck_assert_ptr_nonnull(z);
    int64_t end_ms = window_at(z, WINDOW_DAY, (int64_t)now.tv_sec * 1000).end_ms;
    zone_free(z);
    return end_ms;
}

START_TEST(a_refusal_says_why)
{
    struct ledger_answer a;
    world_cap(db, "team", 2, "day", USD(5));
    start();
    ck_assert_int_eq(hold(1, 3, USD(4), NULL), ERR_OK);
    ck_assert_int_eq(hold(2, 3, USD(2), &a), ERR_budget_busy);
    ck_assert_str_eq(a.refusal.scope, "team");
    ck_assert_str_eq(a.refusal.name, "ads");
    ck_assert_str_eq(a.refusal.window, "day");
    ck_assert_int_eq(a.refusal.cap_nusd, USD(5));
    ck_assert_int_eq(a.refusal.spent_nusd, 0);
    ck_assert_int_eq(a.refusal.held_nusd, USD(4));
    ck_assert_int_eq(a.refusal.needs_nusd, USD(2));
    ck_assert_int_eq(a.refusal.resets_ms, next_midnight_in_new_york());
    ck_assert_int_ge(a.retry_after_ms, 1000);
    send_end(LEDGER_SETTLE, 1, USD(4) * 1000);
    ledger_barrier(ledger);
    ck_assert_int_eq(hold(3, 3, USD(2), &a), ERR_over_budget);
    ck_assert_int_eq(a.refusal.spent_nusd, USD(4));
    ck_assert_int_eq(a.refusal.held_nusd, 0);
    ck_assert_int_eq(hold(4, 3, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(hold(5, 1, USD(100), NULL), ERR_OK); /* the other team has no cap */
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request"), 3);
    ck_assert(world_is_sound(eyes));
}
END_TEST

START_TEST(a_total_never_resets)
{
    struct ledger_answer a;
    world_cap(db, "key", 1, "total", USD(1));
    start();
    ck_assert_int_eq(hold(1, 1, USD(2), &a), ERR_over_budget);
    ck_assert_str_eq(a.refusal.scope, "key");
    ck_assert_str_eq(a.refusal.name, "one");
    ck_assert_str_eq(a.refusal.window, "total");
    ck_assert_int_eq(a.refusal.resets_ms, 0);
}
END_TEST

static enum err extend(int request, int64_t amount, struct ledger_answer *ret)
{
    struct box b;
    struct ledger_op *op = ledger_op_new(ledger);
    box_open(&b);
    op->kind = LEDGER_EXTEND;
    op->attempt_id = world_attempt(request, 1);
    op->u.extend.now_ms = WORLD_NOW_MS;
    op->u.extend.amount_nusd = amount;
    op->port = b.port;
    op->cookie = &b;
    ledger_send(ledger, op);
    box_wait(&b, 1);
    ck_assert_int_eq(b.last.kind, LEDGER_EXTEND);
    *ret = b.last;
    box_close(&b);
    return ret->code;
}

START_TEST(a_hold_that_grows)
{
    struct ledger_answer a;
    world_cap(db, "key", 1, "day", 1000);
    start();
    ck_assert_int_eq(extend(1, 1, &a), ERR_ledger_down); /* nothing to extend */
    ck_assert_int_eq(hold(1, 1, 400, NULL), ERR_OK);
    ck_assert_int_eq(extend(1, 300, &a), ERR_OK);
    ck_assert_int_eq(extend(1, 300, &a), ERR_OK);
    ck_assert_int_eq(extend(1, 1, &a), ERR_over_budget);
    ck_assert_int_eq(a.refusal.needs_nusd, 1);
    ck_assert_int_eq(a.refusal.held_nusd, 1000);
    ck_assert_int_eq(world_int(eyes, "SELECT hold_nusd FROM attempt"), 1000);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(amount_nusd) FROM entry WHERE kind = 'extend'"),
                     600);
    ck_assert(world_is_sound(eyes));
    restart();
    ck_assert_int_eq(world_int(eyes, "SELECT charge_nusd FROM attempt"), 40); /* the prompt */
    ck_assert_int_eq(extend(1, 1, &a), ERR_ledger_down);                      /* it has ended */
    ck_assert(world_is_sound(eyes));
}
END_TEST

enum { THREADS = 4, PER_THREAD = 250 };

static void *storm(void *arg)
{
    int t = *(int *)arg;
    struct box *b = calloc(1, sizeof(*b));
    box_open(b);
    for (int i = 0; i < PER_THREAD; i++)
        send_hold(b, t * PER_THREAD + i, 1, t % 2 + 1, CENTS(10));
    box_wait(b, PER_THREAD);
    box_close(b);
    return b;
}

/* The promise: 1,000 at once of $0.10 against $5.00 are exactly 50. */
START_TEST(fifty_of_a_thousand_from_four_threads)
{
    pthread_t threads[THREADS];
    int numbers[THREADS], ok = 0, busy = 0;
    world_cap(db, "team", 1, "month", USD(5));
    start();
    for (int t = 0; t < THREADS; t++) {
        numbers[t] = t;
        pthread_create(&threads[t], NULL, storm, &numbers[t]);
    }
    for (int t = 0; t < THREADS; t++) {
        void *result;
        pthread_join(threads[t], &result);
        struct box *b = result;
        ok += b->n_ok;
        busy += b->n_busy;
        ck_assert_int_le(b->wakes, PER_THREAD);
        free(b);
    }
    ck_assert_int_eq(ok, 50);
    ck_assert_int_eq(busy, 950);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt"), 50);
    ck_assert_int_eq(world_int(eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"
                                     " AND window = 'month'"),
                     USD(5));
    ck_assert(world_is_sound(eyes));
}
END_TEST

static int lower_cap(struct db *on, void *arg)
{
    world_cap(on, "team", 1, "total", *(int64_t *)arg);
    return 0;
}

START_TEST(a_job_changes_caps_at_once)
{
    int64_t cap = USD(1);
    start();
    ck_assert_int_eq(hold(1, 1, USD(3), NULL), ERR_OK);
    ck_assert_int_eq(ledger_job(ledger, lower_cap, &cap), 0);
    ck_assert_int_eq(hold(2, 1, 1, NULL), ERR_budget_busy);
    ck_assert_int_eq(world_int(eyes, "SELECT overrun_nusd FROM account WHERE scope = 'team'"),
                     USD(2));
    ck_assert(world_is_sound(eyes));
    cap = USD(10);
    ck_assert_int_eq(ledger_job(ledger, lower_cap, &cap), 0);
    ck_assert_int_eq(hold(3, 1, USD(7), NULL), ERR_OK);
    ck_assert(world_is_sound(eyes));
}
END_TEST

static int fail_after_writing(struct db *on, void *arg)
{
    (void)arg;
    world_cap(on, "team", 1, "total", 0);
    return -7;
}

START_TEST(a_failed_job_changes_nothing)
{
    start();
    ck_assert_int_eq(ledger_job(ledger, fail_after_writing, NULL), -7);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM budget"), 0);
    ck_assert_int_eq(hold(1, 1, USD(3), NULL), ERR_OK);
}
END_TEST

static int cap_the_day(struct db *on, void *arg)
{
    (void)arg;
    world_cap(on, "key", 1, "day", USD(5));
    return 0;
}

/* What was spent and held before there was a cap counts against it. */
START_TEST(a_cap_that_comes_later)
{
    struct ledger_answer a;
    start();
    ck_assert_int_eq(hold(1, 1, USD(2), NULL), ERR_OK);
    ck_assert_int_eq(hold(2, 1, USD(2), NULL), ERR_OK);
    ck_assert_int_eq(hold(3, 2, USD(9), NULL), ERR_OK); /* another key */
    send_end(LEDGER_SETTLE, 1, USD(1) * 1000);
    ck_assert_int_eq(ledger_job(ledger, cap_the_day, NULL), 0);
    ck_assert_int_eq(hold(4, 1, USD(3), &a), ERR_budget_busy);
    ck_assert_int_eq(a.refusal.spent_nusd, USD(1));
    ck_assert_int_eq(a.refusal.held_nusd, USD(2));
    send_end(LEDGER_SETTLE, 2, USD(2) * 1000);
    ledger_barrier(ledger);
    ck_assert_int_eq(hold(5, 1, USD(3), &a), ERR_over_budget);
    ck_assert_int_eq(a.refusal.spent_nusd, USD(3));
    ck_assert(world_is_sound(eyes));
}
END_TEST

static int move_to_tokyo(struct db *on, void *arg)
{
    (void)arg;
    world_sql(on, "UPDATE team SET timezone = 'Asia/Tokyo' WHERE id = 1");
    return 0;
}

/* Another zone begins other windows; what was spent in the hours they share stays spent. */
START_TEST(a_changed_zone_is_no_refill)
{
    world_cap(db, "team", 1, "day", USD(5));
    start();
    ck_assert_int_eq(hold(1, 1, USD(4), NULL), ERR_OK);
    ck_assert_int_eq(ledger_job(ledger, move_to_tokyo, NULL), 0);
    ck_assert_int_eq(hold(2, 1, USD(2), NULL), ERR_budget_busy);
    send_end(LEDGER_SETTLE, 1, USD(4) * 1000);
    ledger_barrier(ledger);
    ck_assert_int_eq(hold(3, 1, USD(2), NULL), ERR_over_budget);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM account WHERE window = 'day'"
                                     " AND posted_nusd = 4000000000"),
                     2);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* ---- the same again ---- */

START_TEST(every_operation_several_times)
{
    struct box b;
    start();
    box_open(&b);
    for (int again = 0; again < 3; again++)
        send_hold(&b, 1, 1, 1, USD(1));
    box_wait(&b, 3);
    ck_assert_int_eq(b.n_ok, 3);
    for (int again = 0; again < 5; again++) {
        send_end(LEDGER_SETTLE, 1, 5000000);
        send_end(LEDGER_STREAMING, 1, 1);
        send_end(LEDGER_VOID, 1, 0);
        send_close(1, again == 0 ? "ok" : "error");
    }
    ledger_barrier(ledger);
    box_close(&b);
    restart();
    send_end(LEDGER_SETTLE, 1, 7000000);
    send_close(1, "error");
    ledger_barrier(ledger);
    ck_assert_int_eq(hold(1, 1, USD(1), NULL), ERR_ledger_down); /* its id has been used up */
    ck_assert_int_eq(world_int(eyes, "SELECT sum(posted_nusd) FROM account"), 2 * 5000);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(pending_nusd) FROM account"), 0);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request WHERE status = 'ok'"), 1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM entry"), 2);
    ck_assert(world_is_sound(eyes));
}
END_TEST

START_TEST(the_same_id_with_other_facts)
{
    start();
    ck_assert_int_eq(hold(1, 1, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(hold(1, 1, USD(2), NULL), ERR_ledger_down);
    ck_assert_int_eq(hold(1, 2, USD(1), NULL), ERR_ledger_down);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(pending_nusd) FROM account WHERE scope = 'team'"),
                     USD(1));
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* ---- rows that cannot be written ---- */

static void block(sem_t *gate)
{
    sem_wait(gate);
}

static int wait_at_gate(struct db *on, void *arg)
{
    (void)on;
    block(arg);
    return 0;
}

static void *run_gate(void *arg)
{
    ledger_job(ledger, wait_at_gate, arg);
    return NULL;
}

/* In one batch with good ones: they are written, it is not, and says so. */
START_TEST(a_poison_row_spoils_nobody)
{
    sem_t gate;
    pthread_t blocker;
    struct box b;
    start();
    box_open(&b);
    sem_init(&gate, 0, 0);
    pthread_create(&blocker, NULL, run_gate, &gate);
    send_hold(&b, 1, 1, 1, 100);
    struct ledger_op *op = ledger_op_new(ledger);
    world_hold(op, 2, 1, 1, 100);
    op->u.hold.key_id = 77; /* there is none */
    op->port = b.port;
    ledger_send(ledger, op);
    op = ledger_op_new(ledger);
    world_hold(op, 3, 1, 1, 100);
    op->u.hold.n = 0; /* the table refuses it */
    op->port = b.port;
    ledger_send(ledger, op);
    send_hold(&b, 4, 1, 1, 100);
    sem_post(&gate);
    box_wait(&b, 4);
    pthread_join(blocker, NULL);
    ck_assert_int_eq(b.n_ok, 2);
    ck_assert_int_eq(b.n_down, 2);
    ck_assert_msg(strstr(log_text, "there is no key 77") != NULL, "%s", log_text);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request"), 2);
    ck_assert_int_eq(world_int(eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"), 200);
    ck_assert(world_is_sound(eyes));
    box_close(&b);
}
END_TEST

START_TEST(a_settlement_that_the_table_refuses)
{
    start();
    ck_assert_int_eq(hold(1, 1, USD(1), NULL), ERR_OK);
    ck_assert_int_eq(hold(2, 1, USD(1), NULL), ERR_OK);
    struct ledger_op *op = ledger_op_new(ledger);
    world_settle(op, LEDGER_SETTLE, 1, 1, 5000);
    op->u.settle.usage.n[USAGE_output_tok] = -3;
    ledger_send(ledger, op);
    op = ledger_op_new(ledger); /* a cost that overflowed: the hold is what is known */
    world_settle(op, LEDGER_SETTLE, 2, 1, -1);
    ledger_send(ledger, op);
    ledger_barrier(ledger);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"
                                     " AND charge_nusd = 5 AND output_tok = 0"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE charge_nusd = 1000000000"
                                     " AND usage_source = 'estimated'"),
                     1);
    ck_assert(strstr(log_text, "again without its texts") != NULL);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* A price times a bound that saturated: refused, with or without a cap. */
START_TEST(a_hold_beyond_all_sums)
{
    struct box b;
    start();
    box_open(&b);
    struct ledger_op *op = ledger_op_new(ledger);
    world_hold(op, 1, 1, 1, INT64_MAX);
    op->u.hold.prompt_estimate_nusd = INT64_MAX;
    op->port = b.port;
    ledger_send(ledger, op);
    box_wait(&b, 1);
    ck_assert_int_eq(b.n_over, 1);
    ck_assert_str_eq(b.last.refusal.scope, ""); /* no cap's fault */
    box_close(&b);
    op = ledger_op_new(ledger); /* an estimate above its hold counts as the hold */
    box_open(&b);
    world_hold(op, 2, 1, 1, 100);
    op->u.hold.prompt_estimate_nusd = INT64_MAX;
    op->port = b.port;
    ledger_send(ledger, op);
    box_wait(&b, 1);
    ck_assert_int_eq(b.n_ok, 1);
    box_close(&b);
    ck_assert_int_eq(world_int(eyes, "SELECT prompt_estimate_nusd FROM attempt"), 100);
}
END_TEST

START_TEST(an_end_of_nothing)
{
    start();
    send_end(LEDGER_SETTLE, 1, 5000);
    send_close(1, "ok");
    ledger_barrier(ledger);
    ck_assert_msg(strstr(log_text, "was never held") != NULL, "%s", log_text);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM entry"), 0);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* ---- no room ---- */

static int limit_pages(struct db *on, void *arg)
{
    world_sql(on, *(int *)arg != 0 ? "PRAGMA max_page_count = 1" : "PRAGMA max_page_count = 90000");
    return 0;
}

/* n holds that arrive while the ledger is busy, so that they are one batch. */
static int hold_batch(int first, int n)
{
    sem_t gate;
    pthread_t blocker;
    struct box b;
    box_open(&b);
    sem_init(&gate, 0, 0);
    pthread_create(&blocker, NULL, run_gate, &gate);
    usleep(5000); /* the gate is at work */
    for (int i = 0; i < n; i++)
        send_hold(&b, first + i, 1, 1, 1000);
    sem_post(&gate);
    pthread_join(blocker, NULL);
    box_wait(&b, n);
    ck_assert_int_eq(b.n_ok + b.n_down, n);
    box_close(&b);
    return b.n_ok;
}

/* Each attempt is told twice how it ended; the first time counts, so order matters. */
static void end_all(int n)
{
    for (int i = 0; i < n; i++)
        send_end(LEDGER_STREAMING, i, 100);
    for (int i = 0; i < n; i++)
        send_end(LEDGER_SETTLE, i, 2000);
    for (int i = 0; i < n; i++)
        send_end(LEDGER_VOID, i, 0);
    for (int i = 0; i < n; i++)
        send_close(i, "ok");
    ledger_barrier(ledger);
}

static void wait_until_nothing_runs(void)
{
    struct ledger_stats stats;
    for (int i = 0; i < 500; i++) { /* by itself, without further operations */
        ledger_stats(ledger, &stats);
        if (stats.running == 0)
            return;
        usleep(20000);
    }
    ck_abort_msg("%d attempts still run", (int)stats.running);
}

/* SQLITE_FULL as a full disk gives it: holds are refused, ends are kept, and it goes on. */
START_TEST(a_full_disk)
{
    enum { BATCH = 200 };
    int full = 1, empty = 0;
    start();
    ck_assert_int_eq(hold_batch(0, BATCH), BATCH);
    ck_assert_int_eq(ledger_job(ledger, limit_pages, &full), 0);
    ck_assert_int_eq(hold_batch(BATCH, BATCH), 0); /* some of them would have fitted */
    ck_assert(strstr(log_text, "holds are refused until there is room") != NULL);
    ck_assert_int_eq(world_int(eyes, "SELECT pending_nusd FROM account WHERE scope = 'team'"),
                     BATCH * 1000);
    end_all(BATCH);
    ck_assert_int_eq(hold(9000, 1, 1000, NULL), ERR_ledger_down);
    usleep(450000); /* it tries again, in vain */
    struct ledger_stats stats;
    ledger_stats(ledger, &stats);
    ck_assert_int_eq(stats.running, BATCH);
    ck_assert(world_is_sound(eyes));
    ck_assert_int_eq(ledger_job(ledger, limit_pages, &empty), 0);
    wait_until_nothing_runs();
    ck_assert_int_eq(hold(9001, 1, 1000, NULL), ERR_OK);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(charge_nusd) FROM attempt"), BATCH * 2);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request WHERE status = 'ok'"), BATCH);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* ---- ports and queue ---- */

START_TEST(a_port_that_leaves_early)
{
    sem_t gate;
    pthread_t blocker;
    struct box b;
    start();
    box_open(&b);
    sem_init(&gate, 0, 0);
    pthread_create(&blocker, NULL, run_gate, &gate);
    for (int i = 0; i < 10; i++)
        send_hold(&b, i, 1, 1, 100);
    box_close(&b);
    sem_post(&gate);
    ledger_barrier(ledger);
    pthread_join(blocker, NULL);
    ck_assert_int_eq(b.wakes, 0);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt"), 10);
}
END_TEST

START_TEST(one_wake_for_a_batch)
{
    sem_t gate;
    pthread_t blocker;
    struct box b;
    struct ledger_stats stats;
    start();
    box_open(&b);
    sem_init(&gate, 0, 0);
    pthread_create(&blocker, NULL, run_gate, &gate);
    usleep(20000); /* the gate is at work */
    for (int i = 0; i < 100; i++)
        send_hold(&b, i, 1, 1, 100);
    ledger_stats(ledger, &stats);
    ck_assert_uint_ge(stats.queue_len, 100);
    uint64_t commits = stats.commits;
    sem_post(&gate);
    pthread_join(blocker, NULL);
    box_wait(&b, 100);
    ck_assert_int_eq(b.wakes, 1);
    ledger_stats(ledger, &stats);
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
    sem_t gate;
    pthread_t blocker;
    struct box b;
    start();
    ck_assert_int_eq(hold(0, 1, 100, NULL), ERR_OK);
    ledger_stop(ledger);
    world_sql(db, "PRAGMA synchronous = OFF");
    world_cap(db, "key", 1, "total", 1);
    start();
    ck_assert_int_eq(hold(1000000, 1, 1, NULL), ERR_over_budget);
    box_open(&b);
    sem_init(&gate, 0, 0);
    pthread_create(&blocker, NULL, run_gate, &gate);
    usleep(20000);
    for (int i = 1; i <= LEDGER_QUEUE_MAX + 5; i++)
        send_hold(&b, i, 1, 1, 1000);
    send_end(LEDGER_SETTLE, 0, 1); /* is still taken */
    ledger_port_drain(b.port, on_answer, &b);
    ck_assert_int_ge(b.n_down, 5);
    sem_post(&gate);
    pthread_join(blocker, NULL);
    box_wait(&b, LEDGER_QUEUE_MAX + 5);
    ck_assert_int_le(b.n_down, 6);
    ck_assert_int_eq(b.n_over, LEDGER_QUEUE_MAX + 5 - b.n_down);
    box_close(&b);
}
END_TEST

/* ---- recovery ---- */

static void die_with(const char *literal)
{
    ledger_stop(ledger); /* leaves running attempts running, as a kill would */
    ledger = NULL;
    if (literal != NULL)
        world_sql(db, literal);
    start();
}

START_TEST(recovery)
{
    struct box b;
    world_cap(db, "team", 1, "total", USD(100));
    start();
    box_open(&b);
    for (int i = 1; i <= 4; i++) {
        struct ledger_op *op = ledger_op_new(ledger);
        world_hold(op, i, 1, 1, USD(i));
        op->u.hold.cancel_stops_billing = i <= 2 || i == 4;
        op->port = b.port;
        ledger_send(ledger, op);
    }
    box_wait(&b, 4);
    box_close(&b);
    send_end(LEDGER_STREAMING, 2, 7001); /* 1: nothing came; 2: something did */
    send_end(LEDGER_STREAMING, 3, 7001); /* 3: the provider goes on without us */
    ledger_barrier(ledger);
    die_with("UPDATE attempt SET state = 'HELD' WHERE hold_nusd = 4000000000"); /* 4: not sent */
    ck_assert_str_eq(log_text, "recovered 4 requests: 1 attempts settled from a checkpoint, 1 by"
                               " the prompt's estimate, 1 at the whole hold, 1 void;"
                               " $3.100000008 charged of $10 held\n");
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE hold_nusd = 1000000000"
                                     " AND state = 'SETTLED' AND usage_source = 'estimated'"
                                     " AND charge_nusd = 100000000 AND input_tok = 100"
                                     " AND output_tok IS NULL AND end_reason = 'crash'"
                                     " AND duration_ms IS NULL"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE hold_nusd = 2000000000"
                                     " AND state = 'SETTLED' AND usage_source = 'partial'"
                                     " AND charge_nusd = 8 AND cost_pusd = 7001 AND input_tok = 100"
                                     " AND output_tok = 10 AND provider_request_id = 'req_1'"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE hold_nusd = 3000000000"
                                     " AND state = 'SETTLED' AND usage_source = 'estimated'"
                                     " AND charge_nusd = 3000000000 AND output_tok = 10"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE hold_nusd = 4000000000"
                                     " AND state = 'VOID' AND charge_nusd = 0"),
                     1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request WHERE status = 'error'"), 4);
    ck_assert_int_eq(world_int(eyes, "SELECT sum(pending_nusd) FROM account"), 0);
    ck_assert_int_eq(world_int(eyes, "SELECT posted_nusd FROM account WHERE scope = 'team'"),
                     100000000 + 8 + 3000000000);
    ck_assert(world_is_sound(eyes));
    int64_t changes = sqlite3_total_changes64(db_handle(db));
    die_with(NULL); /* once more: nothing to do */
    ck_assert_str_eq(log_text, "");
    ck_assert_int_eq(sqlite3_total_changes64(db_handle(db)), changes);
    send_end(LEDGER_SETTLE, 1, USD(1) * 1000); /* the end comes too late */
    ledger_barrier(ledger);
    ck_assert_int_eq(world_int(eyes, "SELECT posted_nusd FROM account WHERE scope = 'team'"),
                     100000000 + 8 + 3000000000);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* A request whose attempts have ended, but not itself. */
START_TEST(recovery_of_a_request_alone)
{
    start();
    ck_assert_int_eq(hold(1, 1, USD(1), NULL), ERR_OK);
    send_end(LEDGER_SETTLE, 1, 5000);
    ledger_barrier(ledger);
    die_with(NULL);
    ck_assert(strncmp(log_text, "recovered 1 requests: 0 attempts", 32) == 0);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request WHERE status = 'error'"), 1);
    ck_assert(world_is_sound(eyes));
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
    db = world_open(path);
    start();
    box_open(&c.box);
    for (int i = 0;; i++) {
        struct ledger_op *op = ledger_op_new(ledger);
        world_hold(op, first + i, 1, i % CHILD_KEYS + 1, 1000 + i);
        op->u.hold.cancel_stops_billing = i % 5 != 0;
        op->port = c.box.port;
        op->cookie = (void *)(intptr_t)(first + i);
        ledger_send(ledger, op);
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
            send_end(kind, request, request % 11 * 100000);
            if (kind != LEDGER_STREAMING)
                send_close(request, "ok");
        }
    }
}

static int check_acknowledged(int fd)
{
    int request, n = 0;
    struct sqlite3_stmt *s = db_stmt(eyes, "SELECT count(*) FROM attempt WHERE id = ?1");
    while (read(fd, &request, sizeof(request)) == (ssize_t)sizeof(request)) {
        struct id id = world_attempt(request, 1);
        s = db_stmt(eyes, "SELECT count(*) FROM attempt WHERE id = ?1");
        db_bind_blob(s, 1, id.b, sizeof(id.b));
        ck_assert_int_eq(db_step(eyes, s, NULL), 1);
        ck_assert_msg(db_col_int(s, 0) == 1, "request %d was admitted and is lost", request);
        n++;
    }
    sqlite3_reset(s);
    return n;
}

START_TEST(killed_at_any_moment)
{
    int acknowledged = 0;
    world_cap(db, "team", 1, "day", USD(1000));
    world_cap(db, "key", 3, "month", 400000); /* refuses after a while */
    db_close(eyes);
    db_close(db);
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
        db = world_open(path);
        start();
        eyes = db_open(path, DB_READ, NULL);
        acknowledged += check_acknowledged(pipe_fds[0]);
        close(pipe_fds[0]);
        ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt"
                                         " WHERE state NOT IN ('SETTLED', 'VOID')"),
                         0);
        ck_assert_int_eq(world_int(eyes, "SELECT sum(pending_nusd) FROM account"), 0);
        ck_assert(world_is_sound(eyes));
        ledger_stop(ledger);
        db_close(eyes);
        db_close(db);
    }
    ck_assert_int_gt(acknowledged, 100);
    db = world_open(path);
    eyes = db_open(path, DB_READ, NULL);
    start();
}
END_TEST

Suite *ledger_suite(void);
Suite *ledger_suite(void)
{
    Suite *s = suite_create("ledger");
    TCase *t = tcase_create("ledger");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, the_life_of_a_request);
    tcase_add_test(t, a_void_costs_nothing);
    tcase_add_test(t, two_attempts_of_one_request);
    tcase_add_test(t, a_refusal_says_why);
    tcase_add_test(t, a_total_never_resets);
    tcase_add_test(t, a_hold_that_grows);
    tcase_add_test(t, fifty_of_a_thousand_from_four_threads);
    tcase_add_test(t, a_job_changes_caps_at_once);
    tcase_add_test(t, a_failed_job_changes_nothing);
    tcase_add_test(t, a_cap_that_comes_later);
    tcase_add_test(t, a_changed_zone_is_no_refill);
    tcase_add_test(t, every_operation_several_times);
    tcase_add_test(t, the_same_id_with_other_facts);
    tcase_add_test(t, a_poison_row_spoils_nobody);
    tcase_add_test(t, a_settlement_that_the_table_refuses);
    tcase_add_test(t, a_hold_beyond_all_sums);
    tcase_add_test(t, an_end_of_nothing);
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
