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
    struct loop_trail t = {.closed = false};
    loop_draw_name(one);
    loop_draw_name(other);
    ck_assert_str_ne(one, other);
    loop_pass(&t, one);
    ck_assert(!t.closed);
    loop_read(&t, span_of(t.via), one);
    ck_assert(t.closed);
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
        {"1.0 " A, true, NULL},
        {"HTTP/1.1\t " A " (a comment)", true, NULL},
        {"2 " A "(tight)", true, NULL},
        {"1.1 " B, false, "1.1 " B ", 1.1 " A},
        {"1.1 " B ",1.1 " A, true, NULL},
        {"1.0 squid (squid/6.1), \t1.1 " B " , HTTP/1.1 varnish", false, "1.1 " B ", 1.1 " A},
        {"1.1 " A "7", false, "1.1 " A},
        {"1.1 wayfare-\303\251, 1.1 wayfare-00112233445566a\"", false, "1.1 " A},
        {"1.1 wayfare-", false, "1.1 " A},
        {A, false, "1.1 " A}, /* no protocol: not of this field's form */
        {",,, ,", false, "1.1 " A},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct loop_trail t = {.closed = false};
        loop_read(&t, span_of(rows[i].via), A);
        ck_assert_msg(t.closed == rows[i].closed, "%s", rows[i].via);
        loop_pass(&t, A);
        if (rows[i].further != NULL)
            ck_assert_str_eq(t.via, rows[i].further);
    }
}
END_TEST

/* A chain of servers grows until there is no room for another name, and no longer. */
START_TEST(too_many)
{
    struct loop_trail t = {.closed = false};
    int n = 0;
    for (; n < 1000 && !t.closed; n++) {
        char name[LOOP_NAME_MAX];
        struct loop_trail next = {.closed = false};
        snprintf(name, sizeof name, "wayfare-%016x", (unsigned)n);
        loop_read(&next, span_of(t.via), name);
        ck_assert(!next.closed);
        loop_pass(&next, name);
        t = next;
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
