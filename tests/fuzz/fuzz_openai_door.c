/* Fuzz target of OpenAI's door: chat_read_openai, and what its door reads and writes.  Oracles:
 *   - a refusal is a 400 that names its field, in a text without half characters;
 *   - what is measured is not more than the body, and not negative;
 *   - the forwarded body parses, has no routing member, and read again it is the same request;
 *     also with another limit and with usage asked for;
 *   - a dialog is in normal form, its JSON parses, and what is text is UTF-8;
 *   - the assistant's turns, told to the door as answers, come out as JSON in lines of SSE. */
#include <assert.h>
#include <stdlib.h>

#include "providers/door.h"
#include "schema/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEW_MODEL "\"forwarded/model\""

enum { OUT_MAX = 1 << 26, LIMIT_TOK = 77 };

static struct json_doc doc, other_doc;
static struct chat chat, other;
static struct dialog dialog;
static struct buf forwarded, written;

static void check_text(struct span text)
{
    if (text.len == 0)
        return;
    const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
    while (p < end) {
        bool valid;
        p += utf8_step(p, end, &valid);
        assert(valid);
    }
}

static void check_refusal(const struct fail *f)
{
    assert(f->code == ERR_bad_request);
    assert(f->field[0] != '\0' && f->text[0] != '\0');
    check_text(span_of(f->field));
    check_text(span_of(f->text));
}

static void check_measures(void)
{
    int64_t size = (int64_t)chat.body.len;
    assert(chat.parts.text_bytes <= size);
    assert(chat.prompt_bytes >= 0 && chat.prompt_bytes <= chat.parts.text_bytes);
    assert(chat.prompt_chars >= 0 && chat.prompt_chars <= chat.prompt_bytes);
    assert(chat.document_bytes >= 0 && chat.document_bytes <= size);
    assert(chat.n_models >= 1 && chat.n_models <= CHAT_MODELS_MAX);
    assert((chat.pinned_field == NULL) == (chat.pinned_state[0] == '\0'));
    assert(chat.max_tokens >= -1 && chat.web_search_uses >= -1);
    assert(chat.n_prefixes >= 1 && chat.n_prefixes <= CHAT_PREFIXES_MAX);
    for (int i = 0; i < chat.n_prefixes; i++) {
        assert(chat.prefixes[i].bytes <= chat.prompt_bytes);
        assert(i == 0 || chat.prefixes[i].bytes >= chat.prefixes[i - 1].bytes);
    }
    for (int i = 0; i < chat.n_lookback; i++)
        assert(chat.lookback[i].bytes <= chat.prompt_bytes);
}

static void add_piece(void *ctx, struct span piece)
{
    bool ok = buf_add_span(ctx, piece);
    assert(ok && piece.len > 0);
}

/* Reads what is forwarded into `other`. */
static void forward(void)
{
    buf_reset(&forwarded);
    chat_pieces(&chat, SPAN(NEW_MODEL), add_piece, &forwarded);
    int rc = json_parse(&other_doc, buf_span(&forwarded), NULL);
    assert(rc == 0);
    for (json_ref m = json_first(&other_doc, 0); m != JSON_NONE; m = json_next(&other_doc, m))
        assert(!prefs_is_routing_member(&other_doc, m) && !json_key_is(&other_doc, m, "usage"));
    rc = chat_read_openai(&other, &other_doc, NULL);
    assert(rc == 0);
}

static void check_forwarded(void)
{
    forward();
    assert(other.n_models == 1 && strcmp(other.models[0].name, "forwarded/model") == 0);
    assert(other.n_cuts == 0);
    assert(other.stream == chat.stream && other.max_tokens == chat.max_tokens);
    assert(other.prompt_bytes == chat.prompt_bytes && other.prompt_chars == chat.prompt_chars);
    assert(other.needs == chat.needs && other.params == chat.params);
    assert(other.n_prefixes == chat.n_prefixes);
    for (int i = 0; i < chat.n_prefixes; i++)
        assert(other.prefixes[i].hash == chat.prefixes[i].hash);
    chat_send_max_tokens(&chat, LIMIT_TOK);
    chat_send_stream_options(&chat, true);
    forward();
    assert(other.max_tokens == LIMIT_TOK);
    assert(other.include_usage || !chat.stream);
    assert(other.prompt_bytes == chat.prompt_bytes);
    chat_send_max_tokens(&chat, -1);
    chat_send_stream_options(&chat, false);
}

/* ---- the dialog ---- */

static void check_json(struct span json, bool object)
{
    int rc = json.len > 0 ? json_parse(&other_doc, json, NULL) : 0;
    assert(rc == 0);
    assert(json.len == 0 || !object || json_kind(&other_doc, 0) == JSON_OBJECT);
}

static void check_blocks(const struct dialog_blocks *list, int depth)
{
    int n = 0;
    assert(depth <= DIALOG_NEST_MAX || list->first == NULL);
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next, n++) {
        check_text(b->text);
        check_text(b->id);
        check_text(b->name);
        check_text(b->media.data);
        check_json(b->json, true);
        assert(b->kind != BLOCK_TOOL_CALL || (b->id.len > 0 && b->name.len > 0 && b->json.len > 0));
        check_blocks(&b->children, depth + 1);
    }
    assert(n == list->n);
}

static void check_dialog(void)
{
    check_blocks(&dialog.system, 0);
    assert(dialog.n_messages > 0);
    for (const struct dialog_message *m = dialog.first_message; m != NULL; m = m->next) {
        bool results = true;
        assert(m->blocks.n > 0);
        assert(m->next == NULL || m->next->role != m->role || !span_eq(m->next->name, m->name));
        check_blocks(&m->blocks, 0);
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            bool result = b->kind == BLOCK_TOOL_RESULT;
            assert(!result || (results && m->role == ROLE_USER));
            results = result;
        }
    }
    for (const struct dialog_tool *t = dialog.first_tool; t != NULL; t = t->next) {
        check_json(t->schema_json, true);
        check_json(t->raw_json, true);
    }
    check_json(dialog.format.schema_json, true);
    check_json(dialog.logit_bias_json, true);
    for (int i = 0; i < NUMBER_COUNT; i++)
        check_json(dialog.numbers[i], false);
}

/* ---- answers ---- */

static void say(struct door_writer *w, struct reply r)
{
    bool ok = door_openai.write(w, &r, &written);
    assert(ok);
}

static void say_block(struct door_writer *w, const struct dialog_block *b)
{
    static const struct {
        enum dialog_kind kind;
        enum reply_block block;
        enum reply_delta delta;
    } kinds[] = {{BLOCK_TEXT, REPLY_TEXT, DELTA_TEXT},
                 {BLOCK_THINKING, REPLY_THINKING, DELTA_TEXT},
                 {BLOCK_REFUSAL, REPLY_REFUSAL, DELTA_TEXT},
                 {BLOCK_TOOL_CALL, REPLY_TOOL_CALL, DELTA_ARGUMENTS},
                 {BLOCK_REDACTED, REPLY_REDACTED, DELTA_TEXT},
                 {BLOCK_IMAGE, REPLY_IMAGE, DELTA_TEXT}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].kind != b->kind)
            continue;
        struct span text = b->kind == BLOCK_TOOL_CALL ? b->json : b->text;
        say(w, (struct reply){.kind = REPLY_OPEN,
                              .block = kinds[i].block,
                              .id = b->id,
                              .name = b->name,
                              .media = b->media,
                              .signature = b->signature});
        if (text.len > 0)
            say(w, (struct reply){.kind = REPLY_DELTA,
                                  .block = kinds[i].block,
                                  .delta = kinds[i].delta,
                                  .text = text});
        say(w, (struct reply){.kind = REPLY_CLOSE, .block = kinds[i].block});
    }
}

static void say_answer(const struct dialog_message *m, bool stream)
{
    const struct door_answer answer = {.stream = stream, .generation_id = "gen_1", .model = "m"};
    struct door_writer *w = door_openai.open(&answer);
    assert(w != NULL);
    buf_reset(&written);
    say(w, (struct reply){.kind = REPLY_START});
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next)
        say_block(w, b);
    say(w, (struct reply){.kind = REPLY_STOP});
    say(w, (struct reply){.kind = REPLY_END});
    door_openai.close(w);
}

static void check_lines(void)
{
    const char *at = written.ptr, *end = written.ptr + written.len;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        assert(line != NULL && line + 1 < end && line[1] == '\n' && memcmp(at, "data: ", 6) == 0);
        struct span data = {at + 6, (size_t)(line - at) - 6};
        if (!span_is(data, "[DONE]"))
            check_json(data, true);
        at = line + 2;
    }
}

static void check_answers(void)
{
    for (const struct dialog_message *m = dialog.first_message; m != NULL; m = m->next) {
        if (m->role != ROLE_ASSISTANT)
            continue;
        say_answer(m, true);
        check_lines();
        say_answer(m, false);
        check_json(buf_span(&written), true);
    }
}

/* ---- the target ---- */

static void init_once(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    json_init(&doc);
    json_init(&other_doc);
    chat_init(&chat);
    chat_init(&other);
    dialog_init(&dialog);
    buf_init(&forwarded, OUT_MAX);
    buf_init(&written, OUT_MAX);
}

static void check_request(void)
{
    struct fail fail = {.code = ERR_OK};
    if (chat_read_openai(&chat, &doc, &fail) != 0) {
        check_refusal(&fail);
        return;
    }
    check_measures();
    check_forwarded();
    if (door_openai.read(&chat, &dialog, &fail) != 0) {
        check_refusal(&fail);
    } else {
        check_dialog();
        check_answers();
    }
    dialog_done(&dialog);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    init_once();
    /* Exactly its size, so that the sanitizer sees a read beyond the end. */
    char *text = malloc(size > 0 ? size : 1);
    assert(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    struct fail fail;
    if (json_parse(&doc, (struct span){text, size}, &fail) == 0)
        check_request();
    free(text);
    return 0;
}
