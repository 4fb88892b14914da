#define _GNU_SOURCE
/* The digest, and what readers share. */
#include "sim/heard.h"

#include "sim/answer.h"

void heard_begin(struct heard *h, const struct json_doc *doc, struct buf *digest)
{
    *h = (struct heard){.doc = doc,
                        .out = {.buf = digest},
                        .max_tokens = -1,
                        .schema = JSON_NONE,
                        .choice_name = JSON_NONE};
}

/* FNV-1a over the text that the string means. */
static void put_long(struct heard *h, const char *key, struct span written)
{
    uint64_t fnv = 14695981039346656037u;
    int64_t length = 0;
    char store[4];
    struct span piece;
    while (written.len > 0 && json_stretch(&written, store, &piece)) {
        for (size_t i = 0; i < piece.len; i++)
            fnv = (fnv ^ (unsigned char)piece.ptr[i]) * 1099511628211u;
        length += (int64_t)piece.len;
    }
    char hex[17];
    for (int i = 0; i < 16; i++)
        hex[i] = "0123456789abcdef"[fnv >> (60 - 4 * i) & 15];
    json_open_object(&h->out, key);
    json_put_int(&h->out, "length", length);
    json_put_string(&h->out, "fnv", (struct span){hex, 16});
    json_close_object(&h->out);
}

static void put_written(struct heard *h, const char *key, struct span written)
{
    if (written.len > HEARD_STRING_MAX) {
        put_long(h, key, written);
        return;
    }
    json_put_raw(&h->out, key, SPAN("\""));
    buf_add_span(h->out.buf, written);
    buf_addc(h->out.buf, '"');
}

void heard_string(struct heard *h, const char *key, json_ref string)
{
    if (!h->out.buf->failed && heard_kind(h, string, JSON_STRING))
        put_written(h, key, json_inner(h->doc, string));
}

void heard_raw(struct heard *h, const char *key, json_ref value)
{
    if (value != JSON_NONE && !heard_kind(h, value, JSON_NULL))
        json_put_raw(&h->out, key, json_raw(h->doc, value));
}

void heard_open(struct heard *h, const char *type)
{
    json_open_object(&h->out, NULL);
    json_put_string(&h->out, "type", span_of(type));
}

void heard_close(struct heard *h)
{
    json_close_object(&h->out);
}

void heard_text(struct heard *h, json_ref text)
{
    heard_open(h, "text");
    heard_string(h, "text", text);
    heard_close(h);
}

void heard_url(struct heard *h, json_ref url)
{
    static const struct span opening = SPAN("data:"), base64 = SPAN(";base64,");
    struct span s = json_inner(h->doc, url);
    const char *comma = memmem(s.ptr, s.len, base64.ptr, base64.len);
    if (h->out.buf->failed)
        return;
    if (comma == NULL || s.len < opening.len || memcmp(s.ptr, opening.ptr, opening.len) != 0) {
        heard_string(h, "url", url);
        return;
    }
    size_t at = (size_t)(comma - s.ptr);
    put_written(h, "media", (struct span){s.ptr + opening.len, at - opening.len});
    at += base64.len;
    put_written(h, "data", (struct span){s.ptr + at, s.len - at});
}

void heard_call(struct heard *h, json_ref id)
{
    if (h->n_calls < HEARD_CALLS_MAX)
        h->calls[h->n_calls++] = id;
}

bool heard_result(struct heard *h, json_ref id)
{
    for (int i = 0; i < h->n_calls; i++) {
        if (span_eq(json_raw(h->doc, h->calls[i]), json_raw(h->doc, id))) {
            h->calls[i] = h->calls[--h->n_calls];
            return true;
        }
    }
    return false;
}

void heard_tool(struct heard *h, json_ref name, json_ref schema)
{
    if (h->n_tools == HEARD_TOOLS_MAX)
        return;
    h->tools[h->n_tools].name = name;
    h->tools[h->n_tools].schema = schema;
    h->n_tools++;
}

void heard_stop(struct heard *h, json_ref text)
{
    if (h->n_stops < HEARD_STOPS_MAX)
        h->stops[h->n_stops++] = text;
}

bool heard_is(const struct heard *h, json_ref object, const char *key, const char *value)
{
    json_ref t = object == JSON_NONE ? JSON_NONE : json_get(h->doc, object, key);
    return t != JSON_NONE && json_text_is(h->doc, t, value);
}

json_ref heard_get(const struct heard *h, json_ref object, const char *key, enum json_kind kind)
{
    json_ref r = json_get(h->doc, object, key);
    return heard_kind(h, r, kind) ? r : JSON_NONE;
}
