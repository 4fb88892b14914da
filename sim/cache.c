/* Walks tools, system and messages in the order of the prompt, hashing block by block
 * without the markers themselves (a client moves them from turn to turn). */
#include "sim/cache.h"

#include <stdlib.h>

enum { TTL_5M_MS = 300000, TTL_1H_MS = 3600000, BREAKPOINTS_MAX = 16 };

struct walk {
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
    } breakpoints[BREAKPOINTS_MAX];
};

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

static void hash_bytes(struct walk *w, struct span s)
{
    uint64_t h = w->hash;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 1099511628211u;
    w->hash = h;
}

static void note_breakpoint(struct walk *w, json_ref marker)
{
    if (w->n == BREAKPOINTS_MAX)
        return;
    json_ref ttl = json_get(w->doc, marker, "ttl");
    w->breakpoints[w->n].hash = w->hash;
    w->breakpoints[w->n].bytes = w->bytes;
    w->breakpoints[w->n].one_hour = ttl != JSON_NONE && json_text_is(w->doc, ttl, "1h");
    w->n++;
}

/* One block: a tool, a system block, a content block. */
static void walk_block(struct walk *w, json_ref block)
{
    json_ref marker = JSON_NONE;
    if (json_kind(w->doc, block) == JSON_OBJECT) {
        for (json_ref m = json_first(w->doc, block); m != JSON_NONE; m = json_next(w->doc, m)) {
            if (json_key_is(w->doc, m, "cache_control")) {
                marker = m;
                continue;
            }
            const struct json_node *node = json_at(w->doc, m);
            hash_bytes(w, (struct span){w->doc->text.ptr + node->key_begin, node->key_len});
            hash_bytes(w, json_raw(w->doc, m));
            w->bytes += (int64_t)json_raw(w->doc, m).len;
        }
    } else {
        hash_bytes(w, json_raw(w->doc, block));
        w->bytes += (int64_t)json_raw(w->doc, block).len;
    }
    if (w->hash == 0)
        w->hash = 1;
    struct cache_slot *slot = find(w->cache, w->hash);
    if (slot->hash != 0 && slot->until_ms >= w->now_ms)
        w->hit_bytes = w->bytes;
    if (marker != JSON_NONE && json_kind(w->doc, marker) == JSON_OBJECT)
        note_breakpoint(w, marker);
}

static void walk_list(struct walk *w, json_ref list)
{
    if (list == JSON_NONE)
        return;
    if (json_kind(w->doc, list) != JSON_ARRAY) {
        walk_block(w, list);
        return;
    }
    for (json_ref b = json_first(w->doc, list); b != JSON_NONE; b = json_next(w->doc, b))
        walk_block(w, b);
}

static void walk_prompt(struct walk *w, json_ref root)
{
    walk_list(w, json_get(w->doc, root, "tools"));
    hash_bytes(w, SPAN("|system|"));
    walk_list(w, json_get(w->doc, root, "system"));
    json_ref messages = json_get(w->doc, root, "messages");
    if (messages != JSON_NONE && json_kind(w->doc, messages) == JSON_ARRAY) {
        for (json_ref m = json_first(w->doc, messages); m != JSON_NONE; m = json_next(w->doc, m)) {
            json_ref role = json_get(w->doc, m, "role");
            if (role != JSON_NONE)
                hash_bytes(w, json_raw(w->doc, role));
            walk_list(w, json_get(w->doc, m, "content"));
        }
    }
    /* The automatic form: one marker for the whole request. */
    json_ref automatic = json_get(w->doc, root, "cache_control");
    if (automatic != JSON_NONE && json_kind(w->doc, automatic) == JSON_OBJECT)
        note_breakpoint(w, automatic);
}

static void remember(struct walk *w)
{
    for (int i = 0; i < w->n; i++) {
        if (w->cache->n_used >= CACHE_FILL_MAX)
            cache_reset(w->cache);
        struct cache_slot *slot = find(w->cache, w->breakpoints[i].hash);
        w->cache->n_used += slot->hash == 0;
        slot->hash = w->breakpoints[i].hash;
        slot->until_ms = w->now_ms + (w->breakpoints[i].one_hour ? TTL_1H_MS : TTL_5M_MS);
    }
}

static int64_t tokens_of(const struct walk *w, int64_t bytes, int64_t prompt_tok)
{
    return w->bytes > 0 ? prompt_tok * bytes / w->bytes : 0;
}

void cache_apply(struct cache *c, const struct json_doc *doc, struct span model, int64_t prompt_tok,
                 uint64_t now_ms, struct cache_use *ret)
{
    if (c->slots == NULL)
        c->slots = calloc(CACHE_SLOTS, sizeof(*c->slots));
    *ret = (struct cache_use){.uncached_tok = prompt_tok};
    if (c->slots == NULL)
        return;
    struct walk w = {.doc = doc, .cache = c, .now_ms = now_ms, .hash = 14695981039346656037u};
    hash_bytes(&w, model);
    walk_prompt(&w, 0);
    int64_t done = w.n > 0 ? tokens_of(&w, w.hit_bytes, prompt_tok) : 0;
    ret->read_tok = done;
    for (int i = 0; i < w.n; i++) {
        int64_t upto = tokens_of(&w, w.breakpoints[i].bytes, prompt_tok);
        if (upto <= done)
            continue;
        *(w.breakpoints[i].one_hour ? &ret->write_1h_tok : &ret->write_5m_tok) += upto - done;
        done = upto;
    }
    ret->uncached_tok = prompt_tok - done;
    remember(&w);
}
