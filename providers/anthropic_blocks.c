/* Reads the system prompt and the messages of an Anthropic request.  Blocks that no other protocol
 * has are kept as they are written. */
#include "providers/anthropic.h"
#include "providers/anthropic_read.h"
#include "schema/json_path.h"
#include "schema/toolsig.h"

static const char content_accepts[] = "a string or an array of content blocks";

/* Where blocks go.  The message is made with its first block, so that none is empty. */
struct place {
    struct dialog_blocks *list; /* NULL: not made yet */
    enum dialog_role role;
    bool texts_only; /* the system prompt */
};

static struct dialog_block *add(struct anthropic_body *b, struct place *place,
                                enum dialog_kind kind)
{
    if (place->list == NULL) {
        struct dialog_message *m = dialog_turn(b->d, place->role, SPAN(""));
        if (m == NULL)
            return NULL;
        place->list = &m->blocks;
    }
    return dialog_add(b->d, place->list, kind);
}

/* ---- text ---- */

static int add_text(struct anthropic_body *b, struct place *place, json_ref string,
                    struct dialog_block **ret)
{
    struct span text;
    if (anthropic_value(b, string, &text) != 0)
        return -1;
    struct dialog_block *block = text.len > 0 ? add(b, place, BLOCK_TEXT) : NULL;
    if (block != NULL)
        block->text = text;
    *ret = block;
    return 0;
}

static int read_text(struct anthropic_body *b, struct place *place, json_ref v)
{
    json_ref text, citations;
    struct dialog_block *block;
    if (anthropic_member(b, v, "text", KIND(STRING), "a string", &text) != 0 ||
        anthropic_member(b, v, "citations", KIND(ARRAY), "an array", &citations) != 0)
        return -1;
    if (text == JSON_NONE)
        return anthropic_missing(b, v, "text", "a string");
    if (add_text(b, place, text, &block) != 0)
        return -1;
    if (block == NULL)
        return 0;
    if (citations != JSON_NONE && json_first(b->doc, citations) != JSON_NONE)
        block->citations_json = json_raw(b->doc, citations);
    return anthropic_cache(b, v, &block->cache);
}

/* ---- images and documents ---- */

/* The texts of a list of blocks, a line each. */
static int join_texts(struct anthropic_body *b, json_ref list, struct span *ret)
{
    struct buf joined;
    int rc = 0;
    buf_init(&joined, DIALOG_MEMORY_MAX);
    for (json_ref e = json_first(b->doc, list); e != JSON_NONE && rc == 0;
         e = json_next(b->doc, e)) {
        struct span text;
        rc = anthropic_string(b, e, "text", &text);
        if (rc == 0 && text.len > 0) {
            buf_adds(&joined, joined.len > 0 ? "\n" : "");
            buf_add_span(&joined, text);
        }
    }
    b->d->failed |= joined.failed;
    *ret = dialog_copy(b->d, buf_span(&joined));
    buf_done(&joined);
    return rc;
}

/* The content of a document that is made of blocks, or of a search result. */
static int read_texts(struct anthropic_body *b, json_ref holder, struct dialog_media *media)
{
    json_ref content;
    if (anthropic_member(b, holder, "content", KIND(STRING) | KIND(ARRAY), content_accepts,
                         &content) != 0)
        return -1;
    media->from = MEDIA_TEXT;
    media->type = SPAN("text/plain");
    if (content == JSON_NONE)
        return anthropic_missing(b, holder, "content", content_accepts);
    return json_kind(b->doc, content) == JSON_STRING ? anthropic_value(b, content, &media->data)
                                                     : join_texts(b, content, &media->data);
}

/* RFC 6838 section 4.2, without parameters: it goes into other protocols' data URLs, where a ";" or
 * a "," would begin something else. */
static bool is_media_type(struct span s)
{
    size_t slashes = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        slashes += c == '/';
        if (!letter && (c == '\0' || strchr("/!#$&-^_.+", c) == NULL))
            return false;
    }
    return slashes == 1;
}

static int read_media_type(struct anthropic_body *b, json_ref source, struct dialog_media *media)
{
    json_ref v = json_get(b->doc, source, "media_type");
    if (anthropic_string(b, source, "media_type", &media->type) != 0)
        return -1;
    return media->type.len == 0 || is_media_type(media->type)
               ? 0
               : json_refuse(b->doc, v, "a media type such as image/png", b->reterr);
}

static int read_source(struct anthropic_body *b, json_ref v, struct dialog_media *media)
{
    static const struct {
        const char *type;
        enum media_from from;
        const char *data; /* the member that holds it */
    } sources[] = {
        {"base64", MEDIA_BASE64, "data"},
        {"url", MEDIA_URL, "url"},
        {"file", MEDIA_FILE_ID, "file_id"},
        {"text", MEDIA_TEXT, "data"},
    };
    static const char accepts[] = "base64, url, file, text or content";
    json_ref source, type;
    if (anthropic_member(b, v, "source", KIND(OBJECT), "an object with type", &source) != 0 ||
        anthropic_member(b, source, "type", KIND(STRING), accepts, &type) != 0)
        return -1;
    if (source == JSON_NONE)
        return anthropic_missing(b, v, "source", "an object with type");
    if (type == JSON_NONE)
        return anthropic_missing(b, source, "type", accepts);
    if (json_text_is(b->doc, type, "content"))
        return read_texts(b, source, media);
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (!json_text_is(b->doc, type, sources[i].type))
            continue;
        media->from = sources[i].from;
        if (media->from == MEDIA_TEXT)
            media->type = SPAN("text/plain");
        return media->from != MEDIA_TEXT && read_media_type(b, source, media) != 0
                   ? -1
                   : anthropic_need_string(b, source, sources[i].data, &media->data);
    }
    return json_refuse(b->doc, type, accepts, b->reterr);
}

static int read_image(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add(b, place, BLOCK_IMAGE);
    if (block == NULL)
        return 0;
    return read_source(b, v, &block->media) != 0 ? -1 : anthropic_cache(b, v, &block->cache);
}

/* The images in a document that is made of blocks stand behind it. */
static int read_images_within(struct anthropic_body *b, struct place *place, json_ref document)
{
    json_ref content = json_get(b->doc, json_get(b->doc, document, "source"), "content");
    if (content == JSON_NONE || json_kind(b->doc, content) != JSON_ARRAY)
        return 0;
    for (json_ref e = json_first(b->doc, content); e != JSON_NONE; e = json_next(b->doc, e)) {
        json_ref type = json_get(b->doc, e, "type");
        if (type != JSON_NONE && json_text_is(b->doc, type, "image") &&
            read_image(b, place, e) != 0)
            return -1;
    }
    return 0;
}

static int read_citations_enabled(struct anthropic_body *b, json_ref v, bool *ret)
{
    json_ref citations;
    return anthropic_member(b, v, "citations", KIND(OBJECT), "an object", &citations) != 0
               ? -1
               : anthropic_truth(b, citations, "enabled", ret);
}

static int read_document(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add(b, place, BLOCK_DOCUMENT);
    if (block == NULL)
        return 0;
    struct dialog_media *media = &block->media;
    return read_source(b, v, media) != 0 || anthropic_cache(b, v, &block->cache) != 0 ||
                   anthropic_string(b, v, "title", &media->title) != 0 ||
                   anthropic_string(b, v, "context", &media->context) != 0 ||
                   read_citations_enabled(b, v, &media->citations_enabled) != 0 ||
                   read_images_within(b, place, v) != 0
               ? -1
               : 0;
}

/* A document too, so that other protocols show it to the model: its source is the context. */
static int read_search_result(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add(b, place, BLOCK_DOCUMENT);
    if (block == NULL)
        return 0;
    struct dialog_media *media = &block->media;
    return read_texts(b, v, media) != 0 || anthropic_cache(b, v, &block->cache) != 0 ||
                   anthropic_string(b, v, "title", &media->title) != 0 ||
                   anthropic_string(b, v, "source", &media->context) != 0 ||
                   read_citations_enabled(b, v, &media->citations_enabled) != 0
               ? -1
               : 0;
}

/* ---- tools and thinking ---- */

/* An id that this door gave out may hold the call's signature (schema/toolsig.h). */
static int read_tool_id(struct anthropic_body *b, json_ref v, const char *member,
                        struct dialog_block *block)
{
    struct span id;
    struct buf signature;
    if (anthropic_need_string(b, v, member, &id) != 0)
        return -1;
    buf_init(&signature, TOOLSIG_MAX);
    b->d->failed |= !toolsig_split(id, &block->id, &signature);
    if (block->kind == BLOCK_TOOL_CALL)
        block->signature = dialog_copy(b->d, buf_span(&signature));
    buf_done(&signature);
    return 0;
}

static int read_tool_use(struct anthropic_body *b, struct place *place, json_ref v)
{
    json_ref input;
    struct dialog_block *block = add(b, place, BLOCK_TOOL_CALL);
    if (block == NULL)
        return 0;
    if (read_tool_id(b, v, "id", block) != 0 ||
        anthropic_need_string(b, v, "name", &block->name) != 0 ||
        anthropic_member(b, v, "input", KIND(OBJECT), "an object", &input) != 0 ||
        anthropic_cache(b, v, &block->cache) != 0)
        return -1;
    block->json = input != JSON_NONE ? json_raw(b->doc, input) : SPAN("{}");
    return 0;
}

static int read_content(struct anthropic_body *b, struct place *place, json_ref content,
                        bool nested);

static int read_tool_result(struct anthropic_body *b, struct place *place, json_ref v)
{
    json_ref content;
    struct dialog_block *block = add(b, place, BLOCK_TOOL_RESULT);
    if (block == NULL)
        return 0;
    if (read_tool_id(b, v, "tool_use_id", block) != 0 ||
        anthropic_truth(b, v, "is_error", &block->is_error) != 0 ||
        anthropic_cache(b, v, &block->cache) != 0 ||
        anthropic_member(b, v, "content", KIND(STRING) | KIND(ARRAY), content_accepts, &content) !=
            0)
        return -1;
    struct place children = {.list = &block->children};
    return content != JSON_NONE ? read_content(b, &children, content, true) : 0;
}

static int read_thinking(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add(b, place, BLOCK_THINKING);
    if (block == NULL)
        return 0;
    return anthropic_string(b, v, "thinking", &block->text) != 0
               ? -1
               : anthropic_string(b, v, "signature", &block->signature);
}

static int read_redacted(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add(b, place, BLOCK_REDACTED);
    return block != NULL ? anthropic_need_string(b, v, "data", &block->signature) : 0;
}

static struct dialog_block *add_raw(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add(b, place, BLOCK_RAW);
    if (block != NULL) {
        block->raw_of = anthropic_word;
        block->json = json_raw(b->doc, v);
    }
    return block;
}

static int read_raw(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add_raw(b, place, v);
    return block != NULL ? anthropic_cache(b, v, &block->cache) : 0;
}

/* What the client's own search for tools found (.../tool-search-tool "Custom tool search").  Who
 * has no such block is told of all tools anyway: there the name says it. */
static int read_tool_reference(struct anthropic_body *b, struct place *place, json_ref v)
{
    struct dialog_block *block = add_raw(b, place, v);
    if (block == NULL)
        return 0;
    return anthropic_string(b, v, "tool_name", &block->text) != 0
               ? -1
               : anthropic_cache(b, v, &block->cache);
}

/* ---- any block ---- */

static const struct {
    const char *type;
    int (*read)(struct anthropic_body *b, struct place *place, json_ref v);
    bool in_results; /* may stand in a tool result */
} kinds[] = {
    {"text", read_text, true},
    {"tool_use", read_tool_use, false},
    {"tool_result", read_tool_result, false},
    {"thinking", read_thinking, false},
    {"redacted_thinking", read_redacted, false},
    {"image", read_image, true},
    {"document", read_document, true},
    {"search_result", read_search_result, true},
    {"tool_reference", read_tool_reference, true},
};

static int read_block(struct anthropic_body *b, struct place *place, json_ref v, bool nested)
{
    json_ref type;
    if (json_kind(b->doc, v) != JSON_OBJECT)
        return json_refuse(b->doc, v, "a content block (an object with type)", b->reterr);
    if (anthropic_member(b, v, "type", KIND(STRING), "a string", &type) != 0)
        return -1;
    if (type == JSON_NONE)
        return anthropic_missing(b, v, "type", "a string");
    if (place->texts_only && !json_text_is(b->doc, type, "text")) {
        drops_add(&b->d->unread, "system");
        return 0;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!json_text_is(b->doc, type, kinds[i].type))
            continue;
        if (nested && !kinds[i].in_results)
            return json_refuse(b->doc, type, "a block that a tool may return", b->reterr);
        return kinds[i].read(b, place, v);
    }
    return read_raw(b, place, v);
}

static int read_content(struct anthropic_body *b, struct place *place, json_ref content,
                        bool nested)
{
    struct dialog_block *text;
    if (json_kind(b->doc, content) == JSON_STRING)
        return add_text(b, place, content, &text);
    for (json_ref e = json_first(b->doc, content); e != JSON_NONE; e = json_next(b->doc, e)) {
        if (read_block(b, place, e, nested) != 0)
            return -1;
    }
    return 0;
}

/* ---- messages ---- */

int anthropic_read_system(struct anthropic_body *b, json_ref system)
{
    struct place place = {.list = &b->d->system, .texts_only = true};
    return system != JSON_NONE ? read_content(b, &place, system, false) : 0;
}

static int read_role(struct anthropic_body *b, json_ref message, enum dialog_role *ret)
{
    static const char *const words[] = {
        [ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant", [ROLE_SYSTEM] = "system"};
    static const char accepts[] = "user, assistant or system";
    json_ref role;
    if (anthropic_member(b, message, "role", KIND(STRING), accepts, &role) != 0)
        return -1;
    if (role == JSON_NONE)
        return anthropic_missing(b, message, "role", accepts);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (json_text_is(b->doc, role, words[i])) {
            *ret = (enum dialog_role)i;
            return 0;
        }
    }
    return json_refuse(b->doc, role, accepts, b->reterr);
}

static int read_message(struct anthropic_body *b, json_ref message)
{
    struct place place = {.list = NULL};
    json_ref content;
    if (read_role(b, message, &place.role) != 0 ||
        anthropic_member(b, message, "content", KIND(STRING) | KIND(ARRAY), content_accepts,
                         &content) != 0)
        return -1;
    if (content == JSON_NONE)
        return anthropic_missing(b, message, "content", content_accepts);
    if (place.role == ROLE_SYSTEM && b->d->first_message == NULL) {
        place.list = &b->d->system;
        place.texts_only = true;
    }
    return read_content(b, &place, content, false);
}

/* Results of tools before all else, each part in its order. */
static void put_results_first(struct dialog_blocks *list)
{
    struct dialog_blocks results = {.n = 0}, others = {.n = 0};
    for (struct dialog_block *b = list->first, *next; b != NULL; b = next) {
        struct dialog_blocks *part = b->kind == BLOCK_TOOL_RESULT ? &results : &others;
        next = b->next;
        b->next = NULL;
        if (part->last != NULL)
            part->last->next = b;
        else
            part->first = b;
        part->last = b;
    }
    if (results.last == NULL || others.first == NULL) {
        *list = (struct dialog_blocks){results.last != NULL ? results.first : others.first,
                                       results.last != NULL ? results.last : others.last, list->n};
        return;
    }
    results.last->next = others.first;
    *list = (struct dialog_blocks){results.first, others.last, list->n};
}

int anthropic_read_messages(struct anthropic_body *b, json_ref messages)
{
    for (json_ref m = anthropic_first(b, messages); m != JSON_NONE; m = json_next(b->doc, m)) {
        if (read_message(b, m) != 0)
            return -1;
    }
    for (struct dialog_message *m = b->d->first_message; m != NULL; m = m->next) {
        if (m->role == ROLE_USER)
            put_results_first(&m->blocks);
    }
    return 0;
}
