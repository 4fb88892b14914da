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

/* The arm is that of this body and session (a unit `request` is drawn with the seed), and where
 * there is no key for a missing unit, none. */
struct dry_run {
    const struct catalog *catalog;
    const struct key_row *key;             /* NULL: no key policy */
    struct state *state;                   /* NULL: no health is known */
    const struct experiments *experiments; /* what runs; NULL: nothing */
    const struct reach_list *allowed;      /* hosts of provider_configs; NULL: not known */
    struct span body, session;             /* session: of the header, may be empty */
    int64_t now_ms;
    uint64_t seed; /* of draws */
};

/* ret: the `route` shape of docs/api.md.  0, or -1 with reterr, and members of the error object
 * (empty before; may be NULL), exactly as /v1/messages would refuse the body. */
int dry_run(const struct dry_run *ask, struct json_object **ret, struct buf *members,
            struct fail *reterr);

#endif
