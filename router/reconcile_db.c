/* The ledger's side of a reconciliation, and the comparison. */
#include "router/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/budget_db.h"
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
    bool matched;
};

struct comparison {
    const struct reconcile_export *e;
    struct ours *rows;
    size_t n, cap;
    struct json_object *data;
    int64_t compared;
};

#define NAME(member, json) json,
static const char *const figure_names[RECONCILE_FIGURES] = {USAGE_BUCKETS(NAME) "prompt_tokens",
                                                            "cost_usd"};

/* ---- ours ---- */

static enum trust trust_of(const char *usage_source)
{
    if (strcmp(usage_source, "final") == 0 || strcmp(usage_source, "reconciled") == 0)
        return TRUST_FINAL;
    return strcmp(usage_source, "partial") == 0 ? TRUST_PARTIAL : TRUST_ESTIMATED;
}

/* Rows come ordered by day and model: the last one, or a new one. */
static struct ours *row_of(struct comparison *c, int64_t day, const char *model,
                           struct fail *reterr)
{
    if (c->n > 0 && c->rows[c->n - 1].day == day && strcmp(c->rows[c->n - 1].model, model) == 0)
        return &c->rows[c->n - 1];
    if (c->n == c->cap) {
        size_t cap = c->cap * 2 + 64;
        struct ours *p = realloc(c->rows, cap * sizeof(*p));
        if (p == NULL) {
            fail_set(reterr, ERR_internal, NULL, "out of memory");
            return NULL;
        }
        c->rows = p;
        c->cap = cap;
    }
    struct ours *o = &c->rows[c->n++];
    memset(o, 0, sizeof(*o));
    o->day = day;
    size_t len = strlen(model);
    memcpy(o->model, model, len < RECONCILE_MODEL_MAX ? len : RECONCILE_MODEL_MAX - 1);
    return o;
}

enum { COL_ATTEMPTS = 3, COL_BUCKETS = 4, COL_CHARGE = COL_BUCKETS + USAGE_BUCKET_COUNT };

static void add_ours(struct sqlite3_stmt *s, struct ours *o)
{
    int64_t *f = o->figures[trust_of(db_col_text(s, 2))];
    o->attempts += db_col_int(s, COL_ATTEMPTS);
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        f[i] += db_col_int(s, COL_BUCKETS + i);
        if (i != USAGE_output_tok && i != USAGE_web_searches)
            f[RECONCILE_PROMPT] += db_col_int(s, COL_BUCKETS + i);
    }
    f[RECONCILE_COST] += db_col_int(s, COL_CHARGE);
}

#define SUM_BUCKET(member, json) ", sum(" #member ")"

static int read_ours(struct db *db, const struct rollup_span *span, const char *provider,
                     struct comparison *c, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT day, upstream_model, usage_source, sum(attempts)" USAGE_BUCKETS(
                SUM_BUCKET) ", sum(charge_nusd) FROM (" ROLLUP_PART ") WHERE provider = ?7"
                            " OR substr(provider, 1, length(?7) + 1) = ?7 || '/' GROUP BY 1, 2, 3"
                            " ORDER BY 1, 2");
    rollup_db_bind(s, span);
    db_bind_text(s, 7, provider);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct ours *o = row_of(c, db_col_int(s, 0), db_col_text(s, 1), reterr);
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

static struct json_object *amount(int figure, int64_t n)
{
    char text[MONEY_TEXT_MAX];
    if (figure != RECONCILE_COST)
        return json_object_new_int64(n);
    return json_object_new_string(money_print(n, MONEY_SCALE_NUSD, text));
}

static void add_difference(struct comparison *c, const struct ours *o, const char *model,
                           int figure, int64_t theirs)
{
    static const char *const trusts[TRUSTS] = {"final", "partial", "estimated"};
    char day[WHEN_TEXT_MAX];
    int64_t sum = 0;
    for (int t = 0; t < TRUSTS; t++)
        sum += o->figures[t][figure];
    when_print(o->day * ROLLUP_DAY_MS, day);
    day[10] = '\0';
    struct json_object *row = json_object_new_object();
    json_object_object_add(row, "day", json_object_new_string(day));
    json_object_object_add(row, "model", model[0] != '\0' ? json_object_new_string(model) : NULL);
    json_object_object_add(row, "figure", json_object_new_string(figure_names[figure]));
    json_object_object_add(row, "ours", amount(figure, sum));
    json_object_object_add(row, "theirs", amount(figure, theirs));
    json_object_object_add(row, "difference", amount(figure, theirs - sum));
    for (int t = 0; t < TRUSTS; t++)
        json_object_object_add(row, trusts[t], amount(figure, o->figures[t][figure]));
    json_object_array_add(c->data, row);
}

/* Tokens are equal or not.  A cost of ours was rounded up to the nano-dollar once for each
 * attempt, theirs was cut to one. */
static void compare_figures(struct comparison *c, const struct ours *o, const char *model,
                            const struct reconcile_row *theirs)
{
    for (int i = 0; i < RECONCILE_FIGURES; i++) {
        if ((c->e->told >> i & 1u) == 0)
            continue;
        int64_t diff = theirs != NULL ? theirs->figures[i] : 0;
        for (int t = 0; t < TRUSTS; t++)
            diff -= o->figures[t][i];
        int64_t slack = i == RECONCILE_COST ? o->attempts : 0;
        c->compared++;
        if (diff > slack || diff < -slack - (slack > 0))
            add_difference(c, o, model, i, theirs != NULL ? theirs->figures[i] : 0);
    }
}

static void compare_theirs(struct comparison *c, size_t at)
{
    const struct reconcile_row *t = &c->e->rows[at];
    struct ours sum = {.day = t->day};
    for (size_t i = 0; i < c->n; i++) {
        struct ours *o = &c->rows[i];
        if (o->day != t->day || o->matched || !same_model(o->model, t->model) ||
            (t->model[0] != '\0' && strcmp(o->model, t->model) != 0 && is_claimed(c, at, o->model)))
            continue;
        o->matched = true;
        sum.attempts += o->attempts;
        for (int k = 0; k < TRUSTS; k++) {
            for (int f = 0; f < RECONCILE_FIGURES; f++)
                sum.figures[k][f] += o->figures[k][f];
        }
    }
    compare_figures(c, &sum, t->model, t);
}

static int compare_all(struct db *db, const char *provider, struct window *covered,
                       struct comparison *c, struct fail *reterr)
{
    struct rollup_span span;
    int rc = rollup_db_span(db, covered, &span, reterr);
    if (rc == 0)
        rc = read_ours(db, &span, provider, c, reterr);
    if (rc == 0 && c->n == 0)
        rc = check_provider(db, provider, reterr);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < c->e->n; i++)
        compare_theirs(c, i);
    for (size_t i = 0; i < c->n; i++) {
        if (!c->rows[i].matched)
            compare_figures(c, &c->rows[i], c->rows[i].model, NULL);
    }
    return 0;
}

int reconcile_db_compare(struct db *db, const struct reconcile_export *e, const char *provider,
                         struct json_object **ret, struct fail *reterr)
{
    struct comparison c = {.e = e, .data = json_object_new_array()};
    struct window covered = e->span;
    if (db_step(db, db_stmt(db, "SAVEPOINT reconcile"), reterr) != 0) {
        json_object_put(c.data);
        return -1;
    }
    int rc = compare_all(db, provider, &covered, &c, reterr);
    db_step(db, db_stmt(db, "RELEASE reconcile"), NULL);
    free(c.rows);
    if (rc != 0) {
        json_object_put(c.data);
        return -1;
    }
    struct json_object *r = json_object_new_object();
    json_object_object_add(r, "ok", json_object_new_boolean(json_object_array_length(c.data) == 0));
    json_object_object_add(r, "provider", json_object_new_string(provider));
    json_object_object_add(r, "format", json_object_new_string(e->format));
    json_object_object_add(r, "since", shape_time(covered.start_ms));
    json_object_object_add(r, "until", shape_time(covered.end_ms));
    json_object_object_add(r, "compared", json_object_new_int64(c.compared));
    json_object_object_add(r, "data", c.data);
    *ret = r;
    return 0;
}
