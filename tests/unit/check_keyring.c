/* Turns, what holds a credential back, trials, what is news. */
#include <check.h>
#include <stdio.h>

#include "router/keyring.h"

Suite *keyring_suite(void);

enum { KEYS = 3 };
static const int64_t T0 = INT64_C(1800000000000);

/* Two endpoints of one provider with three credentials, one of another provider. */
static struct provider_row acme, bolt;
static struct endpoint one, two, other;
static struct keyring *ring;

static void set_up(void)
{
    static const char *const refs[KEYS] = {"A", "B", "C"};
    static const char *const secrets[KEYS] = {"sk-a", "sk-b", "sk-c"};
    acme = (struct provider_row){.id = 1, .slug = "acme", .n_credentials = KEYS};
    for (int i = 0; i < KEYS; i++)
        acme.credentials[i] = (struct credential){
            .kind = CREDENTIAL_ENV, .ref = refs[i], .secret = secrets[i], .index = i};
    bolt = (struct provider_row){.id = 2, .slug = "bolt", .n_credentials = 1};
    bolt.credentials[0] = (struct credential){.kind = CREDENTIAL_NONE, .ref = ""};
    one = (struct endpoint){.id = 11, .provider = &acme};
    two = (struct endpoint){.id = 12, .provider = &acme};
    other = (struct endpoint){.id = 21, .provider = &bolt};
    ring = keyring_new();
}

static void tear_down(void)
{
    keyring_free(ring);
}

static int take(const struct endpoint *e, uint32_t tried, int64_t now_ms)
{
    const struct credential *c = keyring_take(ring, e, tried, now_ms);
    return c != NULL ? c->index : -1;
}

static bool refuse(const struct endpoint *e, int key, enum refusal_kind kind, int64_t ms,
                   int64_t now_ms)
{
    struct refusal r = {kind, kind == REFUSAL_SPENT ? ms : -1};
    return keyring_refused(ring, e, &e->provider->credentials[key], &r,
                           kind == REFUSAL_LIMITED ? ms : -1, now_ms);
}

static enum refusal_kind look(const struct endpoint *e, int64_t now_ms)
{
    struct keyring_view v;
    keyring_look(ring, e, now_ms, &v);
    return v.why;
}

START_TEST(turns_are_fair)
{
    int used[KEYS] = {0};
    for (int i = 0; i < 300; i++)
        used[take(i % 3 == 0 ? &two : &one, 0, T0)]++;
    for (int i = 0; i < KEYS; i++)
        ck_assert_int_eq(used[i], 100);
    ck_assert_int_eq(take(&other, 0, T0), 0);
    ck_assert(!keyring_is_busy(ring));
}
END_TEST

START_TEST(one_that_is_not_there_is_passed_over)
{
    acme.credentials[1].secret = NULL;
    ck_assert_int_eq(take(&one, 0, T0), 0);
    ck_assert_int_eq(take(&one, 0, T0), 2);
    ck_assert_int_eq(take(&one, 0, T0), 0);
    ck_assert(!keyring_has_other(ring, &one, 1u << 0 | 1u << 2, T0));
    acme.credentials[0].secret = acme.credentials[2].secret = NULL;
    ck_assert_int_eq(take(&one, 0, T0), -1);
    ck_assert_int_eq(look(&one, T0), REFUSAL_NONE); /* no_credential's business */
}
END_TEST

START_TEST(a_limit_holds_one_credential_of_one_endpoint)
{
    ck_assert(!refuse(&one, 0, REFUSAL_LIMITED, 5000, T0)); /* no news */
    ck_assert(keyring_is_busy(ring));
    for (int i = 0; i < 6; i++)
        ck_assert_int_ne(take(&one, 0, T0 + 4999), 0);
    ck_assert(keyring_has_other(ring, &two, 1u << 1 | 1u << 2, T0));
    ck_assert(!keyring_has_other(ring, &one, 1u << 1 | 1u << 2, T0 + 4999));
    ck_assert(keyring_has_other(ring, &one, 1u << 1 | 1u << 2, T0 + 5000));
    ck_assert_int_eq(look(&one, T0), REFUSAL_NONE);
}
END_TEST

START_TEST(a_limit_without_a_time_holds_nothing)
{
    refuse(&one, 0, REFUSAL_LIMITED, -1, T0);
    refuse(&one, 0, REFUSAL_LIMITED, 0, T0);
    refuse(&one, 0, REFUSAL_NONE, -1, T0);
    ck_assert(!keyring_is_busy(ring));
    refuse(&one, 0, REFUSAL_LIMITED, INT64_C(7) * 86400000, T0);
    ck_assert(!keyring_has_other(ring, &one, 1u << 1 | 1u << 2, T0 + KEYRING_LIMITED_MAX_MS - 1));
    ck_assert(keyring_has_other(ring, &one, 1u << 1 | 1u << 2, T0 + KEYRING_LIMITED_MAX_MS));
}
END_TEST

START_TEST(all_held_back)
{
    refuse(&one, 0, REFUSAL_LIMITED, 9000, T0);
    refuse(&one, 1, REFUSAL_LIMITED, 3000, T0);
    ck_assert_int_eq(look(&one, T0), REFUSAL_NONE);
    refuse(&one, 2, REFUSAL_LIMITED, 6000, T0);
    ck_assert_int_eq(look(&one, T0), REFUSAL_LIMITED);
    ck_assert_int_eq(look(&two, T0), REFUSAL_NONE);
    ck_assert_int_eq(take(&one, 0, T0), 1);        /* is free first */
    ck_assert_int_eq(take(&one, 1u << 1, T0), -1); /* none but those held back is left */
    ck_assert_int_eq(look(&one, T0 + 2999), REFUSAL_LIMITED);
    ck_assert_int_eq(look(&one, T0 + 3000), REFUSAL_NONE);
}
END_TEST

START_TEST(a_refused_key_is_held_for_the_whole_provider)
{
    ck_assert(refuse(&one, 0, REFUSAL_INVALID, -1, T0));
    ck_assert(!refuse(&two, 0, REFUSAL_INVALID, -1, T0 + 1)); /* told once */
    ck_assert(!keyring_has_other(ring, &two, 1u << 1 | 1u << 2, T0 + KEYRING_REFUSED_MS));
    ck_assert(keyring_has_other(ring, &two, 1u << 1 | 1u << 2, T0 + KEYRING_REFUSED_MS + 1));
    ck_assert(refuse(&one, 1, REFUSAL_BARRED, -1, T0));
    ck_assert(!keyring_has_other(ring, &one, 1u << 0 | 1u << 2, T0));
    ck_assert(keyring_has_other(ring, &two, 1u << 0 | 1u << 2, T0));
}
END_TEST

/* After its time one request tries it, not all at once; a success makes it free. */
START_TEST(one_trial_at_a_time)
{
    refuse(&one, 1, REFUSAL_INVALID, -1, T0);
    int64_t later = T0 + KEYRING_REFUSED_MS;
    int tries = 0;
    for (int i = 0; i < 9; i++)
        tries += take(&one, 0, later) == 1;
    ck_assert_int_eq(tries, 1);
    ck_assert(!keyring_accepted(ring, &one, &acme.credentials[1], T0 - 1)); /* sent before it */
    ck_assert(keyring_is_busy(ring));
    ck_assert(keyring_accepted(ring, &one, &acme.credentials[1], later)); /* news */
    ck_assert(!keyring_is_busy(ring));
    ck_assert(!keyring_accepted(ring, &one, &acme.credentials[1], later));
    ck_assert(refuse(&one, 1, REFUSAL_INVALID, -1, later)); /* and again news */
}
END_TEST

START_TEST(spent_until_its_reset_or_an_hour)
{
    ck_assert(refuse(&one, 0, REFUSAL_SPENT, T0 + 60000, T0));
    ck_assert(refuse(&one, 1, REFUSAL_SPENT, T0 + INT64_C(9) * 86400000, T0));
    ck_assert(refuse(&one, 2, REFUSAL_SPENT, -1, T0));
    ck_assert_int_eq(look(&two, T0), REFUSAL_SPENT);
    ck_assert_int_eq(look(&two, T0 + 59999), REFUSAL_SPENT);
    ck_assert_int_eq(look(&two, T0 + 60000), REFUSAL_NONE);
    ck_assert(!keyring_has_other(ring, &one, 1u << 0, T0 + KEYRING_PROBE_MS - 1));
    ck_assert(keyring_has_other(ring, &one, 1u << 0, T0 + KEYRING_PROBE_MS));
    ck_assert(!refuse(&one, 1, REFUSAL_SPENT, -1, T0 + KEYRING_PROBE_MS)); /* no news */
}
END_TEST

START_TEST(a_new_secret_begins_anew)
{
    refuse(&one, 0, REFUSAL_INVALID, -1, T0);
    acme.credentials[0].secret = "sk-new";
    ck_assert_int_eq(take(&one, 1u << 1 | 1u << 2, T0), 0);
    ck_assert(refuse(&one, 0, REFUSAL_INVALID, -1, T0)); /* of the new one: news */
    acme.credentials[0].secret = "sk-a";
    ck_assert_int_eq(take(&one, 1u << 1 | 1u << 2, T0), 0);
}
END_TEST

START_TEST(the_table_is_bounded)
{
    for (int64_t i = 0; i < KEYRING_ROWS_MAX + 100; i++) {
        struct endpoint e = {.id = 1000 + i, .provider = &acme};
        refuse(&e, 0, REFUSAL_LIMITED, 1000, T0);
    }
    ck_assert(!refuse(&two, 0, REFUSAL_INVALID, -1, T0));       /* no room, no news */
    ck_assert(refuse(&two, 0, REFUSAL_INVALID, -1, T0 + 1000)); /* those limits are over */
    ck_assert_int_ne(take(&two, 0, T0 + 1000), 0);
}
END_TEST

START_TEST(names_have_no_secret)
{
    char text[KEYRING_NOTE_MAX];
    ck_assert_str_eq(keyring_name(&acme, &acme.credentials[1], text), "env:B (2 of 3)");
    ck_assert_str_eq(keyring_name(&bolt, &bolt.credentials[0], text), "none: (1 of 1)");
}
END_TEST

Suite *keyring_suite(void)
{
    Suite *s = suite_create("keyring");
    TCase *t = tcase_create("keyring");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, turns_are_fair);
    tcase_add_test(t, one_that_is_not_there_is_passed_over);
    tcase_add_test(t, a_limit_holds_one_credential_of_one_endpoint);
    tcase_add_test(t, a_limit_without_a_time_holds_nothing);
    tcase_add_test(t, all_held_back);
    tcase_add_test(t, a_refused_key_is_held_for_the_whole_provider);
    tcase_add_test(t, one_trial_at_a_time);
    tcase_add_test(t, spent_until_its_reset_or_an_hour);
    tcase_add_test(t, a_new_secret_begins_anew);
    tcase_add_test(t, the_table_is_bounded);
    tcase_add_test(t, names_have_no_secret);
    suite_add_tcase(s, t);
    return s;
}
