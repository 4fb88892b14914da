/* Names and values of header fields. */
#include "schema/field.h"

static bool is_token_byte(char c)
{
    static const char marks[] = "-_!#$%&'*+.^`|~"; /* the frequent ones first */
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           memchr(marks, c, sizeof marks - 1) != NULL;
}

bool field_is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_byte(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static bool is_port(struct span s)
{
    int port = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || i == 5)
            return false;
        port = port * 10 + (s.ptr[i] - '0');
    }
    return port > 0 && port <= 65535;
}

bool field_is_authority(struct span s)
{
    static const char address[] = "0123456789abcdefABCDEF:.";
    bool bracket = s.len > 0 && s.ptr[0] == '[';
    size_t n = bracket ? 1 : 0;
    while (n < s.len && (bracket ? strchr(address, s.ptr[n]) != NULL : s.ptr[n] != ':'))
        n++;
    if (bracket && (n == 1 || n == s.len || s.ptr[n++] != ']'))
        return false;
    struct span port = {s.ptr + n, s.len - n};
    bool ends =
        port.len == 0 || (port.ptr[0] == ':' && is_port((struct span){port.ptr + 1, port.len - 1}));
    return n > 0 && ends && memchr(s.ptr, '@', s.len) == NULL;
}

bool field_is_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool field_is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '\t' && (s.ptr[i] < ' ' || s.ptr[i] > '~'))
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span field_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}
