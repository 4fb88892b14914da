/* Where state came from that a provider keeps: which provider and which credential issued the id
 * of a message in a thread, or of a container.  A later request that refers to it goes back there.
 *
 * In memory only: after a restart, or when ORIGIN_KEEP_MS have passed, an id is not known any
 * more, and its request is refused in the way on which clients send the whole conversation.  By
 * team: an id that another team was given is none.
 *
 * Pure: time is an argument (wall clock, ms).  Not locked: the owner does that. */
#ifndef ROUTER_ORIGIN_H
#define ROUTER_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/span.h"

enum {
    ORIGIN_SETS = 8192,
    ORIGIN_WAYS = 8, /* ids that fall into the same set: the oldest makes room */
    ORIGIN_KEEP_MS = 86400000
};

struct origin {
    int64_t provider_id;
    uint64_t credential; /* keyring_place */
};

struct origins;

struct origins *origins_new(void); /* NULL when memory is short */
void origins_free(struct origins *o);

void origins_note(struct origins *o, int64_t team_id, struct span id, const struct origin *from,
                  int64_t now_ms);
bool origins_find(const struct origins *o, int64_t team_id, struct span id, int64_t now_ms,
                  struct origin *ret);

#endif
