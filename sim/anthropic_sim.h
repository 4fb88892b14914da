/* The Anthropic Messages wire format: messages (JSON and SSE), count_tokens, models,
 * errors.  Written after platform.claude.com/docs/en/api/messages and
 * .../build-with-claude/streaming. */
#ifndef SIM_ANTHROPIC_SIM_H
#define SIM_ANTHROPIC_SIM_H

#include "sim/http_sim.h"

void anthropic_messages(struct conn *c, const struct http_request *r, bool count_only);
void anthropic_models(struct conn *c, struct span id);
/* Body and head (not sealed) of an error. type NULL: the usual one of the status. */
void anthropic_error(struct conn *c, int status, struct span type, struct span message);

#endif
