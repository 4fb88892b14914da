/* Messages of a dialog in the chat completions protocol.
 * platform.openai.com/docs/api-reference/chat/create#chat-create-messages.
 *
 * A tool's result is a message of its own and holds text only: what else is in it (images) goes
 * into the user message behind the results. */
#include <stdio.h>

#include "providers/openai_content.h"

enum { TEXT_MAX = PROVIDER_BODY_MAX };

static void open_message(struct openai_writing *w, const char *role, struct span name)
{
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "role", span_of(role));
    if (name.len > 0 && openai_has(w->dialect, TRAIT_NAMES))
        json_put_string(&w->out, "name", name);
    else if (name.len > 0)
        openai_drop(w, "name", "name");
}

/* ---- instructions ---- */

/* A schema that the server cannot be given is asked for in words; json_object alone needs the word
 * "JSON" somewhere in the prompt (api-docs.deepseek.com/guides/json_mode). */
static struct span format_in_words(struct openai_writing *w, struct buf *text)
{
    const struct dialog_format *f = &w->dialog->format;
    if (f->kind != FORMAT_SCHEMA || openai_has(w->dialect, TRAIT_SCHEMA))
        return (struct span){"", 0};
    buf_adds(text, "Answer with one JSON object, and nothing else, that fits this JSON schema:\n");
    buf_add_span(text, f->schema_json);
    w->out.buf->failed |= text->failed;
    return buf_span(text);
}

static void put_system(struct openai_writing *w)
{
    struct openai_items list = {.n = 0};
    struct buf words;
    buf_init(&words, TEXT_MAX);
    for (const struct dialog_block *b = w->dialog->system.first; b != NULL; b = b->next) {
        if (!chat_is_billing_header(b->text))
            openai_add_block(w, &list, b);
    }
    struct span format = format_in_words(w, &words);
    if (format.len > 0)
        openai_add_item(w, &list, (struct openai_item){.label = format});
    if (list.n > 0 && w->ok) {
        open_message(w, "system", (struct span){"", 0});
        openai_put_content(w, &list, "");
        json_close_object(&w->out);
    }
    openai_free_items(&list);
    buf_done(&words);
}

/* ---- what users say ---- */

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return false;
    }
    return true;
}

/* The same id for a call and for its result, always. */
static void put_call_id(struct openai_writing *w, const char *key, struct span id)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    enum { SHORT_MAX = 40, NINE = 9, BASE = sizeof(digits) - 1 };
    char made[SHORT_MAX];
    uint64_t hash = fnv_add(FNV_SEED, id);
    int n = 0;
    bool nine = w->dialect->ids == IDS_NINE && !(id.len == NINE && is_plain(id));
    if (nine) {
        for (; n < NINE; n++, hash /= BASE)
            made[n] = digits[hash % BASE];
    } else if (w->dialect->ids == IDS_SHORT && id.len > SHORT_MAX) {
        n = snprintf(made, sizeof(made), "call_%016llx", (unsigned long long)hash);
    }
    json_put_string(&w->out, key, n > 0 ? (struct span){made, (size_t)n} : id);
}

static void put_tool_message(struct openai_writing *w, const struct dialog_block *result)
{
    struct openai_items list = {.n = 0};
    bool other = false;
    for (const struct dialog_block *c = result->children.first; c != NULL; c = c->next) {
        struct openai_item item = {.block = c, .cache = c->cache};
        if (openai_is_lost(c))
            openai_drop(w, "content", "content");
        else if (openai_is_text(&item))
            openai_add_item(w, &list, item);
        else
            other = true;
    }
    if (list.n == 0)
        openai_add_item(
            w, &list,
            (struct openai_item){.label = other ? SPAN("(in the next message)") : SPAN("")});
    if (list.n > 0 && list.at[list.n - 1].cache == CACHE_NONE)
        list.at[list.n - 1].cache = result->cache;
    const struct dialog_block *call = dialog_find_call(w->dialog, result->id);
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "role", SPAN("tool"));
    put_call_id(w, "tool_call_id", result->id);
    if (openai_has(w->dialect, TRAIT_TOOL_NAME) && call != NULL)
        openai_put_name(w, "name", call->name);
    if (w->ok)
        openai_put_content(w, &list, result->is_error ? "Error: " : "");
    json_close_object(&w->out);
    openai_free_items(&list);
}

/* What of a tool's result a tool message cannot hold. */
static void add_rest(struct openai_writing *w, struct openai_items *list,
                     const struct dialog_block *result)
{
    bool labelled = false;
    for (const struct dialog_block *c = result->children.first; c != NULL; c = c->next) {
        struct openai_item item = {.block = c, .cache = c->cache};
        if (openai_is_text(&item) || openai_is_lost(c))
            continue;
        if (!labelled)
            openai_add_item(w, list,
                            (struct openai_item){.label = SPAN("From the result of the tool:")});
        labelled = true;
        openai_add_item(w, list, item);
    }
}

/* A tool's result where there are no tools: what it holds is said by the user. */
static void add_result(struct openai_writing *w, struct openai_items *list,
                       const struct dialog_block *result)
{
    if (result->is_error || result->children.n == 0)
        openai_add_item(
            w, list, (struct openai_item){.label = result->is_error ? SPAN("Error:") : SPAN("")});
    for (const struct dialog_block *c = result->children.first; c != NULL; c = c->next) {
        if (openai_is_lost(c))
            openai_drop(w, "content", "content");
        else
            openai_add_block(w, list, c);
    }
    if (result->cache != CACHE_NONE && w->ok && list->n > 0)
        list->at[list->n - 1].cache = result->cache;
}

static void add_user_block(struct openai_writing *w, struct openai_items *list,
                           const struct dialog_block *b, bool system)
{
    bool tools = openai_has(w->dialect, TRAIT_TOOLS);
    switch (b->kind) {
    case BLOCK_TOOL_RESULT:
        if (tools)
            add_rest(w, list, b);
        else
            add_result(w, list, b);
        break;
    case BLOCK_RAW:
        if (openai_is_own_raw(b))
            openai_add_block(w, list, b);
        else
            openai_drop(w, "content", "content");
        break;
    case BLOCK_TEXT:
        openai_add_item(w, list,
                        (struct openai_item){.block = b, .system = system, .cache = b->cache});
        break;
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
    case BLOCK_AUDIO:
        openai_add_block(w, list, b);
        break;
    default:
        openai_drop(w, "content", "content");
        break;
    }
}

static bool has_kind(const struct dialog_message *m, enum dialog_kind kind)
{
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind == kind)
            return true;
    }
    return false;
}

/* What an answer holds that goes nowhere. */
static void name_lost(struct openai_writing *w, const struct dialog_message *m)
{
    bool lost = has_kind(m, BLOCK_IMAGE) || has_kind(m, BLOCK_DOCUMENT) || has_kind(m, BLOCK_AUDIO);
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next)
        lost |= b->kind == BLOCK_RAW && !openai_is_own_raw(b);
    if (lost)
        openai_drop(w, "content", "content");
    if (has_kind(m, BLOCK_TOOL_CALL) && !openai_has(w->dialect, TRAIT_TOOLS))
        openai_drop(w, "tool_use", "tool_calls");
}

/* The messages from first up to end, all of users (or instructions among them, or answers of which
 * nothing can be said), as one. */
static void put_user(struct openai_writing *w, const struct dialog_message *first,
                     const struct dialog_message *end)
{
    struct openai_items list = {.n = 0};
    bool tools = openai_has(w->dialect, TRAIT_TOOLS);
    for (const struct dialog_message *m = first; m != end; m = m->next) {
        const struct dialog_block *b = m->role != ROLE_ASSISTANT ? m->blocks.first : NULL;
        if (m->role == ROLE_ASSISTANT)
            name_lost(w, m);
        for (; b != NULL; b = b->next) {
            if (b->kind == BLOCK_TOOL_RESULT && tools)
                put_tool_message(w, b);
            add_user_block(w, &list, b, m->role == ROLE_SYSTEM);
        }
    }
    if (list.n > 0 && w->ok) {
        open_message(w, "user", first->name);
        openai_put_content(w, &list, "");
        json_close_object(&w->out);
    }
    openai_free_items(&list);
}

/* Instructions behind the first message, where the server takes them. */
static void put_later_system(struct openai_writing *w, const struct dialog_message *m)
{
    struct openai_items list = {.n = 0};
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next)
        add_user_block(w, &list, b, false);
    if (list.n > 0 && w->ok) {
        open_message(w, "system", m->name);
        openai_put_content(w, &list, "");
        json_close_object(&w->out);
    }
    openai_free_items(&list);
}

/* ---- what the model said ---- */

/* Thinking that this adapter read; behind the prefix stands *ret_detail. */
static bool is_own_thinking(const struct dialog_block *b, struct span *ret_detail)
{
    const size_t n = sizeof(OPENAI_SIGNATURE) - 1;
    if (b->kind != BLOCK_THINKING && b->kind != BLOCK_REDACTED)
        return false;
    if (b->signature.len < n || memcmp(b->signature.ptr, OPENAI_SIGNATURE, n) != 0)
        return false;
    *ret_detail = (struct span){b->signature.ptr + n, b->signature.len - n};
    return true;
}

/* What the signature of thinking keeps of its entry, and the text. */
static void put_thinking_detail(struct openai_writing *w, const struct json_doc *doc,
                                struct span text)
{
    static const char *const keys[] = {"type", "id", "format", "index", "signature"};
    json_ref type = json_get(doc, 0, "type");
    bool summary = type != JSON_NONE && json_text_is(doc, type, "reasoning.summary");
    json_open_object(&w->out, NULL);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_ref v = json_get(doc, 0, keys[i]);
        if (v != JSON_NONE)
            json_put_raw(&w->out, keys[i], json_raw(doc, v));
    }
    json_put_string(&w->out, summary ? "summary" : "text", text);
    json_close_object(&w->out);
}

/* The entry of reasoning_details that a block was made of.  Its signature comes from a client: it
 * must be an object. */
static bool parse_detail(struct json_doc *doc, const struct dialog_block *b, struct span *ret_kept)
{
    return is_own_thinking(b, ret_kept) && json_parse(doc, *ret_kept, NULL) == 0 &&
           json_kind(doc, 0) == JSON_OBJECT;
}

static void put_details(struct openai_writing *w, const struct dialog_message *m)
{
    struct json_doc doc;
    struct span kept;
    bool open = false;
    json_init(&doc);
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (!parse_detail(&doc, b, &kept))
            continue;
        if (!open)
            json_open_array(&w->out, "reasoning_details");
        open = true;
        if (b->kind == BLOCK_THINKING)
            put_thinking_detail(w, &doc, b->text);
        else
            json_put_raw(&w->out, NULL, kept);
    }
    if (open)
        json_close_array(&w->out);
    json_done(&doc);
}

/* In a dialog with tools every message of the model must say what it thought, if only "". */
static void put_reasoning_content(struct openai_writing *w, const struct dialog_message *m)
{
    if (w->dialog->n_tools == 0 && !has_kind(m, BLOCK_TOOL_CALL))
        return;
    struct buf text;
    struct span kept;
    buf_init(&text, TEXT_MAX);
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (is_own_thinking(b, &kept))
            buf_add_span(&text, b->text);
    }
    json_put_string(&w->out, "reasoning_content", buf_span(&text));
    w->out.buf->failed |= text.failed;
    buf_done(&text);
}

static void put_history(struct openai_writing *w, const struct dialog_message *m)
{
    if (w->dialect->history == HISTORY_DETAILS)
        put_details(w, m);
    else if (w->dialect->history == HISTORY_WITH_TOOLS)
        put_reasoning_content(w, m);
}

/* A custom tool's, to a server of the protocol that has those. */
static void put_custom_call(struct openai_writing *w, const struct dialog_block *b)
{
    json_open_object(&w->out, NULL);
    put_call_id(w, "id", b->id);
    json_put_string(&w->out, "type", SPAN("custom"));
    json_open_object(&w->out, "custom");
    json_put_string(&w->out, "name", b->name);
    json_put_string(&w->out, "input", b->text);
    json_close_object(&w->out);
    json_close_object(&w->out);
}

static void put_call(struct openai_writing *w, const struct dialog_block *b)
{
    static const char gemini[] = THINKING_FOREIGN "gemini:";
    const size_t n = sizeof(gemini) - 1;
    json_open_object(&w->out, NULL);
    put_call_id(w, "id", b->id);
    json_put_string(&w->out, "type", SPAN("function"));
    json_open_object(&w->out, "function");
    openai_put_name(w, "name", b->name);
    json_put_string(&w->out, "arguments", b->json.len > 0 ? b->json : SPAN("{}"));
    json_close_object(&w->out);
    if (openai_has(w->dialect, TRAIT_GOOGLE_SIGNATURE) && b->signature.len > n &&
        memcmp(b->signature.ptr, gemini, n) == 0) {
        struct span signature = {b->signature.ptr + n, b->signature.len - n};
        json_open_object(&w->out, "extra_content");
        json_open_object(&w->out, "google");
        json_put_string(&w->out, "thought_signature", signature);
        json_close_object(&w->out);
        json_close_object(&w->out);
    }
    if (b->cache != CACHE_NONE)
        openai_drop(w, "cache_control", "cache_control");
    json_close_object(&w->out);
}

static void put_calls(struct openai_writing *w, const struct dialog_message *m)
{
    bool open = false;
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind != BLOCK_TOOL_CALL)
            continue;
        if (!open)
            json_open_array(&w->out, "tool_calls");
        open = true;
        if (openai_is_own_raw(b) && openai_is_native(w))
            put_custom_call(w, b);
        else
            put_call(w, b);
    }
    if (open)
        json_close_array(&w->out);
}

static void put_refusal(struct openai_writing *w, const struct dialog_message *m)
{
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_REFUSAL) {
            json_put_string(&w->out, "refusal", b->text);
            return;
        }
    }
}

/* Mistral's thinking goes before the text, in the same list. */
static void put_thinking_parts(struct openai_writing *w, const struct dialog_message *m)
{
    struct span kept;
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind != BLOCK_THINKING || !is_own_thinking(b, &kept) || b->text.len == 0)
            continue;
        json_open_object(&w->out, NULL);
        json_put_string(&w->out, "type", SPAN("thinking"));
        json_open_array(&w->out, "thinking");
        json_open_object(&w->out, NULL);
        json_put_string(&w->out, "type", SPAN("text"));
        json_put_string(&w->out, "text", b->text);
        json_close_object(&w->out);
        json_close_array(&w->out);
        json_close_object(&w->out);
    }
}

static bool thinks_in_parts(const struct openai_writing *w, const struct dialog_message *m)
{
    struct span kept;
    if (w->dialect->history != HISTORY_PARTS || !openai_may_think(w))
        return false;
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_THINKING && is_own_thinking(b, &kept) && b->text.len > 0)
            return true;
    }
    return false;
}

static void put_assistant_content(struct openai_writing *w, const struct dialog_message *m,
                                  const struct openai_items *list)
{
    if (thinks_in_parts(w, m)) {
        json_open_array(&w->out, "content");
        put_thinking_parts(w, m);
        for (int i = 0; i < list->n; i++)
            openai_put_part(w, &list->at[i], "");
        json_close_array(&w->out);
    } else if (list->n > 0) {
        openai_put_content(w, list, "");
    } else {
        json_put_null(&w->out, "content");
    }
}

static bool is_said(const struct openai_writing *w, const struct dialog_block *b)
{
    bool refusal = b->kind == BLOCK_REFUSAL && !openai_has(w->dialect, TRAIT_REFUSAL);
    return refusal || (b->kind == BLOCK_TEXT && b->text.len > 0) ||
           (b->kind == BLOCK_RAW && openai_is_own_raw(b));
}

static void gather_said(struct openai_writing *w, const struct dialog_message *m,
                        struct openai_items *list)
{
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (is_said(w, b))
            openai_add_block(w, list, b);
    }
}

/* With nothing left but another model's thinking there is no message. */
static bool is_silent(const struct openai_writing *w, const struct dialog_message *m)
{
    bool tools = openai_has(w->dialect, TRAIT_TOOLS);
    for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
        if (is_said(w, b) || b->kind == BLOCK_REFUSAL || (b->kind == BLOCK_TOOL_CALL && tools))
            return false;
    }
    return true;
}

static void put_assistant(struct openai_writing *w, const struct dialog_message *m)
{
    struct openai_items list = {.said = true};
    bool calls = openai_has(w->dialect, TRAIT_TOOLS) && has_kind(m, BLOCK_TOOL_CALL);
    bool refusal = openai_has(w->dialect, TRAIT_REFUSAL) && has_kind(m, BLOCK_REFUSAL);
    gather_said(w, m, &list);
    if (w->ok && !is_silent(w, m)) {
        open_message(w, "assistant", m->name);
        put_assistant_content(w, m, &list);
        put_history(w, m);
        if (refusal)
            put_refusal(w, m);
        if (calls)
            put_calls(w, m);
        if (m->next == NULL && openai_has(w->dialect, TRAIT_PREFIX))
            json_put_bool(&w->out, "prefix", true);
        json_close_object(&w->out);
    }
    name_lost(w, m);
    openai_free_items(&list);
}

/* The message behind those that one user message is made of: instructions may only be part of one,
 * and where the model's answer is gone, what stood before and behind it is one turn. */
static const struct dialog_message *end_of_user(const struct openai_writing *w,
                                                const struct dialog_message *first)
{
    const struct dialog_message *last = first, *m = first->next;
    bool gone = false;
    for (; m != NULL; m = m->next) {
        bool silent = m->role == ROLE_ASSISTANT && is_silent(w, m);
        bool system = m->role == ROLE_SYSTEM && openai_system_first(w);
        bool user = m->role == ROLE_USER && span_eq(m->name, first->name) &&
                    (gone || openai_system_first(w));
        gone |= silent;
        if (system || user)
            last = m;
        else if (!silent)
            break;
    }
    return last->next;
}

void openai_write_messages(struct openai_writing *w)
{
    json_open_array(&w->out, "messages");
    put_system(w);
    const struct dialog_message *m = w->dialog->first_message;
    while (m != NULL && w->ok) {
        const struct dialog_message *next = m->next;
        if (m->role == ROLE_ASSISTANT) {
            put_assistant(w, m);
        } else if (m->role == ROLE_SYSTEM && !openai_system_first(w)) {
            put_later_system(w, m);
        } else {
            next = end_of_user(w, m);
            put_user(w, m, next);
        }
        m = next;
    }
    json_close_array(&w->out);
}
