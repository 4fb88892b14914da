/* Moves attempts into the sums of their day, and lets detail go. */
#include "router/rollup_db.h"

#include <assert.h>
#include <string.h>

#include <sqlite3.h>

#include "router/budget_db.h"
#include "router/rollup_sql.h"
#include "schema/id.h"

enum { STEP_MS_MAX = 3600000 };

/* Attempts of any key in a stretch of time; the subquery makes attempt_key serve. */
#define OF_TIME                                                                                    \
    " FROM attempt WHERE key_id IN (SELECT id FROM api_key)"                                       \
    " AND admitted_ms >= ?1 AND admitted_ms < ?2"

struct reach {
    int64_t summed_ms, pruned_day;
};

/* The first row's integers; a NULL or no row reads as `missing`. */
static int read_ints(struct db *db, struct sqlite3_stmt *s, int n, int64_t missing, int64_t *ret,
                     struct fail *reterr)
{
    int rc = db_step(db, s, reterr);
    for (int i = 0; i < n && rc >= 0; i++)
        ret[i] = rc == 1 && !db_col_null(s, i) ? db_col_int(s, i) : missing;
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

static int read_reach(struct db *db, struct reach *ret, struct fail *reterr)
{
    int64_t v[2];
    struct sqlite3_stmt *s = db_stmt(db, "SELECT summed_ms, pruned_day FROM rollup");
    if (read_ints(db, s, 2, 0, v, reterr) != 0)
        return -1;
    *ret = (struct reach){v[0], v[1]};
    return 0;
}

/* ---- where the figures of a time are ---- */

static int64_t day_of(int64_t ms)
{
    return ms / ROLLUP_DAY_MS;
}

static int64_t day_after(int64_t ms)
{
    return ms / ROLLUP_DAY_MS + (ms % ROLLUP_DAY_MS > 0);
}

int rollup_db_span(struct db *db, struct window *span, struct rollup_span *ret, struct fail *reterr)
{
    struct reach reach;
    if (read_reach(db, &reach, reterr) != 0)
        return -1;
    int64_t pruned_ms = reach.pruned_day * ROLLUP_DAY_MS;
    if (span->start_ms < 0)
        span->start_ms = 0;
    if (span->end_ms < span->start_ms)
        span->end_ms = span->start_ms;
    if (span->start_ms < pruned_ms)
        span->start_ms = day_of(span->start_ms) * ROLLUP_DAY_MS;
    if (span->end_ms < pruned_ms)
        span->end_ms = day_after(span->end_ms) * ROLLUP_DAY_MS;
    int64_t first = day_after(span->start_ms), end = day_of(span->end_ms);
    int64_t days_end_ms = end * ROLLUP_DAY_MS;
    if (span->end_ms >= reach.summed_ms) { /* the last day's sums end where they end: all of them */
        end = day_after(reach.summed_ms);
        days_end_ms = reach.summed_ms;
    }
    if (first >= end || first * ROLLUP_DAY_MS >= days_end_ms) {
        *ret = (struct rollup_span){0, 0, *span, {0, 0}, *span};
        return 0;
    }
    *ret = (struct rollup_span){
        first, end, {span->start_ms, first * ROLLUP_DAY_MS}, {days_end_ms, span->end_ms}, *span};
    return 0;
}

void rollup_db_bind(struct sqlite3_stmt *s, const struct rollup_span *span)
{
    const int64_t v[] = {span->day_first,      span->day_end,       span->head.start_ms,
                         span->head.end_ms,    span->tail.start_ms, span->tail.end_ms,
                         span->whole.start_ms, span->whole.end_ms};
    for (int i = 0; i < 8; i++)
        db_bind_int(s, i + 1, v[i]);
}

/* ---- summing up ---- */

/* The latest admission, 0 when there is none: one seek in attempt_key for each key. */
#define NEWEST                                                                                     \
    "SELECT max(last) FROM (SELECT (SELECT max(a.admitted_ms) FROM attempt a"                      \
    " WHERE a.key_id = k.id) AS last FROM api_key k)"

int rollup_db_floor(struct db *db, int64_t *ret_ms, struct fail *reterr)
{
    struct reach reach;
    int64_t newest_ms;
    if (read_reach(db, &reach, reterr) != 0 ||
        read_ints(db, db_stmt(db, NEWEST), 1, 0, &newest_ms, reterr) != 0)
        return -1;
    *ret_ms = newest_ms > reach.summed_ms ? newest_ms : reach.summed_ms;
    return 0;
}

/* What is admitted from now on comes at or after the latest admission (ledger_core: its time
 * never goes back; rollup_db_floor after a restart).  What is before the first attempt that has
 * not ended, or whose request has not, does not change any more. */
static int read_horizon(struct db *db, int64_t *ret_ms, struct fail *reterr)
{
    static const char *const sources[] = {
        NEWEST,
        "SELECT min(admitted_ms) FROM attempt WHERE state NOT IN ('SETTLED', 'VOID')",
        ("SELECT min(a.admitted_ms) FROM request r CROSS JOIN attempt a ON a.request_id = r.id"
         " WHERE r.status = 'running'"),
    };
    int64_t horizon_ms = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        int64_t ms;
        if (read_ints(db, db_stmt(db, sources[i]), 1, i == 0 ? 0 : INT64_MAX, &ms, reterr) != 0)
            return -1;
        if (ms < horizon_ms)
            horizon_ms = ms;
    }
    *ret_ms = horizon_ms;
    return 0;
}

static int first_from(struct db *db, int64_t from_ms, int64_t *ret_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT min(next) FROM (SELECT (SELECT min(a.admitted_ms) FROM attempt a"
                    " WHERE a.key_id = k.id AND a.admitted_ms >= ?1) AS next FROM api_key k)");
    db_bind_int(s, 1, from_ms);
    return read_ints(db, s, 1, INT64_MAX, ret_ms, reterr);
}

/* Halves the stretch until it has few attempts; the index alone answers. */
static int shorten(struct db *db, int64_t from_ms, int max_attempts, int64_t *to_ms,
                   struct fail *reterr)
{
    while (*to_ms - from_ms > 1) {
        struct sqlite3_stmt *s =
            db_stmt(db, "SELECT count(*) FROM (SELECT 1" OF_TIME " LIMIT ?3 + 1)");
        int64_t n;
        db_bind_int(s, 1, from_ms);
        db_bind_int(s, 2, *to_ms);
        db_bind_int(s, 3, max_attempts);
        if (read_ints(db, s, 1, 0, &n, reterr) != 0)
            return -1;
        if (n <= max_attempts)
            break;
        *to_ms = from_ms + (*to_ms - from_ms) / 2;
    }
    return 0;
}

#define ADD(column) column " = " column " + excluded." column
#define ADD_BUCKET(member, json) ADD(#member) ", "
#define SUM_BUCKET(member, json) ", sum(" #member ")"

static int add_to_days(struct db *db, int64_t from_ms, int64_t to_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db,
        "WITH part(day, " ROLLUP_CELL ", " ROLLUP_COUNTS USAGE_BUCKETS(
            ROLLUP_BUCKET_NAME) ", charge_nusd) AS (" ROLLUP_ATTEMPTS
                                "AND a.admitted_ms >= ?1 AND a.admitted_ms < ?2)"
                                " INSERT INTO usage_day(day, " ROLLUP_CELL
                                ", " ROLLUP_COUNTS USAGE_BUCKETS(
                                    ROLLUP_BUCKET_NAME) ", charge_nusd) SELECT day, " ROLLUP_CELL
                                                        ", team_id,"
                                                        " sum(attempts), sum(requests), "
                                                        "sum(requests_of_model), "
                                                        "sum(requests_of_provider),"
                                                        " sum(errors), sum(errors_of_model), "
                                                        "sum(errors_of_provider)" USAGE_BUCKETS(
                                                            SUM_BUCKET) ", sum(charge_nusd) FROM "
                                                                        "part WHERE true GROUP BY "
                                                                        "day, " ROLLUP_CELL " ON "
                                                                        "CONFLICT(day, " ROLLUP_CELL
                                                                        ") DO UPDATE SET " ADD(
                                                                            "att"
                                                                            "emp"
                                                                            "ts") ", " ADD("request"
                                                                                           "s") ","
                                                                                                " " ADD("requests_of_model") ", " ADD("requests_of_provider") ", " ADD(
                                                                                                    "errors") ", " ADD("err"
                                                                                                                       "ors"
                                                                                                                       "_of"
                                                                                                                       "_mo"
                                                                                                                       "de"
                                                                                                                       "l") ", " ADD("errors_of_provider") ", " USAGE_BUCKETS(ADD_BUCKET)
                                                                                                    ADD("charge_nusd"));
    db_bind_int(s, 1, from_ms);
    db_bind_int(s, 2, to_ms);
    return identity_db_run(db, s, reterr);
}

int rollup_db_step(struct db *db, int max_attempts, int64_t *horizon_ms, bool *ret_more,
                   struct fail *reterr)
{
    struct reach reach;
    int64_t end_ms = *horizon_ms, from_ms;
    *ret_more = false;
    if (read_reach(db, &reach, reterr) != 0 ||
        (end_ms == 0 && read_horizon(db, &end_ms, reterr) != 0))
        return -1;
    *horizon_ms = end_ms;
    if (end_ms <= reach.summed_ms)
        return 0;
    if (first_from(db, reach.summed_ms, &from_ms, reterr) != 0)
        return -1;
    int64_t to_ms = end_ms;
    if (from_ms < end_ms) {
        if (to_ms - from_ms > STEP_MS_MAX)
            to_ms = from_ms + STEP_MS_MAX;
        if (shorten(db, from_ms, max_attempts, &to_ms, reterr) != 0 ||
            add_to_days(db, from_ms, to_ms, reterr) != 0)
            return -1;
    }
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE rollup SET summed_ms = ?1");
    db_bind_int(s, 1, to_ms);
    if (identity_db_run(db, s, reterr) != 0)
        return -1;
    *ret_more = to_ms < end_ms;
    return 0;
}

int rollup_db_end_lost(struct db *db, int64_t now_ms, int *ret_n, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "UPDATE request SET status = 'error', ended_ms = ?1 WHERE status = 'running'"
                    " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.request_id = request.id"
                    " AND a.state NOT IN ('SETTLED', 'VOID'))"
                    " AND (SELECT max(e.at_ms) FROM attempt a JOIN entry e ON e.attempt_id = a.id"
                    " AND e.kind IN ('post', 'release') WHERE a.request_id = request.id) <= ?2");
    db_bind_int(s, 1, now_ms);
    db_bind_int(s, 2, now_ms - ROLLUP_LOST_MS);
    if (identity_db_run(db, s, reterr) != 0)
        return -1;
    *ret_n = db_changes(db);
    return 0;
}

/* ---- letting detail go ---- */

int rollup_db_allow(struct db *db, int64_t now_ms, int64_t days, int64_t *ret_day,
                    struct fail *reterr)
{
    struct reach reach;
    if (read_reach(db, &reach, reterr) != 0)
        return -1;
    int64_t day = day_of(now_ms < reach.summed_ms ? now_ms : reach.summed_ms) - days;
    *ret_day = day > reach.pruned_day ? day : reach.pruned_day;
    if (*ret_day == reach.pruned_day)
        return 0;
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE rollup SET pruned_day = ?1");
    db_bind_int(s, 1, *ret_day);
    return identity_db_run(db, s, reterr);
}

struct victim {
    struct id attempt, request;
};

static void col_id(struct sqlite3_stmt *s, int col, struct id *ret)
{
    size_t n;
    const void *b = db_col_blob(s, col, &n);
    assert(n == sizeof(ret->b));
    memcpy(ret->b, b, sizeof(ret->b));
}

static int delete_one(struct db *db, const struct victim *v, struct fail *reterr)
{
    struct sqlite3_stmt *s[3] = {
        db_stmt(db, "DELETE FROM entry WHERE attempt_id = ?1"),
        db_stmt(db, "DELETE FROM attempt WHERE id = ?1"),
        db_stmt(db, "DELETE FROM request WHERE id = ?1 AND NOT EXISTS"
                    " (SELECT 1 FROM attempt a WHERE a.request_id = request.id)"),
    };
    for (int i = 0; i < 3; i++) {
        db_bind_blob(s[i], 1, i < 2 ? v->attempt.b : v->request.b, sizeof(v->attempt.b));
        if (identity_db_run(db, s[i], reterr) != 0)
            return -1;
    }
    return 0;
}

/* Requests of experiments that nobody could serve never had an attempt (experiment_db_unserved).
 * Ids are ordered by time, and what had attempts before the day is gone: these come first. */
static int delete_unserved(struct db *db, int64_t before_ms, int max, int *ret_n,
                           struct fail *reterr)
{
    static const uint8_t least[10] = {0};
    struct id first = id_make(before_ms, least);
    struct sqlite3_stmt *s =
        db_stmt(db, "DELETE FROM request WHERE id IN (SELECT r.id FROM request r WHERE r.id < ?1"
                    " AND r.status <> 'running' AND r.experiment IS NOT NULL"
                    " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.request_id = r.id)"
                    " LIMIT ?2)");
    db_bind_blob(s, 1, first.b, sizeof(first.b));
    db_bind_int(s, 2, max);
    if (identity_db_run(db, s, reterr) != 0)
        return -1;
    *ret_n = db_changes(db);
    return 0;
}

int rollup_db_prune(struct db *db, int max_attempts, int *ret_n, struct fail *reterr)
{
    struct victim victims[ROLLUP_PRUNE_ATTEMPTS];
    struct reach reach;
    int rc, n = 0;
    if (max_attempts > ROLLUP_PRUNE_ATTEMPTS)
        max_attempts = ROLLUP_PRUNE_ATTEMPTS;
    if (read_reach(db, &reach, reterr) != 0)
        return -1;
    struct sqlite3_stmt *s = db_stmt(db, "SELECT id, request_id" OF_TIME " LIMIT ?3");
    db_bind_int(s, 1, 0);
    db_bind_int(s, 2, reach.pruned_day * ROLLUP_DAY_MS);
    db_bind_int(s, 3, max_attempts);
    while ((rc = db_step(db, s, reterr)) == 1 && n < max_attempts) {
        col_id(s, 0, &victims[n].attempt);
        col_id(s, 1, &victims[n++].request);
    }
    sqlite3_reset(s);
    for (int i = 0; i < n && rc >= 0; i++)
        rc = delete_one(db, &victims[i], reterr);
    if (rc < 0)
        return -1;
    *ret_n = n;
    if (n == max_attempts)
        return 0;
    if (delete_unserved(db, reach.pruned_day * ROLLUP_DAY_MS, max_attempts - n, &n, reterr) != 0)
        return -1;
    *ret_n += n;
    return 0;
}
