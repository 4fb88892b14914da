/* Numbers in a provider's usage: figure.h. */
#include "providers/figure.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int64_t figure_read(const struct json_doc *doc, json_ref value)
{
    if (value == JSON_NONE || json_kind(doc, value) == JSON_NULL)
        return FIGURE_ABSENT;
    if (json_kind(doc, value) != JSON_NUMBER)
        return FIGURE_UNCLEAR;
    struct span s = json_raw(doc, value);
    int64_t n = 0;
    size_t i = 0;
    while (i < s.len && is_digit(s.ptr[i]) && n <= FIGURE_MAX)
        n = n * 10 + (s.ptr[i++] - '0');
    if (i < s.len && s.ptr[i] == '.') {
        for (i++; i < s.len && s.ptr[i] == '0';)
            i++;
    }
    return i == s.len && n <= FIGURE_MAX ? n : FIGURE_UNCLEAR;
}
