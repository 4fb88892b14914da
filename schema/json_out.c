/* The writer of json_out.h. */
#include "schema/json_out.h"

#include <inttypes.h>

#include "schema/json.h"

static void begin(struct json_out *o, const char *key)
{
    if (o->comma)
        buf_addc(o->buf, ',');
    o->comma = true;
    if (key != NULL) {
        buf_addc(o->buf, '"');
        buf_adds(o->buf, key);
        buf_adds(o->buf, "\":");
    }
}

static void open_with(struct json_out *o, const char *key, char bracket)
{
    begin(o, key);
    buf_addc(o->buf, bracket);
    o->comma = false;
}

static void close_with(struct json_out *o, char bracket)
{
    buf_addc(o->buf, bracket);
    o->comma = true;
}

void json_open_object(struct json_out *o, const char *key)
{
    open_with(o, key, '{');
}

void json_close_object(struct json_out *o)
{
    close_with(o, '}');
}

void json_open_array(struct json_out *o, const char *key)
{
    open_with(o, key, '[');
}

void json_close_array(struct json_out *o)
{
    close_with(o, ']');
}

void json_put_string(struct json_out *o, const char *key, struct span text)
{
    begin(o, key);
    json_write_string(o->buf, text);
}

void json_put_strings(struct json_out *o, const char *key, const struct span *pieces, size_t n)
{
    begin(o, key);
    buf_addc(o->buf, '"');
    for (size_t i = 0; i < n; i++) {
        size_t at = o->buf->len;
        json_write_string(o->buf, pieces[i]);
        if (o->buf->failed)
            return;
        /* Without its own quotes. */
        memmove(o->buf->ptr + at, o->buf->ptr + at + 1, o->buf->len - at - 2);
        o->buf->len -= 2;
        o->buf->ptr[o->buf->len] = '\0';
    }
    buf_addc(o->buf, '"');
}

void json_put_int(struct json_out *o, const char *key, int64_t n)
{
    begin(o, key);
    buf_addf(o->buf, "%" PRId64, n);
}

void json_put_bool(struct json_out *o, const char *key, bool truth)
{
    begin(o, key);
    buf_adds(o->buf, truth ? "true" : "false");
}

void json_put_null(struct json_out *o, const char *key)
{
    begin(o, key);
    buf_adds(o->buf, "null");
}

void json_put_raw(struct json_out *o, const char *key, struct span json)
{
    begin(o, key);
    buf_add_span(o->buf, json);
}
