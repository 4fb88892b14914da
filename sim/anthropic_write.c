#define _GNU_SOURCE
/* The Messages wire format, written. */
#include "sim/anthropic.h"

#include "sim/aws_event.h"
#include "sim/base64.h"

/* Small pieces that both forms share */

static struct buf *body(struct ask *k)
{
    return &k->answer->body;
}

static void put(struct ask *k, const char *text)
{
    buf_adds(body(k), text);
}

static void put_int(struct ask *k, const char *before, int64_t n)
{
    buf_adds(body(k), before);
    buf_add_int(body(k), n);
}

static const char *error_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } rows[] = {
        {401, "authentication_error"}, {402, "billing_error"},  {403, "permission_error"},
        {404, "not_found_error"},      {409, "conflict_error"}, {413, "request_too_large"},
        {429, "rate_limit_error"},     {504, "timeout_error"},  {529, "overloaded_error"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return rows[i].type;
    }
    return status >= 500 ? "api_error" : "invalid_request_error";
}

void anthropic_write_error(struct buf *out, int status, struct span type, struct span message,
                           uint64_t seq)
{
    buf_adds(out, "{\"type\":\"error\",\"error\":{\"type\":");
    json_write_string(out, type.ptr != NULL ? type : span_of(error_type(status)));
    buf_adds(out, ",\"message\":");
    json_write_string(out, message);
    buf_adds(out, "},\"request_id\":\"");
    ask_write_id(out, "req_", seq);
    buf_adds(out, "\"}");
}

/* Only as real as its form: base64 that begins as theirs do. */
void anthropic_write_signature(struct buf *out, uint64_t seq)
{
    buf_adds(out, "\"EqoBCkYIBxgCKkD");
    for (uint64_t i = 0; i < 8; i++)
        buf_addf(out, "%08X", (unsigned)((seq + 1) * 2654435761u >> i));
    buf_adds(out, "/sim+signature==\"");
}

static void put_signature(struct ask *k)
{
    anthropic_write_signature(body(k), k->c->exchange.seq);
}

static void put_tool_head(struct ask *k, const struct part *p)
{
    put(k, "{\"type\":\"tool_use\",\"id\":\"");
    ask_write_id(body(k), "toolu_", k->c->exchange.seq * SPEECH_CALLS_MAX + (uint64_t)p->number);
    put(k, "\",\"name\":\"");
    buf_add_span(body(k), p->name);
    put(k, "\",\"input\":");
}

/* Searches the provider pretends to have run */

static void put_search_use(struct ask *k, int i, const char *input)
{
    put(k, "{\"type\":\"server_tool_use\",\"id\":\"");
    ask_write_id(body(k), "srvtoolu_", k->c->exchange.seq * 8 + (uint64_t)i);
    put(k, "\",\"name\":\"web_search\",\"input\":");
    put(k, input);
    put(k, "}");
}

static void put_search_result(struct ask *k, int i)
{
    put(k, "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"");
    ask_write_id(body(k), "srvtoolu_", k->c->exchange.seq * 8 + (uint64_t)i);
    put(k, "\",\"content\":[{\"type\":\"web_search_result\",\"title\":\"An example\","
           "\"url\":\"https://example.com/\",\"encrypted_content\":\"c2ltdWxhdGVk\","
           "\"page_age\":null}]}");
}

/* Usage */

static void put_input_usage(struct ask *k)
{
    const struct bill *b = &k->speech.bill;
    put_int(k, "\"input_tokens\":", b->input_tok);
    put_int(k, ",\"cache_creation_input_tokens\":", b->cache_write_5m_tok + b->cache_write_1h_tok);
    put_int(k, ",\"cache_read_input_tokens\":", b->cache_read_tok);
}

static void put_cache_split(struct ask *k)
{
    put_int(k, ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":",
            k->speech.bill.cache_write_5m_tok);
    put_int(k, ",\"ephemeral_1h_input_tokens\":", k->speech.bill.cache_write_1h_tok);
    put(k, "}");
}

/* The second call is one that the provider made on another model of its own. */
static void put_iterations(struct ask *k)
{
    struct span other = k->script.s[SCRIPT_iteration_model];
    put(k, ",\"iterations\":[{");
    put_input_usage(k);
    put_cache_split(k);
    put_int(k, ",\"output_tokens\":", k->speech.bill.output_tok);
    put(k, ",\"type\":\"message\"}");
    for (int64_t i = 1; i < k->script.n[SCRIPT_iterations] + 1 && i < 32; i++) {
        put_int(k, ",{\"input_tokens\":", 100 * i);
        put_int(k, ",\"output_tokens\":", 10 * i);
        put(k, ",\"cache_read_input_tokens\":0,\"cache_creation_input_tokens\":0,"
               "\"type\":\"advisor_message\"");
        if (other.ptr != NULL) {
            put(k, ",\"model\":");
            json_write_string(body(k), other);
        }
        put(k, "}");
    }
    put(k, "]");
}

static void put_output_usage(struct ask *k)
{
    put_int(k, "\"output_tokens\":", k->speech.bill.output_tok);
    if (k->speech.think_tok > 0) {
        put_int(k, ",\"output_tokens_details\":{\"thinking_tokens\":", k->speech.think_tok);
        put(k, "}");
    }
    if (k->speech.bill.web_searches > 0) {
        put_int(k, ",\"server_tool_use\":{\"web_search_requests\":", k->speech.bill.web_searches);
        put(k, ",\"web_fetch_requests\":0}");
    }
    if (k->script.n[SCRIPT_iterations] > 0)
        put_iterations(k);
}

static void put_message_head(struct ask *k)
{
    put(k, "{\"model\":");
    json_write_string(body(k), k->model);
    put(k, ",\"id\":\"");
    ask_write_id(body(k), "msg_", k->c->exchange.seq);
    put(k, "\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
}

static void put_stop(struct ask *k)
{
    static const char *const words[SAID_COUNT] = {"end_turn", "max_tokens", "stop_sequence",
                                                  "tool_use", "refusal",    "pause_turn"};
    put(k, "\"stop_reason\":");
    json_write_string(body(k), speech_stop(&k->speech, words));
    put(k, ",\"stop_sequence\":");
    if (k->speech.said == SAID_SEQUENCE)
        json_write_string(body(k), k->speech.sequence);
    else
        put(k, "null");
}

/* The plain form */

static void put_part(struct ask *k, const struct part *p)
{
    switch (p->kind) {
    case PART_THINKING:
        put(k, "{\"type\":\"thinking\",\"thinking\":");
        speech_put_all(body(k), p);
        put(k, ",\"signature\":");
        put_signature(k);
        put(k, "}");
        break;
    case PART_SEARCH:
        put_search_use(k, p->number, "{\"query\":\"example\"}");
        put(k, ",");
        put_search_result(k, p->number);
        break;
    case PART_TEXT:
    case PART_REFUSAL:
        put(k, "{\"type\":\"text\",\"text\":");
        speech_put_all(body(k), p);
        put(k, "}");
        break;
    case PART_TOOL:
        put_tool_head(k, p);
        buf_add_span(body(k), p->text);
        put(k, "}");
        break;
    }
}

static void write_json(struct ask *k)
{
    put_message_head(k);
    for (int i = 0; i < k->speech.n; i++) {
        put(k, i > 0 ? "," : "");
        put_part(k, &k->speech.parts[i]);
    }
    put(k, "],");
    put_stop(k);
    if (k->script.n[SCRIPT_no_usage] == 0) {
        put(k, ",\"usage\":{");
        put_input_usage(k);
        put_cache_split(k);
        put(k, ",\"service_tier\":\"standard\",");
        put_output_usage(k);
        put(k, "}");
    }
    put(k, "}");
    answer_mark(k->answer, k->speech.bill.output_tok);
}

/* The stream */

/* In AWS's stream an event is its JSON alone, in base64. */
static void event_begin(struct ask *k, const char *name)
{
    const char *eol = k->script.n[SCRIPT_crlf] > 0 ? "\r\n" : "\n";
    k->event_at = body(k)->len;
    if (!k->call->event_stream) {
        put(k, "event: ");
        put(k, name);
        put(k, eol);
        put(k, "data: ");
    }
    put(k, "{\"type\":\"");
    put(k, name);
    put(k, "\"");
}

static void wrap_event(struct ask *k)
{
    struct buf *json = &k->sim->prefix;
    buf_reset(json);
    buf_add(json, body(k)->ptr + k->event_at, body(k)->len - k->event_at);
    body(k)->len = k->event_at;
    size_t begin = aws_event_begin(body(k), "chunk", false);
    put(k, "{\"bytes\":\"");
    base64_encode(body(k), buf_span(json));
    put(k, "\",\"p\":\"abcdefghijkl\"}");
    aws_event_end(body(k), begin);
}

static void event_end(struct ask *k, int64_t tokens)
{
    /* The real thing pads its lines with spaces, against guessing lengths. */
    int64_t spaces = k->script.n[SCRIPT_pad];
    if (spaces > 0)
        spaces = (int64_t)(answer_n_marks(k->answer) * 7 % (size_t)(spaces + 1));
    put(k, "}");
    for (int64_t i = 0; i < spaces; i++)
        buf_addc(body(k), ' ');
    if (k->call->event_stream)
        wrap_event(k);
    else
        put(k, k->script.n[SCRIPT_crlf] > 0 ? "\r\n\r\n" : "\n\n");
    answer_mark(k->answer, tokens);
}

static void block_begin(struct ask *k, int index)
{
    event_begin(k, "content_block_start");
    put_int(k, ",\"index\":", index);
    put(k, ",\"content_block\":");
}

static void delta_begin(struct ask *k, int index, const char *type, const char *key)
{
    event_begin(k, "content_block_delta");
    put_int(k, ",\"index\":", index);
    put(k, ",\"delta\":{\"type\":\"");
    put(k, type);
    put(k, "\",\"");
    put(k, key);
    put(k, "\":");
}

static void delta_end(struct ask *k, int64_t tokens)
{
    put(k, "}");
    event_end(k, tokens);
}

static void block_end(struct ask *k, int index)
{
    event_begin(k, "content_block_stop");
    put_int(k, ",\"index\":", index);
    event_end(k, 0);
}

static void stream_pieces(struct ask *k, int index, const struct part *p, const char *type,
                          const char *key)
{
    struct speech_walk w = {.part = p};
    while (speech_next(&k->script, &w)) {
        delta_begin(k, index, type, key);
        speech_put(body(k), p, w.at, w.n);
        delta_end(k, w.tokens);
    }
}

static void stream_thinking(struct ask *k, int index, const struct part *p)
{
    block_begin(k, index);
    put(k, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    event_end(k, 0);
    stream_pieces(k, index, p, "thinking_delta", "thinking");
    delta_begin(k, index, "signature_delta", "signature");
    put_signature(k);
    delta_end(k, p->pieces == 0 ? p->tokens : 0);
    block_end(k, index);
}

static void stream_search(struct ask *k, int index, const struct part *p)
{
    block_begin(k, index);
    put_search_use(k, p->number, "{}");
    event_end(k, 0);
    delta_begin(k, index, "input_json_delta", "partial_json");
    put(k, "\"{\\\"query\\\":\\\"example\\\"}\"");
    delta_end(k, 0);
    block_end(k, index);
    block_begin(k, index + 1);
    put_search_result(k, p->number);
    event_end(k, 0);
    block_end(k, index + 1);
}

static void stream_text(struct ask *k, int index, const struct part *p)
{
    block_begin(k, index);
    put(k, "{\"type\":\"text\",\"text\":\"\"}");
    event_end(k, 0);
    stream_pieces(k, index, p, "text_delta", "text");
    block_end(k, index);
}

static void stream_tool(struct ask *k, int index, const struct part *p)
{
    block_begin(k, index);
    put_tool_head(k, p);
    put(k, "{}}");
    event_end(k, 0);
    delta_begin(k, index, "input_json_delta", "partial_json");
    put(k, "\"\"");
    delta_end(k, 0);
    stream_pieces(k, index, p, "input_json_delta", "partial_json");
    block_end(k, index);
}

static void stream_start(struct ask *k)
{
    event_begin(k, "message_start");
    put(k, ",\"message\":");
    put_message_head(k);
    put(k, "],\"stop_reason\":null,\"stop_sequence\":null");
    if (k->script.n[SCRIPT_no_usage] == 0) {
        put(k, ",\"usage\":{");
        put_input_usage(k);
        put_cache_split(k);
        put_int(k, ",\"output_tokens\":", k->speech.bill.output_tok > 0);
        put(k, ",\"service_tier\":\"standard\"}");
    }
    put(k, "}");
    event_end(k, 0);
}

static void stream_stop(struct ask *k)
{
    event_begin(k, "message_delta");
    put(k, ",\"delta\":{");
    put_stop(k);
    put(k, "}");
    if (k->script.n[SCRIPT_no_usage] == 0) {
        put(k, ",\"usage\":{");
        if (k->script.n[SCRIPT_usage_in_delta] > 0) {
            put_input_usage(k);
            put(k, ",");
        }
        put_output_usage(k);
        put(k, "}");
    }
    event_end(k, 0);
    event_begin(k, "message_stop");
    if (k->call->event_stream) {
        put_int(k, ",\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":",
                k->speech.bill.input_tok);
        put_int(k, ",\"outputTokenCount\":", k->speech.bill.output_tok);
        put(k, "}");
    }
    event_end(k, 0);
}

static void stream_ping(struct ask *k)
{
    event_begin(k, "ping");
    event_end(k, 0);
}

static void write_stream(struct ask *k)
{
    static void (*const writers[])(struct ask * k, int index, const struct part *p) = {
        [PART_THINKING] = stream_thinking, [PART_SEARCH] = stream_search, [PART_TEXT] = stream_text,
        [PART_REFUSAL] = stream_text,      [PART_TOOL] = stream_tool,
    };
    int index = 0;
    stream_start(k);
    if (!k->call->event_stream)
        stream_ping(k);
    for (int i = 0; i < k->speech.n; i++) {
        const struct part *p = &k->speech.parts[i];
        writers[p->kind](k, index, p);
        index += p->kind == PART_SEARCH ? 2 : 1;
    }
    stream_stop(k);
}

void anthropic_write(struct ask *k)
{
    if (k->speech.stream)
        write_stream(k);
    else
        write_json(k);
}

void anthropic_write_error_event(struct ask *k, struct span type, struct span message)
{
    event_begin(k, "error");
    put(k, ",\"error\":{\"type\":");
    json_write_string(body(k), type.ptr != NULL ? type : SPAN("overloaded_error"));
    put(k, ",\"message\":");
    json_write_string(body(k), message);
    put(k, "}");
    event_end(k, 0);
}

void anthropic_write_count(struct ask *k, int64_t tokens)
{
    put_int(k, "{\"input_tokens\":", tokens);
    put(k, "}");
}
