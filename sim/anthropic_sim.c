#define _GNU_SOURCE
/* Reads a Messages request as the provider would, and decides what to answer. */
#include "sim/anthropic_sim.h"

#include "sim/anthropic_write.h"
#include "sim/door.h"

enum { ESTIMATE_BYTES_PER_TOKEN = 4 };

/* One request while it is being answered. */
struct ask {
    struct conn *c;
    struct sim *sim;
    const struct http_request *http;
    const struct json_doc *doc;
    struct span model; /* without the script */
    struct script script;
    bool count_only;
    bool replayed; /* the recording's headers are all there is */
};

void anthropic_error(struct conn *c, int status, struct span type, struct span message)
{
    struct answer *a = &c->answer;
    answer_begin(a, status, "application/json");
    if (type.ptr == NULL)
        type = span_of(anthropic_error_type(status));
    anthropic_write_error(&a->body, type, message, c->exchange.seq);
}

static struct span none(void)
{
    return (struct span){NULL, 0};
}

static bool refuse(struct ask *k, int status, const char *message)
{
    anthropic_error(k->c, status, none(), span_of(message));
    return false;
}

static bool refuse_name(struct ask *k, struct span name, const char *message)
{
    struct buf text;
    buf_init(&text, 2048);
    buf_add_span(&text, name);
    buf_adds(&text, message);
    anthropic_error(k->c, 400, none(), buf_span(&text));
    buf_done(&text);
    return false;
}

/* Headers of the provider's own on every answer; a scripted one takes their place. */
static void add_provider_headers(struct ask *k, bool scripted)
{
    static const char *const fixed[][2] = {
        {"anthropic-organization-id", "00000000-0000-4000-8000-000000000000"},
        {"anthropic-ratelimit-requests-limit", "4000"},
        {"anthropic-ratelimit-requests-remaining", "3999"},
        {"anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"},
    };
    const struct script *s = scripted ? &k->script : NULL;
    struct answer *a = &k->c->answer;
    if (s == NULL || !script_has_header(s, "request-id")) {
        buf_adds(&a->head, "request-id: ");
        anthropic_write_id(&a->head, "req_", k->c->exchange.seq);
        buf_adds(&a->head, "\r\n");
    }
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (s == NULL || !script_has_header(s, fixed[i][0]))
            answer_header(a, fixed[i][0], span_of(fixed[i][1]));
    }
}

/* Checks that the real provider makes */

static bool check_names(struct ask *k)
{
    for (json_ref m = json_first(k->doc, 0); m != JSON_NONE; m = json_next(k->doc, m)) {
        if (!json_key_has_prefix(k->doc, m, "provider") && !json_key_is(k->doc, m, "models"))
            continue;
        const struct json_node *node = json_at(k->doc, m);
        struct span name = {k->doc->text.ptr + node->key_begin + 1, node->key_len};
        return refuse_name(k, name, ": Extra inputs are not permitted");
    }
    return true;
}

static bool check_request(struct ask *k)
{
    json_ref messages = json_get(k->doc, 0, "messages");
    if (messages == JSON_NONE)
        return refuse(k, 400, "messages: Field required");
    if (json_kind(k->doc, messages) != JSON_ARRAY || json_first(k->doc, messages) == JSON_NONE)
        return refuse(k, 400, "messages: at least one message is required");
    if (k->script.n[SCRIPT_require_version] > 0 &&
        http_header(k->http, "anthropic-version").ptr == NULL)
        return refuse(k, 400, "anthropic-version: header is required");
    return k->script.n[SCRIPT_lenient] > 0 || check_names(k);
}

static bool check_key(struct ask *k)
{
    struct span key = k->script.s[SCRIPT_require_key];
    if (key.ptr == NULL || door_has_key(k->http, key))
        return true;
    return refuse(k, 401, "invalid x-api-key");
}

/* Reading of the script */

static json_ref last_user_text(const struct json_doc *doc)
{
    json_ref found = JSON_NONE;
    json_ref messages = json_get(doc, 0, "messages");
    if (messages == JSON_NONE || json_kind(doc, messages) != JSON_ARRAY)
        return JSON_NONE;
    for (json_ref m = json_first(doc, messages); m != JSON_NONE; m = json_next(doc, m)) {
        json_ref role = json_get(doc, m, "role");
        json_ref content = json_get(doc, m, "content");
        if (role == JSON_NONE || content == JSON_NONE || !json_text_is(doc, role, "user"))
            continue;
        if (json_kind(doc, content) == JSON_STRING)
            found = content;
        if (json_kind(doc, content) != JSON_ARRAY)
            continue;
        for (json_ref b = json_first(doc, content); b != JSON_NONE; b = json_next(doc, b)) {
            json_ref text = json_get(doc, b, "text");
            if (text != JSON_NONE && json_kind(doc, text) == JSON_STRING)
                found = text;
        }
    }
    return found;
}

static bool apply_text_script(struct ask *k)
{
    static const char opening[] = "[[sim:";
    const struct span body = k->doc->text;
    if (memmem(body.ptr, body.len, opening, sizeof(opening) - 1) == NULL)
        return true;
    json_ref text = last_user_text(k->doc);
    struct buf *out = &k->sim->scratch;
    buf_reset(out);
    if (text == JSON_NONE || !json_text(k->doc, text, out))
        return true;
    char *begin = strstr(out->ptr, opening);
    char *end = begin != NULL ? strstr(begin, "]]") : NULL;
    if (end == NULL)
        return true;
    begin += sizeof(opening) - 1;
    struct span bad;
    if (script_apply(&k->script, (struct span){begin, (size_t)(end - begin)}, ",", &bad))
        return true;
    return refuse_name(k, bad, ": not a key or value of the simulator");
}

/* Splits model?script and reads every script that applies. */
static bool read_script(struct ask *k)
{
    json_ref model = json_get(k->doc, 0, "model");
    if (model == JSON_NONE || json_kind(k->doc, model) != JSON_STRING)
        return refuse(k, 400, "model: Field required");
    struct buf *text = &k->sim->model;
    buf_reset(text);
    if (!json_text(k->doc, model, text))
        return refuse(k, 400, "model: not a valid string");
    const char *query = memchr(text->ptr, '?', text->len);
    k->model = buf_span(text);
    if (query != NULL)
        k->model.len = (size_t)(query - text->ptr);
    script_init(&k->script, &k->sim->arena);
    roster_apply(&k->sim->roster, span_of(k->c->exchange.site), k->model, &k->script);
    if (query != NULL) {
        struct span rest = {query + 1, text->len - k->model.len - 1};
        struct span bad;
        if (!script_apply(&k->script, rest, "&", &bad))
            return refuse_name(k, bad, ": not a key or value of the simulator");
    }
    return apply_text_script(k);
}

/* Counts the request, and decides whether its faults are on this time. */
static void take_turn(struct ask *k)
{
    struct script *s = &k->script;
    struct roster_model *m = roster_get(&k->sim->roster, span_of(k->c->exchange.site), k->model);
    door_count(k->c, m, k->model);
    int64_t first = s->n[SCRIPT_fail_first];
    int64_t rate = s->n[SCRIPT_fail_rate];
    if (first < 0 && rate < 0)
        return;
    bool fails = m != NULL && first >= 0 && m->n_turns < first;
    if (m != NULL)
        m->n_turns++;
    if (rate >= 0 && (int64_t)(sim_random(k->sim) % 100) < rate)
        fails = true;
    if (!fails)
        script_heal(s);
    else if (!script_has_fault(s))
        s->n[SCRIPT_status] = 529;
}

/* Answers */

static void send_html(struct ask *k, int status)
{
    struct answer *a = &k->c->answer;
    answer_begin(a, status, "text/html");
    buf_adds(&a->body, "<html>\r\n<head><title>");
    buf_add_int(&a->body, status);
    buf_addc(&a->body, ' ');
    buf_adds(&a->body, http_reason(status));
    buf_adds(&a->body, "</title></head>\r\n<body><center><h1>Not the provider</h1></center>"
                       "</body>\r\n</html>\r\n");
}

/* The scripted answers that are no message.  true: one was given. */
static bool send_fault(struct ask *k)
{
    struct script *s = &k->script;
    struct answer *a = &k->c->answer;
    int64_t scripted = s->n[SCRIPT_status];
    if (k->count_only && s->n[SCRIPT_count_status] >= 0)
        scripted = s->n[SCRIPT_count_status];
    if (scripted != -1 && (scripted < 200 || scripted > 599))
        scripted = 500;
    int status = (int)scripted;
    if (s->n[SCRIPT_html] > 0) {
        send_html(k, status > 0 ? status : 502);
    } else if (s->s[SCRIPT_body].ptr != NULL) {
        answer_begin(a, status > 0 ? status : 200,
                     s->s[SCRIPT_content_type].ptr != NULL ? NULL : "application/json");
        buf_add_span(&a->body, s->s[SCRIPT_body]);
    } else if (status > 0 && status != 200) {
        struct span message = s->s[SCRIPT_error_message];
        anthropic_error(k->c, status, s->s[SCRIPT_error_type],
                        message.ptr != NULL ? message : span_of(http_reason(status)));
    } else {
        return false;
    }
    if (s->s[SCRIPT_content_type].ptr != NULL && s->s[SCRIPT_body].ptr != NULL)
        answer_header(a, "content-type", s->s[SCRIPT_content_type]);
    if (s->n[SCRIPT_retry_after] >= 0) {
        buf_adds(&a->head, "retry-after: ");
        buf_add_int(&a->head, s->n[SCRIPT_retry_after]);
        buf_adds(&a->head, "\r\n");
    }
    return true;
}

static int64_t prompt_tokens(const struct ask *k)
{
    return ((int64_t)k->http->body.len + ESTIMATE_BYTES_PER_TOKEN - 1) / ESTIMATE_BYTES_PER_TOKEN;
}

static int64_t scripted_or(const struct ask *k, enum script_number n, int64_t otherwise)
{
    return k->script.n[n] >= 0 ? k->script.n[n] : otherwise;
}

static void read_bill(struct ask *k, struct bill *ret)
{
    struct cache_use use = {.uncached_tok = scripted_or(k, SCRIPT_input_tokens, prompt_tokens(k))};
    const struct span body = k->http->body;
    if (memmem(body.ptr, body.len, "cache_control", 13) != NULL)
        cache_apply(&k->sim->cache, k->doc, k->model, use.uncached_tok, uv_now(&k->sim->loop),
                    &use);
    ret->input_tok = scripted_or(k, SCRIPT_input_tokens, use.uncached_tok);
    ret->cache_read_tok = scripted_or(k, SCRIPT_cache_read, use.read_tok);
    ret->cache_write_5m_tok = scripted_or(k, SCRIPT_cache_write_5m, use.write_5m_tok);
    ret->cache_write_1h_tok = scripted_or(k, SCRIPT_cache_write_1h, use.write_1h_tok);
    ret->web_searches = k->script.n[SCRIPT_web_searches];
}

static bool type_is(const struct ask *k, json_ref object, const char *type)
{
    json_ref t = object == JSON_NONE ? JSON_NONE : json_get(k->doc, object, "type");
    return t != JSON_NONE && json_text_is(k->doc, t, type);
}

static void read_thinking(struct ask *k, struct reply *r)
{
    json_ref thinking = json_get(k->doc, 0, "thinking");
    r->thinking = type_is(k, thinking, "enabled") || type_is(k, thinking, "adaptive");
    if (k->script.n[SCRIPT_thinking] >= 0)
        r->thinking = k->script.n[SCRIPT_thinking] > 0;
    json_ref display = thinking == JSON_NONE ? JSON_NONE : json_get(k->doc, thinking, "display");
    r->thinking_omitted = display != JSON_NONE && json_text_is(k->doc, display, "omitted");
}

/* The first tool with a schema, or the one that tool_choice names. */
static void read_tool(struct ask *k, struct reply *r)
{
    json_ref choice = json_get(k->doc, 0, "tool_choice");
    json_ref tools = json_get(k->doc, 0, "tools");
    bool named = type_is(k, choice, "tool");
    bool wanted = k->script.n[SCRIPT_tool] > 0 || named || type_is(k, choice, "any");
    if (!wanted || tools == JSON_NONE || json_kind(k->doc, tools) != JSON_ARRAY)
        return;
    json_ref want = named ? json_get(k->doc, choice, "name") : JSON_NONE;
    for (json_ref t = json_first(k->doc, tools); t != JSON_NONE; t = json_next(k->doc, t)) {
        json_ref name = json_get(k->doc, t, "name");
        if (name == JSON_NONE || json_kind(k->doc, name) != JSON_STRING)
            continue;
        if (want != JSON_NONE && !span_eq(json_raw(k->doc, want), json_raw(k->doc, name)))
            continue;
        r->tool = true;
        r->tool_name = json_inner(k->doc, name);
        r->tool_schema = json_get(k->doc, t, "input_schema");
        return;
    }
}

/* How many tokens are generated, what for, and why it ends. */
static void plan_output(struct ask *k, struct reply *r)
{
    struct span text = k->script.s[SCRIPT_text];
    int64_t out = text.ptr != NULL ? ((int64_t)text.len + 3) / 4 : REPLY_TOKENS_DEFAULT;
    out = scripted_or(k, SCRIPT_output_tokens, out);
    if (out > REPLY_TOKENS_MAX)
        out = REPLY_TOKENS_MAX;
    int64_t max = -1;
    json_ref max_tokens = json_get(k->doc, 0, "max_tokens");
    r->stop_reason = r->tool ? "tool_use" : "end_turn";
    if (max_tokens != JSON_NONE && json_int64(k->doc, max_tokens, &max) && max >= 0 && max < out) {
        out = max;
        r->stop_reason = "max_tokens";
    }
    r->thinking = r->thinking && out > 0;
    r->tool = r->tool && out > 0;
    r->think_tok = r->thinking ? (out + 3) / 4 : 0;
    r->tool_tok = r->tool ? (out - r->think_tok + 1) / 2 : 0;
    r->text_tok = out - r->think_tok - r->tool_tok;
    r->bill.output_tok = out;
}

static void add_iterations_to_bill(struct ask *k, struct bill *b)
{
    for (int64_t i = 1; i < k->script.n[SCRIPT_iterations] + 1 && i < 32; i++) {
        b->input_tok += 100 * i;
        b->output_tok += 10 * i;
    }
}

static void send_message(struct ask *k)
{
    struct answer *a = &k->c->answer;
    struct reply r = {.sim = k->sim,
                      .answer = a,
                      .script = &k->script,
                      .seq = k->c->exchange.seq,
                      .model = k->model,
                      .tool_schema = JSON_NONE};
    json_ref stream = json_get(k->doc, 0, "stream");
    r.stream = stream != JSON_NONE && json_kind(k->doc, stream) == JSON_TRUE;
    read_bill(k, &r.bill);
    read_thinking(k, &r);
    read_tool(k, &r);
    plan_output(k, &r);
    char stop_reason[SCRIPT_NAME_MAX];
    struct span scripted = k->script.s[SCRIPT_stop_reason];
    if (scripted.ptr != NULL && scripted.len < sizeof(stop_reason)) {
        memcpy(stop_reason, scripted.ptr, scripted.len);
        stop_reason[scripted.len] = '\0';
        r.stop_reason = stop_reason;
    }
    a->chunked = r.stream;
    answer_begin(a, 200, r.stream ? "text/event-stream; charset=utf-8" : "application/json");
    if (r.stream)
        answer_header(a, "cache-control", SPAN("no-cache"));
    reply_write(&r);
    if (r.stream && k->script.n[SCRIPT_error_event_after] >= 0) {
        reply_write_error_event(a, &k->script);
        a->partial = true;
    }
    a->billed = true;
    a->bill = r.bill;
    add_iterations_to_bill(k, &a->bill);
}

static void send_count(struct ask *k)
{
    struct answer *a = &k->c->answer;
    answer_begin(a, 200, "application/json");
    buf_adds(&a->body, "{\"input_tokens\":");
    buf_add_int(&a->body, scripted_or(k, SCRIPT_input_tokens, prompt_tokens(k)));
    buf_addc(&a->body, '}');
}

static bool send_replay(struct ask *k)
{
    static const char prefix[] = "replay:";
    const size_t len = sizeof(prefix) - 1;
    if (k->model.len < len || memcmp(k->model.ptr, prefix, len) != 0)
        return false;
    const char *why;
    struct span name = {k->model.ptr + len, k->model.len - len};
    if (!replay_answer(&k->sim->replay, name, &k->c->answer, &why))
        refuse(k, 404, why);
    else
        k->replayed = true;
    return true;
}

/* true: a script was read, and directs the answer. */
static bool answer_ask(struct ask *k)
{
    struct fail fail;
    if (json_parse(&k->sim->doc, k->http->body, &fail) != 0)
        return refuse(k, 400, fail.text);
    if (json_kind(k->doc, 0) != JSON_OBJECT)
        return refuse(k, 400, "the body must be a JSON object");
    if (!read_script(k))
        return false;
    take_turn(k);
    if (!check_key(k) || send_fault(k) || !check_request(k))
        return true;
    if (send_replay(k))
        return true;
    if (k->count_only)
        send_count(k);
    else
        send_message(k);
    return true;
}

void anthropic_messages(struct conn *c, const struct http_request *r, bool count_only)
{
    struct ask k = {
        .c = c, .sim = c->sim, .http = r, .doc = &c->sim->doc, .count_only = count_only};
    bool scripted = answer_ask(&k);
    if (!k.replayed)
        add_provider_headers(&k, scripted);
    if (scripted)
        answer_direct(&c->answer, &k.script);
}

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
    struct ask k = {.c = c, .sim = c->sim};
    add_provider_headers(&k, false);
}
