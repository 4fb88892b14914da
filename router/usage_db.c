/* What was spent, by team, key, model, provider, day or experiment. */
#include "router/usage_db.h"

#include <string.h>

#include <sqlite3.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/rollup_db.h"
#include "router/rollup_sql.h"
#include "router/window.h"
#include "schema/money.h"
#include "schema/usage.h"
#include "schema/when.h"

/* Columns 0 and 1: the row's name and, for keys, what people call it.  Then the figures, in
 * the order of `figures`, and the cost; last the requests and errors that count in the total,
 * which are those of the row but for models and providers: a request that two providers worked
 * on is in both rows and once in the total. */
#define SUM(column) ", sum(" column ") AS " column
#define SUM_BUCKET(member, json) SUM(#member)
#define COL_BUCKET(member, json) ", p." #member
#define REPORT(of, name, label, join, key, order)                                                  \
    "SELECT " name ", " label ", p.requests" of ", p.attempts, p.errors" of USAGE_BUCKETS(         \
        COL_BUCKET) ", p.charge_nusd, p.requests, p.errors FROM (SELECT " key                      \
                    " AS item" SUM("attempts") SUM("requests") SUM("requests_of_model")            \
                        SUM("requests_of_provider") SUM("errors") SUM("errors_of_model")           \
                            SUM("errors_of_provider") USAGE_BUCKETS(SUM_BUCKET)                    \
                                SUM("charge_nusd") " FROM (" ROLLUP_PART ") GROUP BY 1) p" join    \
                                                   " ORDER BY " order
#define BY_COST "p.charge_nusd DESC, 1"

static const struct grouping {
    const char *by;
    const char *sql;
} groupings[] = {
    {"team", REPORT("", "t.name", "NULL", " JOIN team t ON t.id = p.item", "team_id", BY_COST)},
    {"key",
     REPORT("", "k.public_id", "k.name", " JOIN api_key k ON k.id = p.item", "key_id", BY_COST)},
    {"model", REPORT("_of_model", "p.item", "NULL", "", "model", BY_COST)},
    {"provider", REPORT("_of_provider", "p.item", "NULL", "", "provider", BY_COST)},
    {"day",
     REPORT("", "strftime('%Y-%m-%d', p.item * 86400, 'unixepoch')", "NULL", "", "day", "1")},
    {"experiment", REPORT("", "nullif(p.item, '')", "NULL", "", "experiment", BY_COST)},
};

#define NAME(member, json) json,
static const char *const figures[] = {"requests", "attempts", "errors", USAGE_BUCKETS(NAME)};
enum {
    FIGURES = sizeof(figures) / sizeof(figures[0]),
    COL_FIGURES = 2,
    COL_COST = COL_FIGURES + FIGURES,
    FIGURE_REQUESTS = 0,
    FIGURE_ERRORS = 2,
    FIGURE_BUCKETS = 3
};

struct row {
    int64_t n[FIGURES], cost_nusd;
};

struct usage_args {
    struct arg_text by;
    struct arg_count since, until;
};

static const struct arg_spec usage_specs[] = {
    {"by", ARG_TEXT, offsetof(struct usage_args, by), false},
    {"since", ARG_TIME, offsetof(struct usage_args, since), false},
    {"until", ARG_TIME, offsetof(struct usage_args, until), false},
    {0}};

static const struct grouping *find_grouping(const char *by)
{
    for (size_t i = 0; i < sizeof(groupings) / sizeof(groupings[0]); i++) {
        if (strcmp(groupings[i].by, by) == 0)
            return &groupings[i];
    }
    return NULL;
}

/* What share of all prompts was read from caches. */
static struct json_object *cache_hit_rate(const struct row *row)
{
    static const enum usage_bucket PROMPT[] = {USAGE_input_tok, USAGE_cache_read_tok,
                                               USAGE_cache_write_5m_tok, USAGE_cache_write_1h_tok};
    int64_t prompt = 0;
    for (size_t i = 0; i < sizeof(PROMPT) / sizeof(PROMPT[0]); i++) {
        if (!money_add(&prompt, row->n[FIGURE_BUCKETS + (int)PROMPT[i]]))
            return NULL;
    }
    return shape_share(row->n[FIGURE_BUCKETS + (int)USAGE_cache_read_tok], prompt);
}

static void add_figures(struct json_object *object, const struct row *row)
{
    for (int i = 0; i < FIGURES; i++)
        json_object_object_add(object, figures[i], json_object_new_int64(row->n[i]));
    json_object_object_add(object, "cache_hit_rate", cache_hit_rate(row));
    json_object_object_add(object, "cost_usd", shape_usd(row->cost_nusd));
}

static void read_row(struct sqlite3_stmt *s, struct row *ret)
{
    for (int i = 0; i < FIGURES; i++)
        ret->n[i] = db_col_int(s, COL_FIGURES + i);
    ret->cost_nusd = db_col_int(s, COL_COST);
}

static int add_to_total(struct sqlite3_stmt *s, const struct row *row, struct row *total,
                        struct fail *reterr)
{
    struct row counts = *row;
    counts.n[FIGURE_REQUESTS] = db_col_int(s, COL_COST + 1);
    counts.n[FIGURE_ERRORS] = db_col_int(s, COL_COST + 2);
    bool fits = money_add(&total->cost_nusd, counts.cost_nusd);
    for (int i = 0; i < FIGURES; i++)
        fits = money_add(&total->n[i], counts.n[i]) && fits;
    return fits ? 0 : fail_set(reterr, ERR_internal, NULL, "the total is too large a number");
}

static int add_rows(struct db *db, const struct grouping *g, const struct rollup_span *span,
                    struct json_object *rows, struct row *total, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, g->sql);
    rollup_db_bind(s, span);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct row figures_of;
        struct json_object *row = json_object_new_object();
        json_object_array_add(rows, row);
        json_object_object_add(
            row, g->by, db_col_null(s, 0) ? NULL : json_object_new_string(db_col_text(s, 0)));
        if (!db_col_null(s, 1))
            json_object_object_add(row, "name", json_object_new_string(db_col_text(s, 1)));
        read_row(s, &figures_of);
        add_figures(row, &figures_of);
        if (add_to_total(s, &figures_of, total, reterr) != 0) {
            rc = -1;
            break;
        }
    }
    sqlite3_reset(s);
    return rc;
}

/* Where the figures are, and the figures, from one snapshot: in a transaction of the caller's
 * or our own. */
static int read_report(struct db *db, const struct grouping *g, struct window *span,
                       struct json_object *report, struct fail *reterr)
{
    struct rollup_span parts;
    struct row sum = {{0}, 0};
    bool own;
    if (db_snapshot(db, &own, reterr) != 0)
        return -1;
    struct json_object *rows = json_object_new_array(), *total = json_object_new_object();
    int rc = rollup_db_span(db, span, &parts, reterr);
    if (rc == 0)
        rc = add_rows(db, g, &parts, rows, &sum, reterr);
    db_snapshot_end(db, own);
    add_figures(total, &sum);
    json_object_object_add(report, "since", shape_instant(span->start_ms));
    json_object_object_add(report, "until", shape_instant(span->end_ms));
    json_object_object_add(report, "rows", rows);
    json_object_object_add(report, "total", total);
    return rc;
}

/* Nothing was spent in a time that ends before it begins, and nobody asks for that. */
static int check_order(const struct window *span, bool since_given, struct fail *reterr)
{
    char since[WHEN_TEXT_MAX], until[WHEN_TEXT_MAX];
    if (span->end_ms >= span->start_ms)
        return 0;
    return fail_set(reterr, ERR_bad_request, "until", "until (%s) is before since (%s%s)",
                    when_print(span->end_ms, until), when_print(span->start_ms, since),
                    since_given ? "" : ", the start of this month: give since too");
}

int usage_db_time(const struct arg_count *since, const struct arg_count *until, int64_t now_ms,
                  struct window *ret, struct fail *reterr)
{
    struct zone *utc = zone_load("UTC", reterr);
    if (utc == NULL)
        return -1;
    *ret = (struct window){window_at(utc, WINDOW_MONTH, now_ms).start_ms, now_ms + 1};
    zone_free(utc);
    if (since->given)
        ret->start_ms = since->value;
    if (until->given)
        ret->end_ms = until->value;
    return until->given ? check_order(ret, since->given, reterr) : 0;
}

int usage_db_report(struct db *db, struct json_object *args, int64_t now_ms,
                    struct json_object **ret, struct fail *reterr)
{
    struct usage_args a = {.by = {.value = "team"}};
    if (args_read(args, usage_specs, &a, reterr) != 0)
        return -1;
    const struct grouping *g = a.by.value != NULL ? find_grouping(a.by.value) : NULL;
    if (g == NULL)
        return fail_set(reterr, ERR_bad_request, "by",
                        "by must be team, key, model, provider, day or experiment");
    struct window span;
    if (usage_db_time(&a.since, &a.until, now_ms, &span, reterr) != 0)
        return -1;
    struct json_object *report = json_object_new_object();
    json_object_object_add(report, "by", json_object_new_string(g->by));
    if (read_report(db, g, &span, report, reterr) != 0) {
        json_object_put(report);
        return -1;
    }
    *ret = report;
    return 0;
}
