/* 128-bit ids, made by us before anything is sent, ordered by time (UUIDv7,
 * RFC 9562 section 5.7).  On the wire: prefix and 32 lower-case hex digits. */
#ifndef SCHEMA_ID_H
#define SCHEMA_ID_H

#include <stdint.h>

#include "schema/span.h"

struct id {
    uint8_t b[16];
};

enum { ID_TEXT_MAX = 40 }; /* prefix of up to 5 characters + 32 + NUL */

#define ID_PREFIX_GENERATION "gen_"
#define ID_PREFIX_ATTEMPT "att_"

/* rand: 10 random bytes from the caller. */
struct id id_make(int64_t unix_ms, const uint8_t rand[10]);
const char *id_print(const struct id *id, const char *prefix, char out[ID_TEXT_MAX]);
/* Accepts exactly prefix + 32 hex digits (either case). */
bool id_parse(struct span text, const char *prefix, struct id *ret);
bool id_eq(const struct id *a, const struct id *b);

#endif
