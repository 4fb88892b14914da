/* The default draw by the numbers, every field in pairs with every other, and how long a
 * plan takes. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/plan_world.h"

Suite *plan_draw_suite(void);

/* Not ck_assert in the inner loops: it writes a record for each one that passes. */
static void make(struct plan *p, const struct ask *a)
{
    if (plan_make(p, &a->in) != 0)
        ck_abort_msg("no memory");
}

/* ---- the draw ---- */

/* Costs 1 : 2 : 3 : 4, so weights 144 : 36 : 16 : 9 (of 205). */
static const char FOUR[] = "provider a\nprovider b\nprovider c\nprovider d\nmodel m\n"
                           "endpoint a prompt=1 completion=1\nendpoint b prompt=2 completion=2\n"
                           "endpoint c prompt=3 completion=3\nendpoint d prompt=4 completion=4\n";
static const double WEIGHTS[4] = {144, 36, 16, 9};

enum { DRAWS = 40000 };
/* Quantiles of chi-square at 0.999 for 1, 2 and 3 degrees of freedom.  The seeds are
 * fixed: the tests pass or fail for ever. */
static const double CHI2_999[] = {0, 10.828, 13.816, 16.266};

/* counts[i] of draws against weights[i]; entries of weight 0 must not occur. */
static double chi_square(const long counts[4], const double weights[4], int *ret_freedom)
{
    double sum_weights = 0, chi2 = 0, total = 0;
    int n = 0;
    for (int i = 0; i < 4; i++) {
        sum_weights += weights[i];
        total += (double)counts[i];
    }
    for (int i = 0; i < 4; i++) {
        double expected = total * weights[i] / sum_weights;
        if (weights[i] > 0) {
            chi2 += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
            n++;
        } else {
            ck_assert_int_eq(counts[i], 0);
        }
    }
    *ret_freedom = n - 1;
    return chi2;
}

static void assert_fits(const long counts[4], const double weights[4], const char *what)
{
    int freedom;
    double chi2 = chi_square(counts, weights, &freedom);
    ck_assert_msg(chi2 < CHI2_999[freedom], "%s: chi-square %.2f, %d degrees of freedom", what,
                  chi2, freedom);
}

/* Position of the endpoint with index `who`. */
static int drawn(const struct plan *p, int position)
{
    return (int)p->candidates[position].endpoint->index;
}

START_TEST(first_position)
{
    struct world w = world_from_text(FOUR);
    struct ask a;
    struct plan p;
    long counts[4] = {0};
    plan_init(&p);
    ask_begin(&a, w.catalog);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        a.in.seed = seed;
        make(&p, &a);
        counts[drawn(&p, 0)]++;
    }
    assert_fits(counts, WEIGHTS, "first position");
    /* The test can fail: 1/cost would not pass it. */
    const double linear[4] = {12, 6, 4, 3};
    int freedom;
    ck_assert(chi_square(counts, linear, &freedom) > 1000);
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* The second is drawn by the same law among those that are left, and so is the third. */
START_TEST(later_positions_given_the_earlier)
{
    struct world w = world_from_text(FOUR);
    struct ask a;
    struct plan p;
    static long second[4][4], third[4][4][4];
    plan_init(&p);
    ask_begin(&a, w.catalog);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        a.in.seed = 0x5eed000000000000u + seed;
        make(&p, &a);
        second[drawn(&p, 0)][drawn(&p, 1)]++;
        third[drawn(&p, 0)][drawn(&p, 1)][drawn(&p, 2)]++;
    }
    for (int i = 0; i < 4; i++) {
        double left[4];
        memcpy(left, WEIGHTS, sizeof(left));
        left[i] = 0;
        assert_fits(second[i], left, "second position");
    }
    const double last_two[4] = {0, 0, WEIGHTS[2], WEIGHTS[3]};
    assert_fits(third[0][1], last_two, "third position");
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* OpenRouter's documented example: 1 USD, 2 USD in outage, 3 USD. */
START_TEST(outage_leaves_the_draw)
{
    struct world w = world_from_text(FOUR);
    struct ask a;
    struct plan p;
    long counts[4] = {0};
    const double weights[4] = {9, 0, 1, 0};
    plan_init(&p);
    ask_begin(&a, w.catalog);
    ck_assert(ask_line(&a, "prefs {\"provider_ignore\":[\"d\"]}"));
    ck_assert(ask_line(&a, "health b outage"));
    ask_read_prefs(&a, false);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        a.in.seed = seed;
        make(&p, &a);
        counts[drawn(&p, 0)]++;
        if (drawn(&p, 2) != 1)
            ck_abort_msg("b is not the last");
    }
    assert_fits(counts, weights, "nine to one");
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* A probe that would cost four times the cheapest does not lead: it stands where it is drawn. */
START_TEST(a_dear_probe_does_not_lead)
{
    struct world w = world_from_text(FOUR);
    struct ask a;
    struct plan p;
    long counts[2][4] = {{0}};
    plan_init(&p);
    for (int dear = 0; dear < 2; dear++) {
        ask_begin(&a, w.catalog);
        ck_assert(ask_line(&a, dear ? "health d half_open" : "health c half_open"));
        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            a.in.seed = seed;
            make(&p, &a);
            counts[dear][drawn(&p, 0)]++;
        }
        ask_end(&a);
    }
    ck_assert_int_eq(counts[0][2], DRAWS);
    assert_fits(counts[1], WEIGHTS, "a dear probe");
    plan_done(&p);
    plan_world_end(&w);
}
END_TEST

/* Explorations: one draw in a hundred, evenly among those that cost up to three times the
 * cheapest, told apart from the draw by `why`; the same seed explores the same. */
static long explorations(struct world *w, const char *line, long counts[4])
{
    struct ask a;
    struct plan p;
    long n = 0;
    plan_init(&p);
    ask_begin(&a, w->catalog);
    for (const char *c = line; *c != '\0';) {
        char one[128];
        size_t len = strcspn(c, ";");
        ck_assert_uint_lt(len, sizeof(one));
        snprintf(one, sizeof(one), "%.*s", (int)len, c);
        ck_assert_msg(ask_line(&a, one), "%s", one);
        c += len + (c[len] == ';');
    }
    ask_read_prefs(&a, false);
    memset(counts, 0, 4 * sizeof(counts[0]));
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        a.in.seed = seed;
        make(&p, &a);
        for (int i = 0; i < p.n_candidates; i++) {
            bool says = strncmp(p.candidates[i].why, "put first", 9) == 0;
            if (p.candidates[i].explored != (says && i == 0))
                ck_abort_msg("seed %d, rank %d: %s", (int)seed, i, p.candidates[i].why);
        }
        n += p.candidates[0].explored;
        counts[drawn(&p, 0)] += p.candidates[0].explored;
    }
    plan_done(&p);
    ask_end(&a);
    return n;
}

START_TEST(explorations_are_rare_and_cheap)
{
    struct world w = world_from_text(FOUR);
    static const struct {
        const char *lines;
        double weights[4];
    } ROWS[] = {
        {"health a explorable;health b explorable;health c explorable;health d explorable",
         {1, 1, 1, 0}},
        {"health b outage explorable;health c explorable", {0, 1, 1, 0}},
        {"health c explorable", {0, 0, 1, 0}},
        /* of those that are not there, the others are the cheapest */
        {"health a ejected;health b ejected;health c explorable;health d explorable", {0, 0, 1, 1}},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        long counts[4];
        long n = explorations(&w, ROWS[i].lines, counts);
        /* 400 +- 4.5 standard deviations */
        ck_assert_msg(n > 310 && n < 490, "row %zu: %ld of %d", i, n, DRAWS);
        int kinds = 0;
        for (int k = 0; k < 4; k++)
            kinds += ROWS[i].weights[k] > 0;
        if (kinds > 1)
            assert_fits(counts, ROWS[i].weights, ROWS[i].lines);
        else
            ck_assert_int_eq(counts[2], n);
    }
    plan_world_end(&w);
}
END_TEST

START_TEST(what_is_not_explored)
{
    struct world w = world_from_text(FOUR);
    static const char *const ROWS[] = {
        "health d explorable",                                     /* too dear */
        "health b explorable ejected",                             /* its probes do that */
        "health b explorable;prefs {\"provider_sort\":\"price\"}", /* not drawn */
        "health b explorable;prefs {\"provider_order\":[\"a\"]}",
        "health b explorable;cached a 500", /* the conversation stays where its cache is */
        "health a outage;health b outage explorable;health c outage;health d outage",
        "health b explorable latency=9000;prefs {\"provider_preferred_max_latency\":1}",
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        long counts[4];
        ck_assert_msg(explorations(&w, ROWS[i], counts) == 0, "row %zu (%s)", i, ROWS[i]);
    }
    plan_world_end(&w);
}
END_TEST

START_TEST(free_ones_are_even)
{
    struct world w = world_from_text("provider a\nprovider b\nprovider c\nprovider d\nmodel m\n"
                                     "endpoint a prompt=0 completion=0\nendpoint b\n"
                                     "endpoint c prompt=0 completion=0\n"
                                     "endpoint d prompt=0 completion=0\n");
    struct ask a;
    struct plan p;
    long counts[4] = {0};
    const double even[4] = {1, 0, 1, 1};
    plan_init(&p);
    ask_begin(&a, w.catalog);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        a.in.seed = seed;
        make(&p, &a);
        counts[drawn(&p, 0)]++;
        if (drawn(&p, 3) != 1)
            ck_abort_msg("b is not the last");
    }
    assert_fits(counts, even, "free");
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* The draw follows the expected cost of this request, not a list price: with a long prompt
 * a is the cheaper one, with a long answer b. */
START_TEST(weights_follow_the_request)
{
    struct world w = world_from_text("provider a\nprovider b\nmodel m\n"
                                     "endpoint a prompt=1 completion=10\n"
                                     "endpoint b prompt=3 completion=1\n");
    static const struct {
        const char *chat;
        double weights[4];
    } ROWS[] = {
        /* 1000 in, 500 out: 6000 and 3500 */
        {"chat bytes=3968 max_tokens=500", {3500.0 * 3500, 6000.0 * 6000, 0, 0}},
        /* 1000 in, 100 out: 2000 and 3100 */
        {"chat bytes=3968 max_tokens=100", {3100.0 * 3100, 2000.0 * 2000, 0, 0}},
    };
    struct ask a;
    struct plan p;
    plan_init(&p);
    for (size_t row = 0; row < 2; row++) {
        long counts[4] = {0};
        ask_begin(&a, w.catalog);
        ck_assert(ask_line(&a, ROWS[row].chat));
        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            a.in.seed = seed;
            make(&p, &a);
            counts[drawn(&p, 0)]++;
        }
        assert_fits(counts, ROWS[row].weights, ROWS[row].chat);
        ask_end(&a);
    }
    plan_done(&p);
    plan_world_end(&w);
}
END_TEST

/* ---- every field alone and in pairs ---- */

static const char MANY[] = "provider a\n"
                           "provider b collects\n"
                           "provider c zdr\n"
                           "provider d zdr\n"
                           "provider e collects\n"
                           "provider n nocred\n"
                           "provider z\n"
                           "model m\n"
                           "endpoint a prompt=1 completion=2 quant=fp8 params=max_tokens,top_k\n"
                           "endpoint a/eu prompt=1.5 completion=2 quant=bf16\n"
                           "endpoint b prompt=2 completion=3 quant=fp8 params=max_tokens,top_k\n"
                           "endpoint c prompt=3 completion=6 quant=mxfp8 params=top_k\n"
                           "endpoint d prompt=4 completion=8 request=0.001 quant=bf16\n"
                           "endpoint e prompt=2 completion=8 image=0.003 params=max_tokens,top_k\n"
                           "endpoint n\n"
                           "endpoint z prompt=0 completion=0 quant=int4\n"
                           "endpoint z/beta prompt=- completion=1\n"
                           "model o distillable\n"
                           "endpoint a prompt=9 completion=9 quant=fp16 params=max_tokens,top_k\n"
                           "endpoint c prompt=1 completion=7 params=max_tokens,top_k\n"
                           "endpoint d prompt=2.5 completion=2 image=0.001 quant=fp8\n"
                           "endpoint e prompt=1 completion=1 request=0.002\n"
                           "tier 500 prompt=2.5\n";

/* Fields that say the same thing cannot stand together: `name` tells. */
static const struct {
    const char *name, *json;
    bool orders;
} FIELDS[] = {
    {"only", "\"provider_only\":[\"a\",\"b\",\"c\",\"z\"]", false},
    {"only", "\"provider_only\":[\"a/eu\",\"d\",\"e\"]", false},
    {"ignore", "\"provider_ignore\":[\"b\"]", false},
    {"ignore", "\"provider_ignore\":[\"a\",\"z\"]", false},
    {"quantizations", "\"provider_quantizations\":[\"fp8\"]", false},
    {"quantizations", "\"provider_quantizations\":[\"bf16\",\"unknown\"]", false},
    {"max_prompt", "\"provider_max_prompt_price\":2", false},
    {"max_prompt", "\"provider_max_prompt_price\":\"0\"", false},
    {"max_completion", "\"provider_max_completion_price\":\"6.5\"", false},
    {"max_request", "\"provider_max_request_price\":0", false},
    {"max_image", "\"provider_max_image_price\":0.001", false},
    {"max_total", "\"provider_max_total_cost\":0.012", false},
    {"require_parameters", "\"provider_require_parameters\":true", false},
    {"data_collection", "\"provider_data_collection\":\"deny\"", false},
    {"zdr", "\"provider_zdr\":true", false},
    {"distillable", "\"provider_enforce_distillable_text\":true", false},
    {"allow_fallbacks", "\"provider_allow_fallbacks\":true", false},
    {"configs", "\"provider_configs\":{\"n\":{\"api_key\":\"k\"}}", false},
    {"order", "\"provider_order\":[\"c\",\"a\"]", true},
    {"order", "\"provider_order\":[\"z/beta\",\"e\",\"none\"]", true},
    {"sort", "\"provider_sort\":\"price\"", true},
    {"sort", "\"provider_sort\":\"throughput\"", true},
    {"sort", "\"provider_sort\":\"latency\"", true},
    {"max_latency", "\"provider_preferred_max_latency\":1", true},
    {"min_throughput", "\"provider_preferred_min_throughput\":{\"p50\":40,\"p90\":20}", true},
};
enum { N_FIELDS = sizeof(FIELDS) / sizeof(FIELDS[0]), MANY_MAX = 16 };

/* A plan boiled down: rank by endpoint (-1: out) and reason by endpoint. */
struct outcome {
    int n, n_excluded;
    int order[MANY_MAX];
    bool in[MANY_MAX];
    enum reason reason[MANY_MAX];
};

static void outcome_of(struct ask *a, struct plan *p, struct outcome *ret)
{
    memset(ret, 0, sizeof(*ret));
    make(p, a);
    ret->n = p->n_candidates;
    ret->n_excluded = p->n_excluded;
    for (int i = 0; i < p->n_candidates; i++) {
        ret->order[i] = (int)p->candidates[i].endpoint->index;
        ret->in[ret->order[i]] = true;
    }
    for (int i = 0; i < p->n_excluded; i++)
        ret->reason[p->excluded[i].endpoint->index] = p->excluded[i].reason;
}

static void run_fields(struct ask *a, struct plan *p, int i, int j, struct outcome *ret)
{
    struct outcome nested;
    snprintf(a->prefs_text, sizeof(a->prefs_text), "{%s%s%s}", i >= 0 ? FIELDS[i].json : "",
             j >= 0 ? "," : "", j >= 0 ? FIELDS[j].json : "");
    ask_read_prefs(a, true);
    outcome_of(a, p, &nested);
    ask_read_prefs(a, false);
    outcome_of(a, p, ret);
    ck_assert_msg(memcmp(ret, &nested, sizeof(nested)) == 0, "%s: nested differs", a->prefs_text);
}

/* The first of two reasons in the contract's order. */
static enum reason earlier(enum reason a, enum reason b)
{
    if (a == REASON_NONE || b == REASON_NONE)
        return a == REASON_NONE ? b : a;
    return a < b ? a : b;
}

/* `both` holds what each alone holds, and out of it falls what falls out of either. */
static void check_pair(const char *text, const struct outcome *one, const struct outcome *other,
                       const struct outcome *both, bool lifts_credential)
{
    for (int e = 0; e < one->n + one->n_excluded; e++) {
        enum reason r1 = one->reason[e], r2 = other->reason[e];
        /* A credential that a field brings uncovers reasons that neither plan could see. */
        if (lifts_credential && (r1 == REASON_no_credential || r2 == REASON_no_credential))
            continue;
        if (both->reason[e] != earlier(r1, r2))
            ck_abort_msg("%s: endpoint %d is out by %s, expected %s", text, e,
                         reason_word(both->reason[e]), reason_word(earlier(r1, r2)));
        if (both->in[e] != (both->reason[e] == REASON_NONE))
            ck_abort_msg("%s: endpoint %d", text, e);
    }
}

/* What is left stands in the order that `by` gives it. */
static void check_order(const char *text, const struct outcome *by, const struct outcome *both)
{
    int at = 0;
    for (int i = 0; i < by->n; i++) {
        if (!both->in[by->order[i]])
            continue;
        if (both->order[at] != by->order[i])
            ck_abort_msg("%s: rank %d is %d, expected %d", text, at, both->order[at], by->order[i]);
        at++;
    }
}

static void many_ask(struct ask *a, const struct world *w, uint64_t seed)
{
    ask_begin(a, w->catalog);
    ck_assert(ask_line(a, "ask m o"));
    ck_assert(ask_line(a, "chat params=max_tokens,top_k"));
    ck_assert(ask_line(a, "health m@c latency=200 tps=90000"));
    ck_assert(ask_line(a, "health m@a latency=2000 tps=50000"));
    ck_assert(ask_line(a, "health m@e latency=700 tps=p50:60000"));
    ck_assert(ask_line(a, "health m@d latency=900 tps=30000"));
    ck_assert(ask_line(a, "health o@d latency=1100 tps=30000"));
    ck_assert(ask_line(a, "health o@c latency=400 tps=70000"));
    ck_assert(ask_line(a, "health m@b outage"));
    a->in.seed = seed;
}

START_TEST(fields_alone_and_in_pairs)
{
    struct world w = world_from_text(MANY);
    struct ask a;
    struct plan p;
    static struct outcome alone[N_FIELDS];
    struct outcome none, both;
    int n_pairs = 0;
    plan_init(&p);
    many_ask(&a, &w, (uint64_t)_i);
    run_fields(&a, &p, -1, -1, &none);
    ck_assert_int_eq(none.n, 11);
    for (int i = 0; i < N_FIELDS; i++) {
        run_fields(&a, &p, i, -1, &alone[i]);
        ck_assert_int_eq(alone[i].n + alone[i].n_excluded, w.catalog->n_endpoints);
        /* Every field changes something, but the one that spells out the default. */
        if (strcmp(FIELDS[i].name, "allow_fallbacks") != 0)
            ck_assert_msg(memcmp(&alone[i], &none, sizeof(none)) != 0, "%s has no effect",
                          FIELDS[i].json);
        if (!FIELDS[i].orders)
            check_order(FIELDS[i].json, strcmp(FIELDS[i].name, "configs") == 0 ? &alone[i] : &none,
                        &alone[i]);
    }
    for (int i = 0; i < N_FIELDS; i++) {
        for (int j = i + 1; j < N_FIELDS; j++) {
            if (strcmp(FIELDS[i].name, FIELDS[j].name) == 0)
                continue;
            bool lifts =
                strcmp(FIELDS[i].name, "configs") == 0 || strcmp(FIELDS[j].name, "configs") == 0;
            run_fields(&a, &p, i, j, &both);
            check_pair(a.prefs_text, &alone[i], &alone[j], &both, lifts);
            if (!FIELDS[i].orders && !lifts)
                check_order(a.prefs_text, &alone[j], &both);
            n_pairs++;
        }
    }
    ck_assert_int_ge(n_pairs, 280);
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* The same inputs, the same plan; another seed, sooner or later another one. */
START_TEST(pure)
{
    struct world w = world_from_text(MANY);
    struct ask a;
    struct plan p, again;
    int n_different = 0;
    plan_init(&p);
    plan_init(&again);
    many_ask(&a, &w, 7);
    make(&p, &a);
    for (uint64_t seed = 0; seed < 50; seed++) {
        a.in.seed = seed;
        make(&again, &a);
        a.in.seed = 7;
        make(&again, &a);
        for (int i = 0; i < p.n_candidates; i++) {
            ck_assert_ptr_eq(again.candidates[i].endpoint, p.candidates[i].endpoint);
            ck_assert_ptr_eq(again.candidates[i].why, p.candidates[i].why);
            ck_assert_int_eq(again.candidates[i].expected_pusd, p.candidates[i].expected_pusd);
        }
        a.in.seed = seed + 100;
        make(&again, &a);
        n_different += again.candidates[1].endpoint != p.candidates[1].endpoint;
    }
    ck_assert_int_gt(n_different, 0);
    plan_done(&p);
    plan_done(&again);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

/* ---- how long it takes ---- */

enum { BIG_PROVIDERS = 50, BIG_MODELS = 200, BIG_ROUNDS = 2000 };

static struct world big_world(void)
{
    struct world w;
    char line[256];
    world_begin(&w);
    for (int i = 0; i < BIG_PROVIDERS; i++) {
        snprintf(line, sizeof(line), "provider provider-%d", i);
        world_line(&w, line);
    }
    for (int m = 0; m < BIG_MODELS; m++) {
        snprintf(line, sizeof(line), "model author/model-%d", m);
        world_line(&w, line);
        for (int i = 0; i < BIG_PROVIDERS; i++) {
            snprintf(line, sizeof(line),
                     "endpoint provider-%d prompt=%d.%d completion=%d context=200000 max=64000 "
                     "quant=fp8",
                     i, 1 + i % 7, m % 10, 3 + (i * 5) % 11);
            world_line(&w, line);
            world_line(&w, "tier 200000 prompt=9 completion=30");
        }
    }
    world_freeze(&w);
    return w;
}

/* The figures as a server would give them. */
static struct health healths[BIG_PROVIDERS];

static void look_at_health(void *ctx, uint32_t endpoint_index, struct health_view *ret)
{
    (void)ctx;
    health_look(&healths[endpoint_index % BIG_PROVIDERS], 400000, ret);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void record_success(struct health *h, int64_t now_ms)
{
    struct breaker_ticket ticket;
    const struct health_end end = {HEALTH_OK, 0};
    breaker_begin(&h->breaker, now_ms, &ticket);
    health_record(h, now_ms, &ticket, &end);
}

static void fill_healths(void)
{
    for (int i = 0; i < BIG_PROVIDERS; i++) {
        for (int k = 0; k < HEALTH_SAMPLES; k++) {
            record_success(&healths[i], 390000 + k);
            health_sample(&healths[i], 390000 + k, 100 + (k * 37 + i) % 900, 20000 + k);
        }
    }
}

static int64_t best_round_ns(struct plan *p, struct ask *a)
{
    char name[64];
    int64_t best = INT64_MAX;
    for (int i = 0; i < BIG_ROUNDS; i++) {
        snprintf(name, sizeof(name), "author/model-%d", (i * 13) % BIG_MODELS);
        memcpy(a->chat.models[0].name, name, sizeof(name));
        a->in.seed = (uint64_t)i;
        int64_t began = now_ns();
        make(p, a);
        int64_t took = now_ns() - began;
        if (took < best)
            best = took;
        if (p->n_candidates != BIG_PROVIDERS)
            ck_abort_msg("%d candidates", p->n_candidates);
    }
    return best;
}

/* Prints the time (a loaded machine is no failure) and proves that no memory is taken
 * once a plan has seen its size. */
START_TEST(speed)
{
    struct world w = big_world();
    struct ask a;
    struct plan p;
    ck_assert_int_eq(w.catalog->n_endpoints, 10000);
    plan_init(&p);
    fill_healths();
    ask_begin(&a, w.catalog);
    a.in.health = look_at_health;
    best_round_ns(&p, &a);
    const void *candidates = p.candidates, *excluded = p.excluded, *scratch = p.scratch;
    int64_t began = now_ns();
    int64_t draw = best_round_ns(&p, &a);
    int64_t mean = (now_ns() - began) / BIG_ROUNDS;
    ck_assert(ask_line(&a, "prefs {\"provider_order\":[\"provider-49\",\"provider-7\"],"
                           "\"provider_ignore\":[\"none\"],\"provider_sort\":\"price\","
                           "\"provider_max_prompt_price\":100,\"provider_quantizations\":[\"fp8\"],"
                           "\"provider_require_parameters\":true,"
                           "\"provider_preferred_max_latency\":{\"p90\":1}}"));
    ask_read_prefs(&a, false);
    int64_t fields = best_round_ns(&p, &a);
    printf("plan: 10,000 endpoints in the catalog, 50 candidates: draw %.1f us (mean %.1f), "
           "with eight fields %.1f us\n",
           (double)draw / 1000, (double)mean / 1000, (double)fields / 1000);
    ck_assert_ptr_eq(p.candidates, candidates);
    ck_assert_ptr_eq(p.excluded, excluded);
    ck_assert_ptr_eq(p.scratch, scratch);
    plan_done(&p);
    ask_end(&a);
    plan_world_end(&w);
}
END_TEST

Suite *plan_draw_suite(void)
{
    Suite *s = suite_create("plan_draw");
    TCase *t = tcase_create("plan_draw");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, first_position);
    tcase_add_test(t, later_positions_given_the_earlier);
    tcase_add_test(t, outage_leaves_the_draw);
    tcase_add_test(t, a_dear_probe_does_not_lead);
    tcase_add_test(t, explorations_are_rare_and_cheap);
    tcase_add_test(t, what_is_not_explored);
    tcase_add_test(t, free_ones_are_even);
    tcase_add_test(t, weights_follow_the_request);
    tcase_add_loop_test(t, fields_alone_and_in_pairs, 1, 9);
    tcase_add_test(t, pure);
    tcase_add_test(t, speed);
    suite_add_tcase(s, t);
    return s;
}
