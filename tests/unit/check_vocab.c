/* Unit tests of schema/vocab.c. */
#include <check.h>

#include "schema/vocab.h"

/* The words of docs/api.md, written out by hand: the X-macros must give these. */
static const char *const quantizations[] = {"unknown", "int4", "int8",  "fp4",  "mxfp4", "nvfp4",
                                            "fp6",     "fp8",  "mxfp8", "fp16", "bf16",  "fp32"};
static const char *const params[] = {"temperature",
                                     "top_p",
                                     "top_k",
                                     "min_p",
                                     "top_a",
                                     "frequency_penalty",
                                     "presence_penalty",
                                     "repetition_penalty",
                                     "max_tokens",
                                     "max_completion_tokens",
                                     "logit_bias",
                                     "logprobs",
                                     "top_logprobs",
                                     "prediction",
                                     "seed",
                                     "response_format",
                                     "structured_outputs",
                                     "stop",
                                     "tools",
                                     "tool_choice",
                                     "parallel_tool_calls",
                                     "include_reasoning",
                                     "reasoning",
                                     "reasoning_effort",
                                     "web_search_options",
                                     "verbosity"};
static const char *const modalities[] = {"text", "image", "pdf", "audio", "video", "file"};
static const char *const sorts[] = {"none", "price", "throughput", "latency"};

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

START_TEST(quantization_words)
{
    ck_assert_int_eq(QUANT_COUNT, ROWS(quantizations));
    enum quantization q = QUANT_COUNT;
    ck_assert_str_eq(quantization_name((enum quantization)_i), quantizations[_i]);
    ck_assert(quantization_parse(span_of(quantizations[_i]), &q));
    ck_assert_int_eq(q, _i);
}
END_TEST

START_TEST(param_words)
{
    ck_assert_int_eq(PARAM_COUNT, ROWS(params));
    enum param p = PARAM_COUNT;
    ck_assert_str_eq(param_name((enum param)_i), params[_i]);
    ck_assert(param_parse(span_of(params[_i]), &p));
    ck_assert_int_eq(p, _i);
    ck_assert_uint_eq(PARAM_BIT(p), UINT32_C(1) << _i);
}
END_TEST

START_TEST(modality_words)
{
    ck_assert_int_eq(MODALITY_COUNT, ROWS(modalities));
    enum modality m = MODALITY_COUNT;
    ck_assert_str_eq(modality_name((enum modality)_i), modalities[_i]);
    ck_assert(modality_parse(span_of(modalities[_i]), &m));
    ck_assert_int_eq(m, _i);
}
END_TEST

START_TEST(sort_words)
{
    ck_assert_int_eq(SORT_COUNT, ROWS(sorts));
    enum sort s = SORT_COUNT;
    ck_assert_str_eq(sort_name((enum sort)_i), sorts[_i]);
    ck_assert_int_eq(sort_parse(span_of(sorts[_i]), &s), _i != SORT_none);
    ck_assert_int_eq(s, _i != SORT_none ? _i : SORT_COUNT);
}
END_TEST

START_TEST(rule_words)
{
    for (int i = 0; i < RULE_COUNT; i++) {
        enum model_rule r = RULE_COUNT;
        ck_assert(model_rule_parse(span_of(model_rule_name((enum model_rule)i)), &r));
        ck_assert_int_eq(r, i);
    }
    ck_assert_str_eq(model_rule_name(RULE_no_prefill), "no_prefill");
}
END_TEST

static const struct span no_words[] = {
    {"", 0},      {NULL, 0},    {"fp", 2},    {"fp88", 4},   {"FP8", 3},  {" fp8", 4},
    {"fp8 ", 4},  {"fp8\0", 4}, {"Price", 5}, {"prices", 6}, {"tool", 4}, {"TEXT", 4},
    {"text,", 5}, {"none", 4},  {"null", 4},  {"top-p", 5},  {"0", 1},
};

START_TEST(refuses_other_words)
{
    enum quantization q = QUANT_fp32;
    enum param p = PARAM_seed;
    enum modality m = MODALITY_pdf;
    enum sort s = SORT_latency;
    enum model_rule r = RULE_no_prefill;
    ck_assert(!model_rule_parse(no_words[_i], &r));
    ck_assert(!quantization_parse(no_words[_i], &q));
    ck_assert(!param_parse(no_words[_i], &p));
    ck_assert(!modality_parse(no_words[_i], &m));
    ck_assert(!sort_parse(no_words[_i], &s));
    ck_assert(q == QUANT_fp32 && p == PARAM_seed && m == MODALITY_pdf && s == SORT_latency);
}
END_TEST

START_TEST(lists_quantizations)
{
    struct buf out;
    buf_init(&out, 1000);
    quantization_list(&out);
    ck_assert_str_eq(out.ptr, "unknown, int4, int8, fp4, mxfp4, nvfp4, fp6, fp8, mxfp8, fp16, "
                              "bf16, fp32");
    buf_done(&out);
}
END_TEST

Suite *vocab_suite(void);
Suite *vocab_suite(void)
{
    Suite *s = suite_create("vocab");
    TCase *t = tcase_create("vocab");
    tcase_add_test(t, rule_words);
    tcase_add_loop_test(t, quantization_words, 0, ROWS(quantizations));
    tcase_add_loop_test(t, param_words, 0, ROWS(params));
    tcase_add_loop_test(t, modality_words, 0, ROWS(modalities));
    tcase_add_loop_test(t, sort_words, 0, ROWS(sorts));
    tcase_add_loop_test(t, refuses_other_words, 0, ROWS(no_words));
    tcase_add_test(t, lists_quantizations);
    suite_add_tcase(s, t);
    return s;
}
