/* Reading of behaviour scripts: two tables, one parser for every source. */
#include "sim/script.h"

#include <assert.h>
#include <strings.h>

struct number_row {
    const char *name;
    int64_t initial;
    bool fault;
    const char *help;
};

static const struct number_row number_rows[SCRIPT_NUMBER_COUNT] = {
#define N(name, initial, fault, help) {#name, initial, fault, help},
    SCRIPT_NUMBERS(N)
#undef N
};

struct string_row {
    const char *name;
    bool fault;
    const char *help;
};

static const struct string_row string_rows[SCRIPT_STRING_COUNT] = {
#define S(name, fault, help) {#name, fault, help},
    SCRIPT_STRINGS(S)
#undef S
};

void script_arena_init(struct buf *arena)
{
    buf_init(arena, SCRIPT_TEXT_MAX);
    /* Reserved once and whole: spans into it must survive later appends. */
    bool ok = buf_reserve(arena, SCRIPT_TEXT_MAX - 1);
    assert(ok);
}

void script_init(struct script *s, struct buf *arena)
{
    for (int i = 0; i < SCRIPT_NUMBER_COUNT; i++)
        s->n[i] = number_rows[i].initial;
    memset(s->s, 0, sizeof(s->s));
    s->n_headers = 0;
    s->arena = arena;
    buf_reset(arena);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Copies into the arena, %XX resolved; ptr NULL when the arena is full. */
static struct span keep(struct script *s, struct span text)
{
    const struct span none = {NULL, 0};
    if (s->arena->len + text.len >= SCRIPT_TEXT_MAX)
        return none;
    size_t begin = s->arena->len;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len) {
            int hi = hex_digit(text.ptr[i + 1]);
            int lo = hex_digit(text.ptr[i + 2]);
            if (hi >= 0 && lo >= 0) {
                c = (char)(hi * 16 + lo);
                i += 2;
            }
        }
        if (!buf_addc(s->arena, c))
            return none;
    }
    return (struct span){s->arena->ptr + begin, s->arena->len - begin};
}

static bool read_number(struct span text, int64_t *ret)
{
    if (span_is(text, "true")) {
        *ret = 1;
        return true;
    }
    if (span_is(text, "false")) {
        *ret = 0;
        return true;
    }
    int64_t n = 0;
    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (text.ptr[i] - '0');
    }
    if (n > SCRIPT_NUMBER_MAX)
        return false;
    *ret = n;
    return true;
}

static bool set_number(struct script *s, int key, struct span value)
{
    if (key == SCRIPT_chunk) {
        static const struct {
            const char *word;
            int64_t n;
        } words[] = {
            {"whole", CHUNK_WHOLE}, {"random", CHUNK_RANDOM}, {"recorded", CHUNK_RECORDED}};
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (span_is(value, words[i].word)) {
                s->n[key] = words[i].n;
                return true;
            }
        }
    }
    return read_number(value, &s->n[key]);
}

static bool add_header(struct script *s, struct span name, struct span value)
{
    if (s->n_headers == SCRIPT_HEADERS_MAX || name.len == 0)
        return false;
    struct span kept_name = keep(s, name);
    struct span kept_value = keep(s, value);
    if (kept_name.ptr == NULL || kept_value.ptr == NULL)
        return false;
    s->headers[s->n_headers].name = kept_name;
    s->headers[s->n_headers].value = kept_value;
    s->n_headers++;
    return true;
}

bool script_set(struct script *s, struct span key, struct span value)
{
    static const struct span prefix = {"header.", 7};
    if (key.len > prefix.len && memcmp(key.ptr, prefix.ptr, prefix.len) == 0)
        return add_header(s, (struct span){key.ptr + prefix.len, key.len - prefix.len}, value);
    for (int i = 0; i < SCRIPT_NUMBER_COUNT; i++) {
        if (span_is(key, number_rows[i].name))
            return set_number(s, i, value);
    }
    for (int i = 0; i < SCRIPT_STRING_COUNT; i++) {
        if (span_is(key, string_rows[i].name)) {
            struct span kept = keep(s, value);
            if (kept.ptr == NULL)
                return false;
            s->s[i] = kept;
            return true;
        }
    }
    return false;
}

static bool apply_pair(struct script *s, struct span pair)
{
    const char *equals = memchr(pair.ptr, '=', pair.len);
    if (equals == NULL)
        return script_set(s, pair, SPAN("1"));
    size_t key_len = (size_t)(equals - pair.ptr);
    return script_set(s, (struct span){pair.ptr, key_len},
                      (struct span){equals + 1, pair.len - key_len - 1});
}

bool script_apply(struct script *s, struct span text, const char *separators, struct span *ret_bad)
{
    size_t begin = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && strchr(separators, text.ptr[i]) == NULL)
            continue;
        struct span pair = {text.ptr + begin, i - begin};
        while (pair.len > 0 && pair.ptr[0] == ' ') {
            pair.ptr++;
            pair.len--;
        }
        begin = i + 1;
        if (pair.len > 0 && !apply_pair(s, pair)) {
            *ret_bad = pair;
            return false;
        }
    }
    return true;
}

void script_heal(struct script *s)
{
    for (int i = 0; i < SCRIPT_NUMBER_COUNT; i++) {
        if (number_rows[i].fault)
            s->n[i] = number_rows[i].initial;
    }
    for (int i = 0; i < SCRIPT_STRING_COUNT; i++) {
        if (string_rows[i].fault)
            s->s[i] = (struct span){NULL, 0};
    }
}

bool script_has_header(const struct script *s, const char *name)
{
    for (int i = 0; i < s->n_headers; i++) {
        struct span have = s->headers[i].name;
        if (have.len == strlen(name) && strncasecmp(have.ptr, name, have.len) == 0)
            return true;
    }
    return false;
}

bool script_has_fault(const struct script *s)
{
    for (int i = 0; i < SCRIPT_NUMBER_COUNT; i++) {
        if (number_rows[i].fault && s->n[i] != number_rows[i].initial)
            return true;
    }
    for (int i = 0; i < SCRIPT_STRING_COUNT; i++) {
        if (string_rows[i].fault && s->s[i].ptr != NULL)
            return true;
    }
    return false;
}

void script_write_keys(struct buf *out)
{
    for (int i = 0; i < SCRIPT_NUMBER_COUNT; i++)
        buf_addf(out, "  %-22s %c %s\n", number_rows[i].name, number_rows[i].fault ? '!' : ' ',
                 number_rows[i].help);
    for (int i = 0; i < SCRIPT_STRING_COUNT; i++)
        buf_addf(out, "  %-22s %c %s\n", string_rows[i].name, string_rows[i].fault ? '!' : ' ',
                 string_rows[i].help);
    buf_addf(out, "  %-22s   %s\n", "header.NAME", "a response header");
}

void script_write_pair(struct buf *out, struct span key, struct span value)
{
    if (out->len > 0)
        buf_addc(out, '&');
    buf_add_span(out, key);
    buf_addc(out, '=');
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c == '%' || c == '&' || c < 0x20)
            buf_addf(out, "%%%02X", c);
        else
            buf_addc(out, (char)c);
    }
}
