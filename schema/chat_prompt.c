/* Measures the prompt of an Anthropic request: text, images, documents and the prefixes
 * that end at cache breakpoints.  Shapes are not judged, that is the provider's part: what
 * is not known counts with its bytes, so that an estimate of the cost errs upwards. */
#include "schema/chat_reader.h"
#include "schema/json_path.h"

/* ---- sizes ---- */

static const uint64_t ones = UINT64_C(0x0101010101010101);

/* UTF-8 continuation bytes in up to 255 words: each byte of the sum counts one lane. */
static size_t count_continuation(const char *p, size_t n_words)
{
    uint64_t lanes = 0;
    for (size_t i = 0; i < n_words; i++) {
        uint64_t w;
        memcpy(&w, p + 8 * i, 8);
        lanes += (w >> 7) & ~(w >> 6) & ones;
    }
    const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
    uint64_t pairs = (lanes & even) + ((lanes >> 8) & even);
    return (size_t)((pairs * UINT64_C(0x0001000100010001)) >> 48);
}

static int64_t count_chars(struct span s)
{
    size_t i = 0, continuation = 0;
    while (s.len - i >= 8) {
        size_t n_words = (s.len - i) / 8 < 255 ? (s.len - i) / 8 : 255;
        continuation += count_continuation(s.ptr + i, n_words);
        i += 8 * n_words;
    }
    for (; i < s.len; i++)
        continuation += ((unsigned char)s.ptr[i] & 0xc0) == 0x80;
    return (int64_t)(s.len - continuation);
}

static void count_span(struct chat_reader *r, struct span s)
{
    r->chat->prompt_bytes += (int64_t)s.len;
    r->chat->prompt_chars += count_chars(s);
}

static void count_raw(struct chat_reader *r, json_ref v)
{
    count_span(r, json_raw(r->doc, v));
}

/* Of a string that was counted as it is written: takes off what its escapes are longer
 * than the one character that each stands for. */
static void resolve_escapes(struct chat_reader *r, struct span written)
{
    const char *escape;
    while (written.len > 0 && (escape = memchr(written.ptr, '\\', written.len)) != NULL) {
        written.len -= (size_t)(escape - written.ptr);
        written.ptr = escape;
        char store[4];
        struct span character;
        /* readers replace a lone surrogate */
        if (!json_stretch(&written, store, &character))
            character = SPAN("\xef\xbf\xbd");
        int64_t length = written.ptr - escape;
        r->chat->prompt_bytes -= length - (int64_t)character.len;
        r->chat->prompt_chars -= length - 1;
    }
}

/* A string with its escapes resolved; anything else as it is written. */
static void count_text(struct chat_reader *r, json_ref v)
{
    if (json_kind(r->doc, v) == JSON_NULL)
        return;
    if (json_kind(r->doc, v) != JSON_STRING) {
        count_raw(r, v);
        return;
    }
    struct span written = json_inner(r->doc, v);
    count_span(r, written);
    if (json_at(r->doc, v)->escaped)
        resolve_escapes(r, written);
}

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

static enum part find_part(const struct json_doc *d, json_ref member)
{
    int i = 0;
    while (i < PART_COUNT && !json_key_is(d, member, part_names[i]))
        i++;
    return (enum part)i;
}

static int split_block(struct chat_reader *r, json_ref object, struct block *b)
{
    for (int i = 0; i < PART_COUNT; i++)
        b->at[i] = JSON_NONE;
    for (json_ref m = json_first(r->doc, object); m != JSON_NONE; m = json_next(r->doc, m)) {
        enum part i = find_part(r->doc, m);
        if (i == PART_COUNT) {
            count_raw(r, m);
            continue;
        }
        if (b->at[i] != JSON_NONE)
            return json_refuse_twice(r->doc, m, r->reterr);
        b->at[i] = m;
    }
    return 0;
}

static void count_part(struct chat_reader *r, json_ref v)
{
    if (v != JSON_NONE)
        count_text(r, v);
}

static int mark(struct chat_reader *r, json_ref cache_control)
{
    if (cache_control == JSON_NONE || json_kind(r->doc, cache_control) != JSON_OBJECT)
        return 0;
    json_ref ttl;
    if (json_get_once(r->doc, cache_control, "ttl", &ttl, r->reterr) != 0)
        return -1;
    r->marked = true;
    r->one_hour = json_text_is(r->doc, ttl, "1h");
    if (r->one_hour)
        r->chat->cache_write_1h = true;
    else
        r->chat->cache_write_5m = true;
    return 0;
}

static int read_content(struct chat_reader *r, json_ref v);

/* Four base64 characters are three bytes. */
static int64_t decoded_size(const struct json_doc *d, json_ref data)
{
    if (data == JSON_NONE || json_kind(d, data) != JSON_STRING)
        return 0;
    return (int64_t)(json_inner(d, data).len / 4 * 3);
}

struct source {
    json_ref type, data, file_id, content;
};

static int split_source(struct chat_reader *r, json_ref v, struct source *s)
{
    const struct json_doc *d = r->doc;
    return json_get_once(d, v, "type", &s->type, r->reterr) != 0 ||
                   json_get_once(d, v, "data", &s->data, r->reterr) != 0 ||
                   json_get_once(d, v, "file_id", &s->file_id, r->reterr) != 0 ||
                   json_get_once(d, v, "content", &s->content, r->reterr) != 0
               ? -1
               : 0;
}

/* Where an image or a document comes from.  A search result has a plain string here. */
static int read_source(struct chat_reader *r, json_ref v, bool document)
{
    if (json_kind(r->doc, v) != JSON_OBJECT) {
        count_text(r, v);
        return 0;
    }
    struct source s;
    if (split_source(r, v, &s) != 0)
        return -1;
    bool text = json_text_is(r->doc, s.type, "text");
    bool blocks = json_text_is(r->doc, s.type, "content");
    if (document && !text && !blocks) {
        r->chat->n_documents++;
        r->chat->document_bytes += decoded_size(r->doc, s.data);
    }
    if (text)
        count_part(r, s.data);
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
    if (document)
        c->needs |= NEED_DOCUMENTS;
    if (json_text_is(r->doc, type, "image")) {
        c->needs |= NEED_IMAGES;
        c->n_images++;
    }
    if (b->at[PART_file_id] != JSON_NONE && json_text_is(r->doc, type, "container_upload") &&
        chat_pin(r, b->at[PART_file_id], "container_upload.file_id") != 0)
        return -1;
    return b->at[PART_source] != JSON_NONE ? read_source(r, b->at[PART_source], document) : 0;
}

/* A thinking block whose text is withheld still carries the thinking, encrypted in its
 * signature, and the provider counts it. */
static void count_thinking(struct chat_reader *r, const struct block *b)
{
    json_ref thinking = b->at[PART_thinking];
    count_part(r, thinking);
    if (thinking == JSON_NONE || json_text_is(r->doc, thinking, ""))
        count_part(r, b->at[PART_signature]);
}

static int read_block(struct chat_reader *r, json_ref v)
{
    static const enum part texts[] = {PART_text,    PART_data, PART_title,
                                      PART_context, PART_name, PART_input};
    if (json_kind(r->doc, v) != JSON_OBJECT) {
        count_text(r, v);
        return 0;
    }
    struct block b;
    if (split_block(r, v, &b) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        count_part(r, b.at[texts[i]]);
    count_thinking(r, &b);
    if (mark(r, b.at[PART_cache_control]) != 0 || read_media(r, &b) != 0)
        return -1;
    return b.at[PART_content] != JSON_NONE ? read_content(r, b.at[PART_content]) : 0;
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

/* ---- prefixes ---- */

/* The bytes of a block without its own cache_control. */
static void digest_block(struct chat_reader *r, json_ref v)
{
    struct span raw = json_raw(r->doc, v);
    if (json_kind(r->doc, v) == JSON_STRING) {
        digest_add(&r->digest, SPAN("{\"type\":\"text\",\"text\":"));
        digest_add(&r->digest, raw);
        digest_add(&r->digest, SPAN("}"));
        return;
    }
    json_ref member = json_get(r->doc, v, "cache_control");
    if (member == JSON_NONE) {
        digest_add(&r->digest, raw);
        return;
    }
    struct json_cut cut;
    json_cut_members(r->doc, v, &member, 1, &cut);
    const char *text = r->doc->text.ptr;
    digest_add(&r->digest, (struct span){raw.ptr, (size_t)(text + cut.begin - raw.ptr)});
    digest_add(&r->digest,
               (struct span){text + cut.end, (size_t)(raw.ptr + raw.len - (text + cut.end))});
}

static void add_prefix(struct chat_reader *r, const struct chat_prefix *end)
{
    struct chat *c = r->chat;
    if (c->n_prefixes == CHAT_PREFIXES_MAX)
        return; /* the provider refuses more */
    c->prefixes[c->n_prefixes] = *end;
    c->prefixes[c->n_prefixes++].one_hour = r->one_hour;
    uint32_t n = r->n_ends < CHAT_LOOKBACK_MAX ? r->n_ends : CHAT_LOOKBACK_MAX;
    for (uint32_t i = 0; i < n; i++)
        c->lookback[i] = r->ends[(r->n_ends - 1 - i) % CHAT_LOOKBACK_MAX];
    c->n_lookback = (int)n;
}

/* A block of the prompt was read: what came before it and itself is a prefix. */
static void end_block(struct chat_reader *r)
{
    struct chat_prefix end = {digest_value(&r->digest), r->chat->prompt_bytes, false};
    if (r->marked)
        add_prefix(r, &end);
    r->ends[r->n_ends++ % CHAT_LOOKBACK_MAX] = end;
    r->marked = false;
    r->one_hour = false;
}

/* Claude Code's first system block differs from run to run, and is no part of what the
 * provider caches. */
static bool is_billing_header(const struct json_doc *d, json_ref block)
{
    static const char start[] = "x-anthropic-billing-header";
    json_ref text = json_get(d, block, "text");
    if (text == JSON_NONE || json_kind(d, text) != JSON_STRING)
        return false;
    struct span s = json_inner(d, text);
    return s.len >= sizeof(start) - 1 && memcmp(s.ptr, start, sizeof(start) - 1) == 0;
}

/* ---- the three parts of the prompt ---- */

static int read_tools(struct chat_reader *r, json_ref tools)
{
    digest_add(&r->digest, SPAN("tools"));
    for (json_ref t = json_first(r->doc, tools); t != JSON_NONE; t = json_next(r->doc, t)) {
        json_ref cache_control;
        if (chat_read_tool(r, t) != 0 ||
            json_get_once(r->doc, t, "cache_control", &cache_control, r->reterr) != 0 ||
            mark(r, cache_control) != 0)
            return -1;
        count_raw(r, t);
        digest_block(r, t);
        end_block(r);
    }
    return 0;
}

static int read_prompt_block(struct chat_reader *r, json_ref v, bool in_digest)
{
    if (read_block(r, v) != 0)
        return -1;
    if (in_digest)
        digest_block(r, v);
    end_block(r);
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
    for (json_ref m = json_first(r->doc, messages); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (read_message(r, m) != 0)
            return -1;
    }
    if (mark(r, cache_control) != 0)
        return -1;
    if (r->marked)
        end_block(r);
    return 0;
}
