/* The rows of table alert: written by the ledger thread in the transaction of what passed the
 * threshold, read and marked by server/webhook.c. */
#ifndef ROUTER_ALERT_DB_H
#define ROUTER_ALERT_DB_H

#include <json-c/json.h>

#include "router/alert.h"
#include "router/db.h"
#include "router/ledger_core.h"
#include "router/ledger_db.h"

/* Thresholds that this account has reached and that have no row get one; adds their number to
 * *n.  Inside the caller's transaction; nearly always only a comparison. */
enum ledger_write alert_db_note(struct db *db, const struct alert_rules *rules,
                                struct ledger_account *a, int64_t now_ms, uint64_t *n,
                                struct fail *reterr);
/* The same for every account whose window is not over: at the start, for what a recovery or
 * other thresholds have reached. */
enum ledger_write alert_db_sweep(struct db *db, const struct alert_rules *rules, int64_t now_ms,
                                 uint64_t *n, struct fail *reterr);

enum { ALERT_NAME_MAX = 64, ALERT_ID_TEXT_MAX = 40 };

/* A row with the names of what it speaks of. */
struct alert {
    int64_t row;
    char id[ALERT_ID_TEXT_MAX]; /* "alert_" and 32 hex digits */
    char scope[8], window[8];
    char name[ALERT_NAME_MAX], team[ALERT_NAME_MAX];
    char key_id[ALERT_NAME_MAX]; /* public id, "" for a team's */
    int threshold;
    int64_t cap_nusd, spent_nusd, at_ms;
    int64_t resets_ms; /* 0 = never */
    int64_t tries, next_try_ms;
};

/* The oldest that is not in the log yet. 1 = there is one, 0, -1 (reterr). */
int alert_db_unlogged(struct db *db, struct alert *ret, struct fail *reterr);
/* The one whose next try comes first, due or not. 1 = there is one, 0, -1 (reterr). */
int alert_db_next(struct db *db, struct alert *ret, struct fail *reterr);

/* One statement each; 0 or -1. */
int alert_db_mark_logged(struct db *db, int64_t row, int64_t now_ms);
int alert_db_mark_delivered(struct db *db, int64_t row, int64_t now_ms);
/* next_try_ms 0: there will be none. */
int alert_db_mark_failed(struct db *db, int64_t row, int64_t next_try_ms);

/* The webhook's body; for the caller to put. */
struct json_object *alert_json(const struct alert *a);

#endif
