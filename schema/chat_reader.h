/* What the files that read a chat request share.  Not for others. */
#ifndef SCHEMA_CHAT_READER_H
#define SCHEMA_CHAT_READER_H

#include "schema/chat.h"

/* A hash of bytes as they come; how they are cut into pieces makes no difference. */
struct digest {
    uint64_t state;
    uint64_t total;
    unsigned char part[8];
};

void digest_add(struct digest *d, struct span s);
uint64_t digest_value(const struct digest *d);

struct chat_reader {
    struct chat *chat;
    const struct json_doc *doc;
    struct fail *reterr;
    struct digest digest;                       /* of the prompt so far */
    bool marked;                                /* the current block carries cache_control */
    bool one_hour;                              /* with ttl "1h" */
    uint32_t n_ends;                            /* of blocks so far */
    struct chat_prefix ends[CHAT_LOOKBACK_MAX]; /* the last ones, as a ring */
};

/* chat.c: independent of the door. */

/* Empties chat for a new request; keeps its memory. */
void chat_begin(struct chat *c, enum chat_door door, const struct json_doc *doc);
/* model is required; models may be JSON_NONE. */
int chat_read_models(struct chat_reader *r, json_ref model, json_ref models);
/* Routing fields and the cuts that take them out. */
int chat_read_routing(struct chat_reader *r);
/* Remembers the id of state that one provider holds; the first one counts. */
int chat_pin(struct chat_reader *r, json_ref id, const char *field);

/* chat_prompt.c: tools, system and messages of an Anthropic body, in prompt order.
 * system and tools may be JSON_NONE. cache_control: the top-level one, or JSON_NONE. */
int chat_read_prompt(struct chat_reader *r, json_ref tools, json_ref system, json_ref messages,
                     json_ref cache_control);
/* chat_tools.c: what one tool needs.  Its size is counted by chat_prompt.c. */
int chat_read_tool(struct chat_reader *r, json_ref tool);
int chat_add_server_tool(struct chat_reader *r, const char *type);

#endif
