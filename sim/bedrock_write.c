#define _GNU_SOURCE
/* Converse answers, whole and as AWS events, and the wires of Bedrock's paths. */
#include "sim/bedrock.h"

#include "sim/anthropic.h"
#include "sim/aws_event.h"

static void put_pieces(struct json_out *o, const char *key, const struct part *p, size_t from,
                       size_t n)
{
    json_put_raw(o, key, SPAN("")); /* the key; its value follows */
    speech_put(o->buf, p, from, n);
}

static void put_id(struct ask *k, struct json_out *o, const struct part *p)
{
    json_put_raw(o, "toolUseId", SPAN("\""));
    ask_write_id(o->buf, "tooluse_", k->c->exchange.seq * SPEECH_CALLS_MAX + (uint64_t)p->number);
    buf_addc(o->buf, '"');
}

static void put_name(struct json_out *o, const struct part *p)
{
    json_put_raw(o, "name", SPAN("\""));
    buf_add_span(o->buf, p->name); /* as the request wrote it */
    buf_addc(o->buf, '"');
}

static void put_signature(struct ask *k, struct json_out *o)
{
    json_put_raw(o, "signature", SPAN(""));
    anthropic_write_signature(o->buf, k->c->exchange.seq);
}

static struct span stop_reason(const struct ask *k)
{
    static const char *const words[SAID_COUNT] = {"end_turn", "max_tokens",       "stop_sequence",
                                                  "tool_use", "content_filtered", "end_turn"};
    return speech_stop(&k->speech, words);
}

static void put_usage(struct ask *k, struct json_out *o)
{
    const struct bill *b = &k->speech.bill;
    int64_t written = b->cache_write_5m_tok + b->cache_write_1h_tok;
    if (k->script.n[SCRIPT_no_usage] > 0)
        return;
    json_open_object(o, "usage");
    json_put_int(o, "inputTokens", b->input_tok);
    json_put_int(o, "outputTokens", b->output_tok);
    json_put_int(o, "totalTokens", b->input_tok + b->cache_read_tok + written + b->output_tok);
    json_put_int(o, "cacheReadInputTokens", b->cache_read_tok);
    json_put_int(o, "cacheWriteInputTokens", written);
    if (written > 0) {
        json_open_array(o, "cacheDetails");
        json_open_object(o, NULL);
        json_put_int(o, "inputTokens", b->cache_write_5m_tok);
        json_put_string(o, "ttl", SPAN("5m"));
        json_close_object(o);
        json_open_object(o, NULL);
        json_put_int(o, "inputTokens", b->cache_write_1h_tok);
        json_put_string(o, "ttl", SPAN("1h"));
        json_close_object(o);
        json_close_array(o);
    }
    json_close_object(o);
}

/* What the request asks the model's own answer for. */
static void put_additional(struct ask *k, struct json_out *o)
{
    json_ref paths = json_get(k->doc, 0, "additionalModelResponseFieldPaths");
    json_ref path = paths != JSON_NONE ? json_first(k->doc, paths) : JSON_NONE;
    if (path == JSON_NONE || !json_text_is(k->doc, path, "/stop_sequence"))
        return;
    json_open_object(o, "additionalModelResponseFields");
    if (k->speech.said == SAID_SEQUENCE)
        json_put_string(o, "stop_sequence", k->speech.sequence);
    else
        json_put_null(o, "stop_sequence");
    json_close_object(o);
}

static void put_metrics(struct json_out *o)
{
    json_open_object(o, "metrics");
    json_put_int(o, "latencyMs", 42);
    json_close_object(o);
}

/* The whole body */

static void put_part(struct ask *k, struct json_out *o, const struct part *p)
{
    json_open_object(o, NULL);
    if (p->kind == PART_THINKING) {
        json_open_object(o, "reasoningContent");
        json_open_object(o, "reasoningText");
        put_pieces(o, "text", p, 0, p->pieces);
        put_signature(k, o);
        json_close_object(o);
        json_close_object(o);
    } else if (p->kind == PART_TOOL) {
        json_open_object(o, "toolUse");
        put_id(k, o, p);
        put_name(o, p);
        json_put_raw(o, "input", p->text);
        json_close_object(o);
    } else {
        put_pieces(o, "text", p, 0, p->pieces);
    }
    json_close_object(o);
}

static void write_json(struct ask *k)
{
    struct json_out o = {.buf = &k->answer->body};
    json_open_object(&o, NULL);
    put_metrics(&o);
    json_open_object(&o, "output");
    json_open_object(&o, "message");
    json_open_array(&o, "content");
    for (int i = 0; i < k->speech.n; i++) {
        if (k->speech.parts[i].kind != PART_SEARCH)
            put_part(k, &o, &k->speech.parts[i]);
    }
    json_close_array(&o);
    json_put_string(&o, "role", SPAN("assistant"));
    json_close_object(&o);
    json_close_object(&o);
    json_put_string(&o, "stopReason", stop_reason(k));
    put_additional(k, &o);
    put_usage(k, &o);
    json_close_object(&o);
    answer_mark(k->answer, k->speech.bill.output_tok);
}

/* Events */

struct stream {
    struct ask *k;
    struct json_out out;
    size_t begin;
    int index;
};

static void event_begin(struct stream *s, const char *type)
{
    s->begin = aws_event_begin(&s->k->answer->body, type, false);
    s->out = (struct json_out){.buf = &s->k->answer->body};
    json_open_object(&s->out, NULL);
}

/* p: padding against guessing lengths, as the real one has. */
static void event_end(struct stream *s, int64_t tokens)
{
    static const char pad[] = "abcdefghijklmnopqrstuvwxyz";
    size_t n = answer_n_marks(s->k->answer) * 7 % (sizeof(pad) - 1);
    json_put_string(&s->out, "p", (struct span){pad, n});
    json_close_object(&s->out);
    aws_event_end(&s->k->answer->body, s->begin);
    answer_mark(s->k->answer, tokens);
}

static void delta_begin(struct stream *s)
{
    event_begin(s, "contentBlockDelta");
    json_put_int(&s->out, "contentBlockIndex", s->index);
    json_open_object(&s->out, "delta");
}

static void delta_end(struct stream *s, int64_t tokens)
{
    json_close_object(&s->out);
    event_end(s, tokens);
}

static void stream_start(struct stream *s, const struct part *p)
{
    event_begin(s, "contentBlockStart");
    json_put_int(&s->out, "contentBlockIndex", s->index);
    json_open_object(&s->out, "start");
    json_open_object(&s->out, "toolUse");
    put_name(&s->out, p);
    put_id(s->k, &s->out, p);
    json_close_object(&s->out);
    json_close_object(&s->out);
    event_end(s, 0);
}

static void put_delta(struct stream *s, const struct speech_walk *w)
{
    const struct part *p = w->part;
    const char *wrapper = p->kind == PART_THINKING ? "reasoningContent"
                          : p->kind == PART_TOOL   ? "toolUse"
                                                   : NULL;
    if (wrapper != NULL)
        json_open_object(&s->out, wrapper);
    put_pieces(&s->out, p->kind == PART_TOOL ? "input" : "text", p, w->at, w->n);
    if (wrapper != NULL)
        json_close_object(&s->out);
}

/* Only a tool's block is announced; text and thinking begin with their first delta. */
static void stream_part(struct stream *s, const struct part *p)
{
    struct speech_walk w = {.part = p};
    if (p->kind == PART_TOOL)
        stream_start(s, p);
    while (speech_next(&s->k->script, &w)) {
        delta_begin(s);
        put_delta(s, &w);
        delta_end(s, w.tokens);
    }
    if (p->kind == PART_THINKING) {
        delta_begin(s);
        json_open_object(&s->out, "reasoningContent");
        put_signature(s->k, &s->out);
        json_close_object(&s->out);
        delta_end(s, 0);
    }
    event_begin(s, "contentBlockStop");
    json_put_int(&s->out, "contentBlockIndex", s->index);
    event_end(s, 0);
    s->index++;
}

static void write_stream(struct ask *k)
{
    struct stream s = {.k = k};
    event_begin(&s, "messageStart");
    json_put_string(&s.out, "role", SPAN("assistant"));
    event_end(&s, 0);
    for (int i = 0; i < k->speech.n; i++) {
        if (k->speech.parts[i].kind != PART_SEARCH)
            stream_part(&s, &k->speech.parts[i]);
    }
    event_begin(&s, "messageStop");
    json_put_string(&s.out, "stopReason", stop_reason(k));
    put_additional(k, &s.out);
    event_end(&s, 0);
    event_begin(&s, "metadata");
    put_usage(k, &s.out);
    put_metrics(&s.out);
    event_end(&s, 0);
}

void converse_write(struct ask *k)
{
    if (k->speech.stream)
        write_stream(k);
    else
        write_json(k);
}

/* Errors */

static const char *exception_of(int status)
{
    static const struct {
        int status;
        const char *name;
    } rows[] = {{400, "ValidationException"},   {401, "UnrecognizedClientException"},
                {403, "AccessDeniedException"}, {404, "ResourceNotFoundException"},
                {408, "ModelTimeoutException"}, {424, "ModelErrorException"},
                {429, "ThrottlingException"},   {503, "ServiceUnavailableException"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return rows[i].name;
    }
    return status >= 500 ? "InternalServerException" : "ValidationException";
}

/* The type stands in a header. */
void bedrock_write_error(struct buf *out, int status, struct span type, struct span message,
                         uint64_t seq)
{
    (void)status;
    (void)type;
    (void)seq;
    struct json_out o = {.buf = out};
    json_open_object(&o, NULL);
    json_put_string(&o, "message", message);
    json_close_object(&o);
}

void bedrock_write_error_event(struct ask *k, struct span type, struct span message)
{
    char name[64] = "internalServerException";
    if (type.ptr != NULL && type.len < sizeof(name)) {
        memcpy(name, type.ptr, type.len);
        name[type.len] = '\0';
    }
    size_t begin = aws_event_begin(&k->answer->body, name, true);
    bedrock_write_error(&k->answer->body, 0, type, message, 0);
    aws_event_end(&k->answer->body, begin);
    answer_mark(k->answer, 0);
}

/* The wires */

bool bedrock_has_credential(const struct http_request *r)
{
    static const char scheme[] = "AWS4-HMAC-SHA256 Credential=";
    struct span value = http_header(r, "authorization");
    bool is_signed =
        value.len > sizeof(scheme) && memcmp(value.ptr, scheme, sizeof(scheme) - 1) == 0;
    return is_signed ? http_has(r, "x-amz-date") : http_bearer(r).len > 0;
}

void bedrock_add_headers(struct ask *k, const struct script *s)
{
    if (s == NULL || !script_has_header(s, "x-amzn-requestid")) {
        buf_adds(&k->answer->head, "x-amzn-requestid: ");
        ask_write_id(&k->answer->head, "", k->c->exchange.seq);
        buf_adds(&k->answer->head, "\r\n");
    }
    if (k->answer->status >= 400)
        ask_header(k, s, "x-amzn-errortype", span_of(exception_of(k->answer->status)));
}

const struct wire wire_converse = {
    .name = "bedrock-converse",
    .messages = "messages",
    .content = "content",
    .stream_type = "application/vnd.amazon.eventstream",
    .has_credential = bedrock_has_credential,
    .no_credential_status = 403,
    .read = converse_read,
    .cache_word = "cachePoint",
    .walk = converse_walk,
    .write = converse_write,
    .write_error_event = bedrock_write_error_event,
    .write_error = bedrock_write_error,
    .add_headers = bedrock_add_headers,
};
