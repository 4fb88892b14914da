/* A pretended prompt cache: remembers the hashes of prompt prefixes that a
 * marker ended, so that the same conversation reads next time what it
 * wrote before.  Fixed memory; when it is full it forgets everything. */
#ifndef SIM_CACHE_H
#define SIM_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/json.h"

enum { CACHE_SLOTS = 1 << 16, CACHE_FILL_MAX = CACHE_SLOTS / 2 };

struct cache_slot {
    uint64_t hash; /* 0 = empty */
    uint64_t until_ms;
};

struct cache {
    struct cache_slot *slots; /* made on first use */
    int n_used;
};

/* Tokens of a prompt by how the cache treats them; their sum is the whole prompt. */
struct cache_use {
    int64_t read_tok;
    int64_t write_5m_tok;
    int64_t write_1h_tok;
    int64_t uncached_tok;
};

/* A walk over one prompt, in the order in which the provider puts it together. */
enum { CACHE_MARKS_MAX = 16 };
struct cache_walk {
    const struct json_doc *doc;
    struct cache *cache;
    uint64_t now_ms;
    uint64_t hash;
    int64_t bytes;     /* of the prompt so far */
    int64_t hit_bytes; /* the longest prefix that the cache knows */
    int n;
    struct {
        uint64_t hash;
        int64_t bytes;
        bool one_hour;
    } marks[CACHE_MARKS_MAX];
};
/* Text between blocks that tells them apart. */
void cache_text(struct cache_walk *w, struct span s);
/* One block: a tool, a system block, a content block; not its member `marker` (a name, may be
 * NULL). */
void cache_block(struct cache_walk *w, json_ref block, const char *marker);
/* A breakpoint here. one_hour: how long it is kept. */
void cache_mark(struct cache_walk *w, bool one_hour);

void cache_init(struct cache *c);
void cache_done(struct cache *c);
void cache_reset(struct cache *c);
/* walk goes over the prompt; prompt_tok: what the whole prompt counts; now_ms: loop time. */
void cache_apply(struct cache *c, void (*walk)(struct cache_walk *w), const struct json_doc *doc,
                 struct span model, int64_t prompt_tok, uint64_t now_ms, struct cache_use *ret);

#endif
