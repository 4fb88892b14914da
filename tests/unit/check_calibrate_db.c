/* What was learned comes back from the attempts of the database. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "router/calibrate_db.h"
#include "tests/unit/ledger_world.h"

Suite *calibrate_db_suite(void);

/* Attempts x of model 'm', estimated at 1,000 tokens and found to have 1,564; of those that say
 * nothing the figures are wild. */
#define REQUESTS                                                                                   \
    "WITH RECURSIVE i(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM i WHERE x < 400)"               \
    " INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door)"         \
    " SELECT CAST(printf('%016d', x) AS BLOB), 1, 1, 1, 0, 'm', 'messages' FROM i"

static const char ATTEMPTS[] =
    "WITH RECURSIVE i(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM i WHERE x < 400)"
    " INSERT INTO attempt(id, request_id, n, team_id, key_id, boot_id, state, admitted_ms,"
    " endpoint_id, price_version, model, provider, upstream_model, cancel_stops_billing,"
    " prompt_estimate_tok, prompt_estimate_nusd, n_images, hold_nusd, sent_ms, prompt_class,"
    " input_tok, cache_read_tok, output_tok, usage_source, cost_pusd, charge_nusd, iterations)"
    " SELECT CAST(printf('%016d', x) AS BLOB), CAST(printf('%016d', x) AS BLOB), 1, 1, 1,"
    " CAST(printf('%016d', 0) AS BLOB), 'SETTLED', 1, 1, 1, 'm', 'p', 'u', 1, 1000, 0, 0, 0, 1,"
    " CASE WHEN x % 5 = 1 THEN NULL ELSE 0 END,"
    " CASE WHEN x % 5 < 3 THEN 900000 ELSE 1000 END, 564,"
    " CASE WHEN x % 5 < 2 THEN 90000 ELSE 700 END,"
    " CASE WHEN x % 5 = 0 THEN 'partial' ELSE 'final' END, 0, 0,"
    " CASE WHEN x % 5 = 2 THEN '[{}]' END FROM i";

START_TEST(comes_back)
{
    struct db *db = world_open(NULL);
    struct calibrate *c = calibrate_new();
    struct forecast *f = forecast_new();
    struct estimate_learned l;
    ck_assert_int_eq(calibrate_db_load(c, f, db, NULL), 0);
    calibrate_look(c, "m", &l);
    ck_assert_int_eq(l.ratio[ESTIMATE_CLASS_NARROW], 0);
    world_sql(db, REQUESTS);
    world_sql(db, ATTEMPTS);
    ck_assert_int_eq(calibrate_db_load(c, f, db, NULL), 0);
    calibrate_look(c, "m", &l);
    /* 160 of the 400: final, of a class, without inner calls; twice 1.5 and a bucket */
    ck_assert_int_ge(l.ratio[ESTIMATE_CLASS_NARROW], 3 * 1024);
    ck_assert_int_le(l.ratio[ESTIMATE_CLASS_NARROW], 3 * 1024 * 9 / 8 + 1);
    ck_assert_int_eq(l.ratio[ESTIMATE_CLASS_WIDE], 0);
    ck_assert(l.completion_tok >= 700 && l.completion_tok <= 788);
    /* what to expect: of this key, of rows that know no shape */
    struct estimate_expected e;
    const struct forecast_ask ask = {"m", 1, 0};
    forecast_look(f, &ask, &e);
    ck_assert_int_eq(e.ratio_from.by, ESTIMATE_BY_KEY);
    ck_assert(e.ratio >= 1564 * 1024 / 1000 && e.ratio <= 1564 * 1024 / 1000 + 1);
    ck_assert_int_eq(e.completion_tok, 700);
    calibrate_free(c);
    forecast_free(f);
    db_close(db);
}
END_TEST

/* The column holds the class and the shape; that of older rows, the class alone. */
START_TEST(one_column_holds_both)
{
    struct db *db = world_open(NULL);
    struct calibrate *c = calibrate_new();
    struct forecast *f = forecast_new();
    struct estimate_expected e;
    struct chat chat = {.max_tokens = 100, .prompt_bytes = 4000, .prompt_chars = 4000};
    char sql[2048];
    ck_assert_int_eq(calibrate_db_class(ESTIMATE_CLASS_WIDE, 0), ESTIMATE_CLASS_WIDE);
    const struct forecast_ask ask = {"m", 1, forecast_shape(&chat)};
    world_sql(db, REQUESTS);
    const char *class = strstr(ATTEMPTS, "0 END");
    snprintf(sql, sizeof(sql), "%.*s%d%s", (int)(class - ATTEMPTS), ATTEMPTS,
             calibrate_db_class(ESTIMATE_CLASS_NARROW, ask.shape), class + 1);
    world_sql(db, sql);
    ck_assert_int_eq(calibrate_db_load(c, f, db, NULL), 0);
    forecast_look(f, &ask, &e);
    ck_assert_int_eq(e.ratio_from.by, ESTIMATE_BY_KEY_SHAPE);
    ck_assert(e.ratio >= 1564 * 1024 / 1000 && e.ratio <= 1564 * 1024 / 1000 + 1);
    calibrate_free(c);
    forecast_free(f);
    db_close(db);
}
END_TEST

Suite *calibrate_db_suite(void)
{
    Suite *s = suite_create("calibrate_db");
    TCase *t = tcase_create("calibrate_db");
    tcase_add_test(t, comes_back);
    tcase_add_test(t, one_column_holds_both);
    suite_add_tcase(s, t);
    return s;
}
