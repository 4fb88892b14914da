#define _GNU_SOURCE
/* Via: whose name it holds, what is said further on, how much of it there may be. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "server/loop.h"

#define A "wayfare-00112233445566aa"
#define B "wayfare-00112233445566bb"

Suite *loop_suite(void);

START_TEST(names_are_drawn)
{
    char one[LOOP_NAME_MAX], other[LOOP_NAME_MAX];
    loop_draw_name(one);
    loop_draw_name(other);
    ck_assert_uint_eq(strlen(one), strlen(A));
    ck_assert_str_ne(one, other);
}
END_TEST

START_TEST(who_is_named)
{
    static const struct {
        const char *via;
        bool closed;
        const char *further; /* as A says it */
    } rows[] = {
        {"", false, "1.1 " A},
        {"1.1 " A, true, NULL},
        {"1.1 " B, false, "1.1 " B ", 1.1 " A},
        {"1.1 " B ",1.1 " A, true, NULL},
        {"1.0 squid (squid/6.1), \t1.1 " B " , HTTP/1.1 varnish", false, "1.1 " B ", 1.1 " A},
        {"1.1 " A "7", false, "1.1 " A "7, 1.1 " A},
        {"1.1 wayfare-", false, "1.1 " A},
        {",,, ,", false, "1.1 " A},
    };
    char out[LOOP_VIA_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(loop_is_closed(span_of(rows[i].via), A) == rows[i].closed, "%s", rows[i].via);
        if (rows[i].further != NULL)
            ck_assert_str_eq(loop_via(span_of(rows[i].via), A, out), rows[i].further);
    }
}
END_TEST

/* A chain of servers grows until there is no room for another name, and no longer. */
START_TEST(too_many)
{
    char via[LOOP_VIA_MAX] = "", next[LOOP_VIA_MAX], name[LOOP_NAME_MAX];
    int n = 0;
    for (; n < 1000 && !loop_is_closed(span_of(via), A); n++) {
        snprintf(name, sizeof name, "wayfare-%016x", (unsigned)n);
        loop_via(span_of(via), name, next);
        ck_assert_uint_eq(strlen(next), strlen(via) + (n > 0 ? 2 : 0) + 4 + strlen(name));
        memcpy(via, next, sizeof via);
    }
    ck_assert_int_ge(n, 12);
    ck_assert_int_lt(n, 1000);
}
END_TEST

Suite *loop_suite(void)
{
    Suite *s = suite_create("loop");
    TCase *t = tcase_create("via");
    tcase_add_test(t, names_are_drawn);
    tcase_add_test(t, who_is_named);
    tcase_add_test(t, too_many);
    suite_add_tcase(s, t);
    return s;
}
