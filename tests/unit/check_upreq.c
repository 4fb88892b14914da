/* Unit tests of schema/upreq.c. */
#include <check.h>
#include <stdlib.h>

#include "schema/upreq.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static struct upreq u;

static void setup(void)
{
    upreq_init(&u);
}

static void teardown(void)
{
    upreq_done(&u);
}

static const struct {
    const char *base, *path, *url;
} joins[] = {
    {"https://a.example", "/v1/messages", "https://a.example/v1/messages"},
    {"https://a.example", "v1/messages", "https://a.example/v1/messages"},
    {"https://a.example/", "/v1/messages", "https://a.example/v1/messages"},
    {"https://a.example/", "v1/messages", "https://a.example/v1/messages"},
    {"https://a.example///", "//v1/messages", "https://a.example/v1/messages"},
    {"https://a.example/api/", "/v1", "https://a.example/api/v1"},
    {"https://a.example/a//b", "/c//d/", "https://a.example/a//b/c//d/"},
    {"https://a.example", "", "https://a.example/"},
    {"https://a.example", "/v1/m?x=1&y=/", "https://a.example/v1/m?x=1&y=/"},
    {"http://[::1]:8080", "/v1", "http://[::1]:8080/v1"},
};

START_TEST(url_has_one_slash_at_the_joint)
{
    ck_assert(upreq_set_url(&u, joins[_i].base, joins[_i].path));
    ck_assert_str_eq(u.url, joins[_i].url);
}
END_TEST

static const struct {
    const char *base, *path;
} bad_urls[] = {
    {"", "/v1"},
    {"/", "/v1"},
    {"https://a.example", "/v 1"},
    {"https://a.example\r\n", "/v1"},
    {"https://a.example", "/v1\nHost: b"},
    {"https://a.example", "/\x7f"},
    {"https://a.ex\xc3\xa4mple", "/v1"},
    {" https://a.example", "/v1"},
    {"https://a.example\t", "/v1"},
};

START_TEST(bad_url_leaves_the_old_one)
{
    ck_assert(upreq_set_url(&u, "https://old.example", "/x"));
    ck_assert(!upreq_set_url(&u, bad_urls[_i].base, bad_urls[_i].path));
    ck_assert_str_eq(u.url, "https://old.example/x");
}
END_TEST

START_TEST(url_length_is_bounded)
{
    char path[UPREQ_URL_MAX + 1];
    memset(path, 'p', sizeof(path));
    path[UPREQ_URL_MAX - 8] = '\0'; /* with "http://a" and the slash: one too long */
    ck_assert(!upreq_set_url(&u, "http://a", path));
    path[UPREQ_URL_MAX - 9] = '\0';
    ck_assert(upreq_set_url(&u, "http://a", path));
    ck_assert_uint_eq(strlen(u.url), UPREQ_URL_MAX);
}
END_TEST

START_TEST(headers_in_order)
{
    ck_assert_ptr_null(upreq_next_header(&u, NULL));
    ck_assert(upreq_add_header(&u, SPAN("x-api-key"), SPAN("sk-1")));
    ck_assert(upreq_add_header(&u, SPAN("Content-Type"), SPAN("application/json")));
    ck_assert(upreq_add_header(&u, SPAN("x-empty"), SPAN("")));
    ck_assert(upreq_add_header(&u, SPAN("x-space"), SPAN("  a\tb  ")));
    ck_assert(upreq_add_header(&u, SPAN("x-blank"), SPAN(" \t ")));
    static const char *const want[] = {"x-api-key: sk-1", "Content-Type: application/json",
                                       "x-empty:", "x-space: a\tb", "x-blank:"};
    const char *h = NULL;
    for (int i = 0; i < ROWS(want); i++) {
        h = upreq_next_header(&u, h);
        ck_assert_str_eq(h, want[i]);
    }
    ck_assert_ptr_null(upreq_next_header(&u, h));
    ck_assert_int_eq(u.n_headers, ROWS(want));
}
END_TEST

static bool token_char(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void try_header_byte(int c, int at)
{
    char text[3] = {'a', 'b', 'c'};
    text[at] = (char)c;
    struct span s = {text, 3};
    bool value_ok = c == '\t' || (c >= 0x20 && c < 0x7f);
    upreq_done(&u);
    ck_assert_msg(upreq_add_header(&u, s, SPAN("v")) == token_char(c), "name, byte %d", c);
    ck_assert_int_eq(u.n_headers, token_char(c));
    ck_assert_int_eq(u.headers.len > 0, token_char(c));
    upreq_done(&u);
    ck_assert_msg(upreq_add_header(&u, SPAN("n"), s) == value_ok, "value, byte %d", c);
    ck_assert_int_eq(u.n_headers, value_ok);
    ck_assert_int_eq(u.headers.len > 0, value_ok);
}

/* Each of the 256 bytes in a name and in a value, first, inside and last. */
START_TEST(header_bytes)
{
    for (int c = 0; c < 256; c++) {
        for (int at = 0; at < 3; at++)
            try_header_byte(c, at);
    }
}
END_TEST

START_TEST(header_injection)
{
    ck_assert(!upreq_add_header(&u, SPAN("x"), SPAN("a\r\nx-evil: 1")));
    ck_assert(!upreq_add_header(&u, SPAN("x"), SPAN("a\nx-evil: 1")));
    ck_assert(!upreq_add_header(&u, SPAN("x"), SPAN("a\0b")));
    ck_assert(!upreq_add_header(&u, SPAN("x"), SPAN("a\r\n")));
    ck_assert(!upreq_add_header(&u, SPAN("x: y\r\nz"), SPAN("a")));
    ck_assert(!upreq_add_header(&u, SPAN("x:"), SPAN("a")));
    ck_assert(!upreq_add_header(&u, SPAN("x "), SPAN("a")));
    ck_assert(!upreq_add_header(&u, SPAN(""), SPAN("a")));
    ck_assert_int_eq(u.n_headers, 0);
    ck_assert_uint_eq(u.headers.len, 0);
}
END_TEST

START_TEST(headers_are_bounded)
{
    static char value[UPREQ_HEADERS_MAX + 1];
    memset(value, 'v', sizeof(value));
    ck_assert(upreq_add_header(&u, SPAN("a"), (struct span){value, UPREQ_HEADERS_MAX - 4}));
    ck_assert(!upreq_add_header(&u, SPAN("b"), SPAN("c")));
    ck_assert_int_eq(u.n_headers, 1);
    ck_assert_ptr_null(upreq_next_header(&u, upreq_next_header(&u, NULL)));
    upreq_done(&u);
    ck_assert(!upreq_add_header(&u, SPAN("a"), (struct span){value, UPREQ_HEADERS_MAX - 3}));
    ck_assert_int_eq(u.n_headers, 0);
}
END_TEST

static void build_body(void)
{
    ck_assert(upreq_add_borrowed(&u, SPAN("{\"model\":")));
    ck_assert(upreq_add_own(&u, SPAN("\"claude\"")));
    ck_assert(upreq_add_borrowed(&u, SPAN("")));
    ck_assert(upreq_add_own(&u, SPAN("")));
    ck_assert(upreq_add_borrowed(&u, SPAN(",\"a\":1")));
    ck_assert(upreq_add_own(&u, SPAN(",\"b\":2")));
    ck_assert(upreq_add_borrowed(&u, SPAN("}")));
}

START_TEST(reads_the_body_at_every_offset_and_size)
{
    static const char want[] = "{\"model\":\"claude\",\"a\":1,\"b\":2}";
    const size_t len = sizeof(want) - 1;
    build_body();
    ck_assert_uint_eq(u.body_len, len);
    ck_assert_int_eq(u.n_pieces, 5);
    for (size_t offset = 0; offset <= len + 2; offset++) {
        for (size_t cap = 0; cap <= len + 2; cap++) {
            char out[64];
            memset(out, '?', sizeof(out));
            size_t left = offset < len ? len - offset : 0;
            size_t n = left < cap ? left : cap;
            ck_assert_uint_eq(upreq_read(&u, offset, out, cap), n);
            ck_assert(n == 0 || memcmp(out, want + offset, n) == 0);
            ck_assert_int_eq(out[n], '?');
        }
    }
}
END_TEST

START_TEST(borrowed_bytes_are_not_copied)
{
    char body[] = "abc";
    ck_assert(upreq_add_borrowed(&u, (struct span){body, 3}));
    body[1] = 'X';
    char out[3];
    ck_assert_uint_eq(upreq_read(&u, 0, out, 3), 3);
    ck_assert_mem_eq(out, "aXc", 3);
}
END_TEST

START_TEST(own_bytes_are_copied_and_survive_growth)
{
    char piece[600];
    char want[50 * sizeof(piece)];
    for (size_t i = 0; i < 50; i++) {
        memset(piece, (int)('A' + i), sizeof(piece));
        memcpy(want + i * sizeof(piece), piece, sizeof(piece));
        ck_assert(upreq_add_own(&u, (struct span){piece, sizeof(piece)}));
    }
    char out[sizeof(want)];
    ck_assert_uint_eq(upreq_read(&u, 0, out, sizeof(out)), sizeof(want));
    ck_assert_mem_eq(out, want, sizeof(want));
}
END_TEST

START_TEST(pieces_are_bounded)
{
    for (int i = 0; i < UPREQ_PIECES_MAX; i++)
        ck_assert(upreq_add_borrowed(&u, SPAN("x")));
    ck_assert(!upreq_add_borrowed(&u, SPAN("y")));
    ck_assert(!upreq_add_own(&u, SPAN("y")));
    ck_assert_uint_eq(u.body_len, UPREQ_PIECES_MAX);
    ck_assert_uint_eq(u.own.len, 0);
}
END_TEST

START_TEST(own_is_bounded)
{
    static char big[UPREQ_OWN_MAX + 1];
    ck_assert(!upreq_add_own(&u, (struct span){big, sizeof(big)}));
    ck_assert_int_eq(u.n_pieces, 0);
    ck_assert_uint_eq(u.body_len, 0);
}
END_TEST

START_TEST(done_makes_it_new)
{
    build_body();
    ck_assert(upreq_set_url(&u, "http://a", "b"));
    ck_assert(upreq_add_header(&u, SPAN("a"), SPAN("b")));
    upreq_done(&u);
    ck_assert_ptr_null(u.url);
    ck_assert_int_eq(u.n_headers, 0);
    ck_assert_int_eq(u.n_pieces, 0);
    ck_assert_uint_eq(u.body_len, 0);
    ck_assert_ptr_null(upreq_next_header(&u, NULL));
    build_body();
    ck_assert_int_eq(u.n_pieces, 5);
}
END_TEST

Suite *upreq_suite(void);
Suite *upreq_suite(void)
{
    Suite *s = suite_create("upreq");
    TCase *t = tcase_create("upreq");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, url_has_one_slash_at_the_joint, 0, ROWS(joins));
    tcase_add_loop_test(t, bad_url_leaves_the_old_one, 0, ROWS(bad_urls));
    tcase_add_test(t, url_length_is_bounded);
    tcase_add_test(t, headers_in_order);
    tcase_add_test(t, header_bytes);
    tcase_add_test(t, header_injection);
    tcase_add_test(t, headers_are_bounded);
    tcase_add_test(t, reads_the_body_at_every_offset_and_size);
    tcase_add_test(t, borrowed_bytes_are_not_copied);
    tcase_add_test(t, own_bytes_are_copied_and_survive_growth);
    tcase_add_test(t, pieces_are_bounded);
    tcase_add_test(t, own_is_bounded);
    tcase_add_test(t, done_makes_it_new);
    suite_add_tcase(s, t);
    return s;
}
