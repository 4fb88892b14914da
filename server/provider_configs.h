/* What a request brings along for a provider (provider_configs): an address, a key, how it is sent.
 */
#ifndef SERVER_PROVIDER_CONFIGS_H
#define SERVER_PROVIDER_CONFIGS_H

#include "router/catalog.h"
#include "router/identity.h"
#include "server/reach.h"

/* May this key bring these provider_configs, and is each for somebody?  (A key under a misspelt
 * slug would be left aside, and the operator would pay.)  key NULL: who asks is not known, nor
 * what he may.  allowed NULL: no list is known (the command line), hosts are not checked.
 * 0, or -1 with ERR_forbidden or ERR_bad_request. */
int provider_configs_check(const struct prefs *p, const struct catalog *catalog,
                           const struct key_row *key, const struct reach_list *allowed,
                           struct fail *reterr);

#endif
