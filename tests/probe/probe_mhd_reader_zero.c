#define _GNU_SOURCE
/* A content reader that returns 0 without being suspended makes MHD ask to be run at once, for
 * ever.  Pins: stream.c suspends the connection whenever its reader has nothing. */
#include "tests/probe/probe_mhd.h"

static int n_reads;

static ssize_t reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)cls, (void)pos, (void)buf, (void)max;
    n_reads++;
    return 0;
}

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    if (*request == NULL) {
        *request = &n_reads;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, reader, NULL, NULL);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return queued;
}

int main(void)
{
    uint16_t port;
    struct MHD_Daemon *d = probe_daemon(handler, NULL, &port);
    int client = probe_connect(port);
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int64_t end = probe_now_ms() + 2000; n_reads < 1 && probe_now_ms() < end;)
        probe_run(d, 10);
    EXPECT(n_reads >= 1, "the reader was asked");
    int n_zero = 0;
    for (int i = 0; i < 50; i++) {
        MHD_UNSIGNED_LONG_LONG timeout = 1;
        n_zero += MHD_get_timeout(d, &timeout) == MHD_YES && timeout == 0;
        MHD_run(d);
    }
    EXPECT(n_zero == 50, "timeout 0 in %d of 50 turns", n_zero);
    close(client);
    MHD_stop_daemon(d);
    return EXIT_SUCCESS;
}
