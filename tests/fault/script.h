/* What the ledger is asked to do: 200 events in batches, the same for the same seed. */
#ifndef TESTS_FAULT_SCRIPT_H
#define TESTS_FAULT_SCRIPT_H

#include "router/ledger.h"

enum { SCRIPT_EVENTS = 200, SCRIPT_CAPS = 5 };

/* Of the world's three keys and two teams. */
struct script_cap {
    const char *scope, *window;
    int64_t owner_id, cap_nusd;
};
extern const struct script_cap script_caps[SCRIPT_CAPS];

struct script_event {
    enum ledger_op_kind kind;
    int request, attempt; /* numbers; attempt: an index of struct script's attempts */
    int64_t amount;       /* HOLD, EXTEND: nano-USD; STREAMING, SETTLE: pico-USD */
};

struct script_attempt {
    int request, k;
    int64_t key_id, hold_nusd;
    bool stops; /* cancel_stops_billing */
};

enum script_checkpoint { SCRIPT_NO_CHECKPOINT, SCRIPT_PASSIVE, SCRIPT_RESTART, SCRIPT_TRUNCATE };

struct script {
    struct script_event events[SCRIPT_EVENTS];
    struct script_attempt attempts[SCRIPT_EVENTS];
    int n_attempts, n_requests;
    int n_batches;
    int begin[SCRIPT_EVENTS + 1];                     /* batch b: events begin[b] to begin[b + 1] */
    enum script_checkpoint checkpoint[SCRIPT_EVENTS]; /* after batch b */
};

void script_make(struct script *ret, uint64_t seed);
/* The operation of an event; port and cookie are the caller's. */
void script_op(const struct script *s, const struct script_event *e, struct ledger_op *ret);
struct id script_attempt_id(const struct script *s, int attempt);

#endif
