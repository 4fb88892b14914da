/* Teams and keys: the in-memory snapshot used on every request, and its tables.
 * Only the SHA-256 of a key is stored.  A snapshot is immutable, counted by reference
 * and swapped whole, so that a revocation reaches every worker at once. */
#ifndef ROUTER_IDENTITY_H
#define ROUTER_IDENTITY_H

#include "router/db.h"
#include "router/plan.h"

enum { KEY_TEXT_MAX = 48, KEY_TEXT_LEN = 46, KEY_HASH_LEN = 32, KEY_ID_MAX = 40 };

/* What happens when a request's worst case does not fit under a cap. */
enum on_limit { ON_LIMIT_REFUSE, ON_LIMIT_CLAMP };

struct key_row {
    int64_t id;                 /* database row */
    char public_id[KEY_ID_MAX]; /* "key_..." as shown to people */
    uint8_t hash[KEY_HASH_LEN];
    const char *name, *team;
    int64_t team_id;
    int64_t expires_ms; /* 0 = never */
    bool revoked;
    struct policy policy;
    bool allow_provider_configs;
    int64_t rpm, tpm, concurrency; /* 0 = unlimited */
    enum on_limit on_limit;
    bool bound_strict;  /* the team's: holds are sized by what cannot be exceeded */
    const char *preset; /* canonical prefs JSON, NULL = none */
};

struct identity {
    int n_keys;
    const struct key_row *keys;
    int64_t version;
    struct identity_private *priv;
};

/* Why a key that is known lets nobody in. */
enum key_end { KEY_IN_FORCE, KEY_REVOKED, KEY_EXPIRED, KEY_REPLACED };

/* Reads every key, revoked ones included (they are shown and told, never found). NULL with reterr.
 */
struct identity *identity_load(struct db *db, struct fail *reterr);
/* Counted atomically: any thread. */
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity *i);
/* Grows with each change of the tables: a snapshot of another version is stale. */
int64_t identity_db_version(struct db *db);
/* By the key's text; constant-time comparison of the hash.  NULL: unknown, revoked or
 * expired at now_ms.  A hash replaced by a rotation is found until its grace is over. */
const struct key_row *identity_find(const struct identity *i, struct span key, int64_t now_ms);
/* The same, and also one that has ended: only who has its secret learns that.  *ret_end: whether
 * it lets anybody in.  NULL: unknown. */
const struct key_row *identity_find_any(const struct identity *i, struct span key, int64_t now_ms,
                                        enum key_end *ret_end);
const struct key_row *identity_by_public_id(const struct identity *i, const char *public_id);

/* ---- the key itself: "wf_" and 43 url-safe base64 characters of 32 random bytes ---- */
/* SHA-256; allocates nothing, cannot fail. */
void key_hash(struct span key, uint8_t ret[KEY_HASH_LEN]);
/* The shape only. */
bool key_is_wellformed(struct span key);
/* false when the system has no randomness to give. */
bool key_make(char ret_key[KEY_TEXT_MAX], uint8_t ret_hash[KEY_HASH_LEN]);
/* "key_" and 16 hex digits. */
bool key_make_public_id(char ret[KEY_ID_MAX]);

#endif
