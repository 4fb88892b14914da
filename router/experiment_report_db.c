/* `experiment show`: sums, means, comparisons and the verdict as JSON. */
#include "router/experiment_report_db.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <sqlite3.h>

#include "router/budget_db.h"
#include "router/experiment_db.h"
#include "router/experiment_sums_db.h"

/* ---- reading the definition ---- */

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return v;
}

static const char *member_text(struct json_object *o, const char *name)
{
    const char *s = json_object_get_string(member(o, name));
    return s != NULL ? s : "";
}

static void read_arms(struct json_object *arms, struct verdict_data *d)
{
    d->n_arms = (int)json_object_array_length(arms);
    if (d->n_arms > EXPERIMENT_ARMS_MAX)
        d->n_arms = EXPERIMENT_ARMS_MAX;
    for (int i = 0; i < d->n_arms; i++) {
        struct json_object *arm = json_object_array_get_idx(arms, (size_t)i);
        d->arms[i].name = member_text(arm, "name");
        d->arms[i].weight = (double)json_object_get_int64(member(arm, "weight"));
        d->arms[i].shadow = json_object_get_boolean(member(arm, "shadow"));
    }
}

static void read_metrics(struct json_object *metrics, struct verdict_data *d)
{
    size_t n = metrics != NULL ? json_object_array_length(metrics) : 0;
    verdict_standard_metrics(d);
    for (size_t i = 0; i < n && d->n_metrics < VERDICT_METRICS_MAX; i++) {
        struct json_object *m = json_object_array_get_idx(metrics, i);
        struct verdict_metric *at = &d->metrics[d->n_metrics++];
        snprintf(at->name, sizeof(at->name), "%s", member_text(m, "name"));
        at->higher = strcmp(member_text(m, "better"), "higher") == 0;
    }
}

/* For the caller to free; borrows from the definition.  NULL with reterr. */
static struct sums *read_sums(struct db *db, struct json_object *definition, struct fail *reterr)
{
    struct sums *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    s->data.unit = member_text(definition, "unit");
    read_arms(member(definition, "arms"), &s->data);
    read_metrics(member(definition, "metrics"), &s->data);
    if (sums_db_read(db, member_text(definition, "name"), s, reterr) == 0)
        return s;
    free(s);
    return NULL;
}

/* ---- numbers ---- */

/* Six significant digits: more than any of these figures is sure of. */
static struct json_object *number(double v)
{
    char text[64];
    snprintf(text, sizeof(text), "%.6g", v);
    return isfinite(v) ? json_object_new_double_s(v, text) : NULL;
}

static struct json_object *count(int64_t n)
{
    return json_object_new_int64(n);
}

static struct json_object *mean_object(const struct stats_mean *m, int64_t n, bool is_share)
{
    struct json_object *o = json_object_new_object();
    struct stats_interval i = stats_interval(m, STATS_ALPHA);
    if (is_share) { /* the interval is wider than what there can be */
        i.low = fmax(i.low, 0);
        i.high = fmin(i.high, 1);
    }
    json_object_object_add(o, "n", count(n));
    json_object_object_add(o, "mean", m->known ? number(m->mean) : NULL);
    json_object_object_add(o, "low", i.known ? number(i.low) : NULL);
    json_object_object_add(o, "high", i.known ? number(i.high) : NULL);
    return o;
}

static void add_spread(struct json_object *o, const struct sums_spread *s)
{
    int64_t p50 = sums_spread_at(s, 50), p95 = sums_spread_at(s, 95);
    json_object_object_add(o, "p50", p50 >= 0 ? count(p50) : NULL);
    json_object_object_add(o, "p95", p95 >= 0 ? count(p95) : NULL);
}

/* ---- arms ---- */

static void add_tokens(struct json_object *arm, const struct sums_arm *a)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        json_object_object_add(arm, usage_bucket_name((enum usage_bucket)i), count(a->tok[i]));
}

static void add_own_metrics(struct json_object *arm, const struct sums *s, int at)
{
    struct json_object *own = json_object_new_object();
    for (int m = VERDICT_OWN; m < s->data.n_metrics; m++)
        json_object_object_add(own, s->data.metrics[m].name,
                               mean_object(&s->data.arms[at].means[m], s->arms[at].n[m], false));
    json_object_object_add(arm, "metrics", own);
}

static struct json_object *standard_mean(const struct sums *s, int at, int metric)
{
    bool is_share = metric == VERDICT_ERRORS || metric == VERDICT_CANCELED;
    return mean_object(&s->data.arms[at].means[metric], s->arms[at].n[metric], is_share);
}

static void add_arm(struct json_object *arm, const struct sums *s, int at)
{
    const struct sums_arm *a = &s->arms[at];
    const struct verdict_arm *v = &s->data.arms[at];
    json_object_object_add(arm, "units", count((int64_t)v->units));
    json_object_object_add(arm, "effective_units", number(v->means[VERDICT_COST].units));
    json_object_object_add(arm, "largest_unit_share", number(v->largest));
    json_object_object_add(arm, "requests_without_unit", count(v->unnamed));
    json_object_object_add(arm, "requests", count(a->requests));
    json_object_object_add(arm, "attempts", count(a->attempts));
    json_object_object_add(arm, "errors", count(a->errors));
    json_object_object_add(arm, "canceled", count(a->canceled));
    add_tokens(arm, a);
    json_object_object_add(arm, "cost_usd", shape_usd(a->cost_nusd));
    json_object_object_add(arm, "cost_per_request_usd",
                           a->requests > 0 ? shape_usd(a->cost_nusd / a->requests) : NULL);
    json_object_object_add(arm, "cost", standard_mean(s, at, VERDICT_COST));
    json_object_object_add(arm, "error_rate", standard_mean(s, at, VERDICT_ERRORS));
    json_object_object_add(arm, "cancel_rate", standard_mean(s, at, VERDICT_CANCELED));
    struct json_object *latency = standard_mean(s, at, VERDICT_LATENCY);
    add_spread(latency, &a->latency);
    json_object_object_add(arm, "latency_ms", latency);
    struct json_object *first = json_object_new_object();
    json_object_object_add(first, "n", count(a->first_token.n));
    add_spread(first, &a->first_token);
    json_object_object_add(arm, "first_token_ms", first);
    add_own_metrics(arm, s, at);
}

/* ---- verdict ---- */

static struct json_object *comparison_object(const struct verdict_data *d, const struct verdict *v,
                                             const struct verdict_comparison *c)
{
    struct json_object *o = json_object_new_object();
    const struct stats_difference *x = &c->difference;
    const char *better = c->better > 0   ? d->arms[c->arm].name
                         : c->better < 0 ? d->arms[v->baseline].name
                                         : NULL;
    json_object_object_add(o, "arm", json_object_new_string(d->arms[c->arm].name));
    json_object_object_add(o, "baseline", json_object_new_string(d->arms[v->baseline].name));
    json_object_object_add(o, "metric", json_object_new_string(d->metrics[c->metric].name));
    json_object_object_add(o, "kind",
                           json_object_new_string(c->relative ? "relative" : "absolute"));
    json_object_object_add(o, "difference", x->known ? number(x->value) : NULL);
    json_object_object_add(o, "low", x->interval.known ? number(x->interval.low) : NULL);
    json_object_object_add(o, "high", x->interval.known ? number(x->interval.high) : NULL);
    json_object_object_add(o, "better", better != NULL ? json_object_new_string(better) : NULL);
    return o;
}

static void add_verdict(struct json_object *report, const struct verdict_data *d)
{
    struct verdict *v = malloc(sizeof(*v)); /* large */
    if (v == NULL)
        return;
    verdict_make(d, v);
    struct json_object *comparisons = json_object_new_array();
    for (int i = 0; i < v->n; i++)
        json_object_array_add(comparisons, comparison_object(d, v, &v->comparisons[i]));
    json_object_object_add(report, "comparisons", comparisons);
    struct json_object *assignment = json_object_new_object();
    json_object_object_add(assignment, "p", number(v->assignment_p));
    json_object_object_add(assignment, "ok",
                           json_object_new_boolean(v->assignment_p * 1e6 >= STATS_SRM_PER_MILLION));
    json_object_object_add(report, "assignment", assignment);
    struct json_object *verdict = json_object_new_object();
    json_object_object_add(verdict, "state", json_object_new_string(verdict_state_name(v->state)));
    json_object_object_add(verdict, "winner",
                           v->winner >= 0 ? json_object_new_string(d->arms[v->winner].name) : NULL);
    json_object_object_add(verdict, "clear",
                           v->winner >= 0 ? json_object_new_boolean(v->clear) : NULL);
    json_object_object_add(verdict, "text", json_object_new_string(v->text));
    json_object_object_add(report, "verdict", verdict);
    free(v);
}

int experiment_report(struct db *db, const char *name, struct json_object **ret,
                      struct fail *reterr)
{
    struct json_object *report = NULL;
    if (experiment_db_get(db, name, &report, reterr) != 0)
        return -1;
    struct sums *s = read_sums(db, report, reterr);
    if (s == NULL) {
        json_object_put(report);
        return -1;
    }
    for (int i = 0; i < s->data.n_arms; i++)
        add_arm(json_object_array_get_idx(member(report, "arms"), (size_t)i), s, i);
    add_verdict(report, &s->data);
    free(s);
    *ret = report;
    return 0;
}

/* ---- guardrails ---- */

/* What a guardrail is about, and in which unit its maximum is given. */
static const struct {
    const char *metric, *unit;
    int of;
    double scale; /* of our mean into that unit */
} guards[] = {
    {"error_rate", " of the requests", VERDICT_ERRORS, 1},
    {"cancel_rate", " of the requests", VERDICT_CANCELED, 1},
    {"cost", " USD per request", VERDICT_COST, 1},
    {"latency", " s", VERDICT_LATENCY, 1e-3},
};

static bool is_broken(struct json_object *guardrail, const struct verdict_arm *arm, int n,
                      char ret_reason[REPORT_REASON_MAX])
{
    const char *metric = member_text(guardrail, "metric"), *max = member_text(guardrail, "max");
    for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
        const struct stats_mean *m = &arm->means[guards[i].of];
        if (strcmp(metric, guards[i].metric) != 0 ||
            !verdict_exceeds(m, strtod(max, NULL) / guards[i].scale, n))
            continue;
        snprintf(ret_reason, REPORT_REASON_MAX,
                 "guardrail: %s of arm %s is %.4g%s, above %s beyond doubt", metric, arm->name,
                 m->mean * guards[i].scale, guards[i].unit, max);
        return true;
    }
    return false;
}

static bool find_broken(struct json_object *guardrails, const struct verdict_data *d,
                        char ret_reason[REPORT_REASON_MAX])
{
    size_t n = json_object_array_length(guardrails);
    for (int arm = 0; arm < d->n_arms; arm++) {
        for (size_t i = 0; i < n; i++) {
            if (is_broken(json_object_array_get_idx(guardrails, i), &d->arms[arm],
                          (int)n * d->n_arms, ret_reason))
                return true;
        }
    }
    return false;
}

int experiment_report_guard(struct db *db, const char *name, char ret_reason[REPORT_REASON_MAX],
                            struct fail *reterr)
{
    struct json_object *definition = NULL;
    if (experiment_db_get(db, name, &definition, reterr) != 0)
        return -1;
    struct json_object *guardrails = member(definition, "guardrails");
    int rc = 0;
    if (guardrails != NULL && json_object_array_length(guardrails) > 0) {
        struct sums *s = read_sums(db, definition, reterr);
        rc = s == NULL ? -1 : find_broken(guardrails, &s->data, ret_reason);
        free(s);
    }
    json_object_put(definition);
    return rc;
}

/* ---- before the start ---- */

/* Requests for the model of late: how many a day, and how their costs vary. */
struct history {
    double per_day, variation;
    bool any;
};

static int read_history(struct db *db, const char *model, int64_t now_ms, struct history *ret,
                        struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db,
        "WITH late AS (SELECT id, requested_model, created_ms FROM request ORDER BY id DESC"
        " LIMIT ?2), name AS (SELECT ?1 AS n UNION SELECT m.slug FROM model m JOIN model_alias l"
        " ON l.model_id = m.id WHERE l.name = ?1 UNION SELECT l.name FROM model_alias l"
        " JOIN model m ON m.id = l.model_id WHERE m.slug = ?1),"
        " c AS (SELECT (SELECT coalesce(sum(a.charge_nusd), 0) / 1e9 FROM attempt a"
        " WHERE a.request_id = r.id) AS cost FROM late r WHERE CASE substr(r.requested_model, -6)"
        " WHEN ':floor' THEN substr(r.requested_model, 1, length(r.requested_model) - 6)"
        " WHEN ':nitro' THEN substr(r.requested_model, 1, length(r.requested_model) - 6)"
        " ELSE r.requested_model END IN (SELECT n FROM name)) SELECT count(*), avg(cost), avg(cost "
        "* cost),"
        " (SELECT min(created_ms) FROM late) FROM c");
    db_bind_text(s, 1, model);
    db_bind_int(s, 2, REPORT_FORECAST_REQUESTS);
    int rc = db_step(db, s, reterr);
    *ret = (struct history){.any = false};
    if (rc == 1 && db_col_int(s, 0) > 0) {
        double n = (double)db_col_int(s, 0), mean = sqlite3_column_double(s, 1);
        double variance = sqlite3_column_double(s, 2) - mean * mean;
        double days = (double)(now_ms - db_col_int(s, 3)) / 86400e3;
        ret->any = true;
        ret->per_day = n / (days > 1 ? days : 1);
        ret->variation = mean > 0 && variance > 0 ? sqrt(variance) / mean : 0;
    }
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

/* The shares of the traffic that the first two served arms get, and how many comparisons there are.
 */
struct split {
    double a, b;
    int comparisons;
};

static struct split split_of(const struct verdict_data *d)
{
    struct split s = {0};
    double weights[EXPERIMENT_ARMS_MAX], sum = 0;
    int n = 0;
    for (int i = 0; i < d->n_arms; i++) {
        if (d->arms[i].shadow)
            continue;
        weights[n++] = d->arms[i].weight;
        sum += d->arms[i].weight;
    }
    if (n < 2)
        return s;
    return (struct split){weights[0] / sum, weights[1] / sum, (n - 1) * d->n_metrics};
}

static struct json_object *detectable(const struct split *s, const struct history *h,
                                      double requests)
{
    bool enough = s->comparisons > 0 && requests * s->a >= STATS_UNITS_MIN &&
                  requests * s->b >= STATS_UNITS_MIN;
    return enough ? number(stats_detectable(h->variation, requests * s->a, requests * s->b,
                                            STATS_ALPHA / s->comparisons))
                  : NULL;
}

int experiment_report_forecast(struct db *db, struct json_object *definition, int64_t now_ms,
                               struct fail *reterr)
{
    static const int DAYS[] = {1, 7, 30};
    struct history h;
    struct verdict_data *d = calloc(1, sizeof(*d)); /* large */
    if (d == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    read_arms(member(definition, "arms"), d);
    read_metrics(member(definition, "metrics"), d);
    struct split split = split_of(d);
    free(d);
    if (read_history(db, member_text(definition, "model"), now_ms, &h, reterr) != 0)
        return -1;
    double per_day = h.per_day * json_object_get_double(member(definition, "share")) / 100 *
                     json_object_get_double(member(definition, "ramp")) / 100;
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_object_object_add(o, "requests_per_day", number(per_day));
    json_object_object_add(o, "variation", h.any ? number(h.variation) : NULL);
    for (size_t i = 0; i < sizeof(DAYS) / sizeof(DAYS[0]); i++) {
        struct json_object *row = json_object_new_object();
        json_object_object_add(row, "days", count(DAYS[i]));
        json_object_object_add(row, "cost_difference", detectable(&split, &h, per_day * DAYS[i]));
        json_object_array_add(list, row);
    }
    json_object_object_add(o, "detectable", list);
    json_object_object_add(definition, "forecast", o);
    return 0;
}
