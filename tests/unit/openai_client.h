/* A client of OpenAI's protocol of the plainest kind, built on json-c: what it makes of a stream or
 * of a body is compared with what was told.  Fails the test on anything a client stumbles over. */
#ifndef TESTS_UNIT_OPENAI_CLIENT_H
#define TESTS_UNIT_OPENAI_CLIENT_H

#include "schema/reply.h"

enum { OPENAI_CALLS_MAX = 64 };

struct openai_client {
    char id[128], finish[32];
    struct buf content, reasoning, details_text, refusal, images, annotations;
    struct buf signatures; /* each ended by a line end */
    int n_calls;
    struct {
        struct buf id, name, arguments;
    } calls[OPENAI_CALLS_MAX];
    int64_t prompt_tok, completion_tok;
    bool has_usage, done, failed;
};

void openai_client_init(struct openai_client *c);
void openai_client_done(struct openai_client *c);
/* Every event of a stream, NUL behind it. */
void openai_client_stream(struct openai_client *c, const char *text);
void openai_client_body(struct openai_client *c, const char *text);
/* With a whole answer that came to its end. */
void openai_client_compare(const struct openai_client *seen, const struct reply_whole *told,
                           const char *generation_id);

#endif
