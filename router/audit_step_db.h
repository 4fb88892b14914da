/* The audit of a running server: what changed since the last look, cheaply, in one snapshot of
 * a reading connection.  `ledger verify` (usage_db.h) is the whole audit; this one relies on
 * what it has seen before, and asks for the exact sums of an account only when its own do not
 * agree, so that it raises no false alarm.
 *
 * It looks at every attempt admitted since the last look or running then (hold, extensions and
 * end entries against the row: I2, I5, I6, I9, I11), and at every account whose window was open
 * (posted grew by exactly what ended, pending is what runs: I2).  Admission times never go back
 * within a run, so what is admitted before an instant that was seen is complete. */
#ifndef ROUTER_AUDIT_STEP_DB_H
#define ROUTER_AUDIT_STEP_DB_H

#include "router/usage_db.h"

struct audit_cursor;

/* NULL: memory is short. */
struct audit_cursor *audit_cursor_new(void);
void audit_cursor_free(struct audit_cursor *c);

/* The first call looks at the running attempts and takes the rest for granted.  0, or -1 with
 * reterr: nothing can be said, and the next call starts anew. */
int audit_db_step(struct db *db, struct audit_cursor *c, audit_fn fn, void *ctx,
                  struct fail *reterr);

/* For the start: are there at most so many attempts? 1, 0, -1. */
int audit_db_is_small(struct db *db, int64_t attempts, struct fail *reterr);
/* The account after `row`, exactly: *ret_row, 0 = there is none.  Each call is a snapshot of its
 * own. */
int audit_db_next_account(struct db *db, int64_t row, int64_t *ret_row, audit_fn fn, void *ctx,
                          struct fail *reterr);
/* PRAGMA quick_check. */
int audit_db_pages(struct db *db, audit_fn fn, void *ctx, struct fail *reterr);

#endif
