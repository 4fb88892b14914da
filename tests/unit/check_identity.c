/* Unit tests of router/identity.c: the key's text and the snapshot. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "router/budget_db.h"
#include "router/identity.h"
#include "router/identity_db.h"

static struct db *db;

typedef int op_fn(struct db *, struct json_object *, int64_t, struct json_object **, struct fail *);

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

/* A key of team search; ret_id has room for KEY_ID_MAX. */
static void create_key(const char *more, char ret_key[KEY_TEXT_MAX], char *ret_id)
{
    char args[512];
    snprintf(args, sizeof(args), "{\"team\": \"search\"%s}", more);
    struct json_object *key = call(key_db_create, args);
    snprintf(ret_key, KEY_TEXT_MAX, "%s",
             json_object_get_string(json_object_object_get(key, "key")));
    snprintf(ret_id, KEY_ID_MAX, "%s", json_object_get_string(json_object_object_get(key, "id")));
    json_object_put(key);
}

static struct identity *load(void)
{
    struct fail fail = {0};
    struct identity *i = identity_load(db, &fail);
    ck_assert_msg(i != NULL, "%s", fail.text);
    return i;
}

static struct json_object *call_id(op_fn *op, const char *id, const char *more)
{
    char args[512];
    snprintf(args, sizeof(args), "{\"id\": \"%s\"%s}", id, more);
    return call(op, args);
}

START_TEST(keys_have_their_shape)
{
    char a[KEY_TEXT_MAX], b[KEY_TEXT_MAX], id[KEY_ID_MAX];
    uint8_t hash[KEY_HASH_LEN], again[KEY_HASH_LEN];
    ck_assert(key_make(a, hash));
    ck_assert(key_make(b, again));
    ck_assert_uint_eq(strlen(a), 46);
    ck_assert_int_eq(strncmp(a, "wf_", 3), 0);
    ck_assert(key_is_wellformed(span_of(a)));
    ck_assert_str_ne(a, b);
    key_hash(span_of(a), again);
    ck_assert_mem_eq(hash, again, KEY_HASH_LEN);
    ck_assert(key_make_public_id(id));
    ck_assert_uint_eq(strlen(id), 20);
}
END_TEST

/* FIPS 180-2, appendix B.1. */
START_TEST(hash_is_sha256)
{
    static const uint8_t abc[KEY_HASH_LEN] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                              0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                              0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                              0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t hash[KEY_HASH_LEN];
    key_hash(SPAN("abc"), hash);
    ck_assert_mem_eq(hash, abc, KEY_HASH_LEN);
}
END_TEST

static const char *const misshapen[] = {"",
                                        "wf_",
                                        "wf_short",
                                        "xf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "wf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "wf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "wf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
                                        "wf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA "};

START_TEST(misshapen_keys_are_not_keys)
{
    ck_assert(!key_is_wellformed(span_of(misshapen[_i])));
}
END_TEST

START_TEST(finds_a_key_with_its_settings)
{
    char text[KEY_TEXT_MAX], id[KEY_ID_MAX], other[KEY_TEXT_MAX];
    uint8_t ignored[KEY_HASH_LEN];
    create_key(", \"name\": \"ci\", \"models\": [\"a\", \"b\"], \"providers_ignore\": \"x,y\","
               " \"zdr\": true, \"rpm\": 5, \"tpm\": 6, \"concurrency\": 7,"
               " \"allow_provider_configs\": true",
               text, id);
    struct identity *i = load();
    const struct key_row *k = identity_find(i, span_of(text), 1000);
    ck_assert_ptr_nonnull(k);
    ck_assert_str_eq(k->public_id, id);
    ck_assert_str_eq(k->name, "ci");
    ck_assert_str_eq(k->team, "search");
    ck_assert_str_eq(k->policy.models[0], "a");
    ck_assert_str_eq(k->policy.models[1], "b");
    ck_assert_ptr_null(k->policy.models[2]);
    ck_assert_ptr_null(k->policy.only);
    ck_assert_str_eq(k->policy.ignore[1], "y");
    ck_assert(k->policy.zdr);
    ck_assert(k->allow_provider_configs);
    ck_assert_int_eq(k->rpm, 5);
    ck_assert_int_eq(k->tpm, 6);
    ck_assert_int_eq(k->concurrency, 7);
    ck_assert_ptr_null(k->preset);
    ck_assert_ptr_eq(identity_by_public_id(i, id), k);
    ck_assert_ptr_null(identity_by_public_id(i, "key_0000000000000000"));
    ck_assert(key_make(other, ignored));
    ck_assert_ptr_null(identity_find(i, span_of(other), 1000));
    text[10] = text[10] == 'A' ? 'B' : 'A';
    ck_assert_ptr_null(identity_find(i, span_of(text), 1000));
    identity_unref(i);
}
END_TEST

START_TEST(expiry_is_exact)
{
    char text[KEY_TEXT_MAX], id[KEY_ID_MAX];
    create_key(", \"expires\": \"2100-01-01\"", text, id);
    struct identity *i = load();
    ck_assert_ptr_nonnull(identity_find(i, span_of(text), INT64_C(4102444799999)));
    ck_assert_ptr_null(identity_find(i, span_of(text), INT64_C(4102444800000)));
    identity_unref(i);
}
END_TEST

static void expect_end(const struct identity *i, const char *text, int64_t now_ms,
                       const char *public_id, enum key_end expected)
{
    enum key_end end = KEY_IN_FORCE;
    const struct key_row *k = identity_find_any(i, span_of(text), now_ms, &end);
    ck_assert_ptr_nonnull(k);
    ck_assert_str_eq(k->public_id, public_id);
    ck_assert_int_eq(end, expected);
    ck_assert(identity_find(i, span_of(text), now_ms) == (end == KEY_IN_FORCE ? k : NULL));
}

/* Who has the secret may learn why it lets nobody in. */
START_TEST(how_a_key_ended_is_known)
{
    char text[3][KEY_TEXT_MAX], id[3][KEY_ID_MAX];
    create_key("", text[0], id[0]);
    create_key(", \"expires\": \"2100-01-01\"", text[1], id[1]);
    create_key("", text[2], id[2]);
    json_object_put(call_id(key_db_revoke, id[0], ""));
    json_object_put(call_id(key_db_rotate, id[2], ", \"grace\": \"1h\""));
    struct identity *i = load();
    expect_end(i, text[0], 1000, id[0], KEY_REVOKED);
    expect_end(i, text[1], INT64_C(4102444799999), id[1], KEY_IN_FORCE);
    expect_end(i, text[1], INT64_C(4102444800000), id[1], KEY_EXPIRED);
    expect_end(i, text[2], 1000, id[2], KEY_IN_FORCE);
    expect_end(i, text[2], INT64_MAX, id[2], KEY_REPLACED);
    identity_unref(i);
}
END_TEST

START_TEST(revoked_is_shown_but_not_found)
{
    char text[KEY_TEXT_MAX], id[KEY_ID_MAX];
    create_key("", text, id);
    int64_t before = identity_db_version(db);
    json_object_put(call_id(key_db_revoke, id, ""));
    ck_assert_int_gt(identity_db_version(db), before);
    struct identity *i = load();
    ck_assert_int_eq(i->version, identity_db_version(db));
    ck_assert_ptr_null(identity_find(i, span_of(text), 1000));
    ck_assert(identity_by_public_id(i, id)->revoked);
    identity_unref(i);
}
END_TEST

START_TEST(rotation_with_and_without_grace)
{
    char first[KEY_TEXT_MAX], second[KEY_TEXT_MAX], id[KEY_ID_MAX];
    create_key("", first, id);
    struct json_object *rotated = call_id(key_db_rotate, id, ", \"grace\": \"1h\"");
    snprintf(second, sizeof(second), "%s",
             json_object_get_string(json_object_object_get(rotated, "key")));
    json_object_put(rotated);
    struct identity *i = load();
    const struct key_row *k = identity_find(i, span_of(second), 1000);
    ck_assert_ptr_nonnull(k);
    ck_assert_ptr_eq(identity_find(i, span_of(first), 1000), k);
    ck_assert_ptr_null(identity_find(i, span_of(first), INT64_MAX)); /* the grace is over */
    ck_assert_ptr_eq(identity_find(i, span_of(second), INT64_MAX), k);
    identity_unref(i);

    json_object_put(call_id(key_db_rotate, id, ""));
    i = load();
    ck_assert_ptr_null(identity_find(i, span_of(first), 1000));
    ck_assert_ptr_null(identity_find(i, span_of(second), 1000));
    identity_unref(i);
}
END_TEST

START_TEST(revocation_ends_a_grace)
{
    char first[KEY_TEXT_MAX], id[KEY_ID_MAX];
    create_key("", first, id);
    json_object_put(call_id(key_db_rotate, id, ", \"grace\": \"7d\""));
    json_object_put(call_id(key_db_revoke, id, ""));
    struct identity *i = load();
    ck_assert_ptr_null(identity_find(i, span_of(first), 1000));
    identity_unref(i);
}
END_TEST

enum { MANY = 2000 };

START_TEST(many_keys_are_all_found)
{
    static char texts[MANY][KEY_TEXT_MAX], ids[MANY][KEY_ID_MAX];
    for (int n = 0; n < MANY; n++)
        create_key("", texts[n], ids[n]);
    struct identity *i = load();
    ck_assert_int_eq(i->n_keys, MANY);
    for (int n = 0; n < MANY; n++) {
        const struct key_row *k = identity_find(i, span_of(texts[n]), 1000);
        ck_assert_ptr_nonnull(k);
        ck_assert_str_eq(k->public_id, ids[n]);
    }
    identity_unref(i);
}
END_TEST

START_TEST(no_keys_at_all)
{
    struct identity *i = load();
    ck_assert_int_eq(i->n_keys, 0);
    ck_assert_ptr_null(
        identity_find(i, SPAN("wf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 1000));
    ck_assert_ptr_null(identity_by_public_id(i, "key_0000000000000000"));
    identity_unref(i);
}
END_TEST

START_TEST(a_reference_keeps_the_snapshot)
{
    char text[KEY_TEXT_MAX], id[KEY_ID_MAX];
    create_key("", text, id);
    struct identity *i = load();
    struct identity *mine = identity_ref(i);
    identity_unref(i);
    ck_assert_ptr_nonnull(identity_find(mine, span_of(text), 1000)); /* ASan would say */
    identity_unref(mine);
}
END_TEST

Suite *identity_suite(void);

Suite *identity_suite(void)
{
    Suite *s = suite_create("identity");
    TCase *key = tcase_create("key");
    tcase_add_test(key, keys_have_their_shape);
    tcase_add_test(key, hash_is_sha256);
    tcase_add_loop_test(key, misshapen_keys_are_not_keys, 0,
                        (int)(sizeof(misshapen) / sizeof(misshapen[0])));
    suite_add_tcase(s, key);
    TCase *snapshot = tcase_create("snapshot");
    tcase_add_checked_fixture(snapshot, set_up, tear_down);
    tcase_set_timeout(snapshot, 30);
    tcase_add_test(snapshot, finds_a_key_with_its_settings);
    tcase_add_test(snapshot, expiry_is_exact);
    tcase_add_test(snapshot, how_a_key_ended_is_known);
    tcase_add_test(snapshot, revoked_is_shown_but_not_found);
    tcase_add_test(snapshot, rotation_with_and_without_grace);
    tcase_add_test(snapshot, revocation_ends_a_grace);
    tcase_add_test(snapshot, many_keys_are_all_found);
    tcase_add_test(snapshot, no_keys_at_all);
    tcase_add_test(snapshot, a_reference_keeps_the_snapshot);
    suite_add_tcase(s, snapshot);
    return s;
}
