/* Reads the body of POST /v1/chat/completions.  Checked is what Wayfare reads; all else is the
 * provider's to judge and passes.
 *
 * Members: platform.openai.com/docs/api-reference/chat/create, and what OpenRouter adds
 * (openrouter.ai/docs/api-reference/chat-completion): models, provider, usage, reasoning,
 * include_reasoning, top_k, min_p, top_a, repetition_penalty, cache_control, and route, transforms,
 * plugins, session_id and trace, of which only their presence matters here. */
#include <assert.h>

#include "schema/chat_reader.h"
#include "schema/json_path.h"

#define KIND(k) (1u << JSON_##k)
#define BOOL (KIND(TRUE) | KIND(FALSE))
#define ANY (~0u)

enum {
    XAI_SOURCES = 20
}; /* docs.x.ai/docs/guides/live-search: where the request names no number */

/* M(member, kinds, accepts): the members that are read; null is absent. */
#define MEMBERS(M)                                                                                 \
    M(model, ANY, "")                                                                              \
    M(models, ANY, "")                                                                             \
    M(messages, KIND(ARRAY), "an array of messages")                                               \
    M(tools, KIND(ARRAY), "an array of tools")                                                     \
    M(functions, KIND(ARRAY), "an array of functions")                                             \
    M(tool_choice, KIND(STRING) | KIND(OBJECT), "a string or an object with type")                 \
    M(function_call, KIND(STRING) | KIND(OBJECT), "a string or an object with name")               \
    M(parallel_tool_calls, BOOL, "true or false")                                                  \
    M(max_tokens, ANY, "")                                                                         \
    M(max_completion_tokens, ANY, "")                                                              \
    M(n, ANY, "")                                                                                  \
    M(stream, BOOL, "true or false")                                                               \
    M(stream_options, KIND(OBJECT), "an object")                                                   \
    M(stop, KIND(STRING) | KIND(ARRAY), "a string or an array of strings")                         \
    M(temperature, ANY, "")                                                                        \
    M(top_p, ANY, "")                                                                              \
    M(top_k, ANY, "")                                                                              \
    M(min_p, ANY, "")                                                                              \
    M(top_a, ANY, "")                                                                              \
    M(frequency_penalty, ANY, "")                                                                  \
    M(presence_penalty, ANY, "")                                                                   \
    M(repetition_penalty, ANY, "")                                                                 \
    M(logit_bias, KIND(OBJECT), "an object of token ids")                                          \
    M(logprobs, BOOL, "true or false")                                                             \
    M(top_logprobs, ANY, "")                                                                       \
    M(prediction, KIND(OBJECT), "an object with type")                                             \
    M(seed, ANY, "")                                                                               \
    M(response_format, KIND(OBJECT), "an object with type")                                        \
    M(reasoning, KIND(OBJECT), "an object")                                                        \
    M(reasoning_effort, KIND(STRING), "a string")                                                  \
    M(include_reasoning, BOOL, "true or false")                                                    \
    M(verbosity, KIND(STRING), "a string")                                                         \
    M(web_search_options, KIND(OBJECT), "an object")                                               \
    M(search_parameters, KIND(OBJECT), "an object")                                                \
    M(modalities, ANY, "")                                                                         \
    M(audio, ANY, "")                                                                              \
    M(speed, ANY, "")                                                                              \
    M(inference_geo, ANY, "")                                                                      \
    M(service_tier, ANY, "")                                                                       \
    M(cache_control, KIND(OBJECT), "an object with type")                                          \
    M(usage, KIND(OBJECT), "an object with include")                                               \
    M(route, ANY, "")                                                                              \
    M(transforms, ANY, "")                                                                         \
    M(plugins, ANY, "")                                                                            \
    M(session_id, ANY, "")                                                                         \
    M(trace, ANY, "")                                                                              \
    M(thread, ANY, "")                                                                             \
    M(previous_message_id, ANY, "")                                                                \
    M(container, ANY, "")                                                                          \
    M(user, ANY, "")

enum member {
#define M(name, kinds, accepts) MEMBER_##name,
    MEMBERS(M)
#undef M
        MEMBER_COUNT
};

static const struct chat_member rows[MEMBER_COUNT] = {
#define M(name, kinds, accepts) {#name, kinds, accepts},
    MEMBERS(M)
#undef M
};

struct members {
    json_ref at[MEMBER_COUNT];
};

/* ---- limits ---- */

/* Where a member's value stands, null or not. */
static bool find_value(const struct chat_reader *r, const char *name, uint32_t *ret_begin,
                       uint32_t *ret_end)
{
    json_ref m = json_get(r->doc, 0, name);
    if (m == JSON_NONE)
        return false;
    *ret_begin = json_at(r->doc, m)->begin;
    *ret_end = json_at(r->doc, m)->end;
    return true;
}

/* Two names for one limit.  Where both are there both are replaced, so that no provider finds
 * another limit than the one that was paid for; a null is replaced, never doubled. */
static void place_limits(struct chat_reader *r)
{
    struct chat *c = r->chat;
    bool newer = find_value(r, "max_completion_tokens", &c->max_tokens_begin, &c->max_tokens_end);
    uint32_t *begin = newer ? &c->max_tokens_again_begin : &c->max_tokens_begin;
    uint32_t *end = newer ? &c->max_tokens_again_end : &c->max_tokens_end;
    find_value(r, "max_tokens", begin, end);
}

static int read_limits(struct chat_reader *r, const struct members *ms)
{
    int64_t older, newer;
    if (chat_read_limit(r, ms->at[MEMBER_max_tokens], &older) != 0 ||
        chat_read_limit(r, ms->at[MEMBER_max_completion_tokens], &newer) != 0)
        return -1;
    if (older >= 0 && newer >= 0 && older != newer)
        return fail_set(r->reterr, ERR_bad_request, "max_tokens",
                        "max_tokens and max_completion_tokens are one limit under two names and "
                        "must not differ; got %lld and %lld",
                        (long long)older, (long long)newer);
    r->chat->max_tokens = newer >= 0 ? newer : older;
    chat_note_param(r, ms->at[MEMBER_max_tokens], PARAM_max_tokens);
    chat_note_param(r, ms->at[MEMBER_max_completion_tokens], PARAM_max_completion_tokens);
    place_limits(r);
    return 0;
}

/* One answer per request is what is held for, relayed and translated. */
static int read_n(struct chat_reader *r, json_ref n)
{
    int64_t value;
    if (n == JSON_NONE || (json_int64(r->doc, n, &value) && value == 1))
        return 0;
    return json_refuse(r->doc, n, "1 (one answer per request: send several requests)", r->reterr);
}

/* ---- the stream's usage ---- */

/* Makes stream_options say include_usage: true, and leaves what else it says alone. */
static struct chat_edit ask_usage(const struct chat_reader *r, json_ref options, json_ref include)
{
    const struct json_doc *d = r->doc;
    json_ref member = json_get(d, 0, "stream_options");
    json_ref old = json_get(d, options, "include_usage");
    if (member == JSON_NONE)
        return (struct chat_edit){r->chat->model_end, r->chat->model_end,
                                  SPAN(",\"stream_options\":{\"include_usage\":true}")};
    if (options == JSON_NONE) /* null */
        return (struct chat_edit){json_at(d, member)->begin, json_at(d, member)->end,
                                  SPAN("{\"include_usage\":true}")};
    if (old != JSON_NONE)
        return (struct chat_edit){
            json_at(d, old)->begin, json_at(d, old)->end,
            include != JSON_NONE && json_kind(d, include) == JSON_TRUE ? SPAN("") : SPAN("true")};
    uint32_t inside = json_at(d, options)->begin + 1;
    return (struct chat_edit){inside, inside,
                              json_first(d, options) == JSON_NONE
                                  ? SPAN("\"include_usage\":true")
                                  : SPAN("\"include_usage\":true,")};
}

static int read_usage_wishes(struct chat_reader *r, const struct members *ms)
{
    struct chat *c = r->chat;
    json_ref options = ms->at[MEMBER_stream_options], include, report;
    json_truth(r->doc, ms->at[MEMBER_stream], &c->stream);
    if (json_get_once(r->doc, options, "include_usage", &include, r->reterr) != 0 ||
        json_get_once(r->doc, ms->at[MEMBER_usage], "include", &report, r->reterr) != 0)
        return -1;
    if (include != JSON_NONE && !json_truth(r->doc, include, &c->include_usage))
        return json_refuse(r->doc, include, "true or false", r->reterr);
    if (report != JSON_NONE && !json_truth(r->doc, report, &c->report))
        return json_refuse(r->doc, report, "true or false", r->reterr);
    /* OpenRouter's clients take their usage from the stream without asking for it by this name. */
    c->include_usage |= c->report;
    if (c->stream)
        c->usage_edit = ask_usage(r, options, include);
    return 0;
}

/* ---- parameters ---- */

static void read_plain_params(struct chat_reader *r, const struct members *ms)
{
    static const struct {
        enum member member;
        enum param param;
    } plain[] = {
        {MEMBER_temperature, PARAM_temperature},
        {MEMBER_top_p, PARAM_top_p},
        {MEMBER_top_k, PARAM_top_k},
        {MEMBER_min_p, PARAM_min_p},
        {MEMBER_top_a, PARAM_top_a},
        {MEMBER_frequency_penalty, PARAM_frequency_penalty},
        {MEMBER_presence_penalty, PARAM_presence_penalty},
        {MEMBER_repetition_penalty, PARAM_repetition_penalty},
        {MEMBER_logit_bias, PARAM_logit_bias},
        {MEMBER_top_logprobs, PARAM_top_logprobs},
        {MEMBER_prediction, PARAM_prediction},
        {MEMBER_seed, PARAM_seed},
        {MEMBER_stop, PARAM_stop},
        {MEMBER_tools, PARAM_tools},
        {MEMBER_functions, PARAM_tools},
        {MEMBER_tool_choice, PARAM_tool_choice},
        {MEMBER_function_call, PARAM_tool_choice},
        {MEMBER_include_reasoning, PARAM_include_reasoning},
        {MEMBER_verbosity, PARAM_verbosity},
        {MEMBER_web_search_options, PARAM_web_search_options},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        chat_note_param(r, ms->at[plain[i].member], plain[i].param);
}

/* What is given with the value that it has anyway asks for nothing. */
static void read_switches(struct chat_reader *r, const struct members *ms)
{
    bool truth;
    if (json_truth(r->doc, ms->at[MEMBER_parallel_tool_calls], &truth) && !truth)
        r->chat->params |= PARAM_BIT(PARAM_parallel_tool_calls);
    if (json_truth(r->doc, ms->at[MEMBER_logprobs], &truth) && truth)
        r->chat->params |= PARAM_BIT(PARAM_logprobs);
    if (ms->at[MEMBER_reasoning_effort] != JSON_NONE &&
        !json_text_is(r->doc, ms->at[MEMBER_reasoning_effort], "none"))
        r->chat->params |= PARAM_BIT(PARAM_reasoning_effort);
}

/* OpenRouter's reasoning: {effort, max_tokens, exclude, enabled}. */
static int read_reasoning(struct chat_reader *r, json_ref reasoning)
{
    json_ref effort, budget, enabled;
    bool off = false;
    if (json_get_once(r->doc, reasoning, "effort", &effort, r->reterr) != 0 ||
        json_get_once(r->doc, reasoning, "max_tokens", &budget, r->reterr) != 0 ||
        json_get_once(r->doc, reasoning, "enabled", &enabled, r->reterr) != 0)
        return -1;
    int64_t tok;
    if (json_int64(r->doc, budget, &tok) && tok > 0)
        r->chat->thinking_budget_tok = tok;
    if (json_truth(r->doc, enabled, &off))
        off = !off;
    off = off || json_text_is(r->doc, effort, "none");
    if (reasoning != JSON_NONE && !off)
        r->chat->params |= PARAM_BIT(PARAM_reasoning);
    return 0;
}

/* An answer in sound costs other prices than text. */
static void read_modalities(struct chat_reader *r, const struct members *ms)
{
    const struct json_doc *d = r->doc;
    json_ref list = ms->at[MEMBER_modalities];
    bool is_list = list != JSON_NONE && json_kind(d, list) == JSON_ARRAY;
    r->chat->speaks = ms->at[MEMBER_audio] != JSON_NONE;
    for (json_ref m = is_list ? json_first(d, list) : JSON_NONE; m != JSON_NONE;
         m = json_next(d, m))
        r->chat->speaks |= json_text_is(d, m, "audio");
}

/* Anthropic's terms, which gateways take as well; what is no string there is something else. */
static int read_terms(struct chat_reader *r, const struct members *ms)
{
    json_ref speed = ms->at[MEMBER_speed], geo = ms->at[MEMBER_inference_geo];
    bool words[] = {speed != JSON_NONE && json_kind(r->doc, speed) == JSON_STRING,
                    geo != JSON_NONE && json_kind(r->doc, geo) == JSON_STRING};
    return chat_read_terms(r, words[0] ? speed : JSON_NONE, words[1] ? geo : JSON_NONE);
}

static void read_openrouter_words(struct chat_reader *r, const struct members *ms)
{
    static const enum member words[] = {
        MEMBER_reasoning, MEMBER_include_reasoning, MEMBER_route, MEMBER_transforms,
        MEMBER_plugins,   MEMBER_session_id,        MEMBER_trace, MEMBER_cache_control};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        r->chat->openrouter_words |= ms->at[words[i]] != JSON_NONE;
}

static int read_response_format(struct chat_reader *r, json_ref format)
{
    json_ref type;
    if (json_get_once(r->doc, format, "type", &type, r->reterr) != 0)
        return -1;
    if (format == JSON_NONE || json_text_is(r->doc, type, "text"))
        return 0;
    bool schema = json_text_is(r->doc, type, "json_schema");
    r->chat->params |=
        schema ? PARAM_BIT(PARAM_structured_outputs) : PARAM_BIT(PARAM_response_format);
    chat_count_format(r, format);
    return 0;
}

/* Where a tier can be named: in the place of what is there, unless that is cut out. */
static void place_tier(struct chat_reader *r)
{
    struct chat *c = r->chat;
    if (!c->tier_cut)
        find_value(r, "service_tier", &c->tier_begin, &c->tier_end);
}

static int read_settings(struct chat_reader *r, const struct members *ms)
{
    json_ref user = ms->at[MEMBER_user];
    if (read_n(r, ms->at[MEMBER_n]) != 0 || read_limits(r, ms) != 0 ||
        read_usage_wishes(r, ms) != 0 || read_reasoning(r, ms->at[MEMBER_reasoning]) != 0 ||
        read_response_format(r, ms->at[MEMBER_response_format]) != 0 || read_terms(r, ms) != 0)
        return -1;
    place_tier(r);
    read_plain_params(r, ms);
    read_switches(r, ms);
    read_modalities(r, ms);
    read_openrouter_words(r, ms);
    if (ms->at[MEMBER_prediction] != JSON_NONE)
        r->chat->parts.predicted_bytes = (int64_t)json_raw(r->doc, ms->at[MEMBER_prediction]).len;
    if (user != JSON_NONE && json_kind(r->doc, user) == JSON_STRING)
        r->chat->user_id = json_inner(r->doc, user);
    return 0;
}

/* State that one provider keeps, in words of Anthropic's protocol: this one has none for it, and
 * the answer no place for the id that the next request needs.  Refused for every provider, so that
 * it is dropped by none. */
static int refuse_state(struct chat_reader *r, const struct members *ms)
{
    static const enum member words[] = {MEMBER_thread, MEMBER_previous_message_id,
                                        MEMBER_container};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *name = rows[words[i]].name;
        if (ms->at[words[i]] != JSON_NONE)
            return fail_set(r->reterr, ERR_bad_request, name,
                            "%s cannot be told here: state that a provider keeps is told through "
                            "/v1/messages",
                            name);
    }
    return 0;
}

/* ---- the whole ---- */

/* xAI's: it bills the sources it used, max_search_results at most. */
static int read_search_parameters(struct chat_reader *r, json_ref parameters)
{
    json_ref mode, most;
    int64_t n = XAI_SOURCES;
    if (parameters == JSON_NONE)
        return 0;
    if (json_get_once(r->doc, parameters, "mode", &mode, r->reterr) != 0 ||
        json_get_once(r->doc, parameters, "max_search_results", &most, r->reterr) != 0)
        return -1;
    if (json_text_is(r->doc, mode, "off"))
        return 0;
    if (most != JSON_NONE && (!json_int64(r->doc, most, &n) || n < 0))
        return json_refuse(r->doc, most, "an integer of 0 or more", r->reterr);
    chat_add_search_count(r, n);
    return chat_add_server_tool(r, "web_search_parameters");
}

static int read_prompt(struct chat_reader *r, const struct members *ms)
{
    json_ref messages = ms->at[MEMBER_messages];
    if (messages == JSON_NONE)
        return fail_set(r->reterr, ERR_bad_request, "messages",
                        "messages is required: an array of messages");
    if (json_first(r->doc, messages) == JSON_NONE)
        return fail_set(r->reterr, ERR_bad_request, "messages", "messages must not be empty");
    if (ms->at[MEMBER_web_search_options] != JSON_NONE) {
        chat_add_searches(r, JSON_NONE);
        if (chat_add_server_tool(r, "web_search_options") != 0)
            return -1;
    }
    if (read_search_parameters(r, ms->at[MEMBER_search_parameters]) != 0 ||
        chat_read_plugins(r, ms->at[MEMBER_plugins]) != 0)
        return -1;
    return chat_read_openai_prompt(r, ms->at[MEMBER_tools], ms->at[MEMBER_functions], messages,
                                   ms->at[MEMBER_cache_control]);
}

int chat_read_openai(struct chat *c, const struct json_doc *doc, struct fail *reterr)
{
    assert(doc->count > 0);
    struct chat_reader r = {.chat = c, .doc = doc, .reterr = reterr};
    struct members ms;
    chat_begin(c, DOOR_OPENAI, doc);
    if (json_kind(doc, 0) != JSON_OBJECT)
        return json_refuse(doc, 0, "an object", reterr);
    if (chat_split_members(&r, rows, MEMBER_COUNT, ms.at) != 0 ||
        chat_read_models(&r, ms.at[MEMBER_model], ms.at[MEMBER_models]) != 0 ||
        chat_read_routing(&r) != 0 || refuse_state(&r, &ms) != 0 || read_settings(&r, &ms) != 0)
        return -1;
    if (read_prompt(&r, &ms) != 0)
        return -1;
    chat_end_parts(&r);
    return chat_read_breaks(&r);
}
