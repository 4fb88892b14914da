/* Real price lists, read, merged into a database and loaded again.  They are no part of the
 * project: where WAYFARE_SHARED (or ../shared) has them the suite runs, elsewhere it says that
 * it was skipped. */
#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "router/catalog_db.h"
#include "tests/unit/ledger_world.h"

Suite *catalog_prices_suite(void);

/* Sanitizers and a busy machine make everything several times slower. */
enum { IMPORT_MS_MAX = 8000, LOAD_MS_MAX = 1500 };

struct list {
    const char *file;
    enum catalog_format format;
    int models_min, endpoints_min;
};

static const struct list lists[] = {
    {"litellm-model_prices_and_context_window.json", CATALOG_LITELLM, 2300, 2300},
    {"models.dev.json", CATALOG_MODELS_DEV, 5000, 5000},
    {"openrouter-models-2026-08-08.json", CATALOG_OPENROUTER, 390, 390},
    {"openrouter-endpoints-2026-08-08.json", CATALOG_OPENROUTER, 440, 1230},
};
enum { N_LISTS = sizeof(lists) / sizeof(lists[0]) };

/* Prices in pico-USD, as the lists state them; -1 = not stated. */
static const struct expected {
    const char *model, *endpoint;
    int64_t prompt, completion, cache_read, write_5m, write_1h;
    int64_t tier_above, tier_prompt;
    int list;
} expected[] = {
    {"anthropic/claude-haiku-4-5", "anthropic", 1000000, 5000000, 100000, 1250000, 2000000, 0, 0,
     0},
    {"anthropic/claude-sonnet-4-5", "anthropic", 3000000, 15000000, 300000, 3750000, 6000000,
     200000, 6000000, 0},
    {"openai/gpt-5.4", "openai", 2500000, 15000000, 250000, -1, -1, 272000, 5000000, 0},
    {"gemini/gemini-2.5-pro", "gemini", 1250000, 10000000, 125000, -1, -1, 200000, 2500000, 0},
    {"xai/grok-4.3", "xai", 1250000, 2500000, 200000, -1, -1, 200000, 2500000, 0},
    {"deepseek/deepseek-chat", "deepseek", 280000, 420000, 28000, -1, -1, 0, 0, 0},
    {"wandb/openai/gpt-oss-120b", "wandb", -1, -1, -1, -1, -1, 0, 0, 0},
    {"databricks/databricks-claude-sonnet-4-5", "databricks", 2999990, 15000020, -1, -1, -1, 0, 0,
     0},
    {"anthropic/claude-sonnet-4-5", "anthropic", 3000000, 15000000, 300000, 3750000, -1, 0, 0, 1},
    {"openai/gpt-5.4", "openai", 2500000, 15000000, 250000, -1, -1, 272000, 5000000, 1},
    {"minimax/MiniMax-M2.1", "minimax", 300000, 1200000, 30000, 375000, -1, 0, 0, 1},
    {"togetherai/Qwen/Qwen3.5-397B-A17B", "togetherai", 600000, 3600000, 350000, -1, -1, 0, 0, 1},
    {"siliconflow/MiniMaxAI/MiniMax-M2.5", "siliconflow", 300000, 1200000, 30000, -1, -1, 0, 0, 1},
    {"anthropic/claude-haiku-4.5", "openrouter", 1000000, 5000000, 100000, 1250000, 2000000, 0, 0,
     2},
    {"openai/gpt-5.4", "openrouter", 2500000, 15000000, 250000, -1, -1, 271999, 5000000, 2},
    {"google/gemini-2.5-flash", "openrouter", 300000, 2500000, 30000, 383333, -1, 0, 0, 2},
    {"google/gemini-2.5-flash", "google-ai-studio", 300000, 2500000, 30000, 383333, -1, 0, 0, 3},
    {"anthropic/claude-haiku-4.5", "google-vertex/europe", 1100000, 5500000, 110000, 1375000,
     2200000, 0, 0, 3},
    {"anthropic/claude-haiku-4.5:batch", "anthropic", 500000, 2500000, 50000, 625000, 1000000, 0, 0,
     3},
    {"deepseek/deepseek-v3.2", "baidu", 207200, 310800, 20720, -1, -1, 0, 0, 3},
    {"deepseek/deepseek-v3.2", "deepinfra", 260000, 380000, 130000, -1, -1, 0, 0, 3},
};

struct tally {
    int refused, remarks, nameless;
};

static void count_note(void *ctx, const struct catalog_note *note)
{
    struct tally *t = ctx;
    t->refused += note->refused;
    t->remarks += !note->refused;
    t->nameless +=
        note->path == NULL || *note->path == '\0' || note->reason == NULL || *note->reason == '\0';
}

static struct span map_file(const char *name)
{
    const char *dir = getenv("WAYFARE_SHARED");
    char path[512];
    struct stat st;
    snprintf(path, sizeof(path), "%s/prices/%s", dir != NULL ? dir : "../shared", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        printf("SKIP %s: no such price list (set WAYFARE_SHARED)\n", path);
        return (struct span){NULL, 0};
    }
    ck_assert_int_eq(fstat(fd, &st), 0);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    close(fd);
    return (struct span){p, (size_t)st.st_size};
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long rss_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct catalog *read_list(struct span text, enum catalog_format format, struct tally *t)
{
    struct fail why = {0};
    struct catalog_builder *b = catalog_builder_new();
    int rc = catalog_file_read(text, format, b, count_note, t, &why);
    ck_assert_msg(rc == 0, "%s", why.text);
    struct catalog *c = catalog_freeze(b, 0, NULL, NULL);
    ck_assert_ptr_nonnull(c);
    catalog_builder_free(b);
    return c;
}

static void merge(struct db *db, const struct catalog *c, struct catalog_changes *n)
{
    struct fail why = {0};
    ck_assert_int_eq(db_begin(db, &why), 0);
    int rc = catalog_db_merge(db, c, NULL, NULL, n, &why);
    ck_assert_msg(rc == 0, "%s", why.text);
    ck_assert_int_eq(db_commit(db, &why), 0);
}

static const struct endpoint *find(const struct catalog *c, const char *model, const char *slug)
{
    const struct model *m = catalog_model(c, span_of(model));
    for (int i = 0; m != NULL && i < m->n_endpoints; i++) {
        if (strcmp(m->endpoints[i]->slug, slug) == 0)
            return m->endpoints[i];
    }
    return NULL;
}

static void check_facts(const struct catalog *c, int list)
{
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct expected *x = &expected[i];
        if (x->list != list)
            continue;
        const struct endpoint *e = find(c, x->model, x->endpoint);
        ck_assert_msg(e != NULL, "%s at %s is not there", x->model, x->endpoint);
        const int64_t *have = e->price.base.pusd;
        const int64_t want[] = {x->prompt, x->completion, x->cache_read, x->write_5m, x->write_1h};
        for (int k = 0; k < 5; k++)
            ck_assert_msg(have[k] == want[k], "%s at %s: %s is %lld, not %lld", x->model,
                          x->endpoint, price_item_name((enum price_item)k), (long long)have[k],
                          (long long)want[k]);
        ck_assert_int_eq(e->price.n_tiers, x->tier_above > 0);
        if (x->tier_above > 0) {
            ck_assert_int_eq(e->price.tiers[0].above_prompt_tok, x->tier_above);
            ck_assert_int_eq(e->price.tiers[0].rates.pusd[PRICE_prompt], x->tier_prompt);
        }
    }
}

/* Lists say it in many ways; a token that is written to a cache never costs less than one that is
 * read. */
static void check_writes(const struct catalog *c)
{
    for (int i = 0; i < c->n_endpoints; i++) {
        const struct price *p = &c->endpoints[i].price;
        for (int k = -1; k < p->n_tiers; k++) {
            struct rates at = price_at(p, k < 0 ? 0 : p->tiers[k].above_prompt_tok + 1);
            ck_assert_msg(at.pusd[PRICE_cache_write_5m] >= at.pusd[PRICE_prompt] &&
                              at.pusd[PRICE_cache_write_1h] >= at.pusd[PRICE_prompt],
                          "%s at %s, tier %d", c->endpoints[i].model->slug, c->endpoints[i].slug,
                          k);
        }
    }
}

/* Read, merged, loaded; then again, which changes nothing. */
START_TEST(a_real_list_is_imported)
{
    const struct list *l = &lists[_i];
    struct span text = map_file(l->file);
    if (text.ptr == NULL)
        return;
    ck_assert_int_eq(catalog_format_guess(text), l->format);
    char path[WORLD_PATH_MAX];
    struct fail why = {0};
    world_path(path);
    struct db *db = db_open(path, DB_OWN, &why);
    ck_assert_msg(db != NULL, "%s", why.text);
    struct tally t = {0};
    struct catalog_changes n = {0}, again = {0};
    long rss = rss_kib();
    int64_t t0 = now_ms();
    struct catalog *c = read_list(text, l->format, &t);
    int64_t t1 = now_ms();
    merge(db, c, &n);
    int64_t t2 = now_ms();
    struct catalog *loaded = catalog_db_load(db, NULL, NULL, &why);
    ck_assert_msg(loaded != NULL, "%s", why.text);
    int64_t t3 = now_ms();
    printf("%s: %d providers, %d models, %d endpoints; %d refused, %d remarks; read %lld ms, merge "
           "%lld ms, load %lld ms, RSS +%ld KiB\n",
           l->file, c->n_providers, c->n_models, c->n_endpoints, t.refused, t.remarks,
           (long long)(t1 - t0), (long long)(t2 - t1), (long long)(t3 - t2), rss_kib() - rss);
    ck_assert_int_eq(t.nameless, 0);
    ck_assert_int_ge(loaded->n_models, l->models_min);
    ck_assert_int_ge(loaded->n_endpoints, l->endpoints_min);
    ck_assert_int_eq(n.added, c->n_endpoints);
    ck_assert_int_eq(loaded->n_endpoints, c->n_endpoints);
    ck_assert_int_lt(t2 - t0, IMPORT_MS_MAX);
    ck_assert_int_lt(t3 - t2, LOAD_MS_MAX);
    check_facts(loaded, _i);
    check_writes(loaded);
    merge(db, c, &again);
    ck_assert_int_eq(again.unchanged, c->n_endpoints);
    ck_assert_int_eq(again.added + again.changed + again.models_changed + again.providers_changed,
                     0);
    ck_assert_int_eq(catalog_db_version(db), loaded->version);
    catalog_unref(loaded);
    catalog_unref(c);
    db_close(db);
    world_remove(path);
}
END_TEST

/* After the built-in catalog: all four, one after the other; what was there is not moved. */
START_TEST(lists_come_after_the_builtin_catalog)
{
    struct fail why = {0};
    struct db *db = db_open(":memory:", DB_OWN, &why);
    ck_assert_msg(db != NULL, "%s", why.text);
    struct tally t = {0};
    struct catalog_changes n = {0};
    struct catalog *builtin = read_list(catalog_builtin(), CATALOG_WAYFARE, &t);
    merge(db, builtin, &n);
    for (int i = 0; i < N_LISTS; i++) {
        struct span text = map_file(lists[i].file);
        if (text.ptr == NULL)
            continue;
        struct catalog *c = read_list(text, lists[i].format, &t);
        merge(db, c, &n);
        printf("%s after others: %d added, %d changed, %d unchanged\n", lists[i].file, n.added,
               n.changed, n.unchanged);
        merge(db, c, &n);
        ck_assert_int_eq(n.added + n.changed + n.models_changed + n.providers_changed, 0);
        catalog_unref(c);
    }
    struct catalog *all = catalog_db_load(db, NULL, NULL, &why);
    ck_assert_msg(all != NULL, "%s", why.text);
    for (int i = 0; i < builtin->n_models; i++) {
        const struct model *m = &builtin->models[i];
        for (int k = 0; k < m->n_aliases; k++) {
            const struct model *now = catalog_model(all, span_of(m->aliases[k]));
            ck_assert_msg(now != NULL && strcmp(now->slug, m->slug) == 0, "%s", m->aliases[k]);
        }
    }
    catalog_unref(all);
    catalog_unref(builtin);
    db_close(db);
}
END_TEST

/* Formats that are none of ours are refused in one sentence, not taken for an empty list. */
START_TEST(other_lists_are_refused)
{
    static const char *const others[] = {"genai-prices.json", "portkey-pricing.json"};
    struct span text = map_file(others[_i]);
    if (text.ptr == NULL)
        return;
    struct fail why = {0};
    for (int f = CATALOG_WAYFARE; f <= CATALOG_OPENROUTER; f++) {
        struct catalog_builder *b = catalog_builder_new();
        int rc = catalog_file_read(text, (enum catalog_format)f, b, NULL, NULL, &why);
        ck_assert_int_eq(rc, -1);
        ck_assert_int_eq(why.code, ERR_bad_request);
        catalog_builder_free(b);
    }
}
END_TEST

Suite *catalog_prices_suite(void)
{
    Suite *s = suite_create("catalog_prices");
    TCase *t = tcase_create("lists");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, a_real_list_is_imported, 0, N_LISTS);
    tcase_add_test(t, lists_come_after_the_builtin_catalog);
    tcase_add_loop_test(t, other_lists_are_refused, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
