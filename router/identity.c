/* The snapshot of keys: an arena, the rows, and an open-addressing index on the first eight
 * bytes of the keys' hashes. */
#define OPENSSL_SUPPRESS_DEPRECATED /* key_hash says why */
#include "router/identity.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <json-c/json.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

enum { IDENTITY_KEYS_MAX = 1000000, SECRET_BYTES = 32 };

struct hash_entry {
    uint8_t hash[KEY_HASH_LEN];
    uint32_t key;           /* position in keys + 1; 0 = empty slot */
    int64_t valid_until_ms; /* of a replaced hash; 0 = as long as the key */
};

/* Strings and lists of the rows, freed with the snapshot. */
struct block {
    struct block *next;
};

struct identity_private {
    atomic_int refs;
    struct key_row *keys;
    int cap_keys;
    struct hash_entry *slots;
    uint32_t mask; /* slots - 1 */
    struct block *blocks;
};

/* ---- the key ---- */

void key_hash(struct span key, uint8_t ret[KEY_HASH_LEN])
{
    /* OpenSSL 3's SHA256() allocates; without memory it would leave in `ret` what stood there,
     * which may be the hash of another key. */
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, key.ptr, key.len);
    SHA256_Final(ret, &ctx);
}

bool key_is_wellformed(struct span key)
{
    if (key.len != KEY_TEXT_LEN || memcmp(key.ptr, "wf_", 3) != 0)
        return false;
    for (size_t i = 3; i < key.len; i++) {
        char c = key.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

static bool random_bytes(uint8_t *out, size_t n)
{
    return getrandom(out, n, 0) == (ssize_t)n; /* up to 256 bytes never come short */
}

bool key_make(char ret_key[KEY_TEXT_MAX], uint8_t ret_hash[KEY_HASH_LEN])
{
    uint8_t secret[SECRET_BYTES];
    unsigned char base64[SECRET_BYTES * 2];
    if (!random_bytes(secret, sizeof(secret)))
        return false;
    EVP_EncodeBlock(base64, secret, SECRET_BYTES);
    for (int i = 0; i < KEY_TEXT_LEN - 3; i++)
        base64[i] = base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i];
    snprintf(ret_key, KEY_TEXT_MAX, "wf_%.43s", (const char *)base64);
    key_hash(span_of(ret_key), ret_hash);
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(base64, sizeof(base64));
    return true;
}

bool key_make_public_id(char ret[KEY_ID_MAX])
{
    uint8_t r[8];
    if (!random_bytes(r, sizeof(r)))
        return false;
    snprintf(ret, KEY_ID_MAX, "key_%02x%02x%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3], r[4],
             r[5], r[6], r[7]);
    return true;
}

/* ---- loading ---- */

static void *arena(struct identity_private *p, size_t n)
{
    struct block *b = calloc(1, sizeof(*b) + n);
    if (b == NULL)
        return NULL;
    b->next = p->blocks;
    p->blocks = b;
    return b + 1;
}

static const char *arena_text(struct identity_private *p, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = arena(p, n);
    if (copy != NULL)
        memcpy(copy, text, n);
    return copy;
}

static int no_memory(struct fail *reterr)
{
    return fail_set(reterr, ERR_internal, NULL, "out of memory for the keys");
}

/* A JSON array of strings as the NULL-terminated list that struct policy wants. */
static int load_list(struct identity_private *p, const char *json, const char *const **ret,
                     struct fail *reterr)
{
    if (json[0] == '\0')
        return 0;
    struct json_object *array = json_tokener_parse(json);
    if (!json_object_is_type(array, json_type_array)) {
        json_object_put(array);
        return fail_set(reterr, ERR_ledger_down, NULL, "a key's list in the database is damaged");
    }
    size_t n = json_object_array_length(array);
    const char **list = arena(p, (n + 1) * sizeof(*list));
    bool good = list != NULL;
    for (size_t i = 0; good && i < n; i++) {
        list[i] = arena_text(p, json_object_get_string(json_object_array_get_idx(array, i)));
        good = list[i] != NULL;
    }
    json_object_put(array);
    if (!good)
        return no_memory(reterr);
    *ret = list;
    return 0;
}

static int load_policy(struct identity_private *p, struct sqlite3_stmt *s, struct policy *ret,
                       struct fail *reterr)
{
    ret->zdr = db_col_int(s, 11) != 0;
    if (load_list(p, db_col_text(s, 8), &ret->models, reterr) != 0)
        return -1;
    if (load_list(p, db_col_text(s, 9), &ret->only, reterr) != 0)
        return -1;
    return load_list(p, db_col_text(s, 10), &ret->ignore, reterr);
}

static int load_key(struct identity_private *p, struct sqlite3_stmt *s, struct key_row *k,
                    struct fail *reterr)
{
    size_t n = 0;
    const void *hash = db_col_blob(s, 2, &n);
    if (n != KEY_HASH_LEN)
        return fail_set(reterr, ERR_ledger_down, NULL, "a key's hash in the database is damaged");
    memcpy(k->hash, hash, KEY_HASH_LEN);
    k->id = db_col_int(s, 0);
    snprintf(k->public_id, sizeof(k->public_id), "%s", db_col_text(s, 1));
    k->name = arena_text(p, db_col_text(s, 3));
    k->team = arena_text(p, db_col_text(s, 4));
    k->team_id = db_col_int(s, 5);
    k->expires_ms = db_col_int(s, 6);
    k->revoked = !db_col_null(s, 7);
    k->rpm = db_col_int(s, 12);
    k->tpm = db_col_int(s, 13);
    k->concurrency = db_col_int(s, 14);
    k->preset = db_col_null(s, 15) ? NULL : arena_text(p, db_col_text(s, 15));
    k->allow_provider_configs = db_col_int(s, 16) != 0;
    k->on_limit = strcmp(db_col_text(s, 17), "clamp") == 0 ? ON_LIMIT_CLAMP : ON_LIMIT_REFUSE;
    k->bound_strict = strcmp(db_col_text(s, 18), "strict") == 0;
    if (k->name == NULL || k->team == NULL || (k->preset == NULL && !db_col_null(s, 15)))
        return no_memory(reterr);
    return load_policy(p, s, &k->policy, reterr);
}

static struct key_row *next_row(struct identity *i)
{
    struct identity_private *p = i->priv;
    if (i->n_keys == IDENTITY_KEYS_MAX)
        return NULL;
    if (i->n_keys == p->cap_keys) {
        int cap = p->cap_keys > 0 ? p->cap_keys * 2 : 64;
        struct key_row *grown = realloc(p->keys, (size_t)cap * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        p->keys = grown;
        p->cap_keys = cap;
    }
    struct key_row *k = &p->keys[i->n_keys++];
    memset(k, 0, sizeof(*k));
    return k;
}

/* Ascending by public id, for identity_by_public_id. */
static int load_keys(struct identity *i, struct db *db, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT k.id, k.public_id, k.hash, k.name, t.name, k.team_id, k.expires_ms,"
            " k.revoked_ms, k.models, k.providers_only, k.providers_ignore, k.zdr, k.rpm, k.tpm,"
            " k.concurrency, k.preset, k.allow_provider_configs, k.on_limit, t.bound"
            " FROM api_key k JOIN team t ON t.id = k.team_id ORDER BY k.public_id");
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct key_row *k = next_row(i);
        if (k == NULL)
            return no_memory(reterr);
        if (load_key(i->priv, s, k, reterr) != 0)
            return -1;
    }
    i->keys = i->priv->keys;
    return rc;
}

/* ---- the index ---- */

static uint64_t first_bytes(const uint8_t *hash)
{
    uint64_t n;
    memcpy(&n, hash, sizeof(n));
    return n;
}

static void index_add(struct identity_private *p, const uint8_t *hash, uint32_t key,
                      int64_t valid_until_ms)
{
    uint32_t at = (uint32_t)first_bytes(hash) & p->mask;
    while (p->slots[at].key != 0)
        at = (at + 1) & p->mask;
    memcpy(p->slots[at].hash, hash, KEY_HASH_LEN);
    p->slots[at].key = key + 1;
    p->slots[at].valid_until_ms = valid_until_ms;
}

static bool index_make(struct identity_private *p, int64_t n)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)n)
        slots *= 2;
    p->mask = slots - 1;
    p->slots = calloc(slots, sizeof(*p->slots));
    return p->slots != NULL;
}

/* Hashes in their grace; the join drops those of keys that are revoked anyway. */
static int load_replaced(struct identity *i, struct db *db, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT h.hash, k.public_id, h.valid_until_ms FROM key_hash h"
                    " JOIN api_key k ON k.id = h.key_id WHERE k.revoked_ms IS NULL");
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        size_t n = 0;
        const void *hash = db_col_blob(s, 0, &n);
        const struct key_row *k = identity_by_public_id(i, db_col_text(s, 1));
        if (n == KEY_HASH_LEN && k != NULL)
            index_add(i->priv, hash, (uint32_t)(k - i->keys), db_col_int(s, 2));
    }
    return rc;
}

static int ask_int(struct db *db, const char *sql, int64_t *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, sql);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) /* to its end: an open row pins the snapshot */
        *ret = db_col_int(s, 0);
    return rc;
}

int64_t identity_db_version(struct db *db)
{
    int64_t version = 0;
    (void)ask_int(db, "SELECT version FROM identity_meta", &version, NULL);
    return version;
}

static int load_all(struct identity *i, struct db *db, struct fail *reterr)
{
    int64_t replaced = 0;
    if (ask_int(db, "SELECT version FROM identity_meta", &i->version, reterr) != 0 ||
        ask_int(db, "SELECT count(*) FROM key_hash", &replaced, reterr) != 0 ||
        load_keys(i, db, reterr) != 0)
        return -1;
    if (!index_make(i->priv, i->n_keys + replaced))
        return no_memory(reterr);
    for (int k = 0; k < i->n_keys; k++)
        index_add(i->priv, i->keys[k].hash, (uint32_t)k, 0);
    return load_replaced(i, db, reterr);
}

struct identity *identity_load(struct db *db, struct fail *reterr)
{
    struct identity *i = calloc(1, sizeof(*i));
    struct identity_private *p = calloc(1, sizeof(*p));
    if (i == NULL || p == NULL || db_begin(db, reterr) != 0) {
        if (i == NULL || p == NULL)
            no_memory(reterr);
        free(i);
        free(p);
        return NULL;
    }
    i->priv = p;
    atomic_init(&p->refs, 1);
    int rc = load_all(i, db, reterr);
    db_rollback(db);
    if (rc == 0)
        return i;
    identity_unref(i);
    return NULL;
}

struct identity *identity_ref(struct identity *i)
{
    atomic_fetch_add(&i->priv->refs, 1);
    return i;
}

void identity_unref(struct identity *i)
{
    if (i == NULL || atomic_fetch_sub(&i->priv->refs, 1) > 1)
        return;
    while (i->priv->blocks != NULL) {
        struct block *next = i->priv->blocks->next;
        free(i->priv->blocks);
        i->priv->blocks = next;
    }
    free(i->priv->keys);
    free(i->priv->slots);
    free(i->priv);
    free(i);
}

/* ---- asking ---- */

static enum key_end end_of(const struct key_row *k, const struct hash_entry *e, int64_t now_ms)
{
    if (k->revoked)
        return KEY_REVOKED;
    if (k->expires_ms != 0 && k->expires_ms <= now_ms)
        return KEY_EXPIRED;
    return e->valid_until_ms != 0 && e->valid_until_ms <= now_ms ? KEY_REPLACED : KEY_IN_FORCE;
}

const struct key_row *identity_find_any(const struct identity *i, struct span key, int64_t now_ms,
                                        enum key_end *ret_end)
{
    if (!key_is_wellformed(key))
        return NULL;
    uint8_t hash[KEY_HASH_LEN];
    key_hash(key, hash);
    const struct identity_private *p = i->priv;
    uint32_t at = (uint32_t)first_bytes(hash) & p->mask;
    for (; p->slots[at].key != 0; at = (at + 1) & p->mask) {
        const struct hash_entry *e = &p->slots[at];
        if (CRYPTO_memcmp(e->hash, hash, KEY_HASH_LEN) != 0)
            continue;
        const struct key_row *k = &i->keys[e->key - 1];
        *ret_end = end_of(k, e, now_ms);
        return k;
    }
    return NULL;
}

const struct key_row *identity_find(const struct identity *i, struct span key, int64_t now_ms)
{
    enum key_end end = KEY_IN_FORCE;
    const struct key_row *k = identity_find_any(i, key, now_ms, &end);
    return end == KEY_IN_FORCE ? k : NULL;
}

static int by_public_id(const void *id, const void *row)
{
    return strcmp(id, ((const struct key_row *)row)->public_id);
}

const struct key_row *identity_by_public_id(const struct identity *i, const char *public_id)
{
    if (i->n_keys == 0)
        return NULL;
    return bsearch(public_id, i->keys, (size_t)i->n_keys, sizeof(*i->keys), by_public_id);
}
