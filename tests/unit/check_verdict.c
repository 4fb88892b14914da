/* What is said of means. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "router/verdict.h"

static struct verdict_data data;
static struct verdict verdict;

static struct stats_mean mean(double value, double error, double units)
{
    return (struct stats_mean){units, value, error * error, true};
}

/* Two arms of 1,000 users each that do not differ. */
static void setup(void)
{
    data = (struct verdict_data){.unit = "user", .n_arms = 2};
    verdict_standard_metrics(&data);
    data.metrics[data.n_metrics++] = (struct verdict_metric){"quality", true, false};
    for (int arm = 0; arm < 3; arm++) {
        struct verdict_arm *a = &data.arms[arm];
        *a = (struct verdict_arm){.name = arm == 0   ? "A"
                                          : arm == 1 ? "B"
                                                     : "C",
                                  .weight = 50,
                                  .units = 1000};
        a->means[VERDICT_COST] = mean(0.02, 0.0004, 1000);
        a->means[VERDICT_ERRORS] = mean(0.01, 0.003, 1000);
        a->means[VERDICT_LATENCY] = mean(1500, 30, 1000);
        a->means[VERDICT_OWN] = mean(0.7, 0.01, 1000);
    }
}

static void judge(void)
{
    verdict_make(&data, &verdict);
}

static void says(const char *part)
{
    ck_assert_msg(strstr(verdict.text, part) != NULL, "%s", verdict.text);
}

START_TEST(nothing_to_tell_them_apart)
{
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_NONE);
    ck_assert_int_eq(verdict.winner, -1);
    ck_assert_int_eq(verdict.n, 4);
    ck_assert_double_eq_tol(verdict.alpha, STATS_ALPHA / 4, 1e-12);
    says("B does not differ from A so far in cost (between ");
    says("go on collecting");
}
END_TEST

START_TEST(cheaper_and_nothing_against_it)
{
    data.arms[1].means[VERDICT_COST] = mean(0.0138, 0.0003, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
    ck_assert_int_eq(verdict.winner, 1);
    ck_assert_int_eq(verdict.comparisons[0].better, 1);
    says("B costs 31 % less per request than A (between ");
    says("no difference so far in error_rate");
    says("B is better, and nothing speaks against it.");
}
END_TEST

START_TEST(dearer_is_the_other_way_round)
{
    data.arms[1].means[VERDICT_COST] = mean(0.04, 0.0004, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
    ck_assert_int_eq(verdict.winner, 0);
    says("B costs 100 % more per request than A");
    says("A is better");
}
END_TEST

/* Of quality more is better, of errors less. */
START_TEST(directions)
{
    data.arms[1].means[VERDICT_OWN] = mean(0.8, 0.01, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 1);
    says("has 0.1 more quality than A");
    data.metrics[VERDICT_OWN].higher = false;
    judge();
    ck_assert_int_eq(verdict.winner, 0);
    setup();
    data.arms[1].means[VERDICT_ERRORS] = mean(0.06, 0.003, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 0);
    says("B fails 5 points more often than A");
    setup();
    data.arms[1].means[VERDICT_LATENCY] = mean(750, 30, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 1);
    says("B answers in 50 % less time than A");
}
END_TEST

START_TEST(a_trade_off)
{
    data.arms[1].means[VERDICT_COST] = mean(0.01, 0.0003, 1000);
    data.arms[1].means[VERDICT_OWN] = mean(0.5, 0.01, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_TRADE_OFF);
    ck_assert_int_eq(verdict.winner, -1);
    says("a trade-off");
}
END_TEST

START_TEST(three_arms)
{
    data.n_arms = 3;
    data.arms[2].means[VERDICT_COST] = mean(0.01, 0.0003, 1000);
    judge();
    ck_assert_int_eq(verdict.n, 8);
    ck_assert_int_eq(verdict.winner, 2);
    data.arms[1].means[VERDICT_COST] = mean(0.01, 0.0003, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
    ck_assert_int_eq(verdict.winner, -1);
    says("compare them in an experiment of their own");
}
END_TEST

START_TEST(too_early)
{
    data.arms[1].units = STATS_UNITS_MIN - 1;
    data.arms[0].units = STATS_UNITS_MIN + 20;
    data.arms[1].means[VERDICT_COST] = mean(0.001, 0.0003, 99);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_TOO_EARLY);
    ck_assert_int_eq(verdict.winner, -1);
    says("Too early to say: B has 99 of the 100 users");
}
END_TEST

START_TEST(an_assignment_that_is_off)
{
    data.arms[1].units = 700;
    data.arms[1].means[VERDICT_COST] = mean(0.001, 0.0003, 700);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_INVALID);
    ck_assert_int_eq(verdict.winner, -1);
    says("Do not trust this comparison: the users are not split");
    data.arms[1].weight = 35; /* as they should be */
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
}
END_TEST

/* Its copies answer nobody: no quality, no part in the split, no winner. */
START_TEST(a_shadow_arm)
{
    data.n_arms = 3;
    data.arms[2].shadow = true;
    data.arms[2].weight = 10;
    data.arms[2].units = 200;
    data.arms[2].means[VERDICT_COST] = mean(0.005, 0.0002, 200);
    judge();
    ck_assert_int_eq(verdict.n, 4 + 3);
    ck_assert_int_eq(verdict.state, VERDICT_NONE);
    says("shadow arm C costs 75 % less per request than A");
    data.arms[2].units = 20;
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_NONE);
    ck_assert_msg(strstr(verdict.text, "shadow") == NULL, "%s", verdict.text);
}
END_TEST

START_TEST(one_arm_alone)
{
    data.n_arms = 1;
    judge();
    ck_assert_int_eq(verdict.n, 0);
    ck_assert_int_eq(verdict.winner, -1);
    ck_assert_double_eq(verdict.assignment_p, 1);
    says("There is nothing to compare");
}
END_TEST

START_TEST(guardrails_need_evidence)
{
    struct stats_mean m = mean(0.06, 0.003, 1000), early = mean(0.9, 0.01, 99);
    ck_assert(verdict_exceeds(&m, 0.04, 1));
    ck_assert(!verdict_exceeds(&m, 0.0599, 1));
    ck_assert(!verdict_exceeds(&early, 0.04, 1));
    /* Who asks more questions needs more of it. */
    struct stats_mean near = mean(0.06, 0.003, 1000);
    double limit = 0.06 - 0.003 * stats_radius(1000, STATS_ALPHA) - 1e-6;
    ck_assert(verdict_exceeds(&near, limit, 1));
    ck_assert(!verdict_exceeds(&near, limit, 20));
}
END_TEST

Suite *verdict_suite(void);
Suite *verdict_suite(void)
{
    Suite *s = suite_create("verdict");
    TCase *t = tcase_create("verdict");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, nothing_to_tell_them_apart);
    tcase_add_test(t, cheaper_and_nothing_against_it);
    tcase_add_test(t, dearer_is_the_other_way_round);
    tcase_add_test(t, directions);
    tcase_add_test(t, a_trade_off);
    tcase_add_test(t, three_arms);
    tcase_add_test(t, too_early);
    tcase_add_test(t, an_assignment_that_is_off);
    tcase_add_test(t, a_shadow_arm);
    tcase_add_test(t, one_arm_alone);
    tcase_add_test(t, guardrails_need_evidence);
    suite_add_tcase(s, t);
    return s;
}
