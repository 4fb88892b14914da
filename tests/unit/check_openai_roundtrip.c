/* Property: a Chat Completions request that is read into a dialog, written again for a server of
 * the same protocol (OpenRouter, which takes most) and read again is the same dialog, and nothing
 * was dropped.  The requests are drawn at random from what the API allows, the old forms and
 * models' mistakes among them; what the writer leaves out on purpose (thinking of other makers,
 * names) is tested by rows elsewhere. */
#include <check.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/openai.h"

enum { CASES = 100000, BODY_MAX = 1024 * 1024 };

static uint64_t seed;
static struct buf body;
static int n_calls; /* drawn so far: each has its own id */

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
             "\" \\\"quoted\\\" \"", "\"\303\251\"", "\"<system>\"", "\"\\u0000x\"", "\"\""));
}

static void put_mark(void)
{
    if (one_in(8))
        put(PICK(",\"cache_control\":{\"type\":\"ephemeral\"}",
                 ",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"));
}

static void put_text(void)
{
    put("{\"type\":\"text\",\"text\":");
    put_text_value();
    put_mark();
    put("}");
}

static void put_media(void)
{
    put("{");
    put(PICK("\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBO\"}",
             "\"type\":\"image_url\",\"image_url\":{\"detail\":\"low\",\"url\":\"https://i/\"}",
             "\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
             "\"data:application/pdf;base64,JVBE\"}"));
    put_mark();
    put("}");
}

static void put_user_part(void)
{
    if (one_in(3))
        put_media();
    else if (one_in(8))
        put(PICK(
            "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklG\",\"format\":\"mp3\"}}",
            "{\"type\":\"video_url\", \"video_url\":{\"url\":\"v\"}}", "\"bare\""));
    else
        put_text();
}

static void put_exactly(void (*put_one)(void), uint32_t n)
{
    put("[");
    for (uint32_t i = 0; i < n; i++) {
        put(i > 0 ? "," : "");
        put_one();
    }
    put("]");
}

static void put_list(void (*put_one)(void), uint32_t at_most)
{
    put_exactly(put_one, draw(at_most + 1));
}

static void put_call(void)
{
    buf_addf(&body, "{\"id\":\"call_%d\",\"type\":", n_calls++);
    if (one_in(6)) {
        put("\"custom\",\"custom\":{\"name\":\"sh\",\"input\":");
        put_text_value();
    } else {
        put("\"function\",\"function\":{\"name\":\"f\",\"arguments\":");
        put(PICK("\"{}\"", "\"{\\\"n\\\": 1.50}\"", "\"{\\\"n\"", "\"\"", "\"[]\"",
                 "\"{\\\"u\\\":\\\"\\\\u00e9\\\"}\""));
    }
    put("}}");
}

/* Members in the order that the writer keeps. */
static void put_thinking(void)
{
    put(PICK("",
             ",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"format\":"
             "\"xai-responses-v1\",\"index\":0,\"signature\":\"s\",\"text\":\"hm\"}]",
             ",\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"gA=\","
             "\"id\":\"rs_1\",\"format\":\"openai-responses-v1\",\"index\":0}]",
             ",\"reasoning_details\":[{\"type\":\"reasoning.summary\",\"format\":"
             "\"openai-responses-v1\",\"index\":0,\"summary\":\"s\"}]"));
}

/* Tool calls, and then their results; without any, someone else speaks: of two messages of the
 * model in a row the writer makes one, what was thought in front. */
static void put_calls_and_results(uint32_t n)
{
    int first = n_calls;
    put(",\"tool_calls\":");
    put_exactly(put_call, n);
    put("}");
    if (first == n_calls)
        put(",{\"role\":\"user\",\"content\":\"go on\"}");
    for (int i = first; i < n_calls; i++) {
        buf_addf(&body, ",{\"role\":\"tool\",\"tool_call_id\":\"call_%d\",\"content\":", i);
        if (one_in(2))
            put_list(put_text, 2);
        else
            put_text_value();
        put("}");
    }
}

static void put_old_call(void)
{
    put("{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\",\"arguments\":"
        "\"{}\"}},{\"role\":\"function\",\"name\":\"f\",\"content\":");
    put_text_value();
    put("}");
}

/* Who only thinks says nothing, and is left out. */
static void put_assistant(void)
{
    bool speaks = one_in(2);
    put("{\"role\":\"assistant\",\"content\":");
    put(speaks ? "\"said\"" : PICK("null", "\"\"", "[]"));
    put_thinking();
    put(PICK("", "", ",\"refusal\":\"no\"", ",\"refusal\":null"));
    put_calls_and_results(speaks ? draw(3) : 1 + draw(3));
}

static void put_message(void)
{
    switch (draw(6)) {
    case 0:
    case 1:
        put_assistant();
        return;
    case 2:
        put_old_call();
        return;
    case 3:
        put(one_in(2) ? "{\"role\":\"system\",\"content\":"
                      : "{\"role\":\"developer\",\"content\":");
        put_list(put_text, 2);
        break;
    case 4:
        put("{\"role\":\"user\",\"content\":");
        put_text_value();
        break;
    default:
        put("{\"role\":\"user\",\"content\":");
        put_list(put_user_part, 4);
    }
    put("}");
}

static void put_tool(void)
{
    if (one_in(4)) {
        put("{\"type\":\"openrouter:web_search\", \"parameters\":{\"max_uses\":1}}");
        return;
    }
    put("{\"type\":\"function\",\"function\":{\"name\":\"f\"");
    put(PICK("", ",\"description\":\"d\""));
    put(PICK("", ",\"strict\":true", ",\"strict\":false"));
    put(",\"parameters\":{\"type\":\"object\", \"properties\":{\"x\":1e3}}}");
    put_mark();
    put("}");
}

static void put_tools(void)
{
    put(",\"tools\":[");
    put_tool();
    put("]");
    put(PICK("", ",\"tool_choice\":\"auto\"", ",\"tool_choice\":\"required\"",
             ",\"tool_choice\":\"none\"",
             ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"));
    put(PICK("", ",\"parallel_tool_calls\":false", ",\"parallel_tool_calls\":true"));
}

static void put_settings(void)
{
    put(PICK("", ",\"stream\":true", ",\"stream\":false"));
    put(PICK("", ",\"max_tokens\":9", ",\"max_completion_tokens\":9"));
    put(PICK("", ",\"stop\":[]", ",\"stop\":\"END\"", ",\"stop\":[\"END\",\"\\n.\"]"));
    put(PICK("", ",\"user\":\"u\\\"1\""));
    put(PICK("", ",\"service_tier\":\"default\""));
    put(PICK("", ",\"verbosity\":\"low\""));
    put(PICK("", ",\"temperature\":1.00,\"top_p\":0.95", ",\"top_k\":4,\"min_p\":0.1,\"seed\":-1",
             ",\"frequency_penalty\":1e-1,\"presence_penalty\":0,\"repetition_penalty\":1"));
    put(PICK("", ",\"logprobs\":true,\"top_logprobs\":2", ",\"logit_bias\":{\"1\": -100}"));
    put(PICK("", ",\"reasoning\":{\"effort\":\"high\"}", ",\"reasoning_effort\":\"low\"",
             ",\"reasoning\":{\"max_tokens\":1024,\"exclude\":true}",
             ",\"reasoning\":{\"enabled\":true}", ",\"reasoning\":{\"enabled\":false}"));
    put(PICK("", ",\"response_format\":{\"type\":\"json_object\"}",
             ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
             "\"schema\":{\"a\": 1},\"strict\":true}}"));
}

static void draw_request(void)
{
    buf_reset(&body);
    n_calls = 0;
    put("{\"model\":\"x\",\"messages\":[");
    for (uint32_t n = draw(6); n > 0; n--) {
        put_message();
        put(",");
    }
    put("{\"role\":\"user\",\"content\":\"last\"}]");
    if (one_in(2))
        put_tools();
    put_settings();
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
              chat_read_openai(&r->chat, &r->doc, &fail) == 0 &&
              door_openai.read(&r->chat, &r->dialog, &fail) == 0;
    ck_assert_msg(ok, "%s\n%.*s", fail.text, (int)text.len, text.ptr);
}

static void check_case(int i, struct reading *first, struct reading *second, struct buf *written)
{
    const struct provider_target target = {.base_url = "https://openrouter.ai/api/v1",
                                           .slug = "openrouter",
                                           .upstream_model = "m",
                                           .params = ~0u};
    struct drops drops = {.n = 0};
    struct fail fail = {.text = ""};
    const char *where = "";
    struct provider_ask ask = {.target = &target, .chat = &first->chat, .dialog = &first->dialog};
    seed = (uint64_t)i;
    draw_request();
    read_request(first, buf_span(&body));
    ask.max_tokens = first->dialog.max_tokens;
    ask.drops = &drops;
    buf_reset(written);
    ck_assert_msg(openai_write(&ask, openai_dialect_of(&target), written, &fail) == 0, "%s: %s",
                  body.ptr, fail.text);
    read_request(second, buf_span(written));
    ck_assert_msg(dialog_equal(&first->dialog, &second->dialog, &where), "case %d: %s\n%s\n%s", i,
                  where, body.ptr, written->ptr);
    ck_assert_msg(drops.n == 0, "case %d: %s\n%s", i, drops.names[0], body.ptr);
}

START_TEST(test_read_write_read)
{
    static struct reading first, second;
    struct buf written;
    reading_init(&first);
    reading_init(&second);
    buf_init(&body, BODY_MAX);
    buf_init(&written, BODY_MAX);
    for (int i = 0; i < CASES; i++)
        check_case(i, &first, &second, &written);
    reading_done(&first);
    reading_done(&second);
    buf_done(&body);
    buf_done(&written);
}
END_TEST

Suite *openai_roundtrip_suite(void);
Suite *openai_roundtrip_suite(void)
{
    Suite *s = suite_create("openai_roundtrip");
    TCase *t = tcase_create("openai_roundtrip");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_read_write_read);
    suite_add_tcase(s, t);
    return s;
}
