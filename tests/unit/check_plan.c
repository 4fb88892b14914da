/* The cases of tests/table/plan: each in the flat and in the nested spelling, under several
 * seeds.  (Draw, pairs and speed: check_plan_draw.c.) */
#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/money.h"
#include "tests/unit/plan_world.h"

#ifndef TABLE_DIR
#define TABLE_DIR "tests/table"
#endif

Suite *plan_suite(void);

enum { EXPECT_MAX = 32, LINE_CAP = 512, SEEDS = 12, CASES_MIN = 150 };

struct plan_case {
    const char *file;
    int line;
    char name[LINE_CAP];
    int n_expect;
    char expect[EXPECT_MAX][LINE_CAP];
    bool open;
};

/* What one run of one case is judged by. */
struct verdict_of {
    const struct plan_case *c;
    const struct ask *ask;
    const struct plan *plan;
    bool nested;
    int n_out, n_empty;
    bool accounts; /* every endpoint must be named */
};

#define FAILS(v, ...)                                                                              \
    do {                                                                                           \
        char said[LINE_CAP];                                                                       \
        snprintf(said, sizeof(said), __VA_ARGS__);                                                 \
        ck_abort_msg("%s:%d: %s (seed %llu, %s): %s", (v)->c->file, (v)->c->line, (v)->c->name,    \
                     (unsigned long long)(v)->ask->in.seed, (v)->nested ? "nested" : "flat",       \
                     said);                                                                        \
    } while (0)

static const struct candidate *find_candidate(const struct verdict_of *v, const char *word)
{
    for (int i = 0; i < v->plan->n_candidates; i++) {
        if (names_endpoint(word, v->plan->candidates[i].endpoint))
            return &v->plan->candidates[i];
    }
    FAILS(v, "%s is not in the plan", word);
    return NULL;
}

static void expect_order(struct verdict_of *v, const char *rest)
{
    char word[128];
    int n = 0;
    while (next_word(&rest, word, sizeof(word))) {
        if (n >= v->plan->n_candidates)
            FAILS(v, "the plan ends before %s", word);
        const struct endpoint *e = v->plan->candidates[n].endpoint;
        if (!names_endpoint(word, e))
            FAILS(v, "rank %d is %s@%s, expected %s", n, e->model->slug, e->slug, word);
        n++;
    }
    if (n != v->plan->n_candidates)
        FAILS(v, "%d candidates, expected %d", v->plan->n_candidates, n);
    v->accounts = true;
}

static void expect_set(struct verdict_of *v, const char *rest)
{
    char word[128];
    int n = 0;
    while (next_word(&rest, word, sizeof(word))) {
        find_candidate(v, word);
        n++;
    }
    if (n != v->plan->n_candidates)
        FAILS(v, "%d candidates, expected %d", v->plan->n_candidates, n);
    v->accounts = true;
}

static void expect_first(struct verdict_of *v, const char *rest)
{
    char word[128];
    next_word(&rest, word, sizeof(word));
    if (find_candidate(v, word) != &v->plan->candidates[0])
        FAILS(v, "%s is not the first", word);
}

static void expect_last(struct verdict_of *v, const char *rest)
{
    char word[128];
    next_word(&rest, word, sizeof(word));
    if (find_candidate(v, word) != &v->plan->candidates[v->plan->n_candidates - 1])
        FAILS(v, "%s is not the last", word);
}

static void contains(const struct verdict_of *v, const char *text, const char *words)
{
    words += strspn(words, " ");
    if (strstr(text, words) == NULL)
        FAILS(v, "'%s' does not say '%s'", text, words);
}

static void expect_out(struct verdict_of *v, const char *rest)
{
    char word[128], reason[64];
    next_word(&rest, word, sizeof(word));
    next_word(&rest, reason, sizeof(reason));
    v->n_out++;
    for (int i = 0; i < v->plan->n_excluded; i++) {
        const struct exclusion *x = &v->plan->excluded[i];
        if (!names_endpoint(word, x->endpoint))
            continue;
        struct buf text;
        buf_init(&text, 4096);
        plan_detail(&v->ask->in, x, &text);
        if (strcmp(reason_word(x->reason), reason) != 0)
            FAILS(v, "%s is out by %s (%s), expected %s", word, reason_word(x->reason), text.ptr,
                  reason);
        contains(v, text.ptr, rest);
        buf_done(&text);
        return;
    }
    FAILS(v, "%s is not out", word);
}

static void expect_empty(struct verdict_of *v, const char *rest)
{
    struct buf text;
    if (v->plan->n_candidates != 0)
        FAILS(v, "%d candidates, expected none", v->plan->n_candidates);
    buf_init(&text, 8192);
    plan_explain_empty(&v->ask->in, v->plan, &text);
    contains(v, text.ptr, rest);
    buf_done(&text);
    v->accounts = true;
}

static void expect_why(struct verdict_of *v, const char *rest)
{
    char word[128];
    next_word(&rest, word, sizeof(word));
    contains(v, find_candidate(v, word)->why, rest);
}

static int64_t amount(const char *rest, char *word, size_t cap, int scale)
{
    int64_t n = -1;
    next_word(&rest, word, cap);
    rest += strspn(rest, " ");
    if (money_parse(span_of(rest), scale, &n) != MONEY_OK)
        ck_abort_msg("amount %s", rest);
    return n;
}

static void expect_cost(struct verdict_of *v, const char *rest)
{
    char word[128], got[MONEY_TEXT_MAX];
    int64_t want = amount(rest, word, sizeof(word), MONEY_SCALE_UNIT);
    int64_t pusd = find_candidate(v, word)->expected_pusd;
    if (pusd != want)
        FAILS(v, "%s is expected to cost %s", word, money_print(pusd, MONEY_SCALE_UNIT, got));
}

static void expect_worst(struct verdict_of *v, const char *rest)
{
    char word[128], got[MONEY_TEXT_MAX];
    int64_t want = amount(rest, word, sizeof(word), MONEY_SCALE_NUSD);
    int64_t nusd = find_candidate(v, word)->worst_nusd;
    if (nusd != want)
        FAILS(v, "%s costs %s at worst", word, money_print(nusd, MONEY_SCALE_NUSD, got));
}

static void expect_flag(struct verdict_of *v, const char *rest)
{
    char word[32];
    const struct plan *p = v->plan;
    next_word(&rest, word, sizeof(word));
    bool holds = strcmp(word, "unknown") == 0        ? p->unknown_model
                 : strcmp(word, "forbidden") == 0    ? p->model_forbidden
                 : strcmp(word, "allowed") == 0      ? !p->model_forbidden
                 : strcmp(word, "tiny") == 0         ? p->tiny_cap_warning
                 : strcmp(word, "no_fallbacks") == 0 ? p->no_fallbacks
                                                     : false;
    if (!holds)
        FAILS(v, "flag %s", word);
}

static const struct {
    const char *word;
    void (*check)(struct verdict_of *v, const char *rest);
} EXPECTATIONS[] = {
    {"order ", expect_order}, {"set ", expect_set},   {"first ", expect_first},
    {"last ", expect_last},   {"out ", expect_out},   {"empty ", expect_empty},
    {"why ", expect_why},     {"cost ", expect_cost}, {"worst ", expect_worst},
    {"flag ", expect_flag},
};

static void judge_line(struct verdict_of *v, const char *line)
{
    for (size_t i = 0; i < sizeof(EXPECTATIONS) / sizeof(EXPECTATIONS[0]); i++) {
        size_t len = strlen(EXPECTATIONS[i].word);
        if (strncmp(line, EXPECTATIONS[i].word, len) == 0) {
            EXPECTATIONS[i].check(v, line + len);
            return;
        }
    }
    FAILS(v, "line '%s'", line);
}

static void run_once(const struct plan_case *c, struct ask *a, struct plan *p, bool nested)
{
    struct verdict_of v = {.c = c, .ask = a, .plan = p, .nested = nested};
    if (plan_make(p, &a->in) != 0)
        FAILS(&v, "no memory");
    for (int i = 0; i < c->n_expect; i++)
        judge_line(&v, c->expect[i]);
    if (v.accounts && v.n_out != p->n_excluded)
        FAILS(&v, "%d endpoints are out, %d named", p->n_excluded, v.n_out);
    if (!v.accounts && c->n_expect > 0 && v.n_out == 0 && p->n_candidates == 0)
        FAILS(&v, "nothing is checked");
}

static void run_case(const struct plan_case *c, struct ask *a)
{
    struct plan p;
    ck_assert_msg(c->n_expect > 0, "%s:%d: nothing expected", c->file, c->line);
    plan_init(&p);
    for (int nested = 0; nested < 2; nested++) {
        ask_read_prefs(a, nested == 1);
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            a->in.seed = seed;
            run_once(c, a, &p, nested == 1);
        }
    }
    plan_done(&p);
}

/* Where the reading of a file stands. */
struct reader {
    struct world world;
    struct plan_case c;
    struct ask ask;
    int line, n_cases;
};

static void close_case(struct reader *r)
{
    if (!r->c.open)
        return;
    run_case(&r->c, &r->ask);
    ask_end(&r->ask);
    r->c.open = false;
    r->n_cases++;
}

static void read_line(struct reader *r, const char *line)
{
    if (line[0] == '#' || line[0] == '\0')
        return;
    if (r->world.catalog == NULL) {
        if (strcmp(line, "end") == 0)
            world_freeze(&r->world);
        else
            world_line(&r->world, line);
        return;
    }
    if (strncmp(line, "case ", 5) == 0) {
        close_case(r);
        snprintf(r->c.name, sizeof(r->c.name), "%s", line + 5);
        r->c.line = r->line;
        r->c.n_expect = 0;
        r->c.open = true;
        ask_begin(&r->ask, r->world.catalog);
        return;
    }
    ck_assert_msg(r->c.open, "%s:%d: outside of a case", r->c.file, r->line);
    if (ask_line(&r->ask, line))
        return;
    ck_assert_int_lt(r->c.n_expect, EXPECT_MAX);
    snprintf(r->c.expect[r->c.n_expect++], LINE_CAP, "%s", line);
}

static int run_file(const char *path)
{
    struct reader *r = calloc(1, sizeof(*r));
    char line[LINE_CAP];
    ck_assert_ptr_nonnull(r);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    r->c.file = path;
    world_begin(&r->world);
    while (fgets(line, sizeof(line), f) != NULL) {
        r->line++;
        line[strcspn(line, "\r\n")] = '\0';
        read_line(r, line);
    }
    close_case(r);
    fclose(f);
    int n = r->n_cases;
    plan_world_end(&r->world);
    free(r);
    return n;
}

START_TEST(tables)
{
    char path[LINE_CAP];
    int n_cases = 0;
    DIR *dir = opendir(TABLE_DIR "/plan");
    ck_assert_msg(dir != NULL, "%s/plan is missing", TABLE_DIR);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        const char *dot = strrchr(d->d_name, '.');
        if (dot == NULL || strcmp(dot, ".txt") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/plan/%s", TABLE_DIR, d->d_name);
        n_cases += run_file(path);
    }
    closedir(dir);
    ck_assert_int_ge(n_cases, CASES_MIN);
}
END_TEST

START_TEST(words)
{
    ck_assert_str_eq(reason_word(REASON_key_policy), "key_policy");
    ck_assert_str_eq(reason_word(REASON_data_training), "data_policy:training");
    ck_assert_str_eq(reason_word(REASON_data_zdr), "data_policy:zdr");
    ck_assert_str_eq(reason_word(REASON_budget), "budget");
}
END_TEST

static const char SMALL[] = "provider a\nprovider b\nmodel m\n"
                            "endpoint a context=100 max=1\nendpoint b\n";

/* The ledger's refusals are put into words here too. */
START_TEST(budget_in_words)
{
    struct world w = world_from_text(SMALL);
    struct ask a;
    struct buf text;
    ask_begin(&a, w.catalog);
    struct exclusion x = {.endpoint = &w.catalog->endpoints[1], .reason = REASON_budget};
    buf_init(&text, 1024);
    plan_detail(&a.in, &x, &text);
    ck_assert_str_eq(text.ptr,
                     "the request may cost 0.00608 USD there, which the spend cap does not allow");
    buf_done(&text);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* ---- whole request bodies, through the reader of the Messages door ---- */

static const char PRICED[] = "provider a\nprovider b zdr\nprovider oa\nmodel m\n"
                             "endpoint a prompt=2 completion=2 in=text,image quant=fp8\n"
                             "endpoint b prompt=1 completion=1\nendpoint oa prompt=3 completion=3\n"
                             "endpoint oa/flex prompt=0.5 completion=0.5\nmodel n\nendpoint b\n";
#define BODY_END                                                                                   \
    "\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"Name three rivers.\"}]}"

static const struct {
    const char *flat, *nested, *plan;
} BODIES[] = {
    {"{\"model\":\"m\",\"provider_sort\":\"price\"," BODY_END,
     "{\"model\":\"m\",\"provider\":{\"sort\":\"price\"}," BODY_END, "b a oa "},
    {"{\"model\":\"m:floor\",\"models\":[\"n\"]," BODY_END,
     "{\"model\":\"m:floor\",\"models\":[\"n\"],\"provider\":{}," BODY_END, "oa/flex b a oa b "},
    {"{\"model\":\"m\",\"provider_order\":[\"oa\",\"a\"],\"provider_allow_fallbacks\":"
     "false," BODY_END,
     "{\"model\":\"m\",\"provider\":{\"order\":[\"oa\",\"a\"],\"allow_fallbacks\":false}," BODY_END,
     "oa a "},
    {"{\"model\":\"m\",\"provider_only\":null,\"provider_zdr\":true," BODY_END,
     "{\"model\":\"m\",\"provider\":{\"zdr\":true,\"only\":null}," BODY_END, "b "},
    {"{\"model\":\"m\",\"provider_max_prompt_price\":2,\"provider_quantizations\":[\"fp8\"]"
     "," BODY_END,
     "{\"model\":\"m\",\"provider\":{\"max_price\":{\"prompt\":\"2\"},\"quantizations\":[\"fp8\"]}"
     "," BODY_END,
     "a "},
    {"{\"model\":\"m\",\"provider_max_completion_price\":0.9," BODY_END,
     "{\"model\":\"m\",\"provider\":{\"max_price\":{\"completion\":0.9}}," BODY_END, ""},
    {"{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
     "\"image\","
     "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]}]}",
     NULL, "a "},
};

static void plan_of_body(const struct world *w, const char *body, struct buf *ret_slugs)
{
    struct json_doc doc;
    struct chat chat;
    struct plan p;
    struct fail fail = {.code = ERR_OK};
    struct plan_inputs in = {.catalog = w->catalog, .chat = &chat, .seed = 3};
    json_init(&doc);
    chat_init(&chat);
    plan_init(&p);
    buf_reset(ret_slugs);
    buf_adds(ret_slugs, "");
    ck_assert_msg(json_parse(&doc, span_of(body), &fail) == 0, "%s: %s", body, fail.text);
    ck_assert_msg(chat_read_anthropic(&chat, &doc, false, &fail) == 0, "%s: %s", body, fail.text);
    ck_assert_int_eq(plan_make(&p, &in), 0);
    for (int i = 0; i < p.n_candidates; i++)
        buf_addf(ret_slugs, "%s ", p.candidates[i].endpoint->slug);
    plan_done(&p);
    chat_done(&chat);
    json_done(&doc);
}

START_TEST(whole_bodies)
{
    struct world w = world_from_text(PRICED);
    struct buf slugs;
    buf_init(&slugs, 1024);
    plan_of_body(&w, BODIES[_i].flat, &slugs);
    ck_assert(span_is(buf_span(&slugs), BODIES[_i].plan));
    if (BODIES[_i].nested != NULL) {
        plan_of_body(&w, BODIES[_i].nested, &slugs);
        ck_assert(span_is(buf_span(&slugs), BODIES[_i].plan));
    }
    buf_done(&slugs);
    plan_world_end(&w);
}
END_TEST

/* A plan can be made again and again, larger and smaller, and with nothing known. */
START_TEST(plans_are_reused)
{
    struct world w = world_from_text(SMALL);
    struct ask a;
    struct plan p;
    plan_init(&p);
    ask_begin(&a, w.catalog);
    a.in.health = NULL;
    a.in.cached = NULL;
    a.in.learned = NULL;
    a.in.policy = NULL;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(plan_make(&p, &a.in), 0);
        ck_assert_int_eq(p.n_candidates, 1);
        ck_assert_int_eq(p.excluded[0].reason, REASON_context_length);
        a.chat.models[0].name[0] = 'x';
        ck_assert_int_eq(plan_make(&p, &a.in), 0);
        ck_assert_int_eq(p.n_candidates + p.n_excluded, 0);
        ck_assert(p.unknown_model);
        a.chat.models[0].name[0] = 'm';
    }
    plan_done(&p);
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

Suite *plan_suite(void)
{
    Suite *s = suite_create("plan");
    TCase *t = tcase_create("plan");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, tables);
    tcase_add_test(t, words);
    tcase_add_test(t, budget_in_words);
    tcase_add_loop_test(t, whole_bodies, 0, sizeof(BODIES) / sizeof(BODIES[0]));
    tcase_add_test(t, plans_are_reused);
    suite_add_tcase(s, t);
    return s;
}
