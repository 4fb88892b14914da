#define _GNU_SOURCE
/* Exports in the documented shapes of each provider, and what the comparison makes of them. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "router/correction.h"
#include "router/ledger_book.h"
#include "router/reconcile.h"
#include "router/rollup_db.h"
#include "tests/unit/ledger_world.h"

#define DAY INT64_C(20782) /* 2026-11-25 */

static struct reconcile_export e;
static struct fail why;

static int read_text(const char *text, const char *format)
{
    reconcile_done(&e);
    why = (struct fail){0};
    return reconcile_read(span_of(text), format, &e, &why);
}

#define ANTHROPIC                                                                                  \
    "{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\": "                      \
    "\"2026-11-26T00:00:00Z\",\n \"results\": [{\"uncached_input_tokens\": 1500,"                  \
    " \"cache_creation\": {\"ephemeral_1h_input_tokens\": 1000, \"ephemeral_5m_input_tokens\":"    \
    " 500}, \"cache_read_input_tokens\": 200, \"output_tokens\": 700, \"server_tool_use\":"        \
    " {\"web_search_requests\": 10}, \"api_key_id\": null, \"workspace_id\": \"wrkspc_1\","        \
    " \"model\": \"claude-large-20260101\", \"service_tier\": \"standard\","                       \
    " \"context_window\": \"0-200k\"},\n {\"uncached_input_tokens\": 1, \"cache_creation\":"       \
    " {\"ephemeral_1h_input_tokens\": 0, \"ephemeral_5m_input_tokens\": 0},"                       \
    " \"cache_read_input_tokens\": 0, \"output_tokens\": 2, \"server_tool_use\":"                  \
    " {\"web_search_requests\": 0}, \"model\": \"claude-large-20260101\","                         \
    " \"service_tier\": \"priority\"}]},\n"                                                        \
    "{\"starting_at\": \"2026-11-26T00:00:00Z\", \"ending_at\": \"2026-11-27T00:00:00Z\","         \
    " \"results\": []}], \"has_more\": false, \"next_page\": null}"

START_TEST(anthropic_usage)
{
    ck_assert_msg(read_text(ANTHROPIC, NULL) == 0, "%s", why.text);
    ck_assert_str_eq(e.format, "anthropic");
    ck_assert_uint_eq(e.n, 1); /* two service tiers of one model */
    ck_assert_int_eq(e.rows[0].day, DAY);
    ck_assert_str_eq(e.rows[0].model, "claude-large-20260101");
    ck_assert_int_eq(e.rows[0].figures[USAGE_input_tok], 1501);
    ck_assert_int_eq(e.rows[0].figures[USAGE_output_tok], 702);
    ck_assert_int_eq(e.rows[0].figures[USAGE_cache_read_tok], 200);
    ck_assert_int_eq(e.rows[0].figures[USAGE_cache_write_5m_tok], 500);
    ck_assert_int_eq(e.rows[0].figures[USAGE_cache_write_1h_tok], 1000);
    ck_assert_int_eq(e.rows[0].figures[USAGE_web_searches], 10);
    ck_assert_uint_eq(e.told, (1u << (USAGE_web_searches + 1)) - 1);
    ck_assert_int_eq(e.span.start_ms, DAY * 86400000);
    ck_assert_int_eq(e.span.end_ms, (DAY + 2) * 86400000); /* the empty day is covered */
}
END_TEST

/* In any order; a page is missing in between, and a bucket may be less than a day. */
START_TEST(covered_days)
{
    static const char *const buckets[][2] = {{"29T00:00", "30T00:00"}, {"26T00:00", "27T00:00"},
                                             {"25T12:00", "26T00:00"}, {"24T12:00", "25T00:00"},
                                             {"25T00:00", "25T12:00"}, {"27T00:00", "27T23:59"}};
    static const bool covered[] = {false, true, true, false, false, true, false};
    char text[2048] = "[";
    for (int i = 0; i < 6; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n,
                 "%s{\"starting_at\": \"2026-11-%s:00Z\", \"ending_at\": \"2026-11-%s:00Z\","
                 " \"results\": [{\"model\": \"m\", \"output_tokens\": 1}]}%s",
                 i > 0 ? "," : "", buckets[i][0], buckets[i][1], i == 5 ? "]" : "");
    }
    ck_assert_msg(read_text(text, NULL) == 0, "%s", why.text);
    for (int i = 0; i < 7; i++)
        ck_assert_msg(reconcile_covers_day(&e, DAY - 1 + i) == covered[i], "day %d", i);
}
END_TEST

/* Cents with decimals; a search has no model, which makes the day one row. */
START_TEST(anthropic_cost)
{
    static const char text[] =
        "{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
        " \"2026-11-26T00:00:00Z\", \"results\": ["
        "{\"currency\": \"USD\", \"amount\": \"123.78912\", \"cost_type\": \"tokens\", \"model\":"
        " \"claude-large\", \"token_type\": \"output_tokens\", \"description\": \"Large\"},"
        "{\"currency\": \"USD\", \"amount\": \"1\", \"cost_type\": \"web_search\", \"model\":"
        " null, \"description\": \"Web search\"}]}], \"has_more\": false}";
    ck_assert_msg(read_text(text, NULL) == 0, "%s", why.text);
    ck_assert_uint_eq(e.n, 1);
    ck_assert_str_eq(e.rows[0].model, "");
    ck_assert_uint_eq(e.told, 1u << RECONCILE_COST);
    ck_assert_int_eq(e.rows[0].figures[RECONCILE_COST], 1247891200);
}
END_TEST

#define OPENAI(more)                                                                               \
    "{\"object\": \"page\", \"data\": [{\"object\": \"bucket\", \"start_time\": 1795564800,"       \
    " \"end_time\": 1795651200, \"results\": [{\"object\":"                                        \
    " \"organization.usage.completions.result\", \"input_tokens\": 1000, \"output_tokens\": 500,"  \
    " \"input_cached_tokens\": 800, \"num_model_requests\": 5, \"model\": \"gpt-big\"" more        \
    "}]}]}"

START_TEST(openai_usage)
{
    ck_assert_msg(read_text(OPENAI(", \"batch\": null"), NULL) == 0, "%s", why.text);
    ck_assert_str_eq(e.format, "openai");
    ck_assert_int_eq(e.rows[0].day, DAY);
    ck_assert_int_eq(e.rows[0].figures[USAGE_input_tok], 200); /* cached ones are part of 1000 */
    ck_assert_int_eq(e.rows[0].figures[USAGE_cache_read_tok], 800);
    ck_assert_int_eq(e.rows[0].figures[USAGE_output_tok], 500);
    ck_assert_uint_eq(e.told >> USAGE_audio_input_tok, 0);
    /* sound is told apart there, and is part of the sums here */
    ck_assert_int_eq(
        read_text(OPENAI(", \"input_audio_tokens\": 30, \"output_audio_tokens\": 7"), NULL), 0);
    ck_assert_int_eq(e.rows[0].figures[USAGE_input_tok], 230);
    ck_assert_int_eq(e.rows[0].figures[USAGE_audio_input_tok], 30);
    ck_assert_int_eq(e.rows[0].figures[USAGE_output_tok], 507);
    ck_assert_int_eq(e.rows[0].figures[USAGE_audio_output_tok], 7);
    ck_assert_int_eq(read_text("[" OPENAI("") "," OPENAI("") "]", NULL), 0); /* pages */
    ck_assert_int_eq(e.rows[0].figures[USAGE_output_tok], 1000);
}
END_TEST

START_TEST(openrouter_activity)
{
    static const char json[] =
        "{\"data\": [{\"date\": \"2026-11-25\", \"model\": \"openai/gpt-big\","
        " \"model_permaslug\": \"openai/gpt-big-2026-01-01\", \"endpoint_id\": \"x\","
        " \"provider_name\": \"OpenAI\", \"usage\": 0.015000000123, \"byok_usage_inference\": 0,"
        " \"requests\": 5, \"prompt_tokens\": 50, \"completion_tokens\": 125,"
        " \"reasoning_tokens\": 25}, {\"date\": \"2026-11-25\", \"model\": \"openai/gpt-big\","
        " \"usage\": 1.5e-8, \"prompt_tokens\": 1, \"completion_tokens\": 2}]}";
    static const char csv[] =
        "\xef\xbb\xbf"
        "date,model,\"usage\",requests,prompt_tokens,completion_tokens,reasoning_tokens\r\n"
        "2026-11-25,\"openai/gpt-big\",0.015000000,5,50,125,25\r\n\r\n"
        "2026-11-25,openai/gpt-big,0.000000015,1,1,2,0\r\n";
    static const char *const texts[] = {json, csv};
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(read_text(texts[i], NULL) == 0, "%s", why.text);
        ck_assert_str_eq(e.format, "openrouter");
        ck_assert_uint_eq(e.n, 1);
        ck_assert_int_eq(e.rows[0].day, DAY);
        ck_assert_int_eq(e.rows[0].figures[RECONCILE_COST], 15000015);
        ck_assert_int_eq(e.rows[0].figures[RECONCILE_PROMPT], 51);
        ck_assert_int_eq(e.rows[0].figures[USAGE_output_tok], 127);
        ck_assert_int_eq(e.span.end_ms - e.span.start_ms, 86400000);
    }
    /* no row: a day without use */
    ck_assert_int_eq(read_text("date,model,usage\n2026-11-27,m,1\n2026-11-25,m,1\n", NULL), 0);
    for (int i = -1; i < 4; i++)
        ck_assert(reconcile_covers_day(&e, DAY + i) == (i >= 0 && i < 3));
}
END_TEST

static const struct {
    const char *text, *format, *error;
} wrong[] = {
    {"", NULL, "line 1"},
    {"{\"data\": [", NULL, "line 1"},
    {"{\"data\": 5}", NULL, "data: must be an array (line 1)"},
    {"{}", NULL, "data: must be an array"},
    {"{\"data\": []}", NULL, "empty"},
    {"{\"data\": []}", "openai", "covers no time"},
    {"{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
     " \"2026-11-26T00:00:00Z\", \"results\": []}]}",
     NULL, "tells no figure"},
    {"[{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
     " \"2026-11-26T00:00:00Z\", \"results\": [{\"model\": \"m\", \"output_tokens\": 1}]}]},"
     " {\"data\": [{\"starting_at\": \"2026-11-26T00:00:00Z\", \"ending_at\":"
     " \"2026-11-27T00:00:00Z\", \"results\": [{\"model\": \"m\", \"amount\": \"1\"}]}]}]",
     NULL, "tells costs and some does not"},
    {"[{\"date\": \"2026-11-25\", \"model\": \"m\", \"usage\": -9223372036.0}]", NULL,
     "sums are too large"},
    {"{\"data\": [{\"when\": 1}]}", NULL, "data[0]: is of no known usage export"},
    {"{\"data\":\n[{\"starting_at\": \"noon\"}]}", NULL,
     "data[0].starting_at: must be an RFC 3339 time (line 2)"},
    {"{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
     " \"2026-11-27T00:00:00Z\", \"results\": []}]}",
     NULL, "data[0]: must be a stretch of time within one UTC day"},
    {"{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
     " \"2026-11-26T00:00:00Z\", \"results\": [{\"output_tokens\": 1},\n{\"output_tokens\":"
     " -1}]}]}",
     NULL, "data[0].results[1].output_tokens: must be an integer >= 0 (line 2)"},
    {"{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
     " \"2026-11-26T00:00:00Z\", \"results\": [{\"model\": \"m\"}]}]}",
     NULL, "data[0].results[0]: has none of the counts"},
    {"{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"
     " \"2026-11-26T00:00:00Z\", \"results\": [{\"amount\": \"1\", \"currency\": \"EUR\"}]}]}",
     NULL, "data[0].results[0].currency: must be USD"},
    {"{\"data\": [{\"start_time\": 1795564800, \"end_time\": 1795651200, \"results\": ["
     "{\"input_tokens\": 1, \"input_cached_tokens\": 2, \"output_tokens\": 0}]}]}",
     NULL, "data[0].results[0].input_cached_tokens: is more than input_tokens"},
    {"{\"data\": [{\"date\": \"2026-13-25\", \"usage\": 1}]}", NULL, "data[0].date: must be a"},
    {"{\"data\": [{\"date\": \"2026-11-25\", \"model\": \"m\"}]}", NULL,
     "data[0].usage: must be an amount of money"},
    {"date,model\n", NULL, "line 1, usage: the header lacks"},
    {"date,model,usage\n2026-11-25,m,1\n2026-11-25,m,one\n", NULL, "line 3, usage: must be an"},
    {"date,model,usage\n2026-11-25,\"m,1\n", NULL, "line 2: a quote is not closed"},
    {"date,model,usage\nyesterday,m,1\n", NULL, "line 2, date: must be a date"},
    {"date,model,usage,prompt_tokens\n2026-11-25,m,1,-4\n", NULL, "line 2, prompt_tokens"},
    {"date,model,usage\n", "openai", "line 1: the openai export is JSON"},
};

START_TEST(errors_name_their_place)
{
    ck_assert_int_eq(read_text(wrong[_i].text, wrong[_i].format), -1);
    ck_assert_int_eq(why.code, ERR_bad_request);
    ck_assert_msg(strstr(why.text, wrong[_i].error) != NULL, "%s: %s", wrong[_i].text, why.text);
}
END_TEST

/* ---- comparing ---- */

static struct db *db;
static struct ledger_book *book;

static void attempt(int n, const char *provider, const char *upstream, enum usage_source source,
                    int64_t input, int64_t cost_pusd)
{
    struct ledger_op op = {0};
    struct ledger_answer answer;
    world_hold(&op, n, 1, 1, USD(1));
    snprintf(op.u.hold.provider, sizeof(op.u.hold.provider), "%s", provider);
    snprintf(op.u.hold.upstream_model, sizeof(op.u.hold.upstream_model), "%s", upstream);
    ck_assert_int_eq(db_begin(db, NULL), 0);
    ck_assert_int_eq(ledger_book_op(book, &op, &answer), LEDGER_WROTE);
    memset(&op, 0, sizeof(op));
    world_settle(&op, LEDGER_SETTLE, n, 1, cost_pusd);
    op.u.settle.source = source;
    op.u.settle.usage = (struct usage){.seen = 0};
    usage_set(&op.u.settle.usage, USAGE_input_tok, input);
    usage_set(&op.u.settle.usage, USAGE_cache_read_tok, 7);
    usage_set(&op.u.settle.usage, USAGE_output_tok, 10);
    ck_assert_int_eq(ledger_book_op(book, &op, NULL), LEDGER_WROTE);
    memset(&op, 0, sizeof(op));
    world_end(&op, n, "ok");
    ck_assert_int_eq(ledger_book_op(book, &op, NULL), LEDGER_WROTE);
    ck_assert_int_eq(ledger_book_flush(book), LEDGER_WROTE);
    ck_assert_int_eq(db_commit(db, NULL), 0);
}

static void setup(void)
{
    db = world_open(NULL);
    book = ledger_book_open(db, WORLD_NOW_MS, NULL, NULL);
    ck_assert_ptr_nonnull(book);
    attempt(1, "acme", "big-20260101", USAGE_FINAL, 100, 5000500);
    attempt(2, "acme/fast", "big", USAGE_PARTIAL, 30, 1000);
    attempt(3, "acme", "small", USAGE_ESTIMATED, 5, 2000);
    attempt(4, "umbrella", "big", USAGE_FINAL, 1000000, 1);
}

static void teardown(void)
{
    reconcile_done(&e);
    ledger_book_close(book);
    db_close(db);
}

static struct json_object *compare(const char *text)
{
    struct json_object *r = NULL;
    struct correction_list corrections;
    ck_assert_msg(read_text(text, NULL) == 0, "%s", why.text);
    ck_assert_msg(reconcile_db_compare(db, &e, "acme", 0, &corrections, &r, &why) == 0, "%s",
                  why.text);
    ck_assert_uint_eq(corrections.n, 0); /* a day that is not over */
    correction_list_done(&corrections);
    return r;
}

/* The report's rows as one line each: "model figure ours theirs difference final/partial/est". */
static char *differences(const char *text)
{
    static char out[4096];
    struct json_object *r = compare(text), *data, *v;
    json_object_object_get_ex(r, "data", &data);
    out[0] = '\0';
    for (size_t i = 0; i < json_object_array_length(data); i++) {
        static const char *const names[] = {"model",      "figure", "ours",    "theirs",
                                            "difference", "final",  "partial", "estimated"};
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            json_object_object_get_ex(json_object_array_get_idx(data, i), names[k], &v);
            size_t n = strlen(out);
            snprintf(out + n, sizeof(out) - n, "%s%s", k > 0 ? " " : "",
                     v != NULL ? json_object_get_string(v) : "-");
        }
        size_t n = strlen(out);
        snprintf(out + n, sizeof(out) - n, "\n");
    }
    json_object_object_get_ex(r, "ok", &v);
    ck_assert(json_object_get_boolean(v) == (json_object_array_length(data) == 0));
    json_object_put(r);
    return out;
}

#define USAGE_OF(model, in, out, read)                                                             \
    "{\"model\": \"" model "\", \"uncached_input_tokens\": " in ", \"output_tokens\": " out        \
    ", \"cache_read_input_tokens\": " read "}"
#define DAY_OF(results)                                                                            \
    "{\"data\": [{\"starting_at\": \"2026-11-25T00:00:00Z\", \"ending_at\":"                       \
    " \"2026-11-26T00:00:00Z\", \"results\": [" results "]}]}"

/* The alias and its dated snapshot are one model; the variant is the same provider. */
START_TEST(equal_books)
{
    ck_assert_str_eq(differences(DAY_OF(USAGE_OF("big-20260101", "130", "20",
                                                 "14") "," USAGE_OF("small", "5", "10", "7"))),
                     "");
}
END_TEST

START_TEST(different_books)
{
    static const char text[] =
        DAY_OF(USAGE_OF("big", "150", "20", "14") "," USAGE_OF("other", "1", "0", "0"));
    static const char expected[] = "big input_tokens 130 150 20 100 30 0\n"
                                   "other input_tokens 0 1 1 0 0 0\n"
                                   "small input_tokens 5 0 -5 0 0 5\n"
                                   "small output_tokens 10 0 -10 0 0 10\n"
                                   "small cache_read_tokens 7 0 -7 0 0 7\n";
    ck_assert_str_eq(differences(text), expected);
    int64_t horizon_ms = 0;
    bool more = true;
    while (more) {
        ck_assert_int_eq(db_begin(db, NULL), 0);
        ck_assert_int_eq(rollup_db_step(db, 1, &horizon_ms, &more, NULL), 0);
        ck_assert_int_eq(db_commit(db, NULL), 0);
    }
    ck_assert_str_eq(differences(text), expected); /* from sums by day */
}
END_TEST

/* Costs are rounded up once per attempt: 5001 + 1 + 2 nano-USD for 5000.5 + 1 + 2. */
START_TEST(costs)
{
#define COST(cents) DAY_OF("{\"currency\": \"USD\", \"amount\": \"" cents "\", \"model\": null}")
    ck_assert_str_eq(differences(COST("0.00050035")), "");
    ck_assert_str_eq(differences(COST("0.0005104")),
                     "- cost_usd 0.000005004 0.000005104 0.0000001 0.000005001 0.000000001"
                     " 0.000000002\n");
}
END_TEST

START_TEST(an_unknown_provider)
{
    struct json_object *r = NULL;
    struct correction_list corrections;
    ck_assert_int_eq(read_text(ANTHROPIC, NULL), 0);
    ck_assert_int_eq(reconcile_db_compare(db, &e, "acne", 0, &corrections, &r, &why), -1);
    correction_list_done(&corrections);
    ck_assert_int_eq(why.code, ERR_not_found);
    ck_assert_ptr_null(r);
}
END_TEST

Suite *reconcile_suite(void);
Suite *reconcile_suite(void)
{
    Suite *s = suite_create("reconcile");
    TCase *t = tcase_create("readers");
    tcase_add_test(t, anthropic_usage);
    tcase_add_test(t, covered_days);
    tcase_add_test(t, anthropic_cost);
    tcase_add_test(t, openai_usage);
    tcase_add_test(t, openrouter_activity);
    tcase_add_loop_test(t, errors_name_their_place, 0, sizeof(wrong) / sizeof(wrong[0]));
    suite_add_tcase(s, t);
    t = tcase_create("comparison");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, equal_books);
    tcase_add_test(t, different_books);
    tcase_add_test(t, costs);
    tcase_add_test(t, an_unknown_provider);
    suite_add_tcase(s, t);
    return s;
}
