/* Two tables of open addressing: conversations under way, and what groups of them came to. */
#include "router/pace.h"

#include <stdlib.h>

#include "schema/fnv.h"

enum { PROBE = 8, TURNS_MAX = UINT16_MAX };

struct talk {
    uint64_t id; /* 0 = empty */
    int64_t used_ms;
    uint32_t shape; /* of its first request */
    uint16_t answers;
    uint16_t followed; /* requests after the first */
};

struct group {
    uint64_t id; /* 0 = empty */
    uint32_t used;
    uint32_t began, went_on; /* conversations */
    uint32_t followed;       /* requests that went on with one */
    uint32_t shared;         /* that had their instructions in common with an earlier one */
};

struct pace {
    uint32_t clock;
    struct talk talks[PACE_TALKS];
    struct group groups[PACE_GROUPS];
};

struct pace *pace_new(void)
{
    return calloc(1, sizeof(struct pace));
}

void pace_free(struct pace *p)
{
    free(p);
}

/* Never 0. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (h ^ h >> 32) | 1;
}

/* ---- conversations ---- */

static uint64_t talk_id(uint64_t prefix, const struct forecast_ask *ask)
{
    return mix(prefix, (uint64_t)ask->key_id);
}

static size_t talk_at(uint64_t id, int i)
{
    return (size_t)(((id >> 1) + (uint64_t)i) % PACE_TALKS);
}

/* NULL: it is not known, or over. */
static const struct talk *find_talk(const struct pace *p, uint64_t id, int64_t now_ms)
{
    for (int i = 0; i < PROBE; i++) {
        const struct talk *t = &p->talks[talk_at(id, i)];
        if (t->id == id && now_ms - t->used_ms < PACE_LIVES_MS)
            return t;
    }
    return NULL;
}

static void put_talk(struct pace *p, const struct talk *talk)
{
    struct talk *victim = &p->talks[talk_at(talk->id, 0)];
    for (int i = 0; i < PROBE; i++) {
        struct talk *t = &p->talks[talk_at(talk->id, i)];
        if (t->id == talk->id || t->id == 0) {
            victim = t;
            break;
        }
        if (t->used_ms < victim->used_ms)
            victim = t;
    }
    *victim = *talk;
}

static int answers_of(const struct chat *chat)
{
    return chat->n_answers < TURNS_MAX ? chat->n_answers : TURNS_MAX;
}

/* The conversation that the request goes on with; NULL: it begins one. */
static const struct talk *find_begun(const struct pace *p, const struct chat *chat,
                                     const struct forecast_ask *ask, int64_t now_ms)
{
    const struct talk *t = find_talk(p, talk_id(chat->talk, ask), now_ms);
    return t != NULL && answers_of(chat) > t->answers ? t : NULL;
}

/* ---- groups ---- */

/* From the narrowest to the widest. */
enum { BY_MODEL, BY_ANY_MODEL, GROUPS };

static uint64_t group_id(const struct forecast_ask *ask, int by, uint32_t shape)
{
    uint64_t model = by == BY_MODEL ? fnv_add(FNV_SEED, span_of(ask->model)) : 0;
    return mix(mix(model, (uint64_t)ask->key_id), shape);
}

static size_t group_at(uint64_t id, int i)
{
    return (size_t)(((id >> 1) + (uint64_t)i) % PACE_GROUPS);
}

static const struct group *find_group(const struct pace *p, uint64_t id)
{
    for (int i = 0; i < PROBE; i++) {
        const struct group *g = &p->groups[group_at(id, i)];
        if (g->id == id)
            return g;
    }
    return NULL;
}

static struct group *find_or_evict(struct pace *p, uint64_t id)
{
    struct group *victim = &p->groups[group_at(id, 0)];
    for (int i = 0; i < PROBE; i++) {
        struct group *g = &p->groups[group_at(id, i)];
        if (g->id == id || g->id == 0) {
            victim = g;
            break;
        }
        if (p->clock - g->used > p->clock - victim->used)
            victim = g;
    }
    if (victim->id != id)
        *victim = (struct group){.id = id};
    victim->used = p->clock;
    return victim;
}

static void forget(struct group *g)
{
    g->began /= 2;
    g->went_on /= 2;
    g->followed /= 2;
    g->shared /= 2;
}

/* ---- what happened ---- */

static void count_begin(struct pace *p, const struct forecast_ask *ask, bool shared)
{
    for (int by = 0; by < GROUPS; by++) {
        struct group *g = find_or_evict(p, group_id(ask, by, ask->shape));
        g->began++;
        g->shared += shared;
        if (g->began >= PACE_FORGET)
            forget(g);
    }
}

/* More than are believed in count for nothing. */
static void count_turn(struct pace *p, const struct forecast_ask *ask, const struct talk *t)
{
    for (int by = 0; by < GROUPS && t->followed < PACE_MOST_MILLI / 1000; by++) {
        struct group *g = find_or_evict(p, group_id(ask, by, t->shape));
        g->followed++;
        g->went_on += t->followed == 0;
    }
}

/* The instructions where they are the larger part of the prompt; 0: they are not. */
static uint64_t common_part(const struct chat *chat)
{
    const struct chat_prefix *first = &chat->prefixes[0];
    return chat->n_prefixes > 0 && first->bytes >= chat->prompt_bytes - first->bytes ? first->hash
                                                                                     : 0;
}

/* The first request of a conversation, or of none. */
static void note_begin(struct pace *p, const struct chat *chat, const struct forecast_ask *ask,
                       int64_t now_ms)
{
    uint64_t common = common_part(chat);
    uint64_t common_id = talk_id(common, ask);
    count_begin(p, ask, common != 0 && find_talk(p, common_id, now_ms) != NULL);
    if (common != 0)
        put_talk(p, &(struct talk){.id = common_id, .used_ms = now_ms});
}

void pace_note(struct pace *p, const struct chat *chat, const struct forecast_ask *ask,
               int64_t now_ms)
{
    const struct talk *begun = find_begun(p, chat, ask, now_ms);
    struct talk now = {.shape = ask->shape};
    p->clock++;
    if (begun != NULL) {
        now = *begun;
        count_turn(p, ask, begun);
        if (now.followed < TURNS_MAX)
            now.followed++;
    } else {
        note_begin(p, chat, ask, now_ms);
    }
    now.id = talk_id(chat->talk, ask);
    now.used_ms = now_ms;
    now.answers = (uint16_t)answers_of(chat);
    put_talk(p, &now);
}

/* ---- what to expect ---- */

static int64_t all_milli(const struct group *g)
{
    return ((int64_t)g->followed + g->shared) * 1000 / g->began;
}

/* A conversation that has outlived the mean is expected to go on for a quarter of it. */
static int64_t rest_milli(const struct group *g, int64_t followed)
{
    int64_t mean = (int64_t)g->followed * 1000 / g->went_on, rest = mean - followed * 1000;
    return rest > mean / 4 ? rest : mean / 4;
}

int64_t pace_look(const struct pace *p, const struct chat *chat, const struct forecast_ask *ask,
                  int64_t now_ms)
{
    const struct talk *t = find_begun(p, chat, ask, now_ms);
    for (int by = 0; by < GROUPS; by++) {
        const struct group *g = find_group(p, group_id(ask, by, t != NULL ? t->shape : ask->shape));
        if (g == NULL || (t != NULL ? g->went_on : g->began) < PACE_SAMPLES_MIN)
            continue;
        int64_t milli = t != NULL ? rest_milli(g, t->followed + 1) : all_milli(g);
        return milli < PACE_LEAST_MILLI ? 0 : milli < PACE_MOST_MILLI ? milli : PACE_MOST_MILLI;
    }
    return 0;
}
