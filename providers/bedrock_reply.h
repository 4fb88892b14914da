/* What a Converse answer means: reply events (schema/reply.h) from the events of its stream or from
 * its whole body.
 *
 * Blocks carry an index, and pieces of several may arrive mixed.  The oldest block that is not
 * closed goes out as it comes; what arrives for others meanwhile is kept until their turn.  A block
 * has the kind of what arrives for it: Converse announces calls only, and where a model goes over
 * from thinking to text under one index there are two blocks for the client.
 *
 * What is read is the sink's alone: verdict and usage of an attempt do not depend on it. */
#ifndef PROVIDERS_BEDROCK_REPLY_H
#define PROVIDERS_BEDROCK_REPLY_H

#include "providers/provider.h"

enum {
    BEDROCK_WAITING_MAX = 256,            /* blocks that are not closed, at once */
    BEDROCK_KEPT_MAX = PROVIDER_EVENT_MAX /* bytes that wait for their turn */
};

struct bedrock_block;

struct bedrock_replies {
    const struct provider_reading *reading; /* its sink may be NULL: then nothing is done */
    struct bedrock_block *first, *last;     /* not closed, or waiting; the first one goes out */
    int n_blocks;
    size_t kept;     /* bytes in waiting blocks */
    struct buf text; /* of the event at hand, with its escapes resolved */
    bool started, stopped, over;
    bool called;    /* some tool */
    bool failed;    /* over a limit, or memory is short: the answer is broken */
    bool malformed; /* the model's output could not be read by Bedrock itself */
};

void bedrock_replies_init(struct bedrock_replies *r, const struct provider_reading *reading);
void bedrock_replies_done(struct bedrock_replies *r);

/* Events, in the order of the stream. */
void bedrock_replies_start(struct bedrock_replies *r);
/* object: the event's payload (contentBlockStart, contentBlockDelta, contentBlockStop). */
void bedrock_replies_block_start(struct bedrock_replies *r, const struct json_doc *doc,
                                 json_ref object);
void bedrock_replies_block_delta(struct bedrock_replies *r, const struct json_doc *doc,
                                 json_ref object);
void bedrock_replies_block_stop(struct bedrock_replies *r, const struct json_doc *doc,
                                json_ref object);
void bedrock_replies_stop(struct bedrock_replies *r, const struct json_doc *doc, json_ref object);
void bedrock_replies_usage(struct bedrock_replies *r, const struct usage *usage);
void bedrock_replies_end(struct bedrock_replies *r);
void bedrock_replies_error(struct bedrock_replies *r, struct span type, struct span message);
/* All of it. */
void bedrock_replies_body(struct bedrock_replies *r, const struct json_doc *doc,
                          const struct usage *usage);

/* The error of an exception's name ("throttlingException"), and of a body. */
void bedrock_set_error(struct reply_error *e, struct span type, struct span message);

#endif
