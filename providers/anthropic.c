/* The Anthropic Messages protocol: api.anthropic.com and everyone who offers the same
 * door (relays, OpenRouter's /api, Azure's /anthropic, the simulator).
 * platform.claude.com/docs/en/api/messages, .../api/errors, .../api/versioning. */
#include "providers/anthropic.h"
#include "providers/draft.h"

const char anthropic_word[] = "anthropic";

static const char default_version[] = "2023-06-01";

void anthropic_draft_beta(struct draft *d, struct span client)
{
    const char *operator_beta = draft_extra_header(d, SPAN("anthropic-beta"));
    if (client.len == 0)
        return; /* the operator's alone goes with the extra headers */
    if (operator_beta == NULL) {
        draft_header(d, SPAN("anthropic-beta"), client, ERR_bad_request);
        return;
    }
    struct buf joined;
    buf_init(&joined, DRAFT_HEADER_MAX);
    buf_add_span(&joined, client);
    buf_addc(&joined, ',');
    buf_adds(&joined, operator_beta);
    if (joined.failed) {
        d->ok = false;
        fail_set(d->reterr, ERR_bad_request, "anthropic-beta", "anthropic-beta is too long");
    } else {
        draft_header(d, SPAN("anthropic-beta"), buf_span(&joined), ERR_bad_request);
    }
    buf_done(&joined);
}

static void add_client_headers(struct draft *d, const struct client_headers *client)
{
    if (draft_extra_header(d, SPAN("anthropic-version")) == NULL) {
        struct span version = client->anthropic_version;
        draft_header(d, SPAN("anthropic-version"),
                     version.len > 0 ? version : span_of(default_version), ERR_bad_request);
    }
    anthropic_draft_beta(d, client->anthropic_beta);
    for (int i = 0; i < client->n_other; i++) {
        if (draft_extra_header(d, client->other[i].name) == NULL)
            draft_header(d, client->other[i].name, client->other[i].value, ERR_bad_request);
    }
}

static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    static const char *const paths[] = {
        [OP_MESSAGES] = "/v1/messages",
        [OP_COUNT_TOKENS] = "/v1/messages/count_tokens",
    };
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    bool stream = ask->chat->stream && ask->op == OP_MESSAGES;
    struct buf body;
    draft_url(&d, "/v1", paths[ask->op]); /* base_url may name the version or not */
    draft_credential(&d, "x-api-key", "");
    add_client_headers(&d, ask->headers);
    draft_common_headers(&d, stream ? "text/event-stream" : "application/json");
    draft_extra_headers(&d, ask->headers->anthropic_beta.len > 0 ? "anthropic-beta" : NULL);
    if (ask->dialog == NULL) {
        draft_pieces(&d, ask->chat);
    } else if (d.ok) {
        buf_init(&body, DIALOG_MEMORY_MAX);
        d.ok = anthropic_write(ask, NULL, &body, reterr) == 0;
        if (d.ok)
            draft_body(&d, &body);
        buf_done(&body);
    }
    return d.ok ? 0 : -1;
}

/* Whole bodies */

static bool type_is(const struct json_doc *doc, const char *type)
{
    json_ref t = json_get(doc, 0, "type");
    return t != JSON_NONE && json_text_is(doc, t, type);
}

static enum verdict judge_body(const struct provider_reading *reading, const struct json_doc *doc,
                               struct usage_report *ret_usage)
{
    struct anthropic_figures figures = {.hour_writes = reading->hour_writes};
    if (type_is(doc, "message")) {
        json_ref usage = json_get(doc, 0, "usage");
        anthropic_read_figures(&figures, doc, usage);
        anthropic_figures_to_usage(&figures, &ret_usage->total);
        ret_usage->terms = figures.terms;
        anthropic_read_iterations(ret_usage, reading->hour_writes, doc, usage);
        return VERDICT_COMPLETE;
    }
    if (json_is_object(doc, json_get(doc, 0, "error")))
        return VERDICT_ERROR;
    /* An answer of count_tokens is nothing but figures. */
    anthropic_read_figures(&figures, doc, 0);
    if ((figures.seen >> FIGURE_input & 1u) == 0)
        return VERDICT_FOREIGN;
    anthropic_figures_to_usage(&figures, &ret_usage->total);
    return VERDICT_COMPLETE;
}

/* A count has no content. */
static void tell(const struct provider_reading *reading, const struct json_doc *doc,
                 enum verdict verdict)
{
    struct anthropic_replies replies;
    if (reading->sink == NULL)
        return;
    anthropic_replies_init(&replies, reading);
    if (verdict == VERDICT_ERROR)
        anthropic_replies_error(&replies, doc);
    else if (verdict == VERDICT_COMPLETE && type_is(doc, "message"))
        anthropic_replies_body(&replies, doc);
    anthropic_replies_done(&replies);
}

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    struct json_doc doc;
    enum verdict verdict = VERDICT_FOREIGN;
    json_init(&doc);
    usage_report_clear(ret_usage);
    if (json_parse(&doc, body, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT) {
        verdict = judge_body(reading, &doc, ret_usage);
        tell(reading, &doc, verdict);
    }
    json_done(&doc);
    return verdict;
}

static enum chat_door native_door(const struct provider_target *target)
{
    (void)target;
    return DOOR_ANTHROPIC;
}

const struct provider provider_anthropic = {
    .protocol = anthropic_word,
    .native_door = native_door,
    .can_count_tokens = true,
    .stream_type = "text/event-stream",
    .build = build,
    .stream_open = anthropic_stream_open,
    .stream_feed = anthropic_stream_feed,
    .stream_at_boundary = anthropic_stream_at_boundary,
    .stream_finish = anthropic_stream_finish,
    .stream_state = anthropic_stream_state,
    .stream_close = anthropic_stream_close,
    .read_body = read_body,
    .is_error_body = anthropic_is_error_body,
    .read_error = anthropic_read_error,
};
