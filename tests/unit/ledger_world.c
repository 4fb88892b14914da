#define _GNU_SOURCE
/* The world of the ledger's tests. */
#include "tests/unit/ledger_world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "router/usage_db.h"

void world_path(char path[WORLD_PATH_MAX])
{
    char dir[] = "/tmp/wayfare-test-XXXXXX";
    assert(mkdtemp(dir) != NULL);
    snprintf(path, WORLD_PATH_MAX, "%s/w.db", dir);
}

void world_remove(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock", ".copy", ".ballast"};
    char name[WORLD_PATH_MAX + 16];
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
    snprintf(name, sizeof(name), "%s", path);
    *strrchr(name, '/') = '\0';
    rmdir(name);
}

void world_sql(struct db *db, const char *literal)
{
    struct fail why = {0};
    int rc = db_step(db, db_stmt(db, literal), &why);
    if (rc < 0)
        fprintf(stderr, "%s\n", why.text);
    assert(rc >= 0);
    sqlite3_reset(db_stmt(db, literal));
}

int64_t world_int(struct db *db, const char *literal)
{
    struct sqlite3_stmt *s = db_stmt(db, literal);
    int rc = db_step(db, s, NULL);
    assert(rc == 1);
    int64_t v = db_col_int(s, 0);
    sqlite3_reset(s);
    return v;
}

char *world_plan(struct db *db, const char *part)
{
    struct sqlite3 *h = db_handle(db);
    struct sqlite3_stmt *s = sqlite3_next_stmt(h, NULL), *explain;
    while (s != NULL && strstr(sqlite3_sql(s), part) == NULL)
        s = sqlite3_next_stmt(h, s);
    assert(s != NULL);
    char *plan = NULL, *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(s));
    size_t size;
    FILE *out = open_memstream(&plan, &size);
    int rc = sqlite3_prepare_v2(h, sql, -1, &explain, NULL);
    assert(rc == SQLITE_OK);
    while (sqlite3_step(explain) == SQLITE_ROW)
        fprintf(out, "%s\n", (const char *)sqlite3_column_text(explain, 3));
    sqlite3_finalize(explain);
    sqlite3_free(sql);
    fclose(out);
    return plan;
}

struct db *world_open(const char *path)
{
    struct fail why = {0};
    struct db *db = db_open(path != NULL ? path : ":memory:", DB_OWN, &why);
    if (db == NULL)
        fprintf(stderr, "%s\n", why.text);
    assert(db != NULL);
    if (world_int(db, "SELECT count(*) FROM team") == 0) {
        world_sql(db, "INSERT INTO team(id, name, timezone, created_ms) VALUES"
                      " (1, 'search', 'UTC', 0), (2, 'ads', 'America/New_York', 0)");
        world_sql(db, "INSERT INTO api_key(id, public_id, hash, name, team_id, created_ms) VALUES"
                      " (1, 'key_one', randomblob(32), 'one', 1, 0),"
                      " (2, 'key_two', randomblob(32), 'two', 1, 0),"
                      " (3, 'key_three', randomblob(32), 'three', 2, 0)");
    }
    return db;
}

void world_cap(struct db *db, const char *scope, int64_t owner_id, const char *window,
               int64_t cap_nusd)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO budget(scope, owner_id, window, cap_nusd) VALUES (?1, ?2, ?3, ?4)"
                    " ON CONFLICT(scope, owner_id, window) DO UPDATE SET cap_nusd = ?4");
    db_bind_text(s, 1, scope);
    db_bind_int(s, 2, owner_id);
    db_bind_text(s, 3, window);
    db_bind_int(s, 4, cap_nusd);
    int rc = db_step(db, s, NULL);
    assert(rc == 0);
}

struct id world_request(int n)
{
    uint8_t rand[10] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return id_make(WORLD_NOW_MS + n, rand);
}

struct id world_attempt(int n, int k)
{
    uint8_t rand[10] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                        (uint8_t)n,         (uint8_t)k,         1};
    return id_make(WORLD_NOW_MS + n, rand);
}

void world_hold(struct ledger_op *op, int request, int k, int64_t key_id, int64_t amount_nusd)
{
    struct ledger_hold *h = &op->u.hold;
    op->kind = LEDGER_HOLD;
    op->request_id = world_request(request);
    op->attempt_id = world_attempt(request, k);
    *h = (struct ledger_hold){.n = k,
                              .team_id = key_id == 3 ? 2 : 1,
                              .key_id = key_id,
                              .now_ms = WORLD_NOW_MS + request,
                              .amount_nusd = amount_nusd,
                              .endpoint_id = 7,
                              .cancel_stops_billing = true,
                              .prompt_estimate_tok = 100,
                              .prompt_estimate_nusd = amount_nusd / 10,
                              .model = "acme/large",
                              .provider = "acme",
                              .upstream_model = "large-2026",
                              .request = {.created_ms = WORLD_NOW_MS + request,
                                          .stream = true,
                                          .requested_model = "large",
                                          .door = "messages"}};
}

void world_settle(struct ledger_op *op, enum ledger_op_kind kind, int request, int k,
                  int64_t cost_pusd)
{
    struct ledger_settle *t = &op->u.settle;
    op->kind = kind;
    op->request_id = world_request(request);
    op->attempt_id = world_attempt(request, k);
    *t = (struct ledger_settle){.now_ms = WORLD_NOW_MS + request + 1500,
                                .source = kind == LEDGER_SETTLE ? USAGE_FINAL : USAGE_PARTIAL,
                                .cost_pusd = cost_pusd,
                                .http_status = 200,
                                .first_byte_ms = 300,
                                .duration_ms = 1500,
                                .end_reason = "end_turn",
                                .provider_request_id = "req_1"};
    usage_set(&t->usage, USAGE_input_tok, 100);
    usage_set(&t->usage, USAGE_output_tok, 10);
}

void world_end(struct ledger_op *op, int request, const char *status)
{
    op->kind = LEDGER_END;
    op->request_id = world_request(request);
    op->u.end = (struct ledger_end){.now_ms = WORLD_NOW_MS + request + 1600, .http_status = 200};
    snprintf(op->u.end.status, sizeof(op->u.end.status), "%s", status);
}

bool world_is_sound(struct db *db)
{
    struct json_object *report = NULL, *ok = NULL;
    struct fail why = {0};
    if (audit_db_verify(db, &report, &why) != 0) {
        fprintf(stderr, "audit: %s\n", why.text);
        return false;
    }
    json_object_object_get_ex(report, "ok", &ok);
    bool sound = json_object_get_boolean(ok);
    if (!sound)
        fprintf(stderr, "%s\n", json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY));
    json_object_put(report);
    return sound;
}
