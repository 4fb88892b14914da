/* The units of one arm: how many there are, which number each has, how many requests one of them
 * sent.  A table of their hashes, which are uniform already; 21 to 43 bytes for each unit, and
 * nothing for its further requests. */
#ifndef ROUTER_UNITS_H
#define ROUTER_UNITS_H

#include <stddef.h>
#include <stdint.h>

enum { UNITS_MAX = 16 * 1024 * 1024 };

struct unit {
    int64_t hash;
    uint32_t number, requests; /* 0 requests: a free slot */
};

/* Zeroed = none. */
struct units {
    struct unit *slots; /* a power of two */
    size_t n_slots;
    uint32_t n;
    uint32_t most; /* requests of the unit that has most */
};

/* One request of a unit: its number, from 0 on in the order in which they come.  -1: memory is
 * short, or there are UNITS_MAX. */
int64_t units_add(struct units *u, int64_t hash);
/* Its number, or -1. */
int64_t units_find(const struct units *u, int64_t hash);
void units_done(struct units *u);

#endif
