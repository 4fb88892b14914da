/* Who gets which part of a difference: by hand, and what must hold for any. */
#include <check.h>
#include <string.h>

#include "router/correction.h"
#include "schema/money.h"

Suite *correction_suite(void);

enum { IN = USAGE_input_tok, OUT = USAGE_output_tok, READ = USAGE_cache_read_tok };
#define TOKENS ((1u << USAGE_BUCKET_COUNT) - 1)
#define COST (1u << RECONCILE_COST)
#define PROMPT (1u << RECONCILE_PROMPT)

static struct price price;
static int64_t diff[RECONCILE_FIGURES];

/* $3 and $15 a million; a fee of a cent for each request. */
static void setup(void)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        price.base.pusd[i] = -1;
    price.base.pusd[PRICE_prompt] = 3000000;
    price.base.pusd[PRICE_completion] = 15000000;
    price.base.pusd[PRICE_request] = 10000000000;
    price.n_tiers = 0;
    memset(diff, 0, sizeof(diff));
}

static struct correction attempt(enum usage_source source, int64_t hold_nusd, int64_t charge_nusd)
{
    return (struct correction){.n = 1,
                               .source = source,
                               .hold_nusd = hold_nusd,
                               .charge_nusd = charge_nusd,
                               .price = &price};
}

/* It was charged its whole hold; the provider knows what it used. */
START_TEST(one_attempt_is_certain)
{
    struct correction c = attempt(USAGE_ESTIMATED, 50000000, 50000000);
    diff[IN] = 1000;
    diff[OUT] = 50;
    correction_spread(&c, 1, TOKENS, diff);
    ck_assert_int_eq(c.add_tok[IN], 1000);
    ck_assert_int_eq(c.add_tok[OUT], 50);
    ck_assert_int_eq(c.charge_nusd + c.add_nusd, 10000000 + 1000 * 3000 + 50 * 15000);
    ck_assert_int_eq(diff[IN], 0);
    ck_assert_int_eq(diff[OUT], 0);
}
END_TEST

/* The provider counted nothing that we have not: what was charged for nothing is given back. */
START_TEST(equal_tokens_say_what_it_costs)
{
    struct correction c[2] = {attempt(USAGE_ESTIMATED, 50000000, 50000000),
                              attempt(USAGE_PARTIAL, 50000000, 10003000)};
    c[1].tok[IN] = 1;
    correction_spread(c, 2, TOKENS, diff);
    ck_assert_int_eq(c[0].add_nusd, -50000000); /* not even the request's fee */
    ck_assert(correction_is_empty(&c[1]));
}
END_TEST

/* It was seen to use more than its hold, and charged the hold: that is as far as guessing goes. */
START_TEST(equal_tokens_pass_no_hold)
{
    struct correction c = attempt(USAGE_ESTIMATED, 12000000, 12000000);
    c.tok[OUT] = 1000; /* $0.015, and the fee */
    correction_spread(&c, 1, TOKENS, diff);
    ck_assert(correction_is_empty(&c));
    diff[OUT] = -800;
    correction_spread(&c, 1, TOKENS, diff);
    ck_assert_int_eq(c.add_tok[OUT], -800);
    ck_assert_int_eq(c.add_nusd, 0); /* $0.003 and the fee are still more */
}
END_TEST

START_TEST(a_price_that_is_not_known)
{
    struct correction c = attempt(USAGE_ESTIMATED, 1000, 1000);
    c.price = NULL;
    diff[IN] = 5;
    correction_spread(&c, 1, TOKENS, diff);
    ck_assert(correction_is_empty(&c));
    ck_assert_int_eq(diff[IN], 5);
    memset(diff, 0, sizeof(diff));
    diff[RECONCILE_COST] = -300;
    correction_spread(&c, 1, COST, diff);
    ck_assert_int_eq(c.add_nusd, -300);
}
END_TEST

/* Another program uses the account too: that is not our attempt's. */
START_TEST(no_guess_passes_a_hold)
{
    struct correction c = attempt(USAGE_ESTIMATED, 13000000, 10300000);
    c.tok[IN] = 100;
    diff[IN] = 1000000;
    correction_spread(&c, 1, TOKENS, diff);
    ck_assert_int_eq(c.add_tok[IN], 900); /* (0.013 - 0.01) / 3e-6 in all */
    ck_assert_int_eq(c.charge_nusd + c.add_nusd, 13000000);
    ck_assert_int_eq(diff[IN], 1000000 - 900);
}
END_TEST

START_TEST(nothing_goes_below_zero)
{
    struct correction c[2] = {attempt(USAGE_ESTIMATED, 20000000, 10300000),
                              attempt(USAGE_PARTIAL, 20000000, 10900000)};
    c[0].tok[IN] = 100;
    c[1].tok[IN] = 300;
    diff[IN] = -1000;
    correction_spread(c, 2, TOKENS, diff);
    ck_assert_int_eq(c[0].add_tok[IN], -100);
    ck_assert_int_eq(c[1].add_tok[IN], -300);
    ck_assert_int_eq(diff[IN], -600);
    ck_assert_int_eq(c[0].charge_nusd + c[0].add_nusd, 0);
}
END_TEST

START_TEST(several_share)
{
    struct correction c[2] = {attempt(USAGE_ESTIMATED, 400, 300), attempt(USAGE_PARTIAL, 600, 300)};
    diff[RECONCILE_COST] = 40;
    correction_spread(c, 2, COST, diff); /* rooms of 100 and 300 */
    ck_assert_int_eq(c[0].add_nusd, 10);
    ck_assert_int_eq(c[1].add_nusd, 30);
    diff[RECONCILE_COST] = -101;
    c[0] = attempt(USAGE_ESTIMATED, 400, 300);
    c[1] = attempt(USAGE_PARTIAL, 600, 300);
    correction_spread(c, 2, COST, diff);
    ck_assert_int_eq(c[0].add_nusd, -50);
    ck_assert_int_eq(c[1].add_nusd, -51);
    ck_assert_int_eq(diff[RECONCILE_COST], 0);
}
END_TEST

/* Where the provider tells its cost and a prompt as a whole, each is corrected as it is told. */
START_TEST(a_prompt_as_a_whole)
{
    struct correction c = attempt(USAGE_ESTIMATED, 20000000, 10000000);
    c.tok[IN] = 50;
    c.tok[READ] = 70;
    diff[RECONCILE_PROMPT] = -100;
    diff[RECONCILE_COST] = 7;
    correction_spread(&c, 1, PROMPT | COST | 1u << OUT, diff);
    ck_assert_int_eq(c.add_tok[IN], -50);
    ck_assert_int_eq(c.add_tok[READ], -50);
    ck_assert_int_eq(c.add_nusd, 7);
    c = attempt(USAGE_ESTIMATED, 20000000, 10000000);
    diff[RECONCILE_PROMPT] = 11;
    correction_spread(&c, 1, PROMPT | COST, diff);
    ck_assert_int_eq(c.add_tok[IN], 11);
    ck_assert_int_eq(diff[RECONCILE_PROMPT], 0);
}
END_TEST

/* ---- any ---- */

static unsigned seed;

static int64_t draw(int64_t n)
{
    seed = seed * 1103515245u + 12345u;
    return (int64_t)(seed >> 8) * 127 % n;
}

enum { MANY = 7 };

static void draw_attempt(struct correction *c)
{
    int64_t pusd = 0;
    struct usage u = {.seen = 0};
    *c = attempt(draw(2) == 0 ? USAGE_ESTIMATED : USAGE_PARTIAL, draw(100000000), 0);
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        c->tok[b] = draw(3) == 0 ? 0 : draw(2000);
        usage_set(&u, (enum usage_bucket)b, c->tok[b]);
    }
    ck_assert(price_usage(&price, &u, 0, true, &pusd));
    c->charge_nusd = c->source == USAGE_PARTIAL ? money_charge_nusd(pusd) : c->hold_nusd;
    c->n = 1 + (int)draw(2);
    c->price = draw(5) == 0 ? NULL : &price;
}

static int64_t sum_of(const struct correction *c, int figure)
{
    int64_t sum = 0;
    for (int i = 0; i < MANY; i++) {
        for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
            if (b == figure || (figure == RECONCILE_PROMPT && b != OUT && b != USAGE_web_searches))
                sum += c[i].tok[b];
        }
        sum += figure == RECONCILE_COST ? c[i].charge_nusd : 0;
    }
    return sum;
}

/* As the ledger is after it, and the limits of each attempt. */
static void settle(struct correction *c)
{
    int64_t most = c->charge_nusd > c->hold_nusd ? c->charge_nusd : c->hold_nusd;
    bool empty = correction_is_empty(c);
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        c->tok[b] += c->add_tok[b];
        c->add_tok[b] = 0;
        ck_assert_int_ge(c->tok[b], 0);
    }
    if (c->add_nusd > 0 && c->n > 1)
        ck_assert_int_le(c->charge_nusd + c->add_nusd, most);
    c->charge_nusd += c->add_nusd;
    c->add_nusd = 0;
    c->n += !empty;
    ck_assert_int_ge(c->charge_nusd, 0);
}

static void one_of_any(uint32_t told)
{
    struct correction c[MANY];
    int64_t before[RECONCILE_FIGURES], want[RECONCILE_FIGURES], left[RECONCILE_FIGURES];
    for (int i = 0; i < MANY; i++)
        draw_attempt(&c[i]);
    for (int f = 0; f < RECONCILE_FIGURES; f++) {
        int64_t range = f == RECONCILE_COST ? 300000000 : 12000;
        want[f] = left[f] = (told >> f & 1u) == 0 ? 0 : draw(range) - range / 2;
        before[f] = sum_of(c, f);
    }
    correction_spread(c, MANY, told, left);
    for (int i = 0; i < MANY; i++)
        settle(&c[i]);
    for (int f = 0; f < RECONCILE_FIGURES; f++) {
        if ((told >> f & 1u) == 0)
            continue;
        ck_assert_int_eq(sum_of(c, f) - before[f], want[f] - left[f]);
        ck_assert(want[f] >= 0 ? left[f] >= 0 && left[f] <= want[f]
                               : left[f] <= 0 && left[f] >= want[f]);
    }
    memcpy(want, left, sizeof(left));
    correction_spread(c, MANY, told, left); /* the same file again */
    for (int i = 0; i < MANY; i++)
        ck_assert_msg(correction_is_empty(&c[i]), "seed %u told %x: attempt %d", seed, told, i);
    ck_assert_int_eq(memcmp(want, left, sizeof(left)), 0);
}

START_TEST(any)
{
    static const uint32_t tolds[] = {TOKENS, COST, 1u << IN | 1u << READ | 1u << OUT,
                                     PROMPT | COST | 1u << OUT};
    seed = (unsigned)_i * 7919;
    for (int i = 0; i < 200; i++)
        one_of_any(tolds[i % 4]);
}
END_TEST

Suite *correction_suite(void)
{
    Suite *s = suite_create("correction");
    TCase *t = tcase_create("correction");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, one_attempt_is_certain);
    tcase_add_test(t, equal_tokens_say_what_it_costs);
    tcase_add_test(t, equal_tokens_pass_no_hold);
    tcase_add_test(t, a_price_that_is_not_known);
    tcase_add_test(t, no_guess_passes_a_hold);
    tcase_add_test(t, nothing_goes_below_zero);
    tcase_add_test(t, several_share);
    tcase_add_test(t, a_prompt_as_a_whole);
    tcase_add_loop_test(t, any, 0, 20);
    suite_add_tcase(s, t);
    return s;
}
