/* Warm caches: what is believed, for how long, how likely; and what a conversation costs on an
 * endpoint whose cache is not always there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/warm.h"

Suite *warm_suite(void);

enum { MINUTE = 60 * 1000, TOLD = 1, BY_ITSELF = 2, SECOND = 3 };

static struct warm *w;
static struct endpoint told, by_itself, second;

static struct endpoint endpoint_of(int64_t id, int64_t write)
{
    static const struct model model = {.id = 1, .slug = "a/model"};
    struct endpoint e = {.id = id, .model = &model};
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.base.pusd[i] = -1;
    e.price.base.pusd[PRICE_prompt] = 3000000;
    e.price.base.pusd[PRICE_completion] = 15000000;
    e.price.base.pusd[PRICE_cache_read] = 300000;
    e.price.base.pusd[PRICE_cache_write_5m] = write;
    return e;
}

static void begin(void)
{
    w = warm_new();
    ck_assert_ptr_nonnull(w);
    told = endpoint_of(TOLD, 3750000);
    by_itself = endpoint_of(BY_ITSELF, -1);
    second = endpoint_of(SECOND, 3750000);
}

static void end(void)
{
    warm_free(w);
}

/* Turn n of a conversation: 2,000 tokens each; the last block has the breakpoint, if there are any
 * (minutes 5 or 60; 0: none). */
static struct chat turn(uint64_t conversation, int n, int minutes)
{
    struct chat c = {
        .max_tokens = 1000, .cache_write_5m = minutes == 5, .cache_write_1h = minutes == 60};
    c.prompt_bytes = c.prompt_chars = (int64_t)n * 8000;
    c.talk = conversation;
    c.n_answers = n - 1;
    c.n_prefixes = 1;
    c.prefixes[0] =
        (struct chat_prefix){conversation * 1000003u + (uint64_t)n, c.prompt_bytes, minutes == 60};
    for (int i = n - 1; i >= 1 && c.n_lookback < CHAT_LOOKBACK_MAX; i--)
        c.lookback[c.n_lookback++] =
            (struct chat_prefix){conversation * 1000003u + (uint64_t)i, (int64_t)i * 8000, false};
    return c;
}

/* An answer that read and wrote so much; written < 0: not stated. */
static struct usage answer(int64_t input, int64_t read, int64_t written)
{
    struct usage u = {.seen = 0};
    usage_set(&u, USAGE_input_tok, input);
    usage_set(&u, USAGE_cache_read_tok, read);
    if (written >= 0)
        usage_set(&u, USAGE_cache_write_5m_tok, written);
    return u;
}

static struct estimate_cache look(const struct chat *c, int64_t endpoint_id, int64_t now_ms)
{
    struct warm_hits hits;
    struct estimate_cache cache;
    warm_look(w, c, now_ms, &hits);
    warm_of(&hits, endpoint_id, &cache);
    return cache;
}

static struct warm_ask ask_of(const struct chat *c)
{
    return (struct warm_ask){.chat = c, .key_id = 1, .shape = forecast_shape(c)};
}

static void settle(const struct chat *c, const struct endpoint *e, struct usage u, int64_t now_ms)
{
    struct estimate_cache believed = look(c, e->id, now_ms);
    struct warm_ask ask = ask_of(c);
    warm_learn(w, &ask, e, &believed, &u, now_ms);
}

START_TEST(told_to_keep)
{
    struct chat one = turn(1, 1, 5), two = turn(1, 2, 5), other = turn(2, 2, 5);
    ck_assert_int_eq(look(&one, TOLD, 0).tok, 0);
    settle(&one, &told, answer(10, 0, 1990), 0);
    struct estimate_cache c = look(&two, TOLD, 4 * MINUTE);
    ck_assert_int_eq(c.tok, 1990);
    ck_assert_int_gt(c.hit_ppm, 900000);
    ck_assert_int_eq(c.samples, 0);
    ck_assert_int_eq(look(&two, SECOND, 0).tok, 0);
    ck_assert_int_eq(look(&other, TOLD, 0).tok, 0);
    /* who does not ask for caching gets none there */
    struct chat unmarked = turn(1, 2, 0);
    ck_assert_int_eq(look(&unmarked, TOLD, 0).tok, 0);
    ck_assert_int_eq(look(&two, TOLD, 5 * MINUTE).tok, 0);
}
END_TEST

/* Each use makes it live on, also of the old entry, where a branch begins; an hour where asked. */
START_TEST(lifetimes)
{
    struct chat one = turn(1, 1, 5), two = turn(1, 2, 5), hour = turn(2, 1, 60);
    struct chat hour_later = turn(2, 2, 60);
    settle(&one, &told, answer(10, 0, 1990), 0);
    settle(&two, &told, answer(10, 1990, 2000), 4 * MINUTE);
    ck_assert_int_eq(look(&one, TOLD, 8 * MINUTE).tok, 1990);
    ck_assert_int_eq(look(&two, TOLD, 8 * MINUTE).tok, 3990);
    ck_assert_int_eq(look(&two, TOLD, 9 * MINUTE).tok, 0);
    settle(&hour, &told, answer(10, 0, 1990), 0);
    ck_assert_int_eq(look(&hour_later, TOLD, 59 * MINUTE).tok, 1990);
    settle(&hour, &told, answer(10, 1990, 0), 59 * MINUTE);
    ck_assert_int_eq(look(&hour_later, TOLD, 118 * MINUTE).tok, 1990);
    ck_assert_int_eq(look(&hour_later, TOLD, 119 * MINUTE).tok, 0);
}
END_TEST

/* One that caches by itself never says what it keeps: that it has seen the prompt is enough. */
START_TEST(kept_by_itself)
{
    struct chat one = turn(1, 1, 0), two = turn(1, 2, 0), tiny = turn(2, 1, 0);
    settle(&one, &told, answer(2000, 0, 0), 0);
    ck_assert_int_eq(look(&two, TOLD, 0).tok, 0); /* was not told to */
    settle(&one, &by_itself, answer(2000, 0, -1), 0);
    struct estimate_cache c = look(&two, BY_ITSELF, MINUTE);
    ck_assert_int_eq(c.tok, 2000);
    ck_assert_int_eq(c.hit_ppm, 500000);
    ck_assert_int_eq(look(&two, BY_ITSELF, 30 * MINUTE).hit_ppm, 250000);
    ck_assert_int_eq(look(&two, BY_ITSELF, 60 * MINUTE).tok, 0);
    struct usage silent = {.seen = 0};
    usage_set(&silent, USAGE_input_tok, 2000);
    struct chat three = turn(3, 1, 0);
    settle(&three, &by_itself, silent, 0); /* it does not state cached tokens */
    ck_assert_int_eq(look(&three, BY_ITSELF, 0).tok, 0);
    settle(&tiny, &by_itself, answer(1000, 0, -1), 0);
    ck_assert_int_eq(look(&tiny, BY_ITSELF, 0).tok, 0);
}
END_TEST

/* Three of four are hits, of which a tenth is missing: so it is believed; and the counts of one
 * endpoint and kind say nothing of another. */
START_TEST(rates_are_learned)
{
    for (int i = 1; i <= 4000; i++) {
        struct chat one = turn((uint64_t)i, 1, 0), two = turn((uint64_t)i, 2, 0);
        settle(&one, &by_itself, answer(2000, 0, -1), 0);
        settle(&two, &by_itself, i % 4 == 0 ? answer(4000, 0, -1) : answer(2200, 1800, -1), MINUTE);
    }
    struct chat one = turn(5000, 1, 0), two = turn(5000, 2, 0);
    settle(&one, &by_itself, answer(2000, 0, -1), 0);
    struct estimate_cache c = look(&two, BY_ITSELF, MINUTE);
    ck_assert_int_ge(c.samples, WARM_FORGET / 2);
    ck_assert_int_lt(c.samples, WARM_FORGET);
    ck_assert(c.hit_ppm > 730000 && c.hit_ppm < 770000);
    ck_assert(c.tok > 1780 && c.tok <= 1800);
    ck_assert_int_eq(look(&two, BY_ITSELF, 30 * MINUTE).hit_ppm, 250000);
    struct chat marked = turn(6000, 1, 5);
    settle(&marked, &told, answer(10, 0, 1990), 0);
    ck_assert_int_eq(look(&marked, TOLD, 0).samples, 0);
}
END_TEST

/* A miss takes the belief away until the endpoint writes again. */
START_TEST(a_miss_ends_the_belief)
{
    struct chat one = turn(1, 1, 5);
    settle(&one, &told, answer(10, 0, 1990), 0);
    settle(&one, &told, answer(2000, 0, 0), MINUTE);
    ck_assert_int_eq(look(&one, TOLD, MINUTE).tok, 0);
    settle(&one, &told, answer(10, 0, 1990), 2 * MINUTE);
    ck_assert_int_eq(look(&one, TOLD, 2 * MINUTE).samples, 1);
    ck_assert_int_eq(look(&one, TOLD, 2 * MINUTE).tok, 1990);
}
END_TEST

START_TEST(memory_is_bounded)
{
    int kept = 0;
    for (uint64_t i = 1; i <= 4 * WARM_SLOTS; i++) {
        struct chat one = turn(i, 1, 5);
        settle(&one, &told, answer(10, 0, 1990), (int64_t)i);
    }
    for (uint64_t i = 4 * WARM_SLOTS - 1000; i <= 4 * WARM_SLOTS; i++) {
        struct chat one = turn(i, 1, 5);
        kept += look(&one, TOLD, 4 * WARM_SLOTS).tok > 0;
    }
    ck_assert_int_ge(kept, 990);
    for (int64_t id = 1; id <= 2 * WARM_RATES; id++) {
        struct endpoint e = endpoint_of(id, 3750000);
        struct chat one = turn(1, 1, 5);
        settle(&one, &e, answer(10, 0, 1990), 4 * WARM_SLOTS);
        settle(&one, &e, answer(10, 1990, 0), 4 * WARM_SLOTS);
    }
}
END_TEST

/* ---- conversations that were not learned from ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

/* An endpoint of each kind: what it reads of `warm_tok` tokens that went there `ago_ms` ago.  (With
 * more misses the mean cost is right as well, but far from that of a hit and of a miss.) */
static int64_t real_read(const struct endpoint *e, int64_t warm_tok, int64_t ago_ms,
                         uint64_t *state)
{
    uint64_t percent = next_random(state) % 100;
    if (e->id == TOLD)
        return ago_ms < WARM_FRESH_MS && percent < 98 ? warm_tok : 0;
    return percent < (ago_ms < WARM_FRESH_MS ? 97u : 40u) ? warm_tok / 128 * 128 : 0;
}

struct tested {
    int64_t error_ppm[40000];
    int n;
    int64_t predicted_pusd, settled_pusd;
};

static void ask(const struct endpoint *e, const struct chat *c, int64_t ago_ms, int64_t now_ms,
                uint64_t *state, struct tested *t)
{
    int64_t prompt = 2000 * (c->prompt_bytes / 8000), warm = prompt - 2000;
    int64_t read = real_read(e, warm, ago_ms, state), settled;
    bool writes = e->id == TOLD;
    struct usage u = answer(writes ? 0 : prompt - read, read, writes ? prompt - read : -1);
    struct estimate_cache believed = look(c, e->id, now_ms);
    const struct estimate_expected expected = {.ratio = ESTIMATE_RATIO_ONE, .completion_tok = 200};
    struct estimate est;
    estimate_make(c, e, &expected, &believed, &est);
    usage_set(&u, USAGE_output_tok, 200);
    ck_assert(price_usage(&e->price, &u, 0, true, &settled));
    int64_t predicted = estimate_expected_pusd(c, e, &est);
    if (t != NULL) {
        t->error_ppm[t->n++] = llabs(predicted - settled) / (settled / 1000000);
        t->predicted_pusd += predicted;
        t->settled_pusd += settled;
    }
    struct warm_ask whose = ask_of(c);
    warm_learn(w, &whose, e, &believed, &u, now_ms);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Conversations of up to ten turns, some minutes apart. */
static void converse(const struct endpoint *e, int conversations, uint64_t *state, int64_t *now_ms,
                     struct tested *t)
{
    static uint64_t conversation;
    for (int i = 0; i < conversations; i++) {
        conversation++;
        int turns = 3 + (int)(next_random(state) % 8);
        for (int n = 1; n <= turns; n++) {
            struct chat c = turn(conversation, n, e->id == TOLD ? 5 : 0);
            int64_t pause = next_random(state) % 10 == 0 ? 7 * MINUTE : MINUTE;
            *now_ms += pause;
            ask(e, &c, n == 1 ? 2 * WARM_HOUR_MS : pause, *now_ms, state, t);
        }
    }
}

static void check_conversations(const struct endpoint *e, const char *what)
{
    static struct tested t;
    uint64_t state = 88172645463325252u;
    int64_t now_ms = 0;
    t.n = 0;
    t.predicted_pusd = t.settled_pusd = 0;
    converse(e, 100, &state, &now_ms, NULL);
    converse(e, 2000, &state, &now_ms, &t);
    qsort(t.error_ppm, (size_t)t.n, sizeof(t.error_ppm[0]), by_size);
    int64_t bias_ppm = (t.predicted_pusd - t.settled_pusd) / (t.settled_pusd / 1000000);
    printf("warm: %s, %d turns held back: error of the cost %.1f per cent in the median, all "
           "together %+.2f per cent\n",
           what, t.n, (double)t.error_ppm[t.n / 2] / 1e4, (double)bias_ppm / 1e4);
    ck_assert_int_lt(t.error_ppm[t.n / 2], 100000);
    ck_assert_int_lt(llabs(bias_ppm), 20000);
}

START_TEST(conversations_told)
{
    check_conversations(&told, "told to cache");
}
END_TEST

START_TEST(conversations_by_itself)
{
    check_conversations(&by_itself, "caching by itself");
}
END_TEST

static struct estimate_ahead ahead_of(const struct endpoint *e, uint64_t conversation)
{
    struct estimate_ahead ahead;
    struct chat first = turn(conversation, 1, 5);
    struct warm_ask ask = ask_of(&first);
    warm_ahead(w, &ask, e, 0, &ahead);
    return ahead;
}

/* Each first turn is followed by three, wherever they were answered. */
START_TEST(conversations_go_on)
{
    struct endpoint cold = endpoint_of(9, -1);
    cold.price.base.pusd[PRICE_cache_read] = -1;
    ck_assert_int_eq(ahead_of(&told, 1).turns_milli, 0);
    ck_assert_int_eq(ahead_of(&told, 1).keep_ppm, ESTIMATE_SURE); /* believed until it is tested */
    for (uint64_t talk = 1; talk <= 100; talk++) {
        for (int n = 1; n <= 4; n++) {
            struct chat c = turn(talk, n, 5);
            settle(&c, &told, answer(0, (n - 1) * 2000, 2000), n * MINUTE);
        }
    }
    ck_assert_int_eq(ahead_of(&told, 1000).turns_milli, 3000);
    ck_assert_int_ge(ahead_of(&told, 1000).keep_ppm, 900000);
    ck_assert_int_eq(ahead_of(&cold, 1000).turns_milli, 3000);
    ck_assert_int_eq(ahead_of(&cold, 1000).keep_ppm, 0);
}
END_TEST

/* An endpoint that says nothing of caches serves conversations as well; copies of requests are no
 * turns of theirs. */
START_TEST(turns_are_counted_once)
{
    struct usage silent = {.seen = 0};
    usage_set(&silent, USAGE_input_tok, 2000);
    for (uint64_t talk = 1; talk <= 20; talk++) {
        for (int n = 1; n <= 3; n++) {
            struct chat c = turn(talk, n, 0);
            struct estimate_cache nothing = {.tok = 0};
            struct warm_ask copy = ask_of(&c);
            copy.copy = true;
            settle(&c, &by_itself, silent, n * MINUTE);
            warm_learn(w, &copy, &by_itself, &nothing, &silent, n * MINUTE);
        }
    }
    ck_assert_int_eq(ahead_of(&told, 1000).turns_milli, 2000);
}
END_TEST

Suite *warm_suite(void)
{
    Suite *s = suite_create("warm");
    TCase *t = tcase_create("warm");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, told_to_keep);
    tcase_add_test(t, lifetimes);
    tcase_add_test(t, kept_by_itself);
    tcase_add_test(t, rates_are_learned);
    tcase_add_test(t, a_miss_ends_the_belief);
    tcase_add_test(t, memory_is_bounded);
    tcase_add_test(t, conversations_go_on);
    tcase_add_test(t, turns_are_counted_once);
    tcase_add_test(t, conversations_told);
    tcase_add_test(t, conversations_by_itself);
    suite_add_tcase(s, t);
    return s;
}
