/* The canonical answer: its grammar, and what is gathered from events. */
#include <check.h>
#include <stdlib.h>

#include "schema/reply.h"

/* ---- grammar: a word per event ---- */

/* S start, [ open text, { open tool call, t text delta, a arguments delta, g signature delta,
 * ] close (of what is open), u usage, ! stop, $ end, e error. */
static struct reply event_of(char letter, enum reply_block open)
{
    struct reply r = {.reasoning_tok = -1, .block = open};
    switch (letter) {
    case 'S':
        r.kind = REPLY_START;
        break;
    case '[':
        r.kind = REPLY_OPEN;
        r.block = REPLY_TEXT;
        break;
    case '{':
        r.kind = REPLY_OPEN;
        r.block = REPLY_TOOL_CALL;
        r.id = SPAN("call");
        r.name = SPAN("tool");
        break;
    case '(':
        r.kind = REPLY_OPEN;
        r.block = REPLY_TOOL_CALL;
        break;
    case 't':
    case 'a':
    case 'g':
        r.kind = REPLY_DELTA;
        r.delta = letter == 't' ? DELTA_TEXT : letter == 'a' ? DELTA_ARGUMENTS : DELTA_SIGNATURE;
        r.text = SPAN("x");
        break;
    case ']':
        r.kind = REPLY_CLOSE;
        break;
    case 'u':
        r.kind = REPLY_USAGE;
        break;
    case '!':
        r.kind = REPLY_STOP;
        break;
    case '$':
        r.kind = REPLY_END;
        break;
    case 'e':
        r.kind = REPLY_ERROR;
        break;
    default:
        ck_abort_msg("no event %c", letter);
    }
    return r;
}

static const struct {
    const char *events;
    int wrong_at; /* index of the first event that is wrong, -1 = none */
} sequences[] = {
    {"S!$", -1}, {"Su[t]u!u$", -1}, {"S[tut]{aa}{}!$", -1}, /* } stands for ] below */
    {"S[t", -1},                                            /* cut */
    {"e", -1},   {"S[te", -1},      {"S!e", -1},
    {"[", 0},    {"SS", 1},         {"S[[", 2},
    {"S]", 1},   {"St", 1},         {"S[a", 2},
    {"S{t", 2},  {"S[g", 2},        {"S(", 1},
    {"S[t!", 3}, {"S$", 1},         {"S!!", 2},
    {"S![", 2},  {"S!$u", 3},       {"eS", 1},
};

START_TEST(test_grammar)
{
    struct reply_grammar g = {.started = false};
    enum reply_block open = REPLY_TEXT;
    int wrong_at = -1;
    for (int i = 0; sequences[_i].events[i] != '\0' && wrong_at < 0; i++) {
        char letter = sequences[_i].events[i] == '}' ? ']' : sequences[_i].events[i];
        struct reply r = event_of(letter, open);
        open = r.block;
        if (reply_check(&g, &r) != NULL)
            wrong_at = i;
    }
    ck_assert_msg(wrong_at == sequences[_i].wrong_at, "%s: wrong at %d, not %d",
                  sequences[_i].events, wrong_at, sequences[_i].wrong_at);
}
END_TEST

/* A delta of a block that is not the open one. */
START_TEST(test_other_block)
{
    struct reply_grammar g = {.started = true, .open = true, .block = REPLY_TEXT};
    struct reply r = {.kind = REPLY_DELTA, .block = REPLY_REFUSAL, .delta = DELTA_TEXT};
    ck_assert_ptr_nonnull(reply_check(&g, &r));
}
END_TEST

/* ---- gathering ---- */

static struct reply_whole whole;

static void gather(struct reply r)
{
    /* The event's memory is gone when the next one comes. */
    char *text = malloc(r.text.len + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, r.text.len > 0 ? r.text.ptr : "", r.text.len);
    r.text.ptr = text;
    ck_assert(reply_gather(&whole, &r));
    memset(text, '#', r.text.len);
    free(text);
}

static void delta(enum reply_block block, enum reply_delta d, const char *text)
{
    gather((struct reply){.kind = REPLY_DELTA, .block = block, .delta = d, .text = span_of(text)});
}

START_TEST(test_gather)
{
    reply_whole_init(&whole);
    gather((struct reply){
        .kind = REPLY_START, .id = SPAN("msg_1"), .model = SPAN("m"), .created_s = 7});
    gather((struct reply){.kind = REPLY_OPEN, .block = REPLY_THINKING});
    delta(REPLY_THINKING, DELTA_TEXT, "let ");
    delta(REPLY_THINKING, DELTA_TEXT, "me");
    delta(REPLY_THINKING, DELTA_SIGNATURE, "sig");
    gather((struct reply){.kind = REPLY_CLOSE, .block = REPLY_THINKING});
    gather((struct reply){.kind = REPLY_OPEN, .block = REPLY_TEXT});
    delta(REPLY_TEXT, DELTA_TEXT, "Hi");
    gather((struct reply){.kind = REPLY_DELTA,
                          .block = REPLY_TEXT,
                          .delta = DELTA_CITATION,
                          .citation = {.url = SPAN("https://a.example")}});
    gather((struct reply){.kind = REPLY_CLOSE, .block = REPLY_TEXT});
    gather((struct reply){
        .kind = REPLY_OPEN, .block = REPLY_TOOL_CALL, .id = SPAN("c1"), .name = SPAN("f")});
    gather((struct reply){.kind = REPLY_CLOSE, .block = REPLY_TOOL_CALL, .signature = SPAN("ts")});
    gather((struct reply){
        .kind = REPLY_OPEN, .block = REPLY_TOOL_CALL, .id = SPAN("c2"), .name = SPAN("g")});
    delta(REPLY_TOOL_CALL, DELTA_ARGUMENTS, "{\"a\":");
    delta(REPLY_TOOL_CALL, DELTA_ARGUMENTS, "1}");
    gather((struct reply){.kind = REPLY_CLOSE, .block = REPLY_TOOL_CALL});
    gather((struct reply){.kind = REPLY_USAGE, .usage = {.n = {3}, .seen = 1}, .reasoning_tok = 5});
    gather(
        (struct reply){.kind = REPLY_USAGE, .usage = {.n = {4}, .seen = 1}, .reasoning_tok = -1});
    gather(
        (struct reply){.kind = REPLY_STOP, .stop = STOPPED_SEQUENCE, .stop_sequence = SPAN("END")});
    gather((struct reply){.kind = REPLY_END});

    const struct dialog_block *b = whole.content.first;
    ck_assert(whole.started && whole.stopped && whole.ended && !whole.errored);
    ck_assert(span_is(whole.id, "msg_1") && span_is(whole.model, "m") && whole.created_s == 7);
    ck_assert(b->kind == BLOCK_THINKING && span_is(b->text, "let me"));
    ck_assert(span_is(b->signature, "sig"));
    b = b->next;
    ck_assert(b->kind == BLOCK_TEXT && span_is(b->text, "Hi"));
    ck_assert_ptr_eq(whole.citations.first->block, b);
    ck_assert(span_is(whole.citations.first->citation.url, "https://a.example"));
    b = b->next;
    ck_assert(span_is(b->id, "c1") && span_is(b->json, "{}") && span_is(b->signature, "ts"));
    b = b->next;
    ck_assert(span_is(b->name, "g") && span_is(b->json, "{\"a\":1}"));
    ck_assert_ptr_null(b->next);
    ck_assert(whole.usage.n[0] == 4 && whole.reasoning_tok == 5);
    ck_assert(whole.stop == STOPPED_SEQUENCE && span_is(whole.stop_sequence, "END"));
    reply_whole_done(&whole);
    ck_assert(!whole.started && whole.content.first == NULL && whole.reasoning_tok == -1);
}
END_TEST

START_TEST(test_gather_error)
{
    reply_whole_init(&whole);
    gather((struct reply){
        .kind = REPLY_ERROR,
        .error = {.http_status = 529, .type = SPAN("overloaded_error"), .message = SPAN("busy")}});
    ck_assert(whole.errored && whole.error.http_status == 529);
    ck_assert(span_is(whole.error.type, "overloaded_error") &&
              span_is(whole.error.message, "busy"));
    reply_whole_done(&whole);
}
END_TEST

START_TEST(test_gather_has_an_end)
{
    static char piece[1024 * 1024];
    struct reply r = {.kind = REPLY_DELTA, .block = REPLY_TEXT, .text = {piece, sizeof(piece)}};
    memset(piece, 'x', sizeof(piece));
    reply_whole_init(&whole);
    gather((struct reply){.kind = REPLY_START});
    gather((struct reply){.kind = REPLY_OPEN, .block = REPLY_TEXT});
    int n = 0;
    while (reply_gather(&whole, &r))
        ck_assert_int_lt(n++, DIALOG_MEMORY_MAX / (int)sizeof(piece) + 1);
    reply_whole_done(&whole);
}
END_TEST

Suite *reply_suite(void);

Suite *reply_suite(void)
{
    Suite *s = suite_create("reply");
    TCase *t = tcase_create("reply");
    tcase_add_loop_test(t, test_grammar, 0, (int)(sizeof(sequences) / sizeof(sequences[0])));
    tcase_add_test(t, test_other_block);
    tcase_add_test(t, test_gather);
    tcase_add_test(t, test_gather_error);
    tcase_add_test(t, test_gather_has_an_end);
    suite_add_tcase(s, t);
    return s;
}
