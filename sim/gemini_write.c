#define _GNU_SOURCE
/* generateContent answers, whole and streamed, and the wires of the two houses. */
#include "sim/gemini.h"

#include <stdio.h>

#include "sim/base64.h"

struct stream {
    struct ask *k;
    struct json_out out;
    int64_t told, thought; /* tokens so far */
    int64_t hidden;        /* of them, in no event yet */
    bool array;            /* one JSON array, not alt=sse */
};

static void put_pieces(struct json_out *o, const char *key, const struct part *p, size_t from,
                       size_t n)
{
    json_put_raw(o, key, SPAN("")); /* the key; its value follows */
    speech_put(o->buf, p, from, n);
}

static void put_signature(struct ask *k, struct json_out *o)
{
    char text[40];
    int len = snprintf(text, sizeof(text), "sim-thought-signature-%08x",
                       (unsigned)(k->c->exchange.seq * 2654435761u));
    json_put_raw(o, "thoughtSignature", SPAN("\""));
    base64_encode(o->buf, (struct span){text, (size_t)len});
    buf_addc(o->buf, '"');
}

/* Parts */

/* Where thoughts are hidden nothing shows but the signature. */
static void put_part(struct json_out *o, const struct part *p, size_t from, size_t n)
{
    json_open_object(o, NULL);
    put_pieces(o, "text", p, from, n);
    if (p->kind == PART_THINKING)
        json_put_bool(o, "thought", true);
    json_close_object(o);
}

static void put_call(struct ask *k, struct json_out *o, const struct part *p)
{
    json_open_object(o, NULL);
    json_open_object(o, "functionCall");
    json_put_raw(o, "name", SPAN("\""));
    buf_add_span(o->buf, p->name); /* as the request wrote it */
    buf_addc(o->buf, '"');
    json_put_raw(o, "args", p->text);
    if (k->script.n[SCRIPT_no_tool_id] == 0) {
        json_put_raw(o, "id", SPAN("\""));
        ask_write_id(o->buf, "call_", k->c->exchange.seq * SPEECH_CALLS_MAX + (uint64_t)p->number);
        buf_addc(o->buf, '"');
    }
    json_close_object(o);
    if (p->number == 0 && k->speech.think_tok > 0)
        put_signature(k, o);
    json_close_object(o);
}

/* Without a call the signature comes in a last, empty part. */
static void put_last_signature(struct ask *k, struct json_out *o)
{
    if (k->speech.think_tok == 0 || k->speech.n_calls > 0)
        return;
    json_open_object(o, NULL);
    json_put_string(o, "text", SPAN(""));
    put_signature(k, o);
    json_close_object(o);
}

/* Around the parts */

static void put_modality(struct json_out *o, const char *name, const char *modality, int64_t tok)
{
    if (tok <= 0)
        return;
    json_open_array(o, name);
    json_open_object(o, NULL);
    json_put_string(o, "modality", span_of(modality));
    json_put_int(o, "tokenCount", tok);
    json_close_object(o);
    json_close_array(o);
}

static void put_usage(struct ask *k, struct json_out *o, int64_t output_tok, int64_t thought_tok)
{
    const struct bill *b = &k->speech.bill;
    int64_t prompt =
        b->input_tok + b->cache_read_tok + b->cache_write_5m_tok + b->cache_write_1h_tok;
    if (k->script.n[SCRIPT_no_usage] > 0)
        return;
    json_open_object(o, "usageMetadata");
    json_put_int(o, "promptTokenCount", prompt);
    if (b->cache_read_tok > 0)
        json_put_int(o, "cachedContentTokenCount", b->cache_read_tok);
    json_put_int(o, "candidatesTokenCount", output_tok - thought_tok);
    if (thought_tok > 0)
        json_put_int(o, "thoughtsTokenCount", thought_tok);
    json_put_int(o, "totalTokenCount", prompt + output_tok);
    put_modality(o, "promptTokensDetails", "AUDIO", k->script.n[SCRIPT_audio_input]);
    put_modality(o, "candidatesTokensDetails", "AUDIO", k->script.n[SCRIPT_audio_output]);
    json_close_object(o);
}

static void put_tail(struct ask *k, struct json_out *o)
{
    json_put_string(o, "modelVersion", k->model);
    json_put_raw(o, "responseId", SPAN("\""));
    ask_write_id(o->buf, "", k->c->exchange.seq);
    buf_addc(o->buf, '"');
}

static struct span finish(const struct ask *k)
{
    static const char *const words[SAID_COUNT] = {"STOP", "MAX_TOKENS", "STOP",
                                                  "STOP", "SAFETY",     "STOP"};
    return speech_stop(&k->speech, words);
}

static void parts_begin(struct json_out *o)
{
    json_open_object(o, NULL);
    json_open_array(o, "candidates");
    json_open_object(o, NULL);
    json_open_object(o, "content");
    json_open_array(o, "parts");
}

/* finished: with the reason. */
static void parts_end(struct ask *k, struct json_out *o, bool finished)
{
    json_close_array(o);
    json_put_string(o, "role", SPAN("model"));
    json_close_object(o);
    if (finished)
        json_put_string(o, "finishReason", finish(k));
    json_put_int(o, "index", 0);
    json_close_object(o);
    json_close_array(o);
}

static void write_json(struct ask *k)
{
    struct json_out o = {.buf = &k->answer->body};
    parts_begin(&o);
    for (int i = 0; i < k->speech.n; i++) {
        const struct part *p = &k->speech.parts[i];
        if (p->kind == PART_TOOL)
            put_call(k, &o, p);
        else if (p->pieces > 0)
            put_part(&o, p, 0, p->pieces);
    }
    put_last_signature(k, &o);
    parts_end(k, &o, true);
    put_usage(k, &o, k->speech.bill.output_tok, k->speech.think_tok);
    put_tail(k, &o);
    json_close_object(&o);
    answer_mark(k->answer, k->speech.bill.output_tok);
}

/* The stream: each event is a whole answer of its own */

static void event_begin(struct stream *s)
{
    struct buf *out = &s->k->answer->body;
    if (s->array)
        buf_adds(out, out->len == 0 ? "[" : ",\r\n");
    else
        buf_adds(out, "data: ");
    s->out = (struct json_out){.buf = out};
}

static void event_end(struct stream *s, int64_t tokens)
{
    if (!s->array)
        buf_adds(s->out.buf, "\r\n\r\n");
    answer_mark(s->k->answer, tokens);
}

static void chunk_begin(struct stream *s)
{
    event_begin(s);
    parts_begin(&s->out);
}

static void chunk_end(struct stream *s, int64_t tokens, bool finished)
{
    s->told += tokens;
    parts_end(s->k, &s->out, finished);
    put_usage(s->k, &s->out, s->told, s->thought);
    put_tail(s->k, &s->out);
    json_close_object(&s->out);
    event_end(s, tokens + s->hidden);
    s->hidden = 0;
}

static void stream_part(struct stream *s, const struct part *p)
{
    struct speech_walk w = {.part = p};
    if (p->kind == PART_THINKING && p->pieces == 0) { /* hidden: counted with what follows */
        s->told += p->tokens;
        s->thought += p->tokens;
        s->hidden += p->tokens;
    }
    while (speech_next(&s->k->script, &w)) {
        chunk_begin(s);
        put_part(&s->out, p, w.at, w.n);
        s->thought += p->kind == PART_THINKING ? w.tokens : 0;
        chunk_end(s, w.tokens, false);
    }
}

static void write_stream(struct ask *k)
{
    static const char sse[] = "alt=sse";
    const struct span query = k->call->query;
    struct stream s = {.k = k};
    s.array = query.len == 0 || memmem(query.ptr, query.len, sse, sizeof(sse) - 1) == NULL;
    for (int i = 0; i < k->speech.n; i++) {
        const struct part *p = &k->speech.parts[i];
        if (p->kind == PART_TOOL) { /* a call comes whole */
            chunk_begin(&s);
            put_call(k, &s.out, p);
            chunk_end(&s, p->tokens, false);
        } else if (p->kind != PART_SEARCH) {
            stream_part(&s, p);
        }
    }
    chunk_begin(&s);
    if (k->speech.think_tok > 0 && k->speech.n_calls == 0) {
        put_last_signature(k, &s.out);
    } else {
        json_open_object(&s.out, NULL);
        json_put_string(&s.out, "text", SPAN(""));
        json_close_object(&s.out);
    }
    chunk_end(&s, k->speech.bill.output_tok - s.told, true);
    if (s.array) {
        buf_adds(&k->answer->body, "]");
        answer_mark(k->answer, 0);
    }
}

void gemini_write(struct ask *k)
{
    if (k->speech.stream)
        write_stream(k);
    else
        write_json(k);
}

static void write_count(struct ask *k, int64_t tokens)
{
    struct json_out o = {.buf = &k->answer->body};
    json_open_object(&o, NULL);
    json_put_int(&o, "totalTokens", tokens);
    json_close_object(&o);
}

/* Errors */

static void write_error(struct buf *out, int status, struct span type, struct span message,
                        uint64_t seq)
{
    static const struct {
        int status;
        const char *word;
    } rows[] = {{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"}, {403, "PERMISSION_DENIED"},
                {404, "NOT_FOUND"},        {409, "ABORTED"},         {429, "RESOURCE_EXHAUSTED"},
                {499, "CANCELLED"},        {503, "UNAVAILABLE"},     {504, "DEADLINE_EXCEEDED"}};
    (void)seq;
    struct json_out o = {.buf = out};
    struct span word = SPAN("INTERNAL");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            word = span_of(rows[i].word);
    }
    json_open_object(&o, NULL);
    json_open_object(&o, "error");
    json_put_int(&o, "code", status);
    json_put_string(&o, "message", message);
    json_put_string(&o, "status", type.ptr != NULL ? type : word);
    json_close_object(&o);
    json_close_object(&o);
}

/* Vertex has been seen to write it bare between events. */
static void write_error_event(struct ask *k, struct span type, struct span message)
{
    bool raw = span_is(k->script.s[SCRIPT_error_form], "raw");
    if (!raw)
        buf_adds(&k->answer->body, "data: ");
    write_error(&k->answer->body, 503, type, message, k->c->exchange.seq);
    buf_adds(&k->answer->body, raw ? "\n" : "\r\n\r\n");
    answer_mark(k->answer, 0);
}

/* The wires */

static void add_headers(struct ask *k, const struct script *s)
{
    ask_header(k, s, "vary", SPAN("Origin, X-Origin, Referer"));
    ask_header(k, s, "x-content-type-options", SPAN("nosniff"));
}

static bool gemini_has_credential(const struct http_request *r)
{
    return http_has(r, "x-goog-api-key");
}

static bool vertex_has_credential(const struct http_request *r)
{
    return http_bearer(r).len > 0;
}

#define WIRE(wire_name, credential, status)                                                        \
    {                                                                                              \
        .name = (wire_name), .messages = "contents", .content = "parts",                           \
        .stream_type = "text/event-stream", .has_credential = (credential),                        \
        .no_credential_status = (status), .read = gemini_read, .write = gemini_write,              \
        .write_count = write_count, .write_error_event = write_error_event,                        \
        .write_error = write_error, .add_headers = add_headers                                     \
    }

const struct wire wire_gemini = WIRE("gemini", gemini_has_credential, 403);
const struct wire wire_vertex = WIRE("vertex", vertex_has_credential, 401);
