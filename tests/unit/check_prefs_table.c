/* The tables of good and bad values are by type; the fields they are tried on, in both
 * spellings, are the rows of prefs_spec.h. */
#include "tests/unit/prefs_case.h"

/* ---- the fields of the specification ---- */

struct spelling {
    const char *flat, *nested, *type;
    enum prefs_level level;
};

static const struct spelling spellings[] = {
#define FIELD(flat, level, nested, type, member, arg) {flat, nested, #type, PREFS_##level},
    PREFS_FIELDS(FIELD)
#undef FIELD
};

/* What docs/api.md promises, by hand, so that a row cannot be lost. */
static const char *const documented[] = {"provider_order",
                                         "provider_only",
                                         "provider_ignore",
                                         "provider_sort",
                                         "provider_quantizations",
                                         "provider_max_prompt_price",
                                         "provider_max_completion_price",
                                         "provider_max_request_price",
                                         "provider_max_image_price",
                                         "provider_max_total_cost",
                                         "provider_require_parameters",
                                         "provider_data_collection",
                                         "provider_zdr",
                                         "provider_enforce_distillable_text",
                                         "provider_allow_fallbacks",
                                         "provider_preferred_max_latency",
                                         "provider_preferred_min_throughput",
                                         "provider_configs"};

/* The body in which the field has this value, flat or nested, and the field's name there. */
static void spell(const struct spelling *s, bool flat, const char *value, char *body, char *name)
{
    if (flat) {
        snprintf(name, FAIL_FIELD_MAX, "%s", s->flat);
        snprintf(body, TEXT_MAX, "{\"model\":\"m\",\"%s\":%s,\"stream\":true}", s->flat, value);
    } else if (s->level == PREFS_PROVIDER) {
        snprintf(name, FAIL_FIELD_MAX, "provider.%s", s->nested);
        snprintf(body, TEXT_MAX, "{\"provider\":{\"%s\":%s}}", s->nested, value);
    } else {
        snprintf(name, FAIL_FIELD_MAX, "provider.max_price.%s", s->nested);
        snprintf(body, TEXT_MAX, "{\"provider\":{\"max_price\":{\"%s\":%s}}}", s->nested, value);
    }
}

static bool has_spelling(const struct spelling *s, bool flat)
{
    return flat ? s->flat != NULL : s->level != PREFS_FLAT;
}

/* ---- values by type ---- */

static const struct {
    const char *type;
    const char *value;
} bad_values[] = {
    {"slugs", "\"a\""},
    {"slugs", "1"},
    {"slugs", "true"},
    {"slugs", "{}"},
    {"slugs", "{\"0\":\"a\"}"},
    {"slugs", "[1]"},
    {"slugs", "[null]"},
    {"slugs", "[\"\"]"},
    {"slugs", "[\"a\",{}]"},
    {"slugs", "[[\"a\"]]"},
    {"slugs", "[\"a\\u0001\"]"},
    {"slugs", "[\"a\\u0000b\"]"},
    {"slugs", "[\"a\\n\"]"},
    {"slugs", "[\"\\ud800\"]"},
    {"slugs", "[\"\xc3\xa9\"]"},
    {"slugs", "[\"" SLUG_129 "\"]"},
    {"sort", "\"cheap\""},
    {"sort", "\"Price\""},
    {"sort", "\"none\""},
    {"sort", "\"exacto\""},
    {"sort", "\"\""},
    {"sort", "\"price \""},
    {"sort", "\"price\\u0000\""},
    {"sort", "\"a word longer than any of them\""},
    {"sort", "1"},
    {"sort", "false"},
    {"sort", "[]"},
    {"sort", "[\"price\"]"},
    {"sort", "{\"by\":\"cheap\"}"},
    {"sort", "{\"by\":1}"},
    {"sort", "{\"by\":\"price\",\"partition\":\"all\"}"},
    {"sort", "{\"partition\":true}"},
    {"sort", "{\"by\":\"price\",\"order\":\"asc\"}"},
    {"sort", "{\"by\":\"price\",\"by\":\"price\"}"},
    {"sort", "{\"partition\":null,\"partition\":\"none\"}"},
    {"quants", "\"fp8\""},
    {"quants", "8"},
    {"quants", "{}"},
    {"quants", "true"},
    {"quants", "[\"fp9\"]"},
    {"quants", "[\"FP8\"]"},
    {"quants", "[\"fp8\",\"\"]"},
    {"quants", "[8]"},
    {"quants", "[null]"},
    {"quants", "[[\"fp8\"]]"},
    {"cap", "-1"},
    {"cap", "-0.5"},
    {"cap", "-1e-300"},
    {"cap", "1e309"},
    {"cap", "-1e309"},
    {"cap", "\"-1\""},
    {"cap", "\"-0\""},
    {"cap", "\"-0.0\""},
    {"cap", "\"+1\""},
    {"cap", "\" 1\""},
    {"cap", "\"1 \""},
    {"cap", "\"1e3\""},
    {"cap", "\"1E3\""},
    {"cap", "\".5\""},
    {"cap", "\"5.\""},
    {"cap", "\"\""},
    {"cap", "\"abc\""},
    {"cap", "\"$3\""},
    {"cap", "\"1,5\""},
    {"cap", "\"NaN\""},
    {"cap", "\"Infinity\""},
    {"cap", "\"1\\u0000\""},
    {"cap", "true"},
    {"cap", "[]"},
    {"cap", "[1]"},
    {"cap", "{}"},
    {"cap", "{\"usd\":1}"},
    {"prices", "3"},
    {"prices", "\"3\""},
    {"prices", "[]"},
    {"prices", "[3]"},
    {"prices", "true"},
    {"prices", "{\"input\":3}"},
    {"prices", "{\"prompt\":3,\"prompt\":3}"},
    {"prices", "{\"max_price\":{}}"},
    {"flag", "1"},
    {"flag", "0"},
    {"flag", "\"true\""},
    {"flag", "\"\""},
    {"flag", "[]"},
    {"flag", "[true]"},
    {"flag", "{}"},
    {"collection", "\"Deny\""},
    {"collection", "\"none\""},
    {"collection", "\"\""},
    {"collection", "true"},
    {"collection", "1"},
    {"collection", "[]"},
    {"collection", "[\"deny\"]"},
    {"collection", "{}"},
    {"perf", "-1"},
    {"perf", "-0.001"},
    {"perf", "1e400"},
    {"perf", "\"1\""},
    {"perf", "true"},
    {"perf", "[]"},
    {"perf", "[1]"},
    {"perf", "{\"p95\":1}"},
    {"perf", "{\"P50\":1}"},
    {"perf", "{\"p50\":-1}"},
    {"perf", "{\"p50\":\"1\"}"},
    {"perf", "{\"p50\":true}"},
    {"perf", "{\"p50\":{}}"},
    {"perf", "{\"p50\":1,\"p50\":2}"},
    {"perf", "{\"p99\":1e309}"},
    {"configs", "\"a\""},
    {"configs", "1"},
    {"configs", "true"},
    {"configs", "[]"},
    {"configs", "[{}]"},
    {"configs", "{\"a\":1}"},
    {"configs", "{\"a\":\"k\"}"},
    {"configs", "{\"a\":[]}"},
    {"configs", "{\"\":{}}"},
    {"configs", "{\"" SLUG_129 "\":{}}"},
    {"configs", "{\"a\":{},\"a\":{}}"},
    {"configs", "{\"a\":null,\"a\":{}}"},
    {"configs", "{\"a\":{},\"\\u0061\":{}}"},
    {"configs", "{\"a\":{\"key\":\"k\"}}"},
    {"configs", "{\"a\":{\"retry_config\":{}}}"},
    {"configs", "{\"a\":{\"api_key\":\"k\",\"api_key\":\"k\"}}"},
};

/* Types that share the rows of another. */
static bool type_has(const char *type, const char *row)
{
    if (strcmp(type, "mtok_cap") == 0)
        return strcmp(row, "cap") == 0;
    if (strcmp(type, "fallbacks") == 0)
        return strcmp(row, "flag") == 0;
    return strcmp(type, row) == 0;
}

static const struct {
    const char *type;
    const char *value;
} good_values[] = {
    {"slugs", "[\"anthropic\"]"},
    {"slugs", "[\"deepinfra/turbo\", \"b\", \"Google AI Studio\"]"},
    {"slugs", "[\"\\u0061\\/b\"]"},
    {"sort", "\"price\""},
    {"sort", "\"throughput\""},
    {"sort", "\"laten\\u0063y\""},
    {"quants", "[\"int4\"]"},
    {"quants", "[\"fp4\",\"fp8\",\"fp4\",\"unknown\"]"},
    {"cap", "0"},
    {"cap", "-0"},
    {"cap", "3"},
    {"cap", "0.25"},
    {"cap", "3e-1"},
    {"cap", "1e300"},
    {"cap", "\"0\""},
    {"cap", "\"15.000\""},
    {"cap", "\"0.0375\""},
    {"flag", "true"},
    {"flag", "false"},
    {"collection", "\"deny\""},
    {"collection", "\"allow\""},
    {"perf", "0"},
    {"perf", "1.5"},
    {"perf", "{\"p50\":1,\"p75\":2,\"p90\":3.25,\"p99\":4}"},
    {"perf", "{\"p90\":50,\"p99\":null}"},
    {"prices", "{\"prompt\":1,\"completion\":\"2\",\"request\":0,\"image\":0.5,\"audio\":7}"},
    {"configs", "{\"a\":{}}"},
    {"configs", "{\"a\":{\"timeout_ms\":1000,\"auth_type\":\"bearer\"}}"},
};

/* ---- tests from the tables ---- */

START_TEST(the_documented_fields_are_the_rows)
{
    size_t n = 0;
    for (size_t i = 0; i < ROWS(spellings); i++) {
        if (spellings[i].flat == NULL)
            continue;
        ck_assert_uint_lt(n, ROWS(documented));
        bool found = false;
        for (size_t k = 0; k < ROWS(documented); k++)
            found = found || strcmp(documented[k], spellings[i].flat) == 0;
        ck_assert_msg(found, "%s", spellings[i].flat);
        n++;
    }
    ck_assert_uint_eq(n, ROWS(documented));
}
END_TEST

START_TEST(bad_values_are_refused_by_name)
{
    static char body[TEXT_MAX];
    char name[FAIL_FIELD_MAX];
    int n = 0;
    for (size_t i = 0; i < ROWS(spellings); i++) {
        for (size_t k = 0; k < ROWS(bad_values); k++) {
            for (int flat = 0; flat < 2; flat++) {
                if (!has_spelling(&spellings[i], flat) ||
                    !type_has(spellings[i].type, bad_values[k].type))
                    continue;
                spell(&spellings[i], flat, bad_values[k].value, body, name);
                bad(body, name);
                n++;
            }
        }
    }
    ck_assert_int_ge(n, 400);
}
END_TEST

/* An object is refused where the flat form of sort takes a word only. */
START_TEST(flat_sort_is_a_word)
{
    bad("{\"provider_sort\":{\"by\":\"price\"}}",
        "provider_sort must be one of price, throughput, latency; got an object");
    bad("{\"provider_sort\":\"cheap\"}",
        "provider_sort must be one of price, throughput, latency; got \"cheap\"");
    bad("{\"provider_sort\":{}}", "provider_sort");
}
END_TEST

START_TEST(a_field_is_given_once)
{
    static char body[TEXT_MAX];
    int n = 0;
    for (size_t i = 0; i < ROWS(spellings); i++) {
        const struct spelling *s = &spellings[i];
        const char *name = s->flat;
        if (name != NULL) {
            snprintf(body, sizeof(body), "{\"%s\":null,\"model\":1,\"%s\":null}", name, name);
            bad(body, name);
            ck_assert_ptr_nonnull(strstr(fault.text, "given twice"));
            ck_assert_str_eq(fault.field, name);
            /* the same key, spelt with an escape */
            snprintf(body, sizeof(body), "{\"%s\":null,\"\\u0070%s\":null}", name, name + 1);
            bad(body, "given twice");
            n++;
        }
        if (s->level == PREFS_PROVIDER) {
            snprintf(body, sizeof(body), "{\"provider\":{\"%s\":null,\"%s\":null}}", s->nested,
                     s->nested);
            bad(body, s->nested);
            n++;
        } else if (s->level == PREFS_MAX_PRICE) {
            snprintf(body, sizeof(body), "{\"provider\":{\"max_price\":{\"%s\":null,\"%s\":null}}}",
                     s->nested, s->nested);
            bad(body, s->nested);
            n++;
        }
    }
    ck_assert_int_eq(n, 36);
    bad("{\"provider\":{},\"provider\":{}}", "provider is given twice");
    bad("{\"provider\":null,\"provider\":null}", "provider is given twice");
}
END_TEST

static const char *good_value(const struct spelling *s)
{
    for (size_t k = 0; k < ROWS(good_values); k++) {
        if (type_has(s->type, good_values[k].type))
            return good_values[k].value;
    }
    ck_abort_msg("no good value for %s", s->type);
    return NULL;
}

START_TEST(both_spellings_at_once_are_refused)
{
    static char body[TEXT_MAX];
    int n = 0;
    for (size_t i = 0; i < ROWS(spellings); i++) {
        const struct spelling *s = &spellings[i];
        if (s->flat == NULL || s->level == PREFS_FLAT)
            continue;
        bool price = s->level == PREFS_MAX_PRICE;
        const char *open = price ? "{\"max_price\":{" : "{", *close = price ? "}}" : "}";
        const char *v = good_value(s);
        snprintf(body, sizeof(body), "{\"%s\":%s,\"provider\":%s\"%s\":%s%s}", s->flat, v, open,
                 s->nested, v, close);
        bad(body, s->flat);
        ck_assert_ptr_nonnull(strstr(fault.text, "one field"));
        snprintf(body, sizeof(body), "{\"provider\":%s\"%s\":%s%s,\"%s\":%s}", open, s->nested, v,
                 close, s->flat, v);
        bad(body, s->nested);
        /* null is absent */
        snprintf(body, sizeof(body), "{\"provider\":%s\"%s\":null%s,\"%s\":%s}", open, s->nested,
                 close, s->flat, v);
        good(body);
        snprintf(body, sizeof(body), "{\"provider\":%s\"%s\":%s%s,\"%s\":null}", open, s->nested, v,
                 close, s->flat);
        good(body);
        n++;
    }
    ck_assert_int_eq(n, 16);
    /* so is an empty list */
    good("{\"provider_order\":[\"a\"],\"provider\":{\"order\":[]}}");
    good("{\"provider\":{\"quantizations\":[\"fp8\"]},\"provider_quantizations\":[]}");
    ck_assert_str_eq(written(), "{\"provider_quantizations\":[\"fp8\",\"mxfp8\"]}");
    /* different fields may be spelt differently */
    good("{\"provider_max_prompt_price\":1,\"provider\":{\"max_price\":{\"completion\":2}}}");
    ck_assert(prefs.max_prompt.set && prefs.max_completion.set);
}
END_TEST

/* Each good value means the same in both spellings, and writing and reading it back
 * changes nothing. */
START_TEST(both_spellings_mean_the_same)
{
    static char body[TEXT_MAX], first[TEXT_MAX];
    char name[FAIL_FIELD_MAX];
    int n = 0;
    for (size_t i = 0; i < ROWS(spellings); i++) {
        for (size_t k = 0; k < ROWS(good_values); k++) {
            const struct spelling *s = &spellings[i];
            if (!type_has(s->type, good_values[k].type))
                continue;
            bool flat = has_spelling(s, true);
            spell(s, flat, good_values[k].value, body, name);
            good(body);
            snprintf(first, sizeof(first), "%s", written());
            ck_assert_msg(strcmp(first, "{}") != 0, "%s", body);
            if (flat && has_spelling(s, false)) {
                spell(s, false, good_values[k].value, body, name);
                good(body);
                ck_assert_str_eq(written(), first);
            }
            good(first);
            ck_assert_str_eq(written(), first);
            n++;
        }
    }
    ck_assert_int_ge(n, 60);
}
END_TEST

START_TEST(null_is_absent)
{
    static char body[TEXT_MAX];
    char name[FAIL_FIELD_MAX];
    for (size_t i = 0; i < ROWS(spellings); i++) {
        for (int flat = 0; flat < 2; flat++) {
            if (!has_spelling(&spellings[i], flat))
                continue;
            spell(&spellings[i], flat, "null", body, name);
            good(body);
            ck_assert_str_eq(written(), "{}");
            ck_assert_uint_eq(prefs.given & 1u << i, 0);
        }
    }
    static const char *const nothing[] = {
        "{}",
        "{\"provider\":null}",
        "{\"provider\":{}}",
        "{\"provider\":{\"sort\":{}}}",
        "{\"provider\":{\"max_price\":{}}}",
        "{\"provider\":{\"max_price\":{\"prompt\":null}}}",
        "{\"provider\":{\"sort\":{\"by\":null,\"partition\":null}}}",
        "{\"provider_order\":[]}",
        "{\"provider_only\":[],\"provider_ignore\":[]}",
        "{\"provider_configs\":{}}",
        "{\"provider_configs\":{\"a\":null}}",
        "{\"provider_preferred_max_latency\":{}}",
        "{\"provider_preferred_max_latency\":{\"p50\":null}}"};
    for (size_t i = 0; i < ROWS(nothing); i++) {
        good(nothing[i]);
        ck_assert_str_eq(written(), "{}");
    }
}
END_TEST

/* ---- unknown names ---- */

START_TEST(unknown_names_are_refused)
{
    static const struct {
        const char *json, *mention;
    } cases[] = {
        {"{\"provider_ordr\":[]}", "provider_ordr is not a routing field"},
        {"{\"provider_\":null}", "provider_ is not"},
        {"{\"provider_max_audio_price\":1}", "provider_max_audio_price"},
        {"{\"provider_partition\":\"none\"}", "provider_partition"},
        {"{\"provider_Order\":[]}", "provider_Order"},
        {"{\"provider_ordr\":null}", "{order, only, ignore, sort, quantizations, "},
        {"{\"provider\":{\"ordr\":[]}}", "provider.ordr is not known"},
        {"{\"provider\":{\"ordr\":null}}", "order, only, ignore, sort"},
        {"{\"provider\":{\"\":null}}", "provider."},
        {"{\"provider\":{\"provider_order\":[]}}", "at the top level there is provider_order"},
        {"{\"provider\":{\"max_total_cost\":1}}", "provider_max_total_cost"},
        {"{\"provider\":{\"configs\":{}}}", "provider_configs"},
        {"{\"provider\":{\"prompt\":1}}", "provider.prompt"},
        {"{\"provider\":{\"max_price\":{\"tokens\":1}}}", "prompt, completion, request, image, "},
        {"{\"provider\":[]}", "provider must be an object of order, only"},
        {"{\"provider\":\"anthropic\"}", "got \"anthropic\""},
        {"{\"provider\":1}", "provider must be"},
        {"{\"provider\":true}", "provider must be"},
        {"{\"provider\":{\"max_price\":{\"audio\":-1}}}", "provider.max_price.audio"},
        {"{\"provider\":{\"sort\":{\"by\":\"x\"}}}", "provider.sort.by must be one of price"},
        {"{\"provider\":{\"sort\":{\"px\":1}}}", "provider.sort.px is not known"},
        {"{\"provider_preferred_max_latency\":{\"p95\":1}}", "accepted are p50, p75, p90, p99"},
        {"{\"provider_quantizations\":[\"q4\"]}", "unknown, int4, int8, fp4, mxfp4, nvfp4"},
        {"{\"provider_order\":[\"a\",7]}", "provider_order[1] must be a provider slug"},
    };
    for (size_t i = 0; i < ROWS(cases); i++)
        bad(cases[i].json, cases[i].mention);
}
END_TEST

/* The longest list of names is not cut off. */
START_TEST(the_list_of_names_fits)
{
    bad("{\"provider_a_name_that_is_rather_long_but_could_occur\":1}", "configs}");
}
END_TEST

START_TEST(other_members_are_none_of_ours)
{
    good("{\"providers\":1,\"Provider\":2,\"prov\":3,\"models\":4,\"model\":5,\"x_provider_order\":"
         "6}");
    ck_assert_str_eq(written(), "{}");
}
END_TEST

START_TEST(routing_members)
{
    static const struct {
        const char *json;
        bool routing;
    } cases[] = {
        {"{\"models\":1}", true},    {"{\"provider\":1}", true},       {"{\"provider_x\":1}", true},
        {"{\"provider_\":1}", true}, {"{\"provi\\u0064er\":1}", true}, {"{\"providers\":1}", false},
        {"{\"model\":1}", false},    {"{\"modelsx\":1}", false},       {"{\"\":1}", false},
        {"{\"Provider\":1}", false},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        ck_assert_int_eq(json_parse(&doc, span_of(cases[i].json), NULL), 0);
        ck_assert_msg(prefs_is_routing_member(&doc, json_first(&doc, 0)) == cases[i].routing, "%s",
                      cases[i].json);
    }
}
END_TEST

Suite *prefs_table_suite(void);
Suite *prefs_table_suite(void)
{
    Suite *s = suite_create("prefs_table");
    TCase *t = tcase_create("prefs_table");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_documented_fields_are_the_rows);
    tcase_add_test(t, bad_values_are_refused_by_name);
    tcase_add_test(t, flat_sort_is_a_word);
    tcase_add_test(t, a_field_is_given_once);
    tcase_add_test(t, both_spellings_at_once_are_refused);
    tcase_add_test(t, both_spellings_mean_the_same);
    tcase_add_test(t, null_is_absent);
    tcase_add_test(t, unknown_names_are_refused);
    tcase_add_test(t, the_list_of_names_fits);
    tcase_add_test(t, other_members_are_none_of_ours);
    tcase_add_test(t, routing_members);
    suite_add_tcase(s, t);
    return s;
}
