/* Fuzz target of the Gemini protocol.  The input is taken as a stream, as a whole body and as a
 * client's request.  Oracles:
 *   - the meaning of an answer keeps the grammar of schema/reply.h, whatever arrives, and is the
 *     same at other cuts; verdict and usage are the same with and without a reader of it;
 *   - the arguments of every call of a whole answer are one JSON object;
 *   - a request that Anthropic's door reads is refused with a field, or written as one JSON object.
 */
#include <assert.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/gemini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024 };

static const struct provider_target target = {.base_url = "https://g.example",
                                              .upstream_model = "gemini-3-flash"};

struct seen {
    struct reply_grammar grammar;
    struct reply_whole whole;
    uint64_t digest;
    enum verdict verdict;
    struct usage usage;
    int64_t content_bytes;
};

static void add_to_digest(struct seen *s, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        s->digest = (s->digest ^ (unsigned char)text.ptr[i]) * UINT64_C(1099511628211);
}

static void on_reply(void *ctx, const struct reply *r)
{
    struct seen *s = ctx;
    char marks[] = {(char)r->kind, (char)r->block, (char)r->delta, (char)r->stop};
    const char *wrong = reply_check(&s->grammar, r);
    bool gathered = reply_gather(&s->whole, r);
    assert(wrong == NULL && gathered);
    add_to_digest(s, (struct span){marks, sizeof(marks)});
    add_to_digest(s, r->id);
    add_to_digest(s, r->name);
    add_to_digest(s, r->text);
    add_to_digest(s, r->signature);
    add_to_digest(s, r->json);
    add_to_digest(s, r->citation.url);
    add_to_digest(s, r->error.message);
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    assert(ev->text.ptr == NULL || (ev->text.ptr >= ev->data.ptr &&
                                    ev->text.ptr + ev->text.len <= ev->data.ptr + ev->data.len));
}

static struct usage_report report;

static struct seen play(struct span s, size_t cut, bool listens)
{
    struct seen seen = {.digest = 1};
    struct reply_sink sink = {on_reply, &seen};
    struct provider_reading reading = {.target = &target, .sink = listens ? &sink : NULL};
    const struct provider *p = &provider_gemini;
    reply_whole_init(&seen.whole);
    void *stream = p->stream_open(&reading);
    assert(stream != NULL);
    for (size_t at = 0; at < s.len;) {
        size_t n = s.len - at < cut ? s.len - at : cut;
        char *piece = malloc(n);
        assert(piece != NULL);
        memcpy(piece, s.ptr + at, n);
        bool ok = p->stream_feed(stream, (struct span){piece, n}, ignore_event, NULL);
        assert(ok);
        free(piece);
        at += n;
    }
    p->stream_finish(stream);
    seen.verdict = p->stream_state(stream, &report, &seen.content_bytes);
    seen.usage = report.total;
    p->stream_close(stream);
    return seen;
}

static bool is_object(struct span text)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = json_parse(&doc, text, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT;
    json_done(&doc);
    return yes;
}

static void check_whole(const struct seen *s)
{
    assert(s->whole.ended == (s->verdict == VERDICT_COMPLETE));
    for (const struct dialog_block *b = s->whole.content.first; b != NULL && s->whole.ended;
         b = b->next)
        assert(b->kind != BLOCK_TOOL_CALL || is_object(b->json));
}

static void same(const struct seen *a, const struct seen *b)
{
    assert(a->verdict == b->verdict && a->content_bytes == b->content_bytes);
    assert(a->usage.seen == b->usage.seen);
    assert(memcmp(a->usage.n, b->usage.n, sizeof(a->usage.n)) == 0);
}

static void try_stream(struct span s)
{
    struct seen whole = play(s, SIZE_MAX, true);
    struct seen others[] = {play(s, 1, true), play(s, 7, true), play(s, 11, false)};
    check_whole(&whole);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        same(&whole, &others[i]);
        reply_whole_done(&others[i].whole);
    }
    assert(whole.digest == others[0].digest);
    assert(whole.digest == others[1].digest);
    reply_whole_done(&whole.whole);
}

static void try_body(struct span s)
{
    struct seen seen = {.digest = 1};
    struct reply_sink sink = {on_reply, &seen};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    struct reply_error error;
    struct buf store;
    buf_init(&store, PROVIDER_BODY_MAX);
    reply_whole_init(&seen.whole);
    seen.verdict = provider_gemini.read_body(&reading, s, &report);
    check_whole(&seen);
    bool failed = provider_gemini.read_error(s, &store, &error);
    assert(failed == provider_gemini.is_error_body(s));
    assert(!failed || seen.verdict == VERDICT_ERROR);
    int status = 400;
    int64_t retry_ms = -1;
    provider_gemini.weigh_error(s, &status, &retry_ms);
    assert((status == 400 || status == 401) && retry_ms >= -1);
    reply_whole_done(&seen.whole);
    buf_done(&store);
}

static void write_request(struct chat *chat, struct dialog *d, const char *model)
{
    static const struct client_headers headers = {.n_other = 0};
    struct drops drops = {.n = 0};
    struct fail fail = {.code = ERR_OK};
    struct provider_target to = target;
    struct upreq up;
    to.upstream_model = model;
    struct provider_ask ask = {.target = &to,
                               .headers = &headers,
                               .chat = chat,
                               .dialog = d,
                               .max_tokens = chat->max_tokens,
                               .drops = &drops};
    upreq_init(&up);
    if (provider_gemini.build(&ask, &up, &fail) == 0) {
        char *body = malloc(up.body_len);
        assert(body != NULL);
        size_t n = upreq_read(&up, 0, body, up.body_len);
        assert(n == up.body_len && is_object((struct span){body, n}));
        free(body);
    } else {
        assert(fail.code == ERR_bad_request && fail.text[0] != '\0');
    }
    upreq_done(&up);
}

static void try_request(struct span s)
{
    struct json_doc doc;
    struct chat chat;
    struct dialog d;
    struct fail fail;
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&d);
    if (json_parse(&doc, s, NULL) == 0 && chat_read_anthropic(&chat, &doc, false, &fail) == 0 &&
        door_anthropic.read(&chat, &d, &fail) == 0) {
        write_request(&chat, &d, "gemini-3-flash");
        write_request(&chat, &d, "gemini-2.5-pro");
    }
    dialog_done(&d);
    chat_done(&chat);
    json_done(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span s = {(const char *)data, size};
    if (size > INPUT_MAX)
        return 0;
    try_stream(s);
    try_body(s);
    try_request(s);
    return 0;
}
