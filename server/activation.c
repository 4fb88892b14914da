#define _GNU_SOURCE
/* Sockets from a supervisor. */
#include "server/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/span.h"

static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static int check(int fd, struct fail *f)
{
    int family = option(fd, SO_DOMAIN);
    if (family < 0) {
        return fail_set(f, ERR_bad_request, "LISTEN_FDS", "descriptor %d was to be a socket: %s",
                        fd, strerror(errno));
    }
    if ((family != AF_INET && family != AF_INET6) || option(fd, SO_TYPE) != SOCK_STREAM ||
        option(fd, SO_ACCEPTCONN) != 1) {
        return fail_set(f, ERR_bad_request, "LISTEN_FDS",
                        "descriptor %d is no listening TCP socket; write ListenStream=HOST:PORT "
                        "and Accept=no",
                        fd);
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
        return fail_set(f, ERR_bad_request, "LISTEN_FDS", "descriptor %d: %s", fd, strerror(errno));
    }
    return 0;
}

/* The next of "a:b:c"; empty past the end. */
static struct span next_name(const char **names)
{
    size_t n = strcspn(*names, ":");
    struct span name = {*names, n};
    *names += n + ((*names)[n] == ':');
    return name;
}

/* By name, or -1: the name says nothing (systemd gives the unit's where none is set). */
static int *place_by_name(struct activation *a, struct span name)
{
    return span_is(name, "data") ? &a->data_fd : span_is(name, "admin") ? &a->admin_fd : NULL;
}

static int too_many(struct fail *f, const char *which)
{
    return fail_set(f, ERR_bad_request, "LISTEN_FDS",
                    "more than one socket for the %s listener was passed; name them with "
                    "FileDescriptorName=data and FileDescriptorName=admin",
                    which);
}

static int take(struct activation *a, int n, const char *names, struct fail *f)
{
    bool placed[ACTIVATION_SOCKETS_MAX] = {false};
    for (int i = 0; i < n; i++) {
        int *place = place_by_name(a, next_name(&names));
        if (check(ACTIVATION_FIRST_FD + i, f) != 0) {
            return -1;
        }
        if (place != NULL && *place >= 0) {
            return too_many(f, place == &a->data_fd ? "data" : "admin");
        }
        if (place != NULL) {
            *place = ACTIVATION_FIRST_FD + i;
            placed[i] = true;
        }
    }
    for (int i = 0; i < n; i++) {
        if (!placed[i]) {
            *(a->data_fd < 0 ? &a->data_fd : &a->admin_fd) = ACTIVATION_FIRST_FD + i;
        }
    }
    return 0;
}

int activation_take(struct activation *ret, struct fail *reterr)
{
    *ret = (struct activation){-1, -1};
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    int rc = 0;
    if (pid != NULL && count != NULL && strtol(pid, NULL, 10) == (long)getpid()) {
        long n = strtol(count, NULL, 10);
        if (n < 0 || n > ACTIVATION_SOCKETS_MAX) {
            rc = fail_set(reterr, ERR_bad_request, "LISTEN_FDS",
                          "%s sockets were passed; there are at most %d: data and admin", count,
                          ACTIVATION_SOCKETS_MAX);
        } else {
            rc = take(ret, (int)n, names != NULL ? names : "", reterr);
        }
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return rc;
}
