/* The table of operations and the transaction around each. */
#include "server/ops.h"

#include "router/budget_db.h"
#include "router/catalog_names.h"
#include "router/identity_db.h"
#include "router/limits_db.h"
#include "router/rollup_db.h"
#include "server/log.h"
#include "server/ops_long.h"

/* The ledger's, which never goes back: without a server what the database says of it. */
static int64_t time_of(const struct ops_env *env)
{
    int64_t floor_ms, now_ms = identity_now_ms();
    if (env->ledger != NULL)
        return ledger_time(env->ledger, now_ms);
    bool later = rollup_db_floor(env->db, &floor_ms, NULL) == 0 && floor_ms > now_ms;
    return later ? floor_ms : now_ms;
}

/* An identity operation needs the connection and the time. */
#define IDENTITY_OP(fn)                                                                            \
    static int run_##fn(struct ops_env *env, struct json_object *args, struct json_object **ret,   \
                        struct fail *reterr)                                                       \
    {                                                                                              \
        int64_t at_ms = time_of(env);                                                              \
        return fn(env->db, args, at_ms, ret, reterr);                                              \
    }
IDENTITY_OP(team_db_create)
IDENTITY_OP(team_db_list)
IDENTITY_OP(team_db_set)
IDENTITY_OP(key_db_list)
IDENTITY_OP(key_db_revoke)
IDENTITY_OP(key_db_rotate)

/* What a key may use must be in the catalog: what does not is undone with the transaction. */
static int run_and_check_names(int (*run)(struct db *db, struct json_object *args,
                                          int64_t ledger_ms, struct json_object **ret,
                                          struct fail *reterr),
                               struct ops_env *env, struct json_object *args,
                               struct json_object **ret, struct fail *reterr)
{
    if (run(env->db, args, time_of(env), ret, reterr) != 0)
        return -1;
    if (!names_of_key_given(args))
        return 0;
    struct catalog *catalog = ops_catalog(env, reterr);
    if (catalog == NULL)
        return -1;
    int rc = names_check_key(catalog, args, *ret, reterr);
    catalog_unref(catalog);
    return rc;
}

static int run_key_create(struct ops_env *env, struct json_object *args, struct json_object **ret,
                          struct fail *reterr)
{
    return run_and_check_names(key_db_create, env, args, ret, reterr);
}

static int run_key_set(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr)
{
    return run_and_check_names(key_db_set, env, args, ret, reterr);
}

/* clang-format off */
#define OP(n, a, f) {.name = n, .access = OP_ACCESS_##a, .run = f}
#define OP_CHANGES(n, f) {.name = n, .access = OP_ACCESS_LONG, .run = f, .changes = true}
#define OP_THEN(n, f, c) {.name = n, .access = OP_ACCESS_WRITE, .run = f, .complete = c}
const struct op ops_all[] = {
    OP_THEN("team create", run_team_db_create, limits_db_add_team),
    OP("team list", READ, run_team_db_list),
    OP_THEN("team set", run_team_db_set, limits_db_add_team),
    OP_THEN("key create", run_key_create, limits_db_add_key),
    OP("key list", READ, run_key_db_list),
    OP_THEN("key revoke", run_key_db_revoke, limits_db_add_key),
    OP_THEN("key rotate", run_key_db_rotate, limits_db_add_key),
    OP_THEN("key set", run_key_set, limits_db_add_key),
    OP("catalog import", WRITE, op_catalog_import),
    OP("catalog export", READ, op_catalog_export),
    OP("catalog list", READ, op_catalog_list),
    OP("catalog remove", WRITE, op_catalog_remove),
    OP("usage", READ, op_usage),
    OP("generation get", READ, op_generation_get),
    OP("generation list", READ, op_generation_list),
    OP("route", READ, op_route),
    OP("experiment create", WRITE, op_experiment_create),
    OP("experiment list", READ, op_experiment_list),
    OP("experiment show", LONG, op_experiment_show),
    OP("experiment set", WRITE, op_experiment_set),
    OP("experiment stop", WRITE, op_experiment_stop),
    OP("replay", LONG, op_replay),
    OP("ledger verify", LONG, op_ledger_verify),
    OP_CHANGES("ledger prune", op_ledger_prune),
    OP_CHANGES("ledger reconcile", op_ledger_reconcile),
    OP_CHANGES("backup", op_backup),
    {.name = NULL}};
/* clang-format on */

const struct op *ops_find(const char *name)
{
    for (const struct op *op = ops_all; op->name != NULL; op++) {
        if (strcmp(op->name, name) == 0)
            return op;
    }
    return NULL;
}

/* ---- running one ---- */

static void add_texts(struct buf *line, struct json_object *o, const char *const *names)
{
    for (; *names != NULL; names++) {
        struct json_object *v = json_object_object_get(o, *names);
        if (json_object_is_type(v, json_type_string))
            log_value(line, *names, span_of(json_object_get_string(v)));
    }
}

/* What was changed, and of what: a server's log tells.  Ids as the result has them: an argument may
 * be a secret in place of one. */
static void log_change(const struct op *op, struct json_object *args, struct json_object *ret)
{
    static const char *const of_result[] = {"id", "name", "team", NULL};
    static const char *const of_args[] = {"model", "provider", "older_than", "dest", NULL};
    struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    buf_addf(&line, "msg=\"changed by an operator\" op=\"%s\"", op->name);
    add_texts(&line, ret, of_result);
    add_texts(&line, args, of_args);
    log_text(LOG_INFO, buf_span(&line));
    buf_done(&line);
}

struct job {
    const struct op *op;
    struct ops_env *env;
    struct json_object *args;
    struct json_object *ret;
    int result; /* of op->run: -1, OP_DONE, OP_UNDO */
    struct fail fail;
};

/* On the thread that owns the writing connection; what is not 0 is rolled back. */
static int run_write(struct db *db, void *arg)
{
    struct job *j = arg;
    struct ops_env env = *j->env;
    env.db = db;
    j->result = j->op->run(&env, j->args, &j->ret, &j->fail);
    return j->result;
}

static int write_in_server(struct job *j, struct fail *reterr)
{
    int rc = ledger_job(j->env->ledger, run_write, j);
    if (j->result < 0 && j->fail.code != ERR_OK) { /* else it was not even begun */
        if (reterr != NULL)
            *reterr = j->fail;
        return -1;
    }
    if (rc < 0)
        return fail_set(reterr, ERR_ledger_down, NULL, "the change could not be committed");
    if (j->result == OP_UNDO)
        return 0;
    log_change(j->op, j->args, j->ret);
    return state_reload(j->env->state, j->env->db, reterr);
}

static int write_direct(struct job *j, struct fail *reterr)
{
    struct db *db = j->env->db;
    if (db_begin(db, reterr) != 0)
        return -1;
    if (run_write(db, j) == OP_DONE) {
        if (db_commit(db, reterr) == 0)
            return 0;
        db_rollback(db);
        return -1;
    }
    db_rollback(db);
    if (j->result == OP_UNDO)
        return 0;
    if (reterr != NULL)
        *reterr = j->fail;
    return -1;
}

static int run_read(struct ops_env *env, const struct op *op, struct json_object *args,
                    struct json_object **ret, struct fail *reterr)
{
    int rc = op->run(env, args, ret, reterr);
    db_rest(env->db);
    return rc;
}

static int run_job(struct ops_env *env, const struct op *op, struct json_object *args,
                   struct json_object **ret, struct fail *reterr)
{
    struct job job = {.op = op, .env = env, .args = args, .result = -1};
    int rc = env->ledger != NULL ? write_in_server(&job, reterr) : write_direct(&job, reterr);
    if (rc == 0 && op->complete != NULL) {
        op->complete(env->db, job.ret, time_of(env),
                     NULL); /* what is done is done without it too */
        db_rest(env->db);
    }
    if (rc == 0)
        *ret = job.ret;
    else
        json_object_put(job.ret);
    return rc;
}

int ops_run(struct ops_env *env, const char *name, struct json_object *args,
            struct json_object **ret, struct fail *reterr)
{
    const struct op *op = ops_find(name);
    if (op == NULL)
        return fail_set(reterr, ERR_not_found, "op", "there is no operation %.64s", name);
    if (env->ledger != NULL && op->access != OP_ACCESS_WRITE)
        ledger_barrier(env->ledger);
    if (env->longs != NULL && op->access == OP_ACCESS_LONG) {
        int failed = ops_long_run(env->longs, env, op, args, ret, reterr);
        if (failed == 0 && op->changes)
            log_change(op, args, *ret);
        return failed;
    }
    if (env->lock != NULL)
        pthread_mutex_lock(env->lock);
    int rc = op->access == OP_ACCESS_WRITE ? run_job(env, op, args, ret, reterr)
                                           : run_read(env, op, args, ret, reterr);
    if (env->lock != NULL)
        pthread_mutex_unlock(env->lock);
    return rc;
}
