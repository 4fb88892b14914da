/* A growable byte buffer that was told its ceiling at birth.
 *
 * Ownership: the struct is embedded in its owner, buf_done() frees the bytes.
 * Errors are sticky: once an append would pass `max` or memory is short,
 * `failed` is set, every later append is refused, and what was in the buffer
 * before stays intact.  Callers may therefore append many times and check once.
 * ptr is kept NUL-terminated when cap > 0 (the NUL is not counted in len). */
#ifndef SCHEMA_BUF_H
#define SCHEMA_BUF_H

#include "schema/span.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
bool buf_reserve(struct buf *b, size_t more);
bool buf_add(struct buf *b, const void *bytes, size_t n);
bool buf_add_span(struct buf *b, struct span s);
bool buf_adds(struct buf *b, const char *s);
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* Empties, keeps the memory, clears `failed`. */
void buf_reset(struct buf *b);
/* Empties; keeps the memory when it is at most `keep` bytes. */
void buf_keep(struct buf *b, size_t keep);
/* Frees; the buffer can be used again with the same ceiling. */
void buf_done(struct buf *b);

static inline bool buf_addc(struct buf *b, char c)
{
    if (b->failed || b->len + 1 >= b->cap)
        return buf_add(b, &c, 1);
    b->ptr[b->len++] = c;
    b->ptr[b->len] = '\0';
    return true;
}

static inline struct span buf_span(const struct buf *b)
{
    return (struct span){b->ptr, b->len};
}

#endif
