/* The table of warm prompt caches: open addressing over (prefix, endpoint), a small probe
 * window, the entry that expires first gives way.  A second table has the hit rates, a third one
 * (router/pace.h) how conversations go on. */
#define _GNU_SOURCE
#include "server/warm.h"

#include <pthread.h>
#include <stdlib.h>

enum { PROBE = 8 };

struct slot {
    uint64_t prefix;
    int64_t endpoint_id;
    int64_t tok;
    int64_t used_ms;
    int32_t keep_ms;
    bool by_itself; /* the endpoint was not told to cache */
};

/* Kinds of beliefs: what an endpoint was told to keep, what it may have kept by itself a short
 * or a longer while ago. */
enum kind { KIND_TOLD, KIND_FRESH, KIND_OLD, KINDS };

/* What is believed before there is experience: so many of so many were hits. */
static const struct {
    int64_t hits, of;
} PRIOR[KINDS] = {
    [KIND_TOLD] = {15, 16},
    [KIND_FRESH] = {1, 2},
    [KIND_OLD] = {1, 4},
};

struct rate {
    int64_t endpoint_id; /* 0 = empty: ids of the database begin with 1 */
    struct {
        int64_t tested, hits;
        int64_t believed_tok, read_tok; /* of the hits */
    } of[KINDS];
};

struct warm {
    pthread_mutex_t lock;
    struct slot slots[WARM_SLOTS];
    struct rate rates[WARM_RATES];
    struct pace *pace;
};

struct warm *warm_new(void)
{
    struct warm *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->pace = pace_new();
    if (w->pace == NULL) {
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

void warm_free(struct warm *w)
{
    if (w != NULL) {
        pthread_mutex_destroy(&w->lock);
        pace_free(w->pace);
        free(w);
    }
}

/* ---- hit rates ---- */

/* Where the i-th look for a row's id goes in a table of so many. */
static size_t place_of(int64_t id, int i, size_t size)
{
    return (((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 32) + (uint64_t)i) % size;
}

/* That of the endpoint, or a free one for it; NULL: there is no room, its prior stays. */
static struct rate *rate_of(struct warm *w, int64_t endpoint_id)
{
    for (int i = 0; i < PROBE; i++) {
        struct rate *r = &w->rates[place_of(endpoint_id, i, WARM_RATES)];
        if (r->endpoint_id == 0 || r->endpoint_id == endpoint_id) {
            return r;
        }
    }
    return NULL;
}

static const struct rate *find_rate(struct warm *w, int64_t endpoint_id)
{
    static const struct rate NONE = {.endpoint_id = 0};
    const struct rate *r = rate_of(w, endpoint_id);
    return r != NULL ? r : &NONE;
}

/* Of n, as much as was read of what was believed to be there, where it was a hit. */
static int64_t read_of(const struct rate *r, int kind, int64_t n)
{
    int64_t read = r->of[kind].read_tok, believed = r->of[kind].believed_tok;
    return believed > 0 && n < INT64_MAX / 1024 ? n * (read * 1024 / believed) / 1024 : n;
}

/* Puts what experience says into a belief. */
static void judge(const struct rate *r, struct estimate_cache *c)
{
    int64_t hits = r->of[c->kind].hits, tested = r->of[c->kind].tested;
    c->samples = tested;
    c->hit_ppm = (hits + PRIOR[c->kind].hits) * ESTIMATE_SURE / (tested + PRIOR[c->kind].of);
    c->tok = read_of(r, c->kind, c->believed_tok);
}

static void halve(struct rate *r, enum kind k)
{
    r->of[k].tested /= 2;
    r->of[k].hits /= 2;
    r->of[k].believed_tok /= 2;
    r->of[k].read_tok /= 2;
}

/* More tokens than this are no real count; sums of WARM_FORGET of them fit well. */
enum { TOK_MAX = INT32_MAX };

static void test(struct warm *w, int64_t endpoint_id, const struct estimate_cache *believed,
                 int64_t read_tok)
{
    struct rate *r = believed->believed_tok > 0 ? rate_of(w, endpoint_id) : NULL;
    if (r == NULL || believed->believed_tok > TOK_MAX || read_tok > TOK_MAX) {
        return;
    }
    r->endpoint_id = endpoint_id;
    r->of[believed->kind].tested++;
    if (read_tok > 0) {
        r->of[believed->kind].hits++;
        r->of[believed->kind].believed_tok += believed->believed_tok;
        r->of[believed->kind].read_tok +=
            read_tok < believed->believed_tok ? read_tok : believed->believed_tok;
    }
    if (r->of[believed->kind].tested >= WARM_FORGET) {
        halve(r, (enum kind)believed->kind);
    }
}

/* The share of the tokens that an endpoint which caches has read of what it was believed to have.
 */
static int64_t keep_ppm(const struct rate *r, enum kind k)
{
    int64_t hits = r->of[k].hits + WARM_AHEAD_PRIOR, of = r->of[k].tested + WARM_AHEAD_PRIOR;
    return read_of(r, (int)k, hits * ESTIMATE_SURE / of);
}

/* ---- beliefs ---- */

static struct slot *slot_at(struct warm *w, uint64_t prefix, int i)
{
    return &w->slots[(prefix + (uint64_t)i) % WARM_SLOTS];
}

static bool is_told(const struct chat *chat)
{
    return chat->cache_write_5m || chat->cache_write_1h;
}

bool warm_is_worth(const struct chat *chat)
{
    return chat->n_prefixes > 0 && chat->prompt_bytes >= WARM_MIN_BYTES;
}

static void add_hit(struct warm_hits *hits, const struct slot *s, int64_t now_ms)
{
    int i = 0;
    while (i < hits->n && hits->hit[i].endpoint_id != s->endpoint_id) {
        i++;
    }
    if (i == WARM_HITS_MAX || (i < hits->n && s->tok <= hits->hit[i].cache.believed_tok)) {
        return;
    }
    enum kind kind = !s->by_itself                         ? KIND_TOLD
                     : now_ms - s->used_ms < WARM_FRESH_MS ? KIND_FRESH
                                                           : KIND_OLD;
    hits->n += i == hits->n;
    hits->hit[i].endpoint_id = s->endpoint_id;
    hits->hit[i].cache = (struct estimate_cache){.believed_tok = s->tok, .kind = (int)kind};
}

/* What was kept because it was told to is read only by who says so again. */
static void look_up(struct warm *w, const struct chat *chat, uint64_t prefix, int64_t now_ms,
                    struct warm_hits *hits)
{
    for (int i = 0; i < PROBE; i++) {
        const struct slot *s = slot_at(w, prefix, i);
        if (s->prefix == prefix && s->used_ms + s->keep_ms > now_ms &&
            (s->by_itself || is_told(chat))) {
            add_hit(hits, s, now_ms);
        }
    }
}

void warm_ahead(struct warm *w, const struct warm_ask *ask, const struct endpoint *e,
                int64_t now_ms, struct estimate_ahead *ret)
{
    const struct chat *chat = ask->chat;
    const struct forecast_ask whose = {e->model->slug, ask->key_id, ask->shape};
    bool told = is_told(chat) && estimate_bills_writes(chat, e);
    pthread_mutex_lock(&w->lock);
    ret->turns_milli = pace_look(w->pace, chat, &whose, now_ms);
    ret->keep_ppm = told || estimate_caches_by_itself(e)
                        ? keep_ppm(find_rate(w, e->id), told ? KIND_TOLD : KIND_FRESH)
                        : 0;
    pthread_mutex_unlock(&w->lock);
}

/* Every endpoint that has one of the chat's prefixes. */
static void look_up_all(struct warm *w, const struct chat *chat, int64_t now_ms,
                        struct warm_hits *hits)
{
    for (int p = 0; p < chat->n_prefixes; p++) {
        look_up(w, chat, chat->prefixes[p].hash, now_ms, hits);
    }
    for (int p = 0; p < chat->n_lookback; p++) {
        look_up(w, chat, chat->lookback[p].hash, now_ms, hits);
    }
}

/* A conversation that has grown moves its breakpoints: what the last turn wrote ends at a block
 * before the last one, hence the look back. */
void warm_look(struct warm *w, const struct chat *chat, int64_t now_ms, struct warm_hits *ret)
{
    ret->n = 0;
    if (!warm_is_worth(chat)) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    look_up_all(w, chat, now_ms, ret);
    for (int i = 0; i < ret->n; i++) {
        judge(find_rate(w, ret->hit[i].endpoint_id), &ret->hit[i].cache);
    }
    pthread_mutex_unlock(&w->lock);
}

static void remember(struct warm *w, const struct slot *entry)
{
    struct slot *victim = slot_at(w, entry->prefix, 0);
    for (int i = 0; i < PROBE; i++) {
        struct slot *s = slot_at(w, entry->prefix, i);
        if (s->prefix == entry->prefix && s->endpoint_id == entry->endpoint_id) {
            victim = s;
            break;
        }
        if (s->used_ms + s->keep_ms < victim->used_ms + victim->keep_ms) {
            victim = s;
        }
    }
    *victim = *entry;
}

/* An entry that was read lives on from now; one that was to be read and was not is none. */
static void touch(struct warm *w, uint64_t prefix, int64_t endpoint_id, bool read, int64_t now_ms)
{
    for (int i = 0; i < PROBE; i++) {
        struct slot *s = slot_at(w, prefix, i);
        if (s->prefix == prefix && s->endpoint_id == endpoint_id && s->used_ms <= now_ms) {
            s->used_ms = now_ms;
            s->keep_ms = read ? s->keep_ms : 0;
        }
    }
}

static void touch_all(struct warm *w, const struct chat *chat, int64_t endpoint_id, bool read,
                      int64_t now_ms)
{
    for (int p = 0; p < chat->n_prefixes; p++) {
        touch(w, chat->prefixes[p].hash, endpoint_id, read, now_ms);
    }
    for (int p = 0; p < chat->n_lookback; p++) {
        touch(w, chat->lookback[p].hash, endpoint_id, read, now_ms);
    }
}

/* What of a prompt the endpoint has now: tok tokens are its first `bytes` bytes.  tok 0: nothing
 * is known to be there. */
struct kept {
    int64_t tok, bytes;
    bool by_itself;
};

static struct kept kept_by(const struct chat *chat, const struct endpoint *e,
                           const struct usage *usage)
{
    int64_t read = usage->n[USAGE_cache_read_tok];
    int64_t written = usage->n[USAGE_cache_write_5m_tok] + usage->n[USAGE_cache_write_1h_tok];
    int64_t prompt = usage_prompt_tok(usage);
    if (is_told(chat) && !estimate_caches_by_itself(e)) {
        return (struct kept){read + written, chat->prefixes[chat->n_prefixes - 1].bytes, false};
    }
    bool states = usage_has(usage, USAGE_cache_read_tok) && prompt >= ESTIMATE_CACHE_MIN_TOK;
    bool keeps = read > 0 || (states && estimate_caches_by_itself(e));
    return (struct kept){keeps ? prompt : 0, chat->prompt_bytes, true};
}

/* That a conversation has gone on is known whether or not the endpoint caches. */
static void learn_pace(struct warm *w, const struct warm_ask *ask, const struct endpoint *e,
                       int64_t now_ms)
{
    const struct forecast_ask whose = {e->model->slug, ask->key_id, ask->shape};
    pthread_mutex_lock(&w->lock);
    pace_note(w->pace, ask->chat, &whose, now_ms);
    pthread_mutex_unlock(&w->lock);
}

void warm_learn(struct warm *w, const struct warm_ask *ask, const struct endpoint *e,
                const struct estimate_cache *believed, const struct usage *usage, int64_t now_ms)
{
    const struct chat *chat = ask->chat;
    const uint32_t stated = 1u << USAGE_cache_read_tok | 1u << USAGE_cache_write_5m_tok |
                            1u << USAGE_cache_write_1h_tok;
    if (!warm_is_worth(chat) || usage->seen == 0) {
        return;
    }
    if (!ask->copy) {
        learn_pace(w, ask, e, now_ms);
    }
    if ((usage->seen & stated) == 0) {
        return;
    }
    struct kept kept = kept_by(chat, e, usage);
    bool read = usage->n[USAGE_cache_read_tok] > 0;
    pthread_mutex_lock(&w->lock);
    test(w, e->id, believed, usage->n[USAGE_cache_read_tok]);
    if (read || believed->believed_tok > 0) {
        touch_all(w, chat, e->id, read, now_ms);
    }
    for (int p = 0; p < chat->n_prefixes && kept.tok > 0 && kept.tok <= TOK_MAX; p++) {
        const struct chat_prefix *prefix = &chat->prefixes[p];
        const struct slot entry = {
            .prefix = prefix->hash,
            .endpoint_id = e->id,
            .tok = kept.bytes > 0 ? kept.tok * prefix->bytes / kept.bytes : kept.tok,
            .used_ms = now_ms,
            .keep_ms = kept.by_itself || prefix->one_hour ? WARM_HOUR_MS : WARM_FRESH_MS,
            .by_itself = kept.by_itself};
        remember(w, &entry);
    }
    pthread_mutex_unlock(&w->lock);
}

void warm_of(const struct warm_hits *hits, int64_t endpoint_id, struct estimate_cache *ret)
{
    *ret = (struct estimate_cache){.tok = 0};
    for (int i = 0; i < hits->n; i++) {
        if (hits->hit[i].endpoint_id == endpoint_id) {
            *ret = hits->hit[i].cache;
        }
    }
}
