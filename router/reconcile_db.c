/* The ledger's side of a reconciliation, the comparison, and what it would correct. */
#include "router/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/budget_db.h"
#include "router/correction.h"
#include "router/rollup_db.h"
#include "router/rollup_sql.h"
#include "schema/money.h"
#include "schema/when.h"

/* What usage_source makes of a figure. */
enum trust { TRUST_FINAL, TRUST_PARTIAL, TRUST_ESTIMATED, TRUSTS };

struct ours {
    int64_t day;
    char model[RECONCILE_MODEL_MAX];
    int64_t attempts, figures[TRUSTS][RECONCILE_FIGURES];
    int64_t unsure; /* of the attempts: settled by less than the provider's final figures */
    size_t gap;     /* where it is compared; NO_GAP: nowhere yet */
};
#define NO_GAP SIZE_MAX

/* One comparison: a row of theirs and all of ours that it speaks of, or ours alone. */
struct gap {
    int64_t day;
    const char *model; /* borrowed; "" = all together */
    const struct reconcile_row *theirs;
    int64_t attempts, ours[TRUSTS][RECONCILE_FIGURES];
    int64_t diff[RECONCILE_FIGURES]; /* theirs - ours; 0 = equal, as far as can be told */
    int64_t left[RECONCILE_FIGURES]; /* of diff: what belongs to no attempt */
    uint32_t told;                   /* the figures that are compared */
    bool open;                       /* attempts of this day may be corrected */
};

struct comparison {
    struct db *db;
    const struct reconcile_export *e;
    const char *provider;
    int64_t now_ms, day; /* day: whose attempts are being read */
    struct ours *rows;
    size_t n, cap;
    struct gap *gaps;
    size_t n_gaps;
    struct correction_list *corrections;
    struct fail *reterr;
};

#define NAME(member, json) json,
static const char *const figure_names[RECONCILE_FIGURES] = {USAGE_BUCKETS(NAME) "prompt_tokens",
                                                            "cost_usd"};

/* ---- ours ---- */

static enum trust trust_of(const char *usage_source)
{
    if (strcmp(usage_source, "final") == 0)
        return TRUST_FINAL;
    return strcmp(usage_source, "partial") == 0 ? TRUST_PARTIAL : TRUST_ESTIMATED;
}

/* Rows come ordered by day and model: the last one, or a new one. */
static struct ours *row_of(struct comparison *c, int64_t day, const char *model)
{
    if (c->n > 0 && c->rows[c->n - 1].day == day && strcmp(c->rows[c->n - 1].model, model) == 0)
        return &c->rows[c->n - 1];
    if (c->n == c->cap) {
        size_t cap = c->cap * 2 + 64;
        struct ours *p = realloc(c->rows, cap * sizeof(*p));
        if (p == NULL) {
            fail_set(c->reterr, ERR_internal, NULL, "out of memory");
            return NULL;
        }
        c->rows = p;
        c->cap = cap;
    }
    struct ours *o = &c->rows[c->n++];
    memset(o, 0, sizeof(*o));
    o->day = day;
    o->gap = NO_GAP;
    size_t len = strlen(model);
    memcpy(o->model, model, len < RECONCILE_MODEL_MAX ? len : RECONCILE_MODEL_MAX - 1);
    return o;
}

enum { COL_ATTEMPTS = 3, COL_BUCKETS = 4, COL_CHARGE = COL_BUCKETS + USAGE_BUCKET_COUNT };

static void add_ours(struct sqlite3_stmt *s, struct ours *o)
{
    enum trust trust = trust_of(db_col_text(s, 2));
    int64_t *f = o->figures[trust];
    o->attempts += db_col_int(s, COL_ATTEMPTS);
    if (trust != TRUST_FINAL && strcmp(db_col_text(s, 2), "none") != 0)
        o->unsure += db_col_int(s, COL_ATTEMPTS);
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        f[i] += db_col_int(s, COL_BUCKETS + i);
        if (usage_is_prompt((enum usage_bucket)i))
            f[RECONCILE_PROMPT] += db_col_int(s, COL_BUCKETS + i);
    }
    f[RECONCILE_COST] += db_col_int(s, COL_CHARGE);
}

#define SUM_BUCKET(member, json) ", sum(" #member ")"

static int read_ours(struct comparison *c, const struct rollup_span *span)
{
    struct sqlite3_stmt *s = db_stmt(
        c->db,
        "SELECT day, upstream_model, usage_source, sum(attempts)" USAGE_BUCKETS(
            SUM_BUCKET) ", sum(charge_nusd) FROM (" ROLLUP_PART ") WHERE provider = ?9"
                        " OR substr(provider, 1, length(?9) + 1) = ?9 || '/' GROUP BY 1, 2, 3"
                        " ORDER BY 1, 2");
    rollup_db_bind(s, span);
    db_bind_text(s, 9, c->provider);
    int rc;
    while ((rc = db_step(c->db, s, c->reterr)) == 1) {
        struct ours *o = row_of(c, db_col_int(s, 0), db_col_text(s, 1));
        if (o == NULL) {
            rc = -1;
            break;
        }
        add_ours(s, o);
    }
    sqlite3_reset(s);
    return rc;
}

static int check_provider(struct db *db, const char *provider, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT 1 FROM provider WHERE slug = ?1");
    db_bind_text(s, 1, provider);
    int rc = db_step(db, s, reterr);
    sqlite3_reset(s);
    if (rc == 0)
        return fail_set(reterr, ERR_not_found, "provider",
                        "there is no provider %.64s in the catalog and none of its attempts in"
                        " that time; --provider names another",
                        provider);
    return rc < 0 ? -1 : 0;
}

/* ---- comparing ---- */

/* A date behind the name: -20250929 or -2025-09-29.  Exports name the snapshot, a request may
 * have named the alias. */
static bool is_date(const char *s)
{
    static const char *const shapes[] = {"-########", "-####-##-##"};
    for (int k = 0; k < 2; k++) {
        size_t i = 0;
        while (shapes[k][i] != '\0' &&
               (shapes[k][i] == '#' ? s[i] >= '0' && s[i] <= '9' : s[i] == shapes[k][i]))
            i++;
        if (shapes[k][i] == '\0' && s[i] == '\0')
            return true;
    }
    return false;
}

static bool same_model(const char *ours, const char *theirs)
{
    size_t n = strlen(ours), m = strlen(theirs);
    if (theirs[0] == '\0')
        return true;
    if (strncmp(ours, theirs, n < m ? n : m) != 0)
        return false;
    return n == m || is_date(n < m ? theirs + n : ours + m);
}

/* Another row of theirs that names this model exactly has the better claim. */
static bool is_claimed(const struct comparison *c, size_t at, const char *model)
{
    const struct reconcile_export *e = c->e;
    for (size_t i = at; i-- > 0 && e->rows[i].day == e->rows[at].day;) {
        if (strcmp(e->rows[i].model, model) == 0)
            return true;
    }
    for (size_t i = at + 1; i < e->n && e->rows[i].day == e->rows[at].day; i++) {
        if (strcmp(e->rows[i].model, model) == 0)
            return true;
    }
    return false;
}

static void add_to_gap(struct gap *g, const struct ours *o)
{
    g->attempts += o->attempts;
    for (int t = 0; t < TRUSTS; t++) {
        for (int f = 0; f < RECONCILE_FIGURES; f++)
            g->ours[t][f] += o->figures[t][f];
    }
}

/* Tokens are equal or not.  A cost of ours was rounded up to the nano-dollar once for each
 * attempt, theirs was cut to one. */
static void measure(const struct comparison *c, struct gap *g)
{
    g->told = g->theirs != NULL ? g->theirs->told : c->e->told;
    for (int f = 0; f < RECONCILE_FIGURES; f++) {
        int64_t diff = g->theirs != NULL ? g->theirs->figures[f] : 0;
        for (int t = 0; t < TRUSTS; t++)
            diff -= g->ours[t][f];
        int64_t slack = f == RECONCILE_COST ? g->attempts : 0;
        bool differs = diff > slack || diff < -slack - (slack > 0);
        g->diff[f] = g->left[f] = differs && (g->told >> f & 1u) != 0 ? diff : 0;
    }
}

static void match_theirs(struct comparison *c, size_t at)
{
    const struct reconcile_row *t = &c->e->rows[at];
    struct gap *g = &c->gaps[c->n_gaps];
    *g = (struct gap){.day = t->day, .model = t->model, .theirs = t};
    for (size_t i = 0; i < c->n; i++) {
        struct ours *o = &c->rows[i];
        if (o->day != t->day || o->gap != NO_GAP || !same_model(o->model, t->model) ||
            (t->model[0] != '\0' && strcmp(o->model, t->model) != 0 && is_claimed(c, at, o->model)))
            continue;
        o->gap = c->n_gaps;
        add_to_gap(g, o);
    }
    measure(c, g);
    c->n_gaps++;
}

static int match_all(struct comparison *c)
{
    c->gaps = calloc(c->e->n + c->n + 1, sizeof(*c->gaps));
    if (c->gaps == NULL)
        return fail_set(c->reterr, ERR_internal, NULL, "out of memory");
    for (size_t i = 0; i < c->e->n; i++)
        match_theirs(c, i);
    for (size_t i = 0; i < c->n; i++) {
        struct ours *o = &c->rows[i];
        if (o->gap != NO_GAP)
            continue;
        struct gap *g = &c->gaps[c->n_gaps];
        *g = (struct gap){.day = o->day, .model = o->model};
        o->gap = c->n_gaps++;
        add_to_gap(g, o);
        measure(c, g);
    }
    return 0;
}

/* ---- what attempts it belongs to ---- */

static size_t gap_of(void *ctx, const char *upstream_model)
{
    const struct comparison *c = ctx;
    for (size_t i = 0; i < c->n; i++) {
        if (c->rows[i].day == c->day && strcmp(c->rows[i].model, upstream_model) == 0)
            return c->rows[i].gap;
    }
    return NO_GAP;
}

static int by_gap(const void *a, const void *b)
{
    const struct correction *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return memcmp(x->attempt_id.b, y->attempt_id.b, sizeof(x->attempt_id.b));
}

/* Rows of a day are neighbours. */
static int read_attempts(struct comparison *c)
{
    c->day = -1;
    for (size_t i = 0; i < c->n; i++) {
        const struct ours *o = &c->rows[i];
        if (o->day == c->day || o->unsure == 0 || !c->gaps[o->gap].open)
            continue;
        c->day = o->day;
        if (correction_db_attempts(c->db, c->provider, o->day, gap_of, c, c->corrections,
                                   c->reterr) != 0)
            return -1;
    }
    return 0;
}

static int find_open_days(struct comparison *c)
{
    for (size_t i = 0; i < c->n_gaps; i++) {
        int open = correction_db_day_is_open(c->db, c->gaps[i].day, c->now_ms, c->reterr);
        if (open < 0)
            return -1;
        c->gaps[i].open = open == 1 && reconcile_covers_day(c->e, c->gaps[i].day);
    }
    return 0;
}

/* Fills the list with what is to be written, and `left` of each gap. */
static int spread(struct comparison *c)
{
    struct correction_list *l = c->corrections;
    if (find_open_days(c) != 0 || read_attempts(c) != 0)
        return -1;
    if (l->n > 0)
        qsort(l->rows, l->n, sizeof(l->rows[0]), by_gap);
    size_t kept = 0;
    for (size_t i = 0, end; i < l->n; i = end) {
        for (end = i + 1; end < l->n && l->rows[end].group == l->rows[i].group; end++)
            continue;
        struct gap *g = &c->gaps[l->rows[i].group];
        correction_spread(&l->rows[i], end - i, g->told, g->left);
        for (size_t k = i; k < end; k++) {
            if (!correction_is_empty(&l->rows[k]))
                l->rows[kept++] = l->rows[k];
        }
    }
    l->n = kept;
    return 0;
}

/* ---- the report ---- */

static struct json_object *amount(int figure, int64_t n)
{
    char text[MONEY_TEXT_MAX];
    if (figure != RECONCILE_COST)
        return json_object_new_int64(n);
    return json_object_new_string(money_print(n, MONEY_SCALE_NUSD, text));
}

static struct json_object *day_text(int64_t day)
{
    char text[WHEN_TEXT_MAX];
    when_print(day * ROLLUP_DAY_MS, text);
    text[10] = '\0';
    return json_object_new_string(text);
}

static struct json_object *difference(const struct gap *g, int figure)
{
    static const char *const trusts[TRUSTS] = {"final", "partial", "estimated"};
    int64_t theirs = g->theirs != NULL ? g->theirs->figures[figure] : 0;
    struct json_object *row = json_object_new_object();
    json_object_object_add(row, "day", day_text(g->day));
    json_object_object_add(row, "model",
                           g->model[0] != '\0' ? json_object_new_string(g->model) : NULL);
    json_object_object_add(row, "figure", json_object_new_string(figure_names[figure]));
    json_object_object_add(row, "ours", amount(figure, theirs - g->diff[figure]));
    json_object_object_add(row, "theirs", amount(figure, theirs));
    json_object_object_add(row, "difference", amount(figure, g->diff[figure]));
    for (int t = 0; t < TRUSTS; t++)
        json_object_object_add(row, trusts[t], amount(figure, g->ours[t][figure]));
    json_object_object_add(row, "attributed",
                           g->open ? amount(figure, g->diff[figure] - g->left[figure]) : NULL);
    return row;
}

static void add_differences(const struct comparison *c, struct json_object *report)
{
    struct json_object *data = json_object_new_array();
    int64_t compared = 0, unattributed = 0;
    for (size_t i = 0; i < c->n_gaps; i++) {
        for (int f = 0; f < RECONCILE_FIGURES; f++) {
            compared += c->gaps[i].told >> f & 1u;
            unattributed += c->gaps[i].left[f] != 0;
            if (c->gaps[i].diff[f] != 0)
                json_object_array_add(data, difference(&c->gaps[i], f));
        }
    }
    json_object_object_add(report, "ok",
                           json_object_new_boolean(json_object_array_length(data) == 0));
    json_object_object_add(report, "compared", json_object_new_int64(compared));
    json_object_object_add(report, "unattributed", json_object_new_int64(unattributed));
    json_object_object_add(report, "data", data);
}

static void add_corrections(const struct comparison *c, struct json_object *report)
{
    struct json_object *rows = json_object_new_array();
    char id[ID_TEXT_MAX];
    int64_t sum = 0;
    for (size_t i = 0; i < c->corrections->n; i++) {
        const struct correction *x = &c->corrections->rows[i];
        struct json_object *row = json_object_new_object();
        json_object_object_add(
            row, "attempt",
            json_object_new_string(id_print(&x->attempt_id, ID_PREFIX_ATTEMPT, id)));
        json_object_object_add(row, "day", day_text(c->gaps[x->group].day));
        json_object_object_add(row, "usage_source",
                               json_object_new_string(usage_source_name(x->source)));
        json_object_object_add(row, "cost_usd", shape_usd(x->charge_nusd));
        json_object_object_add(row, "corrected_cost_usd", shape_usd(x->charge_nusd + x->add_nusd));
        json_object_array_add(rows, row);
        sum += x->add_nusd;
    }
    json_object_object_add(report, "corrections", rows);
    json_object_object_add(report, "correction_usd", shape_usd(sum));
}

static int compare(struct comparison *c, struct window *covered)
{
    struct rollup_span span;
    int rc = rollup_db_span(c->db, covered, &span, c->reterr);
    if (rc == 0)
        rc = read_ours(c, &span);
    if (rc == 0 && c->n == 0)
        rc = check_provider(c->db, c->provider, c->reterr);
    if (rc == 0)
        rc = match_all(c);
    return rc == 0 ? spread(c) : -1;
}

int reconcile_db_compare(struct db *db, const struct reconcile_export *e, const char *provider,
                         int64_t now_ms, struct correction_list *corrections,
                         struct json_object **ret, struct fail *reterr)
{
    struct comparison c = {.db = db,
                           .e = e,
                           .provider = provider,
                           .now_ms = now_ms,
                           .corrections = corrections,
                           .reterr = reterr};
    struct window covered = e->span;
    *corrections = (struct correction_list){0};
    bool own;
    if (db_snapshot(db, &own, reterr) != 0)
        return -1;
    int rc = compare(&c, &covered);
    db_snapshot_end(db, own);
    if (rc == 0) {
        struct json_object *r = json_object_new_object();
        json_object_object_add(r, "provider", json_object_new_string(provider));
        json_object_object_add(r, "format", json_object_new_string(e->format));
        json_object_object_add(r, "since", shape_time(covered.start_ms));
        json_object_object_add(r, "until", shape_time(covered.end_ms));
        add_differences(&c, r);
        add_corrections(&c, r);
        *ret = r;
    }
    free(c.rows);
    free(c.gaps);
    return rc;
}
