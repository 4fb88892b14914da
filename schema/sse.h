/* Splits a server-sent event stream (WHATWG HTML 9.2.6) that arrives in pieces
 * of any size.  Line ends may be LF, CRLF or CR.  A leading BOM is skipped.
 *
 * An event's data may be up to `max` bytes; beyond that sse_feed fails and the
 * stream must be treated as broken.  Data that arrives whole in one piece is
 * handed out in place, without a copy.  The events and the failure depend on the bytes
 * only, never on how they were cut.
 *
 * Ownership: the struct is embedded in its owner, sse_done() frees.  One per stream. */
#ifndef SCHEMA_SSE_H
#define SCHEMA_SSE_H

#include "schema/buf.h"

enum {
    SSE_LINE_EXTRA = 64 /* a line may be this much longer than max: field name, BOM */
};

struct sse_event {
    struct span name; /* the event: field, "" when absent */
    struct span data; /* data: lines joined by LF; valid during the callback only */
    bool has_data;    /* always true in a callback; blocks without data: are not handed out */
};

struct sse {
    size_t max;
    struct buf line; /* an incomplete line carried over */
    struct buf data; /* of an unfinished event, as far as it is carried over */
    struct buf name;
    bool have_data;
    bool last_was_cr;
    bool started;   /* the first line is complete, a BOM can no longer come */
    bool mid_event; /* lines of an unfinished event were seen */
    bool broken;    /* sse_feed has failed */
};

typedef bool (*sse_handler)(void *ctx, const struct sse_event *ev);

void sse_init(struct sse *s, size_t max);
/* Calls handler for each complete event with data.  Returns false when the
 * handler did, or data or a line is over the maximum, or memory is short; then the
 * rest of the bytes is not looked at and every later call fails too. */
bool sse_feed(struct sse *s, struct span bytes, sse_handler handler, void *ctx);
/* True between events: bytes may be inserted here without breaking an event.  Complete
 * comment lines do not begin an event.  Inside the handler: true. */
bool sse_at_boundary(const struct sse *s);
void sse_done(struct sse *s);

#endif
