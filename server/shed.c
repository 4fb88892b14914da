/* Sums over all keys, and a row for each key that has something in flight. */
#include "server/shed.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum { CHAINS = 1024 };

struct shed_row {
    struct shed_row *next;
    int64_t key_id;
    int64_t requests, bytes, uploading;
};

struct shed {
    pthread_mutex_t lock;
    int64_t requests_load, requests_ceiling, bytes_load, bytes_ceiling;
    struct shed_numbers sum;
    struct shed_row *chains[CHAINS];
};

struct shed *shed_new(int64_t max_requests, int64_t max_bytes)
{
    struct shed *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->requests_load = max_requests;
    s->requests_ceiling = max_requests * SHED_REQUESTS_OVER;
    s->bytes_ceiling = max_bytes;
    s->bytes_load = max_bytes - max_bytes / SHED_BYTES_PARTS;
    return s;
}

void shed_free(struct shed *s)
{
    if (s == NULL) {
        return;
    }
    assert(s->sum.requests == 0 && s->sum.keys == 0);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Where the key's row is, or would be. */
static struct shed_row **find(struct shed *s, int64_t key_id)
{
    struct shed_row **at = &s->chains[(uint64_t)key_id % CHAINS];
    while (*at != NULL && (*at)->key_id != key_id) {
        at = &(*at)->next;
    }
    return at;
}

static int64_t in_grains(int64_t bytes)
{
    int64_t grains = (bytes + SHED_GRAIN - 1) / SHED_GRAIN;
    return (grains > 0 ? grains : 1) * SHED_GRAIN;
}

/* own: what the key has already. */
static bool fits(int64_t sum, int64_t own, int64_t more, int64_t load, int64_t ceiling,
                 int64_t keys)
{
    return sum + more <= ceiling && (sum + more <= load || own + more <= load / keys);
}

static struct shed_row *row_new(struct shed *s, struct shed_row **at, int64_t key_id)
{
    struct shed_row *row = calloc(1, sizeof *row);
    if (row != NULL) {
        row->key_id = key_id;
        *at = row;
        s->sum.keys++;
    }
    return row;
}

static void enter(struct shed *s, struct shed_row *row, int64_t bytes, bool uploading,
                  struct shed_slot *ret)
{
    row->requests++;
    row->uploading += uploading ? 1 : 0;
    row->bytes += bytes;
    s->sum.requests++;
    s->sum.bytes += bytes;
    *ret = (struct shed_slot){.row = row, .bytes = bytes, .uploading = uploading};
}

enum shed_verdict shed_take(struct shed *s, int64_t key_id, int64_t bytes, bool uploading,
                            struct shed_slot *ret)
{
    enum shed_verdict verdict = SHED_REFUSED;
    bytes = in_grains(bytes);
    pthread_mutex_lock(&s->lock);
    struct shed_row **at = find(s, key_id), *row = *at;
    int64_t requests = row != NULL ? row->requests : 0, kept = row != NULL ? row->bytes : 0;
    int64_t keys = s->sum.keys + (row == NULL ? 1 : 0);
    if (fits(s->sum.requests, requests, 1, s->requests_load, s->requests_ceiling, keys) &&
        fits(s->sum.bytes, kept, bytes, s->bytes_load, s->bytes_ceiling, keys)) {
        row = row != NULL ? row : row_new(s, at, key_id);
        verdict = row != NULL ? SHED_IN : SHED_NO_MEMORY;
    }
    if (verdict == SHED_IN) {
        enter(s, row, bytes, uploading, ret);
    }
    pthread_mutex_unlock(&s->lock);
    return verdict;
}

void shed_uploaded(struct shed *s, struct shed_slot *slot)
{
    if (slot->row == NULL || !slot->uploading) {
        return;
    }
    slot->uploading = false;
    pthread_mutex_lock(&s->lock);
    slot->row->uploading--;
    pthread_mutex_unlock(&s->lock);
}

bool shed_resize(struct shed *s, struct shed_slot *slot, int64_t bytes, bool force)
{
    bytes = in_grains(bytes);
    if (slot->row == NULL || slot->bytes == bytes) {
        return true;
    }
    int64_t more = bytes - slot->bytes;
    pthread_mutex_lock(&s->lock);
    bool may =
        force || more < 0 ||
        fits(s->sum.bytes, slot->row->bytes, more, s->bytes_load, s->bytes_ceiling, s->sum.keys);
    if (may) {
        slot->bytes = bytes;
        slot->row->bytes += more;
        s->sum.bytes += more;
    }
    pthread_mutex_unlock(&s->lock);
    return may;
}

static void drop_row(struct shed *s, struct shed_row *row)
{
    struct shed_row **at = find(s, row->key_id);
    assert(*at == row && row->bytes == 0 && row->uploading == 0);
    *at = row->next;
    s->sum.keys--;
    free(row);
}

void shed_give(struct shed *s, struct shed_slot *slot)
{
    struct shed_row *row = slot->row;
    if (row == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    row->requests--;
    row->uploading -= slot->uploading ? 1 : 0;
    row->bytes -= slot->bytes;
    s->sum.requests--;
    s->sum.bytes -= slot->bytes;
    if (row->requests == 0) {
        drop_row(s, row);
    }
    pthread_mutex_unlock(&s->lock);
    *slot = (struct shed_slot){0};
}

void shed_move(struct shed_slot *to, struct shed_slot *from)
{
    assert(to->row == NULL);
    *to = *from;
    *from = (struct shed_slot){0};
}

int64_t shed_uploading(struct shed *s, int64_t key_id)
{
    pthread_mutex_lock(&s->lock);
    const struct shed_row *row = *find(s, key_id);
    int64_t n = row != NULL ? row->uploading : 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

void shed_look(struct shed *s, struct shed_numbers *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = s->sum;
    pthread_mutex_unlock(&s->lock);
}
