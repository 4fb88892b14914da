#define _GNU_SOURCE
/* Idempotency-Key: the header, and the rows through the ledger. */
#include <check.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/ledger_world.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static char path[WORLD_PATH_MAX];
static struct db *db, *eyes;
static struct ledger *ledger;
static struct ledger_port *port;
static sem_t woken;
static struct ledger_answer last;
static int n_answers, n_ok;

static void on_wake(void *ctx)
{
    (void)ctx;
    sem_post(&woken);
}

static void on_answer(void *ctx, const struct ledger_answer *a)
{
    (void)ctx;
    last = *a;
    n_answers++;
    n_ok += a->code == ERR_OK;
}

static void start(void)
{
    struct fail why = {0};
    ledger = ledger_start(db, NULL, &why);
    ck_assert_msg(ledger != NULL, "%s", why.text);
    port = ledger_port_open(ledger, on_wake, NULL);
}

static void stop(void)
{
    ledger_port_close(port);
    ledger_stop(ledger);
}

static void setup(void)
{
    world_path(path);
    db = world_open(path);
    eyes = db_open(path, DB_READ, NULL);
    sem_init(&woken, 0, 0);
    n_answers = n_ok = 0;
    start();
}

static void teardown(void)
{
    stop();
    sem_destroy(&woken);
    db_close(eyes);
    db_close(db);
    world_remove(path);
}

/* ---- what a client does ---- */

static struct idempotency header(const char *key, const char *body)
{
    struct idempotency i;
    ck_assert_int_eq(idempotency_read(span_of(key), "messages", span_of(body), &i, NULL), 0);
    return i;
}

static struct ledger_op *new_hold(int request, int k, int64_t key_id, const char *key,
                                  const char *body)
{
    struct ledger_op *op = ledger_op_new(ledger);
    ck_assert_ptr_nonnull(op);
    world_hold(op, request, k, key_id, CENTS(10));
    op->u.hold.request.idempotency = header(key, body);
    op->port = port;
    return op;
}

static enum err answer_to(struct ledger_op *op)
{
    int before = n_answers;
    ledger_send(ledger, op);
    while (n_answers == before) {
        sem_wait(&woken);
        ledger_port_drain(port, on_answer, NULL);
    }
    return last.code;
}

static enum err hold(int request, const char *key, const char *body)
{
    return answer_to(new_hold(request, 1, 1, key, body));
}

static bool earlier_is(int request, const char *status, int64_t cost_nusd)
{
    struct id id = world_request(request);
    return memcmp(&last.earlier.request_id, &id, sizeof(id)) == 0 &&
           strcmp(last.earlier.status, status) == 0 && last.earlier.cost_nusd == cost_nusd;
}

static void settle(enum ledger_op_kind kind, int request, int k, int64_t cost_pusd,
                   enum usage_source source)
{
    struct ledger_op *op = ledger_op_new(ledger);
    world_settle(op, kind, request, k, cost_pusd);
    op->u.settle.source = source;
    ledger_send(ledger, op);
}

static void end(int request, const char *status)
{
    struct ledger_op *op = ledger_op_new(ledger);
    world_end(op, request, status);
    ledger_send(ledger, op);
}

static int64_t holds(void)
{
    ledger_barrier(ledger);
    int64_t n = world_int(eyes, "SELECT count(*) FROM attempt");
    db_rest(eyes);
    return n;
}

/* ---- the header ---- */

START_TEST(header_values)
{
    char long_key[258];
    struct idempotency i = {.given = false};
    struct fail why;
    memset(long_key, 'k', sizeof(long_key));
    long_key[257] = '\0';
    static const char *const bad[] = {"", "a\tb", "a\x7f", "caf\xc3\xa9", "\x80"};
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
        ck_assert_int_eq(idempotency_read(span_of(bad[n]), "m", span_of("x"), &i, &why), -1);
        ck_assert_int_eq(why.code, ERR_bad_request);
        ck_assert_str_eq(why.field, "Idempotency-Key");
        ck_assert(!i.given);
    }
    struct span key = {long_key, 256};
    ck_assert_int_eq(idempotency_read(key, "m", span_of("x"), &i, &why), -1);
    key.len = 255;
    ck_assert_int_eq(idempotency_read(key, "m", span_of("x"), &i, &why), 0);
    ck_assert(i.given);
}
END_TEST

START_TEST(what_is_compared)
{
    struct idempotency a = header("k", "body"), b = header("k", "bodY"), c = header("K", "body");
    /* SHA-256 of "k" and of "messagesbody", by another program */
    static const uint8_t k[] = {0x82, 0x54, 0xc3, 0x29}, m[] = {0x74, 0x1d, 0xb3, 0x9e};
    ck_assert_mem_eq(a.key_hash, k, sizeof(k));
    ck_assert_mem_eq(a.body_hash, m, sizeof(m));
    ck_assert_mem_eq(a.key_hash, b.key_hash, 32);
    ck_assert_mem_ne(a.body_hash, b.body_hash, 32);
    ck_assert_mem_ne(a.key_hash, c.key_hash, 32);
    struct idempotency other;
    idempotency_read(span_of("k"), "chat", span_of("body"), &other, NULL);
    ck_assert_mem_ne(a.body_hash, other.body_hash, 32);
}
END_TEST

/* ---- the rows ---- */

START_TEST(nothing_is_kept_without_the_header)
{
    struct ledger_op *op = ledger_op_new(ledger);
    world_hold(op, 1, 1, 1, CENTS(10));
    op->port = port;
    ck_assert_int_eq(answer_to(op), ERR_OK);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM idempotency"), 0);
}
END_TEST

START_TEST(while_the_first_runs)
{
    ck_assert_int_eq(hold(1, "k", "x"), ERR_OK);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM idempotency i JOIN request r"
                                     " ON r.id = i.request_id WHERE i.key_id = 1"),
                     1);
    ck_assert_int_eq(hold(2, "k", "x"), ERR_idempotency_running);
    ck_assert(earlier_is(1, "running", 0));
    ck_assert_int_eq(hold(3, "other", "x"), ERR_OK);
    ck_assert_int_eq(holds(), 2);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request"), 2);
    ck_assert_int_eq(world_int(eyes, "SELECT pending_nusd FROM account WHERE scope = 'key'"),
                     CENTS(20));
    ck_assert(world_is_sound(eyes));
}
END_TEST

START_TEST(another_body_is_refused_whatever_became_of_the_first)
{
    ck_assert_int_eq(hold(1, "k", "x"), ERR_OK);
    ck_assert_int_eq(hold(2, "k", "y"), ERR_idempotency_mismatch);
    settle(LEDGER_VOID, 1, 1, 0, USAGE_NONE);
    end(1, "error");
    ck_assert_int_eq(hold(3, "k", "y"), ERR_idempotency_mismatch);
    ck_assert(earlier_is(1, "error", 0));
}
END_TEST

START_TEST(keys_have_keys_of_their_own)
{
    ck_assert_int_eq(answer_to(new_hold(1, 1, 1, "k", "x")), ERR_OK);
    ck_assert_int_eq(answer_to(new_hold(2, 1, 2, "k", "x")), ERR_OK); /* of the same team */
    ck_assert_int_eq(answer_to(new_hold(3, 1, 3, "k", "x")), ERR_OK);
}
END_TEST

/* How the first ended -> what the second is told. */
static const struct {
    enum ledger_op_kind kind;
    int64_t cost_pusd;
    enum usage_source source;
    const char *status;
    enum err code;
} ENDINGS[] = {
    {LEDGER_SETTLE, 2000000, USAGE_FINAL, "ok", ERR_idempotency_done},
    {LEDGER_SETTLE, 0, USAGE_FINAL, "ok", ERR_idempotency_done}, /* a free model */
    {LEDGER_SETTLE, 3000, USAGE_PARTIAL, "canceled", ERR_idempotency_done},
    {LEDGER_SETTLE, 5000, USAGE_ESTIMATED, "error", ERR_idempotency_done},
    {LEDGER_SETTLE, 0, USAGE_ESTIMATED, "error", ERR_idempotency_done}, /* unknown: it may run */
    {LEDGER_SETTLE, 7000, USAGE_NONE, "error", ERR_idempotency_done},
    {LEDGER_SETTLE, 0, USAGE_NONE, "error", ERR_OK}, /* 529 */
    {LEDGER_VOID, 0, USAGE_NONE, "canceled", ERR_OK},
    {LEDGER_VOID, 0, USAGE_NONE, "refused", ERR_OK},
};

START_TEST(after_the_first_has_ended)
{
    ck_assert_int_eq(hold(1, "k", "x"), ERR_OK);
    settle(ENDINGS[_i].kind, 1, 1, ENDINGS[_i].cost_pusd, ENDINGS[_i].source);
    ck_assert_int_eq(hold(2, "k", "x"), ERR_idempotency_running); /* it may go on elsewhere */
    end(1, ENDINGS[_i].status);
    ck_assert_int_eq(hold(3, "k", "x"), ENDINGS[_i].code);
    if (ENDINGS[_i].code == ERR_OK) {
        ck_assert_int_eq(hold(4, "k", "x"), ERR_idempotency_running);
        ck_assert(earlier_is(3, "running", 0));
        ck_assert_int_eq(holds(), 2);
    } else {
        ck_assert(earlier_is(1, ENDINGS[_i].status, ENDINGS[_i].cost_pusd / 1000));
        ck_assert_int_eq(holds(), 1);
    }
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM idempotency"), 1);
    ck_assert(world_is_sound(eyes));
}
END_TEST

START_TEST(one_of_several_attempts_was_billed)
{
    ck_assert_int_eq(hold(1, "k", "x"), ERR_OK);
    settle(LEDGER_SETTLE, 1, 1, 8000, USAGE_ESTIMATED);
    ck_assert_int_eq(answer_to(new_hold(1, 2, 1, "k", "x")), ERR_OK); /* its own failover */
    settle(LEDGER_SETTLE, 1, 2, 0, USAGE_NONE);
    end(1, "error");
    ck_assert_int_eq(hold(2, "k", "x"), ERR_idempotency_done);
    ck_assert(earlier_is(1, "error", 8));
    ck_assert_int_eq(holds(), 2);
}
END_TEST

START_TEST(a_refused_hold_leaves_no_row)
{
    stop();
    world_cap(db, "key", 1, "total", CENTS(15));
    start();
    ck_assert_int_eq(hold(1, "a", "x"), ERR_OK);
    ck_assert_int_eq(hold(2, "b", "x"), ERR_budget_busy);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM idempotency"), 1);
    settle(LEDGER_SETTLE, 1, 1, 1000, USAGE_FINAL);
    end(1, "ok");
    ck_assert_int_eq(hold(3, "b", "y"), ERR_OK); /* the same key for another body, too */
}
END_TEST

START_TEST(many_at_once_and_one_is_held)
{
    enum { N = 200 };
    int before = n_answers;
    for (int i = 0; i < N; i++)
        ledger_send(ledger, new_hold(1 + i, 1, 1, "k", "x"));
    while (n_answers < before + N) {
        sem_wait(&woken);
        ledger_port_drain(port, on_answer, NULL);
    }
    ck_assert_int_eq(n_ok, 1);
    ck_assert_int_eq(holds(), 1);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM request"), 1);
}
END_TEST

/* The file as a process left it that was killed while the first ran. */
START_TEST(after_a_crash)
{
    ck_assert_int_eq(hold(1, "k", "x"), ERR_OK);
    ck_assert_int_eq(hold(2, "v", "x"), ERR_OK);
    settle(LEDGER_VOID, 2, 1, 0, USAGE_NONE);
    ledger_barrier(ledger);
    stop();
    start(); /* recovery settles request 1 by its prompt and ends both */
    ck_assert_int_eq(hold(3, "k", "x"), ERR_idempotency_done);
    ck_assert(earlier_is(1, "error", CENTS(1)));
    ck_assert_int_eq(hold(4, "v", "x"), ERR_OK);
    ck_assert(world_is_sound(eyes));
}
END_TEST

START_TEST(after_a_day_it_is_forgotten)
{
    ck_assert_int_eq(hold(1, "k", "x"), ERR_OK);
    settle(LEDGER_SETTLE, 1, 1, 1000, USAGE_FINAL);
    end(1, "ok");
    struct ledger_op *op = new_hold(2, 1, 1, "k", "y");
    op->u.hold.now_ms = WORLD_NOW_MS + 1 + DAY_MS - 1;
    ck_assert_int_eq(answer_to(op), ERR_idempotency_mismatch);
    op = new_hold(3, 1, 1, "k", "y");
    op->u.hold.now_ms = WORLD_NOW_MS + 1 + DAY_MS;
    ck_assert_int_eq(answer_to(op), ERR_OK);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM idempotency"), 1);
}
END_TEST

START_TEST(old_rows_are_pruned_a_few_at_a_time)
{
    char key[16];
    for (int i = 1; i <= 20; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(hold(i, key, "x"), ERR_OK);
    }
    const int64_t left[] = {13, 6, 3, 4}; /* 20 old ones go by 8, 8 and 4 */
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), "new%d", i);
        struct ledger_op *op = new_hold(100 + i, 1, 1, key, "x");
        op->u.hold.now_ms = WORLD_NOW_MS + 1000 + DAY_MS;
        ck_assert_int_eq(answer_to(op), ERR_OK);
        ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM idempotency"), left[i]);
        db_rest(eyes);
    }
}
END_TEST

START_TEST(pruning_uses_its_index)
{
    struct sqlite3_stmt *s =
        db_stmt(eyes, "EXPLAIN QUERY PLAN SELECT key_id, key_hash FROM idempotency"
                      " WHERE created_ms <= 5 ORDER BY created_ms LIMIT 8");
    ck_assert_int_eq(db_step(eyes, s, NULL), 1);
    ck_assert_ptr_nonnull(strstr(db_col_text(s, 3), "idempotency_created"));
}
END_TEST

Suite *idempotency_suite(void);
Suite *idempotency_suite(void)
{
    Suite *s = suite_create("idempotency");
    TCase *pure = tcase_create("header");
    tcase_add_test(pure, header_values);
    tcase_add_test(pure, what_is_compared);
    suite_add_tcase(s, pure);
    TCase *tc = tcase_create("rows");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_is_kept_without_the_header);
    tcase_add_test(tc, while_the_first_runs);
    tcase_add_test(tc, another_body_is_refused_whatever_became_of_the_first);
    tcase_add_test(tc, keys_have_keys_of_their_own);
    tcase_add_loop_test(tc, after_the_first_has_ended, 0,
                        (int)(sizeof(ENDINGS) / sizeof(ENDINGS[0])));
    tcase_add_test(tc, one_of_several_attempts_was_billed);
    tcase_add_test(tc, a_refused_hold_leaves_no_row);
    tcase_add_test(tc, many_at_once_and_one_is_held);
    tcase_add_test(tc, after_a_crash);
    tcase_add_test(tc, after_a_day_it_is_forgotten);
    tcase_add_test(tc, old_rows_are_pruned_a_few_at_a_time);
    tcase_add_test(tc, pruning_uses_its_index);
    suite_add_tcase(s, tc);
    return s;
}
