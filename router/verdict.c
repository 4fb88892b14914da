/* From means to a sentence. */
#include "router/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *verdict_state_name(enum verdict_state s)
{
    static const char *const names[] = {
        [VERDICT_TOO_EARLY] = "too_early", [VERDICT_INVALID] = "invalid",
        [VERDICT_NONE] = "no_difference",  [VERDICT_DIFFERENCE] = "difference",
        [VERDICT_TRADE_OFF] = "trade_off",
    };
    return names[s];
}

void verdict_standard_metrics(struct verdict_data *d)
{
    d->metrics[VERDICT_COST] = (struct verdict_metric){"cost", false, true};
    d->metrics[VERDICT_ERRORS] = (struct verdict_metric){"error_rate", false, false};
    d->metrics[VERDICT_LATENCY] = (struct verdict_metric){"latency", false, true};
    d->n_metrics = VERDICT_OWN;
}

/* ---- comparing ---- */

static int first_served(const struct verdict_data *d)
{
    for (int i = 0; i < d->n_arms; i++) {
        if (!d->arms[i].shadow)
            return i;
    }
    return -1;
}

/* Nobody sees a shadow arm's answers: nothing of the users' own can come of them. */
static bool is_compared(const struct verdict_data *d, int baseline, int arm, int metric)
{
    return arm != baseline && (!d->arms[arm].shadow || metric < VERDICT_OWN);
}

static int count_comparisons(const struct verdict_data *d, int baseline)
{
    int n = 0;
    for (int arm = 0; arm < d->n_arms; arm++) {
        for (int metric = 0; metric < d->n_metrics; metric++)
            n += is_compared(d, baseline, arm, metric);
    }
    return n;
}

static int who_is_better(const struct verdict_metric *m, const struct stats_difference *d)
{
    if (!d->interval.known || (d->interval.low <= 0 && d->interval.high >= 0))
        return 0;
    return (d->interval.low > 0) == m->higher ? 1 : -1;
}

static void compare(const struct verdict_data *d, int arm, int metric, struct verdict *v)
{
    const struct stats_mean *a = &d->arms[v->baseline].means[metric];
    const struct stats_mean *b = &d->arms[arm].means[metric];
    struct verdict_comparison *c = &v->comparisons[v->n++];
    c->arm = arm;
    c->metric = metric;
    c->difference = d->metrics[metric].relative ? stats_relative(a, b, v->alpha)
                                                : stats_difference(a, b, v->alpha);
    c->better = who_is_better(&d->metrics[metric], &c->difference);
}

/* Better somewhere and worse nowhere: against the first arm for others, against all for it. */
static void judge(const struct verdict_data *d, struct verdict *v)
{
    int pro[EXPERIMENT_ARMS_MAX] = {0}, contra[EXPERIMENT_ARMS_MAX] = {0}, clear = 0;
    bool any = false;
    v->winner = -1;
    for (int i = 0; i < v->n; i++) {
        const struct verdict_comparison *c = &v->comparisons[i];
        if (d->arms[c->arm].shadow)
            continue;
        pro[c->arm] += c->better > 0;
        contra[c->arm] += c->better < 0;
        any |= c->better != 0;
    }
    bool beaten = false;
    for (int arm = 0; arm < d->n_arms; arm++) {
        if (pro[arm] > 0 && contra[arm] == 0) {
            clear++;
            v->winner = arm;
        }
        beaten |= pro[arm] > 0;
    }
    if (any && !beaten)
        v->winner = v->baseline;
    if (clear > 1)
        v->winner = -1; /* they were not compared with each other */
    bool decided = clear > 0 || (any && !beaten);
    v->state = !any ? VERDICT_NONE : decided ? VERDICT_DIFFERENCE : VERDICT_TRADE_OFF;
}

/* ---- words ---- */

static double percent(double share)
{
    return 100 * share;
}

/* "costs 31 % less than A (between 24 and 37 %)". */
static void say_difference(const struct verdict_data *d, const struct verdict *v,
                           const struct verdict_comparison *c, struct buf *out)
{
    static const char *const words[][2][2] = {
        /* less, more */
        [VERDICT_COST] = {{"costs", "% less per request"}, {"costs", "% more per request"}},
        [VERDICT_ERRORS] = {{"fails", "points less often"}, {"fails", "points more often"}},
        [VERDICT_LATENCY] = {{"answers in", "% less time"}, {"takes", "% more time"}},
    };
    const char *than = d->arms[v->baseline].name;
    const struct stats_difference *x = &c->difference;
    bool own = c->metric >= VERDICT_OWN, share = c->metric == VERDICT_ERRORS;
    double scale = own ? 1 : 100, low = x->interval.low, high = x->interval.high;
    bool less = x->value < 0;
    if (own)
        buf_addf(out, "has %.3g %s %s than %s", fabs(x->value), less ? "less" : "more",
                 d->metrics[c->metric].name, than);
    else
        buf_addf(out, "%s %.3g %s than %s", words[c->metric][!less][0], scale * fabs(x->value),
                 words[c->metric][!less][1], than);
    double nearest = scale * (less ? -high : low), farthest = scale * (less ? -low : high);
    buf_addf(out, " (between %.3g and %.3g%s)", nearest, farthest,
             own     ? ""
             : share ? " points"
                     : " %");
}

static void add_part(struct buf *out, bool *first, const char *between)
{
    if (!*first)
        buf_adds(out, between);
    *first = false;
}

static void say_differences(const struct verdict_data *d, const struct verdict *v, int arm,
                            struct buf *out)
{
    bool first = true;
    for (int i = 0; i < v->n; i++) {
        const struct verdict_comparison *c = &v->comparisons[i];
        if (c->arm != arm || c->better == 0)
            continue;
        add_part(out, &first, ", ");
        say_difference(d, v, c, out);
    }
}

static void say_the_rest(const struct verdict_data *d, const struct verdict *v, int arm,
                         struct buf *out)
{
    bool first = true;
    for (int i = 0; i < v->n; i++) {
        const struct verdict_comparison *c = &v->comparisons[i];
        if (c->arm != arm || c->better != 0)
            continue;
        add_part(out, &first, ", ");
        buf_adds(out, d->metrics[c->metric].name);
        if (!c->difference.interval.known)
            buf_adds(out, " (too few)");
        else if (c->metric >= VERDICT_OWN)
            buf_addf(out, " (between %+.3g and %+.3g)", c->difference.interval.low,
                     c->difference.interval.high);
        else
            buf_addf(out, " (between %+.3g and %+.3g %s)", percent(c->difference.interval.low),
                     percent(c->difference.interval.high),
                     c->metric == VERDICT_ERRORS ? "points" : "%");
    }
}

static bool has(const struct verdict *v, int arm, bool difference)
{
    for (int i = 0; i < v->n; i++) {
        if (v->comparisons[i].arm == arm && (v->comparisons[i].better != 0) == difference)
            return true;
    }
    return false;
}

static void say_arm(const struct verdict_data *d, const struct verdict *v, int arm, struct buf *out)
{
    const struct verdict_arm *a = &d->arms[arm];
    bool differs = has(v, arm, true), rest = has(v, arm, false);
    buf_addf(out, "%s%s ", a->shadow ? "shadow arm " : "", a->name);
    if (differs) {
        say_differences(d, v, arm, out);
        if (rest)
            buf_adds(out, "; no difference so far in ");
    } else {
        buf_addf(out, "does not differ from %s so far in ", d->arms[v->baseline].name);
    }
    if (rest)
        say_the_rest(d, v, arm, out);
}

static void conclude(const struct verdict_data *d, const struct verdict *v, struct buf *out)
{
    switch (v->state) {
    case VERDICT_DIFFERENCE:
        if (v->winner >= 0)
            buf_addf(out, ": %s is better, and nothing speaks against it.",
                     d->arms[v->winner].name);
        else
            buf_addf(out,
                     ": several arms are better than %s; compare them in an experiment of their "
                     "own.",
                     d->arms[v->baseline].name);
        return;
    case VERDICT_TRADE_OFF:
        buf_adds(out, ": a trade-off, the choice is yours.");
        return;
    case VERDICT_NONE:
    case VERDICT_TOO_EARLY:
    case VERDICT_INVALID:
        buf_adds(out, ": go on collecting, or stop if a difference of that size does not matter.");
        return;
    }
}

static void say_early(const struct verdict_data *d, struct buf *out)
{
    bool first = true;
    buf_adds(out, "Too early to say: ");
    for (int i = 0; i < d->n_arms; i++) {
        if (d->arms[i].units >= STATS_UNITS_MIN || d->arms[i].shadow)
            continue;
        add_part(out, &first, ", ");
        buf_addf(out, "%s has %.0f", d->arms[i].name, d->arms[i].units);
    }
    buf_addf(out, " of the %d %ss that the statistics need.", STATS_UNITS_MIN, d->unit);
}

static void say(const struct verdict_data *d, struct verdict *v)
{
    struct buf out;
    bool first = true;
    buf_init(&out, sizeof(v->text) - 1);
    if (v->state == VERDICT_INVALID) {
        buf_addf(
            &out,
            "Do not trust this comparison: the %ss are not split as the weights say (p = %.2g); "
            "find out first what keeps them out of an arm.",
            d->unit, v->assignment_p);
    } else if (v->state == VERDICT_TOO_EARLY) {
        say_early(d, &out);
    } else if (v->n == 0) {
        buf_adds(&out, "There is nothing to compare: a single arm is served.");
    } else {
        for (int arm = 0; arm < d->n_arms; arm++) {
            if (arm == v->baseline || (d->arms[arm].shadow && d->arms[arm].units < STATS_UNITS_MIN))
                continue;
            add_part(&out, &first, "; ");
            say_arm(d, v, arm, &out);
        }
        conclude(d, v, &out);
    }
    snprintf(v->text, sizeof(v->text), "%.*s", (int)out.len, out.len > 0 ? out.ptr : "");
    buf_done(&out);
}

/* ---- all together ---- */

static bool is_early(const struct verdict_data *d)
{
    for (int i = 0; i < d->n_arms; i++) {
        if (!d->arms[i].shadow && d->arms[i].units < STATS_UNITS_MIN)
            return true;
    }
    return false;
}

static double check_assignment(const struct verdict_data *d)
{
    double units[EXPERIMENT_ARMS_MAX], weights[EXPERIMENT_ARMS_MAX];
    int n = 0;
    for (int i = 0; i < d->n_arms; i++) {
        if (d->arms[i].shadow)
            continue;
        units[n] = d->arms[i].units;
        weights[n++] = d->arms[i].weight;
    }
    return n > 1 ? stats_assignment(units, weights, n) : 1;
}

void verdict_make(const struct verdict_data *d, struct verdict *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->winner = -1;
    ret->assignment_p = check_assignment(d);
    ret->baseline = first_served(d);
    int n = ret->baseline >= 0 ? count_comparisons(d, ret->baseline) : 0;
    ret->alpha = STATS_ALPHA / (n > 0 ? n : 1);
    for (int arm = 0; arm < d->n_arms && n > 0; arm++) {
        for (int metric = 0; metric < d->n_metrics; metric++) {
            if (is_compared(d, ret->baseline, arm, metric))
                compare(d, arm, metric, ret);
        }
    }
    judge(d, ret);
    if (ret->assignment_p * 1e6 < STATS_SRM_PER_MILLION)
        ret->state = VERDICT_INVALID;
    else if (is_early(d))
        ret->state = VERDICT_TOO_EARLY;
    if (ret->state == VERDICT_INVALID || ret->state == VERDICT_TOO_EARLY)
        ret->winner = -1;
    say(d, ret);
}

bool verdict_exceeds(const struct stats_mean *m, double max, int n)
{
    struct stats_interval i = stats_interval(m, STATS_ALPHA / (n > 0 ? n : 1));
    return i.known && i.low > max;
}
