/* A list of what was read; there are as many rows as the catalog names files. */
#define _GNU_SOURCE
#include "server/secrets.h"

#include <stdlib.h>

#include "server/log.h"

struct file {
    struct file *next;
    char *path, *text; /* text: as it was read last */
    bool wanted;       /* asked for in this load */
};

struct secrets {
    struct tokens *tokens;
    struct file *files;
};

struct secrets *secrets_new(struct tokens *tokens)
{
    struct secrets *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->tokens = tokens;
    }
    return s;
}

static void free_text(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

static void free_file(struct file *f)
{
    free_text(f->text);
    free(f->path);
    free(f);
}

void secrets_free(struct secrets *s)
{
    while (s != NULL && s->files != NULL) {
        struct file *f = s->files;
        s->files = f->next;
        free_file(f);
    }
    free(s);
}

/* ---- looking up ---- */

static struct file *file_at(struct secrets *s, const char *path)
{
    struct file *f = s->files;
    while (f != NULL && strcmp(f->path, path) != 0) {
        f = f->next;
    }
    return f;
}

static struct file *new_file(struct secrets *s, const char *path)
{
    struct file *f = calloc(1, sizeof *f);
    if (f == NULL || (f->path = strdup(path)) == NULL) {
        free(f);
        return NULL;
    }
    f->next = s->files;
    s->files = f;
    return f;
}

/* Without memory for it a file is only not remembered. */
static void remember(struct secrets *s, struct file *f, const char *path, const char *text)
{
    if (f == NULL) {
        f = new_file(s, path);
    }
    if (f == NULL) {
        return;
    }
    f->wanted = true;
    if (f->text == NULL || strcmp(f->text, text) != 0) {
        free_text(f->text);
        f->text = strdup(text);
    }
}

static struct secret read_file(struct secrets *s, const char *path)
{
    struct secret now = catalog_secret_from_system(NULL, CREDENTIAL_FILE, path);
    struct file *f = file_at(s, path);
    if (now.text != NULL) {
        remember(s, f, path, now.text);
    } else if (f != NULL) {
        f->wanted = true;
        now.text = f->text;
    }
    return now;
}

struct secret secrets_look_up(void *ctx, enum credential_kind kind, const char *ref)
{
    struct secrets *s = ctx;
    struct secret found =
        kind == CREDENTIAL_FILE ? read_file(s, ref) : catalog_secret_from_system(NULL, kind, ref);
    return tokens_exchange(s->tokens, found);
}

void secrets_begin_load(struct secrets *s)
{
    tokens_begin_load(s->tokens);
    for (struct file *f = s->files; f != NULL; f = f->next) {
        f->wanted = false;
    }
}

void secrets_end_load(struct secrets *s)
{
    tokens_end_load(s->tokens);
    for (struct file **at = &s->files; *at != NULL;) {
        struct file *f = *at;
        if (f->wanted) {
            at = &f->next;
        } else {
            *at = f->next;
            free_file(f);
        }
    }
}

/* ---- telling ---- */

static bool is_known(const struct catalog *before, const struct provider_row *p,
                     const struct credential *c)
{
    const struct provider_row *old =
        before != NULL ? catalog_provider(before, span_of(p->slug)) : NULL;
    for (int i = 0; old != NULL && i < old->n_credentials; i++) {
        const struct credential *o = &old->credentials[i];
        if (o->kind == c->kind && o->fault != NULL && strcmp(o->ref, c->ref) == 0 &&
            strcmp(o->fault, c->fault) == 0) {
            return true;
        }
    }
    return false;
}

static void say_file(const struct provider_row *p, const struct credential *c)
{
    if (c->secret != NULL || c->why != NULL) { /* why: of a service account, read before */
        log_fault(LOG_ERROR, "a credential file cannot be read, its last secret stays", c->fault,
                  "provider=%s", p->slug);
    } else {
        log_fault(LOG_WARN, "a credential file cannot be read", c->fault, "provider=%s", p->slug);
    }
}

static int count_faults(const struct catalog *c, enum credential_kind kind)
{
    int n = 0;
    for (int i = 0; c != NULL && i < c->n_providers; i++) {
        for (int k = 0; k < c->providers[i].n_credentials; k++) {
            const struct credential *cred = &c->providers[i].credentials[k];
            n += cred->kind == kind && cred->fault != NULL;
        }
    }
    return n;
}

int secrets_say(const struct catalog *now, const struct catalog *before, bool again)
{
    for (int i = 0; i < now->n_providers; i++) {
        const struct provider_row *p = &now->providers[i];
        for (int k = 0; k < p->n_credentials; k++) {
            const struct credential *c = &p->credentials[k];
            if (c->kind == CREDENTIAL_FILE && c->fault != NULL &&
                (again || !is_known(before, p, c))) {
                say_file(p, c);
            }
        }
    }
    int unset = count_faults(now, CREDENTIAL_ENV);
    if (unset > 0 && unset != count_faults(before, CREDENTIAL_ENV)) {
        log_line(LOG_INFO,
                 "msg=\"credentials whose variable is not set: "
                 "'wayfare catalog list --json' names them\" n=%d",
                 unset);
    }
    return count_faults(now, CREDENTIAL_FILE);
}
