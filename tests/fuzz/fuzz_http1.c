/* Fuzz target of the HTTP/1.1 reader.  The first byte seeds the random cuts; the rest is the
 * answer, and what follows it on the connection.  Oracles:
 *   - whole, byte by byte and cut at random: the same head, body, verdict and rest;
 *   - no byte is read beyond the end, the body lies in the memory that was given;
 *   - a head that was told has a status of 200 to 999, and fields with a name and a colon, and
 *     without a CR, LF or NUL within;
 *   - without a Transfer-Encoding, the body is what Content-Length says, or all there is. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "schema/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 8192, HEADERS_MAX = 512 };

struct run {
    struct buf log, body;
    bool chunked, has_length;
    uint64_t length;
};

static uint32_t random_state;

static size_t next_piece(size_t most, size_t left)
{
    random_state = random_state * 1664525u + 1013904223u;
    size_t n = 1 + (random_state >> 8) % most;
    return n < left ? n : left;
}

static void on_head(struct run *r, struct http1 *h)
{
    assert(h->status >= 200 && h->status <= 999);
    assert(h->line_begin == h->headers.len && h->headers.len <= HEADERS_MAX);
    for (size_t at = 0; at < h->headers.len;) {
        struct span line = span_of(h->headers.ptr + at);
        assert(line.len > 1 && strpbrk(line.ptr, "\r\n") == NULL);
        const char *colon = strchr(line.ptr, ':');
        assert(colon != NULL && colon > line.ptr && strcspn(line.ptr, " \t") > 0);
        at += line.len + 1;
        assert(at <= h->headers.len);
    }
    r->chunked = h->chunked;
    r->has_length = h->has_length;
    r->length = h->left;
    buf_addf(&r->log, "%d[%zu:", h->status, h->headers.len);
    buf_add_span(&r->log, buf_span(&h->headers));
}

/* Pieces of up to `most` bytes, each in memory of its own that is gone afterwards. */
static struct run read_all(struct span s, size_t most)
{
    struct run r = {.length = 0};
    struct http1 h;
    enum http1_event e = HTTP1_MORE;
    size_t rest = s.len;
    buf_init(&r.log, 1 << 20);
    buf_init(&r.body, 1 << 20);
    http1_init(&h, HEADERS_MAX);
    for (size_t at = 0, n = 0; at < s.len && e == HTTP1_MORE; at += n) {
        n = next_piece(most, s.len - at);
        char *piece = malloc(n), *from = piece;
        assert(piece != NULL);
        memcpy(piece, s.ptr + at, n);
        size_t left = n;
        struct span body;
        do {
            e = http1_read(&h, &from, &left, &body);
            assert(from + left == piece + n);
            if (e == HTTP1_HEAD)
                on_head(&r, &h);
            if (e == HTTP1_BODY) {
                assert(body.len > 0 && body.ptr >= piece && body.ptr + body.len <= from);
                buf_add_span(&r.body, body);
            }
        } while (e == HTTP1_HEAD || e == HTTP1_BODY);
        assert(e != HTTP1_MORE || left == 0);
        rest = s.len - at - n + left;
        free(piece);
    }
    bool whole = e == HTTP1_END;
    buf_addf(&r.log, "]%d,%d,%d", (int)e, h.too_large, whole && h.keep_alive);
    buf_addf(&r.log, ",%d,%zu", http1_eof(&h), whole ? rest : 0);
    assert(!whole || http1_eof(&h));
    if (whole && !r.chunked && h.status != 204 && h.status != 304)
        assert(r.has_length && r.body.len == r.length);
    http1_done(&h);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > ANSWER_MAX)
        return 0;
    random_state = data[0];
    struct span s = {(const char *)data + 1, size - 1};
    struct run whole = read_all(s, SIZE_MAX);
    struct run runs[] = {read_all(s, 1), read_all(s, 3), read_all(s, 40), read_all(s, 300)};
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        assert(span_eq(buf_span(&whole.log), buf_span(&runs[i].log)));
        assert(span_eq(buf_span(&whole.body), buf_span(&runs[i].body)));
        buf_done(&runs[i].log);
        buf_done(&runs[i].body);
    }
    buf_done(&whole.log);
    buf_done(&whole.body);
    return 0;
}
