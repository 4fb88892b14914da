/* The closed word lists of the routing fields and of the catalog: quantizations,
 * request parameters, capabilities, sort orders.  Each is an X-macro: enum, name,
 * parser and the lists in error messages come from the same rows.
 * Words: docs/api.md "Routing fields"; OpenRouter's ProviderPreferences schema. */
#ifndef SCHEMA_VOCAB_H
#define SCHEMA_VOCAB_H

#include <stdint.h>

#include "schema/buf.h"
#include "schema/span.h"

/* Terms of a request that have prices of their own: Anthropic's speed and inference_geo
 * (platform.claude.com fast-mode, data-residency).  A word is shorter than VOCAB_TERM_MAX; these
 * two stand for nothing special. */
enum { VOCAB_TERM_MAX = 16 };
#define VOCAB_SPEED_USUAL "standard"
#define VOCAB_GEO_USUAL "global"

/* Lists of words: */
/* clang-format off */
#define VOCAB_QUANTIZATIONS(Q) \
    Q(unknown) Q(int4) Q(int8) Q(fp4) Q(mxfp4) Q(nvfp4) Q(fp6) Q(fp8) Q(mxfp8) Q(fp16) Q(bf16) Q(fp32)

enum quantization {
#define Q(name) QUANT_##name,
    VOCAB_QUANTIZATIONS(Q)
#undef Q
    QUANT_COUNT
};

/* OpenRouter's supported_parameters vocabulary. */
#define VOCAB_PARAMS(P)                                                                            \
    P(temperature) P(top_p) P(top_k) P(min_p) P(top_a) P(frequency_penalty) P(presence_penalty)    \
    P(repetition_penalty) P(max_tokens) P(max_completion_tokens) P(logit_bias) P(logprobs)         \
    P(top_logprobs) P(prediction) P(seed) P(response_format) P(structured_outputs) P(stop)         \
    P(tools) P(tool_choice) P(parallel_tool_calls) P(include_reasoning) P(reasoning)               \
    P(reasoning_effort) P(web_search_options) P(verbosity)

enum param {
#define P(name) PARAM_##name,
    VOCAB_PARAMS(P)
#undef P
    PARAM_COUNT
};
#define PARAM_BIT(p) (1u << (p)) /* PARAM_COUNT <= 32 */

#define VOCAB_MODALITIES(M) M(text) M(image) M(pdf) M(audio) M(video) M(file)

enum modality {
#define M(name) MODALITY_##name,
    VOCAB_MODALITIES(M)
#undef M
    MODALITY_COUNT
};
#define MODALITY_BIT(m) (1u << (m))

/* What a model refuses although its protocol allows it; requests are mended or sent elsewhere.
 * platform.claude.com/docs/en/about-claude/models/migration-guide and .../build-with-claude. */
#define VOCAB_RULES(R)                                                                             \
    R(no_adaptive_thinking)  /* only a budget */                                                   \
    R(no_thinking_budget)    /* only adaptive */                                                   \
    R(thinking_always)       /* cannot be switched off */                                          \
    R(effort_needs_thinking) /* no effort above "high" without thinking */                         \
    R(no_sampling)           /* temperature, top_p, top_k */                                       \
    R(no_prefill)            /* the last message is the user's */                                  \
    R(no_forced_tool)        /* tool_choice any, tool */                                           \
    R(no_system_messages)    /* instructions only before the first message */

enum model_rule {
#define R(name) RULE_##name,
    VOCAB_RULES(R)
#undef R
    RULE_COUNT
};
#define RULE_BIT(r) (1u << (r))

#define VOCAB_SORTS(S) S(none) S(price) S(throughput) S(latency)

enum sort {
#define S(name) SORT_##name,
    VOCAB_SORTS(S)
#undef S
    SORT_COUNT
};
/* clang-format on */

const char *quantization_name(enum quantization q);
bool quantization_parse(struct span s, enum quantization *ret);
const char *param_name(enum param p);
bool param_parse(struct span s, enum param *ret);
const char *modality_name(enum modality m);
bool modality_parse(struct span s, enum modality *ret);
const char *model_rule_name(enum model_rule r);
bool model_rule_parse(struct span s, enum model_rule *ret);
const char *sort_name(enum sort s);
/* "none" is not a word a request may use: refused here. */
bool sort_parse(struct span s, enum sort *ret);
/* "int4, int8, fp4, ..." for messages. */
void quantization_list(struct buf *out);

#endif
