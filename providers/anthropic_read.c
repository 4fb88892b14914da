/* Reads the body of POST /v1/messages into a dialog: settings and tools here, blocks in
 * anthropic_blocks.c.  platform.claude.com/docs/en/api/messages.  Checked is what is read. */
#include "providers/anthropic_read.h"

#include <stdio.h>

#include "providers/anthropic.h"
#include "schema/json_path.h"

/* ---- members ---- */

int anthropic_member(struct anthropic_body *b, json_ref object, const char *name, unsigned kinds,
                     const char *accepts, json_ref *ret)
{
    if (json_get_once(b->doc, object, name, ret, b->reterr) != 0)
        return -1;
    if (*ret != JSON_NONE && (kinds & 1u << json_kind(b->doc, *ret)) == 0)
        return json_refuse(b->doc, *ret, accepts, b->reterr);
    return 0;
}

int anthropic_value(struct anthropic_body *b, json_ref string, struct span *ret)
{
    *ret = dialog_string(b->d, b->doc, string);
    bool lost = ret->len == 0 && json_inner(b->doc, string).len > 0 && !b->d->failed;
    return lost ? json_refuse(b->doc, string, "a string without lone surrogates", b->reterr) : 0;
}

int anthropic_string(struct anthropic_body *b, json_ref object, const char *name, struct span *ret)
{
    json_ref v;
    *ret = (struct span){"", 0};
    if (anthropic_member(b, object, name, KIND(STRING), "a string", &v) != 0)
        return -1;
    return v != JSON_NONE ? anthropic_value(b, v, ret) : 0;
}

int anthropic_missing(struct anthropic_body *b, json_ref object, const char *name,
                      const char *accepts)
{
    char path[FAIL_FIELD_MAX], field[FAIL_FIELD_MAX + FAIL_FIELD_MAX];
    json_path(b->doc, object, path);
    snprintf(field, sizeof(field), "%s%s%s", object != 0 ? path : "", object != 0 ? "." : "", name);
    return fail_set(b->reterr, ERR_bad_request, field, "%s is required: %s", field, accepts);
}

int anthropic_need_string(struct anthropic_body *b, json_ref object, const char *name,
                          struct span *ret)
{
    json_ref v;
    if (anthropic_member(b, object, name, KIND(STRING), "a string", &v) != 0)
        return -1;
    return v != JSON_NONE ? anthropic_value(b, v, ret)
                          : anthropic_missing(b, object, name, "a string");
}

int anthropic_truth(struct anthropic_body *b, json_ref object, const char *name, bool *ret)
{
    json_ref v;
    *ret = false;
    if (anthropic_member(b, object, name, KIND_BOOL, "true or false", &v) != 0)
        return -1;
    json_truth(b->doc, v, ret);
    return 0;
}

int anthropic_cache(struct anthropic_body *b, json_ref object, enum cache_mark *ret)
{
    json_ref mark, ttl;
    if (anthropic_member(b, object, "cache_control", KIND(OBJECT), "an object with type", &mark) !=
            0 ||
        anthropic_member(b, mark, "ttl", KIND(STRING), "\"5m\" or \"1h\"", &ttl) != 0)
        return -1;
    if (mark != JSON_NONE)
        *ret = ttl != JSON_NONE && json_text_is(b->doc, ttl, "1h") ? CACHE_1H : CACHE_5M;
    return 0;
}

json_ref anthropic_first(const struct anthropic_body *b, json_ref list)
{
    return list != JSON_NONE ? json_first(b->doc, list) : JSON_NONE;
}

/* A word's place in a list; -1: it is none of them. */
static int word_index(const struct json_doc *doc, json_ref v, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (v != JSON_NONE && json_text_is(doc, v, words[i]))
            return i;
    }
    return -1;
}

/* ---- tools ---- */

/* What only Anthropic can do with a tool of the client's. */
static void note_tool_members(struct anthropic_body *b, json_ref tool)
{
    static const struct {
        const char *member, *name;
    } rows[] = {
        {"defer_loading", "tools.defer_loading"},
        {"allowed_callers", "tools.allowed_callers"},
        {"input_examples", "tools.input_examples"},
        {"eager_input_streaming", "tools.eager_input_streaming"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (json_get(b->doc, tool, rows[i].member) != JSON_NONE)
            drops_add(&b->d->others, rows[i].name);
    }
}

static int read_client_tool(struct anthropic_body *b, json_ref tool, struct dialog_tool *t)
{
    json_ref schema, strict;
    if (anthropic_need_string(b, tool, "name", &t->name) != 0 ||
        anthropic_string(b, tool, "description", &t->description) != 0 ||
        anthropic_member(b, tool, "input_schema", KIND(OBJECT), "a JSON schema", &schema) != 0 ||
        anthropic_member(b, tool, "strict", KIND_BOOL, "true or false", &strict) != 0)
        return -1;
    note_tool_members(b, tool);
    t->own_json = json_raw(b->doc, tool);
    if (schema != JSON_NONE)
        t->schema_json = json_raw(b->doc, schema);
    if (strict != JSON_NONE)
        t->strict = json_kind(b->doc, strict) == JSON_TRUE ? TRI_TRUE : TRI_FALSE;
    return 0;
}

/* Typed tools ("bash_20250124", "web_search_20250305") are Anthropic's alone. */
static int read_tool(struct anthropic_body *b, json_ref tool)
{
    json_ref type;
    if (json_kind(b->doc, tool) != JSON_OBJECT)
        return json_refuse(b->doc, tool, "a tool (an object)", b->reterr);
    struct dialog_tool *t = dialog_add_tool(b->d);
    if (t == NULL)
        return 0;
    if (anthropic_member(b, tool, "type", KIND(STRING), "a string", &type) != 0 ||
        anthropic_cache(b, tool, &t->cache) != 0)
        return -1;
    if (type == JSON_NONE || json_text_is(b->doc, type, "custom"))
        return read_client_tool(b, tool, t);
    t->raw_json = json_raw(b->doc, tool);
    t->raw_of = anthropic_word;
    return anthropic_string(b, tool, "name", &t->name);
}

static int read_tools(struct anthropic_body *b)
{
    json_ref tools;
    if (anthropic_member(b, 0, "tools", KIND(ARRAY), "an array of tools", &tools) != 0)
        return -1;
    for (json_ref t = anthropic_first(b, tools); t != JSON_NONE; t = json_next(b->doc, t)) {
        if (read_tool(b, t) != 0)
            return -1;
    }
    return 0;
}

static int read_tool_choice(struct anthropic_body *b)
{
    static const char *const words[] = {"auto", "any", "none", "tool", NULL};
    static const enum tool_choice choices[] = {CHOICE_AUTO, CHOICE_ANY, CHOICE_NONE, CHOICE_TOOL};
    json_ref choice, type, one;
    if (anthropic_member(b, 0, "tool_choice", KIND(OBJECT), "an object with type", &choice) != 0)
        return -1;
    if (choice == JSON_NONE)
        return 0;
    if (anthropic_member(b, choice, "type", KIND(STRING), "auto, any, tool or none", &type) != 0 ||
        anthropic_member(b, choice, "disable_parallel_tool_use", KIND_BOOL, "true or false",
                         &one) != 0)
        return -1;
    int word = word_index(b->doc, type, words);
    if (word < 0)
        return type == JSON_NONE ? anthropic_missing(b, choice, "type", "auto, any, tool or none")
                                 : json_refuse(b->doc, type, "auto, any, tool or none", b->reterr);
    b->d->choice = choices[word];
    if (one != JSON_NONE)
        b->d->parallel = json_kind(b->doc, one) == JSON_TRUE ? TRI_FALSE : TRI_TRUE;
    return b->d->choice == CHOICE_TOOL
               ? anthropic_need_string(b, choice, "name", &b->d->choice_name)
               : 0;
}

/* ---- settings ---- */

static int read_numbers(struct anthropic_body *b)
{
    static const enum dialog_number numbers[] = {NUMBER_temperature, NUMBER_top_p, NUMBER_top_k};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        json_ref v;
        const char *name = dialog_number_name(numbers[i]);
        if (anthropic_member(b, 0, name, KIND(NUMBER), "a number", &v) != 0)
            return -1;
        if (v != JSON_NONE)
            b->d->numbers[numbers[i]] = json_raw(b->doc, v);
    }
    return 0;
}

static int read_stops(struct anthropic_body *b)
{
    json_ref stops;
    if (anthropic_member(b, 0, "stop_sequences", KIND(ARRAY), "an array of strings", &stops) != 0)
        return -1;
    for (json_ref s = anthropic_first(b, stops); s != JSON_NONE; s = json_next(b->doc, s)) {
        struct span text;
        if (json_kind(b->doc, s) != JSON_STRING)
            return json_refuse(b->doc, s, "a string", b->reterr);
        if (anthropic_value(b, s, &text) != 0)
            return -1;
        if (!dialog_add_stop(b->d, text))
            return fail_set(b->reterr, ERR_bad_request, "stop_sequences",
                            "stop_sequences must have at most %d members", DIALOG_STOPS_MAX);
    }
    return 0;
}

/* A type that is not here is later than this list ("between_tools"): some thinking is wanted. */
static int read_thinking(struct anthropic_body *b)
{
    json_ref thinking, type, display, budget;
    struct dialog_reasoning *reasoning = &b->d->reasoning;
    if (anthropic_member(b, 0, "thinking", KIND(OBJECT), "an object with type", &thinking) != 0 ||
        anthropic_member(b, thinking, "type", KIND(STRING), "a string", &type) != 0 ||
        anthropic_member(b, thinking, "display", KIND(STRING), "a string", &display) != 0 ||
        anthropic_member(b, thinking, "budget_tokens", KIND(NUMBER), "an integer", &budget) != 0)
        return -1;
    if (thinking == JSON_NONE)
        return 0;
    if (type == JSON_NONE)
        return anthropic_missing(b, thinking, "type", "enabled, adaptive or disabled");
    reasoning->mode = json_text_is(b->doc, type, "disabled") ? REASONING_OFF : REASONING_ON;
    reasoning->hidden = display != JSON_NONE && json_text_is(b->doc, display, "omitted");
    if (!json_text_is(b->doc, type, "enabled"))
        return 0;
    if (budget == JSON_NONE)
        return anthropic_missing(b, thinking, "budget_tokens", "an integer of 1024 or more");
    reasoning->mode = REASONING_BUDGETED;
    if (!json_int64(b->doc, budget, &reasoning->budget_tok) || reasoning->budget_tok < 1)
        return json_refuse(b->doc, budget, "an integer of 1024 or more", b->reterr);
    return 0;
}

static int read_format(struct anthropic_body *b, json_ref format)
{
    json_ref type, schema;
    if (format == JSON_NONE)
        return 0;
    if (anthropic_member(b, format, "type", KIND(STRING), "\"json_schema\"", &type) != 0 ||
        anthropic_member(b, format, "schema", KIND(OBJECT), "a JSON schema", &schema) != 0)
        return -1;
    if (type == JSON_NONE || !json_text_is(b->doc, type, "json_schema"))
        return type == JSON_NONE ? anthropic_missing(b, format, "type", "\"json_schema\"")
                                 : json_refuse(b->doc, type, "\"json_schema\"", b->reterr);
    if (schema == JSON_NONE)
        return anthropic_missing(b, format, "schema", "a JSON schema");
    b->d->format.kind = FORMAT_SCHEMA;
    b->d->format.schema_json = json_raw(b->doc, schema);
    return 0;
}

static int read_output(struct anthropic_body *b)
{
    json_ref output, format, legacy;
    if (anthropic_member(b, 0, "output_config", KIND(OBJECT), "an object", &output) != 0 ||
        anthropic_string(b, output, "effort", &b->d->reasoning.effort) != 0 ||
        anthropic_member(b, output, "format", KIND(OBJECT), "an object with type", &format) != 0 ||
        anthropic_member(b, 0, "output_format", KIND(OBJECT), "an object with type", &legacy) != 0)
        return -1;
    return read_format(b, format != JSON_NONE ? format : legacy);
}

/* One with other prices than those held is never asked for. */
static int read_tier(struct anthropic_body *b)
{
    if (!b->chat->tier_cut)
        return anthropic_string(b, 0, "service_tier", &b->d->service_tier);
    drops_add(&b->d->unread, "service_tier");
    return 0;
}

static int read_settings(struct anthropic_body *b)
{
    json_ref metadata;
    if (anthropic_member(b, 0, "metadata", KIND(OBJECT), "an object", &metadata) != 0 ||
        anthropic_string(b, metadata, "user_id", &b->d->user) != 0 || read_tier(b) != 0 ||
        anthropic_cache(b, 0, &b->d->cache) != 0)
        return -1;
    return read_numbers(b) != 0 || read_stops(b) != 0 || read_thinking(b) != 0 ||
                   read_output(b) != 0
               ? -1
               : 0;
}

/* Anthropic has a user there, and nothing else so far. */
static bool has_more_than_user(const struct anthropic_body *b, json_ref metadata)
{
    json_ref m =
        json_kind(b->doc, metadata) == JSON_OBJECT ? json_first(b->doc, metadata) : JSON_NONE;
    while (m != JSON_NONE && json_key_is(b->doc, m, "user_id"))
        m = json_next(b->doc, m);
    return m != JSON_NONE;
}

static bool is_read(const struct anthropic_body *b, json_ref m)
{
    static const char *const read[] = {
        "model",          "max_tokens",    "stream",   "tools",         "tool_choice",
        "system",         "messages",      "thinking", "output_config", "output_format",
        "stop_sequences", "temperature",   "top_p",    "top_k",         "service_tier",
        "speed",          "inference_geo", "route",    "cache_control", NULL};
    if (json_key_is(b->doc, m, "metadata"))
        return !has_more_than_user(b, m);
    return json_key_is_any(b->doc, m, read) || prefs_is_routing_member(b->doc, m);
}

/* What the dialog has no place for, known or not.  speed and inference_geo are the chat's: who gets
 * the request is told; route is what `models` does here by itself. */
static void note_others(struct anthropic_body *b)
{
    for (json_ref m = json_first(b->doc, 0); m != JSON_NONE; m = json_next(b->doc, m)) {
        if (!is_read(b, m))
            dialog_note_other(b->d, b->doc, m);
    }
}

int anthropic_read(const struct chat *chat, struct dialog *ret, struct fail *reterr)
{
    struct anthropic_body b = {chat->doc, ret, reterr, chat};
    json_ref system, messages;
    ret->stream = chat->stream;
    ret->max_tokens = chat->max_tokens;
    if (anthropic_member(&b, 0, "system", KIND(STRING) | KIND(ARRAY),
                         "a string or an array of text blocks", &system) != 0 ||
        anthropic_member(&b, 0, "messages", KIND(ARRAY), "an array of messages", &messages) != 0 ||
        anthropic_read_system(&b, system) != 0 || anthropic_read_messages(&b, messages) != 0 ||
        read_tools(&b) != 0 || read_tool_choice(&b) != 0 || read_settings(&b) != 0)
        return -1;
    note_others(&b);
    dialog_index_calls(ret);
    return ret->failed ? fail_set(reterr, ERR_bad_request, "messages",
                                  "the request is too large to be translated for a provider of "
                                  "another protocol")
                       : 0;
}
