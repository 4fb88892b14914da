/* Unit tests of providers/registry.c. */
#include <check.h>
#include <stdio.h>

#include "providers/provider.h"

/* The catalog's words (router/catalog_wayfare.c). */
START_TEST(test_every_protocol_has_one_adapter)
{
    static const char *const words[] = {"anthropic", "openai",       "gemini",
                                        "bedrock",   "azure-openai", "vertex"};
    size_t n = sizeof(words) / sizeof(words[0]), rows = 0;
    for (size_t i = 0; i < n; i++) {
        const struct provider *p = provider_find(words[i]);
        ck_assert_msg(p != NULL, "%s", words[i]);
        ck_assert_str_eq(p->protocol, words[i]);
    }
    while (provider_all[rows] != NULL)
        rows++;
    ck_assert_uint_ge(rows, n);
    for (size_t i = 0; i < rows; i++)
        ck_assert_ptr_eq(provider_find(provider_all[i]->protocol), provider_all[i]);
    ck_assert_ptr_null(provider_find("smoke-signals"));
}
END_TEST

START_TEST(test_adapters_are_whole)
{
    for (size_t i = 0; provider_all[i] != NULL; i++) {
        const struct provider *p = provider_all[i];
        ck_assert_msg(p->native_door && p->stream_type && p->build && p->stream_open &&
                          p->stream_feed && p->stream_at_boundary && p->stream_state &&
                          p->stream_close && p->read_body && p->is_error_body && p->read_error,
                      "%s", p->protocol);
    }
}
END_TEST

static const char *untold(const char *protocol, const char *base_url, const char *model,
                          const struct chat *chat)
{
    const struct provider_target target = {
        .slug = "x", .base_url = base_url, .upstream_model = model};
    return provider_untold_tool(provider_find(protocol), chat, &target);
}

/* What is of the client's protocol alone is told where that is spoken, or its bodies are taken. */
START_TEST(test_tools_that_a_provider_cannot_be_told)
{
    static const struct {
        const char *protocol, *model;
        bool anthropic, openai; /* whose tools it is told */
    } rows[] = {
        {"anthropic", "claude", true, false},
        {"openai", "gpt", false, true},
        {"azure-openai", "gpt", false, true},
        {"gemini", "gemini", false, false},
        {"vertex", "gemini", false, false},
        {"vertex", "claude-sonnet-4-5", true, false},
        {"bedrock", "anthropic.claude", true, false},
        {"bedrock", "converse/anthropic.claude", false, false},
        {"cohere", "command", false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct chat c = {.door = DOOR_ANTHROPIC};
        ck_assert_ptr_null(untold(rows[i].protocol, "https://x.example", rows[i].model, &c));
        snprintf(c.own_tool, sizeof(c.own_tool), "%s", "bash_1");
        ck_assert_msg((untold(rows[i].protocol, "https://x.example", rows[i].model, &c) == NULL) ==
                          rows[i].anthropic,
                      "%s %s", rows[i].protocol, rows[i].model);
        c.door = DOOR_OPENAI;
        ck_assert_msg((untold(rows[i].protocol, "https://x.example", rows[i].model, &c) == NULL) ==
                          rows[i].openai,
                      "%s %s", rows[i].protocol, rows[i].model);
    }
}
END_TEST

/* OpenAI would refuse the member, so that it is left out there. */
START_TEST(test_plugins_are_told_to_who_takes_them)
{
    struct chat c = {.door = DOOR_OPENAI, .openrouter_words = true, .n_server_tools = 2};
    snprintf(c.server_tools[0], sizeof(c.server_tools[0]), "%s", "code_interpreter");
    snprintf(c.own_tool, sizeof(c.own_tool), "%s", c.server_tools[0]);
    ck_assert_ptr_null(untold("openai", "https://api.openai.com/v1", "gpt", &c));
    snprintf(c.server_tools[1], sizeof(c.server_tools[1]), "%s", "web_search_plugin");
    ck_assert_str_eq(untold("openai", "https://api.openai.com/v1", "gpt", &c), "web_search_plugin");
    ck_assert_ptr_null(untold("openai", "https://openrouter.ai/api/v1", "gpt", &c));
    ck_assert_ptr_null(untold("openai", "https://unknown.example/v1", "gpt", &c));
}
END_TEST

Suite *registry_suite(void);
Suite *registry_suite(void)
{
    Suite *s = suite_create("registry");
    TCase *c = tcase_create("registry");
    tcase_add_test(c, test_every_protocol_has_one_adapter);
    tcase_add_test(c, test_adapters_are_whole);
    tcase_add_test(c, test_tools_that_a_provider_cannot_be_told);
    tcase_add_test(c, test_plugins_are_told_to_who_takes_them);
    suite_add_tcase(s, c);
    return s;
}
