#define _GNU_SOURCE
/* Means, sequences, comparisons: see the header for what they rest on. */
#include "router/stats.h"

#include <math.h>

void stats_add(struct stats_sums *s, double num, double den)
{
    if (den == 0)
        return;
    double off_num = num, off_den = den;
    if (s->units > 0) {
        off_num -= s->num / s->units;
        off_den -= s->den / s->units;
    }
    s->units++;
    s->num += num;
    s->den += den;
    double now_off_num = num - s->num / s->units, now_off_den = den - s->den / s->units;
    s->num_num += off_num * now_off_num;
    s->num_den += off_num * now_off_den;
    s->den_den += off_den * now_off_den;
}

/* ---- means ---- */

struct stats_mean stats_mean(const struct stats_sums *s)
{
    struct stats_mean m = {0};
    if (s->den <= 0)
        return m;
    double per_unit = s->den / s->units, least;
    m.units = s->den * s->den / (s->den_den + s->den * per_unit);
    m.mean = s->num / s->den;
    least = STATS_ROUNDING * m.mean;
    /* Of the residuals num - mean * den, whose mean is 0. */
    double squares = s->num_num - 2 * m.mean * s->num_den + m.mean * m.mean * s->den_den;
    if (s->units > 1)
        m.variance = squares / (s->units - 1) / s->units / (per_unit * per_unit);
    if (m.variance < least * least)
        m.variance = least * least;
    m.known = isfinite(m.mean) && isfinite(m.variance);
    return m;
}

struct stats_mean stats_share(const struct stats_sums *s)
{
    struct stats_mean m = stats_mean(s);
    if (!m.known)
        return m;
    double n = s->den + 4, share = (s->num + 2) / n;
    double least = share * (1 - share) / n;
    if (m.variance < least)
        m.variance = least;
    return m;
}

/* ---- sequences ---- */

/* The mixture's scale for which the sequence is narrowest at STATS_UNITS_BEST (ibid., appendix B.2,
 * with the first terms of Lambert's W). */
static double mixture_scale(double alpha)
{
    double a = -2 * log(alpha);
    return (a + log(a + 1)) / STATS_UNITS_BEST;
}

double stats_radius(double units, double alpha)
{
    double t = units * mixture_scale(alpha);
    return sqrt(2 * (t + 1) / t * log(sqrt(t + 1) / alpha));
}

static struct stats_interval between(double low, double high)
{
    return (struct stats_interval){low, high, isfinite(low) && isfinite(high)};
}

struct stats_interval stats_interval(const struct stats_mean *m, double alpha)
{
    if (!m->known || m->units < STATS_UNITS_MIN)
        return (struct stats_interval){.known = false};
    double half = sqrt(m->variance) * stats_radius(m->units, alpha);
    return between(m->mean - half, m->mean + half);
}

/* ---- comparisons ---- */

static bool enough(const struct stats_mean *a, const struct stats_mean *b)
{
    return a->units >= STATS_UNITS_MIN && b->units >= STATS_UNITS_MIN;
}

struct stats_difference stats_difference(const struct stats_mean *a, const struct stats_mean *b,
                                         double alpha)
{
    struct stats_difference d = {.known = a->known && b->known};
    if (!d.known)
        return d;
    d.value = b->mean - a->mean;
    if (!enough(a, b))
        return d;
    double half = sqrt(a->variance + b->variance) * stats_radius(a->units + b->units, alpha);
    d.interval = between(d.value - half, d.value + half);
    return d;
}

struct stats_difference stats_relative(const struct stats_mean *a, const struct stats_mean *b,
                                       double alpha)
{
    struct stats_difference d = {.known = a->known && b->known && a->mean > 0 && b->mean > 0};
    if (!d.known)
        return d;
    d.value = b->mean / a->mean - 1;
    if (!enough(a, b))
        return d;
    double variance = a->variance / (a->mean * a->mean) + b->variance / (b->mean * b->mean);
    double half = sqrt(variance) * stats_radius(a->units + b->units, alpha);
    double middle = log(b->mean / a->mean);
    d.interval = between(exp(middle - half) - 1, exp(middle + half) - 1);
    return d;
}

/* ---- the assignment ---- */

/* lgamma writes a global variable. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* One over the Bayes factor of "some other weights" (a Dirichlet distribution around these) against
 * "these weights": under the latter it falls below p with a probability of at most p, ever. */
double stats_assignment(const double *units, const double *weights, int n_arms)
{
    double all = 0, weight = 0, factor = 0;
    for (int i = 0; i < n_arms; i++) {
        all += units[i];
        weight += weights[i];
    }
    for (int i = 0; i < n_arms; i++) {
        double share = weights[i] / weight, prior = share * STATS_SRM_WEIGHT;
        factor += log_gamma(prior + units[i]) - log_gamma(prior) - units[i] * log(share);
    }
    factor += log_gamma(STATS_SRM_WEIGHT) - log_gamma(STATS_SRM_WEIGHT + all);
    return factor > 0 ? exp(-factor) : 1;
}

/* ---- before the start ---- */

double stats_detectable(double variation, double units_a, double units_b, double alpha)
{
    double error = variation * sqrt(1 / units_a + 1 / units_b);
    return exp(error * (stats_radius(units_a + units_b, alpha) + STATS_POWER_Z)) - 1;
}
