/* Unit tests of schema/err.c. */
#include <check.h>
#include <string.h>

#include "schema/err.h"

/* The table of docs/api.md "Errors", by hand: status and types of each. */
static const struct {
    enum err code;
    int status;
    const char *anthropic_type, *openai_type, *openai_code;
    enum err_retry retry;
} expected[] = {
    {ERR_bad_request, 400, "invalid_request_error", "invalid_request_error", NULL, RETRY_CALLER},
    {ERR_unauthenticated, 401, "authentication_error", "invalid_request_error", "invalid_api_key",
     RETRY_CALLER},
    {ERR_over_budget, 402, "billing_error", "insufficient_quota", "insufficient_quota",
     RETRY_NEVER},
    {ERR_forbidden, 403, "permission_error", "invalid_request_error", "permission_denied",
     RETRY_CALLER},
    {ERR_no_endpoint, 404, "not_found_error", "invalid_request_error", "model_not_found",
     RETRY_NEVER},
    {ERR_too_large, 413, "request_too_large", "invalid_request_error", "request_too_large",
     RETRY_CALLER},
    {ERR_all_rate_limited, 429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded",
     RETRY_LATER},
    {ERR_credentials_refused, 502, "api_error", "server_error", "provider_credentials",
     RETRY_CALLER},
    {ERR_ledger_down, 503, "api_error", "server_error", "ledger_unavailable", RETRY_LATER},
    {ERR_timed_out, 504, "timeout_error", "server_error", "timeout", RETRY_CALLER},
    {ERR_all_failed, 529, "overloaded_error", "server_error", "providers_failed", RETRY_CALLER},
};

START_TEST(rows_say_what_the_documents_say)
{
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct err_info *info = err_info(expected[i].code);
        ck_assert_int_eq(info->status, expected[i].status);
        ck_assert_str_eq(info->anthropic_type, expected[i].anthropic_type);
        ck_assert_str_eq(info->openai_type, expected[i].openai_type);
        ck_assert_pstr_eq(info->openai_code, expected[i].openai_code);
        ck_assert_int_eq(info->retry, expected[i].retry);
    }
}
END_TEST

START_TEST(every_row_is_complete)
{
    for (int code = ERR_OK + 1; code < ERR_COUNT_; code++) {
        const struct err_info *info = err_info((enum err)code);
        ck_assert_msg(info->name[0] != '\0' && info->text[0] != '\0', "row %d", code);
        ck_assert_msg(info->status >= 400 && info->status <= 529, "%s", info->name);
        ck_assert_msg(strlen(info->anthropic_type) > 0 && strlen(info->openai_type) > 0, "%s",
                      info->name);
    }
    ck_assert_str_eq(err_info(ERR_bad_request)->name, "bad_request");
}
END_TEST

START_TEST(no_row_for_ok)
{
    err_info(ERR_OK);
}
END_TEST

START_TEST(no_row_beyond_the_table)
{
    err_info(ERR_COUNT_);
}
END_TEST

START_TEST(fail_is_filled)
{
    struct fail f;
    memset(&f, 'x', sizeof(f));
    ck_assert_int_eq(fail_set(&f, ERR_too_large, "body", "%d over %s", 3, "it"), -1);
    ck_assert_int_eq(f.code, ERR_too_large);
    ck_assert_str_eq(f.field, "body");
    ck_assert_str_eq(f.text, "3 over it");
    ck_assert_int_eq(fail_set(&f, ERR_internal, NULL, "no field"), -1);
    ck_assert_str_eq(f.field, "");
    ck_assert_int_eq(fail_set(NULL, ERR_internal, NULL, "nobody listens"), -1);
}
END_TEST

START_TEST(fail_can_wrap_itself)
{
    struct fail f;
    fail_set(&f, ERR_bad_request, "model", "too short");
    fail_set(&f, ERR_internal, f.field, "while reading: %s", f.text);
    ck_assert_str_eq(f.text, "while reading: too short");
    ck_assert_str_eq(f.field, "model");
}
END_TEST

/* Whatever the length of what is before it, a character of 2 to 4 bytes is kept whole or
 * not at all. */
START_TEST(long_text_is_cut_between_characters)
{
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < 3; c++) {
        size_t width = strlen(characters[c]);
        for (size_t pad = FAIL_TEXT_MAX - 8; pad < FAIL_TEXT_MAX; pad++) {
            char want[FAIL_TEXT_MAX + 16] = "";
            memset(want, 'a', pad);
            memcpy(want + pad, characters[c], width + 1);
            struct fail f;
            fail_set(&f, ERR_internal, want, "%s", want);
            bool whole = pad + width < FAIL_TEXT_MAX;
            ck_assert_uint_eq(strlen(f.text), whole ? pad + width : pad);
            ck_assert_mem_eq(f.text, want, strlen(f.text));
            ck_assert_uint_eq(strlen(f.field), FAIL_FIELD_MAX - 1);
        }
    }
}
END_TEST

Suite *err_suite(void);
Suite *err_suite(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("err");
    tcase_add_test(t, rows_say_what_the_documents_say);
    tcase_add_test(t, every_row_is_complete);
    tcase_add_test_raise_signal(t, no_row_for_ok, 6);
    tcase_add_test_raise_signal(t, no_row_beyond_the_table, 6);
    tcase_add_test(t, fail_is_filled);
    tcase_add_test(t, fail_can_wrap_itself);
    tcase_add_test(t, long_text_is_cut_between_characters);
    suite_add_tcase(s, t);
    return s;
}
