/* Unit tests of schema/toolsig.c. */
#include <check.h>
#include <stdlib.h>

#include "schema/toolsig.h"

enum { ROOM = 4 * 1024 * 1024 };

static struct buf joined, signature;

static void set_up(void)
{
    buf_init(&joined, ROOM);
    buf_init(&signature, ROOM);
}

static void tear_down(void)
{
    buf_done(&joined);
    buf_done(&signature);
}

static void ck_join(const char *id, const char *sig, const char *want)
{
    buf_reset(&joined);
    ck_assert(toolsig_join(span_of(id), span_of(sig), &joined));
    ck_assert_msg(span_is(buf_span(&joined), want), "%.*s instead of %s", (int)joined.len,
                  joined.ptr, want);
}

static void ck_split(const char *joined_id, const char *want_id, const char *want_signature)
{
    struct span id;
    buf_reset(&signature);
    ck_assert(toolsig_split(span_of(joined_id), &id, &signature));
    ck_assert_msg(span_is(id, want_id), "id %.*s instead of %s", (int)id.len, id.ptr, want_id);
    ck_assert_msg(span_is(buf_span(&signature), want_signature), "signature %.*s instead of %s",
                  (int)signature.len, signature.ptr, want_signature);
}

/* Encoded with python3's base64.urlsafe_b64encode. */
START_TEST(joined_and_split)
{
    static const struct {
        const char *id, *signature, *joined;
    } cases[] = {
        {"call_1", "wf:gemini:CiQB+/8=", "call_1_wfsig_Z2VtaW5pOkNpUUIrLzg9"},
        {"call_1", "wf:gemini:A", "call_1_wfsig_Z2VtaW5pOkE"},
        {"call_1", "wf:gemini:AB", "call_1_wfsig_Z2VtaW5pOkFC"},
        {"c", "wf:vertex-x:~?~?", "c_wfsig_dmVydGV4LXg6fj9-Pw"},
        {"c_wf", "wf:gemini:AB", "c_wf_wfsig_Z2VtaW5pOkFC"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_join(cases[i].id, cases[i].signature, cases[i].joined);
        ck_split(cases[i].joined, cases[i].id, cases[i].signature);
    }
}
END_TEST

START_TEST(what_is_no_signature_of_ours_is_left_out)
{
    static const char *const signatures[] = {"",
                                             "wf:",
                                             "wf:gemini",
                                             "wf:gemini:",
                                             "wf::A",
                                             "wf:Gemini:A",
                                             "CiQB+/8=",
                                             "xf:gemini:A",
                                             "wf:gemini:A B",
                                             "wf:gemini:A\nB",
                                             "wf:gemini:\xc3\xa4"};
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
        ck_join("call_1", signatures[i], "call_1");
}
END_TEST

START_TEST(an_id_that_holds_the_mark_takes_no_signature)
{
    ck_join("a_wfsig_b", "wf:gemini:A", "a_wfsig_b");
    ck_join("a_wfsig", "wf:gemini:A", "a_wfsig"); /* a second mark would begin inside it */
    ck_join("", "wf:gemini:A", "");
}
END_TEST

START_TEST(what_was_not_joined_stays_whole)
{
    static const char *const ids[] = {
        "",
        "call_1",
        "_wfsig_Z2VtaW5pOkFC",       /* no id before it */
        "call_1_wfsig_",             /* nothing behind */
        "call_1_wfsig_Z2VtaW5pOkF",  /* one digit short: 6 bits left over */
        "call_1_wfsig_Z2VtaW5pOkF=", /* padded */
        "call_1_wfsig_Z2VtaW5pOkF/", /* not url-safe */
        "call_1_wfsig_Z2VtaW5pOkZ",  /* bits behind the last byte */
        "call_1_wfsig_Z2VtaW5p",     /* "gemini" alone */
        "call_1_wfsig_Z2VtaW5pOg",   /* "gemini:" alone */
        "call_1_wfsig_R2VtaW5pOkFC", /* "Gemini:AB" */
        "call_1_wfsig_Z2VtaW5pOgAB", /* bytes that are no text */
        "call_1_wfsig_a_wfsig_Z2VtaW5pOkFC",
    };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        ck_split(ids[i], ids[i], "");
}
END_TEST

START_TEST(a_byte_that_is_zero_is_no_digit)
{
    static const char id[] = "call_1_wfsig_Z2Vt\0W5pOkFC";
    struct span whole = {id, sizeof(id) - 1}, ret;
    ck_assert(toolsig_split(whole, &ret, &signature));
    ck_assert_uint_eq(ret.len, whole.len);
    ck_assert_uint_eq(signature.len, 0);
}
END_TEST

START_TEST(the_longest_signature_and_one_beyond)
{
    char *text = malloc(TOOLSIG_MAX + 2);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', TOOLSIG_MAX + 1);
    memcpy(text, "wf:gemini:", 10);
    struct span longest = {text, TOOLSIG_MAX}, beyond = {text, TOOLSIG_MAX + 1}, id;
    ck_assert(toolsig_join(SPAN("c"), longest, &joined));
    ck_assert(toolsig_split(buf_span(&joined), &id, &signature));
    ck_assert(span_is(id, "c"));
    ck_assert(span_eq(buf_span(&signature), longest));
    buf_reset(&joined);
    ck_assert(toolsig_join(SPAN("c"), beyond, &joined));
    ck_assert(span_is(buf_span(&joined), "c"));
    free(text);
}
END_TEST

START_TEST(a_full_buffer_is_told)
{
    struct buf small;
    struct span id;
    buf_init(&small, 12);
    ck_assert(!toolsig_join(SPAN("call_1"), SPAN("wf:gemini:AB"), &small));
    buf_reset(&small);
    ck_assert(!toolsig_split(SPAN("call_1_wfsig_Z2VtaW5pOkFCQUJBQkFC"), &id, &small));
    buf_done(&small);
}
END_TEST

/* Both append: what stood in the buffer stays. */
START_TEST(appended)
{
    struct span id;
    buf_adds(&joined, "x");
    ck_assert(toolsig_join(SPAN("a_wfsig_b"), SPAN("wf:gemini:A"), &joined));
    ck_assert(span_is(buf_span(&joined), "xa_wfsig_b"));
    buf_adds(&signature, "y");
    ck_assert(toolsig_split(SPAN("c_wfsig_??"), &id, &signature));
    ck_assert(span_is(buf_span(&signature), "y"));
}
END_TEST

Suite *toolsig_suite(void);
Suite *toolsig_suite(void)
{
    Suite *s = suite_create("toolsig");
    TCase *c = tcase_create("toolsig");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, joined_and_split);
    tcase_add_test(c, what_is_no_signature_of_ours_is_left_out);
    tcase_add_test(c, an_id_that_holds_the_mark_takes_no_signature);
    tcase_add_test(c, what_was_not_joined_stays_whole);
    tcase_add_test(c, a_byte_that_is_zero_is_no_digit);
    tcase_add_test(c, the_longest_signature_and_one_beyond);
    tcase_add_test(c, a_full_buffer_is_told);
    tcase_add_test(c, appended);
    suite_add_tcase(s, c);
    return s;
}
