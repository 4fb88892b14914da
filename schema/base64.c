/* Both ways of base64.h. */
#include "schema/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_add(struct buf *out, struct span s)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < s.len; i++) {
        bits = (bits << 8 | (uint8_t)s.ptr[i]) & 0xffff;
        for (held += 8; held >= 6; held -= 6)
            buf_addc(out, digits[bits >> (held - 6) & 63]);
    }
    if (held > 0)
        buf_addc(out, digits[bits << (6 - held) & 63]);
}

bool base64url_read(struct buf *out, struct span s)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < s.len; i++) {
        const char *digit = s.ptr[i] != '\0' ? strchr(digits, s.ptr[i]) : NULL;
        if (digit == NULL)
            return false;
        bits = (bits << 6 | (uint32_t)(digit - digits)) & 0x3fff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_addc(out, (char)(bits >> held & 255));
        }
    }
    return held < 6 && (bits & ((1u << held) - 1)) == 0;
}
