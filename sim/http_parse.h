/* Reading of an HTTP/1.x request head and of a chunked body; no I/O. */
#ifndef SIM_HTTP_PARSE_H
#define SIM_HTTP_PARSE_H

#include "schema/buf.h"
#include "schema/span.h"

enum { HTTP_HEADERS_MAX = 128 };

/* A request as the door sees it; every span points into the connection's buffer and
 * is gone when door_answer returns. */
struct http_request {
    struct span method;
    struct span target;
    int minor; /* HTTP/1.minor */
    bool keep_alive;
    bool chunked;
    bool expects_continue;
    size_t content_length; /* 0 also when absent */
    int n_headers;
    struct {
        struct span name, value;
    } headers[HTTP_HEADERS_MAX];
    struct span body;
};

/* Where decoding of a chunked body stands: buf[.., *end) is decoded, `raw` is the
 * next byte to look at. */
struct chunk_reader {
    size_t raw;
    size_t left; /* bytes of the current chunk still to come */
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER } state;
};

enum parsed { PARSED_MORE, PARSED_DONE, PARSED_BAD };

/* Length of the head with its blank line, 0 when it is not complete yet. `from`: bytes
 * that are known not to end it. */
size_t http_head_len(struct span bytes, size_t from);
/* false: not HTTP/1.x that this server serves. */
bool http_parse_head(struct span head, struct http_request *ret);
/* Decodes in place: moves chunk data down to *end.  DONE: *end is the end of the body and
 * r->raw the first byte after the message. */
enum parsed http_parse_chunks(struct chunk_reader *r, char *bytes, size_t len, size_t *end);

/* The value of a header, or an empty span; names in any case. */
struct span http_header(const struct http_request *r, const char *name);
bool span_ieq(struct span a, const char *b);
/* Appends a piece of a path with its %XX resolved; false when one is malformed. */
bool http_decode(struct span coded, struct buf *out);
/* Whether the header is there and not empty. */
bool http_has(const struct http_request *r, const char *name);
/* The token of "Authorization: Bearer TOKEN", or an empty span. */
struct span http_bearer(const struct http_request *r);

#endif
