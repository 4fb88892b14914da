/* `ledger verify`: every accounting invariant that the tables can show, as a question whose
 * answer must be empty.  Numbers are those of docs/architecture.md "Money". */
#include "router/usage_db.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "router/catalog_db.h"

enum { DETAILS_MAX = 20 };

#define ATT "'att_' || lower(hex(a.id))"
#define OPEN "a.state NOT IN ('SETTLED', 'VOID')"
#define ACCOUNT "c.scope || ' ' || c.owner_id || ' ' || c.window || ' from ' || c.start_ms || ' ms'"
/* The attempts that count in account c. */
#define IN_ACCOUNT                                                                                 \
    " a.admitted_ms >= c.start_ms AND a.admitted_ms < c.end_ms AND a.key_id IN"                    \
    " (SELECT k.id FROM api_key k WHERE CASE c.scope WHEN 'key' THEN k.id ELSE k.team_id END"      \
    " = c.owner_id)"
/* Detail of days before this may be gone: their sums are in usage_day (rollup_db.h). */
#define PRUNED_DAY "(SELECT pruned_day FROM rollup)"
#define PRUNED_MS "(SELECT pruned_day * 86400000 FROM rollup)"
/* A window that began before that cannot be counted any more. */
#define COUNTABLE "(c.window = 'total' OR c.start_ms >= " PRUNED_MS ")"
#define POSTED                                                                                     \
    "(SELECT coalesce(sum(e.amount_nusd), 0) FROM attempt a JOIN entry e ON e.attempt_id = a.id"   \
    " AND e.kind IN ('post', 'correction') WHERE a.admitted_ms >= " PRUNED_MS " AND" IN_ACCOUNT    \
    ") + (SELECT coalesce(sum(a.charge_nusd), 0) FROM (SELECT key_id, charge_nusd,"                \
    " day * 86400000 AS admitted_ms FROM usage_day WHERE day < " PRUNED_DAY                        \
    " UNION ALL SELECT key_id, charge_nusd, admitted_ms FROM correction WHERE admitted_ms "        \
    "< " PRUNED_MS ") a WHERE c.window = 'total' AND" IN_ACCOUNT ")"
#define PENDING                                                                                    \
    "(SELECT coalesce(sum(a.hold_nusd), 0) FROM attempt a INDEXED BY attempt_open WHERE " OPEN     \
    " AND" IN_ACCOUNT ")"

#define BELOW_ZERO(member, json) " OR coalesce(a." #member ", 0) + sum(c." #member ") < 0"

/* Each row of an answer is one violation: its text. */
static const struct check {
    const char *invariant, *sql;
} checks[] = {
    {"I1", "SELECT 'number ' || n || ' of request gen_' || lower(hex(request_id)) ||"
           " ' is there ' || count(*) || ' times' FROM attempt"
           " GROUP BY request_id, n HAVING count(*) > 1"},
    {"I2", "WITH x AS MATERIALIZED (SELECT " ACCOUNT " || ': posted ' || c.posted_nusd ||"
           " ' nano-USD, its entries say ' AS text, c.posted_nusd AS posted, " POSTED
           " AS said FROM account c WHERE " COUNTABLE
           ") SELECT text || said FROM x WHERE posted <> said"},
    {"I2", "WITH x AS MATERIALIZED (SELECT " ACCOUNT " || ': pending ' || c.pending_nusd ||"
           " ' nano-USD, its running attempts hold ' AS text, c.pending_nusd AS pending, " PENDING
           " AS said FROM account c) SELECT text || said FROM x WHERE pending <> said"},
    {"I2", "SELECT " ATT " || ' has no hold entries of its amount' FROM attempt a"
           " WHERE a.hold_nusd IS NOT (SELECT sum(e.amount_nusd) FROM entry e"
           " WHERE e.attempt_id = a.id AND e.kind IN ('hold', 'extend'))"},
    {"I3", "SELECT " ACCOUNT " || ': ' || (c.posted_nusd + c.pending_nusd) || ' nano-USD is above"
           " the cap of ' || c.cap_nusd || ' and the overrun of ' || c.overrun_nusd"
           " FROM account c WHERE c.cap_nusd IS NOT NULL"
           " AND c.posted_nusd + c.pending_nusd > c.cap_nusd + c.overrun_nusd"},
    {"I4", "SELECT s.scope || ' ' || s.id || ' has attempts and no total account' FROM"
           " (SELECT DISTINCT 'key' AS scope, key_id AS id FROM attempt"
           " UNION SELECT DISTINCT 'team', team_id FROM attempt) s"
           " LEFT JOIN account c ON c.scope = s.scope AND c.owner_id = s.id"
           " AND c.window = 'total' WHERE c.id IS NULL"},
    {"I5", "SELECT " ATT " || ' is ' || a.state || ' with ' || count(e.kind) || ' end entries'"
           " FROM attempt a LEFT JOIN entry e ON e.attempt_id = a.id"
           " AND e.kind IN ('post', 'release') GROUP BY a.id"
           " HAVING count(e.kind) <> (a.state IN ('SETTLED', 'VOID'))"},
    {"I6", "SELECT " ATT " || ' is ' || a.state || ', its ' || e.kind || ' says ' ||"
           " e.amount_nusd FROM attempt a JOIN entry e ON e.attempt_id = a.id WHERE"
           " (e.kind = 'post' AND (a.state <> 'SETTLED' OR e.amount_nusd IS NOT a.charge_nusd)) OR"
           " (e.kind = 'release' AND (a.state <> 'VOID' OR e.amount_nusd <> a.hold_nusd)) OR"
           " (e.kind = 'correction' AND (a.state <> 'SETTLED' OR NOT EXISTS (SELECT 1 FROM"
           " correction c WHERE c.attempt_id = a.id AND c.n = e.n"
           " AND c.charge_nusd = e.amount_nusd)))"},
    {"I6", "SELECT 'correction ' || c.n || ' of att_' || lower(hex(c.attempt_id)) || ' of ' ||"
           " c.charge_nusd || ' nano-USD is not in the journal' FROM correction c"
           " WHERE c.admitted_ms >= " PRUNED_MS " AND c.charge_nusd IS NOT (SELECT e.amount_nusd"
           " FROM entry e WHERE e.attempt_id = c.attempt_id AND e.kind = 'correction'"
           " AND e.n = c.n)"},
    {"I6", "SELECT " ATT " || ' is corrected to less than nothing' FROM correction c"
           " JOIN attempt a ON a.id = c.attempt_id GROUP BY a.id"
           " HAVING a.charge_nusd + sum(c.charge_nusd) < 0" USAGE_BUCKETS(BELOW_ZERO)},
    {"I7", "SELECT 'a trigger that protects the journal is missing' FROM"
           " (SELECT count(*) AS n FROM sqlite_schema WHERE type = 'trigger' AND name IN"
           " ('attempt_ends_once', 'attempt_facts', 'attempt_hold_grows', 'attempt_stays',"
           " 'entry_keeps', 'entry_stays', 'account_grows', 'rollup_advances', 'rollup_stays',"
           " 'usage_day_grows', 'usage_day_is_over', 'usage_day_stays', 'correction_keeps',"
           " 'correction_stays')) WHERE n <> 14"},
    {"I8", "SELECT " ATT " || ' runs, but its process is gone' FROM attempt a WHERE " OPEN
           " AND a.boot_id <> (SELECT b.boot_id FROM attempt b WHERE b.state NOT IN"
           " ('SETTLED', 'VOID') ORDER BY b.admitted_ms DESC, b.id DESC LIMIT 1)"},
    {"I9", "SELECT " ATT " || ' was sent before its hold was written' FROM attempt a"
           " LEFT JOIN entry e ON e.attempt_id = a.id AND e.kind = 'hold'"
           " WHERE a.state IN ('SENT', 'STREAMING', 'SETTLED')"
           " AND (a.sent_ms IS NULL OR e.kind IS NULL)"},
    {"I10", "SELECT " ATT " || ' is settled without a source of its usage' FROM attempt a"
            " WHERE a.state = 'SETTLED' AND (a.usage_source IS NULL OR a.usage_source = 'final'"
            " AND coalesce(a.input_tok, a.output_tok, a.cache_read_tok, a.cache_write_5m_tok,"
            " a.cache_write_1h_tok, a.web_searches) IS NULL)"},
    {"I11", "SELECT " ATT " || ': charged ' || a.charge_nusd || ' nano-USD for a cost of ' ||"
            " a.cost_pusd || ' pico-USD' FROM attempt a WHERE a.state = 'SETTLED'"
            " AND a.charge_nusd <> a.cost_pusd / 1000 + (a.cost_pusd % 1000 > 0)"},
    {"I13", "SELECT " ACCOUNT " || ' is ' || (c.end_ms - c.start_ms) || ' ms long'"
            " FROM account c WHERE c.window <> 'total' AND c.end_ms - c.start_ms NOT BETWEEN"
            " CASE c.window WHEN 'day' THEN 20 WHEN 'week' THEN 5 * 24 ELSE 26 * 24 END * 3600000"
            " AND"
            " CASE c.window WHEN 'day' THEN 28 WHEN 'week' THEN 8 * 24 ELSE 32 * 24 END * 3600000"},
    {"I14", "SELECT " ATT " || ' is not of the key or the team of its request' FROM attempt a"
            " JOIN request r ON r.id = a.request_id JOIN api_key k ON k.id = a.key_id"
            " WHERE a.key_id <> r.key_id OR a.team_id <> r.team_id OR a.team_id <> k.team_id"},
    {"I18", "SELECT " ATT " || ' was recovered, and its usage is said to be ' || a.usage_source"
            " FROM attempt a WHERE a.end_reason = 'crash' AND a.state = 'SETTLED'"
            " AND a.usage_source NOT IN ('partial', 'estimated', 'reconciled')"},
    {"I19",
     "SELECT c.scope || ' ' || c.owner_id || ': ' || sum(c.posted_nusd) ||"
     " ' nano-USD posted to its keys, ' || t.posted_nusd || ' to the team'"
     " FROM (SELECT k.team_id AS owner_id, 'team' AS scope, x.posted_nusd FROM account x"
     " JOIN api_key k ON k.id = x.owner_id WHERE x.scope = 'key' AND x.window = 'total') c"
     " JOIN account t ON t.scope = 'team' AND t.owner_id = c.owner_id"
     " AND t.window = 'total' GROUP BY c.owner_id HAVING sum(c.posted_nusd) <> t.posted_nusd"},
    {"I19",
     "SELECT 'key ' || key_id || ': the sums by day differ from its attempts by ' || n ||"
     " ' attempts, ' || nusd || ' nano-USD' FROM (SELECT key_id, sum(n) AS n, sum(nusd) AS nusd"
     " FROM (SELECT key_id, attempts AS n, charge_nusd AS nusd FROM usage_day WHERE day "
     ">= " PRUNED_DAY " UNION ALL SELECT key_id, -1, -coalesce(charge_nusd, 0) FROM attempt WHERE"
     " key_id IN (SELECT id FROM api_key) AND admitted_ms >= " PRUNED_MS
     " AND admitted_ms < (SELECT summed_ms FROM rollup) AND state <> 'VOID'"
     " AND sent_ms IS NOT NULL) GROUP BY key_id) WHERE n <> 0 OR nusd <> 0"},
    {"I19", "SELECT " ATT " || ' runs, and is said to be summed up' FROM attempt a WHERE " OPEN
            " AND a.admitted_ms < (SELECT summed_ms FROM rollup)"},
    {"database", "SELECT * FROM pragma_quick_check WHERE quick_check <> 'ok'"},
    {"database", "SELECT \"table\" || ' refers to a missing row of ' || parent"
                 " FROM pragma_foreign_key_check"},
};

static const struct count {
    const char *name, *sql;
} counts[] = {
    {"requests", "SELECT count(*) FROM request"},
    {"attempts", "SELECT count(*) FROM attempt"},
    {"entries", "SELECT count(*) FROM entry"},
    {"accounts", "SELECT count(*) FROM account"},
};

struct audit {
    struct db *db;
    struct json_object *violations;
    int64_t repriced;
    struct price_pins pins;
};

static void add_violation(struct audit *a, const char *invariant, const char *detail)
{
    struct json_object *v = json_object_new_object();
    json_object_object_add(v, "invariant", json_object_new_string(invariant));
    json_object_object_add(v, "detail", json_object_new_string(detail));
    json_object_array_add(a->violations, v);
}

static int run_check(struct audit *a, const struct check *c, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(a->db, c->sql);
    int rc, n = 0;
    db_long_step(a->db, true);
    while ((rc = db_step(a->db, s, reterr)) == 1) {
        if (++n <= DETAILS_MAX)
            add_violation(a, c->invariant, db_col_text(s, 0));
    }
    db_long_step(a->db, false);
    if (n > DETAILS_MAX) {
        char more[64];
        snprintf(more, sizeof(more), "and %d more", n - DETAILS_MAX);
        add_violation(a, c->invariant, more);
    }
    return rc;
}

/* ---- I11, second half: the cost again from tokens and the pinned price ---- */

/* Columns: id as text, price_version, n_images, cost_pusd, then the buckets. */
static int reprice(struct audit *a, struct sqlite3_stmt *s, struct fail *reterr)
{
    char detail[256];
    int rc;
    const struct price *p = catalog_db_pinned(a->db, &a->pins, db_col_int(s, 1), &rc, reterr);
    if (p == NULL && rc == 0) {
        snprintf(detail, sizeof(detail), "%s: there is no price version %lld", db_col_text(s, 0),
                 (long long)db_col_int(s, 1));
        add_violation(a, "I11", detail);
    }
    if (p == NULL)
        return rc;
    struct usage u = {.seen = 0};
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (!db_col_null(s, 4 + i))
            usage_set(&u, (enum usage_bucket)i, db_col_int(s, 4 + i));
    }
    int64_t pusd = -1;
    a->repriced++;
    if (price_usage(p, &u, (int)db_col_int(s, 2), true, &pusd) && pusd == db_col_int(s, 3))
        return 0;
    snprintf(detail, sizeof(detail), "%s: cost %lld pico-USD, its tokens at price %lld give %lld",
             db_col_text(s, 0), (long long)db_col_int(s, 3), (long long)db_col_int(s, 1),
             (long long)pusd);
    add_violation(a, "I11", detail);
    return 0;
}

/* Estimates are not made of tokens alone, and inner calls have prices of their own. */
static int reprice_all(struct audit *a, struct fail *reterr)
{
#define USAGE(member, json) ", a." #member
    struct sqlite3_stmt *s = db_stmt(
        a->db, "SELECT " ATT ", coalesce(a.billed_price, a.price_version), a.n_images,"
               " a.cost_pusd" USAGE_BUCKETS(
                   USAGE) " FROM attempt a WHERE a.state = 'SETTLED' AND a.iterations IS NULL"
                          " AND a.usage_source IN ('final', 'partial') AND a.price_version <> 0");
#undef USAGE
    int rc;
    while ((rc = db_step(a->db, s, reterr)) == 1) {
        if (json_object_array_length(a->violations) >= 10 * DETAILS_MAX)
            break;
        if (reprice(a, s, reterr) != 0) {
            rc = -1;
            break;
        }
    }
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

/* ---- one account ---- */

int audit_db_account(struct db *db, int64_t row, audit_fn fn, void *ctx, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db,
        "SELECT * FROM (SELECT " ACCOUNT " || ': posted ' || c.posted_nusd ||"
        " ' and pending ' || c.pending_nusd || ' nano-USD, its attempts say ' || (" POSTED
        ") || ' and ' || " PENDING " AS detail, " COUNTABLE " AND c.posted_nusd <> " POSTED
        " OR c.pending_nusd <> " PENDING " AS wrong FROM account c WHERE c.id = ?1) WHERE wrong");
    db_bind_int(s, 1, row);
    int rc = db_step(db, s, reterr);
    if (rc == 1)
        fn(ctx, "I2", db_col_text(s, 0));
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

/* ---- the report ---- */

static int count_rows(struct audit *a, struct json_object *checked, struct fail *reterr)
{
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct sqlite3_stmt *s = db_stmt(a->db, counts[i].sql);
        if (db_step(a->db, s, reterr) != 1)
            return -1;
        json_object_object_add(checked, counts[i].name, json_object_new_int64(db_col_int(s, 0)));
        sqlite3_reset(s);
    }
    json_object_object_add(checked, "repriced", json_object_new_int64(a->repriced));
    return 0;
}

static int run_checks(struct audit *a, struct json_object *checked, struct fail *reterr)
{
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (run_check(a, &checks[i], reterr) != 0)
            return -1;
    }
    if (reprice_all(a, reterr) != 0)
        return -1;
    return count_rows(a, checked, reterr);
}

int audit_db_verify(struct db *db, struct json_object **ret, struct fail *reterr)
{
    struct audit *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    a->db = db;
    a->violations = json_object_new_array();
    struct json_object *report = json_object_new_object(), *checked = json_object_new_object();
    bool own;
    int rc = db_snapshot(db, &own, reterr);
    if (rc == 0)
        rc = run_checks(a, checked, reterr);
    db_snapshot_end(db, own);
    json_object_object_add(report, "ok",
                           json_object_new_boolean(json_object_array_length(a->violations) == 0));
    json_object_object_add(report, "violations", a->violations);
    json_object_object_add(report, "checked", checked);
    free(a);
    if (rc == 0)
        *ret = report;
    else
        json_object_put(report);
    return rc;
}
