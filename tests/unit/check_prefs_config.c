/* Unit tests of schema/prefs_config.c. */
#include "tests/unit/prefs_case.h"

START_TEST(a_whole_config)
{
    good("{\"provider_configs\":{\"corp\":{\"api_key\":\"sk-1\",\"base_url\":"
         "\"https://llm.example/v1\",\"timeout_ms\":60000,\"auth_type\":\"api_key\","
         "\"auth_header_name\":\"X-Api-Key\",\"native_format\":\"anthropic\","
         "\"headers\":{\"x-team\":\"search\",\"x-none\":null,\"x-empty\":\"\"}},"
         "\"b/turbo\":{\"auth_type\":null}}}");
    ck_assert_int_eq(prefs.n_configs, 2);
    const struct provider_config *c = &prefs.configs[0];
    ck_assert_str_eq(prefs_str(&prefs, c->slug), "corp");
    ck_assert_str_eq(prefs_str(&prefs, c->api_key), "sk-1");
    ck_assert_str_eq(prefs_str(&prefs, c->base_url), "https://llm.example/v1");
    ck_assert_str_eq(prefs_str(&prefs, c->auth_header_name), "X-Api-Key");
    ck_assert_int_eq(c->timeout_ms, 60000);
    ck_assert(c->has_auth_type && c->auth_type == AUTH_API_KEY);
    ck_assert_int_eq(c->native_format, 2);
    ck_assert_int_eq(c->n_headers, 2);
    ck_assert_str_eq(prefs_str(&prefs, c->header_name[0]), "x-team");
    ck_assert_str_eq(prefs_str(&prefs, c->header_value[0]), "search");
    ck_assert_str_eq(prefs_str(&prefs, c->header_value[1]), "");
    c = &prefs.configs[1];
    ck_assert_str_eq(prefs_str(&prefs, c->slug), "b/turbo");
    ck_assert(c->api_key == 0 && c->base_url == 0 && c->timeout_ms == -1 && !c->has_auth_type);
    ck_assert_int_eq(c->native_format, 0);
}
END_TEST

START_TEST(secrets_are_not_written)
{
    good("{\"provider_configs\":{\"corp\":{\"api_key\":\"hush1\",\"headers\":{\"x\":\"hush2\"},"
         "\"timeout_ms\":1000,\"auth_type\":\"custom\",\"auth_header_name\":\"X-K\","
         "\"base_url\":\"http://h\",\"native_format\":\"openai\"}}}");
    ck_assert_str_eq(written(),
                     "{\"provider_configs\":{\"corp\":{\"base_url\":\"http://h\",\"timeout_ms\":"
                     "1000,\"auth_type\":\"custom\",\"auth_header_name\":\"X-K\","
                     "\"native_format\":\"openai\"}}}");
}
END_TEST

/* setting, value, what the message must have */
static const struct {
    const char *setting, *value;
} bad_settings[] = {
    {"api_key", "1"},
    {"api_key", "\"\""},
    {"api_key", "\"hush\\n\""},
    {"api_key", "\"hush\\u0000\""},
    {"api_key", "\"hush\xc3\xa9\""},
    {"api_key", "[\"hush\"]"},
    {"api_key", "{\"env\":\"hush\"}"},
    {"headers", "\"hush\""},
    {"headers", "[]"},
    {"headers", "[\"hush\"]"},
    {"headers", "{\"x\":1}"},
    {"headers", "{\"x\":[\"hush\"]}"},
    {"headers", "{\"x\":\"hush\\r\\ny: 1\"}"},
    {"headers", "{\"x\":\"hush\\u0000\"}"},
    {"headers", "{\"x\":\"hush\",\"x\":\"hush\"}"},
    {"headers", "{\"x\":\"hush\",\"X\":\"hush\"}"},
    {"headers", "{\"x\":null,\"x\":\"hush\"}"},
    {"headers", "{\"\":\"hush\"}"},
    {"headers", "{\"x y\":\"hush\"}"},
    {"headers", "{\"x:\":\"hush\"}"},
    {"headers", "{\"x\\n\":\"hush\"}"},
    {"headers", "{\"\xc3\xa9\":\"hush\"}"},
    {"headers", "{\"Host\":\"hush\"}"},
    {"headers", "{\"content-length\":\"hush\"}"},
    {"headers", "{\"Transfer-Encoding\":\"hush\"}"},
    {"headers", "{\"connection\":\"hush\"}"},
    {"headers", "{\"accept-encoding\":\"hush\"}"},
    {"headers", "{\"X-Amzn-Bedrock-Service-Tier\":\"hush\"}"},
    {"headers", "{\"x-vertex-ai-llm-shared-request-type\":\"hush\"}"},
    {"timeout_ms", "999"},
    {"timeout_ms", "600001"},
    {"timeout_ms", "-1"},
    {"timeout_ms", "0"},
    {"timeout_ms", "1500.5"},
    {"timeout_ms", "2e3"},
    {"timeout_ms", "\"2000\""},
    {"timeout_ms", "true"},
    {"timeout_ms", "99999999999999999999"},
    {"base_url", "\"\""},
    {"base_url", "1"},
    {"base_url", "\"llm.example\""},
    {"base_url", "\"ftp://llm.example\""},
    {"base_url", "\"https://\""},
    {"base_url", "\"https:///v1\""},
    {"base_url", "\"https://:80/v1\""},
    {"base_url", "\"https://llm.example:\""},
    {"base_url", "\"https://llm.example:99999/v1\""},
    {"base_url", "\"https://llm.example:-1\""},
    {"base_url", "\"https://[::1/v1\""},
    {"base_url", "\"https://[]/v1\""},
    {"base_url", "\"https://user@llm.example/\""},
    {"base_url", "\"https://llm.example\\\\@evil\""},
    {"base_url", "\"https://llm.example/v1?x=1\""},
    {"base_url", "\"https://llm.example/v1#x\""},
    {"base_url", "\"https://llm.example/ v1\""},
    {"base_url", "\"https://llm.example/\\n\""},
    {"base_url", "\" https://llm.example\""},
    {"base_url", "\"https://\xc3\xa9\""},
    {"base_url", "\"file:///etc/passwd\""},
    {"auth_type", "\"Bearer\""},
    {"auth_type", "\"none\""},
    {"auth_type", "\"\""},
    {"auth_type", "1"},
    {"auth_type", "[\"bearer\"]"},
    {"auth_header_name", "\"\""},
    {"auth_header_name", "\"x y\""},
    {"auth_header_name", "\"x:\""},
    {"auth_header_name", "\"host\""},
    {"auth_header_name", "\"x\\r\\n\""},
    {"auth_header_name", "1"},
    {"native_format", "\"gemini\""},
    {"native_format", "\"OpenAI\""},
    {"native_format", "\"\""},
    {"native_format", "1"},
};

/* Each names the setting, and no message has the value of a secret. */
START_TEST(bad_settings_are_refused_by_name)
{
    char body[512], name[FAIL_FIELD_MAX];
    for (size_t i = 0; i < ROWS(bad_settings); i++) {
        snprintf(body, sizeof(body), "{\"provider_configs\":{\"corp\":{\"%s\":%s}}}",
                 bad_settings[i].setting, bad_settings[i].value);
        snprintf(name, sizeof(name), "provider_configs.corp.%s", bad_settings[i].setting);
        bad(body, name);
        ck_assert_msg(strstr(fault.text, "hush") == NULL, "%s", fault.text);
        snprintf(body, sizeof(body), "{\"provider_configs\":{\"corp\":{\"%s\":null,\"%s\":null}}}",
                 bad_settings[i].setting, bad_settings[i].setting);
        bad(body, name);
    }
}
END_TEST

START_TEST(good_settings)
{
    static const struct {
        const char *setting, *value;
    } cases[] = {
        {"api_key", "\"a b\\tc\""},
        {"timeout_ms", "1000"},
        {"timeout_ms", "600000"},
        {"base_url", "\"http://127.0.0.1:8000\""},
        {"base_url", "\"HTTPS://llm.example/v1/\""},
        {"base_url", "\"http://[::1]:8000/v1\""},
        {"auth_type", "\"basic\""},
        {"headers", "{}"},
        {"headers", "{\"x-a\":\"1\",\"x-b\":\"\"}"},
        {"auth_header_name", "\"Authorization\""},
    };
    char body[512];
    for (size_t i = 0; i < ROWS(cases); i++) {
        snprintf(body, sizeof(body), "{\"provider_configs\":{\"a\":{\"%s\":%s}}}", cases[i].setting,
                 cases[i].value);
        good(body);
        ck_assert_int_eq(prefs.n_configs, 1);
    }
}
END_TEST

/* n members "k0": value, ... inside what open and close give. */
static void fill_members(char *body, const char *open, int n, const char *value, const char *close)
{
    size_t len = (size_t)snprintf(body, TEXT_MAX, "%s", open);
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(body + len, TEXT_MAX - len, "%s\"k%d\":%s", i > 0 ? "," : "", i,
                                value);
    snprintf(body + len, TEXT_MAX - len, "%s", close);
}

START_TEST(configs_have_a_maximum)
{
    static char body[TEXT_MAX];
    fill_members(body, "{\"provider_configs\":{", PREFS_CONFIGS_MAX, "{}", "}}");
    good(body);
    ck_assert_int_eq(prefs.n_configs, PREFS_CONFIGS_MAX);
    fill_members(body, "{\"provider_configs\":{", PREFS_CONFIGS_MAX + 1, "{}", "}}");
    bad(body, "provider_configs must have at most 16 entries");
    fill_members(body, "{\"provider_configs\":{", 400, "null", "}}");
    bad(body, "provider_configs must have at most 16 entries");
    fill_members(body, "{\"provider_configs\":{\"a\":{\"headers\":{", PREFS_HEADERS_MAX, "\"v\"",
                 "}}}}");
    good(body);
    ck_assert_int_eq(prefs.configs[0].n_headers, PREFS_HEADERS_MAX);
    fill_members(body, "{\"provider_configs\":{\"a\":{\"headers\":{", PREFS_HEADERS_MAX + 1,
                 "\"v\"", "}}}}");
    bad(body, "provider_configs.a.headers must have at most 16 entries");
}
END_TEST

/* 16 configs of 16 headers of 8 KiB would be 2 MiB. */
START_TEST(texts_have_a_maximum_together)
{
    const size_t n = PREFS_VALUE_MAX;
    struct buf body;
    buf_init(&body, 4 * 1024 * 1024);
    char *value = malloc(n + 1);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', n);
    value[n] = '\0';
    buf_adds(&body, "{\"provider_configs\":{");
    for (int c = 0; c < 4; c++) {
        buf_addf(&body, "%s\"c%d\":{\"headers\":{", c > 0 ? "," : "", c);
        for (int h = 0; h < 16; h++)
            buf_addf(&body, "%s\"x%d\":\"%s\"", h > 0 ? "," : "", h, value);
        buf_adds(&body, "}}");
    }
    buf_adds(&body, "}}");
    ck_assert_int_eq(read_text(buf_span(&body)), -1);
    ck_assert_ptr_nonnull(strstr(fault.text, "262144 bytes"));
    ck_assert_ptr_null(strstr(fault.text, "vvvv"));
    ck_assert_uint_le(prefs.text.len, PREFS_TEXT_MAX);
    free(value);
    buf_done(&body);
    good("{\"provider_order\":[\"a\"]}"); /* and the prefs can be used again */
    ck_assert_str_eq(prefs_str(&prefs, prefs.order.at[0]), "a");
}
END_TEST

/* For an endpoint what names it, else what names its provider, in whatever order they stand; an
 * account or an address of the request's own is elsewhere, a time limit or a header is not. */
START_TEST(of_an_endpoint)
{
    good("{\"provider_configs\":{\"a\":{\"timeout_ms\":1000},\"a/x\":{\"api_key\":\"k\"},"
         "\"b\":{\"base_url\":\"http://h\"},\"c\":{\"headers\":{\"x\":\"1\"}}}}");
    const struct provider_config *c = prefs.configs;
    ck_assert_ptr_eq(prefs_config(&prefs, "a/x", "a"), &c[1]);
    ck_assert_ptr_eq(prefs_config(&prefs, "a/y", "a"), &c[0]);
    ck_assert_ptr_eq(prefs_config(&prefs, "b", "b"), &c[2]);
    ck_assert_ptr_null(prefs_config(&prefs, "d", "d"));
    ck_assert(prefs_config_is_elsewhere(&c[1]) && prefs_config_is_elsewhere(&c[2]));
    ck_assert(!prefs_config_is_elsewhere(&c[0]) && !prefs_config_is_elsewhere(&c[3]));
}
END_TEST

Suite *prefs_config_suite(void);
Suite *prefs_config_suite(void)
{
    Suite *s = suite_create("prefs_config");
    TCase *t = tcase_create("prefs_config");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_whole_config);
    tcase_add_test(t, secrets_are_not_written);
    tcase_add_test(t, bad_settings_are_refused_by_name);
    tcase_add_test(t, good_settings);
    tcase_add_test(t, configs_have_a_maximum);
    tcase_add_test(t, texts_have_a_maximum_together);
    tcase_add_test(t, of_an_endpoint);
    suite_add_tcase(s, t);
    return s;
}
