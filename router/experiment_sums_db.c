/* One pass over the requests, one over what users said. */
#include "router/experiment_sums_db.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/units.h"

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

/* ---- one look at an experiment ---- */

enum { LOOK_KEYS = 256 };

struct ratio {
    double num, den;
};

struct look {
    struct sums *sums;
    char salt[EXPERIMENT_SALT_MAX];
    enum experiment_unit unit;
    struct units units[EXPERIMENT_ARMS_MAX];
    struct ratio *cells[EXPERIMENT_ARMS_MAX]; /* [metric][SUMS_CELLS] */
    /* What requests of a key have as their unit that name none; by the last digits of its id. */
    struct {
        int64_t id, unit;
    } keys[LOOK_KEYS];
};

static bool look_make(struct look *l, struct sums *sums)
{
    const struct verdict_data *d = &sums->data;
    memset(l, 0, sizeof(*l));
    l->sums = sums;
    for (int arm = 0; arm < d->n_arms; arm++) {
        l->cells[arm] = calloc((size_t)SUMS_CELLS * (size_t)d->n_metrics, sizeof(struct ratio));
        if (l->cells[arm] == NULL)
            return false;
    }
    return true;
}

static void look_done(struct look *l)
{
    for (int arm = 0; arm < EXPERIMENT_ARMS_MAX; arm++) {
        free(l->cells[arm]);
        units_done(&l->units[arm]);
    }
}

static void put(struct look *l, int arm, int64_t unit, int metric, double value)
{
    struct ratio *r = &l->cells[arm][metric * SUMS_CELLS + unit % SUMS_CELLS];
    r->num += value;
    r->den++;
    l->sums->arms[arm].n[metric]++;
}

/* Sums of several units are less uneven than the units: by as much as they are fewer. */
static double effective(double of_cells, double units)
{
    return of_cells > 0 && units > SUMS_CELLS ? 1 / (1 / of_cells - 1.0 / SUMS_CELLS + 1 / units)
                                              : of_cells;
}

static struct stats_mean mean_of(const struct look *l, int arm, int metric)
{
    struct stats_sums sums = {0};
    const struct ratio *cells = &l->cells[arm][metric * SUMS_CELLS];
    for (int i = 0; i < SUMS_CELLS; i++)
        stats_add(&sums, cells[i].num, cells[i].den);
    bool share = metric == VERDICT_ERRORS || metric == VERDICT_CANCELED;
    struct stats_mean m = share ? stats_share(&sums) : stats_mean(&sums);
    m.units = effective(m.units, l->units[arm].n);
    return m;
}

static void take_arm(const struct look *l, int arm, struct verdict_arm *ret)
{
    double requests = (double)l->sums->arms[arm].n[VERDICT_COST];
    ret->units = l->units[arm].n;
    ret->largest = requests > 0 ? l->units[arm].most / requests : 0;
    for (int metric = 0; metric < l->sums->data.n_metrics; metric++)
        ret->means[metric] = mean_of(l, arm, metric);
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
    "SELECT r.arm, r.unit, r.key_id, r.status, r.ended_ms - r.created_ms,"                         \
    " min(iif(a.http_status BETWEEN 200 AND 299, a.sent_ms + a.first_byte_ms, NULL))"              \
    " - r.created_ms, count(a.id),"                                                                \
    " coalesce(sum(coalesce(a.charge_nusd, 0) + (SELECT coalesce(sum(c.charge_nusd), 0)"           \
    " FROM correction c WHERE c.attempt_id = a.id)), 0)" USAGE_BUCKETS(                            \
        SUM_BUCKET) " FROM request r LEFT JOIN attempt a ON a.request_id = r.id WHERE "            \
                    "r.experiment = ?1"                                                            \
                    " AND r.status <> 'running' GROUP BY r.id"
enum {
    COL_ARM,
    COL_UNIT,
    COL_KEY,
    COL_STATUS,
    COL_LATENCY,
    COL_FIRST,
    COL_ATTEMPTS,
    COL_COST,
    COL_TOK
};

static int read_definition(struct db *db, const char *experiment, struct look *l,
                           struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT salt, unit FROM experiment WHERE name = ?1");
    db_bind_text(s, 1, experiment);
    int rc = db_step(db, s, reterr);
    if (rc == 1) {
        db_col_copy(s, 0, l->salt, sizeof(l->salt));
        experiment_unit_parse(db_col_text(s, 1), &l->unit);
    }
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

static int read_key(struct db *db, const struct look *l, int64_t id, int64_t *ret_unit,
                    struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT public_id FROM api_key WHERE id = ?1");
    db_bind_int(s, 1, id);
    int rc = db_step(db, s, reterr);
    if (rc == 1) {
        struct experiment_name name = {{span_of(db_col_text(s, 0)), {"", 0}}};
        *ret_unit = experiment_unit_hash(l->salt, UNIT_KEY, &name);
    }
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

/* Does the request take part by its key, although the experiment is of something else?  1, 0, or
 * -1 with reterr. */
static int is_unnamed(struct db *db, struct look *l, int64_t key, int64_t unit, struct fail *reterr)
{
    if (l->unit != UNIT_USER && l->unit != UNIT_SESSION)
        return 0;
    int at = (int)((uint64_t)key % LOOK_KEYS);
    if (l->keys[at].id != key) {
        if (read_key(db, l, key, &l->keys[at].unit, reterr) != 0)
            return -1;
        l->keys[at].id = key;
    }
    return l->keys[at].unit == unit;
}

/* What is known of how long it took, and would have taken. */
static void take_times(struct sqlite3_stmt *s, struct sums_arm *a, bool canceled)
{
    if (!db_col_null(s, COL_LATENCY))
        sums_spread_add(&a->latency, db_col_int(s, COL_LATENCY));
    if (!db_col_null(s, COL_FIRST))
        sums_spread_add(&a->first_token, db_col_int(s, COL_FIRST));
    else if (canceled && !db_col_null(s, COL_LATENCY))
        sums_spread_add(&a->first_token, db_col_int(s, COL_LATENCY));
}

/* unit: its number; -1 = it is not compared. */
static void take_request(struct sqlite3_stmt *s, struct look *l, int arm, int64_t unit)
{
    struct sums_arm *a = &l->sums->arms[arm];
    const char *status = db_col_text(s, COL_STATUS);
    bool ok = strcmp(status, "ok") == 0, error = strcmp(status, "error") == 0;
    bool canceled = strcmp(status, "canceled") == 0;
    int64_t cost_nusd = db_col_int(s, COL_COST);
    a->requests++;
    a->ok += ok;
    a->errors += error;
    a->canceled += canceled;
    a->attempts += db_col_int(s, COL_ATTEMPTS);
    a->cost_nusd += cost_nusd;
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        a->tok[i] += db_col_int(s, COL_TOK + i);
    /* How fast something fails is not how fast it answers. */
    if (ok || canceled)
        take_times(s, a, canceled);
    if (unit < 0)
        return;
    put(l, arm, unit, VERDICT_COST, (double)cost_nusd / 1e9);
    put(l, arm, unit, VERDICT_ERRORS, error);
    put(l, arm, unit, VERDICT_CANCELED, canceled);
    if ((ok || canceled) && !db_col_null(s, COL_LATENCY))
        put(l, arm, unit, VERDICT_LATENCY, (double)db_col_int(s, COL_LATENCY));
}

static int take_row(struct db *db, struct sqlite3_stmt *s, struct look *l, struct fail *reterr)
{
    int arm = find_arm(&l->sums->data, db_col_text(s, COL_ARM));
    int64_t unit = -1;
    if (arm < 0)
        return 0;
    int unnamed = is_unnamed(db, l, db_col_int(s, COL_KEY), db_col_int(s, COL_UNIT), reterr);
    if (unnamed < 0)
        return -1;
    l->sums->data.arms[arm].unnamed += unnamed;
    if (!unnamed) {
        unit = units_add(&l->units[arm], db_col_int(s, COL_UNIT));
        if (unit < 0)
            return fail_set(reterr, ERR_internal, NULL,
                            "no memory for the units of arm %s, %d at most",
                            l->sums->data.arms[arm].name, UNITS_MAX);
    }
    take_request(s, l, arm, unit);
    return 0;
}

static int read_requests(struct db *db, const char *experiment, struct look *l, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, REQUESTS);
    int rc;
    db_bind_text(s, 1, experiment);
    while ((rc = db_step(db, s, reterr)) == 1 && (rc = take_row(db, s, l, reterr)) == 0)
        ;
    sqlite3_reset(s);
    return rc;
}

/* Of units that are compared. */
static int read_feedback(struct db *db, const char *experiment, struct look *l, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT r.arm, r.unit, f.metric, f.value FROM request r CROSS JOIN feedback f"
                    " ON f.request_id = r.id WHERE r.experiment = ?1 AND r.status <> 'running'");
    int rc;
    db_bind_text(s, 1, experiment);
    while ((rc = db_step(db, s, reterr)) == 1) {
        int arm = find_arm(&l->sums->data, db_col_text(s, 0));
        int metric = find_metric(&l->sums->data, db_col_text(s, 2));
        int64_t unit = arm >= 0 ? units_find(&l->units[arm], db_col_int(s, 1)) : -1;
        if (metric >= 0 && unit >= 0)
            put(l, arm, unit, metric, sqlite3_column_double(s, 3));
    }
    sqlite3_reset(s);
    return rc;
}

int sums_db_read(struct db *db, const char *experiment, struct sums *ret, struct fail *reterr)
{
    struct look *l = malloc(sizeof(*l)); /* large */
    int rc = -1;
    if (l == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    if (!look_make(l, ret))
        fail_set(reterr, ERR_internal, NULL, "out of memory");
    else if (read_definition(db, experiment, l, reterr) == 0 &&
             read_requests(db, experiment, l, reterr) == 0 &&
             read_feedback(db, experiment, l, reterr) == 0)
        rc = 0;
    for (int arm = 0; arm < ret->data.n_arms && rc == 0; arm++)
        take_arm(l, arm, &ret->data.arms[arm]);
    look_done(l);
    free(l);
    return rc;
}
