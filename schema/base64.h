/* Base64 that needs no escapes in a URL, a form or an id: RFC 4648 section 5, without padding. */
#ifndef SCHEMA_BASE64_H
#define SCHEMA_BASE64_H

#include "schema/buf.h"

void base64url_add(struct buf *out, struct span bytes);
/* Appends what it stands for.  false, with some of it appended: not what base64url_add writes. */
bool base64url_read(struct buf *out, struct span text);

#endif
