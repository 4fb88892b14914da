/* The Bedrock adapter's answers: golden streams and bodies (golden.h), streams that are broken on
 * the wire, limits, names of tools, errors. */
#include <check.h>
#include <stdlib.h>

#include "providers/bedrock.h"
#include "providers/bedrock_reply.h"
#include "schema/eventstream.h"
#include "tests/unit/golden.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

enum { WIRE_MAX = 64 * 1024 * 1024 };

static const struct provider_target nova = {.slug = "bedrock",
                                            .base_url = "https://x.example",
                                            .upstream_model = "amazon.nova-2-lite-v1:0"};
static const struct provider_target claude = {.slug = "bedrock",
                                              .base_url = "https://x.example",
                                              .upstream_model =
                                                  "us.anthropic.claude-example-4-5-v1:0"};

static struct golden_replies replies;
static struct reply_sink sink = {golden_on_reply, &replies};
static struct buf wire;
static char letters[64];
static struct usage_report report;
static int64_t content_bytes;

static void setup(void)
{
    golden_replies_init(&replies);
    buf_init(&wire, WIRE_MAX);
    letters[0] = '\0';
}

static void teardown(void)
{
    golden_replies_done(&replies);
    buf_done(&wire);
}

START_TEST(golden_converse)
{
    golden_replay("bedrock", &provider_bedrock, &nova, 50);
}
END_TEST

START_TEST(golden_invoke)
{
    golden_replay("bedrock-invoke", &provider_bedrock, &claude, 8);
}
END_TEST

static void put(const char *type, struct span payload)
{
    const char *const headers[] = {":event-type", type, ":message-type", "event", NULL};
    ck_assert(eventstream_write(&wire, headers, payload));
}

static void on_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    size_t n = strlen(letters);
    if (n + 1 < sizeof(letters)) {
        letters[n] = "SCUXEO"[ev->kind];
        letters[n + 1] = '\0';
    }
}

/* Everything on the wire, in one piece; then the body ends. */
static enum verdict play(const struct provider_target *target, const struct dialog *dialog,
                         bool *ret_fed)
{
    struct provider_reading reading = {.target = target, .sink = &sink, .dialog = dialog};
    void *stream = provider_bedrock.stream_open(&reading);
    ck_assert(stream != NULL);
    *ret_fed = provider_bedrock.stream_feed(stream, buf_span(&wire), on_event, NULL);
    provider_bedrock.stream_finish(stream);
    enum verdict verdict = provider_bedrock.stream_state(stream, &report, &content_bytes);
    /* Broken for good. */
    ck_assert(*ret_fed || !provider_bedrock.stream_feed(stream, SPAN("x"), on_event, NULL));
    provider_bedrock.stream_close(stream);
    return verdict;
}

static const struct {
    const char *name;
    const struct provider_target *target;
    const char *before, *type; /* a good event and then this one, NULL: none */
    struct span last;
    enum verdict verdict;
} broken[] = {
    {"html", &nova, NULL, NULL, {"<html><body>502 Bad Gateway</body></html>", 41}, VERDICT_FOREIGN},
    {"html",
     &claude,
     NULL,
     NULL,
     {"<html><body>502 Bad Gateway</body></html>", 41},
     VERDICT_FOREIGN},
    {"sse", &nova, NULL, NULL, {"event: message_start\ndata: {}\n\n", 31}, VERDICT_FOREIGN},
    {"sse after an event",
     &nova,
     "messageStart",
     NULL,
     {"event: ping\ndata: {}\n\n", 22},
     VERDICT_TRUNCATED},
    {"not JSON", &nova, "messageStart", "contentBlockDelta", {"{not json", 9}, VERDICT_TRUNCATED},
    {"no object", &nova, "messageStart", "messageStop", {"[]", 2}, VERDICT_TRUNCATED},
    {"not base64", &claude, NULL, "chunk", {"{\"bytes\":\"!!!\"}", 15}, VERDICT_TRUNCATED},
    {"no bytes", &claude, NULL, "chunk", {"{\"nothing\":1}", 13}, VERDICT_TRUNCATED},
    {"bytes of another kind", &claude, NULL, "chunk", {"{\"bytes\":7}", 11}, VERDICT_TRUNCATED},
};

START_TEST(broken_streams_are_not_believed)
{
    bool fed;
    if (broken[_i].before != NULL)
        put(broken[_i].before, SPAN("{\"role\":\"assistant\"}"));
    if (broken[_i].type != NULL)
        put(broken[_i].type, broken[_i].last);
    else
        buf_add_span(&wire, broken[_i].last);
    ck_assert_msg(play(broken[_i].target, NULL, &fed) == broken[_i].verdict, "%s", broken[_i].name);
    ck_assert_msg(!fed, "%s", broken[_i].name);
}
END_TEST

static void put_delta(int index, const char *delta)
{
    struct buf body;
    buf_init(&body, WIRE_MAX);
    buf_addf(&body, "{\"contentBlockIndex\":%d,\"delta\":%s}", index, delta);
    put("contentBlockDelta", buf_span(&body));
    buf_done(&body);
}

/* Blocks that all wait for the first one. */
START_TEST(waiting_blocks_have_a_maximum)
{
    bool fed;
    put("messageStart", SPAN("{}"));
    for (int i = 0; i < BEDROCK_WAITING_MAX; i++)
        put_delta(i, "{\"text\":\"x\"}");
    play(&nova, NULL, &fed);
    ck_assert(fed);
    golden_replies_done(&replies);
    golden_replies_init(&replies);
    put_delta(BEDROCK_WAITING_MAX, "{\"text\":\"x\"}");
    ck_assert_int_eq(play(&nova, NULL, &fed), VERDICT_TRUNCATED);
    ck_assert(!fed);
}
END_TEST

START_TEST(waiting_bytes_have_a_maximum)
{
    enum { PIECE = 1024 * 1024 };
    bool fed;
    struct buf delta;
    buf_init(&delta, 2 * PIECE);
    buf_adds(&delta, "{\"text\":\"");
    while (delta.len < PIECE)
        buf_adds(&delta, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    buf_adds(&delta, "\"}");
    put("messageStart", SPAN("{}"));
    put_delta(0, "{\"text\":\"first\"}");
    for (int i = 0; i <= BEDROCK_KEPT_MAX / PIECE; i++)
        put_delta(1, delta.ptr);
    play(&nova, NULL, &fed);
    ck_assert(!fed);
    buf_done(&delta);
}
END_TEST

/* ---- names ---- */

#define LONG "mcp__a_server_of_a_long_name__a_tool_whose_name_is_longer_than_that"

static const struct {
    const char *name, *sent;
} names[] = {
    {"weather", "weather"},
    {"get-weather_2", "get-weather_2"},
    {"get.weather", "get_weather_f32dc29d"},
    {"get weather", "get_weather_"},
    {"", "_811c9dc5"},
    {LONG, "mcp__a_server_of_a_long_name__a_tool_whose_name_is_long_"},
};

START_TEST(names_fit_the_pattern)
{
    char store[BEDROCK_NAME_MAX + 1], other[BEDROCK_NAME_MAX + 1];
    struct span sent = bedrock_name(span_of(names[_i].name), store);
    ck_assert(sent.len >= strlen(names[_i].sent));
    ck_assert_msg(memcmp(sent.ptr, names[_i].sent, strlen(names[_i].sent)) == 0, "%.*s",
                  (int)sent.len, sent.ptr);
    ck_assert_uint_le(sent.len, BEDROCK_NAME_MAX);
    ck_assert_uint_gt(sent.len, 0);
    /* A second time it is the same, and it is itself within the pattern. */
    ck_assert(span_eq(bedrock_name(sent, other), sent));
    for (int i = 0; i < ROWS(names); i++)
        ck_assert(i == _i || !span_eq(bedrock_name(span_of(names[i].name), other), sent));
}
END_TEST

/* MCP tools have names of up to 128 characters at Anthropic's; the client is called with its own.
 */
START_TEST(test_renamed_tool_comes_back_under_its_name)
{
    bool fed;
    struct dialog dialog;
    char store[BEDROCK_NAME_MAX + 1];
    struct buf body;
    dialog_init(&dialog);
    dialog_add_tool(&dialog)->name = SPAN("other");
    dialog_add_tool(&dialog)->name = SPAN(LONG);
    struct span sent = bedrock_name(SPAN(LONG), store);
    buf_init(&body, 1024);
    buf_addf(
        &body,
        "{\"contentBlockIndex\":0,\"start\":{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"%.*s\"}}}",
        (int)sent.len, sent.ptr);
    put("contentBlockStart", buf_span(&body));
    put("messageStop", SPAN("{\"stopReason\":\"tool_use\"}"));
    ck_assert_int_eq(play(&nova, &dialog, &fed), VERDICT_COMPLETE);
    ck_assert_str_eq(golden_lines(&replies).ptr, "reply start\nreply open tool_call id=t name=" LONG
                                                 "\nreply arguments \"{}\"\n"
                                                 "reply close\nreply stop tool\nreply end\n");
    buf_done(&body);
    dialog_done(&dialog);
}
END_TEST

/* ---- errors ---- */

static const struct {
    const char *body;
    bool yes;
    const char *type, *message;
    int http_status;
} errors[] = {
    {"{\"message\":\"Too \\u00e9 many\"}", true, "", "Too \xc3\xa9 many", 0},
    {"{\"__type\":\"ThrottlingException\",\"message\":\"wait\"}", true, "ThrottlingException",
     "wait", 429},
    {"{\"Message\":\"not authorized\"}", true, "", "not authorized", 0},
    {"{\"message\":7}", false, "", "", 0},
    {"{\"error\":{\"message\":\"x\"}}", false, "", "", 0},
    {"<html>", false, "", "", 0},
    {"", false, "", "", 0},
};

START_TEST(errors_are_read)
{
    struct buf store;
    struct reply_error e = {0};
    struct span body = span_of(errors[_i].body);
    buf_init(&store, 4096);
    ck_assert_int_eq(provider_bedrock.is_error_body(body), errors[_i].yes);
    ck_assert_int_eq(provider_bedrock.read_error(body, &store, &e), errors[_i].yes);
    if (errors[_i].yes) {
        ck_assert(span_is(e.type, errors[_i].type));
        ck_assert(span_is(e.message, errors[_i].message));
        ck_assert_int_eq(e.http_status, errors[_i].http_status);
    }
    buf_done(&store);
}
END_TEST

/* Exceptions in a stream begin with a small letter. */
static const struct {
    const char *type;
    int http_status;
} exceptions[] = {
    {"throttlingException", 429},       {"validationException", 400},
    {"internalServerException", 500},   {"serviceUnavailableException", 503},
    {"modelStreamErrorException", 424}, {"modelTimeoutException", 408},
    {"somethingNewException", 0},       {"", 0},
};

START_TEST(exceptions_have_a_status)
{
    struct reply_error e;
    bedrock_set_error(&e, span_of(exceptions[_i].type), SPAN("m"));
    ck_assert_int_eq(e.http_status, exceptions[_i].http_status);
    ck_assert(span_is(e.type, exceptions[_i].type));
}
END_TEST

Suite *bedrock_suite(void);

Suite *bedrock_suite(void)
{
    Suite *s = suite_create("bedrock");
    TCase *c = tcase_create("bedrock");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, golden_converse);
    tcase_add_test(c, golden_invoke);
    tcase_add_loop_test(c, broken_streams_are_not_believed, 0, ROWS(broken));
    tcase_add_test(c, waiting_blocks_have_a_maximum);
    tcase_add_test(c, waiting_bytes_have_a_maximum);
    tcase_add_loop_test(c, names_fit_the_pattern, 0, ROWS(names));
    tcase_add_test(c, test_renamed_tool_comes_back_under_its_name);
    tcase_add_loop_test(c, errors_are_read, 0, ROWS(errors));
    tcase_add_loop_test(c, exceptions_have_a_status, 0, ROWS(exceptions));
    suite_add_tcase(s, c);
    return s;
}
