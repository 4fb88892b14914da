/* A strict JSON reader over received bytes, and a writer.
 *
 * json_parse() validates the whole text in one pass (RFC 8259, UTF-8 of RFC 3629,
 * no NaN, no raw control bytes, no lone surrogates in \u escapes of keys, no
 * \u0000 in keys, bounded depth and count) and records every value as a node
 * that points back into the text.  Nothing is copied or converted: edits are
 * splices, and what is priced is what is forwarded.  Why not json-c here: it
 * accepts duplicate keys and NaN, and cuts keys at \u0000.
 *
 * Ownership: the doc borrows the text, owns the node array, which is kept for
 * the next parse.  One doc per loop thread or per request, never shared. */
#ifndef SCHEMA_JSON_H
#define SCHEMA_JSON_H

#include <stdint.h>

#include "schema/buf.h"
#include "schema/err.h"
#include "schema/span.h"

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

enum { JSON_DEPTH_MAX = 256, JSON_VALUES_MAX = 1000000, JSON_KEY_MAX = 1024 };

/* Depth is the number of containers around a value and at most JSON_DEPTH_MAX - 1: 256
 * brackets may be open when the innermost is empty.  JSON_KEY_MAX: bytes as written.
 * JSON_VALUES_MAX bounds how long reading holds up a loop (docs/api.md "Limits"); the densest
 * prompt of a million tokens has not a quarter as many. */

/* Index into doc->nodes.  0 is the root value. */
typedef uint32_t json_ref;
#define JSON_NONE UINT32_MAX

struct json_node {
    uint32_t begin;     /* offset of the first byte of the value in the text */
    uint32_t end;       /* offset after its last byte */
    uint32_t next;      /* following sibling, or JSON_NONE */
    uint32_t key_begin; /* for object members: offset of the key's opening quote; else 0 */
    uint32_t key_len;   /* length of the key between the quotes, as written */
    uint8_t kind;       /* enum json_kind */
    uint8_t escaped;    /* string value contains a backslash */
    uint8_t key_escaped;
    uint8_t depth;
};

struct json_doc {
    struct span text;
    struct json_node *nodes;
    uint32_t count;
    uint32_t cap;
    uint32_t max_values; /* json_init sets JSON_VALUES_MAX */
    uint32_t max_depth;  /* json_init sets JSON_DEPTH_MAX */
};

/* White space between JSON's tokens (RFC 8259 section 2). */
static inline bool json_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void json_init(struct json_doc *d);
void json_done(struct json_doc *d);

/* 0, or -1 with reterr (ERR_bad_request; the text names offset and line, both of bytes
 * and LF; ERR_internal when memory is short). Text over UINT32_MAX - 1 bytes is refused.
 * On failure the doc is empty.  Duplicate keys and lone surrogates in string values are
 * let through: json_count_key and json_text tell. */
int json_parse(struct json_doc *d, struct span text, struct fail *reterr);

static inline const struct json_node *json_at(const struct json_doc *d, json_ref r)
{
    return &d->nodes[r];
}
static inline enum json_kind json_kind(const struct json_doc *d, json_ref r)
{
    return (enum json_kind)d->nodes[r].kind;
}
/* First child of an array or object; JSON_NONE when empty or a scalar. */
json_ref json_first(const struct json_doc *d, json_ref container);
/* JSON_NONE is no object. */
static inline bool json_is_object(const struct json_doc *d, json_ref r)
{
    return r != JSON_NONE && json_kind(d, r) == JSON_OBJECT;
}
static inline json_ref json_next(const struct json_doc *d, json_ref r)
{
    return d->nodes[r].next;
}
/* The value's bytes as written (quotes and brackets included). */
struct span json_raw(const struct json_doc *d, json_ref r);
/* A string's bytes between the quotes, as written (escapes not resolved). */
struct span json_inner(const struct json_doc *d, json_ref string);

/* Takes the next stretch of a string as written off *written and gives it with its
 * escapes resolved: bytes where they stand, or one character in `store`.  Call while
 * written->len > 0.  false for a lone surrogate. */
bool json_stretch(struct span *written, char store[4], struct span *ret);
/* The whole of it into out, which has room for written.len: it never becomes longer.  false for a
 * lone surrogate. */
bool json_resolve(struct span written, char *out, size_t *ret_len);

/* Key comparison with escapes resolved. */
bool json_key_is(const struct json_doc *d, json_ref member, const char *name);
/* Against each of a NULL-terminated list. */
bool json_key_is_any(const struct json_doc *d, json_ref member, const char *const *names);
bool json_key_has_prefix(const struct json_doc *d, json_ref member, const char *prefix);
/* The first member of that name, or JSON_NONE (also when `object` is none). */
json_ref json_get(const struct json_doc *d, json_ref object, const char *name);
/* How many members of that name the object has: 2 or more is ambiguous. */
int json_count_key(const struct json_doc *d, json_ref object, const char *name);
/* Appends the unescaped key / string value as UTF-8.  false, and nothing appended, when
 * it does not fit or holds a lone surrogate.  All json_text* functions are false for
 * JSON_NONE and for a value that is no string. */
bool json_key_text(const struct json_doc *d, json_ref member, struct buf *out);
bool json_text(const struct json_doc *d, json_ref string, struct buf *out);
/* Into a fixed array with NUL; false, and out untouched, also when it is too long or
 * contains \u0000. */
bool json_text_fixed(const struct json_doc *d, json_ref string, char *out, size_t cap);
/* String equality with escapes resolved. */
bool json_text_is(const struct json_doc *d, json_ref r, const char *s);

/* An integer number written without fraction or exponent, within int64.  false, and *ret
 * untouched, for anything else and for JSON_NONE; json_truth likewise. */
bool json_int64(const struct json_doc *d, json_ref r, int64_t *ret);
bool json_truth(const struct json_doc *d, json_ref r, bool *ret);

const char *json_kind_name(enum json_kind k); /* "a string", "an object", ... for messages */

/* Bytes to remove from the text: [begin, end). */
struct json_cut {
    uint32_t begin, end;
};
/* Cuts for a set of members of one object, in text order, non-overlapping, such
 * that removing all of them leaves valid JSON with every other byte untouched.
 * What goes with a run of neighbouring members: the comma and white space after it, up
 * to the next key; at the end of the object the white space and comma before it, and
 * the space before the closing bracket stays.  When every member goes, the space at
 * both brackets stays.  `members` must be in text order (anything else is a bug).
 * ret needs room for n.  Returns the number of cuts (<= n). */
size_t json_cut_members(const struct json_doc *d, json_ref object, const json_ref *members,
                        size_t n, struct json_cut *ret);

/* Writer: appends a quoted, escaped JSON string. Invalid UTF-8 becomes U+FFFD. */
bool json_write_string(struct buf *out, struct span s);

#endif
