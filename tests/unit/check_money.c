/* Unit tests of schema/money.c.  Expected values are written by hand or come from a
 * second, slower computation on digit strings. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/money.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { UNTOUCHED = -77 };

static const struct {
    const char *text;
    int scale;
    enum money_parse want;
    int64_t value;
} cases[] = {
    /* published prices */
    {"3", 6, MONEY_OK, 3000000},
    {"0.0375", 6, MONEY_OK, 37500},
    {"75", 6, MONEY_OK, 75000000},
    {"0.30", 6, MONEY_OK, 300000},
    {"3e-07", 12, MONEY_OK, 300000},
    {"3E-07", 12, MONEY_OK, 300000},
    {"3e-7", 12, MONEY_OK, 300000},
    {"1.25e-6", 12, MONEY_OK, 1250000},
    {"0.000003", 12, MONEY_OK, 3000000},
    {"0.01", 12, MONEY_OK, 10000000000},
    {"5.00", 9, MONEY_OK, 5000000000},
    {"1e3", 0, MONEY_OK, 1000},
    {"1e+3", 0, MONEY_OK, 1000},
    {"1.5e1", 0, MONEY_OK, 15},
    {"1.50e1", 0, MONEY_OK, 15},
    {"10e-1", 0, MONEY_OK, 1},
    {"000012", 0, MONEY_OK, 12},
    /* zero in every form */
    {"0", 6, MONEY_OK, 0},
    {"-0", 6, MONEY_OK, 0},
    {"-0.000", 6, MONEY_OK, 0},
    {"0e999999999999999999999999", 6, MONEY_OK, 0},
    {"-0e-5", 12, MONEY_OK, 0},
    {"0.00000000000000000000000000", 6, MONEY_OK, 0},
    /* digits are lost: floor */
    {"0.0000001", 6, MONEY_INEXACT, 0},
    {"1.0000009", 6, MONEY_INEXACT, 1000000},
    {"0.9999999", 6, MONEY_INEXACT, 999999},
    {"1.23e-13", 12, MONEY_INEXACT, 0},
    {"19e-1", 0, MONEY_INEXACT, 1},
    {"1e-400", 12, MONEY_INEXACT, 0},
    {"1e-999999999999999999999999", 12, MONEY_INEXACT, 0},
    {"3.0000000000000000000000000000001", 6, MONEY_INEXACT, 3000000},
    {"3.0000000000000000000000000000000", 6, MONEY_OK, 3000000},
    /* the ends of int64 */
    {"9223372036854775807", 0, MONEY_OK, INT64_MAX},
    {"9223372036854775808", 0, MONEY_RANGE, INT64_MAX},
    {"9223372036854775807.9", 0, MONEY_INEXACT, INT64_MAX},
    {"9223372036854.775807", 6, MONEY_OK, INT64_MAX},
    {"9223372036854.775808", 6, MONEY_RANGE, INT64_MAX},
    {"922337203685477580.7e1", 0, MONEY_OK, INT64_MAX},
    {"1e18", 0, MONEY_OK, 1000000000000000000},
    {"1e19", 0, MONEY_RANGE, INT64_MAX},
    {"1e999999999999999999999999", 0, MONEY_RANGE, INT64_MAX},
    {"99999999999999999999999999999999.99", 6, MONEY_RANGE, INT64_MAX},
    /* below zero */
    {"-1", 6, MONEY_NEGATIVE, UNTOUCHED},
    {"-0.0000001", 6, MONEY_NEGATIVE, UNTOUCHED},
    {"-1e-400", 6, MONEY_NEGATIVE, UNTOUCHED},
    {"-99999999999999999999", 6, MONEY_NEGATIVE, UNTOUCHED},
    /* no number */
    {"", 6, MONEY_SYNTAX, UNTOUCHED},
    {"-", 6, MONEY_SYNTAX, UNTOUCHED},
    {"+1", 6, MONEY_SYNTAX, UNTOUCHED},
    {".5", 6, MONEY_SYNTAX, UNTOUCHED},
    {"5.", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1e", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1e+", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1e1.5", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1.2.3", 6, MONEY_SYNTAX, UNTOUCHED},
    {" 1", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1 ", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1,5", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1_000", 6, MONEY_SYNTAX, UNTOUCHED},
    {"$3", 6, MONEY_SYNTAX, UNTOUCHED},
    {"0x10", 6, MONEY_SYNTAX, UNTOUCHED},
    {"NaN", 6, MONEY_SYNTAX, UNTOUCHED},
    {"Infinity", 6, MONEY_SYNTAX, UNTOUCHED},
    {"--1", 6, MONEY_SYNTAX, UNTOUCHED},
    {"1e--1", 6, MONEY_SYNTAX, UNTOUCHED},
    {"\xd9\xa3", 6, MONEY_SYNTAX, UNTOUCHED},
};

START_TEST(texts_become_integers)
{
    for (size_t i = 0; i < ROWS(cases); i++) {
        int64_t got = UNTOUCHED;
        ck_assert_msg(money_parse(span_of(cases[i].text), cases[i].scale, &got) == cases[i].want,
                      "%s", cases[i].text);
        ck_assert_msg(got == cases[i].value, "%s gave %" PRId64, cases[i].text, got);
    }
}
END_TEST

/* The plain form is the same but for exponents and zeros with a sign. */
START_TEST(plain_texts_are_digits)
{
    for (size_t i = 0; i < ROWS(cases); i++) {
        bool signed_zero = cases[i].text[0] == '-' && cases[i].want == MONEY_OK;
        bool other = strpbrk(cases[i].text, "eE") != NULL || signed_zero;
        int64_t got = UNTOUCHED;
        enum money_parse result = money_parse_plain(span_of(cases[i].text), cases[i].scale, &got);
        ck_assert_msg(result == (other ? MONEY_SYNTAX : cases[i].want), "%s", cases[i].text);
        ck_assert_msg(got == (other ? UNTOUCHED : cases[i].value), "%s", cases[i].text);
    }
}
END_TEST

START_TEST(a_span_ends_where_it_says)
{
    int64_t got = UNTOUCHED;
    ck_assert_int_eq(money_parse((struct span){"1234", 2}, 0, &got), MONEY_OK);
    ck_assert_int_eq(got, 12);
    ck_assert_int_eq(money_parse((struct span){"-5", 1}, 0, &got), MONEY_SYNTAX);
    ck_assert_int_eq(money_parse((struct span){"1\0", 2}, 0, &got), MONEY_SYNTAX);
}
END_TEST

/* Every number of up to four digits, with its point at every place and every exponent from
 * -6 to 6, at every scale up to 6: what is wanted follows from moving the point. */
START_TEST(every_small_decimal)
{
    static const int64_t power[] = {1,           10,           100,          1000,      10000,
                                    100000,      1000000,      10000000,     100000000, 1000000000,
                                    10000000000, 100000000000, 1000000000000};
    for (int64_t digits = 0; digits < 10000; digits += digits < 150 ? 1 : 97) {
        for (int fraction = 0; fraction <= 3; fraction++) {
            for (int exponent = -6; exponent <= 6; exponent++) {
                char text[64];
                if (fraction == 0)
                    snprintf(text, sizeof(text), "%" PRId64 "e%d", digits, exponent);
                else
                    snprintf(text, sizeof(text), "%" PRId64 ".%0*" PRId64 "e%d",
                             digits / power[fraction], fraction, digits % power[fraction],
                             exponent);
                for (int scale = 0; scale <= 6; scale += 3) {
                    int shift = exponent - fraction + scale;
                    int64_t want = shift >= 0 ? digits * power[shift] : digits / power[-shift];
                    bool exact = shift >= 0 || digits % power[-shift] == 0;
                    int64_t got = UNTOUCHED;
                    enum money_parse result = money_parse(span_of(text), scale, &got);
                    ck_assert_msg(result == (exact ? MONEY_OK : MONEY_INEXACT), "%s", text);
                    ck_assert_msg(got == want, "%s at %d", text, scale);
                }
            }
        }
    }
}
END_TEST

/* A number as long as a body may be takes linear time, and its digits count. */
START_TEST(long_numbers)
{
    const size_t n = 1000000;
    char *text = malloc(n);
    ck_assert_ptr_nonnull(text);
    memset(text, '0', n);
    text[1] = '.';
    text[n - 1] = '7';
    int64_t got = UNTOUCHED;
    ck_assert_int_eq(money_parse((struct span){text, n}, 12, &got), MONEY_INEXACT);
    ck_assert_int_eq(got, 0);
    text[1] = '0';
    ck_assert_int_eq(money_parse((struct span){text, n}, 12, &got), MONEY_OK);
    ck_assert_int_eq(got, 7000000000000);
    text[0] = '1';
    ck_assert_int_eq(money_parse((struct span){text, n}, 0, &got), MONEY_RANGE);
    free(text);
    /* an exponent that undoes a long fraction */
    ck_assert_int_eq(money_parse(SPAN("0.000000000000000000000000000025e30"), 0, &got), MONEY_OK);
    ck_assert_int_eq(got, 25);
}
END_TEST

static const struct {
    int64_t amount;
    int scale;
    const char *text;
} prints[] = {
    {0, 9, "0"},
    {0, 0, "0"},
    {123457, 9, "0.000123457"},
    {3000000, 6, "3"},
    {3750000, 6, "3.75"},
    {300000, 12, "0.0000003"},
    {1, 12, "0.000000000001"},
    {10, 12, "0.00000000001"},
    {1000000000000, 12, "1"},
    {-1, 9, "-0.000000001"},
    {-2500000000, 9, "-2.5"},
    {42, 0, "42"},
    {-42, 0, "-42"},
    {INT64_MAX, 0, "9223372036854775807"},
    {INT64_MAX, 9, "9223372036.854775807"},
    {INT64_MAX, 18, "9.223372036854775807"},
    {INT64_MIN, 0, "-9223372036854775808"},
    {INT64_MIN, 18, "-9.223372036854775808"},
};

START_TEST(amounts_become_texts)
{
    for (size_t i = 0; i < ROWS(prints); i++) {
        char out[MONEY_TEXT_MAX];
        ck_assert_ptr_eq(money_print(prints[i].amount, prints[i].scale, out), out);
        ck_assert_str_eq(out, prints[i].text);
    }
}
END_TEST

/* What is printed reads back as it was, whatever the amount. */
START_TEST(print_and_parse_agree)
{
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 30000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        int64_t amount = (int64_t)((x & INT64_MAX) >> (x % 63));
        int scale = (int)((x >> 8) % 19);
        char text[MONEY_TEXT_MAX];
        int64_t back = UNTOUCHED;
        money_print(amount, scale, text);
        ck_assert_msg(money_parse_plain(span_of(text), scale, &back) == MONEY_OK, "%s", text);
        ck_assert_msg(back == amount, "%s at %d", text, scale);
    }
}
END_TEST

START_TEST(what_a_double_holds)
{
    static const char *const finite[] = {"0",
                                         "-0",
                                         "1",
                                         "0e999",
                                         "1e308",
                                         "1.7976931348623157e308",
                                         "-1e308",
                                         "1e-999",
                                         "17976931348623157e292",
                                         "0.00017976931348623157e312"};
    static const char *const infinite[] = {
        "1e309", "1.7976931348623158e308", "1.8e308",    "-1e309", "1e999999999999999999999",
        "9e308", "17976931348623158e292",  "0.0001e313", "x",      ""};
    for (size_t i = 0; i < ROWS(finite); i++)
        ck_assert_msg(money_is_finite(span_of(finite[i])), "%s", finite[i]);
    for (size_t i = 0; i < ROWS(infinite); i++)
        ck_assert_msg(!money_is_finite(span_of(infinite[i])), "%s", infinite[i]);
    char digits[310];
    memset(digits, '1', sizeof(digits));
    ck_assert(money_is_finite((struct span){digits, 309}));
    ck_assert(!money_is_finite((struct span){digits, 310}));
}
END_TEST

START_TEST(sums_that_fit)
{
    int64_t acc = 5;
    ck_assert(money_add(&acc, -7));
    ck_assert_int_eq(acc, -2);
    ck_assert(money_add_product(&acc, 75000000, 2000000));
    ck_assert_int_eq(acc, 149999999999998);
    ck_assert(money_add_product(&acc, 0, INT64_MAX));
    ck_assert_int_eq(acc, 149999999999998);
    acc = INT64_MAX - 1;
    ck_assert(money_add(&acc, 1));
    ck_assert_int_eq(acc, INT64_MAX);
}
END_TEST

START_TEST(sums_that_do_not_fit)
{
    int64_t acc = INT64_MAX;
    ck_assert(!money_add(&acc, 1));
    ck_assert(!money_add_product(&acc, 1, 1));
    ck_assert_int_eq(acc, INT64_MAX);
    acc = 3;
    ck_assert(!money_add_product(&acc, INT64_MAX, 2));
    ck_assert(!money_add_product(&acc, INT64_C(4000000000), INT64_C(4000000000)));
    ck_assert_int_eq(acc, 3);
    acc = INT64_MIN;
    ck_assert(!money_add(&acc, -1));
    ck_assert_int_eq(acc, INT64_MIN);
}
END_TEST

START_TEST(charges_are_rounded_up)
{
    ck_assert_int_eq(money_charge_nusd(0), 0);
    ck_assert_int_eq(money_charge_nusd(1), 1);
    ck_assert_int_eq(money_charge_nusd(999), 1);
    ck_assert_int_eq(money_charge_nusd(1000), 1);
    ck_assert_int_eq(money_charge_nusd(1001), 2);
    ck_assert_int_eq(money_charge_nusd(INT64_MAX), 9223372036854776);
}
END_TEST

START_TEST(no_charge_below_zero)
{
    money_charge_nusd(-1);
}
END_TEST

Suite *money_suite(void);
Suite *money_suite(void)
{
    Suite *s = suite_create("money");
    TCase *t = tcase_create("money");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, texts_become_integers);
    tcase_add_test(t, plain_texts_are_digits);
    tcase_add_test(t, a_span_ends_where_it_says);
    tcase_add_test(t, every_small_decimal);
    tcase_add_test(t, long_numbers);
    tcase_add_test(t, amounts_become_texts);
    tcase_add_test(t, print_and_parse_agree);
    tcase_add_test(t, what_a_double_holds);
    tcase_add_test(t, sums_that_fit);
    tcase_add_test(t, sums_that_do_not_fit);
    tcase_add_test(t, charges_are_rounded_up);
    tcase_add_test_raise_signal(t, no_charge_below_zero, 6);
    suite_add_tcase(s, t);
    return s;
}
