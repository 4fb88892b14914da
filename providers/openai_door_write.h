/* What the two forms of an answer share: openai_door_write.c (a stream), openai_door_body.c. */
#ifndef PROVIDERS_OPENAI_DOOR_WRITE_H
#define PROVIDERS_OPENAI_DOOR_WRITE_H

#include "providers/openai_door.h"
#include "providers/provider.h"
#include "schema/json_out.h"

struct door_writer {
    const struct door_answer *answer;
    struct reply_whole whole; /* of a stream: all but its content */
    struct buf head;          /* what every chunk begins with; empty until the first */
    struct buf notes;         /* citations of the open text, without their ends, each with a NUL */
    struct buf tool_id;
    int n_calls, n_thoughts;
    int64_t text_chars; /* of `content` so far */
    int64_t block_at;   /* where the open text begins in it */
    bool has_arguments; /* the open tool call */
    bool refused;       /* some block is a refusal */
};

/* id, object, created, model, provider */
void openai_answer_head(struct json_out *o, const struct door_writer *w, const char *object);
const char *openai_answer_finish(const struct door_writer *w);
void openai_answer_usage(struct json_out *o, const struct door_writer *w);
/* Entries of reasoning_details.  text, signature: where there are some. */
void openai_answer_thought(struct json_out *o, int64_t index, struct span text,
                           struct span signature);
void openai_answer_redacted(struct json_out *o, int64_t index, struct span data);
/* A url_citation, in two halves.  Indexes count characters of `content`. */
void openai_answer_open_citation(struct json_out *o, const struct reply_citation *c);
void openai_answer_close_citation(struct json_out *o, int64_t start, int64_t end);
void openai_answer_image(struct json_out *o, const struct dialog_media *media);
/* The id, with the call's signature in it; lives until the next one. */
struct span openai_answer_signed_id(struct door_writer *w, struct span id, struct span signature);
int64_t openai_answer_chars(struct span text);

/* openai_door_body.c: the whole body, from what was gathered. */
void openai_answer_body(struct door_writer *w, struct buf *out);

#endif
