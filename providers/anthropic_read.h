/* What the files of the Anthropic door share that read a request into a dialog. */
#ifndef PROVIDERS_ANTHROPIC_READ_H
#define PROVIDERS_ANTHROPIC_READ_H

#include "schema/chat.h"
#include "schema/dialog.h"

struct anthropic_body {
    const struct json_doc *doc;
    struct dialog *d;
    struct fail *reterr;
    const struct chat *chat;
};

#define KIND(k) (1u << JSON_##k)
#define KIND_BOOL (KIND(TRUE) | KIND(FALSE))

/* Members of an object.  Each is -1 with the reason set when it is given twice or of another kind;
 * absent and null are JSON_NONE, an empty span, false. */
int anthropic_member(struct anthropic_body *b, json_ref object, const char *name, unsigned kinds,
                     const char *accepts, json_ref *ret);
int anthropic_string(struct anthropic_body *b, json_ref object, const char *name, struct span *ret);
int anthropic_truth(struct anthropic_body *b, json_ref object, const char *name, bool *ret);
int anthropic_cache(struct anthropic_body *b, json_ref object, enum cache_mark *ret);
/* -1: it must be there. */
int anthropic_need_string(struct anthropic_body *b, json_ref object, const char *name,
                          struct span *ret);
int anthropic_missing(struct anthropic_body *b, json_ref object, const char *name,
                      const char *accepts);
/* A string's own value; -1 for a lone surrogate, which no provider could be told. */
int anthropic_value(struct anthropic_body *b, json_ref string, struct span *ret);

/* The first member of an array that may be absent. */
json_ref anthropic_first(const struct anthropic_body *b, json_ref list);

/* anthropic_blocks.c: the two parts of a prompt that are made of blocks. */
int anthropic_read_system(struct anthropic_body *b, json_ref system);
int anthropic_read_messages(struct anthropic_body *b, json_ref messages);

/* The whole body. */
int anthropic_read(const struct chat *chat, struct dialog *ret, struct fail *reterr);

#endif
