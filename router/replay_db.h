/* A replay over the ledger's attempts: what they cost, and what they would have cost. */
#ifndef ROUTER_REPLAY_DB_H
#define ROUTER_REPLAY_DB_H

#include <json-c/json.h>

#include "router/db.h"
#include "router/identity.h"
#include "router/replay.h"
#include "router/window.h"

/* What a replay reads besides the attempts. Borrowed. */
struct replay_source {
    const struct catalog
        *catalog;                /* the ledger's own: prices of inner calls, as they were billed */
    const struct identity *keys; /* whose lists hold */
    struct window span;          /* of admission; moved to where detail is left */
    const char *team;            /* NULL = all */
};

/* *ret: the `replay` shape of docs/api.md, without its notes.  Counted are attempts that were
 * settled with some usage, with their corrections.  One whose tokens do not give what it cost (an
 * estimate by its hold, inner calls at prices that have changed) is `kept`: it counts with what it
 * cost on both sides. */
int replay_db_run(struct db *db, struct replay *r, struct replay_source *source,
                  struct json_object **ret, struct fail *reterr);

#endif
