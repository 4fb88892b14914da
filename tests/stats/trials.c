#define _GNU_SOURCE
/* A/B tests that never ran: are verdicts as rare, and as frequent, as they claim to be?
 *
 *   trials aa KIND EXPERIMENTS UNITS SEED      two equal arms, looked at after every unit: in how
 *                                              many a difference was claimed, ever
 *   trials ab KIND EXPERIMENTS UNITS SEED      arm b differs by what stats_detectable says can be
 *                                              found with so many units: how often it was by then
 *   trials double KIND EXPERIMENTS UNITS SEED  arm b has twice as much of it: how often that was
 *                                              found
 *   trials split EXPERIMENTS UNITS SEED SHARE  of the units SHARE (0.5 is right) go to the first
 *                                              arm: how often the assignment's check rang
 *   trials figures                             reads data sets, writes what stats.c makes of them
 *
 * KIND, with variation where arms should not differ by chance alone:
 *   cost      lognormal, variation 2.9
 *   errors    2 per cent
 *   users     several requests each, alike within a user
 *   family    these three at once, each with a third of the alpha
 * and what breaks statistics that only look right:
 *   constant  the same cost every time; several requests each
 *   always    the same feedback every time
 *   guard     a guardrail at exactly the cost that every request has
 *   stamps    feedback of 1.78e12 (milliseconds since 1970) with a deviation of 2
 *   pareto1   users whose numbers of requests have no mean: Pareto, 1.0
 *   pareto08  and 0.8; pareto15: 1.5, a mean and no variance
 *   large     one user of the first arm sends 1,000 of 1,300 of its requests, all along
 *   huge      10,000 of 10,300
 * Prints "claims N of M". */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/stats.h"

enum { EVERY_LOOK_UNTIL = 4000, LATER_EVERY = 16, REQUESTS_MAX = 1000000 };
enum kind {
    COST,
    ERRORS,
    USERS,
    FAMILY,
    CONSTANT = FAMILY,
    ALWAYS,
    GUARD,
    STAMPS,
    PARETO1,
    PARETO08,
    PARETO15,
    LARGE,
    HUGE_ONE,
    KINDS
};

static const char *const kind_names[KINDS] = {"cost",     "errors",   "users",  "constant",
                                              "always",   "guard",    "stamps", "pareto1",
                                              "pareto08", "pareto15", "large",  "huge"};
static const double LOG_SIGMA = 1.5, ERROR_SHARE = 0.02, USER_SIGMA = 1.0, REQUEST_SIGMA = 0.5;
static const double COST_USD = 0.001962854, FEEDBACK = 0.7, STAMP_MS = 1.78e12, STAMP_SIGMA = 2;

/* ---- random numbers ---- */

static uint64_t state;

static uint64_t bits(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(void)
{
    return (double)((bits() >> 11) + 1) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

/* ---- units ---- */

static int few_requests(void)
{
    return 1 + (int)(-3 * log(uniform()));
}

static double pareto_requests(double exponent)
{
    double n = floor(pow(uniform(), -1 / exponent));
    return n < REQUESTS_MAX ? n : REQUESTS_MAX;
}

/* So many requests of one user, who is `level` above the others: many are as their mean. */
static double costs_of(double level, double requests)
{
    enum { ONE_BY_ONE = 100 };
    double sum = 0, square = REQUEST_SIGMA * REQUEST_SIGMA, mean = exp(square / 2);
    if (requests > ONE_BY_ONE)
        return level * (requests * mean + sqrt(requests * expm1(square)) * mean * normal());
    for (int i = 0; i < (int)requests; i++)
        sum += exp(REQUEST_SIGMA * normal());
    return level * sum;
}

static double user_level(void)
{
    return exp(USER_SIGMA * normal());
}

static void add_same(struct stats_sums *s, double value)
{
    int requests = few_requests();
    double sum = 0;
    for (int i = 0; i < requests; i++)
        sum += value;
    stats_add(s, sum, requests);
}

static void add_user(struct stats_sums *s, double factor, double requests)
{
    stats_add(s, costs_of(factor * user_level(), requests), requests);
}

static void add_stamps(struct stats_sums *s)
{
    int requests = few_requests();
    double sum = 0;
    for (int i = 0; i < requests; i++)
        sum += STAMP_MS + STAMP_SIGMA * normal();
    stats_add(s, sum, requests);
}

static void add_unit(enum kind kind, struct stats_sums *s, double factor)
{
    switch (kind) {
    case COST:
        stats_add(s, factor * exp(LOG_SIGMA * normal()), 1);
        return;
    case ERRORS:
        stats_add(s, uniform() < ERROR_SHARE * factor, 1);
        return;
    case USERS:
        add_user(s, factor, few_requests());
        return;
    case CONSTANT:
    case GUARD:
        add_same(s, factor * COST_USD);
        return;
    case ALWAYS:
        add_same(s, factor * FEEDBACK);
        return;
    case STAMPS:
        add_stamps(s);
        return;
    case PARETO1:
        add_user(s, factor, pareto_requests(1));
        return;
    case PARETO08:
        add_user(s, factor, pareto_requests(0.8));
        return;
    case PARETO15:
        add_user(s, factor, pareto_requests(1.5));
        return;
    case LARGE:
    case HUGE_ONE:
        add_user(s, factor, 1);
        return;
    case KINDS:
        return;
    }
}

static bool is_relative(enum kind kind)
{
    return kind != ERRORS && kind != ALWAYS && kind != STAMPS;
}

static bool claims(enum kind kind, const struct stats_sums arms[2], double alpha)
{
    struct stats_mean m[2];
    for (int i = 0; i < 2; i++)
        m[i] = kind == ERRORS ? stats_share(&arms[i]) : stats_mean(&arms[i]);
    if (kind == GUARD) {
        struct stats_interval i = stats_interval(&m[0], alpha);
        return i.known && i.low > COST_USD;
    }
    struct stats_difference d = is_relative(kind) ? stats_relative(&m[0], &m[1], alpha)
                                                  : stats_difference(&m[0], &m[1], alpha);
    return d.interval.known && (d.interval.low > 0 || d.interval.high < 0);
}

/* The first arm has one user more, who sends so many requests for each of the others. */
static bool claims_beside(enum kind kind, const struct stats_sums arms[2], double level,
                          double alpha)
{
    struct stats_sums with[2] = {arms[0], arms[1]};
    double requests = arms[0].units * (kind == LARGE ? 1000 : 10000) / 300;
    stats_add(&with[0], level * requests * exp(REQUEST_SIGMA * REQUEST_SIGMA / 2), requests);
    return claims(kind, with, alpha);
}

/* ---- experiments ---- */

static bool is_looked_at(int unit)
{
    return unit < EVERY_LOOK_UNTIL || unit % LATER_EVERY == 0;
}

/* kinds: bits. */
static bool ever_claims(unsigned kinds, int units, double factor)
{
    struct stats_sums sums[KINDS][2];
    memset(sums, 0, sizeof(sums));
    double alpha = STATS_ALPHA / __builtin_popcount(kinds), level = user_level();
    for (int unit = 0; unit < units; unit++) {
        int arm = (int)(bits() >> 63);
        for (int i = 0; i < KINDS; i++) {
            enum kind k = (enum kind)i;
            if (!(kinds >> k & 1u))
                continue;
            add_unit(k, &sums[k][arm], arm == 1 ? factor : 1);
            if (is_looked_at(unit) &&
                (k == LARGE || k == HUGE_ONE ? claims_beside(k, sums[k], level, alpha)
                                             : claims(k, sums[k], alpha)))
                return true;
        }
    }
    return false;
}

/* What stats_detectable says of so many units in each arm: measured on many. */
static double relative_rise(enum kind kind, double units)
{
    struct stats_sums s = {0};
    for (int i = 0; i < 1000000; i++)
        add_unit(kind, &s, 1);
    struct stats_mean m = stats_mean(&s);
    double effective = units * m.units / s.units;
    return stats_detectable(sqrt(m.variance * m.units) / m.mean, effective, effective, STATS_ALPHA);
}

/* Of errors in arms of so many units: the larger share varies more, found by going up until it
 * fits. */
static double detectable_rise(double share, double units)
{
    enum { ROUNDS = 50 };
    double rise = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double other = share + rise < 1 ? share + rise : 1;
        double error = sqrt((share * (1 - share) + other * (1 - other)) / units);
        rise = error * (stats_radius(2 * units, STATS_ALPHA) + STATS_POWER_Z);
    }
    return rise;
}

static double detectable(enum kind kind, double units)
{
    return kind == ERRORS ? detectable_rise(ERROR_SHARE, units) / ERROR_SHARE
                          : relative_rise(kind, units);
}

static int run_trials(unsigned kinds, int experiments, int units, double factor)
{
    int n = 0;
    for (int i = 0; i < experiments; i++)
        n += ever_claims(kinds, units, factor);
    printf("claims %d of %d\n", n, experiments);
    return 0;
}

static int run_split(int experiments, int units, double share)
{
    static const double weights[2] = {1, 1};
    int n = 0;
    for (int i = 0; i < experiments; i++) {
        double counts[2] = {0, 0};
        bool rang = false;
        for (int unit = 0; unit < units && !rang; unit++) {
            counts[uniform() > share]++;
            rang = is_looked_at(unit) &&
                   stats_assignment(counts, weights, 2) * 1e6 < STATS_SRM_PER_MILLION;
        }
        n += rang;
    }
    printf("claims %d of %d\n", n, experiments);
    return 0;
}

/* ---- data sets, for another implementation to compare ---- */

static bool read_arm(struct stats_sums *s)
{
    int n;
    if (scanf("%d", &n) != 1)
        return false;
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < n; i++) {
        double num, den;
        int got = scanf("%lf %lf", &num, &den);
        assert(got == 2);
        stats_add(s, num, den);
    }
    return true;
}

static void print_difference(const char *name, const struct stats_difference *d)
{
    printf(" %s %.17g %.17g %.17g", name, d->value, d->interval.low, d->interval.high);
}

static int run_figures(void)
{
    struct stats_sums arms[2];
    while (read_arm(&arms[0]) && read_arm(&arms[1])) {
        struct stats_mean a = stats_mean(&arms[0]), b = stats_mean(&arms[1]);
        struct stats_mean p = stats_share(&arms[0]), q = stats_share(&arms[1]);
        struct stats_difference d = stats_difference(&a, &b, STATS_ALPHA);
        struct stats_difference r = stats_relative(&a, &b, STATS_ALPHA / 3);
        struct stats_difference e = stats_difference(&p, &q, STATS_ALPHA);
        struct stats_interval i = stats_interval(&a, STATS_ALPHA);
        double units[2] = {arms[0].units, arms[1].units};
        static const double weights[2] = {1, 2};
        printf("mean %.17g %.17g units %.17g interval %.17g %.17g", a.mean, a.variance, a.units,
               i.low, i.high);
        print_difference("difference", &d);
        print_difference("relative", &r);
        print_difference("share", &e);
        printf(
            " assignment %.17g detectable %.17g\n", stats_assignment(units, weights, 2),
            stats_detectable(sqrt(a.variance * a.units) / a.mean, a.units, b.units, STATS_ALPHA));
    }
    return 0;
}

static unsigned kinds_of(const char *name)
{
    for (int k = 0; k < KINDS; k++) {
        if (strcmp(name, kind_names[k]) == 0)
            return 1u << k;
    }
    return strcmp(name, "family") == 0 ? (1u << FAMILY) - 1 : 0;
}

static int count(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "figures") == 0)
        return run_figures();
    if (argc == 6 && strcmp(argv[1], "split") == 0) {
        state = strtoull(argv[4], NULL, 10);
        return run_split(count(argv[2]), count(argv[3]), strtod(argv[5], NULL));
    }
    unsigned kinds = argc == 6 ? kinds_of(argv[2]) : 0;
    if (kinds == 0) {
        fprintf(stderr, "usage: see the head of tests/stats/trials.c\n");
        return 2;
    }
    int units = count(argv[4]);
    double factor = 1;
    state = strtoull(argv[5], NULL, 10);
    if (strcmp(argv[1], "double") == 0)
        factor = 2;
    if (strcmp(argv[1], "ab") == 0) {
        factor += detectable((enum kind)__builtin_ctz(kinds), units / 2.0);
        printf("difference %.3f\n", factor - 1);
    }
    return run_trials(kinds, count(argv[3]), units, factor);
}
