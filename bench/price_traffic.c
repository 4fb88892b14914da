#define _GNU_SOURCE
/* Conversations, and what an attempt of theirs truly uses. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "bench/price.h"

const char *const kind_names[KINDS] = {"agent", "chat", "batch"};

enum { ALL_KINDS = (1 << KINDS) - 1 };
const struct mix mixes[] = {{"agent", 1 << KIND_AGENT, false}, {"chat", 1 << KIND_CHAT, false},
                            {"batch", 1 << KIND_BATCH, false}, {"mixed", ALL_KINDS, false},
                            {"one-key", ALL_KINDS, true},      {0}};

/* How a conversation goes: sizes are medians, spread log-normally. */
static const struct shape {
    int turns_min, turns_max;
    double system_tok, ask_tok, output_tok; /* ask: what a turn adds besides the answer */
    double spread;                          /* sigma of the logarithm */
    double gap_ms;                          /* median pause between turns */
    int long_gap_percent;                   /* pauses of minutes: somebody thinks */
} shapes[KINDS] = {
    [KIND_AGENT] = {8, TURNS_MAX, 14000, 900, 250, 0.9, 12000, 5},
    [KIND_CHAT] = {1, 10, 600, 120, 450, 0.7, 45000, 12},
    [KIND_BATCH] = {1, 1, 800, 2500, 300, 0.8, 0, 0},
};
enum { LONG_GAP_MS = 7 * 60 * 1000, PROMPT_MAX_TOK = 110000 };

/* ---- making it ---- */

struct dice {
    uint64_t seed, n;
};

static double roll(struct dice *d)
{
    return uniform(draw(d->seed, d->n++, 0, 4));
}

/* Log-normal around its median (Box and Muller). */
static double spread_of(struct dice *d, double median, double sigma)
{
    double u = roll(d), v = roll(d);
    return median * exp(sigma * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

static int64_t tokens(struct dice *d, double median, double sigma, int64_t most)
{
    int64_t n = (int64_t)spread_of(d, median, sigma);
    return n < 1 ? 1 : n > most ? most : n;
}

static void make_talk(struct talk *t, const struct world *w, const struct shape *s, struct dice *d)
{
    int64_t at = (int64_t)(roll(d) * (double)w->span_ms * 0.9), prompt;
    int turns = s->turns_min + (int)(roll(d) * (s->turns_max - s->turns_min + 1));
    t->system_tok = prompt = tokens(d, s->system_tok, s->spread / 2, PROMPT_MAX_TOK / 2);
    t->caches = s->turns_max > 1;
    for (int i = 0; i < turns; i++) {
        int64_t output = tokens(d, s->output_tok, s->spread, ASKED_MAX_TOK);
        prompt += tokens(d, s->ask_tok, s->spread, PROMPT_MAX_TOK / 4);
        if (prompt > PROMPT_MAX_TOK)
            return;
        t->turns[t->n++] = (struct turn){at, prompt, output};
        prompt += output;
        bool pause = roll(d) * 100 < s->long_gap_percent;
        at += 1000 + (int64_t)spread_of(d, pause ? LONG_GAP_MS : s->gap_ms, 0.6);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    if (x->talk != y->talk)
        return x->talk < y->talk ? -1 : 1;
    return x->turn - y->turn;
}

static void add_kind(struct traffic *t, const struct world *w, enum kind kind, bool one_key,
                     int n_talks)
{
    for (int i = 0; i < n_talks; i++) {
        struct talk *talk = &t->talks[t->n_talks];
        *talk = (struct talk){.scene = i % w->n_scenes,
                              .kind = kind,
                              .key_id = one_key ? 1 : 1 + (int64_t)kind,
                              .id = draw(w->seed, (uint64_t)i, kind, 5)};
        struct dice d = {talk->id, 0};
        make_talk(talk, w, &shapes[kind], &d);
        for (int k = 0; k < talk->n; k++)
            t->events[t->n_events++] = (struct event){talk->turns[k].at_ms, t->n_talks, k};
        t->n_talks++;
    }
}

int traffic_make(struct traffic *t, const struct world *w, const struct mix *mix, int talks_each)
{
    size_t most = (size_t)talks_each * (size_t)w->n_scenes * KINDS;
    *t = (struct traffic){.n_talks = 0};
    t->talks = calloc(most, sizeof(*t->talks));
    t->events = calloc(most * TURNS_MAX, sizeof(*t->events));
    if (t->talks == NULL || t->events == NULL)
        return -1;
    for (int k = 0; k < KINDS; k++) {
        if (mix->kinds & 1u << k)
            add_kind(t, w, (enum kind)k, mix->one_key, talks_each * w->n_scenes);
    }
    qsort(t->events, (size_t)t->n_events, sizeof(*t->events), by_time);
    return 0;
}

void traffic_done(struct traffic *t)
{
    free(t->talks);
    free(t->events);
}

/* ---- truth ---- */

static const struct place *place_of(const struct world *w, const struct talk *t, int place)
{
    assert(place >= 0 && place < w->scenes[t->scene].n);
    return &w->scenes[t->scene].places[place];
}

bool truth_fails(const struct world *w, const struct talk *t, int turn, int place)
{
    const struct place *p = place_of(w, t, place);
    int64_t now = t->turns[turn].at_ms, context = p->e->context_length;
    for (int i = 0; i < p->n_outages; i++) {
        if (now >= p->outages[i].from_ms && now < p->outages[i].to_ms)
            return true;
    }
    if (context > 0 && t->turns[turn].prompt_tok + ASKED_MAX_TOK > context)
        return true;
    uint64_t bits = draw(t->id, (uint64_t)turn, p->e->index, 6);
    return (int64_t)(bits % PPM) < p->error_ppm;
}

/* What of the prompt the cache holds: what it saw `last`, while it keeps it. */
static int64_t held_tok(const struct place *p, const struct talk *t, int turn, int last)
{
    if (!t->caches || last < 0 || t->turns[turn].at_ms - t->turns[last].at_ms > CACHE_TTL_MS)
        return 0;
    int64_t seen = t->turns[last].prompt_tok;
    if (!p->writes)
        seen -= seen % CACHE_BLOCK_TOK;
    return seen >= CACHE_MIN_TOK ? seen : 0;
}

static bool is_hit(const struct place *p, const struct talk *t, int turn)
{
    return (int64_t)(draw(t->id, (uint64_t)turn, p->e->index, 7) % PPM) < p->hit_ppm;
}

static void fill_usage(const struct place *p, const struct talk *t, int turn, int64_t cached,
                       struct usage *ret)
{
    int64_t prompt = t->turns[turn].prompt_tok;
    bool writes = p->writes && t->caches && prompt >= CACHE_MIN_TOK;
    *ret = (struct usage){.seen = 0};
    usage_set(ret, USAGE_cache_read_tok, cached);
    usage_set(ret, USAGE_cache_write_5m_tok, writes ? prompt - cached : 0);
    usage_set(ret, USAGE_input_tok, writes ? 0 : prompt - cached);
    usage_set(ret, USAGE_output_tok, t->turns[turn].output_tok);
}

static int64_t cost_of(const struct place *p, const struct usage *u)
{
    int64_t pusd = 0;
    bool fits = price_usage(&p->e->price, u, 0, true, &pusd);
    assert(fits);
    return fits ? pusd : 0;
}

void truth_usage(const struct world *w, const struct talk *t, int turn, int place, int last,
                 struct usage *ret)
{
    const struct place *p = place_of(w, t, place);
    fill_usage(p, t, turn, is_hit(p, t, turn) ? held_tok(p, t, turn, last) : 0, ret);
}

int64_t truth_pusd(const struct world *w, const struct talk *t, int turn, int place, int last)
{
    struct usage u;
    truth_usage(w, t, turn, place, last, &u);
    return cost_of(place_of(w, t, place), &u);
}

int64_t truth_mean_pusd(const struct world *w, const struct talk *t, int turn, int place, int last)
{
    const struct place *p = place_of(w, t, place);
    struct usage hit, miss;
    fill_usage(p, t, turn, held_tok(p, t, turn, last), &hit);
    fill_usage(p, t, turn, 0, &miss);
    int64_t cold = cost_of(p, &miss);
    return cold + (cost_of(p, &hit) - cold) / 1000 * (p->hit_ppm / 1000); /* far from overflow */
}
