/* An Anthropic body for InvokeModel: the client's own members where the client speaks Anthropic's
 * protocol, without what Bedrock puts elsewhere or does not have.
 * docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html */
#include "providers/anthropic.h"
#include "providers/bedrock.h"

enum { DEFAULT_MAX_TOKENS = 4096 };

/* ---- betas: a header at Anthropic's, a member here ---- */

/* Bedrock answers 400 "invalid beta flag" to those it does not know, and clients send many: Claude
 * Code eight to eleven.  These it takes (AWS's page above; the list that BerriAI/litellm keeps from
 * its users' reports, anthropic_beta_headers_config.json); one has a name of its own here. */
static const struct {
    const char *client, *bedrock;
} betas[] = {
    {"advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19"},
    {"compact-2026-01-12", NULL},
    {"computer-use-2024-10-22", NULL},
    {"computer-use-2025-01-24", NULL},
    {"computer-use-2025-11-24", NULL},
    {"context-1m-2025-08-07", NULL},
    {"context-management-2025-06-27", NULL},
    {"dangerous-tool-use-2026-09-03", NULL},
    {"effort-2025-11-24", NULL},
    {"fine-grained-tool-streaming-2025-05-14", NULL},
    {"interleaved-thinking-2025-05-14", NULL},
    {"mid-conversation-output-config-2026-07-01", NULL},
    {"mid-conversation-tool-changes-2026-07-01", NULL},
    {"thinking-binding-controls-2026-08-01", NULL},
    {"thinking-display-updates-2026-08-18", NULL},
    {"tool-examples-2025-10-29", NULL},
    {"tool-search-tool-2025-10-19", NULL},
};

/* The name that Bedrock knows a beta by; empty: none. */
static struct span bedrock_beta(struct span name)
{
    for (size_t i = 0; i < sizeof(betas) / sizeof(betas[0]); i++) {
        if (span_is(name, betas[i].client))
            return betas[i].bedrock != NULL ? span_of(betas[i].bedrock) : name;
    }
    return (struct span){"", 0};
}

/* Takes the next name off a list with commas; empty at its end. */
static struct span next_beta(struct span *list)
{
    static const char blanks[] = " \t,";
    while (list->len > 0 && memchr(blanks, list->ptr[0], 3) != NULL)
        *list = (struct span){list->ptr + 1, list->len - 1};
    struct span name = {list->ptr, 0};
    while (name.len < list->len && memchr(blanks, list->ptr[name.len], 3) == NULL)
        name.len++;
    if (name.len > 0) /* an absent header has no address to count from */
        *list = (struct span){list->ptr + name.len, list->len - name.len};
    return name;
}

static void put_beta(struct json_out *o, bool *any, struct span name)
{
    if (!*any)
        json_open_array(o, "anthropic_beta");
    *any = true;
    json_put_string(o, NULL, name);
}

/* The operator's own are sent as they are. */
static void put_betas(struct json_out *o, struct draft *d, const struct provider_ask *ask)
{
    struct span client = ask->headers->anthropic_beta;
    struct span configured = span_of(draft_extra_header(d, SPAN("anthropic-beta")));
    struct span name;
    bool any = false;
    while ((name = next_beta(&client)).len > 0) {
        struct span known = bedrock_beta(name);
        if (known.len > 0)
            put_beta(o, &any, known);
        else
            drops_add(ask->drops, "anthropic-beta");
    }
    while ((name = next_beta(&configured)).len > 0)
        put_beta(o, &any, name);
    if (any)
        json_close_array(o);
}

/* ---- the client's own members ---- */

static json_ref first_of(const struct json_doc *doc, json_ref array)
{
    bool is_array = array != JSON_NONE && json_kind(doc, array) == JSON_ARRAY;
    return is_array ? json_first(doc, array) : JSON_NONE;
}

static bool has_role(const struct json_doc *doc, json_ref message, const char *role)
{
    bool is_object = message != JSON_NONE && json_kind(doc, message) == JSON_OBJECT;
    json_ref r = is_object ? json_get(doc, message, "role") : JSON_NONE;
    return r != JSON_NONE && json_text_is(doc, r, role);
}

/* Which of the model's rules this body may break. */
static uint32_t rules_at_risk(const struct chat *chat)
{
    static const struct {
        uint32_t params, rules;
    } risks[] = {
        {PARAM_BIT(PARAM_temperature) | PARAM_BIT(PARAM_top_p) | PARAM_BIT(PARAM_top_k),
         RULE_BIT(RULE_no_sampling)},
        {PARAM_BIT(PARAM_reasoning) | PARAM_BIT(PARAM_reasoning_effort),
         RULE_BIT(RULE_no_adaptive_thinking) | RULE_BIT(RULE_no_thinking_budget) |
             RULE_BIT(RULE_thinking_always) | RULE_BIT(RULE_effort_needs_thinking)},
        {PARAM_BIT(PARAM_tool_choice), RULE_BIT(RULE_no_forced_tool)},
    };
    uint32_t rules = 0;
    for (size_t i = 0; i < sizeof(risks) / sizeof(risks[0]); i++)
        rules |= (chat->params & risks[i].params) != 0 ? risks[i].rules : 0;
    json_ref last = JSON_NONE;
    json_ref m = first_of(chat->doc, json_get(chat->doc, 0, "messages"));
    for (; m != JSON_NONE; m = json_next(chat->doc, m)) {
        rules |= has_role(chat->doc, m, "system") ? RULE_BIT(RULE_no_system_messages) : 0;
        last = m;
    }
    return rules | (has_role(chat->doc, last, "assistant") ? RULE_BIT(RULE_no_prefill) : 0);
}

/* Bytes that can pass untouched do; a body that the model would refuse is written anew. */
static bool passes(const struct provider_ask *ask)
{
    return ask->dialog == NULL ||
           (ask->chat->door == DOOR_ANTHROPIC && !ask->chat->foreign_thinking &&
            (ask->target->rules == 0 || (ask->target->rules & rules_at_risk(ask->chat)) == 0));
}

/* Members that InvokeModel says in another place, or knows nothing of ("Extra inputs are not
 * permitted"); others that we do not know are its to judge. */
static const struct {
    const char *name;
    bool drop; /* something is lost */
} left_out[] = {
    {"model", false},          {"stream", false},     {"max_tokens", false},
    {"service_tier", true},    {"container", true},   {"mcp_servers", true},
    {"inference_geo", true},   {"speed", true},       {"fallbacks", true},
    {"user_profile_id", true}, {"diagnostics", true}, {"cache_control", true},
};

static bool is_left_out(const struct provider_ask *ask, json_ref m)
{
    const struct json_doc *doc = ask->chat->doc;
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
        if (!json_key_is(doc, m, left_out[i].name))
            continue;
        if (left_out[i].drop && json_kind(doc, m) != JSON_NULL)
            drops_add(ask->drops, left_out[i].name);
        return true;
    }
    return prefs_is_routing_member(doc, m);
}

static void add_run(struct draft *d, const struct json_doc *doc, json_ref first, json_ref last)
{
    if (!d->ok || first == JSON_NONE)
        return;
    size_t begin = json_at(doc, first)->key_begin;
    struct span run = {doc->text.ptr + begin, json_at(doc, last)->end - begin};
    if (!upreq_add_own(d->up, SPAN(",")) || !upreq_add_borrowed(d->up, run)) {
        d->ok = false;
        fail_set(d->reterr, ERR_bad_request, NULL,
                 "the request says members again and again that its provider does not take");
    }
}

/* Runs of neighbouring members that stay are one piece each. */
static void add_members(struct draft *d, const struct provider_ask *ask)
{
    const struct json_doc *doc = ask->chat->doc;
    json_ref first = JSON_NONE, last = JSON_NONE;
    for (json_ref m = json_first(doc, 0); m != JSON_NONE; m = json_next(doc, m)) {
        if (!is_left_out(ask, m)) {
            first = first != JSON_NONE ? first : m;
            last = m;
            continue;
        }
        add_run(d, doc, first, last);
        first = JSON_NONE;
    }
    add_run(d, doc, first, last);
}

static int64_t max_tokens_of(const struct provider_ask *ask)
{
    if (ask->max_tokens >= 0)
        return ask->max_tokens;
    return ask->target->max_completion_tokens > 0 ? ask->target->max_completion_tokens
                                                  : DEFAULT_MAX_TOKENS;
}

static void add_head(struct draft *d, const struct provider_ask *ask)
{
    struct buf head;
    buf_init(&head, UPREQ_OWN_MAX);
    struct json_out o = {.buf = &head};
    json_open_object(&o, NULL);
    json_put_string(&o, "anthropic_version", SPAN(BEDROCK_ANTHROPIC_VERSION));
    json_put_int(&o, "max_tokens", max_tokens_of(ask));
    put_betas(&o, d, ask);
    if (d->ok && (head.failed || !upreq_add_own(d->up, buf_span(&head)))) {
        d->ok = false;
        fail_set(d->reterr, ERR_bad_request, "anthropic-beta", "anthropic-beta is too long");
    }
    buf_done(&head);
}

/* ---- written anew ---- */

static void add_written(struct draft *d, const struct provider_ask *ask)
{
    static const struct anthropic_cloud cloud = {BEDROCK_ANTHROPIC_VERSION, is_left_out};
    struct buf body;
    buf_init(&body, BEDROCK_BODY_MAX);
    if (d->ok && anthropic_write(ask, &cloud, &body, d->reterr) != 0)
        d->ok = false;
    if (d->ok && !body.failed) {
        /* Betas go in at the end of the object. */
        body.len--;
        struct json_out o = {.buf = &body, .comma = true};
        put_betas(&o, d, ask);
        json_close_object(&o);
    }
    draft_body(d, &body);
    buf_done(&body);
}

void bedrock_write_invoke(struct draft *d, const struct provider_ask *ask)
{
    if (!passes(ask)) {
        add_written(d, ask);
        return;
    }
    ask->drops->n = 0; /* also what a dialog has no place for is in these bytes */
    add_head(d, ask);
    add_members(d, ask);
    if (d->ok && !upreq_add_own(d->up, SPAN("}"))) {
        d->ok = false;
        fail_set(d->reterr, ERR_internal, NULL, "the request body is in too many pieces");
    }
}
