/* Names and parsers of the word lists of vocab.h, from the same rows as the enums. */
#include "schema/vocab.h"

#include <assert.h>

#define WORD(name) #name,
static const char *const quantizations[QUANT_COUNT] = {VOCAB_QUANTIZATIONS(WORD)};
static const char *const params[PARAM_COUNT] = {VOCAB_PARAMS(WORD)};
static const char *const modalities[MODALITY_COUNT] = {VOCAB_MODALITIES(WORD)};
static const char *const rules[RULE_COUNT] = {VOCAB_RULES(WORD)};
static const char *const sorts[SORT_COUNT] = {VOCAB_SORTS(WORD)};
#undef WORD

_Static_assert(PARAM_COUNT <= 32, "PARAM_BIT is a bit of a uint32_t");
_Static_assert(RULE_COUNT <= 32, "RULE_BIT is a bit of a uint32_t");
_Static_assert(QUANT_COUNT <= 32, "prefs.quantizations is a uint32_t");
_Static_assert(MODALITY_COUNT <= 32, "MODALITY_BIT is a bit of a uint32_t");

/* The index of s in words[first..n), or n. */
static size_t find(const char *const *words, size_t first, size_t n, struct span s)
{
    for (size_t i = first; i < n; i++) {
        if (span_is(s, words[i]))
            return i;
    }
    return n;
}

const char *quantization_name(enum quantization q)
{
    assert(q < QUANT_COUNT);
    return quantizations[q];
}

bool quantization_parse(struct span s, enum quantization *ret)
{
    size_t i = find(quantizations, 0, QUANT_COUNT, s);
    if (i == QUANT_COUNT)
        return false;
    *ret = (enum quantization)i;
    return true;
}

const char *param_name(enum param p)
{
    assert(p < PARAM_COUNT);
    return params[p];
}

bool param_parse(struct span s, enum param *ret)
{
    size_t i = find(params, 0, PARAM_COUNT, s);
    if (i == PARAM_COUNT)
        return false;
    *ret = (enum param)i;
    return true;
}

const char *modality_name(enum modality m)
{
    assert(m < MODALITY_COUNT);
    return modalities[m];
}

bool modality_parse(struct span s, enum modality *ret)
{
    size_t i = find(modalities, 0, MODALITY_COUNT, s);
    if (i == MODALITY_COUNT)
        return false;
    *ret = (enum modality)i;
    return true;
}

const char *model_rule_name(enum model_rule r)
{
    assert(r < RULE_COUNT);
    return rules[r];
}

bool model_rule_parse(struct span s, enum model_rule *ret)
{
    size_t i = find(rules, 0, RULE_COUNT, s);
    if (i == RULE_COUNT)
        return false;
    *ret = (enum model_rule)i;
    return true;
}

const char *sort_name(enum sort s)
{
    assert(s < SORT_COUNT);
    return sorts[s];
}

bool sort_parse(struct span s, enum sort *ret)
{
    size_t i = find(sorts, SORT_none + 1, SORT_COUNT, s);
    if (i == SORT_COUNT)
        return false;
    *ret = (enum sort)i;
    return true;
}

void quantization_list(struct buf *out)
{
    for (size_t i = 0; i < QUANT_COUNT; i++) {
        if (i > 0)
            buf_adds(out, ", ");
        buf_adds(out, quantizations[i]);
    }
}
