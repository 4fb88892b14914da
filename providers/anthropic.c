/* The Anthropic Messages protocol: api.anthropic.com and everyone who offers the same
 * door (relays, OpenRouter's /api, Azure's /anthropic, the simulator).
 * platform.claude.com/docs/en/api/messages, .../api/errors, .../api/versioning. */
#include "providers/anthropic.h"

#include <strings.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static const char default_version[] = "2023-06-01";

enum { HEADER_MAX = 16 * 1024 };

/* One prepared call under construction. */
struct building {
    struct upreq *up;
    const struct provider_target *target;
    struct fail *reterr;
    struct span model_json;
    bool ok;
};

static bool name_is(struct span name, const char *other)
{
    return name.len == strlen(other) && strncasecmp(name.ptr, other, name.len) == 0;
}

/* The operator's own header of that name, or NULL. */
static const char *extra_header(const struct building *b, struct span name)
{
    const char *const *h = b->target->extra_headers;
    for (; h != NULL && h[0] != NULL; h += 2) {
        if (name_is(name, h[0]))
            return h[1];
    }
    return NULL;
}

static void put_header(struct building *b, struct span name, struct span value, enum err code)
{
    if (!b->ok || upreq_add_header(b->up, name, value))
        return;
    b->ok = false;
    /* Neither text may show the value: it can be a credential. */
    fail_set(b->reterr, code, NULL, "the header \"%.*s\" cannot be sent to the provider",
             (int)(name.len < 80 ? name.len : 80), name.ptr);
}

/* A header of ours, unless the operator configured the provider with another value. */
static void add_own(struct building *b, const char *name, const char *value)
{
    if (extra_header(b, span_of(name)) == NULL)
        put_header(b, span_of(name), span_of(value), ERR_internal);
}

static void add_credential(struct building *b)
{
    const struct provider_target *t = b->target;
    if (t->secret == NULL || t->auth_type == AUTH_NONE)
        return;
    static const struct {
        const char *header, *scheme;
    } forms[] = {
        [AUTH_BEARER] = {"authorization", "Bearer "},
        [AUTH_API_KEY] = {"x-api-key", ""},
        [AUTH_BASIC] = {"authorization", "Basic "},
        [AUTH_CUSTOM] = {"x-api-key", ""},
    };
    const char *header = forms[t->auth_type].header;
    bool named = t->auth_type == AUTH_API_KEY || t->auth_type == AUTH_CUSTOM;
    if (named && t->auth_header_name != NULL)
        header = t->auth_header_name;
    struct buf value;
    buf_init(&value, HEADER_MAX);
    buf_adds(&value, forms[t->auth_type].scheme);
    buf_adds(&value, t->secret);
    if (value.failed) {
        b->ok = false;
        fail_set(b->reterr, ERR_internal, NULL, "the provider's credential is too long");
    } else if (extra_header(b, span_of(header)) == NULL) {
        put_header(b, span_of(header), buf_span(&value), ERR_internal);
    }
    buf_done(&value);
}

/* The client's betas and the operator's, in one header. */
static void add_beta(struct building *b, struct span client)
{
    const char *operator_beta = extra_header(b, SPAN("anthropic-beta"));
    if (client.len == 0)
        return; /* the operator's alone goes with the extra headers */
    if (operator_beta == NULL) {
        put_header(b, SPAN("anthropic-beta"), client, ERR_bad_request);
        return;
    }
    struct buf joined;
    buf_init(&joined, HEADER_MAX);
    buf_add_span(&joined, client);
    buf_addc(&joined, ',');
    buf_adds(&joined, operator_beta);
    if (joined.failed) {
        b->ok = false;
        fail_set(b->reterr, ERR_bad_request, "anthropic-beta", "anthropic-beta is too long");
    } else {
        put_header(b, SPAN("anthropic-beta"), buf_span(&joined), ERR_bad_request);
    }
    buf_done(&joined);
}

static void add_client_headers(struct building *b, const struct client_headers *client)
{
    if (extra_header(b, SPAN("anthropic-version")) == NULL) {
        struct span version = client->anthropic_version;
        put_header(b, SPAN("anthropic-version"),
                   version.len > 0 ? version : span_of(default_version), ERR_bad_request);
    }
    add_beta(b, client->anthropic_beta);
    for (int i = 0; i < client->n_other; i++) {
        if (extra_header(b, client->other[i].name) == NULL)
            put_header(b, client->other[i].name, client->other[i].value, ERR_bad_request);
    }
}

/* Headers that are not the operator's: the transport writes them, or bytes would come
 * back in a form that nobody here reads. */
static bool is_transport_header(struct span name)
{
    static const char *const names[] = {"host",       "content-length",  "transfer-encoding",
                                        "connection", "accept-encoding", "expect"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name_is(name, names[i]))
            return true;
    }
    return false;
}

static void add_extra_headers(struct building *b, bool beta_is_joined)
{
    const char *const *h = b->target->extra_headers;
    for (; h != NULL && h[0] != NULL; h += 2) {
        struct span name = span_of(h[0]);
        if (is_transport_header(name) || (beta_is_joined && name_is(name, "anthropic-beta")))
            continue;
        put_header(b, name, span_of(h[1]), ERR_internal);
    }
}

/* base_url may name the version or not: both are in use. */
static bool set_url(struct building *b, enum provider_op op)
{
    const char *base = b->target->base_url;
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    bool versioned = len >= 3 && memcmp(base + len - 3, "/v1", 3) == 0;
    static const char *const paths[2][2] = {
        [OP_MESSAGES] = {"/v1/messages", "/messages"},
        [OP_COUNT_TOKENS] = {"/v1/messages/count_tokens", "/messages/count_tokens"},
    };
    return upreq_set_url(b->up, base, paths[op][versioned ? 1 : 0]);
}

static void add_piece(void *ctx, struct span bytes)
{
    struct building *b = ctx;
    if (!b->ok)
        return;
    b->ok = bytes.ptr == b->model_json.ptr ? upreq_add_own(b->up, bytes)
                                           : upreq_add_borrowed(b->up, bytes);
    if (!b->ok)
        fail_set(b->reterr, ERR_internal, NULL, "the request body is in too many pieces");
}

static void add_body(struct building *b, const struct chat *chat)
{
    struct buf model;
    buf_init(&model, 4 * CHAT_MODEL_NAME_MAX + HEADER_MAX);
    if (json_write_string(&model, span_of(b->target->upstream_model))) {
        b->model_json = buf_span(&model);
        chat_pieces(chat, b->model_json, add_piece, b);
    } else {
        b->ok = false;
        fail_set(b->reterr, ERR_internal, NULL, "the upstream model name is too long");
    }
    buf_done(&model);
}

static int build(const struct chat *chat, enum provider_op op, const struct provider_target *target,
                 const struct client_headers *headers, struct upreq *ret_up, struct fail *reterr)
{
    struct building b = {.up = ret_up, .target = target, .reterr = reterr, .ok = true};
    bool stream = chat->stream && op == OP_MESSAGES;
    if (!set_url(&b, op))
        return fail_set(reterr, ERR_internal, NULL, "the provider's base_url cannot be used");
    add_own(&b, "content-type", "application/json");
    add_credential(&b);
    add_client_headers(&b, headers);
    add_own(&b, "accept", stream ? "text/event-stream" : "application/json");
    put_header(&b, SPAN("accept-encoding"), SPAN("identity"), ERR_internal);
    add_own(&b, "user-agent", "wayfare/" PACKAGE_VERSION);
    if (target->request_id != NULL)
        add_own(&b, "x-request-id", target->request_id);
    add_extra_headers(&b, headers->anthropic_beta.len > 0);
    if (b.ok)
        add_body(&b, chat);
    return b.ok ? 0 : -1;
}

/* Whole bodies */

static bool is_object(const struct json_doc *doc, json_ref value)
{
    return value != JSON_NONE && json_kind(doc, value) == JSON_OBJECT;
}

static bool type_is(const struct json_doc *doc, const char *type)
{
    json_ref t = json_get(doc, 0, "type");
    return t != JSON_NONE && json_text_is(doc, t, type);
}

static enum verdict judge_body(const struct json_doc *doc, struct usage_report *ret_usage)
{
    struct anthropic_figures figures = {.seen = 0};
    if (type_is(doc, "message")) {
        json_ref usage = json_get(doc, 0, "usage");
        anthropic_read_figures(&figures, doc, usage);
        anthropic_figures_to_usage(&figures, &ret_usage->total);
        anthropic_read_iterations(ret_usage, doc, usage);
        return VERDICT_COMPLETE;
    }
    if (is_object(doc, json_get(doc, 0, "error")))
        return VERDICT_ERROR;
    /* An answer of count_tokens is nothing but figures. */
    anthropic_read_figures(&figures, doc, 0);
    if ((figures.seen >> FIGURE_input & 1u) == 0)
        return VERDICT_FOREIGN;
    anthropic_figures_to_usage(&figures, &ret_usage->total);
    return VERDICT_COMPLETE;
}

static enum verdict read_body(struct span body, struct usage_report *ret_usage)
{
    struct json_doc doc;
    enum verdict verdict = VERDICT_FOREIGN;
    json_init(&doc);
    ret_usage->n_iterations = 0;
    ret_usage->total = (struct usage){.seen = 0};
    if (json_parse(&doc, body, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT)
        verdict = judge_body(&doc, ret_usage);
    json_done(&doc);
    return verdict;
}

static bool is_error_body(struct span body)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = json_parse(&doc, body, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT &&
               is_object(&doc, json_get(&doc, 0, "error"));
    json_done(&doc);
    return yes;
}

const struct provider provider_anthropic = {
    .protocol = "anthropic",
    .native_door = DOOR_ANTHROPIC,
    .can_count_tokens = true,
    .build = build,
    .stream_open = anthropic_stream_open,
    .stream_feed = anthropic_stream_feed,
    .stream_at_boundary = anthropic_stream_at_boundary,
    .stream_state = anthropic_stream_state,
    .stream_close = anthropic_stream_close,
    .read_body = read_body,
    .is_error_body = is_error_body,
};
