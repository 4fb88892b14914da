/* Windows of slots per key, in chains behind a few locks.  Each take also sweeps one chain, so
 * that idle keys are forgotten without a timer. */
#include "router/rate.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT_MS = 1000,
    SLOTS = 61, /* the second at hand and the 60 before it */
    SHARDS = 16,
    CHAINS = 256
};
/* A provider's figure beyond it is none; keeps sums far from overflow. */
static const int64_t TOKENS_MAX = INT64_C(1) << 40;

struct row {
    struct row *next;
    int64_t key_id;
    int64_t second; /* the newest slot's */
    struct rate_numbers sum;
    int64_t requests[SLOTS], tokens[SLOTS]; /* by second % SLOTS */
};

struct shard {
    pthread_mutex_t lock;
    unsigned next_sweep;
    int64_t n_rows;
    struct row *chains[CHAINS];
};

struct rate {
    struct shard shards[SHARDS];
};

struct rate *rate_new(void)
{
    struct rate *r = calloc(1, sizeof(*r));
    for (int i = 0; r != NULL && i < SHARDS; i++)
        pthread_mutex_init(&r->shards[i].lock, NULL);
    return r;
}

void rate_free(struct rate *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (int c = 0; c < CHAINS; c++) {
            struct row *row;
            while ((row = r->shards[i].chains[c]) != NULL) {
                r->shards[i].chains[c] = row->next;
                free(row);
            }
        }
        pthread_mutex_destroy(&r->shards[i].lock);
    }
    free(r);
}

/* ---- one key's window ---- */

/* Monotonic clocks begin at the machine's start: seconds before it are asked for too. */
static int slot_of(int64_t second)
{
    return (int)((second % SLOTS + SLOTS) % SLOTS);
}

/* Slots that the clock has passed are emptied. */
static void advance(struct row *row, int64_t second)
{
    int64_t steps = second - row->second;
    for (int64_t i = 1; i <= steps && i <= SLOTS; i++) {
        int s = slot_of(second - (steps < SLOTS ? steps : SLOTS) + i);
        row->sum.n[RATE_RPM] -= row->requests[s];
        row->sum.n[RATE_TPM] -= row->tokens[s];
        row->requests[s] = row->tokens[s] = 0;
    }
    if (steps > 0)
        row->second = second;
}

static bool is_idle(const struct row *row, int64_t second)
{
    return row->sum.n[RATE_CONCURRENCY] == 0 && second - row->second >= SLOTS;
}

/* Is this slot still counted? */
static bool has_slot(const struct row *row, int64_t second)
{
    return row->second - second < SLOTS;
}

/* Milliseconds until so much of the slots' contents has left the window. */
static int64_t time_to_leave(const struct row *row, const int64_t *slots, int64_t amount,
                             int64_t now_ms)
{
    int64_t left = 0, second = row->second - SLOTS;
    while (left < amount && second < row->second) {
        second++;
        left += slots[slot_of(second)];
    }
    return (second + SLOTS) * SLOT_MS - now_ms;
}

static int64_t wait_for(const struct row *row, enum rate_limit limit, int64_t max, int64_t needs,
                        int64_t now_ms)
{
    if (needs > max)
        return -1;
    int64_t too_much = row->sum.n[limit] + needs - max;
    switch (limit) {
    case RATE_RPM:
        return time_to_leave(row, row->requests, too_much, now_ms);
    case RATE_TPM:
        return time_to_leave(row, row->tokens, too_much, now_ms);
    case RATE_CONCURRENCY:
    case RATE_LIMITS:
        break;
    }
    return SLOT_MS; /* nobody knows when a running request ends */
}

static bool is_longer(int64_t a_ms, int64_t b_ms)
{
    return b_ms >= 0 && (a_ms < 0 || a_ms > b_ms);
}

/* row NULL: a key that has taken nothing. */
static enum rate_verdict judge(const struct row *row, const struct rate_numbers *limits,
                               int64_t tokens, int64_t now_ms, struct rate_refusal *ret)
{
    static const struct row nothing;
    const int64_t needs[RATE_LIMITS] = {1, tokens, 1};
    bool refused = false;
    for (int k = 0; k < RATE_LIMITS; k++) {
        int64_t used = row != NULL ? row->sum.n[k] : 0, max = limits->n[k];
        if (max <= 0 || (needs[k] <= max && used <= max - needs[k]))
            continue;
        int64_t wait_ms =
            wait_for(row != NULL ? row : &nothing, (enum rate_limit)k, max, needs[k], now_ms);
        if (!refused || is_longer(wait_ms, ret->wait_ms))
            *ret = (struct rate_refusal){(enum rate_limit)k, max, used, needs[k], wait_ms};
        refused = true;
    }
    return refused ? RATE_REFUSED : RATE_OK;
}

/* ---- the table ---- */

static struct shard *shard_of(struct rate *r, int64_t key_id)
{
    return &r->shards[(uint64_t)key_id % SHARDS];
}

static struct row **chain_of(struct shard *s, int64_t key_id)
{
    return &s->chains[(uint64_t)key_id / SHARDS % CHAINS];
}

static void sweep(struct shard *s, int64_t second)
{
    struct row **at = &s->chains[s->next_sweep++ % CHAINS];
    while (*at != NULL) {
        struct row *row = *at;
        if (is_idle(row, second)) {
            *at = row->next;
            s->n_rows--;
            free(row);
        } else {
            at = &row->next;
        }
    }
}

/* With its window brought up to *now_ms, which is put forward to the latest time seen. */
static struct row *find(struct shard *s, int64_t key_id, int64_t *now_ms)
{
    struct row *row = *chain_of(s, key_id);
    while (row != NULL && row->key_id != key_id)
        row = row->next;
    if (row != NULL) {
        if (*now_ms < row->second * SLOT_MS)
            *now_ms = row->second * SLOT_MS;
        advance(row, *now_ms / SLOT_MS);
    }
    return row;
}

static struct row *add(struct shard *s, int64_t key_id, int64_t now_ms)
{
    struct row *row = calloc(1, sizeof(*row));
    if (row == NULL)
        return NULL;
    struct row **chain = chain_of(s, key_id);
    row->key_id = key_id;
    row->second = now_ms / SLOT_MS;
    row->next = *chain;
    *chain = row;
    s->n_rows++;
    return row;
}

static int64_t sane(int64_t tokens)
{
    return tokens < 0 ? 0 : tokens > TOKENS_MAX ? TOKENS_MAX : tokens;
}

enum rate_verdict rate_check(struct rate *r, int64_t key_id, const struct rate_numbers *limits,
                             int64_t tokens, int64_t now_ms, struct rate_refusal *ret)
{
    struct shard *s = shard_of(r, key_id);
    pthread_mutex_lock(&s->lock);
    const struct row *row = find(s, key_id, &now_ms);
    enum rate_verdict v = judge(row, limits, sane(tokens), now_ms, ret);
    pthread_mutex_unlock(&s->lock);
    return v;
}

static void take(struct row *row, int64_t tokens, struct rate_ticket *ret)
{
    int slot = slot_of(row->second);
    row->requests[slot]++;
    row->tokens[slot] += tokens;
    row->sum.n[RATE_RPM]++;
    row->sum.n[RATE_TPM] += tokens;
    row->sum.n[RATE_CONCURRENCY]++;
    *ret = (struct rate_ticket){row->key_id, row->second, tokens, true};
}

enum rate_verdict rate_take(struct rate *r, int64_t key_id, const struct rate_numbers *limits,
                            int64_t tokens, int64_t now_ms, struct rate_ticket *ret_ticket,
                            struct rate_refusal *ret)
{
    struct shard *s = shard_of(r, key_id);
    assert(now_ms >= 0);
    pthread_mutex_lock(&s->lock);
    sweep(s, now_ms / SLOT_MS);
    struct row *row = find(s, key_id, &now_ms);
    enum rate_verdict v = judge(row, limits, sane(tokens), now_ms, ret);
    if (v == RATE_OK && row == NULL) {
        row = add(s, key_id, now_ms);
        v = row != NULL ? RATE_OK : RATE_NO_MEMORY;
    }
    if (v == RATE_OK)
        take(row, sane(tokens), ret_ticket);
    pthread_mutex_unlock(&s->lock);
    return v;
}

static void add_tokens(struct row *row, int64_t second, int64_t tokens)
{
    row->tokens[slot_of(second)] += tokens;
    row->sum.n[RATE_TPM] += tokens;
}

static void correct(struct row *row, const struct rate_ticket *t, int64_t used_tok)
{
    if (used_tok > t->tokens)
        add_tokens(row, row->second, used_tok - t->tokens);
    else if (has_slot(row, t->second))
        add_tokens(row, t->second, used_tok - t->tokens);
}

static void forget_request(struct row *row, int64_t second)
{
    if (has_slot(row, second)) {
        row->requests[slot_of(second)]--;
        row->sum.n[RATE_RPM]--;
    }
}

static void close_ticket(struct rate *r, struct rate_ticket *t, bool refused, int64_t used_tok,
                         int64_t now_ms)
{
    if (!t->taken)
        return;
    struct shard *s = shard_of(r, t->key_id);
    pthread_mutex_lock(&s->lock);
    struct row *row = find(s, t->key_id, &now_ms);
    assert(row != NULL && row->sum.n[RATE_CONCURRENCY] > 0); /* who runs something is not idle */
    row->sum.n[RATE_CONCURRENCY]--;
    if (refused)
        forget_request(row, t->second);
    correct(row, t, sane(used_tok));
    pthread_mutex_unlock(&s->lock);
    *t = (struct rate_ticket){.taken = false};
}

void rate_end(struct rate *r, struct rate_ticket *t, int64_t used_tok, int64_t now_ms)
{
    close_ticket(r, t, false, used_tok, now_ms);
}

void rate_give_back(struct rate *r, struct rate_ticket *t, int64_t now_ms)
{
    close_ticket(r, t, true, 0, now_ms);
}

void rate_look(struct rate *r, int64_t key_id, int64_t now_ms, struct rate_numbers *ret)
{
    struct shard *s = shard_of(r, key_id);
    pthread_mutex_lock(&s->lock);
    const struct row *row = find(s, key_id, &now_ms);
    *ret = row != NULL ? row->sum : (struct rate_numbers){{0}};
    pthread_mutex_unlock(&s->lock);
}

int64_t rate_keys(struct rate *r)
{
    int64_t n = 0;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&r->shards[i].lock);
        n += r->shards[i].n_rows;
        pthread_mutex_unlock(&r->shards[i].lock);
    }
    return n;
}

const char *rate_limit_name(enum rate_limit limit)
{
    static const char *const names[RATE_LIMITS] = {"rpm", "tpm", "concurrency"};
    assert(limit < RATE_LIMITS);
    return names[limit];
}
