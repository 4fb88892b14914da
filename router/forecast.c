/* Groups of requests in one table of cells, open addressing. */
#include "router/forecast.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/fnv.h"

enum { PROBE = 8, MEAN_ONE = 1024 };

struct cell {
    uint64_t group; /* 0 = empty */
    int64_t mean;   /* in 1/MEAN_ONE */
    uint32_t n;     /* samples, no further than FORECAST_WINDOW */
    uint32_t used;  /* forecast.clock at the last one */
};

struct forecast {
    uint32_t clock;
    struct cell cells[FORECAST_CELLS];
};

/* ---- the shape ---- */

/* FIELD(name, bits), lowest first. */
#define FIELDS(FIELD)                                                                              \
    FIELD(known, 1)                                                                                \
    FIELD(tools, 1)                                                                                \
    FIELD(images, 1)                                                                               \
    FIELD(documents, 1)                                                                            \
    FIELD(server_tools, 1)                                                                         \
    FIELD(script, 2)                                                                               \
    FIELD(prompt, 5)                                                                               \
    FIELD(stream, 1)                                                                               \
    FIELD(thinking, 1)                                                                             \
    FIELD(formatted, 1)                                                                            \
    FIELD(limit, 5)

enum field {
#define FIELD(name, bits) FIELD_##name,
    FIELDS(FIELD)
#undef FIELD
        FIELD_COUNT
};
static const int FIELD_BITS[FIELD_COUNT] = {
#define FIELD(name, bits) [FIELD_##name] = (bits),
    FIELDS(FIELD)
#undef FIELD
};
#define FIELD(name, bits) +(bits)
_Static_assert(0 FIELDS(FIELD) <= FORECAST_SHAPE_BITS, "a shape has room in the database's column");
#undef FIELD

static int shift_of(enum field f)
{
    int shift = 0;
    for (int i = 0; i < (int)f; i++)
        shift += FIELD_BITS[i];
    return shift;
}

static uint32_t mask_of(enum field f)
{
    return ((1u << FIELD_BITS[f]) - 1) << shift_of(f);
}

static void put(uint32_t *shape, enum field f, uint32_t value)
{
    uint32_t most = (1u << FIELD_BITS[f]) - 1;
    *shape |= (value < most ? value : most) << shift_of(f);
}

/* 0 for 0; else the number of binary digits. */
static uint32_t octave(int64_t v)
{
    return v > 0 ? 64 - (uint32_t)__builtin_clzll((unsigned long long)v) : 0;
}

/* Bytes a character tell alphabets apart, which tokenizers treat so differently: nearly all ASCII;
 * Latin with accents, or mixed; two bytes (Cyrillic, Greek, Arabic, Hebrew); three and more (CJK,
 * Devanagari, Thai). */
static uint32_t script(const struct chat *chat)
{
    int64_t chars = chat->prompt_chars > 0 ? chat->prompt_chars : 1;
    int64_t percent = chat->prompt_bytes < INT64_MAX / 100 ? chat->prompt_bytes * 100 / chars : 100;
    return percent < 103 ? 0 : percent < 140 ? 1 : percent < 205 ? 2 : 3;
}

uint32_t forecast_shape(const struct chat *chat)
{
    const uint32_t thinking = PARAM_BIT(PARAM_reasoning) | PARAM_BIT(PARAM_reasoning_effort);
    const uint32_t formatted =
        PARAM_BIT(PARAM_response_format) | PARAM_BIT(PARAM_structured_outputs);
    uint32_t shape = 0;
    put(&shape, FIELD_known, 1);
    put(&shape, FIELD_tools, (chat->needs & NEED_TOOLS) != 0);
    put(&shape, FIELD_images, chat->n_images > 0);
    put(&shape, FIELD_documents, chat->n_documents > 0 || (chat->needs & NEED_AUDIO) != 0);
    put(&shape, FIELD_server_tools, (chat->needs & NEED_SERVER_TOOLS) != 0);
    put(&shape, FIELD_script, script(chat));
    put(&shape, FIELD_prompt, octave(estimate_raw_tok(chat)));
    put(&shape, FIELD_stream, chat->stream);
    put(&shape, FIELD_thinking, (chat->params & thinking) != 0);
    put(&shape, FIELD_formatted, (chat->params & formatted) != 0);
    put(&shape, FIELD_limit, chat->max_tokens < 0 ? 0 : 1 + octave(chat->max_tokens));
    return shape;
}

static uint32_t not_text_mask(void)
{
    return mask_of(FIELD_images) | mask_of(FIELD_documents) | mask_of(FIELD_server_tools);
}

bool forecast_teaches_prompt(enum estimate_class class, uint32_t shape)
{
    return class != ESTIMATE_CLASS_NONE || (shape & not_text_mask()) != 0;
}

/* ---- groups ---- */

enum what { WHAT_PROMPT, WHAT_COMPLETION };

/* From the narrowest to the widest, for each of both. */
static const struct {
    enum estimate_known by;
    bool key;
} GROUPS[] = {
    {ESTIMATE_BY_KEY_SHAPE, true},    {ESTIMATE_BY_KEY_KIND, true}, {ESTIMATE_BY_KEY, true},
    {ESTIMATE_BY_MODEL_SHAPE, false}, {ESTIMATE_BY_MODEL, false},
};
enum { N_GROUPS = sizeof(GROUPS) / sizeof(GROUPS[0]) };

/* What the size of a prompt depends on is not what the length of an answer depends on. */
static uint32_t kind_mask(enum what what)
{
    uint32_t mask = mask_of(FIELD_known) | mask_of(FIELD_tools) | mask_of(FIELD_images) |
                    mask_of(FIELD_documents) | mask_of(FIELD_server_tools);
    if (what == WHAT_PROMPT)
        return mask | mask_of(FIELD_script) | mask_of(FIELD_prompt);
    return mask | mask_of(FIELD_thinking) | mask_of(FIELD_formatted) | mask_of(FIELD_limit);
}

/* The members of the shape that count in a group; false: it is not in that group. */
static bool group_shape(const struct forecast_ask *ask, enum what what, int group, uint32_t *ret)
{
    if (GROUPS[group].key && ask->key_id == 0)
        return false;
    switch (GROUPS[group].by) {
    case ESTIMATE_BY_KEY_SHAPE:
        *ret = ask->shape;
        return ask->shape != 0;
    case ESTIMATE_BY_KEY_KIND:
    case ESTIMATE_BY_MODEL_SHAPE:
        *ret = ask->shape & kind_mask(what);
        return ask->shape != 0;
    case ESTIMATE_BY_KEY:
    case ESTIMATE_BY_MODEL:
    case ESTIMATE_BY_DEFAULT:
        break;
    }
    *ret = 0;
    return what != WHAT_PROMPT || (ask->shape & not_text_mask()) == 0;
}

/* Never 0. */
static uint64_t group_hash(uint64_t model, const struct forecast_ask *ask, enum what what,
                           int group, uint32_t shape)
{
    const uint64_t word[] = {GROUPS[group].key ? (uint64_t)ask->key_id : 0,
                             (uint64_t)shape << 8 | (uint64_t)group << 1 | (uint64_t)what};
    uint64_t h = model;
    for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
        h = (h ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    return h | 1;
}

/* ---- cells ---- */

static size_t slot(uint64_t group, int i)
{
    return (size_t)(((group >> 1) + (uint64_t)i) % FORECAST_CELLS);
}

static const struct cell *find(const struct forecast *f, uint64_t group)
{
    for (int i = 0; i < PROBE; i++) {
        const struct cell *c = &f->cells[slot(group, i)];
        if (c->group == group)
            return c;
    }
    return NULL;
}

static struct cell *find_or_evict(struct forecast *f, uint64_t group)
{
    struct cell *victim = &f->cells[slot(group, 0)];
    for (int i = 0; i < PROBE; i++) {
        struct cell *c = &f->cells[slot(group, i)];
        if (c->group == group || c->group == 0) {
            victim = c;
            break;
        }
        if (f->clock - c->used > f->clock - victim->used)
            victim = c;
    }
    if (victim->group != group)
        *victim = (struct cell){.group = group};
    victim->used = f->clock;
    return victim;
}

static void add_sample(struct cell *c, int64_t value)
{
    if (value > INT64_MAX / MEAN_ONE / 2)
        return; /* no real count */
    int64_t sample = value * MEAN_ONE, most = c->mean * FORECAST_FREAK;
    if (c->n >= FORECAST_SAMPLES_MIN && most > 0 && sample > most)
        sample = most;
    c->n += c->n < FORECAST_WINDOW;
    c->mean += (sample - c->mean) / (int64_t)c->n;
}

static void learn(struct forecast *f, const struct forecast_ask *ask, enum what what, int64_t value)
{
    uint64_t model = fnv_add(FNV_SEED, span_of(ask->model));
    uint32_t shape;
    f->clock++;
    for (int g = 0; g < N_GROUPS; g++) {
        if (group_shape(ask, what, g, &shape))
            add_sample(find_or_evict(f, group_hash(model, ask, what, g, shape)), value);
    }
}

/* ---- the table ---- */

struct forecast *forecast_new(void)
{
    return calloc(1, sizeof(struct forecast));
}

void forecast_free(struct forecast *f)
{
    free(f);
}

void forecast_learn_prompt(struct forecast *f, const struct forecast_ask *ask, int64_t raw_tok,
                           int64_t prompt_tok)
{
    if (raw_tok > 0 && prompt_tok > 0 && prompt_tok < INT64_MAX / ESTIMATE_RATIO_ONE)
        learn(f, ask, WHAT_PROMPT, prompt_tok * ESTIMATE_RATIO_ONE / raw_tok);
}

void forecast_learn_completion(struct forecast *f, const struct forecast_ask *ask,
                               int64_t completion_tok)
{
    if (completion_tok >= 0)
        learn(f, ask, WHAT_COMPLETION, completion_tok);
}

/* 0: nothing is known.  What is known is at least 1. */
static int64_t look(const struct forecast *f, const struct forecast_ask *ask, uint64_t model,
                    enum what what, struct estimate_source *ret)
{
    uint32_t shape;
    for (int g = 0; g < N_GROUPS; g++) {
        const struct cell *c = NULL;
        if (group_shape(ask, what, g, &shape))
            c = find(f, group_hash(model, ask, what, g, shape));
        if (c == NULL || c->n < FORECAST_SAMPLES_MIN)
            continue;
        *ret = (struct estimate_source){GROUPS[g].by, c->n};
        return c->mean >= MEAN_ONE ? (c->mean + MEAN_ONE / 2) / MEAN_ONE : 1;
    }
    return 0;
}

void forecast_look(const struct forecast *f, const struct forecast_ask *ask,
                   struct estimate_expected *ret)
{
    uint64_t model = fnv_add(FNV_SEED, span_of(ask->model));
    memset(ret, 0, sizeof(*ret));
    ret->ratio = look(f, ask, model, WHAT_PROMPT, &ret->ratio_from);
    ret->completion_tok = look(f, ask, model, WHAT_COMPLETION, &ret->completion_from);
}
