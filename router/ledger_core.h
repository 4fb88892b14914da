/* The state machine of the ledger: accounts, running attempts, and what one event does to
 * them.  Pure: no clock, no I/O, no randomness, no memory beyond its own growing tables; the
 * same events give the same state.  Called by ledger_book.c, which writes down what happens
 * here, and by tests.
 *
 * An account sums one owner's attempts admitted within one calendar window.  A hold counts
 * in every account of its key and its team whose window holds the instant of admission, and
 * so does what becomes of it, whenever that is: the window is chosen once.
 *
 *   admission  pending + posted + hold <= cap in every capped account, or nowhere
 *   extension  the hold of a running attempt grows, under the same condition
 *   settle     pending -= hold, posted += charge; the truth is recorded also above the cap,
 *              as overrun, which admission never takes for room
 *   void       pending -= hold
 *
 * Amounts are nano-USD, 0 to LEDGER_AMOUNT_MAX_NUSD. One thread at a time. */
#ifndef ROUTER_LEDGER_CORE_H
#define ROUTER_LEDGER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/window.h"
#include "schema/id.h"

/* In the order in which a cap is looked at. */
enum ledger_scope { LEDGER_SCOPE_KEY, LEDGER_SCOPE_TEAM, LEDGER_SCOPES };

#define LEDGER_CAP_NONE INT64_C(-1)
/* As pico-USD it still fits int64. */
#define LEDGER_AMOUNT_MAX_NUSD (INT64_MAX / 1000)

/* Where an account's sums stop growing (2.3 billion USD): a provider that invents token counts
 * must not overflow them. */
#define LEDGER_SUM_MAX_NUSD (INT64_MAX / 4)

enum { LEDGER_OWNER_NAME_MAX = 64 };

struct ledger_account {
    int64_t row; /* of table account */
    enum ledger_scope scope;
    enum window_kind kind;
    struct window window;
    int64_t cap_nusd; /* LEDGER_CAP_NONE = none */
    int64_t pending_nusd, posted_nusd, overrun_nusd;
    int64_t n_running;        /* attempts that still count in it, kept by the core */
    int64_t alerted_cap_nusd; /* alert_db.c's: for this cap, alerts up to alerted_percent exist */
    int alerted_percent;
    bool dirty; /* changed since ledger_core_written */
};

/* A key or a team. */
struct ledger_owner {
    enum ledger_scope scope;
    int64_t id;
    char name[LEDGER_OWNER_NAME_MAX];
    const struct zone *zone;        /* borrowed */
    int64_t cap_nusd[WINDOW_KINDS]; /* LEDGER_CAP_NONE = none */
    int n_accounts, cap_accounts;
    struct ledger_account **accounts;
    struct ledger_owner *next; /* in its hash chain */
};

enum ledger_attempt_state { LEDGER_HELD, LEDGER_SENT, LEDGER_STREAMED };

/* A running attempt. */
struct ledger_attempt {
    struct id id;
    enum ledger_attempt_state state;
    struct ledger_owner *owners[LEDGER_SCOPES];
    int64_t admitted_ms, hold_nusd;
    bool used; /* slot of the table */
};

enum { LEDGER_OWNER_CHAINS = 1024 };

struct ledger_state {
    int64_t last_ms;    /* time never goes back in here */
    int64_t typical_ms; /* running median of hold to settle */
    int64_t held_nusd;
    size_t n_attempts, cap_attempts; /* cap: a power of two */
    struct ledger_attempt *attempts; /* hash table, open addressing */
    size_t n_accounts, n_dirty, cap_dirty;
    struct ledger_account **dirty;
    struct ledger_owner *owners[LEDGER_OWNER_CHAINS];
};

void ledger_core_init(struct ledger_state *s);
void ledger_core_done(struct ledger_state *s);

/* ---- what the tables know, brought in by the caller ---- */

/* NULL when this owner was not brought in yet. */
struct ledger_owner *ledger_core_owner(const struct ledger_state *s, enum ledger_scope scope,
                                       int64_t id);
/* A new owner without caps and accounts; NULL: memory is short. */
struct ledger_owner *ledger_core_add_owner(struct ledger_state *s, enum ledger_scope scope,
                                           int64_t id, const struct zone *zone);
/* Copies *a; NULL: memory is short. */
struct ledger_account *ledger_core_add_account(struct ledger_state *s, struct ledger_owner *o,
                                               const struct ledger_account *a);
/* To be written with the next flush, and looked at for alerts. */
void ledger_core_touch(struct ledger_state *s, struct ledger_account *a);
/* A window that begins where an account's of this kind does and ends later (the owner's zone was
 * changed): the account takes its end and sums. false: there is no such account. */
bool ledger_core_widen(struct ledger_state *s, struct ledger_owner *o,
                       const struct ledger_account *a);
/* A running attempt that its accounts contain already. false: memory is short. */
bool ledger_core_add_attempt(struct ledger_state *s, const struct ledger_attempt *a);
/* Forgets accounts in which nothing can happen any more. */
void ledger_core_prune(struct ledger_state *s, struct ledger_owner *o);
/* Caps of the owner's accounts that are not over follow owner->cap_nusd. */
void ledger_core_recap(struct ledger_state *s, struct ledger_owner *o);

/* The instant that an event of now_ms has in here. */
int64_t ledger_core_time(const struct ledger_state *s, int64_t now_ms);
/* Does a hold at this instant need an account of this window that is not there?  Capped
 * windows and the total do.  Must be false for all kinds and both owners before a hold. */
bool ledger_core_lacks(const struct ledger_owner *o, enum window_kind kind, int64_t at_ms,
                       struct window *ret_window);

/* ---- events ---- */

enum ledger_event_kind {
    LEDGER_EV_HOLD,
    LEDGER_EV_EXTEND,
    LEDGER_EV_STREAM,
    LEDGER_EV_SETTLE,
    LEDGER_EV_VOID
};

struct ledger_event {
    enum ledger_event_kind kind;
    struct id attempt_id;
    int64_t now_ms;
    struct ledger_owner *owners[LEDGER_SCOPES]; /* HOLD */
    int64_t amount_nusd; /* HOLD: worst case; EXTEND: what is added to it; SETTLE: charge */
};

enum ledger_verdict {
    LEDGER_DONE,
    LEDGER_SAME,        /* HOLD: was admitted before, with the same facts; nothing changed */
    LEDGER_CONFLICT,    /* HOLD: the id runs with other facts */
    LEDGER_OVER_BUDGET, /* HOLD, EXTEND: would not fit even with nothing else held */
    LEDGER_BUSY,        /* HOLD, EXTEND: fits again when running attempts settle */
    LEDGER_UNKNOWN,     /* no running attempt of this id */
    LEDGER_NO_MEMORY
};

struct ledger_outcome {
    enum ledger_verdict verdict;
    int64_t at_ms;                           /* the instant of the event in here */
    const struct ledger_account *refused_by; /* OVER_BUDGET, BUSY; NULL: the amount is absurd */
    const struct ledger_owner *refused_owner;
    int64_t retry_after_ms; /* BUSY */
};

/* Only LEDGER_DONE changes anything but the time. */
struct ledger_outcome ledger_apply(struct ledger_state *s, const struct ledger_event *e);
/* Takes back a hold, or the extension of one, that could not be written down: as if it had
 * not been. */
void ledger_core_unhold(struct ledger_state *s, const struct id *attempt_id);
void ledger_core_unextend(struct ledger_state *s, const struct id *attempt_id, int64_t amount_nusd);

const struct ledger_attempt *ledger_core_attempt(const struct ledger_state *s,
                                                 const struct id *attempt_id);
/* The dirty accounts are in s->dirty; called when they are in the table. */
void ledger_core_written(struct ledger_state *s);

#endif
