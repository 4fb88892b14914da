/* Splits a server-sent event stream (WHATWG HTML 9.2.6) that arrives in pieces
 * of any size.  Line ends may be LF, CRLF or CR.  A leading BOM is skipped.
 *
 * An event's data may be up to `max` bytes; beyond that sse_feed fails and the
 * stream must be treated as broken.  Data that arrives whole in one piece is
 * handed out in place, without a copy. */
#ifndef SCHEMA_SSE_H
#define SCHEMA_SSE_H

#include "schema/buf.h"

struct sse_event {
    struct span name; /* the event: field, "" when absent */
    struct span data; /* data: lines joined by LF; valid during the callback only */
    bool has_data;    /* false: a comment or an empty block ended, nothing to dispatch */
};

struct sse {
    struct buf line;  /* an incomplete line carried over */
    struct buf data;
    struct buf name;
    bool have_data;
    bool last_was_cr;
    bool started;
    bool mid_event;   /* bytes of an unfinished event were seen */
};

typedef bool (*sse_handler)(void *ctx, const struct sse_event *ev);

void sse_init(struct sse *s, size_t max);
/* Calls handler for each complete event with data.  Returns false when the
 * handler did, or an event is over the maximum, or memory is short. */
bool sse_feed(struct sse *s, struct span bytes, sse_handler handler, void *ctx);
/* True between events: bytes may be inserted here without breaking an event. */
bool sse_at_boundary(const struct sse *s);
void sse_done(struct sse *s);

#endif
