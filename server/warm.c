/* The table of warm prompt caches: open addressing over (prefix, endpoint), a small probe
 * window, the entry that expires first gives way. */
#define _GNU_SOURCE
#include "server/warm.h"

#include <pthread.h>
#include <stdlib.h>

enum { PROBE = 8 };
enum { TTL_5M_MS = 5 * 60 * 1000, TTL_1H_MS = 60 * 60 * 1000 };

struct slot {
    uint64_t prefix;
    int64_t endpoint_id;
    int64_t tok;
    int64_t until_ms;
};

struct warm {
    pthread_mutex_t lock;
    struct slot slots[WARM_SLOTS];
};

struct warm *warm_new(void)
{
    struct warm *w = calloc(1, sizeof *w);
    if (w != NULL) {
        pthread_mutex_init(&w->lock, NULL);
    }
    return w;
}

void warm_free(struct warm *w)
{
    if (w != NULL) {
        pthread_mutex_destroy(&w->lock);
        free(w);
    }
}

static struct slot *slot_at(struct warm *w, uint64_t prefix, int i)
{
    return &w->slots[(prefix + (uint64_t)i) % WARM_SLOTS];
}

static void add_hit(struct warm_hits *hits, int64_t endpoint_id, int64_t tok)
{
    for (int i = 0; i < hits->n; i++) {
        if (hits->hit[i].endpoint_id == endpoint_id) {
            if (tok > hits->hit[i].tok) {
                hits->hit[i].tok = tok;
            }
            return;
        }
    }
    if (hits->n < WARM_HITS_MAX) {
        hits->hit[hits->n].endpoint_id = endpoint_id;
        hits->hit[hits->n++].tok = tok;
    }
}

static void look_up(struct warm *w, uint64_t prefix, int64_t now_ms, struct warm_hits *hits)
{
    for (int i = 0; i < PROBE; i++) {
        const struct slot *s = slot_at(w, prefix, i);
        if (s->prefix == prefix && s->until_ms > now_ms) {
            add_hit(hits, s->endpoint_id, s->tok);
        }
    }
}

/* A conversation that has grown moves its breakpoints: what the last turn wrote ends at a block
 * before the last one, hence the look back. */
void warm_look(struct warm *w, const struct chat *chat, int64_t now_ms, struct warm_hits *ret)
{
    ret->n = 0;
    if (chat->n_prefixes == 0) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    for (int p = 0; p < chat->n_prefixes; p++) {
        look_up(w, chat->prefixes[p].hash, now_ms, ret);
    }
    for (int p = 0; p < chat->n_lookback; p++) {
        look_up(w, chat->lookback[p].hash, now_ms, ret);
    }
    pthread_mutex_unlock(&w->lock);
}

static void remember(struct warm *w, uint64_t prefix, int64_t endpoint_id, int64_t tok,
                     int64_t until_ms)
{
    struct slot *victim = slot_at(w, prefix, 0);
    for (int i = 0; i < PROBE; i++) {
        struct slot *s = slot_at(w, prefix, i);
        if (s->prefix == prefix && s->endpoint_id == endpoint_id) {
            victim = s;
            break;
        }
        if (s->until_ms < victim->until_ms) {
            victim = s;
        }
    }
    *victim = (struct slot){prefix, endpoint_id, tok, until_ms};
}

void warm_learn(struct warm *w, const struct chat *chat, int64_t endpoint_id,
                const struct usage *usage, int64_t now_ms)
{
    int64_t cached = usage->n[USAGE_cache_read_tok] + usage->n[USAGE_cache_write_5m_tok] +
                     usage->n[USAGE_cache_write_1h_tok];
    if (chat->n_prefixes == 0 || cached <= 0) {
        return;
    }
    /* The provider states one figure for the longest prefix; shorter ones get their share
     * by size. */
    int64_t longest = chat->prefixes[chat->n_prefixes - 1].bytes;
    pthread_mutex_lock(&w->lock);
    for (int p = 0; p < chat->n_prefixes; p++) {
        const struct chat_prefix *prefix = &chat->prefixes[p];
        int64_t tok = longest > 0 && cached < INT64_MAX / (prefix->bytes + 1)
                          ? cached * prefix->bytes / longest
                          : cached;
        remember(w, prefix->hash, endpoint_id, tok,
                 now_ms + (prefix->one_hour ? TTL_1H_MS : TTL_5M_MS));
    }
    pthread_mutex_unlock(&w->lock);
}

int64_t warm_tok(const struct warm_hits *hits, int64_t endpoint_id)
{
    for (int i = 0; i < hits->n; i++) {
        if (hits->hit[i].endpoint_id == endpoint_id) {
            return hits->hit[i].tok;
        }
    }
    return 0;
}
