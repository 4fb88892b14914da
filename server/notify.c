#define _GNU_SOURCE
/* The few lines of sd_notify that we need. */
#include "server/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
    struct sockaddr_un at;
    socklen_t at_len; /* 0: nobody listens */
    int fd;
    int watchdog_ms;
} the_manager;

/* "@name" is a name of the kernel's own, anything else a path. */
static void read_address(const char *text)
{
    size_t n = text != NULL ? strlen(text) : 0;
    if (n < 2 || n >= sizeof the_manager.at.sun_path || (text[0] != '/' && text[0] != '@')) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    the_manager.at.sun_family = AF_UNIX;
    memcpy(the_manager.at.sun_path, text, n);
    if (text[0] == '@') {
        the_manager.at.sun_path[0] = '\0';
    }
    the_manager.at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    the_manager.fd = fd;
}

static void read_watchdog(const char *usec, const char *pid)
{
    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())) {
        return;
    }
    long long half_ms = strtoll(usec, NULL, 10) / 2000;
    if (half_ms <= 0 || half_ms > 3600 * 1000) {
        return;
    }
    the_manager.watchdog_ms =
        half_ms < NOTIFY_WATCHDOG_LEAST_MS ? NOTIFY_WATCHDOG_LEAST_MS : (int)half_ms;
}

void notify_init(void)
{
    read_address(getenv("NOTIFY_SOCKET"));
    read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_send(const char *fmt, ...)
{
    char text[NOTIFY_MAX];
    va_list args;
    if (the_manager.at_len == 0) {
        return;
    }
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof text) {
        /* One that cannot be delivered is lost: serving goes on. */
        (void)sendto(the_manager.fd, text, (size_t)n, MSG_NOSIGNAL,
                     (const struct sockaddr *)&the_manager.at, the_manager.at_len);
    }
}

void notify_reloading(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

int notify_watchdog_ms(void)
{
    return the_manager.at_len != 0 ? the_manager.watchdog_ms : 0;
}
