#define _GNU_SOURCE
/* Operations that fail while the process lives: errors end it, a full disk does not. */
#include "tests/fault/crash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fault/history.h"

struct bench {
    struct script script;
    struct witness begin;
    struct fault_disk fresh, disk;
    struct run run;
    int n_operations; /* of a run without faults */
    int n_hit;        /* faults that happened */
};

static struct bench *bench_new(uint64_t seed)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct history h;
    assert(b != NULL);
    script_make(&b->script, seed);
    witness_begin(&b->begin, &b->script);
    history_fresh(&b->fresh);
    bool ok = history_record(&h, &b->fresh, &b->begin, &b->script, 0, b->script.n_batches);
    assert(ok);
    b->n_operations = fault_log_count(h.log);
    history_free(&h);
    return b;
}

static void bench_free(struct bench *b)
{
    fault_disk_free(&b->fresh);
    fault_disk_free(&b->disk);
    free(b);
}

/* The whole script; how far it came. */
static enum run_result play(struct bench *b, int *ret_batch)
{
    *ret_batch = 0;
    enum run_result result = run_open(&b->run, &b->begin);
    for (; result == RUN_OK && *ret_batch < b->script.n_batches; ++*ret_batch)
        result = run_step(&b->run, &b->script, *ret_batch);
    return result;
}

/* ---- errors: the process ends, and what it said stays true ---- */

static bool error_at(struct bench *b, enum fault_kind kind, int k, uint64_t seed)
{
    int batch;
    fault_load(&b->fresh);
    fault_set(kind, k, 1);
    enum run_result result = play(b, &batch);
    bool hit = fault_hits() > 0;
    run_close(&b->run, result == RUN_DIED);
    if (!hit && fault_hits() == 0)
        return true; /* none of this kind came any more */
    b->n_hit++;
    struct fault_log *log = fault_log_take();
    struct fault_place *p = fault_place_new(log);
    fault_place_go(p, fault_log_count(log));
    if (k % 2 == 0)
        fault_place_died(p, false, &b->disk);
    else
        fault_place_cut(p, FAULT_LOSE_SOME, seed, &b->disk);
    fault_place_free(p);
    fault_log_free(log);
    if (hit && result == RUN_OK) {
        fprintf(stderr, "an error was overlooked\n");
        return false;
    }
    return disk_is_right(&b->disk, &b->run.seen, &b->run.attempted, batch, batch + 2, NULL);
}

bool disk_errors(uint64_t seed, int stride)
{
    static const enum fault_kind kinds[] = {FAULT_IO, FAULT_TORN, FAULT_FSYNC};
    static const char *const names[] = {"an error", "a torn write", "a failed sync"};
    struct bench *b = bench_new(seed);
    bool ok = true;
    for (int k = 0; k < b->n_operations && ok; k += stride) {
        int kind = k / stride % 3;
        ok = error_at(b, kinds[kind], k, seed + (uint64_t)k);
        if (!ok)
            printf("# seed %llu, %s at operation %d of %d\n", (unsigned long long)seed, names[kind],
                   k, b->n_operations);
    }
    printf("# %d operations, %d errors\n", b->n_operations, b->n_hit);
    ok = ok && b->n_hit > 0;
    bench_free(b);
    return ok;
}

/* ---- full: holds are refused, ends are kept, nothing dies ---- */

static bool full_at(struct bench *b, int k, int times)
{
    int batch;
    fault_load(&b->fresh);
    fault_set(FAULT_FULL, k, times);
    enum run_result result = play(b, &batch);
    bool no_book = b->run.book == NULL; /* no room at the start: it does not start */
    b->n_hit += fault_hits() > 0;
    fault_set(FAULT_NONE, 0, 0);
    if (!no_book && result == RUN_OK)
        result = run_kept(&b->run, &b->script);
    bool ok = no_book || (result == RUN_OK && !b->run.no_room && b->run.n_kept == 0 &&
                          !b->run.seen.disagrees && witness_agrees(&b->run.seen, b->run.db, true));
    if (!ok)
        fprintf(stderr, "a full disk was not survived\n");
    run_close(&b->run, false);
    fault_save(&b->disk);
    return ok && disk_is_right(&b->disk, &b->run.seen, &b->run.seen, 0, 0, NULL);
}

bool disk_full(uint64_t seed, int stride)
{
    struct bench *b = bench_new(seed);
    uint64_t random = seed;
    bool ok = true;
    int n_refused = 0;
    for (int k = 1; k < b->n_operations && ok; k += stride) {
        int times = 1 + (int)(fault_random(&random) % 40);
        ok = full_at(b, k, times);
        n_refused += b->run.n_refused;
        if (!ok)
            printf("# seed %llu, no room from operation %d of %d on, %d times\n",
                   (unsigned long long)seed, k, b->n_operations, times);
    }
    printf("# %d operations, the disk was full %d times, %d holds refused\n", b->n_operations,
           b->n_hit, n_refused);
    ok = ok && b->n_hit > 0 && n_refused > 0;
    bench_free(b);
    return ok;
}
