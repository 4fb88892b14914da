/* Google's Gemini API: ai.google.dev/api/generate-content.  No client speaks it here, so that every
 * request is written anew and every answer translated. */
#include "providers/gemini.h"

static const char protocol[] = "gemini";

/* The key goes into a header, never into the URL: those are logged everywhere. */
static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    bool named = strchr(ask->target->upstream_model, '/') != NULL; /* "tunedModels/..." */
    gemini_draft_url(&d, ask, "/v1beta", named ? "/v1beta/" : "/v1beta/models/");
    draft_credential(&d, "x-goog-api-key", "");
    gemini_draft_rest(&d, ask, protocol);
    return d.ok ? 0 : -1;
}

static enum chat_door native_door(const struct provider_target *target)
{
    (void)target;
    return DOOR_NONE;
}

static void *stream_open(const struct provider_reading *reading)
{
    return gemini_stream_open(protocol, reading);
}

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    return gemini_read_body(protocol, reading, body, ret_usage);
}

const struct provider provider_gemini = {
    .protocol = protocol,
    .native_door = native_door,
    .can_count_tokens = false,
    .stream_type = "text/event-stream",
    .build = build,
    .stream_open = stream_open,
    .stream_feed = gemini_stream_feed,
    .stream_at_boundary = gemini_stream_at_boundary,
    .stream_finish = gemini_stream_finish,
    .stream_state = gemini_stream_state,
    .stream_close = gemini_stream_close,
    .read_body = read_body,
    .is_error_body = gemini_is_error_body,
    .read_error = gemini_read_error,
    .weigh_error = gemini_weigh_error,
};
