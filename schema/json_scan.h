/* Walks over JSON text member by member without parsing it: for a stream of thousands of small
 * documents of which few need to be understood.  No memory of its own, no recursion, linear.  It
 * does not validate: text that is no JSON gives some members or none; what matters is parsed later.
 *
 * Every function reads inside its span only, whatever the bytes are. */
#ifndef SCHEMA_JSON_SCAN_H
#define SCHEMA_JSON_SCAN_H

#include <stdint.h>

#include "schema/span.h"

struct json_scan {
    struct span text;
    size_t at;
    bool object; /* or an array */
    bool bad;    /* the text ended early, or something else stands where a member should */
};

/* value: an object or array, blanks around it allowed.  Anything else: bad at once. */
struct json_scan json_scan_open(struct span value);
/* The next member.  key: as written, without its quotes; empty in arrays.  value: without blanks
 * around it.  false: the closing bracket was passed, or `bad`. */
bool json_scan_next(struct json_scan *s, struct span *ret_key, struct span *ret_value);
/* After json_scan_next was false: nothing but blanks stands behind the closing bracket. */
bool json_scan_ended(const struct json_scan *s);

/* The value of the first member of that name; len 0: none. */
struct span json_scan_get(struct span object, const char *name);

/* How many bytes a string (its quotes included) has once its escapes are resolved; 0 for a value
 * that is no string. */
int64_t json_scan_text_bytes(struct span string);

#endif
