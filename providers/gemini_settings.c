/* Writes what a Gemini request says beside its contents: gemini.h.
 * ai.google.dev/api/generate-content#GenerationConfig, .../api/caching#Tool. */
#include <limits.h>

#include "providers/gemini.h"

enum { STOPS_MAX = 5 }; /* "up to 5" (GenerationConfig.stopSequences) */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int gemini_generation(const char *model)
{
    static const char family[] = "gemini-";
    const char *at = model != NULL ? strstr(model, family) : NULL;
    if (at == NULL)
        return 0;
    at += sizeof(family) - 1;
    if (!is_digit(at[0]))
        return GEMINI_NEWEST;
    if (is_digit(at[1]))
        return GEMINI_NEWEST;
    int generation = 10 * (at[0] - '0');
    return at[1] == '.' && is_digit(at[2]) ? generation + at[2] - '0' : generation;
}

/* The client's own word for a field that its doors call differently. */
static void drop(const struct provider_ask *ask, const char *anthropic, const char *openai)
{
    drops_add(ask->drops, ask->chat->door == DOOR_OPENAI ? openai : anthropic);
}

/* ---- tools ---- */

static bool is_function(const struct dialog_tool *t)
{
    return t->raw_of == NULL;
}

static void put_function(struct json_out *o, const struct provider_ask *ask,
                         const struct dialog_tool *t)
{
    char made[GEMINI_NAME_MAX + 1];
    if (t->strict == TRI_TRUE)
        drops_add(ask->drops, "strict");
    if (t->cache != CACHE_NONE)
        drops_add(ask->drops, "cache_control");
    json_open_object(o, NULL);
    json_put_string(o, "name", gemini_name(t->name, made));
    json_put_some_string(o, "description", t->description);
    /* Not `parameters`: that one is a dialect of OpenAPI and refuses most of JSON Schema. */
    json_put_some_raw(o, "parametersJsonSchema", t->schema_json);
    json_close_object(o);
}

/* How many functions there are. */
static int put_tools(struct json_out *o, const struct provider_ask *ask, const char *protocol)
{
    const struct dialog *d = ask->dialog;
    int functions = 0, raw = 0;
    for (const struct dialog_tool *t = d->first_tool; t != NULL; t = t->next) {
        functions += is_function(t);
        raw += !is_function(t) && strcmp(t->raw_of, protocol) == 0;
    }
    if (functions + raw < d->n_tools)
        drops_add(ask->drops, "tools");
    if (functions + raw == 0)
        return 0;
    json_open_array(o, "tools");
    for (const struct dialog_tool *t = d->first_tool; t != NULL; t = t->next) {
        if (!is_function(t) && strcmp(t->raw_of, protocol) == 0)
            json_put_raw(o, NULL, t->raw_json);
    }
    if (functions > 0) {
        json_open_object(o, NULL);
        json_open_array(o, "functionDeclarations");
        for (const struct dialog_tool *t = d->first_tool; t != NULL; t = t->next) {
            if (is_function(t))
                put_function(o, ask, t);
        }
        json_close_array(o);
        json_close_object(o);
    }
    json_close_array(o);
    return functions;
}

static void put_choice(struct json_out *o, const struct provider_ask *ask)
{
    static const char *const modes[] = {[CHOICE_AUTO] = "AUTO",
                                        [CHOICE_ANY] = "ANY",
                                        [CHOICE_NONE] = "NONE",
                                        [CHOICE_TOOL] = "ANY"};
    const struct dialog *d = ask->dialog;
    char made[GEMINI_NAME_MAX + 1];
    if (d->parallel == TRI_FALSE)
        drop(ask, "disable_parallel_tool_use", "parallel_tool_calls");
    if (d->choice == CHOICE_ABSENT)
        return;
    json_open_object(o, "toolConfig");
    json_open_object(o, "functionCallingConfig");
    json_put_string(o, "mode", span_of(modes[d->choice]));
    if (d->choice == CHOICE_TOOL) {
        json_open_array(o, "allowedFunctionNames");
        json_put_string(o, NULL, gemini_name(d->choice_name, made));
        json_close_array(o);
    }
    json_close_object(o);
    json_close_object(o);
}

/* ---- thinking ---- */

/* How a model is told.  By generation: from 3 on by level, 2.5 by budget, before not at all
 * (ai.google.dev/gemini-api/docs/thinking). */
struct thinking_rule {
    int from;
    const char *part; /* of the model's name */
    int64_t budget_min, budget_max;
    bool by_level, can_stop;
};
static const struct thinking_rule rules[] = {
    {30, "pro", 0, INT64_MAX, true, false}, {30, "", 0, INT64_MAX, true, true},
    {25, "pro", 128, 32768, false, false},  {25, "flash-lite", 512, 24576, false, true},
    {25, "", 1, 24576, false, true},
};

static const struct thinking_rule *find_rule(const char *model)
{
    int generation = gemini_generation(model);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (generation >= rules[i].from && strstr(model, rules[i].part) != NULL)
            return &rules[i];
    }
    return NULL;
}

/* The budgets are those of Google's own translation of reasoning_effort
 * (ai.google.dev/gemini-api/docs/openai, "Thinking"). */
static const struct effort {
    const char *word, *level;
    int64_t budget_tok;
} efforts[] = {
    {"minimal", "minimal", 1024}, {"low", "low", 1024},     {"medium", "medium", 8192},
    {"high", "high", 24576},      {"xhigh", "high", 24576}, {"max", "high", 24576},
};

static const struct effort *find_effort(struct span word)
{
    for (size_t i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
        if (span_is(word, efforts[i].word))
            return &efforts[i];
    }
    return NULL;
}

static int64_t clamp(int64_t n, int64_t low, int64_t high)
{
    return n < low ? low : n > high ? high : n;
}

/* Off, or as little as the model can. */
static void put_no_thinking(struct json_out *o, const struct provider_ask *ask,
                            const struct thinking_rule *rule)
{
    if (!rule->can_stop)
        drop(ask, "thinking", "reasoning_effort");
    if (rule->by_level)
        json_put_string(o, "thinkingLevel", rule->can_stop ? SPAN("minimal") : SPAN("low"));
    else
        json_put_int(o, "thinkingBudget", rule->can_stop ? 0 : rule->budget_min);
}

static void put_amount(struct json_out *o, const struct dialog_reasoning *r,
                       const struct thinking_rule *rule)
{
    const struct effort *effort = find_effort(r->effort);
    if (r->mode == REASONING_BUDGETED) /* newer models take it too: it is a bound */
        json_put_int(o, "thinkingBudget", clamp(r->budget_tok, rule->budget_min, rule->budget_max));
    else if (effort != NULL && rule->by_level)
        json_put_string(o, "thinkingLevel",
                        /* the large models know no less than low */
                        span_of(rule->can_stop || strcmp(effort->level, "minimal") != 0
                                    ? effort->level
                                    : "low"));
    else if (effort != NULL)
        json_put_int(o, "thinkingBudget",
                     clamp(effort->budget_tok, rule->budget_min, rule->budget_max));
    else if (!rule->by_level)
        json_put_int(o, "thinkingBudget", -1); /* as much as it likes */
}

static void put_thinking(struct json_out *o, const struct provider_ask *ask)
{
    const struct dialog_reasoning *r = &ask->dialog->reasoning;
    const struct thinking_rule *rule = find_rule(ask->target->upstream_model);
    bool off = r->mode == REASONING_OFF || span_is(r->effort, "none");
    if (r->mode == REASONING_ABSENT && r->effort.len == 0)
        return;
    if (rule == NULL) {
        if (!off)
            drop(ask, "thinking", "reasoning_effort");
        return;
    }
    json_open_object(o, "thinkingConfig");
    if (off)
        put_no_thinking(o, ask, rule);
    else
        put_amount(o, r, rule);
    if (!off && !r->hidden)
        json_put_bool(o, "includeThoughts", true);
    json_close_object(o);
}

/* ---- generationConfig ---- */

/* Members that take the client's number as it is. */
static void put_numbers(struct json_out *o, const struct provider_ask *ask)
{
    static const char *const members[NUMBER_COUNT] = {
        [NUMBER_temperature] = "temperature",
        [NUMBER_top_p] = "topP",
        [NUMBER_top_k] = "topK",
        [NUMBER_frequency_penalty] = "frequencyPenalty",
        [NUMBER_presence_penalty] = "presencePenalty",
        [NUMBER_seed] = "seed",
    };
    for (int i = 0; i < NUMBER_COUNT; i++) {
        struct span number = ask->dialog->numbers[i];
        /* An int32; more digits are refused. */
        bool fits = i != NUMBER_seed || number.len < 10;
        if (number.len > 0 && members[i] != NULL && fits)
            json_put_raw(o, members[i], number);
        else if (number.len > 0)
            drops_add(ask->drops, dialog_number_name((enum dialog_number)i));
    }
}

static void put_stops(struct json_out *o, const struct provider_ask *ask)
{
    const struct dialog *d = ask->dialog;
    int n = 0;
    for (int i = 0; i < d->n_stops; i++) {
        if (d->stops[i].len == 0)
            continue;
        if (n == STOPS_MAX) {
            drop(ask, "stop_sequences", "stop");
            break;
        }
        if (n++ == 0)
            json_open_array(o, "stopSequences");
        json_put_string(o, NULL, d->stops[i]);
    }
    if (n > 0)
        json_close_array(o);
}

/* Before generation 3 a model has either functions or a form for its answer: "Function calling
 * with a response mime type: 'application/json' is unsupported". */
static void put_format(struct json_out *o, const struct provider_ask *ask, int functions)
{
    const struct dialog_format *f = &ask->dialog->format;
    if (f->kind != FORMAT_JSON && f->kind != FORMAT_SCHEMA)
        return;
    if (functions > 0 && gemini_generation(ask->target->upstream_model) < 30) {
        drop(ask, "output_config.format", "response_format");
        return;
    }
    json_put_string(o, "responseMimeType", SPAN("application/json"));
    if (f->kind == FORMAT_SCHEMA)
        json_put_some_raw(o, "responseJsonSchema", f->schema_json);
}

/* What has no place in this protocol, or whose answer has none in ours (logprobs). */
static void drop_others(const struct provider_ask *ask)
{
    const struct dialog *d = ask->dialog;
    if (d->logprobs == TRI_TRUE)
        drops_add(ask->drops, "logprobs");
    if (d->logit_bias_json.len > 0)
        drops_add(ask->drops, "logit_bias");
    if (d->verbosity.len > 0)
        drops_add(ask->drops, "verbosity");
    if (d->service_tier.len > 0 && !span_is(d->service_tier, "auto"))
        drops_add(ask->drops, "service_tier");
    if (d->user.len > 0)
        drop(ask, "metadata", "user");
    if (d->cache != CACHE_NONE)
        drops_add(ask->drops, "cache_control");
}

void gemini_write_settings(struct json_out *o, const struct provider_ask *ask, const char *protocol)
{
    int functions = put_tools(o, ask, protocol);
    if (functions > 0)
        put_choice(o, ask);
    json_open_object(o, "generationConfig");
    if (ask->max_tokens >= 0)
        json_put_int(o, "maxOutputTokens", ask->max_tokens);
    put_numbers(o, ask);
    put_stops(o, ask);
    put_format(o, ask, functions);
    put_thinking(o, ask);
    json_close_object(o);
    drop_others(ask);
}
