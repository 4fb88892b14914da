/* Merging an imported description into the tables: the incoming catalog is held against
 * the stored one, and only differences are written.  A changed price becomes a new version. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "router/catalog_db.h"
#include "router/catalog_diff.h"
#include "router/catalog_reader.h"
#include "router/catalog_words.h"

enum { LINE_MAX_BYTES = 8 * 1024 };

#define I(name, scale) ", " #name
#define PRICE_COLUMNS PRICE_ITEMS(I)

struct merge {
    struct db *db;
    const struct catalog *have, *incoming;
    bool yields; /* the incoming one is a foreign list: what people wrote stays */
    void (*change)(void *ctx, const char *line);
    void *ctx;
    struct catalog_changes n;
    int64_t now_ms;
    struct fail *f;
};

static void say(struct merge *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct merge *m, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    if (m->change == NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    m->change(m->ctx, line);
}

/* "subject: what changed", if that can be said. */
static void say_changed(struct merge *m, const char *subject, struct buf *diff)
{
    if (diff->len > 0)
        say(m, "%s: %s", subject, diff->ptr);
    else
        say(m, "%s", subject);
    buf_done(diff);
}

static int run(struct merge *m, struct sqlite3_stmt *s)
{
    return db_step(m->db, s, m->f) < 0 ? -1 : 0;
}

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* ---- providers ---- */

static bool same_credentials(const struct provider_row *a, const struct provider_row *b)
{
    bool equal = a->n_credentials == b->n_credentials;
    for (int i = 0; equal && i < a->n_credentials; i++) {
        equal = a->credentials[i].kind == b->credentials[i].kind &&
                same(a->credentials[i].ref, b->credentials[i].ref);
    }
    return equal;
}

static bool same_headers(const struct provider_row *a, const struct provider_row *b)
{
    int i = 0;
    while (a->headers[i] != NULL && same(a->headers[i], b->headers[i])) {
        i++;
    }
    return same(a->headers[i], b->headers[i]);
}

static bool same_timeouts(const struct timeouts *a, const struct timeouts *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void bind_timeouts(struct sqlite3_stmt *s, int first, const struct timeouts *t)
{
    db_bind_int(s, first, t->connect_ms);
    db_bind_int(s, first + 1, t->first_byte_ms);
    db_bind_int(s, first + 2, t->idle_ms);
    db_bind_int(s, first + 3, t->total_ms);
}

static bool same_provider(const struct provider_row *a, const struct provider_row *b)
{
    return same(a->name, b->name) && same(a->protocol, b->protocol) &&
           same(a->base_url, b->base_url) && same(a->region, b->region) &&
           a->auth_type == b->auth_type && same(a->auth_header_name, b->auth_header_name) &&
           a->collects == b->collects && a->zdr == b->zdr &&
           a->cancel_stops_billing == b->cancel_stops_billing &&
           same_timeouts(&a->timeouts, &b->timeouts) && same_credentials(a, b) &&
           same_headers(a, b);
}

static int write_credentials(struct merge *m, int64_t id, const struct provider_row *p)
{
    struct sqlite3_stmt *del = db_stmt(m->db, "DELETE FROM credential WHERE provider_id = ?1");
    db_bind_int(del, 1, id);
    if (run(m, del) != 0) {
        return -1;
    }
    for (int i = 0; i < p->n_credentials; i++) {
        struct sqlite3_stmt *s = db_stmt(
            m->db, "INSERT INTO credential(provider_id, n, kind, ref) VALUES(?1, ?2, ?3, ?4)");
        db_bind_int(s, 1, id);
        db_bind_int(s, 2, i);
        db_bind_text(s, 3, credential_kind_word(p->credentials[i].kind));
        db_bind_text(s, 4, p->credentials[i].ref);
        if (run(m, s) != 0) {
            return -1;
        }
    }
    return 0;
}

static int write_headers(struct merge *m, int64_t id, const struct provider_row *p)
{
    struct sqlite3_stmt *del = db_stmt(m->db, "DELETE FROM provider_header WHERE provider_id = ?1");
    db_bind_int(del, 1, id);
    if (run(m, del) != 0) {
        return -1;
    }
    for (int i = 0; p->headers[i] != NULL; i += 2) {
        struct sqlite3_stmt *s = db_stmt(
            m->db,
            "INSERT INTO provider_header(provider_id, n, name, value) VALUES(?1, ?2, ?3, ?4)");
        db_bind_int(s, 1, id);
        db_bind_int(s, 2, i / 2);
        db_bind_text(s, 3, p->headers[i]);
        db_bind_text(s, 4, p->headers[i + 1]);
        if (run(m, s) != 0) {
            return -1;
        }
    }
    return 0;
}

static int64_t write_provider(struct merge *m, const struct provider_row *p)
{
    struct sqlite3_stmt *s = db_stmt(
        m->db,
        "INSERT INTO provider(slug, name, protocol, base_url, region, auth, auth_header, collects, "
        "zdr, "
        "cancel_stops_billing, connect_ms, first_byte_ms, idle_ms, total_ms) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "
        "ON CONFLICT(slug) DO UPDATE SET name = ?2, protocol = ?3, base_url = ?4, region = ?5, "
        "auth = ?6, "
        "auth_header = ?7, collects = ?8, zdr = ?9, cancel_stops_billing = ?10, connect_ms = ?11, "
        "first_byte_ms = ?12, idle_ms = ?13, total_ms = ?14 RETURNING id");
    const char *texts[] = {p->slug,
                           p->name,
                           p->protocol,
                           p->base_url,
                           p->region,
                           auth_type_word(p->auth_type),
                           p->auth_header_name};
    const int64_t ints[] = {p->collects,
                            p->zdr,
                            p->cancel_stops_billing,
                            p->timeouts.connect_ms,
                            p->timeouts.first_byte_ms,
                            p->timeouts.idle_ms,
                            p->timeouts.total_ms};
    for (int i = 0; i < 7; i++) {
        db_bind_text(s, 1 + i, texts[i]);
        db_bind_int(s, 8 + i, ints[i]);
    }
    if (db_step(m->db, s, m->f) != 1) {
        return -1;
    }
    int64_t id = db_col_int(s, 0);
    if (run(m, s) != 0 || write_credentials(m, id, p) != 0 || write_headers(m, id, p) != 0) {
        return -1;
    }
    return id;
}

static void say_provider(struct merge *m, const struct provider_row *p,
                         const struct provider_row *old)
{
    char subject[CATALOG_SLUG_MAX + 32];
    struct buf diff;
    buf_init(&diff, DIFF_TEXT_MAX);
    snprintf(subject, sizeof subject, "changed provider %s", p->slug);
    diff_provider(old, p, &diff);
    say_changed(m, subject, &diff);
}

static int64_t merge_provider(struct merge *m, const struct provider_row *p)
{
    const struct provider_row *old = catalog_provider(m->have, span_of(p->slug));
    if (old != NULL && (m->yields || p->elsewhere != NULL || same_provider(old, p)))
        return old->id;
    if (p->elsewhere != NULL)
        return fail_set(m->f, ERR_bad_request, p->elsewhere,
                        "%s: the provider \"%s\" is neither in this file nor in the database",
                        p->elsewhere, p->slug);
    if (old == NULL) {
        m->n.providers_added++;
        say(m, "added provider %s (%s, %s)", p->slug, p->protocol,
            p->base_url[0] != '\0' ? p->base_url : "no base_url");
    } else {
        m->n.providers_changed++;
        say_provider(m, p, old);
    }
    return write_provider(m, p);
}

/* ---- models ---- */

static bool same_model(const struct model *a, const struct model *b)
{
    bool equal = same(a->name, b->name) && a->distillable == b->distillable &&
                 a->created_ms == b->created_ms && same_timeouts(&a->timeouts, &b->timeouts) &&
                 a->n_aliases == b->n_aliases;
    for (int i = 0; equal && i < a->n_aliases; i++) {
        equal = same(a->aliases[i], b->aliases[i]);
    }
    return equal;
}

/* A name belongs to one model.  An id is never taken away; a mere alias (most come from foreign
 * lists, which name models by guess) goes to the model of a file that someone wrote, and the
 * import says so. */
static int claim_name(struct merge *m, const struct model *model, const char *name)
{
    const struct model *owner = catalog_model(m->have, span_of(name));
    if (owner == NULL || strcmp(owner->slug, model->slug) == 0) {
        return 0;
    }
    if (m->yields || strcmp(owner->slug, name) == 0)
        return fail_set(
            m->f, ERR_bad_request, "aliases",
            "the model name \"%s\" of \"%s\" belongs to \"%s\" in this database already", name,
            model->slug, owner->slug);
    struct sqlite3_stmt *s = db_stmt(m->db, "DELETE FROM model_alias WHERE name = ?1");
    db_bind_text(s, 1, name);
    say(m, "moved the name %s from %s to %s", name, owner->slug, model->slug);
    return run(m, s);
}

/* A new model's id that is an alias here: requests for that name would go elsewhere, and the file
 * that the alias comes from could never be imported again.  Unless the same file says that the
 * other model does without it. */
static int claim_id(struct merge *m, const struct model *model)
{
    const struct model *owner = catalog_model(m->have, span_of(model->slug));
    if (owner == NULL || strcmp(owner->slug, model->slug) == 0)
        return 0;
    const struct model *restated = catalog_model(m->incoming, span_of(owner->slug));
    if (restated == NULL || strcmp(restated->slug, owner->slug) != 0)
        return fail_set(
            m->f, ERR_bad_request, "id",
            "the model id \"%s\" is an alias of \"%s\" in this database: take it out of "
            "that model's aliases first (in the same file will do), or choose another id",
            model->slug, owner->slug);
    return claim_name(m, model, model->slug);
}

static int write_aliases(struct merge *m, int64_t id, const struct model *model)
{
    struct sqlite3_stmt *del = db_stmt(m->db, "DELETE FROM model_alias WHERE model_id = ?1");
    db_bind_int(del, 1, id);
    if (run(m, del) != 0) {
        return -1;
    }
    for (int i = 0; i < model->n_aliases; i++) {
        if (strcmp(model->aliases[i], model->slug) == 0) {
            continue;
        }
        struct sqlite3_stmt *s =
            db_stmt(m->db, "INSERT INTO model_alias(name, model_id, n) VALUES(?1, ?2, ?3)");
        db_bind_text(s, 1, model->aliases[i]);
        db_bind_int(s, 2, id);
        db_bind_int(s, 3, i);
        if (claim_name(m, model, model->aliases[i]) != 0 || run(m, s) != 0) {
            return -1;
        }
    }
    return 0;
}

static int64_t write_model(struct merge *m, const struct model *model)
{
    struct sqlite3_stmt *s = db_stmt(
        m->db, "INSERT INTO model(slug, name, distillable, created_ms, connect_ms, first_byte_ms, "
               "idle_ms, "
               "total_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
               "ON CONFLICT(slug) DO UPDATE SET name = ?2, distillable = ?3, created_ms = ?4, "
               "connect_ms = ?5, first_byte_ms = ?6, idle_ms = ?7, total_ms = ?8 RETURNING id");
    db_bind_text(s, 1, model->slug);
    db_bind_text(s, 2, model->name);
    db_bind_int(s, 3, model->distillable);
    db_bind_int(s, 4, model->created_ms);
    bind_timeouts(s, 5, &model->timeouts);
    if (claim_id(m, model) != 0 || db_step(m->db, s, m->f) != 1) {
        return -1;
    }
    int64_t id = db_col_int(s, 0);
    return run(m, s) == 0 && write_aliases(m, id, model) == 0 ? id : -1;
}

/* A name that the file gives to another model is told where it moves. */
static void say_model(struct merge *m, const struct model *model, const struct model *old)
{
    char subject[CATALOG_NAME_MAX + 32];
    struct buf diff;
    buf_init(&diff, DIFF_TEXT_MAX);
    snprintf(subject, sizeof subject, "changed model %s", model->slug);
    diff_model(old, model, &diff);
    say_changed(m, subject, &diff);
    for (int i = 0; i < old->n_aliases; i++) {
        if (!diff_has_name(model, old->aliases[i]) &&
            catalog_model(m->incoming, span_of(old->aliases[i])) == NULL)
            say(m, "the name %s is taken from %s", old->aliases[i], model->slug);
    }
}

static int64_t merge_model(struct merge *m, const struct model *model, const struct model *old)
{
    if (old != NULL && same_model(old, model))
        return old->id;
    if (old == NULL) {
        m->n.models_added++;
    } else {
        m->n.models_changed++;
        say_model(m, model, old);
    }
    return write_model(m, model);
}

/* Of a foreign list only the names that are free are taken, besides those the model has; and of
 * a model that is there, nothing else. */
static int64_t merge_yielding_model(struct merge *m, const struct model *model,
                                    const struct model *old)
{
    int n_old = old != NULL ? old->n_aliases : 0;
    struct model merged = old != NULL ? *old : *model;
    const char **names = calloc((size_t)n_old + (size_t)model->n_aliases + 1, sizeof *names);
    if (names == NULL)
        return fail_set(m->f, ERR_internal, NULL, "out of memory");
    for (int i = 0; i < n_old; i++)
        names[i] = old->aliases[i];
    merged.n_aliases = n_old;
    for (int i = 0; i < model->n_aliases; i++) {
        if (catalog_model(m->have, span_of(model->aliases[i])) == NULL)
            names[merged.n_aliases++] = model->aliases[i];
    }
    merged.aliases = names;
    int64_t id = merge_model(m, &merged, old);
    free(names);
    return id;
}

/* ---- endpoints and prices ---- */

static bool same_price(const struct price *a, const struct price *b)
{
    bool equal = memcmp(&a->base, &b->base, sizeof a->base) == 0 && a->n_tiers == b->n_tiers;
    for (int i = 0; equal && i < a->n_tiers; i++) {
        equal = memcmp(&a->tiers[i], &b->tiers[i], sizeof a->tiers[i]) == 0;
    }
    return equal;
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    bool equal = same(a->upstream_model, b->upstream_model) &&
                 a->context_length == b->context_length &&
                 a->max_completion_tokens == b->max_completion_tokens &&
                 a->quantization == b->quantization && a->modalities == b->modalities &&
                 a->params == b->params && a->rules == b->rules && same(a->speed, b->speed) &&
                 same(a->geo, b->geo) && same_timeouts(&a->stated_timeouts, &b->stated_timeouts) &&
                 a->n_server_tools == b->n_server_tools;
    for (int i = 0; equal && i < a->n_server_tools; i++) {
        equal = same(a->server_tools[i], b->server_tools[i]);
    }
    return equal;
}

static void bind_rates(struct sqlite3_stmt *s, int first, const struct rates *r)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (r->pusd[i] >= 0) {
            db_bind_int(s, first + i, r->pusd[i]);
        } /* else NULL: a statement comes with its bindings cleared */
    }
}

static int write_price(struct merge *m, int64_t endpoint_id, const struct price *p)
{
    struct sqlite3_stmt *s =
        db_stmt(m->db, "INSERT INTO price(endpoint_id, valid_from_ms" PRICE_COLUMNS
                       ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    db_bind_int(s, 1, endpoint_id);
    db_bind_int(s, 2, m->now_ms);
    bind_rates(s, 3, &p->base);
    if (run(m, s) != 0) {
        return -1;
    }
    int64_t id = db_last_id(m->db);
    for (int i = 0; i < p->n_tiers; i++) {
        s = db_stmt(m->db, "INSERT INTO price_tier(price_id, above_prompt_tok" PRICE_COLUMNS
                           ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
        db_bind_int(s, 1, id);
        db_bind_int(s, 2, p->tiers[i].above_prompt_tok);
        bind_rates(s, 3, &p->tiers[i].rates);
        if (run(m, s) != 0) {
            return -1;
        }
    }
    s = db_stmt(m->db, "UPDATE endpoint SET price_id = ?2 WHERE id = ?1");
    db_bind_int(s, 1, endpoint_id);
    db_bind_int(s, 2, id);
    m->n.prices_added++;
    return run(m, s);
}

static void bind_words(struct sqlite3_stmt *s, const struct endpoint *e)
{
    struct buf b;
    buf_init(&b, WORDS_TEXT_MAX);
    words_write_modalities(e->modalities, &b);
    db_bind_span(s, 8, buf_span(&b));
    buf_reset(&b);
    words_write_params(e->params, &b);
    db_bind_span(s, 9, buf_span(&b));
    buf_reset(&b);
    for (int i = 0; i < e->n_server_tools; i++) {
        buf_adds(&b, i > 0 ? " " : "");
        buf_adds(&b, e->server_tools[i]);
    }
    db_bind_span(s, 10, buf_span(&b));
    buf_reset(&b);
    words_write_rules(e->rules, &b);
    db_bind_span(s, 11, buf_span(&b));
    buf_done(&b);
}

static int64_t write_endpoint(struct merge *m, int64_t model_id, int64_t provider_id,
                              const struct endpoint *e)
{
    struct sqlite3_stmt *s = db_stmt(
        m->db,
        "INSERT INTO endpoint(model_id, provider_id, variant, upstream_model, context_length, "
        "max_completion_tokens, quantization, modalities, params, server_tools, rules, connect_ms, "
        "first_byte_ms, idle_ms, total_ms, speed, inference_geo) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) "
        "ON CONFLICT(model_id, provider_id, variant) "
        "DO UPDATE SET upstream_model = ?4, context_length = ?5, max_completion_tokens = ?6, "
        "quantization = ?7, modalities = ?8, params = ?9, server_tools = ?10, rules = ?11, "
        "connect_ms = ?12, first_byte_ms = ?13, idle_ms = ?14, total_ms = ?15, speed = ?16, "
        "inference_geo = ?17 RETURNING id");
    db_bind_int(s, 1, model_id);
    db_bind_int(s, 2, provider_id);
    db_bind_text(s, 3, e->variant != NULL ? e->variant : "");
    db_bind_text(s, 4, e->upstream_model);
    db_bind_int(s, 5, e->context_length);
    db_bind_int(s, 6, e->max_completion_tokens);
    db_bind_text(s, 7, quantization_name(e->quantization));
    bind_words(s, e);
    bind_timeouts(s, 12, &e->stated_timeouts);
    db_bind_text(s, 16, e->speed);
    db_bind_text(s, 17, e->geo);
    if (db_step(m->db, s, m->f) != 1) {
        return -1;
    }
    int64_t id = db_col_int(s, 0);
    return run(m, s) == 0 ? id : -1;
}

/* 1, or 0; -1 with m->f. */
static int was_removed(struct merge *m, int64_t model_id, int64_t provider_id,
                       const struct endpoint *e)
{
    struct sqlite3_stmt *s =
        db_stmt(m->db, "SELECT 1 FROM endpoint WHERE model_id = ?1 AND provider_id = ?2"
                       " AND variant = ?3 AND price_id IS NULL");
    db_bind_int(s, 1, model_id);
    db_bind_int(s, 2, provider_id);
    db_bind_text(s, 3, e->variant != NULL ? e->variant : "");
    int found = db_step(m->db, s, m->f);
    sqlite3_reset(s);
    return found;
}

static const struct endpoint *stored_twin(const struct model *old, const struct endpoint *e)
{
    for (int i = 0; old != NULL && i < old->n_endpoints; i++) {
        if (strcmp(old->endpoints[i]->slug, e->slug) == 0) {
            return old->endpoints[i];
        }
    }
    return NULL;
}

static void say_endpoint(struct merge *m, const struct endpoint *e, const struct endpoint *old)
{
    char now[DIFF_PRICE_MAX], subject[CATALOG_NAME_MAX + 2 * CATALOG_SLUG_MAX + 32];
    struct buf diff;
    if (old == NULL) {
        diff_price_words(&e->price, now);
        m->n.added++;
        say(m, "added %s at %s: %s", e->model->slug, e->slug, now);
        return;
    }
    m->n.changed++;
    buf_init(&diff, DIFF_TEXT_MAX);
    snprintf(subject, sizeof subject, "changed %s at %s", e->model->slug, e->slug);
    diff_endpoint(old, e, &diff);
    say_changed(m, subject, &diff);
}

static void keep_rates(struct rates *r, const struct rates *old)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        if (r->pusd[i] < 0)
            r->pusd[i] = old->pusd[i];
    }
}

/* No foreign list states every price (models.dev has no 1-hour cache write, for one): what it
 * is silent about is not free. */
static void keep_prices(struct price *p, const struct price *old)
{
    keep_rates(&p->base, &old->base);
    for (int i = 0; i < old->n_tiers; i++) {
        struct rates unknown = rates_none();
        int64_t above = old->tiers[i].above_prompt_tok;
        price_add_tier(p, above, &unknown); /* finds it, or makes it where there is room */
        for (int k = 0; k < p->n_tiers; k++) {
            if (p->tiers[k].above_prompt_tok == above)
                keep_rates(&p->tiers[k].rates, &old->tiers[i].rates);
        }
    }
}

/* A foreign list knows prices and limits; what is sent to the provider, and what it does not
 * know, stays as it is. */
static struct endpoint yielding_endpoint(const struct endpoint *e, const struct endpoint *old)
{
    struct endpoint merged = *e;
    merged.upstream_model = old->upstream_model;
    merged.params |= old->params;
    merged.rules |= old->rules;
    merged.speed = old->speed;
    merged.geo = old->geo;
    merged.stated_timeouts = old->stated_timeouts;
    merged.modalities |= old->modalities;
    if (merged.quantization == QUANT_unknown)
        merged.quantization = old->quantization;
    if (merged.context_length == 0)
        merged.context_length = old->context_length;
    if (merged.max_completion_tokens == 0)
        merged.max_completion_tokens = old->max_completion_tokens;
    if (old->n_server_tools > 0) {
        merged.n_server_tools = old->n_server_tools;
        memcpy(merged.server_tools, old->server_tools, sizeof merged.server_tools);
    }
    if (!price_is_routable(&e->price))
        merged.price = old->price;
    else
        keep_prices(&merged.price, &old->price);
    return merged;
}

static int merge_endpoint(struct merge *m, int64_t model_id, int64_t provider_id,
                          const struct endpoint *incoming, const struct model *old_model)
{
    const struct endpoint *old = stored_twin(old_model, incoming);
    int removed = m->yields && old == NULL ? was_removed(m, model_id, provider_id, incoming) : 0;
    if (removed != 0) {
        if (removed > 0)
            say(m, "left out %s at %s: it was removed", incoming->model->slug, incoming->slug);
        return removed > 0 ? 0 : -1;
    }
    struct endpoint merged =
        m->yields && old != NULL ? yielding_endpoint(incoming, old) : *incoming;
    bool facts_same = old != NULL && same_endpoint(old, &merged);
    bool price_same = old != NULL && same_price(&old->price, &merged.price);
    if (facts_same && price_same) {
        m->n.unchanged++;
        return 0;
    }
    say_endpoint(m, &merged, old);
    int64_t id = facts_same ? old->id : write_endpoint(m, model_id, provider_id, &merged);
    if (id < 0)
        return -1;
    return price_same ? 0 : write_price(m, id, &merged.price);
}

static int merge_model_row(struct merge *m, const struct model *model, const int64_t *provider_ids)
{
    /* By id or alias: a foreign id that is an alias here means the model that has it. */
    const struct model *old = catalog_model(m->have, span_of(model->slug));
    if (old != NULL && strcmp(old->slug, model->slug) != 0 && !m->yields)
        old = NULL; /* it is an alias of another: claim_id's business */
    int64_t id = m->yields ? merge_yielding_model(m, model, old) : merge_model(m, model, old);
    if (id < 0)
        return -1;
    for (int k = 0; k < model->n_endpoints; k++) {
        const struct endpoint *e = model->endpoints[k];
        if (merge_endpoint(m, id, provider_ids[e->provider->index], e, old) != 0)
            return -1;
    }
    return 0;
}

static int merge_models(struct merge *m, const struct catalog *incoming,
                        const int64_t *provider_ids)
{
    for (int i = 0; i < incoming->n_models; i++) {
        if (merge_model_row(m, &incoming->models[i], provider_ids) != 0)
            return -1;
    }
    return 0;
}

static int merge_all(struct merge *m, const struct catalog *incoming)
{
    int64_t *ids = calloc((size_t)incoming->n_providers + 1, sizeof *ids);
    if (ids == NULL) {
        return fail_set(m->f, ERR_internal, NULL, "out of memory");
    }
    int ok = 0;
    for (int i = 0; ok == 0 && i < incoming->n_providers; i++) {
        ids[i] = merge_provider(m, &incoming->providers[i]);
        ok = ids[i] < 0 ? -1 : 0;
    }
    ok = ok == 0 ? merge_models(m, incoming, ids) : -1;
    free(ids);
    return ok;
}

static int bump_version(struct db *db, struct fail *reterr)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "UPDATE catalog_meta SET version = version + 1 WHERE id = 1");
    return db_step(db, s, reterr) < 0 ? -1 : 0;
}

static bool has_changed(const struct catalog_changes *n)
{
    return n->added + n->changed + n->providers_added + n->providers_changed + n->models_added +
               n->models_changed >
           0;
}

int catalog_db_merge(struct db *db, const struct catalog *incoming,
                     void (*change)(void *ctx, const char *line), void *ctx,
                     struct catalog_changes *ret, struct fail *reterr)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct merge m = {.db = db,
                      .change = change,
                      .ctx = ctx,
                      .f = reterr,
                      .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    struct catalog *have = catalog_db_load(db, NULL, NULL, reterr);
    if (have == NULL) {
        return -1;
    }
    m.have = have;
    m.incoming = incoming;
    m.yields = incoming->yields;
    int ok = merge_all(&m, incoming);
    if (ok == 0 && has_changed(&m.n))
        ok = bump_version(db, reterr);
    catalog_unref(have);
    if (ok == 0) {
        *ret = m.n;
    }
    return ok;
}

/* ---- removing ---- */

int catalog_db_remove(struct db *db, int64_t endpoint_id, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "UPDATE endpoint SET price_id = NULL WHERE id = ?1");
    db_bind_int(s, 1, endpoint_id);
    return db_step(db, s, reterr) < 0 ? -1 : bump_version(db, reterr);
}
