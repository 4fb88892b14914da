/* OpenRouter's activity as CSV (RFC 4180): a header names the columns, in any order. */
#include "router/reconcile.h"

#include <string.h>

#include "schema/money.h"
#include "schema/when.h"

enum { DAY_MS = 86400000, CELLS_MAX = 64, CELL_MAX = 512 };

enum column { COL_DATE, COL_MODEL, COL_USAGE, COL_PROMPT, COL_COMPLETION, COLUMNS };

static const struct {
    const char *name;
    bool required;
} columns[COLUMNS] = {{"date", true},
                      {"model", true},
                      {"usage", true},
                      {"prompt_tokens", false},
                      {"completion_tokens", false}};

struct csv {
    struct span left;
    int line; /* of the row read last, 1 = the header */
    int n_cells, next_line;
    char cells[CELLS_MAX][CELL_MAX];
};

static int bad(const struct csv *c, const char *column, const char *what, struct fail *reterr)
{
    return fail_set(reterr, ERR_bad_request, "text", "line %d%s%s: %s", c->line,
                    column[0] != '\0' ? ", " : "", column, what);
}

static int take(struct csv *c)
{
    if (c->left.len == 0)
        return -1;
    int ch = (unsigned char)*c->left.ptr;
    c->left = (struct span){c->left.ptr + 1, c->left.len - 1};
    c->next_line += ch == '\n';
    return ch;
}

/* One cell, without its quotes; *ret_end is what followed it: ',', '\n' or -1. */
static int read_cell(struct csv *c, char *cell, int *ret_end, struct fail *reterr)
{
    size_t n = 0;
    bool quoted = c->left.len > 0 && *c->left.ptr == '"', open = quoted;
    if (quoted)
        take(c);
    for (;;) {
        int ch = take(c);
        if (open && ch == '"') {
            open = c->left.len > 0 && *c->left.ptr == '"';
            if (!open)
                continue;
            take(c);
        } else if (!open && (ch == ',' || ch == '\n' || ch == -1)) {
            *ret_end = ch;
            break;
        } else if (ch == -1 || ch == '\0') {
            return bad(c, "", "a quote is not closed, or a NUL byte", reterr);
        }
        if (n + 1 == CELL_MAX)
            return bad(c, "", "a cell is too long", reterr);
        cell[n++] = (char)ch;
    }
    if (n > 0 && !quoted && cell[n - 1] == '\r')
        n--;
    while (quoted && n > 0 && cell[n - 1] == '\r')
        n--;
    cell[n] = '\0';
    return 0;
}

/* 1 = a row, 0 = the end. Empty lines are skipped. */
static int read_row(struct csv *c, struct fail *reterr)
{
    while (c->left.len > 0) {
        int end = ',';
        c->line = c->next_line;
        for (c->n_cells = 0; end == ','; c->n_cells++) {
            if (c->n_cells == CELLS_MAX)
                return bad(c, "", "too many columns", reterr);
            if (read_cell(c, c->cells[c->n_cells], &end, reterr) != 0)
                return -1;
        }
        if (c->n_cells > 1 || c->cells[0][0] != '\0')
            return 1;
    }
    return 0;
}

static int read_header(struct csv *c, int where[COLUMNS], struct fail *reterr)
{
    int rc = read_row(c, reterr);
    if (rc <= 0)
        return rc < 0 ? -1 : bad(c, "", "the export is empty", reterr);
    for (int k = 0; k < COLUMNS; k++) {
        where[k] = -1;
        for (int i = 0; i < c->n_cells; i++) {
            if (strcmp(c->cells[i], columns[k].name) == 0)
                where[k] = i;
        }
        if (where[k] < 0 && columns[k].required)
            return bad(c, columns[k].name,
                       "the header lacks this column of an OpenRouter activity export", reterr);
    }
    return 0;
}

static int add_count(const struct csv *c, const char *cell, enum column k, int figure,
                     struct reconcile_row *row, struct fail *reterr)
{
    int64_t n;
    if (cell[0] == '\0')
        return 0;
    if (money_parse_plain(span_of(cell), 0, &n) != MONEY_OK)
        return bad(c, columns[k].name, "must be an integer >= 0", reterr);
    reconcile_tell(row, figure, n);
    return 0;
}

static int add_row(struct csv *c, const int where[COLUMNS], struct reconcile_export *e,
                   struct fail *reterr)
{
    const char *cell[COLUMNS];
    int64_t ms, nusd;
    for (int k = 0; k < COLUMNS; k++)
        cell[k] = where[k] >= 0 && where[k] < c->n_cells ? c->cells[where[k]] : "";
    if (strlen(cell[COL_DATE]) < 10 || !when_parse((struct span){cell[COL_DATE], 10}, &ms) ||
        ms < 0)
        return bad(c, "date", "must be a date, YYYY-MM-DD", reterr);
    enum money_parse p = money_parse(span_of(cell[COL_USAGE]), MONEY_SCALE_NUSD, &nusd);
    if (p != MONEY_OK && p != MONEY_INEXACT)
        return bad(c, "usage", "must be an amount of money", reterr);
    if (strlen(cell[COL_MODEL]) >= RECONCILE_MODEL_MAX)
        return bad(c, "model", "is too long", reterr);
    struct reconcile_row *row = reconcile_add(e, ms / DAY_MS, reterr);
    if (row == NULL)
        return -1;
    memcpy(row->model, cell[COL_MODEL], strlen(cell[COL_MODEL]) + 1);
    if (reconcile_cover(e, (struct window){ms, ms + DAY_MS}, reterr) != 0)
        return -1;
    reconcile_tell(row, RECONCILE_COST, nusd);
    return add_count(c, cell[COL_PROMPT], COL_PROMPT, RECONCILE_PROMPT, row, reterr) != 0 ||
                   add_count(c, cell[COL_COMPLETION], COL_COMPLETION, USAGE_output_tok, row,
                             reterr) != 0
               ? -1
               : 0;
}

int reconcile_csv(struct span text, struct reconcile_export *e, struct fail *reterr)
{
    struct csv c = {.left = text, .line = 1, .next_line = 1};
    int where[COLUMNS], rc;
    e->format = "openrouter";
    if (read_header(&c, where, reterr) != 0)
        return -1;
    while ((rc = read_row(&c, reterr)) == 1) {
        if (add_row(&c, where, e, reterr) != 0)
            return -1;
    }
    return rc;
}
