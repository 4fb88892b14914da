/* Importing, exporting and listing the catalog, and taking endpoints out of it. */
#include <stdio.h>

#include "router/args.h"
#include "router/catalog_db.h"
#include "router/catalog_file.h"
#include "schema/money.h"
#include "server/ops.h"

enum { IMPORT_LINES_MAX = 200000, REASON_MAX = 16 * 1024 };

struct catalog *ops_catalog(struct ops_env *env, struct fail *reterr)
{
    if (env->state != NULL)
        return state_catalog(env->state);
    return catalog_db_load(env->db, catalog_secret_from_system, NULL, reterr);
}

/* ---- import ---- */

struct import_args {
    struct arg_text text, format;
    struct arg_flag builtin, dry_run;
};

static const struct arg_spec import_specs[] = {
    {"text", ARG_TEXT, offsetof(struct import_args, text), false},
    {"format", ARG_TEXT, offsetof(struct import_args, format), false},
    {"builtin", ARG_FLAG, offsetof(struct import_args, builtin), false},
    {"dry_run", ARG_FLAG, offsetof(struct import_args, dry_run), false},
    {0}};

/* What an import tells, line by line. */
struct import_report {
    struct json_object *changes, *refused, *remarks;
    bool own; /* the built-in catalog: what there is to remark is known */
};

static void on_note(void *ctx, const struct catalog_note *note)
{
    struct import_report *r = ctx;
    struct json_object *list = note->refused ? r->refused : r->remarks;
    if (json_object_array_length(list) >= IMPORT_LINES_MAX || (r->own && !note->refused))
        return;
    struct json_object *row = json_object_new_object();
    json_object_object_add(row, "path", json_object_new_string(note->path));
    json_object_object_add(row, "reason", json_object_new_string(note->reason));
    json_object_array_add(list, row);
}

static void on_change(void *ctx, const char *line)
{
    struct import_report *r = ctx;
    if (json_object_array_length(r->changes) < IMPORT_LINES_MAX)
        json_object_array_add(r->changes, json_object_new_string(line));
}

/* An import stores references to secrets and needs none of them. */
static struct secret no_secret(void *ctx, enum credential_kind kind, const char *ref)
{
    (void)ctx;
    (void)kind;
    (void)ref;
    return (struct secret){.text = NULL};
}

struct catalog *ops_catalog_read(struct span text, enum catalog_format format, catalog_note_fn note,
                                 void *ctx, struct fail *reterr)
{
    struct catalog *catalog = NULL;
    struct catalog_builder *b = catalog_builder_new();
    if (b == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory for the catalog");
        return NULL;
    }
    if (catalog_file_read(text, format, b, note, ctx, reterr) == 0) {
        catalog = catalog_freeze(b, 0, no_secret, NULL);
        if (catalog == NULL)
            fail_set(reterr, ERR_internal, NULL, "out of memory for the catalog");
    }
    catalog_builder_free(b);
    return catalog;
}

static int import_source(const struct import_args *a, struct span *ret_text,
                         enum catalog_format *ret_format, struct fail *reterr)
{
    if (a->builtin.value == (a->text.value != NULL))
        return fail_set(reterr, ERR_bad_request, "text", "give either text or builtin");
    *ret_text = a->builtin.value ? catalog_builtin() : span_of(a->text.value);
    *ret_format = a->builtin.value ? CATALOG_WAYFARE : catalog_format_guess(*ret_text);
    if (a->format.value != NULL && !catalog_format_parse(a->format.value, ret_format))
        return fail_set(reterr, ERR_bad_request, "format",
                        "format must be wayfare, litellm, models.dev or openrouter");
    return 0;
}

static struct json_object *import_result(const struct catalog_changes *c, bool dry_run,
                                         const struct import_report *report)
{
    const struct {
        const char *name;
        int n;
    } counts[] = {
        {"providers_added", c->providers_added}, {"providers_changed", c->providers_changed},
        {"models_added", c->models_added},       {"models_changed", c->models_changed},
        {"endpoints_added", c->added},           {"endpoints_changed", c->changed},
        {"endpoints_unchanged", c->unchanged},   {"prices_added", c->prices_added}};
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "dry_run", json_object_new_boolean(dry_run));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        json_object_object_add(o, counts[i].name, json_object_new_int(counts[i].n));
    json_object_object_add(o, "changes", json_object_get(report->changes));
    json_object_object_add(o, "refused", json_object_get(report->refused));
    json_object_object_add(o, "remarks", json_object_get(report->remarks));
    return o;
}

static int import_into(struct ops_env *env, const struct import_args *a,
                       struct import_report *report, struct json_object **ret, struct fail *reterr)
{
    struct span text;
    enum catalog_format format;
    struct catalog_changes changes = {0};
    if (import_source(a, &text, &format, reterr) != 0)
        return -1;
    struct catalog *incoming = ops_catalog_read(text, format, on_note, report, reterr);
    if (incoming == NULL)
        return -1;
    int rc = catalog_db_merge(env->db, incoming, on_change, report, &changes, reterr);
    catalog_unref(incoming);
    if (rc != 0)
        return -1;
    *ret = import_result(&changes, a->dry_run.value, report);
    return a->dry_run.value ? OP_UNDO : OP_DONE;
}

int op_catalog_import(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr)
{
    struct import_args a = {0};
    if (args_read(args, import_specs, &a, reterr) != 0)
        return -1;
    struct import_report report = {json_object_new_array(), json_object_new_array(),
                                   json_object_new_array(), a.builtin.value};
    int rc = import_into(env, &a, &report, ret, reterr);
    json_object_put(report.changes);
    json_object_put(report.refused);
    json_object_put(report.remarks);
    return rc;
}

/* ---- export ---- */

/* {"text": the file}: as text, so that its layout survives the way to the user. */
int op_catalog_export(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr)
{
    static const struct arg_spec none[] = {{0}};
    if (args_read(args, none, NULL, reterr) != 0)
        return -1;
    struct catalog *catalog = ops_catalog(env, reterr);
    if (catalog == NULL)
        return -1;
    struct buf out;
    buf_init(&out, CATALOG_FILE_MAX);
    int rc = 0;
    if (catalog_file_write(catalog, &out) != 0 || out.failed)
        rc = fail_set(reterr, ERR_internal, NULL, "the catalog is too large to be written");
    if (rc == 0) {
        *ret = json_object_new_object();
        json_object_object_add(*ret, "text", json_object_new_string_len(out.ptr, (int)out.len));
    }
    buf_done(&out);
    catalog_unref(catalog);
    return rc;
}

/* ---- list and remove: the endpoints of a model, of a provider, or of both ---- */

struct pick_args {
    struct arg_text model, provider;
    struct arg_flag dry_run; /* of remove */
};

static struct json_object *pricing_object(const struct price *price)
{
    struct json_object *o = json_object_new_object();
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        char text[MONEY_TEXT_MAX];
        enum price_item item = (enum price_item)i;
        if (price->base.pusd[i] >= 0)
            json_object_object_add(o, price_item_name(item),
                                   json_object_new_string(money_print(
                                       price->base.pusd[i], price_item_scale(item), text)));
    }
    json_object_object_add(o, "tiers", json_object_new_int(price->n_tiers));
    return o;
}

static struct json_object *count_or_null(int64_t n)
{
    return n > 0 ? json_object_new_int64(n) : NULL;
}

static struct json_object *term_or_null(const char *term)
{
    return term[0] != '\0' ? json_object_new_string(term) : NULL;
}

static const char *endpoint_status(const struct endpoint *e)
{
    if (e->provider->adapter == NULL)
        return "no adapter";
    if (e->provider->base_url[0] == '\0')
        return "no base_url";
    if (!price_is_routable(&e->price))
        return "unpriced";
    return provider_credential(e->provider, 0) != NULL ? "ready" : "no credential";
}

/* What is wrong with the provider's credentials; NULL = nothing.  The operator's alone. */
static struct json_object *credentials_reason(const struct provider_row *p)
{
    struct json_object *reason = NULL;
    struct buf text;
    buf_init(&text, REASON_MAX);
    for (int i = 0; i < p->n_credentials; i++) {
        const struct credential *c = &p->credentials[i];
        const char *what = c->fault != NULL ? c->fault : c->why;
        if (what != NULL)
            buf_addf(&text, "%s%s%s", text.len > 0 ? "; " : "", what,
                     c->secret != NULL ? " (its last secret is in use)" : "");
    }
    if (p->n_credentials == 0)
        buf_adds(&text, "the catalog names none");
    if (text.len > 0)
        reason = json_object_new_string_len(text.ptr, (int)text.len);
    buf_done(&text);
    return reason;
}

static struct json_object *endpoint_object(const struct endpoint *e)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "model", json_object_new_string(e->model->slug));
    json_object_object_add(o, "provider", json_object_new_string(e->slug));
    json_object_object_add(o, "upstream_model", json_object_new_string(e->upstream_model));
    json_object_object_add(o, "context_length", count_or_null(e->context_length));
    json_object_object_add(o, "max_completion_tokens", count_or_null(e->max_completion_tokens));
    json_object_object_add(o, "quantization",
                           json_object_new_string(quantization_name(e->quantization)));
    json_object_object_add(o, "speed", term_or_null(e->speed));
    json_object_object_add(o, "inference_geo", term_or_null(e->geo));
    json_object_object_add(o, "pricing", pricing_object(&e->price));
    json_object_object_add(o, "price_version", json_object_new_int64(e->price_version));
    json_object_object_add(o, "status", json_object_new_string(endpoint_status(e)));
    json_object_object_add(o, "reason", credentials_reason(e->provider));
    return o;
}

static bool provider_matches(const struct endpoint *e, const char *provider)
{
    return provider == NULL || strcmp(e->provider->slug, provider) == 0 ||
           strcmp(e->slug, provider) == 0;
}

static bool has_provider(const struct catalog *c, const char *provider)
{
    bool found = catalog_provider(c, span_of(provider)) != NULL;
    for (int i = 0; i < c->n_endpoints && !found; i++)
        found = strcmp(c->endpoints[i].slug, provider) == 0;
    return found;
}

/* One endpoint that was picked: 0, or -1 with reterr. */
typedef int pick_fn(void *ctx, const struct endpoint *e, struct fail *reterr);

static int pick_endpoints(const struct catalog *c, const struct pick_args *a, pick_fn *fn,
                          void *ctx, struct fail *reterr)
{
    const struct model *only = NULL;
    if (a->model.value != NULL) {
        only = catalog_model(c, span_of(a->model.value));
        if (only == NULL)
            return fail_set(reterr, ERR_not_found, "model", "there is no model %.128s",
                            a->model.value);
    }
    if (a->provider.value != NULL && !has_provider(c, a->provider.value))
        return fail_set(reterr, ERR_not_found, "provider", "there is no provider %.128s",
                        a->provider.value);
    for (int m = 0; m < c->n_models; m++) {
        const struct model *model = &c->models[m];
        for (int i = 0; (only == NULL || model == only) && i < model->n_endpoints; i++) {
            if (provider_matches(model->endpoints[i], a->provider.value) &&
                fn(ctx, model->endpoints[i], reterr) != 0)
                return -1;
        }
    }
    return 0;
}

static int list_one(void *ctx, const struct endpoint *e, struct fail *reterr)
{
    (void)reterr;
    struct json_object *list = ctx;
    json_object_array_add(list, endpoint_object(e));
    return 0;
}

int op_catalog_list(struct ops_env *env, struct json_object *args, struct json_object **ret,
                    struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"model", ARG_TEXT, offsetof(struct pick_args, model), false},
        {"provider", ARG_TEXT, offsetof(struct pick_args, provider), false},
        {0}};
    struct pick_args a = {0};
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    struct catalog *catalog = ops_catalog(env, reterr);
    if (catalog == NULL)
        return -1;
    struct json_object *list = json_object_new_array();
    int rc = pick_endpoints(catalog, &a, list_one, list, reterr);
    catalog_unref(catalog);
    if (rc != 0) {
        json_object_put(list);
        return -1;
    }
    *ret = json_object_new_object();
    json_object_object_add(*ret, "data", list);
    return 0;
}

struct removal {
    struct db *db;
    struct json_object *changes; /* lines */
};

static int remove_one(void *ctx, const struct endpoint *e, struct fail *reterr)
{
    struct removal *r = ctx;
    char line[4 * CATALOG_SLUG_MAX];
    snprintf(line, sizeof line, "removed %s at %s", e->model->slug, e->slug);
    json_object_array_add(r->changes, json_object_new_string(line));
    return catalog_db_remove(r->db, e->id, reterr);
}

static int remove_endpoints(struct ops_env *env, const struct pick_args *a,
                            struct json_object *changes, struct fail *reterr)
{
    struct removal r = {env->db, changes};
    if (a->model.value == NULL && a->provider.value == NULL)
        return fail_set(reterr, ERR_bad_request, "provider",
                        "say what to remove: a model, a provider, or both");
    struct catalog *catalog = catalog_db_load(env->db, no_secret, NULL, reterr);
    if (catalog == NULL)
        return -1;
    int rc = pick_endpoints(catalog, a, remove_one, &r, reterr);
    catalog_unref(catalog);
    if (rc == 0 && json_object_array_length(changes) == 0)
        return fail_set(reterr, ERR_not_found, a->model.value != NULL ? "model" : "provider",
                        "no endpoint of it is in the catalog");
    return rc;
}

int op_catalog_remove(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"model", ARG_TEXT, offsetof(struct pick_args, model), false},
        {"provider", ARG_TEXT, offsetof(struct pick_args, provider), false},
        {"dry_run", ARG_FLAG, offsetof(struct pick_args, dry_run), false},
        {0}};
    struct pick_args a = {0};
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    struct json_object *changes = json_object_new_array();
    if (remove_endpoints(env, &a, changes, reterr) != 0) {
        json_object_put(changes);
        return -1;
    }
    *ret = json_object_new_object();
    json_object_object_add(*ret, "dry_run", json_object_new_boolean(a.dry_run.value));
    json_object_object_add(*ret, "endpoints_removed",
                           json_object_new_int64((int64_t)json_object_array_length(changes)));
    json_object_object_add(*ret, "changes", changes);
    return a.dry_run.value ? OP_UNDO : OP_DONE;
}
