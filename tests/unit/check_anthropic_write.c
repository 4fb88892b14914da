/* Requests that the Anthropic adapter writes from a dialog, and what it says it left out.
 *
 * The dialogs are read from Anthropic bodies, by the door that check_anthropic_door.c tests; where
 * a row is marked OPENAI, the client is said to speak that protocol. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/door.h"
#include "schema/json_out.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HI_OUT                                                                                     \
    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]"
#define TOOL "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]"
#define PARAMS(p) PARAM_BIT(PARAM_##p)
#define RULES(r) RULE_BIT(RULE_##r)

enum { BODY_MAX = 1024 * 1024, MAX_TOKENS = 10000 };
enum client { ANTHROPIC, OPENAI };

static struct json_doc doc;
static struct chat chat;
static struct dialog dialog;
static struct fail fail;
static struct provider_target target;
static struct client_headers headers;
static struct drops drops;
static struct buf out, request;

static void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    buf_init(&out, BODY_MAX);
    buf_init(&request, BODY_MAX);
    headers = (struct client_headers){.n_other = 0};
    target = (struct provider_target){.base_url = "https://api.example", .upstream_model = "m"};
}

static void teardown(void)
{
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
    buf_done(&out);
    buf_done(&request);
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

static int write_request(enum provider_op op, int64_t max_tokens, const char *version)
{
    struct provider_ask ask = {.op = op,
                               .target = &target,
                               .headers = &headers,
                               .chat = &chat,
                               .dialog = &dialog,
                               .max_tokens = max_tokens,
                               .drops = &drops};
    drops.n = 0;
    buf_reset(&out);
    const struct anthropic_cloud cloud = {.version = version};
    return anthropic_write(&ask, version != NULL ? &cloud : NULL, &out, &fail);
}

/* members: all but model and max_tokens. */
static void must_write(const char *name, const char *members, const char *dropped)
{
    char head[64];
    struct buf names;
    buf_init(&names, 1024);
    ck_assert_msg(write_request(OP_MESSAGES, MAX_TOKENS, NULL) == 0, "%s: %s", name, fail.text);
    snprintf(head, sizeof(head), "{\"model\":\"m\",\"max_tokens\":%d", MAX_TOKENS);
    ck_assert_msg(strncmp(out.ptr, head, strlen(head)) == 0, "%s: %s", name, out.ptr);
    struct span rest = {out.ptr + strlen(head) + 1, out.len - strlen(head) - 2};
    ck_assert_msg(span_is(rest, members), "%s:\n%.*s\nexpected:\n%s", name, (int)rest.len, rest.ptr,
                  members);
    ck_assert_int_eq(json_parse(&doc, buf_span(&out), NULL), 0);
    drops_print(&drops, &names);
    ck_assert_msg(span_is(buf_span(&names), dropped), "%s: dropped \"%s\", not \"%s\"", name,
                  names.len > 0 ? names.ptr : "", dropped);
    buf_done(&names);
}

/* ---- settings ---- */

struct row {
    const char *members;
    enum client client;
    uint32_t params, rules;
    const char *expected, *dropped;
};

static const struct row settings[] = {
    {HI, ANTHROPIC, 0, 0, HI_OUT, ""},
    {HI ",\"stream\":true", ANTHROPIC, 0, 0, "\"stream\":true," HI_OUT, ""},
    /* numbers keep their spelling */
    {HI ",\"temperature\":7e-1,\"top_k\":40", ANTHROPIC, 0, 0,
     HI_OUT ",\"temperature\":7e-1,\"top_k\":40", ""},
    {HI ",\"temperature\":1.0,\"top_p\":0.90", ANTHROPIC, 0, 0,
     HI_OUT ",\"temperature\":1.0,\"top_p\":0.90", ""},
    {HI ",\"temperature\":1.0,\"top_p\":0.90", OPENAI, 0, 0, HI_OUT ",\"temperature\":1.0",
     "top_p"},
    {HI ",\"temperature\":1.5", OPENAI, 0, 0, HI_OUT, "temperature"},
    {HI ",\"temperature\":2", OPENAI, 0, 0, HI_OUT, "temperature"},
    {HI ",\"temperature\":0,\"top_p\":1,\"top_k\":5", ANTHROPIC, 0, RULES(no_sampling), HI_OUT,
     "temperature, top_p, top_k"},
    {HI ",\"temperature\":0.5,\"top_k\":5", ANTHROPIC, PARAMS(temperature), 0,
     HI_OUT ",\"temperature\":0.5", "top_k"},
    {HI ",\"stop_sequences\":[\"\\n\",\"END\",\"\",\" .\"]", OPENAI, 0, 0,
     HI_OUT ",\"stop_sequences\":[\"END\",\" .\"]", "stop"},
    {HI ",\"stop_sequences\":[\"\\t\"]", ANTHROPIC, 0, 0, HI_OUT, "stop_sequences"},
    {HI ",\"metadata\":{\"user_id\":\"u \\\"1\\\"\"},\"service_tier\":\"auto\"", ANTHROPIC, 0, 0,
     HI_OUT ",\"service_tier\":\"auto\",\"metadata\":{\"user_id\":\"u \\\"1\\\"\"}", ""},
    {HI ",\"service_tier\":\"default\"", OPENAI, 0, 0, HI_OUT ",\"service_tier\":\"standard_only\"",
     ""},
    {HI ",\"service_tier\":\"flex\"", OPENAI, 0, 0, HI_OUT, ""}, /* the door has named it */
    {HI ",\"inference_geo\":\"us\",\"speed\":\"fast\"", ANTHROPIC, 0, 0,
     HI_OUT ",\"speed\":\"fast\",\"inference_geo\":\"us\"", ""},
    {HI ",\"inference_geo\":\"global\",\"speed\":\"standard\"", ANTHROPIC, 0, 0, HI_OUT, ""},
    {HI ",\"cache_control\":{\"type\":\"ephemeral\"}", ANTHROPIC, 0, 0,
     HI_OUT ",\"cache_control\":{\"type\":\"ephemeral\"}", ""},
    {HI
     ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}",
     ANTHROPIC, 0, 0,
     HI_OUT ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
            "\"object\"}}}",
     ""},
    {HI ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"a\": 1.0}}", ANTHROPIC, 0, 0,
     HI_OUT ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\": 1.0}}}",
     ""},
    {HI ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}}", OPENAI,
     PARAMS(temperature), 0, HI_OUT, "response_format"},
    /* what a dialog has no place for: of a client of this protocol it stays, in its own words */
    {HI ",\"container\" : \"c_1\",\"provider_only\":[\"a\"],\"context_management\":{\"edits\": "
        "[]},\"new\":1e0,\"metadata\":{\"user_id\":\"u\",\"k\":[ ]},\"output_config\":{\"effort\":"
        "\"low\",\"task_budget\":{\"total\":20000}},\"models\":[\"b\"]",
     ANTHROPIC, 0, 0,
     HI_OUT ",\"output_config\":{\"effort\":\"low\",\"task_budget\":{\"total\":20000}},"
            "\"metadata\":{\"user_id\":\"u\",\"k\":[ ]},\"container\" : \"c_1\","
            "\"context_management\":{\"edits\": []},\"new\":1e0",
     ""},
    {HI ",\"output_config\":{\"task_budget\":{}},\"metadata\":{\"k\":1}", ANTHROPIC, 0, 0,
     HI_OUT ",\"output_config\":{\"task_budget\":{}},\"metadata\":{\"k\":1}", ""},
    {HI ",\"container\":\"c_1\",\"new\":1,\"context_management\":{},\"metadata\":{\"k\":1}", OPENAI,
     0, 0, HI_OUT, "container, new, context_management, metadata"},
};

START_TEST(test_settings)
{
    const struct row *row = &settings[_i];
    target.params = row->params;
    target.rules = row->rules;
    read_request(row->members, row->client);
    must_write(row->members, row->expected, row->dropped);
}
END_TEST

/* ---- thinking ---- */

#define EFFORT(e) "\"output_config\":{\"effort\":\"" e "\"}"
#define BUDGET(n) "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" #n "}"
#define ADAPTIVE "\"thinking\":{\"type\":\"adaptive\"}"
#define DISABLED "\"thinking\":{\"type\":\"disabled\"}"

#define CLEARS "\"context_management\":{\"edits\":[{\"type\":\"clear_thinking_20251015\"}]}"

static const struct row thinking[] = {
    {HI "," ADAPTIVE, ANTHROPIC, 0, 0, HI_OUT "," ADAPTIVE, ""},
    {HI "," DISABLED, ANTHROPIC, 0, 0, HI_OUT "," DISABLED, ""},
    {HI "," BUDGET(2000), ANTHROPIC, 0, 0, HI_OUT "," BUDGET(2000), ""},
    {HI "," EFFORT("xhigh"), ANTHROPIC, 0, 0, HI_OUT "," EFFORT("xhigh"), ""},
    {HI ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}", ANTHROPIC, 0, 0,
     HI_OUT ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}", ""},
    {HI ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}", ANTHROPIC, 0, 0,
     HI_OUT ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}", ""},
    {HI ",\"thinking\":{\"type\":\"between_tools\"}", ANTHROPIC, 0, 0, HI_OUT "," ADAPTIVE, ""},
    /* a budget must be from 1024, and below max_tokens */
    {HI "," BUDGET(20000), OPENAI, 0, 0, HI_OUT "," BUDGET(8000), ""},
    {HI "," BUDGET(5), OPENAI, 0, 0, HI_OUT "," BUDGET(1024), ""},
    {HI "," BUDGET(10000), ANTHROPIC, 0, 0, HI_OUT "," BUDGET(8000), ""},
    /* words of OpenAI's */
    {HI "," EFFORT("minimal"), OPENAI, 0, 0, HI_OUT "," EFFORT("low"), ""},
    {HI "," EFFORT("none"), OPENAI, 0, 0, HI_OUT "," DISABLED, ""},
    {HI "," EFFORT("none"), OPENAI, 0, RULES(thinking_always), HI_OUT, "reasoning"},
    {HI "," EFFORT("none"), OPENAI, PARAMS(temperature), 0, HI_OUT, ""},
    /* models that know no effort, or do not think */
    {HI "," EFFORT("high"), OPENAI, PARAMS(reasoning), 0, HI_OUT "," BUDGET(8000), ""},
    {HI "," EFFORT("low"), OPENAI, PARAMS(reasoning), 0, HI_OUT "," BUDGET(2000), ""},
    {HI "," EFFORT("high"), ANTHROPIC, PARAMS(reasoning), 0, HI_OUT, "output_config.effort"},
    {HI "," EFFORT("high"), OPENAI, PARAMS(temperature), 0, HI_OUT, "reasoning_effort"},
    {HI "," BUDGET(2000), OPENAI, PARAMS(temperature), 0, HI_OUT, "reasoning"},
    /* rules of models */
    {HI "," ADAPTIVE, ANTHROPIC, 0, RULES(no_adaptive_thinking), HI_OUT "," BUDGET(5000), ""},
    {HI "," ADAPTIVE "," EFFORT("high"), ANTHROPIC, PARAMS(reasoning) | PARAMS(reasoning_effort),
     RULES(no_adaptive_thinking), HI_OUT "," BUDGET(8000) "," EFFORT("high"), ""},
    {HI "," BUDGET(2000), ANTHROPIC, 0, RULES(no_thinking_budget), HI_OUT "," ADAPTIVE,
     "thinking.budget_tokens"},
    {HI "," BUDGET(2000), OPENAI, 0, RULES(no_thinking_budget),
     HI_OUT ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}",
     "reasoning.max_tokens"},
    {HI ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}", OPENAI, 0,
     RULES(no_thinking_budget),
     HI_OUT ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"}", ""},
    {HI "," DISABLED, ANTHROPIC, 0, RULES(thinking_always), HI_OUT, "thinking"},
    {HI "," DISABLED "," EFFORT("max"), ANTHROPIC, 0, RULES(effort_needs_thinking),
     HI_OUT "," DISABLED "," EFFORT("high"), "output_config.effort"},
    {HI "," ADAPTIVE "," EFFORT("max"), ANTHROPIC, 0, RULES(effort_needs_thinking),
     HI_OUT "," ADAPTIVE "," EFFORT("max"), ""},
    /* beside thinking */
    {HI "," ADAPTIVE ",\"temperature\":0.5,\"top_k\":3", ANTHROPIC, 0, 0, HI_OUT "," ADAPTIVE,
     "temperature, top_k"},
    {HI "," BUDGET(2000) ",\"temperature\":1,\"top_p\":0.97", ANTHROPIC, 0, 0,
     HI_OUT "," BUDGET(2000) ",\"temperature\":1,\"top_p\":0.97", ""},
    {HI "," BUDGET(2000) ",\"top_p\":0.9", ANTHROPIC, 0, 0, HI_OUT "," BUDGET(2000), "top_p"},
    {HI "," DISABLED ",\"temperature\":0.5", ANTHROPIC, 0, 0,
     HI_OUT "," DISABLED ",\"temperature\":0.5", ""},
    {HI "," ADAPTIVE "," TOOL ",\"tool_choice\":{\"type\":\"any\"}", OPENAI, 0, 0,
     TOOL ",\"tool_choice\":{\"type\":\"any\"}," HI_OUT, "reasoning"},
    /* thinking cannot be cleared where there is none */
    {HI "," ADAPTIVE "," TOOL ",\"tool_choice\":{\"type\":\"any\"}," CLEARS, ANTHROPIC, 0, 0,
     TOOL ",\"tool_choice\":{\"type\":\"any\"}," HI_OUT, "thinking, context_management"},
    {HI "," ADAPTIVE "," CLEARS, ANTHROPIC, 0, 0, HI_OUT "," ADAPTIVE "," CLEARS, ""},
    {HI "," CLEARS, ANTHROPIC, 0, 0, HI_OUT "," CLEARS, ""},
};

START_TEST(test_thinking)
{
    const struct row *row = &thinking[_i];
    target.params = row->params;
    target.rules = row->rules;
    read_request(row->members, row->client);
    must_write(row->members, row->expected, row->dropped);
}
END_TEST

/* ---- tools ---- */

#define TOOLS(t) "\"tools\":[" t "]"
#define CHOICE(c) "\"tool_choice\":{" c "}"

static const struct row tools[] = {
    {HI "," TOOL, ANTHROPIC, 0, 0, TOOL "," HI_OUT, ""},
    {HI "," TOOLS("{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{"
                  "\"type\": \"object\",\"x\": "
                  "1.0},\"strict\":true,\"cache_control\":{\"type\":\"ephemeral\","
                  "\"ttl\":\"1h\"}}"),
     ANTHROPIC, 0, 0,
     TOOLS("{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\": "
           "\"object\",\"x\": "
           "1.0},\"strict\":true,\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":"
           "\"1h\"}}") "," HI_OUT,
     ""},
    {HI "," TOOLS("{\"name\":\"f\",\"input_schema\":{},\"strict\":true}"), OPENAI,
     PARAMS(temperature), 0,
     TOOLS("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}"
           "}}") "," HI_OUT,
     "tools.function.strict"},
    {HI "," TOOLS("{\"name\":\"f\"}"), OPENAI, 0, 0,
     TOOLS("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}"
           "}}") "," HI_OUT,
     ""},
    {HI "," TOOLS("{\"name\":\"f\",\"input_schema\":{ \"properties\": {\"a\":{}} "
                  "}},{\"name\":\"g\"}"),
     OPENAI, 0, 0,
     TOOLS("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\": "
           "{\"a\":{}} "
           "}},{\"name\":\"g\",\"input_schema\":{\"type\":\"object\","
           "\"properties\":{}}}") "," HI_OUT,
     ""},
    {HI "," TOOLS("{\"type\":\"web_search_20250305\",\"name\":\"web_search\", "
                  "\"max_uses\": 3}"),
     ANTHROPIC, 0, 0,
     TOOLS("{\"type\":\"web_search_20250305\",\"name\":\"web_search\", "
           "\"max_uses\": 3}") "," HI_OUT,
     ""},
    {HI "," TOOLS("{\"type\":\"custom\",\"name\":\"f\",\"input_schema\":{\"type\":\"object\"},"
                  "\"defer_loading\": true,\"input_examples\":[{}],\"new\":1.0}"),
     ANTHROPIC, 0, 0,
     TOOLS("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"},\"defer_loading\": true,"
           "\"input_examples\":[{}],\"new\":1.0}") "," HI_OUT,
     ""},
    {HI "," TOOLS("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"},\"defer_loading\":true}"),
     OPENAI, 0, 0, TOOLS("{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}") "," HI_OUT,
     "tools.defer_loading"},
    {HI "," TOOL "," CHOICE("\"type\":\"auto\",\"disable_parallel_tool_use\":true"), ANTHROPIC, 0,
     0, TOOL "," CHOICE("\"type\":\"auto\",\"disable_parallel_tool_use\":true") "," HI_OUT, ""},
    {HI "," TOOL "," CHOICE("\"type\":\"tool\",\"name\":\"f\""), ANTHROPIC, 0, 0,
     TOOL "," CHOICE("\"type\":\"tool\",\"name\":\"f\"") "," HI_OUT, ""},
    {HI "," TOOL "," CHOICE("\"type\":\"none\""), ANTHROPIC, 0, 0,
     TOOL "," CHOICE("\"type\":\"none\"") "," HI_OUT, ""},
    {HI "," CHOICE("\"type\":\"auto\""), OPENAI, 0, 0, HI_OUT, ""},
    {HI "," CHOICE("\"type\":\"any\""), OPENAI, 0, 0, HI_OUT, "tool_choice"},
};

START_TEST(test_tools)
{
    const struct row *row = &tools[_i];
    target.params = row->params;
    target.rules = row->rules;
    read_request(row->members, row->client);
    must_write(row->members, row->expected, row->dropped);
}
END_TEST

START_TEST(test_one_tool_at_a_time_without_a_choice)
{
    read_request(HI "," TOOL, OPENAI);
    dialog.parallel = TRI_FALSE;
    must_write("parallel",
               TOOL ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":"
                    "true}," HI_OUT,
               "");
    dialog.parallel = TRI_TRUE;
    must_write("parallel", TOOL "," HI_OUT, "");
}
END_TEST

START_TEST(test_tools_of_another_protocol)
{
    read_request(HI "," TOOL, OPENAI);
    struct dialog_tool *t = dialog_add_tool(&dialog);
    t->raw_json = SPAN("{\"googleSearch\":{}}");
    t->raw_of = "gemini";
    must_write("raw", TOOL "," HI_OUT, "tools");
    dialog.first_tool = t;
    must_write("raw alone", HI_OUT, "tools");
}
END_TEST

START_TEST(test_settings_that_anthropic_has_not)
{
    read_request(HI, OPENAI);
    for (int i = NUMBER_min_p; i < NUMBER_COUNT; i++)
        dialog.numbers[i] = SPAN("1");
    dialog.logprobs = TRI_TRUE;
    dialog.logit_bias_json = SPAN("{\"1\":2}");
    dialog.verbosity = SPAN("low");
    dialog.format.kind = FORMAT_JSON;
    must_write("unknown", HI_OUT,
               "response_format, min_p, top_a, frequency_penalty, presence_penalty, "
               "repetition_penalty, seed, top_logprobs, logprobs, logit_bias, verbosity");
}
END_TEST

/* ---- messages ---- */

#define MESSAGES(m) "\"messages\":[" m "]"
#define USER(c) "{\"role\":\"user\",\"content\":[" c "]}"
#define MODEL(c) "{\"role\":\"assistant\",\"content\":[" c "]}"
#define SYSTEM(c) "{\"role\":\"system\",\"content\":[" c "]}"
#define TEXT(t) "{\"type\":\"text\",\"text\":\"" t "\"}"
#define CALL(id) "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{\"n\": 1.50}}"
#define RESULT(id, c) "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":[" c "]}"
#define THOUGHT(s) "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"" s "\"}"
#define IMAGE                                                                                      \
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"                  \
    "png\",\"data\":\"iVBO\"}}"
#define MARK ",\"cache_control\":{\"type\":\"ephemeral\"}"
#define MARKED(t) "{\"type\":\"text\",\"text\":\"" t "\"" MARK "}"

static const struct row messages[] = {
    /* text that is refused for being empty */
    {MESSAGES(USER(TEXT("a") "," TEXT("  \\n")) "," MODEL(TEXT("\\t")) "," USER(TEXT("b"))), OPENAI,
     0, 0, MESSAGES(USER(TEXT("a") "," TEXT("b"))), ""},
    /* prefill stays */
    {MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("Sure:"))), OPENAI, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("Sure:"))), ""},
    /* instructions in the middle */
    {MESSAGES(USER(TEXT("a")) "," SYSTEM(TEXT("be brief")) "," MODEL(TEXT("b"))), ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," SYSTEM(TEXT("be brief")) "," MODEL(TEXT("b"))), ""},
    {MESSAGES(USER(TEXT("a")) "," SYSTEM(TEXT("be brief")) "," MODEL(TEXT("b"))), ANTHROPIC, 0,
     RULES(no_system_messages),
     MESSAGES(USER(TEXT("a") "," TEXT("<system>\\nbe brief\\n</system>")) "," MODEL(TEXT("b"))),
     ""},
    {MESSAGES(USER(TEXT("a")) "," MODEL(CALL("t1")) "," SYSTEM(TEXT("s")) "," USER(
         TEXT("b") "," RESULT("t1", TEXT("r")))),
     OPENAI, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(CALL("t1")) "," USER(
         RESULT("t1", TEXT("r")) "," TEXT("<system>\\ns\\n</system>") "," TEXT("b"))),
     ""},
    {MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("b")) "," SYSTEM(TEXT("s"))), OPENAI, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("b")) "," USER(TEXT("<system>\\ns\\n</system>"))), ""},
    /* only instructions: they are what is asked */
    {MESSAGES(SYSTEM(TEXT("do it"))), OPENAI, 0, 0, MESSAGES(USER(TEXT("do it"))), ""},
    {MESSAGES(SYSTEM(TEXT("do it")) "," USER(TEXT("now"))), OPENAI, 0, 0,
     "\"system\":[" TEXT("do it") "]," MESSAGES(USER(TEXT("now"))), ""},
    /* ids */
    {MESSAGES(USER(TEXT("a")) "," MODEL(CALL("call:1.a")) "," USER(RESULT("call:1.a", TEXT("r")))),
     OPENAI, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(CALL("call_1_a")) "," USER(RESULT("call_1_a", TEXT("r")))),
     ""},
    /* thinking: one's own is sent back, another's is left out */
    {MESSAGES(USER(TEXT("a")) "," MODEL(THOUGHT("c2ln") "," TEXT("b")) "," USER(TEXT("c"))),
     ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(THOUGHT("c2ln") "," TEXT("b")) "," USER(TEXT("c"))), ""},
    {MESSAGES(USER(TEXT("a")) "," MODEL(THOUGHT("wf:openai:") "," TEXT("b")) "," USER(TEXT("c"))),
     ANTHROPIC, 0, 0, MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("b")) "," USER(TEXT("c"))), ""},
    {MESSAGES(USER(TEXT("a")) "," MODEL(
         "{\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ==\"}," TEXT("b")) "," USER(TEXT("c"))),
     ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(
         "{\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ==\"}," TEXT("b")) "," USER(TEXT("c"))),
     ""},
    /* and a budget is not said where the loop of tools began without thinking of its own */
    {MESSAGES(USER(TEXT("a")) "," MODEL(THOUGHT("wf:gemini:x") "," CALL("t")) "," USER(
         RESULT("t", TEXT("r")))) "," BUDGET(2000),
     ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(CALL("t")) "," USER(RESULT("t", TEXT("r")))), "thinking"},
    {MESSAGES(USER(TEXT("a")) "," MODEL(THOUGHT("c2ln") "," CALL("t")) "," USER(
         RESULT("t", TEXT("r")))) "," BUDGET(2000),
     ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(THOUGHT("c2ln") "," CALL("t")) "," USER(
         RESULT("t", TEXT("r")))) "," BUDGET(2000),
     ""},
    {MESSAGES(USER(TEXT("a")) "," MODEL(CALL("t")) "," USER(RESULT("t", TEXT("r"))) "," SYSTEM(
         TEXT("s"))) "," BUDGET(2000),
     ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(CALL("t")) "," USER(RESULT("t", TEXT("r"))) "," SYSTEM(
         TEXT("s"))),
     "thinking"},
    /* media */
    {MESSAGES(
         USER(IMAGE ",{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://i/\"}}")),
     OPENAI, 0, 0,
     MESSAGES(
         USER(IMAGE ",{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://i/\"}}")),
     ""},
    {MESSAGES(
         USER(TEXT("a") ",{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}")),
     OPENAI, 0, 0, MESSAGES(USER(TEXT("a"))), "image_url"},
    {MESSAGES(USER(TEXT("a")) "," MODEL(IMAGE "," TEXT("b")) "," USER(TEXT("c"))), OPENAI, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("b")) "," USER(TEXT("c"))), "image_url"},
    {MESSAGES(
         USER(TEXT("a") ",{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
                        "\"text/csv\",\"data\":\"YQ==\"}}")),
     OPENAI, 0, 0, MESSAGES(USER(TEXT("a"))), "file"},
    /* four cache marks, the last ones */
    {"\"system\":[" MARKED("s") "]," MESSAGES(USER(MARKED("1") "," MARKED("2")) "," MODEL(
         MARKED("3")) "," USER(MARKED("4"))) ",\"cache_control\":{\"type\":\"ephemeral\"}",
     OPENAI, 0, 0,
     "\"system\":[" TEXT("s") "]," MESSAGES(USER(TEXT("1") "," MARKED("2")) "," MODEL(
         MARKED("3")) "," USER(MARKED("4"))) ",\"cache_control\":{\"type\":\"ephemeral\"}",
     "cache_control"},
    /* blocks that only Anthropic has */
    {MESSAGES(USER(TEXT("a")) "," MODEL(
         "{\"type\":\"server_tool_use\",\"id\":\"s\", \"name\":\"n\"}") "," USER(TEXT("c"))),
     ANTHROPIC, 0, 0,
     MESSAGES(USER(TEXT("a")) "," MODEL(
         "{\"type\":\"server_tool_use\",\"id\":\"s\", \"name\":\"n\"}") "," USER(TEXT("c"))),
     ""},
};

START_TEST(test_messages)
{
    const struct row *row = &messages[_i];
    target.params = row->params;
    target.rules = row->rules;
    read_request(row->members, row->client);
    must_write(row->members, row->expected, row->dropped);
}
END_TEST

START_TEST(test_blocks_of_other_protocols)
{
    read_request(MESSAGES(USER(TEXT("a"))), OPENAI);
    struct dialog_blocks *user = &dialog.first_message->blocks;
    dialog.first_message->name = SPAN("ann");
    dialog_add(&dialog, user, BLOCK_AUDIO)->media.data = SPAN("UklGRg==");
    dialog_add(&dialog, user, BLOCK_RAW)->raw_of = "gemini";
    struct dialog_message *m = dialog_turn(&dialog, ROLE_ASSISTANT, SPAN(""));
    dialog_add(&dialog, &m->blocks, BLOCK_REFUSAL)->text = SPAN("No.");
    must_write("others", MESSAGES(USER(TEXT("a")) "," MODEL(TEXT("No."))),
               "messages.name, input_audio, messages.content");
}
END_TEST

/* Thinking that was moved, or joined with its neighbour, is refused by its maker: it goes back at
 * its place, also between calls. */
START_TEST(test_thinking_keeps_its_place_bifrost_6342)
{
    static const char turns[] = MESSAGES(USER(TEXT("a")) "," MODEL(
        THOUGHT("czE=") "," TEXT("b") "," THOUGHT("czI=") "," CALL("t1") "," THOUGHT(
            "czM=") "," CALL("t2")) "," USER(RESULT("t1", TEXT("r")) "," RESULT("t2", TEXT("s"))));
    read_request(turns, ANTHROPIC);
    must_write("thinking", turns, "");
}
END_TEST

START_TEST(test_nothing_to_send)
{
    read_request(MESSAGES(USER(TEXT(" "))), OPENAI);
    ck_assert_int_eq(write_request(OP_MESSAGES, 1, NULL), -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_str_eq(fail.field, "messages");
}
END_TEST

START_TEST(test_an_id_has_a_maximum)
{
    enum { TOO_LONG = 2 * 1024 * 1024 };
    char *id = malloc(TOO_LONG);
    ck_assert(id != NULL);
    memset(id, 'x', TOO_LONG);
    read_request(MESSAGES(USER(TEXT("a")) "," MODEL(CALL("t"))), OPENAI);
    dialog.last_message->blocks.first->id = (struct span){id, TOO_LONG};
    ck_assert_int_eq(write_request(OP_MESSAGES, 1, NULL), -1);
    ck_assert_str_eq(fail.field, "messages");
    ck_assert_ptr_nonnull(strstr(fail.text, "1048576 bytes"));
    free(id);
}
END_TEST

/* ---- the call ---- */

START_TEST(test_max_tokens_must_be_said)
{
    static const struct {
        int64_t asked, of_endpoint;
        const char *expected;
    } rows[] = {
        {77, 64000, "{\"model\":\"m\",\"max_tokens\":77,"},
        {0, 64000, "{\"model\":\"m\",\"max_tokens\":0,"},
        {-1, 64000, "{\"model\":\"m\",\"max_tokens\":64000,"},
        {-1, 0, "{\"model\":\"m\",\"max_tokens\":4096,"},
    };
    read_request(HI, OPENAI);
    for (size_t i = 0; i < ROWS(rows); i++) {
        target.max_completion_tokens = rows[i].of_endpoint;
        ck_assert_int_eq(write_request(OP_MESSAGES, rows[i].asked, NULL), 0);
        ck_assert_msg(strncmp(out.ptr, rows[i].expected, strlen(rows[i].expected)) == 0, "%s",
                      out.ptr);
    }
}
END_TEST

START_TEST(test_count_tokens_and_clouds)
{
    read_request(HI "," ADAPTIVE ",\"stream\":true,\"temperature\":1", ANTHROPIC);
    ck_assert_int_eq(write_request(OP_COUNT_TOKENS, -1, NULL), 0);
    ck_assert_str_eq(out.ptr, "{\"model\":\"m\"," HI_OUT "," ADAPTIVE "}");
    ck_assert_int_eq(write_request(OP_MESSAGES, 5000, "vertex-2023-10-16"), 0);
    ck_assert_str_eq(out.ptr,
                     "{\"anthropic_version\":\"vertex-2023-10-16\",\"max_tokens\":5000," HI_OUT
                     "," ADAPTIVE ",\"temperature\":1}");
}
END_TEST

START_TEST(test_the_call_carries_the_body)
{
    struct upreq up;
    read_request(HI ",\"stream\":true", OPENAI);
    struct provider_ask ask = {.target = &target,
                               .headers = &headers,
                               .chat = &chat,
                               .dialog = &dialog,
                               .max_tokens = 5,
                               .drops = &drops};
    upreq_init(&up);
    ck_assert_int_eq(provider_anthropic.build(&ask, &up, &fail), 0);
    ck_assert_str_eq(up.url, "https://api.example/v1/messages");
    char sent[512];
    sent[upreq_read(&up, 0, sent, sizeof(sent) - 1)] = '\0';
    ck_assert_str_eq(sent, "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true," HI_OUT "}");
    upreq_done(&up);
}
END_TEST

Suite *anthropic_write_suite(void);

Suite *anthropic_write_suite(void)
{
    Suite *s = suite_create("anthropic_write");
    TCase *tc = tcase_create("write");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_settings, 0, ROWS(settings));
    tcase_add_loop_test(tc, test_thinking, 0, ROWS(thinking));
    tcase_add_loop_test(tc, test_tools, 0, ROWS(tools));
    tcase_add_loop_test(tc, test_messages, 0, ROWS(messages));
    tcase_add_test(tc, test_one_tool_at_a_time_without_a_choice);
    tcase_add_test(tc, test_tools_of_another_protocol);
    tcase_add_test(tc, test_settings_that_anthropic_has_not);
    tcase_add_test(tc, test_blocks_of_other_protocols);
    tcase_add_test(tc, test_thinking_keeps_its_place_bifrost_6342);
    tcase_add_test(tc, test_nothing_to_send);
    tcase_add_test(tc, test_an_id_has_a_maximum);
    tcase_add_test(tc, test_max_tokens_must_be_said);
    tcase_add_test(tc, test_count_tokens_and_clouds);
    tcase_add_test(tc, test_the_call_carries_the_body);
    suite_add_tcase(s, tc);
    return s;
}
