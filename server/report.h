/* x-wayfare-report: body — adds the provider and the cost to the answer itself, as OpenRouter
 * does (openrouter.ai/docs/cookbook/administration/usage-accounting): `provider` beside the
 * message, `usage.cost` and `usage.cost_details` in the usage, in the place of those that the
 * provider itself states.  Only for clients that ask: the answer is no longer the provider's byte
 * for byte. Pure. */
#ifndef SERVER_REPORT_H
#define SERVER_REPORT_H

#include "schema/buf.h"

/* A whole JSON answer.  What is no JSON object goes through unchanged. */
void report_body(struct span body, const char *provider, const char *cost_usd, struct buf *out);
/* One SSE event, written with its `event:` and `data:` lines: message_start gets the provider,
 * message_delta the cost so far. */
void report_event(struct span name, struct span data, const char *provider, const char *cost_usd,
                  struct buf *out);
/* Whether a chunk of OpenAI's stream holds nothing but usage. */
bool report_is_usage(struct span data);
/* One chunk of OpenAI's stream: the provider in each, the cost where usage is.  keep_usage false:
 * the chunk that holds nothing but usage is left out. */
void report_chunk(struct span name, struct span data, const char *provider, const char *cost_usd,
                  bool keep_usage, struct buf *out);

#endif
