/* Hashes a prompt block by block without the markers themselves (a client moves them from turn to
 * turn). */
#include "sim/cache.h"

#include <stdlib.h>

enum { TTL_5M_MS = 300000, TTL_1H_MS = 3600000 };

void cache_init(struct cache *c)
{
    *c = (struct cache){NULL, 0};
}

void cache_done(struct cache *c)
{
    free(c->slots);
}

void cache_reset(struct cache *c)
{
    if (c->slots != NULL)
        memset(c->slots, 0, CACHE_SLOTS * sizeof(*c->slots));
    c->n_used = 0;
}

static struct cache_slot *find(struct cache *c, uint64_t hash)
{
    size_t i = (size_t)(hash % CACHE_SLOTS);
    while (c->slots[i].hash != 0 && c->slots[i].hash != hash)
        i = (i + 1) % CACHE_SLOTS;
    return &c->slots[i];
}

void cache_text(struct cache_walk *w, struct span s)
{
    uint64_t h = w->hash;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 1099511628211u;
    w->hash = h;
}

void cache_mark(struct cache_walk *w, bool one_hour)
{
    if (w->n == CACHE_MARKS_MAX)
        return;
    w->marks[w->n].hash = w->hash;
    w->marks[w->n].bytes = w->bytes;
    w->marks[w->n].one_hour = one_hour;
    w->n++;
}

static void add_value(struct cache_walk *w, json_ref value)
{
    cache_text(w, json_raw(w->doc, value));
    w->bytes += (int64_t)json_raw(w->doc, value).len;
}

void cache_block(struct cache_walk *w, json_ref block, const char *marker)
{
    if (json_kind(w->doc, block) == JSON_OBJECT) {
        for (json_ref m = json_first(w->doc, block); m != JSON_NONE; m = json_next(w->doc, m)) {
            if (marker != NULL && json_key_is(w->doc, m, marker))
                continue;
            const struct json_node *node = json_at(w->doc, m);
            cache_text(w, (struct span){w->doc->text.ptr + node->key_begin, node->key_len});
            add_value(w, m);
        }
    } else {
        add_value(w, block);
    }
    if (w->hash == 0)
        w->hash = 1;
    struct cache_slot *slot = find(w->cache, w->hash);
    if (slot->hash != 0 && slot->until_ms >= w->now_ms)
        w->hit_bytes = w->bytes;
}

static void remember(struct cache_walk *w)
{
    for (int i = 0; i < w->n; i++) {
        if (w->cache->n_used >= CACHE_FILL_MAX)
            cache_reset(w->cache);
        struct cache_slot *slot = find(w->cache, w->marks[i].hash);
        w->cache->n_used += slot->hash == 0;
        slot->hash = w->marks[i].hash;
        slot->until_ms = w->now_ms + (w->marks[i].one_hour ? TTL_1H_MS : TTL_5M_MS);
    }
}

static int64_t tokens_of(const struct cache_walk *w, int64_t bytes, int64_t prompt_tok)
{
    return w->bytes > 0 ? prompt_tok * bytes / w->bytes : 0;
}

void cache_apply(struct cache *c, void (*walk)(struct cache_walk *w), const struct json_doc *doc,
                 struct span model, int64_t prompt_tok, uint64_t now_ms, struct cache_use *ret)
{
    if (c->slots == NULL)
        c->slots = calloc(CACHE_SLOTS, sizeof(*c->slots));
    *ret = (struct cache_use){.uncached_tok = prompt_tok};
    if (c->slots == NULL)
        return;
    struct cache_walk w = {.doc = doc, .cache = c, .now_ms = now_ms, .hash = 14695981039346656037u};
    cache_text(&w, model);
    walk(&w);
    int64_t done = w.n > 0 ? tokens_of(&w, w.hit_bytes, prompt_tok) : 0;
    ret->read_tok = done;
    for (int i = 0; i < w.n; i++) {
        int64_t upto = tokens_of(&w, w.marks[i].bytes, prompt_tok);
        if (upto <= done)
            continue;
        *(w.marks[i].one_hour ? &ret->write_1h_tok : &ret->write_5m_tok) += upto - done;
        done = upto;
    }
    ret->uncached_tok = prompt_tok - done;
    remember(&w);
}
