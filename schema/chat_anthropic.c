/* Reads the body of POST /v1/messages.  Checked is what Wayfare reads; all else is the
 * provider's to judge and passes. */
#include <assert.h>

#include "schema/chat_reader.h"
#include "schema/json_path.h"

#define KIND(k) (1u << JSON_##k)
#define BOOL (KIND(TRUE) | KIND(FALSE))
#define ANY (~0u)

/* M(member, kinds, accepts): the members that are read; null is absent. */
#define MEMBERS(M)                                                                                 \
    M(model, ANY, "")                                                                              \
    M(models, ANY, "")                                                                             \
    M(messages, KIND(ARRAY), "an array of messages")                                               \
    M(system, KIND(STRING) | KIND(ARRAY), "a string or an array of text blocks")                   \
    M(tools, KIND(ARRAY), "an array of tools")                                                     \
    M(tool_choice, KIND(OBJECT), "an object with type")                                            \
    M(stop_sequences, KIND(ARRAY), "an array of strings")                                          \
    M(temperature, ANY, "")                                                                        \
    M(top_p, ANY, "")                                                                              \
    M(top_k, ANY, "")                                                                              \
    M(thinking, KIND(OBJECT), "an object with type")                                               \
    M(output_config, KIND(OBJECT), "an object")                                                    \
    M(output_format, ANY, "")                                                                      \
    M(context_management, KIND(OBJECT), "an object with edits")                                    \
    M(cache_control, KIND(OBJECT), "an object with type")                                          \
    M(container, KIND(STRING) | KIND(OBJECT), "an id or an object with id")                        \
    M(thread, KIND(OBJECT), "an object with type")                                                 \
    M(previous_message_id, KIND(STRING), "the id of a message")                                    \
    M(mcp_servers, KIND(ARRAY), "an array of servers")                                             \
    M(metadata, KIND(OBJECT), "an object")                                                         \
    M(plugins, ANY, "")                                                                            \
    M(session_id, ANY, "")                                                                         \
    /* These mean nothing in a count_tokens body. */                                               \
    M(max_tokens, ANY, "")                                                                         \
    M(speed, KIND(STRING), "a string")                                                             \
    M(inference_geo, KIND(STRING), "a string")                                                     \
    M(service_tier, ANY, "")                                                                       \
    M(stream, BOOL, "true or false")

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

static int split_members(struct chat_reader *r, bool for_count, struct members *ms)
{
    for (int i = 0; i < MEMBER_COUNT; i++)
        ms->at[i] = JSON_NONE;
    return chat_split_members(r, rows, for_count ? MEMBER_max_tokens : MEMBER_COUNT, ms->at);
}

/* ---- settings ---- */

static int read_max_tokens(struct chat_reader *r, json_ref v)
{
    json_ref member = json_get(r->doc, 0, "max_tokens");
    if (member != JSON_NONE) { /* also a null is replaced, never doubled */
        r->chat->max_tokens_begin = json_at(r->doc, member)->begin;
        r->chat->max_tokens_end = json_at(r->doc, member)->end;
    }
    chat_note_param(r, v, PARAM_max_tokens);
    return chat_read_limit(r, v, &r->chat->max_tokens);
}

/* Members that are parameters by being there. */
static void read_plain_params(struct chat_reader *r, const struct members *ms)
{
    static const struct {
        enum member member;
        enum param param;
    } plain[] = {
        {MEMBER_temperature, PARAM_temperature},
        {MEMBER_top_p, PARAM_top_p},
        {MEMBER_top_k, PARAM_top_k},
        {MEMBER_stop_sequences, PARAM_stop},
        {MEMBER_tools, PARAM_tools},
        {MEMBER_tool_choice, PARAM_tool_choice},
        {MEMBER_output_format, PARAM_structured_outputs},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        chat_note_param(r, ms->at[plain[i].member], plain[i].param);
}

static int read_nested_params(struct chat_reader *r, const struct members *ms)
{
    const struct json_doc *d = r->doc;
    json_ref thinking = ms->at[MEMBER_thinking], output = ms->at[MEMBER_output_config];
    json_ref one_tool, type, format, effort, budget;
    if (json_get_once(d, ms->at[MEMBER_tool_choice], "disable_parallel_tool_use", &one_tool,
                      r->reterr) != 0 ||
        json_get_once(d, thinking, "type", &type, r->reterr) != 0 ||
        json_get_once(d, thinking, "budget_tokens", &budget, r->reterr) != 0 ||
        json_get_once(d, output, "format", &format, r->reterr) != 0 ||
        json_get_once(d, output, "effort", &effort, r->reterr) != 0)
        return -1;
    uint32_t *params = &r->chat->params;
    bool truth;
    if (json_truth(d, one_tool, &truth) && truth)
        *params |= PARAM_BIT(PARAM_parallel_tool_calls);
    int64_t tok;
    if (json_int64(d, budget, &tok) && tok > 0)
        r->chat->thinking_budget_tok = tok;
    if (thinking != JSON_NONE && !json_text_is(d, type, "disabled"))
        *params |= PARAM_BIT(PARAM_reasoning);
    if (format != JSON_NONE)
        *params |= PARAM_BIT(PARAM_structured_outputs);
    chat_count_format(r, format);
    chat_count_format(r, ms->at[MEMBER_output_format]);
    if (effort != JSON_NONE)
        *params |= PARAM_BIT(PARAM_reasoning_effort);
    return 0;
}

/* compact_20260112 has the same model write a summary, which is billed apart from the answer
 * (platform.claude.com/docs/en/build-with-claude/compaction). */
static int read_edits(struct chat_reader *r, json_ref management)
{
    static const char compaction[] = "compact_";
    char word[CHAT_TOOL_TYPE_MAX];
    json_ref edits, type;
    if (json_get_once(r->doc, management, "edits", &edits, r->reterr) != 0)
        return -1;
    if (edits == JSON_NONE || json_kind(r->doc, edits) != JSON_ARRAY)
        return 0;
    for (json_ref e = json_first(r->doc, edits); e != JSON_NONE; e = json_next(r->doc, e)) {
        if (json_get_once(r->doc, e, "type", &type, r->reterr) != 0)
            return -1;
        r->chat->parts.compacts |= json_text_fixed(r->doc, type, word, sizeof(word)) &&
                                   strncmp(word, compaction, sizeof(compaction) - 1) == 0;
    }
    return 0;
}

static int read_settings(struct chat_reader *r, const struct members *ms)
{
    json_ref user_id;
    json_truth(r->doc, ms->at[MEMBER_stream], &r->chat->stream);
    if (read_max_tokens(r, ms->at[MEMBER_max_tokens]) != 0 || read_nested_params(r, ms) != 0 ||
        json_get_once(r->doc, ms->at[MEMBER_metadata], "user_id", &user_id, r->reterr) != 0)
        return -1;
    if (read_edits(r, ms->at[MEMBER_context_management]) != 0)
        return -1;
    read_plain_params(r, ms);
    if (user_id != JSON_NONE && json_kind(r->doc, user_id) == JSON_STRING)
        r->chat->user_id = json_inner(r->doc, user_id);
    return 0;
}

/* ---- state that one provider holds ---- */

static int read_thread(struct chat_reader *r, json_ref thread)
{
    json_ref type, previous;
    if (json_get_once(r->doc, thread, "type", &type, r->reterr) != 0 ||
        json_get_once(r->doc, thread, "previous_message_id", &previous, r->reterr) != 0)
        return -1;
    r->chat->thread_create = json_text_is(r->doc, type, "create");
    if (previous == JSON_NONE)
        return 0;
    return chat_pin(r, previous, "thread.previous_message_id");
}

static int read_container(struct chat_reader *r, json_ref container)
{
    json_ref id = container, skills;
    if (json_is_object(r->doc, container)) {
        if (json_get_once(r->doc, container, "id", &id, r->reterr) != 0 ||
            json_get_once(r->doc, container, "skills", &skills, r->reterr) != 0)
            return -1;
        chat_count_skills(r, skills);
    }
    return id != JSON_NONE ? chat_pin(r, id, "container") : 0;
}

/* Before the prompt, whose file ids count only when nothing else pins the request. */
static int read_state(struct chat_reader *r, const struct members *ms)
{
    json_ref previous = ms->at[MEMBER_previous_message_id];
    r->chat->native_state = ms->at[MEMBER_thread] != JSON_NONE      ? "thread"
                            : previous != JSON_NONE                 ? "previous_message_id"
                            : ms->at[MEMBER_container] != JSON_NONE ? "container"
                                                                    : NULL;
    if (read_thread(r, ms->at[MEMBER_thread]) != 0)
        return -1;
    if (previous != JSON_NONE && chat_pin(r, previous, "previous_message_id") != 0)
        return -1;
    return read_container(r, ms->at[MEMBER_container]);
}

/* ---- the whole ---- */

static int read_prompt(struct chat_reader *r, const struct members *ms)
{
    json_ref messages = ms->at[MEMBER_messages], servers = ms->at[MEMBER_mcp_servers];
    if (messages == JSON_NONE)
        return fail_set(r->reterr, ERR_bad_request, "messages",
                        "messages is required: an array of messages");
    if (json_first(r->doc, messages) == JSON_NONE)
        return fail_set(r->reterr, ERR_bad_request, "messages", "messages must not be empty");
    if (chat_read_plugins(r, ms->at[MEMBER_plugins]) != 0)
        return -1;
    return chat_read_prompt(r, ms->at[MEMBER_tools], ms->at[MEMBER_system], messages,
                            ms->at[MEMBER_cache_control]) != 0
               ? -1
               : chat_add_mcp_servers(r, servers);
}

int chat_read_anthropic(struct chat *c, const struct json_doc *doc, bool for_count,
                        struct fail *reterr)
{
    assert(doc->count > 0);
    struct chat_reader r = {.chat = c, .doc = doc, .reterr = reterr};
    struct members ms;
    chat_begin(c, DOOR_ANTHROPIC, doc);
    if (json_kind(doc, 0) != JSON_OBJECT)
        return json_refuse(doc, 0, "an object", reterr);
    if (split_members(&r, for_count, &ms) != 0 ||
        chat_read_models(&r, ms.at[MEMBER_model], ms.at[MEMBER_models]) != 0 ||
        chat_read_routing(&r) != 0 || read_settings(&r, &ms) != 0 || read_state(&r, &ms) != 0 ||
        chat_read_terms(&r, ms.at[MEMBER_speed], ms.at[MEMBER_inference_geo]) != 0)
        return -1;
    if (read_prompt(&r, &ms) != 0)
        return -1;
    chat_end_parts(&r);
    return chat_read_breaks(&r);
}
