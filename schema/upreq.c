/* The prepared provider call of upreq.h: built by an adapter, walked by the sender. */
#include "schema/upreq.h"

#include <stdint.h>
#include <stdlib.h>

#include "schema/field.h"

void upreq_init(struct upreq *u)
{
    u->url = NULL;
    u->n_headers = 0;
    u->n_pieces = 0;
    u->body_len = 0;
    buf_init(&u->headers, UPREQ_HEADERS_MAX);
    buf_init(&u->own, UPREQ_OWN_MAX);
}

void upreq_done(struct upreq *u)
{
    free(u->url);
    buf_done(&u->headers);
    buf_done(&u->own);
    upreq_init(u);
}

void upreq_reset(struct upreq *u, size_t keep)
{
    free(u->url);
    u->url = NULL;
    u->n_headers = u->n_pieces = 0;
    u->body_len = 0;
    buf_keep(&u->headers, keep);
    buf_keep(&u->own, keep);
}

static bool is_url_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    }
    return true;
}

bool upreq_set_url(struct upreq *u, const char *base_url, const char *path)
{
    struct span base = span_of(base_url);
    struct span rest = span_of(path);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    while (rest.len > 0 && rest.ptr[0] == '/') {
        rest.ptr++;
        rest.len--;
    }
    if (base.len == 0 || base.len + rest.len + 1 > UPREQ_URL_MAX || !is_url_text(base) ||
        !is_url_text(rest))
        return false;
    char *url = malloc(base.len + rest.len + 2);
    if (url == NULL)
        return false;
    memcpy(url, base.ptr, base.len);
    url[base.len] = '/';
    memcpy(url + base.len + 1, rest.ptr, rest.len);
    url[base.len + 1 + rest.len] = '\0';
    free(u->url);
    u->url = url;
    return true;
}

bool upreq_add_header(struct upreq *u, struct span name, struct span value)
{
    if (!field_is_name(name) || !field_is_ascii(value))
        return false;
    value = field_trim(value);
    if (name.len > UPREQ_HEADERS_MAX || value.len > UPREQ_HEADERS_MAX ||
        !buf_reserve(&u->headers, name.len + value.len + 3))
        return false;
    buf_add_span(&u->headers, name);
    buf_adds(&u->headers, value.len > 0 ? ": " : ":");
    buf_add_span(&u->headers, value);
    buf_addc(&u->headers, '\0');
    u->n_headers++;
    return true;
}

bool upreq_add_borrowed(struct upreq *u, struct span bytes)
{
    if (bytes.len == 0)
        return true;
    if (u->n_pieces == UPREQ_PIECES_MAX)
        return false;
    int i = u->n_pieces++;
    u->pieces[i].own = false;
    u->pieces[i].ptr = bytes.ptr;
    u->pieces[i].begin = 0;
    u->pieces[i].len = bytes.len;
    u->body_len += bytes.len;
    return true;
}

bool upreq_add_own(struct upreq *u, struct span bytes)
{
    if (bytes.len == 0)
        return true;
    size_t begin = u->own.len;
    if (u->n_pieces == UPREQ_PIECES_MAX || !buf_add_span(&u->own, bytes))
        return false;
    int i = u->n_pieces++;
    u->pieces[i].own = true;
    u->pieces[i].ptr = NULL;
    u->pieces[i].begin = begin;
    u->pieces[i].len = bytes.len;
    u->body_len += bytes.len;
    return true;
}

bool upreq_take_own(struct upreq *u, struct buf *bytes)
{
    if (bytes->len == 0)
        return true;
    if (u->n_pieces == UPREQ_PIECES_MAX || u->own.len > 0)
        return false;
    buf_done(&u->own);
    u->own = *bytes;
    buf_init(bytes, bytes->max);
    int i = u->n_pieces++;
    u->pieces[i].own = true;
    u->pieces[i].ptr = NULL;
    u->pieces[i].begin = 0;
    u->pieces[i].len = u->own.len;
    u->body_len += u->own.len;
    return true;
}

static const char *piece_at(const struct upreq *u, int i)
{
    return u->pieces[i].own ? u->own.ptr + u->pieces[i].begin : u->pieces[i].ptr;
}

size_t upreq_read(const struct upreq *u, size_t offset, char *out, size_t cap)
{
    size_t done = 0;
    for (int i = 0; i < u->n_pieces && done < cap; i++) {
        size_t len = u->pieces[i].len;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        size_t n = len - offset < cap - done ? len - offset : cap - done;
        memcpy(out + done, piece_at(u, i) + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

int upreq_gather(const struct upreq *u, size_t offset, struct iovec *out, int max)
{
    int n = 0;
    for (int i = 0; i < u->n_pieces && n < max; i++) {
        size_t len = u->pieces[i].len;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        out[n].iov_base = (void *)(uintptr_t)(piece_at(u, i) + offset);
        out[n++].iov_len = len - offset;
        offset = 0;
    }
    return n;
}

const char *upreq_next_header(const struct upreq *u, const char *prev)
{
    if (u->n_headers == 0)
        return NULL;
    const char *next = prev == NULL ? u->headers.ptr : prev + strlen(prev) + 1;
    return next == u->headers.ptr + u->headers.len ? NULL : next;
}
