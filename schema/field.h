/* What header fields may be made of (RFC 9110 sections 5.5 and 5.6.2): asked of what comes in, from
 * clients, providers and the catalog, and of what goes out.  Pure. */
#ifndef SCHEMA_FIELD_H
#define SCHEMA_FIELD_H

#include "schema/span.h"

/* A token, not empty. */
bool field_is_name(struct span s);
/* A value as it may come in: no control byte but TAB.  May be empty. */
bool field_is_text(struct span s);
/* A value as we send one: besides, ASCII alone. */
bool field_is_ascii(struct span s);
/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT, as the Host field and URLs have it (RFC 3986
 * section 3.2), without a user; which letters a host may have is not looked at. */
bool field_is_authority(struct span s);
/* Without blanks and TABs around it. */
struct span field_trim(struct span s);

#endif
