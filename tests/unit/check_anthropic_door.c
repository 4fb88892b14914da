/* Anthropic's door: requests into dialogs, answers out of reply events. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/door.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define MESSAGES(m) "\"messages\":[" m "]"
#define HI MESSAGES("{\"role\":\"user\",\"content\":\"hi\"}")
#define USER(c) "{\"role\":\"user\",\"content\":" c "}"
#define MODEL(c) "{\"role\":\"assistant\",\"content\":" c "}"
#define SYSTEM(c) "{\"role\":\"system\",\"content\":" c "}"

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

static int read_members(const char *members)
{
    buf_reset(&request);
    buf_addf(&request, "{\"model\":\"x\",%s}", members);
    ck_assert_msg(json_parse(&doc, buf_span(&request), &fail) == 0, "%s: %s", members, fail.text);
    ck_assert_msg(chat_read_anthropic(&chat, &doc, false, &fail) == 0, "%s: %s", members,
                  fail.text);
    dialog_done(&dialog);
    return door_anthropic.read(&chat, &dialog, &fail);
}

static void must_read(const char *members)
{
    ck_assert_msg(read_members(members) == 0, "%s: %s", members, fail.text);
}

/* ---- requests ---- */

static void print_blocks(struct buf *out, const struct dialog_blocks *list)
{
    int n = 0;
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next, n++) {
        buf_addf(out, "%s%s", n > 0 ? " " : "", dialog_kind_name(b->kind));
        struct span shown[] = {
            b->text,           b->id,         b->name,       b->json,        b->signature,
            b->citations_json, b->media.type, b->media.data, b->media.title, b->media.context};
        for (size_t i = 0; i < ROWS(shown); i++) {
            if (shown[i].len > 0)
                buf_addf(out, ":%.*s", (int)shown[i].len, shown[i].ptr);
        }
        buf_adds(out, b->is_error ? "!" : "");
        buf_adds(out, b->cache == CACHE_5M ? "*5m" : b->cache == CACHE_1H ? "*1h" : "");
        buf_adds(out, b->media.citations_enabled ? "+cite" : "");
        if (b->children.n > 0) {
            buf_adds(out, "(");
            print_blocks(out, &b->children);
            buf_adds(out, ")");
        }
    }
    ck_assert_int_eq(n, list->n);
}

static void print_prompt(struct buf *out)
{
    static const char letters[] = {[ROLE_USER] = 'u', [ROLE_ASSISTANT] = 'a', [ROLE_SYSTEM] = 's'};
    if (dialog.system.n > 0) {
        buf_adds(out, "system[");
        print_blocks(out, &dialog.system);
        buf_adds(out, "] ");
    }
    for (const struct dialog_message *m = dialog.first_message; m != NULL; m = m->next) {
        buf_addf(out, "%c[", letters[m->role]);
        print_blocks(out, &m->blocks);
        buf_addf(out, "]%s", m->next != NULL ? " " : "");
    }
}

static const struct {
    const char *members, *prompt;
} prompts[] = {
    {HI, "u[text:hi]"},
    {"\"system\":\"be \\u00e9\"," HI, "system[text:be \303\251] u[text:hi]"},
    {"\"system\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}},"
     "{\"type\":\"text\",\"text\":\"b\"}]," HI,
     "system[text:a*5m text:b] u[text:hi]"},
    /* normal form: neighbours are one message, nothing is empty */
    {MESSAGES(USER("\"a\"") "," USER("[]") "," USER("\"b\"") "," MODEL("\"\"") "," USER("\"c\"")),
     "u[text:a text:b text:c]"},
    {MESSAGES(SYSTEM("\"s\"") "," USER("\"a\"") "," SYSTEM("\"t\"") "," MODEL("\"b\"")),
     "system[text:s] u[text:a] s[text:t] a[text:b]"},
    /* results stand first, in their order */
    {MESSAGES(USER("[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"tool_result\",\"tool_use_id\":"
                   "\"1\"},{\"type\":\"text\",\"text\":\"y\"},{\"type\":\"tool_result\",\"tool_use_"
                   "id\":\"2\",\"content\":\"r\",\"is_error\":true}]")),
     "u[tool_result:1 tool_result:2!(text:r) text:x text:y]"},
    {MESSAGES(
         USER("\"a\"") "," MODEL("[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":"
                                 "{\"n\": 1.50}}]")),
     "u[text:a] a[tool_call:t:f:{\"n\": 1.50}]"},
    {MESSAGES(
         USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"cache_control\":{\"type\":"
              "\"ephemeral\",\"ttl\":\"1h\"},\"content\":[{\"type\":\"text\",\"text\":\"r\"},{"
              "\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
              "png\",\"data\":\"iVBO\"}},{\"type\":\"tool_reference\",\"tool_name\":\"f\"}]}]")),
     "u[tool_result:t*1h(text:r image:image/png:iVBO "
     "raw:{\"type\":\"tool_reference\",\"tool_name\":\"f\"})]"},
    /* thinking */
    {MESSAGES(MODEL("[{\"type\":\"thinking\",\"thinking\":\"h\\nm\",\"signature\":\"c2ln\"},{"
                    "\"type\":\"redacted_thinking\",\"data\":\"ZGF0\"},{\"type\":\"thinking\","
                    "\"thinking\":\"\",\"signature\":\"wf:openai:\"}]")),
     "a[thinking:h\nm:c2ln redacted_thinking:ZGF0 thinking:wf:openai:]"},
    /* media */
    {MESSAGES(USER("[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://i\"}},{"
                   "\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}]")),
     "u[image:https://i image:file_1]"},
    {MESSAGES(USER("[{\"type\":\"document\",\"title\":\"T\",\"context\":\"C\",\"citations\":{"
                   "\"enabled\":true},\"source\":{\"type\":\"base64\",\"media_type\":\"application/"
                   "pdf\",\"data\":\"JVBE\"}},{\"type\":\"document\",\"source\":{\"type\":\"text\","
                   "\"media_type\":\"text/plain\",\"data\":\"plain\"}}]")),
     "u[document:application/pdf:JVBE:T:C+cite document:text/plain:plain]"},
    {MESSAGES(
         USER("[{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":"
              "\"text\",\"text\":\"a\"},{\"type\":\"image\",\"source\":{\"type\":\"url\","
              "\"url\":\"https://i\"}},{\"type\":\"text\",\"text\":\"b\"}]}}]")),
     "u[document:text/plain:a\nb image:https://i]"},
    {MESSAGES(
         USER("[{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":\"c\"}}]")),
     "u[document:text/plain:c]"},
    {MESSAGES(
         USER("[{\"type\":\"search_result\",\"source\":\"https://s\",\"title\":\"T\","
              "\"content\":[{\"type\":\"text\",\"text\":\"found\"}],\"citations\":{\"enabled\":"
              "true}}]")),
     "u[document:text/plain:found:T:https://s+cite]"},
    /* citations, and blocks that nobody else has */
    {MESSAGES(MODEL("[{\"type\":\"text\",\"text\":\"t\",\"citations\":[{\"type\": "
                    "\"char_location\"}]},{\"type\":\"text\",\"text\":\"u\",\"citations\":[]},{"
                    "\"type\":\"server_tool_use\",\"id\":\"s\",\"cache_control\":{\"type\":"
                    "\"ephemeral\"}}]")),
     "a[text:t:[{\"type\": \"char_location\"}] text:u "
     "raw:{\"type\":\"server_tool_use\",\"id\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}*"
     "5m]"},
    /* a signature that came in an id */
    {MESSAGES(MODEL("[{\"type\":\"tool_use\",\"id\":\"c1_wfsig_Z2VtaW5pOkNpUUI\",\"name\":\"f\","
                    "\"input\":{}}]") "," USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"c1_"
                                               "wfsig_Z2VtaW5pOkNpUUI\"}]")),
     "a[tool_call:c1:f:{}:wf:gemini:CiQB] u[tool_result:c1]"},
};

START_TEST(test_prompts)
{
    struct buf seen;
    buf_init(&seen, BODY_MAX);
    must_read(prompts[_i].members);
    print_prompt(&seen);
    ck_assert_str_eq(seen.ptr, prompts[_i].prompt);
    buf_done(&seen);
}
END_TEST

START_TEST(test_settings)
{
    must_read(HI ",\"stream\":true,\"max_tokens\":77,\"temperature\":1.50,\"top_p\":0,\"top_k\":4,"
                 "\"stop_sequences\":[\"a\\n\",\"b\"],\"metadata\":{\"user_id\":\"u\"},"
                 "\"service_tier\":\"auto\",\"cache_control\":{\"type\":\"ephemeral\"}");
    ck_assert(dialog.stream && dialog.max_tokens == 77);
    ck_assert(span_is(dialog.numbers[NUMBER_temperature], "1.50"));
    ck_assert(span_is(dialog.numbers[NUMBER_top_p], "0"));
    ck_assert(span_is(dialog.numbers[NUMBER_top_k], "4"));
    ck_assert_int_eq(dialog.n_stops, 2);
    ck_assert(span_is(dialog.stops[0], "a\n") && span_is(dialog.stops[1], "b"));
    ck_assert(span_is(dialog.user, "u") && span_is(dialog.service_tier, "auto"));
    ck_assert_int_eq(dialog.cache, CACHE_5M);
    must_read(HI ",\"temperature\":null,\"stop_sequences\":null,\"thinking\":null,\"tools\":null,"
                 "\"system\":null,\"metadata\":null,\"tool_choice\":null");
    ck_assert(dialog.numbers[NUMBER_temperature].len == 0 && dialog.max_tokens == -1);
}
END_TEST

START_TEST(test_tools)
{
    must_read(HI
              ",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"x\": 1.0},"
              "\"strict\":false},{\"type\":\"custom\",\"name\":\"g\"},{\"type\":\"bash_20250124\","
              "\"name\":\"bash\", \"a\":1}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"g\","
              "\"disable_parallel_tool_use\":true}");
    const struct dialog_tool *t = dialog.first_tool;
    ck_assert_int_eq(dialog.n_tools, 3);
    ck_assert(span_is(t->name, "f") && span_is(t->description, "d"));
    ck_assert(span_is(t->schema_json, "{\"x\": 1.0}") && t->strict == TRI_FALSE);
    ck_assert(t->raw_of == NULL && t->next->raw_of == NULL);
    ck_assert(t->next->strict == TRI_ABSENT && t->next->schema_json.len == 0);
    t = t->next->next;
    ck_assert_str_eq(t->raw_of, "anthropic");
    ck_assert(span_is(t->raw_json, "{\"type\":\"bash_20250124\",\"name\":\"bash\", \"a\":1}"));
    ck_assert(span_is(t->name, "bash"));
    ck_assert(dialog.choice == CHOICE_TOOL && span_is(dialog.choice_name, "g"));
    ck_assert_int_eq(dialog.parallel, TRI_FALSE);
}
END_TEST

START_TEST(test_thinking_and_output)
{
    must_read(HI ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048,\"display\":"
                 "\"omitted\"},\"output_config\":{\"effort\":\"max\",\"format\":{\"type\":"
                 "\"json_schema\",\"schema\":{\"a\":1}}}");
    ck_assert(dialog.reasoning.mode == REASONING_BUDGETED && dialog.reasoning.hidden);
    ck_assert_int_eq(dialog.reasoning.budget_tok, 2048);
    ck_assert(span_is(dialog.reasoning.effort, "max"));
    ck_assert_int_eq(dialog.format.kind, FORMAT_SCHEMA);
    ck_assert(span_is(dialog.format.schema_json, "{\"a\":1}"));
    must_read(HI ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"updates\"}");
    ck_assert(dialog.reasoning.mode == REASONING_ON && !dialog.reasoning.hidden);
    must_read(HI ",\"thinking\":{\"type\":\"disabled\"}");
    ck_assert_int_eq(dialog.reasoning.mode, REASONING_OFF);
}
END_TEST

START_TEST(test_what_has_no_place_is_named)
{
    struct buf names;
    buf_init(&names, 256);
    must_read(HI ",\"context_management\":{\"edits\":[]},\"speed\":\"fast\",\"container\":null,"
                 "\"unknown\":1,\"thread\":{\"type\":\"create\"},\"tools\":[{\"name\":\"f\","
                 "\"defer_loading\":true}]");
    drops_print(&dialog.unread, &names);
    ck_assert_str_eq(names.ptr, "tools.defer_loading, context_management, speed, thread");
    buf_done(&names);
}
END_TEST

static const struct {
    const char *members, *field, *text;
} refusals[] = {
    {"\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]", "messages[0].role",
     "user, assistant or system; got \"tool\""},
    {"\"messages\":[{\"content\":\"x\"}]", "messages[0].role", "is required"},
    {"\"messages\":[{\"role\":\"user\"}]", "messages[0].content", "is required"},
    {"\"messages\":[{\"role\":\"user\",\"content\":7}]", "messages[0].content", "got 7"},
    {MESSAGES(USER("[\"x\"]")), "messages[0].content[0]", "a content block"},
    {MESSAGES(USER("[{\"text\":\"x\"}]")), "messages[0].content[0].type", "is required"},
    {MESSAGES(USER("[{\"type\":\"text\"}]")), "messages[0].content[0].text", "is required"},
    {MESSAGES(USER("[{\"type\":\"text\",\"text\":[]}]")), "messages[0].content[0].text",
     "must be a string"},
    {MESSAGES(USER("\"\\ud800\"")), "messages[0].content", "lone surrogates"},
    {MESSAGES(USER("[{\"type\":\"image\"}]")), "messages[0].content[0].source", "is required"},
    {MESSAGES(USER("[{\"type\":\"image\",\"source\":{\"type\":\"ftp\"}}]")),
     "messages[0].content[0].source.type", "base64, url, file"},
    {MESSAGES(USER("[{\"type\":\"image\",\"source\":{\"type\":\"url\"}}]")),
     "messages[0].content[0].source.url", "is required"},
    {MESSAGES(USER("[{\"type\":\"document\",\"source\":{\"type\":\"content\"}}]")),
     "messages[0].content[0].source.content", "is required"},
    {MESSAGES(MODEL("[{\"type\":\"tool_use\",\"id\":\"a\",\"input\":{}}]")),
     "messages[0].content[0].name", "is required"},
    {MESSAGES(MODEL("[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":\"{}\"}]")),
     "messages[0].content[0].input", "must be an object"},
    {MESSAGES(USER("[{\"type\":\"tool_result\"}]")), "messages[0].content[0].tool_use_id",
     "is required"},
    {MESSAGES(USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"is_error\":1}]")),
     "messages[0].content[0].is_error", "true or false"},
    {MESSAGES(USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":\"tool_"
                   "result\",\"tool_use_id\":\"u\"}]}]")),
     "messages[0].content[0].content[0].type", "a tool may return"},
    {MESSAGES(MODEL("[{\"type\":\"redacted_thinking\"}]")), "messages[0].content[0].data",
     "is required"},
    {HI ",\"tools\":[7]", "tools[0]", "a tool"},
    {HI ",\"tools\":[{\"input_schema\":{}}]", "tools[0].name", "is required"},
    {HI ",\"tools\":[{\"name\":\"f\",\"input_schema\":\"x\"}]", "tools[0].input_schema",
     "a JSON schema"},
    {HI ",\"tool_choice\":{\"type\":\"force\"}", "tool_choice.type", "auto, any, tool or none"},
    {HI ",\"tool_choice\":{}", "tool_choice.type", "is required"},
    {HI ",\"tool_choice\":{\"type\":\"tool\"}", "tool_choice.name", "is required"},
    {HI ",\"temperature\":\"1\"", "temperature", "a number"},
    {HI ",\"stop_sequences\":[1]", "stop_sequences[0]", "a string"},
    {HI ",\"thinking\":{}", "thinking.type", "is required"},
    {HI ",\"thinking\":{\"type\":\"enabled\"}", "thinking.budget_tokens", "is required"},
    {HI ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1.5}", "thinking.budget_tokens",
     "an integer"},
    {HI ",\"output_config\":{\"effort\":1}", "output_config.effort", "a string"},
    {HI ",\"output_config\":{\"format\":{\"type\":\"json\"}}", "output_config.format.type",
     "json_schema"},
    {HI ",\"output_config\":{\"format\":{\"type\":\"json_schema\"}}", "output_config.format.schema",
     "is required"},
    {HI ",\"service_tier\":1", "service_tier", "a string"},
};

START_TEST(test_refusals)
{
    ck_assert_msg(read_members(refusals[_i].members) == -1, "accepted: %s", refusals[_i].members);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_str_eq(fail.field, refusals[_i].field);
    ck_assert_msg(strstr(fail.text, refusals[_i].text) != NULL, "%s", fail.text);
}
END_TEST

START_TEST(test_too_many_stop_sequences)
{
    struct buf members;
    buf_init(&members, BODY_MAX);
    buf_adds(&members, HI ",\"stop_sequences\":[\"0\"");
    for (int i = 1; i <= DIALOG_STOPS_MAX; i++)
        buf_addf(&members, ",\"%d\"", i);
    buf_adds(&members, "]");
    ck_assert_int_eq(read_members(members.ptr), -1);
    ck_assert_str_eq(fail.field, "stop_sequences");
    buf_done(&members);
}
END_TEST

/* ---- answers ---- */

static struct door_answer answer;
static struct buf out;

static void answer_setup(void)
{
    answer = (struct door_answer){.generation_id = "gen_1", .model = "maker/model"};
    buf_init(&out, BODY_MAX);
}

static void answer_teardown(void)
{
    buf_done(&out);
}

#define START                                                                                      \
    {                                                                                              \
        .kind = REPLY_START, .id = SPAN("chatcmpl-1"), .model = SPAN("gpt")                        \
    }
#define OPEN(b)                                                                                    \
    {                                                                                              \
        .kind = REPLY_OPEN, .block = REPLY_##b                                                     \
    }
#define SAY(b, t)                                                                                  \
    {                                                                                              \
        .kind = REPLY_DELTA, .block = REPLY_##b, .delta = DELTA_TEXT, .text = SPAN(t)              \
    }
#define CLOSE(b)                                                                                   \
    {                                                                                              \
        .kind = REPLY_CLOSE, .block = REPLY_##b                                                    \
    }
#define CALL(i, n)                                                                                 \
    {                                                                                              \
        .kind = REPLY_OPEN, .block = REPLY_TOOL_CALL, .id = SPAN(i), .name = SPAN(n)               \
    }
#define ARGUE(t)                                                                                   \
    {                                                                                              \
        .kind = REPLY_DELTA, .block = REPLY_TOOL_CALL, .delta = DELTA_ARGUMENTS, .text = SPAN(t)   \
    }
#define STOP(s)                                                                                    \
    {                                                                                              \
        .kind = REPLY_STOP, .stop = STOPPED_##s                                                    \
    }
#define USED(in, outp)                                                                             \
    {                                                                                              \
        .kind = REPLY_USAGE, .reasoning_tok = -1, .usage = {                                       \
            .n = {[USAGE_input_tok] = in, [USAGE_output_tok] = outp},                              \
            .seen = 3                                                                              \
        }                                                                                          \
    }
#define END                                                                                        \
    {                                                                                              \
        .kind = REPLY_END                                                                          \
    }

static void play(const struct reply *events, size_t n)
{
    struct reply_grammar grammar = {.over = false};
    struct door_writer *w = door_anthropic.open(&answer);
    buf_reset(&out);
    for (size_t i = 0; i < n; i++) {
        const char *wrong = reply_check(&grammar, &events[i]);
        ck_assert_msg(wrong == NULL, "the test's event %zu: %s", i, wrong);
        ck_assert(door_anthropic.write(w, &events[i], &out));
    }
    door_anthropic.close(w);
}

#define EV(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define EV_START(input)                                                                            \
    EV("message_start",                                                                            \
       ",\"message\":{\"id\":\"chatcmpl-1\",\"type\":\"message\",\"role\":\"assistant\","          \
       "\"model\":"                                                                                \
       "\"maker/"                                                                                  \
       "model\",\"container\":null,\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"    \
       "\"stop_details\":null,\"usage\":" USAGE(input, "0") "}")
#define USAGE(input, output)                                                                       \
    "{\"input_tokens\":" input ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0," \
    "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"        \
    "\"output_tokens\":" output ",\"server_tool_use\":null,\"service_tier\":null}"
#define EV_OPEN(i, block) EV("content_block_start", ",\"index\":" i ",\"content_block\":" block)
#define EV_DELTA(i, delta) EV("content_block_delta", ",\"index\":" i ",\"delta\":" delta)
#define EV_CLOSE(i) EV("content_block_stop", ",\"index\":" i)
#define EV_END(reason, input, output)                                                              \
    EV("message_delta",                                                                            \
       ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null,\"stop_details\":null}," \
       "\"usage\":" USAGE(input, output))                                                          \
    EV("message_stop", "")
#define TEXT_OPEN "{\"type\":\"text\",\"text\":\"\"}"
#define TEXT_DELTA(t) "{\"type\":\"text_delta\",\"text\":\"" t "\"}"

START_TEST(test_stream_of_text)
{
    static const struct reply events[] = {
        START,       OPEN(TEXT), SAY(TEXT, "Hel"), SAY(TEXT, "lo\n"),
        CLOSE(TEXT), STOP(END),  USED(25, 15),     END};
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(out.ptr, EV_START("0") EV_OPEN("0", TEXT_OPEN) EV_DELTA("0", TEXT_DELTA("Hel"))
                                  EV_DELTA("0", TEXT_DELTA("lo\\n")) EV_CLOSE("0")
                                      EV_END("end_turn", "25", "15"));
}
END_TEST

/* Thinking without a signature gets one that chat.h knows again. */
START_TEST(test_stream_of_thinking_and_parallel_tools)
{
    static const struct reply events[] = {
        START,
        USED(25, 1),
        OPEN(THINKING),
        SAY(THINKING, "hm"),
        CLOSE(THINKING),
        CALL("call_1", "f"),
        ARGUE("{\"a\":"),
        ARGUE("1}"),
        CLOSE(TOOL_CALL),
        {.kind = REPLY_OPEN,
         .block = REPLY_TOOL_CALL,
         .id = SPAN("c2"),
         .name = SPAN("g"),
         .signature = SPAN("wf:gemini:CiQB")},
        ARGUE("{}"),
        CLOSE(TOOL_CALL),
        STOP(TOOL),
        USED(25, 15),
        END,
    };
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        EV_START("25") EV_OPEN("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
            EV_DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}") EV_DELTA(
                "0", "{\"type\":\"signature_delta\",\"signature\":\"wf::\"}") EV_CLOSE("0")
                EV_OPEN("1",
                        "{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\",\"input\":{}}")
                    EV_DELTA("1",
                             "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}")
                        EV_DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}")
                            EV_CLOSE("1") EV_OPEN(
                                "2", "{\"type\":\"tool_use\",\"id\":\"c2_wfsig_Z2VtaW5pOkNpUUI\","
                                     "\"name\":\"g\",\"input\":{}}")
                                EV_DELTA("2", "{\"type\":\"input_json_delta\",\"partial_json\":"
                                              "\"{}\"}") EV_CLOSE("2")
                                    EV_END("tool_use", "25", "15"));
}
END_TEST

START_TEST(test_stream_of_everything_else)
{
    static const struct reply events[] = {
        START,
        {.kind = REPLY_OPEN, .block = REPLY_REDACTED, .signature = SPAN("ZGF0")},
        CLOSE(REDACTED),
        {.kind = REPLY_OPEN,
         .block = REPLY_RAW,
         .json = SPAN("{\"type\":\n\"server_tool_use\"}"),
         .citation = {.json_of = "anthropic"}},
        CLOSE(RAW),
        {.kind = REPLY_OPEN,
         .block = REPLY_RAW,
         .json = SPAN("{\"executableCode\":{}}"),
         .citation = {.json_of = "gemini"}},
        CLOSE(RAW),
        {.kind = REPLY_OPEN,
         .block = REPLY_IMAGE,
         .media = {.type = SPAN("image/png"), .data = SPAN("iVBO")}},
        CLOSE(IMAGE),
        OPEN(TEXT),
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.url = SPAN("https://u"), .quoted = SPAN("q")}},
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.title = SPAN("no url")}},
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.json = SPAN("{\"type\":\"char_location\"}"), .json_of = "anthropic"}},
        CLOSE(TEXT),
        STOP(CONTEXT),
        END,
    };
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        EV_START("0") EV_OPEN("0",
                              "{\"type\":\"redacted_thinking\",\"data\":\"ZGF0\"}") EV_CLOSE("0")
            EV_OPEN("1", "{\"type\": \"server_tool_use\"}") EV_CLOSE("1") EV_OPEN("2", TEXT_OPEN)
                EV_DELTA("2", TEXT_DELTA("[The model answered with an image (image/png), which the "
                                         "Messages API cannot carry.]")) EV_CLOSE("2")
                    EV_OPEN("3", TEXT_OPEN) EV_DELTA(
                        "3", "{\"type\":\"citations_delta\",\"citation\":{\"type\":\"web_"
                             "search_result_location\",\"url\":\"https://u\",\"title\":null,"
                             "\"encrypted_index\":\"\",\"cited_text\":\"q\"}}")
                        EV_DELTA("3", "{\"type\":\"citations_delta\",\"citation\":{\"type\":"
                                      "\"char_location\"}}") EV_CLOSE("3")
                            EV_END("model_context_window_exceeded", "0", "0"));
}
END_TEST

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        n++;
    return n;
}

/* Arguments that arrive in one piece, with the call itself, must go out as a delta. */
START_TEST(test_tool_arguments_in_one_piece_litellm_25561)
{
    static const struct reply events[] = {
        START, CALL("c1", "f"), ARGUE("{\"a\":1}"), CLOSE(TOOL_CALL), STOP(TOOL), END};
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_int_eq(count(out.ptr, "\"partial_json\":\"{\\\"a\\\":1}\""), 1);
}
END_TEST

/* Clients run a tool at its content_block_stop: two of them run it twice. */
START_TEST(test_one_stop_for_each_block_litellm_37273)
{
    static const struct reply events[] = {START,
                                          OPEN(TEXT),
                                          SAY(TEXT, "a"),
                                          CLOSE(TEXT),
                                          CALL("c1", "f"),
                                          ARGUE("{}"),
                                          CLOSE(TOOL_CALL),
                                          CALL("c2", "f"),
                                          ARGUE("{}"),
                                          CLOSE(TOOL_CALL),
                                          STOP(TOOL),
                                          USED(1, 1),
                                          END};
    answer.stream = true;
    play(events, ROWS(events));
    for (int i = 0; i < 3; i++) {
        char stop[64];
        snprintf(stop, sizeof(stop), "\"content_block_stop\",\"index\":%d", i);
        ck_assert_int_eq(count(out.ptr, stop), 1);
    }
    ck_assert_int_eq(count(out.ptr, "event: message_start"), 1);
    ck_assert_int_eq(count(out.ptr, "event: message_delta"), 1);
}
END_TEST

START_TEST(test_stream_that_breaks_off)
{
    static const struct reply events[] = {
        START,
        OPEN(TEXT),
        SAY(TEXT, "a"),
        {.kind = REPLY_ERROR,
         .error = {.http_status = 503, .type = SPAN("server_error"), .message = SPAN("Oh")}},
    };
    answer.stream = true;
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        EV_START("0") EV_OPEN("0", TEXT_OPEN) EV_DELTA(
            "0",
            TEXT_DELTA("a")) "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_"
                             "error\",\"message\":\"Oh\"}}\n\n");
}
END_TEST

START_TEST(test_error_words)
{
    static const struct {
        struct reply_error error;
        const char *type;
    } rows[] = {
        {{.type = SPAN("overloaded_error")}, "overloaded_error"},
        {{.http_status = 429, .type = SPAN("rate_limit_exceeded")}, "rate_limit_error"},
        {{.http_status = 529}, "overloaded_error"},
        {{.http_status = 404}, "not_found_error"},
        {{.http_status = 422}, "invalid_request_error"},
        {{.http_status = 503}, "api_error"},
        {{.http_status = 0, .type = SPAN("x")}, "api_error"},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        ck_assert_str_eq(anthropic_error_type(&rows[i].error), rows[i].type);
}
END_TEST

/* Tools that nobody runs because the answer seems to have ended. */
START_TEST(test_tools_run_although_the_answer_ended_litellm_34692)
{
    static const struct {
        enum reply_block block;
        enum reply_stop stop;
        const char *word;
    } rows[] = {
        {REPLY_TEXT, STOPPED_END, "end_turn"},      {REPLY_TEXT, STOPPED_LENGTH, "max_tokens"},
        {REPLY_TEXT, STOPPED_REFUSAL, "refusal"},   {REPLY_TEXT, STOPPED_PAUSE, "pause_turn"},
        {REPLY_TOOL_CALL, STOPPED_END, "tool_use"}, {REPLY_TOOL_CALL, STOPPED_LENGTH, "max_tokens"},
        {REPLY_REFUSAL, STOPPED_END, "refusal"},    {REPLY_TEXT, STOPPED_TOOL, "tool_use"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const struct reply events[] = {
            START,
            {.kind = REPLY_OPEN, .block = rows[i].block, .id = SPAN("i"), .name = SPAN("n")},
            {.kind = REPLY_CLOSE, .block = rows[i].block},
            {.kind = REPLY_STOP, .stop = rows[i].stop},
            END,
        };
        char expected[64];
        snprintf(expected, sizeof(expected), "\"stop_reason\":\"%s\"", rows[i].word);
        for (int stream = 0; stream < 2; stream++) {
            answer.stream = stream != 0;
            play(events, ROWS(events));
            ck_assert_msg(strstr(out.ptr, expected) != NULL, "%zu: %s", i, out.ptr);
        }
    }
}
END_TEST

START_TEST(test_stop_sequence)
{
    static const struct reply events[] = {
        START, {.kind = REPLY_STOP, .stop = STOPPED_SEQUENCE, .stop_sequence = SPAN("\"E\"")}, END};
    play(events, ROWS(events));
    ck_assert_ptr_nonnull(
        strstr(out.ptr, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"\\\"E\\\"\""));
}
END_TEST

#define BODY(id, content, reason, usage)                                                           \
    "{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"maker/model\","    \
    "\"container\":null,\"content\":[" content "],\"stop_reason\":\"" reason                       \
    "\",\"stop_sequence\":null,\"stop_details\":null,\"usage\":" usage "}"

START_TEST(test_body)
{
    static const struct reply events[] = {
        {.kind = REPLY_START},
        OPEN(THINKING),
        SAY(THINKING, "hm"),
        CLOSE(THINKING),
        OPEN(TEXT),
        SAY(TEXT, "a"),
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.title = SPAN("no url")}},
        {.kind = REPLY_DELTA,
         .block = REPLY_TEXT,
         .delta = DELTA_CITATION,
         .citation = {.url = SPAN("https://u"), .title = SPAN("t")}},
        CLOSE(TEXT),
        OPEN(TEXT),
        SAY(TEXT, "b"),
        CLOSE(TEXT),
        CALL("c1", "f"),
        ARGUE("{\"n\": 1.50}"),
        CLOSE(TOOL_CALL),
        CALL("c2", "g"),
        CLOSE(TOOL_CALL),
        CALL("c3", "h"),
        ARGUE("{\"cut"),
        CLOSE(TOOL_CALL),
        STOP(TOOL),
        USED(25, 15),
        END,
    };
    play(events, ROWS(events));
    ck_assert_str_eq(
        out.ptr,
        BODY("gen_1",
             "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"wf::\"},"
             "{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"type\":\"web_search_result_"
             "location\",\"url\":\"https://u\",\"title\":\"t\",\"encrypted_index\":\"\",\"cited_"
             "text\":\"\"}]},{\"type\":\"text\",\"text\":\"b\",\"citations\":null},"
             "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"n\": 1.50}},"
             "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"g\",\"input\":{}},"
             "{\"type\":\"tool_use\",\"id\":\"c3\",\"name\":\"h\",\"input\":{\"INVALID_JSON\":"
             "\"{\\\"cut\"}}",
             "tool_use", USAGE("25", "15")));
}
END_TEST

START_TEST(test_usage_in_full)
{
    static const struct reply events[] = {
        START,
        STOP(END),
        {.kind = REPLY_USAGE, .reasoning_tok = 7, .usage = {.n = {10, 20, 4, 5, 6, 2}, .seen = 63}},
        END,
    };
    answer.report = true;
    answer.provider = "anthropic/eu";
    answer.cost_usd = "0.0123";
    static const char usage[] =
        "\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":11,\"cache_read_input_"
        "tokens\":4,\"cache_creation\":{\"ephemeral_5m_input_tokens\":5,\"ephemeral_1h_input_"
        "tokens\":6},\"output_tokens\":20,\"output_tokens_details\":{\"thinking_tokens\":7},"
        "\"server_tool_use\":{\"web_search_requests\":2,\"web_fetch_requests\":0},\"service_tier\":"
        "null,\"cost\":0.0123,\"cost_details\":{\"upstream_inference_cost\":0.0123}}";
    for (int stream = 0; stream < 2; stream++) {
        answer.stream = stream != 0;
        play(events, ROWS(events));
        ck_assert_msg(strstr(out.ptr, usage) != NULL, "%s", out.ptr);
        ck_assert_ptr_nonnull(strstr(out.ptr, "\"provider\":\"anthropic/eu\""));
    }
    answer.report = false;
    play(events, ROWS(events));
    ck_assert(strstr(out.ptr, "cost") == NULL && strstr(out.ptr, "anthropic/eu") == NULL);
}
END_TEST

START_TEST(test_body_that_broke_off)
{
    static const struct reply events[] = {
        START, {.kind = REPLY_ERROR, .error = {.http_status = 429, .message = SPAN("Slow")}}};
    play(events, ROWS(events));
    ck_assert_str_eq(out.ptr, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
                              "\"message\":\"Slow\"}}");
}
END_TEST

START_TEST(test_read_error)
{
    struct buf store;
    struct reply_error error = {.http_status = 0};
    buf_init(&store, 1024);
    ck_assert(provider_anthropic.read_error(
        SPAN(
            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"a\\nb\"}}"),
        &store, &error));
    ck_assert_int_eq(error.http_status, 429);
    ck_assert(span_is(error.type, "rate_limit_error") && span_is(error.message, "a\nb"));
    ck_assert(!provider_anthropic.read_error(SPAN("<html>"), &store, &error));
    ck_assert(!provider_anthropic.read_error(SPAN("{\"error\":\"x\"}"), &store, &error));
    buf_done(&store);
}
END_TEST

Suite *anthropic_door_suite(void);

Suite *anthropic_door_suite(void)
{
    Suite *s = suite_create("anthropic_door");
    TCase *tc = tcase_create("requests");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_prompts, 0, ROWS(prompts));
    tcase_add_loop_test(tc, test_refusals, 0, ROWS(refusals));
    tcase_add_test(tc, test_settings);
    tcase_add_test(tc, test_tools);
    tcase_add_test(tc, test_thinking_and_output);
    tcase_add_test(tc, test_what_has_no_place_is_named);
    tcase_add_test(tc, test_too_many_stop_sequences);
    suite_add_tcase(s, tc);
    tc = tcase_create("answers");
    tcase_add_checked_fixture(tc, answer_setup, answer_teardown);
    tcase_add_test(tc, test_stream_of_text);
    tcase_add_test(tc, test_stream_of_thinking_and_parallel_tools);
    tcase_add_test(tc, test_stream_of_everything_else);
    tcase_add_test(tc, test_tool_arguments_in_one_piece_litellm_25561);
    tcase_add_test(tc, test_one_stop_for_each_block_litellm_37273);
    tcase_add_test(tc, test_stream_that_breaks_off);
    tcase_add_test(tc, test_error_words);
    tcase_add_test(tc, test_tools_run_although_the_answer_ended_litellm_34692);
    tcase_add_test(tc, test_stop_sequence);
    tcase_add_test(tc, test_body);
    tcase_add_test(tc, test_usage_in_full);
    tcase_add_test(tc, test_body_that_broke_off);
    tcase_add_test(tc, test_read_error);
    suite_add_tcase(s, tc);
    return s;
}
