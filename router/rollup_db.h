/* Usage summed up by day, and retention (migrations/0006_rollup.sql, docs/retention.md).
 *
 * Attempts admitted before rollup.summed_ms are in usage_day; later ones are read one by one.
 * rollup_db_step moves that instant forward, a few attempts at a time, up to the first attempt
 * that has not ended; server/upkeep.c calls it.  A report is usage_day for whole days plus the
 * attempts of what is left at both ends: struct rollup_span.
 * Functions that write run inside the caller's transaction on the writing connection. */
#ifndef ROUTER_ROLLUP_DB_H
#define ROUTER_ROLLUP_DB_H

#include "router/db.h"
#include "router/window.h"

enum {
    ROLLUP_DAY_MS = 86400000,
    ROLLUP_STEP_ATTEMPTS = 500,  /* of one step beside running traffic: about 3 ms */
    ROLLUP_PRUNE_ATTEMPTS = 250, /* each is 3 or more rows */
    /* A request goes on to its next attempt, or ends, within moments. */
    ROLLUP_LOST_MS = 10 * 60 * 1000,
    /* No window of a calendar month, in any zone, reaches back further: what an account that
     * is still counting sums up is never deleted. */
    ROLLUP_RETAIN_DAYS_MIN = 33
};

/* Where the figures of [since, until) are: usage_day for days [day_first, day_end), attempts
 * admitted in head and in tail (either may be empty: end_ms <= start_ms); corrections of all that
 * was admitted in `whole`. */
struct rollup_span {
    int64_t day_first, day_end;
    struct window head, tail, whole;
};

/* span->start_ms and end_ms are moved outwards to the day's ends where they cut a day whose
 * detail is gone. */
int rollup_db_span(struct db *db, struct window *span, struct rollup_span *ret,
                   struct fail *reterr);
/* Parameters 1 to 8 of the statements made with the macros of router/rollup_sql.h. */
void rollup_db_bind(struct sqlite3_stmt *s, const struct rollup_span *span);

/* Sums up at most about max_attempts more (at least one millisecond's); *ret_more: there is
 * more to do before *horizon_ms.  That is where this round ends: 0 in its first step, which
 * finds it (a seek per key); what is before it changes no more, so that the next steps need not
 * ask again.  A step whose transaction fails ends the round. */
int rollup_db_step(struct db *db, int max_attempts, int64_t *horizon_ms, bool *ret_more,
                   struct fail *reterr);

/* A request that still runs so long after the last of its attempts has ended has lost its own end
 * (memory was short, or a bug): nobody will write it, and nothing admitted later would be summed
 * up.  It ends here, as an error.  *ret_n: how many. */
int rollup_db_end_lost(struct db *db, int64_t now_ms, int *ret_n, struct fail *reterr);

/* Lets the detail of days (UTC) go that are more than `days` (>= ROLLUP_RETAIN_DAYS_MIN: the
 * caller checks) older than now and than what is summed up: a clock that runs ahead of the
 * traffic makes nothing old.  *ret_day (since 1970): days before it may go; never back. */
int rollup_db_allow(struct db *db, int64_t now_ms, int64_t days, int64_t *ret_day,
                    struct fail *reterr);
/* Deletes up to max_attempts attempts of these days, with their entries, and requests that are
 * then without attempts; when none is left, requests that never had one. *ret_n: how many; fewer
 * than max_attempts: no more are left. */
int rollup_db_prune(struct db *db, int max_attempts, int *ret_n, struct fail *reterr);

/* No attempt may be admitted before this instant, whatever the clock says: what is before it is
 * summed up, or is next.  The latest admission, or what is summed up if that is later.  By
 * ledger_book_open.  -1: reterr. */
int rollup_db_floor(struct db *db, int64_t *ret_ms, struct fail *reterr);

#endif
