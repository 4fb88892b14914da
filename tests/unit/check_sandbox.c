#define _GNU_SOURCE
/* The sandbox from inside: each case is a process of its own that enters it and then tries. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/sandbox.h"

enum { PATH_LEN = 256, DENIED = 100, DONE = 0, OTHER = 101 };

/* base/state is the database's directory, base/secret that of a credential, base/else neither. */
static char base[PATH_LEN];

static const char *in_base(const char *name)
{
    static char path[PATH_LEN * 2];
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in_base(name), "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void make_base(void)
{
    static const char *const dirs[] = {"state", "secret", "links", "else"};
    const char *tmp = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/wayfare-sandbox-XXXXXX", tmp != NULL ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(base));
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        ck_assert_int_eq(mkdir(in_base(dirs[i]), 0700), 0);
    put("state/old", "x");
    put("secret/key", "sk-1");
    put("else/file", "x");
    ck_assert_int_eq(symlink("../secret/key", in_base("links/link")), 0);
}

static void remove_base(void)
{
    static const char *const all[] = {"state/old",  "state/new", "state/newer", "secret/key",
                                      "links/link", "else/file", "else/new",    "links",
                                      "state",      "secret",    "else",        ""};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        remove(in_base(all[i]));
}

static void enter(void)
{
    char report[SANDBOX_REPORT_MAX];
    struct sandbox *s = sandbox_new();
    sandbox_write_beside(s, in_base("state/wayfare.db"));
    sandbox_read_file(s, in_base("links/link"));
    sandbox_read_system(s);
    sandbox_enter(s, report);
}

/* ---- what is tried ---- */

static int verdict(long rc)
{
    return rc >= 0 ? DONE : errno == EACCES || errno == EPERM || errno == EXDEV ? DENIED : OTHER;
}

static int try_execve(void)
{
    char *argv[] = {(char[]){"true"}, NULL}, *envp[] = {NULL};
    return verdict(execve("/bin/true", argv, envp));
}

static int try_execveat(void)
{
    char *argv[] = {(char[]){"true"}, NULL}, *envp[] = {NULL};
    return verdict(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, envp, 0));
}

static int try_ptrace(void)
{
    return verdict(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int try_read_memory(void)
{
    return verdict(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int try_mount(void)
{
    return verdict(syscall(SYS_mount, "none", base, "tmpfs", 0, NULL));
}

static int try_keyctl(void)
{
    return verdict(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int try_bpf(void)
{
    return verdict(syscall(SYS_bpf, 0, NULL, 0));
}

/* As a library does to learn whether it may: an answer, no end. */
static int try_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS ? DENIED : OTHER;
}

static int try_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    return fd >= 0 ? DONE : errno == EPERM || errno == EAFNOSUPPORT ? DENIED : OTHER;
}

static int try_raw(void)
{
    return try_socket(AF_INET, SOCK_RAW);
}

static int try_raw6(void)
{
    return try_socket(AF_INET6, SOCK_RAW);
}

static int try_packet(void)
{
    return try_socket(AF_PACKET, SOCK_DGRAM);
}

static int try_tcp(void)
{
    return try_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
}

static int try_local(void)
{
    return try_socket(AF_UNIX, SOCK_STREAM);
}

static int open_with(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    return verdict(fd);
}

static int try_shadow(void)
{
    return open_with("/etc/shadow", O_RDONLY);
}

static int try_read_elsewhere(void)
{
    return open_with(in_base("else/file"), O_RDONLY);
}

static int try_make_elsewhere(void)
{
    return open_with(in_base("else/new"), O_RDWR | O_CREAT);
}

static int try_change_secret(void)
{
    return open_with(in_base("secret/key"), O_WRONLY);
}

static int try_remove_elsewhere(void)
{
    return verdict(unlink(in_base("else/file")));
}

static int try_make_dir(void)
{
    return verdict(mkdir(in_base("state/dir"), 0700));
}

static int try_read_secret(void)
{
    return open_with(in_base("links/link"), O_RDONLY);
}

static int try_make_here(void)
{
    return open_with(in_base("state/new"), O_RDWR | O_CREAT);
}

static int try_rename_here(void)
{
    char to[PATH_LEN * 2];
    snprintf(to, sizeof to, "%s/state/newer", base);
    return verdict(rename(in_base("state/old"), to));
}

static int try_truncate_here(void)
{
    return verdict(truncate(in_base("state/old"), 0));
}

static int try_remove_here(void)
{
    return verdict(unlink(in_base("state/old")));
}

static int try_zone(void)
{
    return open_with("/usr/share", O_RDONLY | O_DIRECTORY);
}

static int try_resolve(void)
{
    struct addrinfo *found = NULL;
    int rc = getaddrinfo("localhost", "80", NULL, &found);
    return rc == 0 ? DONE : OTHER;
}

static void *in_thread(void *arg)
{
    *(int *)arg = try_read_elsewhere();
    return NULL;
}

/* What is started later is inside too. */
static int try_thread(void)
{
    pthread_t t;
    int ret = OTHER;
    if (pthread_create(&t, NULL, in_thread, &ret) != 0 || pthread_join(t, NULL) != 0)
        return OTHER;
    return ret;
}

static int try_clone(void)
{
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(0);
    int denied = child < 0 && errno == EPERM ? DENIED : OTHER;
    return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? denied : OTHER;
}

static int try_fork(void)
{
    pid_t child = fork();
    int status = -1;
    if (child == 0)
        _exit(0);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? DONE : OTHER;
}

static int try_core(void)
{
    struct rlimit r = {1, 1};
    bool none = getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_cur == 0 && r.rlim_max == 0;
    return none && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? DENIED : OTHER;
}

static int try_new_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? DENIED : OTHER;
}

enum { KILLED = 102, FILES = 1 /* needs Landlock */, CALLS = 2 /* needs seccomp */ };

static const struct {
    const char *what;
    int (*try)(void);
    int wanted, needs;
} cases[] = {
    {"execve", try_execve, KILLED, CALLS},
    {"execveat", try_execveat, KILLED, CALLS},
    {"ptrace", try_ptrace, KILLED, CALLS},
    {"process_vm_readv", try_read_memory, KILLED, CALLS},
    {"mount", try_mount, KILLED, CALLS},
    {"keyctl", try_keyctl, KILLED, CALLS},
    {"bpf", try_bpf, KILLED, CALLS},
    {"io_uring", try_io_uring, DENIED, CALLS},
    {"clone into a namespace", try_clone, DENIED, CALLS},
    {"clone for a process", try_fork, DONE, 0},
    {"a raw socket", try_raw, DENIED, CALLS},
    {"a raw socket of IPv6", try_raw6, DENIED, CALLS},
    {"a packet socket", try_packet, DENIED, CALLS},
    {"a TCP socket", try_tcp, DONE, 0},
    {"a local socket", try_local, DONE, 0},
    {"/etc/shadow", try_shadow, DENIED, FILES},
    {"reading elsewhere", try_read_elsewhere, DENIED, FILES},
    {"making elsewhere", try_make_elsewhere, DENIED, FILES},
    {"changing a secret", try_change_secret, DENIED, FILES},
    {"removing elsewhere", try_remove_elsewhere, DENIED, FILES},
    {"a directory", try_make_dir, DENIED, FILES},
    {"another thread", try_thread, DENIED, FILES},
    {"a secret through its link", try_read_secret, DONE, 0},
    {"making beside the database", try_make_here, DONE, 0},
    {"renaming beside the database", try_rename_here, DONE, 0},
    {"truncating beside the database", try_truncate_here, DONE, 0},
    {"removing beside the database", try_remove_here, DONE, 0},
    {"the system's files", try_zone, DONE, 0},
    {"a name", try_resolve, DONE, 0},
    {"core dumps", try_core, DENIED, 0},
    {"new privileges", try_new_privileges, DENIED, 0},
};

/* valgrind and old kernels know no Landlock. */
static bool is_there(int needs)
{
    char report[SANDBOX_REPORT_MAX] = "";
    int through[2];
    ck_assert_int_eq(pipe(through), 0);
    pid_t child = fork();
    if (child == 0) {
        struct sandbox *s = sandbox_new();
        sandbox_enter(s, report);
        _exit(write(through[1], report, sizeof report) == (ssize_t)sizeof report ? 0 : 1);
    }
    waitpid(child, NULL, 0);
    close(through[1]);
    ssize_t n = read(through[0], report, sizeof report);
    close(through[0]);
    ck_assert_int_eq(n, sizeof report);
    return ((needs & FILES) == 0 || strstr(report, "landlock=on") != NULL) &&
           ((needs & CALLS) == 0 || strstr(report, "seccomp=on") != NULL);
}

START_TEST(inside)
{
    int status = 0;
    if (!is_there(cases[_i].needs)) {
        printf("skip %s: this kernel (or valgrind) does not have it\n", cases[_i].what);
        return;
    }
    make_base();
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        enter();
        _exit(cases[_i].try());
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    remove_base();
    int got = WIFEXITED(status)                                   ? WEXITSTATUS(status)
              : WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? KILLED
                                                                  : OTHER;
    ck_assert_msg(got == cases[_i].wanted, "%s: %d, wanted %d", cases[_i].what, got,
                  cases[_i].wanted);
}
END_TEST

Suite *sandbox_suite(void);

Suite *sandbox_suite(void)
{
    Suite *s = suite_create("sandbox");
    TCase *t = tcase_create("inside");
    tcase_add_loop_test(t, inside, 0, (int)(sizeof cases / sizeof cases[0]));
    suite_add_tcase(s, t);
    return s;
}
