#define _GNU_SOURCE
/* The completed callback comes before the response's free callback.  Relied on: a request is
 * freed in the completed callback and its response has no free callback (http.c, stream.c). */
#include "tests/probe/probe_mhd.h"

static char order[8];
static size_t n_order;

static void note(char what)
{
    if (n_order + 1 < sizeof(order))
        order[n_order++] = what;
}

static ssize_t reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)cls, (void)max;
    if (pos > 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    memcpy(buf, "once", 4);
    return 4;
}

static void on_free(void *cls)
{
    (void)cls;
    note('f');
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls, (void)connection, (void)request, (void)code;
    note('c');
}

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    if (*request == NULL) {
        *request = order;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, reader, NULL, on_free);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return queued;
}

int main(void)
{
    uint16_t port;
    char got[4096];
    struct MHD_Daemon *d = probe_daemon(handler, on_completed, &port);
    int client = probe_connect(port);
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    probe_run(d, 100);
    probe_read(client, got, sizeof(got), "0\r\n\r\n", 1000);
    EXPECT(strcmp(order, "cf") == 0, "completed, then freed, when all went well: %s", order);
    n_order = 0;
    memset(order, 0, sizeof(order));
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    close(client);
    probe_run(d, 100);
    MHD_stop_daemon(d);
    EXPECT(order[0] == '\0' || strcmp(order, "cf") == 0,
           "and when the client has left: \"%s\" (empty: never begun)", order);
    return EXIT_SUCCESS;
}
