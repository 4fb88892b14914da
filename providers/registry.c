/* Which adapters there are, and what a response status means for failover. */
#include "providers/door.h"
#include "providers/provider.h"

#include <assert.h>

/* clang-format off */
const struct provider *const provider_all[] = {
#define P(name) &provider_##name,
    PROVIDERS(P)
#undef P
    NULL,
};
/* clang-format on */

const struct provider *provider_find(const char *protocol)
{
    for (size_t i = 0; provider_all[i] != NULL; i++) {
        if (strcmp(provider_all[i]->protocol, protocol) == 0)
            return provider_all[i];
    }
    return NULL;
}

const struct door *door_find(enum chat_door id)
{
    static const struct door *const doors[] = {&door_anthropic, &door_openai};
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        if (doors[i]->id == id)
            return doors[i];
    }
    assert(false && "no client's door");
    return NULL;
}

/* One that stands in OpenRouter's plugins; NULL: none. */
static const char *plugin_of(const struct chat *chat)
{
    static const char suffix[] = "_plugin";
    for (int i = 0; i < chat->n_server_tools; i++) {
        const char *tool = chat->server_tools[i];
        size_t len = strlen(tool), n = sizeof(suffix) - 1;
        if (len > n && strcmp(tool + len - n, suffix) == 0)
            return tool;
    }
    return NULL;
}

const char *provider_untold_tool(const struct provider *p, const struct chat *chat,
                                 const struct provider_target *target)
{
    if (chat->own_tool[0] == '\0')
        return NULL;
    if ((p->tools_door != NULL ? p->tools_door : p->native_door)(target) != chat->door)
        return chat->own_tool;
    return p->refuses != NULL && p->refuses(chat, target) ? plugin_of(chat) : NULL;
}

/* docs/api.md "Failover"; ranges where every status of them means the same. */
static const struct {
    int first, last;
    enum up_class up_class;
} statuses[] = {
    {200, 299, UP_OK},           {300, 399, UP_BUSY},   {401, 403, UP_CREDENTIAL},
    {404, 405, UP_MISSING},      {408, 409, UP_BUSY},   {425, 425, UP_BUSY},
    {429, 429, UP_RATE_LIMITED}, {400, 499, UP_CLIENT}, {500, 599, UP_DOWN},
};

enum up_class provider_classify(int http_status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (http_status >= statuses[i].first && http_status <= statuses[i].last)
            return statuses[i].up_class;
    }
    return UP_DOWN; /* no status of HTTP */
}
