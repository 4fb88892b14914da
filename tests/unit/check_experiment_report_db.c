/* Figures of an experiment from rows of the ledger. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <sqlite3.h>

#include "router/experiment.h"
#include "router/experiment_report_db.h"
#include "router/experiment_sums_db.h"
#include "tests/unit/ledger_world.h"

static char path[WORLD_PATH_MAX];
static struct db *db;

/* 200 users with arm a, 200 with arm b, two requests each, as request i has it.  Arm b's first
 * attempts all fail, and cost something. */
static const char *const rows[] = {
    "INSERT INTO experiment(id, name, model, layer, slot_from, slot_to, salt, unit, ramp, metrics,"
    " guardrails, created_ms) VALUES (1, 'x', 'm', 'm', 0, 10000, 'salt', 'user', 10000,"
    " '[{\"name\":\"quality\",\"better\":\"higher\"}]', "
    "'[{\"metric\":\"cost\",\"max\":\"0.0000009\"},"
    "{\"metric\":\"latency\",\"max\":\"60\"}]', 1000)",
    "INSERT INTO arm VALUES (1, 0, 'a', 50, 0, '{}'), (1, 1, 'b', 50, 0, '{}'),"
    " (1, 2, 'c', 10, 1, '{}')",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 799)"
    " INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door, "
    "experiment,"
    " arm, unit, status, http_status, ended_ms) SELECT CAST(printf('r%015d', i) AS BLOB),"
    " 5000 + i, 1, 1, 0, 'm' || iif(i % 7 = 3, ':floor', iif(i % 7 = 4, ':nitro', '')),"
    " 'messages', 'x', iif(i % 2, 'b', 'a'), i % 400 + 7000000,"
    " iif(i % 20 = 1, 'error', 'ok'), 200, 5000 + i + i FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 799)"
    " INSERT INTO attempt(id, request_id, n, team_id, key_id, boot_id, state, admitted_ms,"
    " endpoint_id, price_version, model, provider, upstream_model, cancel_stops_billing,"
    " prompt_estimate_tok, prompt_estimate_nusd, n_images, hold_nusd, sent_ms, input_tok, "
    "output_tok,"
    " usage_source, cost_pusd, charge_nusd, http_status, first_byte_ms) SELECT"
    " CAST(printf('%d%015d', k, i) AS BLOB), CAST(printf('r%015d', i) AS BLOB), k, 1, 1,"
    " zeroblob(16), 'SETTLED', 5000 + i, 1, 1, 'm', 'p', 'u', 1, 10, 10, 0, 9000, 5000 + i, 10, 5,"
    " 'final', iif(k = 1 AND i % 2, 500000, 300000 + i % 7 * 100000),"
    " iif(k = 1 AND i % 2, 500, 300 + i % 7 * 100), iif(k = 1 AND i % 2, 500, 200), i % 50"
    " FROM n JOIN (SELECT 1 AS k UNION SELECT 2) ON k = 1 OR i % 2",
    "INSERT INTO feedback SELECT id, 'quality', iif(arm = 'a', 0.5, 0.9) + created_ms % 10 / 100.0,"
    " 9000 FROM request WHERE created_ms % 4 < 2"};

static void setup(void)
{
    world_path(path);
    db = world_open(path);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        world_sql(db, rows[i]);
}

static void teardown(void)
{
    db_close(db);
    world_remove(path);
}

static struct json_object *at(struct json_object *o, const char *pointer)
{
    struct json_object *v = NULL;
    json_pointer_get(o, pointer, &v);
    return v;
}

static int64_t number_at(struct json_object *o, const char *pointer)
{
    return json_object_get_int64(at(o, pointer));
}

static struct json_object *report(void)
{
    struct json_object *r = NULL;
    struct fail why = {0};
    ck_assert_msg(experiment_report(db, "x", &r, &why) == 0, "%s", why.text);
    return r;
}

START_TEST(figures_of_the_arms)
{
    struct json_object *r = report();
    ck_assert_int_eq(number_at(r, "/arms/0/requests"), 400);
    ck_assert_int_eq(number_at(r, "/arms/0/units"), 200);
    ck_assert_int_eq(number_at(r, "/arms/0/attempts"), 400);
    ck_assert_int_eq(number_at(r, "/arms/1/attempts"), 800);
    ck_assert_int_eq(number_at(r, "/arms/0/errors"), 0);
    ck_assert_int_eq(number_at(r, "/arms/1/errors"), 40);
    ck_assert_int_eq(number_at(r, "/arms/1/output_tokens"), 4000);
    ck_assert_int_eq(number_at(r, "/arms/2/requests"), 0);
    ck_assert_ptr_null(at(r, "/arms/2/cost_per_request_usd"));
    /* Latencies of arm a are 0, 2, ... 798. */
    ck_assert_int_eq(number_at(r, "/arms/0/latency_ms/n"), 400);
    ck_assert_int_eq(number_at(r, "/arms/0/latency_ms/mean"), 399);
    ck_assert_int_ge(number_at(r, "/arms/0/latency_ms/p50"), 396);
    ck_assert_int_le(number_at(r, "/arms/0/latency_ms/p50"), 400);
    ck_assert_int_ge(number_at(r, "/arms/0/latency_ms/p95"), 754);
    ck_assert_int_le(number_at(r, "/arms/0/latency_ms/p95"), 762);
    ck_assert_int_eq(number_at(r, "/arms/1/latency_ms/n"), 360); /* errors have none */
    ck_assert_int_eq(number_at(r, "/arms/0/first_token_ms/p50"), 24);
    ck_assert_int_eq(number_at(r, "/arms/1/metrics/quality/n"), 200);
    ck_assert_double_eq_tol(json_object_get_double(at(r, "/arms/0/metrics/quality/mean")), 0.54,
                            0.02);
    json_object_put(r);
}
END_TEST

/* Failed and fallback attempts stay with the arm that caused them, to the nano-dollar. */
START_TEST(costs_are_the_ledgers)
{
    struct json_object *r = report();
    static const char *const sums[] = {"SELECT sum(charge_nusd) FROM attempt a JOIN request r ON "
                                       "r.id = a.request_id WHERE arm = 'a'",
                                       "SELECT sum(charge_nusd) FROM attempt a JOIN request r ON "
                                       "r.id = a.request_id WHERE arm = 'b'"};
    for (int arm = 0; arm < 2; arm++) {
        char pointer[64], want[64];
        int64_t nusd = world_int(db, sums[arm]);
        snprintf(pointer, sizeof(pointer), "/arms/%d/cost_usd", arm);
        snprintf(want, sizeof(want), "0.%09lld", (long long)nusd);
        for (size_t n = strlen(want); want[n - 1] == '0'; n--)
            want[n - 1] = '\0';
        ck_assert_str_eq(json_object_get_string(at(r, pointer)), want);
    }
    ck_assert_str_eq(json_object_get_string(at(r, "/verdict/state")), "trade_off");
    json_object_put(r);
}
END_TEST

START_TEST(corrections_count)
{
    struct json_object *r = report();
    char before[64];
    snprintf(before, sizeof(before), "%s", json_object_get_string(at(r, "/arms/0/cost_usd")));
    json_object_put(r);
    world_sql(db, "INSERT INTO correction SELECT id, 2, 9000, admitted_ms, key_id, team_id, model,"
                  " provider, upstream_model, 'final', 'x', 'a', 0, 0, 0, 0, 0, 0, -100, 0, 0, 0"
                  " FROM attempt"
                  " WHERE request_id = (SELECT min(id) FROM request WHERE arm = 'a')");
    r = report();
    ck_assert_str_ne(json_object_get_string(at(r, "/arms/0/cost_usd")), before);
    json_object_put(r);
}
END_TEST

START_TEST(what_runs_is_left_out)
{
    world_sql(db, "UPDATE request SET status = 'running' WHERE created_ms < 5100");
    struct json_object *r = report();
    ck_assert_int_eq(number_at(r, "/arms/0/requests"), 350);
    json_object_put(r);
}
END_TEST

/* 80 of arm b after 9 s, before anything came, and some that went well otherwise: the time is the
 * least that they would have taken. */
START_TEST(what_clients_give_up_on)
{
    world_sql(db, "UPDATE request SET status = 'canceled' WHERE arm = 'b' AND status = 'ok'"
                  " AND created_ms < 5100");
    int64_t left = world_int(db, "SELECT count(*) FROM request WHERE status = 'canceled'");
    world_sql(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80)"
                  " INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model,"
                  " door, experiment, arm, unit, status, http_status, ended_ms)"
                  " SELECT CAST(printf('s%015d', i) AS BLOB), 6000 + i, 1, 1, 0, 'm', 'messages',"
                  " 'x', 'b', i * 2 + 6999999, 'canceled', 0, 15000 + i FROM n");
    struct json_object *r = report();
    ck_assert_int_eq(left, 45);
    ck_assert_int_eq(number_at(r, "/arms/1/requests"), 480);
    ck_assert_int_eq(number_at(r, "/arms/1/canceled"), 80 + left);
    ck_assert_double_eq_tol(json_object_get_double(at(r, "/arms/1/cancel_rate/mean")),
                            (80.0 + 45) / 480, 1e-6);
    ck_assert_int_eq(number_at(r, "/arms/1/cancel_rate/n"), 480);
    ck_assert_int_eq(number_at(r, "/arms/1/latency_ms/n"), 360 + 80);
    ck_assert_int_ge(number_at(r, "/arms/1/latency_ms/mean"), 9000 * 80 / 440);
    ck_assert_int_ge(number_at(r, "/arms/1/latency_ms/p95"), 8900);
    ck_assert_int_eq(number_at(r, "/arms/1/first_token_ms/n"), 360 + 80);
    ck_assert_int_ge(number_at(r, "/arms/1/first_token_ms/p95"), 8900);
    ck_assert_int_eq(number_at(r, "/arms/0/canceled"), 0);
    ck_assert_double_eq(json_object_get_double(at(r, "/arms/0/cancel_rate/low")),
                        0); /* none less */
    json_object_put(r);
}
END_TEST

/* Requests that say no user are one user's if their key is: in the sums, not in the means. */
START_TEST(what_names_no_unit)
{
    struct sqlite3_stmt *q = db_stmt(db, "SELECT public_id FROM api_key WHERE id = 1");
    ck_assert_int_eq(db_step(db, q, NULL), 1);
    struct experiment_name key = {{span_of(db_col_text(q, 0)), {"", 0}}};
    int64_t unit = experiment_unit_hash("salt", UNIT_KEY, &key);
    sqlite3_reset(q);
    q = db_stmt(db, "UPDATE request SET unit = ?1 WHERE arm = 'a' AND created_ms < 5100");
    db_bind_int(q, 1, unit);
    ck_assert_int_eq(db_step(db, q, NULL), 0);
    sqlite3_reset(q);
    struct json_object *r = report();
    ck_assert_int_eq(number_at(r, "/arms/0/requests"), 400);
    ck_assert_int_eq(number_at(r, "/arms/0/requests_without_unit"), 50);
    ck_assert_int_eq(number_at(r, "/arms/0/cost/n"), 350);
    ck_assert_int_eq(number_at(r, "/arms/0/metrics/quality/n"), 175);
    ck_assert_int_eq(number_at(r, "/arms/0/units"), 200);
    ck_assert_int_eq(number_at(r, "/arms/1/requests_without_unit"), 0);
    ck_assert_ptr_nonnull(strstr(json_object_get_string(at(r, "/verdict/text")),
                                 "Not compared: 50 requests that name no user."));
    json_object_put(r);
}
END_TEST

/* One user with most of the requests is not many. */
START_TEST(units_by_weight)
{
    struct json_object *r = report();
    ck_assert_double_eq(json_object_get_double(at(r, "/arms/0/effective_units")), 200);
    ck_assert_double_eq(json_object_get_double(at(r, "/arms/0/largest_unit_share")), 0.005);
    json_object_put(r);
    world_sql(db, "UPDATE request SET unit = 9 WHERE arm = 'a' AND created_ms >= 5300");
    r = report();
    /* 150 users, of whom one has 250 requests, 100 have one and 50 another. */
    ck_assert_int_eq(number_at(r, "/arms/0/units"), 151);
    ck_assert_double_eq_tol(json_object_get_double(at(r, "/arms/0/effective_units")),
                            400.0 * 400 / (250 * 250 + 150), 0.01);
    ck_assert_double_eq(json_object_get_double(at(r, "/arms/0/largest_unit_share")), 0.625);
    ck_assert_str_eq(json_object_get_string(at(r, "/verdict/state")), "too_early");
    ck_assert_ptr_null(at(r, "/arms/0/cost/low"));
    ck_assert_ptr_null(at(r, "/comparisons/0/better"));
    json_object_put(r);
}
END_TEST

/* More units than cells: 20,000 with one request each, and 2,000 of them with ten more. */
START_TEST(units_that_share_cells)
{
    world_sql(db, "UPDATE request SET experiment = NULL");
    world_sql(db,
              "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39999)"
              " INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door,"
              " experiment, arm, unit, status, http_status, ended_ms) SELECT"
              " CAST(printf('s%015d', i) AS BLOB), 5000, 1, 1, 0, 'm', 'messages', 'x', 'a',"
              " iif(i < 20000, i, (i % 2000 + 1) * (i % 2000 + 1) % 19997) * 1000003, 'ok', 200, "
              "5010 FROM n");
    struct json_object *r = report();
    ck_assert_int_eq(number_at(r, "/arms/0/units"), 20000);
    double real = 40000.0 * 40000 / (18000 + 2000 * 11 * 11);
    ck_assert_double_eq_tol(json_object_get_double(at(r, "/arms/0/effective_units")), real,
                            real / 10);
    json_object_put(r);
}
END_TEST

/* Of a time when any number was taken. */
START_TEST(a_value_beyond_all_bounds)
{
    world_sql(db, "UPDATE feedback SET value = 1e200 WHERE request_id = (SELECT min(request_id)"
                  " FROM feedback)");
    struct json_object *r = report();
    ck_assert_ptr_null(at(r, "/comparisons/4/better"));
    ck_assert_str_eq(json_object_get_string(at(r, "/comparisons/4/metric")), "quality");
    ck_assert_ptr_nonnull(
        strstr(json_object_get_string(at(r, "/verdict/text")), "quality (not known)"));
    json_object_put(r);
}
END_TEST

START_TEST(unknown)
{
    struct json_object *r = NULL;
    struct fail why = {0};
    ck_assert_int_eq(experiment_report(db, "y", &r, &why), -1);
    ck_assert_int_eq(why.code, ERR_not_found);
}
END_TEST

START_TEST(guards)
{
    char reason[REPORT_REASON_MAX] = "";
    ck_assert_int_eq(experiment_report_guard(db, "x", reason, NULL), 1);
    ck_assert_msg(strstr(reason, "guardrail: cost of arm b is 1.") != NULL, "%s", reason);
    world_sql(db, "DELETE FROM feedback");
    world_sql(db, "UPDATE request SET arm = 'a'");
    ck_assert_int_eq(experiment_report_guard(db, "x", reason, NULL), 0);
}
END_TEST

START_TEST(guards_what_is_given_up_on)
{
    char reason[REPORT_REASON_MAX] = "";
    world_sql(db,
              "INSERT INTO experiment SELECT 2, 'y', model, 'other', slot_from, slot_to, 'pepper',"
              " unit, ramp, metrics, '[{\"metric\":\"cancel_rate\",\"max\":0.5}]',"
              " created_ms, NULL, NULL FROM experiment");
    world_sql(db, "INSERT INTO arm SELECT 2, position, name, weight, shadow, prefs FROM arm");
    world_sql(db, "UPDATE request SET experiment = 'y'");
    ck_assert_int_eq(experiment_report_guard(db, "y", reason, NULL), 0);
    world_sql(db, "UPDATE request SET status = 'canceled' WHERE arm = 'b' AND status = 'ok'");
    ck_assert_int_eq(experiment_report_guard(db, "y", reason, NULL), 1);
    ck_assert_str_eq(reason, "guardrail: cancel_rate of arm b is 0.9 of the requests, above 0.5"
                             " beyond doubt");
}
END_TEST

START_TEST(forecast)
{
    struct json_object *d =
        json_tokener_parse("{\"model\": \"m\", \"share\": 50, \"ramp\": 100, \"arms\": [{\"name\": "
                           "\"a\", \"weight\": 1},"
                           " {\"name\": \"b\", \"weight\": 1}], \"metrics\": []}");
    ck_assert_int_eq(experiment_report_forecast(db, d, 5000 + 86400000, NULL), 0);
    ck_assert_double_eq_tol(json_object_get_double(at(d, "/forecast/requests_per_day")), 400, 1);
    ck_assert_double_eq_tol(json_object_get_double(at(d, "/forecast/variation")), 0.43, 0.1);
    double day = json_object_get_double(at(d, "/forecast/detectable/0/cost_difference"));
    double month = json_object_get_double(at(d, "/forecast/detectable/2/cost_difference"));
    ck_assert(day > month && month > 0 && day < 1);
    json_object_put(d);
    d = json_tokener_parse("{\"model\": \"none\", \"share\": 100, \"ramp\": 100, \"arms\": [],"
                           " \"metrics\": []}");
    ck_assert_int_eq(experiment_report_forecast(db, d, 5000 + 86400000, NULL), 0);
    ck_assert_ptr_null(at(d, "/forecast/variation"));
    json_object_put(d);
}
END_TEST

/* One in a hundred at most from the truth, at any size. */
START_TEST(percentiles)
{
    static struct sums_spread s;
    ck_assert_int_eq(sums_spread_at(&s, 50), -1);
    for (int64_t ms = 0; ms < 10000000; ms = ms * 103 / 100 + 1) {
        memset(&s, 0, sizeof(s));
        sums_spread_add(&s, ms);
        int64_t got = sums_spread_at(&s, 50);
        ck_assert_msg(llabs(got - ms) * 100 <= ms, "%lld: %lld", (long long)ms, (long long)got);
    }
    memset(&s, 0, sizeof(s));
    for (int64_t ms = 1; ms <= 100; ms++)
        sums_spread_add(&s, ms);
    ck_assert_int_eq(sums_spread_at(&s, 50), 50);
    ck_assert_int_eq(sums_spread_at(&s, 95), 95);
    sums_spread_add(&s, INT64_MAX);
    sums_spread_add(&s, -5);
}
END_TEST

Suite *experiment_report_db_suite(void);
Suite *experiment_report_db_suite(void)
{
    Suite *s = suite_create("experiment_report_db");
    TCase *t = tcase_create("experiment_report_db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, figures_of_the_arms);
    tcase_add_test(t, costs_are_the_ledgers);
    tcase_add_test(t, corrections_count);
    tcase_add_test(t, what_runs_is_left_out);
    tcase_add_test(t, what_clients_give_up_on);
    tcase_add_test(t, what_names_no_unit);
    tcase_add_test(t, units_by_weight);
    tcase_add_test(t, units_that_share_cells);
    tcase_add_test(t, a_value_beyond_all_bounds);
    tcase_add_test(t, unknown);
    tcase_add_test(t, guards);
    tcase_add_test(t, guards_what_is_given_up_on);
    tcase_add_test(t, forecast);
    tcase_add_test(t, percentiles);
    suite_add_tcase(s, t);
    return s;
}
