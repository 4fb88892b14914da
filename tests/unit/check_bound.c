/* What a request can become at most: counted here a second time, by the rules that providers
 * publish, for one kind of request after the other; for rounds at random; and for the recorded
 * exchanges, as they were billed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/bound.h"
#include "router/estimate.h"
#include "schema/money.h"
#include "tests/unit/recordings.h"

Suite *bound_suite(void);

static struct json_doc doc;
static struct chat chat;
static struct buf body;
static struct provider_row claude = {.protocol = "anthropic"}, gpt = {.protocol = "openai"},
                           azure = {.protocol = "azure-openai"};

static void begin(void)
{
    json_init(&doc);
    chat_init(&chat);
    buf_init(&body, 64 * 1024 * 1024);
}

static void end(void)
{
    buf_done(&body);
    chat_done(&chat);
    json_done(&doc);
}

static struct endpoint endpoint_of(const struct provider_row *provider, int64_t context_length)
{
    struct endpoint e = {.provider = provider, .context_length = context_length};
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.base.pusd[i] = -1;
    e.price.base.pusd[PRICE_prompt] = 3000000;
    e.price.base.pusd[PRICE_completion] = 15000000;
    return e;
}

static void take(enum chat_door door, struct span json)
{
    struct fail fail;
    ck_assert_msg(json_parse(&doc, json, &fail) == 0, "%.300s: %s", json.ptr, fail.text);
    int rc = door == DOOR_ANTHROPIC ? chat_read_anthropic(&chat, &doc, false, &fail)
                                    : chat_read_openai(&chat, &doc, &fail);
    ck_assert_msg(rc == 0, "%.300s: %s", json.ptr, fail.text);
}

static struct estimate estimate_on(const struct provider_row *provider, int64_t context_length)
{
    struct endpoint e = endpoint_of(provider, context_length);
    struct estimate est;
    estimate_make(&chat, &e, NULL, NULL, &est);
    return est;
}

static int64_t bound_on(const struct provider_row *provider)
{
    return estimate_on(provider, 0).prompt_bound_tok;
}

/* A list of n members, each by its number, between two pieces of a body. */
static void repeat(enum chat_door door, const char *head, int n, void (*add)(int i),
                   const char *tail)
{
    buf_reset(&body);
    buf_adds(&body, head);
    for (int i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(&body, ',');
        add(i);
    }
    buf_adds(&body, tail);
    take(door, buf_span(&body));
}

#define HEAD "{\"model\":\"m\",\"max_tokens\":10,"
#define MESSAGES HEAD "\"messages\":["
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"k\"}]"
#define TOOLS HEAD HELLO ",\"tools\":["

/* ---- what the parts are ---- */

START_TEST(text_is_all_but_payloads)
{
    static const char image[] =
        HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":"
             "{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAABBBB\"}}]}]}";
    static const char pdf[] =
        HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":"
             "{\"type\":\"base64\",\"data\":\"AAAABBBB\"}}]}]}";
    static const char said[] =
        HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":"
             "{\"type\":\"text\",\"data\":\"AAAABBBB\"}}]}]}";
    static const char other[] =
        HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"new\",\"source\":"
             "{\"type\":\"base64\",\"data\":\"AAAABBBB\"}}]}]}";
    static const char escapes[] =
        HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"a\\n\\u20ac\\ud83d\\ude00\"}]}";
#define PARTS(parts) HEAD "\"messages\":[{\"role\":\"user\",\"content\":[" parts "]}]}"
    static const char of_openai[] = PARTS(
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAABBBB\"}},"
        "{\"type\":\"image_url\",\"image_url\":\"data:image/png;base64,AAAABBBB\"},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAABBBB\"}},"
        "{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,AAAABBBB\"}},"
        "{\"type\":\"file\",\"file\":{\"file_data\":\"AAAABBBB\"}},"
        "{\"type\":\"video_url\",\"video_url\":{\"url\":\"data:video/mp4;base64,AAAABBBB\"}}");
    static const char no_payload[] =
        PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://example.org/AAAABBBB\"}},"
              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:text/plain,AAAABBBB\"}},"
              "{\"type\":\"text\",\"text\":\"data:image/png;base64,AAAABBBB\"}");
    /* What is cut out: routing members, a tier that is not sent; OpenAI's door knows `usage`. */
#define FIRST "{\"provider_only\":[\"aaa\",\"bbb\"],"
#define SAID "\"messages\":[{\"role\":\"user\",\"content\":\"a\\n\"}],\"model\":\"m\""
#define TIER ",\"service_tier\":\"priority\""
#define LAST ",\"models\":[\"x\"],\"provider\":{\"zdr\":true}"
#define USAGE ",\"usage\":{\"include\":true}"
    static const char routed[] = FIRST SAID ",\"unknown\":\"text\"" TIER LAST USAGE "}";
    const int64_t cut = (int64_t)sizeof(FIRST TIER LAST) - 1 - 1; /* its bracket stays */
    const int64_t usage = (int64_t)sizeof(USAGE) - 1;
    const struct {
        enum chat_door door;
        struct span json;
        int64_t less;
    } cases[] = {
        {DOOR_ANTHROPIC, SPAN(routed), cut + 1},
        {DOOR_OPENAI, SPAN(routed), cut + usage + 1},
        {DOOR_ANTHROPIC, SPAN(image), 8},
        {DOOR_ANTHROPIC, SPAN(pdf), 8},
        {DOOR_ANTHROPIC, SPAN(said), 0},
        {DOOR_ANTHROPIC, SPAN(other), 0},
        {DOOR_ANTHROPIC, SPAN(escapes), 1 + 3 + 8},
        {DOOR_OPENAI, SPAN(escapes), 1 + 3 + 8},
        {DOOR_OPENAI, SPAN(of_openai), 6 * 8},
        {DOOR_OPENAI, SPAN(no_payload), 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        take(cases[i].door, cases[i].json);
        ck_assert_msg(chat.parts.text_bytes == (int64_t)cases[i].json.len - cases[i].less,
                      "%s: %lld", cases[i].json.ptr, (long long)chat.parts.text_bytes);
        ck_assert_int_le(chat.prompt_bytes, chat.parts.text_bytes);
    }
}
END_TEST

START_TEST(parts_of_an_anthropic_request)
{
    take(DOOR_ANTHROPIC,
         SPAN(HEAD
              "\"messages\":[{\"role\":\"user\",\"content\":\"k\"},"
              "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"k\"},"
              "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"n\",\"input\":{\"a\":[1,2],\"b\":{}}}"
              "]},"
              "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"i\","
              "\"content\":[{\"type\":\"text\",\"text\":\"k\"}]}]}],"
              "\"tools\":[{\"name\":\"n\",\"input_schema\":{\"type\":\"object\"}},"
              "{\"type\":\"custom\",\"name\":\"o\"},{\"type\":\"bash_20250124\",\"name\":\"p\"},"
              "{\"type\":\"web_fetch_20250910\",\"name\":\"q\",\"max_uses\":3,"
              "\"max_content_tokens\":700},"
              "{\"type\":\"code_execution_20250825\",\"name\":\"r\"},"
              "{\"type\":\"web_search_20250305\",\"name\":\"s\",\"max_uses\":2},"
              "{\"type\":\"mcp_toolset\",\"mcp_server_name\":\"t\"}],"
              "\"mcp_servers\":[{\"name\":\"t\"},{\"name\":\"u\"}],"
              "\"container\":{\"skills\":[{\"skill_id\":\"v\"}]},"
              "\"context_management\":{\"edits\":[{\"type\":\"clear_tool_uses_20250919\"},"
              "{\"type\":\"compact\\u005f20260112\"}]}}"));
    const struct chat_parts *p = &chat.parts;
    ck_assert_int_eq(p->n_messages, 3);
    ck_assert_int_eq(p->n_blocks, 4);
    ck_assert_int_eq(p->n_calls, 2);
    ck_assert_int_ge(p->n_arguments, 2);
    ck_assert_int_eq(p->n_tools, 7);
    ck_assert_int_eq(p->n_values, 4 + 3 + 3 + 5 + 3 + 4 + 3);
    ck_assert_int_eq(p->n_known_tools, 2); /* bash, and the skill */
    ck_assert_int_eq(p->n_hosted, 5);      /* the second server has a toolset all the same */
    ck_assert_int_eq(p->n_toolsets, 2);
    ck_assert_int_eq(p->n_hosted_free, 3);
    ck_assert_int_eq(p->hosted_uses, 3);
    ck_assert_int_eq(chat.web_search_uses, 2);
    ck_assert_int_eq(p->fetch_tok, 700);
    ck_assert(p->compacts);
    /* More than can be counted is no less. */
    take(DOOR_ANTHROPIC,
         SPAN(TOOLS "{\"type\":\"web_fetch_20250910\",\"max_uses\":9223372036854775807},"
                    "{\"type\":\"web_fetch_20250911\",\"max_uses\":9223372036854774809}],"
                    "\"context_management\":{\"edits\":[{\"type\":\"compact_20260112\"}]}}"));
    ck_assert_int_eq(p->hosted_uses, INT64_MAX);
    ck_assert_int_eq(p->n_hosted_free, 0);
    ck_assert_int_ge(bound_unlimited_tok(&chat, 0), 11 * BOUND_SUMMARY_TOK);
    take(DOOR_ANTHROPIC,
         SPAN(TOOLS "{\"type\":\"web_fetch_20250910\"},"
                    "{\"type\":\"web_fetch_20250911\",\"max_content_tokens\":9}]}"));
    ck_assert_int_eq(p->fetch_tok, -1);
    ck_assert_int_eq(p->n_hosted_free, 2);
    /* From 2026 on the model filters what it found by code, as often as it likes. */
    take(DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"web_search_20260209\",\"max_uses\":1}]}"));
    ck_assert_int_eq(p->n_hosted_free, 1);
    take(
        DOOR_ANTHROPIC,
        SPAN(
            HEAD
            "\"messages\":[{\"role\":\"user\",\"content\":["
            "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"four\"},"
            "\"citations\":{\"enabled\":true}},"
            "{\"type\":\"search_result\",\"source\":\"s\",\"title\":\"t\",\"content\":["
            "{\"type\":\"text\",\"text\":\"two\"}],\"citations\":{\"enabled\":true}},"
            "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"none\"},"
            "\"citations\":{\"enabled\":false}},"
            "{\"type\":\"text\",\"text\":\"k\",\"citations\":[{\"type\":\"char_location\"}]}]}]}"));
    ck_assert_int_eq(p->n_cited, 2);
    ck_assert_int_eq(p->cited_bytes, 4 + 5);
}
END_TEST

START_TEST(parts_of_an_openai_request)
{
    take(DOOR_OPENAI,
         SPAN(HEAD
              "\"messages\":[{\"role\":\"system\",\"content\":\"k\"},"
              "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"k\"},"
              "{\"type\":\"document_url\",\"document_url\":\"https://x\"}]},"
              "{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"},\"tool_calls\":["
              "{\"id\":\"i\",\"type\":\"function\",\"function\":{\"name\":\"n\","
              "\"arguments\":\"{\\\"a\\\":1,\\\"b\\\":2}\"}}]},"
              "{\"role\":\"tool\",\"tool_call_id\":\"i\",\"content\":\"k\"}],"
              "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"n\"}},"
              "{\"type\":\"openrouter:datetime\"}],\"functions\":[{\"name\":\"o\"}],"
              "\"prediction\":{\"type\":\"content\",\"content\":\"k\"},"
              "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}}"));
    const struct chat_parts *p = &chat.parts;
    ck_assert_int_eq(p->n_messages, 4);
    ck_assert_int_eq(p->n_blocks, 2);
    ck_assert_int_eq(p->n_calls, 2);
    ck_assert_int_eq(p->n_arguments, 2);
    ck_assert_int_eq(p->n_tools, 3);
    ck_assert_int_eq(p->n_values, 4 + 2 + 2 + 4);
    ck_assert_int_eq(p->n_hosted, 1);
    ck_assert_int_eq(p->n_hosted_free, 1);
    ck_assert_int_eq(p->n_sounds, 1);
    ck_assert_int_eq(chat.n_documents, 1);
    ck_assert_int_eq(p->predicted_bytes,
                     (int64_t)sizeof("{\"type\":\"content\",\"content\":\"k\"}") - 1);
    /* The schema is shown to the model. */
    ck_assert_int_gt(chat.prompt_bytes, (int64_t)sizeof("{\"type\":\"json_schema\"") - 1);
}
END_TEST

/* ---- one kind after the other ---- */

static void add_tiny_message(int i)
{
    buf_addf(&body, "{\"role\":\"%s\",\"content\":\"k\"}", i % 2 == 0 ? "user" : "assistant");
}

static void add_tiny_block(int i)
{
    (void)i;
    buf_adds(&body, "{\"type\":\"text\",\"text\":\"k\"}");
}

static void add_pair(int i)
{
    buf_addf(&body,
             "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t%d\",\"name\":"
             "\"n\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
             "\"tool_use_id\":\"t%d\"}]}",
             i, i);
}

/* A name as long as Anthropic allows (128), which some formats say again with the result. */
static void add_named_pair(int i)
{
    buf_addf(&body,
             "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"t%d\",\"type\":\"function\","
             "\"function\":{\"name\":\"%0128d\",\"arguments\":\"{\\\"a\\\":1}\"}}]},"
             "{\"role\":\"tool\",\"tool_call_id\":\"t%d\",\"content\":\"\"}",
             i, i, i);
}

static void add_arguments(int i)
{
    buf_addf(&body, "\\\"%c\\\":%d", 'a' + i % 26, i % 10);
}

static void add_tool(int i)
{
    buf_addf(&body, "{\"name\":\"n%d\",\"input_schema\":{}}", i);
}

static void add_named_tool(int i)
{
    buf_addf(&body, "{\"name\":\"n%d\"}", i);
}

static void add_property(int i)
{
    buf_addf(&body, "\"%c%d\":{}", 'a' + i % 26, i);
}

static void add_digit(int i)
{
    buf_addf(&body, "%d", i % 10);
}

static void add_toolset(int i)
{
    buf_addf(&body, "{\"type\":\"mcp_toolset\",\"mcp_server_name\":\"%d\"}", i);
}

static void add_image(int i)
{
    (void)i;
    buf_adds(&body, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x\"}}");
}

static void at_least(const char *what, int64_t bound, int64_t tok)
{
    ck_assert_msg(bound >= tok, "%s: %lld tokens, bound %lld", what, (long long)tok,
                  (long long)bound);
}

/* Tokens by the formats that say the most around each piece. */
START_TEST(many_small_pieces)
{
    repeat(DOOR_ANTHROPIC, MESSAGES, 1001, add_tiny_message, "]}");
    /* <|start|>assistant<|channel|>final<|message|>k<|end|> (harmony) */
    at_least("messages", bound_on(&claude), 65 + 1001 * 8);
    repeat(DOOR_OPENAI, MESSAGES, 1001, add_tiny_message, "]}");
    at_least("messages", bound_on(&gpt), 65 + 1001 * 8);
    repeat(DOOR_ANTHROPIC, MESSAGES "{\"role\":\"user\",\"content\":[", 5000, add_tiny_block,
           "]}]}");
    at_least("blocks", bound_on(&claude), 5000 * 6);
    repeat(DOOR_ANTHROPIC, MESSAGES, 500, add_pair, "]}");
    /* Claude: some 70 tokens a pair that says nothing, and its ids if they are told. */
    at_least("pairs", bound_on(&claude), 500 * (70 + 2 * 4));
    repeat(DOOR_OPENAI, MESSAGES, 300, add_named_pair, "]}");
    /* harmony: the name in "to=functions.NAME" and in "functions.NAME to=assistant" */
    at_least("names", bound_on(&gpt), 300 * (2 * 128 + 2 * 12 + 4 + 1));
    repeat(DOOR_OPENAI,
           MESSAGES "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"i\",\"function\":{\"name\":"
                    "\"n\",\"arguments\":\"{",
           1000, add_arguments, "}\"}}]}]}");
    /* <parameter name="a" string="false">1</parameter>, each word and sign a token, two for the
     * marker in both tags (DeepSeek V3.2) */
    at_least("arguments", bound_on(&gpt), 1000 * (2 + 17));
}
END_TEST

START_TEST(many_small_definitions)
{
    repeat(DOOR_ANTHROPIC, TOOLS, 500, add_tool, "]}");
    /* 600 tokens of instructions (Claude Haiku 4.5), 12 and the name each */
    at_least("tools", bound_on(&claude), 600 + 500 * (12 + 4));
    repeat(DOOR_ANTHROPIC, TOOLS "{\"name\":\"n\",\"input_schema\":{\"properties\":{", 2000,
           add_property, "}}}]}");
    /* <parameter>\n<name>a</name>\n</parameter>\n (Qwen3-Coder) */
    at_least("properties", bound_on(&claude), 2000 * 13);
    repeat(DOOR_OPENAI,
           TOOLS
           "{\"type\":\"function\",\"function\":{\"name\":\"n\",\"parameters\":{\"properties\":"
           "{\"a\":{\"enum\":[",
           2000, add_digit, "]}}}}}]}");
    /* each on a line of its own: comma, line end, indent, digit (Llama 3.1, tojson(indent=4)) */
    at_least("values", bound_on(&gpt), 2000 * 4);
}
END_TEST

/* Small requests for something that brings much. */
START_TEST(instructions)
{
    static const struct {
        enum chat_door door;
        struct span json;
        int64_t tok;
    } cases[] = {
        /* gpt-oss's own first message (bedrock-mantle, recorded) */
        {DOOR_OPENAI, SPAN("{\"model\":\"m\"," HELLO "}"), 72},
        /* Claude Haiku 4.5 (recorded) */
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"name\":\"n\"}]}"), 600 + 8},
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"bash_20250124\"}]}"), 530 + 245},
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"text_editor_20250728\"}]}"), 530 + 700},
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"memory_20250818\"}]}"), 1581},
        {DOOR_ANTHROPIC,
         SPAN(TOOLS "{\"type\":\"computer_20251124\"},{\"type\":\"bash_20250124\"}]}"),
         530 + 735 + 499 + 245},
        {DOOR_ANTHROPIC, SPAN(HEAD HELLO ",\"output_format\":{\"type\":\"json_schema\"}}"),
         8 + 180},
        {DOOR_OPENAI, SPAN(HEAD HELLO ",\"response_format\":{\"type\":\"json_schema\"}}"), 8 + 180},
        {DOOR_ANTHROPIC,
         SPAN(MESSAGES
              "{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
              "\"text\",\"data\":\"A. B.\"},\"citations\":{\"enabled\":true}}]}]}"),
         600 + 2 * 8},
        {DOOR_ANTHROPIC,
         SPAN(MESSAGES
              "{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
              "\"url\",\"url\":\"https://x/600-pages.pdf\"}}]}]}"),
         600 * 1600},
        {DOOR_OPENAI, SPAN(MESSAGES "{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"}}]}"),
         2 * 16384},
        {DOOR_ANTHROPIC, SPAN(HEAD HELLO ",\"previous_message_id\":\"msg_1\"}"), 1000000},
        /* a tool that the provider runs is told of in each call of the model */
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"tool_search_tool_bm25_20251119\"}]}"), 11 * 2500},
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"code_execution_20260120\"}]}"),
         11 * 2500 + 55 * 7000},
        /* GitHub's 35 tools are told of in each call */
        {DOOR_ANTHROPIC, SPAN(TOOLS "{\"type\":\"mcp_toolset\"}]}"), 11 * 26000 + 55 * 25000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        take(cases[i].door, cases[i].json);
        at_least(cases[i].json.ptr, bound_on(cases[i].door == DOOR_OPENAI ? &gpt : &claude),
                 cases[i].tok);
    }
}
END_TEST

START_TEST(toolsets_and_pictures)
{
    repeat(DOOR_ANTHROPIC, TOOLS, 20, add_toolset, "]}");
    at_least("toolsets", bound_on(&claude), 20 * 26000);
    repeat(DOOR_OPENAI, MESSAGES "{\"role\":\"user\",\"content\":[", 7, add_image, "]}]}");
    at_least("images", bound_on(&gpt), 7 * (2833 + 8 * 5667));
    at_least("images", bound_on(&gpt), 7 * 10000 * 246 / 100);
    ck_assert_int_eq(bound_on(&azure), bound_on(&gpt));
    /* Elsewhere they are smaller. */
    at_least("images", bound_on(&claude), 7 * 4784);
    ck_assert_int_lt(bound_on(&claude), 7 * 10000);
    /* No image is larger than what the model can read, but one model bills more than it reads. */
    ck_assert_int_lt(estimate_on(&gpt, 128000).prompt_bound_tok, 130000);
    const struct model mini = {.slug = "openai/gpt-4o-mini"};
    struct endpoint named = endpoint_of(&gpt, 128000), known = endpoint_of(&azure, 128000);
    named.upstream_model = "gpt-4o-mini-2024-07-18";
    known.upstream_model = "deployment-1";
    known.model = &mini;
    at_least("images", bound_prompt_tok(&chat, &named, 0, 10), 7 * (2833 + 8 * 5667));
    at_least("images", bound_prompt_tok(&chat, &known, 0, 10), 7 * (2833 + 8 * 5667));
    take(DOOR_OPENAI, SPAN(MESSAGES "{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":"
                                    "{\"file_data\":\"AAAABBBB\"}}]}]}"));
    at_least("pages", bound_prompt_tok(&chat, &named, 0, 10), 100 * (2833 + 8 * 5667));
    ck_assert_int_lt(estimate_on(&gpt, 128000).prompt_bound_tok, 130000);
}
END_TEST

START_TEST(what_no_limit_limits)
{
    take(DOOR_OPENAI, SPAN(HEAD HELLO ",\"prediction\":{\"type\":\"content\",\"content\":"
                                      "\"0123456789012345678901234567890123456789\"}}"));
    struct endpoint e = endpoint_of(&gpt, 0);
    struct estimate est = estimate_on(&gpt, 0);
    ck_assert_int_ge(est.unlimited_tok, 40);
    int64_t worst = estimate_worst_nusd(&chat, &e, &est);
    ck_assert_int_ge(worst, est.prompt_bound_tok * 3000 + (10 + 40) * 15000);
    /* Where a hold is lowered, it is not by what max_tokens does not limit. */
    ck_assert_int_eq(estimate_fit_tok(&chat, &e, &est, worst), 10);
    /* A summary is a call of its own, from 50,000 tokens on. */
    static const char *const long_text =
        "{\"model\":\"m\",\"max_tokens\":10,\"context_management\":{\"edits\":[{\"type\":"
        "\"compact_20260112\"}]},\"messages\":[{\"role\":\"user\",\"content\":\"%0*d\"}]}";
    for (int width = 1000; width <= 60000; width += 59000) {
        buf_reset(&body);
        buf_addf(&body, long_text, width, 7);
        take(DOOR_ANTHROPIC, buf_span(&body));
        est = estimate_on(&claude, 200000);
        ck_assert_int_ge(est.prompt_bound_tok, width == 1000 ? 1000 : 2 * 60000);
        ck_assert_int_lt(est.prompt_bound_tok, width == 1000 ? 1500 : 2 * 61000);
        ck_assert_int_ge(est.unlimited_tok, 3500); /* the length of the example there */
    }
}
END_TEST

static int64_t learned_bound(void)
{
    struct endpoint e = endpoint_of(&claude, 0);
    const struct estimate_learned l = {.ratio = {ESTIMATE_RATIO_ONE / 2, ESTIMATE_RATIO_ONE / 2}};
    struct estimate est = estimate_on(&claude, 0);
    estimate_apply(&chat, &e, &l, &est);
    return est.prompt_bound_tok;
}

/* A ratio that was learned from long texts does not bind what is made of small pieces: each of the
 * 1,001 messages has a token of text and four or five around it. */
START_TEST(learned_of_long_texts)
{
    repeat(DOOR_ANTHROPIC, MESSAGES, 1001, add_tiny_message, "]}");
    ck_assert_int_ge(estimate_on(&claude, 0).prompt_raw_tok, 1001 * 4);
    at_least("messages", learned_bound(), 1001 * 6);
    repeat(DOOR_ANTHROPIC, MESSAGES "{\"role\":\"user\",\"content\":[", 5000, add_tiny_block,
           "]}]}");
    at_least("blocks", learned_bound(), 5000 * 3);
    repeat(DOOR_ANTHROPIC, MESSAGES, 500, add_pair, "]}");
    at_least("pairs", learned_bound(), 500 * 80);
    repeat(DOOR_ANTHROPIC, TOOLS, 500, add_tool, "]}");
    at_least("tools", learned_bound(), 600 + 500 * 20);
    repeat(DOOR_ANTHROPIC, TOOLS, 500, add_named_tool, "]}");
    /* def n1() -> List[Dict]:\n    """\n    """\n    pass, between fences (Command R) */
    at_least("names of tools", learned_bound(), 600 + 500 * (24 + 3));
    take(DOOR_ANTHROPIC, SPAN("{\"model\":\"m\"," HELLO "}"));
    at_least("frame", learned_bound(), 72);
    take(DOOR_ANTHROPIC, SPAN(HEAD HELLO ",\"output_format\":{}}"));
    at_least("format", learned_bound(), 180);
    /* What sound comes to is not in the text. */
    take(DOOR_OPENAI, SPAN(MESSAGES "{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"}}]}"));
    at_least("sound", learned_bound(), 16384);
}
END_TEST

/* A summary is made of what the text really comes to. */
START_TEST(learned_with_summaries)
{
    static const char *const long_text =
        "{\"model\":\"m\",\"max_tokens\":10,\"context_management\":{\"edits\":[{\"type\":"
        "\"compact_20260112\"}]},\"messages\":[{\"role\":\"user\",\"content\":\"%0*d\"}]}";
    for (int width = 200000; width <= 600000; width += 400000) {
        buf_reset(&body);
        buf_addf(&body, long_text, width, 7);
        take(DOOR_ANTHROPIC, buf_span(&body));
        ck_assert_int_ge(learned_bound(), width == 200000 ? 50000 : 2 * 150000);
        ck_assert_int_lt(learned_bound(), width == 200000 ? 110000 : 2 * 160000);
    }
}
END_TEST

/* ---- rounds ---- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int64_t up_to(uint64_t *state, int64_t n)
{
    return (int64_t)(next_random(state) % (uint64_t)(n + 1));
}

/* What a provider that runs tools bills: each call of the model reads the prompt, all results so
 * far and what the model itself wrote, but never more than the context.  Each round but the last
 * has some calls, as many as are left at most. */
static int64_t play_rounds(uint64_t *state, int64_t prompt, int64_t uses, int64_t result,
                           int64_t answer, int64_t context)
{
    int64_t billed = prompt < context ? prompt : context, read = prompt;
    for (int round = 0; round < BOUND_ROUNDS && uses > 0; round++) {
        int64_t calls = next_random(state) % 2 ? 1 : 1 + up_to(state, uses - 1);
        uses -= calls;
        for (int64_t i = 0; i < calls; i++)
            read += next_random(state) % 4 ? result : up_to(state, result);
        int64_t written = up_to(state, answer);
        answer -= written;
        read += written;
        billed += read < context ? read : context;
    }
    return billed;
}

START_TEST(rounds_at_random)
{
    uint64_t state = 11;
    static const struct {
        const char *type;
        int64_t result;
        bool search;
    } kinds[] = {{"web_search_20250305", 25000, true},
                 {"code_execution_20250825", 25000, false},
                 {"web_fetch_20250910", 125000, false},
                 {"tool_search_tool_bm25_20251119", 0, false}};
    for (int i = 0; i < 2000; i++) {
        size_t kind = (size_t)up_to(&state, 3);
        int64_t max_uses = up_to(&state, 25) - 1, context = 50000 + up_to(&state, 500000);
        int64_t max_tokens = up_to(&state, 20000);
        buf_reset(&body);
        buf_addf(&body,
                 "{\"model\":\"m\",\"max_tokens\":%lld," HELLO ",\"tools\":[{\"type\":\"%s\"",
                 (long long)max_tokens, kinds[kind].type);
        if (max_uses >= 0)
            buf_addf(&body, ",\"max_uses\":%lld", (long long)max_uses);
        buf_adds(&body, "}]}");
        take(DOOR_ANTHROPIC, buf_span(&body));
        int64_t bound = estimate_on(&claude, context).prompt_bound_tok;
        int64_t billed = play_rounds(&state, 3000, max_uses < 0 ? BOUND_USES : max_uses,
                                     kinds[kind].result, max_tokens, context);
        if (billed > bound)
            ck_abort_msg("round %d: %lld billed, bound %lld: %s", i, (long long)billed,
                         (long long)bound, body.ptr);
    }
}
END_TEST

static double hold_usd(const char *tools)
{
    buf_reset(&body);
    buf_addf(&body, "{\"model\":\"m\",\"max_tokens\":4096," HELLO ",\"tools\":[%s]}", tools);
    take(DOOR_ANTHROPIC, buf_span(&body));
    struct endpoint e = endpoint_of(&claude, 200000);
    struct estimate est = estimate_on(&claude, 200000);
    return (double)estimate_worst_nusd(&chat, &e, &est) / 1e9;
}

/* What docs/money.md says of them, at $3 and $15. */
START_TEST(holds_of_tools_that_the_provider_runs)
{
    const struct {
        const char *tools;
        double least_usd, most_usd;
    } cases[] = {
        {"{\"type\":\"web_search_20250305\",\"max_uses\":1}", 0.15, 0.25},
        {"{\"type\":\"web_search_20250305\",\"max_uses\":5}", 1.2, 1.5},
        {"{\"type\":\"web_search_20250305\",\"max_uses\":20}", 6.0, 6.5},
        {"{\"type\":\"web_search_20250305\"}", 3.8, 4.6},
        {"{\"type\":\"tool_search_tool_bm25_20251119\"}", 0.2, 0.6},
        {"{\"type\":\"web_fetch_20250910\",\"max_uses\":3,\"max_content_tokens\":10000}", 0.2, 0.5},
        {"{\"type\":\"code_execution_20250825\"}", 3.8, 4.6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double usd = hold_usd(cases[i].tools);
        ck_assert_msg(usd >= cases[i].least_usd && usd <= cases[i].most_usd, "%s: %f",
                      cases[i].tools, usd);
    }
}
END_TEST

START_TEST(no_number_is_too_large)
{
    take(DOOR_ANTHROPIC,
         SPAN(TOOLS "{\"type\":\"web_fetch_1\",\"max_uses\":9223372036854775807,"
                    "\"max_content_tokens\":9223372036854775807},{\"type\":\"web_fetch_2\","
                    "\"max_uses\":9223372036854775807,\"max_content_tokens\":5},"
                    "{\"type\":\"web_search_1\",\"max_uses\":9223372036854775807}]}"));
    ck_assert_int_gt(bound_on(&claude), INT64_C(1) << 40);
    ck_assert_int_lt(bound_on(&claude), INT64_C(1) << 50);
    ck_assert_int_lt(estimate_on(&claude, 200000).prompt_bound_tok, 11 * 210000);
}
END_TEST

/* ---- recorded exchanges ---- */

enum { RECORDINGS_MIN = 100 };

/* Models that search unasked, and a router's plugins. */
static bool reads_more(const char *path)
{
    return strstr(path, "groq-model-web-search") != NULL || strstr(path, "native-options") != NULL;
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx, (void)ev;
}

static bool read_usage(struct json_object *exchange, struct usage_report *ret)
{
    struct provider_target target;
    const struct provider *p = recording_reader(exchange, &target);
    const struct provider_reading reading = {.target = &target};
    struct json_object *response = recording_member(exchange, "response");
    int64_t content_bytes;
    size_t len;
    if (p == NULL || recording_number(response, "status") != 200)
        return false;
    char *bytes = recording_bytes(response, &len);
    usage_report_clear(ret);
    if (recording_member(response, "body") != NULL) {
        p->read_body(&reading, (struct span){bytes, len}, ret);
    } else {
        void *stream = p->stream_open(&reading);
        p->stream_feed(stream, (struct span){bytes, len}, ignore_event, NULL);
        p->stream_state(stream, ret, &content_bytes);
        p->stream_close(stream);
    }
    free(bytes);
    return true;
}

/* Of calls of the model that was asked for. */
static int64_t billed_tok(const struct usage_report *r)
{
    int64_t tok = r->n_iterations == 0 ? usage_prompt_tok(&r->total) : 0;
    for (int i = 0; i < r->n_iterations; i++)
        tok += r->iterations[i].model[0] == '\0' ? usage_prompt_tok(&r->iterations[i].usage) : 0;
    return tok;
}

static bool is_within(const char *path, struct json_object *exchange)
{
    static struct usage_report report;
    const char *api = recording_word(exchange, "api");
    bool openai = strcmp(api, "openai.chat") == 0;
    struct json_object *asked = recording_member(recording_member(exchange, "request"), "body");
    if ((!openai && strcmp(api, "anthropic.messages") != 0) || asked == NULL || reads_more(path) ||
        !read_usage(exchange, &report) || billed_tok(&report) == 0)
        return false;
    begin();
    bool read = json_parse(&doc,
                           span_of(json_object_to_json_string_ext(
                               asked, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)),
                           NULL) == 0 &&
                (openai ? chat_read_openai(&chat, &doc, NULL)
                        : chat_read_anthropic(&chat, &doc, false, NULL)) == 0;
    if (read)
        at_least(path, estimate_on(openai ? &gpt : &claude, 200000).prompt_bound_tok,
                 billed_tok(&report));
    end();
    return read;
}

/* Searches, pages, code, citations, summaries, pictures: what was really billed. */
START_TEST(recordings)
{
    recordings_replay("bound", NULL, RECORDINGS_MIN, is_within);
}
END_TEST

Suite *bound_suite(void)
{
    Suite *s = suite_create("bound");
    TCase *t = tcase_create("bound");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, text_is_all_but_payloads);
    tcase_add_test(t, parts_of_an_anthropic_request);
    tcase_add_test(t, parts_of_an_openai_request);
    tcase_add_test(t, many_small_pieces);
    tcase_add_test(t, many_small_definitions);
    tcase_add_test(t, instructions);
    tcase_add_test(t, toolsets_and_pictures);
    tcase_add_test(t, what_no_limit_limits);
    tcase_add_test(t, learned_of_long_texts);
    tcase_add_test(t, learned_with_summaries);
    tcase_add_test(t, rounds_at_random);
    tcase_add_test(t, holds_of_tools_that_the_provider_runs);
    tcase_add_test(t, no_number_is_too_large);
    suite_add_tcase(s, t);
    TCase *r = tcase_create("recordings");
    tcase_add_test(r, recordings);
    suite_add_tcase(s, r);
    return s;
}
