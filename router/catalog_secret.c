/* The operator's secrets: environment and files. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/catalog.h"

enum { SECRET_MAX = 64 * 1024, NAME_LEN_MAX = 256, FAULT_TEXT_MAX = 512 };

static _Thread_local char secret[SECRET_MAX], fault[FAULT_TEXT_MAX];

static struct secret unusable(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct secret unusable(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault, sizeof fault, fmt, args);
    va_end(args);
    return (struct secret){.fault = fault};
}

static struct secret from_file(const char *path)
{
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return unusable("%s: %s", path, strerror(errno));
    size_t n = fread(secret, 1, sizeof secret, in);
    int failed = ferror(in) ? errno : 0;
    fclose(in);
    if (failed != 0)
        return unusable("%s: %s", path, strerror(failed));
    /* Cut off it would be a wrong secret. */
    if (n == sizeof secret)
        return unusable("%s is too long for a secret (%d bytes)", path, SECRET_MAX - 1);
    if (memchr(secret, '\0', n) != NULL)
        return unusable("%s holds a NUL byte", path);
    while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
        n--;
    secret[n] = '\0';
    return n > 0 ? (struct secret){.text = secret} : unusable("%s is empty", path);
}

/* The value of the name at *names, up to a colon. */
static struct secret next_value(const char **names)
{
    char name[NAME_LEN_MAX + 1];
    size_t n = strcspn(*names, ":");
    snprintf(name, sizeof name, "%.*s", (int)n, *names);
    *names += n + ((*names)[n] == ':');
    const char *value = n < sizeof name ? getenv(name) : NULL;
    if (value == NULL)
        return unusable("variable %s is not set", name);
    return value[0] != '\0' ? (struct secret){.text = value}
                            : unusable("variable %s is empty", name);
}

/* "A:B:C": the values of these variables with colons between them, as access keys of AWS are
 * written (ID, secret, token of a session).  Both of the first two must be set, what follows may be
 * missing: only the keys of a session have a token. */
static struct secret from_environment(const char *names)
{
    if (strchr(names, ':') == NULL)
        return next_value(&names);
    size_t len = 0;
    for (int i = 0; *names != '\0'; i++) {
        struct secret value = next_value(&names);
        if (value.text == NULL && i < 2)
            return value;
        if (value.text == NULL)
            break;
        int n = snprintf(secret + len, sizeof secret - len, "%s%s", i > 0 ? ":" : "", value.text);
        len += (size_t)n;
        if (len >= sizeof secret)
            return unusable("the variables are too long for a secret (%d bytes)", SECRET_MAX - 1);
    }
    return (struct secret){.text = secret};
}

struct secret catalog_secret_from_system(void *ctx, enum credential_kind kind, const char *ref)
{
    (void)ctx;
    switch (kind) {
    case CREDENTIAL_ENV:
        return from_environment(ref);
    case CREDENTIAL_FILE:
        return from_file(ref);
    case CREDENTIAL_NONE:
        break;
    }
    return (struct secret){.text = NULL};
}

const struct credential *provider_credential(const struct provider_row *p, unsigned from)
{
    for (int i = 0; i < p->n_credentials; i++) {
        const struct credential *c =
            &p->credentials[(from + (unsigned)i) % (unsigned)p->n_credentials];
        if (c->kind == CREDENTIAL_NONE || c->secret != NULL)
            return c;
    }
    return NULL;
}
