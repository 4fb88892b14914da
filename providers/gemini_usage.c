/* Gemini's usage figures: gemini.h.  ai.google.dev/api/generate-content#UsageMetadata. */
#include "providers/gemini.h"

/* Larger numbers are nonsense and ignored, like negative and fractional ones. */
#define FIGURE_MAX INT64_C(1000000000000)

void gemini_read_usage(struct gemini_figures *f, const struct json_doc *doc, json_ref metadata)
{
    static const char *const names[GEMINI_FIGURES] = {
        [GEMINI_prompt] = "promptTokenCount",          [GEMINI_cached] = "cachedContentTokenCount",
        [GEMINI_candidates] = "candidatesTokenCount",  [GEMINI_thoughts] = "thoughtsTokenCount",
        [GEMINI_tool_use] = "toolUsePromptTokenCount", [GEMINI_total] = "totalTokenCount",
    };
    if (metadata == JSON_NONE || json_kind(doc, metadata) != JSON_OBJECT)
        return;
    for (int i = 0; i < GEMINI_FIGURES; i++) {
        int64_t n;
        if (json_int64(doc, json_get(doc, metadata, names[i]), &n) && n >= 0 && n <= FIGURE_MAX) {
            f->n[i] = n;
            f->seen |= 1u << i;
        }
    }
}

void gemini_read_searches(struct gemini_figures *f, const struct json_doc *doc, json_ref grounding,
                          int generation)
{
    json_ref queries = json_get(doc, grounding, "webSearchQueries");
    int64_t n = 0;
    if (queries == JSON_NONE || json_kind(doc, queries) != JSON_ARRAY)
        return;
    for (json_ref q = json_first(doc, queries); q != JSON_NONE; q = json_next(doc, q))
        n += json_kind(doc, q) == JSON_STRING && json_inner(doc, q).len > 0;
    if (generation < 30 && n > 1)
        n = 1;
    if (n > f->searches)
        f->searches = n;
}

static bool has(const struct gemini_figures *f, enum gemini_figure figure)
{
    return (f->seen >> figure & 1u) != 0;
}

void gemini_figures_to_usage(const struct gemini_figures *f, struct usage *ret)
{
    *ret = (struct usage){.seen = 0};
    int64_t cached = f->n[GEMINI_cached];
    if (has(f, GEMINI_prompt)) {
        int64_t prompt = f->n[GEMINI_prompt];
        cached = cached < prompt ? cached : prompt;
        usage_set(ret, USAGE_input_tok, prompt - cached + f->n[GEMINI_tool_use]);
    }
    if (has(f, GEMINI_cached))
        usage_set(ret, USAGE_cache_read_tok, cached);
    /* Zeros are not written (proto3), so that with a total the missing ones are zero. */
    if (has(f, GEMINI_candidates) || has(f, GEMINI_thoughts) || has(f, GEMINI_total))
        usage_set(ret, USAGE_output_tok, f->n[GEMINI_candidates] + f->n[GEMINI_thoughts]);
    if (f->searches > 0)
        usage_set(ret, USAGE_web_searches, f->searches);
}
