#define _GNU_SOURCE
/* Reads a Chat Completions request with the checks of the real provider. */
#include "sim/openai.h"

#include <stdlib.h>

enum { STOPS_MAX = 4, NAME_MAX_LEN = 64 };

struct reading {
    struct ask *k;
    struct heard *h;
    const struct json_doc *doc;
    int message; /* where: messages[N] */
};

/* Names */

static bool is_known(const struct json_doc *doc, json_ref member)
{
    static const char *const names[] = {"model",
                                        "messages",
                                        "max_tokens",
                                        "max_completion_tokens",
                                        "temperature",
                                        "top_p",
                                        "n",
                                        "stop",
                                        "stream",
                                        "stream_options",
                                        "seed",
                                        "tools",
                                        "tool_choice",
                                        "parallel_tool_calls",
                                        "response_format",
                                        "reasoning_effort",
                                        "verbosity",
                                        "logprobs",
                                        "top_logprobs",
                                        "logit_bias",
                                        "frequency_penalty",
                                        "presence_penalty",
                                        "user",
                                        "safety_identifier",
                                        "prompt_cache_key",
                                        "prompt_cache_retention",
                                        "service_tier",
                                        "store",
                                        "metadata",
                                        "modalities",
                                        "audio",
                                        "prediction",
                                        "web_search_options",
                                        "functions",
                                        "function_call"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_key_is(doc, member, names[i]))
            return true;
    }
    return false;
}

static bool check_names(struct reading *r)
{
    bool strict = r->k->script.n[SCRIPT_strict] > 0;
    for (json_ref m = json_first(r->doc, 0); m != JSON_NONE; m = json_next(r->doc, m)) {
        bool routing =
            json_key_has_prefix(r->doc, m, "provider") || json_key_is(r->doc, m, "models");
        if (!routing && (!strict || is_known(r->doc, m)))
            continue;
        const struct json_node *node = json_at(r->doc, m);
        return ask_refuse(r->k, 400, "Unrecognized request argument supplied: %.*s",
                          (int)node->key_len, r->doc->text.ptr + node->key_begin + 1);
    }
    return true;
}

static bool is_name(const struct json_doc *doc, json_ref string)
{
    struct span s = json_inner(doc, string);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-')
            return false;
    }
    return s.len > 0 && s.len <= NAME_MAX_LEN;
}

/* Parts of a content */

static bool read_image(struct reading *r, json_ref part)
{
    json_ref image = heard_get(r->h, part, "image_url", JSON_OBJECT);
    json_ref url = heard_get(r->h, image, "url", JSON_STRING);
    if (url == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Missing required parameter: 'messages[%d].content.image_url.url'.",
                          r->message);
    struct span s = json_inner(r->doc, url);
    bool data = s.len > 5 && memcmp(s.ptr, "data:", 5) == 0;
    if (!data && (s.len < 4 || memcmp(s.ptr, "http", 4) != 0))
        return ask_refuse(r->k, 400,
                          "Invalid image URL: 'messages[%d].content'. Expected a valid URL, "
                          "but got a value with an invalid format.",
                          r->message);
    heard_url(r->h, url);
    heard_string(r->h, "detail", json_get(r->doc, image, "detail"));
    return true;
}

static bool read_file(struct reading *r, json_ref part)
{
    json_ref file = heard_get(r->h, part, "file", JSON_OBJECT);
    json_ref data = heard_get(r->h, file, "file_data", JSON_STRING);
    json_ref id = heard_get(r->h, file, "file_id", JSON_STRING);
    if (data == JSON_NONE && id == JSON_NONE)
        return ask_refuse(r->k, 400, "Missing required parameter: 'messages[%d].content.file'.",
                          r->message);
    if (data != JSON_NONE)
        heard_url(r->h, data);
    heard_string(r->h, "file", id);
    heard_string(r->h, "title", json_get(r->doc, file, "filename"));
    return true;
}

static bool read_audio(struct reading *r, json_ref part)
{
    json_ref audio = heard_get(r->h, part, "input_audio", JSON_OBJECT);
    heard_string(r->h, "media", json_get(r->doc, audio, "format"));
    heard_string(r->h, "data", json_get(r->doc, audio, "data"));
    return audio != JSON_NONE ||
           ask_refuse(r->k, 400, "Missing required parameter: 'messages[%d].content.input_audio'.",
                      r->message);
}

static bool read_text(struct reading *r, json_ref part)
{
    json_ref text = heard_get(r->h, part, "text", JSON_STRING);
    heard_string(r->h, "text", text);
    return text != JSON_NONE ||
           ask_refuse(r->k, 400, "Missing required parameter: 'messages[%d].content.text'.",
                      r->message);
}

static bool read_refusal(struct reading *r, json_ref part)
{
    heard_string(r->h, "text", json_get(r->doc, part, "refusal"));
    return true;
}

enum { FROM_USER = 1, FROM_OTHERS = 2 };
static const struct {
    const char *type, *heard;
    int from;
    bool (*read)(struct reading *r, json_ref part);
} part_rows[] = {
    {"text", "text", FROM_USER | FROM_OTHERS, read_text},
    {"image_url", "image", FROM_USER, read_image},
    {"input_audio", "audio", FROM_USER, read_audio},
    {"file", "document", FROM_USER, read_file},
    {"refusal", "refusal", FROM_OTHERS, read_refusal},
};

static bool read_part(struct reading *r, json_ref part, int from)
{
    for (size_t i = 0; i < sizeof(part_rows) / sizeof(part_rows[0]); i++) {
        if (!heard_is(r->h, part, "type", part_rows[i].type) || (part_rows[i].from & from) == 0)
            continue;
        heard_open(r->h, part_rows[i].heard);
        bool ok = part_rows[i].read(r, part);
        json_ref mark = heard_get(r->h, part, "cache_control", JSON_OBJECT);
        if (mark != JSON_NONE)
            json_put_string(&r->h->out, "cache",
                            heard_is(r->h, mark, "ttl", "1h") ? SPAN("1h") : SPAN("5m"));
        heard_close(r->h);
        return ok;
    }
    return ask_refuse(r->k, 400,
                      "Invalid value: 'messages[%d].content': a part of this type is not "
                      "supported for this role.",
                      r->message);
}

/* Blocks into the open list of the digest.  null is allowed beside tool calls only. */
static bool read_content(struct reading *r, json_ref content, int from, bool may_be_null)
{
    if (heard_kind(r->h, content, JSON_STRING)) {
        if (json_inner(r->doc, content).len > 0)
            heard_text(r->h, content);
        return true;
    }
    if (content == JSON_NONE || json_kind(r->doc, content) == JSON_NULL)
        return may_be_null ||
               ask_refuse(r->k, 400,
                          "Invalid value for 'content': expected a string, got null. "
                          "(messages[%d].content)",
                          r->message);
    if (json_kind(r->doc, content) != JSON_ARRAY || json_first(r->doc, content) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid type for 'messages[%d].content': expected one of a "
                          "non-empty array of objects or string",
                          r->message);
    for (json_ref p = json_first(r->doc, content); p != JSON_NONE; p = json_next(r->doc, p)) {
        if (!read_part(r, p, from))
            return false;
    }
    return true;
}

/* Messages */

static bool read_call(struct reading *r, json_ref call)
{
    json_ref function = heard_get(r->h, call, "function", JSON_OBJECT);
    json_ref id = heard_get(r->h, call, "id", JSON_STRING);
    json_ref name = heard_get(r->h, function, "name", JSON_STRING);
    json_ref arguments = heard_get(r->h, function, "arguments", JSON_STRING);
    if (id == JSON_NONE || !heard_is(r->h, call, "type", "function"))
        return ask_refuse(r->k, 400, "Missing required parameter: 'messages[%d].tool_calls[].id'.",
                          r->message);
    if (name == JSON_NONE || !is_name(r->doc, name) || arguments == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid 'messages[%d].tool_calls[].function': a name of "
                          "'^[a-zA-Z0-9_-]+$' and arguments as a string are expected.",
                          r->message);
    heard_open(r->h, "call");
    heard_string(r->h, "id", id);
    heard_string(r->h, "name", name);
    struct buf *text = &r->k->sim->scratch;
    buf_reset(text);
    if (json_text(r->doc, arguments, text))
        json_put_raw(&r->h->out, "arguments", text->len > 0 ? buf_span(text) : SPAN("{}"));
    heard_close(r->h);
    heard_call(r->h, id);
    return true;
}

static bool read_assistant(struct reading *r, json_ref m)
{
    static const char *const fields[] = {"reasoning_content", "reasoning"};
    json_ref calls = heard_get(r->h, m, "tool_calls", JSON_ARRAY);
    for (size_t i = 0; i < 2; i++) {
        json_ref thought = heard_get(r->h, m, fields[i], JSON_STRING);
        if (thought == JSON_NONE)
            continue;
        heard_open(r->h, "thinking");
        heard_string(r->h, "text", thought);
        heard_close(r->h);
    }
    bool silent = heard_get(r->h, m, "refusal", JSON_STRING) != JSON_NONE || calls != JSON_NONE;
    if (!read_content(r, json_get(r->doc, m, "content"), FROM_OTHERS, silent))
        return false;
    if (calls == JSON_NONE)
        return true;
    if (json_first(r->doc, calls) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid 'messages[%d].tool_calls': empty array. Expected an "
                          "array with minimum length 1, but got an empty array instead.",
                          r->message);
    for (json_ref c = json_first(r->doc, calls); c != JSON_NONE; c = json_next(r->doc, c)) {
        if (!read_call(r, c))
            return false;
    }
    return true;
}

static bool read_result(struct reading *r, json_ref m)
{
    json_ref id = heard_get(r->h, m, "tool_call_id", JSON_STRING);
    if (id == JSON_NONE)
        return ask_refuse(r->k, 400, "Missing required parameter: 'messages[%d].tool_call_id'.",
                          r->message);
    if (!heard_result(r->h, id))
        return ask_refuse(r->k, 400,
                          "Invalid parameter: messages with role 'tool' must be a response "
                          "to a preceeding message with 'tool_calls'.");
    heard_open(r->h, "result");
    heard_string(r->h, "id", id);
    json_open_array(&r->h->out, "content");
    bool ok = read_content(r, json_get(r->doc, m, "content"), FROM_OTHERS, false);
    json_close_array(&r->h->out);
    heard_close(r->h);
    return ok;
}

static bool check_answered(struct reading *r)
{
    if (r->h->n_calls == 0)
        return true;
    struct span id = json_inner(r->doc, r->h->calls[0]);
    return ask_refuse(r->k, 400,
                      "An assistant message with 'tool_calls' must be followed by tool messages "
                      "responding to each 'tool_call_id'. The following tool_call_ids did not have "
                      "response messages: %.*s",
                      (int)id.len, id.ptr);
}

static bool read_plain(struct reading *r, json_ref m, int from)
{
    return read_content(r, json_get(r->doc, m, "content"), from, false);
}

static bool read_message(struct reading *r, json_ref m)
{
    static const char *const roles[][2] = {{"system", "system"},
                                           {"developer", "system"},
                                           {"user", "user"},
                                           {"assistant", "assistant"},
                                           {"tool", "tool"}};
    size_t i = 0;
    while (i < 5 && !heard_is(r->h, m, "role", roles[i][0]))
        i++;
    if (i == 5)
        return ask_refuse(r->k, 400,
                          "Invalid value: 'messages[%d].role'. Supported values are: "
                          "'system', 'assistant', 'user', 'function', 'tool', and "
                          "'developer'.",
                          r->message);
    if (i != 4 && !check_answered(r))
        return false;
    json_open_object(&r->h->out, NULL);
    json_put_string(&r->h->out, "role", span_of(roles[i][1]));
    heard_string(r->h, "name", json_get(r->doc, m, "name"));
    json_open_array(&r->h->out, "content");
    bool ok = i == 4   ? read_result(r, m)
              : i == 3 ? read_assistant(r, m)
                       : read_plain(r, m, i == 2 ? FROM_USER : FROM_OTHERS);
    json_close_array(&r->h->out);
    json_close_object(&r->h->out);
    return ok;
}

static bool read_messages(struct reading *r)
{
    json_ref messages = heard_get(r->h, 0, "messages", JSON_ARRAY);
    if (messages == JSON_NONE)
        return ask_refuse(r->k, 400, "Missing required parameter: 'messages'.");
    if (json_first(r->doc, messages) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid 'messages': empty array. Expected an array with minimum "
                          "length 1, but got an empty array instead.");
    bool ok = true;
    json_open_array(&r->h->out, "messages");
    for (json_ref m = json_first(r->doc, messages); ok && m != JSON_NONE;
         m = json_next(r->doc, m)) {
        ok = read_message(r, m);
        r->message++;
    }
    json_close_array(&r->h->out);
    return ok && check_answered(r);
}

/* Tools */

static bool read_tool(struct reading *r, json_ref tool)
{
    json_ref function = heard_get(r->h, tool, "function", JSON_OBJECT);
    json_ref name = heard_get(r->h, function, "name", JSON_STRING);
    json_ref schema = heard_get(r->h, function, "parameters", JSON_OBJECT);
    if (!heard_is(r->h, tool, "type", "function") || function == JSON_NONE)
        return ask_refuse(r->k, 400, "Missing required parameter: 'tools[0].function'.");
    if (name == JSON_NONE || !is_name(r->doc, name))
        return ask_refuse(r->k, 400,
                          "Invalid 'tools[0].function.name': string does not match pattern. "
                          "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.");
    if (schema != JSON_NONE && !heard_is(r->h, schema, "type", "object"))
        return ask_refuse(r->k, 400,
                          "Invalid schema for function '%.*s': schema must be a JSON Schema "
                          "of 'type: \"object\"', got 'type: \"None\"'.",
                          (int)json_inner(r->doc, name).len, json_inner(r->doc, name).ptr);
    heard_tool(r->h, name, schema);
    json_open_object(&r->h->out, NULL);
    heard_string(r->h, "name", name);
    heard_string(r->h, "description", json_get(r->doc, function, "description"));
    heard_raw(r->h, "schema", schema);
    heard_raw(r->h, "strict", json_get(r->doc, function, "strict"));
    json_close_object(&r->h->out);
    return true;
}

static bool read_tools(struct reading *r)
{
    json_ref tools = json_get(r->doc, 0, "tools");
    if (tools == JSON_NONE || json_kind(r->doc, tools) == JSON_NULL)
        return true;
    if (json_kind(r->doc, tools) != JSON_ARRAY || json_first(r->doc, tools) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid 'tools': empty array. Expected an array with minimum "
                          "length 1, but got an empty array instead.");
    bool ok = true;
    json_open_array(&r->h->out, "tools");
    for (json_ref t = json_first(r->doc, tools); ok && t != JSON_NONE; t = json_next(r->doc, t))
        ok = read_tool(r, t);
    json_close_array(&r->h->out);
    return ok;
}

static bool read_choice(struct reading *r)
{
    static const char *const words[][2] = {{"auto", "auto"}, {"required", "any"}, {"none", "none"}};
    struct heard *h = r->h;
    json_ref choice = json_get(r->doc, 0, "tool_choice");
    json_ref parallel = json_get(r->doc, 0, "parallel_tool_calls");
    bool may = true;
    if (h->n_tools == 0 && (choice != JSON_NONE || parallel != JSON_NONE))
        return ask_refuse(r->k, 400,
                          "Invalid value for '%s': '%s' is only allowed when 'tools' are "
                          "specified.",
                          choice != JSON_NONE ? "tool_choice" : "parallel_tool_calls",
                          choice != JSON_NONE ? "tool_choice" : "parallel_tool_calls");
    if (json_truth(r->doc, parallel, &may)) {
        h->no_parallel = !may;
        json_put_bool(&h->out, "parallel", may);
    }
    if (choice == JSON_NONE)
        return true;
    for (int i = 0; i < 3; i++) {
        if (json_text_is(r->doc, choice, words[i][0])) {
            h->choice = (enum heard_choice)i;
            json_put_string(&h->out, "choice", span_of(words[i][1]));
            return true;
        }
    }
    json_ref function = heard_get(h, choice, "function", JSON_OBJECT);
    h->choice_name = heard_get(h, function, "name", JSON_STRING);
    if (!heard_is(h, choice, "type", "function") || h->choice_name == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid value: 'tool_choice'. Supported values are: 'none', "
                          "'auto', and 'required'.");
    h->choice = CALL_NAMED;
    json_put_string(&h->out, "choice", SPAN("tool"));
    heard_string(h, "choice_name", h->choice_name);
    return true;
}

/* Settings */

static bool read_max_tokens(struct reading *r)
{
    struct heard *h = r->h;
    json_ref older = json_get(r->doc, 0, "max_tokens");
    json_ref newer = json_get(r->doc, 0, "max_completion_tokens");
    if (older != JSON_NONE && newer != JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Setting 'max_tokens' and 'max_completion_tokens' at the same "
                          "time is not supported.");
    json_ref max = newer != JSON_NONE ? newer : older;
    if (max == JSON_NONE || json_kind(r->doc, max) == JSON_NULL)
        return true;
    if (!json_int64(r->doc, max, &h->max_tokens) || h->max_tokens < 1)
        return ask_refuse(r->k, 400,
                          "Invalid 'max_tokens': integer below minimum value. Expected a "
                          "value >= 1.");
    heard_raw(h, "max_tokens", max);
    return true;
}

static bool read_stop(struct reading *r)
{
    json_ref stop = json_get(r->doc, 0, "stop");
    if (stop == JSON_NONE || json_kind(r->doc, stop) == JSON_NULL)
        return true;
    int n = 0;
    if (json_kind(r->doc, stop) == JSON_STRING) {
        heard_stop(r->h, stop);
        json_open_array(&r->h->out, "stop");
        json_put_raw(&r->h->out, NULL, json_raw(r->doc, stop));
        json_close_array(&r->h->out);
        return true;
    }
    for (json_ref s = json_first(r->doc, stop); s != JSON_NONE; s = json_next(r->doc, s)) {
        heard_stop(r->h, s);
        n++;
    }
    heard_raw(r->h, "stop", stop);
    return n <= STOPS_MAX || ask_refuse(r->k, 400,
                                        "Invalid 'stop': array too long. Expected an array "
                                        "with maximum length 4.");
}

static bool read_format(struct reading *r)
{
    struct heard *h = r->h;
    json_ref format = heard_get(h, 0, "response_format", JSON_OBJECT);
    if (format == JSON_NONE || heard_is(h, format, "type", "text"))
        return true;
    if (heard_is(h, format, "type", "json_object")) {
        json_put_bool(&h->out, "json", true);
        return true;
    }
    json_ref wrapped = heard_get(h, format, "json_schema", JSON_OBJECT);
    json_ref name = heard_get(h, wrapped, "name", JSON_STRING);
    if (!heard_is(h, format, "type", "json_schema") || name == JSON_NONE || !is_name(r->doc, name))
        return ask_refuse(r->k, 400,
                          "Missing required parameter: 'response_format.json_schema.name'.");
    h->schema = heard_get(h, wrapped, "schema", JSON_OBJECT);
    heard_raw(h, "schema", h->schema);
    heard_string(h, "schema_name", name);
    heard_raw(h, "schema_strict", json_get(r->doc, wrapped, "strict"));
    return true;
}

static bool read_effort(struct reading *r)
{
    static const char *const words[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    json_ref effort = json_get(r->doc, 0, "reasoning_effort");
    if (effort == JSON_NONE || json_kind(r->doc, effort) == JSON_NULL)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (json_text_is(r->doc, effort, words[i])) {
            heard_string(r->h, "effort", effort);
            r->h->thinking = i > 0;
            return true;
        }
    }
    return ask_refuse(r->k, 400,
                      "Invalid value: 'reasoning_effort'. Supported values are: 'none', "
                      "'minimal', 'low', 'medium', 'high', and 'xhigh'.");
}

static bool read_stream(struct reading *r)
{
    struct heard *h = r->h;
    json_ref options = heard_get(h, 0, "stream_options", JSON_OBJECT);
    json_truth(r->doc, json_get(r->doc, 0, "stream"), &h->stream);
    if (options != JSON_NONE && !h->stream)
        return ask_refuse(r->k, 400,
                          "Invalid value for 'stream_options': The 'stream_options' "
                          "parameter is only allowed when 'stream' is enabled.");
    json_truth(r->doc, json_get(r->doc, options, "include_usage"), &h->include_usage);
    return true;
}

static bool read_number(struct reading *r, const char *name, double min, double max)
{
    json_ref n = json_get(r->doc, 0, name);
    if (n == JSON_NONE || json_kind(r->doc, n) == JSON_NULL)
        return true;
    double value = strtod(json_raw(r->doc, n).ptr, NULL);
    if (json_kind(r->doc, n) != JSON_NUMBER || value < min || value > max)
        return ask_refuse(r->k, 400, "Invalid '%s': expected a number from %g to %g.", name, min,
                          max);
    heard_raw(r->h, name, n);
    return true;
}

static bool read_settings(struct reading *r)
{
    static const char *const plain[] = {"seed",         "logprobs", "logit_bias", "verbosity",
                                        "service_tier", "user",     "metadata"};
    json_open_object(&r->h->out, "settings");
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        heard_raw(r->h, plain[i], json_get(r->doc, 0, plain[i]));
    bool ok = read_choice(r) && read_max_tokens(r) && read_stop(r) && read_format(r) &&
              read_effort(r) && read_number(r, "temperature", 0, 2) &&
              read_number(r, "top_p", 0, 1) && read_number(r, "top_logprobs", 0, 20) &&
              read_number(r, "frequency_penalty", -2, 2) &&
              read_number(r, "presence_penalty", -2, 2) && read_number(r, "n", 1, 1);
    json_close_object(&r->h->out);
    return ok;
}

bool openai_read(struct ask *k)
{
    struct reading r = {.k = k, .h = &k->heard, .doc = k->doc};
    if (!read_stream(&r) || !read_tools(&r) || !read_messages(&r) || !read_settings(&r))
        return false;
    return k->script.n[SCRIPT_lenient] > 0 || check_names(&r);
}
