/* How much of something happened lately: a ring of RECENT_SLOTS slots, each with two counters,
 * the sum of which is the count of the last RECENT_SLOTS slot lengths.  What lies between a
 * tick of the slots and now is counted whole, so the window is up to one slot shorter than it
 * says.  Pure: time is an argument; of a clock that steps back less than a slot counts into the
 * slot at hand (threads look at it one after the other), with more the ring begins anew: it would
 * keep its counts until the clock had caught up.
 *
 * The slot length is the caller's and must be the same in every call for one ring. */
#ifndef ROUTER_RECENT_H
#define ROUTER_RECENT_H

#include <stdint.h>

enum { RECENT_SLOTS = 10 };

struct recent_sum {
    uint32_t all, bad; /* what is "bad" is the caller's word; it is part of `all` if he adds it */
};

struct recent {
    int64_t slot_start_ms; /* of slots[head] */
    int head;
    struct recent_sum slots[RECENT_SLOTS];
};

void recent_add(struct recent *t, int64_t slot_ms, int64_t now_ms, uint32_t all, uint32_t bad);
/* Of the whole window. */
struct recent_sum recent_sum(const struct recent *t, int64_t slot_ms, int64_t now_ms);
/* Of the slot that `now_ms` falls into. */
struct recent_sum recent_now(const struct recent *t, int64_t slot_ms, int64_t now_ms);

#endif
