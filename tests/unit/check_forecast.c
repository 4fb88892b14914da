/* What is expected of a request: the narrowest group that is known, and how far predicted costs
 * are from settled ones on traffic that was not learned from. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/calibrate.h"
#include "router/forecast.h"
#include "schema/money.h"
#include "tests/unit/recordings.h"

Suite *forecast_suite(void);

static struct forecast *f;

static void begin(void)
{
    f = forecast_new();
    ck_assert_ptr_nonnull(f);
}

static void end(void)
{
    forecast_free(f);
}

static struct chat text_chat(int64_t bytes, int64_t chars, int64_t max_tokens)
{
    struct chat c = {.max_tokens = max_tokens};
    c.prompt_bytes = bytes;
    c.prompt_chars = chars;
    return c;
}

static struct forecast_ask ask_of(const char *model, int64_t key_id, const struct chat *c)
{
    return (struct forecast_ask){model, key_id, c != NULL ? forecast_shape(c) : 0};
}

static void learn(const struct forecast_ask *ask, int n, int64_t raw, int64_t prompt,
                  int64_t completion)
{
    for (int i = 0; i < n; i++) {
        forecast_learn_prompt(f, ask, raw, prompt);
        forecast_learn_completion(f, ask, completion);
    }
}

static struct estimate_expected look(struct forecast_ask ask)
{
    struct estimate_expected e;
    forecast_look(f, &ask, &e);
    return e;
}

START_TEST(shapes)
{
    struct chat plain = text_chat(4000, 4000, 1000);
    uint32_t base = forecast_shape(&plain);
    ck_assert_uint_ne(base, 0);
    ck_assert_uint_lt(base, 1u << FORECAST_SHAPE_BITS);
    struct chat same = text_chat(3900, 3900, 900), others[] = {text_chat(4000, 4000, -1),
                                                               text_chat(4000, 4000, 5000),
                                                               text_chat(40000, 40000, 1000),
                                                               text_chat(4000, 2000, 1000),
                                                               text_chat(4000, 1333, 1000),
                                                               plain,
                                                               plain,
                                                               plain,
                                                               plain,
                                                               plain,
                                                               plain};
    others[5].needs = NEED_TOOLS;
    others[6].n_images = 1;
    others[7].n_documents = 1;
    others[8].stream = true;
    others[9].params = PARAM_BIT(PARAM_reasoning);
    others[10].params = PARAM_BIT(PARAM_response_format);
    ck_assert_uint_eq(forecast_shape(&same), base);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert_msg(forecast_shape(&others[i]) != base, "%zu", i);
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_ne(forecast_shape(&others[i]), forecast_shape(&others[k]));
    }
}
END_TEST

/* Each group speaks as soon as it has samples enough, the narrowest first. */
START_TEST(the_narrowest_group_that_is_known)
{
    struct chat small = text_chat(4000, 4000, 1000), large = text_chat(40000, 40000, 1000);
    struct chat tools = small;
    tools.needs = NEED_TOOLS;
    struct estimate_expected e = look(ask_of("m", 1, &small));
    ck_assert(e.ratio == 0 && e.completion_tok == 0);
    struct forecast_ask own = ask_of("m", 1, &small);
    learn(&own, FORECAST_SAMPLES_MIN - 1, 1000, 1500, 700);
    e = look(own);
    ck_assert(e.ratio == 0 && e.completion_tok == 0);
    learn(&own, 1, 1000, 1500, 700);
    static const struct {
        int64_t key;
        int which; /* 0 small, 1 large, 2 with tools, 3 of no shape */
        enum estimate_known ratio_by, completion_by;
    } rows[] = {
        {1, 0, ESTIMATE_BY_KEY_SHAPE, ESTIMATE_BY_KEY_SHAPE},
        {1, 1, ESTIMATE_BY_KEY, ESTIMATE_BY_KEY_KIND}, /* a prompt's size depends on its octave */
        {1, 2, ESTIMATE_BY_KEY, ESTIMATE_BY_KEY},
        {1, 3, ESTIMATE_BY_KEY, ESTIMATE_BY_KEY},
        {2, 0, ESTIMATE_BY_MODEL_SHAPE, ESTIMATE_BY_MODEL_SHAPE},
        {0, 0, ESTIMATE_BY_MODEL_SHAPE, ESTIMATE_BY_MODEL_SHAPE},
        {2, 2, ESTIMATE_BY_MODEL, ESTIMATE_BY_MODEL},
    };
    const struct chat *const chats[] = {&small, &large, &tools, NULL};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        e = look(ask_of("m", rows[i].key, chats[rows[i].which]));
        ck_assert_int_eq(e.ratio, ESTIMATE_RATIO_ONE * 3 / 2);
        ck_assert_int_eq(e.completion_tok, 700);
        ck_assert_msg(e.ratio_from.by == rows[i].ratio_by, "row %zu", i);
        ck_assert_msg(e.completion_from.by == rows[i].completion_by, "row %zu", i);
        ck_assert_int_eq(e.ratio_from.samples, FORECAST_SAMPLES_MIN);
    }
    e = look(ask_of("other", 1, &small));
    ck_assert(e.ratio == 0 && e.completion_tok == 0);
}
END_TEST

/* A change of the traffic is followed; one freak among them is not. */
START_TEST(follows_what_changes)
{
    struct chat c = text_chat(4000, 4000, 100000);
    struct forecast_ask a = ask_of("m", 1, &c);
    learn(&a, 1000, 1000, 1000, 100);
    ck_assert_int_eq(look(a).completion_tok, 100);
    forecast_learn_completion(f, &a, 90000);
    ck_assert_int_le(look(a).completion_tok, 100 + 100 * FORECAST_FREAK / FORECAST_WINDOW);
    learn(&a, 6 * FORECAST_WINDOW, 1000, 1000, 400);
    ck_assert_int_ge(look(a).completion_tok, 396);
    ck_assert_int_le(look(a).completion_tok, 404);
    forecast_learn_completion(f, &a, INT64_MAX);
    forecast_learn_prompt(f, &a, 1, INT64_MAX);
    forecast_learn_prompt(f, &a, 0, 10);
    ck_assert_int_le(look(a).completion_tok, 404);
}
END_TEST

/* More groups than there is room for: the oldest are forgotten, the others still right. */
START_TEST(memory_is_bounded)
{
    struct chat c = text_chat(4000, 4000, 1000);
    int right = 0;
    for (int64_t key = 1; key <= FORECAST_CELLS; key++) {
        struct forecast_ask a = ask_of("m", key, &c);
        learn(&a, FORECAST_SAMPLES_MIN, 1000, 1000, key);
    }
    for (int64_t key = FORECAST_CELLS - 1000; key <= FORECAST_CELLS; key++) {
        struct estimate_expected e = look(ask_of("m", key, &c));
        right += e.completion_tok == key && e.completion_from.by == ESTIMATE_BY_KEY_SHAPE;
    }
    ck_assert_int_ge(right, 990);
    ck_assert_int_eq(look(ask_of("m", 1, &c)).completion_from.by, ESTIMATE_BY_MODEL_SHAPE);
}
END_TEST

/* ---- held-back traffic ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

/* In [0, 1000], about normal with a mean of 500 and a deviation of 118: the sum of six. */
static int64_t bell(uint64_t *state)
{
    int64_t sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (int64_t)(next_random(state) % 1001);
    return sum / 6;
}

/* v times a factor around 1, percent up or down at one deviation. */
static int64_t spread(uint64_t *state, int64_t v, int64_t percent)
{
    int64_t permille = 1000 + (bell(state) - 500) * percent * 10 / 118;
    return v * (permille > 50 ? permille : 50) / 1000;
}

/* Lengths of answers have a long tail: a product of two. */
static int64_t skewed(uint64_t *state, int64_t v, int64_t percent)
{
    return spread(state, spread(state, v, percent), percent);
}

/* Applications as they are met: what their prompts look like, and how a model's tokenizer and its
 * answers take them.  Their figures are made up, but of the kind that is seen: bytes a token of
 * English 4.2, of code 3.3, of JSON 2.8, Russian 4.5 (2.3 characters), Chinese 2.4; each
 * request's own text differs by a few per cent. */
static const struct app {
    const char *model;
    int64_t key;
    int64_t bytes, bytes_spread;       /* of a prompt; per cent */
    int64_t bytes_per_char;            /* in hundredths */
    int64_t bytes_per_tok, tok_spread; /* in hundredths; per cent */
    int64_t frame_tok;                 /* what the provider puts around it */
    bool tools, stream, thinking;
    int64_t max_tokens;
    int64_t answer, answer_spread;
    int weight;
} APPS[] = {
    /* a coding agent: long prompts, tools, short answers */
    {"big", 1, 90000, 60, 100, 330, 4, 420, true, true, false, 32000, 300, 50, 40},
    /* a chat about documents */
    {"big", 2, 30000, 40, 101, 420, 4, 12, false, true, false, 4096, 450, 30, 15},
    /* the same in Russian, and in Chinese */
    {"small", 3, 24000, 40, 180, 450, 5, 12, false, true, false, 4096, 380, 35, 8},
    {"small", 4, 15000, 40, 290, 240, 5, 12, false, true, false, 4096, 350, 35, 8},
    /* labels: hardly an answer */
    {"small", 5, 6000, 30, 100, 410, 3, 10, false, false, false, 16, 4, 30, 15},
    /* extraction into JSON: as long as its form */
    {"small", 6, 12000, 30, 100, 290, 4, 30, true, false, false, 2000, 220, 15, 9},
    /* thinking about short questions: the answer is most of the cost, and differs most */
    {"big", 7, 3000, 30, 100, 400, 4, 12, false, true, true, 16000, 2200, 45, 5},
};
enum { N_APPS = sizeof(APPS) / sizeof(APPS[0]) };

struct traffic {
    struct chat chat;
    const struct app *app;
    int64_t prompt_tok, completion_tok; /* as the provider will count them */
};

static const struct app *draw_app(uint64_t *state)
{
    int at = (int)(next_random(state) % 100);
    for (int i = 0; i < N_APPS; i++) {
        at -= APPS[i].weight;
        if (at < 0)
            return &APPS[i];
    }
    ck_abort_msg("the weights add up to 100");
    return NULL;
}

static void draw(uint64_t *state, struct traffic *ret)
{
    const struct app *a = draw_app(state);
    memset(ret, 0, sizeof(*ret));
    ret->app = a;
    ret->chat.max_tokens = a->max_tokens;
    ret->chat.prompt_bytes = spread(state, a->bytes, a->bytes_spread);
    ret->chat.prompt_chars = ret->chat.prompt_bytes * 100 / a->bytes_per_char;
    ret->chat.needs = a->tools ? NEED_TOOLS : 0;
    ret->chat.stream = a->stream;
    ret->chat.params = a->thinking ? PARAM_BIT(PARAM_reasoning) : 0;
    ret->prompt_tok = a->frame_tok +
                      ret->chat.prompt_bytes * 100 / spread(state, a->bytes_per_tok, a->tok_spread);
    ret->completion_tok = skewed(state, a->answer, a->answer_spread) + 1;
    if (ret->completion_tok > a->max_tokens)
        ret->completion_tok = a->max_tokens;
}

/* $3 and $15 a million tokens; above 24,000 prompt tokens $6 and $22.5. */
static struct endpoint endpoint_with_tier(void)
{
    static struct provider_row provider = {.protocol = "anthropic", .cancel_stops_billing = true};
    struct endpoint e = {.context_length = 0, .provider = &provider};
    for (int i = 0; i < PRICE_ITEM_COUNT; i++)
        e.price.base.pusd[i] = e.price.tiers[0].rates.pusd[i] = -1;
    e.price.base.pusd[PRICE_prompt] = 3000000;
    e.price.base.pusd[PRICE_completion] = 15000000;
    e.price.n_tiers = 1;
    e.price.tiers[0].above_prompt_tok = 60000;
    e.price.tiers[0].rates.pusd[PRICE_prompt] = 6000000;
    e.price.tiers[0].rates.pusd[PRICE_completion] = 22500000;
    return e;
}

/* What the server does with a settled attempt (server/call_money.c, learn). */
static void settle(struct calibrate *c, const struct traffic *ev)
{
    struct forecast_ask a = ask_of(ev->app->model, ev->app->key, &ev->chat);
    int64_t raw = estimate_raw_tok(&ev->chat);
    calibrate_learn(c, a.model, estimate_class(&ev->chat), raw, ev->prompt_tok, ev->completion_tok);
    forecast_learn_prompt(f, &a, raw, ev->prompt_tok);
    forecast_learn_completion(f, &a, ev->completion_tok);
}

struct outcome {
    int64_t *error_ppm;
    int n;
    int above_bound;
    int64_t predicted_pusd, settled_pusd;
};

static void predict(struct calibrate *c, const struct endpoint *e, const struct traffic *ev,
                    struct outcome *t)
{
    struct estimate_expected expected = look(ask_of(ev->app->model, ev->app->key, &ev->chat));
    struct estimate_learned learned;
    struct estimate est;
    struct usage u = {.seen = 0};
    int64_t settled;
    calibrate_look(c, ev->app->model, &learned);
    estimate_make(&ev->chat, e, &expected, NULL, &est);
    estimate_apply(&ev->chat, e, &learned, &est);
    u.n[USAGE_input_tok] = ev->prompt_tok;
    u.n[USAGE_output_tok] = ev->completion_tok;
    if (!price_usage(&e->price, &u, 0, true, &settled))
        ck_abort_msg("a cost is too large");
    int64_t predicted = estimate_expected_pusd(&ev->chat, e, &est);
    t->error_ppm[t->n++] = llabs(predicted - settled) / (settled / 1000000);
    t->above_bound += ev->prompt_tok > est.prompt_bound_tok ||
                      money_charge_nusd(settled) > estimate_worst_nusd(&ev->chat, e, &est);
    t->predicted_pusd += predicted;
    t->settled_pusd += settled;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Learns from the first part and on (a server does not stop learning), and is asked of each request
 * of the rest before that one is settled. */
static void hold_back(int train, int test, struct outcome *t)
{
    struct calibrate *c = calibrate_new();
    struct endpoint e = endpoint_with_tier();
    struct traffic ev;
    uint64_t state = 88172645463325252u;
    *t = (struct outcome){.error_ppm = calloc((size_t)test, sizeof(t->error_ppm[0]))};
    ck_assert(c != NULL && t->error_ppm != NULL);
    for (int i = 0; i < train + test; i++) {
        draw(&state, &ev);
        if (i >= train)
            predict(c, &e, &ev, t);
        settle(c, &ev);
    }
    qsort(t->error_ppm, (size_t)t->n, sizeof(t->error_ppm[0]), by_size);
    calibrate_free(c);
}

static void check_errors(const struct outcome *t)
{
    int64_t bias_ppm = (t->predicted_pusd - t->settled_pusd) / (t->settled_pusd / 1000000);
    printf(
        "forecast: %d requests held back: error of the cost %.1f per cent in the median, %.1f at "
        "90 per cent; all together %+.2f per cent; %d above their bound\n",
        t->n, (double)t->error_ppm[t->n / 2] / 1e4, (double)t->error_ppm[t->n * 9 / 10] / 1e4,
        (double)bias_ppm / 1e4, t->above_bound);
    ck_assert_int_lt(t->error_ppm[t->n / 2], 100000);
    ck_assert_int_lt(llabs(bias_ppm), 20000);
}

START_TEST(held_back_traffic)
{
    struct outcome t;
    hold_back(2000, 20000, &t);
    check_errors(&t);
    ck_assert_int_le(t.above_bound, 2); /* of 20,000 */
    free(t.error_ppm);
}
END_TEST

START_TEST(held_back_traffic_long)
{
    struct outcome t;
    if (getenv("WAYFARE_LONG") == NULL)
        return; /* the million of the promise */
    hold_back(2000, 1000000, &t);
    check_errors(&t);
    ck_assert_int_lt(t.above_bound, 100);
    free(t.error_ppm);
}
END_TEST

/* ---- recorded exchanges ---- */

enum { RECORDINGS_MIN = 30, MEASURED_MAX = 400 };
static int64_t error_ppm[MEASURED_MAX];
static int n_measured;

/* Providers that read what the request does not hold: models that search unasked, a router's
 * plugins, the instructions that citations bring. */
static bool reads_more(const char *path)
{
    static const char *const WORDS[] = {"web-search", "native-options", "citations"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (strstr(path, WORDS[i]) != NULL)
            return true;
    }
    return false;
}

static int64_t counted_tok(struct json_object *exchange, bool anthropic)
{
    struct json_object *usage =
        recording_member(recording_member(recording_member(exchange, "response"), "body"), "usage");
    return anthropic ? recording_number(usage, "input_tokens") +
                           recording_number(usage, "cache_read_input_tokens") +
                           recording_number(usage, "cache_creation_input_tokens")
                     : recording_number(usage, "prompt_tokens");
}

static void compare(const char *path, const struct chat *chat, int64_t prompt_tok)
{
    struct endpoint e = endpoint_with_tier();
    struct estimate est;
    estimate_make(chat, &e, NULL, NULL, &est);
    ck_assert_msg(prompt_tok <= est.prompt_bound_tok, "%s: %lld tokens, bound %lld", path,
                  (long long)prompt_tok, (long long)est.prompt_bound_tok);
    error_ppm[n_measured++] = llabs(est.prompt_raw_tok - prompt_tok) * 1000000 / prompt_tok;
}

/* Whole answers to requests that are text and tools alone. */
static bool measure(const char *path, struct json_object *exchange)
{
    const char *api = recording_word(exchange, "api");
    bool anthropic = strcmp(api, "anthropic.messages") == 0;
    struct json_object *body = recording_member(recording_member(exchange, "request"), "body");
    int64_t prompt_tok = counted_tok(exchange, anthropic);
    if ((!anthropic && strcmp(api, "openai.chat") != 0) || prompt_tok <= 0 || body == NULL ||
        n_measured == MEASURED_MAX || reads_more(path))
        return false;
    struct json_doc doc;
    struct chat chat;
    json_init(&doc);
    chat_init(&chat);
    bool read = json_parse(&doc, span_of(json_object_to_json_string(body)), NULL) == 0 &&
                (anthropic ? chat_read_anthropic(&chat, &doc, false, NULL)
                           : chat_read_openai(&chat, &doc, NULL)) == 0 &&
                estimate_class(&chat) != ESTIMATE_CLASS_NONE;
    if (read)
        compare(path, &chat, prompt_tok);
    chat_done(&chat);
    json_done(&doc);
    return read;
}

/* A handful of each model is too little to learn from: this is what the plain estimate does before
 * anything was learned, mostly with prompts of a few hundred tokens, whose tools bring other
 * instructions at each provider.  The strict bound holds for each. */
START_TEST(recordings)
{
    n_measured = 0;
    if (recordings_replay("forecast", NULL, RECORDINGS_MIN, measure) == 0)
        return;
    qsort(error_ppm, (size_t)n_measured, sizeof(error_ppm[0]), by_size);
    printf("forecast: %d recorded prompts, nothing learned: error %.1f per cent in the median\n",
           n_measured, (double)error_ppm[n_measured / 2] / 1e4);
    ck_assert_int_lt(error_ppm[n_measured / 2], 800000);
}
END_TEST

Suite *forecast_suite(void)
{
    Suite *s = suite_create("forecast");
    TCase *t = tcase_create("forecast");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, shapes);
    tcase_add_test(t, the_narrowest_group_that_is_known);
    tcase_add_test(t, follows_what_changes);
    tcase_add_test(t, memory_is_bounded);
    tcase_add_test(t, held_back_traffic);
    tcase_add_test(t, held_back_traffic_long);
    tcase_add_test(t, recordings);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}
