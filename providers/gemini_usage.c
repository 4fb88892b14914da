/* Gemini's usage figures: gemini.h.  ai.google.dev/api/generate-content#UsageMetadata. */
#include "providers/figure.h"
#include "providers/gemini.h"

enum { MODALITY_OF_AUDIO = 4 }; /* some answers have numbers for words */

/* Of a list by modality; what is unclear in it is left out. */
static int64_t read_audio(const struct json_doc *doc, json_ref list, bool *ret_unclear)
{
    int64_t sum = FIGURE_ABSENT, number;
    if (list == JSON_NONE || json_kind(doc, list) != JSON_ARRAY)
        return FIGURE_ABSENT;
    for (json_ref m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, m)) {
        json_ref modality =
            json_kind(doc, m) == JSON_OBJECT ? json_get(doc, m, "modality") : JSON_NONE;
        bool audio = json_int64(doc, modality, &number) ? number == MODALITY_OF_AUDIO
                                                        : json_text_is(doc, modality, "AUDIO");
        int64_t n = audio ? figure_read(doc, json_get(doc, m, "tokenCount")) : FIGURE_ABSENT;
        *ret_unclear |= n == FIGURE_UNCLEAR;
        if (n >= 0)
            sum = (sum > 0 ? sum : 0) + n;
    }
    return sum;
}

void gemini_read_usage(struct gemini_figures *f, const struct json_doc *doc, json_ref metadata)
{
    static const struct {
        const char *name;
        bool by_modality;
    } places[GEMINI_FIGURES] = {
        [GEMINI_prompt] = {"promptTokenCount", false},
        [GEMINI_cached] = {"cachedContentTokenCount", false},
        [GEMINI_candidates] = {"candidatesTokenCount", false},
        [GEMINI_thoughts] = {"thoughtsTokenCount", false},
        [GEMINI_tool_use] = {"toolUsePromptTokenCount", false},
        [GEMINI_total] = {"totalTokenCount", false},
        [GEMINI_audio] = {"promptTokensDetails", true},
        [GEMINI_cached_audio] = {"cacheTokensDetails", true},
        [GEMINI_candidates_audio] = {"candidatesTokensDetails", true},
        [GEMINI_tool_use_audio] = {"toolUsePromptTokensDetails", true},
    };
    if (metadata == JSON_NONE || json_kind(doc, metadata) != JSON_OBJECT)
        return;
    for (int i = 0; i < GEMINI_FIGURES; i++) {
        json_ref value = json_get(doc, metadata, places[i].name);
        bool unclear = false;
        int64_t n =
            places[i].by_modality ? read_audio(doc, value, &unclear) : figure_read(doc, value);
        if (n >= 0) {
            f->n[i] = n;
            f->seen |= 1u << i;
            f->unclear &= ~(1u << i);
        }
        if (unclear || n == FIGURE_UNCLEAR)
            f->unclear |= 1u << i;
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

static void set_part(struct usage *u, enum usage_bucket part, int64_t n, enum usage_bucket of)
{
    if (n > u->n[of])
        n = u->n[of];
    if (n > 0)
        usage_set(u, part, n);
}

/* Sound that is not said to have been cached was not: it costs more then. */
static void set_audio(const struct gemini_figures *f, struct usage *ret)
{
    int64_t input = f->n[GEMINI_audio] - f->n[GEMINI_cached_audio] + f->n[GEMINI_tool_use_audio];
    set_part(ret, USAGE_audio_input_tok, input, USAGE_input_tok);
    set_part(ret, USAGE_audio_cache_read_tok, f->n[GEMINI_cached_audio], USAGE_cache_read_tok);
    set_part(ret, USAGE_audio_output_tok, f->n[GEMINI_candidates_audio], USAGE_output_tok);
}

/* Zeros are not written (proto3), so that with a total the missing ones are zero; but of an answer
 * that holds something the output is not. */
static void set_output(const struct gemini_figures *f, bool content, struct usage *ret)
{
    int64_t n = f->n[GEMINI_candidates] + f->n[GEMINI_thoughts];
    int64_t rest = f->n[GEMINI_total] - f->n[GEMINI_prompt] - f->n[GEMINI_tool_use];
    if (!has(f, GEMINI_candidates) && has(f, GEMINI_prompt) && rest > n)
        n = rest;
    bool counted = has(f, GEMINI_thoughts) || has(f, GEMINI_total);
    bool zero = !content && (f->unclear >> GEMINI_candidates & 1u) == 0;
    if (has(f, GEMINI_candidates) || (counted && (n > 0 || zero)))
        usage_set(ret, USAGE_output_tok, n);
}

static void set_unclear(const struct gemini_figures *f, struct usage *ret)
{
    static const struct {
        enum gemini_figure figure;
        enum usage_bucket bucket;
    } rows[] = {
        {GEMINI_prompt, USAGE_input_tok},
        {GEMINI_tool_use, USAGE_input_tok},
        {GEMINI_cached, USAGE_cache_read_tok},
        {GEMINI_candidates, USAGE_output_tok},
        {GEMINI_thoughts, USAGE_output_tok},
        {GEMINI_audio, USAGE_audio_input_tok},
        {GEMINI_cached_audio, USAGE_audio_cache_read_tok},
        {GEMINI_candidates_audio, USAGE_audio_output_tok},
        {GEMINI_tool_use_audio, USAGE_audio_input_tok},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (f->unclear >> rows[i].figure & 1u)
            usage_set_unclear(ret, rows[i].bucket);
    }
}

void gemini_figures_to_usage(const struct gemini_figures *f, bool content, struct usage *ret)
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
    set_output(f, content, ret);
    if (f->searches > 0)
        usage_set(ret, USAGE_web_searches, f->searches);
    set_audio(f, ret);
    set_unclear(f, ret);
}
