/* A call in an experiment. */
#define _GNU_SOURCE
#include <stdio.h>

#include "server/call.h"

/* Headers that name a session, the client's own first: Claude Code; opencode and OpenRouter's. */
static struct span session_header(const struct request *r)
{
    struct span session = request_header(r, "x-claude-code-session-id");
    return session.len > 0 ? session : request_header(r, "x-session-id");
}

static void apply(struct call *c)
{
    if (c->place.arm->has_model) {
        snprintf(c->asked_model, sizeof c->asked_model, "%s", c->chat.models[0].name);
    }
    experiment_apply(c->place.arm, &c->chat);
}

static void count(struct call *c)
{
    struct metrics *m = &c->worker->metrics;
    metrics_add(m, METRIC_experiment_requests_total, 1);
    metrics_add(m, METRIC_experiment_units_missing_total,
                c->place.unit != c->place.experiment->unit);
}

void call_experiment_join(struct call *c)
{
    if (c->shadow) {
        apply(c);
        return;
    }
    struct experiments *x = c->worker->experiments;
    struct experiment_who who = {0};
    if (x == NULL) {
        return;
    }
    experiment_who_read(&c->chat, session_header(c->req), &who);
    who.names[UNIT_KEY].part[0] = span_of(c->key->public_id);
    who.names[UNIT_REQUEST].part[0] =
        (struct span){(const char *)c->request_id.b, sizeof c->request_id.b};
    experiments_assign(x, c->catalog, &c->key->policy, &c->chat, &who, &c->place);
    if (c->place.experiment == NULL) {
        return;
    }
    c->experiments = experiments_ref(x);
    if (c->kind == CALL_MESSAGES) {
        count(c);
    }
    apply(c);
}

bool call_experiment_text(const struct call *c, char out[CALL_EXPERIMENT_MAX])
{
    const struct experiment_place *p = &c->place;
    if (p->experiment == NULL) {
        return false;
    }
    snprintf(out, CALL_EXPERIMENT_MAX, "%s/%s%s", p->experiment->name, p->arm->name,
             p->unit != p->experiment->unit ? "; unit=key" : "");
    return true;
}

void call_experiment_leave(struct call *c)
{
    experiments_unref(c->experiments);
    c->experiments = NULL;
}
