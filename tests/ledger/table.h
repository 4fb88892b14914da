/* What a durable copy of the ledger holds: the rows that router/ledger_db.c keeps in SQLite, in
 * memory, with one transaction that is kept or lost as a whole. */
#ifndef TESTS_LEDGER_TABLE_H
#define TESTS_LEDGER_TABLE_H

#include "tests/ledger/script.h"

enum { TABLE_ACCOUNTS_MAX = 8192 };

enum table_state { TABLE_NONE, TABLE_RUNNING, TABLE_STREAMING, TABLE_ENDED };

struct table_attempt {
    enum table_state state;
    int key, team;
    int64_t admitted_ms, hold_nusd, charge_nusd;
};

struct table_account {
    bool exists;
    enum ledger_scope scope;
    int owner;
    struct ledger_account account;
};

/* The earlier contents of a row, for a rollback. */
struct table_undo {
    bool is_account;
    int row;
    union {
        struct table_attempt attempt;
        struct table_account account;
    } was;
};

enum { TABLE_UNDO_MAX = 16384 };

struct table {
    int n_attempts, n_accounts;
    struct table_attempt attempts[SCRIPT_ATTEMPTS_MAX];
    struct table_account accounts[TABLE_ACCOUNTS_MAX];
    int64_t cap_nusd[LEDGER_SCOPES][SCRIPT_KEYS_MAX]
                    [WINDOW_KINDS]; /* in a transaction of its own */
    int n_undo;
    struct table_undo undo[TABLE_UNDO_MAX];
};

void table_start(struct table *t, const struct script *s);
/* The row, to be changed in this transaction. */
struct table_attempt *table_attempt(struct table *t, int attempt);
/* false: there is no such row. */
bool table_put(struct table *t, const struct ledger_account *a);
/* Fills row and sums from the attempts; false: the owner has an account of this window. */
bool table_insert(struct table *t, int owner, bool summed, struct ledger_account *a);
void table_commit(struct table *t);
void table_rollback(struct table *t);

#endif
