/* Corrections: what a provider's own figures of a day and model change of attempts that ended
 * without them, settled by an estimate or by what was seen (docs/retention.md "Corrections").
 *
 * A difference between the provider's figures and ours belongs to such attempts as far as they
 * can hold it: none of their figures goes below zero, and what is added by guessing stays within
 * their hold, as everything that is guessed does.  Several share it in proportion to what they
 * have (to be taken away) or to the room in their holds (to be added).  The rest belongs to no
 * attempt.
 *
 * correction.c is pure: no clock, no I/O.  Amounts are nano-USD. */
#ifndef ROUTER_CORRECTION_H
#define ROUTER_CORRECTION_H

#include "router/price.h"
#include "router/reconcile.h"
#include "schema/id.h"

/* One attempt that may be corrected. */
struct correction {
    struct id attempt_id;
    int n;                           /* of its corrections: the next, from 1 on */
    enum usage_source source;        /* ESTIMATED or PARTIAL */
    bool has_inner;                  /* calls on other models, each at its own price */
    int64_t hold_nusd;               /* in the end */
    int64_t tok[USAGE_BUCKET_COUNT]; /* by enum usage_bucket, earlier corrections included */
    int64_t charge_nusd;             /* likewise */
    int n_images;
    const struct price *price; /* as pinned; NULL = not known: only its cost can be corrected */
    size_t group;              /* the caller's */
    int64_t add_tok[USAGE_BUCKET_COUNT], add_nusd; /* the correction */
};

/* diff[figure] = theirs - ours; counted are those whose bit is set in told.  What is given to the
 * attempts is taken out of diff: what is left belongs to none of them.  Where no cost is told,
 * the cost of an attempt follows its tokens.  Doing it again with what is left changes nothing. */
void correction_spread(struct correction *attempts, size_t n, uint32_t told,
                       int64_t diff[RECONCILE_FIGURES]);
bool correction_is_empty(const struct correction *c);

/* ---- correction_db.c ---- */

struct correction_price {
    struct correction_price *next;
    int64_t version;
    struct price price;
};

struct correction_list {
    struct correction *rows;
    size_t n, cap;
    struct correction_price *prices; /* borrowed by the rows */
};
void correction_list_done(struct correction_list *l);

/* Which group a settled attempt belongs to; SIZE_MAX: none. */
typedef size_t (*correction_group)(void *ctx, const char *upstream_model);
/* Adds the attempts of a UTC day and provider (its variants included) that may be corrected,
 * admitted first comes first.  0, or -1 with reterr. */
int correction_db_attempts(struct db *db, const char *provider, int64_t day, correction_group group,
                           void *ctx, struct correction_list *l, struct fail *reterr);
/* 1: the attempts of this day may be corrected; 0: the day is not over, some of it still runs, or
 * its detail may be gone; -1: reterr. */
int correction_db_day_is_open(struct db *db, int64_t day, int64_t now_ms, struct fail *reterr);
/* One correction: entry, row and balances, inside the caller's transaction on the writing
 * connection; a running ledger must read its accounts again (ledger_job_reload).  -1: reterr, also
 * when the attempt was corrected or deleted meanwhile. */
int correction_db_write(struct db *db, const struct correction *c, int64_t now_ms,
                        struct fail *reterr);

#endif
