#define _GNU_SOURCE
/* Caps per owner and window, and the small tools of the identity tables. */
#include "router/budget_db.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "schema/money.h"
#include "schema/when.h"

static const char *const window_words[BUDGETS_MAX] = {"day", "week", "month", "total"};

/* ---- reading ---- */

static int bad(const char *field, const char *text, struct fail *reterr)
{
    return fail_set(reterr, ERR_bad_request, field, "%s %s", field, text);
}

static int read_window(struct json_object *v, struct budget *ret, struct fail *reterr)
{
    if (json_object_is_type(v, json_type_string)) {
        for (int i = 0; i < BUDGETS_MAX; i++) {
            if (strcmp(json_object_get_string(v), window_words[i]) == 0) {
                ret->window = window_words[i];
                return 0;
            }
        }
    }
    return bad("window", "must be day, week, month or total", reterr);
}

static int read_amount(struct json_object *v, struct budget *ret, struct fail *reterr)
{
    ret->removed = v == NULL;
    if (v == NULL)
        return 0;
    if (!json_object_is_type(v, json_type_string))
        return bad("budget", "must be a decimal string of USD, such as \"100\" or \"0.5\"", reterr);
    struct span text = {json_object_get_string(v), (size_t)json_object_get_string_len(v)};
    switch (money_parse_plain(text, MONEY_SCALE_NUSD, &ret->cap_nusd)) {
    case MONEY_OK:
        return 0;
    case MONEY_SYNTAX:
        return bad("budget", "must be a plain decimal number of USD, such as 100 or 0.5", reterr);
    case MONEY_NEGATIVE:
        return bad("budget", "must not be negative", reterr);
    case MONEY_INEXACT:
        return bad("budget", "has more than nine decimals", reterr);
    case MONEY_RANGE:
        return bad("budget", "is too large", reterr);
    }
    return bad("budget", "is not valid", reterr);
}

static int add(struct budget_list *list, struct json_object *amount, struct json_object *window,
               struct fail *reterr)
{
    if (list->n == BUDGETS_MAX)
        return bad("budget", "is given more often than there are windows", reterr);
    struct budget *b = &list->rows[list->n];
    if (read_window(window, b, reterr) != 0 || read_amount(amount, b, reterr) != 0)
        return -1;
    for (int i = 0; i < list->n; i++) {
        if (list->rows[i].window == b->window)
            return bad("window", "names the same window twice", reterr);
    }
    list->n++;
    return 0;
}

int budget_read(const struct arg_json *amounts, const struct arg_json *windows,
                struct budget_list *ret, struct fail *reterr)
{
    struct budget_list list = {0};
    if (amounts->given && !windows->given)
        return bad("window", "is needed with budget: day, week, month or total", reterr);
    if (windows->given && !amounts->given)
        return bad("budget", "is needed with window", reterr);
    if (!json_object_is_type(windows->value, json_type_array)) {
        if (amounts->given && add(&list, amounts->value, windows->value, reterr) != 0)
            return -1;
        *ret = list;
        return 0;
    }
    size_t n = json_object_array_length(windows->value);
    if (!json_object_is_type(amounts->value, json_type_array) ||
        json_object_array_length(amounts->value) != n)
        return bad("window", "must be given once for each budget", reterr);
    for (size_t i = 0; i < n; i++) {
        if (add(&list, json_object_array_get_idx(amounts->value, i),
                json_object_array_get_idx(windows->value, i), reterr) != 0)
            return -1;
    }
    *ret = list;
    return 0;
}

/* ---- the table ---- */

static int put_one(struct db *db, const char *scope, int64_t owner_id, const struct budget *b,
                   struct fail *reterr)
{
    struct sqlite3_stmt *s;
    if (b->removed) {
        s = db_stmt(db, "DELETE FROM budget WHERE scope = ?1 AND owner_id = ?2 AND window = ?3");
    } else {
        s = db_stmt(db, "INSERT INTO budget(scope, owner_id, window, cap_nusd)"
                        " VALUES (?1, ?2, ?3, ?4)"
                        " ON CONFLICT(scope, owner_id, window) DO UPDATE SET cap_nusd = ?4");
        db_bind_int(s, 4, b->cap_nusd);
    }
    db_bind_text(s, 1, scope);
    db_bind_int(s, 2, owner_id);
    db_bind_text(s, 3, b->window);
    return identity_db_run(db, s, reterr);
}

int budget_db_put(struct db *db, const char *scope, int64_t owner_id,
                  const struct budget_list *list, struct fail *reterr)
{
    for (int i = 0; i < list->n; i++) {
        if (put_one(db, scope, owner_id, &list->rows[i], reterr) != 0)
            return -1;
    }
    return 0;
}

int budget_db_list(struct db *db, const char *scope, int64_t owner_id, struct json_object **ret,
                   struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT window, cap_nusd FROM budget WHERE scope = ?1 AND owner_id = ?2"
                    " ORDER BY CASE window WHEN 'day' THEN 1 WHEN 'week' THEN 2 WHEN 'month' THEN 3"
                    " ELSE 4 END");
    db_bind_text(s, 1, scope);
    db_bind_int(s, 2, owner_id);
    struct json_object *list = json_object_new_array();
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        struct json_object *row = json_object_new_object();
        json_object_object_add(row, "window", json_object_new_string(db_col_text(s, 0)));
        json_object_object_add(row, "cap_usd", shape_usd(db_col_int(s, 1)));
        json_object_array_add(list, row);
    }
    if (rc != 0) {
        json_object_put(list);
        return -1;
    }
    *ret = list;
    return 0;
}

/* ---- tools ---- */

int identity_db_run(struct db *db, struct sqlite3_stmt *s, struct fail *reterr)
{
    int rc = db_step(db, s, reterr);
    assert(rc != 1);
    return rc;
}

int identity_db_touch(struct db *db, struct fail *reterr)
{
    return identity_db_run(db, db_stmt(db, "UPDATE identity_meta SET version = version + 1"),
                           reterr);
}

int identity_db_id(struct db *db, struct sqlite3_stmt *s, const char *field, const char *missing,
                   int64_t *ret, struct fail *reterr)
{
    bool found = false;
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        found = true;
        *ret = db_col_int(s, 0);
    }
    if (rc != 0 || found)
        return rc;
    return fail_set(reterr, ERR_not_found, field, "%s", missing);
}

int64_t identity_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct json_object *shape_usd(int64_t nusd)
{
    char text[MONEY_TEXT_MAX];
    return json_object_new_string(money_print(nusd, MONEY_SCALE_NUSD, text));
}

struct json_object *shape_time(int64_t unix_ms)
{
    char text[WHEN_TEXT_MAX];
    return unix_ms != 0 ? json_object_new_string(when_print(unix_ms, text)) : NULL;
}

struct json_object *shape_instant(int64_t unix_ms)
{
    char text[WHEN_TEXT_MAX];
    return json_object_new_string(when_print(unix_ms, text));
}

struct json_object *shape_column(struct sqlite3_stmt *s, int col)
{
    return db_col_null(s, col) ? NULL : json_object_new_string(db_col_text(s, col));
}

struct json_object *shape_share(int64_t part, int64_t whole)
{
    enum { ONE = 10000 };
    char text[16];
    if (whole <= 0)
        return NULL;
    while (part > INT64_MAX / ONE) { /* both are far more than four digits can tell apart */
        part /= 2;
        whole /= 2;
    }
    unsigned share = part <= 0 ? 0 : part < whole ? (unsigned)(part * ONE / whole) : ONE;
    snprintf(text, sizeof(text), "%u.%04u", share / ONE % 10, share % ONE);
    return json_tokener_parse(text);
}
