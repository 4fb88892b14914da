/* Access tokens of service accounts.
 *
 * A provider's credential may be a Google service account instead of a key.  It is of no use to a
 * request: a thread of its own exchanges it for an access token and again before that one expires.
 * The catalog's snapshot holds the token where it holds other providers' keys, so that the way of a
 * request knows nothing of all this: a token that came, or one that is lost, is a reason to publish
 * a new snapshot, as an import is.  Without a token the provider has no credential, and says why.
 *
 * Nothing of keys and tokens is logged. */
#ifndef SERVER_TOKEN_H
#define SERVER_TOKEN_H

#include "router/catalog.h"

enum {
    TOKEN_ACCOUNTS_MAX = 64,
    TOKEN_EARLY_S = 300,          /* a new one is asked for so long before the old one expires */
    TOKEN_TIMEOUT_MS = 10000,     /* of one try, connecting included */
    TOKEN_BACKOFF_MAX_S = 60,     /* between tries that fail */
    TOKEN_FIRST_WAIT_MS = 3000,   /* a server that starts waits so long for the first tokens */
    TOKEN_ANSWER_MAX = 64 * 1024, /* bytes */
    TOKEN_MAX = 8 * 1024          /* of the token; Google promises at most 2 KiB */
};

struct tokens;

struct tokens *tokens_new(void); /* NULL: memory is short */
void tokens_free(struct tokens *t);

/* A secret as it was found; where that is a service account, its token, or why there is none.  Not
 * on a loop thread; what is given back lives until the next call on this thread. */
struct secret tokens_exchange(struct tokens *t, struct secret found);
/* Between begin and end every account that is still of use is asked for; end forgets the others.
 * One thread at a time (the reader's lock). */
void tokens_begin_load(struct tokens *t);
void tokens_end_load(struct tokens *t);

/* Starts the thread, and waits a moment for the first tokens.  changed: publish a new snapshot;
 * false: not now, call again.  Called on the thread.  0, or -1 with reterr. */
int tokens_start(struct tokens *t, bool (*changed)(void *ctx), void *ctx, struct fail *reterr);
/* Ends the thread; a running try is given up within a second.  Not started: nothing. */
void tokens_stop(struct tokens *t);

#endif
