#define _GNU_SOURCE
/* The ledger of the tests while it runs, and ports that are waited on. */
#include "tests/unit/ledger_live.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

struct live live;

static void note(const char *line)
{
    size_t n = strlen(live.log);
    snprintf(live.log + n, sizeof(live.log) - n, "%s\n", line);
}

void live_start(void)
{
    struct fail why = {0};
    live.log[0] = '\0';
    live.ledger = ledger_start(live.db, note, &why);
    ck_assert_msg(live.ledger != NULL, "%s", why.text);
}

void live_setup(void)
{
    world_path(live.path);
    live.db = world_open(live.path);
    live.eyes = db_open(live.path, DB_READ, NULL);
}

void live_teardown(void)
{
    ledger_stop(live.ledger);
    live.ledger = NULL;
    db_close(live.eyes);
    db_close(live.db);
    world_remove(live.path);
}

void live_restart(void)
{
    ledger_stop(live.ledger);
    live_start();
}

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

void box_open(struct box *b)
{
    memset(b, 0, sizeof(*b));
    sem_init(&b->woken, 0, 0);
    b->port = ledger_port_open(live.ledger, on_wake, b);
}

void box_drain(struct box *b)
{
    ledger_port_drain(b->port, on_answer, b);
}

void box_wait(struct box *b, int n)
{
    while (b->n < n) {
        sem_wait(&b->woken);
        box_drain(b);
    }
}

void box_close(struct box *b)
{
    ledger_port_close(b->port);
    sem_destroy(&b->woken);
}

void box_hold(struct box *b, int request, int k, int64_t key, int64_t amount)
{
    struct ledger_op *op = ledger_op_new(live.ledger);
    ck_assert_ptr_nonnull(op);
    world_hold(op, request, k, key, amount);
    op->port = b->port;
    op->cookie = b;
    ledger_send(live.ledger, op);
}

enum err live_hold(int request, int64_t key, int64_t amount, struct ledger_answer *ret)
{
    struct box b;
    box_open(&b);
    box_hold(&b, request, 1, key, amount);
    box_wait(&b, 1);
    ck_assert_ptr_eq(b.last.cookie, &b);
    if (ret != NULL)
        *ret = b.last;
    enum err code = b.last.code;
    box_close(&b);
    return code;
}

void live_end(enum ledger_op_kind kind, int request, int64_t cost_pusd)
{
    struct ledger_op *op = ledger_op_new(live.ledger);
    ck_assert_ptr_nonnull(op);
    world_settle(op, kind, request, 1, cost_pusd);
    ledger_send(live.ledger, op);
}

void live_close(int request, const char *status)
{
    struct ledger_op *op = ledger_op_new(live.ledger);
    world_end(op, request, status);
    ledger_send(live.ledger, op);
}

static int wait_at_gate(struct db *on, void *arg)
{
    struct live_gate *g = arg;
    (void)on;
    sem_post(&g->at_work);
    sem_wait(&g->open);
    return 0;
}

static void *block(void *arg)
{
    ledger_job(live.ledger, wait_at_gate, arg);
    return NULL;
}

void live_gate_shut(struct live_gate *g)
{
    sem_init(&g->at_work, 0, 0);
    sem_init(&g->open, 0, 0);
    ck_assert_int_eq(pthread_create(&g->blocker, NULL, block, g), 0);
    sem_wait(&g->at_work);
}

void live_gate_open(struct live_gate *g)
{
    sem_post(&g->open);
    pthread_join(g->blocker, NULL);
    sem_destroy(&g->at_work);
    sem_destroy(&g->open);
}
