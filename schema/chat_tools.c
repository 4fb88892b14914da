/* What the tools of a request ask of an endpoint. */
#include "schema/chat_reader.h"
#include "schema/json_path.h"

/* Tools that the provider runs: the type without its date.  Anything else, a tool of the
 * client (bash_, text_editor_, computer_, memory_) or one that does not exist yet, only
 * needs tools as such. */
static const char *const server_families[] = {"web_search_",       "web_fetch_", "code_execution_",
                                              "tool_search_tool_", "advisor_",   "mcp_toolset"};

static bool is_server_tool(const char *type)
{
    for (size_t i = 0; i < sizeof(server_families) / sizeof(server_families[0]); i++) {
        if (strncmp(type, server_families[i], strlen(server_families[i])) == 0)
            return true;
    }
    return false;
}

int chat_add_server_tool(struct chat_reader *r, const char *type)
{
    struct chat *c = r->chat;
    c->needs |= NEED_SERVER_TOOLS;
    for (int i = 0; i < c->n_server_tools; i++) {
        if (strcmp(c->server_tools[i], type) == 0)
            return 0;
    }
    if (c->n_server_tools == CHAT_SERVER_TOOLS_MAX)
        return fail_set(r->reterr, ERR_bad_request, "tools",
                        "tools must have at most %d different server tools", CHAT_SERVER_TOOLS_MAX);
    memcpy(c->server_tools[c->n_server_tools++], type, strlen(type) + 1);
    return 0;
}

/* No max_uses, or one that is no count: the provider may search as often as it likes. */
void chat_add_searches(struct chat_reader *r, json_ref max_uses)
{
    int64_t n;
    chat_add_search_count(r, json_int64(r->doc, max_uses, &n) && n >= 0 ? n : -1);
}

void chat_add_search_count(struct chat_reader *r, int64_t n)
{
    int64_t *sum = &r->chat->web_search_uses;
    if (*sum < 0 || n < 0 || __builtin_add_overflow(*sum, n, sum))
        *sum = -1;
}

/* {"id": "web"}: a search before the model is asked, or as many as its own tool makes
 * (openrouter.ai/docs/features/web-search).  Other plugins search nothing. */
int chat_read_plugins(struct chat_reader *r, json_ref plugins)
{
    if (plugins == JSON_NONE || json_kind(r->doc, plugins) != JSON_ARRAY)
        return 0;
    for (json_ref p = json_first(r->doc, plugins); p != JSON_NONE; p = json_next(r->doc, p)) {
        json_ref id, enabled;
        bool on = true;
        if (json_kind(r->doc, p) != JSON_OBJECT)
            continue;
        if (json_get_once(r->doc, p, "id", &id, r->reterr) != 0 ||
            json_get_once(r->doc, p, "enabled", &enabled, r->reterr) != 0)
            return -1;
        json_truth(r->doc, enabled, &on);
        if (!on || !json_text_is(r->doc, id, "web"))
            continue;
        r->chat->web_plugin = true;
        chat_add_searches(r, JSON_NONE);
        if (chat_add_server_tool(r, "web_search_plugin") != 0)
            return -1;
    }
    return 0;
}

static int read_type(struct chat_reader *r, json_ref tool, char ret[CHAT_TOOL_TYPE_MAX])
{
    json_ref v;
    ret[0] = '\0';
    if (json_get_once(r->doc, tool, "type", &v, r->reterr) != 0)
        return -1;
    if (v != JSON_NONE && !json_text_fixed(r->doc, v, ret, CHAT_TOOL_TYPE_MAX))
        return json_refuse(r->doc, v, "a string of at most 63 bytes", r->reterr);
    return 0;
}

int chat_read_tool(struct chat_reader *r, json_ref tool)
{
    char type[CHAT_TOOL_TYPE_MAX];
    json_ref max_uses;
    if (read_type(r, tool, type) != 0)
        return -1;
    if (!is_server_tool(type)) {
        r->chat->needs |= NEED_TOOLS;
        return 0;
    }
    if (json_get_once(r->doc, tool, "max_uses", &max_uses, r->reterr) != 0)
        return -1;
    if (strncmp(type, "web_search_", strlen("web_search_")) == 0)
        chat_add_searches(r, max_uses);
    return chat_add_server_tool(r, type);
}

/* Two types are the client's to run.  Every other one is a provider's own ("browser_search",
 * "openrouter:web_search"): an endpoint must list it. */
int chat_read_openai_tool(struct chat_reader *r, json_ref tool)
{
    char type[CHAT_TOOL_TYPE_MAX];
    json_ref parameters, max_uses;
    if (read_type(r, tool, type) != 0)
        return -1;
    if (type[0] == '\0' || strcmp(type, "function") == 0 || strcmp(type, "custom") == 0) {
        r->chat->needs |= NEED_TOOLS;
        return 0;
    }
    if (json_get_once(r->doc, tool, "parameters", &parameters, r->reterr) != 0 ||
        json_get_once(r->doc, parameters, "max_uses", &max_uses, r->reterr) != 0)
        return -1;
    if (strstr(type, "search") != NULL)
        chat_add_searches(r, max_uses);
    return chat_add_server_tool(r, type);
}
