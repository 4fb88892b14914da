/* One attempt on another catalog: where it goes, why it cannot, what it costs to the nano-dollar.
 */
#include <check.h>

#include "router/replay.h"
#include "schema/money.h"
#include "tests/unit/plan_world.h"

Suite *replay_suite(void);

static const char CATALOG[] = "provider a nocred\nprovider b protocol=unheard-of\nprovider c\n"
                              "model m alias=n\n"
                              "endpoint a prompt=1 completion=2 cache_read=0.1001 "
                              "cache_write_5m=1.25 server_tools=web_search\n"
                              "tier 10000 prompt=2\n"
                              "endpoint b prompt=0.4 completion=3 context=20000\n"
                              "endpoint c prompt=5 completion=1 in=text,image image=0.001\n"
                              "model free\nendpoint a prompt=- completion=-\n";

static struct world world;
static struct replay r;
static struct catalog *catalog;
static struct fail why;

static void begin(void)
{
    struct replay_discounts none = {.n = 0};
    world = world_from_text(CATALOG);
    catalog = replay_catalog(world.catalog, &none, &why);
    ck_assert_ptr_nonnull(catalog);
    replay_init(&r, catalog);
}

static void end(void)
{
    replay_done(&r);
    catalog_unref(catalog);
    plan_world_end(&world);
}

static struct replay_fact fact_of(const char *model, const char *provider, int64_t in, int64_t out,
                                  int64_t read)
{
    struct replay_fact f = {.model = model, .provider = provider, .seed = 1};
    usage_set(&f.usage.total, USAGE_input_tok, in);
    usage_set(&f.usage.total, USAGE_output_tok, out);
    usage_set(&f.usage.total, USAGE_cache_read_tok, read);
    return f;
}

static struct replay_choice chosen(const struct replay_fact *f)
{
    struct replay_choice c;
    ck_assert_msg(replay_attempt(&r, f, &c, &why) == 0, "%s", why.text);
    ck_assert((c.endpoint == NULL) == (c.reason != NULL));
    return c;
}

static void expect(const struct replay_fact *f, const char *slug, int64_t nusd)
{
    struct replay_choice c = chosen(f);
    ck_assert_msg(c.endpoint != NULL, "%s", c.reason);
    ck_assert_str_eq(c.endpoint->slug, slug);
    ck_assert_int_eq(c.cost_nusd, nusd);
}

static void prefs(const char *text)
{
    ck_assert_msg(replay_prefs(&r, span_of(text), &why) == 0, "%s", why.text);
}

/* Without preferences nothing moves: not even from an endpoint that nobody has a key for. */
START_TEST(stays)
{
    struct replay_fact f = fact_of("n", "a", 101, 1, 9);
    expect(&f, "a", 103901); /* 101,000 + 2,000 + 900.9 */
    f = fact_of("m", "b", 1, 0, 100000);
    expect(&f, "b", 40000400); /* no price for the cache: 100,001 at the prompt's; no limit asked */
    f = fact_of("m", "gone", 1, 1, 0);
    ck_assert_str_eq(chosen(&f).reason, REPLAY_NOT_LISTED);
    f = fact_of("other", "a", 1, 1, 0);
    ck_assert_str_eq(chosen(&f).reason, REPLAY_UNKNOWN_MODEL);
    f = fact_of("free", "a", 1, 1, 0);
    ck_assert_str_eq(chosen(&f).reason, "unpriced");
}
END_TEST

/* By the tokens of the attempt: b is cheap without a cache, a with one, c for long answers. */
START_TEST(moves)
{
    prefs("{\"provider_sort\": \"price\"}");
    struct replay_fact f = fact_of("m", "a", 1000, 10, 0);
    expect(&f, "b", 430000);
    f = fact_of("m", "b", 0, 10, 1000);
    expect(&f, "a", 120100);
    f = fact_of("m", "a", 10, 1000, 0);
    expect(&f, "c", 1050000);
    f = fact_of("m", "a", 1000, 10,
                9001); /* above a's threshold: twice the prompt's price, not the cache's */
    expect(&f, "a", 2921001);
}
END_TEST

/* The size of a prompt is that of its tokens to the last one; so is what it is expected to cost. */
START_TEST(size)
{
    prefs("{\"provider_only\": [\"b\"]}");
    struct replay_fact f = fact_of("m", "a", 12000, 5, 8000);
    expect(&f, "b", 8015000);
    ck_assert_int_eq(r.plan.candidates[0].expected_pusd, 8015000000);
    f = fact_of("m", "a", 12001, 5, 8000);
    ck_assert_str_eq(chosen(&f).reason, "context_length");
    f = fact_of("m", "a", 5, 0, 0);
    expect(&f, "b", 2000);
}
END_TEST

START_TEST(needs)
{
    prefs("{\"provider_sort\": \"price\"}");
    struct replay_fact f = fact_of("m", "a", 2000, 10, 0);
    f.n_images = 2;
    expect(&f, "c", 12010000); /* 10,000,000 + 10,000 + 2 images */
    f.n_images = 0;
    usage_set(&f.usage.total, USAGE_web_searches, 3);
    expect(&f, "a", 2020000); /* b is cheaper and has no such tool */
    f.provider = "c";         /* which searched without being asked to */
    expect(&f, "b", 830000);
    prefs("{\"provider_ignore\": [\"a\"]}");
    f.provider = "a";
    ck_assert_str_eq(chosen(&f).reason, "capability"); /* not a's allowed_providers: nearer */
}
END_TEST

/* A cap is compared with what the attempt costs there: what a server held is not recorded. */
START_TEST(total_cost)
{
    struct replay_fact f = fact_of("m", "a", 1000, 10, 0); /* a 1,020,000; b 430,000; c 5,010,000 */
    prefs("{\"provider_order\": [\"c\", \"a\"], \"provider_max_total_cost\": 0.00502}");
    expect(&f, "c", 5010000);
    prefs("{\"provider_order\": [\"c\", \"a\"], \"provider_max_total_cost\": 0.00102}");
    expect(&f, "a", 1020000);
    prefs("{\"provider_order\": [\"c\", \"a\"], \"provider_max_total_cost\": 0.001019999}");
    expect(&f, "b", 430000);
    prefs("{\"provider_order\": [\"c\"], \"provider_allow_fallbacks\": false, "
          "\"provider_max_total_cost\": 0.001}");
    ck_assert_str_eq(chosen(&f).reason, "max_total_cost");
    prefs("{\"provider_sort\": \"throughput\", \"provider_allow_fallbacks\": false, "
          "\"provider_max_total_cost\": 0.00043}");
    expect(&f, "b", 430000); /* the first choice among those within the cap */
    prefs("{\"provider_max_total_cost\": 0.00001}");
    ck_assert_str_eq(chosen(&f).reason, "max_total_cost");
    prefs("{\"provider_sort\": \"price\"}");
    expect(&f, "b", 430000); /* the last cap is gone */
}
END_TEST

/* Every search is paid for, and counts in the order. */
START_TEST(searches)
{
    static const char TWO[] =
        "provider a\nprovider b\nmodel m\n"
        "endpoint a prompt=1 completion=1 web_search=0.003 server_tools=web_search\n"
        "endpoint b prompt=3 completion=1 web_search=0.001 server_tools=web_search\n";
    struct replay_discounts none = {.n = 0};
    struct world two = world_from_text(TWO);
    struct catalog *usable = replay_catalog(two.catalog, &none, &why);
    ck_assert_ptr_nonnull(usable);
    r.catalog = usable;
    prefs("{\"provider_sort\": \"price\"}");
    struct replay_fact f = fact_of("m", "a", 2000, 0, 0);
    usage_set(&f.usage.total, USAGE_web_searches, 1);
    expect(&f, "a", 5000000); /* 2,000,000 + 3,000,000; b 7,000,000 */
    usage_set(&f.usage.total, USAGE_web_searches, 3);
    expect(&f, "b", 9000000); /* a 11,000,000 */
    r.catalog = catalog;
    catalog_unref(usable);
    plan_world_end(&two);
}
END_TEST

/* The lists of the key hold, whatever the preferences say. */
START_TEST(policy)
{
    static const char *const only[] = {"c", NULL}, *const models[] = {"free", NULL};
    struct policy p = {.only = only};
    struct replay_fact f = fact_of("m", "a", 1000, 10, 0);
    prefs("{\"provider_sort\": \"price\"}");
    f.policy = &p;
    expect(&f, "c", 5010000);
    p = (struct policy){.models = models};
    ck_assert_str_eq(chosen(&f).reason, "key_policy");
}
END_TEST

/* A draw is the seed's. */
START_TEST(drawn)
{
    struct replay_fact f = fact_of("m", "a", 1000, 1000, 0);
    int n[3] = {0};
    prefs("{}");
    for (f.seed = 1; f.seed <= 300; f.seed++) {
        char slug = chosen(&f).endpoint->slug[0];
        ck_assert_int_eq(chosen(&f).endpoint->slug[0], slug);
        n[slug - 'a']++;
    }
    ck_assert(n[0] > n[2] && n[1] > n[2] && n[2] > 0);
}
END_TEST

START_TEST(iterations)
{
    struct replay_fact f = fact_of("m", "a", 20000, 30, 0);
    f.usage.n_iterations = 2; /* each below the threshold */
    for (int i = 0; i < 2; i++) {
        usage_set(&f.usage.iterations[i].usage, USAGE_input_tok, 10000);
        usage_set(&f.usage.iterations[i].usage, USAGE_output_tok, 15);
    }
    expect(&f, "a", 20060000);
    f.usage.n_iterations = 0;
    expect(&f, "a", 40060000);
}
END_TEST

static void discounted(const char *list, int64_t prompt, int64_t tier)
{
    struct replay_discounts d = {.n = 0};
    char text[64];
    while (*list != '\0') {
        size_t len = strcspn(list, " ");
        memcpy(text, list, len);
        text[len] = '\0';
        ck_assert_msg(replay_discount_add(&d, text, &why) == 0, "%s", why.text);
        list += len + (list[len] == ' ');
    }
    struct catalog *c = replay_catalog(world.catalog, &d, &why);
    ck_assert_msg(c != NULL, "%s", why.text);
    const struct price *p = &catalog_model(c, span_of("m"))->endpoints[0]->price;
    ck_assert_int_eq(p->base.pusd[PRICE_prompt], prompt);
    ck_assert_int_eq(p->base.pusd[PRICE_cache_write_1h], -1);
    ck_assert_int_eq(p->tiers[0].rates.pusd[PRICE_prompt], tier);
    ck_assert_int_eq(p->tiers[0].rates.pusd[PRICE_completion], -1);
    catalog_unref(c);
}

START_TEST(discounts)
{
    discounted("c=50", 1000000, 2000000);
    discounted("a=12.5", 875000, 1750000);
    discounted("a=0.0001", 999999, 1999998);
    discounted("a=10 a=10", 810000, 1620000);
    discounted("a=100", 0, 0);
    discounted("a=0", 1000000, 2000000);
}
END_TEST

/* A third off, twice: what is not whole is rounded up. */
START_TEST(discount_rounds_up)
{
    discounted("a=33.3333", 666667, 1333334);
    discounted("a=33.3333 a=99.9999", 1, 2);
}
END_TEST

START_TEST(bad_discounts)
{
    static const char *const bad[] = {"",     "a",     "=1",    "a=",        "a=-1",  "a=100.1",
                                      "a=1%", "a=1e1", "a=NaN", "a=0.00001", "a=+1.0"};
    struct replay_discounts d = {.n = 0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(replay_discount_add(&d, bad[i], &why) == -1, "%s", bad[i]);
        ck_assert_str_eq(why.field, "discount");
    }
    ck_assert_int_eq(replay_discount_add(&d, "z=1", &why), 0);
    ck_assert_ptr_null(replay_catalog(world.catalog, &d, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "no endpoint of z"));
    while (d.n < REPLAY_DISCOUNTS_MAX)
        ck_assert_int_eq(replay_discount_add(&d, "a=1", &why), 0);
    ck_assert_int_eq(replay_discount_add(&d, "a=1", &why), -1);
}
END_TEST

START_TEST(overflow)
{
    struct replay_fact f = fact_of("m", "a", INT64_MAX / 2, 1, 0);
    struct replay_choice c;
    ck_assert_int_eq(replay_attempt(&r, &f, &c, &why), -1);
    prefs("{}");
    ck_assert_int_eq(replay_attempt(&r, &f, &c, &why), -1);
}
END_TEST

Suite *replay_suite(void)
{
    Suite *s = suite_create("replay");
    TCase *t = tcase_create("replay");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, stays);
    tcase_add_test(t, moves);
    tcase_add_test(t, size);
    tcase_add_test(t, needs);
    tcase_add_test(t, total_cost);
    tcase_add_test(t, searches);
    tcase_add_test(t, policy);
    tcase_add_test(t, drawn);
    tcase_add_test(t, iterations);
    tcase_add_test(t, discounts);
    tcase_add_test(t, discount_rounds_up);
    tcase_add_test(t, bad_discounts);
    tcase_add_test(t, overflow);
    suite_add_tcase(s, t);
    return s;
}
