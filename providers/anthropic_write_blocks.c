/* Writes the prompt of an Anthropic request: system, messages, blocks.
 *
 * Messages are opened by the first block that goes into them: what remains empty is not written,
 * and neighbours of one role are one message. */
#include "providers/anthropic.h"
#include "providers/anthropic_write.h"

enum { MARKS_MAX = 4 }; /* platform.claude.com/docs/en/build-with-claude/prompt-caching */

bool anthropic_is_blank(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(" \t\n\r\f\v", text.ptr[i], 6) == NULL)
            return false;
    }
    return true;
}

bool anthropic_is_own_signature(struct span signature)
{
    static const struct span foreign = {THINKING_FOREIGN, sizeof(THINKING_FOREIGN) - 1};
    return signature.len > 0 &&
           (signature.len < foreign.len || memcmp(signature.ptr, foreign.ptr, foreign.len) != 0);
}

/* ---- cache marks ---- */

static int count_marks(const struct dialog_blocks *list)
{
    int n = 0;
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next) {
        n += b->cache != CACHE_NONE;
        for (const struct dialog_block *c = b->children.first; c != NULL; c = c->next)
            n += c->cache != CACHE_NONE;
    }
    return n;
}

int anthropic_marks_too_many(const struct dialog *d)
{
    int n = (d->cache != CACHE_NONE) + count_marks(&d->system);
    for (const struct dialog_tool *t = d->first_tool; t != NULL; t = t->next)
        n += t->cache != CACHE_NONE;
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next)
        n += count_marks(&m->blocks);
    return n > MARKS_MAX ? n - MARKS_MAX : 0;
}

void anthropic_put_cache(struct anthropic_writing *w, enum cache_mark mark)
{
    if (mark == CACHE_NONE)
        return;
    if (w->skip_marks > 0) {
        w->skip_marks--;
        anthropic_drop(w, "cache_control", "cache_control");
        return;
    }
    json_open_object(&w->o, "cache_control");
    json_put_string(&w->o, "type", SPAN("ephemeral"));
    if (mark == CACHE_1H)
        json_put_string(&w->o, "ttl", SPAN("1h"));
    json_close_object(&w->o);
}

/* ---- one block ---- */

static bool is_id_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* An id of another provider's making may hold letters that Anthropic refuses; call and result are
 * changed alike. */
static struct span safe_id(struct anthropic_writing *w, struct span id)
{
    buf_reset(&w->id);
    if (!buf_reserve(&w->id, id.len)) {
        w->id_too_long = true;
        return (struct span){"", 0};
    }
    for (size_t i = 0; i < id.len; i++)
        buf_addc(&w->id, is_id_letter(id.ptr[i]) ? id.ptr[i] : '_');
    return buf_span(&w->id);
}

static void put_type(struct anthropic_writing *w, struct span type)
{
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "type", type);
}

static void end_block(struct anthropic_writing *w, const struct dialog_block *b)
{
    anthropic_put_cache(w, b->cache);
    json_close_object(&w->o);
}

static void put_text(struct anthropic_writing *w, const struct dialog_block *b)
{
    put_type(w, SPAN("text"));
    json_put_string(&w->o, "text", b->text);
    json_put_some_raw(&w->o, "citations", b->citations_json);
    end_block(w, b);
}

static void put_source(struct anthropic_writing *w, const struct dialog_media *m)
{
    static const struct {
        const char *type, *data;
    } sources[] = {
        [MEDIA_BASE64] = {"base64", "data"},
        [MEDIA_URL] = {"url", "url"},
        [MEDIA_FILE_ID] = {"file", "file_id"},
        [MEDIA_TEXT] = {"text", "data"},
    };
    json_open_object(&w->o, "source");
    json_put_string(&w->o, "type", span_of(sources[m->from].type));
    if (m->from == MEDIA_TEXT)
        json_put_string(&w->o, "media_type", SPAN("text/plain"));
    else if (m->from == MEDIA_BASE64)
        json_put_string(&w->o, "media_type", m->type);
    json_put_string(&w->o, sources[m->from].data, m->data);
    json_close_object(&w->o);
}

static void put_media(struct anthropic_writing *w, const struct dialog_block *b)
{
    const struct dialog_media *m = &b->media;
    put_type(w, b->kind == BLOCK_IMAGE ? SPAN("image") : SPAN("document"));
    put_source(w, m);
    if (b->kind == BLOCK_DOCUMENT) {
        json_put_some_string(&w->o, "title", m->title);
        json_put_some_string(&w->o, "context", m->context);
        if (m->citations_enabled) {
            json_open_object(&w->o, "citations");
            json_put_bool(&w->o, "enabled", true);
            json_close_object(&w->o);
        }
    }
    end_block(w, b);
}

static void put_call(struct anthropic_writing *w, const struct dialog_block *b)
{
    put_type(w, SPAN("tool_use"));
    json_put_string(&w->o, "id", safe_id(w, b->id));
    json_put_string(&w->o, "name", b->name);
    json_put_raw(&w->o, "input", b->json.len > 0 ? b->json : SPAN("{}"));
    end_block(w, b);
}

static void put_thinking(struct anthropic_writing *w, const struct dialog_block *b)
{
    bool redacted = b->kind == BLOCK_REDACTED;
    put_type(w, redacted ? SPAN("redacted_thinking") : SPAN("thinking"));
    if (!redacted)
        json_put_string(&w->o, "thinking", b->text);
    json_put_string(&w->o, redacted ? "data" : "signature", b->signature);
    json_close_object(&w->o);
}

static bool can_put(const struct anthropic_writing *w, const struct dialog_block *b,
                    enum dialog_role role);

static void put_result(struct anthropic_writing *w, const struct dialog_block *b);

static void put_block(struct anthropic_writing *w, const struct dialog_block *b)
{
    switch (b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        put_text(w, b);
        break;
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
        put_media(w, b);
        break;
    case BLOCK_TOOL_CALL:
        put_call(w, b);
        break;
    case BLOCK_TOOL_RESULT:
        put_result(w, b);
        break;
    case BLOCK_THINKING:
    case BLOCK_REDACTED:
        put_thinking(w, b);
        break;
    case BLOCK_RAW:
        json_put_raw(&w->o, NULL, b->json);
        break;
    case BLOCK_AUDIO:
        break;
    }
}

static void note_dropped(struct anthropic_writing *w, const struct dialog_block *b);

static void put_result(struct anthropic_writing *w, const struct dialog_block *b)
{
    put_type(w, SPAN("tool_result"));
    json_put_string(&w->o, "tool_use_id", safe_id(w, b->id));
    json_open_array(&w->o, "content");
    for (const struct dialog_block *c = b->children.first; c != NULL; c = c->next) {
        if (can_put(w, c, ROLE_USER))
            put_block(w, c);
        else
            note_dropped(w, c);
    }
    json_close_array(&w->o);
    if (b->is_error)
        json_put_bool(&w->o, "is_error", true);
    end_block(w, b);
}

/* ---- what can be put ---- */

static bool can_put_media(const struct anthropic_writing *w, const struct dialog_block *b,
                          enum dialog_role role)
{
    const struct dialog_media *m = &b->media;
    if (role != ROLE_USER)
        return false;
    switch (m->from) {
    case MEDIA_URL:
        return true;
    case MEDIA_FILE_ID: /* another provider's files are not here */
        return w->ours;
    case MEDIA_TEXT:
        return b->kind == BLOCK_DOCUMENT && !anthropic_is_blank(m->data);
    case MEDIA_BASE64:
        return b->kind == BLOCK_IMAGE || span_is(m->type, "application/pdf") || w->ours;
    }
    return false;
}

static bool can_put(const struct anthropic_writing *w, const struct dialog_block *b,
                    enum dialog_role role)
{
    switch (b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL: /* "text content blocks must contain non-whitespace text" */
        return !anthropic_is_blank(b->text);
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
        return can_put_media(w, b, role);
    case BLOCK_TOOL_CALL:
        return role == ROLE_ASSISTANT;
    case BLOCK_TOOL_RESULT:
        return role == ROLE_USER;
    case BLOCK_THINKING:
    case BLOCK_REDACTED:
        return role == ROLE_ASSISTANT && anthropic_is_own_signature(b->signature);
    case BLOCK_RAW:
        return b->raw_of != NULL && strcmp(b->raw_of, anthropic_word) == 0;
    case BLOCK_AUDIO:
        return false;
    }
    return false;
}

/* Blank text means nothing, and thinking of another maker is his alone: neither is missed. */
static void note_dropped(struct anthropic_writing *w, const struct dialog_block *b)
{
    switch (b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
    case BLOCK_THINKING:
    case BLOCK_REDACTED:
        break;
    case BLOCK_IMAGE:
        anthropic_drop(w, "image", "image_url");
        break;
    case BLOCK_DOCUMENT:
        anthropic_drop(w, "document", "file");
        break;
    case BLOCK_AUDIO:
        anthropic_drop(w, "audio", "input_audio");
        break;
    case BLOCK_TOOL_CALL:
    case BLOCK_TOOL_RESULT:
    case BLOCK_RAW:
        anthropic_drop(w, "messages.content", "messages.content");
        break;
    }
}

/* ---- messages ---- */

static void leave(struct anthropic_writing *w)
{
    if (w->open_role >= 0) {
        json_close_array(&w->o);
        json_close_object(&w->o);
    }
    w->open_role = -1;
}

static void enter(struct anthropic_writing *w, enum dialog_role role)
{
    static const char *const words[] = {
        [ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant", [ROLE_SYSTEM] = "system"};
    if (w->open_role == (int)role)
        return;
    leave(w);
    w->open_role = (int)role;
    w->any_message = true;
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "role", span_of(words[role]));
    json_open_array(&w->o, "content");
}

static void put_in_message(struct anthropic_writing *w, const struct dialog_block *b,
                           enum dialog_role role)
{
    if (!can_put(w, b, role)) {
        note_dropped(w, b);
        return;
    }
    enter(w, role);
    put_block(w, b);
}

/* Instructions within the conversation, for a model that takes none there: said in the user's
 * message, marked as what they are. */
static void put_folded(struct anthropic_writing *w, const struct dialog_message *m)
{
    if (m == NULL)
        return;
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        const struct span pieces[] = {SPAN("<system>\n"), b->text, SPAN("\n</system>")};
        if (b->kind != BLOCK_TEXT || anthropic_is_blank(b->text))
            continue;
        enter(w, ROLE_USER);
        put_type(w, SPAN("text"));
        json_put_strings(&w->o, "text", pieces, 3);
        end_block(w, b);
    }
}

/* Results of tools first, then instructions that stood before the message, then the rest. */
static void put_user(struct anthropic_writing *w, const struct dialog_message *m,
                     const struct dialog_message *folded)
{
    const struct dialog_block *b = m->blocks.first;
    for (; b != NULL && b->kind == BLOCK_TOOL_RESULT; b = b->next)
        put_in_message(w, b, ROLE_USER);
    put_folded(w, folded);
    for (; b != NULL; b = b->next)
        put_in_message(w, b, ROLE_USER);
}

static void put_plain(struct anthropic_writing *w, const struct dialog_message *m)
{
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next)
        put_in_message(w, b, m->role);
}

/* Claude Opus 4.8 and later know the role "system" (.../mid-conversation-system-messages); a
 * client of this protocol that uses it knows its model. */
static bool folds(const struct anthropic_writing *w)
{
    return !w->ours || anthropic_rule(w, RULE_no_system_messages);
}

static void put_messages(struct anthropic_writing *w)
{
    const struct dialog_message *waiting = NULL; /* instructions for the next user message */
    for (const struct dialog_message *m = w->d->first_message; m != NULL; m = m->next) {
        if (m->name.len > 0)
            anthropic_drop(w, "name", "messages.name");
        if (m->role == ROLE_USER) {
            put_user(w, m, waiting);
            waiting = NULL;
            continue;
        }
        put_folded(w, waiting);
        waiting = NULL;
        if (m->role == ROLE_ASSISTANT || !folds(w))
            put_plain(w, m);
        else if (w->open_role == ROLE_USER)
            put_folded(w, m);
        else
            waiting = m;
    }
    put_folded(w, waiting);
}

static void put_system(struct anthropic_writing *w)
{
    bool any = false;
    for (const struct dialog_block *b = w->d->system.first; b != NULL; b = b->next) {
        if (b->kind != BLOCK_TEXT || anthropic_is_blank(b->text))
            continue;
        if (!any)
            json_open_array(&w->o, "system");
        any = true;
        put_text(w, b);
    }
    if (any)
        json_close_array(&w->o);
}

void anthropic_put_prompt(struct anthropic_writing *w)
{
    /* There must be a message: a request of instructions alone is the user's. */
    bool only_system = w->d->first_message == NULL;
    if (!only_system)
        put_system(w);
    json_open_array(&w->o, "messages");
    for (const struct dialog_block *b = only_system ? w->d->system.first : NULL; b != NULL;
         b = b->next)
        put_in_message(w, b, ROLE_USER);
    put_messages(w);
    leave(w);
    json_close_array(&w->o);
}
