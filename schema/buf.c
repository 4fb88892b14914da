/* The growable byte buffer of buf.h. */
#include "schema/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t max)
{
    assert(max < SIZE_MAX / 2);
    *b = (struct buf){.max = max};
}

static bool refuse(struct buf *b)
{
    b->failed = true;
    return false;
}

/* Doubles, so that n appends cost O(n), but never past the ceiling and its NUL. */
static size_t next_cap(const struct buf *b, size_t need)
{
    size_t cap = b->cap < BUF_FIRST ? BUF_FIRST : b->cap;
    while (cap < need)
        cap *= 2;
    return cap > b->max + 1 ? b->max + 1 : cap;
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return false;
    if (more > b->max - b->len)
        return refuse(b);
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return true;
    size_t cap = next_cap(b, need);
    char *ptr = realloc(b->ptr, cap);
    if (ptr == NULL)
        return refuse(b);
    b->ptr = ptr;
    b->cap = cap;
    b->ptr[b->len] = '\0';
    return true;
}

bool buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (!buf_reserve(b, n))
        return false;
    if (n > 0)
        memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
    b->ptr[b->len] = '\0';
    return true;
}

bool buf_add_span(struct buf *b, struct span s)
{
    return buf_add(b, s.ptr, s.len);
}

bool buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    if (!buf_reserve(b, 0))
        return false;
    va_list first, again;
    va_start(first, fmt);
    va_copy(again, first);
    size_t room = b->cap - b->len; /* usually enough: then it is formatted once */
    int n = vsnprintf(b->ptr + b->len, room, fmt, first);
    va_end(first);
    bool ok = n >= 0 ? buf_reserve(b, (size_t)n) : refuse(b);
    if (ok && (size_t)n >= room)
        vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
    if (ok)
        b->len += (size_t)n;
    else
        b->ptr[b->len] = '\0';
    va_end(again);
    return ok;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->ptr, b->ptr + n, b->len + 1);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->cap > 0)
        b->ptr[0] = '\0';
}

void buf_keep(struct buf *b, size_t keep)
{
    if (b->cap > keep)
        buf_done(b);
    else
        buf_reset(b);
}

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){.max = b->max};
}
