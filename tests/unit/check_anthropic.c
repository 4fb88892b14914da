/* The Anthropic adapter against golden streams and bodies (golden.h), and at its limits. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/golden.h"

static const struct provider_target target = {.base_url = "https://api.example"};
static const struct provider_reading reading = {.target = &target};

enum { CASES_MIN = 80 };

START_TEST(test_golden_cases)
{
    golden_replay("anthropic", &provider_anthropic, &target, CASES_MIN);
}
END_TEST

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

START_TEST(test_boundary)
{
    static const char text[] = ": c\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
    const struct provider *p = &provider_anthropic;
    void *stream = p->stream_open(&reading);
    ck_assert(p->stream_at_boundary(stream));
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        ck_assert(p->stream_feed(stream, (struct span){text + i, 1}, ignore_event, NULL));
        bool expected = i == 4 || i == 3 || i == sizeof(text) - 2;
        if (i != 3) /* after a lone comment line either answer is safe */
            ck_assert_msg(p->stream_at_boundary(stream) == expected, "after byte %zu", i);
    }
    p->stream_close(stream);
    p->stream_close(NULL);
}
END_TEST

START_TEST(test_event_over_the_maximum)
{
    const struct provider *p = &provider_anthropic;
    void *stream = p->stream_open(&reading);
    enum { PIECE = 1 << 20 };
    char *piece = malloc(PIECE);
    ck_assert(piece != NULL);
    memset(piece, 'x', PIECE);
    ck_assert(p->stream_feed(stream, SPAN("data: "), ignore_event, NULL));
    bool ok = true;
    int fed = 0;
    while (ok && fed < 2 * PROVIDER_EVENT_MAX / PIECE) {
        ok = p->stream_feed(stream, (struct span){piece, PIECE}, ignore_event, NULL);
        fed++;
    }
    ck_assert(!ok);
    ck_assert_int_ge(fed, PROVIDER_EVENT_MAX / PIECE);
    /* Broken for good, and nothing that follows is believed. */
    ck_assert(
        !p->stream_feed(stream, SPAN("\n\nevent: message_stop\ndata: {}\n\n"), ignore_event, NULL));
    static struct usage_report report;
    int64_t bytes;
    ck_assert_int_eq(p->stream_state(stream, &report, &bytes), VERDICT_TRUNCATED);
    p->stream_close(stream);
    free(piece);
}
END_TEST

START_TEST(test_classes)
{
    static const struct {
        int status;
        enum up_class up_class;
    } rows[] = {
        {200, UP_OK},         {201, UP_OK},      {299, UP_OK},           {301, UP_BUSY},
        {307, UP_BUSY},       {400, UP_CLIENT},  {401, UP_CREDENTIAL},   {402, UP_CREDENTIAL},
        {403, UP_CREDENTIAL}, {404, UP_MISSING}, {405, UP_MISSING},      {406, UP_CLIENT},
        {408, UP_BUSY},       {409, UP_BUSY},    {410, UP_CLIENT},       {413, UP_CLIENT},
        {422, UP_CLIENT},     {425, UP_BUSY},    {429, UP_RATE_LIMITED}, {451, UP_CLIENT},
        {500, UP_DOWN},       {502, UP_DOWN},    {503, UP_DOWN},         {529, UP_DOWN},
        {599, UP_DOWN},       {0, UP_DOWN},      {101, UP_DOWN},         {999, UP_DOWN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(provider_classify(rows[i].status) == rows[i].up_class, "status %d",
                      rows[i].status);
}
END_TEST

START_TEST(test_registry)
{
    ck_assert_ptr_eq(provider_find("anthropic"), &provider_anthropic);
    ck_assert_ptr_null(provider_find("Anthropic"));
    ck_assert_ptr_null(provider_find(""));
    for (size_t i = 0; provider_all[i] != NULL; i++) {
        const struct provider *p = provider_all[i];
        ck_assert_ptr_eq(provider_find(p->protocol), p);
        ck_assert(p->build && p->stream_open && p->stream_feed && p->stream_at_boundary);
        ck_assert(p->stream_state && p->stream_close && p->read_body && p->is_error_body);
    }
}
END_TEST

Suite *anthropic_suite(void);

Suite *anthropic_suite(void)
{
    Suite *s = suite_create("anthropic");
    TCase *golden = tcase_create("golden");
    tcase_set_timeout(golden, 120);
    tcase_add_test(golden, test_golden_cases);
    tcase_add_test(golden, test_boundary);
    tcase_add_test(golden, test_event_over_the_maximum);
    suite_add_tcase(s, golden);
    TCase *registry = tcase_create("registry");
    tcase_add_test(registry, test_classes);
    tcase_add_test(registry, test_registry);
    suite_add_tcase(s, registry);
    return s;
}
