/* The command line's side of the admin socket.  Blocking; one call per process. */
#ifndef SERVER_ADMIN_CLIENT_H
#define SERVER_ADMIN_CLIENT_H

#include <json-c/json.h>

#include "schema/err.h"

enum client_result {
    CLIENT_OK,
    CLIENT_FAILED, /* the operation, or the connection while it ran: reterr */
    CLIENT_ABSENT  /* nobody listens: nothing was sent */
};

/* Runs an operation in the server that owns the database. */
enum client_result admin_client_run(const char *db_path, const char *op, struct json_object *args,
                                    struct json_object **ret, struct fail *reterr);

#endif
