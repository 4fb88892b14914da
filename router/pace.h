/* How conversations go on: how many requests are to be expected after this one that bring its
 * prompt again.  An endpoint that keeps prompts in a cache is worth more for it (docs/api.md
 * "Expected cost").
 *
 * A conversation is known by what it begins with (chat->talk) and by its key; a request that has
 * more answers of the assistant in its prompt than the last one had goes on with it.  Counted is by
 * the shape (router/forecast.h) of a conversation's first request: how many began, how many of them
 * went on at all, and how many requests followed.  A request that begins one is expected to be
 * followed by the mean of all, one that goes on by the mean of those that do, less what has
 * followed already.  Requests that have the larger part of their prompt, its
 * instructions, in common with an earlier one count as one that follows it.
 *
 * Nothing is expected where nothing is known: of the requests of this key, of this shape and on
 * this model, else on any, PACE_SAMPLES_MIN must have been seen.  What other keys do, or requests
 * of another shape, tells nothing; and less than PACE_LEAST_MILLI is nothing, so that single
 * requests which are repeated now and then are compared by their own cost alone.
 *
 * Integers only.  Pure: no clock, no I/O; one thread at a time (server/warm.h keeps it behind its
 * lock).  Memory only: a restart begins with nothing known.  Bounded: PACE_TALKS conversations and
 * PACE_GROUPS groups; the one that has waited longest gives way. */
#ifndef ROUTER_PACE_H
#define ROUTER_PACE_H

#include "router/forecast.h"

enum {
    PACE_TALKS = 16384, /* and prompts that requests have in common */
    PACE_GROUPS = 4096,
    PACE_SAMPLES_MIN = 8,
    PACE_FORGET = 256, /* conversations; then all counts of the group are halved */
    PACE_LEAST_MILLI = 250,
    PACE_MOST_MILLI = 60000,       /* nothing is believed to go on for longer than this */
    PACE_LIVES_MS = 60 * 60 * 1000 /* from its last request: no cache keeps a prompt for longer */
};

struct pace;

struct pace *pace_new(void); /* NULL: memory is short */
void pace_free(struct pace *p);
/* A request was answered. */
void pace_note(struct pace *p, const struct chat *chat, const struct forecast_ask *ask,
               int64_t now_ms);
/* How many requests are expected to follow this one, in thousandths. */
int64_t pace_look(const struct pace *p, const struct chat *chat, const struct forecast_ask *ask,
                  int64_t now_ms);

#endif
