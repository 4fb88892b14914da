/* Reading values of a parsed document: strings with their escapes resolved, keys,
 * numbers, and the cutting of members.  json.c has validated the text. */
#include "schema/json.h"

#include <assert.h>

/* Of a hexadecimal digit: those of letters end in 1 to 6, and have a bit that no other has. */
static uint32_t hex_value(char c)
{
    return ((uint32_t)c & 15) + 9 * ((uint32_t)c >> 6 & 1);
}

/* The code unit of the \u escape at p. */
static uint32_t unit_at(const char *p)
{
    return hex_value(p[2]) << 12 | hex_value(p[3]) << 8 | hex_value(p[4]) << 4 | hex_value(p[5]);
}

/* Takes a \u escape, or a pair of them, off s.  Its character, or 0xd800 when it is a
 * lone surrogate. */
static uint32_t take_character(struct span *s)
{
    uint32_t code = unit_at(s->ptr);
    bool pair =
        code >= 0xd800 && code <= 0xdbff && s->len >= 12 && s->ptr[6] == '\\' && s->ptr[7] == 'u';
    uint32_t low = pair ? unit_at(s->ptr + 6) : 0;
    pair = low >= 0xdc00 && low <= 0xdfff;
    if (pair)
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    else if (code >= 0xd800 && code <= 0xdfff)
        code = 0xd800;
    s->ptr += pair ? 12 : 6;
    s->len -= pair ? 12 : 6;
    return code;
}

static size_t encode(uint32_t code, char out[4])
{
    static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(lead[n] | code);
    return n;
}

/* Takes the escape at s, and its other half, off s; what it stands for goes to out as
 * UTF-8.  Returns the number of bytes, 0 for a lone surrogate. */
static size_t unescape(struct span *s, char out[4])
{
    static const char to[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    if (s->ptr[1] == 'u') {
        uint32_t code = take_character(s);
        return code != 0xd800 ? encode(code, out) : 0;
    }
    out[0] = to[(unsigned char)s->ptr[1]];
    s->ptr += 2;
    s->len -= 2;
    return 1;
}

/* Up to the first backslash, off s. */
static struct span take_plain(struct span *s)
{
    const char *escape = memchr(s->ptr, '\\', s->len);
    struct span plain = {s->ptr, escape != NULL ? (size_t)(escape - s->ptr) : s->len};
    s->ptr += plain.len;
    s->len -= plain.len;
    return plain;
}

bool json_stretch(struct span *s, char store[4], struct span *ret)
{
    if (*s->ptr == '\\')
        *ret = (struct span){store, unescape(s, store)};
    else
        *ret = take_plain(s);
    return ret->len > 0;
}

/* Copies up to the first backslash, which often is near. */
static char *copy_plain(struct span *s, char *out)
{
    enum { NEAR = 4 };
    size_t n = 0;
    for (; n < NEAR && n < s->len && s->ptr[n] != '\\'; n++)
        out[n] = s->ptr[n];
    s->ptr += n;
    s->len -= n;
    if (n < NEAR || s->len == 0)
        return out + n;
    struct span rest = take_plain(s);
    memcpy(out + n, rest.ptr, rest.len);
    return out + n + rest.len;
}

bool json_resolve(struct span written, char *out, size_t *ret_len)
{
    char *at = out;
    while (written.len > 0) {
        if (*written.ptr != '\\') {
            at = copy_plain(&written, at);
            continue;
        }
        size_t n = unescape(&written, at);
        if (n == 0)
            return false;
        at += n;
    }
    *ret_len = (size_t)(at - out);
    return true;
}

static bool is_string(const struct json_doc *d, json_ref r)
{
    return r != JSON_NONE && d->nodes[r].kind == JSON_STRING;
}

static struct span key_of(const struct json_doc *d, json_ref member)
{
    const struct json_node *n = &d->nodes[member];
    assert(n->key_begin > 0);
    return (struct span){d->text.ptr + n->key_begin + 1, n->key_len};
}

/* Whether written, with its escapes resolved, begins with want (or is it). */
static bool matches_resolved(struct span written, struct span want, bool prefix)
{
    char store[4];
    struct span part;
    while (written.len > 0 && want.len > 0) {
        if (!json_stretch(&written, store, &part))
            return false;
        size_t n = part.len < want.len ? part.len : want.len;
        if (memcmp(part.ptr, want.ptr, n) != 0 || (n < part.len && !prefix))
            return false;
        want.ptr += n;
        want.len -= n;
    }
    return want.len == 0 && (prefix || written.len == 0);
}

static bool matches(struct span written, bool escaped, struct span want, bool prefix)
{
    if (escaped)
        return matches_resolved(written, want, prefix);
    bool long_enough = prefix ? written.len >= want.len : written.len == want.len;
    return long_enough && memcmp(written.ptr, want.ptr, want.len) == 0;
}

static bool key_matches(const struct json_doc *d, json_ref member, struct span want, bool prefix)
{
    const struct json_node *n = &d->nodes[member];
    /* An escape is at most six bytes, for one that it stands for. */
    if (n->key_len < want.len || (!prefix && n->key_len > (n->key_escaped ? 6 : 1) * want.len))
        return false;
    return matches(key_of(d, member), n->key_escaped, want, prefix);
}

/* Most keys that are asked for are not the one that is there: its first byte tells. */
static bool begins_otherwise(const struct json_doc *d, json_ref member, const char *name)
{
    const struct json_node *n = &d->nodes[member];
    return !n->key_escaped && (n->key_len == 0 || d->text.ptr[n->key_begin + 1] != name[0]);
}

bool json_key_is(const struct json_doc *d, json_ref member, const char *name)
{
    if (name[0] != '\0' && begins_otherwise(d, member, name))
        return false;
    return key_matches(d, member, span_of(name), false);
}

bool json_key_is_any(const struct json_doc *d, json_ref member, const char *const *names)
{
    while (*names != NULL && !json_key_is(d, member, *names))
        names++;
    return *names != NULL;
}

bool json_key_has_prefix(const struct json_doc *d, json_ref member, const char *prefix)
{
    if (prefix[0] != '\0' && begins_otherwise(d, member, prefix))
        return false;
    return key_matches(d, member, span_of(prefix), true);
}

json_ref json_get(const struct json_doc *d, json_ref object, const char *name)
{
    if (object == JSON_NONE || json_kind(d, object) != JSON_OBJECT)
        return JSON_NONE;
    struct span want = span_of(name);
    json_ref m = json_first(d, object);
    while (m != JSON_NONE && !key_matches(d, m, want, false))
        m = json_next(d, m);
    return m;
}

int json_count_key(const struct json_doc *d, json_ref object, const char *name)
{
    if (object == JSON_NONE || json_kind(d, object) != JSON_OBJECT)
        return 0;
    int n = 0;
    struct span want = span_of(name);
    for (json_ref m = json_first(d, object); m != JSON_NONE; m = json_next(d, m))
        n += key_matches(d, m, want, false);
    return n;
}

static bool add_unescaped(struct span written, bool escaped, struct buf *out)
{
    if (!escaped)
        return buf_add_span(out, written);
    size_t before = out->len;
    char store[4];
    struct span part;
    while (written.len > 0) {
        if (!json_stretch(&written, store, &part) || !buf_add_span(out, part)) {
            out->len = before;
            if (out->cap > 0)
                out->ptr[before] = '\0';
            return false;
        }
    }
    return true;
}

bool json_key_text(const struct json_doc *d, json_ref member, struct buf *out)
{
    return add_unescaped(key_of(d, member), d->nodes[member].key_escaped, out);
}

bool json_text(const struct json_doc *d, json_ref string, struct buf *out)
{
    return is_string(d, string) &&
           add_unescaped(json_inner(d, string), d->nodes[string].escaped, out);
}

bool json_text_fixed(const struct json_doc *d, json_ref string, char *out, size_t cap)
{
    assert(cap > 0);
    if (!is_string(d, string))
        return false;
    struct span written = json_inner(d, string);
    struct span check = written;
    char store[4];
    struct span part;
    size_t len = 0;
    while (check.len > 0) {
        if (!json_stretch(&check, store, &part) || part.len >= cap - len)
            return false;
        if (part.ptr == store && store[0] == '\0')
            return false;
        len += part.len;
    }
    for (len = 0; written.len > 0; len += part.len) {
        bool ok = json_stretch(&written, store, &part);
        assert(ok);
        memcpy(out + len, part.ptr, part.len);
    }
    out[len] = '\0';
    return true;
}

bool json_text_is(const struct json_doc *d, json_ref r, const char *s)
{
    return is_string(d, r) && matches(json_inner(d, r), d->nodes[r].escaped, span_of(s), false);
}

bool json_int64(const struct json_doc *d, json_ref r, int64_t *ret)
{
    if (r == JSON_NONE || d->nodes[r].kind != JSON_NUMBER)
        return false;
    struct span s = json_raw(d, r);
    bool negative = s.ptr[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;
    for (size_t i = negative; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (negative && value > 0)
        *ret = -(int64_t)(value - 1) - 1;
    else
        *ret = (int64_t)value;
    return true;
}

bool json_truth(const struct json_doc *d, json_ref r, bool *ret)
{
    if (r == JSON_NONE || (json_kind(d, r) != JSON_TRUE && json_kind(d, r) != JSON_FALSE))
        return false;
    *ret = json_kind(d, r) == JSON_TRUE;
    return true;
}

const char *json_kind_name(enum json_kind k)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",        [JSON_FALSE] = "false",     [JSON_TRUE] = "true",
        [JSON_NUMBER] = "a number",  [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",
        [JSON_OBJECT] = "an object",
    };
    assert(k <= JSON_OBJECT);
    return names[k];
}

/* A run of cut members goes from its first key to the key after it.  At the end of
 * the object there is none: then from the end of the member before it, so that the
 * comma between goes too, to the end of its last value. */
size_t json_cut_members(const struct json_doc *d, json_ref object, const json_ref *members,
                        size_t n, struct json_cut *ret)
{
    assert(json_kind(d, object) == JSON_OBJECT);
    size_t cuts = 0;
    size_t found = 0;
    json_ref kept = JSON_NONE;
    bool in_run = false;
    uint32_t end = 0;
    for (json_ref m = json_first(d, object); m != JSON_NONE; m = json_next(d, m)) {
        bool cut = found < n && members[found] == m;
        if (cut && !in_run)
            ret[cuts].begin = d->nodes[m].key_begin;
        if (!cut && in_run)
            ret[cuts++].end = d->nodes[m].key_begin;
        if (!cut)
            kept = m;
        found += cut;
        in_run = cut;
        end = d->nodes[m].end;
    }
    assert(found == n);
    if (in_run) {
        if (kept != JSON_NONE)
            ret[cuts].begin = d->nodes[kept].end;
        ret[cuts++].end = end;
    }
    return cuts;
}
