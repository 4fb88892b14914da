/* How conversations go on: counted by key, shape and model, and nothing expected of the unknown. */
#include <check.h>
#include <stdlib.h>

#include "router/pace.h"

Suite *pace_suite(void);

enum { MINUTE = 60 * 1000, SHAPE = 77, OTHER_SHAPE = 78 };

static struct pace *p;
static int64_t now_ms;
static uint64_t last_talk;

static void begin(void)
{
    p = pace_new();
    ck_assert_ptr_nonnull(p);
    now_ms = 0;
    last_talk = 0;
}

static void end(void)
{
    pace_free(p);
}

static struct forecast_ask ask_of(int64_t key_id, uint32_t shape)
{
    return (struct forecast_ask){"a/model", key_id, shape};
}

static struct chat turn(uint64_t talk, int n)
{
    return (struct chat){.talk = talk, .n_answers = n - 1, .prompt_bytes = 10000};
}

static void note(struct chat c, struct forecast_ask ask)
{
    now_ms += 1000;
    pace_note(p, &c, &ask, now_ms);
}

static int64_t look(struct chat c, struct forecast_ask ask)
{
    return pace_look(p, &c, &ask, now_ms);
}

static int64_t look_first(struct forecast_ask ask)
{
    return look(turn(last_talk + 1, 1), ask);
}

/* So many conversations of so many requests; the shape grows with the prompt. */
static void converse(struct forecast_ask ask, int talks, int turns)
{
    for (int i = 0; i < talks; i++) {
        last_talk++;
        for (int n = 1; n <= turns; n++) {
            struct forecast_ask then = ask;
            then.shape += n > 2 ? 1000 : 0;
            note(turn(last_talk, n), then);
        }
    }
}

START_TEST(nothing_is_known)
{
    struct forecast_ask a = ask_of(1, SHAPE);
    ck_assert_int_eq(look_first(a), 0);
    converse(a, PACE_SAMPLES_MIN - 1, 4);
    ck_assert_int_eq(look_first(a), 0);
    ck_assert_int_eq(look(turn(last_talk, 5), a), 0);
    ck_assert_int_eq(look(turn(last_talk + 1, 9), a), 0); /* its beginning was never seen */
}
END_TEST

START_TEST(by_what_it_was)
{
    struct forecast_ask a = ask_of(1, SHAPE);
    converse(a, PACE_SAMPLES_MIN, 5);
    ck_assert_int_eq(look_first(a), 4000);
    /* what has followed is not to come again, and a quarter of the mean remains */
    converse(a, 200, 5);
    last_talk++;
    static const int64_t rest[] = {4000, 3000, 2000, 1000, 1000, 1000};
    for (int n = 1; n <= 6; n++) {
        int64_t milli = look(turn(last_talk, n), a);
        ck_assert(milli >= rest[n - 1] - 50 && milli <= rest[n - 1] + 50); /* it counts as well */
        note(turn(last_talk, n), a);
    }
}
END_TEST

/* One key's agents say nothing of another key's requests, or of those of another shape. */
START_TEST(nobody_elses)
{
    struct forecast_ask agent = ask_of(1, SHAPE), other = ask_of(2, SHAPE);
    struct forecast_ask single = ask_of(1, OTHER_SHAPE), nobody = ask_of(0, SHAPE);
    converse(agent, 100, 30);
    ck_assert_int_gt(look_first(agent), 20000);
    ck_assert_int_eq(look_first(other), 0);
    ck_assert_int_eq(look_first(single), 0);
    ck_assert_int_eq(look_first(nobody), 0);
    converse(other, 100, 1);
    converse(single, 100, 1);
    ck_assert_int_eq(look_first(other), 0);
    ck_assert_int_eq(look_first(single), 0);
    ck_assert_int_gt(look_first(agent), 20000);
    /* who copies the beginning of another's conversation has not gone on with it */
    note(turn(last_talk + 1, 1), agent);
    ck_assert_int_gt(look(turn(last_talk + 1, 2), agent), 0);
    ck_assert_int_eq(look(turn(last_talk + 1, 2), other), 0);
}
END_TEST

/* The key's conversations on other models count until there are some on this one. */
START_TEST(on_another_model)
{
    struct forecast_ask here = ask_of(1, SHAPE), there = {"b/model", 1, SHAPE};
    converse(here, 20, 3);
    ck_assert_int_eq(look_first(there), 2000);
    converse(there, PACE_SAMPLES_MIN, 1);
    ck_assert_int_eq(look_first(there), 0);
    ck_assert_int_eq(look_first(here), 2000);
}
END_TEST

/* Nine of ten are single requests: of one that went on more is to be expected. */
START_TEST(some_go_on)
{
    struct forecast_ask a = ask_of(1, SHAPE);
    for (int i = 0; i < 12; i++) {
        converse(a, 9, 1);
        converse(a, 1, 21);
    }
    ck_assert_int_eq(look_first(a), 2000);
    note(turn(++last_talk, 1), a);
    ck_assert_int_eq(look(turn(last_talk, 2), a), 19000);
}
END_TEST

START_TEST(repeated_now_and_then)
{
    struct forecast_ask a = ask_of(1, SHAPE);
    for (int i = 0; i < 20; i++) {
        converse(a, 10, 1);
        note(turn(last_talk, 1), a);
    }
    ck_assert_int_eq(look_first(a), 0);
    /* a branch of a conversation, or its last turn again, is none either */
    converse(a, 1, 2);
    ck_assert_int_eq(look(turn(last_talk, 2), a), 0);
}
END_TEST

START_TEST(forgets)
{
    struct forecast_ask a = ask_of(1, SHAPE);
    converse(a, 100, 30);
    converse(a, 8 * PACE_FORGET, 1);
    ck_assert_int_eq(look_first(a), 0);
    converse(a, 4 * PACE_FORGET, 3);
    ck_assert(look_first(a) > 1900 && look_first(a) < 2100);
    /* an hour later nobody has kept it: it begins anew */
    note(turn(++last_talk, 1), a);
    ck_assert_int_gt(look(turn(last_talk, 2), a), 0);
    int64_t all = look_first(a);
    now_ms += PACE_LIVES_MS;
    ck_assert_int_eq(look(turn(last_talk, 2), a), all);
}
END_TEST

static struct chat with_instructions(uint64_t hash, int64_t bytes)
{
    struct chat c = turn(++last_talk, 1);
    c.n_prefixes = 2;
    c.prefixes[0] = (struct chat_prefix){.hash = hash, .bytes = bytes};
    c.prefixes[1] = (struct chat_prefix){.hash = last_talk * 1000003, .bytes = c.prompt_bytes};
    return c;
}

/* Single requests with the same long instructions: each is followed by one that can use them. */
START_TEST(instructions_in_common)
{
    struct forecast_ask large = ask_of(1, SHAPE), small = ask_of(2, SHAPE), own = ask_of(3, SHAPE);
    for (int i = 0; i < 50; i++) {
        note(with_instructions(9, 6000), large);
        note(with_instructions(9, 4000), small);
        note(with_instructions((uint64_t)i + 100, 6000), own);
    }
    ck_assert(look_first(large) > 900 && look_first(large) <= 1000);
    ck_assert_int_eq(look_first(small), 0);
    ck_assert_int_eq(look_first(own), 0);
}
END_TEST

/* More conversations and groups than there is room for: the latest are known. */
START_TEST(memory_is_bounded)
{
    for (int64_t key = 1; key <= 2 * PACE_GROUPS; key++)
        converse(ask_of(key, SHAPE), PACE_SAMPLES_MIN, 3);
    int known = 0;
    for (int64_t key = 2 * PACE_GROUPS - 100; key <= 2 * PACE_GROUPS; key++)
        known += look_first(ask_of(key, SHAPE)) == 2000;
    ck_assert_int_ge(known, 95);
}
END_TEST

Suite *pace_suite(void)
{
    Suite *s = suite_create("pace");
    TCase *t = tcase_create("pace");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, nothing_is_known);
    tcase_add_test(t, by_what_it_was);
    tcase_add_test(t, nobody_elses);
    tcase_add_test(t, on_another_model);
    tcase_add_test(t, some_go_on);
    tcase_add_test(t, repeated_now_and_then);
    tcase_add_test(t, forgets);
    tcase_add_test(t, instructions_in_common);
    tcase_add_test(t, memory_is_bounded);
    suite_add_tcase(s, t);
    return s;
}
