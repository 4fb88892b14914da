#define _GNU_SOURCE
/* The head goes out at once even when the reader's first call suspends.  Relied on: a stream's
 * client sees status and headers before the first event (stream.c). */
#include "tests/probe/probe_mhd.h"

static struct MHD_Connection *parked;

static ssize_t reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos, (void)buf, (void)max;
    if (parked != NULL)
        return MHD_CONTENT_READER_END_OF_STREAM;
    parked = cls;
    MHD_suspend_connection(parked);
    return 0;
}

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    if (*request == NULL) {
        *request = &parked;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, reader, connection, NULL);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return queued;
}

int main(void)
{
    uint16_t port;
    char got[4096];
    struct MHD_Daemon *d = probe_daemon(handler, NULL, &port);
    int client = probe_connect(port);
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int64_t end = probe_now_ms() + 2000; parked == NULL && probe_now_ms() < end;)
        probe_run(d, 5);
    EXPECT(parked != NULL, "the reader has suspended");
    probe_read(client, got, sizeof(got), "\r\n\r\n", 50);
    EXPECT(strstr(got, "200 OK") != NULL && strstr(got, "\r\n\r\n") != NULL,
           "the whole head arrives within 50 ms");
    MHD_resume_connection(parked);
    probe_run(d, 50);
    close(client);
    probe_run(d, 20);
    MHD_stop_daemon(d);
    return EXIT_SUCCESS;
}
