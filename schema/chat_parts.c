/* Counts the pieces that a prompt is made of. */
#define _GNU_SOURCE /* memmem */
#include "schema/chat_reader.h"

/* The nodes of a value follow it. */
static int64_t values_in(const struct json_doc *d, json_ref v)
{
    json_ref i = v;
    while (i < d->count && json_at(d, i)->begin < json_at(d, v)->end)
        i++;
    return i - v;
}

/* Every member of JSON in a string has a colon. */
static int64_t colons_in(struct span s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == ':';
    return n;
}

void chat_count_values(struct chat_reader *r, json_ref v)
{
    if (v != JSON_NONE)
        r->chat->parts.n_values += values_in(r->doc, v);
}

void chat_count_format(struct chat_reader *r, json_ref format)
{
    if (format == JSON_NONE)
        return;
    chat_count_raw(r, format);
    chat_count_values(r, format);
}

void chat_count_skills(struct chat_reader *r, json_ref skills)
{
    if (skills == JSON_NONE || json_kind(r->doc, skills) != JSON_ARRAY)
        return;
    for (json_ref s = json_first(r->doc, skills); s != JSON_NONE; s = json_next(r->doc, s))
        r->chat->parts.n_known_tools++;
}

void chat_count_call(struct chat_reader *r, json_ref arguments)
{
    struct chat_parts *p = &r->chat->parts;
    p->n_calls++;
    if (arguments == JSON_NONE)
        return;
    p->n_arguments += json_kind(r->doc, arguments) == JSON_STRING
                          ? colons_in(json_inner(r->doc, arguments))
                          : values_in(r->doc, arguments);
}

void chat_count_payload(struct chat_reader *r, size_t len)
{
    r->payload_bytes += (int64_t)len;
}

struct span chat_data_url(struct span url)
{
    static const char start[] = "data:", mark[] = ";base64,";
    const char *at = NULL;
    if (url.len >= sizeof(start) - 1 && memcmp(url.ptr, start, sizeof(start) - 1) == 0)
        at = memmem(url.ptr, url.len, mark, sizeof(mark) - 1);
    if (at == NULL)
        return (struct span){url.ptr, 0};
    at += sizeof(mark) - 1;
    return (struct span){at, (size_t)(url.ptr + url.len - at)};
}

/* What goes to no provider, in no protocol: none of it is payload or text with escapes. */
static int64_t cut_bytes(const struct chat *c)
{
    int64_t n = 0;
    for (int i = 0; i < c->n_cuts; i++)
        n += c->cuts[i].end - c->cuts[i].begin;
    return n;
}

void chat_end_parts(struct chat_reader *r)
{
    struct chat *c = r->chat;
    c->parts.text_bytes =
        (int64_t)c->body.len - cut_bytes(c) - r->payload_bytes - r->resolved_bytes;
}
