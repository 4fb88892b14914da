/* Reads GenerateContentResponse objects: gemini.h.  ai.google.dev/api/generate-content. */
#include <inttypes.h>

#include "providers/gemini.h"
#include "schema/fnv.h"
#include "schema/when.h"

enum { READER_ID_MAX = 64 };

void gemini_reader_init(struct gemini_reader *r, const char *protocol,
                        const struct provider_reading *reading)
{
    memset(r, 0, sizeof(*r));
    r->protocol = protocol;
    r->request = reading->dialog;
    r->teller.sink = reading->sink;
    r->generation = gemini_generation(reading->target->upstream_model);
    buf_init(&r->text, PROVIDER_EVENT_MAX);
    buf_init(&r->id, READER_ID_MAX);
    buf_init(&r->signature, PROVIDER_EVENT_MAX);
}

void gemini_reader_done(struct gemini_reader *r)
{
    buf_done(&r->text);
    buf_done(&r->id);
    buf_done(&r->signature);
}

static void tell_figures(struct gemini_reader *r)
{
    struct usage usage;
    bool thoughts = r->figures.seen >> GEMINI_thoughts & 1u;
    gemini_figures_to_usage(&r->figures, r->content_bytes > 0, &usage);
    if (usage.seen != 0)
        tell_usage(&r->teller, &usage, thoughts ? r->figures.n[GEMINI_thoughts] : -1);
}

/* Before anything else begins, arguments in pieces are brought to their end. */
static void end_call(struct gemini_reader *r)
{
    if (!r->call_open)
        return;
    struct buf rest; /* r->text may hold what comes next */
    buf_init(&rest, 2 * GEMINI_DEPTH_MAX);
    gemini_args_end(&r->args, &rest);
    tell_arguments(&r->teller, buf_span(&rest));
    tell_close(&r->teller);
    buf_done(&rest);
    r->call_open = false;
}

static void tell_whole(struct gemini_reader *r, const struct reply *block)
{
    end_call(r);
    tell_block(&r->teller, block);
    tell_close(&r->teller);
}

static void tell_raw(struct gemini_reader *r, struct span json)
{
    tell_whole(
        r, &(struct reply){.block = REPLY_RAW, .json = json, .citation = {.json_of = r->protocol}});
}

static struct span string_of(struct buf *store, const struct json_doc *doc, json_ref string)
{
    buf_reset(store);
    json_text(doc, string, store);
    return buf_span(store);
}

/* As it stands in the JSON; of strings that need no escapes (ids, base64, enum words). */
static struct span plain(const struct json_doc *doc, json_ref string)
{
    if (string == JSON_NONE || json_kind(doc, string) != JSON_STRING ||
        json_at(doc, string)->escaped)
        return (struct span){"", 0};
    return json_inner(doc, string);
}

static json_ref first_of(const struct json_doc *doc, json_ref array)
{
    return array != JSON_NONE && json_kind(doc, array) == JSON_ARRAY ? json_first(doc, array)
                                                                     : JSON_NONE;
}

static void fail_with(struct gemini_reader *r, const struct reply_error *error)
{
    r->error = true;
    tell_error(&r->teller, error);
}

/* ---- parts ---- */

/* Base64 is carried in the form of toolsig.h and of thinking's signatures. */
static struct span read_signature(struct gemini_reader *r, const struct json_doc *doc,
                                  json_ref part)
{
    struct span own = plain(doc, json_get(doc, part, "thoughtSignature"));
    buf_reset(&r->signature);
    if (own.len == 0)
        return own;
    buf_adds(&r->signature, THINKING_FOREIGN);
    buf_adds(&r->signature, r->protocol);
    buf_addc(&r->signature, ':');
    buf_add_span(&r->signature, own);
    return r->signature.failed ? (struct span){"", 0} : buf_span(&r->signature);
}

static bool is_thought(const struct json_doc *doc, json_ref part)
{
    bool thought = false;
    json_truth(doc, json_get(doc, part, "thought"), &thought);
    return thought;
}

/* A signature on the model's text is given up: it is not checked when it comes back, and a block
 * for it behind the text would be taken for the answer's end by clients that read the last block.
 */
static void read_text(struct gemini_reader *r, const struct json_doc *doc, json_ref part,
                      json_ref string)
{
    struct span text = string_of(&r->text, doc, string);
    bool thought = is_thought(doc, part);
    struct span signature = thought ? read_signature(r, doc, part) : (struct span){"", 0};
    if (text.len == 0 && signature.len == 0)
        return;
    r->content_bytes += (int64_t)text.len;
    end_call(r);
    tell_text(&r->teller, thought ? REPLY_THINKING : REPLY_TEXT, text);
    tell_signature(&r->teller, signature);
}

/* Early models give a call no id.  Made from what the answer says, so that reading it twice makes
 * the same: a hash, and the call's number. */
static struct span call_id(struct gemini_reader *r, const struct json_doc *doc, json_ref call)
{
    struct span given = plain(doc, json_get(doc, call, "id"));
    if (given.len > 0)
        return given;
    uint64_t hash = fnv_add(FNV_SEED, doc->text);
    buf_reset(&r->id);
    buf_addf(&r->id, "call_%016" PRIx64 "_%d", hash, r->n_calls);
    return buf_span(&r->id);
}

static void open_call(struct gemini_reader *r, const struct json_doc *doc, json_ref part,
                      json_ref call, struct span name)
{
    end_call(r);
    tell_block(&r->teller, &(struct reply){.block = REPLY_TOOL_CALL,
                                           .id = call_id(r, doc, call),
                                           .name = name,
                                           .signature = read_signature(r, doc, part)});
    r->n_calls++;
}

static void read_pieces(struct gemini_reader *r, const struct json_doc *doc, json_ref pieces)
{
    buf_reset(&r->text);
    for (json_ref p = first_of(doc, pieces); p != JSON_NONE; p = json_next(doc, p))
        gemini_args_piece(&r->args, doc, p, &r->text);
    r->content_bytes += (int64_t)r->text.len;
    tell_arguments(&r->teller, buf_span(&r->text));
}

/* Whole, or (gemini_args.c) a beginning with a name, pieces, and an end with neither. */
static void read_call(struct gemini_reader *r, const struct json_doc *doc, json_ref part,
                      json_ref call)
{
    bool more = false;
    struct span name = string_of(&r->text, doc, json_get(doc, call, "name"));
    json_ref args = json_get(doc, call, "args"), pieces = json_get(doc, call, "partialArgs");
    json_truth(doc, json_get(doc, call, "willContinue"), &more);
    if (name.len > 0) {
        open_call(r, doc, part, call, gemini_find_name(r->request, name));
        if (!more && pieces == JSON_NONE) {
            struct span whole = json_is_object(doc, args) ? json_raw(doc, args) : SPAN("{}");
            r->content_bytes += (int64_t)whole.len;
            tell_arguments(&r->teller, whole);
            tell_close(&r->teller);
        } else {
            r->call_open = true;
            r->args = (struct gemini_args){.n_steps = 0};
        }
    }
    if (r->call_open && pieces != JSON_NONE)
        read_pieces(r, doc, pieces);
    if (!more)
        end_call(r);
}

static void read_blob(struct gemini_reader *r, const struct json_doc *doc, json_ref part,
                      json_ref blob)
{
    struct span type = plain(doc, json_get(doc, blob, "mimeType"));
    struct span data = plain(doc, json_get(doc, blob, "data"));
    if (is_thought(doc, part))
        return; /* a sketch on the way to the picture */
    if (type.len > 6 && memcmp(type.ptr, "image/", 6) == 0)
        tell_whole(r, &(struct reply){.block = REPLY_IMAGE,
                                      .media = {.from = MEDIA_BASE64, .type = type, .data = data}});
    else
        tell_raw(r, json_raw(doc, part));
}

static void read_part(struct gemini_reader *r, const struct json_doc *doc, json_ref part)
{
    json_ref text = json_get(doc, part, "text");
    json_ref call = json_get(doc, part, "functionCall");
    json_ref blob = json_get(doc, part, "inlineData");
    if (text != JSON_NONE)
        read_text(r, doc, part, text);
    else if (json_is_object(doc, call))
        read_call(r, doc, part, call);
    else if (json_is_object(doc, blob))
        read_blob(r, doc, part, blob);
    else if (json_first(doc, part) != JSON_NONE)
        tell_raw(r, json_raw(doc, part));
}

/* ---- citations ---- */

static void cite(struct gemini_reader *r, const struct json_doc *doc, json_ref source,
                 struct span quoted, json_ref whole)
{
    json_ref web = json_get(doc, source, "web");
    json_ref from = json_is_object(doc, web) ? web : json_get(doc, source, "retrievedContext");
    if (!json_is_object(doc, from))
        from = source; /* of citationMetadata: flat */
    struct buf title;
    buf_init(&title, PROVIDER_EVENT_MAX);
    struct reply_citation citation = {
        .url = plain(doc, json_get(doc, from, "uri")),
        .title = string_of(&title, doc, json_get(doc, from, "title")),
        .quoted = quoted,
        .json = json_raw(doc, whole),
        .json_of = r->protocol,
    };
    if (citation.url.len > 0 || citation.title.len > 0)
        tell_citation(&r->teller, &citation);
    buf_done(&title);
}

static json_ref nth(const struct json_doc *doc, json_ref array, int64_t n)
{
    json_ref at = first_of(doc, array);
    while (at != JSON_NONE && n-- > 0)
        at = json_next(doc, at);
    return at;
}

enum { CITATIONS_MAX = 1000 }; /* of one object: each looks through the sources from the first */

/* groundingSupports name their sources by number in groundingChunks. */
static void read_grounding(struct gemini_reader *r, const struct json_doc *doc, json_ref grounding)
{
    json_ref sources = json_get(doc, grounding, "groundingChunks");
    json_ref s = first_of(doc, json_get(doc, grounding, "groundingSupports"));
    int n = 0;
    for (; s != JSON_NONE; s = json_next(doc, s)) {
        json_ref segment = json_get(doc, s, "segment");
        struct span quoted = string_of(&r->text, doc, json_get(doc, segment, "text"));
        json_ref i = first_of(doc, json_get(doc, s, "groundingChunkIndices"));
        for (; i != JSON_NONE && n < CITATIONS_MAX; i = json_next(doc, i)) {
            int64_t number = -1;
            json_ref source = json_int64(doc, i, &number) && number >= 0 && number < CITATIONS_MAX
                                  ? nth(doc, sources, number)
                                  : JSON_NONE;
            n++;
            if (json_is_object(doc, source))
                cite(r, doc, source, quoted, s);
        }
    }
}

/* Of recited text; Vertex AI has another name for the list. */
static void read_recitation(struct gemini_reader *r, const struct json_doc *doc, json_ref metadata)
{
    json_ref list = json_get(doc, metadata, "citationSources");
    if (list == JSON_NONE)
        list = json_get(doc, metadata, "citations");
    int n = 0;
    for (json_ref s = first_of(doc, list); s != JSON_NONE && n < CITATIONS_MAX; n++) {
        if (json_is_object(doc, s))
            cite(r, doc, s, (struct span){"", 0}, s);
        s = json_next(doc, s);
    }
}

/* ---- the end ---- */

/* ai.google.dev/api/generate-content#FinishReason and Vertex AI's list.  The numbers are those of
 * the protocol's enum where both agree, for gateways that write them so. */
static const struct {
    const char *word;
    int number; /* 0 = they differ, or only one has it */
    enum reply_stop stop;
    bool failed; /* the answer is of no use: the model wanted a call and wrote none */
} reasons[] = {
    {"STOP", 1, STOPPED_END, false},
    {"MAX_TOKENS", 2, STOPPED_LENGTH, false},
    {"SAFETY", 3, STOPPED_REFUSAL, false},
    {"RECITATION", 4, STOPPED_REFUSAL, false},
    {"OTHER", 5, STOPPED_END, false},
    {"LANGUAGE", 6, STOPPED_REFUSAL, false},
    {"BLOCKLIST", 7, STOPPED_REFUSAL, false},
    {"PROHIBITED_CONTENT", 8, STOPPED_REFUSAL, false},
    {"SPII", 0, STOPPED_REFUSAL, false},
    {"MODEL_ARMOR", 0, STOPPED_REFUSAL, false},
    {"IMAGE_SAFETY", 0, STOPPED_REFUSAL, false},
    {"IMAGE_PROHIBITED_CONTENT", 0, STOPPED_REFUSAL, false},
    {"IMAGE_RECITATION", 0, STOPPED_REFUSAL, false},
    {"MALFORMED_FUNCTION_CALL", 0, STOPPED_END, true},
    {"UNEXPECTED_TOOL_CALL", 0, STOPPED_END, true},
    {"TOO_MANY_TOOL_CALLS", 0, STOPPED_END, true},
    {"MALFORMED_RESPONSE", 0, STOPPED_END, true},
};
enum { REASONS = sizeof(reasons) / sizeof(reasons[0]) };

/* REASONS: one that is not in the list. */
static size_t find_reason(const struct json_doc *doc, json_ref reason)
{
    int64_t number = -1;
    json_int64(doc, reason, &number);
    size_t i = 0;
    while (i < REASONS && !(number > 0 && number == reasons[i].number) &&
           !span_is(plain(doc, reason), reasons[i].word))
        i++;
    return i;
}

static void read_finish(struct gemini_reader *r, const struct json_doc *doc, json_ref candidate)
{
    json_ref reason = json_get(doc, candidate, "finishReason");
    if (reason == JSON_NONE || json_kind(doc, reason) == JSON_NULL ||
        span_is(plain(doc, reason), "FINISH_REASON_UNSPECIFIED"))
        return;
    size_t i = find_reason(doc, reason);
    r->finished = true;
    r->stop = i < REASONS ? reasons[i].stop : STOPPED_END;
    if (i == REASONS || !reasons[i].failed)
        return;
    struct span said = string_of(&r->text, doc, json_get(doc, candidate, "finishMessage"));
    fail_with(r, &(struct reply_error){
                     .type = plain(doc, reason),
                     .message = said.len > 0 ? said : SPAN("the model's answer was malformed"),
                 });
}

/* The prompt was blocked: there are no candidates. */
static void read_feedback(struct gemini_reader *r, const struct json_doc *doc, json_ref feedback)
{
    if (!json_is_object(doc, feedback) || json_get(doc, feedback, "blockReason") == JSON_NONE)
        return;
    r->finished = true;
    r->stop = STOPPED_REFUSAL;
}

void gemini_conclude(struct gemini_reader *r)
{
    if (!r->finished || r->error || r->ended)
        return;
    end_call(r);
    tell_close(&r->teller);
    tell_figures(r);
    bool calls = r->stop == STOPPED_END && r->n_calls > 0;
    tell_stop(&r->teller, calls ? STOPPED_TOOL : r->stop, (struct span){"", 0});
    tell_end(&r->teller);
    r->ended = true;
}

enum verdict gemini_verdict(const struct gemini_reader *r)
{
    return r->error ? VERDICT_ERROR : r->ended ? VERDICT_COMPLETE : VERDICT_TRUNCATED;
}

/* ---- one object ---- */

static void start(struct gemini_reader *r, const struct json_doc *doc, json_ref object)
{
    int64_t created_ms = 0;
    when_parse(plain(doc, json_get(doc, object, "createTime")), &created_ms);
    tell_start(&r->teller,
               &(struct reply){.id = plain(doc, json_get(doc, object, "responseId")),
                               .model = plain(doc, json_get(doc, object, "modelVersion")),
                               .created_s = created_ms / 1000,
                               .reasoning_tok = -1});
    tell_figures(r);
}

static void read_candidate(struct gemini_reader *r, const struct json_doc *doc, json_ref candidate,
                           struct span *ret_content)
{
    json_ref content = json_get(doc, candidate, "content");
    json_ref parts = json_is_object(doc, content) ? json_get(doc, content, "parts") : JSON_NONE;
    int64_t before = r->content_bytes;
    for (json_ref p = first_of(doc, parts); p != JSON_NONE; p = json_next(doc, p)) {
        if (json_is_object(doc, p))
            read_part(r, doc, p);
    }
    if (r->content_bytes > before)
        *ret_content = json_raw(doc, content);
    json_ref grounding = json_get(doc, candidate, "groundingMetadata");
    if (json_is_object(doc, grounding))
        gemini_read_searches(&r->figures, doc, grounding, r->generation);
    if (r->teller.open && r->teller.block == REPLY_TEXT) {
        if (json_is_object(doc, grounding))
            read_grounding(r, doc, grounding);
        read_recitation(r, doc, json_get(doc, candidate, "citationMetadata"));
    }
    read_finish(r, doc, candidate);
}

static bool is_response(const struct json_doc *doc, json_ref object)
{
    static const char *const names[] = {"candidates", "promptFeedback", "usageMetadata"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_get(doc, object, names[i]) != JSON_NONE)
            return true;
    }
    return false;
}

enum event_kind gemini_read(struct gemini_reader *r, const struct json_doc *doc, json_ref object,
                            struct span *ret_content)
{
    struct reply_error error;
    *ret_content = (struct span){NULL, 0};
    if (r->error || r->ended || !json_is_object(doc, object))
        return EVENT_OTHER;
    buf_reset(&r->text);
    if (gemini_error_of(doc, object, &r->text, &error)) {
        r->known = true;
        fail_with(r, &error);
        return EVENT_ERROR;
    }
    if (!is_response(doc, object))
        return EVENT_OTHER;
    r->known = true;
    gemini_read_usage(&r->figures, doc, json_get(doc, object, "usageMetadata"));
    if (!r->teller.started)
        start(r, doc, object);
    json_ref candidate = first_of(doc, json_get(doc, object, "candidates"));
    if (json_is_object(doc, candidate))
        read_candidate(r, doc, candidate, ret_content);
    else
        read_feedback(r, doc, json_get(doc, object, "promptFeedback"));
    return r->error                   ? EVENT_ERROR
           : ret_content->ptr != NULL ? EVENT_CONTENT
           : r->figures.seen != 0     ? EVENT_USAGE
                                      : EVENT_OTHER;
}

/* ---- whole bodies ---- */

static enum verdict judge_body(struct gemini_reader *r, const struct json_doc *doc)
{
    json_ref object = json_kind(doc, 0) == JSON_ARRAY ? json_first(doc, 0) : 0;
    while (object != JSON_NONE) {
        struct span content;
        gemini_read(r, doc, object, &content);
        object = json_next(doc, object);
    }
    if (!r->known)
        return VERDICT_FOREIGN;
    r->finished = true; /* a whole body needs no reason to be whole */
    gemini_conclude(r);
    return gemini_verdict(r);
}

enum verdict gemini_read_body(const char *protocol, const struct provider_reading *reading,
                              struct span body, struct usage_report *ret_usage)
{
    struct gemini_reader reader;
    struct json_doc doc;
    enum verdict verdict = VERDICT_FOREIGN;
    gemini_reader_init(&reader, protocol, reading);
    json_init(&doc);
    usage_report_clear(ret_usage);
    if (json_parse(&doc, body, NULL) == 0)
        verdict = judge_body(&reader, &doc);
    gemini_figures_to_usage(&reader.figures, reader.content_bytes > 0, &ret_usage->total);
    json_done(&doc);
    gemini_reader_done(&reader);
    return verdict;
}
