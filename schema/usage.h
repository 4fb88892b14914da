/* Token counts by price bucket, as the provider states them.
 *
 * input_tok excludes both cache figures (Anthropic's convention; OpenAI's
 * prompt_tokens includes them and its adapter subtracts).  The audio figures are
 * parts of input_tok, output_tok and cache_read_tok, stated where there is some.
 * Buckets and merge rule: platform.claude.com/docs/en/build-with-claude/streaming (usage in
 * message_delta is cumulative) and docs/api.md "Usage". */
#ifndef SCHEMA_USAGE_H
#define SCHEMA_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* USAGE(member, json name in reports) */
#define USAGE_BUCKETS(USAGE)                                                                       \
    USAGE(input_tok, "input_tokens")                                                               \
    USAGE(output_tok, "output_tokens")                                                             \
    USAGE(cache_read_tok, "cache_read_tokens")                                                     \
    USAGE(cache_write_5m_tok, "cache_write_5m_tokens")                                             \
    USAGE(cache_write_1h_tok, "cache_write_1h_tokens")                                             \
    USAGE(web_searches, "web_searches")                                                            \
    USAGE(audio_input_tok, "audio_input_tokens")                                                   \
    USAGE(audio_output_tok, "audio_output_tokens")                                                 \
    USAGE(audio_cache_read_tok, "audio_cache_read_tokens")

enum usage_bucket {
#define USAGE(member, json) USAGE_##member,
    USAGE_BUCKETS(USAGE)
#undef USAGE
        USAGE_BUCKET_COUNT
};

struct usage {
    int64_t n[USAGE_BUCKET_COUNT];
    uint32_t seen;    /* bit per bucket: the provider stated it, zero included */
    uint32_t unclear; /* bit per bucket: something is stated of it that is no count */
};

enum usage_source { USAGE_NONE, USAGE_ESTIMATED, USAGE_PARTIAL, USAGE_FINAL, USAGE_RECONCILED };

enum { USAGE_ITERATIONS_MAX = 64, USAGE_MODEL_MAX = 128, USAGE_TERM_MAX = 16 };

/* One of the provider's own inner calls (usage.iterations[]); billed at its own
 * model where it names one.  model is "" for the model of the request. */
struct usage_iteration {
    struct usage usage;
    char model[USAGE_MODEL_MAX];
};

/* The terms that the provider says it served on, in its words; "" = it does not say. */
struct usage_terms {
    char speed[USAGE_TERM_MAX], geo[USAGE_TERM_MAX], tier[USAGE_TERM_MAX];
};

/* What one attempt used.  With n_iterations > 0 the iterations are billed for
 * tokens and `total` only for web_searches. */
struct usage_report {
    struct usage total;
    struct usage_terms terms;
    bool unfinished; /* of a stream: what it will have generated was not stated yet, only
                        placeholders */
    int n_iterations;
    struct usage_iteration iterations[USAGE_ITERATIONS_MAX];
};

/* Buckets that add up to the prompt. */
static inline bool usage_is_prompt(enum usage_bucket b)
{
    return b == USAGE_input_tok || b == USAGE_cache_read_tok || b == USAGE_cache_write_5m_tok ||
           b == USAGE_cache_write_1h_tok;
}
/* A bucket that was stated (zero included). */
static inline bool usage_has(const struct usage *u, enum usage_bucket b)
{
    return (u->seen >> b) & 1u;
}
/* n >= 0: what a provider says is checked by its adapter. */
void usage_set(struct usage *u, enum usage_bucket b, int64_t n);
/* What is stated of b cannot be read, and may have been more than n[b]. */
static inline void usage_set_unclear(struct usage *u, enum usage_bucket b)
{
    u->unclear |= 1u << b;
}
/* Field-wise: the larger of both, seen in either. */
void usage_merge_max(struct usage *u, const struct usage *newer);
void usage_add(struct usage *u, const struct usage *more);
/* The whole prompt: input + cache read + cache writes.  Decides the price tier. */
int64_t usage_prompt_tok(const struct usage *u);
/* Nothing known yet; the iterations' memory is not touched. */
static inline void usage_report_clear(struct usage_report *r)
{
    r->total = (struct usage){.seen = 0};
    r->terms = (struct usage_terms){.speed = ""};
    r->unfinished = false;
    r->n_iterations = 0;
}
/* What is billed, as one struct: iterations summed (or total), plus searches. */
void usage_report_sum(const struct usage_report *r, struct usage *ret);
/* Whether the provider alone says how much prompt, how much output that is. */
bool usage_report_states_prompt(const struct usage_report *r);
bool usage_report_states_output(const struct usage_report *r);

const char *usage_bucket_name(enum usage_bucket b);
const char *usage_source_name(enum usage_source s);
/* false when name is none of them. */
bool usage_source_parse(const char *name, enum usage_source *ret);

#endif
