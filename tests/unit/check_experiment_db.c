/* Unit tests of router/experiment_db.c: rooms in a layer, what is kept, what goes with a request.
 * Feedback through the API: tests/itest/experiments.py. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "plan_world.h"
#include "router/experiment_db.h"

static struct world world;
static struct db *db;

static void set_up(void)
{
    struct fail f = {0};
    world = world_from_text("provider acme\n"
                            "model acme/large alias=large\n"
                            "endpoint acme prompt=1 completion=2\n");
    db = db_open(":memory:", DB_OWN, &f);
    ck_assert_msg(db != NULL, "%s", f.text);
}

static void tear_down(void)
{
    db_close(db);
    plan_world_end(&world);
}

/* *ret: where its slots begin, or -1 with f. */
static int create(const char *name, const char *more, struct fail *f)
{
    char json[512];
    int share;
    struct experiment *e = calloc(1, sizeof(*e));
    snprintf(json, sizeof(json),
             "{\"name\":\"%s\",\"model\":\"large\",\"arms\":[{\"name\":\"a\"},{\"name\":\"b\","
             "\"prefs\":{\"provider_sort\":\"price\",\"model\":\"large\"}}]%s}",
             name, more);
    struct json_object *args = json_tokener_parse(json);
    ck_assert_msg(experiment_read(args, e, &share, f) == 0, "%s", f->text);
    int rc = experiment_db_create(db, world.catalog, e, share, 1000, f);
    int at = rc == 0 ? e->slot_from : -1;
    json_object_put(args);
    experiment_done(e);
    free(e);
    return at;
}

START_TEST(finds_room_in_a_layer)
{
    struct fail f = {0};
    ck_assert_int_eq(create("one", ",\"share\":30", &f), 0);
    ck_assert_int_eq(create("two", ",\"share\":30", &f), 3000);
    ck_assert_int_eq(create("three", ",\"share\":40", &f), 6000);
    ck_assert_int_eq(create("four", ",\"share\":\"0.01\"", &f), -1);
    ck_assert_str_eq(f.field, "share");
    ck_assert_int_eq(experiment_db_stop(db, "two", "tried", 2000, &f), 0);
    ck_assert_int_eq(create("five", ",\"share\":\"30.01\"", &f), -1);
    ck_assert_msg(strstr(f.text, "has 30 per cent free in a row, 30.01 are asked for") != NULL,
                  "%s", f.text);
    ck_assert_int_eq(create("six", ",\"share\":10", &f), 3000);
    ck_assert_int_eq(create("seven", ",\"share\":20", &f), 4000);
    ck_assert_int_eq(create("two", ",\"share\":20", &f), -1);
    ck_assert_str_eq(f.field, "name");
}
END_TEST

START_TEST(runs_so_many)
{
    struct fail f = {0};
    char name[16];
    for (int i = 0; i < EXPERIMENT_RUNNING_MAX; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        ck_assert_int_eq(create(name, ",\"share\":\"0.5\"", &f), 50 * i);
    }
    ck_assert_int_eq(create("more", ",\"share\":\"0.5\"", &f), -1);
    ck_assert_str_eq(f.text, "100 experiments run already: stop one");
}
END_TEST

START_TEST(loads_what_runs)
{
    struct fail f = {0};
    struct experiments *x = (struct experiments *)&f;
    ck_assert_int_eq(experiments_db_load(db, &x, &f), 0);
    ck_assert_ptr_null(x);
    create("one", ",\"share\":30,\"unit\":\"session\",\"ramp\":\"12.5\"", &f);
    create("two", ",\"share\":30,\"unit\":\"session\"", &f);
    ck_assert_int_eq(experiment_db_stop(db, "two", "tried", 2000, &f), 0);
    ck_assert_int_eq(experiment_db_set_ramp(db, "one", 5000, &f), 0);
    ck_assert_int_eq(experiments_db_load(db, &x, &f), 0);
    ck_assert_int_eq(x->n, 1);
    const struct experiment *e = x->rows[0];
    ck_assert_str_eq(e->name, "one");
    ck_assert_str_eq(e->layer, "acme/large");
    ck_assert(strlen(e->salt) == 32 && e->unit == UNIT_SESSION && e->ramp == 5000);
    ck_assert(e->slot_from == 0 && e->slot_to == 3000 && e->n_arms == 2);
    ck_assert(e->arms[1].has_model && e->arms[1].prefs.sort == SORT_price);
    ck_assert_int_eq(e->arms[1].weight, 1);
    experiments_unref(x);
}
END_TEST

static int64_t ask(const char *sql)
{
    sqlite3_stmt *s;
    ck_assert_int_eq(sqlite3_prepare_v2(db_handle(db), sql, -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static void run(const char *sql)
{
    char *why = NULL;
    ck_assert_msg(sqlite3_exec(db_handle(db), sql, NULL, NULL, &why) == SQLITE_OK, "%s", why);
}

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    return json_object_object_get_ex(o, name, &v) ? json_object_get_string(v) : NULL;
}

/* Stored by a program that knows more: it is loaded for its slots, and by its name it is said what
 * it is; memory that is short is an error, as ever. */
START_TEST(what_cannot_be_read)
{
    static const struct {
        const char *change, *why;
    } rows[] = {
        {"UPDATE arm SET prefs = '{\"provider_new\":1}' WHERE name = 'b'", "arm b: "},
        {"UPDATE arm SET prefs = '{' WHERE name = 'a'", "arm a: "},
        {"UPDATE experiment SET unit = 'planet'", "unit: there is none of the name planet"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fail f = {0};
        struct experiments *x;
        struct json_object *o;
        tear_down();
        set_up();
        create("one", ",\"share\":30", &f);
        run("DROP TRIGGER arm_keeps; DROP TRIGGER experiment_facts;"
            " PRAGMA ignore_check_constraints = 1");
        run(rows[i].change);
        ck_assert_int_eq(experiments_db_load(db, &x, &f), 0);
        ck_assert_int_eq(x->n, 1);
        ck_assert_msg(strncmp(x->rows[0]->unreadable, rows[i].why, strlen(rows[i].why)) == 0, "%s",
                      x->rows[0]->unreadable);
        ck_assert_int_eq(experiment_db_get(db, "one", &o, &f), 0);
        ck_assert_str_eq(text_of(o, "status"), "unreadable");
        ck_assert_str_eq(text_of(o, "stop_reason"), x->rows[0]->unreadable);
        json_object_put(o);
        ck_assert_int_eq(experiment_db_stop(db, "one", "enough", 2000, &f), 0);
        ck_assert_int_eq(experiment_db_get(db, "one", &o, &f), 0);
        ck_assert_str_eq(text_of(o, "status"), "stopped");
        ck_assert_str_eq(text_of(o, "stop_reason"), "enough");
        json_object_put(o);
        experiments_unref(x);
    }
}
END_TEST

START_TEST(feedback_goes_with_its_generation)
{
    struct fail f = {0};
    struct id id;
    memset(&id, 0x11, sizeof(id));
    create("one", ",\"metrics\":\"liked:higher\"", &f);
    run("INSERT INTO team(id, name, timezone, created_ms) VALUES (1, 't', 'UTC', 0);"
        "INSERT INTO api_key(id, public_id, hash, name, team_id, created_ms)"
        " VALUES (1, 'key_1', zeroblob(32), 'k', 1, 0);"
        "INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door,"
        " experiment, arm, unit) VALUES (x'11111111111111111111111111111111', 0, 1, 1, 0, 'large',"
        " 'messages', 'one', 'a', 5)");
    ck_assert_int_eq(feedback_db_put(db, &id, 1, "liked", 0.5, 10, &f), 0);
    ck_assert_int_eq(feedback_db_put(db, &id, 1, "liked", 2.5, 20, &f), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM feedback WHERE value = 2.5 AND at_ms = 20"), 1);
    ck_assert_int_eq(feedback_db_put(db, &id, 2, "liked", 1, 10, &f), -1);
    ck_assert_int_eq(f.code, ERR_not_found);
    run("DELETE FROM request");
    ck_assert_int_eq(ask("SELECT count(*) FROM feedback"), 0);
}
END_TEST

Suite *experiment_db_suite(void);
Suite *experiment_db_suite(void)
{
    Suite *s = suite_create("experiment_db");
    TCase *t = tcase_create("experiment_db");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, finds_room_in_a_layer);
    tcase_add_test(t, runs_so_many);
    tcase_add_test(t, loads_what_runs);
    tcase_add_test(t, what_cannot_be_read);
    tcase_add_test(t, feedback_goes_with_its_generation);
    suite_add_tcase(s, t);
    return s;
}
