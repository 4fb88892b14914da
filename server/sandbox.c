#define _GNU_SOURCE
/* Landlock and seccomp by their system calls: neither needs a library for this little. */
#include "server/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- where it cannot be used ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILT_WITH_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define BUILT_WITH_SANITIZER 1
#endif
#endif
#ifndef BUILT_WITH_SANITIZER
#define BUILT_WITH_SANITIZER 0
#endif

const char *sandbox_unfit(void)
{
    const char *preload = getenv("LD_PRELOAD"); /* valgrind puts its own there */
    if (BUILT_WITH_SANITIZER) {
        return "this program is built with a sanitizer";
    }
    return preload != NULL && strstr(preload, "vgpreload") != NULL ? "valgrind runs this program"
                                                                   : NULL;
}

/* ---- Landlock ---- */

/* Debian 12's headers know version 2 of the interface (Linux 6.1). */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define FS_ACCESS_1 (LANDLOCK_ACCESS_FS_REFER - 1) /* the 13 rights of version 1 */
#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ_BELOW (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_BELOW                                                                                \
    (READ_BELOW | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                 \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_TRUNCATE)

struct sandbox {
    int abi;        /* version of Landlock's interface; < 1: none */
    int rules;      /* descriptor of the rule set, -1: none */
    uint64_t known; /* rights that this kernel knows */
};

struct sandbox *sandbox_new(void)
{
    static struct sandbox the_sandbox;
    struct sandbox *s = &the_sandbox;
    s->rules = -1;
    s->abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    s->known = FS_ACCESS_1 | (s->abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
               (s->abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
    struct landlock_ruleset_attr attr = {.handled_access_fs = s->known};
    if (s->abi >= 1) {
        s->rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    }
    return s;
}

static void allow(struct sandbox *s, const char *path, uint64_t rights)
{
    struct stat st;
    int fd = s->rules >= 0 ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    bool is_dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    struct landlock_path_beneath_attr rule = {
        .allowed_access = (is_dir ? rights : rights & READ_FILE) & s->known, .parent_fd = fd};
    (void)syscall(SYS_landlock_add_rule, s->rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(fd);
}

void sandbox_read(struct sandbox *s, const char *path)
{
    allow(s, path, READ_BELOW);
}

static bool holds_much_else(const char *dir)
{
    static const char *const wide[] = {"/",    "/etc",     "/home",   "/root", "/run",
                                       "/tmp", "/usr",     "/var",    "/opt",  "/srv",
                                       "/mnt", "/var/tmp", "/var/lib"};
    const char *home = getenv("HOME");
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (strcmp(dir, wide[i]) == 0) {
            return true;
        }
    }
    return (home != NULL && strcmp(dir, home) == 0) ||
           (strncmp(dir, "/home/", 6) == 0 && strchr(dir + 6, '/') == NULL);
}

/* The directory of path as the kernel knows it. */
static bool directory_of(const char *path, char ret[PATH_MAX])
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy) {
        return false;
    }
    memcpy(copy, path, strlen(path) + 1);
    return realpath(dirname(copy), ret) != NULL;
}

void sandbox_read_file(struct sandbox *s, const char *path)
{
    char real[PATH_MAX], dir[PATH_MAX];
    sandbox_read(s, path);
    if (directory_of(path, dir) && !holds_much_else(dir)) {
        sandbox_read(s, dir);
    }
    if (realpath(path, real) != NULL && directory_of(real, dir) && !holds_much_else(dir)) {
        sandbox_read(s, dir);
    }
}

void sandbox_write_beside(struct sandbox *s, const char *path)
{
    char real[PATH_MAX], dir[PATH_MAX];
    if (directory_of(path, dir)) {
        allow(s, dir, WRITE_BELOW);
    }
    if (realpath(path, real) != NULL && directory_of(real, dir)) {
        allow(s, dir, WRITE_BELOW);
    }
}

void sandbox_read_common(struct sandbox *s)
{
    static const char *const kept_away[] = {"etc", "proc", "sys", "dev", "boot"};
    DIR *root = opendir("/");
    struct dirent *e = NULL;
    while (root != NULL && (e = readdir(root)) != NULL) {
        bool away = e->d_name[0] == '.';
        for (size_t i = 0; i < sizeof kept_away / sizeof kept_away[0]; i++) {
            away |= strcmp(e->d_name, kept_away[i]) == 0;
        }
        char path[NAME_MAX + 2];
        snprintf(path, sizeof path, "/%s", e->d_name);
        if (!away) {
            allow(s, path, READ_BELOW);
        }
    }
    if (root != NULL) {
        closedir(root);
    }
}

/* Below /etc root reads also what others may not (shadow), so for root the files are named; they
 * are lost when somebody replaces them.  Any other user reads there what everybody may. */
void sandbox_read_system(struct sandbox *s)
{
    static const char *const all[] = {"/usr",
                                      "/lib",
                                      "/lib64",
                                      "/dev/null",
                                      "/dev/urandom",
                                      "/run/systemd/resolve",
                                      "/run/resolvconf",
                                      "/sys/devices/system/cpu"};
    static const char *const of_root[] = {
        "/etc/resolv.conf",     "/etc/nsswitch.conf", "/etc/hosts",           "/etc/host.conf",
        "/etc/gai.conf",        "/etc/services",      "/etc/protocols",       "/etc/localtime",
        "/etc/ld.so.cache",     "/etc/ssl/certs",     "/etc/ssl/openssl.cnf", "/etc/gnutls",
        "/etc/crypto-policies", "/etc/pki/tls/certs", "/etc/pki/ca-trust",    "/etc/wayfare"};
    static const char *const of_environment[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sandbox_read(s, all[i]);
    }
    for (size_t i = 0; i < sizeof of_environment / sizeof of_environment[0]; i++) {
        if (getenv(of_environment[i]) != NULL) {
            sandbox_read_file(s, getenv(of_environment[i]));
        }
    }
    sandbox_read_file(s, "/etc/resolv.conf"); /* often a link to where a daemon writes it */
    if (geteuid() != 0) {
        sandbox_read(s, "/etc");
        return;
    }
    for (size_t i = 0; i < sizeof of_root / sizeof of_root[0]; i++) {
        sandbox_read(s, of_root[i]);
    }
}

static bool enter_landlock(struct sandbox *s)
{
    bool in = s->rules >= 0 && syscall(SYS_landlock_restrict_self, s->rules, 0) == 0;
    if (s->rules >= 0) {
        close(s->rules);
    }
    s->rules = -1;
    return in;
}

/* ---- seccomp ---- */

/* A server of ours never makes these: starting programs, looking into processes, changing what
 * is mounted or loaded, keys of the kernel. */
static const unsigned forbidden[] = {
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_move_mount,
    SYS_open_tree,
    SYS_mount_setattr,
    SYS_unshare,
    SYS_setns,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_open_by_handle_at,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_personality,
};

/* These a library may try and do without: a second way to make system calls, or threads. */
static const unsigned refused[] = {
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_clone3, /* its flags are in memory, where no filter sees them: threads come by clone */
};

enum { N_FORBIDDEN = sizeof forbidden / sizeof forbidden[0] };
enum { N_REFUSED = sizeof refused / sizeof refused[0] };

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_CALLS 0x40000000u /* the x32 calls: other numbers for the same things */
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#endif
#ifndef FOREIGN_CALLS
#define FOREIGN_CALLS UINT32_MAX
#endif

#ifdef NATIVE_ARCH
#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define RETURN(verdict) BPF_STMT(BPF_RET | BPF_K, verdict)
#define JUMP(condition, value, yes, no) BPF_JUMP(BPF_JMP | (condition) | BPF_K, value, yes, no)

/* Threads, and no namespaces: in one of its own a process is root and may mount.  Like `sockets`
 * it reads the number of the call from the accumulator. */
static const struct sock_filter clones[] = {
    JUMP(BPF_JEQ, SYS_clone, 0, 4),
    LOAD(args[0]), /* the flags */
    JUMP(BPF_JSET,
         CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
             CLONE_NEWCGROUP,
         0, 1),
    RETURN(SECCOMP_RET_ERRNO | EPERM),
    RETURN(SECCOMP_RET_ALLOW),
};

/* Sockets are of the internet, local, or ask for routes (name resolution does); none is raw.  Reads
 * the number of the call from the accumulator; the last but one instruction is the end of all
 * that is allowed. */
static const struct sock_filter sockets[] = {
    JUMP(BPF_JEQ, SYS_socket, 0, 9),
    LOAD(args[0]), /* its lower half: little-endian */
    JUMP(BPF_JEQ, AF_UNIX, 7, 0),
    JUMP(BPF_JEQ, AF_NETLINK, 6, 0),
    JUMP(BPF_JEQ, AF_INET, 2, 0),
    JUMP(BPF_JEQ, AF_INET6, 1, 0),
    RETURN(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
    LOAD(args[1]),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf), /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
    JUMP(BPF_JEQ, SOCK_RAW, 1, 0),
    RETURN(SECCOMP_RET_ALLOW),
    RETURN(SECCOMP_RET_ERRNO | EPERM),
};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "where an argument's lower half is");

enum {
    N_HEAD = 6,
    N_CLONES = sizeof clones / sizeof clones[0],
    N_SOCKETS = sizeof sockets / sizeof sockets[0]
};

/* Two instructions for each call: is it this one, then this verdict. */
static bool enter_seccomp(void)
{
    struct sock_filter program[N_HEAD + 2 * (N_FORBIDDEN + N_REFUSED) + N_CLONES + N_SOCKETS] = {
        LOAD(arch), JUMP(BPF_JEQ, NATIVE_ARCH, 1, 0),   RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),   JUMP(BPF_JGE, FOREIGN_CALLS, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS),
    };
    unsigned short n = N_HEAD;
    for (size_t i = 0; i < N_FORBIDDEN; i++) {
        program[n++] = (struct sock_filter)JUMP(BPF_JEQ, forbidden[i], 0, 1);
        program[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    }
    for (size_t i = 0; i < N_REFUSED; i++) {
        program[n++] = (struct sock_filter)JUMP(BPF_JEQ, refused[i], 0, 1);
        program[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    }
    memcpy(program + n, clones, sizeof clones);
    memcpy(program + n + N_CLONES, sockets, sizeof sockets);
    n = (unsigned short)(n + N_CLONES + N_SOCKETS);
    struct sock_fprog filter = {.len = n, .filter = program};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}
#else
static bool enter_seccomp(void)
{
    return false; /* no table of system calls for this processor yet */
}
#endif

/* ---- entering ---- */

static const char *on(bool active)
{
    return active ? "on" : "unavailable";
}

void sandbox_enter(struct sandbox *s, char ret[SANDBOX_REPORT_MAX])
{
    const struct rlimit no_core = {0, 0};
    bool no_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    bool no_dump = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    (void)setrlimit(RLIMIT_CORE, &no_core); /* says the same once more; a service may not */
    bool landlock = enter_landlock(s);
    bool seccomp = enter_seccomp();
    int n =
        snprintf(ret, SANDBOX_REPORT_MAX, "no_new_privs=%s core_dumps=%s landlock=%s seccomp=%s",
                 on(no_privs), no_dump ? "off" : "on", on(landlock), on(seccomp));
    if (landlock && n > 0 && n < SANDBOX_REPORT_MAX) {
        snprintf(ret + n, (size_t)(SANDBOX_REPORT_MAX - n), " landlock_abi=%d", s->abi);
    }
}
