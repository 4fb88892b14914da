/* What the client sees of a call: relayed headers, whole answers, streams, errors. */
#define _GNU_SOURCE
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "schema/json_out.h"
#include "schema/money.h"
#include "server/call.h"
#include "server/http.h"
#include "server/no_endpoint.h"
#include "server/report.h"

/* Never sent back: hop-by-hop headers (RFC 9110 7.6.1), framing and coding that are ours to decide
 * (what came compressed is not passed on), cookies and policies of the provider's own origin,
 * another Wayfare's report. */
static bool stays_here(struct span name)
{
    static const struct span names[] = {
        SPAN("connection"),
        SPAN("keep-alive"),
        SPAN("proxy-authenticate"),
        SPAN("proxy-connection"),
        SPAN("te"),
        SPAN("trailer"),
        SPAN("transfer-encoding"),
        SPAN("upgrade"),
        SPAN("content-length"),
        SPAN("content-encoding"),
        SPAN("date"),
        SPAN("set-cookie"),
        SPAN("set-cookie2"),
        SPAN("alt-svc"),
        SPAN("strict-transport-security"),
        SPAN("content-type"),
        SPAN("cache-control"),
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (name.len == names[i].len && strncasecmp(name.ptr, names[i].ptr, name.len) == 0) {
            return true;
        }
    }
    return name.len >= 10 && strncasecmp(name.ptr, "x-wayfare-", 10) == 0;
}

const char *call_slug(const struct call *c)
{
    return c->endpoint->slug;
}

/* Also on the refusal that such a cap leads to, where it is needed most. */
static void add_cap_warning(struct call *c)
{
    if (c->chat.prefs.warn_tiny_cap) {
        request_add_header(c->req, "x-wayfare-warning",
                           SPAN("a price cap below 0.001 USD per million tokens looks like a "
                                "per-token figure"));
    }
}

static void add_own_headers(struct call *c)
{
    struct request *r = c->req;
    char text[ID_TEXT_MAX];
    request_add_header(r, "x-wayfare-generation-id",
                       span_of(id_print(&c->request_id, ID_PREFIX_GENERATION, text)));
    if (c->endpoint != NULL) {
        request_add_header(r, "x-wayfare-provider", span_of(call_slug(c)));
        request_add_header(r, "x-wayfare-model", span_of(c->endpoint->model->slug));
    }
    snprintf(text, sizeof text, "%d", c->n_attempts + (c->transfer != NULL ? 1 : 0));
    request_add_header(r, "x-wayfare-attempts", span_of(text));
    add_cap_warning(c);
    call_add_clamp_headers(c);
    if (c->drops.n > 0 && c->endpoint != NULL) {
        struct buf names;
        buf_init(&names, CALL_DROPPED_MAX);
        drops_print(&c->drops, &names);
        request_add_header(r, "x-wayfare-dropped", buf_span(&names));
        buf_done(&names);
    }
}

/* Named by the provider's own Connection header: hop-by-hop too (RFC 9110 7.6.1). */
static bool is_nominated(struct span connection, struct span name)
{
    for (size_t at = 0; at < connection.len;) {
        size_t n = 0;
        while (at + n < connection.len && connection.ptr[at + n] != ',') {
            n++;
        }
        struct span token = {connection.ptr + at, n};
        while (token.len > 0 && token.ptr[0] == ' ') {
            token.ptr++;
            token.len--;
        }
        if (token.len == name.len && strncasecmp(token.ptr, name.ptr, name.len) == 0) {
            return true;
        }
        at += n + 1;
    }
    return false;
}

/* What clients act on goes first; the rest as far as there is room. */
static bool is_important(struct span name)
{
    return (name.len > 10 && strncasecmp(name.ptr, "anthropic-", 10) == 0) ||
           (name.len == 10 && strncasecmp(name.ptr, "request-id", 10) == 0) ||
           (name.len >= 11 && strncasecmp(name.ptr, "retry-after", 11) == 0) ||
           (name.len == 14 && strncasecmp(name.ptr, "x-should-retry", 14) == 0);
}

static void relay_headers(struct call *c, struct span upstream, bool important, size_t room)
{
    struct buf *out = &c->req->reply_headers;
    struct span name, value, connection = header_find(upstream, "connection");
    size_t cursor = 0;
    while (header_next(upstream, &cursor, &name, &value)) {
        if (is_important(name) != important || stays_here(name) || is_nominated(connection, name) ||
            out->len + name.len + value.len > room) {
            continue;
        }
        buf_add_span(out, name);
        buf_adds(out, ": ");
        buf_add_span(out, value);
        buf_addc(out, '\0');
    }
}

/* The provider's name for the exchange: always as request-id, and where this door's clients look
 * for it. */
static void add_request_id(struct call *c, struct span upstream)
{
    struct span id = header_request_id(upstream);
    if (id.len > 0 && header_find(upstream, "request-id").len == 0) {
        request_add_header(c->req, "request-id", id);
    }
    if (id.len > 0 && header_find(upstream, "x-request-id").len == 0 &&
        c->chat.door == DOOR_OPENAI) {
        request_add_header(c->req, "x-request-id", id);
    }
}

void call_answer_headers(struct call *c, struct span upstream_headers)
{
    size_t left = request_header_room(c->req);
    size_t room = left < CALL_RELAYED_HEADERS_MAX ? left : CALL_RELAYED_HEADERS_MAX;
    relay_headers(c, upstream_headers, true, room);
    add_request_id(c, upstream_headers);
    relay_headers(c, upstream_headers, false, room);
    add_own_headers(c);
}

static const char *content_type_of(struct span headers, char out[128])
{
    struct span type = header_find(headers, "content-type");
    size_t n = type.len < 127 ? type.len : 127;
    memcpy(out, type.ptr, n);
    out[n] = '\0';
    return type.len > 0 ? out : "application/json";
}

/* A provider that was asked for a stream may still answer as a whole, and the other way round:
 * the client gets what it asked for. */
static void answer_translated(struct call *c)
{
    struct buf taken = c->shown;
    c->shown = c->req->reply_body;
    c->req->reply_body = taken;
    request_reply(c->req, c->http_status,
                  c->chat.stream ? "text/event-stream" : "application/json");
}

/* As providers' errors inside a stream come through this door (providers/openai_door_write.c):
 * OpenRouter's form, with a number for a code. */
static void write_error_chunk(const struct call *c, const struct fail *f, struct buf *out)
{
    const struct err_info *info = err_info(f->code);
    char id[ID_TEXT_MAX], asked[CHAT_MODEL_TEXT_MAX];
    const char *model =
        c->endpoint != NULL ? c->endpoint->model->slug : chat_model_text(&c->chat.models[0], asked);
    struct json_out o = {.buf = out};
    json_open_object(&o, NULL);
    json_put_string(&o, "id", span_of(id_print(&c->request_id, ID_PREFIX_GENERATION, id)));
    json_put_string(&o, "object", SPAN("chat.completion.chunk"));
    json_put_int(&o, "created", c->begun_ms / 1000);
    json_put_string(&o, "model", span_of(model));
    json_open_object(&o, "error");
    json_put_int(&o, "code", info->status == 529 ? 503 : info->status); /* 529 is Anthropic's */
    json_put_string(&o, "message", span_of(f->text));
    json_put_string(&o, "type", span_of(info->openai_type));
    json_close_object(&o);
    buf_adds(out, ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                  "\"finish_reason\":\"error\"}]");
    json_close_object(&o);
}

/* The error is the stream's last event. */
static void end_with_error(struct call *c, const struct fail *f, struct span members)
{
    struct request *r = c->req;
    struct buf event;
    buf_init(&event, CALL_ERROR_EVENT_MAX);
    /* The blank line first: the stream may have been cut inside an event. */
    if (r->door == DOOR_OPENAI) {
        buf_adds(&event, "\n\ndata: ");
        write_error_chunk(c, f, &event);
    } else {
        buf_adds(&event, "\n\nevent: error\ndata: ");
        request_write_error(r, f, members, &event);
    }
    buf_adds(&event, "\n\n");
    metrics_add(&c->worker->metrics, METRIC_streams_broken_total, 1);
    request_log(r, c->opened && !c->committed ? err_info(f->code)->status : c->http_status,
                f->text);
    request_stream_write(r, buf_span(&event));
    request_stream_end(r, false);
    buf_done(&event);
}

/* What goes to the client: only that keeps it from thinking that the stream is dead.  Whole events,
 * in memory of ours or libcurl's, which is ours until we return. */
static void show(struct call *c, struct span bytes)
{
    if (c->suspect) {
        call_credential_hide(c, bytes);
    }
    if (bytes.len > 0) {
        request_stream_write(c->req, bytes);
        c->out_tick_ms = worker_tick_ms(c->worker);
    }
}

/* The client has the head of a stream since long ago. */
static void answer_late(struct call *c)
{
    if (c->translated) {
        show(c, buf_span(&c->shown));
        request_stream_end(c->req, false);
    } else {
        call_answer_stream_error(c, ERR_bad_upstream, "answered without a stream");
    }
}

void call_answer_body(struct call *c, struct span upstream_headers)
{
    struct request *r = c->req;
    char cost[MONEY_TEXT_MAX], type[128];
    if (c->opened) {
        answer_late(c);
        return;
    }
    call_cost_text(c, cost);
    call_answer_headers(c, upstream_headers);
    if (c->kind == CALL_MESSAGES) {
        request_add_header(r, "x-wayfare-cost", span_of(cost));
    }
    if (c->translated) {
        answer_translated(c);
        return;
    }
    if (r->report_body && c->kind == CALL_MESSAGES) {
        report_body(buf_span(&c->answer), call_slug(c), cost, &r->reply_body);
    } else {
        struct buf taken = c->answer;
        c->answer = r->reply_body;
        r->reply_body = taken;
    }
    request_reply(r, c->http_status, content_type_of(upstream_headers, type));
}

/* Errors of a provider that are told in Wayfare's words: the row without a meaning of its own
 * beside the status (platform.claude.com/docs/en/api/errors). */
enum err call_error_for_status(int status)
{
    static const struct {
        int status;
        enum err code;
    } rows[] = {
        {401, ERR_unauthenticated},  {402, ERR_over_budget},        {403, ERR_forbidden},
        {404, ERR_not_found},        {405, ERR_method_not_allowed}, {413, ERR_too_large},
        {429, ERR_all_rate_limited}, {502, ERR_bad_upstream},       {503, ERR_all_failed},
        {504, ERR_timed_out},        {529, ERR_all_failed},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return rows[i].code;
        }
    }
    return status >= 500 ? ERR_internal : ERR_bad_request;
}

/* The status that the client would have got is the error's in the stream. */
static void pass_late(struct call *c)
{
    struct fail f;
    if (c->http_status < 400) {
        fail_set(&f, ERR_bad_upstream, NULL, "%s answered with status %d, which is not followed",
                 call_slug(c), c->http_status);
    } else {
        call_translate_error(c, &f);
    }
    end_with_error(c, &f, (struct span){NULL, 0});
}

static void pass_translated(struct call *c)
{
    struct fail f;
    call_translate_error(c, &f);
    if (c->chat.door == DOOR_OPENAI && c->http_status == 529) {
        c->http_status = 503; /* 529 is Anthropic's alone */
    }
    request_write_error(c->req, &f, (struct span){NULL, 0}, &c->req->reply_body);
}

static void pass_foreign(struct call *c)
{
    struct fail f;
    if (c->http_status < 400) {
        fail_set(&f, ERR_bad_upstream, NULL, "%s answered with status %d, which is not followed",
                 call_slug(c), c->http_status);
        c->http_status = err_info(ERR_bad_upstream)->status;
    } else {
        call_translate_error(c, &f);
    }
    request_write_error(c->req, &f, (struct span){NULL, 0}, &c->req->reply_body);
}

/* Where the provider says in its body when to come back, clients look at the header. */
static void add_retry_after(struct call *c, struct span upstream_headers)
{
    int64_t ms = route_attempt(&c->route)->retry_after_ms;
    if (ms >= 0 && header_find(upstream_headers, "retry-after").len == 0) {
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, (ms + 999) / 1000);
        request_add_header(c->req, "retry-after", span_of(text));
    }
}

void call_answer_pass(struct call *c, struct span upstream_headers)
{
    struct request *r = c->req;
    char type[128] = "application/json";
    if (c->opened) {
        pass_late(c);
        return;
    }
    call_answer_headers(c, upstream_headers);
    add_retry_after(c, upstream_headers);
    if (c->translated && c->http_status >= 400) {
        pass_translated(c);
    } else if (c->http_status >= 400 && c->adapter->is_error_body(buf_span(&c->answer))) {
        struct buf taken = c->answer;
        c->answer = r->reply_body;
        r->reply_body = taken;
        content_type_of(upstream_headers, type);
        if (strncasecmp(type, "text/event-stream", 17) == 0) {
            snprintf(type, sizeof type, "application/json"); /* the data of its error event */
        }
    } else {
        pass_foreign(c);
    }
    request_log(r, c->http_status,
                c->n_attempts > 0 ? c->attempts[c->n_attempts - 1].message : NULL);
    request_reply(r, c->http_status, type);
}

/* ---- streams ---- */

void call_answer_open(struct call *c)
{
    char id[ID_TEXT_MAX];
    if (c->opened) {
        return;
    }
    c->opened = true;
    request_add_header(c->req, "x-wayfare-generation-id",
                       span_of(id_print(&c->request_id, ID_PREFIX_GENERATION, id)));
    add_cap_warning(c);
    request_stream_begin(c->req, 200, "text/event-stream");
}

void call_answer_stream_begin(struct call *c, struct span upstream_headers)
{
    if (c->opened) {
        return;
    }
    call_credential_hide_headers(c, upstream_headers);
    call_answer_headers(c, upstream_headers);
    char type[128];
    request_stream_begin(c->req, c->http_status,
                         c->translated ? "text/event-stream"
                                       : content_type_of(upstream_headers, type));
}

/* OpenAI's usage chunk is always asked for, and taken out again for a client that did not. */
static bool hides_usage(const struct call *c)
{
    return c->chat.door == DOOR_OPENAI && !c->chat.include_usage;
}

static bool is_edited(const struct call *c)
{
    return !c->translated && (c->req->report_body || hides_usage(c));
}

/* An event of an edited stream is complete: c->shown gets it, or nothing where c->raw may go as it
 * came. */
static bool edit_event(void *ctx, const struct sse_event *ev)
{
    struct call *c = ctx;
    c->raw_events++;
    if (!c->req->report_body) {
        c->raw_hidden = report_is_usage(ev->data);
        return true;
    }
    char cost[MONEY_TEXT_MAX];
    if (c->stream != NULL) { /* else it is settled */
        c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
        call_cost_so_far(c);
    }
    call_cost_text(c, cost);
    if (c->chat.door == DOOR_OPENAI) {
        report_chunk(ev->name, ev->data, call_slug(c), cost, !hides_usage(c), &c->shown);
    } else {
        report_event(ev->name, ev->data, call_slug(c), cost, &c->shown);
    }
    return true;
}

/* Lines up to a boundary have come: they go on as they are, comments too, unless they were an
 * event that was written anew or is not for this client. */
static void pass_raw(struct call *c)
{
    bool replaced = c->raw_events > 0 && c->req->report_body;
    bool hidden = c->raw_events == 1 && c->raw_hidden;
    struct span raw = buf_span(&c->raw);
    c->raw_cut_cr = (replaced || hidden) && raw.ptr[raw.len - 1] == '\r';
    if (!replaced && !hidden) {
        buf_add_span(&c->shown, raw);
    }
    buf_reset(&c->raw);
    c->raw_events = 0;
    c->raw_hidden = false;
}

static void edit_stream(struct call *c, struct span bytes)
{
    while (bytes.len > 0) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        struct span line = {bytes.ptr, end != NULL ? (size_t)(end - bytes.ptr) + 1 : bytes.len};
        /* The other half of the line end of what was left out goes with it. */
        if (!c->raw_cut_cr || line.ptr[0] != '\n') {
            buf_add_span(&c->raw, line);
        }
        c->raw_cut_cr = false;
        sse_feed(&c->stream_split, line, edit_event, c);
        if (c->raw.len > 0 && sse_at_boundary(&c->stream_split)) {
            pass_raw(c);
        }
        bytes = (struct span){bytes.ptr + line.len, bytes.len - line.len};
    }
}

/* Behind the last blank line that ends after `from`; 0: there is none. */
static size_t whole_events(struct span b, size_t from)
{
    for (size_t i = b.len; i > from && i >= 2; i--) {
        if (b.ptr[i - 1] == '\n' &&
            (b.ptr[i - 2] == '\n' || (i >= 3 && b.ptr[i - 2] == '\r' && b.ptr[i - 3] == '\n'))) {
            return i;
        }
    }
    return 0;
}

/* As they came, but an event only once it is whole: half of one cannot be taken back, and where the
 * provider's connection then breaks, clients fail at its JSON before they see the error event. */
static void pass_events(struct call *c, struct span bytes)
{
    size_t held = c->raw.len;
    bool whole = c->stream == NULL || c->adapter->stream_at_boundary(c->stream);
    if (held == 0 && whole) {
        show(c, bytes);
        c->half_shown = false;
        return;
    }
    /* That long is no event: the adapter refuses those. */
    if (held + bytes.len > PROVIDER_EVENT_MAX || !buf_add_span(&c->raw, bytes)) {
        show(c, buf_span(&c->raw));
        show(c, bytes);
        buf_reset(&c->raw);
        c->half_shown = !whole;
        return;
    }
    size_t end = whole ? c->raw.len : whole_events(buf_span(&c->raw), held);
    show(c, (struct span){c->raw.ptr, end});
    buf_consume(&c->raw, end);
    c->half_shown &= end == 0;
}

/* What was translated of the bytes that have just been read. */
static void end_translated(struct call *c)
{
    if (c->reply_ended && c->stream != NULL) {
        c->adapter->stream_state(c->stream, &c->usage, &c->content_bytes);
        call_cost_so_far(c);
        call_translate_end(c);
    }
}

void call_answer_stream(struct call *c, struct span bytes)
{
    if (c->translated) {
        end_translated(c);
    } else if (is_edited(c)) {
        edit_stream(c, bytes);
    } else {
        pass_events(c, bytes);
    }
    show(c, buf_span(&c->shown));
    buf_reset(&c->shown);
}

void call_answer_keep_alive(struct call *c)
{
    request_stream_write(c->req, span_of(door_find(c->chat.door)->keep_alive));
}

/* A stream may end without its last blank line. */
void call_answer_stream_finish(struct call *c)
{
    c->suspect = true;
    if (c->translated) {
        call_answer_stream(c, SPAN(""));
    } else if (is_edited(c) && !sse_at_boundary(&c->stream_split)) {
        call_answer_stream(c, SPAN("\n\n"));
    } else if (!is_edited(c)) {
        show(c, buf_span(&c->raw));
        buf_reset(&c->raw);
    }
}

void call_answer_stream_error(struct call *c, enum err code, const char *text)
{
    struct fail f;
    fail_set(&f, code, NULL, "%s: %s", call_slug(c), text != NULL ? text : err_info(code)->text);
    end_with_error(c, &f, (struct span){NULL, 0});
}

/* An error of ours: as a status while that can be said, else as the stream's last event. */
void call_answer_error(struct call *c, const struct fail *f, int64_t retry_after_ms,
                       struct span members)
{
    if (c->opened) {
        end_with_error(c, f, members);
        return;
    }
    request_reply_fail_more(c->req, f, retry_after_ms, members);
}

/* ---- errors of our own ---- */

/* What servers of nearly every protocol say, and gateways before them. */
static void read_any_message(struct span body, struct buf *text)
{
    struct json_doc d;
    json_init(&d);
    if (json_parse(&d, body, NULL) == 0 && json_is_object(&d, 0)) {
        json_ref error = json_get(&d, 0, "error");
        const json_ref places[] = {json_get(&d, error, "message"), error,
                                   json_get(&d, 0, "message"), json_get(&d, 0, "detail")};
        for (size_t i = 0; i < sizeof places / sizeof places[0] && text->len == 0; i++) {
            json_text(&d, places[i], text);
        }
    }
    json_done(&d);
}

bool call_read_message(const struct call *c, struct span body, struct buf *store, struct span *ret)
{
    struct reply_error error = {.http_status = c->http_status};
    bool own = c->adapter->read_error(body, store, &error) && error.message.len > 0;
    if (!own) {
        buf_reset(store);
        read_any_message(body, store);
        error.message = buf_span(store);
    }
    call_credential_hide(c, error.message); /* unescaped, it may have come to light */
    *ret = error.message;
    return own;
}

void call_read_error(const struct call *c, struct span body, char out[CALL_MESSAGE_MAX])
{
    struct span message;
    struct buf store;
    buf_init(&store, CALL_ANSWER_MAX);
    call_read_message(c, body, &store, &message);
    if (message.len > 0) {
        snprintf(out, CALL_MESSAGE_MAX, "%.*s",
                 (int)(message.len < CALL_MESSAGE_MAX ? message.len : CALL_MESSAGE_MAX),
                 message.ptr);
    }
    buf_done(&store);
}

void call_note_attempt(struct call *c, enum route_end end)
{
    assert(c->n_attempts < ROUTE_ATTEMPTS_MAX);
    struct call_attempt *a = &c->attempts[c->n_attempts++];
    a->endpoint = c->endpoint;
    a->http_status = call_said_status(c);
    a->end = end;
    bool said = c->stream != NULL && c->error_text[0] != '\0';
    snprintf(a->message, sizeof a->message, "%s", said ? c->error_text : route_end_text(end));
    if (end == END_status || (end == END_stream_error && c->stream == NULL)) {
        call_read_error(c, buf_span(&c->answer), a->message);
    } else if (end == END_connect_failed && c->denied != NULL) {
        snprintf(a->message, sizeof a->message,
                 "base_url leads to an address that provider_configs may not reach (%s)",
                 c->denied);
    } else if ((end == END_connect_failed || end == END_tls_failed) && c->starved) {
        snprintf(a->message, sizeof a->message, "this server is out of descriptors or memory");
    }
}

static void write_attempts(const struct call *c, struct buf *out)
{
    buf_adds(out, "\"attempts\":[");
    for (int i = 0; i < c->n_attempts; i++) {
        const struct call_attempt *a = &c->attempts[i];
        buf_adds(out, i == 0 ? "{\"provider\":" : ",{\"provider\":");
        json_write_string(out, span_of(a->endpoint->slug));
        buf_adds(out, ",\"model\":");
        json_write_string(out, span_of(a->endpoint->model->slug));
        if (a->http_status > 0) {
            buf_addf(out, ",\"status\":%d", a->http_status);
        } else {
            buf_adds(out, ",\"status\":null");
        }
        buf_adds(out, ",\"message\":");
        json_write_string(out, span_of(a->message));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

void call_answer_fail(struct call *c, enum err code, int64_t retry_after_ms)
{
    struct fail f;
    struct buf members;
    buf_init(&members, 64 * 1024);
    const char *text = err_info(code)->text;
    if (c->n_attempts > 0) {
        text = code == ERR_ledger_down ? "the ledger cannot record another attempt" : text;
        const struct call_attempt *last = &c->attempts[c->n_attempts - 1];
        fail_set(&f, code, NULL, "%s (last: %s: %s)", text, last->endpoint->slug, last->message);
        write_attempts(c, &members);
    } else {
        fail_set(&f, code, NULL, "%s", text);
    }
    if (!c->opened) {
        add_own_headers(c);
    }
    call_answer_error(c, &f, retry_after_ms, buf_span(&members));
    buf_done(&members);
}

int call_answer_refused(struct call *c, const struct ledger_answer *a)
{
    struct fail f;
    struct buf members;
    buf_init(&members, CALL_REFUSAL_MAX);
    call_refused(c, a, 0, &f, &members);
    call_answer_error(c, &f, a->code == ERR_budget_busy ? a->retry_after_ms : -1,
                      buf_span(&members));
    buf_done(&members);
    return err_info(f.code)->status;
}

/* ---- nothing fits ---- */

void call_answer_no_endpoint(struct call *c, const struct plan_inputs *in)
{
    struct fail f;
    struct buf members;
    if (c->kind == CALL_COUNT_TOKENS && !c->plan.unknown_model && !c->plan.model_forbidden) {
        call_answer_estimate(c);
        return;
    }
    buf_init(&members, NO_ENDPOINT_MAX);
    no_endpoint_tell(in, &c->plan, &f, &members);
    add_cap_warning(c);
    request_reply_fail_more(c->req, &f, -1, buf_span(&members));
    buf_done(&members);
}

void call_answer_estimate(struct call *c)
{
    const struct endpoint *e = c->plan.n_candidates > 0 ? c->plan.candidates[0].endpoint
                               : c->plan.n_excluded > 0 ? c->plan.excluded[0].endpoint
                                                        : NULL;
    struct estimate est = {.prompt_tok = (c->chat.prompt_bytes + 3) / 4};
    if (e != NULL) {
        estimate_make(&c->chat, e, 0, 0, &est);
    }
    buf_reset(&c->req->reply_body);
    buf_addf(&c->req->reply_body, "{\"input_tokens\":%" PRId64 "}", est.prompt_tok);
    request_add_header(c->req, "x-wayfare-estimated", SPAN("true"));
    c->endpoint = NULL; /* no provider counted */
    add_own_headers(c);
    request_reply(c->req, 200, "application/json");
}
