/* The ledger's rows: the journal's writes, what the accounts and running attempts are read
 * from.  Used by ledger_book.c inside its transaction, on the writing connection. */
#ifndef ROUTER_LEDGER_DB_H
#define ROUTER_LEDGER_DB_H

#include "router/db.h"
#include "router/ledger.h"
#include "router/ledger_core.h"

/* What a write came to. */
enum ledger_write {
    LEDGER_WROTE,
    LEDGER_POISON,  /* this row is refused (a constraint): the others of the batch are not at fault
                     */
    LEDGER_NO_ROOM, /* disk full, out of memory, or another program holds the file: later, again */
    LEDGER_BROKEN   /* anything else: only a restart tells what is in the file */
};

/* Of the connection's last error. */
enum ledger_write ledger_db_trouble(struct db *db);
/* Was it the disk? */
bool ledger_db_disk_full(struct db *db);

/* ---- owners and accounts ---- */

/* Name, caps and zone name of a key or team.  1 = there, 0 = no such row, -1 (reterr). */
int ledger_db_owner(struct db *db, struct ledger_owner *o, char ret_zone[ZONE_NAME_MAX],
                    struct fail *reterr);
/* From now on *changed becomes true when a row that ledger_db_owner reads is written on this
 * connection (but not by a DELETE without WHERE: sqlite.org/c3ref/update_hook.html); NULL = no
 * more. */
void ledger_db_watch_owners(struct db *db, bool *changed);
/* Calls fn for each stored account of the owner whose window ends after since_ms. */
int ledger_db_accounts(struct db *db, const struct ledger_owner *o, int64_t since_ms,
                       bool (*fn)(void *ctx, const struct ledger_account *a), void *ctx,
                       struct fail *reterr);
/* Inserts the account of a window with the sums of its attempts, or gives the one that begins
 * there this end and these sums; fills row, sums, overrun. */
enum ledger_write ledger_db_account_new(struct db *db, int64_t owner_id, bool summed,
                                        struct ledger_account *a, struct fail *reterr);
enum ledger_write ledger_db_account_put(struct db *db, const struct ledger_account *a,
                                        struct fail *reterr);

/* ---- operations ---- */

/* What the rows of holds and ends are written from; once for a connection. */
int ledger_db_prepare(struct db *db, struct fail *reterr);
/* Requests (once each), attempts and their hold entries, with one statement for each table.  ops
 * are put in the order of their ids.  LEDGER_POISON: of one of them the id, or the number within
 * the request, is taken. */
enum ledger_write ledger_db_holds(struct db *db, const struct ledger_op **ops, int n,
                                  const struct id *boot, struct fail *reterr);
/* The attempt's hold becomes hold_nusd, by an entry of what was added. */
enum ledger_write ledger_db_extend(struct db *db, const struct ledger_op *op, int64_t hold_nusd,
                                   int64_t at_ms, struct fail *reterr);
/* STREAMING, SETTLE and VOID, no attempt twice: as above. */
enum ledger_write ledger_db_settles(struct db *db, const struct ledger_op **ops, int n,
                                    struct fail *reterr);
enum ledger_write ledger_db_end(struct db *db, const struct ledger_op *op, struct fail *reterr);
/* Has this attempt ended? 1 = yes, 0 = it runs, -1 = there is none. */
int ledger_db_has_ended(struct db *db, const struct id *attempt_id);

/* ---- idempotency_db.c ---- */

/* A hold whose request has an Idempotency-Key: is another request in its way?  Sets
 * answer->code and answer->earlier. */
enum ledger_write idempotency_db_check(struct db *db, const struct ledger_op *op,
                                       struct ledger_answer *answer, struct fail *reterr);
/* Makes or takes over the row; called by ledger_db_holds with the other rows of the hold. */
enum ledger_write idempotency_db_claim(struct db *db, const struct ledger_op *op,
                                       struct fail *reterr);

/* ---- running attempts, and what a dead process left ---- */

struct ledger_db_running {
    struct ledger_attempt attempt; /* owners not set */
    int64_t key_id, team_id;
};
/* *ret is an array for the caller to free; admitted first comes first. */
int ledger_db_running(struct db *db, struct ledger_db_running **ret, size_t *ret_n,
                      struct fail *reterr);

enum ledger_recovery {
    LEDGER_RECOVER_VOID,       /* never sent */
    LEDGER_RECOVER_CHECKPOINT, /* stops billing on cancel: what had come by the last checkpoint */
    LEDGER_RECOVER_PROMPT,     /* stops billing on cancel, nothing had come: the prompt */
    LEDGER_RECOVER_HOLD,       /* runs on without us: all of the hold */
    LEDGER_RECOVERIES
};
/* Fills op (kind SETTLE or VOID) with what that attempt's row says it costs. */
int ledger_db_recover(struct db *db, const struct id *attempt_id, int64_t now_ms,
                      struct ledger_op *op, enum ledger_recovery *ret, struct fail *reterr);
/* Requests that nobody will end get status error. */
enum ledger_write ledger_db_close_requests(struct db *db, int64_t now_ms, int *ret_n,
                                           struct fail *reterr);

#endif
