/* Tells a reply_sink what an answer means, and keeps the grammar of schema/reply.h while doing so:
 * a block is opened when its first piece comes and closed when another begins, when the answer
 * stops or fails.  With a NULL sink nothing happens. */
#ifndef PROVIDERS_TELLER_H
#define PROVIDERS_TELLER_H

#include "schema/reply.h"

struct teller {
    const struct reply_sink *sink;
    bool started, open, stopped, over;
    enum reply_block block; /* that is open */
};

/* The rest of *start: id, model, created_s. A second start is none. */
void tell_start(struct teller *t, const struct reply *start);
/* Closes what is open.  id and name: of a tool call. */
void tell_open(struct teller *t, enum reply_block block, struct span id, struct span name);
/* The same, with all that a block can begin with. */
void tell_block(struct teller *t, const struct reply *open);
/* Opens a block of this kind where another or none is open.  Empty text says nothing. */
void tell_text(struct teller *t, enum reply_block block, struct span text);
/* Of thinking, likewise. */
void tell_signature(struct teller *t, struct span signature);
/* Of the tool call that is open; without one they are lost. */
void tell_arguments(struct teller *t, struct span json);
void tell_citation(struct teller *t, const struct reply_citation *c);
void tell_close(struct teller *t);
void tell_usage(struct teller *t, const struct usage *u, int64_t reasoning_tok);
void tell_stop(struct teller *t, enum reply_stop stop, struct span sequence);
/* Only after a stop. */
void tell_end(struct teller *t);
void tell_error(struct teller *t, const struct reply_error *e);

#endif
