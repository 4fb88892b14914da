#define _GNU_SOURCE
/* Chat Completions answers, whole and in chunks, with the habits of its many dialects. */
#include "sim/openai.h"

static struct json_out begin_at(struct ask *k)
{
    return (struct json_out){.buf = &k->answer->body};
}

static void put_pieces(struct json_out *o, const char *key, const struct part *p, size_t from,
                       size_t n)
{
    json_put_raw(o, key, SPAN("")); /* the key; its value follows */
    speech_put(o->buf, p, from, n);
}

static struct span finish(const struct ask *k)
{
    static const char *const words[SAID_COUNT] = {"stop",       "length",         "stop",
                                                  "tool_calls", "content_filter", "stop"};
    bool spoken = k->script.s[SCRIPT_refusal].ptr != NULL; /* a refusal in words ends with stop */
    return spoken ? SPAN("stop") : speech_stop(&k->speech, words);
}

static bool field_is(const struct ask *k, const char *word)
{
    return span_is(k->script.s[SCRIPT_reasoning_field], word);
}

/* Usage */

static void put_usage(struct ask *k, struct json_out *o, int64_t output_tok)
{
    const struct bill *b = &k->speech.bill;
    int64_t prompt =
        b->input_tok + b->cache_read_tok + b->cache_write_5m_tok + b->cache_write_1h_tok;
    int64_t reasoning = k->speech.think_tok < output_tok ? k->speech.think_tok : output_tok;
    bool on_top = k->script.n[SCRIPT_reasoning_on_top] > 0;
    json_open_object(o, "usage");
    json_put_int(o, "prompt_tokens", prompt);
    json_put_int(o, "completion_tokens", output_tok - (on_top ? reasoning : 0));
    json_put_int(o, "total_tokens", prompt + output_tok);
    json_open_object(o, "prompt_tokens_details");
    json_put_int(o, "cached_tokens", b->cache_read_tok);
    if (b->cache_write_5m_tok + b->cache_write_1h_tok > 0) /* OpenRouter's */
        json_put_int(o, "cache_write_tokens", b->cache_write_5m_tok + b->cache_write_1h_tok);
    json_put_int(o, "audio_tokens", k->script.n[SCRIPT_audio_input]);
    json_close_object(o);
    json_open_object(o, "completion_tokens_details");
    json_put_int(o, "reasoning_tokens", reasoning);
    json_put_int(o, "audio_tokens", k->script.n[SCRIPT_audio_output]);
    json_close_object(o);
    json_close_object(o);
}

static void put_id(struct json_out *o, const char *key, const char *prefix, uint64_t n)
{
    json_put_raw(o, key, SPAN("\""));
    ask_write_id(o->buf, prefix, n);
    buf_addc(o->buf, '"');
}

static void put_call_id(struct ask *k, struct json_out *o, const struct part *p)
{
    if (k->script.n[SCRIPT_no_tool_id] == 0)
        put_id(o, "id", "call_", k->c->exchange.seq * SPEECH_CALLS_MAX + (uint64_t)p->number);
}

static void put_name(struct json_out *o, const struct part *p)
{
    json_put_raw(o, "name", SPAN("\""));
    buf_add_span(o->buf, p->name); /* as the request wrote it */
    buf_addc(o->buf, '"');
}

static void put_head(struct ask *k, struct json_out *o, const char *object)
{
    put_id(o, "id", "chatcmpl-", k->c->exchange.seq);
    json_put_string(o, "object", span_of(object));
    json_put_int(o, "created", sim_unix_ms() / 1000);
    json_put_string(o, "model", k->model);
    json_put_string(o, "system_fingerprint", SPAN("fp_sim"));
}

static void put_filter(struct ask *k, struct json_out *o)
{
    if (k->wire != &wire_azure)
        return;
    json_open_object(o, "content_filter_results");
    json_open_object(o, "hate");
    json_put_bool(o, "filtered", false);
    json_put_string(o, "severity", SPAN("safe"));
    json_close_object(o);
    json_close_object(o);
}

static void put_prompt_filter(struct ask *k, struct json_out *o)
{
    json_open_array(o, "prompt_filter_results");
    json_open_object(o, NULL);
    json_put_int(o, "prompt_index", 0);
    put_filter(k, o);
    json_close_object(o);
    json_close_array(o);
}

/* The whole body */

static void put_thinking(struct ask *k, struct json_out *o, const struct part *thinking,
                         const struct part *text)
{
    if (field_is(k, "parts")) { /* Mistral's */
        json_open_array(o, "content");
        json_open_object(o, NULL);
        json_put_string(o, "type", SPAN("thinking"));
        json_open_array(o, "thinking");
        json_open_object(o, NULL);
        json_put_string(o, "type", SPAN("text"));
        put_pieces(o, "text", thinking, 0, thinking->pieces);
        json_close_object(o);
        json_close_array(o);
        json_close_object(o);
        if (text != NULL) {
            json_open_object(o, NULL);
            json_put_string(o, "type", SPAN("text"));
            put_pieces(o, "text", text, 0, text->pieces);
            json_close_object(o);
        }
        json_close_array(o);
        return;
    }
    put_pieces(o, field_is(k, "reasoning") ? "reasoning" : "reasoning_content", thinking, 0,
               thinking->pieces);
}

static void put_calls(struct ask *k, struct json_out *o)
{
    if (k->speech.n_calls == 0)
        return;
    json_open_array(o, "tool_calls");
    for (int i = 0; i < k->speech.n; i++) {
        const struct part *p = &k->speech.parts[i];
        if (p->kind != PART_TOOL)
            continue;
        json_open_object(o, NULL);
        put_call_id(k, o, p);
        json_put_string(o, "type", SPAN("function"));
        json_open_object(o, "function");
        put_name(o, p);
        json_put_string(o, "arguments", p->text);
        json_close_object(o);
        json_close_object(o);
    }
    json_close_array(o);
}

static void put_message(struct ask *k, struct json_out *o)
{
    const struct part *text = speech_find(&k->speech, PART_TEXT);
    const struct part *thinking = speech_find(&k->speech, PART_THINKING);
    const struct part *refusal = speech_find(&k->speech, PART_REFUSAL);
    bool in_parts = thinking != NULL && field_is(k, "parts");
    json_open_object(o, "message");
    json_put_string(o, "role", SPAN("assistant"));
    if (thinking != NULL)
        put_thinking(k, o, thinking, text);
    if (text != NULL && !in_parts)
        put_pieces(o, "content", text, 0, text->pieces);
    else if (!in_parts)
        json_put_null(o, "content");
    if (refusal != NULL)
        put_pieces(o, "refusal", refusal, 0, refusal->pieces);
    else
        json_put_null(o, "refusal");
    put_calls(k, o);
    json_open_array(o, "annotations");
    json_close_array(o);
    json_close_object(o);
}

static void write_json(struct ask *k)
{
    struct json_out o = begin_at(k);
    json_open_object(&o, NULL);
    put_head(k, &o, "chat.completion");
    json_open_array(&o, "choices");
    json_open_object(&o, NULL);
    json_put_int(&o, "index", 0);
    put_message(k, &o);
    json_put_null(&o, "logprobs");
    json_put_string(&o, "finish_reason", finish(k));
    put_filter(k, &o);
    json_close_object(&o);
    json_close_array(&o);
    if (k->wire == &wire_azure)
        put_prompt_filter(k, &o);
    if (k->script.n[SCRIPT_no_usage] == 0)
        put_usage(k, &o, k->speech.bill.output_tok);
    json_close_object(&o);
    answer_mark(k->answer, k->speech.bill.output_tok);
}

/* Chunks */

struct stream {
    struct ask *k;
    struct json_out out;
    int64_t told; /* tokens so far */
};

static bool usage_is(const struct stream *s, const char *place)
{
    struct span word = s->k->script.s[SCRIPT_usage_place];
    return span_is(word.ptr != NULL ? word : SPAN("last"), place);
}

/* Dialects that do not wait to be asked put it elsewhere than the last chunk. */
static bool shows_usage(const struct stream *s)
{
    bool asked = s->k->heard.include_usage || s->k->script.s[SCRIPT_usage_place].ptr != NULL;
    return asked && s->k->script.n[SCRIPT_no_usage] == 0;
}

static const char *eol(const struct stream *s)
{
    return s->k->script.n[SCRIPT_crlf] > 0 ? "\r\n" : "\n";
}

static void put_comment(struct stream *s)
{
    struct span comment = s->k->script.s[SCRIPT_comment];
    struct buf *out = &s->k->answer->body;
    if (comment.ptr == NULL)
        return;
    buf_adds(out, ": ");
    buf_add_span(out, comment);
    buf_adds(out, eol(s));
    buf_adds(out, eol(s));
}

/* "data: {" and what every chunk begins with. */
static void chunk_begin(struct stream *s)
{
    buf_adds(&s->k->answer->body, "data: ");
    buf_add_span(&s->k->answer->body, buf_span(&s->k->sim->prefix));
    s->out = (struct json_out){.buf = &s->k->answer->body, .comma = true};
}

static void chunk_end(struct stream *s, int64_t tokens)
{
    s->told += tokens;
    json_close_object(&s->out);
    for (int64_t i = s->k->script.n[SCRIPT_pad]; i > 0; i--)
        buf_addc(s->out.buf, ' ');
    buf_adds(s->out.buf, eol(s));
    buf_adds(s->out.buf, eol(s));
    answer_mark(s->k->answer, tokens);
}

/* A chunk with one choice: its delta is open in between. */
static void delta_begin(struct stream *s)
{
    chunk_begin(s);
    json_open_array(&s->out, "choices");
    json_open_object(&s->out, NULL);
    json_put_int(&s->out, "index", 0);
    json_open_object(&s->out, "delta");
}

/* finish: ptr NULL = not yet.  usage: in this chunk. */
static void delta_end_with(struct stream *s, int64_t tokens, struct span finish_word, bool usage)
{
    json_close_object(&s->out);
    put_filter(s->k, &s->out);
    json_put_null(&s->out, "logprobs");
    if (finish_word.ptr != NULL)
        json_put_string(&s->out, "finish_reason", finish_word);
    else
        json_put_null(&s->out, "finish_reason");
    json_close_object(&s->out);
    json_close_array(&s->out);
    if (usage)
        put_usage(s->k, &s->out, s->told + tokens);
    else if (s->k->heard.include_usage && usage_is(s, "last"))
        json_put_null(&s->out, "usage");
    chunk_end(s, tokens);
}

static void delta_end(struct stream *s, int64_t tokens)
{
    delta_end_with(s, tokens, (struct span){NULL, 0}, shows_usage(s) && usage_is(s, "every"));
}

static void put_delta(struct stream *s, const struct speech_walk *w)
{
    struct json_out *o = &s->out;
    const struct part *p = w->part;
    bool thinking = p->kind == PART_THINKING;
    if (p->kind == PART_REFUSAL) {
        put_pieces(o, "refusal", p, w->at, w->n);
    } else if (thinking && field_is(s->k, "parts")) {
        json_open_array(o, "content");
        json_open_object(o, NULL);
        json_put_string(o, "type", SPAN("thinking"));
        json_open_array(o, "thinking");
        json_open_object(o, NULL);
        json_put_string(o, "type", SPAN("text"));
        put_pieces(o, "text", p, w->at, w->n);
        json_close_object(o);
        json_close_array(o);
        json_close_object(o);
        json_close_array(o);
    } else if (thinking && !field_is(s->k, "tags")) {
        put_pieces(o, field_is(s->k, "reasoning") ? "reasoning" : "reasoning_content", p, w->at,
                   w->n);
    } else {
        put_pieces(o, "content", p, w->at, w->n);
    }
}

static void put_tag(struct stream *s, const char *tag)
{
    delta_begin(s);
    json_put_string(&s->out, "content", span_of(tag));
    delta_end(s, 0);
}

static void stream_part(struct stream *s, const struct part *p)
{
    struct speech_walk w = {.part = p};
    bool tags = p->kind == PART_THINKING && field_is(s->k, "tags");
    if (tags)
        put_tag(s, "<think>\n");
    while (speech_next(&s->k->script, &w)) {
        delta_begin(s);
        put_delta(s, &w);
        delta_end(s, w.tokens);
    }
    if (tags)
        put_tag(s, "</think>\n");
    put_comment(s);
}

static void call_begin(struct stream *s, const struct part *p)
{
    delta_begin(s);
    json_open_array(&s->out, "tool_calls");
    json_open_object(&s->out, NULL);
    if (s->k->script.n[SCRIPT_no_tool_id] == 0)
        json_put_int(&s->out, "index", p->number);
}

static void call_end(struct stream *s, int64_t tokens)
{
    json_close_object(&s->out);
    json_close_object(&s->out);
    json_close_array(&s->out);
    delta_end(s, tokens);
}

static void call_head(struct stream *s, const struct part *p)
{
    call_begin(s, p);
    put_call_id(s->k, &s->out, p);
    json_put_string(&s->out, "type", SPAN("function"));
    json_open_object(&s->out, "function");
    put_name(&s->out, p);
    json_put_string(&s->out, "arguments", SPAN(""));
    call_end(s, 0);
}

/* false: nothing of this call is left. */
static bool call_piece(struct stream *s, struct speech_walk *w)
{
    if (!speech_next(&s->k->script, w))
        return false;
    call_begin(s, w->part);
    json_open_object(&s->out, "function");
    put_pieces(&s->out, "arguments", w->part, w->at, w->n);
    call_end(s, w->tokens);
    return true;
}

/* A whole call in one chunk, without index and id: as some servers do. */
static void call_whole(struct stream *s, const struct part *p)
{
    call_begin(s, p);
    json_put_string(&s->out, "type", SPAN("function"));
    json_open_object(&s->out, "function");
    put_name(&s->out, p);
    json_put_string(&s->out, "arguments", p->text);
    call_end(s, p->tokens);
}

static void stream_calls(struct stream *s)
{
    struct speech_walk walks[SPEECH_CALLS_MAX];
    int n = 0;
    for (int i = 0; i < s->k->speech.n; i++) {
        const struct part *p = &s->k->speech.parts[i];
        if (p->kind != PART_TOOL)
            continue;
        walks[n] = (struct speech_walk){.part = p};
        n++;
        if (s->k->script.n[SCRIPT_no_tool_id] > 0) {
            call_whole(s, p);
            continue;
        }
        call_head(s, p);
        while (s->k->script.n[SCRIPT_interleave] == 0 && call_piece(s, &walks[n - 1]))
            continue;
    }
    if (s->k->script.n[SCRIPT_interleave] == 0)
        return;
    bool more = true;
    while (more) {
        more = false;
        for (int i = 0; i < n; i++)
            more = call_piece(s, &walks[i]) || more;
    }
}

static void stream_start(struct stream *s)
{
    if (s->k->wire == &wire_azure) {
        buf_adds(&s->k->answer->body, "data: ");
        s->out = (struct json_out){.buf = &s->k->answer->body};
        json_open_object(&s->out, NULL);
        json_open_array(&s->out, "choices");
        json_close_array(&s->out);
        json_put_int(&s->out, "created", 0);
        json_put_string(&s->out, "id", SPAN(""));
        json_put_string(&s->out, "model", SPAN(""));
        json_put_string(&s->out, "object", SPAN(""));
        put_prompt_filter(s->k, &s->out);
        chunk_end(s, 0);
    }
    put_comment(s);
    delta_begin(s);
    json_put_string(&s->out, "role", SPAN("assistant"));
    json_put_string(&s->out, "content", SPAN(""));
    json_put_null(&s->out, "refusal");
    delta_end(s, 0);
}

/* A chunk of its own for the usage. */
static void stream_usage(struct stream *s)
{
    const int64_t output = s->k->speech.bill.output_tok;
    if (!shows_usage(s) || usage_is(s, "choice") || usage_is(s, "every"))
        return;
    if (usage_is(s, "beside")) { /* OpenRouter: beside an empty choice */
        delta_begin(s);
        json_put_string(&s->out, "content", SPAN(""));
        s->told = output;
        delta_end_with(s, 0, (struct span){NULL, 0}, true);
        return;
    }
    chunk_begin(s);
    json_open_array(&s->out, "choices");
    json_close_array(&s->out);
    put_usage(s->k, &s->out, output);
    if (usage_is(s, "groq")) { /* twice */
        json_open_object(&s->out, "x_groq");
        put_usage(s->k, &s->out, output);
        json_close_object(&s->out);
    }
    chunk_end(s, 0);
}

static void write_stream(struct ask *k)
{
    struct stream s = {.k = k};
    struct buf *prefix = &k->sim->prefix;
    buf_reset(prefix);
    struct json_out head = {.buf = prefix};
    json_open_object(&head, NULL);
    put_head(k, &head, "chat.completion.chunk");
    stream_start(&s);
    for (int i = 0; i < k->speech.n; i++) {
        enum part_kind kind = k->speech.parts[i].kind;
        if (kind != PART_TOOL && kind != PART_SEARCH)
            stream_part(&s, &k->speech.parts[i]);
    }
    stream_calls(&s);
    delta_begin(&s);
    s.told = k->speech.bill.output_tok;
    delta_end_with(&s, 0, finish(k),
                   shows_usage(&s) && (usage_is(&s, "choice") || usage_is(&s, "every")));
    stream_usage(&s);
    if (k->script.n[SCRIPT_done] > 0) {
        buf_adds(&k->answer->body, "data: [DONE]");
        buf_adds(&k->answer->body, eol(&s));
        buf_adds(&k->answer->body, eol(&s));
        answer_mark(k->answer, 0);
    }
}

void openai_write(struct ask *k)
{
    if (k->speech.stream)
        write_stream(k);
    else
        write_json(k);
}

/* Errors */

static const char *error_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } rows[] = {{401, "invalid_request_error"}, {403, "permission_error"},
                {404, "invalid_request_error"}, {429, "rate_limit_exceeded"},
                {402, "insufficient_quota"},    {503, "service_unavailable"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return rows[i].type;
    }
    return status >= 500 ? "server_error" : "invalid_request_error";
}

static void put_error(struct json_out *o, struct span type, struct span message, struct span code)
{
    json_open_object(o, "error");
    json_put_string(o, "message", message);
    json_put_string(o, "type", type);
    json_put_null(o, "param");
    if (code.ptr != NULL)
        json_put_string(o, "code", code);
    else
        json_put_null(o, "code");
    json_close_object(o);
}

void openai_write_error(struct buf *out, int status, struct span type, struct span message,
                        uint64_t seq)
{
    (void)seq;
    struct json_out o = {.buf = out};
    struct span code = status == 401   ? SPAN("invalid_api_key")
                       : status == 404 ? SPAN("model_not_found")
                       : status == 429 ? SPAN("rate_limit_exceeded")
                                       : (struct span){NULL, 0};
    json_open_object(&o, NULL);
    put_error(&o, type.ptr != NULL ? type : span_of(error_type(status)), message, code);
    json_close_object(&o);
}

void openai_write_error_event(struct ask *k, struct span type, struct span message)
{
    struct stream s = {.k = k};
    struct span form = k->script.s[SCRIPT_error_form];
    if (type.ptr == NULL)
        type = SPAN("server_error");
    if (span_is(form, "choice")) { /* OpenRouter: in a chunk that ends its choice */
        delta_begin(&s);
        json_put_string(&s.out, "content", SPAN(""));
        json_close_object(&s.out);
        json_put_string(&s.out, "finish_reason", SPAN("error"));
        json_close_object(&s.out);
        json_close_array(&s.out);
        json_open_object(&s.out, "error");
        json_put_int(&s.out, "code", 502);
        json_put_string(&s.out, "message", message);
        json_close_object(&s.out);
        chunk_end(&s, 0);
        return;
    }
    if (span_is(form, "event")) { /* Groq */
        buf_adds(&k->answer->body, "event: error");
        buf_adds(&k->answer->body, eol(&s));
    }
    buf_adds(&k->answer->body, "data: ");
    s.out = (struct json_out){.buf = &k->answer->body};
    json_open_object(&s.out, NULL);
    put_error(&s.out, type, message, (struct span){NULL, 0});
    chunk_end(&s, 0);
}

/* Both wires */

static void add_headers(struct ask *k, const struct script *s)
{
    if (s == NULL || !script_has_header(s, "x-request-id")) {
        buf_adds(&k->answer->head, "x-request-id: ");
        ask_write_id(&k->answer->head, "req_", k->c->exchange.seq);
        buf_adds(&k->answer->head, "\r\n");
    }
    ask_header(k, s, "x-ratelimit-limit-requests", SPAN("5000"));
    ask_header(k, s, "x-ratelimit-remaining-requests", SPAN("4999"));
}

static bool azure_has_credential(const struct http_request *r)
{
    return http_has(r, "api-key") || http_bearer(r).len > 0;
}

static bool azure_read(struct ask *k)
{
    struct span query = k->call->query;
    static const char name[] = "api-version=";
    if (query.len <= sizeof(name) - 1 || memcmp(query.ptr, name, sizeof(name) - 1) != 0)
        return ask_refuse(k, 404, "Resource not found");
    return openai_read(k);
}

const struct wire wire_openai = {
    .name = "openai",
    .messages = "messages",
    .content = "content",
    .stream_type = "text/event-stream; charset=utf-8",
    .ping = ": keep-alive\n\n",
    .read = openai_read,
    .write = openai_write,
    .write_error_event = openai_write_error_event,
    .write_error = openai_write_error,
    .add_headers = add_headers,
};

const struct wire wire_azure = {
    .name = "azure-openai",
    .messages = "messages",
    .content = "content",
    .stream_type = "text/event-stream; charset=utf-8",
    .ping = ": keep-alive\n\n",
    .has_credential = azure_has_credential,
    .no_credential_status = 401,
    .read = azure_read,
    .write = openai_write,
    .write_error_event = openai_write_error_event,
    .write_error = openai_write_error,
    .add_headers = add_headers,
};
