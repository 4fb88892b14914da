/* The teller keeps the grammar whatever it is told. */
#include <check.h>
#include <stdlib.h>

#include "providers/teller.h"
#include "tests/unit/golden.h"

static struct golden_replies replies;
static struct reply_sink sink;
static struct teller teller;

static void setup(void)
{
    golden_replies_init(&replies);
    sink = (struct reply_sink){golden_on_reply, &replies};
    teller = (struct teller){.sink = &sink};
}

static void teardown(void)
{
    golden_replies_done(&replies);
}

static void must_be(const char *lines)
{
    struct span have = golden_lines(&replies);
    ck_assert_msg(span_is(have, lines), "%.*s", (int)have.len, have.ptr);
}

START_TEST(test_blocks_open_and_close_by_themselves)
{
    const struct span none = {"", 0};
    struct usage usage = {.seen = 0};
    usage_set(&usage, USAGE_output_tok, 7);
    tell_start(&teller, &(struct reply){.id = SPAN("a1"), .model = SPAN("m")});
    tell_text(&teller, REPLY_THINKING, SPAN("hm"));
    tell_text(&teller, REPLY_TEXT, none);
    tell_text(&teller, REPLY_TEXT, SPAN("Hel"));
    tell_text(&teller, REPLY_TEXT, SPAN("lo"));
    tell_citation(&teller, &(struct reply_citation){.url = SPAN("u")});
    tell_open(&teller, REPLY_TOOL_CALL, SPAN("c1"), SPAN("f"));
    tell_arguments(&teller, SPAN("{}"));
    tell_usage(&teller, &usage, 3);
    tell_stop(&teller, STOPPED_TOOL, none);
    tell_end(&teller);
    must_be("reply start a1 m\n"
            "reply open thinking\nreply text \"hm\"\nreply close\n"
            "reply open text\nreply text \"Hello\"\nreply citation u\nreply close\n"
            "reply open tool_call id=c1 name=f\nreply arguments \"{}\"\nreply usage output=7 "
            "reasoning=3\n"
            "reply close\nreply stop tool\nreply end\n");
}
END_TEST

/* In an order that no protocol has: what cannot be said is not said. */
START_TEST(test_nonsense)
{
    const struct span none = {"", 0};
    struct usage usage = {.seen = 0};
    tell_usage(&teller, &usage, -1);
    tell_stop(&teller, STOPPED_END, none);
    tell_end(&teller);
    tell_close(&teller);
    tell_arguments(&teller, SPAN("{}"));
    tell_text(&teller, REPLY_TEXT, SPAN("x"));
    tell_arguments(&teller, SPAN("{}"));
    tell_start(&teller, &(struct reply){.id = SPAN("late")});
    tell_stop(&teller, STOPPED_LENGTH, none);
    tell_text(&teller, REPLY_TEXT, SPAN("more"));
    tell_open(&teller, REPLY_TEXT, none, none);
    tell_stop(&teller, STOPPED_END, none);
    tell_end(&teller);
    tell_end(&teller);
    tell_error(&teller, &(struct reply_error){.message = SPAN("late")});
    must_be("reply start\nreply open text\nreply text \"x\"\nreply close\nreply stop length\nreply "
            "end\n");
}
END_TEST

START_TEST(test_error_ends)
{
    tell_text(&teller, REPLY_TEXT, SPAN("x"));
    tell_error(&teller, &(struct reply_error){.type = SPAN("t"), .message = SPAN("m")});
    tell_text(&teller, REPLY_TEXT, SPAN("y"));
    must_be("reply start\nreply open text\nreply text \"x\"\nreply error t \"m\"\n");
}
END_TEST

START_TEST(test_nobody_listens)
{
    teller.sink = NULL;
    tell_text(&teller, REPLY_TEXT, SPAN("x"));
    tell_stop(&teller, STOPPED_END, (struct span){"", 0});
    tell_end(&teller);
    must_be("");
}
END_TEST

Suite *teller_suite(void);

Suite *teller_suite(void)
{
    Suite *s = suite_create("teller");
    TCase *t = tcase_create("teller");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_blocks_open_and_close_by_themselves);
    tcase_add_test(t, test_nonsense);
    tcase_add_test(t, test_error_ends);
    tcase_add_test(t, test_nobody_listens);
    suite_add_tcase(s, t);
    return s;
}
