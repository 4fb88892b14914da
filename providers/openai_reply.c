/* What a chunk, or a whole body, of the chat completions protocol means (schema/reply.h).
 * platform.openai.com/docs/api-reference/chat/streaming; the other servers' names for the same
 * things stand beside them. */
#include <stdlib.h>

#include "providers/openai.h"
#include "providers/openai_pieces.h"

struct openai_reply {
    const struct openai_dialect *dialect;
    const struct dialog *request; /* may be NULL */
    struct pieces pieces;
    struct buf scratch;
    bool started;
    bool over; /* END or ERROR was given out */
    bool plain_thinking;
    enum reply_stop stop;
    struct buf stop_sequence;
};

struct openai_reply *openai_reply_open(const struct openai_dialect *d,
                                       const struct provider_reading *reading)
{
    struct openai_reply *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->dialect = d;
    r->stop = STOPPED_END;
    r->request = reading->dialog;
    pieces_init(&r->pieces, reading->sink);
    buf_init(&r->scratch, PROVIDER_BODY_MAX);
    buf_init(&r->stop_sequence, PIECES_NAME_MAX);
    return r;
}

void openai_reply_close(struct openai_reply *r)
{
    if (r == NULL)
        return;
    pieces_done(&r->pieces);
    buf_done(&r->scratch);
    buf_done(&r->stop_sequence);
    free(r);
}

static void emit(struct openai_reply *r, const struct reply *event)
{
    r->pieces.sink->on_reply(r->pieces.sink->ctx, event);
}

/* ---- values ---- */

static bool is(const struct json_doc *doc, json_ref v, enum json_kind kind)
{
    return v != JSON_NONE && json_kind(doc, v) == kind;
}

static json_ref get_kind(const struct json_doc *doc, json_ref object, const char *name,
                         enum json_kind kind)
{
    json_ref v = json_get(doc, object, name);
    return is(doc, v, kind) ? v : JSON_NONE;
}

/* Half a surrogate pair, which some servers cut, becomes U+FFFD. */
static void add_lossy(struct buf *out, struct span written)
{
    char store[4];
    struct span part;
    while (written.len > 0) {
        struct span rest = written;
        if (json_stretch(&rest, store, &part)) {
            buf_add_span(out, part);
            written = rest;
        } else {
            buf_adds(out, "\xef\xbf\xbd");
            written = (struct span){written.ptr + 6, written.len - 6};
        }
    }
}

/* A string's value; empty for anything else.  Lives until the next call. */
static struct span text_of(struct openai_reply *r, const struct json_doc *doc, json_ref v)
{
    if (!is(doc, v, JSON_STRING))
        return (struct span){"", 0};
    if (!json_at(doc, v)->escaped)
        return json_inner(doc, v);
    buf_reset(&r->scratch);
    if (!json_text(doc, v, &r->scratch)) {
        buf_reset(&r->scratch);
        add_lossy(&r->scratch, json_inner(doc, v));
    }
    r->pieces.failed |= r->scratch.failed;
    return buf_span(&r->scratch);
}

/* A string into a buffer of its own. */
static struct span copy_text(struct openai_reply *r, const struct json_doc *doc, json_ref v,
                             struct buf *store)
{
    size_t at = store->len;
    struct span text = text_of(r, doc, v);
    if (text.len == 0 || !buf_add_span(store, text))
        return (struct span){"", 0};
    return (struct span){store->ptr + at, text.len};
}

/* ---- the beginning ---- */

static struct span raw_of(const struct json_doc *doc, json_ref v)
{
    return v != JSON_NONE ? json_raw(doc, v) : (struct span){"", 0};
}

static void start(struct openai_reply *r, const struct json_doc *doc)
{
    if (r->started)
        return;
    r->started = true;
    json_ref id = json_get(doc, 0, "id"), model = json_get(doc, 0, "model");
    json_ref created = json_get(doc, 0, "created");
    uint64_t seed = fnv_add(FNV_SEED, raw_of(doc, id));
    seed = fnv_add(seed, raw_of(doc, model));
    r->pieces.seed = fnv_add(seed, raw_of(doc, created));
    struct buf id_text;
    struct reply event = {.kind = REPLY_START};
    buf_init(&id_text, PIECES_NAME_MAX);
    event.id = copy_text(r, doc, id, &id_text);
    event.model = text_of(r, doc, model);
    if (!json_int64(doc, created, &event.created_s) || event.created_s < 0)
        event.created_s = 0;
    emit(r, &event);
    buf_done(&id_text);
}

/* ---- thinking ---- */

/* An entry of reasoning_details without its text, and without what says nothing.  Of encrypted ones
 * that is all there is. */
static void skeleton(const struct json_doc *doc, json_ref entry, struct buf *out)
{
    struct json_out json = {.buf = out};
    json_open_object(&json, NULL);
    for (json_ref m = json_first(doc, entry); m != JSON_NONE; m = json_next(doc, m)) {
        static const char *const kept[] = {"type", "id", "format", "index", "signature", "data"};
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
            if (json_key_is(doc, m, kept[i]) && json_kind(doc, m) != JSON_NULL)
                json_put_raw(&json, kept[i], json_raw(doc, m));
        }
    }
    json_close_object(&json);
}

static void take_redacted(struct openai_reply *r, const struct json_doc *doc, json_ref entry)
{
    struct buf sign;
    buf_init(&sign, PIECES_WAITING_MAX);
    buf_adds(&sign, OPENAI_SIGNATURE);
    skeleton(doc, entry, &sign);
    struct reply open = {.block = REPLY_REDACTED, .signature = buf_span(&sign)};
    r->pieces.failed |= sign.failed;
    pieces_whole(&r->pieces, &open);
    buf_done(&sign);
}

/* Which entry a piece of text belongs to: its index and type. */
static int64_t detail_key(const struct json_doc *doc, json_ref entry, bool summary)
{
    int64_t index = 0;
    json_int64(doc, json_get(doc, entry, "index"), &index);
    return (index & 0xffffff) * 2 + summary;
}

static void take_detail(struct openai_reply *r, const struct json_doc *doc, json_ref entry)
{
    json_ref type = json_get(doc, entry, "type");
    bool summary = type != JSON_NONE && json_text_is(doc, type, "reasoning.summary");
    if (type != JSON_NONE && json_text_is(doc, type, "reasoning.encrypted")) {
        take_redacted(r, doc, entry);
        return;
    }
    if (r->plain_thinking)
        return; /* its text has been given out */
    struct buf sign;
    buf_init(&sign, PIECES_WAITING_MAX);
    skeleton(doc, entry, &sign);
    bool final = get_kind(doc, entry, "signature", JSON_STRING) != JSON_NONE;
    struct span text = text_of(r, doc, json_get(doc, entry, summary ? "summary" : "text"));
    pieces_thinking(&r->pieces, text, detail_key(doc, entry, summary), buf_span(&sign), final);
    buf_done(&sign);
}

static bool take_details(struct openai_reply *r, const struct json_doc *doc, json_ref said)
{
    json_ref list = get_kind(doc, said, "reasoning_details", JSON_ARRAY);
    bool text = false;
    if (list == JSON_NONE)
        return false;
    for (json_ref e = json_first(doc, list); e != JSON_NONE; e = json_next(doc, e)) {
        if (json_kind(doc, e) != JSON_OBJECT)
            continue;
        text |= get_kind(doc, e, "text", JSON_STRING) != JSON_NONE ||
                get_kind(doc, e, "summary", JSON_STRING) != JSON_NONE;
        take_detail(r, doc, e);
    }
    return text;
}

/* The same thinking may be there under several names. */
static void take_thinking(struct openai_reply *r, const struct json_doc *doc, json_ref said)
{
    if (take_details(r, doc, said))
        return;
    struct span text = text_of(r, doc, json_get(doc, said, "reasoning_content"));
    if (text.len == 0)
        text = text_of(r, doc, json_get(doc, said, "reasoning"));
    r->plain_thinking |= text.len > 0;
    pieces_text(&r->pieces, REPLY_THINKING, text);
}

/* ---- content ---- */

static void take_texts(struct openai_reply *r, const struct json_doc *doc, json_ref list,
                       enum reply_block block)
{
    for (json_ref p = json_first(doc, list); p != JSON_NONE; p = json_next(doc, p))
        pieces_text(&r->pieces, block, text_of(r, doc, json_get(doc, p, "text")));
}

/* A part of a list: text, or Mistral's thinking, whose text is a list again. */
static void take_part(struct openai_reply *r, const struct json_doc *doc, json_ref part)
{
    json_ref thinking = json_get(doc, part, "thinking");
    if (is(doc, thinking, JSON_ARRAY))
        take_texts(r, doc, thinking, REPLY_THINKING);
    else if (is(doc, thinking, JSON_STRING))
        pieces_text(&r->pieces, REPLY_THINKING, text_of(r, doc, thinking));
    pieces_text(&r->pieces, REPLY_TEXT, text_of(r, doc, json_get(doc, part, "text")));
    pieces_text(&r->pieces, REPLY_REFUSAL, text_of(r, doc, json_get(doc, part, "refusal")));
}

static void take_content(struct openai_reply *r, const struct json_doc *doc, json_ref content)
{
    if (!is(doc, content, JSON_ARRAY)) {
        pieces_text(&r->pieces, REPLY_TEXT, text_of(r, doc, content));
        return;
    }
    for (json_ref p = json_first(doc, content); p != JSON_NONE; p = json_next(doc, p)) {
        if (json_kind(doc, p) == JSON_OBJECT)
            take_part(r, doc, p);
    }
}

static void cite(struct openai_reply *r, const struct json_doc *doc, json_ref object,
                 struct span json)
{
    struct buf url, title;
    buf_init(&url, PROVIDER_EVENT_MAX);
    buf_init(&title, PROVIDER_EVENT_MAX);
    struct reply_citation c = {.json = json, .json_of = "openai"};
    c.url = copy_text(r, doc, json_get(doc, object, "url"), &url);
    c.title = copy_text(r, doc, json_get(doc, object, "title"), &title);
    c.quoted = text_of(r, doc, json_get(doc, object, "content"));
    if (c.url.len > 0)
        pieces_cite(&r->pieces, &c);
    buf_done(&url);
    buf_done(&title);
}

static void take_annotations(struct openai_reply *r, const struct json_doc *doc, json_ref list)
{
    if (!is(doc, list, JSON_ARRAY))
        return;
    for (json_ref a = json_first(doc, list); a != JSON_NONE; a = json_next(doc, a)) {
        json_ref object = get_kind(doc, a, "url_citation", JSON_OBJECT);
        if (object != JSON_NONE)
            cite(r, doc, object, json_raw(doc, a));
    }
}

/* Perplexity's, which stand beside the choices of every chunk: once, with the end. */
static void take_search_results(struct openai_reply *r, const struct json_doc *doc)
{
    json_ref list = get_kind(doc, 0, "search_results", JSON_ARRAY);
    for (json_ref e = list != JSON_NONE ? json_first(doc, list) : JSON_NONE; e != JSON_NONE;
         e = json_next(doc, e))
        cite(r, doc, e, (struct span){"", 0});
    json_ref urls = get_kind(doc, 0, "citations", JSON_ARRAY);
    if (list != JSON_NONE || urls == JSON_NONE)
        return;
    for (json_ref e = json_first(doc, urls); e != JSON_NONE; e = json_next(doc, e)) {
        struct reply_citation c = {.url = text_of(r, doc, e)};
        if (c.url.len > 0)
            pieces_cite(&r->pieces, &c);
    }
}

/* "data:image/png;base64,...", or an address. */
static void take_image(struct openai_reply *r, struct span url)
{
    static const char mark[] = ";base64,";
    const size_t n = sizeof(mark) - 1;
    struct reply open = {.block = REPLY_IMAGE, .media = {.from = MEDIA_URL, .data = url}};
    if (url.len > 5 && memcmp(url.ptr, "data:", 5) == 0) {
        size_t at = 5;
        while (at + n < url.len && memcmp(url.ptr + at, mark, n) != 0)
            at++;
        if (at + n >= url.len)
            return;
        open.media.from = MEDIA_BASE64;
        open.media.type = (struct span){url.ptr + 5, at - 5};
        open.media.data = (struct span){url.ptr + at + n, url.len - at - n};
    }
    if (url.len > 0)
        pieces_whole(&r->pieces, &open);
}

/* OpenRouter's generated images. */
static void take_images(struct openai_reply *r, const struct json_doc *doc, json_ref list)
{
    if (!is(doc, list, JSON_ARRAY))
        return;
    for (json_ref i = json_first(doc, list); i != JSON_NONE; i = json_next(doc, i))
        take_image(r, text_of(r, doc, json_get(doc, json_get(doc, i, "image_url"), "url")));
}

/* ---- calls ---- */

static bool has_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != ' ' && s.ptr[i] != '\n')
            return true;
    }
    return false;
}

/* Gemini's, which only it can read: in the form of its own protocol. */
static void take_google_signature(struct openai_reply *r, const struct json_doc *doc, json_ref at,
                                  struct piece *call)
{
    json_ref google = json_get(doc, json_get(doc, at, "extra_content"), "google");
    struct span signature = text_of(r, doc, json_get(doc, google, "thought_signature"));
    struct buf text;
    if (signature.len == 0)
        return;
    buf_init(&text, PIECES_WAITING_MAX);
    buf_adds(&text, THINKING_FOREIGN "gemini:");
    buf_add_span(&text, signature);
    pieces_call_sign(&r->pieces, call, buf_span(&text));
    buf_done(&text);
}

/* at: an entry of tool_calls, or NONE; function: its function, or the legacy function_call. */
static void take_call(struct openai_reply *r, const struct json_doc *doc, json_ref at,
                      json_ref function, json_ref said)
{
    struct buf id, name;
    buf_init(&id, PIECES_NAME_MAX);
    buf_init(&name, PIECES_NAME_MAX);
    struct piece_key key = {.index = 0};
    key.id = copy_text(r, doc, json_get(doc, at, "id"), &id);
    key.name =
        openai_find_name(r->request, copy_text(r, doc, json_get(doc, function, "name"), &name));
    key.has_index = json_int64(doc, json_get(doc, at, "index"), &key.index);
    json_ref arguments = json_get(doc, function, "arguments");
    struct span json =
        is(doc, arguments, JSON_OBJECT) ? json_raw(doc, arguments) : text_of(r, doc, arguments);
    key.has_arguments = has_text(json);
    r->pieces.failed |= id.failed || name.failed;
    struct piece *call = pieces_call(&r->pieces, &key);
    if (call != NULL) {
        pieces_arguments(&r->pieces, call, json);
        take_google_signature(r, doc, at, call);
        take_google_signature(r, doc, said, call);
    }
    buf_done(&id);
    buf_done(&name);
}

static void take_calls(struct openai_reply *r, const struct json_doc *doc, json_ref said)
{
    json_ref list = get_kind(doc, said, "tool_calls", JSON_ARRAY);
    for (json_ref c = list != JSON_NONE ? json_first(doc, list) : JSON_NONE; c != JSON_NONE;
         c = json_next(doc, c)) {
        json_ref function = get_kind(doc, c, "function", JSON_OBJECT);
        if (function != JSON_NONE)
            take_call(r, doc, c, function, said);
    }
    json_ref legacy = get_kind(doc, said, "function_call", JSON_OBJECT);
    if (legacy != JSON_NONE)
        take_call(r, doc, JSON_NONE, legacy, said);
}

/* said: a delta or a message.  The order is that in which models produce these. */
static void take_said(struct openai_reply *r, const struct json_doc *doc, json_ref said)
{
    take_thinking(r, doc, said);
    take_content(r, doc, json_get(doc, said, "content"));
    pieces_text(&r->pieces, REPLY_REFUSAL, text_of(r, doc, json_get(doc, said, "refusal")));
    json_ref audio = get_kind(doc, said, "audio", JSON_OBJECT);
    pieces_text(&r->pieces, REPLY_TEXT, text_of(r, doc, json_get(doc, audio, "transcript")));
    take_annotations(r, doc, json_get(doc, said, "annotations"));
    take_images(r, doc, json_get(doc, said, "images"));
    take_calls(r, doc, said);
}

/* ---- the end ---- */

/* Why a model stopped, in the words of all dialects; a word that is not here is an end. */
static const struct {
    const char *word;
    enum reply_stop stop;
} reasons[] = {
    {"stop", STOPPED_END},
    {"length", STOPPED_LENGTH},
    {"max_tokens", STOPPED_LENGTH},
    {"model_length", STOPPED_LENGTH}, /* Mistral */
    {"tool_calls", STOPPED_TOOL},
    {"tool_call", STOPPED_TOOL}, /* Mistral's and DeepSeek's models on Azure */
    {"function_call", STOPPED_TOOL},
    {"tool_use", STOPPED_TOOL},
    {"content_filter", STOPPED_REFUSAL},
    {"refusal", STOPPED_REFUSAL},
    {"sensitive", STOPPED_REFUSAL}, /* z.ai */
    {"stop_sequence", STOPPED_SEQUENCE},
    {"model_context_window_exceeded", STOPPED_CONTEXT}, /* z.ai */
};

bool openai_is_failure(struct span finish_reason)
{
    /* OpenRouter, Mistral; DeepSeek; z.ai; vLLM */
    static const char *const words[] = {"error", "insufficient_system_resource", "network_error",
                                        "abort"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_is(finish_reason, words[i]))
            return true;
    }
    return false;
}

static void take_reason(struct openai_reply *r, const struct json_doc *doc, json_ref choice)
{
    json_ref reason = get_kind(doc, choice, "finish_reason", JSON_STRING);
    if (reason == JSON_NONE)
        return;
    r->stop = STOPPED_END;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (json_text_is(doc, reason, reasons[i].word))
            r->stop = reasons[i].stop;
    }
    /* vLLM says which sequence it met; the number of a token there is no such thing. */
    json_ref sequence = get_kind(doc, choice, "stop_reason", JSON_STRING);
    if (r->stop == STOPPED_END && sequence != JSON_NONE) {
        r->stop = STOPPED_SEQUENCE;
        buf_reset(&r->stop_sequence);
        buf_add_span(&r->stop_sequence, text_of(r, doc, sequence));
    }
}

/* Some servers end with "stop" although the model calls tools, and some say "tool_calls" where
 * there is none. */
static enum reply_stop final_stop(const struct openai_reply *r)
{
    bool called = r->pieces.n_calls > 0;
    if (r->stop == STOPPED_END && called)
        return STOPPED_TOOL;
    if (r->stop == STOPPED_TOOL && !called)
        return STOPPED_END;
    if (r->stop == STOPPED_END && r->pieces.refused)
        return STOPPED_REFUSAL;
    return r->stop;
}

static void report_usage(struct openai_reply *r, const struct openai_figures *figures)
{
    struct reply event = {.kind = REPLY_USAGE,
                          .reasoning_tok = openai_reasoning_tok(figures, r->dialect)};
    openai_figures_to_usage(figures, r->dialect, true, &event.usage);
    emit(r, &event);
}

static bool take_error(struct openai_reply *r, const struct json_doc *doc)
{
    struct buf store;
    struct reply event = {.kind = REPLY_ERROR};
    buf_init(&store, PROVIDER_EVENT_MAX);
    bool found = openai_find_error(doc, &store, &event.error);
    if (found) {
        r->over = true;
        emit(r, &event);
    }
    buf_done(&store);
    return found;
}

/* The choice that is answered: the first; others exist only where more were asked for. */
static json_ref first_choice(const struct json_doc *doc)
{
    json_ref list = get_kind(doc, 0, "choices", JSON_ARRAY);
    json_ref choice = list != JSON_NONE ? json_first(doc, list) : JSON_NONE;
    int64_t index = 0;
    if (!is(doc, choice, JSON_OBJECT))
        return JSON_NONE;
    json_int64(doc, json_get(doc, choice, "index"), &index);
    return index == 0 ? choice : JSON_NONE;
}

bool openai_reply_chunk(struct openai_reply *r, const struct json_doc *doc, bool whole,
                        const struct openai_figures *figures)
{
    json_ref choice = first_choice(doc);
    if (r->over)
        return !r->pieces.failed;
    if (choice != JSON_NONE || figures != NULL)
        start(r, doc);
    json_ref delta = get_kind(doc, choice, "delta", JSON_OBJECT);
    json_ref message = get_kind(doc, choice, "message", JSON_OBJECT);
    /* Perplexity gives both: the news and the whole. */
    bool use_message = message != JSON_NONE && (whole || delta == JSON_NONE);
    json_ref said = use_message ? message : delta;
    if (said != JSON_NONE)
        take_said(r, doc, said);
    take_reason(r, doc, choice);
    if (get_kind(doc, choice, "finish_reason", JSON_STRING) != JSON_NONE)
        take_search_results(r, doc);
    if (r->pieces.failed)
        return false;
    if (figures != NULL)
        report_usage(r, figures);
    take_error(r, doc);
    return true;
}

bool openai_reply_end(struct openai_reply *r)
{
    if (r->over || r->pieces.failed)
        return !r->pieces.failed;
    if (!r->started)
        emit(r, &(struct reply){.kind = REPLY_START});
    pieces_end(&r->pieces);
    if (r->pieces.failed)
        return false;
    emit(r, &(struct reply){.kind = REPLY_STOP,
                            .stop = final_stop(r),
                            .stop_sequence = buf_span(&r->stop_sequence)});
    emit(r, &(struct reply){.kind = REPLY_END});
    r->over = true;
    return true;
}

void openai_reply_fail(struct openai_reply *r, struct span message)
{
    if (!r->over)
        emit(r, &(struct reply){.kind = REPLY_ERROR, .error = {.message = message}});
    r->over = true;
}
