/* Fuzz target of the chat request reader.  Oracles:
 *   - a refusal is a 400 that names its field, in a text without half characters;
 *   - what is measured is not more than the body, and not negative;
 *   - the forwarded body parses, has no routing member, and read again it is the same
 *     request: model, size, needs, prefixes;
 *   - written preferences, read again, are written the same. */
#include <assert.h>
#include <stdlib.h>

#include "schema/chat.h"
#include "schema/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEW_MODEL "\"forwarded/model\""

enum { OUT_MAX = 1 << 24 };

static struct json_doc doc, other_doc;
static struct chat chat, other;
static struct buf forwarded, first, second;

static void check_text(const char *text)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + strlen(text);
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
    check_text(f->field);
    check_text(f->text);
}

static void check_measures(void)
{
    int64_t size = (int64_t)chat.body.len;
    assert(chat.parts.text_bytes <= size);
    assert(chat.prompt_bytes >= 0 && chat.prompt_bytes <= chat.parts.text_bytes);
    assert(chat.prompt_chars >= 0 && chat.prompt_chars <= chat.prompt_bytes);
    assert(chat.document_bytes >= 0 && chat.document_bytes <= size);
    assert(chat.n_images >= 0 && chat.n_documents >= 0);
    assert(chat.n_models >= 1 && chat.n_models <= CHAT_MODELS_MAX);
    for (int i = 0; i < chat.n_models; i++)
        assert(chat.models[i].name[0] != '\0');
    assert((chat.pinned_field == NULL) == (chat.pinned_state[0] == '\0'));
    assert(chat.max_tokens >= -1 && chat.web_search_uses >= -1);
    assert(chat.n_prefixes <= CHAT_PREFIXES_MAX && chat.n_lookback <= CHAT_LOOKBACK_MAX);
    for (int i = 0; i < chat.n_prefixes; i++) {
        assert(chat.prefixes[i].bytes <= chat.prompt_bytes);
        assert(i == 0 || chat.prefixes[i].bytes >= chat.prefixes[i - 1].bytes);
        assert(!chat.prefixes[i].one_hour || chat.cache_write_1h);
    }
    if (chat.user_id.len > 0)
        assert(chat.user_id.ptr > chat.body.ptr &&
               chat.user_id.ptr + chat.user_id.len < chat.body.ptr + chat.body.len);
}

static void add_piece(void *ctx, struct span piece)
{
    bool ok = buf_add_span(ctx, piece);
    assert(ok && piece.len > 0);
}

static void check_forwarded(void)
{
    buf_reset(&forwarded);
    chat_pieces(&chat, SPAN(NEW_MODEL), add_piece, &forwarded);
    int rc = json_parse(&other_doc, buf_span(&forwarded), NULL);
    assert(rc == 0);
    for (json_ref m = json_first(&other_doc, 0); m != JSON_NONE; m = json_next(&other_doc, m))
        assert(!prefs_is_routing_member(&other_doc, m));
    rc = chat_read_anthropic(&other, &other_doc, false, NULL);
    assert(rc == 0);
    assert(other.n_models == 1 && strcmp(other.models[0].name, "forwarded/model") == 0);
    assert(other.n_cuts == 0);
    assert(other.stream == chat.stream && other.max_tokens == chat.max_tokens);
    assert(other.prompt_bytes == chat.prompt_bytes && other.prompt_chars == chat.prompt_chars);
    assert(other.needs == chat.needs && other.params == chat.params);
    assert(other.n_prefixes == chat.n_prefixes);
    for (int i = 0; i < chat.n_prefixes; i++)
        assert(other.prefixes[i].hash == chat.prefixes[i].hash);
    assert(strcmp(other.pinned_state, chat.pinned_state) == 0);
}

static void check_prefs(void)
{
    buf_reset(&first);
    buf_reset(&second);
    prefs_write(&chat.prefs, &first);
    int rc = json_parse(&other_doc, buf_span(&first), NULL);
    assert(rc == 0);
    rc = prefs_read(&other.prefs, &other_doc, 0, NULL);
    assert(rc == 0);
    prefs_write(&other.prefs, &second);
    assert(span_eq(buf_span(&first), buf_span(&second)));
}

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
    buf_init(&forwarded, OUT_MAX);
    buf_init(&first, OUT_MAX);
    buf_init(&second, OUT_MAX);
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
    if (json_parse(&doc, (struct span){text, size}, &fail) == 0) {
        if (chat_read_anthropic(&chat, &doc, true, &fail) != 0)
            check_refusal(&fail);
        if (chat_read_anthropic(&chat, &doc, false, &fail) != 0) {
            check_refusal(&fail);
        } else {
            check_measures();
            check_forwarded();
            check_prefs();
        }
    }
    free(text);
    return 0;
}
