#define _GNU_SOURCE
/* Rate limits against a clock of our own, and against a naive list of what was taken. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "router/rate.h"

static struct rate *rate;

static void setup(void)
{
    rate = rate_new();
    ck_assert_ptr_nonnull(rate);
}

static void teardown(void)
{
    rate_free(rate);
}

static struct rate_numbers limits(int64_t rpm, int64_t tpm, int64_t concurrency)
{
    return (struct rate_numbers){{rpm, tpm, concurrency}};
}

static struct rate_numbers used(int64_t key, int64_t now_ms)
{
    struct rate_numbers u;
    rate_look(rate, key, now_ms, &u);
    return u;
}

/* ---- tables: what is done at which time, and what must come of it ---- */

enum step { TAKE, END, BACK };

/* t counts the takes that went well from 0.  wait: -2 = it fits. */
struct line {
    int64_t at_ms;
    enum step step;
    int n;          /* TAKE: tokens; END, BACK: which ticket */
    int64_t result; /* TAKE: -2 or the wait; END: tokens used */
    enum rate_limit by;
};

static void play(struct rate_numbers l, const struct line *lines, size_t n)
{
    struct rate_ticket tickets[64] = {{0}};
    int n_tickets = 0;
    for (size_t i = 0; i < n; i++) {
        const struct line *x = &lines[i];
        struct rate_refusal why = {0}, look = {0};
        if (x->step == END) {
            rate_end(rate, &tickets[x->n], x->result, x->at_ms);
        } else if (x->step == BACK) {
            rate_give_back(rate, &tickets[x->n], x->at_ms);
        } else {
            enum rate_verdict before = rate_check(rate, 1, &l, x->n, x->at_ms, &look);
            enum rate_verdict v = rate_take(rate, 1, &l, x->n, x->at_ms, &tickets[n_tickets], &why);
            ck_assert_int_eq(before, v);
            ck_assert_msg((v == RATE_OK) == (x->result == -2), "line %zu", i);
            n_tickets += v == RATE_OK;
            if (v == RATE_REFUSED) {
                ck_assert_msg(why.wait_ms == x->result, "line %zu: waits %lld, not %lld", i,
                              (long long)why.wait_ms, (long long)x->result);
                ck_assert_msg(why.limit == x->by, "line %zu", i);
                ck_assert_int_eq(look.wait_ms, why.wait_ms);
            }
        }
    }
}
#define PLAY(l, ...)                                                                               \
    do {                                                                                           \
        static const struct line lines[] = {__VA_ARGS__};                                          \
        play(l, lines, sizeof(lines) / sizeof(lines[0]));                                          \
    } while (0)

START_TEST(requests_leave_the_window_after_a_minute)
{
    PLAY(limits(3, 0, 0), {1500, TAKE, 9, -2, 0}, {1900, TAKE, 9, -2, 0}, {30000, TAKE, 9, -2, 0},
         {30001, TAKE, 9, 31999, RATE_RPM}, /* the first two leave at 62,000 */
         {61500, TAKE, 9, 500, RATE_RPM},   /* 60 s after the first, still */
         {61999, TAKE, 9, 1, RATE_RPM}, {62000, TAKE, 9, -2, 0}, {62000, TAKE, 9, -2, 0},
         {62001, TAKE, 9, 28999, RATE_RPM}, /* now the third: at 91,000 */
         {91000, TAKE, 9, -2, 0}, {500000, TAKE, 9, -2, 0});
}
END_TEST

START_TEST(a_burst_fits_up_to_the_limit)
{
    PLAY(limits(5, 0, 0), {0, TAKE, 1, -2, 0}, {0, TAKE, 1, -2, 0}, {0, TAKE, 1, -2, 0},
         {0, TAKE, 1, -2, 0}, {0, TAKE, 1, -2, 0}, {0, TAKE, 1, 61000, RATE_RPM},
         {60999, TAKE, 1, 1, RATE_RPM}, {61000, TAKE, 1, -2, 0});
}
END_TEST

START_TEST(what_ends_still_counts_for_the_minute)
{
    PLAY(limits(1, 0, 0), {0, TAKE, 1, -2, 0}, {10, END, 0, 5, 0}, {20, TAKE, 1, 60980, RATE_RPM});
}
END_TEST

START_TEST(what_is_given_back_does_not)
{
    PLAY(limits(1, 100, 1), {0, TAKE, 100, -2, 0}, {10, BACK, 0, 0, 0}, {20, TAKE, 100, -2, 0});
    struct rate_numbers u = used(1, 20);
    ck_assert_int_eq(u.n[RATE_RPM], 1);
    ck_assert_int_eq(u.n[RATE_TPM], 100);
    ck_assert_int_eq(u.n[RATE_CONCURRENCY], 1);
}
END_TEST

START_TEST(given_back_when_its_slot_has_left)
{
    PLAY(limits(0, 0, 0), {0, TAKE, 100, -2, 0}, {0, TAKE, 7, -2, 0}, {300000, TAKE, 5, -2, 0},
         {300001, BACK, 0, 0, 0}, {300001, END, 1, 9, 0});
    struct rate_numbers u = used(1, 300001);
    ck_assert_int_eq(u.n[RATE_RPM], 1);
    ck_assert_int_eq(u.n[RATE_TPM], 5 + 2); /* two more than estimated: known now */
    ck_assert_int_eq(u.n[RATE_CONCURRENCY], 1);
}
END_TEST

START_TEST(running_requests_are_counted)
{
    PLAY(limits(0, 0, 2), {0, TAKE, 1, -2, 0}, {0, TAKE, 1, -2, 0},
         {1, TAKE, 1, 1000, RATE_CONCURRENCY}, {900000, TAKE, 1, 1000, RATE_CONCURRENCY},
         {900001, END, 1, 0, 0}, {900001, TAKE, 1, -2, 0},
         {900001, TAKE, 1, 1000, RATE_CONCURRENCY}, {900002, BACK, 2, 0, 0},
         {900002, TAKE, 1, -2, 0});
}
END_TEST

START_TEST(tokens_are_estimated_then_known)
{
    PLAY(limits(0, 1000, 0), {0, TAKE, 600, -2, 0}, {0, TAKE, 600, 61000, RATE_TPM},
         {500, END, 0, 100, 0}, /* it used less: 900 are free */
         {501, TAKE, 900, -2, 0}, {502, TAKE, 1, 60498, RATE_TPM},
         {2000, END, 1, 2500, 0},          /* it used more: 1,600 of it from second 2 on */
         {61500, TAKE, 1, 1500, RATE_TPM}, /* slot 0 has left; until slot 2 does */
         {63000, TAKE, 1000, -2, 0}, {63000, END, 2, 1000, 0}, {63001, TAKE, 1, 60999, RATE_TPM});
}
END_TEST

START_TEST(what_can_never_fit_is_told_so)
{
    PLAY(limits(1, 1000, 0), {0, TAKE, 1001, -1, RATE_TPM}, {0, TAKE, 1000, -2, 0},
         {0, TAKE, 1001, -1, RATE_TPM}, /* and not that it should wait for the others */
         {0, TAKE, 1000, 61000, RATE_RPM});
}
END_TEST

START_TEST(the_longest_wait_is_told)
{
    PLAY(limits(2, 100, 2), {0, TAKE, 10, -2, 0}, {30000, TAKE, 90, -2, 0},
         {31000, TAKE, 5, 30000, RATE_RPM},   /* rpm and 5 tokens at 61,000; concurrency 1,000 */
         {31000, TAKE, 11, 60000, RATE_TPM}); /* the second's tokens too: at 91,000 */
}
END_TEST

START_TEST(all_three_or_none)
{
    struct rate_numbers l = limits(10, 100, 1);
    struct rate_ticket a = {0}, b = {0};
    struct rate_refusal why;
    ck_assert_int_eq(rate_take(rate, 5, &l, 40, 0, &a, &why), RATE_OK);
    ck_assert_int_eq(rate_take(rate, 5, &l, 40, 0, &b, &why), RATE_REFUSED);
    ck_assert(!b.taken);
    ck_assert_int_eq(why.max, 1);
    ck_assert_int_eq(why.used, 1);
    struct rate_numbers u = used(5, 0);
    ck_assert_int_eq(u.n[RATE_RPM], 1);
    ck_assert_int_eq(u.n[RATE_TPM], 40);
    rate_end(rate, &b, 10, 0); /* nothing */
    rate_end(rate, &a, 40, 0);
    rate_end(rate, &a, 40, 0);   /* again: nothing */
    rate_give_back(rate, &a, 0); /* nothing */
    u = used(5, 0);
    ck_assert_int_eq(u.n[RATE_RPM], 1);
    ck_assert_int_eq(u.n[RATE_CONCURRENCY], 0);
}
END_TEST

START_TEST(limits_may_change_at_any_time)
{
    struct rate_numbers five = limits(5, 0, 0), two = limits(2, 0, 0), none = limits(0, 0, 0);
    struct rate_ticket t;
    struct rate_refusal why;
    for (int i = 0; i < 4; i++) /* counted without a limit too */
        ck_assert_int_eq(rate_take(rate, 1, &none, 1, i * 1000, &t, &why), RATE_OK);
    ck_assert_int_eq(rate_take(rate, 1, &two, 1, 4000, &t, &why), RATE_REFUSED);
    ck_assert_int_eq(why.used, 4);
    ck_assert_int_eq(why.wait_ms, 63000 - 4000); /* three must leave */
    ck_assert_int_eq(rate_take(rate, 1, &five, 1, 4000, &t, &why), RATE_OK);
    ck_assert_int_eq(rate_take(rate, 1, &five, 1, 4000, &t, &why), RATE_REFUSED);
    ck_assert_int_eq(why.wait_ms, 61000 - 4000);
}
END_TEST

START_TEST(keys_do_not_meet)
{
    struct rate_numbers l = limits(1, 0, 0);
    struct rate_ticket t;
    struct rate_refusal why;
    for (int64_t key = 1; key <= 10000; key++)
        ck_assert_int_eq(rate_take(rate, key, &l, 1, 5, &t, &why), RATE_OK);
    for (int64_t key = 1; key <= 10000; key++)
        ck_assert_int_eq(rate_take(rate, key, &l, 1, 6, &t, &why), RATE_REFUSED);
}
END_TEST

START_TEST(a_clock_that_steps_back_frees_nothing)
{
    struct rate_numbers l = limits(2, 0, 0);
    struct rate_ticket t;
    struct rate_refusal why;
    ck_assert_int_eq(rate_take(rate, 1, &l, 1, 100000, &t, &why), RATE_OK);
    ck_assert_int_eq(rate_take(rate, 1, &l, 1, 20000, &t, &why), RATE_OK);
    ck_assert_int_eq(t.second, 100);
    ck_assert_int_eq(rate_take(rate, 1, &l, 1, 90000, &t, &why), RATE_REFUSED);
    ck_assert_int_eq(why.wait_ms, 61000);
    ck_assert_int_eq(used(1, 0).n[RATE_RPM], 2);
}
END_TEST

START_TEST(idle_keys_are_forgotten)
{
    struct rate_numbers none = limits(0, 0, 0);
    struct rate_ticket t, kept;
    struct rate_refusal why;
    rate_take(rate, 100000, &none, 1, 0, &kept, &why);
    for (int64_t key = 0; key < 5000; key++) {
        rate_take(rate, key, &none, 1, 0, &t, &why);
        rate_end(rate, &t, 1, 0);
    }
    ck_assert_int_eq(rate_keys(rate), 5001);
    for (int64_t key = 0; key < 4096; key++) { /* 16 shards of 256 chains */
        rate_take(rate, 200000 + key % 16, &none, 1, 62000, &t, &why);
        rate_end(rate, &t, 1, 62000);
    }
    ck_assert_int_eq(rate_keys(rate), 1 + 16);
    ck_assert_int_eq(used(100000, 62000).n[RATE_CONCURRENCY], 1); /* it still runs */
    rate_end(rate, &kept, 1, 62000);
}
END_TEST

START_TEST(absurd_figures_do_no_harm)
{
    struct rate_numbers l = limits(0, 100, 0);
    struct rate_ticket t;
    struct rate_refusal why;
    ck_assert_int_eq(rate_take(rate, 1, &l, INT64_MAX, 0, &t, &why), RATE_REFUSED);
    ck_assert_int_eq(why.wait_ms, -1);
    ck_assert_int_eq(rate_take(rate, 1, &l, -5, 0, &t, &why), RATE_OK);
    rate_end(rate, &t, INT64_MAX, 0);
    ck_assert_int_eq(rate_take(rate, 1, &l, 1, 0, &t, &why), RATE_REFUSED);
    ck_assert_int_eq(why.wait_ms, 61000);
    ck_assert_int_eq(rate_take(rate, 1, &l, 1, 61000, &t, &why), RATE_OK);
}
END_TEST

/* ---- against a list ---- */

enum { RANDOM_STEPS = 20000 };
struct taken {
    int64_t at_ms, tokens;
    struct rate_ticket ticket;
};

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* No 60 s hold more than the limit, and who is refused would have been too many in 61 s. */
START_TEST(no_minute_holds_more_than_the_limit)
{
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i;
    int64_t rpm = 1 + (int64_t)(draw(&seed) % 40), now_ms = 0;
    struct rate_numbers l = limits(rpm, 0, 0);
    struct taken *list = calloc(RANDOM_STEPS, sizeof(*list));
    int n = 0, oldest = 0;
    for (int i = 0; i < RANDOM_STEPS; i++) {
        now_ms += (int64_t)(draw(&seed) % 4 == 0 ? draw(&seed) % 9000 : draw(&seed) % 700);
        struct rate_refusal why = {0};
        while (oldest < n && list[oldest].at_ms <= now_ms - 61000)
            oldest++;
        if (rate_take(rate, 1, &l, 1, now_ms, &list[n].ticket, &why) == RATE_OK) {
            list[n].at_ms = now_ms;
            n++;
            ck_assert(n <= rpm || now_ms - list[n - 1 - rpm].at_ms >= 60000);
            if (draw(&seed) % 5 == 0) { /* refused after all */
                n--;
                rate_give_back(rate, &list[n].ticket, now_ms);
            } else {
                rate_end(rate, &list[n - 1].ticket, 1, now_ms);
            }
        } else {
            ck_assert_int_ge(n - oldest, rpm);
            ck_assert(why.wait_ms > 0 && why.wait_ms <= 61000);
            struct rate_refusal then;
            ck_assert_int_eq(rate_check(rate, 1, &l, 1, now_ms, &then), RATE_REFUSED);
            if (draw(&seed) % 3 == 0) { /* the wait is exact */
                struct rate_ticket t;
                ck_assert_int_eq(rate_check(rate, 1, &l, 1, now_ms + why.wait_ms - 1, &then),
                                 RATE_REFUSED);
                now_ms += why.wait_ms;
                ck_assert_int_eq(rate_take(rate, 1, &l, 1, now_ms, &t, &then), RATE_OK);
                rate_give_back(rate, &t, now_ms);
            }
        }
    }
    ck_assert_int_gt(n, 100);
    free(list);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, AT_ONCE = 3, BUDGET = 5000 };
static atomic_int running, most, admitted;

static void *hammer(void *arg)
{
    struct rate_numbers l = limits(BUDGET, 0, AT_ONCE);
    uint64_t seed = (uint64_t)(uintptr_t)arg * 77 + 1;
    for (int i = 0; i < ROUNDS; i++) {
        struct rate_ticket t = {0};
        struct rate_refusal why;
        if (rate_take(rate, 9, &l, 10, 1000, &t, &why) != RATE_OK)
            continue;
        int now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
        }
        bool back = draw(&seed) % 2 == 0;
        if (!back)
            atomic_fetch_add(&admitted, 1);
        atomic_fetch_sub(&running, 1);
        if (back)
            rate_give_back(rate, &t, 1000);
        else
            rate_end(rate, &t, 3, 1000);
    }
    return NULL;
}

START_TEST(threads_share_one_count)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct rate_numbers u = used(9, 1000);
    ck_assert_int_le(atomic_load(&most), AT_ONCE);
    ck_assert_int_eq(atomic_load(&admitted), BUDGET); /* given back often enough to fill it */
    ck_assert_int_eq(u.n[RATE_RPM], BUDGET);
    ck_assert_int_eq(u.n[RATE_TPM], 3 * BUDGET);
    ck_assert_int_eq(u.n[RATE_CONCURRENCY], 0);
}
END_TEST

Suite *rate_suite(void);
Suite *rate_suite(void)
{
    Suite *s = suite_create("rate");
    TCase *tc = tcase_create("rate");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, requests_leave_the_window_after_a_minute);
    tcase_add_test(tc, a_burst_fits_up_to_the_limit);
    tcase_add_test(tc, what_ends_still_counts_for_the_minute);
    tcase_add_test(tc, what_is_given_back_does_not);
    tcase_add_test(tc, given_back_when_its_slot_has_left);
    tcase_add_test(tc, running_requests_are_counted);
    tcase_add_test(tc, tokens_are_estimated_then_known);
    tcase_add_test(tc, what_can_never_fit_is_told_so);
    tcase_add_test(tc, the_longest_wait_is_told);
    tcase_add_test(tc, all_three_or_none);
    tcase_add_test(tc, limits_may_change_at_any_time);
    tcase_add_test(tc, keys_do_not_meet);
    tcase_add_test(tc, a_clock_that_steps_back_frees_nothing);
    tcase_add_test(tc, idle_keys_are_forgotten);
    tcase_add_test(tc, absurd_figures_do_no_harm);
    tcase_add_loop_test(tc, no_minute_holds_more_than_the_limit, 0, 8);
    tcase_add_test(tc, threads_share_one_count);
    suite_add_tcase(s, tc);
    return s;
}
