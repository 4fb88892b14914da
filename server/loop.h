/* Requests that come back: a provider's base_url may lead to this server again, straight or by way
 * of another, and each round would be an attempt that somebody pays for.  Calls to providers name
 * the servers they have come through in the field Via (RFC 9110 section 7.6.3), each by a name
 * that it drew at its start; a request that names this one is refused.  Pure but for the draw. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include <stdbool.h>

#include "schema/span.h"

enum {
    LOOP_NAME_MAX = 32,
    LOOP_VIA_MAX = 512 /* of Via; the names of a dozen servers */
};

/* "wayfare-" and 16 hex digits. */
void loop_draw_name(char out[LOOP_NAME_MAX]);
/* via: the request's.  True: it has been here, or at more servers than Via has room for. */
bool loop_is_closed(struct span via, const char *name);
/* What a call made for that request says: the servers that it names, and this one. */
const char *loop_via(struct span via, const char *name, char out[LOOP_VIA_MAX]);

#endif
