/* The replay of recorded traffic: its catalog, preferences and discounts, and what is assumed. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/catalog_db.h"
#include "router/replay_db.h"
#include "router/usage_db.h"
#include "server/ops.h"

struct replay_args {
    struct arg_count since, until;
    struct arg_text team, catalog;
    struct arg_json prefs, discount;
    struct arg_flag builtin;
};

static const struct arg_spec replay_specs[] = {
    {"since", ARG_TIME, offsetof(struct replay_args, since), false},
    {"until", ARG_TIME, offsetof(struct replay_args, until), false},
    {"team", ARG_TEXT, offsetof(struct replay_args, team), false},
    {"prefs", ARG_JSON, offsetof(struct replay_args, prefs), false},
    {"catalog", ARG_TEXT, offsetof(struct replay_args, catalog), false},
    {"builtin", ARG_FLAG, offsetof(struct replay_args, builtin), false},
    {"discount", ARG_JSON, offsetof(struct replay_args, discount), false},
    {0}};

/* ---- what the report says of itself ---- */

static void add_note(struct json_object *notes, const char *text)
{
    json_object_array_add(notes, json_object_new_string(text));
}

static struct json_object *notes_of(const struct replay_args *a, int n_refused)
{
    struct json_object *notes = json_object_new_array();
    char text[256];
    add_note(notes, a->catalog.value != NULL ? "prices: those of the catalog file"
                    : a->builtin.value       ? "prices: those of the built-in catalog"
                                             : "prices: those now in force, not those of then");
    add_note(notes, a->prefs.value != NULL
                        ? "choice: the first endpoint of a plan for the tokens of each attempt, "
                          "under the lists of its key; every endpoint healthy, every provider "
                          "usable; where the order is drawn, one draw for each attempt, seeded by "
                          "its id"
                        : "choice: every attempt stays on the endpoint that served it");
    if (a->prefs.value != NULL)
        add_note(notes,
                 "order and provider_max_total_cost: by what each attempt itself costs there; "
                 "a server orders by what it expects, with the turns that will follow in a "
                 "conversation, and compares the cap with the worst case");
    add_note(notes, "caches: what was read or written would have been so elsewhere, at that "
                    "endpoint's prices, or at the prompt's where it has none for caches");
    add_note(notes, "kept: attempts that cost something else than their tokens say (estimates) "
                    "count with what they cost");
    if (n_refused > 0) {
        snprintf(text, sizeof(text),
                 "%d entries of the catalog file were left out: catalog import --dry-run says why",
                 n_refused);
        add_note(notes, text);
    }
    return notes;
}

/* ---- catalogs ---- */

static void on_note(void *ctx, const struct catalog_note *note)
{
    int *n_refused = ctx;
    *n_refused += note->refused;
}

static int read_discounts(struct json_object *value, struct replay_discounts *ret,
                          struct fail *reterr)
{
    bool list = json_object_is_type(value, json_type_array);
    size_t n = list ? json_object_array_length(value) : value != NULL;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = list ? json_object_array_get_idx(value, i) : value;
        if (!json_object_is_type(v, json_type_string))
            return fail_set(reterr, ERR_bad_request, "discount",
                            "discount must be a string or a list of strings");
        if (replay_discount_add(ret, json_object_get_string(v), reterr) != 0)
            return -1;
    }
    return 0;
}

/* The catalog to replay on, from the file or from the ledger's own. */
static struct catalog *replayed(const struct replay_args *a, struct catalog *own, int *ret_refused,
                                struct fail *reterr)
{
    struct replay_discounts discounts = {.n = 0};
    struct catalog *file = NULL;
    if (read_discounts(a->discount.value, &discounts, reterr) != 0)
        return NULL;
    if (a->builtin.value && a->catalog.value != NULL) {
        fail_set(reterr, ERR_bad_request, "catalog", "give either catalog or builtin");
        return NULL;
    }
    if (a->builtin.value || a->catalog.value != NULL) {
        struct span text = a->builtin.value ? catalog_builtin() : span_of(a->catalog.value);
        file = ops_catalog_read(text, catalog_format_guess(text), on_note, ret_refused, reterr);
        if (file == NULL)
            return NULL;
    }
    struct catalog *ret = replay_catalog(file != NULL ? file : own, &discounts, reterr);
    catalog_unref(file);
    return ret;
}

/* ---- the operation ---- */

static int run(struct db *db, const struct replay_args *a, const struct catalog *catalog,
               struct replay_source *source, struct json_object **ret, struct fail *reterr)
{
    struct replay *r = malloc(sizeof(*r));
    if (r == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    replay_init(r, catalog);
    int rc = a->prefs.value != NULL ? replay_prefs(r, args_json_text(a->prefs.value), reterr) : 0;
    if (rc == 0)
        rc = replay_db_run(db, r, source, ret, reterr);
    replay_done(r);
    free(r);
    return rc;
}

/* Over the connection's own view of catalog and keys, as of the attempts. */
static int load_and_run(struct ops_env *env, const struct replay_args *a, struct json_object **ret,
                        struct fail *reterr)
{
    struct replay_source source = {.team = a->team.value};
    int n_refused = 0;
    struct catalog *own = catalog_db_load(env->db, NULL, NULL, reterr), *catalog = NULL;
    struct identity *keys = own != NULL ? identity_load(env->db, reterr) : NULL;
    int rc = keys != NULL
                 ? usage_db_time(&a->since, &a->until, identity_now_ms(), &source.span, reterr)
                 : -1;
    if (rc == 0 && (catalog = replayed(a, own, &n_refused, reterr)) == NULL)
        rc = -1;
    source.catalog = own;
    source.keys = keys;
    if (rc == 0)
        rc = run(env->db, a, catalog, &source, ret, reterr);
    if (rc == 0)
        json_object_object_add(*ret, "notes", notes_of(a, n_refused));
    catalog_unref(catalog);
    identity_unref(keys);
    catalog_unref(own);
    return rc;
}

int op_replay(struct ops_env *env, struct json_object *args, struct json_object **ret,
              struct fail *reterr)
{
    struct replay_args a = {.team = {.given = false}};
    if (args_read(args, replay_specs, &a, reterr) != 0)
        return -1;
    return load_and_run(env, &a, ret, reterr);
}
