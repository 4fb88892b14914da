#define _GNU_SOURCE
/* MHD_stop_daemon() aborts the process when a connection is suspended.  Pins: the order of
 * shutdown in worker.c (resume all, run, then stop). */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/probe/probe_mhd.h"

static bool parked;

static enum MHD_Result handler(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **request)
{
    (void)cls, (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    if (*request == NULL) {
        *request = &parked;
        return MHD_YES;
    }
    MHD_suspend_connection(connection);
    parked = true;
    return MHD_YES;
}

static void child(void)
{
    uint16_t port;
    struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    struct MHD_Daemon *d = probe_daemon(handler, NULL, &port);
    int client = probe_connect(port);
    probe_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    probe_run(d, 100);
    if (!parked)
        _exit(2);
    MHD_stop_daemon(d);
    _exit(0);
}

int main(void)
{
    pid_t pid = fork();
    probe_need(pid >= 0, "fork");
    if (pid == 0)
        child();
    int status = 0;
    probe_need(waitpid(pid, &status, 0) == pid, "waitpid");
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
           "stopping with a suspended connection aborts (status %d)", status);
    return EXIT_SUCCESS;
}
