/* libmicrohttpd in the mode that the server uses: an epoll set of its own, run from outside. */
#ifndef TESTS_PROBE_PROBE_MHD_H
#define TESTS_PROBE_PROBE_MHD_H

#include <microhttpd.h>

#include "tests/probe/probe.h"

enum { PROBE_TURNS_MIN = 20 };

static inline struct MHD_Daemon *probe_daemon(MHD_AccessHandlerCallback handler,
                                              MHD_RequestCompletedCallback completed,
                                              uint16_t *ret_port)
{
    int fd = probe_listen(ret_port);
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, NULL,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    probe_need(d != NULL, "MHD_start_daemon");
    return d;
}

static inline int probe_epoll_fd(struct MHD_Daemon *d)
{
    return MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

/* Runs the daemon for a while, woken by its epoll set; some turns at least, however busy the
 * machine is. */
static inline void probe_run(struct MHD_Daemon *d, int ms)
{
    int64_t end = probe_now_ms() + ms;
    int64_t left = ms;
    for (int turn = 0; left > 0 || turn < PROBE_TURNS_MIN; turn++) {
        struct pollfd p = {.fd = probe_epoll_fd(d), .events = POLLIN};
        MHD_UNSIGNED_LONG_LONG timeout;
        bool sooner = MHD_get_timeout(d, &timeout) == MHD_YES && (int64_t)timeout < left;
        poll(&p, 1, sooner ? (int)timeout : left > 0 ? (int)left : 0);
        MHD_run(d);
        left = end - probe_now_ms();
    }
}

static inline enum MHD_Result probe_answer(struct MHD_Connection *connection, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_PERSISTENT);
    probe_need(r != NULL, "MHD_create_response_from_buffer");
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return queued;
}

#endif
