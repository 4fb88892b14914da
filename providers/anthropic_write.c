/* Writes an Anthropic request from a dialog: tools and settings here, the prompt in
 * anthropic_write_blocks.c, thinking as anthropic_thinking.c decides.
 * platform.claude.com/docs/en/api/messages. */
#define _GNU_SOURCE /* memmem */
#include "providers/anthropic_write.h"

#include <stdlib.h>

#include "providers/anthropic.h"

/* Asked for where neither the client nor the catalog says: Anthropic must be told a number. */
enum { MAX_TOKENS_DEFAULT = 4096, ID_MAX = 1024 * 1024, NUMBER_LEN_MAX = 64 };

void anthropic_drop(struct anthropic_writing *w, const char *anthropic_name,
                    const char *openai_name)
{
    drops_add(w->ask->drops, w->ask->chat->door == DOOR_ANTHROPIC ? anthropic_name : openai_name);
}

/* ---- what a dialog has no place for ---- */

/* The next member behind m that is none of these; the object itself: the first one. */
static json_ref next_other(const struct json_doc *doc, json_ref object, json_ref m,
                           const char *const *written)
{
    bool some = object != JSON_NONE && json_kind(doc, object) == JSON_OBJECT;
    m = !some ? JSON_NONE : m == object ? json_first(doc, object) : json_next(doc, m);
    while (m != JSON_NONE && json_key_is_any(doc, m, written))
        m = json_next(doc, m);
    return m;
}

/* Key and value, as they are written. */
static void put_member(struct anthropic_writing *w, const struct json_doc *doc, json_ref m)
{
    size_t at = json_at(doc, m)->key_begin;
    json_put_raw(&w->o, NULL, (struct span){doc->text.ptr + at, json_at(doc, m)->end - at});
}

static void put_others(struct anthropic_writing *w, const struct json_doc *doc, json_ref object,
                       const char *const *written)
{
    json_ref m = object;
    while ((m = next_other(doc, object, m, written)) != JSON_NONE)
        put_member(w, doc, m);
}

/* A member of the client's body, where that is of this protocol; else JSON_NONE. */
static json_ref own_member(const struct anthropic_writing *w, const char *name)
{
    return w->ours ? json_get(w->ask->chat->doc, 0, name) : JSON_NONE;
}

static bool has_others(const struct anthropic_writing *w, const char *name,
                       const char *const *written)
{
    json_ref object = own_member(w, name);
    return next_other(w->ask->chat->doc, object, object, written) != JSON_NONE;
}

static void put_others_of(struct anthropic_writing *w, const char *name, const char *const *written)
{
    put_others(w, w->ask->chat->doc, own_member(w, name), written);
}

static bool has_word(struct span text, const char *word)
{
    return memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

/* Has the cloud no such member? What is lost with it is named. m may be JSON_NONE. */
static bool is_left_out(const struct anthropic_writing *w, json_ref m)
{
    return m != JSON_NONE && w->cloud != NULL && w->cloud->leaves_out != NULL &&
           w->cloud->leaves_out(w->ask, m);
}

/* The same of a member of the body that is written from the dialog. */
static bool is_left_out_named(const struct anthropic_writing *w, const char *name)
{
    return is_left_out(w, json_get(w->ask->chat->doc, 0, name));
}

/* "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive": that is not
 * asked for where thinking had to be given up. */
static bool needs_thinking(const struct anthropic_writing *w, const struct json_doc *doc,
                           json_ref m)
{
    bool wanted =
        w->d->reasoning.mode == REASONING_ON || w->d->reasoning.mode == REASONING_BUDGETED;
    bool thinks = w->thinking == THINK_ADAPTIVE || w->thinking == THINK_BUDGET;
    return wanted && !thinks && json_key_is(doc, m, "context_management") &&
           has_word(json_raw(doc, m), "\"clear_thinking_");
}

/* Of the body itself.  Routing is ours alone. */
static void put_other_members(struct anthropic_writing *w)
{
    static const char *const written[] = {
        "model",          "max_tokens",    "stream",   "tools",         "tool_choice",
        "system",         "messages",      "thinking", "output_config", "output_format",
        "stop_sequences", "temperature",   "top_p",    "top_k",         "service_tier",
        "speed",          "inference_geo", "metadata", "cache_control", NULL};
    const struct json_doc *doc = w->ask->chat->doc;
    json_ref m = w->ours ? 0 : JSON_NONE;
    while (m != JSON_NONE && (m = next_other(doc, 0, m, written)) != JSON_NONE) {
        bool left_out = is_left_out(w, m);
        if (needs_thinking(w, doc, m))
            anthropic_drop(w, "context_management", "context_management");
        else if (!left_out && !prefs_is_routing_member(doc, m))
            put_member(w, doc, m);
    }
}

/* ---- tools ---- */

static bool is_ours(const char *word)
{
    return word != NULL && strcmp(word, anthropic_word) == 0;
}

/* Anthropic wants `type` in it; OpenAI's clients leave parameters out, or write {}. */
static void put_schema(struct anthropic_writing *w, struct span schema)
{
    struct json_doc doc;
    json_init(&doc);
    bool object =
        schema.len > 0 && json_parse(&doc, schema, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT;
    if (object && json_get(&doc, 0, "type") != JSON_NONE) {
        json_put_raw(&w->o, "input_schema", schema);
    } else {
        json_open_object(&w->o, "input_schema");
        json_put_string(&w->o, "type", SPAN("object"));
        json_ref first = object ? json_first(&doc, 0) : JSON_NONE;
        if (first != JSON_NONE) {
            size_t at = json_at(&doc, first)->key_begin;
            json_put_raw(&w->o, NULL, (struct span){schema.ptr + at, json_at(&doc, 0)->end - at});
            w->o.comma = true; /* with the bracket that closes it */
        } else {
            json_open_object(&w->o, "properties");
            json_close_object(&w->o);
            json_close_object(&w->o);
        }
    }
    json_done(&doc);
}

static void put_others_of_tool(struct anthropic_writing *w, const struct dialog_tool *t)
{
    static const char *const written[] = {"type",   "name",          "description", "input_schema",
                                          "strict", "cache_control", NULL};
    struct json_doc doc;
    json_init(&doc);
    if (w->ours && t->own_json.len > 0 && json_parse(&doc, t->own_json, NULL) == 0)
        put_others(w, &doc, 0, written);
    json_done(&doc);
}

static void put_tool(struct anthropic_writing *w, const struct dialog_tool *t)
{
    json_open_object(&w->o, NULL);
    json_put_string(&w->o, "name", t->name);
    json_put_some_string(&w->o, "description", t->description);
    put_schema(w, t->schema_json);
    if (t->strict == TRI_TRUE && !anthropic_supports(w, PARAM_structured_outputs))
        anthropic_drop(w, "tools.strict", "tools.function.strict");
    else if (t->strict != TRI_ABSENT)
        json_put_bool(&w->o, "strict", t->strict == TRI_TRUE);
    put_others_of_tool(w, t);
    anthropic_put_cache(w, t->cache);
    json_close_object(&w->o);
}

/* How many were written. */
static int put_tools(struct anthropic_writing *w)
{
    int n = 0;
    for (const struct dialog_tool *t = w->d->first_tool; t != NULL; t = t->next) {
        if (t->raw_json.len > 0 && !is_ours(t->raw_of)) {
            anthropic_drop(w, "tools", "tools");
            continue;
        }
        if (n++ == 0)
            json_open_array(&w->o, "tools");
        if (t->raw_json.len > 0)
            json_put_raw(&w->o, NULL, t->raw_json);
        else
            put_tool(w, t);
    }
    if (n > 0)
        json_close_array(&w->o);
    return n;
}

/* "One tool at a time" needs a choice to stand in. */
static enum tool_choice choice_to_put(const struct anthropic_writing *w)
{
    enum tool_choice choice = w->d->choice;
    return choice == CHOICE_ABSENT && w->d->parallel == TRI_FALSE ? CHOICE_AUTO : choice;
}

static void put_tool_choice(struct anthropic_writing *w, int n_tools)
{
    static const char *const words[] = {
        [CHOICE_AUTO] = "auto",
        [CHOICE_ANY] = "any",
        [CHOICE_NONE] = "none",
        [CHOICE_TOOL] = "tool",
    };
    enum tool_choice choice = choice_to_put(w);
    if (choice == CHOICE_ABSENT)
        return;
    if (n_tools == 0) { /* refused without tools, and without them nothing is chosen */
        if (choice == CHOICE_ANY || choice == CHOICE_TOOL)
            anthropic_drop(w, "tool_choice", "tool_choice");
        return;
    }
    json_open_object(&w->o, "tool_choice");
    json_put_string(&w->o, "type", span_of(words[choice]));
    if (choice == CHOICE_TOOL)
        json_put_string(&w->o, "name", w->d->choice_name);
    if (choice != CHOICE_NONE && w->d->parallel != TRI_ABSENT)
        json_put_bool(&w->o, "disable_parallel_tool_use", w->d->parallel == TRI_FALSE);
    json_close_object(&w->o);
}

/* ---- settings ---- */

/* Compared, never written: what goes out is what the client wrote. */
static double number_of(struct span json)
{
    char text[NUMBER_LEN_MAX];
    size_t n = json.len < sizeof(text) ? json.len : sizeof(text) - 1;
    if (n > 0)
        memcpy(text, json.ptr, n);
    text[n] = '\0';
    return strtod(text, NULL);
}

static bool is_given(const struct anthropic_writing *w, enum dialog_number n)
{
    return w->d->numbers[n].len > 0;
}

/* Not for models without sampling; beside thinking only 1, and top_p from 0.95
 * (.../extended-thinking "Feature compatibility"). */
static bool takes_temperature(const struct anthropic_writing *w, bool thinks)
{
    double t = number_of(w->d->numbers[NUMBER_temperature]);
    return t >= 0 && t <= 1 && (!thinks || t >= 1); /* OpenAI's goes to 2 */
}

static bool takes_top_p(const struct anthropic_writing *w, bool thinks)
{
    double p = number_of(w->d->numbers[NUMBER_top_p]);
    /* Newer models refuse both; clients of OpenAI's protocol send both out of habit. */
    bool beside = is_given(w, NUMBER_temperature) && !w->ours;
    return !beside && (!thinks || p >= 0.95);
}

static void put_sampling(struct anthropic_writing *w)
{
    bool thinks = w->thinking == THINK_BUDGET || w->thinking == THINK_ADAPTIVE;
    const struct {
        enum dialog_number number;
        enum param param;
        bool taken;
    } rows[] = {
        {NUMBER_temperature, PARAM_temperature, takes_temperature(w, thinks)},
        {NUMBER_top_p, PARAM_top_p, takes_top_p(w, thinks)},
        {NUMBER_top_k, PARAM_top_k, !thinks},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *name = dialog_number_name(rows[i].number);
        if (!is_given(w, rows[i].number))
            continue;
        if (rows[i].taken && anthropic_supports(w, rows[i].param) &&
            !anthropic_rule(w, RULE_no_sampling))
            json_put_raw(&w->o, name, w->d->numbers[rows[i].number]);
        else
            anthropic_drop(w, name, name);
    }
}

/* What Anthropic has no word for. */
static void drop_unknown(struct anthropic_writing *w)
{
    for (int i = 0; i < NUMBER_COUNT; i++) {
        const char *name = dialog_number_name((enum dialog_number)i);
        bool known = i == NUMBER_temperature || i == NUMBER_top_p || i == NUMBER_top_k;
        if (!known && is_given(w, (enum dialog_number)i))
            anthropic_drop(w, name, name);
    }
    if (w->d->logprobs == TRI_TRUE)
        anthropic_drop(w, "logprobs", "logprobs");
    if (w->d->logit_bias_json.len > 0)
        anthropic_drop(w, "logit_bias", "logit_bias");
    if (w->d->verbosity.len > 0)
        anthropic_drop(w, "verbosity", "verbosity");
}

/* "each stop sequence must contain non-whitespace" */
static void put_stops(struct anthropic_writing *w)
{
    bool any = false;
    for (int i = 0; i < w->d->n_stops; i++) {
        if (anthropic_is_blank(w->d->stops[i]) || !anthropic_supports(w, PARAM_stop)) {
            anthropic_drop(w, "stop_sequences", "stop");
            continue;
        }
        if (!any)
            json_open_array(&w->o, "stop_sequences");
        any = true;
        json_put_string(&w->o, NULL, w->d->stops[i]);
    }
    if (any)
        json_close_array(&w->o);
}

/* Models without budgets leave the text out unless it is asked for (.../adaptive-thinking
 * "Summarized thinking"); other protocols' clients expect it. */
static void put_display(struct anthropic_writing *w)
{
    if (w->d->reasoning.hidden)
        json_put_string(&w->o, "display", SPAN("omitted"));
    else if (anthropic_rule(w, RULE_no_thinking_budget))
        json_put_string(&w->o, "display", SPAN("summarized"));
}

static void put_thinking(struct anthropic_writing *w)
{
    static const char *const words[] = {
        [THINK_OFF] = "disabled", [THINK_ADAPTIVE] = "adaptive", [THINK_BUDGET] = "enabled"};
    static const char *const written[] = {"type", "budget_tokens", NULL};
    if (w->thinking == THINK_ABSENT)
        return;
    json_open_object(&w->o, "thinking");
    json_put_string(&w->o, "type", span_of(words[w->thinking]));
    if (w->thinking == THINK_BUDGET)
        json_put_int(&w->o, "budget_tokens", w->budget_tok);
    if (w->thinking != THINK_OFF && w->ours)
        put_others_of(w, "thinking", written);
    else if (w->thinking != THINK_OFF)
        put_display(w);
    json_close_object(&w->o);
}

/* JSON without a schema is not to be had: every object of a schema must name its members. */
static bool takes_format(struct anthropic_writing *w)
{
    const struct dialog_format *f = &w->d->format;
    if (f->kind == FORMAT_ABSENT || f->kind == FORMAT_TEXT)
        return false;
    if (f->kind == FORMAT_SCHEMA && anthropic_supports(w, PARAM_structured_outputs))
        return true;
    anthropic_drop(w, "output_config.format", "response_format");
    return false;
}

static void put_output_config(struct anthropic_writing *w)
{
    static const char *const written[] = {"effort", "format", NULL};
    bool format = takes_format(w);
    if (!format && w->effort.len == 0 && !has_others(w, "output_config", written))
        return;
    json_open_object(&w->o, "output_config");
    json_put_some_string(&w->o, "effort", w->effort);
    if (format) {
        json_open_object(&w->o, "format");
        json_put_string(&w->o, "type", SPAN("json_schema"));
        json_put_raw(&w->o, "schema", w->d->format.schema_json);
        json_close_object(&w->o);
    }
    put_others_of(w, "output_config", written);
    json_close_object(&w->o);
}

/* OpenAI's words are other promises at other prices. */
static void put_service_tier(struct anthropic_writing *w)
{
    struct span tier = w->d->service_tier;
    if (tier.len == 0 || is_left_out_named(w, "service_tier"))
        return;
    if (w->ours || span_is(tier, "auto"))
        json_put_string(&w->o, "service_tier", tier);
    else if (span_is(tier, "default"))
        json_put_string(&w->o, "service_tier", SPAN("standard_only"));
    else
        anthropic_drop(w, "service_tier", "service_tier");
}

/* Only an endpoint whose prices are for these gets the request. */
static void put_terms(struct anthropic_writing *w)
{
    if (!is_left_out_named(w, "speed"))
        json_put_some_string(&w->o, "speed", span_of(w->ask->chat->speed));
    if (!is_left_out_named(w, "inference_geo"))
        json_put_some_string(&w->o, "inference_geo", span_of(w->ask->chat->geo));
}

static void put_metadata(struct anthropic_writing *w)
{
    static const char *const written[] = {"user_id", NULL};
    if (w->d->user.len == 0 && !has_others(w, "metadata", written))
        return;
    json_open_object(&w->o, "metadata");
    json_put_some_string(&w->o, "user_id", w->d->user);
    put_others_of(w, "metadata", written);
    json_close_object(&w->o);
}

static void put_answer_settings(struct anthropic_writing *w)
{
    put_stops(w);
    put_sampling(w);
    drop_unknown(w);
    put_service_tier(w);
    put_terms(w);
    put_metadata(w);
}

/* ---- the whole ---- */

static void put_head(struct anthropic_writing *w)
{
    if (w->cloud != NULL)
        json_put_string(&w->o, "anthropic_version", span_of(w->cloud->version));
    else
        json_put_string(&w->o, "model", span_of(w->ask->target->upstream_model));
    if (w->counts)
        return;
    json_put_int(&w->o, "max_tokens", w->max_tokens);
    if (w->cloud == NULL && w->d->stream)
        json_put_bool(&w->o, "stream", true);
}

static void put_all(struct anthropic_writing *w)
{
    json_open_object(&w->o, NULL);
    put_head(w);
    put_tool_choice(w, put_tools(w));
    anthropic_put_prompt(w);
    put_thinking(w);
    put_output_config(w);
    if (!w->counts)
        put_answer_settings(w);
    put_other_members(w);
    if (!is_left_out_named(w, "cache_control"))
        anthropic_put_cache(w, w->d->cache);
    json_close_object(&w->o);
}

static int64_t max_tokens_of(const struct provider_ask *ask)
{
    if (ask->max_tokens >= 0)
        return ask->max_tokens;
    return ask->target->max_completion_tokens > 0 ? ask->target->max_completion_tokens
                                                  : MAX_TOKENS_DEFAULT;
}

int anthropic_write(const struct provider_ask *ask, const struct anthropic_cloud *cloud,
                    struct buf *out, struct fail *reterr)
{
    struct anthropic_writing w = {
        .ask = ask,
        .cloud = cloud,
        .d = ask->dialog,
        .o = {.buf = out},
        .ours = ask->chat->door == DOOR_ANTHROPIC,
        .counts = ask->op == OP_COUNT_TOKENS,
        .max_tokens = max_tokens_of(ask),
        .skip_marks = anthropic_marks_too_many(ask->dialog),
        .open_role = -1,
    };
    buf_init(&w.id, ID_MAX);
    if (!w.ours)
        drops_add_all(ask->drops, &ask->dialog->others);
    anthropic_decide_thinking(&w);
    put_all(&w);
    buf_done(&w.id);
    if (w.id_too_long)
        return fail_set(reterr, ERR_bad_request, "messages",
                        "messages has a tool call with an id over %d bytes", ID_MAX);
    if (!w.any_message)
        return fail_set(reterr, ERR_bad_request, "messages",
                        "messages holds nothing that this model can be sent");
    return 0;
}
