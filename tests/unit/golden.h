/* Golden answers of providers, replayed through their adapter: tests/golden/<protocol>/NAME.sse
 * (a stream), NAME.bin (a binary stream) or NAME.json (a whole body), each with NAME.expect, a line
 * per fact:
 *
 *   verdict complete|truncated|error|foreign
 *   events LETTERS            S start, C content, U usage, X stop, E error, O other   (streams)
 *   content_bytes N                                                                   (streams)
 *   error_body yes|no                                                                 (bodies)
 *   unfinished                the verdict is complete, the usage stated is not final
 *   input|output|cache_read|cache_write_5m|cache_write_1h|web_searches N
 *   unclear BUCKET            something is stated of it that is no count
 *   terms [speed=WORD] [geo=WORD] [tier=WORD]     where any is stated
 *   iteration MODEL|- BUCKET=N ...     (blanks in MODEL written as _)
 *   reply ...                 the answer's meaning, as golden_print_reply writes it
 *
 * A bucket that is not listed must not be stated.  Without any reply line the meaning is not
 * compared, but its grammar (schema/reply.h) is always checked.  Every stream is played whole, byte
 * by byte and at random cuts, with and without a reader of its meaning; then its body has ended
 * properly (stream_finish), unless NAME ends in "-reset". */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include "providers/provider.h"

#ifndef GOLDEN_DIR
#define GOLDEN_DIR "tests/golden"
#endif

/* Replays tests/golden/<dir>; at least cases_min must be there. */
void golden_replay(const char *dir, const struct provider *p, const struct provider_target *target,
                   int cases_min);
/* One line per event; neighbouring deltas of one kind are joined, so that cuts do not show.
 *   reply start ID MODEL | reply open KIND [id=.. name=..] | reply text "..." | reply arguments
 * "..." reply signature "..." | reply citation URL TITLE | reply close | reply usage BUCKET=N ...
 * reasoning=N reply stop WORD ["sequence"] | reply end | reply error TYPE "message" */
struct golden_replies {
    struct buf out;    /* the lines */
    struct buf joined; /* of deltas that are still coming */
    int kind;          /* theirs; -1 = none */
    struct reply_grammar grammar;
};
void golden_replies_init(struct golden_replies *g);
void golden_replies_done(struct golden_replies *g);
/* A reply_sink's function, ctx a struct golden_replies.  Fails the test on bad grammar. */
void golden_on_reply(void *ctx, const struct reply *r);
/* All lines so far. */
struct span golden_lines(struct golden_replies *g);

#endif
