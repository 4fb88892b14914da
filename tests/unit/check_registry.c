/* Unit tests of providers/registry.c. */
#include <check.h>

#include "providers/provider.h"

/* The catalog's words (router/catalog_wayfare.c). */
START_TEST(test_every_protocol_has_one_adapter)
{
    static const char *const words[] = {"anthropic", "openai",       "gemini",
                                        "bedrock",   "azure-openai", "vertex"};
    size_t n = sizeof(words) / sizeof(words[0]), rows = 0;
    for (size_t i = 0; i < n; i++) {
        const struct provider *p = provider_find(words[i]);
        ck_assert_msg(p != NULL, "%s", words[i]);
        ck_assert_str_eq(p->protocol, words[i]);
    }
    while (provider_all[rows] != NULL)
        rows++;
    ck_assert_uint_ge(rows, n);
    for (size_t i = 0; i < rows; i++)
        ck_assert_ptr_eq(provider_find(provider_all[i]->protocol), provider_all[i]);
    ck_assert_ptr_null(provider_find("smoke-signals"));
}
END_TEST

START_TEST(test_adapters_are_whole)
{
    for (size_t i = 0; provider_all[i] != NULL; i++) {
        const struct provider *p = provider_all[i];
        ck_assert_msg(p->native_door && p->stream_type && p->build && p->stream_open &&
                          p->stream_feed && p->stream_at_boundary && p->stream_state &&
                          p->stream_close && p->read_body && p->is_error_body && p->read_error,
                      "%s", p->protocol);
    }
}
END_TEST

Suite *registry_suite(void);
Suite *registry_suite(void)
{
    Suite *s = suite_create("registry");
    TCase *c = tcase_create("registry");
    tcase_add_test(c, test_every_protocol_has_one_adapter);
    tcase_add_test(c, test_adapters_are_whole);
    suite_add_tcase(s, c);
    return s;
}
