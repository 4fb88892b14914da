/* Real recorded exchanges through OpenAI's door, where they are to be had (WAYFARE_SHARED, default
 * "../shared").  Requests of the protocol are accepted, measured and read, and what was read is
 * counted a second time with json-c.  Answers of every protocol that has an adapter are told to a
 * plain client, as a stream and as a body. */
#include <check.h>
#include <json-c/json.h>

#include "providers/door.h"
#include "providers/provider.h"
#include "tests/unit/dialog_case.h"
#include "tests/unit/openai_client.h"
#include "tests/unit/recordings.h"

enum { REQUESTS_MIN = 120, ANSWERS_MIN = 205, TEXT_MAX = 16 * 1024 * 1024 };

/* ---- requests ---- */

/* What a conversation holds, counted in two ways. */
struct counts {
    size_t text_bytes, calls, results, images, audio, files, tools;
};

static void count_part(struct counts *n, struct json_object *part)
{
    const char *type = recording_word(part, "type");
    n->images += strcmp(type, "image_url") == 0;
    n->audio += strcmp(type, "input_audio") == 0;
    n->files += strcmp(type, "file") == 0;
    if (strcmp(type, "text") == 0)
        n->text_bytes += strlen(recording_word(part, "text"));
}

static struct counts count_body(struct json_object *body)
{
    struct json_object *messages = recording_member(body, "messages");
    struct counts n = {.tools = recording_length(recording_member(body, "tools")) +
                                recording_length(recording_member(body, "functions"))};
    for (size_t i = 0; i < recording_length(messages); i++) {
        struct json_object *m = json_object_array_get_idx(messages, i);
        struct json_object *content = recording_member(m, "content");
        n.calls += recording_length(recording_member(m, "tool_calls"));
        n.results += strcmp(recording_word(m, "role"), "tool") == 0;
        n.text_bytes += strlen(recording_word(m, "content"));
        for (size_t p = 0; p < recording_length(content); p++)
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
    int64_t answers = json_object_get_int64(recording_member(body, "n"));
    if (recording_member(body, "model") == NULL) /* Azure has it in the path */
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

/* The end is told to the client exactly when the provider told it. */
static void check_told(const char *file, struct recording_told *t)
{
    struct openai_client streamed, whole;
    openai_client_init(&streamed);
    openai_client_init(&whole);
    openai_client_stream(&streamed, t->stream.ptr);
    ck_assert_msg(streamed.done == t->told.ended, "%s", file);
    ck_assert_msg(streamed.failed == t->told.errored, "%s", file);
    if (t->told.ended) {
        openai_client_body(&whole, t->body.ptr);
        openai_client_compare(&streamed, &t->told_in_time, RECORDING_GENERATION);
        openai_client_compare(&whole, &t->told, RECORDING_GENERATION);
    }
    openai_client_done(&streamed);
    openai_client_done(&whole);
}

static void check_answer(const char *file, const struct provider *p,
                         const struct provider_target *target, struct json_object *response)
{
    struct recording_told t;
    recording_tell(&t, file, p, target, response, &door_openai);
    ck_assert_msg(t.told.ended == (t.body.len > 0), "%s", file);
    check_told(file, &t);
    recording_told_done(&t);
}

/* ---- the files ---- */

static int n_requests, n_answers;

static bool check_file(const char *path, struct json_object *exchange)
{
    struct json_object *response = recording_member(exchange, "response");
    struct json_object *body = recording_member(recording_member(exchange, "request"), "body");
    struct provider_target target;
    const struct provider *p = recording_reader(exchange, &target);
    int64_t status = recording_number(response, "status");
    if (p != NULL && status / 100 == 2) {
        n_answers++;
        check_answer(path, p, &target, response);
    }
    if (strcmp(recording_word(exchange, "api"), "openai.chat") == 0 &&
        json_object_is_type(body, json_type_object)) {
        n_requests++;
        check_request(path, body, status);
    }
    return true;
}

START_TEST(test_recordings)
{
    int n = recordings_replay("openai_door_recordings", NULL, REQUESTS_MIN, check_file);
    ck_assert(n == 0 || n_requests >= REQUESTS_MIN);
    ck_assert(n == 0 || n_answers >= ANSWERS_MIN);
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
