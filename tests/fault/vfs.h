/* A disk for SQLite that can fail, be cut off, and forget what was not synced.
 *
 * A VFS, registered as the default one, keeps the files of one database in memory (the database,
 * its WAL, its journal); what is no file (randomness, time, names) is passed on to SQLite's
 * "unix".  Every open, write, sync, truncation and deletion has a number, counted from
 * fault_load.  At a chosen number it fails, and everything can be recorded, so that one run of
 * a program gives the disk after a crash at each of its operations:
 *
 *   process dies   what was written is there (the page cache stays), synced or not
 *   power fails    what was synced is there; of the rest any part, by sectors of 512 bytes,
 *                  also half a sector
 *
 * As with "unix" on Linux, bytes next to those that are written come to no harm
 * (SQLITE_IOCAP_POWERSAFE_OVERWRITE).  The WAL's index is memory and lost by both.
 * One connection at a time; faults may be set from another thread, disks must not. */
#ifndef TESTS_FAULT_VFS_H
#define TESTS_FAULT_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_slot { FAULT_DB, FAULT_WAL, FAULT_JOURNAL, FAULT_SLOTS };

struct fault_file {
    bool exists;
    size_t size, cap;
    uint8_t *data;
};

/* Zeroed: an empty disk.  Freed by fault_disk_free. */
struct fault_disk {
    struct fault_file files[FAULT_SLOTS];
};

enum fault_kind {
    FAULT_NONE,
    FAULT_IO,   /* the operation fails and does nothing */
    FAULT_TORN, /* a write fails half done; others as FAULT_IO */
    FAULT_FULL, /* writes put down a part and find no room; others succeed */
    FAULT_FSYNC /* syncs fail; others succeed */
};

/* Makes it the default VFS, in which "seed" is the source of SQLite's randomness.  Before the
 * first use of SQLite; ends the program when that fails. */
void fault_register(uint64_t seed);

void fault_disk_copy(struct fault_disk *to, const struct fault_disk *from);
void fault_disk_free(struct fault_disk *d);

/* The disk becomes a copy of d, all of it synced; counting and recording begin anew, no fault is
 * set.  No connection may be open. */
void fault_load(const struct fault_disk *d);
/* A copy of what the disk holds now. */
void fault_save(struct fault_disk *ret);
/* Operations since fault_load. */
int fault_count(void);
/* From operation `at` on, `times` operations that the kind touches fail. */
void fault_set(enum fault_kind kind, int at, int times);
/* Faults that happened since fault_set. */
int fault_hits(void);
/* The process is dead: no operation does anything any more, until fault_load. */
void fault_die(void);
/* The database opens only for reading from now on (true), or not. */
void fault_read_only(bool yes);

/* ---- the recording of a run, looked at operation by operation ---- */

struct fault_log;
/* What was recorded since fault_load, for the caller to free. */
struct fault_log *fault_log_take(void);
void fault_log_free(struct fault_log *log);
int fault_log_count(const struct fault_log *log);
/* "write 24 of wal" and so on, of operation k. */
void fault_log_describe(const struct fault_log *log, int k, char *out, size_t cap);

/* A place in it: operations before k happened. Begins at 0. */
struct fault_place;
struct fault_place *fault_place_new(const struct fault_log *log);
void fault_place_free(struct fault_place *p);
void fault_place_go(struct fault_place *p, int k);
/* The disk of a process that died here; half: in the middle of operation k. */
void fault_place_died(const struct fault_place *p, bool half, struct fault_disk *ret);

/* How much of what was not synced outlives a power cut. */
enum fault_loss { FAULT_LOSE_ALL, FAULT_LOSE_SOME, FAULT_LOSE_LATE, FAULT_LOSSES };
/* The disk after the power failed here, while operation k was under way; the same seed gives the
 * same disk.  LOSE_LATE: unsynced operations survive up to a random one. */
void fault_place_cut(const struct fault_place *p, enum fault_loss loss, uint64_t seed,
                     struct fault_disk *ret);

/* splitmix64: for everything here that is random. */
static inline uint64_t fault_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
