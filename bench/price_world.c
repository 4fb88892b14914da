#define _GNU_SOURCE
/* The endpoints of the catalog and what is true of them. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/price.h"
#include "router/catalog_file.h"
#include "router/replay.h"
#include "schema/json.h"

enum { FILE_MAX_BYTES = 64 * 1024 * 1024, LINE_FIELDS_MAX = 32, UNKNOWN = -1 };
enum { LATENCY_MS = 1000, MILLI_TPS = 50000 }; /* where none is known */
enum { OUTAGES_EVERY_MS = 10 * 3600 * 1000, OUTAGE_MS = 6 * 60 * 1000, ERROR_PPM = 3000 };

/* ---- draws ---- */

/* splitmix64's output function (see router/plan_order.c). */
static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t draw(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
    return mix(mix(mix(mix(seed) ^ a) ^ b) ^ c);
}

double uniform(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

/* ---- files ---- */

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "r");
    char *text = f != NULL ? malloc(FILE_MAX_BYTES) : NULL;
    if (text == NULL) {
        perror(path);
        if (f != NULL)
            fclose(f);
        return NULL;
    }
    *ret_len = fread(text, 1, FILE_MAX_BYTES - 1, f);
    text[*ret_len] = '\0';
    fclose(f);
    return text;
}

/* What cannot be used is left out; wayfare catalog import says why. */
static void no_note(void *ctx, const struct catalog_note *note)
{
    (void)ctx;
    (void)note;
}

static struct catalog *read_catalog(struct span text)
{
    struct fail why;
    struct catalog *file = NULL, *usable = NULL;
    struct replay_discounts none = {.n = 0};
    struct catalog_builder *b = catalog_builder_new();
    if (b != NULL &&
        catalog_file_read(text, catalog_format_guess(text), b, no_note, NULL, &why) == 0)
        file = catalog_freeze(b, 0, NULL, NULL);
    if (file != NULL)
        usable = replay_catalog(file, &none, &why);
    if (usable == NULL)
        fprintf(stderr, "price: the catalog: %s\n", why.text);
    catalog_unref(file);
    catalog_builder_free(b);
    return usable;
}

/* ---- figures of OpenRouter's rows ---- */

static int64_t number_of(const struct json_doc *d, json_ref row, const char *name)
{
    char text[32];
    json_ref v = json_get(d, row, name);
    struct span s =
        v != JSON_NONE && json_kind(d, v) == JSON_NUMBER ? json_raw(d, v) : (struct span){"", 0};
    if (s.len == 0 || s.len >= sizeof(text))
        return UNKNOWN;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return (int64_t)strtod(text, NULL);
}

static bool member_is(const struct json_doc *d, json_ref row, const char *name, const char *value)
{
    json_ref v = json_get(d, row, name);
    return v != JSON_NONE && json_kind(d, v) == JSON_STRING && span_is(json_inner(d, v), value);
}

/* The row of this endpoint: of the same model and provider; the catalog keeps the rows' order. */
static void note_speed(const struct json_doc *d, json_ref row, struct scene *s)
{
    for (int i = 0; i < s->n; i++) {
        struct place *p = &s->places[i];
        bool same = member_is(d, row, "provider_slug", p->e->slug) ||
                    member_is(d, row, "provider_slug", p->e->provider->slug);
        if (!same || p->latency_ms != UNKNOWN)
            continue;
        p->latency_ms = number_of(d, row, "p50_latency");
        p->milli_tps = number_of(d, row, "p50_throughput");
        p->milli_tps = p->milli_tps > 0 ? p->milli_tps * 1000 : MILLI_TPS;
        p->latency_ms = p->latency_ms > 0 ? p->latency_ms : LATENCY_MS;
        return;
    }
}

static void read_speeds(struct world *w, struct span text)
{
    struct json_doc d;
    json_init(&d);
    json_ref list = json_parse(&d, text, NULL) == 0 && json_kind(&d, 0) == JSON_OBJECT
                        ? json_get(&d, 0, "endpoints")
                        : JSON_NONE;
    for (json_ref row = list != JSON_NONE ? json_first(&d, list) : JSON_NONE; row != JSON_NONE;
         row = json_next(&d, row)) {
        for (int i = 0; i < w->n_scenes; i++) {
            if (member_is(&d, row, "model_slug", w->scenes[i].model->slug))
                note_speed(&d, row, &w->scenes[i]);
        }
    }
    json_done(&d);
}

/* ---- how often caches are hit ---- */

static int split(char *line, char *fields[LINE_FIELDS_MAX])
{
    int n = 0;
    for (char *at = line; at != NULL && n < LINE_FIELDS_MAX; n++) {
        fields[n] = strsep(&at, ",\n");
    }
    return n;
}

static int column(char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return UNKNOWN;
}

static void note_hits(struct world *w, const char *model, const char *provider, double rate)
{
    for (int i = 0; i < w->n_scenes; i++) {
        struct scene *s = &w->scenes[i];
        for (int k = 0; strcmp(s->model->slug, model) == 0 && k < s->n; k++) {
            if (strcmp(s->places[k].e->provider->slug, provider) == 0)
                s->places[k].hit_ppm = (int64_t)(rate * PPM);
        }
    }
}

static int read_hit_rates(struct world *w, const char *path)
{
    size_t len;
    char *text = read_file(path, &len), *line = text, *end, *f[LINE_FIELDS_MAX];
    int model = UNKNOWN, provider = UNKNOWN, rate = UNKNOWN;
    if (text == NULL)
        return -1;
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        int n = split(line, f);
        if (line == text) {
            model = column(f, n, "model_slug");
            provider = column(f, n, "provider_slug");
            rate = column(f, n, "cache_hit_rate");
        } else if (model >= 0 && provider >= 0 && rate >= 0 && rate < n && f[rate][0] != '\0') {
            note_hits(w, f[model], f[provider], strtod(f[rate], NULL));
        }
    }
    free(text);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* What was measured mixes how caches work with what traffic there was: the best provider of the
 * model is taken for a cache that always works, the others in proportion; a provider without a
 * figure has the median. Where writes are billed the client asks for them, and they work. */
static void settle_hits(struct scene *s)
{
    int64_t known[PLACES_MAX], best = 0, n = 0;
    for (int i = 0; i < s->n; i++) {
        int64_t hit = s->places[i].hit_ppm;
        if (hit == UNKNOWN || s->places[i].e->price.base.pusd[PRICE_cache_read] < 0)
            continue;
        known[n++] = hit;
        best = hit > best ? hit : best;
    }
    qsort(known, (size_t)n, sizeof(known[0]), by_value);
    for (int i = 0; i < s->n; i++) {
        struct place *p = &s->places[i];
        int64_t hit = p->hit_ppm != UNKNOWN ? p->hit_ppm : n > 0 ? known[n / 2] : PPM;
        p->hit_ppm = p->writes || best == 0 ? PPM : hit * PPM / best;
        p->hit_ppm = p->hit_ppm < PPM ? p->hit_ppm : PPM;
        if (p->e->price.base.pusd[PRICE_cache_read] < 0)
            p->hit_ppm = 0;
    }
}

/* ---- outages ---- */

static void plan_outages(const struct world *w, struct place *p)
{
    int64_t at = 0;
    p->error_ppm = ERROR_PPM;
    while (p->n_outages < OUTAGES_MAX) {
        uint64_t n = (uint64_t)p->n_outages;
        at += (int64_t)(-log(uniform(draw(w->seed, p->e->index, n, 1))) * OUTAGES_EVERY_MS);
        if (at >= w->span_ms)
            return;
        struct outage *o = &p->outages[p->n_outages++];
        o->from_ms = at;
        at += (int64_t)(-log(uniform(draw(w->seed, p->e->index, n, 2))) * OUTAGE_MS);
        o->to_ms = at;
    }
}

/* ---- scenes ---- */

static bool is_usable(const struct endpoint *e)
{
    const int64_t *p = e->price.base.pusd;
    return price_is_routable(&e->price) && p[PRICE_prompt] > 0 && !e->tier &&
           (e->context_length == 0 || e->context_length >= 128000) &&
           (e->max_completion_tokens == 0 || e->max_completion_tokens >= ASKED_MAX_TOK);
}

static void set_scene(struct world *w, struct scene *s, const struct model *m)
{
    *s = (struct scene){.model = m};
    for (int i = 0; i < m->n_endpoints && s->n < PLACES_MAX; i++) {
        const struct endpoint *e = m->endpoints[i];
        const int64_t *p = e->price.base.pusd;
        if (!is_usable(e))
            continue;
        s->places[s->n++] = (struct place){.e = e,
                                           .latency_ms = UNKNOWN,
                                           .hit_ppm = UNKNOWN,
                                           .milli_tps = MILLI_TPS,
                                           .writes = p[PRICE_cache_write_5m] >= 0,
                                           .list_pusd = 3 * p[PRICE_prompt] + p[PRICE_completion]};
    }
    /* 0.8 to 1.2: nobody here has the provider's tokenizer. */
    s->estimate_ppm = 800000 + (int64_t)(draw(w->seed, m->index, 0, 3) % 400001);
}

static int n_usable(const struct model *m)
{
    int n = 0;
    for (int i = 0; i < m->n_endpoints; i++)
        n += is_usable(m->endpoints[i]);
    return n;
}

/* The models with the most endpoints; a name with ~ stands for others' newest one. */
static const struct model *next_model(const struct world *w, const char *only)
{
    const struct model *best = NULL;
    for (int i = 0; i < w->catalog->n_models; i++) {
        const struct model *m = &w->catalog->models[i];
        bool taken = m->slug[0] == '~' || (only != NULL && strcmp(m->slug, only) != 0);
        for (int k = 0; k < w->n_scenes && !taken; k++)
            taken = w->scenes[k].model == m;
        int n = taken ? 0 : n_usable(m);
        if (n > 1 && n <= PLACES_MAX && (best == NULL || n > n_usable(best)))
            best = m;
    }
    return best;
}

int world_load(struct world *w, const char *catalog, const char *hit_rates, int n_models,
               const char *only_model)
{
    size_t len;
    const struct model *m;
    char *text = read_file(catalog, &len);
    w->scenes = calloc(SCENES_MAX, sizeof(*w->scenes));
    if (text == NULL || w->scenes == NULL)
        return -1;
    w->catalog = read_catalog((struct span){text, len});
    if (w->catalog == NULL)
        return -1;
    while (w->n_scenes < n_models && (m = next_model(w, only_model)) != NULL)
        set_scene(w, &w->scenes[w->n_scenes++], m);
    read_speeds(w, (struct span){text, len});
    free(text);
    if (hit_rates != NULL && read_hit_rates(w, hit_rates) != 0)
        return -1;
    for (int i = 0; i < w->n_scenes; i++) {
        struct scene *s = &w->scenes[i];
        settle_hits(s);
        for (int k = 0; k < s->n; k++) {
            plan_outages(w, &s->places[k]);
            if (s->places[k].latency_ms == UNKNOWN)
                s->places[k].latency_ms = LATENCY_MS;
        }
    }
    return 0;
}

void world_done(struct world *w)
{
    free(w->scenes);
    catalog_unref(w->catalog);
}
