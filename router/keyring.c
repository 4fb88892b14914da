/* One chained table: a row for each credential that is held back, of one endpoint or of all of a
 * provider, and one for each provider whose credentials take turns. */
#include "router/keyring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/catalog_words.h"
#include "schema/fnv.h"

enum { BUCKETS = 1024 };

struct row {
    struct row *next;
    int64_t provider_id, endpoint_id; /* endpoint 0 = all of them */
    uint64_t credential;              /* 0 = the provider's turn */
    uint64_t secret;
    uint64_t turn; /* of a provider: how often a credential was taken */
    enum refusal_kind why;
    int64_t noted_ms, until_ms;
};

struct keyring {
    int n_held;
    struct row *buckets[BUCKETS];
};

struct keyring *keyring_new(void)
{
    return calloc(1, sizeof(struct keyring));
}

void keyring_free(struct keyring *k)
{
    for (int i = 0; k != NULL && i < BUCKETS; i++) {
        while (k->buckets[i] != NULL) {
            struct row *row = k->buckets[i];
            k->buckets[i] = row->next;
            free(row);
        }
    }
    free(k);
}

bool keyring_is_busy(const struct keyring *k)
{
    return __atomic_load_n(&k->n_held, __ATOMIC_RELAXED) > 0;
}

/* ---- rows ---- */

/* Never 0. */
static uint64_t sum_of(uint64_t salt, const char *s)
{
    uint64_t h = fnv_add(FNV_SEED ^ salt, s != NULL ? span_of(s) : (struct span){NULL, 0});
    return h != 0 ? h : 1;
}

uint64_t keyring_place(const struct credential *c)
{
    return sum_of((uint64_t)c->kind, c->ref);
}

/* What a refusal is about. */
static int64_t scope_of(enum refusal_kind why, const struct endpoint *e)
{
    return why == REFUSAL_LIMITED || why == REFUSAL_BARRED ? e->id : 0;
}

static struct row **slot_of(const struct keyring *k, int64_t provider_id, int64_t endpoint_id,
                            uint64_t credential)
{
    uint64_t h = (uint64_t)provider_id * 31 + (uint64_t)endpoint_id * 17 + credential;
    union {
        const struct keyring *in;
        struct keyring *out;
    } u = {k};
    struct row **at = &u.out->buckets[(h ^ (h >> 32)) % BUCKETS];
    while (*at != NULL && ((*at)->provider_id != provider_id || (*at)->endpoint_id != endpoint_id ||
                           (*at)->credential != credential))
        at = &(*at)->next;
    return at;
}

static struct row *row_at(struct row **slot, int64_t provider_id, int64_t endpoint_id,
                          uint64_t credential)
{
    if (*slot == NULL)
        *slot = calloc(1, sizeof **slot);
    if (*slot != NULL) {
        (*slot)->provider_id = provider_id;
        (*slot)->endpoint_id = endpoint_id;
        (*slot)->credential = credential;
    }
    return *slot;
}

static void drop(struct keyring *k, struct row **slot)
{
    struct row *row = *slot;
    *slot = row->next;
    free(row);
    __atomic_sub_fetch(&k->n_held, 1, __ATOMIC_RELAXED);
}

static bool is_over(const struct row *row, int64_t now_ms)
{
    return row->why == REFUSAL_LIMITED && now_ms >= row->until_ms;
}

/* Of limits that are over, when the table is full. */
static void sweep(struct keyring *k, int64_t now_ms)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct row **at = &k->buckets[i]; *at != NULL;) {
            if ((*at)->credential != 0 && is_over(*at, now_ms))
                drop(k, at);
            else
                at = &(*at)->next;
        }
    }
}

/* ---- one credential ---- */

static bool is_there(const struct credential *c)
{
    return c->kind == CREDENTIAL_NONE || c->secret != NULL;
}

static struct row *row_of(const struct keyring *k, const struct endpoint *e, int64_t endpoint_id,
                          const struct credential *c)
{
    struct row *row = *slot_of(k, e->provider->id, endpoint_id, keyring_place(c));
    return row != NULL && row->secret == sum_of(0, c->secret) ? row : NULL;
}

/* What holds it back longest; NULL: it is free. */
static struct row *held_by(const struct keyring *k, const struct endpoint *e,
                           const struct credential *c, int64_t now_ms)
{
    struct row *one = row_of(k, e, e->id, c), *all = row_of(k, e, 0, c);
    one = one != NULL && now_ms < one->until_ms ? one : NULL;
    all = all != NULL && now_ms < all->until_ms ? all : NULL;
    if (one == NULL || all == NULL)
        return one != NULL ? one : all;
    return one->until_ms > all->until_ms ? one : all;
}

/* It is about to be tried after its time: nobody else meanwhile. */
static void note_trial(struct keyring *k, const struct endpoint *e, const struct credential *c,
                       int64_t now_ms)
{
    struct row *rows[] = {row_of(k, e, e->id, c), row_of(k, e, 0, c)};
    for (int i = 0; i < 2; i++) {
        if (rows[i] != NULL && now_ms >= rows[i]->until_ms && rows[i]->why != REFUSAL_LIMITED)
            rows[i]->until_ms = now_ms + KEYRING_TRIAL_MS;
    }
}

/* ---- whose turn it is ---- */

static uint64_t turn_of(const struct keyring *k, const struct provider_row *p)
{
    const struct row *row = *slot_of(k, p->id, 0, 0);
    return row != NULL ? row->turn : 0;
}

/* The next after `turn` that is free; ret_soonest: the one that is free first. */
static const struct credential *find(const struct keyring *k, const struct endpoint *e,
                                     uint64_t turn, uint32_t tried, int64_t now_ms,
                                     const struct credential **ret_soonest)
{
    const struct provider_row *p = e->provider;
    int64_t soonest_ms = INT64_MAX;
    *ret_soonest = NULL;
    for (int i = 0; i < p->n_credentials; i++) {
        const struct credential *c =
            &p->credentials[(turn + (uint64_t)i) % (uint64_t)p->n_credentials];
        if (!is_there(c) || (tried >> c->index & 1u))
            continue;
        const struct row *held = held_by(k, e, c, now_ms);
        if (held == NULL)
            return c;
        if (held->until_ms < soonest_ms) {
            soonest_ms = held->until_ms;
            *ret_soonest = c;
        }
    }
    return NULL;
}

const struct credential *keyring_take(struct keyring *k, const struct endpoint *e, uint32_t tried,
                                      int64_t now_ms)
{
    const struct provider_row *p = e->provider;
    const struct credential *soonest = NULL;
    const struct credential *c = find(k, e, turn_of(k, p), tried, now_ms, &soonest);
    if (c == NULL && tried == 0)
        c = soonest;
    if (c == NULL)
        return NULL;
    note_trial(k, e, c, now_ms);
    struct row *turn = p->n_credentials > 1 ? row_at(slot_of(k, p->id, 0, 0), p->id, 0, 0) : NULL;
    if (turn != NULL)
        turn->turn = (uint64_t)c->index + 1;
    return c;
}

bool keyring_has_other(const struct keyring *k, const struct endpoint *e, uint32_t tried,
                       int64_t now_ms)
{
    const struct credential *soonest;
    return find(k, e, 0, tried, now_ms, &soonest) != NULL;
}

/* ---- what became of a call ---- */

static int64_t held_until(const struct refusal *r, int64_t retry_after_ms, int64_t now_ms)
{
    int64_t probe_ms = now_ms + KEYRING_PROBE_MS;
    switch (r->kind) {
    case REFUSAL_LIMITED:
        return now_ms +
               (retry_after_ms < KEYRING_LIMITED_MAX_MS ? retry_after_ms : KEYRING_LIMITED_MAX_MS);
    case REFUSAL_SPENT:
        return r->reset_ms > now_ms && r->reset_ms < probe_ms ? r->reset_ms : probe_ms;
    case REFUSAL_BARRED:
    case REFUSAL_INVALID:
    case REFUSAL_NONE:
        break;
    }
    return now_ms + KEYRING_REFUSED_MS;
}

bool keyring_refused(struct keyring *k, const struct endpoint *e, const struct credential *c,
                     const struct refusal *r, int64_t retry_after_ms, int64_t now_ms)
{
    if (r->kind == REFUSAL_NONE || (r->kind == REFUSAL_LIMITED && retry_after_ms <= 0))
        return false;
    int64_t provider_id = e->provider->id, endpoint_id = scope_of(r->kind, e);
    uint64_t place = keyring_place(c), secret = sum_of(0, c->secret);
    struct row **slot = slot_of(k, provider_id, endpoint_id, place);
    if (*slot == NULL && k->n_held >= KEYRING_ROWS_MAX) {
        sweep(k, now_ms);
        slot = slot_of(k, provider_id, endpoint_id, place);
    }
    bool fresh = *slot == NULL;
    struct row *row = fresh && k->n_held >= KEYRING_ROWS_MAX
                          ? NULL
                          : row_at(slot, provider_id, endpoint_id, place);
    if (row == NULL)
        return false;
    if (fresh)
        __atomic_add_fetch(&k->n_held, 1, __ATOMIC_RELAXED);
    bool known = row->secret == secret && row->why == r->kind;
    row->secret = secret;
    row->why = r->kind;
    row->noted_ms = now_ms;
    row->until_ms = held_until(r, retry_after_ms, now_ms);
    return r->kind != REFUSAL_LIMITED && !known;
}

static bool forget(struct keyring *k, struct row **slot, int64_t sent_ms)
{
    if (*slot == NULL || sent_ms < (*slot)->noted_ms)
        return false;
    bool news = (*slot)->why != REFUSAL_LIMITED;
    drop(k, slot);
    return news;
}

bool keyring_accepted(struct keyring *k, const struct endpoint *e, const struct credential *c,
                      int64_t sent_ms)
{
    uint64_t place = keyring_place(c);
    bool one = forget(k, slot_of(k, e->provider->id, e->id, place), sent_ms);
    bool all = forget(k, slot_of(k, e->provider->id, 0, place), sent_ms);
    return one || all;
}

/* ---- for plans and people ---- */

void keyring_look(const struct keyring *k, const struct endpoint *e, int64_t now_ms,
                  struct keyring_view *ret)
{
    const struct credential *soonest;
    *ret = (struct keyring_view){REFUSAL_NONE, 0};
    if (find(k, e, 0, 0, now_ms, &soonest) != NULL || soonest == NULL)
        return;
    const struct row *row = held_by(k, e, soonest, now_ms);
    ret->why = row->why;
    ret->until_ms = row->until_ms;
}

const struct credential *keyring_at(const struct provider_row *p, uint64_t place)
{
    for (int i = 0; i < p->n_credentials; i++) {
        const struct credential *c = &p->credentials[i];
        if (keyring_place(c) == place && is_there(c))
            return c;
    }
    return NULL;
}

const char *keyring_name(const struct provider_row *p, const struct credential *c,
                         char out[KEYRING_NOTE_MAX])
{
    snprintf(out, KEYRING_NOTE_MAX, "%s:%.100s (%d of %d)", credential_kind_word(c->kind), c->ref,
             c->index + 1, p->n_credentials);
    return out;
}
