#define _GNU_SOURCE
/* Connections and failures per client address. */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "server/address.h"

enum { CONNECTIONS = 3, FAILURES = 10, BURST = FAILURES * ADDRESS_FAILURES_BURST_S };

static struct addresses *table;

static void setup(void)
{
    table = address_table_new(CONNECTIONS, FAILURES);
    ck_assert_ptr_nonnull(table);
}

static void teardown(void)
{
    address_table_free(table);
}

static const struct sockaddr *from(const char *text)
{
    static struct sockaddr_storage kept;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(1)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(2)};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&kept, &v4, sizeof v4);
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        memcpy(&kept, &v6, sizeof v6);
    }
    return (const struct sockaddr *)&kept;
}

static int enter_all(const char *text)
{
    int n = 0;
    while (n < 100 && address_enter(table, from(text))) {
        n++;
    }
    return n;
}

START_TEST(so_many_connections)
{
    ck_assert_int_eq(enter_all("192.0.2.1"), CONNECTIONS);
    ck_assert_int_eq(enter_all("192.0.2.2"), CONNECTIONS);
    address_leave(table, from("192.0.2.1"));
    ck_assert_int_eq(enter_all("192.0.2.1"), 1);
    for (int i = 0; i < CONNECTIONS; i++) {
        address_leave(table, from("192.0.2.1"));
    }
    ck_assert_int_eq(enter_all("192.0.2.1"), CONNECTIONS);
}
END_TEST

START_TEST(a_network_of_ipv6_is_one)
{
    ck_assert(address_enter(table, from("2001:db8:1:2::1")));
    ck_assert(address_enter(table, from("2001:db8:1:2:ffff::9")));
    ck_assert(address_enter(table, from("2001:db8:1:2:1:2:3:4")));
    ck_assert(!address_enter(table, from("2001:db8:1:2::7")));
    ck_assert_int_eq(enter_all("2001:db8:1:3::1"), CONNECTIONS);
}
END_TEST

/* As a socket for both families shows them: each is an address of its own. */
START_TEST(ipv4_in_ipv6_is_ipv4)
{
    ck_assert_int_eq(enter_all("::ffff:192.0.2.1"), CONNECTIONS);
    ck_assert_int_eq(enter_all("192.0.2.1"), 0);
    ck_assert_int_eq(enter_all("::ffff:192.0.2.2"), CONNECTIONS);
}
END_TEST

START_TEST(what_has_no_address_is_not_counted)
{
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    for (int i = 0; i < 1000; i++) {
        ck_assert(address_enter(table, (const struct sockaddr *)&local));
        ck_assert(address_enter(table, NULL));
        ck_assert(address_may_fail(table, (const struct sockaddr *)&local, 0));
    }
    address_leave(table, (const struct sockaddr *)&local);
    address_leave(table, NULL);
}
END_TEST

START_TEST(unlimited)
{
    struct addresses *t = address_table_new(0, 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert(address_enter(t, from("192.0.2.1")));
        ck_assert(address_may_fail(t, from("192.0.2.1"), 0));
    }
    for (int i = 0; i < 2000; i++) {
        address_leave(t, from("192.0.2.1"));
    }
    address_table_free(t);
}
END_TEST

static int fail_all(const char *text, int64_t now_ms)
{
    int n = 0;
    while (n < 10000 && address_may_fail(table, from(text), now_ms)) {
        n++;
    }
    return n;
}

START_TEST(so_many_failures)
{
    ck_assert_int_eq(fail_all("192.0.2.1", 1000), BURST);
    ck_assert_int_eq(fail_all("192.0.2.1", 1099), 0);
    ck_assert_int_eq(fail_all("192.0.2.1", 1100), 1);
    ck_assert_int_eq(fail_all("192.0.2.2", 1100), BURST);
    ck_assert_int_eq(fail_all("192.0.2.1", 2100), FAILURES);
    ck_assert_int_eq(fail_all("192.0.2.1", INT64_C(1000000)), BURST);
    ck_assert_int_eq(fail_all("192.0.2.1", 900000), 0); /* a clock that steps back gives nothing */
}
END_TEST

/* More addresses than are remembered: the ones that failed least are forgotten first. */
START_TEST(many_addresses_fail)
{
    char text[32];
    int64_t now_ms = 5000;
    ck_assert_int_eq(fail_all("192.0.2.1", now_ms), BURST);
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "10.%d.%d.1", i / 256, i % 256);
        ck_assert(address_may_fail(table, from(text), now_ms));
    }
    ck_assert_int_eq(fail_all("192.0.2.1", now_ms), 0);
}
END_TEST

Suite *address_suite(void);
Suite *address_suite(void)
{
    Suite *s = suite_create("address");
    TCase *tc = tcase_create("address");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, so_many_connections);
    tcase_add_test(tc, a_network_of_ipv6_is_one);
    tcase_add_test(tc, ipv4_in_ipv6_is_ipv4);
    tcase_add_test(tc, what_has_no_address_is_not_counted);
    tcase_add_test(tc, unlimited);
    tcase_add_test(tc, so_many_failures);
    tcase_add_test(tc, many_addresses_fail);
    suite_add_tcase(s, tc);
    return s;
}
