/* A ring of slots that turns with the time it is told. */
#include "router/recent.h"

#include <string.h>

static void advance(struct recent *t, int64_t slot_ms, int64_t now_ms)
{
    int64_t since_ms = now_ms - t->slot_start_ms;
    if (since_ms >= RECENT_SLOTS * slot_ms || since_ms <= -slot_ms) {
        memset(t->slots, 0, sizeof(t->slots));
        t->slot_start_ms = now_ms;
        return;
    }
    while (now_ms - t->slot_start_ms >= slot_ms) {
        t->head = (t->head + 1) % RECENT_SLOTS;
        t->slots[t->head] = (struct recent_sum){0, 0};
        t->slot_start_ms += slot_ms;
    }
}

void recent_add(struct recent *t, int64_t slot_ms, int64_t now_ms, uint32_t all, uint32_t bad)
{
    advance(t, slot_ms, now_ms);
    t->slots[t->head].all += all;
    t->slots[t->head].bad += bad;
}

struct recent_sum recent_sum(const struct recent *t, int64_t slot_ms, int64_t now_ms)
{
    struct recent_sum sum = {0, 0};
    for (int k = 0; k < RECENT_SLOTS; k++) {
        int64_t began_ms = t->slot_start_ms - (int64_t)k * slot_ms;
        if (now_ms - began_ms >= RECENT_SLOTS * slot_ms)
            break;
        const struct recent_sum *slot = &t->slots[(t->head + RECENT_SLOTS - k) % RECENT_SLOTS];
        sum.all += slot->all;
        sum.bad += slot->bad;
    }
    return sum;
}

struct recent_sum recent_now(const struct recent *t, int64_t slot_ms, int64_t now_ms)
{
    if (now_ms - t->slot_start_ms >= slot_ms)
        return (struct recent_sum){0, 0};
    return t->slots[t->head];
}
