/* A call in an experiment. */
#define _GNU_SOURCE
#include <stdio.h>

#include "server/call.h"

static void apply(struct call *c)
{
    if (c->place.arm->has_model) {
        chat_model_text(&c->chat.models[0], c->asked_model);
    }
    experiment_apply(c->place.arm, &c->chat);
}

/* On whatever the client gets, refusals too: which arm it was is the first question then. */
static void tell(struct call *c)
{
    const struct experiment_place *p = &c->place;
    char text[CALL_EXPERIMENT_MAX];
    snprintf(text, sizeof text, "%s/%s%s", p->experiment->name, p->arm->name,
             p->unit != p->experiment->unit ? "; unit=key" : "");
    request_add_header(c->req, "x-wayfare-experiment", span_of(text));
}

static void count(struct call *c)
{
    struct metrics *m = &c->worker->metrics;
    metrics_add(m, METRIC_experiment_requests_total, 1);
    metrics_add(m, METRIC_experiment_units_missing_total,
                c->place.unit != c->place.experiment->unit);
}

static int join_shadow(struct call *c, struct fail *reterr)
{
    if ((c->place.arm->prefs.given & c->chat.prefs.given) != 0) {
        return fail_set(reterr, ERR_bad_request, NULL,
                        "the request itself states what shadow arm %s is to try",
                        c->place.arm->name);
    }
    apply(c);
    return 0;
}

int call_experiment_join(struct call *c, struct fail *reterr)
{
    if (c->shadow) {
        return join_shadow(c, reterr);
    }
    struct experiments *x = c->worker->experiments;
    struct experiment_who who = {0};
    if (x == NULL) {
        return 0;
    }
    experiment_who_read(&c->chat, request_session(c->req), &who);
    who.names[UNIT_KEY].part[0] = span_of(c->key->public_id);
    who.names[UNIT_REQUEST].part[0] =
        (struct span){(const char *)c->request_id.b, sizeof c->request_id.b};
    experiments_assign(x, c->catalog, &c->key->policy, &c->chat, &who, &c->place);
    if (c->place.experiment == NULL) {
        return 0;
    }
    c->experiments = experiments_ref(x);
    if (c->kind == CALL_MESSAGES) {
        count(c);
    }
    apply(c);
    tell(c);
    return 0;
}

void call_experiment_leave(struct call *c)
{
    experiments_unref(c->experiments);
    c->experiments = NULL;
}
