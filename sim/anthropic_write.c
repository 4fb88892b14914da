#define _GNU_SOURCE
/* The Messages wire format, written. */
#include "sim/anthropic_write.h"

#include <stdio.h>

/* Small pieces that both forms share */

static struct buf *body(struct reply *r)
{
    return &r->answer->body;
}

static void put(struct reply *r, const char *text)
{
    buf_adds(body(r), text);
}

static void put_int(struct reply *r, const char *before, int64_t n)
{
    buf_adds(body(r), before);
    buf_add_int(body(r), n);
}

void anthropic_write_id(struct buf *out, const char *prefix, uint64_t seq)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char text[24] = "01SIM0000000000000000000";
    for (size_t i = sizeof(text); i > 5 && seq > 0; i--) {
        text[i - 1] = digits[seq & 31];
        seq >>= 5;
    }
    buf_adds(out, prefix);
    buf_add(out, text, sizeof(text));
}

const char *anthropic_error_type(int status)
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

void anthropic_write_error(struct buf *out, struct span type, struct span message, uint64_t seq)
{
    buf_adds(out, "{\"type\":\"error\",\"error\":{\"type\":");
    json_write_string(out, type);
    buf_adds(out, ",\"message\":");
    json_write_string(out, message);
    buf_adds(out, "},\"request_id\":\"");
    anthropic_write_id(out, "req_", seq);
    buf_adds(out, "\"}");
}

/* Text */

/* Made-up prose: pieces are JSON text already. */
static void put_words(struct reply *r, size_t from, size_t n, const char *const *words,
                      size_t n_words)
{
    buf_addc(body(r), '"');
    for (size_t i = from; i < from + n; i++) {
        if (i > 0)
            buf_addc(body(r), ' ');
        put(r, words[(i * 7 + i / n_words) % n_words]);
    }
    buf_addc(body(r), '"');
}

static const char *const prose[] = {
    "the",        "provider",  "answers",     "with",         "words",
    "that",       "mean",      "nothing",     "but",          "cost",
    "exactly",    "what",      "they",        "say,",         "\\\"quoted\\\"",
    "tabs\\tand", "lines.\\n", "caf\xc3\xa9", "na\xc3\xafve", "\xf0\x9f\x90\x9a shell",
    "river",      "road",      "a",           "lamp",         "of",
    "glass",      "in",        "winter",      "light;",       "slowly",
    "turning"};
static const char *const thoughts[] = {"first",  "consider", "whether", "this",
                                       "holds,", "then",     "compare", "both",
                                       "sides",  "again",    "and",     "decide"};

enum {
    PROSE = sizeof(prose) / sizeof(prose[0]),
    THOUGHTS = sizeof(thoughts) / sizeof(thoughts[0])
};

/* Start of the UTF-8 sequence that contains offset at. */
static size_t utf8_floor(struct span s, size_t at)
{
    if (at >= s.len)
        return s.len;
    while (at > 0 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* A text cut in pieces of about 4 bytes, as tokens are. */
static struct span text_piece(struct span s, size_t from, size_t n)
{
    size_t begin = utf8_floor(s, 4 * from);
    size_t end = utf8_floor(s, 4 * (from + n));
    return (struct span){s.ptr + begin, end - begin};
}

static size_t text_pieces(const struct reply *r)
{
    struct span text = r->script->s[SCRIPT_text];
    size_t tokens = (size_t)r->text_tok;
    if (text.ptr == NULL)
        return tokens;
    size_t n = (text.len + 3) / 4;
    bool cut = strcmp(r->stop_reason, "max_tokens") == 0;
    return cut && tokens < n ? tokens : n;
}

static void put_text(struct reply *r, size_t from, size_t n)
{
    struct span text = r->script->s[SCRIPT_text];
    if (text.ptr == NULL)
        put_words(r, from, n, prose, PROSE);
    else
        json_write_string(body(r), text_piece(text, from, n));
}

static void put_thought(struct reply *r, size_t from, size_t n)
{
    put_words(r, from, n, thoughts, THOUGHTS);
}

static void put_signature(struct reply *r)
{
    put(r, "\"EqoBCkYIBxgCKkD");
    for (uint64_t i = 0; i < 8; i++)
        buf_addf(body(r), "%08X", (unsigned)((r->seq + 1) * 2654435761u >> i));
    put(r, "/sim+signature==\"");
}

/* Tool input after the tool's own schema */

static void sample_value(struct reply *r, json_ref schema, int depth);

static void sample_object(struct reply *r, json_ref schema, int depth)
{
    const struct json_doc *doc = &r->sim->doc;
    struct buf *out = &r->sim->scratch;
    json_ref properties = schema == JSON_NONE ? JSON_NONE : json_get(doc, schema, "properties");
    buf_addc(out, '{');
    if (properties != JSON_NONE && json_kind(doc, properties) == JSON_OBJECT) {
        json_ref first = json_first(doc, properties);
        for (json_ref p = first; p != JSON_NONE; p = json_next(doc, p)) {
            const struct json_node *node = json_at(doc, p);
            buf_adds(out, p == first ? "\"" : ",\"");
            buf_add(out, doc->text.ptr + node->key_begin + 1, node->key_len);
            buf_adds(out, "\":");
            sample_value(r, p, depth + 1);
        }
    }
    buf_addc(out, '}');
}

static void sample_value(struct reply *r, json_ref schema, int depth)
{
    const struct json_doc *doc = &r->sim->doc;
    struct buf *out = &r->sim->scratch;
    if (json_kind(doc, schema) != JSON_OBJECT) {
        buf_adds(out, "null");
        return;
    }
    json_ref words = json_get(doc, schema, "enum");
    json_ref type = json_get(doc, schema, "type");
    if (words != JSON_NONE && json_kind(doc, words) == JSON_ARRAY &&
        json_first(doc, words) != JSON_NONE)
        buf_add_span(out, json_raw(doc, json_first(doc, words)));
    else if (type == JSON_NONE || json_text_is(doc, type, "string"))
        buf_adds(out, "\"an example\"");
    else if (json_text_is(doc, type, "integer"))
        buf_adds(out, "42");
    else if (json_text_is(doc, type, "number"))
        buf_adds(out, "1.5");
    else if (json_text_is(doc, type, "boolean"))
        buf_adds(out, "true");
    else if (json_text_is(doc, type, "array"))
        buf_adds(out, "[]");
    else if (json_text_is(doc, type, "object") && depth < 8)
        sample_object(r, schema, depth);
    else
        buf_adds(out, "{}");
}

/* The input as raw JSON in sim->scratch. */
static struct span tool_input(struct reply *r)
{
    buf_reset(&r->sim->scratch);
    sample_object(r, r->tool_schema, 0);
    return buf_span(&r->sim->scratch);
}

static void put_tool_head(struct reply *r)
{
    put(r, "{\"type\":\"tool_use\",\"id\":\"");
    anthropic_write_id(body(r), "toolu_", r->seq);
    put(r, "\",\"name\":\"");
    buf_add_span(body(r), r->tool_name);
    put(r, "\",\"input\":");
}

/* Searches the provider pretends to have run */

static int64_t searches_shown(const struct reply *r)
{
    return r->bill.web_searches < REPLY_SEARCHES_SHOWN_MAX ? r->bill.web_searches
                                                           : REPLY_SEARCHES_SHOWN_MAX;
}

static void put_search_use(struct reply *r, int64_t i, const char *input)
{
    put(r, "{\"type\":\"server_tool_use\",\"id\":\"");
    anthropic_write_id(body(r), "srvtoolu_", r->seq * 8 + (uint64_t)i);
    put(r, "\",\"name\":\"web_search\",\"input\":");
    put(r, input);
    put(r, "}");
}

static void put_search_result(struct reply *r, int64_t i)
{
    put(r, "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"");
    anthropic_write_id(body(r), "srvtoolu_", r->seq * 8 + (uint64_t)i);
    put(r, "\",\"content\":[{\"type\":\"web_search_result\",\"title\":\"An example\","
           "\"url\":\"https://example.com/\",\"encrypted_content\":\"c2ltdWxhdGVk\","
           "\"page_age\":null}]}");
}

/* Usage */

static void put_input_usage(struct reply *r)
{
    const struct bill *b = &r->bill;
    put_int(r, "\"input_tokens\":", b->input_tok);
    put_int(r, ",\"cache_creation_input_tokens\":", b->cache_write_5m_tok + b->cache_write_1h_tok);
    put_int(r, ",\"cache_read_input_tokens\":", b->cache_read_tok);
}

static void put_cache_split(struct reply *r)
{
    put_int(r, ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":", r->bill.cache_write_5m_tok);
    put_int(r, ",\"ephemeral_1h_input_tokens\":", r->bill.cache_write_1h_tok);
    put(r, "}");
}

/* The second call is one that the provider made on another model of its own. */
static void put_iterations(struct reply *r)
{
    struct span other = r->script->s[SCRIPT_iteration_model];
    put(r, ",\"iterations\":[{");
    put_input_usage(r);
    put_cache_split(r);
    put_int(r, ",\"output_tokens\":", r->bill.output_tok);
    put(r, ",\"type\":\"message\"}");
    for (int64_t i = 1; i < r->script->n[SCRIPT_iterations] + 1 && i < 32; i++) {
        put_int(r, ",{\"input_tokens\":", 100 * i);
        put_int(r, ",\"output_tokens\":", 10 * i);
        put(r, ",\"cache_read_input_tokens\":0,\"cache_creation_input_tokens\":0,"
               "\"type\":\"advisor_message\"");
        if (other.ptr != NULL) {
            put(r, ",\"model\":");
            json_write_string(body(r), other);
        }
        put(r, "}");
    }
    put(r, "]");
}

static void put_output_usage(struct reply *r)
{
    put_int(r, "\"output_tokens\":", r->bill.output_tok);
    if (r->thinking) {
        put_int(r, ",\"output_tokens_details\":{\"thinking_tokens\":", r->think_tok);
        put(r, "}");
    }
    if (r->bill.web_searches > 0) {
        put_int(r, ",\"server_tool_use\":{\"web_search_requests\":", r->bill.web_searches);
        put(r, ",\"web_fetch_requests\":0}");
    }
    if (r->script->n[SCRIPT_iterations] > 0)
        put_iterations(r);
}

static void put_message_head(struct reply *r)
{
    put(r, "{\"model\":");
    json_write_string(body(r), r->model);
    put(r, ",\"id\":\"");
    anthropic_write_id(body(r), "msg_", r->seq);
    put(r, "\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
}

static void put_stop(struct reply *r)
{
    bool sequence = strcmp(r->stop_reason, "stop_sequence") == 0;
    put(r, "\"stop_reason\":\"");
    put(r, r->stop_reason);
    put(r, sequence ? "\",\"stop_sequence\":\"STOP\"" : "\",\"stop_sequence\":null");
}

/* The plain form */

static void comma(struct reply *r, size_t content_begin)
{
    if (body(r)->len > content_begin)
        put(r, ",");
}

static void write_json(struct reply *r)
{
    put_message_head(r);
    size_t begin = body(r)->len;
    if (r->thinking) {
        put(r, "{\"type\":\"thinking\",\"thinking\":");
        put_thought(r, 0, r->thinking_omitted ? 0 : (size_t)r->think_tok);
        put(r, ",\"signature\":");
        put_signature(r);
        put(r, "}");
    }
    for (int64_t i = 0; i < searches_shown(r); i++) {
        comma(r, begin);
        put_search_use(r, i, "{\"query\":\"example\"}");
        put(r, ",");
        put_search_result(r, i);
    }
    if (r->text_tok > 0) {
        comma(r, begin);
        put(r, "{\"type\":\"text\",\"text\":");
        put_text(r, 0, text_pieces(r));
        put(r, "}");
    }
    if (r->tool) {
        comma(r, begin);
        put_tool_head(r);
        buf_add_span(body(r), tool_input(r));
        put(r, "}");
    }
    put(r, "],");
    put_stop(r);
    if (r->script->n[SCRIPT_no_usage] == 0) {
        put(r, ",\"usage\":{");
        put_input_usage(r);
        put_cache_split(r);
        put(r, ",\"service_tier\":\"standard\",");
        put_output_usage(r);
        put(r, "}");
    }
    put(r, "}");
    answer_mark(r->answer, r->bill.output_tok);
}

/* The stream */

static void event_begin(struct reply *r, const char *name)
{
    const char *eol = r->script->n[SCRIPT_crlf] > 0 ? "\r\n" : "\n";
    put(r, "event: ");
    put(r, name);
    put(r, eol);
    put(r, "data: {\"type\":\"");
    put(r, name);
    put(r, "\"");
}

static void event_end(struct reply *r, int64_t tokens)
{
    /* The real thing pads its lines with spaces, against guessing lengths. */
    int64_t spaces = r->script->n[SCRIPT_pad];
    if (spaces > 0)
        spaces = (int64_t)(answer_n_marks(r->answer) * 7 % (size_t)(spaces + 1));
    put(r, "}");
    for (int64_t i = 0; i < spaces; i++)
        buf_addc(body(r), ' ');
    put(r, r->script->n[SCRIPT_crlf] > 0 ? "\r\n\r\n" : "\n\n");
    answer_mark(r->answer, tokens);
}

static void block_begin(struct reply *r, int index)
{
    event_begin(r, "content_block_start");
    put_int(r, ",\"index\":", index);
    put(r, ",\"content_block\":");
}

static void delta_begin(struct reply *r, int index, const char *type, const char *key)
{
    event_begin(r, "content_block_delta");
    put_int(r, ",\"index\":", index);
    put(r, ",\"delta\":{\"type\":\"");
    put(r, type);
    put(r, "\",\"");
    put(r, key);
    put(r, "\":");
}

static void delta_end(struct reply *r, int64_t tokens)
{
    put(r, "}");
    event_end(r, tokens);
}

static void block_end(struct reply *r, int index)
{
    event_begin(r, "content_block_stop");
    put_int(r, ",\"index\":", index);
    event_end(r, 0);
}

/* Deltas over `pieces` pieces that together stand for `tokens` tokens. */
static void stream_pieces(struct reply *r, int index, const char *type, const char *key,
                          size_t pieces, int64_t tokens,
                          void (*put_piece)(struct reply *r, size_t from, size_t n))
{
    size_t per_event =
        r->script->n[SCRIPT_event_tokens] > 0 ? (size_t)r->script->n[SCRIPT_event_tokens] : 1;
    int64_t told = 0;
    for (size_t at = 0; at < pieces; at += per_event) {
        size_t n = pieces - at < per_event ? pieces - at : per_event;
        int64_t upto = tokens * (int64_t)(at + n) / (int64_t)pieces;
        delta_begin(r, index, type, key);
        put_piece(r, at, n);
        delta_end(r, upto - told);
        told = upto;
    }
}

static void stream_thinking(struct reply *r, int index)
{
    block_begin(r, index);
    put(r, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    event_end(r, 0);
    if (!r->thinking_omitted)
        stream_pieces(r, index, "thinking_delta", "thinking", (size_t)r->think_tok, r->think_tok,
                      put_thought);
    delta_begin(r, index, "signature_delta", "signature");
    put_signature(r);
    delta_end(r, r->thinking_omitted ? r->think_tok : 0);
    block_end(r, index);
}

static void stream_search(struct reply *r, int index, int64_t i)
{
    block_begin(r, index);
    put_search_use(r, i, "{}");
    event_end(r, 0);
    delta_begin(r, index, "input_json_delta", "partial_json");
    put(r, "\"{\\\"query\\\":\\\"example\\\"}\"");
    delta_end(r, 0);
    block_end(r, index);
    block_begin(r, index + 1);
    put_search_result(r, i);
    event_end(r, 0);
    block_end(r, index + 1);
}

static void put_tool_piece(struct reply *r, size_t from, size_t n)
{
    json_write_string(body(r), text_piece(buf_span(&r->sim->scratch), from, n));
}

static void stream_tool(struct reply *r, int index)
{
    block_begin(r, index);
    put_tool_head(r);
    put(r, "{}}");
    event_end(r, 0);
    delta_begin(r, index, "input_json_delta", "partial_json");
    put(r, "\"\"");
    delta_end(r, 0);
    struct span input = tool_input(r);
    stream_pieces(r, index, "input_json_delta", "partial_json", (input.len + 3) / 4, r->tool_tok,
                  put_tool_piece);
    block_end(r, index);
}

static void stream_start(struct reply *r)
{
    event_begin(r, "message_start");
    put(r, ",\"message\":");
    put_message_head(r);
    put(r, "],\"stop_reason\":null,\"stop_sequence\":null");
    if (r->script->n[SCRIPT_no_usage] == 0) {
        put(r, ",\"usage\":{");
        put_input_usage(r);
        put_cache_split(r);
        put_int(r, ",\"output_tokens\":", r->bill.output_tok > 0);
        put(r, ",\"service_tier\":\"standard\"}");
    }
    put(r, "}");
    event_end(r, 0);
}

static void stream_stop(struct reply *r)
{
    event_begin(r, "message_delta");
    put(r, ",\"delta\":{");
    put_stop(r);
    put(r, "}");
    if (r->script->n[SCRIPT_no_usage] == 0) {
        put(r, ",\"usage\":{");
        if (r->script->n[SCRIPT_usage_in_delta] > 0) {
            put_input_usage(r);
            put(r, ",");
        }
        put_output_usage(r);
        put(r, "}");
    }
    event_end(r, 0);
    event_begin(r, "message_stop");
    event_end(r, 0);
}

static void stream_ping(struct reply *r)
{
    event_begin(r, "ping");
    event_end(r, 0);
}

static void write_stream(struct reply *r)
{
    int index = 0;
    stream_start(r);
    stream_ping(r);
    if (r->thinking)
        stream_thinking(r, index++);
    for (int64_t i = 0; i < searches_shown(r); i++) {
        stream_search(r, index, i);
        index += 2;
    }
    if (r->text_tok > 0) {
        block_begin(r, index);
        put(r, "{\"type\":\"text\",\"text\":\"\"}");
        event_end(r, 0);
        stream_pieces(r, index, "text_delta", "text", text_pieces(r), r->text_tok, put_text);
        block_end(r, index++);
    }
    if (r->tool)
        stream_tool(r, index);
    stream_stop(r);
}

void reply_write(struct reply *r)
{
    if (r->stream)
        write_stream(r);
    else
        write_json(r);
}

void reply_write_error_event(struct answer *a, const struct script *s)
{
    size_t n = (size_t)s->n[SCRIPT_error_event_after];
    size_t marks = answer_n_marks(a);
    if (n < marks) {
        a->body.len = n > 0 ? answer_marks(a)[n - 1].end : 0;
        a->marks.len = n * sizeof(struct mark);
    }
    struct span type = s->s[SCRIPT_error_type];
    struct span message = s->s[SCRIPT_error_message];
    buf_adds(&a->body, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":");
    json_write_string(&a->body, type.ptr != NULL ? type : SPAN("overloaded_error"));
    buf_adds(&a->body, ",\"message\":");
    json_write_string(&a->body, message.ptr != NULL ? message : SPAN("Overloaded"));
    buf_adds(&a->body, "}}\n\n");
    answer_mark(a, 0);
}
