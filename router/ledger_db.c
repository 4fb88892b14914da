/* Rows of request, attempt, entry and account. */
#include "router/ledger_db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/rows_db.h"
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

static void bind_id(struct sqlite3_stmt *s, int i, const struct id *id)
{
    db_bind_blob(s, i, id->b, sizeof(id->b));
}

static int64_t col_or(struct sqlite3_stmt *s, int col, int64_t missing)
{
    return db_col_null(s, col) ? missing : db_col_int(s, col);
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
    db_col_copy(s, 0, o->name, sizeof(o->name));
    db_col_copy(s, 1, ret_zone, ZONE_NAME_MAX);
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

static void on_write(void *changed, int what, const char *schema, const char *table,
                     sqlite3_int64 row)
{
    static const char *const watched[] = {"team", "api_key", "budget"};
    (void)what;
    (void)schema;
    (void)row;
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
        if (strcmp(table, watched[i]) == 0)
            *(bool *)changed = true;
    }
}

void ledger_db_watch_owners(struct db *db, bool *changed)
{
    sqlite3_update_hook(db_handle(db), changed != NULL ? on_write : NULL, changed);
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

/* ---- operations as rows ---- */

static void cell_id(struct sqlite3_context *c, const struct id *id)
{
    sqlite3_result_blob(c, id->b, sizeof(id->b), SQLITE_STATIC);
}

static void cell_text(struct sqlite3_context *c, const char *v)
{
    sqlite3_result_text(c, v, -1, SQLITE_STATIC);
}

static void cell_word(struct sqlite3_context *c, const char *v)
{
    if (v[0] != '\0')
        cell_text(c, v);
}

static void cell_int(struct sqlite3_context *c, int64_t v)
{
    sqlite3_result_int64(c, v);
}

static void cell_known(struct sqlite3_context *c, int64_t v, bool known)
{
    if (known)
        cell_int(c, v);
}

/* Columns as X(name, statement that gives its value). */
#define COLUMN_NAME(name, value) ", " #name
#define COLUMN_CASE(name, value)                                                                   \
    case COLUMN_##name:                                                                            \
        value;                                                                                     \
        return;
#define COLUMN_ENUM(name, value) COLUMN_##name,

static int by_attempt(const void *a, const void *b)
{
    const struct ledger_op *const *x = a, *const *y = b;
    return memcmp(&(*x)->attempt_id, &(*y)->attempt_id, sizeof(struct id));
}

static int by_request(const void *a, const void *b)
{
    const struct ledger_op *const *x = a, *const *y = b;
    return memcmp(&(*x)->request_id, &(*y)->request_id, sizeof(struct id));
}

/* ---- hold ---- */

#define HOLD_COLUMNS(X)                                                                            \
    X(attempt_id, cell_id(c, &op->attempt_id))                                                     \
    X(request_id, cell_id(c, &op->request_id))                                                     \
    X(n, cell_int(c, h->n))                                                                        \
    X(team_id, cell_int(c, h->team_id))                                                            \
    X(key_id, cell_int(c, h->key_id))                                                              \
    X(now_ms, cell_int(c, h->now_ms))                                                              \
    X(admitted_ms, cell_int(c, h->admitted_ms))                                                    \
    X(amount_nusd, cell_int(c, h->amount_nusd))                                                    \
    X(endpoint_id, cell_int(c, h->endpoint_id))                                                    \
    X(price_version, cell_int(c, h->price_version))                                                \
    X(cancel_stops_billing, cell_int(c, h->cancel_stops_billing))                                  \
    X(prompt_estimate_tok, cell_int(c, h->prompt_estimate_tok))                                    \
    X(prompt_estimate_nusd, cell_int(c, h->prompt_estimate_nusd))                                  \
    X(prompt_class, cell_known(c, h->prompt_class - 1, h->prompt_class > 0))                       \
    X(n_images, cell_int(c, h->n_images))                                                          \
    X(model, cell_text(c, h->model))                                                               \
    X(provider, cell_text(c, h->provider))                                                         \
    X(upstream_model, cell_text(c, h->upstream_model))                                             \
    X(created_ms, cell_int(c, r->created_ms))                                                      \
    X(stream, cell_int(c, r->stream))                                                              \
    X(requested_model, cell_text(c, r->requested_model))                                           \
    X(door, cell_text(c, r->door))                                                                 \
    X(experiment, cell_word(c, r->experiment))                                                     \
    X(arm, cell_word(c, r->arm))                                                                   \
    X(unit, cell_known(c, r->unit, r->experiment[0] != '\0'))

static void hold_cell(struct sqlite3_context *c, const void *all, int i, int column)
{
    const struct ledger_op *op = ((const struct ledger_op *const *)all)[i];
    const struct ledger_hold *h = &op->u.hold;
    const struct ledger_request *r = &h->request;
    enum { HOLD_COLUMNS(COLUMN_ENUM) };
    switch (column) {
        HOLD_COLUMNS(COLUMN_CASE)
    }
}

static const struct rows_kind hold_rows = {
    "ledger_hold", "CREATE TABLE x(rows HIDDEN" HOLD_COLUMNS(COLUMN_NAME) ")", hold_cell};

static enum ledger_write insert_requests(struct db *db, const struct rows *holds,
                                         struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door,"
            " experiment, arm, unit) SELECT request_id, created_ms, team_id, key_id, stream,"
            " requested_model, door, experiment, arm, unit FROM ledger_hold(?1)"
            " WHERE true ON CONFLICT(id) DO NOTHING");
    rows_db_bind(s, 1, holds);
    return run(db, s, reterr);
}

/* The prompt's estimate: a part of the worst case, which has been found to be sane. */
static enum ledger_write insert_attempts(struct db *db, const struct rows *holds,
                                         const struct id *boot, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "INSERT INTO attempt(id, request_id, n, team_id, key_id, boot_id, state, admitted_ms,"
            " endpoint_id, price_version, model, provider, upstream_model, cancel_stops_billing,"
            " prompt_estimate_tok, prompt_estimate_nusd, n_images, hold_nusd, sent_ms,"
            " prompt_class) SELECT attempt_id, request_id, n, team_id, key_id, ?2, 'SENT',"
            " admitted_ms, endpoint_id, price_version, model, provider, upstream_model,"
            " cancel_stops_billing, prompt_estimate_tok, min(prompt_estimate_nusd, amount_nusd),"
            " n_images, amount_nusd, now_ms, prompt_class FROM ledger_hold(?1)");
    rows_db_bind(s, 1, holds);
    bind_id(s, 2, boot);
    return run(db, s, reterr);
}

static enum ledger_write insert_holds(struct db *db, const struct rows *holds, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO entry(attempt_id, kind, amount_nusd, at_ms)"
                    " SELECT attempt_id, 'hold', amount_nusd, admitted_ms FROM ledger_hold(?1)");
    rows_db_bind(s, 1, holds);
    return run(db, s, reterr);
}

enum ledger_write ledger_db_holds(struct db *db, const struct ledger_op **ops, int n,
                                  const struct id *boot, struct fail *reterr)
{
    const struct rows holds = {ops, n};
    qsort(ops, (size_t)n, sizeof(struct ledger_op *), by_request);
    enum ledger_write w = insert_requests(db, &holds, reterr);
    qsort(ops, (size_t)n, sizeof(struct ledger_op *), by_attempt);
    if (w == LEDGER_WROTE)
        w = insert_attempts(db, &holds, boot, reterr);
    if (w == LEDGER_WROTE)
        w = insert_holds(db, &holds, reterr);
    for (int i = 0; i < n && w == LEDGER_WROTE; i++) {
        if (ops[i]->u.hold.request.idempotency.given)
            w = idempotency_db_claim(db, ops[i], reterr);
    }
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

static const char *state_of(const struct ledger_op *op)
{
    return op->kind == LEDGER_VOID ? "VOID" : op->kind == LEDGER_SETTLE ? "SETTLED" : "STREAMING";
}

#define SETTLE_COLUMNS(X)                                                                          \
    X(attempt_id, cell_id(c, &op->attempt_id))                                                     \
    X(state, cell_text(c, state_of(op)))                                                           \
    X(input_tok, cell_bucket(c, op, USAGE_input_tok))                                              \
    X(output_tok, cell_bucket(c, op, USAGE_output_tok))                                            \
    X(cache_read_tok, cell_bucket(c, op, USAGE_cache_read_tok))                                    \
    X(cache_write_5m_tok, cell_bucket(c, op, USAGE_cache_write_5m_tok))                            \
    X(cache_write_1h_tok, cell_bucket(c, op, USAGE_cache_write_1h_tok))                            \
    X(web_searches, cell_bucket(c, op, USAGE_web_searches))                                        \
    X(audio_input_tok, cell_bucket(c, op, USAGE_audio_input_tok))                                  \
    X(audio_output_tok, cell_bucket(c, op, USAGE_audio_output_tok))                                \
    X(audio_cache_read_tok, cell_bucket(c, op, USAGE_audio_cache_read_tok))                        \
    X(billed_price, cell_known(c, t->billed_price, t->billed_price > 0))                           \
    X(usage_source, cell_text(c, usage_source_name(is_void ? USAGE_NONE : t->source)))             \
    X(cost_pusd, cell_int(c, is_void ? 0 : t->cost_pusd))                                          \
    X(charge_nusd, cell_known(c, is_void ? 0 : money_charge_nusd(t->cost_pusd), ended))            \
    X(http_status, cell_known(c, t->http_status, t->http_status != 0))                             \
    X(first_byte_ms, cell_known(c, t->first_byte_ms, t->first_byte_ms >= 0))                       \
    X(duration_ms, cell_known(c, t->duration_ms, ended && t->duration_ms >= 0))                    \
    X(end_reason, cell_word(c, t->end_reason))                                                     \
    X(provider_request_id, cell_word(c, t->provider_request_id))                                   \
    X(iterations, cell_word(c, t->iterations))                                                     \
    X(now_ms, cell_int(c, t->now_ms))

/* One that was not stated is NULL. */
static void cell_bucket(struct sqlite3_context *c, const struct ledger_op *op, enum usage_bucket b)
{
    const struct usage *u = &op->u.settle.usage;
    cell_known(c, u->n[b], op->kind != LEDGER_VOID && usage_has(u, b));
}

static void settle_cell(struct sqlite3_context *c, const void *all, int i, int column)
{
    const struct ledger_op *op = ((const struct ledger_op *const *)all)[i];
    const struct ledger_settle *t = &op->u.settle;
    bool is_void = op->kind == LEDGER_VOID, ended = op->kind != LEDGER_STREAMING;
    enum { SETTLE_COLUMNS(COLUMN_ENUM) };
    switch (column) {
        SETTLE_COLUMNS(COLUMN_CASE)
    }
}

static const struct rows_kind settle_rows = {
    "ledger_settle", "CREATE TABLE x(rows HIDDEN" SETTLE_COLUMNS(COLUMN_NAME) ")", settle_cell};

static enum ledger_write update_attempts(struct db *db, const struct rows *settles,
                                         struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "UPDATE attempt SET state = s.state, input_tok = s.input_tok,"
            " output_tok = s.output_tok, cache_read_tok = s.cache_read_tok,"
            " cache_write_5m_tok = s.cache_write_5m_tok,"
            " cache_write_1h_tok = s.cache_write_1h_tok, web_searches = s.web_searches,"
            " audio_input_tok = s.audio_input_tok, audio_output_tok = s.audio_output_tok,"
            " audio_cache_read_tok = s.audio_cache_read_tok, billed_price = s.billed_price,"
            " usage_source = s.usage_source, cost_pusd = s.cost_pusd,"
            " charge_nusd = s.charge_nusd, http_status = s.http_status,"
            " first_byte_ms = s.first_byte_ms, duration_ms = s.duration_ms,"
            " end_reason = s.end_reason, provider_request_id = s.provider_request_id,"
            " iterations = s.iterations FROM ledger_settle(?1) s WHERE attempt.id = s.attempt_id");
    rows_db_bind(s, 1, settles);
    return run(db, s, reterr);
}

static enum ledger_write insert_ends(struct db *db, const struct rows *settles, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO entry(attempt_id, kind, amount_nusd, at_ms)"
                    " SELECT attempt_id, iif(state = 'VOID', 'release', 'post'),"
                    " iif(state = 'VOID', (SELECT a.hold_nusd FROM attempt a"
                    " WHERE a.id = s.attempt_id), charge_nusd), now_ms"
                    " FROM ledger_settle(?1) s WHERE state <> 'STREAMING'");
    rows_db_bind(s, 1, settles);
    return run(db, s, reterr);
}

enum ledger_write ledger_db_settles(struct db *db, const struct ledger_op **ops, int n,
                                    struct fail *reterr)
{
    const struct rows settles = {ops, n};
    qsort(ops, (size_t)n, sizeof(struct ledger_op *), by_attempt);
    for (int i = 1; i < n; i++) /* else it is open which of the two UPDATE ... FROM takes */
        assert(by_attempt(&ops[i - 1], &ops[i]) != 0);
    enum ledger_write w = update_attempts(db, &settles, reterr);
    return w == LEDGER_WROTE ? insert_ends(db, &settles, reterr) : w;
}

int ledger_db_prepare(struct db *db, struct fail *reterr)
{
    return rows_db_declare(db, &hold_rows, reterr) == 0 &&
                   rows_db_declare(db, &settle_rows, reterr) == 0
               ? 0
               : -1;
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

enum { COL_BUCKETS = 13 };
#define BUCKET(member, json) ", " #member

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
    bool counted = !db_col_null(s, 6) && usage_source_parse(db_col_text(s, 11), &source) &&
                   source == USAGE_PARTIAL;
    return counted ? db_col_int(s, 6) : 0;
}

/* Columns: see ledger_db_recover. */
static void fill_recovery(struct sqlite3_stmt *s, struct ledger_op *op, enum ledger_recovery how)
{
    struct ledger_settle *t = &op->u.settle;
    op->kind = how == LEDGER_RECOVER_VOID ? LEDGER_VOID : LEDGER_SETTLE;
    col_id(s, 0, &op->request_id);
    col_usage(s, COL_BUCKETS, &t->usage);
    t->source = USAGE_ESTIMATED;
    if (how == LEDGER_RECOVER_CHECKPOINT) {
        if (!usage_source_parse(db_col_text(s, 11), &t->source))
            t->source = USAGE_PARTIAL;
        t->cost_pusd = db_col_int(s, 6);
        t->billed_price = col_or(s, 12, 0);
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
    db_col_copy(s, 9, t->provider_request_id, sizeof(t->provider_request_id));
    db_col_copy(s, 10, t->iterations, sizeof(t->iterations));
}

int ledger_db_recover(struct db *db, const struct id *attempt_id, int64_t now_ms,
                      struct ledger_op *op, enum ledger_recovery *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT request_id, state, cancel_stops_billing, hold_nusd, prompt_estimate_tok,"
            " prompt_estimate_nusd, cost_pusd, http_status, first_byte_ms, provider_request_id,"
            " iterations, usage_source, billed_price" USAGE_BUCKETS(
                BUCKET) " FROM attempt WHERE id = ?1");
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
