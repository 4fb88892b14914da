/* Reads attempts one by one, has each replayed, and adds up by team and model. */
#define _GNU_SOURCE
#include "router/replay_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "router/budget_db.h"
#include "router/catalog_db.h"
#include "router/find_db.h"
#include "router/rollup_db.h"
#include "router/rollup_sql.h"
#include "schema/money.h"

enum { NAME_MAX_BYTES = 256, ROW_KEY_MAX = 3 * NAME_MAX_BYTES };

/* ---- what is added up ---- */

struct tally {
    char team[NAME_MAX_BYTES], model[NAME_MAX_BYTES];
    const char *reason;                /* of rows without an endpoint */
    int64_t requests, requests_in_all; /* first of their request on this model, at all */
    int64_t attempts, moved, kept;
    int64_t actual_nusd, hypothetical_nusd;
};

struct tallies {
    struct json_object *index; /* "team/reason/model" -> position */
    struct tally *rows;
    size_t n, cap;
};

struct replaying {
    struct db *db;
    struct replay *r;
    const struct replay_source *source;
    int64_t team_id;                /* 0 = all */
    struct tallies priced, without; /* an endpoint */
    struct price_pins pins;
    struct fail *reterr;
};

static int no_memory(struct fail *reterr)
{
    return fail_set(reterr, ERR_internal, NULL, "out of memory");
}

static struct tally *new_tally(struct tallies *t, const char *key)
{
    if (t->n == t->cap) {
        size_t cap = t->cap * 2 + 64;
        struct tally *rows = realloc(t->rows, cap * sizeof(*rows));
        if (rows == NULL)
            return NULL;
        t->rows = rows;
        t->cap = cap;
    }
    struct json_object *at = json_object_new_int64((int64_t)t->n);
    if (at == NULL || json_object_object_add(t->index, key, at) != 0)
        return NULL;
    memset(&t->rows[t->n], 0, sizeof(t->rows[t->n]));
    return &t->rows[t->n++];
}

/* A team's name has no slash. */
static struct tally *find_tally(struct tallies *t, const char *team, const char *model,
                                const char *reason)
{
    char key[ROW_KEY_MAX];
    struct json_object *at = NULL;
    snprintf(key, sizeof(key), "%s/%s/%s", team, reason != NULL ? reason : "", model);
    if (json_object_object_get_ex(t->index, key, &at))
        return &t->rows[json_object_get_int64(at)];
    struct tally *row = new_tally(t, key);
    if (row == NULL)
        return NULL;
    snprintf(row->team, sizeof(row->team), "%s", team);
    snprintf(row->model, sizeof(row->model), "%s", model);
    row->reason = reason;
    return row;
}

static bool add_tally(struct tally *to, const struct tally *more)
{
    to->requests += more->requests;
    to->requests_in_all += more->requests_in_all;
    to->attempts += more->attempts;
    to->moved += more->moved;
    to->kept += more->kept;
    return money_add(&to->actual_nusd, more->actual_nusd) &&
           money_add(&to->hypothetical_nusd, more->hypothetical_nusd);
}

/* ---- one attempt ---- */

#define SETTLED_WITH_USAGE(t) " AND " t ".state = 'SETTLED' AND " t ".usage_source <> 'none'"
#define OF_MODEL SETTLED_WITH_USAGE("b") " AND b.model = a.model"
#define COL_BUCKET(member, json)                                                                   \
    ", coalesce(a." #member " + coalesce(c." #member ", 0), nullif(c." #member ", 0))"
#define SUM_BUCKET(member, json) ", sum(" #member ") AS " #member

enum {
    COL_TEAM,
    COL_MODEL,
    COL_PROVIDER,
    COL_KEY,
    COL_ID,
    COL_PRICE,
    COL_IMAGES,
    COL_ITERATIONS,
    COL_FIRST_OF_MODEL,
    COL_FIRST,
    COL_CHARGE,
    COL_BUCKETS
};

/* ?1 and ?2: of admission; ?3: a team, 0 = all.  The subquery makes attempt_key serve. */
static const char ATTEMPTS[] =
    "SELECT t.name, a.model, a.provider, k.public_id, a.id, a.price_version, a.n_images,"
    " a.iterations, " ROLLUP_FIRST(OF_MODEL) ", " ROLLUP_FIRST(SETTLED_WITH_USAGE(
        "b")) ", a.charge_nusd + coalesce(c.charge_nusd, "
              "0)" USAGE_BUCKETS(COL_BUCKET) " FROM "
                                             "attempt a"
                                             " CROSS JOIN api_key k ON "
                                             "k.id = a.key_id CROSS "
                                             "JOIN team t ON t.id = "
                                             "a.team_id"
                                             " LEFT JOIN (SELECT "
                                             "attempt_id, "
                                             "sum(charge_nusd) AS "
                                             "charge_nusd" USAGE_BUCKETS(
                                                 SUM_BUCKET) " FROM "
                                                             "correction"
                                                             " WHERE "
                                                             "admitted_"
                                                             "ms >= ?1 "
                                                             "AND "
                                                             "admitted_"
                                                             "ms < ?2"
                                                             " GROUP BY "
                                                             "attempt_"
                                                             "id) c ON "
                                                             "c.attempt_"
                                                             "id = a.id"
                                                             " WHERE "
                                                             "a.key_id "
                                                             "IN "
                                                             "(SELECT "
                                                             "id FROM "
                                                             "api_key "
                                                             "WHERE ?3 "
                                                             "= 0 OR "
                                                             "team_id = "
                                                             "?3)"
                                                             " AND "
                                                             "a."
                                                             "admitted_"
                                                             "ms >= ?1 "
                                                             "AND "
                                                             "a."
                                                             "admitted_"
                                                             "ms < "
                                                             "?"
                                                             "2" SETTLED_WITH_USAGE("a");

static int64_t member_count(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    int64_t n = json_object_object_get_ex(o, name, &v) ? json_object_get_int64(v) : 0;
    return n > 0 ? n : 0;
}

static void read_iteration(struct json_object *o, struct usage_iteration *ret)
{
    struct json_object *model = NULL;
    *ret = (struct usage_iteration){.model = ""};
    if (json_object_object_get_ex(o, "model", &model) && model != NULL)
        snprintf(ret->model, sizeof(ret->model), "%s", json_object_get_string(model));
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        usage_set(&ret->usage, (enum usage_bucket)i,
                  member_count(o, usage_bucket_name((enum usage_bucket)i)));
}

/* As server/call_money.c wrote them. */
static void read_iterations(const char *text, struct usage_report *ret)
{
    struct json_object *list = text[0] != '\0' ? json_tokener_parse(text) : NULL;
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n && i < USAGE_ITERATIONS_MAX; i++)
        read_iteration(json_object_array_get_idx(list, i), &ret->iterations[ret->n_iterations++]);
    json_object_put(list);
}

static void read_fact(const struct replaying *g, struct sqlite3_stmt *s, struct replay_fact *ret)
{
    const struct key_row *key = identity_by_public_id(g->source->keys, db_col_text(s, COL_KEY));
    size_t n;
    const unsigned char *id = db_col_blob(s, COL_ID, &n);
    ret->model = db_col_text(s, COL_MODEL);
    ret->provider = db_col_text(s, COL_PROVIDER);
    ret->policy = key != NULL ? &key->policy : NULL;
    ret->n_images = (int)db_col_int(s, COL_IMAGES);
    ret->seed = 0;
    if (n >= sizeof(ret->seed)) /* an id's end is random */
        memcpy(&ret->seed, id + n - sizeof(ret->seed), sizeof(ret->seed));
    usage_report_clear(&ret->usage);
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (!db_col_null(s, COL_BUCKETS + i) && db_col_int(s, COL_BUCKETS + i) >= 0)
            usage_set(&ret->usage.total, (enum usage_bucket)i, db_col_int(s, COL_BUCKETS + i));
    }
    read_iterations(db_col_text(s, COL_ITERATIONS), &ret->usage);
}

/* Is the charge that of the tokens, at the price of then?  *ret_rc: -1 = reterr. */
static bool is_of_tokens(struct replaying *g, const struct replay_fact *f, int64_t price_version,
                         int64_t charge_nusd, int *ret_rc)
{
    int64_t nusd;
    const struct price *p = catalog_db_pinned(g->db, &g->pins, price_version, ret_rc, g->reterr);
    return p != NULL &&
           replay_cost(g->source->catalog, replay_served(g->source->catalog, f), p, f, &nusd) &&
           nusd == charge_nusd;
}

static int count_attempt(struct replaying *g, struct sqlite3_stmt *s)
{
    struct replay_fact f;
    struct replay_choice choice = {.endpoint = NULL};
    int64_t charge = db_col_int(s, COL_CHARGE);
    int rc;
    read_fact(g, s, &f);
    bool known = is_of_tokens(g, &f, db_col_int(s, COL_PRICE), charge, &rc);
    if (rc != 0 || (known && replay_attempt(g->r, &f, &choice, g->reterr) != 0))
        return -1;
    bool moved = known && choice.endpoint != NULL && choice.endpoint != g->r->served;
    const struct tally one = {.requests = db_col_int(s, COL_FIRST_OF_MODEL),
                              .requests_in_all = db_col_int(s, COL_FIRST),
                              .attempts = 1,
                              .moved = moved,
                              .kept = !known,
                              .actual_nusd = charge,
                              .hypothetical_nusd = known ? choice.cost_nusd : charge};
    struct tally *row = find_tally(choice.reason == NULL ? &g->priced : &g->without,
                                   db_col_text(s, COL_TEAM), f.model, choice.reason);
    if (row == NULL)
        return no_memory(g->reterr);
    if (add_tally(row, &one))
        return 0;
    return fail_set(g->reterr, ERR_internal, NULL, "a sum is too large a number");
}

static int count_all(struct replaying *g)
{
    struct sqlite3_stmt *s = db_stmt(g->db, ATTEMPTS);
    db_bind_int(s, 1, g->source->span.start_ms);
    db_bind_int(s, 2, g->source->span.end_ms);
    db_bind_int(s, 3, g->team_id);
    int rc;
    while ((rc = db_step(g->db, s, g->reterr)) == 1) {
        if (count_attempt(g, s) != 0) {
            rc = -1;
            break;
        }
    }
    sqlite3_reset(s);
    return rc;
}

/* ---- the report ---- */

/* Dearest first. */
static int by_actual(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->actual_nusd != y->actual_nusd)
        return x->actual_nusd < y->actual_nusd ? 1 : -1;
    int order = strcmp(x->team, y->team);
    order = order != 0 ? order : strcmp(x->model, y->model);
    return order != 0 || x->reason == NULL ? order : strcmp(x->reason, y->reason);
}

static void add_figures(struct json_object *o, const struct tally *t, int64_t requests)
{
    json_object_object_add(o, "requests", json_object_new_int64(requests));
    json_object_object_add(o, "attempts", json_object_new_int64(t->attempts));
    if (t->reason == NULL) {
        json_object_object_add(o, "moved", json_object_new_int64(t->moved));
        json_object_object_add(o, "kept", json_object_new_int64(t->kept));
    }
    json_object_object_add(o, "actual_usd", shape_usd(t->actual_nusd));
    if (t->reason != NULL)
        return;
    json_object_object_add(o, "hypothetical_usd", shape_usd(t->hypothetical_nusd));
    json_object_object_add(o, "saved_usd", shape_usd(t->actual_nusd - t->hypothetical_nusd));
}

static struct json_object *rows_of(struct tallies *t, struct tally *total, bool *fits)
{
    struct json_object *list = json_object_new_array();
    if (t->n > 0)
        qsort(t->rows, t->n, sizeof(*t->rows), by_actual);
    for (size_t i = 0; i < t->n; i++) {
        const struct tally *row = &t->rows[i];
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "team", json_object_new_string(row->team));
        json_object_object_add(o, "model", json_object_new_string(row->model));
        if (row->reason != NULL)
            json_object_object_add(o, "reason", json_object_new_string(row->reason));
        add_figures(o, row, row->requests);
        json_object_array_add(list, o);
        *fits = add_tally(total, row) && *fits;
    }
    return list;
}

static struct json_object *total_of(const struct tally *t)
{
    struct json_object *o = json_object_new_object();
    add_figures(o, t, t->requests_in_all);
    return o;
}

static int report(struct replaying *g, struct json_object **ret)
{
    bool fits = true;
    struct tally priced = {.reason = NULL}, without = {.reason = ""};
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "since", shape_instant(g->source->span.start_ms));
    json_object_object_add(o, "until", shape_instant(g->source->span.end_ms));
    json_object_object_add(o, "rows", rows_of(&g->priced, &priced, &fits));
    json_object_object_add(o, "total", total_of(&priced));
    json_object_object_add(o, "no_endpoint", rows_of(&g->without, &without, &fits));
    json_object_object_add(o, "no_endpoint_total", total_of(&without));
    if (!fits) {
        json_object_put(o);
        return fail_set(g->reterr, ERR_internal, NULL, "the total is too large a number");
    }
    *ret = o;
    return 0;
}

/* Sums by day cannot be put elsewhere. */
static int move_to_detail(struct db *db, struct window *span, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT pruned_day FROM rollup");
    if (db_step(db, s, reterr) != 1)
        return -1;
    int64_t first_ms = db_col_int(s, 0) * ROLLUP_DAY_MS;
    sqlite3_reset(s);
    if (span->start_ms < first_ms)
        span->start_ms = first_ms;
    if (span->end_ms < span->start_ms)
        span->end_ms = span->start_ms;
    return 0;
}

int replay_db_run(struct db *db, struct replay *r, struct replay_source *source,
                  struct json_object **ret, struct fail *reterr)
{
    int64_t team_id = 0;
    if (source->team != NULL && find_db_team(db, "team", source->team, 0, &team_id, reterr) != 0)
        return -1;
    if (move_to_detail(db, &source->span, reterr) != 0)
        return -1;
    struct replaying *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return no_memory(reterr);
    g->db = db;
    g->r = r;
    g->source = source;
    g->team_id = team_id;
    g->reterr = reterr;
    g->priced.index = json_object_new_object();
    g->without.index = json_object_new_object();
    int rc = count_all(g);
    if (rc == 0)
        rc = report(g, ret);
    json_object_put(g->priced.index);
    json_object_put(g->without.index);
    free(g->priced.rows);
    free(g->without.rows);
    free(g);
    return rc;
}
