#define _GNU_SOURCE
/* The audit must find each kind of damage, and nothing where there is none. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/ledger_book.h"
#include "router/usage_db.h"
#include "tests/unit/ledger_world.h"

static struct db *db;
static struct ledger_book *book;

/* 3 USD and 15 USD per million, tier above 50 tokens: 6 USD for the prompt, 1 cent per request. */
#define PRICE                                                                                      \
    "INSERT INTO price(id, endpoint_id, valid_from_ms, prompt, completion, request)"               \
    " VALUES (5, 1, 0, 3000000, 15000000, 10000000000)"
#define TIER "INSERT INTO price_tier(price_id, above_prompt_tok, prompt) VALUES (5, 50, 6000000)"
#define PRICE_OF_100_AND_10 (INT64_C(10000000000) + 100 * 6000000 + 10 * 15000000)

static void write_op(struct ledger_op *op)
{
    struct ledger_answer answer;
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert(op->kind != LEDGER_HOLD || answer.code == ERR_OK);
}

static void request(int n, int64_t key, enum ledger_op_kind end, int64_t cost_pusd)
{
    struct ledger_op op = {0};
    world_hold(&op, n, 1, key, CENTS(10));
    op.u.hold.price_version = 5;
    write_op(&op);
    if (end == LEDGER_HOLD)
        return;
    memset(&op, 0, sizeof(op));
    world_settle(&op, end, n, 1, cost_pusd);
    write_op(&op);
}

static void setup(void)
{
    db = world_open(NULL);
    world_sql(db, "PRAGMA foreign_keys = OFF"); /* an endpoint would need a whole catalog */
    world_sql(db, PRICE);
    world_sql(db, TIER);
    world_sql(db,
              "INSERT INTO provider VALUES (1, 'acme', 'A', 'anthropic', '', NULL, 'none', NULL,"
              " 0, 0, 0, 1, 1, 1, 1)");
    world_sql(db, "INSERT INTO model VALUES (1, 'acme/large', 'L', 0, 0, 0, 0, 0, 0)");
    world_sql(db, "INSERT INTO endpoint VALUES (1, 1, 1, '', 'large', 0, 0, 'unknown', 'text', '',"
                  " '', 5, '', 0, 0, 0, 0, '', '')");
    world_sql(db, "PRAGMA foreign_keys = ON");
    world_cap(db, "team", 1, "month", USD(5));
    world_cap(db, "key", 3, "day", USD(5));
    book = ledger_book_open(db, WORLD_NOW_MS, NULL, NULL);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    request(1, 1, LEDGER_SETTLE, PRICE_OF_100_AND_10);
    request(2, 2, LEDGER_SETTLE, PRICE_OF_100_AND_10);
    request(3, 3, LEDGER_SETTLE, PRICE_OF_100_AND_10);
    request(4, 3, LEDGER_VOID, 0);
    request(5, 1, LEDGER_STREAMING, 7);
    request(6, 1, LEDGER_HOLD, 0);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

static void teardown(void)
{
    ledger_book_close(book);
    db_close(db);
}

START_TEST(nothing_is_wrong)
{
    struct json_object *r = NULL, *checked = NULL, *v = NULL;
    ck_assert(world_is_sound(db));
    ck_assert_int_eq(audit_db_verify(db, &r, NULL), 0);
    json_object_object_get_ex(r, "checked", &checked);
    json_object_object_get_ex(checked, "attempts", &v);
    ck_assert_int_eq(json_object_get_int64(v), 6);
    json_object_object_get_ex(checked, "repriced", &v);
    ck_assert_int_eq(json_object_get_int64(v), 3);
    json_object_put(r);
}
END_TEST

#define UNLOCK                                                                                     \
    "DROP TRIGGER attempt_ends_once; DROP TRIGGER attempt_facts; DROP TRIGGER attempt_stays;"      \
    "DROP TRIGGER entry_keeps; DROP TRIGGER entry_stays; DROP TRIGGER account_grows;"
#define FIRST_SETTLED "(SELECT id FROM attempt WHERE state = 'SETTLED' ORDER BY id LIMIT 1)"

static const struct {
    const char *invariant, *damage;
} damages[] = {
    {"I2", "UPDATE account SET posted_nusd = posted_nusd + 1 WHERE scope = 'key' AND owner_id = 1"},
    {"I2", "UPDATE account SET pending_nusd = pending_nusd - 1 WHERE scope = 'team'"
           " AND owner_id = 1 AND window = 'month'"},
    {"I2", "UPDATE account SET pending_nusd = pending_nusd + 7 WHERE scope = 'key' AND owner_id = 3"
           " AND window = 'day'"},
    {"I2", "UPDATE entry SET amount_nusd = amount_nusd + 1 WHERE kind = 'hold'"
           " AND attempt_id = " FIRST_SETTLED},
    {"I2", "DELETE FROM entry WHERE kind = 'hold' AND attempt_id = " FIRST_SETTLED},
    {"I3", "PRAGMA ignore_check_constraints = ON; UPDATE account SET cap_nusd = 1"
           " WHERE scope = 'team' AND owner_id = 1 AND window = 'month'"},
    {"I4", "DELETE FROM account WHERE scope = 'key' AND owner_id = 2"},
    {"I5", "DELETE FROM entry WHERE kind = 'release'"},
    {"I5", "DELETE FROM entry WHERE kind = 'post' AND attempt_id = " FIRST_SETTLED},
    {"I5", "INSERT INTO entry SELECT attempt_id, 'release', 1, 100000000, 0 FROM entry"
           " WHERE kind = 'post' LIMIT 1"},
    {"I6", "UPDATE entry SET amount_nusd = amount_nusd + 1 WHERE kind = 'post'"
           " AND attempt_id = " FIRST_SETTLED},
    {"I6", "UPDATE entry SET amount_nusd = 1 WHERE kind = 'release'"},
    {"I7", "DROP TRIGGER IF EXISTS entry_keeps"},
    {"I8", "UPDATE attempt SET boot_id = zeroblob(16) WHERE state = 'STREAMING'"},
    {"I9", "UPDATE attempt SET sent_ms = NULL WHERE state = 'SENT'"},
    {"I10", "UPDATE attempt SET input_tok = NULL, output_tok = NULL WHERE id = " FIRST_SETTLED},
    {"I11", "UPDATE attempt SET cost_pusd = cost_pusd + 1000 WHERE id = " FIRST_SETTLED},
    {"I11", "UPDATE attempt SET output_tok = output_tok + 1 WHERE id = " FIRST_SETTLED},
    {"I11", "UPDATE attempt SET n_images = 0, price_version = 6 WHERE id = " FIRST_SETTLED},
    {"I13", "UPDATE account SET end_ms = start_ms + 3600000 * 30 WHERE window = 'day'"},
    {"I14", "UPDATE attempt SET key_id = 2 WHERE state = 'SENT'"},
    {"I14", "UPDATE attempt SET team_id = 2 WHERE state = 'SENT'"},
    {"I18", "UPDATE attempt SET end_reason = 'crash' WHERE id = " FIRST_SETTLED},
    {"I19",
     "UPDATE account SET posted_nusd = posted_nusd + 1 WHERE scope = 'key' AND owner_id = 1"},
    {"database", "PRAGMA foreign_keys = OFF; UPDATE request SET key_id = 55"},
};

static bool finds(const char *invariant)
{
    struct json_object *r = NULL, *list = NULL, *v = NULL;
    bool found = false;
    ck_assert_int_eq(audit_db_verify(db, &r, NULL), 0);
    json_object_object_get_ex(r, "violations", &list);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object_object_get_ex(json_object_array_get_idx(list, i), "invariant", &v);
        found = found || strcmp(json_object_get_string(v), invariant) == 0;
    }
    json_object_object_get_ex(r, "ok", &v);
    ck_assert(!json_object_get_boolean(v) || json_object_array_length(list) == 0);
    json_object_put(r);
    return found;
}

START_TEST(damage_is_found)
{
    sqlite3 *h = db_handle(db);
    char *text = NULL;
    const char *damage = damages[_i].damage;
    if (strcmp(damages[_i].invariant, "I7") != 0)
        ck_assert(!finds(damages[_i].invariant));
    ck_assert_int_eq(sqlite3_exec(h, UNLOCK, NULL, NULL, NULL), SQLITE_OK);
    int rc = sqlite3_exec(h, damage, NULL, NULL, &text);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", damage, text);
    ck_assert_msg(finds(damages[_i].invariant), "%s: %s was not found", damage,
                  damages[_i].invariant);
}
END_TEST

/* What the triggers and constraints alone forbid. */
START_TEST(the_tables_defend_themselves)
{
    static const char *const forbidden[] = {
        "UPDATE entry SET amount_nusd = 0",
        "DELETE FROM entry",
        "DELETE FROM attempt",
        "UPDATE attempt SET charge_nusd = 0 WHERE state = 'SETTLED'",
        "UPDATE attempt SET state = 'SENT' WHERE state = 'VOID'",
        "UPDATE attempt SET hold_nusd = 1 WHERE state = 'SENT'",
        "UPDATE attempt SET state = 'SETTLED' WHERE state = 'SENT'", /* without its charge */
        "UPDATE account SET posted_nusd = posted_nusd - 1 WHERE posted_nusd > 0",
        "UPDATE account SET pending_nusd = 6000000000 WHERE cap_nusd IS NOT NULL",
        "UPDATE account SET pending_nusd = -1",
        "INSERT INTO entry SELECT attempt_id, kind, n, amount_nusd, at_ms FROM entry LIMIT 1",
        "INSERT INTO entry SELECT attempt_id, kind, 2, amount_nusd, at_ms FROM entry LIMIT 1",
        "UPDATE attempt SET input_tok = 'many' WHERE state = 'SENT'",
        "UPDATE attempt SET usage_source = 'guess' WHERE state = 'SENT'",
        "DELETE FROM request",
        "DELETE FROM api_key",
    };
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        ck_assert_msg((sqlite3_exec(db_handle(db), forbidden[i], NULL, NULL, NULL) & 0xff) ==
                          SQLITE_CONSTRAINT,
                      "%s", forbidden[i]);
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(many_violations_are_cut_short)
{
    for (int i = 10; i < 60; i++)
        request(i, 1, LEDGER_SETTLE, 1); /* not what its tokens cost */
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert(sqlite3_exec(db_handle(db), UNLOCK "DELETE FROM entry WHERE kind = 'post'", NULL,
                           NULL, NULL) == SQLITE_OK);
    struct json_object *r = NULL, *list = NULL;
    ck_assert_int_eq(audit_db_verify(db, &r, NULL), 0);
    json_object_object_get_ex(r, "violations", &list);
    ck_assert_uint_gt(json_object_array_length(list), 50);
    ck_assert_uint_lt(json_object_array_length(list), 300);
    json_object_put(r);
}
END_TEST

/* An inner call of another model is not priced at the endpoint's price. */
START_TEST(iterations_are_not_repriced)
{
    struct ledger_op op = {0};
    world_hold(&op, 20, 1, 1, CENTS(10));
    op.u.hold.price_version = 5;
    write_op(&op);
    memset(&op, 0, sizeof(op));
    world_settle(&op, LEDGER_SETTLE, 20, 1, 1);
    memcpy(op.u.settle.iterations, "[{}]", sizeof("[{}]"));
    write_op(&op);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert(world_is_sound(db));
}
END_TEST

/* Served on other terms than it was held for, and billed at the price of those. */
START_TEST(repriced_at_what_it_was_billed_at)
{
    struct ledger_op op = {0};
    world_sql(db, "INSERT INTO price(id, endpoint_id, valid_from_ms, prompt, completion)"
                  " VALUES (6, 1, 0, 1000000, 2000000)");
    world_hold(&op, 20, 1, 1, CENTS(10));
    op.u.hold.price_version = 5;
    write_op(&op);
    memset(&op, 0, sizeof(op));
    world_settle(&op, LEDGER_SETTLE, 20, 1, 100 * 1000000 + 10 * 2000000);
    op.u.settle.billed_price = 6;
    write_op(&op);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert(world_is_sound(db));
    ck_assert_int_eq(sqlite3_exec(db_handle(db), UNLOCK, NULL, NULL, NULL), SQLITE_OK);
    world_sql(db, "UPDATE attempt SET billed_price = NULL WHERE billed_price = 6");
    ck_assert(finds("I11"));
}
END_TEST

Suite *audit_db_suite(void);
Suite *audit_db_suite(void)
{
    Suite *s = suite_create("audit_db");
    TCase *t = tcase_create("audit_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, nothing_is_wrong);
    tcase_add_loop_test(t, damage_is_found, 0, sizeof(damages) / sizeof(damages[0]));
    tcase_add_test(t, the_tables_defend_themselves);
    tcase_add_test(t, many_violations_are_cut_short);
    tcase_add_test(t, iterations_are_not_repriced);
    tcase_add_test(t, repriced_at_what_it_was_billed_at);
    suite_add_tcase(s, t);
    return s;
}
