/* The catalog's tables: loading a snapshot. Merging an import is catalog_merge_db.c. */
#define _GNU_SOURCE
#include "router/catalog_db.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "router/catalog_words.h"

enum { TEXT_COLUMN_MAX = 4096 };

/* Column lists in PRICE_ITEMS order, so that a loop reads them. */
#define I(name, scale) ", " #name
#define PRICE_COLUMNS PRICE_ITEMS(I)

static void read_rates(struct sqlite3_stmt *s, int first, struct rates *r)
{
    for (int i = 0; i < PRICE_ITEM_COUNT; i++) {
        r->pusd[i] = db_col_null(s, first + i) ? -1 : db_col_int(s, first + i);
    }
}

static int read_tiers(struct db *db, int64_t price_id, struct price *p, struct fail *f)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT above_prompt_tok" PRICE_COLUMNS
                                         " FROM price_tier WHERE price_id = ?1 ORDER BY 1");
    db_bind_int(s, 1, price_id);
    int row = 0;
    while ((row = db_step(db, s, f)) == 1 && p->n_tiers < PRICE_TIERS_MAX) {
        p->tiers[p->n_tiers].above_prompt_tok = db_col_int(s, 0);
        read_rates(s, 1, &p->tiers[p->n_tiers++].rates);
    }
    sqlite3_reset(s);
    return row < 0 ? -1 : 0;
}

int catalog_db_price(struct db *db, int64_t price_version, struct price *ret, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT id" PRICE_COLUMNS " FROM price WHERE id = ?1");
    struct price p = {.n_tiers = 0};
    db_bind_int(s, 1, price_version);
    int row = db_step(db, s, reterr);
    if (row != 1) {
        return row < 0 ? -1
                       : fail_set(reterr, ERR_not_found, NULL, "there is no such price version");
    }
    read_rates(s, 1, &p.base);
    sqlite3_reset(s);
    if (read_tiers(db, price_version, &p, reterr) != 0) {
        return -1;
    }
    *ret = p;
    return 0;
}

const struct price *catalog_db_pinned(struct db *db, struct price_pins *pins, int64_t version,
                                      int *ret_rc, struct fail *reterr)
{
    size_t slot = (uint64_t)version % PRICE_PINS;
    struct fail why;
    *ret_rc = 0;
    if (version != 0 && pins->at[slot].version == version)
        return &pins->at[slot].price;
    pins->at[slot].version = 0;
    if (catalog_db_price(db, version, &pins->at[slot].price, &why) == 0) {
        pins->at[slot].version = version;
        return &pins->at[slot].price;
    }
    if (why.code != ERR_not_found)
        *ret_rc = fail_set(reterr, why.code, NULL, "%s", why.text);
    return NULL;
}

/* ---- providers ---- */

static int read_credentials(struct db *db, struct provider_spec *p, struct buf *text,
                            struct fail *f)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT kind, ref FROM credential WHERE provider_id = ?1 ORDER BY n");
    size_t at[CATALOG_CREDENTIALS_MAX];
    int row = 0;
    db_bind_int(s, 1, p->id);
    while ((row = db_step(db, s, f)) == 1 && p->n_credentials < CATALOG_CREDENTIALS_MAX) {
        p->credentials[p->n_credentials].kind = credential_kind_parse(db_col_text(s, 0));
        at[p->n_credentials++] = text->len;
        buf_adds(text, db_col_text(s, 1));
        buf_addc(text, '\0');
    }
    sqlite3_reset(s); /* the loop may have stopped at its limit */
    for (int i = 0; i < p->n_credentials; i++) {
        p->credentials[i].ref = text->ptr + at[i];
    }
    return row < 0 ? -1 : 0;
}

static int read_headers(struct db *db, int64_t provider_id, struct buf *text,
                        const char *list[2 * CATALOG_HEADERS_MAX + 1], struct fail *f)
{
    struct sqlite3_stmt *s =
        db_stmt(db, "SELECT name, value FROM provider_header WHERE provider_id = ?1 ORDER BY n");
    size_t at[2 * CATALOG_HEADERS_MAX];
    int n = 0, row = 0;
    db_bind_int(s, 1, provider_id);
    while ((row = db_step(db, s, f)) == 1 && n < 2 * CATALOG_HEADERS_MAX) {
        for (int k = 0; k < 2; k++) {
            at[n++] = text->len;
            buf_adds(text, db_col_text(s, k));
            buf_addc(text, '\0');
        }
    }
    sqlite3_reset(s);
    for (int i = 0; i < n; i++) {
        list[i] = text->ptr + at[i];
    }
    list[n] = NULL;
    return row < 0 ? -1 : 0;
}

static int load_provider(struct db *db, struct sqlite3_stmt *s, struct catalog_builder *b,
                         struct fail *f)
{
    struct buf refs, headers;
    const char *list[2 * CATALOG_HEADERS_MAX + 1];
    buf_init(&refs, CATALOG_CREDENTIALS_MAX * TEXT_COLUMN_MAX);
    buf_init(&headers, 2 * CATALOG_HEADERS_MAX * TEXT_COLUMN_MAX);
    struct provider_spec p = {
        .id = db_col_int(s, 0),
        .slug = db_col_text(s, 1),
        .name = db_col_text(s, 2),
        .protocol = db_col_text(s, 3),
        .base_url = db_col_text(s, 4),
        .region = db_col_null(s, 5) ? NULL : db_col_text(s, 5),
        .auth_type = auth_type_parse(db_col_text(s, 6)),
        .auth_header_name = db_col_null(s, 7) ? NULL : db_col_text(s, 7),
        .collects = db_col_int(s, 8) != 0,
        .zdr = db_col_int(s, 9) != 0,
        .cancel_stops_billing = db_col_int(s, 10) != 0,
        .timeouts = {db_col_int(s, 11), db_col_int(s, 12), db_col_int(s, 13), db_col_int(s, 14)},
        .headers = list,
    };
    int ok = read_credentials(db, &p, &refs, f) == 0 &&
                     read_headers(db, p.id, &headers, list, f) == 0 &&
                     catalog_add_provider(b, &p, f) == 0
                 ? 0
                 : -1;
    buf_done(&refs);
    buf_done(&headers);
    return ok;
}

static int load_providers(struct db *db, struct catalog_builder *b, struct fail *f)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT id, slug, name, protocol, base_url, region, auth, auth_header, collects, "
            "zdr, cancel_stops_billing, connect_ms, first_byte_ms, idle_ms, total_ms "
            "FROM provider ORDER BY slug");
    int row = 0;
    while ((row = db_step(db, s, f)) == 1) {
        if (load_provider(db, s, b, f) != 0) {
            sqlite3_reset(s);
            return -1;
        }
    }
    return row;
}

/* ---- models and endpoints: read side by side, both ascending by model ---- */

static int load_endpoint(struct db *db, struct sqlite3_stmt *s, struct catalog_builder *b,
                         struct fail *f)
{
    struct word_list tools;
    struct endpoint_spec e = {
        .id = db_col_int(s, 1),
        .provider = db_col_text(s, 2),
        .variant = db_col_text(s, 3)[0] != '\0' ? db_col_text(s, 3) : NULL,
        .upstream_model = db_col_text(s, 4),
        .context_length = db_col_int(s, 5),
        .max_completion_tokens = db_col_int(s, 6),
        .modalities = words_modalities(span_of(db_col_text(s, 8))),
        .params = words_params(span_of(db_col_text(s, 9))),
        .price_version = db_col_int(s, 11),
        .rules = words_rules(span_of(db_col_text(s, 13))),
        .timeouts = {db_col_int(s, 14), db_col_int(s, 15), db_col_int(s, 16), db_col_int(s, 17)},
        .speed = db_col_text(s, 18),
        .geo = db_col_text(s, 19),
    };
    quantization_parse(span_of(db_col_text(s, 7)), &e.quantization);
    words_split(span_of(db_col_text(s, 10)), &tools);
    e.n_server_tools = tools.n < CATALOG_SERVER_TOOLS_MAX ? tools.n : CATALOG_SERVER_TOOLS_MAX;
    for (int i = 0; i < e.n_server_tools; i++) {
        e.server_tools[i] = tools.word[i];
    }
    read_rates(s, 20, &e.price.base);
    if (db_col_int(s, 12) > 0 && read_tiers(db, e.price_version, &e.price, f) != 0) {
        return -1;
    }
    return catalog_add_endpoint(b, &e, f);
}

static struct sqlite3_stmt *endpoints_by_model(struct db *db)
{
    return db_stmt(
        db, "SELECT e.model_id, e.id, p.slug, e.variant, e.upstream_model, e.context_length, "
            "e.max_completion_tokens, e.quantization, e.modalities, e.params, e.server_tools, "
            "e.price_id, (SELECT count(*) FROM price_tier t WHERE t.price_id = "
            "e.price_id), e.rules, e.connect_ms, e.first_byte_ms, e.idle_ms, "
            "e.total_ms, e.speed, e.inference_geo" PRICE_COLUMNS
            " FROM endpoint e JOIN provider p ON p.id = e.provider_id "
            "JOIN price ON price.id = e.price_id ORDER BY e.model_id, e.id");
}

/* The aliases of the model at hand, from a statement that has them in the order of the models. */
struct aliases {
    struct sqlite3_stmt *rows;
    int more; /* as db_step: 1 = rows stands at a row */
    struct buf text;
    const char **list;
    int cap;
};

static int aliases_list(struct aliases *a, struct model_spec *m, struct fail *f)
{
    if (a->text.failed)
        return fail_set(f, ERR_internal, NULL, "out of memory");
    if (m->n_aliases > a->cap) {
        int cap = m->n_aliases * 2;
        const char **bigger = realloc(a->list, (size_t)cap * sizeof *bigger);
        if (bigger == NULL)
            return fail_set(f, ERR_internal, NULL, "out of memory");
        a->list = bigger;
        a->cap = cap;
    }
    const char *at = a->text.ptr;
    for (int i = 0; i < m->n_aliases; i++, at += strlen(at) + 1)
        a->list[i] = at;
    m->aliases = a->list;
    return 0;
}

static int load_aliases(struct db *db, struct aliases *a, struct model_spec *m, struct fail *f)
{
    buf_reset(&a->text);
    while (a->more == 1 && db_col_int(a->rows, 0) == m->id) {
        m->n_aliases++;
        buf_adds(&a->text, db_col_text(a->rows, 1));
        buf_addc(&a->text, '\0');
        a->more = db_step(db, a->rows, f);
    }
    return a->more < 0 ? -1 : aliases_list(a, m, f);
}

static int load_model_rows(struct db *db, struct catalog_builder *b, struct sqlite3_stmt *models,
                           struct sqlite3_stmt *endpoints, struct aliases *a, struct fail *f)
{
    a->more = db_step(db, a->rows, f);
    int more = db_step(db, endpoints, f), row = 0;
    while (more >= 0 && a->more >= 0 && (row = db_step(db, models, f)) == 1) {
        struct model_spec m = {
            .id = db_col_int(models, 0),
            .slug = db_col_text(models, 1),
            .name = db_col_text(models, 2),
            .distillable = db_col_int(models, 3) != 0,
            .created_ms = db_col_int(models, 4),
            .timeouts = {db_col_int(models, 5), db_col_int(models, 6), db_col_int(models, 7),
                         db_col_int(models, 8)},
        };
        if (load_aliases(db, a, &m, f) != 0 || catalog_add_model(b, &m, f) != 0)
            return -1;
        while (more == 1 && db_col_int(endpoints, 0) == m.id) {
            if (load_endpoint(db, endpoints, b, f) != 0)
                return -1;
            more = db_step(db, endpoints, f);
        }
    }
    return more < 0 || a->more < 0 || row < 0 ? -1 : 0;
}

static int load_models(struct db *db, struct catalog_builder *b, struct fail *f)
{
    struct aliases a = {
        .rows = db_stmt(db, "SELECT model_id, name FROM model_alias ORDER BY model_id, n")};
    struct sqlite3_stmt *models =
        db_stmt(db, "SELECT id, slug, name, distillable, created_ms, connect_ms, first_byte_ms, "
                    "idle_ms, total_ms FROM model ORDER BY id");
    struct sqlite3_stmt *endpoints = endpoints_by_model(db);
    buf_init(&a.text, CATALOG_FILE_MAX);
    int ok = load_model_rows(db, b, models, endpoints, &a, f);
    /* After a failure they stand in the middle and would keep this connection's view. */
    sqlite3_reset(models);
    sqlite3_reset(endpoints);
    sqlite3_reset(a.rows);
    free(a.list);
    buf_done(&a.text);
    return ok;
}

int64_t catalog_db_version(struct db *db)
{
    struct sqlite3_stmt *s = db_stmt(db, "SELECT version FROM catalog_meta WHERE id = 1");
    int64_t version = db_step(db, s, NULL) == 1 ? db_col_int(s, 0) : -1;
    sqlite3_reset(s); /* an unfinished statement would keep this connection's view of the file */
    return version;
}

static struct catalog *load(struct db *db, secret_lookup lookup, void *ctx, struct fail *f)
{
    struct catalog_builder *b = catalog_builder_new();
    struct catalog *c = NULL;
    if (b == NULL) {
        fail_set(f, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    int64_t version = catalog_db_version(db);
    if (load_providers(db, b, f) == 0 && load_models(db, b, f) == 0) {
        c = catalog_freeze(b, version, lookup, ctx);
        if (c == NULL)
            fail_set(f, ERR_internal, NULL, "out of memory");
    }
    catalog_builder_free(b);
    return c;
}

/* In one transaction, the caller's or its own: an import between two statements would leave
 * endpoints whose provider was not read. */
struct catalog *catalog_db_load(struct db *db, secret_lookup lookup, void *ctx, struct fail *reterr)
{
    bool own = sqlite3_get_autocommit(db_handle(db)) != 0;
    if (own && db_begin(db, reterr) != 0)
        return NULL;
    struct catalog *c = load(db, lookup, ctx, reterr);
    if (own)
        db_rollback(db); /* nothing was written */
    return c;
}
