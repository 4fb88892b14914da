/* A pretended prompt cache: remembers the hashes of prompt prefixes that a
 * cache_control marker ended, so that the same conversation reads next time what it
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

void cache_init(struct cache *c);
void cache_done(struct cache *c);
void cache_reset(struct cache *c);
/* The request's root object; prompt_tok: what the whole prompt counts; now_ms: loop time. */
void cache_apply(struct cache *c, const struct json_doc *doc, struct span model, int64_t prompt_tok,
                 uint64_t now_ms, struct cache_use *ret);

#endif
