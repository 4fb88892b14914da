/* GET /v1/key: what a key may spend, has spent, and when its windows begin anew. */
#include "router/identity_db.h"

#include "router/budget_db.h"
#include "router/limits_db.h"

/* ret_rate: {"rpm", "tpm", "concurrency"}, null = unlimited. */
static void add_rate(struct json_object *key, struct sqlite3_stmt *s, int first_col)
{
    static const char *const names[] = {"rpm", "tpm", "concurrency"};
    struct json_object *rate = json_object_new_object();
    for (int i = 0; i < 3; i++) {
        int64_t n = db_col_int(s, first_col + i);
        json_object_object_add(rate, names[i], n > 0 ? json_object_new_int64(n) : NULL);
    }
    json_object_object_add(key, "rate", rate);
}

static int show(struct db *db, struct sqlite3_stmt *s, int64_t ledger_ms, struct json_object *key,
                struct fail *reterr)
{
    struct limits l = {.at_ms = ledger_ms};
    struct json_object *limits = NULL;
    int rc = limits_db_list(db, &l, db_col_int(s, 9), db_col_int(s, 3), db_col_text(s, 4), &limits,
                            reterr);
    json_object_object_add(key, "id", json_object_new_string(db_col_text(s, 0)));
    json_object_object_add(key, "name", json_object_new_string(db_col_text(s, 1)));
    json_object_object_add(key, "team", json_object_new_string(db_col_text(s, 2)));
    json_object_object_add(key, "expires_at", shape_time(db_col_int(s, 8)));
    json_object_object_add(key, "limits", limits);
    add_rate(key, s, 5);
    limits_done(&l);
    return rc;
}

int key_db_show(struct db *db, int64_t key_id, int64_t ledger_ms, struct json_object **ret,
                struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT k.public_id, k.name, t.name, k.team_id, t.timezone, k.rpm, k.tpm,"
                    " k.concurrency, k.expires_ms, k.id"
                    " FROM api_key k JOIN team t ON t.id = k.team_id WHERE k.id = ?1");
    db_bind_int(s, 1, key_id);
    struct json_object *key = NULL;
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        key = json_object_new_object();
        if (show(db, s, ledger_ms, key, reterr) != 0) {
            rc = -1;
            break;
        }
    }
    if (rc == 0 && key == NULL)
        rc = fail_set(reterr, ERR_not_found, "id", "there is no such key");
    if (rc == 0)
        *ret = key;
    else
        json_object_put(key);
    return rc;
}
