/* A chunk at a glance (openai.h).  A stream is thousands of chunks with a word of text each; while
 * bytes go through untouched, only what is billed and how it ends must be known of them. */
#include "providers/openai.h"
#include "schema/json_scan.h"

static bool is_object(struct span value)
{
    return value.len > 0 && value.ptr[0] == '{';
}

static bool is_null(struct span value)
{
    return value.len == 0 || span_is(value, "null");
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Content as a list of parts: {"type": "text", "text": ...}, and Mistral's
 * {"type": "thinking", "thinking": [parts]}; reasoning_details in the same way. */
static int64_t parts_bytes(struct span parts, int depth)
{
    int64_t n = 0;
    struct json_scan list = json_scan_open(parts);
    struct span key, part;
    while (json_scan_next(&list, &key, &part)) {
        n += json_scan_text_bytes(json_scan_get(part, "text"));
        n += json_scan_text_bytes(json_scan_get(part, "summary"));
        struct span inner = json_scan_get(part, "thinking");
        if (depth > 0 && inner.len > 0 && inner.ptr[0] == '[')
            n += parts_bytes(inner, depth - 1);
    }
    return n;
}

static int64_t text_or_parts(struct span value)
{
    if (value.len > 0 && value.ptr[0] == '[')
        return parts_bytes(value, 1);
    return json_scan_text_bytes(value);
}

/* Arguments as text, or as an object by servers that forget to quote it. */
static int64_t arguments_bytes(struct span function)
{
    struct span arguments = json_scan_get(function, "arguments");
    return is_object(arguments) ? (int64_t)arguments.len : json_scan_text_bytes(arguments);
}

static int64_t calls_bytes(struct span calls)
{
    int64_t n = 0;
    struct json_scan list = json_scan_open(calls);
    struct span key, call;
    while (json_scan_next(&list, &key, &call))
        n += arguments_bytes(json_scan_get(call, "function"));
    return n;
}

/* Thinking is often there twice, as text and in details: the longer one counts. */
static int64_t delta_bytes(struct span delta)
{
    int64_t n = 0, thinking = 0;
    struct json_scan members = json_scan_open(delta);
    struct span key, value;
    while (json_scan_next(&members, &key, &value)) {
        if (span_is(key, "content") || span_is(key, "refusal"))
            n += text_or_parts(value);
        else if (span_is(key, "tool_calls") && value.ptr[0] == '[')
            n += calls_bytes(value);
        else if (span_is(key, "function_call") && is_object(value))
            n += arguments_bytes(value);
        else if (span_is(key, "reasoning_content") || span_is(key, "reasoning") ||
                 span_is(key, "reasoning_details"))
            thinking = larger(thinking, text_or_parts(value));
    }
    return n + thinking;
}

static void glance_at_reason(struct openai_glance *g, struct span reason)
{
    if (reason.len < 2 || reason.ptr[0] != '"')
        return;
    g->finished = true;
    g->failed |= openai_is_failure((struct span){reason.ptr + 1, reason.len - 2});
}

/* Perplexity sends the whole text so far as `message` beside the delta. */
static bool glance_at_choice(struct openai_glance *g, struct span choice)
{
    struct json_scan members = json_scan_open(choice);
    struct span key, value, delta = {"", 0}, message = {"", 0};
    while (json_scan_next(&members, &key, &value)) {
        if (span_is(key, "delta") && is_object(value))
            delta = value;
        else if (span_is(key, "message") && is_object(value))
            message = value;
        else if (span_is(key, "finish_reason"))
            glance_at_reason(g, value);
        else if (span_is(key, "error"))
            g->failed |= !is_null(value);
    }
    struct span said = delta.len > 0 ? delta : message;
    if (said.len > 0)
        g->text_bytes += delta_bytes(said);
    if (!g->has_choice)
        g->delta = said;
    g->has_choice = true;
    return !members.bad;
}

static bool glance_at_choices(struct openai_glance *g, struct span choices)
{
    struct json_scan list = json_scan_open(choices);
    struct span key, choice;
    bool good = true;
    while (json_scan_next(&list, &key, &choice))
        good &= is_object(choice) && glance_at_choice(g, choice);
    return good && !list.bad;
}

static bool glance_at_member(struct openai_glance *g, struct span key, struct span value)
{
    if (span_is(key, "choices") && value.ptr[0] == '[') {
        g->chunk = true;
        return glance_at_choices(g, value);
    }
    if (span_is(key, "usage") && is_object(value)) {
        g->chunk = true;
        g->usage = value;
    } else if (span_is(key, "error") && !is_null(value)) {
        g->chunk = g->failed = true;
    } else if (span_is(key, "x_groq") && is_object(value)) {
        struct span usage = json_scan_get(value, "usage");
        if (is_object(usage))
            g->groq = usage;
    }
    return true;
}

struct openai_glance openai_glance(struct span data)
{
    struct openai_glance g = {.object = false};
    struct json_scan members = json_scan_open(data);
    struct span key, value;
    bool good = members.object;
    while (good && json_scan_next(&members, &key, &value))
        good = glance_at_member(&g, key, value);
    g.object = good && json_scan_ended(&members);
    return g;
}
