#define _GNU_SOURCE
/* Writes the witness log with one write() per line on an O_APPEND descriptor. */
#include "sim/witness.h"

#include <fcntl.h>
#include <unistd.h>

#include "sim/door.h"

bool witness_open(struct witness *w, const char *path, bool log_bodies)
{
    w->fd = -1;
    w->log_bodies = log_bodies;
    buf_init(&w->line, WITNESS_LINE_MAX);
    if (path == NULL)
        return true;
    w->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return w->fd >= 0;
}

void witness_close(struct witness *w)
{
    if (w->fd >= 0)
        close(w->fd);
    buf_done(&w->line);
}

static void add_string(struct witness *w, const char *key, struct span value)
{
    buf_addc(&w->line, w->line.len > 1 ? ',' : ' ');
    json_write_string(&w->line, span_of(key));
    buf_addc(&w->line, ':');
    json_write_string(&w->line, value);
}

static void add_int(struct witness *w, const char *key, int64_t n)
{
    buf_addc(&w->line, w->line.len > 1 ? ',' : ' ');
    json_write_string(&w->line, span_of(key));
    buf_addc(&w->line, ':');
    buf_add_int(&w->line, n);
}

static bool is_secret(struct span name)
{
    static const char *const names[] = {"authorization", "x-api-key",      "api-key",
                                        "cookie",        "x-goog-api-key", "proxy-authorization"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_ieq(name, names[i]))
            return true;
    }
    return false;
}

static void add_headers(struct witness *w, const struct http_request *r)
{
    buf_adds(&w->line, ",\"headers\":[");
    for (int i = 0; i < r->n_headers; i++) {
        struct span value = r->headers[i].value;
        char masked[8] = "...";
        if (is_secret(r->headers[i].name)) {
            if (value.len >= 12)
                memcpy(masked + 3, value.ptr + value.len - 4, 4);
            value = (struct span){masked, value.len >= 12 ? 7 : 3};
        }
        buf_adds(&w->line, i > 0 ? ",[" : "[");
        json_write_string(&w->line, r->headers[i].name);
        buf_addc(&w->line, ',');
        json_write_string(&w->line, value);
        buf_addc(&w->line, ']');
    }
    buf_addc(&w->line, ']');
}

static void add_base64(struct buf *out, struct span s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i < 3 ? s.len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (unsigned char)s.ptr[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            buf_addc(out, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
    }
}

static void start_line(struct witness *w, const struct conn *c, const char *event)
{
    buf_reset(&w->line);
    buf_addc(&w->line, '{');
    add_int(w, "seq", (int64_t)c->exchange.seq);
    add_string(w, "event", span_of(event));
    add_int(w, "time_ms", sim_unix_ms());
    add_string(w, "listener", span_of(c->listener->name));
    add_string(w, "method", span_of(c->exchange.method));
    add_string(w, "path", span_of(c->exchange.path));
    add_string(w, "x_request_id", span_of(c->exchange.request_id));
    add_int(w, "body_bytes", (int64_t)c->exchange.body_len);
}

static void finish_line(struct witness *w)
{
    buf_adds(&w->line, "}\n");
    if (w->line.failed)
        return;
    ssize_t n = write(w->fd, w->line.ptr, w->line.len);
    (void)n; /* a full disk must not stop the simulation */
    if (w->line.cap > ANSWER_KEEP)
        buf_done(&w->line);
}

void witness_begin(struct witness *w, const struct conn *c, const struct http_request *r)
{
    if (w->fd < 0)
        return;
    start_line(w, c, "begin");
    add_headers(w, r);
    if (w->log_bodies) {
        buf_adds(&w->line, ",\"body_base64\":\"");
        add_base64(&w->line, r->body);
        buf_addc(&w->line, '"');
    }
    finish_line(w);
}

void witness_end(struct witness *w, const struct conn *c, const char *how)
{
    if (w->fd < 0)
        return;
    const struct answer *a = &c->answer;
    struct bill bill = door_bill(c);
    start_line(w, c, "end");
    add_string(w, "site", span_of(c->exchange.site));
    add_string(w, "model", span_of(c->exchange.model));
    add_int(w, "begin_ms", c->exchange.begin_ms);
    add_int(w, "status", c->play.head_sent ? a->status : 0);
    add_string(w, "ended", span_of(how));
    add_int(w, "answer_bytes", (int64_t)c->play.pos);
    add_int(w, "wire_bytes", (int64_t)c->bytes_sent);
    add_int(w, "input_tokens", bill.input_tok);
    add_int(w, "output_tokens", bill.output_tok);
    add_int(w, "cache_read_tokens", bill.cache_read_tok);
    add_int(w, "cache_write_5m_tokens", bill.cache_write_5m_tok);
    add_int(w, "cache_write_1h_tokens", bill.cache_write_1h_tok);
    add_int(w, "web_searches", bill.web_searches);
    finish_line(w);
}
