/* The call that the Anthropic adapter prepares: address, headers, body. */
#include <check.h>
#include <stdlib.h>

#include "providers/provider.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const char body_text[] =
    "{ \"provider_order\": [\"a\"], \"temperature\":1e-1,\"model\" : \"alias\",\"stream\":true,"
    "\"messages\":[{\"role\":\"user\",\"content\":\"model \\u00e9 \\\"model\\\"\"}],"
    "\"x\":{\"model\":\"kept\"}}";

static struct json_doc doc;
static struct chat chat;
static struct upreq up;
static struct fail fail;
static struct client_headers client;
static struct provider_target target;

static void read_chat(struct span text)
{
    ck_assert(json_parse(&doc, text, &fail) == 0);
    chat_done(&chat);
    chat_init(&chat);
    ck_assert_msg(chat_read_anthropic(&chat, &doc, false, &fail) == 0, "%s", fail.text);
}

static void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
    upreq_init(&up);
    client = (struct client_headers){.n_other = 0};
    target = (struct provider_target){.base_url = "https://api.example",
                                      .upstream_model = "claude-example-4-5",
                                      .secret = "sk-secret",
                                      .auth_type = AUTH_API_KEY,
                                      .request_id = "att_1"};
    read_chat(SPAN(body_text));
}

static void teardown(void)
{
    chat_done(&chat);
    json_done(&doc);
    upreq_done(&up);
}

static int build(enum provider_op op)
{
    upreq_done(&up);
    upreq_init(&up);
    struct drops drops = {.n = 0};
    struct provider_ask ask = {.op = op,
                               .target = &target,
                               .headers = &client,
                               .chat = &chat,
                               .max_tokens = -1,
                               .drops = &drops};
    return provider_anthropic.build(&ask, &up, &fail);
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

static void must_be_header(const char *name, const char *value)
{
    const char *have = header(name);
    if (value == NULL)
        ck_assert_msg(have == NULL, "%s is there: %s", name, have);
    else
        ck_assert_msg(have != NULL && strcmp(have, value) == 0, "%s is %s, not %s", name,
                      have != NULL ? have : "(absent)", value);
}

static const struct {
    const char *base, *messages, *count;
} urls[] = {
    {"https://api.example", "https://api.example/v1/messages",
     "https://api.example/v1/messages/count_tokens"},
    {"https://api.example/", "https://api.example/v1/messages",
     "https://api.example/v1/messages/count_tokens"},
    {"https://api.example/v1", "https://api.example/v1/messages",
     "https://api.example/v1/messages/count_tokens"},
    {"https://api.example/v1///", "https://api.example/v1/messages",
     "https://api.example/v1/messages/count_tokens"},
    {"https://relay.example/api", "https://relay.example/api/v1/messages",
     "https://relay.example/api/v1/messages/count_tokens"},
    {"https://name.cloud.example/anthropic", "https://name.cloud.example/anthropic/v1/messages",
     "https://name.cloud.example/anthropic/v1/messages/count_tokens"},
    {"https://relay.example/xv1", "https://relay.example/xv1/v1/messages",
     "https://relay.example/xv1/v1/messages/count_tokens"},
    {"http://127.0.0.1:9", "http://127.0.0.1:9/v1/messages",
     "http://127.0.0.1:9/v1/messages/count_tokens"},
};

START_TEST(test_url)
{
    target.base_url = urls[_i].base;
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    ck_assert_str_eq(up.url, urls[_i].messages);
    ck_assert_int_eq(build(OP_COUNT_TOKENS), 0);
    ck_assert_str_eq(up.url, urls[_i].count);
}
END_TEST

START_TEST(test_url_that_cannot_be_used)
{
    static const char *const bases[] = {"", "https://a b.example", "https://a.example/\r\nx: y"};
    for (size_t i = 0; i < ROWS(bases); i++) {
        target.base_url = bases[i];
        ck_assert_int_eq(build(OP_MESSAGES), -1);
        ck_assert_int_eq(fail.code, ERR_internal);
    }
}
END_TEST

static const struct {
    enum auth_type type;
    const char *header_name, *secret, *name, *value;
} credentials[] = {
    {AUTH_API_KEY, NULL, "sk-secret", "x-api-key", "sk-secret"},
    {AUTH_API_KEY, "api-key", "sk-secret", "api-key", "sk-secret"},
    {AUTH_BEARER, NULL, "sk-secret", "authorization", "Bearer sk-secret"},
    {AUTH_BEARER, "x-ignored", "sk-secret", "authorization", "Bearer sk-secret"},
    {AUTH_BASIC, NULL, "dTpw", "authorization", "Basic dTpw"},
    {AUTH_CUSTOM, "x-relay-key", "sk-secret", "x-relay-key", "sk-secret"},
    {AUTH_NONE, NULL, "sk-secret", NULL, NULL},
    {AUTH_API_KEY, NULL, NULL, NULL, NULL},
};

START_TEST(test_credential)
{
    static const char *const names[] = {"x-api-key", "api-key", "authorization", "x-relay-key",
                                        "x-ignored"};
    target.auth_type = credentials[_i].type;
    target.auth_header_name = credentials[_i].header_name;
    target.secret = credentials[_i].secret;
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    for (size_t i = 0; i < ROWS(names); i++) {
        bool here = credentials[_i].name != NULL && strcmp(names[i], credentials[_i].name) == 0;
        must_be_header(names[i], here ? credentials[_i].value : NULL);
    }
}
END_TEST

START_TEST(test_credential_with_line_end)
{
    static const char *const secrets[] = {"sk-se\ncret", "sk-secret\r\nx-evil: 1", "sk-\x01"};
    for (size_t i = 0; i < ROWS(secrets); i++) {
        target.secret = secrets[i];
        ck_assert_int_eq(build(OP_MESSAGES), -1);
        ck_assert_int_eq(fail.code, ERR_internal);
        ck_assert_ptr_null(strstr(fail.text, "sk-"));
    }
}
END_TEST

START_TEST(test_standard_headers)
{
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    must_be_header("content-type", "application/json");
    must_be_header("accept", "text/event-stream");
    must_be_header("accept-encoding", "identity");
    must_be_header("anthropic-version", "2023-06-01");
    must_be_header("anthropic-beta", NULL);
    must_be_header("x-request-id", "att_1");
    ck_assert(strncmp(header("user-agent"), "wayfare/", 8) == 0);
    ck_assert_int_eq(build(OP_COUNT_TOKENS), 0);
    must_be_header("accept", "application/json");
    read_chat(SPAN("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"));
    target.request_id = NULL;
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    must_be_header("accept", "application/json");
    must_be_header("x-request-id", NULL);
}
END_TEST

START_TEST(test_client_headers)
{
    client.anthropic_version = SPAN("2026-10-21");
    client.anthropic_beta = SPAN("a-2025-01-01,b, c");
    client.n_other = 1;
    client.other[0].name = SPAN("anthropic-dangerous-direct-browser-access");
    client.other[0].value = SPAN("true");
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    must_be_header("anthropic-version", "2026-10-21");
    must_be_header("anthropic-beta", "a-2025-01-01,b, c");
    must_be_header("anthropic-dangerous-direct-browser-access", "true");
    client.anthropic_beta = SPAN("a\xc3\xa9");
    ck_assert_int_eq(build(OP_MESSAGES), -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
}
END_TEST

/* An operator's header takes the place of ours; betas are joined. */
START_TEST(test_extra_headers)
{
    static const char *const extra[] = {"X-Team",
                                        "blue",
                                        "Anthropic-Beta",
                                        "op-1",
                                        "User-Agent",
                                        "relay/1",
                                        "accept-encoding",
                                        "gzip",
                                        "Content-Length",
                                        "5",
                                        "Host",
                                        "evil",
                                        "anthropic-version",
                                        "2024-01-01",
                                        NULL};
    target.extra_headers = extra;
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    must_be_header("X-Team", "blue");
    must_be_header("Anthropic-Beta", "op-1");
    must_be_header("anthropic-beta", NULL);
    must_be_header("User-Agent", "relay/1");
    must_be_header("user-agent", NULL);
    must_be_header("accept-encoding", "identity");
    must_be_header("Content-Length", NULL);
    must_be_header("Host", NULL);
    must_be_header("anthropic-version", "2024-01-01");
    client.anthropic_beta = SPAN("c-1");
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    must_be_header("anthropic-beta", "c-1,op-1");
    must_be_header("Anthropic-Beta", NULL);
}
END_TEST

static void must_be_body(const char *expected)
{
    char got[1024];
    size_t n = upreq_read(&up, 0, got, sizeof(got) - 1);
    got[n] = '\0';
    ck_assert_str_eq(got, expected);
    ck_assert_uint_eq(up.body_len, n);
}

START_TEST(test_body)
{
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    must_be_body("{ \"temperature\":1e-1,\"model\" : \"claude-example-4-5\",\"stream\":true,"
                 "\"messages\":[{\"role\":\"user\",\"content\":\"model \\u00e9 \\\"model\\\"\"}],"
                 "\"x\":{\"model\":\"kept\"}}");
    /* Everything but the model is the client's own memory. */
    int own = 0;
    for (int i = 0; i < up.n_pieces; i++) {
        own += up.pieces[i].own;
        if (!up.pieces[i].own)
            ck_assert(up.pieces[i].ptr >= body_text &&
                      up.pieces[i].ptr + up.pieces[i].len <= body_text + sizeof(body_text));
    }
    ck_assert_int_eq(own, 1);
}
END_TEST

START_TEST(test_model_name_is_quoted)
{
    target.upstream_model = "a\"b\\c\n";
    ck_assert_int_eq(build(OP_MESSAGES), 0);
    char got[1024];
    size_t n = upreq_read(&up, 0, got, sizeof(got) - 1);
    got[n] = '\0';
    ck_assert_ptr_nonnull(strstr(got, "\"model\" : \"a\\\"b\\\\c\\n\","));
}
END_TEST

Suite *anthropic_build_suite(void);

Suite *anthropic_build_suite(void)
{
    Suite *s = suite_create("anthropic_build");
    TCase *tc = tcase_create("build");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_url, 0, (int)ROWS(urls));
    tcase_add_test(tc, test_url_that_cannot_be_used);
    tcase_add_loop_test(tc, test_credential, 0, (int)ROWS(credentials));
    tcase_add_test(tc, test_credential_with_line_end);
    tcase_add_test(tc, test_standard_headers);
    tcase_add_test(tc, test_client_headers);
    tcase_add_test(tc, test_extra_headers);
    tcase_add_test(tc, test_body);
    tcase_add_test(tc, test_model_name_is_quoted);
    suite_add_tcase(s, tc);
    return s;
}
