/* Answers in OpenAI's protocol, from what a provider of another protocol meant: chunks of a stream
 * here, a whole body in openai_door_body.c.
 * platform.openai.com/docs/api-reference/chat-streaming and .../chat/object; thinking, pictures,
 * cost and errors inside of a stream as OpenRouter has them
 * (openrouter.ai/docs/api-reference/streaming, .../use-cases/reasoning-tokens). */
#include "providers/openai_door_write.h"

#include <stdlib.h>

#include "schema/toolsig.h"

enum { HEAD_MAX = 64 * 1024 };

struct door_writer *openai_door_open(const struct door_answer *answer)
{
    struct door_writer *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->answer = answer;
    reply_whole_init(&w->whole);
    buf_init(&w->head, HEAD_MAX);
    buf_init(&w->notes, PROVIDER_EVENT_MAX);
    buf_init(&w->tool_id, 2 * TOOLSIG_MAX);
    return w;
}

void openai_door_close(struct door_writer *w)
{
    if (w == NULL)
        return;
    reply_whole_done(&w->whole);
    buf_done(&w->head);
    buf_done(&w->notes);
    buf_done(&w->tool_id);
    free(w);
}

/* ---- parts that streams and bodies share ---- */

void openai_answer_head(struct json_out *o, const struct door_writer *w, const char *object)
{
    const struct door_answer *a = w->answer;
    struct span id = w->whole.id;
    int64_t created_s = w->whole.created_s;
    json_put_string(o, "id", id.len > 0 ? id : span_of(a->generation_id));
    json_put_string(o, "object", span_of(object));
    json_put_int(o, "created", created_s > 0 ? created_s : a->created_s);
    json_put_string(o, "model", span_of(a->model));
    if (a->report && a->provider != NULL)
        json_put_string(o, "provider", span_of(a->provider));
}

/* Some providers say "stop" behind a tool call, and clients then do not run the tool
 * (litellm#34692).  Who refused in words has stopped by itself: the words are in `refusal`. */
const char *openai_answer_finish(const struct door_writer *w)
{
    static const char *const words[] = {
        [STOPPED_END] = "stop",
        [STOPPED_LENGTH] = "length",
        [STOPPED_SEQUENCE] = "stop",
        [STOPPED_TOOL] = "tool_calls",
        [STOPPED_REFUSAL] = "content_filter",
        [STOPPED_PAUSE] = "stop",
        [STOPPED_CONTEXT] = "length",
    };
    enum reply_stop stop = w->whole.stop;
    if (stop == STOPPED_REFUSAL && w->refused)
        stop = STOPPED_END;
    if (stop == STOPPED_END && w->n_calls > 0)
        stop = STOPPED_TOOL;
    return words[stop];
}

static void put_cost(struct json_out *o, const struct door_answer *a)
{
    if (!a->report || a->cost_usd == NULL)
        return;
    json_put_raw(o, "cost", span_of(a->cost_usd));
    json_open_object(o, "cost_details");
    json_put_raw(o, "upstream_inference_cost", span_of(a->cost_usd));
    json_close_object(o);
}

/* prompt_tokens holds all of the prompt, what came from the cache too. */
void openai_answer_usage(struct json_out *o, const struct door_writer *w)
{
    const struct usage *u = &w->whole.usage;
    int64_t prompt = usage_prompt_tok(u), output = u->n[USAGE_output_tok];
    int64_t written = u->n[USAGE_cache_write_5m_tok] + u->n[USAGE_cache_write_1h_tok];
    int64_t heard = u->n[USAGE_audio_input_tok] + u->n[USAGE_audio_cache_read_tok];
    int64_t said = u->n[USAGE_audio_output_tok];
    json_open_object(o, "usage");
    json_put_int(o, "prompt_tokens", prompt);
    json_put_int(o, "completion_tokens", output);
    json_put_int(o, "total_tokens", prompt + output);
    json_open_object(o, "prompt_tokens_details");
    json_put_int(o, "cached_tokens", u->n[USAGE_cache_read_tok]);
    if (written > 0)
        json_put_int(o, "cache_write_tokens", written);
    if (heard > 0)
        json_put_int(o, "audio_tokens", heard);
    json_close_object(o);
    if (w->whole.reasoning_tok >= 0 || said > 0) {
        json_open_object(o, "completion_tokens_details");
        if (w->whole.reasoning_tok >= 0)
            json_put_int(o, "reasoning_tokens", w->whole.reasoning_tok);
        if (said > 0)
            json_put_int(o, "audio_tokens", said);
        json_close_object(o);
    }
    if (u->n[USAGE_web_searches] > 0) {
        json_open_object(o, "server_tool_use_details");
        json_put_int(o, "web_search_requests", u->n[USAGE_web_searches]);
        json_close_object(o);
    }
    put_cost(o, w->answer);
    json_close_object(o);
}

/* A signature of Anthropic's is known by its format to OpenRouter's clients; others are ours to
 * know (THINKING_FOREIGN). */
static const char *format_of(struct span signature)
{
    const struct span foreign = SPAN(THINKING_FOREIGN);
    bool ours =
        signature.len >= foreign.len && memcmp(signature.ptr, foreign.ptr, foreign.len) == 0;
    return ours ? "unknown" : "anthropic-claude-v1";
}

void openai_answer_thought(struct json_out *o, int64_t index, struct span text,
                           struct span signature)
{
    json_open_object(o, NULL);
    json_put_string(o, "type", SPAN("reasoning.text"));
    json_put_some_string(o, "text", text);
    if (signature.len > 0) {
        json_put_string(o, "signature", signature);
        json_put_string(o, "format", span_of(format_of(signature)));
    }
    json_put_int(o, "index", index);
    json_close_object(o);
}

void openai_answer_redacted(struct json_out *o, int64_t index, struct span data)
{
    json_open_object(o, NULL);
    json_put_string(o, "type", SPAN("reasoning.encrypted"));
    json_put_string(o, "data", data);
    json_put_string(o, "format", span_of(format_of(data)));
    json_put_int(o, "index", index);
    json_close_object(o);
}

void openai_answer_open_citation(struct json_out *o, const struct reply_citation *c)
{
    json_open_object(o, NULL);
    json_put_string(o, "type", SPAN("url_citation"));
    json_open_object(o, "url_citation");
    json_put_string(o, "url", c->url);
    json_put_string(o, "title", c->title);
    json_put_some_string(o, "content", c->quoted);
}

void openai_answer_close_citation(struct json_out *o, int64_t start, int64_t end)
{
    json_put_int(o, "start_index", start);
    json_put_int(o, "end_index", end);
    json_close_object(o);
    json_close_object(o);
}

void openai_answer_image(struct json_out *o, const struct dialog_media *media)
{
    const struct span parts[] = {SPAN("data:"), media->type, SPAN(";base64,"), media->data};
    json_open_object(o, NULL);
    json_put_string(o, "type", SPAN("image_url"));
    json_open_object(o, "image_url");
    if (media->from == MEDIA_BASE64)
        json_put_strings(o, "url", parts, 4);
    else
        json_put_string(o, "url", media->data);
    json_close_object(o);
    json_close_object(o);
}

struct span openai_answer_signed_id(struct door_writer *w, struct span id, struct span signature)
{
    buf_reset(&w->tool_id);
    return toolsig_join(id, signature, &w->tool_id) ? buf_span(&w->tool_id) : id;
}

int64_t openai_answer_chars(struct span text)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* ---- chunks ---- */

/* What every chunk begins with. */
static void add_head(struct door_writer *w, struct json_out *o)
{
    if (w->head.len == 0) {
        struct json_out head = {.buf = &w->head};
        buf_adds(&w->head, "data: ");
        json_open_object(&head, NULL);
        openai_answer_head(&head, w, "chat.completion.chunk");
    }
    buf_add_span(o->buf, buf_span(&w->head));
    o->comma = true;
}

static void end_event(struct json_out *o)
{
    json_close_object(o);
    buf_adds(o->buf, "\n\n");
}

static void begin_choice(struct json_out *o)
{
    json_open_array(o, "choices");
    json_open_object(o, NULL);
    json_put_int(o, "index", 0);
    json_open_object(o, "delta");
}

static void end_choice(struct json_out *o, const char *finish_reason)
{
    json_close_object(o);
    json_put_null(o, "logprobs");
    if (finish_reason != NULL)
        json_put_string(o, "finish_reason", span_of(finish_reason));
    else
        json_put_null(o, "finish_reason");
    json_close_object(o);
    json_close_array(o);
}

static void begin_chunk(struct door_writer *w, struct json_out *o)
{
    add_head(w, o);
    begin_choice(o);
}

static void end_chunk(struct json_out *o)
{
    end_choice(o, NULL);
    end_event(o);
}

static void chunk_of_string(struct door_writer *w, struct json_out *o, const char *name,
                            struct span text)
{
    begin_chunk(w, o);
    json_put_string(o, name, text);
    end_chunk(o);
}

static void chunk_of_arguments(struct door_writer *w, struct json_out *o, struct span text)
{
    w->has_arguments = true;
    begin_chunk(w, o);
    json_open_array(o, "tool_calls");
    json_open_object(o, NULL);
    json_put_int(o, "index", w->n_calls - 1);
    json_open_object(o, "function");
    json_put_string(o, "arguments", text);
    json_close_object(o);
    json_close_object(o);
    json_close_array(o);
    end_chunk(o);
}

static void chunk_of_call(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    w->has_arguments = false;
    begin_chunk(w, o);
    json_open_array(o, "tool_calls");
    json_open_object(o, NULL);
    json_put_int(o, "index", w->n_calls++);
    json_put_string(o, "id", openai_answer_signed_id(w, r->id, r->signature));
    json_put_string(o, "type", SPAN("function"));
    json_open_object(o, "function");
    json_put_string(o, "name", r->name);
    json_put_string(o, "arguments", SPAN(""));
    json_close_object(o);
    json_close_object(o);
    json_close_array(o);
    end_chunk(o);
}

static void chunk_of_thought(struct door_writer *w, struct json_out *o, struct span text,
                             struct span signature)
{
    begin_chunk(w, o);
    if (text.len > 0) {
        json_put_string(o, "reasoning_content", text);
        json_put_string(o, "reasoning", text);
    }
    json_open_array(o, "reasoning_details");
    openai_answer_thought(o, w->n_thoughts - 1, text, signature);
    json_close_array(o);
    end_chunk(o);
}

static void chunk_of_redacted(struct door_writer *w, struct json_out *o, struct span data)
{
    begin_chunk(w, o);
    json_open_array(o, "reasoning_details");
    openai_answer_redacted(o, w->n_thoughts - 1, data);
    json_close_array(o);
    end_chunk(o);
}

static void chunk_of_image(struct door_writer *w, struct json_out *o,
                           const struct dialog_media *media)
{
    begin_chunk(w, o);
    json_open_array(o, "images");
    openai_answer_image(o, media);
    json_close_array(o);
    end_chunk(o);
}

/* ---- citations: they name a piece of the text, whose end is known when it is closed ---- */

static void keep_citation(struct door_writer *w, const struct reply_citation *c)
{
    struct json_out note = {.buf = &w->notes};
    if (c->url.len == 0)
        return; /* of a document: there is no place for it */
    openai_answer_open_citation(&note, c);
    buf_addc(&w->notes, '\0');
}

static void chunk_of_citations(struct door_writer *w, struct json_out *o)
{
    if (w->notes.len == 0)
        return;
    begin_chunk(w, o);
    json_open_array(o, "annotations");
    for (size_t at = 0; at < w->notes.len; at += strlen(w->notes.ptr + at) + 1) {
        json_put_raw(o, NULL, span_of(w->notes.ptr + at));
        openai_answer_close_citation(o, w->block_at, w->text_chars);
    }
    json_close_array(o);
    end_chunk(o);
    buf_reset(&w->notes);
}

/* ---- a stream ---- */

static void stream_start(struct door_writer *w, struct json_out *o)
{
    begin_chunk(w, o);
    json_put_string(o, "role", SPAN("assistant"));
    json_put_string(o, "content", SPAN(""));
    end_chunk(o);
}

static bool is_thinking(enum reply_block block)
{
    return block == REPLY_THINKING || block == REPLY_REDACTED;
}

static void stream_open(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    w->n_thoughts += is_thinking(r->block);
    w->refused |= r->block == REPLY_REFUSAL;
    w->block_at = w->text_chars;
    if (r->block == REPLY_TOOL_CALL)
        chunk_of_call(w, o, r);
    if (r->block == REPLY_REDACTED && r->signature.len > 0 && !w->answer->hide_thinking)
        chunk_of_redacted(w, o, r->signature);
    if (r->block == REPLY_IMAGE)
        chunk_of_image(w, o, &r->media);
}

static void stream_text(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    if (r->text.len == 0)
        return;
    if (r->block == REPLY_THINKING) {
        chunk_of_thought(w, o, r->text, (struct span){"", 0});
    } else if (r->block == REPLY_REFUSAL) {
        chunk_of_string(w, o, "refusal", r->text);
    } else {
        w->text_chars += openai_answer_chars(r->text);
        chunk_of_string(w, o, "content", r->text);
    }
}

static void stream_delta(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    if (is_thinking(r->block) && w->answer->hide_thinking)
        return;
    switch (r->delta) {
    case DELTA_TEXT:
        stream_text(w, o, r);
        break;
    case DELTA_ARGUMENTS:
        if (r->text.len > 0)
            chunk_of_arguments(w, o, r->text);
        break;
    case DELTA_SIGNATURE:
        chunk_of_thought(w, o, (struct span){"", 0}, r->text);
        break;
    case DELTA_CITATION:
        keep_citation(w, &r->citation);
        break;
    }
}

static void stream_close(struct door_writer *w, struct json_out *o, const struct reply *r)
{
    if (r->block == REPLY_TOOL_CALL && !w->has_arguments)
        chunk_of_arguments(w, o, SPAN("{}"));
    chunk_of_citations(w, o);
}

/* The reason comes with the end, not before: clients take it for the end. */
static void stream_end(struct door_writer *w, struct json_out *o)
{
    begin_chunk(w, o);
    end_choice(o, openai_answer_finish(w));
    end_event(o);
    if (w->answer->include_usage && w->whole.usage.seen != 0) {
        add_head(w, o);
        json_open_array(o, "choices");
        json_close_array(o);
        openai_answer_usage(o, w);
        end_event(o);
    }
    buf_adds(o->buf, "data: [DONE]\n\n");
}

/* OpenRouter's form, which OpenAI's clients understand as well: its typed clients want a number for
 * a code. */
static void stream_error(struct door_writer *w, struct json_out *o, const struct reply_error *e)
{
    const struct span message = SPAN("The provider reported an error.");
    add_head(w, o);
    json_open_object(o, "error");
    json_put_int(o, "code", e->http_status > 0 ? e->http_status : 502);
    json_put_string(o, "message", e->message.len > 0 ? e->message : message);
    json_put_string(o, "type", e->type.len > 0 ? e->type : SPAN("server_error"));
    json_close_object(o);
    begin_choice(o);
    json_put_string(o, "content", SPAN(""));
    end_choice(o, "error");
    end_event(o);
}

static void stream_event(struct door_writer *w, const struct reply *r, struct buf *out)
{
    struct json_out o = {.buf = out};
    switch (r->kind) {
    case REPLY_START:
        stream_start(w, &o);
        break;
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
        stream_error(w, &o, &r->error);
        break;
    case REPLY_USAGE:
    case REPLY_STOP:
        break;
    }
}

static bool is_content(const struct reply *r)
{
    return r->kind == REPLY_OPEN || r->kind == REPLY_DELTA || r->kind == REPLY_CLOSE;
}

bool openai_door_write(struct door_writer *w, const struct reply *r, struct buf *out)
{
    bool stream = w->answer->stream;
    if (!(stream && is_content(r)) && !reply_gather(&w->whole, r))
        return false;
    if (stream)
        stream_event(w, r, out);
    else if (r->kind == REPLY_END)
        openai_answer_body(w, out);
    return !out->failed && !w->head.failed && !w->notes.failed && !w->whole.memory.failed;
}
