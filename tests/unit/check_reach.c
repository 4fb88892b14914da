#define _GNU_SOURCE
/* Unit tests of server/reach.c: ranges with their borders, entries, URLs. */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "server/reach.h"

static const char *range_of(const char *text)
{
    struct sockaddr_storage addr = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&addr, &v4, sizeof v4);
        return reach_range((const struct sockaddr *)&addr, sizeof v4);
    }
    ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    memcpy(&addr, &v6, sizeof v6);
    return reach_range((const struct sockaddr *)&addr, sizeof v6);
}

/* first and last of a range, NULL range: public */
static const struct {
    const char *range, *first, *last;
} addresses[] = {
    {"unspecified", "0.0.0.0", "0.255.255.255"},
    {NULL, "1.0.0.0", "9.255.255.255"},
    {"private", "10.0.0.0", "10.255.255.255"},
    {NULL, "11.0.0.0", "100.63.255.255"},
    {"shared", "100.64.0.0", "100.127.255.255"},
    {NULL, "100.128.0.0", "126.255.255.255"},
    {"loopback", "127.0.0.0", "127.255.255.255"},
    {NULL, "128.0.0.0", "169.253.255.255"},
    {"link-local", "169.254.0.0", "169.254.255.255"},
    {"link-local", "169.254.169.254", "169.254.170.2"},
    {NULL, "169.255.0.0", "172.15.255.255"},
    {"private", "172.16.0.0", "172.31.255.255"},
    {NULL, "172.32.0.0", "191.255.255.255"},
    {"reserved", "192.0.0.0", "192.0.0.255"},
    {NULL, "192.0.1.0", "192.167.255.255"},
    {"private", "192.168.0.0", "192.168.255.255"},
    {NULL, "192.169.0.0", "198.17.255.255"},
    {"benchmark", "198.18.0.0", "198.19.255.255"},
    {NULL, "198.20.0.0", "223.255.255.255"},
    {"multicast", "224.0.0.0", "239.255.255.255"},
    {"reserved", "240.0.0.0", "255.255.255.255"},
    {"unspecified", "::", "::"},
    {"loopback", "::1", "::1"},
    {"unspecified", "::2", "::ffff:ffff"},
    {"loopback", "::ffff:127.0.0.1", "::ffff:127.255.255.255"},
    {"link-local", "::ffff:169.254.169.254", "::ffff:169.254.169.254"},
    {NULL, "::ffff:8.8.8.8", "::ffff:1.1.1.1"},
    {"private", "::ffff:0:10.0.0.1", "::ffff:0:10.0.0.1"},
    {"loopback", "64:ff9b::127.0.0.1", "64:ff9b::127.0.0.1"},
    {NULL, "64:ff9b::8.8.8.8", "64:ff9b::8.8.8.8"},
    {"private", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
    {"reserved", "100::", "100::ffff:ffff:ffff:ffff"},
    {"private", "2002:0a00:0001::", "2002:c0a8:0101::1"},
    {NULL, "2002:0808:0808::", "2002:0101:0101::"},
    {"tunnel", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"},
    {NULL, "2001:1::", "2001:4860:4860::8888"},
    {NULL, "2606:4700::", "fbff:ffff::"},
    {"private", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {NULL, "fe00::", "fe7f:ffff::"},
    {"link-local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"private", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"multicast", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
};

START_TEST(ranges_have_sharp_borders)
{
    const char *range = addresses[_i].range;
    const char *first = range_of(addresses[_i].first), *last = range_of(addresses[_i].last);
    ck_assert_pstr_eq(first, range);
    ck_assert_pstr_eq(last, range);
}
END_TEST

START_TEST(what_is_no_internet_address_is_not_public)
{
    struct sockaddr addr = {.sa_family = AF_UNIX};
    ck_assert_str_eq(reach_range(&addr, sizeof addr), "unknown");
    addr.sa_family = AF_INET6; /* too short to hold one */
    ck_assert_str_eq(reach_range(&addr, sizeof addr), "unknown");
}
END_TEST

static const struct {
    const char *entry;
    bool ok;
} entries[] = {
    {"llm.example", true},
    {"LLM-2.example", true},
    {"10.0.0.1", true},
    {"::1", true},
    {"[::1]", true},
    {"private:llm.internal", true},
    {"private:[fd00::1]", true},
    {"localhost", true},
    {"", false},
    {"private:", false},
    {"http://llm.example", false},
    {"llm.example:443", false},
    {"llm.example/v1", false},
    {"a@b", false},
    {"*.example", false},
    {"privat:llm.internal", false},
    {"private:private:x", false},
    {"[::1", false},
    {"::1%eth0", false},
};

START_TEST(entries_are_hosts)
{
    ck_assert_msg(reach_entry_ok(entries[_i].entry) == entries[_i].ok, "%s", entries[_i].entry);
}
END_TEST

static const char *const allowed_entries[] = {"llm.example",
                                              "localhost",
                                              "127.0.0.1",
                                              "[::1]",
                                              "8.8.8.8",
                                              "127.1",
                                              "both.example",
                                              "private:both.example",
                                              "private:Llm.Internal",
                                              "10.0.0.7"};
static const struct reach_list allowed = {allowed_entries,
                                          sizeof allowed_entries / sizeof allowed_entries[0]};

static const struct {
    const char *url;
    enum reach reach;
} urls[] = {
    {"https://llm.example", REACH_PUBLIC},
    {"https://LLM.Example:8443/v1", REACH_PUBLIC},
    {"http://8.8.8.8/", REACH_PUBLIC},
    {"http://127.1:80", REACH_PUBLIC}, /* no literal: where it leads to is checked */
    {"http://127.0.0.1:8080", REACH_ANY},
    {"http://localhost", REACH_ANY},
    {"http://[::1]:8080/v1", REACH_ANY},
    {"http://10.0.0.7", REACH_ANY},
    {"http://llm.internal/v1", REACH_ANY},
    {"http://both.example", REACH_ANY},
    {"http://10.0.0.8", REACH_NOWHERE},
    {"http://2130706433", REACH_NOWHERE},
    {"http://llm.example.", REACH_NOWHERE},
    {"http://llm.example.evil", REACH_NOWHERE},
    {"http://evil.llm.example", REACH_NOWHERE},
    {"http://llm.example@evil.example", REACH_NOWHERE},
    {"http://u:p@llm.example", REACH_NOWHERE},
    {"http://[::1]evil", REACH_NOWHERE},
    {"http://[::1", REACH_NOWHERE},
    {"http://[::2]", REACH_NOWHERE},
    {"http://::1", REACH_NOWHERE},
    {"http://", REACH_NOWHERE},
    {"http://:80", REACH_NOWHERE},
    {"llm.example", REACH_PUBLIC},
};

START_TEST(urls_are_judged_by_their_host)
{
    ck_assert_msg(reach_of_url(urls[_i].url, &allowed) == urls[_i].reach, "%s", urls[_i].url);
}
END_TEST

Suite *reach_suite(void);
Suite *reach_suite(void)
{
    Suite *s = suite_create("reach");
    TCase *t = tcase_create("reach");
    tcase_add_loop_test(t, ranges_have_sharp_borders, 0,
                        (int)(sizeof addresses / sizeof addresses[0]));
    tcase_add_test(t, what_is_no_internet_address_is_not_public);
    tcase_add_loop_test(t, entries_are_hosts, 0, (int)(sizeof entries / sizeof entries[0]));
    tcase_add_loop_test(t, urls_are_judged_by_their_host, 0, (int)(sizeof urls / sizeof urls[0]));
    suite_add_tcase(s, t);
    return s;
}
