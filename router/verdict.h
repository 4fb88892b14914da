/* What an A/B test has shown so far: every arm compared with the first one, in every metric, and
 * one sentence.  The comparisons of an experiment share STATS_ALPHA evenly (Bonferroni), so that a
 * difference that is none is claimed with a probability of 5 per cent at most, however many arms
 * and metrics there are and however often one looks (router/stats.h).  Pure. */
#ifndef ROUTER_VERDICT_H
#define ROUTER_VERDICT_H

#include "router/experiment.h"
#include "router/stats.h"
#include "schema/buf.h"

enum {
    VERDICT_COST,
    VERDICT_ERRORS,
    VERDICT_CANCELED, /* the client left before the end */
    VERDICT_LATENCY,
    VERDICT_OWN, /* the first of the experiment's own metrics */
    VERDICT_METRICS_MAX = VERDICT_OWN + EXPERIMENT_METRICS_MAX,
    VERDICT_COMPARISONS_MAX = EXPERIMENT_ARMS_MAX * VERDICT_METRICS_MAX,
    VERDICT_TEXT_MAX = 8192
};

/* A winner may still be worse than that in something: then it is said.  Of the loser's mean; in
 * shares of the requests, which may be 0, that much of all of them. */
#define VERDICT_MARGIN 0.1
#define VERDICT_MARGIN_SHARE 0.01
/* A unit that has more of an arm's requests than this is named as the reason why the arm's units
 * weigh less than they are. */
#define VERDICT_LARGEST 0.1

struct verdict_metric {
    char name[EXPERIMENT_NAME_MAX];
    bool higher;   /* is better */
    bool relative; /* compared as a ratio, where both are above 0; else as a difference */
};

struct verdict_arm {
    const char *name;
    double weight;
    bool shadow;
    double units;    /* that were assigned to it and sent a request */
    double largest;  /* the share of their requests that one of them sent */
    int64_t unnamed; /* requests that name no unit, in no mean */
    struct stats_mean means[VERDICT_METRICS_MAX];
};

struct verdict_data {
    const char *unit; /* what is assigned: "user" */
    int n_metrics, n_arms;
    struct verdict_metric metrics[VERDICT_METRICS_MAX];
    struct verdict_arm arms[EXPERIMENT_ARMS_MAX];
};

enum verdict_state {
    VERDICT_TOO_EARLY,  /* an arm has fewer than STATS_UNITS_MIN effective units */
    VERDICT_INVALID,    /* the assignment is off */
    VERDICT_NONE,       /* no difference so far */
    VERDICT_DIFFERENCE, /* one arm is better in something, and worse in nothing */
    VERDICT_TRADE_OFF
};
const char *verdict_state_name(enum verdict_state s);

struct verdict_comparison {
    int arm, metric; /* with arm `baseline` */
    bool relative;
    struct stats_difference difference;
    int better; /* 1: the arm is, -1: the baseline is, 0: not known, or not to be trusted */
};

struct verdict {
    enum verdict_state state;
    int baseline, winner; /* arms; -1 = none */
    bool clear;           /* the winner can be worse in nothing by more than VERDICT_MARGIN */
    double alpha;         /* of each comparison */
    double assignment_p;  /* that the units are split as the weights say; 1 with one arm */
    int n;
    struct verdict_comparison comparisons[VERDICT_COMPARISONS_MAX];
    char text[VERDICT_TEXT_MAX];
};

/* How the metrics that every experiment has are compared; the caller adds its own. */
void verdict_standard_metrics(struct verdict_data *d);
void verdict_make(const struct verdict_data *d, struct verdict *ret);

/* Is an arm's metric above `max` beyond doubt?  n: how many such questions the experiment asks;
 * together they are wrong with STATS_ALPHA at most, at all looks. */
bool verdict_exceeds(const struct stats_mean *m, double max, int n);

#endif
