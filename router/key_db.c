/* Admin side of keys. */
#include <stdio.h>

#include "router/budget_db.h"
#include "router/find_db.h"
#include "router/identity.h"
#include "router/identity_db.h"
#include "router/limits_db.h"
#include "router/preset.h"

enum { PRESET_MAX = 64 * 1024, GRACE_DAYS_MAX = 365 };

struct key_args {
    struct arg_text id, team, name, grace, on_limit;
    struct arg_json budget, window, models, providers_only, providers_ignore, preset;
    struct arg_flag zdr, allow_provider_configs;
    struct arg_count rpm, tpm, concurrency, expires;
};

#define AT(member) offsetof(struct key_args, member)

/* What `key create` and `key set` have in common. */
#define KEY_SETTINGS                                                                               \
    {"name", ARG_TEXT, AT(name), false}, {"budget", ARG_JSON, AT(budget), false},                  \
        {"window", ARG_JSON, AT(window), false}, {"models", ARG_JSON, AT(models), false},          \
        {"providers_only", ARG_JSON, AT(providers_only), false},                                   \
        {"providers_ignore", ARG_JSON, AT(providers_ignore), false},                               \
        {"zdr", ARG_FLAG, AT(zdr), false}, {"rpm", ARG_COUNT, AT(rpm), false},                     \
        {"tpm", ARG_COUNT, AT(tpm), false}, {"concurrency", ARG_COUNT, AT(concurrency), false},    \
        {"expires", ARG_TIME, AT(expires), false}, {"preset", ARG_JSON, AT(preset), false},        \
        {"on_limit", ARG_TEXT, AT(on_limit), false},                                               \
    {                                                                                              \
        "allow_provider_configs", ARG_FLAG, AT(allow_provider_configs), false                      \
    }

static const struct arg_spec create_specs[] = {
    {"team", ARG_TEXT, AT(team), true}, KEY_SETTINGS, {0}};
static const struct arg_spec set_specs[] = {{"id", ARG_TEXT, AT(id), true}, KEY_SETTINGS, {0}};
static const struct arg_spec list_specs[] = {{"team", ARG_TEXT, AT(team), false}, {0}};
static const struct arg_spec revoke_specs[] = {{"id", ARG_TEXT, AT(id), true}, {0}};
static const struct arg_spec rotate_specs[] = {
    {"id", ARG_TEXT, AT(id), true}, {"grace", ARG_TEXT, AT(grace), false}, {0}};

/* ---- settings: one row per column that an argument sets ---- */

enum setting_form { SET_TEXT, SET_COUNT, SET_FLAG, SET_TIME, SET_LIST, SET_PRESET, SET_LIMIT };

static const struct setting {
    const char *name;
    enum setting_form form;
    size_t offset;
    const char *sql;
} settings[] = {
    {"name", SET_TEXT, AT(name), "UPDATE api_key SET name = ?2 WHERE id = ?1"},
    {"models", SET_LIST, AT(models), "UPDATE api_key SET models = ?2 WHERE id = ?1"},
    {"providers_only", SET_LIST, AT(providers_only),
     "UPDATE api_key SET providers_only = ?2 WHERE id = ?1"},
    {"providers_ignore", SET_LIST, AT(providers_ignore),
     "UPDATE api_key SET providers_ignore = ?2 WHERE id = ?1"},
    {"zdr", SET_FLAG, AT(zdr), "UPDATE api_key SET zdr = ?2 WHERE id = ?1"},
    {"rpm", SET_COUNT, AT(rpm), "UPDATE api_key SET rpm = ?2 WHERE id = ?1"},
    {"tpm", SET_COUNT, AT(tpm), "UPDATE api_key SET tpm = ?2 WHERE id = ?1"},
    {"concurrency", SET_COUNT, AT(concurrency),
     "UPDATE api_key SET concurrency = ?2 WHERE id = ?1"},
    {"expires", SET_TIME, AT(expires), "UPDATE api_key SET expires_ms = ?2 WHERE id = ?1"},
    {"preset", SET_PRESET, AT(preset), "UPDATE api_key SET preset = ?2 WHERE id = ?1"},
    {"allow_provider_configs", SET_FLAG, AT(allow_provider_configs),
     "UPDATE api_key SET allow_provider_configs = ?2 WHERE id = ?1"},
    {"on_limit", SET_LIMIT, AT(on_limit), "UPDATE api_key SET on_limit = ?2 WHERE id = ?1"},
};

/* out: their canonical form. */
static int read_preset(struct span text, struct buf *out, struct fail *reterr)
{
    struct prefs prefs;
    prefs_init(&prefs);
    int rc = preset_read(&prefs, "preset", text, reterr);
    if (rc == 0)
        prefs_write(&prefs, out);
    if (rc == 0 && out->failed)
        rc = fail_set(reterr, ERR_bad_request, "preset", "preset is too long");
    prefs_done(&prefs);
    return rc;
}

static int bind_preset(struct sqlite3_stmt *s, struct json_object *value, struct fail *reterr)
{
    if (value == NULL) {
        db_bind_text(s, 2, NULL);
        return 0;
    }
    struct buf out;
    buf_init(&out, PRESET_MAX);
    int rc = read_preset(args_json_text(value), &out, reterr);
    if (rc == 0)
        db_bind_span(s, 2, buf_span(&out));
    buf_done(&out);
    return rc;
}

static int bind_list(struct sqlite3_stmt *s, const char *name, struct json_object *value,
                     struct fail *reterr)
{
    struct json_object *list = NULL;
    if (args_list(name, value, &list, reterr) != 0)
        return -1;
    if (list == NULL && value != NULL) /* nothing is allowed, or everything? */
        return fail_set(reterr, ERR_bad_request, name, "%s is empty; null stands for no list",
                        name);
    db_bind_text(
        s, 2, list != NULL ? json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN) : NULL);
    json_object_put(list);
    return 0;
}

static int bind_time(struct sqlite3_stmt *s, int64_t unix_ms, struct fail *reterr)
{
    if (unix_ms != 0 && unix_ms <= identity_now_ms())
        return fail_set(reterr, ERR_bad_request, "expires", "expires must lie in the future");
    if (unix_ms != 0)
        db_bind_int(s, 2, unix_ms);
    else
        db_bind_text(s, 2, NULL);
    return 0;
}

static int bind_limit(struct sqlite3_stmt *s, const char *value, struct fail *reterr)
{
    value = value != NULL ? value : "refuse";
    if (strcmp(value, "refuse") != 0 && strcmp(value, "clamp") != 0)
        return fail_set(reterr, ERR_bad_request, "on_limit",
                        "on_limit must be \"refuse\" or \"clamp\"");
    db_bind_text(s, 2, value);
    return 0;
}

/* 1 = bound, 0 = not given, -1 = wrong. */
static int bind_setting(struct sqlite3_stmt *s, const struct setting *row,
                        const struct key_args *args, struct fail *reterr)
{
    const void *at = (const char *)args + row->offset;
    const bool *given = at; /* the first member of each kind */
    const struct arg_text *text = at;
    const struct arg_count *count = at;
    const struct arg_flag *flag = at;
    const struct arg_json *json = at;
    if (!*given)
        return 0;
    switch (row->form) {
    case SET_TEXT:
        if (args_check_name(row->name, text->value != NULL ? text->value : "", reterr) != 0)
            return -1;
        db_bind_text(s, 2, text->value);
        return 1;
    case SET_COUNT:
        db_bind_int(s, 2, count->value);
        return 1;
    case SET_FLAG:
        db_bind_int(s, 2, flag->value);
        return 1;
    case SET_TIME:
        return bind_time(s, count->value, reterr) == 0 ? 1 : -1;
    case SET_LIST:
        return bind_list(s, row->name, json->value, reterr) == 0 ? 1 : -1;
    case SET_LIMIT:
        return bind_limit(s, text->value, reterr) == 0 ? 1 : -1;
    case SET_PRESET:
        return bind_preset(s, json->value, reterr) == 0 ? 1 : -1;
    }
    return -1;
}

static int apply_settings(struct db *db, int64_t id, const struct key_args *args,
                          struct fail *reterr)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct sqlite3_stmt *s = db_stmt(db, settings[i].sql);
        db_bind_int(s, 1, id);
        int rc = bind_setting(s, &settings[i], args, reterr);
        if (rc < 0 || (rc == 1 && identity_db_run(db, s, reterr) != 0))
            return -1;
    }
    struct budget_list budgets;
    if (budget_read(&args->budget, &args->window, &budgets, reterr) != 0)
        return -1;
    return budget_db_put(db, "key", id, &budgets, reterr);
}

/* ---- the shape ---- */

#define KEY_COLUMNS                                                                                \
    "SELECT k.id, k.public_id, k.name, t.name, k.created_ms, k.expires_ms, k.revoked_ms,"          \
    " k.models, k.providers_only, k.providers_ignore, k.zdr, k.rpm, k.tpm, k.concurrency,"         \
    " k.preset, k.allow_provider_configs, k.on_limit,"                                             \
    " (SELECT max(h.valid_until_ms) FROM key_hash h WHERE h.key_id = k.id), t.id, t.timezone"      \
    " FROM api_key k JOIN team t ON t.id = k.team_id "

static struct json_object *stored_json(struct sqlite3_stmt *s, int col)
{
    return db_col_null(s, col) ? NULL : json_tokener_parse(db_col_text(s, col));
}

static struct json_object *rate_object(int64_t rpm, int64_t tpm, int64_t concurrency)
{
    const int64_t values[] = {rpm, tpm, concurrency};
    static const char *const names[] = {"rpm", "tpm", "concurrency"};
    struct json_object *rate = json_object_new_object();
    for (int i = 0; i < 3; i++)
        json_object_object_add(rate, names[i],
                               values[i] != 0 ? json_object_new_int64(values[i]) : NULL);
    return rate;
}

static const char *key_status(struct sqlite3_stmt *s, int64_t now_ms)
{
    if (!db_col_null(s, 6))
        return "revoked";
    return !db_col_null(s, 5) && db_col_int(s, 5) <= now_ms ? "expired" : "active";
}

/* l NULL: without `limits`, which are much to read.  NULL with reterr. */
static struct json_object *key_object(struct db *db, struct sqlite3_stmt *s, struct limits *l,
                                      struct fail *reterr)
{
    int64_t now_ms = identity_now_ms();
    struct json_object *budgets = NULL, *limits = NULL;
    if (budget_db_list(db, "key", db_col_int(s, 0), &budgets, reterr) != 0)
        return NULL;
    if (l != NULL && limits_db_list(db, l, db_col_int(s, 0), db_col_int(s, 18), db_col_text(s, 19),
                                    &limits, reterr) != 0) {
        json_object_put(budgets);
        return NULL;
    }
    struct json_object *key = json_object_new_object();
    json_object_object_add(key, "id", json_object_new_string(db_col_text(s, 1)));
    json_object_object_add(key, "name", json_object_new_string(db_col_text(s, 2)));
    json_object_object_add(key, "team", json_object_new_string(db_col_text(s, 3)));
    json_object_object_add(key, "status", json_object_new_string(key_status(s, now_ms)));
    json_object_object_add(key, "created_at", shape_time(db_col_int(s, 4)));
    json_object_object_add(key, "expires_at", shape_time(db_col_int(s, 5)));
    json_object_object_add(key, "revoked_at", shape_time(db_col_int(s, 6)));
    int64_t grace_ms = db_col_int(s, 17);
    json_object_object_add(key, "previous_valid_until",
                           shape_time(grace_ms > now_ms ? grace_ms : 0));
    json_object_object_add(key, "budgets", budgets);
    if (l != NULL)
        json_object_object_add(key, "limits", limits);
    json_object_object_add(key, "models", stored_json(s, 7));
    json_object_object_add(key, "providers_only", stored_json(s, 8));
    json_object_object_add(key, "providers_ignore", stored_json(s, 9));
    json_object_object_add(key, "zdr", json_object_new_boolean(db_col_int(s, 10) != 0));
    json_object_object_add(key, "rate",
                           rate_object(db_col_int(s, 11), db_col_int(s, 12), db_col_int(s, 13)));
    json_object_object_add(key, "preset", stored_json(s, 14));
    json_object_object_add(key, "allow_provider_configs",
                           json_object_new_boolean(db_col_int(s, 15) != 0));
    json_object_object_add(key, "on_limit", json_object_new_string(db_col_text(s, 16)));
    return key;
}

/* The row of one key as *ret; *ret is put by the caller. */
static int show_key(struct db *db, int64_t id, struct json_object **ret, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, KEY_COLUMNS "WHERE k.id = ?1");
    db_bind_int(s, 1, id);
    struct json_object *key = NULL;
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        key = key_object(db, s, NULL, reterr);
        if (key == NULL)
            return -1;
    }
    if (rc != 0)
        return -1;
    if (key == NULL)
        return fail_set(reterr, ERR_not_found, "id", "there is no such key");
    *ret = key;
    return 0;
}

/* ---- operations ---- */

struct new_key {
    char text[KEY_TEXT_MAX], public_id[KEY_ID_MAX];
    uint8_t hash[KEY_HASH_LEN];
};

static int make_key(struct new_key *k, struct fail *reterr)
{
    if (key_make(k->text, k->hash) && key_make_public_id(k->public_id))
        return 0;
    return fail_set(reterr, ERR_internal, NULL, "the system gives no random bytes");
}

static int show_new_key(struct db *db, int64_t id, const struct new_key *k,
                        struct json_object **ret, struct fail *reterr)
{
    struct json_object *key = NULL;
    if (identity_db_touch(db, reterr) != 0 || show_key(db, id, &key, reterr) != 0)
        return -1;
    json_object_object_add(key, "key", json_object_new_string(k->text));
    *ret = key;
    return 0;
}

static int insert_key(struct db *db, const struct new_key *k, int64_t team_id, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO api_key(public_id, hash, name, team_id, created_ms)"
                    " VALUES (?1, ?2, ?1, ?3, ?4)");
    db_bind_text(s, 1, k->public_id);
    db_bind_blob(s, 2, k->hash, KEY_HASH_LEN);
    db_bind_int(s, 3, team_id);
    db_bind_int(s, 4, identity_now_ms());
    return identity_db_run(db, s, reterr);
}

int key_db_create(struct db *db, struct json_object *args, int64_t ledger_ms,
                  struct json_object **ret, struct fail *reterr)
{
    (void)ledger_ms;
    struct key_args a = {0};
    struct new_key k;
    int64_t team_id = 0;
    if (args_read(args, create_specs, &a, reterr) != 0 ||
        find_db_team(db, "team", a.team.value, 0, &team_id, reterr) != 0 ||
        make_key(&k, reterr) != 0 || insert_key(db, &k, team_id, reterr) != 0)
        return -1;
    int64_t id = db_last_id(db);
    if (apply_settings(db, id, &a, reterr) != 0)
        return -1;
    return show_new_key(db, id, &k, ret, reterr);
}

int key_db_set(struct db *db, struct json_object *args, int64_t ledger_ms, struct json_object **ret,
               struct fail *reterr)
{
    (void)ledger_ms;
    struct key_args a = {0};
    int64_t id = 0;
    if (args_read(args, set_specs, &a, reterr) != 0 ||
        find_db_key(db, "id", a.id.value, 0, &id, reterr) != 0 ||
        apply_settings(db, id, &a, reterr) != 0 || identity_db_touch(db, reterr) != 0)
        return -1;
    return show_key(db, id, ret, reterr);
}

static int list_keys(struct db *db, int64_t team_id, struct limits *limits,
                     struct json_object *list, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, KEY_COLUMNS "WHERE ?1 = 0 OR k.team_id = ?1 ORDER BY t.name, k.created_ms, k.id");
    db_bind_int(s, 1, team_id);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct json_object *key = key_object(db, s, limits, reterr);
        if (key == NULL)
            return -1;
        json_object_array_add(list, key);
    }
    return rc;
}

int key_db_list(struct db *db, struct json_object *args, int64_t ledger_ms,
                struct json_object **ret, struct fail *reterr)
{
    struct key_args a = {0};
    int64_t team_id = 0;
    if (args_read(args, list_specs, &a, reterr) != 0)
        return -1;
    if (a.team.value != NULL && find_db_team(db, "team", a.team.value, 0, &team_id, reterr) != 0)
        return -1;
    struct json_object *list = json_object_new_array();
    struct limits limits = {.at_ms = ledger_ms};
    int rc = list_keys(db, team_id, &limits, list, reterr);
    limits_done(&limits);
    if (rc != 0) {
        json_object_put(list);
        return -1;
    }
    *ret = json_object_new_object();
    json_object_object_add(*ret, "data", list);
    return 0;
}

static int drop_replaced(struct db *db, int64_t id, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "DELETE FROM key_hash WHERE key_id = ?1");
    db_bind_int(s, 1, id);
    return identity_db_run(db, s, reterr);
}

int key_db_revoke(struct db *db, struct json_object *args, int64_t ledger_ms,
                  struct json_object **ret, struct fail *reterr)
{
    (void)ledger_ms;
    struct key_args a = {0};
    int64_t id = 0;
    if (args_read(args, revoke_specs, &a, reterr) != 0 ||
        find_db_key(db, "id", a.id.value, 0, &id, reterr) != 0)
        return -1;
    struct sqlite3_stmt *s =
        db_stmt(db, "UPDATE api_key SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL");
    db_bind_int(s, 1, id);
    db_bind_int(s, 2, identity_now_ms());
    if (identity_db_run(db, s, reterr) != 0 || drop_replaced(db, id, reterr) != 0 ||
        identity_db_touch(db, reterr) != 0)
        return -1;
    return show_key(db, id, ret, reterr);
}

/* ---- rotation ---- */

/* "90s", "30m", "24h", "7d". */
static int read_grace(const char *text, int64_t *ret_ms, struct fail *reterr)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    const int64_t max_ms = (int64_t)GRACE_DAYS_MAX * 86400000;
    int64_t n = 0;
    size_t i = 0;
    while (text[i] >= '0' && text[i] <= '9' && i < 9)
        n = n * 10 + (text[i++] - '0');
    for (size_t u = 0; i > 0 && u < sizeof(units) / sizeof(units[0]); u++) {
        if (text[i] == units[u].unit && text[i + 1] == '\0' && n <= max_ms / units[u].ms) {
            *ret_ms = n * units[u].ms;
            return 0;
        }
    }
    return fail_set(reterr, ERR_bad_request, "grace",
                    "grace must be a time such as 90s, 30m, 24h or 7d, at most %dd",
                    GRACE_DAYS_MAX);
}

static int keep_replaced(struct db *db, int64_t id, int64_t until_ms, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "INSERT INTO key_hash(hash, key_id, valid_until_ms)"
                                         " SELECT hash, id, ?2 FROM api_key WHERE id = ?1");
    db_bind_int(s, 1, id);
    db_bind_int(s, 2, until_ms);
    return identity_db_run(db, s, reterr);
}

static int check_in_force(struct db *db, int64_t id, const char *public_id, struct fail *reterr)
{
    char missing[128];
    int64_t ignored = 0;
    snprintf(missing, sizeof(missing), "key %.64s is revoked or expired", find_db_shown(public_id));
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id FROM api_key WHERE id = ?1 AND revoked_ms IS NULL"
                    " AND (expires_ms IS NULL OR expires_ms > ?2)");
    db_bind_int(s, 1, id);
    db_bind_int(s, 2, identity_now_ms());
    return identity_db_id(db, s, "id", missing, &ignored, reterr);
}

static int replace_hash(struct db *db, int64_t id, const struct new_key *k, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE api_key SET hash = ?2 WHERE id = ?1");
    db_bind_int(s, 1, id);
    db_bind_blob(s, 2, k->hash, KEY_HASH_LEN);
    return identity_db_run(db, s, reterr);
}

/* Without a grace every older text of the key ends at once, earlier graces included: that is
 * what someone wants whose key has leaked. */
int key_db_rotate(struct db *db, struct json_object *args, int64_t ledger_ms,
                  struct json_object **ret, struct fail *reterr)
{
    (void)ledger_ms;
    struct key_args a = {0};
    struct new_key k;
    int64_t id = 0, grace_ms = 0;
    if (args_read(args, rotate_specs, &a, reterr) != 0 ||
        find_db_key(db, "id", a.id.value, 0, &id, reterr) != 0 ||
        check_in_force(db, id, a.id.value, reterr) != 0 || make_key(&k, reterr) != 0)
        return -1;
    if (a.grace.value != NULL && read_grace(a.grace.value, &grace_ms, reterr) != 0)
        return -1;
    int rc = grace_ms > 0 ? keep_replaced(db, id, identity_now_ms() + grace_ms, reterr)
                          : drop_replaced(db, id, reterr);
    if (rc != 0 || replace_hash(db, id, &k, reterr) != 0)
        return -1;
    return show_new_key(db, id, &k, ret, reterr);
}
