/* The hash of prompt prefixes.  Not against an adversary: a collision costs a wrong guess
 * at what a cache holds.  Every byte of every prompt passes here: one multiplication per sixteen
 * bytes (as in wyhash, github.com/wangyi-fudan/wyhash), in lanes that do not wait for each other.
 * Kept in memory only. */
#include "schema/chat_reader.h"

static const uint64_t odd_1 = UINT64_C(0x9e3779b97f4a7c15);
static const uint64_t odd_2 = UINT64_C(0xd6e8feb86659fd93);

__extension__ typedef unsigned __int128 wide;

/* Both halves of the product, so that every bit of the words reaches every bit of the state.  A
 * factor of 0 would forget the other one: neither constant is a piece of UTF-8 text. */
static uint64_t stir(uint64_t state, uint64_t first, uint64_t second)
{
    wide product = (wide)(first ^ odd_1) * (second ^ odd_2 ^ state);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static void stir_block(uint64_t lanes[DIGEST_LANES], const char *block)
{
    for (int i = 0; i < DIGEST_LANES; i++)
        lanes[i] = stir(lanes[i], load(block + 16 * i), load(block + 16 * i + 8));
}

void digest_add(struct digest *d, struct span s)
{
    size_t have = d->total % DIGEST_BLOCK;
    d->total += s.len;
    if (have > 0) {
        size_t n = s.len < DIGEST_BLOCK - have ? s.len : DIGEST_BLOCK - have;
        memcpy(d->part + have, s.ptr, n);
        s.ptr += n;
        s.len -= n;
        if (have + n < DIGEST_BLOCK)
            return;
        stir_block(d->lanes, d->part);
    }
    uint64_t lanes[DIGEST_LANES];
    memcpy(lanes, d->lanes, sizeof(lanes));
    for (; s.len >= DIGEST_BLOCK; s.ptr += DIGEST_BLOCK, s.len -= DIGEST_BLOCK)
        stir_block(lanes, s.ptr);
    memcpy(d->lanes, lanes, sizeof(lanes));
    memcpy(d->part, s.ptr, s.len);
}

uint64_t digest_value(const struct digest *d)
{
    char last[DIGEST_BLOCK] = {0};
    uint64_t h = d->total, lanes[DIGEST_LANES];
    memcpy(lanes, d->lanes, sizeof(lanes));
    memcpy(last, d->part, d->total % DIGEST_BLOCK);
    stir_block(lanes, last);
    for (int i = 0; i < DIGEST_LANES; i++)
        h = stir(h, lanes[i], 0);
    return h;
}
