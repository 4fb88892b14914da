/* Content of OpenAI's messages: a string or parts.
 * platform.openai.com/docs/api-reference/chat/create. */
#include "providers/openai_door.h"

struct dialog_block *openai_body_add(struct openai_body *b, const struct openai_place *place,
                                     enum dialog_kind kind)
{
    struct dialog_blocks *list = place->list;
    if (list == NULL) {
        struct dialog_message *turn = dialog_turn(b->d, place->role, place->name);
        list = turn != NULL ? &turn->blocks : NULL;
    }
    struct dialog_block *block = list != NULL ? dialog_add(b->d, list, kind) : NULL;
    if (block != NULL)
        return block;
    b->spare = (struct dialog_block){.kind = kind};
    return &b->spare;
}

struct dialog_block *openai_body_last(const struct openai_body *b, const struct openai_place *place)
{
    if (place->list != NULL)
        return place->list->last;
    return b->d->last_message != NULL ? b->d->last_message->blocks.last : NULL;
}

void openai_body_mark(struct openai_body *b, const struct openai_place *place,
                      const struct dialog_block *before, json_ref object)
{
    struct dialog_block *last = openai_body_last(b, place);
    enum cache_mark mark = openai_body_cache(b, object);
    if (last != NULL && last != before && mark != CACHE_NONE)
        last->cache = mark;
}

/* ---- media ---- */

/* data:TYPE;base64,DATA */
static bool split_data_url(struct span url, struct span *ret_type, struct span *ret_data)
{
    static const struct span scheme = {"data:", 5}, coding = {";base64", 7};
    const char *comma = url.len > scheme.len && memcmp(url.ptr, scheme.ptr, scheme.len) == 0
                            ? memchr(url.ptr, ',', url.len)
                            : NULL;
    if (comma == NULL)
        return false;
    struct span head = {url.ptr + scheme.len, (size_t)(comma - url.ptr) - scheme.len};
    if (head.len <= coding.len ||
        memcmp(head.ptr + head.len - coding.len, coding.ptr, coding.len) != 0)
        return false;
    head.len -= coding.len;
    const char *parameters = memchr(head.ptr, ';', head.len);
    ret_type->ptr = head.ptr;
    ret_type->len = parameters != NULL ? (size_t)(parameters - head.ptr) : head.len;
    ret_data->ptr = comma + 1;
    ret_data->len = (size_t)(url.ptr + url.len - ret_data->ptr);
    return ret_type->len > 0;
}

static bool is_web_url(struct span url)
{
    return (url.len > 8 && memcmp(url.ptr, "https://", 8) == 0) ||
           (url.len > 7 && memcmp(url.ptr, "http://", 7) == 0);
}

/* {url, detail}, or the URL itself as some clients write it. */
static void read_image(struct openai_body *b, const struct openai_place *place, json_ref v)
{
    static const char accepts[] =
        "an https URL or a data URL in base64 (data:image/png;base64,...)";
    bool bare = json_kind(b->doc, v) == JSON_STRING;
    json_ref url = bare ? v : openai_body_get(b, v, "url", DOOR_KIND(STRING), accepts);
    struct span detail = bare ? SPAN("") : openai_body_text(b, v, "detail");
    struct span text = openai_body_value(b, url);
    struct dialog_block *block = openai_body_add(b, place, BLOCK_IMAGE);
    block->media.detail = detail;
    if (split_data_url(text, &block->media.type, &block->media.data)) {
        block->media.from = MEDIA_BASE64;
    } else if (is_web_url(text)) {
        block->media.from = MEDIA_URL;
        block->media.data = text;
    } else if (!b->d->failed) {
        openai_body_refuse(b, url != JSON_NONE ? url : v, accepts);
    }
}

/* The format's name is the media type's second half ("wav", "mp3"), as Gemini knows them too. */
static void read_audio(struct openai_body *b, const struct openai_place *place, json_ref v)
{
    struct span data = openai_body_text(b, v, "data"), format = openai_body_text(b, v, "format");
    if (data.len == 0 || format.len == 0)
        openai_body_missing(b, v, data.len == 0 ? "data" : "format",
                            "audio in base64 and its format");
    struct dialog_block *block = openai_body_add(b, place, BLOCK_AUDIO);
    buf_reset(&b->piece);
    buf_adds(&b->piece, "audio/");
    buf_add_span(&b->piece, format);
    block->media.from = MEDIA_BASE64;
    block->media.type = openai_body_keep(b);
    block->media.data = data;
}

static bool begins(struct span s, const char *with)
{
    return s.len >= strlen(with) && memcmp(s.ptr, with, strlen(with)) == 0;
}

/* file_data is a data URL; OpenRouter takes a web address there, and some clients write the bare
 * base64 of a PDF. */
static void read_file_data(struct dialog_block *block, struct span data)
{
    struct dialog_media *m = &block->media;
    m->from = MEDIA_BASE64;
    if (split_data_url(data, &m->type, &m->data)) {
        if (begins(m->type, "image/"))
            block->kind = BLOCK_IMAGE;
        return;
    }
    m->from = is_web_url(data) ? MEDIA_URL : MEDIA_BASE64;
    m->type = SPAN("application/pdf");
    m->data = data;
}

static void read_file(struct openai_body *b, const struct openai_place *place, json_ref v)
{
    struct span data = openai_body_text(b, v, "file_data"), id = openai_body_text(b, v, "file_id");
    struct span name = openai_body_text(b, v, "filename");
    if (data.len == 0 && id.len == 0) {
        openai_body_missing(b, v, "file_data", "a data URL in base64, or file_id");
        return;
    }
    struct dialog_block *block = openai_body_add(b, place, BLOCK_DOCUMENT);
    block->media.title = name;
    if (data.len > 0) {
        read_file_data(block, data);
    } else {
        block->media.from = MEDIA_FILE_ID;
        block->media.data = id;
    }
}

/* ---- parts ---- */

/* Empty text says nothing, and Anthropic refuses it. */
static void add_text(struct openai_body *b, const struct openai_place *place, enum dialog_kind kind,
                     struct span text)
{
    if (text.len > 0)
        openai_body_add(b, place, kind)->text = text;
}

static void read_text_part(struct openai_body *b, const struct openai_place *place, json_ref part)
{
    add_text(b, place, BLOCK_TEXT, openai_body_text(b, part, "text"));
}

static void read_refusal_part(struct openai_body *b, const struct openai_place *place,
                              json_ref part)
{
    add_text(b, place, BLOCK_REFUSAL, openai_body_text(b, part, "refusal"));
}

static json_ref object_of(struct openai_body *b, json_ref part, const char *name)
{
    json_ref v = openai_body_get(b, part, name, DOOR_KIND(OBJECT), "an object");
    if (v == JSON_NONE)
        openai_body_missing(b, part, name, "an object");
    return v;
}

static void read_image_part(struct openai_body *b, const struct openai_place *place, json_ref part)
{
    json_ref v = openai_body_get(b, part, "image_url", DOOR_KIND(OBJECT) | DOOR_KIND(STRING),
                                 "an object with url");
    if (v != JSON_NONE)
        read_image(b, place, v);
    else
        openai_body_missing(b, part, "image_url", "an object with url");
}

static void read_audio_part(struct openai_body *b, const struct openai_place *place, json_ref part)
{
    read_audio(b, place, object_of(b, part, "input_audio"));
}

static void read_file_part(struct openai_body *b, const struct openai_place *place, json_ref part)
{
    read_file(b, place, object_of(b, part, "file"));
}

/* Mistral's: {type: thinking, thinking: [{type: text, text}]}. */
static void read_thinking_part(struct openai_body *b, const struct openai_place *place,
                               json_ref part)
{
    json_ref v = openai_body_get(b, part, "thinking", DOOR_KIND(ARRAY) | DOOR_KIND(STRING),
                                 "an array of text parts");
    if (v != JSON_NONE && json_kind(b->doc, v) == JSON_STRING) {
        openai_body_unsigned(b, place, openai_body_value(b, v));
        return;
    }
    for (json_ref e = openai_body_first(b, v); e != JSON_NONE; e = json_next(b->doc, e))
        openai_body_unsigned(b, place, openai_body_text(b, e, "text"));
}

static const struct {
    const char *type;
    void (*read)(struct openai_body *b, const struct openai_place *place, json_ref part);
} parts[] = {
    {"text", read_text_part},       {"image_url", read_image_part},
    {"refusal", read_refusal_part}, {"input_audio", read_audio_part},
    {"file", read_file_part},       {"thinking", read_thinking_part},
};

/* A part that no other protocol has goes on as it is, for a server that knows it. */
static void read_part_of(struct openai_body *b, const struct openai_place *place, json_ref part,
                         json_ref type)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (json_text_is(b->doc, type, parts[i].type)) {
            parts[i].read(b, place, part);
            return;
        }
    }
    struct dialog_block *block = openai_body_add(b, place, BLOCK_RAW);
    block->json = json_raw(b->doc, part);
    block->raw_of = "openai";
}

static void read_part(struct openai_body *b, const struct openai_place *place, json_ref part)
{
    static const char accepts[] = "a content part, an object with type";
    if (json_kind(b->doc, part) == JSON_STRING) { /* as some clients write text */
        add_text(b, place, BLOCK_TEXT, openai_body_value(b, part));
        return;
    }
    if (json_kind(b->doc, part) != JSON_OBJECT) {
        openai_body_refuse(b, part, accepts);
        return;
    }
    json_ref type = openai_body_get(b, part, "type", DOOR_KIND(STRING), "a string");
    if (type == JSON_NONE) {
        openai_body_missing(b, part, "type", "the type of a content part");
        return;
    }
    const struct dialog_block *before = openai_body_last(b, place);
    read_part_of(b, place, part, type);
    openai_body_mark(b, place, before, part);
}

void openai_body_content(struct openai_body *b, const struct openai_place *place, json_ref content)
{
    if (content == JSON_NONE)
        return;
    if (json_kind(b->doc, content) == JSON_STRING) {
        add_text(b, place, BLOCK_TEXT, openai_body_value(b, content));
        return;
    }
    if (json_kind(b->doc, content) != JSON_ARRAY) {
        openai_body_refuse(b, content, "a string or an array of content parts");
        return;
    }
    for (json_ref p = openai_body_first(b, content); p != JSON_NONE; p = json_next(b->doc, p))
        read_part(b, place, p);
}
