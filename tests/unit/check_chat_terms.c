/* Terms of a request that have prices of their own, at both doors: the chat says which it asks for,
 * and a service tier is told by whoever knows what is held. */
#include <check.h>
#include <stdio.h>

#include "schema/chat.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define ASK(members)                                                                               \
    "{\"model\":\"m\"" members ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"

static struct json_doc doc;
static struct chat chat;
static struct fail fail;

static int take(enum chat_door which, const char *body)
{
    json_done(&doc);
    json_init(&doc);
    chat_done(&chat);
    chat_init(&chat);
    fail = (struct fail){.code = ERR_OK};
    ck_assert_msg(json_parse(&doc, span_of(body), &fail) == 0, "%s", body);
    return which == DOOR_ANTHROPIC ? chat_read_anthropic(&chat, &doc, false, &fail)
                                   : chat_read_openai(&chat, &doc, &fail);
}

static void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
}

static void teardown(void)
{
    chat_done(&chat);
    json_done(&doc);
}

START_TEST(what_is_asked_for)
{
    static const struct {
        const char *body, *speed, *geo;
    } rows[] = {
        {ASK(""), "", ""},
        {ASK(",\"speed\":\"fast\""), "fast", ""},
        {ASK(",\"speed\":\"f\\u0061st\",\"inference_geo\":\"us\""), "fast", "us"},
        {ASK(",\"speed\":\"standard\",\"inference_geo\":\"global\""), "", ""},
        {ASK(",\"speed\":null,\"inference_geo\":null"), "", ""},
        {ASK(",\"speed\":\"fifteen-bytes-x\""), "fifteen-bytes-x", ""},
        {ASK(",\"speed\":\"FAST\""), "FAST", ""},
        {ASK(",\"x\":{\"speed\":\"fast\"}"), "", ""},
    };
    for (int door = DOOR_ANTHROPIC; door <= DOOR_OPENAI; door++) {
        for (size_t i = 0; i < ROWS(rows); i++) {
            ck_assert_msg(take((enum chat_door)door, rows[i].body) == 0, "%s", fail.text);
            ck_assert_str_eq(chat.speed, rows[i].speed);
            ck_assert_str_eq(chat.geo, rows[i].geo);
        }
    }
}
END_TEST

/* A word that cannot be looked up is not passed on at anybody's prices. */
START_TEST(what_is_no_word)
{
    static const struct {
        const char *body, *field;
        bool word; /* a string, so refused at both doors */
    } rows[] = {
        {ASK(",\"speed\":\"\""), "speed", true},
        {ASK(",\"speed\":\"sixteen-bytes-xx\""), "speed", true},
        {ASK(",\"inference_geo\":\"u\\u0000s\""), "inference_geo", true},
        {ASK(",\"inference_geo\":\"\\ud800\""), "inference_geo", true},
        {ASK(",\"speed\":1.25"), "speed", false},
        {ASK(",\"speed\":true"), "speed", false},
        {ASK(",\"inference_geo\":[\"us\"]"), "inference_geo", false},
        {ASK(",\"inference_geo\":{}"), "inference_geo", false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        ck_assert_msg(take(DOOR_ANTHROPIC, rows[i].body) != 0, "%s", rows[i].body);
        ck_assert_int_eq(fail.code, ERR_bad_request);
        ck_assert_str_eq(fail.field, rows[i].field);
        ck_assert_msg((take(DOOR_OPENAI, rows[i].body) != 0) == rows[i].word, "%s", rows[i].body);
        if (rows[i].word)
            ck_assert_str_eq(fail.field, rows[i].field);
        ck_assert(chat.speed[0] == '\0' && chat.geo[0] == '\0');
    }
}
END_TEST

START_TEST(said_twice)
{
    static const char *const names[] = {"speed", "inference_geo", "service_tier"};
    for (size_t i = 0; i < ROWS(names); i++) {
        char body[256];
        snprintf(body, sizeof(body), ASK(",\"%s\":null,\"%s\":\"fast\""), names[i], names[i]);
        for (int door = DOOR_ANTHROPIC; door <= DOOR_OPENAI; door++) {
            ck_assert(take((enum chat_door)door, body) != 0);
            ck_assert_str_eq(fail.field, names[i]);
            ck_assert_ptr_nonnull(strstr(fail.text, "given twice"));
        }
    }
}
END_TEST

/* OpenRouter's plugins, at both doors. */
START_TEST(a_plugin_searches)
{
    for (int door = DOOR_ANTHROPIC; door <= DOOR_OPENAI; door++) {
        ck_assert(take((enum chat_door)door, ASK(",\"plugins\":[{\"id\":\"web\"}]")) == 0);
        ck_assert(chat.web_plugin && chat.web_search_uses == -1);
        ck_assert_str_eq(chat.server_tools[0], "web_search_plugin");
        ck_assert(take((enum chat_door)door, ASK(",\"plugins\":[{\"id\":\"x\"}]")) == 0);
        ck_assert(!chat.web_plugin && chat.web_search_uses == 0);
        ck_assert_str_eq(chat.server_tools[0], "x_plugin");
        ck_assert(take((enum chat_door)door, ASK(",\"plugins\":[{\"id\":\"moderation\"}]")) == 0);
        ck_assert_int_eq(chat.n_server_tools, 0);
    }
}
END_TEST

static void gather(void *ctx, struct span piece)
{
    buf_add_span(ctx, piece);
}

static void sends(const char *body, const char *want)
{
    struct buf out;
    buf_init(&out, 4096);
    chat_pieces(&chat, SPAN("\"up\""), gather, &out);
    ck_assert_msg(strcmp(out.ptr, want) == 0, "%s\n%s", body, out.ptr);
    buf_done(&out);
}

#define SENT(members)                                                                              \
    "{\"model\":\"up\"" members ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"

/* One with other prices than those held is not sent, at either door; Anthropic's words all are
 * without prices of their own. */
START_TEST(tiers_that_are_cut)
{
    static const struct {
        const char *word;
        bool cut;
    } rows[] = {{"\"auto\"", false},     {"\"default\"", false},   {"\"standard_only\"", false},
                {"\"standard\"", false}, {"null", false},          {"7", false},
                {"\"priority\"", true},  {"\"fl\\u0065x\"", true}, {"\"batch\"", true}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        char body[256], sent[256];
        snprintf(body, sizeof(body), ASK(",\"service_tier\":%s"), rows[i].word);
        snprintf(sent, sizeof(sent), SENT("%s%s"),
                 rows[i].cut ? "" : ",\"service_tier\":", rows[i].cut ? "" : rows[i].word);
        for (int door = DOOR_ANTHROPIC; door <= DOOR_OPENAI; door++) {
            ck_assert_msg(take((enum chat_door)door, body) == 0, "%s", fail.text);
            ck_assert_msg(chat.tier_cut == rows[i].cut, "%s", body);
            sends(body, sent);
        }
    }
}
END_TEST

START_TEST(a_tier_that_is_sent)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {ASK(""), SENT(",\"service_tier\":\"flex\"")},
        {ASK(",\"service_tier\" : \"auto\" "), SENT(",\"service_tier\" : \"flex\" ")},
        {ASK(",\"service_tier\":null"), SENT(",\"service_tier\":\"flex\"")},
        {ASK(",\"service_tier\":\"flex\""), SENT(",\"service_tier\":\"flex\"")},
        {ASK(",\"service_tier\":\"priority\",\"provider\":{\"order\":[\"x\"]}"),
         SENT(",\"service_tier\":\"flex\"")},
        {"{\"service_tier\":\"default\",\"messages\":[{}],\"model\":\"m\"}",
         "{\"service_tier\":\"flex\",\"messages\":[{}],\"model\":\"up\"}"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        ck_assert_msg(take(DOOR_OPENAI, rows[i].body) == 0, "%s", fail.text);
        chat_send_tier(&chat, "flex");
        sends(rows[i].body, rows[i].want);
    }
    /* the next provider has no tiers */
    take(DOOR_OPENAI, ASK(",\"service_tier\":\"auto\""));
    chat_send_tier(&chat, "flex");
    chat_send_tier(&chat, NULL);
    sends("as received", SENT(",\"service_tier\":\"auto\""));
}
END_TEST

/* With everything else that can be edited at the same place. */
START_TEST(a_tier_among_other_edits)
{
    take(DOOR_OPENAI, ASK(",\"stream\":true"));
    chat_send_max_tokens(&chat, 77);
    chat_send_tier(&chat, "priority");
    chat_send_stream_options(&chat, OPTIONS_ASK_USAGE);
    struct buf out;
    struct json_doc sent;
    buf_init(&out, 4096);
    json_init(&sent);
    chat_pieces(&chat, SPAN("\"up\""), gather, &out);
    ck_assert_msg(json_parse(&sent, buf_span(&out), &fail) == 0, "%s", out.ptr);
    ck_assert(json_text_is(&sent, json_get(&sent, 0, "service_tier"), "priority"));
    ck_assert_ptr_nonnull(strstr(out.ptr, "77"));
    ck_assert_ptr_nonnull(strstr(out.ptr, "include_usage"));
    json_done(&sent);
    buf_done(&out);
}
END_TEST

Suite *chat_terms_suite(void);

Suite *chat_terms_suite(void)
{
    Suite *s = suite_create("chat_terms");
    TCase *t = tcase_create("chat_terms");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_is_asked_for);
    tcase_add_test(t, what_is_no_word);
    tcase_add_test(t, a_plugin_searches);
    tcase_add_test(t, said_twice);
    tcase_add_test(t, tiers_that_are_cut);
    tcase_add_test(t, a_tier_that_is_sent);
    tcase_add_test(t, a_tier_among_other_edits);
    suite_add_tcase(s, t);
    return s;
}
