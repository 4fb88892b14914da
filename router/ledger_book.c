#define _GNU_SOURCE
/* Judged and written, or neither. */
#include "router/ledger_book.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "router/alert_db.h"
#include "router/rollup_db.h"
#include "schema/money.h"

struct book_zone {
    struct book_zone *next;
    struct zone *zone;
};

/* Operations whose rows are still to be written. */
struct book_rows {
    const struct ledger_op *ops[LEDGER_BATCH_MAX];
    int n;
};

struct ledger_book {
    struct db *db;
    struct ledger_state state;
    struct id boot;
    struct book_zone *zones; /* kept: owners point into it */
    void (*log)(const char *line);
    bool careful, owners_changed;
    struct book_rows holds, settles, ends; /* empty when careful */
    struct ledger_book_counts done;
    struct alert_rules alert_at;
};

static void say(const struct ledger_book *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct ledger_book *b, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (b->log != NULL)
        b->log(line);
}

/* ---- rows that wait ---- */

/* What has been judged since the last call becomes rows: holds, then the ends of attempts, then
 * those of requests, which is the order of each one's life.  Before anything reads these tables
 * or changes a row by itself. */
static enum ledger_write write_waiting(struct ledger_book *b, struct fail *reterr)
{
    enum ledger_write w = LEDGER_WROTE;
    if (b->holds.n > 0)
        w = ledger_db_holds(b->db, b->holds.ops, b->holds.n, &b->boot, reterr);
    if (b->settles.n > 0 && w == LEDGER_WROTE)
        w = ledger_db_settles(b->db, b->settles.ops, b->settles.n, reterr);
    for (int i = 0; i < b->ends.n && w == LEDGER_WROTE; i++)
        w = ledger_db_end(b->db, b->ends.ops[i], reterr);
    b->holds.n = b->settles.n = b->ends.n = 0;
    return w;
}

/* -1 = none of this attempt waits there. */
static int find_waiting(const struct book_rows *rows, const struct id *attempt_id)
{
    for (int i = 0; i < rows->n; i++) {
        if (id_eq(&rows->ops[i]->attempt_id, attempt_id))
            return i;
    }
    return -1;
}

/* ---- owners ---- */

/* A zone that cannot be read any more must not stop the ledger: its windows are UTC's. */
static const struct zone *book_zone(struct ledger_book *b, const char *name)
{
    for (struct book_zone *z = b->zones; z != NULL; z = z->next) {
        if (strcmp(zone_name(z->zone), name) == 0)
            return z->zone;
    }
    struct fail why;
    struct zone *zone = zone_load(name, &why);
    if (zone == NULL) {
        say(b, "ledger: %s; its windows are those of UTC", why.text);
        return strcmp(name, "UTC") != 0 ? book_zone(b, "UTC") : NULL;
    }
    struct book_zone *z = calloc(1, sizeof(*z));
    if (z == NULL) {
        zone_free(zone);
        return NULL;
    }
    *z = (struct book_zone){b->zones, zone};
    b->zones = z;
    return zone;
}

/* 1 = read, 0 = there is no such row, -1 = reterr. */
static int read_owner(struct ledger_book *b, struct ledger_owner *o, struct fail *reterr)
{
    char zone[ZONE_NAME_MAX];
    int rc = ledger_db_owner(b->db, o, zone, reterr);
    if (rc != 1)
        return rc;
    o->zone = book_zone(b, zone);
    return o->zone != NULL ? 1 : fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
}

struct account_sink {
    struct ledger_state *state;
    struct ledger_owner *owner;
};

static bool add_account(void *ctx, const struct ledger_account *a)
{
    struct account_sink *sink = ctx;
    return ledger_core_add_account(sink->state, sink->owner, a) != NULL;
}

/* Accounts that an attempt may still count in end after since_ms, and after now: a clock that
 * was set back before a restart makes that the earlier of the two. 1, 0 or -1 as above. */
static int load_owner(struct ledger_book *b, enum ledger_scope scope, int64_t id, int64_t since_ms,
                      struct ledger_owner **ret, struct fail *reterr)
{
    *ret = ledger_core_owner(&b->state, scope, id);
    if (*ret != NULL)
        return 1;
    struct ledger_owner probe = {.scope = scope, .id = id};
    int rc = read_owner(b, &probe, reterr);
    if (rc != 1)
        return rc;
    struct ledger_owner *o = ledger_core_add_owner(&b->state, scope, id, probe.zone);
    if (o == NULL)
        return fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
    memcpy(o->name, probe.name, sizeof(o->name));
    memcpy(o->cap_nusd, probe.cap_nusd, sizeof(o->cap_nusd));
    struct account_sink sink = {&b->state, o};
    if (since_ms > b->state.last_ms)
        since_ms = b->state.last_ms;
    if (ledger_db_accounts(b->db, o, since_ms, add_account, &sink, reterr) != 0)
        return -1;
    ledger_core_recap(&b->state, o);
    *ret = o;
    return 1;
}

/* An owner without any account never had an attempt: nothing to sum up. */
static enum ledger_write open_account(struct ledger_book *b, struct ledger_owner *o,
                                      enum window_kind kind, struct window window, bool summed,
                                      struct fail *reterr)
{
    struct ledger_account a = {
        .scope = o->scope, .kind = kind, .window = window, .cap_nusd = o->cap_nusd[kind]};
    enum ledger_write w = summed ? write_waiting(b, reterr) : LEDGER_WROTE;
    if (w == LEDGER_WROTE)
        w = ledger_db_account_new(b->db, o->id, summed, &a, reterr);
    if (w != LEDGER_WROTE || ledger_core_widen(&b->state, o, &a))
        return w;
    struct ledger_account *added = ledger_core_add_account(&b->state, o, &a);
    /* Its cap may be reached as it comes: alerts look at what is dirty. */
    if (added != NULL && summed)
        ledger_core_touch(&b->state, added);
    return added != NULL ? LEDGER_WROTE : LEDGER_NO_ROOM;
}

/* What a hold admitted at at_ms counts in; windows that are over by now stay as they are. */
static enum ledger_write open_accounts(struct ledger_book *b, struct ledger_owner *o, int64_t at_ms,
                                       int64_t now_ms, struct fail *reterr)
{
    bool summed = o->n_accounts > 0;
    ledger_core_prune(&b->state, o);
    enum ledger_write w = LEDGER_WROTE;
    for (int k = 0; k < WINDOW_KINDS && w == LEDGER_WROTE; k++) {
        struct window window;
        if (ledger_core_lacks(o, (enum window_kind)k, at_ms, &window) && window.end_ms > now_ms)
            w = open_account(b, o, (enum window_kind)k, window, summed, reterr);
    }
    return w;
}

/* ---- savepoints, when careful: one refused row does not spoil a batch ---- */

static enum ledger_write step(struct ledger_book *b, struct sqlite3_stmt *s)
{
    return db_step(b->db, s, NULL) == 0 ? LEDGER_WROTE : ledger_db_trouble(b->db);
}

static enum ledger_write mark(struct ledger_book *b)
{
    return b->careful ? step(b, db_stmt(b->db, "SAVEPOINT op")) : LEDGER_WROTE;
}

/* Keeps or undoes what was written since mark(); returns the trouble, if any. */
static enum ledger_write unmark(struct ledger_book *b, enum ledger_write w)
{
    if (w == LEDGER_NO_ROOM || w == LEDGER_BROKEN || !b->careful)
        return w; /* the transaction is lost anyway, or poison loses it */
    enum ledger_write undone = LEDGER_WROTE;
    if (w == LEDGER_POISON)
        undone = step(b, db_stmt(b->db, "ROLLBACK TO op"));
    if (undone == LEDGER_WROTE)
        undone = step(b, db_stmt(b->db, "RELEASE op"));
    return undone == LEDGER_WROTE ? w : undone;
}

/* The row is written with the others of the batch, or by itself when careful. */
static enum ledger_write put(struct ledger_book *b, struct book_rows *rows,
                             const struct ledger_op *op, struct fail *reterr)
{
    enum ledger_write w = rows->n < LEDGER_BATCH_MAX ? LEDGER_WROTE : write_waiting(b, reterr);
    if (w == LEDGER_WROTE)
        rows->ops[rows->n++] = op;
    if (w == LEDGER_WROTE && b->careful && (w = mark(b)) == LEDGER_WROTE)
        w = unmark(b, write_waiting(b, reterr));
    return w;
}

/* ---- hold ---- */

static void refuse(int64_t needs_nusd, const struct ledger_outcome *out,
                   struct ledger_answer *answer)
{
    struct ledger_refusal *r = &answer->refusal;
    const struct ledger_account *a = out->refused_by;
    answer->code = out->verdict == LEDGER_BUSY ? ERR_budget_busy : ERR_over_budget;
    answer->retry_after_ms = out->retry_after_ms;
    r->needs_nusd = needs_nusd;
    if (a == NULL)
        return; /* larger than any cap can be */
    snprintf(r->scope, sizeof(r->scope), "%s", a->scope == LEDGER_SCOPE_KEY ? "key" : "team");
    snprintf(r->name, sizeof(r->name), "%s", out->refused_owner->name);
    snprintf(r->window, sizeof(r->window), "%s", window_name(a->kind));
    r->cap_nusd = a->cap_nusd;
    r->spent_nusd = a->posted_nusd;
    r->held_nusd = a->pending_nusd;
    r->resets_ms = a->kind == WINDOW_TOTAL ? 0 : a->window.end_ms;
}

static enum ledger_write find_owners(struct ledger_book *b, const struct ledger_hold *h,
                                     struct ledger_event *e, struct fail *reterr)
{
    const int64_t ids[LEDGER_SCOPES] = {h->key_id, h->team_id};
    int64_t at_ms = ledger_core_time(&b->state, h->now_ms);
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        int rc =
            load_owner(b, (enum ledger_scope)scope, ids[scope], at_ms, &e->owners[scope], reterr);
        if (rc == 0)
            fail_set(reterr, ERR_ledger_down, NULL, "there is no %s %lld",
                     scope == LEDGER_SCOPE_KEY ? "key" : "team", (long long)ids[scope]);
        if (rc != 1)
            return rc == 0 ? LEDGER_POISON : ledger_db_trouble(b->db);
        enum ledger_write w = open_accounts(b, e->owners[scope], at_ms, at_ms, reterr);
        if (w != LEDGER_WROTE)
            return w;
    }
    return LEDGER_WROTE;
}

static bool is_ending(const struct ledger_book *b, const struct id *request_id)
{
    for (int i = 0; i < b->ends.n; i++) {
        if (id_eq(&b->ends.ops[i]->request_id, request_id))
            return true;
    }
    return false;
}

/* A request that was ended and begins again in one batch (an end of what a crash had taken): the
 * rows would be written the other way round. */
static enum ledger_write write_hold(struct ledger_book *b, struct ledger_op *op, int64_t at_ms,
                                    struct fail *reterr)
{
    op->u.hold.admitted_ms = at_ms;
    enum ledger_write w = is_ending(b, &op->request_id) ? write_waiting(b, reterr) : LEDGER_WROTE;
    if (w == LEDGER_WROTE)
        w = put(b, &b->holds, op, reterr);
    if (w == LEDGER_WROTE)
        b->done.holds++;
    else
        ledger_core_unhold(&b->state, &op->attempt_id);
    return w;
}

static enum ledger_write judge_hold(struct ledger_book *b, struct ledger_op *op,
                                    struct ledger_event *e, struct ledger_answer *answer,
                                    struct fail *reterr)
{
    struct ledger_outcome out = ledger_apply(&b->state, e);
    switch (out.verdict) {
    case LEDGER_DONE:
        return write_hold(b, op, out.at_ms, reterr);
    case LEDGER_SAME:
        return LEDGER_WROTE;
    case LEDGER_OVER_BUDGET:
    case LEDGER_BUSY:
        b->done.refused++;
        refuse(op->u.hold.amount_nusd, &out, answer);
        return LEDGER_WROTE;
    case LEDGER_NO_MEMORY:
        fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
        return LEDGER_POISON;
    case LEDGER_CONFLICT:
    case LEDGER_UNKNOWN:
        break;
    }
    fail_set(reterr, ERR_ledger_down, NULL, "its id is taken by another attempt");
    return LEDGER_POISON;
}

/* Is another request of the same Idempotency-Key in its way?  Its rows may still wait. */
static enum ledger_write check_idempotency(struct ledger_book *b, const struct ledger_op *op,
                                           struct ledger_answer *answer, struct fail *reterr)
{
    enum ledger_write w = write_waiting(b, reterr);
    return w == LEDGER_WROTE ? idempotency_db_check(b->db, op, answer, reterr) : w;
}

static enum ledger_write hold(struct ledger_book *b, struct ledger_op *op,
                              struct ledger_answer *answer)
{
    const struct ledger_hold *h = &op->u.hold;
    struct ledger_event e = {.kind = LEDGER_EV_HOLD,
                             .attempt_id = op->attempt_id,
                             .now_ms = h->now_ms,
                             .amount_nusd = h->amount_nusd};
    struct fail why = {0};
    enum ledger_write w = find_owners(b, h, &e, &why);
    if (w == LEDGER_WROTE && h->request.idempotency.given)
        w = check_idempotency(b, op, answer, &why);
    if (w == LEDGER_WROTE && answer->code == ERR_OK)
        w = judge_hold(b, op, &e, answer, &why);
    if (w != LEDGER_POISON || !b->careful)
        return w;
    char id[ID_TEXT_MAX];
    say(b, "ledger: hold of %s refused: %s", id_print(&op->attempt_id, ID_PREFIX_ATTEMPT, id),
        why.text);
    answer->code = ERR_ledger_down;
    return LEDGER_WROTE;
}

/* ---- extend ---- */

static enum ledger_write write_extension(struct ledger_book *b, const struct ledger_op *op,
                                         int64_t at_ms, struct fail *reterr)
{
    int64_t hold_nusd = ledger_core_attempt(&b->state, &op->attempt_id)->hold_nusd;
    bool waits = find_waiting(&b->holds, &op->attempt_id) >= 0;
    enum ledger_write w = waits ? write_waiting(b, reterr) : LEDGER_WROTE;
    if (w == LEDGER_WROTE)
        w = mark(b);
    if (w == LEDGER_WROTE)
        w = unmark(b, ledger_db_extend(b->db, op, hold_nusd, at_ms, reterr));
    if (w != LEDGER_WROTE)
        ledger_core_unextend(&b->state, &op->attempt_id, op->u.extend.amount_nusd);
    return w;
}

/* A cap that came after the admission is one that the growth must fit: its account is opened
 * before it is asked, unless the window is over. */
static enum ledger_write open_for_extension(struct ledger_book *b, const struct ledger_op *op,
                                            struct fail *reterr)
{
    const struct ledger_attempt *t = ledger_core_attempt(&b->state, &op->attempt_id);
    int64_t now_ms = ledger_core_time(&b->state, op->u.extend.now_ms);
    enum ledger_write w = LEDGER_WROTE;
    for (int scope = 0; t != NULL && scope < LEDGER_SCOPES && w == LEDGER_WROTE; scope++)
        w = open_accounts(b, t->owners[scope], t->admitted_ms, now_ms, reterr);
    return w;
}

static enum ledger_write judge_extension(struct ledger_book *b, const struct ledger_op *op,
                                         struct ledger_answer *answer, struct fail *reterr)
{
    struct ledger_event e = {.kind = LEDGER_EV_EXTEND,
                             .attempt_id = op->attempt_id,
                             .now_ms = op->u.extend.now_ms,
                             .amount_nusd = op->u.extend.amount_nusd};
    struct ledger_outcome out = ledger_apply(&b->state, &e);
    if (out.verdict == LEDGER_DONE)
        return write_extension(b, op, out.at_ms, reterr);
    if (out.verdict == LEDGER_OVER_BUDGET || out.verdict == LEDGER_BUSY)
        refuse(op->u.extend.amount_nusd, &out, answer);
    else
        answer->code = ERR_ledger_down; /* it does not run */
    return LEDGER_WROTE;
}

static enum ledger_write extend(struct ledger_book *b, const struct ledger_op *op,
                                struct ledger_answer *answer)
{
    char id[ID_TEXT_MAX];
    struct fail why = {0};
    enum ledger_write w = open_for_extension(b, op, &why);
    if (w == LEDGER_WROTE)
        w = judge_extension(b, op, answer, &why);
    if (w != LEDGER_POISON || !b->careful)
        return w;
    say(b, "ledger: extension of %s refused: %s", id_print(&op->attempt_id, ID_PREFIX_ATTEMPT, id),
        why.text);
    answer->code = ERR_ledger_down;
    return LEDGER_WROTE;
}

/* ---- settle ---- */

/* Facts that the table will not take are left out rather than the money. */
static void strip(struct ledger_settle *t)
{
    t->end_reason[0] = t->provider_request_id[0] = t->iterations[0] = '\0';
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (t->usage.n[i] < 0)
            t->usage.n[i] = 0;
    }
}

/* Of an attempt that still runs, only a STREAMING can wait already: what comes later says all that
 * it said, and takes its place. */
static enum ledger_write put_settle(struct ledger_book *b, const struct ledger_attempt *t,
                                    const struct ledger_op *op, struct fail *reterr)
{
    int i = t->state == LEDGER_STREAMED ? find_waiting(&b->settles, &op->attempt_id) : -1;
    if (i < 0)
        return put(b, &b->settles, op, reterr);
    b->settles.ops[i] = op;
    return LEDGER_WROTE;
}

static enum ledger_write write_settle(struct ledger_book *b, const struct ledger_attempt *t,
                                      struct ledger_op *op)
{
    char id[ID_TEXT_MAX];
    struct fail why = {0};
    for (int try = 0;; try++) {
        enum ledger_write w = put_settle(b, t, op, &why);
        if (w != LEDGER_POISON || !b->careful)
            return w;
        say(b, "ledger: the %s of %s, cost %lld pico-USD, was not written: %s%s",
            op->kind == LEDGER_STREAMING ? "checkpoint" : "end",
            id_print(&op->attempt_id, ID_PREFIX_ATTEMPT, id), (long long)op->u.settle.cost_pusd,
            why.text, try == 0 ? "; again without its texts" : "; it stays held until a restart");
        if (try == 1)
            return LEDGER_POISON;
        strip(&op->u.settle);
    }
}

static enum ledger_write note_unknown(struct ledger_book *b, const struct ledger_op *op)
{
    char id[ID_TEXT_MAX];
    struct fail why = {0};
    enum ledger_write w = write_waiting(b, &why);
    if (w == LEDGER_WROTE && ledger_db_has_ended(b->db, &op->attempt_id) < 0)
        say(b, "ledger: %s was never held: its end is not written",
            id_print(&op->attempt_id, ID_PREFIX_ATTEMPT, id));
    return w;
}

static enum ledger_write settle(struct ledger_book *b, struct ledger_op *op,
                                enum ledger_event_kind kind)
{
    const struct ledger_attempt *t = ledger_core_attempt(&b->state, &op->attempt_id);
    if (t == NULL) /* sent twice, or after its end: the first one counts */
        return note_unknown(b, op);
    if (op->u.settle.cost_pusd < 0) { /* a cost that overflowed: the worst case is known */
        op->u.settle.cost_pusd = t->hold_nusd * 1000;
        op->u.settle.source = USAGE_ESTIMATED;
    }
    enum ledger_write w = write_settle(b, t, op);
    if (w == LEDGER_WROTE) {
        int64_t charge = kind == LEDGER_EV_SETTLE ? money_charge_nusd(op->u.settle.cost_pusd) : 0;
        struct ledger_event e = {.kind = kind,
                                 .attempt_id = op->attempt_id,
                                 .now_ms = op->u.settle.now_ms,
                                 .amount_nusd = charge};
        ledger_apply(&b->state, &e);
        b->done.settles += kind == LEDGER_EV_SETTLE;
        b->done.voids += kind == LEDGER_EV_VOID;
    }
    return w == LEDGER_POISON && b->careful ? LEDGER_WROTE : w;
}

static enum ledger_write end(struct ledger_book *b, const struct ledger_op *op)
{
    struct fail why = {0};
    enum ledger_write w = put(b, &b->ends, op, &why);
    if (w != LEDGER_POISON || !b->careful)
        return w;
    say(b, "ledger: the end of a request was not written: %s", why.text);
    return LEDGER_WROTE;
}

void ledger_book_careful(struct ledger_book *b, bool careful)
{
    b->careful = careful;
}

struct ledger_book_counts ledger_book_counts(const struct ledger_book *b)
{
    return b->done;
}

void ledger_book_recount(struct ledger_book *b, const struct ledger_book_counts *counts)
{
    b->done = *counts;
}

enum ledger_write ledger_book_op(struct ledger_book *b, struct ledger_op *op,
                                 struct ledger_answer *answer)
{
    switch (op->kind) {
    case LEDGER_HOLD:
    case LEDGER_EXTEND:
        memset(answer, 0, sizeof(*answer));
        answer->kind = op->kind;
        answer->cookie = op->cookie;
        return op->kind == LEDGER_HOLD ? hold(b, op, answer) : extend(b, op, answer);
    case LEDGER_STREAMING:
        return settle(b, op, LEDGER_EV_STREAM);
    case LEDGER_SETTLE:
        return settle(b, op, LEDGER_EV_SETTLE);
    case LEDGER_VOID:
        return settle(b, op, LEDGER_EV_VOID);
    case LEDGER_END:
        return end(b, op);
    }
    assert(op->kind == LEDGER_HOLD); /* a kind that is none */
    return LEDGER_BROKEN;
}

enum ledger_write ledger_book_flush(struct ledger_book *b)
{
    struct fail why = {0};
    enum ledger_write w = write_waiting(b, &why);
    for (size_t i = 0; i < b->state.n_dirty && w == LEDGER_WROTE; i++) {
        struct ledger_account *a = b->state.dirty[i];
        w = ledger_db_account_put(b->db, a, &why);
        if (w == LEDGER_WROTE)
            w = alert_db_note(b->db, &b->alert_at, a, b->state.last_ms, &b->done.alerts, &why);
        if (w == LEDGER_POISON) { /* the sums contradict themselves */
            say(b, "ledger: account %lld: %s", (long long)a->row, why.text);
            return LEDGER_BROKEN;
        }
    }
    if (w == LEDGER_WROTE)
        ledger_core_written(&b->state);
    return w;
}

void ledger_book_alert_at(struct ledger_book *b, const struct alert_rules *rules)
{
    b->alert_at = *rules;
}

/* Most jobs change no owner, and there may be ten thousand of them. */
enum ledger_write ledger_book_recap(struct ledger_book *b)
{
    for (size_t i = 0; i < LEDGER_OWNER_CHAINS && b->owners_changed; i++) {
        for (struct ledger_owner *o = b->state.owners[i]; o != NULL; o = o->next) {
            if (read_owner(b, o, NULL) < 0)
                return ledger_db_trouble(b->db);
            ledger_core_recap(&b->state, o);
        }
    }
    b->owners_changed = false;
    return LEDGER_WROTE;
}

/* ---- loading ---- */

static int load_running(struct ledger_book *b, struct ledger_db_running *r, struct fail *reterr)
{
    const int64_t ids[LEDGER_SCOPES] = {r->key_id, r->team_id};
    for (int scope = 0; scope < LEDGER_SCOPES; scope++) {
        int rc = load_owner(b, (enum ledger_scope)scope, ids[scope], r->attempt.admitted_ms,
                            &r->attempt.owners[scope], reterr);
        if (rc == 0)
            fail_set(reterr, ERR_ledger_down, NULL, "an attempt's key or team is missing");
        if (rc != 1)
            return -1;
    }
    if (ledger_core_add_attempt(&b->state, &r->attempt))
        return 0;
    return fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
}

struct running {
    struct ledger_db_running *rows; /* the caller frees them */
    size_t n;
};

/* Oldest first: the owner's accounts are those that its oldest attempt may count in. */
static int load(struct ledger_book *b, struct running *ret, struct fail *reterr)
{
    int rc = ledger_db_running(b->db, &ret->rows, &ret->n, reterr);
    for (size_t i = 0; i < ret->n && rc == 0; i++)
        rc = load_running(b, &ret->rows[i], reterr);
    return rc;
}

int ledger_book_reload(struct ledger_book *b, struct fail *reterr)
{
    int64_t last_ms = b->state.last_ms, typical_ms = b->state.typical_ms;
    b->holds.n = b->settles.n = b->ends.n = 0;
    ledger_core_done(&b->state);
    b->state.last_ms = last_ms;
    b->state.typical_ms = typical_ms;
    struct running r = {NULL, 0};
    int rc = load(b, &r, reterr);
    free(r.rows);
    return rc;
}

/* ---- recovery ---- */

struct recovered {
    int n[LEDGER_RECOVERIES];
    int64_t held_nusd, charged_nusd;
};

static enum ledger_write recover_one(struct ledger_book *b, const struct ledger_attempt *t,
                                     int64_t now_ms, struct ledger_op *op, struct recovered *ret,
                                     struct fail *reterr)
{
    enum ledger_recovery how;
    if (ledger_db_recover(b->db, &t->id, now_ms, op, &how, reterr) != 0)
        return ledger_db_trouble(b->db);
    enum ledger_write w = ledger_book_op(b, op, NULL);
    ret->n[how]++;
    ret->held_nusd += t->hold_nusd;
    ret->charged_nusd += op->kind == LEDGER_SETTLE ? money_charge_nusd(op->u.settle.cost_pusd) : 0;
    return w;
}

/* The attempts are looked up by id while they leave the core's table one by one. */
static enum ledger_write recover_attempts(struct ledger_book *b, const struct running *r,
                                          int64_t now_ms, struct recovered *ret,
                                          struct fail *reterr)
{
    struct ledger_op *ops = calloc(LEDGER_BATCH_MAX, sizeof(*ops));
    enum ledger_write w = ops != NULL ? LEDGER_WROTE : LEDGER_NO_ROOM;
    for (size_t i = 0; i < r->n && w == LEDGER_WROTE; i++) {
        struct ledger_op *op = &ops[i % LEDGER_BATCH_MAX];
        w = recover_one(b, &r->rows[i].attempt, now_ms, op, ret, reterr);
        if (w == LEDGER_WROTE && (i + 1 == r->n || op == &ops[LEDGER_BATCH_MAX - 1]))
            w = write_waiting(b, reterr);
    }
    free(ops);
    return w;
}

static void say_recovered(const struct ledger_book *b, int n_requests, const struct recovered *r)
{
    char held[MONEY_TEXT_MAX], charged[MONEY_TEXT_MAX];
    say(b,
        "recovered %d requests: %d attempts settled from a checkpoint, %d by the prompt's"
        " estimate, %d at the whole hold, %d void; $%s charged of $%s held",
        n_requests, r->n[LEDGER_RECOVER_CHECKPOINT], r->n[LEDGER_RECOVER_PROMPT],
        r->n[LEDGER_RECOVER_HOLD], r->n[LEDGER_RECOVER_VOID],
        money_print(r->charged_nusd, MONEY_SCALE_NUSD, charged),
        money_print(r->held_nusd, MONEY_SCALE_NUSD, held));
}

static enum ledger_write recover_all(struct ledger_book *b, const struct running *running,
                                     int64_t now_ms, struct fail *reterr)
{
    struct recovered r = {.held_nusd = 0};
    int n_requests = 0;
    if (db_begin(b->db, reterr) != 0)
        return ledger_db_trouble(b->db);
    enum ledger_write w = recover_attempts(b, running, now_ms, &r, reterr);
    if (w == LEDGER_WROTE)
        w = ledger_db_close_requests(b->db, now_ms, &n_requests, reterr);
    if (w == LEDGER_WROTE)
        w = ledger_book_flush(b);
    if (w == LEDGER_WROTE && db_commit(b->db, reterr) != 0)
        w = LEDGER_BROKEN;
    if (w == LEDGER_WROTE && n_requests > 0)
        say_recovered(b, n_requests, &r);
    return w;
}

/* As ledger.c writes a batch: with savepoints only when a row was refused. */
static int recover(struct ledger_book *b, const struct running *r, int64_t now_ms,
                   struct fail *reterr)
{
    fail_set(reterr, ERR_ledger_down, NULL, "recovery could not write");
    b->careful = false;
    enum ledger_write w = recover_all(b, r, now_ms, reterr);
    b->careful = true;
    if (w == LEDGER_POISON) {
        db_rollback(b->db);
        if (ledger_book_reload(b, reterr) != 0)
            return -1;
        w = recover_all(b, r, now_ms, reterr);
    }
    if (w == LEDGER_WROTE)
        b->done = (struct ledger_book_counts){0}; /* it was another process's */
    return w == LEDGER_WROTE ? 0 : -1;
}

static int load_and_recover(struct ledger_book *b, int64_t now_ms, struct fail *reterr)
{
    int64_t floor_ms = 0; /* a clock that was set back must not admit into sums that are closed */
    if (rollup_db_floor(b->db, &floor_ms, reterr) != 0)
        return -1;
    b->state.last_ms = now_ms > floor_ms ? now_ms : floor_ms;
    struct running r = {NULL, 0};
    int rc = load(b, &r, reterr);
    if (rc == 0)
        rc = recover(b, &r, now_ms, reterr);
    free(r.rows);
    return rc;
}

struct ledger_book *ledger_book_open(struct db *db, int64_t now_ms, void (*log)(const char *line),
                                     struct fail *reterr)
{
    struct ledger_book *b = calloc(1, sizeof(*b));
    if (b == NULL || getrandom(b->boot.b, sizeof(b->boot.b), 0) != (ssize_t)sizeof(b->boot.b)) {
        free(b);
        fail_set(reterr, ERR_ledger_down, NULL, "no memory or no random bytes for the ledger");
        return NULL;
    }
    b->db = db;
    b->log = log;
    ledger_core_init(&b->state);
    ledger_db_watch_owners(db, &b->owners_changed);
    if (ledger_db_prepare(db, reterr) == 0 && load_and_recover(b, now_ms, reterr) == 0)
        return b;
    db_rollback(db);
    ledger_book_close(b);
    return NULL;
}

void ledger_book_close(struct ledger_book *b)
{
    if (b == NULL)
        return;
    ledger_db_watch_owners(b->db, NULL);
    ledger_core_done(&b->state);
    while (b->zones != NULL) {
        struct book_zone *z = b->zones;
        b->zones = z->next;
        zone_free(z->zone);
        free(z);
    }
    free(b);
}

void ledger_book_stats(const struct ledger_book *b, struct ledger_stats *ret)
{
    ret->holds = b->done.holds;
    ret->settles = b->done.settles;
    ret->voids = b->done.voids;
    ret->refused = b->done.refused;
    ret->alerts = b->done.alerts;
    ret->running = (int64_t)b->state.n_attempts;
    ret->held_nusd = b->state.held_nusd;
    ret->last_ms = b->state.last_ms;
}
