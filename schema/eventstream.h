/* Splits AWS's binary event stream (application/vnd.amazon.eventstream) that arrives in pieces of
 * any size.  A message, all numbers in network order:
 *
 *   total length (4) | headers' length (4) | CRC-32 of these 8 bytes (4)
 *   headers: name length (1), name, type (1), value, ...
 *   payload
 *   CRC-32 of everything before it (4)
 *
 * smithy.io/2.0/aws/amazon-eventstream.html; docs.aws.amazon.com/AmazonS3/latest/API/
 * RESTSelectObjectAppendix.html has the same with pictures.  Both sums are checked: bytes that
 * are wrong by one bit are no message.
 *
 * A message that arrives whole in one piece is handed out in place, without a copy.  The messages
 * and the failure depend on the bytes only, never on how they were cut.
 *
 * Ownership: the struct is embedded in its owner, eventstream_done() frees.  One per stream. */
#ifndef SCHEMA_EVENTSTREAM_H
#define SCHEMA_EVENTSTREAM_H

#include <stdint.h>

#include "schema/buf.h"

enum {
    EVENTSTREAM_PRELUDE = 12,             /* both lengths and their sum */
    EVENTSTREAM_OVERHEAD = 16,            /* of a message without headers and payload */
    EVENTSTREAM_HEADERS_MAX = 128 * 1024, /* AWS's own limit */
    EVENTSTREAM_STRING = 7                /* the type of a header that is text */
};

/* Valid during the callback only. */
struct eventstream_message {
    struct span headers; /* as received; their form was checked */
    struct span payload;
};

struct eventstream {
    size_t max;       /* of a whole message */
    struct buf carry; /* a message that is not complete yet */
    bool broken;
};

typedef bool (*eventstream_handler)(void *ctx, const struct eventstream_message *m);

void eventstream_init(struct eventstream *s, size_t max);
void eventstream_done(struct eventstream *s);
/* Calls handler for each complete message.  false when the handler did, a message is over the
 * maximum or malformed, a sum is wrong, or memory is short; then the rest of the bytes is not
 * looked at and every later call fails too. */
bool eventstream_feed(struct eventstream *s, struct span bytes, eventstream_handler handler,
                      void *ctx);
/* True between messages.  Inside the handler: true. */
bool eventstream_at_boundary(const struct eventstream *s);

/* The value of a header that is text (":message-type", ":event-type", ":exception-type", ...);
 * empty when there is none of that name and type. */
struct span eventstream_header(const struct eventstream_message *m, const char *name);

/* Appends one message whose headers are text: name, value, name, value, ..., NULL.  For the
 * simulator and for tests.  false when out is too small or a header too long. */
bool eventstream_write(struct buf *out, const char *const *headers, struct span payload);

/* CRC-32 of IEEE 802.3, as in zlib; crc is 0 or what the bytes before gave. */
uint32_t eventstream_crc32(uint32_t crc, struct span bytes);

#endif
