/* The ballast: a file of real blocks beside the database (PATH.ballast) that is given up when
 * the disk is full, so that what has been spent can still be written.
 * Used by the ledger thread only (router/ledger.c). */
#ifndef ROUTER_BALLAST_H
#define ROUTER_BALLAST_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/err.h"

enum { BALLAST_DEFAULT_MIB = 64, BALLAST_MAX_MIB = 1024 * 1024, BALLAST_PATH_MAX = 4096 + 16 };

/* Free space that must be left besides the ballast before it is built. */
#define BALLAST_SPARE_BYTES (INT64_C(16) * 1024 * 1024)
/* Less than this is nearly full. */
#define BALLAST_OPEN_BYTES (INT64_C(4) * 1024 * 1024)

struct ballast {
    char path[BALLAST_PATH_MAX];
    int64_t bytes; /* 0 = none is wanted */
    bool there;
    /* Free bytes of the file system of a path, -1 = unknown; a test's own disk, or statvfs. */
    int64_t (*free_bytes)(const char *path);
};

/* free_bytes NULL: statvfs. Touches no file. */
void ballast_init(struct ballast *b, const char *db_path, int64_t bytes,
                  int64_t (*free_bytes)(const char *path));
/* Takes the file of an earlier run, or builds it where there is room.  0, or -1 with reterr:
 * nothing is left behind. */
int ballast_make(struct ballast *b, struct fail *reterr);
/* At the start, before a recovery that finds no room: empties what an earlier run left. */
bool ballast_drop(const char *db_path);
/* Before the database is opened, by whoever has its lock: the same when the disk is nearly full,
 * since even opening needs a little. */
void ballast_make_way(const char *db_path);
/* Gives its blocks back at once. false: there was none. */
bool ballast_release(struct ballast *b);

#endif
