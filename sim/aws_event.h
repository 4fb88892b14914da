/* AWS's binary event stream, written: docs.aws.amazon.com, "Event stream encoding". */
#ifndef SIM_AWS_EVENT_H
#define SIM_AWS_EVENT_H

#include "schema/buf.h"

enum { AWS_PRELUDE = 12 };

/* Begins a message at the end of out: prelude (still empty) and headers.  exception: of that
 * type instead of an event.  Append the payload, then end it with what this returned. */
size_t aws_event_begin(struct buf *out, const char *type, bool exception);
void aws_event_end(struct buf *out, size_t begin);

#endif
