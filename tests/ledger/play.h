/* Plays a script on the ledger's core, as router/ledger_book.c drives it, with a table for
 * SQLite, and on the model; compares the two after every event. */
#ifndef TESTS_LEDGER_PLAY_H
#define TESTS_LEDGER_PLAY_H

#include "tests/ledger/script.h"

enum { PLAY_WHY_MAX = 512 };

/* Once, before all else; false: this machine's zone database lacks a zone. */
bool play_init(void);

/* true: core and model agree to the end.  false: ret_why says where they do not.  *at is the
 * event that is played, also for the one who finds the process dead. */
bool play(const struct script *s, volatile int *at, char ret_why[PLAY_WHY_MAX]);

#endif
