/* Layering preferences: one copy function per type of prefs_spec.h. */
#include "schema/prefs.h"
#include "schema/prefs_spec.h"

#define AT(p, member) (&(p)->member)

static void inherit_slugs(struct prefs *p, struct slug_list *to, const struct prefs *base,
                          const struct slug_list *from)
{
    if (p->text.len == 0) {
        buf_addc(&p->text, '\0'); /* offset 0 means absent */
    }
    for (to->n = 0; to->n < from->n; to->n++) {
        to->at[to->n] = (uint32_t)p->text.len;
        buf_adds(&p->text, prefs_str(base, from->at[to->n]));
        buf_addc(&p->text, '\0');
    }
}

static void inherit_sort(struct prefs *p, enum sort *to, const struct prefs *base,
                         const enum sort *from)
{
    *to = *from;
    p->partition_none = base->partition_none;
}

static void inherit_mtok_cap(struct prefs *p, struct cap *to, const struct prefs *base,
                             const struct cap *from)
{
    *to = *from;
    p->warn_tiny_cap |= base->warn_tiny_cap;
}

static void inherit_fallbacks(struct prefs *p, bool *to, const struct prefs *base, const bool *from)
{
    *to = *from;
    p->allow_fallbacks_set = base->allow_fallbacks_set;
}

/* Types whose value is the member alone. */
#define INHERIT_PLAIN(type, ctype)                                                                 \
    static void inherit_##type(struct prefs *p, ctype *to, const struct prefs *base,               \
                               const ctype *from)                                                  \
    {                                                                                              \
        (void)p, (void)base;                                                                       \
        *to = *from;                                                                               \
    }
INHERIT_PLAIN(quants, uint32_t)
INHERIT_PLAIN(cap, struct cap)
INHERIT_PLAIN(flag, bool)
INHERIT_PLAIN(collection, bool)
INHERIT_PLAIN(perf, struct perf_pref)

/* A group of caps, each a row of its own; and what a layer below may not set for others. */
#define inherit_prices(p, to, base, from) ((void)(to), (void)(from))
#define inherit_configs(p, to, base, from) ((void)(to), (void)(from))

void prefs_inherit(struct prefs *p, const struct prefs *base)
{
    uint32_t bit = 1;
#define FIELD(flat, level, nested, type, member, arg)                                              \
    if ((base->given & bit) != 0 && (p->given & bit) == 0) {                                       \
        inherit_##type(p, AT(p, member), base, AT(base, member));                                  \
    }                                                                                              \
    bit <<= 1;
    PREFS_FIELDS(FIELD)
#undef FIELD
    p->given |= base->given;
}
