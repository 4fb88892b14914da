/* The gathering and writing of openai_content.h.
 * platform.openai.com/docs/api-reference/chat/create#chat-create-messages. */
#include "providers/openai_content.h"

#include <stdlib.h>

enum { TEXT_MAX = PROVIDER_BODY_MAX };

static void fail_memory(struct openai_writing *w)
{
    if (w->ok)
        fail_set(w->reterr, ERR_internal, NULL, "memory is short");
    w->ok = false;
}

static void refuse(struct openai_writing *w, const char *text)
{
    if (w->ok)
        fail_set(w->reterr, ERR_bad_request, "messages", "messages: %s", text);
    w->ok = false;
}

void openai_add_item(struct openai_writing *w, struct openai_items *list, struct openai_item item)
{
    if (list->n == list->cap) {
        int cap = list->cap > 0 ? 2 * list->cap : 16;
        struct openai_item *at = realloc(list->at, (size_t)cap * sizeof(*at));
        if (at == NULL) {
            fail_memory(w);
            return;
        }
        list->at = at;
        list->cap = cap;
    }
    list->at[list->n++] = item;
}

void openai_add_block(struct openai_writing *w, struct openai_items *list,
                      const struct dialog_block *b)
{
    openai_add_item(w, list, (struct openai_item){.block = b, .cache = b->cache});
}

void openai_free_items(struct openai_items *list)
{
    free(list->at);
    *list = (struct openai_items){.n = 0};
}

/* ---- text ---- */

bool openai_is_own_raw(const struct dialog_block *b)
{
    return b->raw_of != NULL && strcmp(b->raw_of, "openai") == 0;
}

bool openai_is_lost(const struct dialog_block *b)
{
    switch (b->kind) {
    case BLOCK_RAW:
        return !openai_is_own_raw(b) && b->text.len == 0;
    case BLOCK_THINKING:
    case BLOCK_REDACTED:
    case BLOCK_TOOL_CALL:
    case BLOCK_TOOL_RESULT:
        return true;
    default:
        return false;
    }
}

bool openai_is_text(const struct openai_item *i)
{
    if (i->block == NULL)
        return true;
    switch (i->block->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        return true;
    case BLOCK_RAW:
        return !openai_is_own_raw(i->block);
    case BLOCK_DOCUMENT:
        return i->block->media.from == MEDIA_TEXT;
    default:
        return false;
    }
}

static void add_document_text(struct buf *out, const struct dialog_media *m)
{
    buf_add_span(out, m->title);
    buf_adds(out, m->title.len > 0 ? "\n" : "");
    buf_add_span(out, m->context);
    buf_adds(out, m->context.len > 0 ? "\n" : "");
    buf_add_span(out, m->data);
}

static void drop_citations(struct openai_writing *w, const struct dialog_block *document)
{
    if (document->media.citations_enabled)
        openai_drop(w, "citations", "citations");
}

static void add_item_text(struct openai_writing *w, struct buf *out, const struct openai_item *i)
{
    if (i->block == NULL) {
        buf_add_span(out, i->label);
        return;
    }
    buf_adds(out, i->system ? "<system>\n" : "");
    if (i->block->kind == BLOCK_DOCUMENT) {
        drop_citations(w, i->block);
        add_document_text(out, &i->block->media);
    }
    buf_add_span(out, i->block->text);
    buf_adds(out, i->system ? "\n</system>" : "");
}

/* ---- parts ---- */

void openai_put_cache(struct openai_writing *w, enum cache_mark mark)
{
    if (mark == CACHE_NONE)
        return;
    if (!openai_has(w->dialect, TRAIT_CACHE_MARKS)) {
        openai_drop(w, "cache_control", "cache_control");
        return;
    }
    json_open_object(&w->out, "cache_control");
    json_put_string(&w->out, "type", SPAN("ephemeral"));
    if (mark == CACHE_1H)
        json_put_string(&w->out, "ttl", SPAN("1h"));
    json_close_object(&w->out);
}

static void put_text_part(struct openai_writing *w, const struct openai_item *i, const char *before)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_adds(&text, before);
    add_item_text(w, &text, i);
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "type", SPAN("text"));
    json_put_string(&w->out, "text", buf_span(&text));
    openai_put_cache(w, i->cache);
    json_close_object(&w->out);
    w->out.buf->failed |= text.failed;
    buf_done(&text);
}

/* An address, or the bytes as one; of this type where it is not said. */
static void put_data(struct openai_writing *w, const char *key, const struct dialog_media *m,
                     struct span usual)
{
    struct span type = m->type.len > 0 ? m->type : usual;
    const struct span pieces[] = {SPAN("data:"), type, SPAN(";base64,"), m->data};
    if (m->from == MEDIA_URL)
        json_put_string(&w->out, key, m->data);
    else
        json_put_strings(&w->out, key, pieces, sizeof(pieces) / sizeof(pieces[0]));
}

static void put_image(struct openai_writing *w, const struct dialog_block *b)
{
    if (b->media.from == MEDIA_FILE_ID) {
        refuse(w, "an image given by a file id cannot be sent to this provider; send its bytes");
        return;
    }
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "type", SPAN("image_url"));
    json_open_object(&w->out, "image_url");
    put_data(w, "url", &b->media, SPAN("image/png"));
    json_put_some_string(&w->out, "detail", b->media.detail);
    json_close_object(&w->out);
    openai_put_cache(w, b->cache);
    json_close_object(&w->out);
}

static void put_file(struct openai_writing *w, const struct dialog_block *b)
{
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "type", SPAN("file"));
    json_open_object(&w->out, "file");
    if (b->media.from == MEDIA_FILE_ID) {
        json_put_string(&w->out, "file_id", b->media.data);
    } else {
        bool titled = b->media.title.len > 0;
        json_put_string(&w->out, "filename", titled ? b->media.title : SPAN("document.pdf"));
        put_data(w, "file_data", &b->media, SPAN("application/pdf"));
    }
    json_close_object(&w->out);
    openai_put_cache(w, b->cache);
    json_close_object(&w->out);
}

static void put_document_url(struct openai_writing *w, const struct dialog_block *b)
{
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "type", SPAN("document_url"));
    put_data(w, "document_url", &b->media, SPAN("application/pdf"));
    json_put_some_string(&w->out, "document_name", b->media.title);
    json_close_object(&w->out);
}

static void put_document(struct openai_writing *w, const struct dialog_block *b)
{
    enum openai_documents form = w->dialect->documents;
    bool id = b->media.from == MEDIA_FILE_ID, url = b->media.from == MEDIA_URL;
    drop_citations(w, b);
    if (form == DOCUMENTS_NONE)
        refuse(w, "documents other than plain text cannot be sent to this provider");
    else if (url && form == DOCUMENTS_FILE)
        refuse(w, "a document given by an address cannot be sent to this provider; send its bytes");
    else if (id && form != DOCUMENTS_FILE)
        refuse(w, "a document given by a file id cannot be sent to this provider; send its bytes");
    else if (form == DOCUMENTS_URL)
        put_document_url(w, b);
    else
        put_file(w, b);
}

/* "audio/mpeg" is "mp3" here. */
static struct span audio_format(struct span type)
{
    static const char audio[] = "audio/";
    const size_t n = sizeof(audio) - 1;
    if (type.len <= n || memcmp(type.ptr, audio, n) != 0)
        return type;
    struct span format = {type.ptr + n, type.len - n};
    if (span_is(format, "mpeg"))
        return SPAN("mp3");
    return span_is(format, "x-wav") || span_is(format, "wave") ? SPAN("wav") : format;
}

static void put_audio(struct openai_writing *w, const struct dialog_block *b)
{
    if (b->media.from != MEDIA_BASE64) {
        refuse(w, "audio can only be sent to this provider as bytes");
        return;
    }
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "type", SPAN("input_audio"));
    json_open_object(&w->out, "input_audio");
    json_put_string(&w->out, "data", b->media.data);
    json_put_string(&w->out, "format", audio_format(b->media.type));
    json_close_object(&w->out);
    json_close_object(&w->out);
}

void openai_put_part(struct openai_writing *w, const struct openai_item *i, const char *before)
{
    if (openai_is_text(i)) {
        put_text_part(w, i, before);
        return;
    }
    switch (i->block->kind) {
    case BLOCK_IMAGE:
        put_image(w, i->block);
        break;
    case BLOCK_DOCUMENT:
        put_document(w, i->block);
        break;
    case BLOCK_AUDIO:
        put_audio(w, i->block);
        break;
    default:
        json_put_raw(&w->out, NULL, i->block->json); /* a part of this protocol, as it was */
        break;
    }
}

static bool needs_parts(const struct openai_writing *w, const struct openai_items *list)
{
    if (openai_has(w->dialect, TRAIT_PARTS) && list->n > 1)
        return true;
    for (int i = 0; i < list->n; i++) {
        const struct openai_item *item = &list->at[i];
        bool marked = item->cache != CACHE_NONE;
        if (!openai_is_text(item) || (marked && openai_has(w->dialect, TRAIT_CACHE_MARKS)))
            return true;
    }
    return false;
}

static const char *between(const struct openai_items *list, int i)
{
    const struct dialog_block *last = i > 0 ? list->at[i - 1].block : NULL;
    bool glued = list->said && last != NULL && last->next == list->at[i].block;
    return i == 0 || glued ? "" : "\n";
}

static void put_string(struct openai_writing *w, const struct openai_items *list,
                       const char *before)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_adds(&text, before);
    for (int i = 0; i < list->n; i++) {
        buf_adds(&text, between(list, i));
        add_item_text(w, &text, &list->at[i]);
        openai_put_cache(w, list->at[i].cache); /* says that it is dropped */
    }
    json_put_string(&w->out, "content", buf_span(&text));
    w->out.buf->failed |= text.failed;
    buf_done(&text);
}

/* before: stands in front of the first text. */
void openai_put_content(struct openai_writing *w, const struct openai_items *list,
                        const char *before)
{
    if (!needs_parts(w, list)) {
        put_string(w, list, before);
        return;
    }
    json_open_array(&w->out, "content");
    for (int i = 0; i < list->n; i++)
        openai_put_part(w, &list->at[i], i == 0 ? before : "");
    json_close_array(&w->out);
}
