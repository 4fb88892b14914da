/* Times on the wire: RFC 3339, UTC, millisecond precision, from unix ms. */
#ifndef SCHEMA_WHEN_H
#define SCHEMA_WHEN_H

#include <stdint.h>

#include "schema/span.h"

enum { WHEN_TEXT_MAX = 32 };

/* "2026-11-25T06:34:35.123Z".  Times outside the years 0000 to 9999 are printed as the
 * nearest that is inside. */
const char *when_print(int64_t unix_ms, char out[WHEN_TEXT_MAX]);
/* Accepts YYYY-MM-DD, and full RFC 3339 with Z or +hh:mm, fraction optional
 * (what is finer than a millisecond is dropped).  A second of 60 is taken where UTC can have
 * one.  *ret_unix_ms is set only on success. */
bool when_parse(struct span text, int64_t *ret_unix_ms);

#endif
