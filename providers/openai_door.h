/* The parts of OpenAI's door that its files share.  Not for others. */
#ifndef PROVIDERS_OPENAI_DOOR_H
#define PROVIDERS_OPENAI_DOOR_H

#include "providers/door.h"

/* A request while it is read.  The first refusal is kept; after it nothing is read any more, so
 * that readers look at `refused` once, at the end. */
struct openai_body {
    const struct json_doc *doc;
    struct dialog *d;
    struct fail *reterr;
    bool refused;
    struct json_doc arguments;                 /* of a tool call: JSON inside of a string */
    struct buf piece;                          /* of a value that is put together */
    int n_old_calls;                           /* function_call, which has no id */
    const struct dialog_block *old_call;       /* the last of these */
    const struct dialog_message *results_turn; /* the last turn that begins with results of tools */
    struct dialog_block *last_result;          /* the last of these */
    struct dialog_block spare;                 /* written to when memory is short */
};

#define DOOR_KIND(k) (1u << JSON_##k)
#define DOOR_BOOL (DOOR_KIND(TRUE) | DOOR_KIND(FALSE))

/* ---- openai_door_read.c: members ---- */

void openai_body_refuse(struct openai_body *b, json_ref v, const char *accepts);
/* "<object's path>.<name> is required: <accepts>" */
void openai_body_missing(struct openai_body *b, json_ref object, const char *name,
                         const char *accepts);
/* A member; JSON_NONE when it is absent or null.  kinds: bits, others are refused. */
json_ref openai_body_get(struct openai_body *b, json_ref object, const char *name, unsigned kinds,
                         const char *accepts);
/* A string's value. */
struct span openai_body_value(struct openai_body *b, json_ref string);
/* A member that is a string; empty when it is absent or null. */
struct span openai_body_text(struct openai_body *b, json_ref object, const char *name);
enum tristate openai_body_truth(struct openai_body *b, json_ref object, const char *name);
enum cache_mark openai_body_cache(struct openai_body *b, json_ref object);
/* The first entry of a list that may be JSON_NONE; none after a refusal. */
json_ref openai_body_first(const struct openai_body *b, json_ref list);
/* piece, kept. */
struct span openai_body_keep(struct openai_body *b);

/* ---- openai_door_messages.c ---- */

void openai_body_messages(struct openai_body *b);

/* ---- openai_door_parts.c ---- */

/* Where blocks go: a list, or (NULL) the turn of that role and name, begun by its first block. */
struct openai_place {
    struct dialog_blocks *list;
    enum dialog_role role;
    struct span name;
};

/* Never NULL. */
struct dialog_block *openai_body_add(struct openai_body *b, const struct openai_place *place,
                                     enum dialog_kind kind);
/* The block that was added last, or NULL. */
struct dialog_block *openai_body_last(const struct openai_body *b,
                                      const struct openai_place *place);
/* Puts the object's cache_control on the last block, where one came behind `before`. */
void openai_body_mark(struct openai_body *b, const struct openai_place *place,
                      const struct dialog_block *before, json_ref object);
/* A message's content: a string, parts, or nothing. */
void openai_body_content(struct openai_body *b, const struct openai_place *place, json_ref content);

/* ---- openai_door_thinking.c ---- */

/* Thinking that came from a server of this protocol: its maker's own signature, or none. */
#define OPENAI_DOOR_SIGNATURE THINKING_FOREIGN "openai:"

/* What the model thought before an assistant's message. */
void openai_body_thinking(struct openai_body *b, const struct openai_place *place,
                          json_ref message);
/* Thinking without a signature; empty text says nothing. */
void openai_body_unsigned(struct openai_body *b, const struct openai_place *place,
                          struct span text);

/* ---- openai_door_read.c, openai_door_write.c: the door's functions ---- */

int openai_door_read(const struct chat *chat, struct dialog *ret, struct fail *reterr);
struct door_writer *openai_door_open(const struct door_answer *answer);
bool openai_door_write(struct door_writer *w, const struct reply *r, struct buf *out);
void openai_door_close(struct door_writer *w);

#endif
