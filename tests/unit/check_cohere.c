/* Cohere's adapter: golden answers, what it is sent, and recorded answers where they are to be had
 * (WAYFARE_SHARED, default "../shared"). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "tests/unit/golden.h"
#include "tests/unit/recordings.h"

static const struct provider_target target = {.slug = "cohere",
                                              .base_url = "https://api.cohere.com/v2",
                                              .upstream_model = "command-a",
                                              .secret = "key"};

START_TEST(test_golden_cases)
{
    golden_replay("cohere", &provider_cohere, &target, 6);
}
END_TEST

static const char request[] =
    "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"top_p\":0.5,\"top_k\":3,\"temperature\":0."
    "20,"
    "\"stop_sequences\":[\"END\"],\"system\":\"be brief\",\"tool_choice\":{\"type\":\"any\"},"
    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],"
    "\"messages\":[{\"role\":\"user\",\"content\":\"go\"},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"f_1\",\"name\":\"f\","
    "\"input\":{\"a\":1}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"f_1\",\"content\":"
    "\"two\"}]}]}";

/* Cohere's own names for settings, the rest as OpenAI's. */
static const char *const sent[] = {"\"model\":\"command-a\"",
                                   "\"stream\":true",
                                   "\"p\":0.5",
                                   "\"k\":3",
                                   "\"temperature\":0.20",
                                   "\"stop_sequences\":[\"END\"]",
                                   "\"max_tokens\":9",
                                   "\"tool_choice\":\"REQUIRED\"",
                                   "\"role\":\"system\"",
                                   "\"arguments\":\"{\\\"a\\\":1}\"",
                                   "\"tool_call_id\":\"f_1\""};

/* The body of the request, which lives until the next one. */
static const char *build(const char *asked, struct drops *drops)
{
    static char body[4096];
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
    struct upreq up;
    struct fail fail;
    const struct client_headers headers = {.n_other = 0};
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    upreq_init(&up);
    ck_assert_int_eq(json_parse(&doc, span_of(asked), &fail), 0);
    ck_assert_int_eq(chat_read_anthropic(&chat, &doc, false, &fail), 0);
    ck_assert_int_eq(door_anthropic.read(&chat, &dialog, &fail), 0);
    const struct provider_ask ask = {.target = &target,
                                     .headers = &headers,
                                     .chat = &chat,
                                     .dialog = &dialog,
                                     .max_tokens = 9,
                                     .drops = drops};
    ck_assert_msg(provider_cohere.build(&ask, &up, &fail) == 0, "%s", fail.text);
    ck_assert_str_eq(up.url, "https://api.cohere.com/v2/chat");
    body[upreq_read(&up, 0, body, sizeof(body) - 1)] = '\0';
    upreq_done(&up);
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
    return body;
}

START_TEST(test_request)
{
    struct drops drops = {.n = 0};
    const char *body = build(request, &drops);
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
        ck_assert_msg(strstr(body, sent[i]) != NULL, "no %s in %s", sent[i], body);
    ck_assert(strstr(body, "stream_options") == NULL);
    ck_assert_int_eq(drops.n, 0);
}
END_TEST

/* docs.cohere.com/reference/chat: REQUIRED or NONE; that the model decides is not said. */
START_TEST(test_tool_choice)
{
    static const struct {
        const char *choice, *sent;
    } rows[] = {{"any", "\"tool_choice\":\"REQUIRED\""},
                {"none", "\"tool_choice\":\"NONE\""},
                {"auto", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char asked[512];
        struct drops drops = {.n = 0};
        snprintf(asked, sizeof(asked),
                 "{\"model\":\"m\",\"max_tokens\":9,\"tool_choice\":{\"type\":\"%s\"},\"tools\":"
                 "[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],"
                 "\"messages\":[{\"role\":\"user\",\"content\":\"go\"}]}",
                 rows[i].choice);
        const char *body = build(asked, &drops);
        const char *at = strstr(body, "\"tool_choice\"");
        if (rows[i].sent == NULL)
            ck_assert_msg(at == NULL, "%s", body);
        else
            ck_assert_msg(at != NULL && strncmp(at, rows[i].sent, strlen(rows[i].sent)) == 0, "%s",
                          body);
        ck_assert_int_eq(drops.n, 0);
    }
}
END_TEST

/* ---- recorded answers, read a second time with json-c ---- */

enum { RECORDINGS_MIN = 5, TEXT_MAX = 1024 * 1024 };

#define member recording_member

struct plain {
    struct buf text, thinking, arguments;
    int64_t input_tok, output_tok;
};

static void plain_init(struct plain *p)
{
    *p = (struct plain){.input_tok = 0};
    buf_init(&p->text, TEXT_MAX);
    buf_init(&p->thinking, TEXT_MAX);
    buf_init(&p->arguments, TEXT_MAX);
}

static void plain_done(struct plain *p)
{
    buf_done(&p->text);
    buf_done(&p->thinking);
    buf_done(&p->arguments);
}

static void take_part(struct plain *p, struct json_object *part)
{
    buf_adds(&p->text, recording_word(part, "text"));
    buf_adds(&p->thinking, recording_word(part, "thinking"));
    buf_adds(&p->arguments, recording_word(member(part, "function"), "arguments"));
}

/* A list in a body, a single value in a stream. */
static void take_parts(struct plain *p, struct json_object *parts)
{
    for (size_t i = 0; i < recording_length(parts); i++)
        take_part(p, recording_item(parts, i));
    take_part(p, parts);
}

/* A body, or the delta of an event. */
static void take(struct plain *p, struct json_object *holder)
{
    struct json_object *message = member(holder, "message");
    struct json_object *billed = member(member(holder, "usage"), "billed_units");
    buf_adds(&p->thinking, recording_word(message, "tool_plan"));
    take_parts(p, member(message, "content"));
    take_parts(p, member(message, "tool_calls"));
    if (billed != NULL) {
        p->input_tok = recording_number(billed, "input_tokens");
        p->output_tok = recording_number(billed, "output_tokens");
    }
}

static void take_stream(struct plain *p, const char *text)
{
    for (const char *at = strstr(text, "data: {"); at != NULL; at = strstr(at + 1, "data: {")) {
        struct json_object *event = json_tokener_parse(at + strlen("data: "));
        take(p, member(event, "delta"));
        json_object_put(event);
    }
}

static void take_told(struct plain *p, const struct reply_whole *told)
{
    for (const struct dialog_block *b = told->content.first; b != NULL; b = b->next) {
        buf_add_span(b->kind == BLOCK_THINKING ? &p->thinking : &p->text, b->text);
        buf_add_span(&p->arguments, b->json);
    }
    p->input_tok = told->usage.n[USAGE_input_tok];
    p->output_tok = told->usage.n[USAGE_output_tok];
}

static void same(const char *file, const struct buf *a, const struct buf *b)
{
    ck_assert_msg(span_eq(buf_span(a), buf_span(b)), "%s: %.2000s\nnot %.2000s", file, a->ptr,
                  b->ptr);
}

static bool check_recording(const char *file, struct json_object *exchange)
{
    struct provider_target endpoint;
    struct recording_told t;
    struct plain want, have;
    const struct provider *p = recording_reader(exchange, &endpoint);
    struct json_object *response = member(exchange, "response");
    struct json_object *text = member(response, "body_text");
    if (p != &provider_cohere || recording_number(response, "status") != 200)
        return false;
    plain_init(&want);
    plain_init(&have);
    recording_tell(&t, file, p, &endpoint, response, &door_openai);
    take_told(&have, &t.told);
    if (text != NULL)
        take_stream(&want, json_object_get_string(text));
    else
        take(&want, member(response, "body"));
    ck_assert_msg(t.told.ended, "%s", file);
    same(file, &have.text, &want.text);
    same(file, &have.thinking, &want.thinking);
    same(file, &have.arguments, &want.arguments);
    ck_assert_msg(have.input_tok == want.input_tok && have.output_tok == want.output_tok, "%s",
                  file);
    recording_told_done(&t);
    plain_done(&want);
    plain_done(&have);
    return true;
}

START_TEST(test_recordings)
{
    recordings_replay("cohere", "cohere", RECORDINGS_MIN, check_recording);
}
END_TEST

Suite *cohere_suite(void);

Suite *cohere_suite(void)
{
    Suite *s = suite_create("cohere");
    TCase *t = tcase_create("cohere");
    tcase_add_test(t, test_golden_cases);
    tcase_add_test(t, test_request);
    tcase_add_test(t, test_tool_choice);
    tcase_add_test(t, test_recordings);
    suite_add_tcase(s, t);
    return s;
}
