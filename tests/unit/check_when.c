/* Unit tests of schema/when.c. */
#include <check.h>

#include "schema/when.h"

/* ms computed with Python's datetime. */
static const struct {
    const char *text;
    int64_t ms;
} both_ways[] = {
    {"1970-01-01T00:00:00.000Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"1969-12-31T23:59:59.999Z", -1},
    {"2026-11-25T06:34:35.123Z", INT64_C(1795588475123)},
    {"2000-02-29T12:00:00.000Z", INT64_C(951825600000)},
    {"2024-02-29T23:59:59.999Z", INT64_C(1709251199999)},
    {"2024-03-01T00:00:00.000Z", INT64_C(1709251200000)},
    {"2100-02-28T23:59:59.000Z", INT64_C(4107542399000)},
    {"2100-03-01T00:00:00.000Z", INT64_C(4107542400000)},
    {"2038-01-19T03:14:08.000Z", INT64_C(2147483648000)},
    {"1900-01-01T00:00:00.000Z", INT64_C(-2208988800000)},
    {"1600-02-29T00:00:00.000Z", INT64_C(-11670998400000)},
    {"0001-01-01T00:00:00.000Z", INT64_C(-62135596800000)},
    {"0000-01-01T00:00:00.000Z", INT64_C(-62167219200000)},
    {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
};

START_TEST(prints_and_parses)
{
    char out[WHEN_TEXT_MAX];
    ck_assert_str_eq(when_print(both_ways[_i].ms, out), both_ways[_i].text);
    int64_t ms = 42;
    ck_assert(when_parse(span_of(both_ways[_i].text), &ms));
    ck_assert_int_eq(ms, both_ways[_i].ms);
}
END_TEST

static const struct {
    const char *text;
    int64_t ms;
} parsed[] = {
    {"2026-11-25", INT64_C(1795564800000)},
    {"1970-01-01", 0},
    {"2026-11-25T06:34:35Z", INT64_C(1795588475000)},
    {"2026-11-25t06:34:35z", INT64_C(1795588475000)},
    {"2026-11-25T06:34:35.1Z", INT64_C(1795588475100)},
    {"2026-11-25T06:34:35.12Z", INT64_C(1795588475120)},
    {"2026-11-25T06:34:35.123999999Z", INT64_C(1795588475123)},
    {"2026-11-25T06:34:35.00000000000000000000000000000009Z", INT64_C(1795588475000)},
    {"2026-11-25T08:34:35+02:00", INT64_C(1795588475000)},
    {"2026-11-25T00:04:35-06:30", INT64_C(1795588475000)},
    {"2026-11-25T06:34:35-00:00", INT64_C(1795588475000)},
    {"2026-11-26T06:33:35+23:59", INT64_C(1795588475000)},
    {"2026-11-24T23:04:35.5-07:30", INT64_C(1795588475500)},
    {"1970-01-01T00:00:00+00:01", -60000},
    {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
    {"2017-01-01T00:59:60+01:00", INT64_C(1483228800000)},
    {"2016-12-31T15:59:60-08:00", INT64_C(1483228800000)},
};

START_TEST(parses)
{
    int64_t ms = 42;
    ck_assert_msg(when_parse(span_of(parsed[_i].text), &ms), "%s", parsed[_i].text);
    ck_assert_int_eq(ms, parsed[_i].ms);
}
END_TEST

static const char *const refused[] = {
    "",
    "2026",
    "2026-11",
    "2026-11-2",
    "2026-1-25",
    "26-11-25",
    "20261125",
    "2026/11/25",
    "+2026-11-25",
    "-026-11-25",
    " 2026-11-25",
    "2026-11-25 ",
    "2026-00-25",
    "2026-13-25",
    "2026-11-00",
    "2026-11-31",
    "2026-01-32",
    "2026-02-29",
    "2100-02-29",
    "1900-02-29",
    "2026-11-25T",
    "2026-11-25Z",
    "2026-11-25T06",
    "2026-11-25T06:34",
    "2026-11-25T06:34Z",
    "2026-11-25T06:34:35",
    "2026-11-25 06:34:35Z",
    "2026-11-25T6:34:35Z",
    "2026-11-25T24:00:00Z",
    "2026-11-25T06:60:00Z",
    "2026-11-25T06:34:60Z",
    "2026-11-25T06:34:61Z",
    "2016-12-31T23:59:60+01:00",
    "2026-11-25T06:34:35.Z",
    "2026-11-25T06:34:35,1Z",
    "2026-11-25T06:34:35.1",
    "2026-11-25T06:34:35+0200",
    "2026-11-25T06:34:35+02",
    "2026-11-25T06:34:35+24:00",
    "2026-11-25T06:34:35+02:60",
    "2026-11-25T06:34:35ZZ",
    "2026-11-25T06:34:35Z+00:00",
    "2026-11-25T06:34:35 Z",
    "2026-11-25T-6:34:35Z",
    "now",
};

START_TEST(refuses)
{
    int64_t ms = 42;
    ck_assert_msg(!when_parse(span_of(refused[_i]), &ms), "%s", refused[_i]);
    ck_assert_int_eq(ms, 42);
}
END_TEST

START_TEST(refuses_nul)
{
    int64_t ms = 42;
    ck_assert(!when_parse(SPAN("2026-11-25\0"), &ms));
    ck_assert(!when_parse((struct span){NULL, 0}, &ms));
}
END_TEST

START_TEST(clamps_what_has_no_four_digit_year)
{
    char out[WHEN_TEXT_MAX];
    ck_assert_str_eq(when_print(INT64_MAX, out), "9999-12-31T23:59:59.999Z");
    ck_assert_str_eq(when_print(INT64_MIN, out), "0000-01-01T00:00:00.000Z");
}
END_TEST

/* For the long loops: ck_assert writes a record for every passed check, which the
 * runner then has to read. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

/* Every day of the 10,000 years follows the one before it and survives the round trip. */
START_TEST(every_day_round_trips)
{
    char out[WHEN_TEXT_MAX];
    char before[WHEN_TEXT_MAX] = "";
    int64_t back = 0;
    for (int64_t ms = INT64_C(-62167219200000); ms < INT64_C(253402300800000); ms += 86400000) {
        when_print(ms, out);
        MUST(strcmp(out, before) > 0);
        MUST(when_parse((struct span){out, 10}, &back));
        MUST(back == ms);
        memcpy(before, out, sizeof(before));
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

Suite *when_suite(void);
Suite *when_suite(void)
{
    Suite *s = suite_create("when");
    TCase *t = tcase_create("when");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, prints_and_parses, 0, ROWS(both_ways));
    tcase_add_loop_test(t, parses, 0, ROWS(parsed));
    tcase_add_loop_test(t, refuses, 0, ROWS(refused));
    tcase_add_test(t, refuses_nul);
    tcase_add_test(t, clamps_what_has_no_four_digit_year);
    tcase_add_test(t, every_day_round_trips);
    suite_add_tcase(s, t);
    return s;
}
