/* Fuzz target of the Anthropic protocol, both sides.  The input is taken as a stream, as a whole
 * body and as a request.  Oracles:
 *   - the meaning of an answer keeps the grammar of schema/reply.h, whatever arrives, and is the
 *     same at other cuts; verdict and usage are the same with and without a reader of it;
 *   - the door writes it as whole events and as one JSON value; its stream, read again, ends as the
 *     answer did;
 *   - a request is refused with a field, or read; written it parses, and from there on writing and
 *     reading change nothing. */
#include <assert.h>
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 26, CUT = 7 };

static const struct provider_target target = {.base_url = "https://a.example",
                                              .upstream_model = "m"};

/* ---- answers ---- */

struct seen {
    struct reply_grammar grammar;
    struct reply_whole whole;
    struct door_writer *writer; /* may be NULL */
    struct buf out;
    uint64_t digest; /* of all events, neighbouring pieces of text as one */
};

static void add_to_digest(struct seen *s, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        s->digest = (s->digest ^ (unsigned char)text.ptr[i]) * UINT64_C(1099511628211);
}

static void on_reply(void *ctx, const struct reply *r)
{
    struct seen *s = ctx;
    const char *wrong = reply_check(&s->grammar, r);
    assert(wrong == NULL);
    char kind = (char)('A' + (int)r->kind);
    add_to_digest(s, (struct span){&kind, 1});
    add_to_digest(s, r->text);
    add_to_digest(s, r->json);
    bool ok = reply_gather(&s->whole, r);
    assert(ok);
    if (s->writer != NULL) {
        ok = door_anthropic.write(s->writer, r, &s->out);
        assert(ok);
    }
}

static void seen_init(struct seen *s, const struct door_answer *answer)
{
    memset(s, 0, sizeof(*s));
    reply_whole_init(&s->whole);
    buf_init(&s->out, OUT_MAX);
    s->writer = answer != NULL ? door_anthropic.open(answer) : NULL;
}

static void seen_done(struct seen *s)
{
    reply_whole_done(&s->whole);
    buf_done(&s->out);
    door_anthropic.close(s->writer);
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

/* seen NULL: nobody reads the meaning. */
static enum verdict play(struct span text, size_t cut, struct seen *seen,
                         struct usage_report *ret_usage)
{
    struct reply_sink sink = {on_reply, seen};
    struct provider_reading reading = {.target = &target, .sink = seen != NULL ? &sink : NULL};
    void *stream = provider_anthropic.stream_open(&reading);
    int64_t content_bytes;
    assert(stream != NULL);
    for (size_t at = 0; at < text.len; at += cut) {
        size_t n = text.len - at < cut ? text.len - at : cut;
        if (!provider_anthropic.stream_feed(stream, (struct span){text.ptr + at, n}, ignore_event,
                                            NULL))
            break;
    }
    provider_anthropic.stream_finish(stream);
    enum verdict verdict = provider_anthropic.stream_state(stream, ret_usage, &content_bytes);
    assert(content_bytes >= 0);
    provider_anthropic.stream_close(stream);
    return verdict;
}

static void check_same_usage(const struct usage_report *a, const struct usage_report *b)
{
    assert(a->total.seen == b->total.seen && a->n_iterations == b->n_iterations);
    assert(memcmp(a->total.n, b->total.n, sizeof(a->total.n)) == 0);
}

/* What the door wrote is a stream of the protocol. */
static void check_written_stream(const struct seen *first)
{
    static struct usage_report usage;
    struct seen again;
    if (first->out.len == 0)
        return;
    seen_init(&again, NULL);
    enum verdict verdict = play(buf_span(&first->out), first->out.len, &again, &usage);
    assert((verdict == VERDICT_COMPLETE) == first->whole.ended);
    assert(again.whole.ended == first->whole.ended && again.whole.errored == first->whole.errored);
    assert(again.whole.content.n == first->whole.content.n);
    seen_done(&again);
}

static void check_stream(struct span text)
{
    static struct usage_report usage[3];
    static const struct door_answer answer = {
        .stream = true, .generation_id = "gen_1", .model = "m"};
    struct seen whole, pieces;
    seen_init(&whole, &answer);
    seen_init(&pieces, NULL);
    enum verdict verdict = play(text, text.len > 0 ? text.len : 1, NULL, &usage[0]);
    enum verdict with_whole = play(text, text.len > 0 ? text.len : 1, &whole, &usage[1]);
    enum verdict with_pieces = play(text, CUT, &pieces, &usage[2]);
    assert(verdict == with_whole && verdict == with_pieces);
    check_same_usage(&usage[0], &usage[1]);
    check_same_usage(&usage[0], &usage[2]);
    assert(whole.digest == pieces.digest);
    check_written_stream(&whole);
    seen_done(&whole);
    seen_done(&pieces);
}

static void check_body(struct span text, struct json_doc *doc)
{
    static struct usage_report usage[2];
    static const struct door_answer answer = {.generation_id = "gen_1", .model = "m"};
    struct seen seen;
    seen_init(&seen, &answer);
    struct reply_sink sink = {on_reply, &seen};
    struct provider_reading plain = {.target = &target};
    struct provider_reading with_sink = {.target = &target, .sink = &sink};
    enum verdict verdict = provider_anthropic.read_body(&plain, text, &usage[0]);
    enum verdict again = provider_anthropic.read_body(&with_sink, text, &usage[1]);
    assert(verdict == again);
    check_same_usage(&usage[0], &usage[1]);
    if (seen.out.len > 0) {
        int rc = json_parse(doc, buf_span(&seen.out), NULL);
        assert(rc == 0);
    }
    struct buf store;
    struct reply_error error;
    buf_init(&store, OUT_MAX);
    bool ours = provider_anthropic.read_error(text, &store, &error);
    assert(ours == provider_anthropic.is_error_body(text));
    buf_done(&store);
    seen_done(&seen);
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

static bool read_request(struct request *r, struct span text)
{
    struct fail fail = {.code = ERR_OK};
    if (json_parse(&r->doc, text, &fail) != 0 ||
        chat_read_anthropic(&r->chat, &r->doc, false, &fail) != 0)
        return false;
    if (door_anthropic.read(&r->chat, &r->dialog, &fail) == 0)
        return true;
    assert(fail.code == ERR_bad_request && fail.field[0] != '\0' && fail.text[0] != '\0');
    return false;
}

static bool write_request(struct request *r, struct buf *out)
{
    struct drops drops = {.n = 0};
    struct provider_ask ask = {.target = &target,
                               .chat = &r->chat,
                               .dialog = &r->dialog,
                               .max_tokens = r->chat.max_tokens,
                               .drops = &drops};
    struct fail fail = {.code = ERR_OK};
    if (anthropic_write(&ask, NULL, out, &fail) == 0)
        return true;
    assert(fail.code == ERR_bad_request);
    return false;
}

/* The first writing puts right what the API would refuse, and may make an id look as if it held a
 * signature (schema/toolsig.h); from the second on, nothing changes. */
static void check_request(struct span text)
{
    enum { ROUNDS = 3 };
    struct request requests[ROUNDS + 1];
    struct buf out[ROUNDS];
    for (int i = 0; i <= ROUNDS; i++)
        request_init(&requests[i]);
    for (int i = 0; i < ROUNDS; i++)
        buf_init(&out[i], OUT_MAX);
    bool ok = read_request(&requests[0], text) && write_request(&requests[0], &out[0]);
    for (int i = 1; ok && i <= ROUNDS; i++) {
        const char *where = NULL;
        bool again = read_request(&requests[i], buf_span(&out[i - 1]));
        assert(again);
        assert(i < ROUNDS || dialog_equal(&requests[i - 1].dialog, &requests[i].dialog, &where));
        again = i == ROUNDS || write_request(&requests[i], &out[i]);
        assert(again);
    }
    for (int i = 0; i <= ROUNDS; i++)
        request_done(&requests[i]);
    for (int i = 0; i < ROUNDS; i++)
        buf_done(&out[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc doc;
    /* Exactly its size, so that the sanitizer sees a read beyond the end. */
    char *text = malloc(size > 0 ? size : 1);
    assert(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    json_init(&doc);
    check_stream((struct span){text, size});
    check_body((struct span){text, size}, &doc);
    check_request((struct span){text, size});
    json_done(&doc);
    free(text);
    return 0;
}
