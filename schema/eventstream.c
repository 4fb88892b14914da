/* The splitter of eventstream.h. */
#include "schema/eventstream.h"

enum { NAME_MAX = 255, TEXT_MAX = 32767 };

void eventstream_init(struct eventstream *s, size_t max)
{
    *s = (struct eventstream){.max = max};
    buf_init(&s->carry, max);
}

void eventstream_done(struct eventstream *s)
{
    buf_done(&s->carry);
    eventstream_init(s, s->max);
}

/* Four bits at a time: the reversed polynomial 0xedb88320. */
uint32_t eventstream_crc32(uint32_t crc, struct span bytes)
{
    static const uint32_t of[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint8_t)bytes.ptr[i];
        crc = crc >> 4 ^ of[crc & 15];
        crc = crc >> 4 ^ of[crc & 15];
    }
    return ~crc;
}

static uint32_t number(const char *at, int bytes)
{
    uint32_t n = 0;
    for (int i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)at[i];
    return n;
}

/* ---- headers ---- */

struct header {
    struct span name, value;
    int type;
};

/* Bytes of a value by its type: true, false, byte, short, int, long, bytes, text, time, uuid.
 * -1: two bytes of length, then so many. */
static const int value_sizes[] = {0, 0, 1, 2, 4, 8, -1, -1, 8, 16};

/* Takes the first header off *rest.  false: malformed. */
static bool take_header(struct span *rest, struct header *ret)
{
    size_t at = 1;
    size_t name = rest->len > 0 ? (uint8_t)rest->ptr[0] : 0;
    if (name == 0 || rest->len - at < name + 1)
        return false;
    ret->name = (struct span){rest->ptr + at, name};
    at += name;
    ret->type = (uint8_t)rest->ptr[at++];
    if (ret->type >= (int)(sizeof(value_sizes) / sizeof(value_sizes[0])))
        return false;
    size_t size = (size_t)value_sizes[ret->type];
    if (value_sizes[ret->type] < 0) {
        if (rest->len - at < 2)
            return false;
        size = number(rest->ptr + at, 2);
        at += 2;
    }
    if (rest->len - at < size)
        return false;
    ret->value = (struct span){rest->ptr + at, size};
    at += size;
    *rest = (struct span){rest->ptr + at, rest->len - at};
    return true;
}

static bool are_headers(struct span headers)
{
    struct header h;
    while (headers.len > 0) {
        if (!take_header(&headers, &h))
            return false;
    }
    return true;
}

struct span eventstream_header(const struct eventstream_message *m, const char *name)
{
    struct span rest = m->headers;
    struct header h;
    while (rest.len > 0 && take_header(&rest, &h)) {
        if (h.type == EVENTSTREAM_STRING && span_is(h.name, name))
            return h.value;
    }
    return (struct span){"", 0};
}

/* ---- messages ---- */

/* The length of the message that begins with this prelude; 0: it is none. */
static size_t message_len(const struct eventstream *s, const char *prelude)
{
    size_t total = number(prelude, 4);
    size_t headers = number(prelude + 4, 4);
    bool fits = total >= EVENTSTREAM_OVERHEAD && total <= s->max &&
                headers <= total - EVENTSTREAM_OVERHEAD && headers <= EVENTSTREAM_HEADERS_MAX;
    uint32_t sum = eventstream_crc32(0, (struct span){prelude, 8});
    return fits && sum == number(prelude + 8, 4) ? total : 0;
}

static bool take_message(struct span whole, eventstream_handler handler, void *ctx)
{
    struct span summed = {whole.ptr, whole.len - 4};
    size_t headers = number(whole.ptr + 4, 4);
    struct eventstream_message m = {
        .headers = {whole.ptr + EVENTSTREAM_PRELUDE, headers},
        .payload = {whole.ptr + EVENTSTREAM_PRELUDE + headers,
                    whole.len - EVENTSTREAM_OVERHEAD - headers},
    };
    return eventstream_crc32(0, summed) == number(whole.ptr + summed.len, 4) &&
           are_headers(m.headers) && handler(ctx, &m);
}

/* Moves bytes to the carry until it holds `want` of them. */
static bool fill(struct eventstream *s, struct span *bytes, size_t want)
{
    size_t more = want - s->carry.len;
    struct span part = {bytes->ptr, more < bytes->len ? more : bytes->len};
    *bytes = (struct span){bytes->ptr + part.len, bytes->len - part.len};
    return buf_add_span(&s->carry, part);
}

/* Goes on with the message in the carry. */
static bool feed_carried(struct eventstream *s, struct span *bytes, eventstream_handler handler,
                         void *ctx)
{
    if (s->carry.len < EVENTSTREAM_PRELUDE) {
        if (!fill(s, bytes, EVENTSTREAM_PRELUDE))
            return false;
        if (s->carry.len < EVENTSTREAM_PRELUDE)
            return true;
    }
    size_t total = message_len(s, s->carry.ptr);
    if (total == 0 || !fill(s, bytes, total))
        return false;
    if (s->carry.len < total)
        return true;
    struct span whole = buf_span(&s->carry);
    s->carry.len = 0; /* first: the handler may ask for the boundary */
    bool ok = take_message(whole, handler, ctx);
    buf_reset(&s->carry);
    return ok;
}

static bool feed_in_place(struct eventstream *s, struct span *bytes, eventstream_handler handler,
                          void *ctx)
{
    size_t total = bytes->len < EVENTSTREAM_PRELUDE ? SIZE_MAX : message_len(s, bytes->ptr);
    if (total == 0)
        return false;
    if (total > bytes->len)
        return fill(s, bytes, s->carry.len + bytes->len);
    struct span whole = {bytes->ptr, total};
    *bytes = (struct span){bytes->ptr + total, bytes->len - total};
    return take_message(whole, handler, ctx);
}

bool eventstream_feed(struct eventstream *s, struct span bytes, eventstream_handler handler,
                      void *ctx)
{
    while (!s->broken && bytes.len > 0) {
        bool ok = s->carry.len > 0 ? feed_carried(s, &bytes, handler, ctx)
                                   : feed_in_place(s, &bytes, handler, ctx);
        s->broken = !ok;
    }
    return !s->broken;
}

bool eventstream_at_boundary(const struct eventstream *s)
{
    return s->carry.len == 0;
}

/* ---- writing ---- */

static void put_number(struct buf *out, size_t n, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        buf_addc(out, (char)(n >> shift & 0xff));
}

/* The length of the headers; SIZE_MAX when one is too long. */
static size_t headers_len(const char *const *headers)
{
    size_t len = 0;
    for (; headers[0] != NULL; headers += 2) {
        size_t name = strlen(headers[0]), value = strlen(headers[1]);
        if (name == 0 || name > NAME_MAX || value > TEXT_MAX)
            return SIZE_MAX;
        len += 1 + name + 1 + 2 + value;
    }
    return len <= EVENTSTREAM_HEADERS_MAX ? len : SIZE_MAX;
}

bool eventstream_write(struct buf *out, const char *const *headers, struct span payload)
{
    size_t begin = out->len;
    size_t len = headers_len(headers);
    if (len == SIZE_MAX || payload.len > UINT32_MAX - EVENTSTREAM_OVERHEAD - len)
        return false;
    put_number(out, EVENTSTREAM_OVERHEAD + len + payload.len, 4);
    put_number(out, len, 4);
    if (out->failed)
        return false;
    put_number(out, eventstream_crc32(0, (struct span){out->ptr + begin, 8}), 4);
    for (; headers[0] != NULL; headers += 2) {
        buf_addc(out, (char)strlen(headers[0]));
        buf_adds(out, headers[0]);
        buf_addc(out, EVENTSTREAM_STRING);
        put_number(out, strlen(headers[1]), 2);
        buf_adds(out, headers[1]);
    }
    buf_add_span(out, payload);
    if (out->failed)
        return false;
    put_number(out, eventstream_crc32(0, (struct span){out->ptr + begin, out->len - begin}), 4);
    return !out->failed;
}
