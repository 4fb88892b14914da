/* Names of functions: gemini.h.  "Must start with a letter or an underscore. Must be a-z, A-Z, 0-9,
 * or contain underscores, dots and dashes, with a maximum length of 64"
 * (docs.cloud.google.com/vertex-ai/generative-ai/docs/reference, FunctionDeclaration); Anthropic's
 * clients may use 128 bytes and begin with a digit. */
#include <stdio.h>

#include "providers/gemini.h"
#include "schema/fnv.h"

enum { HASH_LEN = 17 /* "_" and 16 digits */, KEPT = GEMINI_NAME_MAX - HASH_LEN };

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_char(char c)
{
    return begins_name(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

struct span gemini_name(struct span name, char out[GEMINI_NAME_MAX + 1])
{
    size_t n = 0;
    bool good = name.len > 0 && name.len <= GEMINI_NAME_MAX && begins_name(name.ptr[0]);
    for (size_t i = 0; good && i < name.len; i++)
        good = is_name_char(name.ptr[i]);
    if (good)
        return name;
    if (name.len == 0 || !begins_name(name.ptr[0]))
        out[n++] = '_';
    for (size_t i = 0; i < name.len && n < KEPT; i++)
        out[n++] = is_name_char(name.ptr[i]) ? name.ptr[i] : '_';
    snprintf(out + n, HASH_LEN + 1, "_%016llx", (unsigned long long)fnv_add(FNV_SEED, name));
    return (struct span){out, n + HASH_LEN};
}

struct span gemini_find_name(const struct dialog *request, struct span name)
{
    char made[GEMINI_NAME_MAX + 1];
    const struct dialog_tool *t = request != NULL ? request->first_tool : NULL;
    for (; t != NULL; t = t->next) {
        if (t->name.len > 0 && span_eq(gemini_name(t->name, made), name))
            return t->name;
    }
    return name;
}
