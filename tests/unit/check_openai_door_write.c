/* Unit tests of OpenAI's door, answers: reply events into chunks and bodies.  Beside examples of
 * the exact text there is a client of the plainest kind (openai_client.h): what it makes of a
 * stream and of a body is what was told, for answers drawn at random. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "tests/unit/openai_client.h"

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

/* portkey#1399: a client that hears no role takes no tool calls. */
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
    char ids[OPENAI_CALLS_MAX][16];
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

static void check_answer(const struct drawn *d)
{
    struct reply_whole told;
    struct openai_client streamed, whole;
    reply_whole_init(&told);
    for (size_t i = 0; i < d->n; i++)
        ck_assert(reply_gather(&told, &d->at[i]));
    openai_client_init(&streamed);
    openai_client_init(&whole);
    answer.stream = true;
    tell(d->at, d->n);
    openai_client_stream(&streamed, out.ptr);
    ck_assert(streamed.done);
    openai_client_compare(&streamed, &told, answer.generation_id);
    answer.stream = false;
    tell(d->at, d->n);
    openai_client_body(&whole, out.ptr);
    openai_client_compare(&whole, &told, answer.generation_id);
    ck_assert_str_eq(whole.finish, streamed.finish);
    ck_assert(span_eq(buf_span(&whole.annotations), buf_span(&streamed.annotations)));
    reply_whole_done(&told);
    openai_client_done(&streamed);
    openai_client_done(&whole);
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
