/* Fuzz target of the OpenAI and Azure adapters.  The first byte chooses the server; the rest is
 * taken as a stream, as a whole body, as an error and as a request.  Oracles:
 *   - the meaning of an answer keeps the grammar of schema/reply.h, whatever arrives, and is the
 *     same at other cuts; so are verdict and usage, also without a reader of the meaning;
 *   - both doors write it: a whole body is one JSON value;
 *   - a request of either protocol that can be read is refused with a field or written as JSON;
 *     what was written for OpenAI itself, read and written again, stays as it is. */
#include <assert.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 26, CUT = 7 };

static const char *const slugs[] = {
    "openai",   "openrouter", "vercel", "groq",   "mistral", "deepseek",  "xai",     "together",
    "cerebras", "perplexity", "zai",    "ollama", "vllm",    "llama.cpp", "alibaba", "unknown"};

static struct provider_target target = {.base_url = "http://127.0.0.1/v1", .upstream_model = "m"};
static const struct provider *provider;

/* ---- answers ---- */

struct seen {
    struct reply_grammar grammar;
    const struct door *door; /* may be NULL */
    struct door_writer *writer;
    struct buf out;
    uint64_t digest; /* of all events, neighbouring pieces of text as one */
    bool lost;       /* the writer could not go on */
};

static void add_to_digest(struct seen *s, struct span text)
{
    s->digest = fnv_add(s->digest, text);
}

static void on_reply(void *ctx, const struct reply *r)
{
    struct seen *s = ctx;
    const char *wrong = reply_check(&s->grammar, r);
    assert(wrong == NULL);
    char kind = (char)('A' + (int)r->kind);
    bool goes_on = r->kind == REPLY_DELTA && r->delta != DELTA_CITATION;
    if (!goes_on)
        add_to_digest(s, (struct span){&kind, 1});
    add_to_digest(s, r->text);
    add_to_digest(s, r->id);
    add_to_digest(s, r->name);
    if (s->writer != NULL && !s->lost)
        s->lost = !s->door->write(s->writer, r, &s->out);
}

static void seen_init(struct seen *s, const struct door *door, bool stream)
{
    static struct door_answer answer = {.generation_id = "gen_1", .model = "m"};
    memset(s, 0, sizeof(*s));
    answer.stream = stream;
    buf_init(&s->out, OUT_MAX);
    s->door = door;
    s->writer = door != NULL ? door->open(&answer) : NULL;
}

static void seen_done(struct seen *s)
{
    buf_done(&s->out);
    if (s->door != NULL)
        s->door->close(s->writer);
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    if (ev->text.ptr != NULL && ev->text.len > 0) {
        assert(ev->text.ptr >= ev->data.ptr);
        assert(ev->text.ptr + ev->text.len <= ev->data.ptr + ev->data.len);
    }
}

/* seen NULL: nobody reads the meaning. */
static enum verdict play(struct span text, size_t cut, struct seen *seen,
                         struct usage_report *ret_usage)
{
    struct reply_sink sink = {on_reply, seen};
    struct provider_reading reading = {.target = &target, .sink = seen != NULL ? &sink : NULL};
    void *stream = provider->stream_open(&reading);
    int64_t content_bytes;
    assert(stream != NULL);
    for (size_t at = 0; at < text.len; at += cut) {
        size_t n = text.len - at < cut ? text.len - at : cut;
        if (!provider->stream_feed(stream, (struct span){text.ptr + at, n}, ignore_event, NULL))
            break;
    }
    provider->stream_finish(stream);
    enum verdict verdict = provider->stream_state(stream, ret_usage, &content_bytes);
    assert(content_bytes >= 0);
    assert(seen == NULL || verdict != VERDICT_COMPLETE || seen->grammar.over);
    provider->stream_close(stream);
    return verdict;
}

static void check_same_usage(const struct usage_report *a, const struct usage_report *b)
{
    assert(a->total.seen == b->total.seen && a->n_iterations == 0 && b->n_iterations == 0);
    assert(memcmp(a->total.n, b->total.n, sizeof(a->total.n)) == 0);
}

static void check_stream(struct span text)
{
    static struct usage_report usage[3];
    struct seen whole, pieces;
    size_t all = text.len > 0 ? text.len : 1;
    seen_init(&whole, &door_anthropic, true);
    seen_init(&pieces, &door_openai, true);
    enum verdict verdict = play(text, all, NULL, &usage[0]);
    enum verdict with_whole = play(text, all, &whole, &usage[1]);
    enum verdict with_pieces = play(text, CUT, &pieces, &usage[2]);
    assert(verdict == with_whole && verdict == with_pieces);
    check_same_usage(&usage[0], &usage[1]);
    check_same_usage(&usage[0], &usage[2]);
    assert(whole.digest == pieces.digest);
    seen_done(&whole);
    seen_done(&pieces);
}

static void check_body(struct span text, const struct door *door)
{
    static struct usage_report usage[2];
    struct json_doc doc;
    struct seen seen;
    seen_init(&seen, door, false);
    struct reply_sink sink = {on_reply, &seen};
    struct provider_reading plain = {.target = &target}, with_sink = plain;
    with_sink.sink = &sink;
    enum verdict verdict = provider->read_body(&plain, text, &usage[0]);
    enum verdict again = provider->read_body(&with_sink, text, &usage[1]);
    assert(verdict == again);
    check_same_usage(&usage[0], &usage[1]);
    json_init(&doc);
    if (seen.out.len > 0 && !seen.lost) {
        int rc = json_parse(&doc, buf_span(&seen.out), NULL);
        assert(rc == 0);
    }
    json_done(&doc);
    seen_done(&seen);
}

static void check_error(struct span text)
{
    struct buf store;
    struct reply_error error;
    buf_init(&store, OUT_MAX);
    bool ours = provider->read_error(text, &store, &error);
    assert(ours || !provider->is_error_body(text));
    buf_done(&store);
}

/* ---- requests ---- */

struct request {
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
};

static void request_init(struct request *r)
{
    json_init(&r->doc);
    chat_init(&r->chat);
    dialog_init(&r->dialog);
}

static void request_done(struct request *r)
{
    dialog_done(&r->dialog);
    chat_done(&r->chat);
    json_done(&r->doc);
}

static bool read_request(struct request *r, const struct door *door, struct span text)
{
    struct fail fail = {.code = ERR_OK};
    if (json_parse(&r->doc, text, &fail) != 0)
        return false;
    int read = door->id == DOOR_ANTHROPIC ? chat_read_anthropic(&r->chat, &r->doc, false, &fail)
                                          : chat_read_openai(&r->chat, &r->doc, &fail);
    return read == 0 && door->read(&r->chat, &r->dialog, &fail) == 0;
}

static bool write_request(struct request *r, struct buf *out)
{
    struct drops drops = {.n = 0};
    struct json_doc doc;
    struct fail fail = {.code = ERR_OK};
    struct provider_ask ask = {.target = &target,
                               .chat = &r->chat,
                               .dialog = &r->dialog,
                               .max_tokens = r->chat.max_tokens,
                               .drops = &drops};
    if (openai_write(&ask, openai_dialect_of(&target), out, &fail) != 0) {
        assert(fail.code == ERR_bad_request && fail.field[0] != '\0');
        return false;
    }
    json_init(&doc);
    int rc = json_parse(&doc, buf_span(out), NULL);
    assert(rc == 0);
    json_done(&doc);
    return true;
}

static void check_request(struct span text, const struct door *door)
{
    struct request first, second;
    struct buf out[2];
    request_init(&first);
    request_init(&second);
    buf_init(&out[0], OUT_MAX);
    buf_init(&out[1], OUT_MAX);
    bool written = read_request(&first, door, text) && write_request(&first, &out[0]);
    if (written && target.slug == slugs[0]) {
        bool good = read_request(&second, &door_openai, buf_span(&out[0]));
        good = good && write_request(&second, &out[1]);
        assert(!good || span_eq(buf_span(&out[0]), buf_span(&out[1])));
    }
    request_done(&first);
    request_done(&second);
    buf_done(&out[0]);
    buf_done(&out[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = sizeof(slugs) / sizeof(slugs[0]);
    if (size == 0)
        return 0;
    /* Exactly its size, so that the sanitizer sees a read beyond the end. */
    char *bytes = malloc(size);
    assert(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    struct span text = {bytes, size - 1};
    target.slug = slugs[data[0] % n];
    provider = data[0] % 32 == 31 ? &provider_azure_openai : &provider_openai;
    check_stream(text);
    check_body(text, &door_anthropic);
    check_body(text, &door_openai);
    check_error(text);
    check_request(text, &door_anthropic);
    check_request(text, &door_openai);
    free(bytes);
    return 0;
}
