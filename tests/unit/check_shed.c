#define _GNU_SOURCE
/* The load: who gets in, who is refused, and that nothing of it is left behind. */
#include <check.h>
#include <stdlib.h>

#include "server/shed.h"

enum { LOAD = 8, BYTES = 64 * SHED_GRAIN, SLOTS_MAX = 64 };

static struct shed *shed;
static struct shed_slot slots[SLOTS_MAX];
static int n_slots;

static void setup(void)
{
    shed = shed_new(LOAD, BYTES);
    ck_assert_ptr_nonnull(shed);
    n_slots = 0;
}

static void teardown(void)
{
    for (int i = 0; i < n_slots; i++) {
        shed_give(shed, &slots[i]);
    }
    shed_free(shed); /* asserts that nothing is in flight */
}

static bool take(int64_t key, int64_t bytes)
{
    ck_assert_int_lt(n_slots, SLOTS_MAX);
    return shed_take(shed, key, bytes, true, &slots[n_slots]) == SHED_IN && ++n_slots > 0;
}

static int take_all(int64_t key, int64_t bytes)
{
    int n = 0;
    while (take(key, bytes)) {
        n++;
    }
    return n;
}

static struct shed_numbers look(void)
{
    struct shed_numbers n;
    shed_look(shed, &n);
    return n;
}

START_TEST(one_key_has_the_load)
{
    ck_assert_int_eq(take_all(1, 0), LOAD);
    ck_assert_int_eq(look().requests, LOAD);
    ck_assert_int_eq(look().bytes, LOAD * SHED_GRAIN);
    shed_give(shed, &slots[--n_slots]);
    ck_assert(take(1, 0));
    ck_assert(!take(1, 0));
}
END_TEST

START_TEST(a_share_is_left_to_the_others)
{
    ck_assert_int_eq(take_all(1, 0), LOAD);
    ck_assert_int_eq(take_all(2, 0), LOAD / 2);
    ck_assert_int_eq(take_all(3, 0), LOAD / 3);
    ck_assert(!take(1, 0));
    ck_assert(!take(2, 0));
    /* whoever has most waits, until it is no more than the rest */
    for (int i = 0; i < LOAD; i++) {
        shed_give(shed, &slots[i]);
    }
    ck_assert_int_eq(look().keys, 2);
    ck_assert(take(1, 0));
}
END_TEST

START_TEST(nobody_above_the_ceiling)
{
    for (int64_t key = 1; key <= LOAD; key++) {
        ck_assert(take(key, 0));
        ck_assert(take(key, 0) || key > LOAD / 2); /* above the load the share is one */
    }
    take_all(100, 0);
    for (int64_t key = 101; key < 120; key++) {
        take(key, 0);
        ck_assert_int_le(look().requests, LOAD * SHED_REQUESTS_OVER);
    }
}
END_TEST

START_TEST(bytes_count_in_grains)
{
    int64_t load = BYTES - BYTES / SHED_BYTES_PARTS;
    ck_assert(take(1, 1));
    ck_assert_int_eq(look().bytes, SHED_GRAIN);
    ck_assert(take(1, load - SHED_GRAIN));
    ck_assert_int_eq(look().bytes, load);
    ck_assert(!take(1, 1));            /* all that the load has room for is its own */
    ck_assert(!take(2, load / 2 + 1)); /* more than a share */
    ck_assert(!take(2, load / 2));     /* a share, but above the ceiling */
    ck_assert(take(2, BYTES - load));
    ck_assert_int_eq(look().bytes, BYTES);
    ck_assert(!take(3, 1));
}
END_TEST

START_TEST(bytes_grow_and_shrink)
{
    ck_assert(take(1, 1));
    ck_assert(shed_resize(shed, &slots[0], 10 * SHED_GRAIN + 1, false));
    ck_assert_int_eq(look().bytes, 11 * SHED_GRAIN);
    ck_assert(!shed_resize(shed, &slots[0], BYTES + 1, false));
    ck_assert_int_eq(look().bytes, 11 * SHED_GRAIN);
    ck_assert(shed_resize(shed, &slots[0], BYTES + 1, true)); /* an answer that was paid for */
    ck_assert_int_eq(look().bytes, BYTES + SHED_GRAIN);
    ck_assert(!take(2, 1));
    ck_assert(shed_resize(shed, &slots[0], 0, false));
    ck_assert_int_eq(look().bytes, SHED_GRAIN);
}
END_TEST

START_TEST(uploads_are_told_apart)
{
    struct shed_slot moved = {0}, none = {0};
    ck_assert(take(7, 1) && take(7, 1));
    ck_assert_int_eq(shed_uploading(shed, 7), 2);
    shed_uploaded(shed, &slots[0]);
    shed_uploaded(shed, &slots[0]);
    ck_assert_int_eq(shed_uploading(shed, 7), 1);
    shed_move(&moved, &slots[1]);
    shed_give(shed, &slots[1]); /* has none any more */
    ck_assert_int_eq(look().requests, 2);
    shed_give(shed, &moved);
    shed_give(shed, &moved);
    ck_assert_int_eq(shed_uploading(shed, 7), 0);
    ck_assert_int_eq(look().requests, 1);
    ck_assert(shed_resize(shed, &none, BYTES * 2, false));
    ck_assert_int_eq(shed_take(shed, 8, 1, false, &none), SHED_IN);
    ck_assert_int_eq(shed_uploading(shed, 8), 0);
    shed_uploaded(shed, &none);
    shed_give(shed, &none);
    ck_assert_int_eq(shed_uploading(shed, 8), 0);
}
END_TEST

/* Whatever happens: the sums are those of the slots, and never above the ceilings. */
START_TEST(at_random)
{
    unsigned seed = 42;
    for (int i = 0; i < 20000; i++) {
        int at = n_slots > 0 ? rand_r(&seed) % n_slots : 0;
        if (rand_r(&seed) % 2 == 0 && n_slots < SLOTS_MAX) {
            take(rand_r(&seed) % 5, rand_r(&seed) % (8 * SHED_GRAIN));
        } else if (n_slots > 0 && rand_r(&seed) % 2 == 0) {
            shed_resize(shed, &slots[at], rand_r(&seed) % (8 * SHED_GRAIN), false);
        } else if (n_slots > 0) {
            shed_give(shed, &slots[at]);
            slots[at] = slots[--n_slots];
        }
        int64_t bytes = 0;
        for (int s = 0; s < n_slots; s++) {
            bytes += slots[s].bytes;
        }
        ck_assert_int_eq(look().requests, n_slots);
        ck_assert_int_eq(look().bytes, bytes);
        ck_assert_int_le(look().bytes, BYTES);
        ck_assert_int_le(look().requests, LOAD * SHED_REQUESTS_OVER);
    }
}
END_TEST

Suite *shed_suite(void);
Suite *shed_suite(void)
{
    Suite *s = suite_create("shed");
    TCase *tc = tcase_create("shed");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, one_key_has_the_load);
    tcase_add_test(tc, a_share_is_left_to_the_others);
    tcase_add_test(tc, nobody_above_the_ceiling);
    tcase_add_test(tc, bytes_count_in_grains);
    tcase_add_test(tc, bytes_grow_and_shrink);
    tcase_add_test(tc, uploads_are_told_apart);
    tcase_add_test(tc, at_random);
    suite_add_tcase(s, tc);
    return s;
}
