/* Unit tests of server/uplink.c: connections to providers, how they are made, kept, closed and
 * verified. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/upstream_caller.h"

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
    usleep(1000 * 1000); /* on a busy machine, too */
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

START_TEST(cannot_connect)
{
    struct provider v = {.script = NULL};
    struct caller c;
    provider_place(&v);
    caller_init(&c, &v);
    caller_start(&c);
    wait_for(&c.n_done, 1);
    ck_assert_int_eq(c.result, TRANSFER_CONNECT_FAILED);
    ck_assert(!c.sent);
    caller_done(&c);
    close(v.listener);
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

Suite *uplink_suite(void);
Suite *uplink_suite(void)
{
    Suite *s = suite_create("uplink");
    TCase *t = tcase_create("uplink");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, connection_is_kept, 0, N_WIRES);
    tcase_add_loop_test(t, connection_gets_old, 0, N_WIRES);
    tcase_add_loop_test(t, many_origins, 0, N_WIRES);
    tcase_add_loop_test(t, connection_is_not_kept, 0, N_WIRES);
    tcase_add_loop_test(t, closed_before_use, 0, N_WIRES);
    tcase_add_loop_test(t, never_sent_twice, 0, N_WIRES);
    tcase_add_test(t, cannot_connect);
    tcase_add_test(t, connect_timeout);
    tcase_add_test(t, tls_is_verified);
    tcase_add_test(t, authorities_are_read_once);
    tcase_add_loop_test(t, a_scheme_in_capitals, 0, N_WIRES);
    tcase_add_test(t, unusable_urls);
    suite_add_tcase(s, t);
    return s;
}
