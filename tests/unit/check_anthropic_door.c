/* Anthropic's door: requests into dialogs.  Its answers: check_anthropic_answers.c. */
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
     "raw:f:{\"type\":\"tool_reference\",\"tool_name\":\"f\"})]"},
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
                 "\"unknown\":1,\"service_tier\":\"priority\",\"thread\":{\"type\":\"create\"},"
                 "\"tools\":[{\"name\":\"f\","
                 "\"defer_loading\":true}]");
    drops_print(&dialog.unread, &names);
    ck_assert_str_eq(names.ptr, "service_tier"); /* of other prices */
    buf_reset(&names);
    drops_print(&dialog.others, &names);
    ck_assert_str_eq(names.ptr, "tools.defer_loading, context_management, unknown, thread");
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
    {MESSAGES(USER("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"a/"
                   "b;c\",\"data\":\"iVBO\"}}]")),
     "messages[0].content[0].source.media_type", "a media type"},
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
    return s;
}
