/* One list per worker, looked through whole: it has an entry for each body that did not come
 * together with its headers. */
#define _GNU_SOURCE
#include "server/upload.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http.h"

enum { REPLY_MAX = 64 * 1024 };

void upload_begin(struct request *r, int64_t announced)
{
    struct upload *u = &r->upload;
    struct worker *w = r->worker;
    assert(u->prev == NULL);
    *u = (struct upload){.request = r, .announced = announced, .next = w->uploads};
    u->begun_ms = u->progress_ms = worker_tick_ms(w);
    u->prev = &w->uploads;
    if (u->next != NULL) {
        u->next->prev = &u->next;
    }
    w->uploads = u;
}

void upload_progress(struct request *r, size_t bytes)
{
    r->upload.received += (int64_t)bytes;
    r->upload.progress_ms = worker_tick_ms(r->worker);
}

void upload_end(struct request *r)
{
    struct upload *u = &r->upload;
    if (u->prev == NULL) {
        return;
    }
    *u->prev = u->next;
    if (u->next != NULL) {
        u->next->prev = u->prev;
    }
    u->prev = NULL;
}

/* Past the library, which lets nobody answer while a body comes in.  It has nothing of its own
 * to write then. */
static void write_reply(const struct request *r)
{
    struct buf out;
    struct span name, value;
    size_t cursor = 0;
    buf_init(&out, REPLY_MAX);
    buf_addf(&out, "HTTP/1.1 %d %s\r\n", r->status,
             r->status == err_info(ERR_body_too_slow)->status ? "Request Timeout" : "Refused");
    while (header_next(buf_span(&r->reply_headers), &cursor, &name, &value)) {
        buf_add_span(&out, name);
        buf_adds(&out, ": ");
        buf_add_span(&out, value);
        buf_adds(&out, "\r\n");
    }
    buf_addf(&out, "connection: close\r\ncontent-length: %zu\r\n\r\n", r->reply_body.len);
    buf_add_span(&out, buf_span(&r->reply_body));
    if (!out.failed) {
        ssize_t n = send(request_fd(r), out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n; /* a client that takes no answer gets none */
    }
    buf_done(&out);
}

bool upload_answer(struct request *r)
{
    assert(r->replied && r->linger_fd < 0);
    if (r->worker->site->tls) {
        return false;
    }
    write_reply(r);
    r->linger_fd = dup(request_fd(r)); /* read on when the request dies */
    shutdown(request_fd(r), SHUT_WR);
    return true;
}

static void expire(struct request *r, int64_t now_ms)
{
    struct fail f;
    const struct upload *u = &r->upload;
    upload_end(r);
    metrics_add(&r->worker->metrics, METRIC_requests_slow_body_total, 1);
    if (!r->replied) {
        fail_set(&f, ERR_body_too_slow, NULL,
                 "the request body came too slowly: %lld bytes in %lld s, the last of them "
                 "%lld s ago",
                 (long long)u->received, (long long)((now_ms - u->begun_ms) / 1000),
                 (long long)((now_ms - u->progress_ms) / 1000));
        request_reply_fail(r, &f);
    }
    if (!r->worker->site->tls) {
        write_reply(r);
    }
    r->gone = r->close = true;
    shutdown(request_fd(r), SHUT_RDWR); /* the library reads the end and closes */
}

static int64_t deadline_ms(const struct upload *u, int64_t patience_ms)
{
    int64_t size = u->announced >= 0 ? u->announced : u->received;
    int64_t size_ms = size / 1024 * 1000 / UPLOAD_KIB_PER_S; /* of whatever size is said */
    int64_t whole_ms = u->begun_ms + patience_ms + size_ms;
    int64_t next_ms = u->progress_ms + patience_ms;
    return whole_ms < next_ms ? whole_ms : next_ms;
}

/* The library misses an end of input that came together with bytes (its epoll set tells of each
 * change once, and a read that was not full ends its reading). */
static bool has_left(const struct upload *u)
{
    char byte;
    return recv(request_fd(u->request), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void upload_sweep(struct worker *w, int64_t now_ms)
{
    int64_t patience_ms = (int64_t)w->site->options.client_timeout_s * 1000;
    struct upload *next = NULL;
    for (struct upload *u = w->uploads; u != NULL; u = next) {
        next = u->next;
        if (deadline_ms(u, patience_ms) <= now_ms) {
            expire(u->request, now_ms);
        } else if (now_ms - u->progress_ms >= UPLOAD_LOOK_MS && has_left(u)) {
            shutdown(request_fd(u->request), SHUT_RDWR);
        }
    }
}
