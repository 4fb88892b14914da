/* Rows of request, attempt, entry and account. */
#include "router/ledger_db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "schema/money.h"

static const char *const scope_names[LEDGER_SCOPES] = {"key", "team"};

bool ledger_db_disk_full(struct db *db)
{
    int code = sqlite3_extended_errcode(db_handle(db));
    return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE;
}

enum ledger_write ledger_db_trouble(struct db *db)
{
    int code = sqlite3_extended_errcode(db_handle(db));
    if (code == SQLITE_IOERR_SHMSIZE)
        return LEDGER_NO_ROOM; /* the WAL's index could not grow: nothing was written */
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
        return LEDGER_POISON;
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_NOMEM:
        return LEDGER_NO_ROOM;
    default:
        return LEDGER_BROKEN;
    }
}

/* Runs a statement without rows. */
static enum ledger_write run(struct db *db, struct sqlite3_stmt *s, struct fail *reterr)
{
    int rc = db_step(db, s, reterr);
    assert(rc != 1);
    if (rc != 0)
        return ledger_db_trouble(db);
    sqlite3_reset(s);
    return LEDGER_WROTE;
}

static void bind_known(struct sqlite3_stmt *s, int i, int64_t v, bool known)
{
    if (known)
        db_bind_int(s, i, v);
    else
        db_bind_text(s, i, NULL);
}

static void bind_word(struct sqlite3_stmt *s, int i, const char *v)
{
    db_bind_text(s, i, v[0] != '\0' ? v : NULL);
}

static void bind_id(struct sqlite3_stmt *s, int i, const struct id *id)
{
    db_bind_blob(s, i, id->b, sizeof(id->b));
}

static int64_t col_or(struct sqlite3_stmt *s, int col, int64_t missing)
{
    return db_col_null(s, col) ? missing : db_col_int(s, col);
}

static void col_text(struct sqlite3_stmt *s, int col, char *out, size_t cap)
{
    struct span text = span_of(db_col_text(s, col));
    size_t n = text.len < cap ? text.len : cap - 1;
    memcpy(out, text.ptr, n);
    out[n] = '\0';
}

/* ---- owners and accounts ---- */

static struct sqlite3_stmt *owner_stmt(struct db *db, enum ledger_scope scope)
{
    if (scope == LEDGER_SCOPE_TEAM)
        return db_stmt(db, "SELECT name, timezone FROM team WHERE id = ?1");
    return db_stmt(db, "SELECT k.name, t.timezone FROM api_key k JOIN team t ON t.id = k.team_id"
                       " WHERE k.id = ?1");
}

int ledger_db_owner(struct db *db, struct ledger_owner *o, char ret_zone[ZONE_NAME_MAX],
                    struct fail *reterr)
{
    struct sqlite3_stmt *s = owner_stmt(db, o->scope);
    db_bind_int(s, 1, o->id);
    int rc = db_step(db, s, reterr);
    if (rc != 1)
        return rc;
    col_text(s, 0, o->name, sizeof(o->name));
    col_text(s, 1, ret_zone, ZONE_NAME_MAX);
    sqlite3_reset(s);
    for (int k = 0; k < WINDOW_KINDS; k++)
        o->cap_nusd[k] = LEDGER_CAP_NONE;
    s = db_stmt(db, "SELECT window, cap_nusd FROM budget WHERE scope = ?1 AND owner_id = ?2");
    db_bind_text(s, 1, scope_names[o->scope]);
    db_bind_int(s, 2, o->id);
    while ((rc = db_step(db, s, reterr)) == 1) {
        enum window_kind kind;
        if (window_parse(db_col_text(s, 0), &kind))
            o->cap_nusd[kind] = db_col_int(s, 1);
    }
    sqlite3_reset(s);
    return rc == 0 ? 1 : -1;
}

int ledger_db_accounts(struct db *db, const struct ledger_owner *o, int64_t since_ms,
                       bool (*fn)(void *ctx, const struct ledger_account *a), void *ctx,
                       struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id, window, start_ms, end_ms, cap_nusd, pending_nusd, posted_nusd,"
                    " overrun_nusd FROM account WHERE scope = ?1 AND owner_id = ?2"
                    " AND end_ms > ?3");
    db_bind_text(s, 1, scope_names[o->scope]);
    db_bind_int(s, 2, o->id);
    db_bind_int(s, 3, since_ms);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct ledger_account a = {.row = db_col_int(s, 0),
                                   .scope = o->scope,
                                   .window = {db_col_int(s, 2), db_col_int(s, 3)},
                                   .cap_nusd = col_or(s, 4, LEDGER_CAP_NONE),
                                   .pending_nusd = db_col_int(s, 5),
                                   .posted_nusd = db_col_int(s, 6),
                                   .overrun_nusd = db_col_int(s, 7)};
        bool known = window_parse(db_col_text(s, 1), &a.kind);
        assert(known);
        if (!fn(ctx, &a)) {
            sqlite3_reset(s);
            return fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
        }
    }
    return rc;
}

static struct sqlite3_stmt *sum_stmt(struct db *db, enum ledger_scope scope)
{
#define SUMS(keys)                                                                                 \
    "SELECT coalesce(sum(CASE WHEN state IN ('SETTLED', 'VOID') THEN 0 ELSE hold_nusd END), 0),"   \
    " coalesce(sum(CASE WHEN state = 'SETTLED' THEN charge_nusd ELSE 0 END), 0)"                   \
    " + (SELECT coalesce(sum(charge_nusd), 0) FROM correction WHERE key_id " keys                  \
    " AND admitted_ms >= ?2 AND admitted_ms < ?3)"                                                 \
    " FROM attempt WHERE key_id " keys " AND admitted_ms >= ?2 AND admitted_ms < ?3"
    if (scope == LEDGER_SCOPE_TEAM)
        return db_stmt(db, SUMS("IN (SELECT id FROM api_key WHERE team_id = ?1)"));
    return db_stmt(db, SUMS("= ?1"));
#undef SUMS
}

static enum ledger_write sum_attempts(struct db *db, int64_t owner_id, struct ledger_account *a,
                                      struct fail *reterr)
{
    struct sqlite3_stmt *s = sum_stmt(db, a->scope);
    db_bind_int(s, 1, owner_id);
    db_bind_int(s, 2, a->window.start_ms);
    db_bind_int(s, 3, a->window.end_ms);
    if (db_step(db, s, reterr) != 1)
        return ledger_db_trouble(db);
    a->pending_nusd = db_col_int(s, 0);
    a->posted_nusd = db_col_int(s, 1);
    sqlite3_reset(s);
    if (a->cap_nusd != LEDGER_CAP_NONE && a->posted_nusd + a->pending_nusd > a->cap_nusd)
        a->overrun_nusd = a->posted_nusd + a->pending_nusd - a->cap_nusd;
    return LEDGER_WROTE;
}

enum ledger_write ledger_db_account_new(struct db *db, int64_t owner_id, bool summed,
                                        struct ledger_account *a, struct fail *reterr)
{
    a->pending_nusd = a->posted_nusd = a->overrun_nusd = 0;
    enum ledger_write w = summed ? sum_attempts(db, owner_id, a, reterr) : LEDGER_WROTE;
    if (w != LEDGER_WROTE)
        return w;
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO account(scope, owner_id, window, start_ms, end_ms, cap_nusd,"
                    " pending_nusd, posted_nusd, overrun_nusd)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                    " ON CONFLICT(scope, owner_id, window, start_ms) DO UPDATE SET"
                    " end_ms = max(end_ms, excluded.end_ms), cap_nusd = excluded.cap_nusd,"
                    " pending_nusd = excluded.pending_nusd, posted_nusd = excluded.posted_nusd,"
                    " overrun_nusd = max(overrun_nusd, excluded.overrun_nusd)"
                    " RETURNING id, overrun_nusd");
    db_bind_text(s, 1, scope_names[a->scope]);
    db_bind_int(s, 2, owner_id);
    db_bind_text(s, 3, window_name(a->kind));
    db_bind_int(s, 4, a->window.start_ms);
    db_bind_int(s, 5, a->window.end_ms);
    bind_known(s, 6, a->cap_nusd, a->cap_nusd != LEDGER_CAP_NONE);
    db_bind_int(s, 7, a->pending_nusd);
    db_bind_int(s, 8, a->posted_nusd);
    db_bind_int(s, 9, a->overrun_nusd);
    if (db_step(db, s, reterr) != 1)
        return ledger_db_trouble(db);
    a->row = db_col_int(s, 0);
    a->overrun_nusd = db_col_int(s, 1);
    sqlite3_reset(s);
    return LEDGER_WROTE;
}

enum ledger_write ledger_db_account_put(struct db *db, const struct ledger_account *a,
                                        struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "UPDATE account SET cap_nusd = ?2, pending_nusd = ?3, posted_nusd = ?4,"
                    " overrun_nusd = ?5 WHERE id = ?1");
    db_bind_int(s, 1, a->row);
    bind_known(s, 2, a->cap_nusd, a->cap_nusd != LEDGER_CAP_NONE);
    db_bind_int(s, 3, a->pending_nusd);
    db_bind_int(s, 4, a->posted_nusd);
    db_bind_int(s, 5, a->overrun_nusd);
    return run(db, s, reterr);
}

/* ---- hold ---- */

static enum ledger_write insert_entry(struct db *db, const struct id *attempt_id, const char *kind,
                                      int64_t amount_nusd, int64_t at_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "INSERT INTO entry(attempt_id, kind, amount_nusd, at_ms)"
                                         " VALUES (?1, ?2, ?3, ?4)");
    bind_id(s, 1, attempt_id);
    db_bind_text(s, 2, kind);
    db_bind_int(s, 3, amount_nusd);
    db_bind_int(s, 4, at_ms);
    return run(db, s, reterr);
}

static enum ledger_write insert_request(struct db *db, const struct ledger_op *op,
                                        struct fail *reterr)
{
    const struct ledger_request *r = &op->u.hold.request;
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO request(id, created_ms, team_id, key_id, stream,"
                    " requested_model, door, experiment, arm)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT(id) DO NOTHING");
    bind_id(s, 1, &op->request_id);
    db_bind_int(s, 2, r->created_ms);
    db_bind_int(s, 3, op->u.hold.team_id);
    db_bind_int(s, 4, op->u.hold.key_id);
    db_bind_int(s, 5, r->stream);
    db_bind_text(s, 6, r->requested_model);
    db_bind_text(s, 7, r->door);
    bind_word(s, 8, r->experiment);
    bind_word(s, 9, r->arm);
    return run(db, s, reterr);
}

static enum ledger_write insert_attempt(struct db *db, const struct ledger_op *op,
                                        const struct id *boot, int64_t admitted_ms,
                                        struct fail *reterr)
{
    const struct ledger_hold *h = &op->u.hold;
    struct sqlite3_stmt *s = db_stmt(
        db, "INSERT INTO attempt(id, request_id, n, team_id, key_id, boot_id, state, admitted_ms,"
            " endpoint_id, price_version, model, provider, upstream_model, cancel_stops_billing,"
            " prompt_estimate_tok, prompt_estimate_nusd, n_images, hold_nusd, sent_ms,"
            " prompt_class)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'SENT', ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
            " ?16, ?17, ?18, ?19)");
    bind_id(s, 1, &op->attempt_id);
    bind_id(s, 2, &op->request_id);
    db_bind_int(s, 3, h->n);
    db_bind_int(s, 4, h->team_id);
    db_bind_int(s, 5, h->key_id);
    bind_id(s, 6, boot);
    db_bind_int(s, 7, admitted_ms);
    db_bind_int(s, 8, h->endpoint_id);
    db_bind_int(s, 9, h->price_version);
    db_bind_text(s, 10, h->model);
    db_bind_text(s, 11, h->provider);
    db_bind_text(s, 12, h->upstream_model);
    db_bind_int(s, 13, h->cancel_stops_billing);
    db_bind_int(s, 14, h->prompt_estimate_tok);
    /* A part of the worst case, which has been found to be sane. */
    db_bind_int(
        s, 15, h->prompt_estimate_nusd < h->amount_nusd ? h->prompt_estimate_nusd : h->amount_nusd);
    db_bind_int(s, 16, h->n_images);
    db_bind_int(s, 17, h->amount_nusd);
    db_bind_int(s, 18, h->now_ms);
    bind_known(s, 19, h->prompt_class - 1, h->prompt_class > 0);
    return run(db, s, reterr);
}

enum ledger_write ledger_db_hold(struct db *db, const struct ledger_op *op, const struct id *boot,
                                 int64_t admitted_ms, struct fail *reterr)
{
    enum ledger_write w = insert_request(db, op, reterr);
    if (w == LEDGER_WROTE)
        w = insert_attempt(db, op, boot, admitted_ms, reterr);
    if (w == LEDGER_WROTE)
        w = insert_entry(db, &op->attempt_id, "hold", op->u.hold.amount_nusd, admitted_ms, reterr);
    if (w == LEDGER_WROTE && op->u.hold.request.idempotency.given)
        w = idempotency_db_claim(db, op, reterr);
    return w;
}

/* ---- extend ---- */

enum ledger_write ledger_db_extend(struct db *db, const struct ledger_op *op, int64_t hold_nusd,
                                   int64_t at_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE attempt SET hold_nusd = ?2 WHERE id = ?1");
    bind_id(s, 1, &op->attempt_id);
    db_bind_int(s, 2, hold_nusd);
    enum ledger_write w = run(db, s, reterr);
    if (w != LEDGER_WROTE)
        return w;
    s = db_stmt(db, "INSERT INTO entry(attempt_id, kind, n, amount_nusd, at_ms)"
                    " SELECT ?1, 'extend', count(*) + 1, ?2, ?3 FROM entry"
                    " WHERE attempt_id = ?1 AND kind = 'extend'");
    bind_id(s, 1, &op->attempt_id);
    db_bind_int(s, 2, op->u.extend.amount_nusd);
    db_bind_int(s, 3, at_ms);
    return run(db, s, reterr);
}

/* ---- settle ---- */

/* Parameters 3 to 8, in the order of enum usage_bucket; a bucket that was not stated is NULL. */
static void bind_usage(struct sqlite3_stmt *s, const struct usage *u)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        bind_known(s, 3 + i, u->n[i], usage_has(u, (enum usage_bucket)i));
}

static enum ledger_write update_attempt(struct db *db, const struct ledger_op *op,
                                        const char *state, struct fail *reterr)
{
    static const struct usage nothing;
    const struct ledger_settle *t = &op->u.settle;
    bool is_void = strcmp(state, "VOID") == 0, ended = strcmp(state, "STREAMING") != 0;
    struct sqlite3_stmt *s = db_stmt(
        db, "UPDATE attempt SET state = ?2, input_tok = ?3, output_tok = ?4, cache_read_tok = ?5,"
            " cache_write_5m_tok = ?6, cache_write_1h_tok = ?7, web_searches = ?8,"
            " usage_source = ?9, cost_pusd = ?10, charge_nusd = ?11, http_status = ?12,"
            " first_byte_ms = ?13, duration_ms = ?14, end_reason = ?15,"
            " provider_request_id = ?16, iterations = ?17 WHERE id = ?1");
    bind_id(s, 1, &op->attempt_id);
    db_bind_text(s, 2, state);
    bind_usage(s, is_void ? &nothing : &t->usage);
    db_bind_text(s, 9, usage_source_name(is_void ? USAGE_NONE : t->source));
    db_bind_int(s, 10, is_void ? 0 : t->cost_pusd);
    bind_known(s, 11, is_void ? 0 : money_charge_nusd(t->cost_pusd), ended);
    bind_known(s, 12, t->http_status, t->http_status != 0);
    bind_known(s, 13, t->first_byte_ms, t->first_byte_ms >= 0);
    bind_known(s, 14, t->duration_ms, ended && t->duration_ms >= 0);
    bind_word(s, 15, t->end_reason);
    bind_word(s, 16, t->provider_request_id);
    bind_word(s, 17, t->iterations);
    return run(db, s, reterr);
}

enum ledger_write ledger_db_settle(struct db *db, const struct ledger_op *op, const char *state,
                                   struct fail *reterr)
{
    const struct ledger_settle *t = &op->u.settle;
    enum ledger_write w = update_attempt(db, op, state, reterr);
    if (w != LEDGER_WROTE || strcmp(state, "STREAMING") == 0)
        return w;
    if (strcmp(state, "VOID") == 0) {
        struct sqlite3_stmt *s = db_stmt(db, "INSERT INTO entry(attempt_id, kind, amount_nusd,"
                                             " at_ms) SELECT id, 'release', hold_nusd, ?2"
                                             " FROM attempt WHERE id = ?1");
        bind_id(s, 1, &op->attempt_id);
        db_bind_int(s, 2, t->now_ms);
        return run(db, s, reterr);
    }
    return insert_entry(db, &op->attempt_id, "post", money_charge_nusd(t->cost_pusd), t->now_ms,
                        reterr);
}

enum ledger_write ledger_db_end(struct db *db, const struct ledger_op *op, struct fail *reterr)
{
    const struct ledger_end *e = &op->u.end;
    struct sqlite3_stmt *s =
        db_stmt(db, "UPDATE request SET status = ?2, http_status = ?3, ended_ms = ?4"
                    " WHERE id = ?1 AND status = 'running'");
    bind_id(s, 1, &op->request_id);
    db_bind_text(s, 2, e->status);
    bind_known(s, 3, e->http_status, e->http_status != 0);
    db_bind_int(s, 4, e->now_ms);
    return run(db, s, reterr);
}

int ledger_db_has_ended(struct db *db, const struct id *attempt_id)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT state IN ('SETTLED', 'VOID') FROM attempt WHERE id = ?1");
    bind_id(s, 1, attempt_id);
    int ended = db_step(db, s, NULL) == 1 ? (int)db_col_int(s, 0) : -1;
    sqlite3_reset(s);
    return ended;
}

/* ---- running attempts ---- */

static enum ledger_attempt_state parse_state(const char *name)
{
    if (strcmp(name, "HELD") == 0)
        return LEDGER_HELD;
    return strcmp(name, "STREAMING") == 0 ? LEDGER_STREAMED : LEDGER_SENT;
}

static void col_id(struct sqlite3_stmt *s, int col, struct id *ret)
{
    size_t n;
    const void *b = db_col_blob(s, col, &n);
    assert(n == sizeof(ret->b));
    memcpy(ret->b, b, sizeof(ret->b));
}

int ledger_db_running(struct db *db, struct ledger_db_running **ret, size_t *ret_n,
                      struct fail *reterr)
{
    struct ledger_db_running *rows = NULL;
    size_t n = 0, cap = 0;
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id, state, admitted_ms, hold_nusd, key_id, team_id FROM attempt"
                    " WHERE state NOT IN ('SETTLED', 'VOID') ORDER BY admitted_ms, id");
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        if (n == cap) {
            cap = cap * 2 + 64;
            struct ledger_db_running *p = realloc(rows, cap * sizeof(*p));
            if (p == NULL) {
                rc = fail_set(reterr, ERR_ledger_down, NULL, "out of memory");
                break;
            }
            rows = p;
        }
        struct ledger_db_running *r = &rows[n++];
        memset(r, 0, sizeof(*r));
        col_id(s, 0, &r->attempt.id);
        r->attempt.state = parse_state(db_col_text(s, 1));
        r->attempt.admitted_ms = db_col_int(s, 2);
        r->attempt.hold_nusd = db_col_int(s, 3);
        r->key_id = db_col_int(s, 4);
        r->team_id = db_col_int(s, 5);
    }
    sqlite3_reset(s);
    if (rc != 0) {
        free(rows);
        return -1;
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

/* ---- recovery ---- */

static void col_usage(struct sqlite3_stmt *s, int first_col, struct usage *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (!db_col_null(s, first_col + i))
            usage_set(ret, (enum usage_bucket)i, db_col_int(s, first_col + i));
    }
}

static enum ledger_recovery recovery_of(struct sqlite3_stmt *s)
{
    enum ledger_attempt_state state = parse_state(db_col_text(s, 1));
    if (state == LEDGER_HELD)
        return LEDGER_RECOVER_VOID;
    if (db_col_int(s, 2) == 0)
        return LEDGER_RECOVER_HOLD;
    return state == LEDGER_STREAMED && !db_col_null(s, 6) ? LEDGER_RECOVER_CHECKPOINT
                                                          : LEDGER_RECOVER_PROMPT;
}

/* What the provider itself had counted by the last checkpoint: true also above the hold. */
static int64_t counted_pusd(struct sqlite3_stmt *s)
{
    enum usage_source source;
    bool counted = !db_col_null(s, 6) && usage_source_parse(db_col_text(s, 17), &source) &&
                   source == USAGE_PARTIAL;
    return counted ? db_col_int(s, 6) : 0;
}

/* Columns: see ledger_db_recover. */
static void fill_recovery(struct sqlite3_stmt *s, struct ledger_op *op, enum ledger_recovery how)
{
    struct ledger_settle *t = &op->u.settle;
    op->kind = how == LEDGER_RECOVER_VOID ? LEDGER_VOID : LEDGER_SETTLE;
    col_id(s, 0, &op->request_id);
    col_usage(s, 10, &t->usage);
    t->source = USAGE_ESTIMATED;
    if (how == LEDGER_RECOVER_CHECKPOINT) {
        if (!usage_source_parse(db_col_text(s, 17), &t->source))
            t->source = USAGE_PARTIAL;
        t->cost_pusd = db_col_int(s, 6);
    } else if (how == LEDGER_RECOVER_PROMPT) {
        usage_set(&t->usage, USAGE_input_tok, db_col_int(s, 4));
        t->cost_pusd = db_col_int(s, 5) * 1000;
    } else if (how == LEDGER_RECOVER_HOLD) {
        t->cost_pusd = db_col_int(s, 3) * 1000;
        if (counted_pusd(s) > t->cost_pusd) {
            t->source = USAGE_PARTIAL;
            t->cost_pusd = counted_pusd(s);
        }
    }
    t->http_status = (int)col_or(s, 7, 0);
    t->first_byte_ms = col_or(s, 8, -1);
    t->duration_ms = -1;
    memcpy(t->end_reason, "crash", sizeof("crash"));
    col_text(s, 9, t->provider_request_id, sizeof(t->provider_request_id));
    col_text(s, 16, t->iterations, sizeof(t->iterations));
}

int ledger_db_recover(struct db *db, const struct id *attempt_id, int64_t now_ms,
                      struct ledger_op *op, enum ledger_recovery *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT request_id, state, cancel_stops_billing, hold_nusd, prompt_estimate_tok,"
            " prompt_estimate_nusd, cost_pusd, http_status, first_byte_ms, provider_request_id,"
            " input_tok, output_tok, cache_read_tok, cache_write_5m_tok, cache_write_1h_tok,"
            " web_searches, iterations, usage_source FROM attempt WHERE id = ?1");
    bind_id(s, 1, attempt_id);
    int rc = db_step(db, s, reterr);
    assert(rc != 0);
    if (rc < 0)
        return -1;
    memset(op, 0, sizeof(*op));
    op->attempt_id = *attempt_id;
    op->u.settle.now_ms = now_ms;
    *ret = recovery_of(s);
    fill_recovery(s, op, *ret);
    sqlite3_reset(s);
    return 0;
}

enum ledger_write ledger_db_close_requests(struct db *db, int64_t now_ms, int *ret_n,
                                           struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE request SET status = 'error', ended_ms = ?1"
                                         " WHERE status = 'running'");
    db_bind_int(s, 1, now_ms);
    enum ledger_write w = run(db, s, reterr);
    if (w == LEDGER_WROTE)
        *ret_n = db_changes(db);
    return w;
}
