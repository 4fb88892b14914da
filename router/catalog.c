/* The catalog's memory: an arena that never moves, arrays sorted once, open-addressing
 * indexes.  The builder is the mutable stage before it; both live in the same private
 * structure, so that freezing copies nothing but the arrays. */
#define _GNU_SOURCE
#include "router/catalog.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "providers/provider.h"
#include "schema/fnv.h"

enum { ARENA_CHUNK = 64 * 1024, CATALOG_ROWS_MAX = 1000000 };
#define NAME_DROPPED UINT32_MAX /* in name_rows: taken from its model again */

struct chunk {
    struct chunk *next;
    size_t used, cap;
    char bytes[];
};

struct index {
    uint32_t *slots; /* row + 1; 0 = empty */
    uint32_t mask;
};

struct catalog_private {
    struct catalog catalog;
    int refs; /* __atomic */
    struct chunk *arena;
    struct index by_name, by_provider, by_upstream;
    uint32_t *name_rows; /* model row of the i-th name */
    const char **names;  /* ids and aliases */
    int n_names;
};

struct catalog_builder {
    struct chunk *arena;
    struct provider_row *providers;
    struct model *models;
    struct endpoint *endpoints; /* model and provider are row numbers until frozen */
    uint32_t *endpoint_model, *endpoint_provider;
    int n_providers, n_models, n_endpoints;
    int cap_providers, cap_models, cap_endpoints;
    struct index names, provider_slugs; /* while building: to find duplicates */
    bool yields;
    const char **name_list;
    uint32_t *name_rows;
    int n_names, cap_names;
};

/* ---- arena ---- */

static void *arena_take(struct chunk **arena, size_t n)
{
    n = (n + 7) & ~(size_t)7;
    struct chunk *c = *arena;
    if (c == NULL || c->cap - c->used < n) {
        size_t cap = n > ARENA_CHUNK ? n : ARENA_CHUNK;
        c = malloc(sizeof *c + cap);
        if (c == NULL)
            return NULL;
        *c = (struct chunk){.next = *arena, .cap = cap};
        *arena = c;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    return p;
}

static void arena_free(struct chunk *c)
{
    while (c != NULL) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

static const char *keep(struct chunk **arena, const char *s)
{
    if (s == NULL)
        return NULL;
    size_t n = strlen(s) + 1;
    char *copy = arena_take(arena, n);
    if (copy != NULL)
        memcpy(copy, s, n);
    return copy;
}

/* ---- indexes ---- */

static uint64_t hash_span(struct span s)
{
    return fnv_add(FNV_SEED, s);
}

static uint64_t hash_upstream(uint32_t provider, struct span name)
{
    return fnv_add(hash_span(name), (struct span){(const char *)&provider, sizeof provider});
}

static bool index_init(struct index *x, int rows)
{
    uint32_t size = 16;
    while (size < (uint32_t)rows * 2)
        size *= 2;
    x->slots = calloc(size, sizeof *x->slots);
    x->mask = size - 1;
    return x->slots != NULL;
}

static void index_add(struct index *x, uint64_t hash, uint32_t row)
{
    uint32_t i = (uint32_t)(hash ^ (hash >> 32)) & x->mask;
    while (x->slots[i] != 0)
        i = (i + 1) & x->mask;
    x->slots[i] = row + 1;
}

/* Walks the run of a hash: *cursor starts as the hash's slot. UINT32_MAX at its end. */
static uint32_t index_start(const struct index *x, uint64_t hash)
{
    return (uint32_t)(hash ^ (hash >> 32)) & x->mask;
}

static uint32_t index_next(const struct index *x, uint32_t *cursor)
{
    uint32_t row = x->slots[*cursor];
    *cursor = (*cursor + 1) & x->mask;
    return row == 0 ? UINT32_MAX : row - 1;
}

/* ---- builder ---- */

struct catalog_builder *catalog_builder_new(void)
{
    return calloc(1, sizeof(struct catalog_builder));
}

void catalog_builder_free(struct catalog_builder *b)
{
    if (b == NULL)
        return;
    arena_free(b->arena);
    free(b->providers);
    free(b->models);
    free(b->endpoints);
    free(b->endpoint_model);
    free(b->endpoint_provider);
    free(b->names.slots);
    free(b->provider_slugs.slots);
    free(b->name_list);
    free(b->name_rows);
    free(b);
}

static bool grow(void *array, int n, int *cap, size_t size)
{
    void **p = array;
    if (n < *cap)
        return true;
    int more = *cap > 0 ? *cap * 2 : 64;
    void *bigger = realloc(*p, (size_t)more * size);
    if (bigger == NULL)
        return false;
    *p = bigger;
    *cap = more;
    return true;
}

static int no_memory(struct fail *f)
{
    return fail_set(f, ERR_internal, NULL, "out of memory");
}

/* The builder's name index is rebuilt when it becomes half full. */
static bool names_reserve(struct catalog_builder *b)
{
    if (b->names.slots != NULL && (uint32_t)b->n_names * 2 < b->names.mask)
        return true;
    free(b->names.slots);
    if (!index_init(&b->names, b->n_names * 2 + 64))
        return false;
    for (int i = 0; i < b->n_names; i++) {
        index_add(&b->names, hash_span(span_of(b->name_list[i])), (uint32_t)i);
    }
    return true;
}

/* The row of the name list; UINT32_MAX = free. */
static uint32_t builder_name(const struct catalog_builder *b, struct span name)
{
    if (b->names.slots == NULL)
        return UINT32_MAX;
    uint32_t cursor = index_start(&b->names, hash_span(name)), row;
    while ((row = index_next(&b->names, &cursor)) != UINT32_MAX) {
        if (b->name_rows[row] != NAME_DROPPED && span_is(name, b->name_list[row]))
            break;
    }
    return row;
}

static int64_t builder_model_named(const struct catalog_builder *b, struct span name)
{
    uint32_t row = builder_name(b, name);
    return row == UINT32_MAX ? -1 : (int64_t)b->name_rows[row];
}

const char *catalog_builder_owner(const struct catalog_builder *b, const char *name)
{
    int64_t row = builder_model_named(b, span_of(name));
    return row < 0 ? NULL : b->models[row].slug;
}

void catalog_builder_drop_alias(struct catalog_builder *b, const char *alias)
{
    uint32_t row = builder_name(b, span_of(alias));
    assert(row != UINT32_MAX);
    struct model *m = &b->models[b->name_rows[row]];
    int kept = 0;
    for (int i = 0; i < m->n_aliases; i++) {
        if (strcmp(m->aliases[i], alias) != 0)
            m->aliases[kept++] = m->aliases[i];
    }
    assert(kept < m->n_aliases);
    m->n_aliases = kept;
    m->aliases[kept] = NULL;
    b->name_rows[row] = NAME_DROPPED;
}

void catalog_builder_yields(struct catalog_builder *b)
{
    b->yields = true;
}

static int add_name(struct catalog_builder *b, const char *name, uint32_t model, struct fail *f)
{
    int64_t taken = builder_model_named(b, span_of(name));
    if (taken >= 0)
        return fail_set(f, ERR_bad_request, "id", "the model name \"%s\" is used by \"%s\" already",
                        name, b->models[taken].slug);
    int cap = b->cap_names;
    if (!names_reserve(b) || !grow(&b->name_list, b->n_names, &cap, sizeof *b->name_list) ||
        !grow(&b->name_rows, b->n_names, &b->cap_names, sizeof *b->name_rows))
        return no_memory(f);
    b->name_list[b->n_names] = name;
    b->name_rows[b->n_names] = model;
    index_add(&b->names, hash_span(span_of(name)), (uint32_t)b->n_names++);
    return 0;
}

static int64_t builder_provider(const struct catalog_builder *b, const char *slug)
{
    if (b->provider_slugs.slots == NULL)
        return -1;
    uint32_t cursor = index_start(&b->provider_slugs, hash_span(span_of(slug))), row;
    while ((row = index_next(&b->provider_slugs, &cursor)) != UINT32_MAX) {
        if (strcmp(b->providers[row].slug, slug) == 0)
            return row;
    }
    return -1;
}

/* As names_reserve, for the slugs of providers. */
static bool providers_reserve(struct catalog_builder *b)
{
    struct index *x = &b->provider_slugs;
    if (x->slots != NULL && (uint32_t)b->n_providers * 2 < x->mask)
        return true;
    free(x->slots);
    if (!index_init(x, b->n_providers * 2 + 64))
        return false;
    for (int i = 0; i < b->n_providers; i++)
        index_add(x, hash_span(span_of(b->providers[i].slug)), (uint32_t)i);
    return true;
}

static const char **keep_list(struct chunk **arena, const char *const *list, int n)
{
    const char **copy = arena_take(arena, ((size_t)n + 1) * sizeof *copy);
    if (copy == NULL)
        return NULL;
    for (int i = 0; i < n; i++) {
        copy[i] = keep(arena, list[i]);
        if (copy[i] == NULL)
            return NULL;
    }
    copy[n] = NULL;
    return copy;
}

static bool keep_credentials(struct catalog_builder *b, struct provider_row *p,
                             const struct provider_spec *s)
{
    for (int i = 0; i < s->n_credentials; i++) {
        const char *ref = s->credentials[i].ref != NULL ? s->credentials[i].ref : "";
        p->credentials[i] = (struct credential){
            .kind = s->credentials[i].kind, .ref = keep(&b->arena, ref), .index = i};
        if (p->credentials[i].ref == NULL)
            return false;
    }
    p->n_credentials = s->n_credentials;
    return true;
}

static int n_headers(const struct provider_spec *s)
{
    int n = 0;
    while (s->headers != NULL && s->headers[n] != NULL)
        n++;
    return n;
}

int catalog_add_provider(struct catalog_builder *b, const struct provider_spec *s,
                         struct fail *reterr)
{
    if (builder_provider(b, s->slug) >= 0)
        return fail_set(reterr, ERR_bad_request, "slug", "the provider \"%s\" is listed twice",
                        s->slug);
    if (b->n_providers >= CATALOG_ROWS_MAX || s->n_credentials > CATALOG_CREDENTIALS_MAX)
        return fail_set(reterr, ERR_bad_request, "providers", "too many providers or credentials");
    if (!providers_reserve(b) ||
        !grow(&b->providers, b->n_providers, &b->cap_providers, sizeof *b->providers))
        return no_memory(reterr);
    struct provider_row *p = &b->providers[b->n_providers];
    *p = (struct provider_row){
        .id = s->id,
        .slug = keep(&b->arena, s->slug),
        .name = keep(&b->arena, s->name != NULL ? s->name : s->slug),
        .protocol = keep(&b->arena, s->protocol),
        .base_url = keep(&b->arena, s->base_url != NULL ? s->base_url : ""),
        .region = keep(&b->arena, s->region),
        .auth_type = s->auth_type,
        .auth_header_name = keep(&b->arena, s->auth_header_name),
        .collects = s->collects,
        .zdr = s->zdr,
        .cancel_stops_billing = s->cancel_stops_billing,
        .timeouts = s->timeouts,
        .headers = keep_list(&b->arena, s->headers, n_headers(s)),
    };
    if (p->slug == NULL || p->name == NULL || p->protocol == NULL || p->base_url == NULL ||
        p->headers == NULL || !keep_credentials(b, p, s))
        return no_memory(reterr);
    index_add(&b->provider_slugs, hash_span(span_of(p->slug)), (uint32_t)b->n_providers++);
    return 0;
}

int catalog_name_provider(struct catalog_builder *b, const char *slug, const char *path,
                          struct fail *reterr)
{
    struct provider_spec s = {.slug = slug, .protocol = "", .timeouts = TIMEOUTS_DEFAULT};
    if (builder_provider(b, slug) >= 0)
        return 0;
    if (catalog_add_provider(b, &s, reterr) != 0)
        return -1;
    struct provider_row *p = &b->providers[b->n_providers - 1];
    p->elsewhere = keep(&b->arena, path);
    return p->elsewhere != NULL ? 0 : no_memory(reterr);
}

/* Without the model's own slug and without repetitions, which say nothing. */
static void tidy_aliases(struct model *m)
{
    int kept = 0;
    for (int i = 0; i < m->n_aliases; i++) {
        bool known = strcmp(m->aliases[i], m->slug) == 0;
        for (int k = 0; k < kept && !known; k++)
            known = strcmp(m->aliases[i], m->aliases[k]) == 0;
        if (!known)
            m->aliases[kept++] = m->aliases[i];
    }
    m->n_aliases = kept;
    m->aliases[kept] = NULL;
}

int catalog_add_model(struct catalog_builder *b, const struct model_spec *s, struct fail *reterr)
{
    if (b->n_models >= CATALOG_ROWS_MAX)
        return fail_set(reterr, ERR_bad_request, "models", "too many models");
    if (!grow(&b->models, b->n_models, &b->cap_models, sizeof *b->models))
        return no_memory(reterr);
    struct model *m = &b->models[b->n_models];
    *m = (struct model){
        .id = s->id,
        .slug = keep(&b->arena, s->slug),
        .name = keep(&b->arena, s->name != NULL ? s->name : s->slug),
        .distillable = s->distillable,
        .created_ms = s->created_ms,
        .timeouts = s->timeouts,
        .n_aliases = s->n_aliases,
        .aliases = keep_list(&b->arena, s->aliases, s->n_aliases),
    };
    if (m->slug == NULL || m->name == NULL || m->aliases == NULL)
        return no_memory(reterr);
    tidy_aliases(m);
    uint32_t row = (uint32_t)b->n_models;
    int64_t taken = builder_model_named(b, span_of(m->slug));
    if (taken >= 0 && strcmp(b->models[taken].slug, m->slug) == 0)
        return fail_set(reterr, ERR_bad_request, "id", "the model \"%s\" is listed twice", s->slug);
    if (add_name(b, m->slug, row, reterr) != 0)
        return -1;
    b->n_models++;
    for (int i = 0; i < m->n_aliases; i++) {
        if (add_name(b, m->aliases[i], row, reterr) != 0)
            return -1;
    }
    return 0;
}

static const char *endpoint_slug(struct catalog_builder *b, const char *provider,
                                 const char *variant)
{
    if (variant == NULL)
        return provider;
    char slug[2 * CATALOG_SLUG_MAX + 2];
    snprintf(slug, sizeof slug, "%s/%s", provider, variant);
    return keep(&b->arena, slug);
}

/* Service tiers are opt-in: routing.md 1.2, openrouter.ai/docs/guides/features/service-tiers. */
static bool is_tier(const char *variant)
{
    return variant != NULL && (strcmp(variant, "priority") == 0 || strcmp(variant, "flex") == 0);
}

static bool grow_endpoints(struct catalog_builder *b)
{
    int cap_model = b->cap_endpoints, cap_provider = b->cap_endpoints;
    return grow(&b->endpoint_model, b->n_endpoints, &cap_model, sizeof *b->endpoint_model) &&
           grow(&b->endpoint_provider, b->n_endpoints, &cap_provider,
                sizeof *b->endpoint_provider) &&
           grow(&b->endpoints, b->n_endpoints, &b->cap_endpoints, sizeof *b->endpoints);
}

static int check_twin(const struct catalog_builder *b, const char *slug, struct fail *f)
{
    const struct model *m = &b->models[b->n_models - 1];
    for (int i = b->n_endpoints - 1; i >= 0 && b->endpoint_model[i] == (uint32_t)b->n_models - 1;
         i--) {
        if (strcmp(b->endpoints[i].slug, slug) == 0) {
            return fail_set(f, ERR_bad_request, "endpoints",
                            "the endpoint \"%s\" of \"%s\" is listed twice", slug, m->slug);
        }
    }
    return 0;
}

int catalog_add_endpoint(struct catalog_builder *b, const struct endpoint_spec *s,
                         struct fail *reterr)
{
    assert(b->n_models > 0);
    int64_t provider = builder_provider(b, s->provider);
    if (provider < 0) {
        return fail_set(reterr, ERR_bad_request, "provider", "the provider \"%s\" is not defined",
                        s->provider);
    }
    if (b->n_endpoints >= CATALOG_ROWS_MAX)
        return fail_set(reterr, ERR_bad_request, "endpoints", "too many endpoints");
    if (!grow_endpoints(b))
        return no_memory(reterr);
    const char *variant = keep(&b->arena, s->variant);
    const char *slug = endpoint_slug(b, b->providers[provider].slug, variant);
    if (slug == NULL)
        return no_memory(reterr);
    if (check_twin(b, slug, reterr) != 0)
        return -1;
    struct endpoint *e = &b->endpoints[b->n_endpoints];
    *e = (struct endpoint){
        .id = s->id,
        .price_version = s->price_version,
        .variant = variant,
        .slug = slug,
        .tier = is_tier(variant),
        .upstream_model = keep(&b->arena, s->upstream_model),
        .context_length = s->context_length,
        .max_completion_tokens = s->max_completion_tokens,
        .quantization = s->quantization,
        .modalities = s->modalities,
        .params = s->params,
        .rules = s->rules,
        .speed = s->speed != NULL && s->speed[0] != '\0' ? keep(&b->arena, s->speed) : "",
        .geo = s->geo != NULL && s->geo[0] != '\0' ? keep(&b->arena, s->geo) : "",
        .n_server_tools = s->n_server_tools,
        .stated_timeouts = s->timeouts,
        .price = s->price,
    };
    bool kept = e->upstream_model != NULL && e->speed != NULL && e->geo != NULL;
    for (int i = 0; i < s->n_server_tools; i++) {
        e->server_tools[i] = keep(&b->arena, s->server_tools[i]);
        kept = kept && e->server_tools[i] != NULL;
    }
    if (!kept)
        return no_memory(reterr);
    b->endpoint_model[b->n_endpoints] = (uint32_t)b->n_models - 1;
    b->endpoint_provider[b->n_endpoints++] = (uint32_t)provider;
    return 0;
}

/* ---- freezing ---- */

static int by_slug(const void *a, const void *b, void *ctx)
{
    const struct model *models = ctx;
    return strcmp(models[*(const uint32_t *)a].slug, models[*(const uint32_t *)b].slug);
}

static void resolve_secrets(struct provider_row *p, struct chunk **arena, secret_lookup lookup,
                            void *ctx)
{
    for (int i = 0; i < p->n_credentials; i++) {
        struct credential *c = &p->credentials[i];
        struct secret s = {.text = NULL};
        if (c->kind != CREDENTIAL_NONE && lookup != NULL)
            s = lookup(ctx, c->kind, c->ref);
        c->secret = s.text != NULL && s.text[0] != '\0' ? keep(arena, s.text) : NULL;
        c->project = s.project != NULL ? keep(arena, s.project) : NULL;
        c->why = s.why != NULL ? keep(arena, s.why) : NULL;
        c->fault = s.fault != NULL ? keep(arena, s.fault) : NULL;
    }
}

struct arrangement {
    struct model *models;
    uint32_t *order, *place; /* sorted position -> row as added, and back */
    const struct endpoint **lists;
};

static void arrange_models(struct arrangement *a, struct catalog_builder *b)
{
    size_t n_models = (size_t)b->n_models;
    for (uint32_t i = 0; i < n_models; i++)
        a->order[i] = i;
    qsort_r(a->order, n_models, sizeof *a->order, by_slug, b->models);
    for (uint32_t i = 0; i < n_models; i++) {
        a->models[i] = b->models[a->order[i]];
        a->models[i].index = i;
        a->place[a->order[i]] = i;
    }
    for (int i = 0; i < b->n_names; i++) {
        if (b->name_rows[i] != NAME_DROPPED)
            b->name_rows[i] = a->place[b->name_rows[i]];
    }
}

/* What is not stated is taken from further up. */
static struct timeouts inherit(struct timeouts t, const struct timeouts *above)
{
    t.connect_ms = t.connect_ms > 0 ? t.connect_ms : above->connect_ms;
    t.first_byte_ms = t.first_byte_ms > 0 ? t.first_byte_ms : above->first_byte_ms;
    t.idle_ms = t.idle_ms > 0 ? t.idle_ms : above->idle_ms;
    t.total_ms = t.total_ms > 0 ? t.total_ms : above->total_ms;
    return t;
}

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* By the model's name, where a gateway sells it: openrouter.ai/docs/features/web-search
 * (":online"), platform.openai.com/docs/guides/tools-web-search (models that always search). */
static enum endpoint_search search_of(const struct endpoint *e)
{
    const char *model = e->upstream_model;
    if (strstr(model, "deep-research") != NULL)
        return SEARCH_DEEP;
    if (e->provider->searches || strncmp(model, "perplexity/", strlen("perplexity/")) == 0)
        return SEARCH_FEE;
    bool reads = ends_in(model, ":online") || strstr(model, "-search-preview") != NULL ||
                 strstr(model, "-search-api") != NULL;
    return reads ? SEARCH_READS : SEARCH_ASKED;
}

/* Endpoints stay where they were added, each model's together: a copy of the largest array
 * would be a fifth of the time to start. */
static void arrange_endpoints(struct arrangement *a, struct catalog_builder *b)
{
    for (int i = 0; i < b->n_models; i++)
        a->models[i].endpoints = a->lists;
    for (int i = 0; i < b->n_endpoints; i++) {
        struct endpoint *e = &b->endpoints[i];
        struct model *m = &a->models[a->place[b->endpoint_model[i]]];
        if (m->n_endpoints++ == 0)
            m->endpoints = a->lists + i;
        a->lists[i] = e;
        e->index = (uint32_t)i;
        e->model = m;
        e->provider = &b->providers[b->endpoint_provider[i]];
        e->timeouts = inherit(inherit(e->stated_timeouts, &m->timeouts), &e->provider->timeouts);
        e->search = search_of(e);
    }
}

/* Gives back what the array grew ahead. */
static void trim_endpoints(struct catalog_builder *b)
{
    void *exact = b->n_endpoints > 0
                      ? realloc(b->endpoints, (size_t)b->n_endpoints * sizeof *b->endpoints)
                      : NULL;
    if (exact != NULL)
        b->endpoints = exact;
}

/* Models sorted, endpoints grouped by model in file order, all pointers set. */
static bool arrange(struct catalog_private *p, struct catalog_builder *b)
{
    size_t n_models = (size_t)b->n_models + 1, n_endpoints = (size_t)b->n_endpoints + 1;
    struct arrangement a = {
        .models = calloc(n_models, sizeof *a.models),
        .order = calloc(n_models, sizeof *a.order),
        .place = calloc(n_models, sizeof *a.place),
        .lists = arena_take(&b->arena, n_endpoints * sizeof *a.lists),
    };
    bool ok = a.models != NULL && a.order != NULL && a.place != NULL && a.lists != NULL;
    trim_endpoints(b);
    if (ok) {
        arrange_models(&a, b);
        arrange_endpoints(&a, b);
    }
    p->catalog.models = a.models;
    p->catalog.endpoints = b->endpoints;
    free(a.order);
    free(a.place);
    return ok;
}

static bool build_indexes(struct catalog_private *p)
{
    const struct catalog *c = &p->catalog;
    if (!index_init(&p->by_name, p->n_names) || !index_init(&p->by_provider, c->n_providers) ||
        !index_init(&p->by_upstream, c->n_endpoints)) {
        return false;
    }
    for (int i = 0; i < p->n_names; i++) {
        if (p->name_rows[i] != NAME_DROPPED)
            index_add(&p->by_name, hash_span(span_of(p->names[i])), (uint32_t)i);
    }
    for (int i = 0; i < c->n_providers; i++) {
        index_add(&p->by_provider, hash_span(span_of(c->providers[i].slug)), (uint32_t)i);
    }
    for (int i = 0; i < c->n_endpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];
        index_add(&p->by_upstream, hash_upstream(e->provider->index, span_of(e->upstream_model)),
                  (uint32_t)i);
    }
    return true;
}

static void private_free(struct catalog_private *p)
{
    union {
        const void *in;
        void *out;
    } u;
    const void *owned[] = {p->catalog.providers, p->catalog.models, p->catalog.endpoints};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        u.in = owned[i];
        free(u.out);
    }
    arena_free(p->arena);
    free(p->by_name.slots);
    free(p->by_provider.slots);
    free(p->by_upstream.slots);
    free(p->name_rows);
    free(p->names);
    free(p);
}

struct catalog *catalog_freeze(struct catalog_builder *b, int64_t version, secret_lookup lookup,
                               void *ctx)
{
    struct catalog_private *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    for (int i = 0; i < b->n_providers; i++) {
        struct provider_row *row = &b->providers[i];
        row->index = (uint32_t)i;
        row->adapter = provider_find(row->protocol);
        const struct provider_target t = {.slug = row->slug, .base_url = row->base_url};
        row->searches = provider_searches(&t);
        resolve_secrets(row, &b->arena, lookup, ctx);
    }
    bool ok = arrange(p, b);
    p->refs = 1;
    p->catalog.priv = p;
    p->catalog.version = version;
    p->catalog.yields = b->yields;
    p->catalog.n_providers = b->n_providers;
    p->catalog.n_models = b->n_models;
    p->catalog.n_endpoints = b->n_endpoints;
    p->catalog.providers = b->providers;
    p->arena = b->arena;
    p->names = b->name_list;
    p->name_rows = b->name_rows;
    p->n_names = b->n_names;
    free(b->models);
    free(b->endpoint_model);
    free(b->endpoint_provider);
    free(b->names.slots);
    free(b->provider_slugs.slots);
    *b = (struct catalog_builder){0};
    if (!ok || !build_indexes(p)) {
        private_free(p);
        return NULL;
    }
    return &p->catalog;
}

struct catalog *catalog_ref(struct catalog *c)
{
    __atomic_add_fetch(&c->priv->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void catalog_unref(struct catalog *c)
{
    if (c != NULL && __atomic_sub_fetch(&c->priv->refs, 1, __ATOMIC_ACQ_REL) == 0)
        private_free(c->priv);
}

/* ---- look-ups ---- */

const struct model *catalog_model(const struct catalog *c, struct span name)
{
    const struct catalog_private *p = c->priv;
    uint32_t cursor = index_start(&p->by_name, hash_span(name)), row;
    while ((row = index_next(&p->by_name, &cursor)) != UINT32_MAX) {
        if (span_is(name, p->names[row]))
            return &c->models[p->name_rows[row]];
    }
    return NULL;
}

const struct provider_row *catalog_provider(const struct catalog *c, struct span slug)
{
    const struct index *x = &c->priv->by_provider;
    uint32_t cursor = index_start(x, hash_span(slug)), row;
    while ((row = index_next(x, &cursor)) != UINT32_MAX) {
        if (span_is(slug, c->providers[row].slug))
            return &c->providers[row];
    }
    return NULL;
}

const struct endpoint *catalog_by_upstream(const struct catalog *c, const struct provider_row *p,
                                           struct span upstream_model)
{
    const struct index *x = &c->priv->by_upstream;
    uint32_t cursor = index_start(x, hash_upstream(p->index, upstream_model)), row;
    const struct endpoint *other = NULL; /* the price of a tier, or of terms, is the last resort */
    while ((row = index_next(x, &cursor)) != UINT32_MAX) {
        const struct endpoint *e = &c->endpoints[row];
        if (e->provider == p && span_is(upstream_model, e->upstream_model)) {
            if (endpoint_is_usual(e))
                return e;
            other = e;
        }
    }
    return other;
}

const struct endpoint *endpoint_on_terms(const struct endpoint *e, const char *speed,
                                         const char *geo, const char *tier)
{
    for (int i = 0; i < e->model->n_endpoints; i++) {
        const struct endpoint *other = e->model->endpoints[i];
        if (other->provider == e->provider && strcmp(other->speed, speed) == 0 &&
            strcmp(other->geo, geo) == 0 && strcmp(endpoint_tier(other), tier) == 0)
            return other;
    }
    return NULL;
}

/* ---- slugs ---- */

bool endpoint_covered(const struct endpoint *e, const char *entry)
{
    return strcmp(entry, e->slug) == 0 || strcmp(entry, e->provider->slug) == 0 ||
           strcasecmp(entry, e->provider->name) == 0;
}

bool endpoint_named(const struct endpoint *e, const char *entry)
{
    return strcmp(entry, e->slug) == 0 || (!e->tier && endpoint_covered(e, entry));
}
