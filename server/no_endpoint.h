/* What is said where no endpoint serves a request, to a request and to a dry run alike. */
#ifndef SERVER_NO_ENDPOINT_H
#define SERVER_NO_ENDPOINT_H

#include "router/plan.h"

enum { NO_ENDPOINT_MAX = 1024 * 1024 }; /* bytes of members */

/* Of an empty plan: 403, where the key may not use the model, else 404.  members, empty or NULL,
 * takes what the error object has beside: `"availability":{...}` of the 404, where it fits. */
void no_endpoint_tell(const struct plan_inputs *in, const struct plan *p, struct fail *ret,
                      struct buf *members);

#endif
