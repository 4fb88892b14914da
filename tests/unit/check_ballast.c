#define _GNU_SOURCE
/* The ballast, on a disk of this test's own: SQLite's writes fail with ENOSPC when the files of the
 * database would pass its size, and its free space is what is left of it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "router/ballast.h"
#include "tests/unit/ledger_world.h"

enum { MIB = 1024 * 1024, N_RUNNING = 300 };

static char path[WORLD_PATH_MAX];
static struct db *db, *eyes;
static struct ledger *ledger;
static char log_text[4096];
static atomic_llong disk_bytes; /* size of the disk */

/* ---- the disk ---- */

static int64_t file_bytes(const char *suffix)
{
    char name[WORLD_PATH_MAX + 16];
    struct stat st;
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

static int64_t used_bytes(void)
{
    return file_bytes("") + file_bytes("-wal") + file_bytes(".ballast");
}

static int64_t free_bytes(const char *of)
{
    (void)of;
    return atomic_load(&disk_bytes) - used_bytes();
}

static bool fits(int fd, size_t n, off_t at)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || at + (off_t)n <= st.st_size)
        return true; /* blocks that are there */
    return free_bytes(NULL) >= at + (off_t)n - st.st_size;
}

static ssize_t disk_pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (fits(fd, n, at))
        return pwrite(fd, p, n, at);
    errno = ENOSPC;
    return -1;
}

static ssize_t disk_write(int fd, const void *p, size_t n)
{
    if (fits(fd, n, lseek(fd, 0, SEEK_CUR)))
        return write(fd, p, n);
    errno = ENOSPC;
    return -1;
}

/* Whichever of them this SQLite writes with. */
static void mount_disk(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    ck_assert_int_ge(vfs->iVersion, 3);
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)(void (*)(void))disk_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)(void (*)(void))disk_pwrite);
    vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)(void (*)(void))disk_write);
}

static void unmount_disk(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    vfs->xSetSystemCall(vfs, NULL, NULL);
}

/* ---- the ledger on it ---- */

static void note(const char *line)
{
    size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void start(int64_t ballast_bytes)
{
    struct fail why = {0};
    log_text[0] = '\0';
    ledger = ledger_start(db, note, &why);
    ck_assert_msg(ledger != NULL, "%s", why.text);
    struct ledger_settings s = {.ballast_bytes = ballast_bytes, .free_bytes = free_bytes};
    ck_assert_int_eq(ledger_set(ledger, &s), 0);
}

static void setup(void)
{
    atomic_store(&disk_bytes, 256 * MIB);
    mount_disk();
    world_path(path);
    db = world_open(path);
    eyes = db_open(path, DB_READ, NULL);
}

static void teardown(void)
{
    ledger_stop(ledger);
    ledger = NULL;
    db_close(eyes);
    db_close(db);
    unmount_disk();
    world_remove(path);
}

struct counts {
    int ok, down;
};

static void on_answer(void *ctx, const struct ledger_answer *a)
{
    struct counts *c = ctx;
    c->ok += a->code == ERR_OK;
    c->down += a->code == ERR_ledger_down;
}

static void on_wake(void *ctx)
{
    sem_post(ctx);
}

static struct counts hold(int first, int n)
{
    sem_t woken;
    struct counts c = {0, 0};
    sem_init(&woken, 0, 0);
    struct ledger_port *port = ledger_port_open(ledger, on_wake, &woken);
    for (int i = first; i < first + n; i++) {
        struct ledger_op *op = ledger_op_new(ledger);
        world_hold(op, i, 1, 1, 1000);
        op->port = port;
        ledger_send(ledger, op);
    }
    while (c.ok + c.down < n) {
        sem_wait(&woken);
        ledger_port_drain(port, on_answer, &c);
    }
    ledger_port_close(port);
    sem_destroy(&woken);
    return c;
}

static void settle(int first, int n)
{
    for (int i = first; i < first + n; i++) {
        struct ledger_op *op = ledger_op_new(ledger);
        world_settle(op, LEDGER_SETTLE, i, 1, 2000);
        ledger_send(ledger, op);
        op = ledger_op_new(ledger);
        world_end(op, i, "ok");
        ledger_send(ledger, op);
    }
    ledger_barrier(ledger);
}

static int64_t running(void)
{
    return world_int(eyes, "SELECT count(*) FROM attempt WHERE state NOT IN ('SETTLED', 'VOID')");
}

/* No byte more; then holds until one is refused. *next is a request number. */
static void fill_disk(int *next)
{
    atomic_store(&disk_bytes, used_bytes());
    for (int i = 0; i < 50; i++) {
        struct counts c = hold(*next, 100);
        *next += 100;
        if (c.down > 0)
            return;
    }
    ck_abort_msg("the disk is never full");
}

static void wait_for_room(int next)
{
    for (int i = 0; i < 100; i++) {
        if (hold(next + i, 1).ok == 1)
            return;
        usleep(100000);
    }
    ck_abort_msg("holds are refused for ever");
}

static int change_a_team(struct db *on, void *arg)
{
    (void)arg;
    return sqlite3_exec(db_handle(on), "UPDATE team SET name = name", NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : -1;
}

/* With a ballast what was spent is written although the disk stays full; without it waits. */
START_TEST(a_full_disk)
{
    int64_t ballast = _i == 0 ? 8 * MIB : 0;
    struct ledger_stats stats;
    start(ballast);
    ck_assert_int_eq(file_bytes(".ballast"), ballast);
    ck_assert_int_eq(hold(1, N_RUNNING).ok, N_RUNNING);
    int next = N_RUNNING + 1;
    fill_disk(&next);
    ck_assert(strstr(log_text, "holds are refused until there is room") != NULL);
    ck_assert_int_eq(strstr(log_text, "the ballast makes room") != NULL, ballast > 0);
    ck_assert_int_eq(file_bytes(".ballast"), 0);
    int64_t before = running();
    settle(1, N_RUNNING);
    ck_assert_int_eq(running(), ballast > 0 ? before - N_RUNNING : before);
    ck_assert_int_eq(hold(next++, 1).down, 1); /* there would be room now: it is not for holds */
    ledger_stats(ledger, &stats);
    ck_assert(stats.holds_refused);
    if (ballast > 0) /* nor for corrections */
        ck_assert_int_eq(ledger_job_reload(ledger, change_a_team, NULL), -1);
    ck_assert(world_is_sound(eyes));
    atomic_store(&disk_bytes, 256 * MIB);
    wait_for_room(next);
    ck_assert_int_eq(file_bytes(".ballast"), ballast);
    ck_assert_int_eq(strstr(log_text, "the ballast is back") != NULL, ballast > 0);
    ledger_barrier(ledger);
    ledger_stats(ledger, &stats);
    ck_assert(!stats.holds_refused);
    ck_assert_int_eq(ledger_job_reload(ledger, change_a_team, NULL), 0);
    ck_assert_int_eq(world_int(eyes, "SELECT count(*) FROM attempt WHERE state = 'SETTLED'"),
                     N_RUNNING);
    ck_assert(world_is_sound(eyes));
}
END_TEST

/* Killed with a full disk: what ran is resolved in the ballast's room. */
START_TEST(a_start_on_a_full_disk)
{
    start(8 * MIB);
    ck_assert_int_eq(hold(1, N_RUNNING).ok, N_RUNNING);
    ledger_stop(ledger); /* leaves running attempts running, as a kill would */
    atomic_store(&disk_bytes, used_bytes());
    start(8 * MIB);
    ck_assert(strstr(log_text, "recovered 300 requests") != NULL);
    ck_assert(strstr(log_text, "there is no ballast for a full disk") != NULL);
    ck_assert_int_eq(running(), 0);
    ck_assert(world_is_sound(eyes));
    atomic_store(&disk_bytes, 256 * MIB);
    wait_for_room(1000);
}
END_TEST

START_TEST(the_file)
{
    struct ballast b;
    struct fail why;
    ballast_init(&b, path, MIB, NULL);
    ck_assert(!ballast_release(&b));
    ck_assert(!ballast_drop(path));
    ck_assert_int_eq(ballast_make(&b, &why), 0);
    struct stat st;
    ck_assert_int_eq(stat(b.path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_ge((int64_t)st.st_blocks * 512, MIB); /* real blocks */
    ck_assert_int_eq(ballast_make(&b, &why), 0);        /* an earlier run's */
    ck_assert(ballast_release(&b));
    ck_assert(!ballast_release(&b));
    ck_assert_int_eq(file_bytes(".ballast"), 0);
    ballast_init(&b, path, 400 * (int64_t)MIB, free_bytes);
    ck_assert_int_eq(ballast_make(&b, &why), -1); /* no room */
    ck_assert(strstr(why.text, "No space left") != NULL);
    ck_assert(!b.there);
    ck_assert_int_eq(file_bytes(".ballast"), 0);
}
END_TEST

Suite *ballast_suite(void);
Suite *ballast_suite(void)
{
    Suite *s = suite_create("ballast");
    TCase *t = tcase_create("ballast");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, a_full_disk, 0, 2);
    tcase_add_test(t, a_start_on_a_full_disk);
    tcase_add_test(t, the_file);
    suite_add_tcase(s, t);
    return s;
}
