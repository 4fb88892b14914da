/* Which rules of models (vocab.h) a request would break.  Looked at when the body is read: its
 * members are of the kinds that the readers demand, and what they read is not there twice. */
#include "schema/chat_reader.h"
#include "schema/json_path.h"

static json_ref at(const struct json_doc *d, json_ref object, const char *name)
{
    json_ref v = json_get(d, object, name);
    return v != JSON_NONE && json_kind(d, v) != JSON_NULL ? v : JSON_NONE;
}

static bool is_word(const struct json_doc *d, json_ref v, const char *word)
{
    return json_text_is(d, v, word);
}

static void breaks_if(struct chat_reader *r, bool broken, enum model_rule rule)
{
    r->chat->breaks |= broken ? RULE_BIT(rule) : 0;
}

static void read_roles(struct chat_reader *r)
{
    const struct json_doc *d = r->doc;
    json_ref role = JSON_NONE;
    bool system = false;
    for (json_ref m = json_first(d, json_get(d, 0, "messages")); m != JSON_NONE;
         m = json_next(d, m)) {
        role = json_get(d, m, "role");
        system |= is_word(d, role, "system");
    }
    breaks_if(r, is_word(d, role, "assistant"), RULE_no_prefill);
    /* OpenAI's requests are written anew for these models, with the instructions apart. */
    breaks_if(r, system && r->chat->door == DOOR_ANTHROPIC, RULE_no_system_messages);
}

/* Forced is "required", {"type": "any"}, a tool by its name. */
static int read_tool_choice(struct chat_reader *r)
{
    const struct json_doc *d = r->doc;
    json_ref choice = at(d, 0, "tool_choice"), type;
    if (json_get_once(d, choice, "type", &type, r->reterr) != 0)
        return -1;
    breaks_if(r,
              is_word(d, choice, "required") || is_word(d, type, "any") ||
                  is_word(d, type, "tool") || is_word(d, type, "function"),
              RULE_no_forced_tool);
    return 0;
}

/* What only the Anthropic door sends on as it is. */
static void read_anthropic(struct chat_reader *r)
{
    static const char *const sampling[] = {"temperature", "top_p", "top_k"};
    const struct json_doc *d = r->doc;
    json_ref type = at(d, at(d, 0, "thinking"), "type");
    json_ref effort = at(d, at(d, 0, "output_config"), "effort");
    bool off = is_word(d, type, "disabled");
    breaks_if(r, is_word(d, type, "adaptive"), RULE_no_adaptive_thinking);
    breaks_if(r, is_word(d, type, "enabled"), RULE_no_thinking_budget);
    breaks_if(r, off, RULE_thinking_always);
    breaks_if(r, off && (is_word(d, effort, "xhigh") || is_word(d, effort, "max")),
              RULE_effort_needs_thinking);
    for (size_t i = 0; i < sizeof(sampling) / sizeof(sampling[0]); i++)
        breaks_if(r, at(d, 0, sampling[i]) != JSON_NONE, RULE_no_sampling);
}

int chat_read_breaks(struct chat_reader *r)
{
    read_roles(r);
    if (r->chat->door == DOOR_ANTHROPIC)
        read_anthropic(r);
    return read_tool_choice(r);
}
