/* What asks in the tests of server/upstream.c and server/uplink.c, and the loop that it asks on. */
#define _GNU_SOURCE
#include "tests/unit/upstream_caller.h"

#include <check.h>
#include <curl/curl.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { CONNECT_MS = 20000 };

uv_loop_t loop;
uv_prepare_t prepare;
static uv_idle_t idle;
static uv_timer_t limit;
struct upstream *up;

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

const struct transfer_ops ops = {on_head, on_body, on_done};

void caller_init(struct caller *c, const struct provider *v)
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

const struct uplink_how usual = {.connect_ms = CONNECT_MS, .reach = REACH_ANY};

void caller_start(struct caller *c)
{
    c->t = transfer_start(up, &c->req, &usual, &ops, c);
    ck_assert_ptr_nonnull(c->t);
    ck_assert_int_eq(c->n_done, 0);
}

void caller_done(struct caller *c)
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

void wait_for(const int *n, int want)
{
    uv_timer_start(&limit, on_limit, WAIT_MS, 0);
    while (*n < want)
        uv_run(&loop, UV_RUN_DEFAULT);
    uv_timer_stop(&limit);
}

void wait_for_pause(const struct caller *c)
{
    uv_timer_start(&limit, on_limit, WAIT_MS, 0);
    while (!c->paused && c->n_done == 0)
        uv_run(&loop, UV_RUN_DEFAULT);
    uv_timer_stop(&limit);
}

void wait_for_requests(struct provider *v, int want)
{
    for (int i = 0; i < WAIT_MS && __atomic_load_n(&v->n_requests, __ATOMIC_SEQ_CST) < want; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ck_assert_int_ge(__atomic_load_n(&v->n_requests, __ATOMIC_SEQ_CST), want);
}

void run_loop_ms(int ms)
{
    for (int i = 0; i < ms; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

void set_up(void)
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

void tear_down(void)
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

int n_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

void expect_hello(struct caller *c)
{
    ck_assert_int_eq(c->result, TRANSFER_OK);
    ck_assert_int_eq(c->http_status, 200);
    ck_assert(span_is(buf_span(&c->body), "hello"));
    ck_assert(c->sent);
}

void begin_tls(struct provider *v, const char *name)
{
    provider_use_tls(v, name);
    upstream_trust(up, v->ca_path);
}

void begin(struct provider *v, int wire)
{
    *v = (struct provider){.script = NULL};
    if (wire == TLS)
        begin_tls(v, "localhost");
}

void end(struct provider *v)
{
    provider_end(v);
    if (v->tls != NULL)
        provider_end_tls(v, v->tls);
}
