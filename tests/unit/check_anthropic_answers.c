/* Anthropic's door: answers out of reply events, as streams and as bodies. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/door.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { BODY_MAX = 1024 * 1024 };

static struct door_answer answer;
static struct buf out;

static void answer_setup(void)
{
    answer = (struct door_answer){.generation_id = "gen_1", .model = "maker/model"};
    buf_init(&out, BODY_MAX);
}

static void answer_teardown(void)
{
    buf_done(&out);
}

#define START                                                                                      \
    {                                                                                              \
        .kind = REPLY_START, .id = SPAN("chatcmpl-1"), .model = SPAN("gpt")                        \
    }
#define OPEN(b)                                                                                    \
    {                                                                                              \
        .kind = REPLY_OPEN, .block = REPLY_##b                                                     \
    }
#define SAY(b, t)                                                                                  \
    {                                                                                              \
        .kind = REPLY_DELTA, .block = REPLY_##b, .delta = DELTA_TEXT, .text = SPAN(t)              \
    }
#define CLOSE(b)                                                                                   \
    {                                                                                              \
        .kind = REPLY_CLOSE, .block = REPLY_##b                                                    \
    }
#define CALL(i, n)                                                                                 \
    {                                                                                              \
        .kind = REPLY_OPEN, .block = REPLY_TOOL_CALL, .id = SPAN(i), .name = SPAN(n)               \
    }
#define ARGUE(t)                                                                                   \
    {                                                                                              \
        .kind = REPLY_DELTA, .block = REPLY_TOOL_CALL, .delta = DELTA_ARGUMENTS, .text = SPAN(t)   \
    }
#define STOP(s)                                                                                    \
    {                                                                                              \
        .kind = REPLY_STOP, .stop = STOPPED_##s                                                    \
    }
#define USED(in, outp)                                                                             \
    {                                                                                              \
        .kind = REPLY_USAGE, .reasoning_tok = -1, .usage = {                                       \
            .n = {[USAGE_input_tok] = in, [USAGE_output_tok] = outp},                              \
            .seen = 3                                                                              \
        }                                                                                          \
    }
#define END                                                                                        \
    {                                                                                              \
        .kind = REPLY_END                                                                          \
    }

static void play(const struct reply *events, size_t n)
{
    struct reply_grammar grammar = {.over = false};
    struct door_writer *w = door_anthropic.open(&answer);
    buf_reset(&out);
    for (size_t i = 0; i < n; i++) {
        const char *wrong = reply_check(&grammar, &events[i]);
        ck_assert_msg(wrong == NULL, "the test's event %zu: %s", i, wrong);
        ck_assert(door_anthropic.write(w, &events[i], &out));
    }
    door_anthropic.close(w);
}

#define EV(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define EV_START(input)                                                                            \
    EV("message_start",                                                                            \
       ",\"message\":{\"id\":\"chatcmpl-1\",\"type\":\"message\",\"role\":\"assistant\","          \
       "\"model\":"                                                                                \
       "\"maker/"                                                                                  \
       "model\",\"container\":null,\"diagnostics\":null,\"content\":[],"                           \
       "\"stop_reason\":null,\"stop_sequence\":null,"                                              \
       "\"stop_details\":null,\"usage\":" USAGE(input, "0") "}")
#define USAGE(input, output)                                                                       \
    "{\"input_tokens\":" input ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0," \
    "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"        \
    "\"output_tokens\":" output ",\"output_tokens_details\":null,\"server_tool_use\":null,"        \
    "\"service_tier\":null,\"inference_geo\":null,\"speed\":null}"
#define EV_OPEN(i, block) EV("content_block_start", ",\"index\":" i ",\"content_block\":" block)
#define EV_DELTA(i, delta) EV("content_block_delta", ",\"index\":" i ",\"delta\":" delta)
#define EV_CLOSE(i) EV("content_block_stop", ",\"index\":" i)
#define EV_END(reason, input, output)                                                              \
    EV("message_delta",                                                                            \
       ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null,\"stop_details\":null}," \
       "\"usage\":" USAGE(input, output))                                                          \
    EV("message_stop", "")
#define TEXT_OPEN "{\"type\":\"text\",\"text\":\"\"}"
#define TEXT_DELTA(t) "{\"type\":\"text_delta\",\"text\":\"" t "\"}"

START_TEST(test_stream_of_text)
{
    static const struct reply events[] = {
        START,       OPEN(TEXT), SAY(TEXT, "Hel"), SAY(TEXT, "lo\n"),
        CLOSE(TEXT), STOP(END),  USED(25, 15),     END};
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(out.ptr, EV_START("0") EV_OPEN("0", TEXT_OPEN) EV_DELTA("0", TEXT_DELTA("Hel"))
                                  EV_DELTA("0", TEXT_DELTA("lo\\n")) EV_CLOSE("0")
                                      EV_END("end_turn", "25", "15"));
}
END_TEST

/* Thinking without a signature gets one that chat.h knows again. */
START_TEST(test_stream_of_thinking_and_parallel_tools)
{
    static const struct reply events[] = {
        START,
        USED(25, 1),
        OPEN(THINKING),
        SAY(THINKING, "hm"),
        CLOSE(THINKING),
        CALL("call_1", "f"),
        ARGUE("{\"a\":"),
        ARGUE("1}"),
        CLOSE(TOOL_CALL),
        {.kind = REPLY_OPEN,
         .block = REPLY_TOOL_CALL,
         .id = SPAN("c2"),
         .name = SPAN("g"),
         .signature = SPAN("wf:gemini:CiQB")},
        ARGUE("{}"),
        CLOSE(TOOL_CALL),
        STOP(TOOL),
        USED(25, 15),
        END,
    };
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        EV_START("25") EV_OPEN("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
            EV_DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}") EV_DELTA(
                "0", "{\"type\":\"signature_delta\",\"signature\":\"wf::\"}") EV_CLOSE("0")
                EV_OPEN("1",
                        "{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\",\"input\":{}}")
                    EV_DELTA("1",
                             "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}")
                        EV_DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}")
                            EV_CLOSE("1") EV_OPEN(
                                "2", "{\"type\":\"tool_use\",\"id\":\"c2_wfsig_Z2VtaW5pOkNpUUI\","
                                     "\"name\":\"g\",\"input\":{}}")
                                EV_DELTA("2", "{\"type\":\"input_json_delta\",\"partial_json\":"
                                              "\"{}\"}") EV_CLOSE("2")
                                    EV_END("tool_use", "25", "15"));
}
END_TEST

START_TEST(test_stream_of_everything_else)
{
    static const struct reply events[] = {
        START,
        {.kind = REPLY_OPEN, .block = REPLY_REDACTED, .signature = SPAN("ZGF0")},
        CLOSE(REDACTED),
        {.kind = REPLY_OPEN,
         .block = REPLY_RAW,
         .json = SPAN("{\"type\":\n\"server_tool_use\"}"),
         .citation = {.json_of = "anthropic"}},
        CLOSE(RAW),
        {.kind = REPLY_OPEN,
         .block = REPLY_RAW,
         .json = SPAN("{\"executableCode\":{}}"),
         .citation = {.json_of = "gemini"}},
        CLOSE(RAW),
        {.kind = REPLY_OPEN,
         .block = REPLY_IMAGE,
         .media = {.type = SPAN("image/png"), .data = SPAN("iVBO")}},
        CLOSE(IMAGE),
        OPEN(TEXT),
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.url = SPAN("https://u"), .quoted = SPAN("q")}},
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.title = SPAN("no url")}},
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.json = SPAN("{\"type\":\"char_location\"}"), .json_of = "anthropic"}},
        CLOSE(TEXT),
        STOP(CONTEXT),
        END,
    };
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        EV_START("0") EV_OPEN("0",
                              "{\"type\":\"redacted_thinking\",\"data\":\"ZGF0\"}") EV_CLOSE("0")
            EV_OPEN("1", "{\"type\": \"server_tool_use\"}") EV_CLOSE("1") EV_OPEN("2", TEXT_OPEN)
                EV_DELTA("2", TEXT_DELTA("[The model answered with an image (image/png), which the "
                                         "Messages API cannot carry.]")) EV_CLOSE("2")
                    EV_OPEN("3", TEXT_OPEN) EV_DELTA(
                        "3", "{\"type\":\"citations_delta\",\"citation\":{\"type\":\"web_"
                             "search_result_location\",\"url\":\"https://u\",\"title\":null,"
                             "\"encrypted_index\":\"\",\"cited_text\":\"q\"}}")
                        EV_DELTA("3", "{\"type\":\"citations_delta\",\"citation\":{\"type\":"
                                      "\"char_location\"}}") EV_CLOSE("3")
                            EV_END("model_context_window_exceeded", "0", "0"));
}
END_TEST

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        n++;
    return n;
}

/* Arguments that arrive in one piece, with the call itself, must go out as a delta. */
START_TEST(test_tool_arguments_in_one_piece_litellm_25561)
{
    static const struct reply events[] = {
        START, CALL("c1", "f"), ARGUE("{\"a\":1}"), CLOSE(TOOL_CALL), STOP(TOOL), END};
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_int_eq(count(out.ptr, "\"partial_json\":\"{\\\"a\\\":1}\""), 1);
}
END_TEST

/* Clients run a tool at its content_block_stop: two of them run it twice. */
START_TEST(test_one_stop_for_each_block_litellm_37273)
{
    static const struct reply events[] = {START,
                                          OPEN(TEXT),
                                          SAY(TEXT, "a"),
                                          CLOSE(TEXT),
                                          CALL("c1", "f"),
                                          ARGUE("{}"),
                                          CLOSE(TOOL_CALL),
                                          CALL("c2", "f"),
                                          ARGUE("{}"),
                                          CLOSE(TOOL_CALL),
                                          STOP(TOOL),
                                          USED(1, 1),
                                          END};
    answer.stream = true;
    play(events, ROWS(events));
    for (int i = 0; i < 3; i++) {
        char stop[64];
        snprintf(stop, sizeof(stop), "\"content_block_stop\",\"index\":%d", i);
        ck_assert_int_eq(count(out.ptr, stop), 1);
    }
    ck_assert_int_eq(count(out.ptr, "event: message_start"), 1);
    ck_assert_int_eq(count(out.ptr, "event: message_delta"), 1);
}
END_TEST

START_TEST(test_stream_that_breaks_off)
{
    static const struct reply events[] = {
        START,
        OPEN(TEXT),
        SAY(TEXT, "a"),
        {.kind = REPLY_ERROR,
         .error = {.http_status = 503, .type = SPAN("server_error"), .message = SPAN("Oh")}},
    };
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        EV_START("0") EV_OPEN("0", TEXT_OPEN) EV_DELTA(
            "0",
            TEXT_DELTA("a")) "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_"
                             "error\",\"message\":\"Oh\"}}\n\n");
}
END_TEST

START_TEST(test_error_words)
{
    static const struct {
        struct reply_error error;
        const char *type;
    } rows[] = {
        {{.type = SPAN("overloaded_error")}, "overloaded_error"},
        {{.http_status = 429, .type = SPAN("rate_limit_exceeded")}, "rate_limit_error"},
        {{.http_status = 529}, "overloaded_error"},
        {{.http_status = 404}, "not_found_error"},
        {{.http_status = 422}, "invalid_request_error"},
        {{.http_status = 503}, "api_error"},
        {{.http_status = 0, .type = SPAN("x")}, "api_error"},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        ck_assert_str_eq(anthropic_error_type(&rows[i].error), rows[i].type);
}
END_TEST

/* Tools that nobody runs because the answer seems to have ended. */
START_TEST(test_tools_run_although_the_answer_ended_litellm_34692)
{
    static const struct {
        enum reply_block block;
        enum reply_stop stop;
        const char *word;
    } rows[] = {
        {REPLY_TEXT, STOPPED_END, "end_turn"},      {REPLY_TEXT, STOPPED_LENGTH, "max_tokens"},
        {REPLY_TEXT, STOPPED_REFUSAL, "refusal"},   {REPLY_TEXT, STOPPED_PAUSE, "pause_turn"},
        {REPLY_TOOL_CALL, STOPPED_END, "tool_use"}, {REPLY_TOOL_CALL, STOPPED_LENGTH, "max_tokens"},
        {REPLY_REFUSAL, STOPPED_END, "refusal"},    {REPLY_TEXT, STOPPED_TOOL, "tool_use"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const struct reply events[] = {
            START,
            {.kind = REPLY_OPEN, .block = rows[i].block, .id = SPAN("i"), .name = SPAN("n")},
            {.kind = REPLY_CLOSE, .block = rows[i].block},
            {.kind = REPLY_STOP, .stop = rows[i].stop},
            END,
        };
        char expected[64];
        snprintf(expected, sizeof(expected), "\"stop_reason\":\"%s\"", rows[i].word);
        for (int stream = 0; stream < 2; stream++) {
            answer.stream = stream != 0;
            play(events, ROWS(events));
            ck_assert_msg(strstr(out.ptr, expected) != NULL, "%zu: %s", i, out.ptr);
        }
    }
}
END_TEST

START_TEST(test_stop_sequence)
{
    static const struct reply events[] = {
        START, {.kind = REPLY_STOP, .stop = STOPPED_SEQUENCE, .stop_sequence = SPAN("\"E\"")}, END};
    play(events, ROWS(events));
    ck_assert_ptr_nonnull(
        strstr(out.ptr, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"\\\"E\\\"\""));
}
END_TEST

#define BODY(id, content, reason, usage)                                                           \
    "{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"maker/model\","    \
    "\"container\":null,\"diagnostics\":null,\"content\":[" content "],\"stop_reason\":\"" reason  \
    "\",\"stop_sequence\":null,\"stop_details\":null,\"usage\":" usage "}"

START_TEST(test_body)
{
    static const struct reply events[] = {
        {.kind = REPLY_START},
        OPEN(THINKING),
        SAY(THINKING, "hm"),
        CLOSE(THINKING),
        OPEN(TEXT),
        SAY(TEXT, "a"),
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.title = SPAN("no url")}},
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.url = SPAN("https://u"), .title = SPAN("t")}},
        CLOSE(TEXT),
        OPEN(TEXT),
        CLOSE(TEXT),
        OPEN(TEXT),
        SAY(TEXT, "b"),
        CLOSE(TEXT),
        CALL("c1", "f"),
        ARGUE("{\"n\": 1.50}"),
        CLOSE(TOOL_CALL),
        CALL("c2", "g"),
        CLOSE(TOOL_CALL),
        CALL("c3", "h"),
        ARGUE("{\"cut"),
        CLOSE(TOOL_CALL),
        STOP(TOOL),
        USED(25, 15),
        END,
    };
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        BODY("gen_1",
             "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"wf::\"},"
             "{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"type\":\"web_search_result_"
             "location\",\"url\":\"https://u\",\"title\":\"t\",\"encrypted_index\":\"\",\"cited_"
             "text\":\"\"}]},{\"type\":\"text\",\"text\":\"b\",\"citations\":null},"
             "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"n\": 1.50}},"
             "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"g\",\"input\":{}},"
             "{\"type\":\"tool_use\",\"id\":\"c3\",\"name\":\"h\",\"input\":{\"INVALID_JSON\":"
             "\"{\\\"cut\"}}",
             "tool_use", USAGE("25", "15")));
}
END_TEST

START_TEST(test_usage_in_full)
{
    static const struct reply events[] = {
        START,
        STOP(END),
        {.kind = REPLY_USAGE, .reasoning_tok = 7, .usage = {.n = {10, 20, 4, 5, 6, 2}, .seen = 63}},
        END,
    };
    answer.report = true;
    answer.provider = "anthropic/eu";
    answer.cost_usd = "0.0123";
    static const char usage[] =
        "\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":11,\"cache_read_input_"
        "tokens\":4,\"cache_creation\":{\"ephemeral_5m_input_tokens\":5,\"ephemeral_1h_input_"
        "tokens\":6},\"output_tokens\":20,\"output_tokens_details\":{\"thinking_tokens\":7},"
        "\"server_tool_use\":{\"web_search_requests\":2,\"web_fetch_requests\":0},\"service_tier\":"
        "null,\"inference_geo\":null,\"speed\":null,\"cost\":0.0123,\"cost_details\":{\"upstream_"
        "inference_cost\":0.0123}}";
    for (int stream = 0; stream < 2; stream++) {
        answer.stream = stream != 0;
        play(events, ROWS(events));
        ck_assert_msg(strstr(out.ptr, usage) != NULL, "%s", out.ptr);
        ck_assert_ptr_nonnull(strstr(out.ptr, "\"provider\":\"anthropic/eu\""));
    }
    answer.report = false;
    play(events, ROWS(events));
    ck_assert(strstr(out.ptr, "cost") == NULL && strstr(out.ptr, "anthropic/eu") == NULL);
}
END_TEST

START_TEST(test_body_that_broke_off)
{
    static const struct reply events[] = {
        START, {.kind = REPLY_ERROR, .error = {.http_status = 429, .message = SPAN("Slow")}}};
    play(events, ROWS(events));
    ck_assert_str_eq(out.ptr, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
                              "\"message\":\"Slow\"}}");
}
END_TEST

START_TEST(test_read_error)
{
    struct buf store;
    struct reply_error error = {.http_status = 0};
    buf_init(&store, 1024);
    ck_assert(provider_anthropic.read_error(
        SPAN(
            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"a\\nb\"}}"),
        &store, &error));
    ck_assert_int_eq(error.http_status, 429);
    ck_assert(span_is(error.type, "rate_limit_error") && span_is(error.message, "a\nb"));
    ck_assert(!provider_anthropic.read_error(SPAN("<html>"), &store, &error));
    ck_assert(!provider_anthropic.read_error(SPAN("{\"error\":\"x\"}"), &store, &error));
    buf_done(&store);
}
END_TEST

Suite *anthropic_answers_suite(void);

Suite *anthropic_answers_suite(void)
{
    Suite *s = suite_create("anthropic_answers");
    TCase *tc = tcase_create("answers");
    tcase_add_checked_fixture(tc, answer_setup, answer_teardown);
    tcase_add_test(tc, test_stream_of_text);
    tcase_add_test(tc, test_stream_of_thinking_and_parallel_tools);
    tcase_add_test(tc, test_stream_of_everything_else);
    tcase_add_test(tc, test_tool_arguments_in_one_piece_litellm_25561);
    tcase_add_test(tc, test_one_stop_for_each_block_litellm_37273);
    tcase_add_test(tc, test_stream_that_breaks_off);
    tcase_add_test(tc, test_error_words);
    tcase_add_test(tc, test_tools_run_although_the_answer_ended_litellm_34692);
    tcase_add_test(tc, test_stop_sequence);
    tcase_add_test(tc, test_body);
    tcase_add_test(tc, test_usage_in_full);
    tcase_add_test(tc, test_body_that_broke_off);
    tcase_add_test(tc, test_read_error);
    suite_add_tcase(s, tc);
    return s;
}
