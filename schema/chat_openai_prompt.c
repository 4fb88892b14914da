/* Measures the prompt of an OpenAI request: messages, tools, and the prefixes that a provider
 * may hold in its cache.  As for Anthropic's (chat_prompt.c), shapes are not judged.
 *
 * Content parts: platform.openai.com/docs/api-reference/chat/create#chat-create-messages.
 * reasoning, reasoning_content and reasoning_details are how DeepSeek, OpenRouter and others
 * take back what their models thought; cache_control in parts, messages and tools is how
 * OpenRouter and LiteLLM mark what Anthropic's models shall cache. */
#include "schema/chat_reader.h"
#include "schema/json_path.h"

/* ---- content parts ---- */

/* clang-format off */
#define PARTS(P) \
    P(type) P(text) P(refusal) P(image_url) P(input_audio) P(file) P(thinking) P(cache_control) \
    P(id) P(document_url) P(video_url) P(input_video) P(audio_url)
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

/* A data URL's payload is what the file holds; what is not base64 is counted as if it were. */
static int64_t data_url_size(const struct json_doc *d, json_ref url)
{
    if (url == JSON_NONE || json_kind(d, url) != JSON_STRING)
        return 0;
    struct span s = json_inner(d, url);
    const char *comma =
        s.len > 5 && memcmp(s.ptr, "data:", 5) == 0 ? memchr(s.ptr, ',', s.len) : NULL;
    return comma != NULL ? (int64_t)((size_t)(s.ptr + s.len - comma) / 4 * 3) : 0;
}

static bool begins(const struct json_doc *d, json_ref text, const char *with)
{
    return text != JSON_NONE && json_kind(d, text) == JSON_STRING &&
           json_inner(d, text).len >= strlen(with) &&
           memcmp(json_inner(d, text).ptr, with, strlen(with)) == 0;
}

/* The payload of a data URL is no text; any other URL is. */
static void count_url(struct chat_reader *r, json_ref url)
{
    if (url != JSON_NONE && json_kind(r->doc, url) == JSON_STRING)
        chat_count_payload(r, chat_data_url(json_inner(r->doc, url)).len);
}

/* Base64, as it is or in a data URL. */
static void count_data(struct chat_reader *r, json_ref data)
{
    if (data == JSON_NONE || json_kind(r->doc, data) != JSON_STRING)
        return;
    struct span s = json_inner(r->doc, data);
    if (s.len >= 5 && memcmp(s.ptr, "data:", 5) == 0)
        count_url(r, data);
    else
        chat_count_payload(r, s.len);
}

/* {url}, or the URL itself. */
static int read_url(struct chat_reader *r, json_ref v, json_ref *ret)
{
    *ret = v;
    if (json_is_object(r->doc, v) && json_get_once(r->doc, v, "url", ret, r->reterr) != 0)
        return -1;
    count_url(r, *ret);
    return 0;
}

static int read_image(struct chat_reader *r, json_ref image)
{
    json_ref url;
    r->chat->needs |= NEED_IMAGES;
    r->chat->n_images++;
    return read_url(r, image, &url);
}

/* What Mistral, Qwen, vLLM and OpenRouter read besides.  How large it is the provider alone knows.
 */
static int read_media(struct chat_reader *r, json_ref media)
{
    json_ref url;
    if (read_url(r, media, &url) != 0)
        return -1;
    r->chat->n_documents++;
    r->chat->document_bytes += data_url_size(r->doc, url);
    return 0;
}

static int read_file(struct chat_reader *r, json_ref file)
{
    struct chat *c = r->chat;
    json_ref data, id, name;
    if (json_get_once(r->doc, file, "file_data", &data, r->reterr) != 0 ||
        json_get_once(r->doc, file, "file_id", &id, r->reterr) != 0 ||
        json_get_once(r->doc, file, "filename", &name, r->reterr) != 0)
        return -1;
    int64_t size = data_url_size(r->doc, data);
    c->needs |= NEED_DOCUMENTS;
    c->n_documents++;
    c->document_bytes += size > 0 ? size : chat_decoded_size(r->doc, data);
    c->sounds |= begins(r->doc, data, "data:audio/") || begins(r->doc, data, "data:video/");
    count_data(r, data);
    chat_count_text(r, name);
    return id != JSON_NONE ? chat_pin(r, id, "file.file_id") : 0;
}

static int read_audio(struct chat_reader *r, json_ref audio)
{
    json_ref data, format;
    if (json_get_once(r->doc, audio, "data", &data, r->reterr) != 0 ||
        json_get_once(r->doc, audio, "format", &format, r->reterr) != 0)
        return -1;
    bool dense = json_text_is(r->doc, format, "wav") || json_text_is(r->doc, format, "mp3");
    int64_t size = chat_decoded_size(r->doc, data);
    size = dense ? size / CHAT_SOUND_DENSITY + 1 : size;
    r->chat->needs |= NEED_AUDIO;
    r->chat->sounds = true;
    r->chat->document_bytes += size;
    r->chat->audio_bytes += size;
    count_data(r, data);
    return 0;
}

static bool is_there(const struct chat_reader *r, json_ref v)
{
    return v != JSON_NONE && json_kind(r->doc, v) != JSON_NULL;
}

static int read_files(struct chat_reader *r, const json_ref at[PART_COUNT])
{
    static const enum part media[] = {PART_document_url, PART_video_url, PART_input_video,
                                      PART_audio_url};
    for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++) {
        if (!is_there(r, at[media[i]]))
            continue;
        r->chat->sounds |= media[i] != PART_document_url;
        if (read_media(r, at[media[i]]) != 0)
            return -1;
    }
    if (is_there(r, at[PART_image_url]) && read_image(r, at[PART_image_url]) != 0)
        return -1;
    if (is_there(r, at[PART_input_audio]) && read_audio(r, at[PART_input_audio]) != 0)
        return -1;
    return is_there(r, at[PART_file]) ? read_file(r, at[PART_file]) : 0;
}

static int read_part(struct chat_reader *r, json_ref v)
{
    json_ref at[PART_COUNT];
    if (json_kind(r->doc, v) != JSON_OBJECT) {
        chat_count_text(r, v);
        return 0;
    }
    if (chat_split_object(r, v, part_names, PART_COUNT, at) != 0 ||
        chat_mark_cache(r, at[PART_cache_control]) != 0)
        return -1;
    r->chat->parts.n_blocks++;
    chat_count_text(r, at[PART_text]);
    chat_count_text(r, at[PART_refusal]);
    chat_count_text(r, at[PART_thinking]); /* Mistral's: a list of parts, counted as written */
    return read_files(r, at);
}

/* ---- tool calls ---- */

/* {name, arguments}, or a custom tool's {name, input}. */
static int read_call_of(struct chat_reader *r, json_ref v)
{
    static const char *const names[] = {"name", "arguments", "input"};
    json_ref at[3];
    if (v == JSON_NONE)
        return 0;
    if (chat_split_object(r, v, names, 3, at) != 0)
        return -1;
    for (int i = 0; i < 3; i++)
        chat_count_text(r, at[i]);
    chat_count_call(r, at[1]);
    return 0;
}

static int read_tool_call(struct chat_reader *r, json_ref call)
{
    enum { FUNCTION, CUSTOM, CACHE_CONTROL, ID, N = 6 };
    static const char *const names[N] = {"function", "custom", "cache_control",
                                         "id",       "type",   "index"};
    json_ref at[N];
    if (chat_split_object(r, call, names, N, at) != 0 || read_call_of(r, at[FUNCTION]) != 0 ||
        read_call_of(r, at[CUSTOM]) != 0)
        return -1;
    chat_note_call_id(r, at[ID]);
    chat_digest_block(r, call);
    return chat_mark_cache(r, at[CACHE_CONTROL]);
}

/* ---- what the model thought ---- */

static int read_detail(struct chat_reader *r, json_ref detail)
{
    static const char *const names[] = {"text",   "summary", "data", "signature",
                                        "format", "type",    "id",   "index"};
    enum { TEXT, SUMMARY, DATA, SIGNATURE, N = 8 };
    json_ref at[N];
    if (chat_split_object(r, detail, names, N, at) != 0)
        return -1;
    chat_count_text(r, at[TEXT]);
    chat_count_text(r, at[SUMMARY]);
    chat_count_text(r, at[DATA]);
    chat_note_signature(r, at[DATA]);
    chat_note_signature(r, at[SIGNATURE]);
    return 0;
}

static int read_details(struct chat_reader *r, json_ref details)
{
    if (details == JSON_NONE || json_kind(r->doc, details) != JSON_ARRAY)
        return 0;
    for (json_ref e = json_first(r->doc, details); e != JSON_NONE; e = json_next(r->doc, e)) {
        if (read_detail(r, e) != 0)
            return -1;
    }
    return 0;
}

/* The same thinking stands there under up to three names: what counts is the longest. */
static int read_reasoning(struct chat_reader *r, json_ref content, json_ref reasoning,
                          json_ref details)
{
    struct chat *c = r->chat;
    int64_t bytes = c->prompt_bytes, chars = c->prompt_chars;
    int64_t most_bytes = bytes, most_chars = chars;
    for (int i = 0; i < 3; i++) {
        c->prompt_bytes = bytes;
        c->prompt_chars = chars;
        if (i == 0 && read_details(r, details) != 0)
            return -1;
        if (i > 0)
            chat_count_text(r, i == 1 ? content : reasoning);
        most_chars = c->prompt_bytes > most_bytes ? c->prompt_chars : most_chars;
        most_bytes = c->prompt_bytes > most_bytes ? c->prompt_bytes : most_bytes;
    }
    c->prompt_bytes = most_bytes;
    c->prompt_chars = most_chars;
    return 0;
}

/* ---- messages ---- */

/* clang-format off */
#define MESSAGE(P) \
    P(role) P(content) P(name) P(tool_calls) P(tool_call_id) P(function_call) P(refusal) \
    P(reasoning) P(reasoning_content) P(reasoning_details) P(cache_control) P(audio) \
    P(annotations)
/* clang-format on */

enum message_member {
#define P(name) IN_##name,
    MESSAGE(P)
#undef P
        IN_COUNT
};

static const char *const message_names[IN_COUNT] = {
#define P(name) #name,
    MESSAGE(P)
#undef P
};

static void digest_member(struct chat_reader *r, json_ref v)
{
    if (!is_there(r, v))
        return;
    struct span all = {r->doc->text.ptr + json_at(r->doc, v)->key_begin,
                       json_at(r->doc, v)->end - json_at(r->doc, v)->key_begin};
    digest_add(&r->digest, all);
}

static int read_content(struct chat_reader *r, json_ref content)
{
    if (json_kind(r->doc, content) != JSON_ARRAY) {
        if (read_part(r, content) != 0)
            return -1;
        chat_digest_block(r, content);
        chat_end_block(r);
        return 0;
    }
    for (json_ref e = json_first(r->doc, content); e != JSON_NONE; e = json_next(r->doc, e)) {
        if (read_part(r, e) != 0)
            return -1;
        chat_digest_block(r, e);
        chat_end_block(r);
    }
    return 0;
}

static int read_tool_calls(struct chat_reader *r, json_ref calls)
{
    if (!is_there(r, calls))
        return 0;
    if (json_kind(r->doc, calls) != JSON_ARRAY)
        return json_refuse(r->doc, calls, "an array of tool calls", r->reterr);
    for (json_ref e = json_first(r->doc, calls); e != JSON_NONE; e = json_next(r->doc, e)) {
        if (read_tool_call(r, e) != 0)
            return -1;
    }
    return 0;
}

/* What stands in a message beside its content; a prefix ends behind it. */
static int read_rest(struct chat_reader *r, const json_ref at[IN_COUNT])
{
    static const enum message_member digested[] = {IN_function_call, IN_refusal, IN_reasoning,
                                                   IN_reasoning_content, IN_reasoning_details};
    uint64_t before = r->digest.total;
    chat_count_text(r, at[IN_refusal]);
    if (read_tool_calls(r, at[IN_tool_calls]) != 0 ||
        read_reasoning(r, at[IN_reasoning_content], at[IN_reasoning], at[IN_reasoning_details]) !=
            0 ||
        (is_there(r, at[IN_function_call]) && read_call_of(r, at[IN_function_call]) != 0) ||
        chat_mark_cache(r, at[IN_cache_control]) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(digested) / sizeof(digested[0]); i++)
        digest_member(r, at[digested[i]]);
    if (r->digest.total != before || r->marked || !is_there(r, at[IN_content]))
        chat_end_block(r);
    return 0;
}

static int read_message(struct chat_reader *r, json_ref message)
{
    json_ref at[IN_COUNT];
    if (json_kind(r->doc, message) != JSON_OBJECT)
        return json_refuse(r->doc, message, "an object with role and content", r->reterr);
    if (chat_split_object(r, message, message_names, IN_COUNT, at) != 0)
        return -1;
    r->chat->parts.n_messages++;
    if (is_there(r, at[IN_tool_call_id]) || json_text_is(r->doc, at[IN_role], "function"))
        chat_count_call(r, JSON_NONE);
    if (is_there(r, at[IN_audio]))
        r->chat->parts.n_sounds++;
    digest_add(&r->digest, SPAN("message"));
    digest_member(r, at[IN_role]);
    digest_member(r, at[IN_name]);
    digest_member(r, at[IN_tool_call_id]);
    chat_note_call_id(r, at[IN_tool_call_id]);
    chat_count_text(r, at[IN_name]);
    r->chat->sounds |= is_there(r, at[IN_audio]);
    if (is_there(r, at[IN_content]) && read_content(r, at[IN_content]) != 0)
        return -1;
    return read_rest(r, at);
}

/* ---- the whole ---- */

static int read_tool(struct chat_reader *r, json_ref tool)
{
    json_ref function, outer, inner;
    if (chat_read_openai_tool(r, tool) != 0 ||
        json_get_once(r->doc, tool, "cache_control", &outer, r->reterr) != 0 ||
        json_get_once(r->doc, tool, "function", &function, r->reterr) != 0 ||
        json_get_once(r->doc, function, "cache_control", &inner, r->reterr) != 0)
        return -1;
    chat_count_raw(r, tool);
    chat_count_values(r, tool);
    chat_digest_block(r, tool);
    if (chat_mark_cache(r, outer) != 0 || chat_mark_cache(r, inner) != 0)
        return -1;
    chat_end_block(r);
    return 0;
}

static int read_tools(struct chat_reader *r, json_ref tools)
{
    if (tools == JSON_NONE)
        return 0;
    for (json_ref t = json_first(r->doc, tools); t != JSON_NONE; t = json_next(r->doc, t)) {
        if (read_tool(r, t) != 0)
            return -1;
    }
    return 0;
}

static void read_functions(struct chat_reader *r, json_ref functions)
{
    if (functions == JSON_NONE)
        return;
    for (json_ref f = json_first(r->doc, functions); f != JSON_NONE; f = json_next(r->doc, f)) {
        r->chat->needs |= NEED_TOOLS;
        r->chat->parts.n_tools++;
        chat_count_values(r, f);
        chat_count_raw(r, f);
        chat_digest_block(r, f);
        chat_end_block(r);
    }
}

static bool is_instruction(const struct chat_reader *r, json_ref message)
{
    json_ref role = json_get(r->doc, message, "role");
    return json_text_is(r->doc, role, "system") || json_text_is(r->doc, role, "developer");
}

int chat_read_openai_prompt(struct chat_reader *r, json_ref tools, json_ref functions,
                            json_ref messages, json_ref cache_control)
{
    digest_add(&r->digest, SPAN("tools"));
    if (read_tools(r, tools) != 0)
        return -1;
    read_functions(r, functions);
    struct chat_prefix instructions = chat_last_end(r);
    bool leading = true;
    for (json_ref m = json_first(r->doc, messages); m != JSON_NONE; m = json_next(r->doc, m)) {
        leading = leading && is_instruction(r, m);
        if (read_message(r, m) != 0)
            return -1;
        if (leading)
            instructions = chat_last_end(r);
        else
            chat_end_message(r, m);
    }
    if (chat_mark_cache(r, cache_control) != 0)
        return -1;
    if (r->marked)
        chat_end_block(r);
    chat_add_implicit_prefixes(r, &instructions);
    return 0;
}
