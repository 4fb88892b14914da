/* Which request gets which answer: the paths the simulator knows, and the book-keeping
 * around each exchange. */
#ifndef SIM_DOOR_H
#define SIM_DOOR_H

#include "sim/http_sim.h"

/* Fills c->answer, sealed, for a whole request. */
void door_answer(struct conn *c, struct http_request *r);
/* For what is not a request of ours: malformed, too large. */
void door_refuse(struct conn *c, const struct http_request *r, int status);
/* The exchange is over; how: "complete", "client_closed", "cut", "reset", "shutdown". */
void door_ended(struct conn *c, const char *how);
/* Counts the exchange under this model until it ends; m NULL: only noted. */
void door_count(struct conn *c, struct roster_model *m, struct span model);
/* What the provider charges for what was sent so far. */
struct bill door_bill(const struct conn *c);
/* Whether the client's credential is exactly key, in whatever header; of an AWS signature, its
 * access key. */
bool door_has_key(const struct http_request *r, struct span key);

#endif
