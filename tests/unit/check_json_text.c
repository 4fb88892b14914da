/* Unit tests of the accessors and the string writer of schema/json.h. */
#include <check.h>
#include <stdlib.h>

#include "schema/json.h"
#include "schema/utf8.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* For the long loops: ck_assert writes a record for every passed check, which the
 * runner then has to read. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

static struct json_doc d;
static struct buf out;
static struct fail fail;

static void setup(void)
{
    json_init(&d);
    buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    json_done(&d);
    buf_done(&out);
}

static void parse(struct span text)
{
    ck_assert_msg(json_parse(&d, text, &fail) == 0, "%s", fail.text);
}

static const struct {
    const char *name;
    struct span written, meant;
    bool fixed; /* has no \u0000 */
} strings[] = {
    {"empty", TEXT(""), TEXT(""), true},
    {"plain", TEXT("abc"), TEXT("abc"), true},
    {"short escapes", TEXT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), TEXT("\"\\/\b\f\n\r\t"), true},
    {"escape first", TEXT("\\nabc"), TEXT("\nabc"), true},
    {"escape last", TEXT("abc\\n"), TEXT("abc\n"), true},
    {"escape inside", TEXT("a\\nb"), TEXT("a\nb"), true},
    {"one byte", TEXT("\\u0041\\u007f"), TEXT("A\x7f"), true},
    {"two bytes", TEXT("\\u0080\\u07FF"), TEXT("\xc2\x80\xdf\xbf"), true},
    {"three bytes", TEXT("\\u0800\\uffff"), TEXT("\xe0\xa0\x80\xef\xbf\xbf"), true},
    {"around the surrogates", TEXT("\\ud7ff\\ue000"), TEXT("\xed\x9f\xbf\xee\x80\x80"), true},
    {"lowest pair", TEXT("\\ud800\\udc00"), TEXT("\xf0\x90\x80\x80"), true},
    {"highest pair", TEXT("\\uDBFF\\uDFFF"), TEXT("\xf4\x8f\xbf\xbf"), true},
    {"pair in text", TEXT("a\\ud83d\\ude00b"),
     TEXT("a\xf0\x9f\x98\x80"
          "b"),
     true},
    {"two pairs", TEXT("\\ud83d\\ude00\\ud83d\\ude01"), TEXT("\xf0\x9f\x98\x80\xf0\x9f\x98\x81"),
     true},
    {"raw UTF-8", TEXT("\xc3\xa9\\n\xc3\xa9"), TEXT("\xc3\xa9\n\xc3\xa9"), true},
    {"backslash u, not an escape", TEXT("\\\\u0041"), TEXT("\\u0041"), true},
    {"NUL", TEXT("a\\u0000b"), TEXT("a\0b"), false},
};

/* Resolved into a place of exactly the size as written. */
static bool resolves_to(struct span written, struct span meant)
{
    size_t len = 0;
    char *place = malloc(written.len > 0 ? written.len : 1);
    MUST(place != NULL);
    bool same = json_resolve(written, place, &len) && span_eq((struct span){place, len}, meant);
    free(place);
    return same;
}

START_TEST(text_has_escapes_resolved)
{
    buf_addc(&out, '"');
    buf_add_span(&out, strings[_i].written);
    buf_addc(&out, '"');
    struct span meant = strings[_i].meant;
    parse(buf_span(&out));
    ck_assert(span_eq(json_inner(&d, 0), strings[_i].written));
    struct buf text;
    buf_init(&text, 100);
    buf_adds(&text, "before");
    ck_assert(json_text(&d, 0, &text));
    ck_assert_uint_eq(text.len, 6 + meant.len);
    ck_assert_mem_eq(text.ptr, "before", 6);
    ck_assert(span_eq((struct span){text.ptr + 6, text.len - 6}, meant));
    ck_assert(resolves_to(strings[_i].written, meant));
    buf_done(&text);

    char fixed[64] = "untouched";
    ck_assert_int_eq(json_text_fixed(&d, 0, fixed, sizeof(fixed)), strings[_i].fixed);
    ck_assert_str_eq(fixed, strings[_i].fixed ? meant.ptr : "untouched");
    ck_assert_int_eq(json_text_is(&d, 0, meant.ptr), strings[_i].fixed);
    char *longer = malloc(meant.len + 2);
    memcpy(longer, meant.ptr, meant.len);
    memcpy(longer + meant.len, "x", 2);
    ck_assert(!json_text_is(&d, 0, longer));
    free(longer);
}
END_TEST

START_TEST(fixed_array_is_filled_to_the_last_byte)
{
    parse(SPAN("[\"abc\",\"\\u00e9d\",\"\"]"));
    char fixed[4] = "zzz";
    ck_assert(json_text_fixed(&d, 1, fixed, 4));
    ck_assert_str_eq(fixed, "abc");
    ck_assert(json_text_fixed(&d, 2, fixed, 4));
    ck_assert_str_eq(fixed, "\xc3\xa9"
                            "d");
    ck_assert(!json_text_fixed(&d, 1, fixed, 3));
    ck_assert(!json_text_fixed(&d, 2, fixed, 3));
    ck_assert_str_eq(fixed, "\xc3\xa9"
                            "d");
    ck_assert(json_text_fixed(&d, 3, fixed, 1));
    ck_assert_str_eq(fixed, "");
    ck_assert(!json_text_fixed(&d, 1, fixed, 1));
}
END_TEST

static const char *const lone[] = {
    "\"abc\\ud83d\\ue000\"", "\"abc\\ud83d\"",        "\"abc\\ude00\"",
    "\"abc\\ud83dx\"",       "\"abc\\ud83d\\n\"",     "\"abc\\ud83d\\ud83d\"",
    "\"abc\\ud83d\\u0041\"", "\"abc\\ude00\\ud83d\"", "\"abc\\ud83d\\ude00\\ude00\"",
};

START_TEST(lone_surrogates_are_no_text)
{
    parse(span_of(lone[_i]));
    buf_adds(&out, "before");
    ck_assert(!json_text(&d, 0, &out));
    char resolved[64];
    size_t len;
    ck_assert(!json_resolve(json_inner(&d, 0), resolved, &len));
    ck_assert_str_eq(out.ptr, "before");
    ck_assert_uint_eq(out.len, 6);
    ck_assert(!out.failed);
    char fixed[32] = "untouched";
    ck_assert(!json_text_fixed(&d, 0, fixed, sizeof(fixed)));
    ck_assert_str_eq(fixed, "untouched");
    ck_assert(!json_text_is(&d, 0, "abc"));
    ck_assert(!json_text_is(&d, 0, "abc\xed\xa0\xbd"));
}
END_TEST

START_TEST(text_that_does_not_fit)
{
    parse(SPAN("[\"abc\\ndef\",\"abcdefg\"]"));
    struct buf small;
    buf_init(&small, 8);
    buf_adds(&small, "12");
    ck_assert(!json_text(&d, 1, &small));
    ck_assert_str_eq(small.ptr, "12");
    buf_reset(&small);
    ck_assert(json_text(&d, 1, &small));
    ck_assert_str_eq(small.ptr, "abc\ndef");
    ck_assert(!json_text(&d, 2, &small));
    ck_assert_str_eq(small.ptr, "abc\ndef");
    buf_done(&small);
}
END_TEST

/* One value of each kind: only the fitting accessor answers. */
START_TEST(accessors_refuse_other_kinds)
{
    parse(SPAN("[null,false,true,1,\"1\",[1],{\"a\":1}]"));
    static const enum json_kind kinds[] = {JSON_NULL,   JSON_FALSE, JSON_TRUE,  JSON_NUMBER,
                                           JSON_STRING, JSON_ARRAY, JSON_OBJECT};
    json_ref r = json_first(&d, 0);
    for (int i = 0; i < ROWS(kinds); i++, r = json_next(&d, r)) {
        enum json_kind k = kinds[i];
        int64_t n = 42;
        bool truth = false;
        char fixed[8];
        ck_assert_int_eq(json_kind(&d, r), k);
        ck_assert_int_eq(json_int64(&d, r, &n), k == JSON_NUMBER);
        ck_assert_int_eq(n, k == JSON_NUMBER ? 1 : 42);
        ck_assert_int_eq(json_truth(&d, r, &truth), k == JSON_TRUE || k == JSON_FALSE);
        ck_assert_int_eq(truth, k == JSON_TRUE);
        ck_assert_int_eq(json_text(&d, r, &out), k == JSON_STRING);
        ck_assert_int_eq(json_text_fixed(&d, r, fixed, sizeof(fixed)), k == JSON_STRING);
        ck_assert_int_eq(json_text_is(&d, r, "1"), k == JSON_STRING);
        ck_assert_int_eq(json_get(&d, r, "a") != JSON_NONE, k == JSON_OBJECT);
        ck_assert_int_eq(json_count_key(&d, r, "a"), k == JSON_OBJECT);
    }
    ck_assert_uint_eq(r, JSON_NONE);
}
END_TEST

START_TEST(accessors_take_none)
{
    parse(SPAN("{}"));
    int64_t n = 42;
    bool truth = true;
    char fixed[8];
    ck_assert_uint_eq(json_get(&d, JSON_NONE, "a"), JSON_NONE);
    ck_assert_int_eq(json_count_key(&d, JSON_NONE, "a"), 0);
    ck_assert(!json_int64(&d, JSON_NONE, &n));
    ck_assert(!json_truth(&d, JSON_NONE, &truth));
    ck_assert(!json_text(&d, JSON_NONE, &out));
    ck_assert(!json_text_fixed(&d, JSON_NONE, fixed, sizeof(fixed)));
    ck_assert(!json_text_is(&d, JSON_NONE, ""));
    ck_assert(n == 42 && truth);
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"-0", true, 0},
    {"7", true, 7},
    {"-7", true, -7},
    {"9007199254740993", true, INT64_C(9007199254740993)},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775807", true, -INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"9223372036854775810", false, 0},
    {"18446744073709551616", false, 0},
    {"18446744073709551617", false, 0},
    {"99999999999999999999999999", false, 0},
    {"1.0", false, 0},
    {"1e2", false, 0},
    {"1E2", false, 0},
    {"0e0", false, 0},
    {"-0.0", false, 0},
    {"\"1\"", false, 0},
    {"true", false, 0},
    {"[1]", false, 0},
};

START_TEST(integers_are_exact)
{
    parse(span_of(integers[_i].text));
    int64_t n = 42;
    ck_assert_int_eq(json_int64(&d, 0, &n), integers[_i].ok);
    ck_assert_int_eq(n, integers[_i].ok ? integers[_i].value : 42);
}
END_TEST

START_TEST(finds_members)
{
    parse(SPAN("{\"a\":1,\"ab\":2,\"\\u0061b\":3,\"\":4,\"x\":{\"a\":5},\"\\ud83d\\ude00\":6}"));
    ck_assert(span_is(json_raw(&d, json_get(&d, 0, "a")), "1"));
    ck_assert(span_is(json_raw(&d, json_get(&d, 0, "ab")), "2"));
    ck_assert(span_is(json_raw(&d, json_get(&d, 0, "")), "4"));
    ck_assert(span_is(json_raw(&d, json_get(&d, 0, "\xf0\x9f\x98\x80")), "6"));
    ck_assert_uint_eq(json_get(&d, 0, "abc"), JSON_NONE);
    ck_assert_uint_eq(json_get(&d, 0, "\\u0061b"), JSON_NONE);
    json_ref x = json_get(&d, 0, "x");
    ck_assert(span_is(json_raw(&d, json_get(&d, x, "a")), "5"));
    ck_assert_uint_eq(json_get(&d, x, "ab"), JSON_NONE);
    ck_assert_int_eq(json_count_key(&d, 0, "a"), 1);
    ck_assert_int_eq(json_count_key(&d, 0, "ab"), 2);
    ck_assert_int_eq(json_count_key(&d, 0, "abc"), 0);
}
END_TEST

static const struct {
    const char *key, *name;
    bool is, prefix;
} keys[] = {
    {"provider_sort", "provider_sort", true, true},
    {"provider_sort", "provider_", false, true},
    {"provider_sort", "provider_sorts", false, false},
    {"provider_sort", "provider_sorx", false, false},
    {"provider_sort", "", false, true},
    {"", "", true, true},
    {"", "a", false, false},
    {"\\u0070rovider_sort", "provider_sort", true, true},
    {"\\u0070rovider_sort", "provider_", false, true},
    {"provider\\u005fsort", "provider_", false, true},
    {"provider\\u005Fsort", "provider_sort", true, true},
    {"provider_sor\\u0074", "provider_sort", true, true},
    {"provider_sort\\n", "provider_sort", false, true},
    {"\\u0070", "provider", false, false},
    {"\\u0071rovider", "provider", false, false},
    {"Provider", "provider", false, false},
    {"\\u00e9", "\xc3\xa9", true, true},
    {"\\u00e9", "\xc3", false, true},
    {"\\\\u0070", "p", false, false},
};

START_TEST(keys_compare_as_meant)
{
    buf_addf(&out, "{\"%s\":0}", keys[_i].key);
    parse(buf_span(&out));
    ck_assert_int_eq(json_key_is(&d, 1, keys[_i].name), keys[_i].is);
    ck_assert_int_eq(json_key_has_prefix(&d, 1, keys[_i].name), keys[_i].prefix);
}
END_TEST

START_TEST(key_text_has_escapes_resolved)
{
    parse(SPAN("{\"\\u0061\\n\\ud83d\\ude00\":0,\"plain\":1}"));
    ck_assert(json_key_text(&d, 1, &out));
    ck_assert(json_key_text(&d, 2, &out));
    ck_assert_str_eq(out.ptr, "a\n\xf0\x9f\x98\x80plain");
}
END_TEST

START_TEST(kinds_have_names)
{
    ck_assert_str_eq(json_kind_name(JSON_NULL), "null");
    ck_assert_str_eq(json_kind_name(JSON_TRUE), "true");
    ck_assert_str_eq(json_kind_name(JSON_FALSE), "false");
    ck_assert_str_eq(json_kind_name(JSON_NUMBER), "a number");
    ck_assert_str_eq(json_kind_name(JSON_STRING), "a string");
    ck_assert_str_eq(json_kind_name(JSON_ARRAY), "an array");
    ck_assert_str_eq(json_kind_name(JSON_OBJECT), "an object");
}
END_TEST

#define FFFD "\xef\xbf\xbd"

static const struct {
    const char *name;
    struct span s;
    const char *written;
} writes[] = {
    {"empty", TEXT(""), "\"\""},
    {"plain", TEXT("abc /'<>&"), "\"abc /'<>&\""},
    {"quote and backslash", TEXT("a\"b\\c"), "\"a\\\"b\\\\c\""},
    {"short escapes", TEXT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
    {"other control bytes", TEXT("\x01\x0b\x1f"), "\"\\u0001\\u000b\\u001f\""},
    {"NUL", TEXT("a\0b"), "\"a\\u0000b\""},
    {"DEL", TEXT("\x7f"), "\"\x7f\""},
    {"UTF-8", TEXT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
     "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"lone continuation", TEXT("a\x80z"), "\"a" FFFD "z\""},
    {"byte 0xff", TEXT("\xff\xfe"), "\"" FFFD FFFD "\""},
    {"overlong", TEXT("\xc0\xaf"), "\"" FFFD FFFD "\""},
    {"surrogate", TEXT("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\""},
    {"beyond U+10FFFF", TEXT("\xf4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\""},
    {"cut short at the end", TEXT("a\xf0\x9f\x98"), "\"a" FFFD "\""},
    {"cut short before text", TEXT("\xe2\x82z"), "\"" FFFD "z\""},
    {"cut short before a quote", TEXT("\xe2\"\xc3\n"), "\"" FFFD "\\\"" FFFD "\\n\""},
    {"two cut short", TEXT("\xe2\x82\xe2\x82\xac"), "\"" FFFD "\xe2\x82\xac\""},
};

START_TEST(writes_strings)
{
    ck_assert(json_write_string(&out, writes[_i].s));
    ck_assert_str_eq(out.ptr, writes[_i].written);
    parse(buf_span(&out));
}
END_TEST

/* Every pair of bytes: what is written is always JSON, and reads back unless the pair
 * was no UTF-8. */
START_TEST(writes_every_pair_of_bytes)
{
    for (int i = 0; i < 256 * 256; i++) {
        char pair[2] = {(char)(i >> 8), (char)(i & 255)};
        struct span s = {pair, 2};
        buf_reset(&out);
        MUST(json_write_string(&out, s));
        MUST(json_parse(&d, buf_span(&out), &fail) == 0);
        struct buf back;
        buf_init(&back, 16);
        MUST(json_text(&d, 0, &back));
        bool ascii = (i & 0x8080) == 0;
        bool two = (i >> 8) >= 0xc2 && (i >> 8) <= 0xdf && (i & 0xc0) == 0x80;
        MUST(span_eq(buf_span(&back), s) == (ascii || two));
        MUST((strstr(out.ptr, FFFD) == NULL) == (ascii || two));
        buf_done(&back);
    }
}
END_TEST

/* The well-formed sequences (Unicode 15, table 3-7); third and fourth bytes are 0x80 to 0xbf. */
static const struct {
    uint8_t first, last, low, high;
    size_t len;
} sequences[] = {
    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static size_t step(const uint8_t *p, size_t n, bool *ret_valid)
{
    int row = 0;
    while (row < ROWS(sequences) && (p[0] < sequences[row].first || p[0] > sequences[row].last))
        row++;
    *ret_valid = false;
    if (row == ROWS(sequences))
        return 1;
    size_t i = 1;
    while (i < n && i < sequences[row].len && p[i] >= (i == 1 ? sequences[row].low : 0x80) &&
           p[i] <= (i == 1 ? sequences[row].high : 0xbf))
        i++;
    *ret_valid = i == sequences[row].len;
    return i;
}

/* Every three bytes, alone and with more behind them. */
START_TEST(steps_through_utf8)
{
    static const uint8_t fourth[] = {'x', 0x80, 0xbf, 0xc3};
    for (uint32_t i = 0; i < 1u << 24; i++) {
        uint8_t bytes[] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, fourth[_i]};
        for (size_t n = 3; n <= 4; n++) {
            bool valid, expected_valid;
            size_t expected = step(bytes, n, &expected_valid);
            MUST(utf8_step(bytes, bytes + n, &valid) == expected && valid == expected_valid);
        }
    }
}
END_TEST

/* Long strings, of pieces that are written as they are and others. */
START_TEST(writes_strings_of_random_pieces)
{
    static const struct span pieces[] = {
        TEXT("x"),    TEXT("some plain text of a length"),
        TEXT("\n"),   TEXT("\""),
        TEXT("\\"),   TEXT("\1"),
        TEXT("\0"),   TEXT("ä"),
        TEXT("河"),   TEXT("\xf0\x9f\x98\x80"),
        TEXT("\x80"), TEXT("\xe2\x82"),
        TEXT("\xff"), TEXT("\xc3"),
    };
    uint64_t seed = 1;
    struct buf text, expected;
    buf_init(&text, 4000);
    buf_init(&expected, 20000);
    for (int round = 0; round < 20000; round++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t want = seed >> 40 & 1023, kinds = 1 + (seed >> 50) % ROWS(pieces);
        buf_reset(&text);
        while (text.len < want) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            buf_add_span(&text, pieces[(want + (seed >> 40) % kinds) % ROWS(pieces)]);
        }
        buf_reset(&expected);
        buf_addc(&expected, '"');
        for (size_t i = 0, n = 0; i < text.len; i += n) {
            const uint8_t *p = (const uint8_t *)text.ptr + i;
            bool valid;
            n = step(p, text.len - i, &valid);
            if (!valid)
                buf_adds(&expected, FFFD);
            else if (*p == '\n')
                buf_adds(&expected, "\\n");
            else if (*p < 0x20)
                buf_addf(&expected, "\\u%04x", *p);
            else if (*p == '"' || *p == '\\')
                buf_addf(&expected, "\\%c", *p);
            else
                buf_add(&expected, p, n);
        }
        MUST(buf_addc(&expected, '"'));
        buf_reset(&out);
        MUST(json_write_string(&out, buf_span(&text)));
        MUST(span_eq(buf_span(&out), buf_span(&expected)));
        MUST(json_parse(&d, buf_span(&out), &fail) == 0);
        buf_reset(&text);
        MUST(json_text(&d, 0, &text) && resolves_to(json_inner(&d, 0), buf_span(&text)));
    }
    buf_done(&text);
    buf_done(&expected);
}
END_TEST

START_TEST(write_reports_a_full_buffer)
{
    struct buf small;
    buf_init(&small, 5);
    ck_assert(json_write_string(&small, SPAN("abc")));
    buf_reset(&small);
    ck_assert(!json_write_string(&small, SPAN("abcd")));
    buf_reset(&small);
    ck_assert(!json_write_string(&small, SPAN("a\n\n")));
    ck_assert(small.failed);
    buf_done(&small);
    ck_assert(json_write_string(&out, (struct span){NULL, 0}));
}
END_TEST

Suite *json_text_suite(void);
Suite *json_text_suite(void)
{
    Suite *s = suite_create("json_text");
    TCase *t = tcase_create("json_text");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, text_has_escapes_resolved, 0, ROWS(strings));
    tcase_add_test(t, fixed_array_is_filled_to_the_last_byte);
    tcase_add_loop_test(t, lone_surrogates_are_no_text, 0, ROWS(lone));
    tcase_add_test(t, text_that_does_not_fit);
    tcase_add_test(t, accessors_refuse_other_kinds);
    tcase_add_test(t, accessors_take_none);
    tcase_add_loop_test(t, integers_are_exact, 0, ROWS(integers));
    tcase_add_test(t, finds_members);
    tcase_add_loop_test(t, keys_compare_as_meant, 0, ROWS(keys));
    tcase_add_test(t, key_text_has_escapes_resolved);
    tcase_add_test(t, kinds_have_names);
    tcase_add_loop_test(t, writes_strings, 0, ROWS(writes));
    tcase_add_test(t, writes_every_pair_of_bytes);
    tcase_add_loop_test(t, steps_through_utf8, 0, 4);
    tcase_add_test(t, writes_strings_of_random_pieces);
    tcase_add_test(t, write_reports_a_full_buffer);
    suite_add_tcase(s, t);
    return s;
}
