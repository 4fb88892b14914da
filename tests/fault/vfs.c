#define _GNU_SOURCE
/* The VFS: files in memory, faults by number, everything written down for log.c. */
#include "tests/fault/vfs.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/fault/log.h"

enum { SHM_REGIONS = 64, UNIX_SECTOR = 4096 };

struct handle {
    sqlite3_file base; /* first: SQLite knows only this */
    enum fault_slot slot;
};

static sqlite3_vfs *unix_vfs;
static sqlite3_vfs fault_vfs;
static uint64_t random_state;
static struct fault_disk disk;
static struct fault_log *recording;
static int n_open;
static int n_ops;
static atomic_int kind, at, times, hits;
static atomic_bool dead, read_only;
static void *shm[SHM_REGIONS];

/* ---- files of a disk ---- */

static void reserve(struct fault_file *f, size_t size)
{
    if (size <= f->cap)
        return;
    size_t cap = f->cap > 0 ? f->cap : 65536;
    while (cap < size)
        cap *= 2;
    uint8_t *p = realloc(f->data, cap);
    assert(p != NULL);
    f->data = p;
    f->cap = cap;
}

void file_write(struct fault_file *f, size_t offset, const void *data, size_t n)
{
    reserve(f, offset + n);
    if (offset > f->size)
        memset(f->data + f->size, 0, offset - f->size);
    memcpy(f->data + offset, data, n);
    if (offset + n > f->size)
        f->size = offset + n;
}

void file_truncate(struct fault_file *f, size_t size)
{
    reserve(f, size);
    if (size > f->size)
        memset(f->data + f->size, 0, size - f->size);
    f->size = size;
}

void fault_disk_copy(struct fault_disk *to, const struct fault_disk *from)
{
    for (int i = 0; i < FAULT_SLOTS; i++) {
        const struct fault_file *f = &from->files[i];
        to->files[i].exists = f->exists;
        to->files[i].size = 0;
        if (f->size > 0)
            file_write(&to->files[i], 0, f->data, f->size);
    }
}

void fault_disk_free(struct fault_disk *d)
{
    for (int i = 0; i < FAULT_SLOTS; i++)
        free(d->files[i].data);
    memset(d, 0, sizeof(*d));
}

void fault_load(const struct fault_disk *d)
{
    assert(n_open == 0);
    fault_disk_copy(&disk, d);
    fault_log_free(recording);
    recording = log_new(&disk);
    n_ops = 0;
    atomic_store(&dead, false);
    atomic_store(&read_only, false);
    fault_set(FAULT_NONE, 0, 0);
}

void fault_save(struct fault_disk *ret)
{
    fault_disk_copy(ret, &disk);
}

struct fault_log *fault_log_take(void)
{
    struct fault_log *taken = recording;
    recording = log_new(&disk);
    return taken;
}

/* ---- faults ---- */

int fault_count(void)
{
    return n_ops;
}

void fault_set(enum fault_kind k, int from, int n)
{
    atomic_store(&times, 0);
    atomic_store(&kind, (int)k);
    atomic_store(&at, from);
    atomic_store(&hits, 0);
    atomic_store(&times, n);
}

int fault_hits(void)
{
    return atomic_load(&hits);
}

void fault_die(void)
{
    atomic_store(&dead, true);
}

void fault_read_only(bool yes)
{
    atomic_store(&read_only, yes);
}

static bool touches(enum fault_kind k, enum log_kind op)
{
    switch (k) {
    case FAULT_IO:
    case FAULT_TORN:
        return true;
    case FAULT_FULL:
        return op == LOG_WRITE;
    case FAULT_FSYNC:
        return op == LOG_SYNC;
    case FAULT_NONE:
        break;
    }
    return false;
}

static int code_of(enum log_kind op)
{
    static const int codes[] = {[LOG_OPEN] = SQLITE_CANTOPEN,
                                [LOG_WRITE] = SQLITE_IOERR_WRITE,
                                [LOG_SYNC] = SQLITE_IOERR_FSYNC,
                                [LOG_TRUNCATE] = SQLITE_IOERR_TRUNCATE,
                                [LOG_DELETE] = SQLITE_IOERR_DELETE};
    return codes[op];
}

/* Takes the next number. SQLITE_OK, or how this operation fails. */
static int next_op(enum log_kind op)
{
    if (atomic_load(&dead))
        return code_of(op);
    int n = n_ops++;
    enum fault_kind k = (enum fault_kind)atomic_load(&kind);
    if (!touches(k, op) || n < atomic_load(&at) || atomic_load(&times) <= 0)
        return SQLITE_OK;
    atomic_fetch_sub(&times, 1);
    atomic_fetch_add(&hits, 1);
    return k == FAULT_FULL ? SQLITE_FULL : code_of(op);
}

/* ---- sqlite3_io_methods ---- */

static enum fault_slot slot_of(sqlite3_file *file)
{
    return ((struct handle *)(void *)file)->slot;
}

static int io_close(sqlite3_file *file)
{
    if (slot_of(file) == FAULT_DB)
        n_open--;
    return SQLITE_OK;
}

static int io_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
    const struct fault_file *f = &disk.files[slot_of(file)];
    size_t have = (size_t)offset < f->size ? f->size - (size_t)offset : 0;
    size_t part = have < (size_t)n ? have : (size_t)n;
    if (part > 0)
        memcpy(out, f->data + offset, part);
    memset((char *)out + part, 0, (size_t)n - part);
    return part == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int io_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 offset)
{
    enum fault_slot slot = slot_of(file);
    int rc = next_op(LOG_WRITE);
    if (atomic_load(&dead))
        return rc;
    size_t part = (size_t)n;
    enum fault_kind k = (enum fault_kind)atomic_load(&kind);
    if (rc != SQLITE_OK)
        part = k == FAULT_FULL || k == FAULT_TORN ? (size_t)n / 2 : 0;
    log_add(recording, LOG_WRITE, slot, (size_t)offset, data, part);
    if (part > 0)
        file_write(&disk.files[slot], (size_t)offset, data, part);
    return rc;
}

static int io_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    enum fault_slot slot = slot_of(file);
    int rc = next_op(LOG_TRUNCATE);
    if (atomic_load(&dead))
        return rc;
    log_add(recording, rc == SQLITE_OK ? LOG_TRUNCATE : LOG_NOTHING, slot, (size_t)size, NULL, 0);
    if (rc == SQLITE_OK)
        file_truncate(&disk.files[slot], (size_t)size);
    return rc;
}

static int io_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    int rc = next_op(LOG_SYNC);
    if (!atomic_load(&dead))
        log_add(recording, rc == SQLITE_OK ? LOG_SYNC : LOG_NOTHING, slot_of(file), 0, NULL, 0);
    return rc;
}

static int io_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)disk.files[slot_of(file)].size;
    return SQLITE_OK;
}

/* One connection: it has every lock. */
static int io_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int io_reserved(sqlite3_file *file, int *ret)
{
    (void)file;
    *ret = 0;
    return SQLITE_OK;
}

static int io_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int io_sector(sqlite3_file *file)
{
    (void)file;
    return UNIX_SECTOR;
}

static int io_device(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int io_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    (void)file;
    assert(region < SHM_REGIONS);
    if (shm[region] == NULL && extend != 0) {
        shm[region] = calloc(1, (size_t)size);
        assert(shm[region] != NULL);
    }
    *ret = shm[region];
    return SQLITE_OK;
}

static int io_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    (void)file;
    (void)offset;
    (void)n;
    (void)flags;
    return SQLITE_OK;
}

static void io_shm_barrier(sqlite3_file *file)
{
    (void)file;
    atomic_thread_fence(memory_order_seq_cst);
}

static int io_shm_unmap(sqlite3_file *file, int delete_it)
{
    (void)file;
    (void)delete_it;
    for (int i = 0; i < SHM_REGIONS; i++) {
        free(shm[i]);
        shm[i] = NULL;
    }
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = io_close,
                                           .xRead = io_read,
                                           .xWrite = io_write,
                                           .xTruncate = io_truncate,
                                           .xSync = io_sync,
                                           .xFileSize = io_size,
                                           .xLock = io_lock,
                                           .xUnlock = io_lock,
                                           .xCheckReservedLock = io_reserved,
                                           .xFileControl = io_control,
                                           .xSectorSize = io_sector,
                                           .xDeviceCharacteristics = io_device,
                                           .xShmMap = io_shm_map,
                                           .xShmLock = io_shm_lock,
                                           .xShmBarrier = io_shm_barrier,
                                           .xShmUnmap = io_shm_unmap};

/* ---- sqlite3_vfs ---- */

static enum fault_slot slot_named(const char *name)
{
    assert(name != NULL); /* else a temporary file, and temp_store is MEMORY */
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, "-wal") == 0)
        return FAULT_WAL;
    return n > 8 && strcmp(name + n - 8, "-journal") == 0 ? FAULT_JOURNAL : FAULT_DB;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    (void)vfs;
    struct handle *h = (struct handle *)(void *)file;
    enum fault_slot slot = slot_named(name);
    struct fault_file *f = &disk.files[slot];
    bool creates = !f->exists;
    file->pMethods = NULL;
    if (creates && ((flags & SQLITE_OPEN_CREATE) == 0 || atomic_load(&read_only)))
        return SQLITE_CANTOPEN;
    int rc = next_op(LOG_OPEN);
    if (!atomic_load(&dead))
        log_add(recording, creates && rc == SQLITE_OK ? LOG_OPEN : LOG_NOTHING, slot, 0, NULL, 0);
    if (rc != SQLITE_OK)
        return rc;
    if (slot == FAULT_DB) {
        assert(n_open == 0);
        n_open++;
    }
    f->exists = true;
    h->slot = slot;
    file->pMethods = &methods;
    if (ret_flags != NULL) {
        *ret_flags = flags;
        if (atomic_load(&read_only))
            *ret_flags =
                (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    }
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    enum fault_slot slot = slot_named(name);
    struct fault_file *f = &disk.files[slot];
    if (!f->exists)
        return SQLITE_IOERR_DELETE_NOENT;
    int rc = next_op(LOG_DELETE);
    if (atomic_load(&dead))
        return rc;
    log_add(recording, rc == SQLITE_OK ? LOG_DELETE : LOG_NOTHING, slot, sync_dir != 0, NULL, 0);
    if (rc == SQLITE_OK) {
        f->exists = false;
        f->size = 0;
    }
    return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    (void)flags;
    const struct fault_file *f = &disk.files[slot_named(name)];
    *ret = f->exists && (flags != SQLITE_ACCESS_EXISTS || f->size > 0); /* as "unix" has it */
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    (void)vfs;
    return unix_vfs->xFullPathname(unix_vfs, name, n, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    for (int i = 0; i < n; i++)
        out[i] = (char)(fault_random(&random_state) & 0x7f);
    return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return unix_vfs->xSleep(unix_vfs, us);
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    (void)vfs;
    return unix_vfs->xCurrentTimeInt64(unix_vfs, ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    (void)n;
    (void)out;
    return 0;
}

void fault_register(uint64_t seed)
{
    random_state = seed;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* as router/db.c, which comes too late */
    unix_vfs = sqlite3_vfs_find("unix");
    assert(unix_vfs != NULL);
    fault_vfs = (sqlite3_vfs){.iVersion = 2,
                              .szOsFile = sizeof(struct handle),
                              .mxPathname = unix_vfs->mxPathname,
                              .zName = "fault",
                              .xOpen = vfs_open,
                              .xDelete = vfs_delete,
                              .xAccess = vfs_access,
                              .xFullPathname = vfs_full_pathname,
                              .xRandomness = vfs_randomness,
                              .xSleep = vfs_sleep,
                              .xGetLastError = vfs_last_error,
                              .xCurrentTimeInt64 = vfs_time};
    int rc = sqlite3_vfs_register(&fault_vfs, 1);
    assert(rc == SQLITE_OK);
    recording = log_new(&disk);
}
