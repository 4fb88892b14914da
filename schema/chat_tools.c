/* What the tools of a request ask of an endpoint. */
#include "schema/chat_reader.h"
#include "schema/json_path.h"

#define MCP_TOOLSET "mcp_toolset"

/* Tools that the provider runs: the type without its date.  Anything else, a tool of the
 * client (bash_, text_editor_, computer_, memory_) or one that does not exist yet, only
 * needs tools as such. */
static const char *const server_families[] = {"web_search_",       "web_fetch_", "code_execution_",
                                              "tool_search_tool_", "advisor_",   MCP_TOOLSET};

static bool is_of(const char *type, const char *family)
{
    return strncmp(type, family, strlen(family)) == 0;
}

static bool is_server_tool(const char *type)
{
    for (size_t i = 0; i < sizeof(server_families) / sizeof(server_families[0]); i++) {
        if (is_of(type, server_families[i]))
            return true;
    }
    return false;
}

static void note_own_tool(struct chat_reader *r, const char *type)
{
    if (r->chat->own_tool[0] == '\0')
        memcpy(r->chat->own_tool, type, strlen(type) + 1);
}

int chat_add_server_tool(struct chat_reader *r, const char *type)
{
    struct chat *c = r->chat;
    note_own_tool(r, type);
    c->needs |= NEED_SERVER_TOOLS;
    c->parts.n_hosted++;
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

/* Tools that the provider runs but web searches, which chat_add_searches counts. */
static void count_uses(struct chat_reader *r, json_ref max_uses)
{
    struct chat_parts *p = &r->chat->parts;
    int64_t n;
    if (!json_int64(r->doc, max_uses, &n) || n < 0)
        p->n_hosted_free++;
    else if (__builtin_add_overflow(p->hosted_uses, n, &p->hosted_uses))
        p->hosted_uses = INT64_MAX;
}

/* Pages are read whole where it does not say how much of them. */
static void count_fetch(struct chat_reader *r, json_ref max_content_tokens)
{
    int64_t tok, *most = &r->chat->parts.fetch_tok;
    if (!json_int64(r->doc, max_content_tokens, &tok) || tok < 0)
        *most = -1;
    else if (*most >= 0 && tok > *most)
        *most = tok;
}

/* From this version on what was found is filtered by code that the model writes and the provider
 * runs (platform.claude.com web-search-tool "dynamic filtering"): calls that no max_uses counts. */
static bool filters(const char *type)
{
    static const char since[] = "20260209";
    return (is_of(type, "web_search_") && strcmp(type + strlen("web_search_"), since) >= 0) ||
           (is_of(type, "web_fetch_") && strcmp(type + strlen("web_fetch_"), since) >= 0);
}

static int read_hosted(struct chat_reader *r, json_ref tool, const char *type)
{
    json_ref max_uses, max_content;
    if (json_get_once(r->doc, tool, "max_uses", &max_uses, r->reterr) != 0 ||
        json_get_once(r->doc, tool, "max_content_tokens", &max_content, r->reterr) != 0)
        return -1;
    if (is_of(type, "web_search_"))
        chat_add_searches(r, max_uses);
    else
        count_uses(r, max_uses);
    if (is_of(type, "web_fetch_"))
        count_fetch(r, max_content);
    r->chat->parts.n_hosted_free += filters(type);
    r->chat->parts.n_toolsets += strcmp(type, MCP_TOOLSET) == 0;
    return chat_add_server_tool(r, type);
}

static bool is_one_of(const struct chat_reader *r, json_ref v, const char *const *words, size_t n)
{
    size_t i = 0;
    while (i < n && !json_text_is(r->doc, v, words[i]))
        i++;
    return i < n;
}

/* Nothing is billed for it but the model's tokens.  Reading PDFs is, with OCR: 2 USD for 1,000
 * pages (openrouter.ai/docs/guides/overview/multimodal/pdfs). */
static int plugin_is_free(struct chat_reader *r, json_ref plugin, json_ref id, bool *ret)
{
    static const char *const free_ids[] = {"response-healing", "context-compression", "moderation"};
    static const char *const free_engines[] = {"native", "cloudflare-ai", "pdf-text"};
    json_ref pdf, engine;
    *ret = is_one_of(r, id, free_ids, sizeof(free_ids) / sizeof(free_ids[0]));
    if (!json_text_is(r->doc, id, "file-parser"))
        return 0;
    if (json_get_once(r->doc, plugin, "pdf", &pdf, r->reterr) != 0 ||
        json_get_once(r->doc, pdf, "engine", &engine, r->reterr) != 0)
        return -1;
    *ret = engine == JSON_NONE ||
           is_one_of(r, engine, free_engines, sizeof(free_engines) / sizeof(free_engines[0]));
    return 0;
}

/* {"id": "web"}: a search before the model is asked, or as many as its own tool makes
 * (openrouter.ai/docs/features/web-search).  Any other that may cost something ("fusion" asks a
 * panel of other models) is a tool that the provider runs, too: an endpoint must list it. */
static int read_plugin(struct chat_reader *r, json_ref plugin)
{
    static const char suffix[] = "_plugin";
    char tool[CHAT_TOOL_TYPE_MAX];
    json_ref id, enabled;
    bool on = true, is_free = false;
    if (json_get_once(r->doc, plugin, "id", &id, r->reterr) != 0 ||
        json_get_once(r->doc, plugin, "enabled", &enabled, r->reterr) != 0 ||
        plugin_is_free(r, plugin, id, &is_free) != 0)
        return -1;
    json_truth(r->doc, enabled, &on);
    if (!on || is_free || id == JSON_NONE || json_kind(r->doc, id) != JSON_STRING)
        return 0;
    if (json_text_is(r->doc, id, "web")) {
        r->chat->web_plugin = true;
        chat_add_searches(r, JSON_NONE);
        return chat_add_server_tool(r, "web_search_plugin");
    }
    if (!json_text_fixed(r->doc, id, tool, sizeof(tool) - sizeof(suffix) + 1))
        return json_refuse(r->doc, id, "the id of a plugin, a string of at most 56 bytes",
                           r->reterr);
    memcpy(tool + strlen(tool), suffix, sizeof(suffix));
    r->chat->parts.n_hosted_free++;
    return chat_add_server_tool(r, tool);
}

int chat_read_plugins(struct chat_reader *r, json_ref plugins)
{
    if (plugins == JSON_NONE || json_kind(r->doc, plugins) != JSON_ARRAY)
        return 0;
    for (json_ref p = json_first(r->doc, plugins); p != JSON_NONE; p = json_next(r->doc, p)) {
        if (json_kind(r->doc, p) == JSON_OBJECT && read_plugin(r, p) != 0)
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
    if (read_type(r, tool, type) != 0)
        return -1;
    r->chat->parts.n_tools++;
    if (is_server_tool(type))
        return read_hosted(r, tool, type);
    r->chat->needs |= NEED_TOOLS;
    if (type[0] != '\0' && strcmp(type, "custom") != 0) {
        if (strcmp(type, "function") != 0) /* the other door's, in a body for a dry run */
            note_own_tool(r, type);
        r->chat->parts.n_known_tools++;
    }
    return 0;
}

int chat_add_mcp_servers(struct chat_reader *r, json_ref servers)
{
    struct chat_parts *p = &r->chat->parts;
    int n = 0;
    for (json_ref s = servers != JSON_NONE ? json_first(r->doc, servers) : JSON_NONE;
         s != JSON_NONE; s = json_next(r->doc, s))
        n++;
    for (; p->n_toolsets < n; p->n_toolsets++) {
        p->n_hosted_free++;
        if (chat_add_server_tool(r, MCP_TOOLSET) != 0)
            return -1;
    }
    return 0;
}

/* Two types are the client's to run, a custom one in OpenAI's protocol alone.  Every other one is a
 * provider's own ("browser_search", "openrouter:web_search"): an endpoint must list it. */
int chat_read_openai_tool(struct chat_reader *r, json_ref tool)
{
    char type[CHAT_TOOL_TYPE_MAX];
    json_ref parameters, max_uses;
    if (read_type(r, tool, type) != 0)
        return -1;
    r->chat->parts.n_tools++;
    if (type[0] == '\0' || strcmp(type, "function") == 0 || strcmp(type, "custom") == 0) {
        r->chat->needs |= NEED_TOOLS;
        if (strcmp(type, "custom") == 0)
            note_own_tool(r, type);
        return 0;
    }
    if (json_get_once(r->doc, tool, "parameters", &parameters, r->reterr) != 0 ||
        json_get_once(r->doc, parameters, "max_uses", &max_uses, r->reterr) != 0)
        return -1;
    if (strstr(type, "search") != NULL)
        chat_add_searches(r, max_uses);
    else
        count_uses(r, max_uses);
    return chat_add_server_tool(r, type);
}
