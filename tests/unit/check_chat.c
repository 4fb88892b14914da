/* Unit tests of schema/chat.c, chat_tools.c and chat_anthropic.c: what a request asks
 * for, and how it is forwarded.  Its size is tested in check_chat_prompt.c. */
#include "tests/unit/chat_case.h"

/* ---- what is refused ---- */

static const struct {
    const char *json, *mention;
} refused[] = {
    /* the frame */
    {"[]", "the body must be an object"},
    {"null", "the body must be an object"},
    {"\"m\"", "the body must be an object"},
    {"{}", "model is required"},
    {"{\"model\":\"m\"}", "messages is required"},
    {"{\"messages\":[{}]}", "model is required"},
    {"{\"model\":\"m\",\"messages\":[]}", "messages must not be empty"},
    {"{\"model\":\"m\",\"messages\":null}", "messages is required"},
    {"{\"model\":\"m\",\"messages\":{}}", "messages must be an array"},
    {"{\"model\":\"m\",\"messages\":\"hi\"}", "messages must be an array"},
    {"{\"model\":\"m\",\"messages\":[\"hi\"]}", "messages[0] must be an object"},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\"},3]}", "messages[1] must be an object"},
    /* names of models */
    {"{\"model\":null,\"messages\":[{}]}", "model is required"},
    {"{\"model\":\"\",\"messages\":[{}]}", "model must be the name of a model"},
    {"{\"model\":5,\"messages\":[{}]}", "model must be the name of a model"},
    {"{\"model\":[\"m\"],\"messages\":[{}]}", "model must be"},
    {"{\"model\":{},\"messages\":[{}]}", "model must be"},
    {"{\"model\":true,\"messages\":[{}]}", "model must be"},
    {"{\"model\":\"a\\u0000b\",\"messages\":[{}]}", "model must be"},
    {"{\"model\":\"\\udc00\",\"messages\":[{}]}", "model must be"},
    {"{\"model\":\":floor\",\"messages\":[{}]}", "before its suffix"},
    {REQUEST(",\"models\":\"a\""), "models must be an array"},
    {REQUEST(",\"models\":{}"), "models must be an array"},
    {REQUEST(",\"models\":1"), "models must be an array"},
    {REQUEST(",\"models\":true"), "models must be an array"},
    {REQUEST(",\"models\":[1]"), "models[0] must be"},
    {REQUEST(",\"models\":[\"a\",\"\"]"), "models[1] must be"},
    {REQUEST(",\"models\":[null]"), "models[0] must be"},
    {REQUEST(",\"models\":[[\"a\"]]"), "models[0] must be"},
    {REQUEST(",\"models\":[\":nitro\"]"), "models[0] must be"},
    /* types of what is read */
    {REQUEST(",\"stream\":1"), "stream must be true or false; got 1"},
    {REQUEST(",\"stream\":\"true\""), "stream must be"},
    {REQUEST(",\"stream\":{}"), "stream must be"},
    {REQUEST(",\"max_tokens\":-1"), "max_tokens must be an integer from 0"},
    {REQUEST(",\"max_tokens\":1.5"), "max_tokens must be"},
    {REQUEST(",\"max_tokens\":1e3"), "max_tokens must be"},
    {REQUEST(",\"max_tokens\":\"5\""), "max_tokens must be"},
    {REQUEST(",\"max_tokens\":true"), "max_tokens must be"},
    {REQUEST(",\"max_tokens\":[]"), "max_tokens must be"},
    {REQUEST(",\"max_tokens\":9007199254740993"), "max_tokens must be"},
    {REQUEST(",\"max_tokens\":99999999999999999999"), "max_tokens must be"},
    {REQUEST(",\"tools\":{}"), "tools must be an array"},
    {REQUEST(",\"tools\":\"x\""), "tools must be an array"},
    {REQUEST(",\"system\":{}"), "system must be"},
    {REQUEST(",\"system\":1"), "system must be"},
    {REQUEST(",\"stop_sequences\":\"x\""), "stop_sequences must be"},
    {REQUEST(",\"stop_sequences\":{}"), "stop_sequences must be"},
    {REQUEST(",\"tool_choice\":\"auto\""), "tool_choice must be"},
    {REQUEST(",\"thinking\":true"), "thinking must be"},
    {REQUEST(",\"thinking\":\"adaptive\""), "thinking must be"},
    {REQUEST(",\"output_config\":[]"), "output_config must be"},
    {REQUEST(",\"cache_control\":\"ephemeral\""), "cache_control must be"},
    {REQUEST(",\"container\":1"), "container must be"},
    {REQUEST(",\"container\":\"\""), "container must be"},
    {REQUEST(",\"container\":{\"id\":1}"), "container.id must be"},
    {REQUEST(",\"thread\":\"create\""), "thread must be"},
    {REQUEST(",\"thread\":{\"type\":\"continue\",\"previous_message_id\":1}"),
     "thread.previous_message_id must be"},
    {REQUEST(",\"previous_message_id\":1"), "previous_message_id must be"},
    {REQUEST(",\"mcp_servers\":{}"), "mcp_servers must be"},
    {REQUEST(",\"metadata\":[]"), "metadata must be"},
    {REQUEST(",\"speed\":true"), "speed must be a string"},
    {REQUEST(",\"speed\":\"\""), "speed must be a word of 1 to 15 bytes"},
    {REQUEST(",\"speed\":\"fa\\u0000st\""), "speed must be a word"},
    {REQUEST(",\"inference_geo\":[\"us\"]"), "inference_geo must be a string"},
    {REQUEST(",\"inference_geo\":\"sixteen-bytes-xx\""), "inference_geo must be a word"},
    {REQUEST(",\"tools\":[{\"type\":1}]"), "tools[0].type must be"},
    {REQUEST(",\"tools\":[{},{\"type\":\"custom\",\"type\":\"bash_20250124\"}]"),
     "tools[1].type is given twice"},
    {REQUEST(",\"tools\":[{\"type\":\"web_search_1\",\"max_uses\":1,\"max_uses\":9}]"),
     "tools[0].max_uses is given twice"},
    {REQUEST(",\"thinking\":{\"type\":\"disabled\",\"type\":\"enabled\"}"), "thinking.type is"},
    {REQUEST(",\"tool_choice\":{\"type\":\"auto\",\"type\":\"any\"}"), "tool_choice.type is"},
    {REQUEST(",\"output_config\":{\"effort\":\"low\",\"effort\":\"max\"}"), "output_config.effort"},
    {REQUEST(",\"output_config\":{\"format\":{},\"format\":null}"), "output_config.format"},
    {REQUEST(",\"metadata\":{\"user_id\":\"a\",\"user_id\":\"b\"}"), "metadata.user_id"},
    {REQUEST(",\"thread\":{\"type\":\"create\",\"type\":\"continue\"}"), "thread.type"},
    {REQUEST(",\"container\":{\"id\":\"a\",\"id\":\"b\"}"), "container.id"},
    {REQUEST(",\"cache_control\":{\"ttl\":\"5m\",\"ttl\":\"1h\"}"), "cache_control.ttl"},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"content\":\"b\"}]}",
     "messages[0].content is given twice"},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"role\":\"system\"}]}",
     "messages[0].role is given twice"},
    {CONTENT(TEXT("x") ",{\"type\":\"text\",\"text\":\"a\",\"text\":\"b\"}"),
     "messages[0].content[1].text is given twice"},
    {CONTENT("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"type\":\"base64\"}}"),
     "messages[0].content[0].source.type"},
    {CONTENT("{\"type\":\"tool_result\",\"content\":[{\"type\":\"text\",\"type\":\"image\"}]}"),
     "messages[0].content[0].content[0].type"},
    {CONTENT("{\"type\":\"text\",\"te\\u0078t\":\"a\",\"text\":\"b\"}"), "is given twice"},
    /* routing fields */
    {REQUEST(",\"provider_sort\":\"cheap\""), "provider_sort must be one of price"},
    {REQUEST(",\"provider_foo\":1"), "provider_foo is not a routing field"},
    {REQUEST(",\"provider\":{\"foo\":1}"), "provider.foo"},
    {REQUEST(",\"provider\":{},\"provider\":{}"), "provider is given twice"},
    {REQUEST(",\"session_id\":\"a\",\"session_id\":\"b\""), "session_id is given twice"},
};

START_TEST(bad_bodies)
{
    for (size_t i = 0; i < ROWS(refused); i++)
        bad(refused[i].json, refused[i].mention);
}
END_TEST

/* `more` members beside the two that must be there. */
static int read_members(int more)
{
    struct buf b;
    buf_init(&b, 1024 * 1024);
    buf_adds(&b, REQUEST(""));
    b.len--;
    for (int i = 0; i < more; i++)
        buf_addf(&b, ",\"k%d\":%d", i, i);
    ck_assert(buf_addc(&b, '}'));
    int rc = read_text(buf_span(&b), false);
    buf_done(&b);
    return rc;
}

START_TEST(members_have_a_maximum)
{
    ck_assert_int_eq(read_members(CHAT_MEMBERS_MAX - 2), 0);
    ck_assert_int_eq(read_members(CHAT_MEMBERS_MAX - 1), -1);
    ck_assert_int_eq(fault.code, ERR_bad_request);
    ck_assert_str_eq(fault.text, "the body has more than 1024 members");
}
END_TEST

START_TEST(top_members_are_given_once)
{
    static const char *const names[] = {"model",       "models",        "messages",
                                        "system",      "tools",         "tool_choice",
                                        "stream",      "max_tokens",    "stop_sequences",
                                        "temperature", "top_p",         "top_k",
                                        "thinking",    "output_config", "output_format",
                                        "container",   "thread",        "cache_control",
                                        "mcp_servers", "metadata",      "previous_message_id",
                                        "speed",       "inference_geo", "service_tier"};
    char body[512], want[64];
    for (size_t i = 0; i < ROWS(names); i++) {
        snprintf(body, sizeof(body), "{\"%s\":null,\"x\":1,\"%s\":null,\"messages\":[{}]}",
                 names[i], names[i]);
        snprintf(want, sizeof(want), "%s is given twice", names[i]);
        bad(body, want);
        ck_assert_str_eq(fault.field, names[i]);
    }
}
END_TEST

/* What Wayfare does not read is the provider's business, however odd. */
START_TEST(open_lists_pass)
{
    static const char *const bodies[] = {
        REQUEST(",\"safeguards\":{\"a\":[1,2]},\"x\":null,\"x\":2"),
        REQUEST(",\"context_management\":{\"edits\":[]},\"service_tier\":7,\"speed\":\"fast\""),
        REQUEST(",\"temperature\":\"hot\",\"top_p\":{},\"top_k\":-1"),
        REQUEST(",\"stop_sequences\":[1,null],\"thinking\":{\"type\":\"between_tools\"}"),
        REQUEST(",\"tools\":[1,\"a\",null,[],{}]"),
        REQUEST(",\"system\":[1,\"a\",null,[],{},{\"type\":\"new\",\"x\":{}}]"),
        REQUEST(",\"fallbacks\":[{\"model\":\"x\"}],\"fallbacks\":\"default\""),
        REQUEST(",\"stream\":null,\"max_tokens\":null,\"tools\":null,\"system\":null"),
        REQUEST(",\"thread\":null,\"container\":null,\"metadata\":null,\"thinking\":null"),
        REQUEST(",\"thread\":{},\"container\":{\"skills\":[]},\"metadata\":{\"user_id\":5}"),
        REQUEST(",\"thread\":{\"type\":7}"),
        REQUEST(",\"models\":null,\"models_x\":1,\"cache_control\":{}"),
        REQUEST(",\"mcp_servers\":[],\"tool_choice\":{}"),
        "{\"model\":\"m\",\"messages\":[{}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":7,\"content\":null}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":5,\"x\":1,\"x\":2}]}",
        "{\"model\":\"m\",\"messages\":[{\"content\":{\"type\":\"text\",\"text\":\"a\"}}]}",
        CONTENT("1,null,\"a\",[],{},{\"type\":7},{\"text\":[]},{\"content\":7}"),
        CONTENT("{\"type\":\"image\"},{\"type\":\"image\",\"source\":null}"),
        CONTENT("{\"type\":\"document\",\"source\":\"x\"},{\"type\":\"document\",\"source\":[]}"),
        CONTENT("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":\"x\"}"),
        CONTENT("{\"type\":\"text\",\"text\":\"\\ud800\"}"),
    };
    for (size_t i = 0; i < ROWS(bodies); i++)
        good(bodies[i]);
}
END_TEST

/* ---- models ---- */

START_TEST(names_and_suffixes)
{
    static const struct {
        const char *written, *name;
        enum chat_suffix suffix;
    } cases[] = {
        {"claude-opus-5-5", "claude-opus-5-5", SUFFIX_NONE},
        {"anthropic/claude-sonnet-4.5:floor", "anthropic/claude-sonnet-4.5", SUFFIX_FLOOR},
        {"m:nitro", "m", SUFFIX_NITRO},
        {"m:free", "m:free", SUFFIX_NONE},
        {"m:thinking", "m:thinking", SUFFIX_NONE},
        {"m:free:floor", "m:free", SUFFIX_FLOOR},
        {"m:floor:nitro", "m:floor", SUFFIX_NITRO},
        {"m:floor:free", "m:floor:free", SUFFIX_NONE},
        {"m:Floor", "m:Floor", SUFFIX_NONE},
        {"floor", "floor", SUFFIX_NONE},
        {"m\\u003afloor", "m", SUFFIX_FLOOR},
        {"\xc3\xa9\\/x", "\xc3\xa9/x", SUFFIX_NONE},
    };
    char body[512];
    for (size_t i = 0; i < ROWS(cases); i++) {
        snprintf(body, sizeof(body), "{\"model\":\"%s\",\"messages\":[{}]}", cases[i].written);
        good(body);
        ck_assert_int_eq(chat.n_models, 1);
        ck_assert_str_eq(chat.models[0].name, cases[i].name);
        ck_assert_int_eq(chat.models[0].suffix, cases[i].suffix);
    }
}
END_TEST

START_TEST(fallback_models)
{
    good("{\"models\":[\"b:nitro\",\"a\",\"c\",\"b\",\"c:floor\"],\"model\":\"a:floor\","
         "\"messages\":[{}]}");
    ck_assert_int_eq(chat.n_models, 3);
    ck_assert_str_eq(chat.models[0].name, "a");
    ck_assert_int_eq(chat.models[0].suffix, SUFFIX_FLOOR);
    ck_assert_str_eq(chat.models[1].name, "b");
    ck_assert_int_eq(chat.models[1].suffix, SUFFIX_NITRO);
    ck_assert_str_eq(chat.models[2].name, "c");
    ck_assert_int_eq(chat.models[2].suffix, SUFFIX_NONE);
    good(REQUEST(",\"models\":[]"));
    ck_assert_int_eq(chat.n_models, 1);
}
END_TEST

static void fill_models(char *body, size_t cap, int n)
{
    size_t len = (size_t)snprintf(body, cap, "{\"model\":\"m\",\"messages\":[{}],\"models\":[");
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(body + len, cap - len, "%s\"m%d\"", i > 0 ? "," : "", i);
    snprintf(body + len, cap - len, "]}");
}

START_TEST(sizes_of_names_and_lists)
{
    char body[1024], name[300];
    fill_models(body, sizeof(body), CHAT_MODELS_MAX - 1);
    good(body);
    ck_assert_int_eq(chat.n_models, CHAT_MODELS_MAX);
    fill_models(body, sizeof(body), CHAT_MODELS_MAX);
    bad(body, "models must be an array of at most 31");
    memset(name, 'n', sizeof(name));
    snprintf(body, sizeof(body), "{\"model\":\"%.255s\",\"messages\":[{}]}", name);
    good(body);
    ck_assert_uint_eq(strlen(chat.models[0].name), 255);
    snprintf(body, sizeof(body), "{\"model\":\"%.256s\",\"messages\":[{}]}", name);
    bad(body, "model must be");
}
END_TEST

/* ---- settings ---- */

START_TEST(stream_and_max_tokens)
{
    good(REQUEST(""));
    ck_assert(!chat.stream);
    ck_assert_int_eq(chat.max_tokens, -1);
    ck_assert_uint_eq(chat.params, 0);
    good(REQUEST(",\"stream\":true,\"max_tokens\":0"));
    ck_assert(chat.stream);
    ck_assert_int_eq(chat.max_tokens, 0);
    good(REQUEST(",\"stream\":false,\"max_tokens\":9007199254740992"));
    ck_assert(!chat.stream);
    ck_assert_int_eq(chat.max_tokens, INT64_C(9007199254740992));
}
END_TEST

START_TEST(counting_ignores_what_it_does_not_need)
{
    ck_assert_int_eq(
        read_text(SPAN(REQUEST(",\"stream\":7,\"max_tokens\":\"x\",\"tools\":[]")), true), 0);
    ck_assert(!chat.stream);
    ck_assert_int_eq(chat.max_tokens, -1);
    ck_assert_uint_eq(chat.params, 0);
    ck_assert_int_eq(read_text(SPAN("{\"model\":\"m\"}"), true), -1);
    ck_assert_int_eq(read_text(SPAN(REQUEST(",\"provider_x\":1")), true), -1);
}
END_TEST

START_TEST(parameters)
{
    static const struct {
        const char *json;
        uint32_t params;
    } cases[] = {
        {REQUEST(",\"temperature\":0"), PARAM_BIT(PARAM_temperature)},
        {REQUEST(",\"temperature\":null"), 0},
        {REQUEST(",\"top_p\":0.5"), PARAM_BIT(PARAM_top_p)},
        {REQUEST(",\"top_k\":5"), PARAM_BIT(PARAM_top_k)},
        {REQUEST(",\"max_tokens\":0"), PARAM_BIT(PARAM_max_tokens)},
        {REQUEST(",\"stop_sequences\":[\"x\"]"), PARAM_BIT(PARAM_stop)},
        {REQUEST(",\"stop_sequences\":[]"), 0},
        {REQUEST(",\"tools\":[{\"name\":\"f\"}]"), PARAM_BIT(PARAM_tools)},
        {REQUEST(",\"tools\":[]"), 0},
        {REQUEST(",\"tool_choice\":{\"type\":\"any\"}"), PARAM_BIT(PARAM_tool_choice)},
        {REQUEST(",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"),
         PARAM_BIT(PARAM_tool_choice) | PARAM_BIT(PARAM_parallel_tool_calls)},
        {REQUEST(",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":false}"),
         PARAM_BIT(PARAM_tool_choice)},
        {REQUEST(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"),
         PARAM_BIT(PARAM_reasoning)},
        {REQUEST(",\"thinking\":{\"type\":\"adaptive\"}"), PARAM_BIT(PARAM_reasoning)},
        {REQUEST(",\"thinking\":{\"type\":\"disabled\"}"), 0},
        {REQUEST(",\"output_config\":{\"effort\":\"high\"}"), PARAM_BIT(PARAM_reasoning_effort)},
        {REQUEST(",\"output_config\":{\"format\":{\"type\":\"json_schema\"}}"),
         PARAM_BIT(PARAM_structured_outputs)},
        {REQUEST(",\"output_config\":{\"format\":null,\"effort\":null}"), 0},
        {REQUEST(",\"output_config\":{}"), 0},
        {REQUEST(",\"output_format\":{\"type\":\"json_schema\"}"),
         PARAM_BIT(PARAM_structured_outputs)},
        {REQUEST(",\"seed\":1,\"logit_bias\":{}"), 0},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        good(cases[i].json);
        ck_assert_msg(chat.params == cases[i].params, "%s: %x", cases[i].json, chat.params);
    }
}
END_TEST

START_TEST(the_user)
{
    good(REQUEST(",\"metadata\":{\"user_id\":\"{\\\"device_id\\\":\\\"d\\\"}\"}"));
    ck_assert(span_is(chat.user_id, "{\\\"device_id\\\":\\\"d\\\"}"));
    good(REQUEST(",\"metadata\":{}"));
    ck_assert_uint_eq(chat.user_id.len, 0);
}
END_TEST

/* ---- tools ---- */

static const struct {
    const char *tools;
    uint32_t needs;
    int n_server_tools;
    int64_t searches;
} tool_cases[] = {
    {"{\"name\":\"f\",\"input_schema\":{}}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"custom\",\"name\":\"f\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":null,\"name\":\"f\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"bash_20250124\",\"name\":\"bash\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"text_editor_20250728\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"computer_20251124\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"memory_20250818\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"not_yet_known_2027\"}", NEED_TOOLS, 0, 0},
    {"{\"type\":\"web_search_20250305\",\"max_uses\":3}", NEED_SERVER_TOOLS, 1, 3},
    {"{\"type\":\"web_search_20250305\"}", NEED_SERVER_TOOLS, 1, -1},
    {"{\"type\":\"web_search_20250305\",\"max_uses\":null}", NEED_SERVER_TOOLS, 1, -1},
    {"{\"type\":\"web_search_20250305\",\"max_uses\":0}", NEED_SERVER_TOOLS, 1, 0},
    {"{\"type\":\"web_search_20250305\",\"max_uses\":1.5}", NEED_SERVER_TOOLS, 1, -1},
    {"{\"type\":\"web_search_20250305\",\"max_uses\":-4}", NEED_SERVER_TOOLS, 1, -1},
    {"{\"type\":\"web_search_20250305\",\"max_uses\":3},"
     "{\"type\":\"web_search_20260209\",\"max_uses\":4}",
     NEED_SERVER_TOOLS, 2, 7},
    {"{\"type\":\"web_search_1\"},{\"type\":\"web_search_2\",\"max_uses\":4}", NEED_SERVER_TOOLS, 2,
     -1},
    {"{\"type\":\"web_search_1\",\"max_uses\":9223372036854775807},"
     "{\"type\":\"web_search_2\",\"max_uses\":1}",
     NEED_SERVER_TOOLS, 2, -1},
    {"{\"type\":\"web_fetch_20250910\",\"max_uses\":2}", NEED_SERVER_TOOLS, 1, 0},
    {"{\"type\":\"code_execution_20250825\"},{\"type\":\"code_execution_20250825\"}",
     NEED_SERVER_TOOLS, 1, 0},
    {"{\"type\":\"tool_search_tool_bm25_20251119\"},{\"name\":\"f\"}",
     NEED_SERVER_TOOLS | NEED_TOOLS, 1, 0},
    {"{\"type\":\"advisor_20260301\"},{\"type\":\"mcp_toolset\"}", NEED_SERVER_TOOLS, 2, 0},
};

START_TEST(tools_and_what_they_need)
{
    char body[512];
    for (size_t i = 0; i < ROWS(tool_cases); i++) {
        snprintf(body, sizeof(body), REQUEST(",\"tools\":[%s]"), tool_cases[i].tools);
        good(body);
        ck_assert_msg(chat.needs == tool_cases[i].needs, "%s", body);
        ck_assert_msg(chat.n_server_tools == tool_cases[i].n_server_tools, "%s", body);
        ck_assert_msg(chat.web_search_uses == tool_cases[i].searches, "%s", body);
    }
    good(REQUEST(",\"tools\":[{\"type\":\"web_search_20250305\",\"max_uses\":1}]"));
    ck_assert_str_eq(chat.server_tools[0], "web_search_20250305");
    good(REQUEST(",\"mcp_servers\":[{\"type\":\"url\"}],\"tools\":[{\"type\":\"mcp_toolset\"}]"));
    ck_assert_int_eq(chat.n_server_tools, 1);
    ck_assert_str_eq(chat.server_tools[0], "mcp_toolset");
    good(REQUEST(",\"mcp_servers\":[{\"type\":\"url\"}]"));
    ck_assert_uint_eq(chat.needs, NEED_SERVER_TOOLS);
}
END_TEST

START_TEST(server_tools_have_a_maximum)
{
    char body[4096];
    for (int n = CHAT_SERVER_TOOLS_MAX; n <= CHAT_SERVER_TOOLS_MAX + 1; n++) {
        size_t len = (size_t)snprintf(body, sizeof(body),
                                      "{\"model\":\"m\",\"messages\":[{}],"
                                      "\"tools\":[{\"name\":\"f\"}");
        for (int i = 0; i < n; i++)
            len +=
                (size_t)snprintf(body + len, sizeof(body) - len, ",{\"type\":\"web_fetch_%d\"}", i);
        snprintf(body + len, sizeof(body) - len, "]}");
        if (n == CHAT_SERVER_TOOLS_MAX)
            good(body);
        else
            bad(body, "at most 32 different server tools");
    }
    bad(REQUEST(",\"tools\":[{\"type\":\"web_search_"
                "01234567890123456789012345678901234567890123456789012\"}]"),
        "tools[0].type must be");
}
END_TEST

/* ---- state of one provider ---- */

static const struct {
    const char *json, *state, *field;
    bool create;
} pins[] = {
    {REQUEST(""), "", NULL, false},
    {REQUEST(",\"thread\":{\"type\":\"create\"}"), "", NULL, true},
    {REQUEST(",\"thread\":{\"type\":\"continue\",\"previous_message_id\":\"msg_1\"}"), "msg_1",
     "thread.previous_message_id", false},
    {REQUEST(",\"previous_message_id\":\"msg_2\""), "msg_2", "previous_message_id", false},
    {REQUEST(",\"container\":\"container_1\""), "container_1", "container", false},
    {REQUEST(",\"container\":{\"id\":\"c2\",\"skills\":[]}"), "c2", "container", false},
    {REQUEST(",\"container\":{\"id\":null}"), "", NULL, false},
    {CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}"),
     "file_1", "source.file_id", false},
    {CONTENT("{\"type\":\"image\",\"source\":{\"file_id\":\"file_2\",\"type\":\"file\"}}"),
     "file_2", "source.file_id", false},
    {CONTENT("{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\",\"source\":"
             "{\"type\":\"file\",\"file_id\":\"file_3\"}}]}"),
     "file_3", "source.file_id", false},
    {REQUEST(",\"system\":[{\"type\":\"document\",\"source\":{\"type\":\"file\","
             "\"file_id\":\"file_4\"}}]"),
     "file_4", "source.file_id", false},
    {CONTENT("{\"type\":\"container_upload\",\"file_id\":\"file_5\"}"), "file_5",
     "container_upload.file_id", false},
    /* what a tool wrote earlier is no reference that the provider must resolve */
    {CONTENT("{\"type\":\"code_execution_output\",\"file_id\":\"file_6\"}"), "", NULL, false},
    {CONTENT("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"file_id\":\"file_7\"}}"), "", NULL,
     false},
    /* the first in this order counts: thread, message, container, file */
    {"{\"model\":\"m\",\"messages\":[{\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
     "\"file\",\"file_id\":\"f\"}}]}],\"container\":\"c\",\"previous_message_id\":\"p\","
     "\"thread\":{\"type\":\"continue\",\"previous_message_id\":\"t\"}}",
     "t", "thread.previous_message_id", false},
};

START_TEST(state_of_one_provider)
{
    for (size_t i = 0; i < ROWS(pins); i++) {
        good(pins[i].json);
        ck_assert_str_eq(chat.pinned_state, pins[i].state);
        ck_assert_pstr_eq(chat.pinned_field, pins[i].field);
        ck_assert_msg(chat.thread_create == pins[i].create, "%s", pins[i].json);
    }
}
END_TEST

/* ---- the forwarded body ---- */

struct joined {
    struct buf out;
    const char *last; /* end of the last piece that came from the body */
    int replacements;
};

#define NEW_MODEL "\"upstream/model\""

static void join(void *ctx, struct span piece)
{
    struct joined *j = ctx;
    const char *begin = chat.body.ptr, *end = begin + chat.body.len;
    ck_assert_uint_gt(piece.len, 0);
    if (piece.ptr >= begin && piece.ptr < end) {
        ck_assert(j->last == NULL || piece.ptr >= j->last);
        j->last = piece.ptr + piece.len;
        ck_assert(j->last <= end);
    } else {
        ck_assert(span_is(piece, NEW_MODEL));
        j->replacements++;
    }
    buf_add_span(&j->out, piece);
}

static void gather(void *ctx, struct span piece)
{
    buf_add_span(ctx, piece);
}

static struct joined forward(void)
{
    struct joined j = {.last = NULL};
    buf_init(&j.out, 1024 * 1024);
    chat_pieces(&chat, SPAN(NEW_MODEL), join, &j);
    ck_assert_int_eq(j.replacements, 1);
    ck_assert(!j.out.failed);
    return j;
}

START_TEST(pieces_by_example)
{
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{\"model\":\"a\",\"messages\":[{}]}", "{\"model\":" NEW_MODEL ",\"messages\":[{}]}"},
        {" { \"messages\" : [ { } ] , \"model\" : \"a:floor\" } \n",
         " { \"messages\" : [ { } ] , \"model\" : " NEW_MODEL " } \n"},
        {"{\"provider_sort\":\"price\",\"model\":\"a\",\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}]}"},
        {"{\"model\":\"a\",\"messages\":[{}],\"provider_sort\":\"price\"}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}]}"},
        {"{\"model\":\"a\",\"models\":[\"b\"],\"max_tokens\":1,\"provider\":{\"order\":[\"x\"]},"
         "\"messages\":[{}],\"provider_zdr\":null}",
         "{\"model\":" NEW_MODEL ",\"max_tokens\":1,\"messages\":[{}]}"},
        {"{\"prov\\u0069der_zdr\":true,\"mod\\u0065l\":\"a\",\"messages\":[{}]}",
         "{\"mod\\u0065l\":" NEW_MODEL ",\"messages\":[{}]}"},
        /* only top-level members are routing fields */
        {"{\"model\":\"a\",\"messages\":[{\"provider\":1,\"models\":2}],\"x\":{\"provider_x\":3}}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{\"provider\":1,\"models\":2}],"
         "\"x\":{\"provider_x\":3}}"},
        {"{\"model\":\"a\",\"messages\":[{}],\"temperature\":1.0e0,\"x\":\"\\u00e9\\/\"}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}],\"temperature\":1.0e0,\"x\":\"\\u00e9\\/\"}"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        good(cases[i].body);
        struct joined j = forward();
        ck_assert_str_eq(j.out.ptr, cases[i].want);
        buf_done(&j.out);
    }
}
END_TEST

START_TEST(another_max_tokens)
{
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{\"model\":\"a\",\"max_tokens\" : 4096 ,\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL ",\"max_tokens\" : 77 ,\"messages\":[{}]}"},
        {"{\"max_tokens\":4096,\"provider_sort\":\"price\",\"model\":\"a\",\"messages\":[{}]}",
         "{\"max_tokens\":77,\"model\":" NEW_MODEL ",\"messages\":[{}]}"},
        {"{\"model\":\"a\",\"messages\":[{}]}",
         "{\"model\":" NEW_MODEL ",\"max_tokens\":77,\"messages\":[{}]}"},
        {"{\"messages\":[{}],\"model\":\"a\",\"provider_sort\":\"price\"}",
         "{\"messages\":[{}],\"model\":" NEW_MODEL ",\"max_tokens\":77}"},
        {"{\"provider_sort\":\"price\",\"model\":\"a\",\"messages\":[{}],\"max_tokens\":null}",
         "{\"model\":" NEW_MODEL ",\"messages\":[{}],\"max_tokens\":77}"},
        {"{\"x\":{\"max_tokens\":5},\"model\":\"a\",\"messages\":[{}]}",
         "{\"x\":{\"max_tokens\":5},\"model\":" NEW_MODEL ",\"max_tokens\":77,\"messages\":[{}]}"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        good(cases[i].body);
        chat_send_max_tokens(&chat, 77);
        chat_pieces(&chat, SPAN(NEW_MODEL), gather, &out);
        ck_assert_str_eq(out.ptr, cases[i].want);
        buf_done(&out);
        chat_send_max_tokens(&chat, -1);
        struct joined j = forward();
        ck_assert_ptr_null(strstr(j.out.ptr, "77"));
        buf_done(&j.out);
    }
}
END_TEST

START_TEST(thinking_budget)
{
    good("{\"model\":\"a\",\"messages\":[{}],"
         "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}");
    ck_assert_int_eq(chat.thinking_budget_tok, 2048);
    good("{\"model\":\"a\",\"messages\":[{}],\"thinking\":{\"type\":\"adaptive\"}}");
    ck_assert_int_eq(chat.thinking_budget_tok, 0);
    good("{\"model\":\"a\",\"messages\":[{}]}");
    ck_assert_int_eq(chat.thinking_budget_tok, 0);
}
END_TEST

/* ---- the same for bodies at random ---- */

static uint64_t seed = 88172645463325252u;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % n);
}

static const char *const plain[] = {
    "\"model\":\"some/model:nitro\"",
    "\"messages\":[{\"role\":\"user\",\"content\":\"a \\u00e9 \\/ b\"}]",
    "\"max_tokens\": 10",
    "\"temperature\":1.00",
    "\"metadata\" :{\"user_id\":\"u\", \"models\" : [ ]}",
    "\"x\":[1,2 , {\"provider_sort\":\"x\"}]",
    "\"y\":\"}\\\",\\\"provider_sort\\\":{\"",
    "\"stream\":true",
};
static const char *const routing[] = {
    "\"models\":[\"b\" , \"c\"]",
    "\"provider\":{ \"order\":[\"p\"], \"max_price\" : {\"image\":1 } }",
    "\"provider_sort\":\"price\"",
    "\"provider_zdr\":null",
    "\"provider_only\" : [ ]",
    "\"provider_configs\":{\"a\":{\"api_key\":\"}\"}}",
    "\"provider_max_total_cost\":\"1.5\"",
};
enum { PLAIN = ROWS(plain), ROUTING = ROWS(routing), MEMBERS = PLAIN + ROUTING };

static void add_space(struct buf *b)
{
    static const char *const spaces[] = {"", "", "", " ", "\n  ", "\t", "\r\n"};
    buf_adds(b, spaces[pick(ROWS(spaces))]);
}

/* The members in a random order, the optional ones with a chance of being left out.
 * Gives the plain ones in their order. */
static int build(struct buf *b, int order[PLAIN])
{
    int all[MEMBERS], n = 0, n_plain = 0;
    for (int i = 0; i < MEMBERS; i++) {
        if (i < 2 || pick(3) > 0)
            all[n++] = i;
    }
    for (int i = n - 1; i > 0; i--) {
        int k = (int)pick((unsigned)i + 1), swap = all[i];
        all[i] = all[k];
        all[k] = swap;
    }
    buf_reset(b);
    add_space(b);
    buf_addc(b, '{');
    for (int i = 0; i < n; i++) {
        add_space(b);
        buf_adds(b, all[i] < PLAIN ? plain[all[i]] : routing[all[i] - PLAIN]);
        add_space(b);
        buf_addc(b, i + 1 < n ? ',' : '}');
        if (all[i] < PLAIN)
            order[n_plain++] = all[i];
    }
    add_space(b);
    return n_plain;
}

/* The member as it is written in the plain table, from its key to the end of its value. */
static struct span member_text(const struct json_doc *d, json_ref m)
{
    const struct json_node *node = json_at(d, m);
    return (struct span){d->text.ptr + node->key_begin, node->end - node->key_begin};
}

static void check_forwarded(const struct json_doc *out, const int *order, int n)
{
    json_ref m = json_first(out, 0);
    for (int i = 0; i < n; i++, m = json_next(out, m)) {
        ck_assert_uint_ne(m, JSON_NONE);
        if (order[i] == 0)
            ck_assert(span_is(member_text(out, m), "\"model\":" NEW_MODEL));
        else
            ck_assert(span_is(member_text(out, m), plain[order[i]]));
    }
    ck_assert_uint_eq(m, JSON_NONE);
}

/* The same with another max_tokens: there once, whether it was there before or not. */
static void check_limited(struct json_doc *out)
{
    struct buf sent;
    int64_t tok = 0;
    json_ref v;
    buf_init(&sent, 1024 * 1024);
    chat_send_max_tokens(&chat, 77);
    chat_pieces(&chat, SPAN(NEW_MODEL), gather, &sent);
    ck_assert_msg(json_parse(out, buf_span(&sent), NULL) == 0, "%s", sent.ptr);
    v = json_get(out, 0, "max_tokens");
    ck_assert_msg(v != JSON_NONE && json_int64(out, v, &tok) && tok == 77, "%s", sent.ptr);
    ck_assert_msg(json_count_key(out, 0, "max_tokens") == 1, "%s", sent.ptr);
    chat_send_max_tokens(&chat, -1);
    buf_done(&sent);
}

/* Model, max_tokens and what makes a stream state its usage, all put in at one place. */
START_TEST(edits_at_one_place)
{
    static const char body[] = "{\"model\":\"a\",\"provider_zdr\":true,\"messages\":[{}]}";
    static const char want[] = "{\"model\":" NEW_MODEL ",\"max_completion_tokens\":77"
                               ",\"stream_options\":{\"include_usage\":true},\"messages\":[{}]}";
    struct buf out;
    buf_init(&out, 4096);
    good(body);
    chat.usage_edit = (struct chat_edit){chat.model_end, chat.model_end,
                                         SPAN(",\"stream_options\":{\"include_usage\":true}")};
    chat.max_tokens_name = "max_completion_tokens";
    chat_send_max_tokens(&chat, 77);
    chat_send_stream_options(&chat, true);
    chat_pieces(&chat, SPAN(NEW_MODEL), gather, &out);
    ck_assert_str_eq(out.ptr, want);
    chat_send_max_tokens(&chat, -1);
    chat_send_stream_options(&chat, false);
    buf_reset(&out);
    chat_pieces(&chat, SPAN(NEW_MODEL), gather, &out);
    ck_assert_str_eq(out.ptr, "{\"model\":" NEW_MODEL ",\"messages\":[{}]}");
    buf_done(&out);
}
END_TEST

START_TEST(pieces_of_random_bodies)
{
    struct buf body;
    struct json_doc out;
    buf_init(&body, 1024 * 1024);
    json_init(&out);
    for (int round = 0; round < 4000; round++) {
        int order[PLAIN];
        int n = build(&body, order);
        ck_assert_msg(read_text(buf_span(&body), false) == 0, "%s: %s", body.ptr, fault.text);
        struct joined j = forward();
        ck_assert_msg(json_parse(&out, buf_span(&j.out), NULL) == 0, "%s\n%s", body.ptr, j.out.ptr);
        check_forwarded(&out, order, n);
        size_t cut = 0;
        for (int i = 0; i < chat.n_cuts; i++)
            cut += chat.cuts[i].end - chat.cuts[i].begin;
        ck_assert_uint_eq(j.out.len,
                          body.len - cut - (chat.model_end - chat.model_begin) + strlen(NEW_MODEL));
        buf_done(&j.out);
        check_limited(&out);
    }
    json_done(&out);
    buf_done(&body);
}
END_TEST

START_TEST(a_chat_can_be_used_again)
{
    good(
        REQUEST(",\"models\":[\"x\"],\"tools\":[{\"type\":\"web_search_1\"}],\"stream\":true,"
                "\"container\":\"c\",\"max_tokens\":5,\"cache_control\":{},\"provider_zdr\":true"));
    bad("{\"model\":\"z\",\"models\":[\"q\"],\"messages\":7}", "messages");
    good(REQUEST(""));
    ck_assert_int_eq(chat.n_models, 1);
    ck_assert_str_eq(chat.models[0].name, "m");
    ck_assert(!chat.stream && chat.max_tokens == -1 && chat.needs == 0 && chat.params == 0);
    ck_assert(chat.n_server_tools == 0 && chat.web_search_uses == 0 && chat.n_prefixes == 1);
    ck_assert(chat.pinned_field == NULL && chat.n_cuts == 0 && !chat.prefs.zdr);
    ck_assert(!chat.cache_write_5m);
    chat_done(&chat);
    ck_assert_ptr_null(chat.doc);
    good(REQUEST(",\"provider_order\":[\"a\"]"));
    ck_assert_str_eq(prefs_str(&chat.prefs, chat.prefs.order.at[0]), "a");
    ck_assert_int_eq(chat.door, DOOR_ANTHROPIC);
}
END_TEST

Suite *chat_suite(void);
Suite *chat_suite(void)
{
    Suite *s = suite_create("chat");
    TCase *t = tcase_create("chat");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bad_bodies);
    tcase_add_test(t, members_have_a_maximum);
    tcase_add_test(t, top_members_are_given_once);
    tcase_add_test(t, open_lists_pass);
    tcase_add_test(t, names_and_suffixes);
    tcase_add_test(t, fallback_models);
    tcase_add_test(t, sizes_of_names_and_lists);
    tcase_add_test(t, stream_and_max_tokens);
    tcase_add_test(t, counting_ignores_what_it_does_not_need);
    tcase_add_test(t, parameters);
    tcase_add_test(t, the_user);
    tcase_add_test(t, tools_and_what_they_need);
    tcase_add_test(t, server_tools_have_a_maximum);
    tcase_add_test(t, state_of_one_provider);
    tcase_add_test(t, pieces_by_example);
    tcase_add_test(t, another_max_tokens);
    tcase_add_test(t, thinking_budget);
    tcase_add_test(t, edits_at_one_place);
    tcase_add_test(t, pieces_of_random_bodies);
    tcase_add_test(t, a_chat_can_be_used_again);
    suite_add_tcase(s, t);
    return s;
}
