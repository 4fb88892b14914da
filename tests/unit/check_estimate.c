/* Sizes and costs before sending: the expected figures, and bounds that hold. */
#include <check.h>
#include <stdio.h>

#include "router/estimate.h"
#include "schema/money.h"

Suite *estimate_suite(void);

static struct endpoint endpoint_of(int64_t prompt_usd, int64_t completion_usd)
{
    struct endpoint e = {.context_length = 0};
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.base.pusd[i] = -1;
    e.price.base.pusd[PRICE_prompt] = prompt_usd * 1000000;
    e.price.base.pusd[PRICE_completion] = completion_usd * 1000000;
    return e;
}

/* What is held for what is around the text of one message. */
enum { FRAME_TOK = BOUND_FRAME_TOK + BOUND_MESSAGE_TOK };

static struct chat text_chat(int64_t bytes, int64_t chars, int64_t max_tokens)
{
    struct chat c = {.max_tokens = max_tokens, .parts = {.n_messages = 1}};
    c.prompt_bytes = bytes;
    c.prompt_chars = chars;
    return c;
}

static void name_tool(struct chat *c, int i, const char *type)
{
    snprintf(c->server_tools[i], CHAT_TOOL_TYPE_MAX, "%s", type);
}

static struct estimate make(const struct chat *c, const struct endpoint *e)
{
    struct estimate est;
    estimate_make(c, e, NULL, NULL, &est);
    return est;
}

/* With a learned length, and so many tokens in a cache that is surely warm. */
static struct estimate make_with(const struct chat *c, const struct endpoint *e, int64_t cached,
                                 int64_t completion)
{
    const struct estimate_expected expected = {.completion_tok = completion};
    const struct estimate_cache cache = {.tok = cached, .hit_ppm = ESTIMATE_SURE};
    struct estimate est;
    estimate_make(c, e, &expected, &cache, &est);
    return est;
}

START_TEST(text)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat ascii = text_chat(4000, 4000, 100), cjk = text_chat(9000, 3000, 100);
    struct chat empty = text_chat(0, 0, 100), cyrillic = text_chat(2000, 1000, 100);
    ck_assert_int_eq(make(&ascii, &e).prompt_tok, 8 + 1000);
    ck_assert_int_eq(make(&cjk, &e).prompt_tok, 8 + 2000);
    ck_assert_int_eq(make(&empty, &e).prompt_tok, 8);
    /* 500 of 1000 characters counted as wide */
    ck_assert_int_eq(make(&cyrillic, &e).prompt_tok, 8 + 125 + 334);
}
END_TEST

START_TEST(attachments_and_tools)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(400, 400, 100);
    int64_t plain = make(&c, &e).prompt_tok;
    c.n_images = 3;
    ck_assert_int_eq(make(&c, &e).prompt_tok - plain, 3 * 1600);
    c.n_images = 0;
    c.n_documents = 1;
    c.document_bytes = 100000;
    ck_assert_int_eq(make(&c, &e).prompt_tok - plain, 1500 + 5000);
    c.n_documents = 0;
    c.document_bytes = 0;
    c.needs = NEED_TOOLS;
    ck_assert_int_eq(make(&c, &e).prompt_tok - plain, 350);
}
END_TEST

START_TEST(completion)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(400, 400, 100);
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(est.completion_tok, 100);
    ck_assert_int_eq(est.completion_bound_tok, 100);
    c.max_tokens = 4096;
    ck_assert_int_eq(make(&c, &e).completion_tok, 512);
    est = make_with(&c, &e, 0, 1500);
    ck_assert_int_eq(est.completion_tok, 1500);
    est = make_with(&c, &e, 0, 9999);
    ck_assert_int_eq(est.completion_tok, 4096);
    c.max_tokens = -1;
    ck_assert_int_eq(make(&c, &e).completion_bound_tok, ESTIMATE_COMPLETION_BOUND_TOK);
    e.context_length = 8192;
    ck_assert_int_eq(make(&c, &e).completion_bound_tok, 8192);
    e.max_completion_tokens = 64000;
    ck_assert_int_eq(make(&c, &e).completion_bound_tok, 64000);
    c.max_tokens = 0;
    ck_assert_int_eq(make(&c, &e).completion_bound_tok, 64000);
    ck_assert_int_eq(make(&c, &e).completion_tok, 0);
}
END_TEST

START_TEST(cached_part)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(4000, 4000, 100);
    struct estimate est;
    est = make_with(&c, &e, 600, 0);
    ck_assert_int_eq(est.read_tok, 600);
    /* no cache price: the prompt price */
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est), 1008 * 3000000ll + 100 * 15000000ll);
    e.price.base.pusd[PRICE_cache_read] = 300000;
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est),
                     408 * 3000000ll + 600 * 300000ll + 100 * 15000000ll);
    est = make_with(&c, &e, 99999, 0);
    ck_assert_int_eq(est.read_tok, 1008);
    est = make_with(&c, &e, -5, 0);
    ck_assert_int_eq(est.read_tok, 0);
}
END_TEST

/* What a request tells the endpoint to cache is read or written; what is written is dearer. */
START_TEST(cache_writes)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(9968, 9968, 100); /* 2,500 tokens */
    c.n_prefixes = 2;
    c.prefixes[0] = (struct chat_prefix){.bytes = 4984, .one_hour = true};
    c.prefixes[1] = (struct chat_prefix){.bytes = 7476};
    c.cache_write_5m = c.cache_write_1h = true;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(est.write_5m_tok + est.write_1h_tok, 0); /* no price of its own */
    e.price.base.pusd[PRICE_cache_read] = 300000;
    e.price.base.pusd[PRICE_cache_write_5m] = 3750000;
    e.price.base.pusd[PRICE_cache_write_1h] = 6000000;
    est = make(&c, &e);
    ck_assert_int_eq(est.prompt_tok, 2500);
    ck_assert_int_eq(est.write_1h_tok, 1250);
    ck_assert_int_eq(est.write_5m_tok, 625);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est),
                     625 * 3000000ll + 1250 * 6000000ll + 625 * 3750000ll + 100 * 15000000ll);
    e.price.base.pusd[PRICE_cache_write_1h] = -1; /* billed as five minutes, then */
    est = make(&c, &e);
    ck_assert_int_eq(est.write_1h_tok, 0);
    ck_assert_int_eq(est.write_5m_tok, 1875);
    e.price.base.pusd[PRICE_cache_write_1h] = 6000000;
    est = make_with(&c, &e, 1500, 0); /* surely warm: only what is new is written */
    ck_assert_int_eq(est.read_tok, 1500);
    ck_assert_int_eq(est.write_1h_tok, 0);
    ck_assert_int_eq(est.write_5m_tok, 375);
    ck_assert(estimate_is_warm(&est));
    const struct estimate_cache half = {.tok = 1500, .hit_ppm = ESTIMATE_SURE / 2};
    estimate_make(&c, &e, NULL, &half, &est);
    ck_assert_int_eq(est.read_tok, 750);
    ck_assert_int_eq(est.write_1h_tok, 625);
    ck_assert_int_eq(est.write_5m_tok, (375 + 625) / 2);
    const struct estimate_cache seldom = {.tok = 1500, .hit_ppm = ESTIMATE_WARM_PPM - 1};
    estimate_make(&c, &e, NULL, &seldom, &est);
    ck_assert(!estimate_is_warm(&est));
    c.prefixes[1].bytes = c.prefixes[0].bytes = 3000; /* too short to be kept */
    est = make(&c, &e);
    ck_assert_int_eq(est.write_5m_tok + est.write_1h_tok, 0);
}
END_TEST

/* The best guess moves with what was learned; bounds do not, and it stays within them. */
START_TEST(learned_prompt)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(4000, 4000, 100);
    struct estimate_expected known = {.ratio = ESTIMATE_RATIO_ONE / 2,
                                      .ratio_from = {ESTIMATE_BY_KEY, 9}};
    struct estimate est;
    estimate_make(&c, &e, &known, NULL, &est);
    ck_assert_int_eq(est.prompt_raw_tok, 1008);
    ck_assert_int_eq(est.prompt_tok, 504);
    ck_assert_int_eq(est.prompt_from.samples, 9);
    ck_assert_int_eq(est.prompt_bound_tok, 4000 + FRAME_TOK);
    struct estimate_learned l = {.ratio = {ESTIMATE_RATIO_ONE * 2}};
    estimate_apply(&c, &e, &l, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 2 * 1008 + FRAME_TOK);
    known.ratio = ESTIMATE_RATIO_ONE * 5;
    estimate_make(&c, &e, &known, NULL, &est);
    ck_assert_int_eq(est.prompt_tok, 4000 + FRAME_TOK);
    known.ratio = ESTIMATE_RATIO_ONE * 3;
    estimate_make(&c, &e, &known, NULL, &est);
    estimate_apply(&c, &e, &l, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 3 * 1008);
}
END_TEST

/* Two turns more: 9,968 bytes are 2,500 tokens, which are kept, and the answer of 100 comes to
 * them. */
START_TEST(what_follows)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(9968, 9968, 100);
    struct estimate est = make(&c, &e);
    struct estimate_ahead none = {.keep_ppm = ESTIMATE_SURE};
    struct estimate_ahead two = {.turns_milli = 2000, .keep_ppm = ESTIMATE_SURE};
    ck_assert_int_eq(estimate_ahead_pusd(&c, &e, &est, &none), 0);
    e.price.base.pusd[PRICE_cache_read] = 300000;
    ck_assert_int_eq(estimate_ahead_pusd(&c, &e, &est, &two),
                     2 * (2500 * 300000ll + 100 * 3000000ll + 100 * 15000000ll));
    two.keep_ppm = 0;
    ck_assert_int_eq(estimate_ahead_pusd(&c, &e, &est, &two),
                     2 * (2600 * 3000000ll + 100 * 15000000ll));
    est.prompt_tok = INT64_MAX;
    ck_assert_int_eq(estimate_ahead_pusd(&c, &e, &est, &two), 0);
}
END_TEST

START_TEST(expected_fees_and_tier)
{
    struct endpoint e = endpoint_of(1, 2);
    struct chat c = text_chat(4000, 4000, 100);
    e.price.base.pusd[PRICE_request] = 11;
    e.price.base.pusd[PRICE_image] = 100;
    e.price.base.pusd[PRICE_web_search] = 1000;
    c.web_search_uses = -1;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est),
                     1008 * 1000000ll + 100 * 2000000ll + 11 + 1000);
    c.web_search_uses = 0;
    c.n_images = 2;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est),
                     (1008 + 3200) * 1000000ll + 100 * 2000000ll + 11 + 200);
    e.price.n_tiers = 1;
    e.price.tiers[0].above_prompt_tok = 4207;
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.tiers[0].rates.pusd[i] = -1;
    e.price.tiers[0].rates.pusd[PRICE_prompt] = 5000000;
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est),
                     (1008 + 3200) * 5000000ll + 100 * 2000000ll + 11 + 200);
}
END_TEST

START_TEST(worst_case_of_text)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(1000, 1000, 100);
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(est.prompt_bound_tok, 1000 + FRAME_TOK);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 1080 * 3000ll + 100 * 15000ll);
    /* rounded up */
    e.price.base.pusd[PRICE_request] = 1;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 1080 * 3000ll + 100 * 15000ll + 1);
}
END_TEST

START_TEST(worst_case_takes_the_dearest_cache_rate_in_question)
{
    struct endpoint e = endpoint_of(3, 0);
    struct chat c = text_chat(920, 920, 0);
    e.price.base.pusd[PRICE_cache_write_5m] = 3750000;
    e.price.base.pusd[PRICE_cache_write_1h] = 6000000;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(est.prompt_bound_tok, 1000);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 3000000);
    c.cache_write_5m = true;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 3750000);
    c.cache_write_1h = true;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 6000000);
    c.cache_write_5m = false; /* what the answer does not divide may be either */
    e.price.base.pusd[PRICE_cache_write_1h] = -1;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 3750000);
    e.price.base.pusd[PRICE_cache_read] = 7000000;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 7000000);
}
END_TEST

/* An endpoint that searches for every answer does so whether it is asked or not; one that goes on
 * until it knows enough reads and thinks as well, whatever max_tokens says. */
START_TEST(worst_case_of_searches_that_nobody_asked_for)
{
    struct provider_row px = {.protocol = "openai", .cancel_stops_billing = true};
    struct endpoint e = endpoint_of(2, 8);
    struct chat c = text_chat(920, 920, 100);
    e.provider = &px;
    e.context_length = 128000;
    e.params = PARAM_BIT(PARAM_temperature);
    e.price.base.pusd[PRICE_web_search] = 5000000000; /* 0.005 USD */
    const int64_t text_nusd = 1000 * 2000ll + 100 * 8000ll, search_nusd = 5000000;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), text_nusd);
    int64_t expected = estimate_expected_pusd(&c, &e, &est);
    e.search = SEARCH_FEE;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), text_nusd + 10 * search_nusd);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est), expected + 5000000000);
    ck_assert_int_eq(estimate_class_at(&c, &e), ESTIMATE_CLASS_NARROW);
    e.search = SEARCH_READS;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est),
                     text_nusd + 10 * search_nusd + 128000 * 2000ll);
    ck_assert_int_eq(estimate_class_at(&c, &e), ESTIMATE_CLASS_NONE);
    e.search = SEARCH_DEEP;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est),
                     text_nusd + 100 * search_nusd + 128000 * 2000ll + 131072 * 8000ll);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est), expected + 20 * 5000000000);
    ck_assert_int_eq(
        estimate_fit_tok(&c, &e, &est,
                         estimate_worst_nusd(&c, &e, &est) - 100 * 8000ll + 7 * 8000ll),
        7);
    /* more that was asked for is held for */
    c.web_search_uses = 200;
    est = make(&c, &e);
    ck_assert_int_gt(estimate_worst_nusd(&c, &e, &est), 200 * search_nusd + 131072 * 8000ll);
    /* the whole at once, and nothing of what was learned of other prompts */
    c.web_search_uses = 0;
    c.max_tokens = -1;
    c.stream = true;
    est = make(&c, &e);
    int64_t bound = est.prompt_bound_tok;
    const struct estimate_learned small = {.ratio = {1, 1}, .completion_tok = 1};
    estimate_apply(&c, &e, &small, &est);
    ck_assert_int_eq(est.prompt_bound_tok, bound);
    ck_assert_int_eq(est.completion_hold_tok, est.completion_bound_tok);
}
END_TEST

/* Each token may be the dear one, where there is sound at all. */
START_TEST(worst_case_of_sound)
{
    struct provider_row openai = {.protocol = "openai", .cancel_stops_billing = true};
    struct provider_row gemini = {.protocol = "gemini", .cancel_stops_billing = true};
    struct endpoint e = endpoint_of(3, 10);
    struct chat c = text_chat(920, 920, 100);
    e.provider = &openai;
    e.params = PARAM_BIT(PARAM_temperature);
    e.price.base.pusd[PRICE_audio] = 32000000;
    e.price.base.pusd[PRICE_audio_completion] = 64000000;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 1000 * 3000ll + 100 * 10000ll);
    c.sounds = true;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 1000 * 32000ll + 100 * 10000ll);
    c.speaks = true;
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 1000 * 32000ll + 100 * 64000ll);
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, 1000 * 32000ll + 7 * 64000ll), 7);
    ck_assert_int_eq(estimate_class(&c), ESTIMATE_CLASS_NONE);
    /* what it is expected to cost: of the prompt the part that is sound */
    c.document_bytes = c.audio_bytes = 100 * ESTIMATE_DOCUMENT_BYTES_PER_TOK;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est),
                     (est.prompt_tok - 100) * 3000000 + 100 * 32000000ll + 100 * 64000000ll);
    /* an answer in sound is not seen by its text while it comes: all is held at once */
    c.stream = true;
    c.max_tokens = -1;
    est = make(&c, &e);
    const struct estimate_learned nothing = {.completion_tok = 0};
    estimate_apply(&c, &e, &nothing, &est);
    ck_assert_int_eq(est.completion_hold_tok, est.completion_bound_tok);
    /* other protocols are not told of that wish */
    e.provider = &gemini;
    ck_assert(!estimate_speaks(&c, &e));
    est = make(&c, &e);
    estimate_apply(&c, &e, &nothing, &est);
    ck_assert_int_lt(est.completion_hold_tok, est.completion_bound_tok);
}
END_TEST

/* 250,000 bytes are about 62,500 tokens, but can be 250,000: the tier is in reach. */
START_TEST(worst_case_reaches_the_dear_tier)
{
    struct endpoint e = endpoint_of(3, 0);
    struct chat c = text_chat(250000, 250000, 1);
    e.price.n_tiers = 1;
    e.price.tiers[0].above_prompt_tok = 200000;
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.tiers[0].rates.pusd[i] = -1;
    e.price.tiers[0].rates.pusd[PRICE_prompt] = 6000000;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est), 62508 * 3000000ll);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 250080 * 6000ll);
}
END_TEST

START_TEST(worst_case_of_searches_images_documents)
{
    struct endpoint e = endpoint_of(1, 0);
    struct chat c = text_chat(920, 920, 1);
    e.price.base.pusd[PRICE_web_search] = 10000000000;
    e.price.base.pusd[PRICE_image] = 1000000000;
    c.web_search_uses = 3;
    name_tool(&c, c.n_server_tools++, "web_search_20250305");
    struct estimate est = make(&c, &e);
    /* the text and what was found are read again after each search */
    ck_assert_int_eq(est.prompt_bound_tok, 4 * 1000 + 3 + (1 + 2 + 3) * 25000);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 154003 * 1000ll + 3 * 10000000ll);
    c.web_search_uses = -1;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est),
                     (11010 + 55 * 25000) * 1000ll + 10 * 10000000ll);
    c.web_search_uses = c.n_server_tools = 0;
    c.n_images = 2;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 17384 * 1000ll + 2 * 1000000ll);
    /* What is not text cannot be larger than the context. */
    c.n_images = 0;
    c.n_documents = 4;
    e.context_length = 200000;
    est = make(&c, &e);
    ck_assert_int_eq(est.prompt_bound_tok, 201000);
}
END_TEST

START_TEST(overflow_is_the_largest_amount)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(1000, 1000, INT64_MAX);
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), INT64_MAX);
    est = make_with(&c, &e, 0, INT64_MAX);
    ck_assert_int_eq(estimate_expected_pusd(&c, &e, &est), INT64_MAX);
    c.max_tokens = 10;
    c.web_search_uses = INT64_MAX;
    e.price.base.pusd[PRICE_web_search] = 10;
    est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), INT64_MAX);
}
END_TEST

/* A conversation that the provider keeps is read with the text. */
START_TEST(worst_case_of_threads)
{
    struct endpoint e = endpoint_of(1, 0);
    struct chat c = text_chat(920, 920, 0);
    c.pinned_field = "thread.previous_message_id";
    ck_assert_int_eq(make(&c, &e).prompt_bound_tok, 1000 + 1000000);
    e.context_length = 200000;
    ck_assert_int_eq(make(&c, &e).prompt_bound_tok, 1000 + 200000);
    c.pinned_field = "container";
    ck_assert_int_eq(make(&c, &e).prompt_bound_tok, 1000);
}
END_TEST

/* A long cache write is a different thing at the tier that the prompt may reach. */
START_TEST(worst_case_of_cache_writes_at_the_dear_tier)
{
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(300000, 300000, 10);
    c.cache_write_1h = true;
    e.price.base.pusd[PRICE_cache_write_1h] = 6000000;
    e.price.n_tiers = 1;
    e.price.tiers[0].above_prompt_tok = 200000;
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.tiers[0].rates.pusd[i] = -1;
    e.price.tiers[0].rates.pusd[PRICE_cache_write_1h] = 12000000;
    e.price.tiers[0].rates.pusd[PRICE_completion] = 22500000;
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 300080 * 12000ll + 10 * 22500ll);
    /* known to be a third of that, it stays below the tier */
    struct estimate_learned learned = {.ratio = {1024 + 256, 0}};
    struct provider_row p = {.protocol = "anthropic", .cancel_stops_billing = true};
    e.provider = &p;
    estimate_apply(&c, &e, &learned, &est);
    ck_assert_int_eq(est.prompt_bound_tok, (75008 * 5 + 3) / 4 + FRAME_TOK);
    ck_assert_int_eq(estimate_worst_nusd(&c, &e, &est), 93840 * 6000ll + 10 * 15000ll);
}
END_TEST

START_TEST(learned_bounds)
{
    struct provider_row stops = {.protocol = "anthropic", .cancel_stops_billing = true};
    struct provider_row bills = {.protocol = "anthropic"};
    struct provider_row openai = {.protocol = "openai", .cancel_stops_billing = true};
    struct endpoint e = endpoint_of(3, 15);
    struct chat c = text_chat(4000, 4000, 100), cjk = text_chat(9000, 3000, 100);
    struct estimate_learned none = {0}, some = {.ratio = {2048, 4096}, .completion_tok = 300};
    struct estimate est = make(&c, &e);
    e.provider = &stops;
    estimate_apply(&c, &e, &none, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 4080);
    estimate_apply(&c, &e, &some, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 2 * 1008 + FRAME_TOK);
    est = make(&cjk, &e);
    ck_assert_int_eq(estimate_class(&cjk), ESTIMATE_CLASS_WIDE);
    cjk.needs = NEED_AUDIO;
    ck_assert_int_eq(estimate_class(&cjk), ESTIMATE_CLASS_NONE);
    cjk.needs = 0;
    estimate_apply(&cjk, &e, &some, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 4 * 2008 + FRAME_TOK);
    /* never above what is provable */
    some.ratio[0] = some.ratio[1] = INT64_MAX;
    est = make(&c, &e);
    estimate_apply(&c, &e, &some, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 4080);
    some.ratio[0] = 100 * 1024;
    estimate_apply(&c, &e, &some, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 4080);
    /* pictures are not text */
    some.ratio[0] = 1024;
    c.n_images = 1;
    est = make(&c, &e);
    estimate_apply(&c, &e, &some, &est);
    ck_assert_int_eq(est.prompt_bound_tok, 4080 + BOUND_IMAGE_TOK);
    c.n_images = 0;

    /* the first hold for the completion */
    est = make(&c, &e);
    estimate_apply(&c, &e, &some, &est);
    ck_assert_int_eq(est.completion_hold_tok, 100);
    c.max_tokens = -1;
    const struct {
        bool stream, thinks;
        const struct provider_row *provider;
        int64_t learned, want;
        uint32_t params, rules; /* of the endpoint */
    } cases[] = {
        {true, false, &stops, 0, ESTIMATE_FIRST_TOK, 0, 0},
        {true, false, &stops, 300, ESTIMATE_FIRST_MIN_TOK, 0, 0},
        {true, false, &stops, 5000, 5000, 0, 0},
        {true, false, &stops, 500000, 64000, 0, 0},
        {false, false, &stops, 300, 64000, 0, 0},
        {true, true, &stops, 300, 64000, 0, 0},
        {true, false, &bills, 300, 64000, 0, 0},
        /* Who may think without being asked, and unseen. */
        {true, false, &stops, 5000, 5000, PARAM_BIT(PARAM_reasoning), 0},
        {true, false, &stops, 5000, 64000, 0, RULE_BIT(RULE_thinking_always)},
        {true, false, &openai, 5000, 64000, 0, 0}, /* nothing is known of it */
        {true, false, &openai, 5000, 64000, PARAM_BIT(PARAM_reasoning_effort), 0},
        {true, false, &openai, 5000, 5000, PARAM_BIT(PARAM_temperature), 0},
    };
    e.max_completion_tokens = 64000;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c.stream = cases[i].stream;
        c.params = cases[i].thinks ? PARAM_BIT(PARAM_reasoning) : 0;
        e.provider = cases[i].provider;
        e.params = cases[i].params;
        e.rules = cases[i].rules;
        some.completion_tok = cases[i].learned;
        est = make(&c, &e);
        estimate_apply(&c, &e, &some, &est);
        ck_assert_msg(est.completion_hold_tok == cases[i].want, "case %zu: %lld", i,
                      (long long)est.completion_hold_tok);
        ck_assert_int_eq(est.completion_bound_tok, 64000);
    }
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Breakpoints at random places, those for an hour first. */
static void mark(struct chat *c, uint64_t *state)
{
    int64_t bytes = 0;
    c->n_prefixes = (int)(next_random(state) % (CHAT_PREFIXES_MAX + 1));
    int hours = (int)(next_random(state) % (CHAT_PREFIXES_MAX + 1));
    for (int i = 0; i < c->n_prefixes; i++) {
        bytes += (int64_t)(next_random(state) % (uint64_t)(c->prompt_bytes - bytes + 1));
        c->prefixes[i] = (struct chat_prefix){.bytes = bytes, .one_hour = i < hours};
        if (i < hours)
            c->cache_write_1h = true;
        else
            c->cache_write_5m = true;
    }
}

static void check_parts(const struct chat *c, const struct endpoint *e, const struct estimate *est,
                        int64_t expected)
{
    struct estimate_cost p;
    bool fits = estimate_cost(c, e, est, &p);
    if (!fits ||
        p.prompt_pusd + p.cache_read_pusd + p.cache_write_pusd + p.completion_pusd + p.fee_pusd !=
            expected)
        ck_abort_msg("the parts are not %lld", (long long)expected);
    if (est->read_tok < 0 || est->write_5m_tok < 0 || est->write_1h_tok < 0 ||
        est->read_tok + est->write_5m_tok + est->write_1h_tok > est->prompt_tok)
        ck_abort_msg("%lld read, %lld and %lld written of %lld", (long long)est->read_tok,
                     (long long)est->write_5m_tok, (long long)est->write_1h_tok,
                     (long long)est->prompt_tok);
}

/* Whatever the request and the price: the expected cost is within the worst case, its parts add
 * up, and no token is counted twice. */
START_TEST(worst_case_covers_the_expected)
{
    uint64_t state = 42;
    for (int i = 0; i < 20000; i++) {
        struct endpoint e = endpoint_of((int64_t)(next_random(&state) % 20), 15);
        int64_t bytes = (int64_t)(next_random(&state) % 900000);
        struct chat c = text_chat(bytes, bytes - bytes * (int64_t)(next_random(&state) % 66) / 100,
                                  (int64_t)(next_random(&state) % 8000) - 1);
        for (int item = PRICE_cache_read; item < PRICE_ITEM_COUNT; item++)
            e.price.base.pusd[item] = (int64_t)(next_random(&state) % 20000000) - 1;
        e.price.n_tiers = 1;
        e.price.tiers[0].above_prompt_tok = (int64_t)(next_random(&state) % 300000);
        for (int item = 0; item < PRICE_ITEM_COUNT; item++)
            e.price.tiers[0].rates.pusd[item] = (int64_t)(next_random(&state) % 30000000) - 1;
        e.context_length = (int64_t)(next_random(&state) % 3) * 100000;
        c.n_images = (int)(next_random(&state) % 30);
        c.n_documents = (int)(next_random(&state) % 4);
        c.document_bytes = c.n_documents > 0 ? (int64_t)(next_random(&state) % 9000000) : 0;
        c.web_search_uses = (int64_t)(next_random(&state) % 4) - 1;
        c.needs = next_random(&state) % 2 ? NEED_TOOLS : 0;
        const struct estimate_expected known = {.ratio = (int64_t)(next_random(&state) % 8000),
                                                .completion_tok =
                                                    (int64_t)(next_random(&state) % 4000)};
        const struct estimate_cache cache = {.tok = (int64_t)(next_random(&state) % 100000),
                                             .hit_ppm = (int64_t)(next_random(&state) % 1000001)};
        mark(&c, &state);
        struct estimate est;
        estimate_make(&c, &e, &known, &cache, &est);
        int64_t expected = estimate_expected_pusd(&c, &e, &est);
        check_parts(&c, &e, &est, expected);
        /* not ck_assert: it writes a record for each one that passes */
        if (estimate_worst_nusd(&c, &e, &est) < money_charge_nusd(expected) ||
            est.prompt_bound_tok < est.prompt_tok || est.completion_bound_tok < est.completion_tok)
            ck_abort_msg("round %d: expected %lld pico-USD", i, (long long)expected);
    }
}
END_TEST

/* Whatever the request, the price and the room: what fits fits, and one token more does not. */
START_TEST(what_fits_is_the_most)
{
    uint64_t state = 7;
    int fitted = 0;
    for (int i = 0; i < 50000; i++) {
        struct endpoint e = endpoint_of((int64_t)(next_random(&state) % 20), 0);
        int64_t bytes = (int64_t)(next_random(&state) % 300000);
        struct chat c = text_chat(bytes, bytes, -1);
        e.price.base.pusd[PRICE_completion] = (int64_t)(next_random(&state) % 80000000);
        e.price.base.pusd[PRICE_request] = (int64_t)(next_random(&state) % 20000000);
        e.price.n_tiers = (int)(next_random(&state) % 2);
        e.price.tiers[0].above_prompt_tok = (int64_t)(next_random(&state) % 300000);
        for (int item = 0; item < PRICE_ITEM_COUNT; item++)
            e.price.tiers[0].rates.pusd[item] = (int64_t)(next_random(&state) % 90000000) - 1;
        c.cache_write_1h = next_random(&state) % 2;
        struct estimate est;
        est = make_with(&c, &e, 0, 0);
        int64_t room = (int64_t)(next_random(&state) % 9000000000) - 1000;
        int64_t tok = estimate_fit_tok(&c, &e, &est, room);
        if (tok == INT64_MAX)
            continue;
        est.completion_bound_tok = tok < 0 ? 0 : tok;
        int64_t worst = estimate_worst_nusd(&c, &e, &est);
        est.completion_bound_tok = tok + 1;
        int64_t more = estimate_worst_nusd(&c, &e, &est);
        if (tok < 0 ? worst <= room : worst > room || more <= room)
            ck_abort_msg("round %d: %lld tokens in %lld, worst %lld, one more %lld", i,
                         (long long)tok, (long long)room, (long long)worst, (long long)more);
        fitted += tok > 0;
    }
    ck_assert_int_gt(fitted, 15000);
}
END_TEST

START_TEST(fits_at_the_edges)
{
    struct endpoint e = endpoint_of(1, 1);
    struct chat c = text_chat(920, 920, 50);
    struct estimate est = make(&c, &e);
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, -1), -1);
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, 999999), -1);
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, 1000000), 0);
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, 1000999), 0);
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, 1001000), 1);
    ck_assert_int_gt(estimate_fit_tok(&c, &e, &est, INT64_MAX), INT64_C(1) << 40);
    e.price.base.pusd[PRICE_completion] = 0;
    ck_assert_int_eq(estimate_fit_tok(&c, &e, &est, 1000000), INT64_MAX);
}
END_TEST

Suite *estimate_suite(void)
{
    Suite *s = suite_create("estimate");
    TCase *t = tcase_create("estimate");
    tcase_add_test(t, text);
    tcase_add_test(t, attachments_and_tools);
    tcase_add_test(t, completion);
    tcase_add_test(t, cached_part);
    tcase_add_test(t, cache_writes);
    tcase_add_test(t, learned_prompt);
    tcase_add_test(t, expected_fees_and_tier);
    tcase_add_test(t, worst_case_of_text);
    tcase_add_test(t, worst_case_takes_the_dearest_cache_rate_in_question);
    tcase_add_test(t, worst_case_of_searches_that_nobody_asked_for);
    tcase_add_test(t, worst_case_of_sound);
    tcase_add_test(t, worst_case_reaches_the_dear_tier);
    tcase_add_test(t, worst_case_of_searches_images_documents);
    tcase_add_test(t, worst_case_of_threads);
    tcase_add_test(t, worst_case_of_cache_writes_at_the_dear_tier);
    tcase_add_test(t, learned_bounds);
    tcase_add_test(t, what_follows);
    tcase_add_test(t, what_fits_is_the_most);
    tcase_add_test(t, fits_at_the_edges);
    tcase_add_test(t, overflow_is_the_largest_amount);
    tcase_add_test(t, worst_case_covers_the_expected);
    suite_add_tcase(s, t);
    return s;
}
