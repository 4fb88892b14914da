/* Unit tests of schema/sse.c.  Events are logged as "name|data\n" with LF in data as
 * "\\n", so that a table row is one string. */
#include <check.h>
#include <stdlib.h>

#include "schema/sse.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* For the long loops: ck_assert writes a record for every passed check, which the
 * runner then has to read. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

enum { MAX = 1000 };

static struct sse sse;
static struct buf seen;

static void setup(void)
{
    sse_init(&sse, MAX);
    buf_init(&seen, 1 << 20);
    buf_adds(&seen, "");
}

static void teardown(void)
{
    sse_done(&sse);
    buf_done(&seen);
}

static bool log_event(void *ctx, const struct sse_event *ev)
{
    MUST(ev->has_data);
    MUST(sse_at_boundary(ctx));
    buf_add_span(&seen, ev->name);
    buf_addc(&seen, '|');
    for (size_t i = 0; i < ev->data.len; i++) {
        if (ev->data.ptr[i] == '\n')
            buf_adds(&seen, "\\n");
        else
            buf_addc(&seen, ev->data.ptr[i]);
    }
    return buf_addc(&seen, '\n');
}

/* Each piece in memory of exactly its size that is gone after the call. */
static bool feed(struct span piece)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1);
    MUST(copy != NULL);
    memcpy(copy, piece.ptr, piece.len);
    bool ok = sse_feed(&sse, (struct span){copy, piece.len}, log_event, &sse);
    memset(copy, '#', piece.len);
    free(copy);
    return ok;
}

static void again(void)
{
    sse_done(&sse);
    buf_reset(&seen);
}

static struct span slice(struct span s, size_t begin, size_t end)
{
    return (struct span){s.ptr + begin, end - begin};
}

static const struct {
    const char *name;
    struct span stream;
    const char *events;
} rows[] = {
    {"nothing", TEXT(""), ""},
    {"one event", TEXT("data: a\n\n"), "|a\n"},
    {"named event", TEXT("event: ping\ndata: {}\n\n"), "ping|{}\n"},
    {"name after data", TEXT("data: {}\nevent: ping\n\n"), "ping|{}\n"},
    {"two events", TEXT("event: a\ndata: 1\n\nevent: b\ndata: 2\n\n"), "a|1\nb|2\n"},
    {"name does not last", TEXT("event: a\ndata: 1\n\ndata: 2\n\n"), "a|1\n|2\n"},
    {"last name wins", TEXT("event: a\nevent: b\ndata: 1\n\n"), "b|1\n"},
    {"empty name wins", TEXT("event: a\nevent:\ndata: 1\n\n"), "|1\n"},
    {"CRLF", TEXT("event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n"), "a|1\n|2\n"},
    {"CR", TEXT("event: a\rdata: 1\r\rdata: 2\r\r"), "a|1\n|2\n"},
    {"mixed line ends", TEXT("event: a\rdata: 1\n\r\ndata: 2\r\n\n"), "a|1\n|2\n"},
    {"CR, blank by LF after CRLF", TEXT("data: 1\r\n\ndata: 2\n\r"), "|1\n|2\n"},
    {"LF CR are two line ends", TEXT("data: 1\n\rdata: 2\n\r"), "|1\n|2\n"},
    {"CR CR LF", TEXT("data: 1\r\r\ndata: 2\r\r\n"), "|1\n|2\n"},
    {"no final blank line", TEXT("data: 1\n\ndata: 2\n"), "|1\n"},
    {"no final line end", TEXT("data: 1\n\ndata: 2"), "|1\n"},
    {"many lines of data", TEXT("data: 1\ndata: 2\ndata: 3\n\n"), "|1\\n2\\n3\n"},
    {"empty lines of data", TEXT("data:\ndata:\n\n"), "|\\n\n"},
    {"empty data is an event", TEXT("data:\n\n"), "|\n"},
    {"data without colon", TEXT("data\n\n"), "|\n"},
    {"data without colon twice", TEXT("data\ndata\n\n"), "|\\n\n"},
    {"name without data is none", TEXT("event: a\n\ndata: 1\n\n"), "|1\n"},
    {"one space goes", TEXT("data:  a \n\n"), "| a \n"},
    {"no space", TEXT("data:a\n\n"), "|a\n"},
    {"tab stays", TEXT("data:\ta\n\n"), "|\ta\n"},
    {"colons in data", TEXT("data: a:b: c\n\n"), "|a:b: c\n"},
    {"space before the colon is another field", TEXT("data : a\n\n"), ""},
    {"space before the field is another field", TEXT(" data: a\n\n"), ""},
    {"field names are exact", TEXT("Data: a\nDATA: b\ndat: c\ndatas: d\n\n"), ""},
    {"comment", TEXT(": hi\n\n"), ""},
    {"bare comment", TEXT(":\n\n"), ""},
    {"comment inside an event", TEXT("data: 1\n: hi\ndata: 2\n\n"), "|1\\n2\n"},
    {"comment that looks like data", TEXT(":data: 1\n\n"), ""},
    {"other fields", TEXT("id: 7\nretry: 10\nfoo: bar\ndata: 1\n\n"), "|1\n"},
    {"other fields only", TEXT("id: 7\n\n"), ""},
    {"blank lines", TEXT("\n\n\r\n\r\ndata: 1\n\n\n\n"), "|1\n"},
    {"BOM",
     TEXT("\xef\xbb\xbf"
          "data: 1\n\n"),
     "|1\n"},
    {"BOM alone on its line", TEXT("\xef\xbb\xbf\ndata: 1\n\n"), "|1\n"},
    {"BOM before a comment", TEXT("\xef\xbb\xbf: x\ndata: 1\n\n"), "|1\n"},
    {"two BOMs",
     TEXT("\xef\xbb\xbf\xef\xbb\xbf"
          "data: 1\n\n"),
     ""},
    {"BOM later",
     TEXT("\n\xef\xbb\xbf"
          "data: 1\n\n"),
     ""},
    {"half a BOM",
     TEXT("\xef\xbb"
          "data: 1\n\ndata: 2\n\n"),
     "|2\n"},
    {"NUL is data", TEXT("data: a\0b\n\n"), NULL},
    {"UTF-8", TEXT("data: \xc3\xa9\xf0\x9f\x98\x80\n\n"), "|\xc3\xa9\xf0\x9f\x98\x80\n"},
    {"line separators of Unicode are data",
     TEXT("data: a\xe2\x80\xa8"
          "b\xc2\x85\v\f\n\n"),
     "|a\xe2\x80\xa8"
     "b\xc2\x85\v\f\n"},
    {"done marker", TEXT("data: {\"a\":1}\n\ndata: [DONE]\n\n"), "|{\"a\":1}\n|[DONE]\n"},
    {"long names and data",
     TEXT("event: content_block_delta_with_a_long_name\ndata: {\"type\":\"content_block_delta\","
          "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello, world\"}}\n\n"),
     "content_block_delta_with_a_long_name|{\"type\":\"content_block_delta\",\"index\":0,"
     "\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello, world\"}}\n"},
};

static void expect(int row)
{
    if (rows[row].events == NULL) {
        MUST(seen.len == 5 && memcmp(seen.ptr, "|a\0b\n", 5) == 0);
    } else if (!span_is(buf_span(&seen), rows[row].events)) {
        ck_abort_msg("%s: %s", rows[row].name, seen.ptr);
    }
}

START_TEST(whole)
{
    MUST(feed(rows[_i].stream));
    expect(_i);
}
END_TEST

START_TEST(byte_by_byte)
{
    for (size_t i = 0; i < rows[_i].stream.len; i++) {
        MUST(feed((struct span){"", 0}));
        MUST(feed(slice(rows[_i].stream, i, i + 1)));
    }
    expect(_i);
}
END_TEST

START_TEST(every_pair_of_cuts)
{
    struct span s = rows[_i].stream;
    for (size_t a = 0; a <= s.len; a++) {
        for (size_t b = a; b <= s.len; b++) {
            MUST(feed(slice(s, 0, a)));
            MUST(feed(slice(s, a, b)));
            MUST(feed(slice(s, b, s.len)));
            expect(_i);
            again();
        }
    }
}
END_TEST

/* boundary: one character per place in the stream, before the first byte to after the
 * last: 'y' where bytes may be inserted. */
static const struct {
    struct span stream;
    const char *boundary;
} boundaries[] = {
    {TEXT(""), "y"},
    {TEXT("data:1\n\n"), "ynnnnnnny"},
    {TEXT("data:1\n\ndata:2\n\n"), "ynnnnnnnynnnnnnny"},
    {TEXT("data:1\r\n\r\n"), "ynnnnnnnnyy"},
    {TEXT("data:1\r\r"), "ynnnnnnny"},
    {TEXT("event:e\n\n"), "ynnnnnnnny"},
    {TEXT("id:1\n\n"), "ynnnnny"},
    {TEXT(":c\n\n"), "ynnyy"},
    {TEXT(":c\r\n\r\n"), "ynnyyyy"},
    {TEXT("data:1\n:c\n\n"), "ynnnnnnnnnny"},
    {TEXT("\n\r\n\r"), "yyyyy"},
    {TEXT("\xef\xbb\xbf"
          ":c\n"),
     "ynnynny"},
    {TEXT("\n\xef\xbb\xbf\n"), "yynnnn"},
    {TEXT("\n\xef\xbb\xbf\n\n"), "yynnnny"},
};

START_TEST(boundary_is_exact)
{
    struct span s = boundaries[_i].stream;
    ck_assert_uint_eq(strlen(boundaries[_i].boundary), s.len + 1);
    for (size_t i = 0; i <= s.len; i++) {
        bool want = boundaries[_i].boundary[i] == 'y';
        again();
        ck_assert(feed(slice(s, 0, i)));
        ck_assert_msg(sse_at_boundary(&sse) == want, "row %d, whole, place %zu", _i, i);
        again();
        for (size_t k = 0; k < i; k++)
            ck_assert(feed(slice(s, k, k + 1)));
        ck_assert_msg(sse_at_boundary(&sse) == want, "row %d, by byte, place %zu", _i, i);
    }
}
END_TEST

/* What the boundary is for: an event put in there arrives whole, and no other event
 * changes, for a reader that sees the result as one stream. */
START_TEST(insertion_at_a_boundary_breaks_nothing)
{
    struct span s = rows[_i].stream;
    struct buf mixed;
    buf_init(&mixed, 10000);
    for (size_t i = 1; i <= s.len; i++) {
        again();
        ck_assert(feed(slice(s, 0, i)));
        if (!sse_at_boundary(&sse))
            continue;
        size_t before = seen.len;
        again();
        buf_reset(&mixed);
        buf_add_span(&mixed, slice(s, 0, i));
        buf_adds(&mixed, "event: in\ndata: x\n\n");
        ck_assert(buf_add_span(&mixed, slice(s, i, s.len)));
        ck_assert(feed(buf_span(&mixed)));
        ck_assert_uint_ge(seen.len, before + 5);
        ck_assert_mem_eq(seen.ptr + before, "in|x\n", 5);
        memmove(seen.ptr + before, seen.ptr + before + 5, seen.len - before - 5 + 1);
        seen.len -= 5;
        expect(_i);
    }
    buf_done(&mixed);
}
END_TEST

struct place {
    struct span fed;
    int inside, outside;
};

static bool note_place(void *ctx, const struct sse_event *ev)
{
    struct place *p = ctx;
    bool in = ev->data.ptr >= p->fed.ptr && ev->data.ptr + ev->data.len <= p->fed.ptr + p->fed.len;
    *(in ? &p->inside : &p->outside) += 1;
    return true;
}

START_TEST(whole_data_is_handed_out_in_place)
{
    struct place p = {.fed = SPAN("event: a\ndata: 123\n\ndata: 456\r\n\r\ndata: 7\nevent: b\n\n")};
    ck_assert(sse_feed(&sse, p.fed, note_place, &p));
    ck_assert_int_eq(p.inside, 3);
    ck_assert_int_eq(p.outside, 0);
    ck_assert_uint_eq(sse.data.cap, 0);
    p.fed = SPAN("event: c\n");
    ck_assert(sse_feed(&sse, p.fed, note_place, &p));
    p.fed = SPAN("data: 8\n\n");
    ck_assert(sse_feed(&sse, p.fed, note_place, &p));
    ck_assert_int_eq(p.inside, 4);
    p.fed = SPAN("data: 1\ndata: 2\n\n");
    ck_assert(sse_feed(&sse, p.fed, note_place, &p));
    ck_assert_int_eq(p.outside, 1);
}
END_TEST

/* A stream of `lines` lines of data with n bytes each, whole or by byte. */
static bool feed_data(int lines, size_t n, bool whole_stream)
{
    struct buf b;
    buf_init(&b, 100000);
    buf_adds(&b, "data: first\n\n");
    for (int i = 0; i < lines; i++) {
        buf_adds(&b, "data: ");
        for (size_t k = 0; k < n; k++)
            buf_addc(&b, 'x');
        buf_addc(&b, '\n');
    }
    ck_assert(buf_adds(&b, "\ndata: last\n\n"));
    struct span s = buf_span(&b);
    bool ok = true;
    again();
    if (whole_stream)
        ok = feed(s);
    for (size_t i = 0; !whole_stream && i < s.len; i++)
        ok = feed(slice(s, i, i + 1)) && ok;
    buf_done(&b);
    return ok;
}

START_TEST(data_is_bounded_however_it_is_cut)
{
    bool how = _i == 0;
    ck_assert(feed_data(1, MAX, how));
    ck_assert_uint_eq(seen.len, 7 + MAX + 2 + 6);
    ck_assert(!feed_data(1, MAX + 1, how));
    ck_assert_str_eq(seen.ptr, "|first\n");
    ck_assert(feed_data(2, MAX / 2 - 1, how));
    ck_assert(!feed_data(2, MAX / 2, how));
    ck_assert_str_eq(seen.ptr, "|first\n");
    ck_assert(!feed_data(MAX + 2, 0, how));
    ck_assert(feed_data(MAX + 1, 0, how));
}
END_TEST

/* A line of n bytes that is no data, with or without its end. */
static bool feed_line(char first, size_t n, const char *end, bool whole_stream)
{
    char line[MAX + 2 * SSE_LINE_EXTRA];
    memset(line, 'x', sizeof(line));
    line[0] = first;
    memcpy(line + n, end, strlen(end));
    struct span s = {line, n + strlen(end)};
    bool ok = true;
    again();
    if (whole_stream)
        return feed(s);
    for (size_t i = 0; i < s.len; i++)
        ok = feed(slice(s, i, i + 1)) && ok;
    return ok;
}

START_TEST(lines_are_bounded_however_they_are_cut)
{
    bool how = _i == 0;
    const char firsts[] = {':', 'x'};
    for (int i = 0; i < 2; i++) {
        ck_assert(feed_line(firsts[i], MAX + SSE_LINE_EXTRA, "", how));
        ck_assert(feed_line(firsts[i], MAX + SSE_LINE_EXTRA, "\n", how));
        ck_assert(!feed_line(firsts[i], MAX + SSE_LINE_EXTRA + 1, "", how));
        ck_assert(!feed_line(firsts[i], MAX + SSE_LINE_EXTRA + 1, "\n", how));
    }
}
END_TEST

START_TEST(failure_lasts)
{
    ck_assert(!feed_line('x', MAX + SSE_LINE_EXTRA + 1, "\n", true));
    ck_assert(!feed(span_of("data: 1\n\n")));
    ck_assert(!feed((struct span){"", 0}));
    ck_assert_uint_eq(seen.len, 0);
    sse_done(&sse);
    ck_assert(feed(span_of("data: 1\n\n")));
    ck_assert_str_eq(seen.ptr, "|1\n");
}
END_TEST

static bool stop_at_second(void *ctx, const struct sse_event *ev)
{
    (void)ev;
    int *n = ctx;
    return ++*n < 2;
}

START_TEST(handler_stops_the_feed)
{
    int n = 0;
    struct span s = SPAN("data: 1\n\ndata: 2\n\ndata: 3\n\n");
    ck_assert(!sse_feed(&sse, s, stop_at_second, &n));
    ck_assert_int_eq(n, 2);
    ck_assert(!sse_feed(&sse, s, stop_at_second, &n));
    ck_assert_int_eq(n, 2);
}
END_TEST

/* A megabyte of line ends of each kind in one piece takes linear time: this test has
 * the default timeout. */
START_TEST(many_lines_are_linear)
{
    enum { SIZE = 1 << 20 };
    static char bytes[SIZE];
    static const char ends[] = {'\n', '\r'};
    for (size_t i = 0; i < sizeof(ends); i++) {
        memset(bytes, ends[i], SIZE);
        bytes[SIZE - 1] = 'd';
        again();
        ck_assert(feed((struct span){bytes, SIZE}));
        ck_assert(feed(span_of("ata: 1\n\n")));
        ck_assert_str_eq(seen.ptr, "|1\n");
    }
}
END_TEST

Suite *sse_suite(void);
Suite *sse_suite(void)
{
    Suite *s = suite_create("sse");
    TCase *t = tcase_create("sse");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, whole, 0, ROWS(rows));
    tcase_add_loop_test(t, byte_by_byte, 0, ROWS(rows));
    tcase_add_loop_test(t, insertion_at_a_boundary_breaks_nothing, 0, ROWS(rows));
    tcase_add_loop_test(t, boundary_is_exact, 0, ROWS(boundaries));
    tcase_add_test(t, whole_data_is_handed_out_in_place);
    tcase_add_loop_test(t, data_is_bounded_however_it_is_cut, 0, 2);
    tcase_add_loop_test(t, lines_are_bounded_however_they_are_cut, 0, 2);
    tcase_add_test(t, failure_lasts);
    tcase_add_test(t, handler_stops_the_feed);
    tcase_add_test(t, many_lines_are_linear);
    suite_add_tcase(s, t);
    TCase *slow = tcase_create("cuts");
    tcase_add_checked_fixture(slow, setup, teardown);
    tcase_set_timeout(slow, 60);
    tcase_add_loop_test(slow, every_pair_of_cuts, 0, ROWS(rows));
    suite_add_tcase(s, slow);
    return s;
}
