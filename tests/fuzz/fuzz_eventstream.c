/* Fuzz target of the event stream splitter.  The first byte seeds the random cuts; the rest is the
 * stream.  As random bytes hardly ever have the right sums, a stream that begins with 'w' is a
 * script for the writer instead: (length of the header's value, length of the payload), the bytes
 * of both, and a last byte that may break one bit of the message.  Oracles:
 *   - whole, byte by byte and cut at random give the same messages and the same verdict;
 *   - what was written unbroken is read back. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "schema/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAM_MAX = 4096, MESSAGE_MAX = 700 };

struct run {
    struct buf log;
    bool ok;
};

static bool log_message(void *ctx, const struct eventstream_message *m)
{
    struct buf *log = ctx;
    struct span type = eventstream_header(m, ":event-type");
    buf_addf(log, "%zu,%zu,%zu:", m->headers.len, type.len, m->payload.len);
    buf_add_span(log, m->headers);
    buf_add_span(log, type);
    return buf_add_span(log, m->payload);
}

static uint32_t random_state;

/* Pieces of up to `most` bytes, each in memory of its own that is gone afterwards. */
static struct run split(struct span s, size_t most)
{
    struct run run = {.ok = true};
    struct eventstream stream;
    buf_init(&run.log, 1 << 20);
    eventstream_init(&stream, MESSAGE_MAX);
    for (size_t at = 0, n = 0; at < s.len; at += n) {
        random_state = random_state * 1664525u + 1013904223u;
        n = 1 + (random_state >> 8) % most;
        n = n < s.len - at ? n : s.len - at;
        char *piece = malloc(n);
        assert(piece != NULL);
        memcpy(piece, s.ptr + at, n);
        bool ok = eventstream_feed(&stream, (struct span){piece, n}, log_message, &run.log);
        assert(run.ok || !ok);
        run.ok = ok;
        free(piece);
    }
    eventstream_done(&stream);
    return run;
}

/* One message of the script; *ret_broken: with one bit wrong. */
static void write_one(struct span *script, struct buf *out, bool *ret_broken)
{
    char value[256];
    size_t value_len = (uint8_t)script->ptr[0] % 64, payload_len = (uint8_t)script->ptr[1];
    *script = (struct span){script->ptr + 2, script->len - 2};
    value_len = value_len < script->len ? value_len : script->len;
    memcpy(value, script->ptr, value_len);
    value[value_len] = '\0';
    *script = (struct span){script->ptr + value_len, script->len - value_len};
    struct span payload = {script->ptr, payload_len < script->len ? payload_len : script->len};
    *script = (struct span){script->ptr + payload.len, script->len - payload.len};
    const char *const headers[] = {":event-type", value, NULL};
    size_t begin = out->len;
    bool ok = eventstream_write(out, headers, payload);
    assert(ok);
    uint8_t last = script->len > 0 ? (uint8_t)script->ptr[0] : 0;
    *ret_broken = last > 192;
    if (*ret_broken)
        out->ptr[begin + last % (out->len - begin)] ^= (char)(1 << last % 8);
}

static void check(struct span s, bool may_break)
{
    struct run whole = split(s, SIZE_MAX);
    static const size_t mosts[] = {1, 3, 40};
    for (size_t i = 0; i < sizeof(mosts) / sizeof(mosts[0]); i++) {
        struct run cut = split(s, mosts[i]);
        assert(cut.ok == whole.ok);
        assert(span_eq(buf_span(&cut.log), buf_span(&whole.log)));
        buf_done(&cut.log);
    }
    assert(may_break || whole.ok);
    buf_done(&whole.log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > STREAM_MAX)
        return 0;
    random_state = data[0];
    struct span s = {(const char *)data + 1, size - 1};
    if (s.ptr[0] != 'w') {
        check(s, true);
        return 0;
    }
    struct buf written;
    bool any_broken = false;
    buf_init(&written, 64 * STREAM_MAX);
    s = (struct span){s.ptr + 1, s.len - 1};
    while (s.len > 2) {
        bool broken;
        write_one(&s, &written, &broken);
        any_broken = any_broken || broken;
    }
    check(buf_span(&written), any_broken);
    buf_done(&written);
    return 0;
}
