#define _GNU_SOURCE
/* Reads a Messages request with the checks of the real provider; each message text is one that it
 * answers with, or close to it. */
#include "sim/anthropic.h"

#include <stdlib.h>

enum { MARKS_MAX = 4, BUDGET_MIN = 1024 };

/* One request while it is being read. */
struct reading {
    struct ask *k;
    struct heard *h;
    const struct json_doc *doc;
    int message, block; /* where: messages.N.content.N */
    int n_marks;
    bool unthought; /* the last assistant turn calls tools without a thought before */
};

static bool refuse_block(struct reading *r, const char *what)
{
    return ask_refuse(r->k, 400, "messages.%d.content.%d: %s", r->message, r->block, what);
}

/* Names */

/* What the real one accepts: platform.claude.com/docs/en/api/messages/create, and the betas. */
static bool is_known(const struct json_doc *doc, json_ref member)
{
    static const char *const names[] = {"model",          "messages",      "max_tokens",
                                        "system",         "metadata",      "stop_sequences",
                                        "stream",         "temperature",   "top_p",
                                        "top_k",          "tools",         "tool_choice",
                                        "thinking",       "service_tier",  "container",
                                        "mcp_servers",    "cache_control", "context_management",
                                        "output_config",  "output_format", "inference_geo",
                                        "safeguards",     "thread",        "anthropic_version",
                                        "anthropic_beta", "fallbacks",     "speed"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_key_is(doc, member, names[i]))
            return true;
    }
    return false;
}

static bool check_names(struct reading *r)
{
    bool strict = r->k->script.n[SCRIPT_strict] > 0;
    for (json_ref m = json_first(r->doc, 0); m != JSON_NONE; m = json_next(r->doc, m)) {
        bool routing =
            json_key_has_prefix(r->doc, m, "provider") || json_key_is(r->doc, m, "models");
        if (!routing && (!strict || is_known(r->doc, m)))
            continue;
        const struct json_node *node = json_at(r->doc, m);
        return ask_refuse(r->k, 400, "%.*s: Extra inputs are not permitted", (int)node->key_len,
                          r->doc->text.ptr + node->key_begin + 1);
    }
    return true;
}

static bool is_id(const struct json_doc *doc, json_ref string)
{
    struct span s = json_inner(doc, string);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-')
            return false;
    }
    return s.len > 0;
}

/* Blocks */

static void hear_mark(struct reading *r, json_ref block)
{
    json_ref mark = heard_get(r->h, block, "cache_control", JSON_OBJECT);
    if (mark == JSON_NONE)
        return;
    r->n_marks++;
    json_put_string(&r->h->out, "cache",
                    heard_is(r->h, mark, "ttl", "1h") ? SPAN("1h") : SPAN("5m"));
}

static bool has_words(const struct json_doc *doc, json_ref string)
{
    struct span s = json_inner(doc, string);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\' && i + 1 < s.len && strchr("ntr", s.ptr[i + 1]) != NULL)
            i++;
        else if (s.ptr[i] != ' ')
            return true;
    }
    return false;
}

static bool read_text(struct reading *r, json_ref block)
{
    json_ref text = heard_get(r->h, block, "text", JSON_STRING);
    if (text == JSON_NONE)
        return refuse_block(r, "text.text: Field required");
    if (json_inner(r->doc, text).len == 0)
        return ask_refuse(r->k, 400, "messages: text content blocks must be non-empty");
    if (!has_words(r->doc, text))
        return ask_refuse(r->k, 400,
                          "messages: text content blocks must contain non-whitespace text");
    heard_string(r->h, "text", text);
    return true;
}

static bool read_media(struct reading *r, json_ref block)
{
    json_ref source = heard_get(r->h, block, "source", JSON_OBJECT);
    if (source == JSON_NONE)
        return refuse_block(r, "source: Field required");
    heard_string(r->h, "media", json_get(r->doc, source, "media_type"));
    heard_string(r->h, "data", json_get(r->doc, source, "data"));
    heard_string(r->h, "url", json_get(r->doc, source, "url"));
    heard_string(r->h, "file", json_get(r->doc, source, "file_id"));
    heard_string(r->h, "title", json_get(r->doc, block, "title"));
    bool base64 = heard_is(r->h, source, "type", "base64");
    if (base64 && heard_get(r->h, source, "media_type", JSON_STRING) == JSON_NONE)
        return refuse_block(r, "source.base64.media_type: Field required");
    return true;
}

static bool read_call(struct reading *r, json_ref block)
{
    json_ref id = heard_get(r->h, block, "id", JSON_STRING);
    json_ref name = heard_get(r->h, block, "name", JSON_STRING);
    json_ref input = heard_get(r->h, block, "input", JSON_OBJECT);
    if (id == JSON_NONE || !is_id(r->doc, id))
        return refuse_block(r, "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
    if (name == JSON_NONE || !is_id(r->doc, name))
        return refuse_block(r,
                            "tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'");
    if (input == JSON_NONE)
        return refuse_block(r, "tool_use.input: Input should be a valid dictionary");
    heard_string(r->h, "id", id);
    heard_string(r->h, "name", name);
    heard_raw(r->h, "arguments", input);
    heard_call(r->h, id);
    return true;
}

/* A signature that is no base64 was not made by the provider; a real one ends a thought. */
static bool read_thinking(struct reading *r, json_ref block)
{
    json_ref signature = heard_get(r->h, block, "signature", JSON_STRING);
    struct span s = signature != JSON_NONE ? json_inner(r->doc, signature) : SPAN("");
    for (size_t i = 0; i < s.len; i++) {
        if (strchr(":_", s.ptr[i]) != NULL || (unsigned char)s.ptr[i] <= ' ')
            s.len = 0;
    }
    if (s.len == 0)
        return refuse_block(r, "Invalid `signature` in `thinking` block");
    heard_string(r->h, "text", json_get(r->doc, block, "thinking"));
    heard_string(r->h, "signature", signature);
    return true;
}

static bool read_blocks(struct reading *r, json_ref content, const char *key);

static bool read_result(struct reading *r, json_ref block)
{
    json_ref id = heard_get(r->h, block, "tool_use_id", JSON_STRING);
    if (id == JSON_NONE)
        return refuse_block(r, "tool_result.tool_use_id: Field required");
    if (!heard_result(r->h, id))
        return ask_refuse(r->k, 400,
                          "messages.%d.content.%d: unexpected `tool_use_id` found in `tool_result` "
                          "blocks: %.*s. Each `tool_result` block must have a corresponding "
                          "`tool_use` block in the previous message.",
                          r->message, r->block, (int)json_inner(r->doc, id).len,
                          json_inner(r->doc, id).ptr);
    heard_string(r->h, "id", id);
    bool is_error = false;
    if (json_truth(r->doc, json_get(r->doc, block, "is_error"), &is_error) && is_error)
        json_put_bool(&r->h->out, "error", true);
    return read_blocks(r, json_get(r->doc, block, "content"), "content");
}

static bool read_redacted(struct reading *r, json_ref block)
{
    heard_string(r->h, "data", json_get(r->doc, block, "data"));
    return true;
}

static bool read_other(struct reading *r, json_ref block)
{
    heard_string(r->h, "name", json_get(r->doc, block, "type"));
    return true;
}

static const struct {
    const char *type, *heard;
    bool (*read)(struct reading *r, json_ref block);
} block_rows[] = {
    {"text", "text", read_text},
    {"image", "image", read_media},
    {"document", "document", read_media},
    {"tool_use", "call", read_call},
    {"tool_result", "result", read_result},
    {"thinking", "thinking", read_thinking},
    {"redacted_thinking", "redacted", read_redacted},
    {NULL, "other", read_other}, /* an open list */
};

static bool read_block(struct reading *r, json_ref block)
{
    size_t i = 0;
    while (block_rows[i].type != NULL && !heard_is(r->h, block, "type", block_rows[i].type))
        i++;
    if (!heard_kind(r->h, block, JSON_OBJECT) || json_get(r->doc, block, "type") == JSON_NONE)
        return refuse_block(r, "type: Field required");
    heard_open(r->h, block_rows[i].heard);
    bool ok = block_rows[i].read(r, block);
    hear_mark(r, block);
    heard_close(r->h);
    return ok;
}

/* A string or a list of blocks. */
static bool read_blocks(struct reading *r, json_ref content, const char *key)
{
    bool ok = true;
    json_open_array(&r->h->out, key);
    if (heard_kind(r->h, content, JSON_STRING)) {
        heard_text(r->h, content);
    } else if (heard_kind(r->h, content, JSON_ARRAY)) {
        r->block = 0;
        for (json_ref b = json_first(r->doc, content); ok && b != JSON_NONE;
             b = json_next(r->doc, b)) {
            ok = read_block(r, b);
            r->block++;
        }
    }
    json_close_array(&r->h->out);
    return ok;
}

/* Messages */

/* The calls of the turn before must all have been answered by now. */
static bool check_answered(struct reading *r)
{
    struct heard *h = r->h;
    if (h->n_calls == 0)
        return true;
    struct span id = json_inner(r->doc, h->calls[0]);
    return ask_refuse(r->k, 400,
                      "messages.%d: `tool_use` ids were found without `tool_result` blocks "
                      "immediately after: %.*s. Each `tool_use` block must have a corresponding "
                      "`tool_result` block in the next message.",
                      r->message - 1, (int)id.len, id.ptr);
}

static bool begins_with(const struct reading *r, json_ref content, const char *type)
{
    return heard_kind(r->h, content, JSON_ARRAY) &&
           heard_is(r->h, json_first(r->doc, content), "type", type);
}

static bool begins_with_thought(const struct reading *r, json_ref content)
{
    return begins_with(r, content, "thinking") || begins_with(r, content, "redacted_thinking");
}

static bool read_message(struct reading *r, json_ref m)
{
    static const char *const roles[] = {"user", "assistant", "system"};
    size_t role = 0;
    while (role < 3 && !heard_is(r->h, m, "role", roles[role]))
        role++;
    if (role == 3)
        return ask_refuse(r->k, 400, "messages.%d.role: Input should be 'user' or 'assistant'",
                          r->message);
    json_ref content = json_get(r->doc, m, "content");
    bool empty =
        content == JSON_NONE || json_kind(r->doc, content) == JSON_NULL ||
        (json_kind(r->doc, content) == JSON_STRING && json_inner(r->doc, content).len == 0) ||
        (json_kind(r->doc, content) == JSON_ARRAY && json_first(r->doc, content) == JSON_NONE);
    bool last = json_next(r->doc, m) == JSON_NONE;
    if (empty && !(role == 1 && last))
        return ask_refuse(r->k, 400,
                          "messages.%d: all messages must have non-empty content except for the "
                          "optional final assistant message",
                          r->message);
    if (role == 1 && !check_answered(r))
        return false;
    json_open_object(&r->h->out, NULL);
    json_put_string(&r->h->out, "role", span_of(roles[role]));
    bool ok = read_blocks(r, content, "content");
    json_close_object(&r->h->out);
    if (role == 1)
        r->unthought = r->h->n_calls > 0 && !begins_with_thought(r, content);
    else if (role == 0 && !begins_with(r, content, "tool_result"))
        r->unthought = false;
    return ok && (role != 0 || check_answered(r));
}

static bool read_messages(struct reading *r)
{
    json_ref messages = json_get(r->doc, 0, "messages");
    if (messages == JSON_NONE)
        return ask_refuse(r->k, 400, "messages: Field required");
    if (json_kind(r->doc, messages) != JSON_ARRAY || json_first(r->doc, messages) == JSON_NONE)
        return ask_refuse(r->k, 400, "messages: at least one message is required");
    bool ok = true;
    json_open_array(&r->h->out, "messages");
    for (json_ref m = json_first(r->doc, messages); ok && m != JSON_NONE;
         m = json_next(r->doc, m)) {
        ok = read_message(r, m);
        r->message++;
    }
    json_close_array(&r->h->out);
    return ok;
}

/* Tools */

static bool read_tool(struct reading *r, json_ref tool)
{
    json_ref name = heard_get(r->h, tool, "name", JSON_STRING);
    json_ref type = json_get(r->doc, tool, "type");
    json_ref schema = heard_get(r->h, tool, "input_schema", JSON_OBJECT);
    bool custom = type == JSON_NONE || json_text_is(r->doc, type, "custom");
    if (custom && (name == JSON_NONE || !is_id(r->doc, name)))
        return ask_refuse(r->k, 400,
                          "tools.0.custom.name: String should match pattern "
                          "'^[a-zA-Z0-9_-]{1,128}$'");
    if (custom && schema == JSON_NONE)
        return ask_refuse(r->k, 400, "tools.0.custom.input_schema: Field required");
    if (custom && !heard_is(r->h, schema, "type", "object"))
        return ask_refuse(r->k, 400, "tools.0.custom.input_schema.type: Input should be 'object'");
    if (name != JSON_NONE)
        heard_tool(r->h, name, schema);
    json_open_object(&r->h->out, NULL);
    heard_string(r->h, "type", type);
    heard_string(r->h, "name", name);
    heard_string(r->h, "description", json_get(r->doc, tool, "description"));
    heard_raw(r->h, "schema", schema);
    heard_raw(r->h, "strict", json_get(r->doc, tool, "strict"));
    hear_mark(r, tool);
    json_close_object(&r->h->out);
    return true;
}

static bool read_tools(struct reading *r)
{
    json_ref tools = heard_get(r->h, 0, "tools", JSON_ARRAY);
    bool ok = true;
    json_open_array(&r->h->out, "tools");
    for (json_ref t = tools == JSON_NONE ? JSON_NONE : json_first(r->doc, tools);
         ok && t != JSON_NONE; t = json_next(r->doc, t))
        ok = read_tool(r, t);
    json_close_array(&r->h->out);
    return ok;
}

static bool read_choice(struct reading *r)
{
    static const char *const types[] = {"auto", "any", "none", "tool"};
    struct heard *h = r->h;
    json_ref choice = heard_get(h, 0, "tool_choice", JSON_OBJECT);
    if (choice == JSON_NONE)
        return true;
    size_t i = 0;
    while (i < 4 && !heard_is(h, choice, "type", types[i]))
        i++;
    if (i == 4)
        return ask_refuse(r->k, 400,
                          "tool_choice: Input tag found using 'type' does not match any "
                          "of the expected tags: 'auto', 'any', 'tool', 'none'");
    if (h->n_tools == 0 && i != CALL_NONE)
        return ask_refuse(r->k, 400, "tool_choice: may only be specified while providing `tools`");
    h->choice = (enum heard_choice)i;
    h->choice_name = json_get(r->doc, choice, "name");
    json_put_string(&h->out, "choice", span_of(types[i]));
    heard_string(h, "choice_name", h->choice_name);
    json_truth(r->doc, json_get(r->doc, choice, "disable_parallel_tool_use"), &h->no_parallel);
    if (h->no_parallel)
        json_put_bool(&h->out, "parallel", false);
    return true;
}

/* Settings */

static bool read_reasoning(struct reading *r)
{
    struct heard *h = r->h;
    json_ref thinking = heard_get(h, 0, "thinking", JSON_OBJECT);
    json_ref config = heard_get(h, 0, "output_config", JSON_OBJECT);
    json_ref format = heard_get(h, config, "format", JSON_OBJECT);
    bool enabled = heard_is(h, thinking, "type", "enabled");
    h->thinking = enabled || heard_is(h, thinking, "type", "adaptive");
    h->thinking_hidden = heard_is(h, thinking, "display", "omitted");
    if (format == JSON_NONE)
        format = heard_get(h, 0, "output_format", JSON_OBJECT);
    h->schema = heard_get(h, format, "schema", JSON_OBJECT);
    heard_string(h, "effort", json_get(r->doc, config, "effort"));
    heard_raw(h, "schema", h->schema);
    if (thinking == JSON_NONE)
        return true;
    json_ref budget_ref = json_get(r->doc, thinking, "budget_tokens");
    int64_t budget = 0;
    heard_string(h, "thinking", json_get(r->doc, thinking, "type"));
    heard_raw(h, "thinking_budget", budget_ref);
    if (!enabled)
        return true;
    if (!json_int64(r->doc, budget_ref, &budget) || budget < BUDGET_MIN)
        return ask_refuse(r->k, 400,
                          "thinking.enabled.budget_tokens: Input should be greater than or "
                          "equal to 1024");
    if (!r->k->call->count_only && h->max_tokens <= budget)
        return ask_refuse(r->k, 400, "`max_tokens` must be greater than `thinking.budget_tokens`");
    if (r->unthought)
        return ask_refuse(
            r->k, 400,
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            "found `tool_use`. When `thinking` is enabled, a final `assistant` message "
            "must start with a thinking block.");
    if (h->choice == CALL_ANY || h->choice == CALL_NAMED)
        return ask_refuse(r->k, 400,
                          "Thinking may not be enabled when tool_choice forces tool use.");
    return true;
}

static bool read_stops(struct reading *r)
{
    json_ref stops = heard_get(r->h, 0, "stop_sequences", JSON_ARRAY);
    if (stops == JSON_NONE)
        return true;
    for (json_ref s = json_first(r->doc, stops); s != JSON_NONE; s = json_next(r->doc, s)) {
        if (json_kind(r->doc, s) != JSON_STRING || !has_words(r->doc, s))
            return ask_refuse(r->k, 400,
                              "stop_sequences: each stop sequence must contain non-whitespace");
        heard_stop(r->h, s);
    }
    heard_raw(r->h, "stop", stops);
    return true;
}

static bool read_temperature(struct reading *r)
{
    json_ref t = json_get(r->doc, 0, "temperature");
    if (t == JSON_NONE || json_kind(r->doc, t) == JSON_NULL)
        return true;
    double value = strtod(json_raw(r->doc, t).ptr, NULL);
    if (json_kind(r->doc, t) != JSON_NUMBER || value < 0 || value > 1)
        return ask_refuse(r->k, 400, "temperature: range: 0..1");
    if (r->h->thinking && value < 1)
        return ask_refuse(r->k, 400,
                          "`temperature` may only be set to 1 when thinking is enabled.");
    heard_raw(r->h, "temperature", t);
    return true;
}

static bool read_settings(struct reading *r)
{
    static const char *const plain[] = {"top_p", "top_k", "service_tier", "metadata"};
    struct heard *h = r->h;
    json_ref max = json_get(r->doc, 0, "max_tokens");
    bool required = !r->k->call->count_only && r->k->script.n[SCRIPT_lenient] <= 0;
    if (!json_int64(r->doc, max, &h->max_tokens) && required)
        return ask_refuse(r->k, 400, "max_tokens: Field required");
    json_open_object(&h->out, "settings");
    heard_raw(h, "max_tokens", max);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        heard_raw(h, plain[i], json_get(r->doc, 0, plain[i]));
    bool ok = read_choice(r) && read_reasoning(r) && read_stops(r) && read_temperature(r);
    hear_mark(r, 0);
    json_close_object(&h->out);
    return ok;
}

static bool read_system(struct reading *r)
{
    json_ref system = json_get(r->doc, 0, "system");
    if (system == JSON_NONE)
        return true;
    return read_blocks(r, system, "system");
}

static bool check_version(struct ask *k)
{
    if (k->script.n[SCRIPT_require_version] > 0 &&
        http_header(k->http, "anthropic-version").ptr == NULL)
        return ask_refuse(k, 400, "anthropic-version: header is required");
    return true;
}

bool anthropic_read(struct ask *k)
{
    struct reading r = {.k = k, .h = &k->heard, .doc = k->doc};
    json_truth(k->doc, json_get(k->doc, 0, "stream"), &k->heard.stream);
    if (!read_tools(&r) || !read_system(&r) || !read_messages(&r) || !read_settings(&r) ||
        !check_version(k))
        return false;
    if (r.n_marks > MARKS_MAX)
        return ask_refuse(k, 400,
                          "A maximum of 4 blocks with cache_control may be provided. Found %d.",
                          r.n_marks);
    return k->script.n[SCRIPT_lenient] > 0 || check_names(&r);
}

/* The prompt as the cache sees it: tools, system, messages. */

static void walk_block(struct cache_walk *w, json_ref block)
{
    cache_block(w, block, "cache_control");
    json_ref marker = json_get(w->doc, block, "cache_control");
    if (marker != JSON_NONE && json_kind(w->doc, marker) == JSON_OBJECT)
        cache_mark(w, json_text_is(w->doc, json_get(w->doc, marker, "ttl"), "1h"));
}

static void walk_list(struct cache_walk *w, json_ref list)
{
    if (list == JSON_NONE)
        return;
    if (json_kind(w->doc, list) != JSON_ARRAY) {
        walk_block(w, list);
        return;
    }
    for (json_ref b = json_first(w->doc, list); b != JSON_NONE; b = json_next(w->doc, b))
        walk_block(w, b);
}

void anthropic_walk(struct cache_walk *w)
{
    walk_list(w, json_get(w->doc, 0, "tools"));
    cache_text(w, SPAN("|system|"));
    walk_list(w, json_get(w->doc, 0, "system"));
    json_ref messages = json_get(w->doc, 0, "messages");
    for (json_ref m = json_first(w->doc, messages); m != JSON_NONE; m = json_next(w->doc, m)) {
        json_ref role = json_get(w->doc, m, "role");
        if (role != JSON_NONE)
            cache_text(w, json_raw(w->doc, role));
        walk_list(w, json_get(w->doc, m, "content"));
    }
    /* The automatic form: one marker for the whole request. */
    json_ref automatic = json_get(w->doc, 0, "cache_control");
    if (automatic != JSON_NONE && json_kind(w->doc, automatic) == JSON_OBJECT)
        cache_mark(w, json_text_is(w->doc, json_get(w->doc, automatic, "ttl"), "1h"));
}

/* The wire */

static void add_headers(struct ask *k, const struct script *s)
{
    static const char *const fixed[][2] = {
        {"anthropic-organization-id", "00000000-0000-4000-8000-000000000000"},
        {"anthropic-ratelimit-requests-limit", "4000"},
        {"anthropic-ratelimit-requests-remaining", "3999"},
        {"anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"},
    };
    if (s == NULL || !script_has_header(s, "request-id")) {
        buf_adds(&k->answer->head, "request-id: ");
        ask_write_id(&k->answer->head, "req_", k->c->exchange.seq);
        buf_adds(&k->answer->head, "\r\n");
    }
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        ask_header(k, s, fixed[i][0], span_of(fixed[i][1]));
}

const struct wire wire_anthropic = {
    .name = "anthropic",
    .messages = "messages",
    .content = "content",
    .stream_type = "text/event-stream; charset=utf-8",
    .ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    .read = anthropic_read,
    .cache_word = "cache_control",
    .walk = anthropic_walk,
    .write = anthropic_write,
    .write_count = anthropic_write_count,
    .write_error_event = anthropic_write_error_event,
    .write_error = anthropic_write_error,
    .add_headers = add_headers,
};

/* The list of models */

static void write_model(struct buf *out, struct span id)
{
    buf_adds(out, "{\"type\":\"model\",\"id\":");
    json_write_string(out, id);
    buf_adds(out, ",\"display_name\":");
    json_write_string(out, id);
    buf_adds(out, ",\"created_at\":\"2026-01-01T00:00:00Z\"}");
}

void anthropic_models(struct conn *c, struct span id)
{
    static const char *const ids[] = {"claude-sim-large", "claude-sim-medium", "claude-sim-small"};
    struct buf *out = &c->answer.body;
    answer_begin(&c->answer, 200, "application/json");
    if (id.len > 0) {
        write_model(out, id);
    } else {
        buf_adds(out, "{\"data\":[");
        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
            if (i > 0)
                buf_addc(out, ',');
            write_model(out, span_of(ids[i]));
        }
        buf_adds(out, "],\"has_more\":false,\"first_id\":\"claude-sim-large\","
                      "\"last_id\":\"claude-sim-small\"}");
    }
    struct ask k = {.c = c, .answer = &c->answer};
    add_headers(&k, NULL);
}
