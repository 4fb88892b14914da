/* Text many bytes at a time: 64 as a mask, where bit i tells of byte i, and the skipping of what
 * is plain.  Inline, for the files that pass over
 * every byte of a request.  With SSE2 where it is there; elsewhere, and with JSON_PORTABLE, in
 * words of 8 bytes.  Not for others. */
#ifndef SCHEMA_JSON_BLOCK_H
#define SCHEMA_JSON_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(JSON_PORTABLE)
#include <emmintrin.h>
#define JSON_SSE2 1
#else
#define JSON_SSE2 0
#endif

enum {
    JSON_BLOCK = 64,
    JSON_BLOCK_SUM_MAX = 255 /* blocks in one sum: a byte counts each place */
};

#if JSON_SSE2

/* The bytes, or a mark for each: all bits set, or none. */
struct json_block {
    __m128i a, b, c, d;
};

static inline struct json_block json_block_load(const void *p)
{
    const __m128i *from = p;
    return (struct json_block){_mm_loadu_si128(from), _mm_loadu_si128(from + 1),
                               _mm_loadu_si128(from + 2), _mm_loadu_si128(from + 3)};
}

static inline __m128i json_block_part(__m128i part, uint8_t mask, uint8_t value)
{
    __m128i bits = _mm_and_si128(part, _mm_set1_epi8((char)mask));
    return _mm_cmpeq_epi8(bits, _mm_set1_epi8((char)value));
}

/* Marks the bytes that are `value` in the bits of `mask`. */
static inline struct json_block json_block_match(struct json_block b, uint8_t mask, uint8_t value)
{
    return (struct json_block){json_block_part(b.a, mask, value), json_block_part(b.b, mask, value),
                               json_block_part(b.c, mask, value),
                               json_block_part(b.d, mask, value)};
}

static inline struct json_block json_block_and(struct json_block l, struct json_block r)
{
    return (struct json_block){_mm_and_si128(l.a, r.a), _mm_and_si128(l.b, r.b),
                               _mm_and_si128(l.c, r.c), _mm_and_si128(l.d, r.d)};
}

static inline struct json_block json_block_or(struct json_block l, struct json_block r)
{
    return (struct json_block){_mm_or_si128(l.a, r.a), _mm_or_si128(l.b, r.b),
                               _mm_or_si128(l.c, r.c), _mm_or_si128(l.d, r.d)};
}

/* The top bit of each byte or mark. */
static inline uint64_t json_block_bits(struct json_block m)
{
    return (uint64_t)_mm_movemask_epi8(m.a) | (uint64_t)_mm_movemask_epi8(m.b) << 16 |
           (uint64_t)_mm_movemask_epi8(m.c) << 32 | (uint64_t)_mm_movemask_epi8(m.d) << 48;
}

/* Counts marks, in a sum that began as zeros. */
static inline struct json_block json_block_add(struct json_block sum, struct json_block m)
{
    return (struct json_block){_mm_sub_epi8(sum.a, m.a), _mm_sub_epi8(sum.b, m.b),
                               _mm_sub_epi8(sum.c, m.c), _mm_sub_epi8(sum.d, m.d)};
}

static inline size_t json_block_total(struct json_block sum)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i ab = _mm_add_epi64(_mm_sad_epu8(sum.a, zero), _mm_sad_epu8(sum.b, zero));
    __m128i cd = _mm_add_epi64(_mm_sad_epu8(sum.c, zero), _mm_sad_epu8(sum.d, zero));
    __m128i halves = _mm_add_epi64(ab, cd);
    return (size_t)_mm_cvtsi128_si32(halves) + (size_t)_mm_extract_epi16(halves, 4);
}

/* Whether any of them is set. */
static inline bool json_block_any(struct json_block m)
{
    __m128i all = _mm_or_si128(_mm_or_si128(m.a, m.b), _mm_or_si128(m.c, m.d));
    return _mm_movemask_epi8(all) != 0;
}

#else

/* The bytes, or a mark for each: the top bit. */
struct json_block {
    uint64_t part[8];
};

static inline struct json_block json_block_load(const void *p)
{
    struct json_block b;
    memcpy(b.part, p, sizeof(b.part));
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    for (int i = 0; i < 8; i++)
        b.part[i] = __builtin_bswap64(b.part[i]);
#endif
    return b;
}

/* Marks the bytes that are `value` in the bits of `mask`: a byte of `other` is 0 there, and only
 * then does the sum leave its top bit alone. */
static inline struct json_block json_block_match(struct json_block b, uint8_t mask, uint8_t value)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), low = ones * 0x7f;
    for (int i = 0; i < 8; i++) {
        uint64_t other = (b.part[i] & (ones * mask)) ^ (ones * value);
        b.part[i] = ~(((other & low) + low) | other | low);
    }
    return b;
}

static inline struct json_block json_block_and(struct json_block l, struct json_block r)
{
    for (int i = 0; i < 8; i++)
        l.part[i] &= r.part[i];
    return l;
}

static inline struct json_block json_block_or(struct json_block l, struct json_block r)
{
    for (int i = 0; i < 8; i++)
        l.part[i] |= r.part[i];
    return l;
}

/* The top bit of each byte or mark; the product gathers eight. */
static inline uint64_t json_block_bits(struct json_block m)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (m.part[i] >> 7 & ones) * UINT64_C(0x0102040810204080) >> 56 << (8 * i);
    return bits;
}

/* Counts marks, in a sum that began as zeros. */
static inline struct json_block json_block_add(struct json_block sum, struct json_block m)
{
    for (int i = 0; i < 8; i++)
        sum.part[i] += m.part[i] >> 7 & UINT64_C(0x0101010101010101);
    return sum;
}

static inline size_t json_block_total(struct json_block sum)
{
    const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
    size_t total = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t pairs = (sum.part[i] & even) + (sum.part[i] >> 8 & even);
        total += (size_t)(pairs * UINT64_C(0x0001000100010001) >> 48);
    }
    return total;
}

/* Whether any of them is set. */
static inline bool json_block_any(struct json_block m)
{
    uint64_t all = 0;
    for (int i = 0; i < 8; i++)
        all |= m.part[i];
    return (all & UINT64_C(0x8080808080808080)) != 0;
}

#endif

static inline struct json_block json_block_equal(struct json_block b, char c)
{
    return json_block_match(b, 0xff, (uint8_t)c);
}

static inline int json_block_count(uint64_t bits)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    bits -= bits >> 1 & (ones * 0x55);
    bits = (bits & (ones * 0x33)) + (bits >> 2 & (ones * 0x33));
    return (int)(((bits + (bits >> 4)) & (ones * 0x0f)) * ones >> 56);
}

/* Where escapes begin in a block that does not begin inside one: at every second backslash of a
 * run.  The subtraction leaves a run that begins at an even place as ones and one that begins at an
 * odd place as zeros; with the odd places flipped, both have ones at every second place. */
static inline uint64_t json_block_escapes(uint64_t backslashes)
{
    const uint64_t odd = UINT64_C(0xaaaaaaaaaaaaaaaa);
    return ((((backslashes << 1) | odd) - backslashes) ^ odd) & backslashes;
}

/* ---- skipping ---- */

/* What stands in a string as itself; of ASCII. */
static inline bool json_is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#if JSON_SSE2

/* As signed bytes, control bytes and non-ASCII are both below 0x20. */
static inline __m128i json_special_bytes(__m128i bytes)
{
    __m128i odd = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return _mm_or_si128(odd, _mm_or_si128(quote, backslash));
}

/* To the first byte of [p, end) that is not plain ASCII string content. */
static inline const uint8_t *json_skip_plain(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned mask = (unsigned)_mm_movemask_epi8(json_special_bytes(bytes));
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

#else

/* Nonzero when one of the eight bytes is special: the borrow of a subtraction marks
 * bytes below 0x20 and, after an xor, bytes equal to the wanted one.  A borrow can mark a
 * neighbour too; the byte loop then has the last word. */
static inline uint64_t json_special_bytes(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = bytes ^ (ones * '"');
    uint64_t backslash = bytes ^ (ones * '\\');
    return (bytes | (bytes - ones * 0x20) | (quote - ones) | (backslash - ones)) & (ones * 0x80);
}

/* To the first byte of [p, end) that is not plain ASCII string content. */
static inline const uint8_t *json_skip_plain(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t bytes;
        memcpy(&bytes, p, sizeof(bytes));
        if (json_special_bytes(bytes) != 0)
            break;
    }
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

#endif

#endif
