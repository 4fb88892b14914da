/* Tiers, inheritance, fallbacks and the sums of one attempt. */
#include <check.h>
#include <stdlib.h>

#include "router/price.h"
#include "schema/money.h"

Suite *price_suite(void);

enum { USD_PER_MTOK = 1000000 }; /* in pico-USD per token */

static struct rates no_rates(void)
{
    struct rates r;
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        r.pusd[i] = -1;
    return r;
}

/* 3 / 15, cache 0.30 / 3.75 / 6; above 200,000: 6 / 22.5. */
static struct price sonnet(void)
{
    struct price p = {.n_tiers = 1};
    p.base = no_rates();
    p.base.pusd[PRICE_prompt] = 3 * USD_PER_MTOK;
    p.base.pusd[PRICE_completion] = 15 * USD_PER_MTOK;
    p.base.pusd[PRICE_cache_read] = 300000;
    p.base.pusd[PRICE_cache_write_5m] = 3750000;
    p.base.pusd[PRICE_cache_write_1h] = 6 * USD_PER_MTOK;
    p.base.pusd[PRICE_web_search] = 10000000000; /* 0.01 USD */
    p.tiers[0].above_prompt_tok = 200000;
    p.tiers[0].rates = no_rates();
    p.tiers[0].rates.pusd[PRICE_prompt] = 6 * USD_PER_MTOK;
    p.tiers[0].rates.pusd[PRICE_completion] = 22500000;
    return p;
}

static struct usage usage_of(int64_t in, int64_t out, int64_t read, int64_t w5, int64_t w1)
{
    struct usage u = {.n = {in, out, read, w5, w1, 0}};
    return u;
}

static int64_t cost(const struct price *p, struct usage u)
{
    int64_t pusd = -1;
    ck_assert(price_usage(p, &u, 0, true, &pusd));
    return pusd;
}

START_TEST(items)
{
    ck_assert_str_eq(price_item_name(PRICE_cache_write_1h), "cache_write_1h");
    ck_assert_int_eq(price_item_scale(PRICE_prompt), MONEY_SCALE_MTOK);
    ck_assert_int_eq(price_item_scale(PRICE_request), MONEY_SCALE_UNIT);
    ck_assert_int_eq(price_item_scale(PRICE_image), MONEY_SCALE_UNIT);
    ck_assert_int_eq(price_item_scale(PRICE_web_search), MONEY_SCALE_UNIT);
}
END_TEST

START_TEST(routable_needs_both_prices)
{
    struct price p = sonnet();
    ck_assert(price_is_routable(&p));
    p.base.pusd[PRICE_completion] = -1;
    ck_assert(!price_is_routable(&p));
    p.base.pusd[PRICE_completion] = 0;
    p.base.pusd[PRICE_prompt] = 0;
    ck_assert(price_is_routable(&p));
    p.base.pusd[PRICE_prompt] = -1;
    ck_assert(!price_is_routable(&p));
}
END_TEST

START_TEST(tier_is_strictly_above_its_threshold)
{
    struct price p = sonnet();
    ck_assert_int_eq(price_at(&p, 0).pusd[PRICE_prompt], 3000000);
    ck_assert_int_eq(price_at(&p, 200000).pusd[PRICE_prompt], 3000000);
    ck_assert_int_eq(price_at(&p, 200001).pusd[PRICE_prompt], 6000000);
    ck_assert_int_eq(price_at(&p, 200001).pusd[PRICE_completion], 22500000);
}
END_TEST

START_TEST(tier_inherits_what_it_does_not_name)
{
    struct price p = sonnet();
    struct rates r = price_at(&p, 300000);
    ck_assert_int_eq(r.pusd[PRICE_cache_read], 300000);
    ck_assert_int_eq(r.pusd[PRICE_cache_write_5m], 3750000);
    ck_assert_int_eq(r.pusd[PRICE_cache_write_1h], 6000000);
    ck_assert_int_eq(r.pusd[PRICE_web_search], 10000000000);
    /* A second tier inherits from the first, and names a free item. */
    p.n_tiers = 2;
    p.tiers[1].above_prompt_tok = 500000;
    p.tiers[1].rates = no_rates();
    p.tiers[1].rates.pusd[PRICE_completion] = 0;
    r = price_at(&p, 500001);
    ck_assert_int_eq(r.pusd[PRICE_prompt], 6000000);
    ck_assert_int_eq(r.pusd[PRICE_completion], 0);
    ck_assert_int_eq(price_at(&p, 500000).pusd[PRICE_completion], 22500000);
}
END_TEST

START_TEST(missing_cache_price_is_the_prompt_price_of_the_tier)
{
    struct price p = sonnet();
    p.base.pusd[PRICE_cache_read] = -1;
    p.base.pusd[PRICE_cache_write_5m] = -1;
    p.base.pusd[PRICE_cache_write_1h] = -1;
    p.base.pusd[PRICE_web_search] = -1;
    struct rates low = price_at(&p, 10), high = price_at(&p, 200001);
    ck_assert_int_eq(low.pusd[PRICE_cache_read], 3000000);
    ck_assert_int_eq(low.pusd[PRICE_cache_write_1h], 3000000);
    ck_assert_int_eq(high.pusd[PRICE_cache_read], 6000000);
    ck_assert_int_eq(high.pusd[PRICE_cache_write_5m], 6000000);
    ck_assert_int_eq(low.pusd[PRICE_web_search], 0);
    ck_assert_int_eq(low.pusd[PRICE_request], 0);
    ck_assert_int_eq(low.pusd[PRICE_image], 0);
}
END_TEST

START_TEST(dearest_is_per_rate_over_the_tiers_in_reach)
{
    struct price p = sonnet();
    p.n_tiers = 2;
    p.tiers[1].above_prompt_tok = 500000;
    p.tiers[1].rates = no_rates();
    p.tiers[1].rates.pusd[PRICE_prompt] = 1 * USD_PER_MTOK; /* cheaper again */
    p.tiers[1].rates.pusd[PRICE_cache_read] = 9 * USD_PER_MTOK;
    ck_assert_int_eq(price_dearest(&p, 200000).pusd[PRICE_prompt], 3000000);
    ck_assert_int_eq(price_dearest(&p, 200001).pusd[PRICE_prompt], 6000000);
    struct rates r = price_dearest(&p, 600000);
    ck_assert_int_eq(r.pusd[PRICE_prompt], 6000000);
    ck_assert_int_eq(r.pusd[PRICE_completion], 22500000);
    ck_assert_int_eq(r.pusd[PRICE_cache_read], 9000000);
    ck_assert_int_eq(price_dearest(&p, 500000).pusd[PRICE_cache_read], 300000);
}
END_TEST

/* 1000*3 + 500*15 + 2000*0.3 + 300*3.75 + 40*6 USD per million = 12,465 micro-USD */
START_TEST(five_buckets)
{
    struct price p = sonnet();
    ck_assert_int_eq(cost(&p, usage_of(1000, 500, 2000, 300, 40)), 12465000000);
    ck_assert_int_eq(cost(&p, usage_of(0, 0, 0, 0, 0)), 0);
    ck_assert_int_eq(cost(&p, usage_of(1, 0, 0, 0, 0)), 3000000);
    ck_assert_int_eq(cost(&p, usage_of(0, 1, 0, 0, 0)), 15000000);
    ck_assert_int_eq(cost(&p, usage_of(0, 0, 1, 0, 0)), 300000);
    ck_assert_int_eq(cost(&p, usage_of(0, 0, 0, 1, 0)), 3750000);
    ck_assert_int_eq(cost(&p, usage_of(0, 0, 0, 0, 1)), 6000000);
}
END_TEST

/* The whole prompt decides, and the whole request is at that tier. */
START_TEST(cache_tokens_lift_the_request_into_the_tier)
{
    struct price p = sonnet();
    ck_assert_int_eq(cost(&p, usage_of(100000, 10, 50000, 25000, 25000)),
                     100000 * 3000000ll + 10 * 15000000ll + 50000 * 300000ll + 25000 * 3750000ll +
                         25000 * 6000000ll);
    ck_assert_int_eq(cost(&p, usage_of(100001, 10, 50000, 25000, 25000)),
                     100001 * 6000000ll + 10 * 22500000ll + 50000 * 300000ll + 25000 * 3750000ll +
                         25000 * 6000000ll);
    /* Output does not count for it. */
    ck_assert_int_eq(cost(&p, usage_of(1, 900000, 0, 0, 0)), 3000000 + 900000 * 15000000ll);
}
END_TEST

START_TEST(fees)
{
    struct price p = sonnet();
    struct usage u = usage_of(10, 0, 0, 0, 0);
    int64_t pusd;
    p.base.pusd[PRICE_request] = 7;
    p.base.pusd[PRICE_image] = 100;
    u.n[USAGE_web_searches] = 3;
    ck_assert(price_usage(&p, &u, 2, true, &pusd));
    ck_assert_int_eq(pusd, 30000000 + 7 + 200 + 30000000000);
    ck_assert(price_usage(&p, &u, 2, false, &pusd));
    ck_assert_int_eq(pusd, 30000000 + 200 + 30000000000);
}
END_TEST

/* gpt-audio: 2.5 / 10, sound 32 and 64: parts of the input, of the output and of what was read from
 * a cache. */
START_TEST(sound)
{
    struct price p = {.n_tiers = 0};
    p.base = no_rates();
    p.base.pusd[PRICE_prompt] = 2500000;
    p.base.pusd[PRICE_completion] = 10000000;
    p.base.pusd[PRICE_cache_read] = 250000;
    struct usage u = usage_of(1000, 200, 50, 0, 0);
    u.n[USAGE_audio_input_tok] = 900;
    u.n[USAGE_audio_output_tok] = 150;
    u.n[USAGE_audio_cache_read_tok] = 20;
    /* without a price of its own it costs what text does, cached or not */
    ck_assert_int_eq(cost(&p, u),
                     1000 * 2500000ll + 200 * 10000000ll + 30 * 250000ll + 20 * 2500000ll);
    ck_assert(!price_covers_sound(&p, false) && !price_covers_sound(&p, true));
    p.base.pusd[PRICE_audio] = 32000000;
    ck_assert(price_covers_sound(&p, false) && !price_covers_sound(&p, true));
    p.base.pusd[PRICE_audio_completion] = 64000000;
    ck_assert(price_covers_sound(&p, true));
    ck_assert_int_eq(cost(&p, u), 100 * 2500000ll + 900 * 32000000ll + 50 * 10000000ll +
                                      150 * 64000000ll + 30 * 250000ll + 20 * 32000000ll);
    p.base.pusd[PRICE_audio_cache_read] = 400000;
    ck_assert_int_eq(cost(&p, u), 100 * 2500000ll + 900 * 32000000ll + 50 * 10000000ll +
                                      150 * 64000000ll + 30 * 250000ll + 20 * 400000ll);
    /* a part is never more than the whole */
    u = usage_of(10, 0, 0, 0, 0);
    u.n[USAGE_audio_input_tok] = 11;
    u.n[USAGE_audio_output_tok] = 1;
    ck_assert_int_eq(cost(&p, u), 10 * 32000000ll);
    /* it does not add to the prompt: the tier is that of the whole */
    p.n_tiers = 1;
    p.tiers[0].above_prompt_tok = 10;
    p.tiers[0].rates = no_rates();
    p.tiers[0].rates.pusd[PRICE_audio] = 1;
    u = usage_of(10, 0, 0, 0, 0);
    u.n[USAGE_audio_input_tok] = 10;
    ck_assert_int_eq(cost(&p, u), 10 * 32000000ll);
    u.n[USAGE_input_tok] = 11;
    ck_assert_int_eq(cost(&p, u), 10 * 1 + 2500000ll);
    /* what is free is free for sound too */
    p.base = no_rates();
    p.base.pusd[PRICE_prompt] = p.base.pusd[PRICE_completion] = 0;
    ck_assert(price_covers_sound(&p, false) && price_covers_sound(&p, true));
}
END_TEST

START_TEST(overflow_is_told)
{
    struct price p = sonnet();
    struct usage u = usage_of(INT64_MAX, 0, 0, 0, 0);
    int64_t pusd = -7;
    ck_assert(!price_usage(&p, &u, 0, true, &pusd));
    u = usage_of(INT64_MAX, 0, 1, 0, 0); /* the prompt itself does not fit */
    p.base.pusd[PRICE_prompt] = 0;
    ck_assert(!price_usage(&p, &u, 0, true, &pusd));
    u = usage_of(1, INT64_MAX / 15000000 + 1, 0, 0, 0);
    ck_assert(!price_usage(&p, &u, 0, true, &pusd));
    u.n[USAGE_output_tok]--;
    ck_assert(price_usage(&p, &u, 0, true, &pusd));
    u = usage_of(-1, 0, 0, 0, 0);
    pusd = -7;
    ck_assert(!price_usage(&p, &u, 0, true, &pusd));
    ck_assert_int_eq(pusd, -7);
    p.base.pusd[PRICE_image] = INT64_MAX / 2;
    u = usage_of(0, 0, 0, 0, 0);
    ck_assert(price_usage(&p, &u, 2, true, &pusd));
    ck_assert(!price_usage(&p, &u, 3, true, &pusd));
}
END_TEST

/* ---- reports ---- */

static struct price haiku;
static struct price nameless;

static const struct price *lookup(void *ctx, const char *model)
{
    ++*(int *)ctx;
    if (strcmp(model, "haiku") == 0)
        return &haiku;
    return strcmp(model, "unpriced") == 0 ? &nameless : NULL;
}

static struct usage_report *report_with(int n)
{
    struct usage_report *r = calloc(1, sizeof(*r));
    ck_assert_ptr_nonnull(r);
    r->n_iterations = n;
    return r;
}

START_TEST(report_without_iterations_is_the_total)
{
    struct price p = sonnet();
    struct usage_report *r = report_with(0);
    int64_t pusd;
    bool unknown = true;
    p.base.pusd[PRICE_request] = 5;
    r->total = usage_of(1000, 500, 2000, 300, 40);
    r->total.n[USAGE_web_searches] = 2;
    ck_assert(price_report(&p, r, 0, NULL, NULL, &pusd, &unknown));
    ck_assert_int_eq(pusd, 12465000000 + 5 + 20000000000);
    ck_assert(!unknown);
    free(r);
}
END_TEST

/* Each iteration has its own model and its own tier: 150,000 + 150,000 is not a prompt
 * above 200,000.  The request fee is there once, the searches come from the total. */
START_TEST(iterations_each_at_their_own_model_and_tier)
{
    struct price p = sonnet();
    struct usage_report *r = report_with(4);
    int64_t pusd;
    bool unknown = true;
    int calls = 0;
    haiku = (struct price){.base = no_rates()};
    haiku.base.pusd[PRICE_prompt] = 1 * USD_PER_MTOK;
    haiku.base.pusd[PRICE_completion] = 5 * USD_PER_MTOK;
    haiku.base.pusd[PRICE_request] = 999;
    p.base.pusd[PRICE_request] = 5;
    r->total = usage_of(999999, 999999, 0, 0, 0);
    r->total.n[USAGE_web_searches] = 1;
    r->iterations[0].usage = usage_of(150000, 10, 0, 0, 0);
    r->iterations[1].usage = usage_of(150000, 0, 0, 0, 0);
    r->iterations[2].usage = usage_of(200001, 1, 0, 0, 0);
    r->iterations[3].usage = usage_of(300000, 100, 0, 0, 0);
    r->iterations[3].usage.n[USAGE_web_searches] = 50;
    memcpy(r->iterations[3].model, "haiku", sizeof("haiku"));
    ck_assert(price_report(&p, r, 0, lookup, &calls, &pusd, &unknown));
    ck_assert_int_eq(pusd, 300000 * 3000000ll + 10 * 15000000ll + 200001 * 6000000ll + 22500000ll +
                               300000 * 1000000ll + 100 * 5000000ll + 5 + 10000000000);
    ck_assert(!unknown);
    ck_assert_int_eq(calls, 1);
    free(r);
}
END_TEST

START_TEST(unknown_inner_models_cost_the_endpoints_price)
{
    static const char *const MODELS[] = {"who", "unpriced"};
    struct price p = sonnet();
    struct usage_report *r = report_with(1);
    int64_t pusd;
    int calls = 0;
    nameless = (struct price){.base = no_rates()};
    r->iterations[0].usage = usage_of(10, 0, 0, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        bool unknown = false;
        memcpy(r->iterations[0].model, MODELS[i], strlen(MODELS[i]) + 1);
        ck_assert(price_report(&p, r, 0, lookup, &calls, &pusd, &unknown));
        ck_assert_int_eq(pusd, 30000000);
        ck_assert(unknown);
        unknown = false;
        ck_assert(price_report(&p, r, 0, NULL, NULL, &pusd, &unknown));
        ck_assert(unknown);
    }
    free(r);
}
END_TEST

START_TEST(report_overflow_is_told)
{
    struct price p = sonnet();
    struct usage_report *r = report_with(2);
    int64_t pusd;
    bool unknown;
    r->iterations[0].usage = usage_of(0, INT64_MAX / 15000000, 0, 0, 0);
    ck_assert(price_report(&p, r, 0, NULL, NULL, &pusd, &unknown));
    r->iterations[1].usage = usage_of(0, 1, 0, 0, 0);
    ck_assert(!price_report(&p, r, 0, NULL, NULL, &pusd, &unknown));
    free(r);
}
END_TEST

Suite *price_suite(void)
{
    Suite *s = suite_create("price");
    TCase *t = tcase_create("price");
    tcase_add_test(t, items);
    tcase_add_test(t, routable_needs_both_prices);
    tcase_add_test(t, tier_is_strictly_above_its_threshold);
    tcase_add_test(t, tier_inherits_what_it_does_not_name);
    tcase_add_test(t, missing_cache_price_is_the_prompt_price_of_the_tier);
    tcase_add_test(t, dearest_is_per_rate_over_the_tiers_in_reach);
    tcase_add_test(t, five_buckets);
    tcase_add_test(t, cache_tokens_lift_the_request_into_the_tier);
    tcase_add_test(t, fees);
    tcase_add_test(t, sound);
    tcase_add_test(t, overflow_is_told);
    tcase_add_test(t, report_without_iterations_is_the_total);
    tcase_add_test(t, iterations_each_at_their_own_model_and_tier);
    tcase_add_test(t, unknown_inner_models_cost_the_endpoints_price);
    tcase_add_test(t, report_overflow_is_told);
    suite_add_tcase(s, t);
    return s;
}
