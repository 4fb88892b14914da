/* An example value for a JSON schema: what a model would fill in. */
#ifndef SIM_SAMPLE_H
#define SIM_SAMPLE_H

#include "schema/json.h"

/* Appends an object; schema JSON_NONE = "{}". */
void sample_object(const struct json_doc *doc, json_ref schema, struct buf *out);

#endif
