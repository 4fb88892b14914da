/* Real recorded answers through the OpenAI and Azure adapters, where they are to be had
 * (WAYFARE_SHARED, default "../shared"): whole, byte by byte and at the recorded network pieces.
 * Usage, text and tool calls are read a second time here, with json-c and the plainest reading of
 * the rules. */
#define _GNU_SOURCE /* strndup */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/openai.h"
#include "tests/unit/golden.h"
#include "tests/unit/recordings.h"

enum { RECORDINGS_MIN = 110, REQUESTS_MIN = 130, CALLS_MAX = 16, TEXT_MAX = 1024 * 1024 };

/* ---- the second reading ---- */

struct call {
    char id[256], name[256];
    struct buf arguments;
};

struct expected {
    struct json_object *usage; /* the last one; owned */
    struct buf text, thinking;
    int n_calls;
    struct call calls[CALLS_MAX];
    bool error;
};

static void expected_init(struct expected *e)
{
    memset(e, 0, sizeof(*e));
    buf_init(&e->text, TEXT_MAX);
    buf_init(&e->thinking, TEXT_MAX);
    for (int i = 0; i < CALLS_MAX; i++)
        buf_init(&e->calls[i].arguments, TEXT_MAX);
}

static void expected_done(struct expected *e)
{
    json_object_put(e->usage);
    buf_done(&e->text);
    buf_done(&e->thinking);
    for (int i = 0; i < CALLS_MAX; i++)
        buf_done(&e->calls[i].arguments);
}

static void expect_part(struct expected *e, struct json_object *part)
{
    struct json_object *thinking = recording_member(part, "thinking");
    size_t n =
        json_object_is_type(thinking, json_type_array) ? json_object_array_length(thinking) : 0;
    for (size_t i = 0; i < n; i++)
        buf_adds(&e->thinking, recording_word(json_object_array_get_idx(thinking, i), "text"));
    buf_adds(&e->text, recording_word(part, "text"));
}

static void expect_calls(struct expected *e, struct json_object *list)
{
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *call = json_object_array_get_idx(list, i);
        struct json_object *function = recording_member(call, "function");
        int64_t at =
            recording_member(call, "index") != NULL ? recording_number(call, "index") : (int64_t)i;
        ck_assert(at >= 0 && at < CALLS_MAX);
        struct call *c = &e->calls[at];
        if (c->name[0] == '\0')
            snprintf(c->name, sizeof(c->name), "%s", recording_word(function, "name"));
        if (c->id[0] == '\0')
            snprintf(c->id, sizeof(c->id), "%s", recording_word(call, "id"));
        buf_adds(&c->arguments, recording_word(function, "arguments"));
        if (at >= e->n_calls)
            e->n_calls = (int)at + 1;
    }
}

static void expect_said(struct expected *e, struct json_object *said)
{
    const char *thinking = recording_word(said, "reasoning_content");
    if (thinking[0] == '\0')
        thinking = recording_word(said, "reasoning");
    struct json_object *details = recording_member(said, "reasoning_details");
    size_t n =
        json_object_is_type(details, json_type_array) ? json_object_array_length(details) : 0;
    for (size_t i = 0; i < n && thinking[0] == '\0'; i++) {
        struct json_object *entry = json_object_array_get_idx(details, i);
        buf_adds(&e->thinking, recording_word(entry, "text"));
        buf_adds(&e->thinking, recording_word(entry, "summary"));
    }
    buf_adds(&e->thinking, thinking);
    struct json_object *content = recording_member(said, "content");
    n = json_object_is_type(content, json_type_array) ? json_object_array_length(content) : 0;
    for (size_t i = 0; i < n; i++)
        expect_part(e, json_object_array_get_idx(content, i));
    buf_adds(&e->text, recording_word(said, "content"));
    buf_adds(&e->text, recording_word(recording_member(said, "audio"), "transcript"));
    expect_calls(e, recording_member(said, "tool_calls"));
    struct json_object *legacy = recording_member(said, "function_call");
    if (legacy != NULL) {
        snprintf(e->calls[0].name, sizeof(e->calls[0].name), "%s", recording_word(legacy, "name"));
        buf_adds(&e->calls[0].arguments, recording_word(legacy, "arguments"));
        e->n_calls = 1;
    }
}

static void expect_chunk(struct expected *e, struct json_object *chunk, const char *said)
{
    struct json_object *usage = recording_member(chunk, "usage");
    if (usage == NULL)
        usage = recording_member(recording_member(chunk, "x_groq"), "usage");
    if (usage != NULL) {
        json_object_put(e->usage);
        e->usage = json_object_get(usage);
    }
    e->error |= recording_member(chunk, "error") != NULL;
    struct json_object *choices = recording_member(chunk, "choices");
    if (!json_object_is_type(choices, json_type_array) || json_object_array_length(choices) == 0)
        return;
    struct json_object *choice = json_object_array_get_idx(choices, 0);
    if (recording_number(choice, "index") == 0)
        expect_said(e, recording_member(choice, said));
}

static void expect_stream(struct expected *e, const char *text)
{
    while (text != NULL && *text != '\0') {
        const char *end = strchr(text, '\n');
        if (strncmp(text, "data: {", 7) == 0) {
            struct json_object *chunk = json_tokener_parse(text + 6);
            ck_assert(chunk != NULL);
            expect_chunk(e, chunk, "delta");
            json_object_put(chunk);
        }
        text = end != NULL ? end + 1 : NULL;
    }
}

/* ---- comparison ---- */

/* xAI, and Vercel's gateway, add reasoning; Gemini's endpoint shows it only in the total. */
static int64_t expected_output(const char *file, struct json_object *usage)
{
    int64_t n = recording_number(usage, "completion_tokens");
    if (strstr(file, "/xai/") != NULL || strstr(file, "/vercel-gateway/") != NULL)
        n += recording_number(recording_member(usage, "completion_tokens_details"),
                              "reasoning_tokens");
    if (strstr(file, "/gemini/") != NULL)
        n = recording_number(usage, "total_tokens") - recording_number(usage, "prompt_tokens");
    return n;
}

static void must_be_billed(const char *file, const struct usage_report *r,
                           struct json_object *usage)
{
    struct json_object *details = recording_member(usage, "prompt_tokens_details");
    int64_t prompt = recording_number(usage, "prompt_tokens");
    int64_t cached = recording_number(details, "cached_tokens");
    int64_t written = recording_number(details, "cache_write_tokens");
    cached = cached > prompt ? prompt : cached;
    const int64_t *n = r->total.n;
    ck_assert_msg(n[USAGE_input_tok] == prompt - cached - written, "%s: input %lld", file,
                  (long long)n[USAGE_input_tok]);
    ck_assert_msg(n[USAGE_cache_read_tok] == cached, "%s: cache", file);
    ck_assert_msg(n[USAGE_cache_write_5m_tok] == written, "%s: cache writes", file);
    ck_assert_msg(n[USAGE_output_tok] == expected_output(file, usage), "%s: output %lld", file,
                  (long long)n[USAGE_output_tok]);
    ck_assert_msg(usage_has(&r->total, USAGE_input_tok) == (usage != NULL), "%s: seen", file);
}

static void must_be_call(const char *file, const struct call *c, const struct dialog_block *b)
{
    ck_assert_msg(span_is(b->name, c->name), "%s: name %.*s", file, (int)b->name.len, b->name.ptr);
    ck_assert_msg(c->id[0] == '\0' ? b->id.len > 0 : span_is(b->id, c->id), "%s: id", file);
    char *text = strndup(b->json.ptr, b->json.len);
    struct json_object *have = json_tokener_parse(text);
    struct json_object *want = json_tokener_parse(c->arguments.len > 0 ? c->arguments.ptr : "{}");
    ck_assert_msg(have != NULL && json_object_equal(have, want), "%s: arguments %s", file, text);
    json_object_put(have);
    json_object_put(want);
    free(text);
}

static void must_be_said(const char *file, const struct reply_whole *w, const struct expected *e)
{
    struct buf text, thinking;
    int n_calls = 0;
    ck_assert_msg(w->errored == e->error && w->ended != e->error, "%s: the end", file);
    if (w->errored)
        return; /* a block that was broken off is in no answer */
    buf_init(&text, TEXT_MAX);
    buf_init(&thinking, TEXT_MAX);
    for (const struct dialog_block *b = w->content.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_TEXT)
            buf_add_span(&text, b->text);
        if (b->kind == BLOCK_THINKING)
            buf_add_span(&thinking, b->text);
        if (b->kind == BLOCK_TOOL_CALL) {
            ck_assert_msg(n_calls < e->n_calls, "%s: more calls than there are", file);
            must_be_call(file, &e->calls[n_calls++], b);
        }
    }
    ck_assert_msg(span_eq(buf_span(&text), buf_span(&e->text)), "%s: text\n%s\n%s", file, text.ptr,
                  e->text.ptr);
    ck_assert_msg(span_eq(buf_span(&thinking), buf_span(&e->thinking)), "%s: thinking\n%s\n%s",
                  file, thinking.ptr, e->thinking.ptr);
    ck_assert_msg(n_calls == e->n_calls, "%s: %d calls of %d", file, n_calls, e->n_calls);
    buf_done(&text);
    buf_done(&thinking);
}

struct listener {
    struct golden_replies lines;
    struct reply_whole whole;
};

static void on_reply(void *ctx, const struct reply *r)
{
    struct listener *l = ctx;
    golden_on_reply(&l->lines, r);
    ck_assert(reply_gather(&l->whole, r));
}

/* ---- replay ---- */

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

struct play {
    const char *file;
    const struct provider *provider;
    struct provider_target target;
    struct span bytes;
    const struct expected *expected;
    struct buf *lines; /* of the first time; all others must be the same */
};

/* step 0: at the sizes of the array, then whole. */
static void play_stream(const struct play *p, size_t step, struct json_object *sizes)
{
    static struct usage_report report;
    const struct provider *provider = p->provider;
    struct listener l;
    golden_replies_init(&l.lines);
    reply_whole_init(&l.whole);
    struct reply_sink sink = {on_reply, &l};
    struct provider_reading reading = {.target = &p->target, .sink = &sink};
    int64_t content_bytes;
    void *stream = provider->stream_open(&reading);
    for (size_t i = 0, at = 0; at < p->bytes.len; i++) {
        size_t n = step;
        if (step == 0 && i < json_object_array_length(sizes))
            n = (size_t)json_object_get_int64(json_object_array_get_idx(sizes, i));
        if (n == 0 || n > p->bytes.len - at)
            n = p->bytes.len - at;
        ck_assert(
            provider->stream_feed(stream, (struct span){p->bytes.ptr + at, n}, ignore_event, NULL));
        at += n;
    }
    provider->stream_finish(stream);
    enum verdict verdict = provider->stream_state(stream, &report, &content_bytes);
    provider->stream_close(stream);
    ck_assert_msg(verdict == (p->expected->error ? VERDICT_ERROR : VERDICT_COMPLETE),
                  "%s: verdict %d", p->file, verdict);
    must_be_billed(p->file, &report, p->expected->usage);
    must_be_said(p->file, &l.whole, p->expected);
    struct span lines = golden_lines(&l.lines);
    if (p->lines->len == 0)
        buf_add_span(p->lines, lines);
    ck_assert_msg(span_eq(lines, buf_span(p->lines)), "%s: other events at %zu", p->file, step);
    golden_replies_done(&l.lines);
    reply_whole_done(&l.whole);
}

static void play_body(const struct play *p)
{
    static struct usage_report report;
    const struct provider *provider = p->provider;
    struct listener l;
    golden_replies_init(&l.lines);
    reply_whole_init(&l.whole);
    struct reply_sink sink = {on_reply, &l};
    struct provider_reading reading = {.target = &p->target, .sink = &sink};
    ck_assert_msg(provider->read_body(&reading, p->bytes, &report) == VERDICT_COMPLETE, "%s",
                  p->file);
    ck_assert(!provider->is_error_body(p->bytes));
    must_be_billed(p->file, &report, p->expected->usage);
    must_be_said(p->file, &l.whole, p->expected);
    golden_replies_done(&l.lines);
    reply_whole_done(&l.whole);
}

static void read_error(const struct play *p)
{
    const struct provider *provider = p->provider;
    struct reply_error error;
    struct buf store;
    buf_init(&store, TEXT_MAX);
    ck_assert_msg(provider->read_error(p->bytes, &store, &error), "%s", p->file);
    ck_assert_msg(error.message.len > 0, "%s: no message", p->file);
    buf_done(&store);
}

/* ---- recorded requests ---- */

struct request {
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
    struct buf text;
};

static void request_init(struct request *r)
{
    json_init(&r->doc);
    chat_init(&r->chat);
    dialog_init(&r->dialog);
    buf_init(&r->text, 8 * TEXT_MAX);
}

static void request_done(struct request *r)
{
    dialog_done(&r->dialog);
    chat_done(&r->chat);
    json_done(&r->doc);
    buf_done(&r->text);
}

/* false: it asks for what nobody is asked here (several choices), or is no request at all. */
static bool read_request(struct request *r, const struct door *door)
{
    struct fail fail;
    if (json_parse(&r->doc, buf_span(&r->text), &fail) != 0)
        return false;
    int read = door->id == DOOR_ANTHROPIC ? chat_read_anthropic(&r->chat, &r->doc, false, &fail)
                                          : chat_read_openai(&r->chat, &r->doc, &fail);
    return read == 0 && door->read(&r->chat, &r->dialog, &fail) == 0;
}

/* false: it holds something that this server does not take (files). */
static bool write_request(struct request *r, const char *slug, struct buf *out)
{
    struct provider_target target = {
        .base_url = "http://x", .slug = slug, .upstream_model = r->chat.models[0].name};
    struct drops drops = {.n = 0};
    struct fail fail = {.code = ERR_OK};
    struct provider_ask ask = {.target = &target,
                               .chat = &r->chat,
                               .dialog = &r->dialog,
                               .max_tokens = r->chat.max_tokens,
                               .drops = &drops};
    int written = openai_write(&ask, openai_dialect_of(&target), out, &fail);
    ck_assert_msg(written == 0 || fail.code == ERR_bad_request, "%s: %s", slug, fail.text);
    return written == 0;
}

/* OpenAI is told all of it but earlier thinking, which it does not take. */
static bool is_for_openai(const struct dialog *d)
{
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            if (b->kind == BLOCK_THINKING || b->kind == BLOCK_REDACTED || b->cache != CACHE_NONE)
                return false;
        }
    }
    bool cached = d->system.first != NULL && d->system.first->cache != CACHE_NONE;
    return !cached && d->reasoning.mode == REASONING_ABSENT && d->numbers[NUMBER_top_k].len == 0;
}

/* What OpenAI would refuse is not sent to it. */
static void forget_what_openai_refuses(struct dialog *d)
{
    if (d->n_tools == 0) {
        d->parallel = TRI_ABSENT;
        d->choice = CHOICE_ABSENT;
    }
    if (d->format.kind == FORMAT_SCHEMA && d->format.name.len == 0)
        d->format.name = SPAN("response");
}

/* Read, written for OpenAI and read again it is the same. */
static void must_stay(const char *file, struct request *first)
{
    struct request second;
    const char *where = "";
    request_init(&second);
    forget_what_openai_refuses(&first->dialog);
    ck_assert(write_request(first, "openai", &second.text));
    ck_assert_msg(read_request(&second, &door_openai), "%s: %s", file, second.text.ptr);
    ck_assert_msg(dialog_equal(&first->dialog, &second.dialog, &where), "%s: %s\n%s\n%s", file,
                  where, first->text.ptr, second.text.ptr);
    request_done(&second);
}

static bool play_request(const char *file, const struct door *door, struct json_object *body)
{
    static const char *const slugs[] = {"openai", "openrouter", "mistral",    "deepseek",
                                        "zai",    "llama.cpp",  "perplexity", "unknown"};
    struct request r;
    struct json_doc doc;
    struct buf out;
    request_init(&r);
    json_init(&doc);
    buf_init(&out, 8 * TEXT_MAX);
    buf_adds(&r.text, json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE));
    bool good = read_request(&r, door);
    for (size_t i = 0; good && i < sizeof(slugs) / sizeof(slugs[0]); i++) {
        buf_reset(&out);
        bool written = write_request(&r, slugs[i], &out);
        ck_assert_msg(!written || json_parse(&doc, buf_span(&out), NULL) == 0, "%s", file);
    }
    if (good && door == &door_openai && is_for_openai(&r.dialog))
        must_stay(file, &r);
    request_done(&r);
    json_done(&doc);
    buf_done(&out);
    return good;
}

static void replay_stream(struct play *p, struct json_object *response)
{
    struct json_object *text = recording_member(response, "body_text");
    struct json_object *sizes = recording_member(response, "chunk_sizes");
    struct expected expected;
    struct buf lines;
    buf_init(&lines, TEXT_MAX);
    expected_init(&expected);
    expect_stream(&expected, json_object_get_string(text));
    p->bytes =
        (struct span){json_object_get_string(text), (size_t)json_object_get_string_len(text)};
    p->expected = &expected;
    p->lines = &lines;
    play_stream(p, SIZE_MAX, NULL);
    play_stream(p, 1, NULL);
    play_stream(p, 17, NULL);
    if (sizes != NULL)
        play_stream(p, 0, sizes);
    expected_done(&expected);
    buf_done(&lines);
}

static void replay_plain(struct play *p, struct json_object *response)
{
    struct json_object *body = recording_member(response, "body");
    struct expected expected;
    p->bytes = span_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE));
    if (recording_number(response, "status") >= 400) {
        read_error(p);
        return;
    }
    expected_init(&expected);
    expect_chunk(&expected, body, "message");
    p->expected = &expected;
    play_body(p);
    expected_done(&expected);
}

static int n_requests;

static bool replay_file(const char *path, struct json_object *file)
{
    bool ours = strcmp(recording_word(file, "api"), "openai.chat") == 0;
    bool theirs = strcmp(recording_word(file, "api"), "anthropic.messages") == 0;
    struct json_object *request = recording_member(recording_member(file, "request"), "body");
    if (json_object_is_type(request, json_type_object) && (ours || theirs))
        n_requests += play_request(path, ours ? &door_openai : &door_anthropic, request);
    if (ours) {
        struct json_object *response = recording_member(file, "response");
        struct play p = {.file = path};
        p.provider = recording_reader(file, &p.target);
        if (recording_member(response, "body_text") != NULL)
            replay_stream(&p, response);
        else
            replay_plain(&p, response);
    }
    return ours;
}

START_TEST(test_recordings)
{
    int n = recordings_replay("openai_recordings", NULL, RECORDINGS_MIN, replay_file);
    ck_assert_msg(n == 0 || n_requests >= REQUESTS_MIN, "only %d requests", n_requests);
}
END_TEST

Suite *openai_recordings_suite(void);

Suite *openai_recordings_suite(void)
{
    Suite *s = suite_create("openai_recordings");
    TCase *tc = tcase_create("recordings");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_recordings);
    suite_add_tcase(s, tc);
    return s;
}
