/* Results as aligned tables, as CSV (RFC 4180) and as JSON. */
#include <assert.h>
#include <string.h>

#include "server/cli.h"

enum { CELL_MAX = 4096, COLUMNS_MAX = 24, PATH_PART_MAX = 64, USD_DECIMALS_MIN = 2 };

struct json_object *cli_member(struct json_object *object, const char *path)
{
    while (object != NULL && json_object_is_type(object, json_type_object)) {
        char part[PATH_PART_MAX];
        size_t n = strcspn(path, ".");
        assert(n < sizeof(part));
        memcpy(part, path, n);
        part[n] = '\0';
        object = json_object_object_get(object, part);
        if (path[n] == '\0')
            return object;
        path += n + 1;
    }
    return NULL;
}

const char *cli_member_text(struct json_object *object, const char *path)
{
    struct json_object *v = cli_member(object, path);
    return v != NULL ? json_object_get_string(v) : "";
}

/* ---- one cell ---- */

/* What comes from outside must not move the cursor of the one who reads it. */
static void add_clean(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_addc(out, (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void add_list(struct buf *out, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_clean(out, json_object_get_string(json_object_array_get_idx(list, i)));
    }
}

static void add_limits(struct buf *out, struct json_object *list, const char *scope)
{
    const char *comma = "";
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *l = json_object_array_get_idx(list, i);
        if (strcmp(cli_member_text(l, "scope"), scope) != 0)
            continue;
        buf_addf(out, "%s%s of %s/%s", comma, cli_member_text(l, "spent_usd"),
                 cli_member_text(l, "cap_usd"), cli_member_text(l, "window"));
        comma = ", ";
    }
}

/* As it stands in CSV. */
static void add_value(const struct cli_column *c, struct json_object *row, struct buf *out)
{
    struct json_object *v = cli_member(row, c->path);
    if (v == NULL)
        return;
    if (c->cell == CELL_KEY_LIMITS || c->cell == CELL_TEAM_LIMITS)
        add_limits(out, v, c->cell == CELL_KEY_LIMITS ? "key" : "team");
    else if (json_object_is_type(v, json_type_array))
        add_list(out, v);
    else
        add_clean(out, json_object_get_string(v));
}

static size_t decimals_of(const char *text)
{
    const char *dot = strchr(text, '.');
    return dot != NULL ? strlen(dot + 1) : 0;
}

/* As it stands in a table: the same, but times are shortened to "2026-11-25 06:34:35" and money
 * is filled up to `decimals`, so that the points stand below each other. */
static void add_cell(const struct cli_column *c, struct json_object *row, size_t decimals,
                     struct buf *out)
{
    size_t before = out->len;
    add_value(c, row, out);
    if (out->len == before)
        buf_addc(out, '-');
    else if (c->cell == CELL_TIME && out->len - before >= 20 && out->ptr[before + 10] == 'T') {
        out->len = before + 19;
        out->ptr[before + 10] = ' ';
        out->ptr[out->len] = '\0';
    } else if (c->cell == CELL_USD && decimals > 0) {
        size_t have = decimals_of(out->ptr + before);
        if (have == 0)
            buf_addc(out, '.');
        for (; have < decimals; have++)
            buf_addc(out, '0');
    }
}

/* ---- tables ---- */

/* Columns on the screen, taking each code point as one. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

struct layout {
    int n;
    size_t width[COLUMNS_MAX], decimals[COLUMNS_MAX];
};

static void measure_decimals(const struct cli_column *columns, struct json_object *row,
                             struct layout *l)
{
    for (int i = 0; i < l->n; i++) {
        if (columns[i].cell != CELL_USD)
            continue;
        size_t d = decimals_of(cli_member_text(row, columns[i].path));
        if (d > l->decimals[i])
            l->decimals[i] = d;
    }
}

static void measure_width(const struct cli_column *columns, struct json_object *row,
                          struct layout *l)
{
    struct buf cell;
    buf_init(&cell, CELL_MAX);
    for (int i = 0; i < l->n; i++) {
        buf_reset(&cell);
        add_cell(&columns[i], row, l->decimals[i], &cell);
        size_t w = width_of(cell.ptr);
        if (w > l->width[i])
            l->width[i] = w;
    }
    buf_done(&cell);
}

static void add_padded(struct buf *out, const char *text, size_t width, bool right, bool last)
{
    size_t have = width_of(text);
    int pad = have < width ? (int)(width - have) : 0;
    if (right)
        buf_addf(out, "%*s%s", pad, "", text);
    else
        buf_addf(out, "%s%*s", text, last ? 0 : pad, "");
    buf_adds(out, last ? "\n" : "  ");
}

static bool is_right(const struct cli_column *c)
{
    return c->cell == CELL_COUNT || c->cell == CELL_USD;
}

static void add_row(const struct cli_column *columns, const struct layout *l,
                    struct json_object *row, struct buf *out)
{
    struct buf cell;
    buf_init(&cell, CELL_MAX);
    for (int i = 0; i < l->n; i++) {
        buf_reset(&cell);
        if (row == NULL)
            buf_adds(&cell, columns[i].title);
        else
            add_cell(&columns[i], row, l->decimals[i], &cell);
        add_padded(out, cell.ptr, l->width[i], is_right(&columns[i]), i + 1 == l->n);
    }
    buf_done(&cell);
}

static void add_rule(const struct layout *l, struct buf *out)
{
    for (int i = 0; i < l->n; i++) {
        for (size_t k = 0; k < l->width[i] + (i + 1 < l->n ? 2 : 0); k++)
            buf_addc(out, '-');
    }
    buf_addc(out, '\n');
}

static void measure(const struct cli_column *columns, struct json_object *rows,
                    struct json_object *total, struct layout *l)
{
    size_t n = json_object_array_length(rows);
    for (; columns[l->n].path != NULL; l->n++) {
        assert(l->n < COLUMNS_MAX);
        l->width[l->n] = width_of(columns[l->n].title);
        l->decimals[l->n] = USD_DECIMALS_MIN;
    }
    for (size_t i = 0; i < n; i++)
        measure_decimals(columns, json_object_array_get_idx(rows, i), l);
    if (total != NULL)
        measure_decimals(columns, total, l);
    for (size_t i = 0; i < n; i++)
        measure_width(columns, json_object_array_get_idx(rows, i), l);
    if (total != NULL)
        measure_width(columns, total, l);
}

void cli_print_table(const struct cli_column *columns, struct json_object *rows,
                     struct json_object *total, struct buf *out)
{
    struct layout layout = {0};
    measure(columns, rows, total, &layout);
    add_row(columns, &layout, NULL, out);
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        add_row(columns, &layout, json_object_array_get_idx(rows, i), out);
    if (total == NULL)
        return;
    add_rule(&layout, out);
    add_row(columns, &layout, total, out);
}

/* ---- csv ---- */

/* A spreadsheet runs what begins with = + - @; a quote in front makes it text. Numbers stay. */
static bool is_formula(const struct cli_column *c, const char *text)
{
    return !is_right(c) && text[0] != '\0' && strchr("=+-@", text[0]) != NULL;
}

static void add_csv(const struct cli_column *c, const char *text, struct buf *out)
{
    bool formula = is_formula(c, text);
    if (!formula && strpbrk(text, ",\"\r\n") == NULL) {
        buf_adds(out, text);
        return;
    }
    buf_addc(out, '"');
    if (formula)
        buf_addc(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            buf_addc(out, '"');
        buf_addc(out, *text);
    }
    buf_addc(out, '"');
}

void cli_print_csv(const struct cli_column *columns, struct json_object *rows, struct buf *out)
{
    struct buf cell;
    buf_init(&cell, CELL_MAX);
    for (int i = 0; columns[i].path != NULL; i++)
        buf_addf(out, "%s%s", i > 0 ? "," : "", columns[i].path);
    buf_adds(out, "\r\n");
    for (size_t r = 0; r < json_object_array_length(rows); r++) {
        for (int i = 0; columns[i].path != NULL; i++) {
            buf_reset(&cell);
            buf_reserve(&cell, 1);
            add_value(&columns[i], json_object_array_get_idx(rows, r), &cell);
            buf_adds(out, i > 0 ? "," : "");
            add_csv(&columns[i], cell.len > 0 ? cell.ptr : "", out);
        }
        buf_adds(out, "\r\n");
    }
    buf_done(&cell);
}

/* ---- all of it ---- */

int cli_print(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    int rc = CLI_EXIT_OK;
    if (call->format == CLI_JSON && call->command->print != cli_show_text) {
        buf_addf(out, "%s\n",
                 json_object_to_json_string_ext(result, JSON_C_TO_STRING_PRETTY |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
        struct json_object *ok = cli_member(result, "ok"); /* of ledger verify, ledger reconcile */
        if (ok != NULL && !json_object_get_boolean(ok))
            rc = CLI_EXIT_FAILED;
        return rc;
    }
    return call->command->print(call, result, out);
}
