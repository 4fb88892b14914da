/* Unit tests of schema/http1.c.  What was told is logged as one line, so that a table row is one
 * string: "200[Name: value|...]{body} keep +rest". */
#include <check.h>
#include <stdlib.h>

#include "schema/http1.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

enum { HEADERS_MAX = 400 };

static struct http1 h;
static struct buf seen;

static void set_up(void)
{
    http1_init(&h, HEADERS_MAX);
    buf_init(&seen, 1 << 20);
}

static void tear_down(void)
{
    http1_done(&h);
    buf_done(&seen);
}

static void log_head(void)
{
    buf_addf(&seen, "%d[", h.status);
    MUST(h.headers.len == h.line_begin);
    for (size_t i = 0; i < h.headers.len; i++)
        buf_addc(&seen, h.headers.ptr[i] != '\0' ? h.headers.ptr[i]
                        : i + 1 == h.headers.len ? ']'
                                                 : '|');
    if (h.headers.len == 0)
        buf_addc(&seen, ']');
    buf_addc(&seen, '{');
}

/* One piece, in memory of exactly its size that is gone afterwards.  Returns the last event. */
static enum http1_event feed(struct span piece, size_t *ret_left)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1);
    MUST(copy != NULL);
    memcpy(copy, piece.ptr, piece.len);
    char *at = copy;
    size_t len = piece.len;
    struct span body;
    enum http1_event e;
    for (;;) {
        e = http1_read(&h, &at, &len, &body);
        if (e == HTTP1_HEAD) {
            log_head();
        } else if (e == HTTP1_BODY) {
            MUST(body.len > 0 && body.ptr >= copy && body.ptr + body.len <= copy + piece.len);
            buf_add_span(&seen, body);
        } else {
            break;
        }
    }
    MUST(e != HTTP1_MORE || len == 0);
    *ret_left = len;
    free(copy);
    return e;
}

/* The pieces end at the cuts. */
static const char *read_in_pieces(struct span s, const size_t *cuts, int n_cuts)
{
    enum http1_event e = HTTP1_MORE;
    size_t left = 0, begin = 0;
    http1_reset(&h);
    buf_reset(&seen);
    buf_adds(&seen, "");
    for (int i = 0; i <= n_cuts && e == HTTP1_MORE; i++) {
        size_t end = i < n_cuts ? cuts[i] : s.len;
        e = feed((struct span){s.ptr + begin, end - begin}, &left);
        begin = end;
    }
    if (h.status >= 200 && h.step != 0 && seen.len > 0)
        buf_addc(&seen, '}');
    if (e == HTTP1_END) {
        left += s.len - begin;
        buf_adds(&seen, h.keep_alive ? " keep" : " close");
        if (left > 0) {
            buf_adds(&seen, " +");
            buf_add(&seen, s.ptr + s.len - left, left);
        }
        MUST(http1_eof(&h));
    } else if (e == HTTP1_BROKEN) {
        buf_adds(&seen, h.too_large ? " too large" : " broken");
        MUST(!http1_eof(&h));
        MUST(feed(SPAN("HTTP/1.1 200 OK\r\n\r\n"), &left) == HTTP1_BROKEN);
    } else {
        buf_adds(&seen, http1_eof(&h) ? " by eof" : " truncated");
        MUST(!h.keep_alive || h.step != 0);
    }
    return seen.ptr;
}

/* Whole, byte by byte, and cut in two at each place: the same. */
static void check_row(const char *name, struct span s, const char *want)
{
    size_t each[4096];
    ck_assert_msg(strcmp(read_in_pieces(s, NULL, 0), want) == 0, "%s: %s", name, seen.ptr);
    MUST(s.len <= 4096);
    for (size_t i = 0; i < s.len; i++) {
        each[i] = i;
        if (strcmp(read_in_pieces(s, &i, 1), want) != 0)
            ck_abort_msg("%s, cut at %zu: %s", name, i, seen.ptr);
    }
    if (strcmp(read_in_pieces(s, each, (int)s.len), want) != 0)
        ck_abort_msg("%s, bytewise: %s", name, seen.ptr);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CL "Content-Length: 5\r\n"
#define TE "Transfer-Encoding: chunked\r\n"

static const struct {
    const char *name;
    struct span answer;
    const char *want;
} answers[] = {
    {"length", TEXT(OK CL "\r\nhello"), "200[Content-Length: 5]{hello} keep"},
    {"no body", TEXT(OK "Content-Length: 0\r\n\r\n"), "200[Content-Length: 0]{} keep"},
    {"more than its length", TEXT(OK CL "\r\nhelloHTTP"),
     "200[Content-Length: 5]{hello} keep +HTTP"},
    {"less than its length", TEXT(OK CL "\r\nhell"), "200[Content-Length: 5]{hell} truncated"},
    {"nothing", TEXT(""), " truncated"},
    {"half a status line", TEXT("HTTP/1.1 20"), " truncated"},
    {"half a head", TEXT(OK CL), " truncated"},
    {"up to the end", TEXT(OK "\r\nhello"), "200[]{hello} by eof"},
    {"empty up to the end", TEXT(OK "\r\n"), "200[]{} by eof"},
    {"close", TEXT(OK CL "Connection: close\r\n\r\nhello"),
     "200[Content-Length: 5|Connection: close]{hello} close"},
    {"close among others", TEXT(OK CL "connection: x-a, CLOSE ,keep-alive\r\n\r\nhello"),
     "200[Content-Length: 5|connection: x-a, CLOSE ,keep-alive]{hello} close"},
    {"close in two fields", TEXT(OK CL "Connection: close\r\nConnection: keep-alive\r\n\r\nhello"),
     "200[Content-Length: 5|Connection: close|Connection: keep-alive]{hello} close"},
    {"not close", TEXT(OK CL "Connection: closed\r\n\r\nhello"),
     "200[Content-Length: 5|Connection: closed]{hello} keep"},
    {"1.0", TEXT("HTTP/1.0 200 OK\r\n" CL "\r\nhello"), "200[Content-Length: 5]{hello} close"},
    {"1.0 keep-alive", TEXT("HTTP/1.0 200 OK\r\n" CL "Connection: Keep-Alive\r\n\r\nhello"),
     "200[Content-Length: 5|Connection: Keep-Alive]{hello} keep"},
    {"1.0 up to the end", TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello"),
     "200[Connection: keep-alive]{hello} by eof"},
    {"1.0 chunked", TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" TE "\r\n0\r\n\r\n"),
     "200[Connection: keep-alive|Transfer-Encoding: chunked]{} close"},
    {"no reason", TEXT("HTTP/1.1 200\r\n" CL "\r\nhello"), "200[Content-Length: 5]{hello} keep"},
    {"empty reason", TEXT("HTTP/1.1 200 \r\n" CL "\r\nhello"),
     "200[Content-Length: 5]{hello} keep"},
    {"204", TEXT("HTTP/1.1 204 No Content\r\n\r\n"), "204[]{} keep"},
    {"204 with length", TEXT("HTTP/1.1 204 x\r\n" CL "\r\nhello"),
     "204[Content-Length: 5]{} keep +hello"},
    {"304", TEXT("HTTP/1.1 304 x\r\n" TE "\r\n"), "304[Transfer-Encoding: chunked]{} keep"},
    {"429", TEXT("HTTP/1.1 429 Slow\r\nRetry-After: 1\r\n" CL "\r\nhello"),
     "429[Retry-After: 1|Content-Length: 5]{hello} keep"},
    {"blanks around values", TEXT(OK "A: \t b \t\r\nContent-Length:\t5 \r\n\r\nhello"),
     "200[A: \t b \t|Content-Length:\t5 ]{hello} keep"},
    {"empty value", TEXT(OK "A:\r\n" CL "\r\nhello"), "200[A:|Content-Length: 5]{hello} keep"},
    {"bytes above ASCII", TEXT(OK "A: \xc3\xbc\xff\r\n" CL "\r\nhello"),
     "200[A: \xc3\xbc\xff|Content-Length: 5]{hello} keep"},
    {"length twice", TEXT(OK CL CL "\r\nhello"),
     "200[Content-Length: 5|Content-Length: 5]{hello} keep"},
    {"length with zeros", TEXT(OK "Content-Length: 0005\r\n\r\nhello"),
     "200[Content-Length: 0005]{hello} keep"},
    {"interim",
     TEXT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: <a>\r\n" CL
          "Connection: close\r\n\r\n" OK "\r\nhello"),
     "200[]{hello} by eof"},
    {"interim only", TEXT("HTTP/1.1 100 Continue\r\n\r\n"), " truncated"},

    {"chunks", TEXT(OK TE "\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{hello!} keep"},
    {"chunks, more", TEXT(OK TE "\r\n5\r\nhello\r\n0\r\n\r\nHTTP"),
     "200[Transfer-Encoding: chunked]{hello} keep +HTTP"},
    {"chunk in hexadecimal", TEXT(OK TE "\r\n00A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{01234567890123456789} keep"},
    {"chunk extensions", TEXT(OK TE "\r\n5;a=\"b;c\"\r\nhello\r\n1 \t\r\n!\r\n0;x\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{hello!} keep"},
    {"chunk with line ends", TEXT(OK TE "\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{\r\n\r\n} keep"},
    {"trailers", TEXT(OK TE "\r\n1\r\nx\r\n0\r\nA: b\r\nContent-Length: 7\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{x} keep"},
    {"chunked and length", TEXT(OK CL TE "\r\n1\r\nx\r\n0\r\n\r\n"),
     "200[Content-Length: 5|Transfer-Encoding: chunked]{x} close"},
    {"length and chunked", TEXT(OK TE CL "\r\n1\r\nx\r\n0\r\n\r\n"),
     "200[Transfer-Encoding: chunked|Content-Length: 5]{x} close"},
    {"CHUNKED", TEXT(OK "transfer-encoding:CHUNKED\r\n\r\n0\r\n\r\n"),
     "200[transfer-encoding:CHUNKED]{} keep"},
    {"no last chunk", TEXT(OK TE "\r\n5\r\nhello\r\n"),
     "200[Transfer-Encoding: chunked]{hello} truncated"},
    {"half a chunk", TEXT(OK TE "\r\n5\r\nhel"), "200[Transfer-Encoding: chunked]{hel} truncated"},
    {"no end of the trailers", TEXT(OK TE "\r\n5\r\nhello\r\n0\r\n"),
     "200[Transfer-Encoding: chunked]{hello} truncated"},
    {"half an end", TEXT(OK TE "\r\n5\r\nhello\r\n0\r\n\r"),
     "200[Transfer-Encoding: chunked]{hello} truncated"},

    {"no HTTP", TEXT("hello world, this is no HTTP\r\n\r\n"), " broken"},
    {"HTTP/2", TEXT("HTTP/2 200 OK\r\n\r\n"), " broken"},
    {"HTTP/2.0", TEXT("HTTP/2.0 200 OK\r\n\r\n"), " broken"},
    {"lower case", TEXT("http/1.1 200 OK\r\n\r\n"), " broken"},
    {"two blanks", TEXT("HTTP/1.1  200 OK\r\n\r\n"), " broken"},
    {"two digits", TEXT("HTTP/1.1 20 OK\r\n\r\n"), " broken"},
    {"four digits", TEXT("HTTP/1.1 2000 OK\r\n\r\n"), " broken"},
    {"status 099", TEXT("HTTP/1.1 099 OK\r\n\r\n"), " broken"},
    {"status -20", TEXT("HTTP/1.1 -20 OK\r\n\r\n"), " broken"},
    {"empty line first", TEXT("\r\n" OK "\r\n"), " broken"},
    {"switching protocols", TEXT("HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n"), " broken"},
    {"NUL in the status line", TEXT("HTTP/1.1 200 O\0K\r\n\r\n"), " broken"},
    {"bare LF in the status line", TEXT("HTTP/1.1 200 OK\n\r\n"), " broken"},
    {"bare LF in a field", TEXT(OK "A: b\nC: d\r\n\r\n"), " broken"},
    {"bare LF ends the head", TEXT(OK "A: b\r\n\n"), " broken"},
    {"CR in a field", TEXT(OK "A: b\rC: d\r\n\r\n"), " broken"},
    {"CR CR LF", TEXT(OK "A: b\r\r\n\r\n"), " broken"},
    {"NUL in a value", TEXT(OK "A: b\0c\r\n\r\n"), " broken"},
    {"NUL in a name", TEXT(OK "A\0: b\r\n\r\n"), " broken"},
    {"control byte in a value", TEXT(OK "A: b\x1b[0m\r\n\r\n"), " broken"},
    {"DEL in a value", TEXT(OK "A: b\x7f\r\n\r\n"), " broken"},
    {"folded field", TEXT(OK "A: b\r\n c\r\n\r\n"), " broken"},
    {"folded with TAB", TEXT(OK "Transfer-Encoding:\r\n\tchunked\r\n\r\n"), " broken"},
    {"blank before the colon", TEXT(OK "Content-Length : 5\r\n\r\nhello"), " broken"},
    {"blank in a name", TEXT(OK "A b: c\r\n\r\n"), " broken"},
    {"no colon", TEXT(OK "A\r\n\r\n"), " broken"},
    {"no name", TEXT(OK ": b\r\n\r\n"), " broken"},
    {"name above ASCII", TEXT(OK "\xc3\xbc: b\r\n\r\n"), " broken"},
    {"different lengths", TEXT(OK CL "Content-Length: 6\r\n\r\nhello!"), " broken"},
    {"list of lengths", TEXT(OK "Content-Length: 5, 5\r\n\r\nhello"), " broken"},
    {"no length", TEXT(OK "Content-Length:\r\n\r\nhello"), " broken"},
    {"signed length", TEXT(OK "Content-Length: +5\r\n\r\nhello"), " broken"},
    {"negative length", TEXT(OK "Content-Length: -5\r\n\r\nhello"), " broken"},
    {"hexadecimal length", TEXT(OK "Content-Length: 0x5\r\n\r\nhello"), " broken"},
    {"length with a blank", TEXT(OK "Content-Length: 5 5\r\n\r\nhello"), " broken"},
    {"length with a fraction", TEXT(OK "Content-Length: 5.0\r\n\r\nhello"), " broken"},
    {"length of 2^64 + 5", TEXT(OK "Content-Length: 18446744073709551621\r\n\r\nhello"), " broken"},
    {"length of 2^63", TEXT(OK "Content-Length: 9223372036854775808\r\n\r\nhello"), " broken"},
    {"gzip, chunked", TEXT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), " broken"},
    {"identity", TEXT(OK "Transfer-Encoding: identity\r\n\r\nhello"), " broken"},
    {"xchunked", TEXT(OK "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), " broken"},
    {"no coding", TEXT(OK "Transfer-Encoding:\r\n\r\n0\r\n\r\n"), " broken"},
    {"chunked twice", TEXT(OK TE TE "\r\n0\r\n\r\n"), " broken"},
    {"chunked, gzip", TEXT(OK TE "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"), " broken"},

    {"no size", TEXT(OK TE "\r\n\r\nhello"), "200[Transfer-Encoding: chunked]{} broken"},
    {"size of no digits", TEXT(OK TE "\r\nx\r\nhello"), "200[Transfer-Encoding: chunked]{} broken"},
    {"signed size", TEXT(OK TE "\r\n-5\r\nhello"), "200[Transfer-Encoding: chunked]{} broken"},
    {"size 0x5", TEXT(OK TE "\r\n0x5\r\nhello"), "200[Transfer-Encoding: chunked]{} broken"},
    {"blank before the size", TEXT(OK TE "\r\n 5\r\nhello"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"only an extension", TEXT(OK TE "\r\n;a\r\nhello"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"size of 2^64 + 5", TEXT(OK TE "\r\n10000000000000005\r\nhello"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"size of 2^63", TEXT(OK TE "\r\n8000000000000000\r\nhello"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"bare LF behind the size", TEXT(OK TE "\r\n5\nhello"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"bare LF in an extension", TEXT(OK TE "\r\n5;a\nhello\r\n"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"CR without LF behind the size", TEXT(OK TE "\r\n5\rxhello"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"chunk longer than its size", TEXT(OK TE "\r\n5\r\nhello!\r\n0\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{hello} broken"},
    {"bare LF behind a chunk", TEXT(OK TE "\r\n5\r\nhello\n0\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{hello} broken"},
    {"CR without LF behind a chunk", TEXT(OK TE "\r\n5\r\nhello\r0\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{hello} broken"},
    {"bare LF in the trailers", TEXT(OK TE "\r\n0\r\nA: b\n\r\n"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"bare LF ends the trailers", TEXT(OK TE "\r\n0\r\n\n"),
     "200[Transfer-Encoding: chunked]{} broken"},
    {"folded trailer", TEXT(OK TE "\r\n0\r\nA: b\r\n c\r\n\r\n"),
     "200[Transfer-Encoding: chunked]{} broken"},
};

START_TEST(each_answer)
{
    check_row(answers[_i].name, answers[_i].answer, answers[_i].want);
}
END_TEST

/* n times the piece between head and tail. */
static struct buf repeated(const char *head, const char *piece, int n, const char *tail)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_adds(&b, head);
    for (int i = 0; i < n; i++)
        buf_adds(&b, piece);
    buf_adds(&b, tail);
    return b;
}

static const struct {
    const char *name, *head, *piece;
    int fits;
    const char *tail, *good, *bad;
} limits[] = {
    {"one long line", OK "A: ", "x", HEADERS_MAX - 6, "\r\n\r\n", NULL, " too large"},
    {"many lines", OK, "A: b\r\n", (HEADERS_MAX - 2) / 5, "\r\n", NULL, " too large"},
    {"a line without an end", OK "A: ", "x", HEADERS_MAX - 3, "", " truncated", " too large"},
    {"interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n", HTTP1_INTERIM_MAX, OK CL "\r\nhello",
     "200[Content-Length: 5]{hello} keep", " broken"},
    {"zeros of a size", OK TE "\r\n", "0", HTTP1_CHUNK_LINE_MAX, "\r\n\r\n",
     "200[Transfer-Encoding: chunked]{} keep", "200[Transfer-Encoding: chunked]{} broken"},
    {"an extension", OK TE "\r\n0;", "x", HTTP1_CHUNK_LINE_MAX - 2, "\r\n\r\n",
     "200[Transfer-Encoding: chunked]{} keep", "200[Transfer-Encoding: chunked]{} too large"},
    {"trailers", OK TE "\r\n0\r\n", "A: b\r\n", (HTTP1_TRAILERS_MAX - 1) / 5, "\r\n",
     "200[Transfer-Encoding: chunked]{} keep", "200[Transfer-Encoding: chunked]{} too large"},
};

START_TEST(each_limit)
{
    for (int more = 0; more < 2; more++) {
        struct buf b =
            repeated(limits[_i].head, limits[_i].piece, limits[_i].fits + more, limits[_i].tail);
        const char *want = more ? limits[_i].bad : limits[_i].good;
        const char *got = read_in_pieces(buf_span(&b), NULL, 0);
        if (want == NULL)
            ck_assert_msg(strstr(got, "]{} by eof") != NULL, "%s: %s", limits[_i].name, got);
        else
            ck_assert_msg(strcmp(got, want) == 0, "%s: %s", limits[_i].name, got);
        buf_done(&b);
    }
}
END_TEST

/* Chunks that come together are told together, and in place. */
START_TEST(chunks_together)
{
    char bytes[] = OK TE "\r\n3\r\nabc\r\n4\r\ndefg\r\n1\r\nh\r\n0\r\n\r\nrest";
    char *at = bytes;
    size_t len = sizeof bytes - 1;
    struct span body;
    ck_assert_int_eq(http1_read(&h, &at, &len, &body), HTTP1_HEAD);
    ck_assert_int_eq(http1_read(&h, &at, &len, &body), HTTP1_BODY);
    ck_assert(span_is(body, "abcdefgh"));
    ck_assert(body.ptr > bytes && body.ptr < bytes + sizeof bytes);
    ck_assert_int_eq(http1_read(&h, &at, &len, &body), HTTP1_END);
    ck_assert(span_is((struct span){at, len}, "rest"));
}
END_TEST

/* The head of a second answer owes nothing to the first. */
START_TEST(one_after_the_other)
{
    static const char first[] =
        "HTTP/1.0 500 x\r\nA: b\r\nConnection: close\r\n" CL TE "\r\n1\r\nx\r\n0\r\n\r\n";
    read_in_pieces(SPAN(first), NULL, 0);
    ck_assert_str_eq(seen.ptr, "500[A: b|Connection: close|Content-Length: 5|Transfer-Encoding: "
                               "chunked]{x} close");
    read_in_pieces(SPAN(OK CL "\r\nhello"), NULL, 0);
    ck_assert_str_eq(seen.ptr, "200[Content-Length: 5]{hello} keep");
}
END_TEST

static const struct {
    const char *base, *path, *host, *begin;
} targets[] = {
    {"https://api.example", "/v1/messages", "api.example",
     "POST /v1/messages HTTP/1.1\r\nHost: api.example\r\n"},
    {"http://127.0.0.1:80", "/v1?a=b&c#d", "127.0.0.1", "POST /v1?a=b&c HTTP/1.1\r\nHost: 127"},
    {"http://[::1]:8080/x", "", "[::1]:8080", "POST /x/ HTTP/1.1\r\nHost: [::1]:8080\r\n"},
    {"http://a?x=/", "", "a", "POST /?x=/ HTTP/1.1\r\nHost: a\r\n"},
};

START_TEST(head_of_a_request)
{
    for (int i = 0; i < ROWS(targets); i++) {
        struct upreq u;
        struct buf out;
        upreq_init(&u);
        buf_init(&out, 1 << 16);
        ck_assert(upreq_set_url(&u, targets[i].base, targets[i].path));
        ck_assert(upreq_add_header(&u, SPAN("x-api-key"), SPAN("sk-1")));
        ck_assert(upreq_add_header(&u, SPAN("x-empty"), SPAN("")));
        ck_assert(upreq_add_borrowed(&u, SPAN("0123456")));
        ck_assert(upreq_add_own(&u, SPAN("789")));
        ck_assert(http1_write_head(&u, targets[i].host, &out));
        size_t n = strlen(targets[i].begin);
        ck_assert_msg(out.len > n && memcmp(out.ptr, targets[i].begin, n) == 0, "%s", out.ptr);
        ck_assert_ptr_nonnull(
            strstr(out.ptr, "\r\nx-api-key: sk-1\r\nx-empty:\r\nContent-Length: 10\r\n\r\n"));
        ck_assert_ptr_eq(strstr(out.ptr, "\r\n\r\n"), out.ptr + out.len - 4);
        buf_done(&out);
        upreq_done(&u);
    }
}
END_TEST

START_TEST(request_without_memory)
{
    struct upreq u;
    struct buf out;
    upreq_init(&u);
    buf_init(&out, 40);
    ck_assert(upreq_set_url(&u, "http://a", "/a/path/that/is/longer/than/forty/bytes"));
    ck_assert(!http1_write_head(&u, "a", &out));
    upreq_done(&u);
    buf_done(&out);
}
END_TEST

Suite *http1_suite(void);
Suite *http1_suite(void)
{
    Suite *s = suite_create("http1");
    TCase *t = tcase_create("http1");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, each_answer, 0, ROWS(answers));
    tcase_add_loop_test(t, each_limit, 0, ROWS(limits));
    tcase_add_test(t, chunks_together);
    tcase_add_test(t, one_after_the_other);
    tcase_add_test(t, head_of_a_request);
    tcase_add_test(t, request_without_memory);
    suite_add_tcase(s, t);
    return s;
}
