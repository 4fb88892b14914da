/* Messages of a Converse request.
 * docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html and the pages that
 * it links. */
#include <stdio.h>

#include "providers/bedrock.h"

/* ---- names ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static uint32_t fnv1a(struct span s)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (uint8_t)s.ptr[i]) * 16777619u;
    return hash;
}

struct span bedrock_name(struct span name, char *out)
{
    enum { KEPT = BEDROCK_NAME_MAX - 9 };
    bool good = name.len > 0 && name.len <= BEDROCK_NAME_MAX;
    for (size_t i = 0; good && i < name.len; i++)
        good = is_name_char(name.ptr[i]);
    if (good)
        return name;
    size_t n = name.len < KEPT ? name.len : KEPT;
    for (size_t i = 0; i < n; i++)
        out[i] = is_name_char(name.ptr[i]) ? name.ptr[i] : '_';
    snprintf(out + n, 10, "_%08x", fnv1a(name));
    return (struct span){out, n + 9};
}

/* Letters, digits, single blanks, hyphens, parentheses, square brackets; other bytes become
 * hyphens.  The number makes it unique: two documents of one name are refused. */
static struct span document_name(struct span title, int number, char out[BEDROCK_DOCUMENT_MAX])
{
    size_t n = 0;
    bool blank = true; /* none at the beginning */
    for (size_t i = 0; i < title.len && n < BEDROCK_DOCUMENT_MAX - 16; i++) {
        char c = title.ptr[i];
        bool space = c == ' ' || c == '\t' || c == '\n';
        if (space && blank)
            continue;
        bool good = (is_name_char(c) && c != '_') || (c != '\0' && strchr("()[]", c) != NULL);
        out[n++] = space ? ' ' : good ? c : '-';
        blank = space;
    }
    if (n == 0)
        n = (size_t)snprintf(out, BEDROCK_DOCUMENT_MAX, "document");
    if (number > 1)
        n += (size_t)snprintf(out + n, BEDROCK_DOCUMENT_MAX - n, "%s%d",
                              out[n - 1] == ' ' ? "" : " ", number);
    else if (out[n - 1] == ' ')
        n--;
    return (struct span){out, n};
}

/* ---- media ---- */

static const struct media_format {
    const char *type, *format;
} image_formats[] = {{"image/png", "png"}, {"image/jpeg", "jpeg"}, {"image/jpg", "jpeg"},
                     {"image/gif", "gif"}, {"image/webp", "webp"}, {NULL, NULL}},
  document_formats[] = {{"application/pdf", "pdf"},
                        {"text/plain", "txt"},
                        {"text/markdown", "md"},
                        {"text/html", "html"},
                        {"text/csv", "csv"},
                        {"application/msword", "doc"},
                        {"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                         "docx"},
                        {"application/vnd.ms-excel", "xls"},
                        {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                         "xlsx"},
                        {NULL, NULL}},
  audio_formats[] = {{"audio/wav", "wav"}, {"audio/x-wav", "wav"}, {"audio/mpeg", "mp3"},
                     {"audio/mp3", "mp3"}, {"audio/ogg", "ogg"},   {"audio/flac", "flac"},
                     {"audio/aac", "aac"}, {"audio/mp4", "m4a"},   {"audio/webm", "webm"},
                     {NULL, NULL}};

static void refuse(struct bedrock_writer *w, const char *what)
{
    if (w->ok)
        fail_set(w->reterr, ERR_bad_request, "messages", "%s %s", w->ask->target->slug, what);
    w->ok = false;
}

static bool is_in_s3(const struct dialog_media *m)
{
    return m->from == MEDIA_URL && m->data.len > 5 && memcmp(m->data.ptr, "s3://", 5) == 0;
}

/* By what the client says it is, else by the end of its address. */
static const char *format_of(const struct media_format *formats, const struct dialog_media *m)
{
    if (m->from == MEDIA_TEXT)
        return "txt";
    for (const struct media_format *f = formats; f->type != NULL; f++) {
        size_t n = strlen(f->format);
        bool ends = is_in_s3(m) && m->data.len > n && m->data.ptr[m->data.len - n - 1] == '.' &&
                    memcmp(m->data.ptr + m->data.len - n, f->format, n) == 0;
        if (span_is(m->type, f->type) || (m->type.len == 0 && ends))
            return f->format;
    }
    return NULL;
}

/* "source": where the bytes are. */
static void write_source(struct bedrock_writer *w, const struct dialog_media *m)
{
    json_open_object(&w->o, "source");
    if (m->from == MEDIA_BASE64) {
        json_put_string(&w->o, "bytes", m->data);
    } else if (m->from == MEDIA_TEXT) {
        json_put_string(&w->o, "text", m->data);
    } else {
        json_open_object(&w->o, "s3Location");
        json_put_string(&w->o, "uri", m->data);
        json_close_object(&w->o);
    }
    json_close_object(&w->o);
}

static void write_media(struct bedrock_writer *w, const char *kind,
                        const struct media_format *formats, const struct dialog_block *b)
{
    const char *format = format_of(formats, &b->media);
    if (b->media.from == MEDIA_FILE_ID || (b->media.from == MEDIA_URL && !is_in_s3(&b->media))) {
        refuse(w, "takes images, documents and audio as base64 data or from s3://, not by file id "
                  "or another URL");
        return;
    }
    if (format == NULL) {
        refuse(w, "does not take this media_type");
        return;
    }
    json_open_object(&w->o, kind);
    json_put_string(&w->o, "format", span_of(format));
    if (formats == document_formats) {
        char name[BEDROCK_DOCUMENT_MAX];
        json_put_string(&w->o, "name", document_name(b->media.title, ++w->n_documents, name));
        json_put_some_string(&w->o, "context", b->media.context);
    }
    write_source(w, &b->media);
    if (b->media.citations_enabled) {
        json_open_object(&w->o, "citations");
        json_put_bool(&w->o, "enabled", true);
        json_close_object(&w->o);
    }
    json_close_object(&w->o);
}

/* ---- blocks ---- */

/* "The text field in the ContentBlock object is blank" is a refusal. */
static bool is_blank(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\r\n\f\v", text.ptr[i]) == NULL || text.ptr[i] == '\0')
            return false;
    }
    return true;
}

void bedrock_drop(struct bedrock_writer *w, const char *anthropic, const char *openai)
{
    drops_add(w->ask->drops, w->ask->chat->door == DOOR_OPENAI ? openai : anthropic);
}

void bedrock_write_cache(struct bedrock_writer *w, enum cache_mark mark)
{
    if (mark == CACHE_NONE)
        return;
    if (w->family->cache == CACHE_NONE) {
        bedrock_drop(w, "cache_control", "cache_control");
        return;
    }
    json_open_object(&w->o, NULL);
    json_open_object(&w->o, "cachePoint");
    json_put_string(&w->o, "type", SPAN("default"));
    if (mark == CACHE_1H && w->family->cache == CACHE_1H)
        json_put_string(&w->o, "ttl", SPAN("1h"));
    json_close_object(&w->o);
    json_close_object(&w->o);
    w->marked = true;
}

static void write_call(struct bedrock_writer *w, const struct dialog_block *b)
{
    char id[BEDROCK_NAME_MAX + 1], name[BEDROCK_NAME_MAX + 1];
    w->tool_blocks = true;
    json_open_object(&w->o, "toolUse");
    json_put_string(&w->o, "toolUseId", bedrock_name(b->id, id));
    json_put_string(&w->o, "name", bedrock_name(b->name, name));
    json_put_raw(&w->o, "input", b->json.len > 0 ? b->json : SPAN("{}"));
    json_close_object(&w->o);
}

/* Of other protocols' blocks the words. */
static bool is_result_content(struct bedrock_writer *w, const struct dialog_block *b)
{
    switch (b->kind) {
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
        return true;
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        return !is_blank(b->text);
    default:
        if (is_blank(b->text))
            bedrock_drop(w, "messages.content", "messages.content");
        return !is_blank(b->text);
    }
}

static void write_result_content(struct bedrock_writer *w, const struct dialog_block *b)
{
    json_open_object(&w->o, NULL);
    if (b->kind == BLOCK_IMAGE)
        write_media(w, "image", image_formats, b);
    else if (b->kind == BLOCK_DOCUMENT)
        write_media(w, "document", document_formats, b);
    else
        json_put_string(&w->o, "text", b->text);
    json_close_object(&w->o);
}

static void write_result(struct bedrock_writer *w, const struct dialog_block *b)
{
    char id[BEDROCK_NAME_MAX + 1];
    int n = 0;
    w->tool_blocks = true;
    json_open_object(&w->o, "toolResult");
    json_put_string(&w->o, "toolUseId", bedrock_name(b->id, id));
    json_open_array(&w->o, "content");
    for (const struct dialog_block *c = b->children.first; c != NULL; c = c->next) {
        if (is_result_content(w, c)) {
            write_result_content(w, c);
            n++;
        }
    }
    if (n == 0) /* neither no content nor a blank text is taken */
        json_put_raw(&w->o, NULL, SPAN("{\"json\":{}}"));
    json_close_array(&w->o);
    if (b->is_error && w->family->result_status)
        json_put_string(&w->o, "status", SPAN("error"));
    json_close_object(&w->o);
    if (b->is_error && !w->family->result_status)
        bedrock_drop(w, "is_error", "is_error");
}

/* This provider's own signature of a thinking block; empty: of another one, or none. */
static struct span own_signature(const struct dialog_block *b)
{
    const size_t n = sizeof(BEDROCK_THINKING) - 1;
    if (b->signature.len <= n || memcmp(b->signature.ptr, BEDROCK_THINKING, n) != 0)
        return (struct span){"", 0};
    return (struct span){b->signature.ptr + n, b->signature.len - n};
}

bool bedrock_is_own_thinking(const struct dialog_block *b)
{
    return (b->kind == BLOCK_THINKING || b->kind == BLOCK_REDACTED) && own_signature(b).len > 0;
}

static void write_thinking(struct bedrock_writer *w, const struct dialog_block *b)
{
    json_open_object(&w->o, "reasoningContent");
    if (b->kind == BLOCK_REDACTED) {
        json_put_string(&w->o, "redactedContent", own_signature(b));
    } else {
        json_open_object(&w->o, "reasoningText");
        json_put_string(&w->o, "text", b->text);
        json_put_string(&w->o, "signature", own_signature(b));
        json_close_object(&w->o);
    }
    json_close_object(&w->o);
}

/* What is left out without a word: blank text, and thinking that this model does not know. */
static bool is_written(struct bedrock_writer *w, const struct dialog_block *b)
{
    switch (b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        return !is_blank(b->text);
    case BLOCK_THINKING:
    case BLOCK_REDACTED:
        return w->family->thinks_back && own_signature(b).len > 0;
    case BLOCK_RAW:
        bedrock_drop(w, "messages.content", "messages.content");
        return false;
    default:
        return true;
    }
}

static void write_block(struct bedrock_writer *w, const struct dialog_block *b)
{
    json_open_object(&w->o, NULL);
    switch (b->kind) {
    case BLOCK_IMAGE:
        write_media(w, "image", image_formats, b);
        break;
    case BLOCK_DOCUMENT:
        write_media(w, "document", document_formats, b);
        break;
    case BLOCK_AUDIO:
        write_media(w, "audio", audio_formats, b);
        break;
    case BLOCK_TOOL_CALL:
        write_call(w, b);
        break;
    case BLOCK_TOOL_RESULT:
        write_result(w, b);
        break;
    case BLOCK_THINKING:
    case BLOCK_REDACTED:
        write_thinking(w, b);
        break;
    default:
        json_put_string(&w->o, "text", b->text);
        break;
    }
    json_close_object(&w->o);
}

/* ---- messages ---- */

static void close_message(struct bedrock_writer *w)
{
    if (w->role < 0)
        return;
    json_close_array(&w->o);
    json_close_object(&w->o);
    w->role = -1;
}

/* A conversation must start with a user message, and a text must not be blank. */
static void write_opening(struct bedrock_writer *w)
{
    json_put_raw(&w->o, NULL, SPAN("{\"role\":\"user\",\"content\":[{\"text\":\".\"}]}"));
}

/* Opened by the first block that is written: an empty message is refused, and roles take turns. */
static void open_message(struct bedrock_writer *w, int role)
{
    if (w->role == role)
        return;
    close_message(w);
    if (!w->any_message && role == ROLE_ASSISTANT)
        write_opening(w);
    w->any_message = true;
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "role", role == ROLE_ASSISTANT ? SPAN("assistant") : SPAN("user"));
    json_open_array(&w->o, "content");
    w->role = role;
}

/* Instructions inside the conversation have no role of their own here: the user's. */
static void write_message(struct bedrock_writer *w, const struct dialog_message *m)
{
    int role = m->role == ROLE_ASSISTANT ? ROLE_ASSISTANT : ROLE_USER;
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (!is_written(w, b))
            continue;
        open_message(w, role);
        write_block(w, b);
        w->marked = false;
        bedrock_write_cache(w, b->cache);
    }
}

static void write_system(struct bedrock_writer *w)
{
    bool open = false;
    for (const struct dialog_block *b = w->d->system.first; b != NULL; b = b->next) {
        if (is_blank(b->text) || chat_is_billing_header(b->text))
            continue;
        if (!open)
            json_open_array(&w->o, "system");
        open = true;
        json_open_object(&w->o, NULL);
        json_put_string(&w->o, "text", b->text);
        json_close_object(&w->o);
        bedrock_write_cache(w, b->cache);
    }
    if (open)
        json_close_array(&w->o);
}

void bedrock_write_converse(struct bedrock_writer *w)
{
    drops_add_all(w->ask->drops, &w->d->others);
    json_open_object(&w->o, NULL);
    write_system(w);
    json_open_array(&w->o, "messages");
    w->role = -1;
    for (const struct dialog_message *m = w->d->first_message; m != NULL; m = m->next)
        write_message(w, m);
    if (w->role >= 0 && !w->marked)
        bedrock_write_cache(w, w->d->cache);
    close_message(w);
    json_close_array(&w->o);
    bedrock_write_tools(w);
    bedrock_write_settings(w);
    json_close_object(&w->o);
}
