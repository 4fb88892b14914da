/* Unit tests of schema/usage.c. */
#include <check.h>

#include "schema/usage.h"

/* in, out, cache read, 5m writes, 1h writes, searches; -1 = not stated */
static struct usage make(const int64_t n[USAGE_BUCKET_COUNT])
{
    struct usage u = {0};
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (n[i] >= 0)
            usage_set(&u, (enum usage_bucket)i, n[i]);
    }
    return u;
}

#define MAKE(...) make((const int64_t[USAGE_BUCKET_COUNT]){__VA_ARGS__})

static void check(const struct usage *u, const struct usage *want)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        ck_assert_msg(u->n[i] == want->n[i], "%s", usage_bucket_name((enum usage_bucket)i));
    ck_assert_uint_eq(u->seen, want->seen);
}

START_TEST(zero_is_stated)
{
    struct usage u = {0};
    ck_assert(!usage_has(&u, USAGE_cache_read_tok));
    usage_set(&u, USAGE_cache_read_tok, 0);
    ck_assert(usage_has(&u, USAGE_cache_read_tok));
    ck_assert(!usage_has(&u, USAGE_input_tok));
    ck_assert_int_eq(u.n[USAGE_cache_read_tok], 0);
}
END_TEST

START_TEST(below_zero_is_a_bug)
{
    struct usage u = {0};
    usage_set(&u, USAGE_input_tok, -1);
}
END_TEST

START_TEST(merging_takes_the_larger_of_each)
{
    struct usage u = MAKE(100, 1, 40, -1, 7, -1);
    struct usage delta = MAKE(90, 55, 0, 0, -1, 2);
    struct usage want = MAKE(100, 55, 40, 0, 7, 2);
    usage_merge_max(&u, &delta);
    check(&u, &want);
    usage_merge_max(&u, &delta); /* once more changes nothing */
    check(&u, &want);
}
END_TEST

START_TEST(adding_adds_each)
{
    struct usage u = MAKE(1, 2, -1, -1, 5, -1);
    struct usage more = MAKE(10, 20, 30, -1, 50, 0);
    struct usage want = MAKE(11, 22, 30, -1, 55, 0);
    usage_add(&u, &more);
    check(&u, &want);
}
END_TEST

START_TEST(adding_stays_at_the_end)
{
    struct usage u = MAKE(INT64_MAX - 1, 0, 0, 0, 0, 0);
    struct usage more = MAKE(2, 3, 0, 0, 0, 0);
    usage_add(&u, &more);
    ck_assert_int_eq(u.n[USAGE_input_tok], INT64_MAX);
    ck_assert_int_eq(u.n[USAGE_output_tok], 3);
    u.n[USAGE_cache_read_tok] = 9;
    ck_assert_int_eq(usage_prompt_tok(&u), INT64_MAX);
}
END_TEST

START_TEST(the_prompt_is_input_and_cache)
{
    struct usage u = MAKE(1, 1000, 20, 300, 4000, 50000);
    ck_assert_int_eq(usage_prompt_tok(&u), 4321);
}
END_TEST

START_TEST(without_iterations_the_total_is_billed)
{
    struct usage_report r = {.total = MAKE(1, 2, 3, -1, 5, 6)}, *p = &r;
    struct usage sum;
    usage_report_sum(p, &sum);
    check(&sum, &r.total);
}
END_TEST

START_TEST(iterations_are_summed_and_searches_are_not)
{
    static struct usage_report r;
    struct usage sum;
    struct usage want = MAKE(110, 220, 30, -1, 0, 6);
    r.total = MAKE(7, 7, 7, 7, 7, 6);
    r.n_iterations = 2;
    r.iterations[0].usage = MAKE(10, 20, 30, -1, -1, 100);
    r.iterations[1].usage = MAKE(100, 200, -1, -1, 0, 100);
    usage_report_sum(&r, &sum);
    check(&sum, &want);
    /* searches that only iterations state are not billed, nor said to be stated */
    r.total = MAKE(7, 7, 7, 7, 7, -1);
    want = MAKE(110, 220, 30, -1, 0, -1);
    usage_report_sum(&r, &sum);
    check(&sum, &want);
}
END_TEST

START_TEST(what_is_stated)
{
    static struct usage_report r;
    r.total = MAKE(0, 0);
    ck_assert(usage_report_states_prompt(&r) && usage_report_states_output(&r));
    r.total = MAKE(-1, 0, 5);
    ck_assert(!usage_report_states_prompt(&r) && usage_report_states_output(&r));
    r.total = MAKE(5, -1);
    ck_assert(usage_report_states_prompt(&r) && !usage_report_states_output(&r));
    r.total = MAKE(5, 5);
    usage_set_unclear(&r.total, USAGE_cache_read_tok);
    ck_assert(!usage_report_states_prompt(&r) && usage_report_states_output(&r));
    usage_set_unclear(&r.total, USAGE_output_tok);
    ck_assert(!usage_report_states_output(&r));
    r.total = MAKE(5, 5);
    r.unfinished = true;
    ck_assert(usage_report_states_prompt(&r) && !usage_report_states_output(&r));
    usage_report_clear(&r);
    r.total = MAKE(-1, -1);
    r.n_iterations = 2;
    r.iterations[0].usage = MAKE(1, 1);
    r.iterations[1].usage = MAKE(1, 1);
    ck_assert(usage_report_states_prompt(&r) && usage_report_states_output(&r));
    r.iterations[0].usage = MAKE(1, -1);
    ck_assert(usage_report_states_prompt(&r) && !usage_report_states_output(&r));
}
END_TEST

START_TEST(names)
{
    static const char *const buckets[] = {
        "input_tokens",          "output_tokens",         "cache_read_tokens",
        "cache_write_5m_tokens", "cache_write_1h_tokens", "web_searches",
        "audio_input_tokens",    "audio_output_tokens",   "audio_cache_read_tokens"};
    static const char *const sources[] = {"none", "estimated", "partial", "final", "reconciled"};
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++)
        ck_assert_str_eq(usage_bucket_name((enum usage_bucket)i), buckets[i]);
    for (int i = 0; i <= USAGE_RECONCILED; i++) {
        enum usage_source s = USAGE_NONE;
        ck_assert_str_eq(usage_source_name((enum usage_source)i), sources[i]);
        ck_assert(usage_source_parse(sources[i], &s));
        ck_assert_int_eq(s, i);
    }
    enum usage_source s = USAGE_PARTIAL;
    ck_assert(!usage_source_parse("Final", &s));
    ck_assert(!usage_source_parse("", &s));
    ck_assert_int_eq(s, USAGE_PARTIAL);
}
END_TEST

Suite *usage_suite(void);
Suite *usage_suite(void)
{
    Suite *s = suite_create("usage");
    TCase *t = tcase_create("usage");
    tcase_add_test(t, zero_is_stated);
    tcase_add_test_raise_signal(t, below_zero_is_a_bug, 6);
    tcase_add_test(t, merging_takes_the_larger_of_each);
    tcase_add_test(t, adding_adds_each);
    tcase_add_test(t, adding_stays_at_the_end);
    tcase_add_test(t, the_prompt_is_input_and_cache);
    tcase_add_test(t, without_iterations_the_total_is_billed);
    tcase_add_test(t, iterations_are_summed_and_searches_are_not);
    tcase_add_test(t, what_is_stated);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    return s;
}
