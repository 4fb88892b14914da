/* Structures in memory as rows that SQL selects from, so that one INSERT ... SELECT writes many.
 * A statement costs SQLite more to begin and end than a row costs inside it, and a cursor that
 * stays open finds the place behind the last row without descending the tree again (sqlite3.c,
 * sqlite3BtreeIndexMoveto): rows in the order of their keys are the cheapest.
 *
 * Each kind of row is a table-valued function: SELECT a, b FROM kind(?1).
 * Used by *_db.c, on the connection's thread. */
#ifndef ROUTER_ROWS_DB_H
#define ROUTER_ROWS_DB_H

#include "router/db.h"

struct sqlite3_context;

struct rows_kind {
    const char *name;
    const char *columns; /* "CREATE TABLE x(rows HIDDEN, a, b, ...)": the first is the parameter */
    /* Gives the value of a column (0 = a) of row i by sqlite3_result_*, or none: NULL.  Texts and
     * blobs may be SQLITE_STATIC: the rows outlive the statement. */
    void (*cell)(struct sqlite3_context *ret, const void *all, int i, int column);
};

struct rows {
    const void *all; /* for cell() */
    int n;
};

/* kind is borrowed for the life of the connection; twice is once.  0, or -1 (reterr). */
int rows_db_declare(struct db *db, const struct rows_kind *kind, struct fail *reterr);
/* Parameter i of a statement; rows is borrowed until the statement has run. */
void rows_db_bind(struct sqlite3_stmt *s, int i, const struct rows *rows);

#endif
