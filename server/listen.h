/* Listening sockets: parsing HOST:PORT, binding loudly. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "schema/err.h"

enum { LISTEN_BACKLOG = 1024, LISTEN_TEXT_MAX = 128 };

/* Splits HOST:PORT or [HOST]:PORT. 0, or -1 with reterr. */
int listen_split(const char *address, char ret_host[LISTEN_TEXT_MAX], int *ret_port,
                 struct fail *reterr);

/* Opens n non-blocking listening sockets on the same address (SO_REUSEPORT, one per worker).
 * Port 0 picks a free one, the same for all.  ret_text gets "HOST:PORT" as bound.
 * Fails when anything else listens there already: sharing a port with a forgotten process
 * would silently lose half of the connections. 0, or -1 with reterr and no socket left open. */
int listen_open(const char *address, int n, int *ret_fds, char ret_text[LISTEN_TEXT_MAX],
                struct fail *reterr);
/* n descriptors of one listening socket that was passed to us (server/activation.h), which is
 * closed: the workers accept from one queue, which stays when they close theirs.  As
 * listen_open otherwise. */
int listen_share(int fd, int n, int *ret_fds, char ret_text[LISTEN_TEXT_MAX], struct fail *reterr);
/* "HOST:PORT" of a socket, as numbers. */
void listen_print(int fd, char ret_text[LISTEN_TEXT_MAX]);

#endif
