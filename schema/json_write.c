/* The string writer of json.h. */
#include "schema/json.h"
#include "schema/json_block.h"
#include "schema/utf8.h"

enum { WRITER_ROOM = 256, ESCAPE_MAX = 6 };

/* What is written is gathered first: most of it is short pieces.  There is always room for one
 * escape more. */
struct writer {
    struct buf *out;
    size_t n;
    char bytes[WRITER_ROOM + ESCAPE_MAX];
};

static void flush(struct writer *w)
{
    buf_add(w->out, w->bytes, w->n);
    w->n = 0;
}

static inline void put(struct writer *w, const void *bytes, size_t n)
{
    if (n > WRITER_ROOM - w->n)
        flush(w);
    if (n > WRITER_ROOM) {
        buf_add(w->out, bytes, n);
        return;
    }
    memcpy(w->bytes + w->n, bytes, n);
    w->n += n;
}

/* A byte below 0x20, a quote or a backslash. */
static inline void put_escaped(struct writer *w, uint8_t c)
{
    static const char letters[] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
    };
    static const char digits[] = "0123456789abcdef";
    char *at = w->bytes + w->n;
    at[0] = '\\';
    at[1] = letters[c];
    w->n += 2;
    if (letters[c] == 0) {
        memcpy(at + 1, "u00", 3);
        at[4] = digits[c >> 4];
        at[5] = digits[c & 15];
        w->n += 4;
    }
    if (w->n > WRITER_ROOM)
        flush(w);
}

/* Over what is written as it is. */
static const uint8_t *skip_same(const uint8_t *p, const uint8_t *end)
{
    bool valid = true;
    while (p < end && valid) {
        if (json_is_plain(*p)) {
            p = json_skip_plain(p, end);
        } else if (*p >= 0x80) {
            size_t n = utf8_step(p, end, &valid);
            p += valid ? n : 0;
        } else {
            break;
        }
    }
    return p;
}

bool json_write_string(struct buf *out, struct span s)
{
    const uint8_t *p = (const uint8_t *)(s.len > 0 ? s.ptr : "");
    const uint8_t *end = p + s.len;
    struct writer w = {.out = out, .n = 0};
    put(&w, "\"", 1);
    while (p < end) {
        const uint8_t *same = p;
        p = skip_same(p, end);
        if (p > same)
            put(&w, same, (size_t)(p - same));
        if (p < end && *p < 0x80) {
            put_escaped(&w, *p++);
        } else if (p < end) {
            bool valid;
            p += utf8_step(p, end, &valid);
            put(&w, "\xef\xbf\xbd", 3);
        }
    }
    put(&w, "\"", 1);
    flush(&w);
    return !out->failed;
}
