/* Runs scripts in a process of their own (a violation may be an assertion, a crash or a loop
 * without end) and makes a violating script small. */
#ifndef TESTS_LEDGER_SHRINK_H
#define TESTS_LEDGER_SHRINK_H

#include "tests/ledger/play.h"

/* What a child process says; in shared memory. */
struct shrink_note {
    volatile uint64_t seed; /* that is played */
    volatile int at;        /* its event */
    volatile uint64_t n_seeds, n_events;
    char why[PLAY_WHY_MAX];
};

enum { SHRINK_SEED_SECONDS = 5 }; /* a script that takes longer does not end */

/* NULL: no memory. */
struct shrink_note *shrink_note_new(void);
/* How a child ended, for people; "" = well. */
void shrink_describe(int status, const struct shrink_note *note, char ret_why[PLAY_WHY_MAX]);

/* Leaves out of *s what is not needed for a violation; note->why is that of the rest. Takes
 * seconds. */
void shrink(struct script *s, struct shrink_note *note);

#endif
