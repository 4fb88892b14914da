#define _GNU_SOURCE
/* Blocks kept for a full disk. */
#include "router/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int64_t disk_free_bytes(const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return -1;
    return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

void ballast_init(struct ballast *b, const char *db_path, int64_t bytes,
                  int64_t (*free_bytes)(const char *path))
{
    memset(b, 0, sizeof(*b));
    snprintf(b->path, sizeof(b->path), "%s.ballast", db_path);
    b->bytes = bytes;
    b->free_bytes = free_bytes != NULL ? free_bytes : disk_free_bytes;
}

/* Blocks that an earlier run left count as there already. */
static int64_t missing_bytes(const struct ballast *b, int fd)
{
    struct stat st;
    int64_t have = fstat(fd, &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
    return have < b->bytes ? b->bytes - have : 0;
}

/* 0 or an errno. */
static int fill(const struct ballast *b, int fd)
{
    int64_t missing = missing_bytes(b, fd);
    int64_t room = missing > 0 ? b->free_bytes(b->path) : 0;
    if (missing > 0 && room >= 0 && room < missing + BALLAST_SPARE_BYTES)
        return ENOSPC;
    if (ftruncate(fd, b->bytes) != 0)
        return errno;
    return posix_fallocate(fd, 0, b->bytes);
}

int ballast_make(struct ballast *b, struct fail *reterr)
{
    int fd = open(b->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail_set(reterr, ERR_ledger_down, NULL, "%s: %s", b->path, strerror(errno));
    int error = fill(b, fd);
    if (error != 0 && ftruncate(fd, 0) != 0)
        error = errno;
    close(fd);
    b->there = error == 0;
    return error == 0 ? 0
                      : fail_set(reterr, ERR_ledger_down, NULL, "%s: %s", b->path, strerror(error));
}

bool ballast_drop(const char *db_path)
{
    struct ballast b;
    struct stat st;
    ballast_init(&b, db_path, 0, NULL);
    return stat(b.path, &st) == 0 && st.st_blocks > 0 && truncate(b.path, 0) == 0;
}

void ballast_make_way(const char *db_path)
{
    int64_t room = disk_free_bytes(db_path);
    if (room >= 0 && room < BALLAST_OPEN_BYTES)
        ballast_drop(db_path);
}

/* Truncated rather than removed: to build it again needs no new directory entry. */
bool ballast_release(struct ballast *b)
{
    if (!b->there)
        return false;
    b->there = false;
    return truncate(b->path, 0) == 0;
}
