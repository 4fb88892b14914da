/* Does the catalog know a name that an operator wrote down?  What is stored and misspelt would
 * show late: as a key that may use nothing, or one that may use what it was to leave alone.  Pure.
 */
#ifndef ROUTER_CATALOG_NAMES_H
#define ROUTER_CATALOG_NAMES_H

#include <json-c/json.h>

#include "router/catalog.h"
#include "schema/prefs.h"

/* By id or alias, also with a suffix that says how to choose (:floor); NULL when unknown. */
const struct model *names_model(const struct catalog *c, struct span name);

/* The providers of provider_order, provider_only and provider_ignore.  -1 with reterr, of `field`:
 * "WHAT: provider_only names thirft, which is no provider of the catalog". */
int names_check_prefs(const struct catalog *c, const struct prefs *p, const char *field,
                      const char *what, struct fail *reterr);

/* Does an operation on a key say anything that names models or providers? */
bool names_of_key_given(struct json_object *args);
/* What args set of the key (its shape, docs/api.md) must be in the catalog; nothing is known yet
 * where that has no endpoints.  -1 with reterr, which names the setting and the name. */
int names_check_key(const struct catalog *c, struct json_object *args, struct json_object *key,
                    struct fail *reterr);

#endif
