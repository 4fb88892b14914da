/* Refusals for a person who reads an error message: where in the document a value stands
 * and what it looks like.  Called on the way to a failure only, so that reading itself
 * keeps no path. */
#ifndef SCHEMA_JSON_PATH_H
#define SCHEMA_JSON_PATH_H

#include "schema/json.h"

enum { JSON_GLIMPSE_MAX = 56 };

/* "messages[3].content[0].type", from the root of the document; keys as written, cut
 * where it does not fit.  Returns out.  The root itself is "the body". */
const char *json_path(const struct json_doc *d, json_ref r, char out[FAIL_FIELD_MAX]);

/* A short string or number as it is written, else what kind of value it is: for
 * `...; got %s`.  Returns out. */
const char *json_glimpse(const struct json_doc *d, json_ref r, char out[JSON_GLIMPSE_MAX]);

/* Each sets reterr to ERR_bad_request with the path as its field (of the root none), and returns
 * -1:
 * "<path> must be <accepts>; got <glimpse>" */
int json_refuse(const struct json_doc *d, json_ref v, const char *accepts, struct fail *reterr);
/* "<path> is given twice" */
int json_refuse_twice(const struct json_doc *d, json_ref member, struct fail *reterr);

/* The member of that name, or JSON_NONE when there is none, it is null, or object is no
 * object.  -1 when there are two of them. */
int json_get_once(const struct json_doc *d, json_ref object, const char *name, json_ref *ret,
                  struct fail *reterr);

#endif
