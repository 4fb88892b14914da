/* Real recorded answers through the Anthropic adapter, where they are to be had
 * (WAYFARE_SHARED, default "../shared"): whole, byte by byte and at the recorded
 * network pieces.  The usage is computed a second time here, with json-c and the
 * plainest reading of the rules; so is the text.  What an answer means goes out of the door
 * again, and must mean the same.  Requests are read by the door, and written again. */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "providers/door.h"
#include "tests/unit/golden.h"
#include "tests/unit/recordings.h"

static const struct provider_target target = {.base_url = "https://api.example"};
static const struct provider_reading reading = {.target = &target};

enum { RECORDINGS_MIN = 40 };

/* The second computation */

struct figures {
    int64_t input, output, cache_read, write, write_5m, write_1h, searches;
};

static struct figures read_figures(struct json_object *usage)
{
    struct json_object *split = recording_member(usage, "cache_creation");
    return (struct figures){
        .input = recording_number(usage, "input_tokens"),
        .output = recording_number(usage, "output_tokens"),
        .cache_read = recording_number(usage, "cache_read_input_tokens"),
        .write = recording_number(usage, "cache_creation_input_tokens"),
        .write_5m = recording_number(split, "ephemeral_5m_input_tokens"),
        .write_1h = recording_number(split, "ephemeral_1h_input_tokens"),
        .searches =
            recording_number(recording_member(usage, "server_tool_use"), "web_search_requests"),
    };
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct figures max_figures(struct figures a, struct figures b)
{
    return (struct figures){
        .input = larger(a.input, b.input),
        .output = larger(a.output, b.output),
        .cache_read = larger(a.cache_read, b.cache_read),
        .write = larger(a.write, b.write),
        .write_5m = larger(a.write_5m, b.write_5m),
        .write_1h = larger(a.write_1h, b.write_1h),
        .searches = larger(a.searches, b.searches),
    };
}

/* What is billed: the iterations where there are any, else the figures. */
static struct figures billed(struct figures total, struct json_object *iterations)
{
    size_t n =
        json_object_is_type(iterations, json_type_array) ? json_object_array_length(iterations) : 0;
    if (n == 0)
        return total;
    struct figures sum = {.searches = total.searches};
    for (size_t i = 0; i < n; i++) {
        struct figures f = read_figures(json_object_array_get_idx(iterations, i));
        sum.input += f.input;
        sum.output += f.output;
        sum.cache_read += f.cache_read;
        sum.write_1h += f.write_1h;
        sum.write_5m += larger(f.write - f.write_1h, f.write_5m);
    }
    sum.write = sum.write_5m + sum.write_1h;
    return sum;
}

static struct figures stream_bill(const char *text)
{
    struct figures start = {.input = 0}, delta = {.input = 0};
    struct json_object *iterations = NULL;
    while (text != NULL && *text != '\0') {
        const char *end = strchr(text, '\n');
        if (strncmp(text, "data: ", 6) == 0) {
            struct json_object *data = json_tokener_parse(text + 6);
            const char *type = json_object_get_string(recording_member(data, "type"));
            struct json_object *usage = recording_member(data, "usage");
            if (type != NULL && strcmp(type, "message_start") == 0)
                start = max_figures(start, read_figures(recording_member(
                                               recording_member(data, "message"), "usage")));
            if (type != NULL && strcmp(type, "message_delta") == 0 && usage != NULL) {
                delta = read_figures(usage);
                if (recording_member(usage, "iterations") != NULL) {
                    json_object_put(iterations);
                    iterations = json_object_get(recording_member(usage, "iterations"));
                }
            }
            json_object_put(data);
        }
        text = end != NULL ? end + 1 : NULL;
    }
    struct figures bill = billed(max_figures(start, delta), iterations);
    json_object_put(iterations);
    return bill;
}

static int64_t delta_bytes(struct json_object *delta)
{
    int64_t n = 0;
    if (!json_object_is_type(delta, json_type_object))
        return 0;
    json_object_object_foreach(delta, key, value)
    {
        if (json_object_is_type(value, json_type_string) && strcmp(key, "type") != 0 &&
            strcmp(key, "signature") != 0)
            n += json_object_get_string_len(value);
    }
    return n;
}

static int64_t stream_content_bytes(const char *text)
{
    int64_t n = 0;
    while (text != NULL && *text != '\0') {
        const char *end = strchr(text, '\n');
        if (strncmp(text, "data: {\"type\":\"content_block_delta\"", 35) == 0) {
            struct json_object *data = json_tokener_parse(text + 6);
            n += delta_bytes(recording_member(data, "delta"));
            json_object_put(data);
        }
        text = end != NULL ? end + 1 : NULL;
    }
    return n;
}

static void must_be_billed(const char *file, const struct usage_report *r, struct figures f)
{
    struct usage sum;
    usage_report_sum(r, &sum);
    int64_t write_5m = larger(f.write - f.write_1h, f.write_5m);
    const int64_t pairs[][2] = {
        {sum.n[USAGE_input_tok], f.input},
        {sum.n[USAGE_output_tok], f.output},
        {sum.n[USAGE_cache_read_tok], f.cache_read},
        {sum.n[USAGE_cache_write_5m_tok], write_5m},
        {sum.n[USAGE_cache_write_1h_tok], f.write_1h},
        {sum.n[USAGE_web_searches], f.searches},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        ck_assert_msg(pairs[i][0] == pairs[i][1], "%s: %s is %lld, not %lld", file,
                      usage_bucket_name((enum usage_bucket)i), (long long)pairs[i][0],
                      (long long)pairs[i][1]);
}

/* The replay */

static void count_event(void *ctx, const struct event *ev)
{
    int *n = ctx;
    n[ev->kind]++;
}

/* step 0: at the sizes of the array (json), the rest whole. */
static void replay_stream(const char *file, struct json_object *text, size_t step,
                          struct json_object *sizes)
{
    static struct usage_report report;
    int events[EVENT_OTHER + 1] = {0};
    int64_t content_bytes;
    const char *bytes = json_object_get_string(text);
    size_t len = (size_t)json_object_get_string_len(text);
    void *stream = provider_anthropic.stream_open(&reading);
    size_t at = 0;
    for (size_t i = 0; at < len; i++) {
        size_t n = step;
        if (step == 0 && i < json_object_array_length(sizes))
            n = (size_t)json_object_get_int64(json_object_array_get_idx(sizes, i));
        if (n == 0 || n > len - at)
            n = len - at;
        ck_assert(provider_anthropic.stream_feed(stream, (struct span){bytes + at, n}, count_event,
                                                 events));
        at += n;
    }
    enum verdict verdict = provider_anthropic.stream_state(stream, &report, &content_bytes);
    provider_anthropic.stream_close(stream);
    bool ends = strstr(bytes, "event: message_stop") != NULL;
    ck_assert_msg((verdict == VERDICT_COMPLETE) == ends, "%s: verdict %d", file, verdict);
    ck_assert_msg(events[EVENT_START] >= 1 && events[EVENT_USAGE] >= 1, "%s", file);
    ck_assert_msg(content_bytes == stream_content_bytes(bytes), "%s: %lld content bytes", file,
                  (long long)content_bytes);
    must_be_billed(file, &report, stream_bill(bytes));
}

/* ---- what it means ---- */

struct meaning {
    struct golden_replies lines;
    struct reply_whole whole;
};

static void on_reply(void *ctx, const struct reply *r)
{
    struct meaning *m = ctx;
    golden_on_reply(&m->lines, r);
    ck_assert(reply_gather(&m->whole, r));
}

static void meaning_init(struct meaning *m)
{
    golden_replies_init(&m->lines);
    reply_whole_init(&m->whole);
}

static void meaning_done(struct meaning *m)
{
    golden_replies_done(&m->lines);
    reply_whole_done(&m->whole);
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

static void read_stream(struct span bytes, struct meaning *m)
{
    struct reply_sink sink = {on_reply, m};
    struct provider_reading with_sink = {.target = &target, .sink = &sink};
    void *stream = provider_anthropic.stream_open(&with_sink);
    ck_assert(provider_anthropic.stream_feed(stream, bytes, ignore_event, NULL));
    provider_anthropic.stream_finish(stream);
    provider_anthropic.stream_close(stream);
}

static void read_plain(struct span bytes, struct meaning *m)
{
    static struct usage_report report;
    struct reply_sink sink = {on_reply, m};
    struct provider_reading with_sink = {.target = &target, .sink = &sink};
    provider_anthropic.read_body(&with_sink, bytes, &report);
}

/* Texts and thinking of one message, each behind the other. */
static void add_texts(struct buf *out, struct json_object *content)
{
    for (size_t i = 0; i < json_object_array_length(content); i++) {
        struct json_object *block = json_object_array_get_idx(content, i);
        static const char *const members[] = {"text", "thinking", "signature", "data"};
        for (int k = 0; k < 4; k++) {
            struct json_object *v = recording_member(block, members[k]);
            if (json_object_is_type(v, json_type_string))
                buf_adds(out, json_object_get_string(v));
        }
    }
}

static void add_delta_text(struct buf *out, struct json_object *event)
{
    struct json_object *block = recording_member(event, "content_block"),
                       *delta = recording_member(event, "delta");
    static const char *const members[] = {"text", "thinking", "signature", "data"};
    for (int k = 0; k < 4; k++) {
        struct json_object *holder = block != NULL ? block : delta;
        if (json_object_is_type(recording_member(holder, members[k]), json_type_string))
            buf_adds(out, json_object_get_string(recording_member(holder, members[k])));
    }
}

static void stream_texts(struct buf *out, const char *text)
{
    while (text != NULL && *text != '\0') {
        const char *end = strchr(text, '\n');
        if (strncmp(text, "data: ", 6) == 0) {
            struct json_object *data = json_tokener_parse(text + 6);
            struct json_object *content =
                recording_member(recording_member(data, "message"), "content");
            const char *type = json_object_get_string(recording_member(data, "type"));
            if (content != NULL)
                add_texts(out, content);
            add_delta_text(out, data);
            if (type != NULL && strcmp(type, "message_stop") == 0)
                end = NULL; /* one file holds several answers */
            json_object_put(data);
        }
        text = end != NULL ? end + 1 : NULL;
    }
}

static void must_say(const char *file, const struct meaning *m, const struct buf *expected)
{
    struct buf said;
    buf_init(&said, DIALOG_MEMORY_MAX);
    for (const struct dialog_block *b = m->whole.content.first; b != NULL; b = b->next) {
        buf_add_span(&said, b->text);
        buf_add_span(&said, b->signature);
    }
    ck_assert_msg(span_eq(buf_span(&said), buf_span(expected)), "%s:\n%s\nexpected:\n%s", file,
                  said.ptr, expected->ptr);
    buf_done(&said);
}

/* In a body, arguments that are cut off are wrapped. */
static bool same_arguments(struct span after, struct span before)
{
    static const char wrapped[] = "{\"INVALID_JSON\":";
    return span_eq(after, before) || strncmp(after.ptr, wrapped, strlen(wrapped)) == 0;
}

/* Through the door as a stream and as a body: read again, it is the same content. */
struct way_out {
    struct door_writer *writer;
    struct buf out;
};

static void write_out(void *ctx, const struct reply *r)
{
    struct way_out *w = ctx;
    ck_assert(door_anthropic.write(w->writer, r, &w->out));
}

static void pass_the_door(struct span bytes, bool stream, const struct door_answer *answer,
                          struct way_out *ret)
{
    static struct usage_report report;
    struct reply_sink sink = {write_out, ret};
    struct provider_reading with_sink = {.target = &target, .sink = &sink};
    buf_init(&ret->out, DIALOG_MEMORY_MAX);
    ret->writer = door_anthropic.open(answer);
    if (stream) {
        void *s = provider_anthropic.stream_open(&with_sink);
        ck_assert(provider_anthropic.stream_feed(s, bytes, ignore_event, NULL));
        provider_anthropic.stream_finish(s);
        provider_anthropic.stream_close(s);
    } else {
        provider_anthropic.read_body(&with_sink, bytes, &report);
    }
    door_anthropic.close(ret->writer);
}

/* A body leaves out text that is empty; a stream has said that it comes. */
static const struct dialog_block *shown(const struct dialog_block *b, bool stream)
{
    while (!stream && b != NULL && b->kind == BLOCK_TEXT && b->text.len == 0)
        b = b->next;
    return b;
}

static void must_equal(const char *file, bool stream, const struct reply_whole *after,
                       const struct reply_whole *before)
{
    const struct dialog_block *b = shown(before->content.first, stream);
    ck_assert_msg(after->ended && after->stop == before->stop, "%s", file);
    for (const struct dialog_block *a = after->content.first; a != NULL; a = a->next) {
        ck_assert_msg(b != NULL && a->kind == b->kind && span_eq(a->text, b->text) &&
                          span_eq(a->id, b->id) && span_eq(a->name, b->name) &&
                          span_eq(a->signature, b->signature) && same_arguments(a->json, b->json),
                      "%s: %s", file, dialog_kind_name(a->kind));
        b = shown(b->next, stream);
    }
    ck_assert_msg(b == NULL, "%s: a block is missing", file);
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        ck_assert_int_eq(after->usage.n[i], before->usage.n[i]);
    ck_assert_int_eq(after->reasoning_tok, before->reasoning_tok);
}

static void must_pass_the_door(const char *file, struct span bytes, bool stream,
                               const struct meaning *before)
{
    struct door_answer answer = {.generation_id = "gen_1", .model = "m"};
    for (int as_stream = 0; as_stream < 2; as_stream++) {
        struct way_out way;
        struct meaning after;
        answer.stream = as_stream != 0;
        pass_the_door(bytes, stream, &answer, &way);
        meaning_init(&after);
        if (answer.stream)
            read_stream(buf_span(&way.out), &after);
        else
            read_plain(buf_span(&way.out), &after);
        must_equal(file, answer.stream, &after.whole, &before->whole);
        meaning_done(&after);
        buf_done(&way.out);
    }
}

static void check_meaning(const char *file, struct span bytes, bool stream, struct buf *texts)
{
    struct meaning m;
    meaning_init(&m);
    if (stream)
        read_stream(bytes, &m);
    else
        read_plain(bytes, &m);
    golden_lines(&m.lines);
    ck_assert_msg(m.whole.ended, "%s: %s", file, m.lines.out.ptr);
    must_say(file, &m, texts);
    must_pass_the_door(file, bytes, stream, &m);
    meaning_done(&m);
}

static void check_stream_meaning(const char *file, struct json_object *text)
{
    struct buf texts;
    const char *bytes = json_object_get_string(text);
    if (strstr(bytes, "event: message_stop") == NULL)
        return;
    buf_init(&texts, DIALOG_MEMORY_MAX);
    stream_texts(&texts, bytes);
    check_meaning(file, (struct span){bytes, (size_t)json_object_get_string_len(text)}, true,
                  &texts);
    buf_done(&texts);
}

/* ---- requests ---- */

static void read_dialog(const char *file, struct span body, struct json_doc *doc, struct chat *chat,
                        struct dialog *dialog)
{
    struct fail fail;
    ck_assert_msg(json_parse(doc, body, &fail) == 0, "%s: %s", file, fail.text);
    ck_assert_msg(chat_read_anthropic(chat, doc, false, &fail) == 0, "%s: %s", file, fail.text);
    ck_assert_msg(door_anthropic.read(chat, dialog, &fail) == 0, "%s: %s", file, fail.text);
}

static void check_request(const char *file, struct json_object *body)
{
    struct json_doc docs[2];
    struct chat chats[2];
    struct dialog dialogs[2];
    struct upreq up;
    struct drops drops = {.n = 0};
    struct client_headers headers = {.n_other = 0};
    struct provider_target to = {.base_url = "https://api.example", .upstream_model = "m"};
    const char *where = NULL;
    for (int i = 0; i < 2; i++) {
        json_init(&docs[i]);
        chat_init(&chats[i]);
        dialog_init(&dialogs[i]);
    }
    read_dialog(file, span_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE)),
                &docs[0], &chats[0], &dialogs[0]);
    struct provider_ask ask = {.target = &to,
                               .headers = &headers,
                               .chat = &chats[0],
                               .dialog = &dialogs[0],
                               .max_tokens = chats[0].max_tokens,
                               .drops = &drops};
    upreq_init(&up);
    ck_assert_int_eq(provider_anthropic.build(&ask, &up, NULL), 0);
    char *sent = malloc(up.body_len + 1);
    ck_assert(sent != NULL);
    struct span written = {sent, upreq_read(&up, 0, sent, up.body_len)};
    read_dialog(file, written, &docs[1], &chats[1], &dialogs[1]);
    /* Said where the client did not. */
    dialogs[0].max_tokens = dialogs[1].max_tokens;
    ck_assert_msg(dialog_equal(&dialogs[0], &dialogs[1], &where), "%s: %s\n%.*s", file, where,
                  (int)written.len, written.ptr);
    ck_assert_msg(drops.n == 0, "%s: %s", file, drops.names[0]);
    free(sent);
    upreq_done(&up);
    for (int i = 0; i < 2; i++) {
        json_done(&docs[i]);
        chat_done(&chats[i]);
        dialog_done(&dialogs[i]);
    }
}

static void replay_plain(const char *file, struct json_object *response)
{
    static struct usage_report report;
    struct json_object *body = recording_member(response, "body");
    int64_t status = recording_number(response, "status");
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE);
    struct span bytes = span_of(text);
    if (status >= 400) {
        ck_assert_msg(provider_anthropic.is_error_body(bytes), "%s", file);
        return;
    }
    if (recording_member(body, "data") != NULL) /* a list of models */
        return;
    ck_assert_msg(provider_anthropic.read_body(&reading, bytes, &report) == VERDICT_COMPLETE, "%s",
                  file);
    ck_assert(!provider_anthropic.is_error_body(bytes));
    if (recording_member(body, "content") != NULL) {
        struct buf texts;
        buf_init(&texts, DIALOG_MEMORY_MAX);
        add_texts(&texts, recording_member(body, "content"));
        check_meaning(file, bytes, false, &texts);
        buf_done(&texts);
    }
    struct json_object *usage = recording_member(body, "usage");
    bool counts = recording_member(body, "type") == NULL;
    must_be_billed(
        file, &report,
        billed(read_figures(counts ? body : usage), recording_member(usage, "iterations")));
}

static bool replay_file(const char *path, struct json_object *file)
{
    struct json_object *response = recording_member(file, "response");
    struct json_object *text = recording_member(response, "body_text");
    struct json_object *sizes = recording_member(response, "chunk_sizes");
    bool stream = recording_member(file, "framing") != NULL;
    if (stream) {
        replay_stream(path, text, SIZE_MAX, NULL);
        replay_stream(path, text, 1, NULL);
        replay_stream(path, text, 17, NULL);
        if (sizes != NULL)
            replay_stream(path, text, 0, sizes);
        check_stream_meaning(path, text);
    } else if (recording_member(response, "body") != NULL) {
        replay_plain(path, response);
    }
    struct json_object *asked = recording_member(recording_member(file, "request"), "body");
    if (recording_member(asked, "messages") != NULL && recording_member(asked, "model") != NULL)
        check_request(path, asked);
    return stream || recording_member(response, "body") != NULL;
}

START_TEST(test_recordings)
{
    static const char *const folders[] = {"anthropic", "azure-anthropic", "vertex-anthropic"};
    int n = 0;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        n += recordings_replay("anthropic_recordings", folders[i], 1, replay_file);
    ck_assert(n == 0 || n >= RECORDINGS_MIN);
}
END_TEST

Suite *anthropic_recordings_suite(void);

Suite *anthropic_recordings_suite(void)
{
    Suite *s = suite_create("anthropic_recordings");
    TCase *tc = tcase_create("recordings");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_recordings);
    suite_add_tcase(s, tc);
    return s;
}
