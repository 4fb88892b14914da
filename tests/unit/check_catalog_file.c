/* Catalog files: our own format to the letter, writing it, and the one that is built in. */
#define _GNU_SOURCE
#include "tests/unit/catalog_case.h"

Suite *catalog_file_suite(void);

/* ---- our own format: what is refused, and where ---- */

#define PROVIDER(more) "{\"providers\":[{\"slug\":\"p\",\"protocol\":\"openai\"" more "}]}"
#define URL ",\"base_url\":\"https://h/v1\""
#define MODEL(more) "{\"models\":[{\"id\":\"a/m\"" more "}]}"
#define ENDPOINT(more)                                                                             \
    "{\"providers\":[{\"slug\":\"p\",\"protocol\":\"openai\",\"base_url\":\"\"}],\"models\":[{"    \
    "\"id\":"                                                                                      \
    "\"a/m\",\"endpoints\":[{\"provider\":\"p\",\"upstream_model\":\"u\"" more "}]}]}"
#define PRICING(more) ENDPOINT(",\"pricing\":{" more "}")
#define NAME_128                                                                                   \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct bad {
    const char *text, *message; /* the message starts so */
} bad[] = {
    {"", "not valid JSON"},
    {"{", "not valid JSON"},
    {"[]", "a catalog file is a JSON object"},
    {"3", "a catalog file is a JSON object"},
    {"{\"provider\":[]}", "the file is no catalog of a known format"},
    {"{\"provider\":[],\"models\":[]}", "provider: this member is not known here"},
    {"{\"models\":[],\"models\":[]}", "models: is given twice"},
    {"{\"providers\":{}}", "providers: must be an array"},
    {"{\"models\":null}", "models: must be an array"},
    {"{\"providers\":[3]}", "providers[0]: must be an object"},
    {"{\"models\":[[]]}", "models[0]: must be an object"},
    {"{\"providers\":[{}]}", "providers[0]: \"slug\" is missing"},
    {PROVIDER(""), "providers[0]: \"base_url\" is missing"},
    {"{\"providers\":[{\"slug\":\"p\",\"base_url\":\"\"}]}",
     "providers[0]: \"protocol\" is missing"},
    {PROVIDER(URL ",\"slug\":\"q\""), "providers[0].slug: is given twice"},
    {PROVIDER(URL ",\"colour\":1"), "providers[0].colour: this member is not known here"},
    {"{\"providers\":[{\"slug\":\"\"}]}", "providers[0].slug: must be a string of 1 to 127"},
    {"{\"providers\":[{\"slug\":3}]}", "providers[0].slug: must be a string"},
    {"{\"providers\":[{\"slug\":\"a b\"}]}", "providers[0].slug: may hold printable ASCII"},
    {"{\"providers\":[{\"slug\":\"a/b\"}]}", "providers[0].slug: a provider slug has no \"/\""},
    {"{\"providers\":[{\"slug\":\"\\u00e9\"}]}", "providers[0].slug: may hold printable ASCII"},
    {"{\"providers\":[{\"slug\":\"" NAME_128 "\"}]}", "providers[0].slug: must be a string"},
    {"{\"providers\":[{\"slug\":\"a\\u0000b\"}]}", "providers[0].slug: must be a string"},
    {"{\"providers\":[{\"slug\":\"p\",\"protocol\":\"smtp\"}]}",
     "providers[0].protocol: must be one of"},
    {PROVIDER(",\"base_url\":\"ftp://h\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://u@h\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://h?q\""),
     "providers[0].base_url: must be a URL without query"},
    {"{\"providers\":[{\"slug\":\"p\",\"protocol\":\"azure-openai\",\"base_url\":\"http://"
     "h?q#f\"}]}",
     "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://h#f\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://h\\r\\nx\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":null"), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"https://\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://h:80a0/v1\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://h:65536\""), "providers[0].base_url: must be an http"},
    {PROVIDER(",\"base_url\":\"http://[::1/v1\""), "providers[0].base_url: must be an http"},
    {PROVIDER(URL ",\"data_collection\":\"maybe\""), "providers[0].data_collection: must be"},
    {PROVIDER(URL ",\"zdr\":\"true\""), "providers[0].zdr: must be true or false"},
    {PROVIDER(URL ",\"cancel_stops_billing\":1"),
     "providers[0].cancel_stops_billing: must be true"},
    {PROVIDER(",\"base_url\":\"\",\"credential\":{\"none\":true}"),
     "providers[0].base_url: is empty, and a provider with a credential"},
    {PROVIDER(URL ",\"credential\":\"sk-1\""), "providers[0].credential: must be {\"env\""},
    {PROVIDER(URL ",\"credential\":{}"), "providers[0].credential: must be {\"env\""},
    {PROVIDER(URL ",\"credential\":{\"env\":\"A\",\"file\":\"/x\"}"),
     "providers[0].credential: must be {\"env\""},
    {PROVIDER(URL ",\"credential\":{\"key\":\"sk-1\"}"), "providers[0].credential.key: must be"},
    {PROVIDER(URL ",\"credential\":{\"none\":false}"), "providers[0].credential.none: must be"},
    {PROVIDER(URL ",\"credential\":[{\"env\":\"\"}]"), "providers[0].credential[0].env: must be"},
    {PROVIDER(URL ",\"credential\":{\"env\":\"sk-ant-1\"}"),
     "providers[0].credential.env: must be the name of an environment variable"},
    {PROVIDER(URL ",\"credential\":{\"env\":\"A:\"}"),
     "providers[0].credential.env: must be the name"},
    {PROVIDER(URL ",\"credential\":{\"env\":\"A:2B\"}"),
     "providers[0].credential.env: must be the name"},
    {PROVIDER(URL ",\"auth\":\"digest\""), "providers[0].auth: must be \"x-api-key\""},
    {PROVIDER(URL ",\"auth\":{\"header\":\"a b\"}"), "providers[0].auth.header: "},
    {PROVIDER(URL ",\"auth\":{\"header\":\"X\",\"more\":1}"), "providers[0].auth"},
    {PROVIDER(URL ",\"auth\":{\"header\":\"X:y\"}"), "providers[0].auth.header: "},
    {PROVIDER(URL ",\"headers\":[]"), "providers[0].headers: must be an object"},
    {PROVIDER(URL ",\"headers\":{\"a b\":\"c\"}"), "providers[0].headers.a b: is not a header"},
    {PROVIDER(URL ",\"headers\":{\"a\":\"c\\r\\nd: e\"}"), "providers[0].headers.a: is not"},
    {PROVIDER(URL ",\"headers\":{\"a\":1}"), "providers[0].headers.a: is not a header"},
    {PROVIDER(URL ",\"headers\":{\"a\":\"1\",\"A\":\"2\"}"),
     "providers[0].headers.A: is given twice"},
    {PROVIDER(URL ",\"timeouts\":{\"connect_ms\":0}"),
     "providers[0].timeouts.connect_ms: must be an integer from 1"},
    {PROVIDER(URL ",\"timeouts\":{\"idle_ms\":1.5}"), "providers[0].timeouts.idle_ms: must be"},
    {PROVIDER(URL ",\"timeouts\":{\"ttfb\":1}"), "providers[0].timeouts.ttfb: this member"},
    {"{\"providers\":[{\"slug\":\"p\",\"protocol\":\"openai\",\"base_url\":\"\"},"
     "{\"slug\":\"p\",\"protocol\":\"openai\",\"base_url\":\"\"}]}",
     "providers[1]: the provider \"p\" is listed twice"},
    {"{\"models\":[{}]}", "models[0]: \"id\" is missing"},
    {"{\"models\":[{\"id\":\"a\",\"timeouts\":{\"total_ms\":0}}]}",
     "models[0].timeouts.total_ms: must be an integer from 1 to 86400000"},
    {"{\"models\":[{\"id\":\"a\",\"timeouts\":5}]}", "models[0].timeouts: must be an object"},
    {"{\"models\":[{\"id\":\"a\",\"endpoints\":[{\"provider\":\"p\",\"upstream_model\":\"m\","
     "\"timeouts\":{\"idle\":5}}]}]}",
     "models[0].endpoints[0].timeouts.idle: this member is not known here"},
    {"{\"models\":[{\"id\":\"a b\"}]}", "models[0].id: may hold printable ASCII"},
    {"{\"models\":[{\"id\":\"a:floor\"}]}", "models[0].id: ends in :floor or :nitro"},
    {MODEL(",\"aliases\":[\"a:free\",\"a:nitro\"]"), "models[0].aliases[1]: ends in :floor or"},
    {MODEL(",\"id\":\"b\""), "models[0].id: is given twice"},
    {MODEL(",\"name\":\"\""), "models[0].name: must be a string of 1"},
    {MODEL(",\"aliases\":\"x\""), "models[0].aliases: must be an array"},
    {MODEL(",\"aliases\":[\"x\",3]"), "models[0].aliases[1]: must be a string"},
    {MODEL(",\"distillable\":0"), "models[0].distillable: must be true"},
    {MODEL(",\"created\":\"yesterday\""), "models[0].created: must be a date"},
    {MODEL(",\"created\":20260101"), "models[0].created: must be a date"},
    {MODEL(",\"endpoints\":{}"), "models[0].endpoints: must be an array"},
    {MODEL(",\"endpoints\":[{}]"), "models[0].endpoints[0]: \"provider\" is missing"},
    {"{\"models\":[{\"id\":\"m\"},{\"id\":\"m\"}]}", "models[1]: the model \"m\" is listed twice"},
    {"{\"models\":[{\"id\":\"m\"},{\"id\":\"n\",\"aliases\":[\"m\"]}]}",
     "models[1]: the model name \"m\" is used by \"m\""},
    {MODEL(",\"endpoints\":[{\"provider\":\"p\"}]"),
     "models[0].endpoints[0]: \"upstream_model\" is missing"},
    {ENDPOINT(",\"provider\":\"q\""), "models[0].endpoints[0].provider: is given twice"},
    {ENDPOINT(",\"variant\":\"\""), "models[0].endpoints[0].variant: must be a string"},
    {ENDPOINT(",\"context_length\":-1"), "models[0].endpoints[0].context_length: must be"},
    {ENDPOINT(",\"context_length\":1e99"), "models[0].endpoints[0].context_length: must be"},
    {ENDPOINT(",\"max_completion_tokens\":\"5\""),
     "models[0].endpoints[0].max_completion_tokens: must be"},
    {ENDPOINT(",\"quantization\":\"fp7\""), "models[0].endpoints[0].quantization: is not a"},
    {ENDPOINT(",\"input_modalities\":[\"smell\"]"),
     "models[0].endpoints[0].input_modalities[0]: is not"},
    {ENDPOINT(",\"input_modalities\":\"text\""),
     "models[0].endpoints[0].input_modalities: must be an array"},
    {ENDPOINT(",\"supported_parameters\":[\"tools\",\"magic\"]"),
     "models[0].endpoints[0].supported_parameters[1]: is not"},
    {ENDPOINT(",\"rules\":[\"no_prefill\",\"no_fun\"]"),
     "models[0].endpoints[0].rules[1]: is not a rule"},
    {ENDPOINT(",\"rules\":\"no_prefill\""), "models[0].endpoints[0].rules: must be an array"},
    {ENDPOINT(",\"speed\":true"), "models[0].endpoints[0].speed: must be a string of 1 to 15"},
    {ENDPOINT(",\"speed\":\"\""), "models[0].endpoints[0].speed: must be a string of 1 to 15"},
    {ENDPOINT(",\"inference_geo\":\"sixteen-bytes-xx\""),
     "models[0].endpoints[0].inference_geo: must be a string of 1 to 15"},
    {ENDPOINT(",\"inference_geo\":\"u s\""), "models[0].endpoints[0].inference_geo: may hold"},
    {ENDPOINT(",\"server_tools\":[\"a b\"]"), "models[0].endpoints[0].server_tools[0]: may hold"},
    {ENDPOINT(",\"pricing\":[]"), "models[0].endpoints[0].pricing: must be an object"},
    {ENDPOINT("},{\"provider\":\"p\",\"upstream_model\":\"v\""),
     "models[0].endpoints[1]: the endpoint \"p\" of \"a/m\" is listed twice"},
    {PRICING("\"prompt\":-1"), "models[0].endpoints[0].pricing.prompt: a price is not negative"},
    {PRICING("\"prompt\":\"-0.1\""), "models[0].endpoints[0].pricing.prompt: a price is not"},
    {PRICING("\"prompt\":\"1e-6\""), "models[0].endpoints[0].pricing.prompt: must be a decimal"},
    {PRICING("\"prompt\":\"$1\""), "models[0].endpoints[0].pricing.prompt: must be a decimal"},
    {PRICING("\"prompt\":true"), "models[0].endpoints[0].pricing.prompt: must be a decimal"},
    {PRICING("\"prompt\":\"0.0000001\""), "models[0].endpoints[0].pricing.prompt: has more than 6"},
    {PRICING("\"web_search\":\"0.0000000000001\""),
     "models[0].endpoints[0].pricing.web_search: has more than 12"},
    {PRICING("\"prompt\":\"99999999999999\""), "models[0].endpoints[0].pricing.prompt: is too"},
    {PRICING("\"input\":\"1\""), "models[0].endpoints[0].pricing.input: this member is not known"},
    {PRICING("\"prompt\":\"1\",\"prompt\":\"2\""),
     "models[0].endpoints[0].pricing.prompt: is given twice"},
    {PRICING("\"tiers\":{}"), "models[0].endpoints[0].pricing.tiers: must be an array"},
    {PRICING("\"tiers\":[],\"tiers\":[]"), "models[0].endpoints[0].pricing.tiers: is given twice"},
    {PRICING("\"tiers\":[3]"), "models[0].endpoints[0].pricing.tiers[0]: must be an object"},
    {PRICING("\"tiers\":[{\"prompt\":\"1\"}]"),
     "models[0].endpoints[0].pricing.tiers[0]: \"above_prompt_tokens\" is missing"},
    {PRICING("\"tiers\":[{\"above_prompt_tokens\":0}]"),
     "models[0].endpoints[0].pricing.tiers[0].above_prompt_tokens: must be"},
    {PRICING("\"tiers\":[{\"above_prompt_tokens\":5,\"min\":1}]"),
     "models[0].endpoints[0].pricing.tiers[0].min: this member"},
    {PRICING("\"tiers\":[{\"above_prompt_tokens\":5,\"prompt\":\"1\",\"prompt\":\"2\"}]"),
     "models[0].endpoints[0].pricing.tiers[0].prompt: is given twice"},
    {PRICING("\"tiers\":[{\"above_prompt_tokens\":5},{\"above_prompt_tokens\":5}]"),
     "models[0].endpoints[0].pricing.tiers[1]: two tiers have the same threshold"},
};

START_TEST(a_bad_file_is_refused_with_its_path)
{
    ck_assert_ptr_null(read_span(span_of(bad[_i].text), CATALOG_WAYFARE));
    ck_assert_int_eq(why.code, ERR_bad_request);
    ck_assert_msg(strncmp(why.text, bad[_i].message, strlen(bad[_i].message)) == 0,
                  "%s\n gave \"%s\"\n not  \"%s\"", bad[_i].text, why.text, bad[_i].message);
}
END_TEST

/* One more than what there may be: of credentials, headers, tiers, tools, aliases. */
static const struct many {
    const char *before, *item, *after, *message;
    int most;
} many[] = {
    {"{\"providers\":[{\"slug\":\"p\",\"protocol\":\"openai\",\"base_url\":\"http://"
     "h\",\"credential\":[",
     "{\"env\":\"V%d\"}", "]}]}", "providers[0].credential[16]: at most 16", 16},
    {"{\"providers\":[{\"slug\":\"p\",\"protocol\":\"openai\",\"base_url\":\"\",\"headers\":{",
     "\"h%d\":\"v\"", "}}]}", "providers[0].headers.h16: at most 16", 16},
    {"{\"models\":[{\"id\":\"m\",\"aliases\":[", "\"a%d\"", "]}]}",
     "models[0].aliases[256]: at most 256", 256},
    {"{\"models\":[{\"id\":\"m\",\"endpoints\":[{\"provider\":\"p\",\"upstream_model\":\"u\","
     "\"server_tools\":[",
     "\"t%d\"", "]}]}]}", "models[0].endpoints[0].server_tools[16]: at most 16", 16},
    {"{\"models\":[{\"id\":\"m\",\"endpoints\":[{\"provider\":\"p\",\"upstream_model\":\"u\","
     "\"pricing\":{\"tiers\":[",
     "{\"above_prompt_tokens\":1%d}", "]}}]}]}",
     "models[0].endpoints[0].pricing.tiers[8]: at most 8", 8},
};

START_TEST(counts_have_a_ceiling)
{
    const struct many *m = &many[_i];
    for (int more = 0; more < 2; more++) {
        struct buf text;
        char item[64];
        buf_init(&text, 1 << 16);
        buf_adds(&text, m->before);
        for (int i = 0; i < m->most + more; i++) {
            char *at = strstr(m->item, "%d");
            snprintf(item, sizeof(item), "%.*s%d%s", (int)(at - m->item), m->item, i, at + 2);
            buf_adds(&text, i > 0 ? "," : "");
            buf_adds(&text, item);
        }
        buf_adds(&text, m->after);
        struct catalog *c = read_span(buf_span(&text), CATALOG_WAYFARE);
        ck_assert_msg((c == NULL) == (more == 1), "%s", why.text);
        ck_assert_msg(c != NULL || strncmp(why.text, m->message, strlen(m->message)) == 0, "%s",
                      why.text);
        catalog_unref(c);
        buf_done(&text);
    }
}
END_TEST

/* ---- our own format: what it means ---- */

static const char full[] =
    "{\"source\": \"by hand\", \"models\": [\n"
    " {\"id\": \"a/m\", \"aliases\": [\"m\"], \"name\": \"M \\u00e9\", \"distillable\": true,"
    "  \"created\": \"2026-01-02\", \"timeouts\": {\"total_ms\": 8, \"connect_ms\": 9},"
    "  \"endpoints\": ["
    "   {\"provider\": \"p\", \"variant\": \"turbo\", \"upstream_model\": \"m 1\","
    "    \"context_length\": 200000, \"max_completion_tokens\": null, \"quantization\": \"fp8\","
    "    \"input_modalities\": [\"text\", \"pdf\"], \"supported_parameters\": [\"tools\"],"
    "    \"server_tools\": [\"web_search\"], \"rules\": [\"no_prefill\", \"no_sampling\"],"
    "    \"speed\": \"fast\", \"inference_geo\": \"us\","
    "    \"timeouts\": {\"total_ms\": 6, \"first_byte_ms\": 7},"
    "    \"pricing\": {\"prompt\": \"3\", \"completion\": 15, \"cache_read\": \"0.30\","
    "      \"cache_write_1h\": null, \"request\": \"0\", \"web_search\": 0.01,"
    "      \"tiers\": [{\"above_prompt_tokens\": 500000, \"prompt\": \"9\"},"
    "                  {\"above_prompt_tokens\": 200000, \"prompt\": \"6\"}]}},"
    "   {\"provider\": \"q\", \"upstream_model\": \"m\", \"speed\": \"standard\","
    "    \"inference_geo\": null}]}],"
    " \"providers\": [\n"
    "  {\"slug\": \"p\", \"name\": \"P\", \"protocol\": \"anthropic\", \"base_url\": "
    "\"https://p.example\","
    "   \"credential\": [{\"env\": \"A\"}, {\"file\": \"/f\"}, {\"none\": true}],"
    "   \"data_collection\": \"deny\", \"zdr\": true, \"region\": \"eu\","
    "   \"auth\": {\"header\": \"X-Key\"}, \"headers\": {\"X-A\": \"b\"},"
    "   \"timeouts\": {\"idle_ms\": 5}, \"cancel_stops_billing\": true},"
    "  {\"slug\": \"q\", \"protocol\": \"openai\", \"base_url\": \"\"},"
    "  {\"base_url\": \"http://h/openai?api-version=1\", \"slug\": \"s\", \"protocol\": "
    "\"azure-openai\"},"
    "  {\"slug\": \"r\", \"protocol\": \"gemini\", \"base_url\": \"\"}]}";

/* Endpoint over model over provider, each figure by itself. */
static void check_timeouts(const struct model *m)
{
    const struct timeouts *turbo = &m->endpoints[0]->timeouts, *q = &m->endpoints[1]->timeouts;
    ck_assert_int_eq(turbo->connect_ms, 9);
    ck_assert_int_eq(turbo->first_byte_ms, 7);
    ck_assert_int_eq(turbo->idle_ms, 5);
    ck_assert_int_eq(turbo->total_ms, 6);
    ck_assert_int_eq(q->connect_ms, 9);
    ck_assert_int_eq(q->first_byte_ms, 60000);
    ck_assert_int_eq(q->idle_ms, 60000);
    ck_assert_int_eq(q->total_ms, 8);
}

static void check_full(const struct catalog *c)
{
    const struct provider_row *p = catalog_provider(c, SPAN("p"));
    ck_assert(!p->collects && p->zdr && p->cancel_stops_billing);
    ck_assert_int_eq(p->auth_type, AUTH_CUSTOM);
    ck_assert_str_eq(p->auth_header_name, "X-Key");
    ck_assert_str_eq(p->region, "eu");
    ck_assert_str_eq(p->headers[1], "b");
    ck_assert_ptr_null(p->headers[2]);
    ck_assert_int_eq(p->n_credentials, 3);
    ck_assert_int_eq(p->credentials[1].kind, CREDENTIAL_FILE);
    ck_assert_int_eq(p->timeouts.idle_ms, 5);
    ck_assert_int_eq(p->timeouts.total_ms, 3600000);
    const struct provider_row *q = catalog_provider(c, SPAN("q"));
    ck_assert(q->collects && !q->zdr && !q->cancel_stops_billing);
    ck_assert_int_eq(q->auth_type, AUTH_BEARER);
    /* Its own header: Gemini takes no key as a bearer token. */
    ck_assert_int_eq(catalog_provider(c, SPAN("r"))->auth_type, AUTH_API_KEY);
    ck_assert_str_eq(catalog_provider(c, SPAN("s"))->base_url, "http://h/openai?api-version=1");
    const struct model *m = catalog_model(c, SPAN("m"));
    ck_assert_str_eq(m->name, "M \xc3\xa9");
    ck_assert(m->distillable);
    ck_assert_int_eq(m->created_ms, INT64_C(1767312000000));
    const struct endpoint *e = m->endpoints[0];
    ck_assert_str_eq(e->slug, "p/turbo");
    ck_assert_int_eq(e->context_length, 200000);
    ck_assert_int_eq(e->max_completion_tokens, 0);
    ck_assert_int_eq(e->quantization, QUANT_fp8);
    ck_assert_uint_eq(e->modalities, MODALITY_BIT(MODALITY_text) | MODALITY_BIT(MODALITY_pdf));
    ck_assert_uint_eq(e->params, PARAM_BIT(PARAM_tools));
    ck_assert_str_eq(e->server_tools[0], "web_search");
    ck_assert_uint_eq(e->rules, RULE_BIT(RULE_no_prefill) | RULE_BIT(RULE_no_sampling));
    ck_assert_uint_eq(m->endpoints[1]->rules, 0);
    ck_assert(strcmp(e->speed, "fast") == 0 && strcmp(e->geo, "us") == 0);
    ck_assert(m->endpoints[1]->speed[0] == '\0' && m->endpoints[1]->geo[0] == '\0');
    check_timeouts(m);
    const int64_t *pusd = e->price.base.pusd;
    ck_assert_int_eq(pusd[PRICE_prompt], 3000000);
    ck_assert_int_eq(pusd[PRICE_completion], 15000000);
    ck_assert_int_eq(pusd[PRICE_cache_read], 300000);
    ck_assert_int_eq(pusd[PRICE_cache_write_1h], -1);
    ck_assert_int_eq(pusd[PRICE_request], 0);
    ck_assert_int_eq(pusd[PRICE_web_search], INT64_C(10000000000));
    ck_assert_int_eq(e->price.n_tiers, 2);
    ck_assert_int_eq(e->price.tiers[0].above_prompt_tok, 200000);
    ck_assert_int_eq(e->price.tiers[1].rates.pusd[PRICE_prompt], 9000000);
    ck_assert(!price_is_routable(&m->endpoints[1]->price));
}

START_TEST(a_full_file_is_read_and_written)
{
    struct catalog *c = read_text(full, CATALOG_WAYFARE);
    struct buf first, second;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    check_full(c);
    ck_assert_int_eq(catalog_file_write(c, &first), 0);
    catalog_unref(c);
    c = read_span(buf_span(&first), CATALOG_WAYFARE);
    ck_assert_msg(c != NULL, "%s", why.text);
    check_full(c);
    ck_assert_int_eq(catalog_file_write(c, &second), 0);
    ck_assert(span_eq(buf_span(&first), buf_span(&second)));
    catalog_unref(c);
    buf_done(&first);
    buf_done(&second);
}
END_TEST

START_TEST(a_provider_of_another_file_is_only_named)
{
    struct catalog *c = read_text(
        MODEL(",\"endpoints\":[{\"provider\":\"p\",\"upstream_model\":\"u\"}]"), CATALOG_WAYFARE);
    ck_assert(only_endpoint(c)->provider->elsewhere);
    struct buf out;
    buf_init(&out, 1 << 16);
    ck_assert_int_eq(catalog_file_write(c, &out), 0);
    catalog_unref(c);
    c = read_span(buf_span(&out), CATALOG_WAYFARE);
    ck_assert_msg(c != NULL, "%s", why.text);
    ck_assert(only_endpoint(c)->provider->elsewhere);
    catalog_unref(c);
    buf_done(&out);
}
END_TEST

/* ---- the built-in catalog ---- */

static const char *const sent_by_clients[] = {
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-sonnet-4-20250514",
    "claude-opus-5",
    "claude-sonnet-5",
    "anthropic/claude-sonnet-4.5",
    "gpt-5.4",
    "openai/gpt-5.5",
    "gemini-2.5-pro",
    "deepseek-chat",
    "kimi-k2.6",
    "glm-5.2",
    "MiniMax-M2.5",
    "grok-4.3",
};

START_TEST(the_builtin_catalog_knows_what_clients_send)
{
    ck_assert_uint_gt(catalog_builtin().len, 1000);
    struct catalog *c = read_span(catalog_builtin(), CATALOG_WAYFARE);
    ck_assert_msg(c != NULL, "%s", why.text);
    for (size_t i = 0; i < sizeof(sent_by_clients) / sizeof(sent_by_clients[0]); i++) {
        const struct model *m = catalog_model(c, span_of(sent_by_clients[i]));
        ck_assert_msg(m != NULL, "%s", sent_by_clients[i]);
        bool priced = false;
        for (int k = 0; k < m->n_endpoints; k++)
            priced |= price_is_routable(&m->endpoints[k]->price);
        ck_assert_msg(priced, "%s has no price", sent_by_clients[i]);
    }
    for (int i = 0; i < c->n_providers; i++) {
        const struct provider_row *p = &c->providers[i];
        ck_assert_msg(!p->elsewhere && p->base_url[0] != '\0' && p->n_credentials > 0, "%s",
                      p->slug);
    }
    const int64_t *pusd =
        catalog_model(c, SPAN("claude-sonnet-4-5"))->endpoints[0]->price.base.pusd;
    ck_assert_int_eq(pusd[PRICE_prompt], 3000000);
    ck_assert_int_eq(pusd[PRICE_completion], 15000000);
    ck_assert_int_eq(pusd[PRICE_cache_read], 300000);
    ck_assert_int_eq(pusd[PRICE_cache_write_5m], 3750000);
    ck_assert_int_eq(pusd[PRICE_cache_write_1h], 6000000);
    /* MiniMax publishes one price of a write for a model and its twice as dear fast form. */
    for (int i = 0; i < c->n_endpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];
        bool known = strcmp(e->provider->slug, "minimax") == 0 &&
                     strstr(e->upstream_model, "-highspeed") != NULL;
        struct rates at = price_at(&e->price, 0);
        ck_assert_msg(known || at.pusd[PRICE_cache_write_5m] >= at.pusd[PRICE_prompt], "%s %s",
                      e->slug, e->upstream_model);
        /* who hears is paid for it */
        ck_assert_msg(!(e->modalities & MODALITY_BIT(MODALITY_audio)) ||
                          price_covers_sound(&e->price, false),
                      "%s %s", e->slug, e->upstream_model);
    }
    catalog_unref(c);
}
END_TEST

/* In a file of ours a price stands as it is written, and is remarked upon. */
START_TEST(cheap_writes_are_remarked_upon)
{
    static const struct {
        const char *pricing, *note; /* NULL: none */
    } cases[] = {
        {"\"cache_write_5m\":\"0\"", "cache_write_5m is below the prompt price:"},
        {"\"cache_write_1h\":\"2.99\"", "cache_write_1h is below the prompt price:"},
        {"\"cache_write_5m\":\"3\",\"cache_write_1h\":\"6\"", NULL},
        {"\"cache_write_5m\":\"3.75\",\"tiers\":[{\"above_prompt_tokens\":9,\"prompt\":\"6\"}]",
         "cache_write_5m is below the prompt price of a tier"},
        {"\"cache_write_5m\":\"3.75\",\"tiers\":[{\"above_prompt_tokens\":9,\"prompt\":\"6\","
         "\"cache_write_5m\":\"7.5\"}]",
         NULL},
        {"\"cache_read\":\"0.3\",\"tiers\":[{\"above_prompt_tokens\":9,\"prompt\":\"6\"}]", NULL},
    };
    char text[512];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"providers\":[{\"slug\":\"a\",\"protocol\":\"openai\",\"base_url\":"
                 "\"http://h\"}],\"models\":[{\"id\":\"m\",\"endpoints\":[{\"provider\":\"a\","
                 "\"upstream_model\":\"m\",\"pricing\":{\"prompt\":\"3\",\"completion\":\"15\",%s}"
                 "}]}]}",
                 cases[i].pricing);
        struct catalog *c = read_text(text, CATALOG_WAYFARE);
        ck_assert_int_eq(notes.n, cases[i].note != NULL);
        ck_assert(cases[i].note == NULL || noted("models[0].endpoints[0].pricing", cases[i].note));
        catalog_unref(c);
    }
}
END_TEST

/* A million times too low, where a price per token was copied from somewhere. */
START_TEST(prices_per_token_are_remarked_upon)
{
    static const struct {
        const char *pricing, *note; /* NULL: none */
    } cases[] = {
        {"\"prompt\":\"0.000003\",\"completion\":\"0.000015\"",
         "prompt 0.000003 looks like a price per token; prices here are per million tokens"},
        {"\"prompt\":\"3\",\"completion\":0.000015",
         "completion 0.000015 looks like a price per token; prices here are per million tokens"},
        {"\"prompt\":\"0.000999\",\"completion\":\"1\"", "prompt 0.000999 looks like"},
        {"\"prompt\":\"0.001\",\"completion\":\"0.001\"", NULL},
        {"\"prompt\":\"0\",\"completion\":\"0\"", NULL},
        {"\"prompt\":\"3\"", NULL},
        {"\"prompt\":\"3\",\"completion\":\"15\",\"tiers\":[{\"above_prompt_tokens\":5,"
         "\"completion\":\"0.00003\"}]",
         "completion 0.00003 of a tier looks like a price per token"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        snprintf(text, sizeof(text), PRICING("%s"), cases[i].pricing);
        struct catalog *c = read_text(text, CATALOG_WAYFARE);
        ck_assert_int_eq(notes.n, cases[i].note != NULL);
        ck_assert(cases[i].note == NULL || noted("models[0].endpoints[0].pricing", cases[i].note));
        catalog_unref(c);
    }
}
END_TEST

START_TEST(formats_have_names)
{
    enum catalog_format f;
    ck_assert(catalog_format_parse("models.dev", &f) && f == CATALOG_MODELS_DEV);
    ck_assert(catalog_format_parse("wayfare", &f) && f == CATALOG_WAYFARE);
    ck_assert(!catalog_format_parse("genai-prices", &f));
    ck_assert_int_eq(catalog_format_guess(SPAN("{\"providers\":[]}")), CATALOG_WAYFARE);
    ck_assert_int_eq(catalog_format_guess(SPAN("{\"models\":[]}")), CATALOG_WAYFARE);
    ck_assert_int_eq(catalog_format_guess(SPAN("not json")), CATALOG_WAYFARE);
}
END_TEST

START_TEST(a_file_has_a_ceiling)
{
    /* Not one byte of it is looked at. */
    ck_assert_ptr_null(read_span((struct span){"{}", CATALOG_FILE_MAX + 1}, CATALOG_WAYFARE));
    ck_assert_int_eq(why.code, ERR_too_large);
}
END_TEST

Suite *catalog_file_suite(void)
{
    Suite *s = suite_create("catalog_file");
    TCase *t = tcase_create("file");
    tcase_add_loop_test(t, a_bad_file_is_refused_with_its_path, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_loop_test(t, counts_have_a_ceiling, 0, sizeof(many) / sizeof(many[0]));
    tcase_add_test(t, a_full_file_is_read_and_written);
    tcase_add_test(t, a_provider_of_another_file_is_only_named);
    tcase_add_test(t, the_builtin_catalog_knows_what_clients_send);
    tcase_add_test(t, cheap_writes_are_remarked_upon);
    tcase_add_test(t, prices_per_token_are_remarked_upon);
    tcase_add_test(t, formats_have_names);
    tcase_add_test(t, a_file_has_a_ceiling);
    suite_add_tcase(s, t);
    return s;
}
