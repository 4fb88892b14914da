/* A request that names `models` and no `model`: the first of them is it, and is put in. */
#include <check.h>

#include "schema/chat.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define M "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define NEW_MODEL "\"upstream/model\""
#define ADDED "\"model\":" NEW_MODEL

static struct json_doc doc;
static struct chat chat;
static struct fail fail;
static struct buf sent;

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
    buf_init(&sent, 4096);
}

static void teardown(void)
{
    buf_done(&sent);
    chat_done(&chat);
    json_done(&doc);
}

static void gather(void *ctx, struct span piece)
{
    buf_add_span(ctx, piece);
}

static const char *forwarded(void)
{
    buf_reset(&sent);
    chat_pieces(&chat, SPAN(NEW_MODEL), gather, &sent);
    return sent.ptr;
}

START_TEST(what_is_sent)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"models\":[\"a:floor\",\"b\"]," M "}", "{" ADDED "," M "}"},
        {"{" M ",\"models\":[\"a:floor\",\"b\"]}", "{" ADDED "," M "}"},
        {" {\n " M " , \"models\" : [\"a:floor\" , \"b\"] } ", " {" ADDED ",\n " M " } "},
        {"{\"provider\":{},\"models\":[\"a:floor\",\"b\"],\"x\":1," M "}",
         "{" ADDED ",\"x\":1," M "}"},
        {"{\"x\":1,\"model\":null,\"models\":[\"a:floor\",\"b\"]," M "}",
         "{\"x\":1," ADDED "," M "}"},
    };
    for (int door = DOOR_ANTHROPIC; door <= DOOR_OPENAI; door++) {
        for (size_t i = 0; i < ROWS(rows); i++) {
            ck_assert_msg(take((enum chat_door)door, rows[i].body) == 0, "%s", fail.text);
            ck_assert_int_eq(chat.n_models, 2);
            ck_assert_str_eq(chat.models[0].name, "a");
            ck_assert_int_eq(chat.models[0].suffix, SUFFIX_FLOOR);
            ck_assert_str_eq(chat.models[1].name, "b");
            ck_assert_str_eq(forwarded(), rows[i].want);
        }
    }
}
END_TEST

START_TEST(with_all_that_is_put_in)
{
    ck_assert_int_eq(take(DOOR_OPENAI, "{\"models\":[\"a\"],\"stream\":true," M "}"), 0);
    chat_send_max_tokens(&chat, 77);
    chat_send_tier(&chat, "flex");
    chat_send_stream_options(&chat, OPTIONS_ASK_USAGE);
    ck_assert_str_eq(forwarded(),
                     "{" ADDED ",\"max_tokens\":77,\"service_tier\":\"flex\","
                     "\"stream_options\":{\"include_usage\":true},\"stream\":true," M "}");
}
END_TEST

START_TEST(none_at_all)
{
    static const char *const rows[] = {"{" M "}", "{\"models\":[]," M "}",
                                       "{\"model\":null,\"models\":null," M "}"};
    for (int door = DOOR_ANTHROPIC; door <= DOOR_OPENAI; door++) {
        for (size_t i = 0; i < ROWS(rows); i++) {
            ck_assert_int_eq(take((enum chat_door)door, rows[i]), -1);
            ck_assert_str_eq(fail.field, "model");
        }
    }
}
END_TEST

Suite *chat_models_suite(void);

Suite *chat_models_suite(void)
{
    Suite *s = suite_create("chat_models");
    TCase *t = tcase_create("chat_models");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_is_sent);
    tcase_add_test(t, with_all_that_is_put_in);
    tcase_add_test(t, none_at_all);
    suite_add_tcase(s, t);
    return s;
}
