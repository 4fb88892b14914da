/* The OpenAI and Azure adapters against golden streams and bodies (golden.h), a directory for each
 * dialect, and at their limits.
 *
 * Failures of other gateways that have a golden answer here, under openai/openai unless named:
 *   litellm#34692  end_turn although a tool is called    stop-although-a-tool-is-called
 *   litellm#32357  thinking inside a block of text       deepseek/reasoning-content
 *   litellm#29518  reasoning_content is no thinking      deepseek/reasoning-content
 *   litellm#25321, #25561, #29491  arguments lost        tool-placeholder-arguments,
 *                  parallel-tool-deltas-interleaved, ollama/arguments-as-object,
 *                  google/all-calls-zero, tool-without-arguments
 *   litellm#9812   cached tokens billed as new ones      cached-prompt
 *   cut streams shown as complete                        closed-before-usage, -reset cases */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/openai.h"
#include "tests/unit/golden.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Servers at any address are known by the provider's slug. */
static const struct {
    const char *dir, *base_url, *slug;
    int cases_min;
} dialects[] = {
    {"openai", "https://api.openai.com/v1", "openai", 45},
    {"openrouter", "https://openrouter.ai/api/v1", "x", 10},
    {"groq", "https://api.groq.com/openai/v1", "x", 4},
    {"mistral", "https://api.mistral.ai/v1", "x", 7},
    {"deepseek", "https://api.deepseek.com", "x", 3},
    {"xai", "https://api.x.ai/v1", "x", 3},
    {"cerebras", "https://api.cerebras.ai/v1", "x", 6},
    {"perplexity", "https://api.perplexity.ai", "x", 3},
    {"zai", "https://api.z.ai/api/paas/v4", "x", 4},
    {"together", "https://api.together.xyz/v1", "x", 2},
    {"google", "https://generativelanguage.googleapis.com/v1beta/openai", "x", 3},
    {"vercel", "https://ai-gateway.vercel.sh/v1", "x", 1},
    {"alibaba", "https://dashscope.aliyuncs.com/compatible-mode/v1", "x", 1},
    {"ollama", "http://127.0.0.1:11434/v1", "ollama", 3},
    {"vllm", "http://127.0.0.1:8000/v1", "vllm/fp8", 4},
    {"llama.cpp", "http://127.0.0.1:8080/v1", "llama.cpp", 1},
    {"generic", "https://server.example/v1", "server", 5},
};

START_TEST(test_golden_cases)
{
    char dir[64];
    struct provider_target target = {.base_url = dialects[_i].base_url, .slug = dialects[_i].slug};
    ck_assert_str_eq(openai_dialect_of(&target)->name, dialects[_i].dir);
    snprintf(dir, sizeof(dir), "openai/%s", dialects[_i].dir);
    golden_replay(dir, &provider_openai, &target, dialects[_i].cases_min);
}
END_TEST

START_TEST(test_golden_cases_azure)
{
    struct provider_target target = {.base_url = "https://x.openai.azure.com"};
    golden_replay("azure-openai", &provider_azure_openai, &target, 8);
    target.base_url = "https://proxy.example"; /* the protocol says what it is */
    golden_replay("azure-openai", &provider_azure_openai, &target, 8);
}
END_TEST

/* ---- which dialect ---- */

static const struct {
    const char *base_url, *slug, *name;
} servers[] = {
    {"https://api.openai.com/v1", NULL, "openai"},
    {"https://API.OpenAI.com:443/v1", "mine", "openai"},
    {"https://eu.api.openai.com/v1", "mine", "openai"},
    {"https://user:pw@api.mistral.ai/v1", "mine", "mistral"},
    {"https://notapi.openai.com.evil.example/v1", "mine", "generic"},
    {"https://xapi.mistral.ai.example", "mine", "generic"},
    {"https://fakeapi.x.ai", "mine", "generic"},
    {"https://us-east-1.api.x.ai/v1", "mine", "xai"},
    {"https://res.openai.azure.com/openai/v1", "mine", "azure-openai"},
    {"https://res.services.ai.azure.com/models", "mine", "azure-openai"},
    {"http://localhost:8000/v1", "vllm", "vllm"},
    {"http://localhost:8000/v1", "vllm/fp8", "vllm"},
    {"http://localhost:8000/v1", "vllm2", "generic"},
    {"http://localhost:8000/v1", "mistral", "mistral"},
    {"http://localhost:8000/v1", "", "generic"},
    {"https://api.groq.com/openai/v1", "mistral", "groq"}, /* the address counts first */
    {"", NULL, "generic"},
};

START_TEST(test_dialect_is_found)
{
    struct provider_target target = {.base_url = servers[_i].base_url, .slug = servers[_i].slug};
    ck_assert_str_eq(openai_dialect_of(&target)->name, servers[_i].name);
}
END_TEST

static const struct {
    const char *slug, *asked, *sent;
} efforts[] = {
    {"openai", "high", "high"},       {"openai", "max", "high"},      {"openai", "xhigh", "high"},
    {"openai", "minimal", "minimal"}, {"openai", "none", NULL},       {"groq", "minimal", "low"},
    {"mistral", "low", "high"},       {"mistral", "none", "none"},    {"mistral", "max", "high"},
    {"deepseek", "max", "max"},       {"deepseek", "minimal", "low"}, {"deepseek", "xhigh", "high"},
    {"openrouter", "max", "xhigh"},   {"openai", "very much", NULL},  {"alibaba", "high", NULL},
};

START_TEST(test_effort_words)
{
    struct provider_target target = {.base_url = "http://localhost", .slug = efforts[_i].slug};
    const char *sent = openai_effort(openai_dialect_of(&target), span_of(efforts[_i].asked));
    if (efforts[_i].sent == NULL)
        ck_assert_ptr_null(sent);
    else
        ck_assert_pstr_eq(sent, efforts[_i].sent);
}
END_TEST

/* ---- limits ---- */

static const struct provider_target target = {.base_url = "https://api.openai.com/v1"};

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

START_TEST(test_boundary)
{
    static const char text[] = "data: {\"choices\":[]}\n\n";
    struct provider_reading reading = {.target = &target};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    ck_assert(p->stream_at_boundary(stream));
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        ck_assert(p->stream_feed(stream, (struct span){text + i, 1}, ignore_event, NULL));
        ck_assert(p->stream_at_boundary(stream) == (i == sizeof(text) - 2));
    }
    p->stream_close(stream);
    p->stream_close(NULL);
}
END_TEST

START_TEST(test_event_over_the_maximum)
{
    enum { PIECE = 1 << 20 };
    struct provider_reading reading = {.target = &target};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    char *piece = malloc(PIECE);
    ck_assert(piece != NULL);
    memset(piece, 'x', PIECE);
    ck_assert(p->stream_feed(stream, SPAN("data: "), ignore_event, NULL));
    bool ok = true;
    int fed = 0;
    for (; ok && fed < 2 * PROVIDER_EVENT_MAX / PIECE; fed++)
        ok = p->stream_feed(stream, (struct span){piece, PIECE}, ignore_event, NULL);
    ck_assert(!ok);
    ck_assert_int_ge(fed, PROVIDER_EVENT_MAX / PIECE);
    ck_assert(!p->stream_feed(stream, SPAN("\n\ndata: [DONE]\n\n"), ignore_event, NULL));
    static struct usage_report report;
    int64_t bytes;
    p->stream_finish(stream);
    ck_assert_int_eq(p->stream_state(stream, &report, &bytes), VERDICT_TRUNCATED);
    p->stream_close(stream);
    free(piece);
}
END_TEST

struct counter {
    struct reply_grammar grammar;
    int n[REPLY_ERROR + 1];
    size_t argument_bytes;
};

static void count_reply(void *ctx, const struct reply *r)
{
    struct counter *c = ctx;
    const char *wrong = reply_check(&c->grammar, r);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    c->n[r->kind]++;
    if (r->kind == REPLY_DELTA && r->delta == DELTA_ARGUMENTS)
        c->argument_bytes += r->text.len;
}

/* More calls than any model makes; the first never ends, so that all others wait. */
START_TEST(test_too_many_calls_break_the_stream)
{
    struct counter counter = {.argument_bytes = 0};
    struct reply_sink sink = {count_reply, &counter};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    bool ok = true;
    int n = 0;
    for (; ok && n < 5000; n++) {
        char text[256];
        int len =
            snprintf(text, sizeof(text),
                     "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%d,"
                     "\"id\":\"c%d\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]}}]"
                     "}\n\n",
                     n, n);
        ok = p->stream_feed(stream, (struct span){text, (size_t)len}, ignore_event, NULL);
    }
    ck_assert(!ok);
    ck_assert_int_eq(counter.n[REPLY_OPEN], 1);
    ck_assert_int_eq(counter.n[REPLY_END], 0);
    p->stream_close(stream);
}
END_TEST

/* What waits for an earlier block is bounded. */
START_TEST(test_waiting_text_is_bounded)
{
    struct counter counter = {.argument_bytes = 0};
    struct reply_sink sink = {count_reply, &counter};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    static const char open[] =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]}}]}\n\n";
    ck_assert(p->stream_feed(stream, SPAN(open), ignore_event, NULL));
    struct buf chunk;
    buf_init(&chunk, 4 << 20);
    buf_adds(&chunk, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
    for (int i = 0; i < 1 << 20; i++)
        buf_addc(&chunk, 'x');
    buf_adds(&chunk, "\"}}]}\n\n");
    bool ok = true;
    int n = 0;
    for (; ok && n < 64; n++)
        ok = p->stream_feed(stream, buf_span(&chunk), ignore_event, NULL);
    ck_assert(!ok);
    ck_assert_int_ge(n, 15);
    p->stream_close(stream);
    buf_done(&chunk);
}
END_TEST

/* So are sources that wait for their text, by what they take of memory. */
START_TEST(test_waiting_sources_are_bounded)
{
    struct counter counter = {.argument_bytes = 0};
    struct reply_sink sink = {count_reply, &counter};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    bool ok = true;
    int n = 0;
    for (; ok && n < 400000; n++)
        ok = p->stream_feed(stream,
                            SPAN("data: {\"choices\":[{\"index\":0,\"delta\":{\"annotations\":[{"
                                 "\"type\":\"url_citation\",\"url_citation\":{\"url\":\"u\"}}]}}]}"
                                 "\n\n"),
                            ignore_event, NULL);
    ck_assert(!ok);
    ck_assert_int_lt(n, 200000);
    p->stream_close(stream);
}
END_TEST

/* The first piece of a call is given out when it comes, not when the call is whole. */
START_TEST(test_deltas_go_out_as_they_arrive)
{
    struct counter counter = {.argument_bytes = 0};
    struct reply_sink sink = {count_reply, &counter};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    ck_assert(p->stream_feed(
        stream, SPAN("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"),
        ignore_event, NULL));
    ck_assert_int_eq(counter.n[REPLY_DELTA], 1);
    ck_assert(p->stream_feed(
        stream,
        SPAN(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\","
            "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"ab\"}}]}}]}\n\n"),
        ignore_event, NULL));
    ck_assert_int_eq(counter.n[REPLY_CLOSE], 1);
    ck_assert_uint_eq(counter.argument_bytes, 4);
    p->stream_close(stream);
}
END_TEST

/* A second of speech, as pcm16 in base64, is 20 tokens: those of 80 bytes of text. */
START_TEST(test_sound_is_generated_too)
{
    enum { LETTERS_OF_A_SECOND = 64000, TEXT_OF_A_SECOND = 80 };
    struct provider_reading reading = {.target = &target};
    const struct provider *p = &provider_openai;
    void *stream = p->stream_open(&reading);
    struct usage_report report;
    int64_t bytes;
    struct buf chunk;
    buf_init(&chunk, 2 * LETTERS_OF_A_SECOND);
    buf_adds(&chunk, "data: {\"choices\":[{\"index\":0,\"delta\":{\"audio\":{\"data\":\"");
    for (int i = 0; i < LETTERS_OF_A_SECOND; i++)
        buf_addc(&chunk, 'A');
    buf_adds(&chunk, "\"}}}]}\n\n");
    ck_assert(p->stream_feed(stream, buf_span(&chunk), ignore_event, NULL));
    p->stream_state(stream, &report, &bytes);
    ck_assert_int_eq(bytes, TEXT_OF_A_SECOND);
    ck_assert(p->stream_feed(stream,
                             SPAN("data: {\"choices\":[{\"index\":0,\"delta\":{\"audio\":{"
                                  "\"transcript\":\"said\"}}}]}\n\n"),
                             ignore_event, NULL));
    p->stream_state(stream, &report, &bytes);
    ck_assert_int_eq(bytes, TEXT_OF_A_SECOND + 4);
    p->stream_close(stream);
    buf_done(&chunk);
}
END_TEST

struct named {
    char name[256];
};

static void keep_name(void *ctx, const struct reply *r)
{
    struct named *n = ctx;
    if (r->kind == REPLY_OPEN)
        snprintf(n->name, sizeof(n->name), "%.*s", (int)r->name.len, r->name.ptr);
}

/* A name that was too long to be sent is the client's own again. */
START_TEST(test_long_names_come_back)
{
    static const char own[] =
        "mcp__a_server_with_a_long_name__a_tool_with_a_name_that_is_longer_than_openai_takes";
    static const char sent[] = "mcp__a_server_with_a_long_name__a_tool_with_a_n_3c9a78eb42de65a2";
    static const struct {
        const char *name, *told;
    } rows[] = {{sent, own},
                {"mcp__a_server_with_a_long_name__a_tool_with_a_n_0000000000000000",
                 "mcp__a_server_with_a_long_name__a_tool_with_a_n_0000000000000000"},
                {"short", "short"}};
    struct dialog dialog;
    dialog_init(&dialog);
    dialog_add_tool(&dialog)->name = SPAN("short");
    dialog_add_tool(&dialog)->name = SPAN(own);
    for (size_t i = 0; i < ROWS(rows); i++) {
        char body[512];
        struct named named = {.name = ""};
        struct reply_sink sink = {keep_name, &named};
        struct provider_reading reading = {.target = &target, .sink = &sink, .dialog = &dialog};
        static struct usage_report report;
        snprintf(
            body, sizeof(body),
            "{\"choices\":[{\"index\":0,\"message\":{\"tool_calls\":[{\"id\":\"c\",\"function\":"
            "{\"name\":\"%s\",\"arguments\":\"{}\"}}]}}]}",
            rows[i].name);
        ck_assert_int_eq(provider_openai.read_body(&reading, span_of(body), &report),
                         VERDICT_COMPLETE);
        ck_assert_str_eq(named.name, rows[i].told);
    }
    dialog_done(&dialog);
}
END_TEST

/* Without a choice it is no answer; what it states of its use counts. */
START_TEST(test_body_without_choices)
{
    static struct usage_report report;
    struct provider_reading reading = {.target = &target};
    ck_assert_int_eq(
        provider_openai.read_body(
            &reading,
            SPAN("{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}"),
            &report),
        VERDICT_FOREIGN);
    ck_assert_int_eq(report.total.n[USAGE_output_tok], 7);
}
END_TEST

/* ---- errors ---- */

static const struct {
    const char *body;
    bool is_error;
    int status;
    const char *type, *message; /* message NULL: no error is found */
} errors[] = {
    {"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}}", true, 0, "t", "m"},
    {"{\"error\":{\"message\":\"m\",\"type\":null,\"code\":\"c\"}}", true, 0, "c", "m"},
    {"{\"error\":{\"message\":\"m\",\"code\":429}}", true, 429, "", "m"},
    {"{\"error\":{\"message\":\"m\",\"code\":\"401\"}}", true, 0, "", "m"},
    {"{\"error\":{\"code\":502,\"message\":\"m\",\"metadata\":{\"error_type\":\"x\"}}}", true, 502,
     "x", "m"},
    {"{\"error\":\"m\"}", true, 0, "", "m"},
    {"{\"code\":\"bad_model\",\"error\":\"m\"}", true, 0, "bad_model", "m"},
    {"{\"detail\":\"m\"}", false, 0, "", "m"},
    {"{\"detail\":[{\"msg\":\"m\"}]}", false, 0, "", "[{\"msg\":\"m\"}]"},
    {"{\"object\":\"error\",\"message\":\"m\",\"type\":\"invalid_model\",\"code\":\"1500\"}", false,
     0, "invalid_model", "m"},
    {"{\"message\":\"m\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}", false, 0, "t", "m"},
    {" [{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}]\n", false,
     400, "", "m"},
    {"{\"choices\":[],\"message\":\"m\"}", false, 0, "", NULL},
    {"{\"error\":null}", false, 0, "", NULL},
    {"{}", false, 0, "", NULL},
    {"<html>", false, 0, "", NULL},
    {"", false, 0, "", NULL},
    {"[]", false, 0, "", NULL},
};

START_TEST(test_error_bodies)
{
    const struct provider *const providers[] = {&provider_openai, &provider_azure_openai};
    for (size_t i = 0; i < ROWS(providers); i++) {
        struct span body = span_of(errors[_i].body);
        struct reply_error error;
        struct buf store;
        buf_init(&store, 1 << 16);
        ck_assert(providers[i]->is_error_body(body) == errors[_i].is_error);
        bool found = providers[i]->read_error(body, &store, &error);
        ck_assert(found == (errors[_i].message != NULL));
        if (found) {
            ck_assert_int_eq(error.http_status, errors[_i].status);
            ck_assert(span_is(error.type, errors[_i].type));
            ck_assert(span_is(error.message, errors[_i].message));
        }
        buf_done(&store);
    }
}
END_TEST

static const struct {
    int status;
    const char *body;
    int means;
} weighed[] = {
    {429, "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":null}}", 402},
    {429, "{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}", 402},
    {429, "{\"error\":{\"message\":\"m\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}",
     429},
    {413, "{\"error\":{\"message\":\"m\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
     429},
    {413, "{\"error\":{\"message\":\"too large\"}}", 413},
    {400, "{\"code\":\"x\",\"error\":\"Incorrect API key provided: xa***. You can ...\"}", 401},
    {400, "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please ...\"}}]", 401},
    {400, "{\"error\":{\"message\":\"bad\"}}", 400},
    {400, "<html>", 400},
    {500, "", 500},
};

START_TEST(test_status_is_weighed)
{
    int status = weighed[_i].status;
    int64_t retry_after_ms = -1;
    provider_openai.weigh_error(span_of(weighed[_i].body), &status, &retry_after_ms);
    ck_assert_int_eq(status, weighed[_i].means);
    ck_assert_int_eq(retry_after_ms, -1);
}
END_TEST

START_TEST(test_registry)
{
    ck_assert_ptr_eq(provider_find("openai"), &provider_openai);
    ck_assert_ptr_eq(provider_find("azure-openai"), &provider_azure_openai);
    ck_assert_int_eq(provider_openai.native_door(&target), DOOR_OPENAI);
    ck_assert_int_eq(provider_azure_openai.native_door(&target), DOOR_OPENAI);
    ck_assert(!provider_openai.can_count_tokens);
}
END_TEST

Suite *openai_suite(void);

Suite *openai_suite(void)
{
    Suite *s = suite_create("openai");
    TCase *golden = tcase_create("golden");
    tcase_set_timeout(golden, 120);
    tcase_add_loop_test(golden, test_golden_cases, 0, (int)ROWS(dialects));
    tcase_add_test(golden, test_golden_cases_azure);
    suite_add_tcase(s, golden);
    TCase *rows = tcase_create("dialects");
    tcase_add_loop_test(rows, test_dialect_is_found, 0, (int)ROWS(servers));
    tcase_add_loop_test(rows, test_effort_words, 0, (int)ROWS(efforts));
    tcase_add_test(rows, test_registry);
    suite_add_tcase(s, rows);
    TCase *limits = tcase_create("limits");
    tcase_set_timeout(limits, 120);
    tcase_add_test(limits, test_boundary);
    tcase_add_test(limits, test_event_over_the_maximum);
    tcase_add_test(limits, test_too_many_calls_break_the_stream);
    tcase_add_test(limits, test_sound_is_generated_too);
    tcase_add_test(limits, test_waiting_sources_are_bounded);
    tcase_add_test(limits, test_body_without_choices);
    tcase_add_test(limits, test_waiting_text_is_bounded);
    tcase_add_test(limits, test_deltas_go_out_as_they_arrive);
    tcase_add_test(limits, test_long_names_come_back);
    tcase_add_loop_test(limits, test_error_bodies, 0, (int)ROWS(errors));
    tcase_add_loop_test(limits, test_status_is_weighed, 0, (int)ROWS(weighed));
    suite_add_tcase(s, limits);
    return s;
}
