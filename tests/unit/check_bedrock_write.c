/* Calls that the Bedrock adapter builds: where they go, who signs them, what they say, and what was
 * left out.  The requests are Anthropic bodies, read by that door; where a row is marked OPENAI,
 * the client is said to speak that protocol. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/bedrock.h"
#include "providers/door.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define NOVA "us.amazon.nova-2-lite-v1:0"
#define NOVA_1 "amazon.nova-lite-v1:0"
#define LLAMA "meta.llama3-1-8b-instruct-v1:0"
#define MISTRAL "mistral.mistral-large-2402-v1:0"
#define GPT "openai.gpt-oss-120b-1:0"
#define CLAUDE "us.anthropic.claude-example-4-5-v1:0"
#define CONVERSE_CLAUDE "converse/us.anthropic.claude-example-4-5-v1:0"
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HI_OUT "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}]"
#define TOOL "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]"
#define SPEC(name)                                                                                 \
    "{\"toolSpec\":{\"name\":\"" name "\",\"inputSchema\":{\"json\":{\"type\":\"object\"}}}}"
#define CALLED(id, name)                                                                           \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"" id                     \
    "\",\"name\":\"" name "\",\"input\":{\"n\":1.50}}]}"
#define CALLED_OUT(id, name)                                                                       \
    "{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":\"" id "\",\"name\":\"" name \
    "\",\"input\":{\"n\":1.50}}}]}"
#define ALL_PARAMS UINT32_MAX

enum { BODY_MAX = 1024 * 1024, MAX_TOKENS = 77 };
enum client { ANTHROPIC, OPENAI };

static struct json_doc doc;
static struct chat chat;
static struct dialog dialog;
static struct fail fail;
static struct provider_target target;
static struct client_headers headers;
static struct drops drops;
static struct upreq up;
static struct buf request, body;

static void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    upreq_init(&up);
    buf_init(&request, BODY_MAX);
    buf_init(&body, BODY_MAX);
    headers = (struct client_headers){.n_other = 0};
    target = (struct provider_target){
        .slug = "bedrock",
        .base_url = "https://bedrock-runtime.us-east-1.amazonaws.com",
        .upstream_model = NOVA,
        .secret = "ABSKtoken",
        .auth_type = AUTH_BEARER,
        .now_ms = INT64_C(1440938160000),
    };
}

static void teardown(void)
{
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
    upreq_done(&up);
    buf_done(&request);
    buf_done(&body);
}

static void read_request(const char *members, enum client client)
{
    buf_reset(&request);
    buf_addf(&request, "{\"model\":\"x\",%s}", members);
    ck_assert_msg(json_parse(&doc, buf_span(&request), &fail) == 0, "%s: %s", members, fail.text);
    ck_assert_msg(chat_read_anthropic(&chat, &doc, false, &fail) == 0, "%s", fail.text);
    dialog_done(&dialog);
    ck_assert_msg(door_anthropic.read(&chat, &dialog, &fail) == 0, "%s: %s", members, fail.text);
    chat.door = client == OPENAI ? DOOR_OPENAI : DOOR_ANTHROPIC;
}

static int build(int64_t max_tokens)
{
    struct provider_ask ask = {.op = OP_MESSAGES,
                               .target = &target,
                               .headers = &headers,
                               .chat = &chat,
                               .dialog = &dialog,
                               .max_tokens = max_tokens,
                               .drops = &drops};
    drops.n = 0;
    upreq_done(&up);
    int rc = provider_bedrock.build(&ask, &up, &fail);
    buf_reset(&body);
    ck_assert(buf_reserve(&body, up.body_len + 1));
    body.len = upreq_read(&up, 0, body.ptr, up.body_len);
    body.ptr[body.len] = '\0';
    return rc;
}

/* The body and the dropped names. */
static void must_say(const char *name, const char *expected, const char *dropped)
{
    struct buf names;
    struct json_doc sent;
    buf_init(&names, 1024);
    buf_adds(&names, "");
    drops_print(&drops, &names);
    ck_assert_msg(strcmp(body.ptr, expected) == 0, "%s:\n%s\nexpected:\n%s", name, body.ptr,
                  expected);
    ck_assert_msg(strcmp(names.ptr, dropped) == 0, "%s: dropped %s, expected %s", name, names.ptr,
                  dropped);
    json_init(&sent);
    ck_assert_msg(json_parse(&sent, buf_span(&body), &fail) == 0, "%s: %s", name, fail.text);
    json_done(&sent);
    buf_done(&names);
}

static const char *header(const char *name)
{
    const char *h = NULL;
    while ((h = upreq_next_header(&up, h)) != NULL) {
        if (strncmp(h, name, strlen(name)) == 0 && h[strlen(name)] == ':')
            return h + strlen(name) + 2;
    }
    return "";
}

/* ---- Converse ---- */

static const struct {
    const char *name, *model;
    enum client client;
    const char *members, *expected, *dropped;
} converse[] = {
    {"text", NOVA, ANTHROPIC, HI, "{" HI_OUT "}", ""},
    {"system", NOVA, ANTHROPIC, "\"system\":\"Be brief.\"," HI,
     "{\"system\":[{\"text\":\"Be brief.\"}]," HI_OUT "}", ""},
    {"system in blocks, one blank, cached", NOVA, ANTHROPIC,
     "\"system\":[{\"type\":\"text\",\"text\":\"A\"},{\"type\":\"text\",\"text\":\" \"},"
     "{\"type\":\"text\",\"text\":\"B\",\"cache_control\":{\"type\":\"ephemeral\"}}]," HI,
     "{\"system\":[{\"text\":\"A\"},{\"text\":\"B\"},{\"cachePoint\":{\"type\":\"default\"}}]"
     "," HI_OUT "}",
     ""},
    {"the billing header is Anthropic's alone", NOVA, ANTHROPIC,
     "\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cch=1;\"},"
     "{\"type\":\"text\",\"text\":\"A\"}]," HI,
     "{\"system\":[{\"text\":\"A\"}]," HI_OUT "}", ""},
    {"nothing but the billing header", NOVA, ANTHROPIC,
     "\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cch=1;\\n\"}]," HI,
     "{" HI_OUT "}", ""},
    {"instructions behind the billing header", NOVA, ANTHROPIC,
     "\"system\":\"x-anthropic-billing-header: cch=1;\\nA\"," HI,
     "{\"system\":[{\"text\":\"x-anthropic-billing-header: cch=1;\\nA\"}]," HI_OUT "}", ""},
    {"instructions inside the conversation", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"system\",\"content\":"
     "\"note\"}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"},{\"text\":\"note\"}]}]}",
     ""},
    {"blank blocks and the messages that they leave empty", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\" "
     "\\n\"},"
     "{\"role\":\"user\",\"content\":\"there\"}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"},{\"text\":\"there\"}]}]}",
     ""},
    {"a cache point that lasts", CONVERSE_CLAUDE, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\",\"cache_"
     "control\":"
     "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"},"
     "{\"cachePoint\":{\"type\":\"default\",\"ttl\":\"1h\"}}]}]}",
     ""},
    {"which Nova has for five minutes only", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\",\"cache_"
     "control\":"
     "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"},"
     "{\"cachePoint\":{\"type\":\"default\"}}]}]}",
     ""},
    {"and Llama not at all", LLAMA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\",\"cache_"
     "control\":"
     "{\"type\":\"ephemeral\"}}]}]",
     "{" HI_OUT "}", "cache_control"},
    {"automatic cache", NOVA, ANTHROPIC, "\"cache_control\":{\"type\":\"ephemeral\"}," HI,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"},"
     "{\"cachePoint\":{\"type\":\"default\"}}]}]}",
     ""},
    {"image", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
     "\"base64\","
     "\"media_type\":\"image/jpeg\",\"data\":\"/9j/\"}}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":{\"format\":\"jpeg\",\"source\":"
     "{\"bytes\":\"/9j/\"}}}]}]}",
     ""},
    {"image in S3", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
     "\"url\","
     "\"url\":\"s3://bucket/a.pdf\"},\"title\":\"a\"},{\"type\":\"text\",\"text\":\"?\"}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"document\":{\"format\":\"pdf\",\"name\":"
     "\"a\","
     "\"source\":{\"s3Location\":{\"uri\":\"s3://bucket/a.pdf\"}}}},{\"text\":\"?\"}]}]}",
     ""},
    {"documents and their names", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"title\":\"John's  "
     "r\\u00e9sum\\u00e9.pdf\","
     "\"context\":\"of 2026\",\"citations\":{\"enabled\":true},\"source\":{\"type\":\"base64\","
     "\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":\"document\",\"source\":"
     "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"plain\"}}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"document\":{\"format\":\"pdf\",\"name\":"
     "\"John-s r--sum---pdf\",\"context\":\"of "
     "2026\",\"source\":{\"bytes\":\"JVBE\"},\"citations\":"
     "{\"enabled\":true}}},{\"document\":{\"format\":\"txt\",\"name\":\"document 2\",\"source\":"
     "{\"text\":\"plain\"}}}]}]}",
     ""},
    {"tools", NOVA, ANTHROPIC,
     "\"tools\":[{\"name\":\"get.weather\",\"description\":\"Weather\",\"input_schema\":{\"type\":"
     "\"object\","
     "\"properties\":{\"n\":{\"minimum\":1.50}}}},{\"name\":\"g\",\"description\":\"\","
     "\"input_schema\":{\"type\":\"object\"}}],"
     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"get.weather\"}," HI,
     "{" HI_OUT ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"get_weather_f32dc29d\","
     "\"description\":\"Weather\",\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{"
     "\"n\":"
     "{\"minimum\":1.50}}}}}}," SPEC(
         "g") "],\"toolChoice\":{\"tool\":{\"name\":\"get_weather_f32dc29d\"}}}}",
     ""},
    {"any tool", MISTRAL, ANTHROPIC, TOOL ",\"tool_choice\":{\"type\":\"any\"}," HI,
     "{" HI_OUT ",\"toolConfig\":{\"tools\":[" SPEC("f") "],\"toolChoice\":{\"any\":{}}}}", ""},
    {"one tool where none can be forced", MISTRAL, ANTHROPIC,
     TOOL ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}," HI,
     "{" HI_OUT ",\"toolConfig\":{\"tools\":[" SPEC("f") "]}}", "tool_choice"},
    {"one tool at a time", NOVA, OPENAI,
     TOOL ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}," HI,
     "{" HI_OUT ",\"toolConfig\":{\"tools\":[" SPEC("f") "]}}", "parallel_tool_calls"},
    {"no tool", NOVA, ANTHROPIC, TOOL ",\"tool_choice\":{\"type\":\"none\"}," HI, "{" HI_OUT "}",
     ""},
    {"calls and results", NOVA, ANTHROPIC,
     TOOL ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}," CALLED(
         "call:1", "f") ","
                        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                        "\"call:1\",\"is_error\":true,"
                        "\"content\":[{\"type\":\"text\",\"text\":\"no\"},{\"type\":\"image\","
                        "\"source\":{\"type\":\"base64\","
                        "\"media_type\":\"image/"
                        "png\",\"data\":\"iVBO\"}}]},{\"type\":\"text\",\"text\":\"so?\"}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}," CALLED_OUT(
         "call_1_b1635388",
         "f") ","
              "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"call_1_b1635388\","
              "\"content\":["
              "{\"text\":\"no\"},{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"iVBO\"}}}],"
              "\"status\":\"error\"}},"
              "{\"text\":\"so?\"}]}],\"toolConfig\":{\"tools\":[" SPEC("f") "]}}",
     ""},
    {"results without content, an error that cannot be said", LLAMA, ANTHROPIC,
     TOOL ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}," CALLED(
         "a", "f") ","
                   "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                   "\"a\",\"is_error\":true,"
                   "\"content\":\"\"}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}," CALLED_OUT(
         "a", "f") ","
                   "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"a\","
                   "\"content\":[{\"json\":{}}]}}]}],"
                   "\"toolConfig\":{\"tools\":[" SPEC("f") "]}}",
     "is_error"},
    {"a result in words that are a block of Anthropic's, and one that has none", LLAMA, ANTHROPIC,
     TOOL ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}," CALLED(
         "a", "f") ",{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                   "\"a\",\"content\":[{\"type\":\"tool_reference\",\"tool_name\":\"g\"},"
                   "{\"type\":\"new_block\"}]}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}," CALLED_OUT(
         "a",
         "f") ",{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"a\","
              "\"content\":[{\"text\":\"g\"}]}}]}],\"toolConfig\":{\"tools\":[" SPEC("f") "]}}",
     "messages.content"},
    {"history with tools, a request without", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}," CALLED(
         "a",
         "f") ","
              "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
              "\"content\":\"1\"}]}," CALLED("b", "f") ",{\"role\":\"user\",\"content\":[{\"type\":"
                                                       "\"tool_result\",\"tool_use_id\":\"b\","
                                                       "\"content\":\"2\"}]}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}," CALLED_OUT(
         "a", "f") ","
                   "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"a\","
                   "\"content\":[{\"text\":\"1\"}]}}]}," CALLED_OUT(
                       "b",
                       "f") ",{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"b\","
                            "\"content\":[{\"text\":\"2\"}]}}]}],\"toolConfig\":{\"tools\":[" SPEC(
                                "f") "]}}",
     ""},
    {"cached tools", CONVERSE_CLAUDE, ANTHROPIC,
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"},\"cache_control\":{"
     "\"type\":\"ephemeral\"}}]," HI,
     "{" HI_OUT
     ",\"toolConfig\":{\"tools\":[" SPEC("f") ",{\"cachePoint\":{\"type\":\"default\"}}]}}",
     ""},
    {"which Nova does not take", NOVA, ANTHROPIC,
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"},\"cache_control\":{"
     "\"type\":\"ephemeral\"}}]," HI,
     "{" HI_OUT ",\"toolConfig\":{\"tools\":[" SPEC("f") "]}}", "tools.cache_control"},
    {"a tool of Anthropic's", NOVA, ANTHROPIC,
     "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]," HI, "{" HI_OUT "}",
     "tools.type"},
    {"a conversation that the assistant begins", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"assistant\",\"content\":\"hello\"},"
     "{\"role\":\"user\",\"content\":\"hi\"}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\".\"}]},"
     "{\"role\":\"assistant\",\"content\":[{\"text\":\"hello\"}]},"
     "{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}]}",
     ""},
    {"thinking of another maker", NOVA, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":["
     "{\"type\":\"thinking\",\"thinking\":\"Hm.\",\"signature\":\"EqQB\"},{\"type\":\"text\","
     "\"text\":\"yes\"}]},"
     "{\"role\":\"user\",\"content\":\"and?\"}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]},{\"role\":\"assistant\","
     "\"content\":["
     "{\"text\":\"yes\"}]},{\"role\":\"user\",\"content\":[{\"text\":\"and?\"}]}]}",
     ""},
    {"thinking of its own", CONVERSE_CLAUDE, ANTHROPIC,
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":["
     "{\"type\":\"thinking\",\"thinking\":\"Hm.\",\"signature\":\"wf:bedrock:EqQB\"},"
     "{\"type\":\"thinking\",\"thinking\":\"Unsigned.\",\"signature\":\"wf:bedrock:\"},"
     "{\"type\":\"redacted_thinking\",\"data\":\"wf:bedrock:RXRr\"},"
     "{\"type\":\"redacted_thinking\",\"data\":\"EmwK\"},"
     "{\"type\":\"text\",\"text\":\"yes\"}]},{\"role\":\"user\",\"content\":\"and?\"}]",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]},{\"role\":\"assistant\","
     "\"content\":["
     "{\"reasoningContent\":{\"reasoningText\":{\"text\":\"Hm.\",\"signature\":\"EqQB\"}}},"
     "{\"reasoningContent\":{\"redactedContent\":\"RXRr\"}},{\"text\":\"yes\"}]},"
     "{\"role\":\"user\",\"content\":[{\"text\":\"and?\"}]}]}",
     ""},
    {"a temperature beside thinking", CONVERSE_CLAUDE, ANTHROPIC,
     "\"temperature\":0.5,\"top_p\":0.96,\"top_k\":4,"
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}," HI,
     "{" HI_OUT ",\"inferenceConfig\":{\"topP\":0.96},"
     "\"additionalModelRequestFields\":{\"thinking\":{\"type\":\"enabled\","
     "\"budget_tokens\":2048}}}",
     "temperature, top_k"},
    {"a forced tool beside thinking", CONVERSE_CLAUDE, ANTHROPIC,
     TOOL ",\"tool_choice\":{\"type\":\"any\"},"
          "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}," HI,
     "{" HI_OUT ",\"toolConfig\":{\"tools\":[" SPEC("f") "],\"toolChoice\":{\"any\":{}}}}",
     "thinking"},
    {"settings", NOVA_1, ANTHROPIC,
     "\"temperature\":0.70,\"top_p\":0.9,\"top_k\":40,\"stop_sequences\":[\"A\",\"\\n\"]," HI,
     "{" HI_OUT
     ",\"inferenceConfig\":{\"temperature\":0.70,\"topP\":0.9,\"stopSequences\":[\"A\",\"\\n\"]},"
     "\"additionalModelResponseFieldPaths\":[\"/stop_sequence\"],"
     "\"additionalModelRequestFields\":{\"inferenceConfig\":{\"topK\":40}}}",
     ""},
    {"top_k", MISTRAL, ANTHROPIC, "\"top_k\":40," HI,
     "{" HI_OUT ",\"additionalModelRequestFields\":{\"top_k\":40}}", ""},
    {"top_k of nobody", LLAMA, ANTHROPIC, "\"top_k\":40," HI, "{" HI_OUT "}", "top_k"},
    {"thinking for Claude", CONVERSE_CLAUDE, ANTHROPIC,
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}," HI,
     "{" HI_OUT ",\"additionalModelRequestFields\":{\"thinking\":{\"type\":\"enabled\","
     "\"budget_tokens\":2048}}}",
     ""},
    {"no thinking, effort", CONVERSE_CLAUDE, ANTHROPIC,
     "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"max\"}," HI,
     "{" HI_OUT ",\"additionalModelRequestFields\":{\"thinking\":{\"type\":\"adaptive\"},"
     "\"output_config\":{\"effort\":\"max\"}}}",
     ""},
    {"thinking for Nova 2", NOVA, ANTHROPIC,
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000}," HI,
     "{" HI_OUT ",\"additionalModelRequestFields\":{\"reasoningConfig\":{\"type\":\"enabled\","
     "\"maxReasoningEffort\":\"high\"}}}",
     ""},
    {"no thinking for Nova 2", NOVA, ANTHROPIC, "\"thinking\":{\"type\":\"disabled\"}," HI,
     "{" HI_OUT "}", ""},
    {"effort for gpt-oss", GPT, ANTHROPIC, "\"output_config\":{\"effort\":\"xhigh\"}," HI,
     "{" HI_OUT ",\"additionalModelRequestFields\":{\"reasoning_effort\":\"high\"}}", ""},
    {"effort for OpenAI's later models", "us.openai.gpt-example-5", ANTHROPIC,
     "\"output_config\":{\"effort\":\"low\"}," HI,
     "{" HI_OUT ",\"additionalModelRequestFields\":{\"reasoning\":{\"effort\":\"low\"}}}", ""},
    {"thinking for nobody", LLAMA, ANTHROPIC, "\"thinking\":{\"type\":\"adaptive\"}," HI,
     "{" HI_OUT "}", "thinking"},
    {"the same from OpenAI's side", LLAMA, OPENAI, "\"thinking\":{\"type\":\"adaptive\"}," HI,
     "{" HI_OUT "}", "reasoning_effort"},
    {"who asks", NOVA, OPENAI, "\"metadata\":{\"user_id\":\"u\"}," HI, "{" HI_OUT "}", "user"},
    {"a tier of other prices", NOVA, OPENAI, "\"service_tier\":\"flex\"," HI, "{" HI_OUT "}",
     ""}, /* the door has named it */
};

START_TEST(converse_says)
{
    target.upstream_model = converse[_i].model;
    read_request(converse[_i].members, converse[_i].client);
    ck_assert_msg(build(-1) == 0, "%s: %s", converse[_i].name, fail.text);
    must_say(converse[_i].name, converse[_i].expected, converse[_i].dropped);
}
END_TEST

START_TEST(max_tokens_is_what_is_asked_for)
{
    read_request("\"max_tokens\":5000," HI, ANTHROPIC);
    ck_assert_int_eq(build(MAX_TOKENS), 0);
    must_say("max_tokens", "{" HI_OUT ",\"inferenceConfig\":{\"maxTokens\":77}}", "");
}
END_TEST

/* The schema goes as text, where the catalog says that the model takes one. */
START_TEST(structured_output)
{
    static const char members[] =
        "\"tools\":[{\"name\":\"f\",\"strict\":true,\"input_schema\":{\"type\":\"object\"}}],"
        "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\": 1.50}}}," HI;
    read_request(members, OPENAI);
    ck_assert_int_eq(build(-1), 0);
    must_say("without", "{" HI_OUT ",\"toolConfig\":{\"tools\":[" SPEC("f") "]}}",
             "tools.function.strict, response_format");
    target.params = ALL_PARAMS;
    ck_assert_int_eq(build(-1), 0);
    must_say(
        "with",
        "{" HI_OUT
        ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":{\"json\":"
        "{\"type\":\"object\"}},\"strict\":true}}]},\"outputConfig\":{\"textFormat\":{\"type\":"
        "\"json_schema\",\"structure\":{\"jsonSchema\":{\"schema\":\"{\\\"a\\\": 1.50}\"}}}}}",
        "");
}
END_TEST

START_TEST(numbers_without_a_place_are_named)
{
    read_request(HI, OPENAI);
    dialog.numbers[NUMBER_seed] = SPAN("7");
    dialog.numbers[NUMBER_frequency_penalty] = SPAN("0.5");
    dialog.logprobs = TRI_TRUE;
    dialog.logit_bias_json = SPAN("{}");
    dialog.verbosity = SPAN("low");
    ck_assert_int_eq(build(-1), 0);
    must_say("numbers", "{" HI_OUT "}", "frequency_penalty, seed, logprobs, logit_bias, verbosity");
}
END_TEST

static const struct {
    const char *source, *text;
} refused[] = {
    {"\"type\":\"url\",\"url\":\"https://example.com/a.png\"", "base64"},
    {"\"type\":\"file\",\"file_id\":\"file_1\"", "base64"},
    {"\"type\":\"base64\",\"media_type\":\"image/tiff\",\"data\":\"SUkq\"", "media_type"},
};

START_TEST(media_that_cannot_be_sent_are_the_clients_to_mend)
{
    char members[512];
    snprintf(
        members, sizeof(members),
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{%s}}]}]",
        refused[_i].source);
    read_request(members, ANTHROPIC);
    ck_assert_int_eq(build(-1), -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_str_eq(fail.field, "messages");
    ck_assert_msg(strstr(fail.text, refused[_i].text) != NULL, "%s", fail.text);
}
END_TEST

/* ---- InvokeModel ---- */

START_TEST(a_body_of_too_many_pieces_is_the_clients_to_mend)
{
    enum { MANY = 200 };
    struct buf members;
    buf_init(&members, BODY_MAX);
    buf_adds(&members, HI);
    for (int i = 0; i < MANY; i++)
        buf_addf(&members, ",\"diagnostics\":null,\"x%d\":1", i);
    target.upstream_model = CLAUDE;
    read_request(members.ptr, ANTHROPIC);
    ck_assert_int_eq(build(-1), -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_msg(strstr(fail.text, "again and again") != NULL, "%s", fail.text);
    buf_done(&members);
}
END_TEST

#define HEAD "{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":77"

static const struct {
    const char *name, *betas, *members, *expected, *dropped;
} invoke[] = {
    {"text", "", HI, HEAD "," HI "}", ""},
    {"what the client wrote stays", "",
     "\"max_tokens\":9, \"temperature\": 0.70 ,\"stream\":false,\"system\":[ "
     "{\"type\":\"text\",\"text\":"
     "\"\\u00e9\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"provider_only\":[\"a\"],\"context_"
     "management\":"
     "{\"edits\":[]}," HI,
     HEAD ",\"temperature\": 0.70,\"system\":[ "
          "{\"type\":\"text\",\"text\":\"\\u00e9\",\"cache_control\":"
          "{\"type\":\"ephemeral\"}}],\"context_management\":{\"edits\":[]}," HI "}",
     ""},
    {"members that are not Bedrock's", "",
     "\"service_tier\":\"auto\"," HI ",\"inference_geo\":\"us\",\"container\":null",
     HEAD "," HI "}", "service_tier, inference_geo"},
    {"betas", "claude-code-20250219, interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20",
     HI,
     HEAD
     ",\"anthropic_beta\":[\"interleaved-thinking-2025-05-14\",\"tool-search-tool-2025-10-19\"]," HI
     "}",
     "anthropic-beta"},
    {"no beta is left", "claude-code-20250219", HI, HEAD "," HI "}", "anthropic-beta"},
};

START_TEST(invoke_says)
{
    target.upstream_model = CLAUDE;
    headers.anthropic_beta = span_of(invoke[_i].betas);
    read_request(invoke[_i].members, ANTHROPIC);
    ck_assert_msg(build(MAX_TOKENS) == 0, "%s: %s", invoke[_i].name, fail.text);
    must_say(invoke[_i].name, invoke[_i].expected, invoke[_i].dropped);
}
END_TEST

START_TEST(operators_betas_go_as_they_are)
{
    static const char *const extra[] = {"anthropic-beta", "new-2027-01-01", "x-team", "a", NULL};
    target.upstream_model = CLAUDE;
    target.extra_headers = extra;
    read_request(HI, ANTHROPIC);
    ck_assert_int_eq(build(MAX_TOKENS), 0);
    must_say("betas", HEAD ",\"anthropic_beta\":[\"new-2027-01-01\"]," HI "}", "");
    ck_assert_str_eq(header("anthropic-beta"), "");
    ck_assert_str_eq(header("x-team"), "a");
}
END_TEST

#define ANEW "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]"

/* Written anew: for a client of another protocol, for thinking of another provider, and where the
 * model has a rule that the body may break. */
START_TEST(invoke_is_written_anew_where_it_must)
{
    static const struct {
        const char *members;
        enum client client;
        uint32_t rules;
        bool anew;
    } rows[] = {
        {HI, ANTHROPIC, RULE_BIT(RULE_no_sampling), false},
        {HI ",\"temperature\":1", ANTHROPIC, RULE_BIT(RULE_no_sampling), true},
        {HI ",\"temperature\":1", ANTHROPIC, RULE_BIT(RULE_no_prefill), false},
        {HI ",\"thinking\":{\"type\":\"adaptive\"}", ANTHROPIC, RULE_BIT(RULE_no_adaptive_thinking),
         true},
        {HI, OPENAI, 0, true},
        {"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":"
         "\"{\"}]",
         ANTHROPIC, RULE_BIT(RULE_no_prefill), true},
        {"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"system\",\"content\":"
         "\"x\"}]",
         ANTHROPIC, RULE_BIT(RULE_no_system_messages), true},
        {"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":"
         "[{\"type\":"
         "\"thinking\",\"thinking\":\"t\",\"signature\":\"wf:gemini:x\"},{\"type\":\"text\","
         "\"text\":\"a\"}]},"
         "{\"role\":\"user\",\"content\":\"b\"}]",
         ANTHROPIC, 0, true},
    };
    target.upstream_model = CLAUDE;
    for (int i = 0; i < ROWS(rows); i++) {
        target.rules = rows[i].rules;
        read_request(rows[i].members, rows[i].client);
        ck_assert_int_eq(build(MAX_TOKENS), 0);
        ck_assert_msg(strncmp(body.ptr, HEAD, strlen(HEAD)) == 0, "%d: %s", i, body.ptr);
        bool as_written = strstr(body.ptr, "\"content\":\"hi\"") != NULL;
        ck_assert_msg(as_written == !rows[i].anew, "%d: %s", i, body.ptr);
        ck_assert_msg(strstr(body.ptr, "wf:") == NULL, "%d: %s", i, body.ptr);
    }
    /* What a dialog has no place for stays, and what Bedrock does not have is named. */
    target.rules = RULE_BIT(RULE_no_sampling);
    read_request(HI ",\"top_k\":1,\"context_management\":{\"edits\":[]},\"container\":\"c\"",
                 ANTHROPIC);
    ck_assert_int_eq(build(MAX_TOKENS), 0);
    must_say("others", HEAD "," ANEW ",\"context_management\":{\"edits\":[]}}", "top_k, container");
    read_request(HI ",\"top_k\":1,\"service_tier\":\"auto\",\"cache_control\":{\"type\":"
                    "\"ephemeral\"}",
                 ANTHROPIC);
    ck_assert_int_eq(build(MAX_TOKENS), 0);
    must_say("said elsewhere", HEAD "," ANEW "}", "top_k, service_tier, cache_control");
    headers.anthropic_beta = SPAN("context-1m-2025-08-07");
    target.rules = 0;
    read_request(HI, OPENAI);
    ck_assert_int_eq(build(MAX_TOKENS), 0);
    must_say("betas at the end", HEAD "," ANEW ",\"anthropic_beta\":[\"context-1m-2025-08-07\"]}",
             "");
}
END_TEST

/* Many routing fields between members: runs of what stays. */
START_TEST(invoke_in_many_pieces)
{
    target.upstream_model = CLAUDE;
    read_request("\"provider_only\":[\"a\"],\"a1\":1,\"provider_ignore\":[\"b\"],\"a2\":2,"
                 "\"provider_zdr\":true,\"a3\":3,\"models\":[\"y\"],\"a4\":{\"model\":1}," HI
                 ",\"provider_sort\":\"price\"",
                 ANTHROPIC);
    ck_assert_int_eq(build(MAX_TOKENS), 0);
    must_say("pieces", HEAD ",\"a1\":1,\"a2\":2,\"a3\":3,\"a4\":{\"model\":1}," HI "}", "");
}
END_TEST

/* ---- where and who ---- */

static const struct {
    const char *model, *base_url, *region;
    bool stream;
    const char *url;
} urls[] = {
    {NOVA, "https://bedrock-runtime.us-east-1.amazonaws.com", NULL, false,
     "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-2-lite-v1%3A0/converse"},
    {NOVA, "https://bedrock-runtime.{region}.amazonaws.com/", "eu-west-3", true,
     "https://bedrock-runtime.eu-west-3.amazonaws.com/model/us.amazon.nova-2-lite-v1%3A0/"
     "converse-stream"},
    {CLAUDE, "http://127.0.0.1:9", NULL, false,
     "http://127.0.0.1:9/model/us.anthropic.claude-example-4-5-v1%3A0/invoke"},
    {CLAUDE, "http://127.0.0.1:9", NULL, true,
     "http://127.0.0.1:9/model/us.anthropic.claude-example-4-5-v1%3A0/invoke-with-response-stream"},
    {CONVERSE_CLAUDE, "http://127.0.0.1:9", NULL, false,
     "http://127.0.0.1:9/model/us.anthropic.claude-example-4-5-v1%3A0/converse"},
    {"invoke/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12", "http://h",
     NULL, false,
     "http://h/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile"
     "%2Fab12/invoke"},
};

START_TEST(calls_go_to)
{
    target.upstream_model = urls[_i].model;
    target.base_url = urls[_i].base_url;
    target.region = urls[_i].region;
    read_request(urls[_i].stream ? "\"stream\":true," HI : HI, ANTHROPIC);
    ck_assert_msg(build(MAX_TOKENS) == 0, "%s", fail.text);
    ck_assert_str_eq(up.url, urls[_i].url);
    ck_assert_str_eq(header("accept"),
                     urls[_i].stream ? "application/vnd.amazon.eventstream" : "application/json");
    ck_assert_str_eq(header("content-type"), "application/json");
    ck_assert(strstr(body.ptr, "\"stream\"") == NULL && strstr(body.ptr, "\"model\"") == NULL);
}
END_TEST

static const struct {
    const char *secret;
    enum auth_type type;
    const char *authorization; /* its beginning */
} credentials[] = {
    {"ABSKtoken", AUTH_BEARER, "Bearer ABSKtoken"},
    {"ABSKtoken", AUTH_API_KEY, "Bearer ABSKtoken"},
    {"AKIA:s3cr3t", AUTH_BEARER,
     "AWS4-HMAC-SHA256 Credential=AKIA/20150830/us-east-1/bedrock/aws4_request, "
     "SignedHeaders=content-type;host;x-amz-date, Signature="},
    {"AKIA:s3cr3t:tok", AUTH_API_KEY,
     "AWS4-HMAC-SHA256 Credential=AKIA/20150830/us-east-1/bedrock/aws4_request, "
     "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="},
    {"AKIA:s3cr3t", AUTH_NONE, ""},
    {NULL, AUTH_BEARER, ""},
};

START_TEST(calls_are_signed)
{
    target.secret = credentials[_i].secret;
    target.auth_type = credentials[_i].type;
    read_request(HI, ANTHROPIC);
    ck_assert_msg(build(MAX_TOKENS) == 0, "%s", fail.text);
    const char *got = header("authorization");
    const char *expected = credentials[_i].authorization;
    ck_assert_msg(strncmp(got, expected, strlen(expected)) == 0, "%s", got);
    ck_assert_int_eq(expected[0] == '\0', got[0] == '\0');
}
END_TEST

/* The region of the address is what the call is signed for; without one there is no signature. */
START_TEST(regions)
{
    static const struct {
        const char *base_url, *region, *signed_for; /* NULL: refused */
    } rows[] = {
        {"https://bedrock-runtime.eu-west-3.amazonaws.com", "us-east-1", "/eu-west-3/"},
        {"https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", NULL, "/us-gov-west-1/"},
        {"https://bedrock-runtime.{region}.amazonaws.com", "ap-south-1", "/ap-south-1/"},
        {"http://127.0.0.1:9000", "us-west-2", "/us-west-2/"},
        {"http://127.0.0.1:9000", NULL, NULL},
        {"https://bedrock-runtime.{region}.amazonaws.com", NULL, NULL},
    };
    target.secret = "AKIA:s3cr3t";
    for (int i = 0; i < ROWS(rows); i++) {
        target.base_url = rows[i].base_url;
        target.region = rows[i].region;
        read_request(HI, ANTHROPIC);
        ck_assert_int_eq(build(-1), rows[i].signed_for != NULL ? 0 : -1);
        if (rows[i].signed_for != NULL)
            ck_assert_msg(strstr(header("authorization"), rows[i].signed_for) != NULL, "%d: %s", i,
                          header("authorization"));
        else
            ck_assert(fail.code != ERR_bad_request && strstr(fail.text, "region") != NULL);
    }
}
END_TEST

Suite *bedrock_write_suite(void);

Suite *bedrock_write_suite(void)
{
    Suite *s = suite_create("bedrock_write");
    TCase *c = tcase_create("bedrock_write");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, converse_says, 0, ROWS(converse));
    tcase_add_test(c, max_tokens_is_what_is_asked_for);
    tcase_add_test(c, structured_output);
    tcase_add_test(c, numbers_without_a_place_are_named);
    tcase_add_loop_test(c, media_that_cannot_be_sent_are_the_clients_to_mend, 0, ROWS(refused));
    tcase_add_loop_test(c, invoke_says, 0, ROWS(invoke));
    tcase_add_test(c, operators_betas_go_as_they_are);
    tcase_add_test(c, invoke_is_written_anew_where_it_must);
    tcase_add_test(c, invoke_in_many_pieces);
    tcase_add_test(c, a_body_of_too_many_pieces_is_the_clients_to_mend);
    tcase_add_loop_test(c, calls_go_to, 0, ROWS(urls));
    tcase_add_loop_test(c, calls_are_signed, 0, ROWS(credentials));
    tcase_add_test(c, regions);
    suite_add_tcase(s, c);
    return s;
}
