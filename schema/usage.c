/* Token counts by bucket: merging what a provider stated, and summing it. */
#include "schema/usage.h"

#include <assert.h>
#include <string.h>

static const char *const bucket_names[USAGE_BUCKET_COUNT] = {
#define USAGE(member, json) json,
    USAGE_BUCKETS(USAGE)
#undef USAGE
};

static const char *const source_names[] = {
    [USAGE_NONE] = "none",   [USAGE_ESTIMATED] = "estimated",   [USAGE_PARTIAL] = "partial",
    [USAGE_FINAL] = "final", [USAGE_RECONCILED] = "reconciled",
};

enum { SOURCE_COUNT = sizeof(source_names) / sizeof(source_names[0]) };

/* Counts are never negative; a sum that leaves int64 stays at its end, where the
 * price then overflows and the caller is told. */
static int64_t add_counts(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

void usage_set(struct usage *u, enum usage_bucket b, int64_t n)
{
    assert(b < USAGE_BUCKET_COUNT && n >= 0);
    u->n[b] = n;
    u->seen |= 1u << b;
}

void usage_merge_max(struct usage *u, const struct usage *newer)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (newer->n[i] > u->n[i])
            u->n[i] = newer->n[i];
    }
    u->seen |= newer->seen;
}

void usage_add(struct usage *u, const struct usage *more)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        u->n[i] = add_counts(u->n[i], more->n[i]);
    u->seen |= more->seen;
}

int64_t usage_prompt_tok(const struct usage *u)
{
    int64_t sum = add_counts(u->n[USAGE_input_tok], u->n[USAGE_cache_read_tok]);
    sum = add_counts(sum, u->n[USAGE_cache_write_5m_tok]);
    return add_counts(sum, u->n[USAGE_cache_write_1h_tok]);
}

void usage_report_sum(const struct usage_report *r, struct usage *ret)
{
    assert(r->n_iterations >= 0 && r->n_iterations <= USAGE_ITERATIONS_MAX);
    if (r->n_iterations == 0) {
        *ret = r->total;
        return;
    }
    struct usage sum = {0};
    for (int i = 0; i < r->n_iterations; i++)
        usage_add(&sum, &r->iterations[i].usage);
    /* searches are stated once, for the whole attempt */
    const uint32_t bit = 1u << USAGE_web_searches;
    sum.n[USAGE_web_searches] = r->total.n[USAGE_web_searches];
    sum.seen = (sum.seen & ~bit) | (r->total.seen & bit);
    *ret = sum;
}

const char *usage_bucket_name(enum usage_bucket b)
{
    assert(b < USAGE_BUCKET_COUNT);
    return bucket_names[b];
}

const char *usage_source_name(enum usage_source s)
{
    assert((int)s < SOURCE_COUNT);
    return source_names[s];
}

bool usage_source_parse(const char *name, enum usage_source *ret)
{
    for (int i = 0; i < SOURCE_COUNT; i++) {
        if (strcmp(name, source_names[i]) == 0) {
            *ret = (enum usage_source)i;
            return true;
        }
    }
    return false;
}
