/* Outage window, percentiles. */
#include <check.h>
#include <stdlib.h>

#include "router/health.h"

Suite *health_suite(void);

enum { T0 = 1000000 };

static struct health_view look(const struct health *h, int64_t now_ms)
{
    struct health_view v;
    health_look(h, now_ms, &v);
    return v;
}

static void end_of(struct health *h, int64_t now_ms, enum health_outcome outcome)
{
    struct breaker_ticket ticket;
    const struct health_end end = {outcome, 0};
    breaker_begin(&h->breaker, now_ms, &ticket);
    health_record(h, now_ms, &ticket, &end);
}

static void record(struct health *h, int64_t now_ms, enum health_outcome outcome, int times)
{
    for (int i = 0; i < times; i++)
        end_of(h, now_ms, outcome);
}

START_TEST(nothing_known)
{
    struct health h = {0};
    struct health_view v = look(&h, T0);
    ck_assert(!v.outage && !v.has_latency && !v.has_throughput);
    ck_assert_uint_eq(v.attempts_30s, 0);
}
END_TEST

/* At least 20 per cent, at least one. */
START_TEST(outage_threshold)
{
    static const struct {
        int good, limited, neutral, failed;
        bool outage;
    } ROWS[] = {
        {0, 0, 0, 1, true},    {4, 0, 0, 1, true},   {5, 0, 0, 1, false},  {80, 0, 0, 20, true},
        {81, 0, 0, 20, false}, {10, 0, 0, 0, false}, {0, 10, 0, 0, false}, {0, 0, 10, 0, false},
        {0, 4, 0, 1, true},    {0, 5, 0, 1, false},  {1, 1, 2, 1, true},   {1, 1, 3, 1, false},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct health h = {0};
        record(&h, T0, HEALTH_OK, ROWS[i].good);
        record(&h, T0, HEALTH_LIMITED, ROWS[i].limited);
        record(&h, T0, HEALTH_NEUTRAL, ROWS[i].neutral);
        record(&h, T0, HEALTH_FAILED, ROWS[i].failed);
        ck_assert_msg(look(&h, T0).outage == ROWS[i].outage, "row %zu", i);
    }
}
END_TEST

START_TEST(failures_leave_the_window)
{
    struct health h = {0};
    record(&h, T0, HEALTH_FAILED, 3);
    ck_assert(look(&h, T0 + 29999).outage);
    ck_assert(!look(&h, T0 + 30000).outage);
    ck_assert_uint_eq(look(&h, T0 + 30000).attempts_30s, 0);
    ck_assert(!look(&h, T0 + 10000000).outage);
}
END_TEST

START_TEST(window_slides)
{
    struct health h = {0};
    for (int second = 0; second < 60; second++)
        record(&h, T0 + second * 1000, second < 20 ? HEALTH_FAILED : HEALTH_OK, 1);
    struct health_view v = look(&h, T0 + 59999);
    ck_assert_uint_eq(v.attempts_30s, 30);
    ck_assert_uint_eq(v.failures_30s, 0);
    ck_assert_uint_eq(h.total_attempts, 60);
    ck_assert_uint_eq(h.total_failures, 20);
}
END_TEST

/* A slot that is used again has forgotten what it held. */
START_TEST(slots_are_cleaned_when_the_ring_turns)
{
    struct health h = {0};
    record(&h, T0, HEALTH_FAILED, 5);
    record(&h, T0 + 31000, HEALTH_OK, 1);
    ck_assert_uint_eq(look(&h, T0 + 31000).failures_30s, 0);
    record(&h, T0 + 58000, HEALTH_FAILED, 1);
    record(&h, T0 + 61500, HEALTH_OK, 1);
    struct health_view v = look(&h, T0 + 61500);
    ck_assert_uint_eq(v.failures_30s, 1);
    ck_assert_uint_eq(v.attempts_30s, 2);
}
END_TEST

START_TEST(clock_that_steps_back)
{
    struct health h = {0};
    record(&h, T0, HEALTH_OK, 4);
    record(&h, T0 - HEALTH_SLOT_MS + 1, HEALTH_FAILED, 1); /* another thread's look at it */
    ck_assert_uint_eq(look(&h, T0).attempts_30s, 5);
    ck_assert(look(&h, T0).outage);
    record(&h, T0 - 60000, HEALTH_FAILED, 1);
    ck_assert_uint_eq(look(&h, T0 - 60000).attempts_30s, 1);
}
END_TEST

/* 1..50 in a scrambled order: the NNth percentile says what NN per cent do as well as. */
START_TEST(percentiles)
{
    struct health h = {0};
    for (int i = 0; i < 50; i++) {
        int n = (i * 17) % 50 + 1;
        health_sample(&h, T0 + i, n * 100, n * 1000);
    }
    struct health_view v = look(&h, T0 + 100);
    ck_assert(v.has_latency && v.has_throughput);
    ck_assert_int_eq(v.latency_ms[P50], 2500);
    ck_assert_int_eq(v.latency_ms[P75], 3800);
    ck_assert_int_eq(v.latency_ms[P90], 4500);
    ck_assert_int_eq(v.latency_ms[P99], 5000);
    ck_assert_int_eq(v.milli_tps[P50], 26000);
    ck_assert_int_eq(v.milli_tps[P75], 13000);
    ck_assert_int_eq(v.milli_tps[P90], 6000);
    ck_assert_int_eq(v.milli_tps[P99], 1000);
}
END_TEST

START_TEST(one_sample_is_every_percentile)
{
    struct health h = {0};
    health_sample(&h, T0, 800, 0);
    struct health_view v = look(&h, T0);
    ck_assert(v.has_latency && !v.has_throughput);
    for (int p = 0; p < PERCENTILE_COUNT; p++)
        ck_assert_int_eq(v.latency_ms[p], 800);
}
END_TEST

START_TEST(samples_age)
{
    struct health h = {0};
    health_sample(&h, T0, 9000, 1000);
    health_sample(&h, T0 + 100000, 1000, 50000);
    ck_assert_int_eq(look(&h, T0 + 100000).latency_ms[P99], 9000);
    ck_assert_int_eq(look(&h, T0 + 299999).latency_ms[P99], 9000);
    ck_assert_int_eq(look(&h, T0 + 300000).latency_ms[P99], 1000);
    ck_assert_int_eq(look(&h, T0 + 300000).milli_tps[P99], 50000);
    ck_assert(look(&h, T0 + 399999).has_latency);
    ck_assert(!look(&h, T0 + 400000).has_latency);
    ck_assert(!look(&h, T0 + 400000).has_throughput);
}
END_TEST

START_TEST(the_oldest_samples_make_room)
{
    struct health h = {0};
    for (int i = 0; i < HEALTH_SAMPLES; i++)
        health_sample(&h, T0, 9999, 1);
    for (int i = 0; i < HEALTH_SAMPLES; i++)
        health_sample(&h, T0 + 1, 10, 77000);
    struct health_view v = look(&h, T0 + 1);
    ck_assert_int_eq(v.latency_ms[P99], 10);
    ck_assert_int_eq(v.milli_tps[P99], 77000);
    health_sample(&h, T0 + 2, INT64_MAX, INT64_MAX);
    ck_assert_int_eq(look(&h, T0 + 2).latency_ms[P99], INT32_MAX);
}
END_TEST

/* Which endpoints are worth a request to know how they are. */
static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* What is kept up from sample to sample is what sorting the last ones anew gives. */
START_TEST(kept_up_like_sorted_anew)
{
    struct health h = {0};
    static struct health_sample all[3000];
    uint64_t bits = 1;
    int64_t now_ms = T0;
    for (int i = 0; i < 3000; i++) {
        bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407u;
        now_ms += bits >> 60 == 0 ? 40000 : (int64_t)(bits >> 55) % 50;
        all[i] = (struct health_sample){now_ms, (int32_t)(bits >> 40) % 90,
                                        (int32_t)(bits >> 33) % 5 * 1000};
        health_sample(&h, now_ms, all[i].first_token_ms, all[i].milli_tps);
        int32_t latency[HEALTH_SAMPLES], tps[HEALTH_SAMPLES];
        int n = 0, n_tps = 0;
        for (int k = i; k >= 0 && k > i - HEALTH_SAMPLES; k--) {
            if (now_ms >= all[k].at_ms + HEALTH_SAMPLE_WINDOW_MS)
                continue;
            latency[n++] = all[k].first_token_ms;
            if (all[k].milli_tps > 0)
                tps[n_tps++] = all[k].milli_tps;
        }
        qsort(latency, (size_t)n, sizeof(latency[0]), by_value);
        qsort(tps, (size_t)n_tps, sizeof(tps[0]), by_value);
        struct health_view v = look(&h, now_ms);
        ck_assert_int_eq(v.latency_ms[P90], latency[(90 * n + 99) / 100 - 1]);
        ck_assert_int_eq(v.has_throughput, n_tps > 0);
        if (n_tps > 0)
            ck_assert_int_eq(v.milli_tps[P50], tps[n_tps - 1 - ((50 * n_tps + 99) / 100 - 1)]);
    }
}
END_TEST

START_TEST(explorable)
{
    struct health h = {0};
    ck_assert(look(&h, T0).explorable); /* nothing is known */
    end_of(&h, T0, HEALTH_OK);
    health_sample(&h, T0, 100, 1000);
    ck_assert(!look(&h, T0 + HEALTH_STALE_MS - 1).explorable);
    ck_assert(look(&h, T0 + HEALTH_STALE_MS).explorable);
    ck_assert(look(&h, T0 + HEALTH_SAMPLE_WINDOW_MS).explorable);
    /* In outage, once it has been quiet. */
    end_of(&h, T0, HEALTH_FAILED);
    ck_assert(look(&h, T0).outage && !look(&h, T0).explorable);
    ck_assert(!look(&h, T0 + HEALTH_QUIET_MS - 1).explorable);
    ck_assert(look(&h, T0 + HEALTH_QUIET_MS).explorable);
    /* Of an ejected one its probes tell. */
    struct health out = {0};
    record(&out, T0, HEALTH_FAILED, BREAKER_ROW);
    ck_assert(!look(&out, T0 + HEALTH_QUIET_MS).explorable);
    ck_assert(!look(&out, T0 + 10 * BREAKER_EJECT_MS).explorable);
}
END_TEST

/* An outage of before the clock was set back is tried, and over when that went well. */
START_TEST(outage_before_the_clock_was_set_back)
{
    struct health h = {0};
    int64_t later = T0 + 3600000;
    end_of(&h, later, HEALTH_OK);
    health_sample(&h, later, 100, 1000);
    ck_assert(look(&h, T0).explorable);
    end_of(&h, later, HEALTH_FAILED);
    ck_assert(look(&h, T0).outage && look(&h, T0).explorable);
    ck_assert(!look(&h, later - HEALTH_QUIET_MS + 1).explorable);
    end_of(&h, T0, HEALTH_OK);
    ck_assert(!look(&h, T0).outage);
    ck_assert_uint_eq(look(&h, T0).attempts_30s, 1);
}
END_TEST

/* What each outcome means to the breaker: which of them ends a row of failures. */
START_TEST(outcomes_and_the_row)
{
    static const struct {
        enum health_outcome outcome;
        bool ends_row;
    } ROWS[] = {{HEALTH_OK, true},
                {HEALTH_NEUTRAL, true},
                {HEALTH_LIMITED, false},
                {HEALTH_UNHEARD, false},
                {HEALTH_FAILED, false}};
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct health h = {0};
        record(&h, T0, HEALTH_FAILED, BREAKER_ROW - 1);
        end_of(&h, T0, ROWS[i].outcome);
        end_of(&h, T0, HEALTH_FAILED);
        bool out = look(&h, T0).breaker.state == BREAKER_EJECTED;
        ck_assert_msg(out != ROWS[i].ends_row, "row %zu", i);
        ck_assert_uint_eq(look(&h, T0).attempts_30s, BREAKER_ROW + 1);
    }
}
END_TEST

Suite *health_suite(void)
{
    Suite *s = suite_create("health");
    TCase *t = tcase_create("health");
    tcase_add_test(t, nothing_known);
    tcase_add_test(t, outage_threshold);
    tcase_add_test(t, failures_leave_the_window);
    tcase_add_test(t, window_slides);
    tcase_add_test(t, slots_are_cleaned_when_the_ring_turns);
    tcase_add_test(t, clock_that_steps_back);
    tcase_add_test(t, percentiles);
    tcase_add_test(t, one_sample_is_every_percentile);
    tcase_add_test(t, samples_age);
    tcase_add_test(t, the_oldest_samples_make_room);
    tcase_add_test(t, kept_up_like_sorted_anew);
    tcase_add_test(t, explorable);
    tcase_add_test(t, outage_before_the_clock_was_set_back);
    tcase_add_test(t, outcomes_and_the_row);
    suite_add_tcase(s, t);
    return s;
}
