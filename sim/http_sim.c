#define _GNU_SOURCE
/* Connections of the simulator on libuv TCP.  Everything runs on the one loop thread;
 * callbacks only move bytes and then let conn_advance look at what is there. */
#include "sim/http_sim.h"

#include <assert.h>
#include <stdlib.h>

#include "sim/door.h"
#include "sim/heard.h"

enum { CONN_READ_MIN = 4096, CONN_IN_KEEP = 256 * 1024 };

static void conn_advance(struct conn *c);

/* Birth and death */

static void conn_free(struct conn *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        c->sim->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    c->sim->n_conns--;
    buf_done(&c->in);
    buf_done(&c->out);
    answer_done(&c->answer);
    buf_done(&c->heard);
    free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->handles_open == 0)
        conn_free(c);
}

void conn_close(struct conn *c, const char *how, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_ANSWER && how != NULL)
        door_ended(c, how);
    c->state = CONN_CLOSED;
    uv_close((uv_handle_t *)&c->timer, on_closed);
    if (!reset || uv_tcp_close_reset(&c->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* Reading */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct conn *c = handle->data;
    size_t more = CONN_READ_MIN;
    if (c->state == CONN_BODY && !c->chunked_body && c->body_want > c->in.len - c->body_begin)
        more = c->body_want - (c->in.len - c->body_begin);
    if (!buf_reserve(&c->in, more)) {
        *ret = uv_buf_init(NULL, 0);
        return;
    }
    *ret = uv_buf_init(c->in.ptr + c->in.len, (unsigned)(c->in.cap - c->in.len - 1));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct conn *c = stream->data;
    if (n < 0) {
        conn_close(c, "client_closed", false);
        return;
    }
    c->in.len += (size_t)n;
    if (c->state == CONN_ANSWER) {
        if (c->in.len > c->body_end + HTTP_AHEAD_MAX) {
            uv_read_stop(stream);
            c->reading = false;
        }
        return;
    }
    conn_advance(c);
}

static void conn_read_on(struct conn *c)
{
    if (!c->reading && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0)
        c->reading = true;
}

/* Writing */

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    c->writing = false;
    if (c->state == CONN_CLOSED)
        return;
    if (status != 0) {
        conn_close(c, "client_closed", false);
        return;
    }
    buf_reset(&c->out);
    play_run(c);
    conn_advance(c);
}

/* Copies what is left after the first `sent` bytes and queues it. */
static bool write_later(struct conn *c, const uv_buf_t *pieces, unsigned n, size_t sent)
{
    for (unsigned i = 0; i < n; i++) {
        if (sent >= pieces[i].len) {
            sent -= pieces[i].len;
            continue;
        }
        buf_add(&c->out, pieces[i].base + sent, pieces[i].len - sent);
        sent = 0;
    }
    uv_buf_t rest = uv_buf_init(c->out.ptr, (unsigned)c->out.len);
    if (c->out.failed || uv_write(&c->write, (uv_stream_t *)&c->tcp, &rest, 1, on_written) != 0) {
        conn_close(c, "client_closed", false);
        return false;
    }
    c->writing = true;
    return true;
}

bool conn_write(struct conn *c, const uv_buf_t *pieces, unsigned n)
{
    assert(!c->writing && n > 0);
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += pieces[i].len;
    int sent = uv_try_write((uv_stream_t *)&c->tcp, pieces, n);
    if (sent < 0 && sent != UV_EAGAIN) {
        conn_close(c, "client_closed", false);
        return false;
    }
    c->bytes_sent += total;
    if (sent >= 0 && (size_t)sent == total)
        return true;
    return write_later(c, pieces, n, sent > 0 ? (size_t)sent : 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    if (c->state == CONN_CLOSED || c->writing)
        return;
    play_run(c);
    conn_advance(c);
}

void conn_arm(struct conn *c, uint64_t ms)
{
    uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* Requests */

static void conn_answer(struct conn *c, struct http_request *r)
{
    r->body = (struct span){c->in.ptr + c->body_begin, c->body_end - c->body_begin};
    /* What follows the body in the buffer is the next request. */
    c->keep_alive = r->keep_alive;
    c->http_minor = r->minor;
    c->bytes_sent = 0;
    c->state = CONN_ANSWER;
    answer_reset(&c->answer);
    door_answer(c, r);
    play_begin(c);
    play_run(c);
}

static void conn_refuse(struct conn *c, int status)
{
    struct http_request r = {.method = SPAN("-"), .target = SPAN("-"), .minor = 1};
    c->body_begin = c->body_end = c->in.len;
    c->keep_alive = false;
    c->http_minor = 1;
    c->state = CONN_ANSWER;
    answer_reset(&c->answer);
    door_refuse(c, &r, status);
    play_begin(c);
    play_run(c);
}

void conn_answered(struct conn *c, const char *how, bool close)
{
    door_ended(c, how);
    c->state = CONN_HEAD;
    uv_timer_stop(&c->timer);
    if (close) {
        conn_close(c, NULL, false);
        return;
    }
    size_t used = c->chunked_body ? c->chunks.raw : c->body_end;
    buf_consume(&c->in, used);
    c->body_begin = c->body_end = 0;
    if (c->in.len == 0 && c->in.cap > CONN_IN_KEEP)
        buf_done(&c->in);
    conn_read_on(c);
}

static void send_continue(struct conn *c)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t v = uv_buf_init(text, sizeof(text) - 1);
    conn_write(c, &v, 1);
}

/* The head is complete: what follows? */
static void conn_head(struct conn *c, size_t head_len)
{
    struct http_request r;
    if (!http_parse_head((struct span){c->in.ptr, head_len}, &r)) {
        conn_refuse(c, 400);
        return;
    }
    if (r.content_length > HTTP_BODY_MAX) {
        conn_refuse(c, 413);
        return;
    }
    c->body_begin = c->body_end = head_len;
    c->body_want = r.content_length;
    c->chunked_body = r.chunked;
    c->chunks = (struct chunk_reader){.raw = head_len};
    if (!r.chunked && c->in.len - head_len >= c->body_want) {
        c->body_end = head_len + c->body_want;
        conn_answer(c, &r);
        return;
    }
    c->state = CONN_BODY;
    if (r.expects_continue && c->in.len == head_len)
        send_continue(c);
}

/* More of the body has come.  true: the request was answered. */
static bool conn_body(struct conn *c)
{
    if (c->chunked_body) {
        enum parsed p = http_parse_chunks(&c->chunks, c->in.ptr, c->in.len, &c->body_end);
        if (p == PARSED_BAD || c->body_end - c->body_begin > HTTP_BODY_MAX) {
            conn_refuse(c, p == PARSED_BAD ? 400 : 413);
            return true;
        }
        if (p == PARSED_MORE)
            return false;
    } else if (c->in.len - c->body_begin < c->body_want) {
        return false;
    } else {
        c->body_end = c->body_begin + c->body_want;
    }
    struct http_request r;
    bool ok = http_parse_head((struct span){c->in.ptr, c->body_begin}, &r);
    assert(ok);
    conn_answer(c, &r);
    return true;
}

/* Works through what has been read until more is needed or an answer is running. */
static void conn_advance(struct conn *c)
{
    while (c->state == CONN_HEAD || c->state == CONN_BODY) {
        if (c->writing)
            return; /* on_written comes back here */
        if (c->state == CONN_HEAD) {
            size_t head_len = http_head_len(buf_span(&c->in), 0);
            if (head_len == 0) {
                if (c->in.len > HTTP_HEAD_MAX)
                    conn_refuse(c, 431);
                return;
            }
            conn_head(c, head_len);
        }
        if (c->state == CONN_BODY && !conn_body(c))
            return;
    }
}

/* Accepting */

static struct conn *conn_new(struct listener *listener)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->sim = listener->sim;
    c->listener = listener;
    c->tcp.data = c->timer.data = c->write.data = c;
    buf_init(&c->in, (size_t)HTTP_HEAD_MAX + 2 * (size_t)HTTP_BODY_MAX);
    buf_init(&c->out, ANSWER_HEAD_MAX + 2 * (size_t)ANSWER_BODY_MAX);
    answer_init(&c->answer);
    /* Without a log every append is refused at once. */
    buf_init(&c->heard, c->sim->witness.fd >= 0 ? HEARD_DIGEST_MAX : 0);
    uv_tcp_init(&c->sim->loop, &c->tcp);
    uv_timer_init(&c->sim->loop, &c->timer);
    c->handles_open = 2;
    c->next = c->sim->conns;
    if (c->next != NULL)
        c->next->prev = c;
    c->sim->conns = c;
    c->sim->n_conns++;
    return c;
}

void conn_accept(struct listener *listener)
{
    struct conn *c = conn_new(listener);
    if (c == NULL)
        return;
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&c->tcp) != 0) {
        conn_close(c, NULL, false);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    conn_read_on(c);
}
