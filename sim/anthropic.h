/* The Anthropic Messages wire format: messages (JSON and SSE), count_tokens, models, errors.
 * Written after platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming.
 * Vertex and Bedrock carry the same bodies. */
#ifndef SIM_ANTHROPIC_H
#define SIM_ANTHROPIC_H

#include "sim/ask.h"
#include "sim/cache.h"

bool anthropic_read(struct ask *k);
void anthropic_walk(struct cache_walk *w);
void anthropic_write(struct ask *k);
void anthropic_write_count(struct ask *k, int64_t tokens);
void anthropic_write_error_event(struct ask *k, struct span type, struct span message);
void anthropic_write_error(struct buf *out, int status, struct span type, struct span message,
                           uint64_t seq);
/* A signature that anthropic_read knows for one of the simulator's own, quoted. */
void anthropic_write_signature(struct buf *out, uint64_t seq);
void anthropic_models(struct conn *c, struct span id);

#endif
