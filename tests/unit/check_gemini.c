/* The Gemini adapter's reader against golden streams and bodies (golden.h), and at its limits. */
#include <check.h>
#include <stdlib.h>

#include "providers/gemini.h"
#include "tests/unit/golden.h"

static const struct provider_target target = {.base_url = "https://api.example",
                                              .upstream_model = "gemini-3-flash"};
static const struct provider_target old_target = {.base_url = "https://api.example",
                                                  .upstream_model = "gemini-2.5-flash"};
static const struct provider_reading reading = {.target = &target};

enum { CASES_MIN = 100 };

START_TEST(test_golden_cases)
{
    golden_replay("gemini", &provider_gemini, &target, CASES_MIN);
}
END_TEST

static void count_event(void *ctx, const struct event *ev)
{
    (void)ev;
    ++*(int *)ctx;
}

/* Bytes may go between two events, not into one, and not into bare JSON. */
START_TEST(test_boundary)
{
    static const struct {
        const char *bytes;
        bool boundary;
    } cases[] = {{"", true},
                 {"\r\n", true},
                 {"data: {}", false},
                 {"data: {}\r\n", false},
                 {"data: {}\r\n\r\n", true},
                 {"data: {}\r\n\r\n{\"err", false},
                 {"[", false}};
    const struct provider *p = &provider_gemini;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int n = 0;
        void *stream = p->stream_open(&reading);
        ck_assert(p->stream_feed(stream, span_of(cases[i].bytes), count_event, &n));
        ck_assert_msg(p->stream_at_boundary(stream) == cases[i].boundary, "%s", cases[i].bytes);
        p->stream_close(stream);
    }
    p->stream_close(NULL);
}
END_TEST

static void ck_too_long(const char *beginning)
{
    const struct provider *p = &provider_gemini;
    enum { PIECE = 1 << 20 };
    char *piece = malloc(PIECE);
    int n = 0, fed = 0;
    bool ok = true;
    ck_assert_ptr_nonnull(piece);
    memset(piece, 'x', PIECE);
    void *stream = p->stream_open(&reading);
    ck_assert(p->stream_feed(stream, span_of(beginning), count_event, &n));
    while (ok && fed < 2 * PROVIDER_EVENT_MAX / PIECE) {
        ok = p->stream_feed(stream, (struct span){piece, PIECE}, count_event, &n);
        fed++;
    }
    ck_assert_msg(!ok, "%s", beginning);
    ck_assert_int_ge(fed, PROVIDER_EVENT_MAX / PIECE);
    /* Broken for good. */
    ck_assert(!p->stream_feed(stream, SPAN("\n\n"), count_event, &n));
    p->stream_finish(stream);
    struct usage_report *report = calloc(1, sizeof(*report));
    int64_t bytes;
    ck_assert_int_eq(p->stream_state(stream, report, &bytes), VERDICT_TRUNCATED);
    free(report);
    p->stream_close(stream);
    free(piece);
}

START_TEST(test_event_over_the_maximum)
{
    ck_too_long("data: {\"candidates\": \"");
    ck_too_long("[{\"candidates\": \"");
    ck_too_long("data: {\"candidates\": []}\n\n{\"error\": \"");
}
END_TEST

/* Text reaches the client with the event it came in, not later. */
static void on_reply(void *ctx, const struct reply *r)
{
    *(bool *)ctx |= r->kind == REPLY_DELTA && span_is(r->text, "Hi");
}

START_TEST(test_first_token_is_not_held_back)
{
    bool seen = false;
    int n = 0;
    struct reply_sink sink = {on_reply, &seen};
    struct provider_reading told = {.target = &target, .sink = &sink};
    const struct provider *p = &provider_gemini;
    void *stream = p->stream_open(&told);
    p->stream_feed(stream,
                   SPAN("data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hi\"}]}}]}"
                        "\r\n\r\n"),
                   count_event, &n);
    ck_assert(seen);
    ck_assert_int_eq(n, 2);
    p->stream_close(stream);
}
END_TEST

static bool gather(void *ctx, const char *body)
{
    static struct usage_report report;
    struct provider_reading told = {.target = &target, .sink = ctx};
    return provider_gemini.read_body(&told, span_of(body), &report) == VERDICT_COMPLETE;
}

static void on_gather(void *ctx, const struct reply *r)
{
    ck_assert(reply_gather(ctx, r));
}

/* What other gateways got wrong: end_turn where tools are called (litellm 34692), arguments and
 * calls that get lost when there are several (litellm 25321, 29491), calls with one id. */
START_TEST(test_parallel_calls_stop_for_tools_with_all_arguments)
{
    struct reply_whole whole;
    struct reply_sink sink = {on_gather, &whole};
    reply_whole_init(&whole);
    ck_assert(gather(&sink,
                     "{\"candidates\": [{\"finishReason\": \"STOP\", \"content\": {\"parts\": ["
                     "{\"text\": \"I look.\"},"
                     "{\"functionCall\": {\"name\": \"f\", \"args\": {\"a\": 1.0}}},"
                     "{\"functionCall\": {\"name\": \"f\", \"args\": {\"a\": 1.0}}}]}}]}"));
    ck_assert_int_eq(whole.stop, STOPPED_TOOL);
    ck_assert_int_eq(whole.content.n, 3);
    const struct dialog_block *one = whole.content.first->next, *two = one->next;
    ck_assert(span_is(one->json, "{\"a\": 1.0}") && span_is(two->json, "{\"a\": 1.0}"));
    ck_assert(one->id.len > 0 && !span_eq(one->id, two->id));
    reply_whole_done(&whole);
}
END_TEST

/* The price of a search: by the query from generation 3 on, before by the request. */
START_TEST(test_searches_by_generation)
{
    static const char body[] =
        "{\"candidates\": [{\"finishReason\": \"STOP\", \"groundingMetadata\": "
        "{\"webSearchQueries\": [\"a\", \"b\", \"\"]}}]}";
    struct usage_report *report = calloc(1, sizeof(*report));
    struct provider_reading old = {.target = &old_target};
    ck_assert_int_eq(provider_gemini.read_body(&reading, SPAN(body), report), VERDICT_COMPLETE);
    ck_assert_int_eq(report->total.n[USAGE_web_searches], 2);
    ck_assert_int_eq(provider_gemini.read_body(&old, SPAN(body), report), VERDICT_COMPLETE);
    ck_assert_int_eq(report->total.n[USAGE_web_searches], 1);
    free(report);
}
END_TEST

START_TEST(test_generation_of_a_name)
{
    static const struct {
        const char *name;
        int generation;
    } cases[] = {{"gemini-2.5-flash", 25},         {"gemini-2.0-flash-001", 20},
                 {"gemini-3-pro-preview", 30},     {"gemini-3.1-pro", 31},
                 {"models/gemini-1.5-pro", 15},    {"gemini-flash-latest", GEMINI_NEWEST},
                 {"gemini-10-pro", GEMINI_NEWEST}, {"gemma-3-27b-it", 0},
                 {"gemini-", GEMINI_NEWEST}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(gemini_generation(cases[i].name) == cases[i].generation, "%s", cases[i].name);
    ck_assert_int_eq(gemini_generation(NULL), 0);
}
END_TEST

START_TEST(test_error_body)
{
    static const struct {
        const char *body, *type, *message;
        int status;
    } cases[] = {
        {"{\"error\": {\"code\": 429, \"message\": \"slow \\\"down\\\"\", \"status\": "
         "\"RESOURCE_EXHAUSTED\"}}",
         "RESOURCE_EXHAUSTED", "slow \"down\"", 429},
        {"[{\"error\": {\"code\": 400, \"message\": \"m\", \"status\": \"INVALID_ARGUMENT\"}}]",
         "INVALID_ARGUMENT", "m", 400},
        {"{\"error\": {\"code\": 99999, \"message\": 5}}", "", "", 0},
        {"{\"error\": \"no\"}", NULL, NULL, 0},
        {"{\"candidates\": []}", NULL, NULL, 0},
        {"[]", NULL, NULL, 0},
        {"[5]", NULL, NULL, 0},
        {"\"error\"", NULL, NULL, 0},
        {"<html>", NULL, NULL, 0},
    };
    struct buf store;
    buf_init(&store, 1024);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply_error error;
        struct span body = span_of(cases[i].body);
        bool found = provider_gemini.read_error(body, &store, &error);
        ck_assert_msg(found == (cases[i].type != NULL), "%s", cases[i].body);
        ck_assert_msg(provider_gemini.is_error_body(body) == found, "%s", cases[i].body);
        if (!found)
            continue;
        ck_assert(span_is(error.type, cases[i].type));
        ck_assert(span_is(error.message, cases[i].message));
        ck_assert_int_eq(error.http_status, cases[i].status);
    }
    buf_done(&store);
}
END_TEST

START_TEST(test_error_is_weighed)
{
    static const struct {
        const char *details;
        int64_t retry_ms, want_ms;
        int want_status;
    } cases[] = {
        {"[]", -1, -1, 400},
        {"5", -1, -1, 400},
        {"[5, {\"reason\": \"API_KEY_INVALID\"}]", -1, -1, 401},
        {"[{\"reason\": \"OTHER\"}, {\"retryDelay\": \"48s\"}]", -1, 48000, 400},
        {"[{\"retryDelay\": \"48.939935699s\"}]", -1, 49000, 400},
        {"[{\"retryDelay\": \"48s\"}]", 0, 0, 400}, /* the header wins */
        {"[{\"retryDelay\": \"0s\"}]", -1, 0, 400},
        {"[{\"retryDelay\": \"s\"}, {\"retryDelay\": \"-4s\"}]", -1, -1, 400},
        {"[{\"retryDelay\": \"99999999999999999999s\"}, {\"retryDelay\": 5}]", -1, -1, 400},
        {"[{\"retryDelay\": \"48h\"}]", -1, -1, 400},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf body;
        int status = 400;
        int64_t retry_ms = cases[i].retry_ms;
        buf_init(&body, 4096);
        buf_addf(&body, "{\"error\": {\"code\": 400, \"details\": %s}}", cases[i].details);
        provider_gemini.weigh_error(buf_span(&body), &status, &retry_ms);
        ck_assert_msg(status == cases[i].want_status, "%s: %d", cases[i].details, status);
        ck_assert_msg(retry_ms == cases[i].want_ms, "%s: %lld", cases[i].details,
                      (long long)retry_ms);
        buf_done(&body);
    }
    int status = 502;
    int64_t retry_ms = -1;
    provider_gemini.weigh_error(SPAN("<html>"), &status, &retry_ms);
    provider_gemini.weigh_error(SPAN("[{\"error\": {\"details\": null}}]"), &status, &retry_ms);
    ck_assert(status == 502 && retry_ms == -1);
}
END_TEST

Suite *gemini_suite(void);
Suite *gemini_suite(void)
{
    Suite *s = suite_create("gemini");
    TCase *c = tcase_create("gemini");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_golden_cases);
    tcase_add_test(c, test_boundary);
    tcase_add_test(c, test_event_over_the_maximum);
    tcase_add_test(c, test_first_token_is_not_held_back);
    tcase_add_test(c, test_parallel_calls_stop_for_tools_with_all_arguments);
    tcase_add_test(c, test_searches_by_generation);
    tcase_add_test(c, test_generation_of_a_name);
    tcase_add_test(c, test_error_body);
    tcase_add_test(c, test_error_is_weighed);
    suite_add_tcase(s, c);
    return s;
}
