/* Fuzz target of the SSE splitter.  The first two bytes seed the random cuts and choose
 * the maximum; the rest is the stream.  Oracles:
 *   - whole, byte by byte and cut at random give the same events and the same verdict;
 *   - the events are those of a plain reference splitter that sees the whole stream;
 *   - at every boundary, a new splitter for the rest gives the rest of the events. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "schema/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAM_MAX = 4096 };

struct run {
    struct buf log; /* events as length-prefixed names and data */
    bool ok;
};

static bool log_event(void *ctx, const struct sse_event *ev)
{
    struct buf *log = ctx;
    assert(ev->has_data);
    buf_addf(log, "%zu,%zu:", ev->name.len, ev->data.len);
    buf_add_span(log, ev->name);
    return buf_add_span(log, ev->data);
}

static uint32_t random_state;

static size_t next_piece(size_t most, size_t left)
{
    random_state = random_state * 1664525u + 1013904223u;
    size_t n = 1 + (random_state >> 8) % most;
    return n < left ? n : left;
}

/* Pieces of up to `most` bytes, each in memory of its own that is gone afterwards. */
static struct run split(struct span s, size_t max, size_t most)
{
    struct run run;
    struct sse sse;
    buf_init(&run.log, 1 << 20);
    sse_init(&sse, max);
    run.ok = true;
    for (size_t at = 0, n = 0; at < s.len; at += n) {
        n = next_piece(most, s.len - at);
        char *piece = malloc(n);
        assert(piece != NULL);
        memcpy(piece, s.ptr + at, n);
        bool ok = sse_feed(&sse, (struct span){piece, n}, log_event, &run.log);
        assert(run.ok || !ok);
        run.ok = ok;
        free(piece);
    }
    sse_done(&sse);
    return run;
}

/* The reference: as the standard words it, one line after the other. */
struct reference {
    struct buf data, name, log;
    bool have_data;
};

static bool reference_line(struct reference *ref, struct span line, size_t max)
{
    if (line.len == 0) {
        struct sse_event ev = {buf_span(&ref->name), buf_span(&ref->data), true};
        if (ref->have_data)
            log_event(&ref->log, &ev);
        ref->have_data = false;
        buf_reset(&ref->data);
        buf_reset(&ref->name);
        return true;
    }
    size_t colon = 0;
    while (colon < line.len && line.ptr[colon] != ':')
        colon++;
    struct span field = {line.ptr, colon};
    struct span value = {line.ptr + line.len, 0};
    if (colon < line.len) {
        size_t skip = colon + 1 < line.len && line.ptr[colon + 1] == ' ' ? 2 : 1;
        value = (struct span){line.ptr + colon + skip, line.len - colon - skip};
    }
    if (span_is(field, "event")) {
        buf_reset(&ref->name);
        buf_add_span(&ref->name, value);
    } else if (span_is(field, "data")) {
        if (ref->have_data)
            buf_addc(&ref->data, '\n');
        buf_add_span(&ref->data, value);
        ref->have_data = true;
    }
    return ref->data.len <= max;
}

static struct run reference_split(struct span s, size_t max)
{
    struct reference ref = {.have_data = false};
    buf_init(&ref.data, 1 << 20);
    buf_init(&ref.name, 1 << 20);
    buf_init(&ref.log, 1 << 20);
    bool ok = true;
    bool first = true;
    size_t begin = 0;
    for (size_t i = 0; ok && i <= s.len; i++) {
        if (i < s.len && s.ptr[i] != '\n' && s.ptr[i] != '\r')
            continue;
        struct span line = {s.ptr + begin, i - begin};
        ok = line.len <= max + SSE_LINE_EXTRA;
        if (first && line.len >= 3 && memcmp(line.ptr, "\xef\xbb\xbf", 3) == 0)
            line = (struct span){line.ptr + 3, line.len - 3};
        first = false;
        if (ok && i < s.len)
            ok = reference_line(&ref, line, max);
        if (i + 1 < s.len && s.ptr[i] == '\r' && s.ptr[i + 1] == '\n')
            i++;
        begin = i + 1;
    }
    buf_done(&ref.data);
    buf_done(&ref.name);
    return (struct run){ref.log, ok};
}

static void same(struct run a, struct run b)
{
    assert(a.ok == b.ok);
    assert(span_eq(buf_span(&a.log), buf_span(&b.log)));
}

static void check_boundaries(struct span s, size_t max, struct run whole)
{
    struct sse sse;
    struct buf log;
    sse_init(&sse, max);
    buf_init(&log, 1 << 20);
    for (size_t i = 0; i < s.len && whole.ok; i++) {
        bool ok = sse_feed(&sse, (struct span){s.ptr + i, 1}, log_event, &log);
        assert(ok);
        /* A BOM would be one again at the beginning of a stream. */
        bool bom = i + 1 < s.len && (uint8_t)s.ptr[i + 1] == 0xef;
        if (!sse_at_boundary(&sse) || bom || i % 7 != 0)
            continue;
        struct run rest = split((struct span){s.ptr + i + 1, s.len - i - 1}, max, 64);
        assert(log.len + rest.log.len == whole.log.len);
        assert(rest.log.len == 0 ||
               memcmp(whole.log.ptr + log.len, rest.log.ptr, rest.log.len) == 0);
        buf_done(&rest.log);
    }
    sse_done(&sse);
    buf_done(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > STREAM_MAX)
        return 0;
    random_state = data[0];
    size_t max = data[1];
    struct span s = {(const char *)data + 2, size - 2};
    struct run whole = split(s, max, SIZE_MAX);
    struct run runs[] = {
        split(s, max, 1),
        split(s, max, 3),
        split(s, max, 40),
        reference_split(s, max),
    };
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        same(whole, runs[i]);
        buf_done(&runs[i].log);
    }
    check_boundaries(s, max, whole);
    buf_done(&whole.log);
    return 0;
}
