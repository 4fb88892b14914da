/* Writing of Messages answers: one description, two forms (a JSON body or an event
 * stream) with the same content. */
#ifndef SIM_ANTHROPIC_WRITE_H
#define SIM_ANTHROPIC_WRITE_H

#include "sim/answer.h"
#include "sim/sim.h"

enum {
    REPLY_TOKENS_DEFAULT = 32,
    REPLY_TOKENS_MAX = 1000000,
    REPLY_SEARCHES_SHOWN_MAX = 8,
    REPLY_TOOL_INPUT_MAX = 64 * 1024
};

/* What is to be answered; borrows everything for the time of the writing. */
struct reply {
    struct sim *sim;
    struct answer *answer;
    const struct script *script;
    uint64_t seq;      /* makes the ids */
    struct span model; /* echoed */
    bool stream;
    bool thinking;
    bool thinking_omitted; /* the block has a signature and no text */
    bool tool;
    struct span tool_name; /* between the quotes, as written in the request */
    json_ref tool_schema;  /* of sim->doc, may be JSON_NONE */
    int64_t think_tok, text_tok, tool_tok;
    const char *stop_reason;
    struct bill bill;
};

/* Appends the body to answer->body, with marks. */
void reply_write(struct reply *r);
void reply_write_error_event(struct answer *a, const struct script *s);
/* "overloaded_error" for 529, ... */
const char *anthropic_error_type(int status);
void anthropic_write_error(struct buf *out, struct span type, struct span message, uint64_t seq);
void anthropic_write_id(struct buf *out, const char *prefix, uint64_t seq);

#endif
