/* One pass over the requests, one over what users said. */
#include "router/experiment_sums_db.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

/* ---- times ---- */

static int bucket_of(int64_t ms)
{
    if (ms < SUMS_SPREAD_EXACT_MS)
        return ms > 0 ? (int)ms : 0;
    int at = SUMS_SPREAD_EXACT_MS + (int)(log((double)ms / SUMS_SPREAD_EXACT_MS) /
                                          log1p(SUMS_SPREAD_GROWTH_PERCENT / 100.0));
    return at < SUMS_SPREAD_BUCKETS ? at : SUMS_SPREAD_BUCKETS - 1;
}

static int64_t middle_of(int bucket)
{
    if (bucket < SUMS_SPREAD_EXACT_MS)
        return bucket;
    return llround(SUMS_SPREAD_EXACT_MS * exp((bucket - SUMS_SPREAD_EXACT_MS + 0.5) *
                                              log1p(SUMS_SPREAD_GROWTH_PERCENT / 100.0)));
}

void sums_spread_add(struct sums_spread *s, int64_t ms)
{
    s->n++;
    s->count[bucket_of(ms)]++;
}

int64_t sums_spread_at(const struct sums_spread *s, int percent)
{
    int64_t rank = (s->n * percent + 99) / 100, seen = 0;
    for (int i = 0; i < SUMS_SPREAD_BUCKETS && s->n > 0; i++) {
        seen += s->count[i];
        if (seen >= rank)
            return middle_of(i);
    }
    return -1;
}

/* ---- clusters ---- */

struct ratio {
    double num, den;
};

struct clusters {
    int n_metrics;
    struct ratio *cells[EXPERIMENT_ARMS_MAX]; /* [cluster][metric] */
};

static bool clusters_make(struct clusters *c, const struct verdict_data *d)
{
    c->n_metrics = d->n_metrics;
    for (int arm = 0; arm < d->n_arms; arm++) {
        c->cells[arm] = calloc((size_t)SUMS_CLUSTERS * (size_t)d->n_metrics, sizeof(struct ratio));
        if (c->cells[arm] == NULL)
            return false;
    }
    return true;
}

static void clusters_free(struct clusters *c)
{
    for (int arm = 0; arm < EXPERIMENT_ARMS_MAX; arm++)
        free(c->cells[arm]);
}

static void put(struct clusters *c, int arm, int64_t unit, int metric, double value)
{
    size_t cluster = (uint64_t)unit % SUMS_CLUSTERS;
    struct ratio *r = &c->cells[arm][cluster * (size_t)c->n_metrics + (size_t)metric];
    r->num += value;
    r->den++;
}

/* Every request has a cost: the clusters that have one are all there are. */
static void take_means(const struct clusters *c, int arm, struct verdict_arm *ret)
{
    double clusters = 0;
    for (int metric = 0; metric < c->n_metrics; metric++) {
        struct stats_sums sums = {0};
        for (size_t i = 0; i < SUMS_CLUSTERS; i++) {
            const struct ratio *r = &c->cells[arm][i * (size_t)c->n_metrics + (size_t)metric];
            stats_add(&sums, r->num, r->den);
        }
        if (metric == VERDICT_COST)
            clusters = sums.units;
        struct stats_mean m = metric == VERDICT_ERRORS ? stats_share(&sums) : stats_mean(&sums);
        if (clusters > 0) /* as many units as clusters have it */
            m.units = ret->units * (sums.units / clusters);
        ret->means[metric] = m;
    }
}

/* ---- rows ---- */

static int find_arm(const struct verdict_data *d, const char *name)
{
    for (int i = 0; i < d->n_arms; i++) {
        if (strcmp(d->arms[i].name, name) == 0)
            return i;
    }
    return -1;
}

static int find_metric(const struct verdict_data *d, const char *name)
{
    for (int i = VERDICT_OWN; i < d->n_metrics; i++) {
        if (strcmp(d->metrics[i].name, name) == 0)
            return i;
    }
    return -1;
}

#define SUM_BUCKET(member, json) ", coalesce(sum(a." #member "), 0)"
#define REQUESTS                                                                                   \
    "SELECT r.arm, r.unit, r.status, r.ended_ms - r.created_ms, min(iif(a.http_status BETWEEN"     \
    " 200 AND 299, a.sent_ms + a.first_byte_ms, NULL)) - r.created_ms, count(a.id),"               \
    " coalesce(sum(coalesce(a.charge_nusd, 0) + (SELECT coalesce(sum(c.charge_nusd), 0)"           \
    " FROM correction c WHERE c.attempt_id = a.id)), 0)" USAGE_BUCKETS(                            \
        SUM_BUCKET) " FROM request r LEFT JOIN attempt a ON a.request_id = r.id WHERE "            \
                    "r.experiment = ?1"                                                            \
                    " AND r.status <> 'running' GROUP BY r.id"
enum { COL_ARM, COL_UNIT, COL_STATUS, COL_LATENCY, COL_FIRST, COL_ATTEMPTS, COL_COST, COL_TOK };

static void take_outcome(struct sqlite3_stmt *s, struct sums_arm *a, struct clusters *c, int arm)
{
    const char *status = db_col_text(s, COL_STATUS);
    int64_t unit = db_col_int(s, COL_UNIT);
    bool ok = strcmp(status, "ok") == 0, error = strcmp(status, "error") == 0;
    a->ok += ok;
    a->errors += error;
    a->canceled += strcmp(status, "canceled") == 0;
    put(c, arm, unit, VERDICT_ERRORS, error);
    if (!ok)
        return; /* how fast something fails is not how fast it answers */
    if (!db_col_null(s, COL_LATENCY)) {
        put(c, arm, unit, VERDICT_LATENCY, (double)db_col_int(s, COL_LATENCY));
        sums_spread_add(&a->latency, db_col_int(s, COL_LATENCY));
    }
    if (!db_col_null(s, COL_FIRST))
        sums_spread_add(&a->first_token, db_col_int(s, COL_FIRST));
}

static int read_requests(struct db *db, const char *experiment, struct sums *ret,
                         struct clusters *c, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, REQUESTS);
    int rc;
    db_bind_text(s, 1, experiment);
    while ((rc = db_step(db, s, reterr)) == 1) {
        int arm = find_arm(&ret->data, db_col_text(s, COL_ARM));
        if (arm < 0)
            continue;
        struct sums_arm *a = &ret->arms[arm];
        int64_t cost_nusd = db_col_int(s, COL_COST);
        a->requests++;
        a->attempts += db_col_int(s, COL_ATTEMPTS);
        a->cost_nusd += cost_nusd;
        for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
            a->tok[i] += db_col_int(s, COL_TOK + i);
        put(c, arm, db_col_int(s, COL_UNIT), VERDICT_COST, (double)cost_nusd / 1e9);
        take_outcome(s, a, c, arm);
    }
    sqlite3_reset(s);
    return rc;
}

static int read_feedback(struct db *db, const char *experiment, struct sums *ret,
                         struct clusters *c, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT r.arm, r.unit, f.metric, f.value FROM request r CROSS JOIN feedback f"
                    " ON f.request_id = r.id WHERE r.experiment = ?1 AND r.status <> 'running'");
    int rc;
    db_bind_text(s, 1, experiment);
    while ((rc = db_step(db, s, reterr)) == 1) {
        int arm = find_arm(&ret->data, db_col_text(s, 0));
        int metric = find_metric(&ret->data, db_col_text(s, 2));
        if (arm < 0 || metric < 0)
            continue;
        put(c, arm, db_col_int(s, 1), metric, sqlite3_column_double(s, 3));
        ret->arms[arm].n_feedback[metric - VERDICT_OWN]++;
    }
    sqlite3_reset(s);
    return rc;
}

static int count_units(struct db *db, const char *experiment, struct verdict_data *d,
                       struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT arm, count(DISTINCT unit) FROM request WHERE experiment = ?1"
                    " AND status <> 'running' GROUP BY arm");
    int rc;
    db_bind_text(s, 1, experiment);
    while ((rc = db_step(db, s, reterr)) == 1) {
        int arm = find_arm(d, db_col_text(s, 0));
        if (arm >= 0)
            d->arms[arm].units = (double)db_col_int(s, 1);
    }
    sqlite3_reset(s);
    return rc;
}

int sums_db_read(struct db *db, const char *experiment, struct sums *ret, struct fail *reterr)
{
    struct clusters c = {0};
    int rc = -1;
    if (!clusters_make(&c, &ret->data))
        fail_set(reterr, ERR_internal, NULL, "out of memory");
    else if (count_units(db, experiment, &ret->data, reterr) == 0 &&
             read_requests(db, experiment, ret, &c, reterr) == 0 &&
             read_feedback(db, experiment, ret, &c, reterr) == 0)
        rc = 0;
    for (int arm = 0; arm < ret->data.n_arms && rc == 0; arm++)
        take_means(&c, arm, &ret->data.arms[arm]);
    clusters_free(&c);
    return rc;
}
