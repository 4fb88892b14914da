/* Rows of idempotency, on the ledger's writing connection and inside its transaction. */
#include "router/ledger_db.h"

#include <string.h>

#include <sqlite3.h>

enum {
    KEPT_MS = 24 * 60 * 60 * 1000,
    PRUNE_MAX = 8 /* rows with each new one: the table shrinks, no transaction is long */
};

/* What is known of the row's request.  It took nothing when each of its attempts was void or
 * answered with an error status: then, and only then, the provider may be asked again. */
#define EARLIER                                                                                    \
    "SELECT i.request_id, i.body_hash = ?3, i.created_ms, r.status,"                               \
    " (SELECT coalesce(sum(charge_nusd), 0) FROM attempt a WHERE a.request_id = i.request_id),"    \
    " (SELECT count(*) FROM attempt a WHERE a.request_id = i.request_id AND NOT"                   \
    "  (state = 'VOID' OR (state = 'SETTLED' AND usage_source = 'none' AND charge_nusd = 0)))"     \
    " FROM idempotency i LEFT JOIN request r ON r.id = i.request_id"                               \
    " WHERE i.key_id = ?1 AND i.key_hash = ?2"

static enum err judge(struct sqlite3_stmt *s, const struct idempotency_earlier *e)
{
    bool same_body = db_col_int(s, 1) != 0, known = !db_col_null(s, 3);
    bool may_be_billed = db_col_int(s, 5) > 0;
    if (!same_body)
        return ERR_idempotency_mismatch;
    if (strcmp(e->status, "running") == 0)
        return ERR_idempotency_running;
    return !known || may_be_billed ? ERR_idempotency_done : ERR_OK;
}

static void bind_hash(struct sqlite3_stmt *s, int i, const uint8_t hash[IDEMPOTENCY_HASH_LEN])
{
    db_bind_blob(s, i, hash, IDEMPOTENCY_HASH_LEN);
}

static void read_earlier(struct sqlite3_stmt *s, struct idempotency_earlier *ret)
{
    size_t n = 0;
    const void *id = db_col_blob(s, 0, &n);
    if (n == sizeof(ret->request_id.b))
        memcpy(ret->request_id.b, id, n);
    struct span status = span_of(db_col_text(s, 3));
    if (status.len < sizeof(ret->status))
        memcpy(ret->status, status.ptr, status.len);
    ret->cost_nusd = db_col_int(s, 4);
}

enum ledger_write idempotency_db_check(struct db *db, const struct ledger_op *op,
                                       struct ledger_answer *answer, struct fail *reterr)
{
    const struct idempotency *i = &op->u.hold.request.idempotency;
    struct idempotency_earlier earlier = {.cost_nusd = 0};
    struct sqlite3_stmt *s = db_stmt(db, EARLIER);
    db_bind_int(s, 1, op->u.hold.key_id);
    bind_hash(s, 2, i->key_hash);
    bind_hash(s, 3, i->body_hash);
    int rc = db_step(db, s, reterr);
    if (rc < 0)
        return ledger_db_trouble(db);
    if (rc == 1) {
        read_earlier(s, &earlier);
        bool expired = db_col_int(s, 2) <= op->u.hold.now_ms - KEPT_MS;
        bool own = memcmp(&earlier.request_id, &op->request_id, sizeof(op->request_id)) == 0;
        answer->code = own || expired ? ERR_OK : judge(s, &earlier);
        answer->earlier = earlier;
        sqlite3_reset(s);
    }
    return LEDGER_WROTE;
}

static enum ledger_write run(struct db *db, struct sqlite3_stmt *s, struct fail *reterr)
{
    if (db_step(db, s, reterr) != 0)
        return ledger_db_trouble(db);
    sqlite3_reset(s);
    return LEDGER_WROTE;
}

static enum ledger_write prune(struct db *db, int64_t now_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "DELETE FROM idempotency WHERE (key_id, key_hash) IN (SELECT key_id, key_hash"
                    " FROM idempotency WHERE created_ms <= ?1 ORDER BY created_ms LIMIT ?2)");
    db_bind_int(s, 1, now_ms - KEPT_MS);
    db_bind_int(s, 2, PRUNE_MAX);
    return run(db, s, reterr);
}

enum ledger_write idempotency_db_claim(struct db *db, const struct ledger_op *op,
                                       struct fail *reterr)
{
    const struct ledger_hold *h = &op->u.hold;
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO idempotency(key_id, key_hash, body_hash, request_id, created_ms)"
                    " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(key_id, key_hash) DO UPDATE SET"
                    " body_hash = ?3, request_id = ?4, created_ms = ?5 WHERE request_id <> ?4");
    db_bind_int(s, 1, h->key_id);
    bind_hash(s, 2, h->request.idempotency.key_hash);
    bind_hash(s, 3, h->request.idempotency.body_hash);
    db_bind_blob(s, 4, op->request_id.b, sizeof(op->request_id.b));
    db_bind_int(s, 5, h->now_ms);
    enum ledger_write w = run(db, s, reterr);
    return w == LEDGER_WROTE ? prune(db, h->now_ms, reterr) : w;
}
