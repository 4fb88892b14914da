/* Operations that read the ledger's tables, and the backup. */
#include <time.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/usage_db.h"
#include "server/ops.h"

int op_usage(struct ops_env *env, struct json_object *args, struct json_object **ret,
             struct fail *reterr)
{
    return usage_db_report(env->db, args, identity_now_ms(), ret, reterr);
}

struct id_args {
    struct arg_text id;
};

int op_generation_get(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr)
{
    static const struct arg_spec specs[] = {{"id", ARG_TEXT, offsetof(struct id_args, id), true},
                                            {0}};
    struct id_args a = {0};
    struct id id;
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    if (!id_parse(span_of(a.id.value), ID_PREFIX_GENERATION, &id))
        return fail_set(reterr, ERR_not_found, "id",
                        "%.64s is not a generation id (gen_ and 32 hex digits)", a.id.value);
    return generation_db_get(env->db, &id, 0, ret, reterr);
}

int op_generation_list(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr)
{
    return generation_db_list(env->db, args, 0, ret, reterr);
}

static const struct arg_spec no_args[] = {{0}};

int op_ledger_verify(struct ops_env *env, struct json_object *args, struct json_object **ret,
                     struct fail *reterr)
{
    if (args_read(args, no_args, NULL, reterr) != 0)
        return -1;
    return audit_db_verify(env->db, ret, reterr);
}

struct backup_args {
    struct arg_text dest;
};

/* A relative path would be looked up from the server's directory, not the caller's. */
int op_backup(struct ops_env *env, struct json_object *args, struct json_object **ret,
              struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"dest", ARG_TEXT, offsetof(struct backup_args, dest), true}, {0}};
    struct backup_args a = {0};
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    if (a.dest.value[0] != '/')
        return fail_set(reterr, ERR_bad_request, "dest", "dest must be an absolute path");
    if (db_backup(env->db, a.dest.value, reterr) != 0)
        return -1;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "backup", json_object_new_string(a.dest.value));
    return 0;
}
