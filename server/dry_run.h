/* The dry run: what would be chosen for this body, and why each other endpoint was not.
 * Used by POST /v1/route and by `wayfare route`. Sends nothing. */
#ifndef SERVER_DRY_RUN_H
#define SERVER_DRY_RUN_H

#include <json-c/json.h>

#include "router/catalog.h"
#include "router/experiment.h"
#include "router/identity.h"
#include "server/reach.h"
#include "server/state.h"

/* state may be NULL (no server: no health known). key may be NULL (no key policy).
 * experiments: what runs, NULL = nothing; the arm is that of this body (a unit `request` is drawn
 * with the seed), and where there is no key for a missing unit, none. allowed: the hosts of
 * provider_configs, NULL = not known. ret: the `route` shape of docs/api.md. 0, or -1 with reterr
 * exactly as /v1/messages would refuse the body. */
int dry_run(const struct catalog *catalog, const struct key_row *key, struct state *state,
            const struct experiments *experiments, const struct reach_list *allowed,
            struct span body, int64_t now_ms, uint64_t seed, struct json_object **ret,
            struct fail *reterr);

#endif
