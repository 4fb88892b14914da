/* Unit tests of the reader of schema/json.c: what it accepts, where it says an error
 * is, and what nodes it makes.  Strings and cuts: check_json_text.c, check_json_cut.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/json.h"

#ifndef JSON_SUITE
#define JSON_SUITE "json"
#endif
#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* For the long loops: ck_assert writes a record for every passed check, which the
 * runner then has to read. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

static struct json_doc d;
static struct fail fail;

static void setup(void)
{
    json_init(&d);
    memset(&fail, 0, sizeof(fail));
}

static void teardown(void)
{
    json_done(&d);
}

/* A copy in memory of exactly its size, so that a sanitizer sees a read past the end. */
static int parse_exact(struct span text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    MUST(copy != NULL);
    memcpy(copy, text.ptr, text.len);
    int rc = json_parse(&d, (struct span){copy, text.len}, &fail);
    free(copy);
    return rc;
}

struct row {
    const char *name;
    struct span text;
};

static const struct row accepted[] = {
    {"lone null", TEXT("null")},
    {"lone true", TEXT("true")},
    {"lone false", TEXT("false")},
    {"lone number", TEXT("42")},
    {"lone negative", TEXT("-1")},
    {"lone string", TEXT("\"a\"")},
    {"empty string", TEXT("\"\"")},
    {"empty array", TEXT("[]")},
    {"empty object", TEXT("{}")},
    {"space around everything", TEXT(" \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n")},
    {"space in an empty array", TEXT("[ \n ]")},
    {"space in an empty object", TEXT("{ \n }")},
    {"space around key and colon", TEXT("{ \"a\" : 1 , \"b\" : 2 }")},
    {"trailing newline", TEXT("{}\n")},
    {"arrays in arrays", TEXT("[[[]],[[[]]],[]]")},
    {"objects in objects", TEXT("{\"a\":{\"b\":{}},\"c\":{}}")},
    {"mixed nesting", TEXT("[{\"a\":[{\"b\":[]}]}]")},
    {"every kind", TEXT("[null,false,true,0,\"\",[],{}]")},
    {"duplicate keys", TEXT("{\"a\":1,\"a\":2}")},
    {"empty key", TEXT("{\"\":0}")},
    {"key with escapes", TEXT("{\"\\u0061\\n\\\"\":0}")},
    {"key with a pair of surrogates", TEXT("{\"\\ud83d\\ude00\":0}")},
    {"key with \\u0001", TEXT("{\"\\u0001\":0}")},
    {"key in UTF-8", TEXT("{\"\xc3\xa9\":0}")},
    {"zero", TEXT("0")},
    {"minus zero", TEXT("-0")},
    {"zero with fraction", TEXT("0.0")},
    {"fraction", TEXT("-12.375")},
    {"zeros in a fraction", TEXT("1.000")},
    {"exponent", TEXT("1e5")},
    {"upper-case exponent", TEXT("1E5")},
    {"exponent with plus", TEXT("1e+5")},
    {"exponent with minus", TEXT("1e-5")},
    {"exponent with leading zeros", TEXT("1e005")},
    {"zero with exponent", TEXT("0e1")},
    {"fraction and exponent", TEXT("-0.1E-1")},
    {"exponent beyond every type", TEXT("1e999999")},
    {"integer beyond every type", TEXT("123456789012345678901234567890123456789012")},
    {"all short escapes", TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")},
    {"\\u escape, both cases", TEXT("\"\\u00e9\\u00E9\"")},
    {"\\u0000 in a value", TEXT("\"\\u0000\"")},
    {"pair of surrogates", TEXT("\"\\ud83d\\ude00\"")},
    {"lone high surrogate in a value", TEXT("\"\\ud83d\"")},
    {"lone low surrogate in a value", TEXT("\"\\ude00\"")},
    {"surrogates in the wrong order in a value", TEXT("\"\\ude00\\ud83d\"")},
    {"escaped noncharacter", TEXT("\"\\uffff\"")},
    {"escaped backslash before the quote", TEXT("\"\\\\\"")},
    {"DEL is plain", TEXT("\"\x7f\"")},
    {"U+0080", TEXT("\"\xc2\x80\"")},
    {"U+07FF", TEXT("\"\xdf\xbf\"")},
    {"U+0800", TEXT("\"\xe0\xa0\x80\"")},
    {"U+D7FF", TEXT("\"\xed\x9f\xbf\"")},
    {"U+E000", TEXT("\"\xee\x80\x80\"")},
    {"U+FEFF inside a string", TEXT("\"\xef\xbb\xbf\"")},
    {"U+FFFF", TEXT("\"\xef\xbf\xbf\"")},
    {"U+10000", TEXT("\"\xf0\x90\x80\x80\"")},
    {"U+10FFFF", TEXT("\"\xf4\x8f\xbf\xbf\"")},
    {"U+2028 raw", TEXT("\"\xe2\x80\xa8\"")},
    {"brackets in strings", TEXT("[\"]}{[,:\"]")},
    {"string of 15 bytes", TEXT("\"123456789012345\"")},
    {"string of 16 bytes", TEXT("\"1234567890123456\"")},
    {"string of 17 bytes", TEXT("\"12345678901234567\"")},
    {"escape over a block border", TEXT("\"12345678901234\\u00e9567890123\"")},
    {"UTF-8 over a block border", TEXT("\"12345678901234\xf0\x9f\x98\x80"
                                       "567890123\"")},
};

START_TEST(accepts)
{
    for (int i = 0; i < ROWS(accepted); i++) {
        ck_assert_msg(parse_exact(accepted[i].text) == 0, "%s: %s", accepted[i].name, fail.text);
        ck_assert_uint_ge(d.count, 1);
    }
}
END_TEST

static const struct row refused[] = {
    {"nothing", TEXT("")},
    {"space only", TEXT(" \n")},
    {"BOM", TEXT("\xef\xbb\xbf{}")},
    {"NUL", TEXT("\0")},
    {"NUL after the value", TEXT("1\0")},
    {"NUL instead of space", TEXT("[1,\0 2]")},
    {"form feed is no space", TEXT("[\f]")},
    {"vertical tab is no space", TEXT("[\v1]")},
    {"no-break space is no space", TEXT("[\xc2\xa0]")},
    {"two values", TEXT("1 2")},
    {"two objects", TEXT("{}{}")},
    {"text after an array", TEXT("[]x")},
    {"comma after the value", TEXT("{},")},
    {"closing bracket too many", TEXT("[]]")},
    {"closing brace too many", TEXT("{}}")},
    {"comment", TEXT("/* */1")},
    {"line comment", TEXT("1//")},
    {"comment inside", TEXT("{/**/}")},
    {"hash comment", TEXT("[1] # x")},
    {"open array", TEXT("[")},
    {"open object", TEXT("{")},
    {"array open after a value", TEXT("[1")},
    {"array open after a comma", TEXT("[1,")},
    {"object open after a key", TEXT("{\"a\"")},
    {"object open after a colon", TEXT("{\"a\":")},
    {"object open after a value", TEXT("{\"a\":1")},
    {"object open after a comma", TEXT("{\"a\":1,")},
    {"closing bracket alone", TEXT("]")},
    {"closing brace alone", TEXT("}")},
    {"array closed by a brace", TEXT("[1}")},
    {"object closed by a bracket", TEXT("{\"a\":1]")},
    {"empty array closed by a brace", TEXT("[}")},
    {"empty object closed by a bracket", TEXT("{]")},
    {"comma alone in an array", TEXT("[,]")},
    {"comma first", TEXT("[,1]")},
    {"comma last", TEXT("[1,]")},
    {"two commas", TEXT("[1,,2]")},
    {"no comma", TEXT("[1 2]")},
    {"no comma between strings", TEXT("[\"a\" \"b\"]")},
    {"no comma between containers", TEXT("[[][]]")},
    {"colon in an array", TEXT("[\"a\":1]")},
    {"semicolon", TEXT("[1;2]")},
    {"comma alone in an object", TEXT("{,}")},
    {"comma last in an object", TEXT("{\"a\":1,}")},
    {"two commas in an object", TEXT("{\"a\":1,,\"b\":2}")},
    {"no comma between members", TEXT("{\"a\":1 \"b\":2}")},
    {"no colon", TEXT("{\"a\" 1}")},
    {"two colons", TEXT("{\"a\"::1}")},
    {"comma for colon", TEXT("{\"a\",1}")},
    {"equals sign for colon", TEXT("{\"a\"=1}")},
    {"no value", TEXT("{\"a\":}")},
    {"no key", TEXT("{:1}")},
    {"key without quotes", TEXT("{a:1}")},
    {"key in single quotes", TEXT("{'a':1}")},
    {"number as key", TEXT("{1:1}")},
    {"null as key", TEXT("{null:1}")},
    {"array as key", TEXT("{[]:1}")},
    {"value without a key", TEXT("{\"a\"}")},
    {"second value without a key", TEXT("{\"a\":1,\"b\"}")},
    {"NaN", TEXT("NaN")},
    {"nan", TEXT("[nan]")},
    {"-NaN", TEXT("[-NaN]")},
    {"Infinity", TEXT("Infinity")},
    {"-Infinity", TEXT("[-Infinity]")},
    {"inf", TEXT("[inf]")},
    {"undefined", TEXT("undefined")},
    {"True", TEXT("True")},
    {"TRUE", TEXT("TRUE")},
    {"nul", TEXT("nul")},
    {"tru in an array", TEXT("[tru]")},
    {"fals", TEXT("fals")},
    {"nulll", TEXT("nulll")},
    {"truefalse", TEXT("truefalse")},
    {"null1", TEXT("null1")},
    {"minus alone", TEXT("-")},
    {"minus in an array", TEXT("[-]")},
    {"plus", TEXT("+1")},
    {"two minus signs", TEXT("--1")},
    {"minus and space", TEXT("- 1")},
    {"leading zero", TEXT("01")},
    {"two zeros", TEXT("00")},
    {"minus and leading zero", TEXT("-01")},
    {"leading zero with fraction", TEXT("00.5")},
    {"point first", TEXT(".5")},
    {"minus and point", TEXT("-.5")},
    {"point last", TEXT("1.")},
    {"zero and point", TEXT("[0.]")},
    {"two points", TEXT("1.2.3")},
    {"point before the exponent", TEXT("1.e5")},
    {"exponent without digits", TEXT("1e")},
    {"exponent with sign only", TEXT("[1e+]")},
    {"exponent with two signs", TEXT("1e+-1")},
    {"exponent with point", TEXT("1e1.5")},
    {"two exponents", TEXT("1e1e1")},
    {"exponent alone", TEXT("e5")},
    {"exponent after minus", TEXT("-e5")},
    {"hexadecimal", TEXT("0x1F")},
    {"letter after digits", TEXT("12abc")},
    {"underscore", TEXT("1_000")},
    {"space inside a number", TEXT("[1 000]")},
    {"full-width digit", TEXT("\xef\xbc\x91")},
    {"open string", TEXT("\"")},
    {"open string with text", TEXT("\"abc")},
    {"open string after an escape", TEXT("\"abc\\\"")},
    {"open key", TEXT("{\"abc")},
    {"single quotes", TEXT("'abc'")},
    {"backslash at the end", TEXT("\"\\")},
    {"raw newline", TEXT("\"a\nb\"")},
    {"raw tab", TEXT("\"a\tb\"")},
    {"raw carriage return", TEXT("\"a\rb\"")},
    {"raw NUL", TEXT("\"a\0b\"")},
    {"raw 0x1f", TEXT("\"a\x1f"
                      "b\"")},
    {"raw newline in a key", TEXT("{\"a\nb\":1}")},
    {"raw newline in a long string", TEXT("\"0123456789012345678901234567890123\n\"")},
    {"escape a", TEXT("\"\\a\"")},
    {"escape v", TEXT("\"\\v\"")},
    {"escape x", TEXT("\"\\x41\"")},
    {"escape 0", TEXT("\"\\0\"")},
    {"escape U", TEXT("\"\\U0041\"")},
    {"escape single quote", TEXT("\"\\'\"")},
    {"escape newline", TEXT("\"\\\n\"")},
    {"escape NUL", TEXT("\"\\\0\"")},
    {"escape non-ASCII", TEXT("\"\\\xc3\xa9\"")},
    {"escape outside a string", TEXT("[\\n]")},
    {"\\u without digits", TEXT("\"\\u\"")},
    {"\\u with three digits", TEXT("\"\\u123\"")},
    {"\\u with a letter g", TEXT("\"\\u12g4\"")},
    {"\\u with a sign", TEXT("\"\\u+123\"")},
    {"\\u with a space", TEXT("\"\\u 123\"")},
    {"\\u with braces", TEXT("\"\\u{41}\"")},
    {"\\u at the end", TEXT("\"\\u12")},
    {"second \\u is bad", TEXT("\"\\ud83d\\uzzzz\"")},
    {"lone continuation byte", TEXT("\"\x80\"")},
    {"byte 0xff", TEXT("\"\xff\"")},
    {"byte 0xfe", TEXT("\"\xfe\"")},
    {"two bytes, overlong slash", TEXT("\"\xc0\xaf\"")},
    {"two bytes, overlong NUL", TEXT("\"\xc0\x80\"")},
    {"two bytes, overlong 0x7f", TEXT("\"\xc1\xbf\"")},
    {"three bytes, overlong", TEXT("\"\xe0\x9f\xbf\"")},
    {"four bytes, overlong", TEXT("\"\xf0\x8f\xbf\xbf\"")},
    {"surrogate U+D800 in UTF-8", TEXT("\"\xed\xa0\x80\"")},
    {"surrogate U+DFFF in UTF-8", TEXT("\"\xed\xbf\xbf\"")},
    {"pair of surrogates in UTF-8", TEXT("\"\xed\xa0\xbd\xed\xb8\x80\"")},
    {"U+110000", TEXT("\"\xf4\x90\x80\x80\"")},
    {"byte 0xf5", TEXT("\"\xf5\x80\x80\x80\"")},
    {"five-byte form", TEXT("\"\xf8\x88\x80\x80\x80\"")},
    {"two bytes cut short", TEXT("\"\xc3\"")},
    {"three bytes cut short", TEXT("\"\xe2\x82\"")},
    {"four bytes cut short", TEXT("\"\xf0\x9f\x98\"")},
    {"second byte is no continuation", TEXT("\"\xc3(\"")},
    {"third byte is no continuation", TEXT("\"\xe2\x82(\"")},
    {"fourth byte is no continuation", TEXT("\"\xf0\x9f\x98(\"")},
    {"UTF-8 cut by the end of text", TEXT("\"\xe2\x82")},
    {"Latin-1", TEXT("\"caf\xe9\"")},
    {"bad UTF-8 in a key", TEXT("{\"\xc0\xaf\":1}")},
    {"bad UTF-8 after a block", TEXT("\"0123456789abcdef0123456789abcdef\xc3\"")},
    {"UTF-8 outside a string", TEXT("[\xc3\xa9]")},
    {"UTF-16", TEXT("\xff\xfe{\0}\0")},
    {"UTF-16 without BOM", TEXT("{\0}\0")},
    {"\\u0000 in a key", TEXT("{\"a\\u0000b\":1}")},
    {"\\u0000 as key", TEXT("{\"\\u0000\":1}")},
    {"lone high surrogate in a key", TEXT("{\"\\ud83d\":1}")},
    {"lone low surrogate in a key", TEXT("{\"\\ude00\":1}")},
    {"two high surrogates in a key", TEXT("{\"\\ud83d\\ud83d\":1}")},
    {"high surrogate and text in a key", TEXT("{\"\\ud83dabcdef\":1}")},
    {"high surrogate and another escape in a key", TEXT("{\"\\ud83d\\n12345\":1}")},
    {"high surrogate and U+E000 in a key", TEXT("{\"\\ud83d\\ue000\":1}")},
    {"lone surrogate after a pair in a key", TEXT("{\"\\ud83d\\ude00\\ude00\":1}")},
    {"bad key deep inside", TEXT("[[{\"a\":[{\"\\u0000\":1}]}]]")},
};

START_TEST(refuses)
{
    for (int i = 0; i < ROWS(refused); i++) {
        ck_assert_msg(parse_exact(refused[i].text) == -1, "%s", refused[i].name);
        bool told = fail.code == ERR_bad_request && strstr(fail.text, " at byte ") != NULL;
        ck_assert_msg(told && d.count == 0 && d.text.len == 0, "%s", refused[i].name);
    }
}
END_TEST

/* What stands in the place of a value, anywhere: no accepted text may be refused there,
 * no refused text accepted. */
static int parse_wrapped(const char *before, struct span text, const char *after)
{
    struct buf b;
    buf_init(&b, 10000);
    buf_adds(&b, before);
    buf_add_span(&b, text);
    ck_assert(buf_adds(&b, after));
    int rc = parse_exact(buf_span(&b));
    buf_done(&b);
    return rc;
}

START_TEST(accepts_inside)
{
    for (int i = 0; i < ROWS(accepted); i++) {
        struct span text = accepted[i].text;
        bool ok = parse_wrapped("[1,", text, ",[]]") == 0 &&
                  parse_wrapped("{\"k\":", text, "}") == 0 &&
                  parse_wrapped("[[{\"k\":", text, ",\"l\":0}]]") == 0;
        ck_assert_msg(ok, "%s: %s", accepted[i].name, fail.text);
    }
}
END_TEST

/* A number, word or string that ends anywhere in the text must not be taken for the
 * whole: every proper prefix of an accepted container is refused. */
START_TEST(refuses_every_prefix)
{
    static const char text[] =
        "{\"a\":[true,false,null,-1.5e+3,\"\\u00e9\\n\xc3\xa9\xf0\x9f\x98\x80\"],\"b\":{\"c\":{}}}";
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        ck_assert_int_eq(parse_exact((struct span){text, n}), -1);
    ck_assert_int_eq(parse_exact((struct span){text, sizeof(text) - 1}), 0);
}
END_TEST

static const struct {
    struct span text;
    const char *message;
} messages[] = {
    {TEXT(""), "the text ends too early at byte 0 (line 1)"},
    {TEXT("{\"a\":1"), "the text ends too early at byte 6 (line 1)"},
    {TEXT("{\n\"a\":1,\n\"b\"}"), "expected a colon at byte 12 (line 3)"},
    {TEXT("[1,]"), "expected a value at byte 3 (line 1)"},
    {TEXT("[1 2]"), "expected , or ] at byte 3 (line 1)"},
    {TEXT("{\"a\":1 2}"), "expected , or } at byte 7 (line 1)"},
    {TEXT("{a:1}"), "expected a key at byte 1 (line 1)"},
    {TEXT("{} {}"), "more text after the value at byte 3 (line 1)"},
    {TEXT("\n\n\"a\nb\""), "a control byte in a string must be escaped at byte 4 (line 3)"},
    {TEXT("\"abc\\q\""), "this escape does not exist at byte 4 (line 1)"},
    {TEXT("\"\\u12\""), "a \\u escape needs four hexadecimal digits at byte 1 (line 1)"},
    {TEXT("[\"ok\xc3\xa9\xff\"]"), "invalid UTF-8 at byte 6 (line 1)"},
    {TEXT("[012]"), "a number must not begin with 0 at byte 2 (line 1)"},
    {TEXT("[1.x]"), "expected a digit at byte 3 (line 1)"},
    {TEXT("{\"a\\u0000\":1}"), "\\u0000 in a key at byte 1 (line 1)"},
    {TEXT("{\"\\ud800\":1}"), "a lone surrogate in a key at byte 1 (line 1)"},
};

START_TEST(says_what_and_where)
{
    ck_assert_int_eq(parse_exact(messages[_i].text), -1);
    const char *colon = strchr(fail.text, ':');
    ck_assert_ptr_nonnull(colon);
    ck_assert_str_eq(colon + 2, messages[_i].message);
}
END_TEST

START_TEST(without_a_place_for_the_error)
{
    ck_assert_int_eq(json_parse(&d, SPAN("[1,]"), NULL), -1);
    ck_assert_int_eq(json_parse(&d, (struct span){NULL, 0}, NULL), -1);
}
END_TEST

/* depth brackets around `inside`. */
static int parse_nested(int depth, bool objects, const char *inside)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < depth; i++)
        buf_adds(&b, objects ? "{\"k\":" : "[");
    buf_adds(&b, inside);
    for (int i = 0; i < depth; i++)
        buf_addc(&b, objects ? '}' : ']');
    int rc = parse_exact(buf_span(&b));
    buf_done(&b);
    return rc;
}

START_TEST(depth_is_bounded)
{
    ck_assert_int_eq(parse_nested(255, false, "[]"), 0);
    ck_assert_int_eq(d.nodes[255].depth, 255);
    ck_assert_int_eq(parse_nested(255, false, "1"), 0);
    ck_assert_int_eq(parse_nested(255, true, "{}"), 0);
    ck_assert_int_eq(parse_nested(256, false, "1"), -1);
    ck_assert_ptr_nonnull(strstr(fail.text, "too deeply"));
    ck_assert_int_eq(parse_nested(256, false, "[]"), -1);
    ck_assert_int_eq(parse_nested(256, true, "{}"), -1);
    ck_assert_int_eq(parse_nested(100000, false, ""), -1);
    d.max_depth = 2;
    ck_assert_int_eq(json_parse(&d, SPAN("[[]]"), &fail), 0);
    ck_assert_int_eq(json_parse(&d, SPAN("[[1]]"), &fail), -1);
}
END_TEST

START_TEST(values_are_bounded)
{
    struct buf b;
    buf_init(&b, 4 << 20);
    buf_addc(&b, '[');
    for (int i = 0; i < JSON_VALUES_MAX - 2; i++)
        buf_adds(&b, "1,");
    buf_adds(&b, "1]");
    ck_assert_int_eq(json_parse(&d, buf_span(&b), &fail), 0);
    ck_assert_uint_eq(d.count, JSON_VALUES_MAX);
    b.ptr[b.len - 1] = ',';
    ck_assert(buf_adds(&b, "1]"));
    ck_assert_int_eq(json_parse(&d, buf_span(&b), &fail), -1);
    ck_assert_ptr_nonnull(strstr(fail.text, "too many values"));
    buf_done(&b);
    d.max_values = 3;
    ck_assert_int_eq(json_parse(&d, SPAN("[1,2]"), &fail), 0);
    ck_assert_int_eq(json_parse(&d, SPAN("[1,2,3]"), &fail), -1);
}
END_TEST

START_TEST(keys_are_bounded)
{
    char text[JSON_KEY_MAX + 16];
    for (size_t len = JSON_KEY_MAX - 1; len <= JSON_KEY_MAX + 1; len++) {
        memset(text, 'k', sizeof(text));
        memcpy(text, "{\"", 2);
        memcpy(text + 2 + len, "\":1}", 4);
        ck_assert_int_eq(parse_exact((struct span){text, len + 6}), len <= JSON_KEY_MAX ? 0 : -1);
    }
    ck_assert_ptr_nonnull(strstr(fail.text, "a key is too long at byte 1"));
}
END_TEST

/* Every one of the 256 bytes at every place of a string longer than three blocks; the reader takes
 * blocks from the first byte that is not plain. */
static void every_byte(const char *begin)
{
    char text[220];
    size_t from = strlen(begin);
    for (int c = 0; c < 256; c++) {
        bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        for (size_t at = from; at < sizeof(text) - 1; at++) {
            memset(text, 'x', sizeof(text));
            memcpy(text, begin, from);
            text[sizeof(text) - 1] = '"';
            text[at] = (char)c;
            MUST(parse_exact((struct span){text, sizeof(text)}) == (plain ? 0 : -1));
        }
    }
}

START_TEST(every_byte_at_every_place)
{
    every_byte("\"");
    every_byte("\"\\n");
    every_byte("\"\xc3\xa9");
}
END_TEST

/* ---- strings, against a reader that takes them character by character ---- */

/* The length of the character of two bytes or more at p, 0 when it is none. */
static size_t character(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc0 || p[0] >= 0xf8 || n < len)
        return 0;
    uint32_t code = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code >= least[len] && code <= 0x10ffff && !surrogate ? len : 0;
}

/* The length of the escape at p; 0 and what is wrong with it. */
static size_t escape(const uint8_t *p, size_t n, const char **ret_what)
{
    if (n > 1 && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL)
        return 2;
    *ret_what = n > 1 && p[1] == 'u' ? "a \\u escape needs four hexadecimal digits"
                                     : "this escape does not exist";
    for (size_t i = 2; i < 6; i++) {
        if (i >= n || strchr("0123456789abcdefABCDEF", p[i]) == NULL || p[i] == '\0')
            return 0;
    }
    return p[1] == 'u' ? 6 : 0;
}

/* What is wrong with a text that is one string and blanks behind it, and where; NULL: nothing. */
static const char *judge(const uint8_t *p, size_t n, size_t *ret_at, bool *ret_escaped)
{
    const char *what = NULL;
    size_t i = 1, step = 1;
    *ret_escaped = false;
    for (; i < n && p[i] != '"' && step > 0; i += step) {
        step = 1;
        if (p[i] == '\\') {
            step = escape(p + i, n - i, &what);
            *ret_escaped = true;
        } else if (p[i] >= 0x80) {
            step = character(p + i, n - i);
            what = "invalid UTF-8";
        } else if (p[i] < 0x20) {
            step = 0;
            what = "a control byte in a string must be escaped";
        }
    }
    *ret_at = i;
    if (step == 0 || i >= n)
        return step == 0 ? what : "the text ends too early";
    for (i++; i < n && (p[i] == ' ' || p[i] == '\n');)
        i++;
    *ret_at = i;
    return i < n ? "more text after the value" : NULL;
}

static void must_agree(const char *text, size_t len)
{
    char expected[128];
    size_t at;
    bool escaped;
    const char *what = judge((const uint8_t *)text, len, &at, &escaped);
    int rc = parse_exact((struct span){text, len});
    MUST(rc == (what != NULL ? -1 : 0));
    if (what == NULL) {
        MUST(d.count == 1 && d.nodes[0].escaped == escaped);
        return;
    }
    snprintf(expected, sizeof(expected), "not valid JSON: %s at byte %zu (line", what, at);
    if (strncmp(fail.text, expected, strlen(expected)) != 0)
        ck_abort_msg("%s: expected %s", fail.text, expected);
}

/* Each lead with each second byte and up to two more, where a block ends. */
START_TEST(every_pair_at_the_end_of_a_block)
{
    char text[160];
    for (int lead = 0x80; lead < 0x100; lead++) {
        for (int second = 0; second < 0x100; second++) {
            for (size_t at = 60; at <= 64; at++) {
                for (size_t more = 0; more <= 2; more++) {
                    memset(text, 'x', sizeof(text));
                    memcpy(text, "\"\\n", 3);
                    text[1 + at] = (char)lead;
                    text[2 + at] = (char)second;
                    memset(text + 3 + at, 0xbf, more);
                    text[sizeof(text) - 1] = '"';
                    must_agree(text, sizeof(text));
                }
            }
        }
    }
}
END_TEST

static uint64_t seed;

static size_t draw(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % n);
}

/* Pieces of strings: good ones, plain text in between, and what may not be there. */
static const struct span good_pieces[] = {
    TEXT("\\n"),
    TEXT("\\\""),
    TEXT("\\\\"),
    TEXT("\\/"),
    TEXT("\\u00e9"),
    TEXT("\\t"),
    TEXT("\\ud83d\\ude00"),
    TEXT("\xc2\x80"),
    TEXT("\xdf\xbf"),
    TEXT("\xe0\xa0\x80"),
    TEXT("\xed\x9f\xbf"),
    TEXT("\xee\x80\x80"),
    TEXT("\xf0\x90\x80\x80"),
    TEXT("\xf4\x8f\xbf\xbf"),
    TEXT("\xe6\xb2\xb3"),
    TEXT("\xf0\x9f\x98\x80"),
    TEXT("x"),
    TEXT("u"),
    TEXT("some text "),
    TEXT("0123456789abcdef0123456789abcdef0123456789abcdef"),
};
static const struct span wrong_pieces[] = {
    TEXT("\\"),
    TEXT("\""),
    TEXT("\n"),
    TEXT("\0"),
    TEXT("\x1f"),
    TEXT("\x80"),
    TEXT("\xbf\xbf"),
    TEXT("\xc0\x80"),
    TEXT("\xc1\xbf"),
    TEXT("\xe0\x9f\xbf"),
    TEXT("\xed\xa0\x80"),
    TEXT("\xf0\x8f\xbf\xbf"),
    TEXT("\xf4\x90\x80\x80"),
    TEXT("\xf5"),
    TEXT("\xf8\x88\x80\x80\x80"),
    TEXT("\xff"),
    TEXT("\xc3"),
    TEXT("\xe2\x82"),
    TEXT("\xf0\x9f\x98"),
    TEXT("\\u"),
    TEXT("\\u12g4"),
    TEXT("\\x"),
    TEXT("\\\\\\"),
};

static size_t put(char *text, size_t at, struct span piece)
{
    memcpy(text + at, piece.ptr, piece.len);
    return at + piece.len;
}

START_TEST(strings_of_random_pieces)
{
    char text[512];
    seed = (uint64_t)_i + 1;
    for (int round = 0; round < 20000; round++) {
        size_t len = 1, want = draw(300), kinds = 1 + draw(ROWS(good_pieces)),
               from = draw(ROWS(good_pieces));
        text[0] = '"';
        while (len < want)
            len = put(text, len, good_pieces[(from + draw(kinds)) % ROWS(good_pieces)]);
        text[len++] = '"';
        size_t blanks = draw(3) * 40;
        memset(text + len, ' ', blanks);
        len += blanks;
        must_agree(text, len);
        struct span bad = wrong_pieces[draw(ROWS(wrong_pieces))];
        size_t at = 1 + draw(len - 1);
        memmove(text + at + bad.len, text + at, len - at);
        put(text, at, bad);
        must_agree(text, len + bad.len);
        must_agree(text, 1 + draw(len + bad.len));
    }
}
END_TEST

START_TEST(nodes_point_into_the_text)
{
    static const struct {
        const char *raw, *key;
        json_ref next;
        enum json_kind kind;
        uint8_t depth, escaped, key_escaped;
    } want[] = {
        {"{\"a\": [1,{\"b\":true} , \"x\"],\"c\\n\":\"\\t\"}", NULL, JSON_NONE, JSON_OBJECT, 0, 0,
         0},
        {"[1,{\"b\":true} , \"x\"]", "a", 6, JSON_ARRAY, 1, 0, 0},
        {"1", NULL, 3, JSON_NUMBER, 2, 0, 0},
        {"{\"b\":true}", NULL, 5, JSON_OBJECT, 2, 0, 0},
        {"true", "b", JSON_NONE, JSON_TRUE, 3, 0, 0},
        {"\"x\"", NULL, JSON_NONE, JSON_STRING, 2, 0, 0},
        {"\"\\t\"", "c\\n", JSON_NONE, JSON_STRING, 1, 1, 1},
    };
    struct span text = SPAN(" {\"a\": [1,{\"b\":true} , \"x\"],\"c\\n\":\"\\t\"} ");
    ck_assert_int_eq(json_parse(&d, text, &fail), 0);
    ck_assert_uint_eq(d.count, ROWS(want));
    for (json_ref r = 0; r < d.count; r++) {
        const struct json_node *n = json_at(&d, r);
        ck_assert(span_is(json_raw(&d, r), want[r].raw));
        ck_assert_int_eq(json_kind(&d, r), want[r].kind);
        ck_assert_uint_eq(json_next(&d, r), want[r].next);
        ck_assert_int_eq(n->depth, want[r].depth);
        ck_assert_int_eq(n->escaped, want[r].escaped);
        ck_assert_int_eq(n->key_escaped, want[r].key_escaped);
        const char *key = want[r].key != NULL ? want[r].key : "";
        ck_assert_int_eq(n->key_begin != 0, want[r].key != NULL);
        ck_assert(span_is((struct span){text.ptr + n->key_begin + 1, n->key_len}, key));
    }
}
END_TEST

START_TEST(walks_children)
{
    ck_assert_int_eq(json_parse(&d, SPAN("[[],{},[[1,2],3],4,{\"a\":5}]"), &fail), 0);
    static const uint32_t first[] = {1,         JSON_NONE, JSON_NONE, 4,  5,        JSON_NONE,
                                     JSON_NONE, JSON_NONE, JSON_NONE, 10, JSON_NONE};
    ck_assert_uint_eq(d.count, ROWS(first));
    for (json_ref r = 0; r < d.count; r++)
        ck_assert_uint_eq(json_first(&d, r), first[r]);
}
END_TEST

START_TEST(members_of_an_array_have_no_key)
{
    ck_assert_int_eq(json_parse(&d, SPAN("[{\"a\":1},2,[{\"b\":[]},3]]"), &fail), 0);
    static const bool keyed[] = {false, false, true, false, false, false, true, false};
    ck_assert_uint_eq(d.count, ROWS(keyed));
    for (json_ref r = 0; r < d.count; r++) {
        ck_assert_int_eq(json_at(&d, r)->key_begin != 0, keyed[r]);
        ck_assert_int_eq(json_at(&d, r)->key_len, keyed[r]);
    }
}
END_TEST

START_TEST(a_doc_is_used_again)
{
    ck_assert_int_eq(json_parse(&d, SPAN("[1,2,3]"), &fail), 0);
    struct json_node *nodes = d.nodes;
    ck_assert_int_eq(json_parse(&d, SPAN("{\"a\":[{}]}"), &fail), 0);
    ck_assert_ptr_eq(d.nodes, nodes);
    ck_assert_uint_eq(d.count, 3);
    ck_assert_int_eq(json_parse(&d, SPAN("[1,2,3,"), &fail), -1);
    ck_assert_uint_eq(d.count, 0);
    ck_assert_int_eq(json_parse(&d, SPAN("7"), &fail), 0);
    ck_assert_uint_eq(d.count, 1);
    json_done(&d);
    ck_assert_ptr_null(d.nodes);
    ck_assert_int_eq(json_parse(&d, SPAN("[7]"), &fail), 0);
}
END_TEST

Suite *json_suite(void);
Suite *json_suite(void)
{
    Suite *s = suite_create(JSON_SUITE);
    TCase *t = tcase_create("reader");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, accepts);
    tcase_add_test(t, accepts_inside);
    tcase_add_test(t, refuses);
    tcase_add_test(t, refuses_every_prefix);
    tcase_add_loop_test(t, says_what_and_where, 0, ROWS(messages));
    tcase_add_test(t, without_a_place_for_the_error);
    tcase_add_test(t, depth_is_bounded);
    tcase_add_test(t, values_are_bounded);
    tcase_add_test(t, keys_are_bounded);
    tcase_add_test(t, every_byte_at_every_place);
    tcase_add_test(t, every_pair_at_the_end_of_a_block);
    tcase_add_loop_test(t, strings_of_random_pieces, 0, 5);
    tcase_add_test(t, nodes_point_into_the_text);
    tcase_add_test(t, walks_children);
    tcase_add_test(t, members_of_an_array_have_no_key);
    tcase_add_test(t, a_doc_is_used_again);
    suite_add_tcase(s, t);
    return s;
}
