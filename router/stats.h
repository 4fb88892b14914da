/* Statistics of A/B tests: means of ratios with confidence sequences, comparisons, the check of the
 * assignment, what can be found with how much traffic.  Pure; doubles, since statistics are not
 * money.
 *
 * A metric is a ratio of sums over units (users, keys, sessions, requests): cost per request is the
 * sum of costs over the number of requests, errors per request likewise.  The requests of one unit
 * depend on each other, the units do not: variances are those of units, by the delta method
 * (Deng, Knoblich, Lu: Applying the Delta Method in Metric Analytics, KDD 2018).
 *
 * A unit that sends most of an arm's requests is most of its mean, and the others cannot tell how
 * far off that is.  Units therefore count by what they weigh: the effective number of them is the
 * number of equal ones whose mean would be as uncertain (Kish, Survey Sampling, 1965, 11.7).
 *
 * Intervals hold at every look, however often and whenever one stops: asymptotic confidence
 * sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and
 * asymptotic confidence sequences, Annals of Statistics 52, 2024, theorem 2.2), which are a
 * normal mixture (Robbins 1970) over the information gathered.  Asymptotic: from
 * STATS_UNITS_MIN effective units in each arm on; with fewer nothing is said. */
#ifndef ROUTER_STATS_H
#define ROUTER_STATS_H

#include <stdbool.h>

enum {
    STATS_UNITS_MIN = 100,       /* effective ones, in each arm */
    STATS_UNITS_BEST = 2000,     /* in both: where the sequences are narrowest */
    STATS_SRM_WEIGHT = 100,      /* units that the prior of the assignment's check is worth */
    STATS_SRM_PER_MILLION = 1000 /* false alarms of that check, over all looks: 1 in 1,000 */
};
#define STATS_ALPHA 0.05 /* of an experiment as a whole: all comparisons, at all looks */
#define STATS_POWER_Z 0.8416212335729143 /* the 80th percentile of the normal distribution */
/* A standard error is this share of its mean at least: less is what adding up rounds away, and no
 * difference. */
#define STATS_ROUNDING 1e-9

/* Sums over the units of an arm; products are those of deviations from the means so far, which do
 * not cancel (Welford 1962).  Zeroed = none. */
struct stats_sums {
    double units, num, den, num_num, num_den, den_den;
};
/* One unit; a unit whose den is 0 has no part in the metric. */
void stats_add(struct stats_sums *s, double num, double den);

/* A metric in one arm. */
struct stats_mean {
    double units; /* effective */
    double mean;
    double variance; /* of the mean */
    bool known;      /* a ratio exists, and is finite */
};
struct stats_mean stats_mean(const struct stats_sums *s);
/* A share of ones among independent trials: its variance never 0, so that an arm in which nothing
 * has happened yet is not taken for certain (Agresti and Coull 1998: two successes and failures
 * more). */
struct stats_mean stats_share(const struct stats_sums *s);

struct stats_interval {
    double low, high;
    bool known;
};

/* The half width of an interval in standard errors, after so many effective units; alpha: the
 * probability that it is ever left. */
double stats_radius(double units, double alpha);
/* Of one arm's mean. */
struct stats_interval stats_interval(const struct stats_mean *m, double alpha);

/* How b compares with a. */
struct stats_difference {
    double value; /* b - a; relative: b / a - 1 */
    struct stats_interval interval;
    bool known;
};
struct stats_difference stats_difference(const struct stats_mean *a, const struct stats_mean *b,
                                         double alpha);
/* Of positive metrics, by the logarithm of the ratio. */
struct stats_difference stats_relative(const struct stats_mean *a, const struct stats_mean *b,
                                       double alpha);

/* Were the units assigned as the weights say?  A probability that holds at every look: below
 * STATS_SRM_PER_MILLION in a million something is wrong with the assignment or with what is counted
 * (Lindon and Malek: Anytime-Valid Inference For Multinomial Count Data, NeurIPS 2022). */
double stats_assignment(const double *units, const double *weights, int n_arms);

/* The smallest relative difference that is found with a probability of 80 per cent by the time that
 * so many units are in the two arms, when a unit's metric has this coefficient of variation. */
double stats_detectable(double variation, double units_a, double units_b, double alpha);

#endif
