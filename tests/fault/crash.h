/* The tests; each prints one line and says whether it passed. */
#ifndef TESTS_FAULT_CRASH_H
#define TESTS_FAULT_CRASH_H

#include <stdbool.h>
#include <stdint.h>

/* ---- crash.c ---- */
bool crash_while_created(uint64_t seed);
bool crash_everywhere(uint64_t seed);
bool crash_while_recovering(uint64_t seed);
bool crash_at_random(uint64_t seed, int n_cuts);

/* ---- disk.c ---- */
/* stride: every so many operations. */
bool disk_errors(uint64_t seed, int stride);
bool disk_full(uint64_t seed, int stride);

/* ---- thread.c ---- */
bool thread_fsync_fails(uint64_t seed);
bool thread_write_fails(uint64_t seed);
bool thread_disk_full(uint64_t seed);
bool thread_disk_full_at_start(uint64_t seed);
bool thread_read_only(uint64_t seed);

#endif
