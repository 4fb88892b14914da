/* Teams and keys: the in-memory snapshot used on every request, and its tables.
 * Only the SHA-256 of a key is stored.  A snapshot is immutable, counted by reference
 * and swapped whole, so that a revocation reaches every worker at once. */
#ifndef ROUTER_IDENTITY_H
#define ROUTER_IDENTITY_H

#include "router/db.h"
#include "router/plan.h"

enum { KEY_TEXT_MAX = 48, KEY_HASH_LEN = 32, KEY_ID_MAX = 40 };

struct key_row {
    int64_t id;                    /* database row */
    char public_id[KEY_ID_MAX];    /* "key_..." as shown to people */
    uint8_t hash[KEY_HASH_LEN];
    const char *name, *team;
    int64_t team_id;
    int64_t expires_ms;            /* 0 = never */
    bool revoked;
    struct policy policy;
    bool allow_provider_configs;
    int64_t rpm, tpm, concurrency; /* 0 = unlimited */
    const char *preset;            /* canonical prefs JSON, NULL = none */
};

struct identity {
    int n_keys;
    const struct key_row *keys;
    int64_t version;
    struct identity_private *priv;
};

struct identity *identity_load(struct db *db, struct fail *reterr);
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity *i);
/* By the key's text; constant-time comparison of the hash.  NULL: unknown, revoked or
 * expired at now_ms (one answer for all three). */
const struct key_row *identity_find(const struct identity *i, struct span key, int64_t now_ms);
const struct key_row *identity_by_public_id(const struct identity *i, const char *public_id);

#endif
