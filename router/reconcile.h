/* `ledger reconcile`: a provider's own usage export against the ledger, by UTC day and model
 * (invariant I20, docs/retention.md "Reconciliation").
 *
 * Formats: Anthropic's usage report (/v1/organizations/usage_report/messages) and cost report
 * (/v1/organizations/cost_report), OpenAI's usage (/v1/organization/usage/completions),
 * OpenRouter's activity (/api/v1/activity, or the same columns as CSV).  One answer of the API, or
 * an array of several pages. */
#ifndef ROUTER_RECONCILE_H
#define ROUTER_RECONCILE_H

#include <json-c/json.h>

#include "router/db.h"
#include "router/window.h"
#include "schema/usage.h"

enum {
    RECONCILE_MODEL_MAX = 256,
    RECONCILE_ROWS_MAX = 500000,
    /* The buckets of schema/usage.h, then: */
    RECONCILE_PROMPT = USAGE_BUCKET_COUNT, /* whole prompt, where only that is told */
    RECONCILE_COST,                        /* nano-USD */
    RECONCILE_FIGURES
};

/* What was told of a day and model; figures[i] counts when bit i of told is set. */
struct reconcile_row {
    int64_t day;                     /* UTC days since 1970 */
    char model[RECONCILE_MODEL_MAX]; /* "" = all models together */
    int64_t figures[RECONCILE_FIGURES];
    uint32_t told;
};

struct reconcile_export {
    const char *format; /* static: "anthropic", "openai", "openrouter" */
    struct window span; /* from the first to the last that it covers */
    /* What it covers without a break, in order: pages may be missing in between, and a bucket
     * may be less than a day. */
    struct window *stretches;
    size_t n_stretches, stretches_cap;
    uint32_t told; /* by any row */
    struct reconcile_row *rows;
    size_t n, cap;
};

/* format: one of the words above, or NULL = recognise.  0, or -1 with reterr, whose text names
 * the path or line.  On success the rows are sorted by day and model, one row each.  Free with
 * reconcile_done, also after a failure. */
int reconcile_read(struct span text, const char *format, struct reconcile_export *ret,
                   struct fail *reterr);
void reconcile_done(struct reconcile_export *e);
/* Does it speak of all of a UTC day? */
bool reconcile_covers_day(const struct reconcile_export *e, int64_t day);

/* ---- for the readers (reconcile_json.c, reconcile_csv.c) ---- */

/* A new row, zeroed; NULL with reterr. */
struct reconcile_row *reconcile_add(struct reconcile_export *e, int64_t day, struct fail *reterr);
void reconcile_tell(struct reconcile_row *row, int figure, int64_t n);
/* It speaks of this time.  0, or -1 with reterr. */
int reconcile_cover(struct reconcile_export *e, struct window stretch, struct fail *reterr);
int reconcile_json(struct span text, const char *format, struct reconcile_export *e,
                   struct fail *reterr);
int reconcile_csv(struct span text, struct reconcile_export *e, struct fail *reterr);

/* ---- reconcile_db.c ---- */

struct correction_list;

/* provider: a slug; all its variants count.  now_ms: attempts of days that are over, and
 * covered whole, may be corrected.  *ret_corrections: what would be, for correction_db_write; the
 * caller's, also after a failure (correction_list_done).  *ret: {"provider", "format", "since",
 * "until", "ok", "compared", "unattributed", "data": [{"day", "model", "figure", "ours", "theirs",
 * "difference" (theirs - ours), "final", "partial", "estimated" (the parts of ours, corrections
 * included), "attributed" (of the difference; null: not a day to be corrected)}], only figures that
 * differ, "corrections": [{"attempt", "day", "usage_source", "cost_usd", "corrected_cost_usd"}],
 * "correction_usd"}. */
int reconcile_db_compare(struct db *db, const struct reconcile_export *e, const char *provider,
                         int64_t now_ms, struct correction_list *ret_corrections,
                         struct json_object **ret, struct fail *reterr);

#endif
