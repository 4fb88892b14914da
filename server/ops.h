/* Operations of the command line and of the admin side: one table, run either inside the
 * server (through its admin socket or admin listener) or directly on the database file when
 * no server owns it.  Input and output are JSON; the shapes are docs/api.md's. */
#ifndef SERVER_OPS_H
#define SERVER_OPS_H

#include <json-c/json.h>

#include "router/db.h"
#include "router/ledger.h"
#include "server/state.h"

/* Where an operation runs. */
struct ops_env {
    struct db *db;         /* direct mode: the one DB_OWN connection; server: the DB_READ one */
    struct ledger *ledger; /* NULL in direct mode */
    struct state *state;   /* NULL in direct mode */
};

enum op_access { OP_ACCESS_READ, OP_ACCESS_WRITE };

struct op {
    const char *name;      /* "team create", "usage", ... = the command line's words */
    enum op_access access; /* WRITE: run in a transaction (ledger_job in a server), then reload */
    int (*run)(struct ops_env *env, struct json_object *args, struct json_object **ret,
               struct fail *reterr);
};

extern const struct op ops_all[]; /* ends with name NULL */

/* Finds and runs one; WRITE ops in their transaction, followed by state_reload in a server;
 * READ ops in a server after ledger_barrier, so that what was answered is seen. */
int ops_run(struct ops_env *env, const char *name, struct json_object *args,
            struct json_object **ret, struct fail *reterr);

#endif
