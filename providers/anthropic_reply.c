/* What an Anthropic answer means: reply events (schema/reply.h) from its stream events or from its
 * whole body.  platform.claude.com/docs/en/build-with-claude/streaming, .../api/messages.
 *
 * Blocks arrive one behind the other there, so that nothing is held back but a block that only
 * Anthropic has: it goes out whole. */
#include "providers/anthropic.h"
#include "providers/figure.h"

#define IN_PLACE_OF_A_SURROGATE SPAN("\xef\xbf\xbd")

void anthropic_replies_init(struct anthropic_replies *r, const struct provider_reading *reading)
{
    memset(r, 0, sizeof(*r));
    r->sink = reading->sink;
    r->first.hour_writes = reading->hour_writes;
    r->reasoning_tok = -1;
    r->index = -1;
    json_init(&r->parsed);
    json_init(&r->raw_parsed);
    buf_init(&r->store, PROVIDER_BODY_MAX);
    buf_init(&r->raw, PROVIDER_BODY_MAX);
    buf_init(&r->input, PROVIDER_BODY_MAX);
}

void anthropic_replies_done(struct anthropic_replies *r)
{
    json_done(&r->parsed);
    json_done(&r->raw_parsed);
    buf_done(&r->store);
    buf_done(&r->raw);
    buf_done(&r->input);
}

/* ---- what goes out ---- */

static void emit(struct anthropic_replies *r, const struct reply *reply)
{
    if (r->over)
        return;
    r->over = reply->kind == REPLY_END || reply->kind == REPLY_ERROR;
    r->sink->on_reply(r->sink->ctx, reply);
}

static void break_off(struct anthropic_replies *r, const char *message)
{
    emit(r, &(struct reply){
                .kind = REPLY_ERROR,
                .error = {.type = SPAN("api_error"), .message = span_of(message)},
            });
}

static void emit_delta(struct anthropic_replies *r, enum reply_delta delta, struct span text)
{
    if (text.len > 0)
        emit(r,
             &(struct reply){.kind = REPLY_DELTA, .block = r->block, .delta = delta, .text = text});
}

/* ---- reading values ---- */

/* For the time of one event (or body): what its strings need at most. */
static bool look_at(struct anthropic_replies *r, const struct json_doc *doc)
{
    r->doc = doc;
    buf_reset(&r->store);
    if (buf_reserve(&r->store, doc->text.len))
        return true;
    break_off(r, "The answer is too long to be translated.");
    return false;
}

/* A string's value, where it stands or resolved in the store, which was made large enough: it
 * never moves.  Empty for what is no string. */
static struct span text_of(struct anthropic_replies *r, json_ref v)
{
    if (v == JSON_NONE || json_kind(r->doc, v) != JSON_STRING)
        return (struct span){"", 0};
    struct span written = json_inner(r->doc, v);
    if (!json_at(r->doc, v)->escaped)
        return written;
    size_t begin = r->store.len;
    while (written.len > 0) {
        char utf8[4];
        struct span part;
        if (!json_stretch(&written, utf8, &part))
            part = IN_PLACE_OF_A_SURROGATE;
        buf_add_span(&r->store, part);
    }
    return (struct span){r->store.ptr + begin, r->store.len - begin};
}

static struct span member_text(struct anthropic_replies *r, json_ref object, const char *name)
{
    return text_of(r, json_get(r->doc, object, name));
}

static bool is_kind(const struct anthropic_replies *r, json_ref v, enum json_kind kind)
{
    return v != JSON_NONE && json_kind(r->doc, v) == kind;
}

/* ---- start, usage, stop ---- */

static void start(struct anthropic_replies *r, json_ref message)
{
    if (r->started)
        return;
    r->started = true;
    emit(r, &(struct reply){.kind = REPLY_START,
                            .id = member_text(r, message, "id"),
                            .model = member_text(r, message, "model")});
}

static void read_usage(struct anthropic_replies *r, struct anthropic_figures *figures,
                       json_ref usage)
{
    if (!is_kind(r, usage, JSON_OBJECT))
        return;
    anthropic_read_figures(figures, r->doc, usage);
    json_ref details = json_get(r->doc, usage, "output_tokens_details");
    int64_t tok = figure_read(r->doc, json_get(r->doc, details, "thinking_tokens"));
    if (tok >= 0)
        r->reasoning_tok = tok;
    struct anthropic_figures all = r->first;
    anthropic_merge_max(&all, &r->last);
    struct reply reply = {.kind = REPLY_USAGE, .reasoning_tok = r->reasoning_tok};
    anthropic_figures_to_usage(&all, &reply.usage);
    if (reply.usage.seen != 0)
        emit(r, &reply);
}

/* Words that are not here are later than this table: they end the turn. */
static enum reply_stop stop_of(struct span word)
{
    static const struct {
        const char *word;
        enum reply_stop stop;
    } words[] = {
        {"max_tokens", STOPPED_LENGTH},
        {"stop_sequence", STOPPED_SEQUENCE},
        {"tool_use", STOPPED_TOOL},
        {"refusal", STOPPED_REFUSAL},
        {"pause_turn", STOPPED_PAUSE},
        {"compaction", STOPPED_PAUSE},
        {"model_context_window_exceeded", STOPPED_CONTEXT},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_is(word, words[i].word))
            return words[i].stop;
    }
    return STOPPED_END;
}

static void close_block(struct anthropic_replies *r);

/* holder: the message, or the delta of message_delta. */
static void read_stop(struct anthropic_replies *r, json_ref holder)
{
    struct span reason = member_text(r, holder, "stop_reason");
    if (reason.len == 0 || r->stopped)
        return;
    close_block(r);
    r->stopped = true;
    emit(r, &(struct reply){.kind = REPLY_STOP,
                            .stop = stop_of(reason),
                            .stop_sequence = member_text(r, holder, "stop_sequence")});
}

static void end(struct anthropic_replies *r)
{
    if (r->stopped)
        emit(r, &(struct reply){.kind = REPLY_END});
    else
        break_off(r, "The provider ended its answer without a stop_reason.");
}

/* ---- blocks ---- */

static void emit_citation(struct anthropic_replies *r, json_ref citation)
{
    struct span title = member_text(r, citation, "title");
    if (!is_kind(r, citation, JSON_OBJECT))
        return;
    emit(r, &(struct reply){
                .kind = REPLY_DELTA,
                .block = REPLY_TEXT,
                .delta = DELTA_CITATION,
                .citation =
                    {
                        .url = member_text(r, citation, "url"),
                        .title = title.len > 0 ? title : member_text(r, citation, "document_title"),
                        .quoted = member_text(r, citation, "cited_text"),
                        .json = json_raw(r->doc, citation),
                        .json_of = anthropic_word,
                    },
            });
}

static enum reply_block kind_of(struct anthropic_replies *r, json_ref block)
{
    static const struct {
        const char *type;
        enum reply_block block;
    } types[] = {
        {"text", REPLY_TEXT},
        {"thinking", REPLY_THINKING},
        {"redacted_thinking", REPLY_REDACTED},
        {"tool_use", REPLY_TOOL_CALL},
    };
    struct span type = member_text(r, block, "type");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (span_is(type, types[i].type))
            return types[i].block;
    }
    return REPLY_RAW;
}

static void open_as(struct anthropic_replies *r, enum reply_block block)
{
    close_block(r);
    r->open = true;
    r->block = block;
    r->argued = false;
    buf_reset(&r->input);
    buf_reset(&r->raw);
}

static void open_tool_call(struct anthropic_replies *r, json_ref block)
{
    struct span id = member_text(r, block, "id"), name = member_text(r, block, "name");
    if (id.len == 0 || name.len == 0) {
        break_off(r, "The provider's tool call has no id or no name.");
        return;
    }
    emit(r, &(struct reply){.kind = REPLY_OPEN, .block = REPLY_TOOL_CALL, .id = id, .name = name});
    /* In a stream it is empty, and the arguments come as deltas; some relays send them here. */
    json_ref input = json_get(r->doc, block, "input");
    if (is_kind(r, input, JSON_OBJECT))
        buf_add_span(&r->input, json_raw(r->doc, input));
}

static void open_text(struct anthropic_replies *r, json_ref block)
{
    emit(r, &(struct reply){.kind = REPLY_OPEN, .block = REPLY_TEXT});
    emit_delta(r, DELTA_TEXT, member_text(r, block, "text"));
    json_ref citations = json_get(r->doc, block, "citations");
    if (!is_kind(r, citations, JSON_ARRAY))
        return;
    for (json_ref c = json_first(r->doc, citations); c != JSON_NONE; c = json_next(r->doc, c))
        emit_citation(r, c);
}

static void open_block(struct anthropic_replies *r, json_ref block)
{
    open_as(r, kind_of(r, block));
    switch (r->block) {
    case REPLY_TEXT:
        open_text(r, block);
        break;
    case REPLY_THINKING:
        emit(r, &(struct reply){.kind = REPLY_OPEN, .block = REPLY_THINKING});
        emit_delta(r, DELTA_TEXT, member_text(r, block, "thinking"));
        emit_delta(r, DELTA_SIGNATURE, member_text(r, block, "signature"));
        break;
    case REPLY_REDACTED:
        emit(r, &(struct reply){.kind = REPLY_OPEN,
                                .block = REPLY_REDACTED,
                                .signature = member_text(r, block, "data")});
        break;
    case REPLY_TOOL_CALL:
        open_tool_call(r, block);
        break;
    default:
        buf_add_span(&r->raw, json_raw(r->doc, block));
        break;
    }
}

/* The block as a whole body shows it: with the input that arrived behind it. */
static struct span whole_raw(struct anthropic_replies *r)
{
    struct span raw = buf_span(&r->raw);
    if (r->input.len == 0 || json_parse(&r->raw_parsed, buf_span(&r->input), NULL) != 0 ||
        json_parse(&r->raw_parsed, raw, NULL) != 0)
        return raw;
    json_ref input = json_get(&r->raw_parsed, 0, "input");
    if (input == JSON_NONE)
        return raw;
    size_t begin = json_at(&r->raw_parsed, input)->begin, end = json_at(&r->raw_parsed, input)->end;
    /* Behind the raw text in the same buffer; reserved first, so that the source does not move. */
    size_t at = r->raw.len;
    if (!buf_reserve(&r->raw, r->raw.len + r->input.len))
        return raw;
    buf_add(&r->raw, r->raw.ptr, begin);
    buf_add_span(&r->raw, buf_span(&r->input));
    buf_add(&r->raw, r->raw.ptr + end, at - end);
    return (struct span){r->raw.ptr + at, r->raw.len - at};
}

static void close_block(struct anthropic_replies *r)
{
    if (!r->open)
        return;
    r->open = false;
    if (r->block == REPLY_TOOL_CALL && !r->argued)
        emit_delta(r, DELTA_ARGUMENTS, r->input.len > 0 ? buf_span(&r->input) : SPAN("{}"));
    if (r->block == REPLY_RAW)
        emit(r, &(struct reply){.kind = REPLY_OPEN,
                                .block = REPLY_RAW,
                                .json = whole_raw(r),
                                .citation = {.json_of = anthropic_word}});
    emit(r, &(struct reply){.kind = REPLY_CLOSE, .block = r->block});
}

/* ---- deltas ---- */

/* Text of another kind than the open block's (litellm#32357): a block of its own, rather than
 * lost or shown as what it is not. */
static void add_text(struct anthropic_replies *r, enum reply_block block, struct span text)
{
    if (text.len == 0)
        return;
    if (!r->open || r->block != block) {
        open_as(r, block);
        emit(r, &(struct reply){.kind = REPLY_OPEN, .block = block});
    }
    emit_delta(r, DELTA_TEXT, text);
}

static void add_input(struct anthropic_replies *r, json_ref event, struct span text)
{
    int64_t index;
    bool elsewhere = json_int64(r->doc, json_get(r->doc, event, "index"), &index) &&
                     r->index >= 0 && index != r->index;
    if (text.len == 0)
        return;
    if (!r->open || elsewhere || (r->block != REPLY_TOOL_CALL && r->block != REPLY_RAW)) {
        break_off(r, "The provider sent arguments that belong to no tool call.");
    } else if (r->block == REPLY_RAW) {
        buf_add_span(&r->input, text);
    } else {
        r->argued = true;
        emit_delta(r, DELTA_ARGUMENTS, text);
    }
}

static void on_delta(struct anthropic_replies *r)
{
    json_ref delta = json_get(r->doc, 0, "delta");
    struct span type = member_text(r, delta, "type");
    if (r->stopped)
        return;
    start(r, JSON_NONE);
    if (span_is(type, "text_delta")) {
        add_text(r, REPLY_TEXT, member_text(r, delta, "text"));
    } else if (span_is(type, "thinking_delta")) {
        add_text(r, REPLY_THINKING, member_text(r, delta, "thinking"));
    } else if (span_is(type, "input_json_delta")) {
        add_input(r, 0, member_text(r, delta, "partial_json"));
    } else if (span_is(type, "signature_delta")) {
        if (r->open && r->block == REPLY_THINKING)
            emit_delta(r, DELTA_SIGNATURE, member_text(r, delta, "signature"));
    } else if (span_is(type, "citations_delta")) {
        if (r->open && r->block == REPLY_TEXT)
            emit_citation(r, json_get(r->doc, delta, "citation"));
    }
}

/* ---- events ---- */

static void read_content(struct anthropic_replies *r, json_ref message)
{
    json_ref content = json_get(r->doc, message, "content");
    if (!is_kind(r, content, JSON_ARRAY))
        return;
    for (json_ref b = json_first(r->doc, content); b != JSON_NONE; b = json_next(r->doc, b)) {
        if (is_kind(r, b, JSON_OBJECT))
            open_block(r, b);
        close_block(r);
    }
}

/* Between the calls that a program of the model makes, message_start is the whole message, and
 * message_stop follows (.../programmatic-tool-calling). */
static void on_message_start(struct anthropic_replies *r)
{
    json_ref message = json_get(r->doc, 0, "message");
    if (r->started)
        return;
    start(r, message);
    read_content(r, message);
    read_usage(r, &r->first, json_get(r->doc, message, "usage"));
    read_stop(r, message);
}

static void on_block_start(struct anthropic_replies *r)
{
    if (r->stopped)
        return;
    start(r, JSON_NONE);
    r->index = -1;
    json_int64(r->doc, json_get(r->doc, 0, "index"), &r->index);
    json_ref block = json_get(r->doc, 0, "content_block");
    if (is_kind(r, block, JSON_OBJECT))
        open_block(r, block);
}

static void on_message_delta(struct anthropic_replies *r)
{
    start(r, JSON_NONE);
    read_usage(r, &r->last, json_get(r->doc, 0, "usage"));
    read_stop(r, json_get(r->doc, 0, "delta"));
}

static void on_error(struct anthropic_replies *r)
{
    struct span type = member_text(r, json_get(r->doc, 0, "error"), "type");
    emit(r, &(struct reply){
                .kind = REPLY_ERROR,
                .error =
                    {
                        .http_status = anthropic_error_status(type),
                        .type = type,
                        .message = member_text(r, json_get(r->doc, 0, "error"), "message"),
                    },
            });
}

static const struct {
    const char *name;
    void (*handle)(struct anthropic_replies *r);
} handlers[] = {
    {"content_block_delta", on_delta},
    {"content_block_start", on_block_start},
    {"content_block_stop", close_block},
    {"message_start", on_message_start},
    {"message_delta", on_message_delta},
    {"message_stop", end},
    {"error", on_error},
};

void anthropic_replies_event(struct anthropic_replies *r, struct span name, struct span data)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (!span_is(name, handlers[i].name))
            continue;
        if (json_parse(&r->parsed, data, NULL) != 0)
            break_off(r, "The provider's answer holds an event that is no JSON.");
        else if (look_at(r, &r->parsed))
            handlers[i].handle(r);
        break;
    }
    if (r->raw.failed || r->input.failed)
        break_off(r, "The answer is too long to be translated.");
}

void anthropic_replies_body(struct anthropic_replies *r, const struct json_doc *doc)
{
    if (!look_at(r, doc))
        return;
    start(r, 0);
    read_content(r, 0);
    read_usage(r, &r->last, json_get(doc, 0, "usage"));
    read_stop(r, 0);
    end(r);
}

void anthropic_replies_error(struct anthropic_replies *r, const struct json_doc *doc)
{
    if (look_at(r, doc))
        on_error(r);
}
