/* The recording of a run, and the disks that a crash at one of its operations leaves. */
#include "tests/fault/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

struct op {
    enum log_kind kind;
    enum fault_slot slot;
    size_t offset, n;
    size_t data; /* in the arena */
};

struct fault_log {
    struct fault_disk base;
    struct op *ops;
    int n_ops, cap_ops;
    uint8_t *arena;
    size_t n_arena, cap_arena;
};

struct fault_place {
    const struct fault_log *log;
    int k;
    struct fault_disk seen, synced; /* by the process; by a power cut */
    struct pending {
        int *ops, n, cap; /* not synced, in order */
    } pending[FAULT_SLOTS];
};

/* ---- recording ---- */

struct fault_log *log_new(const struct fault_disk *base)
{
    struct fault_log *log = calloc(1, sizeof(*log));
    assert(log != NULL);
    fault_disk_copy(&log->base, base);
    return log;
}

void fault_log_free(struct fault_log *log)
{
    if (log == NULL)
        return;
    fault_disk_free(&log->base);
    free(log->ops);
    free(log->arena);
    free(log);
}

void log_add(struct fault_log *log, enum log_kind kind, enum fault_slot slot, size_t offset,
             const void *data, size_t n)
{
    if (log->n_ops == log->cap_ops) {
        log->cap_ops = log->cap_ops * 2 + 1024;
        log->ops = realloc(log->ops, (size_t)log->cap_ops * sizeof(*log->ops));
        assert(log->ops != NULL);
    }
    if (log->n_arena + n > log->cap_arena) {
        log->cap_arena = log->cap_arena * 2 + n + 65536;
        log->arena = realloc(log->arena, log->cap_arena);
        assert(log->arena != NULL);
    }
    if (n > 0)
        memcpy(log->arena + log->n_arena, data, n);
    log->ops[log->n_ops++] = (struct op){kind, slot, offset, n, log->n_arena};
    log->n_arena += n;
}

int fault_log_count(const struct fault_log *log)
{
    return log->n_ops;
}

void fault_log_describe(const struct fault_log *log, int k, char *out, size_t cap)
{
    static const char *const kinds[] = {"creation",   "write",    "sync",
                                        "truncation", "deletion", "no change"};
    static const char *const names[] = {"database", "WAL", "journal"};
    if (k >= log->n_ops) {
        snprintf(out, cap, "the end");
        return;
    }
    const struct op *o = &log->ops[k];
    snprintf(out, cap, "%s of the %s at %zu, %zu bytes", kinds[o->kind], names[o->slot], o->offset,
             o->n);
}

/* ---- a place ---- */

struct fault_place *fault_place_new(const struct fault_log *log)
{
    struct fault_place *p = calloc(1, sizeof(*p));
    assert(p != NULL);
    p->log = log;
    fault_disk_copy(&p->seen, &log->base);
    fault_disk_copy(&p->synced, &log->base);
    return p;
}

void fault_place_free(struct fault_place *p)
{
    fault_disk_free(&p->seen);
    fault_disk_free(&p->synced);
    for (int i = 0; i < FAULT_SLOTS; i++)
        free(p->pending[i].ops);
    free(p);
}

static void apply(const struct fault_log *log, const struct op *o, struct fault_file *f)
{
    switch (o->kind) {
    case LOG_OPEN:
        f->exists = true;
        f->size = 0;
        break;
    case LOG_WRITE:
        file_write(f, o->offset, log->arena + o->data, o->n);
        break;
    case LOG_TRUNCATE:
        file_truncate(f, o->offset);
        break;
    case LOG_DELETE:
        f->exists = false;
        f->size = 0;
        break;
    case LOG_SYNC:
    case LOG_NOTHING:
        break;
    }
}

static void add_pending(struct pending *q, int k)
{
    if (q->n == q->cap) {
        q->cap = q->cap * 2 + 64;
        q->ops = realloc(q->ops, (size_t)q->cap * sizeof(*q->ops));
        assert(q->ops != NULL);
    }
    q->ops[q->n++] = k;
}

static void step(struct fault_place *p)
{
    const struct op *o = &p->log->ops[p->k];
    struct pending *q = &p->pending[o->slot];
    bool syncs = o->kind == LOG_SYNC || (o->kind == LOG_DELETE && o->offset == 1);
    apply(p->log, o, &p->seen.files[o->slot]);
    if (o->kind != LOG_SYNC && o->kind != LOG_NOTHING)
        add_pending(q, p->k);
    for (int i = 0; syncs && i < q->n; i++)
        apply(p->log, &p->log->ops[q->ops[i]], &p->synced.files[o->slot]);
    q->n = syncs ? 0 : q->n;
    p->k++;
}

void fault_place_go(struct fault_place *p, int k)
{
    assert(k >= p->k && k <= p->log->n_ops);
    while (p->k < k)
        step(p);
}

void fault_place_died(const struct fault_place *p, bool half, struct fault_disk *ret)
{
    fault_disk_copy(ret, &p->seen);
    if (!half || p->k == p->log->n_ops)
        return;
    struct op o = p->log->ops[p->k];
    o.n /= 2;
    apply(p->log, &o, &ret->files[o.slot]);
}

/* ---- power cuts ---- */

struct loss {
    enum fault_loss loss;
    uint64_t random;
    unsigned keep_256; /* LOSE_SOME: of 256 sectors so many survive */
    int until;         /* LOSE_LATE: operations before this one survive */
};

static bool survives(struct loss *l, int k)
{
    if (l->loss == FAULT_LOSE_LATE)
        return k < l->until;
    return l->loss == FAULT_LOSE_SOME && (fault_random(&l->random) & 0xff) < l->keep_256;
}

/* Sector by sector of the disk (not of the write): each survives, or not, or half of it. */
static void write_some(struct loss *l, const struct fault_log *log, int k, struct fault_file *f)
{
    const struct op *o = &log->ops[k];
    for (size_t done = 0; done < o->n;) {
        size_t n = SECTOR - (o->offset + done) % SECTOR;
        n = n < o->n - done ? n : o->n - done;
        size_t part = survives(l, k) ? n : 0;
        if (part > 1 && l->loss == FAULT_LOSE_SOME && (fault_random(&l->random) & 15) == 0)
            part = 1 + fault_random(&l->random) % (part - 1);
        if (part > 0)
            file_write(f, o->offset + done, log->arena + o->data + done, part);
        done += n;
    }
}

/* Of one file's operations.  What happens to a file whose creation was lost is lost with it. */
static void cut_file(struct loss *l, const struct fault_log *log, const int *ops, int n,
                     struct fault_file *f)
{
    bool gone = false;
    for (int i = 0; i < n; i++) {
        const struct op *o = &log->ops[ops[i]];
        if (o->kind == LOG_WRITE) {
            if (!gone && f->exists)
                write_some(l, log, ops[i], f);
            continue;
        }
        bool happened = survives(l, ops[i]);
        if (o->kind == LOG_OPEN)
            gone = !happened;
        if (happened && (!gone || o->kind == LOG_DELETE))
            apply(log, o, f);
    }
}

void fault_place_cut(const struct fault_place *p, enum fault_loss loss, uint64_t seed,
                     struct fault_disk *ret)
{
    static const unsigned keep[] = {16, 128, 240, 255};
    struct loss l = {.loss = loss, .random = seed};
    l.keep_256 = keep[fault_random(&l.random) % 4];
    int first = p->k;
    for (int i = 0; i < FAULT_SLOTS; i++) {
        if (p->pending[i].n > 0 && p->pending[i].ops[0] < first)
            first = p->pending[i].ops[0];
    }
    l.until = first + (int)(fault_random(&l.random) % (uint64_t)(p->k - first + 2));
    fault_disk_copy(ret, &p->synced);
    for (int i = 0; i < FAULT_SLOTS; i++) {
        struct pending q = p->pending[i];
        cut_file(&l, p->log, q.ops, q.n, &ret->files[i]);
        int k = p->k;
        if (k < p->log->n_ops && p->log->ops[k].slot == (enum fault_slot)i &&
            p->log->ops[k].kind != LOG_NOTHING && p->log->ops[k].kind != LOG_SYNC)
            cut_file(&l, p->log, &k, 1, &ret->files[i]);
    }
}
