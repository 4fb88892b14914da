/* The figures of usage as SQL: rows of usage_day, and attempts and corrections made to look like
 * such rows.
 * For rollup_db.c, usage_db.c and reconcile_db.c. */
#ifndef ROUTER_ROLLUP_SQL_H
#define ROUTER_ROLLUP_SQL_H

#include "schema/usage.h"

/* What identifies a row, without the day. */
#define ROLLUP_CELL "key_id, model, provider, upstream_model, usage_source, experiment, arm"
#define ROLLUP_COUNTS                                                                              \
    "team_id, attempts, requests, requests_of_model, requests_of_provider, errors,"                \
    " errors_of_model, errors_of_provider"

/* Is this attempt the first of its request that counts (on its model, at its provider)?  Nearly
 * always it is the only one. */
#define ROLLUP_FIRST(and)                                                                          \
    "(a.n = 1 OR NOT EXISTS (SELECT 1 FROM attempt b WHERE b.request_id = a.request_id"            \
    " AND b.n < a.n AND b.state <> 'VOID' AND b.sent_ms IS NOT NULL" and                           \
        "))"
#define ROLLUP_FIRSTS(only)                                                                        \
    "(" only ROLLUP_FIRST("") "), (" only ROLLUP_FIRST(                                            \
        " AND b.model = a.model") "),"                                                             \
                                  " (" only ROLLUP_FIRST(" AND b.provider = a.provider") ")"

/* What runs has no charge yet, and what it has used so far does not count. */
#define ROLLUP_BUCKET_NAME(member, json) ", " #member
#define ROLLUP_BUCKET_SETTLED(member, json)                                                        \
    ", CASE WHEN a.charge_nusd IS NULL THEN 0 ELSE coalesce(a." #member ", 0) END AS " #member

/* day, cell, counts, buckets, charge_nusd of single attempts.  The caller appends a condition
 * on a.admitted_ms.  The subquery is what makes the index on (key_id, admitted_ms) serve. */
#define ROLLUP_ATTEMPTS                                                                            \
    "SELECT a.admitted_ms / 86400000 AS day, a.key_id AS key_id, a.model AS model,"                \
    " a.provider AS provider, a.upstream_model AS upstream_model,"                                 \
    " coalesce(a.usage_source, 'none') AS usage_source,"                                           \
    " coalesce(r.experiment, '') AS experiment, coalesce(r.arm, '') AS arm,"                       \
    " a.team_id AS team_id, 1 AS attempts, " ROLLUP_FIRSTS("") ", " ROLLUP_FIRSTS(                 \
        "r.status = 'error' AND ")                                                                 \
        USAGE_BUCKETS(                                                                             \
            ROLLUP_BUCKET_SETTLED) ", coalesce(a.charge_nusd, 0) AS charge_nusd"                   \
                                   " FROM attempt a CROSS JOIN request r ON r.id = a.request_id"   \
                                   " WHERE a.key_id IN (SELECT id FROM api_key) AND a.state <> "   \
                                   "'VOID'"                                                        \
                                   " AND a.sent_ms IS NOT NULL "

#define ROLLUP_DAYS                                                                                \
    "SELECT day, " ROLLUP_CELL ", " ROLLUP_COUNTS USAGE_BUCKETS(                                   \
        ROLLUP_BUCKET_NAME) ", charge_nusd FROM usage_day WHERE day >= ?1 AND day < ?2 "

/* What was corrected later, of attempts in either place; it counts nothing. */
#define ROLLUP_CORRECTIONS                                                                         \
    "SELECT admitted_ms / 86400000, " ROLLUP_CELL ", team_id, 0, 0, 0, 0, 0, 0, 0" USAGE_BUCKETS(  \
        ROLLUP_BUCKET_NAME) ", charge_nusd FROM correction WHERE admitted_ms >= ?7"                \
                            " AND admitted_ms < ?8 "

/* Everything in a struct rollup_span; parameters 1 to 8 by rollup_db_bind. */
#define ROLLUP_PART                                                                                \
    ROLLUP_DAYS "UNION ALL " ROLLUP_ATTEMPTS                                                       \
                "AND a.admitted_ms >= ?3 AND a.admitted_ms < ?4 UNION ALL " ROLLUP_ATTEMPTS        \
                "AND a.admitted_ms >= ?5 AND a.admitted_ms < ?6 UNION ALL " ROLLUP_CORRECTIONS

#endif
