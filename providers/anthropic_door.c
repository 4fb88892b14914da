/* Answers in Anthropic's protocol, from what a provider of another protocol meant.
 * platform.claude.com/docs/en/build-with-claude/streaming, .../api/messages. */
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/anthropic_read.h"
#include "providers/door.h"
#include "schema/json_out.h"
#include "schema/toolsig.h"

/* Thinking needs a signature, and whoever sends it back must be recognised (schema/chat.h): of a
 * protocol that is not known here, which gave none. */
#define UNSIGNED THINKING_FOREIGN ":"

enum { NOTE_MAX = 1024, MEDIA_TYPE_MAX = 128 };

struct door_writer {
    const struct door_answer *answer;
    struct reply_whole whole; /* of a stream: all but its content */
    struct buf tool_id;
    int64_t index;  /* of the block that is open, or comes next */
    bool begun;     /* message_start is out */
    bool shown;     /* the open block has a place in this protocol */
    bool is_signed; /* a signature of the open thinking is out */
    bool called;    /* some block is a tool call */
    bool refused;   /* some block is a refusal */
};

static struct door_writer *writer_open(const struct door_answer *answer)
{
    struct door_writer *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->answer = answer;
    reply_whole_init(&w->whole);
    buf_init(&w->tool_id, 2 * TOOLSIG_MAX);
    return w;
}

static void writer_close(struct door_writer *w)
{
    if (w == NULL)
        return;
    reply_whole_done(&w->whole);
    buf_done(&w->tool_id);
    free(w);
}

/* ---- parts that streams and bodies share ---- */

/* Some providers say "stop" behind a tool call or a refusal, and clients then neither run the tool
 * nor see that it was refused (litellm#34692). */
static const char *stop_word(const struct door_writer *w)
{
    static const char *const words[] = {
        [STOPPED_END] = "end_turn",
        [STOPPED_LENGTH] = "max_tokens",
        [STOPPED_SEQUENCE] = "stop_sequence",
        [STOPPED_TOOL] = "tool_use",
        [STOPPED_REFUSAL] = "refusal",
        [STOPPED_PAUSE] = "pause_turn",
        [STOPPED_CONTEXT] = "model_context_window_exceeded",
    };
    enum reply_stop stop = w->whole.stop;
    if (stop == STOPPED_END && w->refused)
        stop = STOPPED_REFUSAL;
    if (stop == STOPPED_END && w->called)
        stop = STOPPED_TOOL;
    return words[stop];
}

static void put_cost(struct json_out *o, const struct door_answer *answer)
{
    if (!answer->report || answer->cost_usd == NULL)
        return;
    json_put_raw(o, "cost", span_of(answer->cost_usd));
    json_open_object(o, "cost_details");
    json_put_raw(o, "upstream_inference_cost", span_of(answer->cost_usd));
    json_close_object(o);
}

/* Every member that the SDK's types promise (its 1.12: resources/messages), null where there is
 * nothing to say.  final: everything is known, the cost too.  At the start no output is counted:
 * LangChain adds the start's to the end's. */
static void put_usage(struct json_out *o, const struct door_writer *w, bool final)
{
    const int64_t *n = w->whole.usage.n;
    json_open_object(o, "usage");
    json_put_int(o, "input_tokens", n[USAGE_input_tok]);
    json_put_int(o, "cache_creation_input_tokens",
                 n[USAGE_cache_write_5m_tok] + n[USAGE_cache_write_1h_tok]);
    json_put_int(o, "cache_read_input_tokens", n[USAGE_cache_read_tok]);
    json_open_object(o, "cache_creation");
    json_put_int(o, "ephemeral_5m_input_tokens", n[USAGE_cache_write_5m_tok]);
    json_put_int(o, "ephemeral_1h_input_tokens", n[USAGE_cache_write_1h_tok]);
    json_close_object(o);
    json_put_int(o, "output_tokens", final ? n[USAGE_output_tok] : 0);
    if (final && w->whole.reasoning_tok >= 0) {
        json_open_object(o, "output_tokens_details");
        json_put_int(o, "thinking_tokens", w->whole.reasoning_tok);
        json_close_object(o);
    } else {
        json_put_null(o, "output_tokens_details");
    }
    if (n[USAGE_web_searches] > 0) {
        json_open_object(o, "server_tool_use");
        json_put_int(o, "web_search_requests", n[USAGE_web_searches]);
        json_put_int(o, "web_fetch_requests", 0);
        json_close_object(o);
    } else {
        json_put_null(o, "server_tool_use");
    }
    json_put_null(o, "service_tier");
    json_put_null(o, "inference_geo");
    json_put_null(o, "speed");
    if (final)
        put_cost(o, w->answer);
    json_close_object(o);
}

static void put_message_head(struct json_out *o, const struct door_writer *w, struct span id)
{
    json_put_string(o, "id", id.len > 0 ? id : span_of(w->answer->generation_id));
    json_put_string(o, "type", SPAN("message"));
    json_put_string(o, "role", SPAN("assistant"));
    json_put_string(o, "model", span_of(w->answer->model));
    if (w->answer->report && w->answer->provider != NULL)
        json_put_string(o, "provider", span_of(w->answer->provider));
    json_put_null(o, "container");
    json_put_null(o, "diagnostics");
}

/* reason NULL: not yet. */
static void put_stop(struct json_out *o, const char *reason, struct span sequence)
{
    if (reason != NULL)
        json_put_string(o, "stop_reason", span_of(reason));
    else
        json_put_null(o, "stop_reason");
    if (sequence.len > 0)
        json_put_string(o, "stop_sequence", sequence);
    else
        json_put_null(o, "stop_sequence");
    json_put_null(o, "stop_details");
}

/* A provider's own error word says more than its status. */
static void put_error(struct json_out *o, const struct reply_error *error)
{
    json_put_string(o, "type", SPAN("error"));
    json_open_object(o, "error");
    json_put_string(o, "type", span_of(anthropic_error_type(error)));
    json_put_string(o, "message",
                    error->message.len > 0 ? error->message
                                           : SPAN("The provider reported an error."));
    json_close_object(o);
}

static bool is_anthropic(const char *word)
{
    return word != NULL && strcmp(word, anthropic_word) == 0;
}

/* JSON as a provider wrote it may have line ends between its values; an event's data is a line. */
static void put_line(struct json_out *o, const char *key, struct span json)
{
    size_t at = o->buf->len;
    json_put_raw(o, key, json);
    for (; at < o->buf->len; at++) {
        if (o->buf->ptr[at] == '\n' || o->buf->ptr[at] == '\r')
            o->buf->ptr[at] = ' ';
    }
}

/* Of a provider that searched the web otherwise: where it was found has a place. */
static bool has_place(const struct reply_citation *c)
{
    return c->url.len > 0 || (is_anthropic(c->json_of) && c->json.len > 0);
}

static void put_citation(struct json_out *o, const char *key, const struct reply_citation *c)
{
    if (is_anthropic(c->json_of) && c->json.len > 0) {
        put_line(o, key, c->json);
        return;
    }
    json_open_object(o, key);
    json_put_string(o, "type", SPAN("web_search_result_location"));
    json_put_string(o, "url", c->url);
    if (c->title.len > 0)
        json_put_string(o, "title", c->title);
    else
        json_put_null(o, "title");
    json_put_string(o, "encrypted_index", SPAN(""));
    json_put_string(o, "cited_text", c->quoted);
    json_close_object(o);
}

/* The protocol has no block for a picture that the model made. */
static void image_note(const struct dialog_media *media, struct buf *out)
{
    buf_adds(out, "[The model answered with an image");
    if (media->type.len > 0 && media->type.len < MEDIA_TYPE_MAX) {
        buf_adds(out, " (");
        buf_add_span(out, media->type);
        buf_addc(out, ')');
    }
    buf_adds(out, ", which the Messages API cannot carry.]");
}

/* The id, with the call's signature in it. */
static struct span signed_id(struct door_writer *w, struct span id, struct span signature)
{
    buf_reset(&w->tool_id);
    return toolsig_join(id, signature, &w->tool_id) ? buf_span(&w->tool_id) : id;
}

/* ---- a stream ---- */

static void begin_event(struct json_out *o, const char *type)
{
    buf_adds(o->buf, "event: ");
    buf_adds(o->buf, type);
    buf_adds(o->buf, "\ndata: ");
    o->comma = false;
    json_open_object(o, NULL);
    json_put_string(o, "type", span_of(type));
}

static void end_event(struct json_out *o)
{
    json_close_object(o);
    buf_adds(o->buf, "\n\n");
}

static void begin_block_event(struct json_out *o, const struct door_writer *w, const char *type)
{
    begin_event(o, type);
    json_put_int(o, "index", w->index);
}

/* Put off to the first thing behind the start, so that the prompt's tokens are in it where a
 * provider states them at once. */
static void stream_start(struct door_writer *w, struct json_out *o)
{
    if (w->begun)
        return;
    w->begun = true;
    begin_event(o, "message_start");
    json_open_object(o, "message");
    put_message_head(o, w, w->whole.id);
    json_open_array(o, "content");
    json_close_array(o);
    put_stop(o, NULL, SPAN(""));
    put_usage(o, w, false);
    json_close_object(o);
    end_event(o);
}

static void put_delta(struct json_out *o, const struct door_writer *w, const char *type,
                      const char *member, struct span text)
{
    begin_block_event(o, w, "content_block_delta");
    json_open_object(o, "delta");
    json_put_string(o, "type", span_of(type));
    json_put_string(o, member, text);
    json_close_object(o);
    end_event(o);
}

static void put_open_block(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    static const struct span none = {"", 0};
    switch (r->block) {
    case REPLY_THINKING:
        json_put_string(o, "type", SPAN("thinking"));
        json_put_string(o, "thinking", none);
        json_put_string(o, "signature", none);
        break;
    case REPLY_REDACTED:
        json_put_string(o, "type", SPAN("redacted_thinking"));
        json_put_string(o, "data", r->signature);
        break;
    case REPLY_TOOL_CALL:
        json_put_string(o, "type", SPAN("tool_use"));
        json_put_string(o, "id", signed_id(w, r->id, r->signature));
        json_put_string(o, "name", r->name);
        json_open_object(o, "input");
        json_close_object(o);
        break;
    default:
        json_put_string(o, "type", SPAN("text"));
        json_put_string(o, "text", none);
        break;
    }
}

static void stream_open(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    w->is_signed = false;
    w->shown = r->block != REPLY_RAW || is_anthropic(r->citation.json_of);
    if (!w->shown)
        return;
    begin_block_event(o, w, "content_block_start");
    if (r->block == REPLY_RAW) {
        put_line(o, "content_block", r->json);
    } else {
        json_open_object(o, "content_block");
        put_open_block(w, o, r);
        json_close_object(o);
    }
    end_event(o);
    if (r->block == REPLY_IMAGE) {
        struct buf note;
        buf_init(&note, NOTE_MAX);
        image_note(&r->media, &note);
        put_delta(o, w, "text_delta", "text", buf_span(&note));
        buf_done(&note);
    }
}

static void stream_citation(struct json_out *o, const struct door_writer *w,
                            const struct reply_citation *citation)
{
    if (!has_place(citation))
        return;
    begin_block_event(o, w, "content_block_delta");
    json_open_object(o, "delta");
    json_put_string(o, "type", SPAN("citations_delta"));
    put_citation(o, "citation", citation);
    json_close_object(o);
    end_event(o);
}

static void stream_delta(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    if (!w->shown)
        return;
    switch (r->delta) {
    case DELTA_TEXT:
        if (r->block == REPLY_THINKING)
            put_delta(o, w, "thinking_delta", "thinking", r->text);
        else
            put_delta(o, w, "text_delta", "text", r->text);
        break;
    case DELTA_ARGUMENTS:
        put_delta(o, w, "input_json_delta", "partial_json", r->text);
        break;
    case DELTA_SIGNATURE:
        w->is_signed = true;
        put_delta(o, w, "signature_delta", "signature", r->text);
        break;
    case DELTA_CITATION:
        stream_citation(o, w, &r->citation);
        break;
    }
}

static void stream_close(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    if (!w->shown)
        return;
    if (r->block == REPLY_THINKING && !w->is_signed)
        put_delta(o, w, "signature_delta", "signature", SPAN(UNSIGNED));
    begin_block_event(o, w, "content_block_stop");
    end_event(o);
    w->index++;
}

static void stream_end(struct door_writer *w, struct json_out *o)
{
    begin_event(o, "message_delta");
    json_open_object(o, "delta");
    put_stop(o, stop_word(w), w->whole.stop_sequence);
    json_close_object(o);
    put_usage(o, w, true);
    end_event(o);
    begin_event(o, "message_stop");
    end_event(o);
}

static void stream_error(struct json_out *o, const struct reply *r)
{
    buf_adds(o->buf, "event: error\ndata: ");
    o->comma = false;
    json_open_object(o, NULL);
    put_error(o, &r->error);
    end_event(o);
}

static void stream_event(struct door_writer *w, const struct reply *r, struct buf *out)
{
    struct json_out o = {.buf = out};
    if (r->kind != REPLY_START && r->kind != REPLY_ERROR)
        stream_start(w, &o);
    switch (r->kind) {
    case REPLY_OPEN:
        stream_open(w, &o, r);
        break;
    case REPLY_DELTA:
        stream_delta(w, &o, r);
        break;
    case REPLY_CLOSE:
        stream_close(w, &o, r);
        break;
    case REPLY_END:
        stream_end(w, &o);
        break;
    case REPLY_ERROR:
        stream_error(&o, r);
        break;
    case REPLY_START:
    case REPLY_USAGE:
    case REPLY_STOP:
        break;
    }
}

/* ---- a whole body ---- */

/* *at: the first one that is not written yet; they stand in the order of their blocks. */
static void put_citations(struct json_out *o, const struct reply_cited **at,
                          const struct dialog_block *block)
{
    bool any = false;
    for (; *at != NULL && (*at)->block == block; *at = (*at)->next) {
        if (!has_place(&(*at)->citation))
            continue;
        if (!any)
            json_open_array(o, "citations");
        any = true;
        put_citation(o, NULL, &(*at)->citation);
    }
    if (any)
        json_close_array(o);
    else
        json_put_null(o, "citations");
}

/* Models do write arguments that are no JSON object, or are cut off; a body has no place for
 * those.  Wrapped as platform.claude.com "Fine-grained tool streaming" advises. */
static void put_input(struct json_out *o, struct span json)
{
    struct json_doc doc;
    json_init(&doc);
    if (json_parse(&doc, json, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT) {
        json_put_raw(o, "input", json);
    } else {
        json_open_object(o, "input");
        json_put_string(o, "INVALID_JSON", json);
        json_close_object(o);
    }
    json_done(&doc);
}

static void put_block(struct door_writer *w, struct json_out *o, const struct dialog_block *b,
                      const struct reply_cited **cited)
{
    switch (b->kind) {
    case BLOCK_THINKING:
        json_put_string(o, "type", SPAN("thinking"));
        json_put_string(o, "thinking", b->text);
        json_put_string(o, "signature", b->signature.len > 0 ? b->signature : SPAN(UNSIGNED));
        break;
    case BLOCK_REDACTED:
        json_put_string(o, "type", SPAN("redacted_thinking"));
        json_put_string(o, "data", b->signature);
        break;
    case BLOCK_TOOL_CALL:
        json_put_string(o, "type", SPAN("tool_use"));
        json_put_string(o, "id", signed_id(w, b->id, b->signature));
        json_put_string(o, "name", b->name);
        put_input(o, b->json);
        break;
    default:
        json_put_string(o, "type", SPAN("text"));
        json_put_string(o, "text", b->text);
        put_citations(o, cited, b);
        break;
    }
}

static void put_image_block(struct json_out *o, const struct dialog_block *b)
{
    struct buf note;
    buf_init(&note, NOTE_MAX);
    image_note(&b->media, &note);
    json_put_string(o, "type", SPAN("text"));
    json_put_string(o, "text", buf_span(&note));
    json_put_null(o, "citations");
    buf_done(&note);
}

/* Nothing to show, and refused when the client sends it back. */
static bool is_empty(const struct dialog_block *b)
{
    return (b->kind == BLOCK_TEXT || b->kind == BLOCK_REFUSAL) && b->text.len == 0;
}

static void put_content(struct door_writer *w, struct json_out *o)
{
    const struct reply_cited *cited = w->whole.citations.first;
    json_open_array(o, "content");
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_RAW) {
            if (is_anthropic(b->raw_of))
                json_put_raw(o, NULL, b->json);
            continue;
        }
        if (is_empty(b)) {
            while (cited != NULL && cited->block == b)
                cited = cited->next;
            continue;
        }
        json_open_object(o, NULL);
        if (b->kind == BLOCK_IMAGE)
            put_image_block(o, b);
        else
            put_block(w, o, b, &cited);
        json_close_object(o);
    }
    json_close_array(o);
}

static void body_event(struct door_writer *w, const struct reply *r, struct buf *out)
{
    struct json_out o = {.buf = out};
    if (r->kind == REPLY_END) {
        json_open_object(&o, NULL);
        put_message_head(&o, w, w->whole.id);
        put_content(w, &o);
        put_stop(&o, stop_word(w), w->whole.stop_sequence);
        put_usage(&o, w, true);
        json_close_object(&o);
    } else if (r->kind == REPLY_ERROR) {
        json_open_object(&o, NULL);
        put_error(&o, &r->error);
        json_close_object(&o);
    }
}

/* ---- the door ---- */

static bool writer_write(struct door_writer *w, const struct reply *r, struct buf *out)
{
    bool content = r->kind == REPLY_OPEN || r->kind == REPLY_DELTA || r->kind == REPLY_CLOSE;
    if ((!w->answer->stream || !content) && !reply_gather(&w->whole, r))
        return false;
    if (r->kind == REPLY_OPEN) {
        w->called |= r->block == REPLY_TOOL_CALL;
        w->refused |= r->block == REPLY_REFUSAL;
    }
    if (w->answer->stream)
        stream_event(w, r, out);
    else
        body_event(w, r, out);
    return !out->failed;
}

const struct door door_anthropic = {
    .id = DOOR_ANTHROPIC,
    .keep_alive = "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    .read = anthropic_read,
    .open = writer_open,
    .write = writer_write,
    .close = writer_close,
};
