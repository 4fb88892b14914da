/* Amazon Bedrock: Converse and ConverseStream, and Claude behind InvokeModel.  Written after
 * docs.aws.amazon.com/bedrock/latest/APIReference. */
#ifndef SIM_BEDROCK_H
#define SIM_BEDROCK_H

#include "sim/ask.h"
#include "sim/cache.h"

bool converse_read(struct ask *k);
void converse_walk(struct cache_walk *w);
void converse_write(struct ask *k);

/* What all of Bedrock's paths share. */
bool bedrock_has_credential(const struct http_request *r);
void bedrock_write_error(struct buf *out, int status, struct span type, struct span message,
                         uint64_t seq);
void bedrock_write_error_event(struct ask *k, struct span type, struct span message);
void bedrock_add_headers(struct ask *k, const struct script *s);

#endif
