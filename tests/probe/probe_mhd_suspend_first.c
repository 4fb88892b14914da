#define _GNU_SOURCE
/* After a suspend in the first call the handler is called again with upload size 0 before the
 * body, which looks like the final call.  Pins: http.c never suspends in the first call. */
#include "tests/probe/probe_mhd.h"

enum { CALLS_MAX = 8 };

static struct MHD_Connection *parked;
static size_t sizes[CALLS_MAX];
static int n_calls;

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload;
    if (n_calls == CALLS_MAX)
        return MHD_NO;
    sizes[n_calls++] = *upload_len;
    *upload_len = 0;
    if (*request == NULL) {
        *request = &n_calls;
        parked = connection;
        MHD_suspend_connection(connection);
    }
    return MHD_YES;
}

int main(void)
{
    uint16_t port;
    struct MHD_Daemon *d = probe_daemon(handler, NULL, &port);
    int client = probe_connect(port);
    probe_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    probe_run(d, 100);
    EXPECT(n_calls == 1 && parked != NULL, "parked in the first call");
    MHD_resume_connection(parked);
    MHD_run(d);
    probe_run(d, 100);
    EXPECT(n_calls >= 2 && sizes[1] == 0, "the next call has size 0 although a body is to come");
    close(client);
    probe_run(d, 50);
    MHD_stop_daemon(d);
    return EXIT_SUCCESS;
}
