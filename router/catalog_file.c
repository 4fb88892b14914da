/* Catalog files: which reader for which format, and what the readers share. */
#define _GNU_SOURCE
#include "router/catalog_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/catalog_reader.h"
#include "schema/json_path.h"
#include "schema/money.h"

enum { ENTRY_TEXT_MAX = 1024 * 1024, CATALOG_VALUES_MAX = 8000000 };

static const struct {
    const char *name;
    int (*read)(struct catalog_reader *r);
} formats[] = {
    [CATALOG_WAYFARE] = {"wayfare", catalog_read_wayfare},
    [CATALOG_LITELLM] = {"litellm", catalog_read_litellm},
    [CATALOG_MODELS_DEV] = {"models.dev", catalog_read_models_dev},
    [CATALOG_OPENROUTER] = {"openrouter", catalog_read_openrouter},
};

bool catalog_format_parse(const char *name, enum catalog_format *ret)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(name, formats[i].name) == 0) {
            *ret = (enum catalog_format)i;
            return true;
        }
    }
    return false;
}

/* The first member that is an object tells: litellm's have litellm_provider, models.dev's
 * have models; OpenRouter wraps its list. */
static enum catalog_format guess(const struct json_doc *d)
{
    if (json_kind(d, 0) != JSON_OBJECT || json_get(d, 0, "providers") != JSON_NONE) {
        return CATALOG_WAYFARE;
    }
    if (json_get(d, 0, "data") != JSON_NONE || json_get(d, 0, "endpoints") != JSON_NONE) {
        return CATALOG_OPENROUTER;
    }
    for (json_ref m = json_first(d, 0); m != JSON_NONE; m = json_next(d, m)) {
        if (json_kind(d, m) != JSON_OBJECT) {
            continue;
        }
        if (json_get(d, m, "litellm_provider") != JSON_NONE) {
            return CATALOG_LITELLM;
        }
        json_ref models = json_get(d, m, "models");
        return models != JSON_NONE && json_kind(d, models) == JSON_OBJECT ? CATALOG_MODELS_DEV
                                                                          : CATALOG_WAYFARE;
    }
    return CATALOG_WAYFARE;
}

static void doc_init(struct json_doc *d)
{
    json_init(d);
    d->max_values = CATALOG_VALUES_MAX;
}

enum catalog_format catalog_format_guess(struct span text)
{
    struct json_doc d;
    doc_init(&d);
    enum catalog_format f = json_parse(&d, text, NULL) == 0 ? guess(&d) : CATALOG_WAYFARE;
    json_done(&d);
    return f;
}

int catalog_file_read(struct span text, enum catalog_format format, struct catalog_builder *b,
                      catalog_note_fn note, void *ctx, struct fail *reterr)
{
    struct json_doc d;
    struct catalog_reader r = {.doc = &d, .builder = b, .note = note, .ctx = ctx, .reterr = reterr};
    if (text.len > CATALOG_FILE_MAX) {
        return fail_set(reterr, ERR_too_large, NULL, "the catalog file is over %d bytes",
                        CATALOG_FILE_MAX);
    }
    doc_init(&d);
    buf_init(&r.text, ENTRY_TEXT_MAX);
    int ok = json_parse(&d, text, reterr);
    if (ok == 0 && json_kind(&d, 0) != JSON_OBJECT) {
        ok = fail_set(reterr, ERR_bad_request, NULL, "a catalog file is a JSON object");
    }
    if (ok == 0 && !buf_reserve(&r.text, ENTRY_TEXT_MAX)) {
        ok = fail_set(reterr, ERR_internal, NULL, "out of memory");
    }
    if (ok == 0) {
        if (format != CATALOG_WAYFARE)
            catalog_builder_yields(b);
        ok = formats[format].read(&r);
    }
    buf_done(&r.text);
    json_done(&d);
    return ok;
}

/* ---- what the readers share ---- */

const char *reader_span(struct catalog_reader *r, struct span s)
{
    size_t at = r->text.len;
    buf_add_span(&r->text, s);
    buf_addc(&r->text, '\0');
    return r->text.failed ? NULL : r->text.ptr + at;
}

const char *reader_text(struct catalog_reader *r, json_ref string)
{
    size_t at = r->text.len;
    if (string == JSON_NONE || !json_text(r->doc, string, &r->text) ||
        memchr(r->text.ptr + at, '\0', r->text.len - at) != NULL) {
        return NULL;
    }
    buf_addc(&r->text, '\0');
    return r->text.failed ? NULL : r->text.ptr + at;
}

void reader_next_entry(struct catalog_reader *r)
{
    buf_reset(&r->text);
}

int reader_refuse(struct catalog_reader *r, json_ref at, const char *fmt, ...)
{
    char path[FAIL_FIELD_MAX], reason[FAIL_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    if (at == 0)
        return fail_set(r->reterr, ERR_bad_request, NULL, "the file %s", reason);
    json_path(r->doc, at, path);
    return fail_set(r->reterr, ERR_bad_request, path, "%s: %s", path, reason);
}

int reader_count(struct catalog_reader *r, json_ref v, int64_t least, int64_t most, int64_t *ret)
{
    int64_t n = 0;
    if (!json_int64(r->doc, v, &n) || n < least || n > most) {
        return reader_refuse(r, v, "must be an integer from %lld to %lld", (long long)least,
                             (long long)most);
    }
    *ret = n;
    return 0;
}

void reader_note(struct catalog_reader *r, const char *path, bool refused, const char *fmt, ...)
{
    char reason[FAIL_TEXT_MAX];
    if (r->note == NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    struct catalog_note n = {path, reason, refused};
    r->note(r->ctx, &n);
}

/* A price has at most this many significant digits; more is the noise of a binary float
 * that was printed in full (0.049999999999999996). */
enum { PRICE_DIGITS_MAX = 12 };

static int significant_digits(struct span s)
{
    int n = 0;
    for (size_t i = 0; i < s.len && s.ptr[i] != 'e' && s.ptr[i] != 'E'; i++) {
        n += s.ptr[i] >= '0' && s.ptr[i] <= '9' && (n > 0 || s.ptr[i] != '0') ? 1 : 0;
    }
    return n;
}

/* Nearest integer of 10^-scale: one more digit, then round half up. */
static enum money_parse parse_rounded(struct span s, int scale, int64_t *ret)
{
    int64_t finer = 0;
    enum money_parse how = money_parse(s, scale + 1, &finer);
    if (how == MONEY_OK || how == MONEY_INEXACT) {
        *ret = (finer + 5) / 10;
        how = MONEY_INEXACT;
    }
    return how;
}

enum catalog_price reader_price(struct catalog_reader *r, json_ref v, int scale, int64_t *ret_pusd,
                                bool *ret_rounded)
{
    if (v == JSON_NONE || json_kind(r->doc, v) == JSON_NULL) {
        return CATALOG_PRICE_NONE;
    }
    enum json_kind kind = json_kind(r->doc, v);
    struct span s = kind == JSON_STRING ? json_inner(r->doc, v) : json_raw(r->doc, v);
    if (kind != JSON_STRING && kind != JSON_NUMBER) {
        return CATALOG_PRICE_BAD;
    }
    enum money_parse how = money_parse(s, scale, ret_pusd);
    if (how == MONEY_INEXACT || (how == MONEY_OK && significant_digits(s) > PRICE_DIGITS_MAX)) {
        how = parse_rounded(s, scale, ret_pusd);
        *ret_rounded = true;
    }
    return how == MONEY_NEGATIVE                     ? CATALOG_PRICE_NEGATIVE
           : how == MONEY_OK || how == MONEY_INEXACT ? CATALOG_PRICE_OK
                                                     : CATALOG_PRICE_BAD;
}

struct rates rates_none(void)
{
    struct rates r;
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        r.pusd[i] = -1;
    }
    return r;
}

bool price_add_tier(struct price *p, int64_t above_prompt_tok, const struct rates *rates)
{
    int at = 0;
    if (above_prompt_tok < 1 || above_prompt_tok > CATALOG_TOK_MAX)
        return false;
    while (at < p->n_tiers && p->tiers[at].above_prompt_tok < above_prompt_tok) {
        at++;
    }
    if (at < p->n_tiers && p->tiers[at].above_prompt_tok == above_prompt_tok) {
        for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
            if (rates->pusd[i] >= 0) {
                p->tiers[at].rates.pusd[i] = rates->pusd[i];
            }
        }
        return true;
    }
    if (p->n_tiers == PRICE_TIERS_MAX) {
        return false;
    }
    memmove(&p->tiers[at + 1], &p->tiers[at], (size_t)(p->n_tiers - at) * sizeof p->tiers[0]);
    p->tiers[at].above_prompt_tok = above_prompt_tok;
    p->tiers[at].rates = *rates;
    p->n_tiers++;
    return true;
}

/* ---- the built-in catalog ---- */

extern const char catalog_builtin_text[];
extern const unsigned long catalog_builtin_len;

struct span catalog_builtin(void)
{
    return (struct span){catalog_builtin_text, catalog_builtin_len};
}
