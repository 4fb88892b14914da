/* The gate: what the HTTP library lets through and we do not.  libmicrohttpd 0.9.75 accepts
 * Content-Length together with Transfer-Encoding, duplicate lengths, duplicate Host, control
 * bytes and header names with spaces; any of these lets two servers disagree about where a
 * request ends.  It also takes a bare line feed for a line's end, cuts values at NUL, ends the
 * block at a line that begins with NUL, and glues folded lines together.  None of that can be seen
 * in the strings it gives out, but in where they stand: it hands out its receive buffer, in which
 * one header follows the other two bytes after it, CR and LF.  Checked in the first handler call of
 * every request, before anything else. Pure. Rules: RFC 9112 section 6; tests/itest/gate.py has the
 * cases. */
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include "schema/err.h"
#include "schema/span.h"

enum { GATE_HEADER_BYTES_MAX = 32 * 1024, GATE_HEADERS_MAX = 200 };

struct gate {
    bool http_1_1;
    bool has_body_method; /* POST, PUT, PATCH */
    int n_headers;
    size_t header_bytes;
    int n_content_length, n_transfer_encoding, n_host, n_x_api_key, n_authorization;
    int n_idempotency_key;
    bool chunked; /* the one Transfer-Encoding is exactly "chunked" */
    bool content_encoding;
    bool zero_length; /* Content-Length: 0 */
    bool bad_byte;    /* a control byte in a value */
    bool bad_line;    /* a line does not end as it should */
    const char
        *line_end; /* of the last line that was seen; NULL: where they stand is not looked at */
    bool bad_name; /* a name that is no token, or looks like a smuggled one */
};

void gate_init(struct gate *g, bool http_1_1, const char *method);
/* Before the headers: the request line's last word, where the library keeps it. */
void gate_line(struct gate *g, const char *version);
/* After them: the first byte behind the empty line. */
void gate_end(struct gate *g, const char *end);
void gate_header(struct gate *g, struct span name, struct span value);
/* A body that its method gives no meaning (RFC 9110, 9.3).  Servers differ about where such a
 * request ends: the connection must be closed after its answer. */
bool gate_body_is_ignored(const struct gate *g);
/* ERR_OK or the error to answer with; the connection must be closed after it. */
enum err gate_verdict(const struct gate *g, struct fail *reterr);

#endif
