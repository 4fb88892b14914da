/* The strict JSON reader of json.h: one pass without recursion over the received
 * bytes.  The cost is that of reading strings, so what is plain in these is skipped 16
 * bytes at a time, and from the first byte that is not they are judged in blocks of 64;
 * everything else is plain. */
#include "schema/json.h"

#include <assert.h>
#include <stdlib.h>

#include "schema/json_block.h"
#include "schema/utf8.h"

enum {
    NODES_FIRST = 64,
    NODES_KEPT = 32 * 1024 /* a doc that grew beyond this gives its memory back */
};

_Static_assert(JSON_DEPTH_MAX <= UINT8_MAX + 1, "json_node.depth holds depths below the maximum");

/* One parse.  The functions below take the place to read at and return the place
 * after what they read, or NULL with `what` and `at` set. */
struct reader {
    struct json_doc *doc;
    const uint8_t *base, *end;
    const char *what;  /* what is wrong, NULL = nothing */
    const uint8_t *at; /* where */
    bool no_memory;
    bool complete;
    uint32_t depth; /* open containers */
    uint32_t key_begin, key_len;
    uint8_t key_escaped;
    uint32_t open[JSON_DEPTH_MAX]; /* the open containers */
    uint32_t last[JSON_DEPTH_MAX]; /* the last child of each, or JSON_NONE */
};

static const uint8_t *wrong(struct reader *r, const uint8_t *at, const char *what)
{
    r->at = at;
    r->what = what;
    return NULL;
}

/* 0 at the end of the text: no JSON token begins with NUL. */
static inline uint8_t peek(const struct reader *r, const uint8_t *p)
{
    return p < r->end ? *p : 0;
}

static inline const uint8_t *skip_space(const struct reader *r, const uint8_t *p)
{
    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static uint32_t offset_of(const struct reader *r, const uint8_t *p)
{
    return (uint32_t)(p - r->base);
}

static const bool is_hex[256] = {
    ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
    ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true, ['a'] = true, ['b'] = true,
    ['c'] = true, ['d'] = true, ['e'] = true, ['f'] = true, ['A'] = true, ['B'] = true,
    ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true,
};

static bool is_hex4(const uint8_t *p, const uint8_t *end)
{
    return end - p >= 4 && is_hex[p[0]] && is_hex[p[1]] && is_hex[p[2]] && is_hex[p[3]];
}

static const uint8_t escape_len[256] = {
    ['"'] = 2, ['\\'] = 2, ['/'] = 2, ['b'] = 2, ['f'] = 2,
    ['n'] = 2, ['r'] = 2,  ['t'] = 2, ['u'] = 6,
};

/* p is at the backslash. */
static const uint8_t *read_escape(struct reader *r, const uint8_t *p)
{
    switch (peek(r, p + 1)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        if (is_hex4(p + 2, r->end))
            return p + 6;
        return wrong(r, p, "a \\u escape needs four hexadecimal digits");
    default:
        return wrong(r, p, "this escape does not exist");
    }
}

/* p is at a byte of 0x80 or above. */
static const uint8_t *read_non_ascii(struct reader *r, const uint8_t *p)
{
    do {
        bool valid;
        size_t n = utf8_step(p, r->end, &valid);
        if (!valid)
            return wrong(r, p, "invalid UTF-8");
        p += n;
    } while (peek(r, p) >= 0x80);
    return p;
}

/* ---- strings in blocks of 64 bytes ---- */

/* How far beyond its end a block is looked at: as far as an escape goes on behind its backslash. */
enum { ESCAPE_REST = 5 };

/* What a block ends in the middle of. */
struct unfinished {
    uint64_t letter; /* 1: the next block begins with the letter of an escape */
    uint64_t more;   /* the continuations that the next block begins with, a bit for each */
};

struct block {
    const uint8_t *p;
    struct json_block bytes;
    struct unfinished left;
    uint64_t bad; /* a bit for each byte that may not stand there */
};

/* escapes: the backslashes that begin one. */
static void judge_escapes(struct block *b, uint64_t escapes)
{
    for (; escapes != 0; escapes &= escapes - 1) {
        int i = __builtin_ctzll(escapes);
        const uint8_t *after = b->p + i + 1;
        int len = escape_len[*after];
        if (len == 0 || (len == 6 && !is_hex4(after + 1, after + ESCAPE_REST)))
            b->bad |= UINT64_C(1) << i;
    }
}

/* Marks leads that no character has, or not with the byte behind it: overlong forms, surrogates,
 * and what is above U+10FFFF. */
static inline struct json_block impossible(const struct block *b)
{
    struct json_block behind = json_block_load(b->p + 1);
    struct json_block at_8 = json_block_match(behind, 0xf0, 0x80);
    struct json_block at_9 = json_block_match(behind, 0xf0, 0x90);
    struct json_block from_a = json_block_match(behind, 0xe0, 0xa0);
    struct json_block e0 = json_block_match(b->bytes, 0xff, 0xe0);
    struct json_block ed = json_block_match(b->bytes, 0xff, 0xed);
    struct json_block f0 = json_block_match(b->bytes, 0xff, 0xf0);
    struct json_block f4 = json_block_match(b->bytes, 0xff, 0xf4);
    struct json_block bad = json_block_and(e0, json_block_or(at_8, at_9));
    bad = json_block_or(bad, json_block_and(ed, from_a));
    bad = json_block_or(bad, json_block_and(f0, at_8));
    bad = json_block_or(bad, json_block_and(f4, json_block_or(at_9, from_a)));
    bad = json_block_or(bad, json_block_match(b->bytes, 0xff, 0xf5));
    bad = json_block_or(bad, json_block_match(b->bytes, 0xfe, 0xf6));
    return json_block_or(bad, json_block_match(b->bytes, 0xf8, 0xf8));
}

/* Characters of three and four bytes.  Adds the continuations that their leads want, here and in
 * the next block. */
static void judge_long(struct block *b, uint64_t *want, uint64_t *next)
{
    struct json_block bad = impossible(b);
    uint64_t three = json_block_bits(json_block_match(b->bytes, 0xe0, 0xe0)); /* or four */
    uint64_t four = json_block_bits(json_block_match(b->bytes, 0xf0, 0xf0));
    if (json_block_any(bad))
        b->bad |= json_block_bits(bad);
    *want |= three << 2 | four << 3;
    *next |= three >> 62 | four >> 61;
}

/* high: the bytes of 0x80 and above.  There must be as many continuations as each lead wants, and
 * no others. */
static void judge_utf8(struct block *b, uint64_t high)
{
    uint64_t continuations = json_block_bits(json_block_match(b->bytes, 0xc0, 0x80));
    uint64_t leads = high & ~continuations;
    uint64_t want = leads << 1 | b->left.more, next = leads >> 63;
    struct json_block overlong = json_block_match(b->bytes, 0xfe, 0xc0);
    if (json_block_any(overlong))
        b->bad |= json_block_bits(overlong);
    if (json_block_any(json_block_match(b->bytes, 0xe0, 0xe0)))
        judge_long(b, &want, &next);
    b->bad |= want ^ continuations;
    b->left.more = next;
}

/* Returns the closing quotes that could be: not one behind a backslash. */
static uint64_t judge_block(struct block *b, uint64_t backslashes)
{
    uint64_t high = json_block_bits(b->bytes);
    uint64_t quotes = json_block_bits(json_block_equal(b->bytes, '"'));
    struct json_block control = json_block_match(b->bytes, 0xe0, 0x00);
    b->bad = json_block_any(control) ? json_block_bits(control) : 0;
    if ((backslashes | b->left.letter) != 0) {
        uint64_t escapes = json_block_escapes(backslashes & ~b->left.letter);
        quotes &= ~(escapes << 1 | b->left.letter);
        b->left.letter = escapes >> 63;
        judge_escapes(b, escapes);
    }
    if ((high | b->left.more) != 0)
        judge_utf8(b, high);
    return quotes;
}

/* Back to the beginning of what was left unfinished before p. */
static const uint8_t *step_back(const uint8_t *p, struct unfinished left)
{
    if (left.letter)
        return p - 1;
    if (left.more) {
        do
            p--;
        while ((*p & 0xc0) == 0x80);
    }
    return p;
}

/* Reads on from p.  Returns the place of the closing quote, or one from which the rest must be read
 * byte by byte: little is left, or something is wrong. */
static const uint8_t *read_blocks(const struct reader *r, const uint8_t *p, uint8_t *escaped)
{
    struct block b = {.p = p};
    for (; r->end - b.p >= JSON_BLOCK + ESCAPE_REST; b.p += JSON_BLOCK) {
        struct unfinished before = b.left;
        b.bytes = json_block_load(b.p);
        uint64_t backslashes = json_block_bits(json_block_equal(b.bytes, '\\'));
        uint64_t quotes = judge_block(&b, backslashes);
        uint64_t inside = quotes ^ (quotes - 1); /* with the quote: no character may want it */
        if ((b.bad & inside) != 0)
            return step_back(b.p, before);
        if ((backslashes & inside) != 0)
            *escaped = 1;
        if (quotes != 0)
            return b.p + __builtin_ctzll(quotes);
    }
    return step_back(b.p, b.left);
}

/* p is after the opening quote; returns the place of the closing one. */
static const uint8_t *read_string(struct reader *r, const uint8_t *p, uint8_t *ret_escaped)
{
    *ret_escaped = 0;
    p = json_skip_plain(p, r->end);
    if (p < r->end && *p != '"')
        p = read_blocks(r, p, ret_escaped);
    while (p != NULL) {
        p = json_skip_plain(p, r->end);
        if (p == r->end)
            return wrong(r, p, "the text ends inside a string");
        if (*p == '"')
            return p;
        if (*p == '\\') {
            *ret_escaped = 1;
            p = read_escape(r, p);
        } else if (*p >= 0x80) {
            p = read_non_ascii(r, p);
        } else {
            return wrong(r, p, "a control byte in a string must be escaped");
        }
    }
    return NULL;
}

static const uint8_t *read_digits(struct reader *r, const uint8_t *p)
{
    if (peek(r, p) < '0' || peek(r, p) > '9')
        return wrong(r, p, "expected a digit");
    while (peek(r, p) >= '0' && peek(r, p) <= '9')
        p++;
    return p;
}

static const uint8_t *read_number(struct reader *r, const uint8_t *p)
{
    if (*p == '-')
        p++;
    if (peek(r, p) == '0') {
        p++;
        if (peek(r, p) >= '0' && peek(r, p) <= '9')
            return wrong(r, p, "a number must not begin with 0");
    } else {
        p = read_digits(r, p);
    }
    if (p != NULL && peek(r, p) == '.')
        p = read_digits(r, p + 1);
    if (p != NULL && (peek(r, p) | 0x20) == 'e') {
        p++;
        if (peek(r, p) == '+' || peek(r, p) == '-')
            p++;
        p = read_digits(r, p);
    }
    return p;
}

static bool grow(struct reader *r)
{
    struct json_doc *d = r->doc;
    uint32_t cap = d->cap < NODES_FIRST ? NODES_FIRST : d->cap * 2;
    if (cap > d->max_values)
        cap = d->max_values;
    struct json_node *nodes = realloc(d->nodes, cap * sizeof(*nodes));
    if (nodes == NULL) {
        r->no_memory = true;
        return false;
    }
    d->nodes = nodes;
    d->cap = cap;
    return true;
}

/* Records the value that begins at p, with the key read before it; NULL when it is
 * one too many or too deep. */
static struct json_node *add_node(struct reader *r, const uint8_t *p, enum json_kind kind)
{
    struct json_doc *d = r->doc;
    if (r->depth >= d->max_depth) {
        wrong(r, p, "nested too deeply");
        return NULL;
    }
    if (d->count >= d->max_values) {
        wrong(r, p, "too many values");
        return NULL;
    }
    if (d->count >= d->cap && !grow(r)) {
        wrong(r, p, "out of memory");
        return NULL;
    }
    uint32_t ref = d->count++;
    struct json_node *n = &d->nodes[ref];
    *n = (struct json_node){
        .begin = offset_of(r, p),
        .next = JSON_NONE,
        .key_begin = r->key_begin,
        .key_len = r->key_len,
        .kind = (uint8_t)kind,
        .key_escaped = r->key_escaped,
        .depth = (uint8_t)r->depth,
    };
    if (r->depth > 0) {
        uint32_t *last = &r->last[r->depth - 1];
        if (*last != JSON_NONE)
            d->nodes[*last].next = ref;
        *last = ref;
    }
    return n;
}

/* Whether a key has an escape that is NUL or half a pair of surrogates. */
static bool is_suspect(struct span key)
{
    const char *p = key.ptr, *end = key.ptr + key.len;
    while (p < end) {
        bool unicode = *p == '\\' && p[1] == 'u';
        if (unicode && ((p[2] | 0x20) == 'd' || memcmp(p + 2, "0000", 4) == 0))
            return true;
        p += unicode ? 6 : *p == '\\' ? 2 : 1;
    }
    return false;
}

/* Keys that differ for one reader and are equal for another are refused. */
static const char *key_fault(struct span key)
{
    char store[4];
    struct span part;
    if (!is_suspect(key))
        return NULL;
    while (key.len > 0) {
        if (!json_stretch(&key, store, &part))
            return "a lone surrogate in a key";
        if (part.ptr == store && store[0] == '\0')
            return "\\u0000 in a key";
    }
    return NULL;
}

/* What follows is no member of an object. */
static void no_key(struct reader *r)
{
    r->key_begin = 0;
    r->key_len = 0;
    r->key_escaped = 0;
}

/* A key and its colon; returns the place of the value. */
static const uint8_t *read_key(struct reader *r, const uint8_t *p)
{
    if (peek(r, p) != '"')
        return wrong(r, p, "expected a key");
    const uint8_t *close = read_string(r, p + 1, &r->key_escaped);
    if (close == NULL)
        return NULL;
    struct span key = {(const char *)p + 1, (size_t)(close - p - 1)};
    if (key.len > JSON_KEY_MAX)
        return wrong(r, p, "a key is too long");
    const char *fault = r->key_escaped ? key_fault(key) : NULL;
    if (fault != NULL)
        return wrong(r, p, fault);
    r->key_begin = offset_of(r, p);
    r->key_len = (uint32_t)key.len;
    p = skip_space(r, close + 1);
    if (peek(r, p) != ':')
        return wrong(r, p, "expected a colon");
    return skip_space(r, p + 1);
}

static enum json_kind innermost(const struct reader *r)
{
    return json_kind(r->doc, r->open[r->depth - 1]);
}

static const uint8_t *close_container(struct reader *r, const uint8_t *p)
{
    r->depth--;
    r->doc->nodes[r->open[r->depth]].end = offset_of(r, p + 1);
    return p + 1;
}

/* From the end of a value to the beginning of the next, over closing brackets, a
 * comma and a key; sets `complete` at the end of the text. */
static const uint8_t *to_next(struct reader *r, const uint8_t *p)
{
    for (;;) {
        p = skip_space(r, p);
        if (r->depth == 0) {
            r->complete = p == r->end;
            return r->complete ? p : wrong(r, p, "more text after the value");
        }
        bool object = innermost(r) == JSON_OBJECT;
        uint8_t c = peek(r, p);
        if (c == ',') {
            p = skip_space(r, p + 1);
            if (object)
                return read_key(r, p);
            no_key(r);
            return p;
        }
        if (c != (object ? '}' : ']'))
            return wrong(r, p, object ? "expected , or }" : "expected , or ]");
        p = close_container(r, p);
    }
}

static const uint8_t *open_container(struct reader *r, const uint8_t *p, enum json_kind kind)
{
    if (add_node(r, p, kind) == NULL)
        return NULL;
    r->open[r->depth] = r->doc->count - 1;
    r->last[r->depth] = JSON_NONE;
    r->depth++;
    no_key(r);
    p = skip_space(r, p + 1);
    if (peek(r, p) == (kind == JSON_OBJECT ? '}' : ']'))
        return to_next(r, close_container(r, p));
    return kind == JSON_OBJECT ? read_key(r, p) : p;
}

static const uint8_t *string_value(struct reader *r, const uint8_t *p)
{
    struct json_node *n = add_node(r, p, JSON_STRING);
    if (n == NULL)
        return NULL;
    const uint8_t *close = read_string(r, p + 1, &n->escaped);
    if (close == NULL)
        return NULL;
    n->end = offset_of(r, close + 1);
    return to_next(r, close + 1);
}

static const uint8_t *number_value(struct reader *r, const uint8_t *p)
{
    struct json_node *n = add_node(r, p, JSON_NUMBER);
    const uint8_t *after = n != NULL ? read_number(r, p) : NULL;
    if (after == NULL)
        return NULL;
    n->end = offset_of(r, after);
    return to_next(r, after);
}

static const uint8_t *word_value(struct reader *r, const uint8_t *p, enum json_kind kind,
                                 struct span word)
{
    if ((size_t)(r->end - p) < word.len || memcmp(p, word.ptr, word.len) != 0)
        return wrong(r, p, "expected a value");
    struct json_node *n = add_node(r, p, kind);
    if (n == NULL)
        return NULL;
    n->end = offset_of(r, p + word.len);
    return to_next(r, p + word.len);
}

/* Reads the value at p and goes on to the next one. */
static const uint8_t *read_value(struct reader *r, const uint8_t *p)
{
    uint8_t c = peek(r, p);
    switch (c) {
    case '"':
        return string_value(r, p);
    case '{':
        return open_container(r, p, JSON_OBJECT);
    case '[':
        return open_container(r, p, JSON_ARRAY);
    case 'n':
        return word_value(r, p, JSON_NULL, SPAN("null"));
    case 'f':
        return word_value(r, p, JSON_FALSE, SPAN("false"));
    case 't':
        return word_value(r, p, JSON_TRUE, SPAN("true"));
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return number_value(r, p);
        return wrong(r, p, "expected a value");
    }
}

void json_init(struct json_doc *d)
{
    *d = (struct json_doc){.max_values = JSON_VALUES_MAX, .max_depth = JSON_DEPTH_MAX};
}

void json_done(struct json_doc *d)
{
    free(d->nodes);
    *d = (struct json_doc){.max_values = d->max_values, .max_depth = d->max_depth};
}

/* Empties d, and keeps its node array for the next parse unless one huge body made
 * it huge. */
static void empty(struct json_doc *d)
{
    if (d->cap > NODES_KEPT) {
        free(d->nodes);
        d->nodes = NULL;
        d->cap = 0;
    }
    d->count = 0;
    d->text = (struct span){NULL, 0};
}

static int report(const struct reader *r, struct fail *reterr)
{
    if (r->no_memory)
        return fail_set(reterr, ERR_internal, NULL, "out of memory while reading JSON");
    const char *what = r->at == r->end ? "the text ends too early" : r->what;
    size_t line = 1;
    for (const uint8_t *p = r->base; p < r->at; p++)
        line += *p == '\n';
    return fail_set(reterr, ERR_bad_request, NULL, "not valid JSON: %s at byte %zu (line %zu)",
                    what, (size_t)(r->at - r->base), line);
}

int json_parse(struct json_doc *d, struct span text, struct fail *reterr)
{
    assert(d->max_depth <= JSON_DEPTH_MAX);
    empty(d);
    if (text.len >= UINT32_MAX)
        return fail_set(reterr, ERR_bad_request, NULL, "the JSON text is over 4 GiB");
    struct reader r;
    r.doc = d;
    r.base = (const uint8_t *)(text.len > 0 ? text.ptr : "");
    r.end = r.base + text.len;
    r.what = NULL;
    r.at = NULL;
    r.no_memory = false;
    r.complete = false;
    r.depth = 0;
    no_key(&r);
    const uint8_t *p = skip_space(&r, r.base);
    while (p != NULL && !r.complete)
        p = read_value(&r, p);
    if (p == NULL) {
        empty(d);
        return report(&r, reterr);
    }
    d->text = text;
    return 0;
}

json_ref json_first(const struct json_doc *d, json_ref container)
{
    json_ref child = container + 1;
    bool inside = child < d->count && d->nodes[child].begin < d->nodes[container].end;
    return inside ? child : JSON_NONE;
}

struct span json_raw(const struct json_doc *d, json_ref r)
{
    const struct json_node *n = &d->nodes[r];
    return (struct span){d->text.ptr + n->begin, n->end - n->begin};
}

struct span json_inner(const struct json_doc *d, json_ref string)
{
    const struct json_node *n = &d->nodes[string];
    assert(n->kind == JSON_STRING);
    return (struct span){d->text.ptr + n->begin + 1, n->end - n->begin - 2};
}
