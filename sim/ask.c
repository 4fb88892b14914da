#define _GNU_SOURCE
/* From a whole request to an answer: what every protocol goes through. */
#include "sim/ask.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/door.h"

enum { ESTIMATE_BYTES_PER_TOKEN = 4, REFUSAL_MAX = 2048, ITERATIONS_MAX = 32 };

void ask_write_id(struct buf *out, const char *prefix, uint64_t seq)
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

void ask_header(struct ask *k, const struct script *s, const char *name, struct span value)
{
    if (s == NULL || !script_has_header(s, name))
        answer_header(k->answer, name, value);
}

/* Errors */

static void send_error(struct conn *c, const struct wire *wire, int status, struct span type,
                       struct span message)
{
    answer_begin(&c->answer, status, "application/json");
    wire->write_error(&c->answer.body, status, type, message, c->exchange.seq);
}

void ask_error(struct conn *c, const struct wire *wire, int status, const char *message)
{
    send_error(c, wire, status, (struct span){NULL, 0}, span_of(message));
}

bool ask_refuse(struct ask *k, int status, const char *format, ...)
{
    char text[REFUSAL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ask_error(k->c, k->wire, status, text);
    return false;
}

static bool refuse_key(struct ask *k, struct span pair)
{
    return ask_refuse(k, 400, "%.*s: not a key or value of the simulator", (int)pair.len, pair.ptr);
}

static bool check_key(struct ask *k)
{
    struct span key = k->script.s[SCRIPT_require_key];
    if (key.ptr != NULL && !door_has_key(k->http, key))
        return ask_refuse(k, 401, "invalid x-api-key");
    if (k->wire->has_credential != NULL && !k->wire->has_credential(k->http))
        return ask_refuse(k, k->wire->no_credential_status, "no credential was sent");
    return true;
}

/* Reading of the script */

static json_ref last_text(const struct json_doc *doc, json_ref content, json_ref found)
{
    if (content == JSON_NONE)
        return found;
    if (json_kind(doc, content) == JSON_STRING)
        return content;
    if (json_kind(doc, content) != JSON_ARRAY)
        return found;
    for (json_ref b = json_first(doc, content); b != JSON_NONE; b = json_next(doc, b)) {
        json_ref text = json_get(doc, b, "text");
        if (text != JSON_NONE && json_kind(doc, text) == JSON_STRING)
            found = text;
    }
    return found;
}

static json_ref last_user_text(const struct ask *k)
{
    const struct json_doc *doc = k->doc;
    json_ref found = JSON_NONE;
    json_ref messages = json_get(doc, 0, k->wire->messages);
    if (messages == JSON_NONE || json_kind(doc, messages) != JSON_ARRAY)
        return JSON_NONE;
    for (json_ref m = json_first(doc, messages); m != JSON_NONE; m = json_next(doc, m)) {
        json_ref role = json_get(doc, m, "role");
        if (role == JSON_NONE || json_text_is(doc, role, "user"))
            found = last_text(doc, json_get(doc, m, k->wire->content), found);
    }
    return found;
}

static bool apply_text_script(struct ask *k)
{
    static const char opening[] = "[[sim:";
    const struct span body = k->doc->text;
    if (memmem(body.ptr, body.len, opening, sizeof(opening) - 1) == NULL)
        return true;
    json_ref text = last_user_text(k);
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
    return refuse_key(k, bad);
}

/* Model and script as they stand in path or body, into sim->model. */
static bool read_model(struct ask *k)
{
    struct buf *text = &k->sim->model;
    buf_reset(text);
    if (k->call->model.ptr != NULL)
        return http_decode(k->call->model, text) || ask_refuse(k, 400, "model: not a valid path");
    json_ref model = json_get(k->doc, 0, "model");
    if (model == JSON_NONE || json_kind(k->doc, model) != JSON_STRING)
        return ask_refuse(k, 400, "model: Field required");
    return json_text(k->doc, model, text) || ask_refuse(k, 400, "model: not a valid string");
}

/* Splits model?script and reads every script that applies. */
static bool read_script(struct ask *k)
{
    if (!read_model(k))
        return false;
    const struct buf *text = &k->sim->model;
    const char *query = text->len > 0 ? memchr(text->ptr, '?', text->len) : NULL;
    k->model = buf_span(text);
    if (query != NULL)
        k->model.len = (size_t)(query - text->ptr);
    script_init(&k->script, &k->sim->arena);
    roster_apply(&k->sim->roster, span_of(k->c->exchange.site), k->model, &k->script);
    if (query != NULL) {
        struct span rest = {query + 1, text->len - k->model.len - 1};
        struct span bad;
        if (!script_apply(&k->script, rest, "&", &bad))
            return refuse_key(k, bad);
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
    struct span key = s->s[SCRIPT_fail_key];
    if (key.ptr != NULL && !door_has_key(k->http, key))
        script_heal(s);
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
    struct answer *a = k->answer;
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
    struct answer *a = k->answer;
    int64_t scripted = s->n[SCRIPT_status];
    if (k->call->count_only && s->n[SCRIPT_count_status] >= 0)
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
        send_error(k->c, k->wire, status, s->s[SCRIPT_error_type],
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
    const struct wire *w = k->wire;
    struct cache_use use = {.uncached_tok = scripted_or(k, SCRIPT_input_tokens, prompt_tokens(k))};
    const struct span body = k->http->body;
    if (w->walk != NULL && memmem(body.ptr, body.len, w->cache_word, strlen(w->cache_word)) != NULL)
        cache_apply(&k->sim->cache, w->walk, k->doc, k->model, use.uncached_tok,
                    uv_now(&k->sim->loop), &use);
    ret->input_tok = scripted_or(k, SCRIPT_input_tokens, use.uncached_tok);
    ret->cache_read_tok = scripted_or(k, SCRIPT_cache_read, use.read_tok);
    ret->cache_write_5m_tok = scripted_or(k, SCRIPT_cache_write_5m, use.write_5m_tok);
    ret->cache_write_1h_tok = scripted_or(k, SCRIPT_cache_write_1h, use.write_1h_tok);
    ret->web_searches = k->script.n[SCRIPT_web_searches];
}

static void add_iterations_to_bill(struct ask *k, struct bill *b)
{
    for (int64_t i = 1; i < k->script.n[SCRIPT_iterations] + 1 && i < ITERATIONS_MAX; i++) {
        b->input_tok += 100 * i;
        b->output_tok += 10 * i;
    }
}

static void cut_events(struct ask *k)
{
    struct answer *a = k->answer;
    size_t n = (size_t)k->script.n[SCRIPT_error_event_after];
    if (n < answer_n_marks(a)) {
        a->body.len = n > 0 ? answer_marks(a)[n - 1].end : 0;
        a->marks.len = n * sizeof(struct mark);
    }
}

static void add_error_event(struct ask *k)
{
    struct span type = k->script.s[SCRIPT_error_type];
    struct span message = k->script.s[SCRIPT_error_message];
    cut_events(k);
    k->wire->write_error_event(k, type, message.ptr != NULL ? message : SPAN("Overloaded"));
    k->answer->partial = true;
}

static void send_message(struct ask *k)
{
    struct answer *a = k->answer;
    k->speech.stream = k->call->stream || k->heard.stream;
    read_bill(k, &k->speech.bill);
    speech_plan(k);
    a->chunked = k->speech.stream;
    answer_begin(a, 200, a->chunked ? k->wire->stream_type : "application/json");
    if (a->chunked)
        answer_header(a, "cache-control", SPAN("no-cache"));
    k->wire->write(k);
    if (a->chunked && k->script.n[SCRIPT_error_event_after] >= 0)
        add_error_event(k);
    a->ping = k->wire->ping;
    a->billed = true;
    a->bill = k->speech.bill;
    add_iterations_to_bill(k, &a->bill);
}

static void send_count(struct ask *k)
{
    answer_begin(k->answer, 200, "application/json");
    k->wire->write_count(k, scripted_or(k, SCRIPT_input_tokens, prompt_tokens(k)));
}

/* "replay:FILE" as the model, or scripted. */
static struct span recording_name(const struct ask *k)
{
    static const char prefix[] = "replay:";
    const size_t len = sizeof(prefix) - 1;
    if (k->model.len >= len && memcmp(k->model.ptr, prefix, len) == 0)
        return (struct span){k->model.ptr + len, k->model.len - len};
    return k->script.s[SCRIPT_replay];
}

static bool send_replay(struct ask *k)
{
    const char *why;
    struct span name = recording_name(k);
    if (name.ptr == NULL)
        return false;
    if (!replay_answer(&k->sim->replay, name, k->answer, &why))
        ask_refuse(k, 404, "%s", why);
    else
        k->replayed = true;
    return true;
}

/* Checks, and writes the digest down. */
static bool hear(struct ask *k)
{
    struct heard *h = &k->heard;
    heard_begin(h, k->doc, &k->c->heard);
    json_open_object(&h->out, NULL);
    bool ok = k->wire->read(k);
    json_close_object(&h->out);
    if (!ok)
        buf_reset(&k->c->heard); /* half of it is no JSON */
    return ok;
}

/* true: a script was read, and directs the answer. */
static bool answer_ask(struct ask *k)
{
    struct fail fail;
    if (json_parse(&k->sim->doc, k->http->body, &fail) != 0)
        return ask_refuse(k, 400, "%s", fail.text);
    if (json_kind(k->doc, 0) != JSON_OBJECT)
        return ask_refuse(k, 400, "the body must be a JSON object");
    if (!read_script(k))
        return false;
    take_turn(k);
    if (!check_key(k) || send_fault(k) || !hear(k))
        return true;
    if (send_replay(k))
        return true;
    if (k->call->count_only)
        send_count(k);
    else
        send_message(k);
    return true;
}

void ask_answer(struct conn *c, const struct http_request *r, const struct call *call)
{
    struct ask k = {.c = c,
                    .sim = c->sim,
                    .answer = &c->answer,
                    .http = r,
                    .call = call,
                    .wire = call->wire,
                    .doc = &c->sim->doc};
    bool scripted = answer_ask(&k);
    if (!k.replayed)
        k.wire->add_headers(&k, scripted ? &k.script : NULL);
    if (scripted)
        answer_direct(&c->answer, &k.script);
}
