/* A ledger with its thread and its tables, for the tests of both: one for each test, over a
 * fresh file of tests/unit/ledger_world.h. */
#ifndef TESTS_UNIT_LEDGER_LIVE_H
#define TESTS_UNIT_LEDGER_LIVE_H

#include <pthread.h>
#include <semaphore.h>

#include "tests/unit/ledger_world.h"

enum { LIVE_LOG_MAX = 4096 };

extern struct live {
    char path[WORLD_PATH_MAX];
    struct db *db;   /* of the ledger while it runs */
    struct db *eyes; /* reads meanwhile */
    struct ledger *ledger;
    char log[LIVE_LOG_MAX]; /* since live_start */
} live;

/* The fixture; the ledger is started by the test. */
void live_setup(void);
void live_teardown(void);
void live_start(void);
void live_restart(void);

/* A port that is waited on, and what it was answered. */
struct box {
    struct ledger_port *port;
    sem_t woken;
    int wakes;
    int n, n_ok, n_busy, n_over, n_down;
    struct ledger_answer last;
};
void box_open(struct box *b);
void box_wait(struct box *b, int n); /* until there were n answers since box_open */
void box_drain(struct box *b);       /* the answers that are there */
void box_close(struct box *b);
void box_hold(struct box *b, int request, int k, int64_t key, int64_t amount);

/* One hold and its answer; ret may be NULL. */
enum err live_hold(int request, int64_t key, int64_t amount, struct ledger_answer *ret);
/* Attempt 1 of the request streams, settles or is void; then the request itself ends. */
void live_end(enum ledger_op_kind kind, int request, int64_t cost_pusd);
void live_close(int request, const char *status);
/* The ledger's thread is busy from the end of live_gate_shut until live_gate_open. */
struct live_gate {
    sem_t at_work, open;
    pthread_t blocker;
};
void live_gate_shut(struct live_gate *g);
void live_gate_open(struct live_gate *g);

#endif
