#define _GNU_SOURCE
/* Who chooses.  All know the same health (router/health.h) and try the sick last; they differ in
 * the order of the others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/price.h"
#include "router/forecast.h"
#include "router/plan.h"
#include "server/warm.h"

enum { STICKY_MS = 10 * 60 * 1000 };

/* ---- by one figure for each place ---- */

struct key {
    bool sick;
    double figure; /* smaller first */
    int place;
};

static int by_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->sick != y->sick)
        return x->sick - y->sick;
    if (x->figure < y->figure || x->figure > y->figure)
        return x->figure < y->figure ? -1 : 1;
    return x->place - y->place;
}

static const struct scene *scene_of(const struct run *r, int talk)
{
    return &r->w->scenes[r->t->talks[talk].scene];
}

static bool is_sick(const struct run *r, const struct place *p)
{
    struct health_view v;
    health_look(&r->health[p->e->index], r->now_ms, &v);
    return v.outage || breaker_is_out(&v.breaker);
}

typedef double (*figure_fn)(const struct run *r, int talk, int turn, const struct place *p);

static int order_by(const struct run *r, int talk, int turn, figure_fn figure, int ret[PLACES_MAX])
{
    const struct scene *s = scene_of(r, talk);
    struct key keys[PLACES_MAX];
    for (int i = 0; i < s->n; i++)
        keys[i] = (struct key){is_sick(r, &s->places[i]), figure(r, talk, turn, &s->places[i]), i};
    qsort(keys, (size_t)s->n, sizeof(keys[0]), by_key);
    for (int i = 0; i < s->n; i++)
        ret[i] = keys[i].place;
    return s->n;
}

static double list_figure(const struct run *r, int talk, int turn, const struct place *p)
{
    (void)r;
    (void)talk;
    (void)turn;
    return (double)p->list_pusd;
}

static int list_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    return order_by(r, talk, turn, list_figure, ret);
}

static double sum_figure(const struct run *r, int talk, int turn, const struct place *p)
{
    (void)r;
    (void)talk;
    (void)turn;
    return (double)(p->e->price.base.pusd[PRICE_prompt] + p->e->price.base.pusd[PRICE_completion]);
}

static int sum_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    return order_by(r, talk, turn, sum_figure, ret);
}

/* Weight 1/price^2, without replacement (see router/plan_order.c). */
static double drawn_figure(const struct run *r, int talk, int turn, const struct place *p)
{
    uint64_t bits = draw(r->t->talks[talk].id, (uint64_t)turn, p->e->index, 8);
    return -log(uniform(bits)) * (double)p->list_pusd * (double)p->list_pusd;
}

static int drawn_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    return order_by(r, talk, turn, drawn_figure, ret);
}

static void no_end(struct run *r)
{
    free(r->memory);
}

static int no_begin(struct run *r)
{
    r->memory = NULL;
    return 0;
}

/* ---- sticky ---- */

/* Of each conversation: who answered last, while that is at most ten minutes ago. */
struct stuck {
    int place;
    int64_t until_ms;
};

static int sticky_begin(struct run *r)
{
    r->memory = calloc((size_t)r->t->n_talks + 1, sizeof(struct stuck));
    return r->memory != NULL ? 0 : -1;
}

static double sticky_figure(const struct run *r, int talk, int turn, const struct place *p)
{
    const struct stuck *s = (const struct stuck *)r->memory + talk;
    const struct place *at = &scene_of(r, talk)->places[s->place];
    bool pays = p->e->price.base.pusd[PRICE_cache_read] >= 0 &&
                p->e->price.base.pusd[PRICE_cache_read] < p->e->price.base.pusd[PRICE_prompt];
    if (p == at && pays && s->until_ms > r->now_ms)
        return 0;
    return drawn_figure(r, talk, turn, p);
}

static int sticky_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    return order_by(r, talk, turn, sticky_figure, ret);
}

static void sticky_served(struct run *r, int talk, int turn, int place, const struct usage *u)
{
    (void)turn;
    (void)u;
    ((struct stuck *)r->memory)[talk] = (struct stuck){place, r->now_ms + STICKY_MS};
}

/* ---- round robin ---- */

static int robin_begin(struct run *r)
{
    r->memory = calloc(SCENES_MAX, sizeof(int));
    return r->memory != NULL ? 0 : -1;
}

static double robin_figure(const struct run *r, int talk, int turn, const struct place *p)
{
    const struct scene *s = scene_of(r, talk);
    int next = ((const int *)r->memory)[r->t->talks[talk].scene];
    (void)turn;
    return (double)(((int)(p - s->places) + s->n - next % s->n) % s->n);
}

static int robin_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    int n = order_by(r, talk, turn, robin_figure, ret);
    ((int *)r->memory)[r->t->talks[talk].scene]++;
    return n;
}

/* ---- one endpoint for each model ---- */

/* By what all conversations would cost there without outages. */
static int single_begin(struct run *r)
{
    double *sum = calloc((size_t)r->w->catalog->n_endpoints + 1, sizeof(*sum));
    r->memory = sum;
    for (int i = 0; sum != NULL && i < r->t->n_talks; i++) {
        const struct talk *t = &r->t->talks[i];
        const struct scene *s = scene_of(r, i);
        for (int k = 0; k < s->n; k++) {
            for (int turn = 0; turn < t->n; turn++)
                sum[s->places[k].e->index] += (double)truth_pusd(r->w, t, turn, k, turn - 1);
        }
    }
    return sum != NULL ? 0 : -1;
}

static double single_figure(const struct run *r, int talk, int turn, const struct place *p)
{
    (void)talk;
    (void)turn;
    return ((const double *)r->memory)[p->e->index];
}

static int single_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    return order_by(r, talk, turn, single_figure, ret);
}

/* ---- ours: a plan, as server/planning.c makes one ---- */

struct ours {
    struct chat chat;
    struct plan plan;
    struct warm *warm;
    struct warm_hits hits;
    struct forecast *forecast;
    struct warm_ask ask; /* of chat, as server/planning.c fills it */
    int *place_of;       /* by endpoint->index */
};

static int ours_begin(struct run *r)
{
    struct ours *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return -1;
    r->memory = o;
    chat_init(&o->chat);
    plan_init(&o->plan);
    prefs_init(&o->chat.prefs);
    o->chat.prefs.allow_fallbacks = true;
    o->warm = warm_new();
    o->forecast = forecast_new();
    o->place_of = calloc((size_t)r->w->catalog->n_endpoints + 1, sizeof(int));
    if (o->warm == NULL || o->forecast == NULL || o->place_of == NULL)
        return -1;
    for (int i = 0; i < r->w->n_scenes; i++) {
        for (int k = 0; k < r->w->scenes[i].n; k++)
            o->place_of[r->w->scenes[i].places[k].e->index] = k + 1; /* 0: none */
    }
    return 0;
}

static int sorted_begin(struct run *r)
{
    int rc = ours_begin(r);
    if (rc == 0)
        ((struct ours *)r->memory)->chat.prefs.sort = SORT_price;
    return rc;
}

static void ours_end(struct run *r)
{
    struct ours *o = r->memory;
    if (o == NULL)
        return;
    plan_done(&o->plan);
    chat_done(&o->chat);
    warm_free(o->warm);
    forecast_free(o->forecast);
    free(o->place_of);
    free(o);
}

/* Bytes that are estimated at so many tokens. */
static int64_t bytes_of(const struct scene *s, int64_t tok)
{
    int64_t estimate = tok * s->estimate_ppm / PPM - ESTIMATE_FRAME_TOK;
    return estimate > 0 ? estimate * ESTIMATE_NARROW_CHARS_PER_TOK : 0;
}

static struct chat_prefix prefix_at(const struct scene *s, const struct talk *t, int turn)
{
    int64_t tok = turn < 0 ? t->system_tok : t->turns[turn].prompt_tok;
    return (struct chat_prefix){.hash = draw(t->id, (uint64_t)turn, 0, 9),
                                .bytes = bytes_of(s, tok)};
}

/* As a client's body is read: marks behind the instructions and at the end (where the client sets
 * none, the server takes them to be there: schema/chat_measure.c), and the blocks before the last
 * one, of which each earlier turn has two. */
static void fill_prefixes(struct chat *c, const struct scene *s, const struct talk *t, int turn)
{
    c->n_prefixes = c->n_lookback = 0;
    c->prefixes[c->n_prefixes++] = prefix_at(s, t, -1);
    c->prefixes[c->n_prefixes++] = prefix_at(s, t, turn);
    for (int i = turn - 1; i >= 0 && c->n_lookback < CHAT_LOOKBACK_MAX / 2; i--)
        c->lookback[c->n_lookback++] = prefix_at(s, t, i);
}

static void fill_chat(struct chat *c, const struct scene *s, const struct talk *t, int turn)
{
    c->n_models = 1;
    snprintf(c->models[0].name, sizeof(c->models[0].name), "%s", s->model->slug);
    c->stream = true;
    c->max_tokens = ASKED_MAX_TOK;
    c->prompt_bytes = c->prompt_chars = bytes_of(s, t->turns[turn].prompt_tok);
    c->cache_write_5m = t->caches;
    c->talk = t->id;
    c->n_answers = turn;
    fill_prefixes(c, s, t, turn);
}

static void look_health(void *ctx, uint32_t endpoint_index, struct health_view *ret)
{
    const struct run *r = ctx;
    health_look(&r->health[endpoint_index], r->now_ms, ret);
}

static void look_warm(void *ctx, const struct endpoint *e, struct estimate_cache *ret)
{
    const struct run *r = ctx;
    const struct ours *o = r->memory;
    warm_of(&o->hits, e->id, ret);
}

static void look_ahead(void *ctx, const struct endpoint *e, struct estimate_ahead *ret)
{
    const struct run *r = ctx;
    const struct ours *o = r->memory;
    warm_ahead(o->warm, &o->ask, e, r->now_ms, ret);
}

static void look_learned(void *ctx, const struct model *m, struct estimate_learned *ret_bounds,
                         struct estimate_expected *ret)
{
    const struct run *r = ctx;
    const struct ours *o = r->memory;
    const struct forecast_ask ask = {m->slug, o->ask.key_id, o->ask.shape};
    *ret_bounds = (struct estimate_learned){.completion_tok = 0}; /* bounds hold no money here */
    forecast_look(o->forecast, &ask, ret);
}

static int ours_order(struct run *r, int talk, int turn, int ret[PLACES_MAX])
{
    struct ours *o = r->memory;
    const struct talk *t = &r->t->talks[talk];
    fill_chat(&o->chat, scene_of(r, talk), t, turn);
    o->ask =
        (struct warm_ask){.chat = &o->chat, .key_id = t->key_id, .shape = forecast_shape(&o->chat)};
    warm_look(o->warm, &o->chat, r->now_ms, &o->hits);
    const struct plan_inputs in = {.catalog = r->w->catalog,
                                   .chat = &o->chat,
                                   .now_ms = r->now_ms,
                                   .seed = draw(t->id, (uint64_t)turn, 0, 10),
                                   .health = look_health,
                                   .cached = o->hits.n > 0 ? look_warm : NULL,
                                   .ahead = warm_is_worth(&o->chat) ? look_ahead : NULL,
                                   .learned = look_learned,
                                   .bound_strict = true,
                                   .ctx = r};
    int n = 0;
    if (plan_make(&o->plan, &in) != 0)
        return 0;
    for (int i = 0; i < o->plan.n_candidates; i++) {
        int place = o->place_of[o->plan.candidates[i].endpoint->index] - 1;
        if (place >= 0) /* endpoints that nobody here may use */
            ret[n++] = place;
    }
    return n;
}

static const struct candidate *candidate_of(const struct ours *o, const struct endpoint *e)
{
    for (int i = 0; i < o->plan.n_candidates; i++) {
        if (o->plan.candidates[i].endpoint == e)
            return &o->plan.candidates[i];
    }
    return NULL;
}

/* As server/call_money.c tells what it has learned; the chat is still that of this turn. */
static void ours_served(struct run *r, int talk, int turn, int place, const struct usage *u)
{
    struct ours *o = r->memory;
    const struct endpoint *e = scene_of(r, talk)->places[place].e;
    const struct candidate *c = candidate_of(o, e);
    const struct forecast_ask ask = {e->model->slug, o->ask.key_id, o->ask.shape};
    (void)turn;
    forecast_learn_prompt(o->forecast, &ask, c->estimate.prompt_raw_tok, usage_prompt_tok(u));
    forecast_learn_completion(o->forecast, &ask, u->n[USAGE_output_tok]);
    warm_learn(o->warm, &o->ask, e, &c->estimate.cache, u, r->now_ms);
}

const struct policy_row policies[] = {
    {"wayfare default", ours_begin, ours_end, ours_order, ours_served},
    {"wayfare sort price", sorted_begin, ours_end, ours_order, ours_served},
    {"cheapest list price", no_begin, no_end, list_order, NULL},
    {"input plus output", no_begin, no_end, sum_order, NULL},
    {"drawn by 1/price^2", no_begin, no_end, drawn_order, NULL},
    {"sticky, 10 minutes", sticky_begin, no_end, sticky_order, sticky_served},
    {"round robin", robin_begin, no_end, robin_order, NULL},
    {"one endpoint per model, in hindsight", single_begin, no_end, single_order, NULL},
    {0}};
