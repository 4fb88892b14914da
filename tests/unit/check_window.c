/* Calendar windows in time zones. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/window.h"
#include "router/zone_rule.h"
#include "schema/when.h"

static int64_t ms(const char *text)
{
    int64_t t = -1;
    ck_assert_msg(when_parse(span_of(text), &t), "%s", text);
    return t;
}

static struct zone *zone(const char *name)
{
    struct fail why = {0};
    struct zone *z = zone_load(name, &why);
    ck_assert_msg(z != NULL, "%s: %s", name, why.text);
    return z;
}

static const struct {
    const char *zone, *at;
    enum window_kind kind;
    const char *start, *end;
} cases[] = {
    {"UTC", "2026-11-25T06:34:35Z", WINDOW_DAY, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"},
    {"UTC", "2026-11-25T00:00:00Z", WINDOW_DAY, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"},
    {"UTC", "2026-11-25T23:59:59.999Z", WINDOW_DAY, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"},
    /* Wednesday; weeks begin on Monday */
    {"UTC", "2026-11-25T06:34:35Z", WINDOW_WEEK, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},
    {"UTC", "2026-11-23T00:00:00Z", WINDOW_WEEK, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},
    {"UTC", "2026-11-22T23:59:59Z", WINDOW_WEEK, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"},
    {"UTC", "2027-01-01T00:00:00Z", WINDOW_WEEK, "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"},
    {"UTC", "2026-12-31T23:59:59Z", WINDOW_MONTH, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
    {"UTC", "2028-02-29T12:00:00Z", WINDOW_MONTH, "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
    {"UTC", "2028-02-29T12:00:00Z", WINDOW_DAY, "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"},
    {"UTC", "2100-02-28T12:00:00Z", WINDOW_DAY, "2100-02-28T00:00:00Z", "2100-03-01T00:00:00Z"},
    /* 29 March 2026 has 23 hours in Berlin, 25 October 25 */
    {"Europe/Berlin", "2026-03-29T12:00:00Z", WINDOW_DAY, "2026-03-28T23:00:00Z",
     "2026-03-29T22:00:00Z"},
    {"Europe/Berlin", "2026-10-25T12:00:00Z", WINDOW_DAY, "2026-10-24T22:00:00Z",
     "2026-10-25T23:00:00Z"},
    {"Europe/Berlin", "2026-10-25T23:30:00Z", WINDOW_DAY, "2026-10-25T23:00:00Z",
     "2026-10-26T23:00:00Z"},
    {"Europe/Berlin", "2026-03-31T21:59:59Z", WINDOW_MONTH, "2026-02-28T23:00:00Z",
     "2026-03-31T22:00:00Z"},
    {"Europe/Berlin", "2026-03-31T22:00:00Z", WINDOW_MONTH, "2026-03-31T22:00:00Z",
     "2026-04-30T22:00:00Z"},
    {"America/New_York", "2026-03-08T12:00:00Z", WINDOW_DAY, "2026-03-08T05:00:00Z",
     "2026-03-09T04:00:00Z"},
    {"America/New_York", "2026-11-01T12:00:00Z", WINDOW_DAY, "2026-11-01T04:00:00Z",
     "2026-11-02T05:00:00Z"},
    {"America/New_York", "2026-11-01T12:00:00Z", WINDOW_WEEK, "2026-10-26T04:00:00Z",
     "2026-11-02T05:00:00Z"},
    /* beyond the table: the footer's rule */
    {"Europe/Berlin", "2071-07-15T12:00:00Z", WINDOW_DAY, "2071-07-14T22:00:00Z",
     "2071-07-15T22:00:00Z"},
    {"Europe/Berlin", "2071-12-15T12:00:00Z", WINDOW_DAY, "2071-12-14T23:00:00Z",
     "2071-12-15T23:00:00Z"},
    {"America/New_York", "2099-07-15T12:00:00Z", WINDOW_MONTH, "2099-07-01T04:00:00Z",
     "2099-08-01T04:00:00Z"},
    /* the southern half: summer over the new year */
    {"Australia/Sydney", "2080-01-10T00:00:00Z", WINDOW_DAY, "2080-01-09T13:00:00Z",
     "2080-01-10T13:00:00Z"},
    {"Australia/Sydney", "2080-07-10T00:00:00Z", WINDOW_DAY, "2080-07-09T14:00:00Z",
     "2080-07-10T14:00:00Z"},
    /* offsets that are no whole hours, and a fixed zone */
    {"Asia/Kathmandu", "2026-11-25T00:00:00Z", WINDOW_DAY, "2026-11-24T18:15:00Z",
     "2026-11-25T18:15:00Z"},
    {"Asia/Tokyo", "2026-11-25T15:00:00Z", WINDOW_DAY, "2026-11-25T15:00:00Z",
     "2026-11-26T15:00:00Z"},
    /* midnight skipped: the clocks of Sao Paulo went from 23:59:59 to 01:00 */
    {"America/Sao_Paulo", "2018-11-04T12:00:00Z", WINDOW_DAY, "2018-11-04T03:00:00Z",
     "2018-11-05T02:00:00Z"},
    /* midnight repeated: at 24:00 back to 23:00 of 17 February */
    {"America/Sao_Paulo", "2018-02-18T02:30:00Z", WINDOW_DAY, "2018-02-17T02:00:00Z",
     "2018-02-18T03:00:00Z"},
    /* a day that did not exist: Samoa had no 30 December 2011 */
    {"Pacific/Apia", "2011-12-30T09:59:59Z", WINDOW_DAY, "2011-12-29T10:00:00Z",
     "2011-12-30T10:00:00Z"},
    {"Pacific/Apia", "2011-12-30T10:00:00Z", WINDOW_DAY, "2011-12-30T10:00:00Z",
     "2011-12-31T10:00:00Z"},
};

START_TEST(windows)
{
    struct zone *z = zone(cases[_i].zone);
    struct window w = window_at(z, cases[_i].kind, ms(cases[_i].at));
    char start[WHEN_TEXT_MAX], end[WHEN_TEXT_MAX];
    ck_assert_msg(w.start_ms == ms(cases[_i].start) && w.end_ms == ms(cases[_i].end),
                  "%s %s %s: %s to %s", cases[_i].zone, window_name(cases[_i].kind), cases[_i].at,
                  when_print(w.start_ms, start), when_print(w.end_ms, end));
    zone_free(z);
}
END_TEST

/* Every window begins where the one before it ended, and holds the instants in it. */
START_TEST(windows_are_gapless)
{
    static const char *const zones[] = {"UTC",           "Europe/Berlin",     "America/New_York",
                                        "Asia/Kolkata",  "America/Sao_Paulo", "Australia/Lord_Howe",
                                        "Africa/Cairo",  "Asia/Beirut",       "Pacific/Apia",
                                        "Europe/Dublin", "Africa/Casablanca", "America/St_Johns"};
    struct zone *z = zone(zones[_i]);
    for (int k = WINDOW_DAY; k < WINDOW_TOTAL; k++) {
        int64_t at = ms("2005-01-01T12:00:00Z"), stop = ms("2045-01-01T00:00:00Z");
        struct window before = window_at(z, (enum window_kind)k, at);
        while (at < stop) {
            at = before.end_ms;
            struct window w = window_at(z, (enum window_kind)k, at);
            struct window last = window_at(z, (enum window_kind)k, w.end_ms - 1);
            /* clocks may repeat an hour after midnight */
            struct window early = window_at(z, (enum window_kind)k, w.start_ms + 1800000);
            if (w.start_ms != before.end_ms || w.start_ms >= w.end_ms ||
                last.start_ms != w.start_ms || last.end_ms != w.end_ms ||
                early.start_ms != w.start_ms)
                ck_abort_msg("%s: the %s of %lld", zones[_i], window_name((enum window_kind)k),
                             (long long)at);
            before = w;
        }
    }
    zone_free(z);
}
END_TEST

START_TEST(total_is_all_time)
{
    struct zone *z = zone("Europe/Berlin");
    struct window w = window_at(z, WINDOW_TOTAL, ms("2026-11-25T00:00:00Z"));
    ck_assert_int_eq(w.start_ms, 0);
    ck_assert_int_eq(w.end_ms, INT64_MAX);
    zone_free(z);
}
END_TEST

START_TEST(absurd_instants_are_clamped)
{
    struct zone *z = zone("UTC");
    ck_assert_int_eq(window_at(z, WINDOW_DAY, INT64_MIN).start_ms, 0);
    ck_assert_int_eq(window_at(z, WINDOW_DAY, -1).start_ms, 0);
    ck_assert_int_eq(window_at(z, WINDOW_DAY, INT64_MAX).start_ms, ms("9999-12-31T00:00:00Z"));
    zone_free(z);
}
END_TEST

START_TEST(names_that_are_no_zones)
{
    static const char *const names[] = {
        "",
        "Mars/Olympus",
        "/etc/passwd",
        "../../../etc/passwd",
        "Europe/../../../../etc/passwd",
        "Europe",
        "zone.tab",
        "Europe/Berlin\n",
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct fail why = {0};
        ck_assert_msg(zone_load(names[i], &why) == NULL, "%s", names[i]);
        ck_assert_int_eq(why.code, ERR_bad_request);
        ck_assert_str_eq(why.field, "timezone");
    }
}
END_TEST

/* A cut or damaged file is refused, never read past its end. */
START_TEST(damaged_files)
{
    char bytes[8192];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    struct zone *whole = zone_parse("b", (struct span){bytes, n}, NULL);
    ck_assert_ptr_nonnull(whole);
    ck_assert_int_eq(zone_offset_s(whole, ms("2026-07-01") / 1000), 7200);
    ck_assert_int_eq(zone_offset_s(whole, ms("2026-12-01") / 1000), 3600);
    zone_free(whole);
    for (size_t cut = 0; cut < n; cut++) {
        char *copy = malloc(cut + 1); /* so that a sanitizer sees reads past the end */
        memcpy(copy, bytes, cut);
        struct fail why;
        ck_assert_msg(zone_parse("b", (struct span){copy, cut}, &why) == NULL, "cut at %zu", cut);
        free(copy);
    }
    for (size_t i = 0; i < n; i++) {
        char was = bytes[i];
        bytes[i] = (char)0xff;
        struct zone *z = zone_parse("b", (struct span){bytes, n}, NULL);
        if (z != NULL)
            zone_offset_s(z, 0);
        zone_free(z);
        bytes[i] = was;
    }
}
END_TEST

START_TEST(rules)
{
    static const char *const good[] = {"UTC0",
                                       "CET-1CEST,M3.5.0,M10.5.0/3",
                                       "<+0330>-3:30",
                                       "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
                                       "EST5EDT,J60,J300/1:30:15",
                                       "AEST-10AEDT,0/0,365/25"};
    static const char *const bad[] = {"",
                                      "U",
                                      "UTC",
                                      "<+0330-3:30",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.0.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,M3.5.0,M10.5.0/3x",
                                      "CET-168",
                                      "CET-1:60"};
    struct zone_rule r;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(zone_rule_parse(span_of(good[i]), &r), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!zone_rule_parse(span_of(bad[i]), &r), "%s", bad[i]);
    ck_assert(zone_rule_parse(span_of("EST5EDT,J60,J300"), &r)); /* J60 is 1 March, always */
    ck_assert_int_eq(zone_rule_offset_s(&r, ms("2028-02-29T23:00:00Z") / 1000), -18000);
    ck_assert_int_eq(zone_rule_offset_s(&r, ms("2028-03-01T06:59:59Z") / 1000), -18000);
    ck_assert_int_eq(zone_rule_offset_s(&r, ms("2028-03-01T07:00:00Z") / 1000), -14400);
    ck_assert_int_eq(zone_rule_offset_s(&r, ms("2027-03-01T07:00:00Z") / 1000), -14400);
}
END_TEST

/* The rule of the footer against the table of the file, hour by hour. */
START_TEST(rule_and_table_agree)
{
    static const char *const pairs[][2] = {{"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"},
                                           {"America/New_York", "EST5EDT,M3.2.0,M11.1.0"}};
    struct zone *z = zone(pairs[_i][0]);
    struct zone_rule r;
    ck_assert(zone_rule_parse(span_of(pairs[_i][1]), &r));
    for (int64_t at = ms("2008-01-01") / 1000; at < ms("2037-01-01") / 1000; at += 3600) {
        /* not an assertion each: those cost a write */
        if (zone_offset_s(z, at) != zone_rule_offset_s(&r, at) ||
            zone_offset_s(z, at - 1) != zone_rule_offset_s(&r, at - 1))
            ck_abort_msg("%s at %lld", pairs[_i][0], (long long)at);
    }
    ck_assert_int_eq(zone_rule_offset_s(&r, ms("2027-03-28T01:00:00Z") / 1000),
                     _i == 0 ? 7200 : -14400);
    zone_free(z);
}
END_TEST

START_TEST(names_of_windows)
{
    enum window_kind k;
    for (int i = 0; i < WINDOW_KINDS; i++) {
        ck_assert(window_parse(window_name((enum window_kind)i), &k));
        ck_assert_int_eq((int)k, i);
    }
    ck_assert(!window_parse("year", &k));
}
END_TEST

Suite *window_suite(void);
Suite *window_suite(void)
{
    Suite *s = suite_create("window");
    TCase *t = tcase_create("window");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, windows, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_loop_test(t, windows_are_gapless, 0, 12);
    tcase_add_test(t, total_is_all_time);
    tcase_add_test(t, absurd_instants_are_clamped);
    tcase_add_test(t, names_that_are_no_zones);
    tcase_add_test(t, damaged_files);
    tcase_add_test(t, rules);
    tcase_add_loop_test(t, rule_and_table_agree, 0, 2);
    tcase_add_test(t, names_of_windows);
    suite_add_tcase(s, t);
    return s;
}
