#define _GNU_SOURCE
/* The ledger on a disk that fails: crashes at every operation, power cuts, full disks, errors.
 *
 *   FAULT_CUTS=N   that many random power cuts (./runtests --long: 10,000)
 *   FAULT_SEED=N   of the scripts and cuts; a failure prints it
 *   FAULT_STRIDE=N errors at every N-th operation only
 *   FAULT_ONLY=name one test
 *
 * The last line is "N passed, N failed, N skipped". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fault/crash.h"
#include "tests/fault/history.h"
#include "tests/unit/ledger_world.h"

enum { CUTS = 400, STRIDE = 2 };

static uint64_t seed;
static int n_passed, n_failed;

static long number(const char *name, long missing)
{
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : missing;
}

static void report(const char *name, bool (*test)(uint64_t), int n, bool (*counted)(uint64_t, int))
{
    const char *only = getenv("FAULT_ONLY");
    struct timespec a, b;
    if (only != NULL && strcmp(only, name) != 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &a);
    bool ok = test != NULL ? test(seed) : counted(seed, n);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%s %s (%.1f s)\n", ok ? "ok" : "not ok", name,
           (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    fflush(stdout);
    n_passed += ok;
    n_failed += !ok;
}

int main(void)
{
    seed = (uint64_t)number("FAULT_SEED", 20261125);
    int stride = (int)number("FAULT_STRIDE", STRIDE);
    world_path(history_path);
    fault_register(seed);
    printf("# seed %llu\n", (unsigned long long)seed);
    report("while_created", crash_while_created, 0, NULL);
    report("everywhere", crash_everywhere, 0, NULL);
    report("while_recovering", crash_while_recovering, 0, NULL);
    report("errors", NULL, stride, disk_errors);
    report("full", NULL, stride, disk_full);
    report("random", NULL, (int)number("FAULT_CUTS", CUTS), crash_at_random);
    report("thread_fsync_fails", thread_fsync_fails, 0, NULL);
    report("thread_write_fails", thread_write_fails, 0, NULL);
    report("thread_disk_full", thread_disk_full, 0, NULL);
    report("thread_disk_full_at_start", thread_disk_full_at_start, 0, NULL);
    report("thread_read_only", thread_read_only, 0, NULL);
    world_remove(history_path);
    printf("%d passed, %d failed, 0 skipped\n", n_passed, n_failed);
    return n_failed == 0 && n_passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
