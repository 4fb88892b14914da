/* The walk of json_scan.h. */
#include "schema/json_scan.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blanks(struct span s, size_t at)
{
    while (at < s.len && is_blank(s.ptr[at]))
        at++;
    return at;
}

/* A quote is escaped when an odd number of backslashes stands before it. */
static bool is_escaped(struct span s, size_t first, size_t quote)
{
    size_t at = quote;
    while (at > first && s.ptr[at - 1] == '\\')
        at--;
    return (quote - at) % 2 == 1;
}

/* at: the opening quote.  The offset after the closing one; 0: there is none. */
static size_t string_end(struct span s, size_t at)
{
    const size_t first = ++at;
    while (at < s.len) {
        const char *quote = memchr(s.ptr + at, '"', s.len - at);
        if (quote == NULL)
            break;
        at = (size_t)(quote - s.ptr);
        if (!is_escaped(s, first, at))
            return at + 1;
        at++;
    }
    return 0;
}

/* The offset after the value that begins at `at`; 0: the text ends before it does. */
static size_t value_end(struct span s, size_t at)
{
    int64_t depth = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        if (c == '"') {
            at = string_end(s, at);
            if (at == 0 || depth == 0)
                return at;
            continue;
        }
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ',' || is_blank(c)))
            return at;
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if (closes && --depth == 0)
            return at;
    }
    return 0;
}

struct json_scan json_scan_open(struct span value)
{
    size_t at = skip_blanks(value, 0);
    char first = at < value.len ? value.ptr[at] : '\0';
    return (struct json_scan){value, at + 1, first == '{', first != '{' && first != '['};
}

static bool go_bad(struct json_scan *s)
{
    s->bad = true;
    return false;
}

static bool take_key(struct json_scan *s, struct span *ret_key)
{
    size_t end = s->text.ptr[s->at] == '"' ? string_end(s->text, s->at) : 0;
    if (end == 0)
        return go_bad(s);
    *ret_key = (struct span){s->text.ptr + s->at + 1, end - s->at - 2};
    s->at = skip_blanks(s->text, end);
    if (s->at == s->text.len || s->text.ptr[s->at] != ':')
        return go_bad(s);
    s->at = skip_blanks(s->text, s->at + 1);
    return s->at < s->text.len || go_bad(s);
}

bool json_scan_next(struct json_scan *s, struct span *ret_key, struct span *ret_value)
{
    *ret_key = (struct span){"", 0};
    if (s->bad)
        return false;
    s->at = skip_blanks(s->text, s->at);
    if (s->at < s->text.len && s->text.ptr[s->at] == ',')
        s->at = skip_blanks(s->text, s->at + 1);
    if (s->at >= s->text.len)
        return go_bad(s);
    if (s->text.ptr[s->at] == (s->object ? '}' : ']')) {
        s->at++;
        return false;
    }
    if (s->object && !take_key(s, ret_key))
        return false;
    size_t end = value_end(s->text, s->at);
    if (end <= s->at)
        return go_bad(s);
    *ret_value = (struct span){s->text.ptr + s->at, end - s->at};
    s->at = end;
    return true;
}

bool json_scan_ended(const struct json_scan *s)
{
    return !s->bad && skip_blanks(s->text, s->at) == s->text.len;
}

struct span json_scan_get(struct span object, const char *name)
{
    struct json_scan s = json_scan_open(object);
    struct span key, value;
    while (s.object && json_scan_next(&s, &key, &value)) {
        if (span_is(key, name))
            return value;
    }
    return (struct span){"", 0};
}

/* One escape sequence at the beginning of s: how long it is, and how many bytes of UTF-8 it stands
 * for (a surrogate is half of four). */
static size_t escape_len(struct span s, int64_t *ret_bytes)
{
    *ret_bytes = 1;
    if (s.len < 6 || s.ptr[1] != 'u')
        return s.len < 2 ? s.len : 2;
    bool low = s.ptr[2] == '0' && s.ptr[3] == '0';
    bool two = s.ptr[2] == '0' && s.ptr[3] > '0' && s.ptr[3] < '8';
    bool surrogate = (s.ptr[2] == 'd' || s.ptr[2] == 'D') && s.ptr[3] >= '8';
    *ret_bytes = low ? 1 + (s.ptr[4] >= '8') : two || surrogate ? 2 : 3;
    return 6;
}

int64_t json_scan_text_bytes(struct span string)
{
    int64_t n = 0;
    if (string.len < 2 || string.ptr[0] != '"')
        return 0;
    struct span s = {string.ptr + 1, string.len - 2};
    while (s.len > 0) {
        const char *backslash = memchr(s.ptr, '\\', s.len);
        size_t plain = backslash != NULL ? (size_t)(backslash - s.ptr) : s.len;
        n += (int64_t)plain;
        s = (struct span){s.ptr + plain, s.len - plain};
        if (s.len == 0)
            break;
        int64_t bytes;
        size_t used = escape_len(s, &bytes);
        n += bytes;
        s = (struct span){s.ptr + used, s.len - used};
    }
    return n;
}
