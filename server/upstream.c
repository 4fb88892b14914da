/* The HTTP exchange with a provider: one request over one connection, and what came back. */
#define _GNU_SOURCE
#include "server/upstream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "schema/http1.h"

enum {
    RECEIVE_BUFFER = 16 * 1024, /* also what a stream may run past its hold unseen */
    ROUNDS_MAX = 16,            /* reads of one connection before others have their turn */
    POOL_MAX = 4 * 1024 * 1024, /* bytes of transfers that are kept for others, */
    KEEP_BUFFER = 16 * 1024     /* with buffers up to this size */
};

enum transfer_flag { WANT_CANCEL = 1, WANT_UNPAUSE = 2, WANT_READ = 4, IS_LOST = 8, QUEUED = 16 };

struct transfer {
    struct transfer *next, **prev; /* running list, or the free list */
    struct transfer *next_flagged, *prev_flagged;
    struct upstream *up;
    struct uplink *link;
    const struct upreq *req;
    const struct transfer_ops *ops;
    void *ctx;
    struct buf head; /* of the request */
    size_t sent;     /* bytes of head and body that have left */
    struct http1 answer;
    struct buf held; /* while paused: what was received and not taken, */
    size_t held_at;  /* of it the bytes that on_body refused, */
    size_t held_len;
    size_t held_rest; /* and from here on what was not read yet */
    unsigned flags;
    bool begun;       /* request bytes may have left */
    bool send_failed; /* nothing more can be sent; there may be an answer all the same */
    bool paused;
    const char *denied;
    bool starved;
    bool kept;  /* its connection served another one before */
    bool heard; /* some byte of an answer has come */
};

struct upstream {
    struct uplinks *links;
    struct transfer *running, *free;
    struct transfer *first_flagged, *last_flagged;
    int n_running, n_flagged;
    size_t free_bytes; /* of the free list */
    char received[RECEIVE_BUFFER];
};

/* ---- queue of what is to be done outside the callbacks ---- */

static void flag(struct transfer *t, unsigned what)
{
    struct upstream *u = t->up;
    t->flags |= what;
    if ((t->flags & QUEUED) == 0) {
        t->flags |= QUEUED;
        t->next_flagged = NULL;
        t->prev_flagged = u->last_flagged;
        *(u->last_flagged != NULL ? &u->last_flagged->next_flagged : &u->first_flagged) = t;
        u->last_flagged = t;
        u->n_flagged++;
    }
}

static void unflag(struct transfer *t)
{
    struct upstream *u = t->up;
    if ((t->flags & QUEUED) == 0) {
        return;
    }
    *(t->prev_flagged != NULL ? &t->prev_flagged->next_flagged : &u->first_flagged) =
        t->next_flagged;
    *(t->next_flagged != NULL ? &t->next_flagged->prev_flagged : &u->last_flagged) =
        t->prev_flagged;
    t->flags &= ~(unsigned)QUEUED;
    u->n_flagged--;
}

/* ---- life of a transfer ---- */

static void transfer_destroy(struct transfer *t)
{
    buf_done(&t->head);
    buf_done(&t->held);
    http1_done(&t->answer);
    free(t);
}

static size_t memory_of(const struct transfer *t)
{
    return sizeof *t + t->head.cap + t->held.cap + t->answer.headers.cap;
}

static struct transfer *transfer_new(struct upstream *u)
{
    struct transfer *t = u->free;
    if (t != NULL) {
        u->free = t->next;
        u->free_bytes -= memory_of(t);
        return t;
    }
    t = calloc(1, sizeof *t);
    if (t != NULL) {
        t->up = u;
        buf_init(&t->head, UPREQ_HEADERS_MAX + UPREQ_URL_MAX + 4096);
        buf_init(&t->held, 2 * RECEIVE_BUFFER);
        http1_init(&t->answer, UPSTREAM_HEADERS_MAX);
    }
    return t;
}

static void transfer_recycle(struct transfer *t)
{
    struct upstream *u = t->up;
    buf_keep(&t->head, KEEP_BUFFER);
    buf_keep(&t->held, KEEP_BUFFER);
    buf_keep(&t->answer.headers, KEEP_BUFFER);
    http1_reset(&t->answer);
    if (u->free_bytes + memory_of(t) > POOL_MAX) {
        transfer_destroy(t);
        return;
    }
    *t = (struct transfer){
        .next = u->free, .up = u, .head = t->head, .held = t->held, .answer = t->answer};
    u->free = t;
    u->free_bytes += memory_of(t);
}

static void list_add(struct transfer *t)
{
    struct upstream *u = t->up;
    t->next = u->running;
    t->prev = &u->running;
    if (u->running != NULL) {
        u->running->prev = &t->next;
    }
    u->running = t;
    u->n_running++;
}

static void list_remove(struct transfer *t)
{
    *t->prev = t->next;
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
    t->up->n_running--;
}

static size_t request_len(const struct transfer *t)
{
    return t->head.len + t->req->body_len;
}

/* The connection first: the next transfer, started in on_done, may want it.  The transfer is
 * gone afterwards. */
static void finish(struct transfer *t, enum transfer_result result, bool reusable)
{
    unflag(t);
    list_remove(t);
    t->denied = uplink_denied(t->link);
    t->starved = uplink_starved(t->link);
    uplink_give_back(t->link, reusable);
    t->link = NULL;
    t->ops->on_done(t->ctx, result);
    transfer_recycle(t);
}

/* ---- sending ---- */

static void watch(struct transfer *t)
{
    uplink_watch(t->link, !t->paused, !t->send_failed && t->sent < request_len(t));
}

static ssize_t send_once(struct transfer *t)
{
    struct iovec pieces[UPREQ_PIECES_MAX + 1];
    size_t head = t->head.len;
    int n = 0;
    if (t->sent < head) {
        pieces[n].iov_base = t->head.ptr + t->sent;
        pieces[n++].iov_len = head - t->sent;
    }
    n += upreq_gather(t->req, t->sent > head ? t->sent - head : 0, pieces + n, UPREQ_PIECES_MAX);
    return uplink_send(t->link, pieces, n);
}

static void send_on(struct transfer *t)
{
    bool tls = uplink_is_tls(t->link);
    size_t all = request_len(t);
    t->begun = true;
    while (t->sent < all && !t->send_failed) {
        ssize_t n = send_once(t);
        if (n == UPLINK_AGAIN) {
            break;
        }
        if (n < 0) {
            /* An early answer may lie there, of a provider that then closed. */
            t->send_failed = true;
            flag(t, WANT_READ);
            break;
        }
        t->sent += (size_t)n;
        if (!tls) {
            break; /* more would not have fitted */
        }
    }
    watch(t);
}

/* ---- receiving ---- */

/* body and rest lie in the receive buffer, or in t->held already. */
static void hold_back(struct transfer *t, struct span body, const char *rest, size_t len)
{
    t->paused = true;
    if (t->held.len == 0) {
        buf_add_span(&t->held, body);
        buf_add(&t->held, rest, len);
        t->held_at = 0;
        t->held_rest = body.len;
    } else {
        t->held_at = (size_t)(body.ptr - t->held.ptr);
        t->held_rest = (size_t)(rest - t->held.ptr);
    }
    t->held_len = body.len;
    if (t->held.failed) {
        flag(t, IS_LOST); /* no memory */
    }
    watch(t);
}

/* false: it was finished, paused or cancelled. */
static bool take_answer(struct transfer *t, char *at, size_t len)
{
    struct http1 *h = &t->answer;
    struct span body;
    while ((t->flags & WANT_CANCEL) == 0) {
        switch (http1_read(h, &at, &len, &body)) {
        case HTTP1_MORE:
            return true;
        case HTTP1_HEAD:
            t->ops->on_head(t->ctx, h->status);
            break;
        case HTTP1_BODY:
            if (!t->ops->on_body(t->ctx, body)) {
                hold_back(t, body, at, len);
                return false;
            }
            break;
        case HTTP1_END:
            finish(t, TRANSFER_OK, h->keep_alive && len == 0 && t->sent == request_len(t));
            return false;
        case HTTP1_BROKEN:
            finish(t, h->too_large ? TRANSFER_TOO_LARGE : TRANSFER_RESET, false);
            return false;
        }
    }
    return false;
}

static enum transfer_result lost(const struct transfer *t)
{
    return t->kept && !t->heard ? TRANSFER_STALE : TRANSFER_RESET;
}

static void on_closed(struct transfer *t, bool in_order)
{
    bool whole = in_order && http1_eof(&t->answer);
    finish(t, whole ? TRANSFER_OK : lost(t), false);
}

static void receive(struct transfer *t)
{
    struct upstream *u = t->up;
    bool once = !uplink_is_tls(t->link); /* epoll tells of more */
    for (int i = 0; i < ROUNDS_MAX; i++) {
        ssize_t n = uplink_recv(t->link, u->received, RECEIVE_BUFFER);
        if (n == UPLINK_AGAIN) {
            if (t->send_failed) {
                finish(t, lost(t), false);
            }
            return;
        }
        t->heard |= n > 0;
        if (n <= 0) {
            on_closed(t, n == 0);
            return;
        }
        if (!take_answer(t, u->received, (size_t)n) || (once && !t->send_failed)) {
            return;
        }
    }
    flag(t, WANT_READ);
}

static void resume(struct transfer *t)
{
    struct buf *held = &t->held;
    if (!t->paused) {
        return;
    }
    t->paused = false;
    struct span body = {held->ptr + t->held_at, t->held_len};
    if (!t->ops->on_body(t->ctx, body)) {
        t->paused = true;
        return;
    }
    if ((t->flags & WANT_CANCEL) == 0 &&
        take_answer(t, held->ptr + t->held_rest, held->len - t->held_rest)) {
        buf_reset(held);
        watch(t);
        receive(t);
    }
}

/* ---- what the connection tells ---- */

static void on_open(void *ctx, enum uplink_result result)
{
    struct transfer *t = ctx;
    if ((t->flags & WANT_CANCEL) != 0) {
        return; /* the next turn ends it */
    }
    switch (result) {
    case UPLINK_OPEN:
        send_on(t);
        return;
    case UPLINK_CONNECT_FAILED:
        finish(t, TRANSFER_CONNECT_FAILED, false);
        return;
    case UPLINK_TLS_FAILED:
        finish(t, TRANSFER_TLS_FAILED, false);
        return;
    case UPLINK_CONNECT_TIMEOUT:
        finish(t, TRANSFER_CONNECT_TIMEOUT, false);
        return;
    }
}

static void on_ready(void *ctx, bool writable)
{
    struct transfer *t = ctx;
    if ((t->flags & WANT_CANCEL) != 0) {
        return;
    }
    if (writable) {
        send_on(t);
    }
    if (!t->paused) {
        receive(t);
    }
}

/* ---- interface ---- */

struct transfer *transfer_start(struct upstream *u, const struct upreq *req,
                                const struct uplink_how *how, const struct transfer_ops *ops,
                                void *ctx)
{
    struct transfer *t = transfer_new(u);
    if (t == NULL) {
        return NULL;
    }
    t->link = uplink_take(u->links, req->url, how, t);
    if (t->link == NULL || !http1_write_head(req, uplink_host(t->link), &t->head)) {
        if (t->link != NULL) {
            uplink_give_back(t->link, false);
        }
        transfer_recycle(t);
        return NULL;
    }
    t->req = req;
    t->ops = ops;
    t->ctx = ctx;
    list_add(t);
    t->kept = uplink_is_open(t->link);
    if (t->kept) {
        send_on(t);
    }
    return t;
}

void transfer_cancel(struct transfer *t)
{
    flag(t, WANT_CANCEL);
}

void transfer_unpause(struct transfer *t)
{
    flag(t, WANT_UNPAUSE);
}

bool transfer_sent(const struct transfer *t)
{
    return t->begun;
}

const char *transfer_denied(const struct transfer *t)
{
    return t->denied;
}

bool transfer_starved(const struct transfer *t)
{
    return t->starved;
}

struct span transfer_headers(const struct transfer *t)
{
    return (struct span){t->answer.headers.ptr, t->answer.line_begin};
}

static void apply_flags(struct transfer *t)
{
    unsigned flags = t->flags;
    unflag(t);
    t->flags = 0;
    if ((flags & WANT_CANCEL) != 0) {
        finish(t, TRANSFER_CANCELED, false);
    } else if ((flags & IS_LOST) != 0) {
        finish(t, TRANSFER_RESET, false);
    } else if ((flags & WANT_UNPAUSE) != 0 && t->paused) {
        resume(t);
    } else if ((flags & WANT_READ) != 0 && !t->paused) {
        receive(t);
    }
}

bool upstream_turn(struct upstream *u)
{
    bool worked = u->n_flagged > 0;
    for (int n = u->n_flagged; n > 0 && u->first_flagged != NULL; n--) {
        apply_flags(u->first_flagged);
    }
    worked |= uplinks_turn(u->links);
    return worked;
}

bool upstream_pending(const struct upstream *u)
{
    return u->first_flagged != NULL || uplinks_pending(u->links);
}

void upstream_sweep(struct upstream *u)
{
    uplinks_sweep(u->links);
}

int upstream_running(const struct upstream *u)
{
    return u->n_running;
}

struct upstream *upstream_new(uv_loop_t *loop)
{
    static const struct uplink_ops ops = {on_open, on_ready};
    struct upstream *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return NULL;
    }
    u->links = uplinks_new(loop, &ops);
    if (u->links == NULL) {
        free(u);
        return NULL;
    }
    return u;
}

void upstream_trust(struct upstream *u, const char *ca_file)
{
    uplinks_trust(u->links, ca_file);
}

void upstream_close(struct upstream *u)
{
    while (u->running != NULL) {
        finish(u->running, TRANSFER_CANCELED, false);
    }
    while (u->free != NULL) {
        struct transfer *t = u->free;
        u->free = t->next;
        transfer_destroy(t);
    }
    u->free_bytes = 0;
    uplinks_close(u->links);
}

void upstream_free(struct upstream *u)
{
    if (u == NULL) {
        return;
    }
    uplinks_free(u->links);
    free(u);
}

/* ---- header lists ---- */

bool header_next(struct span headers, size_t *cursor, struct span *ret_name, struct span *ret_value)
{
    while (*cursor < headers.len) {
        const char *line = headers.ptr + *cursor;
        size_t len = strlen(line);
        *cursor += len + 1;
        const char *colon = memchr(line, ':', len);
        if (colon == NULL) {
            continue;
        }
        const char *value = colon + 1;
        while (*value == ' ' || *value == '\t') {
            value++;
        }
        size_t n = len - (size_t)(value - line);
        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t')) {
            n--;
        }
        *ret_name = (struct span){line, (size_t)(colon - line)};
        *ret_value = (struct span){value, n};
        return true;
    }
    return false;
}

/* An HTTP date (RFC 9110 section 5.6.7, as everybody writes it now) as Unix time; -1 = it is none.
 */
static int64_t date_ms(struct span value)
{
    char text[30]; /* "Mon, 30 Nov 2026 01:45:00 GMT" */
    struct tm tm = {.tm_sec = 0};
    if (value.len != sizeof text - 1) {
        return -1;
    }
    snprintf(text, sizeof text, "%.*s", (int)value.len, value.ptr);
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    time_t s = end != NULL && *end == '\0' ? timegm(&tm) : -1;
    return s < 0 ? -1 : (int64_t)s * 1000;
}

struct span header_request_id(struct span headers)
{
    /* The last one is Amazon's (docs.aws.amazon.com/bedrock/latest/APIReference). */
    static const char *const names[] = {"request-id", "x-request-id", "x-amzn-requestid"};
    struct span id = {"", 0};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && id.len == 0; i++) {
        id = header_find(headers, names[i]);
    }
    return id;
}

int64_t header_retry_after_ms(struct span headers, int64_t now_ms)
{
    struct span ms = header_find(headers, "retry-after-ms");
    struct span s = header_find(headers, "retry-after");
    struct span v = ms.len > 0 ? ms : s;
    int64_t n = 0;
    size_t i = 0;
    for (; i < v.len && i < 9 && v.ptr[i] >= '0' && v.ptr[i] <= '9'; i++) {
        n = n * 10 + (v.ptr[i] - '0');
    }
    if (i > 0) {
        return ms.len > 0 ? n : n * 1000;
    }
    int64_t at_ms = date_ms(v);
    return at_ms < 0 ? -1 : at_ms > now_ms ? at_ms - now_ms : 0;
}

struct span header_find(struct span headers, const char *name)
{
    size_t cursor = 0, len = strlen(name);
    struct span n, v;
    while (header_next(headers, &cursor, &n, &v)) {
        if (n.len == len && strncasecmp(n.ptr, name, len) == 0) {
            return v;
        }
    }
    return (struct span){"", 0};
}
