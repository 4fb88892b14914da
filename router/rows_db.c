/* An eponymous virtual table (sqlite.org/vtab.html) whose rows come in by pointer. */
#include "router/rows_db.h"

#include <assert.h>
#include <stdlib.h>

#include <sqlite3.h>

enum { PARAMETER = 0, ROWS_EXPECTED = 64 };

/* Names the type of the pointer: SQL cannot make one up. */
static const char pointer_type[] = "wayfare rows";

struct rows_table {
    sqlite3_vtab base; /* first: the two are converted into each other */
    const struct rows_kind *kind;
};

struct rows_cursor {
    sqlite3_vtab_cursor base; /* first, as above */
    const struct rows *rows;
    int i;
};

static int table_connect(sqlite3 *handle, void *kind, int argc, const char *const *argv,
                         sqlite3_vtab **ret, char **err)
{
    (void)argc;
    (void)argv;
    (void)err;
    struct rows_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return SQLITE_NOMEM;
    t->kind = kind;
    *ret = &t->base;
    int rc = sqlite3_declare_vtab(handle, t->kind->columns);
    if (rc != SQLITE_OK)
        free(t);
    return rc;
}

static int table_disconnect(sqlite3_vtab *t)
{
    free(t);
    return SQLITE_OK;
}

/* The parameter must be known before the first row is asked for; without it there are none. */
static int table_best_index(sqlite3_vtab *t, sqlite3_index_info *plan)
{
    (void)t;
    plan->estimatedRows = ROWS_EXPECTED;
    plan->estimatedCost = ROWS_EXPECTED;
    for (int i = 0; i < plan->nConstraint; i++) {
        if (plan->aConstraint[i].iColumn != PARAMETER || !plan->aConstraint[i].usable ||
            plan->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        plan->aConstraintUsage[i].argvIndex = 1;
        plan->aConstraintUsage[i].omit = 1;
        return SQLITE_OK;
    }
    return SQLITE_CONSTRAINT;
}

static int cursor_open(sqlite3_vtab *t, sqlite3_vtab_cursor **ret)
{
    (void)t;
    struct rows_cursor *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return SQLITE_NOMEM;
    *ret = &c->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *c)
{
    free(c);
    return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int plan, const char *text, int argc,
                         sqlite3_value **argv)
{
    (void)plan;
    (void)text;
    assert(argc == 1);
    struct rows_cursor *c = (struct rows_cursor *)base;
    c->rows = sqlite3_value_pointer(argv[0], pointer_type);
    c->i = 0;
    return c->rows != NULL ? SQLITE_OK : SQLITE_MISUSE;
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
    ((struct rows_cursor *)base)->i++;
    return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *base)
{
    const struct rows_cursor *c = (const struct rows_cursor *)base;
    return c->i >= c->rows->n;
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ret, int column)
{
    const struct rows_cursor *c = (const struct rows_cursor *)base;
    const struct rows_table *t = (const struct rows_table *)base->pVtab;
    if (column != PARAMETER)
        t->kind->cell(ret, c->rows->all, c->i, column - 1);
    return SQLITE_OK;
}

static int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = ((const struct rows_cursor *)base)->i;
    return SQLITE_OK;
}

/* Without xCreate there is nothing to CREATE: the name itself is the table. */
static const sqlite3_module module = {
    .xConnect = table_connect,
    .xDisconnect = table_disconnect,
    .xBestIndex = table_best_index,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_filter,
    .xNext = cursor_next,
    .xEof = cursor_eof,
    .xColumn = cursor_column,
    .xRowid = cursor_rowid,
};

int rows_db_declare(struct db *db, const struct rows_kind *kind, struct fail *reterr)
{
    void *aux = (void *)(uintptr_t)kind; /* table_connect gets it back */
    if (sqlite3_create_module(db_handle(db), kind->name, &module, aux) == SQLITE_OK)
        return 0;
    return fail_set(reterr, ERR_ledger_down, NULL, "database %s: %s", db_path(db),
                    sqlite3_errmsg(db_handle(db)));
}

void rows_db_bind(struct sqlite3_stmt *s, int i, const struct rows *rows)
{
    int rc = sqlite3_bind_pointer(s, i, (void *)(uintptr_t)rows, pointer_type, NULL);
    assert(rc == SQLITE_OK);
}
