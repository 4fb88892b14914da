/* The client of openai_client.h. */
#include "tests/unit/openai_client.h"

#include <check.h>
#include <json-c/json.h>
#include <stdio.h>

#include "schema/toolsig.h"

enum { CLIENT_MAX = 64 * 1024 * 1024 };

void openai_client_init(struct openai_client *c)
{
    memset(c, 0, sizeof(*c));
    struct buf *all[] = {&c->content, &c->reasoning,   &c->details_text, &c->refusal,
                         &c->images,  &c->annotations, &c->signatures};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buf_init(all[i], CLIENT_MAX);
    for (int i = 0; i < OPENAI_CALLS_MAX; i++) {
        buf_init(&c->calls[i].id, CLIENT_MAX);
        buf_init(&c->calls[i].name, CLIENT_MAX);
        buf_init(&c->calls[i].arguments, CLIENT_MAX);
    }
}

void openai_client_done(struct openai_client *c)
{
    struct buf *all[] = {&c->content, &c->reasoning,   &c->details_text, &c->refusal,
                         &c->images,  &c->annotations, &c->signatures};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buf_done(all[i]);
    for (int i = 0; i < OPENAI_CALLS_MAX; i++) {
        buf_done(&c->calls[i].id);
        buf_done(&c->calls[i].name);
        buf_done(&c->calls[i].arguments);
    }
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

static void add_string(struct buf *to, struct json_object *v)
{
    if (v != NULL)
        buf_add(to, json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static void set_string(char *to, size_t cap, struct json_object *v)
{
    if (v != NULL)
        snprintf(to, cap, "%s", json_object_get_string(v));
}

static void client_call(struct openai_client *c, struct json_object *call, int index)
{
    struct json_object *function = member(call, "function");
    ck_assert_int_lt(index, OPENAI_CALLS_MAX);
    /* a call begins with all of its head, in order */
    ck_assert_int_le(index, c->n_calls);
    ck_assert((index == c->n_calls) == (member(call, "id") != NULL));
    if (index == c->n_calls) {
        ck_assert_str_eq(json_object_get_string(member(call, "type")), "function");
        c->n_calls++;
    }
    add_string(&c->calls[index].id, member(call, "id"));
    add_string(&c->calls[index].name, member(function, "name"));
    add_string(&c->calls[index].arguments, member(function, "arguments"));
}

static void client_details(struct openai_client *c, struct json_object *details)
{
    for (size_t i = 0; i < json_object_array_length(details); i++) {
        struct json_object *e = json_object_array_get_idx(details, i);
        add_string(&c->details_text, member(e, "text"));
        struct json_object *sign =
            member(e, "signature") != NULL ? member(e, "signature") : member(e, "data");
        if (sign != NULL) {
            add_string(&c->signatures, sign);
            buf_addc(&c->signatures, '\n');
        }
    }
}

static void client_citations(struct openai_client *c, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *of = member(json_object_array_get_idx(list, i), "url_citation");
        buf_addf(&c->annotations, "%s %lld-%lld\n", json_object_get_string(member(of, "url")),
                 (long long)json_object_get_int64(member(of, "start_index")),
                 (long long)json_object_get_int64(member(of, "end_index")));
    }
}

/* A message or a delta. */
static void client_message(struct openai_client *c, struct json_object *m)
{
    struct json_object *calls = member(m, "tool_calls"), *images = member(m, "images");
    add_string(&c->content, member(m, "content"));
    add_string(&c->refusal, member(m, "refusal"));
    add_string(&c->reasoning, member(m, "reasoning"));
    struct json_object *same = member(m, "reasoning_content");
    ck_assert((same == NULL) == (member(m, "reasoning") == NULL));
    if (member(m, "reasoning_details") != NULL)
        client_details(c, member(m, "reasoning_details"));
    if (member(m, "annotations") != NULL)
        client_citations(c, member(m, "annotations"));
    for (size_t i = 0; calls != NULL && i < json_object_array_length(calls); i++) {
        struct json_object *call = json_object_array_get_idx(calls, i);
        struct json_object *index = member(call, "index");
        client_call(c, call, index != NULL ? json_object_get_int(index) : (int)i);
    }
    for (size_t i = 0; images != NULL && i < json_object_array_length(images); i++) {
        struct json_object *of = member(json_object_array_get_idx(images, i), "image_url");
        add_string(&c->images, member(of, "url"));
    }
}

static void client_usage(struct openai_client *c, struct json_object *usage)
{
    ck_assert(!c->has_usage && usage != NULL);
    c->has_usage = true;
    c->prompt_tok = json_object_get_int64(member(usage, "prompt_tokens"));
    c->completion_tok = json_object_get_int64(member(usage, "completion_tokens"));
    ck_assert_int_eq(json_object_get_int64(member(usage, "total_tokens")),
                     c->prompt_tok + c->completion_tok);
}

static void client_object(struct openai_client *c, struct json_object *o, const char *message)
{
    struct json_object *choices = member(o, "choices"), *choice;
    ck_assert_ptr_nonnull(choices);
    set_string(c->id, sizeof(c->id), member(o, "id"));
    c->failed = member(o, "error") != NULL;
    if (json_object_object_get_ex(o, "usage", &choice))
        client_usage(c, choice);
    if (json_object_array_length(choices) == 0)
        return;
    ck_assert_str_eq(c->finish, "");
    choice = json_object_array_get_idx(choices, 0);
    client_message(c, member(choice, message));
    set_string(c->finish, sizeof(c->finish), member(choice, "finish_reason"));
}

static struct json_object *parse(struct span text)
{
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(tok, text.ptr, (int)text.len);
    ck_assert_msg(json_tokener_get_error(tok) == json_tokener_success, "%.*s", (int)text.len,
                  text.ptr);
    json_tokener_free(tok);
    return o;
}

void openai_client_body(struct openai_client *c, const char *text)
{
    struct json_object *o = parse(span_of(text));
    client_object(c, o, "message");
    json_object_put(o);
}

/* Each event is one line of data. */
void openai_client_stream(struct openai_client *c, const char *text)
{
    const char *at = text, *end;
    for (; *at != '\0'; at = end + 2) {
        ck_assert_msg(strncmp(at, "data: ", 6) == 0, "%.200s", at);
        end = strstr(at, "\n\n");
        ck_assert_msg(end != NULL, "%.200s", at);
        struct span data = {at + 6, (size_t)(end - at) - 6};
        ck_assert_ptr_null(memchr(data.ptr, '\n', data.len));
        ck_assert(!c->done && !c->failed);
        c->done = span_is(data, "[DONE]");
        if (c->done)
            continue;
        struct json_object *o = parse(data);
        client_object(c, o, "delta");
        json_object_put(o);
    }
}

/* What was told, in the client's words. */
static void expect_texts(const struct reply_whole *w, struct openai_client *want)
{
    for (const struct dialog_block *b = w->content.first; b != NULL; b = b->next) {
        struct buf *to = b->kind == BLOCK_TEXT       ? &want->content
                         : b->kind == BLOCK_THINKING ? &want->reasoning
                         : b->kind == BLOCK_REFUSAL  ? &want->refusal
                                                     : NULL;
        if (to != NULL)
            buf_add_span(to, b->text);
        if (b->kind == BLOCK_IMAGE)
            buf_addf(&want->images, "data:%.*s;base64,%.*s", (int)b->media.type.len,
                     b->media.type.ptr, (int)b->media.data.len, b->media.data.ptr);
        if (b->signature.len > 0 && b->kind != BLOCK_TOOL_CALL) {
            buf_add_span(&want->signatures, b->signature);
            buf_addc(&want->signatures, '\n');
        }
    }
    buf_add_span(&want->details_text, buf_span(&want->reasoning));
}

static void expect_calls(const struct reply_whole *w, struct openai_client *want)
{
    for (const struct dialog_block *b = w->content.first; b != NULL; b = b->next) {
        if (b->kind != BLOCK_TOOL_CALL)
            continue;
        ck_assert_int_lt(want->n_calls, OPENAI_CALLS_MAX);
        ck_assert(toolsig_join(b->id, b->signature, &want->calls[want->n_calls].id));
        buf_add_span(&want->calls[want->n_calls].name, b->name);
        buf_add_span(&want->calls[want->n_calls++].arguments, b->json);
    }
}

static void compare_buf(const struct buf *seen, const struct buf *want)
{
    ck_assert_msg(span_eq(buf_span(seen), buf_span(want)), "seen %.*s, told %.*s", (int)seen->len,
                  seen->ptr, (int)want->len, want->ptr);
}

static void compare_calls(const struct openai_client *seen, const struct openai_client *want)
{
    ck_assert_int_eq(seen->n_calls, want->n_calls);
    for (int i = 0; i < seen->n_calls; i++) {
        compare_buf(&seen->calls[i].id, &want->calls[i].id);
        compare_buf(&seen->calls[i].name, &want->calls[i].name);
        compare_buf(&seen->calls[i].arguments, &want->calls[i].arguments);
    }
}

void openai_client_compare(const struct openai_client *seen, const struct reply_whole *told,
                           const char *generation_id)
{
    struct openai_client want;
    openai_client_init(&want);
    expect_texts(told, &want);
    expect_calls(told, &want);
    compare_buf(&seen->content, &want.content);
    compare_buf(&seen->reasoning, &want.reasoning);
    compare_buf(&seen->details_text, &want.details_text);
    compare_buf(&seen->refusal, &want.refusal);
    compare_buf(&seen->images, &want.images);
    compare_buf(&seen->signatures, &want.signatures);
    compare_calls(seen, &want);
    struct span id = told->id.len > 0 ? told->id : span_of(generation_id);
    ck_assert(span_is(id, seen->id));
    ck_assert_str_ne(seen->finish, "");
    ck_assert(seen->has_usage == (told->usage.seen != 0));
    ck_assert_int_eq(seen->prompt_tok, usage_prompt_tok(&told->usage));
    ck_assert_int_eq(seen->completion_tok, told->usage.n[USAGE_output_tok]);
    openai_client_done(&want);
}
