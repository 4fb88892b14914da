/* Which attempts may begin: the table of verdicts, and the budget against a naive count. */
#include <check.h>
#include <string.h>

#include "router/retry.h"

Suite *retry_suite(void);

enum { T0 = 5000000 };

static void end_attempt(struct health *h, int64_t now_ms, struct breaker_ticket *t,
                        enum health_outcome outcome)
{
    const struct health_end end = {outcome, 0};
    health_record(h, now_ms, t, &end);
}

static void record(struct health *h, int64_t now_ms, enum health_outcome outcome, int times)
{
    for (int i = 0; i < times; i++) {
        struct breaker_ticket t;
        breaker_begin(&h->breaker, now_ms, &t);
        end_attempt(h, now_ms, &t, outcome);
    }
}

/* An endpoint in each state at the time it returns. */
enum condition { WELL, OUTAGE, EJECTED, HALF_OPEN, PROBED };

static int64_t in_condition(struct health *h, enum condition condition)
{
    struct breaker_ticket t;
    int64_t now = T0;
    memset(h, 0, sizeof(*h));
    if (condition == WELL)
        return now;
    record(h, now, HEALTH_FAILED, condition == OUTAGE ? 1 : 5);
    if (condition == HALF_OPEN || condition == PROBED)
        now = h->breaker.until_ms;
    if (condition == PROBED)
        breaker_begin(&h->breaker, now, &t);
    return now;
}

enum { DRY = 1, FIRST = 2, LISTED = 4, LAST = 8 }; /* DRY: the budget is used up */

START_TEST(verdicts)
{
    static const struct {
        enum condition condition;
        unsigned how;
        enum retry_verdict verdict;
        bool probe;
    } ROWS[] = {
        {WELL, FIRST, RETRY_GO, false},
        {WELL, FIRST | DRY, RETRY_GO, false},
        {WELL, DRY, RETRY_GO, false}, /* failover to a healthy endpoint is free */
        {OUTAGE, FIRST | DRY, RETRY_GO, false},
        {OUTAGE, 0, RETRY_GO, false},
        {OUTAGE, DRY, RETRY_NO_BUDGET, false},
        {OUTAGE, LAST | DRY, RETRY_NO_BUDGET, false},
        {OUTAGE, LISTED | DRY, RETRY_GO, false},
        {EJECTED, FIRST, RETRY_PUT_OFF, false},
        {EJECTED, FIRST | LAST | DRY, RETRY_GO, false}, /* never the last one */
        {EJECTED, 0, RETRY_PUT_OFF, false},
        {EJECTED, LAST, RETRY_GO, false},
        {EJECTED, LAST | DRY, RETRY_NO_BUDGET, false},
        {EJECTED, FIRST | LISTED, RETRY_GO, false},
        {EJECTED, LISTED | DRY, RETRY_GO, false},
        {HALF_OPEN, FIRST, RETRY_GO, true},
        {HALF_OPEN, 0, RETRY_GO, true},
        {HALF_OPEN, DRY, RETRY_NO_BUDGET, false},
        {HALF_OPEN, LISTED | FIRST, RETRY_GO, true},
        {PROBED, FIRST, RETRY_PUT_OFF, false},
        {PROBED, DRY, RETRY_PUT_OFF, false},
        {PROBED, FIRST | LAST | DRY, RETRY_GO, false},
        {PROBED, LAST | DRY, RETRY_NO_BUDGET, false},
        {PROBED, LISTED | FIRST, RETRY_GO, false},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct retry_budget budget = {0};
        struct health h;
        struct breaker_ticket t = {0};
        int64_t now = in_condition(&h, ROWS[i].condition);
        if (ROWS[i].how & DRY)
            recent_add(&budget.paid, RETRY_SLOT_MS, now, 0, RETRY_MIN_AT_ONCE);
        const struct retry_ask ask = {.first = ROWS[i].how & FIRST,
                                      .count = ROWS[i].how & FIRST,
                                      .listed = ROWS[i].how & LISTED,
                                      .last = ROWS[i].how & LAST};
        enum retry_verdict got = retry_begin(&budget, &h, now, &ask, &t);
        ck_assert_msg(got == ROWS[i].verdict, "row %zu: %d, expected %d", i, got, ROWS[i].verdict);
        ck_assert_msg((t.probe != 0) == ROWS[i].probe, "row %zu: probe", i);
    }
}
END_TEST

/* Of the ten seconds also those count that were free: an outage begins with such. */
START_TEST(free_retries_count)
{
    for (uint32_t had = 29; had <= 30; had++) {
        struct retry_budget budget = {0};
        struct health well = {0}, h;
        struct breaker_ticket t;
        const struct retry_ask retry = {.last = true}, listed = {.last = true, .listed = true};
        int64_t now = in_condition(&h, OUTAGE);
        for (uint32_t i = 0; i < had; i++)
            ck_assert_int_eq(retry_begin(&budget, &well, now, &retry, &t), RETRY_GO);
        for (int i = 0; i < 100; i++) /* but not the caller's own */
            ck_assert_int_eq(retry_begin(&budget, &h, now, &listed, &t), RETRY_GO);
        ck_assert_int_eq(retry_begin(&budget, &h, now, &retry, &t),
                         had < 30 ? RETRY_GO : RETRY_NO_BUDGET);
    }
}
END_TEST

START_TEST(patience)
{
    static const struct {
        bool first;
        int64_t patience_ms, elapsed_ms;
        enum retry_verdict verdict;
    } ROWS[] = {
        {false, 0, INT64_MAX, RETRY_GO},
        {false, 10000, 7999, RETRY_GO},
        {false, 10000, 8000, RETRY_NO_TIME},
        {true, 10000, 20000, RETRY_GO},
        {false, 10000, -5000, RETRY_GO},
        {false, 99, 78, RETRY_GO},
        {false, 99, 79, RETRY_NO_TIME},
        {false, 1, 0, RETRY_NO_TIME},
        {false, INT64_MAX, INT64_MAX, RETRY_NO_TIME},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct retry_budget budget = {0};
        struct health h = {0};
        struct breaker_ticket t;
        const struct retry_ask ask = {.first = ROWS[i].first,
                                      .last = true,
                                      .patience_ms = ROWS[i].patience_ms,
                                      .elapsed_ms = ROWS[i].elapsed_ms};
        enum retry_verdict got = retry_begin(&budget, &h, T0, &ask, &t);
        ck_assert_msg(got == ROWS[i].verdict, "row %zu: %d", i, got);
    }
}
END_TEST

/* A refused attempt takes nothing: no slot, no share of the budget, no count of the request. */
START_TEST(refused_is_not_begun)
{
    struct retry_budget budget = {0};
    struct health h;
    struct breaker_ticket t = {0};
    int64_t now = in_condition(&h, PROBED);
    const struct retry_ask ask = {.count = true, .first = true};
    ck_assert_int_eq(retry_begin(&budget, &h, now, &ask, &t), RETRY_PUT_OFF);
    ck_assert_uint_eq(recent_sum(&budget.counts, RETRY_SLOT_MS, now).all, 0);
    ck_assert_uint_eq(t.probe, 0);
}
END_TEST

/* ---- the budget by the numbers ---- */

/* Requests at a steady rate, each of which wants `wants` retries to an endpoint in outage. */
static double amplification(int per_second, int wants, int seconds)
{
    struct retry_budget budget = {0};
    struct health h;
    struct breaker_ticket t;
    int64_t now = in_condition(&h, OUTAGE);
    long requests = 0, attempts = 0;
    for (int64_t ms = 0; ms < seconds * 1000; ms++) {
        int64_t at = now + ms;
        for (int64_t due = (ms + 1) * per_second / 1000 - ms * per_second / 1000; due > 0; due--) {
            const struct retry_ask first = {.first = true, .count = true, .last = true};
            const struct retry_ask retry = {.last = true};
            ck_assert_int_eq(retry_begin(&budget, &h, at, &first, &t), RETRY_GO);
            recent_add(&h.attempts, HEALTH_SLOT_MS, at, 1, 1);
            requests++;
            attempts++;
            for (int i = 0; i < wants; i++)
                attempts += retry_begin(&budget, &h, at, &retry, &t) == RETRY_GO;
        }
    }
    return (double)attempts / (double)requests;
}

START_TEST(all_down)
{
    static const struct {
        int per_second, wants;
        double least, most;
    } ROWS[] = {
        {1, 2, 3, 3},         /* thirty in ten seconds are always there */
        {3, 2, 1.99, 2.01},   /* 30 + 30 */
        {10, 2, 1.29, 1.31},  /* 100 + 30 */
        {15, 2, 1.18, 1.201}, /* from here on the 20 per cent decide */
        {50, 2, 1.18, 1.201}, {200, 2, 1.18, 1.201}, {1000, 2, 1.18, 1.201}, {200, 1, 1.18, 1.201},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        double got = amplification(ROWS[i].per_second, ROWS[i].wants, 60);
        ck_assert_msg(got >= ROWS[i].least && got <= ROWS[i].most, "%d per second: %.4f",
                      ROWS[i].per_second, got);
    }
}
END_TEST

/* Random arrivals.  In the ten seconds up to each, the retries are not more than the larger of a
 * fifth of the requests and three a second; in each second not more than its part of that and
 * a bit, or ten; where more are wanted, one of the two is used up. */
START_TEST(never_more_than_both)
{
    struct retry_budget budget = {0};
    struct health h;
    struct breaker_ticket t;
    int64_t now = in_condition(&h, OUTAGE) / 1000 * 1000;
    static long requests[200], retries[200];
    uint64_t rng = 7;
    memset(requests, 0, sizeof(requests));
    memset(retries, 0, sizeof(retries));
    const struct retry_ask first = {.first = true, .count = true, .last = true};
    const struct retry_ask retry = {.last = true};
    retry_begin(&budget, &h, now, &first, &t); /* the slots begin with the second */
    for (int s = 0; s < 200; s++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        long n = (long)(rng >> 33) % (s % 40 < 20 ? 300 : 12) + 1;
        for (long k = 0; k < n; k++) {
            int64_t at = now + s * 1000 + k * 1000 / n;
            recent_add(&h.attempts, HEALTH_SLOT_MS, at, 1, 1);
            requests[s] += retry_begin(&budget, &h, at, &first, &t) == RETRY_GO;
            for (int i = 0; i < 2; i++)
                retries[s] += retry_begin(&budget, &h, at, &retry, &t) == RETRY_GO;
        }
        long asked = s <= 9 ? 1 : 0, begun = 0; /* the one that set the slots */
        for (int w = s > 9 ? s - 9 : 0; w <= s; w++) {
            asked += requests[w];
            begun += retries[w];
        }
        long most = asked / 5 > 30 ? asked / 5 : 30;
        long burst = asked / 5 * RETRY_BURST_PERCENT / 1000;
        long most_now = burst > 10 ? burst : 10;
        ck_assert_msg(retries[s] == 0 || begun <= most, "second %d: %ld retries of %ld", s, begun,
                      most);
        ck_assert_msg(retries[s] <= most_now, "second %d: %ld of %ld now", s, retries[s], most_now);
        ck_assert_msg(begun >= most || retries[s] == most_now || retries[s] == 2 * n,
                      "second %d: %ld of %ld, %ld of %ld used", s, begun, most, retries[s],
                      most_now);
    }
}
END_TEST

/* The budget of a second is not used up for as long as the clock was set back by. */
START_TEST(a_clock_that_is_set_back)
{
    struct retry_budget budget = {0};
    struct health h;
    struct breaker_ticket t;
    const struct retry_ask first = {.first = true, .count = true}, retry = {.last = true};
    int64_t now = in_condition(&h, OUTAGE);
    for (int i = 0; i < RETRY_MIN_AT_ONCE; i++)
        ck_assert_int_eq(retry_begin(&budget, &h, now, &retry, &t), RETRY_GO);
    for (int64_t back_ms = 0; back_ms <= RETRY_SLOT_MS; back_ms += RETRY_SLOT_MS / 2) {
        ck_assert_int_eq(retry_begin(&budget, &h, now - back_ms, &first, &t), RETRY_GO);
        ck_assert_int_eq(retry_begin(&budget, &h, now - back_ms, &retry, &t),
                         back_ms < RETRY_SLOT_MS ? RETRY_NO_BUDGET : RETRY_GO);
    }
}
END_TEST

Suite *retry_suite(void)
{
    Suite *s = suite_create("retry");
    TCase *t = tcase_create("retry");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, verdicts);
    tcase_add_test(t, free_retries_count);
    tcase_add_test(t, a_clock_that_is_set_back);
    tcase_add_test(t, patience);
    tcase_add_test(t, refused_is_not_begun);
    tcase_add_test(t, all_down);
    tcase_add_test(t, never_more_than_both);
    suite_add_tcase(s, t);
    return s;
}
