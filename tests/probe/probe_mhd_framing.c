#define _GNU_SOURCE
/* MHD 0.9.75 accepts what two servers may read differently: Content-Length with
 * Transfer-Encoding, two lengths, a blank before the colon, folded lines (glued to the name),
 * even in its strict mode.  Pins: gate.c refuses them in the first call.  And it hands out its
 * receive buffer: each line of a plain head stands two bytes behind the one before, also in a head
 * of 30 KiB that came in pieces; so gate.c can see what else it takes for a line's end. */
#include "tests/probe/probe_mhd.h"

static char names[4096];
static int n_requests;
static const char *line_end;
static bool in_place; /* of the last head */

static enum MHD_Result add_name(void *cls, enum MHD_ValueKind kind, const char *key,
                                const char *value)
{
    (void)cls, (void)kind;
    size_t used = strlen(names);
    snprintf(names + used, sizeof(names) - used, "[%s]", key);
    in_place &= (uintptr_t)key - (uintptr_t)line_end == 2;
    line_end = value + strlen(value);
    return MHD_YES;
}

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)upload;
    if (*request == NULL) {
        *request = names;
        names[0] = '\0';
        n_requests++;
        in_place = true;
        line_end = version + strlen(version);
        MHD_get_connection_values(connection, MHD_HEADER_KIND, add_name, NULL);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
        in_place &= (uintptr_t)method + info->header_size - (uintptr_t)line_end == 4;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    return probe_answer(connection, "taken");
}

/* Did the handler see it, and was it answered with 200? */
static bool accepted(struct MHD_Daemon *d, uint16_t port, const char *head_and_body)
{
    char got[4096];
    int before = n_requests;
    int client = probe_connect(port);
    probe_send(client, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    probe_send(client, head_and_body);
    probe_run(d, 100);
    probe_read(client, got, sizeof(got), "taken", 500);
    close(client);
    probe_run(d, 20);
    return n_requests > before && strstr(got, "200 OK") != NULL;
}

int main(void)
{
    uint16_t port;
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, NULL,
                         MHD_OPTION_LISTEN_SOCKET, probe_listen(&port),
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    probe_need(d != NULL, "MHD_start_daemon");
    EXPECT(accepted(d, port,
                    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
           "Content-Length with Transfer-Encoding is accepted");
    EXPECT(accepted(d, port, "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc"),
           "two different lengths are accepted");
    EXPECT(accepted(d, port, "Content-Length : 3\r\n\r\n"), "a blank before the colon is accepted");
    EXPECT(strstr(names, "[Content-Length ]") != NULL, "as a name with a blank: %s", names);
    EXPECT(accepted(d, port, "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
           "a folded line is accepted");
    EXPECT(accepted(d, port, "X-A:\r\n b\r\nContent-Length: 0\r\n\r\n") &&
               strstr(names, "[X-A]") == NULL,
           "and may become part of the name: %s", names);
    static char large[30 * 1024];
    snprintf(large, sizeof(large), "A:\r\nX: %*s\r\nContent-Length: 0\r\n\r\n",
             (int)sizeof(large) - 64, "x");
    EXPECT(accepted(d, port, "A:b\r\nB:  c \r\nC:\r\nContent-Length: 0\r\n\r\n") && in_place,
           "the lines of a plain head stand in a row");
    EXPECT(accepted(d, port, large) && in_place, "of a large one too");
    const char *const odd[] = {"A: b\nContent-Length: 0\r\n\r\n", "Content-Length: 0\r\nA: b\n\r\n",
                               "Content-Length: 0\r\n\n", "A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
                               "Content-Length: 0\r\nA: b\r\n c\r\n\r\n"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        EXPECT(accepted(d, port, odd[i]) && !in_place, "an odd line can be seen: %zu", i);
    MHD_stop_daemon(d);
    return EXIT_SUCCESS;
}
