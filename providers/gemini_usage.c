/* Gemini's usage figures: gemini.h.  ai.google.dev/api/generate-content#UsageMetadata. */
#include "providers/gemini.h"

/* Larger numbers are nonsense and ignored, like negative and fractional ones. */
#define FIGURE_MAX INT64_C(1000000000000)

enum { MODALITY_OF_AUDIO = 4 }; /* some answers have numbers for words */

static bool read_count(const struct json_doc *doc, json_ref object, const char *name, int64_t *ret)
{
    return json_int64(doc, json_get(doc, object, name), ret) && *ret >= 0 && *ret <= FIGURE_MAX;
}

/* Of a list by modality; -1: it says nothing. */
static int64_t read_audio(const struct json_doc *doc, json_ref list)
{
    int64_t sum = -1, n, number;
    if (list == JSON_NONE || json_kind(doc, list) != JSON_ARRAY)
        return -1;
    for (json_ref m = json_first(doc, list); m != JSON_NONE; m = json_next(doc, m)) {
        json_ref modality =
            json_kind(doc, m) == JSON_OBJECT ? json_get(doc, m, "modality") : JSON_NONE;
        bool audio = json_int64(doc, modality, &number) ? number == MODALITY_OF_AUDIO
                                                        : json_text_is(doc, modality, "AUDIO");
        if (audio && read_count(doc, m, "tokenCount", &n) && n <= FIGURE_MAX - (sum > 0 ? sum : 0))
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
        int64_t n =
            places[i].by_modality ? read_audio(doc, json_get(doc, metadata, places[i].name)) : -1;
        if (n >= 0 || (!places[i].by_modality && read_count(doc, metadata, places[i].name, &n))) {
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
    set_audio(f, ret);
}
