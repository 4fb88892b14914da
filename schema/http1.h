/* HTTP/1.1 as a client speaks it (RFC 9112): the head of a request is written, an answer that
 * arrives in pieces of any size is read.  Pure: no socket, no clock.
 *
 * The reader is strict, because the next answer on the same connection begins where this one
 * ends.  Refused: a version that is not HTTP/1.x, folded fields, a name that is not a token or
 * is not directly followed by its colon, a line that does not end with CR LF (none of the
 * known servers sends a bare LF), NUL, CR and other control bytes, a Content-Length that is
 * not one number, two that differ, a transfer coding other than "chunked", 101, and more
 * than HTTP1_INTERIM_MAX interim answers.  Both Content-Length and Transfer-Encoding: the
 * latter counts, and the connection must not be used again (6.3).  The result depends on the
 * bytes only, never on how they were cut, but for where spans of the body begin and end.
 *
 * Ownership: the struct is embedded in its owner, http1_done() frees.  http1_reset() makes it
 * ready for another answer and keeps the memory. */
#ifndef SCHEMA_HTTP1_H
#define SCHEMA_HTTP1_H

#include <stdint.h>

#include "schema/buf.h"
#include "schema/upreq.h"

enum {
    HTTP1_INTERIM_MAX = 64,        /* 1xx answers before the one that counts */
    HTTP1_CHUNK_LINE_MAX = 1024,   /* a chunk's size and its extensions */
    HTTP1_TRAILERS_MAX = 16 * 1024 /* read and dropped */
};

enum http1_event {
    HTTP1_MORE,  /* all bytes were taken, and nothing is to be told */
    HTTP1_HEAD,  /* status and headers are complete */
    HTTP1_BODY,  /* *ret_body is more of the body */
    HTTP1_END,   /* the answer is complete; what is left of the bytes is not its */
    HTTP1_BROKEN /* not HTTP/1.1, or head or trailers over their maximum (too_large) */
};

struct http1 {
    int step;
    int status;         /* of the head that counts; 0: not known yet */
    struct buf headers; /* "Name: value\0" each, in order, without the status line */
    size_t line_begin;  /* in headers: of the line under way */
    uint64_t left;      /* bytes of the body, or of the chunk, to come */
    uint32_t counted;   /* bytes of this size line, or of the trailers */
    int n_interim;
    bool is_1_0, has_length, has_close, chunked;
    bool too_large;
    bool keep_alive; /* after HTTP1_END: another request may be sent on the connection */
};

void http1_init(struct http1 *h, size_t headers_max);
void http1_reset(struct http1 *h);
void http1_done(struct http1 *h);

/* Reads on, and takes what it has read from the front of the *len bytes at *at.  Call it again
 * until it says MORE, END or BROKEN; both last.  The body's span lies in the memory of *at:
 * chunks that came together are moved together there, so that they are told as one. */
enum http1_event http1_read(struct http1 *h, char **at, size_t *len, struct span *ret_body);
/* The peer has closed.  Is the answer complete: its end was the end of the connection, or it
 * had ended before? */
bool http1_eof(struct http1 *h);

/* Appends "POST path HTTP/1.1" and the fields of req with Host and Content-Length.  host is the
 * field's value.  What upreq lets in holds no CR, LF or NUL (asserted).  false: no memory. */
bool http1_write_head(const struct upreq *req, const char *host, struct buf *out);

#endif
