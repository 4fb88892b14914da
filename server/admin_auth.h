/* Who may speak to the admin listener on TCP.  Pure but for the token's file. */
#ifndef SERVER_ADMIN_AUTH_H
#define SERVER_ADMIN_AUTH_H

#include <stdint.h>

#include "schema/err.h"
#include "schema/span.h"

enum { ADMIN_TOKEN_HASH_LEN = 32 };

struct admin_auth {
    uint8_t token_hash[ADMIN_TOKEN_HASH_LEN];
    const char *host; /* as given to --admin-listen; borrowed */
};

/* What one request says of itself; empty = absent. */
struct admin_claims {
    struct span host, origin, authorization, x_api_key;
};

/* The token is WAYFARE_ADMIN_TOKEN, else the content of DB_PATH.admin-token, which is made
 * (mode 0600) when it is not there. 0, or -1 with reterr. */
int admin_auth_init(struct admin_auth *a, const char *host, const char *db_path,
                    struct fail *reterr);

/* No page of another site may make a browser ask us: Host must be an address of ours (a name
 * that an attacker points here is none), Origin absent or our own. 0, or -1 with reterr. */
int admin_auth_check_site(const struct admin_auth *a, const struct admin_claims *c,
                          struct fail *reterr);
/* Bearer or x-api-key, compared in constant time. */
int admin_auth_check_token(const struct admin_auth *a, const struct admin_claims *c,
                           struct fail *reterr);

#endif
