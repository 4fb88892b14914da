/* The operator's secrets: environment and files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/catalog.h"

enum { SECRET_MAX = 64 * 1024, NAME_LEN_MAX = 256 };

static _Thread_local char secret[SECRET_MAX];

static const char *from_file(const char *path)
{
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return NULL;
    size_t n = fread(secret, 1, sizeof secret, in);
    fclose(in);
    /* Cut off it would be a wrong secret. */
    if (n == sizeof secret || memchr(secret, '\0', n) != NULL)
        return NULL;
    while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
        n--;
    secret[n] = '\0';
    return n > 0 ? secret : NULL;
}

/* The value of the name at *names, up to a colon; NULL: not set. */
static const char *next_value(const char **names)
{
    char name[NAME_LEN_MAX];
    size_t n = strcspn(*names, ":");
    snprintf(name, sizeof name, "%.*s", (int)n, *names);
    *names += n + ((*names)[n] == ':');
    const char *value = n < sizeof name ? getenv(name) : NULL;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* "A:B:C": the values of these variables with colons between them, as access keys of AWS are
 * written (ID, secret, token of a session).  Both of the first two must be set, what follows may be
 * missing: only the keys of a session have a token. */
static const char *from_environment(const char *names)
{
    if (strchr(names, ':') == NULL)
        return getenv(names);
    size_t len = 0;
    for (int i = 0; *names != '\0'; i++) {
        const char *value = next_value(&names);
        if (value == NULL && i < 2)
            return NULL;
        if (value == NULL)
            break;
        int n = snprintf(secret + len, sizeof secret - len, "%s%s", i > 0 ? ":" : "", value);
        len += (size_t)n;
        if (len >= sizeof secret)
            return NULL;
    }
    return secret;
}

struct secret catalog_secret_from_system(void *ctx, enum credential_kind kind, const char *ref)
{
    struct secret s = {.text = NULL};
    (void)ctx;
    switch (kind) {
    case CREDENTIAL_ENV:
        s.text = from_environment(ref);
        break;
    case CREDENTIAL_FILE:
        s.text = from_file(ref);
        break;
    case CREDENTIAL_NONE:
        break;
    }
    return s;
}
