#define _GNU_SOURCE
/* A/B tests that never ran: are verdicts as rare, and as frequent, as they claim to be?
 *
 *   trials aa KIND EXPERIMENTS UNITS SEED     two equal arms, looked at after every unit: in how
 * many of so many experiments a difference was claimed, ever trials ab KIND EXPERIMENTS UNITS SEED
 * arm b differs by what stats_detectable says can be found with so many units: how often it was
 * found by then trials split EXPERIMENTS UNITS SEED SHARE of the units SHARE (0.5 is right) go to
 * the first arm: how often the assignment's check rang trials figures reads data sets, writes what
 * stats.c makes of them
 *
 * KIND: cost (lognormal, variation 2.9), errors (2 per cent), users (several requests each, alike
 * within a user), family (all three at once, each with a third of the alpha).
 * Prints "claims N of M". */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/stats.h"

enum { EVERY_LOOK_UNTIL = 4000, LATER_EVERY = 16, KINDS = 3 };
enum kind { COST, ERRORS, USERS };

static const char *const kind_names[KINDS] = {"cost", "errors", "users"};
static const double LOG_SIGMA = 1.5, ERROR_SHARE = 0.02, USER_SIGMA = 1.0, REQUEST_SIGMA = 0.5;

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

static void add_unit(enum kind kind, struct stats_sums *s, double factor)
{
    switch (kind) {
    case COST:
        stats_add(s, factor * exp(LOG_SIGMA * normal()), 1);
        return;
    case ERRORS:
        stats_add(s, uniform() < ERROR_SHARE * factor, 1);
        return;
    case USERS: {
        double level = factor * exp(USER_SIGMA * normal()), sum = 0;
        int requests = 1 + (int)(-3 * log(uniform()));
        for (int i = 0; i < requests; i++)
            sum += level * exp(REQUEST_SIGMA * normal());
        stats_add(s, sum, requests);
        return;
    }
    }
}

static bool claims(enum kind kind, const struct stats_sums arms[2], double alpha)
{
    struct stats_mean m[2];
    for (int i = 0; i < 2; i++)
        m[i] = kind == ERRORS ? stats_share(&arms[i]) : stats_mean(&arms[i]);
    struct stats_difference d = kind == ERRORS ? stats_difference(&m[0], &m[1], alpha)
                                               : stats_relative(&m[0], &m[1], alpha);
    return d.interval.known && (d.interval.low > 0 || d.interval.high < 0);
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
    double alpha = STATS_ALPHA / __builtin_popcount(kinds);
    for (int unit = 0; unit < units; unit++) {
        int arm = (int)(bits() >> 63);
        for (int k = 0; k < KINDS; k++) {
            if (!(kinds >> k & 1u))
                continue;
            add_unit((enum kind)k, &sums[k][arm], arm == 1 ? factor : 1);
            if (is_looked_at(unit) && claims((enum kind)k, sums[k], alpha))
                return true;
        }
    }
    return false;
}

/* Of a unit's metric, measured. */
static double variation_of(enum kind kind)
{
    struct stats_sums s = {0};
    for (int i = 0; i < 1000000; i++)
        add_unit(kind, &s, 1);
    struct stats_mean m = stats_mean(&s);
    return sqrt(m.variance * m.units) / m.mean;
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
                          : stats_detectable(variation_of(kind), units, units, STATS_ALPHA);
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
        double units[2] = {a.units, b.units};
        static const double weights[2] = {1, 2};
        printf("mean %.17g %.17g interval %.17g %.17g", a.mean, a.variance, i.low, i.high);
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
    return strcmp(name, "family") == 0 ? (1u << KINDS) - 1 : 0;
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
    if (strcmp(argv[1], "ab") == 0) {
        factor += detectable((enum kind)__builtin_ctz(kinds), units / 2.0);
        printf("difference %.3f\n", factor - 1);
    }
    return run_trials(kinds, count(argv[3]), units, factor);
}
