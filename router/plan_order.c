/* In which order the endpoints that fit are tried. */
#include "router/plan_order.h"

#include <assert.h>
#include <math.h>

/* The block of a key, highest bits first.  What is out stands behind everything, also behind
 * the fallback models: with three attempts a request, three dead endpoints of the first model
 * would hide a model that answers.  A missed preference stands before the model:
 * a fallback model that meets it may run before a primary that does not (OpenRouter's
 * rule, docs/api.md "Order"). */
enum {
    BLOCK_OUT_SHIFT = 21,
    BLOCK_SLOW_SHIFT = 20,
    BLOCK_MODEL_SHIFT = 12,
    BLOCK_ORDER_SHIFT = 4,
    BLOCK_SICK_SHIFT = 2,
    UNLISTED = 0xff
};
_Static_assert(CHAT_MODELS_MAX <= 0x100 && PREFS_LIST_MAX < (int)UNLISTED, "fields of a block");

enum sick { SICK_NOT, SICK_OUTAGE, SICK_HELD_BACK, SICK_OUT };
enum draw_class { CLASS_LEADS, CLASS_PINNED, CLASS_FREE, CLASS_PAID };
enum { CLASS_BITS = 3, SICK_BITS = 3 << BLOCK_SICK_SHIFT };

static const char *const WHY_SICK[] = {
    [SICK_OUTAGE] = "in outage: at least 20 per cent of its attempts of the last 30 s failed",
    [SICK_HELD_BACK] = "held back: it answered 429 and its retry-after has not passed",
    [SICK_OUT] =
        "ejected: it failed 5 times in a row or over half of at least 20 attempts in 10 s; "
        "tried when nothing else is left",
};
static const char *const WHY_SORT[SORT_COUNT] = {
    [SORT_none] = "drawn with weight 1/cost^2",
    [SORT_price] = "sorted by expected cost (provider_sort price)",
    [SORT_throughput] = "sorted by throughput (provider_sort throughput)",
    [SORT_latency] = "sorted by latency (provider_sort latency)",
};
static const char WHY_LISTED[] = "named in provider_order";
static const char WHY_LISTED_OUT[] =
    "named in provider_order, where it stays although it is ejected";
static const char WHY_HALF_OPEN[] =
    "half-open after an ejection: the request that comes to it is its probe, one at a time";
static const char WHY_EXPLORED[] =
    "put first to learn how it is (1 per cent of the draws): its figures are unknown or old";
static const char WHY_SLOW[] = "misses provider_preferred_max_latency or _min_throughput";
static const char WHY_FREE[] = "free of charge";
static const char WHY_WARM[] = "this conversation's cache is warm there and it is the cheapest";

/* ---- random numbers ---- */

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (the
 * output function in Stafford's variant 13, as in Vigna's public-domain splitmix64). */
static const uint64_t GOLDEN_GAMMA = 0x9e3779b97f4a7c15u;

static uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In (0, 1].  By endpoint, not by position: what else is filtered does not change it. */
static double uniform(uint64_t seed, const struct endpoint *e)
{
    uint64_t bits = mix64(mix64(seed + GOLDEN_GAMMA) + GOLDEN_GAMMA * (e->index + 1u));
    return (double)((bits >> 11) + 1) * 0x1p-53;
}

/* Weighted order without replacement by sorting one key each: with keys -ln(u)/w ascending
 * the first is drawn with probability w/sum(w), the second likewise among the rest, and so
 * on (Efraimidis and Spirakis, Weighted random sampling with a reservoir, Information
 * Processing Letters 97, 2006: u^(1/w) descending).  Bits of a non-negative double order
 * like the double. */
static uint64_t draw_key(double u, int64_t cost_pusd)
{
    double cost = (double)cost_pusd;
    double key = cost_pusd > 0 ? -log(u) * cost * cost : u;
    uint64_t bits;
    memcpy(&bits, &key, sizeof(bits));
    return bits;
}

/* ---- health ---- */

/* An endpoint without figures is not known to miss anything. */
static bool misses_preference(const struct prefs *prefs, const struct health_view *view)
{
    for (int p = 0; p < PERCENTILE_COUNT; p++) {
        if (view->has_latency && prefs->max_latency.set[p] &&
            view->latency_ms[p] > prefs->max_latency.milli[p])
            return true;
        if (view->has_throughput && prefs->min_throughput.set[p] &&
            view->milli_tps[p] < prefs->min_throughput.milli[p])
            return true;
    }
    return false;
}

void order_note_health(const struct prefs *prefs, const struct health_view *view,
                       struct candidate *c, struct order_key *key)
{
    c->outage = view->outage;
    c->held_back = view->held_back;
    c->held_why = view->held_why;
    c->slow = misses_preference(prefs, view);
    c->out = breaker_is_out(&view->breaker);
    c->half_open = view->breaker.state == BREAKER_HALF_OPEN && !c->out;
    key->explorable = view->explorable;
    key->latency = view->has_latency ? (uint64_t)view->latency_ms[P50] : UINT64_MAX;
    key->throughput = view->has_throughput ? (uint64_t)view->milli_tps[P50] : 0;
}

/* Of one that is half-open its probes tell, not the attempts before. */
static enum sick sickness(const struct candidate *c)
{
    if (c->out)
        return SICK_OUT;
    if (c->held_back)
        return SICK_HELD_BACK;
    return c->outage && !c->half_open ? SICK_OUTAGE : SICK_NOT;
}

/* ---- blocks ---- */

/* A suffix is the sort of its model; where all models stand together the first one's
 * holds for all. */
static enum sort sort_of(const struct chat *chat, int model_rank)
{
    int rank = chat->prefs.partition_none ? 0 : model_rank;
    switch (chat->models[rank].suffix) {
    case SUFFIX_FLOOR:
        return SORT_price;
    case SUFFIX_NITRO:
        return SORT_throughput;
    case SUFFIX_NONE:
        break;
    }
    return chat->prefs.sort;
}

static bool has_preferences(const struct prefs *prefs)
{
    for (int p = 0; p < PERCENTILE_COUNT; p++) {
        if (prefs->max_latency.set[p] || prefs->min_throughput.set[p])
            return true;
    }
    return false;
}

/* Everything but the draw's class.  provider_order is the caller's word: what it names
 * stays in place, slow or sick. */
static uint32_t block_of(const struct chat *chat, bool preferences, const struct candidate *c,
                         const struct order_key *key)
{
    bool listed = key->order_at >= 0;
    enum sick sick = sickness(c);
    /* Figures of an endpoint in trouble are no promise that it meets the preference. */
    bool slow = !listed && preferences && (c->slow || sick != SICK_NOT);
    uint32_t model = chat->prefs.partition_none ? 0 : (uint32_t)c->model_rank;
    return (uint32_t)(!listed && sick == SICK_OUT) << BLOCK_OUT_SHIFT |
           (uint32_t)slow << BLOCK_SLOW_SHIFT | model << BLOCK_MODEL_SHIFT |
           (listed ? (uint32_t)key->order_at : UNLISTED) << BLOCK_ORDER_SHIFT |
           (uint32_t)sick << BLOCK_SICK_SHIFT;
}

static uint64_t sort_metric(enum sort sort, const struct order_key *key)
{
    switch (sort) {
    case SORT_throughput:
        return UINT64_MAX - key->throughput;
    case SORT_latency:
        return key->latency;
    case SORT_price:
    case SORT_none:
    case SORT_COUNT:
        break;
    }
    return key->cost;
}

static bool is_drawn(const struct chat *chat, const struct candidate *c,
                     const struct order_key *key)
{
    return key->order_at < 0 && sort_of(chat, c->model_rank) == SORT_none;
}

/* Of two that cost the same now, the one where the next turn is cheaper. */
static uint32_t cache_rank(const struct chat *chat, const struct candidate *c)
{
    if (c->warm)
        return 0;
    bool kept = estimate_bills_writes(chat, c->endpoint) || estimate_caches_by_itself(c->endpoint);
    return kept && c->estimate.prompt_tok >= ESTIMATE_CACHE_MIN_TOK ? 1 : 2;
}

static void fill_key(const struct plan_inputs *in, bool preferences, const struct candidate *c,
                     struct order_key *key)
{
    enum sort sort = key->order_at >= 0 ? SORT_price : sort_of(in->chat, c->model_rank);
    key->block = block_of(in->chat, preferences, c, key);
    key->cost = (uint64_t)c->order_pusd;
    key->cache = cache_rank(in->chat, c);
    key->metric = sort_metric(sort, key);
    if (is_drawn(in->chat, c, key)) {
        key->metric = draw_key(uniform(in->seed, c->endpoint), c->order_pusd);
        key->block |= c->order_pusd == 0 ? CLASS_FREE : CLASS_PAID;
    }
}

/* ---- warm caches ---- */

/* Which candidates a warm one is compared with: those of its model that are healthy. */
struct cheapest {
    uint64_t cost[2][CHAT_MODELS_MAX]; /* by slow, model */
};

static uint64_t *cheapest_slot(struct cheapest *m, uint32_t block)
{
    return &m->cost[(block >> BLOCK_SLOW_SHIFT) & 1u][(block >> BLOCK_MODEL_SHIFT) & 0xffu];
}

/* A healthy endpoint whose cache of this conversation is warm goes first, without a draw,
 * when no healthy one is cheaper. */
static void pin_warm(const struct chat *chat, const struct candidate *candidates,
                     struct order_key *keys, int n)
{
    struct cheapest min;
    memset(&min, 0xff, sizeof(min));
    for (int i = 0; i < n; i++) {
        uint64_t *slot = cheapest_slot(&min, keys[i].block);
        if (sickness(&candidates[i]) == SICK_NOT && keys[i].cost < *slot)
            *slot = keys[i].cost;
    }
    for (int i = 0; i < n; i++) {
        const struct candidate *c = &candidates[i];
        if (!c->warm || sickness(c) != SICK_NOT || !is_drawn(chat, c, &keys[i]) ||
            keys[i].cost > *cheapest_slot(&min, keys[i].block))
            continue;
        keys[i].block = (keys[i].block & ~(uint32_t)CLASS_BITS) | CLASS_PINNED;
    }
}

/* ---- who is put first to learn how it is ---- */

/* The candidates that stand in front but for health and draw, and what leading them may cost. */
struct front {
    uint32_t block; /* without sickness and class */
    bool listed;
    int n_healthy;
    uint64_t cheapest;
    bool warm; /* a conversation stays where its cache is */
};

static struct front find_front(const struct candidate *candidates, const struct order_key *keys,
                               int n)
{
    struct front f = {.block = UINT32_MAX, .cheapest = UINT64_MAX};
    for (int i = 0; i < n; i++) {
        if (keys[i].block >> BLOCK_ORDER_SHIFT < f.block) {
            f.block = keys[i].block >> BLOCK_ORDER_SHIFT;
            f.listed = keys[i].order_at >= 0;
        }
    }
    for (int i = 0; i < n; i++) {
        if (keys[i].block >> BLOCK_ORDER_SHIFT != f.block || sickness(&candidates[i]) != SICK_NOT)
            continue;
        f.n_healthy++;
        f.warm |= (keys[i].block & CLASS_BITS) == CLASS_PINNED;
        if (keys[i].cost < f.cheapest)
            f.cheapest = keys[i].cost;
    }
    return f;
}

static bool may_lead(const struct plan_inputs *in, const struct front *f, const struct candidate *c,
                     const struct order_key *key, bool probe)
{
    bool wanted = probe ? c->half_open && sickness(c) == SICK_NOT : key->explorable;
    return wanted && key->block >> BLOCK_ORDER_SHIFT == f->block && is_drawn(in->chat, c, key) &&
           key->cost / EXPLORE_COST_MULTIPLE <= f->cheapest && !c->slow;
}

/* One of those that may, evenly; -1: there is none. */
static int pick_leader(const struct plan_inputs *in, const struct front *f,
                       const struct candidate *candidates, const struct order_key *keys, int n,
                       bool probe, uint64_t draw)
{
    uint64_t count = 0;
    for (int i = 0; i < n; i++)
        count += may_lead(in, f, &candidates[i], &keys[i], probe);
    uint64_t chosen = count > 0 ? draw % count : 0;
    for (int i = 0; i < n; i++) {
        if (may_lead(in, f, &candidates[i], &keys[i], probe) && chosen-- == 0)
            return i;
    }
    return -1;
}

/* Probes come as they are needed, explorations now and then. */
static void choose_leader(const struct plan_inputs *in, struct candidate *candidates,
                          struct order_key *keys, int n)
{
    static const uint64_t SALT = 0x6578706c6f726521u; /* a draw of its own from the seed */
    struct front f = find_front(candidates, keys, n);
    if (n < 2 || f.listed || f.n_healthy == 0 || f.warm)
        return;
    uint64_t draw = mix64(mix64(in->seed ^ SALT) + GOLDEN_GAMMA);
    int leader = pick_leader(in, &f, candidates, keys, n, true, draw / 100);
    if (leader < 0 && draw % 100 < EXPLORE_PERCENT) {
        leader = pick_leader(in, &f, candidates, keys, n, false, draw / 100);
        if (leader >= 0)
            candidates[leader].explored = true;
    }
    if (leader >= 0)
        keys[leader].block &= ~(uint32_t)(SICK_BITS | CLASS_BITS);
}

/* ---- sorting ---- */

static bool key_before(const struct order_key *a, const struct order_key *b)
{
    if (a->block != b->block)
        return a->block < b->block;
    if (a->metric != b->metric)
        return a->metric < b->metric;
    if (a->cost != b->cost)
        return a->cost < b->cost;
    if (a->cache != b->cache)
        return a->cache < b->cache;
    return a->index < b->index;
}

static void sift_down(struct order_key *keys, int root, int n)
{
    struct order_key moved = keys[root];
    for (;;) {
        int child = 2 * root + 1;
        if (child >= n)
            break;
        if (child + 1 < n && key_before(&keys[child], &keys[child + 1]))
            child++;
        if (!key_before(&moved, &keys[child]))
            break;
        keys[root] = keys[child];
        root = child;
    }
    keys[root] = moved;
}

/* Heapsort: qsort of glibc allocates.  No two keys are equal (index), so that it need not
 * be stable. */
static void sort_keys(struct order_key *keys, int n)
{
    for (int i = n / 2 - 1; i >= 0; i--)
        sift_down(keys, i, n);
    for (int i = n - 1; i > 0; i--) {
        struct order_key last = keys[i];
        keys[i] = keys[0];
        keys[0] = last;
        sift_down(keys, 0, i);
    }
}

static const char *why(const struct chat *chat, const struct candidate *c,
                       const struct order_key *key)
{
    if (key->order_at >= 0)
        return c->out ? WHY_LISTED_OUT : WHY_LISTED;
    if (c->explored)
        return WHY_EXPLORED;
    if (sickness(c) == SICK_HELD_BACK && c->held_why != NULL)
        return c->held_why;
    if (sickness(c) != SICK_NOT)
        return WHY_SICK[sickness(c)];
    if (c->half_open)
        return WHY_HALF_OPEN;
    if (c->slow)
        return WHY_SLOW;
    if (is_drawn(chat, c, key)) {
        switch ((enum draw_class)(key->block & CLASS_BITS)) {
        case CLASS_LEADS:
            break; /* said above */
        case CLASS_PINNED:
            return WHY_WARM;
        case CLASS_FREE:
            return WHY_FREE;
        case CLASS_PAID:
            break;
        }
    }
    return WHY_SORT[sort_of(chat, c->model_rank)];
}

void order_sort(const struct plan_inputs *in, struct candidate *candidates, struct order_key *keys,
                int n)
{
    bool preferences = has_preferences(&in->chat->prefs);
    for (int i = 0; i < n; i++) {
        assert(keys[i].index == (uint32_t)i);
        fill_key(in, preferences, &candidates[i], &keys[i]);
    }
    pin_warm(in->chat, candidates, keys, n);
    choose_leader(in, candidates, keys, n);
    for (int i = 0; i < n; i++)
        candidates[i].why = why(in->chat, &candidates[i], &keys[i]);
    sort_keys(keys, n);
}
