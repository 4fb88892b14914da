#define _GNU_SOURCE
/* Walks a schema; what it does not know becomes an empty object. */
#include "sim/sample.h"

#include <strings.h>

enum { SAMPLE_DEPTH_MAX = 8 };

static void sample_value(const struct json_doc *doc, json_ref schema, int depth, struct buf *out);

/* Gemini writes types in capitals. */
static bool type_is(const struct json_doc *doc, json_ref type, const char *word)
{
    struct span s = json_inner(doc, type);
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static void sample_members(const struct json_doc *doc, json_ref schema, int depth, struct buf *out)
{
    json_ref properties = schema == JSON_NONE ? JSON_NONE : json_get(doc, schema, "properties");
    buf_addc(out, '{');
    if (properties != JSON_NONE && json_kind(doc, properties) == JSON_OBJECT) {
        json_ref first = json_first(doc, properties);
        for (json_ref p = first; p != JSON_NONE; p = json_next(doc, p)) {
            const struct json_node *node = json_at(doc, p);
            buf_adds(out, p == first ? "\"" : ",\"");
            buf_add(out, doc->text.ptr + node->key_begin + 1, node->key_len);
            buf_adds(out, "\":");
            sample_value(doc, p, depth + 1, out);
        }
    }
    buf_addc(out, '}');
}

static void sample_value(const struct json_doc *doc, json_ref schema, int depth, struct buf *out)
{
    if (json_kind(doc, schema) != JSON_OBJECT) {
        buf_adds(out, "null");
        return;
    }
    json_ref words = json_get(doc, schema, "enum");
    json_ref type = json_get(doc, schema, "type");
    if (words != JSON_NONE && json_kind(doc, words) == JSON_ARRAY &&
        json_first(doc, words) != JSON_NONE)
        buf_add_span(out, json_raw(doc, json_first(doc, words)));
    else if (type == JSON_NONE || json_kind(doc, type) != JSON_STRING ||
             type_is(doc, type, "string"))
        buf_adds(out, "\"an example\"");
    else if (type_is(doc, type, "integer"))
        buf_adds(out, "42");
    else if (type_is(doc, type, "number"))
        buf_adds(out, "1.5");
    else if (type_is(doc, type, "boolean"))
        buf_adds(out, "true");
    else if (type_is(doc, type, "array"))
        buf_adds(out, "[]");
    else if (type_is(doc, type, "object") && depth < SAMPLE_DEPTH_MAX)
        sample_members(doc, schema, depth, out);
    else
        buf_adds(out, "{}");
}

void sample_object(const struct json_doc *doc, json_ref schema, struct buf *out)
{
    sample_members(doc, schema, 0, out);
}
