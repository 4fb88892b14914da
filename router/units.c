/* Open addressing, at most three quarters full. */
#include "router/units.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 1024 };

/* Where it is, or where it belongs. */
static struct unit *slot_of(const struct units *u, int64_t hash)
{
    size_t at = (size_t)(uint64_t)hash;
    for (;; at++) {
        struct unit *s = &u->slots[at & (u->n_slots - 1)];
        if (s->requests == 0 || s->hash == hash)
            return s;
    }
}

static int grow(struct units *u)
{
    struct units larger = *u;
    larger.n_slots = u->n_slots > 0 ? 2 * u->n_slots : SLOTS_FIRST;
    larger.slots = calloc(larger.n_slots, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return -1;
    for (size_t i = 0; i < u->n_slots; i++) {
        if (u->slots[i].requests > 0)
            *slot_of(&larger, u->slots[i].hash) = u->slots[i];
    }
    free(u->slots);
    *u = larger;
    return 0;
}

int64_t units_add(struct units *u, int64_t hash)
{
    if (u->n >= u->n_slots / 4 * 3 && grow(u) != 0)
        return -1;
    struct unit *s = slot_of(u, hash);
    if (s->requests == 0) {
        if (u->n == UNITS_MAX)
            return -1;
        *s = (struct unit){hash, u->n++, 0};
    }
    s->requests++;
    if (s->requests > u->most)
        u->most = s->requests;
    return s->number;
}

int64_t units_find(const struct units *u, int64_t hash)
{
    if (u->n_slots == 0)
        return -1;
    const struct unit *s = slot_of(u, hash);
    return s->requests > 0 ? (int64_t)s->number : -1;
}

void units_done(struct units *u)
{
    free(u->slots);
    *u = (struct units){0};
}
