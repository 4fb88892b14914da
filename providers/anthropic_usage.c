/* Usage figures of Anthropic's wire format.
 * platform.claude.com/docs/en/api/messages (usage) and
 * .../build-with-claude/prompt-caching (cache_creation). */
#include "providers/anthropic.h"
#include "providers/figure.h"

static void read_figure(struct anthropic_figures *f, enum anthropic_figure which,
                        const struct json_doc *doc, json_ref object, const char *name)
{
    int64_t n = figure_read(doc, json_get(doc, object, name));
    if (n == FIGURE_UNCLEAR)
        f->unclear |= 1u << which;
    if (n < 0)
        return;
    f->n[which] = n;
    f->seen |= 1u << which;
    f->unclear &= ~(1u << which);
}

/* What is null, no word or too long for one says nothing. */
static void read_term(char term[USAGE_TERM_MAX], const struct json_doc *doc, json_ref object,
                      const char *name)
{
    char word[USAGE_TERM_MAX];
    json_ref v = json_get(doc, object, name);
    if (v != JSON_NONE && json_kind(doc, v) == JSON_STRING &&
        json_text_fixed(doc, v, word, sizeof(word)))
        memcpy(term, word, sizeof(word));
}

void anthropic_read_figures(struct anthropic_figures *f, const struct json_doc *doc, json_ref usage)
{
    if (!json_is_object(doc, usage))
        return;
    read_figure(f, FIGURE_input, doc, usage, "input_tokens");
    read_figure(f, FIGURE_output, doc, usage, "output_tokens");
    read_figure(f, FIGURE_cache_read, doc, usage, "cache_read_input_tokens");
    read_figure(f, FIGURE_cache_write, doc, usage, "cache_creation_input_tokens");
    json_ref split = json_get(doc, usage, "cache_creation");
    if (json_is_object(doc, split)) {
        read_figure(f, FIGURE_cache_write_5m, doc, split, "ephemeral_5m_input_tokens");
        read_figure(f, FIGURE_cache_write_1h, doc, split, "ephemeral_1h_input_tokens");
    }
    json_ref tools = json_get(doc, usage, "server_tool_use");
    if (json_is_object(doc, tools))
        read_figure(f, FIGURE_web_searches, doc, tools, "web_search_requests");
    read_term(f->terms.speed, doc, usage, "speed");
    read_term(f->terms.geo, doc, usage, "inference_geo");
}

void anthropic_merge_max(struct anthropic_figures *f, const struct anthropic_figures *newer)
{
    for (int i = 0; i < FIGURE_COUNT; i++) {
        if (newer->n[i] > f->n[i])
            f->n[i] = newer->n[i];
    }
    f->seen |= newer->seen;
    f->unclear = (f->unclear & ~newer->seen) | newer->unclear;
    if (newer->terms.speed[0] != '\0')
        memcpy(f->terms.speed, newer->terms.speed, USAGE_TERM_MAX);
    if (newer->terms.geo[0] != '\0')
        memcpy(f->terms.geo, newer->terms.geo, USAGE_TERM_MAX);
}

static bool has(const struct anthropic_figures *f, enum anthropic_figure which)
{
    return (f->seen >> which & 1u) != 0;
}

static void set_unclear(const struct anthropic_figures *f, struct usage *ret)
{
    static const enum usage_bucket buckets[FIGURE_COUNT] = {
        [FIGURE_input] = USAGE_input_tok,
        [FIGURE_output] = USAGE_output_tok,
        [FIGURE_cache_read] = USAGE_cache_read_tok,
        [FIGURE_cache_write] = USAGE_cache_write_5m_tok,
        [FIGURE_cache_write_5m] = USAGE_cache_write_5m_tok,
        [FIGURE_cache_write_1h] = USAGE_cache_write_1h_tok,
        [FIGURE_web_searches] = USAGE_web_searches,
    };
    for (int i = 0; i < FIGURE_COUNT; i++) {
        if (f->unclear >> i & 1u)
            usage_set_unclear(ret, buckets[i]);
    }
}

static void set_cache_writes(const struct anthropic_figures *f, struct usage *ret)
{
    int64_t five_minutes = f->n[FIGURE_cache_write_5m], hour = f->n[FIGURE_cache_write_1h];
    int64_t rest = f->n[FIGURE_cache_write] - five_minutes - hour;
    /* What the split does not explain was written as it was asked for. */
    if (rest > 0)
        *(f->hour_writes ? &hour : &five_minutes) += rest;
    if (has(f, FIGURE_cache_write) || has(f, FIGURE_cache_write_5m))
        usage_set(ret, USAGE_cache_write_5m_tok, five_minutes);
    if (has(f, FIGURE_cache_write_1h) || hour > 0)
        usage_set(ret, USAGE_cache_write_1h_tok, hour);
}

void anthropic_figures_to_usage(const struct anthropic_figures *f, struct usage *ret)
{
    *ret = (struct usage){.seen = 0};
    if (has(f, FIGURE_input))
        usage_set(ret, USAGE_input_tok, f->n[FIGURE_input]);
    if (has(f, FIGURE_output))
        usage_set(ret, USAGE_output_tok, f->n[FIGURE_output]);
    if (has(f, FIGURE_cache_read))
        usage_set(ret, USAGE_cache_read_tok, f->n[FIGURE_cache_read]);
    set_cache_writes(f, ret);
    if (has(f, FIGURE_web_searches))
        usage_set(ret, USAGE_web_searches, f->n[FIGURE_web_searches]);
    set_unclear(f, ret);
}

/* Beyond the maximum, figures go to the last iteration of the same model: the sum that
 * is billed stays whole. */
static void add_iteration(struct usage_report *r, int n, const struct usage_iteration *it)
{
    if (n < USAGE_ITERATIONS_MAX) {
        r->iterations[n] = *it;
        return;
    }
    int at = n - 1;
    while (at > 0 && strcmp(r->iterations[at].model, it->model) != 0)
        at--;
    usage_add(&r->iterations[at].usage, &it->usage);
}

/* The non-empty array, or JSON_NONE. */
static json_ref iterations_of(const struct json_doc *doc, json_ref usage)
{
    json_ref list = json_is_object(doc, usage) ? json_get(doc, usage, "iterations") : JSON_NONE;
    bool some = list != JSON_NONE && json_kind(doc, list) == JSON_ARRAY &&
                json_first(doc, list) != JSON_NONE;
    return some ? list : JSON_NONE;
}

bool anthropic_has_iterations(const struct json_doc *doc, json_ref usage)
{
    return iterations_of(doc, usage) != JSON_NONE;
}

static void read_iteration(struct usage_iteration *it, bool hour_writes, const struct json_doc *doc,
                           json_ref entry)
{
    struct anthropic_figures figures = {.hour_writes = hour_writes};
    *it = (struct usage_iteration){.model = ""};
    anthropic_read_figures(&figures, doc, entry);
    anthropic_figures_to_usage(&figures, &it->usage);
    json_ref model = json_is_object(doc, entry) ? json_get(doc, entry, "model") : JSON_NONE;
    if (model != JSON_NONE && json_kind(doc, model) == JSON_STRING &&
        !json_text_fixed(doc, model, it->model, sizeof(it->model)))
        it->model[0] = '\0';
}

static bool is_typed(const struct json_doc *doc, json_ref entry, const char *type)
{
    json_ref t = json_is_object(doc, entry) ? json_get(doc, entry, "type") : JSON_NONE;
    return t != JSON_NONE && json_text_is(doc, t, type);
}

/* Has the provider gone over to another model, because the one before declined? */
static bool has_fallback(const struct json_doc *doc, json_ref list)
{
    for (json_ref i = json_first(doc, list); i != JSON_NONE; i = json_next(doc, i)) {
        if (is_typed(doc, i, "fallback_message"))
            return true;
    }
    return false;
}

/* An attempt that was declined before it had any output is not billed
 * (platform.claude.com "Refusals and fallback"). */
static bool is_declined(const struct json_doc *doc, json_ref entry, const struct usage *u)
{
    return usage_has(u, USAGE_output_tok) && u->n[USAGE_output_tok] == 0 &&
           (is_typed(doc, entry, "message") || is_typed(doc, entry, "fallback_message"));
}

void anthropic_read_iterations(struct usage_report *r, bool hour_writes, const struct json_doc *doc,
                               json_ref usage)
{
    json_ref list = iterations_of(doc, usage);
    if (list == JSON_NONE)
        return;
    bool fallback = has_fallback(doc, list);
    int n = 0;
    for (json_ref i = json_first(doc, list); i != JSON_NONE; i = json_next(doc, i)) {
        struct usage_iteration it;
        read_iteration(&it, hour_writes, doc, i);
        if (it.usage.seen == 0 || (fallback && is_declined(doc, i, &it.usage)))
            continue;
        add_iteration(r, n, &it);
        n += n < USAGE_ITERATIONS_MAX;
    }
    if (n > 0)
        r->n_iterations = n;
}
