/* The rules by which entries of foreign lists are taken, corrected or refused. */
#define _GNU_SOURCE
#include "tests/unit/catalog_case.h"

Suite *catalog_foreign_suite(void);

#define LITELLM(more) "{\"acme/m\":{\"litellm_provider\":\"acme\",\"mode\":\"chat\"" more "}}"
#define DEV(more)                                                                                  \
    "{\"acme\":{\"id\":\"acme\",\"name\":\"Acme\",\"models\":{\"m\":{\"name\":\"M\"" more "}}}}"
#define ROUTER(more) "{\"data\":[{\"id\":\"a/m\",\"name\":\"M\"" more "}]}"
#define ROW(more) "{\"endpoints\":[{\"model_slug\":\"a/m\",\"provider_slug\":\"acme\"" more "}]}"

/* One entry each: what it becomes, or why it is left out. */
static const struct rule {
    enum catalog_format format;
    const char *text;
    bool taken;
    int64_t prompt, completion;      /* pico-USD, -1 = not stated */
    int item;                        /* another price item to look at, */
    int64_t value;                   /* and its price */
    int64_t tier_above, tier_prompt; /* 0 = no tiers */
    const char *note;                /* part of a note; NULL = no note on the model */
} rules[] = {
    /* LiteLLM: USD per token */
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":3e-06,\"output_cost_per_token\":1.5e-05"),
     true, 3000000, 15000000, PRICE_cache_read, -1, 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":0.000003,\"output_cost_per_token\":15E-6,"
             "\"cache_creation_input_token_cost_above_1hr\":6e-06"),
     true, 3000000, 15000000, PRICE_cache_write_1h, 6000000, 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"input_cost_per_token_cache_hit\":1e-7"),
     true, 1000000, 2000000, PRICE_cache_read, 100000, 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"cache_read_input_audio_token_cost\":1e-7"),
     true, 1000000, 2000000, PRICE_audio_cache_read, 100000, 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"output_cost_per_audio_token\":2e-5"),
     true, 1000000, 2000000, PRICE_audio_completion, 20000000, 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"input_cost_per_token_above_200k_tokens\":2e-6"),
     true, 1000000, 2000000, PRICE_cache_read, -1, 200000, 2000000, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"input_cost_per_token_above_200k_tokens_priority\":9e-6,"
             "\"input_cost_per_token_priority\":9e-6,\"input_cost_per_token_batches\":5e-7"),
     true, 1000000, 2000000, PRICE_cache_read, -1, 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"tiered_pricing\":[{\"range\":[0,32000.0],\"input_cost_per_token\":1e-6,"
             "\"output_cost_per_token\":2e-6},{\"range\":[32000.0,64000],"
             "\"input_cost_per_token\":3e-6}]"),
     true, 1000000, 2000000, PRICE_cache_read, -1, 32000, 3000000, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"search_context_cost_per_query\":{\"search_context_size_medium\":0.01}"),
     true, 1000000, 2000000, PRICE_web_search, INT64_C(10000000000), 0, 0, NULL},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":2.9999900000000002e-06,\"output_cost_per_token\":1e-6"),
     true, 2999990, 1000000, PRICE_cache_read, -1, 0, 0, "rounded"},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":0.0,\"output_cost_per_token\":0.0"), true,
     -1, -1, PRICE_cache_read, -1, 0, 0, "zero is taken as unknown"},
    {CATALOG_LITELLM, LITELLM(""), true, -1, -1, PRICE_cache_read, -1, 0, 0, "no prompt price"},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":1e-6"), true, 1000000, -1,
     PRICE_cache_read, -1, 0, 0, "no completion price"},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":1e-6,\"output_cost_per_token\":2e-6,"
             "\"cache_creation_input_token_cost\":0.0"),
     true, 1000000, 2000000, PRICE_cache_write_5m, -1, 0, 0, NULL},
    /* below the prompt price: on top of it; a whole price rises with the prompt's in a tier */
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":3e-7,\"output_cost_per_token\":2e-6,"
             "\"cache_creation_input_token_cost\":8.3333e-8"),
     true, 300000, 2000000, PRICE_cache_write_5m, 383333, 0, 0, "on top of it"},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":3e-6,\"output_cost_per_token\":2e-6,"
             "\"cache_creation_input_token_cost_above_1hr\":1e-6"),
     true, 3000000, 2000000, PRICE_cache_write_1h, 4000000, 0, 0, "on top of it"},
    {CATALOG_LITELLM,
     LITELLM(",\"input_cost_per_token\":3e-6,\"output_cost_per_token\":2e-6,"
             "\"cache_creation_input_token_cost\":3e-6"),
     true, 3000000, 2000000, PRICE_cache_write_5m, 3000000, 0, 0, NULL},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":0.015,\"output_cost_per_token\":0.06"),
     true, -1, -1, PRICE_cache_read, -1, 0, 0, "taken as a mistake"},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":-1e-6"), false, 0, 0, 0, 0, 0, 0,
     "negative"},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":[1]"), false, 0, 0, 0, 0, 0, 0,
     "not a decimal number"},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_token\":1e99"), false, 0, 0, 0, 0, 0, 0,
     "not a decimal number"},
    {CATALOG_LITELLM, LITELLM(",\"input_dbu_cost_per_token\":0.1"), false, 0, 0, 0, 0, 0, 0,
     "not priced in dollars per token"},
    {CATALOG_LITELLM, LITELLM(",\"input_cost_per_second\":0.1"), false, 0, 0, 0, 0, 0, 0,
     "not priced in dollars per token"},
    {CATALOG_LITELLM, "{\"acme/e\":{\"litellm_provider\":\"acme\",\"mode\":\"embedding\"}}", false,
     0, 0, 0, 0, 0, 0, "not a chat model"},
    {CATALOG_LITELLM, "{\"a b\":{\"litellm_provider\":\"acme\",\"mode\":\"chat\"}}", false, 0, 0, 0,
     0, 0, 0, "other than printable"},
    {CATALOG_LITELLM, "{\"m\":{\"litellm_provider\":\"a/b\",\"mode\":\"chat\"}}", false, 0, 0, 0, 0,
     0, 0, "other than printable"},
    {CATALOG_LITELLM, "{\"m:floor\":{\"litellm_provider\":\"acme\",\"mode\":\"chat\"}}", false, 0,
     0, 0, 0, 0, 0, "could never be asked for"},
    /* models.dev: USD per million */
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":3,\"output\":15.0,\"cache_read\":0.3}"), true,
     3000000, 15000000, PRICE_cache_read, 300000, 0, 0, NULL},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":3,\"output\":15,\"cached_input\":0.3}"), true,
     3000000, 15000000, PRICE_cache_read, 300000, 0, 0, NULL},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":3,\"output\":15,\"cache_input\":0.3}"), true,
     3000000, 15000000, PRICE_cache_read, 300000, 0, 0, NULL},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":3,\"output\":15,\"cached_write\":3.75}"), true,
     3000000, 15000000, PRICE_cache_write_5m, 3750000, 0, 0, NULL},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":3,\"output\":15,\"input_audio\":1}"), true,
     3000000, 15000000, PRICE_audio, 1000000, 0, 0, NULL},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":3,\"output\":15,\"output_audio\":9}"), true,
     3000000, 15000000, PRICE_audio_completion, 9000000, 0, 0, NULL},
    {CATALOG_MODELS_DEV,
     DEV(",\"cost\":{\"input\":1,\"output\":2,\"tiers\":[{\"tier\":{\"size\":200000},"
         "\"input\":2}]}"),
     true, 1000000, 2000000, PRICE_cache_read, -1, 200000, 2000000, NULL},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":0.049999999999999996,\"output\":1}"), true,
     50000, 1000000, PRICE_cache_read, -1, 0, 0, "rounded"},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":0,\"output\":0}"), true, -1, -1,
     PRICE_cache_read, -1, 0, 0, "zero is taken as unknown"},
    {CATALOG_MODELS_DEV, DEV(""), true, -1, -1, PRICE_cache_read, -1, 0, 0, "no prompt price"},
    {CATALOG_MODELS_DEV, DEV(",\"cost\":{\"input\":-3,\"output\":1}"), false, 0, 0, 0, 0, 0, 0,
     "negative"},
    {CATALOG_MODELS_DEV, DEV(",\"modalities\":{\"output\":[\"image\"]}"), false, 0, 0, 0, 0, 0, 0,
     "does not answer with text"},
    {CATALOG_MODELS_DEV,
     "{\"acme\":{\"id\":\"acme\",\"models\":{\"m-free\":{\"cost\":{\"input\":0,\"output\":0}}}}}",
     true, 0, 0, PRICE_cache_read, -1, 0, 0, NULL},
    /* OpenRouter: strings, USD per token */
    {CATALOG_OPENROUTER,
     ROUTER(",\"pricing\":{\"prompt\":\"0.000003\",\"completion\":\"0.000015\","
            "\"input_cache_write_1h\":\"0.000006\"}"),
     true, 3000000, 15000000, PRICE_cache_write_1h, 6000000, 0, 0, NULL},
    {CATALOG_OPENROUTER,
     ROUTER(",\"pricing\":{\"prompt\":\"0.000001\",\"completion\":\"0.000002\","
            "\"request\":\"0.005\",\"overrides\":[{\"min_prompt_tokens\":200001,"
            "\"prompt\":\"0.000002\"}]}"),
     true, 1000000, 2000000, PRICE_request, INT64_C(5000000000), 200000, 2000000, NULL},
    {CATALOG_OPENROUTER,
     ROUTER(",\"pricing\":{\"prompt\":\"0.000001\",\"completion\":\"0.000002\",\"overrides\":[{"
            "\"min_prompt_tokens\":9,\"utc_start\":\"01:00\",\"prompt\":\"0\"}]}"),
     true, 1000000, 2000000, PRICE_request, -1, 0, 0, "time of day"},
    {CATALOG_OPENROUTER,
     ROUTER(",\"pricing\":{\"prompt\":\"0.0000025\",\"completion\":\"0.00001\","
            "\"audio\":\"0.000032\",\"audio_output\":\"0.000064\"}"),
     true, 2500000, 10000000, PRICE_audio_completion, 64000000, 0, 0, NULL},
    {CATALOG_OPENROUTER,
     ROUTER(",\"pricing\":{\"prompt\":\"0.0000003\",\"completion\":\"0.00001\","
            "\"audio\":\"0.000001\",\"input_audio_cache\":\"0.0000001\"}"),
     true, 300000, 10000000, PRICE_audio_cache_read, 100000, 0, 0, NULL},
    {CATALOG_OPENROUTER,
     ROUTER(",\"pricing\":{\"prompt\":\"0.0000003\",\"completion\":\"0.00001\","
            "\"audio\":\"0\"}"),
     true, 300000, 10000000, PRICE_audio, -1, 0, 0, NULL},
    {CATALOG_OPENROUTER, ROUTER(",\"pricing\":{\"prompt\":\"-1\",\"completion\":\"-1\"}"), false, 0,
     0, 0, 0, 0, 0, "negative"},
    {CATALOG_OPENROUTER, ROUTER(",\"pricing\":{\"prompt\":\"0\",\"completion\":\"0\"}"), true, -1,
     -1, PRICE_request, -1, 0, 0, "zero is taken as unknown"},
    {CATALOG_OPENROUTER,
     "{\"data\":[{\"id\":\"a/m:free\",\"pricing\":{\"prompt\":\"0\",\"completion\":\"0\"}}]}", true,
     0, 0, PRICE_request, -1, 0, 0, NULL},
    {CATALOG_OPENROUTER,
     "{\"data\":[{\"id\":\"a/m:nitro\",\"pricing\":{\"prompt\":\"1\",\"completion\":\"1\"}}]}",
     false, 0, 0, 0, 0, 0, 0, "could never be asked for"},
    {CATALOG_OPENROUTER, "{\"data\":[{\"name\":\"M\"}]}", false, 0, 0, 0, 0, 0, 0,
     "other than printable"},
    {CATALOG_OPENROUTER, ROW(",\"pricing\":{\"prompt\":\"0.000001\",\"completion\":\"0.000002\"}"),
     true, 1000000, 2000000, PRICE_request, -1, 0, 0, NULL},
    {CATALOG_OPENROUTER,
     ROW(",\"is_free\":true,\"pricing\":{\"prompt\":\"0\",\"completion\":\"0\"}"), true, 0, 0,
     PRICE_request, -1, 0, 0, NULL},
    {CATALOG_OPENROUTER, ROW(",\"is_hidden\":true"), false, 0, 0, 0, 0, 0, 0, "hidden"},
    {CATALOG_OPENROUTER, ROW(",\"is_disabled\":true"), false, 0, 0, 0, 0, 0, 0, "hidden"},
    {CATALOG_OPENROUTER, ROW(",\"pricing\":{\"prompt\":\"free\"}"), false, 0, 0, 0, 0, 0, 0,
     "not a decimal number"},
    {CATALOG_OPENROUTER, "{\"endpoints\":[{\"model_slug\":\"a/m\"}]}", false, 0, 0, 0, 0, 0, 0,
     "names no provider"},
    {CATALOG_OPENROUTER, "{\"endpoints\":[{\"provider_slug\":\"acme\"}]}", false, 0, 0, 0, 0, 0, 0,
     "names no model"},
};

START_TEST(a_foreign_entry_follows_the_rules)
{
    const struct rule *x = &rules[_i];
    ck_assert_int_eq(catalog_format_guess(span_of(x->text)), x->format);
    struct catalog *c = read_text(x->text, x->format);
    ck_assert(c->yields);
    ck_assert_int_eq(c->n_endpoints, x->taken);
    ck_assert_msg(x->note == NULL || noted(x->taken ? "a" : "-", x->note), "%s gave \"%s\"",
                  x->text, notes.line[0]);
    for (int i = 0; i < notes.n && x->note == NULL; i++)
        ck_assert_msg(strstr(notes.line[i], "base_url") != NULL, "%s", notes.line[i]);
    if (x->taken) {
        const struct price *p = &only_endpoint(c)->price;
        ck_assert_int_eq(p->base.pusd[PRICE_prompt], x->prompt);
        ck_assert_int_eq(p->base.pusd[PRICE_completion], x->completion);
        ck_assert_int_eq(p->base.pusd[x->item], x->value);
        ck_assert_int_eq(p->n_tiers, x->tier_above > 0);
        if (x->tier_above > 0) {
            ck_assert_int_eq(p->tiers[0].above_prompt_tok, x->tier_above);
            ck_assert_int_eq(p->tiers[0].rates.pusd[PRICE_prompt], x->tier_prompt);
        }
    }
    catalog_unref(c);
}
END_TEST

/* Each price of a write, by tier: what is inherited is whole by then. */
START_TEST(writes_are_never_below_the_prompt)
{
    static const struct {
        const char *base, *tier; /* members of cost, of its tier from 200,000 on */
        int64_t base_pusd, tier_pusd;
    } cases[] = {
        {"\"cache_write\":0.375", "", 1625000, 3250000},
        {"\"cache_write\":0.375", ",\"cache_write\":0.375", 1625000, 2875000},
        {"\"cache_write\":1.5", "", 1500000, 3000000},
        {"\"cache_write\":1.5", ",\"cache_write\":3.1", 1500000, 3100000},
        {"\"cache_write\":4", "", 4000000, -1},
        {"\"cache_read\":1", "", -1, -1},
        {"\"cache_read\":1", ",\"cache_write\":0", -1, 2500000},
    };
    char text[512];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text),
                 DEV(",\"cost\":{\"input\":1.25,\"output\":10,%s,\"tiers\":[{\"tier\":{\"size\":"
                     "200000},\"input\":2.5%s}]}"),
                 cases[i].base, cases[i].tier);
        struct catalog *c = read_text(text, CATALOG_MODELS_DEV);
        const struct price *p = &only_endpoint(c)->price;
        ck_assert_int_eq(p->base.pusd[PRICE_cache_write_5m], cases[i].base_pusd);
        ck_assert_int_eq(p->tiers[0].rates.pusd[PRICE_cache_write_5m], cases[i].tier_pusd);
        catalog_unref(c);
    }
}
END_TEST

START_TEST(abilities_are_taken_over)
{
    struct catalog *c = read_text(
        LITELLM(
            ",\"supports_function_calling\":true,\"supports_vision\":true,"
            "\"supports_web_search\":true,\"max_input_tokens\":9000,\"max_output_tokens\":\"no\""),
        CATALOG_LITELLM);
    const struct endpoint *e = only_endpoint(c);
    ck_assert_uint_ne(e->params & PARAM_BIT(PARAM_tools), 0);
    ck_assert_uint_eq(e->params & PARAM_BIT(PARAM_reasoning), 0);
    ck_assert_uint_eq(e->modalities, MODALITY_BIT(MODALITY_text) | MODALITY_BIT(MODALITY_image));
    ck_assert_str_eq(e->server_tools[0], "web_search");
    ck_assert_int_eq(e->context_length, 9000);
    ck_assert_int_eq(e->max_completion_tokens, 0);
    ck_assert_str_eq(e->upstream_model, "m");
    catalog_unref(c);
    c = read_text(ROUTER(",\"pricing\":{\"web_search\":\"0.01\"}"), CATALOG_OPENROUTER);
    ck_assert_str_eq(only_endpoint(c)->server_tools[0], "web_search");
    catalog_unref(c);
    c = read_text(ROUTER(",\"pricing\":{}"), CATALOG_OPENROUTER);
    ck_assert_int_eq(only_endpoint(c)->n_server_tools, 0);
    catalog_unref(c);
    c = read_text(DEV(",\"tool_call\":true,\"reasoning\":true,\"release_date\":\"2026-01-02\","
                      "\"limit\":{\"context\":9000,\"output\":90},"
                      "\"modalities\":{\"input\":[\"text\",\"pdf\",\"smell\"]}"),
                  CATALOG_MODELS_DEV);
    e = only_endpoint(c);
    ck_assert_uint_ne(e->params & PARAM_BIT(PARAM_tools), 0);
    ck_assert_uint_ne(e->params & PARAM_BIT(PARAM_reasoning), 0);
    ck_assert_uint_eq(e->modalities, MODALITY_BIT(MODALITY_text) | MODALITY_BIT(MODALITY_pdf));
    ck_assert_int_eq(e->max_completion_tokens, 90);
    ck_assert_int_eq(e->model->created_ms, INT64_C(1767312000000));
    catalog_unref(c);
}
END_TEST

/* The rows behind one model: the tag gives provider and variant; twins get a variant. */
START_TEST(rows_of_one_model_become_endpoints)
{
    struct catalog *c =
        read_text("{\"data\":{\"id\":\"a/m\",\"name\":\"M\",\"endpoints\":["
                  "{\"tag\":\"deepinfra/fp8\",\"quantization\":\"fp8\"},{\"tag\":\"deepinfra\"},"
                  "{\"tag\":\"deepinfra\",\"quantization\":\"bf16\"},{\"tag\":\"deepinfra\","
                  "\"quantization\":\"bf16\"},3,{\"tag\":\"\"}]}}",
                  CATALOG_OPENROUTER);
    const struct model *m = catalog_model(c, SPAN("a/m"));
    static const char *const slugs[] = {"deepinfra/fp8", "deepinfra", "deepinfra/bf16",
                                        "deepinfra/bf16-2"};
    ck_assert_int_eq(m->n_endpoints, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(m->endpoints[i]->slug, slugs[i]);
    ck_assert_int_eq(m->endpoints[0]->quantization, QUANT_fp8);
    ck_assert_str_eq(m->endpoints[0]->provider->base_url, "https://api.deepinfra.com/v1/openai");
    ck_assert(noted("-a/m at ", "names no provider"));
    catalog_unref(c);
}
END_TEST

/* A bare name goes to the author, else to the first whose address is known, else to nobody; and
 * an id is stronger than an alias, whichever comes first. */
START_TEST(bare_names_go_to_the_author)
{
    struct catalog *c = read_text(
        "{\"shady\":{\"id\":\"shady\",\"models\":{\"gpt\":{},\"only\":{}}},"
        "\"groq\":{\"id\":\"groq\",\"models\":{\"gpt\":{},\"llama\":{},\"openai/gpt\":{}}},"
        "\"deepinfra\":{\"id\":\"deepinfra\",\"models\":{\"llama\":{}}},"
        "\"openai\":{\"id\":\"openai\",\"models\":{\"gpt\":{}}},"
        "\"xai\":{\"id\":\"xai\",\"models\":{\"gpt\":{}}}}",
        CATALOG_MODELS_DEV);
    ck_assert_int_eq(c->n_models, 8);
    ck_assert_str_eq(catalog_model(c, SPAN("gpt"))->slug, "openai/gpt");
    ck_assert_str_eq(catalog_model(c, SPAN("llama"))->slug, "groq/llama");
    ck_assert_str_eq(catalog_model(c, SPAN("openai/gpt"))->slug, "openai/gpt");
    ck_assert_ptr_null(catalog_model(c, SPAN("only")));
    catalog_unref(c);
}
END_TEST

START_TEST(what_is_no_list_is_refused)
{
    static const char *const texts[] = {"{}",
                                        "{\"a\":{\"b\":{\"pricing_config\":{}}}}",
                                        "{\"a\":3}",
                                        "{\"data\":3}",
                                        "{\"endpoints\":{}}",
                                        "{\"data\":{\"id\":\"a b\",\"endpoints\":[]}}",
                                        "{\"data\":{}}",
                                        "[{\"id\":\"anthropic\",\"models\":[]}]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (int f = CATALOG_LITELLM; f <= CATALOG_OPENROUTER; f++) {
            ck_assert_msg(read_span(span_of(texts[i]), (enum catalog_format)f) == NULL, "%s",
                          texts[i]);
            ck_assert_int_eq(why.code, ERR_bad_request);
        }
    }
}
END_TEST

Suite *catalog_foreign_suite(void)
{
    Suite *s = suite_create("catalog_foreign");
    TCase *t = tcase_create("foreign");
    tcase_add_loop_test(t, a_foreign_entry_follows_the_rules, 0, sizeof(rules) / sizeof(rules[0]));
    tcase_add_test(t, writes_are_never_below_the_prompt);
    tcase_add_test(t, abilities_are_taken_over);
    tcase_add_test(t, rows_of_one_model_become_endpoints);
    tcase_add_test(t, bare_names_go_to_the_author);
    tcase_add_test(t, what_is_no_list_is_refused);
    suite_add_tcase(s, t);
    return s;
}
