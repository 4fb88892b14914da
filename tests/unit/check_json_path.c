/* Unit tests of schema/json_path.c. */
#include <check.h>

#include "schema/json_path.h"

static struct json_doc doc;

static void setup(void)
{
    json_init(&doc);
}

static void teardown(void)
{
    json_done(&doc);
}

static void parse(const char *json)
{
    ck_assert_int_eq(json_parse(&doc, span_of(json), NULL), 0);
}

/* The nodes are in the order of the text. */
START_TEST(paths_of_every_value)
{
    static const char *const paths[] = {"the body", "a",    "a[0]", "a[1]", "a[1].b\\u00e9",
                                        "a[1].c",   "a[2]", "",     "d"};
    parse("{\"a\":[1,{\"b\\u00e9\":[],\"c\":2},3],\"\":{},\"d\":4}");
    for (json_ref r = 0; r < doc.count; r++) {
        char out[FAIL_FIELD_MAX];
        ck_assert_str_eq(json_path(&doc, r, out), paths[r]);
    }
    ck_assert_uint_eq(doc.count, 9);
    parse("[[[],[7]]]");
    char out[FAIL_FIELD_MAX];
    ck_assert_str_eq(json_path(&doc, 4, out), "[0][1][0]");
}
END_TEST

START_TEST(long_paths_are_cut_between_characters)
{
    struct buf b;
    buf_init(&b, 4096);
    for (int pad = 0; pad < 4; pad++) {
        buf_reset(&b);
        buf_addf(&b, "{\"%.*s", pad, "aaaa");
        for (int i = 0; i < 60; i++)
            buf_adds(&b, "\xe2\x82\xac");
        buf_adds(&b, "\":{\"x\":1}}");
        ck_assert_int_eq(json_parse(&doc, buf_span(&b), NULL), 0);
        char out[FAIL_FIELD_MAX];
        json_path(&doc, 1, out);
        ck_assert_uint_eq((strlen(out) - (size_t)pad) % 3, 0);
        ck_assert_uint_ge(strlen(out), FAIL_FIELD_MAX - 3);
        json_path(&doc, 2, out);
        ck_assert_uint_lt(strlen(out), FAIL_FIELD_MAX);
    }
    buf_done(&b);
}
END_TEST

START_TEST(glimpses)
{
    static const struct {
        const char *json, *glimpse;
    } cases[] = {
        {"null", "null"},
        {"true", "true"},
        {"-1.50", "-1.50"},
        {"\"a\\n\"", "\"a\\n\""},
        {"[1]", "an array"},
        {"{}", "an object"},
        {"\"0123456789012345678901234567890123456789012345678901\"",
         "\"0123456789012345678901234567890123456789012345678901\""},
        {"\"012345678901234567890123456789012345678901234567890123456789\"", "a long string"},
        {"1000000000000000000000000000000000000000000000000000000000000", "a number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[JSON_GLIMPSE_MAX];
        parse(cases[i].json);
        ck_assert_str_eq(json_glimpse(&doc, 0, out), cases[i].glimpse);
    }
}
END_TEST

START_TEST(refusals)
{
    struct fail f;
    parse("{\"a\":[5],\"b\":1,\"b\":2}");
    ck_assert_int_eq(json_refuse(&doc, 2, "a word", &f), -1);
    ck_assert_str_eq(f.text, "a[0] must be a word; got 5");
    ck_assert_str_eq(f.field, "a[0]");
    ck_assert_int_eq(f.code, ERR_bad_request);
    ck_assert_int_eq(json_refuse_twice(&doc, 4, &f), -1);
    ck_assert_str_eq(f.text, "b is given twice");
}
END_TEST

START_TEST(getting_once)
{
    struct fail f;
    json_ref r = 77;
    parse("{\"a\":1,\"b\":null,\"c\":2,\"c\":null,\"d\":[]}");
    ck_assert_int_eq(json_get_once(&doc, 0, "a", &r, &f), 0);
    ck_assert_uint_eq(r, 1);
    ck_assert_int_eq(json_get_once(&doc, 0, "b", &r, &f), 0);
    ck_assert_uint_eq(r, JSON_NONE);
    ck_assert_int_eq(json_get_once(&doc, 0, "c", &r, &f), -1);
    ck_assert_str_eq(f.field, "c");
    ck_assert_int_eq(json_get_once(&doc, 5, "x", &r, &f), 0);
    ck_assert_uint_eq(r, JSON_NONE);
    ck_assert_int_eq(json_get_once(&doc, JSON_NONE, "x", &r, &f), 0);
    ck_assert_uint_eq(r, JSON_NONE);
}
END_TEST

Suite *json_path_suite(void);
Suite *json_path_suite(void)
{
    Suite *s = suite_create("json_path");
    TCase *t = tcase_create("json_path");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, paths_of_every_value);
    tcase_add_test(t, long_paths_are_cut_between_characters);
    tcase_add_test(t, glimpses);
    tcase_add_test(t, refusals);
    tcase_add_test(t, getting_once);
    suite_add_tcase(s, t);
    return s;
}
