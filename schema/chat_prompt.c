/* Measures the prompt of an Anthropic request: text, images, documents and the prefixes
 * that end at cache breakpoints.  Shapes are not judged, that is the provider's part: what
 * is not known counts with its bytes, so that an estimate of the cost errs upwards. */
#include "schema/chat_reader.h"
#include "schema/json_path.h"

/* ---- blocks ---- */

/* The members of a block that are understood.  Any other counts as it is written. */
/* clang-format off */
#define PARTS(P) \
    P(type) P(text) P(thinking) P(signature) P(data) P(title) P(context) P(name) P(input) \
    P(content) P(source) P(cache_control) P(file_id) P(citations) P(id) P(tool_use_id) \
    P(is_error) P(caller)
/* clang-format on */

enum part {
#define P(name) PART_##name,
    PARTS(P)
#undef P
        PART_COUNT
};

static const char *const part_names[PART_COUNT] = {
#define P(name) #name,
    PARTS(P)
#undef P
};

struct block {
    json_ref at[PART_COUNT];
};

static int read_content(struct chat_reader *r, json_ref v);

struct source {
    json_ref type, data, media_type, file_id, content;
};

static int split_source(struct chat_reader *r, json_ref v, struct source *s)
{
    const struct json_doc *d = r->doc;
    return json_get_once(d, v, "type", &s->type, r->reterr) != 0 ||
                   json_get_once(d, v, "data", &s->data, r->reterr) != 0 ||
                   json_get_once(d, v, "media_type", &s->media_type, r->reterr) != 0 ||
                   json_get_once(d, v, "file_id", &s->file_id, r->reterr) != 0 ||
                   json_get_once(d, v, "content", &s->content, r->reterr) != 0
               ? -1
               : 0;
}

/* What other protocols take as documents may be sound or a film. */
static bool is_recording(const struct json_doc *d, json_ref media_type)
{
    if (media_type == JSON_NONE || json_kind(d, media_type) != JSON_STRING)
        return false;
    struct span type = json_inner(d, media_type);
    return type.len > 6 &&
           (memcmp(type.ptr, "audio/", 6) == 0 || memcmp(type.ptr, "video/", 6) == 0);
}

static void count_data(struct chat_reader *r, json_ref data)
{
    if (data != JSON_NONE && json_kind(r->doc, data) == JSON_STRING)
        chat_count_payload(r, json_inner(r->doc, data).len);
}

/* Where an image or a document comes from.  A search result has a plain string here. */
static int read_source(struct chat_reader *r, json_ref v, bool image, bool document)
{
    if (json_kind(r->doc, v) != JSON_OBJECT) {
        chat_count_text(r, v);
        return 0;
    }
    struct source s;
    if (split_source(r, v, &s) != 0)
        return -1;
    bool text = json_text_is(r->doc, s.type, "text");
    bool blocks = json_text_is(r->doc, s.type, "content");
    if (document && !text && !blocks) {
        r->chat->n_documents++;
        r->chat->document_bytes += chat_decoded_size(r->doc, s.data);
        r->chat->sounds |= is_recording(r->doc, s.media_type);
    }
    if ((document || image) && !text)
        count_data(r, s.data);
    if (text)
        chat_count_text(r, s.data);
    if (json_text_is(r->doc, s.type, "file") && s.file_id != JSON_NONE)
        return chat_pin(r, s.file_id, "source.file_id");
    return s.content != JSON_NONE ? read_content(r, s.content) : 0;
}

/* What kind of block it is, but for its text. */
static int read_media(struct chat_reader *r, const struct block *b)
{
    struct chat *c = r->chat;
    json_ref type = b->at[PART_type];
    bool document = json_text_is(r->doc, type, "document");
    bool image = json_text_is(r->doc, type, "image");
    if (document)
        c->needs |= NEED_DOCUMENTS;
    if (image) {
        c->needs |= NEED_IMAGES;
        c->n_images++;
    }
    if (b->at[PART_file_id] != JSON_NONE && json_text_is(r->doc, type, "container_upload") &&
        chat_pin(r, b->at[PART_file_id], "container_upload.file_id") != 0)
        return -1;
    return b->at[PART_source] != JSON_NONE ? read_source(r, b->at[PART_source], image, document)
                                           : 0;
}

/* A thinking block whose text is withheld still carries the thinking, encrypted in its
 * signature, and the provider counts it. */
static void count_thinking(struct chat_reader *r, const struct block *b)
{
    json_ref thinking = b->at[PART_thinking];
    chat_note_signature(r, b->at[PART_signature]);
    chat_note_signature(r, b->at[PART_data]); /* of redacted thinking */
    chat_count_text(r, thinking);
    if (thinking == JSON_NONE || json_text_is(r->doc, thinking, ""))
        chat_count_text(r, b->at[PART_signature]);
}

static void count_block(struct chat_reader *r, const struct block *b)
{
    r->chat->parts.n_blocks++;
    if (b->at[PART_input] != JSON_NONE)
        chat_count_call(r, b->at[PART_input]);
    if (b->at[PART_tool_use_id] != JSON_NONE)
        chat_count_call(r, JSON_NONE);
}

/* What the model shall cite from is cut into pieces that it can name.  (In the blocks of an answer
 * that is sent back, citations are a list.) */
static int count_cited(struct chat_reader *r, json_ref citations, int64_t bytes)
{
    json_ref enabled;
    bool on = false;
    if (!json_is_object(r->doc, citations))
        return 0;
    if (json_get_once(r->doc, citations, "enabled", &enabled, r->reterr) != 0)
        return -1;
    if (json_truth(r->doc, enabled, &on) && on) {
        r->chat->parts.n_cited++;
        r->chat->parts.cited_bytes += bytes;
    }
    return 0;
}

static int read_block(struct chat_reader *r, json_ref v)
{
    static const enum part texts[] = {PART_text,    PART_data, PART_title,
                                      PART_context, PART_name, PART_input};
    if (json_kind(r->doc, v) != JSON_OBJECT) {
        chat_count_text(r, v);
        return 0;
    }
    struct block b;
    int64_t before = r->chat->prompt_bytes;
    if (chat_split_object(r, v, part_names, PART_COUNT, b.at) != 0)
        return -1;
    count_block(r, &b);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        chat_count_text(r, b.at[texts[i]]);
    count_thinking(r, &b);
    chat_note_call_id(r, b.at[PART_id]);
    chat_note_call_id(r, b.at[PART_tool_use_id]);
    if (chat_mark_cache(r, b.at[PART_cache_control]) != 0 || read_media(r, &b) != 0 ||
        (b.at[PART_content] != JSON_NONE && read_content(r, b.at[PART_content]) != 0))
        return -1;
    return count_cited(r, b.at[PART_citations], r->chat->prompt_bytes - before);
}

/* The content of a block: a string, a block, or a list of them.  As deep as the JSON. */
static int read_content(struct chat_reader *r, json_ref v)
{
    if (json_kind(r->doc, v) != JSON_ARRAY)
        return read_block(r, v);
    for (json_ref e = json_first(r->doc, v); e != JSON_NONE; e = json_next(r->doc, e)) {
        if (read_block(r, e) != 0)
            return -1;
    }
    return 0;
}

bool chat_is_billing_header(struct span text)
{
    static const char start[] = "x-anthropic-billing-header:";
    const size_t n = sizeof(start) - 1;
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    return text.len >= n && memcmp(text.ptr, start, n) == 0 &&
           memchr(text.ptr, '\n', text.len) == NULL;
}

/* It is no part of what the provider caches. */
static bool is_billing_header(const struct json_doc *d, json_ref block)
{
    char line[1024]; /* it has some 100 bytes */
    json_ref text = json_get(d, block, "text");
    return text != JSON_NONE && json_kind(d, text) == JSON_STRING &&
           json_text_fixed(d, text, line, sizeof(line)) && chat_is_billing_header(span_of(line));
}

/* ---- the three parts of the prompt ---- */

static int read_tools(struct chat_reader *r, json_ref tools)
{
    digest_add(&r->digest, SPAN("tools"));
    for (json_ref t = json_first(r->doc, tools); t != JSON_NONE; t = json_next(r->doc, t)) {
        json_ref cache_control;
        if (chat_read_tool(r, t) != 0 ||
            json_get_once(r->doc, t, "cache_control", &cache_control, r->reterr) != 0 ||
            chat_mark_cache(r, cache_control) != 0)
            return -1;
        chat_count_raw(r, t);
        chat_count_values(r, t);
        chat_digest_block(r, t);
        chat_end_block(r);
    }
    return 0;
}

static int read_prompt_block(struct chat_reader *r, json_ref v, bool in_digest)
{
    if (read_block(r, v) != 0)
        return -1;
    if (in_digest)
        chat_digest_block(r, v);
    chat_end_block(r);
    return 0;
}

/* A string, or an array of blocks each of which may end a prefix. */
static int read_prompt_blocks(struct chat_reader *r, json_ref v, bool system)
{
    if (json_kind(r->doc, v) != JSON_ARRAY)
        return read_prompt_block(r, v, true);
    json_ref first = json_first(r->doc, v);
    for (json_ref e = first; e != JSON_NONE; e = json_next(r->doc, e)) {
        bool billing = system && e == first && is_billing_header(r->doc, e);
        if (read_prompt_block(r, e, !billing) != 0)
            return -1;
    }
    return 0;
}

static int read_message(struct chat_reader *r, json_ref message)
{
    json_ref role, content;
    if (json_kind(r->doc, message) != JSON_OBJECT)
        return json_refuse(r->doc, message, "an object with role and content", r->reterr);
    if (json_get_once(r->doc, message, "role", &role, r->reterr) != 0 ||
        json_get_once(r->doc, message, "content", &content, r->reterr) != 0)
        return -1;
    r->chat->parts.n_messages++;
    digest_add(&r->digest, SPAN("message"));
    if (role != JSON_NONE)
        digest_add(&r->digest, json_raw(r->doc, role));
    return content != JSON_NONE ? read_prompt_blocks(r, content, false) : 0;
}

int chat_read_prompt(struct chat_reader *r, json_ref tools, json_ref system, json_ref messages,
                     json_ref cache_control)
{
    if (tools != JSON_NONE && read_tools(r, tools) != 0)
        return -1;
    if (system != JSON_NONE) {
        digest_add(&r->digest, SPAN("system"));
        if (read_prompt_blocks(r, system, true) != 0)
            return -1;
    }
    struct chat_prefix instructions = chat_last_end(r);
    for (json_ref m = json_first(r->doc, messages); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (read_message(r, m) != 0)
            return -1;
        chat_end_message(r, m);
    }
    if (chat_mark_cache(r, cache_control) != 0)
        return -1;
    if (r->marked)
        chat_end_block(r);
    chat_add_implicit_prefixes(r, &instructions);
    return 0;
}
