/* Which reader, and what all of them share: rows, sorted, one for each day and model. */
#include "router/reconcile.h"

#include <stdlib.h>
#include <string.h>

void reconcile_done(struct reconcile_export *e)
{
    free(e->rows);
    e->rows = NULL;
    e->n = e->cap = 0;
}

struct reconcile_row *reconcile_add(struct reconcile_export *e, int64_t day, struct fail *reterr)
{
    if (e->n == RECONCILE_ROWS_MAX) {
        fail_set(reterr, ERR_bad_request, "text", "the export has more than %d rows",
                 RECONCILE_ROWS_MAX);
        return NULL;
    }
    if (e->n == e->cap) {
        size_t cap = e->cap * 2 + 64;
        struct reconcile_row *p = realloc(e->rows, cap * sizeof(*p));
        if (p == NULL) {
            fail_set(reterr, ERR_internal, NULL, "out of memory");
            return NULL;
        }
        e->rows = p;
        e->cap = cap;
    }
    struct reconcile_row *row = &e->rows[e->n++];
    memset(row, 0, sizeof(*row));
    row->day = day;
    return row;
}

void reconcile_tell(struct reconcile_row *row, int figure, int64_t n)
{
    row->figures[figure] += n;
    row->told |= 1u << figure;
}

void reconcile_cover(struct reconcile_export *e, int64_t start_ms, int64_t end_ms)
{
    if (e->span.end_ms == 0 || start_ms < e->span.start_ms)
        e->span.start_ms = start_ms;
    if (end_ms > e->span.end_ms)
        e->span.end_ms = end_ms;
}

static int by_day_and_model(const void *a, const void *b)
{
    const struct reconcile_row *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return strcmp(x->model, y->model);
}

static int add_up(struct reconcile_row *to, const struct reconcile_row *more, struct fail *reterr)
{
    for (int i = 0; i < RECONCILE_FIGURES; i++) {
        if (__builtin_add_overflow(to->figures[i], more->figures[i], &to->figures[i]))
            return fail_set(reterr, ERR_bad_request, "text", "the export's sums are too large");
    }
    to->told |= more->told;
    return 0;
}

/* A cost report states searches without their model: such a day can only be compared whole.
 * Rows are sorted, so the row without a model is the first of its day. */
static void join_days(struct reconcile_export *e)
{
    for (size_t i = 0; i < e->n; i++) {
        if (i > 0 && e->rows[i - 1].day == e->rows[i].day && e->rows[i - 1].model[0] == '\0')
            e->rows[i].model[0] = '\0';
    }
}

static int merge(struct reconcile_export *e, struct fail *reterr)
{
    size_t n = 0;
    if (e->n > 0)
        qsort(e->rows, e->n, sizeof(e->rows[0]), by_day_and_model);
    join_days(e);
    for (size_t i = 0; i < e->n; i++) {
        e->told |= e->rows[i].told;
        if (n > 0 && by_day_and_model(&e->rows[n - 1], &e->rows[i]) == 0) {
            if (add_up(&e->rows[n - 1], &e->rows[i], reterr) != 0)
                return -1;
        } else {
            e->rows[n++] = e->rows[i];
        }
    }
    e->n = n;
    return 0;
}

int reconcile_read(struct span text, const char *format, struct reconcile_export *ret,
                   struct fail *reterr)
{
    size_t i = 0;
    *ret = (struct reconcile_export){0};
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        text = (struct span){text.ptr + 3, text.len - 3};
    while (i < text.len && strchr(" \t\r\n", text.ptr[i]) != NULL && text.ptr[i] != '\0')
        i++;
    bool json = i < text.len && (text.ptr[i] == '{' || text.ptr[i] == '[');
    if (!json && format != NULL && strcmp(format, "openrouter") != 0)
        return fail_set(reterr, ERR_bad_request, "text", "line 1: the %s export is JSON", format);
    int rc = json ? reconcile_json(text, format, ret, reterr) : reconcile_csv(text, ret, reterr);
    if (rc != 0 || merge(ret, reterr) != 0)
        return -1;
    if (ret->span.end_ms <= ret->span.start_ms)
        return fail_set(reterr, ERR_bad_request, "text", "the export covers no time");
    return 0;
}
