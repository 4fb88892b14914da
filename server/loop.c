#define _GNU_SOURCE
/* The members of Via that are servers of our kind, whatever protocol each of them received by. */
#include "server/loop.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "schema/field.h"

#define FAMILY "wayfare-"
enum { DIGITS = 16, NAME_LEN = sizeof FAMILY - 1 + DIGITS };

void loop_draw_name(char out[LOOP_NAME_MAX])
{
    uint64_t drawn = 0;
    while (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn) {
    }
    snprintf(out, LOOP_NAME_MAX, FAMILY "%016" PRIx64, drawn);
}

static bool is_name(struct span s)
{
    bool good = s.len == NAME_LEN && memcmp(s.ptr, FAMILY, sizeof FAMILY - 1) == 0;
    for (size_t i = sizeof FAMILY - 1; good && i < s.len; i++) {
        good = isxdigit((unsigned char)s.ptr[i]) != 0;
    }
    return good;
}

/* "1.1 name (comment)": the name. */
static struct span name_of(struct span member)
{
    struct span m = field_trim(member);
    size_t protocol = 0, end = 0;
    while (protocol < m.len && m.ptr[protocol] != ' ' && m.ptr[protocol] != '\t') {
        protocol++;
    }
    m = field_trim((struct span){m.ptr + protocol, m.len - protocol});
    while (end < m.len && strchr(" \t(", m.ptr[end]) == NULL) {
        end++;
    }
    return (struct span){m.ptr, end};
}

static void add(struct loop_trail *t, struct span name)
{
    size_t used = strlen(t->via), room = sizeof t->via - used;
    int n =
        snprintf(t->via + used, room, "%s1.1 %.*s", used > 0 ? ", " : "", (int)name.len, name.ptr);
    if (n < 0 || (size_t)n >= room) {
        t->via[used] = '\0';
        t->closed = true;
    }
}

void loop_read(struct loop_trail *t, struct span line, const char *name)
{
    while (line.len > 0) {
        const char *comma = memchr(line.ptr, ',', line.len);
        size_t n = comma != NULL ? (size_t)(comma - line.ptr) : line.len;
        struct span is = name_of((struct span){line.ptr, n});
        size_t used = comma != NULL ? n + 1 : n;
        line = (struct span){line.ptr + used, line.len - used};
        if (is_name(is)) {
            t->closed |= span_is(is, name);
            add(t, is);
        }
    }
}

void loop_pass(struct loop_trail *t, const char *name)
{
    add(t, span_of(name));
}
