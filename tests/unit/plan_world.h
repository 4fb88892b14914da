/* Catalogs and requests for plan tests, written as lines of text: the language of
 * tests/table/plan (described at the head of basic.txt there). */
#ifndef TESTS_UNIT_PLAN_WORLD_H
#define TESTS_UNIT_PLAN_WORLD_H

#include "router/plan.h"

/* A catalog under construction, then frozen. */
struct world {
    struct catalog_builder *builder;
    struct catalog *catalog;
    struct endpoint_spec pending; /* waits for its tier lines */
    bool has_pending;
    char provider[64], variant[64], speed[64], geo[64];
    char server_tools[CATALOG_SERVER_TOOLS_MAX][32];
    int64_t next_id;
};

void world_begin(struct world *w);
/* Takes a line of the catalog part; fails the test on one it does not know. */
void world_line(struct world *w, const char *line);
void world_freeze(struct world *w);
void plan_world_end(struct world *w);
struct world world_from_text(const char *text);

enum { ASK_NAMES_MAX = 8, ASK_TEXT_MAX = 2048 };

/* A request, and what the plan is told about the endpoints. */
struct ask {
    const struct catalog *catalog;
    struct chat chat;
    struct policy policy;
    const char *lists[3][ASK_NAMES_MAX + 1];
    char list_text[3][256];
    char prefs_text[ASK_TEXT_MAX]; /* flat form, "" = none */
    struct health_view *health;    /* by endpoint */
    struct estimate_cache *cached;
    struct estimate_expected *learned; /* by model */
    struct plan_inputs in;
};

void ask_begin(struct ask *a, const struct catalog *catalog);
/* true when the line is one of a request's. */
bool ask_line(struct ask *a, const char *line);
/* Reads prefs_text into chat.prefs, in the flat or in OpenRouter's nested spelling. */
void ask_read_prefs(struct ask *a, bool nested);
void ask_end(struct ask *a);

/* Does "slug" or "model@slug" name this endpoint? */
bool names_endpoint(const char *word, const struct endpoint *e);
/* The next word of a line, up to a blank; false at the end. */
bool next_word(const char **line, char *word, size_t cap);

#endif
