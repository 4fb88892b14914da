/* Unit tests of server/upstream.c and server/uplink.c: transfers on a real loop against a provider
 * that is a thread of this process and plays a script on loopback, plain or over TLS. */
#define _GNU_SOURCE
#include <check.h>
#include <curl/curl.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "server/upstream.h"
#include "tests/unit/scripted_provider.h"

enum { WAIT_MS = 30000, CONNECT_MS = 20000 };

/* ---- the caller ---- */

static uv_loop_t loop;
static uv_prepare_t prepare;
static uv_idle_t idle;
static uv_timer_t limit;
static struct upstream *up;

struct caller {
    struct transfer *t;
    struct upreq req;
    char url[64];
    int http_status, n_heads, n_done, n_bodies;
    struct buf body, headers;
    enum transfer_result result;
    bool sent;
    size_t pause_at; /* refuses what would come after so many bytes, until let in */
    bool paused, cancel_on_body, refuse_first;
};

static void on_head(void *ctx, int status)
{
    struct caller *c = ctx;
    uv_stop(&loop);
    c->n_heads++;
    c->http_status = status;
}

static bool on_body(void *ctx, struct span bytes)
{
    struct caller *c = ctx;
    ck_assert_int_eq(c->n_heads, 1);
    ck_assert_uint_gt(bytes.len, 0);
    uv_stop(&loop);
    c->n_bodies++;
    if ((c->refuse_first && c->n_bodies == 1) || (c->pause_at > 0 && c->body.len >= c->pause_at)) {
        c->paused = true;
        return false;
    }
    buf_add_span(&c->body, bytes);
    if (c->cancel_on_body)
        transfer_cancel(c->t);
    return true;
}

static void on_done(void *ctx, enum transfer_result result)
{
    struct caller *c = ctx;
    uv_stop(&loop);
    c->n_done++;
    c->result = result;
    c->sent = transfer_sent(c->t);
    buf_add_span(&c->headers, transfer_headers(c->t));
    c->t = NULL;
}

static const struct transfer_ops ops = {on_head, on_body, on_done};

static void caller_init(struct caller *c, const struct provider *v)
{
    *c = (struct caller){.n_done = 0};
    upreq_init(&c->req);
    buf_init(&c->body, 64 * 1024 * 1024);
    buf_init(&c->headers, UPSTREAM_HEADERS_MAX);
    snprintf(c->url, sizeof c->url, v->tls != NULL ? "https://localhost:%u" : "http://localhost:%u",
             (unsigned)v->port);
    ck_assert(upreq_set_url(&c->req, c->url, "/v1/messages"));
    ck_assert(upreq_add_header(&c->req, SPAN("x-api-key"), SPAN("sk-1")));
}

static const struct uplink_how usual = {.connect_ms = CONNECT_MS, .reach = REACH_ANY};

static void caller_start(struct caller *c)
{
    c->t = transfer_start(up, &c->req, &usual, &ops, c);
    ck_assert_ptr_nonnull(c->t);
    ck_assert_int_eq(c->n_done, 0);
}

static void caller_done(struct caller *c)
{
    upreq_done(&c->req);
    buf_done(&c->body);
    buf_done(&c->headers);
}

static void on_idle(uv_idle_t *h)
{
    (void)h;
}

static void on_prepare(uv_prepare_t *h)
{
    (void)h;
    for (int i = 0; i < 8 && upstream_turn(up); i++) {
    }
    if (upstream_pending(up))
        uv_idle_start(&idle, on_idle);
    else
        uv_idle_stop(&idle);
}

static void on_limit(uv_timer_t *h)
{
    (void)h;
    ck_abort_msg("nothing came");
}

/* Runs the loop until *n has reached want: every callback stops it. */
static void wait_for(const int *n, int want)
{
    uv_timer_start(&limit, on_limit, WAIT_MS, 0);
    while (*n < want)
        uv_run(&loop, UV_RUN_DEFAULT);
    uv_timer_stop(&limit);
}

static void wait_for_requests(struct provider *v, int want)
{
    for (int i = 0; i < WAIT_MS && __atomic_load_n(&v->n_requests, __ATOMIC_SEQ_CST) < want; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ck_assert_int_ge(__atomic_load_n(&v->n_requests, __ATOMIC_SEQ_CST), want);
}

static void run_loop_ms(int ms)
{
    for (int i = 0; i < ms; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    uv_loop_init(&loop);
    up = upstream_new(&loop);
    uv_prepare_init(&loop, &prepare);
    uv_prepare_start(&prepare, on_prepare);
    uv_idle_init(&loop, &idle);
    uv_timer_init(&loop, &limit);
}

static void tear_down(void)
{
    uv_prepare_stop(&prepare);
    upstream_close(up);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    upstream_free(up);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static int n_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

#define JSON_ANSWER "HTTP/1.1 200 OK\r\nrequest-id: r1\r\nContent-Length: 5\r\n\r\nhello"

static void expect_hello(struct caller *c)
{
    ck_assert_int_eq(c->result, TRANSFER_OK);
    ck_assert_int_eq(c->http_status, 200);
    ck_assert(span_is(buf_span(&c->body), "hello"));
    ck_assert(c->sent);
}

/* The tests below run once over each. */
enum { PLAIN, TLS, N_WIRES };

static void begin_tls(struct provider *v, const char *name)
{
    provider_use_tls(v, name);
    upstream_trust(up, v->ca_path);
}

static void begin(struct provider *v, int wire)
{
    *v = (struct provider){.script = NULL};
    if (wire == TLS)
        begin_tls(v, "localhost");
}

static void end(struct provider *v)
{
    provider_end(v);
    if (v->tls != NULL)
        provider_end_tls(v, v->tls);
}

/* ---- tests ---- */

START_TEST(asked_and_answered)
{
    struct provider v;
    struct caller c;
    char want[200];
    begin(&v, _i);
    provider_start(&v, "RA", JSON_ANSWER);
    caller_init(&c, &v);
    upreq_add_borrowed(&c.req, SPAN("{\"a\":"));
    upreq_add_own(&c.req, SPAN("1}"));
    caller_start(&c);
    wait_for(&c.n_done, 1);
    expect_hello(&c);
    ck_assert(span_is(header_find(buf_span(&c.headers), "Request-ID"), "r1"));
    snprintf(want, sizeof want,
             "POST /v1/messages HTTP/1.1\r\nHost: localhost:%u\r\nx-api-key: sk-1\r\n"
             "Content-Length: 7",
             (unsigned)v.port);
    ck_assert_str_eq(v.last_head, want);
    caller_done(&c);
    end(&v);
}
END_TEST

/* Several requests, one connection. */
START_TEST(connection_is_kept)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    provider_start(&v, "RARARA", JSON_ANSWER);
    for (int i = 0; i < 3; i++) {
        caller_init(&c, &v);
        caller_start(&c);
        wait_for(&c.n_done, 1);
        expect_hello(&c);
        caller_done(&c);
    }
    ck_assert_int_eq(v.n_connections, 1);
    end(&v);
}
END_TEST

/* The peer keeps it open for ever, and nobody asks for that origin again. */
START_TEST(connection_gets_old)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    provider_start(&v, "RAR RA", JSON_ANSWER); /* the second R ends with the connection */
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    caller_done(&c);
    run_loop_ms(100); /* what the name was looked up with is gone */
    int kept = n_descriptors();
    upstream_sweep(up);
    ck_assert_int_eq(n_descriptors(), kept);
    loop.time += UPLINK_AGE_S * 1000 + 1;
    upstream_sweep(up);
    for (int i = 0; i < WAIT_MS && n_descriptors() > kept - 2; i++)
        usleep(1000); /* the peer's too, once it has seen the end */
    ck_assert_int_eq(n_descriptors(), kept - 2);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    expect_hello(&c);
    ck_assert_int_eq(v.n_connections, 2);
    caller_done(&c);
    end(&v);
}
END_TEST

/* Origins that requests name do not keep others from being remembered. */
START_TEST(many_origins)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    provider_start(&v, "RARA", JSON_ANSWER);
    for (int i = 0; i < UPLINK_ORIGINS_MAX + 1; i++) {
        caller_init(&c, &v);
        snprintf(c.url, sizeof c.url, "http://127.1.%d.%d:1", i / 256, i % 256);
        ck_assert(upreq_set_url(&c.req, c.url, "/"));
        caller_start(&c);
        wait_for(&c.n_done, 1);
        ck_assert_int_eq(c.result, TRANSFER_CONNECT_FAILED);
        caller_done(&c);
    }
    upstream_sweep(up);
    for (int i = 0; i < 2; i++) {
        caller_init(&c, &v);
        caller_start(&c);
        wait_for(&c.n_done, 1);
        expect_hello(&c);
        caller_done(&c);
    }
    ck_assert_int_eq(v.n_connections, 1);
    end(&v);
}
END_TEST

/* Answers after which a connection must not be used again. */
static const struct {
    const char *name, *script, *answer;
} no_reuse[] = {
    {"close", "RA RA", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"},
    {"1.0", "RA RA", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
    {"up to the end", "RAF RAF", "HTTP/1.1 200 OK\r\n\r\nhello"},
    {"bytes behind it", "RA RA", JSON_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"},
    {"the peer closes it", "RAF RAF", JSON_ANSWER},
    {"the peer resets it", "RAX RAX", JSON_ANSWER},
};

START_TEST(connection_is_not_kept)
{
    for (int i = 0; i < (int)(sizeof no_reuse / sizeof no_reuse[0]); i++) {
        struct provider v;
        begin(&v, _i);
        provider_start(&v, no_reuse[i].script, no_reuse[i].answer);
        for (int k = 0; k < 2; k++) {
            struct caller c;
            caller_init(&c, &v);
            caller_start(&c);
            wait_for(&c.n_done, 1);
            ck_assert_msg(c.result == TRANSFER_OK, "%s: %d", no_reuse[i].name, (int)c.result);
            ck_assert(span_is(buf_span(&c.body), "hello"));
            caller_done(&c);
            run_loop_ms(50);
        }
        ck_assert_msg(v.n_connections == 2, "%s", no_reuse[i].name);
        end(&v);
    }
}
END_TEST

/* The peer has closed, and the loop has not run since: the look before the use finds it. */
START_TEST(closed_before_use)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    provider_start(&v, "RAWF RA", JSON_ANSWER);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    caller_done(&c);
    provider_go(&v);
    usleep(200 * 1000);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    expect_hello(&c);
    ck_assert_int_eq(v.n_connections, 2);
    caller_done(&c);
    end(&v);
}
END_TEST

/* A kept connection that dies under a request: the request was sent once, and is not again. */
START_TEST(never_sent_twice)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    v.no_notify = true;
    provider_start(&v, "RARX RA", JSON_ANSWER);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    caller_done(&c);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_STALE);
    ck_assert(c.sent);
    run_loop_ms(50);
    ck_assert_int_eq(v.n_requests, 2);
    ck_assert_int_eq(v.n_connections, 1);
    caller_done(&c);
    provider_end(&v);
    if (v.tls != NULL)
        provider_end_tls(&v, v.tls);
}
END_TEST

static const struct {
    const char *name, *script, *answer;
    enum transfer_result result;
    const char *body;
} broken[] = {
    {"no byte", "RF", "", TRANSFER_RESET, ""},
    {"reset", "RX", "", TRANSFER_RESET, ""},
    {"half a head", "RAF", "HTTP/1.1 200 OK\r\nA", TRANSFER_RESET, ""},
    {"half a body", "RAF", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", TRANSFER_RESET,
     "hello"},
    {"no last chunk", "RAF", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
     TRANSFER_RESET, "hello"},
    {"no HTTP", "RA", "hello world\r\n\r\n", TRANSFER_RESET, ""},
    {"broken chunk", "RA", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n",
     TRANSFER_RESET, "hello"},
};

START_TEST(never_complete)
{
    for (int i = 0; i < (int)(sizeof broken / sizeof broken[0]); i++) {
        struct provider v;
        struct caller c;
        begin(&v, _i);
        provider_start(&v, broken[i].script, broken[i].answer);
        caller_init(&c, &v);
        caller_start(&c);
        wait_for(&c.n_done, 1);
        ck_assert_msg(c.result == broken[i].result, "%s: %d", broken[i].name, (int)c.result);
        ck_assert_msg(span_is(buf_span(&c.body), broken[i].body), "%s", broken[i].name);
        caller_done(&c);
        end(&v);
    }
}
END_TEST

/* A body without a length ends with the connection.  libcurl does not tell whether TLS was ended in
 * order (close_notify), which servers forget, or cut: the protocol's last word decides then. */
START_TEST(end_that_was_not_said)
{
    struct provider v;
    struct caller c;
    begin(&v, TLS);
    v.no_notify = true;
    provider_start(&v, "RAF", "HTTP/1.1 200 OK\r\n\r\nhello");
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_OK);
    ck_assert(span_is(buf_span(&c.body), "hello"));
    caller_done(&c);
    end(&v);
}
END_TEST

START_TEST(too_large_head)
{
    struct provider v;
    struct caller c;
    struct buf b;
    begin(&v, _i);
    buf_init(&b, 1 << 20);
    buf_adds(&b, "HTTP/1.1 200 OK\r\n");
    while (b.len < UPSTREAM_HEADERS_MAX + 4096)
        buf_adds(&b, "A: 0123456789012345678901234567890123456789\r\n");
    buf_adds(&b, "\r\n");
    v.answer = buf_span(&b);
    provider_start(&v, "RA", NULL);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_TOO_LARGE);
    ck_assert_int_eq(c.n_heads, 0);
    caller_done(&c);
    end(&v);
    buf_done(&b);
}
END_TEST

static struct buf big_body(size_t n)
{
    struct buf b;
    buf_init(&b, n);
    buf_reserve(&b, n);
    for (size_t i = 0; i < n; i++)
        b.ptr[i] = (char)('a' + i % 23 + i % 3);
    b.len = n;
    return b;
}

/* More than any socket buffer takes. */
START_TEST(large_request)
{
    struct provider v;
    struct caller c;
    struct buf b = big_body(6 * 1024 * 1024);
    begin(&v, _i);
    provider_start(&v, "RARA", JSON_ANSWER);
    for (int i = 0; i < 2; i++) {
        caller_init(&c, &v);
        for (size_t at = 0; at < b.len; at += b.len / 16)
            ck_assert(upreq_add_borrowed(&c.req, (struct span){b.ptr + at, b.len / 16}));
        caller_start(&c);
        wait_for(&c.n_done, 1);
        expect_hello(&c);
        ck_assert_uint_eq(v.last_body, b.len);
        caller_done(&c);
    }
    ck_assert_int_eq(v.n_connections, 1);
    end(&v);
    buf_done(&b);
}
END_TEST

/* The answer comes, and the provider reads no further: the request is never whole. */
START_TEST(early_answer)
{
    static const char *const scripts[] = {"HAW RA", "HAF RA", "HAX RA"};
    for (int i = 0; i < 3; i++) {
        struct provider v;
        struct caller c;
        struct buf b = big_body(7 * 1024 * 1024);
        begin(&v, _i);
        provider_start(&v, scripts[i], "HTTP/1.1 413 x\r\nContent-Length: 5\r\n\r\nhello");
        caller_init(&c, &v);
        ck_assert(upreq_add_borrowed(&c.req, buf_span(&b)));
        caller_start(&c);
        wait_for(&c.n_done, 1);
        if (i == 0) {
            ck_assert_int_eq(c.result, TRANSFER_OK);
            ck_assert_int_eq(c.http_status, 413);
        }
        ck_assert(c.result == TRANSFER_OK || c.result == TRANSFER_RESET);
        if (i == 0)
            provider_go(&v);
        caller_done(&c);
        caller_init(&c, &v);
        caller_start(&c);
        wait_for(&c.n_done, 1);
        ck_assert_int_eq(c.result, TRANSFER_OK);
        ck_assert_int_eq(v.n_connections, 2);
        caller_done(&c);
        end(&v);
        buf_done(&b);
    }
}
END_TEST

/* 16 MB in chunks of odd sizes, to a reader that pauses again and again. */
START_TEST(paused_and_resumed)
{
    struct provider v;
    struct caller c;
    struct buf body = big_body(16 * 1024 * 1024), b;
    begin(&v, _i);
    buf_init(&b, 64 * 1024 * 1024);
    buf_adds(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, n = 1; at < body.len; at += n) {
        n = (at * 7 + 1) % 30011 + 1;
        n = n < body.len - at ? n : body.len - at;
        buf_addf(&b, "%zx\r\n", n);
        buf_add(&b, body.ptr + at, n);
        buf_adds(&b, "\r\n");
    }
    buf_adds(&b, "0\r\n\r\n");
    v.answer = buf_span(&b);
    provider_start(&v, "RA", NULL);
    caller_init(&c, &v);
    c.pause_at = 1;
    caller_start(&c);
    int n_pauses = 0;
    while (c.n_done == 0) {
        uv_timer_start(&limit, on_limit, WAIT_MS, 0);
        while (!c.paused && c.n_done == 0)
            uv_run(&loop, UV_RUN_DEFAULT);
        uv_timer_stop(&limit);
        if (c.paused) {
            int before = c.n_bodies;
            for (int i = 0; i < 20; i++)
                uv_run(&loop, UV_RUN_NOWAIT);
            ck_assert_int_eq(c.n_bodies, before);
            n_pauses++;
            c.paused = false;
            c.pause_at = c.body.len + 300000;
            transfer_unpause(c.t);
        }
    }
    ck_assert_int_gt(n_pauses, 20);
    ck_assert_int_eq(c.result, TRANSFER_OK);
    ck_assert_uint_eq(c.body.len, body.len);
    ck_assert_int_eq(memcmp(c.body.ptr, body.ptr, body.len), 0);
    caller_done(&c);
    end(&v);
    buf_done(&body);
    buf_done(&b);
}
END_TEST

/* A peer that resets a paused connection does not make the loop spin, and ends it afterwards. */
START_TEST(reset_while_paused)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    v.no_notify = true;
    provider_start(&v, "RAWX", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    caller_init(&c, &v);
    c.refuse_first = true;
    caller_start(&c);
    wait_for(&c.n_bodies, 1);
    provider_go(&v);
    run_loop_ms(100);
    ck_assert_int_eq(c.n_bodies, 1);
    ck_assert_int_eq(c.n_done, 0);
    transfer_unpause(c.t);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_RESET);
    ck_assert(span_is(buf_span(&c.body), "hello"));
    caller_done(&c);
    end(&v);
}
END_TEST

START_TEST(cancelled)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    provider_start(&v, "RA RA", JSON_ANSWER);
    caller_init(&c, &v);
    caller_start(&c);
    transfer_cancel(c.t); /* before it is connected */
    ck_assert_int_eq(c.n_done, 0);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_CANCELED);
    ck_assert(!c.sent);
    ck_assert_int_eq(upstream_running(up), 0);
    caller_done(&c);
    caller_init(&c, &v);
    caller_start(&c);
    c.cancel_on_body = true;
    wait_for(&c.n_done, 1);
    caller_done(&c);
    ck_assert_int_eq(upstream_running(up), 0);
    end(&v);
}
END_TEST

START_TEST(cannot_connect)
{
    struct provider v = {.script = NULL};
    struct caller c;
    provider_listen(&v);
    close(v.listener);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_CONNECT_FAILED);
    ck_assert(!c.sent);
    caller_done(&c);
    close(v.go[0]);
    close(v.go[1]);
}
END_TEST

/* It accepts, and never shakes hands. */
START_TEST(connect_timeout)
{
    struct provider v = {.script = NULL};
    struct caller c;
    provider_listen(&v);
    v.tls = SSL_CTX_new(TLS_server_method());
    caller_init(&c, &v);
    const struct uplink_how brief = {.connect_ms = 100, .reach = REACH_ANY};
    c.t = transfer_start(up, &c.req, &brief, &ops, &c);
    ck_assert_ptr_nonnull(c.t);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_CONNECT_TIMEOUT);
    ck_assert(!c.sent);
    caller_done(&c);
    SSL_CTX_free(v.tls);
    close(v.listener);
    close(v.go[0]);
    close(v.go[1]);
}
END_TEST

/* A certificate for another name, one that nobody vouches for, and no TLS at all. */
START_TEST(tls_is_verified)
{
    for (int i = 0; i < 3; i++) {
        struct provider v = {.script = NULL};
        struct caller c;
        begin_tls(&v, i == 0 ? "other.example" : "localhost");
        SSL_CTX *tls = v.tls;
        if (i == 1)
            upstream_trust(up, NULL);
        v.tls = i == 2 ? NULL : tls;
        provider_start(&v, i == 2 ? "A" : "RA", JSON_ANSWER);
        caller_init(&c, &v);
        snprintf(c.url, sizeof c.url, "https://localhost:%u", (unsigned)v.port);
        ck_assert(upreq_set_url(&c.req, c.url, "/"));
        caller_start(&c);
        wait_for(&c.n_done, 1);
        ck_assert_msg(c.result == TRANSFER_TLS_FAILED, "%d: %d", i, (int)c.result);
        ck_assert(!c.sent);
        ck_assert_int_eq(v.n_requests, 0);
        caller_done(&c);
        provider_end(&v);
        provider_end_tls(&v, tls);
    }
}
END_TEST

static int64_t worked_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What this thread works for a connection that the system's authorities do not vouch for. */
static int64_t refused_connection_us(void)
{
    struct provider v = {.script = NULL};
    struct caller c;
    begin_tls(&v, "localhost");
    upstream_trust(up, NULL);
    provider_start(&v, "RA", JSON_ANSWER);
    caller_init(&c, &v);
    int64_t begun_us = worked_us();
    caller_start(&c);
    wait_for(&c.n_done, 1);
    int64_t us = worked_us() - begun_us;
    ck_assert_int_eq(c.result, TRANSFER_TLS_FAILED);
    caller_done(&c);
    end(&v);
    return us;
}

/* The system's authorities are a hundred and more: every stream of the worker waits while they are
 * parsed. */
START_TEST(authorities_are_read_once)
{
    enum { MORE = 4 };
    int64_t first_us = refused_connection_us(), more_us = 0;
    for (int i = 0; i < MORE; i++)
        more_us += refused_connection_us();
    ck_assert_msg(more_us < MORE * first_us / 2, "the first %lld us, %d more %lld us",
                  (long long)first_us, MORE, (long long)more_us);
}
END_TEST

/* Whoever writes "HTTPS" means it: nothing may go in plain text through what libcurl has opened. */
START_TEST(a_scheme_in_capitals)
{
    struct provider v;
    struct caller c;
    begin(&v, _i);
    provider_start(&v, "RA", JSON_ANSWER);
    caller_init(&c, &v);
    snprintf(c.url, sizeof c.url, _i == TLS ? "HTTPS://localhost:%u" : "HTTP://localhost:%u",
             (unsigned)v.port);
    ck_assert(upreq_set_url(&c.req, c.url, "/v1/messages"));
    caller_start(&c);
    wait_for(&c.n_done, 1);
    expect_hello(&c);
    caller_done(&c);
    end(&v);
}
END_TEST

START_TEST(unusable_urls)
{
    static const char *const urls[] = {"http://", "http://user@localhost:1", "no-url",
                                       "http://a:port"};
    for (int i = 0; i < 4; i++) {
        struct caller c = {.n_done = 0};
        upreq_init(&c.req);
        ck_assert(upreq_set_url(&c.req, urls[i], "/"));
        ck_assert_msg(transfer_start(up, &c.req, &usual, &ops, &c) == NULL, "%s", urls[i]);
        upreq_done(&c.req);
    }
}
END_TEST

/* Closing ends what runs. */
START_TEST(closed_under_way)
{
    struct provider v;
    struct caller c[2];
    begin(&v, _i);
    provider_start(&v, "RW RW", "");
    for (int i = 0; i < 2; i++) {
        caller_init(&c[i], &v);
        caller_start(&c[i]);
    }
    wait_for_requests(&v, 1);
    uv_prepare_stop(&prepare);
    upstream_close(up);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(c[i].result, TRANSFER_CANCELED);
        ck_assert_int_eq(c[i].n_done, 1);
        caller_done(&c[i]);
    }
    run_loop_ms(10); /* the handles are closed */
    upstream_free(up);
    end(&v);
    up = upstream_new(&loop);
}
END_TEST

Suite *upstream_suite(void);
Suite *upstream_suite(void)
{
    Suite *s = suite_create("upstream");
    TCase *t = tcase_create("upstream");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, asked_and_answered, 0, N_WIRES);
    tcase_add_loop_test(t, a_scheme_in_capitals, 0, N_WIRES);
    tcase_add_loop_test(t, connection_is_kept, 0, N_WIRES);
    tcase_add_loop_test(t, connection_gets_old, 0, N_WIRES);
    tcase_add_loop_test(t, many_origins, 0, N_WIRES);
    tcase_add_loop_test(t, connection_is_not_kept, 0, N_WIRES);
    tcase_add_loop_test(t, closed_before_use, 0, N_WIRES);
    tcase_add_loop_test(t, never_sent_twice, 0, N_WIRES);
    tcase_add_loop_test(t, never_complete, 0, N_WIRES);
    tcase_add_test(t, end_that_was_not_said);
    tcase_add_loop_test(t, too_large_head, 0, N_WIRES);
    tcase_add_loop_test(t, large_request, 0, N_WIRES);
    tcase_add_loop_test(t, early_answer, 0, N_WIRES);
    tcase_add_loop_test(t, paused_and_resumed, 0, N_WIRES);
    tcase_add_loop_test(t, reset_while_paused, 0, N_WIRES);
    tcase_add_loop_test(t, cancelled, 0, N_WIRES);
    tcase_add_test(t, cannot_connect);
    tcase_add_test(t, connect_timeout);
    tcase_add_test(t, tls_is_verified);
    tcase_add_test(t, authorities_are_read_once);
    tcase_add_test(t, unusable_urls);
    tcase_add_loop_test(t, closed_under_way, 0, N_WIRES);
    suite_add_tcase(s, t);
    return s;
}
