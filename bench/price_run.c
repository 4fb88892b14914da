/* One policy over one traffic, on a virtual clock. */
#include <stdlib.h>

#include "bench/price.h"

enum { FAILURE_MS = 1000, NEVER = -1 };

/* Which turn each place served last, by conversation. */
struct seen {
    int8_t *last;
};

static int8_t *last_of(const struct seen *s, int talk, int place)
{
    return &s->last[(size_t)talk * PLACES_MAX + (size_t)place];
}

static void note_health(struct run *r, const struct place *p, bool ok, uint64_t bits,
                        const struct usage *u)
{
    struct health *h = &r->health[p->e->index];
    struct breaker_ticket ticket = {0};
    const struct health_end end = {.outcome = ok ? HEALTH_OK : HEALTH_FAILED, .draw = bits};
    breaker_begin(&h->breaker, r->now_ms, &ticket);
    health_record(h, r->now_ms, &ticket, &end);
    if (ok && u->n[USAGE_output_tok] > 1)
        health_sample(h, r->now_ms, p->latency_ms, p->milli_tps);
}

static void add_answer(struct result *ret, const struct talk *t, const struct place *p,
                       const struct usage *u, int64_t pusd)
{
    ret->pusd += pusd;
    ret->by_scene_pusd[t->scene] += pusd;
    ret->by_kind_pusd[t->kind] += pusd;
    ret->cached_tok += u->n[USAGE_cache_read_tok];
    ret->wait_ms += p->latency_ms + u->n[USAGE_output_tok] * 1000 * 1000 / p->milli_tps;
}

/* false: no attempt was answered. */
static bool ask(struct run *r, const struct policy_row *policy, const struct event *e,
                struct seen *seen, struct result *ret)
{
    const struct talk *t = &r->t->talks[e->talk];
    int places[PLACES_MAX], n = policy->order(r, e->talk, e->turn, places);
    for (int i = 0; i < n && i < ATTEMPTS_MAX; i++) {
        const struct place *p = &r->w->scenes[t->scene].places[places[i]];
        int8_t *last = last_of(seen, e->talk, places[i]);
        struct usage u = {.seen = 0};
        bool ok = !truth_fails(r->w, t, e->turn, places[i]);
        ret->attempts++;
        if (ok)
            truth_usage(r->w, t, e->turn, places[i], *last, &u);
        note_health(r, p, ok, draw(t->id, (uint64_t)e->turn, (uint64_t)i, 11), &u);
        if (!ok) {
            ret->wait_ms += FAILURE_MS;
            continue;
        }
        add_answer(ret, t, p, &u, truth_pusd(r->w, t, e->turn, places[i], *last));
        *last = (int8_t)e->turn;
        if (policy->served != NULL)
            policy->served(r, e->talk, e->turn, places[i], &u);
        return true;
    }
    return false;
}

static void ask_all(struct run *r, const struct policy_row *policy, struct seen *seen,
                    struct result *ret)
{
    for (int i = 0; i < r->t->n_events; i++) {
        const struct event *e = &r->t->events[i];
        r->now_ms = e->at_ms;
        ret->requests++;
        ret->prompt_tok += r->t->talks[e->talk].turns[e->turn].prompt_tok;
        ret->failed += !ask(r, policy, e, seen, ret);
    }
}

int run_policy(const struct world *w, const struct traffic *t, const struct policy_row *p,
               struct result *ret)
{
    struct run r = {.w = w, .t = t};
    size_t n = (size_t)t->n_talks * PLACES_MAX;
    struct seen seen = {malloc(n + 1)};
    r.health = calloc((size_t)w->catalog->n_endpoints + 1, sizeof(*r.health));
    *ret = (struct result){.pusd = 0};
    int rc = seen.last != NULL && r.health != NULL ? p->begin(&r) : -1;
    if (rc == 0) {
        for (size_t i = 0; i < n; i++)
            seen.last[i] = NEVER;
        ask_all(&r, p, &seen, ret);
    }
    p->end(&r);
    free(r.health);
    free(seen.last);
    return rc;
}
