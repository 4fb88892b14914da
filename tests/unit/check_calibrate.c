/* Learned bounds: exceeded less than once in ten thousand, wider at once, never invented. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/calibrate.h"

Suite *calibrate_suite(void);

static struct tally *tally_new(void)
{
    struct tally *t = calloc(1, sizeof(*t));
    ck_assert_ptr_nonnull(t);
    return t;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

/* A bound is never below its value, and at most an eighth above it. */
START_TEST(buckets_round_upwards)
{
    struct tally *t = tally_new();
    for (int64_t v = 0; v < 3000000; v += 1 + v / 37) {
        memset(t, 0, sizeof(*t));
        for (int i = 0; i < CALIBRATE_SAMPLES_MIN; i++)
            tally_add(t, v);
        int64_t bound = tally_bound(t, CALIBRATE_SAFE_SHARE);
        ck_assert_msg(bound >= v && bound <= v + v / 8, "%lld: %lld", (long long)v,
                      (long long)bound);
    }
    memset(t, 0, sizeof(*t));
    for (int i = 0; i < CALIBRATE_SAMPLES_MIN; i++)
        tally_add(t, INT64_MAX);
    ck_assert_int_eq(tally_bound(t, CALIBRATE_SAFE_SHARE), INT64_MAX);
    free(t);
}
END_TEST

START_TEST(nothing_is_said_of_few)
{
    struct calibrate *c = calibrate_new();
    struct estimate_learned l;
    calibrate_look(c, "m", &l);
    ck_assert(l.ratio[0] == 0 && l.ratio[1] == 0 && l.completion_tok == 0);
    for (int i = 0; i < CALIBRATE_SAMPLES_MIN; i++) {
        calibrate_look(c, "m", &l);
        ck_assert(l.ratio[ESTIMATE_CLASS_NARROW] == 0 && l.completion_tok == 0);
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 1064, 700);
    }
    calibrate_look(c, "m", &l);
    /* twice the largest seen, and the bucket's width */
    ck_assert_int_ge(l.ratio[ESTIMATE_CLASS_NARROW], 2 * 1024);
    ck_assert_int_le(l.ratio[ESTIMATE_CLASS_NARROW], 2 * 1024 * 9 / 8 + 1);
    ck_assert_int_eq(l.ratio[ESTIMATE_CLASS_WIDE], 0);
    ck_assert(l.completion_tok >= 700 && l.completion_tok <= 788);
    calibrate_look(c, "other", &l);
    ck_assert_int_eq(l.ratio[ESTIMATE_CLASS_NARROW], 0);
    calibrate_learn(c, "other", ESTIMATE_CLASS_NONE, 1000, 900000, 5);
    calibrate_look(c, "m", &l);
    ck_assert_int_le(l.ratio[ESTIMATE_CLASS_NARROW], 2 * 1024 * 9 / 8 + 1);
    calibrate_free(c);
}
END_TEST

/* Tokens of a prompt that was estimated at 1,000.  The tail of the ratio is Pareto, heavier than
 * prompts have: above 1.0 with P(x > r) = r^-4, by the fourth root of a uniform number. */
static int64_t heavy_tok(uint64_t *state)
{
    uint64_t u = next_random(state) % 1000000000000 + 1, root = 1;
    /* the largest root with (root / 1000)^4 <= 10^12 / u */
    while ((root + 100) * (root + 100) / 1000 * ((root + 100) * (root + 100) / 1000) <=
           1000000000000000000 / u)
        root += 100;
    while ((root + 1) * (root + 1) / 1000 * ((root + 1) * (root + 1) / 1000) <=
           1000000000000000000 / u)
        root++;
    return (int64_t)root + 64;
}

static int64_t bound_tok(const struct calibrate *c)
{
    struct estimate_learned l;
    calibrate_look(c, "m", &l);
    int64_t ratio = l.ratio[ESTIMATE_CLASS_NARROW];
    return ratio == 0 ? INT64_MAX : (1000 * ratio + 1023) / 1024 + 64;
}

START_TEST(a_million_of_a_heavy_tail)
{
    enum { DRAWS = 1000000, WARM = 10240 };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct calibrate *c = calibrate_new();
        uint64_t state = seed * 7919;
        int64_t over = 0, over_warming = 0, sum = 0;
        for (int i = 0; i < DRAWS; i++) {
            int64_t tok = heavy_tok(&state), bound = bound_tok(c);
            over += i >= WARM && tok > bound;
            over_warming += i < WARM && tok > bound;
            sum += i >= WARM ? bound / 1000 : 0;
            calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, tok, 100);
        }
        ck_assert_msg(over < DRAWS / 10000, "seed %d: %lld of a million", (int)seed,
                      (long long)over);
        ck_assert_msg(over_warming <= 3, "seed %d: %lld while warming", (int)seed,
                      (long long)over_warming);
        /* and it is a bound, not a retreat: the true 99.99th percentile of this tail is 10 */
        ck_assert_msg(sum / (DRAWS - WARM) < 40, "seed %d: %lld times the estimate", (int)seed,
                      (long long)(sum / (DRAWS - WARM)));
        calibrate_free(c);
    }
}
END_TEST

START_TEST(light_tails_get_close_bounds)
{
    struct calibrate *c = calibrate_new();
    uint64_t state = 5;
    for (int i = 0; i < 20000; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000,
                        764 + (int64_t)(next_random(&state) % 400), 100);
    int64_t bound = bound_tok(c); /* the largest is 1,163: with bucket and margin below 1.65 */
    ck_assert_msg(bound >= 1163 && bound < 1650, "%lld", (long long)bound);
    calibrate_free(c);
}
END_TEST

START_TEST(wider_at_once)
{
    struct calibrate *c = calibrate_new();
    for (int i = 0; i < 100000; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 1064, 100);
    int64_t before = bound_tok(c);
    ck_assert_int_lt(before, 1600);
    calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 3064, 100);
    ck_assert_int_ge(bound_tok(c), 3064 + 700); /* with its margin */
    for (int i = 0; i < 1000; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 1064, 100);
    ck_assert_int_ge(bound_tok(c), 3064);
    /* one in a hundred thousand is forgotten after a while */
    for (int i = 0; i < 3000; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 1064, 100);
    ck_assert_int_eq(bound_tok(c), before);
    /* a shift is not: the model's tokenizer changed */
    int over = 0;
    for (int i = 0; i < 50000; i++) {
        over += bound_tok(c) < 2064;
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 2064, 100);
    }
    ck_assert_int_eq(over, 1);
    calibrate_free(c);
}
END_TEST

/* What was true long ago is forgotten: two generations later the bound is the new one. */
START_TEST(the_past_fades)
{
    struct calibrate *c = calibrate_new();
    for (int i = 0; i < 50000; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 3064, 9000);
    for (int i = 0; i < 2 * CALIBRATE_GENERATION; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 1064, 90);
    ck_assert_int_lt(bound_tok(c), 1600);
    struct estimate_learned l;
    calibrate_look(c, "m", &l);
    ck_assert_int_lt(l.completion_tok, 110);
    calibrate_free(c);
}
END_TEST

START_TEST(completions_by_rank)
{
    struct calibrate *c = calibrate_new();
    struct estimate_learned l;
    for (int i = 0; i < 10000; i++)
        calibrate_learn(c, "m", ESTIMATE_CLASS_NARROW, 1000, 1000, i % 2000 == 7 ? 60000 : 500);
    calibrate_look(c, "m", &l); /* five of ten thousand are longer: one in a thousand may be */
    ck_assert(l.completion_tok >= 500 && l.completion_tok < 600);
    calibrate_free(c);
}
END_TEST

/* The text of answers: nothing is said of few, and never more than one token a byte. */
START_TEST(text_of_answers)
{
    struct calibrate *c = calibrate_new();
    struct estimate_learned l;
    struct estimate est = {.text_ratio = ESTIMATE_RATIO_ONE};
    ck_assert_int_eq(estimate_text_tok(&est, 5000), 5000);
    for (int i = 0; i < CALIBRATE_SAMPLES_MIN; i++)
        calibrate_learn_text(c, "m", 4000, 1064);
    calibrate_learn_text(c, "m", 0, 10);
    calibrate_look(c, "m", &l);
    ck_assert(l.text_ratio >= 512 && l.text_ratio <= 577);
    est.text_ratio = l.text_ratio;
    ck_assert_int_ge(estimate_text_tok(&est, 4000), 2064);
    ck_assert_int_le(estimate_text_tok(&est, 4000), 2400);
    ck_assert_int_eq(estimate_text_tok(&est, 10), 10);
    calibrate_free(c);
}
END_TEST

START_TEST(many_models)
{
    struct calibrate *c = calibrate_new();
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "model/%d", i % 3);
        calibrate_learn(c, name, ESTIMATE_CLASS_WIDE, 100, 64 + 100 * (1 + i % 3), 10);
    }
    struct estimate_learned l;
    calibrate_look(c, "model/1", &l);
    ck_assert_int_eq(l.ratio[ESTIMATE_CLASS_WIDE], 0); /* 100 samples */
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "model/%d", i % 3);
        calibrate_learn(c, name, ESTIMATE_CLASS_WIDE, 100, 64 + 100 * (1 + i % 3), 10);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "model/%d", i);
        calibrate_look(c, name, &l);
        ck_assert_int_ge(l.ratio[ESTIMATE_CLASS_WIDE], 2 * 1024 * (1 + i));
        ck_assert_int_le(l.ratio[ESTIMATE_CLASS_WIDE], 2 * 1024 * (1 + i) * 9 / 8 + 1);
    }
    calibrate_free(c);
}
END_TEST

Suite *calibrate_suite(void)
{
    Suite *s = suite_create("calibrate");
    TCase *t = tcase_create("calibrate");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, buckets_round_upwards);
    tcase_add_test(t, nothing_is_said_of_few);
    tcase_add_test(t, a_million_of_a_heavy_tail);
    tcase_add_test(t, light_tails_get_close_bounds);
    tcase_add_test(t, wider_at_once);
    tcase_add_test(t, the_past_fades);
    tcase_add_test(t, completions_by_rank);
    tcase_add_test(t, text_of_answers);
    tcase_add_test(t, many_models);
    suite_add_tcase(s, t);
    return s;
}
