/* The script against the real ledger on the disk that forgets: one run, and what a disk found
 * after a crash has to say. */
#ifndef TESTS_FAULT_HISTORY_H
#define TESTS_FAULT_HISTORY_H

#include "router/ledger_book.h"
#include "tests/fault/script.h"
#include "tests/fault/vfs.h"
#include "tests/fault/witness.h"

/* Where the database seems to be (its lock is there); made and removed by main. */
extern char history_path[];
/* Lines that the ledger logged, and batches with a row that it refused, since the start. */
extern int history_log_lines, history_poisoned;

/* A database with its teams, keys and caps, closed; for the caller to free. */
void history_fresh(struct fault_disk *ret);

/* An open ledger, written to as ledger.c does. */
struct run {
    struct db *db;
    struct ledger_book *book;
    struct witness seen;             /* what was acknowledged */
    struct witness attempted;        /* and the batch that was under way, if it was written */
    int kept[SCRIPT_EVENTS], n_kept; /* events that wait for room */
    bool no_room;
    int n_refused; /* holds and extensions for want of room */
};

enum run_result { RUN_OK, RUN_DIED };

/* Opens what is on the disk, which recovers.  RUN_DIED also when the program refused to start. */
enum run_result run_open(struct run *r, const struct witness *before);
enum run_result run_batch(struct run *r, const struct script *s, int batch);
/* With its checkpoint. */
enum run_result run_step(struct run *r, const struct script *s, int batch);
/* What waits for room, once more. */
enum run_result run_kept(struct run *r, const struct script *s);
/* dies: no operation reaches the disk any more. */
void run_close(struct run *r, bool dies);

/* A run that was recorded. */
struct history {
    struct fault_log *log;
    int first_batch, n; /* acknowledged steps: the start, then batches from first_batch on */
    int done_at[SCRIPT_EVENTS + 2]; /* operations when step i was acknowledged */
    struct witness *seen;           /* [n + 1]: before any step, after step 1, ... */
};

/* From this disk and this knowledge of it, the batches from first to last - 1, then a close. */
bool history_record(struct history *ret, const struct fault_disk *disk, const struct witness *begin,
                    const struct script *s, int first_batch, int last_batch);
void history_free(struct history *h);
/* The acknowledged steps when operation k was under way. */
int history_step_at(const struct history *h, int k);

/* After a crash: `seen` was acknowledged, `attempted` perhaps written.  The ledger opens, says
 * one of both, is sound and whole, changes nothing when it opens again, and goes on with the
 * batches from first to last - 1.  ret (may be NULL): which of both, before recovery. */
bool disk_is_right(const struct fault_disk *disk, const struct witness *seen,
                   const struct witness *attempted, int first_batch, int last_batch,
                   struct witness *ret);

#endif
