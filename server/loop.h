/* Requests that come back: a provider's base_url may lead to this server again, straight or by way
 * of another, and each round would be an attempt that somebody pays for.  Calls to providers name
 * the servers they have come through in the field Via (RFC 9110 section 7.6.3), each by a name
 * that it drew at its start; a request that names this one is refused.  What other proxies say
 * there is not passed on.  Pure but for the draw. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include <stdbool.h>

#include "schema/span.h"

enum {
    LOOP_NAME_MAX = 32,
    LOOP_VIA_MAX = 512 /* of Via; the names of a dozen servers */
};

/* Zeroed before use. */
struct loop_trail {
    char via[LOOP_VIA_MAX]; /* the servers so far */
    bool closed;            /* the request has been here, or there is no room for another name */
};

/* "wayfare-" and 16 hex digits. */
void loop_draw_name(char out[LOOP_NAME_MAX]);
/* A line of the request's Via; they come in any number. */
void loop_read(struct loop_trail *t, struct span line, const char *name);
/* After all lines: this server's own name, for the calls that are made for the request. */
void loop_pass(struct loop_trail *t, const char *name);

#endif
