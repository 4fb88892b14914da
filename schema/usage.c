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
    u->unclear |= newer->unclear;
}

void usage_add(struct usage *u, const struct usage *more)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        u->n[i] = add_counts(u->n[i], more->n[i]);
    u->seen |= more->seen;
    u->unclear |= more->unclear;
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

/* One bucket is stated, and of none of those is anything unclear: in all that is billed. */
static bool states(const struct usage_report *r, enum usage_bucket stated, uint32_t of)
{
    if (r->n_iterations == 0)
        return usage_has(&r->total, stated) && (r->total.unclear & of) == 0;
    for (int i = 0; i < r->n_iterations; i++) {
        const struct usage *u = &r->iterations[i].usage;
        if (!usage_has(u, stated) || (u->unclear & of) != 0)
            return false;
    }
    return true;
}

bool usage_report_states_prompt(const struct usage_report *r)
{
    return states(r, USAGE_input_tok,
                  1u << USAGE_input_tok | 1u << USAGE_cache_read_tok |
                      1u << USAGE_cache_write_5m_tok | 1u << USAGE_cache_write_1h_tok |
                      1u << USAGE_audio_input_tok | 1u << USAGE_audio_cache_read_tok);
}

bool usage_report_states_output(const struct usage_report *r)
{
    return !r->unfinished &&
           states(r, USAGE_output_tok, 1u << USAGE_output_tok | 1u << USAGE_audio_output_tok);
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
