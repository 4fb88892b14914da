/* Rows of experiment, arm and feedback. */
#include "router/experiment_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <sqlite3.h>

#include "router/budget_db.h"
#include "schema/money.h"

enum { PERCENT_SCALE = 2, REASON_MAX = 512 };

#define ARMS                                                                                       \
    "SELECT name, weight, shadow, prefs FROM arm WHERE experiment_id = ?1 ORDER BY position"

/* ---- loading ---- */

static int no_memory(struct fail *reterr)
{
    return fail_set(reterr, ERR_internal, NULL, "out of memory for the experiments");
}

static int load_arms(struct db *db, struct experiment *e, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, ARMS);
    int rc = 0;
    db_bind_int(s, 1, e->id);
    while (e->n_arms < EXPERIMENT_ARMS_MAX && (rc = db_step(db, s, reterr)) == 1) {
        struct experiment_arm *arm = &e->arms[e->n_arms++];
        prefs_init(&arm->prefs);
        db_col_copy(s, 0, arm->name, sizeof(arm->name));
        arm->weight = db_col_int(s, 1);
        arm->shadow = db_col_int(s, 2) != 0;
        if (experiment_read_prefs(arm, db_col_text(s, 3), reterr) == 0)
            continue;
        rc = reterr->code == ERR_internal ? -1 : 0;
        snprintf(e->unreadable, sizeof(e->unreadable), "%s", reterr->text);
        break;
    }
    sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

static void take_unit(struct experiment *e, const char *unit)
{
    if (!experiment_unit_parse(unit, &e->unit))
        snprintf(e->unreadable, sizeof(e->unreadable), "unit: there is none of the name %.64s",
                 unit);
}

/* Columns: id, name, model, layer, slot_from, slot_to, salt, unit, ramp. */
static void fill(struct sqlite3_stmt *s, struct experiment *e)
{
    e->id = db_col_int(s, 0);
    db_col_copy(s, 1, e->name, sizeof(e->name));
    db_col_copy(s, 2, e->model, sizeof(e->model));
    db_col_copy(s, 3, e->layer, sizeof(e->layer));
    e->slot_from = (int)db_col_int(s, 4);
    e->slot_to = (int)db_col_int(s, 5);
    db_col_copy(s, 6, e->salt, sizeof(e->salt));
    take_unit(e, db_col_text(s, 7));
    e->ramp = (int)db_col_int(s, 8);
}

static int load_rows(struct db *db, struct experiments *x, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id, name, model, layer, slot_from, slot_to, salt, unit, ramp"
                    " FROM experiment WHERE stopped_ms IS NULL ORDER BY id");
    int rc = 0;
    while (x->n < EXPERIMENT_RUNNING_MAX && (rc = db_step(db, s, reterr)) == 1) {
        struct experiment *e = calloc(1, sizeof(*e));
        if (e == NULL) {
            rc = no_memory(reterr);
            break;
        }
        x->rows[x->n++] = e;
        fill(s, e);
    }
    sqlite3_reset(s);
    for (int i = 0; rc >= 0 && i < x->n; i++)
        rc = load_arms(db, x->rows[i], reterr);
    return rc < 0 ? -1 : 0;
}

int experiments_db_load(struct db *db, struct experiments **ret, struct fail *reterr)
{
    struct experiments *x = experiments_new();
    *ret = NULL;
    if (x == NULL)
        return no_memory(reterr);
    int rc = load_rows(db, x, reterr);
    if (rc == 0 && x->n > 0) {
        *ret = x;
        return 0;
    }
    experiments_unref(x);
    return rc;
}

/* ---- creating ---- */

/* Another that runs for the same model is in the same layer: a request takes part in one. */
static int check_neighbours(const struct experiments *x, const struct catalog *catalog,
                            const struct model *m, const struct experiment *e, struct fail *reterr)
{
    for (int i = 0; x != NULL && i < x->n; i++) {
        const struct experiment *other = x->rows[i];
        bool same_layer = strcmp(other->layer, e->layer) == 0;
        if (!same_layer && catalog_model(catalog, span_of(other->model)) == m)
            return fail_set(reterr, ERR_conflict, "layer",
                            "layer: %s runs for this model in the layer %.100s, and a request "
                            "takes part in one experiment: use that layer, or stop it",
                            other->name, other->layer);
        if (same_layer && other->unit != e->unit)
            return fail_set(reterr, ERR_conflict, "unit",
                            "unit: %s has the unit %s in this layer; with another one a request "
                            "could be in both",
                            other->name, experiment_unit_name(other->unit));
    }
    return 0;
}

/* The first room in the layer that is large enough; -1 = none, *ret_free the largest. */
static int find_room(const struct experiments *x, const struct experiment *e, int wanted,
                     int *ret_largest)
{
    int at = 0;
    *ret_largest = 0;
    while (at < EXPERIMENT_SLOTS) {
        int end = EXPERIMENT_SLOTS, behind = 0;
        for (int i = 0; x != NULL && i < x->n; i++) {
            const struct experiment *o = x->rows[i];
            if (strcmp(o->layer, e->layer) != 0 || o->slot_to <= at)
                continue;
            if (o->slot_from < end) {
                end = o->slot_from;
                behind = o->slot_to;
            }
        }
        if (end - at >= wanted)
            return at;
        *ret_largest = end - at > *ret_largest ? end - at : *ret_largest;
        at = end == EXPERIMENT_SLOTS ? end : behind;
    }
    return -1;
}

static int take_slots(const struct experiments *x, struct experiment *e, int wanted,
                      struct fail *reterr)
{
    char left[MONEY_TEXT_MAX], asked[MONEY_TEXT_MAX];
    int largest;
    int at = find_room(x, e, wanted, &largest);
    if (at < 0)
        return fail_set(reterr, ERR_conflict, "share",
                        "share: the layer %.100s has %s per cent free in a row, %s are asked for: "
                        "give a smaller --share, another --layer, or stop what runs there",
                        e->layer, money_print(largest, PERCENT_SCALE, left),
                        money_print(wanted, PERCENT_SCALE, asked));
    e->slot_from = at;
    e->slot_to = at + wanted;
    return 0;
}

static int make_salt(struct experiment *e, struct fail *reterr)
{
    uint8_t bytes[(EXPERIMENT_SALT_MAX - 1) / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return fail_set(reterr, ERR_internal, NULL, "the system has no randomness to give");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(e->salt + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int insert_arms(struct db *db, const struct experiment *e, struct fail *reterr)
{
    for (int i = 0; i < e->n_arms; i++) {
        struct sqlite3_stmt *s =
            db_stmt(db, "INSERT INTO arm(experiment_id, position, name, weight, shadow, prefs)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        db_bind_int(s, 1, e->id);
        db_bind_int(s, 2, i);
        db_bind_text(s, 3, e->arms[i].name);
        db_bind_int(s, 4, e->arms[i].weight);
        db_bind_int(s, 5, e->arms[i].shadow);
        db_bind_text(s, 6, e->arms[i].text);
        if (identity_db_run(db, s, reterr) != 0)
            return -1;
    }
    return 0;
}

static int insert(struct db *db, struct experiment *e, int64_t now_ms, struct fail *reterr)
{
    struct buf metrics, guardrails;
    buf_init(&metrics, EXPERIMENT_TEXT_MAX);
    buf_init(&guardrails, EXPERIMENT_TEXT_MAX);
    experiment_write_metrics(e, &metrics);
    experiment_write_guardrails(e, &guardrails);
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO experiment(name, model, layer, slot_from, slot_to, salt, unit,"
                    " ramp, metrics, guardrails, created_ms)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
    db_bind_text(s, 1, e->name);
    db_bind_text(s, 2, e->model);
    db_bind_text(s, 3, e->layer);
    db_bind_int(s, 4, e->slot_from);
    db_bind_int(s, 5, e->slot_to);
    db_bind_text(s, 6, e->salt);
    db_bind_text(s, 7, experiment_unit_name(e->unit));
    db_bind_int(s, 8, e->ramp);
    db_bind_span(s, 9, buf_span(&metrics));
    db_bind_span(s, 10, buf_span(&guardrails));
    db_bind_int(s, 11, now_ms);
    int rc =
        metrics.failed || guardrails.failed ? no_memory(reterr) : identity_db_run(db, s, reterr);
    buf_done(&metrics);
    buf_done(&guardrails);
    e->id = db_last_id(db);
    return rc == 0 ? insert_arms(db, e, reterr) : -1;
}

static int is_used(struct db *db, const char *name, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT 1 FROM experiment WHERE name = ?1");
    db_bind_text(s, 1, name);
    int rc = db_step(db, s, reterr);
    sqlite3_reset(s);
    if (rc == 1)
        return fail_set(reterr, ERR_bad_request, "name",
                        "there is an experiment %s already: reports go by the name, it is not "
                        "used again",
                        name);
    return rc;
}

/* An arm's models are there when it begins; later the catalog may change. */
static int check_models(const struct catalog *catalog, const struct experiment *e,
                        struct fail *reterr)
{
    for (int i = 0; i < e->n_arms; i++) {
        for (int k = 0; k < e->arms[i].n_models; k++) {
            const char *name = e->arms[i].models[k].name;
            if (catalog_model(catalog, span_of(name)) == NULL)
                return fail_set(reterr, ERR_bad_request, "arms",
                                "arm %s: the catalog has no model %.255s", e->arms[i].name, name);
        }
    }
    return 0;
}

int experiment_db_create(struct db *db, const struct catalog *catalog, struct experiment *e,
                         int share_slots, int64_t now_ms, struct fail *reterr)
{
    struct experiments *running = NULL;
    const struct model *m = catalog_model(catalog, span_of(e->model));
    if (m == NULL)
        return fail_set(reterr, ERR_conflict, "model", "the catalog has no model %.255s", e->model);
    if (e->layer[0] == '\0')
        snprintf(e->layer, sizeof(e->layer), "%s", m->slug);
    if (is_used(db, e->name, reterr) != 0 || check_models(catalog, e, reterr) != 0 ||
        experiments_db_load(db, &running, reterr) != 0)
        return -1;
    int rc = check_neighbours(running, catalog, m, e, reterr);
    if (rc == 0 && running != NULL && running->n == EXPERIMENT_RUNNING_MAX)
        rc = fail_set(reterr, ERR_bad_request, "name", "%d experiments run already: stop one",
                      EXPERIMENT_RUNNING_MAX);
    if (rc == 0)
        rc = take_slots(running, e, share_slots, reterr);
    if (rc == 0)
        rc = make_salt(e, reterr);
    if (rc == 0)
        rc = insert(db, e, now_ms, reterr);
    experiments_unref(running);
    return rc;
}

/* ---- changing ---- */

/* The id of one that runs. */
static int find_running(struct db *db, const char *name, int64_t *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT id, stopped_ms IS NULL FROM experiment WHERE name = ?1");
    db_bind_text(s, 1, name);
    int rc = db_step(db, s, reterr);
    bool running = rc == 1 && db_col_int(s, 1) != 0;
    *ret = rc == 1 ? db_col_int(s, 0) : 0;
    sqlite3_reset(s);
    if (rc == 0)
        return fail_set(reterr, ERR_not_found, "name", "there is no experiment %.64s", name);
    if (rc == 1 && !running)
        return fail_set(reterr, ERR_bad_request, "name", "%.64s has been stopped", name);
    return rc == 1 ? 0 : -1;
}

int experiment_db_stop(struct db *db, const char *name, const char *reason, int64_t now_ms,
                       struct fail *reterr)
{
    char text[REASON_MAX];
    int64_t id;
    if (find_running(db, name, &id, reterr) != 0)
        return -1;
    snprintf(text, sizeof(text), "%s", reason);
    struct sqlite3_stmt *s =
        db_stmt(db, "UPDATE experiment SET stopped_ms = ?2, stop_reason = ?3 WHERE id = ?1");
    db_bind_int(s, 1, id);
    db_bind_int(s, 2, now_ms);
    db_bind_text(s, 3, text);
    return identity_db_run(db, s, reterr);
}

int experiment_db_set_ramp(struct db *db, const char *name, int ramp, struct fail *reterr)
{
    int64_t id;
    if (find_running(db, name, &id, reterr) != 0)
        return -1;
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE experiment SET ramp = ?2 WHERE id = ?1");
    db_bind_int(s, 1, id);
    db_bind_int(s, 2, ramp);
    return identity_db_run(db, s, reterr);
}

/* ---- the shape ---- */

static struct json_object *percent(int64_t slots)
{
    char text[MONEY_TEXT_MAX];
    return json_object_new_double_s((double)slots / 100, money_print(slots, PERCENT_SCALE, text));
}

#define EXPERIMENT_COLUMNS                                                                         \
    "SELECT id, name, model, layer, unit, slot_to - slot_from, ramp, metrics, guardrails,"         \
    " created_ms, stopped_ms, stop_reason FROM experiment "

static struct json_object *arms_array(struct db *db, int64_t id, struct fail *reterr)
{
    struct json_object *arms = json_object_new_array();
    struct sqlite3_stmt *s = db_stmt(db, ARMS);
    int rc;
    db_bind_int(s, 1, id);
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct json_object *arm = json_object_new_object();
        json_object_object_add(arm, "name", json_object_new_string(db_col_text(s, 0)));
        json_object_object_add(arm, "weight", json_object_new_int64(db_col_int(s, 1)));
        json_object_object_add(arm, "shadow", json_object_new_boolean(db_col_int(s, 2) != 0));
        json_object_object_add(arm, "prefs", json_tokener_parse(db_col_text(s, 3)));
        json_object_array_add(arms, arm);
    }
    if (rc == 0)
        return arms;
    json_object_put(arms);
    return NULL;
}

/* Of a row of EXPERIMENT_COLUMNS that was not stopped: why nobody takes part all the same; "" = it
 * runs. */
static int find_unreadable(struct db *db, struct sqlite3_stmt *s, char why[EXPERIMENT_WHY_MAX],
                           struct fail *reterr)
{
    struct experiment *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return no_memory(reterr);
    e->id = db_col_int(s, 0);
    take_unit(e, db_col_text(s, 4));
    int rc = load_arms(db, e, reterr);
    memcpy(why, e->unreadable, EXPERIMENT_WHY_MAX);
    experiment_done(e);
    free(e);
    return rc;
}

/* NULL with reterr. */
static struct json_object *experiment_object(struct db *db, struct sqlite3_stmt *s,
                                             struct fail *reterr)
{
    char unreadable[EXPERIMENT_WHY_MAX] = "";
    bool stopped = !db_col_null(s, 10);
    if (!stopped && find_unreadable(db, s, unreadable, reterr) != 0)
        return NULL;
    struct json_object *arms = arms_array(db, db_col_int(s, 0), reterr);
    if (arms == NULL)
        return NULL;
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "name", json_object_new_string(db_col_text(s, 1)));
    json_object_object_add(o, "status",
                           json_object_new_string(stopped                 ? "stopped"
                                                  : unreadable[0] != '\0' ? "unreadable"
                                                                          : "running"));
    json_object_object_add(o, "model", json_object_new_string(db_col_text(s, 2)));
    json_object_object_add(o, "layer", json_object_new_string(db_col_text(s, 3)));
    json_object_object_add(o, "unit", json_object_new_string(db_col_text(s, 4)));
    json_object_object_add(o, "share", percent(db_col_int(s, 5)));
    json_object_object_add(o, "ramp", percent(db_col_int(s, 6)));
    json_object_object_add(o, "arms", arms);
    json_object_object_add(o, "metrics", json_tokener_parse(db_col_text(s, 7)));
    json_object_object_add(o, "guardrails", json_tokener_parse(db_col_text(s, 8)));
    json_object_object_add(o, "created_at", shape_time(db_col_int(s, 9)));
    json_object_object_add(o, "stopped_at", shape_time(db_col_int(s, 10)));
    json_object_object_add(o, "stop_reason",
                           unreadable[0] != '\0' ? json_object_new_string(unreadable)
                                                 : shape_column(s, 11));
    return o;
}

int experiment_db_get(struct db *db, const char *name, struct json_object **ret,
                      struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, EXPERIMENT_COLUMNS "WHERE name = ?1");
    db_bind_text(s, 1, name);
    int rc = db_step(db, s, reterr);
    struct json_object *o = rc == 1 ? experiment_object(db, s, reterr) : NULL;
    sqlite3_reset(s);
    if (rc == 0)
        return fail_set(reterr, ERR_not_found, "name", "there is no experiment %.64s", name);
    *ret = o;
    return o != NULL ? 0 : -1;
}

int experiment_db_list(struct db *db, struct json_object **ret, struct fail *reterr)
{
    struct json_object *rows = json_object_new_array();
    struct sqlite3_stmt *s = db_stmt(db, EXPERIMENT_COLUMNS "ORDER BY id DESC");
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct json_object *o = experiment_object(db, s, reterr);
        if (o == NULL) {
            rc = -1;
            break;
        }
        json_object_array_add(rows, o);
    }
    sqlite3_reset(s);
    if (rc != 0) {
        json_object_put(rows);
        return -1;
    }
    *ret = json_object_new_object();
    json_object_object_add(*ret, "data", rows);
    return 0;
}

/* ---- who got no answer ---- */

int experiment_db_unserved(struct db *db, const struct experiment_unserved *u, struct fail *reterr)
{
    const struct ledger_request *r = &u->request;
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model,"
                    " door, experiment, arm, unit, status, http_status, ended_ms)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'error', ?11, ?12)"
                    " ON CONFLICT(id) DO NOTHING");
    db_bind_blob(s, 1, u->request_id.b, sizeof(u->request_id.b));
    db_bind_int(s, 2, r->created_ms);
    db_bind_int(s, 3, u->team_id);
    db_bind_int(s, 4, u->key_id);
    db_bind_int(s, 5, r->stream);
    db_bind_text(s, 6, r->requested_model);
    db_bind_text(s, 7, r->door);
    db_bind_text(s, 8, r->experiment);
    db_bind_text(s, 9, r->arm);
    db_bind_int(s, 10, r->unit);
    db_bind_int(s, 11, u->http_status);
    db_bind_int(s, 12, u->ended_ms);
    return identity_db_run(db, s, reterr);
}

/* ---- feedback ---- */

/* *ret: the experiment of the generation. */
static int find_experiment(struct db *db, const struct id *generation, int64_t team_id,
                           char ret[EXPERIMENT_NAME_MAX], struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT team_id, experiment FROM request WHERE id = ?1");
    db_bind_blob(s, 1, generation->b, sizeof(generation->b));
    int rc = db_step(db, s, reterr);
    bool own = rc == 1 && db_col_int(s, 0) == team_id;
    if (own)
        db_col_copy(s, 1, ret, EXPERIMENT_NAME_MAX);
    sqlite3_reset(s);
    if (rc < 0)
        return -1;
    if (!own)
        return fail_set(reterr, ERR_not_found, "generation_id", "there is no such generation");
    if (ret[0] == '\0')
        return fail_set(reterr, ERR_bad_request, "generation_id",
                        "generation_id: this generation took part in no experiment");
    return 0;
}

static int check_metric(struct db *db, const char *experiment, const char *metric,
                        struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT max(m.value ->> 'name' = ?2), group_concat(m.value ->> 'name', ', ')"
                    " FROM experiment e, json_each(e.metrics) m WHERE e.name = ?1");
    db_bind_text(s, 1, experiment);
    db_bind_text(s, 2, metric);
    int rc = db_step(db, s, reterr);
    if (rc == 1 && db_col_int(s, 0) == 0)
        rc = fail_set(reterr, ERR_bad_request, "metric",
                      "metric must be one of the experiment's: %s has %.256s", experiment,
                      db_col_null(s, 1) ? "none" : db_col_text(s, 1));
    sqlite3_reset(s);
    return rc == 1 ? 0 : -1;
}

int feedback_db_put(struct db *db, const struct id *generation, int64_t team_id, const char *metric,
                    double value, int64_t now_ms, struct fail *reterr)
{
    char experiment[EXPERIMENT_NAME_MAX] = "";
    if (find_experiment(db, generation, team_id, experiment, reterr) != 0 ||
        check_metric(db, experiment, metric, reterr) != 0)
        return -1;
    struct sqlite3_stmt *s =
        db_stmt(db, "INSERT INTO feedback(request_id, metric, value, at_ms) VALUES (?1, ?2, ?3, ?4)"
                    " ON CONFLICT(request_id, metric) DO UPDATE SET value = excluded.value,"
                    " at_ms = excluded.at_ms");
    db_bind_blob(s, 1, generation->b, sizeof(generation->b));
    db_bind_text(s, 2, metric);
    sqlite3_bind_double(s, 3, value);
    db_bind_int(s, 4, now_ms);
    return identity_db_run(db, s, reterr);
}
