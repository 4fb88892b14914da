/* Which reader, and what all of them share: rows, sorted, one for each day and model. */
#include "router/reconcile.h"

#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 86400000 };
#define FIGURE_MAX (INT64_MAX / 4) /* as LEDGER_SUM_MAX_NUSD */

void reconcile_done(struct reconcile_export *e)
{
    free(e->rows);
    free(e->stretches);
    e->rows = NULL;
    e->stretches = NULL;
    e->n = e->cap = e->n_stretches = e->stretches_cap = 0;
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

int reconcile_cover(struct reconcile_export *e, struct window stretch, struct fail *reterr)
{
    if (e->span.end_ms == 0 || stretch.start_ms < e->span.start_ms)
        e->span.start_ms = stretch.start_ms;
    if (stretch.end_ms > e->span.end_ms)
        e->span.end_ms = stretch.end_ms;
    if (e->n_stretches == e->stretches_cap) {
        size_t cap = e->stretches_cap * 2 + 64;
        struct window *p = realloc(e->stretches, cap * sizeof(*p));
        if (p == NULL)
            return fail_set(reterr, ERR_internal, NULL, "out of memory");
        e->stretches = p;
        e->stretches_cap = cap;
    }
    e->stretches[e->n_stretches++] = stretch;
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    return (x->start_ms > y->start_ms) - (x->start_ms < y->start_ms);
}

/* Those that touch become one.  An activity has no row for a day without use: all of it is
 * covered. */
static void join_stretches(struct reconcile_export *e)
{
    size_t n = 0;
    if (e->n_stretches > 0)
        qsort(e->stretches, e->n_stretches, sizeof(e->stretches[0]), by_start);
    bool gapless = strcmp(e->format, "openrouter") == 0;
    for (size_t i = 0; i < e->n_stretches; i++) {
        const struct window w = e->stretches[i];
        if (n == 0 || (!gapless && w.start_ms > e->stretches[n - 1].end_ms))
            e->stretches[n++] = w;
        else if (w.end_ms > e->stretches[n - 1].end_ms)
            e->stretches[n - 1].end_ms = w.end_ms;
    }
    e->n_stretches = n;
}

bool reconcile_covers_day(const struct reconcile_export *e, int64_t day)
{
    for (size_t i = 0; i < e->n_stretches; i++) {
        if (e->stretches[i].start_ms <= day * DAY_MS &&
            e->stretches[i].end_ms >= (day + 1) * DAY_MS)
            return true;
    }
    return false;
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

/* Differences stay numbers. */
static int check_sizes(const struct reconcile_export *e, struct fail *reterr)
{
    for (size_t i = 0; i < e->n; i++) {
        for (int f = 0; f < RECONCILE_FIGURES; f++) {
            int64_t n = e->rows[i].figures[f];
            if (n > FIGURE_MAX || n < -FIGURE_MAX)
                return fail_set(reterr, ERR_bad_request, "text", "the export's sums are too large");
        }
    }
    return 0;
}

/* Else what one of them does not tell would count as nothing used. */
static int check_costs(const struct reconcile_export *e, struct fail *reterr)
{
    const uint32_t cost = 1u << RECONCILE_COST;
    for (size_t i = 0; i < e->n && (e->told & cost) != 0; i++) {
        if ((e->rows[i].told & cost) == 0)
            return fail_set(reterr, ERR_bad_request, "text",
                            "some of it tells costs and some does not; reconcile a usage report"
                            " and a cost report one after the other");
    }
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
    if (rc != 0 || merge(ret, reterr) != 0 || check_sizes(ret, reterr) != 0 ||
        check_costs(ret, reterr) != 0)
        return -1;
    join_stretches(ret);
    if (ret->span.end_ms <= ret->span.start_ms)
        return fail_set(reterr, ERR_bad_request, "text", "the export covers no time");
    if (ret->told == 0) /* rather another account's than one without any use */
        return fail_set(reterr, ERR_bad_request, "text", "the export tells no figure of any day");
    return 0;
}
