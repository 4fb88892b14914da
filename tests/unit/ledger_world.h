/* A database with teams and keys for the tests of the ledger: team 1 "search" with keys 1 and 2,
 * team 2 "ads" (America/New_York) with key 3; no caps until world_cap. */
#ifndef TESTS_UNIT_LEDGER_WORLD_H
#define TESTS_UNIT_LEDGER_WORLD_H

#include <json-c/json.h>

#include "router/db.h"
#include "router/ledger.h"

enum { WORLD_PATH_MAX = 128 };
#define WORLD_NOW_MS INT64_C(1795588475123) /* 2026-11-25T06:34:35.123Z */
#define USD(n) ((int64_t)(n)*1000000000)
#define CENTS(n) ((int64_t)(n)*10000000)

/* A fresh directory, removed by world_remove; path of the database in it. */
void world_path(char path[WORLD_PATH_MAX]);
void world_remove(const char *path);
/* Opens (path NULL: ":memory:") and fills with teams and keys when empty. */
struct db *world_open(const char *path);
void world_cap(struct db *db, const char *scope, int64_t owner_id, const char *window,
               int64_t cap_nusd);
/* One statement; asserts that it succeeds. */
void world_sql(struct db *db, const char *literal);
/* The first column of the first row. */
int64_t world_int(struct db *db, const char *literal);
/* How SQLite runs the statement of this connection whose text contains `part`: its query plan,
 * a step per line.  It must have run before.  The caller frees. */
char *world_plan(struct db *db, const char *part);

/* Ids from small numbers, the same each time: request n, attempt k of request n. */
struct id world_request(int n);
struct id world_attempt(int n, int k);

void world_hold(struct ledger_op *op, int request, int k, int64_t key_id, int64_t amount_nusd);
/* kind: LEDGER_SETTLE, LEDGER_VOID or LEDGER_STREAMING. 100 input and 10 output tokens. */
void world_settle(struct ledger_op *op, enum ledger_op_kind kind, int request, int k,
                  int64_t cost_pusd);
void world_end(struct ledger_op *op, int request, const char *status);

/* audit_db_verify finds nothing; prints what it finds. */
bool world_is_sound(struct db *db);

#endif
