#define _GNU_SOURCE
/* The price benchmark (bench/README.md): a markdown table for each kind of traffic. */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/price.h"
#include "schema/money.h"

enum { EXIT_ABSENT = 77, POLICIES_MAX = 16, HOUR_MS = 3600 * 1000 };

static const char USAGE[] =
    "usage: bench/price [--catalog FILE [--hit-rates FILE]] [--models N] [--model ID] [--talks N]\n"
    "                   [--hours N] [--seed N] [--kind agent|chat|batch|mixed|one-key]\n"
    "                   [--by-model] [--check]\n"
    "Without --catalog: the newest lists of OpenRouter in $WAYFARE_SHARED/prices.\n";

struct options {
    char catalog[4096], hit_rates[4096];
    const char *kind, *model;
    int models, talks, hours;
    uint64_t seed;
    bool by_model, check;
};

/* ---- the lists ---- */

/* The last of that beginning by name, which holds the date. */
static bool newest(const char *dir, const char *begin, char *ret, size_t cap)
{
    char best[256] = "";
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, begin, strlen(begin)) == 0 && strcmp(e->d_name, best) > 0)
            snprintf(best, sizeof(best), "%s", e->d_name);
    }
    if (d != NULL)
        closedir(d);
    snprintf(ret, cap, "%s/%s", dir, best);
    return best[0] != '\0';
}

static bool find_lists(struct options *o)
{
    char dir[2048];
    const char *shared = getenv("WAYFARE_SHARED");
    snprintf(dir, sizeof(dir), "%s/prices", shared != NULL ? shared : "../shared");
    if (newest(dir, "openrouter-endpoints-", o->catalog, sizeof(o->catalog))) {
        if (!newest(dir, "openrouter-effective-pricing-", o->hit_rates, sizeof(o->hit_rates)))
            o->hit_rates[0] = '\0';
        return true;
    }
    fprintf(stderr, "price: no lists of OpenRouter in %s: name it by WAYFARE_SHARED\n", dir);
    return false;
}

/* ---- the tables ---- */

/* Tenths of a per cent that a is above b. */
static int64_t above(int64_t a, int64_t b)
{
    return b > 0 ? (a - b) * 100 / (b / 10 > 0 ? b / 10 : 1) : 0;
}

static void print_row(const struct world *w, const char *name, const struct result *r,
                      const struct result *best, bool run)
{
    char usd[MONEY_TEXT_MAX];
    int64_t worst = 0, sum = 0;
    for (int i = 0; i < w->n_scenes; i++) {
        int64_t a = above(r->by_scene_pusd[i], best->by_scene_pusd[i]);
        worst = a > worst ? a : worst;
        sum += a;
    }
    int64_t all = above(r->pusd, best->pusd), mean = w->n_scenes > 0 ? sum / w->n_scenes : 0;
    money_print(r->pusd / 10000000000, 2, usd); /* cents */
    printf("| %s | %s | %.1f | %.1f | %.1f |", name, usd, (double)all / 10, (double)mean / 10,
           (double)worst / 10);
    if (!run)
        printf(" %" PRId64 " | | | |\n", r->failed);
    else
        printf(" %" PRId64 " | %" PRId64 " | %" PRId64 " | %.1f |\n", r->failed,
               r->attempts - (r->requests - r->failed), r->cached_tok * 100 / (r->prompt_tok + 1),
               (double)r->wait_ms / (double)(r->requests + 1) / 1000);
}

static void print_models(const struct world *w, const struct result *results, int n,
                         const struct result *best)
{
    printf("\n| model | endpoints | hindsight, $ |");
    for (int k = 0; k < n; k++)
        printf(" %s |", policies[k].name);
    printf("\n|---|---|---|");
    for (int k = 0; k < n; k++)
        printf("---|");
    for (int i = 0; i < w->n_scenes; i++) {
        char usd[MONEY_TEXT_MAX];
        printf("\n| %s | %d | %s |", w->scenes[i].model->slug, w->scenes[i].n,
               money_print(best->by_scene_pusd[i] / 100000000, 4, usd));
        for (int k = 0; k < n; k++)
            printf(" %.1f |",
                   (double)above(results[k].by_scene_pusd[i], best->by_scene_pusd[i]) / 10);
    }
    printf("\n");
}

/* What of it each kind costs. */
static void print_kinds(const struct result *results, int n, const struct result *best)
{
    printf("\n| policy |");
    for (int k = 0; k < KINDS; k++)
        printf(" %s, $ | above hindsight, %% |", kind_names[k]);
    printf("\n|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < n; i++) {
        printf("| %s |", policies[i].name);
        for (int k = 0; k < KINDS; k++) {
            char usd[MONEY_TEXT_MAX];
            printf(" %s | %.1f |", money_print(results[i].by_kind_pusd[k] / 10000000000, 2, usd),
                   (double)above(results[i].by_kind_pusd[k], best->by_kind_pusd[k]) / 10);
        }
        printf("\n");
    }
}

/* What serves as much costs no less: else the bound, or the run, is wrong. */
static int check_bound(const struct result *r, const struct result *best, const char *name)
{
    if (r->failed > best->failed || r->pusd >= best->pusd)
        return 0;
    fprintf(stderr, "price: %s costs less than the least that is possible\n", name);
    return -1;
}

static const char *const best_names[BESTS] = {
    [BEST_FOUND] = "best in hindsight (found)",
    [BEST_BOUND] = "lower bound of that",
    [BEST_MEAN] = "best but for the luck of caches",
};

static int run_mix(const struct world *w, const struct mix *mix, const struct options *o)
{
    struct traffic t;
    struct result bests[BESTS], *best = &bests[BEST_FOUND], results[POLICIES_MAX];
    int n = 0, rc = traffic_make(&t, w, mix, o->talks);
    for (int i = 0; i < BESTS && rc == 0; i++)
        rc = best_in_hindsight(w, &t, (enum best)i, &bests[i]);
    for (; rc == 0 && policies[n].name != NULL; n++)
        rc = run_policy(w, &t, &policies[n], &results[n]);
    if (rc == 0) {
        printf("\n### %s: %d requests in %d conversations\n\n", mix->name, t.n_events, t.n_talks);
        printf("| policy | cost, $ | above hindsight, %% | mean of models | worst model | failed "
               "requests | failed attempts | cached, %% | s per request |\n"
               "|---|---|---|---|---|---|---|---|---|\n");
        for (int i = 0; i < n; i++)
            print_row(w, policies[i].name, &results[i], best, true);
        for (int i = 0; i < BESTS; i++)
            print_row(w, best_names[i], &bests[i], best, false);
        if ((mix->kinds & (mix->kinds - 1)) != 0)
            print_kinds(results, n, best);
        if (o->by_model)
            print_models(w, results, n, best);
        for (int i = 0; i < n; i++)
            rc |= check_bound(&results[i], &bests[BEST_BOUND], policies[i].name);
    }
    traffic_done(&t);
    return rc;
}

static int run_all(const struct options *o)
{
    struct world w = {.seed = o->seed, .span_ms = (int64_t)o->hours * HOUR_MS, .check = o->check};
    int rc = world_load(&w, o->catalog, o->hit_rates[0] != '\0' ? o->hit_rates : NULL, o->models,
                        o->model);
    if (rc == 0 && w.n_scenes == 0) {
        fprintf(stderr, "price: no model with two endpoints\n");
        rc = -1;
    }
    for (const struct mix *m = mixes; m->name != NULL && rc == 0; m++) {
        if (o->kind == NULL || strcmp(o->kind, m->name) == 0)
            rc = run_mix(&w, m, o);
    }
    world_done(&w);
    return rc;
}

/* ---- options ---- */

static int number(const char *text, int most)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > most) {
        fprintf(stderr, "price: %s is no number from 1 to %d\n%s", text, most, USAGE);
        exit(2);
    }
    return (int)n;
}

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"catalog", 1, NULL, 'c'},
                                          {"hit-rates", 1, NULL, 'r'},
                                          {"models", 1, NULL, 'm'},
                                          {"model", 1, NULL, 'o'},
                                          {"talks", 1, NULL, 't'},
                                          {"hours", 1, NULL, 'h'},
                                          {"seed", 1, NULL, 's'},
                                          {"kind", 1, NULL, 'k'},
                                          {"by-model", 0, NULL, 'b'},
                                          {"check", 0, NULL, 'x'},
                                          {0}};
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'c')
            snprintf(o->catalog, sizeof(o->catalog), "%s", optarg);
        else if (c == 'r')
            snprintf(o->hit_rates, sizeof(o->hit_rates), "%s", optarg);
        else if (c == 'm')
            o->models = number(optarg, SCENES_MAX);
        else if (c == 'o')
            o->model = optarg;
        else if (c == 't')
            o->talks = number(optarg, 100000);
        else if (c == 'h')
            o->hours = number(optarg, 1000);
        else if (c == 's')
            o->seed = (uint64_t)number(optarg, INT32_MAX);
        else if (c == 'k')
            o->kind = optarg;
        else if (c == 'b')
            o->by_model = true;
        else if (c == 'x')
            o->check = true;
        else {
            fputs(USAGE, stderr);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct options o = {.models = 20, .talks = 60, .hours = 6, .seed = 1};
    read_options(argc, argv, &o);
    if (o.catalog[0] == '\0' && !find_lists(&o))
        return EXIT_ABSENT;
    return run_all(&o) == 0 ? 0 : 1;
}
