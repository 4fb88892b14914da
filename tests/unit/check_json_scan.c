/* The walk over JSON text that does not parse it. */
#include <check.h>
#include <stdlib.h>

#include "schema/json.h"
#include "schema/json_scan.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Members as "key=value;", and how the walk ended: "." well, "!" badly, "+" with something behind.
 */
static void print_walk(struct span text, struct buf *out)
{
    struct json_scan s = json_scan_open(text);
    struct span key, value;
    while (json_scan_next(&s, &key, &value)) {
        buf_add_span(out, key);
        buf_addc(out, '=');
        buf_add_span(out, value);
        buf_addc(out, ';');
    }
    buf_adds(out, s.bad ? "!" : json_scan_ended(&s) ? "." : "+");
}

static const struct {
    const char *text, *walk;
} walks[] = {
    {"{}", "."},
    {" [ ] ", "."},
    {"{\"a\":1,\"b\":\"x\"}", "a=1;b=\"x\";."},
    {"{ \"a\" : [1,{\"b\":2}] ,\n\"c\":null}", "a=[1,{\"b\":2}];c=null;."},
    {"[1,\"]\",[2]]", "=1;=\"]\";=[2];."},
    {"{\"a\\\"b\":\"c\\\\\"}", "a\\\"b=\"c\\\\\";."},
    {"{\"a\":\"}\\\"{\",\"b\":{\"c\":\"]\"}}", "a=\"}\\\"{\";b={\"c\":\"]\"};."},
    {"{\"a\":1} x", "a=1;+"},
    {"{\"a\":1", "!"},
    {"{\"a\":\"x", "!"},
    {"{\"a\":[1}", "a=[1};!"}, /* brackets are counted, not matched */
    {"{\"a\"", "!"},
    {"{\"a\":", "!"},
    {"{\"a\":}", "!"},
    {"{a:1}", "!"},
    {"{", "!"},
    {"[", "!"},
    {"1", "!"},
    {"\"a\"", "!"},
    {"", "!"},
    {"  ", "!"},
};

START_TEST(test_walk)
{
    struct buf out;
    size_t len = strlen(walks[_i].text);
    char *text = malloc(len > 0 ? len : 1); /* without a NUL: nothing beyond the end is read */
    ck_assert(text != NULL);
    memcpy(text, walks[_i].text, len);
    buf_init(&out, 4096);
    print_walk((struct span){text, len}, &out);
    ck_assert_str_eq(out.ptr, walks[_i].walk);
    buf_done(&out);
    free(text);
}
END_TEST

/* What is cut off anywhere is noticed, or was not needed. */
START_TEST(test_every_cut)
{
    static const char text[] = "{\"a\":[{\"b\":\"\\\"}\"},2],\"c\":{\"d\":null}}";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        char *copy = malloc(n > 0 ? n : 1);
        ck_assert(copy != NULL);
        memcpy(copy, text, n);
        struct json_scan s = json_scan_open((struct span){copy, n});
        struct span key, value;
        while (json_scan_next(&s, &key, &value))
            ck_assert(value.ptr + value.len <= copy + n);
        ck_assert(s.bad);
        free(copy);
    }
}
END_TEST

START_TEST(test_get)
{
    static const char text[] = "{\"a\":{\"b\":1},\"b\":\"x\",\"b\":2}";
    ck_assert(span_is(json_scan_get(SPAN(text), "b"), "\"x\""));
    ck_assert(span_is(json_scan_get(json_scan_get(SPAN(text), "a"), "b"), "1"));
    ck_assert_uint_eq(json_scan_get(SPAN(text), "c").len, 0);
    ck_assert_uint_eq(json_scan_get(SPAN("[1]"), "").len, 0);
    ck_assert_uint_eq(json_scan_get(SPAN(""), "a").len, 0);
}
END_TEST

/* As many bytes as the strict reader makes of it. */
START_TEST(test_text_bytes)
{
    static const char *const strings[] = {
        "\"\"",
        "\"abc\"",
        "\"\\n\\t\\\"\\\\\\/\"",
        "\"\\u0041\\u007f\"",
        "\"\\u0080\\u07ff\"",
        "\"\\u0800\\uffff\"",
        "\"\\ud83d\\ude00\"",
        "\"\xc3\xa9\xf0\x9f\x98\x80\"",
    };
    for (size_t i = 0; i < ROWS(strings); i++) {
        struct json_doc doc;
        struct buf text;
        json_init(&doc);
        buf_init(&text, 256);
        ck_assert(json_parse(&doc, span_of(strings[i]), NULL) == 0 && json_text(&doc, 0, &text));
        ck_assert_msg(json_scan_text_bytes(span_of(strings[i])) == (int64_t)text.len, "%s",
                      strings[i]);
        buf_done(&text);
        json_done(&doc);
    }
    ck_assert_int_eq(json_scan_text_bytes(SPAN("null")), 0);
    ck_assert_int_eq(json_scan_text_bytes(SPAN("\"")), 0);
    ck_assert_int_eq(json_scan_text_bytes(SPAN("")), 0);
}
END_TEST

Suite *json_scan_suite(void);

Suite *json_scan_suite(void)
{
    Suite *s = suite_create("json_scan");
    TCase *tc = tcase_create("scan");
    tcase_add_loop_test(tc, test_walk, 0, (int)ROWS(walks));
    tcase_add_test(tc, test_every_cut);
    tcase_add_test(tc, test_get);
    tcase_add_test(tc, test_text_bytes);
    suite_add_tcase(s, tc);
    return s;
}
