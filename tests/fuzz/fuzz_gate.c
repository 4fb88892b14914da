/* Fuzz target of the HTTP gate.  The first byte says the version and the method, the rest is header
 * lines, "name:value" up to LF, as a library that is lax about everything else would give them.
 * Oracles:
 *   - the verdict is that of a plain reading of RFC 9110 and 9112, written anew here;
 *   - it does not depend on the order of the lines;
 *   - a body is ignored where the method gives it no meaning;
 *   - a refusal is a 4xx with a text. */
#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#include "server/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 256 };

struct line {
    struct span name, value;
};

static struct line lines[LINES_MAX];
static int n_lines;

static void split(struct span s)
{
    n_lines = 0;
    while (s.len > 0 && n_lines < LINES_MAX) {
        const char *end = memchr(s.ptr, '\n', s.len);
        struct span whole = {s.ptr, end != NULL ? (size_t)(end - s.ptr) : s.len};
        const char *colon = whole.len > 0 ? memchr(whole.ptr, ':', whole.len) : NULL;
        size_t n = colon != NULL ? (size_t)(colon - whole.ptr) : whole.len;
        size_t skip = colon != NULL ? n + 1 : n;
        lines[n_lines++] = (struct line){{whole.ptr, n}, {whole.ptr + skip, whole.len - skip}};
        size_t used = whole.len + (end != NULL ? 1 : 0);
        s = (struct span){s.ptr + used, s.len - used};
    }
}

static bool is(struct span s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* ---- the plain reading ---- */

static bool token(struct span s)
{
    bool good = s.len > 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        good = good && c < 0x80 && c > 0x20 && c != 0x7f &&
               memchr("\"(),/:;<=>?@[\\]{}", c, 17) == NULL;
    }
    return good;
}

/* Such a name and more behind it, or with '_' for '-': a folded line, another server's alias. */
static bool disguised(struct span name)
{
    static const char *const guarded[] = {"transfer-encoding", "content-length", "host",
                                          "authorization", "x-api-key"};
    for (size_t k = 0; k < sizeof guarded / sizeof guarded[0]; k++) {
        size_t n = strlen(guarded[k]);
        size_t same = 0;
        while (same < n && same < name.len) {
            int c = tolower((unsigned char)name.ptr[same]);
            if (c != guarded[k][same] && !(c == '_' && guarded[k][same] == '-'))
                break;
            same++;
        }
        if (same == n && !is(name, guarded[k]))
            return true;
    }
    return false;
}

static bool text(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == 0x7f || (c < 0x20 && c != '\t'))
            return false;
    }
    return true;
}

static int count(const char *name)
{
    int n = 0;
    for (int i = 0; i < n_lines; i++)
        n += is(lines[i].name, name);
    return n;
}

static struct span only(const char *name)
{
    for (int i = 0; i < n_lines; i++) {
        if (is(lines[i].name, name))
            return lines[i].value;
    }
    return (struct span){"", 0};
}

static bool well_formed(void)
{
    size_t bytes = 0;
    for (int i = 0; i < n_lines; i++) {
        bytes += lines[i].name.len + lines[i].value.len + strlen(": \r\n");
        if (!token(lines[i].name) || disguised(lines[i].name) || !text(lines[i].value))
            return false;
    }
    return bytes <= GATE_HEADER_BYTES_MAX && n_lines <= GATE_HEADERS_MAX;
}

static bool may_pass(bool http_1_1)
{
    static const char *const single[] = {"content-length", "transfer-encoding", "host",
                                         "x-api-key",      "authorization",     "idempotency-key"};
    int length = count("content-length"), coded = count("transfer-encoding");
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        if (count(single[i]) > 1)
            return false;
    }
    for (int i = 0; i < n_lines; i++) {
        if (is(lines[i].name, "content-encoding") && !is(lines[i].value, "identity"))
            return false;
    }
    return well_formed() && !(length > 0 && coded > 0) && (!http_1_1 || count("host") == 1) &&
           (coded == 0 || (http_1_1 && is(only("transfer-encoding"), "chunked")));
}

/* ---- the gate ---- */

static enum err judge(bool http_1_1, const char *method, bool backwards, bool *ret_ignored,
                      struct fail *f)
{
    struct gate g;
    gate_init(&g, http_1_1, method);
    for (int i = 0; i < n_lines; i++) {
        const struct line *line = &lines[backwards ? n_lines - 1 - i : i];
        gate_header(&g, line->name, line->value);
    }
    *ret_ignored = gate_body_is_ignored(&g);
    return gate_verdict(&g, f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET",    "POST",  "HEAD", "PUT",
                                          "DELETE", "PATCH", "get",  ""};
    if (size == 0)
        return 0;
    /* Exactly its size, so that the sanitizer sees a read beyond the end. */
    char *copy = malloc(size);
    assert(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    split((struct span){copy, size - 1});
    bool http_1_1 = data[0] & 1;
    int m = data[0] >> 1 & 7;
    struct fail f = {.code = ERR_OK}, other = {.code = ERR_OK};
    bool ignored = false, takes_body = m == 1 || m == 3 || m == 5;
    enum err verdict = judge(http_1_1, methods[m], false, &ignored, &f);
    assert((verdict == ERR_OK) == may_pass(http_1_1));
    assert((judge(http_1_1, methods[m], true, &ignored, &other) == ERR_OK) == (verdict == ERR_OK));
    bool body = count("transfer-encoding") > 0 ||
                (count("content-length") > 0 && !span_is(only("content-length"), "0"));
    assert(verdict != ERR_OK || ignored == (body && !takes_body));
    if (verdict != ERR_OK) {
        assert(f.code == verdict && f.text[0] != '\0');
        assert(err_info(verdict)->status >= 400 && err_info(verdict)->status < 500);
    }
    free(copy);
    return 0;
}
