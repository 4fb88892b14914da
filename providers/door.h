/* The client's side of a protocol: reads its request into a dialog, writes an answer that came in
 * another protocol.  One const struct door for each enum chat_door that clients speak, in
 * providers/<protocol>_door.c.  Pure. */
#ifndef PROVIDERS_DOOR_H
#define PROVIDERS_DOOR_H

#include "schema/chat.h"
#include "schema/dialog.h"
#include "schema/err.h"
#include "schema/reply.h"

/* What an answer says beside its content; borrowed, lives as long as the writer.  The caller may
 * change cost_usd between events: it is read when usage is written. */
struct door_answer {
    bool stream;
    bool include_usage;        /* OpenAI: the usage chunk */
    bool hide_thinking;        /* the client wants none of it (dialog.reasoning.hidden) */
    const char *generation_id; /* "gen_...": the answer's id where the provider gave none */
    const char *model;         /* the catalog's id */
    int64_t created_s;         /* where the provider gave none */
    bool report;               /* the three below go into the body */
    const char *provider;      /* slug */
    const char *cost_usd;      /* plain decimal; NULL = not known yet */
};

struct door_writer;

struct door {
    enum chat_door id;
    /* A keep-alive between two events of a stream. */
    const char *keep_alive;

    /* The whole request, already parsed and measured (schema/chat.h: what is checked there is not
     * checked again). 0, or -1 with reterr naming the field. */
    int (*read)(const struct chat *chat, struct dialog *ret, struct fail *reterr);

    /* The answer.  open: NULL when memory is short.  write appends to out what this event leads to:
     * in a stream whole SSE events, else nothing until REPLY_END, then the whole body.  false: over
     * a limit or short of memory, the answer is broken. */
    struct door_writer *(*open)(const struct door_answer *answer);
    bool (*write)(struct door_writer *w, const struct reply *r, struct buf *out);
    void (*close)(struct door_writer *w);
};

extern const struct door door_anthropic, door_openai;
/* Never NULL; id must be a client's door. */
const struct door *door_find(enum chat_door id);

#endif
