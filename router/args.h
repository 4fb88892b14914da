/* The arguments of an admin operation, read from its JSON object by a table of rows.
 *
 * A member that is absent leaves its output alone (zeroed by the caller); null means "take
 * this setting away", which the command line spells "none".  Unknown members, wrong types and
 * missing required ones are ERR_bad_request that names the member.
 * Outputs borrow from args, which must outlive them. */
#ifndef ROUTER_ARGS_H
#define ROUTER_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "schema/buf.h"
#include "schema/err.h"

enum arg_kind {
    ARG_TEXT,  /* struct arg_text: a string */
    ARG_COUNT, /* struct arg_count: an integer >= 0 */
    ARG_FLAG,  /* struct arg_flag */
    ARG_TIME,  /* struct arg_count: unix ms, of a date or RFC 3339 time */
    ARG_JSON   /* struct arg_json: anything, checked by the caller */
};

struct arg_text {
    bool given;
    const char *value; /* NULL = null */
};
struct arg_count {
    bool given;
    int64_t value; /* 0 = null */
};
struct arg_flag {
    bool given, value;
};
struct arg_json {
    bool given;
    struct json_object *value;
};

struct arg_spec {
    const char *name; /* NULL ends the table */
    enum arg_kind kind;
    size_t offset; /* of the output within the struct */
    bool required;
};

enum { ARG_LIST_MAX = 64, ARG_ITEM_MAX = 256 };

/* args may be NULL (= no members). 0, or -1 with reterr. */
int args_read(struct json_object *args, const struct arg_spec *specs, void *out,
              struct fail *reterr);

/* A list of words: an array of strings, or one string with commas.  *ret is a new array
 * (caller puts it), NULL for an empty list and for null. */
int args_list(const char *name, struct json_object *value, struct json_object **ret,
              struct fail *reterr);

/* A JSON value, which may also be given as its text in a string; v is not NULL, and is borrowed
 * from. */
struct span args_json_text(struct json_object *v);

/* A name that people give: 1 to 63 bytes of valid UTF-8, no control characters, no slash, no
 * blank at its ends, no dash at its start; not "." or "..", which are nothing in a path. */
int args_check_name(const char *field, const char *name, struct fail *reterr);

#endif
