/* Helpers of the probes.  A probe is a small program that pins one fact about a library that
 * the code relies on or works around: exit 0 when it still holds, 1 when it does not (read
 * the comment of the probe, maybe delete the workaround), 77 when it cannot be told here. */
#ifndef TESTS_PROBE_PROBE_H
#define TESTS_PROBE_PROBE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PROBE_SKIP = 77 };

/* Ends the probe when a fact does not hold. */
#define EXPECT(condition, ...) probe_expect((condition), #condition, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static inline void probe_expect(bool holds, const char *text,
                                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s: ", holds ? "ok" : "NOT TRUE");
    vprintf(format, args);
    printf(" (%s)\n", text);
    va_end(args);
    fflush(stdout);
    if (!holds)
        exit(EXIT_FAILURE);
}

/* For what the probe itself needs. */
static inline void probe_need(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static inline int64_t probe_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A listening socket on a free loopback port. */
static inline int probe_listen(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    probe_need(fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 && listen(fd, 16) == 0 &&
                   getsockname(fd, (struct sockaddr *)&addr, &len) == 0,
               "listen");
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static inline int probe_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    probe_need(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
    return fd;
}

static inline void probe_send(int fd, const char *text)
{
    probe_need(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send");
}

/* Reads what comes within wait_ms, until `until` (NULL: until the end) was seen. */
static inline void probe_read(int fd, char *into, size_t size, const char *until, int wait_ms)
{
    size_t n = 0;
    int64_t end = probe_now_ms() + wait_ms;
    into[0] = '\0';
    while (n + 1 < size && (until == NULL || strstr(into, until) == NULL)) {
        int64_t left = end - probe_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return;
        ssize_t got = recv(fd, into + n, size - n - 1, 0);
        if (got <= 0)
            return;
        n += (size_t)got;
        into[n] = '\0';
    }
}

#endif
