/* What a provider's answer says while it passes by.  Adapters turn bytes into these;
 * the relay acts on them, the bytes themselves go through untouched when client and
 * provider speak the same protocol. */
#ifndef SCHEMA_EVENT_H
#define SCHEMA_EVENT_H

#include "schema/span.h"
#include "schema/usage.h"

enum event_kind {
    EVENT_START,   /* the answer has begun: id, model, first usage */
    EVENT_CONTENT, /* generated content (text, thinking, tool arguments) */
    EVENT_USAGE,   /* usage was updated */
    EVENT_STOP,    /* the provider's own last event: the answer is complete */
    EVENT_ERROR,   /* the provider reported an error inside the stream */
    EVENT_OTHER    /* ping, block starts and stops, anything unknown */
};

struct event {
    enum event_kind kind;
    struct span name; /* wire name of the event */
    struct span data; /* its payload as received */
    struct span text; /* EVENT_CONTENT: raw JSON of the delta, for size estimates */
    bool call;        /* a tool call begins, be there text of it yet or not */
};

#endif
