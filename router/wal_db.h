/* The write-ahead log in few writes.  SQLite writes each frame of a commit as two pieces, 24 bytes
 * and a page (sqlite3.c, walWriteOneFrame); here what follows on from each other is put together
 * and written at once, before the sync that makes it count, or when the file is read.
 *
 * A VFS on top of the default one (sqlite.org/vfs.html), for the one connection that writes.
 * Readers have handles of their own and look at a frame only after the commit that wrote it was
 * synced: PRAGMA synchronous=FULL is what makes this right, as db.c sets it.  What could not be
 * written is told by the sync, with the code of the write. */
#ifndef ROUTER_WAL_DB_H
#define ROUTER_WAL_DB_H

enum {
    /* Bytes put together; more is written in several pieces.  SQLite's "unix" cuts the size of a
     * write to 17 bits (3.40.1, os_unix.c, seekAndWriteFd): 128 KiB would be 0, and a full disk. */
    WAL_GATHER_MAX = 120 * 1024
};

/* The name of the VFS for sqlite3_open_v2, registered at the first call; NULL: memory is short.
 * Any thread. */
const char *wal_db_vfs(void);

#endif
