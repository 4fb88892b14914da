/* The admin routes as rows: which request runs which operation with which arguments. Pure. */
#ifndef SERVER_ADMIN_ROUTE_H
#define SERVER_ADMIN_ROUTE_H

#include <json-c/json.h>

#include "schema/buf.h"
#include "schema/err.h"

enum admin_kind {
    ADMIN_OP,      /* an operation, answered with its JSON */
    ADMIN_OP_TEXT, /* an operation, answered with the member "text" of its result */
    ADMIN_ANY_OP,  /* {"op", "args"} in the body */
    ADMIN_METRICS,
    ADMIN_PAGE /* the dashboard: the only one without a token */
};

enum admin_query_kind { QUERY_TEXT, QUERY_COUNT, QUERY_FLAG };

struct admin_query {
    const char *name; /* NULL ends */
    enum admin_query_kind kind;
};

struct admin_route {
    const char *method; /* NULL ends the table */
    const char *path;   /* "*" stands for one segment */
    enum admin_kind kind;
    const char *op;
    const char *path_arg;            /* argument that the segment becomes, or NULL */
    const char *body_arg;            /* argument that the raw body becomes; NULL: the body is
                                        the JSON object of arguments */
    const struct admin_query *query; /* allowed query arguments, or NULL */
    size_t body_max;                 /* 0 = no body */
};

extern const struct admin_route admin_routes[];

/* HEAD is GET: the library leaves the body out.  NULL with reterr: ERR_not_found, or
 * ERR_method_not_allowed (then ret_allow names the methods). ret_segment: what "*" stands for, a
 * part of path. */
const struct admin_route *admin_route_find(const char *method, const char *path,
                                           struct span *ret_segment, struct buf *ret_allow,
                                           struct fail *reterr);

/* The operation's arguments (a new object, also when there are none): from the body and the
 * segment. 0, or -1 with reterr. */
int admin_route_args(const struct admin_route *r, struct span segment, struct span body,
                     struct json_object **ret, struct fail *reterr);
/* Adds one query argument. value NULL = "". */
int admin_route_query(const struct admin_route *r, const char *name, const char *value,
                      struct json_object *args, struct fail *reterr);

/* {"type": "error", "error": {...}}; a new object. */
struct json_object *admin_error_object(const struct fail *f);

#endif
