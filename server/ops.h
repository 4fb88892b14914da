/* Operations of the command line and of the admin side: one table, run either inside the
 * server (through its admin socket or admin listener) or directly on the database file when
 * no server owns it.  Input and output are JSON; the shapes are docs/api.md's. */
#ifndef SERVER_OPS_H
#define SERVER_OPS_H

#include <pthread.h>

#include <json-c/json.h>

#include "router/catalog_file.h"
#include "router/db.h"
#include "router/ledger.h"
#include "server/state.h"

/* Where an operation runs. */
struct ops_env {
    struct db *db;          /* direct mode: the one DB_OWN connection; server: a DB_READ one */
    struct ledger *ledger;  /* NULL in direct mode */
    struct state *state;    /* NULL in direct mode */
    pthread_mutex_t *lock;  /* server: held while db is used by a READ or WRITE operation */
    struct ops_long *longs; /* server: what runs LONG operations */
    const bool *stop;       /* __atomic; set: a LONG operation is to end. NULL: never */
};

enum op_access {
    OP_ACCESS_READ,
    OP_ACCESS_WRITE, /* run in a transaction (ledger_job in a server), then reload */
    OP_ACCESS_LONG   /* READ, for long, and writing through small jobs of its own, if at all */
};

/* What an operation's run answers besides -1. */
enum op_result {
    OP_DONE = 0,
    OP_UNDO = 1 /* a WRITE operation that was only tried: *ret is good, the changes go away */
};

struct op {
    const char *name; /* "team create", "usage", ... = the command line's words */
    enum op_access access;
    /* env->db is the writing connection for WRITE.  *ret: a new object, set on success. */
    int (*run)(struct ops_env *env, struct json_object *args, struct json_object **ret,
               struct fail *reterr);
    /* WRITE, may be NULL: adds to *ret what is too much to read on the ledger's thread. */
    int (*complete)(struct db *db, struct json_object *ret, int64_t at_ms, struct fail *reterr);
    bool changes; /* LONG: it leaves something, which the log tells as of WRITE */
};

extern const struct op ops_all[]; /* ends with name NULL */

/* NULL when there is none of that name. */
const struct op *ops_find(const char *name);

/* Finds and runs one; WRITE ops in their transaction, followed by state_reload in a server;
 * READ and LONG ops in a server after ledger_barrier, so that what was answered is seen; LONG ones
 * over a connection of their own (ops_long.h), so that nobody waits for them.  args may be NULL.
 * In a server any thread that may block; else one call at a time. */
int ops_run(struct ops_env *env, const char *name, struct json_object *args,
            struct json_object **ret, struct fail *reterr);

/* A counted reference to the server's catalog, or to one loaded from env->db. NULL with reterr. */
struct catalog *ops_catalog(struct ops_env *env, struct fail *reterr);
/* A catalog from a file of its own, without secrets. NULL with reterr. */
struct catalog *ops_catalog_read(struct span text, enum catalog_format format, catalog_note_fn note,
                                 void *ctx, struct fail *reterr);

/* ---- the rows' functions, by file ---- */
/* op_catalog.c */
int op_catalog_import(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr);
int op_catalog_export(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr);
int op_catalog_list(struct ops_env *env, struct json_object *args, struct json_object **ret,
                    struct fail *reterr);
int op_catalog_remove(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr);
/* op_report.c */
int op_usage(struct ops_env *env, struct json_object *args, struct json_object **ret,
             struct fail *reterr);
int op_generation_get(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr);
int op_generation_list(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr);
int op_ledger_verify(struct ops_env *env, struct json_object *args, struct json_object **ret,
                     struct fail *reterr);
int op_backup(struct ops_env *env, struct json_object *args, struct json_object **ret,
              struct fail *reterr);
/* op_ledger.c */
int op_ledger_prune(struct ops_env *env, struct json_object *args, struct json_object **ret,
                    struct fail *reterr);
int op_ledger_reconcile(struct ops_env *env, struct json_object *args, struct json_object **ret,
                        struct fail *reterr);
/* op_route.c */
int op_route(struct ops_env *env, struct json_object *args, struct json_object **ret,
             struct fail *reterr);
/* op_experiment.c */
int op_experiment_create(struct ops_env *env, struct json_object *args, struct json_object **ret,
                         struct fail *reterr);
int op_experiment_list(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr);
int op_experiment_show(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr);
int op_experiment_set(struct ops_env *env, struct json_object *args, struct json_object **ret,
                      struct fail *reterr);
int op_experiment_stop(struct ops_env *env, struct json_object *args, struct json_object **ret,
                       struct fail *reterr);
/* op_replay.c */
int op_replay(struct ops_env *env, struct json_object *args, struct json_object **ret,
              struct fail *reterr);

#endif
