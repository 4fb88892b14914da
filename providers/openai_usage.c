/* Usage figures of the chat completions protocol, in every place where a server was seen to state
 * them (platform.openai.com/docs/api-reference/chat/object, openrouter.ai/docs usage-accounting,
 * api-docs.deepseek.com, docs.litellm.ai, recorded exchanges).  Costs that some servers state are
 * not read: what is billed are tokens at the catalog's price. */
#include "providers/figure.h"
#include "providers/openai.h"

/* Where a figure stands; group NULL: in the usage object itself.  The same figure may stand in
 * several places: the largest counts. */
static const struct {
    enum openai_figure figure;
    const char *group, *name;
} places[] = {
    {OAI_prompt, NULL, "prompt_tokens"},
    {OAI_completion, NULL, "completion_tokens"},
    {OAI_total, NULL, "total_tokens"},
    {OAI_reasoning, "completion_tokens_details", "reasoning_tokens"},
    {OAI_reasoning, NULL, "reasoning_tokens"}, /* Perplexity */
    {OAI_cache_read, "prompt_tokens_details", "cached_tokens"},
    {OAI_cache_read, NULL, "cached_tokens"},                          /* Together, Moonshot */
    {OAI_cache_read, NULL, "prompt_cache_hit_tokens"},                /* DeepSeek */
    {OAI_cache_read, NULL, "cache_read_input_tokens"},                /* LiteLLM */
    {OAI_cache_write, "prompt_tokens_details", "cache_write_tokens"}, /* OpenRouter */
    {OAI_cache_write, "prompt_tokens_details", "cache_creation_input_tokens"}, /* Alibaba */
    {OAI_cache_write, "prompt_tokens_details", "cache_creation_tokens"},       /* LiteLLM */
    {OAI_cache_write, NULL, "cache_creation_input_tokens"},                    /* Vercel, LiteLLM */
    {OAI_cache_write_1h, "cache_creation", "ephemeral_1h_input_tokens"},
    {OAI_audio_in, "prompt_tokens_details", "audio_tokens"},
    {OAI_audio_out, "completion_tokens_details", "audio_tokens"},
    {OAI_searches, "server_tool_use_details", "web_search_requests"}, /* OpenRouter */
    {OAI_searches, "server_tool_use", "web_search_requests"},
    {OAI_searches, NULL, "num_search_queries"}, /* Perplexity */
    {OAI_citations, NULL, "citation_tokens"},   /* Perplexity */
    {OAI_searches, NULL, "num_sources_used"},   /* xAI: sources are what is billed */
};

/* What is written anew asks for cache writes only where the server has such marks. */
struct openai_figures openai_no_figures(const struct provider_reading *reading,
                                        const struct openai_dialect *d)
{
    bool asked = reading->dialog == NULL || openai_has(d, TRAIT_CACHE_MARKS);
    return (struct openai_figures){.hour_writes = reading->hour_writes && asked};
}

static void raise(struct openai_figures *f, enum openai_figure which, int64_t n)
{
    if (n > f->n[which])
        f->n[which] = n;
    f->seen |= 1u << which;
    f->unclear &= ~(1u << which);
}

void openai_read_figures(struct openai_figures *f, const struct json_doc *doc, json_ref usage)
{
    uint32_t clear = 0, unclear = 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        json_ref at = places[i].group != NULL ? json_get(doc, usage, places[i].group) : usage;
        int64_t n = figure_read(doc, json_get(doc, at, places[i].name));
        if (n >= 0) {
            raise(f, places[i].figure, n);
            clear |= 1u << places[i].figure;
        } else if (n == FIGURE_UNCLEAR) {
            unclear |= 1u << places[i].figure;
        }
    }
    f->unclear |= unclear & ~clear;
}

static bool has(const struct openai_figures *f, enum openai_figure which)
{
    return (f->seen >> which & 1u) != 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What only the total shows. */
static int64_t unstated(const struct openai_figures *f)
{
    if (!has(f, OAI_total) || !has(f, OAI_prompt) || !has(f, OAI_completion))
        return 0;
    int64_t rest = f->n[OAI_total] - f->n[OAI_prompt] - f->n[OAI_completion];
    return rest > 0 ? rest : 0;
}

/* What completion_tokens leaves out. */
static int64_t output_apart(const struct openai_figures *f, const struct openai_dialect *d)
{
    switch (d->output) {
    case OUTPUT_WHOLE:
        return 0;
    case OUTPUT_REASONING_APART:
        return f->n[OAI_reasoning];
    case OUTPUT_BY_TOTAL:
        return unstated(f);
    }
    return 0;
}

/* prompt_tokens holds what was read from and written to the cache.  A server once stated more of
 * that than there was prompt (Grok on Azure: 403 of 347): no token is billed twice. */
static void set_prompt(const struct openai_figures *f, struct usage *ret)
{
    int64_t left = f->n[OAI_prompt];
    if (has(f, OAI_cache_read)) {
        int64_t n = smaller(f->n[OAI_cache_read], left);
        usage_set(ret, USAGE_cache_read_tok, n);
        left -= n;
    }
    if (has(f, OAI_cache_write)) {
        int64_t n = smaller(f->n[OAI_cache_write], left);
        bool divided = has(f, OAI_cache_write_1h);
        int64_t hour = divided || !f->hour_writes ? smaller(f->n[OAI_cache_write_1h], n) : n;
        usage_set(ret, USAGE_cache_write_5m_tok, n - hour);
        if (divided || hour > 0)
            usage_set(ret, USAGE_cache_write_1h_tok, hour);
        left -= n;
    }
    usage_set(ret, USAGE_input_tok, left + f->n[OAI_citations]);
}

/* Nobody says how much of the sound was cached: as little as can be. */
static void set_audio(const struct openai_figures *f, struct usage *ret)
{
    int64_t in = smaller(f->n[OAI_audio_in], ret->n[USAGE_input_tok]);
    int64_t read = smaller(f->n[OAI_audio_in] - in, ret->n[USAGE_cache_read_tok]);
    int64_t out = smaller(f->n[OAI_audio_out], ret->n[USAGE_output_tok]);
    if (in > 0)
        usage_set(ret, USAGE_audio_input_tok, in);
    if (read > 0)
        usage_set(ret, USAGE_audio_cache_read_tok, read);
    if (out > 0)
        usage_set(ret, USAGE_audio_output_tok, out);
}

static void set_unclear(const struct openai_figures *f, const struct openai_dialect *d,
                        struct usage *ret)
{
    static const struct {
        enum openai_figure figure;
        enum usage_bucket bucket;
    } rows[] = {
        {OAI_prompt, USAGE_input_tok},
        {OAI_completion, USAGE_output_tok},
        {OAI_cache_read, USAGE_cache_read_tok},
        {OAI_cache_write, USAGE_cache_write_5m_tok},
        {OAI_cache_write_1h, USAGE_cache_write_1h_tok},
        {OAI_searches, USAGE_web_searches},
        {OAI_citations, USAGE_input_tok},
        {OAI_audio_in, USAGE_audio_input_tok},
        {OAI_audio_out, USAGE_audio_output_tok},
    };
    static const enum openai_figure apart[] = {[OUTPUT_WHOLE] = OAI_completion,
                                               [OUTPUT_REASONING_APART] = OAI_reasoning,
                                               [OUTPUT_BY_TOTAL] = OAI_total};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (f->unclear >> rows[i].figure & 1u)
            usage_set_unclear(ret, rows[i].bucket);
    }
    if (f->unclear >> apart[d->output] & 1u)
        usage_set_unclear(ret, USAGE_output_tok);
}

/* Of prompt, completion and total any two say the third, but for reasoning that stands apart: it is
 * in some totals (xAI) and not in others (Vercel).  A total that leaves nothing for the output is
 * believed where there is no content. */
static void complete(struct openai_figures *f, const struct openai_dialect *d, bool content)
{
    int64_t reasoning = f->n[OAI_reasoning];
    if (!has(f, OAI_total) || has(f, OAI_prompt) == has(f, OAI_completion))
        return;
    if (has(f, OAI_prompt)) {
        int64_t output = f->n[OAI_total] - f->n[OAI_prompt];
        int64_t apart = d->output == OUTPUT_REASONING_APART ? reasoning : 0;
        if (output < 0 || (output == 0 && content))
            return;
        raise(f, OAI_completion, output > apart ? output - apart : 0);
        if (apart > 0)
            f->unclear |= 1u << OAI_completion; /* it may be more */
        return;
    }
    int64_t prompt = f->n[OAI_total] - f->n[OAI_completion];
    bool none_apart = d->output == OUTPUT_REASONING_APART ? has(f, OAI_reasoning) && reasoning == 0
                                                          : reasoning == 0;
    if (prompt > 0 && (none_apart || d->output == OUTPUT_WHOLE))
        raise(f, OAI_prompt, prompt);
}

void openai_figures_to_usage(const struct openai_figures *stated, const struct openai_dialect *d,
                             bool content, struct usage *ret)
{
    struct openai_figures f = *stated;
    *ret = (struct usage){.seen = 0};
    complete(&f, d, content);
    if (has(&f, OAI_prompt))
        set_prompt(&f, ret);
    if (has(&f, OAI_completion))
        usage_set(ret, USAGE_output_tok, f.n[OAI_completion] + output_apart(&f, d));
    if (has(&f, OAI_searches))
        usage_set(ret, USAGE_web_searches, f.n[OAI_searches]);
    set_audio(&f, ret);
    set_unclear(&f, d, ret);
}

void openai_read_tier(char ret[USAGE_TERM_MAX], const struct json_doc *doc)
{
    char word[USAGE_TERM_MAX];
    json_ref v = json_get(doc, 0, "service_tier");
    if (v != JSON_NONE && json_kind(doc, v) == JSON_STRING &&
        json_text_fixed(doc, v, word, sizeof(word)))
        memcpy(ret, word, sizeof(word));
}

int64_t openai_reasoning_tok(const struct openai_figures *f, const struct openai_dialect *d)
{
    if (has(f, OAI_reasoning))
        return f->n[OAI_reasoning];
    return output_apart(f, d) > 0 ? output_apart(f, d) : -1;
}
