/* Google Cloud's Vertex AI: Gemini models in Gemini's protocol, and Claude in Anthropic's, whose
 * bytes pass through but for the model, which the address names.
 * docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
 * platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai. */
#include <stdlib.h>

#include "providers/anthropic.h"
#include "providers/gemini.h"

static const char protocol[] = "vertex";
#define ANTHROPIC_VERSION "vertex-2023-10-16"

static const char *after_prefix(const char *model, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(model, prefix, n) == 0 ? model + n : NULL;
}

static bool is_claude(const struct provider_target *t)
{
    const char *model = t->upstream_model != NULL ? t->upstream_model : "";
    return after_prefix(model, "anthropic/") != NULL || after_prefix(model, "claude") != NULL;
}

static enum chat_door native_door(const struct provider_target *target)
{
    return is_claude(target) ? DOOR_ANTHROPIC : DOOR_NONE;
}

/* ---- address ---- */

static void refuse(struct draft *d, const char *text)
{
    if (d->ok)
        fail_set(d->reterr, ERR_internal, NULL, "%s", text);
    d->ok = false;
}

/* base_url may name project and location (".../v1/projects/P/locations/L"), or only the host:
 * then they are the service account's and the provider's. */
static void add_place(struct buf *path, struct draft *d)
{
    const struct provider_target *t = d->target;
    if (strstr(t->base_url, "/projects/") != NULL)
        return;
    if (t->project == NULL)
        refuse(d,
               "the provider's base_url must end in /v1/projects/PROJECT/locations/LOCATION: its "
               "credential names no project");
    else
        buf_addf(path, "/v1/projects/%s/locations/%s", t->project,
                 t->region != NULL ? t->region : "global");
}

static void set_url(struct draft *d, const char *publisher, const char *model, const char *method)
{
    struct buf path;
    buf_init(&path, UPREQ_URL_MAX);
    add_place(&path, d);
    buf_addf(&path, "/publishers/%s/models/%s:%s", publisher, model, method);
    if (path.failed)
        refuse(d, "the upstream model name is too long");
    else if (d->ok)
        draft_url(d, "/v1", path.ptr);
    buf_done(&path);
}

/* ---- Claude ---- */

/* The client's body without its model: anthropic_version stands in its place. */
struct piecing {
    struct draft *draft;
    const char *key; /* of `model` in the body; NULL: it is put in */
};

static const char version_member[] = "\"anthropic_version\":\"" ANTHROPIC_VERSION "\"";

static void add_piece(void *ctx, struct span bytes)
{
    struct piecing *p = ctx;
    struct upreq *up = p->draft->up;
    bool added;
    if (bytes.ptr == chat_model_key)
        return;
    if (bytes.ptr == version_member) {
        added = upreq_add_own(up, bytes);
    } else if (p->key != NULL && bytes.ptr <= p->key && p->key < bytes.ptr + bytes.len) {
        /* The piece that ends with the key: what is behind it goes with the value. */
        added = upreq_add_borrowed(up, (struct span){bytes.ptr, (size_t)(p->key - bytes.ptr)});
    } else {
        added = upreq_add_borrowed(up, bytes);
    }
    if (!added)
        refuse(p->draft, "the request body is in too many pieces");
}

static void add_client_body(struct draft *d, const struct chat *chat)
{
    json_ref model = json_get(chat->doc, 0, "model");
    struct piecing p = {d, NULL};
    if (model != JSON_NONE)
        p.key = chat->body.ptr + json_at(chat->doc, model)->key_begin;
    chat_pieces(chat, SPAN(version_member), add_piece, &p);
}

static void add_written_body(struct draft *d, const struct provider_ask *ask)
{
    static const struct anthropic_cloud cloud = {.version = ANTHROPIC_VERSION};
    struct buf body;
    buf_init(&body, DIALOG_MEMORY_MAX);
    if (d->ok && anthropic_write(ask, &cloud, &body, d->reterr) != 0)
        d->ok = false;
    draft_body(d, &body);
    buf_done(&body);
}

static void build_claude(struct draft *d, const struct provider_ask *ask)
{
    const char *model = after_prefix(d->target->upstream_model, "anthropic/");
    bool stream = ask->chat->stream;
    set_url(d, "anthropic", model != NULL ? model : d->target->upstream_model,
            stream ? "streamRawPredict" : "rawPredict");
    draft_credential(d, "authorization", "Bearer ");
    anthropic_draft_beta(d, ask->headers->anthropic_beta);
    draft_common_headers(d, stream ? "text/event-stream" : "application/json");
    draft_extra_headers(d, ask->headers->anthropic_beta.len > 0 ? "anthropic-beta" : NULL);
    if (ask->dialog == NULL)
        add_client_body(d, ask->chat);
    else
        add_written_body(d, ask);
}

/* ---- Gemini ---- */

static void build_gemini(struct draft *d, const struct provider_ask *ask)
{
    const char *model = after_prefix(d->target->upstream_model, "google/");
    set_url(d, "google", model != NULL ? model : d->target->upstream_model,
            ask->dialog->stream ? "streamGenerateContent?alt=sse" : "generateContent");
    draft_credential(d, "authorization", "Bearer ");
    gemini_draft_rest(d, ask, protocol);
}

static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    if (is_claude(ask->target))
        build_claude(&d, ask);
    else
        build_gemini(&d, ask);
    return d.ok ? 0 : -1;
}

/* ---- answers ---- */

static void *open_gemini(const struct provider_reading *reading)
{
    return gemini_stream_open(protocol, reading);
}

static enum verdict read_gemini_body(const struct provider_reading *reading, struct span body,
                                     struct usage_report *ret_usage)
{
    return gemini_read_body(protocol, reading, body, ret_usage);
}

/* Readers of Gemini's protocol under this one's name. */
static const struct provider gemini_reader = {
    .stream_open = open_gemini,
    .stream_feed = gemini_stream_feed,
    .stream_at_boundary = gemini_stream_at_boundary,
    .stream_finish = gemini_stream_finish,
    .stream_state = gemini_stream_state,
    .stream_close = gemini_stream_close,
    .read_body = read_gemini_body,
};

static const struct provider *reader_of(const struct provider_reading *reading)
{
    return is_claude(reading->target) ? &provider_anthropic : &gemini_reader;
}

struct vertex_stream {
    const struct provider *reader;
    void *stream;
};

static void *stream_open(const struct provider_reading *reading)
{
    struct vertex_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->reader = reader_of(reading);
    s->stream = s->reader->stream_open(reading);
    if (s->stream == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

static bool stream_feed(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx)
{
    struct vertex_stream *s = stream;
    return s->reader->stream_feed(s->stream, bytes, on_event, ctx);
}

static bool stream_at_boundary(const void *stream)
{
    const struct vertex_stream *s = stream;
    return s->reader->stream_at_boundary(s->stream);
}

static void stream_finish(void *stream)
{
    struct vertex_stream *s = stream;
    if (s->reader->stream_finish != NULL)
        s->reader->stream_finish(s->stream);
}

static enum verdict stream_state(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes)
{
    const struct vertex_stream *s = stream;
    return s->reader->stream_state(s->stream, ret_usage, ret_content_bytes);
}

static void stream_close(void *stream)
{
    struct vertex_stream *s = stream;
    if (s == NULL)
        return;
    s->reader->stream_close(s->stream);
    free(s);
}

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    return reader_of(reading)->read_body(reading, body, ret_usage);
}

/* Anthropic's own errors come only from Claude itself; quota, permissions and addresses are
 * refused by Google, in Google's form. */
static bool is_error_body(struct span body)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = json_parse(&doc, body, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT &&
               json_text_is(&doc, json_get(&doc, 0, "type"), "error");
    json_done(&doc);
    return yes && provider_anthropic.is_error_body(body);
}

static bool read_error(struct span body, struct buf *store, struct reply_error *ret)
{
    return is_error_body(body) ? provider_anthropic.read_error(body, store, ret)
                               : gemini_read_error(body, store, ret);
}

const struct provider provider_vertex = {
    .protocol = protocol,
    .native_door = native_door,
    .can_count_tokens = false,
    .stream_type = "text/event-stream",
    .build = build,
    .stream_open = stream_open,
    .stream_feed = stream_feed,
    .stream_at_boundary = stream_at_boundary,
    .stream_finish = stream_finish,
    .stream_state = stream_state,
    .stream_close = stream_close,
    .read_body = read_body,
    .is_error_body = is_error_body,
    .read_error = read_error,
    .weigh_error = gemini_weigh_error,
};
