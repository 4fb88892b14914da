/* What a ledger must say, in the most naive way: arrays, loops, one number per account that is
 * also what all attempts sum up to.  Shares no code with router/ledger_core.c (only the names
 * of its verdicts and its limits) and takes its windows from calendar.c.
 *
 * Every record is a pair: as it is now, and as it was at the last commit. */
#ifndef TESTS_LEDGER_MODEL_H
#define TESTS_LEDGER_MODEL_H

#include "tests/ledger/script.h"

enum { MODEL_ACCOUNTS_MAX = 8192, MODEL_TOUCHED_MAX = 65536 };

struct model_sums {
    bool exists;
    int64_t cap_nusd, pending_nusd, posted_nusd, overrun_nusd;
    int n_running;
};

struct model_account {
    enum window_kind kind;
    struct window window;
    struct model_sums now, kept;
    bool touched;
};

struct model_owner {
    int zone;
    bool loaded; /* the core has to know it */
    int64_t cap_nusd[WINDOW_KINDS];
    int n_accounts;
    struct model_account accounts[MODEL_ACCOUNTS_MAX];
};

enum model_state { MODEL_NONE, MODEL_SENT, MODEL_STREAMED, MODEL_SETTLED, MODEL_VOID };

struct model_facts {
    enum model_state state;
    int key, team;
    int64_t admitted_ms, hold_nusd, charge_nusd;
};

struct model_attempt {
    struct model_facts now, kept;
    bool touched;
};

struct model {
    const struct script *script;
    int64_t last_ms, typical_ms, held_nusd, kept_held_nusd;
    int n_running, kept_n_running;
    struct model_owner owners[LEDGER_SCOPES][SCRIPT_KEYS_MAX];
    struct model_attempt attempts[SCRIPT_ATTEMPTS_MAX];
    int n_touched_attempts, n_touched_accounts;
    int touched_attempts[SCRIPT_ATTEMPTS_MAX];
    struct model_account *touched_accounts[MODEL_TOUCHED_MAX];
};

struct model_answer {
    enum ledger_verdict verdict;
    bool key_refuses;    /* an account of the key gives that verdict */
    bool nobody_refuses; /* more than can be counted, under no cap */
    int64_t judged_nusd; /* more than can be counted is judged as the most that can */
    int64_t retry_after_ms;
};

void model_start(struct model *m, const struct script *s);

/* The owner becomes known to the core, which brings its accounts' caps up to date. */
void model_load(struct model *m, enum ledger_scope scope, int owner);
void model_cap(struct model *m, const struct script_event *e);
/* Opens what a hold at this instant, or the growth of one admitted then, needs. */
void model_open(struct model *m, enum ledger_scope scope, int owner, int64_t at_ms, int64_t now_ms);

int64_t model_time(const struct model *m, int64_t now_ms);
struct model_answer model_hold(struct model *m, const struct script_event *e);
struct model_answer model_extend(struct model *m, const struct script_event *e);
enum ledger_verdict model_stream(struct model *m, const struct script_event *e);
enum ledger_verdict model_end(struct model *m, const struct script_event *e);
bool model_runs(const struct model *m, int attempt);

void model_commit(struct model *m);
/* Back to the last commit; the core forgets its owners. */
void model_lose(struct model *m);

struct model_account *model_account(struct model *m, enum ledger_scope scope, int owner,
                                    enum window_kind kind, int64_t start_ms);
/* The sums again from all attempts; false: the running numbers are wrong (of the model). */
bool model_is_sound(const struct model *m);

#endif
