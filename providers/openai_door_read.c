/* Reads the body of POST /v1/chat/completions into a dialog: settings and tools here, messages in
 * openai_door_messages.c.  platform.openai.com/docs/api-reference/chat/create, and OpenRouter's
 * additions (schema/chat_openai.c).  Checked is what is read. */
#include <stdio.h>

#include "providers/openai_door.h"
#include "schema/json_path.h"

/* ---- members ---- */

void openai_body_refuse(struct openai_body *b, json_ref v, const char *accepts)
{
    if (!b->refused)
        json_refuse(b->doc, v, accepts, b->reterr);
    b->refused = true;
}

void openai_body_missing(struct openai_body *b, json_ref object, const char *name,
                         const char *accepts)
{
    char path[FAIL_FIELD_MAX], field[2 * FAIL_FIELD_MAX];
    if (b->refused)
        return;
    json_path(b->doc, object, path);
    snprintf(field, sizeof(field), "%s.%s", path, name);
    fail_set(b->reterr, ERR_bad_request, field, "%s is required: %s", field, accepts);
    b->refused = true;
}

json_ref openai_body_get(struct openai_body *b, json_ref object, const char *name, unsigned kinds,
                         const char *accepts)
{
    json_ref v = JSON_NONE;
    if (b->refused)
        return JSON_NONE;
    if (json_get_once(b->doc, object, name, &v, b->reterr) != 0) {
        b->refused = true;
        return JSON_NONE;
    }
    if (v == JSON_NONE || kinds & 1u << json_kind(b->doc, v))
        return v;
    openai_body_refuse(b, v, accepts);
    return JSON_NONE;
}

struct span openai_body_value(struct openai_body *b, json_ref string)
{
    struct span none = {"", 0};
    if (string == JSON_NONE || b->refused)
        return none;
    struct span value = dialog_string(b->d, b->doc, string);
    if (value.len == 0 && json_inner(b->doc, string).len > 0 && !b->d->failed)
        openai_body_refuse(b, string, "a string without lone surrogates");
    return value;
}

struct span openai_body_text(struct openai_body *b, json_ref object, const char *name)
{
    return openai_body_value(b, openai_body_get(b, object, name, DOOR_KIND(STRING), "a string"));
}

enum tristate openai_body_truth(struct openai_body *b, json_ref object, const char *name)
{
    bool truth;
    json_ref v = openai_body_get(b, object, name, DOOR_BOOL, "true or false");
    if (!json_truth(b->doc, v, &truth))
        return TRI_ABSENT;
    return truth ? TRI_TRUE : TRI_FALSE;
}

enum cache_mark openai_body_cache(struct openai_body *b, json_ref object)
{
    json_ref mark =
        openai_body_get(b, object, "cache_control", DOOR_KIND(OBJECT), "an object with type");
    json_ref ttl = openai_body_get(b, mark, "ttl", DOOR_KIND(STRING), "\"5m\" or \"1h\"");
    if (mark == JSON_NONE)
        return CACHE_NONE;
    return json_text_is(b->doc, ttl, "1h") ? CACHE_1H : CACHE_5M;
}

json_ref openai_body_first(const struct openai_body *b, json_ref list)
{
    return list != JSON_NONE && !b->refused ? json_first(b->doc, list) : JSON_NONE;
}

struct span openai_body_keep(struct openai_body *b)
{
    if (b->piece.failed)
        b->d->failed = true;
    return dialog_copy(b->d, buf_span(&b->piece));
}

static struct span raw_member(struct openai_body *b, json_ref object, const char *name,
                              unsigned kinds, const char *accepts)
{
    json_ref v = openai_body_get(b, object, name, kinds, accepts);
    return v != JSON_NONE ? json_raw(b->doc, v) : (struct span){"", 0};
}

/* ---- tools ---- */

static void read_function(struct openai_body *b, json_ref f, struct dialog_tool *t)
{
    t->name = openai_body_text(b, f, "name");
    if (t->name.len == 0)
        openai_body_missing(b, f, "name", "the name of a function");
    t->description = openai_body_text(b, f, "description");
    t->schema_json = raw_member(b, f, "parameters", DOOR_KIND(OBJECT), "a JSON schema");
    t->strict = openai_body_truth(b, f, "strict");
}

/* Of a type that only some server of this protocol knows: as it is written. */
static void read_raw_tool(struct openai_body *b, json_ref tool, struct dialog_tool *t)
{
    json_ref custom = openai_body_get(b, tool, "custom", DOOR_KIND(OBJECT), "an object");
    t->raw_json = json_raw(b->doc, tool);
    t->raw_of = "openai";
    t->name = openai_body_text(b, custom, "name");
}

static void read_tool(struct openai_body *b, json_ref tool)
{
    if (json_kind(b->doc, tool) != JSON_OBJECT) {
        openai_body_refuse(b, tool, "a tool, an object with type");
        return;
    }
    struct dialog_tool spare, *t = dialog_add_tool(b->d);
    if (t == NULL)
        t = &spare;
    json_ref type = openai_body_get(b, tool, "type", DOOR_KIND(STRING), "a string");
    json_ref f = openai_body_get(b, tool, "function", DOOR_KIND(OBJECT), "an object with name");
    if (type != JSON_NONE && !json_text_is(b->doc, type, "function"))
        read_raw_tool(b, tool, t);
    else if (f != JSON_NONE)
        read_function(b, f, t);
    else
        openai_body_missing(b, tool, "function", "an object with name");
    enum cache_mark outer = openai_body_cache(b, tool), inner = openai_body_cache(b, f);
    t->cache = outer != CACHE_NONE ? outer : inner;
}

static void read_tools(struct openai_body *b)
{
    json_ref tools = openai_body_get(b, 0, "tools", DOOR_KIND(ARRAY), "an array of tools");
    json_ref old = openai_body_get(b, 0, "functions", DOOR_KIND(ARRAY), "an array of functions");
    for (json_ref t = openai_body_first(b, tools); t != JSON_NONE; t = json_next(b->doc, t))
        read_tool(b, t);
    for (json_ref f = openai_body_first(b, old); f != JSON_NONE; f = json_next(b->doc, f)) {
        struct dialog_tool *t = dialog_add_tool(b->d);
        if (t != NULL)
            read_function(b, f, t);
    }
}

static void choose(struct openai_body *b, struct span name)
{
    b->d->choice = CHOICE_TOOL;
    b->d->choice_name = name;
}

static void read_choice_word(struct openai_body *b, json_ref v)
{
    static const struct {
        const char *word;
        enum tool_choice choice;
    } words[] = {
        {"auto", CHOICE_AUTO},
        {"none", CHOICE_NONE},
        {"required", CHOICE_ANY},
        {"any", CHOICE_ANY}, /* Mistral's word for it */
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (json_text_is(b->doc, v, words[i].word)) {
            b->d->choice = words[i].choice;
            return;
        }
    }
    openai_body_refuse(b, v, "one of none, auto, required, or an object with type");
}

/* {type: function, function: {name}}, {type: custom, custom: {name}}, or a set of tools of which
 * only the mode can be told to others. */
static void read_choice_object(struct openai_body *b, json_ref v)
{
    static const char accepts[] = "an object with name";
    json_ref f = openai_body_get(b, v, "function", DOOR_KIND(OBJECT), accepts);
    json_ref custom = openai_body_get(b, v, "custom", DOOR_KIND(OBJECT), accepts);
    json_ref set = openai_body_get(b, v, "allowed_tools", DOOR_KIND(OBJECT), "an object with mode");
    json_ref mode = openai_body_get(b, set, "mode", DOOR_KIND(STRING), "auto or required");
    if (set != JSON_NONE) {
        drops_add(&b->d->others, "tool_choice.allowed_tools");
        if (mode != JSON_NONE)
            read_choice_word(b, mode);
        return;
    }
    struct span name = openai_body_text(b, f != JSON_NONE ? f : custom, "name");
    if (name.len == 0)
        openai_body_missing(b, v, "function", accepts);
    choose(b, name);
}

static void read_choice(struct openai_body *b)
{
    const unsigned kinds = DOOR_KIND(STRING) | DOOR_KIND(OBJECT);
    json_ref v = openai_body_get(b, 0, "tool_choice", kinds, "a string or an object with type");
    json_ref old = openai_body_get(b, 0, "function_call", kinds, "a string or an object with name");
    if (v != JSON_NONE && json_kind(b->doc, v) == JSON_STRING)
        read_choice_word(b, v);
    else if (v != JSON_NONE)
        read_choice_object(b, v);
    else if (old != JSON_NONE && json_kind(b->doc, old) == JSON_STRING)
        read_choice_word(b, old);
    else if (old != JSON_NONE)
        choose(b, openai_body_text(b, old, "name"));
    b->d->parallel = openai_body_truth(b, 0, "parallel_tool_calls");
}

/* ---- reasoning ---- */

static void set_effort(struct dialog_reasoning *r, struct span effort)
{
    if (effort.len == 0)
        return;
    r->effort = effort;
    r->mode = span_is(effort, "none") ? REASONING_OFF : REASONING_ON;
}

static void set_budget(struct openai_body *b, json_ref object, const char *name)
{
    int64_t tok;
    json_ref v = openai_body_get(b, object, name, DOOR_KIND(NUMBER), "a number of tokens");
    if (!json_int64(b->doc, v, &tok) || tok <= 0)
        return;
    b->d->reasoning.mode = REASONING_BUDGETED;
    b->d->reasoning.budget_tok = tok;
}

/* {type: enabled, budget_tokens}: Anthropic's form, which z.ai, DeepSeek and others took over. */
static void read_thinking(struct openai_body *b)
{
    json_ref thinking = openai_body_get(b, 0, "thinking", DOOR_KIND(OBJECT), "an object with type");
    json_ref type = openai_body_get(b, thinking, "type", DOOR_KIND(STRING), "a string");
    if (thinking == JSON_NONE)
        return;
    bool off = json_text_is(b->doc, type, "disabled");
    b->d->reasoning.mode = off ? REASONING_OFF : REASONING_ON;
    if (!off)
        set_budget(b, thinking, "budget_tokens");
}

static void read_reasoning(struct openai_body *b)
{
    struct dialog_reasoning *r = &b->d->reasoning;
    json_ref nested = openai_body_get(b, 0, "reasoning", DOOR_KIND(OBJECT), "an object");
    read_thinking(b);
    set_effort(r, openai_body_text(b, 0, "reasoning_effort"));
    set_effort(r, openai_body_text(b, nested, "effort"));
    enum tristate enabled = openai_body_truth(b, nested, "enabled");
    if (enabled != TRI_ABSENT && r->effort.len == 0)
        r->mode = enabled == TRI_TRUE ? REASONING_ON : REASONING_OFF;
    if (enabled != TRI_FALSE)
        set_budget(b, nested, "max_tokens");
    r->hidden = openai_body_truth(b, nested, "exclude") == TRI_TRUE ||
                openai_body_truth(b, 0, "include_reasoning") == TRI_FALSE;
}

/* ---- the answer's form ---- */

/* A schema stands in json_schema; Together and vLLM also take it beside json_object. */
static void read_format(struct openai_body *b)
{
    struct dialog_format *f = &b->d->format;
    json_ref v = openai_body_get(b, 0, "response_format", DOOR_KIND(OBJECT), "an object with type");
    json_ref type = openai_body_get(b, v, "type", DOOR_KIND(STRING), "a string");
    json_ref nested = openai_body_get(b, v, "json_schema", DOOR_KIND(OBJECT), "an object");
    if (v == JSON_NONE)
        return;
    bool schema = json_text_is(b->doc, type, "json_schema");
    json_ref from = schema ? nested : v;
    f->schema_json = raw_member(b, from, "schema", DOOR_KIND(OBJECT), "a JSON schema");
    f->name = openai_body_text(b, from, "name");
    f->description = openai_body_text(b, from, "description");
    f->strict = openai_body_truth(b, from, "strict");
    if (json_text_is(b->doc, type, "text"))
        f->kind = FORMAT_TEXT;
    else if (f->schema_json.len > 0)
        f->kind = FORMAT_SCHEMA;
    else if (schema || json_text_is(b->doc, type, "json_object"))
        f->kind = FORMAT_JSON;
    else
        openai_body_refuse(b, v, "an object whose type is text, json_object or json_schema");
}

static void add_stop(struct openai_body *b, json_ref v)
{
    if (json_kind(b->doc, v) != JSON_STRING) {
        openai_body_refuse(b, v, "a string");
        return;
    }
    struct span text = openai_body_value(b, v);
    if (text.len > 0 && !dialog_add_stop(b->d, text))
        openai_body_refuse(b, v, "one of at most 64 stop sequences");
}
_Static_assert(DIALOG_STOPS_MAX == 64, "the message above says so");

static void read_stops(struct openai_body *b)
{
    json_ref stop = openai_body_get(b, 0, "stop", DOOR_KIND(STRING) | DOOR_KIND(ARRAY),
                                    "a string or an array of strings");
    if (stop != JSON_NONE && json_kind(b->doc, stop) == JSON_STRING) {
        add_stop(b, stop);
        return;
    }
    for (json_ref s = openai_body_first(b, stop); s != JSON_NONE; s = json_next(b->doc, s))
        add_stop(b, s);
}

/* ---- the whole ---- */

/* One of them is the setting of a number. */
static bool is_number(const struct openai_body *b, json_ref m)
{
    for (int i = 0; i < NUMBER_COUNT; i++) {
        if (json_key_is(b->doc, m, dialog_number_name((enum dialog_number)i)))
            return true;
    }
    return false;
}

/* What the dialog has no place for, known or not.  usage, stream_options and n are done here, speed
 * and inference_geo are the chat's: who gets the request is told; route is what `models` does here
 * by itself. */
static void note_others(struct openai_body *b)
{
    static const char *const read[] = {"model",
                                       "messages",
                                       "tools",
                                       "functions",
                                       "tool_choice",
                                       "function_call",
                                       "max_tokens",
                                       "max_completion_tokens",
                                       "n",
                                       "parallel_tool_calls",
                                       "stream",
                                       "stream_options",
                                       "stop",
                                       "response_format",
                                       "logprobs",
                                       "logit_bias",
                                       "reasoning",
                                       "reasoning_effort",
                                       "thinking",
                                       "include_reasoning",
                                       "verbosity",
                                       "service_tier",
                                       "speed",
                                       "inference_geo",
                                       "cache_control",
                                       "usage",
                                       "user",
                                       "route",
                                       NULL};
    for (json_ref m = json_first(b->doc, 0); m != JSON_NONE; m = json_next(b->doc, m)) {
        if (!json_key_is_any(b->doc, m, read) && !is_number(b, m) &&
            !prefs_is_routing_member(b->doc, m))
            dialog_note_other(b->d, b->doc, m);
    }
}

static void read_settings(struct openai_body *b, const struct chat *chat)
{
    struct dialog *d = b->d;
    d->stream = chat->stream;
    d->max_tokens = chat->max_tokens;
    for (int i = 0; i < NUMBER_COUNT; i++)
        d->numbers[i] = raw_member(b, 0, dialog_number_name((enum dialog_number)i),
                                   DOOR_KIND(NUMBER), "a number");
    d->logprobs = openai_body_truth(b, 0, "logprobs");
    d->logit_bias_json =
        raw_member(b, 0, "logit_bias", DOOR_KIND(OBJECT), "an object of token ids");
    d->verbosity = openai_body_text(b, 0, "verbosity");
    if (chat->tier_cut)
        drops_add(&d->unread, "service_tier");
    else
        d->service_tier = openai_body_text(b, 0, "service_tier");
    d->user = openai_body_text(b, 0, "user");
    d->cache = openai_body_cache(b, 0);
    note_others(b);
}

int openai_door_read(const struct chat *chat, struct dialog *ret, struct fail *reterr)
{
    struct openai_body b = {.doc = chat->doc, .d = ret, .reterr = reterr};
    json_init(&b.arguments);
    buf_init(&b.piece, DIALOG_MEMORY_MAX);
    read_settings(&b, chat);
    read_stops(&b);
    read_format(&b);
    read_reasoning(&b);
    read_tools(&b);
    read_choice(&b);
    openai_body_messages(&b);
    json_done(&b.arguments);
    buf_done(&b.piece);
    if (b.refused)
        return -1;
    dialog_index_calls(ret);
    return ret->failed
               ? fail_set(reterr, ERR_internal, NULL, "the request is too large to be translated")
               : 0;
}
