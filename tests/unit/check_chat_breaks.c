/* The rules of models that a request would break as it is. */
#include <check.h>

#include "schema/chat.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define ASK(members)                                                                               \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" members "}"
#define TALK(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define USER "{\"role\":\"user\",\"content\":\"x\"}"
#define MODEL "{\"role\":\"assistant\",\"content\":\"x\"}"
#define SYSTEM "{\"role\":\"system\",\"content\":\"x\"}"
#define BIT(r) RULE_BIT(RULE_##r)

static const struct {
    const char *body;
    uint32_t anthropic, openai;
} rows[] = {
    {ASK(""), 0, 0},
    {ASK(",\"temperature\":1"), BIT(no_sampling), 0},
    {ASK(",\"top_p\":1,\"top_k\":null"), BIT(no_sampling), 0},
    {ASK(",\"temperature\":null"), 0, 0},
    {ASK(",\"thinking\":{\"type\":\"adaptive\"}"), BIT(no_adaptive_thinking), 0},
    {ASK(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"), BIT(no_thinking_budget),
     0},
    {ASK(",\"thinking\":{\"type\":\"disabled\"}"), BIT(thinking_always), 0},
    {ASK(",\"thinking\":{\"type\":\"disabled\"},\"output_config\":{\"effort\":\"high\"}"),
     BIT(thinking_always), 0},
    {ASK(",\"thinking\":{\"type\":\"disabled\"},\"output_config\":{\"effort\":\"max\"}"),
     BIT(thinking_always) | BIT(effort_needs_thinking), 0},
    {ASK(",\"output_config\":{\"effort\":\"max\"}"), 0, 0},
    {ASK(",\"tool_choice\":{\"type\":\"auto\"}"), 0, 0},
    {ASK(",\"tool_choice\":{\"type\":\"any\"}"), BIT(no_forced_tool), BIT(no_forced_tool)},
    {ASK(",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}"), BIT(no_forced_tool),
     BIT(no_forced_tool)},
    {TALK(USER "," MODEL), BIT(no_prefill), BIT(no_prefill)},
    {TALK(USER "," MODEL "," USER), 0, 0},
    {TALK(USER "," SYSTEM), BIT(no_system_messages), 0},
    {TALK(SYSTEM "," USER), BIT(no_system_messages), 0},
};

static struct json_doc doc;
static struct chat chat;

START_TEST(test_breaks)
{
    struct fail fail;
    json_init(&doc);
    chat_init(&chat);
    ck_assert_int_eq(json_parse(&doc, span_of(rows[_i].body), &fail), 0);
    ck_assert_msg(chat_read_anthropic(&chat, &doc, false, &fail) == 0, "%s", fail.text);
    ck_assert_msg(chat.breaks == rows[_i].anthropic, "%s: %x", rows[_i].body, chat.breaks);
    ck_assert_msg(chat_read_openai(&chat, &doc, &fail) == 0, "%s", fail.text);
    ck_assert_msg(chat.breaks == rows[_i].openai, "%s: %x", rows[_i].body, chat.breaks);
    chat_done(&chat);
    json_done(&doc);
}
END_TEST

START_TEST(test_tools_forced_in_openai_words)
{
    static const char *const bodies[] = {
        ASK(",\"tool_choice\":\"required\""),
        ASK(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
    };
    json_init(&doc);
    chat_init(&chat);
    for (size_t i = 0; i < ROWS(bodies); i++) {
        ck_assert_int_eq(json_parse(&doc, span_of(bodies[i]), NULL), 0);
        ck_assert_int_eq(chat_read_openai(&chat, &doc, NULL), 0);
        ck_assert_uint_eq(chat.breaks, BIT(no_forced_tool));
    }
    ck_assert_int_eq(json_parse(&doc, SPAN(ASK(",\"tool_choice\":\"auto\"")), NULL), 0);
    ck_assert_int_eq(chat_read_openai(&chat, &doc, NULL), 0);
    ck_assert_uint_eq(chat.breaks, 0);
    chat_done(&chat);
    json_done(&doc);
}
END_TEST

Suite *chat_breaks_suite(void);

Suite *chat_breaks_suite(void)
{
    Suite *s = suite_create("chat_breaks");
    TCase *tc = tcase_create("breaks");
    tcase_add_loop_test(tc, test_breaks, 0, ROWS(rows));
    tcase_add_test(tc, test_tools_forced_in_openai_words);
    suite_add_tcase(s, tc);
    return s;
}
