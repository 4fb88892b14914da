/* Unit tests of schema/prefs.c and prefs_write.c: what the values become. */
#include "tests/unit/prefs_case.h"

START_TEST(defaults)
{
    good("{}");
    ck_assert_int_eq(prefs.sort, SORT_none);
    ck_assert(prefs.allow_fallbacks && !prefs.allow_fallbacks_set);
    ck_assert(!prefs.max_prompt.set && !prefs.max_total.set && !prefs.warn_tiny_cap);
    ck_assert_uint_eq(prefs.quantizations, 0);
    ck_assert_int_eq(prefs.order.n + prefs.only.n + prefs.ignore.n + prefs.n_configs, 0);
    ck_assert_ptr_null(prefs_str(&prefs, 0));
}
END_TEST

START_TEST(lists_keep_their_order)
{
    good("{\"provider_order\":[\"b\",\"a/x\"],\"provider_only\":[\"c\"],"
         "\"provider_ignore\":[\"d\",\"d\"]}");
    ck_assert_int_eq(prefs.order.n, 2);
    ck_assert_str_eq(prefs_str(&prefs, prefs.order.at[0]), "b");
    ck_assert_str_eq(prefs_str(&prefs, prefs.order.at[1]), "a/x");
    ck_assert_int_eq(prefs.only.n, 1);
    ck_assert_str_eq(prefs_str(&prefs, prefs.only.at[0]), "c");
    ck_assert_int_eq(prefs.ignore.n, 2);
    ck_assert_str_eq(prefs_str(&prefs, prefs.ignore.at[1]), "d");
}
END_TEST

static void fill_list(char *body, int n)
{
    size_t len = (size_t)snprintf(body, TEXT_MAX, "{\"provider_order\":[");
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(body + len, TEXT_MAX - len, "%s\"p%d\"", i > 0 ? "," : "", i);
    snprintf(body + len, TEXT_MAX - len, "]}");
}

START_TEST(lists_have_a_maximum)
{
    static char body[TEXT_MAX];
    fill_list(body, PREFS_LIST_MAX);
    good(body);
    ck_assert_str_eq(prefs_str(&prefs, prefs.order.at[127]), "p127");
    fill_list(body, PREFS_LIST_MAX + 1);
    bad(body, "provider_order must have at most 128 entries");
}
END_TEST

static const struct {
    const char *json;
    int64_t value;
    bool tiny;
} prompt_caps[] = {
    {"3", 3000000, false},
    {"\"3\"", 3000000, false},
    {"0.0375", 37500, false},
    {"3.0000009", 3000000, false},
    {"\"2.9999999999\"", 2999999, false},
    {"0.001", 1000, false},
    {"\"0.001\"", 1000, false},
    {"0.0009999", 999, true},
    {"0.000002", 2, true},
    {"3e-6", 3, true},
    {"\"0.0000001\"", 0, true},
    {"1e-300", 0, true},
    {"0", 0, false},
    {"-0", 0, false},
    {"0.0000000", 0, false},
    {"\"0.000\"", 0, false},
    {"0e-5", 0, false},
    {"9223372036854.775807", INT64_MAX, false},
    {"1e300", INT64_MAX, false},
    {"1.7976931348623157e308", INT64_MAX, false},
    {"\"99999999999999999999999\"", INT64_MAX, false},
};

START_TEST(caps_are_exact)
{
    char body[256];
    for (size_t i = 0; i < ROWS(prompt_caps); i++) {
        snprintf(body, sizeof(body), "{\"provider_max_prompt_price\":%s}", prompt_caps[i].json);
        good(body);
        ck_assert(prefs.max_prompt.set && !prefs.max_completion.set);
        ck_assert_msg(prefs.max_prompt.value == prompt_caps[i].value, "%s", body);
        ck_assert_msg(prefs.warn_tiny_cap == prompt_caps[i].tiny, "%s", body);
        snprintf(body, sizeof(body), "{\"provider\":{\"max_price\":{\"completion\":%s}}}",
                 prompt_caps[i].json);
        good(body);
        ck_assert(prefs.max_completion.set && !prefs.max_prompt.set);
        ck_assert_msg(prefs.max_completion.value == prompt_caps[i].value, "%s", body);
        ck_assert_msg(prefs.warn_tiny_cap == prompt_caps[i].tiny, "%s", body);
    }
}
END_TEST

START_TEST(caps_have_their_units)
{
    good("{\"provider_max_request_price\":0.01,\"provider_max_image_price\":\"0.0000000000019\","
         "\"provider_max_total_cost\":\"0.0000000019\",\"provider\":{\"max_price\":"
         "{\"audio\":2}}}");
    ck_assert_int_eq(prefs.max_request.value, 10000000000);
    ck_assert_int_eq(prefs.max_image.value, 1);
    ck_assert_int_eq(prefs.max_total.value, 1);
    ck_assert_int_eq(prefs.max_audio.value, 2000000);
    ck_assert(!prefs.warn_tiny_cap);
}
END_TEST

START_TEST(long_price_texts)
{
    static char body[TEXT_MAX];
    snprintf(body, sizeof(body), "{\"provider_max_prompt_price\":\"0.%0400d\"}", 7);
    good(body);
    ck_assert_int_eq(prefs.max_prompt.value, 0);
    snprintf(body, sizeof(body), "{\"provider_max_prompt_price\":\"0.%0600d\"}", 7);
    bad(body, "provider_max_prompt_price");
    ck_assert_ptr_nonnull(strstr(fault.text, "got a long string"));
    snprintf(body, sizeof(body), "{\"provider_max_prompt_price\":\"1%0309d\"}", 0);
    bad(body, "provider_max_prompt_price");
    snprintf(body, sizeof(body), "{\"provider_max_prompt_price\":1%0309d}", 0);
    bad(body, "provider_max_prompt_price");
}
END_TEST

START_TEST(quantizations_admit_their_family)
{
    good("{\"provider_quantizations\":[\"fp4\"]}");
    ck_assert_uint_eq(prefs.quantizations, 1u << QUANT_fp4 | 1u << QUANT_mxfp4 | 1u << QUANT_nvfp4);
    good("{\"provider_quantizations\":[\"fp8\",\"unknown\"]}");
    ck_assert_uint_eq(prefs.quantizations,
                      1u << QUANT_fp8 | 1u << QUANT_mxfp8 | 1u << QUANT_unknown);
    good("{\"provider_quantizations\":[\"mxfp4\"]}");
    ck_assert_uint_eq(prefs.quantizations, 1u << QUANT_mxfp4);
}
END_TEST

START_TEST(sort_and_partition)
{
    good("{\"provider\":{\"sort\":{\"by\":\"throughput\",\"partition\":\"none\"}}}");
    ck_assert_int_eq(prefs.sort, SORT_throughput);
    ck_assert(prefs.partition_none);
    ck_assert_str_eq(written(),
                     "{\"provider\":{\"sort\":{\"by\":\"throughput\",\"partition\":\"none\"}}}");
    good(written());
    ck_assert(prefs.partition_none && prefs.sort == SORT_throughput);
    good("{\"provider\":{\"sort\":{\"partition\":\"none\"}}}");
    ck_assert(prefs.partition_none && prefs.sort == SORT_none);
    good("{\"provider\":{\"sort\":{\"by\":\"latency\",\"partition\":\"model\"}}}");
    ck_assert(!prefs.partition_none && prefs.sort == SORT_latency);
    ck_assert_str_eq(written(), "{\"provider_sort\":\"latency\"}");
}
END_TEST

START_TEST(flags)
{
    good("{\"provider_zdr\":true,\"provider_require_parameters\":true,"
         "\"provider_data_collection\":\"deny\",\"provider_enforce_distillable_text\":true,"
         "\"provider_allow_fallbacks\":false}");
    ck_assert(prefs.zdr && prefs.require_parameters && prefs.data_collection_deny);
    ck_assert(prefs.distillable && !prefs.allow_fallbacks && prefs.allow_fallbacks_set);
    good("{\"provider_zdr\":false,\"provider_data_collection\":\"allow\","
         "\"provider_allow_fallbacks\":true}");
    ck_assert(!prefs.zdr && !prefs.data_collection_deny);
    ck_assert(prefs.allow_fallbacks && prefs.allow_fallbacks_set);
    ck_assert_str_eq(written(), "{\"provider_data_collection\":\"allow\",\"provider_zdr\":false,"
                                "\"provider_allow_fallbacks\":true}");
}
END_TEST

START_TEST(performance)
{
    good("{\"provider_preferred_max_latency\":1.5,"
         "\"provider\":{\"preferred_min_throughput\":{\"p90\":50,\"p99\":0.0019}}}");
    ck_assert(prefs.max_latency.set[P50] && !prefs.max_latency.set[P75]);
    ck_assert_int_eq(prefs.max_latency.milli[P50], 1500);
    ck_assert(!prefs.min_throughput.set[P50] && prefs.min_throughput.set[P90]);
    ck_assert_int_eq(prefs.min_throughput.milli[P90], 50000);
    ck_assert_int_eq(prefs.min_throughput.milli[P99], 1);
    good("{\"provider_preferred_min_throughput\":1e300}");
    ck_assert_int_eq(prefs.min_throughput.milli[P50], INT64_MAX);
}
END_TEST

START_TEST(reading_again_forgets)
{
    good("{\"provider_order\":[\"a\"],\"provider_zdr\":true,\"provider_max_prompt_price\":0.0001}");
    bad("{\"provider_only\":[\"b\"],\"provider_sort\":1}", "provider_sort");
    good("{\"provider_ignore\":[\"c\"]}");
    ck_assert_str_eq(written(), "{\"provider_ignore\":[\"c\"]}");
    ck_assert(!prefs.warn_tiny_cap);
    prefs_done(&prefs);
    ck_assert_str_eq(written(), "{}");
    good("{\"provider_sort\":\"price\"}");
    ck_assert_str_eq(written(), "{\"provider_sort\":\"price\"}");
}
END_TEST

/* An arm of an experiment: the object stands inside another document. */
START_TEST(an_object_inside_a_document)
{
    ck_assert_int_eq(
        json_parse(&doc, SPAN("{\"arms\":[{\"provider_sort\":\"price\"},{\"provider_sort\":1}]}"),
                   NULL),
        0);
    json_ref first = json_first(&doc, json_first(&doc, 0));
    ck_assert_int_eq(prefs_read(&prefs, &doc, first, &fault), 0);
    ck_assert_int_eq(prefs.sort, SORT_price);
    ck_assert_int_eq(prefs_read(&prefs, &doc, json_next(&doc, first), &fault), -1);
    ck_assert_str_eq(fault.field, "arms[1].provider_sort");
}
END_TEST

START_TEST(the_canonical_form)
{
    good("{\"provider\":{\"max_price\":{\"audio\":\"0.5\",\"prompt\":3},\"order\":[\"b\",\"a\"],"
         "\"sort\":\"price\",\"preferred_max_latency\":{\"p99\":5,\"p50\":1}},"
         "\"provider_max_total_cost\":0.25}");
    ck_assert_str_eq(written(), "{\"provider_order\":[\"b\",\"a\"],\"provider_sort\":\"price\","
                                "\"provider_max_prompt_price\":\"3\","
                                "\"provider_max_total_cost\":\"0.25\","
                                "\"provider_preferred_max_latency\":{\"p50\":1,\"p99\":5},"
                                "\"provider\":{\"max_price\":{\"audio\":\"0.5\"}}}");
}
END_TEST

Suite *prefs_suite(void);
Suite *prefs_suite(void)
{
    Suite *s = suite_create("prefs");
    TCase *t = tcase_create("prefs");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, defaults);
    tcase_add_test(t, lists_keep_their_order);
    tcase_add_test(t, lists_have_a_maximum);
    tcase_add_test(t, caps_are_exact);
    tcase_add_test(t, caps_have_their_units);
    tcase_add_test(t, long_price_texts);
    tcase_add_test(t, quantizations_admit_their_family);
    tcase_add_test(t, sort_and_partition);
    tcase_add_test(t, flags);
    tcase_add_test(t, performance);
    tcase_add_test(t, reading_again_forgets);
    tcase_add_test(t, an_object_inside_a_document);
    tcase_add_test(t, the_canonical_form);
    suite_add_tcase(s, t);
    return s;
}
