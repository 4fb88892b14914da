#define _GNU_SOURCE
/* An array and loops: slow, and easy to see through. */
#include "tests/fault/witness.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/unit/ledger_world.h"

void witness_begin(struct witness *w, const struct script *s)
{
    memset(w, 0, sizeof(*w));
    w->script = s;
}

/* ---- sums ---- */

static int64_t charge_nusd(const struct witness_attempt *a)
{
    return a->state == WITNESS_SETTLED ? (a->cost_pusd + 999) / 1000 : 0;
}

static bool counts(const struct witness *w, int attempt, const char *scope, int64_t owner_id)
{
    int64_t key_id = w->script->attempts[attempt].key_id;
    if (strcmp(scope, "key") == 0)
        return key_id == owner_id;
    return (key_id == 3 ? 2 : 1) == owner_id;
}

static void sums(const struct witness *w, const char *scope, int64_t owner_id, int64_t *ret_held,
                 int64_t *ret_spent)
{
    *ret_held = *ret_spent = 0;
    for (int i = 0; i < w->script->n_attempts; i++) {
        const struct witness_attempt *a = &w->attempts[i];
        if (!counts(w, i, scope, owner_id))
            continue;
        *ret_held += a->state == WITNESS_RUNS ? a->hold_nusd : 0;
        *ret_spent += charge_nusd(a);
    }
}

int64_t witness_held_nusd(const struct witness *w)
{
    int64_t held = 0;
    for (int i = 0; i < w->script->n_attempts; i++)
        held += w->attempts[i].state == WITNESS_RUNS ? w->attempts[i].hold_nusd : 0;
    return held;
}

static bool fits(const struct witness *w, int attempt, int64_t amount_nusd)
{
    for (int i = 0; i < SCRIPT_CAPS; i++) {
        const struct script_cap *c = &script_caps[i];
        int64_t held, spent;
        if (!counts(w, attempt, c->scope, c->owner_id))
            continue;
        sums(w, c->scope, c->owner_id, &held, &spent);
        if (held + spent + amount_nusd > c->cap_nusd)
            return false;
    }
    return true;
}

/* ---- events ---- */

static void judge(struct witness *w, const struct script_event *e, enum err code)
{
    bool fit = fits(w, e->attempt, e->amount);
    bool as_it_should = fit ? code == ERR_OK : code == ERR_over_budget || code == ERR_budget_busy;
    if (as_it_should)
        return;
    fprintf(stderr, "attempt %d: %lld nano-USD %s, and the answer is %d\n", e->attempt,
            (long long)e->amount, fit ? "fit" : "do not fit", (int)code);
    w->disagrees = true;
}

static void take_hold(struct witness *w, const struct script_event *e, enum err code)
{
    struct witness_attempt *a = &w->attempts[e->attempt];
    if (a->state != WITNESS_ABSENT) /* said again: changes nothing */
        return;
    judge(w, e, code);
    if (code != ERR_OK)
        return;
    *a = (struct witness_attempt){.state = WITNESS_RUNS, .hold_nusd = e->amount};
    if (w->requests[e->request] == WITNESS_NO_REQUEST)
        w->requests[e->request] = WITNESS_RUNNING;
}

static void take_extension(struct witness *w, const struct script_event *e, enum err code)
{
    struct witness_attempt *a = &w->attempts[e->attempt];
    if (a->state != WITNESS_RUNS) {
        if (code != ERR_ledger_down) {
            fprintf(stderr, "attempt %d does not run and was extended\n", e->attempt);
            w->disagrees = true;
        }
        return;
    }
    judge(w, e, code);
    if (code == ERR_OK)
        a->hold_nusd += e->amount;
}

void witness_take(struct witness *w, const struct script_event *e,
                  const struct ledger_answer *answer)
{
    struct witness_attempt *a = &w->attempts[e->attempt];
    switch (e->kind) {
    case LEDGER_HOLD:
        take_hold(w, e, answer->code);
        break;
    case LEDGER_EXTEND:
        take_extension(w, e, answer->code);
        break;
    case LEDGER_STREAMING:
    case LEDGER_SETTLE:
    case LEDGER_VOID:
        if (a->state != WITNESS_RUNS)
            break;
        a->streamed = true;
        a->source = e->kind == LEDGER_SETTLE ? USAGE_FINAL : USAGE_PARTIAL;
        a->cost_pusd = e->amount;
        if (e->kind == LEDGER_SETTLE)
            a->state = WITNESS_SETTLED;
        if (e->kind == LEDGER_VOID)
            *a = (struct witness_attempt){.state = WITNESS_VOID, .hold_nusd = a->hold_nusd};
        break;
    case LEDGER_END:
        if (w->requests[e->request] == WITNESS_RUNNING)
            w->requests[e->request] = WITNESS_OK;
        break;
    }
}

/* Contract, section 7, "crash while running". world_hold: the prompt is a tenth of the hold. */
void witness_recover(struct witness *w)
{
    for (int i = 0; i < w->script->n_attempts; i++) {
        struct witness_attempt *a = &w->attempts[i];
        if (a->state != WITNESS_RUNS)
            continue;
        a->state = WITNESS_SETTLED;
        a->crashed = true;
        a->source = USAGE_ESTIMATED;
        if (!w->script->attempts[i].stops && (!a->streamed || a->cost_pusd <= a->hold_nusd * 1000))
            a->cost_pusd = a->hold_nusd * 1000;
        else if (a->streamed)
            a->source = USAGE_PARTIAL; /* counted by the provider: true also above the hold */
        else
            a->cost_pusd = w->script->attempts[i].hold_nusd / 10 * 1000;
    }
    for (int i = 0; i < w->script->n_requests; i++) {
        if (w->requests[i] == WITNESS_RUNNING)
            w->requests[i] = WITNESS_ERROR;
    }
}

/* ---- comparison ---- */

static void says(bool out, const char *what, int number, int64_t witness, int64_t table)
{
    if (out)
        fprintf(stderr, "%s %d: %lld by the witness, %lld in the table\n", what, number,
                (long long)witness, (long long)table);
}

static bool same(bool out, const char *what, int number, int64_t witness, int64_t table)
{
    if (witness != table)
        says(out, what, number, witness, table);
    return witness == table;
}

static bool same_attempt(const struct witness_attempt *a, int i, struct sqlite3_stmt *s, bool out)
{
    static const char *const states[][2] = {
        {"", ""}, {"SENT", "STREAMING"}, {"SETTLED", ""}, {"VOID", ""}};
    const char *state = db_col_text(s, 0);
    bool known = strcmp(state, states[a->state][a->state == WITNESS_RUNS && a->streamed]) == 0;
    bool ok = same(out, "state of attempt", i, 1, known) &&
              same(out, "hold of attempt", i, a->hold_nusd, db_col_int(s, 1)) &&
              same(out, "cost of attempt", i, a->cost_pusd, db_col_int(s, 2)) &&
              same(out, "charge of attempt", i, charge_nusd(a), db_col_int(s, 3)) &&
              same(out, "was recovered, attempt", i, a->crashed, db_col_int(s, 5)) &&
              same(out, "holds and extensions of attempt", i, a->hold_nusd, db_col_int(s, 6)) &&
              same(out, "posts of attempt", i, charge_nusd(a), db_col_int(s, 7));
    if (ok && (a->state == WITNESS_SETTLED || a->streamed))
        ok = same(out, "source of attempt's usage is", i, 1,
                  strcmp(db_col_text(s, 4), usage_source_name(a->source)) == 0);
    return ok;
}

static bool attempts_agree(const struct witness *w, struct db *db, bool out)
{
    int n = 0;
    for (int i = 0; i < w->script->n_attempts; i++) {
        struct sqlite3_stmt *s = db_stmt(
            db, "SELECT a.state, a.hold_nusd, coalesce(a.cost_pusd, 0),"
                " coalesce(a.charge_nusd, 0), a.usage_source, a.end_reason IS 'crash',"
                " (SELECT sum(amount_nusd) FROM entry WHERE attempt_id = a.id AND kind IN"
                " ('hold', 'extend')), (SELECT coalesce(sum(amount_nusd), 0) FROM entry"
                " WHERE attempt_id = a.id AND kind = 'post') FROM attempt a WHERE a.id = ?1");
        struct id id = script_attempt_id(w->script, i);
        db_bind_blob(s, 1, id.b, sizeof(id.b));
        bool is_there = db_step(db, s, NULL) == 1;
        const struct witness_attempt *a = &w->attempts[i];
        bool ok = same(out, "is there, attempt", i, a->state != WITNESS_ABSENT, is_there) &&
                  (!is_there || same_attempt(a, i, s, out));
        sqlite3_reset(s);
        if (!ok)
            return false;
        n += is_there;
    }
    return same(out, "number of attempts", 0, n, world_int(db, "SELECT count(*) FROM attempt"));
}

static bool requests_agree(const struct witness *w, struct db *db, bool out)
{
    static const char *const names[] = {"", "running", "ok", "error"};
    int n = 0;
    for (int i = 0; i < w->script->n_requests; i++) {
        struct sqlite3_stmt *s = db_stmt(db, "SELECT status FROM request WHERE id = ?1");
        struct id id = world_request(i);
        db_bind_blob(s, 1, id.b, sizeof(id.b));
        bool is_there = db_step(db, s, NULL) == 1;
        bool ok = strcmp(is_there ? db_col_text(s, 0) : "", names[w->requests[i]]) == 0;
        if (!ok && out)
            fprintf(stderr, "request %d is '%s', not '%s'\n", i, is_there ? db_col_text(s, 0) : "",
                    names[w->requests[i]]);
        sqlite3_reset(s);
        if (!ok)
            return false;
        n += is_there;
    }
    return same(out, "number of requests", 0, n, world_int(db, "SELECT count(*) FROM request"));
}

static bool accounts_agree(const struct witness *w, struct db *db, bool out)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT scope, owner_id, pending_nusd, posted_nusd,"
                                         " cap_nusd, overrun_nusd FROM account ORDER BY id");
    bool ok = true;
    while (db_step(db, s, NULL) == 1 && ok) {
        int64_t held, spent, cap = db_col_int(s, 4);
        int owner = (int)db_col_int(s, 1);
        sums(w, db_col_text(s, 0), owner, &held, &spent);
        ok = same(out, "pending of owner", owner, held, db_col_int(s, 2)) &&
             same(out, "posted of owner", owner, spent, db_col_int(s, 3));
        if (ok && !db_col_null(s, 4))
            ok = same(out, "sum is within cap and overrun, owner", owner, 1,
                      held + spent <= cap + db_col_int(s, 5));
    }
    sqlite3_reset(s);
    return ok;
}

bool witness_agrees(const struct witness *w, struct db *db, bool out)
{
    return attempts_agree(w, db, out) && requests_agree(w, db, out) && accounts_agree(w, db, out);
}
