/* Units of an arm, numbered as they come. */
#include <check.h>

#include "router/units.h"

START_TEST(numbers_in_order)
{
    struct units u = {0};
    ck_assert_int_eq(units_find(&u, 5), -1);
    ck_assert_int_eq(units_add(&u, 5), 0);
    ck_assert_int_eq(units_add(&u, -5), 1);
    ck_assert_int_eq(units_add(&u, 0), 2); /* a hash like any other */
    ck_assert_int_eq(units_add(&u, 5), 0);
    ck_assert_int_eq(units_add(&u, INT64_MIN), 3);
    ck_assert_int_eq(units_find(&u, -5), 1);
    ck_assert_int_eq(units_find(&u, 0), 2);
    ck_assert_int_eq(units_find(&u, 6), -1);
    ck_assert_uint_eq(u.n, 4);
    ck_assert_uint_eq(u.most, 2);
    units_done(&u);
    ck_assert_uint_eq(u.n, 0);
}
END_TEST

/* Hashes that all want the same slot, and a table that grows under them. */
START_TEST(many)
{
    enum { MANY = 5000 };
    struct units u = {0};
    for (int64_t round = 0; round < 2; round++) {
        for (int64_t i = 0; i < MANY; i++)
            ck_assert_int_eq(units_add(&u, i << 40), i);
    }
    ck_assert_uint_eq(u.n, MANY);
    ck_assert_uint_eq(u.most, 2);
    ck_assert_uint_ge(u.n_slots * 3 / 4, MANY);
    for (int64_t i = 0; i < MANY; i++)
        ck_assert_int_eq(units_find(&u, i << 40), i);
    units_done(&u);
}
END_TEST

Suite *units_suite(void);
Suite *units_suite(void)
{
    Suite *s = suite_create("units");
    TCase *t = tcase_create("units");
    tcase_add_test(t, numbers_in_order);
    tcase_add_test(t, many);
    suite_add_tcase(s, t);
    return s;
}
