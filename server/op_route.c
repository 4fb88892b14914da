/* The dry run as an operation: by the server's state, or by one made for the occasion. */
#include <sys/random.h>

#include "router/args.h"
#include "router/budget_db.h"
#include "router/find_db.h"
#include "server/dry_run.h"
#include "server/ops.h"
#include "server/planning.h"

struct route_args {
    struct arg_text body, key;
    struct arg_flag explain; /* of the command line's table; the answer has everything anyway */
};

/* By its public id, or by its secret. */
static const struct key_row *key_of(const struct identity *identity, const char *name,
                                    int64_t now_ms, enum key_end *ret_end)
{
    const struct key_row *key = identity_find_any(identity, span_of(name), now_ms, ret_end);
    return key != NULL ? key : identity_by_public_id(identity, name);
}

static int find_key(const struct identity *identity, const char *name, const struct key_row **ret,
                    struct fail *reterr)
{
    int64_t now_ms = identity_now_ms();
    if (name == NULL)
        return 0;
    enum key_end end = KEY_IN_FORCE;
    const struct key_row *key = key_of(identity, name, now_ms, &end);
    if (key == NULL)
        return fail_set(reterr, ERR_not_found, "key", "there is no key %.64s", find_db_shown(name));
    bool expired = key->expires_ms != 0 && key->expires_ms <= now_ms;
    if (key->revoked || expired)
        return fail_set(reterr, ERR_not_found, "key", "key %.64s is %s: its requests get 401",
                        key->public_id, key->revoked ? "revoked" : "expired");
    if (end == KEY_REPLACED)
        return fail_set(reterr, ERR_not_found, "key",
                        "key %.64s has another secret by now: requests with this one get 401",
                        key->public_id);
    *ret = key;
    return 0;
}

int op_route(struct ops_env *env, struct json_object *args, struct json_object **ret,
             struct fail *reterr)
{
    static const struct arg_spec specs[] = {
        {"body", ARG_TEXT, offsetof(struct route_args, body), true},
        {"key", ARG_TEXT, offsetof(struct route_args, key), false},
        {"explain", ARG_FLAG, offsetof(struct route_args, explain), false},
        {0}};
    struct route_args a = {0};
    if (args_read(args, specs, &a, reterr) != 0)
        return -1;
    const struct key_row *key = NULL;
    uint64_t seed = 0;
    if (!planning_seed(&seed) && getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        seed = 0; /* a seed as good as any */
    /* Without a server: what one would know that has just started. */
    struct state *own = env->state == NULL ? state_new(env->db, NULL, reterr) : NULL;
    struct state *state = env->state != NULL ? env->state : own;
    struct catalog *catalog = state != NULL ? ops_catalog(env, reterr) : NULL;
    struct identity *identity = catalog != NULL ? state_identity(state) : NULL;
    struct experiments *experiments = catalog != NULL ? state_experiments(state) : NULL;
    int rc = catalog != NULL ? find_key(identity, a.key.value, &key, reterr) : -1;
    if (rc == 0)
        rc = dry_run(&(struct dry_run){.catalog = catalog,
                                       .key = key,
                                       .state = state,
                                       .experiments = experiments,
                                       .body = span_of(a.body.value),
                                       .now_ms = identity_now_ms(),
                                       .seed = seed},
                     ret, NULL, reterr);
    identity_unref(identity);
    experiments_unref(experiments);
    catalog_unref(catalog);
    state_free(own);
    return rc;
}
