/* The routes of the admin listener. */
#include "server/admin_route.h"

#include <stdlib.h>
#include <string.h>

#include "server/admin.h"

enum { ARGS_DEPTH_MAX = 64 };

static const struct admin_query usage_query[] = {
    {"by", QUERY_TEXT}, {"since", QUERY_TEXT}, {"until", QUERY_TEXT}, {0}};
static const struct admin_query key_query[] = {{"team", QUERY_TEXT}, {0}};
static const struct admin_query generation_query[] = {
    {"key", QUERY_TEXT}, {"team", QUERY_TEXT}, {"since", QUERY_TEXT}, {"limit", QUERY_COUNT}, {0}};
static const struct admin_query list_query[] = {
    {"model", QUERY_TEXT}, {"provider", QUERY_TEXT}, {0}};
static const struct admin_query remove_query[] = {
    {"model", QUERY_TEXT}, {"provider", QUERY_TEXT}, {"dry_run", QUERY_FLAG}, {0}};
static const struct admin_query import_query[] = {
    {"format", QUERY_TEXT}, {"dry_run", QUERY_FLAG}, {0}};
static const struct admin_query reconcile_query[] = {
    {"format", QUERY_TEXT}, {"provider", QUERY_TEXT}, {"apply", QUERY_FLAG}, {0}};
static const struct admin_query route_query[] = {{"key", QUERY_TEXT}, {0}};

/* clang-format off */
const struct admin_route admin_routes[] = {
    {"POST", "/admin/v1/op", ADMIN_ANY_OP, NULL, NULL, NULL, NULL, ADMIN_IMPORT_MAX},
    {"GET", "/admin/v1/teams", ADMIN_OP, "team list", NULL, NULL, NULL, 0},
    {"POST", "/admin/v1/teams", ADMIN_OP, "team create", NULL, NULL, NULL, ADMIN_BODY_MAX},
    {"PATCH", "/admin/v1/teams/*", ADMIN_OP, "team set", "name", NULL, NULL, ADMIN_BODY_MAX},
    {"GET", "/admin/v1/keys", ADMIN_OP, "key list", NULL, NULL, key_query, 0},
    {"POST", "/admin/v1/keys", ADMIN_OP, "key create", NULL, NULL, NULL, ADMIN_BODY_MAX},
    {"PATCH", "/admin/v1/keys/*", ADMIN_OP, "key set", "id", NULL, NULL, ADMIN_BODY_MAX},
    {"DELETE", "/admin/v1/keys/*", ADMIN_OP, "key revoke", "id", NULL, NULL, 0},
    {"POST", "/admin/v1/keys/*/rotate", ADMIN_OP, "key rotate", "id", NULL, NULL, ADMIN_BODY_MAX},
    {"GET", "/admin/v1/usage", ADMIN_OP, "usage", NULL, NULL, usage_query, 0},
    {"GET", "/admin/v1/generations", ADMIN_OP, "generation list", NULL, NULL, generation_query, 0},
    {"GET", "/admin/v1/generations/*", ADMIN_OP, "generation get", "id", NULL, NULL, 0},
    {"GET", "/admin/v1/catalog", ADMIN_OP_TEXT, "catalog export", NULL, NULL, NULL, 0},
    {"POST", "/admin/v1/catalog", ADMIN_OP, "catalog import", NULL, "text", import_query, CATALOG_FILE_MAX},
    {"GET", "/admin/v1/endpoints", ADMIN_OP, "catalog list", NULL, NULL, list_query, 0},
    {"DELETE", "/admin/v1/endpoints", ADMIN_OP, "catalog remove", NULL, NULL, remove_query, 0},
    {"POST", "/admin/v1/route", ADMIN_OP, "route", NULL, "body", route_query, 32 * ADMIN_BODY_MAX},
    {"GET", "/admin/v1/experiments", ADMIN_OP, "experiment list", NULL, NULL, NULL, 0},
    {"POST", "/admin/v1/experiments", ADMIN_OP, "experiment create", NULL, NULL, NULL, 32 * ADMIN_BODY_MAX},
    {"GET", "/admin/v1/experiments/*", ADMIN_OP, "experiment show", "name", NULL, NULL, 0},
    {"PATCH", "/admin/v1/experiments/*", ADMIN_OP, "experiment set", "name", NULL, NULL, ADMIN_BODY_MAX},
    {"POST", "/admin/v1/experiments/*/stop", ADMIN_OP, "experiment stop", "name", NULL, NULL, ADMIN_BODY_MAX},
    {"POST", "/admin/v1/replay", ADMIN_OP, "replay", NULL, NULL, NULL, ADMIN_IMPORT_MAX},
    {"GET", "/admin/v1/ledger/verify", ADMIN_OP, "ledger verify", NULL, NULL, NULL, 0},
    {"POST", "/admin/v1/ledger/prune", ADMIN_OP, "ledger prune", NULL, NULL, NULL, ADMIN_BODY_MAX},
    {"POST", "/admin/v1/ledger/reconcile", ADMIN_OP, "ledger reconcile", NULL, "text", reconcile_query, CATALOG_FILE_MAX},
    {"POST", "/admin/v1/backup", ADMIN_OP, "backup", NULL, NULL, NULL, ADMIN_BODY_MAX},
    {"GET", "/metrics", ADMIN_METRICS, NULL, NULL, NULL, NULL, 0},
    {"GET", "/", ADMIN_PAGE, NULL, NULL, NULL, NULL, 0},
    {0}};
/* clang-format on */

/* ---- finding ---- */

static bool path_matches(const char *pattern, const char *path, struct span *ret_segment)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(star - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t n = strcspn(path + before, "/");
    if (n == 0 || strcmp(path + before + n, star + 1) != 0)
        return false;
    *ret_segment = (struct span){path + before, n};
    return true;
}

const struct admin_route *admin_route_find(const char *method, const char *path,
                                           struct span *ret_segment, struct buf *ret_allow,
                                           struct fail *reterr)
{
    struct span segment = {NULL, 0};
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (const struct admin_route *r = admin_routes; r->method != NULL; r++) {
        if (!path_matches(r->path, path, &segment))
            continue;
        if (strcmp(r->method, wanted) == 0) {
            *ret_segment = segment;
            return r;
        }
        buf_addf(ret_allow, "%s%s", ret_allow->len > 0 ? ", " : "",
                 strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method);
    }
    if (ret_allow->len > 0)
        fail_set(reterr, ERR_method_not_allowed, NULL, "this path takes %s", ret_allow->ptr);
    else
        fail_set(reterr, ERR_not_found, NULL, "there is nothing at this path");
    return NULL;
}

/* ---- arguments ---- */

static int parse_object(struct span body, struct json_object **ret, struct fail *reterr)
{
    struct json_tokener *t = json_tokener_new_ex(ARGS_DEPTH_MAX);
    if (t == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    struct json_object *o = json_tokener_parse_ex(t, body.ptr, (int)body.len);
    bool whole = json_tokener_get_error(t) == json_tokener_success &&
                 json_tokener_get_parse_end(t) == body.len;
    json_tokener_free(t);
    if (!whole || !json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        return fail_set(reterr, ERR_bad_request, NULL, "the body must be a JSON object");
    }
    *ret = o;
    return 0;
}

int admin_route_args(const struct admin_route *r, struct span segment, struct span body,
                     struct json_object **ret, struct fail *reterr)
{
    struct json_object *args = NULL;
    if (r->body_arg != NULL || body.len == 0)
        args = json_object_new_object();
    else if (parse_object(body, &args, reterr) != 0)
        return -1;
    if (r->body_arg != NULL)
        json_object_object_add(
            args, r->body_arg,
            json_object_new_string_len(body.len > 0 ? body.ptr : "", (int)body.len));
    if (r->path_arg != NULL && json_object_object_get_ex(args, r->path_arg, NULL)) {
        json_object_put(args);
        return fail_set(reterr, ERR_bad_request, r->path_arg,
                        "%s stands in the path and cannot be changed", r->path_arg);
    }
    if (r->path_arg != NULL)
        json_object_object_add(args, r->path_arg,
                               json_object_new_string_len(segment.ptr, (int)segment.len));
    *ret = args;
    return 0;
}

static struct json_object *query_value(enum admin_query_kind kind, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    switch (kind) {
    case QUERY_TEXT:
        return json_object_new_string(value);
    case QUERY_COUNT:
        if (digits == 0 || digits > 18 || value[digits] != '\0')
            return NULL;
        return json_object_new_int64(strtoll(value, NULL, 10));
    case QUERY_FLAG:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return NULL;
        return json_object_new_boolean(value[0] == 't');
    }
    return NULL;
}

int admin_route_query(const struct admin_route *r, const char *name, const char *value,
                      struct json_object *args, struct fail *reterr)
{
    for (const struct admin_query *q = r->query; q != NULL && q->name != NULL; q++) {
        if (strcmp(q->name, name) != 0)
            continue;
        struct json_object *v = query_value(q->kind, value != NULL ? value : "");
        if (v == NULL || json_object_object_get_ex(args, name, NULL)) {
            json_object_put(v);
            return fail_set(reterr, ERR_bad_request, name, "%s is not valid or given twice", name);
        }
        json_object_object_add(args, name, v);
        return 0;
    }
    return fail_set(reterr, ERR_bad_request, name, "unknown query argument %.64s", name);
}

struct json_object *admin_error_object(const struct fail *f)
{
    const struct err_info *info = err_info(f->code);
    struct json_object *error = json_object_new_object();
    json_object_object_add(error, "type", json_object_new_string(info->anthropic_type));
    json_object_object_add(error, "message",
                           json_object_new_string(f->text[0] != '\0' ? f->text : info->text));
    json_object_object_add(error, "code", json_object_new_string(info->name));
    if (f->field[0] != '\0')
        json_object_object_add(error, "field", json_object_new_string(f->field));
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "type", json_object_new_string("error"));
    json_object_object_add(o, "error", error);
    return o;
}
