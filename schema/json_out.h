/* Writes JSON into a buffer, commas and all.  key is the member's name, a literal that needs no
 * escapes, or NULL inside an array.  What is opened must be closed; the buffer's own `failed`
 * tells whether everything found room.  Not checked: that keys differ. */
#ifndef SCHEMA_JSON_OUT_H
#define SCHEMA_JSON_OUT_H

#include <stdint.h>

#include "schema/buf.h"

struct json_out {
    struct buf *buf;
    bool comma; /* the next value needs one before it */
};

void json_open_object(struct json_out *o, const char *key);
void json_close_object(struct json_out *o);
void json_open_array(struct json_out *o, const char *key);
void json_close_array(struct json_out *o);
void json_put_string(struct json_out *o, const char *key, struct span text);
/* Several pieces of text as one string. */
void json_put_strings(struct json_out *o, const char *key, const struct span *pieces, size_t n);
void json_put_int(struct json_out *o, const char *key, int64_t n);
void json_put_bool(struct json_out *o, const char *key, bool truth);
void json_put_null(struct json_out *o, const char *key);
/* JSON as it is. */
void json_put_raw(struct json_out *o, const char *key, struct span json);
/* The same, where there is something to write. */
static inline void json_put_some_string(struct json_out *o, const char *key, struct span text)
{
    if (text.len > 0)
        json_put_string(o, key, text);
}
static inline void json_put_some_raw(struct json_out *o, const char *key, struct span json)
{
    if (json.len > 0)
        json_put_raw(o, key, json);
}

#endif
