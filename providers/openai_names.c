/* Names of tools.  OpenAI takes 64 bytes
 * (platform.openai.com/docs/api-reference/chat/create#tools), Anthropic's clients may use 128. */
#include <stdio.h>

#include "providers/openai.h"

enum { NAME_MAX = 64, NAME_KEPT = NAME_MAX - 17 /* and "_" and a hash */ };

/* A name that is too long, in the form in which it is sent; always the same one. */
static struct span shorten(struct span name, char out[NAME_MAX + 1])
{
    unsigned long long hash = fnv_add(FNV_SEED, name);
    int n = snprintf(out, NAME_MAX + 1, "%.*s_%016llx", (int)NAME_KEPT, name.ptr, hash);
    return (struct span){out, (size_t)n};
}

bool openai_has_long_name(const struct dialog *request)
{
    const struct dialog_tool *t = request->first_tool;
    while (t != NULL && t->name.len <= NAME_MAX)
        t = t->next;
    return t != NULL;
}

void openai_put_name(struct openai_writing *w, const char *key, struct span name)
{
    char made[NAME_MAX + 1];
    json_put_string(&w->out, key, name.len > NAME_MAX ? shorten(name, made) : name);
}

struct span openai_find_name(const struct dialog *request, struct span name)
{
    char made[NAME_MAX + 1];
    if (request == NULL || name.len != NAME_MAX)
        return name;
    for (const struct dialog_tool *t = request->first_tool; t != NULL; t = t->next) {
        if (t->name.len > NAME_MAX && span_eq(shorten(t->name, made), name))
            return t->name;
    }
    return name;
}
