#define _GNU_SOURCE
/* Claude on other people's machines: the Messages bodies behind Vertex's and Bedrock's paths. */
#include "sim/anthropic.h"
#include "sim/bedrock.h"

/* The body says the version, and neither the model nor what the path says. */
static bool check_version(struct ask *k, const char *version)
{
    json_ref stated = json_get(k->doc, 0, "anthropic_version");
    if (stated == JSON_NONE)
        return ask_refuse(k, 400, "anthropic_version: Field required");
    if (!json_text_is(k->doc, stated, version))
        return ask_refuse(k, 400, "anthropic_version: Input should be '%s'", version);
    if (json_get(k->doc, 0, "model") != JSON_NONE)
        return ask_refuse(k, 400, "model: Extra inputs are not permitted");
    return anthropic_read(k);
}

static bool vertex_read(struct ask *k)
{
    return check_version(k, "vertex-2023-10-16");
}

static bool invoke_read(struct ask *k)
{
    if (json_get(k->doc, 0, "stream") != JSON_NONE)
        return ask_refuse(k, 400, "stream: Extra inputs are not permitted");
    return check_version(k, "bedrock-2023-05-31");
}

static bool vertex_has_credential(const struct http_request *r)
{
    return http_bearer(r).len > 0;
}

static void vertex_add_headers(struct ask *k, const struct script *s)
{
    if (s != NULL && script_has_header(s, "request-id"))
        return;
    buf_adds(&k->answer->head, "request-id: ");
    ask_write_id(&k->answer->head, "req_vrtx_", k->c->exchange.seq);
    buf_adds(&k->answer->head, "\r\n");
}

const struct wire wire_vertex_claude = {
    .name = "vertex-claude",
    .messages = "messages",
    .content = "content",
    .stream_type = "text/event-stream; charset=utf-8",
    .ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    .has_credential = vertex_has_credential,
    .no_credential_status = 401,
    .read = vertex_read,
    .cache_word = "cache_control",
    .walk = anthropic_walk,
    .write = anthropic_write,
    .write_count = anthropic_write_count,
    .write_error_event = anthropic_write_error_event,
    .write_error = anthropic_write_error,
    .add_headers = vertex_add_headers,
};

const struct wire wire_invoke = {
    .name = "bedrock-invoke",
    .messages = "messages",
    .content = "content",
    .stream_type = "application/vnd.amazon.eventstream",
    .has_credential = bedrock_has_credential,
    .no_credential_status = 403,
    .read = invoke_read,
    .cache_word = "cache_control",
    .walk = anthropic_walk,
    .write = anthropic_write,
    .write_error_event = bedrock_write_error_event,
    .write_error = bedrock_write_error,
    .add_headers = bedrock_add_headers,
};
