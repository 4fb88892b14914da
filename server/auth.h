/* Whose key a request of the data listener carries.  Thread: the request's worker. */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include "server/request.h"

/* Fills identity and key of r. 0, or -1 with reterr (ERR_unauthenticated): a key that has ended is
 * told as such to who has it, and logged by its public id. */
int auth_request(struct request *r, struct fail *reterr);

#endif
