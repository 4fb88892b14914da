/* Base64 with padding (RFC 4648). */
#ifndef SIM_BASE64_H
#define SIM_BASE64_H

#include "schema/buf.h"

void base64_encode(struct buf *out, struct span bytes);
/* Either alphabet; anything else in the text is passed over. */
void base64_decode(struct buf *out, struct span text);
/* Nothing but digits of one of the alphabets, and padding at the end. */
bool base64_is(struct span text);

#endif
