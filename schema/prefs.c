/* Reads the routing fields, strictly, from the rows of prefs_spec.h. */
#include "schema/prefs.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "schema/json_path.h"
#include "schema/money.h"
#include "schema/prefs_reader.h"

struct field {
    const char *flat;
    enum prefs_level level;
    const char *nested;
    int (*read)(struct prefs_reader *r, json_ref v, const struct field *f);
    size_t at; /* of the member in struct prefs */
    int arg;
};

enum { PRICE_TEXT_MAX = 512, LIST_TEXT_MAX = 384 };

static void *member_of(struct prefs_reader *r, const struct field *f)
{
    return (char *)r->prefs + f->at;
}

/* ---- messages ---- */

int prefs_refuse(struct prefs_reader *r, json_ref v, const char *accepts)
{
    return json_refuse(r->doc, v, accepts, r->reterr);
}

int prefs_refuse_secret(struct prefs_reader *r, json_ref v, const char *accepts)
{
    char path[FAIL_FIELD_MAX];
    json_path(r->doc, v, path);
    return fail_set(r->reterr, ERR_bad_request, path, "%s must be %s; got %s that is not", path,
                    accepts, json_kind_name(json_kind(r->doc, v)));
}

int prefs_refuse_twice(struct prefs_reader *r, json_ref member)
{
    return json_refuse_twice(r->doc, member, r->reterr);
}

int prefs_refuse_unknown(struct prefs_reader *r, json_ref member, const char *accepts)
{
    char path[FAIL_FIELD_MAX];
    json_path(r->doc, member, path);
    return fail_set(r->reterr, ERR_bad_request, path, "%s is not known: accepted are %s", path,
                    accepts);
}

int prefs_refuse_size(struct prefs_reader *r, json_ref v, int max)
{
    char path[FAIL_FIELD_MAX];
    json_path(r->doc, v, path);
    return fail_set(r->reterr, ERR_bad_request, path, "%s must have at most %d entries", path, max);
}

/* ---- texts ---- */

bool prefs_is_printable(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return false;
    }
    return true;
}

const struct prefs_text_rule prefs_slug_rule = {
    prefs_is_printable, PREFS_SLUG_MAX,
    "a provider slug (a string of 1 to 128 printable ASCII characters)", false, false};
_Static_assert(PREFS_SLUG_MAX == 128, "the message above says so");

/* Ends the text that was appended from `at` on, if it keeps the rule. */
static bool end_text(struct prefs_reader *r, const struct prefs_text_rule *rule, uint32_t at)
{
    struct buf *text = &r->prefs->text;
    struct span s = {text->ptr + at, text->len - at};
    return s.len <= rule->max && (s.len > 0 || rule->empty_ok) && rule->ok(s) &&
           buf_addc(text, '\0');
}

static int refuse_full(struct prefs_reader *r, json_ref v)
{
    char path[FAIL_FIELD_MAX];
    return fail_set(r->reterr, ERR_bad_request, json_path(r->doc, v, path),
                    "%s is too much: the routing fields may hold %d bytes of text together", path,
                    PREFS_TEXT_MAX);
}

int prefs_read_text(struct prefs_reader *r, json_ref v, const struct prefs_text_rule *rule,
                    uint32_t *ret_at)
{
    uint32_t at = (uint32_t)r->prefs->text.len;
    if (json_text(r->doc, v, &r->prefs->text) && end_text(r, rule, at)) {
        *ret_at = at;
        return 0;
    }
    if (r->prefs->text.failed)
        return refuse_full(r, v);
    return rule->secret ? prefs_refuse_secret(r, v, rule->accepts)
                        : prefs_refuse(r, v, rule->accepts);
}

int prefs_read_key(struct prefs_reader *r, json_ref m, const struct prefs_text_rule *rule,
                   uint32_t *ret_at)
{
    uint32_t at = (uint32_t)r->prefs->text.len;
    if (json_key_text(r->doc, m, &r->prefs->text) && end_text(r, rule, at)) {
        *ret_at = at;
        return 0;
    }
    if (r->prefs->text.failed)
        return refuse_full(r, m);
    char path[FAIL_FIELD_MAX];
    json_path(r->doc, m, path);
    return fail_set(r->reterr, ERR_bad_request, path, "%s: the name must be %s", path,
                    rule->accepts);
}

/* ---- one reader per type of prefs_spec.h ---- */

static int read_slugs(struct prefs_reader *r, json_ref v, const struct field *f)
{
    struct slug_list *list = member_of(r, f);
    if (json_kind(r->doc, v) != JSON_ARRAY)
        return prefs_refuse(r, v, "an array of provider slugs");
    for (json_ref e = json_first(r->doc, v); e != JSON_NONE; e = json_next(r->doc, e)) {
        if (list->n == PREFS_LIST_MAX)
            return prefs_refuse_size(r, v, PREFS_LIST_MAX);
        if (prefs_read_text(r, e, &prefs_slug_rule, &list->at[list->n]) != 0)
            return -1;
        list->n++;
    }
    return 0;
}

static int read_sort_word(struct prefs_reader *r, json_ref v, const char *accepts)
{
    char word[16];
    if (!json_text_fixed(r->doc, v, word, sizeof(word)) ||
        !sort_parse(span_of(word), &r->prefs->sort))
        return prefs_refuse(r, v, accepts);
    return 0;
}

static int read_partition(struct prefs_reader *r, json_ref v)
{
    r->prefs->partition_none = json_text_is(r->doc, v, "none");
    if (!r->prefs->partition_none && !json_text_is(r->doc, v, "model"))
        return prefs_refuse(r, v, "model or none");
    return 0;
}

static int read_sort_object(struct prefs_reader *r, json_ref v)
{
    bool seen_by = false, seen_partition = false;
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        bool by = json_key_is(r->doc, m, "by");
        if (!by && !json_key_is(r->doc, m, "partition"))
            return prefs_refuse_unknown(r, m, "by, partition");
        bool *seen = by ? &seen_by : &seen_partition;
        if (*seen)
            return prefs_refuse_twice(r, m);
        *seen = true;
        if (json_kind(r->doc, m) == JSON_NULL)
            continue;
        if ((by ? read_sort_word(r, m, "one of price, throughput, latency")
                : read_partition(r, m)) != 0)
            return -1;
    }
    return 0;
}

static int read_sort(struct prefs_reader *r, json_ref v, const struct field *f)
{
    (void)f;
    if (r->level == PREFS_FLAT)
        return read_sort_word(r, v, "one of price, throughput, latency");
    if (json_kind(r->doc, v) == JSON_OBJECT)
        return read_sort_object(r, v);
    return read_sort_word(r, v, "one of price, throughput, latency, or {by, partition}");
}

/* The families: asking for the general format admits its block-scaled forms. */
static uint32_t expand(enum quantization q)
{
    uint32_t bits = 1u << q;
    if (q == QUANT_fp4)
        bits |= 1u << QUANT_mxfp4 | 1u << QUANT_nvfp4;
    if (q == QUANT_fp8)
        bits |= 1u << QUANT_mxfp8;
    return bits;
}

static int refuse_quant(struct prefs_reader *r, json_ref v, const char *lead)
{
    struct buf accepts;
    buf_init(&accepts, LIST_TEXT_MAX);
    buf_adds(&accepts, lead);
    quantization_list(&accepts);
    prefs_refuse(r, v, accepts.len > 0 ? accepts.ptr : "a quantization");
    buf_done(&accepts);
    return -1;
}

static int read_quants(struct prefs_reader *r, json_ref v, const struct field *f)
{
    (void)f;
    if (json_kind(r->doc, v) != JSON_ARRAY)
        return refuse_quant(r, v, "an array of ");
    uint32_t bits = 0;
    for (json_ref e = json_first(r->doc, v); e != JSON_NONE; e = json_next(r->doc, e)) {
        char word[16];
        enum quantization q;
        if (!json_text_fixed(r->doc, e, word, sizeof(word)) ||
            !quantization_parse(span_of(word), &q))
            return refuse_quant(r, e, "one of ");
        bits |= expand(q);
    }
    r->prefs->quantizations |= bits; /* an empty list leaves the other spelling alone */
    return 0;
}

/* A limit: digits below the scale are floored (an integer is below the limit exactly
 * when it is below its floor), and what is too large for int64 limits nothing. */
static bool is_limit(enum money_parse result)
{
    return result == MONEY_OK || result == MONEY_INEXACT || result == MONEY_RANGE;
}

static int read_limit(struct prefs_reader *r, json_ref v, int scale, const char *accepts,
                      int64_t *ret)
{
    struct span text = json_raw(r->doc, v);
    if (json_kind(r->doc, v) != JSON_NUMBER || !money_is_finite(text) ||
        !is_limit(money_parse(text, scale, ret)))
        return prefs_refuse(r, v, accepts);
    return 0;
}

static int read_cap(struct prefs_reader *r, json_ref v, const struct field *f)
{
    static const char accepts[] = "a price in USD, 0 or more: a number or a string of plain "
                                  "decimal digits";
    struct cap *cap = member_of(r, f);
    if (json_kind(r->doc, v) != JSON_STRING) {
        if (read_limit(r, v, f->arg, accepts, &cap->value) != 0)
            return -1;
    } else {
        char text[PRICE_TEXT_MAX];
        if (!json_text_fixed(r->doc, v, text, sizeof(text)) || !money_is_finite(span_of(text)) ||
            !is_limit(money_parse_plain(span_of(text), f->arg, &cap->value)))
            return prefs_refuse(r, v, accepts);
    }
    cap->set = true;
    return 0;
}

/* Someone who writes 0.000003 means USD per token: nothing would ever fit. */
static bool is_tiny(const struct json_doc *d, json_ref v, int64_t value)
{
    const int64_t mtok_0_001 = 1000;
    if (value > 0)
        return value < mtok_0_001;
    struct span raw = json_raw(d, v);
    for (size_t i = 0; i < raw.len && raw.ptr[i] != 'e' && raw.ptr[i] != 'E'; i++) {
        if (raw.ptr[i] >= '1' && raw.ptr[i] <= '9')
            return true; /* positive, below one unit of the scale */
    }
    return false;
}

static int read_mtok_cap(struct prefs_reader *r, json_ref v, const struct field *f)
{
    const struct cap *cap = member_of(r, f);
    if (read_cap(r, v, f) != 0)
        return -1;
    if (is_tiny(r->doc, v, cap->value))
        r->prefs->warn_tiny_cap = true;
    return 0;
}

static int read_flag(struct prefs_reader *r, json_ref v, const struct field *f)
{
    bool *flag = member_of(r, f);
    return json_truth(r->doc, v, flag) ? 0 : prefs_refuse(r, v, "true or false");
}

static int read_fallbacks(struct prefs_reader *r, json_ref v, const struct field *f)
{
    r->prefs->allow_fallbacks_set = true;
    return read_flag(r, v, f);
}

static int read_collection(struct prefs_reader *r, json_ref v, const struct field *f)
{
    (void)f;
    r->prefs->data_collection_deny = json_text_is(r->doc, v, "deny");
    if (!r->prefs->data_collection_deny && !json_text_is(r->doc, v, "allow"))
        return prefs_refuse(r, v, "allow or deny");
    return 0;
}

const char *const prefs_percentiles[PERCENTILE_COUNT] = {"p50", "p75", "p90", "p99"};

static int percentile_of(const struct json_doc *d, json_ref member)
{
    int i = 0;
    while (i < PERCENTILE_COUNT && !json_key_is(d, member, prefs_percentiles[i]))
        i++;
    return i;
}

static int read_percentile(struct prefs_reader *r, json_ref v, struct perf_pref *perf, int i,
                           const char *accepts)
{
    if (json_kind(r->doc, v) == JSON_NULL)
        return 0;
    if (read_limit(r, v, PREFS_PERF_SCALE, accepts, &perf->milli[i]) != 0)
        return -1;
    perf->set[i] = true;
    return 0;
}

static int read_perf(struct prefs_reader *r, json_ref v, const struct field *f)
{
    struct perf_pref *perf = member_of(r, f);
    if (json_kind(r->doc, v) != JSON_OBJECT)
        return read_percentile(r, v, perf, P50, "a number, 0 or more, or {p50, p75, p90, p99}");
    uint32_t seen = 0;
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        int i = percentile_of(r->doc, m);
        if (i == PERCENTILE_COUNT)
            return prefs_refuse_unknown(r, m, "p50, p75, p90, p99");
        if (seen & 1u << i)
            return prefs_refuse_twice(r, m);
        seen |= 1u << i;
        if (read_percentile(r, m, perf, i, "a number, 0 or more") != 0)
            return -1;
    }
    return 0;
}

static int read_configs(struct prefs_reader *r, json_ref v, const struct field *f)
{
    (void)f;
    return prefs_read_configs(r, v);
}

static int read_object(struct prefs_reader *r, json_ref object, enum prefs_level level);

static int read_prices(struct prefs_reader *r, json_ref v, const struct field *f)
{
    (void)f;
    return read_object(r, v, PREFS_MAX_PRICE);
}

/* ---- the table and its names ---- */

static const struct field fields[] = {
#define FIELD(flat, level, nested, type, member, arg)                                              \
    {flat, PREFS_##level, nested, read_##type, offsetof(struct prefs, member), arg},
    PREFS_FIELDS(FIELD)
#undef FIELD
};

enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };
_Static_assert(FIELD_COUNT <= 32, "prefs.given has a bit for each");

static const char *name_at(const struct field *f, enum prefs_level level)
{
    if (level == PREFS_FLAT)
        return f->flat;
    return f->level == level ? f->nested : NULL;
}

static int find_field(const struct json_doc *d, json_ref member, enum prefs_level level)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *name = name_at(&fields[i], level);
        if (name != NULL && json_key_is(d, member, name))
            return i;
    }
    return -1;
}

static void list_names(enum prefs_level level, struct buf *out)
{
    size_t skip = level == PREFS_FLAT ? strlen("provider_") : 0;
    const char *between = "";
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *name = name_at(&fields[i], level);
        if (name == NULL)
            continue;
        buf_addf(out, "%s%s", between, name + skip);
        between = ", ";
    }
}

/* The flat field that someone who wrote this in `provider` may have meant, or "". */
static const char *flat_name_of(const struct json_doc *d, json_ref member)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *flat = fields[i].flat;
        if (flat != NULL &&
            (json_key_is(d, member, flat) || json_key_is(d, member, flat + strlen("provider_"))))
            return flat;
    }
    return "";
}

static int refuse_unknown(struct prefs_reader *r, json_ref member, enum prefs_level level)
{
    char path[FAIL_FIELD_MAX];
    struct buf names;
    buf_init(&names, LIST_TEXT_MAX);
    list_names(level, &names);
    const char *list = names.len > 0 ? names.ptr : "";
    json_path(r->doc, member, path);
    const char *flat = flat_name_of(r->doc, member);
    if (level == PREFS_FLAT)
        fail_set(r->reterr, ERR_bad_request, path,
                 "%s is not a routing field; there are provider_{%s}", path, list);
    else
        fail_set(r->reterr, ERR_bad_request, path, "%s is not known: accepted are %s%s%s", path,
                 list, flat[0] != '\0' ? "; at the top level there is " : "", flat);
    buf_done(&names);
    return -1;
}

/* ---- objects ---- */

static bool is_empty(const struct json_doc *d, json_ref v)
{
    enum json_kind kind = json_kind(d, v);
    return (kind == JSON_ARRAY || kind == JSON_OBJECT) && json_first(d, v) == JSON_NONE;
}

static int refuse_both(struct prefs_reader *r, json_ref v, const struct field *f)
{
    const char *group = f->level == PREFS_MAX_PRICE ? "max_price." : "";
    char path[FAIL_FIELD_MAX];
    return fail_set(r->reterr, ERR_bad_request, json_path(r->doc, v, path),
                    "%s and provider.%s%s are one field: give one of them", f->flat, group,
                    f->nested);
}

/* seen: the fields that this object had so far, null ones included. */
static int read_member(struct prefs_reader *r, json_ref m, enum prefs_level level, uint32_t *seen)
{
    int i = find_field(r->doc, m, level);
    if (i < 0)
        return refuse_unknown(r, m, level);
    const struct field *f = &fields[i];
    uint32_t bit = 1u << i;
    if (*seen & bit)
        return prefs_refuse_twice(r, m);
    *seen |= bit;
    if (json_kind(r->doc, m) == JSON_NULL)
        return 0;
    bool empty = is_empty(r->doc, m);
    if (!empty && (r->prefs->given & bit))
        return refuse_both(r, m, f);
    r->level = level;
    if (f->read(r, m, f) != 0)
        return -1;
    if (!empty)
        r->prefs->given |= bit;
    return 0;
}

static int read_object(struct prefs_reader *r, json_ref object, enum prefs_level level)
{
    if (json_kind(r->doc, object) != JSON_OBJECT) {
        char accepts[LIST_TEXT_MAX] = "an object";
        struct buf names;
        buf_init(&names, LIST_TEXT_MAX);
        list_names(level, &names);
        if (names.len > 0)
            snprintf(accepts, sizeof(accepts), "an object of %s", names.ptr);
        buf_done(&names);
        return prefs_refuse(r, object, accepts);
    }
    uint32_t seen = 0;
    for (json_ref m = json_first(r->doc, object); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (read_member(r, m, level, &seen) != 0)
            return -1;
    }
    return 0;
}

/* ---- the whole ---- */

static void set_defaults(struct prefs *p)
{
    struct buf text = p->text;
    *p = (struct prefs){.allow_fallbacks = true};
    p->text = text;
    buf_reset(&p->text);
}

void prefs_init(struct prefs *p)
{
    buf_init(&p->text, PREFS_TEXT_MAX);
    set_defaults(p);
}

void prefs_done(struct prefs *p)
{
    buf_done(&p->text);
    set_defaults(p);
}

const char *prefs_str(const struct prefs *p, uint32_t at)
{
    assert(at < p->text.len || at == 0);
    return at == 0 ? NULL : p->text.ptr + at;
}

bool prefs_is_routing_member(const struct json_doc *d, json_ref member)
{
    return json_key_is(d, member, "models") || json_key_is(d, member, "provider") ||
           json_key_has_prefix(d, member, "provider_");
}

static int read_provider(struct prefs_reader *r, json_ref m, bool *seen)
{
    if (*seen)
        return prefs_refuse_twice(r, m);
    *seen = true;
    if (json_kind(r->doc, m) == JSON_NULL)
        return 0;
    return read_object(r, m, PREFS_PROVIDER);
}

int prefs_read(struct prefs *p, const struct json_doc *d, json_ref object, struct fail *reterr)
{
    assert(json_kind(d, object) == JSON_OBJECT);
    struct prefs_reader r = {.prefs = p, .doc = d, .reterr = reterr};
    set_defaults(p);
    uint32_t seen = 0;
    bool seen_provider = false;
    for (json_ref m = json_first(d, object); m != JSON_NONE; m = json_next(d, m)) {
        if (!json_key_has_prefix(d, m, "provider"))
            continue;
        if (p->text.len == 0 && !buf_addc(&p->text, '\0')) /* offset 0 means absent */
            return fail_set(reterr, ERR_internal, NULL, "out of memory");
        if (json_key_is(d, m, "provider")) {
            if (read_provider(&r, m, &seen_provider) != 0)
                return -1;
        } else if (json_key_has_prefix(d, m, "provider_")) {
            if (read_member(&r, m, PREFS_FLAT, &seen) != 0)
                return -1;
        }
    }
    return 0;
}
