/* Failover: the scripts of tests/table/route, and every failure class at every position of
 * three-provider plans against a second, independently written reading of the contract. */
#define _GNU_SOURCE
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/route.h"

#ifndef TABLE_DIR
#define TABLE_DIR "tests/table"
#endif

Suite *route_suite(void);

enum { PLAN_MAX = 6 };

/* ck_assert writes a record for each assertion, passed ones too: too slow for the inner
 * loops of the generated cases. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s does not hold", #condition);                                          \
    } while (0)

/* A plan of candidates that only have a model and a first hold. */
struct small_plan {
    struct plan plan;
    struct candidate candidates[PLAN_MAX];
};

static void small_plan_add(struct small_plan *s, int model_rank, int64_t hold_nusd)
{
    HOLDS(s->plan.n_candidates < PLAN_MAX);
    struct candidate *c = &s->candidates[s->plan.n_candidates++];
    c->model_rank = model_rank;
    c->hold_nusd = hold_nusd;
    c->expected_pusd = s->plan.n_candidates; /* its number, wherever it is moved to */
    c->worst_nusd = 100000 - hold_nusd;      /* not what a refused hold is judged by */
    s->plan.candidates = s->candidates;
}

static enum route_end find_end(const char *name)
{
    for (int e = 0; e < END_COUNT; e++) {
        if (strcmp(name, route_end_name((enum route_end)e)) == 0)
            return (enum route_end)e;
    }
    return END_COUNT;
}

static enum err find_err(const char *name)
{
    for (int e = 1; e < ERR_COUNT_; e++) {
        if (strcmp(name, err_info((enum err)e)->name) == 0)
            return (enum err)e;
    }
    return ERR_COUNT_;
}

/* ---- scripts ---- */

struct script {
    const char *file;
    int line;
    int n_cases;
    struct small_plan small;
    struct route route;
    struct route_action last;
};

/* "A A:500 B": models, and first holds in nano-USD where they matter. */
static void script_plan(struct script *s, char *words)
{
    int n_models = 1;
    memset(&s->small, 0, sizeof(s->small));
    for (char *w; (w = strsep(&words, " ")) != NULL;) {
        if (*w == '\0')
            continue;
        ck_assert_msg(*w >= 'A' && *w <= 'F', "%s:%d: model %s", s->file, s->line, w);
        small_plan_add(&s->small, *w - 'A', w[1] == ':' ? strtoll(w + 2, NULL, 10) : 1000);
        if (*w - 'A' + 1 > n_models)
            n_models = *w - 'A' + 1;
    }
    route_begin(&s->route, &s->small.plan, n_models);
    s->last = route_first(&s->route);
    s->n_cases++;
}

/* "503", "429 1500" (retry-after in ms), "connect_failed", "refused over_budget 100",
 * "again" (after refusals), "put_off", "pass_over", "give_up", "commit", "first"; "another EVENT":
 * with another credential left. */
static void script_event(struct script *s, char *event)
{
    if (strncmp(event, "another ", 8) == 0) {
        s->route.another_credential = true;
        event += 8;
    }
    char word[32] = "", second[32] = "";
    long long number = -1;
    int words = sscanf(event, "%31s %31s %lld", word, second, &number);
    if (words == 2 && second[0] >= '0' && second[0] <= '9')
        number = strtoll(second, NULL, 10);
    enum route_end end = find_end(word);
    if (strcmp(word, "first") == 0)
        return;
    if (strcmp(word, "commit") == 0)
        s->route.committed = true;
    else if (strcmp(word, "put_off") == 0)
        s->last = route_put_off(&s->route);
    else if (strcmp(word, "pass_over") == 0)
        s->last = route_pass_over(&s->route);
    else if (strcmp(word, "give_up") == 0)
        s->last = route_give_up(&s->route);
    else if (strcmp(word, "refused") == 0)
        s->last = route_hold_refused(&s->route, find_err(second), number);
    else if (strcmp(word, "again") == 0) {
        route_hold_again(&s->route);
        s->last = (struct route_action){ROUTE_TRY, ERR_OK, -1};
    } else if (end != END_COUNT)
        s->last = route_on_end(&s->route, end);
    else
        s->last = route_on_head(&s->route, (int)strtol(word, NULL, 10), number);
}

static const char *action_text(const struct script *s, char text[64])
{
    const struct route_action *a = &s->last;
    int n = 0;
    switch (a->step) {
    case ROUTE_TRY:
        snprintf(text, 64, "try %d", (int)route_current(&s->route)->expected_pusd);
        return text;
    case ROUTE_PASS:
        return "pass";
    case ROUTE_ERROR_EVENT:
        return "error_event";
    case ROUTE_DONE:
        return "done";
    case ROUTE_FAIL:
        break;
    }
    n = snprintf(text, 64, "fail %s", err_info(a->code)->name);
    if (a->retry_after_ms >= 0)
        snprintf(text + n, (size_t)(64 - n), " %lld", (long long)a->retry_after_ms);
    return text;
}

static void script_line(struct script *s, char *line)
{
    char text[64];
    if (line[0] == '#' || line[0] == '\0')
        return;
    if (strncmp(line, "plan", 4) == 0) {
        script_plan(s, line + 4);
        return;
    }
    char *arrow = strstr(line, " -> ");
    ck_assert_msg(arrow != NULL, "%s:%d: no arrow", s->file, s->line);
    *arrow = '\0';
    script_event(s, line);
    const char *got = action_text(s, text);
    ck_assert_msg(strcmp(got, arrow + 4) == 0, "%s:%d: '%s' gave '%s', expected '%s'", s->file,
                  s->line, line, got, arrow + 4);
}

static int run_script(const char *path)
{
    struct script s = {.file = path};
    char line[256];
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        s.line++;
        line[strcspn(line, "\r\n")] = '\0';
        script_line(&s, line);
    }
    fclose(f);
    return s.n_cases;
}

START_TEST(scripts)
{
    char path[512];
    int n_cases = 0;
    DIR *dir = opendir(TABLE_DIR "/route");
    ck_assert_msg(dir != NULL, "%s/route is missing", TABLE_DIR);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        const char *dot = strrchr(d->d_name, '.');
        if (dot == NULL || strcmp(dot, ".txt") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/route/%s", TABLE_DIR, d->d_name);
        n_cases += run_script(path);
    }
    closedir(dir);
    ck_assert_int_ge(n_cases, 60);
}
END_TEST

/* ---- all failures at all positions ---- */

/* One way to fail, as an event and as what the contract's tables say of it.
 * alone: 'p' passes, 'c' the operator's credentials, 't' timed out, 'b' not the protocol,
 * 'f' all failed.  together: 'l' rate limited, 'c', 't', or 'f'. bad: the client's error. */
struct failure {
    int status;
    enum route_end end;
    char alone, together;
    bool bad;
};

static const struct failure FAILURES[] = {
    {301, END_none, 'p', 'f', false},         {302, END_none, 'p', 'f', false},
    {307, END_none, 'p', 'f', false},         {400, END_none, 'p', 'f', true},
    {401, END_none, 'c', 'c', false},         {402, END_none, 'c', 'c', false},
    {403, END_none, 'p', 'c', false},         {404, END_none, 'p', 'f', false},
    {405, END_none, 'p', 'f', false},         {408, END_none, 'p', 'f', false},
    {409, END_none, 'p', 'f', false},         {410, END_none, 'p', 'f', true},
    {413, END_none, 'p', 'f', true},          {418, END_none, 'p', 'f', true},
    {422, END_none, 'p', 'f', true},          {425, END_none, 'p', 'f', false},
    {429, END_none, 'p', 'l', false},         {500, END_none, 'p', 'f', false},
    {502, END_none, 'p', 'f', false},         {503, END_none, 'p', 'f', false},
    {504, END_none, 'p', 'f', false},         {529, END_none, 'p', 'f', false},
    {0, END_connect_failed, 'f', 'f', false}, {0, END_tls_failed, 'f', 'f', false},
    {0, END_timed_out, 't', 't', false},      {0, END_reset, 'f', 'f', false},
    {0, END_foreign, 'b', 'f', false},        {200, END_truncated, 'f', 'f', false},
    {200, END_stream_error, 'f', 'f', false}, {200, END_timed_out, 't', 't', false},
    {200, END_foreign, 'b', 'f', false},
};
enum { N_FAILURES = sizeof(FAILURES) / sizeof(FAILURES[0]) };

static int64_t retry_after_of(int position)
{
    return position == 1 ? 700 : 900 + 100 * position;
}

static struct route_action play(struct route *r, const struct failure *f, int position)
{
    if (f->status != 0) {
        int64_t retry_after_ms = f->status == 429 ? retry_after_of(position) : -1;
        struct route_action a = route_on_head(r, f->status, retry_after_ms);
        if (f->end == END_none)
            return a;
        HOLDS(a.step == ROUTE_DONE);
    }
    return route_on_end(r, f->end);
}

static enum err code_of(char letter)
{
    switch (letter) {
    case 'c':
        return ERR_credentials_refused;
    case 't':
        return ERR_timed_out;
    case 'b':
        return ERR_bad_upstream;
    case 'l':
        return ERR_all_rate_limited;
    default:
        return ERR_all_failed;
    }
}

/* The oracle.  tried[]: what befell the endpoints that were tried, in order. */
static struct route_action final_answer(const struct failure *const tried[], int n)
{
    const struct route_action pass = {ROUTE_PASS, ERR_OK, -1};
    if (tried[n - 1]->bad || (n == 1 && tried[0]->alone == 'p'))
        return pass;
    if (n == 1)
        return (struct route_action){ROUTE_FAIL, code_of(tried[0]->alone), -1};
    bool same = true;
    for (int i = 1; i < n; i++)
        same = same && tried[i]->together == tried[0]->together;
    enum err code = same ? code_of(tried[0]->together) : ERR_all_failed;
    /* n is 2 or 3: position 1 is among them, and it has the shortest wait */
    return (struct route_action){ROUTE_FAIL, code, code == ERR_all_rate_limited ? 700 : -1};
}

static void check_sequence(const char *models, const struct failure *const f[3])
{
    struct small_plan small;
    struct route r;
    const struct failure *tried[3];
    bool bad_model[3] = {false, false, false};
    int n = 0;
    memset(&small, 0, sizeof(small));
    for (int i = 0; i < 3; i++)
        small_plan_add(&small, models[i] - 'A', 1000);
    route_begin(&r, &small.plan, 3);
    struct route_action a = route_first(&r);
    for (int i = 0; i < 3; i++) {
        if (bad_model[models[i] - 'A'])
            continue;
        HOLDS(a.step == ROUTE_TRY);
        HOLDS(route_current(&r) == &small.candidates[i]);
        tried[n++] = f[i];
        if (f[i]->bad)
            bad_model[models[i] - 'A'] = true;
        a = play(&r, f[i], n - 1);
    }
    struct route_action want = final_answer(tried, n);
    if (a.step == want.step && a.code == want.code && a.retry_after_ms == want.retry_after_ms &&
        r.n_attempts == n)
        return;
    ck_abort_msg("%s: %d/%d, %d/%d, %d/%d: step %d code %d retry %lld, expected %d %d %lld", models,
                 f[0]->status, f[0]->end, f[1]->status, f[1]->end, f[2]->status, f[2]->end, a.step,
                 a.code, (long long)a.retry_after_ms, want.step, want.code,
                 (long long)want.retry_after_ms);
}

/* ABA is what partition "none" can give. */
static const char *const LAYOUTS[] = {"AAA", "AAB", "ABB", "ABC", "ABA"};

START_TEST(every_failure_at_every_position)
{
    for (size_t i = 0; i < N_FAILURES; i++) {
        for (size_t j = 0; j < N_FAILURES; j++) {
            for (size_t k = 0; k < N_FAILURES; k++) {
                const struct failure *const f[3] = {&FAILURES[i], &FAILURES[j], &FAILURES[k]};
                check_sequence(LAYOUTS[_i], f);
            }
        }
    }
}
END_TEST

/* A success at any position ends the route, whatever came before (but a bad request). */
START_TEST(success_after_failures)
{
    for (size_t i = 0; i < N_FAILURES; i++) {
        for (int position = 0; position < 3; position++) {
            struct small_plan small;
            struct route r;
            memset(&small, 0, sizeof(small));
            for (int k = 0; k < 3; k++)
                small_plan_add(&small, k, 1000);
            route_begin(&r, &small.plan, 3);
            struct route_action a = route_first(&r);
            for (int k = 0; k < position; k++) {
                ck_assert_int_eq(a.step, ROUTE_TRY);
                a = play(&r, &FAILURES[i], k);
            }
            ck_assert_int_eq(a.step, ROUTE_TRY);
            ck_assert_int_eq(route_on_head(&r, 200, -1).step, ROUTE_DONE);
            r.committed = true;
            ck_assert_int_eq(route_on_end(&r, END_complete).step, ROUTE_DONE);
            ck_assert_int_eq(r.n_attempts, position + 1);
        }
    }
}
END_TEST

/* After the first byte there is no second attempt, at any position, for any end. */
START_TEST(never_after_the_first_byte)
{
    for (int e = END_connect_failed; e < END_client_gone; e++) {
        if (e == END_status)
            continue;
        struct small_plan small;
        struct route r;
        memset(&small, 0, sizeof(small));
        for (int k = 0; k < 3; k++)
            small_plan_add(&small, k, 1000);
        route_begin(&r, &small.plan, 3);
        route_first(&r);
        for (int k = 0; k < _i; k++)
            route_on_head(&r, 503, -1);
        ck_assert_int_eq(route_on_head(&r, 200, -1).step, ROUTE_DONE);
        r.committed = true;
        ck_assert_int_eq(route_on_end(&r, (enum route_end)e).step, ROUTE_ERROR_EVENT);
        ck_assert_int_eq(r.n_attempts, _i + 1);
    }
}
END_TEST

START_TEST(attempts_are_recorded)
{
    struct small_plan small;
    struct route r;
    memset(&small, 0, sizeof(small));
    small_plan_add(&small, 0, 1000);
    small_plan_add(&small, 0, 1000);
    route_begin(&r, &small.plan, 1);
    route_first(&r);
    ck_assert_int_eq(route_attempt(&r)->end, END_none);
    ck_assert_int_eq(route_attempt(&r)->retry_after_ms, -1);
    route_attempt(&r)->sent = true;
    route_on_head(&r, 429, 2500);
    ck_assert_int_eq(r.attempts[0].end, END_status);
    ck_assert_int_eq(r.attempts[0].http_status, 429);
    ck_assert_int_eq(r.attempts[0].retry_after_ms, 2500);
    ck_assert(r.attempts[0].sent && !route_attempt(&r)->sent);
    route_on_end(&r, END_reset);
    ck_assert_int_eq(r.attempts[1].end, END_reset);
    ck_assert_int_eq(r.attempts[1].http_status, 0);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(route_end_name(END_connect_failed), "connect_failed");
    ck_assert_str_eq(route_end_text(END_truncated), "stream ended early");
    for (int e = 0; e < END_COUNT; e++)
        ck_assert_int_eq(find_end(route_end_name((enum route_end)e)), e);
}
END_TEST

Suite *route_suite(void)
{
    Suite *s = suite_create("route");
    TCase *t = tcase_create("route");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, scripts);
    tcase_add_loop_test(t, every_failure_at_every_position, 0, 5);
    tcase_add_test(t, success_after_failures);
    tcase_add_loop_test(t, never_after_the_first_byte, 0, 3);
    tcase_add_test(t, attempts_are_recorded);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    return s;
}
