/* The chat completions protocol: api.openai.com and every server that speaks like it; how they
 * differ are rows of openai_dialect.c.  platform.openai.com/docs/api-reference/chat. */
#include "providers/openai.h"

/* A limit that is put in goes by the name the server knows. */
static void name_limit(const struct provider_ask *ask, const struct openai_dialect *d)
{
    ask->chat->max_tokens_name = d->max_tokens;
    if (ask->chat->sent_max_tokens[0] != '\0')
        chat_send_max_tokens(ask->chat, ask->max_tokens);
}

static void build_body(const struct provider_ask *ask, const struct openai_dialect *d,
                       struct draft *draft)
{
    if (ask->dialog == NULL) {
        name_limit(ask, d);
        chat_send_tier(ask->chat, openai_has(d, TRAIT_TIERS) ? ask->target->tier : NULL);
        /* Every stream must state its usage. */
        bool takes = openai_has(d, TRAIT_STREAM_OPTIONS);
        chat_send_stream_options(ask->chat, takes ? OPTIONS_ASK_USAGE : OPTIONS_LEFT_OUT);
        draft_pieces(draft, ask->chat);
        return;
    }
    struct buf body;
    buf_init(&body, PROVIDER_BODY_MAX);
    if (openai_write(ask, d, &body, draft->reterr) != 0)
        draft->ok = false;
    else
        draft_body(draft, &body);
    buf_done(&body);
}

int openai_build(const struct provider_ask *ask, const struct openai_dialect *d,
                 struct draft *draft)
{
    draft_common_headers(draft, ask->chat->stream ? "text/event-stream" : "application/json");
    draft_extra_headers(draft, NULL);
    if (ask->op != OP_MESSAGES && draft->ok)
        return fail_set(draft->reterr, ERR_internal, NULL,
                        "this provider has no address that counts tokens");
    if (draft->ok)
        build_body(ask, d, draft);
    return draft->ok ? 0 : -1;
}

static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    draft_url(&d, "", "/chat/completions");
    draft_credential(&d, "authorization", "Bearer ");
    return openai_build(ask, openai_dialect_of(ask->target), &d);
}

/* ---- whole bodies ---- */

static bool has_error(const struct json_doc *doc)
{
    struct reply_error error;
    struct buf store;
    buf_init(&store, PROVIDER_BODY_MAX);
    bool yes = openai_find_error(doc, &store, &error);
    buf_done(&store);
    return yes;
}

static bool give_meaning(const struct json_doc *doc, const struct openai_dialect *d,
                         const struct provider_reading *reading,
                         const struct openai_figures *figures)
{
    struct openai_reply *r = openai_reply_open(d, reading);
    bool good = r != NULL && openai_reply_chunk(r, doc, true, figures) && openai_reply_end(r);
    openai_reply_close(r);
    return good;
}

static enum verdict judge_body(const struct json_doc *doc, const struct openai_dialect *d,
                               const struct provider_reading *reading, struct usage *ret_usage)
{
    struct openai_figures figures = openai_no_figures(reading, d);
    json_ref choices = json_get(doc, 0, "choices");
    bool error = has_error(doc);
    bool answer = choices != JSON_NONE && json_kind(doc, choices) == JSON_ARRAY &&
                  json_first(doc, choices) != JSON_NONE; /* without any it is none */
    openai_read_figures(&figures, doc, json_get(doc, 0, "usage"));
    openai_read_figures(&figures, doc, json_get(doc, json_get(doc, 0, "x_groq"), "usage"));
    struct openai_glance g = openai_glance(doc);
    bool content = g.text_bytes > 0 || g.calls || g.pictures;
    openai_figures_to_usage(&figures, d, content, ret_usage); /* of no answer too: it is billed */
    if (!answer && !error)
        return VERDICT_FOREIGN;
    bool stated = figures.seen != 0;
    if (reading->sink != NULL && !give_meaning(doc, d, reading, stated ? &figures : NULL))
        return VERDICT_FOREIGN;
    return error ? VERDICT_ERROR : VERDICT_COMPLETE;
}

enum verdict openai_judge_body(const struct provider_reading *reading,
                               const struct openai_dialect *d, struct span body,
                               struct usage_report *ret_usage)
{
    struct json_doc doc;
    enum verdict verdict = VERDICT_FOREIGN;
    json_init(&doc);
    usage_report_clear(ret_usage);
    if (json_parse(&doc, body, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT)
        verdict = judge_body(&doc, d, reading, &ret_usage->total);
    if (verdict == VERDICT_COMPLETE)
        openai_read_tier(ret_usage->terms.tier, &doc);
    json_done(&doc);
    return verdict;
}

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    return openai_judge_body(reading, openai_dialect_of(reading->target), body, ret_usage);
}

static void *stream_open(const struct provider_reading *reading)
{
    return openai_stream_open(reading, openai_dialect_of(reading->target));
}

static enum chat_door native_door(const struct provider_target *target)
{
    (void)target;
    return DOOR_OPENAI;
}

/* OpenAI answers 400 to members it does not know ("Unrecognized request argument supplied"), others
 * pass over them, and the model thinks as it likes.  A server that nobody knows gets what was
 * written. */
bool openai_refuses(const struct chat *chat, const struct openai_dialect *d)
{
    return chat->openrouter_words && d->thinking != THINK_BY_OBJECT &&
           !openai_has(d, TRAIT_STATED_PARAMS);
}

static bool refuses(const struct chat *chat, const struct provider_target *target)
{
    return openai_refuses(chat, openai_dialect_of(target));
}

const struct provider provider_openai = {
    .protocol = "openai",
    .native_door = native_door,
    .refuses = refuses,
    .stream_type = "text/event-stream",
    .build = build,
    .stream_open = stream_open,
    .stream_feed = openai_stream_feed,
    .stream_at_boundary = openai_stream_at_boundary,
    .stream_finish = openai_stream_finish,
    .stream_state = openai_stream_state,
    .stream_close = openai_stream_close,
    .read_body = read_body,
    .is_error_body = openai_is_error_body,
    .read_error = openai_read_error,
    .weigh_error = openai_weigh_error,
};
