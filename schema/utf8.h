/* One step through bytes that should be UTF-8 (RFC 3629): overlong forms, surrogates
 * and anything above U+10FFFF are not valid.  Inline, since both the JSON reader and
 * the writer take it on their hot paths. */
#ifndef SCHEMA_UTF8_H
#define SCHEMA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the character at p where that is soon said: of two or three bytes, any second byte
 * will do, and the text does not end there; else 0. */
static inline size_t utf8_usual(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 3 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return 2;
    bool three = p[0] > 0xe0 && p[0] <= 0xef && p[0] != 0xed;
    return three && (p[2] & 0xc0) == 0x80 ? 3 : 0;
}

/* How many bytes to move on from p (p < end).  *ret_valid false: these bytes are the
 * longest start of a sequence that cannot be completed, to be replaced by one U+FFFD
 * (Unicode 15, section 3.9, "maximal subpart"). */
static inline size_t utf8_step(const uint8_t *p, const uint8_t *end, bool *ret_valid)
{
    uint8_t lead = p[0];
    size_t usual = utf8_usual(p, end);
    *ret_valid = lead < 0x80 || usual > 0;
    if (usual > 0)
        return usual;
    if (lead < 0xc2 || lead > 0xf4)
        return 1;
    size_t need = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    size_t have = (size_t)(end - p) < need ? (size_t)(end - p) : need;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < have; i++) {
        if (p[i] < low || p[i] > high)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    *ret_valid = have == need;
    return have;
}

#endif
