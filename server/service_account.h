/* A Google service account: the key file that Google's console gives out, and the signed request
 * for an access token (developers.google.com/identity/protocols/oauth2/service-account,
 * RFC 7523).  Pure but for libcrypto; any thread. */
#ifndef SERVER_SERVICE_ACCOUNT_H
#define SERVER_SERVICE_ACCOUNT_H

#include <stdint.h>

#include "schema/buf.h"
#include "schema/err.h"

enum { SERVICE_ACCOUNT_TEXT_MAX = 64 * 1024, SERVICE_ACCOUNT_LIFE_S = 3600 };

struct service_account {
    char *email, *private_key, *token_uri; /* owned */
    char *key_id, *project;                /* may be NULL */
};

/* Is this credential such a file, and no key or token of its own? */
bool service_account_is(struct span text);
/* 0, or -1 with reterr, which shows nothing of the key.  *ret is to be given to
 * service_account_done either way. */
int service_account_read(struct service_account *ret, struct span text, struct fail *reterr);
/* Overwrites the key. */
void service_account_done(struct service_account *a);

/* Appends the form that is posted to token_uri. now_s: unix time.  0, or -1 with reterr: the key
 * cannot sign. */
int service_account_grant(const struct service_account *a, int64_t now_s, struct buf *out,
                          struct fail *reterr);

#endif
