/* Outages in virtual time: requests arrive at a steady rate, are planned, routed and retried by
 * the product's own code (plan, route, retry, health, breaker), and only the providers are played.
 * What is measured is printed.
 *
 *   R1 one provider down: failover, ejection by the fifth failure, return after recovery
 *   R2 all down: how many attempts a request costs, how fast it fails, how soon all is well again
 *   R3 brown-out: one in five fails and all is slow */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/retry.h"
#include "router/route.h"
#include "tests/unit/plan_world.h"

Suite *storm_suite(void);

enum {
    PROVIDERS = 3,
    RUNNING_MAX = 4000,
    REQUESTS_MAX = 40000,
    ANSWER_MS = 300, /* of a provider that is well */
    START_MS = 100000
};
static const char CATALOG[] =
    "provider a\nprovider b\nprovider c\nmodel m\n"
    "endpoint a prompt=1 completion=1\nendpoint b prompt=1.5 completion=1.5\n"
    "endpoint c prompt=2 completion=2\n";

/* How a provider behaves from a time on. */
struct weather {
    int from_s, to_s;
    unsigned fails_percent;
    int status; /* of a failure; 0 = it cannot be reached */
    int fail_ms, slower;
};

struct sim_call {
    struct plan plan;
    struct route route;
    struct breaker_ticket ticket;
    int64_t begun_ms, ends_ms;
    bool used, counted;
    int n_sent;
    bool attempt_fails;
    const struct weather *weather;
};

struct outcome {
    int64_t begun_ms;
    int took_ms, attempts;
    bool good;
    enum err code; /* of a failure: ERR_OK = the provider's own error was passed */
};

struct storm {
    struct world world;
    struct ask ask;
    struct health health[PROVIDERS];
    struct retry_budget budget;
    struct weather weather[PROVIDERS];
    uint64_t rng;
    int64_t now_ms;
    struct sim_call *calls;
    int n_slots; /* of them that were ever used */
    struct outcome *outcomes;
    int n_outcomes;
    /* of provider a */
    int64_t first_failure_ms, ejected_ms, back_ms; /* the first time, the first time, the last */
    int failures_until_ejected, begun_while_ejected;
    long attempts[PROVIDERS], retries;
};

static struct storm *the_storm; /* for the plan's callbacks */

static void health_cb(void *ctx, uint32_t endpoint_index, struct health_view *ret)
{
    (void)ctx;
    health_look(&the_storm->health[endpoint_index], the_storm->now_ms, ret);
}

static uint64_t next_random(struct storm *s)
{
    uint64_t z = (s->rng += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int seconds(const struct storm *s)
{
    return (int)((s->now_ms - START_MS) / 1000);
}

/* ---- one call ---- */

static void begin_attempt(struct storm *s, struct sim_call *c)
{
    uint32_t who = route_current(&c->route)->endpoint->index;
    const struct weather *w = &s->weather[who];
    bool storm = seconds(s) >= w->from_s && seconds(s) < w->to_s;
    c->attempt_fails = storm && next_random(s) % 100 < w->fails_percent;
    c->weather = w;
    int ms = c->attempt_fails ? w->fail_ms : ANSWER_MS * (storm && w->slower > 0 ? w->slower : 1);
    c->ends_ms = s->now_ms + ms;
    s->attempts[who]++;
    s->retries += c->n_sent++ > 0;
    struct breaker_view v;
    breaker_look(&s->health[who].breaker, s->now_ms, &v);
    s->begun_while_ejected += who == 0 && v.state == BREAKER_EJECTED;
}

static void finish(struct storm *s, struct sim_call *c, bool good, enum err code)
{
    ck_assert_int_lt(s->n_outcomes, REQUESTS_MAX);
    s->outcomes[s->n_outcomes++] =
        (struct outcome){c->begun_ms, (int)(s->now_ms - c->begun_ms), c->n_sent, good, code};
    plan_done(&c->plan);
    c->used = false;
}

/* As server/call_health.c does. */
static void go_on(struct storm *s, struct sim_call *c, struct route_action a)
{
    while (a.step == ROUTE_TRY) {
        const struct candidate *who = route_current(&c->route);
        const struct retry_ask ask = {.first = c->n_sent == 0,
                                      .count = !c->counted,
                                      .listed = who->listed,
                                      .last =
                                          who->out || who->put_last || !route_has_more(&c->route)};
        enum retry_verdict verdict =
            retry_begin(&s->budget, &s->health[who->endpoint->index], s->now_ms, &ask, &c->ticket);
        c->counted |= verdict == RETRY_GO;
        if (verdict == RETRY_GO) {
            begin_attempt(s, c);
            return;
        }
        a = verdict == RETRY_PUT_OFF ? route_put_off(&c->route) : route_pass_over(&c->route);
    }
    finish(s, c, a.step == ROUTE_DONE, a.step == ROUTE_FAIL ? a.code : ERR_OK);
}

static void note_change(struct storm *s, uint32_t who, bool failed, enum breaker_change change)
{
    if (who != 0)
        return;
    if (failed && s->first_failure_ms == 0)
        s->first_failure_ms = s->now_ms;
    if (failed && s->ejected_ms == 0)
        s->failures_until_ejected++;
    if (change == BREAKER_NOW_EJECTED && s->ejected_ms == 0)
        s->ejected_ms = s->now_ms;
    if (change == BREAKER_NOW_CLOSED)
        s->back_ms = s->now_ms;
}

static void end_attempt(struct storm *s, struct sim_call *c)
{
    uint32_t who = route_current(&c->route)->endpoint->index;
    const struct health_end end = {c->attempt_fails ? HEALTH_FAILED : HEALTH_OK, next_random(s)};
    enum breaker_change change = health_record(&s->health[who], s->now_ms, &c->ticket, &end);
    note_change(s, who, c->attempt_fails, change);
    if (!c->attempt_fails)
        go_on(s, c, route_on_head(&c->route, 200, -1));
    else if (c->weather->status != 0)
        go_on(s, c, route_on_head(&c->route, c->weather->status, -1));
    else
        go_on(s, c, route_on_end(&c->route, END_connect_failed));
}

static void arrive(struct storm *s)
{
    struct sim_call *c = s->calls;
    while (c->used)
        ck_assert(++c < s->calls + RUNNING_MAX);
    if (c - s->calls >= s->n_slots)
        s->n_slots = (int)(c - s->calls) + 1;
    memset(c, 0, sizeof(*c));
    c->used = true;
    c->begun_ms = s->now_ms;
    plan_init(&c->plan);
    s->ask.in.seed = next_random(s);
    s->ask.in.now_ms = s->now_ms;
    ck_assert_int_eq(plan_make(&c->plan, &s->ask.in), 0);
    route_begin(&c->route, &c->plan, 1);
    go_on(s, c, route_first(&c->route));
}

/* ---- a run ---- */

static void storm_begin(struct storm *s, const struct weather weather[PROVIDERS])
{
    memset(s, 0, sizeof(*s));
    the_storm = s;
    s->world = world_from_text(CATALOG);
    ask_begin(&s->ask, s->world.catalog);
    s->ask.in.health = health_cb;
    memcpy(s->weather, weather, sizeof(s->weather));
    s->calls = calloc(RUNNING_MAX, sizeof(s->calls[0]));
    s->outcomes = calloc(REQUESTS_MAX, sizeof(s->outcomes[0]));
    ck_assert(s->calls != NULL && s->outcomes != NULL);
    s->now_ms = START_MS;
}

static void storm_end(struct storm *s)
{
    for (int i = 0; i < RUNNING_MAX; i++) {
        if (s->calls[i].used)
            plan_done(&s->calls[i].plan);
    }
    free(s->calls);
    free(s->outcomes);
    ask_end(&s->ask);
    plan_world_end(&s->world);
}

static void storm_run(struct storm *s, int per_second, int for_s)
{
    int64_t began_ms = s->now_ms;
    for (int64_t ms = 0; ms < (int64_t)for_s * 1000; ms++) {
        s->now_ms = began_ms + ms;
        for (int i = 0; i < s->n_slots; i++) {
            if (s->calls[i].used && s->calls[i].ends_ms == s->now_ms)
                end_attempt(s, &s->calls[i]);
        }
        for (int64_t due = (ms + 1) * per_second / 1000 - ms * per_second / 1000; due > 0; due--)
            arrive(s);
    }
    s->now_ms = began_ms + (int64_t)for_s * 1000;
}

/* Of the requests that began within these seconds. */
struct figures {
    long requests, good, attempts;
    int p99_ms;
};

static int by_size(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

static struct figures figures_of(const struct storm *s, int from_s, int to_s)
{
    struct figures f = {0};
    int *took = calloc((size_t)s->n_outcomes + 1, sizeof(took[0]));
    ck_assert_ptr_nonnull(took);
    for (int i = 0; i < s->n_outcomes; i++) {
        const struct outcome *o = &s->outcomes[i];
        int at_s = (int)((o->begun_ms - START_MS) / 1000);
        if (at_s < from_s || at_s >= to_s)
            continue;
        took[f.requests++] = o->took_ms;
        f.good += o->good;
        f.attempts += o->attempts;
    }
    ck_assert_int_gt(f.requests, 0);
    qsort(took, (size_t)f.requests, sizeof(took[0]), by_size);
    f.p99_ms = took[(f.requests * 99 + 99) / 100 - 1];
    free(took);
    return f;
}

/* ---- R1 ---- */

/* Down from 20 s on. */
static void one_down(const char *what, struct weather a, int for_s, int p99_added_ms)
{
    struct storm s;
    const struct weather weather[PROVIDERS] = {a};
    storm_begin(&s, weather);
    storm_run(&s, 20, for_s);
    int ejected_s = (int)((s.ejected_ms - START_MS) / 1000) + 1;
    struct figures all = figures_of(&s, 0, for_s - 5), before = figures_of(&s, 5, 20),
                   after = figures_of(&s, ejected_s, a.to_s);
    double back_s = (double)(s.back_ms - START_MS) / 1000 - a.to_s;
    printf(
        "R1 %s: %ld of %ld requests well; ejected after failure %d, %lld ms after the first; p99 "
        "%d ms before, %d ms after; back %.1f s after recovery\n",
        what, all.good, all.requests, s.failures_until_ejected,
        (long long)(s.ejected_ms - s.first_failure_ms), before.p99_ms, after.p99_ms, back_s);
    fflush(stdout);
    ck_assert_int_ge(all.good * 1000, all.requests * 999);
    ck_assert_int_le(s.failures_until_ejected, BREAKER_ROW);
    ck_assert_int_eq(s.begun_while_ejected, 0);
    ck_assert_int_le(after.p99_ms, before.p99_ms + p99_added_ms);
    ck_assert_int_gt(s.back_ms, START_MS + (int64_t)a.to_s * 1000);
    ck_assert(back_s <= 35);
    /* It has its share again. */
    long then = s.attempts[0];
    storm_run(&s, 20, 20);
    ck_assert_int_ge(s.attempts[0] - then, 20 * 20 / 3);
    storm_end(&s);
}

START_TEST(r1_one_down)
{
    one_down("refused", (struct weather){20, 40, 100, 0, 5, 0}, 80, 250);
    one_down("answers 503", (struct weather){20, 40, 100, 503, 30, 0}, 80, 250);
    one_down("black hole", (struct weather){20, 40, 100, 0, 3000, 0}, 80, 250);
}
END_TEST

/* Ejections grow while it stays down, and so does the time until it is found to be back: by the end
 * of the one under way at the latest, and what the probes take. */
START_TEST(r1_down_for_long)
{
    struct storm s;
    const struct weather weather[PROVIDERS] = {{20, 320, 100, 503, 30, 0}};
    storm_begin(&s, weather);
    storm_run(&s, 20, 320);
    int n = s.health[0].breaker.ejections;
    int64_t until_ms = s.health[0].breaker.until_ms;
    long while_down = s.attempts[0];
    storm_run(&s, 20, 280);
    struct figures all = figures_of(&s, 0, 590);
    printf("R1 300 s down: %ld of %ld requests well; ejected %d times in a row, %ld attempts went "
           "there "
           "while it was down; back %.1f s after recovery\n",
           all.good, all.requests, n, while_down - 20 * 20 * 144 / 244,
           (double)(s.back_ms - START_MS) / 1000 - 320);
    ck_assert_int_ge(all.good * 1000, all.requests * 999);
    ck_assert(n >= 3 && n <= 6);
    ck_assert_int_gt(s.back_ms, START_MS + 320000);
    ck_assert_int_le(s.back_ms, until_ms + 3 * ANSWER_MS + 1000);
    storm_end(&s);
}
END_TEST

/* ---- R2 ---- */

START_TEST(r2_all_down)
{
    static const int RATES[] = {20, 50, 200};
    for (size_t i = 0; i < 3; i++) {
        struct storm s;
        const struct weather down = {20, 80, 100, 529, 15, 0};
        const struct weather weather[PROVIDERS] = {down, down, down};
        storm_begin(&s, weather);
        storm_run(&s, RATES[i], 110);
        struct figures storm = figures_of(&s, 20, 80), open = figures_of(&s, 22, 80),
                       after = figures_of(&s, 81, 105);
        double amplification = (double)storm.attempts / (double)storm.requests;
        printf(
            "R2 %d a second: amplification %.3f; p99 of the failures %d ms; %ld of %ld well from "
            "one second after recovery\n",
            RATES[i], amplification, open.p99_ms, after.good, after.requests);
        fflush(stdout);
        ck_assert_int_eq(figures_of(&s, 20, 79).good, 0); /* the last ones may be lucky */
        ck_assert(amplification <= 1.2);
        ck_assert_int_le(open.p99_ms, 50);
        ck_assert_int_ge(after.good * 1000, after.requests * 999);
        for (int k = 0; k < s.n_outcomes; k++) {
            const struct outcome *o = &s.outcomes[k];
            ck_assert(o->good ||
                      (o->attempts == 1 ? o->code == ERR_OK : o->code == ERR_all_failed));
        }
        storm_end(&s);
    }
}
END_TEST

/* ---- R3 ---- */

static void brown_out(const char *what, int n_brown, double goodput)
{
    struct storm s;
    struct weather weather[PROVIDERS] = {{0}};
    for (int i = 0; i < n_brown; i++)
        weather[i] = (struct weather){20, 140, 20, 500, 5 * ANSWER_MS, 5};
    storm_begin(&s, weather);
    storm_run(&s, 50, 20);
    long retries_before = s.retries;
    storm_run(&s, 50, 120);
    long retries = s.retries - retries_before;
    storm_run(&s, 50, 10);
    struct figures f = figures_of(&s, 20, 140);
    printf("R3 %s: goodput %.2f per cent, retries %.2f per cent\n", what,
           100.0 * (double)f.good / (double)f.requests,
           100.0 * (double)retries / (double)f.requests);
    fflush(stdout);
    ck_assert((double)f.good >= goodput * (double)f.requests);
    ck_assert_int_le(retries * 100, f.requests * RETRY_PERCENT);
    storm_end(&s);
}

START_TEST(r3_brown_out)
{
    brown_out("one of three", 1, 0.999);
    brown_out("two of three", 2, 0.999);
    brown_out("all", 3, 0.95);
}
END_TEST

Suite *storm_suite(void)
{
    Suite *s = suite_create("storm");
    TCase *t = tcase_create("storm");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, r1_one_down);
    tcase_add_test(t, r1_down_for_long);
    tcase_add_test(t, r2_all_down);
    tcase_add_test(t, r3_brown_out);
    suite_add_tcase(s, t);
    return s;
}
