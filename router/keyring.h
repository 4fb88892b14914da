/* The operator's credentials at work: whose turn it is, and which are held back, why and until
 * when.  In memory only, and no secret in it: a credential is known by where it stands (variable
 * or path) and a sum of its secret, so that one that was replaced begins anew.
 *
 * What holds a credential back: a 429 with retry-after and a 403 for one endpoint, a 401 and a
 * used-up spend limit for the whole provider.  When the time is over one request at a time tries
 * it again; a success makes it free.
 *
 * Pure: time is an argument (wall clock, ms).  Not locked: the owner does that. */
#ifndef ROUTER_KEYRING_H
#define ROUTER_KEYRING_H

#include "providers/refusal.h"
#include "router/catalog.h"

enum {
    KEYRING_ROWS_MAX = 65536,         /* held at a time; what is beyond is not remembered */
    KEYRING_REFUSED_MS = 300000,      /* a 401 or 403 holds back so long */
    KEYRING_LIMITED_MAX_MS = 3600000, /* a provider cannot take itself out for longer */
    KEYRING_PROBE_MS = 3600000,       /* a spent credential is tried again at least so often */
    KEYRING_TRIAL_MS = 60000,         /* a trial that told nothing: the next one so much later */
    KEYRING_NOTE_MAX = 160
};

struct keyring;

struct keyring *keyring_new(void); /* NULL when memory is short */
void keyring_free(struct keyring *k);

/* Something is held back: without it the other questions need not be asked. */
bool keyring_is_busy(const struct keyring *k);

/* The credential for a call to e: the next in turn that is there, not held back and not in
 * `tried` (bit per credential->index).  Where every one is held back, the one that is free first,
 * unless some were tried already.  NULL: there is none (left). */
const struct credential *keyring_take(struct keyring *k, const struct endpoint *e, uint32_t tried,
                                      int64_t now_ms);
/* There is one besides those tried that is not held back.  Takes no turn. */
bool keyring_has_other(const struct keyring *k, const struct endpoint *e, uint32_t tried,
                       int64_t now_ms);

/* What became of a call.  true: that is news for the operator (it begins to be refused or is
 * spent; it was, and is free again). */
bool keyring_refused(struct keyring *k, const struct endpoint *e, const struct credential *c,
                     const struct refusal *r, int64_t retry_after_ms, int64_t now_ms);
/* sent_ms: a call that was on its way when the refusal came tells nothing. */
bool keyring_accepted(struct keyring *k, const struct endpoint *e, const struct credential *c,
                      int64_t sent_ms);

/* Every credential of e that is there is held back. */
struct keyring_view {
    enum refusal_kind why; /* of the one that is free first; REFUSAL_NONE: some is free */
    int64_t until_ms;
};
void keyring_look(const struct keyring *k, const struct endpoint *e, int64_t now_ms,
                  struct keyring_view *ret);

/* Where a credential stands (variable or path) as a number, never 0; and the one that stands there,
 * NULL when there is none, or no secret. */
uint64_t keyring_place(const struct credential *c);
const struct credential *keyring_at(const struct provider_row *p, uint64_t place);

/* How a credential is named to the operator: "env:NAME (2 of 3)"; no secret. */
const char *keyring_name(const struct provider_row *p, const struct credential *c,
                         char out[KEYRING_NOTE_MAX]);

#endif
