/* Real recorded answers through the Bedrock adapter, where they are to be had (WAYFARE_SHARED,
 * default "../shared"): whole, byte by byte and at the recorded network pieces.  Usage, text and
 * arguments are computed a second time here, with json-c and the plainest reading of the bytes.
 * InvokeModel of other makers than Anthropic is not used by the adapter: those are passed over. */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/golden.h"
#include "tests/unit/recordings.h"

enum { TEXT_MAX = 1 << 20, CONVERSE_MIN = 16, INVOKE_MIN = 5 };

/* What an answer holds. */
struct content {
    struct buf text, thinking, arguments, signature;
    int64_t input, output, cache_read, cache_write;
    int n_calls;
    bool error;
};

static void content_init(struct content *c)
{
    *c = (struct content){.input = 0};
    buf_init(&c->text, TEXT_MAX);
    buf_init(&c->thinking, TEXT_MAX);
    buf_init(&c->arguments, TEXT_MAX);
    buf_init(&c->signature, TEXT_MAX);
}

static void content_done(struct content *c)
{
    buf_done(&c->text);
    buf_done(&c->thinking);
    buf_done(&c->arguments);
    buf_done(&c->signature);
}

/* ---- the plain reading ---- */

static void add(struct buf *to, struct json_object *string)
{
    if (json_object_is_type(string, json_type_string))
        buf_adds(to, json_object_get_string(string));
}

static void larger(int64_t *to, struct json_object *number)
{
    int64_t n = json_object_get_int64(number);
    *to = n > *to ? n : *to;
}

static void read_usage(struct content *c, struct json_object *u)
{
    larger(&c->input, recording_member(u, "inputTokens"));
    larger(&c->output, recording_member(u, "outputTokens"));
    larger(&c->cache_read, recording_member(u, "cacheReadInputTokens"));
    larger(&c->cache_write, recording_member(u, "cacheWriteInputTokens"));
    larger(&c->input, recording_member(u, "input_tokens"));
    larger(&c->output, recording_member(u, "output_tokens"));
    larger(&c->cache_read, recording_member(u, "cache_read_input_tokens"));
    larger(&c->cache_write, recording_member(u, "cache_creation_input_tokens"));
}

/* A block of a body, of either protocol. */
static void read_block(struct content *c, struct json_object *b)
{
    struct json_object *use = recording_member(b, "toolUse"),
                       *reasoning = recording_member(b, "reasoningContent");
    struct json_object *cited =
        recording_member(recording_member(b, "citationsContent"), "content");
    struct json_object *input =
        use != NULL ? recording_member(use, "input") : recording_member(b, "input");
    add(&c->text, recording_member(b, "text"));
    add(&c->thinking, recording_member(recording_member(reasoning, "reasoningText"), "text"));
    add(&c->signature, recording_member(recording_member(reasoning, "reasoningText"), "signature"));
    for (size_t i = 0; cited != NULL && i < json_object_array_length(cited); i++)
        add(&c->text, recording_member(json_object_array_get_idx(cited, i), "text"));
    if (input != NULL) {
        buf_adds(&c->arguments, json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN));
        c->n_calls++;
    }
}

static void read_plain_body(struct content *c, struct json_object *body)
{
    struct json_object *list =
        recording_member(recording_member(recording_member(body, "output"), "message"), "content");
    if (list == NULL)
        list = recording_member(body, "content");
    for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++)
        read_block(c, json_object_array_get_idx(list, i));
    read_usage(c, recording_member(body, "usage"));
    c->error = list == NULL;
}

/* The payload of one message of a stream. */
static void read_plain_event(struct content *c, struct json_object *e)
{
    struct json_object *d = recording_member(e, "delta"),
                       *reasoning = recording_member(d, "reasoningContent");
    add(&c->text, recording_member(d, "text"));
    add(&c->thinking, recording_member(reasoning, "text"));
    add(&c->signature, recording_member(reasoning, "signature"));
    add(&c->arguments, recording_member(recording_member(d, "toolUse"), "input"));
    add(&c->arguments, recording_member(d, "partial_json"));
    c->n_calls += recording_member(recording_member(e, "start"), "toolUse") != NULL;
    struct json_object *type = recording_member(recording_member(e, "content_block"), "type");
    c->n_calls += type != NULL && strcmp(json_object_get_string(type), "tool_use") == 0;
    read_usage(c, recording_member(e, "usage"));
    read_usage(c, recording_member(recording_member(e, "message"), "usage"));
    /* A message that is text is an exception's. */
    c->error = c->error || json_object_is_type(recording_member(e, "message"), json_type_string);
}

static uint32_t big_endian(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static struct json_object *parse(const char *text, size_t len)
{
    struct json_tokener *t = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(t, text, (int)len);
    json_tokener_free(t);
    ck_assert(o != NULL);
    return o;
}

static void read_plain_stream(struct content *c, struct span s)
{
    for (size_t at = 0; at < s.len;) {
        size_t total = big_endian(s.ptr + at), headers = big_endian(s.ptr + at + 4);
        struct json_object *e = parse(s.ptr + at + 12 + headers, total - headers - 16);
        struct json_object *bytes = recording_member(e, "bytes");
        if (bytes != NULL) {
            size_t n;
            char *inside = recording_base64(json_object_get_string(bytes), &n);
            json_object_put(e);
            e = parse(inside, n);
            free(inside);
        }
        read_plain_event(c, e);
        json_object_put(e);
        at += total;
    }
}

/* ---- the adapter's ---- */

struct told {
    struct content content;
    struct reply_grammar grammar;
};

static void add_signature(struct buf *to, struct span signature)
{
    static const char mark[] = "wf:bedrock:";
    const size_t n = sizeof(mark) - 1;
    ck_assert(signature.len >= n && memcmp(signature.ptr, mark, n) == 0);
    buf_add(to, signature.ptr + n, signature.len - n);
}

static void on_reply(void *ctx, const struct reply *r)
{
    struct told *t = ctx;
    const char *wrong = reply_check(&t->grammar, r);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    t->content.error = t->content.error || r->kind == REPLY_ERROR;
    t->content.n_calls += r->kind == REPLY_OPEN && r->block == REPLY_TOOL_CALL;
    if (r->kind != REPLY_DELTA)
        return;
    if (r->delta == DELTA_ARGUMENTS)
        buf_add_span(&t->content.arguments, r->text);
    else if (r->delta == DELTA_TEXT)
        buf_add_span(r->block == REPLY_THINKING ? &t->content.thinking : &t->content.text, r->text);
    else if (r->delta == DELTA_SIGNATURE)
        add_signature(&t->content.signature, r->text);
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx, (void)ev;
}

static void same(const char *file, const char *what, struct span got, struct span expected)
{
    ck_assert_msg(span_eq(got, expected), "%s: %s: %.*s\nexpected %.*s", file, what, (int)got.len,
                  got.ptr, (int)expected.len, expected.ptr);
}

static void compare(const char *file, const struct content *got, const struct content *plain,
                    const struct usage *u)
{
    same(file, "text", buf_span(&got->text), buf_span(&plain->text));
    same(file, "thinking", buf_span(&got->thinking), buf_span(&plain->thinking));
    same(file, "signature", buf_span(&got->signature), buf_span(&plain->signature));
    ck_assert_msg(got->n_calls == plain->n_calls, "%s: calls", file);
    ck_assert_msg(got->error == plain->error, "%s: error", file);
    ck_assert_msg(u->n[USAGE_input_tok] == plain->input, "%s: input", file);
    ck_assert_msg(u->n[USAGE_output_tok] == plain->output, "%s: output", file);
    ck_assert_msg(u->n[USAGE_cache_read_tok] == plain->cache_read, "%s: cache read", file);
    ck_assert_msg(u->n[USAGE_cache_write_5m_tok] + u->n[USAGE_cache_write_1h_tok] ==
                      plain->cache_write,
                  "%s: cache write", file);
}

/* In pieces of these sizes, and of this one. */
static void play(const char *file, const struct provider_target *target, struct span s,
                 const struct content *plain, struct json_object *sizes, size_t size)
{
    struct told told = {.grammar = {.started = false}};
    struct reply_sink sink = {on_reply, &told};
    struct provider_reading reading = {.target = target, .sink = &sink};
    static struct usage_report report;
    int64_t bytes;
    content_init(&told.content);
    void *stream = provider_bedrock.stream_open(&reading);
    for (size_t at = 0, i = 0; at < s.len; i++) {
        size_t n = size;
        if (sizes != NULL && i < json_object_array_length(sizes))
            n = (size_t)json_object_get_int64(json_object_array_get_idx(sizes, i));
        n = n < s.len - at ? n : s.len - at;
        ck_assert_msg(
            provider_bedrock.stream_feed(stream, (struct span){s.ptr + at, n}, ignore_event, NULL),
            "%s", file);
        at += n;
    }
    provider_bedrock.stream_finish(stream);
    enum verdict verdict = provider_bedrock.stream_state(stream, &report, &bytes);
    ck_assert_msg(verdict == (plain->error ? VERDICT_ERROR : VERDICT_COMPLETE), "%s: %d", file,
                  verdict);
    compare(file, &told.content, plain, &report.total);
    same(file, "arguments", buf_span(&told.content.arguments), buf_span(&plain->arguments));
    ck_assert_msg(told.grammar.over, "%s: no end", file);
    provider_bedrock.stream_close(stream);
    content_done(&told.content);
}

static void check_stream(const char *file, const struct provider_target *target,
                         struct json_object *response)
{
    size_t len;
    char *bytes = recording_bytes(response, &len);
    struct span s = {bytes, len};
    struct content plain;
    content_init(&plain);
    read_plain_stream(&plain, s);
    play(file, target, s, &plain, NULL, s.len);
    play(file, target, s, &plain, NULL, 1);
    play(file, target, s, &plain, NULL, 37);
    play(file, target, s, &plain, recording_member(response, "chunk_sizes"), s.len);
    content_done(&plain);
    free(bytes);
}

static void check_body(const char *file, const struct provider_target *target,
                       struct json_object *response)
{
    struct json_object *body = recording_member(response, "body");
    struct span s = span_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN));
    if (json_object_get_int(recording_member(response, "status")) >= 400) {
        struct buf store;
        struct reply_error e = {0};
        buf_init(&store, TEXT_MAX);
        ck_assert_msg(provider_bedrock.is_error_body(s), "%s", file);
        ck_assert(provider_bedrock.read_error(s, &store, &e));
        same(file, "message", e.message,
             span_of(json_object_get_string(recording_member(body, "message"))));
        buf_done(&store);
        return;
    }
    struct told told = {.grammar = {.started = false}};
    struct reply_sink sink = {on_reply, &told};
    struct provider_reading reading = {.target = target, .sink = &sink};
    static struct usage_report report;
    struct content plain;
    content_init(&plain);
    content_init(&told.content);
    read_plain_body(&plain, body);
    ck_assert_msg(provider_bedrock.read_body(&reading, s, &report) == VERDICT_COMPLETE, "%s", file);
    compare(file, &told.content, &plain, &report.total);
    content_done(&plain);
    content_done(&told.content);
}

static bool check_file(const char *file, struct json_object *exchange, const char *api)
{
    struct provider_target target;
    struct json_object *response = recording_member(exchange, "response");
    if (strncmp(recording_word(exchange, "api"), api, strlen(api)) != 0 ||
        recording_reader(exchange, &target) == NULL)
        return false;
    if (recording_member(response, "body_base64") != NULL)
        check_stream(file, &target, response);
    else
        check_body(file, &target, response);
    return true;
}

static bool check_converse(const char *file, struct json_object *exchange)
{
    return check_file(file, exchange, "bedrock.converse");
}

static bool check_invoke(const char *file, struct json_object *exchange)
{
    return check_file(file, exchange, "bedrock.invoke");
}

START_TEST(converse_recordings)
{
    recordings_replay("bedrock_recordings", "bedrock", CONVERSE_MIN, check_converse);
}
END_TEST

START_TEST(invoke_recordings)
{
    recordings_replay("bedrock_recordings", "bedrock", INVOKE_MIN, check_invoke);
}
END_TEST

Suite *bedrock_recordings_suite(void);

Suite *bedrock_recordings_suite(void)
{
    Suite *s = suite_create("bedrock_recordings");
    TCase *c = tcase_create("bedrock_recordings");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, converse_recordings);
    tcase_add_test(c, invoke_recordings);
    suite_add_tcase(s, c);
    return s;
}
