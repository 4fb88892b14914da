/* From means to a sentence. */
#include "router/verdict.h"

#include <inttypes.h>
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
    d->metrics[VERDICT_CANCELED] = (struct verdict_metric){"cancel_rate", false, false};
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

static bool is_share(int metric)
{
    return metric == VERDICT_ERRORS || metric == VERDICT_CANCELED;
}

/* Nobody waits for a shadow arm's answers, and nobody sees them: nothing of the users' own can come
 * of them. */
static bool is_compared(const struct verdict_data *d, int baseline, int arm, int metric)
{
    return arm != baseline &&
           (!d->arms[arm].shadow || (metric < VERDICT_OWN && metric != VERDICT_CANCELED));
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
    /* Nothing is a ratio to nothing. */
    bool nothing = a->known && b->known && (a->mean <= 0 || b->mean <= 0);
    c->relative = d->metrics[metric].relative && !nothing;
    c->difference = c->relative ? stats_relative(a, b, v->alpha) : stats_difference(a, b, v->alpha);
    c->better = who_is_better(&d->metrics[metric], &c->difference);
}

/* The served arms by how they did against the baseline. */
struct tally {
    int better, worse, both, open;
    int last_better;
};

static struct tally count_arms(const struct verdict_data *d, const struct verdict *v)
{
    struct tally t = {.last_better = -1};
    for (int arm = 0; arm < d->n_arms; arm++) {
        bool pro = false, contra = false;
        for (int i = 0; i < v->n; i++) {
            pro |= v->comparisons[i].arm == arm && v->comparisons[i].better > 0;
            contra |= v->comparisons[i].arm == arm && v->comparisons[i].better < 0;
        }
        if (d->arms[arm].shadow || arm == v->baseline)
            continue;
        t.better += pro && !contra;
        t.worse += contra && !pro;
        t.both += pro && contra;
        t.open += !pro && !contra;
        if (pro && !contra)
            t.last_better = arm;
    }
    return t;
}

/* Better somewhere and worse nowhere: against the baseline for others, against all for it. */
static void judge(const struct verdict_data *d, struct verdict *v)
{
    struct tally t = count_arms(d, v);
    v->winner = -1;
    if (t.better == 1)
        v->winner = t.last_better; /* several were not compared with each other */
    else if (t.worse > 0 && t.better + t.both + t.open == 0)
        v->winner = v->baseline;
    v->state = t.better > 0  ? VERDICT_DIFFERENCE
               : t.both > 0  ? VERDICT_TRADE_OFF
               : t.worse > 0 ? VERDICT_DIFFERENCE
                             : VERDICT_NONE;
}

/* ---- words ---- */

/* What a difference is told in. */
struct scale {
    double of;
    const char *unit;
};

static struct scale scale_of(const struct verdict_comparison *c)
{
    if (c->relative)
        return (struct scale){100, " %"};
    if (is_share(c->metric))
        return (struct scale){100, " points"};
    return (struct scale){1, c->metric == VERDICT_COST      ? " $"
                             : c->metric == VERDICT_LATENCY ? " ms"
                                                            : ""};
}

/* "is free, where A costs 0.002 $ per request"; false: neither is. */
static bool say_free(const struct verdict_data *d, const struct verdict *v,
                     const struct verdict_comparison *c, struct buf *out)
{
    const struct verdict_arm *a = &d->arms[v->baseline], *b = &d->arms[c->arm];
    double mean_a = a->means[VERDICT_COST].mean, mean_b = b->means[VERDICT_COST].mean;
    if (c->metric != VERDICT_COST || mean_a * mean_b != 0)
        return false;
    if (mean_b == 0)
        buf_addf(out, "is free, where %s costs %.3g $ per request", a->name, mean_a);
    else
        buf_addf(out, "costs %.3g $ per request, where %s is free", mean_b, a->name);
    return true;
}

/* "costs 31 % less per request than A (between 24 and 37 %)". */
static void say_difference(const struct verdict_data *d, const struct verdict *v,
                           const struct verdict_comparison *c, struct buf *out)
{
    static const char *const words[][2][2] = {
        /* less, more */
        [VERDICT_COST] = {{"costs", "less per request"}, {"costs", "more per request"}},
        [VERDICT_ERRORS] = {{"fails", "less often"}, {"fails", "more often"}},
        [VERDICT_CANCELED] = {{"is given up on", "less often"}, {"is given up on", "more often"}},
        [VERDICT_LATENCY] = {{"answers in", "less time"}, {"takes", "more time"}},
    };
    const char *than = d->arms[v->baseline].name;
    const struct stats_difference *x = &c->difference;
    struct scale s = scale_of(c);
    bool less = x->value < 0;
    if (c->metric >= VERDICT_OWN)
        buf_addf(out, "has %.3g %s %s than %s", fabs(x->value), less ? "less" : "more",
                 d->metrics[c->metric].name, than);
    else if (!say_free(d, v, c, out))
        buf_addf(out, "%s %.3g%s %s than %s", words[c->metric][!less][0], s.of * fabs(x->value),
                 s.unit, words[c->metric][!less][1], than);
    double low = x->interval.low, high = x->interval.high;
    double nearest = s.of * (less ? -high : low), farthest = s.of * (less ? -low : high);
    buf_addf(out, " (between %.3g and %.3g%s)", nearest, farthest, s.unit);
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

/* Units that an arm is worth. */
static double weight_of(const struct verdict_arm *a)
{
    return fmin(a->units, a->means[VERDICT_COST].units);
}

static bool is_few(const struct verdict_arm *a)
{
    return weight_of(a) < STATS_UNITS_MIN;
}

static void say_the_rest(const struct verdict_data *d, const struct verdict *v, int arm,
                         struct buf *out)
{
    bool first = true;
    for (int i = 0; i < v->n; i++) {
        const struct verdict_comparison *c = &v->comparisons[i];
        if (c->arm != arm || c->better != 0)
            continue;
        bool few = d->arms[arm].means[c->metric].units < STATS_UNITS_MIN ||
                   d->arms[v->baseline].means[c->metric].units < STATS_UNITS_MIN;
        struct scale s = scale_of(c);
        add_part(out, &first, ", ");
        buf_adds(out, d->metrics[c->metric].name);
        if (!c->difference.interval.known)
            buf_adds(out, few ? " (too few)" : " (not known)");
        else
            buf_addf(out, " (between %+.3g and %+.3g%s)", s.of * c->difference.interval.low,
                     s.of * c->difference.interval.high, s.unit);
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

/* ---- what speaks against a winner ---- */

/* By how much the winner could still be worse; above 0.  NAN: nobody knows. */
static double possible_loss(const struct verdict_data *d, const struct verdict *v,
                            const struct verdict_comparison *c)
{
    const struct stats_interval *i = &c->difference.interval;
    double low = i->low, high = i->high;
    if (!i->known)
        return NAN;
    if (v->winner == v->baseline) { /* seen from there */
        low = c->relative ? 1 / (1 + i->high) - 1 : -i->high;
        high = c->relative ? 1 / (1 + i->low) - 1 : -i->low;
    }
    return d->metrics[c->metric].higher ? -low : high;
}

static bool is_beyond(const struct verdict_data *d, const struct verdict *v,
                      const struct verdict_comparison *c, double loss)
{
    int loser = v->winner == v->baseline ? c->arm : v->baseline;
    double margin = is_share(c->metric) ? VERDICT_MARGIN_SHARE
                    : c->relative       ? VERDICT_MARGIN
                                  : VERDICT_MARGIN * fabs(d->arms[loser].means[c->metric].mean);
    return !(loss <= margin);
}

/* "; latency could still be up to 34 % worse, solved up to 0.22, tone is not known yet".  false:
 * nothing is open. */
static bool say_open(const struct verdict_data *d, const struct verdict *v, struct buf *out)
{
    bool any = false, lost = false;
    for (int i = 0; i < v->n; i++) {
        const struct verdict_comparison *c = &v->comparisons[i];
        bool about = v->winner == v->baseline ? !d->arms[c->arm].shadow : c->arm == v->winner;
        double loss = possible_loss(d, v, c);
        if (!about || !is_beyond(d, v, c, loss))
            continue;
        struct scale s = scale_of(c);
        buf_addf(out, "%s%s", any ? ", " : "; ", d->metrics[c->metric].name);
        any = true;
        if (v->winner == v->baseline && d->n_arms > 2)
            buf_addf(out, " against %s", d->arms[c->arm].name);
        if (isnan(loss)) {
            buf_adds(out, " is not known yet");
            continue;
        }
        buf_addf(out, lost ? " up to %.3g%s" : " could still be up to %.3g%s worse", s.of * loss,
                 s.unit);
        lost = true;
    }
    return any;
}

/* Those that did worse, where the baseline did better than not all. */
static void say_losers(const struct verdict_data *d, const struct verdict *v, struct buf *out)
{
    bool first = true;
    for (int arm = 0; arm < d->n_arms; arm++) {
        if (d->arms[arm].shadow || !has(v, arm, true))
            continue;
        add_part(out, &first, ", ");
        buf_addf(out, "%s is worse than %s", d->arms[arm].name, d->arms[v->baseline].name);
    }
}

static void say_winner(const struct verdict_data *d, struct verdict *v, struct buf *out)
{
    bool baseline = v->winner == v->baseline, first = true;
    buf_addf(out, "%s is better than ", d->arms[v->winner].name);
    for (int arm = 0; arm < d->n_arms; arm++) {
        if (d->arms[arm].shadow || (baseline ? arm == v->winner : arm != v->baseline))
            continue;
        add_part(out, &first, ", ");
        buf_adds(out, d->arms[arm].name);
    }
    v->clear = !say_open(d, v, out);
    if (v->clear)
        buf_adds(out, ", and nothing speaks against it");
}

static bool several_are_better(const struct verdict_data *d, const struct verdict *v)
{
    for (int i = 0; i < v->n; i++) {
        if (v->comparisons[i].better > 0 && !d->arms[v->comparisons[i].arm].shadow)
            return true;
    }
    return false;
}

static void conclude(const struct verdict_data *d, struct verdict *v, struct buf *out)
{
    buf_adds(out, ": ");
    switch (v->state) {
    case VERDICT_DIFFERENCE:
        if (v->winner >= 0)
            say_winner(d, v, out);
        else if (several_are_better(d, v))
            buf_addf(out,
                     "several arms are better than %s; compare them in an experiment of their own",
                     d->arms[v->baseline].name);
        else
            say_losers(d, v, out);
        break;
    case VERDICT_TRADE_OFF:
        buf_adds(out, "a trade-off, the choice is yours");
        break;
    case VERDICT_NONE:
    case VERDICT_TOO_EARLY:
    case VERDICT_INVALID:
        buf_adds(out, "go on collecting, or stop if a difference of that size does not matter");
        break;
    }
    buf_addc(out, '.');
}

/* "A has 7", or "A has 300 that weigh like 12, since one has 27 % of the requests". */
static void say_few(const struct verdict_data *d, const struct verdict_arm *a, struct buf *out)
{
    buf_addf(out, "%s has %.0f", a->name, a->units);
    if (a->units < STATS_UNITS_MIN)
        return;
    buf_addf(out, " that weigh like %.0f", floor(weight_of(a)));
    if (a->largest > VERDICT_LARGEST)
        buf_addf(out, ", since one %s has %.0f %% of the requests", d->unit, 100 * a->largest);
}

static void say_early(const struct verdict_data *d, struct buf *out)
{
    bool first = true;
    buf_addf(out, "Too early to say: of the %d %ss in each arm that the statistics need, ",
             STATS_UNITS_MIN, d->unit);
    for (int i = 0; i < d->n_arms; i++) {
        if (!is_few(&d->arms[i]) || d->arms[i].shadow)
            continue;
        add_part(out, &first, "; ");
        say_few(d, &d->arms[i], out);
    }
    buf_addc(out, '.');
}

static void say_unnamed(const struct verdict_data *d, struct buf *out)
{
    int64_t n = 0;
    for (int i = 0; i < d->n_arms; i++)
        n += d->arms[i].shadow ? 0 : d->arms[i].unnamed;
    if (n > 0)
        buf_addf(out, " Not compared: %" PRId64 " request%s that name%s no %s.", n,
                 n > 1 ? "s" : "", n > 1 ? "" : "s", d->unit);
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
            if (arm == v->baseline || (d->arms[arm].shadow && is_few(&d->arms[arm])))
                continue;
            add_part(&out, &first, "; ");
            say_arm(d, v, arm, &out);
        }
        conclude(d, v, &out);
    }
    say_unnamed(d, &out);
    snprintf(v->text, sizeof(v->text), "%.*s", (int)out.len, out.len > 0 ? out.ptr : "");
    buf_done(&out);
}

/* ---- all together ---- */

static bool is_early(const struct verdict_data *d)
{
    for (int i = 0; i < d->n_arms; i++) {
        if (!d->arms[i].shadow && is_few(&d->arms[i]))
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

/* Nothing is decided by what is not to be trusted, or by too little. */
static void suspend(struct verdict *v, enum verdict_state why)
{
    v->state = why;
    v->winner = -1;
    for (int i = 0; i < v->n; i++)
        v->comparisons[i].better = 0;
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
        suspend(ret, VERDICT_INVALID);
    else if (is_early(d))
        suspend(ret, VERDICT_TOO_EARLY);
    say(d, ret);
}

bool verdict_exceeds(const struct stats_mean *m, double max, int n)
{
    struct stats_interval i = stats_interval(m, STATS_ALPHA / (n > 0 ? n : 1));
    return i.known && i.low > max;
}
