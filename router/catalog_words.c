/* Word lists of the catalog. */
#include "router/catalog_words.h"

#include <string.h>

void words_split(struct span text, struct word_list *ret)
{
    ret->n = 0;
    size_t n = text.len < sizeof ret->text - 1 ? text.len : sizeof ret->text - 1;
    if (n > 0) {
        memcpy(ret->text, text.ptr, n);
    }
    ret->text[n] = '\0';
    char *rest = ret->text;
    while (ret->n < WORDS_MAX && *rest != '\0') {
        size_t len = strcspn(rest, " ");
        if (len > 0) {
            ret->word[ret->n++] = rest;
        }
        char *end = rest + len;
        rest = *end != '\0' ? end + 1 : end;
        *end = '\0';
    }
}

uint32_t words_modalities(struct span text)
{
    struct word_list words;
    uint32_t bits = 0;
    words_split(text, &words);
    for (int i = 0; i < words.n; i++) {
        enum modality m;
        bits |= modality_parse(span_of(words.word[i]), &m) ? MODALITY_BIT(m) : 0;
    }
    return bits;
}

uint32_t words_params(struct span text)
{
    struct word_list words;
    uint32_t bits = 0;
    words_split(text, &words);
    for (int i = 0; i < words.n; i++) {
        enum param p;
        bits |= param_parse(span_of(words.word[i]), &p) ? PARAM_BIT(p) : 0;
    }
    return bits;
}

uint32_t words_rules(struct span text)
{
    struct word_list words;
    uint32_t bits = 0;
    words_split(text, &words);
    for (int i = 0; i < words.n; i++) {
        enum model_rule r;
        bits |= model_rule_parse(span_of(words.word[i]), &r) ? RULE_BIT(r) : 0;
    }
    return bits;
}

static void add_word(struct buf *out, const char *word)
{
    if (out->len > 0) {
        buf_addc(out, ' ');
    }
    buf_adds(out, word);
}

void words_write_modalities(uint32_t bits, struct buf *out)
{
    for (int i = 0; i < MODALITY_COUNT; i++) {
        if ((bits & MODALITY_BIT(i)) != 0) {
            add_word(out, modality_name((enum modality)i));
        }
    }
}

void words_write_params(uint32_t bits, struct buf *out)
{
    for (int i = 0; i < PARAM_COUNT; i++) {
        if ((bits & PARAM_BIT(i)) != 0) {
            add_word(out, param_name((enum param)i));
        }
    }
}

void words_write_rules(uint32_t bits, struct buf *out)
{
    for (int i = 0; i < RULE_COUNT; i++) {
        if ((bits & RULE_BIT(i)) != 0)
            add_word(out, model_rule_name((enum model_rule)i));
    }
}

static const char *const credential_kinds[] = {
    [CREDENTIAL_NONE] = "none",
    [CREDENTIAL_ENV] = "env",
    [CREDENTIAL_FILE] = "file",
};

const char *credential_kind_word(enum credential_kind k)
{
    return credential_kinds[k];
}

enum credential_kind credential_kind_parse(const char *word)
{
    for (int i = 0; i < (int)(sizeof credential_kinds / sizeof credential_kinds[0]); i++) {
        if (strcmp(word, credential_kinds[i]) == 0) {
            return (enum credential_kind)i;
        }
    }
    return CREDENTIAL_NONE;
}

static const char *const auth_types[] = {
    [AUTH_BEARER] = "bearer", [AUTH_API_KEY] = "api_key", [AUTH_BASIC] = "basic",
    [AUTH_CUSTOM] = "custom", [AUTH_NONE] = "none",
};

const char *auth_type_word(enum auth_type t)
{
    return auth_types[t];
}

enum auth_type auth_type_parse(const char *word)
{
    for (int i = 0; i < (int)(sizeof auth_types / sizeof auth_types[0]); i++) {
        if (strcmp(word, auth_types[i]) == 0) {
            return (enum auth_type)i;
        }
    }
    return AUTH_API_KEY;
}
