#define _GNU_SOURCE
/* Files of the write-ahead log are wrapped; all others are the default VFS's own. */
#include "router/wal_db.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

struct wal_file {
    sqlite3_file base; /* first: the two are converted into each other */
    uint8_t *bytes;    /* gathered, to be written at `at`; NULL until the first write */
    int n;
    sqlite3_int64 at;
    sqlite3_file *real; /* in the memory behind this */
};

static sqlite3_vfs *real_vfs, wal_vfs;

static struct wal_file *wal_of(sqlite3_file *f)
{
    return (struct wal_file *)f;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return wal_of(f)->real;
}

/* ---- what is gathered ---- */

/* What cannot be written is given up, as SQLite gives up the transaction. */
static int flush(struct wal_file *w)
{
    int n = w->n;
    w->n = 0;
    return n > 0 ? w->real->pMethods->xWrite(w->real, w->bytes, n, w->at) : SQLITE_OK;
}

static int file_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    struct wal_file *w = wal_of(f);
    int rc = SQLITE_OK;
    if (w->n > 0 && (at != w->at + w->n || n > WAL_GATHER_MAX - w->n))
        rc = flush(w);
    if (w->bytes == NULL)
        w->bytes = malloc(WAL_GATHER_MAX);
    if (rc != SQLITE_OK)
        return rc;
    if (w->bytes == NULL || n > WAL_GATHER_MAX)
        return w->real->pMethods->xWrite(w->real, bytes, n, at);
    if (w->n == 0)
        w->at = at;
    memcpy(w->bytes + w->n, bytes, (size_t)n);
    w->n += n;
    return SQLITE_OK;
}

static int file_close(sqlite3_file *f)
{
    struct wal_file *w = wal_of(f);
    int written = flush(w);
    free(w->bytes);
    int rc = w->real->pMethods->xClose(w->real);
    return written != SQLITE_OK ? written : rc;
}

static int file_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
    int rc = flush(wal_of(f));
    return rc == SQLITE_OK ? real_of(f)->pMethods->xRead(real_of(f), bytes, n, at) : rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = flush(wal_of(f));
    return rc == SQLITE_OK ? real_of(f)->pMethods->xTruncate(real_of(f), size) : rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
    int rc = flush(wal_of(f));
    return rc == SQLITE_OK ? real_of(f)->pMethods->xSync(real_of(f), flags) : rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    int rc = flush(wal_of(f));
    return rc == SQLITE_OK ? real_of(f)->pMethods->xFileSize(real_of(f), ret) : rc;
}

/* ---- passed on ---- */

static int file_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int file_check_lock(sqlite3_file *f, int *ret)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

/* Version 1: a log has no shared memory and is not mapped. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return real_vfs->xOpen(real_vfs, name, f, flags, ret_flags);
    struct wal_file *w = wal_of(f);
    memset(w, 0, sizeof(*w));
    w->real = (sqlite3_file *)(void *)(w + 1);
    int rc = real_vfs->xOpen(real_vfs, name, w->real, flags, ret_flags);
    w->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

/* Everything else is the real one's, which must see itself. */
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    return real_vfs->xDelete(real_vfs, name, sync_dir);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    return real_vfs->xAccess(real_vfs, name, flags, ret);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    (void)vfs;
    return real_vfs->xFullPathname(real_vfs, name, n, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return real_vfs->xRandomness(real_vfs, n, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return real_vfs->xSleep(real_vfs, us);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    return real_vfs->xCurrentTime(real_vfs, ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return real_vfs->xGetLastError(real_vfs, n, out);
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    (void)vfs;
    return real_vfs->xCurrentTimeInt64(real_vfs, ret);
}

static void declare(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    if (real_vfs == NULL)
        return;
    wal_vfs = (sqlite3_vfs){
        .iVersion = real_vfs->iVersion < 2 ? real_vfs->iVersion : 2,
        .szOsFile = (int)sizeof(struct wal_file) + real_vfs->szOsFile,
        .mxPathname = real_vfs->mxPathname,
        .zName = "wayfare-wal",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time_ms,
    };
    if (sqlite3_vfs_register(&wal_vfs, 0) != SQLITE_OK)
        real_vfs = NULL;
}

const char *wal_db_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, declare);
    return real_vfs != NULL ? wal_vfs.zName : NULL;
}
