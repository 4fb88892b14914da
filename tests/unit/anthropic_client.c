/* The client of anthropic_client.h.  platform.claude.com/docs/en/build-with-claude/streaming:
 * message_start, then blocks one after the other (start, deltas of the block's own kind, stop),
 * message_delta, message_stop; ping anywhere; an error ends it. */
#include "tests/unit/anthropic_client.h"

#include <check.h>
#include <json-c/json.h>
#include <stdio.h>

#include "schema/toolsig.h"
#include "tests/unit/recordings.h"

enum { CLIENT_MAX = 64 * 1024 * 1024 };

#define member recording_member
#define word recording_word
#define number recording_number

void anthropic_client_init(struct anthropic_client *c, const char *file)
{
    *c = (struct anthropic_client){.file = file};
    buf_init(&c->text, CLIENT_MAX);
    buf_init(&c->thinking, CLIENT_MAX);
    buf_init(&c->calls, CLIENT_MAX);
    buf_init(&c->arguments, CLIENT_MAX);
}

void anthropic_client_done(struct anthropic_client *c)
{
    buf_done(&c->text);
    buf_done(&c->thinking);
    buf_done(&c->calls);
    buf_done(&c->arguments);
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Arguments that were cut off (max_tokens) come as they are in a stream, wrapped in a body. */
static void add_arguments(struct buf *out, struct json_object *input)
{
    bool cut = input == NULL || member(input, "INVALID_JSON") != NULL;
    ck_assert(cut || json_object_is_type(input, json_type_object));
    buf_adds(out, cut ? "cut" : json_object_to_json_string_ext(input, JSON_C_TO_STRING_PLAIN));
    buf_addc(out, '\n');
}

static void read_usage(struct anthropic_client *c, struct json_object *usage)
{
    ck_assert_msg(member(usage, "input_tokens") != NULL && member(usage, "output_tokens") != NULL,
                  "%s: no usage", c->file);
    c->input_tok = number(usage, "input_tokens");
    c->output_tok = number(usage, "output_tokens");
}

static void read_stop(struct anthropic_client *c, struct json_object *holder)
{
    snprintf(c->stop, sizeof(c->stop), "%s", word(holder, "stop_reason"));
    ck_assert_msg(c->stop[0] != '\0', "%s: no stop_reason", c->file);
}

/* ---- streams ---- */

static void on_message_start(struct anthropic_client *c, struct json_object *data)
{
    struct json_object *message = member(data, "message");
    ck_assert_msg(!c->begun, "%s: a second message_start", c->file);
    ck_assert_msg(is(word(message, "type"), "message") && word(message, "id")[0] != '\0' &&
                      is(word(message, "role"), "assistant") && word(message, "model")[0] != '\0' &&
                      json_object_is_type(member(message, "content"), json_type_array),
                  "%s: message_start", c->file);
    read_usage(c, member(message, "usage"));
    c->begun = true;
}

static void on_block_start(struct anthropic_client *c, struct json_object *data)
{
    struct json_object *block = member(data, "content_block");
    ck_assert_msg(c->begun && !c->open && c->stop[0] == '\0', "%s: a block out of turn", c->file);
    ck_assert_msg(number(data, "index") == c->n_blocks, "%s: index", c->file);
    c->open = true;
    snprintf(c->kind, sizeof(c->kind), "%s", word(block, "type"));
    if (is(c->kind, "tool_use")) {
        ck_assert_msg(word(block, "id")[0] != '\0' && word(block, "name")[0] != '\0' &&
                          json_object_object_length(member(block, "input")) == 0,
                      "%s: tool_use", c->file);
        buf_addf(&c->calls, "%s %s ", word(block, "id"), word(block, "name"));
        buf_reset(&c->arguments);
    }
    buf_adds(&c->text, word(block, "text"));
}

/* Deltas of each kind of block, and the member they bring. */
static const struct {
    const char *delta, *block, *member;
} deltas[] = {{"text_delta", "text", "text"},
              {"citations_delta", "text", "citation"},
              {"thinking_delta", "thinking", "thinking"},
              {"signature_delta", "thinking", "signature"},
              {"input_json_delta", "tool_use", "partial_json"},
              {"input_json_delta", "server_tool_use", "partial_json"}};

static void on_delta(struct anthropic_client *c, struct json_object *data)
{
    struct json_object *delta = member(data, "delta");
    bool known = false;
    ck_assert_msg(c->open && number(data, "index") == c->n_blocks, "%s: a delta in no block",
                  c->file);
    for (size_t i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++)
        known |= is(word(delta, "type"), deltas[i].delta) && is(c->kind, deltas[i].block) &&
                 member(delta, deltas[i].member) != NULL;
    ck_assert_msg(known, "%s: %s in %s", c->file, word(delta, "type"), c->kind);
    buf_adds(&c->text, word(delta, "text"));
    buf_adds(&c->thinking, word(delta, "thinking"));
    buf_adds(&c->arguments, word(delta, "partial_json"));
}

static void on_block_stop(struct anthropic_client *c, struct json_object *data)
{
    ck_assert_msg(c->open && number(data, "index") == c->n_blocks, "%s: a stop of no block",
                  c->file);
    if (is(c->kind, "tool_use")) {
        struct json_object *input =
            json_tokener_parse(c->arguments.len > 0 ? c->arguments.ptr : "{}");
        add_arguments(&c->calls, input);
        c->cut |= input == NULL;
        json_object_put(input);
    }
    c->open = false;
    c->n_blocks++;
}

static void on_message_delta(struct anthropic_client *c, struct json_object *data)
{
    ck_assert_msg(c->begun && !c->open, "%s: message_delta out of turn", c->file);
    read_stop(c, member(data, "delta"));
    ck_assert_msg(!c->cut || is(c->stop, "max_tokens"), "%s: arguments are no object", c->file);
    read_usage(c, member(data, "usage"));
}

static void on_message_stop(struct anthropic_client *c, struct json_object *data)
{
    (void)data;
    ck_assert_msg(c->stop[0] != '\0' && !c->open, "%s: message_stop out of turn", c->file);
    c->ended = true;
}

static void on_error(struct anthropic_client *c, struct json_object *data)
{
    struct json_object *error = member(data, "error");
    ck_assert_msg(word(error, "type")[0] != '\0' && word(error, "message")[0] != '\0',
                  "%s: an error without words", c->file);
    c->failed = true;
}

static void on_ping(struct anthropic_client *c, struct json_object *data)
{
    (void)c, (void)data;
}

static void on_event(struct anthropic_client *c, const char *name, struct json_object *data)
{
    static const struct {
        const char *name;
        void (*on)(struct anthropic_client *c, struct json_object *data);
    } rows[] = {{"message_start", on_message_start},
                {"content_block_start", on_block_start},
                {"content_block_delta", on_delta},
                {"content_block_stop", on_block_stop},
                {"message_delta", on_message_delta},
                {"message_stop", on_message_stop},
                {"error", on_error},
                {"ping", on_ping}};
    ck_assert_msg(!c->ended && !c->failed, "%s: %s behind the end", c->file, name);
    ck_assert_msg(is(word(data, "type"), name), "%s: event %s, type %s", c->file, name,
                  word(data, "type"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (is(name, rows[i].name)) {
            rows[i].on(c, data);
            return;
        }
    }
    ck_abort_msg("%s: unknown event %s", c->file, name);
}

/* Off *text the rest of its line, which must begin with this. */
static const char *take_line(const char *file, const char **text, const char *begin,
                             size_t *ret_len)
{
    size_t n = strlen(begin), len = strcspn(*text, "\n");
    ck_assert_msg(strncmp(*text, begin, n) == 0 && (*text)[len] == '\n', "%s: %.80s", file, *text);
    const char *rest = *text + n;
    *ret_len = len - n;
    *text += len + 1;
    return rest;
}

void anthropic_client_stream(struct anthropic_client *c, const char *text)
{
    while (*text != '\0') {
        size_t name_len, data_len, nothing;
        char name[40];
        const char *at = take_line(c->file, &text, "event: ", &name_len);
        snprintf(name, sizeof(name), "%.*s", (int)name_len, at);
        at = take_line(c->file, &text, "data: ", &data_len);
        take_line(c->file, &text, "", &nothing);
        ck_assert_uint_eq(nothing, 0);
        struct json_tokener *tokener = json_tokener_new();
        struct json_object *data = json_tokener_parse_ex(tokener, at, (int)data_len);
        ck_assert_msg(data != NULL, "%s: no JSON: %.*s", c->file, (int)data_len, at);
        on_event(c, name, data);
        json_object_put(data);
        json_tokener_free(tokener);
    }
}

/* ---- bodies ---- */

static void read_block(struct anthropic_client *c, struct json_object *block)
{
    buf_adds(&c->text, word(block, "text"));
    buf_adds(&c->thinking, word(block, "thinking"));
    if (is(word(block, "type"), "tool_use")) {
        buf_addf(&c->calls, "%s %s ", word(block, "id"), word(block, "name"));
        add_arguments(&c->calls, member(block, "input"));
    }
}

void anthropic_client_body(struct anthropic_client *c, const char *text)
{
    struct json_object *body = json_tokener_parse(text);
    struct json_object *content = member(body, "content");
    ck_assert_msg(is(word(body, "type"), "message") && is(word(body, "role"), "assistant") &&
                      word(body, "id")[0] != '\0' && word(body, "model")[0] != '\0' &&
                      json_object_is_type(content, json_type_array),
                  "%s: %.2000s", c->file, text);
    for (size_t i = 0; i < recording_length(content); i++)
        read_block(c, recording_item(content, i));
    read_stop(c, body);
    read_usage(c, member(body, "usage"));
    c->begun = c->ended = true;
    json_object_put(body);
}

/* ---- what was told ---- */

static const char *told_stop(const struct reply_whole *told, bool called, bool refused)
{
    static const char *const words[] = {
        [STOPPED_END] = "end_turn",
        [STOPPED_LENGTH] = "max_tokens",
        [STOPPED_SEQUENCE] = "stop_sequence",
        [STOPPED_TOOL] = "tool_use",
        [STOPPED_REFUSAL] = "refusal",
        [STOPPED_PAUSE] = "pause_turn",
        [STOPPED_CONTEXT] = "model_context_window_exceeded",
    };
    if (told->stop == STOPPED_END && (refused || called))
        return refused ? "refusal" : "tool_use";
    return words[told->stop];
}

static void add_told_call(struct buf *calls, const struct dialog_block *b)
{
    struct buf id;
    buf_init(&id, CLIENT_MAX);
    ck_assert(toolsig_join(b->id, b->signature, &id));
    buf_addf(calls, "%s %.*s ", id.ptr, (int)b->name.len, b->name.ptr);
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *input = json_tokener_parse_ex(tokener, b->json.ptr, (int)b->json.len);
    add_arguments(calls, input);
    json_object_put(input);
    json_tokener_free(tokener);
    buf_done(&id);
}

static void must_equal(const char *file, const char *what, const struct buf *seen,
                       const struct buf *told)
{
    ck_assert_msg(span_eq(buf_span(seen), buf_span(told)), "%s: %s:\n%.2000s\ntold:\n%.2000s", file,
                  what, seen->ptr, told->ptr);
}

void anthropic_client_compare(const struct anthropic_client *seen, const struct reply_whole *told)
{
    struct anthropic_client want;
    bool called = false, refused = false, shown = false;
    anthropic_client_init(&want, seen->file);
    for (const struct dialog_block *b = told->content.first; b != NULL; b = b->next) {
        called |= b->kind == BLOCK_TOOL_CALL;
        refused |= b->kind == BLOCK_REFUSAL;
        shown |= b->kind == BLOCK_IMAGE; /* a note in words stands for it */
        if (b->kind == BLOCK_TEXT || b->kind == BLOCK_REFUSAL)
            buf_add_span(&want.text, b->text);
        if (b->kind == BLOCK_THINKING)
            buf_add_span(&want.thinking, b->text);
        if (b->kind == BLOCK_TOOL_CALL)
            add_told_call(&want.calls, b);
    }
    if (!shown)
        must_equal(seen->file, "text", &seen->text, &want.text);
    must_equal(seen->file, "thinking", &seen->thinking, &want.thinking);
    must_equal(seen->file, "calls", &seen->calls, &want.calls);
    ck_assert_msg(is(seen->stop, told_stop(told, called, refused)), "%s: stop %s", seen->file,
                  seen->stop);
    ck_assert_int_eq(seen->input_tok, told->usage.n[USAGE_input_tok]);
    ck_assert_int_eq(seen->output_tok, told->usage.n[USAGE_output_tok]);
    anthropic_client_done(&want);
}
