/* What was spent, by team, key, model, provider, day or experiment. */
#include "router/usage_db.h"

#include <string.h>

#include <sqlite3.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/window.h"
#include "schema/usage.h"

/* Columns 0 and 1: the row's name and, for keys, what people call it.  Then the figures, in
 * the order of `figures`.  An attempt counts when it was sent and not void; its tokens and
 * its cost when it is settled. */
#define SETTLED(column) " coalesce(sum(CASE a.state WHEN 'SETTLED' THEN a." column " END), 0)"
#define USAGE(member, json) SETTLED(#member) ","
#define FIGURES_SQL                                                                                \
    "count(DISTINCT a.request_id), count(*),"                                                      \
    " count(DISTINCT CASE WHEN r.status = 'error' THEN r.id END)," USAGE_BUCKETS(USAGE)            \
        SETTLED("charge_nusd") " AS cost "
/* The subquery is what makes the index on (key_id, admitted_ms) serve. */
#define FROM_SQL                                                                                   \
    "FROM attempt a JOIN request r ON r.id = a.request_id JOIN team t ON t.id = a.team_id"         \
    " JOIN api_key k ON k.id = a.key_id WHERE a.key_id IN (SELECT id FROM api_key)"                \
    " AND a.admitted_ms >= ?1 AND a.admitted_ms < ?2"                                              \
    " AND a.state <> 'VOID' AND a.sent_ms IS NOT NULL "
#define REPORT(name, label, order) "SELECT " name ", " label ", " FIGURES_SQL FROM_SQL order
#define BY_COST "GROUP BY 1 ORDER BY cost DESC, 1"

static const struct grouping {
    const char *by;
    const char *sql;
} groupings[] = {
    {"team", REPORT("t.name", "NULL", BY_COST)},
    {"key", REPORT("k.public_id", "k.name", BY_COST)},
    {"model", REPORT("a.model", "NULL", BY_COST)},
    {"provider", REPORT("a.provider", "NULL", BY_COST)},
    {"day", REPORT("strftime('%Y-%m-%d', a.admitted_ms / 1000, 'unixepoch')", "NULL",
                   "GROUP BY 1 ORDER BY 1")},
    {"experiment", REPORT("r.experiment", "NULL", BY_COST)},
};

#define NAME(member, json) json,
static const char *const figures[] = {"requests", "attempts", "errors", USAGE_BUCKETS(NAME)};
enum { FIGURES = sizeof(figures) / sizeof(figures[0]), FIRST_FIGURE = 2 };

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

static void add_figures(struct json_object *row, struct sqlite3_stmt *s)
{
    for (int i = 0; i < FIGURES; i++)
        json_object_object_add(row, figures[i],
                               json_object_new_int64(db_col_int(s, FIRST_FIGURE + i)));
    json_object_object_add(row, "cost_usd", shape_usd(db_col_int(s, FIRST_FIGURE + FIGURES)));
}

static int add_rows(struct db *db, const struct grouping *g, struct window span,
                    struct json_object *rows, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, g->sql);
    db_bind_int(s, 1, span.start_ms);
    db_bind_int(s, 2, span.end_ms);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct json_object *row = json_object_new_object();
        json_object_object_add(
            row, g->by, db_col_null(s, 0) ? NULL : json_object_new_string(db_col_text(s, 0)));
        if (!db_col_null(s, 1))
            json_object_object_add(row, "name", json_object_new_string(db_col_text(s, 1)));
        add_figures(row, s);
        json_object_array_add(rows, row);
    }
    return rc;
}

/* Not the sum of the rows: a request that two providers worked on is one request. */
static int add_total(struct db *db, struct window span, struct json_object *total,
                     struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, REPORT("NULL", "NULL", ""));
    db_bind_int(s, 1, span.start_ms);
    db_bind_int(s, 2, span.end_ms);
    int rc = db_step(db, s, reterr);
    if (rc == 1)
        add_figures(total, s);
    sqlite3_reset(s);
    return rc == 1 ? 0 : -1;
}

/* Rows and total are read from one snapshot, in a transaction of the caller's or our own. */
static int read_report(struct db *db, const struct grouping *g, struct window span,
                       struct json_object *report, struct fail *reterr)
{
    struct json_object *rows = json_object_new_array(), *total = json_object_new_object();
    json_object_object_add(report, "rows", rows);
    json_object_object_add(report, "total", total);
    if (db_step(db, db_stmt(db, "SAVEPOINT report"), reterr) != 0)
        return -1;
    int rc = add_rows(db, g, span, rows, reterr);
    if (rc == 0)
        rc = add_total(db, span, total, reterr);
    db_step(db, db_stmt(db, "RELEASE report"), NULL);
    return rc;
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
    struct zone *utc = zone_load("UTC", reterr);
    if (utc == NULL)
        return -1;
    struct window span = {window_at(utc, WINDOW_MONTH, now_ms).start_ms, now_ms + 1};
    zone_free(utc);
    if (a.since.given)
        span.start_ms = a.since.value;
    if (a.until.given && a.until.value != 0)
        span.end_ms = a.until.value;
    struct json_object *report = json_object_new_object();
    json_object_object_add(report, "by", json_object_new_string(g->by));
    json_object_object_add(report, "since", shape_time(span.start_ms));
    json_object_object_add(report, "until", shape_time(span.end_ms));
    if (read_report(db, g, span, report, reterr) != 0) {
        json_object_put(report);
        return -1;
    }
    *ret = report;
    return 0;
}
