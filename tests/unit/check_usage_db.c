#define _GNU_SOURCE
/* What the ledger's tables answer. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "router/ledger_book.h"
#include "router/usage_db.h"
#include "tests/unit/ledger_world.h"

static struct db *db;
static struct ledger_book *book;

static void apply(struct ledger_op *op)
{
    struct ledger_answer answer;
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, op, &answer), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
    if (op->kind == LEDGER_HOLD)
        ck_assert_int_eq(answer.code, ERR_OK);
}

static void hold(int request, int k, int64_t key, const char *provider, const char *experiment,
                 int64_t after_ms)
{
    struct ledger_op op = {0};
    world_hold(&op, request, k, key, USD(1));
    op.u.hold.now_ms += after_ms;
    op.u.hold.request.created_ms += after_ms;
    snprintf(op.u.hold.provider, sizeof(op.u.hold.provider), "%s", provider);
    snprintf(op.u.hold.model, sizeof(op.u.hold.model), "%s/large", provider);
    snprintf(op.u.hold.request.experiment, sizeof(op.u.hold.request.experiment), "%s", experiment);
    apply(&op);
}

static void finish(enum ledger_op_kind kind, int request, int k, int64_t cost_pusd)
{
    struct ledger_op op = {0};
    world_settle(&op, kind, request, k, cost_pusd);
    if (kind == LEDGER_SETTLE && request == 1)
        usage_set(&op.u.settle.usage, USAGE_cache_read_tok, 0);
    apply(&op);
}

static void close_request(int request, const char *status)
{
    struct ledger_op op = {0};
    world_end(&op, request, status);
    apply(&op);
}

enum { DAY = 86400000 };

/* 1: fine, key one, acme.  2: acme failed after sending, umbrella did it, key two.
 * 3: an error, team ads, in an experiment, the next day.  4: void only.  5: runs.
 * 6: the client left. */
static void setup(void)
{
    db = world_open(NULL);
    book = ledger_book_open(db, WORLD_NOW_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    hold(1, 1, 1, "acme", "", 0);
    finish(LEDGER_SETTLE, 1, 1, 1234567);
    close_request(1, "ok");
    hold(2, 1, 2, "acme", "", 0);
    finish(LEDGER_SETTLE, 2, 1, 1000);
    hold(2, 2, 2, "umbrella", "", 0);
    finish(LEDGER_SETTLE, 2, 2, INT64_C(2000000000001));
    close_request(2, "ok");
    hold(4, 1, 1, "acme", "", 0);
    finish(LEDGER_VOID, 4, 1, 0);
    close_request(4, "error");
    hold(5, 1, 1, "acme", "", 0);
    finish(LEDGER_STREAMING, 5, 1, 777000);
    hold(6, 1, 1, "acme", "", 0);
    finish(LEDGER_SETTLE, 6, 1, 5000);
    close_request(6, "canceled");
    hold(3, 1, 3, "acme", "sonnet-or-not", DAY);
    finish(LEDGER_SETTLE, 3, 1, 3000);
    close_request(3, "error");
}

static void teardown(void)
{
    ledger_book_close(book);
    db_close(db);
}

static struct json_object *get(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    ck_assert_msg(json_object_object_get_ex(o, name, &v), "no member %s in %s", name,
                  json_object_to_json_string(o));
    return v;
}

static const char *text(struct json_object *o, const char *name)
{
    return json_object_get_string(get(o, name));
}

static int64_t number(struct json_object *o, const char *name)
{
    ck_assert(json_object_is_type(get(o, name), json_type_int));
    return json_object_get_int64(get(o, name));
}

static struct json_object *report(const char *args)
{
    struct json_object *a = json_tokener_parse(args), *r = NULL;
    struct fail why = {0};
    ck_assert_msg(usage_db_report(db, a, WORLD_NOW_MS + 2 * DAY, &r, &why) == 0, "%s", why.text);
    json_object_put(a);
    return r;
}

static struct json_object *row(struct json_object *r, size_t i)
{
    return json_object_array_get_idx(get(r, "rows"), i);
}

static void ck_row(struct json_object *o, int64_t requests, int64_t attempts, int64_t errors,
                   int64_t input, const char *cost)
{
    ck_assert_int_eq(number(o, "requests"), requests);
    ck_assert_int_eq(number(o, "attempts"), attempts);
    ck_assert_int_eq(number(o, "errors"), errors);
    ck_assert_int_eq(number(o, "input_tokens"), input);
    ck_assert_int_eq(number(o, "output_tokens"), input / 10);
    ck_assert_int_eq(number(o, "cache_read_tokens"), 0);
    ck_assert_int_eq(number(o, "cache_write_5m_tokens"), 0);
    ck_assert_int_eq(number(o, "cache_write_1h_tokens"), 0);
    ck_assert_int_eq(number(o, "web_searches"), 0);
    ck_assert(json_object_is_type(get(o, "cost_usd"), json_type_string));
    ck_assert_str_eq(text(o, "cost_usd"), cost);
}

START_TEST(by_team)
{
    struct json_object *r = report("{}");
    ck_assert_str_eq(text(r, "by"), "team");
    ck_assert_str_eq(text(r, "since"), "2026-11-01T00:00:00.000Z");
    ck_assert_uint_eq(json_object_array_length(get(r, "rows")), 2);
    ck_assert_str_eq(text(row(r, 0), "team"), "search");
    ck_row(row(r, 0), 4, 5, 0, 400, "2.000001242");
    ck_assert_str_eq(text(row(r, 1), "team"), "ads");
    ck_row(row(r, 1), 1, 1, 1, 100, "0.000000003");
    ck_row(get(r, "total"), 5, 6, 1, 500, "2.000001245");
    json_object_put(r);
}
END_TEST

START_TEST(by_provider)
{
    struct json_object *r = report("{\"by\": \"provider\"}");
    ck_assert_str_eq(text(row(r, 0), "provider"), "umbrella");
    ck_row(row(r, 0), 1, 1, 0, 100, "2.000000001");
    ck_assert_str_eq(text(row(r, 1), "provider"), "acme");
    ck_row(row(r, 1), 5, 5, 1, 400, "0.000001244");
    ck_row(get(r, "total"), 5, 6, 1, 500, "2.000001245"); /* request 2 once */
    json_object_put(r);
}
END_TEST

START_TEST(by_key_and_model)
{
    struct json_object *r = report("{\"by\": \"key\"}");
    ck_assert_str_eq(text(row(r, 0), "key"), "key_two");
    ck_assert_str_eq(text(row(r, 0), "name"), "two");
    ck_assert_str_eq(text(row(r, 1), "key"), "key_one");
    ck_row(row(r, 1), 3, 3, 0, 200, "0.00000124");
    json_object_put(r);
    r = report("{\"by\": \"model\"}");
    ck_assert_str_eq(text(row(r, 0), "model"), "umbrella/large");
    ck_assert_str_eq(text(row(r, 1), "model"), "acme/large");
    json_object_put(r);
}
END_TEST

START_TEST(by_day_and_experiment)
{
    struct json_object *r = report("{\"by\": \"day\"}");
    ck_assert_str_eq(text(row(r, 0), "day"), "2026-11-25");
    ck_assert_str_eq(text(row(r, 1), "day"), "2026-11-26");
    ck_row(row(r, 1), 1, 1, 1, 100, "0.000000003");
    json_object_put(r);
    r = report("{\"by\": \"experiment\"}");
    ck_assert_uint_eq(json_object_array_length(get(r, "rows")), 2);
    ck_assert_ptr_null(get(row(r, 0), "experiment"));
    ck_assert_str_eq(text(row(r, 1), "experiment"), "sonnet-or-not");
    json_object_put(r);
}
END_TEST

START_TEST(since_and_until)
{
    struct json_object *r = report("{\"since\": \"2026-11-26\"}");
    ck_row(get(r, "total"), 1, 1, 1, 100, "0.000000003");
    ck_assert_str_eq(text(r, "since"), "2026-11-26T00:00:00.000Z");
    json_object_put(r);
    r = report("{\"since\": \"2026-11-25\", \"until\": \"2026-11-26\"}");
    ck_row(get(r, "total"), 4, 5, 0, 400, "2.000001242");
    ck_assert_str_eq(text(r, "until"), "2026-11-26T00:00:00.000Z");
    json_object_put(r);
    r = report("{\"since\": \"2027-01-01\"}");
    ck_assert_uint_eq(json_object_array_length(get(r, "rows")), 0);
    ck_row(get(r, "total"), 0, 0, 0, 0, "0");
    json_object_put(r);
    r = report("{\"since\": \"1970-01-01\", \"until\": \"2026-11-26\"}");
    ck_row(get(r, "total"), 4, 5, 0, 400, "2.000001242");
    ck_assert_str_eq(text(r, "since"), "1970-01-01T00:00:00.000Z");
    json_object_put(r);
}
END_TEST

START_TEST(the_report_equals_the_ledger)
{
    static const char *const args[] = {"{\"by\": \"team\"}",  "{\"by\": \"key\"}",
                                       "{\"by\": \"model\"}", "{\"by\": \"provider\"}",
                                       "{\"by\": \"day\"}",   "{\"by\": \"experiment\"}"};
    int64_t posted = world_int(db, "SELECT sum(posted_nusd) FROM account WHERE scope = 'team'");
    ck_assert_int_eq(posted, 2000001245);
    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        struct json_object *r = report(args[i]);
        ck_assert_str_eq(text(get(r, "total"), "cost_usd"), "2.000001245");
        json_object_put(r);
    }
    ck_assert(world_is_sound(db));
}
END_TEST

START_TEST(wrong_arguments)
{
    static const char *const args[] = {
        "{\"by\": \"color\"}",
        "{\"by\": 1}",
        "{\"since\": \"yesterday\"}",
        "{\"sinse\": \"2026-01-01\"}",
        "{\"since\": \"2026-11-26\", \"until\": \"2026-11-25\"}",
        "{\"until\": \"2026-10-31\"}"}; /* this month is what since is without a word */
    static const char *const fields[] = {"by", "by", "since", "sinse", "until", "until"};
    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        struct json_object *a = json_tokener_parse(args[i]), *r = NULL;
        struct fail why = {0};
        ck_assert_int_eq(usage_db_report(db, a, WORLD_NOW_MS, &r, &why), -1);
        ck_assert_int_eq(why.code, ERR_bad_request);
        ck_assert_str_eq(why.field, fields[i]);
        ck_assert_ptr_null(r);
        json_object_put(a);
    }
}
END_TEST

static struct json_object *generation(int request, int64_t team)
{
    struct id id = world_request(request);
    struct json_object *g = NULL;
    struct fail why = {0};
    ck_assert_msg(generation_db_get(db, &id, team, &g, &why) == 0, "%s", why.text);
    return g;
}

START_TEST(a_generation)
{
    char id[ID_TEXT_MAX];
    struct id expected = world_request(2);
    struct json_object *g = generation(2, 0), *attempts = get(g, "attempts");
    ck_assert_str_eq(text(g, "id"), id_print(&expected, ID_PREFIX_GENERATION, id));
    ck_assert_str_eq(text(g, "created_at"), "2026-11-25T06:34:35.125Z");
    ck_assert_str_eq(text(g, "team"), "search");
    ck_assert_str_eq(text(g, "key_id"), "key_two");
    ck_assert_str_eq(text(g, "status"), "ok");
    ck_assert_str_eq(text(g, "requested_model"), "large");
    ck_assert_str_eq(text(g, "model"), "umbrella/large");
    ck_assert_str_eq(text(g, "provider"), "umbrella");
    ck_assert(json_object_get_boolean(get(g, "stream")));
    ck_assert_ptr_null(get(g, "experiment"));
    ck_assert_ptr_null(get(g, "arm"));
    ck_assert_str_eq(text(g, "cost_usd"), "2.000000002");
    ck_assert_int_eq(number(get(g, "usage"), "input_tokens"), 200);
    ck_assert_ptr_null(get(get(g, "usage"), "web_searches"));
    ck_assert_uint_eq(json_object_array_length(attempts), 2);
    struct json_object *a = json_object_array_get_idx(attempts, 1);
    ck_assert_int_eq(number(a, "n"), 2);
    ck_assert_str_eq(text(a, "provider"), "umbrella");
    ck_assert_str_eq(text(a, "upstream_model"), "large-2026");
    ck_assert_str_eq(text(a, "state"), "SETTLED");
    ck_assert_int_eq(number(a, "http_status"), 200);
    ck_assert_str_eq(text(a, "usage_source"), "final");
    ck_assert_int_eq(number(a, "price_version"), 0);
    ck_assert_str_eq(text(a, "hold_usd"), "1");
    ck_assert_str_eq(text(a, "cost_usd"), "2.000000001");
    ck_assert_str_eq(text(a, "sent_at"), "2026-11-25T06:34:35.125Z");
    ck_assert_int_eq(number(a, "first_byte_ms"), 300);
    ck_assert_int_eq(number(a, "duration_ms"), 1500);
    ck_assert_str_eq(text(a, "provider_request_id"), "req_1");
    ck_assert_str_eq(text(a, "end_reason"), "end_turn");
    json_object_put(g);
}
END_TEST

START_TEST(zero_is_not_unknown)
{
    struct json_object *g = generation(1, 1);
    ck_assert_int_eq(number(get(g, "usage"), "cache_read_tokens"), 0);
    ck_assert_ptr_null(get(get(g, "usage"), "cache_write_5m_tokens"));
    json_object_put(g);
}
END_TEST

START_TEST(a_generation_that_runs)
{
    struct json_object *g = generation(5, 0);
    struct json_object *a = json_object_array_get_idx(get(g, "attempts"), 0);
    ck_assert_str_eq(text(g, "status"), "running");
    ck_assert_ptr_null(get(g, "cost_usd"));
    ck_assert_str_eq(text(a, "state"), "STREAMING");
    ck_assert_ptr_null(get(a, "cost_usd"));
    ck_assert_ptr_null(get(a, "end_reason"));
    ck_assert_int_eq(number(get(a, "usage"), "input_tokens"), 100);
    json_object_put(g);
}
END_TEST

START_TEST(a_generation_that_was_never_sent)
{
    struct json_object *g = generation(4, 0);
    struct json_object *a = json_object_array_get_idx(get(g, "attempts"), 0);
    ck_assert_str_eq(text(g, "cost_usd"), "0");
    ck_assert_str_eq(text(a, "state"), "VOID");
    ck_assert_str_eq(text(a, "cost_usd"), "0");
    ck_assert_ptr_null(get(a, "sent_at"));
    json_object_put(g);
}
END_TEST

START_TEST(a_generation_of_another_team)
{
    struct id id = world_request(2), none = world_request(99);
    struct json_object *g = NULL;
    struct fail why = {0};
    ck_assert_int_eq(generation_db_get(db, &id, 2, &g, &why), -1);
    ck_assert_int_eq(why.code, ERR_not_found);
    ck_assert_int_eq(generation_db_get(db, &none, 0, &g, &why), -1);
    ck_assert_int_eq(why.code, ERR_not_found);
    ck_assert_ptr_null(g);
}
END_TEST

static size_t list(const char *args, int64_t team, const char *first)
{
    struct json_object *a = json_tokener_parse(args), *r = NULL;
    struct fail why = {0};
    ck_assert_msg(generation_db_list(db, a, team, &r, &why) == 0, "%s", why.text);
    size_t n = json_object_array_length(get(r, "data"));
    if (n > 0)
        ck_assert_str_eq(text(json_object_array_get_idx(get(r, "data"), 0), "key_id"), first);
    json_object_put(a);
    json_object_put(r);
    return n;
}

START_TEST(the_list)
{
    ck_assert_uint_eq(list("{}", 0, "key_one"), 6);
    ck_assert_uint_eq(list("{\"limit\": 2}", 0, "key_one"), 2);
    ck_assert_uint_eq(list("{\"team\": \"ads\"}", 0, "key_three"), 1);
    ck_assert_uint_eq(list("{\"key\": \"key_two\"}", 0, "key_two"), 1);
    ck_assert_uint_eq(list("{}", 2, "key_three"), 1);
    ck_assert_uint_eq(list("{\"key\": \"key_one\"}", 1, "key_one"), 4);
    ck_assert_uint_eq(list("{\"since\": \"2026-11-26\"}", 0, "key_three"), 1);
    ck_assert_uint_eq(list("{\"since\": \"2030-01-01\"}", 0, ""), 0);
}
END_TEST

START_TEST(lists_that_may_not_be)
{
    static const char *const args[] = {"{\"team\": \"ads\"}", "{\"key\": \"key_three\"}",
                                       "{\"key\": \"key_none\"}", "{\"limit\": 0}",
                                       "{\"limit\": 1001}"};
    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        struct json_object *a = json_tokener_parse(args[i]), *r = NULL;
        struct fail why = {0};
        ck_assert_int_eq(generation_db_list(db, a, 1, &r, &why), -1);
        ck_assert_int_eq(why.code, i < 3 ? ERR_not_found : ERR_bad_request);
        json_object_put(a);
    }
}
END_TEST

Suite *usage_db_suite(void);
Suite *usage_db_suite(void)
{
    Suite *s = suite_create("usage_db");
    TCase *t = tcase_create("usage_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, by_team);
    tcase_add_test(t, by_provider);
    tcase_add_test(t, by_key_and_model);
    tcase_add_test(t, by_day_and_experiment);
    tcase_add_test(t, since_and_until);
    tcase_add_test(t, the_report_equals_the_ledger);
    tcase_add_test(t, wrong_arguments);
    tcase_add_test(t, a_generation);
    tcase_add_test(t, zero_is_not_unknown);
    tcase_add_test(t, a_generation_that_runs);
    tcase_add_test(t, a_generation_that_was_never_sent);
    tcase_add_test(t, a_generation_of_another_team);
    tcase_add_test(t, the_list);
    tcase_add_test(t, lists_that_may_not_be);
    suite_add_tcase(s, t);
    return s;
}
