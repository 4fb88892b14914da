/* Shared by the unit tests of catalog files: one file is read, and what was told of it kept. */
#ifndef TESTS_UNIT_CATALOG_CASE_H
#define TESTS_UNIT_CATALOG_CASE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/catalog_file.h"

enum { NOTES_MAX = 64, NOTE_MAX = 256 };

/* What the reader told, "path|reason" with a leading '-' when refused. */
struct notes {
    int n;
    char line[NOTES_MAX][NOTE_MAX];
};

static struct notes notes;
static struct fail why;

static inline void take_note(void *ctx, const struct catalog_note *n)
{
    struct notes *all = ctx;
    if (all->n < NOTES_MAX)
        snprintf(all->line[all->n++], NOTE_MAX, "%s%s|%s", n->refused ? "-" : "", n->path,
                 n->reason);
}

static inline struct catalog *read_span(struct span text, enum catalog_format format)
{
    struct catalog_builder *b = catalog_builder_new();
    struct catalog *c = NULL;
    notes.n = 0;
    why = (struct fail){.code = ERR_OK};
    if (catalog_file_read(text, format, b, take_note, &notes, &why) == 0)
        c = catalog_freeze(b, 1, NULL, NULL);
    catalog_builder_free(b);
    return c;
}

static inline struct catalog *read_text(const char *text, enum catalog_format format)
{
    struct catalog *c = read_span(span_of(text), format);
    ck_assert_msg(c != NULL, "%s", why.text);
    return c;
}

static inline const struct endpoint *only_endpoint(const struct catalog *c)
{
    ck_assert_int_eq(c->n_endpoints, 1);
    return &c->endpoints[0];
}

static inline bool noted(const char *start, const char *part)
{
    for (int i = 0; i < notes.n; i++) {
        if (strncmp(notes.line[i], start, strlen(start)) == 0 &&
            strstr(notes.line[i], part) != NULL)
            return true;
    }
    return false;
}

#endif
