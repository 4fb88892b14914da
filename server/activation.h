/* Listening sockets that a supervisor holds and passes on (systemd's socket activation:
 * LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES).  They outlive us: while one process drains and the
 * next starts, clients that connect wait in the kernel's queue instead of being refused.
 * Thread: the main thread, before any other is started. */
#ifndef SERVER_ACTIVATION_H
#define SERVER_ACTIVATION_H

#include "schema/err.h"

enum { ACTIVATION_FIRST_FD = 3, ACTIVATION_SOCKETS_MAX = 2 };

struct activation {
    int data_fd, admin_fd; /* non-blocking, closed on exec; -1: not passed */
};

/* A socket named `data` or `admin` is that one; others are, in order, the data listener's and the
 * admin listener's.  The variables are taken out of the environment.  0, also when nothing was
 * passed to this process; -1 with reterr: something that is no listening TCP socket, or too
 * many. */
int activation_take(struct activation *ret, struct fail *reterr);

#endif
