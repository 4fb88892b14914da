/* Unit tests of the admin side of teams and keys: router/{args,budget_db,team_db,key_db}.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/budget_db.h"
#include "router/identity.h"
#include "router/identity_db.h"
#include "router/limits_db.h"

typedef int op_fn(struct db *, struct json_object *, int64_t, struct json_object **, struct fail *);

static struct db *db;

static struct json_object *call(op_fn *op, const char *args)
{
    struct fail fail = {0};
    struct json_object *in = json_tokener_parse(args), *out = NULL;
    ck_assert_msg(op(db, in, identity_now_ms(), &out, &fail) == 0, "%s: %s", args, fail.text);
    json_object_put(in);
    return out;
}

static void set_up(void)
{
    struct fail fail = {0};
    db = db_open(":memory:", DB_OWN, &fail);
    ck_assert_msg(db != NULL, "%s", fail.text);
    json_object_put(call(team_db_create, "{\"name\": \"search\"}"));
}

static void tear_down(void)
{
    db_close(db);
}

static const char *text(struct json_object *o, const char *member)
{
    struct json_object *v = NULL;
    ck_assert_msg(json_object_object_get_ex(o, member, &v), "no member %s", member);
    return v != NULL ? json_object_get_string(v) : NULL;
}

static const char *plain(struct json_object *o, const char *member)
{
    struct json_object *v = NULL;
    ck_assert_msg(json_object_object_get_ex(o, member, &v), "no member %s", member);
    return json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN);
}

/* ---- what is refused, and the field it is blamed on ---- */

static const struct {
    op_fn *op;
    const char *args;
    enum err code;
    const char *field;
} refused[] = {
    {team_db_create, "{}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": null}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": 5}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"a/b\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"-x\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \".\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"..\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"x \"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"a\\nb\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"a\\u0000b\"}", ERR_bad_request, "name"},
    {team_db_create,
     "{\"name\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
     ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"search\"}", ERR_bad_request, "name"},
    {team_db_create, "{\"name\": \"b\", \"color\": 1}", ERR_bad_request, "color"},
    {team_db_create, "{\"name\": \"b\", \"budget\": \"1\"}", ERR_bad_request, "window"},
    {team_db_create, "{\"name\": \"b\", \"window\": \"day\"}", ERR_bad_request, "budget"},
    {team_db_create, "{\"name\": \"b\", \"budget\": 1, \"window\": \"day\"}", ERR_bad_request,
     "budget"},
    {team_db_create, "{\"name\": \"b\", \"budget\": \"-1\", \"window\": \"day\"}", ERR_bad_request,
     "budget"},
    {team_db_create, "{\"name\": \"b\", \"budget\": \"1e3\", \"window\": \"day\"}", ERR_bad_request,
     "budget"},
    {team_db_create, "{\"name\": \"b\", \"budget\": \"0.0000000001\", \"window\": \"day\"}",
     ERR_bad_request, "budget"},
    {team_db_create, "{\"name\": \"b\", \"budget\": \"99999999999\", \"window\": \"day\"}",
     ERR_bad_request, "budget"},
    {team_db_create, "{\"name\": \"b\", \"budget\": \"1\", \"window\": \"year\"}", ERR_bad_request,
     "window"},
    {team_db_create, "{\"name\": \"b\", \"budget\": [\"1\"], \"window\": [\"day\", \"week\"]}",
     ERR_bad_request, "window"},
    {team_db_create,
     "{\"name\": \"b\", \"budget\": [\"1\", \"2\"], \"window\": [\"day\", \"day\"]}",
     ERR_bad_request, "window"},
    {team_db_create, "{\"name\": \"b\", \"timezone\": \"Mars/Olympus\"}", ERR_bad_request, ""},
    {team_db_create, "{\"name\": \"b\", \"timezone\": \"../../etc/passwd\"}", ERR_bad_request, ""},
    {team_db_set, "{\"name\": \"nobody\"}", ERR_not_found, "name"},
    {team_db_list, "{\"x\": 1}", ERR_bad_request, "x"},
    {key_db_create, "{}", ERR_bad_request, "team"},
    {key_db_create, "{\"team\": \"nobody\"}", ERR_not_found, "team"},
    {key_db_create, "{\"team\": \"search\", \"rpm\": -1}", ERR_bad_request, "rpm"},
    {key_db_create, "{\"team\": \"search\", \"rpm\": \"5\"}", ERR_bad_request, "rpm"},
    {key_db_create, "{\"team\": \"search\", \"zdr\": 1}", ERR_bad_request, "zdr"},
    {key_db_create, "{\"team\": \"search\", \"zdr\": null}", ERR_bad_request, "zdr"},
    {key_db_create, "{\"team\": \"search\", \"models\": 1}", ERR_bad_request, "models"},
    {key_db_create, "{\"team\": \"search\", \"models\": [1]}", ERR_bad_request, "models"},
    {key_db_create, "{\"team\": \"search\", \"models\": []}", ERR_bad_request, "models"},
    {key_db_create, "{\"team\": \"search\", \"models\": \"\"}", ERR_bad_request, "models"},
    {key_db_create, "{\"team\": \"search\", \"providers_ignore\": []}", ERR_bad_request,
     "providers_ignore"},
    {key_db_create, "{\"team\": \"search\", \"models\": \"a,,b\"}", ERR_bad_request, "models"},
    {key_db_create, "{\"team\": \"search\", \"expires\": \"soon\"}", ERR_bad_request, "expires"},
    {key_db_create, "{\"team\": \"search\", \"expires\": \"2020-01-01\"}", ERR_bad_request,
     "expires"},
    {key_db_create, "{\"team\": \"search\", \"name\": null}", ERR_bad_request, "name"},
    {key_db_create, "{\"team\": \"search\", \"preset\": \"[]\"}", ERR_bad_request, "preset"},
    {key_db_create, "{\"team\": \"search\", \"preset\": {\"temperature\": 1}}", ERR_bad_request,
     "preset"},
    {key_db_create,
     "{\"team\": \"search\", \"preset\": {\"provider_configs\": {\"x\": {\"api_key\": \"k\"}}}}",
     ERR_bad_request, "provider_configs"},
    {key_db_create, "{\"team\": \"search\", \"preset\": \"{}\\u0000{\"}", ERR_bad_request, ""},
    {key_db_create, "{\"team\": \"search\", \"preset\": {\"models\": [\"a\"]}}", ERR_bad_request,
     "preset"},
    {key_db_create, "{\"team\": \"search\", \"preset\": {\"provider_sort\": \"cheap\"}}",
     ERR_bad_request, "provider_sort"},
    {key_db_set, "{\"id\": \"key_00\"}", ERR_not_found, "id"},
    {key_db_revoke, "{\"id\": \"key_00\"}", ERR_not_found, "id"},
    {key_db_rotate, "{\"id\": \"key_00\"}", ERR_not_found, "id"},
    {key_db_list, "{\"team\": \"nobody\"}", ERR_not_found, "team"},
};

START_TEST(refuses)
{
    struct fail fail = {0};
    struct json_object *in = json_tokener_parse(refused[_i].args), *out = NULL;
    ck_assert_ptr_nonnull(in);
    ck_assert_int_eq(refused[_i].op(db, in, identity_now_ms(), &out, &fail), -1);
    ck_assert_ptr_null(out);
    ck_assert_msg(fail.code == refused[_i].code, "%s: %s", refused[_i].args, fail.text);
    if (refused[_i].field[0] != '\0')
        ck_assert_str_eq(fail.field, refused[_i].field);
    ck_assert(fail.text[0] != '\0');
    json_object_put(in);
}
END_TEST

/* ---- teams ---- */

START_TEST(team_with_budgets)
{
    struct json_object *t =
        call(team_db_create, "{\"name\": \"b\\u00e9ta 2\", \"budget\": [\"100\", \"0.000000001\"],"
                             " \"window\": [\"month\", \"day\"], \"timezone\": \"Europe/Berlin\"}");
    ck_assert_str_eq(text(t, "timezone"), "Europe/Berlin");
    ck_assert_str_eq(plain(t, "budgets"), "[{\"window\":\"day\",\"cap_usd\":\"0.000000001\"},"
                                          "{\"window\":\"month\",\"cap_usd\":\"100\"}]");
    json_object_put(t);

    t = call(team_db_set, "{\"name\": \"b\\u00e9ta 2\", \"budget\": [null, \"7\", \"50\"],"
                          " \"window\": [\"day\", \"total\", \"month\"], \"timezone\": null}");
    ck_assert_str_eq(text(t, "timezone"), "UTC");
    ck_assert_str_eq(plain(t, "budgets"), "[{\"window\":\"month\",\"cap_usd\":\"50\"},"
                                          "{\"window\":\"total\",\"cap_usd\":\"7\"}]");
    json_object_put(t);
}
END_TEST

START_TEST(set_leaves_the_rest_alone)
{
    json_object_put(call(team_db_create,
                         "{\"name\": \"t\", \"budget\": \"3\", \"window\": \"week\","
                         " \"timezone\": \"Asia/Tokyo\"}"));
    struct json_object *t = call(team_db_set, "{\"name\": \"t\"}");
    ck_assert_str_eq(text(t, "timezone"), "Asia/Tokyo");
    ck_assert_str_eq(plain(t, "budgets"), "[{\"window\":\"week\",\"cap_usd\":\"3\"}]");
    json_object_put(t);
}
END_TEST

START_TEST(team_list_counts_keys_in_force)
{
    json_object_put(call(key_db_create, "{\"team\": \"search\"}"));
    struct json_object *k = call(key_db_create, "{\"team\": \"search\"}");
    char args[96];
    snprintf(args, sizeof(args), "{\"id\": \"%s\"}", text(k, "id"));
    json_object_put(k);
    json_object_put(call(key_db_revoke, args));
    struct json_object *list = call(team_db_list, "{}");
    struct json_object *row = json_object_array_get_idx(json_object_object_get(list, "data"), 0);
    ck_assert_str_eq(text(row, "keys"), "1");
    json_object_put(list);
}
END_TEST

/* ---- keys ---- */

START_TEST(key_is_shown_once_and_only_its_hash_is_kept)
{
    struct json_object *k = call(key_db_create, "{\"team\": \"search\", \"name\": \"ci\"}");
    ck_assert_uint_eq(strlen(text(k, "key")), KEY_TEXT_LEN);
    ck_assert_str_eq(text(k, "status"), "active");
    struct json_object *list = call(key_db_list, "{\"team\": \"search\"}");
    ck_assert_ptr_null(strstr(json_object_to_json_string(list), text(k, "key")));
    struct json_object *row = json_object_array_get_idx(json_object_object_get(list, "data"), 0);
    ck_assert(!json_object_object_get_ex(row, "key", NULL));
    ck_assert_str_eq(text(row, "name"), "ci");
    json_object_put(list);

    uint8_t hash[KEY_HASH_LEN];
    key_hash(span_of(text(k, "key")), hash);
    struct sqlite3_stmt *s = db_stmt(db, "SELECT hash FROM api_key");
    size_t n = 0;
    ck_assert_int_eq(db_step(db, s, NULL), 1);
    const void *stored = db_col_blob(s, 0, &n);
    ck_assert_uint_eq(n, KEY_HASH_LEN);
    ck_assert_mem_eq(stored, hash, KEY_HASH_LEN);
    ck_assert_int_eq(db_step(db, s, NULL), 0);
    json_object_put(k);
}
END_TEST

START_TEST(key_set_changes_and_clears)
{
    struct json_object *k =
        call(key_db_create, "{\"team\": \"search\", \"models\": [\"a\"], \"rpm\": 5, \"zdr\": true,"
                            " \"expires\": \"2100-01-01\", \"budget\": \"1\", \"window\": \"day\","
                            " \"preset\": {\"provider_sort\": \"price\"}}");
    char args[512];
    ck_assert_str_eq(plain(k, "preset"), "{\"provider_sort\":\"price\"}");
    snprintf(args, sizeof(args),
             "{\"id\": \"%s\", \"models\": null, \"rpm\": null, \"zdr\": false, \"expires\": null,"
             " \"budget\": null, \"window\": \"day\", \"preset\": null, \"tpm\": 9}",
             text(k, "id"));
    json_object_put(k);
    k = call(key_db_set, args);
    ck_assert_ptr_null(text(k, "models"));
    ck_assert_ptr_null(text(k, "expires_at"));
    ck_assert_ptr_null(text(k, "preset"));
    ck_assert_str_eq(text(k, "zdr"), "false");
    ck_assert_str_eq(plain(k, "budgets"), "[]");
    ck_assert_str_eq(plain(k, "rate"), "{\"rpm\":null,\"tpm\":9,\"concurrency\":null}");
    json_object_put(k);
}
END_TEST

static const char *const bad_graces[] = {"1", "h", "24", "24H", "24hh", "-1h", "1.5h", "366d", ""};

START_TEST(grace_is_a_time)
{
    struct json_object *k = call(key_db_create, "{\"team\": \"search\"}"), *out = NULL;
    struct json_object *args = json_object_new_object();
    struct fail fail = {0};
    json_object_object_add(args, "id", json_object_new_string(text(k, "id")));
    json_object_object_add(args, "grace", json_object_new_string(bad_graces[_i]));
    ck_assert_int_eq(key_db_rotate(db, args, identity_now_ms(), &out, &fail), -1);
    ck_assert_str_eq(fail.field, "grace");
    json_object_put(args);
    json_object_put(k);
}
END_TEST

START_TEST(a_revoked_key_cannot_be_rotated)
{
    struct json_object *k = call(key_db_create, "{\"team\": \"search\"}"), *out = NULL;
    struct fail fail = {0};
    char args[96];
    snprintf(args, sizeof(args), "{\"id\": \"%s\"}", text(k, "id"));
    json_object_put(k);
    struct json_object *first = call(key_db_revoke, args), *again = call(key_db_revoke, args);
    ck_assert_str_eq(text(first, "revoked_at"), text(again, "revoked_at"));
    json_object_put(first);
    json_object_put(again);
    struct json_object *in = json_tokener_parse(args);
    ck_assert_int_eq(key_db_rotate(db, in, identity_now_ms(), &out, &fail), -1);
    json_object_put(in);
}
END_TEST

/* ---- GET /v1/key ---- */

static void insert_account(const char *scope, const char *window, int64_t start_ms, int64_t end_ms)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO account(scope, owner_id, window, start_ms, end_ms, cap_nusd,"
                    " pending_nusd, posted_nusd) VALUES (?1, 1, ?2, ?3, ?4, NULL, 250000000, 1)");
    db_bind_text(s, 1, scope);
    db_bind_text(s, 2, window);
    db_bind_int(s, 3, start_ms);
    db_bind_int(s, 4, end_ms);
    ck_assert_int_eq(db_step(db, s, NULL), 0);
}

/* 2026-11-25T12:00Z; Berlin is at +01:00, so its day is [11-24T23:00Z, 11-25T23:00Z). */
START_TEST(show_tells_the_limits)
{
    const int64_t now_ms = INT64_C(1795608000000);
    struct fail fail = {0};
    struct json_object *key = NULL;
    json_object_put(call(team_db_set, "{\"name\": \"search\", \"timezone\": \"Europe/Berlin\","
                                      " \"budget\": \"0.1\", \"window\": \"total\"}"));
    json_object_put(call(key_db_create, "{\"team\": \"search\", \"name\": \"ci\", \"budget\":"
                                        " [\"1\", \"5\"], \"window\": [\"day\", \"month\"]}"));
    insert_account("key", "day", INT64_C(1795561200000), INT64_C(1795647600000));
    insert_account("key", "day", INT64_C(1795474800000), INT64_C(1795561200000)); /* yesterday's */
    insert_account("team", "total", 0, INT64_MAX);
    ck_assert_msg(key_db_show(db, 1, now_ms, &key, &fail) == 0, "%s", fail.text);
    ck_assert_str_eq(
        plain(key, "limits"),
        "[{\"scope\":\"key\",\"window\":\"day\",\"cap_usd\":\"1\",\"spent_usd\":\"0.000000001\","
        "\"held_usd\":\"0.25\",\"remaining_usd\":\"0.749999999\","
        "\"resets_at\":\"2026-11-25T23:00:00.000Z\"},"
        "{\"scope\":\"key\",\"window\":\"month\",\"cap_usd\":\"5\",\"spent_usd\":\"0\","
        "\"held_usd\":\"0\",\"remaining_usd\":\"5\","
        "\"resets_at\":\"2026-11-30T23:00:00.000Z\"},"
        "{\"scope\":\"team\",\"window\":\"total\",\"cap_usd\":\"0.1\","
        "\"spent_usd\":\"0.000000001\",\"held_usd\":\"0.25\",\"remaining_usd\":\"0\","
        "\"resets_at\":null}]");
    ck_assert_str_eq(text(key, "team"), "search");
    json_object_put(key);
    ck_assert_int_eq(key_db_show(db, 77, now_ms, &key, &fail), -1);
    ck_assert_int_eq(fail.code, ERR_not_found);
}
END_TEST

static struct json_object *limit(struct json_object *key, size_t i)
{
    return json_object_array_get_idx(json_object_object_get(key, "limits"), i);
}

/* 2026-11-25T12:00Z is in the 25th of Tokyo ([11-24T15:00Z, 11-25T15:00Z)) and of UTC. What was
 * held in Tokyo's day counts to its end. */
START_TEST(show_counts_an_earlier_zones_window)
{
    const int64_t now_ms = INT64_C(1795608000000), tokyo_ms = INT64_C(1795532400000);
    struct json_object *key = NULL;
    json_object_put(call(key_db_create, "{\"team\": \"search\", \"name\": \"ci\", \"budget\":"
                                        " \"1\", \"window\": \"day\"}"));
    insert_account("key", "day", tokyo_ms, tokyo_ms + 86400000);
    ck_assert_int_eq(key_db_show(db, 1, now_ms, &key, NULL), 0);
    ck_assert_str_eq(text(limit(key, 0), "remaining_usd"), "0.749999999");
    ck_assert_str_eq(text(limit(key, 0), "resets_at"), "2026-11-25T15:00:00.000Z");
    json_object_put(key);
    ck_assert_int_eq(key_db_show(db, 1, tokyo_ms + 86400000, &key, NULL), 0);
    ck_assert_str_eq(text(limit(key, 0), "remaining_usd"), "1");
    ck_assert_str_eq(text(limit(key, 0), "resets_at"), "2026-11-26T00:00:00.000Z");
    json_object_put(key);
}
END_TEST

/* In a list the team's are read once for all its keys. */
START_TEST(lists_tell_the_limits)
{
    struct fail fail;
    insert_account("team", "total", 0, INT64_MAX);
    struct json_object *t =
        call(team_db_set, "{\"name\": \"search\", \"budget\": \"5\", \"window\": \"total\"}");
    ck_assert_ptr_null(json_object_object_get(t, "limits")); /* much to read: after the commit */
    ck_assert_int_eq(limits_db_add_team(db, t, 1, NULL), 0);
    ck_assert_str_eq(text(limit(t, 0), "scope"), "team");
    ck_assert_str_eq(text(limit(t, 0), "held_usd"), "0.25");
    ck_assert_str_eq(text(limit(t, 0), "remaining_usd"), "4.749999999");
    json_object_put(t);
    json_object_put(call(team_db_create, "{\"name\": \"later\"}"));
    static const char *const creates[] = {
        "{\"team\": \"search\", \"budget\": \"1\", \"window\": \"day\"}", "{\"team\": \"search\"}",
        "{\"team\": \"later\"}"};
    for (int i = 0; i < 3; i++) {
        struct json_object *k = call(key_db_create, creates[i]);
        ck_assert_int_eq(limits_db_add_key(db, k, 1, NULL), 0);
        ck_assert_uint_eq(json_object_array_length(json_object_object_get(k, "limits")),
                          2 - (unsigned)i);
        json_object_put(k);
    }
    struct json_object *in = json_object_new_object(), *list = NULL;
    ck_assert_msg(key_db_list(db, in, 1, &list, &fail) == 0, "%s", fail.text);
    struct json_object *rows = json_object_object_get(list, "data");
    ck_assert_str_eq(plain(json_object_array_get_idx(rows, 0), "limits"), "[]");
    ck_assert_str_eq(text(limit(json_object_array_get_idx(rows, 1), 0), "scope"), "key");
    ck_assert_str_eq(text(limit(json_object_array_get_idx(rows, 1), 1), "held_usd"), "0.25");
    ck_assert_str_eq(text(limit(json_object_array_get_idx(rows, 2), 0), "scope"), "team");
    json_object_put(list);
    json_object_put(in);
}
END_TEST

/* A zone that is gone from the system counts as UTC, as in the ledger. */
START_TEST(show_without_the_zone)
{
    struct json_object *key = NULL;
    json_object_put(
        call(key_db_create, "{\"team\": \"search\", \"budget\": \"1\", \"window\": \"day\"}"));
    ck_assert_int_eq(db_step(db, db_stmt(db, "UPDATE team SET timezone = 'Mars/Olympus'"), NULL),
                     0);
    ck_assert_int_eq(key_db_show(db, 1, INT64_C(1795608000000), &key, NULL), 0);
    ck_assert_str_eq(text(limit(key, 0), "resets_at"), "2026-11-26T00:00:00.000Z");
    json_object_put(key);
}
END_TEST

Suite *identity_db_suite(void);

Suite *identity_db_suite(void)
{
    Suite *s = suite_create("identity_db");
    TCase *t = tcase_create("identity_db");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, refuses, 0, (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(t, team_with_budgets);
    tcase_add_test(t, set_leaves_the_rest_alone);
    tcase_add_test(t, team_list_counts_keys_in_force);
    tcase_add_test(t, key_is_shown_once_and_only_its_hash_is_kept);
    tcase_add_test(t, key_set_changes_and_clears);
    tcase_add_loop_test(t, grace_is_a_time, 0, (int)(sizeof(bad_graces) / sizeof(bad_graces[0])));
    tcase_add_test(t, a_revoked_key_cannot_be_rotated);
    tcase_add_test(t, show_tells_the_limits);
    tcase_add_test(t, show_counts_an_earlier_zones_window);
    tcase_add_test(t, lists_tell_the_limits);
    tcase_add_test(t, show_without_the_zone);
    suite_add_tcase(s, t);
    return s;
}
