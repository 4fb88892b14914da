/* The string writer of json.h. */
#include "schema/json.h"
#include "schema/utf8.h"

/* What a byte below 0x20, a quote or a backslash is written as. */
static void add_escaped(struct buf *out, uint8_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    static const char digits[] = "0123456789abcdef";
    const char *at = c != 0 ? strchr(from, c) : NULL;
    if (at != NULL) {
        buf_addc(out, '\\');
        buf_addc(out, to[at - from]);
    } else {
        buf_adds(out, "\\u00");
        buf_addc(out, digits[c >> 4]);
        buf_addc(out, digits[c & 15]);
    }
}

bool json_write_string(struct buf *out, struct span s)
{
    const uint8_t *p = (const uint8_t *)(s.len > 0 ? s.ptr : "");
    const uint8_t *end = p + s.len;
    const uint8_t *plain = p; /* from here on nothing had to be changed, not yet written */
    buf_addc(out, '"');
    while (p < end) {
        bool valid;
        size_t n = utf8_step(p, end, &valid);
        if (valid && *p >= 0x20 && *p != '"' && *p != '\\') {
            p += n;
            continue;
        }
        buf_add(out, plain, (size_t)(p - plain));
        if (valid)
            add_escaped(out, *p);
        else
            buf_adds(out, "\xef\xbf\xbd");
        p += n;
        plain = p;
    }
    buf_add(out, plain, (size_t)(p - plain));
    return buf_addc(out, '"');
}
