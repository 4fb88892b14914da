/* The canonical request: memory, lists, text, comparison, what was dropped. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/dialog.h"

static struct dialog d;

static void setup(void)
{
    dialog_init(&d);
}

static void teardown(void)
{
    dialog_done(&d);
}

/* ---- memory ---- */

START_TEST(test_memory_is_zeroed_aligned_and_apart)
{
    enum { N = 2000 };
    char *at[N];
    for (int i = 0; i < N; i++) {
        size_t size = 1 + (size_t)i * 7 % 300 + (i % 100 == 0 ? 50000 : 0);
        at[i] = dialog_alloc(&d, size);
        ck_assert_ptr_nonnull(at[i]);
        ck_assert_int_eq((uintptr_t)at[i] % 16, 0);
        for (size_t k = 0; k < size; k++) {
            if (at[i][k] != 0)
                ck_abort_msg("byte %zu of piece %d", k, i);
        }
        memset(at[i], 'a' + i % 26, size);
    }
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(at[i][0], 'a' + i % 26);
    ck_assert(!d.failed);
}
END_TEST

START_TEST(test_memory_has_an_end)
{
    ck_assert_ptr_null(dialog_alloc(&d, (size_t)DIALOG_MEMORY_MAX + 1));
    ck_assert(d.failed);
    dialog_done(&d);
    ck_assert(!d.failed);
    while (dialog_alloc(&d, 1024 * 1024) != NULL)
        ck_assert_uint_le(d.memory, DIALOG_MEMORY_MAX);
    ck_assert(d.failed);
    ck_assert_uint_ge(d.memory, DIALOG_MEMORY_MAX - 1024 * 1024);
    /* Building goes on without harm. */
    struct dialog_blocks list = {NULL, NULL, 0};
    while (dialog_add(&d, &list, BLOCK_TEXT) != NULL)
        ;
    ck_assert_ptr_null(dialog_add_tool(&d));
}
END_TEST

/* ---- text ---- */

static const struct {
    const char *json, *text;
    bool in_place; /* points into the document */
} strings[] = {
    {"\"\"", "", true},
    {"\"plain \xc3\xa9\"", "plain \xc3\xa9", true},
    {"\"a\\nb\"", "a\nb", false},
    {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", false},
    {"\"\\\"\"", "\"", false},
    {"\"\\ud83d\"", "", false}, /* a lone surrogate is no text */
    {"12", "", false},
    {"null", "", false},
};

START_TEST(test_string)
{
    struct json_doc doc;
    json_init(&doc);
    ck_assert_int_eq(json_parse(&doc, span_of(strings[_i].json), NULL), 0);
    struct span s = dialog_string(&d, &doc, 0);
    ck_assert_msg(span_is(s, strings[_i].text), "%s gave %.*s", strings[_i].json, (int)s.len,
                  s.ptr);
    bool inside = s.ptr >= doc.text.ptr && s.ptr < doc.text.ptr + doc.text.len;
    ck_assert_int_eq(inside, strings[_i].in_place);
    ck_assert_uint_eq(dialog_string(&d, &doc, JSON_NONE).len, 0);
    json_done(&doc);
}
END_TEST

/* ---- lists ---- */

START_TEST(test_neighbours_of_one_role_are_one_message)
{
    struct span none = {"", 0};
    struct dialog_message *a = dialog_turn(&d, ROLE_USER, none);
    ck_assert_ptr_eq(dialog_turn(&d, ROLE_USER, none), a);
    struct dialog_message *b = dialog_turn(&d, ROLE_ASSISTANT, none);
    ck_assert_ptr_ne(b, a);
    struct dialog_message *named = dialog_turn(&d, ROLE_ASSISTANT, SPAN("Ann"));
    ck_assert_ptr_ne(named, b);
    ck_assert_ptr_ne(dialog_turn(&d, ROLE_USER, none), a);
    ck_assert_int_eq(d.n_messages, 4);
    ck_assert_ptr_eq(d.first_message->next->next, named);
}
END_TEST

START_TEST(test_find_call)
{
    struct dialog_message *m = dialog_turn(&d, ROLE_ASSISTANT, SPAN(""));
    for (int i = 0; i < 3; i++) {
        struct dialog_block *b = dialog_add(&d, &m->blocks, i == 1 ? BLOCK_TEXT : BLOCK_TOOL_CALL);
        b->id = i == 2 ? SPAN("call_2") : SPAN("call_0");
        b->name = SPAN("tool");
    }
    ck_assert_ptr_eq(dialog_find_call(&d, SPAN("call_0")), m->blocks.first);
    ck_assert_ptr_eq(dialog_find_call(&d, SPAN("call_2")), m->blocks.last);
    ck_assert_ptr_null(dialog_find_call(&d, SPAN("call_1")));
    ck_assert_int_eq(m->blocks.n, 3);
}
END_TEST

/* The index gives what the walk gives: the last call of an id. */
START_TEST(test_find_call_in_index)
{
    enum { N = 3000 };
    static char ids[N][8];
    struct dialog plain;
    dialog_init(&plain);
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof(ids[i]), "c%d", i * 7919 % 2000);
        for (int k = 0; k < 2; k++) {
            struct dialog *x = k == 0 ? &d : &plain;
            struct dialog_message *m =
                dialog_turn(x, i % 3 == 0 ? ROLE_ASSISTANT : ROLE_USER, SPAN(""));
            struct dialog_block *b = dialog_add(x, &m->blocks, BLOCK_TOOL_CALL);
            b->id = span_of(ids[i]);
            b->text = (struct span){ids[i], (size_t)i % 8}; /* tells calls of one id apart */
        }
    }
    dialog_index_calls(&d);
    for (int i = 0; i < N; i++) {
        const struct dialog_block *a = dialog_find_call(&d, span_of(ids[i]));
        const struct dialog_block *b = dialog_find_call(&plain, span_of(ids[i]));
        if (a == NULL || b == NULL || a->text.ptr != b->text.ptr)
            ck_abort_msg("call %s", ids[i]);
    }
    ck_assert_ptr_null(dialog_find_call(&d, SPAN("c")));
    ck_assert_ptr_null(dialog_find_call(&d, SPAN("c99999")));
    ck_assert_ptr_null(dialog_find_call(&d, SPAN("")));
    dialog_done(&plain);
}
END_TEST

START_TEST(test_stops_have_an_end)
{
    for (int i = 0; i < DIALOG_STOPS_MAX; i++)
        ck_assert(dialog_add_stop(&d, SPAN("x")));
    ck_assert(!dialog_add_stop(&d, SPAN("x")));
    ck_assert_int_eq(d.n_stops, DIALOG_STOPS_MAX);
}
END_TEST

/* ---- comparison: any member that differs is found ---- */

static void fill(struct dialog *x)
{
    struct dialog_block *b = dialog_add(x, &x->system, BLOCK_TEXT);
    b->text = SPAN("be brief");
    struct dialog_message *m = dialog_turn(x, ROLE_USER, SPAN(""));
    b = dialog_add(x, &m->blocks, BLOCK_TOOL_RESULT);
    b->id = SPAN("call");
    dialog_add(x, &b->children, BLOCK_IMAGE)->media.data = SPAN("iVBO");
    struct dialog_tool *t = dialog_add_tool(x);
    t->name = SPAN("tool");
    dialog_add_stop(x, SPAN("END"));
}

#define CHANGES(C)                                                                                 \
    C(x->system.first->text = SPAN("be long"))                                                     \
    C(x->system.first->cache = CACHE_1H)                                                           \
    C(x->first_message->role = ROLE_ASSISTANT)                                                     \
    C(x->first_message->name = SPAN("Ann"))                                                        \
    C(x->first_message->blocks.first->id = SPAN("other"))                                          \
    C(x->first_message->blocks.first->is_error = true)                                             \
    C(x->first_message->blocks.first->kind = BLOCK_TEXT)                                           \
    C(x->first_message->blocks.first->signature = SPAN("s"))                                       \
    C(x->first_message->blocks.first->raw_of = "anthropic")                                        \
    C(x->first_message->blocks.first->citations_json = SPAN("[]"))                                 \
    C(x->first_message->blocks.first->children.first->media.data = SPAN("iVB"))                    \
    C(x->first_message->blocks.first->children.first->media.from = MEDIA_URL)                      \
    C(x->first_message->blocks.first->children.first->media.detail = SPAN("low"))                  \
    C(dialog_add(x, &x->first_message->blocks.first->children, BLOCK_TEXT))                        \
    C(dialog_add(x, &x->first_message->blocks, BLOCK_TEXT))                                        \
    C(dialog_turn(x, ROLE_ASSISTANT, SPAN("")))                                                    \
    C(x->first_tool->name = SPAN("other"))                                                         \
    C(x->first_tool->description = SPAN("does"))                                                   \
    C(x->first_tool->schema_json = SPAN("{}"))                                                     \
    C(x->first_tool->strict = TRI_FALSE)                                                           \
    C(x->first_tool->cache = CACHE_5M)                                                             \
    C(x->first_tool->raw_json = SPAN("{}"))                                                        \
    C(dialog_add_tool(x))                                                                          \
    C(x->choice = CHOICE_NONE)                                                                     \
    C(x->choice_name = SPAN("tool"))                                                               \
    C(x->parallel = TRI_TRUE)                                                                      \
    C(x->max_tokens = 0)                                                                           \
    C(x->numbers[NUMBER_seed] = SPAN("1"))                                                         \
    C(x->stops[0] = SPAN("STOP"))                                                                  \
    C(dialog_add_stop(x, SPAN("END")))                                                             \
    C(x->format.kind = FORMAT_JSON)                                                                \
    C(x->format.name = SPAN("n"))                                                                  \
    C(x->format.schema_json = SPAN("{}"))                                                          \
    C(x->format.strict = TRI_TRUE)                                                                 \
    C(x->reasoning.mode = REASONING_OFF)                                                           \
    C(x->reasoning.budget_tok = 1)                                                                 \
    C(x->reasoning.effort = SPAN("low"))                                                           \
    C(x->reasoning.hidden = true)                                                                  \
    C(x->logprobs = TRI_TRUE)                                                                      \
    C(x->logit_bias_json = SPAN("{}"))                                                             \
    C(x->verbosity = SPAN("low"))                                                                  \
    C(x->service_tier = SPAN("flex"))                                                              \
    C(x->user = SPAN("u"))                                                                         \
    C(x->cache = CACHE_5M)                                                                         \
    C(x->stream = true)

static void change(struct dialog *x, int which)
{
    int i = 0;
#define C(statement)                                                                               \
    if (i++ == which)                                                                              \
        (void)(statement);
    CHANGES(C)
#undef C
}

enum {
    N_CHANGES = 0
#define C(statement) +1
    CHANGES(C)
#undef C
};

START_TEST(test_equal)
{
    struct dialog other;
    const char *where = NULL;
    dialog_init(&other);
    fill(&d);
    fill(&other);
    ck_assert(dialog_equal(&d, &other, &where));
    change(&other, _i);
    ck_assert_msg(!dialog_equal(&d, &other, &where), "change %d is not seen", _i);
    ck_assert_ptr_nonnull(where);
    ck_assert(!dialog_equal(&other, &d, NULL));
    dialog_done(&other);
}
END_TEST

/* ---- drops ---- */

START_TEST(test_drops)
{
    struct drops drops = {.n = 0};
    static char names[DROPS_MAX + 8][8];
    drops_add(&drops, "top_k");
    drops_add(&drops, "seed");
    drops_add(&drops, "top_k");
    struct buf text;
    buf_init(&text, 1024);
    drops_print(&drops, &text);
    ck_assert_str_eq(text.ptr, "top_k, seed");
    for (int i = 0; i < DROPS_MAX + 8; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        drops_add(&drops, names[i]);
    }
    ck_assert_int_eq(drops.n, DROPS_MAX);
    buf_done(&text);
}
END_TEST

static void note_all(struct json_doc *doc, const char *body)
{
    ck_assert_int_eq(json_parse(doc, span_of(body), NULL), 0);
    for (json_ref m = json_first(doc, 0); m != JSON_NONE; m = json_next(doc, m))
        dialog_note_other(&d, doc, m);
}

/* They are the client's words, and the header has an end. */
START_TEST(test_names_of_members)
{
    struct json_doc doc;
    struct buf text;
    char body[64 * DROPS_MAX] = "{\"a\":1";
    size_t n = strlen(body);
    json_init(&doc);
    buf_init(&text, 2048);
    note_all(&doc,
             "{\"store\":true,\"x-y\":1,\"\":1,\"a\\r\\nb\":1,\"sto\\u0072e\":1,\"\xc3\xa4\":1,"
             "\"store\":1,\"Forty_letters_are_what_a_name_may_have40\":1,"
             "\"Forty_letters_are_what_a_name_may_have_41\":1}");
    drops_print(&d.others, &text);
    ck_assert_str_eq(text.ptr, "store, other, Forty_letters_are_what_a_name_may_have40");
    for (int i = 0; i < 2 * DROPS_MAX; i++)
        n += (size_t)snprintf(body + n, sizeof(body) - n, ",\"m%d\":1", i);
    snprintf(body + n, sizeof(body) - n, "}");
    note_all(&doc, body);
    ck_assert_int_eq(d.others.n, DROPS_OTHERS_MAX);
    buf_done(&text);
    json_done(&doc);
}
END_TEST

Suite *dialog_suite(void);

Suite *dialog_suite(void)
{
    Suite *s = suite_create("dialog");
    TCase *t = tcase_create("dialog");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_memory_is_zeroed_aligned_and_apart);
    tcase_add_test(t, test_memory_has_an_end);
    tcase_add_loop_test(t, test_string, 0, (int)(sizeof(strings) / sizeof(strings[0])));
    tcase_add_test(t, test_neighbours_of_one_role_are_one_message);
    tcase_add_test(t, test_find_call);
    tcase_add_test(t, test_find_call_in_index);
    tcase_add_test(t, test_stops_have_an_end);
    tcase_add_loop_test(t, test_equal, 0, N_CHANGES);
    tcase_add_test(t, test_drops);
    tcase_add_test(t, test_names_of_members);
    suite_add_tcase(s, t);
    return s;
}
