#define _GNU_SOURCE
/* Summing up beside a ledger that serves: in steps with pauses. */
#include <check.h>
#include <time.h>

#include "router/ledger_book.h"
#include "server/op_ledger.h"
#include "tests/unit/ledger_world.h"

enum { ATTEMPTS = 4, HOUR_MS = 3600000, PAUSE_MS = 20 };

static char path[WORLD_PATH_MAX];
static struct db *db;
static struct ops_env env;
static int lost;

static void apply(struct ledger_book *book, struct ledger_op *op)
{
    struct ledger_answer answer;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

/* An attempt each two hours: a step of its own for each but the last, where the round ends. */
static void fill(void)
{
    const int64_t start_ms = WORLD_NOW_MS - 100 * (int64_t)HOUR_MS;
    struct ledger_book *book = ledger_book_open(db, start_ms, NULL, NULL);
    for (int i = 0; i < ATTEMPTS; i++) {
        struct ledger_op hold = {0}, settle = {0}, end = {0};
        int64_t at_ms = start_ms + i * 2 * (int64_t)HOUR_MS;
        world_hold(&hold, i + 1, 1, 1, CENTS(10));
        hold.u.hold.now_ms = hold.u.hold.request.created_ms = at_ms;
        apply(book, &hold);
        world_settle(&settle, LEDGER_SETTLE, i + 1, 1, 5000);
        settle.u.settle.now_ms = at_ms + 1;
        apply(book, &settle);
        world_end(&end, i + 1, "ok");
        end.u.end.now_ms = at_ms + 1;
        apply(book, &end);
    }
    ledger_book_close(book);
}

static void setup(void)
{
    world_path(path);
    db = world_open(path);
    fill();
    env = (struct ops_env){.ledger = ledger_start(db, NULL, NULL)};
    ck_assert_ptr_nonnull(env.ledger);
}

static void stop_ledger(void)
{
    ledger_stop(env.ledger);
    env.ledger = NULL;
}

static void teardown(void)
{
    stop_ledger();
    db_close(db);
    world_remove(path);
}

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* At least so long: what waits for the ledger has its turn between two steps. */
START_TEST(steps_leave_room)
{
    int64_t start_ms = monotonic_ms();
    ck_assert_int_eq(op_ledger_sum_up(&env, NULL, &lost, NULL), 0);
    ck_assert_int_ge(monotonic_ms() - start_ms, (ATTEMPTS - 2) * PAUSE_MS);
    stop_ledger();
    ck_assert_int_eq(world_int(db, "SELECT sum(attempts) FROM usage_day"), ATTEMPTS - 1);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(a_stop_ends_the_round)
{
    const bool stop = true;
    ck_assert_int_eq(op_ledger_sum_up(&env, &stop, &lost, NULL), 0);
    stop_ledger();
    ck_assert_int_le(world_int(db, "SELECT count(*) FROM usage_day"), 1);
    ck_assert(world_is_sound(db));
}
END_TEST

Suite *op_ledger_suite(void);
Suite *op_ledger_suite(void)
{
    Suite *s = suite_create("op_ledger");
    TCase *t = tcase_create("op_ledger");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, steps_leave_room);
    tcase_add_test(t, a_stop_ends_the_round);
    suite_add_tcase(s, t);
    return s;
}
