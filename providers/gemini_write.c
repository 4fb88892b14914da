/* Writes a Gemini request, its contents above all: gemini.h.  ai.google.dev/api/caching#Content. */
#include <strings.h>

#include "providers/gemini.h"

/* What Gemini 3 takes in place of the signature of a call that another model made; without one it
 * refuses the request (ai.google.dev/gemini-api/docs/thought-signatures, "FAQs"). */
#define SIGNATURE_OF_OTHERS "skip_thought_signature_validator"

struct writing {
    struct json_out o;
    const struct provider_ask *ask;
    const char *protocol;
    struct fail *reterr;
    int generation;
    bool ok;
    const char *role; /* of the content that is open; NULL = none is */
    bool signed_call; /* in it: a call stands, which is all that has to carry a signature */
};

static void refuse(struct writing *w, const char *field, const char *text)
{
    if (w->ok)
        fail_set(w->reterr, ERR_bad_request, field, "%s", text);
    w->ok = false;
}

static void close_content(struct writing *w)
{
    if (w->role == NULL)
        return;
    json_close_array(&w->o);
    json_close_object(&w->o);
    w->role = NULL;
}

/* Neighbours of one role are one content: after a function call Gemini wants its responses in the
 * content that follows. */
static void need_content(struct writing *w, const char *role)
{
    if (w->role != NULL && strcmp(w->role, role) == 0)
        return;
    close_content(w);
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "role", span_of(role));
    json_open_array(&w->o, "parts");
    w->role = role;
    w->signed_call = false;
}

static void put_text(struct writing *w, const char *role, struct span text)
{
    if (text.len == 0)
        return; /* refused by the provider */
    need_content(w, role);
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "text", text);
    json_close_object(&w->o);
}

/* ---- media ---- */

/* Where the client names no type.  By the end of a URL's path, else by the kind of block. */
static struct span type_of(enum dialog_kind kind, const struct dialog_media *m)
{
    static const struct {
        const char *end, *type;
    } ends[] = {{".png", "image/png"},   {".webp", "image/webp"},     {".gif", "image/gif"},
                {".heic", "image/heic"}, {".pdf", "application/pdf"}, {".wav", "audio/wav"},
                {".mp3", "audio/mp3"},   {".txt", "text/plain"}};
    size_t len = 0;
    if (m->type.len > 0)
        return m->type;
    while (m->from == MEDIA_URL && len < m->data.len && memchr("?#", m->data.ptr[len], 2) == NULL)
        len++;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t n = strlen(ends[i].end);
        if (len > n && strncasecmp(m->data.ptr + len - n, ends[i].end, n) == 0)
            return span_of(ends[i].type);
    }
    return kind == BLOCK_DOCUMENT ? SPAN("application/pdf")
           : kind == BLOCK_AUDIO  ? SPAN("audio/wav")
                                  : SPAN("image/jpeg");
}

/* Audio has its format there in OpenAI's words: "wav", "mp3". */
static void put_type(struct writing *w, enum dialog_kind kind, const struct dialog_media *m)
{
    struct span type = type_of(kind, m);
    bool word = kind == BLOCK_AUDIO && memchr(type.ptr, '/', type.len) == NULL;
    const struct span pieces[] = {word ? SPAN("audio/") : SPAN(""), type};
    json_put_strings(&w->o, "mimeType", pieces, 2);
}

static void put_blob(struct writing *w, enum dialog_kind kind, const struct dialog_media *m)
{
    bool url = m->from == MEDIA_URL;
    json_open_object(&w->o, NULL);
    json_open_object(&w->o, url ? "fileData" : "inlineData");
    put_type(w, kind, m);
    json_put_string(&w->o, url ? "fileUri" : "data", m->data);
    json_close_object(&w->o);
    json_close_object(&w->o);
}

static void put_media(struct writing *w, const char *role, const struct dialog_block *b)
{
    const struct dialog_media *m = &b->media;
    put_text(w, role, m->title);
    put_text(w, role, m->context);
    if (m->citations_enabled)
        drops_add(w->ask->drops, "citations");
    if (m->detail.len > 0 && !span_is(m->detail, "auto"))
        drops_add(w->ask->drops, "detail");
    if (m->from == MEDIA_TEXT) {
        put_text(w, role, m->data);
    } else if (m->from == MEDIA_FILE_ID) {
        refuse(w, "messages",
               "a file is known to the provider that issued its id, to no other: "
               "send the file itself or its URL");
    } else {
        need_content(w, role);
        put_blob(w, b->kind, m);
    }
}

/* ---- tools ---- */

/* The signature without its prefix, where it was made by a provider of this protocol. */
static struct span own_signature(const struct writing *w, struct span signature)
{
    static const char foreign[] = THINKING_FOREIGN;
    const size_t n = sizeof(foreign) - 1, word = strlen(w->protocol);
    if (signature.len <= n + word + 1 || memcmp(signature.ptr, foreign, n) != 0 ||
        memcmp(signature.ptr + n, w->protocol, word) != 0 || signature.ptr[n + word] != ':')
        return (struct span){"", 0};
    return (struct span){signature.ptr + n + word + 1, signature.len - n - word - 1};
}

static void put_call(struct writing *w, const struct dialog_block *b)
{
    char made[GEMINI_NAME_MAX + 1];
    need_content(w, "model");
    struct span signature = own_signature(w, b->signature);
    if (signature.len == 0 && !w->signed_call && w->generation >= 30)
        signature = SPAN(SIGNATURE_OF_OTHERS);
    w->signed_call = true;
    json_open_object(&w->o, NULL);
    json_open_object(&w->o, "functionCall");
    json_put_some_string(&w->o, "id", b->id);
    json_put_string(&w->o, "name", gemini_name(b->name, made));
    json_put_raw(&w->o, "args", b->json.len > 0 ? b->json : SPAN("{}"));
    json_close_object(&w->o);
    json_put_some_string(&w->o, "thoughtSignature", signature);
    json_close_object(&w->o);
}

static bool is_media(const struct dialog_block *b)
{
    return b->kind == BLOCK_IMAGE || b->kind == BLOCK_DOCUMENT || b->kind == BLOCK_AUDIO;
}

/* Inside the response Gemini 3 takes inline data; all else stands behind the responses
 * (ai.google.dev/gemini-api/docs/function-calling, "Multimodal function responses"). */
static bool fits_response(const struct writing *w, const struct dialog_block *b)
{
    return w->generation >= 30 && is_media(b) && b->media.from == MEDIA_BASE64;
}

/* What has no other place inside or behind a response than its text. */
static bool is_words(const struct dialog_block *b)
{
    return b->kind == BLOCK_TEXT || b->kind == BLOCK_REFUSAL || b->kind == BLOCK_RAW;
}

/* A response is an object: the texts of the result, joined, are its only member. */
static void put_response(struct writing *w, const struct dialog_block *result)
{
    struct buf text;
    buf_init(&text, DIALOG_MEMORY_MAX);
    for (const struct dialog_block *b = result->children.first; b != NULL; b = b->next) {
        if (b->cache != CACHE_NONE)
            drops_add(w->ask->drops, "cache_control");
        if (b->kind == BLOCK_RAW && b->text.len == 0)
            drops_add(w->ask->drops, "content");
        if (!is_words(b) || b->text.len == 0)
            continue;
        buf_adds(&text, text.len > 0 ? "\n" : "");
        buf_add_span(&text, b->text);
    }
    if (text.failed)
        refuse(w, "messages", "a tool result is too long");
    json_open_object(&w->o, "response");
    json_put_string(&w->o, result->is_error ? "error" : "result", buf_span(&text));
    json_close_object(&w->o);
    buf_done(&text);
}

static void put_response_media(struct writing *w, const struct dialog_block *result)
{
    bool any = false;
    for (const struct dialog_block *b = result->children.first; b != NULL; b = b->next) {
        if (!fits_response(w, b))
            continue;
        if (!any)
            json_open_array(&w->o, "parts");
        any = true;
        put_blob(w, b->kind, &b->media);
    }
    if (any)
        json_close_array(&w->o);
}

static void put_result(struct writing *w, const struct dialog_block *result)
{
    char made[GEMINI_NAME_MAX + 1];
    const struct dialog_block *call = dialog_find_call(w->ask->dialog, result->id);
    if (call == NULL) {
        refuse(w, "messages", "a tool result has no call before it with the same id");
        return;
    }
    need_content(w, "user");
    json_open_object(&w->o, NULL);
    json_open_object(&w->o, "functionResponse");
    json_put_some_string(&w->o, "id", result->id);
    json_put_string(&w->o, "name", gemini_name(call->name, made));
    put_response(w, result);
    put_response_media(w, result);
    json_close_object(&w->o);
    json_close_object(&w->o);
}

/* What had no place inside the response. */
static void put_media_behind(struct writing *w, const struct dialog_block *result)
{
    for (const struct dialog_block *b = result->children.first; b != NULL; b = b->next) {
        if (is_media(b) && !fits_response(w, b))
            put_media(w, "user", b);
    }
}

/* ---- messages ---- */

static void put_thinking(struct writing *w, const struct dialog_block *b)
{
    struct span signature = own_signature(w, b->signature);
    if (signature.len == 0)
        return;
    need_content(w, "model");
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "text", b->text);
    json_put_bool(&w->o, "thought", true);
    json_put_string(&w->o, "thoughtSignature", signature);
    json_close_object(&w->o);
}

static void put_raw(struct writing *w, const char *role, const struct dialog_block *b)
{
    if (b->raw_of == NULL || strcmp(b->raw_of, w->protocol) != 0) {
        drops_add(w->ask->drops, "content");
        return;
    }
    need_content(w, role);
    json_put_raw(&w->o, NULL, b->json);
}

static void put_block(struct writing *w, const char *role, const struct dialog_block *b)
{
    if (b->cache != CACHE_NONE)
        drops_add(w->ask->drops, "cache_control");
    switch (b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        put_text(w, role, b->text);
        break;
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
    case BLOCK_AUDIO:
        put_media(w, role, b);
        break;
    case BLOCK_TOOL_CALL:
        put_call(w, b);
        break;
    case BLOCK_THINKING:
        put_thinking(w, b);
        break;
    case BLOCK_RAW:
        put_raw(w, role, b);
        break;
    case BLOCK_TOOL_RESULT: /* put before */
    case BLOCK_REDACTED:    /* of another maker */
        break;
    }
}

static void put_message(struct writing *w, const struct dialog_message *m)
{
    /* There is no later instruction in this protocol: it is said by the user. */
    const char *role = m->role == ROLE_ASSISTANT ? "model" : "user";
    if (m->name.len > 0)
        drops_add(w->ask->drops, "name");
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_TOOL_RESULT)
            put_result(w, b);
    }
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_TOOL_RESULT)
            put_media_behind(w, b);
    }
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next)
        put_block(w, role, b);
}

static void put_instructions(struct writing *w, const char *role)
{
    for (const struct dialog_block *b = w->ask->dialog->system.first; b != NULL; b = b->next) {
        if (!chat_is_billing_header(b->text))
            put_block(w, role, b);
    }
}

static void put_system(struct writing *w)
{
    const struct dialog_block *said = w->ask->dialog->system.first;
    while (said != NULL && (said->text.len == 0 || chat_is_billing_header(said->text)))
        said = said->next;
    if (said == NULL || w->ask->dialog->first_message == NULL)
        return;
    json_open_object(&w->o, "systemInstruction");
    json_open_array(&w->o, "parts");
    w->role = "system";
    put_instructions(w, w->role);
    close_content(w);
}

static void put_contents(struct writing *w)
{
    const struct dialog *d = w->ask->dialog;
    json_open_array(&w->o, "contents");
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next)
        put_message(w, m);
    if (d->first_message == NULL)
        put_instructions(w, "user"); /* contents may not be empty */
    close_content(w);
    json_close_array(&w->o);
}

int gemini_write(const struct provider_ask *ask, const char *protocol, struct buf *out,
                 struct fail *reterr)
{
    struct writing w = {
        .o = {.buf = out},
        .ask = ask,
        .protocol = protocol,
        .reterr = reterr,
        .generation = gemini_generation(ask->target->upstream_model),
        .ok = true,
    };
    drops_add_all(ask->drops, &ask->dialog->others);
    json_open_object(&w.o, NULL);
    put_system(&w);
    put_contents(&w);
    gemini_write_settings(&w.o, ask, protocol);
    json_close_object(&w.o);
    return w.ok ? 0 : -1;
}

void gemini_draft_url(struct draft *d, const struct provider_ask *ask, const char *version,
                      const char *directory)
{
    struct buf path;
    buf_init(&path, UPREQ_URL_MAX);
    buf_adds(&path, directory);
    buf_adds(&path, ask->target->upstream_model);
    buf_adds(&path, ask->dialog->stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
    if (path.failed) {
        fail_set(d->reterr, ERR_internal, NULL, "the upstream model name is too long");
        d->ok = false;
    } else {
        draft_url(d, version, path.ptr);
    }
    buf_done(&path);
}

void gemini_draft_rest(struct draft *d, const struct provider_ask *ask, const char *protocol)
{
    struct buf body;
    buf_init(&body, DIALOG_MEMORY_MAX);
    draft_common_headers(d, ask->dialog->stream ? "text/event-stream" : "application/json");
    draft_extra_headers(d, NULL);
    if (d->ok && gemini_write(ask, protocol, &body, d->reterr) != 0)
        d->ok = false;
    draft_body(d, &body);
    buf_done(&body);
}
