/* A streaming reply: bytes wait in the request's pipe, libmicrohttpd's content reader takes
 * them.  The reader suspends the connection when the pipe is empty (returning 0 without that
 * makes the library spin) and the writer resumes it. */
#define _GNU_SOURCE
#include <assert.h>
#include <microhttpd.h>

#include "server/call.h"
#include "server/http.h"

enum { STREAM_BLOCK = 16 * 1024 }; /* used for HTTP/1.0 clients only; else the pool decides */

static size_t waiting(const struct pipe *p)
{
    return p->data.len - p->read;
}

static size_t take(struct pipe *p, char *out, size_t max)
{
    size_t n = waiting(p) < max ? waiting(p) : max;
    memcpy(out, p->data.ptr + p->read, n);
    p->read += n;
    if (p->read == p->data.len) {
        buf_reset(&p->data);
        p->read = 0;
    }
    return n;
}

static ssize_t on_reader(void *cls, uint64_t pos, char *out, size_t max)
{
    (void)pos;
    struct request *r = cls;
    assert(r->magic == REQUEST_MAGIC);
    r->resuming = false;
    if (r->gone) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (waiting(&r->pipe) > 0) {
        size_t n = take(&r->pipe, out, max);
        metrics_add(&r->worker->metrics, METRIC_bytes_out_total, (int64_t)n);
        if (r->call != NULL && waiting(&r->pipe) < REQUEST_PIPE_LOW) {
            call_client_ready(r->call);
        }
        return (ssize_t)n;
    }
    if (r->pipe.ended) {
        return r->pipe.broken ? MHD_CONTENT_READER_END_WITH_ERROR
                              : MHD_CONTENT_READER_END_OF_STREAM;
    }
    request_park(r);
    return 0;
}

struct MHD_Response *stream_response(struct request *r)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_reader, r, NULL);
}

void request_stream_begin(struct request *r, int status, const char *content_type)
{
    assert(!r->replied);
    r->replied = r->streaming = true;
    r->status = status;
    if (r->reply_headers.failed) {
        buf_done(&r->reply_headers); /* no memory for the provider's: ours are enough */
    }
    request_add_header(r, "content-type", span_of(content_type));
    request_add_header(r, "cache-control", SPAN("no-cache, no-transform"));
    request_add_header(r, "x-accel-buffering", SPAN("no"));
    metrics_add(&r->worker->metrics, METRIC_streams_total, 1);
    request_wake(r);
}

bool request_stream_full(const struct request *r)
{
    return waiting(&r->pipe) >= REQUEST_PIPE_HIGH;
}

bool request_stream_write(struct request *r, struct span bytes)
{
    struct pipe *p = &r->pipe;
    assert(r->streaming && !p->ended);
    if (r->conn == NULL) {
        return true;
    }
    if (p->read > 0 && p->data.len + bytes.len > p->data.cap) {
        buf_consume(&p->data, p->read);
        p->read = 0;
    }
    if (!buf_add_span(&p->data, bytes)) {
        /* Only a client that does not read gets here, and the pause came first. */
        r->gone = r->close = true;
    }
    request_weigh(r);
    request_wake(r);
    return !request_stream_full(r);
}

void request_stream_end(struct request *r, bool broken)
{
    r->pipe.ended = true;
    r->pipe.broken = broken;
    request_wake(r);
}
