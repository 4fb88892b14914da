/* A prepared call to a provider: where, which headers, which bytes.
 *
 * The body is a list of pieces: most point into the client's body (borrowed: it must
 * outlive the call), the few replaced ones into `own`.  Nothing is copied for a
 * request whose protocol stays the same; a retry walks the pieces again. */
#ifndef SCHEMA_UPREQ_H
#define SCHEMA_UPREQ_H

#include <sys/uio.h>

#include "schema/buf.h"
#include "schema/span.h"

enum {
    UPREQ_PIECES_MAX = 2 * 64 + 8,
    UPREQ_OWN_MAX = 64 * 1024,
    UPREQ_HEADERS_MAX = 64 * 1024,
    UPREQ_URL_MAX = 8 * 1024
};

struct upreq {
    char *url;          /* owned */
    struct buf headers; /* "Name: value\0Name: value\0"; checked: no CR, LF or NUL */
    int n_headers;
    int n_pieces;
    struct {
        bool own; /* true: begin is an offset into `own` */
        const char *ptr;
        size_t begin, len;
    } pieces[UPREQ_PIECES_MAX];
    size_t body_len;
    struct buf own;
};

void upreq_init(struct upreq *u);
void upreq_done(struct upreq *u);
/* Empty again; keeps memory of at most `keep` bytes for each of its buffers. */
void upreq_reset(struct upreq *u, size_t keep);
/* base_url and path joined by exactly one slash, whatever slashes they end and begin
 * with.  false when base_url is empty, a byte is outside 0x21-0x7e (percent-encoding is
 * the caller's), or the whole is over UPREQ_URL_MAX; the URL is as before then. */
bool upreq_set_url(struct upreq *u, const char *base_url, const char *path);
/* false (and nothing added) when name or value holds a byte outside 0x20-0x7e and TAB,
 * or the name is not an RFC 9110 token: they go to the provider as they are.
 * Blanks around the value are dropped; a header without a value is kept as "Name:". */
bool upreq_add_header(struct upreq *u, struct span name, struct span value);
bool upreq_add_borrowed(struct upreq *u, struct span bytes);
bool upreq_add_own(struct upreq *u, struct span bytes);
/* A body that was written as a whole: its memory moves here (also beyond UPREQ_OWN_MAX) and
 * *bytes is empty then.  Only while nothing of our own was added. */
bool upreq_take_own(struct upreq *u, struct buf *bytes);
/* Copies up to cap body bytes that start at offset; returns how many. */
size_t upreq_read(const struct upreq *u, size_t offset, char *out, size_t cap);
/* As upreq_read, but in place: up to max pieces; returns how many. */
int upreq_gather(const struct upreq *u, size_t offset, struct iovec *out, int max);
/* Iterates headers: pass NULL first; NULL at the end. */
const char *upreq_next_header(const struct upreq *u, const char *prev);

#endif
