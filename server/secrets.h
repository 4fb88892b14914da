/* The operator's secrets, for the catalog of a running server.
 *
 * A file that was read is remembered: when it is lost, emptied or cannot be read any more, its
 * last secret stays in use until it can be read again, or the catalog does not name it any more.
 * The operator is told in the log; clients never hear of paths or variables.
 *
 * Thread: one at a time (the reader's lock), not a loop's. */
#ifndef SERVER_SECRETS_H
#define SERVER_SECRETS_H

#include "router/catalog.h"
#include "server/token.h"

struct secrets;

/* NULL: memory is short.  tokens, which outlive it, exchange service accounts. */
struct secrets *secrets_new(struct tokens *tokens);
void secrets_free(struct secrets *s);

/* For catalog_db_load; ctx: struct secrets.  What is given back lives until the next call on this
 * thread. */
struct secret secrets_look_up(void *ctx, enum credential_kind kind, const char *ref);
/* Between begin and end every secret that is still of use is looked up; end forgets the others. */
void secrets_begin_load(struct secrets *s);
void secrets_end_load(struct secrets *s);

/* Writes to the log which credentials of `now` cannot be used: each file, and the number of those
 * whose variables are not set.  What was so in `before` (NULL: nothing) is said again of files
 * only, and only if `again`.  How many files cannot be read. */
int secrets_say(const struct catalog *now, const struct catalog *before, bool again);

#endif
