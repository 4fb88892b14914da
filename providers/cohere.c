/* Cohere's own protocol, version 2: POST /v2/chat.
 * docs.cohere.com/reference/chat, docs.cohere.com/v2/docs/streaming.
 *
 * The request is OpenAI's with other names for some settings: a dialect.  The answer is Cohere's.
 * Charged are usage.billed_units, not usage.tokens, which count Cohere's own preamble too. */
#include <stdlib.h>

#include "providers/draft.h"
#include "providers/figure.h"
#include "providers/openai.h"
#include "providers/teller.h"
#include "schema/sse.h"

struct cohere {
    struct teller teller;
    struct sse sse;
    struct json_doc doc;
    struct dialog text; /* strings of the running event */
    struct usage usage;
    int64_t content_bytes;
    bool seen, complete, error, broken;
    void (*on_event)(void *ctx, const struct event *ev);
    void *ctx;
};

static void cohere_init(struct cohere *c, const struct provider_reading *reading)
{
    *c = (struct cohere){.teller = {.sink = reading->sink}};
    sse_init(&c->sse, PROVIDER_EVENT_MAX);
    json_init(&c->doc);
    dialog_init(&c->text);
}

static void cohere_done(struct cohere *c)
{
    sse_done(&c->sse);
    json_done(&c->doc);
    dialog_done(&c->text);
}

/* ---- pieces of an answer ---- */

static json_ref member(const struct cohere *c, json_ref object, const char *name)
{
    return object != JSON_NONE && json_kind(&c->doc, object) == JSON_OBJECT
               ? json_get(&c->doc, object, name)
               : JSON_NONE;
}

static struct span string(struct cohere *c, json_ref object, const char *name)
{
    return dialog_string(&c->text, &c->doc, member(c, object, name));
}

static void read_text(struct cohere *c, enum reply_block block, struct span text)
{
    c->content_bytes += (int64_t)text.len;
    tell_text(&c->teller, block, text);
}

static void read_part(struct cohere *c, json_ref part)
{
    read_text(c, REPLY_THINKING, string(c, part, "thinking"));
    read_text(c, REPLY_TEXT, string(c, part, "text"));
}

static void read_call(struct cohere *c, json_ref call)
{
    json_ref function = member(c, call, "function");
    struct span id = string(c, call, "id"), arguments = string(c, function, "arguments");
    if (id.len > 0)
        tell_open(&c->teller, REPLY_TOOL_CALL, id, string(c, function, "name"));
    c->content_bytes += (int64_t)arguments.len;
    tell_arguments(&c->teller, arguments);
}

/* A list in a whole answer, a single value in a stream. */
static void read_each(struct cohere *c, json_ref list, void (*read)(struct cohere *c, json_ref v))
{
    if (list == JSON_NONE)
        return;
    if (json_kind(&c->doc, list) != JSON_ARRAY) {
        read(c, list);
        return;
    }
    for (json_ref v = json_first(&c->doc, list); v != JSON_NONE; v = json_next(&c->doc, v))
        read(c, v);
}

static void read_message(struct cohere *c, json_ref message)
{
    read_text(c, REPLY_THINKING, string(c, message, "tool_plan"));
    read_each(c, member(c, message, "content"), read_part);
    read_each(c, member(c, message, "tool_calls"), read_call);
}

static void read_usage(struct cohere *c, json_ref usage)
{
    static const struct {
        const char *name;
        enum usage_bucket bucket;
    } rows[] = {
        {"input_tokens", USAGE_input_tok},
        {"output_tokens", USAGE_output_tok},
        {"search_units", USAGE_web_searches},
    };
    json_ref billed = member(c, usage, "billed_units");
    int64_t reasoning = -1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t n = figure_read(&c->doc, member(c, billed, rows[i].name));
        if (n >= 0)
            usage_set(&c->usage, rows[i].bucket, n);
        else if (n == FIGURE_UNCLEAR)
            usage_set_unclear(&c->usage, rows[i].bucket);
    }
    if (!json_int64(&c->doc, member(c, member(c, usage, "tokens"), "reasoning_tokens"), &reasoning))
        reasoning = -1;
    tell_usage(&c->teller, &c->usage, reasoning);
}

static void read_end(struct cohere *c, json_ref holder)
{
    static const struct {
        const char *word;
        enum reply_stop stop;
    } stops[] = {
        {"MAX_TOKENS", STOPPED_LENGTH},
        {"STOP_SEQUENCE", STOPPED_SEQUENCE},
        {"TOOL_CALL", STOPPED_TOOL},
    };
    struct span word = string(c, holder, "finish_reason");
    enum reply_stop stop = STOPPED_END;
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
        stop = span_is(word, stops[i].word) ? stops[i].stop : stop;
    tell_close(&c->teller);
    read_usage(c, member(c, holder, "usage"));
    c->error = span_is(word, "ERROR") || span_is(word, "TIMEOUT");
    c->complete = word.len > 0 && !c->error;
    if (c->error)
        tell_error(&c->teller,
                   &(struct reply_error){.type = word, .message = SPAN("the model failed")});
    else if (c->complete)
        tell_stop(&c->teller, stop, SPAN(""));
}

/* ---- streams ---- */

/* Every event is a piece of the message under `delta`. */
static bool on_sse(void *ctx, const struct sse_event *wire)
{
    struct cohere *c = ctx;
    struct event ev = {.kind = EVENT_OTHER, .name = wire->name, .data = wire->data};
    dialog_done(&c->text);
    if (json_parse(&c->doc, wire->data, NULL) == 0 && json_kind(&c->doc, 0) == JSON_OBJECT) {
        struct span type = string(c, 0, "type");
        json_ref delta = member(c, 0, "delta");
        int64_t before = c->content_bytes;
        c->seen |= type.len > 0;
        if (span_is(type, "message-start")) {
            tell_start(&c->teller, &(struct reply){.id = string(c, 0, "id"), .reasoning_tok = -1});
            ev.kind = EVENT_START;
        } else if (span_is(type, "message-end")) {
            read_end(c, delta);
            if (c->complete)
                tell_end(&c->teller);
            ev.kind = c->error ? EVENT_ERROR : EVENT_STOP;
        } else if (span_is(type, "content-end") || span_is(type, "tool-call-end")) {
            tell_close(&c->teller);
        } else {
            read_message(c, member(c, delta, "message"));
            ev.kind = c->content_bytes > before ? EVENT_CONTENT : EVENT_OTHER;
        }
    }
    c->on_event(c->ctx, &ev);
    return !c->text.failed;
}

static void *stream_open(const struct provider_reading *reading)
{
    struct cohere *c = malloc(sizeof(*c));
    if (c != NULL)
        cohere_init(c, reading);
    return c;
}

static bool stream_feed(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx)
{
    struct cohere *c = stream;
    c->on_event = on_event;
    c->ctx = ctx;
    c->broken = c->broken || !sse_feed(&c->sse, bytes, on_sse, c);
    return !c->broken;
}

static bool stream_at_boundary(const void *stream)
{
    return sse_at_boundary(&((const struct cohere *)stream)->sse);
}

static enum verdict stream_state(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes)
{
    const struct cohere *c = stream;
    usage_report_clear(ret_usage);
    ret_usage->total = c->usage;
    *ret_content_bytes = c->content_bytes;
    return c->complete ? VERDICT_COMPLETE
           : c->error  ? VERDICT_ERROR
           : c->seen   ? VERDICT_TRUNCATED
                       : VERDICT_FOREIGN;
}

static void stream_close(void *stream)
{
    if (stream != NULL)
        cohere_done(stream);
    free(stream);
}

/* ---- whole bodies ---- */

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    struct cohere c;
    int64_t content_bytes;
    cohere_init(&c, reading);
    if (json_parse(&c.doc, body, NULL) == 0 && member(&c, 0, "message") != JSON_NONE) {
        tell_start(&c.teller, &(struct reply){.id = string(&c, 0, "id"), .reasoning_tok = -1});
        read_message(&c, member(&c, 0, "message"));
        read_end(&c, 0);
        tell_end(&c.teller);
    }
    enum verdict verdict = stream_state(&c, ret_usage, &content_bytes);
    cohere_done(&c);
    return verdict;
}

/* {"message": "...", "id": "..."} */
static bool read_error(struct span body, struct buf *store, struct reply_error *ret)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = json_parse(&doc, body, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT &&
               json_text(&doc, json_get(&doc, 0, "message"), store);
    if (yes)
        ret->message = buf_span(store);
    json_done(&doc);
    return yes;
}

static bool is_error_body(struct span body)
{
    struct reply_error error;
    struct buf store;
    buf_init(&store, PROVIDER_BODY_MAX);
    bool yes = read_error(body, &store, &error);
    buf_done(&store);
    return yes;
}

/* ---- requests ---- */

static const struct openai_dialect dialect = {
    .name = "cohere",
    .traits = TRAIT_TOOLS | TRAIT_PARTS | TRAIT_SENDS_DONE | TRAIT_OTHER_PROTOCOL,
    .numbers = 1u << NUMBER_temperature | 1u << NUMBER_top_p | 1u << NUMBER_top_k |
               1u << NUMBER_seed | 1u << NUMBER_frequency_penalty | 1u << NUMBER_presence_penalty,
    .renamed = {{NUMBER_top_p, "p"}, {NUMBER_top_k, "k"}},
    .max_tokens = "max_tokens",
    .any_tool = "REQUIRED",
    .no_tool = "NONE",
    .stops_max = 5,
    .stops = "stop_sequences",
    .thinking = THINK_BY_TYPE,
    .choice = CHOICE_FORM_EITHER,
};

static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    draft_url(&d, "/v2", "/v2/chat");
    draft_credential(&d, "authorization", "Bearer ");
    return openai_build(ask, &dialect, &d);
}

static enum chat_door native_door(const struct provider_target *target)
{
    (void)target;
    return DOOR_NONE;
}

const struct provider provider_cohere = {
    .protocol = "cohere",
    .native_door = native_door,
    .stream_type = "text/event-stream",
    .build = build,
    .stream_open = stream_open,
    .stream_feed = stream_feed,
    .stream_at_boundary = stream_at_boundary,
    .stream_state = stream_state,
    .stream_close = stream_close,
    .read_body = read_body,
    .is_error_body = is_error_body,
    .read_error = read_error,
};
