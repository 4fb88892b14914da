/* The load: how many requests with a body are in flight, and how many bytes of memory they keep.
 * What is too much is refused before its body is read, when refusing is still cheap.  A long answer
 * to one without a body counts from when it is written.
 *
 * Fair: up to the load everybody gets in.  Above it only a key that has less than its share, the
 * load divided by the keys that have something in flight; whoever made the load waits until the
 * others have had theirs.  Above the ceiling nobody gets in.
 *
 * One table for all threads, behind one lock that is taken when a request begins, when it ends,
 * and when its memory grows by SHED_GRAIN.  Contract: docs/api.md "Overload". */
#ifndef SERVER_SHED_H
#define SERVER_SHED_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SHED_GRAIN = 64 * 1024, /* bytes are counted in whole grains; the least that a request keeps */
    SHED_REQUESTS_OVER = 2, /* the ceiling of requests is so many times their load */
    SHED_BYTES_PARTS = 4    /* the load of bytes is their ceiling less one such part */
};

struct shed;
struct shed_row;

/* A request's place.  Zeroed: none. */
struct shed_slot {
    struct shed_row *row;
    int64_t bytes;
    bool uploading; /* counted as a request whose body is not complete */
};

struct shed_numbers {
    int64_t requests, bytes, keys;
};

enum shed_verdict { SHED_IN, SHED_REFUSED, SHED_NO_MEMORY };

/* max_requests is the load of requests, max_bytes the ceiling of bytes. NULL when memory is
 * short. */
struct shed *shed_new(int64_t max_requests, int64_t max_bytes);
/* No slot may be taken. */
void shed_free(struct shed *s);

/* A place for a request of this key that will keep so many bytes; *ret is filled with SHED_IN. */
enum shed_verdict shed_take(struct shed *s, int64_t key_id, int64_t bytes, bool uploading,
                            struct shed_slot *ret);
/* Its body is complete. */
void shed_uploaded(struct shed *s, struct shed_slot *slot);
/* It keeps so many bytes now.  false: that is more than the load allows, nothing has changed;
 * never with force. Without effect on no slot. */
bool shed_resize(struct shed *s, struct shed_slot *slot, int64_t bytes, bool force);
/* It is over; the slot is none afterwards. Without effect on no slot. */
void shed_give(struct shed *s, struct shed_slot *slot);
/* The slot gets a new owner. */
void shed_move(struct shed_slot *to, struct shed_slot *from);

/* Requests of this key that count as uploading. */
int64_t shed_uploading(struct shed *s, int64_t key_id);
void shed_look(struct shed *s, struct shed_numbers *ret);

#endif
