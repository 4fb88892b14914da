/* The catalog in memory: building, freezing, look-ups, slugs and tiers, credentials. */
#define _GNU_SOURCE
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/catalog.h"
#include "router/catalog_words.h"

Suite *catalog_suite(void);

static struct catalog_builder *b;
static struct fail why;

static void setup(void)
{
    b = catalog_builder_new();
    why = (struct fail){.code = ERR_OK};
    ck_assert_ptr_nonnull(b);
}

static void teardown(void)
{
    catalog_builder_free(b);
}

static void provider(const char *slug, const char *name)
{
    struct provider_spec s = {
        .slug = slug, .name = name, .protocol = "anthropic", .timeouts = TIMEOUTS_DEFAULT};
    ck_assert_msg(catalog_add_provider(b, &s, &why) == 0, "%s", why.text);
}

static int add_model(const char *slug, const char *alias)
{
    const char *aliases[] = {alias};
    struct model_spec s = {.slug = slug, .n_aliases = alias != NULL, .aliases = aliases};
    return catalog_add_model(b, &s, &why);
}

static int add_endpoint(const char *at, const char *variant, const char *upstream)
{
    struct endpoint_spec s = {.provider = at, .variant = variant, .upstream_model = upstream};
    return catalog_add_endpoint(b, &s, &why);
}

static struct catalog *freeze(void)
{
    struct catalog *c = catalog_freeze(b, 7, NULL, NULL);
    ck_assert_ptr_nonnull(c);
    return c;
}

START_TEST(an_empty_catalog_finds_nothing)
{
    struct catalog *c = freeze();
    ck_assert_int_eq(c->n_models + c->n_providers + c->n_endpoints, 0);
    ck_assert_int_eq(c->version, 7);
    ck_assert_ptr_null(catalog_model(c, SPAN("x")));
    ck_assert_ptr_null(catalog_model(c, SPAN("")));
    ck_assert_ptr_null(catalog_provider(c, SPAN("x")));
    catalog_unref(c);
}
END_TEST

/* Models come out sorted, each with its endpoints in the order they were added. */
START_TEST(everything_is_found_by_its_names)
{
    provider("acme", "Acme Cloud");
    provider("bolt", NULL);
    ck_assert_int_eq(add_model("z/late", "late"), 0);
    ck_assert_int_eq(add_endpoint("bolt", NULL, "late-1"), 0);
    ck_assert_int_eq(add_endpoint("acme", NULL, "late-1"), 0);
    ck_assert_int_eq(add_model("a/early", NULL), 0);
    ck_assert_int_eq(add_endpoint("acme", "turbo", "early-1"), 0);
    struct catalog *c = freeze();
    ck_assert_int_eq(c->n_models, 2);
    ck_assert_str_eq(c->models[0].slug, "a/early");
    const struct model *late = catalog_model(c, SPAN("late"));
    ck_assert_ptr_eq(late, &c->models[1]);
    ck_assert_ptr_eq(catalog_model(c, SPAN("z/late")), late);
    ck_assert_ptr_null(catalog_model(c, SPAN("z/lat")));
    ck_assert_int_eq(late->n_endpoints, 2);
    ck_assert_str_eq(late->endpoints[0]->slug, "bolt");
    ck_assert_str_eq(late->endpoints[1]->slug, "acme");
    ck_assert_ptr_eq(late->endpoints[0]->model, late);
    const struct provider_row *acme = catalog_provider(c, SPAN("acme"));
    ck_assert_str_eq(acme->name, "Acme Cloud");
    ck_assert_ptr_nonnull(acme->adapter);
    ck_assert_str_eq(catalog_provider(c, SPAN("bolt"))->name, "bolt");
    ck_assert_ptr_eq(catalog_by_upstream(c, acme, SPAN("late-1")), late->endpoints[1]);
    ck_assert_str_eq(catalog_by_upstream(c, acme, SPAN("early-1"))->slug, "acme/turbo");
    ck_assert_ptr_null(catalog_by_upstream(c, catalog_provider(c, SPAN("bolt")), SPAN("early-1")));
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(c->endpoints[i].index, i);
    catalog_unref(c);
}
END_TEST

static void on_terms(const char *variant, const char *speed, const char *geo)
{
    struct endpoint_spec s = {.provider = "acme",
                              .variant = variant,
                              .upstream_model = "m-1",
                              .speed = speed,
                              .geo = geo};
    ck_assert_msg(catalog_add_endpoint(b, &s, &why) == 0, "%s", why.text);
}

/* The usual prices of a model are found by its name, whatever was listed first; others by what they
 * are for. */
START_TEST(endpoints_are_found_by_their_terms)
{
    static const struct {
        const char *speed, *geo, *tier, *slug;
    } rows[] = {
        {"", "", "", "acme"},          {"fast", "", "", "acme/fast"},
        {"", "us", "", "acme/us"},     {"fast", "us", "", "acme/both"},
        {"", "", "flex", "acme/flex"}, {"", "us", "flex", NULL},
        {"", "", "priority", NULL},    {"slow", "", "", NULL},
        {"", "eu", "", NULL},          {"", "", "fast", NULL}, /* no service tier */
    };
    provider("acme", NULL);
    provider("bolt", NULL);
    ck_assert_int_eq(add_model("a/m", NULL), 0);
    on_terms("fast", "fast", NULL);
    on_terms("us", "", "us");
    on_terms("flex", NULL, "");
    ck_assert_int_eq(add_endpoint("bolt", NULL, "m-1"), 0);
    on_terms(NULL, NULL, NULL);
    on_terms("both", "fast", "us");
    ck_assert_int_eq(add_model("a/n", NULL), 0);
    ck_assert_int_eq(add_endpoint("acme", "priority", "n-1"), 0);
    struct catalog *c = freeze();
    const struct model *m = catalog_model(c, SPAN("a/m"));
    const struct provider_row *acme = catalog_provider(c, SPAN("acme"));
    ck_assert_str_eq(catalog_by_upstream(c, acme, SPAN("m-1"))->slug, "acme");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int from = 0; from < m->n_endpoints; from++) {
            if (m->endpoints[from]->provider != acme)
                continue;
            const struct endpoint *e =
                endpoint_on_terms(m->endpoints[from], rows[i].speed, rows[i].geo, rows[i].tier);
            ck_assert((e == NULL) == (rows[i].slug == NULL));
            ck_assert(e == NULL || (e->model == m && strcmp(e->slug, rows[i].slug) == 0));
        }
    }
    catalog_unref(c);
}
END_TEST

/* Enough rows that the arrays and indexes grow several times. */
START_TEST(thousands_are_found)
{
    enum { N = 3000 };
    char slug[64], alias[64], at[64];
    for (int i = 0; i < N; i++) {
        snprintf(at, sizeof(at), "provider-%d", i);
        snprintf(slug, sizeof(slug), "m/%d", (i * 7919) % N);
        snprintf(alias, sizeof(alias), "alias-%d", (i * 7919) % N);
        provider(at, NULL);
        ck_assert_int_eq(add_model(slug, alias), 0);
        ck_assert_int_eq(add_endpoint(at, NULL, slug), 0);
    }
    struct catalog *c = freeze();
    for (int i = 0; i < N; i++) {
        snprintf(slug, sizeof(slug), "m/%d", i);
        snprintf(alias, sizeof(alias), "alias-%d", i);
        const struct model *m = catalog_model(c, span_of(alias));
        ck_assert_ptr_nonnull(m);
        ck_assert_str_eq(m->slug, slug);
        ck_assert_ptr_eq(catalog_model(c, span_of(slug)), m);
        ck_assert_ptr_eq(catalog_by_upstream(c, m->endpoints[0]->provider, span_of(slug)),
                         m->endpoints[0]);
    }
    catalog_unref(c);
}
END_TEST

START_TEST(duplicates_are_refused)
{
    provider("acme", NULL);
    struct provider_spec again = {.slug = "acme", .protocol = "openai"};
    ck_assert_int_eq(catalog_add_provider(b, &again, &why), -1);
    ck_assert_int_eq(why.code, ERR_bad_request);
    ck_assert_int_eq(add_model("a/m", "m"), 0);
    ck_assert_int_eq(add_endpoint("acme", NULL, "x"), 0);
    ck_assert_int_eq(add_endpoint("acme", NULL, "y"), -1);
    ck_assert_int_eq(add_endpoint("acme", "turbo", "x"), 0);
    ck_assert_int_eq(add_endpoint("acme", "turbo", "y"), -1);
    ck_assert_int_eq(add_endpoint("nobody", NULL, "x"), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "nobody"));
    ck_assert_int_eq(add_model("a/m", NULL), -1);
    ck_assert_int_eq(add_model("m", NULL), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "a/m"));
    ck_assert_int_eq(add_model("b/n", "m"), -1);
}
END_TEST

START_TEST(aliases_say_nothing_twice)
{
    const char *aliases[] = {"x", "a/m", "x", "y"};
    struct model_spec s = {.slug = "a/m", .n_aliases = 4, .aliases = aliases};
    ck_assert_int_eq(catalog_add_model(b, &s, &why), 0);
    struct catalog *c = freeze();
    ck_assert_int_eq(c->models[0].n_aliases, 2);
    ck_assert_str_eq(c->models[0].aliases[0], "x");
    ck_assert_str_eq(c->models[0].aliases[1], "y");
    catalog_unref(c);
}
END_TEST

START_TEST(an_alias_can_be_taken_away)
{
    ck_assert_int_eq(add_model("a/m", "m"), 0);
    ck_assert_str_eq(catalog_builder_owner(b, "m"), "a/m");
    catalog_builder_drop_alias(b, "m");
    ck_assert_ptr_null(catalog_builder_owner(b, "m"));
    ck_assert_str_eq(catalog_builder_owner(b, "a/m"), "a/m");
    ck_assert_int_eq(add_model("m", NULL), 0);
    struct catalog *c = freeze();
    ck_assert_str_eq(catalog_model(c, SPAN("m"))->slug, "m");
    ck_assert_int_eq(catalog_model(c, SPAN("a/m"))->n_aliases, 0);
    catalog_unref(c);
}
END_TEST

START_TEST(a_provider_can_be_elsewhere)
{
    provider("acme", NULL);
    ck_assert_int_eq(catalog_name_provider(b, "acme", "models[0]", &why), 0);
    ck_assert_int_eq(catalog_name_provider(b, "bolt", "models[0]", &why), 0);
    ck_assert_int_eq(catalog_name_provider(b, "bolt", "models[0]", &why), 0);
    struct catalog *c = freeze();
    ck_assert_int_eq(c->n_providers, 2);
    ck_assert_ptr_null(catalog_provider(c, SPAN("acme"))->elsewhere);
    ck_assert_str_eq(catalog_provider(c, SPAN("bolt"))->elsewhere, "models[0]");
    ck_assert_ptr_null(catalog_provider(c, SPAN("bolt"))->adapter);
    catalog_unref(c);
}
END_TEST

/* contract of `order`, `only` (named) and `ignore` (covered) */
static const struct naming {
    const char *variant, *entry;
    bool named, covered;
} namings[] = {
    {NULL, "acme", true, true},
    {NULL, "Acme Cloud", true, true},
    {NULL, "acme cloud", true, true},
    {NULL, "ACME", false, false},
    {NULL, "acm", false, false},
    {NULL, "acme/turbo", false, false},
    {NULL, "", false, false},
    {"turbo", "acme", true, true},
    {"turbo", "acme/turbo", true, true},
    {"turbo", "acme/turb", false, false},
    {"turbo", "turbo", false, false},
    {"priority", "acme", false, true},
    {"priority", "Acme Cloud", false, true},
    {"priority", "acme/priority", true, true},
    {"flex", "acme", false, true},
    {"flex", "acme/flex", true, true},
    {"flex", "acme/priority", false, false},
};

START_TEST(slugs_name_endpoints)
{
    const struct naming *n = &namings[_i];
    provider("acme", "Acme Cloud");
    ck_assert_int_eq(add_model("a/m", NULL), 0);
    ck_assert_int_eq(add_endpoint("acme", n->variant, "x"), 0);
    struct catalog *c = freeze();
    ck_assert_int_eq(endpoint_named(&c->endpoints[0], n->entry), n->named);
    ck_assert_int_eq(endpoint_covered(&c->endpoints[0], n->entry), n->covered);
    ck_assert_int_eq(c->endpoints[0].tier, n->variant != NULL && strcmp(n->variant, "turbo") != 0);
    catalog_unref(c);
}
END_TEST

static void *take_and_leave(void *c)
{
    for (int i = 0; i < 10000; i++)
        catalog_unref(catalog_ref(c));
    return NULL;
}

/* Who searches for every answer is known by its address, its slug, or the model's name. */
START_TEST(who_searches_unasked)
{
    static const struct {
        const char *slug, *url, *model;
        enum endpoint_search search;
    } cases[] = {
        {"perplexity", "", "sonar", SEARCH_FEE},
        {"px", "https://api.perplexity.ai", "sonar-pro", SEARCH_FEE},
        {"perplexity", "", "sonar-deep-research", SEARCH_DEEP},
        {"openrouter", "https://openrouter.ai/api/v1", "perplexity/sonar", SEARCH_FEE},
        {"openrouter", "", "perplexity/sonar-deep-research", SEARCH_DEEP},
        {"openrouter", "", "openai/o3-deep-research", SEARCH_DEEP},
        {"openrouter", "", "openai/gpt-4o:online", SEARCH_READS},
        {"openai", "", "gpt-4o-mini-search-preview-2025-03-11", SEARCH_READS},
        {"openai", "", "gpt-5-search-api", SEARCH_READS},
        {"openai", "", "gpt-5", SEARCH_ASKED},
        {"openrouter", "", "x/online", SEARCH_ASKED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct provider_spec s = {.slug = cases[i].slug,
                                  .name = cases[i].slug,
                                  .protocol = "openai",
                                  .base_url = cases[i].url,
                                  .timeouts = TIMEOUTS_DEFAULT};
        ck_assert_int_eq(catalog_add_provider(b, &s, &why), 0);
        ck_assert_int_eq(add_model("m", NULL), 0);
        ck_assert_int_eq(add_endpoint(cases[i].slug, NULL, cases[i].model), 0);
        struct catalog *c = freeze();
        ck_assert_msg(c->endpoints[0].search == cases[i].search, "%s", cases[i].model);
        catalog_unref(c);
    }
}
END_TEST

START_TEST(references_are_counted_across_threads)
{
    provider("acme", NULL);
    struct catalog *c = freeze();
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, take_and_leave, c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    ck_assert_str_eq(catalog_provider(c, SPAN("acme"))->slug, "acme");
    catalog_unref(c);
    catalog_unref(NULL);
}
END_TEST

/* Every secret but the second, which is not to be had, and the fourth, which is empty. */
static struct secret some_secrets(void *ctx, enum credential_kind kind, const char *ref)
{
    int *asked = ctx;
    (*asked)++;
    ck_assert_int_eq(kind, CREDENTIAL_ENV);
    const char *text = strcmp(ref, "two") == 0 ? NULL : strcmp(ref, "four") == 0 ? "" : ref;
    return (struct secret){.text = text, .project = ref, .why = text == NULL ? "not yet" : NULL};
}

START_TEST(credentials_are_used_in_turn)
{
    int asked = 0;
    struct provider_spec s = {.slug = "acme",
                              .protocol = "anthropic",
                              .n_credentials = 4,
                              .credentials = {{.kind = CREDENTIAL_ENV, .ref = "one"},
                                              {.kind = CREDENTIAL_ENV, .ref = "two"},
                                              {.kind = CREDENTIAL_ENV, .ref = "three"},
                                              {.kind = CREDENTIAL_ENV, .ref = "four"}}};
    ck_assert_int_eq(catalog_add_provider(b, &s, &why), 0);
    struct catalog *c = catalog_freeze(b, 1, some_secrets, &asked);
    const struct provider_row *p = &c->providers[0];
    ck_assert_int_eq(asked, 4);
    static const char *const turn[] = {"one", "three", "three", "one", "one", "three"};
    for (unsigned i = 0; i < 6; i++)
        ck_assert_str_eq(provider_credential(p, i)->secret, turn[i]);
    ck_assert_str_eq(provider_credential(p, 0xffffffffu)->secret, "one");
    ck_assert_int_eq(provider_credential(p, 1)->index, 2);
    ck_assert_str_eq(p->credentials[2].project, "three");
    ck_assert_str_eq(p->credentials[1].why, "not yet");
    ck_assert_ptr_null(p->credentials[0].why);
    catalog_unref(c);
}
END_TEST

START_TEST(no_credential_is_not_the_kind_none)
{
    struct provider_spec s = {.slug = "bare", .protocol = "anthropic"};
    ck_assert_int_eq(catalog_add_provider(b, &s, &why), 0);
    s = (struct provider_spec){.slug = "open", .protocol = "anthropic", .n_credentials = 1};
    ck_assert_int_eq(catalog_add_provider(b, &s, &why), 0);
    s.slug = "locked";
    s.credentials[0] = (struct credential){.kind = CREDENTIAL_ENV, .ref = "X"};
    ck_assert_int_eq(catalog_add_provider(b, &s, &why), 0);
    struct catalog *c = freeze();
    ck_assert_ptr_null(provider_credential(catalog_provider(c, SPAN("bare")), 0));
    ck_assert_int_eq(provider_credential(catalog_provider(c, SPAN("open")), 0)->kind,
                     CREDENTIAL_NONE);
    ck_assert_ptr_null(provider_credential(catalog_provider(c, SPAN("locked")), 0));
    catalog_unref(c);
}
END_TEST

static const char *fault_of(enum credential_kind kind, const char *ref)
{
    struct secret s = catalog_secret_from_system(NULL, kind, ref);
    ck_assert_ptr_null(s.text);
    ck_assert_ptr_null(s.why); /* clients are told that one */
    return s.fault;
}

START_TEST(what_cannot_be_used_says_why)
{
    static const char *const names = "WF_TEST_ID:WF_TEST_SECRET";
    unsetenv("WF_TEST_ID");
    unsetenv("WF_TEST_SECRET");
    ck_assert_str_eq(fault_of(CREDENTIAL_ENV, "WF_TEST_ID"), "variable WF_TEST_ID is not set");
    ck_assert_str_eq(fault_of(CREDENTIAL_ENV, names), "variable WF_TEST_ID is not set");
    setenv("WF_TEST_ID", "", 1);
    ck_assert_str_eq(fault_of(CREDENTIAL_ENV, "WF_TEST_ID"), "variable WF_TEST_ID is empty");
    setenv("WF_TEST_ID", "AKIA", 1);
    ck_assert_str_eq(fault_of(CREDENTIAL_ENV, names), "variable WF_TEST_SECRET is not set");
    unsetenv("WF_TEST_ID");
    ck_assert_str_eq(fault_of(CREDENTIAL_FILE, "/nonexistent/x"),
                     "/nonexistent/x: No such file or directory");
    ck_assert_str_eq(fault_of(CREDENTIAL_FILE, "/tmp"), "/tmp: Is a directory");
    ck_assert_str_eq(fault_of(CREDENTIAL_FILE, "/dev/null"), "/dev/null is empty");
    ck_assert_str_eq(fault_of(CREDENTIAL_FILE, "/dev/zero"),
                     "/dev/zero is too long for a secret (65535 bytes)");
    ck_assert_ptr_null(catalog_secret_from_system(NULL, CREDENTIAL_NONE, "").fault);
}
END_TEST

static const char *secret_in_file(const char *bytes, size_t n)
{
    char path[] = "/tmp/wayfare-secret-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
    const char *secret = catalog_secret_from_system(NULL, CREDENTIAL_FILE, path).text;
    unlink(path);
    return secret;
}

START_TEST(secrets_come_from_the_system)
{
    setenv("WAYFARE_TEST_SECRET", "from-env", 1);
    ck_assert_str_eq(catalog_secret_from_system(NULL, CREDENTIAL_ENV, "WAYFARE_TEST_SECRET").text,
                     "from-env");
    unsetenv("WAYFARE_TEST_SECRET");
    ck_assert_ptr_null(
        catalog_secret_from_system(NULL, CREDENTIAL_ENV, "WAYFARE_TEST_SECRET").text);
    ck_assert_ptr_null(catalog_secret_from_system(NULL, CREDENTIAL_NONE, "").text);
    static const char names[] = "WF_TEST_ID:WF_TEST_SECRET:WF_TEST_TOKEN";
    setenv("WF_TEST_ID", "AKIA", 1);
    ck_assert_ptr_null(catalog_secret_from_system(NULL, CREDENTIAL_ENV, names).text);
    setenv("WF_TEST_SECRET", "s3/cr+3t", 1);
    ck_assert_str_eq(catalog_secret_from_system(NULL, CREDENTIAL_ENV, names).text, "AKIA:s3/cr+3t");
    setenv("WF_TEST_TOKEN", "tok", 1);
    ck_assert_str_eq(catalog_secret_from_system(NULL, CREDENTIAL_ENV, names).text,
                     "AKIA:s3/cr+3t:tok");
    unsetenv("WF_TEST_ID");
    ck_assert_ptr_null(catalog_secret_from_system(NULL, CREDENTIAL_ENV, names).text);
    ck_assert_ptr_null(catalog_secret_from_system(NULL, CREDENTIAL_FILE, "/nonexistent/x").text);
    ck_assert_ptr_null(catalog_secret_from_system(NULL, CREDENTIAL_FILE, "/tmp").text);
    ck_assert_str_eq(secret_in_file("key\n", 4), "key");
    ck_assert_str_eq(secret_in_file("key\r\n\n", 6), "key");
    ck_assert_str_eq(secret_in_file("k e", 3), "k e");
    ck_assert_ptr_null(secret_in_file("", 0));
    ck_assert_ptr_null(secret_in_file("\n", 1));
    /* A secret with a NUL or beyond 64 KiB would be used cut off: rather not at all. */
    ck_assert_ptr_null(secret_in_file("a\0b", 3));
    static char big[64 * 1024 + 1];
    memset(big, 'x', sizeof(big));
    ck_assert_ptr_null(secret_in_file(big, sizeof(big)));
}
END_TEST

START_TEST(words_are_split_and_written)
{
    struct word_list w;
    words_split(SPAN("  a bc  d "), &w);
    ck_assert_int_eq(w.n, 3);
    ck_assert_str_eq(w.word[1], "bc");
    ck_assert_str_eq(w.word[2], "d");
    words_split(SPAN(""), &w);
    ck_assert_int_eq(w.n, 0);
    struct buf out;
    buf_init(&out, WORDS_TEXT_MAX);
    uint32_t all = (1u << PARAM_COUNT) - 1;
    words_write_params(all, &out);
    ck_assert_uint_eq(words_params(buf_span(&out)), all);
    buf_reset(&out);
    words_write_modalities(MODALITY_BIT(MODALITY_text) | MODALITY_BIT(MODALITY_pdf), &out);
    ck_assert(span_is(buf_span(&out), "text pdf"));
    ck_assert_uint_eq(words_modalities(SPAN("pdf smell text")),
                      MODALITY_BIT(MODALITY_text) | MODALITY_BIT(MODALITY_pdf));
    buf_done(&out);
    for (int i = CREDENTIAL_NONE; i <= CREDENTIAL_FILE; i++)
        ck_assert_int_eq(credential_kind_parse(credential_kind_word((enum credential_kind)i)), i);
    for (int i = AUTH_BEARER; i <= AUTH_NONE; i++)
        ck_assert_int_eq(auth_type_parse(auth_type_word((enum auth_type)i)), i);
}
END_TEST

Suite *catalog_suite(void)
{
    Suite *s = suite_create("catalog");
    TCase *t = tcase_create("memory");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, an_empty_catalog_finds_nothing);
    tcase_add_test(t, everything_is_found_by_its_names);
    tcase_add_test(t, endpoints_are_found_by_their_terms);
    tcase_add_test(t, thousands_are_found);
    tcase_add_test(t, duplicates_are_refused);
    tcase_add_test(t, aliases_say_nothing_twice);
    tcase_add_test(t, an_alias_can_be_taken_away);
    tcase_add_test(t, a_provider_can_be_elsewhere);
    tcase_add_loop_test(t, slugs_name_endpoints, 0, sizeof(namings) / sizeof(namings[0]));
    tcase_add_test(t, who_searches_unasked);
    tcase_add_test(t, references_are_counted_across_threads);
    tcase_add_test(t, credentials_are_used_in_turn);
    tcase_add_test(t, no_credential_is_not_the_kind_none);
    tcase_add_test(t, secrets_come_from_the_system);
    tcase_add_test(t, what_cannot_be_used_says_why);
    tcase_add_test(t, words_are_split_and_written);
    suite_add_tcase(s, t);
    return s;
}
