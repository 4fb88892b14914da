/* The JSON writer: commas, brackets, text, and a buffer that is full. */
#include <check.h>
#include <stdlib.h>

#include "schema/json.h"
#include "schema/json_out.h"

static struct buf buf;
static struct json_out out;

static void setup(void)
{
    buf_init(&buf, 4096);
    out = (struct json_out){.buf = &buf};
}

static void teardown(void)
{
    buf_done(&buf);
}

static void must_be(const char *text)
{
    struct json_doc doc;
    ck_assert_str_eq(buf.ptr, text);
    json_init(&doc);
    ck_assert_int_eq(json_parse(&doc, buf_span(&buf), NULL), 0);
    json_done(&doc);
}

START_TEST(test_every_kind)
{
    json_open_object(&out, NULL);
    json_put_string(&out, "s", SPAN("a\"b\n\xc3\xa9"));
    json_put_int(&out, "i", INT64_MIN);
    json_put_bool(&out, "t", true);
    json_put_bool(&out, "f", false);
    json_put_null(&out, "n");
    json_put_raw(&out, "r", SPAN("{\"x\":1e2}"));
    json_open_array(&out, "a");
    json_put_int(&out, NULL, 1);
    json_open_object(&out, NULL);
    json_close_object(&out);
    json_open_array(&out, NULL);
    json_close_array(&out);
    json_put_string(&out, NULL, SPAN(""));
    json_close_array(&out);
    json_open_object(&out, "last");
    json_put_null(&out, "x");
    json_close_object(&out);
    json_close_object(&out);
    must_be(
        "{\"s\":\"a\\\"b\\n\xc3\xa9\",\"i\":-9223372036854775808,\"t\":true,\"f\":false,\"n\":null,"
        "\"r\":{\"x\":1e2},\"a\":[1,{},[],\"\"],\"last\":{\"x\":null}}");
}
END_TEST

START_TEST(test_pieces_are_one_string)
{
    const struct span pieces[] = {SPAN("a\"b"), SPAN(""), SPAN("\n"), SPAN("c")};
    json_open_array(&out, NULL);
    json_put_strings(&out, NULL, pieces, 4);
    json_put_strings(&out, NULL, pieces, 0);
    json_close_array(&out);
    must_be("[\"a\\\"b\\nc\",\"\"]");
}
END_TEST

START_TEST(test_what_is_absent_is_left_out)
{
    json_open_object(&out, NULL);
    json_put_some_string(&out, "a", SPAN(""));
    json_put_some_raw(&out, "b", (struct span){NULL, 0});
    json_put_some_string(&out, "c", SPAN("x"));
    json_put_some_raw(&out, "d", SPAN("[]"));
    json_close_object(&out);
    must_be("{\"c\":\"x\",\"d\":[]}");
}
END_TEST

/* Whatever the ceiling: failed is set, nothing is written beyond it, nothing crashes. */
START_TEST(test_full_buffer)
{
    const struct span pieces[] = {SPAN("0123456789"), SPAN("0123456789")};
    for (size_t max = 0; max < 40; max++) {
        buf_done(&buf);
        buf_init(&buf, max);
        out = (struct json_out){.buf = &buf};
        json_open_object(&out, NULL);
        json_put_strings(&out, "k", pieces, 2);
        json_put_int(&out, "n", 123);
        json_close_object(&out);
        ck_assert(buf.len <= max);
        ck_assert_msg(buf.failed == (max < strlen("{\"k\":\"01234567890123456789\",\"n\":123}")),
                      "at %zu", max);
    }
}
END_TEST

Suite *json_out_suite(void);

Suite *json_out_suite(void)
{
    Suite *s = suite_create("json_out");
    TCase *t = tcase_create("writer");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_every_kind);
    tcase_add_test(t, test_pieces_are_one_string);
    tcase_add_test(t, test_what_is_absent_is_left_out);
    tcase_add_test(t, test_full_buffer);
    suite_add_tcase(s, t);
    return s;
}
