/* Operations on experiments. */
#include <stdlib.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/experiment_db.h"
#include "router/experiment_report_db.h"
#include "server/ops.h"

struct name_args {
    struct arg_text name, reason;
    struct arg_json ramp;
};

static int create(struct ops_env *env, struct json_object *args, struct experiment *e,
                  struct json_object **ret, struct fail *reterr)
{
    int share_slots;
    if (experiment_read(args, e, &share_slots, reterr) != 0)
        return -1;
    struct catalog *catalog = ops_catalog(env, reterr);
    if (catalog == NULL)
        return -1;
    int rc = experiment_db_create(env->db, catalog, e, share_slots, identity_now_ms(), reterr);
    if (rc == 0)
        rc = experiment_check(e, catalog, reterr);
    catalog_unref(catalog);
    if (rc != 0 || experiment_db_get(env->db, e->name, ret, reterr) != 0)
        return -1;
    return experiment_report_forecast(env->db, *ret, identity_now_ms(), reterr);
}

static bool is_dry_run(struct json_object *args)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(args, "dry_run", &v) && json_object_get_boolean(v);
}

int op_experiment_create(struct ops_env *env, struct json_object *args, struct json_object **ret,
                         struct fail *reterr)
{
    struct experiment *e = calloc(1, sizeof(*e)); /* large */
    if (e == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    int rc = create(env, args, e, ret, reterr);
    experiment_done(e);
    free(e);
    if (rc != 0)
        return -1;
    json_object_object_add(*ret, "dry_run", json_object_new_boolean(is_dry_run(args)));
    return is_dry_run(args) ? OP_UNDO : OP_DONE;
}

int op_experiment_list(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr)
{
    static const struct arg_spec specs[] = {{0}};
    if (args_read(args, specs, NULL, reterr) != 0)
        return -1;
    return experiment_db_list(env->db, ret, reterr);
}

int op_experiment_show(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"name", ARG_TEXT, offsetof(struct name_args, name), true}, {0}};
    struct name_args a = {0};
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    return experiment_report(env->db, a.name.value != NULL ? a.name.value : "", ret, reterr);
}

int op_experiment_set(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"name", ARG_TEXT, offsetof(struct name_args, name), true},
        {"ramp", ARG_JSON, offsetof(struct name_args, ramp), true},
        {0}};
    struct name_args a = {0};
    int ramp;
    if (args_read(args, specs, &a, reterr) != 0 ||
        experiment_read_percent("ramp", a.ramp.value, &ramp, reterr) != 0)
        return -1;
    const char *name = a.name.value != NULL ? a.name.value : "";
    if (experiment_db_set_ramp(env->db, name, ramp, reterr) != 0)
        return -1;
    return experiment_db_get(env->db, name, ret, reterr);
}

int op_experiment_stop(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"name", ARG_TEXT, offsetof(struct name_args, name), true},
        {"reason", ARG_TEXT, offsetof(struct name_args, reason), false},
        {0}};
    struct name_args a = {0};
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    const char *name = a.name.value != NULL ? a.name.value : "";
    const char *reason = a.reason.value != NULL ? a.reason.value : "stopped by the operator";
    if (experiment_db_stop(env->db, name, reason, identity_now_ms(), reterr) != 0)
        return -1;
    return experiment_db_get(env->db, name, ret, reterr);
}
