/* Rows of teams and keys. */
#include "router/find_db.h"

#include <stdio.h>
#include <string.h>

#include "router/budget_db.h"
#include "router/identity.h"

enum { MISSING_MAX = 160 };

int find_db_team(struct db *db, const char *field, const char *name, int64_t within, int64_t *ret,
                 struct fail *reterr)
{
    char missing[MISSING_MAX];
    snprintf(missing, sizeof(missing), "there is no team %.64s", find_db_shown(name));
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id FROM team WHERE name = ?1 AND (?2 = 0 OR id = ?2)");
    db_bind_text(s, 1, name);
    db_bind_int(s, 2, within);
    return identity_db_id(db, s, field, missing, ret, reterr);
}

/* Also of what is only a part of one, or has something around it. */
static bool may_be_secret(const char *name)
{
    return strstr(name, "wf_") != NULL;
}

const char *find_db_shown(const char *name)
{
    return may_be_secret(name) ? "with this secret" : name;
}

static struct sqlite3_stmt *key_by_secret(struct db *db, const char *secret)
{
    uint8_t hash[KEY_HASH_LEN];
    key_hash(span_of(secret), hash);
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id FROM api_key WHERE (?2 = 0 OR team_id = ?2) AND (hash = ?1"
                    " OR id = (SELECT key_id FROM key_hash WHERE hash = ?1"
                    " AND valid_until_ms > ?3))");
    db_bind_blob(s, 1, hash, KEY_HASH_LEN);
    db_bind_int(s, 3, identity_now_ms());
    return s;
}

static struct sqlite3_stmt *key_by_id(struct db *db, const char *public_id)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id FROM api_key WHERE public_id = ?1 AND (?2 = 0 OR team_id = ?2)");
    db_bind_text(s, 1, public_id);
    return s;
}

int find_db_key(struct db *db, const char *field, const char *name, int64_t within, int64_t *ret,
                struct fail *reterr)
{
    char missing[MISSING_MAX];
    snprintf(missing, sizeof(missing), "there is no key %.64s (see: wayfare key list)",
             find_db_shown(name));
    struct sqlite3_stmt *s =
        key_is_wellformed(span_of(name)) ? key_by_secret(db, name) : key_by_id(db, name);
    db_bind_int(s, 2, within);
    return identity_db_id(db, s, field, missing, ret, reterr);
}
