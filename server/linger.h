/* Closing without cutting the client off: a refused upload is answered at once, but a socket
 * that is closed with unread bytes is reset, and the reset can destroy the answer before the
 * client has read it.  Here the socket's double goes on reading into the void for a moment.
 *
 * Thread: the worker's loop thread. */
#ifndef SERVER_LINGER_H
#define SERVER_LINGER_H

#include <stdint.h>

enum { LINGER_MS = 5000, LINGER_BYTES_MAX = 256 * 1024 * 1024, LINGERING_MAX = 256 };

struct worker;
struct lingerer;

/* Takes over fd (a dup of a connection that is about to be closed). */
void linger_start(struct worker *w, int fd);
/* Ends what is past its time; all of them when now_ms is INT64_MAX. */
void linger_sweep(struct worker *w, int64_t now_ms);

#endif
