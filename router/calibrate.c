/* Learned bounds: a table of models, each with its tallies. */
#define _GNU_SOURCE
#include "router/calibrate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CHAINS = 1024 };

/* From so many samples on the bound is the largest one times num / den. */
static const struct {
    int64_t samples;
    int64_t num, den;
} CALIBRATE_MARGINS[] = {{10240, 5, 4}, {1024, 3, 2}, {CALIBRATE_SAMPLES_MIN, 2, 1}};

struct row {
    struct row *next;
    char *model;
    struct tally ratio[ESTIMATE_CLASSES];
    struct tally completion;
    struct tally text;
};

struct calibrate {
    int n_models;
    struct row *rows[CHAINS];
};

/* ---- the tally ---- */

/* Values below CALIBRATE_SUB have a bucket each; above, the highest bit says the octave and the
 * next three the bucket in it. */
static uint32_t bucket_of(int64_t value)
{
    if (value < CALIBRATE_SUB)
        return value > 0 ? (uint32_t)value : 0;
    int high = 63 - __builtin_clzll((unsigned long long)value);
    uint32_t sub = (uint32_t)(value >> (high - 3)) & (CALIBRATE_SUB - 1);
    uint32_t bucket = (uint32_t)(high - 2) * CALIBRATE_SUB + sub;
    return bucket < CALIBRATE_BUCKETS ? bucket : CALIBRATE_BUCKETS - 1;
}

/* The largest value of a bucket; the last one has no end. */
static int64_t edge_of(uint32_t bucket)
{
    if (bucket < CALIBRATE_SUB)
        return (int64_t)bucket;
    if (bucket == CALIBRATE_BUCKETS - 1)
        return INT64_MAX;
    int shift = (int)(bucket / CALIBRATE_SUB) - 1;
    int64_t first = CALIBRATE_SUB + (int64_t)(bucket % CALIBRATE_SUB);
    return ((first + 1) << shift) - 1;
}

void tally_add(struct tally *t, int64_t value)
{
    uint32_t bucket = bucket_of(value);
    if (t->n[0] == CALIBRATE_GENERATION) {
        t->n[1] = t->n[0];
        t->n[0] = 0;
        memcpy(t->count[1], t->count[0], sizeof(t->count[1]));
        memset(t->count[0], 0, sizeof(t->count[0]));
    }
    if (t->n_recent == CALIBRATE_RECENT) {
        t->n_recent = 0;
        t->recent[1] = t->recent[0];
        t->recent[0] = 0;
    }
    t->n[0]++;
    t->count[0][bucket]++;
    t->n_recent++;
    if (bucket + 1 > t->recent[0])
        t->recent[0] = bucket + 1;
}

int64_t tally_samples(const struct tally *t)
{
    return (int64_t)t->n[0] + t->n[1];
}

/* The lowest bucket above which there are at most k samples. */
static uint32_t rank_bucket(const struct tally *t, int64_t k)
{
    int64_t above = 0;
    uint32_t b = CALIBRATE_BUCKETS;
    while (b > 1) {
        above += (int64_t)t->count[0][b - 1] + t->count[1][b - 1];
        if (above > k)
            return b - 1;
        b--;
    }
    return 0;
}

int64_t tally_bound(const struct tally *t, int64_t share)
{
    int64_t n = tally_samples(t);
    if (n < CALIBRATE_SAMPLES_MIN)
        return 0;
    int64_t k = n / share - 1;
    return edge_of(rank_bucket(t, k > 0 ? k : 0));
}

static int64_t recent_edge(const struct tally *t)
{
    uint32_t top = t->recent[0] > t->recent[1] ? t->recent[0] : t->recent[1];
    return top > 0 ? edge_of(top - 1) : 0;
}

static int64_t with_margin(int64_t value, int64_t samples)
{
    for (size_t i = 0; i < sizeof(CALIBRATE_MARGINS) / sizeof(CALIBRATE_MARGINS[0]); i++) {
        int64_t num = CALIBRATE_MARGINS[i].num, den = CALIBRATE_MARGINS[i].den;
        if (samples < CALIBRATE_MARGINS[i].samples)
            continue;
        return value < INT64_MAX / num ? value * num / den + 1 : INT64_MAX;
    }
    return 0;
}

static int64_t safe_bound(const struct tally *t)
{
    int64_t bound = tally_bound(t, CALIBRATE_SAFE_SHARE), recent = recent_edge(t);
    if (bound <= 0 && tally_samples(t) < CALIBRATE_SAMPLES_MIN)
        return 0;
    return with_margin(bound > recent ? bound : recent, tally_samples(t));
}

/* ---- the table ---- */

struct calibrate *calibrate_new(void)
{
    return calloc(1, sizeof(struct calibrate));
}

void calibrate_free(struct calibrate *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < CHAINS; i++) {
        while (c->rows[i] != NULL) {
            struct row *next = c->rows[i]->next;
            free(c->rows[i]->model);
            free(c->rows[i]);
            c->rows[i] = next;
        }
    }
    free(c);
}

/* FNV-1a: model ids come from the operator's own catalog. */
static uint32_t chain_of(const char *model)
{
    uint32_t h = 2166136261u;
    for (const char *p = model; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return h % CHAINS;
}

static struct row *find(const struct calibrate *c, const char *model)
{
    struct row *r = c->rows[chain_of(model)];
    while (r != NULL && strcmp(r->model, model) != 0)
        r = r->next;
    return r;
}

/* NULL when memory is short or the table is full: nothing is learned then. */
static struct row *add(struct calibrate *c, const char *model)
{
    struct row *r = c->n_models < CALIBRATE_MODELS_MAX ? calloc(1, sizeof(*r)) : NULL;
    if (r == NULL)
        return NULL;
    r->model = strdup(model);
    if (r->model == NULL) {
        free(r);
        return NULL;
    }
    struct row **head = &c->rows[chain_of(model)];
    r->next = *head;
    *head = r;
    c->n_models++;
    return r;
}

static struct row *find_or_add(struct calibrate *c, const char *model)
{
    struct row *r = find(c, model);
    return r != NULL ? r : add(c, model);
}

void calibrate_learn(struct calibrate *c, const char *model, enum estimate_class class,
                     int64_t estimate_tok, int64_t prompt_tok, int64_t completion_tok)
{
    struct row *r = find_or_add(c, model);
    if (r == NULL)
        return;
    if (class >= 0 && class < ESTIMATE_CLASSES && estimate_tok > 0)
        tally_add(&r->ratio[class], estimate_ratio(prompt_tok, estimate_tok));
    tally_add(&r->completion, completion_tok);
}

void calibrate_learn_text(struct calibrate *c, const char *model, int64_t bytes,
                          int64_t completion_tok)
{
    struct row *r = bytes > 0 ? find_or_add(c, model) : NULL;
    if (r != NULL)
        tally_add(&r->text, estimate_ratio(completion_tok, bytes));
}

void calibrate_look(const struct calibrate *c, const char *model, struct estimate_learned *ret)
{
    memset(ret, 0, sizeof(*ret));
    const struct row *r = find(c, model);
    if (r == NULL)
        return;
    for (int i = 0; i < ESTIMATE_CLASSES; i++)
        ret->ratio[i] = safe_bound(&r->ratio[i]);
    ret->text_ratio = safe_bound(&r->text);
    ret->completion_tok = tally_bound(&r->completion, CALIBRATE_LONG_SHARE);
}
