/* What the Gemini adapter sends for a dialog: address, headers, body, and what it drops. */
#define _GNU_SOURCE /* memmem */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/gemini.h"
#include "tests/unit/golden.h"

static struct dialog d;
static struct chat chat;
static struct drops drops;
static struct provider_target target;
static struct fail fail;
static struct upreq up;
static int64_t max_tokens;

static void set_up(void)
{
    dialog_init(&d);
    chat_init(&chat);
    upreq_init(&up);
    chat.door = DOOR_ANTHROPIC;
    drops.n = 0;
    max_tokens = -1;
    fail = (struct fail){.code = ERR_OK};
    target = (struct provider_target){.slug = "google",
                                      .base_url = "https://generativelanguage.example",
                                      .upstream_model = "gemini-3-flash",
                                      .secret = "k3y",
                                      .auth_type = AUTH_API_KEY};
}

static void tear_down(void)
{
    dialog_done(&d);
    chat_done(&chat);
    upreq_done(&up);
}

/* ---- what is asked ---- */

static struct dialog_block *add(enum dialog_role role, enum dialog_kind kind)
{
    struct dialog_message *m = dialog_turn(&d, role, (struct span){"", 0});
    return dialog_add(&d, &m->blocks, kind);
}

static struct dialog_block *say(enum dialog_role role, const char *text)
{
    struct dialog_block *b = add(role, BLOCK_TEXT);
    b->text = span_of(text);
    return b;
}

static struct dialog_block *call(const char *id, const char *name, const char *args)
{
    struct dialog_block *b = add(ROLE_ASSISTANT, BLOCK_TOOL_CALL);
    b->id = span_of(id);
    b->name = span_of(name);
    b->json = span_of(args);
    return b;
}

static struct dialog_block *result(const char *id, const char *text)
{
    struct dialog_block *b = add(ROLE_USER, BLOCK_TOOL_RESULT);
    b->id = span_of(id);
    if (text != NULL)
        dialog_add(&d, &b->children, BLOCK_TEXT)->text = span_of(text);
    return b;
}

static void set_media(struct dialog_block *b, enum media_from from, const char *type,
                      const char *data)
{
    b->media.from = from;
    b->media.type = span_of(type);
    b->media.data = span_of(data);
}

static struct dialog_tool *tool(const char *name, const char *schema)
{
    struct dialog_tool *t = dialog_add_tool(&d);
    t->name = span_of(name);
    t->schema_json = span_of(schema);
    return t;
}

/* ---- what is sent ---- */

static int build(void)
{
    static const struct client_headers headers;
    struct provider_ask ask = {.target = &target,
                               .headers = &headers,
                               .chat = &chat,
                               .dialog = &d,
                               .max_tokens = max_tokens,
                               .drops = &drops};
    upreq_done(&up);
    drops.n = 0;
    return provider_gemini.build(&ask, &up, &fail);
}

static void ck_dropped(const char *want)
{
    struct buf names;
    buf_init(&names, 4096);
    buf_adds(&names, "");
    drops_print(&drops, &names);
    ck_assert_msg(span_is(buf_span(&names), want), "dropped %.*s instead of %s", (int)names.len,
                  names.len > 0 ? names.ptr : "", want);
    buf_done(&names);
}

/* The member of the body, as written; valid JSON as a whole. */
static void ck_member(const char *name, const char *want)
{
    struct json_doc doc;
    char *body = malloc(up.body_len + 1);
    ck_assert_ptr_nonnull(body);
    size_t n = upreq_read(&up, 0, body, up.body_len);
    json_init(&doc);
    ck_assert_msg(json_parse(&doc, (struct span){body, n}, &fail) == 0, "%s", fail.text);
    json_ref value = json_get(&doc, 0, name);
    struct span raw = value == JSON_NONE ? SPAN("absent") : json_raw(&doc, value);
    ck_assert_msg(span_is(raw, want), "%s: %.*s\ninstead of %s", name, (int)raw.len, raw.ptr, want);
    json_done(&doc);
    free(body);
}

static void ck_sent(const char *member, const char *want)
{
    ck_assert_msg(build() == 0, "%s", fail.text);
    ck_member(member, want);
}

static void ck_refused(const char *field)
{
    ck_assert_int_eq(build(), -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_str_eq(fail.field, field);
}

static void ck_header(const char *want)
{
    const char *h = NULL;
    while ((h = upreq_next_header(&up, h)) != NULL) {
        if (strcmp(h, want) == 0)
            return;
    }
    ck_abort_msg("no header %s", want);
}

/* ---- address and headers ---- */

START_TEST(test_address)
{
    static const struct {
        const char *base, *model;
        bool stream;
        const char *url;
    } cases[] = {
        {"https://g.example", "gemini-3-flash", false,
         "https://g.example/v1beta/models/gemini-3-flash:generateContent"},
        {"https://g.example/v1beta/", "gemini-3-flash", true,
         "https://g.example/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"},
        {"https://g.example", "tunedModels/x-1", false,
         "https://g.example/v1beta/tunedModels/x-1:generateContent"},
    };
    say(ROLE_USER, "Hi");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        target.base_url = cases[i].base;
        target.upstream_model = cases[i].model;
        d.stream = cases[i].stream;
        ck_assert_int_eq(build(), 0);
        ck_assert_str_eq(up.url, cases[i].url);
        ck_header(cases[i].stream ? "accept: text/event-stream" : "accept: application/json");
    }
}
END_TEST

/* Known failures of others: keys in the URL end up in logs (litellm 15799, 24902). */
START_TEST(test_key_in_a_header_only)
{
    say(ROLE_USER, "Hi");
    ck_assert_int_eq(build(), 0);
    ck_header("x-goog-api-key: k3y");
    ck_assert_ptr_null(strstr(up.url, "k3y"));
    target.auth_type = AUTH_BEARER;
    ck_assert_int_eq(build(), 0);
    ck_header("authorization: Bearer k3y");
}
END_TEST

/* ---- contents ---- */

START_TEST(test_text_and_system)
{
    dialog_add(&d, &d.system, BLOCK_TEXT)->text = SPAN("Be \"brief\".");
    dialog_add(&d, &d.system, BLOCK_TEXT)->text = SPAN("");
    dialog_add(&d, &d.system, BLOCK_TEXT)->text = SPAN("Be kind.");
    say(ROLE_USER, "Hi");
    say(ROLE_USER, "");
    say(ROLE_ASSISTANT, "Hello");
    say(ROLE_USER, "And?");
    ck_sent("contents", "[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]},"
                        "{\"role\":\"model\",\"parts\":[{\"text\":\"Hello\"}]},"
                        "{\"role\":\"user\",\"parts\":[{\"text\":\"And?\"}]}]");
    ck_member("systemInstruction",
              "{\"parts\":[{\"text\":\"Be \\\"brief\\\".\"},{\"text\":\"Be kind.\"}]}");
    ck_member("tools", "absent");
    ck_member("toolConfig", "absent");
    ck_member("generationConfig", "{}");
    ck_dropped("");
}
END_TEST

START_TEST(test_system_alone_is_said_by_the_user)
{
    dialog_add(&d, &d.system, BLOCK_TEXT)->text = SPAN("Count.");
    ck_sent("contents", "[{\"role\":\"user\",\"parts\":[{\"text\":\"Count.\"}]}]");
    ck_member("systemInstruction", "absent");
}
END_TEST

START_TEST(test_later_system_joins_the_user)
{
    say(ROLE_USER, "Hi");
    say(ROLE_SYSTEM, "The tools changed.");
    say(ROLE_ASSISTANT, "Ok");
    say(ROLE_SYSTEM, "Go on.");
    say(ROLE_USER, "Yes");
    ck_sent("contents",
            "[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"},{\"text\":\"The tools changed.\"}]},"
            "{\"role\":\"model\",\"parts\":[{\"text\":\"Ok\"}]},"
            "{\"role\":\"user\",\"parts\":[{\"text\":\"Go on.\"},{\"text\":\"Yes\"}]}]");
}
END_TEST

START_TEST(test_billing_header_is_left_out)
{
    dialog_add(&d, &d.system, BLOCK_TEXT)->text = SPAN("x-anthropic-billing-header: cch=1;");
    say(ROLE_USER, "Hi");
    ck_sent("systemInstruction", "absent");
    dialog_add(&d, &d.system, BLOCK_TEXT)->text = SPAN("x-anthropic-billing-header: \nA");
    ck_sent("systemInstruction", "{\"parts\":[{\"text\":\"x-anthropic-billing-header: \\nA\"}]}");
}
END_TEST

START_TEST(test_empty_system_is_absent)
{
    dialog_add(&d, &d.system, BLOCK_TEXT);
    say(ROLE_USER, "Hi");
    ck_sent("systemInstruction", "absent");
}
END_TEST

START_TEST(test_media)
{
    static const struct {
        enum dialog_kind kind;
        enum media_from from;
        const char *type, *data, *want;
    } cases[] = {
        {BLOCK_IMAGE, MEDIA_BASE64, "image/png", "iVBO",
         "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBO\"}}"},
        {BLOCK_IMAGE, MEDIA_URL, "", "https://x.example/a.PNG?w=1",
         "{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://x.example/a.PNG?w=1\"}}"},
        {BLOCK_IMAGE, MEDIA_URL, "", "https://x.example/a",
         "{\"fileData\":{\"mimeType\":\"image/jpeg\",\"fileUri\":\"https://x.example/a\"}}"},
        {BLOCK_DOCUMENT, MEDIA_BASE64, "application/pdf", "JVBE",
         "{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"JVBE\"}}"},
        {BLOCK_DOCUMENT, MEDIA_URL, "", "https://x.example/d?f=a.png",
         "{\"fileData\":{\"mimeType\":\"application/pdf\",\"fileUri\":"
         "\"https://x.example/d?f=a.png\"}}"},
        {BLOCK_DOCUMENT, MEDIA_TEXT, "text/plain", "All of it.", "{\"text\":\"All of it.\"}"},
        {BLOCK_AUDIO, MEDIA_BASE64, "wav", "UklG",
         "{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"UklG\"}}"},
        {BLOCK_AUDIO, MEDIA_BASE64, "", "UklG",
         "{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"UklG\"}}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[512];
        dialog_done(&d);
        set_media(add(ROLE_USER, cases[i].kind), cases[i].from, cases[i].type, cases[i].data);
        snprintf(want, sizeof(want), "[{\"role\":\"user\",\"parts\":[%s]}]", cases[i].want);
        ck_sent("contents", want);
        ck_dropped("");
    }
}
END_TEST

START_TEST(test_document_with_words_about_it)
{
    struct dialog_block *b = add(ROLE_USER, BLOCK_DOCUMENT);
    set_media(b, MEDIA_BASE64, "application/pdf", "JVBE");
    b->media.title = SPAN("Report");
    b->media.context = SPAN("Of 2026.");
    b->media.citations_enabled = true;
    b->media.detail = SPAN("low");
    ck_sent("contents", "[{\"role\":\"user\",\"parts\":[{\"text\":\"Report\"},{\"text\":\"Of "
                        "2026.\"},{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":"
                        "\"JVBE\"}}]}]");
    ck_dropped("citations, detail");
}
END_TEST

START_TEST(test_file_of_another_provider)
{
    set_media(add(ROLE_USER, BLOCK_IMAGE), MEDIA_FILE_ID, "", "file_1");
    ck_refused("messages");
}
END_TEST

/* ---- tools ---- */

START_TEST(test_calls_and_results)
{
    say(ROLE_USER, "Weather?");
    say(ROLE_ASSISTANT, "I look.");
    call("c1", "get_weather", "{\"city\": \"K\\u00f6ln\", \"n\": 1.50}");
    call("c2", "get_time", "");
    result("c1", "Rain")->is_error = false;
    result("c2", "no clock")->is_error = true;
    say(ROLE_USER, "Go on");
    target.upstream_model = "gemini-2.5-flash";
    ck_sent("contents",
            "[{\"role\":\"user\",\"parts\":[{\"text\":\"Weather?\"}]},"
            "{\"role\":\"model\",\"parts\":[{\"text\":\"I look.\"},"
            "{\"functionCall\":{\"id\":\"c1\",\"name\":\"get_weather\",\"args\":{\"city\": "
            "\"K\\u00f6ln\", \"n\": 1.50}}},"
            "{\"functionCall\":{\"id\":\"c2\",\"name\":\"get_time\",\"args\":{}}}]},"
            "{\"role\":\"user\",\"parts\":["
            "{\"functionResponse\":{\"id\":\"c1\",\"name\":\"get_weather\",\"response\":"
            "{\"result\":\"Rain\"}}},"
            "{\"functionResponse\":{\"id\":\"c2\",\"name\":\"get_time\",\"response\":"
            "{\"error\":\"no clock\"}}},"
            "{\"text\":\"Go on\"}]}]");
    ck_dropped("");
}
END_TEST

START_TEST(test_result_of_no_call)
{
    say(ROLE_USER, "Weather?");
    result("c9", "Rain");
    ck_refused("messages");
}
END_TEST

START_TEST(test_result_without_text_and_with_two)
{
    call("c1", "f", "{}");
    result("c1", NULL);
    ck_sent("contents", "[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\","
                        "\"name\":\"f\",\"args\":{}},\"thoughtSignature\":"
                        "\"skip_thought_signature_validator\"}]},"
                        "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"c1\","
                        "\"name\":\"f\",\"response\":{\"result\":\"\"}}}]}]");
    dialog_done(&d);
    call("c1", "f", "{}");
    struct dialog_block *b = result("c1", "a");
    dialog_add(&d, &b->children, BLOCK_TEXT)->text = SPAN("b");
    target.upstream_model = "gemini-2.0-flash";
    ck_sent("contents", "[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\","
                        "\"name\":\"f\",\"args\":{}}}]},"
                        "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"c1\","
                        "\"name\":\"f\",\"response\":{\"result\":\"a\\nb\"}}}]}]");
    ck_dropped("");
    /* Blocks of another protocol: their words; where there are none, that is named. */
    dialog_done(&d);
    call("c1", "f", "{}");
    b = result("c1", NULL);
    for (int i = 0; i < 2; i++) {
        struct dialog_block *raw = dialog_add(&d, &b->children, BLOCK_RAW);
        raw->raw_of = "anthropic";
        raw->json = SPAN("{\"type\":\"tool_reference\",\"tool_name\":\"g\"}");
        raw->text = i == 0 ? SPAN("g") : SPAN("");
    }
    ck_sent("contents", "[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\","
                        "\"name\":\"f\",\"args\":{}}}]},"
                        "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"c1\","
                        "\"name\":\"f\",\"response\":{\"result\":\"g\"}}}]}]");
    ck_dropped("content");
}
END_TEST

static void ask_with_images(void)
{
    call("c1", "shot", "{}");
    call("c2", "f", "{}");
    struct dialog_block *b = result("c1", "see");
    set_media(dialog_add(&d, &b->children, BLOCK_IMAGE), MEDIA_BASE64, "image/png", "iVBO");
    set_media(dialog_add(&d, &b->children, BLOCK_IMAGE), MEDIA_URL, "", "https://x.example/u.png");
    result("c2", "2");
}

#define URL_IMAGE                                                                                  \
    "{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://x.example/u.png\"}}"
#define BYTES_IMAGE "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBO\"}}"
#define CALLS(signature)                                                                           \
    "[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\",\"name\":\"shot\",\"args\":" \
    "{}}" signature "},{\"functionCall\":{\"id\":\"c2\",\"name\":\"f\",\"args\":{}}}]},"
#define RESPONSE(id, name, text, more)                                                             \
    "{\"functionResponse\":{\"id\":\"" id "\",\"name\":\"" name                                    \
    "\",\"response\":{\"result\":\"" text "\"}" more "}}"

START_TEST(test_images_in_a_result)
{
    ask_with_images();
    ck_sent(
        "contents",
        CALLS(
            ",\"thoughtSignature\":\"skip_thought_signature_validator\"") "{\"role\":\"user\","
                                                                          "\"parts\":[" RESPONSE(
                                                                              "c1", "shot", "see",
                                                                              ",\"parts\":"
                                                                              "[" BYTES_IMAGE
                                                                              "]") "," RESPONSE("c"
                                                                                                "2",
                                                                                                "f",
                                                                                                "2",
                                                                                                "") "," URL_IMAGE
                                                                                                    "]}]");
    target.upstream_model = "gemini-2.5-pro";
    ck_sent("contents",
            CALLS("") "{\"role\":\"user\",\"parts\":[" RESPONSE(
                "c1", "shot", "see", "") "," RESPONSE("c2", "f", "2", "") "," BYTES_IMAGE
                                                                          "," URL_IMAGE "]}]");
}
END_TEST

/* Of parallel calls the first carries the signature; each turn has its own. */
START_TEST(test_signatures_of_calls)
{
    call("c1", "f", "{}")->signature = SPAN("wf:gemini:CiMB/w==");
    call("c2", "f", "{}");
    result("c1", "1");
    call("c3", "f", "{}")->signature = SPAN("wf:vertex:AAAA");
    ck_sent(
        "contents",
        "[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\",\"name\":\"f\","
        "\"args\":{}},\"thoughtSignature\":\"CiMB/w==\"},{\"functionCall\":{\"id\":\"c2\","
        "\"name\":\"f\",\"args\":{}}}]},"
        "{\"role\":\"user\",\"parts\":[" RESPONSE(
            "c1", "f", "1",
            "") "]},"
                "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c3\",\"name\":\"f\","
                "\"args\":{}},\"thoughtSignature\":\"skip_thought_signature_validator\"}]}]");
}
END_TEST

START_TEST(test_thinking_goes_back_to_its_maker_only)
{
    static const struct {
        const char *signature;
        bool sent;
    } cases[] = {{"wf:gemini:CiQB", true},
                 {"wf:gemini:", false},
                 {"wf:gemini", false},
                 {"wf:geminix:A", false},
                 {"wf:openai:", false},
                 {"ErUBCkYI", false},
                 {"", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dialog_done(&d);
        struct dialog_block *b = add(ROLE_ASSISTANT, BLOCK_THINKING);
        b->text = SPAN("Hm.");
        b->signature = span_of(cases[i].signature);
        add(ROLE_ASSISTANT, BLOCK_REDACTED)->signature = SPAN("xyz");
        say(ROLE_ASSISTANT, "Yes");
        ck_sent("contents", cases[i].sent
                                ? "[{\"role\":\"model\",\"parts\":[{\"text\":\"Hm.\",\"thought\":"
                                  "true,\"thoughtSignature\":\"CiQB\"},{\"text\":\"Yes\"}]}]"
                                : "[{\"role\":\"model\",\"parts\":[{\"text\":\"Yes\"}]}]");
        ck_dropped("");
    }
}
END_TEST

START_TEST(test_refusal_and_raw_blocks)
{
    add(ROLE_ASSISTANT, BLOCK_REFUSAL)->text = SPAN("I will not.");
    struct dialog_block *own = add(ROLE_ASSISTANT, BLOCK_RAW);
    own->raw_of = "gemini";
    own->json = SPAN("{\"executableCode\":{}}");
    struct dialog_block *other = add(ROLE_ASSISTANT, BLOCK_RAW);
    other->raw_of = "anthropic";
    other->json = SPAN("{\"type\":\"server_tool_use\"}");
    ck_sent("contents", "[{\"role\":\"model\",\"parts\":[{\"text\":\"I will not.\"},"
                        "{\"executableCode\":{}}]}]");
    ck_dropped("content");
}
END_TEST

START_TEST(test_tools)
{
    say(ROLE_USER, "Hi");
    struct dialog_tool *t = tool("f", "{\"$schema\": \"x\", \"type\": \"object\"}");
    t->description = SPAN("Does f");
    t->strict = TRI_TRUE;
    t->cache = CACHE_5M;
    tool("g", "");
    struct dialog_tool *raw = dialog_add_tool(&d);
    raw->raw_json = SPAN("{\"type\":\"web_search_20250305\"}");
    raw->raw_of = "anthropic";
    ck_sent("tools", "[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"Does f\","
                     "\"parametersJsonSchema\":{\"$schema\": \"x\", \"type\": \"object\"}},"
                     "{\"name\":\"g\"}]}]");
    ck_member("toolConfig", "absent");
    ck_dropped("tools, strict, cache_control");
    raw->raw_json = SPAN("{\"googleSearch\":{}}");
    raw->raw_of = "gemini";
    t->strict = TRI_FALSE;
    t->cache = CACHE_NONE;
    ck_sent("tools", "[{\"googleSearch\":{}},{\"functionDeclarations\":[{\"name\":\"f\","
                     "\"description\":\"Does f\",\"parametersJsonSchema\":{\"$schema\": \"x\", "
                     "\"type\": \"object\"}},{\"name\":\"g\"}]}]");
    ck_dropped("");
}
END_TEST

/* Other names than Gemini takes: sent in another form, the same everywhere, and the client's again
 * in the answer. */
START_TEST(test_names)
{
    static const char *const names[] = {
        "mcp__aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "mcp__aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "3d_render", "-x",
        "a b"};
    char sent[GEMINI_NAME_MAX + 1], other[GEMINI_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct span name = span_of(names[i]), made = gemini_name(name, sent);
        ck_assert(made.len <= GEMINI_NAME_MAX && !span_eq(made, name));
        for (size_t k = 0; k < made.len; k++) {
            bool letter = (made.ptr[k] | 32) >= 'a' && (made.ptr[k] | 32) <= 'z';
            ck_assert(
                letter || made.ptr[k] == '_' ||
                (k > 0 && ((made.ptr[k] >= '0' && made.ptr[k] <= '9') || made.ptr[k] == '-')));
        }
        ck_assert(i == 0 || !span_eq(made, gemini_name(span_of(names[i - 1]), other)));
        dialog_done(&d);
        tool(names[i], "");
        ck_assert(span_eq(gemini_find_name(&d, made), name));
    }
    ck_assert(span_is(gemini_find_name(NULL, SPAN("f")), "f"));
    ck_assert(span_is(gemini_name(SPAN("_f.g-1"), sent), "_f.g-1"));
    dialog_done(&d);
    tool("3f", "");
    call("c1", "3f", "{}");
    result("c1", "a");
    d.choice = CHOICE_TOOL;
    d.choice_name = SPAN("3f");
    target.upstream_model = "gemini-2.5-pro";
#define SENT "_3f_07ff3007b4bf80cc"
    ck_sent("contents", "[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c1\",\"name\":"
                        "\"" SENT "\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":["
                        "{\"functionResponse\":{\"id\":\"c1\",\"name\":\"" SENT "\",\"response\":"
                        "{\"result\":\"a\"}}}]}]");
    ck_member("tools", "[{\"functionDeclarations\":[{\"name\":\"" SENT "\"}]}]");
    ck_member("toolConfig", "{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":"
                            "[\"" SENT "\"]}}");
    struct golden_replies heard;
    struct usage_report usage;
    golden_replies_init(&heard);
    const struct reply_sink sink = {golden_on_reply, &heard};
    const struct provider_reading reading = {.target = &target, .sink = &sink, .dialog = &d};
    ck_assert_int_eq(
        provider_gemini.read_body(&reading,
                                  SPAN("{\"candidates\":[{\"content\":{\"parts\":[{"
                                       "\"functionCall\":{\"id\":\"c2\",\"name\":"
                                       "\"" SENT "\",\"args\":{}}}]},\"finishReason\":\"STOP\"}]}"),
                                  &usage),
        VERDICT_COMPLETE);
    struct span lines = golden_lines(&heard);
    ck_assert_msg(memmem(lines.ptr, lines.len, "name=3f\n", 8) != NULL, "%.*s", (int)lines.len,
                  lines.ptr);
    golden_replies_done(&heard);
}
END_TEST

START_TEST(test_tool_choice)
{
    static const struct {
        enum tool_choice choice;
        const char *want;
    } cases[] = {
        {CHOICE_ABSENT, "absent"},
        {CHOICE_AUTO, "{\"functionCallingConfig\":{\"mode\":\"AUTO\"}}"},
        {CHOICE_ANY, "{\"functionCallingConfig\":{\"mode\":\"ANY\"}}"},
        {CHOICE_NONE, "{\"functionCallingConfig\":{\"mode\":\"NONE\"}}"},
        {CHOICE_TOOL,
         "{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}}"}};
    say(ROLE_USER, "Hi");
    d.choice_name = SPAN("f");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        d.choice = cases[i].choice;
        if (i == 1) {
            ck_sent("toolConfig", "absent"); /* no tools yet */
            tool("f", "");
        }
        ck_sent("toolConfig", cases[i].want);
    }
    d.parallel = TRI_FALSE;
    ck_sent("tools", "[{\"functionDeclarations\":[{\"name\":\"f\"}]}]");
    ck_dropped("disable_parallel_tool_use");
    chat.door = DOOR_OPENAI;
    ck_assert_int_eq(build(), 0);
    ck_dropped("parallel_tool_calls");
}
END_TEST

/* ---- settings ---- */

START_TEST(test_numbers_keep_their_spelling)
{
    say(ROLE_USER, "Hi");
    max_tokens = 100;
    for (int i = 0; i < NUMBER_COUNT; i++)
        d.numbers[i] = SPAN("0.70");
    d.numbers[NUMBER_seed] = SPAN("42");
    ck_sent("generationConfig", "{\"maxOutputTokens\":100,\"temperature\":0.70,\"topP\":0.70,"
                                "\"topK\":0.70,\"frequencyPenalty\":0.70,"
                                "\"presencePenalty\":0.70,\"seed\":42}");
    ck_dropped("min_p, top_a, repetition_penalty, top_logprobs");
}
END_TEST

START_TEST(test_seed_that_is_no_int32)
{
    say(ROLE_USER, "Hi");
    d.numbers[NUMBER_seed] = SPAN("9007199254740993");
    ck_sent("generationConfig", "{}");
    ck_dropped("seed");
}
END_TEST

START_TEST(test_stop_sequences)
{
    static const char *const stops[] = {"a", "", "b\n", "c", "d", "e", "f"};
    say(ROLE_USER, "Hi");
    for (size_t i = 0; i < 6; i++)
        dialog_add_stop(&d, span_of(stops[i]));
    ck_sent("generationConfig", "{\"stopSequences\":[\"a\",\"b\\n\",\"c\",\"d\",\"e\"]}");
    ck_dropped("");
    dialog_add_stop(&d, span_of(stops[6]));
    ck_sent("generationConfig", "{\"stopSequences\":[\"a\",\"b\\n\",\"c\",\"d\",\"e\"]}");
    ck_dropped("stop_sequences");
    chat.door = DOOR_OPENAI;
    ck_assert_int_eq(build(), 0);
    ck_dropped("stop");
}
END_TEST

START_TEST(test_formats)
{
    say(ROLE_USER, "Hi");
    d.format.kind = FORMAT_TEXT;
    ck_sent("generationConfig", "{}");
    d.format.kind = FORMAT_JSON;
    ck_sent("generationConfig", "{\"responseMimeType\":\"application/json\"}");
    d.format.kind = FORMAT_SCHEMA;
    d.format.schema_json = SPAN("{\"type\": \"object\"}");
    ck_sent("generationConfig", "{\"responseMimeType\":\"application/json\","
                                "\"responseJsonSchema\":{\"type\": \"object\"}}");
    tool("f", "");
    ck_sent("generationConfig", "{\"responseMimeType\":\"application/json\","
                                "\"responseJsonSchema\":{\"type\": \"object\"}}");
    ck_dropped("");
    target.upstream_model = "gemini-2.5-flash"; /* either functions or a form */
    ck_sent("generationConfig", "{}");
    ck_dropped("output_config.format");
    chat.door = DOOR_OPENAI;
    ck_assert_int_eq(build(), 0);
    ck_dropped("response_format");
}
END_TEST

START_TEST(test_thinking)
{
    static const struct {
        const char *model;
        enum reasoning_mode mode;
        int64_t budget;
        const char *effort;
        const char *want; /* thinkingConfig; NULL = none */
        const char *dropped;
    } cases[] = {
        {"gemini-3-flash", REASONING_ABSENT, 0, "", NULL, ""},
        {"gemini-3-flash", REASONING_ON, 0, "", "{\"includeThoughts\":true}", ""},
        {"gemini-3-flash", REASONING_ON, 0, "low",
         "{\"thinkingLevel\":\"low\",\"includeThoughts\":true}", ""},
        {"gemini-3-flash", REASONING_ABSENT, 0, "minimal",
         "{\"thinkingLevel\":\"minimal\",\"includeThoughts\":true}", ""},
        {"gemini-3-flash", REASONING_ABSENT, 0, "max",
         "{\"thinkingLevel\":\"high\",\"includeThoughts\":true}", ""},
        {"gemini-3-flash", REASONING_ON, 0, "odd", "{\"includeThoughts\":true}", ""},
        {"gemini-3-flash", REASONING_BUDGETED, 31999, "",
         "{\"thinkingBudget\":31999,\"includeThoughts\":true}", ""},
        {"gemini-3-flash", REASONING_OFF, 0, "", "{\"thinkingLevel\":\"minimal\"}", ""},
        {"gemini-3-flash", REASONING_ABSENT, 0, "none", "{\"thinkingLevel\":\"minimal\"}", ""},
        {"gemini-3.1-pro", REASONING_ABSENT, 0, "minimal",
         "{\"thinkingLevel\":\"low\",\"includeThoughts\":true}", ""},
        {"gemini-3.1-pro", REASONING_ABSENT, 0, "medium",
         "{\"thinkingLevel\":\"medium\",\"includeThoughts\":true}", ""},
        {"gemini-3.1-pro", REASONING_OFF, 0, "", "{\"thinkingLevel\":\"low\"}", "thinking"},
        {"gemini-2.5-flash", REASONING_ON, 0, "",
         "{\"thinkingBudget\":-1,\"includeThoughts\":true}", ""},
        {"gemini-2.5-flash", REASONING_OFF, 0, "", "{\"thinkingBudget\":0}", ""},
        {"gemini-2.5-flash", REASONING_BUDGETED, 31999, "",
         "{\"thinkingBudget\":24576,\"includeThoughts\":true}", ""},
        {"gemini-2.5-flash", REASONING_ABSENT, 0, "medium",
         "{\"thinkingBudget\":8192,\"includeThoughts\":true}", ""},
        {"gemini-2.5-flash-lite", REASONING_BUDGETED, 100, "",
         "{\"thinkingBudget\":512,\"includeThoughts\":true}", ""},
        {"gemini-2.5-pro", REASONING_BUDGETED, 31999, "",
         "{\"thinkingBudget\":31999,\"includeThoughts\":true}", ""},
        {"gemini-2.5-pro", REASONING_OFF, 0, "", "{\"thinkingBudget\":128}", "thinking"},
        {"gemini-2.0-flash", REASONING_ON, 0, "", NULL, "thinking"},
        {"gemini-2.0-flash", REASONING_OFF, 0, "", NULL, ""},
        {"gemma-3-27b-it", REASONING_BUDGETED, 1024, "", NULL, "thinking"},
    };
    say(ROLE_USER, "Hi");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[256] = "{}";
        target.upstream_model = cases[i].model;
        d.reasoning = (struct dialog_reasoning){
            .mode = cases[i].mode,
            .budget_tok = cases[i].budget,
            .effort = span_of(cases[i].effort),
        };
        if (cases[i].want != NULL)
            snprintf(want, sizeof(want), "{\"thinkingConfig\":%s}", cases[i].want);
        ck_sent("generationConfig", want);
        ck_dropped(cases[i].dropped);
    }
    d.reasoning.hidden = true;
    target.upstream_model = "gemini-3-flash";
    d.reasoning.effort = SPAN("low");
    d.reasoning.mode = REASONING_ON;
    ck_sent("generationConfig", "{\"thinkingConfig\":{\"thinkingLevel\":\"low\"}}");
}
END_TEST

START_TEST(test_what_has_no_place_is_named)
{
    say(ROLE_USER, "Hi")->cache = CACHE_5M;
    d.first_message->name = SPAN("Ann");
    d.logprobs = TRI_TRUE;
    d.logit_bias_json = SPAN("{\"1\":2}");
    d.verbosity = SPAN("low");
    d.service_tier = SPAN("flex");
    d.user = SPAN("u1");
    d.cache = CACHE_1H;
    ck_sent("generationConfig", "{}");
    ck_dropped("name, cache_control, logprobs, logit_bias, verbosity, service_tier, metadata");
    chat.door = DOOR_OPENAI;
    d.service_tier = SPAN("auto");
    ck_assert_int_eq(build(), 0);
    ck_dropped("name, cache_control, logprobs, logit_bias, verbosity, user");
}
END_TEST

Suite *gemini_write_suite(void);
Suite *gemini_write_suite(void)
{
    Suite *s = suite_create("gemini_write");
    TCase *c = tcase_create("gemini_write");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, test_address);
    tcase_add_test(c, test_key_in_a_header_only);
    tcase_add_test(c, test_text_and_system);
    tcase_add_test(c, test_system_alone_is_said_by_the_user);
    tcase_add_test(c, test_later_system_joins_the_user);
    tcase_add_test(c, test_billing_header_is_left_out);
    tcase_add_test(c, test_empty_system_is_absent);
    tcase_add_test(c, test_media);
    tcase_add_test(c, test_document_with_words_about_it);
    tcase_add_test(c, test_file_of_another_provider);
    tcase_add_test(c, test_calls_and_results);
    tcase_add_test(c, test_result_of_no_call);
    tcase_add_test(c, test_result_without_text_and_with_two);
    tcase_add_test(c, test_images_in_a_result);
    tcase_add_test(c, test_signatures_of_calls);
    tcase_add_test(c, test_thinking_goes_back_to_its_maker_only);
    tcase_add_test(c, test_refusal_and_raw_blocks);
    tcase_add_test(c, test_tools);
    tcase_add_test(c, test_names);
    tcase_add_test(c, test_tool_choice);
    tcase_add_test(c, test_numbers_keep_their_spelling);
    tcase_add_test(c, test_seed_that_is_no_int32);
    tcase_add_test(c, test_stop_sequences);
    tcase_add_test(c, test_formats);
    tcase_add_test(c, test_thinking);
    tcase_add_test(c, test_what_has_no_place_is_named);
    suite_add_tcase(s, c);
    return s;
}
