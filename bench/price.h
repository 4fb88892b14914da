/* The price benchmark: what the same traffic costs under several policies of choosing an endpoint,
 * on a virtual clock.  What is true of endpoints (price_world.c), what is asked (price_traffic.c),
 * who chooses (price_policy.c), how it goes (price_run.c), and the least it could have cost
 * (price_best.c).  Everything random is a function of a seed and of what it is asked about, so
 * that every policy meets the same world.  bench/README.md says what is assumed. */
#ifndef BENCH_PRICE_H
#define BENCH_PRICE_H

#include "router/catalog.h"
#include "router/health.h"

enum {
    PLACES_MAX = 64, /* endpoints of one model */
    SCENES_MAX = 64, /* models */
    TURNS_MAX = 40,
    OUTAGES_MAX = 16,
    ATTEMPTS_MAX = 3, /* of one request */
    CACHE_TTL_MS = 5 * 60 * 1000,
    CACHE_MIN_TOK = 1024,
    CACHE_BLOCK_TOK = 128, /* of caches that work by themselves */
    ASKED_MAX_TOK = 4096,  /* max_tokens of every request */
    PPM = 1000000
};

struct outage {
    int64_t from_ms, to_ms;
};

/* An endpoint, and what is true of it. */
struct place {
    const struct endpoint *e;
    int64_t latency_ms, milli_tps;
    int64_t hit_ppm;   /* chance that a prefix it has seen is still found */
    bool writes;       /* bills what it writes to its cache: only where it is asked to */
    int64_t list_pusd; /* list price, three prompt tokens and a completion token */
    int64_t error_ppm; /* of the attempts fail outside of outages */
    int n_outages;
    struct outage outages[OUTAGES_MAX];
};

/* A model and its endpoints. */
struct scene {
    const struct model *model;
    int n;
    struct place places[PLACES_MAX];
    int64_t estimate_ppm; /* a prompt is estimated at so much of what it is */
};

struct world {
    struct catalog *catalog;
    uint64_t seed;
    int64_t span_ms;
    bool check; /* the best of short conversations also by trying everything */
    int n_scenes;
    struct scene *scenes;
};

/* From a catalog file of any format; hit_rates: OpenRouter's CSV of effective prices, or NULL. */
int world_load(struct world *w, const char *catalog, const char *hit_rates, int n_models,
               const char *only_model);
void world_done(struct world *w);

/* ---- draws ---- */
uint64_t draw(uint64_t seed, uint64_t a, uint64_t b, uint64_t c);
/* In (0, 1). */
double uniform(uint64_t bits);

/* ---- traffic ---- */
enum kind { KIND_AGENT, KIND_CHAT, KIND_BATCH, KINDS };
extern const char *const kind_names[KINDS];

/* What is asked at the same time. */
struct mix {
    const char *name;
    unsigned kinds; /* bits */
    bool one_key;   /* for all; else each kind has its own */
};
extern const struct mix mixes[]; /* name NULL ends */

struct turn {
    int64_t at_ms, prompt_tok, output_tok;
};

struct talk {
    int scene, n;
    enum kind kind;
    int64_t key_id;
    uint64_t id;
    bool caches; /* it goes on, so that its client marks what to cache */
    int64_t system_tok;
    struct turn turns[TURNS_MAX];
};

struct event {
    int64_t at_ms;
    int talk, turn;
};

struct traffic {
    int n_talks, n_events;
    struct talk *talks;
    struct event *events; /* by time */
};

/* Conversations of a kind are the same in every mix. */
int traffic_make(struct traffic *t, const struct world *w, const struct mix *mix, int talks_each);
void traffic_done(struct traffic *t);

/* ---- truth ---- */
/* Does the attempt of this turn on this place fail? */
bool truth_fails(const struct world *w, const struct talk *t, int turn, int place);
/* What it uses; last: the turn that this place served last, -1 = none. */
void truth_usage(const struct world *w, const struct talk *t, int turn, int place, int last,
                 struct usage *ret);
int64_t truth_pusd(const struct world *w, const struct talk *t, int turn, int place, int last);
/* The mean of that over the luck of its cache. */
int64_t truth_mean_pusd(const struct world *w, const struct talk *t, int turn, int place, int last);

/* ---- policies ---- */
/* One run of one policy over one traffic. */
struct run {
    const struct world *w;
    const struct traffic *t;
    struct health *health; /* by endpoint->index */
    void *memory;          /* of the policy */
    int64_t now_ms;
};

struct policy_row {
    const char *name;
    int (*begin)(struct run *r);
    void (*end)(struct run *r);
    /* Places in the order to be tried; how many. */
    int (*order)(struct run *r, int talk, int turn, int ret[PLACES_MAX]);
    /* It answered; NULL = the policy does not listen. */
    void (*served)(struct run *r, int talk, int turn, int place, const struct usage *u);
};
extern const struct policy_row policies[]; /* name NULL ends */

struct result {
    int64_t pusd, requests, failed, attempts, prompt_tok, cached_tok, wait_ms;
    int64_t by_scene_pusd[SCENES_MAX], by_kind_pusd[KINDS];
};

/* 0, or -1 on no memory. */
int run_policy(const struct world *w, const struct traffic *t, const struct policy_row *p,
               struct result *ret);
/* What the best choice of endpoints costs that serves all that can be served. */
enum best {
    BEST_FOUND, /* knowing all: the best that was found */
    BEST_BOUND, /* knowing all: nothing can cost less */
    BEST_MEAN,  /* knowing all but which caches will be hit: the mean, of the best that was found */
    BESTS
};
int best_in_hindsight(const struct world *w, const struct traffic *t, enum best which,
                      struct result *ret);

#endif
