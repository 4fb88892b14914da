/* The Anthropic adapter against golden streams and bodies: each is replayed whole, byte
 * by byte and at random cuts, and must give the same events, usage and verdict.
 *
 * A case is NAME.sse or NAME.json with NAME.expect, a line per fact:
 *   verdict complete|truncated|error|foreign
 *   events LETTERS            S start, C content, U usage, X stop, E error, O other
 *   content_bytes N
 *   input|output|cache_read|cache_write_5m|cache_write_1h|web_searches N
 *   iteration MODEL|- BUCKET=N ...     (blanks in MODEL written as _)
 * A bucket that is not listed must not be stated. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/provider.h"

#ifndef GOLDEN_DIR
#define GOLDEN_DIR "tests/golden"
#endif

static const struct provider_target target = {.base_url = "https://api.example"};
static const struct provider_reading reading = {.target = &target};

enum { FACTS_MAX = 64 * 1024, EVENTS_MAX = 4096, CASES_MIN = 80, RANDOM_CUTS = 50 };

static const char *const bucket_names[USAGE_BUCKET_COUNT] = {
    [USAGE_input_tok] = "input",
    [USAGE_output_tok] = "output",
    [USAGE_cache_read_tok] = "cache_read",
    [USAGE_cache_write_5m_tok] = "cache_write_5m",
    [USAGE_cache_write_1h_tok] = "cache_write_1h",
    [USAGE_web_searches] = "web_searches",
};

static const char *const verdict_names[] = {
    [VERDICT_COMPLETE] = "complete",
    [VERDICT_TRUNCATED] = "truncated",
    [VERDICT_ERROR] = "error",
    [VERDICT_FOREIGN] = "foreign",
};

static const char event_letters[] = {
    [EVENT_START] = 'S', [EVENT_CONTENT] = 'C', [EVENT_USAGE] = 'U',
    [EVENT_STOP] = 'X',  [EVENT_ERROR] = 'E',   [EVENT_OTHER] = 'O',
};

static void read_golden(const char *name, const char *extension, struct buf *out)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/anthropic/%s%s", GOLDEN_DIR, name, extension);
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    buf_init(out, FACTS_MAX);
    ck_assert(buf_reserve(out, FACTS_MAX));
    out->len = fread(out->ptr, 1, FACTS_MAX, f);
    out->ptr[out->len] = '\0';
    ck_assert_msg(feof(f), "%s is too long for this test", path);
    fclose(f);
}

/* Facts in the form of the .expect file */

static void print_usage(struct buf *out, const struct usage *u, bool own_lines)
{
    for (int i = 0; i < USAGE_BUCKET_COUNT; i++) {
        if (usage_has(u, (enum usage_bucket)i))
            buf_addf(out, own_lines ? "%s %lld\n" : " %s=%lld", bucket_names[i],
                     (long long)u->n[i]);
    }
}

static void print_report(struct buf *out, const struct usage_report *r)
{
    print_usage(out, &r->total, true);
    for (int i = 0; i < r->n_iterations; i++) {
        char model[USAGE_MODEL_MAX];
        snprintf(model, sizeof(model), "%s",
                 r->iterations[i].model[0] != '\0' ? r->iterations[i].model : "-");
        for (char *p = model; *p != '\0'; p++)
            *p = *p == ' ' ? '_' : *p;
        buf_addf(out, "iteration %s", model);
        print_usage(out, &r->iterations[i].usage, false);
        buf_addc(out, '\n');
    }
}

struct seen {
    char letters[EVENTS_MAX];
    size_t n;
    size_t text_bytes; /* raw, must lie inside the data */
};

static void on_event(void *ctx, const struct event *ev)
{
    struct seen *seen = ctx;
    ck_assert(seen->n + 1 < EVENTS_MAX);
    seen->letters[seen->n++] = event_letters[ev->kind];
    seen->letters[seen->n] = '\0';
    if (ev->text.ptr != NULL) {
        ck_assert(ev->kind == EVENT_CONTENT);
        ck_assert(ev->text.ptr >= ev->data.ptr);
        ck_assert(ev->text.ptr + ev->text.len <= ev->data.ptr + ev->data.len);
        seen->text_bytes += ev->text.len;
    }
}

/* sizes: lengths of the pieces, 0-terminated; NULL = whole. */
static void play_stream(struct span bytes, const size_t *sizes, struct buf *ret_facts)
{
    const struct provider *p = provider_find("anthropic");
    struct usage_report *report = calloc(1, sizeof(*report));
    void *stream = p->stream_open(&reading);
    struct seen seen = {.n = 0};
    int64_t content_bytes = -1;
    size_t at = 0;
    ck_assert(stream != NULL && report != NULL);
    while (at < bytes.len) {
        size_t n = sizes != NULL && *sizes != 0 ? *sizes++ : bytes.len - at;
        if (n > bytes.len - at)
            n = bytes.len - at;
        /* A copy of its own size: reading past the piece is caught by the sanitizer. */
        char *piece = malloc(n);
        ck_assert(piece != NULL);
        memcpy(piece, bytes.ptr + at, n);
        ck_assert(p->stream_feed(stream, (struct span){piece, n}, on_event, &seen));
        free(piece);
        at += n;
    }
    enum verdict verdict = p->stream_state(stream, report, &content_bytes);
    p->stream_close(stream);
    buf_init(ret_facts, FACTS_MAX);
    buf_addf(ret_facts, "verdict %s\nevents%s%s\ncontent_bytes %lld\n", verdict_names[verdict],
             seen.n > 0 ? " " : "", seen.letters, (long long)content_bytes);
    print_report(ret_facts, report);
    free(report);
}

static void play_body(struct span bytes, struct buf *ret_facts)
{
    const struct provider *p = provider_find("anthropic");
    struct usage_report *report = calloc(1, sizeof(*report));
    ck_assert(report != NULL);
    enum verdict verdict = p->read_body(&reading, bytes, report);
    buf_init(ret_facts, FACTS_MAX);
    buf_addf(ret_facts, "verdict %s\nerror_body %s\n", verdict_names[verdict],
             p->is_error_body(bytes) ? "yes" : "no");
    print_report(ret_facts, report);
    free(report);
}

static void must_equal(const char *name, const char *way, struct buf *facts, struct buf *expected)
{
    ck_assert_msg(span_eq(buf_span(facts), buf_span(expected)), "%s, %s:\n%s\nexpected:\n%s", name,
                  way, facts->ptr, expected->ptr);
    buf_done(facts);
}

static void play_stream_case(const char *name, struct buf *expected)
{
    struct buf data, facts;
    read_golden(name, ".sse", &data);
    play_stream(buf_span(&data), NULL, &facts);
    must_equal(name, "whole", &facts, expected);
    size_t *sizes = calloc(data.len + 2, sizeof(*sizes));
    ck_assert(sizes != NULL);
    for (size_t i = 0; i < data.len; i++)
        sizes[i] = 1;
    play_stream(buf_span(&data), sizes, &facts);
    must_equal(name, "byte by byte", &facts, expected);
    for (int round = 0; round < RANDOM_CUTS; round++) {
        for (size_t i = 0; i < data.len; i++)
            sizes[i] = 1 + (size_t)rand() % (round % 2 == 0 ? 7 : 300);
        play_stream(buf_span(&data), sizes, &facts);
        must_equal(name, "at random cuts", &facts, expected);
    }
    free(sizes);
    buf_done(&data);
}

static void play_body_case(const char *name, struct buf *expected)
{
    struct buf data, facts;
    read_golden(name, ".json", &data);
    play_body(buf_span(&data), &facts);
    must_equal(name, "body", &facts, expected);
    buf_done(&data);
}

START_TEST(test_golden_cases)
{
    DIR *dir = opendir(GOLDEN_DIR "/anthropic");
    ck_assert_msg(dir != NULL, "no directory %s/anthropic", GOLDEN_DIR);
    srand(20261125);
    int n = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *dot = strrchr(entry->d_name, '.');
        bool stream = dot != NULL && strcmp(dot, ".sse") == 0;
        if (!stream && (dot == NULL || strcmp(dot, ".json") != 0))
            continue;
        char name[300];
        snprintf(name, sizeof(name), "%.*s", (int)(dot - entry->d_name), entry->d_name);
        struct buf expected;
        read_golden(name, ".expect", &expected);
        if (stream)
            play_stream_case(name, &expected);
        else
            play_body_case(name, &expected);
        buf_done(&expected);
        n++;
    }
    closedir(dir);
    ck_assert_int_ge(n, CASES_MIN);
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
