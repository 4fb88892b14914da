/* Sets of a few ids each, known by a hash of 64 bits. */
#include "router/origin.h"

#include <stdlib.h>

#include "schema/fnv.h"

struct entry {
    uint64_t hash;
    int64_t noted_ms; /* 0 = empty */
    struct origin from;
};

struct origins {
    struct entry entries[ORIGIN_SETS][ORIGIN_WAYS];
};

struct origins *origins_new(void)
{
    return calloc(1, sizeof(struct origins));
}

void origins_free(struct origins *o)
{
    free(o);
}

static uint64_t hash_of(int64_t team_id, struct span id)
{
    return fnv_add(fnv_add(FNV_SEED, (struct span){(const char *)&team_id, sizeof team_id}), id);
}

static size_t set_of(uint64_t hash)
{
    return (size_t)((hash ^ (hash >> 32)) % ORIGIN_SETS);
}

void origins_note(struct origins *o, int64_t team_id, struct span id, const struct origin *from,
                  int64_t now_ms)
{
    uint64_t hash = hash_of(team_id, id);
    struct entry *set = o->entries[set_of(hash)], *place = &set[0];
    for (int i = 0; i < ORIGIN_WAYS; i++) {
        if (set[i].noted_ms != 0 && set[i].hash == hash) {
            place = &set[i];
            break;
        }
        if (set[i].noted_ms < place->noted_ms)
            place = &set[i];
    }
    *place = (struct entry){hash, now_ms, *from};
}

bool origins_find(const struct origins *o, int64_t team_id, struct span id, int64_t now_ms,
                  struct origin *ret)
{
    uint64_t hash = hash_of(team_id, id);
    const struct entry *set = o->entries[set_of(hash)];
    for (int i = 0; i < ORIGIN_WAYS; i++) {
        if (set[i].noted_ms != 0 && set[i].hash == hash) {
            *ret = set[i].from;
            return now_ms - set[i].noted_ms < ORIGIN_KEEP_MS;
        }
    }
    return false;
}
