/* Real recorded exchanges through OpenAI's door, where they are to be had (WAYFARE_SHARED, default
 * "../shared").  Requests of the protocol are accepted, measured and read, and what was read is
 * counted a second time with json-c.  Answers of every protocol that has an adapter (but for the
 * binary ones of Bedrock) are told to a plain client, as a stream and as a body. */
#include <check.h>
#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/provider.h"
#include "tests/unit/dialog_case.h"
#include "tests/unit/openai_client.h"

enum { REQUESTS_MIN = 120, ANSWERS_MIN = 100, TEXT_MAX = 16 * 1024 * 1024 };

static const char *shared_dir(void)
{
    const char *dir = getenv("WAYFARE_SHARED");
    return dir != NULL ? dir : "../shared";
}

static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    if (json_object_is_type(object, json_type_object))
        json_object_object_get_ex(object, key, &value);
    return value;
}

static size_t length(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static const char *word(struct json_object *object, const char *key)
{
    struct json_object *v = member(object, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

/* ---- requests ---- */

/* What a conversation holds, counted in two ways. */
struct counts {
    size_t text_bytes, calls, results, images, audio, files, tools;
};

static void count_part(struct counts *n, struct json_object *part)
{
    const char *type = word(part, "type");
    n->images += strcmp(type, "image_url") == 0;
    n->audio += strcmp(type, "input_audio") == 0;
    n->files += strcmp(type, "file") == 0;
    if (strcmp(type, "text") == 0)
        n->text_bytes += strlen(word(part, "text"));
}

static struct counts count_body(struct json_object *body)
{
    struct json_object *messages = member(body, "messages");
    struct counts n = {.tools = length(member(body, "tools")) + length(member(body, "functions"))};
    for (size_t i = 0; i < length(messages); i++) {
        struct json_object *m = json_object_array_get_idx(messages, i);
        struct json_object *content = member(m, "content");
        n.calls += length(member(m, "tool_calls"));
        n.results += strcmp(word(m, "role"), "tool") == 0;
        n.text_bytes += strlen(word(m, "content"));
        for (size_t p = 0; p < length(content); p++)
            count_part(&n, json_object_array_get_idx(content, p));
    }
    return n;
}

static void count_blocks(struct counts *n, const struct dialog_blocks *list)
{
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next) {
        n->text_bytes += b->kind == BLOCK_TEXT ? b->text.len : 0;
        n->calls += b->kind == BLOCK_TOOL_CALL;
        n->results += b->kind == BLOCK_TOOL_RESULT;
        n->images += b->kind == BLOCK_IMAGE;
        n->audio += b->kind == BLOCK_AUDIO;
        n->files += b->kind == BLOCK_DOCUMENT;
        count_blocks(n, &b->children);
    }
}

static struct counts count_dialog(const struct dialog *d)
{
    struct counts n = {.tools = (size_t)d->n_tools};
    count_blocks(&n, &d->system);
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next)
        count_blocks(&n, &m->blocks);
    return n;
}

static void add_piece(void *ctx, struct span piece)
{
    ck_assert(buf_add_span(ctx, piece));
}

/* Forwarded, it is the same but for the model and what was cut. */
static void check_forwarded(const char *file, const struct chat *chat, struct json_object *body)
{
    static const char *const cut[] = {"models", "provider", "usage"};
    struct buf out;
    buf_init(&out, TEXT_MAX);
    chat_pieces(chat, SPAN("\"other\""), add_piece, &out);
    struct json_object *sent = json_tokener_parse(out.ptr);
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++)
        json_object_object_del(body, cut[i]);
    json_object_object_add(body, "model", json_object_new_string("other"));
    ck_assert_msg(json_object_equal(sent, body), "%s: %s", file, out.ptr);
    json_object_put(sent);
    buf_done(&out);
}

/* status: what the provider answered. */
static void check_request(const char *file, struct json_object *body, int64_t status)
{
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
    struct fail fail;
    int64_t answers = json_object_get_int64(member(body, "n"));
    if (member(body, "model") == NULL) /* Azure has it in the path */
        json_object_object_add(body, "model", json_object_new_string("m"));
    struct counts want = count_body(body);
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN);
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    ck_assert_msg(json_parse(&doc, span_of(text), &fail) == 0, "%s: %s", file, fail.text);
    int rc = chat_read_openai(&chat, &doc, &fail);
    if (answers > 1) {
        ck_assert_msg(rc == -1 && strcmp(fail.field, "n") == 0, "%s", file);
    } else if (rc == 0 && door_openai.read(&chat, &dialog, &fail) != 0) {
        ck_assert_msg(status == 400, "%s: %s", file, fail.text); /* nor did the provider take it */
    } else {
        ck_assert_msg(rc == 0, "%s: %s", file, fail.text);
        check_normal_form(&dialog);
        struct counts seen = count_dialog(&dialog);
        ck_assert_msg(memcmp(&seen, &want, sizeof(seen)) == 0, "%s: %zu bytes of text, not %zu",
                      file, seen.text_bytes, want.text_bytes);
        ck_assert_msg(chat.prompt_bytes >= (int64_t)want.text_bytes, "%s", file);
        ck_assert_msg(((chat.needs & NEED_IMAGES) != 0) == (want.images > 0), "%s", file);
        check_forwarded(file, &chat, body);
    }
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
}

/* ---- answers ---- */

struct telling {
    struct door_writer *streaming, *whole;
    struct buf stream, body;
    struct reply_whole told;
    struct reply_whole told_in_time; /* without the signatures that come too late for a stream */
};

static void on_reply(void *ctx, const struct reply *r)
{
    struct telling *t = ctx;
    struct reply timely = *r;
    if (r->kind == REPLY_CLOSE)
        timely.signature = (struct span){"", 0};
    ck_assert(reply_gather(&t->told, r));
    ck_assert(reply_gather(&t->told_in_time, &timely));
    ck_assert(door_openai.write(t->streaming, r, &t->stream));
    ck_assert(door_openai.write(t->whole, r, &t->body));
}

static void on_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

static const struct provider *adapter_of(const char *api)
{
    static const struct {
        const char *api, *protocol;
    } rows[] = {{"anthropic.messages", "anthropic"},
                {"openai.chat", "openai"},
                {"gemini.generateContent", "gemini"},
                {"gemini.streamGenerateContent", "gemini"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(api, rows[i].api) == 0)
            return provider_find(rows[i].protocol);
    }
    return NULL;
}

static void play(const struct provider *p, const struct provider_reading *reading,
                 struct json_object *response)
{
    static struct usage_report report;
    struct json_object *text = member(response, "body_text");
    if (text == NULL) {
        const char *body = json_object_to_json_string(member(response, "body"));
        p->read_body(reading, span_of(body), &report);
        return;
    }
    struct span bytes = {json_object_get_string(text), (size_t)json_object_get_string_len(text)};
    void *stream = p->stream_open(reading);
    p->stream_feed(stream, bytes, on_event, NULL);
    if (p->stream_finish != NULL)
        p->stream_finish(stream);
    p->stream_close(stream);
}

/* The end is told to the client exactly when the provider told it. */
static void check_told(const char *file, struct telling *t, const char *generation_id)
{
    struct openai_client streamed, whole;
    openai_client_init(&streamed);
    openai_client_init(&whole);
    buf_addc(&t->stream, '\0');
    openai_client_stream(&streamed, t->stream.ptr);
    ck_assert_msg(streamed.done == t->told.ended, "%s", file);
    ck_assert_msg(streamed.failed == t->told.errored, "%s", file);
    ck_assert_msg(t->told.ended == (t->body.len > 0), "%s", file);
    if (t->told.ended) {
        openai_client_body(&whole, t->body.ptr);
        openai_client_compare(&streamed, &t->told_in_time, generation_id);
        openai_client_compare(&whole, &t->told, generation_id);
    }
    openai_client_done(&streamed);
    openai_client_done(&whole);
}

static void check_answer(const char *file, const struct provider *p, struct json_object *response)
{
    const struct provider_target target = {.slug = "p", .base_url = "https://api.example/v1"};
    const struct door_answer streaming = {
        .stream = true, .include_usage = true, .generation_id = "gen_1", .model = "m"};
    const struct door_answer whole = {.generation_id = "gen_1", .model = "m"};
    struct telling t = {.streaming = door_openai.open(&streaming),
                        .whole = door_openai.open(&whole)};
    struct reply_sink sink = {on_reply, &t};
    struct provider_reading reading = {.target = &target, .sink = &sink};
    reply_whole_init(&t.told);
    reply_whole_init(&t.told_in_time);
    buf_init(&t.stream, TEXT_MAX);
    buf_init(&t.body, TEXT_MAX);
    play(p, &reading, response);
    check_told(file, &t, streaming.generation_id);
    door_openai.close(t.streaming);
    door_openai.close(t.whole);
    reply_whole_done(&t.told);
    reply_whole_done(&t.told_in_time);
    buf_done(&t.stream);
    buf_done(&t.body);
}

/* ---- the files ---- */

static int n_requests, n_answers;

static void check_file(const char *path)
{
    struct json_object *exchange = json_object_from_file(path);
    ck_assert_msg(exchange != NULL, "%s", path);
    struct json_object *response = member(exchange, "response");
    struct json_object *body = member(member(exchange, "request"), "body");
    const char *api = word(exchange, "api"), *framing = word(exchange, "framing");
    const struct provider *p = adapter_of(api);
    int64_t status = json_object_get_int64(member(response, "status"));
    if (strcmp(api, "openai.chat") == 0 && json_object_is_type(body, json_type_object)) {
        n_requests++;
        check_request(path, body, status);
    }
    bool text = framing[0] == '\0' || strcmp(framing, "sse") == 0;
    if (p != NULL && text && status / 100 == 2) {
        n_answers++;
        check_answer(path, p, response);
    }
    json_object_put(exchange);
}

static bool is_recording(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".json") == 0;
}

static void check_folder(const char *path)
{
    struct dirent *e;
    DIR *d = opendir(path);
    while (d != NULL && (e = readdir(d)) != NULL) {
        char file[1024];
        snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        if (is_recording(e->d_name))
            check_file(file);
        else if (e->d_name[0] != '.')
            check_folder(file);
    }
    if (d != NULL)
        closedir(d);
}

START_TEST(test_recordings)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/recordings", shared_dir());
    check_folder(path);
    if (n_requests + n_answers == 0) {
        printf("skip openai_door_recordings: no %s\n", path);
        return;
    }
    ck_assert_int_ge(n_requests, REQUESTS_MIN);
    ck_assert_int_ge(n_answers, ANSWERS_MIN);
}
END_TEST

Suite *openai_door_recordings_suite(void);
Suite *openai_door_recordings_suite(void)
{
    Suite *s = suite_create("openai_door_recordings");
    TCase *t = tcase_create("openai_door_recordings");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_recordings);
    suite_add_tcase(s, t);
    return s;
}
