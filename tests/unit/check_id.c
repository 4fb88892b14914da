/* Unit tests of schema/id.c. */
#include <check.h>

#include "schema/id.h"

/* RFC 9562 appendix A.6 gives this time and these random bits. */
static const int64_t rfc_ms = INT64_C(0x017F22E279B0);
static const uint8_t rfc_rand[10] = {0x0C, 0xC3, 0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F};
static const char rfc_text[] = "017f22e279b07cc398c4dc0c0c07398f";

START_TEST(rfc_example)
{
    struct id id = id_make(rfc_ms, rfc_rand);
    char out[ID_TEXT_MAX];
    ck_assert_str_eq(id_print(&id, "", out), rfc_text);
}
END_TEST

START_TEST(version_and_variant_whatever_the_random_bits)
{
    uint8_t ones[10], zeros[10];
    memset(ones, 0xff, sizeof(ones));
    memset(zeros, 0, sizeof(zeros));
    char out[ID_TEXT_MAX];
    struct id high = id_make(INT64_C(0xffffffffffff), ones);
    ck_assert_str_eq(id_print(&high, "", out), "ffffffffffff7fffbfffffffffffffff");
    struct id low = id_make(0, zeros);
    ck_assert_str_eq(id_print(&low, "", out), "00000000000070008000000000000000");
}
END_TEST

START_TEST(text_order_is_time_order)
{
    uint8_t ones[10], zeros[10];
    memset(ones, 0xff, sizeof(ones));
    memset(zeros, 0, sizeof(zeros));
    char a[ID_TEXT_MAX], b[ID_TEXT_MAX];
    for (int bit = 0; bit < 47; bit++) {
        struct id early = id_make((INT64_C(1) << bit) - 1, ones);
        struct id late = id_make(INT64_C(1) << bit, zeros);
        ck_assert_str_lt(id_print(&early, "gen_", a), id_print(&late, "gen_", b));
    }
}
END_TEST

START_TEST(prints_the_prefix)
{
    struct id id = id_make(rfc_ms, rfc_rand);
    char out[ID_TEXT_MAX];
    ck_assert_str_eq(id_print(&id, ID_PREFIX_GENERATION, out),
                     "gen_017f22e279b07cc398c4dc0c0c07398f");
    ck_assert_str_eq(id_print(&id, ID_PREFIX_ATTEMPT, out), "att_017f22e279b07cc398c4dc0c0c07398f");
}
END_TEST

START_TEST(parses_what_it_prints)
{
    struct id id = id_make(rfc_ms, rfc_rand);
    struct id back;
    char out[ID_TEXT_MAX];
    ck_assert(id_parse(span_of(id_print(&id, "gen_", out)), "gen_", &back));
    ck_assert(id_eq(&id, &back));
    ck_assert(id_parse(SPAN("gen_017F22E279B07CC398C4DC0C0C07398F"), "gen_", &back));
    ck_assert(id_eq(&id, &back));
    back.b[15] ^= 1;
    ck_assert(!id_eq(&id, &back));
}
END_TEST

static const struct {
    const char *name, *text;
} refused[] = {
    {"empty", ""},
    {"prefix only", "gen_"},
    {"another prefix", "att_017f22e279b07cc398c4dc0c0c07398f"},
    {"no prefix", "017f22e279b07cc398c4dc0c0c07398f"},
    {"no prefix, right length", "0000017f22e279b07cc398c4dc0c0c07398f"},
    {"a digit short", "gen_017f22e279b07cc398c4dc0c0c07398"},
    {"a digit long", "gen_017f22e279b07cc398c4dc0c0c07398f0"},
    {"letter g", "gen_017f22e279b07cc398c4dc0c0c07398g"},
    {"slash is before 0", "gen_/17f22e279b07cc398c4dc0c0c07398f"},
    {"colon is after 9", "gen_:17f22e279b07cc398c4dc0c0c07398f"},
    {"at sign is before A", "gen_@17f22e279b07cc398c4dc0c0c07398f"},
    {"backtick is before a", "gen_`17f22e279b07cc398c4dc0c0c07398f"},
    {"space", "gen_ 17f22e279b07cc398c4dc0c0c07398f"},
    {"dashes", "gen_017f22e2-79b0-7cc3-98c4-dc0c0c07"},
    {"upper-case prefix", "GEN_017f22e279b07cc398c4dc0c0c07398f"},
};

START_TEST(refuses_everything_else)
{
    struct id id = id_make(rfc_ms, rfc_rand);
    struct id before = id;
    ck_assert_msg(!id_parse(span_of(refused[_i].text), "gen_", &id), "%s", refused[_i].name);
    ck_assert(id_eq(&id, &before));
}
END_TEST

START_TEST(refuses_nul_inside)
{
    struct id id;
    ck_assert(!id_parse(SPAN("gen_017f22e279b07cc398c4dc0c0c0739\0f"), "gen_", &id));
}
END_TEST

Suite *id_suite(void);
Suite *id_suite(void)
{
    Suite *s = suite_create("id");
    TCase *t = tcase_create("id");
    tcase_add_test(t, rfc_example);
    tcase_add_test(t, version_and_variant_whatever_the_random_bits);
    tcase_add_test(t, text_order_is_time_order);
    tcase_add_test(t, prints_the_prefix);
    tcase_add_test(t, parses_what_it_prints);
    tcase_add_loop_test(t, refuses_everything_else, 0, sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(t, refuses_nul_inside);
    suite_add_tcase(s, t);
    return s;
}
