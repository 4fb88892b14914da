#define _GNU_SOURCE
/* MHD_resume_connection() wakes nothing when the epoll set is run from outside: no event,
 * no timeout.  Pins: the dirty flag and MHD_run from the loop's prepare hook (worker.c). */
#include "tests/probe/probe_mhd.h"

static struct MHD_Connection *parked;
static int n_calls;

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    switch (n_calls++) {
    case 0:
        *request = &n_calls;
        return MHD_YES;
    case 1:
        parked = connection;
        MHD_suspend_connection(connection);
        return MHD_YES;
    default:
        return probe_answer(connection, "late");
    }
}

int main(void)
{
    uint16_t port;
    char got[4096];
    struct MHD_Daemon *d = probe_daemon(handler, NULL, &port);
    int client = probe_connect(port);
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    probe_run(d, 100);
    EXPECT(parked != NULL, "the request is parked");
    MHD_resume_connection(parked);
    struct pollfd p = {.fd = probe_epoll_fd(d), .events = POLLIN};
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    bool has_timeout = MHD_get_timeout(d, &timeout) == MHD_YES;
    EXPECT(!has_timeout, "after a resume there is no timeout");
    EXPECT(poll(&p, 1, 200) == 0, "after a resume the epoll set stays quiet for 200 ms");
    probe_run(d, 100);
    probe_read(client, got, sizeof(got), "late", 1000);
    EXPECT(strstr(got, "late") != NULL, "MHD_run delivers the answer");
    close(client);
    MHD_stop_daemon(d);
    return EXIT_SUCCESS;
}
