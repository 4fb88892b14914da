/* Fuzz target of the Bedrock adapter's readers.  The first byte seeds the cuts, the second chooses
 * what the rest is: a body, a stream as it is, or lines "EVENT PAYLOAD" that become the messages of
 * a stream ("!TYPE PAYLOAD": an exception), as random bytes hardly ever have the right sums; and
 * Converse or InvokeModel.  Oracles:
 *   - what is told keeps the grammar (reply_check);
 *   - whole, byte by byte and cut at random say the same, with neighbouring deltas joined;
 *   - usage and verdict do not depend on whether somebody listens;
 *   - complete is what told its end, and only that, unless it told an error. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "providers/provider.h"
#include "schema/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 8192, LOG_MAX = 1 << 22 };
enum { BODY = 1, RAW = 2, INVOKE = 4 };

struct run {
    struct buf log;
    struct reply_grammar grammar;
    int last; /* kind of the delta before, -1: none */
    bool fed, ended, failed;
    enum verdict verdict;
    struct usage usage;
};

static void log_reply(void *ctx, const struct reply *r)
{
    struct run *run = ctx;
    assert(reply_check(&run->grammar, r) == NULL);
    int kind = r->kind == REPLY_DELTA && r->delta != DELTA_CITATION ? (int)r->delta : -1;
    if (kind < 0 || kind != run->last)
        buf_addf(&run->log, "\n%d %d %d %d ", r->kind, r->block, r->delta, r->stop);
    buf_add_span(&run->log, r->id);
    buf_add_span(&run->log, r->name);
    buf_add_span(&run->log, r->text);
    buf_add_span(&run->log, r->signature);
    buf_add_span(&run->log, r->json);
    buf_add_span(&run->log, r->citation.json);
    buf_add_span(&run->log, r->error.message);
    run->last = kind;
    run->ended = run->ended || r->kind == REPLY_END;
    run->failed = run->failed || r->kind == REPLY_ERROR;
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    assert(ev->text.len <= ev->data.len);
}

static uint32_t random_state;

static struct provider_target target_of(int mode)
{
    return (struct provider_target){.slug = "bedrock",
                                    .base_url = "https://x.example",
                                    .upstream_model = (mode & INVOKE) != 0 ? "anthropic.claude-x"
                                                                           : "amazon.nova-x"};
}

static void run_init(struct run *run)
{
    *run = (struct run){.last = -1, .fed = true};
    buf_init(&run->log, LOG_MAX);
}

/* Pieces of up to `most` bytes, each in memory of its own that is gone afterwards. */
static void play_stream(struct span s, int mode, size_t most, bool listens, struct run *ret)
{
    struct provider_target target = target_of(mode);
    struct reply_sink sink = {log_reply, ret};
    struct provider_reading reading = {.target = &target, .sink = listens ? &sink : NULL};
    static struct usage_report report;
    int64_t bytes;
    run_init(ret);
    void *stream = provider_bedrock.stream_open(&reading);
    assert(stream != NULL);
    for (size_t at = 0, n = 0; at < s.len && ret->fed; at += n) {
        random_state = random_state * 1664525u + 1013904223u;
        n = 1 + (random_state >> 8) % most;
        n = n < s.len - at ? n : s.len - at;
        char *piece = malloc(n);
        assert(piece != NULL);
        memcpy(piece, s.ptr + at, n);
        ret->fed =
            provider_bedrock.stream_feed(stream, (struct span){piece, n}, ignore_event, NULL);
        free(piece);
    }
    provider_bedrock.stream_finish(stream);
    ret->verdict = provider_bedrock.stream_state(stream, &report, &bytes);
    ret->usage = report.total;
    assert(bytes >= 0);
    provider_bedrock.stream_close(stream);
}

static void play_body(struct span s, int mode, bool listens, struct run *ret)
{
    struct provider_target target = target_of(mode);
    struct reply_sink sink = {log_reply, ret};
    struct provider_reading reading = {.target = &target, .sink = listens ? &sink : NULL};
    static struct usage_report report;
    run_init(ret);
    ret->verdict = provider_bedrock.read_body(&reading, s, &report);
    ret->usage = report.total;
}

static void same(const struct run *a, const struct run *b, bool also_told)
{
    assert(a->fed == b->fed && a->verdict == b->verdict);
    assert(memcmp(&a->usage, &b->usage, sizeof(a->usage)) == 0);
    assert(!also_told || span_eq(buf_span(&a->log), buf_span(&b->log)));
}

static void check_body(struct span s, int mode)
{
    struct run told, deaf;
    struct reply_error error;
    struct buf store;
    play_body(s, mode, true, &told);
    play_body(s, mode, false, &deaf);
    same(&told, &deaf, false);
    buf_init(&store, LOG_MAX);
    assert(provider_bedrock.read_error(s, &store, &error) == provider_bedrock.is_error_body(s));
    buf_done(&store);
    buf_done(&told.log);
    buf_done(&deaf.log);
}

static void check_stream(struct span s, int mode)
{
    struct run whole, cut;
    play_stream(s, mode, SIZE_MAX, true, &whole);
    assert(!whole.ended || whole.verdict == VERDICT_COMPLETE);
    assert(whole.verdict != VERDICT_COMPLETE || whole.ended || whole.failed || !whole.fed);
    static const size_t mosts[] = {1, 3, 100};
    for (size_t i = 0; i < sizeof(mosts) / sizeof(mosts[0]); i++) {
        play_stream(s, mode, mosts[i], true, &cut);
        same(&whole, &cut, true);
        buf_done(&cut.log);
    }
    play_stream(s, mode, SIZE_MAX, false, &cut);
    /* Only who listens keeps blocks, and can run out of room for them. */
    if (whole.fed)
        same(&whole, &cut, false);
    buf_done(&cut.log);
    buf_done(&whole.log);
}

static void add_message(struct buf *out, struct span line)
{
    char name[64] = "";
    bool exception = line.len > 0 && line.ptr[0] == '!';
    size_t begin = exception ? 1 : 0, at = begin;
    while (at < line.len && line.ptr[at] != ' ')
        at++;
    size_t n = at - begin < sizeof(name) - 1 ? at - begin : sizeof(name) - 1;
    if (line.len > begin)
        memcpy(name, line.ptr + begin, n);
    at = at < line.len ? at + 1 : line.len;
    const char *const headers[] = {exception ? ":exception-type" : ":event-type", name,
                                   ":message-type", exception ? "exception" : "event", NULL};
    bool ok = eventstream_write(out, headers, (struct span){line.ptr + at, line.len - at});
    assert(ok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX)
        return 0;
    random_state = data[0];
    int mode = data[1] & (BODY | RAW | INVOKE);
    struct span s = {(const char *)data + 2, size - 2};
    if ((mode & BODY) != 0) {
        check_body(s, mode);
        return 0;
    }
    if ((mode & RAW) != 0) {
        check_stream(s, mode);
        return 0;
    }
    struct buf stream;
    buf_init(&stream, 256 * INPUT_MAX);
    for (size_t begin = 0; begin < s.len;) {
        const char *end = memchr(s.ptr + begin, '\n', s.len - begin);
        size_t n = end != NULL ? (size_t)(end - s.ptr) - begin : s.len - begin;
        add_message(&stream, (struct span){s.ptr + begin, n});
        begin += n + 1;
    }
    check_stream(buf_span(&stream), mode);
    buf_done(&stream);
    return 0;
}
