#define _GNU_SOURCE
/* MHD does not notice that the client of a suspended connection has left; a uv_poll for
 * UV_DISCONNECT on its socket does: an event for FIN, an event or an error status for RST.
 * Pins: the watch on parked connections (stream.c). */
#include <uv.h>

#include "tests/probe/probe_mhd.h"

static struct MHD_Connection *parked;
static bool completed;
static int seen_events, seen_status, n_seen;

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    if (*request == NULL) {
        *request = &parked;
        return MHD_YES;
    }
    if (parked == NULL) {
        parked = connection;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    return probe_answer(connection, "");
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls, (void)connection, (void)request, (void)code;
    completed = true;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    n_seen++;
    seen_status = status;
    seen_events = events;
    uv_poll_stop(handle);
}

static void try_leaving(bool reset)
{
    uint16_t port;
    uv_loop_t loop;
    uv_poll_t watch;
    parked = NULL;
    completed = false;
    n_seen = seen_events = seen_status = 0;
    struct MHD_Daemon *d = probe_daemon(handler, on_completed, &port);
    int client = probe_connect(port);
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    probe_run(d, 50);
    EXPECT(parked != NULL, "parked");
    int fd = MHD_get_connection_info(parked, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    uv_loop_init(&loop);
    uv_poll_init(&loop, &watch, fd);
    uv_poll_start(&watch, UV_DISCONNECT, on_poll);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(client);
    probe_run(d, 200);
    EXPECT(!completed, "MHD has not noticed the %s", reset ? "RST" : "FIN");
    for (int i = 0; i < 100 && n_seen == 0; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    EXPECT(n_seen == 1, "the watch has (status %d, events %d)", seen_status, seen_events);
    EXPECT(reset ? seen_status == UV_EBADF || (seen_events & UV_DISCONNECT) != 0
                 : seen_status == 0 && (seen_events & UV_DISCONNECT) != 0,
           "as %s", reset ? "UV_EBADF or UV_DISCONNECT" : "UV_DISCONNECT");
    uv_close((uv_handle_t *)&watch, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT(uv_loop_close(&loop) == 0, "nothing is left in the loop");
    MHD_resume_connection(parked);
    probe_run(d, 50);
    MHD_stop_daemon(d);
}

int main(void)
{
    try_leaving(false);
    try_leaving(true);
    return EXIT_SUCCESS;
}
