/* The ledger's core and its tables, kept in step: every operation is judged by ledger_core and
 * written by ledger_db, or neither.  Owned by the ledger thread (ledger.c), which brackets
 * calls with a transaction.
 *
 * A row that the tables refuse is poison.  A careful book (as it is opened) writes the rows of each
 * operation at once and undoes those of a poisonous one, by a savepoint for each.  One that is not
 * careful judges each at once and writes the rows of all together, in ledger_book_flush, which
 * costs half as much; it leaves the transaction to be rolled back.  When a transaction is lost,
 * ledger_book_reload reads the tables again. */
#ifndef ROUTER_LEDGER_BOOK_H
#define ROUTER_LEDGER_BOOK_H

#include "router/alert.h"
#include "router/ledger.h"
#include "router/ledger_core.h"
#include "router/ledger_db.h"

struct ledger_book;

/* Reads what runs, resolves all of it as left behind by a dead process (one transaction, one
 * line through log, which may be NULL).  NULL with reterr. */
struct ledger_book *ledger_book_open(struct db *db, int64_t now_ms, void (*log)(const char *line),
                                     struct fail *reterr);
void ledger_book_close(struct ledger_book *b);

void ledger_book_careful(struct ledger_book *b, bool careful);

/* What was done, for taking it back with a lost transaction. */
struct ledger_book_counts {
    uint64_t holds, settles, voids, refused, alerts;
};
struct ledger_book_counts ledger_book_counts(const struct ledger_book *b);
void ledger_book_recount(struct ledger_book *b, const struct ledger_book_counts *counts);

/* One operation, borrowed until ledger_book_flush (careful: for the call).  LEDGER_WROTE also when
 * it was refused, or (careful) poison: then `answer` (of a hold or extension; else NULL allowed) or
 * the log says so.  LEDGER_POISON (not careful), LEDGER_NO_ROOM, LEDGER_BROKEN: the transaction is
 * lost. */
enum ledger_write ledger_book_op(struct ledger_book *b, struct ledger_op *op,
                                 struct ledger_answer *answer);
/* Writes the rows that wait and the accounts that changed: last before COMMIT. */
enum ledger_write ledger_book_flush(struct ledger_book *b);
/* Names, zones and caps again, after an admin's change, in the same transaction. */
enum ledger_write ledger_book_recap(struct ledger_book *b);
/* Thresholds of spend alerts from now on (none before). */
void ledger_book_alert_at(struct ledger_book *b, const struct alert_rules *rules);
/* Everything again, after a rollback. */
int ledger_book_reload(struct ledger_book *b, struct fail *reterr);

/* holds, settles, voids, refused, alerts, running, held_nusd; the caller knows the rest. */
void ledger_book_stats(const struct ledger_book *b, struct ledger_stats *ret);

#endif
