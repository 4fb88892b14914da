/* Unit tests of schema/chat_openai.c and chat_openai_prompt.c: what a Chat Completions body asks
 * for, how large its prompt is, and how it is forwarded. */
#include "tests/unit/chat_case.h"

#define NEW_MODEL "\"upstream/model\""

static int read_body(const char *json)
{
    fault = (struct fail){.code = ERR_OK};
    ck_assert_msg(json_parse(&doc, span_of(json), &fault) == 0, "%.300s: %s", json, fault.text);
    return chat_read_openai(&chat, &doc, &fault);
}

static void take(const char *json)
{
    ck_assert_msg(read_body(json) == 0, "%.300s: %s", json, fault.text);
}

static void refuse(const char *json, const char *field, const char *mention)
{
    ck_assert_msg(read_body(json) == -1, "%.300s was taken", json);
    ck_assert_int_eq(fault.code, ERR_bad_request);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.text, mention) != NULL, "%.300s: \"%s\" lacks \"%s\"", json,
                  fault.text, mention);
}

/* ---- refusals ---- */

START_TEST(bad_bodies)
{
    static const struct {
        const char *json, *field, *mention;
    } cases[] = {
        {"[]", "", "the body must be an object"},
        {"{}", "model", "required"},
        {"{\"model\":\"m\"}", "messages", "required"},
        {"{\"model\":\"m\",\"messages\":null}", "messages", "required"},
        {"{\"model\":\"m\",\"messages\":[]}", "messages", "empty"},
        {"{\"model\":\"m\",\"messages\":{}}", "messages", "an array"},
        {"{\"model\":\"m\",\"messages\":[\"hi\"]}", "messages[0]", "role and content"},
        {"{\"model\":7,\"messages\":[{}]}", "model", "name of a model"},
        {REQUEST(",\"n\":2"), "n", "n must be 1"},
        {REQUEST(",\"n\":0"), "n", "n must be 1"},
        {REQUEST(",\"n\":1.0"), "n", "n must be 1"},
        {REQUEST(",\"max_tokens\":-1"), "max_tokens", "an integer"},
        {REQUEST(",\"max_completion_tokens\":\"5\""), "max_completion_tokens", "an integer"},
        {REQUEST(",\"max_tokens\":5,\"max_completion_tokens\":6"), "max_tokens", "5 and 6"},
        {REQUEST(",\"stream\":1"), "stream", "true or false"},
        {REQUEST(",\"stream_options\":true"), "stream_options", "an object"},
        {REQUEST(",\"stream_options\":{\"include_usage\":1}"), "stream_options.include_usage",
         "true or false"},
        {REQUEST(",\"stream_options\":{\"include_usage\":true,\"include_usage\":false}"),
         "stream_options.include_usage", "twice"},
        {REQUEST(",\"usage\":true"), "usage", "an object"},
        {REQUEST(",\"usage\":{\"include\":\"yes\"}"), "usage.include", "true or false"},
        {REQUEST(",\"stop\":1"), "stop", "a string or an array"},
        {REQUEST(",\"tools\":{}"), "tools", "an array"},
        {REQUEST(",\"tools\":[{\"type\":1}]"), "tools[0].type", "a string"},
        {REQUEST(",\"tool_choice\":{\"type\":\"x\",\"type\":\"function\"}"), "tool_choice.type",
         "twice"},
        {REQUEST(",\"response_format\":\"json\""), "response_format", "an object"},
        {REQUEST(",\"reasoning\":true"), "reasoning", "an object"},
        {REQUEST(",\"reasoning\":{\"effort\":\"low\",\"effort\":\"high\"}"), "reasoning.effort",
         "twice"},
        {REQUEST(",\"logprobs\":1"), "logprobs", "true or false"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":{}}]}",
         "messages[0].tool_calls", "an array of tool calls"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"content\":\"b\"}]}",
         "messages[0].content", "twice"},
        {CONTENT("{\"type\":\"text\",\"text\":\"a\",\"text\":\"b\"}"),
         "messages[0].content[0].text", "twice"},
        {REQUEST(",\"provider\":{\"order\":7}"), "provider.order", "an array"},
        {REQUEST(",\"provider\":{\"what\":7}"), "provider.what", "not known"},
        {REQUEST(",\"provider_what\":7"), "provider_what", "not a routing field"},
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        refuse(cases[i].json, cases[i].field, cases[i].mention);
}
END_TEST

/* Was answered without it by every provider of another protocol. */
START_TEST(state_of_a_provider)
{
    refuse(REQUEST(",\"container\":\"container_1\""), "container", "through /v1/messages");
    refuse(REQUEST(",\"container\":{\"id\":\"c\"}"), "container", "through /v1/messages");
    refuse(REQUEST(",\"thread\":{\"type\":\"create\"}"), "thread", "through /v1/messages");
    refuse(REQUEST(",\"previous_message_id\":\"msg_1\""), "previous_message_id", "/v1/messages");
    take(REQUEST(",\"container\":null,\"thread\":null,\"previous_message_id\":null"));
}
END_TEST

START_TEST(members_are_given_once)
{
    static const char *const names[] = {
        "model",  "models",      "messages",       "tools",          "tool_choice",
        "stream", "max_tokens",  "stream_options", "temperature",    "response_format",
        "stop",   "temperature", "reasoning",      "cache_control",  "usage",
        "user",   "n",           "functions",      "provider_order", "provider",
    };
    char body[256];
    for (size_t i = 0; i < ROWS(names); i++) {
        snprintf(body, sizeof(body),
                 "{\"%s\":null,\"model\":\"m\",\"messages\":[{\"role\":\"user\"}],\"%s\":null,"
                 "\"%s\":null}",
                 names[i], names[i], names[i]);
        ck_assert_msg(read_body(body) == -1, "%s", body);
        ck_assert_msg(strcmp(fault.field, names[i]) == 0, "%s: %s", body, fault.text);
    }
}
END_TEST

/* What only a provider judges, OpenRouter's other fields among them. */
START_TEST(open_lists_pass)
{
    take(
        REQUEST(",\"route\":\"fallback\",\"transforms\":[\"middle-out\"],\"plugins\":[{\"id\":"
                "\"web\"}],\"session_id\":\"s\",\"trace\":{},\"metadata\":{\"a\":1},\"store\":true,"
                "\"thinking\":{\"type\":\"enabled\"},\"logit_bias\":{\"50256\":-100},\"n\":null"));
    ck_assert_int_eq(chat.n_cuts, 0);
    ck_assert(chat.openrouter_words);
    take(REQUEST(",\"metadata\":{},\"reasoning_effort\":\"low\",\"usage\":{},\"top_k\":1,"
                 "\"session_id\":null"));
    ck_assert(!chat.openrouter_words);
    take("{\"model\":\"m\",\"messages\":[{\"role\":\"narrator\",\"content\":{\"odd\":1}},"
         "{\"content\":7},{}]}");
    take(CONTENT("{\"type\":\"hologram\",\"hologram\":{\"data\":\"x\"}},7,null,\"bare\""));
}
END_TEST

/* ---- what is asked for ---- */

START_TEST(words_of_openrouter)
{
    static const char *const words[] = {"reasoning", "cache_control", "trace"};
    for (size_t i = 0; i < ROWS(words); i++) {
        char body[128];
        snprintf(body, sizeof(body), REQUEST(",\"%s\":{}"), words[i]);
        take(body);
        ck_assert_msg(chat.openrouter_words, "%s", body);
    }
}
END_TEST

START_TEST(parameters)
{
    static const struct {
        const char *more;
        uint32_t params;
    } cases[] = {
        {"", 0},
        {",\"max_tokens\":5", PARAM_BIT(PARAM_max_tokens)},
        {",\"max_completion_tokens\":5", PARAM_BIT(PARAM_max_completion_tokens)},
        {",\"temperature\":0.0,\"top_p\":1,\"top_k\":3",
         PARAM_BIT(PARAM_temperature) | PARAM_BIT(PARAM_top_p) | PARAM_BIT(PARAM_top_k)},
        {",\"min_p\":0,\"top_a\":0,\"repetition_penalty\":1",
         PARAM_BIT(PARAM_min_p) | PARAM_BIT(PARAM_top_a) | PARAM_BIT(PARAM_repetition_penalty)},
        {",\"frequency_penalty\":0,\"presence_penalty\":0,\"seed\":1",
         PARAM_BIT(PARAM_frequency_penalty) | PARAM_BIT(PARAM_presence_penalty) |
             PARAM_BIT(PARAM_seed)},
        {",\"logit_bias\":{},\"logprobs\":true,\"top_logprobs\":2",
         PARAM_BIT(PARAM_logit_bias) | PARAM_BIT(PARAM_logprobs) | PARAM_BIT(PARAM_top_logprobs)},
        {",\"logprobs\":false,\"parallel_tool_calls\":true,\"temperature\":null,\"tools\":[]", 0},
        {",\"parallel_tool_calls\":false", PARAM_BIT(PARAM_parallel_tool_calls)},
        {",\"prediction\":{},\"verbosity\":\"low\"",
         PARAM_BIT(PARAM_prediction) | PARAM_BIT(PARAM_verbosity)},
        {",\"stop\":\"x\"", PARAM_BIT(PARAM_stop)},
        {",\"stop\":[\"x\"]", PARAM_BIT(PARAM_stop)},
        {",\"stop\":[]", 0},
        {",\"tools\":[{\"type\":\"function\"}],\"tool_choice\":\"auto\"",
         PARAM_BIT(PARAM_tools) | PARAM_BIT(PARAM_tool_choice)},
        {",\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"}",
         PARAM_BIT(PARAM_tools) | PARAM_BIT(PARAM_tool_choice)},
        {",\"response_format\":{\"type\":\"text\"}", 0},
        {",\"response_format\":{\"type\":\"json_object\"}", PARAM_BIT(PARAM_response_format)},
        {",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}",
         PARAM_BIT(PARAM_structured_outputs)},
        {",\"reasoning_effort\":\"low\"", PARAM_BIT(PARAM_reasoning_effort)},
        {",\"reasoning_effort\":\"none\"", 0},
        {",\"reasoning\":{\"effort\":\"high\"}", PARAM_BIT(PARAM_reasoning)},
        {",\"reasoning\":{\"enabled\":true}", PARAM_BIT(PARAM_reasoning)},
        {",\"reasoning\":{\"enabled\":false}", 0},
        {",\"reasoning\":{\"effort\":\"none\"}", 0},
        {",\"include_reasoning\":true", PARAM_BIT(PARAM_include_reasoning)},
        {",\"web_search_options\":{}", PARAM_BIT(PARAM_web_search_options)},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char body[512];
        snprintf(body, sizeof(body), REQUEST("%s"), cases[i].more);
        take(body);
        ck_assert_msg(chat.params == cases[i].params, "%s: %x", body, chat.params);
    }
}
END_TEST

START_TEST(settings)
{
    take(REQUEST(",\"stream\":true,\"max_completion_tokens\":100,\"max_tokens\":null,"
                 "\"reasoning\":{\"max_tokens\":2000},\"user\":\"ann\",\"models\":[\"b:nitro\"]"));
    ck_assert(chat.door == DOOR_OPENAI && chat.stream && !chat.include_usage && !chat.report);
    ck_assert_int_eq(chat.max_tokens, 100);
    ck_assert_int_eq(chat.thinking_budget_tok, 2000);
    ck_assert(span_is(chat.user_id, "ann"));
    ck_assert(chat.n_models == 2 && chat.models[1].suffix == SUFFIX_NITRO);
    take(REQUEST(",\"stream_options\":{\"include_usage\":true}"));
    ck_assert(chat.include_usage && !chat.report && chat.max_tokens == -1 && !chat.stream);
    take(REQUEST(",\"usage\":{\"include\":true}"));
    ck_assert(chat.include_usage && chat.report);
    take(REQUEST(",\"usage\":{\"include\":false}"));
    ck_assert(!chat.include_usage && !chat.report && chat.n_cuts == 1);
    take(REQUEST(",\"max_tokens\":7,\"max_completion_tokens\":7"));
    ck_assert_int_eq(chat.max_tokens, 7);
}
END_TEST

/* Both forms, as of the Anthropic door: the reader is the same. */
START_TEST(routing)
{
    take(REQUEST(",\"provider\":{\"order\":[\"a\"],\"allow_fallbacks\":false,\"max_price\":"
                 "{\"prompt\":\"3\"},\"sort\":{\"by\":\"price\"}},\"provider_zdr\":true"));
    ck_assert_str_eq(prefs_str(&chat.prefs, chat.prefs.order.at[0]), "a");
    ck_assert(!chat.prefs.allow_fallbacks && chat.prefs.zdr && chat.prefs.max_prompt.set);
    ck_assert_int_eq(chat.prefs.sort, SORT_price);
    refuse(REQUEST(",\"provider\":{\"zdr\":true},\"provider_zdr\":true"), "provider_zdr",
           "provider.zdr");
}
END_TEST

START_TEST(needs_and_server_tools)
{
    take(REQUEST(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
                 "{\"type\":\"custom\",\"custom\":{\"name\":\"g\"}},{}]"));
    ck_assert_uint_eq(chat.needs, NEED_TOOLS);
    ck_assert_str_eq(chat.own_tool, "custom");
    take(REQUEST(",\"functions\":[{\"name\":\"f\"}]"));
    ck_assert_uint_eq(chat.needs, NEED_TOOLS);
    ck_assert_str_eq(chat.own_tool, "");
    take(REQUEST(",\"web_search_options\":{}"));
    ck_assert_str_eq(chat.own_tool, "web_search_options");
    ck_assert_uint_eq(chat.needs, NEED_SERVER_TOOLS);
    ck_assert_str_eq(chat.server_tools[0], "web_search_options");
    ck_assert_int_eq(chat.web_search_uses, -1);
    take(REQUEST(",\"tools\":[{\"type\":\"openrouter:web_search\",\"parameters\":{\"max_uses\":2}},"
                 "{\"type\":\"code_interpreter\"}]"));
    ck_assert_uint_eq(chat.needs, NEED_SERVER_TOOLS);
    ck_assert_int_eq(chat.n_server_tools, 2);
    ck_assert_str_eq(chat.server_tools[0], "openrouter:web_search");
    ck_assert_int_eq(chat.web_search_uses, 2);
}
END_TEST

/* ---- sizes ---- */

#define ASSISTANT(members) "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\"," members "}]}"

static const struct {
    const char *json;
    int64_t bytes, chars;
} sizes[] = {
    {REQUEST(""), 2, 2},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"abc\"},"
     "{\"role\":\"user\",\"content\":\"\\u00e9\",\"name\":\"ann\"}]}",
     3 + 2 + 3, 3 + 1 + 3},
    {CONTENT(TEXT("a") "," TEXT("bc")), 3, 3},
    {CONTENT("{\"type\":\"text\",\"text\":\"ab\",\"image_url\":null}"), 2, 2},
    {CONTENT(CACHED("abc")), 3, 3},
    {ASSISTANT("\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\","
               "\"function\":{\"name\":\"go\",\"arguments\":\"{\\\"a\\\":1}\"}}]"),
     2 + 7, 2 + 7},
    {ASSISTANT("\"function_call\":{\"name\":\"go\",\"arguments\":\"{}\"}"), 4, 4},
    {ASSISTANT("\"content\":\"x\",\"refusal\":\"no\",\"annotations\":[{\"a\":1}]"), 3, 3},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"call_1\","
     "\"content\":\"15 C\"}]}",
     4, 4},
    /* the same thinking under three names counts once: the longest */
    {ASSISTANT("\"content\":\"x\",\"reasoning\":\"hmmm\",\"reasoning_content\":\"hmmmm\","
               "\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":"
               "\"c2ln\",\"format\":\"f\",\"index\":0,\"id\":null}]"),
     6, 6},
    {ASSISTANT("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"b3BhcXVl\"},"
               "{\"type\":\"reasoning.summary\",\"summary\":\"s\"}],\"reasoning\":\"ab\""),
     9, 9},
    /* tools as they are written */
    {REQUEST(",\"tools\":[{\"type\" : \"function\"}]"), 2 + 21, 2 + 21},
    {REQUEST(",\"functions\":[{\"name\":\"f\"}]"), 2 + 12, 2 + 12},
    /* payloads are not text */
    {CONTENT("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\","
             "\"detail\":\"low\"}}," TEXT("what?")),
     5, 5},
    {CONTENT("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}"),
     0, 0},
    {CONTENT("{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
             "\"data:application/pdf;base64,AAAA\"}}"),
     5, 5},
    /* what is not known counts as it is written */
    {CONTENT("{\"type\":\"new\",\"stuff\":{\"a\": 1}}"), 8, 8},
    {CONTENT("\"bare\",7,null"), 5, 5},
    {ASSISTANT("\"prefix\":true"), 4, 4},
};

START_TEST(what_counts_as_text)
{
    for (size_t i = 0; i < ROWS(sizes); i++) {
        take(sizes[i].json);
        ck_assert_msg(chat.prompt_bytes == sizes[i].bytes, "%s: %lld bytes", sizes[i].json,
                      (long long)chat.prompt_bytes);
        ck_assert_msg(chat.prompt_chars == sizes[i].chars, "%s: %lld characters", sizes[i].json,
                      (long long)chat.prompt_chars);
    }
}
END_TEST

#define IMAGE "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}"
#define PDF "{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,AAAABBBB\"}}"
#define AUDIO "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAABBBBCCCC\"}}"

START_TEST(images_files_and_audio)
{
    take(CONTENT(IMAGE "," TEXT("x") "," IMAGE));
    ck_assert(chat.needs == NEED_IMAGES && chat.n_images == 2 && chat.n_documents == 0);
    take(CONTENT(PDF "," IMAGE));
    ck_assert_uint_eq(chat.needs, NEED_IMAGES | NEED_DOCUMENTS);
    ck_assert(chat.n_documents == 1 && chat.document_bytes == 6);
    take(CONTENT("{\"type\":\"file\",\"file\":{\"file_data\":\"AAAABBBB\"}}"));
    ck_assert_int_eq(chat.document_bytes, 6);
    ck_assert(!chat.sounds && !chat.speaks && chat.audio_bytes == 0);
    take(CONTENT(AUDIO));
    ck_assert(chat.needs == NEED_AUDIO && chat.n_documents == 0 && chat.document_bytes == 9);
    ck_assert(chat.sounds && !chat.speaks && chat.audio_bytes == 9);
    /* in a format that has many bytes for a token */
    take(CONTENT("{\"type\":\"input_audio\",\"input_audio\":{\"format\":\"mp3\",\"data\":\""
                 "AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKK\"}}," PDF));
    ck_assert(chat.audio_bytes == 33 / CHAT_SOUND_DENSITY + 1);
    ck_assert_int_eq(chat.document_bytes, chat.audio_bytes + 6);
    take(CONTENT("{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}"));
    ck_assert_str_eq(chat.pinned_state, "file-1");
    ck_assert_str_eq(chat.pinned_field, "file.file_id");
    refuse(CONTENT("{\"type\":\"file\",\"file\":{\"file_id\":\"\"}}"),
           "messages[0].content[0].file.file_id", "an id");
    /* words in text are no parts */
    take(CONTENT(TEXT("{\\\"type\\\":\\\"image_url\\\"}")));
    ck_assert_uint_eq(chat.needs, 0);
}
END_TEST

/* OpenRouter's plugin and xAI's live search are tools that the provider runs. */
START_TEST(searches_by_other_names)
{
    static const struct {
        const char *json;
        int64_t uses;
        const char *tool; /* NULL: none */
    } cases[] = {
        {",\"plugins\":[{\"id\":\"web\"}]", -1, "web_search_plugin"},
        {",\"plugins\":[{\"id\":\"file-parser\"},3,{\"id\":\"web\",\"max_results\":2}]", -1,
         "web_search_plugin"},
        {",\"plugins\":[{\"id\":\"web\",\"enabled\":false}]", 0, NULL},
        {",\"plugins\":[{\"id\":\"file-parser\"}]", 0, NULL},
        {",\"plugins\":[{\"id\":\"file-parser\",\"pdf\":{\"engine\":\"native\"}}]", 0, NULL},
        {",\"plugins\":[{\"id\":\"file-parser\",\"pdf\":{\"engine\":\"mistral-ocr\"}}]", 0,
         "file-parser_plugin"},
        {",\"plugins\":[{\"id\":\"response-healing\"},{\"id\":7},{}]", 0, NULL},
        {",\"plugins\":[{\"id\":\"fusion\",\"analysis_models\":[\"x/opus\"]}]", 0, "fusion_plugin"},
        {",\"plugins\":[{\"id\":\"fusion\",\"enabled\":false}]", 0, NULL},
        {",\"plugins\":[]", 0, NULL},
        {",\"plugins\":7", 0, NULL},
        {",\"search_parameters\":{}", 20, "web_search_parameters"},
        {",\"search_parameters\":{\"mode\":\"on\",\"max_search_results\":3}", 3,
         "web_search_parameters"},
        {",\"search_parameters\":{\"mode\":\"off\"}", 0, NULL},
        {",\"search_parameters\":null", 0, NULL},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char body[256];
        snprintf(body, sizeof(body), REQUEST("%s"), cases[i].json);
        take(body);
        ck_assert_msg(chat.web_search_uses == cases[i].uses, "%s", cases[i].json);
        ck_assert_int_eq(chat.n_server_tools, cases[i].tool != NULL);
        ck_assert_str_eq(chat.own_tool, cases[i].tool != NULL ? cases[i].tool : "");
        ck_assert_int_eq((chat.needs & NEED_SERVER_TOOLS) != 0, cases[i].tool != NULL);
        ck_assert(cases[i].tool == NULL || strcmp(chat.server_tools[0], cases[i].tool) == 0);
        ck_assert_int_eq(chat.web_plugin, cases[i].uses == -1);
    }
    refuse(REQUEST(",\"search_parameters\":{\"max_search_results\":-1}"),
           "search_parameters.max_search_results", "an integer of 0 or more");
    refuse(REQUEST(",\"plugins\":[{\"id\":\"web\",\"id\":\"x\"}]"), "plugins[0].id", "");
    refuse(
        REQUEST(",\"plugins\":[{\"id\":\"file-parser\",\"pdf\":{\"engine\":\"native\",\"engine\":"
                "\"mistral-ocr\"}}]"),
        "plugins[0].pdf.engine", "");
    refuse(
        REQUEST(",\"plugins\":[{\"id\":\"12345678901234567890123456789012345678901234567890123456"
                "7\"}]"),
        "plugins[0].id", "at most 56 bytes");
}
END_TEST

/* Where sound may be billed as such: an answer, what was said before, a film. */
START_TEST(sound)
{
    static const struct {
        const char *json;
        bool sounds, speaks;
    } cases[] = {
        {REQUEST(",\"modalities\":[\"text\",\"audio\"]"), false, true},
        {REQUEST(",\"audio\":{\"voice\":\"a\",\"format\":\"wav\"}"), false, true},
        {REQUEST(",\"modalities\":[\"text\"],\"audio\":null"), false, false},
        {REQUEST(",\"modalities\":\"audio\""), false, false},
        {ASSISTANT("\"audio\":{\"id\":\"audio_1\"}"), true, false},
        {ASSISTANT("\"content\":\"x\",\"audio\":null"), false, false},
        {CONTENT("{\"type\":\"file\",\"file\":{\"file_data\":\"data:video/mp4;base64,AAAA\"}}"),
         true, false},
        {CONTENT("{\"type\":\"file\",\"file\":{\"file_data\":\"data:audio/ogg;base64,AAAA\"}}"),
         true, false},
        {CONTENT(PDF), false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        take(cases[i].json);
        ck_assert_msg(chat.sounds == cases[i].sounds && chat.speaks == cases[i].speaks, "%s",
                      cases[i].json);
    }
}
END_TEST

/* ---- thinking of other protocols ---- */

START_TEST(foreign_thinking)
{
    static const struct {
        const char *json;
        bool foreign;
    } cases[] = {
        {REQUEST(""), false},
        {ASSISTANT("\"reasoning_details\":[{\"signature\":\"c2ln\"}]"), false},
        {ASSISTANT("\"reasoning_details\":[{\"signature\":\"wf:gemini:c2ln\"}]"), true},
        {ASSISTANT("\"reasoning_details\":[{},{\"data\":\"wf:gemini:c2ln\"}]"), true},
        {ASSISTANT("\"content\":\"wf:gemini:c2ln\""), false},
        {ASSISTANT("\"tool_calls\":[{\"id\":\"c1\"}]"), false},
        {ASSISTANT("\"tool_calls\":[{\"id\":\"c1_wfsig_Z2VtaW5pOmE\"}]"), true},
        {ASSISTANT("\"tool_call_id\":\"c1_wfsig_Z2VtaW5pOmE\""), true},
    };
    static const struct {
        const char *json;
        bool foreign;
    } anthropic[] = {
        {CONTENT("{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"c2ln\"}"), false},
        {CONTENT("{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"wf:openai:\"}"), true},
        {CONTENT("{\"type\":\"redacted_thinking\",\"data\":\"wf:openai:c2ln\"}"), true},
        {CONTENT(TEXT("wf:openai:")), false},
        {CONTENT("{\"type\":\"tool_use\",\"id\":\"c1_wfsig_Z2VtaW5pOmE\"}"), true},
        {CONTENT("{\"type\":\"tool_result\",\"tool_use_id\":\"c1_wfsig_Z2VtaW5pOmE\"}"), true},
        {CONTENT("{\"type\":\"tool_use\",\"id\":\"c1\"}"), false},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        take(cases[i].json);
        ck_assert_msg(chat.foreign_thinking == cases[i].foreign, "%s", cases[i].json);
    }
    for (size_t i = 0; i < ROWS(anthropic); i++) {
        good(anthropic[i].json);
        ck_assert_msg(chat.foreign_thinking == anthropic[i].foreign, "%s", anthropic[i].json);
    }
}
END_TEST

/* ---- the forwarded body ---- */

static void gather(void *ctx, struct span piece)
{
    buf_add_span(ctx, piece);
}

static void sends(const char *json, const char *want)
{
    struct buf out;
    buf_init(&out, 4096);
    chat_pieces(&chat, SPAN(NEW_MODEL), gather, &out);
    ck_assert_msg(strcmp(out.ptr, want) == 0, "%s\n%s", json, out.ptr);
    buf_done(&out);
}

START_TEST(forwarded_as_received)
{
    static const struct {
        const char *body, *want;
    } cases[] = {
        {" { \"messages\" : [ {} ] , \"model\" : \"a:floor\" } \n",
         " { \"messages\" : [ {} ] , \"model\" : " NEW_MODEL " } \n"},
        {"{\"model\":\"a\",\"usage\":{\"include\":true},\"provider\":{\"order\":[\"x\"]},"
         "\"messages\":[{}],\"models\":[\"b\"],\"transforms\":[]}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}],\"transforms\":[]}"},
        {"{\"model\":\"a\",\"messages\":[{}],\"temperature\":1.0e0,\"usage\":null}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}],\"temperature\":1.0e0}"},
        /* A tier of other prices than those that are held is not asked for. */
        {"{\"model\":\"a\",\"service_tier\":\"priority\",\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}]}"},
        {"{\"model\":\"a\",\"service_tier\":\"auto\",\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL ",\"service_tier\":\"auto\",\"messages\":[{}]}"},
        /* only at the top it is OpenRouter's */
        {"{\"model\":\"a\",\"messages\":[{\"usage\":1}],\"x\":{\"usage\":2}}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{\"usage\":1}],\"x\":{\"usage\":2}}"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        take(cases[i].body);
        sends(cases[i].body, cases[i].want);
    }
}
END_TEST

START_TEST(a_stream_made_to_state_its_usage)
{
    static const struct {
        const char *more, *want;
    } cases[] = {
        {"", ",\"stream_options\":{\"include_usage\":true},\"messages\":[{}],\"stream\":true}"},
        {",\"stream_options\":null",
         ",\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {",\"stream_options\":{ }",
         ",\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\":true }}"},
        {",\"stream_options\":{\"include_obfuscation\":false}",
         ",\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\":true,"
         "\"include_obfuscation\":false}}"},
        {",\"stream_options\":{\"include_usage\" : false}",
         ",\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\" : true}}"},
        {",\"stream_options\":{\"include_usage\":null}",
         ",\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {",\"stream_options\":{\"include_usage\":true}",
         ",\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char body[256], want[256];
        snprintf(body, sizeof(body),
                 "{\"model\":\"a\",\"messages\":[{}],\"stream\":true%s,\"provider_zdr\":false}",
                 cases[i].more);
        snprintf(want, sizeof(want), "{\"model\":" NEW_MODEL "%s", cases[i].want);
        take(body);
        chat_send_stream_options(&chat, true);
        sends(body, want);
        bool asked = chat.include_usage;
        ck_assert(asked == (strstr(cases[i].more, "true") != NULL));
        snprintf(want, sizeof(want),
                 "{\"model\":" NEW_MODEL ",\"messages\":[{}],\"stream\":true%s}", cases[i].more);
        chat_send_stream_options(&chat, false);
        sends(body, want);
    }
    /* no stream: OpenAI refuses stream_options there */
    take("{\"model\":\"a\",\"messages\":[{}]}");
    chat_send_stream_options(&chat, true);
    sends("no stream", "{\"model\":" NEW_MODEL ",\"messages\":[{}]}");
}
END_TEST

START_TEST(another_limit_under_either_name)
{
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{\"model\":\"a\",\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL ",\"max_completion_tokens\":77,\"messages\":[{}]}"},
        {"{\"max_tokens\":9,\"model\":\"a\",\"messages\":[{}]}",
         "{\"max_tokens\":77,\"model\":" NEW_MODEL ",\"messages\":[{}]}"},
        {"{\"model\":\"a\",\"messages\":[{}],\"max_completion_tokens\":9}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}],\"max_completion_tokens\":77}"},
        {"{\"model\":\"a\",\"max_tokens\":9,\"messages\":[{}],\"max_completion_tokens\":9}",
         "{\"model\":" NEW_MODEL
         ",\"max_tokens\":77,\"messages\":[{}],\"max_completion_tokens\":77}"},
        {"{\"model\":\"a\",\"max_completion_tokens\":9,\"max_tokens\":null,\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL
         ",\"max_completion_tokens\":77,\"max_tokens\":77,\"messages\":[{}]}"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        take(cases[i].body);
        chat.max_tokens_name = "max_completion_tokens";
        chat_send_max_tokens(&chat, 77);
        sends(cases[i].body, cases[i].want);
    }
}
END_TEST

/* ---- prefixes ---- */

#define MESSAGES(list) "{\"model\":\"m\",\"messages\":[" list "]}"
#define SYSTEM_TEXT "{\"role\":\"system\",\"content\":\"Be brief.\"}"
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ANSWER(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define CALL                                                                                       \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"            \
    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"
#define RESULT "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"15\"}"

/* Nothing is marked: what a provider caches by itself is believed to be all there is. */
START_TEST(implicit_prefixes)
{
    take(MESSAGES(SYSTEM_TEXT "," USER("a")));
    ck_assert_int_eq(chat.n_prefixes, 2);
    ck_assert(!chat.cache_write_5m && !chat.cache_write_1h);
    struct chat_prefix instructions = chat.prefixes[0], turn = chat.prefixes[1];
    ck_assert_int_eq(instructions.bytes, 9);
    ck_assert_int_eq(turn.bytes, 10);
    /* another conversation with the same instructions */
    take(MESSAGES(SYSTEM_TEXT "," USER("b")));
    ck_assert_uint_eq(chat.prefixes[0].hash, instructions.hash);
    ck_assert_uint_ne(chat.prefixes[1].hash, turn.hash);
    /* the next turns of this one */
    take(MESSAGES(SYSTEM_TEXT "," USER("a") "," CALL "," RESULT));
    ck_assert_uint_eq(chat.prefixes[0].hash, instructions.hash);
    ck_assert_int_eq(chat.n_lookback, 3);
    ck_assert_uint_eq(chat.lookback[1].hash, turn.hash);
    ck_assert_int_eq(chat.lookback[1].bytes, turn.bytes);
    /* no instructions: one prefix */
    take(MESSAGES(USER("a")));
    ck_assert_int_eq(chat.n_prefixes, 1);
    /* nothing but instructions: likewise */
    take(MESSAGES(SYSTEM_TEXT));
    ck_assert_int_eq(chat.n_prefixes, 1);
    ck_assert_int_eq(chat.n_lookback, 0);
}
END_TEST

/* A conversation is known by its instructions and first message, how far it is by its answers; one
 * that is to be continued (prefill) is none. */
START_TEST(conversations)
{
    static const char *const same[] = {
        MESSAGES(SYSTEM_TEXT "," USER("a")),
        MESSAGES(SYSTEM_TEXT "," USER("a") "," ANSWER("b")),
        MESSAGES(SYSTEM_TEXT "," USER("a") "," CALL "," RESULT),
        MESSAGES(SYSTEM_TEXT "," USER("a") "," CALL "," RESULT "," ANSWER("b") "," USER("c")),
    };
    static const int answers[] = {0, 0, 1, 2};
    static const char *const other[] = {MESSAGES(USER("a")), MESSAGES(SYSTEM_TEXT "," USER("b")),
                                        MESSAGES(SYSTEM_TEXT "," ANSWER("a"))};
    take(same[0]);
    uint64_t talk = chat.talk;
    ck_assert_uint_ne(talk, 0);
    for (size_t i = 0; i < ROWS(same); i++) {
        take(same[i]);
        ck_assert_msg(chat.talk == talk, "%s", same[i]);
        ck_assert_msg(chat.n_answers == answers[i], "%s", same[i]);
    }
    for (size_t i = 0; i < ROWS(other); i++) {
        take(other[i]);
        ck_assert_msg(chat.talk != talk, "%s", other[i]);
    }
}
END_TEST

static uint64_t last_hash(const char *json)
{
    take(json);
    ck_assert_msg(chat.n_prefixes > 0, "%s", json);
    return chat.prefixes[chat.n_prefixes - 1].hash;
}

#define MARK "\"cache_control\":{\"type\":\"ephemeral\"}"

START_TEST(equal_prefixes_have_equal_hashes)
{
    static const char *const equal[] = {
        MESSAGES(SYSTEM_TEXT "," USER("a")),
        "{\"stream\":true,\"messages\":[" SYSTEM_TEXT " , " USER("a") "],\"model\":\"other\"}",
        MESSAGES(SYSTEM_TEXT ",{\"role\":\"user\",\"content\":[" TEXT("a") "]}"),
        MESSAGES(SYSTEM_TEXT ",{\"role\":\"user\",\"content\":[" CACHED("a") "]}"),
        MESSAGES(SYSTEM_TEXT ",{\"role\":\"user\",\"content\":\"a\"," MARK "}"),
        MESSAGES(SYSTEM_TEXT ",{\"role\":\"user\",\"content\":[" CACHED("a") "]}," USER("b")),
        "{\"model\":\"m\",\"messages\":[" SYSTEM_TEXT "," USER("a") "]," MARK "}",
    };
    static const char *const other[] = {
        MESSAGES(SYSTEM_TEXT "," USER("b")),
        MESSAGES(SYSTEM_TEXT "," USER("a") "," USER("a")),
        MESSAGES(USER("Be brief.") "," USER("a")),
        MESSAGES(SYSTEM_TEXT ",{\"role\":\"user\",\"name\":\"x\",\"content\":\"a\"}"),
        "{\"model\":\"m\",\"tools\":[{}],\"messages\":[" SYSTEM_TEXT "," USER("a") "]}",
    };
    uint64_t want = last_hash(equal[0]);
    for (size_t i = 1; i < ROWS(equal); i++)
        ck_assert_msg(last_hash(equal[i]) == want, "%s", equal[i]);
    for (size_t i = 0; i < ROWS(other); i++)
        ck_assert_msg(last_hash(other[i]) != want, "%s", other[i]);
    ck_assert_uint_ne(last_hash(MESSAGES(CALL)),
                      last_hash(MESSAGES("{\"role\":\"assistant\",\"content\":null}")));
}
END_TEST

START_TEST(marked_prefixes)
{
    static const struct {
        const char *json;
        int n;
        bool five_minutes, one_hour;
    } cases[] = {
        {MESSAGES("{\"role\":\"system\",\"content\":[" CACHED("s") "]}," USER("a")), 1, true,
         false},
        {MESSAGES("{\"role\":\"system\",\"content\":\"s\"," MARK "}," USER("a")), 1, true, false},
        {MESSAGES("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
                  "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}"),
         1, false, true},
        {"{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{}," MARK
         "},{\"type\":\"function\",\"function\":{" MARK "}}],\"messages\":[" USER("a") "]}",
         2, true, false},
        {MESSAGES("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{}," MARK
                  "}]}," USER("a")),
         1, true, false},
        {MESSAGES("{\"role\":\"user\",\"content\":\"a\",\"cache_control\":null}"), 1, false, false},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        take(cases[i].json);
        ck_assert_msg(chat.n_prefixes == cases[i].n, "%s: %d", cases[i].json, chat.n_prefixes);
        ck_assert_msg(chat.cache_write_5m == cases[i].five_minutes, "%s", cases[i].json);
        ck_assert_msg(chat.cache_write_1h == cases[i].one_hour, "%s", cases[i].json);
    }
    /* a marked message with tool calls: behind the calls */
    take(MESSAGES("{\"role\":\"assistant\",\"content\":\"ab\"," MARK
                  ",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"));
    ck_assert_int_eq(chat.prefixes[0].bytes, 5);
}
END_TEST

Suite *chat_openai_suite(void);
Suite *chat_openai_suite(void)
{
    Suite *s = suite_create("chat_openai");
    TCase *t = tcase_create("chat_openai");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bad_bodies);
    tcase_add_test(t, members_are_given_once);
    tcase_add_test(t, state_of_a_provider);
    tcase_add_test(t, open_lists_pass);
    tcase_add_test(t, words_of_openrouter);
    tcase_add_test(t, parameters);
    tcase_add_test(t, settings);
    tcase_add_test(t, routing);
    tcase_add_test(t, needs_and_server_tools);
    tcase_add_test(t, what_counts_as_text);
    tcase_add_test(t, images_files_and_audio);
    tcase_add_test(t, searches_by_other_names);
    tcase_add_test(t, sound);
    tcase_add_test(t, foreign_thinking);
    tcase_add_test(t, forwarded_as_received);
    tcase_add_test(t, a_stream_made_to_state_its_usage);
    tcase_add_test(t, another_limit_under_either_name);
    tcase_add_test(t, implicit_prefixes);
    tcase_add_test(t, conversations);
    tcase_add_test(t, equal_prefixes_have_equal_hashes);
    tcase_add_test(t, marked_prefixes);
    suite_add_tcase(s, t);
    return s;
}
