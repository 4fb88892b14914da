/* The control endpoint below /_sim/: script, reset, stats. */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include "sim/http_sim.h"

/* path: what follows "/_sim/". */
void control_answer(struct conn *c, const struct http_request *r, struct span path);

#endif
