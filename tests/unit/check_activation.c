#define _GNU_SOURCE
/* Sockets passed by a supervisor: which is which, and what is refused.  Each case is a process of
 * its own, whose descriptors from 3 on are what the row says. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/activation.h"

enum { NONE = -1, REFUSED = -2 };

/* One letter per descriptor: l listens, c does not, d datagrams, u a local socket, f a file. */
static const struct {
    const char *fds, *names; /* NULL: not set */
    int data, admin;         /* descriptors, NONE; data REFUSED: an error that has `error` */
    const char *error;
} cases[] = {
    {"l", NULL, 3, NONE, NULL},
    {"ll", NULL, 3, 4, NULL},
    {"ll", "data:admin", 3, 4, NULL},
    {"ll", "admin:data", 4, 3, NULL},
    {"l", "admin", NONE, 3, NULL},
    {"ll", "wayfare.socket:wayfare.socket", 3, 4, NULL},
    {"ll", "wayfare.socket:data", 4, 3, NULL},
    {"ll", "admin:unknown", 4, 3, NULL},
    {"ll", "unknown", 3, 4, NULL},
    {"", NULL, NONE, NONE, NULL},
    {"ll", "data:data", REFUSED, NONE, "more than one socket for the data listener"},
    {"ll", "admin:admin", REFUSED, NONE, "more than one socket for the admin listener"},
    {"lll", "data:admin:more", REFUSED, NONE, "3 sockets were passed; there are at most 2"},
    {"c", NULL, REFUSED, NONE, "descriptor 3 is no listening TCP socket"},
    {"ld", NULL, REFUSED, NONE, "descriptor 4 is no listening TCP socket"},
    {"u", NULL, REFUSED, NONE, "descriptor 3 is no listening TCP socket"},
    {"f", NULL, REFUSED, NONE, "descriptor 3 was to be a socket"},
};

static int open_kind(char kind)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX}; /* a name of the kernel's choice */
    if (kind == 'f') {
        return open("/dev/null", O_RDONLY);
    }
    int fd = socket(kind == 'u' ? AF_UNIX : AF_INET, kind == 'd' ? SOCK_DGRAM : SOCK_STREAM, 0);
    bool bound = kind == 'u' ? bind(fd, (struct sockaddr *)&local, sizeof(sa_family_t)) == 0
                             : bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (!bound || ((kind == 'l' || kind == 'u') && listen(fd, 1) != 0)) {
        _exit(20);
    }
    return fd;
}

/* In the child: the descriptors are put in place, the variables set as a supervisor would. */
static void pass(int i, const char *pid)
{
    char count[16];
    int n = (int)strlen(cases[i].fds), at[8];
    for (int k = 0; k < n; k++) {
        at[k] = fcntl(open_kind(cases[i].fds[k]), F_DUPFD, 64);
    }
    for (int k = 0; k < n; k++) {
        dup2(at[k], ACTIVATION_FIRST_FD + k);
    }
    snprintf(count, sizeof count, "%d", n);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_PID", pid, 1);
    if (cases[i].names != NULL) {
        setenv("LISTEN_FDNAMES", cases[i].names, 1);
    }
}

static bool is_ready(int fd)
{
    return fd < 0 ||
           ((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

static int judge(int i)
{
    struct activation a;
    struct fail fail = {0};
    int rc = activation_take(&a, &fail);
    if (getenv("LISTEN_FDS") != NULL || getenv("LISTEN_PID") != NULL ||
        getenv("LISTEN_FDNAMES") != NULL) {
        return 10;
    }
    if (cases[i].data == REFUSED) {
        return rc != 0 && strstr(fail.text, cases[i].error) != NULL ? 0 : 11;
    }
    bool right = rc == 0 && a.data_fd == cases[i].data && a.admin_fd == cases[i].admin;
    return !right ? 12 : is_ready(a.data_fd) && is_ready(a.admin_fd) ? 0 : 13;
}

static int result_of(pid_t child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(sockets)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        pass(_i, pid);
        _exit(judge(_i));
    }
    ck_assert_msg(result_of(child) == 0, "%s %s", cases[_i].fds, cases[_i].names);
}
END_TEST

/* The variables of a process that started us are not meant for us. */
START_TEST(of_another_process)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct activation a;
        struct fail fail;
        pass(0, "1");
        _exit(activation_take(&a, &fail) == 0 && a.data_fd == NONE && a.admin_fd == NONE ? 0 : 1);
    }
    ck_assert_int_eq(result_of(child), 0);
}
END_TEST

Suite *activation_suite(void);

Suite *activation_suite(void)
{
    Suite *s = suite_create("activation");
    TCase *t = tcase_create("passed");
    tcase_add_loop_test(t, sockets, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(t, of_another_process);
    suite_add_tcase(s, t);
    return s;
}
