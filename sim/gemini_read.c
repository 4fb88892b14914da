#define _GNU_SOURCE
/* Reads a generateContent request with the checks of the real provider.  Names are taken in both
 * of protobuf's spellings; any that it does not know is an error there. */
#include "sim/gemini.h"

#include <stdlib.h>

#include "sim/base64.h"

enum { SCHEMA_DEPTH_MAX = 32 };

struct reading {
    struct ask *k;
    struct heard *h;
    const struct json_doc *doc;
    int message; /* where: contents[N] */
    int n_calls; /* of the model's last turn */
    int n_results;
    bool is_last_turn; /* behind the last text of the user */
};

/* Names */

static const char *const request_names[] = {"contents",
                                            "tools",
                                            "toolConfig",
                                            "safetySettings",
                                            "systemInstruction",
                                            "generationConfig",
                                            "cachedContent",
                                            "labels",
                                            "model",
                                            "serviceTier",
                                            "store",
                                            NULL};
static const char *const config_names[] = {"stopSequences",
                                           "responseMimeType",
                                           "responseSchema",
                                           "responseJsonSchema",
                                           "responseModalities",
                                           "candidateCount",
                                           "maxOutputTokens",
                                           "temperature",
                                           "topP",
                                           "topK",
                                           "seed",
                                           "presencePenalty",
                                           "frequencyPenalty",
                                           "responseLogprobs",
                                           "logprobs",
                                           "speechConfig",
                                           "thinkingConfig",
                                           "imageConfig",
                                           "mediaResolution",
                                           "audioTimestamp",
                                           NULL};
static const char *const thinking_names[] = {"includeThoughts", "thinkingBudget", "thinkingLevel",
                                             NULL};
static const char *const content_names[] = {"role", "parts", NULL};
static const char *const part_names[] = {"text",
                                         "thought",
                                         "thoughtSignature",
                                         "inlineData",
                                         "fileData",
                                         "functionCall",
                                         "functionResponse",
                                         "executableCode",
                                         "mediaResolution",
                                         "codeExecutionResult",
                                         "videoMetadata",
                                         NULL};
static const char *const call_names[] = {"id", "name", "args", NULL};
static const char *const response_names[] = {"id",           "name",       "response", "parts",
                                             "willContinue", "scheduling", NULL};
static const char *const function_names[] = {
    "name",     "description",        "behavior", "parameters", "parametersJsonSchema",
    "response", "responseJsonSchema", NULL};
static const char *const schema_names[] = {
    "type",          "format",    "title",      "description", "nullable", "enum",
    "maxItems",      "minItems",  "properties", "required",    "pattern",  "minProperties",
    "maxProperties", "minLength", "maxLength",  "example",     "anyOf",    "propertyOrdering",
    "default",       "items",     "minimum",    "maximum",     NULL};
static const char *const calling_names[] = {"mode", "allowedFunctionNames", NULL};

/* Whether a key is this name in camelCase or snake_case. */
static bool key_is(const struct json_doc *doc, json_ref member, const char *name)
{
    if (json_key_is(doc, member, name))
        return true;
    const struct json_node *node = json_at(doc, member);
    const char *key = doc->text.ptr + node->key_begin + 1;
    size_t at = 0;
    for (; *name != '\0'; name++) {
        bool capital = *name >= 'A' && *name <= 'Z';
        if (at + capital >= node->key_len || (capital && key[at++] != '_') ||
            key[at++] != (capital ? *name + 32 : *name))
            return false;
    }
    return at == node->key_len;
}

static json_ref get(const struct reading *r, json_ref object, const char *name)
{
    if (!heard_kind(r->h, object, JSON_OBJECT))
        return JSON_NONE;
    for (json_ref m = json_first(r->doc, object); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (key_is(r->doc, m, name))
            return m;
    }
    return JSON_NONE;
}

static json_ref get_kind(const struct reading *r, json_ref object, const char *name,
                         enum json_kind kind)
{
    json_ref m = get(r, object, name);
    return heard_kind(r->h, m, kind) ? m : JSON_NONE;
}

static bool check_names(struct reading *r, json_ref object, const char *const *names,
                        const char *where)
{
    if (!heard_kind(r->h, object, JSON_OBJECT) || r->k->script.n[SCRIPT_lenient] > 0)
        return true;
    for (json_ref m = json_first(r->doc, object); m != JSON_NONE; m = json_next(r->doc, m)) {
        const char *const *name = names;
        while (*name != NULL && !key_is(r->doc, m, *name))
            name++;
        if (*name != NULL)
            continue;
        const struct json_node *node = json_at(r->doc, m);
        return ask_refuse(r->k, 400,
                          "Invalid JSON payload received. Unknown name \"%.*s\"%s%s: Cannot find "
                          "field.",
                          (int)node->key_len, r->doc->text.ptr + node->key_begin + 1,
                          *where != '\0' ? " at " : "", where);
    }
    return true;
}

/* The subset of JSON schema that protobuf's Schema is. */
static bool check_schema(struct reading *r, json_ref schema, int depth)
{
    if (!heard_kind(r->h, schema, JSON_OBJECT) || depth > SCHEMA_DEPTH_MAX)
        return true;
    if (!check_names(r, schema, schema_names, "'...parameters'"))
        return false;
    json_ref type = get(r, schema, "type");
    if (type != JSON_NONE && json_kind(r->doc, type) != JSON_STRING)
        return ask_refuse(r->k, 400,
                          "Invalid value at 'type' (Type): Proto field is not repeating, "
                          "cannot start list.");
    json_ref properties = get_kind(r, schema, "properties", JSON_OBJECT);
    json_ref any = get_kind(r, schema, "anyOf", JSON_ARRAY);
    json_ref lists[] = {properties, any};
    for (int i = 0; i < 2; i++) {
        if (lists[i] == JSON_NONE)
            continue;
        for (json_ref s = json_first(r->doc, lists[i]); s != JSON_NONE; s = json_next(r->doc, s)) {
            if (!check_schema(r, s, depth + 1))
                return false;
        }
    }
    return check_schema(r, get(r, schema, "items"), depth + 1);
}

/* Parts */

static bool read_signature(struct reading *r, json_ref part)
{
    static const char *const accepted[] = {GEMINI_SIGNATURE, "skip_thought_signature_validator",
                                           "context_engineering_is_the_way_to_go"};
    json_ref signature = get_kind(r, part, "thoughtSignature", JSON_STRING);
    if (signature == JSON_NONE)
        return true;
    struct span s = json_inner(r->doc, signature);
    heard_string(r->h, "signature", signature);
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        size_t len = strlen(accepted[i]);
        if (s.len >= len && memcmp(s.ptr, accepted[i], len) == 0)
            return true;
    }
    return ask_refuse(r->k, 400,
                      base64_is(s) ? "Corrupted thought signature."
                                   : "Invalid value at 'contents.parts.thought_signature' "
                                     "(TYPE_BYTES), Base64 decoding failed");
}

static bool read_text(struct reading *r, json_ref part, json_ref text)
{
    bool thought = false;
    bool signature = get(r, part, "thoughtSignature") != JSON_NONE;
    json_truth(r->doc, get(r, part, "thought"), &thought);
    if (json_kind(r->doc, text) != JSON_STRING || (json_inner(r->doc, text).len == 0 && !signature))
        return ask_refuse(r->k, 400,
                          "Unable to submit request because it must have a text parameter.");
    heard_open(r->h, thought ? "thinking" : "text");
    heard_string(r->h, "text", text);
    bool ok = read_signature(r, part);
    heard_close(r->h);
    return ok;
}

static bool read_inline(struct reading *r, json_ref part, json_ref blob)
{
    (void)part;
    json_ref media = get_kind(r, blob, "mimeType", JSON_STRING);
    json_ref data = get_kind(r, blob, "data", JSON_STRING);
    if (media == JSON_NONE || data == JSON_NONE || !base64_is(json_inner(r->doc, data)))
        return ask_refuse(r->k, 400,
                          "Invalid value at 'contents[%d].parts.inline_data.data' "
                          "(TYPE_BYTES), Base64 decoding failed",
                          r->message);
    struct span type = json_inner(r->doc, media);
    heard_open(r->h, memmem(type.ptr, type.len, "image/", 6) == type.ptr   ? "image"
                     : memmem(type.ptr, type.len, "audio/", 6) == type.ptr ? "audio"
                                                                           : "document");
    heard_string(r->h, "media", media);
    heard_string(r->h, "data", data);
    heard_close(r->h);
    return true;
}

static bool read_file(struct reading *r, json_ref part, json_ref file)
{
    (void)part;
    json_ref media = get_kind(r, file, "mimeType", JSON_STRING);
    bool image = media != JSON_NONE && memmem(json_inner(r->doc, media).ptr,
                                              json_inner(r->doc, media).len, "image/", 6) != NULL;
    heard_open(r->h, image || media == JSON_NONE ? "image" : "document");
    heard_string(r->h, "media", media);
    heard_string(r->h, "url", get(r, file, "fileUri"));
    heard_close(r->h);
    return get(r, file, "fileUri") != JSON_NONE ||
           ask_refuse(r->k, 400,
                      "Invalid value at 'contents[%d].parts.file_data': file_uri is missing",
                      r->message);
}

static bool read_call(struct reading *r, json_ref part, json_ref call)
{
    json_ref name = get_kind(r, call, "name", JSON_STRING);
    json_ref args = get(r, call, "args");
    if (name == JSON_NONE || json_inner(r->doc, name).len == 0)
        return ask_refuse(r->k, 400,
                          "GenerateContentRequest.contents[%d].parts[0].function_call.name: "
                          "Name cannot be empty.",
                          r->message);
    if (args != JSON_NONE && json_kind(r->doc, args) != JSON_OBJECT)
        return ask_refuse(r->k, 400,
                          "Invalid value at 'contents[%d].parts[0].function_call.args' "
                          "(type.googleapis.com/google.protobuf.Struct)",
                          r->message);
    bool needs = r->k->script.n[SCRIPT_need_signature] > 0 && r->is_last_turn && r->n_calls == 0;
    if (needs && get(r, part, "thoughtSignature") == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Function call is missing a thought_signature in functionCall "
                          "parts. This is required for tools to work correctly.");
    r->n_calls++;
    heard_open(r->h, "call");
    heard_string(r->h, "id", get(r, call, "id"));
    heard_string(r->h, "name", name);
    if (args != JSON_NONE)
        heard_raw(r->h, "arguments", args);
    else
        json_put_raw(&r->h->out, "arguments", SPAN("{}"));
    bool ok = read_signature(r, part);
    heard_close(r->h);
    return ok && check_names(r, call, call_names, "'contents[].parts[].function_call'");
}

static bool read_response(struct reading *r, json_ref part, json_ref response)
{
    (void)part;
    json_ref name = get_kind(r, response, "name", JSON_STRING);
    json_ref value = get_kind(r, response, "response", JSON_OBJECT);
    if (name == JSON_NONE || json_inner(r->doc, name).len == 0)
        return ask_refuse(r->k, 400,
                          "GenerateContentRequest.contents[%d].parts[0].function_response."
                          "name: Name cannot be empty.",
                          r->message);
    if (value == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Invalid value at 'contents[%d].parts[0].function_response."
                          "response' (type.googleapis.com/google.protobuf.Struct)",
                          r->message);
    r->n_results++;
    heard_open(r->h, "result");
    heard_string(r->h, "id", get(r, response, "id"));
    heard_string(r->h, "name", name);
    heard_raw(r->h, "response", value);
    heard_raw(r->h, "parts", get(r, response, "parts"));
    heard_close(r->h);
    return check_names(r, response, response_names, "'contents[].parts[].function_response'");
}

static const struct {
    const char *name;
    bool (*read)(struct reading *r, json_ref part, json_ref value);
} part_rows[] = {{"text", read_text},
                 {"inlineData", read_inline},
                 {"fileData", read_file},
                 {"functionCall", read_call},
                 {"functionResponse", read_response}};

static bool read_part(struct reading *r, json_ref part)
{
    if (!check_names(r, part, part_names, "'contents[].parts[]'"))
        return false;
    for (size_t i = 0; i < sizeof(part_rows) / sizeof(part_rows[0]); i++) {
        json_ref value = get(r, part, part_rows[i].name);
        if (value != JSON_NONE)
            return part_rows[i].read(r, part, value);
    }
    return ask_refuse(r->k, 400,
                      "GenerateContentRequest.contents[%d].parts[0].data: required oneof field "
                      "'data' must have one initialized field",
                      r->message);
}

static bool read_parts(struct reading *r, json_ref content, const char *key)
{
    json_ref parts = get_kind(r, content, "parts", JSON_ARRAY);
    if (parts == JSON_NONE || json_first(r->doc, parts) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "GenerateContentRequest.contents[%d].parts: contents.parts must "
                          "not be empty.",
                          r->message);
    bool ok = true;
    json_open_array(&r->h->out, key);
    for (json_ref p = json_first(r->doc, parts); ok && p != JSON_NONE; p = json_next(r->doc, p))
        ok = read_part(r, p);
    json_close_array(&r->h->out);
    return ok;
}

/* Turns */

static bool has_text(const struct reading *r, json_ref content)
{
    json_ref parts = get_kind(r, content, "parts", JSON_ARRAY);
    for (json_ref p = parts == JSON_NONE ? JSON_NONE : json_first(r->doc, parts); p != JSON_NONE;
         p = json_next(r->doc, p)) {
        if (get(r, p, "text") != JSON_NONE)
            return true;
    }
    return false;
}

/* Behind the user's last words only model turns and function responses follow. */
static bool in_last_turn(const struct reading *r, json_ref content)
{
    for (json_ref c = json_next(r->doc, content); c != JSON_NONE; c = json_next(r->doc, c)) {
        if (!heard_is(r->h, c, "role", "model") && has_text(r, c))
            return false;
    }
    return true;
}

static bool check_counts(struct reading *r, int calls)
{
    if (r->n_results == calls)
        return true;
    return ask_refuse(r->k, 400,
                      "Please ensure that the number of function response parts is equal "
                      "to the number of function call parts of the function call turn.");
}

static bool read_content(struct reading *r, json_ref content)
{
    json_ref role = get(r, content, "role");
    bool model = role != JSON_NONE && json_text_is(r->doc, role, "model");
    bool user = role == JSON_NONE || json_text_is(r->doc, role, "user") ||
                json_text_is(r->doc, role, "function");
    int calls = r->n_calls;
    if (!model && !user)
        return ask_refuse(r->k, 400, "Please use a valid role: user, model.");
    if (!check_names(r, content, content_names, "'contents[]'"))
        return false;
    r->n_results = 0;
    r->n_calls = 0;
    r->is_last_turn = model && in_last_turn(r, content);
    json_open_object(&r->h->out, NULL);
    json_put_string(&r->h->out, "role", model ? SPAN("assistant") : SPAN("user"));
    bool ok = read_parts(r, content, "content");
    json_close_object(&r->h->out);
    if (ok && r->n_calls > 0 && (!model || r->message == 0))
        return ask_refuse(r->k, 400,
                          "Please ensure that function call turn comes immediately after a "
                          "user turn or after a function response turn.");
    return ok && check_counts(r, calls);
}

static bool read_contents(struct reading *r)
{
    json_ref contents = get_kind(r, 0, "contents", JSON_ARRAY);
    if (contents == JSON_NONE || json_first(r->doc, contents) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "* GenerateContentRequest.contents: contents is not specified\n");
    bool ok = true;
    json_open_array(&r->h->out, "messages");
    for (json_ref c = json_first(r->doc, contents); ok && c != JSON_NONE;
         c = json_next(r->doc, c)) {
        ok = read_content(r, c);
        r->message++;
    }
    json_close_array(&r->h->out);
    r->n_results = 0;
    return ok && check_counts(r, r->n_calls);
}

/* Tools */

static bool read_function(struct reading *r, json_ref function)
{
    json_ref name = get_kind(r, function, "name", JSON_STRING);
    json_ref plain = get_kind(r, function, "parameters", JSON_OBJECT);
    json_ref full = get_kind(r, function, "parametersJsonSchema", JSON_OBJECT);
    if (name == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "GenerateContentRequest.tools[0].function_declarations[0].name: "
                          "Invalid function name.");
    if (plain != JSON_NONE && full != JSON_NONE)
        return ask_refuse(r->k, 400,
                          "parameters and parameters_json_schema are mutually exclusive.");
    if (!check_names(r, function, function_names, "'tools[].function_declarations[]'") ||
        !check_schema(r, plain, 0))
        return false;
    json_ref schema = plain != JSON_NONE ? plain : full;
    heard_tool(r->h, name, schema);
    json_open_object(&r->h->out, NULL);
    heard_string(r->h, "name", name);
    heard_string(r->h, "description", get(r, function, "description"));
    heard_raw(r->h, "schema", schema);
    json_close_object(&r->h->out);
    return true;
}

static bool read_tools(struct reading *r)
{
    json_ref tools = get_kind(r, 0, "tools", JSON_ARRAY);
    if (tools == JSON_NONE)
        return true;
    bool ok = true;
    json_open_array(&r->h->out, "tools");
    for (json_ref t = json_first(r->doc, tools); ok && t != JSON_NONE; t = json_next(r->doc, t)) {
        json_ref list = get_kind(r, t, "functionDeclarations", JSON_ARRAY);
        if (list == JSON_NONE) {
            json_put_raw(&r->h->out, NULL, json_raw(r->doc, t)); /* a tool of the provider's own */
            continue;
        }
        for (json_ref f = json_first(r->doc, list); ok && f != JSON_NONE; f = json_next(r->doc, f))
            ok = read_function(r, f);
    }
    json_close_array(&r->h->out);
    return ok;
}

static bool read_choice(struct reading *r)
{
    static const struct {
        const char *mode;
        enum heard_choice choice;
        const char *heard;
    } rows[] = {{"AUTO", CALL_AUTO, "auto"},
                {"VALIDATED", CALL_AUTO, "auto"},
                {"NONE", CALL_NONE, "none"},
                {"ANY", CALL_ANY, "any"}};
    struct heard *h = r->h;
    json_ref config = get(r, get(r, 0, "toolConfig"), "functionCallingConfig");
    json_ref mode = get(r, config, "mode");
    json_ref allowed = get_kind(r, config, "allowedFunctionNames", JSON_ARRAY);
    if (config == JSON_NONE || mode == JSON_NONE)
        return true;
    size_t i = 0;
    while (i < 4 && !json_text_is(r->doc, mode, rows[i].mode))
        i++;
    if (i == 4)
        return ask_refuse(r->k, 400, "Invalid value at 'tool_config.function_calling_config.mode'");
    if (allowed != JSON_NONE && json_first(r->doc, allowed) != JSON_NONE && i != 3 && i != 1)
        return ask_refuse(r->k, 400,
                          "Allowed function names should be set only when the mode is ANY "
                          "or VALIDATED.");
    h->choice = rows[i].choice;
    json_ref only = allowed != JSON_NONE ? json_first(r->doc, allowed) : JSON_NONE;
    bool one = only != JSON_NONE && json_next(r->doc, only) == JSON_NONE && i == 3;
    if (one)
        h->choice = CALL_NAMED;
    json_put_string(&h->out, "choice", one ? SPAN("tool") : span_of(rows[i].heard));
    if (one)
        heard_string(h, "choice_name", h->choice_name = only);
    return check_names(r, config, calling_names, "'tool_config.function_calling_config'");
}

/* Settings */

static bool read_thinking(struct reading *r, json_ref config)
{
    static const char *const levels[] = {"minimal", "low", "medium", "high"};
    struct heard *h = r->h;
    json_ref thinking = get_kind(r, config, "thinkingConfig", JSON_OBJECT);
    json_ref budget = get(r, thinking, "thinkingBudget");
    json_ref level = get_kind(r, thinking, "thinkingLevel", JSON_STRING);
    bool shown = false;
    int64_t n = -1;
    if (thinking == JSON_NONE)
        return true;
    json_truth(r->doc, get(r, thinking, "includeThoughts"), &shown);
    if (budget != JSON_NONE && level != JSON_NONE)
        return ask_refuse(r->k, 400, "You can only set one of thinking budget and thinking level.");
    json_int64(r->doc, budget, &n);
    h->thinking = n != 0;
    h->thinking_hidden = !shown;
    heard_raw(h, "thinking_budget", budget);
    json_put_bool(&h->out, "thoughts", shown);
    if (level == JSON_NONE)
        return check_names(r, thinking, thinking_names, "'generation_config.thinking_config'");
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        struct span s = json_inner(r->doc, level);
        if (s.len == strlen(levels[i]) && strncasecmp(s.ptr, levels[i], s.len) == 0) {
            json_put_string(&h->out, "effort", span_of(levels[i]));
            return check_names(r, thinking, thinking_names, "'generation_config.thinking_config'");
        }
    }
    return ask_refuse(r->k, 400,
                      "Invalid value at 'generation_config.thinking_config.thinking_level'");
}

static bool read_format(struct reading *r, json_ref config)
{
    struct heard *h = r->h;
    json_ref type = get(r, config, "responseMimeType");
    json_ref plain = get_kind(r, config, "responseSchema", JSON_OBJECT);
    json_ref full = get_kind(r, config, "responseJsonSchema", JSON_OBJECT);
    bool json = type != JSON_NONE && json_text_is(r->doc, type, "application/json");
    h->schema = plain != JSON_NONE ? plain : full;
    if (h->schema != JSON_NONE && !json)
        return ask_refuse(r->k, 400,
                          "Unable to submit request because response schema requires "
                          "response_mime_type application/json.");
    heard_raw(h, "schema", h->schema);
    if (json && h->schema == JSON_NONE)
        json_put_bool(&h->out, "json", true);
    return check_schema(r, plain, 0);
}

static bool read_config(struct reading *r, json_ref config)
{
    static const char *const plain[][2] = {{"temperature", "temperature"},
                                           {"topP", "top_p"},
                                           {"topK", "top_k"},
                                           {"seed", "seed"},
                                           {"presencePenalty", "presence_penalty"},
                                           {"frequencyPenalty", "frequency_penalty"},
                                           {"responseLogprobs", "logprobs"},
                                           {"logprobs", "top_logprobs"},
                                           {"stopSequences", "stop"}};
    struct heard *h = r->h;
    json_ref max = get(r, config, "maxOutputTokens");
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        heard_raw(h, plain[i][1], get(r, config, plain[i][0]));
    if (max != JSON_NONE && (!json_int64(r->doc, max, &h->max_tokens) || h->max_tokens < 1))
        return ask_refuse(r->k, 400, "max_output_tokens must be positive.");
    heard_raw(h, "max_tokens", max);
    json_ref stops = get_kind(r, config, "stopSequences", JSON_ARRAY);
    int n = 0;
    for (json_ref s = stops == JSON_NONE ? JSON_NONE : json_first(r->doc, stops); s != JSON_NONE;
         s = json_next(r->doc, s), n++)
        heard_stop(h, s);
    if (n > 5)
        return ask_refuse(r->k, 400, "The number of stop sequences must be at most 5.");
    return read_thinking(r, config) && read_format(r, config) &&
           check_names(r, config, config_names, "'generation_config'");
}

static bool read_system(struct reading *r)
{
    json_ref system = get(r, 0, "systemInstruction");
    return system == JSON_NONE || read_parts(r, system, "system");
}

bool gemini_read(struct ask *k)
{
    struct reading r = {.k = k, .h = &k->heard, .doc = k->doc};
    if (!check_names(&r, 0, request_names, "") || !read_tools(&r) || !read_system(&r) ||
        !read_contents(&r))
        return false;
    json_open_object(&k->heard.out, "settings");
    heard_raw(&k->heard, "labels", get(&r, 0, "labels"));
    bool ok = read_choice(&r) && read_config(&r, get(&r, 0, "generationConfig"));
    json_close_object(&k->heard.out);
    return ok;
}
