/* Makes the plan: looks at every endpoint of every model asked for, filters, orders. */
#include "router/plan.h"

#include <assert.h>
#include <stdlib.h>

#include "router/plan_filter.h"
#include "router/plan_order.h"

const char *reason_word(enum reason r)
{
    static const char *const WORDS[REASON_COUNT] = {[REASON_NONE] = "none",
#define R(name, word) [REASON_##name] = word,
                                                    PLAN_REASONS(R)
#undef R
    };
    assert(r >= 0 && r < REASON_COUNT);
    return WORDS[r];
}

void plan_init(struct plan *p)
{
    memset(p, 0, sizeof(*p));
}

void plan_done(struct plan *p)
{
    free(p->candidates);
    free(p->excluded);
    free(p->scratch);
    plan_init(p);
}

/* ---- memory ---- */

size_t plan_memory(const struct plan *p)
{
    return (size_t)p->cap_candidates * sizeof p->candidates[0] +
           (size_t)p->cap_excluded * sizeof p->excluded[0] + p->scratch_cap;
}

/* Every endpoint of the request's models may land in either list. */
static int reserve(struct plan *p, int n)
{
    if (n > PLAN_ENDPOINTS_MAX)
        return -1;
    if (n <= p->cap_candidates)
        return 0;
    size_t room = (size_t)n + (size_t)n / 2;
    struct candidate *c = realloc(p->candidates, room * sizeof(*c));
    if (c == NULL)
        return -1;
    p->candidates = c;
    struct exclusion *x = realloc(p->excluded, room * sizeof(*x));
    if (x == NULL)
        return -1;
    p->excluded = x;
    size_t scratch = room * (sizeof(struct order_key) + sizeof(struct candidate));
    void *s = realloc(p->scratch, scratch);
    if (s == NULL)
        return -1;
    p->scratch = s;
    p->scratch_cap = scratch;
    p->cap_candidates = p->cap_excluded = (int)room;
    return 0;
}

static struct order_key *scratch_keys(const struct plan *p)
{
    return p->scratch;
}

/* ---- models ---- */

/* The models of the request that the catalog knows, each once. */
struct asked_models {
    int n;
    struct {
        const struct model *model;
        int rank;
    } at[CHAT_MODELS_MAX];
};

static bool already_asked(const struct asked_models *a, const struct model *m)
{
    for (int i = 0; i < a->n; i++) {
        if (a->at[i].model == m)
            return true;
    }
    return false;
}

static int find_models(const struct plan_inputs *in, struct asked_models *a)
{
    int n_endpoints = 0;
    a->n = 0;
    for (int i = 0; i < in->chat->n_models; i++) {
        const struct model *m = catalog_model(in->catalog, span_of(in->chat->models[i].name));
        if (m == NULL || already_asked(a, m))
            continue;
        a->at[a->n].model = m;
        a->at[a->n++].rank = i;
        n_endpoints += m->n_endpoints;
    }
    return n_endpoints;
}

/* ---- one endpoint ---- */

static void exclude(struct plan *p, const struct endpoint *e, int rank, enum reason reason,
                    int32_t detail)
{
    assert(p->n_excluded < p->cap_excluded);
    p->excluded[p->n_excluded++] = (struct exclusion){e, rank, reason, detail};
}

/* A conversation that goes on is cheaper in the end where its prompt is kept, though its first turn
 * may be dearer there. */
static void look_ahead(const struct plan_inputs *in, struct candidate *c)
{
    if (in->ahead != NULL)
        in->ahead(in->ctx, c->endpoint, &c->ahead);
    c->ahead_pusd = estimate_ahead_pusd(in->chat, c->endpoint, &c->estimate, &c->ahead);
    c->order_pusd = c->ahead_pusd <= INT64_MAX - c->expected_pusd ? c->expected_pusd + c->ahead_pusd
                                                                  : INT64_MAX;
}

static void admit(struct plan *p, const struct look *k)
{
    assert(p->n_candidates < p->cap_candidates);
    const struct plan_inputs *in = k->in;
    struct candidate *c = &p->candidates[p->n_candidates];
    struct order_key *key = &scratch_keys(p)[p->n_candidates];
    *c = (struct candidate){
        .endpoint = k->endpoint,
        .model_rank = k->model_rank,
        .expected_pusd = estimate_expected_pusd(in->chat, k->endpoint, &k->estimate),
        .worst_nusd = k->worst_nusd,
        .hold_nusd = k->hold_nusd,
        .estimate = k->estimate,
        .warm = estimate_is_warm(&k->estimate),
        .listed = k->order_at >= 0,
    };
    *key = (struct order_key){.index = (uint32_t)p->n_candidates, .order_at = k->order_at};
    look_ahead(in, c);
    struct health_view view = {.outage = false};
    if (in->health != NULL)
        in->health(in->ctx, k->endpoint->index, &view);
    order_note_health(&in->chat->prefs, &view, c, key);
    p->n_candidates++;
}

static void look_at_model(struct plan *p, const struct plan_inputs *in, const struct model *m,
                          int rank)
{
    struct look k = {
        .in = in,
        .model_rank = rank,
        .model_allowed = policy_allows_model(in->policy, in->catalog, m),
    };
    if (in->learned != NULL)
        in->learned(in->ctx, m, &k.learned, &k.expected);
    if (rank == 0 && !k.model_allowed)
        p->model_forbidden = true;
    for (int i = 0; i < m->n_endpoints; i++) {
        int32_t detail;
        k.endpoint = m->endpoints[i];
        look_begin(&k);
        enum reason reason = look_filter(&k, &detail);
        if (reason == REASON_NONE)
            admit(p, &k);
        else
            exclude(p, k.endpoint, rank, reason, detail);
    }
}

/* ---- the order ---- */

static void put_in_order(struct plan *p, const struct plan_inputs *in)
{
    struct order_key *keys = scratch_keys(p);
    order_sort(in, p->candidates, keys, p->n_candidates);
    struct candidate *sorted = (struct candidate *)(void *)(keys + p->cap_candidates);
    for (int i = 0; i < p->n_candidates; i++)
        sorted[i] = p->candidates[keys[i].index];
    memcpy(p->candidates, sorted, (size_t)p->n_candidates * sizeof(*sorted));
}

/* provider_allow_fallbacks false without provider_order: only the first choice.  (With
 * it, the filter has already taken out what the list does not name.) */
static void cut_fallbacks(struct plan *p, const struct prefs *prefs)
{
    p->no_fallbacks = !prefs->allow_fallbacks;
    if (prefs->allow_fallbacks || prefs->order.n > 0)
        return;
    for (int i = 1; i < p->n_candidates; i++)
        exclude(p, p->candidates[i].endpoint, p->candidates[i].model_rank, REASON_allowed_providers,
                CAUSE_NOT_FIRST);
    p->n_candidates = p->n_candidates > 0 ? 1 : 0;
}

void plan_put_last(struct plan *p, int index)
{
    assert(index >= 0 && index < p->n_candidates);
    struct candidate moved = p->candidates[index];
    int n_behind = p->n_candidates - 1 - index;
    memmove(&p->candidates[index], &p->candidates[index + 1],
            (size_t)n_behind * sizeof(p->candidates[0]));
    moved.put_last = true;
    p->candidates[p->n_candidates - 1] = moved;
}

int plan_make(struct plan *p, const struct plan_inputs *in)
{
    struct asked_models asked;
    p->n_candidates = p->n_excluded = 0;
    p->model_forbidden = p->no_fallbacks = false;
    p->tiny_cap_warning = in->chat->prefs.warn_tiny_cap;
    if (reserve(p, find_models(in, &asked)) != 0)
        return -1;
    p->unknown_model = asked.n == 0;
    for (int i = 0; i < asked.n; i++)
        look_at_model(p, in, asked.at[i].model, asked.at[i].rank);
    if (p->n_candidates > 0)
        put_in_order(p, in);
    cut_fallbacks(p, &in->chat->prefs);
    return 0;
}
