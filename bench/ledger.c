/* What the ledger costs: `ledger DATABASE [CLIENTS [SECONDS [REQUESTS]]]` makes a database there,
 * then CLIENTS (64) clients ask for a hold, and each again when its answer has come, for SECONDS
 * (3); then everything is settled and ended.  At last they make whole requests for as long: when
 * the hold is answered its request is settled and ended, and the client begins the next.  Prints
 * microseconds of CPU (of all threads, this driver's own few included) for each hold, for each
 * settle with the end of its request, for each whole request, and the median latency of a hold
 * beside that of a group commit.  With REQUESTS only that many whole requests are made, for
 * counting instructions.  Key and team have a cap, so every hold is judged in two accounts. */
#define _GNU_SOURCE
#include <assert.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "router/db.h"
#include "router/ledger.h"

enum { CLIENTS_MAX = 4096, HOLDS_MAX = 2000000, LATENCIES_MAX = 1 << 20 };

static struct ledger *ledger;
static struct ledger_port *port;
static sem_t woken;
static int n_holds, n_answers, n_refused, n_latencies, holds_max = HOLDS_MAX;
static bool whole; /* a client ends its request before it begins the next */
static int32_t latencies_us[LATENCIES_MAX];
static int64_t asked_us[CLIENTS_MAX], until_us;
static int running[CLIENTS_MAX]; /* a client's last hold */
static int64_t start_ms;

static int64_t clock_us(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void on_wake(void *ctx)
{
    (void)ctx;
    sem_post(&woken);
}

/* Ids as the server makes them: ordered by time, then by chance. */
static struct id number_id(int n, int kind)
{
    uint8_t rand[10] = {0};
    uint32_t mixed = (uint32_t)n * 2654435761u;
    memcpy(rand, &mixed, sizeof(mixed));
    memcpy(rand + 4, &n, sizeof(n));
    rand[8] = (uint8_t)kind;
    return id_make(start_ms + n / 64, rand);
}

static void ask(int64_t client)
{
    int n = n_holds++;
    struct ledger_op *op = ledger_op_new(ledger);
    assert(op != NULL && n < HOLDS_MAX);
    op->kind = LEDGER_HOLD;
    op->request_id = number_id(n, 0);
    op->attempt_id = number_id(n, 1);
    op->port = port;
    op->cookie = (void *)(intptr_t)client;
    op->u.hold = (struct ledger_hold){.n = 1,
                                      .team_id = 1,
                                      .key_id = 1,
                                      .now_ms = start_ms + n / 64,
                                      .amount_nusd = 1000,
                                      .endpoint_id = 1,
                                      .price_version = 1,
                                      .cancel_stops_billing = true,
                                      .prompt_estimate_tok = 100,
                                      .prompt_estimate_nusd = 300,
                                      .model = "anthropic/claude-sonnet-4.5",
                                      .provider = "anthropic",
                                      .upstream_model = "claude-sonnet-4-5-20250929",
                                      .request = {.created_ms = start_ms + n / 64,
                                                  .requested_model = "claude-sonnet-4-5",
                                                  .door = "messages"}};
    asked_us[client] = clock_us(CLOCK_MONOTONIC);
    running[client] = n;
    ledger_send(ledger, op);
}

static void end_one(int n)
{
    struct ledger_op *op = ledger_op_new(ledger);
    assert(op != NULL);
    op->kind = LEDGER_SETTLE;
    op->request_id = number_id(n, 0);
    op->attempt_id = number_id(n, 1);
    op->u.settle = (struct ledger_settle){.now_ms = start_ms + n / 64 + 900,
                                          .source = USAGE_FINAL,
                                          .cost_pusd = 450500,
                                          .http_status = 200,
                                          .first_byte_ms = 300,
                                          .duration_ms = 900,
                                          .end_reason = "complete",
                                          .provider_request_id = "req_011CQh5Kp2vZr8"};
    usage_set(&op->u.settle.usage, USAGE_input_tok, 100);
    usage_set(&op->u.settle.usage, USAGE_output_tok, 10);
    ledger_send(ledger, op);
    op = ledger_op_new(ledger);
    assert(op != NULL);
    op->kind = LEDGER_END;
    op->request_id = number_id(n, 0);
    op->u.end = (struct ledger_end){.now_ms = start_ms + n / 64 + 901, .http_status = 200};
    snprintf(op->u.end.status, sizeof(op->u.end.status), "ok");
    ledger_send(ledger, op);
}

static void on_answer(void *ctx, const struct ledger_answer *a)
{
    int64_t client = (int64_t)(intptr_t)a->cookie, now_us = clock_us(CLOCK_MONOTONIC);
    (void)ctx;
    n_answers++;
    n_refused += a->code != ERR_OK;
    if (n_latencies < LATENCIES_MAX)
        latencies_us[n_latencies++] = (int32_t)(now_us - asked_us[client]);
    if (whole)
        end_one(running[client]);
    if (now_us < until_us && n_holds < holds_max)
        ask(client);
}

static void hold_phase(int clients)
{
    for (int i = 0; i < clients; i++)
        ask(i);
    while (n_answers < n_holds) {
        sem_wait(&woken);
        ledger_port_drain(port, on_answer, NULL);
    }
}

static void end_phase(int clients)
{
    for (int n = 0; n < n_holds; n++) {
        end_one(n);
        if (n % clients == clients - 1)
            ledger_barrier(ledger); /* batches as large as those of the holds */
    }
    ledger_barrier(ledger);
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void fill(struct db *db)
{
    static const char *const sql[] = {
        "INSERT INTO team(id, name, created_ms) VALUES (1, 'search', 0)",
        "INSERT INTO api_key(id, public_id, hash, name, team_id, created_ms)"
        " VALUES (1, 'key_bench', zeroblob(32), 'bench', 1, 0)",
        "INSERT INTO budget(scope, owner_id, window, cap_nusd) VALUES"
        " ('team', 1, 'month', 1000000000000), ('key', 1, 'day', 1000000000000)"};
    for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]); i++) {
        int rc = sqlite3_exec(db_handle(db), sql[i], NULL, NULL, NULL);
        assert(rc == SQLITE_OK);
    }
}

static void usage(void)
{
    fprintf(stderr, "usage: ledger DATABASE [CLIENTS [SECONDS [REQUESTS]]]\n");
    exit(2);
}

static void whole_phase(int clients)
{
    whole = true;
    hold_phase(clients);
    ledger_barrier(ledger);
}

struct phase {
    int64_t cpu_us, wall_us;
    int holds, commits;
};

/* What a phase took. */
static struct phase measure(void (*phase)(int clients), int clients, int64_t until)
{
    struct ledger_stats before, after;
    int holds = n_holds;
    ledger_stats(ledger, &before);
    int64_t cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID), wall = clock_us(CLOCK_MONOTONIC);
    until_us = wall + until;
    phase(clients);
    struct phase ret = {.cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu,
                        .wall_us = clock_us(CLOCK_MONOTONIC) - wall,
                        .holds = n_holds - holds};
    ledger_stats(ledger, &after);
    ret.commits = (int)(after.commits - before.commits);
    return ret;
}

static void report(const char *what, int n, const struct phase *p)
{
    printf("%s: %d, %d.%02d in a commit, %" PRId64 " a second\n", what, n, n / p->commits,
           n % p->commits * 100 / p->commits, (int64_t)n * 1000000 / p->wall_us);
    printf("  CPU us each: %" PRId64 ".%02d\n", p->cpu_us / n, (int)(p->cpu_us * 100 / n % 100));
}

static void report_latency(const struct phase *p)
{
    qsort(latencies_us, (size_t)n_latencies, sizeof(latencies_us[0]), ascending);
    printf("  latency us: p50 %d, p99 %d (a batch takes %" PRId64 ")\n",
           latencies_us[n_latencies / 2], latencies_us[n_latencies - 1 - n_latencies / 100],
           p->wall_us / p->commits);
    n_latencies = 0;
}

static void run_phases(int clients, int64_t length_us)
{
    struct phase p = measure(hold_phase, clients, length_us);
    int n = p.holds;
    report("holds", n, &p);
    report_latency(&p);
    p = measure(end_phase, clients, length_us);
    report("settles with the end of the request", n, &p);
    p = measure(whole_phase, clients, length_us);
    report("whole requests", p.holds, &p);
    report_latency(&p);
}

static int number(char **argv, int argc, int i, int otherwise)
{
    return argc > i ? (int)strtol(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct fail why;
    int clients = number(argv, argc, 2, 64), seconds = number(argv, argc, 3, 3);
    int requests = number(argv, argc, 4, 0);
    if (argc < 2 || clients < 1 || clients > CLIENTS_MAX || seconds < 1 || requests < 0 ||
        requests > HOLDS_MAX)
        usage();
    struct db *db = db_open(argv[1], DB_OWN, &why);
    if (db == NULL) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    fill(db);
    ledger = ledger_start(db, NULL, &why);
    assert(ledger != NULL);
    sem_init(&woken, 0, 0);
    port = ledger_port_open(ledger, on_wake, NULL);
    start_ms = clock_us(CLOCK_REALTIME) / 1000;
    if (requests > 0) {
        holds_max = requests;
        struct phase p = measure(whole_phase, clients, INT64_C(1000000000000));
        report("whole requests", p.holds, &p);
    } else {
        run_phases(clients, (int64_t)seconds * 1000000);
    }
    struct ledger_stats done;
    ledger_stats(ledger, &done);
    assert(n_refused == 0 && done.running == 0);
    ledger_port_close(port);
    ledger_stop(ledger);
    db_close(db);
    return 0;
}
