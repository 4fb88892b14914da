/* The replay of golden.h. */
#include "tests/unit/golden.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { FACTS_MAX = 1024 * 1024, EVENTS_MAX = 4096, RANDOM_CUTS = 50, NAME_MAX_LEN = 300 };

/* What is being replayed. */
struct golden {
    const char *dir;
    const struct provider *provider;
    const struct provider_target *target;
};

static const char *const bucket_names[USAGE_BUCKET_COUNT] = {
    [USAGE_input_tok] = "input",
    [USAGE_output_tok] = "output",
    [USAGE_cache_read_tok] = "cache_read",
    [USAGE_cache_write_5m_tok] = "cache_write_5m",
    [USAGE_cache_write_1h_tok] = "cache_write_1h",
    [USAGE_web_searches] = "web_searches",
    [USAGE_audio_input_tok] = "audio_input",
    [USAGE_audio_output_tok] = "audio_output",
    [USAGE_audio_cache_read_tok] = "audio_cache_read",
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

static void read_golden(const struct golden *g, const char *name, const char *extension,
                        struct buf *out)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s/%s%s", GOLDEN_DIR, g->dir, name, extension);
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
        if (own_lines && (u->unclear >> i & 1u))
            buf_addf(out, "unclear %s\n", bucket_names[i]);
    }
}

static void print_term(struct buf *out, const char *before, const char *term)
{
    if (term[0] != '\0')
        buf_addf(out, "%s%s", before, term);
}

static void print_terms(struct buf *out, const struct usage_terms *t)
{
    if (t->speed[0] == '\0' && t->geo[0] == '\0' && t->tier[0] == '\0')
        return;
    buf_adds(out, "terms");
    print_term(out, " speed=", t->speed);
    print_term(out, " geo=", t->geo);
    print_term(out, " tier=", t->tier);
    buf_addc(out, '\n');
}

static void print_report(struct buf *out, const struct usage_report *r, enum verdict verdict)
{
    if (verdict == VERDICT_COMPLETE && r->total.seen != 0 && r->unfinished)
        buf_adds(out, "unfinished\n");
    print_usage(out, &r->total, true);
    print_terms(out, &r->terms);
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

/* ---- the meaning ---- */

void golden_replies_init(struct golden_replies *g)
{
    memset(g, 0, sizeof(*g));
    buf_init(&g->out, FACTS_MAX);
    buf_init(&g->joined, FACTS_MAX);
    g->kind = -1;
}

void golden_replies_done(struct golden_replies *g)
{
    buf_done(&g->out);
    buf_done(&g->joined);
}

static void print_text(struct buf *out, const char *what, struct span text)
{
    buf_addf(out, "reply %s ", what);
    json_write_string(out, text);
    buf_addc(out, '\n');
}

static void end_deltas(struct golden_replies *g)
{
    static const char *const names[] = {
        [DELTA_TEXT] = "text",
        [DELTA_ARGUMENTS] = "arguments",
        [DELTA_SIGNATURE] = "signature",
    };
    if (g->kind >= 0)
        print_text(&g->out, names[g->kind], buf_span(&g->joined));
    g->kind = -1;
    buf_reset(&g->joined);
}

static void add_span(struct buf *out, const char *before, struct span s)
{
    if (s.len == 0)
        return;
    buf_adds(out, before);
    buf_add_span(out, s);
}

static void print_open(struct buf *out, const struct reply *r)
{
    static const char *const names[] = {
        [REPLY_TEXT] = "text",         [REPLY_THINKING] = "thinking",
        [REPLY_REDACTED] = "redacted", [REPLY_TOOL_CALL] = "tool_call",
        [REPLY_REFUSAL] = "refusal",   [REPLY_IMAGE] = "image",
        [REPLY_RAW] = "raw",
    };
    buf_addf(out, "reply open %s", names[r->block]);
    add_span(out, " id=", r->id);
    add_span(out, " name=", r->name);
    add_span(out, " signature=", r->signature);
    add_span(out, " type=", r->media.type);
    add_span(out, " data=", r->media.data);
    add_span(out, " json=", r->json);
    buf_addc(out, '\n');
}

static void print_reply_usage(struct buf *out, const struct reply *r)
{
    buf_adds(out, "reply usage");
    print_usage(out, &r->usage, false);
    if (r->reasoning_tok >= 0)
        buf_addf(out, " reasoning=%lld", (long long)r->reasoning_tok);
    buf_addc(out, '\n');
}

static void print_citation(struct buf *out, const struct reply_citation *c)
{
    buf_adds(out, "reply citation");
    add_span(out, " ", c->url);
    add_span(out, " title=", c->title);
    add_span(out, " quoted=", c->quoted);
    add_span(out, " json=", c->json);
    buf_addc(out, '\n');
}

static void print_stop(struct buf *out, const struct reply *r)
{
    buf_addf(out, "reply stop %s", reply_stop_name(r->stop));
    add_span(out, " ", r->stop_sequence);
    buf_addc(out, '\n');
}

static void print_start(struct buf *out, const struct reply *r)
{
    buf_adds(out, "reply start");
    add_span(out, " ", r->id);
    add_span(out, " ", r->model);
    buf_addc(out, '\n');
}

static void print_error(struct buf *out, const struct reply *r)
{
    buf_adds(out, "reply error");
    add_span(out, " ", r->error.type);
    buf_addc(out, ' ');
    json_write_string(out, r->error.message);
    buf_addc(out, '\n');
}

static void print_close(struct buf *out, const struct reply *r)
{
    buf_adds(out, "reply close");
    add_span(out, " signature=", r->signature);
    buf_addc(out, '\n');
}

void golden_on_reply(void *ctx, const struct reply *r)
{
    struct golden_replies *g = ctx;
    const char *wrong = reply_check(&g->grammar, r);
    if (r->kind == REPLY_DELTA && r->delta != DELTA_CITATION) {
        if (g->kind != (int)r->delta)
            end_deltas(g);
        g->kind = (int)r->delta;
        ck_assert(buf_add_span(&g->joined, r->text) || r->text.len == 0);
    } else {
        end_deltas(g);
    }
    switch (r->kind) {
    case REPLY_START:
        print_start(&g->out, r);
        break;
    case REPLY_OPEN:
        print_open(&g->out, r);
        break;
    case REPLY_DELTA:
        if (r->delta == DELTA_CITATION)
            print_citation(&g->out, &r->citation);
        break;
    case REPLY_CLOSE:
        print_close(&g->out, r);
        break;
    case REPLY_USAGE:
        print_reply_usage(&g->out, r);
        break;
    case REPLY_STOP:
        print_stop(&g->out, r);
        break;
    case REPLY_END:
        buf_adds(&g->out, "reply end\n");
        break;
    case REPLY_ERROR:
        print_error(&g->out, r);
        break;
    }
    ck_assert_msg(wrong == NULL, "grammar: %s, after\n%s", wrong, g->out.ptr);
}

struct span golden_lines(struct golden_replies *g)
{
    end_deltas(g);
    ck_assert(!g->out.failed);
    return buf_span(&g->out);
}

/* ---- playing ---- */

struct seen {
    char letters[EVENTS_MAX];
    size_t n;
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
    }
}

/* sizes: lengths of the pieces, 0-terminated; NULL = whole. */
static void feed(const struct provider *p, void *stream, struct span bytes, const size_t *sizes,
                 struct seen *seen)
{
    size_t at = 0;
    while (at < bytes.len) {
        size_t n = sizes != NULL && *sizes != 0 ? *sizes++ : bytes.len - at;
        if (n > bytes.len - at)
            n = bytes.len - at;
        /* A copy of its own size: reading past the piece is caught by the sanitizer. */
        char *piece = malloc(n);
        ck_assert(piece != NULL);
        memcpy(piece, bytes.ptr + at, n);
        ck_assert(p->stream_feed(stream, (struct span){piece, n}, on_event, seen));
        free(piece);
        at += n;
    }
}

/* replies NULL: nobody reads the meaning. */
static void play_stream(const struct golden *g, struct span bytes, const size_t *sizes, bool finish,
                        struct golden_replies *replies, struct buf *ret_facts)
{
    const struct provider *p = g->provider;
    struct reply_sink sink = {golden_on_reply, replies};
    struct provider_reading reading = {.target = g->target, .sink = replies != NULL ? &sink : NULL};
    struct usage_report *report = calloc(1, sizeof(*report));
    void *stream = p->stream_open(&reading);
    struct seen seen = {.n = 0};
    int64_t content_bytes = -1;
    ck_assert(stream != NULL && report != NULL);
    feed(p, stream, bytes, sizes, &seen);
    if (finish && p->stream_finish != NULL)
        p->stream_finish(stream);
    enum verdict verdict = p->stream_state(stream, report, &content_bytes);
    p->stream_close(stream);
    buf_init(ret_facts, FACTS_MAX);
    buf_addf(ret_facts, "verdict %s\nevents%s%s\ncontent_bytes %lld\n", verdict_names[verdict],
             seen.n > 0 ? " " : "", seen.letters, (long long)content_bytes);
    print_report(ret_facts, report, verdict);
    free(report);
}

static void play_body(const struct golden *g, struct span bytes, struct golden_replies *replies,
                      struct buf *ret_facts)
{
    struct reply_sink sink = {golden_on_reply, replies};
    struct provider_reading reading = {.target = g->target, .sink = replies != NULL ? &sink : NULL};
    struct usage_report *report = calloc(1, sizeof(*report));
    ck_assert(report != NULL);
    enum verdict verdict = g->provider->read_body(&reading, bytes, report);
    buf_init(ret_facts, FACTS_MAX);
    buf_addf(ret_facts, "verdict %s\nerror_body %s\n", verdict_names[verdict],
             g->provider->is_error_body(bytes) ? "yes" : "no");
    print_report(ret_facts, report, verdict);
    free(report);
}

/* One case, and one way to play it. */
struct play {
    const struct golden *golden;
    const char *name;
    struct span data;
    struct span facts, replies; /* expected; replies empty: not compared */
    bool stream;
};

static void play_once(const struct play *c, const char *way, const size_t *sizes, bool meaning)
{
    struct golden_replies replies;
    struct buf facts;
    golden_replies_init(&replies);
    bool finish = strstr(c->name, "-reset") == NULL;
    if (c->stream)
        play_stream(c->golden, c->data, sizes, finish, meaning ? &replies : NULL, &facts);
    else
        play_body(c->golden, c->data, meaning ? &replies : NULL, &facts);
    ck_assert_msg(span_eq(buf_span(&facts), c->facts), "%s, %s:\n%s\nexpected:\n%.*s", c->name, way,
                  facts.ptr, (int)c->facts.len, c->facts.ptr);
    if (meaning && c->replies.len > 0) {
        struct span lines = golden_lines(&replies);
        ck_assert_msg(span_eq(lines, c->replies), "%s, %s:\n%.*s\nexpected:\n%.*s", c->name, way,
                      (int)lines.len, lines.ptr, (int)c->replies.len, c->replies.ptr);
    }
    buf_done(&facts);
    golden_replies_done(&replies);
}

static void play_cuts(const struct play *c)
{
    size_t *sizes = calloc(c->data.len + 2, sizeof(*sizes));
    ck_assert(sizes != NULL);
    for (size_t i = 0; i < c->data.len; i++)
        sizes[i] = 1;
    play_once(c, "byte by byte", sizes, true);
    for (int round = 0; round < RANDOM_CUTS; round++) {
        for (size_t i = 0; i < c->data.len; i++)
            sizes[i] = 1 + (size_t)rand() % (round % 2 == 0 ? 7 : 300);
        play_once(c, "at random cuts", sizes, round % 4 < 2);
    }
    free(sizes);
}

static void play_case(const struct golden *g, const char *name, const char *extension)
{
    struct buf data, expected;
    read_golden(g, name, extension, &data);
    read_golden(g, name, ".expect", &expected);
    struct span all = buf_span(&expected);
    const char *reply = strncmp(all.ptr, "reply ", 6) == 0 ? all.ptr : strstr(all.ptr, "\nreply ");
    size_t n = reply == NULL ? all.len : (size_t)(reply - all.ptr) + 1;
    struct play c = {
        .golden = g,
        .name = name,
        .data = buf_span(&data),
        .facts = {all.ptr, n},
        .replies = {all.ptr + n, all.len - n},
        .stream = strcmp(extension, ".json") != 0,
    };
    play_once(&c, "whole", NULL, false);
    play_once(&c, "whole, its meaning read", NULL, true);
    if (c.stream)
        play_cuts(&c);
    buf_done(&data);
    buf_done(&expected);
}

void golden_replay(const char *dir, const struct provider *p, const struct provider_target *target,
                   int cases_min)
{
    const struct golden g = {dir, p, target};
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, dir);
    DIR *d = opendir(path);
    ck_assert_msg(d != NULL, "no directory %s", path);
    srand(20261125);
    int n = 0;
    for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL ||
            (strcmp(dot, ".sse") != 0 && strcmp(dot, ".json") != 0 && strcmp(dot, ".bin") != 0))
            continue;
        char name[NAME_MAX_LEN];
        snprintf(name, sizeof(name), "%.*s", (int)(dot - entry->d_name), entry->d_name);
        play_case(&g, name, dot);
        n++;
    }
    closedir(d);
    ck_assert_int_ge(n, cases_min);
}
