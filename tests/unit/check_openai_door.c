/* Unit tests of OpenAI's door, requests: Chat Completions bodies into dialogs. */
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/provider.h"
#include "tests/unit/dialog_case.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { BODY_MAX = 1024 * 1024 };

static struct json_doc doc;
static struct chat chat;
static struct dialog dialog;
static struct fail fail;
static struct buf request;

static void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    buf_init(&request, BODY_MAX);
}

static void teardown(void)
{
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
    buf_done(&request);
}

/* A body of these members and a model. */
static int read_members(const char *members)
{
    buf_reset(&request);
    buf_addf(&request, "{\"model\":\"m\",%s}", members);
    fail = (struct fail){.code = ERR_OK};
    ck_assert_msg(json_parse(&doc, buf_span(&request), &fail) == 0, "%s: %s", members, fail.text);
    ck_assert_msg(chat_read_openai(&chat, &doc, &fail) == 0, "%s: %s", members, fail.text);
    dialog_done(&dialog);
    return door_openai.read(&chat, &dialog, &fail);
}

static void take(const char *members)
{
    ck_assert_msg(read_members(members) == 0, "%s: %s", members, fail.text);
    check_normal_form(&dialog);
}

#define MESSAGES(list) "\"messages\":[" list "]"
#define USER(content) "{\"role\":\"user\",\"content\":" content "}"
#define MODEL(members) "{\"role\":\"assistant\"," members "}"
#define SYSTEM(content) "{\"role\":\"system\",\"content\":" content "}"
#define TOOL(id, content) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":" content "}"
#define CALL(id, name, arguments)                                                                  \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name                      \
    "\",\"arguments\":" arguments "}}"
#define HI MESSAGES(USER("\"hi\""))
#define MARK "\"cache_control\":{\"type\":\"ephemeral\"}"

/* ---- messages ---- */

static const struct {
    const char *members, *prompt;
} prompts[] = {
    {HI, "u[text:hi]"},
    {MESSAGES(SYSTEM("\"be\\u00e9\"") ",{\"role\":\"developer\",\"content\":\"b\"}," USER("\"c\"")),
     "system[text:be\xc3\xa9 text:b] u[text:c]"},
    {MESSAGES(USER("\"a\"") "," SYSTEM("\"s\"") "," SYSTEM(
         "[{\"type\":\"text\",\"text\":\"t\"}]") "," USER("\"b\"")),
     "u[text:a] s[text:s text:t] u[text:b]"},
    /* instructions alone: someone has to speak */
    {MESSAGES(SYSTEM("\"tell a joke\"")), "u[text:tell a joke]"},
    {MESSAGES(USER("\"a\"") "," USER("\"b\"") "," MODEL("\"content\":\"c\"") "," MODEL(
         "\"content\":\"d\"")),
     "u[text:a text:b] a[text:c text:d]"},
    {MESSAGES("{\"role\":\"user\",\"name\":\"ann\",\"content\":\"a\"}," USER("\"b\"")),
     "u(ann)[text:a] u[text:b]"},
    /* nothing empty */
    {MESSAGES(USER("\"a\"") "," MODEL("\"content\":null") "," MODEL("\"content\":\"\"") "," USER(
         "[]") "," USER("\"b\"")),
     "u[text:a text:b]"},
    /* parts */
    {MESSAGES(USER("[{\"type\":\"text\",\"text\":\"a\"},\"bare\",{\"type\":\"image_url\","
                   "\"image_url\":{\"url\":\"data:image\\/png;base64,iVBO\",\"detail\":\"low\"}},"
                   "{\"type\":\"image_url\",\"image_url\":\"https://x/y.png\"}]")),
     "u[text:a text:bare image:image/png:iVBO:low image:https://x/y.png]"},
    {MESSAGES(USER("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;charset=x;"
                   "base64,AAAA\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklG\","
                   "\"format\":\"wav\"}}]")),
     "u[image:image/jpeg:AAAA audio:audio/wav:UklG]"},
    {MESSAGES(USER("[{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
                   "\"data:application/pdf;base64,JVBE\"}},{\"type\":\"file\",\"file\":"
                   "{\"file_id\":\"file-1\"}},{\"type\":\"file\",\"file\":{\"file_data\":"
                   "\"https://x/a.pdf\"}},{\"type\":\"file\",\"file\":{\"file_data\":\"JVBE\"}},"
                   "{\"type\":\"file\",\"file\":{\"file_data\":\"data:image/png;base64,iVBO\"}}]")),
     "u[document:application/pdf:JVBE:a.pdf document:file-1 "
     "document:application/pdf:https://x/a.pdf document:application/pdf:JVBE "
     "image:image/png:iVBO]"},
    {MESSAGES(USER("[{\"type\":\"video_url\",\"video_url\":{\"url\": \"v\"}}]")),
     "u[raw:{\"type\":\"video_url\",\"video_url\":{\"url\": \"v\"}}]"},
    /* tool calls, and their results first */
    {MESSAGES(USER("\"a\"") "," MODEL(
         "\"content\":null,\"tool_calls\":[" CALL("1", "f", "\"{\\\"n\\\": 1.50}\"") "," CALL(
             "2", "g", "\"\"") "]") "," TOOL("1", "\"x\"") "," TOOL("2",
                                                                    "[{\"type\":\"text\",\"text\":"
                                                                    "\"y\"}]") "," USER("\"b\"")),
     "u[text:a] a[tool_call:1:f:{\"n\": 1.50} tool_call:2:g:{}] "
     "u[tool_result:1(text:x) tool_result:2(text:y) text:b]"},
    {MESSAGES(USER("\"a\"") "," TOOL("1", "\"x\"") "," USER("\"b\"") "," TOOL("2", "\"y\"")),
     "u[tool_result:1(text:x) tool_result:2(text:y) text:a text:b]"},
    {MESSAGES(TOOL("1", "null") "," TOOL("2", "\"\"") "," USER("\"b\"") "," TOOL("3", "\"z\"")),
     "u[tool_result:1 tool_result:2 tool_result:3(text:z) text:b]"},
    {MESSAGES(TOOL("1", "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://i\"}}]")),
     "u[tool_result:1(image:https://i)]"},
    /* arguments that are no JSON object */
    {MESSAGES(MODEL("\"tool_calls\":[" CALL("1", "f", "\"{\\\"a\\\":\"") "," CALL(
         "2", "f",
         "\"[1]\"") "," CALL("3", "f",
                             "\"say \\\"hi\\\"\"") "," CALL("4", "f",
                                                            "{\"b\": 2}") "," CALL("5", "f",
                                                                                   "null") "]")),
     "a[tool_call:1:f:{\"INVALID_JSON\":\"{\\\"a\\\":\"} "
     "tool_call:2:f:{\"INVALID_JSON\":\"[1]\"} "
     "tool_call:3:f:{\"INVALID_JSON\":\"say \\\"hi\\\"\"} tool_call:4:f:{\"b\": 2} "
     "tool_call:5:f:{}]"},
    {MESSAGES(MODEL("\"tool_calls\":[{\"id\":\"1\",\"type\":\"custom\",\"custom\":{\"name\":\"sh\","
                    "\"input\":\"ls \\\"x\\\"\"}}]")),
     "a[tool_call:ls \"x\":1:sh:{\"input\":\"ls \\\"x\\\"\"}]"},
    /* the form before there were tools */
    {MESSAGES(MODEL("\"content\":null,\"function_call\":{\"name\":\"f\",\"arguments\":\"{}"
                    "\"}") ",{\"role\":\"function\",\"name\":\"f\",\"content\":\"x\"}"
                           "," MODEL("\"function_call\":{\"name\":\"f\",\"arguments\":\"{}"
                                     "\"}") ",{\"role\":\"function\",\"name\":\"f\","
                                            "\"content\":\"y\"}"),
     "a[tool_call:call_1:f:{}] u[tool_result:call_1(text:x)] a[tool_call:call_2:f:{}] "
     "u[tool_result:call_2(text:y)]"},
    /* a signature that came in an id */
    {MESSAGES(
         MODEL("\"tool_calls\":[" CALL("c1_wfsig_Z2VtaW5pOkNpUUI", "f", "\"{}\"") "]") "," TOOL(
             "c1_wfsig_Z2VtaW5pOkNpUUI", "\"x\"")),
     "a[tool_call:c1:f:{}:wf:gemini:CiQB] u[tool_result:c1(text:x)]"},
    /* refusals */
    {MESSAGES(MODEL("\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]") "," USER(
         "\"why\"") "," MODEL("\"content\":null,\"refusal\":\"never\"")),
     "a[refusal:no] u[text:why] a[refusal:never]"},
    /* cache marks: of a part, a message, a call, a result */
    {MESSAGES("{\"role\":\"system\"," MARK ",\"content\":\"s\"}," USER(
         "[{\"type\":\"text\",\"text\":\"a\"," MARK "},{\"type\":\"text\",\"text\":\"b\","
         "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]")),
     "system[text:s*5m] u[text:a*5m text:b*1h]"},
    {MESSAGES(
         MODEL("\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\"}," MARK
               "}]") ",{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":[{\"type\":\"text\","
                     "\"text\":\"x\"," MARK "}]},{\"role\":\"tool\",\"tool_call_id\":\"2\"," MARK
                     ",\"content\":\"\"}"),
     "a[tool_call:1:f:{}*5m] u[tool_result:1*5m(text:x) tool_result:2*5m]"},
    {MESSAGES(USER("[{\"type\":\"text\",\"text\":\"\"," MARK "}]") "," USER("\"b\"")), "u[text:b]"},
};

START_TEST(test_prompts)
{
    struct buf seen;
    buf_init(&seen, BODY_MAX);
    take(prompts[_i].members);
    print_prompt(&seen, &dialog);
    ck_assert_str_eq(seen.ptr, prompts[_i].prompt);
    buf_done(&seen);
}
END_TEST

static const struct {
    const char *members, *prompt;
} thoughts[] = {
    {"\"reasoning_content\":\"hm\",\"content\":\"a\"", "a[thinking:hm:wf:openai: text:a]"},
    {"\"reasoning\":\"hm\"", "a[thinking:hm:wf:openai:]"},
    {"\"reasoning\":\"short\",\"reasoning_content\":\"long\"", "a[thinking:long:wf:openai:]"},
    {"\"reasoning_content\":\"\",\"content\":\"a\"", "a[text:a]"},
    {"\"reasoning_details\":[],\"reasoning\":\"hm\"", "a[thinking:hm:wf:openai:]"},
    /* signatures say whose they are */
    {"\"reasoning\":\"x\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\","
     "\"signature\":\"c2ln\",\"format\":\"anthropic-claude-v1\",\"index\":0}]",
     "a[thinking:hm:c2ln]"},
    {"\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"c2ln\"}]",
     "a[thinking:hm:c2ln]"},
    {"\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":"
     "\"wf:gemini:c2ln\",\"format\":\"unknown\"}]",
     "a[thinking:hm:wf:gemini:c2ln]"},
    {"\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"b3A\",\"format\":"
     "\"anthropic-claude-v1\"},{\"type\":\"reasoning.encrypted\",\"data\":\"wf:bedrock:b3A\"},"
     "{\"type\":\"reasoning.encrypted\",\"data\":\"\"}]",
     "a[redacted_thinking:b3A redacted_thinking:wf:bedrock:b3A]"},
    {"\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"Q2k\",\"format\":"
     "\"google-gemini-v1\"}]",
     "a[redacted_thinking:wf:gemini:Q2k]"},
    /* another maker's: the entry itself, without its text */
    {"\"reasoning_details\":[{\"type\":\"reasoning.encrypted\", \"data\":\"gAAA\",\"format\":"
     "\"openai-responses-v1\",\"id\":\"rs_1\"}]",
     "a[redacted_thinking:wf:openai:{\"type\":\"reasoning.encrypted\", \"data\":\"gAAA\","
     "\"format\":\"openai-responses-v1\",\"id\":\"rs_1\"}]"},
    {"\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"s\","
     "\"format\":\"xai-responses-v1\"}]",
     "a[thinking:hm:wf:openai:{\"type\":\"reasoning.text\",\"signature\":\"s\",\"format\":"
     "\"xai-responses-v1\"}]"},
    {"\"reasoning_details\":[{\"type\":\"reasoning.summary\",\"summary\":\"sum\"}]",
     "a[thinking:sum:wf:openai:{\"type\":\"reasoning.summary\"}]"},
    /* a client that kept every piece of a stream */
    {"\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"h\",\"index\":0},{\"type\":"
     "\"reasoning.text\",\"text\":\"m\",\"index\":0},{\"type\":\"reasoning.text\",\"signature\":"
     "\"c2ln\",\"format\":\"anthropic-claude-v1\",\"index\":0},{\"type\":\"reasoning.text\","
     "\"text\":\"two\",\"index\":1}]",
     "a[thinking:hm:c2ln thinking:two:wf:openai:]"},
    /* thinking whose text is withheld */
    {"\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"\",\"signature\":\"c2ln\"}]",
     "a[thinking:c2ln]"},
    /* Mistral */
    {"\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},"
     "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"thinking\",\"thinking\":\"ah\"}]",
     "a[thinking:hm:wf:openai: text:a thinking:ah:wf:openai:]"},
};

START_TEST(test_thinking)
{
    struct buf seen;
    char members[1024];
    buf_init(&seen, BODY_MAX);
    snprintf(members, sizeof(members), MESSAGES(MODEL("%s")), thoughts[_i].members);
    take(members);
    print_prompt(&seen, &dialog);
    ck_assert_str_eq(seen.ptr, thoughts[_i].prompt);
    buf_done(&seen);
}
END_TEST

/* ---- refusals ---- */

static const struct {
    const char *members, *field, *mention;
} refused[] = {
    {MESSAGES("{}"), "messages[0].role", "required"},
    {MESSAGES("{\"role\":\"narrator\"}"), "messages[0].role", "one of system"},
    {MESSAGES("{\"role\":1}"), "messages[0].role", "a string"},
    {MESSAGES(USER("\"\"")), "messages", "must say something"},
    {MESSAGES(USER("7")), "messages[0].content", "content parts"},
    {MESSAGES(USER("[7]")), "messages[0].content[0]", "a content part"},
    {MESSAGES(USER("[{}]")), "messages[0].content[0].type", "required"},
    {MESSAGES(USER("[{\"type\":\"text\",\"text\":7}]")), "messages[0].content[0].text", "a string"},
    {MESSAGES(USER("\"a\\ud800\"")), "messages[0].content", "surrogates"},
    {MESSAGES(USER("[{\"type\":\"image_url\"}]")), "messages[0].content[0].image_url", "required"},
    {MESSAGES(USER("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///etc/passwd\"}}]")),
     "messages[0].content[0].image_url.url", "https URL"},
    {MESSAGES(USER("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png,%00\"}}]")),
     "messages[0].content[0].image_url.url", "base64"},
    {MESSAGES(USER("[{\"type\":\"image_url\",\"image_url\":{}}]")),
     "messages[0].content[0].image_url", "https URL"},
    {MESSAGES(USER("[{\"type\":\"input_audio\"}]")), "messages[0].content[0].input_audio",
     "required"},
    {MESSAGES(USER("[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\"}}]")),
     "messages[0].content[0].input_audio.format", "required"},
    {MESSAGES(USER("[{\"type\":\"file\",\"file\":{}}]")), "messages[0].content[0].file.file_data",
     "required"},
    {MESSAGES(SYSTEM("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://i\"}}]") "," USER(
         "\"a\"")),
     "messages[0]", "a message of text"},
    {MESSAGES(USER("\"a\"") "," SYSTEM("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"file\","
                                       "\"file\":{\"file_id\":\"f\"}}]")),
     "messages[1]", "a message of text"},
    {MESSAGES("{\"role\":\"tool\",\"content\":\"a\"}"), "messages[0].tool_call_id", "required"},
    {MESSAGES("{\"role\":\"function\",\"name\":\"f\",\"content\":\"a\"}"), "messages[0].name",
     "called last"},
    {MESSAGES(MODEL("\"tool_calls\":[7]")), "messages[0].tool_calls[0]", "a tool call"},
    {MESSAGES(MODEL("\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]")),
     "messages[0].tool_calls[0].id", "required"},
    {MESSAGES(MODEL("\"tool_calls\":[{\"id\":\"1\"}]")), "messages[0].tool_calls[0].function",
     "required"},
    {MESSAGES(MODEL("\"tool_calls\":[{\"id\":\"1\",\"function\":{}}]")),
     "messages[0].tool_calls[0].function.name", "required"},
    {MESSAGES(MODEL("\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":[]}"
                    "}]")),
     "messages[0].tool_calls[0].function.arguments", "a string of JSON"},
    {MESSAGES(MODEL("\"reasoning_details\":[7]")), "messages[0].reasoning_details[0]", "an object"},
    {HI ",\"temperature\":\"hot\"", "temperature", "a number"},
    {HI ",\"stop\":[1]", "stop[0]", "a string"},
    {HI ",\"response_format\":{\"type\":\"grammar\"}", "response_format", "json_schema"},
    {HI ",\"response_format\":{}", "response_format", "json_schema"},
    {HI ",\"tool_choice\":\"maybe\"", "tool_choice", "required"},
    {HI ",\"tool_choice\":{\"type\":\"function\"}", "tool_choice.function", "required"},
    {HI ",\"tools\":[7]", "tools[0]", "a tool"},
    {HI ",\"tools\":[{}]", "tools[0].function", "required"},
    {HI ",\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name",
     "required"},
    {HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"name\":\"g\"}}]",
     "tools[0].function.name", "twice"},
};

START_TEST(test_refusals)
{
    ck_assert_msg(read_members(refused[_i].members) == -1, "%s was taken", refused[_i].members);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_str_eq(fail.field, refused[_i].field);
    ck_assert_msg(strstr(fail.text, refused[_i].mention) != NULL, "%s: \"%s\" lacks \"%s\"",
                  refused[_i].members, fail.text, refused[_i].mention);
}
END_TEST

/* ---- settings ---- */

START_TEST(test_settings)
{
    take(HI ",\"stream\":true,\"max_completion_tokens\":77,\"temperature\":1.50,\"top_p\":0,"
            "\"top_k\":4,\"seed\":-1,\"min_p\":0.1,\"frequency_penalty\":1e-1,"
            "\"stop\":[\"a\\n\",\"\",\"b\"],\"user\":\"ann\",\"service_tier\":\"flex\","
            "\"verbosity\":\"low\",\"logprobs\":true,\"top_logprobs\":3,"
            "\"logit_bias\":{\"50256\": -100}," MARK);
    ck_assert(dialog.stream && dialog.max_tokens == 77);
    ck_assert(span_is(dialog.numbers[NUMBER_temperature], "1.50"));
    ck_assert(span_is(dialog.numbers[NUMBER_top_p], "0"));
    ck_assert(span_is(dialog.numbers[NUMBER_top_k], "4"));
    ck_assert(span_is(dialog.numbers[NUMBER_seed], "-1"));
    ck_assert(span_is(dialog.numbers[NUMBER_min_p], "0.1"));
    ck_assert(span_is(dialog.numbers[NUMBER_frequency_penalty], "1e-1"));
    ck_assert(span_is(dialog.numbers[NUMBER_top_logprobs], "3"));
    ck_assert_int_eq(dialog.n_stops, 2);
    ck_assert(span_is(dialog.stops[0], "a\n") && span_is(dialog.stops[1], "b"));
    ck_assert(span_is(dialog.user, "ann"));
    ck_assert(dialog.service_tier.len == 0 && dialog.unread.n == 1);
    ck_assert_str_eq(dialog.unread.names[0], "service_tier"); /* of other prices */
    ck_assert(span_is(dialog.verbosity, "low") && dialog.logprobs == TRI_TRUE);
    ck_assert(span_is(dialog.logit_bias_json, "{\"50256\": -100}"));
    ck_assert(dialog.cache == CACHE_5M);
    take(HI ",\"stop\":\"END\",\"temperature\":null,\"logprobs\":false");
    ck_assert(dialog.n_stops == 1 && span_is(dialog.stops[0], "END"));
    ck_assert(dialog.numbers[NUMBER_temperature].len == 0 && dialog.max_tokens == -1);
    ck_assert(dialog.logprobs == TRI_FALSE && !dialog.stream && dialog.cache == CACHE_NONE);
}
END_TEST

START_TEST(test_too_many_stops)
{
    struct buf members;
    buf_init(&members, BODY_MAX);
    buf_adds(&members, HI ",\"stop\":[\"0\"");
    for (int i = 1; i <= DIALOG_STOPS_MAX; i++)
        buf_addf(&members, ",\"%d\"", i);
    buf_adds(&members, "]");
    ck_assert_int_eq(read_members(members.ptr), -1);
    ck_assert_str_eq(fail.field, "stop[64]");
    buf_done(&members);
}
END_TEST

START_TEST(test_tools)
{
    take(HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
            "\"parameters\":{\"type\": \"object\"},\"strict\":true}," MARK "},"
            "{\"function\":{\"name\":\"g\"," MARK "}},{\"type\":\"custom\",\"custom\":{\"name\":"
            "\"sh\"}},{\"type\":\"openrouter:web_search\"}],\"parallel_tool_calls\":false");
    const struct dialog_tool *t = dialog.first_tool;
    ck_assert_int_eq(dialog.n_tools, 4);
    ck_assert(span_is(t->name, "f") && span_is(t->description, "d") && t->strict == TRI_TRUE);
    ck_assert(span_is(t->schema_json, "{\"type\": \"object\"}") && t->cache == CACHE_5M);
    t = t->next;
    ck_assert(span_is(t->name, "g") && t->schema_json.len == 0 && t->strict == TRI_ABSENT);
    ck_assert(t->cache == CACHE_5M && t->raw_of == NULL);
    t = t->next;
    ck_assert(span_is(t->name, "sh") && strcmp(t->raw_of, "openai") == 0);
    ck_assert(span_is(t->raw_json, "{\"type\":\"custom\",\"custom\":{\"name\":\"sh\"}}"));
    t = t->next;
    ck_assert(t->name.len == 0 && span_is(t->raw_json, "{\"type\":\"openrouter:web_search\"}"));
    ck_assert_int_eq(dialog.parallel, TRI_FALSE);
    take(HI ",\"functions\":[{\"name\":\"f\",\"parameters\":{}}],\"function_call\":\"none\"");
    ck_assert(dialog.n_tools == 1 && span_is(dialog.first_tool->schema_json, "{}"));
    ck_assert_int_eq(dialog.choice, CHOICE_NONE);
}
END_TEST

START_TEST(test_tool_choice)
{
    static const struct {
        const char *choice;
        enum tool_choice want;
        const char *name;
    } cases[] = {
        {"\"tool_choice\":\"auto\"", CHOICE_AUTO, ""},
        {"\"tool_choice\":\"none\"", CHOICE_NONE, ""},
        {"\"tool_choice\":\"required\"", CHOICE_ANY, ""},
        {"\"tool_choice\":\"any\"", CHOICE_ANY, ""},
        {"\"tool_choice\":null", CHOICE_ABSENT, ""},
        {"\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}", CHOICE_TOOL, "f"},
        {"\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"sh\"}}", CHOICE_TOOL, "sh"},
        {"\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\","
         "\"tools\":[]}}",
         CHOICE_ANY, ""},
        {"\"function_call\":{\"name\":\"f\"}", CHOICE_TOOL, "f"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char members[256];
        snprintf(members, sizeof(members), HI ",%s", cases[i].choice);
        take(members);
        ck_assert_msg(dialog.choice == cases[i].want, "%s", members);
        ck_assert_msg(span_is(dialog.choice_name, cases[i].name), "%s", members);
        ck_assert_int_eq(dialog.others.n, strstr(members, "allowed") != NULL);
    }
}
END_TEST

START_TEST(test_reasoning)
{
    static const struct {
        const char *more;
        enum reasoning_mode mode;
        int64_t budget_tok;
        const char *effort;
        bool hidden;
    } cases[] = {
        {"\"reasoning\":null", REASONING_ABSENT, 0, "", false},
        {"\"reasoning_effort\":\"low\"", REASONING_ON, 0, "low", false},
        {"\"reasoning_effort\":\"none\"", REASONING_OFF, 0, "none", false},
        {"\"reasoning\":{\"effort\":\"high\",\"exclude\":true}", REASONING_ON, 0, "high", true},
        {"\"reasoning\":{\"max_tokens\":2000}", REASONING_BUDGETED, 2000, "", false},
        {"\"reasoning\":{\"max_tokens\":2000,\"effort\":\"low\"}", REASONING_BUDGETED, 2000, "low",
         false},
        {"\"reasoning\":{\"enabled\":true}", REASONING_ON, 0, "", false},
        {"\"reasoning\":{\"enabled\":false,\"max_tokens\":9}", REASONING_OFF, 0, "", false},
        {"\"reasoning\":{}", REASONING_ABSENT, 0, "", false},
        {"\"include_reasoning\":false", REASONING_ABSENT, 0, "", true},
        {"\"include_reasoning\":true", REASONING_ABSENT, 0, "", false},
        {"\"thinking\":{\"type\":\"enabled\"}", REASONING_ON, 0, "", false},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}", REASONING_BUDGETED, 1024, "",
         false},
        {"\"thinking\":{\"type\":\"disabled\",\"budget_tokens\":1024}", REASONING_OFF, 0, "",
         false},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char members[256];
        snprintf(members, sizeof(members), HI ",%s", cases[i].more);
        take(members);
        ck_assert_msg(dialog.reasoning.mode == cases[i].mode, "%s", members);
        ck_assert_msg(dialog.reasoning.budget_tok == cases[i].budget_tok, "%s", members);
        ck_assert_msg(span_is(dialog.reasoning.effort, cases[i].effort), "%s", members);
        ck_assert_msg(dialog.reasoning.hidden == cases[i].hidden, "%s", members);
    }
}
END_TEST

START_TEST(test_response_format)
{
    take(HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
            "\"description\":\"d\",\"strict\":false,\"schema\":{\"type\": \"object\"}}}");
    ck_assert_int_eq(dialog.format.kind, FORMAT_SCHEMA);
    ck_assert(span_is(dialog.format.name, "n") && span_is(dialog.format.description, "d"));
    ck_assert(span_is(dialog.format.schema_json, "{\"type\": \"object\"}"));
    ck_assert_int_eq(dialog.format.strict, TRI_FALSE);
    take(HI ",\"response_format\":{\"type\":\"json_object\"}");
    ck_assert(dialog.format.kind == FORMAT_JSON && dialog.format.schema_json.len == 0);
    take(HI ",\"response_format\":{\"type\":\"json_object\",\"schema\":{\"a\":1}}");
    ck_assert(dialog.format.kind == FORMAT_SCHEMA &&
              span_is(dialog.format.schema_json, "{\"a\":1}"));
    take(HI ",\"response_format\":{\"type\":\"json_schema\"}");
    ck_assert_int_eq(dialog.format.kind, FORMAT_JSON);
    take(HI ",\"response_format\":{\"type\":\"text\"}");
    ck_assert_int_eq(dialog.format.kind, FORMAT_TEXT);
}
END_TEST

START_TEST(test_what_has_no_place_is_named)
{
    struct buf names;
    buf_init(&names, 1024);
    take(HI ",\"web_search_options\":{},\"prediction\":{\"type\":\"content\"},\"modalities\":null,"
            "\"plugins\":[],\"some_future_field\":1");
    drops_print(&dialog.others, &names);
    ck_assert_str_eq(names.ptr, "web_search_options, prediction, some_future_field");
    buf_done(&names);
}
END_TEST

/* What only OpenRouter understands must not break a request to another server. */
START_TEST(test_words_of_openrouter)
{
    static const struct {
        const char *protocol, *base_url;
        bool rewritten;
    } cases[] = {
        {"openai", "https://api.openai.com/v1", true},
        {"openai", "https://api.groq.com/openai/v1", true},
        {"openai", "https://openrouter.ai/api/v1", false},
        {"openai", "http://10.0.0.5:8000/v1", false},
        {"azure-openai", "https://x.openai.azure.com", true},
        {"anthropic", "https://api.anthropic.com", true},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct provider *p = provider_find(cases[i].protocol);
        struct provider_target target = {.slug = "p", .base_url = cases[i].base_url};
        take(HI ",\"reasoning\":{\"effort\":\"low\"},\"transforms\":[]");
        ck_assert_msg(provider_must_rewrite(p, &chat, &target) == cases[i].rewritten, "%s",
                      cases[i].base_url);
        take(HI);
        ck_assert(provider_must_rewrite(p, &chat, &target) ==
                  (p->native_door(&target) != DOOR_OPENAI));
    }
}
END_TEST

/* Lists as long as a body allows are read in a time that grows with their length. */
START_TEST(test_long_conversations)
{
    static const char *const repeated[] = {
        TOOL("1", "\"x\""),
        SYSTEM("\"x\"") "," USER("\"y\""),
        SYSTEM("\"x\""),
        USER("\"y\"") "," TOOL("1", "\"x\""),
        MODEL("\"function_call\":{\"name\":\"f\"}") ",{\"role\":\"function\",\"name\":\"f\"}",
    };
    for (size_t k = 0; k < ROWS(repeated); k++) {
        struct buf members;
        buf_init(&members, 64 * BODY_MAX);
        buf_done(&request);
        buf_init(&request, 64 * BODY_MAX);
        buf_adds(&members, "\"messages\":[" USER("\"begin\""));
        for (int i = 0; i < 40000; i++)
            buf_addf(&members, ",%s", repeated[k]);
        buf_adds(&members, "]");
        take(members.ptr);
        buf_done(&members);
    }
}
END_TEST

Suite *openai_door_suite(void);
Suite *openai_door_suite(void)
{
    Suite *s = suite_create("openai_door");
    TCase *t = tcase_create("openai_door");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_prompts, 0, (int)ROWS(prompts));
    tcase_add_loop_test(t, test_thinking, 0, (int)ROWS(thoughts));
    tcase_add_loop_test(t, test_refusals, 0, (int)ROWS(refused));
    tcase_add_test(t, test_settings);
    tcase_add_test(t, test_too_many_stops);
    tcase_add_test(t, test_tools);
    tcase_add_test(t, test_tool_choice);
    tcase_add_test(t, test_reasoning);
    tcase_add_test(t, test_response_format);
    tcase_add_test(t, test_what_has_no_place_is_named);
    tcase_add_test(t, test_words_of_openrouter);
    tcase_add_test(t, test_long_conversations);
    suite_add_tcase(s, t);
    return s;
}
