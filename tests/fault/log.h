/* What the VFS did to its disk, in order; between vfs.c and log.c. */
#ifndef TESTS_FAULT_LOG_H
#define TESTS_FAULT_LOG_H

#include "tests/fault/vfs.h"

enum log_kind {
    LOG_OPEN, /* that created the file */
    LOG_WRITE,
    LOG_SYNC,
    LOG_TRUNCATE,
    LOG_DELETE,
    LOG_NOTHING /* failed, or opened what was there */
};

/* A log that begins with this disk, all of it synced. */
struct fault_log *log_new(const struct fault_disk *base);
/* offset: of a write; the size, of a truncation; 1 when a deletion is synced. */
void log_add(struct fault_log *log, enum log_kind kind, enum fault_slot slot, size_t offset,
             const void *data, size_t n);

/* ---- vfs.c's, of a file ---- */
void file_write(struct fault_file *f, size_t offset, const void *data, size_t n);
void file_truncate(struct fault_file *f, size_t size);

#endif
