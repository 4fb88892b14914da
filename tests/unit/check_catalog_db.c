/* The catalog's tables: a file merged and loaded, merged again, changed, refused; lists that
 * yield to what is there; providers that only the database knows. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/catalog_db.h"
#include "tests/unit/ledger_world.h"

Suite *catalog_db_suite(void);

enum { LINES_MAX = 16384 };

static struct db *db;
static struct fail why;
static struct catalog_changes n;
static char lines[LINES_MAX]; /* what the last merge said, one per line */

static void setup(void)
{
    db = db_open(":memory:", DB_OWN, &why);
    ck_assert_msg(db != NULL, "%s", why.text);
}

static void teardown(void)
{
    db_close(db);
}

static void take_line(void *ctx, const char *line)
{
    (void)ctx;
    size_t at = strlen(lines);
    snprintf(lines + at, sizeof(lines) - at, "%s\n", line);
}

static struct catalog *parse(struct span text, enum catalog_format format)
{
    struct catalog_builder *b = catalog_builder_new();
    int rc = catalog_file_read(text, format, b, NULL, NULL, &why);
    ck_assert_msg(rc == 0, "%s", why.text);
    struct catalog *c = catalog_freeze(b, 0, NULL, NULL);
    catalog_builder_free(b);
    return c;
}

/* As an import does it: all of the file, or nothing. */
static int import(const char *text, enum catalog_format format)
{
    struct catalog *c = parse(span_of(text), format);
    lines[0] = '\0';
    n = (struct catalog_changes){0};
    ck_assert_int_eq(db_begin(db, &why), 0);
    int rc = catalog_db_merge(db, c, take_line, NULL, &n, &why);
    if (rc == 0)
        ck_assert_int_eq(db_commit(db, &why), 0);
    else
        db_rollback(db);
    catalog_unref(c);
    return rc;
}

static void imported(const char *text, enum catalog_format format)
{
    ck_assert_msg(import(text, format) == 0, "%s", why.text);
}

static int n_changes(void)
{
    return n.added + n.changed + n.providers_added + n.providers_changed + n.models_added +
           n.models_changed + n.prices_added;
}

static struct catalog *load(void)
{
    struct catalog *c = catalog_db_load(db, NULL, NULL, &why);
    ck_assert_msg(c != NULL, "%s", why.text);
    return c;
}

static char *written(const struct catalog *c)
{
    struct buf out;
    buf_init(&out, CATALOG_FILE_MAX);
    ck_assert_int_eq(catalog_file_write(c, &out), 0);
    return out.ptr;
}

#define PROVIDERS                                                                                  \
    "\"providers\":[{\"slug\":\"acme\",\"name\":\"Acme\",\"protocol\":\"anthropic\","              \
    "\"base_url\":\"https://acme.example\",\"credential\":[{\"env\":\"A\"},{\"file\":\"/b\"}],"    \
    "\"zdr\":true,\"region\":\"eu\",\"auth\":{\"header\":\"X-Key\"},\"headers\":{\"X-A\":\"1\","   \
    "\"X-B\":\"2\"},\"timeouts\":{\"idle_ms\":5}},"                                                \
    "{\"slug\":\"bolt\",\"protocol\":\"openai\",\"base_url\":\"\"}]"
#define M(prompt, aliases)                                                                         \
    "{\"id\":\"a/m\",\"name\":\"M\",\"aliases\":[" aliases "],\"created\":\"2026-01-02\","         \
    "\"timeouts\":{\"idle_ms\":70,\"total_ms\":90},\"endpoints\":[{\"provider\":\"acme\","         \
    "\"upstream_model\":\"m-1\",\"context_length\":1000,"                                          \
    "\"quantization\":\"fp8\",\"speed\":\"fast\",\"inference_geo\":\"us\","                        \
    "\"server_tools\":[\"web_search\",\"code\"],\"timeouts\":{"                                    \
    "\"connect_ms\":20,\"first_byte_ms\":30},\"pricing\":{\"prompt\":"                             \
    "\"" prompt "\",\"completion\":\"2\",\"tiers\":[{\"above_prompt_tokens\":10,\"prompt\":"       \
    "\"3\"},{\"above_prompt_tokens\":20,\"completion\":\"4\"}]}},"                                 \
    "{\"provider\":\"bolt\",\"variant\":\"flex\",\"upstream_model\":\"m-2\"}]}"
#define OTHER                                                                                      \
    "{\"id\":\"b/n\",\"aliases\":[\"n\"],\"endpoints\":[{\"provider\":\"bolt\","                   \
    "\"upstream_model\":\"n-1\",\"pricing\":{\"prompt\":\"0\",\"completion\":\"0\"}}]}"
#define FILE_WITH(prompt, aliases) "{" PROVIDERS ",\"models\":[" M(prompt, aliases) "," OTHER "]}"

START_TEST(what_was_merged_is_loaded)
{
    const char *text = FILE_WITH("1", "\"m\",\"mm\"");
    imported(text, CATALOG_WAYFARE);
    ck_assert_int_eq(n.added, 3);
    ck_assert_int_eq(n.providers_added, 2);
    ck_assert_int_eq(n.models_added, 2);
    ck_assert_int_eq(n.prices_added, 3);
    struct catalog *file = parse(span_of(text), CATALOG_WAYFARE), *loaded = load();
    char *a = written(file), *b = written(loaded);
    ck_assert_str_eq(a, b);
    ck_assert_int_eq(loaded->version, 1);
    const struct timeouts *t = &catalog_model(loaded, SPAN("a/m"))->endpoints[0]->timeouts;
    ck_assert(t->connect_ms == 20 && t->first_byte_ms == 30 && t->idle_ms == 70);
    ck_assert_int_eq(t->total_ms, 90);
    const struct endpoint *fast = catalog_model(loaded, SPAN("a/m"))->endpoints[0];
    ck_assert(strcmp(fast->speed, "fast") == 0 && strcmp(fast->geo, "us") == 0);
    ck_assert_str_eq(catalog_model(loaded, SPAN("b/n"))->endpoints[0]->speed, "");
    for (int i = 0; i < loaded->n_endpoints; i++) {
        ck_assert_int_gt(loaded->endpoints[i].id, 0);
        ck_assert_int_gt(loaded->endpoints[i].price_version, 0);
    }
    free(a);
    free(b);
    catalog_unref(file);
    catalog_unref(loaded);
}
END_TEST

START_TEST(the_same_file_changes_nothing)
{
    for (int i = 0; i < 3; i++) {
        imported(FILE_WITH("1", "\"m\",\"a/m\",\"m\""), CATALOG_WAYFARE);
        ck_assert_int_eq(catalog_db_version(db), 1);
        ck_assert(i == 0 || (n_changes() == 0 && n.unchanged == 3 && lines[0] == '\0'));
    }
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM price"), 3);
}
END_TEST

START_TEST(the_builtin_catalog_is_idempotent)
{
    struct catalog *c = parse(catalog_builtin(), CATALOG_WAYFARE);
    char *text = written(c);
    imported(text, CATALOG_WAYFARE);
    ck_assert_int_eq(n.added, c->n_endpoints);
    imported(text, CATALOG_WAYFARE);
    ck_assert_int_eq(n_changes(), 0);
    free(text);
    catalog_unref(c);
}
END_TEST

static int64_t price_in_force(int64_t *ret_endpoint)
{
    struct catalog *c = load();
    const struct endpoint *e = catalog_model(c, SPAN("a/m"))->endpoints[0];
    int64_t version = e->price_version;
    *ret_endpoint = e->id;
    catalog_unref(c);
    return version;
}

START_TEST(a_changed_price_is_a_new_version)
{
    int64_t endpoint = 0, same = 0;
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    int64_t old = price_in_force(&endpoint);
    imported(FILE_WITH("1.5", "\"m\""), CATALOG_WAYFARE);
    ck_assert_int_eq(n.changed, 1);
    ck_assert_int_eq(n.prices_added, 1);
    ck_assert_int_eq(n.unchanged, 2);
    ck_assert_str_eq(lines, "changed a/m at acme: $1 / $2 per million -> $1.5 / $2 per million\n");
    ck_assert_int_eq(catalog_db_version(db), 2);
    int64_t now = price_in_force(&same);
    ck_assert_int_eq(same, endpoint);
    ck_assert_int_ne(now, old);
    struct price p;
    ck_assert_int_eq(catalog_db_price(db, old, &p, &why), 0);
    ck_assert_int_eq(p.base.pusd[PRICE_prompt], 1000000);
    ck_assert_int_eq(p.base.pusd[PRICE_cache_read], -1);
    ck_assert_int_eq(p.n_tiers, 2);
    ck_assert_int_eq(p.tiers[0].above_prompt_tok, 10);
    ck_assert_int_eq(p.tiers[0].rates.pusd[PRICE_prompt], 3000000);
    ck_assert_int_eq(p.tiers[0].rates.pusd[PRICE_completion], -1);
    ck_assert_int_eq(p.tiers[1].rates.pusd[PRICE_completion], 4000000);
    ck_assert_int_eq(catalog_db_price(db, now, &p, &why), 0);
    ck_assert_int_eq(p.base.pusd[PRICE_prompt], 1500000);
    /* Back again is a version of its own too: what was in force when stays readable. */
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    ck_assert_int_gt(price_in_force(&same), now);
}
END_TEST

START_TEST(an_unknown_price_version_is_not_found)
{
    struct price p = {.n_tiers = 77};
    ck_assert_int_eq(catalog_db_price(db, 12345, &p, &why), -1);
    ck_assert_int_eq(why.code, ERR_not_found);
    ck_assert_int_eq(p.n_tiers, 77);
}
END_TEST

START_TEST(prices_cannot_be_rewritten)
{
    imported(FILE_WITH("1", ""), CATALOG_WAYFARE);
    static const char *const tries[] = {"UPDATE price SET prompt = 1", "DELETE FROM price",
                                        "UPDATE price_tier SET prompt = 1",
                                        "DELETE FROM price_tier"};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        ck_assert_int_eq(db_step(db, db_stmt(db, tries[i]), &why), -1);
}
END_TEST

START_TEST(what_a_file_does_not_name_stays)
{
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    imported("{" PROVIDERS ",\"models\":[{\"id\":\"a/m\",\"name\":\"M\",\"aliases\":[\"m\"],"
             "\"created\":\"2026-01-02\",\"timeouts\":{\"idle_ms\":70,\"total_ms\":90},"
             "\"endpoints\":[{\"provider\":\"bolt\",\"upstream_model\":\"m-3\"}]}]}",
             CATALOG_WAYFARE);
    ck_assert_int_eq(n.added, 1);
    ck_assert_int_eq(n_changes(), 2); /* the endpoint and its price */
    struct catalog *c = load();
    ck_assert_int_eq(catalog_model(c, SPAN("m"))->n_endpoints, 3);
    ck_assert_ptr_nonnull(catalog_model(c, SPAN("n")));
    catalog_unref(c);
}
END_TEST

START_TEST(facts_change_without_a_new_price)
{
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    imported("{\"models\":[{\"id\":\"b/n\",\"name\":\"N\",\"aliases\":[\"nn\"],\"endpoints\":[{"
             "\"provider\":\"bolt\",\"upstream_model\":\"n-2\",\"pricing\":{\"prompt\":\"0\","
             "\"completion\":\"0\"}}]}]}",
             CATALOG_WAYFARE);
    ck_assert_int_eq(n.changed, 1);
    ck_assert_int_eq(n.models_changed, 1);
    ck_assert_int_eq(n.prices_added, 0);
    ck_assert_str_eq(lines, "changed model b/n: name b/n -> N, also called nn\n"
                            "the name n is taken from b/n\n"
                            "changed b/n at bolt: upstream_model n-1 -> n-2\n");
    struct catalog *c = load();
    ck_assert_ptr_null(catalog_model(c, SPAN("n")));
    ck_assert_str_eq(catalog_model(c, SPAN("nn"))->endpoints[0]->upstream_model, "n-2");
    catalog_unref(c);
}
END_TEST

/* What the prices are for is no price, but nothing is billed at them that is something else. */
START_TEST(terms_change_without_a_new_price)
{
#define N(more)                                                                                    \
    "{\"models\":[{\"id\":\"b/n\",\"aliases\":[\"n\"],\"endpoints\":[{\"provider\":\"bolt\","      \
    "\"upstream_model\":\"n-1\"" more ",\"pricing\":{\"prompt\":\"0\",\"completion\":\"0\"}}]}]}"
    static const struct {
        const char *text, *speed, *geo;
    } steps[] = {
        {N(",\"speed\":\"fast\""), "fast", ""},
        {N(",\"speed\":\"fast\",\"inference_geo\":\"us\""), "fast", "us"},
        {N(""), "", ""},
    };
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        imported(steps[i].text, CATALOG_WAYFARE);
        ck_assert_int_eq(n.changed, 1);
        ck_assert_int_eq(n.prices_added, 0);
        struct catalog *c = load();
        const struct endpoint *e = catalog_model(c, SPAN("n"))->endpoints[0];
        ck_assert(strcmp(e->speed, steps[i].speed) == 0 && strcmp(e->geo, steps[i].geo) == 0);
        catalog_unref(c);
    }
#undef N
}
END_TEST

START_TEST(a_provider_may_come_from_the_database)
{
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    imported("{\"models\":[{\"id\":\"c/o\",\"endpoints\":[{\"provider\":\"acme\","
             "\"upstream_model\":\"o\"}]}]}",
             CATALOG_WAYFARE);
    ck_assert_int_eq(n.added, 1);
    ck_assert_int_eq(n.providers_added + n.providers_changed, 0);
    struct catalog *c = load();
    const struct provider_row *p = catalog_model(c, SPAN("c/o"))->endpoints[0]->provider;
    ck_assert_str_eq(p->base_url, "https://acme.example");
    ck_assert(!p->elsewhere && p->zdr && p->n_credentials == 2);
    catalog_unref(c);
    ck_assert_int_eq(import("{\"models\":[{\"id\":\"d/p\",\"endpoints\":[{\"provider\":\"nobody\","
                            "\"upstream_model\":\"p\"}]}]}",
                            CATALOG_WAYFARE),
                     -1);
    ck_assert_int_eq(why.code, ERR_bad_request);
    ck_assert_str_eq(why.text, "models[0].endpoints[0].provider: the provider \"nobody\" is "
                               "neither in this file nor in the database");
    ck_assert_int_eq(catalog_db_version(db), 2);
}
END_TEST

START_TEST(an_id_is_not_taken_from_its_model)
{
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    ck_assert_int_eq(import("{\"models\":[{\"id\":\"x\",\"aliases\":[\"a/m\"]}]}", CATALOG_WAYFARE),
                     -1);
    ck_assert_int_eq(why.code, ERR_bad_request);
    ck_assert_msg(strstr(why.text, "belongs to \"a/m\"") != NULL, "%s", why.text);
    ck_assert_int_eq(catalog_db_version(db), 1);
    ck_assert_int_eq(world_int(db, "SELECT count(*) FROM model"), 2);
}
END_TEST

static const char *owner_of(const char *name)
{
    static char slug[CATALOG_NAME_MAX];
    struct catalog *c = catalog_db_load(db, NULL, NULL, &why);
    const struct model *m = catalog_model(c, span_of(name));
    snprintf(slug, sizeof slug, "%s", m != NULL ? m->slug : "nobody");
    catalog_unref(c);
    return slug;
}

START_TEST(an_alias_goes_to_the_file_that_claims_it)
{
    imported(FILE_WITH("1", "\"m\""), CATALOG_WAYFARE);
    ck_assert_str_eq(owner_of("m"), "a/m");
    imported("{\"models\":[{\"id\":\"x\",\"aliases\":[\"m\"]}]}", CATALOG_WAYFARE);
    ck_assert_str_eq(owner_of("m"), "x");
    ck_assert_str_eq(owner_of("a/m"), "a/m");
}
END_TEST

/* It would take the name away, and the file that it comes from could not be imported again. */
START_TEST(an_alias_is_no_id_of_a_new_model)
{
    const char *first = FILE_WITH("1", "\"m\",\"mm\"");
    imported(first, CATALOG_WAYFARE);
    ck_assert_int_eq(import("{\"models\":[{\"id\":\"m\"}]}", CATALOG_WAYFARE), -1);
    ck_assert_int_eq(why.code, ERR_bad_request);
    ck_assert_str_eq(why.text,
                     "the model id \"m\" is an alias of \"a/m\" in this database: take it "
                     "out of that model's aliases first (in the same file will do), or "
                     "choose another id");
    ck_assert_str_eq(owner_of("m"), "a/m");
    imported(first, CATALOG_WAYFARE);
    ck_assert_int_eq(n_changes(), 0);
    /* Another model that is restated is not the one that has the name. */
    ck_assert_int_eq(import("{\"models\":[{\"id\":\"m\"},{\"id\":\"b/n\"}]}", CATALOG_WAYFARE), -1);
    /* In either order of the ids. */
    static const char *const both[] = {
        "{\"models\":[{\"id\":\"m\"},{\"id\":\"a/m\",\"aliases\":[\"mm\"]}]}",
        "{\"models\":[{\"id\":\"a/m\"},{\"id\":\"Mm\"},{\"id\":\"mm\"}]}",
    };
    imported(both[0], CATALOG_WAYFARE);
    ck_assert_str_eq(owner_of("m"), "m");
    ck_assert_str_eq(owner_of("mm"), "a/m");
    ck_assert_ptr_nonnull(strstr(lines, "moved the name m from a/m to m\n"));
    imported(both[1], CATALOG_WAYFARE);
    ck_assert_str_eq(owner_of("mm"), "mm");
    imported(both[1], CATALOG_WAYFARE);
    ck_assert_int_eq(n_changes(), 0);
    /* Taken out first, in a file of its own. */
    imported("{\"models\":[{\"id\":\"b/n\"}]}", CATALOG_WAYFARE);
    imported("{\"models\":[{\"id\":\"n\"}]}", CATALOG_WAYFARE);
    ck_assert_str_eq(owner_of("n"), "n");
}
END_TEST

/* A foreign list means the model that has the name. */
START_TEST(a_foreign_id_that_is_an_alias_yields)
{
    imported("{\"providers\":[{\"slug\":\"openai\",\"protocol\":\"openai\",\"base_url\":"
             "\"https://o\"}],\"models\":[{\"id\":\"mine\",\"aliases\":[\"openai/m\"]}]}",
             CATALOG_WAYFARE);
    imported("{\"openai\":{\"id\":\"openai\",\"models\":{\"m\":{\"cost\":{\"input\":7,\"output\":"
             "8}}}}}",
             CATALOG_MODELS_DEV);
    ck_assert_str_eq(owner_of("openai/m"), "mine");
    ck_assert_int_eq(n.models_added, 0);
}
END_TEST

/* What people wrote is not overwritten by a list: the provider, the names, what is sent. */
START_TEST(a_foreign_list_yields)
{
    static const char list[] = "{\"acme\":{\"id\":\"acme\",\"name\":\"ACME Inc\",\"models\":{}},"
                               "\"openai\":{\"id\":\"openai\",\"models\":{"
                               "\"m\":{\"name\":\"Theirs\",\"cost\":{\"input\":7,\"output\":8}},"
                               "\"q\":{\"cost\":{\"input\":7,\"output\":8}}}}}";
    imported("{\"providers\":[{\"slug\":\"openai\",\"name\":\"Ours\",\"protocol\":\"openai\","
             "\"base_url\":\"https://ours.example\",\"zdr\":true}],\"models\":["
             "{\"id\":\"mine\",\"name\":\"Mine\",\"aliases\":[\"openai/m\",\"m\"],\"endpoints\":[{"
             "\"provider\":\"openai\",\"upstream_model\":\"m-2026\",\"context_length\":5,"
             "\"quantization\":\"fp8\",\"server_tools\":[\"code\"],\"rules\":[\"thinking_always\"],"
             "\"speed\":\"fast\",\"inference_geo\":\"us\",\"timeouts\":{\"idle_ms\":77},"
             "\"pricing\":{\"prompt\":\"1\",\"completion\":\"2\"}}]}]}",
             CATALOG_WAYFARE);
    imported(list, CATALOG_MODELS_DEV);
    ck_assert_int_eq(n.providers_changed, 0);
    ck_assert_int_eq(n.changed, 1);
    ck_assert_int_eq(n.added, 1);
    struct catalog *c = load();
    const struct model *mine = catalog_model(c, SPAN("openai/m"));
    ck_assert_str_eq(mine->slug, "mine");
    ck_assert_str_eq(mine->name, "Mine");
    ck_assert_ptr_eq(catalog_model(c, SPAN("m")), mine);
    ck_assert_str_eq(catalog_model(c, SPAN("q"))->slug, "openai/q");
    const struct endpoint *e = mine->endpoints[0];
    ck_assert_str_eq(e->upstream_model, "m-2026");
    ck_assert_str_eq(e->server_tools[0], "code");
    ck_assert_uint_eq(e->rules, RULE_BIT(RULE_thinking_always));
    ck_assert(strcmp(e->speed, "fast") == 0 && strcmp(e->geo, "us") == 0);
    ck_assert_int_eq(e->quantization, QUANT_fp8);
    ck_assert_int_eq(e->context_length, 5);
    ck_assert_int_eq(e->price.base.pusd[PRICE_prompt], 7000000);
    ck_assert_str_eq(e->provider->name, "Ours");
    ck_assert(e->provider->zdr);
    catalog_unref(c);
    imported(list, CATALOG_MODELS_DEV);
    ck_assert_int_eq(n_changes(), 0);
    /* A list that lost the price does not take it away. */
    imported("{\"openai\":{\"id\":\"openai\",\"models\":{\"q\":{\"cost\":{\"input\":0,\"output\":"
             "0}}}}}",
             CATALOG_MODELS_DEV);
    ck_assert_int_eq(n_changes(), 0);
}
END_TEST

/* An entry is replaced whole: what a file forgot to say is named, each member. */
START_TEST(what_a_provider_loses_is_said)
{
    imported(FILE_WITH("1", ""), CATALOG_WAYFARE);
    imported("{\"providers\":[{\"slug\":\"acme\",\"name\":\"Acme\",\"protocol\":\"openai\","
             "\"base_url\":\"https://b.example\",\"credential\":{\"env\":\"A\"},\"headers\":{"
             "\"X-B\":\"3\",\"X-C\":\"4\"},\"data_collection\":\"deny\","
             "\"cancel_stops_billing\":true}]}",
             CATALOG_WAYFARE);
    ck_assert_str_eq(lines, "changed provider acme: protocol anthropic -> openai, "
                            "base_url https://acme.example -> https://b.example, "
                            "region eu -> none, credential env A + file /b -> env A, "
                            "auth X-Key -> bearer, data_collection allow -> deny, "
                            "zdr true -> false, cancel_stops_billing false -> true, "
                            "idle_ms 5 -> 60000, header X-A -> none, header X-B changed, "
                            "header X-C added\n");
    imported("{\"providers\":[{\"slug\":\"acme\",\"name\":\"Acme\",\"protocol\":\"openai\","
             "\"base_url\":\"\"}]}",
             CATALOG_WAYFARE);
    ck_assert_str_eq(lines, "changed provider acme: base_url https://b.example -> none, "
                            "credential env A -> none, data_collection deny -> allow, "
                            "cancel_stops_billing true -> false, header X-B -> none, "
                            "header X-C -> none\n");
}
END_TEST

START_TEST(what_an_endpoint_loses_is_said)
{
#define E(more, price)                                                                             \
    "{" PROVIDERS ",\"models\":[{\"id\":\"a/m\",\"endpoints\":[{\"provider\":\"acme\","            \
    "\"upstream_model\":\"m-1\"" more ",\"pricing\":{" price "}}]}]}"
    imported(E(",\"context_length\":1000,\"max_completion_tokens\":50,\"input_modalities\":"
               "[\"text\",\"image\"],\"supported_parameters\":[\"max_tokens\"],\"server_tools\":"
               "[\"code\"],\"rules\":[\"no_sampling\"],\"timeouts\":{\"idle_ms\":7}",
               "\"prompt\":\"1\",\"completion\":\"2\",\"cache_read\":\"0.03\",\"web_search\":"
               "\"0.01\",\"tiers\":[{\"above_prompt_tokens\":10,\"prompt\":\"3\"}]"),
             CATALOG_WAYFARE);
    imported(E(",\"max_completion_tokens\":60,\"quantization\":\"fp8\",\"supported_parameters\":"
               "[\"temperature\"]",
               "\"prompt\":\"1\",\"completion\":\"2\",\"audio\":\"4\""),
             CATALOG_WAYFARE);
    ck_assert_str_eq(lines, "changed a/m at acme: cache_read $0.03 -> none, web_search $0.01 -> "
                            "none, audio none -> $4, tiers 1 -> 0, context_length 1000 -> none, "
                            "max_completion_tokens 50 -> 60, quantization unknown -> fp8, "
                            "input_modalities without image, supported_parameters without "
                            "max_tokens, supported_parameters with temperature, rules without "
                            "no_sampling, server_tools code -> none, idle_ms 7 -> none\n");
    imported(E("", "\"prompt\":\"1\""), CATALOG_WAYFARE);
    ck_assert_msg(strstr(lines, "changed a/m at acme: $1 / $2 per million -> unpriced, "
                                "completion $2 -> none, audio $4 -> none, ") == lines,
                  "%s", lines);
#undef E
}
END_TEST

START_TEST(tiers_that_change_are_said)
{
#define T(price)                                                                                   \
    "{" PROVIDERS ",\"models\":[{\"id\":\"a/m\",\"endpoints\":[{\"provider\":\"acme\","            \
    "\"upstream_model\":\"m-1\",\"pricing\":{\"prompt\":\"1\",\"completion\":\"2\",\"tiers\":[{"   \
    "\"above_prompt_tokens\":10,\"prompt\":\"" price "\"}]}}]}]}"
    imported(T("3"), CATALOG_WAYFARE);
    imported(T("4"), CATALOG_WAYFARE);
    ck_assert_str_eq(lines, "changed a/m at acme: tiers changed\n");
#undef T
}
END_TEST

/* Each alias on a line of its own; one that the file gives away is told once. */
START_TEST(names_that_go_are_said)
{
    imported("{\"models\":[{\"id\":\"a/m\",\"aliases\":[\"m\",\"mm\",\"x\"]},{\"id\":\"b/n\"}]}",
             CATALOG_WAYFARE);
    imported(
        "{\"models\":[{\"id\":\"a/m\",\"distillable\":true},{\"id\":\"b/n\",\"aliases\":[\"x\"]}]}",
        CATALOG_WAYFARE);
    ck_assert_str_eq(lines, "changed model a/m: distillable false -> true\n"
                            "the name m is taken from a/m\nthe name mm is taken from a/m\n"
                            "changed model b/n: also called x\n"
                            "moved the name x from a/m to b/n\n");
}
END_TEST

/* A line is bounded, and cut between characters. */
START_TEST(long_values_are_cut)
{
    char text[4096], url[1001];
    memset(url, 'u', 1000);
    url[1000] = '\0';
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text,
                 "{\"providers\":[{\"slug\":\"acme\",\"protocol\":\"openai\",\"base_url\":"
                 "\"https://%s%d\"}]}",
                 url, i);
        imported(text, CATALOG_WAYFARE);
    }
    ck_assert_ptr_nonnull(strstr(lines, "uuu... -> https://uuu"));
    ck_assert_uint_eq(strlen(lines), strlen("changed provider acme: base_url  -> \n") + 2 * 259);
}
END_TEST

START_TEST(credentials_and_headers_are_replaced)
{
    imported(FILE_WITH("1", ""), CATALOG_WAYFARE);
    imported(
        "{\"providers\":[{\"slug\":\"acme\",\"protocol\":\"anthropic\",\"base_url\":"
        "\"https://acme.example\",\"credential\":{\"env\":\"C\"},\"headers\":{\"X-C\":\"3\"}}]}",
        CATALOG_WAYFARE);
    ck_assert_int_eq(n.providers_changed, 1);
    struct catalog *c = load();
    const struct provider_row *p = catalog_provider(c, SPAN("acme"));
    ck_assert_int_eq(p->n_credentials, 1);
    ck_assert_str_eq(p->credentials[0].ref, "C");
    ck_assert_str_eq(p->headers[0], "X-C");
    ck_assert_ptr_null(p->headers[2]);
    ck_assert_ptr_null(p->region);
    catalog_unref(c);
}
END_TEST

/* What was removed is in no snapshot; only a file that someone wrote brings it back. */
START_TEST(what_was_removed)
{
    static const char file[] =
        "{\"providers\":[{\"slug\":\"openai\",\"protocol\":\"openai\",\"base_url\":\"https://o\"}],"
        "\"models\":[{\"id\":\"a/m\",\"aliases\":[\"openai/m\",\"m\"],\"endpoints\":[{\"provider\":"
        "\"openai\",\"upstream_model\":\"m\",\"pricing\":{\"prompt\":\"1\",\"completion\":\"2\"}}]}"
        "]}";
    static const char list[] = "{\"openai\":{\"id\":\"openai\",\"models\":{\"m\":{\"cost\":"
                               "{\"input\":7,\"output\":8}}}}}";
    int64_t id = 0, same = 0;
    imported(file, CATALOG_WAYFARE);
    int64_t old = price_in_force(&id);
    ck_assert_int_eq(catalog_db_remove(db, id, &why), 0);
    ck_assert_int_eq(catalog_db_version(db), 2);
    imported(list, CATALOG_MODELS_DEV);
    ck_assert_int_eq(n_changes(), 0);
    ck_assert_str_eq(lines, "left out openai/m at openai: it was removed\n");
    ck_assert_int_eq(catalog_db_version(db), 2);
    struct catalog *c = load();
    ck_assert_int_eq(c->n_endpoints, 0);
    ck_assert_int_eq(catalog_model(c, SPAN("m"))->n_endpoints, 0);
    catalog_unref(c);
    struct price p;
    ck_assert_int_eq(catalog_db_price(db, old, &p, &why), 0); /* the books refer to it */
    imported(file, CATALOG_WAYFARE);
    ck_assert_int_eq(n.added, 1);
    ck_assert_int_eq(n_changes(), 2); /* the endpoint and its price */
    ck_assert_int_gt(price_in_force(&same), old);
    ck_assert_int_eq(same, id);
    imported(list, CATALOG_MODELS_DEV);
    ck_assert_int_eq(n.changed, 1);
}
END_TEST

/* A reader sees either all of an import or nothing of it, and does not hold its view. */
START_TEST(a_reader_loads_what_was_committed)
{
    char path[WORLD_PATH_MAX];
    world_path(path);
    struct db *own = db_open(path, DB_OWN, &why);
    struct db *reader = db_open(path, DB_READ, &why);
    ck_assert_ptr_nonnull(reader);
    struct catalog *c = parse(span_of(FILE_WITH("1", "\"m\"")), CATALOG_WAYFARE);
    for (int i = 0; i < 2; i++) {
        struct catalog *seen = catalog_db_load(reader, NULL, NULL, &why);
        ck_assert_msg(seen != NULL, "%s", why.text);
        ck_assert_int_eq(seen->n_models, i == 0 ? 0 : 2);
        ck_assert_int_eq(seen->version, i);
        catalog_unref(seen);
        ck_assert_int_eq(db_begin(own, &why), 0);
        ck_assert_int_eq(catalog_db_merge(own, c, NULL, NULL, &n, &why), 0);
        seen = catalog_db_load(reader, NULL, NULL, &why);
        ck_assert_int_eq(seen->n_models, i == 0 ? 0 : 2);
        catalog_unref(seen);
        ck_assert_int_eq(db_commit(own, &why), 0);
    }
    catalog_unref(c);
    db_close(reader);
    db_close(own);
    world_remove(path);
}
END_TEST

Suite *catalog_db_suite(void)
{
    Suite *s = suite_create("catalog_db");
    TCase *t = tcase_create("tables");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_was_merged_is_loaded);
    tcase_add_test(t, the_same_file_changes_nothing);
    tcase_add_test(t, the_builtin_catalog_is_idempotent);
    tcase_add_test(t, a_changed_price_is_a_new_version);
    tcase_add_test(t, an_unknown_price_version_is_not_found);
    tcase_add_test(t, prices_cannot_be_rewritten);
    tcase_add_test(t, what_a_file_does_not_name_stays);
    tcase_add_test(t, facts_change_without_a_new_price);
    tcase_add_test(t, terms_change_without_a_new_price);
    tcase_add_test(t, a_provider_may_come_from_the_database);
    tcase_add_test(t, an_id_is_not_taken_from_its_model);
    tcase_add_test(t, an_alias_goes_to_the_file_that_claims_it);
    tcase_add_test(t, an_alias_is_no_id_of_a_new_model);
    tcase_add_test(t, a_foreign_id_that_is_an_alias_yields);
    tcase_add_test(t, a_foreign_list_yields);
    tcase_add_test(t, what_a_provider_loses_is_said);
    tcase_add_test(t, what_an_endpoint_loses_is_said);
    tcase_add_test(t, tiers_that_change_are_said);
    tcase_add_test(t, names_that_go_are_said);
    tcase_add_test(t, long_values_are_cut);
    tcase_add_test(t, credentials_and_headers_are_replaced);
    tcase_add_test(t, what_was_removed);
    tcase_add_test(t, a_reader_loads_what_was_committed);
    suite_add_tcase(s, t);
    return s;
}
