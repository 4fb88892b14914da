/* Real recorded answers of Gemini, from its own API and from Vertex AI, through the adapter, where
 * they are to be had (WAYFARE_SHARED, default "../shared"): whole, byte by byte and at the recorded
 * network pieces.  Usage, text and calls are read a second time here, with json-c and the plainest
 * reading of the rules. */
#include <check.h>
#include <json-c/json.h>

#include "tests/unit/recordings.h"

static const struct provider_target target = {.base_url = "https://api.example",
                                              .upstream_model = "gemini-3-flash"};

enum { RECORDINGS_MIN = 28, OBJECTS_MAX = 256, TEXT_MAX = 1024 * 1024 };

static bool is_word(struct json_object *value, const char *word)
{
    return value != NULL && strcmp(json_object_get_string(value), word) == 0;
}

/* ---- the second reading ---- */

struct second {
    struct json_object *objects[OBJECTS_MAX];
    int n;
    int64_t prompt, cached, candidates, thoughts, tools; /* the last that was said */
    struct buf text, thinking;
    int calls;
    bool error, finished;
};

static void take_number(struct json_object *usage, const char *key, int64_t *n)
{
    if (recording_member(usage, key) != NULL)
        *n = json_object_get_int64(recording_member(usage, key));
}

static void take_part(struct second *s, struct json_object *part)
{
    struct json_object *text = recording_member(part, "text");
    if (text != NULL) {
        bool thought = json_object_get_boolean(recording_member(part, "thought"));
        buf_adds(thought ? &s->thinking : &s->text, json_object_get_string(text));
    }
    s->calls += recording_member(recording_member(part, "functionCall"), "name") != NULL;
}

static void take_object(struct second *s, struct json_object *object)
{
    struct json_object *usage = recording_member(object, "usageMetadata");
    struct json_object *candidate = recording_item(recording_member(object, "candidates"), 0);
    struct json_object *parts = recording_member(recording_member(candidate, "content"), "parts");
    ck_assert(object != NULL && s->n < OBJECTS_MAX);
    s->objects[s->n++] = object;
    take_number(usage, "promptTokenCount", &s->prompt);
    take_number(usage, "cachedContentTokenCount", &s->cached);
    take_number(usage, "candidatesTokenCount", &s->candidates);
    take_number(usage, "thoughtsTokenCount", &s->thoughts);
    take_number(usage, "toolUsePromptTokenCount", &s->tools);
    for (size_t i = 0; recording_item(parts, i) != NULL; i++)
        take_part(s, recording_item(parts, i));
    s->error |= recording_member(object, "error") != NULL;
    s->finished |=
        recording_member(candidate, "finishReason") != NULL ||
        recording_member(recording_member(object, "promptFeedback"), "blockReason") != NULL;
}

static void take_events(struct second *s, const char *text)
{
    while (text != NULL && *text != '\0') {
        const char *end = strchr(text, '\n');
        if (strncmp(text, "data: ", 6) == 0)
            take_object(s, json_tokener_parse(text + 6));
        text = end != NULL ? end + 1 : NULL;
    }
}

static void take_stream(struct second *s, const char *text)
{
    const char *bare = strstr(text, "\n\n{");
    if (text[0] == '[') {
        struct json_object *array = json_tokener_parse(text);
        for (size_t i = 0; recording_item(array, i) != NULL; i++)
            take_object(s, json_object_get(recording_item(array, i)));
        json_object_put(array);
        return;
    }
    take_events(s, text);
    if (bare != NULL)
        take_object(s, json_tokener_parse(bare + 2));
}

static void second_init(struct second *s)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->text, TEXT_MAX);
    buf_init(&s->thinking, TEXT_MAX);
}

static void second_done(struct second *s)
{
    for (int i = 0; i < s->n; i++)
        json_object_put(s->objects[i]);
    buf_done(&s->text);
    buf_done(&s->thinking);
}

/* ---- the adapter's reading ---- */

struct first {
    struct reply_grammar grammar;
    struct reply_whole whole;
    const char *file;
};

static void on_reply(void *ctx, const struct reply *r)
{
    struct first *f = ctx;
    const char *wrong = reply_check(&f->grammar, r);
    ck_assert_msg(wrong == NULL, "%s: %s", f->file, wrong);
    ck_assert(reply_gather(&f->whole, r));
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

static void ck_usage(const char *file, const struct usage_report *r, const struct second *s)
{
    const int64_t pairs[][2] = {
        {r->total.n[USAGE_input_tok], s->prompt - s->cached + s->tools},
        {r->total.n[USAGE_output_tok], s->candidates + s->thoughts},
        {r->total.n[USAGE_cache_read_tok], s->cached},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        ck_assert_msg(pairs[i][0] == pairs[i][1], "%s: figure %zu is %lld, not %lld", file, i,
                      (long long)pairs[i][0], (long long)pairs[i][1]);
}

static void ck_arguments(const char *file, struct span json)
{
    struct json_doc doc;
    json_init(&doc);
    ck_assert_msg(json_parse(&doc, json, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT,
                  "%s: arguments %.*s", file, (int)json.len, json.ptr);
    json_done(&doc);
}

static void ck_text(const char *file, const struct buf *a, const struct buf *b)
{
    ck_assert(!a->failed && !b->failed);
    ck_assert_msg(span_eq(buf_span(a), buf_span(b)), "%s: %.*s\nnot %.*s", file, (int)a->len,
                  a->ptr, (int)b->len, b->ptr);
}

static void ck_content(const struct first *f, const struct second *s)
{
    struct buf text, thinking;
    int calls = 0;
    buf_init(&text, TEXT_MAX);
    buf_init(&thinking, TEXT_MAX);
    for (const struct dialog_block *b = f->whole.content.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_TEXT)
            buf_add_span(&text, b->text);
        if (b->kind == BLOCK_THINKING)
            buf_add_span(&thinking, b->text);
        if (b->kind == BLOCK_TOOL_CALL) {
            ck_arguments(f->file, b->json);
            calls++;
        }
    }
    ck_text(f->file, &text, &s->text);
    ck_text(f->file, &thinking, &s->thinking);
    ck_assert_msg(calls == s->calls, "%s: %d calls", f->file, calls);
    buf_done(&text);
    buf_done(&thinking);
}

static void ck_reading(struct first *f, const struct second *s, enum verdict verdict,
                       const struct usage_report *report)
{
    enum verdict want = s->error      ? VERDICT_ERROR
                        : s->finished ? VERDICT_COMPLETE
                                      : VERDICT_TRUNCATED;
    ck_assert_msg(verdict == want, "%s: verdict %d", f->file, verdict);
    ck_assert_msg(f->whole.ended == (want == VERDICT_COMPLETE), "%s", f->file);
    ck_assert_msg(f->whole.errored == (want == VERDICT_ERROR), "%s", f->file);
    ck_usage(f->file, report, s);
    if (want == VERDICT_COMPLETE)
        ck_content(f, s);
}

/* step 0: at the sizes of the array, the rest whole. */
static void replay_stream(const struct provider *p, const char *file, struct span text, size_t step,
                          struct json_object *sizes, const struct second *s)
{
    static struct usage_report report;
    struct first f = {.file = file};
    struct reply_sink sink = {on_reply, &f};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    int64_t content_bytes;
    reply_whole_init(&f.whole);
    void *stream = p->stream_open(&reading);
    size_t at = 0;
    for (size_t i = 0; at < text.len; i++) {
        size_t n = step;
        if (step == 0 && recording_item(sizes, i) != NULL)
            n = (size_t)json_object_get_int64(recording_item(sizes, i));
        if (n == 0 || n > text.len - at)
            n = text.len - at;
        ck_assert(p->stream_feed(stream, (struct span){text.ptr + at, n}, ignore_event, NULL));
        at += n;
    }
    p->stream_finish(stream);
    enum verdict verdict = p->stream_state(stream, &report, &content_bytes);
    p->stream_close(stream);
    ck_reading(&f, s, verdict, &report);
    reply_whole_done(&f.whole);
}

static void replay_plain(const struct provider *p, const char *file, struct json_object *response,
                         struct second *s)
{
    static struct usage_report report;
    struct first f = {.file = file};
    struct reply_sink sink = {on_reply, &f};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    struct json_object *body = recording_member(response, "body");
    struct span bytes =
        span_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE));
    bool failed = json_object_get_int(recording_member(response, "status")) >= 400;
    struct reply_error error;
    struct buf store;
    buf_init(&store, PROVIDER_BODY_MAX);
    ck_assert_msg(p->read_error(bytes, &store, &error) == failed, "%s", file);
    ck_assert_msg(
        !failed || (error.message.len > 0 && error.type.len > 0 &&
                    error.http_status == json_object_get_int(recording_member(response, "status"))),
        "%s", file);
    buf_done(&store);
    take_object(s, json_object_get(body));
    reply_whole_init(&f.whole);
    enum verdict verdict = p->read_body(&reading, bytes, &report);
    ck_reading(&f, s, verdict, &report);
    reply_whole_done(&f.whole);
}

static bool replay_file(const char *path, struct json_object *exchange)
{
    struct second s;
    struct provider_target ignored;
    const struct provider *p = recording_reader(exchange, &ignored);
    struct json_object *response = recording_member(exchange, "response");
    struct json_object *text = recording_member(response, "body_text");
    struct json_object *sizes = recording_member(response, "chunk_sizes");
    second_init(&s);
    bool stream = is_word(recording_member(exchange, "api"), "gemini.streamGenerateContent");
    bool plain = is_word(recording_member(exchange, "api"), "gemini.generateContent");
    if (stream && text != NULL) {
        struct span bytes = {json_object_get_string(text),
                             (size_t)json_object_get_string_len(text)};
        take_stream(&s, bytes.ptr);
        replay_stream(p, path, bytes, SIZE_MAX, NULL, &s);
        replay_stream(p, path, bytes, 1, NULL, &s);
        replay_stream(p, path, bytes, 17, NULL, &s);
        if (sizes != NULL)
            replay_stream(p, path, bytes, 0, sizes, &s);
    } else if (stream || plain) {
        replay_plain(p, path, response, &s);
    }
    second_done(&s);
    return stream || plain;
}

START_TEST(test_recordings)
{
    recordings_replay("gemini_recordings", NULL, RECORDINGS_MIN, replay_file);
}
END_TEST

Suite *gemini_recordings_suite(void);
Suite *gemini_recordings_suite(void)
{
    Suite *s = suite_create("gemini_recordings");
    TCase *tc = tcase_create("recordings");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_recordings);
    suite_add_tcase(s, tc);
    return s;
}
