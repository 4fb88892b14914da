/* What the ledger has acknowledged, kept in plain arrays by rules of its own (contract, section
 * 7), and the comparison with what the tables say. Knows nothing of router/ledger_core.c. */
#ifndef TESTS_FAULT_WITNESS_H
#define TESTS_FAULT_WITNESS_H

#include "router/db.h"
#include "tests/fault/script.h"

enum witness_state { WITNESS_ABSENT, WITNESS_RUNS, WITNESS_SETTLED, WITNESS_VOID };

struct witness_attempt {
    enum witness_state state;
    enum usage_source source;
    bool streamed, crashed;
    int64_t hold_nusd;
    int64_t cost_pusd; /* of the last checkpoint, then of the end */
};

enum witness_request { WITNESS_NO_REQUEST, WITNESS_RUNNING, WITNESS_OK, WITNESS_ERROR };

struct witness {
    const struct script *script;
    struct witness_attempt attempts[SCRIPT_EVENTS];
    enum witness_request requests[SCRIPT_EVENTS];
    bool disagrees; /* a hold that does not fit was admitted, or one that fits was refused */
};

void witness_begin(struct witness *w, const struct script *s);
/* One event that was acknowledged; answer: of HOLD and EXTEND. */
void witness_take(struct witness *w, const struct script_event *e,
                  const struct ledger_answer *answer);
/* The process died and another one resolved what ran. */
void witness_recover(struct witness *w);
/* Do the tables say exactly this?  With out: says what differs. */
bool witness_agrees(const struct witness *w, struct db *db, bool out);
int64_t witness_held_nusd(const struct witness *w);

#endif
