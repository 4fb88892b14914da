/* Writes preferences as canonical JSON, from the rows of prefs_spec.h. */
#include <stddef.h>

#include "schema/money.h"
#include "schema/prefs_reader.h"

/* One object under construction; `between` is what goes before its next member. */
struct writer {
    const struct prefs *prefs;
    struct buf *out;
    const char *between;
    uint32_t bit; /* in prefs->given, of the field being written */
};

struct field {
    const char *flat;
    void (*write)(struct writer *w, const struct field *f);
    size_t at;
    int arg;
};

static const void *member_of(const struct writer *w, const struct field *f)
{
    return (const char *)w->prefs + f->at;
}

static void add_name(struct writer *w, const char *name)
{
    buf_addf(w->out, "%s\"%s\":", w->between, name);
    w->between = ",";
}

static void add_text(struct writer *w, const char *s)
{
    json_write_string(w->out, span_of(s));
}

/* "name":"value", unless the value is absent. */
static void add_optional(struct writer *w, const char *name, const char *value)
{
    if (value == NULL)
        return;
    add_name(w, name);
    add_text(w, value);
}

static void add_flag(struct writer *w, const char *name, bool value)
{
    add_name(w, name);
    buf_adds(w->out, value ? "true" : "false");
}

static bool is_given(const struct writer *w)
{
    return w->prefs->given & w->bit;
}

static void write_slugs(struct writer *w, const struct field *f)
{
    const struct slug_list *list = member_of(w, f);
    if (list->n == 0)
        return;
    add_name(w, f->flat);
    for (int i = 0; i < list->n; i++) {
        buf_adds(w->out, i == 0 ? "[" : ",");
        add_text(w, prefs_str(w->prefs, list->at[i]));
    }
    buf_addc(w->out, ']');
}

/* With a partition the nested form is written, see write_nested(). */
static void write_sort(struct writer *w, const struct field *f)
{
    if (w->prefs->sort != SORT_none && !w->prefs->partition_none)
        add_optional(w, f->flat, sort_name(w->prefs->sort));
}

static void write_quants(struct writer *w, const struct field *f)
{
    if (w->prefs->quantizations == 0)
        return;
    add_name(w, f->flat);
    const char *between = "[";
    for (int q = 0; q < QUANT_COUNT; q++) {
        if (w->prefs->quantizations & 1u << q) {
            buf_adds(w->out, between);
            add_text(w, quantization_name((enum quantization)q));
            between = ",";
        }
    }
    buf_addc(w->out, ']');
}

static void write_cap(struct writer *w, const struct field *f)
{
    const struct cap *cap = member_of(w, f);
    char text[MONEY_TEXT_MAX];
    if (f->flat != NULL && cap->set)
        add_optional(w, f->flat, money_print(cap->value, f->arg, text));
}

static void write_mtok_cap(struct writer *w, const struct field *f)
{
    write_cap(w, f);
}

static void write_prices(struct writer *w, const struct field *f)
{
    (void)w;
    (void)f;
}

static void write_flag(struct writer *w, const struct field *f)
{
    const bool *flag = member_of(w, f);
    if (*flag || is_given(w))
        add_flag(w, f->flat, *flag);
}

static void write_fallbacks(struct writer *w, const struct field *f)
{
    if (w->prefs->allow_fallbacks_set)
        add_flag(w, f->flat, w->prefs->allow_fallbacks);
}

static void write_collection(struct writer *w, const struct field *f)
{
    if (w->prefs->data_collection_deny || is_given(w))
        add_optional(w, f->flat, w->prefs->data_collection_deny ? "deny" : "allow");
}

static void write_perf(struct writer *w, const struct field *f)
{
    const struct perf_pref *perf = member_of(w, f);
    const char *between = "{";
    for (int i = 0; i < PERCENTILE_COUNT; i++) {
        if (!perf->set[i])
            continue;
        if (between[0] == '{')
            add_name(w, f->flat);
        char text[MONEY_TEXT_MAX];
        buf_addf(w->out, "%s\"%s\":%s", between, prefs_percentiles[i],
                 money_print(perf->milli[i], PREFS_PERF_SCALE, text));
        between = ",";
    }
    if (between[0] == ',')
        buf_addc(w->out, '}');
}

/* Without api_key and headers: what is stored or shown must hold no secret. */
static void write_config(struct buf *out, const struct prefs *p, const struct provider_config *c)
{
    struct writer w = {.prefs = p, .out = out, .between = ""};
    json_write_string(out, span_of(prefs_str(p, c->slug)));
    buf_adds(out, ":{");
    add_optional(&w, "base_url", prefs_str(p, c->base_url));
    if (c->timeout_ms >= 0) {
        add_name(&w, "timeout_ms");
        buf_addf(out, "%lld", (long long)c->timeout_ms);
    }
    if (c->has_auth_type && (int)c->auth_type < PREFS_AUTH_TYPES)
        add_optional(&w, "auth_type", prefs_auth_types[c->auth_type]);
    add_optional(&w, "auth_header_name", prefs_str(p, c->auth_header_name));
    if (c->native_format > 0)
        add_optional(&w, "native_format", prefs_native_formats[c->native_format - 1]);
    buf_addc(out, '}');
}

static void write_configs(struct writer *w, const struct field *f)
{
    if (w->prefs->n_configs == 0)
        return;
    add_name(w, f->flat);
    for (int i = 0; i < w->prefs->n_configs; i++) {
        buf_adds(w->out, i == 0 ? "{" : ",");
        write_config(w->out, w->prefs, &w->prefs->configs[i]);
    }
    buf_addc(w->out, '}');
}

/* What has no flat name. */
static void write_nested(struct writer *outer)
{
    const struct prefs *p = outer->prefs;
    if (!p->max_audio.set && !p->partition_none)
        return;
    add_name(outer, "provider");
    buf_addc(outer->out, '{');
    struct writer w = {.prefs = p, .out = outer->out, .between = ""};
    if (p->partition_none) {
        add_name(&w, "sort");
        buf_addc(w.out, '{');
        struct writer sort = {.prefs = p, .out = w.out, .between = ""};
        if (p->sort != SORT_none)
            add_optional(&sort, "by", sort_name(p->sort));
        add_optional(&sort, "partition", "none");
        buf_addc(w.out, '}');
    }
    if (p->max_audio.set) {
        char text[MONEY_TEXT_MAX];
        add_name(&w, "max_price");
        buf_addf(w.out, "{\"audio\":\"%s\"}",
                 money_print(p->max_audio.value, MONEY_SCALE_MTOK, text));
    }
    buf_addc(outer->out, '}');
}

static const struct field fields[] = {
#define FIELD(flat, level, nested, type, member, arg)                                              \
    {flat, write_##type, offsetof(struct prefs, member), arg},
    PREFS_FIELDS(FIELD)
#undef FIELD
};

void prefs_write(const struct prefs *p, struct buf *out)
{
    struct writer w = {.prefs = p, .out = out, .between = ""};
    buf_addc(out, '{');
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        w.bit = 1u << i;
        fields[i].write(&w, &fields[i]);
    }
    write_nested(&w);
    buf_addc(out, '}');
}
