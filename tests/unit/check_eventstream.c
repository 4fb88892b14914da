/* Unit tests of schema/eventstream.c.  Messages are logged as "type|payload\n". */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/eventstream.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* For the long loops: ck_assert writes a record for every passed check, which the
 * runner then has to read. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

enum { MAX = 1000 };

static struct eventstream stream;
static struct buf seen, wire;

static void setup(void)
{
    eventstream_init(&stream, MAX);
    buf_init(&seen, 1 << 20);
    buf_init(&wire, 1 << 20);
    buf_adds(&seen, "");
}

static void teardown(void)
{
    eventstream_done(&stream);
    buf_done(&seen);
    buf_done(&wire);
}

static bool log_message(void *ctx, const struct eventstream_message *m)
{
    (void)ctx;
    MUST(eventstream_at_boundary(&stream));
    buf_add_span(&seen, eventstream_header(m, ":event-type"));
    buf_addc(&seen, '|');
    buf_add_span(&seen, m->payload);
    return buf_addc(&seen, '\n') && !span_is(m->payload, "stop here");
}

/* Each piece in memory of exactly its size that is gone after the call. */
static bool feed(struct span piece)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1);
    MUST(copy != NULL);
    memcpy(copy, piece.ptr, piece.len);
    bool ok = eventstream_feed(&stream, (struct span){copy, piece.len}, log_message, NULL);
    free(copy);
    return ok;
}

static void put(const char *type, const char *payload)
{
    const char *const headers[] = {":event-type", type, ":content-type", "application/json", NULL};
    ck_assert(eventstream_write(&wire, headers, span_of(payload)));
}

/* A message with these headers, sums right, whatever stands in it. */
static void put_raw(struct span headers, struct span payload)
{
    size_t begin = wire.len;
    uint32_t n[2] = {(uint32_t)(EVENTSTREAM_OVERHEAD + headers.len + payload.len),
                     (uint32_t)headers.len};
    for (int i = 0; i < 2; i++) {
        for (int shift = 24; shift >= 0; shift -= 8)
            buf_addc(&wire, (char)(n[i] >> shift & 0xff));
    }
    for (int part = 0; part < 2; part++) {
        uint32_t sum =
            eventstream_crc32(0, (struct span){wire.ptr + begin, part == 0 ? 8 : wire.len - begin});
        for (int shift = 24; shift >= 0; shift -= 8)
            buf_addc(&wire, (char)(sum >> shift & 0xff));
        if (part == 0) {
            buf_add_span(&wire, headers);
            buf_add_span(&wire, payload);
        }
    }
}

/* zlib's own figures. */
START_TEST(sum_is_zlibs)
{
    ck_assert_uint_eq(eventstream_crc32(0, SPAN("")), 0);
    ck_assert_uint_eq(eventstream_crc32(0, SPAN("123456789")), 0xcbf43926);
    ck_assert_uint_eq(eventstream_crc32(eventstream_crc32(0, SPAN("1234")), SPAN("56789")),
                      0xcbf43926);
    ck_assert_uint_eq(eventstream_crc32(0, SPAN("\xff\xff\xff\xff")), 0xffffffff);
}
END_TEST

/* A message written by hand; the sums are zlib's (python3: zlib.crc32). */
static const char by_hand[] = "\x00\x00\x00\x25\x00\x00\x00\x13\xe8\xbd\x3e\xc3"
                              "\x0b:event-type\x07\x00\x04"
                              "ping"
                              "{}"
                              "\x58\xe0\x22\xb9";

START_TEST(known_message_is_read_and_written)
{
    struct span whole = {by_hand, sizeof(by_hand) - 1};
    ck_assert(feed(whole));
    ck_assert_str_eq(seen.ptr, "ping|{}\n");
    const char *const headers[] = {":event-type", "ping", NULL};
    ck_assert(eventstream_write(&wire, headers, SPAN("{}")));
    ck_assert(span_eq(buf_span(&wire), whole));
}
END_TEST

START_TEST(every_cut_gives_the_same)
{
    static const char expected[] = "a|{\"n\":1}\nb|\nc|xyz\n";
    put("a", "{\"n\":1}");
    put("b", "");
    put("c", "xyz");
    for (size_t first = 0; first <= wire.len; first++) {
        for (size_t second = first; second <= wire.len; second++) {
            eventstream_done(&stream);
            buf_reset(&seen);
            MUST(feed((struct span){wire.ptr, first}));
            MUST(feed((struct span){wire.ptr + first, second - first}));
            MUST(feed((struct span){wire.ptr + second, wire.len - second}));
            MUST(span_is(buf_span(&seen), expected));
            MUST(eventstream_at_boundary(&stream));
        }
    }
}
END_TEST

START_TEST(boundary_is_between_messages)
{
    put("a", "1");
    size_t first = wire.len;
    put("b", "2");
    for (size_t i = 0; i < wire.len; i++) {
        ck_assert_int_eq(eventstream_at_boundary(&stream), i == 0 || i == first);
        ck_assert(feed((struct span){wire.ptr + i, 1}));
    }
    ck_assert(eventstream_at_boundary(&stream));
}
END_TEST

/* Any single wrong bit is found, in one piece and byte by byte; the message before it counts. */
START_TEST(wrong_bit_is_found)
{
    put("good", "1");
    size_t first = wire.len;
    put("bad", "{\"text\":\"hello\"}");
    for (size_t bit = first * 8; bit < wire.len * 8; bit++) {
        wire.ptr[bit / 8] ^= (char)(1 << bit % 8);
        for (size_t piece = 1; piece <= wire.len; piece += wire.len - 1) {
            eventstream_done(&stream);
            buf_reset(&seen);
            bool ok = true;
            for (size_t at = 0; at < wire.len; at += piece)
                ok = feed((struct span){wire.ptr + at, piece});
            MUST(!ok);
            MUST(span_is(buf_span(&seen), "good|1\n"));
        }
        wire.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
}
END_TEST

START_TEST(broken_stays_broken)
{
    put("a", "stop here");
    put("b", "never seen");
    ck_assert(!feed(buf_span(&wire)));
    ck_assert(!feed(buf_span(&wire)));
    ck_assert_str_eq(seen.ptr, "a|stop here\n");
}
END_TEST

/* Headers, behind which everything else is right. */
static const struct {
    const char *what;
    struct span headers;
    bool ok;
    const char *event_type;
} header_rows[] = {
    {"none", {"", 0}, true, ""},
    {"every type",
     {"\x01t\x00\x01"
      "f\x01\x01"
      "b\x02\x09\x01s\x03\x01\x02\x01i\x04\x01\x02\x03\x04\x01l\x05"
      "12345678\x01y\x06\x00\x02xy\x01w\x08"
      "12345678\x01u\x09"
      "1234567890123456\x0b:event-type\x07\x00\x02ok",
      87},
     true,
     "ok"},
    {"of that name but not text", {"\x0b:event-type\x06\x00\x02ok", 17}, true, ""},
    {"empty text", {"\x0b:event-type\x07\x00\x00", 15}, true, ""},
    {"the first of two counts",
     {"\x0b:event-type\x07\x00\x01"
      "a\x0b:event-type\x07\x00\x01"
      "b",
      32},
     true,
     "a"},
    {"no name", {"\x00\x07\x00\x01x", 5}, false, ""},
    {"type unknown", {"\x01x\x0a", 3}, false, ""},
    {"no type", {"\x01x", 2}, false, ""},
    {"name over the end", {"\x05xyz", 4}, false, ""},
    {"half a length", {"\x01x\x07\x00", 4}, false, ""},
    {"text over the end", {"\x01x\x07\x00\x03yz", 7}, false, ""},
    {"number over the end", {"\x01x\x04\x00\x00\x00", 6}, false, ""},
};

START_TEST(headers_are_checked)
{
    put_raw(header_rows[_i].headers, SPAN("{}"));
    ck_assert_msg(feed(buf_span(&wire)) == header_rows[_i].ok, "%s", header_rows[_i].what);
    buf_adds(&wire, "");
    char expected[64];
    snprintf(expected, sizeof(expected), "%s|{}\n", header_rows[_i].event_type);
    ck_assert_str_eq(seen.len > 0 ? seen.ptr : "", header_rows[_i].ok ? expected : "");
}
END_TEST

/* Lengths, with their sum right. */
static const struct {
    uint32_t total, headers;
    bool ok; /* so far: the rest has not come */
} length_rows[] = {{16, 0, true},    {15, 0, false},         {0, 0, false},
                   {MAX, 0, true},   {MAX + 1, 0, false},    {100, 84, true},
                   {100, 85, false}, {UINT32_MAX, 0, false}, {100, UINT32_MAX, false}};

START_TEST(lengths_are_checked_with_the_prelude)
{
    for (int i = 0; i < 2; i++) {
        uint32_t n = i == 0 ? length_rows[_i].total : length_rows[_i].headers;
        for (int shift = 24; shift >= 0; shift -= 8)
            buf_addc(&wire, (char)(n >> shift & 0xff));
    }
    uint32_t sum = eventstream_crc32(0, buf_span(&wire));
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_addc(&wire, (char)(sum >> shift & 0xff));
    ck_assert(feed(buf_span(&wire)) == length_rows[_i].ok);
    eventstream_done(&stream);
    ck_assert(feed((struct span){wire.ptr, 11}));
    ck_assert(feed((struct span){wire.ptr + 11, 1}) == length_rows[_i].ok);
}
END_TEST

/* The headers alone may be longer than AWS allows. */
START_TEST(headers_have_a_maximum)
{
    struct buf headers;
    eventstream_done(&stream);
    eventstream_init(&stream, 1 << 20);
    buf_init(&headers, 1 << 20);
    while (headers.len <= EVENTSTREAM_HEADERS_MAX)
        buf_add(&headers, "\x01t\x00", 3);
    put_raw(buf_span(&headers), SPAN(""));
    ck_assert(!feed(buf_span(&wire)));
    buf_reset(&wire);
    eventstream_done(&stream);
    headers.len -= 3;
    put_raw(buf_span(&headers), SPAN(""));
    ck_assert(feed(buf_span(&wire)));
    buf_done(&headers);
}
END_TEST

START_TEST(writer_refuses_what_does_not_fit)
{
    static char name[257], value[32769];
    memset(name, 'n', sizeof(name) - 1);
    memset(value, 'v', sizeof(value) - 1);
    const char *const long_name[] = {name, "v", NULL};
    const char *const long_value[] = {"n", value, NULL};
    const char *const none[] = {NULL};
    ck_assert(!eventstream_write(&wire, long_name, SPAN("")));
    ck_assert(!eventstream_write(&wire, long_value, SPAN("")));
    ck_assert_uint_eq(wire.len, 0);
    struct buf small;
    buf_init(&small, 20);
    ck_assert(!eventstream_write(&small, none, SPAN("12345")));
    buf_done(&small);
    buf_init(&small, 20);
    ck_assert(eventstream_write(&small, none, SPAN("1234")));
    buf_done(&small);
}
END_TEST

Suite *eventstream_suite(void);

Suite *eventstream_suite(void)
{
    Suite *s = suite_create("eventstream");
    TCase *c = tcase_create("eventstream");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, sum_is_zlibs);
    tcase_add_test(c, known_message_is_read_and_written);
    tcase_add_test(c, every_cut_gives_the_same);
    tcase_add_test(c, boundary_is_between_messages);
    tcase_add_test(c, wrong_bit_is_found);
    tcase_add_test(c, broken_stays_broken);
    tcase_add_loop_test(c, headers_are_checked, 0, ROWS(header_rows));
    tcase_add_loop_test(c, lengths_are_checked_with_the_prelude, 0, ROWS(length_rows));
    tcase_add_test(c, headers_have_a_maximum);
    tcase_add_test(c, writer_refuses_what_does_not_fit);
    suite_add_tcase(s, c);
    return s;
}
