#define _GNU_SOURCE
/* The field Via, as far as it names servers of our kind: what other proxies say is theirs. */
#include "server/loop.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define MEMBER "1.1 wayfare-"

void loop_draw_name(char out[LOOP_NAME_MAX])
{
    uint64_t drawn = 0;
    while (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn) {
    }
    snprintf(out, LOOP_NAME_MAX, "wayfare-%016" PRIx64, drawn);
}

/* The next member of the list that is a server of our kind, without spaces around it; empty at the
 * end. */
static struct span next_server(struct span *rest)
{
    while (rest->len > 0) {
        const char *comma = memchr(rest->ptr, ',', rest->len);
        size_t n = comma != NULL ? (size_t)(comma - rest->ptr) : rest->len;
        struct span m = {rest->ptr, n};
        size_t used = comma != NULL ? n + 1 : n;
        *rest = (struct span){rest->ptr + used, rest->len - used};
        while (m.len > 0 && (m.ptr[0] == ' ' || m.ptr[0] == '\t')) {
            m = (struct span){m.ptr + 1, m.len - 1};
        }
        while (m.len > 0 && (m.ptr[m.len - 1] == ' ' || m.ptr[m.len - 1] == '\t')) {
            m.len--;
        }
        if (m.len > strlen(MEMBER) && memcmp(m.ptr, MEMBER, strlen(MEMBER)) == 0) {
            return m;
        }
    }
    return (struct span){"", 0};
}

bool loop_is_closed(struct span via, const char *name)
{
    size_t used = 0, before = strlen("1.1 ");
    for (struct span m = next_server(&via); m.len > 0; m = next_server(&via)) {
        struct span is = {m.ptr + before, m.len - before};
        used += m.len + strlen(", ");
        if (is.len == strlen(name) && memcmp(is.ptr, name, is.len) == 0) {
            return true;
        }
    }
    return used + before + strlen(name) >= LOOP_VIA_MAX;
}

const char *loop_via(struct span via, const char *name, char out[LOOP_VIA_MAX])
{
    int used = 0;
    for (struct span m = next_server(&via); m.len > 0; m = next_server(&via)) {
        used += snprintf(out + used, LOOP_VIA_MAX - (size_t)used, "%.*s, ", (int)m.len, m.ptr);
        if (used >= LOOP_VIA_MAX) {
            used = 0; /* loop_is_closed refuses such a request */
        }
    }
    snprintf(out + used, LOOP_VIA_MAX - (size_t)used, "1.1 %s", name);
    return out;
}
