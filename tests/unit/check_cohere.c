/* Cohere's adapter: golden answers, and what it is sent. */
#include <check.h>
#include <stdlib.h>

#include "providers/door.h"
#include "tests/unit/golden.h"

static const struct provider_target target = {.slug = "cohere",
                                              .base_url = "https://api.cohere.com/v2",
                                              .upstream_model = "command-a",
                                              .secret = "key"};

START_TEST(test_golden_cases)
{
    golden_replay("cohere", &provider_cohere, &target, 6);
}
END_TEST

static const char request[] =
    "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"top_p\":0.5,\"top_k\":3,\"temperature\":0."
    "20,"
    "\"stop_sequences\":[\"END\"],\"system\":\"be brief\",\"tool_choice\":{\"type\":\"any\"},"
    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],"
    "\"messages\":[{\"role\":\"user\",\"content\":\"go\"},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"f_1\",\"name\":\"f\","
    "\"input\":{\"a\":1}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"f_1\",\"content\":"
    "\"two\"}]}]}";

/* Cohere's own names for settings, the rest as OpenAI's. */
static const char *const sent[] = {"\"model\":\"command-a\"",
                                   "\"stream\":true",
                                   "\"p\":0.5",
                                   "\"k\":3",
                                   "\"temperature\":0.20",
                                   "\"stop_sequences\":[\"END\"]",
                                   "\"max_tokens\":9",
                                   "\"tool_choice\":\"REQUIRED\"",
                                   "\"role\":\"system\"",
                                   "\"arguments\":\"{\\\"a\\\":1}\"",
                                   "\"tool_call_id\":\"f_1\""};

START_TEST(test_request)
{
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
    struct upreq up;
    struct fail fail;
    struct drops drops = {.n = 0};
    const struct client_headers headers = {.n_other = 0};
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    upreq_init(&up);
    ck_assert_int_eq(json_parse(&doc, span_of(request), &fail), 0);
    ck_assert_int_eq(chat_read_anthropic(&chat, &doc, false, &fail), 0);
    ck_assert_int_eq(door_anthropic.read(&chat, &dialog, &fail), 0);
    const struct provider_ask ask = {.target = &target,
                                     .headers = &headers,
                                     .chat = &chat,
                                     .dialog = &dialog,
                                     .max_tokens = 9,
                                     .drops = &drops};
    ck_assert_msg(provider_cohere.build(&ask, &up, &fail) == 0, "%s", fail.text);
    ck_assert_str_eq(up.url, "https://api.cohere.com/v2/chat");
    static char body[4096];
    body[upreq_read(&up, 0, body, sizeof(body) - 1)] = '\0';
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
        ck_assert_msg(strstr(body, sent[i]) != NULL, "no %s in %s", sent[i], body);
    ck_assert(strstr(body, "stream_options") == NULL);
    ck_assert_int_eq(drops.n, 0);
    upreq_done(&up);
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
}
END_TEST

Suite *cohere_suite(void);

Suite *cohere_suite(void)
{
    Suite *s = suite_create("cohere");
    TCase *t = tcase_create("cohere");
    tcase_add_test(t, test_golden_cases);
    tcase_add_test(t, test_request);
    suite_add_tcase(s, t);
    return s;
}
