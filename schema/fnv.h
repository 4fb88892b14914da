/* FNV-1a, 64 bits (Fowler, Noll, Vo): for tables, and for ids that must be made up, the same for
 * the same input.  Not against an adversary.  Pure. */
#ifndef SCHEMA_FNV_H
#define SCHEMA_FNV_H

#include <stdint.h>

#include "schema/span.h"

#define FNV_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t fnv_add(uint64_t hash, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
