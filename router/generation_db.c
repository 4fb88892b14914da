/* One request and its attempts; the recent ones. */
#include "router/usage_db.h"

#include <sqlite3.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/estimate.h"
#include "router/find_db.h"
#include "schema/usage.h"

enum { LIST_DEFAULT = 20, LIST_MAX = 1000 };

/* A bucket nobody stated is null, not zero. */
struct token_sum {
    int64_t n[USAGE_BUCKET_COUNT];
    bool known[USAGE_BUCKET_COUNT];
    int64_t cost_nusd;
    bool running; /* one of the attempts: what all cost is not known */
};

static struct json_object *int_or_null(struct sqlite3_stmt *s, int col)
{
    return db_col_null(s, col) ? NULL : json_object_new_int64(db_col_int(s, col));
}

static struct json_object *usd_or_null(struct sqlite3_stmt *s, int col)
{
    return db_col_null(s, col) ? NULL : shape_usd(db_col_int(s, col));
}

static struct json_object *time_or_null(struct sqlite3_stmt *s, int col)
{
    return db_col_null(s, col) ? NULL : shape_time(db_col_int(s, col));
}

static struct json_object *id_text(struct sqlite3_stmt *s, int col, const char *prefix)
{
    struct id id = {{0}};
    char text[ID_TEXT_MAX];
    size_t n;
    const void *b = db_col_blob(s, col, &n);
    if (n == sizeof(id.b))
        memcpy(id.b, b, sizeof(id.b));
    return json_object_new_string(id_print(&id, prefix, text));
}

/* ---- attempts ---- */

enum { COL_TOKENS = 16, COL_COST = COL_TOKENS + USAGE_BUCKET_COUNT };
/* As corrected since (router/correction.h); what nobody stated and nothing was added to is NULL. */
#define ADDED(column) "(SELECT sum(c." column ") FROM correction c WHERE c.attempt_id = attempt.id)"
#define AS_CORRECTED(member, json)                                                                 \
    "coalesce(" #member " + coalesce(" ADDED(#member) ", 0), nullif(" ADDED(#member) ", 0)), "
#define ATTEMPT_COLUMNS                                                                            \
    "SELECT n, id, model, provider, upstream_model, state, http_status,"                           \
    " CASE WHEN " ADDED(                                                                           \
        "n") " IS NULL THEN usage_source ELSE 'reconciled' END,"                                   \
             " coalesce(billed_price, price_version), hold_nusd, sent_ms, first_byte_ms, "         \
             "duration_ms, "                                                                       \
             "provider_request_id,"                                                                \
             " end_reason, iterations, " USAGE_BUCKETS(                                            \
                 AS_CORRECTED) "charge_nusd + coalesce(" ADDED("charge_nusd") ", 0) FROM attempt"

static void read_tokens(struct sqlite3_stmt *s, struct token_sum *ret)
{
    *ret = (struct token_sum){.cost_nusd = 0};
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        ret->known[i] = !db_col_null(s, COL_TOKENS + i);
        ret->n[i] = db_col_int(s, COL_TOKENS + i); /* NULL reads as 0 */
    }
}

static void add_settled(struct token_sum *sum, const struct token_sum *own)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        sum->n[i] += own->n[i];
        sum->known[i] = sum->known[i] || own->known[i];
    }
}

static struct json_object *sum_shape(const struct token_sum *sum)
{
    struct json_object *tokens = json_object_new_object();
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        json_object_object_add(tokens, usage_bucket_name((enum usage_bucket)i),
                               sum->known[i] ? json_object_new_int64(sum->n[i]) : NULL);
    return tokens;
}

/* "hit": something was read from a cache.  "miss": nothing, though the request wrote to it, or the
 * provider caches by itself (it states reads and knows no writes) and the prompt is long enough. */
static const char *cache_word(const struct token_sum *t)
{
    int64_t written = t->n[USAGE_cache_write_5m_tok] + t->n[USAGE_cache_write_1h_tok];
    bool by_itself = t->known[USAGE_cache_read_tok] && !t->known[USAGE_cache_write_5m_tok] &&
                     !t->known[USAGE_cache_write_1h_tok];
    if (t->n[USAGE_cache_read_tok] > 0)
        return "hit";
    return written > 0 || (by_itself && t->n[USAGE_input_tok] >= ESTIMATE_CACHE_MIN_TOK) ? "miss"
                                                                                         : "none";
}

static struct json_object *attempt_shape(struct sqlite3_stmt *s, struct token_sum *sum)
{
    struct json_object *a = json_object_new_object();
    struct token_sum own;
    read_tokens(s, &own);
    bool is_settled = strcmp(db_col_text(s, 5), "SETTLED") == 0;
    bool is_void = strcmp(db_col_text(s, 5), "VOID") == 0; /* held as sent, and never was */
    if (is_settled)
        add_settled(sum, &own);
    sum->running = sum->running || (!is_settled && !is_void);
    json_object_object_add(a, "n", int_or_null(s, 0));
    json_object_object_add(a, "id", id_text(s, 1, ID_PREFIX_ATTEMPT));
    json_object_object_add(a, "model", shape_column(s, 2));
    json_object_object_add(a, "provider", shape_column(s, 3));
    json_object_object_add(a, "upstream_model", shape_column(s, 4));
    json_object_object_add(a, "state", shape_column(s, 5));
    json_object_object_add(a, "http_status", int_or_null(s, 6));
    json_object_object_add(a, "usage", sum_shape(&own));
    json_object_object_add(a, "usage_source", shape_column(s, 7));
    json_object_object_add(a, "cache", json_object_new_string(cache_word(&own)));
    json_object_object_add(a, "price_version", int_or_null(s, 8));
    json_object_object_add(a, "hold_usd", usd_or_null(s, 9));
    json_object_object_add(a, "cost_usd", usd_or_null(s, COL_COST));
    json_object_object_add(a, "sent_at", is_void ? NULL : time_or_null(s, 10));
    json_object_object_add(a, "first_byte_ms", int_or_null(s, 11));
    json_object_object_add(a, "duration_ms", int_or_null(s, 12));
    json_object_object_add(a, "provider_request_id", shape_column(s, 13));
    json_object_object_add(a, "end_reason", is_settled || is_void ? shape_column(s, 14) : NULL);
    if (!db_col_null(s, 15))
        json_object_object_add(a, "iterations", json_tokener_parse(db_col_text(s, 15)));
    sum->cost_nusd += db_col_int(s, COL_COST); /* NULL reads as 0 */
    return a;
}

/* Model and provider of the request are those of the last attempt that was not void. */
static void note_place(struct sqlite3_stmt *s, struct json_object *generation)
{
    struct json_object *known = NULL;
    json_object_object_get_ex(generation, "model", &known);
    if (known != NULL && strcmp(db_col_text(s, 5), "VOID") == 0)
        return;
    json_object_object_add(generation, "model", shape_column(s, 2));
    json_object_object_add(generation, "provider", shape_column(s, 3));
}

static int add_attempts(struct db *db, const struct id *request, struct json_object *generation,
                        struct fail *reterr)
{
    struct token_sum sum = {.cost_nusd = 0};
    struct json_object *attempts = json_object_new_array();
    struct sqlite3_stmt *s = db_stmt(db, ATTEMPT_COLUMNS " WHERE request_id = ?1 ORDER BY n");
    db_bind_blob(s, 1, request->b, sizeof(request->b));
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        json_object_array_add(attempts, attempt_shape(s, &sum));
        note_place(s, generation);
    }
    json_object_object_add(generation, "usage", sum_shape(&sum));
    json_object_object_add(generation, "cache", json_object_new_string(cache_word(&sum)));
    json_object_object_add(generation, "cost_usd", sum.running ? NULL : shape_usd(sum.cost_nusd));
    json_object_object_add(generation, "attempts", attempts);
    return rc;
}

/* ---- requests ---- */

#define REQUEST_COLUMNS                                                                            \
    "SELECT r.id, r.created_ms, t.name, k.public_id, r.experiment, r.arm, r.stream, r.status,"     \
    " r.requested_model, r.door, r.http_status, r.ended_ms FROM request r"                         \
    " JOIN team t ON t.id = r.team_id JOIN api_key k ON k.id = r.key_id "

/* *ret is put by the caller, also after a failure. */
static int request_shape(struct db *db, struct sqlite3_stmt *s, struct json_object **ret,
                         struct fail *reterr)
{
    struct json_object *g = json_object_new_object();
    *ret = g;
    json_object_object_add(g, "id", id_text(s, 0, ID_PREFIX_GENERATION));
    json_object_object_add(g, "created_at", time_or_null(s, 1));
    json_object_object_add(g, "ended_at", time_or_null(s, 11));
    json_object_object_add(g, "team", shape_column(s, 2));
    json_object_object_add(g, "key_id", shape_column(s, 3));
    json_object_object_add(g, "experiment", shape_column(s, 4));
    json_object_object_add(g, "arm", shape_column(s, 5));
    json_object_object_add(g, "stream", json_object_new_boolean(db_col_int(s, 6) != 0));
    json_object_object_add(g, "status", shape_column(s, 7));
    json_object_object_add(g, "http_status", int_or_null(s, 10));
    json_object_object_add(g, "door", shape_column(s, 9));
    json_object_object_add(g, "requested_model", shape_column(s, 8));
    json_object_object_add(g, "model", NULL);
    json_object_object_add(g, "provider", NULL);
    struct id id = {{0}};
    size_t n;
    const void *b = db_col_blob(s, 0, &n);
    if (n == sizeof(id.b))
        memcpy(id.b, b, sizeof(id.b));
    return add_attempts(db, &id, g, reterr);
}

int generation_db_get(struct db *db, const struct id *id, int64_t team_id, struct json_object **ret,
                      struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, REQUEST_COLUMNS "WHERE r.id = ?1 AND (?2 = 0 OR r.team_id = ?2)");
    db_bind_blob(s, 1, id->b, sizeof(id->b));
    db_bind_int(s, 2, team_id);
    int rc = db_step(db, s, reterr);
    if (rc == 0)
        return fail_set(reterr, ERR_not_found, "id", "there is no such generation");
    if (rc < 0)
        return -1;
    struct json_object *g = NULL;
    rc = request_shape(db, s, &g, reterr);
    sqlite3_reset(s);
    if (rc == 0)
        *ret = g;
    else
        json_object_put(g);
    return rc;
}

/* ---- the list ---- */

struct list_args {
    struct arg_text key, team;
    struct arg_count since, limit;
};

static const struct arg_spec list_specs[] = {
    {"key", ARG_TEXT, offsetof(struct list_args, key), false},
    {"team", ARG_TEXT, offsetof(struct list_args, team), false},
    {"since", ARG_TIME, offsetof(struct list_args, since), false},
    {"limit", ARG_COUNT, offsetof(struct list_args, limit), false},
    {0}};

struct list_filter {
    int64_t key_id, team_id; /* 0 = any */
    int64_t since_ms, limit;
};

static int read_filter(struct db *db, struct json_object *args, int64_t team_id,
                       struct list_filter *ret, struct fail *reterr)
{
    struct list_args a = {.limit = {.value = LIST_DEFAULT}};
    if (args_read(args, list_specs, &a, reterr) != 0)
        return -1;
    *ret = (struct list_filter){0, team_id, a.since.value, a.limit.value};
    if (ret->limit < 1 || ret->limit > LIST_MAX)
        return fail_set(reterr, ERR_bad_request, "limit", "limit must be 1 to %d", LIST_MAX);
    if (a.team.value != NULL &&
        find_db_team(db, "team", a.team.value, team_id, &ret->team_id, reterr) != 0)
        return -1;
    if (a.key.value == NULL)
        return 0;
    return find_db_key(db, "key", a.key.value, ret->team_id, &ret->key_id, reterr);
}

/* Ids are ordered by time, so the newest are found from the end of an index. */
static struct sqlite3_stmt *list_stmt(struct db *db, const struct list_filter *f)
{
    struct sqlite3_stmt *s =
        f->team_id != 0
            ? db_stmt(db, REQUEST_COLUMNS "WHERE r.team_id = ?1 AND (?2 = 0 OR r.key_id = ?2)"
                                          " AND r.created_ms >= ?3 ORDER BY r.id DESC LIMIT ?4")
            : db_stmt(db, REQUEST_COLUMNS "WHERE (?2 = 0 OR r.key_id = ?2)"
                                          " AND r.created_ms >= ?3 ORDER BY r.id DESC LIMIT ?4");
    if (f->team_id != 0)
        db_bind_int(s, 1, f->team_id);
    db_bind_int(s, 2, f->key_id);
    db_bind_int(s, 3, f->since_ms);
    db_bind_int(s, 4, f->limit);
    return s;
}

int generation_db_list(struct db *db, struct json_object *args, int64_t team_id,
                       struct json_object **ret, struct fail *reterr)
{
    struct list_filter f;
    if (read_filter(db, args, team_id, &f, reterr) != 0)
        return -1;
    struct json_object *data = json_object_new_array();
    struct sqlite3_stmt *s = list_stmt(db, &f);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct json_object *g = NULL;
        int shaped = request_shape(db, s, &g, reterr);
        json_object_array_add(data, g);
        if (shaped != 0) {
            rc = -1;
            break;
        }
    }
    sqlite3_reset(s);
    if (rc != 0) {
        json_object_put(data);
        return -1;
    }
    *ret = json_object_new_object();
    json_object_object_add(*ret, "data", data);
    return 0;
}
