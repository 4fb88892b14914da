/* Unit tests of json_block.h, against one byte after the other. */
#include <check.h>

#include "schema/json_block.h"

#ifndef JSON_BLOCK_SUITE
#define JSON_BLOCK_SUITE "json_block"
#endif

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

static uint64_t seed;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Bytes of few kinds, so that most masks find some. */
static void fill(uint8_t bytes[JSON_BLOCK])
{
    uint8_t kinds = (uint8_t)(draw() | 1);
    for (int i = 0; i < JSON_BLOCK; i++)
        bytes[i] = (uint8_t)(draw() & kinds);
}

static uint64_t matches(const uint8_t bytes[JSON_BLOCK], uint8_t mask, uint8_t value)
{
    uint64_t found = 0;
    for (int i = 0; i < JSON_BLOCK; i++)
        found |= (uint64_t)((bytes[i] & mask) == value) << i;
    return found;
}

START_TEST(marks_are_where_the_bytes_are)
{
    uint8_t bytes[JSON_BLOCK];
    seed = 1;
    for (int round = 0; round < 100000; round++) {
        fill(bytes);
        struct json_block b = json_block_load(bytes);
        uint8_t m = (uint8_t)draw(), v = bytes[draw() % JSON_BLOCK] & m, w = (uint8_t)draw();
        uint64_t left = matches(bytes, m, v), right = matches(bytes, 0xff, w);
        struct json_block l = json_block_match(b, m, v), r = json_block_equal(b, (char)w);
        MUST(json_block_bits(b) == matches(bytes, 0x80, 0x80));
        MUST(json_block_bits(l) == left && json_block_bits(r) == right);
        MUST(json_block_any(l) == (left != 0) && json_block_any(r) == (right != 0));
        MUST(json_block_bits(json_block_or(l, r)) == (left | right));
        MUST(json_block_bits(json_block_and(l, r)) == (left & right));
    }
}
END_TEST

/* Sums of as many blocks as one can hold, and of fewer. */
START_TEST(marks_are_counted)
{
    uint8_t bytes[JSON_BLOCK];
    seed = 2;
    for (int n = 0; n <= JSON_BLOCK_SUM_MAX; n++) {
        struct json_block sum = {0};
        size_t expected = 0;
        for (int i = 0; i < n; i++) {
            fill(bytes);
            if (_i == 1)
                memset(bytes, 1, sizeof(bytes));
            uint64_t bits = matches(bytes, 1, 1);
            sum = json_block_add(sum, json_block_match(json_block_load(bytes), 1, 1));
            int here = 0;
            for (int k = 0; k < JSON_BLOCK; k++)
                here += (int)(bits >> k & 1);
            MUST(json_block_count(bits) == here);
            expected += (size_t)here;
        }
        MUST(json_block_total(sum) == expected);
    }
}
END_TEST

START_TEST(every_second_backslash_of_a_run_begins_an_escape)
{
    seed = 3;
    for (int round = 0; round < 100000; round++) {
        uint64_t backslashes = draw(), expected = 0;
        if (round % 3 == 1)
            backslashes |= draw();
        if (round % 3 == 2)
            backslashes |= draw() | draw() | draw();
        for (int i = 0; i < JSON_BLOCK; i++) {
            if (backslashes >> i & 1)
                expected |= UINT64_C(1) << i++;
        }
        MUST(json_block_escapes(backslashes) == expected);
    }
    ck_assert_uint_eq(json_block_escapes(UINT64_MAX), UINT64_C(0x5555555555555555));
    ck_assert_uint_eq(json_block_escapes(0), 0);
}
END_TEST

Suite *json_block_suite(void);
Suite *json_block_suite(void)
{
    Suite *s = suite_create(JSON_BLOCK_SUITE);
    TCase *t = tcase_create("block");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, marks_are_where_the_bytes_are);
    tcase_add_loop_test(t, marks_are_counted, 0, 2);
    tcase_add_test(t, every_second_backslash_of_a_run_begins_an_escape);
    suite_add_tcase(s, t);
    return s;
}
