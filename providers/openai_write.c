/* A dialog as a request of the chat completions protocol: everything but its messages.
 * platform.openai.com/docs/api-reference/chat/create; what each server takes: openai_dialect.c, and
 * what each model takes: the catalog's supported_parameters. */
#include <stdio.h>

#include "providers/openai.h"

enum { USER_MAX = 64 }; /* bytes that OpenAI takes */

void openai_drop(struct openai_writing *w, const char *anthropic, const char *openai)
{
    drops_add(w->ask->drops, w->ask->chat->door == DOOR_OPENAI ? openai : anthropic);
}

bool openai_is_native(const struct openai_writing *w)
{
    return w->ask->chat->door == DOOR_OPENAI && !openai_has(w->dialect, TRAIT_OTHER_PROTOCOL);
}

static bool has_param(const struct openai_writing *w, enum param p)
{
    return (w->ask->target->params & PARAM_BIT(p)) != 0;
}

/* The catalog states parameters of this endpoint, and this is none of them. */
static bool is_unsupported(const struct openai_writing *w, enum param p)
{
    return w->ask->target->params != 0 && !has_param(w, p);
}

static bool has_rule(const struct openai_writing *w, enum model_rule rule)
{
    return (w->ask->target->rules & RULE_BIT(rule)) != 0;
}

bool openai_system_first(const struct openai_writing *w)
{
    return openai_has(w->dialect, TRAIT_SYSTEM_FIRST) || has_rule(w, RULE_no_system_messages);
}

bool openai_may_think(const struct openai_writing *w)
{
    return w->ask->target->params == 0 || has_param(w, PARAM_reasoning) ||
           has_param(w, PARAM_reasoning_effort);
}

/* ---- numbers ---- */

static const enum param number_params[NUMBER_COUNT] = {
#define SETTING(member, name) [NUMBER_##member] = PARAM_##member,
    DIALOG_NUMBERS(SETTING)
#undef SETTING
};

static bool takes_number(const struct openai_writing *w, enum dialog_number n)
{
    const struct openai_dialect *d = w->dialect;
    bool known = (d->numbers >> n & 1u) != 0;
    bool stated = openai_has(d, TRAIT_STATED_PARAMS) && has_param(w, number_params[n]);
    bool sampling = n == NUMBER_temperature || n == NUMBER_top_p || n == NUMBER_top_k;
    /* A number of logprobs without logprobs is an error. */
    if (n == NUMBER_top_logprobs && w->dialog->logprobs != TRI_TRUE)
        return false;
    if (sampling && has_rule(w, RULE_no_sampling))
        return false;
    return (known || stated) && !is_unsupported(w, number_params[n]);
}

static const char *number_name(const struct openai_dialect *d, enum dialog_number n)
{
    for (int i = 0; i < OPENAI_RENAMED_MAX; i++) {
        if (d->renamed[i].name != NULL && d->renamed[i].number == n)
            return d->renamed[i].name;
    }
    return dialog_number_name(n);
}

static void put_numbers(struct openai_writing *w)
{
    for (int i = 0; i < NUMBER_COUNT; i++) {
        enum dialog_number n = (enum dialog_number)i;
        struct span value = w->dialog->numbers[i];
        if (value.len == 0)
            continue;
        if (!takes_number(w, n)) {
            drops_add(w->ask->drops, dialog_number_name(n));
            continue;
        }
        json_put_raw(&w->out, number_name(w->dialect, n), value);
    }
}

/* ---- tools ---- */

static bool is_own(const struct openai_writing *w, const struct dialog_tool *t)
{
    return t->raw_of == NULL || (openai_is_native(w) && strcmp(t->raw_of, "openai") == 0);
}

/* OpenAI refuses an object's schema without "properties" ("object schema missing properties"),
 * which tools without arguments often have: langchain-mcp-adapters#137, spring-ai#4776. */
static void put_parameters(struct openai_writing *w, struct span schema)
{
    struct json_doc doc;
    json_init(&doc);
    bool good = schema.len > 0 && json_parse(&doc, schema, NULL) == 0;
    json_ref type = json_get(&doc, good ? 0 : JSON_NONE, "type");
    bool object = good && json_kind(&doc, 0) == JSON_OBJECT &&
                  (type == JSON_NONE || json_text_is(&doc, type, "object"));
    if (!good || (object && json_first(&doc, 0) == JSON_NONE)) {
        json_put_raw(&w->out, "parameters", SPAN("{\"type\":\"object\",\"properties\":{}}"));
    } else if (!object || json_get(&doc, 0, "properties") != JSON_NONE) {
        json_put_raw(&w->out, "parameters", schema);
    } else {
        struct span rest = json_raw(&doc, 0);
        json_put_raw(&w->out, "parameters", SPAN("{\"properties\":{},"));
        buf_add_span(w->out.buf, (struct span){rest.ptr + 1, rest.len - 1});
    }
    json_done(&doc);
}

static void put_function(struct openai_writing *w, const struct dialog_tool *t)
{
    json_open_object(&w->out, NULL);
    json_put_string(&w->out, "type", SPAN("function"));
    json_open_object(&w->out, "function");
    openai_put_name(w, "name", t->name);
    json_put_some_string(&w->out, "description", t->description);
    put_parameters(w, t->schema_json);
    if (t->strict != TRI_ABSENT)
        json_put_bool(&w->out, "strict", t->strict == TRI_TRUE);
    json_close_object(&w->out);
    openai_put_cache(w, t->cache);
    json_close_object(&w->out);
}

static bool puts_tools(const struct openai_writing *w)
{
    if (!openai_has(w->dialect, TRAIT_TOOLS))
        return false;
    for (const struct dialog_tool *t = w->dialog->first_tool; t != NULL; t = t->next) {
        if (is_own(w, t))
            return true;
    }
    return false;
}

static void put_tools(struct openai_writing *w)
{
    bool some = puts_tools(w);
    if (some)
        json_open_array(&w->out, "tools");
    for (const struct dialog_tool *t = w->dialog->first_tool; t != NULL; t = t->next) {
        if (!some || !is_own(w, t))
            openai_drop(w, "tools", "tools");
        else if (t->raw_of != NULL)
            json_put_raw(&w->out, NULL, t->raw_json);
        else
            put_function(w, t);
    }
    if (some)
        json_close_array(&w->out);
}

static void put_named_choice(struct openai_writing *w)
{
    json_open_object(&w->out, "tool_choice");
    json_put_string(&w->out, "type", SPAN("function"));
    json_open_object(&w->out, "function");
    openai_put_name(w, "name", w->dialog->choice_name);
    json_close_object(&w->out);
    json_close_object(&w->out);
}

/* A custom tool, or a set of tools, in the client's own words, but for names that are shortened
 * among the tools. */
static bool put_own_choice(struct openai_writing *w)
{
    const struct json_doc *doc = w->ask->chat->doc;
    json_ref v = openai_is_native(w) ? json_get(doc, 0, "tool_choice") : JSON_NONE;
    if (!json_is_object(doc, v) || json_get(doc, v, "function") != JSON_NONE)
        return false;
    bool set = json_get(doc, v, "allowed_tools") != JSON_NONE;
    if (w->dialect->choice == CHOICE_FORM_ALL && !(set && openai_has_long_name(w->dialog))) {
        json_put_raw(&w->out, "tool_choice", json_raw(doc, v));
        return true;
    }
    if (set)
        openai_drop(w, "tool_choice", "tool_choice.allowed_tools");
    return false;
}

static void put_choice(struct openai_writing *w)
{
    enum tool_choice choice = w->dialog->choice;
    enum openai_choice form = w->dialect->choice;
    bool forced = choice == CHOICE_ANY || choice == CHOICE_TOOL;
    if (choice == CHOICE_ABSENT || put_own_choice(w))
        return;
    if (forced && form == CHOICE_FORM_AUTO_NONE) {
        openai_drop(w, "tool_choice", "tool_choice");
    } else if (choice == CHOICE_TOOL && form == CHOICE_FORM_ALL) {
        put_named_choice(w);
    } else if (forced) {
        if (choice == CHOICE_TOOL && w->dialog->n_tools > 1)
            openai_drop(w, "tool_choice.name", "tool_choice.function");
        json_put_string(&w->out, "tool_choice", span_of(w->dialect->any_tool));
    } else if (choice == CHOICE_NONE) {
        const char *word = w->dialect->no_tool != NULL ? w->dialect->no_tool : "none";
        json_put_string(&w->out, "tool_choice", span_of(word));
    } else if (form != CHOICE_FORM_EITHER) {
        json_put_string(&w->out, "tool_choice", SPAN("auto"));
    }
}

static void put_parallel(struct openai_writing *w)
{
    if (w->dialog->parallel == TRI_ABSENT)
        return;
    if (openai_has(w->dialect, TRAIT_PARALLEL))
        json_put_bool(&w->out, "parallel_tool_calls", w->dialog->parallel == TRI_TRUE);
    else if (w->dialog->parallel == TRI_FALSE)
        openai_drop(w, "tool_choice.disable_parallel_tool_use", "parallel_tool_calls");
}

/* ---- thinking ---- */

static void drop_thinking(struct openai_writing *w)
{
    openai_drop(w, "thinking", "reasoning_effort");
}

/* A number of tokens as a word, for servers that only know words.  The bounds are those of
 * openrouter.ai/docs/use-cases/reasoning-tokens, read backwards for an answer of 32,000 tokens. */
static struct span effort_of_budget(int64_t tok)
{
    enum { LOW_MAX = 6400, MEDIUM_MAX = 16000 };
    if (tok <= LOW_MAX)
        return SPAN("low");
    return tok <= MEDIUM_MAX ? SPAN("medium") : SPAN("high");
}

/* The word that is asked for; empty: none. */
static struct span wanted_effort(const struct dialog_reasoning *r)
{
    if (r->mode == REASONING_OFF)
        return SPAN("none");
    if (r->effort.len > 0)
        return r->effort;
    if (r->mode == REASONING_BUDGETED)
        return effort_of_budget(r->budget_tok);
    return (struct span){"", 0};
}

static void put_effort(struct openai_writing *w)
{
    struct span wanted = wanted_effort(&w->dialog->reasoning);
    const char *word = wanted.len > 0 ? openai_effort(w->dialect, wanted) : NULL;
    if (word != NULL)
        json_put_string(&w->out, "reasoning_effort", span_of(word));
    else if (wanted.len > 0)
        drop_thinking(w);
}

static void put_reasoning_object(struct openai_writing *w)
{
    const struct dialog_reasoning *r = &w->dialog->reasoning;
    const char *word = r->effort.len > 0 ? openai_effort(w->dialect, r->effort) : NULL;
    json_open_object(&w->out, "reasoning");
    if (r->mode == REASONING_OFF)
        json_put_bool(&w->out, "enabled", false);
    else if (r->mode == REASONING_BUDGETED)
        json_put_int(&w->out, "max_tokens", r->budget_tok);
    else if (word != NULL)
        json_put_string(&w->out, "effort", span_of(word));
    else
        json_put_bool(&w->out, "enabled", true);
    if (r->hidden)
        json_put_bool(&w->out, "exclude", true);
    json_close_object(&w->out);
}

static void put_thinking_type(struct openai_writing *w)
{
    const struct dialog_reasoning *r = &w->dialog->reasoning;
    bool off = r->mode == REASONING_OFF || span_is(r->effort, "none");
    if (r->mode != REASONING_ABSENT || off) {
        json_open_object(&w->out, "thinking");
        json_put_string(&w->out, "type", off ? SPAN("disabled") : SPAN("enabled"));
        json_close_object(&w->out);
    }
    if (!off)
        put_effort(w);
}

static void put_enable_thinking(struct openai_writing *w)
{
    const struct dialog_reasoning *r = &w->dialog->reasoning;
    bool off = r->mode == REASONING_OFF || span_is(r->effort, "none");
    json_put_bool(&w->out, "enable_thinking", !off);
    if (r->mode == REASONING_BUDGETED)
        json_put_int(&w->out, "thinking_budget", r->budget_tok);
}

/* "Do not think" is only said to a model that is known to: others refuse the field. */
static void put_reasoning(struct openai_writing *w)
{
    const struct dialog_reasoning *r = &w->dialog->reasoning;
    bool off = r->mode == REASONING_OFF || span_is(r->effort, "none");
    if (r->mode == REASONING_ABSENT && r->effort.len == 0)
        return;
    if (off && (w->ask->target->params == 0 || !openai_may_think(w)))
        return;
    if (!openai_may_think(w) || (off && has_rule(w, RULE_thinking_always))) {
        drop_thinking(w);
        return;
    }
    switch (w->dialect->thinking) {
    case THINK_BY_EFFORT:
        put_effort(w);
        break;
    case THINK_BY_OBJECT:
        put_reasoning_object(w);
        break;
    case THINK_BY_TYPE:
        put_thinking_type(w);
        break;
    case THINK_BY_ENABLE:
        put_enable_thinking(w);
        break;
    }
}

/* ---- the rest ---- */

static void put_schema_format(struct openai_writing *w)
{
    const struct dialog_format *f = &w->dialog->format;
    json_open_object(&w->out, "response_format");
    json_put_string(&w->out, "type", SPAN("json_schema"));
    json_open_object(&w->out, "json_schema");
    json_put_string(&w->out, "name", f->name.len > 0 ? f->name : SPAN("response"));
    json_put_some_string(&w->out, "description", f->description);
    json_put_raw(&w->out, "schema", f->schema_json.len > 0 ? f->schema_json : SPAN("{}"));
    if (f->strict != TRI_ABSENT)
        json_put_bool(&w->out, "strict", f->strict == TRI_TRUE);
    json_close_object(&w->out);
    json_close_object(&w->out);
}

/* A schema that cannot be sent stands in the instructions instead (openai_messages.c). */
static void put_format(struct openai_writing *w)
{
    enum format_kind kind = w->dialog->format.kind;
    if (kind == FORMAT_SCHEMA && openai_has(w->dialect, TRAIT_SCHEMA)) {
        put_schema_format(w);
    } else if (kind != FORMAT_ABSENT) {
        json_open_object(&w->out, "response_format");
        json_put_string(&w->out, "type", kind == FORMAT_TEXT ? SPAN("text") : SPAN("json_object"));
        json_close_object(&w->out);
    }
    if (kind == FORMAT_SCHEMA && !openai_has(w->dialect, TRAIT_SCHEMA))
        openai_drop(w, "output_config.format.schema", "response_format.json_schema");
}

static void put_stops(struct openai_writing *w)
{
    int max = w->dialect->stops_max, n = w->dialog->n_stops;
    if (is_unsupported(w, PARAM_stop))
        max = 0;
    if (max >= 0 && n > max) {
        openai_drop(w, "stop_sequences", "stop");
        n = max;
    }
    if (n == 0)
        return;
    json_open_array(&w->out, w->dialect->stops != NULL ? w->dialect->stops : "stop");
    for (int i = 0; i < n; i++)
        json_put_string(&w->out, NULL, w->dialog->stops[i]);
    json_close_array(&w->out);
}

static void put_logprobs(struct openai_writing *w)
{
    const struct dialog *d = w->dialog;
    if (d->logprobs != TRI_ABSENT) {
        bool takes = openai_has(w->dialect, TRAIT_LOGPROBS) && !is_unsupported(w, PARAM_logprobs);
        if (takes)
            json_put_bool(&w->out, "logprobs", d->logprobs == TRI_TRUE);
        else if (d->logprobs == TRI_TRUE)
            openai_drop(w, "logprobs", "logprobs");
    }
    if (d->logit_bias_json.len > 0) {
        if (openai_has(w->dialect, TRAIT_LOGIT_BIAS) && !is_unsupported(w, PARAM_logit_bias))
            json_put_raw(&w->out, "logit_bias", d->logit_bias_json);
        else
            openai_drop(w, "logit_bias", "logit_bias");
    }
}

/* Who is behind the request.  Claude Code's is longer than OpenAI takes: it is shortened to
 * something that stays the same from request to request. */
static void put_user(struct openai_writing *w)
{
    struct span user = w->dialog->user;
    char made[USER_MAX];
    if (user.len == 0)
        return;
    if (w->dialect->user == NULL) {
        openai_drop(w, "metadata.user_id", "user");
        return;
    }
    if (user.len > USER_MAX) {
        unsigned long long hash = fnv_add(FNV_SEED, user);
        int n = snprintf(made, sizeof(made), "user_%016llx", hash);
        user = (struct span){made, (size_t)n};
    }
    json_put_string(&w->out, w->dialect->user, user);
}

/* Anthropic's "standard_only" is OpenAI's "default"; that no better tier is used is what every
 * server without tiers does anyway.  A tier with other prices than those held is never asked for,
 * and the one that they are for always. */
static void put_tier(struct openai_writing *w)
{
    struct span tier = w->dialog->service_tier;
    bool standard = span_is(tier, "standard_only") || span_is(tier, "default");
    if (w->ask->target->tier != NULL && openai_has(w->dialect, TRAIT_TIERS)) {
        json_put_string(&w->out, "service_tier", span_of(w->ask->target->tier));
        return;
    }
    if (tier.len == 0)
        return;
    if (!standard && !span_is(tier, "auto"))
        openai_drop(w, "service_tier", "service_tier");
    else if (openai_has(w->dialect, TRAIT_TIERS))
        json_put_string(&w->out, "service_tier", standard ? SPAN("default") : tier);
}

static void put_verbosity(struct openai_writing *w)
{
    if (w->dialog->verbosity.len == 0)
        return;
    if (openai_has(w->dialect, TRAIT_VERBOSITY) && !is_unsupported(w, PARAM_verbosity))
        json_put_string(&w->out, "verbosity", w->dialog->verbosity);
    else
        openai_drop(w, "verbosity", "verbosity");
}

static void put_stream(struct openai_writing *w)
{
    if (!w->dialog->stream)
        return;
    json_put_bool(&w->out, "stream", true);
    if (!openai_has(w->dialect, TRAIT_STREAM_OPTIONS))
        return;
    json_open_object(&w->out, "stream_options");
    json_put_bool(&w->out, "include_usage", true);
    json_close_object(&w->out);
}

/* ---- what a dialog has no place for ---- */

/* Settings that go by another name here and have been written. */
static bool is_renamed(const struct openai_writing *w, const struct json_doc *doc, json_ref m)
{
    static const char *const of_thinking[] = {"enable_thinking", "thinking_budget", NULL};
    const struct openai_dialect *d = w->dialect;
    for (int i = 0; i < OPENAI_RENAMED_MAX; i++) {
        if (d->renamed[i].name != NULL && json_key_is(doc, m, d->renamed[i].name) &&
            w->dialog->numbers[d->renamed[i].number].len > 0)
            return true;
    }
    if (d->user != NULL && json_key_is(doc, m, d->user) && w->dialog->user.len > 0)
        return true;
    return d->thinking == THINK_BY_ENABLE && w->dialog->reasoning.mode != REASONING_ABSENT &&
           json_key_is_any(doc, m, of_thinking);
}

static bool is_written(const struct openai_writing *w, const struct json_doc *doc, json_ref m)
{
    static const char *const names[] = {"model",
                                        "messages",
                                        "tools",
                                        "functions",
                                        "tool_choice",
                                        "function_call",
                                        "max_tokens",
                                        "stream",
                                        "parallel_tool_calls",
                                        "stream_options",
                                        "stop",
                                        "max_completion_tokens",
                                        "logprobs",
                                        "logit_bias",
                                        "response_format",
                                        "reasoning",
                                        "reasoning_effort",
                                        "include_reasoning",
                                        "thinking",
                                        "verbosity",
                                        "service_tier",
                                        "cache_control",
                                        "user",
                                        "usage",
                                        NULL};
    for (int i = 0; i < NUMBER_COUNT; i++) {
        if (json_key_is(doc, m, dialog_number_name((enum dialog_number)i)))
            return true;
    }
    return json_key_is_any(doc, m, names) || is_renamed(w, doc, m) ||
           prefs_is_routing_member(doc, m);
}

/* A word that OpenRouter alone understands; NULL: none. */
static const char *word_of_openrouter(const struct json_doc *doc, json_ref m)
{
    static const char *const words[] = {"route", "transforms", "plugins", "session_id", "trace"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (json_key_is(doc, m, words[i]))
            return words[i];
    }
    return NULL;
}

/* What the request says besides: to a server of the client's own protocol as it is written, but for
 * what only OpenRouter understands.  route is what `models` does here by itself. */
static void put_others(struct openai_writing *w)
{
    const struct json_doc *doc = w->ask->chat->doc;
    bool refuses = openai_refuses(w->ask->chat, w->dialect);
    if (!openai_is_native(w)) {
        drops_add_all(w->ask->drops, &w->dialog->others);
        return;
    }
    for (json_ref m = json_first(doc, 0); m != JSON_NONE; m = json_next(doc, m)) {
        size_t at = json_at(doc, m)->key_begin;
        const char *word = refuses ? word_of_openrouter(doc, m) : NULL;
        if (word == NULL && !is_written(w, doc, m))
            json_put_raw(&w->out, NULL,
                         (struct span){doc->text.ptr + at, json_at(doc, m)->end - at});
        else if (word != NULL && strcmp(word, "route") != 0 && json_kind(doc, m) != JSON_NULL)
            drops_add(w->ask->drops, word);
    }
}

static void put_settings(struct openai_writing *w)
{
    if (w->ask->max_tokens >= 0)
        json_put_int(&w->out, w->dialect->max_tokens, w->ask->max_tokens);
    put_numbers(w);
    put_stops(w);
    put_reasoning(w);
    put_format(w);
    put_logprobs(w);
    put_verbosity(w);
    put_tier(w);
    put_user(w);
    if (w->dialog->cache != CACHE_NONE)
        openai_put_cache(w, w->dialog->cache);
    put_others(w);
}

/* Tools and instructions first: providers cache what requests have in common from the beginning. */
int openai_write(const struct provider_ask *ask, const struct openai_dialect *d, struct buf *out,
                 struct fail *reterr)
{
    struct openai_writing w = {
        .ask = ask, .dialog = ask->dialog, .dialect = d, .out = {.buf = out}, .reterr = reterr};
    w.ok = true;
    json_open_object(&w.out, NULL);
    json_put_string(&w.out, "model", span_of(ask->target->upstream_model));
    put_stream(&w);
    put_settings(&w);
    put_tools(&w);
    if (puts_tools(&w)) {
        put_choice(&w);
        put_parallel(&w);
    }
    openai_write_messages(&w);
    json_close_object(&w.out);
    return w.ok ? 0 : -1;
}
