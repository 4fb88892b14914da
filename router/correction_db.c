/* What may be corrected, and the rows of a correction. */
#include "router/correction.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/budget_db.h"
#include "router/catalog_db.h"
#include "router/rollup_db.h"

void correction_list_done(struct correction_list *l)
{
    while (l->prices != NULL) {
        struct correction_price *p = l->prices;
        l->prices = p->next;
        free(p);
    }
    free(l->rows);
    *l = (struct correction_list){0};
}

/* ---- reading ---- */

/* *ret NULL: there is no such version. */
static int find_price(struct db *db, struct correction_list *l, int64_t version,
                      const struct price **ret, struct fail *reterr)
{
    struct fail why;
    *ret = NULL;
    for (struct correction_price *p = l->prices; p != NULL; p = p->next) {
        if (p->version == version) {
            *ret = &p->price;
            return 0;
        }
    }
    struct correction_price *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    p->version = version;
    if (catalog_db_price(db, version, &p->price, &why) != 0) {
        free(p);
        return why.code == ERR_not_found ? 0 : fail_set(reterr, why.code, NULL, "%s", why.text);
    }
    p->next = l->prices;
    l->prices = p;
    *ret = &p->price;
    return 0;
}

static struct correction *add_row(struct correction_list *l)
{
    if (l->n == l->cap) {
        size_t cap = l->cap * 2 + 64;
        struct correction *p = realloc(l->rows, cap * sizeof(*p));
        if (p == NULL)
            return NULL;
        l->rows = p;
        l->cap = cap;
    }
    struct correction *c = &l->rows[l->n++];
    memset(c, 0, sizeof(*c));
    return c;
}

enum {
    COL_ID,
    COL_UPSTREAM,
    COL_SOURCE,
    COL_INNER,
    COL_HOLD,
    COL_IMAGES,
    COL_VERSION,
    COL_CORRECTIONS,
    COL_CHARGE,
    COL_TOKENS
};

#define EARLIER(what) "(SELECT " what " FROM correction c WHERE c.attempt_id = a.id)"
#define BUCKET(member, json)                                                                       \
    ", coalesce(a." #member ", 0) + coalesce(" EARLIER("sum(c." #member ")") ", 0)"

static int read_attempt(struct db *db, struct sqlite3_stmt *s, size_t group,
                        struct correction_list *l, struct fail *reterr)
{
    struct correction *c = add_row(l);
    size_t n;
    if (c == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    const void *id = db_col_blob(s, COL_ID, &n);
    assert(n == sizeof(c->attempt_id.b));
    memcpy(c->attempt_id.b, id, n);
    c->group = group;
    bool known = usage_source_parse(db_col_text(s, COL_SOURCE), &c->source);
    assert(known);
    c->has_inner = db_col_int(s, COL_INNER) != 0;
    c->hold_nusd = db_col_int(s, COL_HOLD);
    c->n_images = (int)db_col_int(s, COL_IMAGES);
    c->n = (int)db_col_int(s, COL_CORRECTIONS) + 1;
    c->charge_nusd = db_col_int(s, COL_CHARGE);
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        c->tok[b] = db_col_int(s, COL_TOKENS + b);
    return find_price(db, l, db_col_int(s, COL_VERSION), &c->price, reterr);
}

int correction_db_attempts(struct db *db, const char *provider, int64_t day, correction_group group,
                           void *ctx, struct correction_list *l, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT a.id, a.upstream_model, a.usage_source, a.iterations IS NOT NULL,"
            " a.hold_nusd, a.n_images, coalesce(a.billed_price, a.price_version), " EARLIER(
                "count(*)") ", a.charge_nusd + "
                            "coalesce(" EARLIER("sum("
                                                "c."
                                                "char"
                                                "ge_"
                                                "nusd"
                                                ")") ", 0)" USAGE_BUCKETS(BUCKET) " FROM "
                                                                                  "attempt a "
                                                                                  "WHERE "
                                                                                  "a.key_id IN "
                                                                                  "(SELECT id "
                                                                                  "FROM "
                                                                                  "api_key)"
                                                                                  " AND "
                                                                                  "a.admitted_"
                                                                                  "ms >= ?1 "
                                                                                  "AND "
                                                                                  "a.admitted_"
                                                                                  "ms < ?2"
                                                                                  " AND "
                                                                                  "a.state = "
                                                                                  "'SETTLED' "
                                                                                  "AND "
                                                                                  "a.usage_"
                                                                                  "source IN"
                                                                                  " ('"
                                                                                  "estimated', "
                                                                                  "'partial') "
                                                                                  "AND "
                                                                                  "(a.provider "
                                                                                  "= ?3"
                                                                                  " OR "
                                                                                  "substr(a."
                                                                                  "provider, "
                                                                                  "1, "
                                                                                  "length(?3) "
                                                                                  "+ 1) = ?3 "
                                                                                  "|| '/')"
                                                                                  " ORDER BY "
                                                                                  "a.admitted_"
                                                                                  "ms, a.id");
    int rc, done = 0;
    db_bind_int(s, 1, day * ROLLUP_DAY_MS);
    db_bind_int(s, 2, (day + 1) * ROLLUP_DAY_MS);
    db_bind_text(s, 3, provider);
    while (done == 0 && (rc = db_step(db, s, reterr)) == 1) {
        size_t g = group(ctx, db_col_text(s, COL_UPSTREAM));
        if (g != SIZE_MAX)
            done = read_attempt(db, s, g, l, reterr);
    }
    sqlite3_reset(s);
    return done != 0 ? done : rc;
}

int correction_db_day_is_open(struct db *db, int64_t day, int64_t now_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT (SELECT pruned_day FROM rollup) <= ?1 AND NOT EXISTS (SELECT 1 FROM"
                    " attempt WHERE state NOT IN ('SETTLED', 'VOID') AND admitted_ms >= ?2"
                    " AND admitted_ms < ?3)");
    db_bind_int(s, 1, day);
    db_bind_int(s, 2, day * ROLLUP_DAY_MS);
    db_bind_int(s, 3, (day + 1) * ROLLUP_DAY_MS);
    int rc = db_step(db, s, reterr);
    int open = rc == 1 ? (int)db_col_int(s, 0) : -1;
    sqlite3_reset(s);
    return open == 1 && now_ms < (day + 1) * ROLLUP_DAY_MS ? 0 : open;
}

/* ---- writing ---- */

static int write_row(struct db *db, const struct correction *c, int64_t now_ms, struct fail *reterr)
{
#define NAME(member, json) ", " #member
    struct sqlite3_stmt *s = db_stmt(
        db,
        "INSERT INTO correction(attempt_id, n, at_ms, admitted_ms, key_id, team_id,"
        " model, provider, upstream_model, usage_source, experiment, arm,"
        " charge_nusd" USAGE_BUCKETS(
            NAME) ") SELECT a.id, ?2, ?3, a.admitted_ms, a.key_id, a.team_id, a.model,"
                  " a.provider, a.upstream_model, a.usage_source,"
                  " coalesce(r.experiment, ''), coalesce(r.arm, ''), ?4, ?5, ?6, ?7,"
                  " ?8, ?9, ?10, ?11, ?12, ?13 FROM attempt a JOIN request r ON r.id = a.request_id"
                  " WHERE a.id = ?1 AND a.state = 'SETTLED'"
                  " ON CONFLICT(attempt_id, n) DO NOTHING");
#undef NAME
    db_bind_blob(s, 1, c->attempt_id.b, sizeof(c->attempt_id.b));
    db_bind_int(s, 2, c->n);
    db_bind_int(s, 3, now_ms);
    db_bind_int(s, 4, c->add_nusd);
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        db_bind_int(s, 5 + b, c->add_tok[b]);
    if (identity_db_run(db, s, reterr) != 0)
        return -1;
    if (db_changes(db) == 1)
        return 0;
    return fail_set(reterr, ERR_ledger_down, NULL,
                    "an attempt was corrected or deleted by somebody else meanwhile; run it again");
}

static int write_entry(struct db *db, const struct correction *c, int64_t now_ms,
                       struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "INSERT INTO entry(attempt_id, kind, n, amount_nusd,"
                                         " at_ms) VALUES (?1, 'correction', ?2, ?3, ?4)");
    db_bind_blob(s, 1, c->attempt_id.b, sizeof(c->attempt_id.b));
    db_bind_int(s, 2, c->n);
    db_bind_int(s, 3, c->add_nusd);
    db_bind_int(s, 4, now_ms);
    return identity_db_run(db, s, reterr);
}

/* Two statements: each finds its accounts by the unique index. */
#define MOVE(scope, column)                                                                        \
    "UPDATE account SET posted_nusd = posted_nusd + ?2, corrected_nusd = corrected_nusd + ?2,"     \
    " overrun_nusd = max(overrun_nusd, coalesce(posted_nusd + ?2 + pending_nusd - cap_nusd, 0))"   \
    " WHERE scope = '" scope "' AND owner_id = (SELECT " column " FROM attempt WHERE id = ?1)"     \
    " AND start_ms <= (SELECT admitted_ms FROM attempt WHERE id = ?1)"                             \
    " AND end_ms > (SELECT admitted_ms FROM attempt WHERE id = ?1)"

static int move_balances(struct db *db, const struct correction *c, struct fail *reterr)
{
    struct sqlite3_stmt *s[2] = {db_stmt(db, MOVE("key", "key_id")),
                                 db_stmt(db, MOVE("team", "team_id"))};
    for (int i = 0; i < 2; i++) {
        db_bind_blob(s[i], 1, c->attempt_id.b, sizeof(c->attempt_id.b));
        db_bind_int(s[i], 2, c->add_nusd);
        if (identity_db_run(db, s[i], reterr) != 0)
            return -1;
    }
    return 0;
}

int correction_db_write(struct db *db, const struct correction *c, int64_t now_ms,
                        struct fail *reterr)
{
    assert(!correction_is_empty(c));
    return write_row(db, c, now_ms, reterr) != 0 || write_entry(db, c, now_ms, reterr) != 0 ||
                   move_balances(db, c, reterr) != 0
               ? -1
               : 0;
}
