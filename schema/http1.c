/* HTTP/1.1 for a client, of http1.h. */
#include "schema/http1.h"

#include <assert.h>
#include <strings.h>

#include "schema/field.h"

enum step {
    IN_STATUS,
    IN_FIELDS,
    IN_LENGTH,   /* a body of known length */
    IN_REST,     /* a body up to the end of the connection */
    IN_SIZE,     /* of a chunk: its digits */
    IN_SIZE_EXT, /* what follows them */
    IN_SIZE_LF,
    IN_CHUNK,
    IN_CHUNK_CR,
    IN_CHUNK_LF,
    IN_TRAILER, /* at the begin of a line */
    IN_TRAILER_LINE,
    IN_TRAILER_LF,
    IN_LAST_LF,
    AT_END,
    AT_BROKEN
};

void http1_init(struct http1 *h, size_t headers_max)
{
    *h = (struct http1){.step = IN_STATUS};
    buf_init(&h->headers, headers_max);
}

void http1_reset(struct http1 *h)
{
    struct buf kept = h->headers;
    buf_reset(&kept);
    *h = (struct http1){.step = IN_STATUS, .headers = kept};
}

void http1_done(struct http1 *h)
{
    buf_done(&h->headers);
}

static void broken(struct http1 *h)
{
    h->step = AT_BROKEN;
}

static void too_large(struct http1 *h)
{
    h->too_large = true;
    h->step = AT_BROKEN;
}

/* ---- the head ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* HTTP/1.x SP 3DIGIT [ SP reason ]: servers without a reason leave the last blank out too. */
static void on_status_line(struct http1 *h, struct span line)
{
    const char *p = line.ptr;
    if (line.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || !is_digit(p[7]) || p[8] != ' ' ||
        p[9] < '1' || p[9] > '9' || !is_digit(p[10]) || !is_digit(p[11]) ||
        (line.len > 12 && p[12] != ' ')) {
        broken(h);
        return;
    }
    h->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    h->keep_alive = p[7] != '0';
    h->is_1_0 = p[7] == '0';
    h->headers.len = h->line_begin;
    h->step = IN_FIELDS;
}

static void read_length(struct http1 *h, struct span v)
{
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (!is_digit(v.ptr[i]) || n > ((uint64_t)INT64_MAX - 9) / 10) {
            broken(h);
            return;
        }
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    }
    if (v.len == 0 || (h->has_length && n != h->left)) {
        broken(h);
        return;
    }
    h->has_length = true;
    h->left = n;
}

static bool word_is(struct span s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static void read_connection(struct http1 *h, struct span v)
{
    for (size_t at = 0; at < v.len;) {
        const char *comma = memchr(v.ptr + at, ',', v.len - at);
        size_t end = comma != NULL ? (size_t)(comma - v.ptr) : v.len;
        struct span option = field_trim((struct span){v.ptr + at, end - at});
        if (word_is(option, "close"))
            h->has_close = true;
        else if (word_is(option, "keep-alive"))
            h->keep_alive = true;
        at = end + 1;
    }
}

static void read_coding(struct http1 *h, struct span v)
{
    if (h->chunked || !word_is(v, "chunked"))
        broken(h);
    h->chunked = true;
}

/* The fields that say where the answer ends. */
static void on_framing(struct http1 *h, struct span name, struct span value)
{
    if (word_is(name, "content-length"))
        read_length(h, value);
    else if (word_is(name, "transfer-encoding"))
        read_coding(h, value);
    else if (word_is(name, "connection"))
        read_connection(h, value);
}

static void on_field(struct http1 *h, struct span line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    size_t n = colon != NULL ? (size_t)(colon - line.ptr) : 0;
    struct span name = {line.ptr, n};
    if (!field_is_name(name)) { /* also of a folded field: it begins with a blank */
        broken(h);
        return;
    }
    on_framing(h, name, field_trim((struct span){line.ptr + n + 1, line.len - n - 1}));
    h->headers.ptr[h->headers.len++] = '\0'; /* there is room: CR was here */
    h->line_begin = h->headers.len;
}

/* The empty line has come.  RFC 9112 section 6.3. */
static enum http1_event on_head_end(struct http1 *h)
{
    h->headers.len = h->line_begin;
    if (h->status == 101) {
        broken(h);
        return HTTP1_BROKEN;
    }
    if (h->status < 200) {
        int n = h->n_interim + 1;
        http1_reset(h);
        h->n_interim = n;
        if (n > HTTP1_INTERIM_MAX)
            broken(h);
        return HTTP1_MORE;
    }
    if (h->has_close || (h->chunked && (h->has_length || h->is_1_0)))
        h->keep_alive = false;
    if (h->status == 204 || h->status == 304)
        h->step = AT_END;
    else if (h->chunked)
        h->step = IN_SIZE;
    else if (h->has_length)
        h->step = h->left > 0 ? IN_LENGTH : AT_END;
    else {
        h->step = IN_REST;
        h->keep_alive = false;
    }
    if (h->chunked)
        h->left = 0;
    h->counted = 0;
    return HTTP1_HEAD;
}

/* A line of the head is complete in h->headers, with its LF. */
static enum http1_event on_line(struct http1 *h)
{
    struct buf *b = &h->headers;
    size_t n = b->len - h->line_begin;
    struct span line = {b->ptr + h->line_begin, n - 2};
    if (n < 2 || b->ptr[b->len - 2] != '\r' || !field_is_text(line)) {
        broken(h);
        return HTTP1_BROKEN;
    }
    b->len -= 2;
    if (h->step == IN_STATUS)
        on_status_line(h, line);
    else if (line.len == 0)
        return on_head_end(h);
    else
        on_field(h, line);
    return h->step == AT_BROKEN ? HTTP1_BROKEN : HTTP1_MORE;
}

static enum http1_event read_head(struct http1 *h, char **at, size_t *len)
{
    while (*len > 0 && (h->step == IN_STATUS || h->step == IN_FIELDS)) {
        const char *lf = memchr(*at, '\n', *len);
        size_t n = lf != NULL ? (size_t)(lf - *at) + 1 : *len;
        if (!buf_add(&h->headers, *at, n)) {
            too_large(h);
            return HTTP1_BROKEN;
        }
        *at += n;
        *len -= n;
        enum http1_event event = lf != NULL ? on_line(h) : HTTP1_MORE;
        if (event != HTTP1_MORE)
            return event;
    }
    return h->step == AT_BROKEN ? HTTP1_BROKEN : HTTP1_MORE;
}

/* ---- chunks ---- */

static int hex_of(char c)
{
    return is_digit(c)              ? c - '0'
           : (c >= 'a' && c <= 'f') ? c - 'a' + 10
           : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                    : -1;
}

static void on_size_end(struct http1 *h, char c)
{
    if (c == '\r' && h->counted > 0)
        h->step = IN_SIZE_LF;
    else if ((c == ';' || c == ' ' || c == '\t') && h->counted > 0)
        h->step = IN_SIZE_EXT;
    else
        broken(h);
}

static void on_size_byte(struct http1 *h, char c)
{
    int digit = hex_of(c);
    if (digit < 0) {
        on_size_end(h, c);
    } else if (h->left > (uint64_t)INT64_MAX >> 4 || h->counted >= HTTP1_CHUNK_LINE_MAX) {
        broken(h);
    } else {
        h->left = h->left << 4 | (uint64_t)digit;
        h->counted++;
    }
}

static void on_size_line_end(struct http1 *h)
{
    h->step = h->left > 0 ? IN_CHUNK : IN_TRAILER;
    h->counted = 0;
}

static bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static void on_trailer_byte(struct http1 *h, char c)
{
    if (++h->counted > HTTP1_TRAILERS_MAX) {
        too_large(h);
    } else if (c == '\r') {
        h->step = h->step == IN_TRAILER ? IN_LAST_LF : IN_TRAILER_LF;
    } else if (is_control(c) || (h->step == IN_TRAILER && (c == ' ' || c == '\t'))) {
        broken(h);
    } else {
        h->step = IN_TRAILER_LINE;
    }
}

/* One byte between the bytes of the body. */
static void on_chunk_byte(struct http1 *h, char c)
{
    switch ((enum step)h->step) {
    case IN_SIZE:
        on_size_byte(h, c);
        return;
    case IN_SIZE_EXT:
        if (++h->counted > HTTP1_CHUNK_LINE_MAX)
            too_large(h);
        else if (c == '\r')
            h->step = IN_SIZE_LF;
        else if (is_control(c))
            broken(h);
        return;
    case IN_TRAILER:
    case IN_TRAILER_LINE:
        on_trailer_byte(h, c);
        return;
    case IN_CHUNK_CR:
        h->step = c == '\r' ? IN_CHUNK_LF : AT_BROKEN;
        return;
    case IN_SIZE_LF:
    case IN_CHUNK_LF:
    case IN_TRAILER_LF:
    case IN_LAST_LF:
        break;
    case IN_STATUS:
    case IN_FIELDS:
    case IN_LENGTH:
    case IN_REST:
    case IN_CHUNK:
    case AT_END:
    case AT_BROKEN:
        assert(false);
    }
    if (c != '\n')
        broken(h);
    else if (h->step == IN_SIZE_LF)
        on_size_line_end(h);
    else
        h->step = h->step == IN_CHUNK_LF ? IN_SIZE : h->step == IN_TRAILER_LF ? IN_TRAILER : AT_END;
}

static void take_chunk(struct http1 *h, char **at, size_t *len, struct span *body)
{
    size_t n = *len < h->left ? *len : (size_t)h->left;
    if (body->len == 0)
        body->ptr = *at;
    else
        memmove((char *)(uintptr_t)body->ptr + body->len, *at, n);
    body->len += n;
    h->left -= n;
    *at += n;
    *len -= n;
    if (h->left == 0)
        h->step = IN_CHUNK_CR;
}

static void read_chunks(struct http1 *h, char **at, size_t *len, struct span *ret_body)
{
    while (*len > 0 && h->step != AT_END && h->step != AT_BROKEN) {
        if (h->step == IN_CHUNK) {
            take_chunk(h, at, len, ret_body);
        } else {
            on_chunk_byte(h, **at);
            ++*at;
            --*len;
        }
    }
}

/* ---- the whole ---- */

static void read_plain(struct http1 *h, char **at, size_t *len, struct span *ret_body)
{
    size_t n = h->step == IN_LENGTH && h->left < *len ? (size_t)h->left : *len;
    *ret_body = (struct span){*at, n};
    *at += n;
    *len -= n;
    if (h->step == IN_LENGTH) {
        h->left -= n;
        h->step = h->left == 0 ? AT_END : IN_LENGTH;
    }
}

enum http1_event http1_read(struct http1 *h, char **at, size_t *len, struct span *ret_body)
{
    *ret_body = (struct span){*at, 0};
    if (h->step <= IN_FIELDS)
        return read_head(h, at, len);
    if (h->step == IN_LENGTH || h->step == IN_REST)
        read_plain(h, at, len, ret_body);
    else
        read_chunks(h, at, len, ret_body);
    if (ret_body->len > 0)
        return HTTP1_BODY;
    return h->step == AT_END ? HTTP1_END : h->step == AT_BROKEN ? HTTP1_BROKEN : HTTP1_MORE;
}

bool http1_eof(struct http1 *h)
{
    if (h->step == IN_REST)
        h->step = AT_END;
    return h->step == AT_END;
}

/* ---- the request ---- */

/* Path and query of scheme://host/path?query#fragment. */
static struct span target_of(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *path = scheme != NULL ? scheme + 3 + strcspn(scheme + 3, "/?#") : url;
    return (struct span){path, strcspn(path, "#")};
}

static void add_length(struct buf *out, size_t n)
{
    char text[24];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_add(out, text + at, sizeof text - at);
}

bool http1_write_head(const struct upreq *req, const char *host, struct buf *out)
{
    struct span target = target_of(req->url);
    assert(memchr(target.ptr, ' ', target.len) == NULL);
    buf_adds(out, "POST ");
    if (target.len == 0 || target.ptr[0] != '/')
        buf_addc(out, '/');
    buf_add_span(out, target);
    buf_adds(out, " HTTP/1.1\r\nHost: ");
    buf_adds(out, host);
    buf_adds(out, "\r\n");
    const char *field = NULL;
    while ((field = upreq_next_header(req, field)) != NULL) {
        struct span line = span_of(field);
        assert(field_is_text(line));
        buf_add_span(out, line);
        buf_adds(out, "\r\n");
    }
    buf_adds(out, "Content-Length: ");
    add_length(out, req->body_len);
    return buf_adds(out, "\r\n\r\n");
}
