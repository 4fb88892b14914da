#define _GNU_SOURCE
/* Reads a Converse request with the checks of the real provider. */
#include "sim/bedrock.h"

#include <stdlib.h>

#include "sim/base64.h"

enum { ID_MAX = 64, STOPS_MAX = 4 };

struct reading {
    struct ask *k;
    struct heard *h;
    const struct json_doc *doc;
    int message, block; /* where: messages.N.content.N */
    bool has_tool_blocks;
    bool has_text, has_document; /* in this message */
    bool unthought;              /* the last assistant turn calls tools without a thought before */
};

static bool refuse_block(struct reading *r, const char *what)
{
    return ask_refuse(r->k, 400, "The content at messages.%d.content.%d is invalid: %s", r->message,
                      r->block, what);
}

/* Names: a member that the service does not know is ignored by its JSON parser, and refused by a
 * strict simulator, since what is sent in vain is a mistake of the sender. */
static bool check_names(struct reading *r)
{
    static const char *const names[] = {"messages",
                                        "system",
                                        "inferenceConfig",
                                        "toolConfig",
                                        "guardrailConfig",
                                        "additionalModelRequestFields",
                                        "additionalModelResponseFieldPaths",
                                        "promptVariables",
                                        "requestMetadata",
                                        "performanceConfig",
                                        "serviceTier",
                                        "outputConfig"};
    if (r->k->script.n[SCRIPT_strict] == 0)
        return true;
    for (json_ref m = json_first(r->doc, 0); m != JSON_NONE; m = json_next(r->doc, m)) {
        size_t i = 0;
        while (i < sizeof(names) / sizeof(names[0]) && !json_key_is(r->doc, m, names[i]))
            i++;
        if (i < sizeof(names) / sizeof(names[0]))
            continue;
        const struct json_node *node = json_at(r->doc, m);
        return ask_refuse(r->k, 400, "extraneous key [%.*s] is not permitted", (int)node->key_len,
                          r->doc->text.ptr + node->key_begin + 1);
    }
    return true;
}

static bool is_id(const struct json_doc *doc, json_ref string)
{
    struct span s = json_inner(doc, string);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-')
            return false;
    }
    return s.len > 0 && s.len <= ID_MAX;
}

/* Blocks */

static bool read_text(struct reading *r, json_ref text)
{
    r->has_text = true;
    if (json_kind(r->doc, text) != JSON_STRING || json_inner(r->doc, text).len == 0)
        return ask_refuse(r->k, 400,
                          "The text field in the ContentBlock object at messages.%d.content.%d is "
                          "blank. Add text to the text field, and try again.",
                          r->message, r->block);
    heard_string(r->h, "text", text);
    return true;
}

static bool read_source(struct reading *r, json_ref media, const char *const *formats)
{
    json_ref format = heard_get(r->h, media, "format", JSON_STRING);
    json_ref source = heard_get(r->h, media, "source", JSON_OBJECT);
    json_ref bytes = heard_get(r->h, source, "bytes", JSON_STRING);
    json_ref text = heard_get(r->h, source, "text", JSON_STRING);
    bool known = format != JSON_NONE;
    if (format != JSON_NONE) {
        while (*formats != NULL && !json_text_is(r->doc, format, *formats))
            formats++;
        known = *formats != NULL;
    }
    if (!known)
        return refuse_block(r, "format is not one of the enum values");
    if (bytes != JSON_NONE && !base64_is(json_inner(r->doc, bytes)))
        return refuse_block(r, "source.bytes is no base64");
    heard_string(r->h, "media", format);
    heard_string(r->h, "data", bytes != JSON_NONE ? bytes : text);
    heard_raw(r->h, "location", json_get(r->doc, source, "s3Location"));
    return bytes != JSON_NONE || text != JSON_NONE ||
           json_get(r->doc, source, "s3Location") != JSON_NONE ||
           refuse_block(r, "source must have exactly one member");
}

static bool read_image(struct reading *r, json_ref image)
{
    static const char *const formats[] = {"png", "jpeg", "gif", "webp", NULL};
    return read_source(r, image, formats);
}

static bool read_document(struct reading *r, json_ref document)
{
    static const char *const formats[] = {"pdf",  "csv",  "doc", "docx", "xls",
                                          "xlsx", "html", "txt", "md",   NULL};
    json_ref name = heard_get(r->h, document, "name", JSON_STRING);
    r->has_document = true;
    if (name == JSON_NONE)
        return refuse_block(r, "document.name is required");
    struct span s = json_inner(r->doc, name);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && strchr(" -()[]", c) == NULL)
            return refuse_block(r,
                                "The document file name can only contain alphanumeric characters, "
                                "whitespace characters, hyphens, parentheses, and square "
                                "brackets.");
    }
    heard_string(r->h, "title", name);
    return read_source(r, document, formats);
}

static bool read_call(struct reading *r, json_ref call)
{
    json_ref id = heard_get(r->h, call, "toolUseId", JSON_STRING);
    json_ref name = heard_get(r->h, call, "name", JSON_STRING);
    json_ref input = heard_get(r->h, call, "input", JSON_OBJECT);
    r->has_tool_blocks = true;
    if (id == JSON_NONE || !is_id(r->doc, id))
        return refuse_block(r, "toolUse.toolUseId does not match [a-zA-Z0-9_-]+");
    if (name == JSON_NONE || !is_id(r->doc, name))
        return refuse_block(r, "toolUse.name does not match [a-zA-Z0-9_-]+");
    if (input == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "The format of the value at messages.%d.content.%d.toolUse.input "
                          "is invalid. Provide a json object for the field and try again.",
                          r->message, r->block);
    heard_string(r->h, "id", id);
    heard_string(r->h, "name", name);
    heard_raw(r->h, "arguments", input);
    heard_call(r->h, id);
    return true;
}

static bool read_blocks(struct reading *r, json_ref content, const char *key);

static bool read_json(struct reading *r, json_ref json)
{
    heard_raw(r->h, "json", json);
    return true;
}

static bool read_result(struct reading *r, json_ref result)
{
    json_ref id = heard_get(r->h, result, "toolUseId", JSON_STRING);
    json_ref content = heard_get(r->h, result, "content", JSON_ARRAY);
    int block = r->block;
    r->has_tool_blocks = true;
    if (id == JSON_NONE || !is_id(r->doc, id))
        return refuse_block(r, "toolResult.toolUseId does not match [a-zA-Z0-9_-]+");
    if (content == JSON_NONE)
        return refuse_block(r, "toolResult.content is required");
    if (!heard_result(r->h, id))
        return ask_refuse(
            r->k, 400,
            "The number of toolResult blocks at messages.%d.content exceeds the number "
            "of toolUse blocks of previous turn.",
            r->message);
    heard_string(r->h, "id", id);
    if (heard_is(r->h, result, "status", "error"))
        json_put_bool(&r->h->out, "error", true);
    bool ok = read_blocks(r, content, "content");
    r->block = block;
    return ok;
}

static bool read_reasoning(struct reading *r, json_ref reasoning)
{
    json_ref text = heard_get(r->h, reasoning, "reasoningText", JSON_OBJECT);
    json_ref signature = heard_get(r->h, text, "signature", JSON_STRING);
    heard_raw(r->h, "redacted", json_get(r->doc, reasoning, "redactedContent"));
    if (text == JSON_NONE)
        return true;
    if (signature != JSON_NONE && !base64_is(json_inner(r->doc, signature)))
        return ask_refuse(r->k, 400,
                          "The model returned the following errors: messages.%d.content.%d: "
                          "Invalid `signature` in `thinking` block",
                          r->message, r->block);
    heard_string(r->h, "text", json_get(r->doc, text, "text"));
    heard_string(r->h, "signature", signature);
    return true;
}

static bool read_other(struct reading *r, json_ref value)
{
    (void)r;
    (void)value;
    return true;
}

static const struct {
    const char *name, *heard;
    bool (*read)(struct reading *r, json_ref value);
} block_rows[] = {
    {"text", "text", read_text},
    {"image", "image", read_image},
    {"document", "document", read_document},
    {"toolUse", "call", read_call},
    {"toolResult", "result", read_result},
    {"reasoningContent", "thinking", read_reasoning},
    {"json", "json", read_json},
    {"guardContent", "guard", read_other},
    {"cachePoint", "cache", read_other},
    {"citationsContent", "cited", read_other},
    {"video", "video", read_other},
};

static bool read_block(struct reading *r, json_ref block)
{
    json_ref only = heard_kind(r->h, block, JSON_OBJECT) ? json_first(r->doc, block) : JSON_NONE;
    if (only == JSON_NONE || json_next(r->doc, only) != JSON_NONE)
        return refuse_block(r, "a union has exactly one member");
    for (size_t i = 0; i < sizeof(block_rows) / sizeof(block_rows[0]); i++) {
        if (!json_key_is(r->doc, only, block_rows[i].name))
            continue;
        heard_open(r->h, block_rows[i].heard);
        if (json_key_is(r->doc, only, "cachePoint"))
            json_put_string(&r->h->out, "ttl",
                            heard_is(r->h, only, "ttl", "1h") ? SPAN("1h") : SPAN("5m"));
        bool ok = block_rows[i].read(r, only);
        heard_close(r->h);
        return ok;
    }
    return refuse_block(r, "no member of the union is known");
}

static bool read_blocks(struct reading *r, json_ref content, const char *key)
{
    bool ok = true;
    json_open_array(&r->h->out, key);
    r->block = 0;
    for (json_ref b = json_first(r->doc, content); ok && b != JSON_NONE; b = json_next(r->doc, b)) {
        ok = read_block(r, b);
        r->block++;
    }
    json_close_array(&r->h->out);
    return ok;
}

/* Messages */

static bool check_answered(struct reading *r)
{
    if (r->h->n_calls == 0)
        return true;
    struct span id = json_inner(r->doc, r->h->calls[0]);
    return ask_refuse(
        r->k, 400, "Expected toolResult blocks at messages.%d.content for the following Ids: %.*s",
        r->message, (int)id.len, id.ptr);
}

static bool read_message(struct reading *r, json_ref m)
{
    bool user = heard_is(r->h, m, "role", "user");
    json_ref content = heard_get(r->h, m, "content", JSON_ARRAY);
    if (!user && !heard_is(r->h, m, "role", "assistant"))
        return ask_refuse(r->k, 400,
                          "Value at 'messages.%d.member.role' failed to satisfy constraint: "
                          "Member must satisfy enum value set: [user, assistant]",
                          r->message);
    if (user != (r->message % 2 == 0))
        return ask_refuse(r->k, 400,
                          r->message == 0
                              ? "A conversation must start with a user message. Try again "
                                "with a conversation that starts with a user message."
                              : "A conversation must alternate between user and assistant "
                                "roles. Make sure the conversation alternates between user "
                                "and assistant roles and try again.");
    if (content == JSON_NONE || json_first(r->doc, content) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "The content field in the Message object at messages.%d is empty. "
                          "Add a ContentBlock object to the content field and try again.",
                          r->message);
    r->has_text = r->has_document = false;
    json_open_object(&r->h->out, NULL);
    json_put_string(&r->h->out, "role", user ? SPAN("user") : SPAN("assistant"));
    bool ok = read_blocks(r, content, "content");
    json_close_object(&r->h->out);
    json_ref first = json_first(r->doc, content);
    if (!user)
        r->unthought =
            r->h->n_calls > 0 && json_get(r->doc, first, "reasoningContent") == JSON_NONE;
    else if (json_get(r->doc, first, "toolResult") == JSON_NONE)
        r->unthought = false;
    if (ok && user && !check_answered(r))
        return false;
    if (ok && user && r->has_document && !r->has_text)
        return ask_refuse(r->k, 400,
                          "A text block is required along with the document block at "
                          "messages.%d.content.",
                          r->message);
    return ok;
}

static bool read_messages(struct reading *r)
{
    json_ref messages = heard_get(r->h, 0, "messages", JSON_ARRAY);
    if (messages == JSON_NONE || json_first(r->doc, messages) == JSON_NONE)
        return ask_refuse(r->k, 400, "The messages field is empty");
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
    json_ref spec = heard_get(r->h, tool, "toolSpec", JSON_OBJECT);
    json_ref name = heard_get(r->h, spec, "name", JSON_STRING);
    json_ref schema =
        heard_get(r->h, heard_get(r->h, spec, "inputSchema", JSON_OBJECT), "json", JSON_OBJECT);
    json_open_object(&r->h->out, NULL);
    if (json_get(r->doc, tool, "cachePoint") != JSON_NONE) {
        json_put_string(&r->h->out, "type", SPAN("cache"));
        json_close_object(&r->h->out);
        return true;
    }
    json_ref about = json_get(r->doc, spec, "description");
    heard_string(r->h, "name", name);
    heard_string(r->h, "description", about);
    heard_raw(r->h, "schema", schema);
    heard_raw(r->h, "strict", json_get(r->doc, spec, "strict"));
    json_close_object(&r->h->out);
    if (name == JSON_NONE || !is_id(r->doc, name))
        return ask_refuse(r->k, 400,
                          "Value at 'toolConfig.tools.0.member.toolSpec.name' failed to "
                          "satisfy constraint: [a-zA-Z0-9_-]+");
    if (heard_kind(r->h, about, JSON_STRING) && json_inner(r->doc, about).len == 0)
        return ask_refuse(r->k, 400,
                          "Value at 'toolConfig.tools.0.member.toolSpec.description' failed "
                          "to satisfy constraint: Member must have length greater than or "
                          "equal to 1");
    if (schema == JSON_NONE || !heard_is(r->h, schema, "type", "object"))
        return ask_refuse(r->k, 400,
                          "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type "
                          "must be one of the following: object.");
    heard_tool(r->h, name, schema);
    return true;
}

static bool read_tools(struct reading *r)
{
    json_ref config = heard_get(r->h, 0, "toolConfig", JSON_OBJECT);
    json_ref tools = heard_get(r->h, config, "tools", JSON_ARRAY);
    if (config == JSON_NONE)
        return true;
    if (tools == JSON_NONE || json_first(r->doc, tools) == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "Value at 'toolConfig.tools' failed to satisfy constraint: Member "
                          "must have length greater than or equal to 1");
    bool ok = true;
    json_open_array(&r->h->out, "tools");
    for (json_ref t = json_first(r->doc, tools); ok && t != JSON_NONE; t = json_next(r->doc, t))
        ok = read_tool(r, t);
    json_close_array(&r->h->out);
    return ok;
}

static bool read_choice(struct reading *r)
{
    struct heard *h = r->h;
    json_ref config = heard_get(h, 0, "toolConfig", JSON_OBJECT);
    json_ref choice = heard_get(h, config, "toolChoice", JSON_OBJECT);
    if (choice == JSON_NONE)
        return true;
    json_ref named = heard_get(h, choice, "tool", JSON_OBJECT);
    if (named != JSON_NONE)
        h->choice = CALL_NAMED;
    else if (json_get(r->doc, choice, "any") != JSON_NONE)
        h->choice = CALL_ANY;
    else if (json_get(r->doc, choice, "auto") == JSON_NONE)
        return ask_refuse(r->k, 400,
                          "toolConfig.toolChoice must have exactly one of auto, any, tool");
    h->choice_name = heard_get(h, named, "name", JSON_STRING);
    json_put_string(&h->out, "choice",
                    h->choice == CALL_NAMED ? SPAN("tool")
                    : h->choice == CALL_ANY ? SPAN("any")
                                            : SPAN("auto"));
    heard_string(h, "choice_name", h->choice_name);
    return true;
}

/* Settings */

static bool read_inference(struct reading *r)
{
    struct heard *h = r->h;
    json_ref config = heard_get(h, 0, "inferenceConfig", JSON_OBJECT);
    json_ref max = json_get(r->doc, config, "maxTokens");
    json_ref stops = heard_get(h, config, "stopSequences", JSON_ARRAY);
    int n = 0;
    if (max != JSON_NONE && (!json_int64(r->doc, max, &h->max_tokens) || h->max_tokens < 1))
        return ask_refuse(r->k, 400,
                          "Value at 'inferenceConfig.maxTokens' failed to satisfy "
                          "constraint: Member must have value greater than or equal to 1");
    heard_raw(h, "max_tokens", max);
    json_ref t = json_get(r->doc, config, "temperature");
    if (heard_kind(h, t, JSON_NUMBER) && strtod(json_raw(r->doc, t).ptr, NULL) > 1)
        return ask_refuse(r->k, 400,
                          "Value at 'inferenceConfig.temperature' failed to satisfy "
                          "constraint: Member must have value less than or equal to 1");
    heard_raw(h, "temperature", t);
    heard_raw(h, "top_p", json_get(r->doc, config, "topP"));
    heard_raw(h, "stop", stops);
    for (json_ref s = stops == JSON_NONE ? JSON_NONE : json_first(r->doc, stops); s != JSON_NONE;
         s = json_next(r->doc, s), n++)
        heard_stop(h, s);
    return true;
}

static bool is_claude(const struct reading *r)
{
    return memmem(r->k->model.ptr, r->k->model.len, "anthropic.", 10) != NULL;
}

/* What goes to the model behind Converse as it is: Claude's thinking and more. */
static bool read_additional(struct reading *r)
{
    struct heard *h = r->h;
    json_ref fields = heard_get(h, 0, "additionalModelRequestFields", JSON_OBJECT);
    json_ref thinking = heard_get(h, fields, "thinking", JSON_OBJECT);
    if (thinking == JSON_NONE)
        thinking = heard_get(h, fields, "reasoning_config", JSON_OBJECT);
    heard_raw(h, "top_k", json_get(r->doc, fields, "top_k"));
    heard_string(h, "effort", json_get(r->doc, fields, "reasoning_effort"));
    heard_string(h, "effort",
                 json_get(r->doc, heard_get(h, fields, "output_config", JSON_OBJECT), "effort"));
    h->thinking =
        heard_is(h, thinking, "type", "enabled") || heard_is(h, thinking, "type", "adaptive");
    heard_string(h, "thinking", json_get(r->doc, thinking, "type"));
    heard_raw(h, "thinking_budget", json_get(r->doc, thinking, "budget_tokens"));
    bool claude = heard_is(h, thinking, "type", "enabled") && is_claude(r);
    if (claude && r->unthought)
        return ask_refuse(r->k, 400,
                          "The model returned the following errors: "
                          "messages.1.content.0.type: Expected `thinking` or "
                          "`redacted_thinking`, but found `tool_use`.");
    json_ref t = json_get(r->doc, heard_get(h, 0, "inferenceConfig", JSON_OBJECT), "temperature");
    if (claude && heard_kind(h, t, JSON_NUMBER) && strtod(json_raw(r->doc, t).ptr, NULL) < 1)
        return ask_refuse(r->k, 400,
                          "The model returned the following errors: `temperature` may only "
                          "be set to 1 when thinking is enabled.");
    if (h->thinking && (h->choice == CALL_ANY || h->choice == CALL_NAMED))
        return ask_refuse(r->k, 400,
                          "The model returned the following errors: Thinking may not be "
                          "enabled when tool_choice forces tool use.");
    return true;
}

/* The schema is JSON in a string. */
static bool read_format(struct reading *r)
{
    struct heard *h = r->h;
    json_ref format =
        heard_get(h, heard_get(h, 0, "outputConfig", JSON_OBJECT), "textFormat", JSON_OBJECT);
    json_ref structure = heard_get(h, format, "structure", JSON_OBJECT);
    json_ref wrapped = heard_get(h, structure, "jsonSchema", JSON_OBJECT);
    json_ref schema = heard_get(h, wrapped, "schema", JSON_STRING);
    struct buf *text = &r->k->sim->scratch;
    if (format == JSON_NONE)
        return true;
    buf_reset(text);
    if (!heard_is(h, format, "type", "json_schema") || schema == JSON_NONE ||
        !json_text(r->doc, schema, text))
        return ask_refuse(r->k, 400,
                          "outputConfig.textFormat.structure.jsonSchema.schema is required");
    json_put_raw(&h->out, "schema", buf_span(text));
    heard_string(h, "schema_name", json_get(r->doc, wrapped, "name"));
    return true;
}

static bool read_system(struct reading *r)
{
    json_ref system = heard_get(r->h, 0, "system", JSON_ARRAY);
    return system == JSON_NONE || read_blocks(r, system, "system");
}

bool converse_read(struct ask *k)
{
    struct reading r = {.k = k, .h = &k->heard, .doc = k->doc};
    if (!check_names(&r) || !read_tools(&r) || !read_system(&r) || !read_messages(&r))
        return false;
    json_open_object(&k->heard.out, "settings");
    bool ok = read_choice(&r) && read_inference(&r) && read_additional(&r) && read_format(&r);
    heard_raw(&k->heard, "metadata", json_get(k->doc, 0, "requestMetadata"));
    json_close_object(&k->heard.out);
    if (ok && r.has_tool_blocks && json_get(k->doc, 0, "toolConfig") == JSON_NONE)
        return ask_refuse(k, 400,
                          "The toolConfig field must be defined when using toolUse and "
                          "toolResult content blocks.");
    return ok;
}

/* The prompt as the cache sees it */

static void walk_list(struct cache_walk *w, json_ref list)
{
    if (list == JSON_NONE || json_kind(w->doc, list) != JSON_ARRAY)
        return;
    for (json_ref b = json_first(w->doc, list); b != JSON_NONE; b = json_next(w->doc, b)) {
        json_ref point = json_get(w->doc, b, "cachePoint");
        if (point == JSON_NONE)
            cache_block(w, b, NULL);
        else
            cache_mark(w, json_text_is(w->doc, json_get(w->doc, point, "ttl"), "1h"));
    }
}

void converse_walk(struct cache_walk *w)
{
    walk_list(w, json_get(w->doc, json_get(w->doc, 0, "toolConfig"), "tools"));
    cache_text(w, SPAN("|system|"));
    walk_list(w, json_get(w->doc, 0, "system"));
    json_ref messages = json_get(w->doc, 0, "messages");
    for (json_ref m = json_first(w->doc, messages); m != JSON_NONE; m = json_next(w->doc, m)) {
        cache_text(w, json_raw(w->doc, json_get(w->doc, m, "role")));
        walk_list(w, json_get(w->doc, m, "content"));
    }
}
