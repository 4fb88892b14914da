#define _GNU_SOURCE
/* Writes the witness log with one write() per line on an O_APPEND descriptor. */
#include "sim/witness.h"

#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "sim/base64.h"
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
    if (w->line.len > 1)
        buf_addc(&w->line, ',');
    json_write_string(&w->line, span_of(key));
    buf_addc(&w->line, ':');
    json_write_string(&w->line, value);
}

static void add_int(struct witness *w, const char *key, int64_t n)
{
    if (w->line.len > 1)
        buf_addc(&w->line, ',');
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

static struct span masked(struct span name, struct span value, char out[8])
{
    static const struct span signature = SPAN("AWS4-HMAC-SHA256 ");
    if (!is_secret(name))
        return value;
    /* Signs this request alone: a test verifies it. */
    if (value.len > signature.len && memcmp(value.ptr, signature.ptr, signature.len) == 0)
        return value;
    memcpy(out, "...", 3);
    if (value.len < 12)
        return (struct span){out, 3};
    memcpy(out + 3, value.ptr + value.len - 4, 4);
    return (struct span){out, 7};
}

static bool same_name(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* One member per name; what came several times is joined with ", ". */
static void add_headers(struct witness *w, const struct http_request *r)
{
    struct buf value;
    char mask[8];
    buf_init(&value, HTTP_HEAD_MAX);
    buf_adds(&w->line, ",\"headers\":{");
    bool first = true;
    for (int i = 0; i < r->n_headers; i++) {
        struct span name = r->headers[i].name;
        int k = 0;
        while (!same_name(r->headers[k].name, name))
            k++;
        if (k < i)
            continue;
        buf_reset(&value);
        for (; k < r->n_headers; k++) {
            if (!same_name(r->headers[k].name, name))
                continue;
            buf_adds(&value, k > i ? ", " : "");
            buf_add_span(&value, masked(name, r->headers[k].value, mask));
        }
        buf_adds(&w->line, first ? "" : ",");
        first = false;
        json_write_string(&w->line, name);
        buf_addc(&w->line, ':');
        json_write_string(&w->line, buf_span(&value));
    }
    buf_addc(&w->line, '}');
    buf_done(&value);
}

/* What both lines of a request hold. r NULL: it could not be read. */
static void start_line(struct witness *w, const struct conn *c, const struct http_request *r,
                       const char *event)
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
    add_int(w, "body_len", (int64_t)c->exchange.body_len);
    if (r == NULL)
        return;
    add_headers(w, r);
    if (w->log_bodies) {
        buf_adds(&w->line, ",\"body_base64\":\"");
        base64_encode(&w->line, r->body);
        buf_addc(&w->line, '"');
    }
}

/* JSON of a client may hold line ends (OpenAI's SDK 4 writes it indented); in a string none can
 * stand, elsewhere a blank is the same. */
static void add_on_one_line(struct buf *out, struct span json)
{
    for (size_t i = 0; i < json.len; i++)
        buf_addc(out, json.ptr[i] == '\n' || json.ptr[i] == '\r' ? ' ' : json.ptr[i]);
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
    start_line(w, c, r, "begin");
    finish_line(w);
}

void witness_end(struct witness *w, const struct conn *c, const char *how)
{
    if (w->fd < 0)
        return;
    /* The request still stands in the connection's buffer. */
    struct http_request r;
    bool readable =
        c->body_begin > 0 && http_parse_head((struct span){c->in.ptr, c->body_begin}, &r);
    if (readable)
        r.body = (struct span){c->in.ptr + c->body_begin, c->body_end - c->body_begin};
    const struct answer *a = &c->answer;
    struct bill bill = door_bill(c);
    start_line(w, c, readable ? &r : NULL, "end");
    add_string(w, "site", span_of(c->exchange.site));
    add_string(w, "model", span_of(c->exchange.model));
    if (c->exchange.protocol[0] != '\0')
        add_string(w, "protocol", span_of(c->exchange.protocol));
    if (c->heard.len > 0 && !c->heard.failed) {
        buf_adds(&w->line, ",\"heard\":");
        add_on_one_line(&w->line, buf_span(&c->heard));
    }
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
