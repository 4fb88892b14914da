/* Unit tests of server/upstream.c: exchanges on a real loop with a provider that is a thread of
 * this process and plays a script on loopback, plain or over TLS. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/upstream_caller.h"

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
    ck_assert(span_is(header_request_id(buf_span(&c.headers)), "r1"));
    ck_assert(span_is(header_request_id(SPAN("X-Amzn-RequestId: a\0X-Request-Id: b\0")), "b"));
    ck_assert(span_is(header_request_id(SPAN("x-amzn-RequestId: a\0")), "a"));
    ck_assert_uint_eq(header_request_id(SPAN("server: s\0")).len, 0);
    snprintf(want, sizeof want,
             "POST /v1/messages HTTP/1.1\r\nHost: localhost:%u\r\nx-api-key: sk-1\r\n"
             "Content-Length: 7",
             (unsigned)v.port);
    ck_assert_str_eq(v.last_head, want);
    caller_done(&c);
    end(&v);
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
        wait_for_pause(&c);
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
    tcase_add_loop_test(t, never_complete, 0, N_WIRES);
    tcase_add_test(t, end_that_was_not_said);
    tcase_add_loop_test(t, too_large_head, 0, N_WIRES);
    tcase_add_loop_test(t, large_request, 0, N_WIRES);
    tcase_add_loop_test(t, early_answer, 0, N_WIRES);
    tcase_add_loop_test(t, paused_and_resumed, 0, N_WIRES);
    tcase_add_loop_test(t, reset_while_paused, 0, N_WIRES);
    tcase_add_loop_test(t, cancelled, 0, N_WIRES);
    tcase_add_loop_test(t, closed_under_way, 0, N_WIRES);
    suite_add_tcase(s, t);
    return s;
}
