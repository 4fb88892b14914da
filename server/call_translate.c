/* Client and provider speak different protocols: the request goes through a dialog, the answer
 * through reply events to the writer of the client's door.
 *
 * The provider's REPLY_END is held back until the figures are known: what it leads to (usage,
 * cost) is written by call_translate_end. */
#define _GNU_SOURCE
#include "schema/money.h"
#include "server/call.h"

static const struct door *door_of(const struct call *c)
{
    return door_find(c->chat.door);
}

int call_translate_request(struct call *c, struct fail *f)
{
    c->translated = c->kind == CALL_MESSAGES && c->adapter->native_door(&c->target) != c->chat.door;
    c->rewritten = provider_must_rewrite(c->adapter, &c->chat, &c->target);
    if (!c->rewritten || c->dialog_read) {
        return 0;
    }
    c->dialog_read = door_of(c)->read(&c->chat, &c->dialog, f) == 0;
    return c->dialog_read ? 0 : -1;
}

/* ---- the answer ---- */

static void write_reply(struct call *c, const struct reply *r)
{
    if (c->writer != NULL && !door_of(c)->write(c->writer, r, &c->shown)) {
        c->reply_broken = true;
    }
}

/* Without the credential, should it be in there: in a copy, the words may be a constant. */
static void write_error(struct call *c, const struct reply *r)
{
    struct reply told = *r;
    struct buf text;
    buf_init(&text, CALL_ANSWER_MAX);
    size_t n = r->error.type.len;
    if (buf_add_span(&text, r->error.type) && buf_add_span(&text, r->error.message)) {
        call_credential_hide(c, buf_span(&text));
        told.error.type = (struct span){n > 0 ? text.ptr : "", n};
        told.error.message = text.len > n ? (struct span){text.ptr + n, text.len - n} : SPAN("");
        write_reply(c, &told);
    } else {
        c->reply_broken = true;
    }
    buf_done(&text);
}

static void on_reply(void *ctx, const struct reply *r)
{
    struct call *c = ctx;
    if (r->kind == REPLY_END) {
        c->reply_ended = true;
    } else if (c->req != NULL && r->kind == REPLY_ERROR) {
        write_error(c, r);
    } else if (c->req != NULL) {
        write_reply(c, r);
    }
}

void call_translate_begin(struct call *c)
{
    c->sink = (struct reply_sink){on_reply, c};
    c->reading.sink = c->translated ? &c->sink : NULL;
    if (!c->translated || c->req == NULL) {
        return;
    }
    id_print(&c->request_id, ID_PREFIX_GENERATION, c->generation_id);
    c->door_answer = (struct door_answer){
        .stream = c->chat.stream,
        .include_usage = c->chat.include_usage,
        .hide_thinking = c->dialog.reasoning.hidden,
        .generation_id = c->generation_id,
        .model = c->endpoint->model->slug,
        .created_s = c->begun_ms / 1000,
        .report = c->req->report_body,
        .provider = call_slug(c),
    };
    c->writer = door_of(c)->open(&c->door_answer);
    c->reply_broken = c->writer == NULL;
}

void call_translate_end(struct call *c)
{
    if (!c->reply_ended || c->req == NULL) {
        return;
    }
    c->reply_ended = false;
    call_cost_text(c, c->cost_usd);
    c->door_answer.cost_usd = c->cost_usd;
    write_reply(c, &(struct reply){.kind = REPLY_END});
}

void call_translate_close(struct call *c)
{
    if (c->writer != NULL) {
        door_of(c)->close(c->writer);
        c->writer = NULL;
    }
}

void call_translate_error(struct call *c, struct fail *ret)
{
    struct span said;
    struct buf store;
    buf_init(&store, CALL_ANSWER_MAX);
    bool own = call_read_message(c, buf_span(&c->answer), &store, &said);
    int len = (int)(said.len < FAIL_TEXT_MAX ? said.len : FAIL_TEXT_MAX);
    enum err code = call_error_for_status(c->http_status);
    if (own) {
        fail_set(ret, code, NULL, "%.*s", len, said.ptr);
    } else {
        fail_set(ret, code, NULL,
                 "%s answered with status %d and a body that is not of its protocol%s%.*s",
                 call_slug(c), c->http_status, len > 0 ? ": " : "", len, len > 0 ? said.ptr : "");
    }
    buf_done(&store);
}
