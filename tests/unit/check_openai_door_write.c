/* Unit tests of OpenAI's door, answers: reply events into chunks and bodies.  Beside examples of
 * the exact text there is a client of the plainest kind, built on json-c: what it makes of a stream
 * and of a body is what was told, for answers drawn at random. */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "schema/sse.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { OUT_MAX = 16 * 1024 * 1024, EVENTS_MAX = 256, RANDOM_ANSWERS = 3000 };

static struct door_answer answer;
static struct buf out;

static void setup(void)
{
    answer = (struct door_answer){
        .stream = true, .generation_id = "gen_1", .model = "acme/large", .created_s = 1700000000};
    buf_init(&out, OUT_MAX);
}

static void teardown(void)
{
    buf_done(&out);
}

/* ---- events ---- */

#define START                                                                                      \
    {                                                                                              \
        .kind = REPLY_START, .id = SPAN_OF("msg_1"), .model = SPAN_OF("m")                         \
    }
#define SPAN_OF(s)                                                                                 \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
#define OPEN(b)                                                                                    \
    {                                                                                              \
        .kind = REPLY_OPEN, .block = b                                                             \
    }
#define CALL_OPEN(i, n)                                                                            \
    {                                                                                              \
        .kind = REPLY_OPEN, .block = REPLY_TOOL_CALL, .id = SPAN_OF(i), .name = SPAN_OF(n)         \
    }
#define DELTA(b, d, t)                                                                             \
    {                                                                                              \
        .kind = REPLY_DELTA, .block = b, .delta = d, .text = SPAN_OF(t)                            \
    }
#define CLOSE(b)                                                                                   \
    {                                                                                              \
        .kind = REPLY_CLOSE, .block = b                                                            \
    }
#define STOP(s)                                                                                    \
    {                                                                                              \
        .kind = REPLY_STOP, .stop = s                                                              \
    }
#define USAGE_OF(in, out_tok, read, written, thought)                                              \
    {                                                                                              \
        .kind = REPLY_USAGE, .reasoning_tok = thought, .usage = {                                  \
            .n = {[USAGE_input_tok] = in,                                                          \
                  [USAGE_output_tok] = out_tok,                                                    \
                  [USAGE_cache_read_tok] = read,                                                   \
                  [USAGE_cache_write_5m_tok] = written},                                           \
            .seen = 15                                                                             \
        }                                                                                          \
    }
#define END                                                                                        \
    {                                                                                              \
        .kind = REPLY_END                                                                          \
    }

/* Tells the events; what comes out is in `out`. */
static void tell(const struct reply *events, size_t n)
{
    struct reply_grammar grammar = {.started = false};
    struct door_writer *w = door_openai.open(&answer);
    ck_assert_ptr_nonnull(w);
    buf_reset(&out);
    for (size_t i = 0; i < n; i++) {
        const char *wrong = reply_check(&grammar, &events[i]);
        ck_assert_msg(wrong == NULL, "event %zu: %s", i, wrong);
        size_t before = out.len;
        ck_assert(door_openai.write(w, &events[i], &out));
        ck_assert(answer.stream || events[i].kind == REPLY_END || out.len == before);
    }
    door_openai.close(w);
    buf_addc(&out, '\0');
}
#define TELL(...)                                                                                  \
    do {                                                                                           \
        const struct reply events[] = {__VA_ARGS__};                                               \
        tell(events, ROWS(events));                                                                \
    } while (0)

/* ---- by example ---- */

#define HEAD                                                                                       \
    "data: {\"id\":\"msg_1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"         \
    "\"model\":\"acme/large\","
#define CHUNK(delta)                                                                               \
    HEAD "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,"                      \
         "\"finish_reason\":null}]}\n\n"
#define FINISH(reason)                                                                             \
    HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"                               \
         "\"finish_reason\":\"" reason "\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define FIRST CHUNK("\"role\":\"assistant\",\"content\":\"\"")
#define ARGUMENTS(i, text)                                                                         \
    CHUNK("\"tool_calls\":[{\"index\":" i ",\"function\":{\"arguments\":\"" text "\"}}]")
#define CALL(i, id, name)                                                                          \
    CHUNK("\"tool_calls\":[{\"index\":" i ",\"id\":\"" id                                          \
          "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"\"}}]")

START_TEST(test_a_stream_of_text)
{
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "He"),
         DELTA(REPLY_TEXT, DELTA_TEXT, ""), DELTA(REPLY_TEXT, DELTA_TEXT, "y\n\"\xc3\xa9"),
         CLOSE(REPLY_TEXT), USAGE_OF(9, 4, 0, 0, -1), STOP(STOPPED_END), END);
    ck_assert_str_eq(out.ptr, FIRST CHUNK("\"content\":\"He\"")
                                  CHUNK("\"content\":\"y\\n\\\"\xc3\xa9\"") FINISH("stop") DONE);
}
END_TEST

/* Usage only where it was asked for, in a chunk of its own; on the others it is absent, since
 * OpenRouter's client does not take a null. */
START_TEST(test_a_stream_with_usage)
{
    answer.include_usage = true;
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "a"), CLOSE(REPLY_TEXT),
         STOP(STOPPED_LENGTH), USAGE_OF(100, 40, 1000, 20, 30), END);
    ck_assert_str_eq(out.ptr, FIRST CHUNK("\"content\":\"a\"") FINISH("length") HEAD
                     "\"choices\":[],\"usage\":{\"prompt_tokens\":1120,\"completion_tokens\":40,"
                     "\"total_tokens\":1160,\"prompt_tokens_details\":{\"cached_tokens\":1000,"
                     "\"cache_write_tokens\":20},\"completion_tokens_details\":{\"reasoning_"
                     "tokens\":30}}}\n\n" DONE);
    /* the provider stated none: none is made up */
    TELL(START, STOP(STOPPED_END), END);
    ck_assert_str_eq(out.ptr, FIRST FINISH("stop") DONE);
}
END_TEST

START_TEST(test_a_stream_of_tool_calls)
{
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "ok"), CLOSE(REPLY_TEXT),
         CALL_OPEN("c1", "f"), DELTA(REPLY_TOOL_CALL, DELTA_ARGUMENTS, "{\"a\":"),
         DELTA(REPLY_TOOL_CALL, DELTA_ARGUMENTS, "1}"), CLOSE(REPLY_TOOL_CALL),
         CALL_OPEN("c2", "g"), CLOSE(REPLY_TOOL_CALL), STOP(STOPPED_TOOL), END);
    ck_assert_str_eq(out.ptr,
                     FIRST CHUNK("\"content\":\"ok\"") CALL("0", "c1", "f")
                         ARGUMENTS("0", "{\\\"a\\\":") ARGUMENTS("0", "1}") CALL("1", "c2", "g")
                             ARGUMENTS("1", "{}") FINISH("tool_calls") DONE);
}
END_TEST

/* Each client knows one of the names. */
START_TEST(test_a_stream_of_thinking)
{
    static const struct reply redacted = {
        .kind = REPLY_OPEN, .block = REPLY_REDACTED, .signature = SPAN_OF("wf:bedrock:b3A=")};
    TELL(START, OPEN(REPLY_THINKING), DELTA(REPLY_THINKING, DELTA_TEXT, "hm"),
         DELTA(REPLY_THINKING, DELTA_SIGNATURE, "c2ln"), CLOSE(REPLY_THINKING), redacted,
         CLOSE(REPLY_REDACTED), OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "a"),
         CLOSE(REPLY_TEXT), STOP(STOPPED_END), END);
    ck_assert_str_eq(
        out.ptr,
        FIRST CHUNK("\"reasoning_content\":\"hm\",\"reasoning\":\"hm\",\"reasoning_details\":[{"
                    "\"type\":\"reasoning.text\",\"text\":\"hm\",\"index\":0}]")
            CHUNK("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":\"c2ln\","
                  "\"format\":\"anthropic-claude-v1\",\"index\":0}]")
                CHUNK("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":"
                      "\"wf:bedrock:b3A=\",\"format\":\"unknown\",\"index\":1}]")
                    CHUNK("\"content\":\"a\"") FINISH("stop") DONE);
    answer.hide_thinking = true;
    TELL(START, OPEN(REPLY_THINKING), DELTA(REPLY_THINKING, DELTA_TEXT, "hm"),
         DELTA(REPLY_THINKING, DELTA_SIGNATURE, "c2ln"), CLOSE(REPLY_THINKING), redacted,
         CLOSE(REPLY_REDACTED), STOP(STOPPED_END), END);
    ck_assert_str_eq(out.ptr, FIRST FINISH("stop") DONE);
}
END_TEST

START_TEST(test_a_stream_with_citations)
{
    static const struct reply web = {
        .kind = REPLY_DELTA,
        .block = REPLY_TEXT,
        .delta = DELTA_CITATION,
        .citation = {.url = SPAN_OF("https://x"), .title = SPAN_OF("X"), .quoted = SPAN_OF("q")}};
    static const struct reply document = {
        .kind = REPLY_DELTA,
        .block = REPLY_TEXT,
        .delta = DELTA_CITATION,
        .citation = {.json = SPAN_OF("{}"), .json_of = "anthropic"}};
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "\xc3\xa9t\xc3\xa9 "),
         CLOSE(REPLY_TEXT), OPEN(REPLY_TEXT), web, document, DELTA(REPLY_TEXT, DELTA_TEXT, "cit"),
         CLOSE(REPLY_TEXT), STOP(STOPPED_END), END);
    ck_assert_str_eq(
        out.ptr, FIRST CHUNK("\"content\":\"\xc3\xa9t\xc3\xa9 \"") CHUNK("\"content\":\"cit\"")
                     CHUNK("\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"url\":"
                           "\"https://x\",\"title\":\"X\",\"content\":\"q\",\"start_index\":4,"
                           "\"end_index\":7}}]") FINISH("stop") DONE);
}
END_TEST

START_TEST(test_refusals_and_pictures)
{
    static const struct reply picture = {
        .kind = REPLY_OPEN,
        .block = REPLY_IMAGE,
        .media = {.from = MEDIA_BASE64, .type = SPAN_OF("image/png"), .data = SPAN_OF("iVBO")}};
    /* refused in words: OpenAI's way, the reason is an ordinary stop */
    TELL(START, OPEN(REPLY_REFUSAL), DELTA(REPLY_REFUSAL, DELTA_TEXT, "no"), CLOSE(REPLY_REFUSAL),
         STOP(STOPPED_REFUSAL), END);
    ck_assert_str_eq(out.ptr, FIRST CHUNK("\"refusal\":\"no\"") FINISH("stop") DONE);
    /* cut off by a filter */
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "a"), CLOSE(REPLY_TEXT),
         STOP(STOPPED_REFUSAL), END);
    ck_assert_str_eq(out.ptr, FIRST CHUNK("\"content\":\"a\"") FINISH("content_filter") DONE);
    TELL(START, picture, CLOSE(REPLY_IMAGE), STOP(STOPPED_END), END);
    ck_assert_str_eq(out.ptr,
                     FIRST CHUNK("\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                                 "\"data:image/png;base64,iVBO\"}}]") FINISH("stop") DONE);
}
END_TEST

/* A signature that has no place but the id (schema/toolsig.h). */
START_TEST(test_signed_tool_calls)
{
    static const struct reply call = {.kind = REPLY_OPEN,
                                      .block = REPLY_TOOL_CALL,
                                      .id = SPAN_OF("c1"),
                                      .name = SPAN_OF("f"),
                                      .signature = SPAN_OF("wf:gemini:CiQB")};
    TELL(START, call, CLOSE(REPLY_TOOL_CALL), STOP(STOPPED_TOOL), END);
    ck_assert_str_eq(out.ptr, FIRST CALL("0", "c1_wfsig_Z2VtaW5pOkNpUUI", "f") ARGUMENTS("0", "{}")
                                  FINISH("tool_calls") DONE);
}
END_TEST

START_TEST(test_finish_reasons)
{
    static const char *const words[] = {
        [STOPPED_END] = "stop",
        [STOPPED_LENGTH] = "length",
        [STOPPED_SEQUENCE] = "stop",
        [STOPPED_TOOL] = "tool_calls",
        [STOPPED_REFUSAL] = "content_filter",
        [STOPPED_PAUSE] = "stop",
        [STOPPED_CONTEXT] = "length",
    };
    for (size_t i = 0; i < ROWS(words); i++) {
        char want[64];
        snprintf(want, sizeof(want), "\"finish_reason\":\"%s\"", words[i]);
        TELL(START, STOP((enum reply_stop)i), END);
        ck_assert_msg(strstr(out.ptr, want) != NULL, "%s: %s", want, out.ptr);
    }
}
END_TEST

/* litellm#34692: "stop" behind a tool call, and the client does not run it. */
START_TEST(test_tool_call_is_never_an_ordinary_stop)
{
    for (int stream = 0; stream < 2; stream++) {
        answer.stream = stream != 0;
        TELL(START, CALL_OPEN("c1", "f"), CLOSE(REPLY_TOOL_CALL), STOP(STOPPED_END), END);
        ck_assert_ptr_nonnull(strstr(out.ptr, "\"finish_reason\":\"tool_calls\""));
        TELL(START, CALL_OPEN("c1", "f"), CLOSE(REPLY_TOOL_CALL), STOP(STOPPED_LENGTH), END);
        ck_assert_ptr_nonnull(strstr(out.ptr, "\"finish_reason\":\"length\""));
    }
}
END_TEST

/* An answer without its end: no reason, no [DONE]. */
START_TEST(test_truncated_stays_truncated)
{
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "a"), CLOSE(REPLY_TEXT),
         STOP(STOPPED_END));
    ck_assert_str_eq(out.ptr, FIRST CHUNK("\"content\":\"a\""));
    answer.stream = false;
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "a"), CLOSE(REPLY_TEXT),
         STOP(STOPPED_END));
    ck_assert_str_eq(out.ptr, "");
}
END_TEST

START_TEST(test_errors_inside_of_a_stream)
{
    static const struct reply overloaded = {.kind = REPLY_ERROR,
                                            .error = {.http_status = 529,
                                                      .type = SPAN_OF("overloaded_error"),
                                                      .message = SPAN_OF("Busy")}};
    static const struct reply bare = {.kind = REPLY_ERROR};
    TELL(START, OPEN(REPLY_TEXT), DELTA(REPLY_TEXT, DELTA_TEXT, "a"), overloaded);
    ck_assert_str_eq(
        out.ptr, FIRST CHUNK("\"content\":\"a\"") HEAD
        "\"error\":{\"code\":529,\"message\":\"Busy\",\"type\":\"overloaded_error\"},\"choices\":[{"
        "\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,\"finish_reason\":\"error\"}]}"
        "\n\n");
    /* before anything else */
    TELL(bare);
    ck_assert_str_eq(
        out.ptr,
        "data: {\"id\":\"gen_1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
        "\"model\":\"acme/large\",\"error\":{\"code\":502,\"message\":\"The provider reported an "
        "error.\",\"type\":\"server_error\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}"
        ","
        "\"logprobs\":null,\"finish_reason\":\"error\"}]}\n\n");
}
END_TEST

START_TEST(test_a_report)
{
    answer.report = answer.include_usage = true;
    answer.provider = "acme/fast";
    answer.cost_usd = "0.000123457";
    TELL(START, STOP(STOPPED_END), USAGE_OF(1, 2, 0, 0, -1), END);
    ck_assert_ptr_nonnull(strstr(out.ptr, "\"model\":\"acme/large\",\"provider\":\"acme/fast\","));
    ck_assert_ptr_nonnull(
        strstr(out.ptr, "\"prompt_tokens_details\":{\"cached_tokens\":0},\"cost\":0.000123457,"
                        "\"cost_details\":{\"upstream_inference_cost\":0.000123457}}}\n\n"));
    answer.cost_usd = NULL;
    TELL(START, STOP(STOPPED_END), USAGE_OF(1, 2, 0, 0, -1), END);
    ck_assert_ptr_null(strstr(out.ptr, "cost"));
}
END_TEST

START_TEST(test_a_body)
{
    static const struct reply start = {.kind = REPLY_START, .created_s = 5};
    answer.stream = false;
    TELL(start, OPEN(REPLY_THINKING), DELTA(REPLY_THINKING, DELTA_TEXT, "hm"),
         DELTA(REPLY_THINKING, DELTA_SIGNATURE, "c2ln"), CLOSE(REPLY_THINKING), OPEN(REPLY_TEXT),
         DELTA(REPLY_TEXT, DELTA_TEXT, "o"), DELTA(REPLY_TEXT, DELTA_TEXT, "k"), CLOSE(REPLY_TEXT),
         CALL_OPEN("c1", "f"), DELTA(REPLY_TOOL_CALL, DELTA_ARGUMENTS, "{\"a\":1}"),
         CLOSE(REPLY_TOOL_CALL), STOP(STOPPED_TOOL), USAGE_OF(10, 5, 0, 0, 2), END);
    ck_assert_str_eq(
        out.ptr,
        "{\"id\":\"gen_1\",\"object\":\"chat.completion\",\"created\":5,\"model\":\"acme/large\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"ok\","
        "\"refusal\":null,\"reasoning_content\":\"hm\",\"reasoning\":\"hm\",\"reasoning_details\":["
        "{"
        "\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"c2ln\",\"format\":"
        "\"anthropic-claude-v1\",\"index\":0}],\"tool_calls\":[{\"id\":\"c1\",\"type\":"
        "\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}],\"annotations\":[]},"
        "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":10,"
        "\"completion_tokens\":5,\"total_tokens\":15,\"prompt_tokens_details\":{\"cached_tokens\":"
        "0}"
        ",\"completion_tokens_details\":{\"reasoning_tokens\":2}}}");
    TELL(START, STOP(STOPPED_END), END);
    ck_assert_ptr_nonnull(strstr(out.ptr, "\"content\":\"\",\"refusal\":null,\"annotations\":[]}"));
    ck_assert_ptr_null(strstr(out.ptr, "usage"));
    TELL(START, CALL_OPEN("c1", "f"), CLOSE(REPLY_TOOL_CALL), STOP(STOPPED_TOOL), END);
    ck_assert_ptr_nonnull(strstr(out.ptr, "\"content\":null,"));
    TELL(START, OPEN(REPLY_REFUSAL), DELTA(REPLY_REFUSAL, DELTA_TEXT, "no"), CLOSE(REPLY_REFUSAL),
         STOP(STOPPED_REFUSAL), END);
    ck_assert_ptr_nonnull(strstr(out.ptr, "\"content\":null,\"refusal\":\"no\","));
    ck_assert_ptr_nonnull(strstr(out.ptr, "\"finish_reason\":\"stop\""));
}
END_TEST

/* ---- a plain client ---- */

enum { CALLS_MAX = 16 };

struct client {
    char id[64], finish[32];
    struct buf content, reasoning, details_text, refusal, images, annotations;
    struct buf signatures; /* each ended by a line end */
    int n_calls;
    struct {
        char id[64], name[64];
        struct buf arguments;
    } calls[CALLS_MAX];
    int64_t prompt_tok, completion_tok;
    bool has_usage, done;
};

static void client_init(struct client *c)
{
    memset(c, 0, sizeof(*c));
    struct buf *all[] = {&c->content, &c->reasoning,   &c->details_text, &c->refusal,
                         &c->images,  &c->annotations, &c->signatures};
    for (size_t i = 0; i < ROWS(all); i++)
        buf_init(all[i], OUT_MAX);
    for (int i = 0; i < CALLS_MAX; i++)
        buf_init(&c->calls[i].arguments, OUT_MAX);
}

static void client_done(struct client *c)
{
    struct buf *all[] = {&c->content, &c->reasoning,   &c->details_text, &c->refusal,
                         &c->images,  &c->annotations, &c->signatures};
    for (size_t i = 0; i < ROWS(all); i++)
        buf_done(all[i]);
    for (int i = 0; i < CALLS_MAX; i++)
        buf_done(&c->calls[i].arguments);
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

static void add_string(struct buf *to, struct json_object *v)
{
    if (v != NULL)
        buf_add(to, json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static void set_string(char *to, size_t cap, struct json_object *v)
{
    if (v != NULL)
        snprintf(to, cap, "%s", json_object_get_string(v));
}

static void client_call(struct client *c, struct json_object *call, int index)
{
    struct json_object *function = member(call, "function");
    ck_assert_int_lt(index, CALLS_MAX);
    /* a call begins with all of its head, in order */
    ck_assert_int_le(index, c->n_calls);
    ck_assert((index == c->n_calls) == (member(call, "id") != NULL));
    if (index == c->n_calls) {
        ck_assert_str_eq(json_object_get_string(member(call, "type")), "function");
        c->n_calls++;
    }
    set_string(c->calls[index].id, sizeof(c->calls[index].id), member(call, "id"));
    set_string(c->calls[index].name, sizeof(c->calls[index].name), member(function, "name"));
    add_string(&c->calls[index].arguments, member(function, "arguments"));
}

static void client_details(struct client *c, struct json_object *details)
{
    for (size_t i = 0; i < json_object_array_length(details); i++) {
        struct json_object *e = json_object_array_get_idx(details, i);
        add_string(&c->details_text, member(e, "text"));
        struct json_object *sign =
            member(e, "signature") != NULL ? member(e, "signature") : member(e, "data");
        if (sign != NULL) {
            add_string(&c->signatures, sign);
            buf_addc(&c->signatures, '\n');
        }
    }
}

static void client_citations(struct client *c, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *of = member(json_object_array_get_idx(list, i), "url_citation");
        buf_addf(&c->annotations, "%s %lld-%lld\n", json_object_get_string(member(of, "url")),
                 (long long)json_object_get_int64(member(of, "start_index")),
                 (long long)json_object_get_int64(member(of, "end_index")));
    }
}

/* A message or a delta. */
static void client_message(struct client *c, struct json_object *m)
{
    struct json_object *calls = member(m, "tool_calls"), *images = member(m, "images");
    add_string(&c->content, member(m, "content"));
    add_string(&c->refusal, member(m, "refusal"));
    add_string(&c->reasoning, member(m, "reasoning"));
    struct json_object *same = member(m, "reasoning_content");
    ck_assert((same == NULL) == (member(m, "reasoning") == NULL));
    if (member(m, "reasoning_details") != NULL)
        client_details(c, member(m, "reasoning_details"));
    if (member(m, "annotations") != NULL)
        client_citations(c, member(m, "annotations"));
    for (size_t i = 0; calls != NULL && i < json_object_array_length(calls); i++) {
        struct json_object *call = json_object_array_get_idx(calls, i);
        struct json_object *index = member(call, "index");
        client_call(c, call, index != NULL ? json_object_get_int(index) : (int)i);
    }
    for (size_t i = 0; images != NULL && i < json_object_array_length(images); i++) {
        struct json_object *of = member(json_object_array_get_idx(images, i), "image_url");
        add_string(&c->images, member(of, "url"));
    }
}

static void client_usage(struct client *c, struct json_object *usage)
{
    ck_assert(!c->has_usage && usage != NULL);
    c->has_usage = true;
    c->prompt_tok = json_object_get_int64(member(usage, "prompt_tokens"));
    c->completion_tok = json_object_get_int64(member(usage, "completion_tokens"));
    ck_assert_int_eq(json_object_get_int64(member(usage, "total_tokens")),
                     c->prompt_tok + c->completion_tok);
}

static void client_object(struct client *c, struct json_object *o, const char *message)
{
    struct json_object *choices = member(o, "choices"), *choice;
    ck_assert_ptr_nonnull(choices);
    set_string(c->id, sizeof(c->id), member(o, "id"));
    if (json_object_object_get_ex(o, "usage", &choice))
        client_usage(c, choice);
    if (json_object_array_length(choices) == 0)
        return;
    ck_assert_str_eq(c->finish, "");
    choice = json_object_array_get_idx(choices, 0);
    client_message(c, member(choice, message));
    set_string(c->finish, sizeof(c->finish), member(choice, "finish_reason"));
}

static struct json_object *parse(struct span text)
{
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(tok, text.ptr, (int)text.len);
    ck_assert_msg(json_tokener_get_error(tok) == json_tokener_success, "%.*s", (int)text.len,
                  text.ptr);
    json_tokener_free(tok);
    return o;
}

/* Each event is one line of data. */
static void client_reads_stream(struct client *c)
{
    const char *at = out.ptr, *end;
    for (; *at != '\0'; at = end + 2) {
        ck_assert(strncmp(at, "data: ", 6) == 0);
        end = strstr(at, "\n\n");
        ck_assert_ptr_nonnull(end);
        struct span data = {at + 6, (size_t)(end - at) - 6};
        ck_assert_ptr_null(memchr(data.ptr, '\n', data.len));
        ck_assert(!c->done);
        c->done = span_is(data, "[DONE]");
        if (c->done)
            continue;
        struct json_object *o = parse(data);
        client_object(c, o, "delta");
        json_object_put(o);
    }
}

/* ---- answers drawn at random ---- */

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(dice >> 33) % sides;
}

static const struct span words[] = {SPAN_OF("a"),
                                    SPAN_OF(""),
                                    SPAN_OF("\"\\\n\t"),
                                    SPAN_OF("\xc3\xa9"),
                                    SPAN_OF("\xf0\x9f\x98\x80 x"),
                                    SPAN_OF("data: [DONE]\n\n"),
                                    SPAN_OF("{\"k\":1}")};

static struct span word(void)
{
    return words[roll(ROWS(words))];
}

struct drawn {
    struct reply at[EVENTS_MAX];
    size_t n;
    char ids[CALLS_MAX][16];
    int n_calls;
};

static void draw(struct drawn *d, struct reply r)
{
    ck_assert_uint_lt(d->n, EVENTS_MAX);
    d->at[d->n++] = r;
}

static void draw_delta(struct drawn *d, enum reply_block block)
{
    struct reply r = {.kind = REPLY_DELTA, .block = block, .delta = DELTA_TEXT, .text = word()};
    if (block == REPLY_TOOL_CALL)
        r.delta = DELTA_ARGUMENTS;
    if (block == REPLY_TEXT && roll(4) == 0) {
        r.delta = DELTA_CITATION;
        r.citation.url = SPAN("https://x");
        r.citation.title = r.text;
    }
    draw(d, r);
}

static void draw_block(struct drawn *d)
{
    static const enum reply_block kinds[] = {REPLY_TEXT,     REPLY_TEXT,      REPLY_THINKING,
                                             REPLY_REDACTED, REPLY_TOOL_CALL, REPLY_REFUSAL,
                                             REPLY_IMAGE,    REPLY_RAW};
    struct reply open = {.kind = REPLY_OPEN, .block = kinds[roll(ROWS(kinds))]};
    if (open.block == REPLY_TOOL_CALL) {
        snprintf(d->ids[d->n_calls], sizeof(d->ids[0]), "c%d", d->n_calls);
        open.id = span_of(d->ids[d->n_calls++]);
        open.name = SPAN("f");
    }
    if (open.block == REPLY_REDACTED)
        open.signature = SPAN("b3A=");
    if (open.block == REPLY_IMAGE)
        open.media = (struct dialog_media){.type = SPAN("image/png"), .data = SPAN("iVBO")};
    draw(d, open);
    bool has_deltas =
        open.block != REPLY_REDACTED && open.block != REPLY_IMAGE && open.block != REPLY_RAW;
    for (unsigned n = has_deltas ? roll(5) : 0; n > 0; n--)
        draw_delta(d, open.block);
    if (open.block == REPLY_THINKING && roll(2) == 0)
        draw(d, (struct reply){.kind = REPLY_DELTA,
                               .block = REPLY_THINKING,
                               .delta = DELTA_SIGNATURE,
                               .text = SPAN("c2ln")});
    draw(d, (struct reply){.kind = REPLY_CLOSE, .block = open.block});
}

static void draw_answer(struct drawn *d)
{
    d->n = 0;
    d->n_calls = 0;
    draw(d, (struct reply){.kind = REPLY_START, .id = roll(2) == 0 ? SPAN("msg_1") : SPAN("")});
    for (unsigned n = roll(8); n > 0; n--)
        draw_block(d);
    draw(d, (struct reply){.kind = REPLY_STOP, .stop = (enum reply_stop)roll(STOPPED_CONTEXT + 1)});
    if (roll(2) == 0) {
        struct reply u = USAGE_OF((int64_t)roll(100), (int64_t)roll(100), (int64_t)roll(9),
                                  (int64_t)roll(9), -1);
        draw(d, u);
    }
    draw(d, (struct reply){.kind = REPLY_END});
}

/* What was told, in the client's words. */
static void expect_texts(const struct reply_whole *w, struct client *want)
{
    for (const struct dialog_block *b = w->content.first; b != NULL; b = b->next) {
        struct buf *to = b->kind == BLOCK_TEXT       ? &want->content
                         : b->kind == BLOCK_THINKING ? &want->reasoning
                         : b->kind == BLOCK_REFUSAL  ? &want->refusal
                                                     : NULL;
        if (to != NULL)
            buf_add_span(to, b->text);
        if (b->kind == BLOCK_IMAGE)
            buf_adds(&want->images, "data:image/png;base64,iVBO");
        if (b->signature.len > 0) {
            buf_add_span(&want->signatures, b->signature);
            buf_addc(&want->signatures, '\n');
        }
    }
    buf_add_span(&want->details_text, buf_span(&want->reasoning));
}

static void expect_calls(const struct reply_whole *w, struct client *want)
{
    for (const struct dialog_block *b = w->content.first; b != NULL; b = b->next) {
        if (b->kind != BLOCK_TOOL_CALL)
            continue;
        snprintf(want->calls[want->n_calls].id, 64, "%.*s", (int)b->id.len, b->id.ptr);
        snprintf(want->calls[want->n_calls].name, 64, "%.*s", (int)b->name.len, b->name.ptr);
        buf_add_span(&want->calls[want->n_calls++].arguments, b->json);
    }
}

static void compare_buf(const struct buf *seen, const struct buf *want)
{
    ck_assert_msg(span_eq(buf_span(seen), buf_span(want)), "seen %.*s, told %.*s", (int)seen->len,
                  seen->ptr, (int)want->len, want->ptr);
}

static void compare(const struct client *seen, const struct client *want,
                    const struct reply_whole *told)
{
    compare_buf(&seen->content, &want->content);
    compare_buf(&seen->reasoning, &want->reasoning);
    compare_buf(&seen->details_text, &want->details_text);
    compare_buf(&seen->refusal, &want->refusal);
    compare_buf(&seen->images, &want->images);
    compare_buf(&seen->signatures, &want->signatures);
    ck_assert_int_eq(seen->n_calls, want->n_calls);
    for (int i = 0; i < seen->n_calls; i++) {
        ck_assert_str_eq(seen->calls[i].id, want->calls[i].id);
        ck_assert_str_eq(seen->calls[i].name, want->calls[i].name);
        compare_buf(&seen->calls[i].arguments, &want->calls[i].arguments);
    }
    ck_assert_str_eq(seen->id, told->id.len > 0 ? "msg_1" : "gen_1");
    ck_assert_str_ne(seen->finish, "");
    ck_assert(seen->has_usage == (told->usage.seen != 0));
    ck_assert_int_eq(seen->prompt_tok, usage_prompt_tok(&told->usage));
    ck_assert_int_eq(seen->completion_tok, told->usage.n[USAGE_output_tok]);
}

static void check_answer(const struct drawn *d)
{
    struct reply_whole told;
    struct client want, streamed, whole;
    reply_whole_init(&told);
    client_init(&want);
    client_init(&streamed);
    client_init(&whole);
    for (size_t i = 0; i < d->n; i++)
        ck_assert(reply_gather(&told, &d->at[i]));
    expect_texts(&told, &want);
    expect_calls(&told, &want);
    answer.stream = true;
    tell(d->at, d->n);
    client_reads_stream(&streamed);
    ck_assert(streamed.done);
    compare(&streamed, &want, &told);
    answer.stream = false;
    tell(d->at, d->n);
    struct json_object *o = parse((struct span){out.ptr, out.len - 1});
    client_object(&whole, o, "message");
    json_object_put(o);
    compare(&whole, &want, &told);
    ck_assert_str_eq(whole.finish, streamed.finish);
    compare_buf(&whole.annotations, &streamed.annotations);
    reply_whole_done(&told);
    client_done(&want);
    client_done(&streamed);
    client_done(&whole);
}

START_TEST(test_a_client_gets_what_was_told)
{
    struct drawn d;
    answer.include_usage = true;
    for (dice = 1; dice <= RANDOM_ANSWERS;) {
        uint64_t seed = dice;
        draw_answer(&d);
        check_answer(&d);
        dice = seed + 1;
    }
}
END_TEST

/* A limit that is reached is told, not passed over. */
START_TEST(test_limits)
{
    static const struct reply start = START, open = OPEN(REPLY_TEXT),
                              delta = DELTA(REPLY_TEXT, DELTA_TEXT, "too much");
    struct buf small;
    struct door_writer *w = door_openai.open(&answer);
    buf_init(&small, 200);
    ck_assert(door_openai.write(w, &start, &small));
    ck_assert(door_openai.write(w, &open, &small));
    ck_assert(!door_openai.write(w, &delta, &small));
    door_openai.close(w);
    door_openai.close(NULL);
    buf_done(&small);
}
END_TEST

Suite *openai_door_write_suite(void);
Suite *openai_door_write_suite(void)
{
    Suite *s = suite_create("openai_door_write");
    TCase *t = tcase_create("openai_door_write");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_a_stream_of_text);
    tcase_add_test(t, test_a_stream_with_usage);
    tcase_add_test(t, test_a_stream_of_tool_calls);
    tcase_add_test(t, test_a_stream_of_thinking);
    tcase_add_test(t, test_a_stream_with_citations);
    tcase_add_test(t, test_refusals_and_pictures);
    tcase_add_test(t, test_signed_tool_calls);
    tcase_add_test(t, test_finish_reasons);
    tcase_add_test(t, test_tool_call_is_never_an_ordinary_stop);
    tcase_add_test(t, test_truncated_stays_truncated);
    tcase_add_test(t, test_errors_inside_of_a_stream);
    tcase_add_test(t, test_a_report);
    tcase_add_test(t, test_a_body);
    tcase_add_test(t, test_a_client_gets_what_was_told);
    tcase_add_test(t, test_limits);
    suite_add_tcase(s, t);
    return s;
}
