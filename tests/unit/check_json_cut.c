/* Unit tests of json_cut_members: cutting members leaves the others' bytes and JSON. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "schema/json.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* For the long loops: ck_assert writes a record for every passed check, which the
 * runner then has to read. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

enum { MEMBERS_MAX = 12 };

static struct json_doc d, left;
static struct buf text, rest;
static struct fail fail;

static void setup(void)
{
    json_init(&d);
    json_init(&left);
    buf_init(&text, 1 << 16);
    buf_init(&rest, 1 << 16);
}

static void teardown(void)
{
    json_done(&d);
    json_done(&left);
    buf_done(&text);
    buf_done(&rest);
}

/* Cuts the members whose bit is set in `which` from the object and puts what is left
 * of the whole text into `rest`. */
static size_t cut(json_ref object, unsigned which)
{
    json_ref members[MEMBERS_MAX];
    struct json_cut cuts[MEMBERS_MAX];
    size_t n = 0;
    unsigned bit = 1;
    for (json_ref m = json_first(&d, object); m != JSON_NONE; m = json_next(&d, m), bit <<= 1) {
        if (which & bit)
            members[n++] = m;
    }
    size_t n_cuts = json_cut_members(&d, object, members, n, cuts);
    MUST(n_cuts <= n);
    buf_reset(&rest);
    uint32_t at = 0;
    for (size_t i = 0; i < n_cuts; i++) {
        MUST(at <= cuts[i].begin);
        MUST(cuts[i].begin < cuts[i].end);
        buf_add(&rest, d.text.ptr + at, cuts[i].begin - at);
        at = cuts[i].end;
    }
    MUST(buf_add(&rest, d.text.ptr + at, d.text.len - at));
    return n_cuts;
}

static const struct {
    const char *name, *text;
    unsigned which;
    const char *rest;
    size_t n_cuts;
} rows[] = {
    {"nothing", "{\"a\":1, \"b\":2}", 0, "{\"a\":1, \"b\":2}", 0},
    {"empty object", "{ }", 0, "{ }", 0},
    {"the only one", "{\"a\":1}", 1, "{}", 1},
    {"the only one in space", "{ \"a\":1\n}", 1, "{ \n}", 1},
    {"first of two", "{\"a\":1,\"b\":2}", 1, "{\"b\":2}", 1},
    {"last of two", "{\"a\":1,\"b\":2}", 2, "{\"a\":1}", 1},
    {"both", "{\"a\":1,\"b\":2}", 3, "{}", 1},
    {"middle", "{\"a\":1,\"b\":2,\"c\":3}", 2, "{\"a\":1,\"c\":3}", 1},
    {"first and last", "{\"a\":1,\"b\":2,\"c\":3}", 5, "{\"b\":2}", 2},
    {"first run", "{\"a\":1,\"b\":2,\"c\":3}", 3, "{\"c\":3}", 1},
    {"last run", "{\"a\":1,\"b\":2,\"c\":3}", 6, "{\"a\":1}", 1},
    {"two runs", "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}", 0x1b, "{\"c\":3}", 2},
    {"alternate", "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}", 0x15, "{\"b\":2,\"d\":4}", 3},
    {"space after the comma goes", "{ \"a\": 1, \"b\": 2, \"c\": 3 }", 2, "{ \"a\": 1, \"c\": 3 }",
     1},
    {"indent stays", "{\n  \"a\": 1,\n  \"b\": 2\n}\n", 1, "{\n  \"b\": 2\n}\n", 1},
    {"indent at the end stays", "{\n  \"a\": 1,\n  \"b\": 2\n}\n", 2, "{\n  \"a\": 1\n}\n", 1},
    {"space before commas", "{\"a\":1 , \"b\":2 , \"c\":3 }", 2, "{\"a\":1 , \"c\":3 }", 1},
    {"space before the last comma", "{\"a\":1 , \"b\":2 , \"c\":3 }", 4, "{\"a\":1 , \"b\":2 }", 1},
    {"containers", "{\"a\":[1,{}],\"b\":{\"x\":[]},\"c\":3}", 3, "{\"c\":3}", 1},
    {"duplicates", "{\"a\":1,\"a\":2,\"a\":3}", 2, "{\"a\":1,\"a\":3}", 1},
    {"strings with commas", "{\"a,\":\",\",\"}\":\"}\",\"c\":3}", 2, "{\"a,\":\",\",\"c\":3}", 1},
};

START_TEST(cuts)
{
    ck_assert_int_eq(json_parse(&d, span_of(rows[_i].text), &fail), 0);
    size_t n = cut(0, rows[_i].which);
    ck_assert_msg(span_is(buf_span(&rest), rows[_i].rest), "%s: %s", rows[_i].name, rest.ptr);
    ck_assert_uint_eq(n, rows[_i].n_cuts);
}
END_TEST

START_TEST(cuts_in_an_inner_object)
{
    ck_assert_int_eq(json_parse(&d, SPAN("[0,{\"x\":{\"a\":1,\"b\":2},\"y\":3},4]"), &fail), 0);
    json_ref x = json_get(&d, json_next(&d, json_first(&d, 0)), "x");
    cut(x, 2);
    ck_assert_str_eq(rest.ptr, "[0,{\"x\":{\"a\":1},\"y\":3},4]");
    cut(x, 3);
    ck_assert_str_eq(rest.ptr, "[0,{\"x\":{},\"y\":3},4]");
}
END_TEST

static uint32_t random_state;

static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

static void add_space(void)
{
    static const char *const spaces[] = {"", "", "", " ", "\n  ", "\t", "\r\n"};
    buf_adds(&text, spaces[rnd(ROWS(spaces))]);
}

/* An object of n members k0, k1, ... inside an array, with random space and values. */
static void random_object(uint32_t n)
{
    static const char *const values[] = {"1",
                                         "-2.5e3",
                                         "\"a,}\"",
                                         "null",
                                         "[]",
                                         "[1, {\"k\":2} ]",
                                         "{}",
                                         "{\"k0\":{},\"k1\":[]}",
                                         "\"\\\"\\u00e9\"",
                                         "true"};
    buf_reset(&text);
    buf_adds(&text, "[0,");
    add_space();
    buf_addc(&text, '{');
    add_space();
    for (uint32_t i = 0; i < n; i++) {
        buf_addf(&text, i > 0 ? ",%s\"k%u\"" : "%s\"k%u\"", rnd(2) ? " " : "", i);
        add_space();
        buf_addc(&text, ':');
        add_space();
        buf_adds(&text, values[rnd(ROWS(values))]);
        add_space();
    }
    buf_adds(&text, "} ,9]");
}

/* The members left are those not cut, in order, byte for byte; what went besides the
 * cut members is a comma for each member that could spare one, and space. */
static void check_rest(json_ref object, unsigned which)
{
    MUST(json_parse(&left, buf_span(&rest), &fail) == 0);
    json_ref l = json_first(&left, 1 + json_first(&left, 0));
    unsigned bit = 1;
    for (json_ref m = json_first(&d, object); m != JSON_NONE; m = json_next(&d, m), bit <<= 1) {
        if (which & bit)
            continue;
        MUST(l != JSON_NONE);
        const struct json_node *a = json_at(&d, m);
        const struct json_node *b = json_at(&left, l);
        struct span was = {d.text.ptr + a->key_begin, a->end - a->key_begin};
        struct span is = {left.text.ptr + b->key_begin, b->end - b->key_begin};
        MUST(span_eq(was, is));
        l = json_next(&left, l);
    }
    MUST(l == JSON_NONE);
    const struct json_node *old = json_at(&d, object);
    MUST(memcmp(rest.ptr, d.text.ptr, old->begin + 1) == 0);
    size_t tail = d.text.len - old->end + 1;
    MUST(memcmp(rest.ptr + rest.len - tail, d.text.ptr + d.text.len - tail, tail) == 0);
}

START_TEST(every_subset_of_random_objects)
{
    random_state = (uint32_t)_i;
    for (int round = 0; round < 40; round++) {
        uint32_t n = rnd(8);
        random_object(n);
        MUST(json_parse(&d, buf_span(&text), &fail) == 0);
        json_ref object = 1 + json_first(&d, 0);
        for (unsigned which = 0; which < 1u << n; which++) {
            cut(object, which);
            check_rest(object, which);
        }
    }
}
END_TEST

START_TEST(members_out_of_order_assert)
{
    ck_assert_int_eq(json_parse(&d, SPAN("{\"a\":1,\"b\":2}"), &fail), 0);
    json_ref members[2] = {2, 1};
    struct json_cut out[2];
    json_cut_members(&d, 0, members, 2, out);
}
END_TEST

Suite *json_cut_suite(void);
Suite *json_cut_suite(void)
{
    Suite *s = suite_create("json_cut");
    TCase *t = tcase_create("json_cut");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, cuts, 0, ROWS(rows));
    tcase_add_test(t, cuts_in_an_inner_object);
    tcase_add_loop_test(t, every_subset_of_random_objects, 0, 20);
    tcase_add_test_raise_signal(t, members_out_of_order_assert, SIGABRT);
    suite_add_tcase(s, t);
    return s;
}
