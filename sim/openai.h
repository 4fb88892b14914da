/* The Chat Completions wire format of OpenAI and of the many that copy it; Azure's is the same
 * behind other paths.  Written after platform.openai.com/docs/api-reference/chat. */
#ifndef SIM_OPENAI_H
#define SIM_OPENAI_H

#include "sim/ask.h"

bool openai_read(struct ask *k);
void openai_write(struct ask *k);
void openai_write_error_event(struct ask *k, struct span type, struct span message);
void openai_write_error(struct buf *out, int status, struct span type, struct span message,
                        uint64_t seq);

#endif
