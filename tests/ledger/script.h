/* What happens to a ledger, made from a seed: a flat list of events that do not depend on how
 * the ledger answers, so that any part of it is a script too (the shrinker leaves parts out).
 * Each seed uses a random part of the kinds and sizes ("swarm testing", Groce et al. 2012). */
#ifndef TESTS_LEDGER_SCRIPT_H
#define TESTS_LEDGER_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "router/ledger_core.h"

enum {
    SCRIPT_KEYS_MAX = 6,
    SCRIPT_TEAMS_MAX = 3,
    SCRIPT_EVENTS_MAX = 4000,
    SCRIPT_ATTEMPTS_MAX = SCRIPT_EVENTS_MAX
};

enum script_kind {
    SCRIPT_HOLD,
    SCRIPT_EXTEND,
    SCRIPT_STREAM,
    SCRIPT_SETTLE,
    SCRIPT_VOID,
    SCRIPT_CAP,    /* an admin sets or removes a cap */
    SCRIPT_COMMIT, /* what was written since the last one is durable */
    SCRIPT_LOSE,   /* the transaction is rolled back, the process goes on */
    SCRIPT_CRASH,  /* the process ends and another one begins: recovery */
    SCRIPT_KINDS
};

struct script_event {
    enum script_kind kind;
    bool refused; /* the table does not take the row */
    int attempt;
    enum ledger_scope scope; /* CAP */
    int owner;               /* HOLD: key; CAP: key or team */
    enum window_kind window; /* CAP */
    int64_t now_ms;
    int64_t amount_nusd; /* hold, growth, charge or cap */
};

struct script {
    uint64_t seed;
    int64_t start_ms;
    int n_keys, n_teams;
    int team_of[SCRIPT_KEYS_MAX];
    int zone_of[SCRIPT_TEAMS_MAX]; /* of the calendar's */
    struct id ids[SCRIPT_ATTEMPTS_MAX];
    int n_attempts, n_events;
    struct script_event events[SCRIPT_EVENTS_MAX];
};

void script_make(struct script *s, uint64_t seed);
void script_print_event(FILE *out, const struct script *s, const struct script_event *e);
void script_print(FILE *out, const struct script *s);

#endif
