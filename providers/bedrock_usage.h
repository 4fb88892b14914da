/* Usage figures of a Converse answer.  inputTokens excludes what was read from and written to the
 * cache (recorded: 433 + 2752 read + 16 output = totalTokens 3201); thinking is part of
 * outputTokens.
 * docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html */
#ifndef PROVIDERS_BEDROCK_USAGE_H
#define PROVIDERS_BEDROCK_USAGE_H

#include "schema/json.h"
#include "schema/usage.h"

/* What the object states; other buckets stay as they are.  hour_writes: of the reading. */
void bedrock_read_usage(struct usage *u, bool hour_writes, const struct json_doc *doc,
                        json_ref usage);

#endif
