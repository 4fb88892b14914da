/* The request parser of the simulator: lenient in form, exact in framing. */
#include "sim/http_parse.h"

#include <stdint.h>
#include <strings.h>

bool span_ieq(struct span a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

struct span http_header(const struct http_request *r, const char *name)
{
    for (int i = 0; i < r->n_headers; i++) {
        if (span_ieq(r->headers[i].name, name))
            return r->headers[i].value;
    }
    return (struct span){NULL, 0};
}

bool http_has(const struct http_request *r, const char *name)
{
    return http_header(r, name).len > 0;
}

struct span http_bearer(const struct http_request *r)
{
    struct span value = http_header(r, "authorization");
    const size_t len = sizeof("Bearer ") - 1;
    if (value.len <= len || !span_ieq((struct span){value.ptr, len}, "Bearer "))
        return (struct span){NULL, 0};
    return (struct span){value.ptr + len, value.len - len};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool http_decode(struct span coded, struct buf *out)
{
    for (size_t i = 0; i < coded.len; i++) {
        char c = coded.ptr[i];
        if (c == '%') {
            int hi = coded.len - i > 2 ? hex_digit(coded.ptr[i + 1]) : -1;
            int lo = coded.len - i > 2 ? hex_digit(coded.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        buf_addc(out, c);
    }
    return !out->failed;
}

size_t http_head_len(struct span bytes, size_t from)
{
    size_t at = from > 3 ? from - 3 : 0;
    while (at < bytes.len) {
        const char *line_end = memchr(bytes.ptr + at, '\n', bytes.len - at);
        if (line_end == NULL)
            return 0;
        size_t next = (size_t)(line_end - bytes.ptr) + 1;
        if (next < bytes.len && bytes.ptr[next] == '\n')
            return next + 1;
        if (next + 1 < bytes.len && bytes.ptr[next] == '\r' && bytes.ptr[next + 1] == '\n')
            return next + 2;
        at = next;
    }
    return 0;
}

static struct span trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1]) != NULL)
        s.len--;
    return s;
}

static bool parse_request_line(struct span line, struct http_request *r)
{
    const char *first = memchr(line.ptr, ' ', line.len);
    if (first == NULL)
        return false;
    size_t rest = line.len - (size_t)(first + 1 - line.ptr);
    const char *second = memchr(first + 1, ' ', rest);
    if (second == NULL)
        return false;
    r->method = (struct span){line.ptr, (size_t)(first - line.ptr)};
    r->target = (struct span){first + 1, (size_t)(second - first - 1)};
    struct span version = trim((struct span){second + 1, rest - r->target.len - 1});
    if (!span_is(version, "HTTP/1.1") && !span_is(version, "HTTP/1.0"))
        return false;
    r->minor = version.ptr[version.len - 1] - '0';
    r->keep_alive = r->minor == 1;
    return r->method.len > 0 && r->target.len > 0;
}

static bool parse_length(struct span text, size_t *ret)
{
    size_t n = 0;
    if (text.len == 0 || text.len > 12)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (size_t)(text.ptr[i] - '0');
    }
    *ret = n;
    return true;
}

static bool note_framing(struct http_request *r, struct span name, struct span value)
{
    if (span_ieq(name, "content-length"))
        return parse_length(value, &r->content_length);
    if (span_ieq(name, "transfer-encoding")) {
        r->chunked = true;
        return span_ieq(value, "chunked");
    }
    if (span_ieq(name, "expect"))
        r->expects_continue = span_ieq(value, "100-continue");
    else if (span_ieq(name, "connection") && span_ieq(value, "close"))
        r->keep_alive = false;
    return true;
}

static bool parse_header(struct span line, struct http_request *r)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL || colon == line.ptr || r->n_headers == HTTP_HEADERS_MAX)
        return false;
    size_t name_len = (size_t)(colon - line.ptr);
    struct span name = {line.ptr, name_len};
    struct span value = trim((struct span){colon + 1, line.len - name_len - 1});
    r->headers[r->n_headers].name = name;
    r->headers[r->n_headers].value = value;
    r->n_headers++;
    return note_framing(r, name, value);
}

bool http_parse_head(struct span head, struct http_request *ret)
{
    ret->chunked = false;
    ret->expects_continue = false;
    ret->content_length = 0;
    ret->n_headers = 0;
    ret->body = (struct span){NULL, 0};
    bool first = true;
    size_t at = 0;
    while (at < head.len) {
        const char *end = memchr(head.ptr + at, '\n', head.len - at);
        if (end == NULL)
            break;
        struct span line = {head.ptr + at, (size_t)(end - head.ptr) - at};
        at += line.len + 1;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            break;
        if (first ? !parse_request_line(line, ret) : !parse_header(line, ret))
            return false;
        first = false;
    }
    return !first && !(ret->chunked && ret->content_length > 0);
}

static bool parse_chunk_size(struct span line, size_t *ret)
{
    size_t n = 0;
    size_t i = 0;
    for (; i < line.len; i++) {
        char c = line.ptr[i];
        int digit = hex_digit(c);
        if (digit < 0)
            break;
        if (n > SIZE_MAX / 32)
            return false;
        n = n * 16 + (size_t)digit;
    }
    *ret = n;
    return i > 0 && (i == line.len || line.ptr[i] == ';' || line.ptr[i] == ' ');
}

/* The next line of the framing without its end, or MORE. */
static enum parsed take_line(struct chunk_reader *r, const char *bytes, size_t len,
                             struct span *ret)
{
    if (r->raw >= len)
        return PARSED_MORE;
    const char *end = memchr(bytes + r->raw, '\n', len - r->raw);
    if (end == NULL)
        return PARSED_MORE;
    *ret = (struct span){bytes + r->raw, (size_t)(end - bytes) - r->raw};
    r->raw += ret->len + 1;
    if (ret->len > 0 && ret->ptr[ret->len - 1] == '\r')
        ret->len--;
    return PARSED_DONE;
}

static void take_data(struct chunk_reader *r, char *bytes, size_t len, size_t *end)
{
    size_t n = len - r->raw < r->left ? len - r->raw : r->left;
    memmove(bytes + *end, bytes + r->raw, n);
    *end += n;
    r->raw += n;
    r->left -= n;
    if (r->left == 0)
        r->state = CHUNK_DATA_END;
}

enum parsed http_parse_chunks(struct chunk_reader *r, char *bytes, size_t len, size_t *end)
{
    struct span line;
    for (;;) {
        if (r->state == CHUNK_DATA) {
            if (r->raw >= len)
                return PARSED_MORE;
            take_data(r, bytes, len, end);
            continue;
        }
        if (take_line(r, bytes, len, &line) == PARSED_MORE)
            return PARSED_MORE;
        if (r->state == CHUNK_TRAILER) {
            if (line.len == 0)
                return PARSED_DONE;
        } else if (r->state == CHUNK_DATA_END) {
            if (line.len != 0)
                return PARSED_BAD;
            r->state = CHUNK_SIZE;
        } else {
            if (!parse_chunk_size(line, &r->left))
                return PARSED_BAD;
            r->state = r->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        }
    }
}
