/* Unit tests of schema/buf.c. */
#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "schema/buf.h"

static struct buf b;

static void teardown(void)
{
    buf_done(&b);
}

static void expect(const char *text)
{
    ck_assert_uint_eq(b.len, strlen(text));
    ck_assert_uint_gt(b.cap, b.len);
    ck_assert_str_eq(b.ptr, text);
}

START_TEST(starts_empty_without_memory)
{
    buf_init(&b, 10);
    ck_assert_ptr_null(b.ptr);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_uint_eq(b.cap, 0);
    ck_assert(!b.failed);
    ck_assert_uint_eq(buf_span(&b).len, 0);
}
END_TEST

START_TEST(adds_in_every_form)
{
    buf_init(&b, 100);
    ck_assert(buf_add(&b, "ab", 2));
    ck_assert(buf_adds(&b, "cd"));
    ck_assert(buf_addc(&b, 'e'));
    ck_assert(buf_add_span(&b, SPAN("fg")));
    ck_assert(buf_addf(&b, "-%d-%s", 42, "x"));
    expect("abcdefg-42-x");
}
END_TEST

START_TEST(nothing_is_addable)
{
    buf_init(&b, 0);
    ck_assert(buf_add(&b, NULL, 0));
    ck_assert(buf_add_span(&b, (struct span){NULL, 0}));
    ck_assert(buf_adds(&b, ""));
    ck_assert(buf_addf(&b, "%s", ""));
    ck_assert(!buf_addc(&b, 'x'));
    ck_assert(b.failed);
}
END_TEST

START_TEST(holds_exactly_its_maximum)
{
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        ck_assert(buf_addc(&b, 'x'));
    ck_assert_uint_eq(b.len, 1000);
    ck_assert_uint_le(b.cap, 1001);
    ck_assert(!buf_addc(&b, 'y'));
    ck_assert_uint_eq(b.len, 1000);
    ck_assert_int_eq(b.ptr[999], 'x');
    ck_assert_int_eq(b.ptr[1000], '\0');
}
END_TEST

START_TEST(failure_is_sticky_and_keeps_content)
{
    buf_init(&b, 5);
    ck_assert(buf_adds(&b, "abc"));
    ck_assert(!buf_adds(&b, "def"));
    ck_assert(b.failed);
    expect("abc");
    ck_assert(!buf_adds(&b, "d"));
    ck_assert(!buf_addf(&b, "%d", 1));
    ck_assert(!buf_reserve(&b, 0));
    expect("abc");
    buf_reset(&b);
    ck_assert(!b.failed);
    ck_assert(buf_adds(&b, "defgh"));
    expect("defgh");
}
END_TEST

START_TEST(addf_refuses_what_does_not_fit_whole)
{
    buf_init(&b, 8);
    ck_assert(buf_adds(&b, "1234"));
    ck_assert(!buf_addf(&b, "%05d", 7));
    expect("1234");
    buf_reset(&b);
    ck_assert(buf_addf(&b, "%08d", 7));
    expect("00000007");
}
END_TEST

START_TEST(reserve_cannot_overflow)
{
    buf_init(&b, 100);
    ck_assert(buf_adds(&b, "abc"));
    ck_assert(!buf_reserve(&b, SIZE_MAX));
    expect("abc");
    buf_reset(&b);
    ck_assert(!buf_reserve(&b, SIZE_MAX - 2));
    buf_reset(&b);
    ck_assert(buf_reserve(&b, 100));
    ck_assert_uint_eq(b.cap, 101);
}
END_TEST

START_TEST(consume_drops_the_front)
{
    buf_init(&b, 100);
    buf_consume(&b, 0);
    ck_assert(buf_adds(&b, "abcdef"));
    buf_consume(&b, 0);
    expect("abcdef");
    buf_consume(&b, 2);
    expect("cdef");
    buf_consume(&b, 4);
    expect("");
}
END_TEST

START_TEST(consume_more_than_there_is_asserts)
{
    buf_init(&b, 100);
    ck_assert(buf_adds(&b, "abc"));
    buf_consume(&b, 4);
}
END_TEST

START_TEST(reset_keeps_memory_done_frees_it)
{
    buf_init(&b, 1000);
    ck_assert(buf_addf(&b, "%0500d", 1));
    size_t cap = b.cap;
    buf_reset(&b);
    ck_assert_uint_eq(b.cap, cap);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_str_eq(b.ptr, "");
    buf_done(&b);
    ck_assert_ptr_null(b.ptr);
    ck_assert_uint_eq(b.max, 1000);
    ck_assert(buf_adds(&b, "again"));
    expect("again");
}
END_TEST

START_TEST(keeps_nul_bytes)
{
    buf_init(&b, 100);
    ck_assert(buf_add(&b, "a\0b", 3));
    ck_assert(buf_addc(&b, '\0'));
    ck_assert_uint_eq(b.len, 4);
    ck_assert_mem_eq(b.ptr, "a\0b\0", 5);
}
END_TEST

Suite *buf_suite(void);
Suite *buf_suite(void)
{
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("buf");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, starts_empty_without_memory);
    tcase_add_test(t, adds_in_every_form);
    tcase_add_test(t, nothing_is_addable);
    tcase_add_test(t, holds_exactly_its_maximum);
    tcase_add_test(t, failure_is_sticky_and_keeps_content);
    tcase_add_test(t, addf_refuses_what_does_not_fit_whole);
    tcase_add_test(t, reserve_cannot_overflow);
    tcase_add_test(t, consume_drops_the_front);
    tcase_add_test_raise_signal(t, consume_more_than_there_is_asserts, SIGABRT);
    tcase_add_test(t, reset_keeps_memory_done_frees_it);
    tcase_add_test(t, keeps_nul_bytes);
    suite_add_tcase(s, t);
    return s;
}
