/* Property: an Anthropic request that is read into a dialog, written again and read again is the
 * same dialog.  The requests are drawn at random from what the API allows; a wish for the opposite
 * (a budget above max_tokens, text that is blank, ...) is put right on the way, and tested by rows
 * in check_anthropic_write.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/door.h"

enum { CASES = 100000, BODY_MAX = 1024 * 1024, MARKS_MAX = 4 };

static uint64_t seed;
static int marks;
static struct buf body;

static uint32_t draw(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

static bool one_in(uint32_t n)
{
    return draw(n) == 0;
}

static const char *pick(const char *const *words, uint32_t n)
{
    return words[draw(n)];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){__VA_ARGS__},                                                       \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void put(const char *text)
{
    buf_adds(&body, text);
}

static void put_text_value(void)
{
    put(PICK("\"a\"", "\"two words\"", "\"\\u00e9\\ud83d\\ude00\"", "\"line\\nline\"",
             "\" \\\"quoted\\\" \"", "\"\303\251\"", "\"<system>\"", "\"\\u0000x\""));
}

static void put_mark(void)
{
    if (marks == MARKS_MAX || !one_in(6))
        return;
    marks++;
    put(PICK(",\"cache_control\":{\"type\":\"ephemeral\"}",
             ",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}",
             ",\"cache_control\":{\"ttl\":\"5m\",\"type\":\"ephemeral\"}"));
}

static void put_text(void)
{
    put("{\"type\":\"text\",\"text\":");
    put_text_value();
    put_mark();
    put("}");
}

static void put_image(void)
{
    put("{\"type\":\"image\",\"source\":");
    put(PICK("{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBO\"}",
             "{\"type\":\"url\",\"url\":\"https://i.example/\"}",
             "{\"file_id\":\"file_1\",\"type\":\"file\"}"));
    put_mark();
    put("}");
}

static void put_document(void)
{
    put("{\"type\":\"document\",\"source\":");
    put(PICK("{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}",
             "{\"type\":\"url\",\"url\":\"https://d.example/\"}",
             "{\"type\":\"text\",\"data\":\"d\"}", "{\"type\":\"content\",\"content\":\"c\"}",
             "{\"type\":\"content\",\"content\":[{\"type\":\"text\",\"text\":\"c\"},{\"type\":"
             "\"text\",\"text\":\"d\"}]}"));
    put(PICK("", ",\"title\":\"T\"", ",\"context\":\"C\",\"title\":\"\\u0054\""));
    put(PICK("", ",\"citations\":{\"enabled\":true}", ",\"citations\":{\"enabled\":false}"));
    put_mark();
    put("}");
}

static void put_search_result(void)
{
    put("{\"type\":\"search_result\",\"source\":\"https://s\",\"title\":\"T\",\"content\":[");
    put_text();
    put("]}");
}

static void put_list(void (*put_one)(void), uint32_t at_most)
{
    put("[");
    for (uint32_t n = draw(at_most + 1), i = 0; i < n; i++) {
        put(i > 0 ? "," : "");
        put_one();
    }
    put("]");
}

static void put_shown(void)
{
    void (*const kinds[])(void) = {put_text, put_text, put_image, put_document, put_search_result};
    kinds[draw(5)]();
}

static void put_result(void)
{
    put("{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\"");
    put(PICK("", ",\"is_error\":true", ",\"is_error\":false"));
    if (one_in(2)) {
        put(",\"content\":");
        put_list(put_shown, 3);
    } else {
        put(PICK("", ",\"content\":\"r\"", ",\"content\":\"\""));
    }
    put_mark();
    put("}");
}

static void put_user_block(void)
{
    if (one_in(3))
        put_result();
    else
        put_shown();
}

static void put_call(void)
{
    put("{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":");
    put(PICK("{}", "{\"n\": 1.50}", "{ \"a\":[{}] }"));
    put_mark();
    put("}");
}

static void put_model_block(void)
{
    switch (draw(5)) {
    case 0:
        put("{\"type\":\"thinking\",\"thinking\":\"h\\nm\",\"signature\":\"c2ln\"}");
        break;
    case 1:
        put("{\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ==\"}");
        break;
    case 2:
        put_call();
        break;
    case 3:
        put("{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_1\", \"name\":\"n\",\"input\":{}}");
        break;
    default:
        put("{\"type\":\"text\",\"citations\":[{\"type\":\"char_location\"}],\"text\":");
        put_text_value();
        put("}");
    }
}

static void put_message(void)
{
    switch (draw(5)) {
    case 0:
        put("{\"role\":\"assistant\",\"content\":");
        put_list(put_model_block, 4);
        break;
    case 1:
        put("{\"role\":\"system\",\"content\":");
        put_list(put_text, 2);
        break;
    case 2:
        put("{\"content\":");
        put_text_value();
        put(",\"role\":\"user\"");
        break;
    default:
        put("{\"role\":\"user\",\"content\":");
        put_list(put_user_block, 4);
    }
    put("}");
}

static void put_tool(void)
{
    if (one_in(4)) {
        put("{\"type\":\"web_search_20250305\",\"name\":\"web_search\", \"max_uses\":1}");
        return;
    }
    put("{\"name\":\"f\"");
    put(PICK("", ",\"description\":\"d\"", ",\"type\":\"custom\""));
    put(PICK("", ",\"strict\":true", ",\"strict\":false"));
    put_mark();
    put(",\"input_schema\":{\"type\":\"object\", \"x\":1e3}}");
}

static void put_settings(void)
{
    put(PICK("", ",\"stream\":true", ",\"stream\":false", ",\"context_management\":null"));
    put(PICK("", ",\"stop_sequences\":[]", ",\"stop_sequences\":[\"END\",\"\\n.\"]"));
    put(PICK("", ",\"metadata\":{\"user_id\":\"u\\\"1\"}", ",\"metadata\":{}"));
    put(PICK("", ",\"service_tier\":\"auto\"", ",\"service_tier\":\"standard_only\""));
    put(PICK("", ",\"output_config\":{\"effort\":\"high\"}",
             ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\": 1}}}",
             ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{}}"));
    put(PICK("", ",\"temperature\":1.00,\"top_p\":0.95", ",\"thinking\":{\"type\":\"adaptive\"}",
             ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}",
             ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},\"temperature\":1",
             ",\"thinking\":{\"type\":\"disabled\"},\"top_k\":5,\"top_p\":0.1"));
}

static void draw_request(void)
{
    buf_reset(&body);
    marks = 0;
    put("{\"model\":\"x\",\"max_tokens\":4000,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}");
    for (uint32_t n = draw(5); n > 0; n--) {
        put(",");
        put_message();
    }
    /* A loop of tools that began without thinking takes no budget. */
    put(",{\"role\":\"user\",\"content\":\"last\"},{\"role\":\"assistant\",\"content\":\"pre\"}]");
    if (one_in(2)) {
        put(",\"system\":");
        put_list(put_text, 3);
    }
    if (one_in(2)) {
        put(",\"tools\":[");
        put_tool();
        put("]");
        put(PICK("", ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":false}",
                 ",\"tool_choice\":{\"disable_parallel_tool_use\":true,\"type\":\"auto\"}",
                 ",\"tool_choice\":{\"type\":\"none\"}"));
    }
    put_settings();
    put_mark();
    put("}");
}

struct reading {
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
};

static void reading_init(struct reading *r)
{
    json_init(&r->doc);
    chat_init(&r->chat);
    dialog_init(&r->dialog);
}

static void reading_done(struct reading *r)
{
    dialog_done(&r->dialog);
    chat_done(&r->chat);
    json_done(&r->doc);
}

static void read_request(struct reading *r, struct span text)
{
    struct fail fail = {.text = ""};
    dialog_done(&r->dialog);
    bool ok = json_parse(&r->doc, text, &fail) == 0 &&
              chat_read_anthropic(&r->chat, &r->doc, false, &fail) == 0 &&
              door_anthropic.read(&r->chat, &r->dialog, &fail) == 0;
    ck_assert_msg(ok, "%s\n%.*s", fail.text, (int)text.len, text.ptr);
}

START_TEST(test_read_write_read)
{
    static struct reading first, second;
    struct provider_target target = {.base_url = "https://a.example", .upstream_model = "m"};
    struct drops drops = {.n = 0};
    struct buf written;
    reading_init(&first);
    reading_init(&second);
    buf_init(&body, BODY_MAX);
    buf_init(&written, BODY_MAX);
    for (int i = 0; i < CASES; i++) {
        const char *where = "";
        struct provider_ask ask = {.target = &target,
                                   .chat = &first.chat,
                                   .dialog = &first.dialog,
                                   .max_tokens = 4000,
                                   .drops = &drops};
        seed = (uint64_t)i;
        draw_request();
        read_request(&first, buf_span(&body));
        buf_reset(&written);
        ck_assert_int_eq(anthropic_write(&ask, NULL, &written, NULL), 0);
        read_request(&second, buf_span(&written));
        ck_assert_msg(dialog_equal(&first.dialog, &second.dialog, &where), "case %d: %s\n%s\n%s", i,
                      where, body.ptr, written.ptr);
        ck_assert_msg(drops.n == 0, "case %d: %s\n%s", i, drops.names[0], body.ptr);
    }
    reading_done(&first);
    reading_done(&second);
    buf_done(&body);
    buf_done(&written);
}
END_TEST

Suite *anthropic_roundtrip_suite(void);

Suite *anthropic_roundtrip_suite(void)
{
    Suite *s = suite_create("anthropic_roundtrip");
    TCase *tc = tcase_create("roundtrip");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_read_write_read);
    suite_add_tcase(s, tc);
    return s;
}
