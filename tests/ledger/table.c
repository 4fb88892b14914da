/* Rows and their earlier contents. */
#include "tests/ledger/table.h"

#include <assert.h>
#include <string.h>

void table_start(struct table *t, const struct script *s)
{
    t->n_attempts = s->n_attempts;
    t->n_accounts = t->n_undo = 0;
    memset(t->attempts, 0, sizeof(t->attempts[0]) * (size_t)s->n_attempts);
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        for (int i = 0; i < SCRIPT_KEYS_MAX; i++) {
            for (int k = 0; k < WINDOW_KINDS; k++)
                t->cap_nusd[scope][i][k] = LEDGER_CAP_NONE;
        }
    }
}

static struct table_undo *note(struct table *t, bool is_account, int row)
{
    assert(t->n_undo < TABLE_UNDO_MAX);
    struct table_undo *u = &t->undo[t->n_undo++];
    u->is_account = is_account;
    u->row = row;
    return u;
}

struct table_attempt *table_attempt(struct table *t, int attempt)
{
    note(t, false, attempt)->was.attempt = t->attempts[attempt];
    return &t->attempts[attempt];
}

static struct table_account *change_account(struct table *t, int row)
{
    note(t, true, row)->was.account = t->accounts[row];
    return &t->accounts[row];
}

bool table_put(struct table *t, const struct ledger_account *a)
{
    if (a->row < 0 || a->row >= t->n_accounts || !t->accounts[a->row].exists)
        return false;
    struct table_account *row = change_account(t, (int)a->row);
    row->account.cap_nusd = a->cap_nusd;
    row->account.pending_nusd = a->pending_nusd;
    row->account.posted_nusd = a->posted_nusd;
    row->account.overrun_nusd = a->overrun_nusd;
    return true;
}

static void sum_attempts(const struct table *t, int owner, struct ledger_account *a)
{
    for (int i = 0; i < t->n_attempts; i++) {
        const struct table_attempt *r = &t->attempts[i];
        if (r->state == TABLE_NONE || (a->scope == LEDGER_SCOPE_KEY ? r->key : r->team) != owner ||
            r->admitted_ms < a->window.start_ms || r->admitted_ms >= a->window.end_ms)
            continue;
        if (r->state != TABLE_ENDED)
            a->pending_nusd += r->hold_nusd;
        else if (r->charge_nusd < LEDGER_SUM_MAX_NUSD - a->posted_nusd)
            a->posted_nusd += r->charge_nusd;
        else
            a->posted_nusd = LEDGER_SUM_MAX_NUSD;
    }
    int64_t above = a->posted_nusd + a->pending_nusd - a->cap_nusd;
    if (a->cap_nusd != LEDGER_CAP_NONE && above > 0)
        a->overrun_nusd = above;
}

bool table_insert(struct table *t, int owner, bool summed, struct ledger_account *a)
{
    for (int i = t->n_accounts - 1; i >= 0; i--) {
        const struct table_account *r = &t->accounts[i];
        if (r->exists && r->scope == a->scope && r->owner == owner && r->account.kind == a->kind &&
            r->account.window.start_ms == a->window.start_ms)
            return false;
    }
    assert(t->n_accounts < TABLE_ACCOUNTS_MAX);
    int row = t->n_accounts++;
    t->accounts[row].exists = false;
    a->row = row;
    if (summed)
        sum_attempts(t, owner, a);
    *change_account(t, row) = (struct table_account){true, a->scope, owner, *a};
    return true;
}

void table_commit(struct table *t)
{
    t->n_undo = 0;
}

void table_rollback(struct table *t)
{
    while (t->n_undo > 0) {
        const struct table_undo *u = &t->undo[--t->n_undo];
        if (u->is_account)
            t->accounts[u->row] = u->was.account;
        else
            t->attempts[u->row] = u->was.attempt;
    }
}
