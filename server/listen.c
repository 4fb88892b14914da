/* Listening sockets. */
#define _GNU_SOURCE
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int bad_address(struct fail *f, const char *address)
{
    return fail_set(
        f, ERR_bad_request, "listen",
        "\"%s\" is not an address to listen on; write HOST:PORT, e.g. 127.0.0.1:8080 or "
        "[::1]:8080",
        address);
}

static bool split(const char *address, char host[LISTEN_TEXT_MAX], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t n = colon != NULL ? (size_t)(colon - address) : 0;
    if (colon == NULL || n >= LISTEN_TEXT_MAX || strlen(colon + 1) == 0 || strlen(colon + 1) > 5) {
        return false;
    }
    bool bracketed = n >= 2 && address[0] == '[' && colon[-1] == ']';
    memcpy(host, bracketed ? address + 1 : address, bracketed ? n - 2 : n);
    host[bracketed ? n - 2 : n] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return strspn(port, "0123456789") == strlen(port) && strtol(port, NULL, 10) <= 65535;
}

int listen_split(const char *address, char ret_host[LISTEN_TEXT_MAX], int *ret_port,
                 struct fail *reterr)
{
    char port[8];
    if (!split(address, ret_host, port)) {
        return bad_address(reterr, address);
    }
    *ret_port = (int)strtol(port, NULL, 10);
    return 0;
}

static int resolve(const char *address, struct sockaddr_storage *ret, socklen_t *ret_len,
                   struct fail *f)
{
    char host[LISTEN_TEXT_MAX], port[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (!split(address, host, port) ||
        getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found) != 0 || found == NULL) {
        return bad_address(f, address);
    }
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int bind_one(const struct sockaddr_storage *addr, socklen_t len, bool share)
{
    int on = 1;
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (share) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (bind(fd, (const struct sockaddr *)addr, len) != 0 ||
        (share && listen(fd, LISTEN_BACKLOG) != 0)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int cannot_listen(const char *address, struct fail *f)
{
    return errno == EADDRINUSE
               ? fail_set(f, ERR_bad_request, "listen", "%s is in use by another program", address)
               : fail_set(f, ERR_bad_request, "listen", "cannot listen on %s: %s", address,
                          strerror(errno));
}

static void print_bound(int fd, char out[LISTEN_TEXT_MAX], struct sockaddr_storage *addr,
                        socklen_t len)
{
    char host[INET6_ADDRSTRLEN + 8], port[8];
    getsockname(fd, (struct sockaddr *)addr, &len);
    getnameinfo((const struct sockaddr *)addr, len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, LISTEN_TEXT_MAX, addr->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void listen_print(int fd, char ret_text[LISTEN_TEXT_MAX])
{
    struct sockaddr_storage addr;
    print_bound(fd, ret_text, &addr, sizeof addr);
}

int listen_share(int fd, int n, int *ret_fds, char ret_text[LISTEN_TEXT_MAX], struct fail *reterr)
{
    listen_print(fd, ret_text);
    ret_fds[0] = fd;
    for (int i = 1; i < n; i++) {
        ret_fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (ret_fds[i] < 0) {
            while (--i >= 0) {
                close(ret_fds[i]);
            }
            return fail_set(reterr, ERR_internal, NULL, "a listening socket cannot be shared: %s",
                            strerror(errno));
        }
    }
    return 0;
}

int listen_open(const char *address, int n, int *ret_fds, char ret_text[LISTEN_TEXT_MAX],
                struct fail *reterr)
{
    struct sockaddr_storage addr;
    socklen_t len = 0;
    if (resolve(address, &addr, &len, reterr) != 0) {
        return -1;
    }
    int probe = bind_one(&addr, len, false);
    if (probe < 0) {
        return cannot_listen(address, reterr);
    }
    close(probe);
    for (int i = 0; i < n; i++) {
        ret_fds[i] = bind_one(&addr, len, true);
        if (ret_fds[i] < 0) {
            while (--i >= 0) {
                close(ret_fds[i]);
            }
            return cannot_listen(address, reterr);
        }
        print_bound(ret_fds[i], ret_text, &addr, len);
    }
    return 0;
}
