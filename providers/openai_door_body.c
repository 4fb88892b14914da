/* A whole answer in OpenAI's form: platform.openai.com/docs/api-reference/chat/object. */
#include "providers/openai_door_write.h"

/* All texts of one kind of block as one string. */
static void put_joined(struct json_out *o, struct door_writer *w, const char *name,
                       enum dialog_kind kind)
{
    size_t n = 0;
    struct span *pieces =
        dialog_alloc(&w->whole.memory, ((size_t)w->whole.content.n + 1) * sizeof(*pieces));
    if (pieces == NULL)
        return;
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next) {
        if (b->kind == kind)
            pieces[n++] = b->text;
    }
    json_put_strings(o, name, pieces, n);
}

static int count(const struct door_writer *w, enum dialog_kind kind)
{
    int n = 0;
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next)
        n += b->kind == kind;
    return n;
}

/* ---- thinking ---- */

static void put_details(struct json_out *o, const struct door_writer *w)
{
    int64_t index = 0;
    json_open_array(o, "reasoning_details");
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_THINKING)
            openai_answer_thought(o, index++, b->text, b->signature);
        else if (b->kind == BLOCK_REDACTED)
            openai_answer_redacted(o, index++, b->signature);
    }
    json_close_array(o);
}

static void put_thinking(struct json_out *o, struct door_writer *w)
{
    int thoughts = count(w, BLOCK_THINKING);
    if (w->answer->hide_thinking || thoughts + count(w, BLOCK_REDACTED) == 0)
        return;
    if (thoughts > 0) {
        put_joined(o, w, "reasoning_content", BLOCK_THINKING);
        put_joined(o, w, "reasoning", BLOCK_THINKING);
    }
    put_details(o, w);
}

/* ---- tool calls, citations, pictures ---- */

static void put_calls(struct json_out *o, struct door_writer *w)
{
    if (w->n_calls == 0)
        return;
    json_open_array(o, "tool_calls");
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next) {
        if (b->kind != BLOCK_TOOL_CALL)
            continue;
        json_open_object(o, NULL);
        json_put_string(o, "id", openai_answer_signed_id(w, b->id, b->signature));
        json_put_string(o, "type", SPAN("function"));
        json_open_object(o, "function");
        json_put_string(o, "name", b->name);
        json_put_string(o, "arguments", b->json);
        json_close_object(o);
        json_close_object(o);
    }
    json_close_array(o);
}

/* They stand in the order of their blocks. */
static void put_citations(struct json_out *o, const struct door_writer *w)
{
    const struct reply_cited *c = w->whole.citations.first;
    int64_t at = 0;
    json_open_array(o, "annotations");
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next) {
        int64_t end = at + (b->kind == BLOCK_TEXT ? openai_answer_chars(b->text) : 0);
        for (; c != NULL && c->block == b; c = c->next) {
            if (c->citation.url.len == 0)
                continue; /* of a document: there is no place for it */
            openai_answer_open_citation(o, &c->citation);
            openai_answer_close_citation(o, at, end);
        }
        at = end;
    }
    json_close_array(o);
}

static void put_images(struct json_out *o, const struct door_writer *w)
{
    if (count(w, BLOCK_IMAGE) == 0)
        return;
    json_open_array(o, "images");
    for (const struct dialog_block *b = w->whole.content.first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_IMAGE)
            openai_answer_image(o, &b->media);
    }
    json_close_array(o);
}

/* ---- the whole ---- */

static void put_message(struct json_out *o, struct door_writer *w)
{
    json_open_object(o, "message");
    json_put_string(o, "role", SPAN("assistant"));
    if (count(w, BLOCK_TEXT) > 0 || (w->n_calls == 0 && !w->refused))
        put_joined(o, w, "content", BLOCK_TEXT);
    else
        json_put_null(o, "content");
    if (w->refused)
        put_joined(o, w, "refusal", BLOCK_REFUSAL);
    else
        json_put_null(o, "refusal");
    put_thinking(o, w);
    put_calls(o, w);
    put_citations(o, w);
    put_images(o, w);
    json_close_object(o);
}

void openai_answer_body(struct door_writer *w, struct buf *out)
{
    struct json_out o = {.buf = out};
    w->n_calls = count(w, BLOCK_TOOL_CALL);
    w->refused = count(w, BLOCK_REFUSAL) > 0;
    json_open_object(&o, NULL);
    openai_answer_head(&o, w, "chat.completion");
    json_open_array(&o, "choices");
    json_open_object(&o, NULL);
    json_put_int(&o, "index", 0);
    put_message(&o, w);
    json_put_null(&o, "logprobs");
    json_put_string(&o, "finish_reason", span_of(openai_answer_finish(w)));
    json_close_object(&o);
    json_close_array(&o);
    if (w->whole.usage.seen != 0)
        openai_answer_usage(&o, w);
    json_close_object(&o);
}
