/* The call that the OpenAI and Azure adapters prepare for a client of the same protocol: address,
 * headers, and the client's bytes with the model replaced and usage asked for. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/provider.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct json_doc doc;
static struct chat chat;
static struct upreq up;
static struct fail fail;
static struct client_headers client;
static struct provider_target target;

#define MESSAGES "[{\"role\":\"user\",\"content\":\"x\"}]"

static const char plain_body[] = "{\"model\":\"alias\",\"messages\":" MESSAGES "}";
static const char stream_body[] = "{\"stream\":true,\"model\":\"alias\",\"messages\":" MESSAGES "}";

static void set_chat(const char *body)
{
    ck_assert(json_parse(&doc, span_of(body), &fail) == 0);
    chat_done(&chat);
    chat_init(&chat);
    ck_assert_msg(chat_read_openai(&chat, &doc, &fail) == 0, "%s", fail.text);
}

static void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
    upreq_init(&up);
    client = (struct client_headers){.n_other = 0};
    target = (struct provider_target){.base_url = "https://api.openai.com/v1",
                                      .slug = "p",
                                      .upstream_model = "gpt-example",
                                      .secret = "sk-secret",
                                      .auth_type = AUTH_API_KEY,
                                      .request_id = "att_1"};
    set_chat(plain_body);
}

static void teardown(void)
{
    chat_done(&chat);
    json_done(&doc);
    upreq_done(&up);
}

static int build(const struct provider *p)
{
    static struct drops drops;
    upreq_done(&up);
    upreq_init(&up);
    struct provider_ask ask = {.op = OP_MESSAGES,
                               .target = &target,
                               .headers = &client,
                               .chat = &chat,
                               .max_tokens = -1,
                               .drops = &drops};
    return p->build(&ask, &up, &fail);
}

/* The value of the only header of that name; NULL when there is none. */
static const char *header(const char *name)
{
    const char *found = NULL;
    size_t len = strlen(name);
    for (const char *h = upreq_next_header(&up, NULL); h != NULL; h = upreq_next_header(&up, h)) {
        if (strncmp(h, name, len) != 0 || h[len] != ':')
            continue;
        ck_assert_msg(found == NULL, "%s is there twice", name);
        found = h + len + 2;
    }
    return found;
}

static void must_be_body(const char *expected)
{
    char got[1024];
    size_t n = upreq_read(&up, 0, got, sizeof(got) - 1);
    got[n] = '\0';
    ck_assert_str_eq(got, expected);
}

/* ---- addresses ---- */

static const struct {
    bool azure;
    const char *base, *model, *url;
} urls[] = {
    {false, "https://api.openai.com/v1", "m", "https://api.openai.com/v1/chat/completions"},
    {false, "https://api.openai.com/v1/", "m", "https://api.openai.com/v1/chat/completions"},
    {false, "https://api.deepseek.com", "m", "https://api.deepseek.com/chat/completions"},
    {false, "https://api.z.ai/api/paas/v4", "m", "https://api.z.ai/api/paas/v4/chat/completions"},
    {true, "https://r.openai.azure.com", "gpt-4o",
     "https://r.openai.azure.com/openai/deployments/gpt-4o/chat/"
     "completions?api-version=2025-04-01-preview"},
    {true, "https://r.openai.azure.com/", "gpt 4/o",
     "https://r.openai.azure.com/openai/deployments/gpt%204%2Fo/chat/"
     "completions?api-version=2025-04-01-preview"},
    {true, "https://r.openai.azure.com/?api-version=2024-10-21", "m",
     "https://r.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21"},
    {true, "https://r.openai.azure.com/openai", "m",
     "https://r.openai.azure.com/openai/deployments/m/chat/"
     "completions?api-version=2025-04-01-preview"},
    {true, "https://r.openai.azure.com/openai/deployments/fixed?api-version=2024-10-21", "m",
     "https://r.openai.azure.com/openai/deployments/fixed/chat/completions?api-version=2024-10-21"},
    {true, "https://r.openai.azure.com/openai/v1", "m",
     "https://r.openai.azure.com/openai/v1/chat/completions"},
    {true, "https://r.openai.azure.com/openai/v1/?api-version=preview", "m",
     "https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview"},
    {true, "https://r.services.ai.azure.com/models", "m",
     "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"},
};

static const struct provider *provider_of(bool azure)
{
    return azure ? &provider_azure_openai : &provider_openai;
}

START_TEST(test_url)
{
    target.base_url = urls[_i].base;
    target.upstream_model = urls[_i].model;
    ck_assert_int_eq(build(provider_of(urls[_i].azure)), 0);
    ck_assert_str_eq(up.url, urls[_i].url);
}
END_TEST

START_TEST(test_url_that_cannot_be_used)
{
    static const char *const bases[] = {"", "https://a b.example", "https://a.example/\r\nx: y",
                                        "?api-version=1"};
    for (size_t i = 0; i < ROWS(bases); i++) {
        target.base_url = bases[i];
        fail.code = ERR_OK;
        ck_assert_int_eq(build(&provider_azure_openai), -1);
        ck_assert_int_eq(fail.code, ERR_internal);
        if (bases[i][0] != '?') /* OpenAI's addresses have no query of their own */
            ck_assert_int_eq(build(&provider_openai), -1);
    }
}
END_TEST

/* ---- headers ---- */

START_TEST(test_headers)
{
    static const char *const extra[] = {
        "OpenAI-Organization", "org-1", "User-Agent", "relay/1", "Host", "evil", NULL};
    target.extra_headers = extra;
    ck_assert_int_eq(build(&provider_openai), 0);
    ck_assert_str_eq(header("authorization"), "Bearer sk-secret");
    ck_assert_str_eq(header("content-type"), "application/json");
    ck_assert_str_eq(header("accept"), "application/json");
    ck_assert_str_eq(header("accept-encoding"), "identity");
    ck_assert_str_eq(header("x-request-id"), "att_1");
    ck_assert_str_eq(header("OpenAI-Organization"), "org-1");
    ck_assert_str_eq(header("User-Agent"), "relay/1");
    ck_assert_ptr_null(header("Host"));
    ck_assert_ptr_null(header("user-agent"));
    ck_assert_ptr_null(header("api-key"));
    set_chat(stream_body);
    ck_assert_int_eq(build(&provider_azure_openai), 0);
    ck_assert_str_eq(header("api-key"), "sk-secret");
    ck_assert_str_eq(header("accept"), "text/event-stream");
    ck_assert_ptr_null(header("authorization"));
    target.auth_type = AUTH_BEARER; /* an Entra token */
    ck_assert_int_eq(build(&provider_azure_openai), 0);
    ck_assert_str_eq(header("authorization"), "Bearer sk-secret");
    ck_assert_ptr_null(header("api-key"));
}
END_TEST

/* ---- bodies ---- */

START_TEST(test_body_is_the_clients)
{
    set_chat("{ \"temperature\":1e-1,\"provider\":{\"order\":[\"a\"]},\"model\" : \"alias\","
             "\"stream\":false,\"x\":{\"model\":1},\"messages\":" MESSAGES "}");
    ck_assert_int_eq(build(&provider_openai), 0);
    must_be_body("{ \"temperature\":1e-1,\"model\" : \"gpt-example\",\"stream\":false,"
                 "\"x\":{\"model\":1},\"messages\":" MESSAGES "}");
}
END_TEST

START_TEST(test_stream_asks_for_usage)
{
    set_chat(stream_body);
    ck_assert_int_eq(build(&provider_openai), 0);
    must_be_body("{\"stream\":true,\"model\":\"gpt-example\",\"stream_options\":{\"include_usage\":"
                 "true},\"messages\":" MESSAGES "}");
    set_chat("{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
             "\"messages\":" MESSAGES "}");
    ck_assert_int_eq(build(&provider_openai), 0);
    must_be_body("{\"model\":\"gpt-example\",\"stream\":true,\"stream_options\":{\"include_usage\":"
                 "true},\"messages\":" MESSAGES "}");
}
END_TEST

/* Mistral refuses members it does not know, and states usage without being asked.  The same chat
 * may go to another server before and after. */
static const struct {
    const char *received, *to_openai, *to_mistral;
} option_rows[] = {
    {"{\"stream\":true,\"model\":\"a\",\"messages\":" MESSAGES "}",
     "{\"stream\":true,\"model\":\"gpt-example\",\"stream_options\":{\"include_usage\":true},"
     "\"messages\":" MESSAGES "}",
     "{\"stream\":true,\"model\":\"gpt-example\",\"messages\":" MESSAGES "}"},
    {"{\"stream\":true,\"stream_options\":{\"include_usage\":false},\"messages\":" MESSAGES
     ",\"model\":\"a\"}",
     "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":" MESSAGES
     ",\"model\":\"gpt-example\"}",
     "{\"stream\":true,\"messages\":" MESSAGES ",\"model\":\"gpt-example\"}"},
    {"{\"stream\":true,\"messages\":" MESSAGES ",\"model\":\"a\",\"models\":[\"b\"], "
     "\"stream_options\":{\"include_usage\":true},\"usage\":{\"include\":true}}",
     "{\"stream\":true,\"messages\":" MESSAGES ",\"model\":\"gpt-example\","
     "\"stream_options\":{\"include_usage\":true}}",
     "{\"stream\":true,\"messages\":" MESSAGES ",\"model\":\"gpt-example\"}"},
};

START_TEST(test_stream_options_are_left_out_where_they_are_refused)
{
    set_chat(option_rows[_i].received);
    for (int round = 0; round < 2; round++) {
        target.base_url = "https://api.openai.com/v1";
        ck_assert_int_eq(build(&provider_openai), 0);
        must_be_body(option_rows[_i].to_openai);
        target.base_url = "https://api.mistral.ai/v1";
        ck_assert_int_eq(build(&provider_openai), 0);
        must_be_body(option_rows[_i].to_mistral);
    }
}
END_TEST

/* A limit that is put in has the name that the server knows. */
START_TEST(test_inserted_limit_is_named_for_the_server)
{
    static const struct {
        const char *base, *member;
    } rows[] = {{"https://api.openai.com/v1", "max_completion_tokens"},
                {"https://api.mistral.ai/v1", "max_tokens"},
                {"https://server.example/v1", "max_tokens"}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        char expected[256];
        target.base_url = rows[i].base;
        set_chat(plain_body);
        chat_send_max_tokens(&chat, 77);
        upreq_done(&up);
        upreq_init(&up);
        struct provider_ask ask = {
            .target = &target, .headers = &client, .chat = &chat, .max_tokens = 77};
        ck_assert_int_eq(provider_openai.build(&ask, &up, &fail), 0);
        snprintf(expected, sizeof(expected),
                 "{\"model\":\"gpt-example\",\"%s\":77,\"messages\":" MESSAGES "}", rows[i].member);
        must_be_body(expected);
    }
}
END_TEST

/* The tier that the endpoint's prices are for is asked for where there are tiers; the next endpoint
 * of the same chat has none. */
START_TEST(test_tier_is_asked_for)
{
    static const struct {
        const char *received, *tier, *base, *sent;
    } rows[] = {
        {"", "flex", "https://api.openai.com/v1", ",\"service_tier\":\"flex\""},
        {",\"service_tier\":\"auto\"", "priority", "https://api.openai.com/v1",
         ",\"service_tier\":\"priority\""},
        {",\"service_tier\":\"priority\"", "flex", "https://api.openai.com/v1",
         ",\"service_tier\":\"flex\""},
        {"", "flex", "https://server.example/v1", ""},
        {",\"service_tier\":\"auto\"", "flex", "https://server.example/v1",
         ",\"service_tier\":\"auto\""},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char body[256], expected[256], untold[256];
        snprintf(body, sizeof(body), "{\"model\":\"alias\"%s,\"messages\":" MESSAGES "}",
                 rows[i].received);
        snprintf(expected, sizeof(expected),
                 "{\"model\":\"gpt-example\"%s,\"messages\":" MESSAGES "}", rows[i].sent);
        snprintf(untold, sizeof(untold), "{\"model\":\"gpt-example\"%s,\"messages\":" MESSAGES "}",
                 strstr(rows[i].received, "priority") != NULL ? "" : rows[i].received);
        set_chat(body);
        target.base_url = rows[i].base;
        target.tier = rows[i].tier;
        ck_assert_int_eq(build(&provider_openai), 0);
        must_be_body(expected);
        target.tier = NULL;
        ck_assert_int_eq(build(&provider_openai), 0);
        must_be_body(untold);
    }
}
END_TEST

START_TEST(test_tokens_are_not_counted)
{
    struct provider_ask ask = {
        .op = OP_COUNT_TOKENS, .target = &target, .headers = &client, .chat = &chat};
    ck_assert_int_eq(provider_openai.build(&ask, &up, &fail), -1);
    ck_assert_int_eq(fail.code, ERR_internal);
}
END_TEST

Suite *openai_build_suite(void);

Suite *openai_build_suite(void)
{
    Suite *s = suite_create("openai_build");
    TCase *tc = tcase_create("build");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_url, 0, (int)ROWS(urls));
    tcase_add_test(tc, test_url_that_cannot_be_used);
    tcase_add_test(tc, test_headers);
    tcase_add_test(tc, test_body_is_the_clients);
    tcase_add_test(tc, test_stream_asks_for_usage);
    tcase_add_loop_test(tc, test_stream_options_are_left_out_where_they_are_refused, 0,
                        (int)ROWS(option_rows));
    tcase_add_test(tc, test_inserted_limit_is_named_for_the_server);
    tcase_add_test(tc, test_tier_is_asked_for);
    tcase_add_test(tc, test_tokens_are_not_counted);
    suite_add_tcase(s, tc);
    return s;
}
