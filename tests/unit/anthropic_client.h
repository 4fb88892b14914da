/* A client of Anthropic's protocol of the plainest kind, built on json-c: it holds a stream to the
 * event grammar, and what it makes of a stream or of a body is compared with what was told.  Fails
 * the test on anything a client stumbles over. */
#ifndef TESTS_UNIT_ANTHROPIC_CLIENT_H
#define TESTS_UNIT_ANTHROPIC_CLIENT_H

#include "schema/reply.h"

struct anthropic_client {
    const char *file; /* for messages */
    struct buf text, thinking;
    struct buf calls; /* a line for each: id, name, arguments as json-c writes them */
    char stop[40];
    int64_t input_tok, output_tok;
    bool begun, ended, failed;
    /* Of a stream: the block that is open; arguments that are no whole object. */
    bool open, cut;
    int n_blocks;
    char kind[40];
    struct buf arguments;
};

void anthropic_client_init(struct anthropic_client *c, const char *file);
void anthropic_client_done(struct anthropic_client *c);
/* Every event of a stream, NUL behind it. */
void anthropic_client_stream(struct anthropic_client *c, const char *text);
void anthropic_client_body(struct anthropic_client *c, const char *text);
/* With a whole answer that came to its end. */
void anthropic_client_compare(const struct anthropic_client *seen, const struct reply_whole *told);

#endif
