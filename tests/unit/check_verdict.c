/* What is said of means. */
#include <check.h>
#include <math.h>
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
        a->means[VERDICT_ERRORS] = mean(0.01, 0.0015, 1000);
        a->means[VERDICT_CANCELED] = mean(0.004, 0.001, 1000);
        a->means[VERDICT_LATENCY] = mean(1500, 20, 1000);
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
    ck_assert_int_eq(verdict.n, 5);
    ck_assert_double_eq_tol(verdict.alpha, STATS_ALPHA / 5, 1e-12);
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
    says(": B is better than A, and nothing speaks against it.");
    ck_assert(verdict.clear);
}
END_TEST

/* The winner may still be worse by more than one would like, or nobody knows. */
START_TEST(what_may_speak_against_it)
{
    data.arms[1].means[VERDICT_COST] = mean(0.0138, 0.0003, 1000);
    data.arms[1].means[VERDICT_LATENCY] = mean(1500, 90, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 1);
    ck_assert(!verdict.clear);
    says(": B is better than A; latency could still be up to 24.5 % worse");
    ck_assert_msg(strstr(verdict.text, "nothing speaks") == NULL, "%s", verdict.text);
    data.arms[1].means[VERDICT_LATENCY] = mean(900, 90, 1000); /* faster at worst: no loss */
    data.arms[1].means[VERDICT_ERRORS] = mean(0.02, 0.005, 1000);
    data.arms[1].means[VERDICT_OWN] = mean(0.7, 0.05, 1000);
    judge();
    says(": B is better than A; error_rate could still be up to 2.86");
    says(" points worse, quality up to 0.182.");
    setup();
    data.arms[1].means[VERDICT_COST] = mean(0.0138, 0.0003, 1000);
    data.arms[1].means[VERDICT_LATENCY] = (struct stats_mean){0};
    judge();
    says("latency (too few)");
    says(": B is better than A; latency is not known yet.");
    ck_assert(!verdict.clear);
    data.arms[1].means[VERDICT_COST] = mean(0.04, 0.0004, 1000); /* and the other way round */
    data.arms[1].means[VERDICT_LATENCY] = mean(1500, 90, 1000);
    judge();
    says(": A is better than B; latency could still be up to 24.5 % worse");
}
END_TEST

/* A provider that hangs is cheap, and its answers are not waited for. */
START_TEST(given_up_on)
{
    data.arms[1].means[VERDICT_COST] = mean(0.0138, 0.0003, 1000);
    data.arms[1].means[VERDICT_CANCELED] = mean(0.9, 0.01, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_TRADE_OFF);
    ck_assert_int_eq(verdict.winner, -1);
    says("is given up on 89.6 points more often than A");
}
END_TEST

START_TEST(free_of_charge)
{
    data.arms[1].means[VERDICT_COST] = mean(0, 0, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 1);
    ck_assert(!verdict.comparisons[0].relative);
    says("B is free, where A costs 0.02 $ per request (between 0.0186 and 0.0214 $)");
    data.arms[0].means[VERDICT_COST] = mean(0, 0, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_NONE);
    says("cost (between +0 and +0 $)");
    data.arms[1].means[VERDICT_COST] = mean(0.02, 0.0004, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 0);
    says("B costs 0.02 $ per request, where A is free (between 0.0186 and 0.0214 $)");
    data.arms[1].means[VERDICT_COST] = mean(0.02, 0.01, 1000); /* rarely anything */
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_NONE);
    says("cost (between -0.0157 and +0.0557 $)");
    data.arms[1].means[VERDICT_COST].units = 60;
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_TOO_EARLY);
}
END_TEST

/* Figures that overflow say nothing, and do not say that there are too few. */
START_TEST(no_numbers)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 1e200};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        setup();
        data.arms[1].means[VERDICT_OWN] = mean(0.9, odd[i], 1000);
        judge();
        ck_assert_int_eq(verdict.state, VERDICT_NONE);
        says("quality (not known)");
        setup();
        data.arms[1].means[VERDICT_COST] = mean(0.0138, odd[i], 1000);
        judge();
        ck_assert_int_eq(verdict.comparisons[0].better, 0);
    }
}
END_TEST

START_TEST(dearer_is_the_other_way_round)
{
    data.arms[1].means[VERDICT_COST] = mean(0.04, 0.0004, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
    ck_assert_int_eq(verdict.winner, 0);
    says("B costs 100 % more per request than A");
    says(": A is better than B, and nothing speaks against it.");
    ck_assert(verdict.clear);
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
    ck_assert_int_eq(verdict.n, 10);
    ck_assert_int_eq(verdict.winner, 2);
    says(": C is better than A, and nothing speaks against it."); /* of B nothing is said */
    data.arms[1].means[VERDICT_COST] = mean(0.01, 0.0003, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
    ck_assert_int_eq(verdict.winner, -1);
    says("compare them in an experiment of their own");
}
END_TEST

/* The first arm wins only where it beats all: one that is open could be better than it. */
START_TEST(one_of_three_is_worse)
{
    data.n_arms = 3;
    data.arms[1].means[VERDICT_COST] = mean(0.04, 0.0004, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_DIFFERENCE);
    ck_assert_int_eq(verdict.winner, -1);
    says("C does not differ from A so far");
    says(": B is worse than A.");
    data.arms[2].shadow = true; /* which could be no winner */
    data.arms[2].means[VERDICT_COST] = mean(0.001, 0.0001, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 0);
    says(": A is better than B, and nothing speaks against it.");
    data.arms[2].shadow = false;
    data.arms[2].means[VERDICT_COST] = mean(0.04, 0.0004, 1000);
    judge();
    ck_assert_int_eq(verdict.winner, 0);
    says(": A is better than B, C, and nothing speaks against it.");
    data.arms[2].means[VERDICT_LATENCY] = mean(1500, 90, 1000);
    judge();
    says(": A is better than B, C; latency against C could still be up to 2");
    data.arms[2].means[VERDICT_LATENCY] = mean(150, 9, 1000);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_TRADE_OFF);
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
    says("Too early to say: of the 100 users in each arm that the statistics need, B has 99.");
    for (int i = 0; i < verdict.n; i++)
        ck_assert_int_eq(verdict.comparisons[i].better, 0);
}
END_TEST

/* Many users of whom one is most. */
START_TEST(too_uneven)
{
    for (int metric = 0; metric < data.n_metrics; metric++)
        data.arms[1].means[metric].units = 1.7;
    data.arms[1].means[VERDICT_COST].mean = 0.001;
    data.arms[1].largest = 0.77;
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_TOO_EARLY);
    says("B has 1000 that weigh like 1, since one user has 77 % of the requests.");
    data.arms[1].largest = 0.05;
    judge();
    says("B has 1000 that weigh like 1.");
}
END_TEST

START_TEST(without_a_unit)
{
    data.arms[0].unnamed = 1;
    judge();
    says(" Not compared: 1 request that names no user.");
    data.arms[1].unnamed = 40;
    judge();
    says(" Not compared: 41 requests that name no user.");
}
END_TEST

START_TEST(an_assignment_that_is_off)
{
    data.arms[1].units = 700;
    data.arms[1].means[VERDICT_COST] = mean(0.001, 0.0003, 700);
    judge();
    ck_assert_int_eq(verdict.state, VERDICT_INVALID);
    ck_assert_int_eq(verdict.winner, -1);
    ck_assert_int_eq(verdict.comparisons[0].better, 0);
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
    ck_assert_int_eq(verdict.n, 5 + 3);
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
    tcase_add_test(t, what_may_speak_against_it);
    tcase_add_test(t, given_up_on);
    tcase_add_test(t, free_of_charge);
    tcase_add_test(t, no_numbers);
    tcase_add_test(t, dearer_is_the_other_way_round);
    tcase_add_test(t, directions);
    tcase_add_test(t, a_trade_off);
    tcase_add_test(t, three_arms);
    tcase_add_test(t, one_of_three_is_worse);
    tcase_add_test(t, too_early);
    tcase_add_test(t, too_uneven);
    tcase_add_test(t, without_a_unit);
    tcase_add_test(t, an_assignment_that_is_off);
    tcase_add_test(t, a_shadow_arm);
    tcase_add_test(t, one_arm_alone);
    tcase_add_test(t, guardrails_need_evidence);
    suite_add_tcase(s, t);
    return s;
}
