/* The hash of prompt prefixes.  Not against an adversary: a collision costs a wrong guess
 * at what a cache holds.  Two multiplications per eight bytes, since every byte of every
 * prompt passes here. */
#include "schema/chat_reader.h"

static const uint64_t odd_1 = UINT64_C(0x9e3779b97f4a7c15);
static const uint64_t odd_2 = UINT64_C(0xd6e8feb86659fd93);

static uint64_t stir(uint64_t state, uint64_t word)
{
    word *= odd_1;
    word ^= word >> 29;
    state = (state ^ word) * odd_2;
    return state ^ (state >> 32);
}

static uint64_t load(const void *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

void digest_add(struct digest *d, struct span s)
{
    size_t have = d->total % 8;
    d->total += s.len;
    if (have > 0) {
        size_t n = s.len < 8 - have ? s.len : 8 - have;
        memcpy(d->part + have, s.ptr, n);
        s.ptr += n;
        s.len -= n;
        if (have + n < 8)
            return;
        d->state = stir(d->state, load(d->part));
    }
    uint64_t state = d->state;
    for (; s.len >= 8; s.ptr += 8, s.len -= 8)
        state = stir(state, load(s.ptr));
    d->state = state;
    memcpy(d->part, s.ptr, s.len);
}

uint64_t digest_value(const struct digest *d)
{
    unsigned char last[8] = {0};
    memcpy(last, d->part, d->total % 8);
    uint64_t h = stir(stir(d->state, load(last)), d->total);
    h *= odd_1;
    return h ^ (h >> 31);
}
