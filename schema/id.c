/* Time-ordered 128-bit ids: UUIDv7 of RFC 9562 without the dashes. */
#include "schema/id.h"

#include <assert.h>

enum { ID_DIGITS = 2 * sizeof(struct id) };

struct id id_make(int64_t unix_ms, const uint8_t rand[10])
{
    assert(unix_ms >= 0);
    struct id id;
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
    memcpy(id.b + 6, rand, 10);
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f)); /* version 7 */
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f)); /* variant 10 */
    return id;
}

const char *id_print(const struct id *id, const char *prefix, char out[ID_TEXT_MAX])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(prefix);
    assert(n + ID_DIGITS < ID_TEXT_MAX);
    memcpy(out, prefix, n);
    for (size_t i = 0; i < sizeof(id->b); i++) {
        out[n++] = digits[id->b[i] >> 4];
        out[n++] = digits[id->b[i] & 15];
    }
    out[n] = '\0';
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool id_parse(struct span text, const char *prefix, struct id *ret)
{
    size_t n = strlen(prefix);
    if (text.len != n + ID_DIGITS || memcmp(text.ptr, prefix, n) != 0)
        return false;
    struct id id;
    for (size_t i = 0; i < sizeof(id.b); i++) {
        int high = hex_value(text.ptr[n + 2 * i]);
        int low = hex_value(text.ptr[n + 2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id.b[i] = (uint8_t)(high * 16 + low);
    }
    *ret = id;
    return true;
}

bool id_eq(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
