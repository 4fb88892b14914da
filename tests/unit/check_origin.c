/* Ids and where they came from. */
#include <check.h>
#include <stdio.h>

#include "router/origin.h"

Suite *origin_suite(void);

static const int64_t T0 = INT64_C(1800000000000);
static struct origins *all;

static void set_up(void)
{
    all = origins_new();
}

static void tear_down(void)
{
    origins_free(all);
}

static void note(int64_t team, const char *id, int64_t provider, int64_t now_ms)
{
    origins_note(all, team, span_of(id), &(struct origin){provider, 7}, now_ms);
}

/* The provider; 0 = not known. */
static int64_t find(int64_t team, const char *id, int64_t now_ms)
{
    struct origin from;
    return origins_find(all, team, span_of(id), now_ms, &from) ? from.provider_id : 0;
}

START_TEST(what_was_noted_is_found)
{
    ck_assert_int_eq(find(1, "msg_a", T0), 0);
    note(1, "msg_a", 5, T0);
    note(1, "msg_b", 6, T0);
    ck_assert_int_eq(find(1, "msg_a", T0), 5);
    ck_assert_int_eq(find(1, "msg_b", T0), 6);
    note(1, "msg_a", 9, T0);
    ck_assert_int_eq(find(1, "msg_a", T0), 9);
}
END_TEST

START_TEST(another_teams_is_not)
{
    note(1, "msg_a", 5, T0);
    ck_assert_int_eq(find(2, "msg_a", T0), 0);
    ck_assert_int_eq(find(1, "msg_", T0), 0);
}
END_TEST

START_TEST(it_is_forgotten)
{
    note(1, "msg_a", 5, T0);
    ck_assert_int_eq(find(1, "msg_a", T0 + ORIGIN_KEEP_MS - 1), 5);
    ck_assert_int_eq(find(1, "msg_a", T0 + ORIGIN_KEEP_MS), 0);
    note(1, "msg_a", 6, T0 + ORIGIN_KEEP_MS);
    ck_assert_int_eq(find(1, "msg_a", T0 + ORIGIN_KEEP_MS), 6);
}
END_TEST

/* The newest stay when there are more than fit. */
START_TEST(the_oldest_make_room)
{
    enum { MANY = ORIGIN_SETS * ORIGIN_WAYS * 2, NEWEST = ORIGIN_SETS };
    char id[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "msg_%d", i);
        note(1, id, i + 1, T0 + i);
    }
    int found = 0;
    for (int i = MANY - NEWEST; i < MANY; i++) {
        snprintf(id, sizeof id, "msg_%d", i);
        found += find(1, id, T0 + MANY) == i + 1;
    }
    ck_assert_int_ge(found, NEWEST * 99 / 100);
    ck_assert_int_eq(find(1, "msg_0", T0 + MANY), 0);
}
END_TEST

Suite *origin_suite(void)
{
    Suite *s = suite_create("origin");
    TCase *t = tcase_create("origin");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, what_was_noted_is_found);
    tcase_add_test(t, another_teams_is_not);
    tcase_add_test(t, it_is_forgotten);
    tcase_add_test(t, the_oldest_make_room);
    suite_add_tcase(s, t);
    return s;
}
