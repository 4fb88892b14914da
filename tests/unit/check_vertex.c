/* The Vertex AI adapter: golden answers of both protocols, addresses, and bodies. */
#include <stdlib.h>

#include "providers/gemini.h"
#include "tests/unit/chat_case.h"
#include "tests/unit/golden.h"

enum { GEMINI_CASES_MIN = 9, CLAUDE_CASES_MIN = 6 };

static struct upreq up;
static struct provider_target target;
static struct client_headers client;
static struct drops drops;
static struct dialog dialog;

static void set_up(void)
{
    setup();
    upreq_init(&up);
    dialog_init(&dialog);
    drops.n = 0;
    client = (struct client_headers){.n_other = 0};
    target = (struct provider_target){
        .slug = "vertex",
        .base_url = "https://eu-aiplatform.example/v1/projects/p1/locations/europe-west1",
        .upstream_model = "claude-opus-4-1@20250805",
        .secret = "ya29.token",
        .auth_type = AUTH_API_KEY};
}

static void tear_down(void)
{
    upreq_done(&up);
    dialog_done(&dialog);
    teardown();
}

static int build(const struct dialog *d)
{
    struct provider_ask ask = {.target = &target,
                               .headers = &client,
                               .chat = &chat,
                               .dialog = d,
                               .max_tokens = 64,
                               .drops = &drops};
    upreq_done(&up);
    fault = (struct fail){.code = ERR_OK};
    return provider_vertex.build(&ask, &up, &fault);
}

static bool has_header(const char *want)
{
    const char *h = NULL;
    while ((h = upreq_next_header(&up, h)) != NULL) {
        if (strcmp(h, want) == 0)
            return true;
    }
    return false;
}

static void ck_body(const char *want)
{
    char *body = malloc(up.body_len + 1);
    ck_assert_ptr_nonnull(body);
    body[upreq_read(&up, 0, body, up.body_len)] = '\0';
    ck_assert_str_eq(body, want);
    free(body);
}

START_TEST(test_golden_gemini)
{
    target.upstream_model = "gemini-2.5-flash";
    golden_replay("vertex", &provider_vertex, &target, GEMINI_CASES_MIN);
}
END_TEST

START_TEST(test_golden_claude)
{
    golden_replay("vertex_claude", &provider_vertex, &target, CLAUDE_CASES_MIN);
}
END_TEST

START_TEST(test_who_speaks_what)
{
    static const struct {
        const char *model;
        enum chat_door door;
    } cases[] = {{"claude-opus-4-1@20250805", DOOR_ANTHROPIC},
                 {"anthropic/claude-sonnet-4-5", DOOR_ANTHROPIC},
                 {"gemini-2.5-flash", DOOR_NONE},
                 {"google/gemini-2.5-flash", DOOR_NONE}};
    for (size_t i = 0; i < ROWS(cases); i++) {
        target.upstream_model = cases[i].model;
        ck_assert_int_eq(provider_vertex.native_door(&target), cases[i].door);
    }
}
END_TEST

#define PLACE "https://eu-aiplatform.example/v1/projects/p1/locations/europe-west1"
#define OWN "https://aiplatform.example/v1/projects/from-key/locations/"

START_TEST(test_address)
{
    static const struct {
        const char *base, *project, *region, *model;
        bool stream;
        const char *url;
    } cases[] = {
        {PLACE, NULL, NULL, "gemini-2.5-pro", false,
         PLACE "/publishers/google/models/gemini-2.5-pro:generateContent"},
        {PLACE "/", "other", "x", "google/gemini-2.5-pro", true,
         PLACE "/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"},
        {PLACE, NULL, NULL, "claude-x@1", false,
         PLACE "/publishers/anthropic/models/claude-x@1:rawPredict"},
        {PLACE, NULL, NULL, "anthropic/claude-x@1", true,
         PLACE "/publishers/anthropic/models/claude-x@1:streamRawPredict"},
        {"https://aiplatform.example", "from-key", NULL, "gemini-3-flash", false,
         OWN "global/publishers/google/models/gemini-3-flash:generateContent"},
        {"https://aiplatform.example/v1", "from-key", "us-east5", "gemini-3-flash", false,
         OWN "us-east5/publishers/google/models/gemini-3-flash:generateContent"},
    };
    struct dialog_message *m = dialog_turn(&dialog, ROLE_USER, (struct span){"", 0});
    dialog_add(&dialog, &m->blocks, BLOCK_TEXT)->text = SPAN("hi");
    good(REQUEST(""));
    for (size_t i = 0; i < ROWS(cases); i++) {
        target.base_url = cases[i].base;
        target.project = cases[i].project;
        target.region = cases[i].region;
        target.upstream_model = cases[i].model;
        chat.stream = dialog.stream = cases[i].stream;
        ck_assert_msg(build(&dialog) == 0, "%s", fault.text);
        ck_assert_str_eq(up.url, cases[i].url);
        ck_assert(has_header("authorization: Bearer ya29.token"));
    }
}
END_TEST

/* The operator's mistake, not the client's: the next endpoint is tried. */
START_TEST(test_no_project_known)
{
    good(REQUEST(""));
    target.base_url = "https://aiplatform.example";
    ck_assert_int_eq(build(NULL), -1);
    ck_assert_int_eq(fault.code, ERR_internal);
    ck_assert_ptr_nonnull(strstr(fault.text, "base_url"));
}
END_TEST

START_TEST(test_bytes_of_the_client_without_its_model)
{
    static const struct {
        const char *sent, *want;
    } cases[] = {
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"model\"}]}",
         "{\"anthropic_version\":\"vertex-2023-10-16\",\"messages\":[{\"role\":\"user\","
         "\"content\":\"model\"}]}"},
        {"{ \"provider_order\": [\"a\"], \"t\":1e-1, \"model\" : \"m\" ,\"stream\":true,"
         "\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}],\"x\":{\"model\":\"kept\"}}",
         "{ \"t\":1e-1, \"anthropic_version\":\"vertex-2023-10-16\" ,\"stream\":true,"
         "\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}],\"x\":{\"model\":\"kept\"}}"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"provider_sort\":\"price\","
         "\"model\":\"m\"}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
         "\"anthropic_version\":\"vertex-2023-10-16\"}"},
        {"{\"models\":[\"m\"],\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
         "{\"anthropic_version\":\"vertex-2023-10-16\",\"messages\":[{\"role\":\"user\","
         "\"content\":\"a\"}]}"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        good(cases[i].sent);
        ck_assert_msg(build(NULL) == 0, "%s", fault.text);
        ck_body(cases[i].want);
    }
}
END_TEST

START_TEST(test_max_tokens_that_the_router_sets)
{
    good("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");
    chat_send_max_tokens(&chat, 5);
    ck_assert_int_eq(build(NULL), 0);
    ck_body("{\"anthropic_version\":\"vertex-2023-10-16\",\"max_tokens\":5,\"messages\":"
            "[{\"role\":\"user\",\"content\":\"a\"}]}");
}
END_TEST

START_TEST(test_headers_of_claude)
{
    static const char *const operators[] = {"anthropic-beta", "b2", NULL};
    good(REQUEST(",\"stream\":true"));
    client.anthropic_version = SPAN("2023-06-01");
    client.anthropic_beta = SPAN("b1");
    ck_assert_int_eq(build(NULL), 0);
    ck_assert(has_header("anthropic-beta: b1"));
    ck_assert(!has_header("anthropic-version: 2023-06-01")); /* stands in the body */
    ck_assert(has_header("accept: text/event-stream"));
    target.extra_headers = operators;
    ck_assert_int_eq(build(NULL), 0);
    ck_assert(has_header("anthropic-beta: b1,b2"));
    ck_assert(!has_header("anthropic-beta: b2"));
}
END_TEST

START_TEST(test_claude_from_a_dialog)
{
    struct dialog_message *m = dialog_turn(&dialog, ROLE_USER, (struct span){"", 0});
    dialog_add(&dialog, &m->blocks, BLOCK_TEXT)->text = SPAN("hi");
    good(REQUEST(""));
    chat.door = DOOR_OPENAI;
    ck_assert_msg(build(&dialog) == 0, "%s", fault.text);
    char body[512];
    body[upreq_read(&up, 0, body, sizeof(body) - 1)] = '\0';
    ck_assert_ptr_nonnull(strstr(body, "\"anthropic_version\":\"vertex-2023-10-16\""));
    ck_assert_ptr_null(strstr(body, "\"model\""));
    ck_assert_ptr_nonnull(strstr(body, "\"max_tokens\":64"));
}
END_TEST

START_TEST(test_errors_of_both)
{
    static const struct {
        const char *body;
        bool anthropic;
        const char *type; /* NULL = no error body */
    } cases[] = {
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}", true,
         "overloaded_error"},
        {"{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}", false,
         "RESOURCE_EXHAUSTED"},
        {"[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}]", false,
         "RESOURCE_EXHAUSTED"},
        {"<html>", false, NULL},
        {"{}", false, NULL},
    };
    struct buf store;
    buf_init(&store, 1024);
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct reply_error error;
        struct span body = span_of(cases[i].body);
        ck_assert_msg(provider_vertex.is_error_body(body) == cases[i].anthropic, "%s",
                      cases[i].body);
        bool found = provider_vertex.read_error(body, &store, &error);
        ck_assert_msg(found == (cases[i].type != NULL), "%s", cases[i].body);
        if (found)
            ck_assert(span_is(error.type, cases[i].type) && span_is(error.message, "m"));
    }
    buf_done(&store);
}
END_TEST

Suite *vertex_suite(void);
Suite *vertex_suite(void)
{
    Suite *s = suite_create("vertex");
    TCase *c = tcase_create("vertex");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, test_golden_gemini);
    tcase_add_test(c, test_golden_claude);
    tcase_add_test(c, test_who_speaks_what);
    tcase_add_test(c, test_address);
    tcase_add_test(c, test_no_project_known);
    tcase_add_test(c, test_bytes_of_the_client_without_its_model);
    tcase_add_test(c, test_max_tokens_that_the_router_sets);
    tcase_add_test(c, test_headers_of_claude);
    tcase_add_test(c, test_claude_from_a_dialog);
    tcase_add_test(c, test_errors_of_both);
    suite_add_tcase(s, c);
    return s;
}
