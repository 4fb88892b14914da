/* Can every arm serve somebody?  Asked when an experiment begins: a provider whose name is
 * misspelt would only show as an arm that fails. */
#include <stdio.h>

#include "router/catalog_names.h"
#include "router/experiment.h"

static int check_slugs(const struct experiment_arm *arm, const struct catalog *catalog,
                       struct fail *reterr)
{
    char what[EXPERIMENT_NAME_MAX + 8];
    snprintf(what, sizeof(what), "arm %s", arm->name);
    return names_check_prefs(catalog, &arm->prefs, "arms", what, reterr);
}

/* Where a credential is missing the server may have it: the catalog of a command has not. */
static bool lacks_a_credential(const struct plan *p)
{
    for (int i = 0; i < p->n_excluded; i++) {
        if (p->excluded[i].reason == REASON_no_credential)
            return true;
    }
    return false;
}

static int judge(const struct experiment_arm *arm, const struct plan_inputs *in,
                 const struct plan *plan, struct fail *reterr)
{
    struct buf why;
    if (plan->n_candidates > 0 || lacks_a_credential(plan))
        return 0;
    buf_init(&why, FAIL_TEXT_MAX);
    plan_explain_empty(in, plan, &why);
    fail_set(reterr, ERR_bad_request, "arms", "arm %s could serve no request: %.*s", arm->name,
             (int)why.len, why.ptr != NULL ? why.ptr : "");
    buf_done(&why);
    return -1;
}

/* The smallest of requests: what it cannot have, none can. */
static int check_plan(const struct experiment *e, const struct experiment_arm *arm,
                      const struct catalog *catalog, struct fail *reterr)
{
    struct chat chat;
    struct plan plan;
    struct plan_inputs in = {.catalog = catalog, .chat = &chat, .bound_strict = true};
    chat_init(&chat);
    plan_init(&plan);
    chat.n_models = 1;
    snprintf(chat.models[0].name, sizeof(chat.models[0].name), "%s", e->model);
    chat.max_tokens = 1;
    experiment_apply(arm, &chat);
    int rc = plan_make(&plan, &in) == 0
                 ? judge(arm, &in, &plan, reterr)
                 : fail_set(reterr, ERR_internal, NULL, "out of memory for a plan");
    plan_done(&plan);
    chat_done(&chat);
    return rc;
}

int experiment_check(const struct experiment *e, const struct catalog *catalog, struct fail *reterr)
{
    int rc = 0;
    for (int i = 0; i < e->n_arms && rc == 0; i++) {
        rc = check_slugs(&e->arms[i], catalog, reterr);
        if (rc == 0)
            rc = check_plan(e, &e->arms[i], catalog, reterr);
    }
    return rc;
}
