/* Reading catalog files of four formats into one description, and writing ours.
 *
 *   wayfare     docs/api.md "The catalog file"; strict, unknown members refused
 *   litellm     model_prices_and_context_window.json (USD per token)
 *   models.dev  api.json (USD per million tokens)
 *   openrouter  /models or /endpoints listings (decimal strings per token)
 *
 * Foreign files are lenient per entry: an entry that cannot be used is refused with a
 * reason and the rest goes on.  A wayfare file is all or nothing. */
#ifndef ROUTER_CATALOG_FILE_H
#define ROUTER_CATALOG_FILE_H

#include "router/catalog.h"

enum catalog_format { CATALOG_WAYFARE, CATALOG_LITELLM, CATALOG_MODELS_DEV, CATALOG_OPENROUTER };
bool catalog_format_parse(const char *name, enum catalog_format *ret);
/* Guesses from the shape; CATALOG_WAYFARE when nothing else fits. */
enum catalog_format catalog_format_guess(struct span text);

/* A note for a person: an entry refused or imported with a remark. */
struct catalog_note {
    const char *path;   /* e.g. "models[3].endpoints[0].pricing.prompt" or the foreign key */
    const char *reason; /* one sentence */
    bool refused;       /* false: imported, with this remark */
};
typedef void (*catalog_note_fn)(void *ctx, const struct catalog_note *note);

/* 0, or -1 with reterr: then nothing may be used. */
int catalog_file_read(struct span text, enum catalog_format format, struct catalog_builder *b,
                      catalog_note_fn note, void *ctx, struct fail *reterr);
/* Writes the wayfare format; reading it back gives an equal catalog. */
int catalog_file_write(const struct catalog *c, struct buf *out);

/* The catalog that ships with the program (wayfare format), with date and source of each
 * price in its "source" members. */
struct span catalog_builtin(void);

#endif
